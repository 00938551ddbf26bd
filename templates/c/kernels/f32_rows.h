/*
 * Sums and the like of a row of float32 numbers. They are taken in F32_PARTS parts, which become vectors; a plain loop would
 * add one number at a time, as the order of additions is the program's. Needs f32_math.h.
 */
#define F32_PARTS 16

static inline double f32_sum(const float *x, int64_t n)
{
    double part[F32_PARTS] = {0};
    int64_t i = 0;
    for (; i + F32_PARTS <= n; i += F32_PARTS) {
        for (int64_t lane = 0; lane < F32_PARTS; lane++) {
            part[lane] += (double)x[i + lane];
        }
    }
    double sum = 0;
    for (int64_t lane = 0; lane < F32_PARTS; lane++) {
        sum += part[lane];
    }
    for (; i < n; i++) {
        sum += (double)x[i];
    }
    return sum;
}

/* The sum of (x[i] - centre)^2: of squares where centre is 0, and n times the variance where it is the mean. */
static inline double f32_sum_squares(const float *x, int64_t n, double centre)
{
    double part[F32_PARTS] = {0};
    int64_t i = 0;
    for (; i + F32_PARTS <= n; i += F32_PARTS) {
        for (int64_t lane = 0; lane < F32_PARTS; lane++) {
            const double distance = (double)x[i + lane] - centre;
            part[lane] += distance * distance;
        }
    }
    double sum = 0;
    for (int64_t lane = 0; lane < F32_PARTS; lane++) {
        sum += part[lane];
    }
    for (; i < n; i++) {
        const double distance = (double)x[i] - centre;
        sum += distance * distance;
    }
    return sum;
}

/* Bits of a number as an integer that orders as the numbers do; and the way back, which is the same. */
static inline int32_t f32_order(uint32_t bits)
{
    const uint32_t flipped = bits ^ ((0 - (bits >> 31)) >> 1);
    int32_t order;
    memcpy(&order, &flipped, sizeof order);
    return order;
}

/* NaN where any element is; -infinity where there is none. */
static inline float f32_max(const float *x, int64_t n)
{
    int32_t most = f32_order(f32_bits(-INFINITY));
    uint32_t is_nan = 0;
    for (int64_t i = 0; i < n; i++) {
        const int32_t order = f32_order(f32_bits(x[i]));
        most = order > most ? order : most;
        is_nan |= (uint32_t)(x[i] != x[i]);
    }
    uint32_t bits;
    memcpy(&bits, &most, sizeof bits);
    const int32_t back = f32_order(bits);
    memcpy(&bits, &back, sizeof bits);
    return is_nan ? NAN : f32_of_bits(bits);
}

/* y[i] = exp(x[i] - max x) / sum of these. y may be x. */
static inline void f32_softmax(const float *x, float *y, int64_t n)
{
    const float most = f32_max(x, n);
    for (int64_t i = 0; i < n; i++) {
        y[i] = f32_exp(x[i] - most);
    }
    const float factor = (float)(1.0 / f32_sum(y, n));
    for (int64_t i = 0; i < n; i++) {
        y[i] *= factor;
    }
}
