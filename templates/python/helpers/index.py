def take(x, index, axis=0):
    """The slices of an axis that an array of positions names."""
    rows = range(x.shape[axis])
    return chosen_rows(x, axis, [rows[i] for i in index.data], index.shape)


def named_places(x, axis, index):
    """Where in `x` the elements lie whose position along an axis an index names."""
    (axis,) = from_first(axis, len(x.shape))
    strides = strides_of(x.shape)
    step, strides[axis] = strides[axis], 0
    rows = range(x.shape[axis])
    return [
        i + rows[row] * step
        for i, row in zip(offsets(index.shape, strides), index.data)
    ]


def gather(x, axis, index):
    """For each position in `index`, the element there along an axis."""
    places = named_places(x, axis, index)
    return Array(index.shape, x.dtype, [x.data[place] for place in places])


def scatter(x, axis, index, updates, reduce=None):
    """A copy of `x` with each of `updates` put, or added, where `gather` would read."""
    functions = {
        "add": operator.add,
        "mul": operator.mul,
        "max": larger,
        "min": smaller,
    }
    numbers = list(x.data)
    sources = offsets(index.shape, strides_of(updates.shape))
    for place, source in zip(named_places(x, axis, index), sources):
        new = updates.data[source]
        numbers[place] = functions[reduce](numbers[place], new) if reduce else new
    return Array(x.shape, x.dtype, stored(numbers, x.dtype))


def one_hot(x, classes, dtype):
    """A new last axis with a one at the position that each number names."""
    if any(not 0 <= i < classes for i in x.data):
        raise IndexError(f"a class is outside 0 to {classes - 1}")
    numbers = [int(i == own) for own in x.data for i in range(classes)]
    return Array((*x.shape, classes), dtype, numbers)


def placed(x, items, new):
    """A copy of `x` in which `new` stands where `x[items]` lies."""
    places = Array(x.shape, "int64", range(len(x.data)))[items]
    new = broadcast_to(array(new, x.dtype), places.shape)
    numbers = list(x.data)
    for place, number in zip(places.data, new.data):
        numbers[place] = number
    return Array(x.shape, x.dtype, numbers)
