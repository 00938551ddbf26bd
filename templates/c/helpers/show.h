/* Writes text and numbers to standard output: a number by itself, numbers of a tensor in brackets. */
static inline void show_text(const char *text)
{
    fputs(text, stdout);
}

static inline void show_begin(int64_t rank)
{
    if (rank > 0) {
        putchar('[');
    }
}

static inline void show_next(int64_t i, int64_t count, int64_t rank)
{
    if (rank > 0) {
        putchar(i + 1 < count ? ' ' : ']');
    }
}

static inline void show_float64(const double *values, int64_t count, int64_t rank)
{
    show_begin(rank);
    for (int64_t i = 0; i < count; i++) {
        printf("%.8g", values[i]);
        show_next(i, count, rank);
    }
}

static inline void show_float32(const float *values, int64_t count, int64_t rank)
{
    show_begin(rank);
    for (int64_t i = 0; i < count; i++) {
        printf("%.8g", (double)values[i]);
        show_next(i, count, rank);
    }
}

static inline void show_int64(const int64_t *values, int64_t count, int64_t rank)
{
    show_begin(rank);
    for (int64_t i = 0; i < count; i++) {
        printf("%lld", (long long)values[i]);
        show_next(i, count, rank);
    }
}

static inline void show_uint64(const uint64_t *values, int64_t count, int64_t rank)
{
    show_begin(rank);
    for (int64_t i = 0; i < count; i++) {
        printf("%llu", (unsigned long long)values[i]);
        show_next(i, count, rank);
    }
}

static inline void show_int32(const int32_t *values, int64_t count, int64_t rank)
{
    show_begin(rank);
    for (int64_t i = 0; i < count; i++) {
        printf("%ld", (long)values[i]);
        show_next(i, count, rank);
    }
}

static inline void show_uint32(const uint32_t *values, int64_t count, int64_t rank)
{
    show_begin(rank);
    for (int64_t i = 0; i < count; i++) {
        printf("%lu", (unsigned long)values[i]);
        show_next(i, count, rank);
    }
}

static inline void show_int16(const int16_t *values, int64_t count, int64_t rank)
{
    show_begin(rank);
    for (int64_t i = 0; i < count; i++) {
        printf("%d", values[i]);
        show_next(i, count, rank);
    }
}

static inline void show_uint16(const uint16_t *values, int64_t count, int64_t rank)
{
    show_begin(rank);
    for (int64_t i = 0; i < count; i++) {
        printf("%u", values[i]);
        show_next(i, count, rank);
    }
}

static inline void show_int8(const int8_t *values, int64_t count, int64_t rank)
{
    show_begin(rank);
    for (int64_t i = 0; i < count; i++) {
        printf("%d", values[i]);
        show_next(i, count, rank);
    }
}

static inline void show_uint8(const uint8_t *values, int64_t count, int64_t rank)
{
    show_begin(rank);
    for (int64_t i = 0; i < count; i++) {
        printf("%u", values[i]);
        show_next(i, count, rank);
    }
}

static inline void show_bool(const bool *values, int64_t count, int64_t rank)
{
    show_begin(rank);
    for (int64_t i = 0; i < count; i++) {
        show_text(values[i] ? "true" : "false");
        show_next(i, count, rank);
    }
}
