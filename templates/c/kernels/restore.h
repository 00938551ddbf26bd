/*
 * Weights as floats, made of their codes once, for products that have no tiles for codes: (code - zero) * scale.
 *
 * `rows` rows of k codes lie as in a weights file, each row on a byte of its own. As many as `shared` rows after each other have
 * one scale, and one zero point if zero is not NULL.
 */
/* Returns false where a code is invalid. */
static inline bool restore_ternary2(const uint8_t *codes, const float *scale, int64_t rows, int64_t k, int64_t shared,
                                    float *restored)
{
    for (int64_t i = 0; i < rows; i++) {
        const uint8_t *row = codes + i * ((k + 3) / 4);
        for (int64_t t = 0; t < k; t++) {
            const int code = row[t / 4] >> (t % 4 * 2) & 3;
            if (code == 3) {
                return false;
            }
            restored[i * k + t] = (float)(code - 1) * scale[i / shared];
        }
    }
    return true;
}

/* Symmetric codes are stored 8 too large; those with zero points as they are. */
static inline void restore_int4(const uint8_t *codes, const float *scale, const uint8_t *zero, int64_t rows, int64_t k,
                                int64_t shared, float *restored)
{
    for (int64_t i = 0; i < rows; i++) {
        const uint8_t *row = codes + i * ((k + 1) / 2);
        const int none = zero != NULL ? zero[i / shared] : 8;
        for (int64_t t = 0; t < k; t++) {
            restored[i * k + t] = (float)((row[t / 2] >> (t % 2 * 4) & 15) - none) * scale[i / shared];
        }
    }
}

static inline void restore_int8(const int8_t *codes, const float *scale, const int8_t *zero, int64_t rows, int64_t k,
                                int64_t shared, float *restored)
{
    for (int64_t i = 0; i < rows; i++) {
        const int none = zero != NULL ? zero[i / shared] : 0;
        for (int64_t t = 0; t < k; t++) {
            restored[i * k + t] = (float)(codes[i * k + t] - none) * scale[i / shared];
        }
    }
}
