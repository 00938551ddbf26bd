/* Quotients rounded down, and what is left: a remainder has the sign of the divisor. */
static inline double mod_double(double a, double b)
{
    const double rest = fmod(a, b);
    return rest != 0.0 && (rest < 0.0) != (b < 0.0) ? rest + b : rest;
}

static inline double floor_div_double(double a, double b)
{
    if (b == 0.0) {
        return a / b;
    }
    const double rest = fmod(a, b);
    double quotient = (a - rest) / b;
    if (rest != 0.0 && (rest < 0.0) != (b < 0.0)) {
        quotient -= 1.0;
    }
    if (quotient == 0.0) {
        return copysign(0.0, a / b);
    }
    const double whole = floor(quotient);
    return quotient - whole > 0.5 ? whole + 1.0 : whole;
}

static inline float mod_float(float a, float b)
{
    return (float)mod_double(a, b);
}

static inline float floor_div_float(float a, float b)
{
    return (float)floor_div_double(a, b);
}

/* The divisor is not 0. The least integer over -1 wraps. */
static inline int64_t floor_div_int64(int64_t a, int64_t b)
{
    if (b == -1) {
        return (int64_t)(0 - (uint64_t)a);
    }
    return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

static inline int64_t mod_int64(int64_t a, int64_t b)
{
    if (b == -1) {
        return 0;
    }
    const int64_t rest = a % b;
    return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

static inline uint64_t floor_div_uint64(uint64_t a, uint64_t b)
{
    return a / b;
}

static inline uint64_t mod_uint64(uint64_t a, uint64_t b)
{
    return a % b;
}
