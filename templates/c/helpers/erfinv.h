/* The inverse of erf: a formula that is right in two to three digits, then steps of Halley's method. */
static inline double erfinv_double(double y)
{
    const double pi = 3.14159265358979323846;
    const double bend = 0.147;
    const double size = fabs(y);
    if (isnan(y) || size > 1.0) {
        return NAN;
    }
    const double rest = 1.0 - size;
    if (rest == 0.0) {
        return copysign(INFINITY, y);
    }
    const double logarithm = log(rest * (1.0 + size));
    const double half = 2.0 / (pi * bend) + logarithm / 2.0;
    double x = sqrt(fmax(sqrt(half * half - logarithm / bend) - half, 0.0));
    for (int step = 0; step < 3; step++) {
        const double beyond = size < 0.5 ? erf(x) - size : rest - erfc(x);
        const double change = beyond * (sqrt(pi) / 2.0) * exp(x * x);
        x -= change / (1.0 + x * change);
    }
    return copysign(x, y);
}

static inline float erfinv_float(float y)
{
    return (float)erfinv_double(y);
}
