/*
 * Convolutions of float32 images [channels, height, width], as products of the weight [outputs, channels * taps] with the
 * image shifted to each tap. A one-dimensional convolution has height 1. Needs f32.h.
 *
 * One image and one group of channels at a time:
 *
 *     const conv2d plan = conv2d_plan((conv2d){.channels = ..., .height = ..., ...});
 *     conv2d_offsets(&plan, offsets);                                    offsets: CONV2D_OFFSETS of int32_t
 *     for (int64_t band = 0; band < plan.out_height; band += plan.band_rows) {
 *         const float *from = conv2d_band(&plan, x, band, scratch);      scratch: conv2d_scratch_floats of float
 *         for (int64_t block = 0; block < conv2d_blocks(&plan, band); block++) {
 *             const conv2d_block at = conv2d_block_at(&plan, band, block);
 *             for (int64_t o = 0; o < outputs; o += F32_ROWS) {
 *                 const int64_t rows = outputs - o < F32_ROWS ? outputs - o : F32_ROWS;
 *                 conv2d_tile(&plan, offsets, from, at, weight + o * plan.depth, rows, acc);
 *                 acc[i][j] is output o + i at place at.position + j of the plane, for j < at.count
 *
 * A band is some rows of the image with the padding around them. With a stride it is cut into phases, so that the elements
 * that neighbouring outputs take from one tap are neighbours: element (y, x) of the padded image is at
 * (y / stride_y, x / stride_x) of phase (y % stride_y, x % stride_x). Then a tap is an offset, and a block of up to
 * F32_COLUMNS outputs reads as many elements behind it. Between two rows of outputs lie places that are none;
 * `conv2d_tile` computes them and closes the gaps.
 */
typedef struct {
    /* What a caller gives: channels of the group, and the window. */
    int64_t channels, height, width;
    int64_t kernel_height, kernel_width, stride_y, stride_x, padding_y, padding_x, dilation_y, dilation_x;
    /* What conv2d_plan adds. */
    int64_t out_height, out_width;
    int64_t depth;              /* channels * kernel_height * kernel_width: a row of the weight */
    bool in_place;              /* the image can be read where it lies */
    int64_t phases_y, phases_x; /* of which taps are taken */
    int64_t pitch, phase;       /* floats of a row and of a phase of a band */
    int64_t plane;              /* floats of a channel of a band */
    int64_t band_rows;          /* rows of outputs that a band is for */
} conv2d;

/* A block of outputs. */
typedef struct {
    int64_t position, count;     /* in the plane of outputs */
    int64_t start, columns;      /* what is computed, from the start of the band */
    int64_t first;               /* the first column that is an output of this block */
    uint64_t outputs;            /* a bit for each column that is one; 0: no gaps */
} conv2d_block;

/* Floats that the scratch for a band may have, where more than the fewest rows fit into it. */
#define CONV2D_BAND 65536
/* Zeros behind a band: those after its last row, and what is read for nothing. */
#define CONV2D_BEHIND(padding_x) (F32_COLUMNS + (padding_x))
/* Columns are computed in vectors of at most as many. */
#define CONV2D_VECTOR 16
#define CONV2D_OFFSETS(channels, kernel_height, kernel_width) ((channels) * (kernel_height) * (kernel_width))

static inline conv2d conv2d_plan(conv2d plan)
{
    const int64_t reach_y = (plan.kernel_height - 1) * plan.dilation_y, reach_x = (plan.kernel_width - 1) * plan.dilation_x;
    plan.depth = plan.channels * plan.kernel_height * plan.kernel_width;
    const bool as_it_lies = plan.padding_y == 0 && plan.padding_x == 0 && plan.stride_y == 1 && plan.stride_x == 1;
    if (as_it_lies && reach_y == 0 && reach_x == 0) {
        plan.width *= plan.height; /* rows need not be told apart */
        plan.height = 1;
    }
    plan.out_height = (plan.height + 2 * plan.padding_y - reach_y - 1) / plan.stride_y + 1;
    plan.out_width = (plan.width + 2 * plan.padding_x - reach_x - 1) / plan.stride_x + 1;
    plan.phases_y = reach_y + 1 < plan.stride_y ? reach_y + 1 : plan.stride_y;
    plan.phases_x = reach_x + 1 < plan.stride_x ? reach_x + 1 : plan.stride_x;
    plan.pitch = plan.out_width + reach_x / plan.stride_x;
    if (plan.stride_x == 1) {
        /* Zeros after a row are those before the next. */
        plan.pitch -= plan.padding_x < reach_x ? plan.padding_x : reach_x;
    }
    plan.in_place = as_it_lies && (plan.out_height - 1) * plan.pitch + plan.out_width >= CONV2D_VECTOR;
    if (plan.in_place) {
        plan.phase = plan.plane = plan.height * plan.width;
        plan.band_rows = plan.out_height;
        return plan;
    }
    const int64_t phases = plan.phases_y * plan.phases_x, margin = reach_y / plan.stride_y;
    const int64_t few = F32_COLUMNS / plan.pitch + 1, fit = CONV2D_BAND / (plan.channels * plan.pitch * phases) - margin;
    plan.band_rows = fit > few ? fit : few;
    if (plan.band_rows > plan.out_height) {
        plan.band_rows = plan.out_height;
    }
    plan.phase = plan.pitch * (plan.band_rows + margin);
    plan.plane = plan.phase * phases;
    return plan;
}

/* Floats of the scratch for a band. */
static inline int64_t conv2d_scratch_floats(const conv2d *plan)
{
    return plan->in_place ? 0 : plan->channels * plan->plane + CONV2D_BEHIND(plan->padding_x);
}

/* Where each column of the weight finds its elements, from the start of a block. */
static inline void conv2d_offsets(const conv2d *plan, int32_t *offsets)
{
    for (int64_t channel = 0; channel < plan->channels; channel++) {
        for (int64_t tap_y = 0; tap_y < plan->kernel_height; tap_y++) {
            for (int64_t tap_x = 0; tap_x < plan->kernel_width; tap_x++) {
                const int64_t y = tap_y * plan->dilation_y, x = tap_x * plan->dilation_x;
                const int64_t phase = y % plan->stride_y * plan->phases_x + x % plan->stride_x;
                *offsets++ = (int32_t)(channel * plan->plane + phase * plan->phase + y / plan->stride_y * plan->pitch +
                                       x / plan->stride_x);
            }
        }
    }
}

/* One row of a phase: elements first, first + stride, ... of a row of the image, and zeros where it has none. */
static inline void conv2d_row(const float *row, int64_t width, int64_t first, int64_t stride, float *to, int64_t count)
{
    int64_t begin = first < 0 ? (stride - 1 - first) / stride : 0;
    int64_t end = width > first ? (width - first + stride - 1) / stride : 0;
    begin = begin < count ? begin : count;
    end = end < begin ? begin : end < count ? end : count;
    for (int64_t q = 0; q < begin; q++) {
        to[q] = 0;
    }
    if (stride == 1) {
        memcpy(to + begin, row + (first + begin), (size_t)(end - begin) * sizeof *to);
    } else if (stride == 2) {
        for (int64_t q = begin; q < end; q++) {
            to[q] = row[first + q * 2];
        }
    } else {
        for (int64_t q = begin; q < end; q++) {
            to[q] = row[first + q * stride];
        }
    }
    for (int64_t q = end; q < count; q++) {
        to[q] = 0;
    }
}

/* The elements that rows `first` to `first + band_rows` of outputs are computed from: in scratch, or where they lie. */
static inline const float *conv2d_band(const conv2d *plan, const float *x, int64_t first, float *scratch)
{
    if (plan->in_place) {
        return x + first * plan->pitch;
    }
    float *to = scratch;
    const int64_t rows = plan->phase / plan->pitch;
    for (int64_t channel = 0; channel < plan->channels; channel++) {
        for (int64_t phase_y = 0; phase_y < plan->phases_y; phase_y++) {
            for (int64_t phase_x = 0; phase_x < plan->phases_x; phase_x++) {
                for (int64_t r = 0; r < rows; r++, to += plan->pitch) {
                    const int64_t y = (first + r) * plan->stride_y + phase_y - plan->padding_y;
                    if (y < 0 || y >= plan->height) {
                        memset(to, 0, (size_t)plan->pitch * sizeof *to);
                    } else {
                        conv2d_row(x + (channel * plan->height + y) * plan->width, plan->width, phase_x - plan->padding_x,
                                   plan->stride_x, to, plan->pitch);
                    }
                }
            }
        }
    }
    memset(to, 0, (size_t)CONV2D_BEHIND(plan->padding_x) * sizeof *to);
    return scratch;
}

/* Places of a band, outputs and gaps. */
static inline int64_t conv2d_places(const conv2d *plan, int64_t first)
{
    const int64_t rows = plan->out_height - first < plan->band_rows ? plan->out_height - first : plan->band_rows;
    return (rows - 1) * plan->pitch + plan->out_width;
}

static inline int64_t conv2d_blocks(const conv2d *plan, int64_t first)
{
    return (conv2d_places(plan, first) + F32_COLUMNS - 1) / F32_COLUMNS;
}

/* Outputs before a place of a band. */
static inline int64_t conv2d_outputs_before(const conv2d *plan, int64_t place)
{
    const int64_t x = place % plan->pitch;
    return place / plan->pitch * plan->out_width + (x < plan->out_width ? x : plan->out_width);
}

/* How many of the columns from `column` on are outputs that follow each other. */
static inline int64_t conv2d_run(const conv2d *plan, const conv2d_block *at, int64_t column, int64_t rest)
{
    const int64_t x = (at->start + column) % plan->pitch, run = x < plan->out_width ? plan->out_width - x : 0;
    return run < rest ? run : rest;
}

static inline conv2d_block conv2d_block_at(const conv2d *plan, int64_t first, int64_t block)
{
    const int64_t places = conv2d_places(plan, first), begin = block * F32_COLUMNS;
    const int64_t end = places - begin < F32_COLUMNS ? places : begin + F32_COLUMNS;
    conv2d_block at;
    at.position = conv2d_outputs_before(plan, begin);
    at.count = conv2d_outputs_before(plan, end) - at.position;
    at.position += first * plan->out_width;
    at.start = begin;
    at.columns = end - begin;
    if (!plan->in_place) {
        at.columns = (at.columns + CONV2D_VECTOR - 1) / CONV2D_VECTOR * CONV2D_VECTOR;
    } else if (at.columns < CONV2D_VECTOR) {
        at.start = end - CONV2D_VECTOR; /* nothing behind the image may be read */
        at.columns = CONV2D_VECTOR;
    }
    at.first = begin - at.start;
    at.outputs = 0;
    if (at.first > 0 || conv2d_run(plan, &at, 0, at.count) < at.count) {
        const int64_t gap = plan->pitch - plan->out_width;
        for (int64_t column = at.first, done = 0; done < at.count;) {
            const int64_t run = conv2d_run(plan, &at, column, at.count - done);
            if (run > 0) {
                at.outputs |= UINT64_MAX >> (64 - run) << column;
                done += run;
                column += run + gap;
            } else {
                column += plan->pitch - (at.start + column) % plan->pitch;
            }
        }
    }
    return at;
}

/* Closes the gaps in rows of acc. */
static inline void conv2d_close(conv2d_block at, int64_t rows, float acc[][F32_COLUMNS])
{
    if (at.outputs == 0) {
        return;
    }
    for (int64_t i = 0; i < rows; i++) {
#if defined(F32_COMPRESS)
        float *to = acc[i];
        for (int64_t v = 0; v < at.columns; v += F32_LANES) {
            const uint64_t lanes = at.outputs >> v & 0xFFFF;
            f32_store(to, f32_compress(f32_load(acc[i] + v), lanes));
            to += __builtin_popcountll(lanes);
        }
#else
        int64_t done = 0;
        for (int64_t column = at.first; done < at.count; column++) {
            acc[i][done] = acc[i][column];
            done += (int64_t)(at.outputs >> column & 1);
        }
#endif
    }
}

/* `rows` outputs of a block; weight: the first of their rows. */
static inline void conv2d_tile(const conv2d *plan, const int32_t *offsets, const float *band, conv2d_block at,
                               const float *weight, int64_t rows, float acc[][F32_COLUMNS])
{
    f32_tile_offsets(band + at.start, offsets, at.columns, plan->depth, weight, plan->depth, rows, acc);
    conv2d_close(at, rows, acc);
}
