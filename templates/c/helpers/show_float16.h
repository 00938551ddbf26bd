/* needs: float16, show */
static inline void show_float16(const uint16_t *values, int64_t count, int64_t rank)
{
    show_begin(rank);
    for (int64_t i = 0; i < count; i++) {
        printf("%.5g", (double)float16_to_float(values[i]));
        show_next(i, count, rank);
    }
}
