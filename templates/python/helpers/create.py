def full(shape, value, dtype):
    """One number everywhere."""
    return Array(shape, dtype, array(value, dtype).data * math.prod(shape))


def zeros(shape, dtype):
    return full(shape, 0, dtype)


def ones(shape, dtype):
    return full(shape, 1, dtype)


def arange(start, stop=None, step=1, *, dtype):
    """Numbers from `start`, or 0, in equal steps."""
    numbers = range(start) if stop is None else range(start, stop, step)
    return array(list(numbers), dtype)


def linspace(start, stop, count, dtype):
    """So many numbers at equal distances, each counted from the nearer end."""
    step = (stop - start) / max(count - 1, 1)
    half = (count + 1) // 2
    numbers = [start + step * i for i in range(half)]
    numbers += [stop - step * (count - 1 - i) for i in range(half, count)]
    return array(numbers, dtype)


def eye(n, m=None, *, dtype):
    """Ones on the diagonal."""
    m = n if m is None else m
    return array([[int(i == j) for j in range(m)] for i in range(n)], dtype)
