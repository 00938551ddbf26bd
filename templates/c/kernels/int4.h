/*
 * Weights of four bits, with a scale (and maybe a zero point) for each group of them: `group` neighbouring codes of a row, a
 * multiple of 32 that divides k; or k itself, whatever it is.
 *
 *     acc[i][j] = sum over groups g of scale[column + j][g] * sum over t in g of x[i * stride + t] * (code[column + j][t] -
 * zero)
 *
 * for 0 <= i < rows and column + j < n; other elements of acc may hold anything. Codes are portable: two in a byte, the first
 * in the low half, each row on a byte of its own. zero is 8 for symmetric codes, which are stored 8 too large. Scales are
 * float (scale_bytes 4) or half floats (2); zero points are there (zero_bytes 1) or not (0).
 *
 * column is a multiple of INT4_COLUMNS, rows at most INT4_ROWS, group at most INT4_MAX_GROUP: sums of a group reach
 * 15 * 128 * group on their way, in 32 bits. sums[i * (k / group) + g] is the sum of group g of row i of x. x need not be
 * aligned, and nothing behind its k elements is read.
 */
#define INT4_COLUMNS 64
#define INT4_ROWS 8
#define INT4_MAX_GROUP 1048576
#define INT4_PACKED_BYTES(n, k, group, scale_bytes, zero_bytes)                                                                \
    (((n) + 15) / 16 * (((k) + 7) / 8 * 64 + (k) / (group)*16 * ((scale_bytes) + (zero_bytes))))

#if defined(SIMD_PLAIN)
/* A row is its portable codes, then its scales, then its zero points. scale is float or half floats: [n][k / group]. */
static inline void int4_pack(const uint8_t *portable, const void *scale, const int8_t *zero, int64_t n, int64_t k,
                             int64_t group, int64_t scale_bytes, uint8_t *packed)
{
    const int64_t code_bytes = (k + 1) / 2, groups = k / group;
    for (int64_t j = 0; j < n; j++) {
        memcpy(packed, portable + j * code_bytes, (size_t)code_bytes);
        packed += code_bytes;
        memcpy(packed, (const uint8_t *)scale + j * groups * scale_bytes, (size_t)(groups * scale_bytes));
        packed += groups * scale_bytes;
        if (zero != NULL) {
            memcpy(packed, zero + j * groups, (size_t)groups);
            packed += groups;
        }
    }
}

static inline float int4_scale(const uint8_t *scales, int64_t g, int64_t scale_bytes)
{
    float scale;
    if (scale_bytes == 4) {
        memcpy(&scale, scales + 4 * g, sizeof scale);
        return scale;
    }
    uint16_t half;
    memcpy(&half, scales + 2 * g, sizeof half);
    const int exponent = half >> 10 & 31, fraction = half & 1023;
    const float size = exponent == 0 ? ldexpf((float)fraction, -24) : ldexpf((float)(fraction + 1024), exponent - 25);
    return half >> 15 ? -size : size; /* scales are finite */
}

static inline void int4_tile(const uint8_t *packed, int64_t n, int64_t k, int64_t group, int64_t scale_bytes,
                             int64_t zero_bytes, int64_t column, const int8_t *x, int64_t stride, const int32_t *sums,
                             int64_t rows, float acc[][INT4_COLUMNS])
{
    const int64_t code_bytes = (k + 1) / 2, groups = k / group;
    const int64_t row_bytes = code_bytes + groups * (scale_bytes + zero_bytes);
    (void)sums;
    for (int64_t j = 0; j < INT4_COLUMNS && column + j < n; j++) {
        const uint8_t *codes = packed + (column + j) * row_bytes;
        const uint8_t *scales = codes + code_bytes, *zeros = scales + groups * scale_bytes;
        for (int64_t i = 0; i < rows; i++) {
            float total = 0;
            for (int64_t g = 0; g < groups; g++) {
                const int32_t zero = zero_bytes == 0 ? 8 : zeros[g];
                int32_t sum = 0;
                for (int64_t t = g * group; t < (g + 1) * group; t++) {
                    sum += x[i * stride + t] * ((codes[t / 2] >> (t % 2 * 4) & 15) - zero);
                }
                total += int4_scale(scales, g, scale_bytes) * (float)sum;
            }
            acc[i][j] = total;
        }
    }
}

static inline void int4_tile_f32(const uint8_t *packed, int64_t n, int64_t k, int64_t group, int64_t scale_bytes,
                                 int64_t zero_bytes, int64_t column, const float *x, int64_t stride, int64_t rows,
                                 float acc[][INT4_COLUMNS])
{
    const int64_t code_bytes = (k + 1) / 2, groups = k / group;
    const int64_t row_bytes = code_bytes + groups * (scale_bytes + zero_bytes);
    for (int64_t j = 0; j < INT4_COLUMNS && column + j < n; j++) {
        const uint8_t *codes = packed + (column + j) * row_bytes;
        const uint8_t *scales = codes + code_bytes, *zeros = scales + groups * scale_bytes;
        for (int64_t i = 0; i < rows; i++) {
            double total = 0;
            for (int64_t g = 0; g < groups; g++) {
                const int32_t zero = zero_bytes == 0 ? 8 : zeros[g];
                double sum = 0;
                for (int64_t t = g * group; t < (g + 1) * group; t++) {
                    sum += (double)x[i * stride + t] * ((codes[t / 2] >> (t % 2 * 4) & 15) - zero);
                }
                total += (double)int4_scale(scales, g, scale_bytes) * sum;
            }
            acc[i][j] = (float)total;
        }
    }
}
#endif
