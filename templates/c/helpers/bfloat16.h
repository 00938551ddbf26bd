/* Numbers of bfloat16 as their bits: the upper half of a `float`. */
static inline float bfloat16_to_float(uint16_t bits)
{
    const uint32_t wide = (uint32_t)bits << 16;
    float value;
    memcpy(&value, &wide, sizeof value);
    return value;
}

/* To nearest, ties to even. */
static inline uint16_t float_to_bfloat16(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (isnan(value)) {
        return (uint16_t)(bits >> 16 | 0x40);
    }
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* A `float` whose last digit tells whether more followed is rounded as the double is. */
static inline uint16_t double_to_bfloat16(double value)
{
    float single = (float)value;
    uint32_t bits;
    if (isfinite(single) && (double)single != value) {
        memcpy(&bits, &single, sizeof bits);
        if (fabs((double)single) > fabs(value)) {
            bits--;
        }
        bits |= 1;
        memcpy(&single, &bits, sizeof bits);
    }
    return float_to_bfloat16(single);
}

static inline float round_bfloat16(float value)
{
    return bfloat16_to_float(float_to_bfloat16(value));
}

static inline float round_double_bfloat16(double value)
{
    return bfloat16_to_float(double_to_bfloat16(value));
}
