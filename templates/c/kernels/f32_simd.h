/* The tiles of f32.h, with the vectors of f32_vectors.h. */
#if !defined(F32_PLAIN)
/*
 * Adds k steps to `rows` rows and `width` vectors of sums, which stay in registers. `last` is where the last vector begins:
 * it may overlap the one before. `more` says that acc has sums already.
 */
F32_INLINE void f32_block(const float *w, int64_t pitch, const int32_t *offsets, int64_t last, int64_t k, const float *x,
                          int64_t row, int64_t step, float *acc, bool more, const int rows, const int width)
{
    f32_vector sum[6][F32_WIDTH];
    F32_UNROLL
    for (int i = 0; i < rows; i++) {
        F32_UNROLL
        for (int v = 0; v < width; v++) {
            sum[i][v] = more ? f32_load(acc + i * F32_COLUMNS + (v == width - 1 ? last : v * F32_LANES)) : f32_set(0);
        }
    }
    const float *lower = rows > 3 ? x + 3 * row : x;
    for (int64_t t = 0; t < k; t++) {
        const float *from = w + (offsets ? offsets[t] : t * pitch);
        f32_vector weights[F32_WIDTH];
        F32_UNROLL
        for (int v = 0; v < width; v++) {
            weights[v] = f32_load(from + (v == width - 1 ? last : v * F32_LANES));
        }
        F32_UNROLL
        for (int i = 0; i < rows; i++) {
            const f32_vector factor = f32_set(i < 3 ? x[i * row + t * step] : lower[(i - 3) * row + t * step]);
            F32_UNROLL
            for (int v = 0; v < width; v++) {
                sum[i][v] = f32_fma(factor, weights[v], sum[i][v]);
            }
        }
    }
    F32_UNROLL
    for (int i = 0; i < rows; i++) {
        F32_UNROLL
        for (int v = 0; v < width; v++) {
            f32_store(acc + i * F32_COLUMNS + (v == width - 1 ? last : v * F32_LANES), sum[i][v]);
        }
    }
}

/* One row: several sums for each vector, so that additions need not wait for each other. */
F32_INLINE void f32_one(const float *w, int64_t pitch, const int32_t *offsets, int64_t last, int64_t k, const float *x,
                        int64_t step, float *acc, bool more, const int width)
{
    const int chains = width > 2 ? 2 : 4;
    f32_vector sum[4][F32_WIDTH];
    F32_UNROLL
    for (int v = 0; v < width; v++) {
        sum[0][v] = more ? f32_load(acc + (v == width - 1 ? last : v * F32_LANES)) : f32_set(0);
        sum[1][v] = sum[2][v] = sum[3][v] = f32_set(0);
    }
    int64_t t = 0;
    for (; t + chains <= k; t += chains) {
        F32_UNROLL
        for (int chain = 0; chain < chains; chain++) {
            const float *from = w + (offsets ? offsets[t + chain] : (t + chain) * pitch);
            const f32_vector factor = f32_set(x[(t + chain) * step]);
            F32_UNROLL
            for (int v = 0; v < width; v++) {
                if (!offsets && v * F32_LANES % 16 == 0) {
                    F32_PREFETCH(from + v * F32_LANES);
                }
                sum[chain][v] = f32_fma(factor, f32_load(from + (v == width - 1 ? last : v * F32_LANES)), sum[chain][v]);
            }
        }
    }
    for (; t < k; t++) {
        const float *from = w + (offsets ? offsets[t] : t * pitch);
        const f32_vector factor = f32_set(x[t * step]);
        F32_UNROLL
        for (int v = 0; v < width; v++) {
            sum[0][v] = f32_fma(factor, f32_load(from + (v == width - 1 ? last : v * F32_LANES)), sum[0][v]);
        }
    }
    F32_UNROLL
    for (int v = 0; v < width; v++) {
        const f32_vector low = f32_add(sum[0][v], sum[1][v]), high = f32_add(sum[2][v], sum[3][v]);
        f32_store(acc + (v == width - 1 ? last : v * F32_LANES), f32_add(low, high));
    }
}

/* All rows of one strip: six at a time; what remains in equal parts. */
F32_INLINE void f32_strip(const float *w, int64_t pitch, const int32_t *offsets, int64_t last, int64_t k, const float *x,
                          int64_t row, int64_t step, int64_t rows, float *acc, bool more, const int width)
{
    while (rows > 0) {
        const int64_t count = rows > 12 || rows == 6 ? 6 : rows > 6 ? (rows + 1) / 2 : rows;
        switch (count) {
        case 6: f32_block(w, pitch, offsets, last, k, x, row, step, acc, more, 6, width); break;
        case 5: f32_block(w, pitch, offsets, last, k, x, row, step, acc, more, 5, width); break;
        case 4: f32_block(w, pitch, offsets, last, k, x, row, step, acc, more, 4, width); break;
        case 3: f32_block(w, pitch, offsets, last, k, x, row, step, acc, more, 3, width); break;
        case 2: f32_block(w, pitch, offsets, last, k, x, row, step, acc, more, 2, width); break;
        default: f32_one(w, pitch, offsets, last, k, x, step, acc, more, width); break;
        }
        rows -= count;
        x += count * row;
        acc += count * F32_COLUMNS;
    }
}

/*
 * All strips of a tile of n <= F32_COLUMNS columns. Where a step leads from strip to strip, w is packed and its last vector full;
 * else the last vector begins where it must to end with column n, which may be in the strip before: that one's sums are
 * complete by then. They are taken F32_DEPTH steps at a time, so that what is read of x and w stays in the caches.
 */
#define F32_DEPTH 1024
F32_INLINE void f32_tile_any(const float *w, int64_t strip_pitch, int64_t pitch, const int32_t *offsets, int64_t n, int64_t k,
                             const float *x, int64_t row, int64_t step, int64_t rows, float acc[][F32_COLUMNS], const bool packed)
{
    if (k <= 0) {
        memset(acc, 0, (size_t)rows * sizeof *acc);
        return;
    }
    for (int64_t strip = 0; strip * F32_STRIP < n; strip++) {
        const int64_t rest = n - strip * F32_STRIP < F32_STRIP ? n - strip * F32_STRIP : F32_STRIP;
        const int64_t width = (rest + F32_LANES - 1) / F32_LANES;
        const int64_t last = packed ? (width - 1) * F32_LANES : rest - F32_LANES;
        const int64_t line = packed ? width * F32_LANES : pitch;
        float *sums = &acc[0][0] + strip * F32_STRIP;
        for (int64_t begin = 0; begin < k; begin += F32_DEPTH) {
            const int64_t depth = k - begin < F32_DEPTH ? k - begin : F32_DEPTH;
            const float *from = w + strip * strip_pitch + (offsets ? 0 : begin * line);
            const int32_t *places = offsets ? offsets + begin : offsets;
            const float *factors = x + begin * step;
            const bool more = begin > 0;
            switch (width) {
#if F32_WIDTH == 4
            case 4: f32_strip(from, line, places, last, depth, factors, row, step, rows, sums, more, 4); break;
            case 3: f32_strip(from, line, places, last, depth, factors, row, step, rows, sums, more, 3); break;
#endif
            case 2: f32_strip(from, line, places, last, depth, factors, row, step, rows, sums, more, 2); break;
            default: f32_strip(from, line, places, last, depth, factors, row, step, rows, sums, more, 1); break;
            }
        }
    }
}

static inline void f32_tile(const float *packed, int64_t n, int64_t k, int64_t column, const float *x, int64_t row, int64_t step,
                            int64_t rows, float acc[][F32_COLUMNS])
{
    const int64_t columns = n - column < F32_COLUMNS ? n - column : F32_COLUMNS, padded = (columns + 15) / 16 * 16;
    f32_tile_any(packed + column * k, F32_STRIP * k, 0, NULL, padded, k, x, row, step, rows, acc, true);
}

static inline void f32_tile_direct(const float *w, int64_t pitch, int64_t n, int64_t k, const float *x, int64_t row, int64_t step,
                                   int64_t rows, float acc[][F32_COLUMNS])
{
    if (n < F32_LANES) {
        f32_tile_plain(w, pitch, NULL, n, k, x, row, step, rows, acc);
    } else {
        f32_tile_any(w, F32_STRIP, pitch, NULL, n, k, x, row, step, rows, acc, false);
    }
}

static inline void f32_tile_offsets(const float *w, const int32_t *offsets, int64_t n, int64_t k, const float *x, int64_t row,
                                    int64_t rows, float acc[][F32_COLUMNS])
{
    if (n < F32_LANES) {
        f32_tile_plain(w, 0, offsets, n, k, x, row, 1, rows, acc);
    } else {
        f32_tile_any(w, F32_STRIP, 0, offsets, n, k, x, row, 1, rows, acc, false);
    }
}

/* Four rows of weights at once, so that what is read of x is shared and sums need not wait for each other. */
F32_INLINE void f32_dots_of(const float *weight, int64_t stride, int64_t k, const float *x, float *y, const int rows)
{
    f32_vector part[4][2];
    F32_UNROLL
    for (int j = 0; j < rows; j++) {
        part[j][0] = part[j][1] = f32_set(0);
    }
    int64_t t = 0;
    for (; t + 2 * F32_LANES <= k; t += 2 * F32_LANES) {
        const f32_vector low = f32_load(x + t), high = f32_load(x + t + F32_LANES);
        F32_UNROLL
        for (int j = 0; j < rows; j++) {
            part[j][0] = f32_fma(low, f32_load(weight + j * stride + t), part[j][0]);
            part[j][1] = f32_fma(high, f32_load(weight + j * stride + t + F32_LANES), part[j][1]);
        }
    }
    F32_UNROLL
    for (int j = 0; j < rows; j++) {
        y[j] = f32_across(f32_add(part[j][0], part[j][1]));
    }
    for (; t < k; t++) {
        F32_UNROLL
        for (int j = 0; j < rows; j++) {
            y[j] += x[t] * weight[j * stride + t];
        }
    }
}

static inline void f32_dots(const float *weight, int64_t stride, int64_t n, int64_t k, const float *x, float *y)
{
    int64_t j = 0;
    for (; j + 4 <= n; j += 4) {
        f32_dots_of(weight + j * stride, stride, k, x, y + j, 4);
    }
    for (; j < n; j++) {
        f32_dots_of(weight + j * stride, stride, k, x, y + j, 1);
    }
}
#endif
