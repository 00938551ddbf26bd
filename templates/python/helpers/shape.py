def reshape(x, shape):
    """The same elements under another shape; one size may be -1."""
    rest = math.prod(size for size in shape if size != -1)
    shape = [len(x.data) // max(rest, 1) if size == -1 else size for size in shape]
    if math.prod(shape) != len(x.data):
        raise ValueError(f"{list(x.shape)} cannot become {shape}")
    return Array(shape, x.dtype, x.data)


def squeeze(x, axis=None):
    """Without axes of size 1: those that are named, or all."""
    gone = [i for i, size in enumerate(x.shape) if size == 1]
    if axis is not None:
        gone = from_first(axis, len(x.shape))
    shape = [size for i, size in enumerate(x.shape) if i not in gone]
    return reshape(x, shape)


def unsqueeze(x, axis):
    """With a new axis of size 1."""
    axis %= len(x.shape) + 1
    return Array((*x.shape[:axis], 1, *x.shape[axis:]), x.dtype, x.data)


def broadcast_to(x, shape):
    if common_shape(x.shape, shape) != tuple(shape):
        raise ValueError(f"shape {x.shape} does not broadcast to {shape}")
    return Array(shape, x.dtype, spread(x, shape))


def strides_of(shape):
    """How far apart neighbours along each axis lie."""
    return [math.prod(shape[i + 1 :]) for i in range(len(shape))]


def offsets(shape, strides):
    """Where the elements lie that are so far apart along each axis."""
    places = [0]
    for size, stride in zip(shape, strides):
        steps = [i * stride for i in range(size)]
        places = [place + step for place in places for step in steps]
    return places


def permute(x, axes):
    """The axes in another order."""
    axes = [range(len(x.shape))[axis] for axis in axes]
    strides = strides_of(x.shape)
    shape = [x.shape[axis] for axis in axes]
    kept = len(axes)
    while kept and axes[kept - 1] == kept - 1:
        kept -= 1
    # Axes at the end that stay where they are move in one piece.
    block = math.prod(x.shape[kept:])
    places = offsets(
        shape[:kept], [strides[axis] // max(block, 1) for axis in axes[:kept]]
    )
    return Array(shape, x.dtype, blocks(x.data, places, block))


def transpose(x, axis, other):
    """Two axes exchanged."""
    axes = list(range(len(x.shape)))
    axes[axis], axes[other] = axes[other], axes[axis]
    return permute(x, axes)


def around(shape, axis):
    """An axis counted from the first, the elements before it and those behind."""
    (axis,) = from_first(axis, len(shape))
    return axis, math.prod(shape[:axis]), math.prod(shape[axis + 1 :])


def chosen_rows(x, axis, rows, sizes=None):
    """The slices of an axis that positions name; `sizes` is the shape of these."""
    axis, outer, inner = around(x.shape, axis)
    sizes = (len(rows),) if sizes is None else sizes
    size = x.shape[axis]
    places = [i * size + row for i in range(outer) for row in rows]
    shape = (*x.shape[:axis], *sizes, *x.shape[axis + 1 :])
    return Array(shape, x.dtype, blocks(x.data, places, inner))


def concat(arrays, axis=0):
    """Arrays joined along an axis that they have."""
    first = arrays[0]
    axis, outer, inner = around(first.shape, axis)
    runs = [(x.data, x.shape[axis] * inner) for x in arrays]
    data = [
        v for i in range(outer) for own, n in runs for v in own[i * n : (i + 1) * n]
    ]
    total = sum(x.shape[axis] for x in arrays)
    shape = (*first.shape[:axis], total, *first.shape[axis + 1 :])
    if any(common_shape(x.shape, shape) != shape for x in arrays if x.shape[axis] == 1):
        raise ValueError("the arrays do not fit")
    return Array(shape, first.dtype, data)


def stack(arrays, axis=0):
    """Arrays of one shape joined along a new axis."""
    axis %= len(arrays[0].shape) + 1
    return concat([unsqueeze(x, axis) for x in arrays], axis)


def unbind(x, axis=0):
    """The slices of an axis, each without it."""
    return [squeeze(part, axis) for part in split(x, 1, axis)]


def split(x, sizes, axis=0):
    """Pieces of an axis, of these sizes or of one size for all."""
    total = x.shape[axis]
    if isinstance(sizes, int):
        starts = range(0, max(total, 1), sizes)
        sizes = [min(sizes, total - start) for start in starts]
    ends = list(itertools.accumulate(sizes))
    rows = [range(end - size, end) for size, end in zip(sizes, ends)]
    return [chosen_rows(x, axis, own) for own in rows]


def chunk(x, n, axis=0):
    """So many pieces of an axis; the last may be smaller."""
    if not x.shape[axis]:
        return [x] * n
    return split(x, -(-x.shape[axis] // n), axis)


def slice_from(x, start, size, axis):
    """So many elements of an axis from a position on."""
    start = int(start)
    start += x.shape[axis] if start < 0 else 0
    if not 0 <= start <= x.shape[axis] - size:
        raise IndexError(f"{size} elements from {start} are more than {x.shape[axis]}")
    return chosen_rows(x, axis, range(start, start + size))


def update_slice(x, updates, start, axis):
    """A copy of `x` with `updates` from a position of an axis on."""
    size = updates.shape[axis]
    start = int(start)
    start += x.shape[axis] if start < 0 else 0
    if not 0 <= start <= x.shape[axis] - size:
        raise IndexError(f"{size} elements from {start} are more than {x.shape[axis]}")
    before = chosen_rows(x, axis, range(start))
    behind = chosen_rows(x, axis, range(start + size, x.shape[axis]))
    return concat([before, updates, behind], axis)


def pad(x, pads, value=0.0, mode="constant"):
    """With more elements around the last axes: pairs of counts, before and behind."""
    pairs = list(zip(pads[::2], pads[1::2]))
    for axis, (low, high) in enumerate(pairs, len(x.shape) - len(pairs)):
        n = x.shape[axis]
        if mode == "constant":
            ends = [
                (*x.shape[:axis], count, *x.shape[axis + 1 :]) for count in (low, high)
            ]
            before, behind = (full(shape, value, x.dtype) for shape in ends)
            x = concat([before, x, behind], axis)
            continue
        rows = range(-low, n + high)
        if mode == "edge":
            rows = [min(max(row, 0), n - 1) for row in rows]
        elif mode == "wrap":
            rows = [row % n for row in rows]
        else:
            rows = [n - 1 - abs(n - 1 - abs(row)) for row in rows]
        x = chosen_rows(x, axis, rows)
    return x


def flip(x, axes):
    for axis in from_first(axes, len(x.shape)):
        x = chosen_rows(x, axis, range(x.shape[axis])[::-1])
    return x


def roll(x, shifts, axes=None):
    """Elements moved along axes; what leaves one end comes back at the other."""
    if axes is None:
        return reshape(roll(reshape(x, (-1,)), shifts, 0), x.shape)
    if not isinstance(axes, tuple):
        axes = (axes,)
    for shift, axis in zip(shifts if isinstance(shifts, tuple) else (shifts,), axes):
        n = x.shape[axis]
        x = chosen_rows(x, axis, [(row - shift) % n for row in range(n)])
    return x


def repeat(x, repeats):
    """Copies side by side, so many along each axis."""
    x = reshape(x, (1,) * (len(repeats) - len(x.shape)) + x.shape)
    for axis, count in enumerate(repeats):
        if count != 1:
            x = chosen_rows(x, axis, list(range(x.shape[axis])) * count)
    return x


def repeat_interleave(x, n, axis):
    """Each slice of an axis so many times, before the next."""
    return chosen_rows(x, axis, [row for row in range(x.shape[axis]) for _ in range(n)])


def enlarge(x, factors, mode="nearest"):
    """The axes behind batch and channels enlarged by whole factors."""
    count = len(x.shape) - 2
    factors = factors if isinstance(factors, tuple) else (factors,) * count
    if mode == "nearest":
        for axis, factor in enumerate(factors, 2):
            x = repeat_interleave(x, factor, axis)
        return x
    exact = Array(x.shape, "float64", x.data)
    for axis, factor in enumerate(factors, 2):
        n = exact.shape[axis]
        places = [max((i + 0.5) / factor - 0.5, 0.0) for i in range(n * factor)]
        low = chosen_rows(exact, axis, [int(place) for place in places])
        high = chosen_rows(
            exact, axis, [min(int(place) + 1, n - 1) for place in places]
        )
        share = Array(
            (n * factor,) + (1,) * (count + 1 - axis),
            "float64",
            [p % 1 for p in places],
        )
        exact = low * (1.0 - share) + high * share
    return cast(exact, x.dtype)


def tril(x, diagonal=0):
    """Zeros above a diagonal of the last two axes."""
    return triangle(x, lambda row, column: column - row <= diagonal)


def triu(x, diagonal=0):
    """Zeros below a diagonal of the last two axes."""
    return triangle(x, lambda row, column: column - row >= diagonal)


def triangle(x, keeps):
    rows, columns = x.shape[-2:]
    kept = [keeps(row, column) for row in range(rows) for column in range(columns)]
    return where(Array((rows, columns), "bool", kept), x, 0)
