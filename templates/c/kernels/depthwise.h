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
                const int64_t left = tap_x * at->dilation_x - at->padding_x + column * at->stride_x, right = at->width - left;
                const int64_t begin = left < 0 ? (at->stride_x - 1 - left) / at->stride_x : 0;
                const int64_t behind = right > 0 ? (right + at->stride_x - 1) / at->stride_x : 0;
                const int64_t end = behind < columns ? behind : columns;
                const float *line = image + y * at->width;
                if (at->stride_x == 1) {
                    for (int64_t j = begin; j < end; j++) {
                        acc[i][j] += factor * line[left + j];
                    }
                } else {
                    for (int64_t j = begin; j < end; j++) {
                        acc[i][j] += factor * line[left + j * at->stride_x];
                    }
                }
            }
        }
    }
}

#if !defined(F32_PARTIAL)
static inline void depthwise_tile(const depthwise *at, const float *image, const float *weight, int64_t row, int64_t rows,
                                  int64_t column, int64_t columns, float acc[][F32_COLUMNS])
{
    depthwise_tile_plain(at, image, weight, row, rows, column, columns, acc);
}
#endif
