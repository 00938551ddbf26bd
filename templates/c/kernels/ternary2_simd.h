#if !defined(SIMD_PLAIN)
/*
 * Columns are rounded up to 16 and k to 16, with code 0. A strip holds SIMD_STRIP vectors of columns (the last strip maybe
 * fewer), and for each step of 16 indices one vector for each of them. In a lane, byte b has the codes + 1 of indices b, 4 + b,
 * 8 + b and 12 + b of the step, from the low bits up. So four neighbouring activations, spread over all lanes, meet one mask.
 */
static inline bool ternary2_pack(const uint8_t *portable, int64_t n, int64_t k, uint8_t *packed)
{
    const int64_t row_bytes = (k + 3) / 4, steps = (k + 15) / 16, vectors = (n + 15) / 16 * 16 / SIMD_LANES;
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
                            code = portable[column * row_bytes + t / 4] >> (t % 4 * 2) & 3;
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

/*
 * Steps of one row of x, added to low and high. w: the first of `width` vectors; those of the next step follow after `pitch`
 * bytes. Two fields of four are used where they lie, four times too large, and have sums of their own: one shift is enough.
 * Narrow sums: `high` gets two dots a step, each of two products of at most 8 * 127 or 8 * -128: -32768 to 32512 in 8 steps.
 */
SIMD_INLINE void ternary2_add_one(const uint8_t *w, int64_t pitch, int64_t steps, const int8_t *x, simd_int *low,
                                  simd_int *high, const int width)
{
    for (int64_t begin = 0; begin < steps; begin += SIMD_STEPS) {
        simd_narrow low_part[SIMD_STRIP], high_part[SIMD_STRIP];
        SIMD_UNROLL
        for (int v = 0; v < width; v++) {
            low_part[v] = high_part[v] = simd_narrow_zero();
        }
        const int64_t end = steps - begin < SIMD_STEPS ? steps : begin + SIMD_STEPS;
        for (int64_t step = begin; step < end; step++, w += pitch, x += 16) {
            const simd_four x0 = simd_spread(x), x1 = simd_spread(x + 4), x2 = simd_spread(x + 8), x3 = simd_spread(x + 12);
            SIMD_UNROLL
            for (int v = 0; v < width; v++) {
                if (v * SIMD_BYTES % 64 == 0) {
                    simd_prefetch(w + v * SIMD_BYTES);
                }
                const simd_bytes even = simd_load(w + v * SIMD_BYTES), odd = simd_shift(even, 4);
                low_part[v] = simd_dot(low_part[v], simd_mask(even, 3), x0);
                high_part[v] = simd_dot(high_part[v], simd_mask(even, 12), x1);
                low_part[v] = simd_dot(low_part[v], simd_mask(odd, 3), x2);
                high_part[v] = simd_dot(high_part[v], simd_mask(odd, 12), x3);
            }
        }
        SIMD_UNROLL
        for (int v = 0; v < width; v++) {
            low[v] = simd_widen(low[v], low_part[v]);
            high[v] = simd_widen(high[v], high_part[v]);
        }
    }
}

SIMD_INLINE void ternary2_one(const uint8_t *w, int64_t pitch, int64_t k, const int8_t *x, int32_t sum, int32_t *acc,
                              const int width)
{
    simd_int low[SIMD_STRIP], high[SIMD_STRIP];
    SIMD_UNROLL
    for (int v = 0; v < width; v++) {
        low[v] = simd_set(-sum);
        high[v] = simd_set(0);
    }
    ternary2_add_one(w, pitch, k / 16, x, low, high, width);
    if (k % 16 != 0) {
        int8_t rest[16] = {0};
        memcpy(rest, x + k / 16 * 16, (size_t)(k % 16));
        ternary2_add_one(w + k / 16 * pitch, pitch, 1, rest, low, high, width);
    }
    SIMD_UNROLL
    for (int v = 0; v < width; v++) {
        simd_store(acc + v * SIMD_LANES, simd_add(low[v], simd_shift_signed(high[v], 2)));
    }
}

/*
 * Steps of several rows of x. All fields are shifted to the bottom, which many rows share, so that one sum is enough.
 * Narrow sums: four dots a step, each of two products of at most 2 * 127 or 2 * -128: -16384 to 16256 in 8 steps.
 */
SIMD_INLINE void ternary2_add_rows(const uint8_t *w, int64_t pitch, int64_t steps, const int8_t *x, int64_t stride,
                                   simd_int (*sum)[2], const int rows, const int width)
{
    for (int64_t begin = 0; begin < steps; begin += SIMD_STEPS) {
        simd_narrow part[SIMD_ROWS][2];
        SIMD_UNROLL
        for (int i = 0; i < rows; i++) {
            SIMD_UNROLL
            for (int v = 0; v < width; v++) {
                part[i][v] = simd_narrow_zero();
            }
        }
        const int64_t end = steps - begin < SIMD_STEPS ? steps : begin + SIMD_STEPS;
        for (int64_t step = begin; step < end; step++, w += pitch, x += 16) {
            simd_bytes all[2];
            SIMD_UNROLL
            for (int v = 0; v < width; v++) {
                all[v] = simd_load(w + v * SIMD_BYTES);
            }
            SIMD_UNROLL
            for (int field = 0; field < 4; field++) {
                simd_bytes codes[2];
                SIMD_UNROLL
                for (int v = 0; v < width; v++) {
                    codes[v] = simd_mask(all[v], 3);
                    all[v] = simd_shift(all[v], 2);
                }
                SIMD_UNROLL
                for (int i = 0; i < rows; i++) {
                    const simd_four four = simd_spread(x + i * stride + field * 4);
                    SIMD_UNROLL
                    for (int v = 0; v < width; v++) {
                        part[i][v] = simd_dot(part[i][v], codes[v], four);
                    }
                }
            }
        }
        SIMD_UNROLL
        for (int i = 0; i < rows; i++) {
            SIMD_UNROLL
            for (int v = 0; v < width; v++) {
                sum[i][v] = simd_widen(sum[i][v], part[i][v]);
            }
        }
    }
}

SIMD_INLINE void ternary2_rows(const uint8_t *w, int64_t pitch, int64_t k, const int8_t *x, int64_t stride, const int32_t *sums,
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
    ternary2_add_rows(w, pitch, k / 16, x, stride, sum, rows, width);
    if (k % 16 != 0) {
        int8_t rest[SIMD_ROWS][16] = {{0}};
        for (int i = 0; i < rows; i++) {
            memcpy(rest[i], x + i * stride + k / 16 * 16, (size_t)(k % 16));
        }
        ternary2_add_rows(w + k / 16 * pitch, pitch, 1, rest[0], 16, sum, rows, width);
    }
    SIMD_UNROLL
    for (int i = 0; i < rows; i++) {
        SIMD_UNROLL
        for (int v = 0; v < width; v++) {
            simd_store(acc + i * TERNARY2_COLUMNS + v * SIMD_LANES, sum[i][v]);
        }
    }
}

/* A number of rows that is known, of the columns of one strip. */
SIMD_INLINE void ternary2_block(const uint8_t *w, int64_t width, int64_t k, const int8_t *x, int64_t stride,
                                const int32_t *sums, int32_t *acc, const int rows)
{
    int64_t v = 0;
    for (; v + 2 <= width; v += 2) {
        ternary2_rows(w + v * SIMD_BYTES, width * SIMD_BYTES, k, x, stride, sums, acc + v * SIMD_LANES, rows, 2);
    }
    if (v < width) {
        ternary2_rows(w + v * SIMD_BYTES, width * SIMD_BYTES, k, x, stride, sums, acc + v * SIMD_LANES, rows, 1);
    }
}

static inline void ternary2_strip(const uint8_t *w, int64_t width, int64_t k, const int8_t *x, int64_t stride,
                                  const int32_t *sums, int64_t rows, int32_t *acc)
{
    int64_t i = 0;
    for (; rows - i >= SIMD_ROWS; i += SIMD_ROWS) {
        ternary2_block(w, width, k, x + i * stride, stride, sums + i, acc + i * TERNARY2_COLUMNS, SIMD_ROWS);
    }
    if (SIMD_ROWS > 4 && rows - i >= 4) {
        ternary2_block(w, width, k, x + i * stride, stride, sums + i, acc + i * TERNARY2_COLUMNS, 4);
        i += 4;
    }
    if (rows - i >= 2) {
        ternary2_block(w, width, k, x + i * stride, stride, sums + i, acc + i * TERNARY2_COLUMNS, 2);
        i += 2;
    }
    if (i < rows && width == SIMD_STRIP) {
        ternary2_one(w, width * SIMD_BYTES, k, x + i * stride, sums[i], acc + i * TERNARY2_COLUMNS, SIMD_STRIP);
    } else if (i < rows) {
        for (int64_t v = 0; v < width; v++) {
            ternary2_one(w + v * SIMD_BYTES, width * SIMD_BYTES, k, x + i * stride, sums[i],
                         acc + i * TERNARY2_COLUMNS + v * SIMD_LANES, 1);
        }
    }
}

static inline void ternary2_tile(const uint8_t *packed, int64_t n, int64_t k, int64_t column, const int8_t *x, int64_t stride,
                                 const int32_t *sums, int64_t rows, int32_t acc[][TERNARY2_COLUMNS])
{
    const int64_t steps = (k + 15) / 16, vectors = (n + 15) / 16 * 16 / SIMD_LANES;
    const int64_t begin = column / SIMD_LANES;
    for (int64_t vector = begin; vector < begin + TERNARY2_COLUMNS / SIMD_LANES && vector < vectors; vector += SIMD_STRIP) {
        const int64_t width = vectors - vector < SIMD_STRIP ? vectors - vector : SIMD_STRIP;
        ternary2_strip(packed + vector * steps * SIMD_BYTES, width, k, x, stride, sums, rows,
                       &acc[0][(vector - begin) * SIMD_LANES]);
    }
}

#if defined(SIMD_TRIT_SUMS)
/*
 * Steps of one row of float activations, two codes at a time: a table of what they can add serves all columns. Sums of 16
 * steps are taken in two chains.
 */
SIMD_INLINE void ternary2_add_one_f32(const uint8_t *w, int64_t pitch, int64_t steps, const float *x, simd_float *sum,
                                      const int width)
{
    for (int64_t begin = 0; begin < steps; begin += 16) {
        simd_float part[SIMD_STRIP][2];
        SIMD_UNROLL
        for (int v = 0; v < width; v++) {
            part[v][0] = part[v][1] = simd_float_zero();
        }
        const int64_t end = steps - begin < 16 ? steps : begin + 16;
        for (int64_t step = begin; step < end; step++, w += pitch, x += 16) {
            simd_bytes bits[SIMD_STRIP];
            SIMD_UNROLL
            for (int v = 0; v < width; v++) {
                simd_prefetch(w + v * SIMD_BYTES);
                bits[v] = simd_load(w + v * SIMD_BYTES);
            }
            SIMD_UNROLL
            for (int pair = 0; pair < 8; pair++) {
                const float *first = x + pair % 2 * 8 + pair / 2;
                const simd_float sums = simd_trit_sums(first[0], first[4]);
                SIMD_UNROLL
                for (int v = 0; v < width; v++) {
                    part[v][pair % 2] = simd_float_add(part[v][pair % 2], simd_trit_sum(bits[v], sums));
                    bits[v] = simd_shift(bits[v], 4);
                }
            }
        }
        SIMD_UNROLL
        for (int v = 0; v < width; v++) {
            sum[v] = simd_float_add(sum[v], simd_float_add(part[v][0], part[v][1]));
        }
    }
}
#endif

/*
 * Steps of rows of float activations. What 16 steps add is summed first, by indices of one parity where there is one row:
 * more chains, and less rounding than one long sum has.
 */
SIMD_INLINE void ternary2_add_f32(const uint8_t *w, int64_t pitch, int64_t steps, const float *x, int64_t stride,
                                  simd_float (*sum)[SIMD_STRIP], const int rows, const int width)
{
#if defined(SIMD_TRIT_SUMS)
    if (rows == 1) {
        ternary2_add_one_f32(w, pitch, steps, x, sum[0], width);
        return;
    }
#endif
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
        for (int64_t step = begin; step < end; step++, w += pitch, x += 16) {
            simd_bytes bits[SIMD_STRIP];
            SIMD_UNROLL
            for (int v = 0; v < width; v++) {
                if (v * SIMD_BYTES % 64 == 0) {
                    simd_prefetch(w + v * SIMD_BYTES);
                }
                bits[v] = simd_load(w + v * SIMD_BYTES);
            }
            SIMD_UNROLL
            for (int place = 0; place < 16; place++) {
                simd_float codes[SIMD_STRIP];
                SIMD_UNROLL
                for (int v = 0; v < width; v++) {
                    codes[v] = simd_trit_float(bits[v]);
                    bits[v] = simd_shift(bits[v], 2);
                }
                SIMD_UNROLL
                for (int i = 0; i < rows; i++) {
                    const simd_float spread = simd_float_set(x[i * stride + place % 4 * 4 + place / 4]);
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

SIMD_INLINE void ternary2_rows_f32(const uint8_t *w, int64_t pitch, int64_t k, const float *x, int64_t stride, float *acc,
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
    ternary2_add_f32(w, pitch, k / 16, x, stride, sum, rows, width);
    if (k % 16 != 0) {
        float rest[4][16] = {{0}};
        for (int i = 0; i < rows; i++) {
            memcpy(rest[i], x + i * stride + k / 16 * 16, (size_t)(k % 16) * sizeof(float));
        }
        ternary2_add_f32(w + k / 16 * pitch, pitch, 1, rest[0], 16, sum, rows, width);
    }
    SIMD_UNROLL
    for (int i = 0; i < rows; i++) {
        SIMD_UNROLL
        for (int v = 0; v < width; v++) {
            simd_float_store(acc + i * TERNARY2_COLUMNS + v * SIMD_LANES, sum[i][v]);
        }
    }
}

static inline void ternary2_strip_f32(const uint8_t *w, int64_t width, int64_t k, const float *x, int64_t stride, int64_t rows,
                                      float *acc)
{
    const int64_t pitch = width * SIMD_BYTES;
    int64_t i = 0;
    for (; rows - i >= 4; i += 4) {
        int64_t v = 0;
        for (; v + 2 <= width; v += 2) {
            ternary2_rows_f32(w + v * SIMD_BYTES, pitch, k, x + i * stride, stride, acc + i * TERNARY2_COLUMNS + v * SIMD_LANES,
                              4, 2);
        }
        if (v < width) {
            ternary2_rows_f32(w + v * SIMD_BYTES, pitch, k, x + i * stride, stride, acc + i * TERNARY2_COLUMNS + v * SIMD_LANES,
                              4, 1);
        }
    }
    for (; i < rows; i++) {
        if (width == SIMD_STRIP) {
            ternary2_rows_f32(w, pitch, k, x + i * stride, stride, acc + i * TERNARY2_COLUMNS, 1, SIMD_STRIP);
        } else {
            for (int64_t v = 0; v < width; v++) {
                ternary2_rows_f32(w + v * SIMD_BYTES, pitch, k, x + i * stride, stride,
                                  acc + i * TERNARY2_COLUMNS + v * SIMD_LANES, 1, 1);
            }
        }
    }
}

static inline void ternary2_tile_f32(const uint8_t *packed, int64_t n, int64_t k, int64_t column, const float *x,
                                     int64_t stride, int64_t rows, float acc[][TERNARY2_COLUMNS])
{
    const int64_t steps = (k + 15) / 16, vectors = (n + 15) / 16 * 16 / SIMD_LANES;
    const int64_t begin = column / SIMD_LANES;
    for (int64_t vector = begin; vector < begin + TERNARY2_COLUMNS / SIMD_LANES && vector < vectors; vector += SIMD_STRIP) {
        const int64_t width = vectors - vector < SIMD_STRIP ? vectors - vector : SIMD_STRIP;
        ternary2_strip_f32(packed + vector * steps * SIMD_BYTES, width, k, x, stride, rows,
                           &acc[0][(vector - begin) * SIMD_LANES]);
    }
}
#endif
