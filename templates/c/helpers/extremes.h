/* NaN if either is. Without `||`, which would be a branch. */
static inline float maximum_float(float a, float b)
{
    return ((a < b) | (b != b)) ? b : a;
}

static inline float minimum_float(float a, float b)
{
    return ((a > b) | (b != b)) ? b : a;
}

static inline double maximum_double(double a, double b)
{
    return ((a < b) | (b != b)) ? b : a;
}

static inline double minimum_double(double a, double b)
{
    return ((a > b) | (b != b)) ? b : a;
}
