def per_axis(value, axes):
    """A number for each axis; one stands for all."""
    return tuple(value) if isinstance(value, tuple) else (value,) * axes


def conv(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Convolution over the axes after batch and channels."""
    axes = x.ndim - 2
    edges = [(n, n) for n in per_axis(padding, axes)]
    if any(size == 1 and n > 0 for size, (n, _) in zip(x.shape[2:], edges)):
        # XLA cannot compile the gradient of a window with a stride over such an image.
        x, edges = jnp.pad(x, [(0, 0), (0, 0), *edges]), [(0, 0)] * axes
    y = lax.conv_general_dilated(
        x,
        weight,
        window_strides=per_axis(stride, axes),
        padding=edges,
        rhs_dilation=per_axis(dilation, axes),
        feature_group_count=groups,
    )
    return y if bias is None else biased(y, bias)


def conv_transpose(
    x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    """The transpose of a convolution: each element is spread over a window."""
    axes = x.ndim - 2
    options = (padding, output_padding, dilation)
    padding, extra, dilation = (per_axis(n, axes) for n in options)
    kernel = weight.shape[2:]
    reach = [(k - 1) * d for k, d in zip(kernel, dilation)]
    # The same weights as those of a convolution of what is spread out.
    weight = weight.reshape(groups, -1, weight.shape[1], *kernel).swapaxes(1, 2)
    weight = weight.reshape(-1, weight.shape[2], *kernel)
    y = lax.conv_general_dilated(
        x,
        jnp.flip(weight, range(2, 2 + axes)),
        window_strides=(1,) * axes,
        padding=[(r - p, r - p + e) for r, p, e in zip(reach, padding, extra)],
        lhs_dilation=per_axis(stride, axes),
        rhs_dilation=dilation,
        feature_group_count=groups,
    )
    return y if bias is None else biased(y, bias)


def biased(y, bias):
    """With a number for each channel; half floats are summed up as single ones in the
    gradient."""
    wide = jnp.promote_types(y.dtype, jnp.float32) if is_half(y) else y.dtype
    bias = bias.astype(wide).reshape(-1, *[1] * (y.ndim - 2))
    return (y.astype(wide) + bias).astype(y.dtype)


def beyond(size, kernel, stride, padding, dilation, ceil_mode):
    """The padding at the end with which the last window of pooling just fits."""
    room = size + 2 * padding - (kernel - 1) * dilation - 1
    count = room // stride + 1
    if ceil_mode:
        # A window that would begin in the padding at the end is left out.
        count = min(-(-room // stride) + 1, -(-(size + padding) // stride))
    return (count - 1) * stride + (kernel - 1) * dilation + 1 - size - padding


def max_pool(x, axes, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    """The maximum of each window over the last axes; the first of equal ones wins."""
    kernel = per_axis(kernel_size, axes)
    stride = kernel if stride is None else per_axis(stride, axes)
    options = zip(kernel, stride, per_axis(padding, axes), per_axis(dilation, axes))
    is_float = jnp.issubdtype(x.dtype, jnp.floating)
    least = -jnp.inf if is_float else jnp.iinfo(x.dtype).min
    # Axis by axis, the last one first.
    for axis, (k, s, p, d) in zip(range(x.ndim)[::-1], list(options)[::-1]):
        end = beyond(x.shape[axis], k, s, p, d, ceil_mode)
        pads = [(p, max(end, 0)) if n == axis else (0, 0) for n in range(x.ndim)]
        size = x.shape[axis] + p + end
        x = jnp.pad(x, pads, constant_values=least)
        starts = jnp.arange(0, size - (k - 1) * d, s)
        seen = x.take(starts[:, None] + d * jnp.arange(k), axis)
        place = seen.argmax(axis + 1, keepdims=True)
        x = jnp.take_along_axis(seen, place, axis + 1).squeeze(axis + 1)
    return x


def avg_pool(
    x,
    axes,
    kernel_size,
    stride=None,
    padding=0,
    ceil_mode=False,
    count_include_pad=True,
):
    """The mean of each window over the last axes."""
    kernel = per_axis(kernel_size, axes)
    stride = kernel if stride is None else per_axis(stride, axes)
    padding = per_axis(padding, axes)
    lead, sizes = (1,) * (x.ndim - axes), x.shape[x.ndim - axes :]
    options = zip(sizes, kernel, stride, padding)
    ends = [max(beyond(n, k, s, p, 1, ceil_mode), 0) for n, k, s, p in options]
    none = [(0, 0)] * len(lead)
    own = none + [(p, min(p, end)) for p, end in zip(padding, ends)]
    rest = none + [(0, end - min(p, end)) for p, end in zip(padding, ends)]

    def sums(x, padded):
        x = jnp.pad(jnp.pad(x, own, constant_values=padded), rest)
        windows, steps = (*lead, *kernel), (*lead, *stride)
        return lax.reduce_window(x, 0.0, lax.add, windows, steps, "VALID")

    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    count = sums(jnp.ones((*lead, *sizes), wide.dtype), int(count_include_pad))
    return (sums(wide, 0) / count).astype(x.dtype)
