/*
 * Depthwise convolutions of float32 images: each channel by itself. Needs f32.h.
 *
 *     acc[i][j] = output (row + i, column + j)        i < rows <= F32_ROWS, j < columns <= F32_COLUMNS
 *
 * of the plane image[height, width] with weight[kernel_height, kernel_width]. Elements of acc beyond `columns` may hold
 * anything. A one-dimensional convolution has height 1. Nothing is copied: vectors at the borders are read in part.
 */
typedef struct {
    int64_t height, width;
    int64_t kernel_height, kernel_width, stride_y, stride_x, padding_y, padding_x, dilation_y, dilation_x;
} depthwise;

/* Any window, without vectors. */
static inline void depthwise_tile_plain(const depthwise *at, const float *image, const float *weight, int64_t row, int64_t rows,
                                        int64_t column, int64_t columns, float acc[][F32_COLUMNS])
{
    for (int64_t i = 0; i < rows; i++) {
        memset(acc[i], 0, sizeof acc[i]);
        for (int64_t tap_y = 0; tap_y < at->kernel_height; tap_y++) {
            const int64_t y = (row + i) * at->stride_y + tap_y * at->dilation_y - at->padding_y;
            if (y < 0 || y >= at->height) {
                continue;
            }
            for (int64_t tap_x = 0; tap_x < at->kernel_width; tap_x++) {
                const float factor = weight[tap_y * at->kernel_width + tap_x];
                const int64_t left = tap_x * at->dilation_x - at->padding_x + column * at->stride_x;
                for (int64_t j = 0; j < columns; j++) {
                    const int64_t x = left + j * at->stride_x;
                    if (x >= 0 && x < at->width) {
                        acc[i][j] += factor * image[y * at->width + x];
                    }
                }
            }
        }
    }
}

#if defined(F32_AVX512) || defined(F32_AVX2)
#define DEPTHWISE_ROWS 4 /* of outputs, that share what is read */

#if defined(F32_AVX512)
typedef __mmask16 depthwise_mask;
/* Lanes l with 0 <= first + l < width. */
F32_INLINE depthwise_mask depthwise_lanes(int64_t first, int64_t width)
{
    const int64_t low = first < 0 ? -first : 0, high = width - first;
    const uint32_t above = low > 15 ? 0 : 0xFFFFu << low, below = high > 15 ? 0xFFFFu : high < 1 ? 0 : 0xFFFFu >> (16 - high);
    return (depthwise_mask)(above & below);
}
/* `from` may lie outside the image: lanes that the mask leaves out are zero and not read. */
F32_INLINE f32_vector depthwise_load(uintptr_t from, depthwise_mask mask)
{
    return _mm512_maskz_loadu_ps(mask, (const void *)from);
}
F32_INLINE f32_vector depthwise_even(f32_vector a, f32_vector b)
{
    const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    return _mm512_permutex2var_ps(a, even, b);
}
F32_INLINE f32_vector depthwise_odd(f32_vector a, f32_vector b)
{
    const __m512i odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
    return _mm512_permutex2var_ps(a, odd, b);
}
#else
typedef __m256i depthwise_mask;
F32_INLINE depthwise_mask depthwise_lanes(int64_t first, int64_t width)
{
    const int64_t high = width - first;
    const int low = first < -8 ? 8 : (int)-first, end = high > 8 ? 8 : high < 0 ? 0 : (int)high;
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const __m256i below = _mm256_cmpgt_epi32(_mm256_set1_epi32(end), lane);
    return _mm256_andnot_si256(_mm256_cmpgt_epi32(_mm256_set1_epi32(low < 0 ? 0 : low), lane), below);
}
F32_INLINE f32_vector depthwise_load(uintptr_t from, depthwise_mask mask)
{
    return _mm256_maskload_ps((const float *)from, mask);
}
F32_INLINE f32_vector depthwise_even(f32_vector a, f32_vector b)
{
    return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(_mm256_shuffle_ps(a, b, 0x88)), 0xD8));
}
F32_INLINE f32_vector depthwise_odd(f32_vector a, f32_vector b)
{
    return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(_mm256_shuffle_ps(a, b, 0xDD)), 0xD8));
}
#endif

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
    depthwise_mask lanes[6], further[6];
    F32_UNROLL
    for (int x = 0; x < kernel; x += stride) {
        lanes[x] = depthwise_lanes(left + x, at->width);
        further[x] = depthwise_lanes(left + x + F32_LANES, at->width);
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
            taps[x] = depthwise_load(from + (uintptr_t)x * sizeof *image, lanes[x]);
            if (stride == 2) {
                const f32_vector a = taps[x];
                const f32_vector b = depthwise_load(from + (uintptr_t)(x + F32_LANES) * sizeof *image, further[x]);
                taps[x] = depthwise_even(a, b);
                taps[x + 1] = depthwise_odd(a, b);
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

/* One vector of columns in one row, for any window whose outputs neighbour each other as their elements do. */
F32_INLINE void depthwise_line(const depthwise *at, const float *image, const float *weight, int64_t row, int64_t column,
                               float *acc)
{
    f32_vector sum = f32_set(0);
    for (int64_t tap_y = 0; tap_y < at->kernel_height; tap_y++) {
        const int64_t y = row * at->stride_y + tap_y * at->dilation_y - at->padding_y;
        if (y < 0 || y >= at->height) {
            continue;
        }
        for (int64_t tap_x = 0; tap_x < at->kernel_width; tap_x++) {
            const int64_t x = column + tap_x * at->dilation_x - at->padding_x;
            const uintptr_t from = (uintptr_t)image + (uintptr_t)((y * at->width + x) * (int64_t)sizeof *image);
            const f32_vector factor = f32_set(weight[tap_y * at->kernel_width + tap_x]);
            sum = f32_fma(factor, depthwise_load(from, depthwise_lanes(x, at->width)), sum);
        }
    }
    f32_store(acc, sum);
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
    const int64_t kind = square ? at->kernel_width * 2 + at->stride_x : 0;
    for (int64_t i = 0; i < rows; i += kind ? DEPTHWISE_ROWS : 1) {
        for (int64_t j = 0; j < columns; j += F32_LANES) {
            const int64_t y = row + i, x = column + j;
            switch (kind) {
            case 7: depthwise_square(at, image, weight, y, rows - i, x, acc[i] + j, 3, 1); break;
            case 8: depthwise_square(at, image, weight, y, rows - i, x, acc[i] + j, 3, 2); break;
            case 11: depthwise_square(at, image, weight, y, rows - i, x, acc[i] + j, 5, 1); break;
            case 12: depthwise_square(at, image, weight, y, rows - i, x, acc[i] + j, 5, 2); break;
            default: depthwise_line(at, image, weight, y, x, acc[i] + j); break;
            }
        }
    }
}
#else
static inline void depthwise_tile(const depthwise *at, const float *image, const float *weight, int64_t row, int64_t rows,
                                  int64_t column, int64_t columns, float acc[][F32_COLUMNS])
{
    depthwise_tile_plain(at, image, weight, row, rows, column, columns, acc);
}
#endif
