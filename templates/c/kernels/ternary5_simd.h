#if !defined(SIMD_PLAIN) && !(defined(SIMD_AVX512) && defined(__AVX512VBMI__))
/* The layout is that of ternary2_simd.h. */
static inline bool ternary5_pack(const uint8_t *portable, int64_t n, int64_t k, uint8_t *packed)
{
    const int64_t steps = (k + 15) / 16, vectors = (n + 15) / 16 * 16 / SIMD_LANES;
    bool valid = true;
    for (int64_t vector = 0; vector < vectors; vector += SIMD_STRIP) {
        const int64_t width = vectors - vector < SIMD_STRIP ? vectors - vector : SIMD_STRIP;
        for (int64_t step = 0; step < steps; step++) {
            for (int64_t lane = 0; lane < width * SIMD_LANES; lane++) {
                const int64_t column = vector * SIMD_LANES + lane;
                for (int64_t byte = 0; byte < 4; byte++) {
                    uint8_t codes = 0;
                    for (int64_t field = 0; field < 4; field++) {
                        const int64_t t = step * 16 + field * 4 + byte;
                        uint8_t code = 1;
                        if (column < n && t < k) {
                            code = ternary5_stored(portable + column * ((k + 4) / 5), t);
                            valid = valid && code != 3;
                        }
                        codes = (uint8_t)(codes | code << (2 * field));
                    }
                    *packed++ = codes;
                }
            }
        }
    }
    return valid;
}

static inline void ternary5_tile(const uint8_t *packed, int64_t n, int64_t k, int64_t column, const int8_t *x, int64_t stride,
                                 const int32_t *sums, int64_t rows, int32_t acc[][TERNARY5_COLUMNS])
{
    ternary2_tile(packed, n, k, column, x, stride, sums, rows, acc);
}

static inline void ternary5_tile_f32(const uint8_t *packed, int64_t n, int64_t k, int64_t column, const float *x,
                                     int64_t stride, int64_t rows, float acc[][TERNARY5_COLUMNS])
{
    ternary2_tile_f32(packed, n, k, column, x, stride, rows, acc);
}
#endif

#if defined(SIMD_AVX512) && defined(__AVX512VBMI__)
/*
 * Columns are rounded up to 16 and k to 20, with code 0. Strips are as in ternary2_simd.h, but a step is 20 indices: byte b of
 * a lane has the codes + 1 of indices b, 4 + b, 8 + b, 12 + b and 16 + b of the step, as digits in base 3, the first the
 * lowest.
 */
static inline bool ternary5_pack(const uint8_t *portable, int64_t n, int64_t k, uint8_t *packed)
{
    static const uint8_t power[5] = {1, 3, 9, 27, 81};
    const int64_t steps = (k + 19) / 20, vectors = (n + 15) / 16;
    bool valid = true;
    for (int64_t vector = 0; vector < vectors; vector += SIMD_STRIP) {
        const int64_t width = vectors - vector < SIMD_STRIP ? vectors - vector : SIMD_STRIP;
        for (int64_t step = 0; step < steps; step++) {
            for (int64_t lane = 0; lane < width * SIMD_LANES; lane++) {
                const int64_t column = vector * SIMD_LANES + lane;
                for (int64_t byte = 0; byte < 4; byte++) {
                    uint8_t codes = 0;
                    for (int64_t digit = 0; digit < 5; digit++) {
                        const int64_t t = step * 20 + digit * 4 + byte;
                        uint8_t code = 1;
                        if (column < n && t < k) {
                            code = ternary5_stored(portable + column * ((k + 4) / 5), t);
                            valid = valid && code != 3;
                        }
                        codes = (uint8_t)(codes + code * power[digit]);
                    }
                    *packed++ = codes;
                }
            }
        }
    }
    return valid;
}

/* For each number below 81 its four digits in base 3, two bits each. */
static const uint8_t ternary5_digits[128] = {
    0,   1,   2,   4,   5,   6,   8,   9,   10,  16,  17,  18,  20,  21,  22,  24,  25,  26,  32,  33,  34,  36,
    37,  38,  40,  41,  42,  64,  65,  66,  68,  69,  70,  72,  73,  74,  80,  81,  82,  84,  85,  86,  88,  89,
    90,  96,  97,  98,  100, 101, 102, 104, 105, 106, 128, 129, 130, 132, 133, 134, 136, 137, 138, 144, 145, 146,
    148, 149, 150, 152, 153, 154, 160, 161, 162, 164, 165, 166, 168, 169, 170, 0,   0,   0,   0,   0,   0,   0,
    0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,
    0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,
};

/*
 * The digits of each byte: the lowest four become fields of two bits, as in ternary2_simd.h, the fifth comes alone in `fifth`.
 * A byte is the low digits' number r + 81 * fifth. Of b, b - 81 and b - 162, which wrap, the smallest is r; and 81 and 162 end
 * in the bits 01 and 10.
 */
SIMD_INLINE simd_bytes ternary5_split(const uint8_t *w, simd_bytes *fifth)
{
    const simd_bytes all = simd_load(w);
    const simd_bytes less = _mm512_sub_epi8(all, _mm512_set1_epi8(81)),
                     least = _mm512_sub_epi8(all, _mm512_set1_epi8((char)162));
    const simd_bytes low = _mm512_min_epu8(all, _mm512_min_epu8(less, least));
    *fifth = simd_mask(_mm512_sub_epi8(all, low), 3);
    return _mm512_permutex2var_epi8(simd_load(ternary5_digits), low, simd_load(ternary5_digits + 64));
}

/* Steps of one row of x; the sums are those of `ternary2_add_one`. */
SIMD_INLINE void ternary5_add_one(const uint8_t *w, int64_t pitch, int64_t steps, const int8_t *x, simd_int *low,
                                  simd_int *high, const int width)
{
    for (int64_t step = 0; step < steps; step++, w += pitch, x += 20) {
        const simd_four x0 = simd_spread(x), x1 = simd_spread(x + 4), x2 = simd_spread(x + 8), x3 = simd_spread(x + 12);
        const simd_four x4 = simd_spread(x + 16);
        SIMD_UNROLL
        for (int v = 0; v < width; v++) {
            simd_prefetch(w + v * SIMD_BYTES);
            simd_bytes fifth;
            const simd_bytes even = ternary5_split(w + v * SIMD_BYTES, &fifth), odd = simd_shift(even, 4);
            low[v] = simd_dot(low[v], simd_mask(even, 3), x0);
            high[v] = simd_dot(high[v], simd_mask(even, 12), x1);
            low[v] = simd_dot(low[v], simd_mask(odd, 3), x2);
            high[v] = simd_dot(high[v], simd_mask(odd, 12), x3);
            low[v] = simd_dot(low[v], fifth, x4);
        }
    }
}

SIMD_INLINE void ternary5_one(const uint8_t *w, int64_t pitch, int64_t k, const int8_t *x, int32_t sum, int32_t *acc,
                              const int width)
{
    simd_int low[SIMD_STRIP], high[SIMD_STRIP];
    SIMD_UNROLL
    for (int v = 0; v < width; v++) {
        low[v] = simd_set(-sum);
        high[v] = simd_set(0);
    }
    ternary5_add_one(w, pitch, k / 20, x, low, high, width);
    if (k % 20 != 0) {
        int8_t rest[20] = {0};
        memcpy(rest, x + k / 20 * 20, (size_t)(k % 20));
        ternary5_add_one(w + k / 20 * pitch, pitch, 1, rest, low, high, width);
    }
    SIMD_UNROLL
    for (int v = 0; v < width; v++) {
        simd_store(acc + v * SIMD_LANES, simd_add(low[v], simd_shift_signed(high[v], 2)));
    }
}

SIMD_INLINE void ternary5_add_rows(const uint8_t *w, int64_t pitch, int64_t steps, const int8_t *x, int64_t stride,
                                   simd_int (*sum)[2], const int rows, const int width)
{
    for (int64_t step = 0; step < steps; step++, w += pitch, x += 20) {
        simd_bytes low[2], fifth[2];
        SIMD_UNROLL
        for (int v = 0; v < width; v++) {
            low[v] = ternary5_split(w + v * SIMD_BYTES, &fifth[v]);
        }
        SIMD_UNROLL
        for (int digit = 0; digit < 5; digit++) {
            simd_bytes codes[2];
            SIMD_UNROLL
            for (int v = 0; v < width; v++) {
                codes[v] = digit == 4 ? fifth[v] : simd_mask(low[v], 3);
                low[v] = simd_shift(low[v], 2);
            }
            SIMD_UNROLL
            for (int i = 0; i < rows; i++) {
                const simd_four four = simd_spread(x + i * stride + digit * 4);
                SIMD_UNROLL
                for (int v = 0; v < width; v++) {
                    sum[i][v] = simd_dot(sum[i][v], codes[v], four);
                }
            }
        }
    }
}

SIMD_INLINE void ternary5_rows(const uint8_t *w, int64_t pitch, int64_t k, const int8_t *x, int64_t stride, const int32_t *sums,
                               int32_t *acc, const int rows, const int width)
{
    simd_int sum[SIMD_ROWS][2];
    SIMD_UNROLL
    for (int i = 0; i < rows; i++) {
        SIMD_UNROLL
        for (int v = 0; v < width; v++) {
            sum[i][v] = simd_set(-sums[i]);
        }
    }
    ternary5_add_rows(w, pitch, k / 20, x, stride, sum, rows, width);
    if (k % 20 != 0) {
        int8_t rest[SIMD_ROWS][20] = {{0}};
        for (int i = 0; i < rows; i++) {
            memcpy(rest[i], x + i * stride + k / 20 * 20, (size_t)(k % 20));
        }
        ternary5_add_rows(w + k / 20 * pitch, pitch, 1, rest[0], 20, sum, rows, width);
    }
    SIMD_UNROLL
    for (int i = 0; i < rows; i++) {
        SIMD_UNROLL
        for (int v = 0; v < width; v++) {
            simd_store(acc + i * TERNARY5_COLUMNS + v * SIMD_LANES, sum[i][v]);
        }
    }
}

/* A number of rows that is known, of the columns of one strip. */
SIMD_INLINE void ternary5_block(const uint8_t *w, int64_t width, int64_t k, const int8_t *x, int64_t stride,
                                const int32_t *sums, int32_t *acc, const int rows)
{
    int64_t v = 0;
    for (; v + 2 <= width; v += 2) {
        ternary5_rows(w + v * SIMD_BYTES, width * SIMD_BYTES, k, x, stride, sums, acc + v * SIMD_LANES, rows, 2);
    }
    if (v < width) {
        ternary5_rows(w + v * SIMD_BYTES, width * SIMD_BYTES, k, x, stride, sums, acc + v * SIMD_LANES, rows, 1);
    }
}

static inline void ternary5_strip(const uint8_t *w, int64_t width, int64_t k, const int8_t *x, int64_t stride,
                                  const int32_t *sums, int64_t rows, int32_t *acc)
{
    int64_t i = 0;
    for (; rows - i >= SIMD_ROWS; i += SIMD_ROWS) {
        ternary5_block(w, width, k, x + i * stride, stride, sums + i, acc + i * TERNARY5_COLUMNS, SIMD_ROWS);
    }
    if (SIMD_ROWS > 4 && rows - i >= 4) {
        ternary5_block(w, width, k, x + i * stride, stride, sums + i, acc + i * TERNARY5_COLUMNS, 4);
        i += 4;
    }
    if (rows - i >= 2) {
        ternary5_block(w, width, k, x + i * stride, stride, sums + i, acc + i * TERNARY5_COLUMNS, 2);
        i += 2;
    }
    if (i < rows && width == SIMD_STRIP) {
        ternary5_one(w, width * SIMD_BYTES, k, x + i * stride, sums[i], acc + i * TERNARY5_COLUMNS, SIMD_STRIP);
    } else if (i < rows) {
        for (int64_t v = 0; v < width; v++) {
            ternary5_one(w + v * SIMD_BYTES, width * SIMD_BYTES, k, x + i * stride, sums[i],
                         acc + i * TERNARY5_COLUMNS + v * SIMD_LANES, 1);
        }
    }
}

static inline void ternary5_tile(const uint8_t *packed, int64_t n, int64_t k, int64_t column, const int8_t *x, int64_t stride,
                                 const int32_t *sums, int64_t rows, int32_t acc[][TERNARY5_COLUMNS])
{
    const int64_t steps = (k + 19) / 20, vectors = (n + 15) / 16 * 16 / SIMD_LANES;
    const int64_t begin = column / SIMD_LANES;
    for (int64_t vector = begin; vector < begin + TERNARY5_COLUMNS / SIMD_LANES && vector < vectors; vector += SIMD_STRIP) {
        const int64_t width = vectors - vector < SIMD_STRIP ? vectors - vector : SIMD_STRIP;
        ternary5_strip(packed + vector * steps * SIMD_BYTES, width, k, x, stride, sums, rows,
                       &acc[0][(vector - begin) * SIMD_LANES]);
    }
}

/* Steps of rows of float activations, 16 at a time: see `ternary2_add_f32`. */
SIMD_INLINE void ternary5_add_f32(const uint8_t *w, int64_t pitch, int64_t steps, const float *x, int64_t stride,
                                  simd_float (*sum)[SIMD_STRIP], const int rows, const int width)
{
    const int chains = rows == 1 ? 2 : 1;
    for (int64_t begin = 0; begin < steps; begin += 16) {
        simd_float part[4][SIMD_STRIP][2];
        SIMD_UNROLL
        for (int i = 0; i < rows; i++) {
            SIMD_UNROLL
            for (int v = 0; v < width; v++) {
                part[i][v][0] = part[i][v][1] = simd_float_zero();
            }
        }
        const int64_t end = steps - begin < 16 ? steps : begin + 16;
        for (int64_t step = begin; step < end; step++, w += pitch, x += 20) {
            simd_bytes bits[SIMD_STRIP], fifth[SIMD_STRIP];
            SIMD_UNROLL
            for (int v = 0; v < width; v++) {
                simd_prefetch(w + v * SIMD_BYTES);
                bits[v] = ternary5_split(w + v * SIMD_BYTES, &fifth[v]);
            }
            SIMD_UNROLL
            for (int place = 0; place < 20; place++) {
                simd_float codes[SIMD_STRIP];
                SIMD_UNROLL
                for (int v = 0; v < width; v++) {
                    codes[v] = simd_trit_float(place % 5 == 4 ? fifth[v] : bits[v]);
                    if (place % 5 == 4) {
                        fifth[v] = simd_shift(fifth[v], 8);
                    } else {
                        bits[v] = simd_shift(bits[v], 2);
                    }
                }
                SIMD_UNROLL
                for (int i = 0; i < rows; i++) {
                    const simd_float spread = simd_float_set(x[i * stride + place % 5 * 4 + place / 5]);
                    SIMD_UNROLL
                    for (int v = 0; v < width; v++) {
                        part[i][v][place % chains] = simd_fma(codes[v], spread, part[i][v][place % chains]);
                    }
                }
            }
        }
        SIMD_UNROLL
        for (int i = 0; i < rows; i++) {
            SIMD_UNROLL
            for (int v = 0; v < width; v++) {
                sum[i][v] = simd_float_add(sum[i][v], simd_float_add(part[i][v][0], part[i][v][1]));
            }
        }
    }
}

SIMD_INLINE void ternary5_rows_f32(const uint8_t *w, int64_t pitch, int64_t k, const float *x, int64_t stride, float *acc,
                                   const int rows, const int width)
{
    simd_float sum[4][SIMD_STRIP];
    SIMD_UNROLL
    for (int i = 0; i < rows; i++) {
        SIMD_UNROLL
        for (int v = 0; v < width; v++) {
            sum[i][v] = simd_float_zero();
        }
    }
    ternary5_add_f32(w, pitch, k / 20, x, stride, sum, rows, width);
    if (k % 20 != 0) {
        float rest[4][20] = {{0}};
        for (int i = 0; i < rows; i++) {
            memcpy(rest[i], x + i * stride + k / 20 * 20, (size_t)(k % 20) * sizeof(float));
        }
        ternary5_add_f32(w + k / 20 * pitch, pitch, 1, rest[0], 20, sum, rows, width);
    }
    SIMD_UNROLL
    for (int i = 0; i < rows; i++) {
        SIMD_UNROLL
        for (int v = 0; v < width; v++) {
            simd_float_store(acc + i * TERNARY5_COLUMNS + v * SIMD_LANES, sum[i][v]);
        }
    }
}

static inline void ternary5_strip_f32(const uint8_t *w, int64_t width, int64_t k, const float *x, int64_t stride, int64_t rows,
                                      float *acc)
{
    const int64_t pitch = width * SIMD_BYTES;
    int64_t i = 0;
    for (; rows - i >= 4; i += 4) {
        int64_t v = 0;
        for (; v + 2 <= width; v += 2) {
            ternary5_rows_f32(w + v * SIMD_BYTES, pitch, k, x + i * stride, stride, acc + i * TERNARY5_COLUMNS + v * SIMD_LANES,
                              4, 2);
        }
        if (v < width) {
            ternary5_rows_f32(w + v * SIMD_BYTES, pitch, k, x + i * stride, stride, acc + i * TERNARY5_COLUMNS + v * SIMD_LANES,
                              4, 1);
        }
    }
    for (; i < rows; i++) {
        if (width == SIMD_STRIP) {
            ternary5_rows_f32(w, pitch, k, x + i * stride, stride, acc + i * TERNARY5_COLUMNS, 1, SIMD_STRIP);
        } else {
            for (int64_t v = 0; v < width; v++) {
                ternary5_rows_f32(w + v * SIMD_BYTES, pitch, k, x + i * stride, stride,
                                  acc + i * TERNARY5_COLUMNS + v * SIMD_LANES, 1, 1);
            }
        }
    }
}

static inline void ternary5_tile_f32(const uint8_t *packed, int64_t n, int64_t k, int64_t column, const float *x,
                                     int64_t stride, int64_t rows, float acc[][TERNARY5_COLUMNS])
{
    const int64_t steps = (k + 19) / 20, vectors = (n + 15) / 16 * 16 / SIMD_LANES;
    const int64_t begin = column / SIMD_LANES;
    for (int64_t vector = begin; vector < begin + TERNARY5_COLUMNS / SIMD_LANES && vector < vectors; vector += SIMD_STRIP) {
        const int64_t width = vectors - vector < SIMD_STRIP ? vectors - vector : SIMD_STRIP;
        ternary5_strip_f32(packed + vector * steps * SIMD_BYTES, width, k, x, stride, rows,
                           &acc[0][(vector - begin) * SIMD_LANES]);
    }
}
#endif
