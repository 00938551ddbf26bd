/* The place in the source of the middle of a cell that is enlarged. */
static inline double source_middle(int64_t index, int64_t factor)
{
    return fmax(((double)index + 0.5) / (double)factor - 0.5, 0.0);
}
