/* Floats as integers: toward zero, within the range, and 0 for what is no number. */
static inline int64_t saturate(double value, int64_t low, int64_t high)
{
    if (isnan(value)) {
        return 0;
    }
    return value <= (double)low ? low : value >= (double)high ? high : (int64_t)value;
}

static inline int64_t saturate_int64(double value)
{
    if (isnan(value)) {
        return 0;
    }
    return value < -0x1p63 ? INT64_MIN : value >= 0x1p63 ? INT64_MAX : (int64_t)value;
}

static inline uint64_t saturate_uint64(double value)
{
    return !(value > 0.0) ? 0 : value >= 0x1p64 ? UINT64_MAX : (uint64_t)value;
}
