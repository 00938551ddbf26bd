def per_axis(value, axes):
    """A number for each axis; one stands for all."""
    return tuple(value) if isinstance(value, tuple) else (value,) * axes


def windows(x, kernel, stride, dilation):
    """All windows over the last axes of `x`: the axes of the kernel come after its own."""
    first = x.ndim - len(kernel)
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation)]
    x = np.lib.stride_tricks.sliding_window_view(x, reach, tuple(range(first, x.ndim)))
    steps = [slice(None, None, step) for step in (*stride, *dilation)]
    return x[(slice(None),) * first + tuple(steps)]


def conv(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Convolution over the axes after batch and channels."""
    axes = x.ndim - 2
    stride, padding, dilation = (per_axis(n, axes) for n in (stride, padding, dilation))
    x = np.pad(x, [(0, 0), (0, 0), *((n, n) for n in padding)])
    seen = windows(x, weight.shape[2:], stride, dilation)
    summed = [1, *range(2 + axes, 2 + 2 * axes)], [1, *range(2, 2 + axes)]
    parts = zip(np.split(seen, groups, axis=1), np.split(weight, groups))
    y = np.concatenate([np.tensordot(a, w, summed) for a, w in parts], axis=-1)
    return np.moveaxis(y if bias is None else y + bias, -1, 1)


def conv_transpose(
    x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    """The transpose of a convolution: each element is spread over a window."""
    axes = x.ndim - 2
    options = (stride, padding, output_padding, dilation)
    stride, padding, extra, dilation = (per_axis(n, axes) for n in options)
    grid, kernel = x.shape[2:], weight.shape[2:]
    reach = [(n - 1) * s + 1 for n, s in zip(grid, stride)]
    sizes = [r + (k - 1) * d + e for r, k, d, e in zip(reach, kernel, dilation, extra)]
    parts = zip(np.split(x, groups, axis=1), np.split(weight, groups))
    shares = np.concatenate([np.tensordot(w, a, (0, 1)) for a, w in parts])
    wide = shares.dtype if shares.dtype.kind != "f" else np.float64
    y = np.zeros((len(shares), len(x), *sizes), wide)
    for place in np.ndindex(kernel):
        starts = [k * d for k, d in zip(place, dilation)]
        spread = [slice(a, a + r, s) for a, r, s in zip(starts, reach, stride)]
        y[:, :, *spread] += shares[:, *place]
    y = np.moveaxis(y, 0, 1)
    y = y[:, :, *(slice(p, n - p) for p, n in zip(padding, sizes))]
    if bias is not None:
        y = y + bias.reshape(-1, *[1] * axes)
    return y.astype(np.result_type(x, weight))


def pool_windows(x, kernel, stride, padding, dilation, ceil_mode, fill):
    """The windows of pooling; places outside of `x` hold `fill`."""
    axes = len(kernel)
    pads = [(0, 0)] * (x.ndim - axes)
    counts = [slice(None)] * (x.ndim - axes)
    for n, k, s, p, d in zip(x.shape[-axes:], kernel, stride, padding, dilation):
        beyond = s - 1 if ceil_mode else 0
        pads.append((p, p + beyond))
        # A window that would begin in the padding at the end is left out.
        counts.append(slice(-(-(n + p) // s) if ceil_mode else None))
    x = np.pad(x, pads, constant_values=fill)
    return windows(x, kernel, stride, dilation)[tuple(counts)]


def max_pool(x, axes, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    """The maximum of each window over the last axes."""
    kernel = per_axis(kernel_size, axes)
    stride = kernel if stride is None else per_axis(stride, axes)
    padding, dilation = per_axis(padding, axes), per_axis(dilation, axes)
    least = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    seen = pool_windows(x, kernel, stride, padding, dilation, ceil_mode, least)
    return seen.max(axis=tuple(range(-axes, 0)))


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
    seen = pool_windows(x, kernel, stride, padding, (1,) * axes, ceil_mode, 0)
    sums = seen.sum(axis=tuple(range(-axes, 0)), dtype=np.float64)
    counts = np.ones(())
    sizes = zip(sums.shape[-axes:], x.shape[-axes:], kernel, stride, padding)
    for many, n, k, s, p in sizes:
        first = np.arange(many) * s
        last = np.minimum(first + k, n + 2 * p)
        if not count_include_pad:
            first, last = np.maximum(first, p), np.minimum(last, n + p)
        counts = np.multiply.outer(counts, last - first)
    return (sums / counts).astype(x.dtype)
