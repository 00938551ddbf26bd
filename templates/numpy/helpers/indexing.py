def sort(x, axis, descending=False):
    """Sorted values and their positions; equal ones keep their order, NaN is the largest."""
    if descending:
        positions = np.flip(x, axis).argsort(axis, kind="stable")
        positions = x.shape[axis] - 1 - np.flip(positions, axis)
    else:
        positions = x.argsort(axis, kind="stable")
    return np.take_along_axis(x, positions, axis), positions


def top_k(x, k, axis, largest=True):
    """The `k` greatest (or least) values and their positions, lower positions first."""
    values, positions = sort(x, axis, descending=largest)
    return values.take(range(k), axis), positions.take(range(k), axis)


def update_slice(x, updates, start, axis):
    """A copy of `x` with `updates` from position `start` of an axis on."""
    y = np.moveaxis(x.copy(), axis, 0)
    updates = np.moveaxis(updates, axis, 0)
    y[start + np.arange(len(updates))] = updates
    return np.moveaxis(y, 0, axis)


def gather(x, axis, index):
    """For each place of `index`, the element there, the index for its position on an axis."""
    places = list(np.indices(index.shape))
    places[axis] = index
    return x[tuple(places)]


def scatter(x, axis, index, updates, reduce=None):
    """A copy of `x` with updates at the places that `gather` would read."""
    places = list(np.indices(index.shape))
    places[axis] = np.ascontiguousarray(index)
    updates = updates[tuple(slice(n) for n in index.shape)]
    y = x.astype(np.float64) if x.dtype.kind == "f" else x.copy()
    if reduce is None:
        y[tuple(places)] = updates
    else:
        REDUCTIONS[reduce].at(y, tuple(places), updates)
    return y.astype(x.dtype)


REDUCTIONS = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}


def split(x, sizes, axis=0):
    """Pieces of these sizes; of one size, if there is only one number."""
    if isinstance(sizes, int):
        ends = range(sizes, x.shape[axis], sizes)
    else:
        ends = [sum(sizes[:count]) for count in range(1, len(sizes))]
    return np.split(x, ends, axis)


def chunk(x, n, axis=0):
    """`n` equal pieces; the last is smaller if they do not fit."""
    return split(x, -(-x.shape[axis] // n), axis)


def upsample(x, scale_factor, mode="nearest"):
    """Enlarges the axes after batch and channels; elements are the middles of cells."""
    factors = per_axis(scale_factor, x.ndim - 2)
    if mode == "nearest":
        for axis, factor in enumerate(factors, 2):
            x = x.repeat(factor, axis)
        return x
    y = x.astype(np.float64)
    for axis, factor in enumerate(factors, 2):
        n = y.shape[axis]
        place = ((np.arange(n * factor) + 0.5) / factor - 0.5).clip(min=0.0)
        low = place.astype(int)
        high = (low + 1).clip(max=n - 1)
        share = (place - low).reshape(-1, *[1] * (y.ndim - 1 - axis))
        y = y.take(low, axis) * (1.0 - share) + y.take(high, axis) * share
    return y.astype(x.dtype)


def replaced(x, items, values):
    """A copy of `x` with values at these items."""
    y = x.copy()
    y[items] = values
    return y
