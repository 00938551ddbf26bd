/*
 * Ternary weights, five to a byte in files. The interface is that of ternary2.h, which this needs.
 *
 * With AVX-512 VBMI they stay five to a byte, which is faster than two bits where weights come from memory, and slower where
 * they stay in the cache. Other builds unpack them to two bits once.
 */
#define TERNARY5_COLUMNS TERNARY2_COLUMNS
#define TERNARY5_ROWS TERNARY2_ROWS
#define TERNARY5_MAX_K TERNARY2_MAX_K
#define TERNARY5_PACKED_BYTES(n, k) TERNARY2_PACKED_BYTES(n, k)

/* The code + 1 of index t of a row; at least 3 where the byte is invalid. */
static inline uint8_t ternary5_stored(const uint8_t *row, int64_t t)
{
    static const uint8_t power[5] = {1, 3, 9, 27, 81};
    const uint8_t byte = row[t / 5];
    return byte > 242 ? 3 : (uint8_t)(byte / power[t % 5] % 3);
}

#if defined(SIMD_PLAIN)
static inline bool ternary5_pack(const uint8_t *portable, int64_t n, int64_t k, uint8_t *packed)
{
    memcpy(packed, portable, (size_t)(n * ((k + 4) / 5)));
    for (int64_t b = 0; b < n * ((k + 4) / 5); b++) {
        if (portable[b] > 242) {
            return false;
        }
    }
    return true;
}

static inline void ternary5_tile(const uint8_t *packed, int64_t n, int64_t k, int64_t column, const int8_t *x, int64_t stride,
                                 const int32_t *sums, int64_t rows, int32_t acc[][TERNARY5_COLUMNS])
{
    for (int64_t j = 0; j < TERNARY5_COLUMNS && column + j < n; j++) {
        const uint8_t *weights = packed + (column + j) * ((k + 4) / 5);
        for (int64_t i = 0; i < rows; i++) {
            acc[i][j] = -sums[i];
        }
        for (int64_t t = 0; t < k; t++) {
            const int32_t code = ternary5_stored(weights, t);
            for (int64_t i = 0; i < rows; i++) {
                acc[i][j] += x[i * stride + t] * code;
            }
        }
    }
}

static inline void ternary5_tile_f32(const uint8_t *packed, int64_t n, int64_t k, int64_t column, const float *x,
                                     int64_t stride, int64_t rows, float acc[][TERNARY5_COLUMNS])
{
    for (int64_t j = 0; j < TERNARY5_COLUMNS && column + j < n; j++) {
        const uint8_t *weights = packed + (column + j) * ((k + 4) / 5);
        double sum[TERNARY5_ROWS] = {0};
        for (int64_t t = 0; t < k; t++) {
            const int code = ternary5_stored(weights, t) - 1;
            for (int64_t i = 0; i < rows; i++) {
                sum[i] += (double)x[i * stride + t] * code;
            }
        }
        for (int64_t i = 0; i < rows; i++) {
            acc[i][j] = (float)sum[i];
        }
    }
}
#endif
