/* The tiles of depthwise.h, with the vectors of f32_vectors.h where these can be read in part. */
#if defined(F32_PARTIAL)
#define DEPTHWISE_ROWS 4 /* of outputs, that share what is read */

/* One vector of columns in DEPTHWISE_ROWS rows, for a square window without dilation. Rows of the image are read once. */
F32_INLINE void depthwise_square(const depthwise *at, const float *image, const float *weight, int64_t row, int64_t rows,
                                 int64_t column, float *acc, const int kernel, const int stride)
{
    f32_vector sum[DEPTHWISE_ROWS];
    F32_UNROLL
    for (int i = 0; i < DEPTHWISE_ROWS; i++) {
        sum[i] = f32_set(0);
    }
    const int64_t top = row * stride - at->padding_y, left = column * stride - at->padding_x;
    f32_mask lanes[6], further[6];
    F32_UNROLL
    for (int x = 0; x < kernel; x += stride) {
        lanes[x] = f32_lanes(left + x, at->width);
        further[x] = f32_lanes(left + x + F32_LANES, at->width);
    }
    F32_UNROLL
    for (int y = 0; y < (DEPTHWISE_ROWS - 1) * stride + kernel; y++) {
        if (top + y < 0 || top + y >= at->height) {
            continue;
        }
        const uintptr_t from = (uintptr_t)image + (uintptr_t)(((top + y) * at->width + left) * (int64_t)sizeof *image);
        f32_vector taps[6];
        F32_UNROLL
        for (int x = 0; x < kernel; x += stride) {
            taps[x] = f32_load_part(from + (uintptr_t)x * sizeof *image, lanes[x]);
            if (stride == 2) {
                const f32_vector a = taps[x];
                const f32_vector b = f32_load_part(from + (uintptr_t)(x + F32_LANES) * sizeof *image, further[x]);
                taps[x] = f32_even(a, b);
                taps[x + 1] = f32_odd(a, b);
            }
        }
        F32_UNROLL
        for (int i = 0; i < DEPTHWISE_ROWS; i++) {
            const int tap_y = y - i * stride;
            if (tap_y >= 0 && tap_y < kernel) {
                F32_UNROLL
                for (int x = 0; x < kernel; x++) {
                    sum[i] = f32_fma(f32_set(weight[tap_y * kernel + x]), taps[x], sum[i]);
                }
            }
        }
    }
    F32_UNROLL
    for (int i = 0; i < DEPTHWISE_ROWS; i++) {
        if (i < rows) {
            f32_store(acc + i * F32_COLUMNS, sum[i]);
        }
    }
}

/*
 * `width` vectors of columns in one row, for any window whose outputs neighbour each other as their elements do. `inside` says
 * that no tap lies in the padding to the left or right.
 */
F32_INLINE void depthwise_line(const depthwise *at, const float *image, const float *weight, int64_t row, int64_t column,
                               float *acc, const bool inside, const int width)
{
    f32_vector sum[4];
    F32_UNROLL
    for (int v = 0; v < width; v++) {
        sum[v] = f32_set(0);
    }
    for (int64_t tap_y = 0; tap_y < at->kernel_height; tap_y++) {
        const int64_t y = row * at->stride_y + tap_y * at->dilation_y - at->padding_y;
        if (y < 0 || y >= at->height) {
            continue;
        }
        for (int64_t tap_x = 0; tap_x < at->kernel_width; tap_x++) {
            const f32_vector factor = f32_set(weight[tap_y * at->kernel_width + tap_x]);
            F32_UNROLL
            for (int v = 0; v < width; v++) {
                const int64_t x = column + v * F32_LANES + tap_x * at->dilation_x - at->padding_x;
                const uintptr_t from = (uintptr_t)image + (uintptr_t)((y * at->width + x) * (int64_t)sizeof *image);
                const f32_vector taps = inside ? f32_load(image + y * at->width + x)
                                               : f32_load_part(from, f32_lanes(x, at->width));
                sum[v] = f32_fma(factor, taps, sum[v]);
            }
        }
    }
    F32_UNROLL
    for (int v = 0; v < width; v++) {
        f32_store(acc + v * F32_LANES, sum[v]);
    }
}

/* All columns of one row: four vectors at once where that is possible. */
static inline void depthwise_row(const depthwise *at, const float *image, const float *weight, int64_t row, int64_t column,
                                 int64_t columns, float *acc)
{
    const int64_t reach = (at->kernel_width - 1) * at->dilation_x;
    for (int64_t j = 0; j < columns;) {
        const int64_t left = column + j - at->padding_x;
        if (left >= 0 && left + reach + 4 * F32_LANES <= at->width && j + 4 * F32_LANES <= F32_COLUMNS) {
            depthwise_line(at, image, weight, row, column + j, acc + j, true, 4);
            j += 4 * F32_LANES;
        } else {
            depthwise_line(at, image, weight, row, column + j, acc + j, false, 1);
            j += F32_LANES;
        }
    }
}

static inline void depthwise_tile(const depthwise *at, const float *image, const float *weight, int64_t row, int64_t rows,
                                  int64_t column, int64_t columns, float acc[][F32_COLUMNS])
{
    const bool square = at->kernel_height == at->kernel_width && at->stride_y == at->stride_x && at->stride_x <= 2 &&
                        at->dilation_y == 1 && at->dilation_x == 1 && (at->kernel_width == 3 || at->kernel_width == 5);
    if (!square && at->stride_x != 1) {
        depthwise_tile_plain(at, image, weight, row, rows, column, columns, acc);
        return;
    }
    for (int64_t i = 0; i < rows && !square; i++) {
        depthwise_row(at, image, weight, row + i, column, columns, acc[i]);
    }
    for (int64_t i = 0; i < rows && square; i += DEPTHWISE_ROWS) {
        for (int64_t j = 0; j < columns; j += F32_LANES) {
            const int64_t y = row + i, x = column + j;
            switch (at->kernel_width * 2 + at->stride_x) {
            case 7: depthwise_square(at, image, weight, y, rows - i, x, acc[i] + j, 3, 1); break;
            case 8: depthwise_square(at, image, weight, y, rows - i, x, acc[i] + j, 3, 2); break;
            case 11: depthwise_square(at, image, weight, y, rows - i, x, acc[i] + j, 5, 1); break;
            default: depthwise_square(at, image, weight, y, rows - i, x, acc[i] + j, 5, 2); break;
            }
        }
    }
}
#endif
