def lanes(x, axes):
    """The elements along these sorted axes: a list for each place of the others."""
    others = [axis for axis in range(len(x.shape)) if axis not in axes]
    count = math.prod(x.shape[axis] for axis in others)
    size = math.prod(x.shape[axis] for axis in axes)
    if others and others[-1] != len(others) - 1:
        x = permute(x, (*others, *axes))
    return [x.data[i * size : (i + 1) * size] for i in range(count)]


def from_first(axis, rank):
    """An axis, several or all of them, counted from the first."""
    if axis is None:
        return list(range(rank))
    return sorted(range(rank)[i] for i in (axis if isinstance(axis, tuple) else [axis]))


def reduced(function, x, axis, keepdim, dtype=None):
    """`function` of the elements along some axes, or of all."""
    axes = from_first(axis, len(x.shape))
    shape = [1 if i in axes else size for i, size in enumerate(x.shape)]
    if not keepdim:
        shape = [size for i, size in enumerate(x.shape) if i not in axes]
    numbers = [function(lane) for lane in lanes(x, axes)]
    return Array(shape, dtype or x.dtype, stored(numbers, dtype or x.dtype))


def sum_of(x, axis=None, keepdim=False):
    return reduced(sum, x, axis, keepdim)


def mean_of(x, axis=None, keepdim=False):
    return reduced(lambda lane: quotient(sum(lane), len(lane)), x, axis, keepdim)


def product_of(x, axis=None, keepdim=False):
    return reduced(math.prod, x, axis, keepdim)


def max_of(x, axis=None, keepdim=False):
    return reduced(lambda lane: extreme(max, lane), x, axis, keepdim)


def min_of(x, axis=None, keepdim=False):
    return reduced(lambda lane: extreme(min, lane), x, axis, keepdim)


def any_of(x, axis=None, keepdim=False):
    return reduced(any, x, axis, keepdim)


def all_of(x, axis=None, keepdim=False):
    return reduced(all, x, axis, keepdim)


def argmax(x, axis=None, keepdim=False):
    return reduced(lambda lane: place_of(max, lane), x, axis, keepdim, "int64")


def argmin(x, axis=None, keepdim=False):
    return reduced(lambda lane: place_of(min, lane), x, axis, keepdim, "int64")


def has_nan(numbers):
    return any(map(operator.ne, numbers, numbers))


def extreme(function, lane):
    """The greatest or the least number; NaN if there is one."""
    return math.nan if has_nan(lane) else function(lane)


def place_of(function, lane):
    """Where the greatest or the least number stands first; NaN is both."""
    if has_nan(lane):
        return [math.isnan(v) for v in lane].index(True)
    return lane.index(function(lane))


def along(rows, x, axis, dtype):
    """Lists of numbers that stand for those of `x` along an axis, as an array."""
    (axis,) = from_first(axis, len(x.shape))
    others = [i for i in range(len(x.shape)) if i != axis]
    size = len(rows[0]) if rows else x.shape[axis]
    shape = [x.shape[i] for i in others] + [size]
    moved = Array(shape, dtype, [number for row in rows for number in row])
    last = len(others)
    return permute(moved, (*range(axis), last, *range(axis, last)))


def cumsum(x, axis):
    return accumulated(operator.add, x, axis)


def cumprod(x, axis):
    return accumulated(operator.mul, x, axis)


def accumulated(function, x, axis):
    """Running totals along an axis, each rounded once."""
    rows = lanes(x, from_first(axis, len(x.shape)))
    rows = [stored(list(itertools.accumulate(row, function)), x.dtype) for row in rows]
    return along(rows, x, axis, x.dtype)


def sort(x, axis=-1, descending=False):
    """Values in order and their positions; equal ones stay so, NaN is the greatest."""
    return top_k(x, x.shape[axis], axis, descending)


def top_k(x, k, axis=-1, largest=True):
    """The `k` greatest (or least) values and their positions, lower positions first."""
    rows = lanes(x, from_first(axis, len(x.shape)))
    orders = [order(row, largest)[:k] for row in rows]
    values = [[row[i] for i in chosen] for row, chosen in zip(rows, orders)]
    return along(values, x, axis, x.dtype), along(orders, x, axis, "int64")


def order(numbers, descending):
    """The positions of sorted numbers."""

    def key(i):
        return (numbers[i] != numbers[i], numbers[i])

    own = key if has_nan(numbers) else numbers.__getitem__
    return sorted(range(len(numbers)), key=own, reverse=descending)
