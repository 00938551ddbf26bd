/* Codes of numbers under a scale: divided, rounded with ties to even, and limited. */
static inline float limited(float value, float low, float high)
{
    return value < low ? low : value > high ? high : value;
}

static inline float symmetric_code(float value, float scale, float top)
{
    return rintf(limited(value / scale, -top, top));
}

static inline float asymmetric_code(float value, float scale, float zero, float low, float high)
{
    return limited(rintf(limited(value / scale, -4194304.0f, 4194304.0f)) + zero, low, high);
}

static inline float zero_point(float least, float scale, float low, float high)
{
    return limited(rintf(low - least / scale), low, high);
}

/* Rounded up as often as the fraction says; `chance` is even from 0 up to 1. */
static inline float stochastic_code(float value, float scale, float chance)
{
    return limited(floorf(limited(value / scale, -1.0f, 1.0f) + chance), -1.0f, 1.0f);
}
