/*
 * Weights of eight bits, a scale (and zero point) for each row of them: those are the caller's business.
 *
 *     acc[i][j] = sum over t of x[i * stride + t] * code[column + j][t]        0 <= i < rows, column + j < n
 *
 * The rest is as in ternary2.h. Sums wrap, so that the result is right wherever the sum itself has 32 bits, which is so for k
 * at most INT8_MAX_K. With a zero point z[j], subtract z[j] * sums[i].
 */
#define INT8_COLUMNS 64
#define INT8_ROWS 8
#define INT8_MAX_K 131071
#define INT8_PACKED_BYTES(n, k) (((n) + 15) / 16 * (((k) + 3) / 4) * 64)

#if defined(SIMD_PLAIN)
/* Codes of up to INT8_COLUMNS columns lie beside each other, for loops over columns. Columns are rounded up to 16. */
static inline void int8_pack(const int8_t *portable, int64_t n, int64_t k, uint8_t *packed)
{
    const int64_t padded = (n + 15) / 16 * 16;
    for (int64_t begin = 0; begin < padded; begin += INT8_COLUMNS) {
        const int64_t end = padded - begin < INT8_COLUMNS ? padded : begin + INT8_COLUMNS;
        for (int64_t t = 0; t < k; t++) {
            for (int64_t column = begin; column < end; column++) {
                *packed++ = column < n ? (uint8_t)portable[column * k + t] : 0;
            }
        }
    }
}

static inline void int8_tile(const uint8_t *packed, int64_t n, int64_t k, int64_t column, const int8_t *x, int64_t stride,
                             const int32_t *sums, int64_t rows, int32_t acc[][INT8_COLUMNS])
{
    const int64_t rest = (n + 15) / 16 * 16 - column, width = rest < INT8_COLUMNS ? rest : INT8_COLUMNS;
    const int8_t *strip = (const int8_t *)packed + column * k;
    (void)sums;
    for (int64_t i = 0; i < rows; i++) {
        uint32_t sum[INT8_COLUMNS] = {0};
        for (int64_t t = 0; t < k; t++) {
            const int32_t factor = x[i * stride + t];
            for (int64_t j = 0; j < width; j++) {
                sum[j] += (uint32_t)(factor * strip[t * width + j]);
            }
        }
        for (int64_t j = 0; j < width; j++) {
            acc[i][j] = (int32_t)sum[j];
        }
    }
}

static inline void int8_tile_f32(const uint8_t *packed, int64_t n, int64_t k, int64_t column, const float *x, int64_t stride,
                                 int64_t rows, float acc[][INT8_COLUMNS])
{
    const int64_t rest = (n + 15) / 16 * 16 - column, width = rest < INT8_COLUMNS ? rest : INT8_COLUMNS;
    const int8_t *strip = (const int8_t *)packed + column * k;
    for (int64_t i = 0; i < rows; i++) {
        float sum[INT8_COLUMNS] = {0};
        for (int64_t t = 0; t < k; t++) {
            const float factor = x[i * stride + t];
            for (int64_t j = 0; j < width; j++) {
                sum[j] += factor * (float)strip[t * width + j];
            }
        }
        memcpy(acc[i], sum, sizeof sum);
    }
}
#endif
