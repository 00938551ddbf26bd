def divide(a, b):
    """Quotients of single floats, each the nearest one: XLA alone would not promise it."""
    return (a.astype(jnp.float64) / b).astype(jnp.float32)


def fake_quantize(x, scheme, *parts):
    """`x` as its codes give it; the gradient passes straight through."""
    if parts:
        codes = scheme.quantize_with(x, *parts)
    else:
        codes, *parts = scheme.quantize(x)
    y = lax.stop_gradient(scheme.dequantize(codes, *parts, dtype=x.dtype))
    # Nothing, but with the gradient of `x`.
    nothing = x - lax.stop_gradient(x)
    if scheme.clipped:
        # A rounded value is at most half a step away; a clamped one is further.
        step = scheme.dequantize(jnp.ones_like(codes), parts[0])
        distance = jnp.abs(x - scheme.dequantize(codes, *parts))
        nothing = jnp.where(distance <= 0.5 * step, nothing, 0.0)
    return y + nothing
