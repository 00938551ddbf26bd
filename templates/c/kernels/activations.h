/*
 * Activations as codes of eight bits, one scale for each row: `int8(dynamic=true)`.
 *
 * Codes and scale are those of NUMERICS to the last bit: scale = max abs x / 127, or 1 where that is 0; code = x / scale,
 * rounded to nearest, ties to even. Returns false, with codes of no meaning, where x has a NaN or an infinity.
 */
static inline bool quantize_row_int8(const float *restrict x, int64_t k, int8_t *restrict codes, float *scale)
{
    /* Floats without sign are ordered as their bits are, and every NaN is above infinity. */
    uint32_t most = 0;
    for (int64_t t = 0; t < k; t++) {
        uint32_t bits;
        memcpy(&bits, &x[t], sizeof bits);
        bits &= 0x7fffffff;
        most = bits > most ? bits : most;
    }
    if (most >= 0x7f800000) {
        return false;
    }
    float largest;
    memcpy(&largest, &most, sizeof largest);
    const float divisor = largest / 127.0f > 0 ? largest / 127.0f : 1;
    *scale = divisor;
    for (int64_t t = 0; t < k; t++) {
        float code = x[t] / divisor;
        code = code < -127 ? -127 : code;
        code = code > 127 ? 127 : code;
        /* Where 1.5 * 2^23 is added nothing is left of the fraction, and the low byte is the code. */
        const float shifted = code + 12582912.0f;
        uint32_t bits;
        memcpy(&bits, &shifted, sizeof bits);
        codes[t] = (int8_t)(uint8_t)bits;
    }
    return true;
}

/* The sum of each group of codes of a row: what tiles subtract for codes of weights that are stored too large. */
static inline void sum_groups_int8(const int8_t *codes, int64_t k, int64_t group, int32_t *sums)
{
    for (int64_t g = 0; g < k / group; g++) {
        int32_t sum = 0;
        for (int64_t t = g * group; t < (g + 1) * group; t++) {
            sum += codes[t];
        }
        sums[g] = sum;
    }
}
