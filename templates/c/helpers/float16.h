/* Half floats as their bits; numbers are `float`. */
static inline float float16_to_float(uint16_t bits)
{
    const uint32_t sign = (uint32_t)(bits & 0x8000) << 16;
    const uint32_t exponent = bits >> 10 & 0x1f;
    const uint32_t fraction = bits & 0x3ff;
    uint32_t wide;
    float value;
    if (exponent == 0) {
        value = (float)fraction * 0x1p-24f;
        return sign ? -value : value;
    }
    wide = sign | (exponent == 31 ? 0x7f800000u : (exponent + 112) << 23) | fraction << 13;
    memcpy(&value, &wide, sizeof value);
    return value;
}

/* To nearest, ties to even. */
static inline uint16_t double_to_float16(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    const uint16_t sign = (uint16_t)(bits >> 48 & 0x8000);
    const double size = fabs(value);
    if (isnan(value)) {
        return (uint16_t)(sign | 0x7e00);
    }
    if (size >= 65520.0) {
        return (uint16_t)(sign | 0x7c00);
    }
    if (size < 0x1p-14) {
        return (uint16_t)(sign | (uint16_t)rint(size * 0x1p24));
    }
    /* The last of the ten digits that are kept gets a carry, which may reach the exponent. */
    const uint64_t magnitude = bits & 0x7fffffffffffffffu;
    const uint64_t rounded = magnitude + 0x1ffffffffffu + (magnitude >> 42 & 1);
    return (uint16_t)(sign | (uint16_t)((rounded >> 42) - ((uint64_t)1008 << 10)));
}

static inline uint16_t float_to_float16(float value)
{
    return double_to_float16((double)value);
}

static inline float round_float16(float value)
{
    return float16_to_float(float_to_float16(value));
}

static inline float round_double_float16(double value)
{
    return float16_to_float(double_to_float16(value));
}
