/* Counted from the nearer end, so that both ends are exact. */
static inline double linspace(double start, double stop, int64_t index, int64_t number)
{
    const int64_t last = number - 1;
    const double step = last > 0 ? (stop - start) / (double)last : 0.0;
    return index * 2 < number ? start + step * (double)index : stop - step * (double)(last - index);
}
