/* Whether an element comes before another: by value, NaN being the largest, then by position. */
static inline bool comes_before_double(double a, int64_t at, double b, int64_t other, bool descending)
{
    const bool less = a < b || (isnan(b) && !isnan(a));
    const bool more = b < a || (isnan(a) && !isnan(b));
    return less || more ? less != descending : at < other;
}

static inline bool comes_before_int64(int64_t a, int64_t at, int64_t b, int64_t other, bool descending)
{
    return a != b ? (a < b) != descending : at < other;
}

static inline bool comes_before_uint64(uint64_t a, int64_t at, uint64_t b, int64_t other, bool descending)
{
    return a != b ? (a < b) != descending : at < other;
}
