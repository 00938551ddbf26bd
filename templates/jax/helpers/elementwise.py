def saturating_cast(x, dtype):
    """Floats as integers: toward zero, to the nearest end beyond the range, NaN as 0."""
    info = jnp.iinfo(dtype)
    x = x.astype(jnp.float64)
    below, above = x <= float(info.min), x >= float(info.max)
    # The greatest int64 is no double: what reaches it is put in place.
    cast = jnp.where(below | above | jnp.isnan(x), 0.0, x).astype(dtype)
    least, greatest = (jnp.array(end, dtype) for end in (info.min, info.max))
    return jnp.where(below, least, jnp.where(above, greatest, cast))


def sign(x):
    """-1, 0 or 1; 0 also for NaN."""
    return jnp.nan_to_num(jnp.sign(x))


def clamp(x, min=None, max=None):
    """`x` between bounds; at a bound the gradient is 0."""
    if min is not None:
        x = jnp.where(x <= min, min, x)
    return x if max is None else jnp.where(x >= max, max, x)


def absolute(x):
    """The absolute value; at 0 the gradient is 0."""
    return jnp.where(x == 0, 0, jnp.abs(x))
