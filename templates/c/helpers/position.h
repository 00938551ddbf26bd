/* Places along an axis of some size. What is out of range is -1. */
static inline int64_t position(int64_t index, int64_t size)
{
    if (index < 0) {
        index += size;
    }
    return index < 0 || index >= size ? -1 : index;
}

/* Where so many elements begin. */
static inline int64_t run_start(int64_t start, int64_t length, int64_t size)
{
    if (start < 0) {
        start += size;
    }
    return start < 0 || start > size - length ? -1 : start;
}

static inline int64_t modulo(int64_t index, int64_t size)
{
    const int64_t rest = index % size;
    return rest < 0 ? rest + size : rest;
}

static inline int64_t clamped(int64_t index, int64_t size)
{
    return index < 0 ? 0 : index < size ? index : size - 1;
}

static inline int64_t reflected(int64_t index, int64_t size)
{
    return index < 0 ? -index : index < size ? index : 2 * (size - 1) - index;
}
