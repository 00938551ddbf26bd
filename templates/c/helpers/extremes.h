/* NaN if either is. */
static inline float maximum_float(float a, float b)
{
    return a < b || isnan(b) ? b : a;
}

static inline float minimum_float(float a, float b)
{
    return a > b || isnan(b) ? b : a;
}

static inline double maximum_double(double a, double b)
{
    return a < b || isnan(b) ? b : a;
}

static inline double minimum_double(double a, double b)
{
    return a > b || isnan(b) ? b : a;
}
