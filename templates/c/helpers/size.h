/* Arithmetic on sizes: quotients are rounded down, and divisors are positive. */
static inline int64_t size_floor_divide(int64_t a, int64_t b)
{
    const int64_t quotient = b == 0 ? 0 : a / b;
    return b != 0 && a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient;
}

static inline int64_t size_power(int64_t base, int64_t exponent)
{
    uint64_t result = 1;
    for (; exponent > 0; exponent--) {
        result *= (uint64_t)base;
    }
    return (int64_t)result;
}

static inline int64_t size_minimum(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t size_maximum(int64_t a, int64_t b)
{
    return a > b ? a : b;
}
