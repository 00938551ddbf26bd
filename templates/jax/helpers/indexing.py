def sort(x, axis, descending=False):
    """Sorted values and their positions; equal ones keep their order, NaN is the largest."""
    if descending:
        positions = jnp.argsort(jnp.flip(x, axis), axis, stable=True)
        positions = x.shape[axis] - 1 - jnp.flip(positions, axis)
    else:
        positions = jnp.argsort(x, axis, stable=True)
    return jnp.take_along_axis(x, positions, axis), positions


def top_k(x, k, axis, largest=True):
    """The `k` greatest (or least) values and their positions, lower positions first."""
    values, positions = sort(x, axis, descending=largest)
    first = [lax.slice_in_dim(y, 0, k, axis=axis) for y in (values, positions)]
    return tuple(first)


def places(axis, index):
    """The index of each element that `index` names along an axis."""
    found = list(jnp.indices(index.shape))
    found[axis] = index
    return tuple(found)


def gather(x, axis, index):
    """For each place of `index`, the element there, the index for its position on an axis."""
    return x[places(axis, index)]


def scatter(x, axis, index, updates, reduce=None):
    """A copy of `x` with updates at the places that `gather` would read."""
    updates = updates[tuple(slice(n) for n in index.shape)]
    found = places(axis, index)
    if reduce is None:
        return replace(x, found, updates)
    y = x.astype(jnp.promote_types(x.dtype, jnp.float32)) if is_half(x) else x
    updates = updates.astype(y.dtype)
    if reduce == "add":
        y = y.at[found].add(updates)
    elif reduce == "mul":
        y = y.at[found].multiply(updates)
    elif reduce == "max":
        y = y.at[found].max(updates)
    else:
        y = y.at[found].min(updates)
    return y.astype(x.dtype)


def is_half(x):
    """Whether these are floats in which long sums lose their end."""
    return x.dtype in (jnp.float16, jnp.bfloat16)


def replace(x, found, updates):
    """Updates in the place of elements, the last one where several meet.

    Each update has the gradient of its place.
    """

    @jax.custom_vjp
    def replaced(x, found, updates):
        order = jnp.arange(updates.size).reshape(updates.shape)
        last = jnp.full(x.shape, -1).at[found].max(order)
        return jnp.where(last < 0, x, updates.ravel()[last])

    def forward(x, found, updates):
        return replaced(x, found, updates), found

    def backward(found, gradient):
        return gradient.at[found].set(0), None, gradient[found]

    replaced.defvjp(forward, backward)
    return replaced(x, found, updates)


def split(x, sizes, axis=0):
    """Pieces of these sizes; of one size, if there is only one number."""
    if isinstance(sizes, int):
        ends = range(sizes, x.shape[axis], sizes)
    else:
        ends = [sum(sizes[:count]) for count in range(1, len(sizes))]
    return jnp.split(x, tuple(ends), axis)


def chunk(x, n, axis=0):
    """`n` equal pieces; the last is smaller if they do not fit."""
    return split(x, -(-x.shape[axis] // n), axis)


def upsample(x, scale_factor, mode="nearest"):
    """Enlarges the axes after batch and channels; elements are the middles of cells."""
    factors = per_axis(scale_factor, x.ndim - 2)
    if mode == "nearest":
        for axis, factor in enumerate(factors, 2):
            x = jnp.repeat(x, factor, axis)
        return x
    y = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    for axis, factor in enumerate(factors, 2):
        n = y.shape[axis]
        place = ((jnp.arange(n * factor) + 0.5) / factor - 0.5).clip(min=0.0)
        low = place.astype(int)
        high = (low + 1).clip(max=n - 1)
        share = (place - low).astype(y.dtype).reshape(-1, *[1] * (y.ndim - 1 - axis))
        y = y.take(low, axis) * (1.0 - share) + y.take(high, axis) * share
    return y.astype(x.dtype)
