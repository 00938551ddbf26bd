def each_axis(value, count):
    """One number for each axis, where one may stand for all."""
    return value if isinstance(value, tuple) else (value,) * count


def windows(sizes, counts, kernel, stride, padding, dilation):
    """For each window, where its elements lie in a plane; -1 for padding."""
    found = [[0]]
    for size, count, *numbers in zip(sizes, counts, kernel, stride, padding, dilation):
        length, step, before, apart = numbers
        own = [
            [w * step - before + k * apart for k in range(length)] for w in range(count)
        ]
        own = [[place if 0 <= place < size else -1 for place in row] for row in own]
        found = [
            [-1 if i < 0 or j < 0 else i * size + j for i in outer for j in inner]
            for outer in found
            for inner in own
        ]
    return found


def window_counts(sizes, kernel, stride, padding, dilation, ceil_mode=False):
    """How many windows fit along each axis."""
    counts = []
    for size, *numbers in zip(sizes, kernel, stride, padding, dilation):
        length, step, before, apart = numbers
        room = size + 2 * before - (length - 1) * apart - 1
        count = room // step + 1
        if ceil_mode:
            # No window begins in the padding behind.
            count = min(-(-room // step) + 1, -(-(size + before) // step))
        counts.append(count)
    return counts


def planes(x, count, outside):
    """The planes of the last axes, each with the value of places outside at its end."""
    size = math.prod(x.shape[len(x.shape) - count :])
    total = math.prod(x.shape[: len(x.shape) - count])
    return [[*x.data[i * size : (i + 1) * size], outside] for i in range(total)]


def convolve(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """The convolution over the axes behind batch and channels."""
    dtype = product_type(x, weight)
    count = len(x.shape) - 2
    kernel = weight.shape[2:]
    options = [each_axis(value, count) for value in (stride, padding, dilation)]
    counts = window_counts(x.shape[2:], kernel, *options)
    places = windows(x.shape[2:], counts, kernel, *options)
    images = planes(x, count, 0)
    outputs, inputs = weight.shape[:2]
    size = inputs * math.prod(kernel)
    filters = [weight.data[i * size : (i + 1) * size] for i in range(outputs)]
    biases = bias.data if bias is not None else [0] * outputs
    each = outputs // groups
    data = []
    for first in range(0, len(images), inputs):
        own = images[first : first + inputs]
        patches = [[plane[i] for plane in own for i in row] for row in places]
        group = first // inputs % groups * each
        for channel in range(group, group + each):
            chosen, extra = filters[channel], biases[channel]
            data += [dot(chosen, patch) + extra for patch in patches]
    return Array((x.shape[0], outputs, *counts), dtype, stored(data, dtype))


def convolve_transposed(
    x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    """The transposed convolution: the windows of the result are added up."""
    dtype = product_type(x, weight)
    count = len(x.shape) - 2
    kernel = weight.shape[2:]
    options = [each_axis(value, count) for value in (stride, padding, dilation)]
    numbers = zip(x.shape[2:], kernel, each_axis(output_padding, count), *options)
    sizes = [
        (n - 1) * step - 2 * before + (length - 1) * apart + 1 + extra
        for n, length, extra, step, before, apart in numbers
    ]
    places = windows(sizes, x.shape[2:], kernel, *options)
    each, area = weight.shape[1], math.prod(kernel)
    inputs = weight.shape[0] // groups
    images = planes(x, count, 0)
    # The factors of a place in the kernel, from all channels of the input.
    filters = [
        [
            weight.data[(c * each + o) * area + k]
            for c in range(g * inputs, (g + 1) * inputs)
        ]
        for g in range(groups)
        for o in range(each)
        for k in range(area)
    ]
    data = []
    for first in range(0, len(images), inputs):
        columns = list(zip(*images[first : first + inputs]))
        group = first // inputs % groups * each
        for channel in range(group, group + each):
            # What falls on the padding goes to the element at the end.
            plane = [0 if bias is None else bias.data[channel]] * (math.prod(sizes) + 1)
            own = filters[channel * area : (channel + 1) * area]
            for column, row in zip(columns, places):
                for factors, place in zip(own, row):
                    plane[place] += dot(factors, column)
            data += plane[:-1]
    shape = (x.shape[0], each * groups, *sizes)
    return Array(shape, dtype, stored(data, dtype))


def max_pool(x, axes, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    """The greatest element of each window over the last axes."""
    sizes = x.shape[len(x.shape) - axes :]
    kernel = each_axis(kernel_size, axes)
    stride = kernel if stride is None else each_axis(stride, axes)
    options = [kernel, stride, each_axis(padding, axes), each_axis(dilation, axes)]
    counts = window_counts(sizes, *options, ceil_mode)
    places = windows(sizes, counts, *options)
    least = -math.inf if "float" in x.dtype else limits(x.dtype)[0]
    data = []
    for plane in planes(x, axes, least):
        data += [extreme(max, [plane[i] for i in row]) for row in places]
    return Array((*x.shape[: len(x.shape) - axes], *counts), x.dtype, data)


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
    sizes = x.shape[len(x.shape) - axes :]
    kernel = each_axis(kernel_size, axes)
    stride = kernel if stride is None else each_axis(stride, axes)
    options = [kernel, stride, each_axis(padding, axes), (1,) * axes]
    counts = window_counts(sizes, *options, ceil_mode)
    places = windows(sizes, counts, *options)
    divisors = [1]
    for size, count, length, step, before, _ in zip(sizes, counts, *options):
        first, last = (
            (0, size + 2 * before) if count_include_pad else (before, size + before)
        )
        spans = [(w * step, w * step + length) for w in range(count)]
        own = [min(end, last) - max(start, first) for start, end in spans]
        divisors = [i * j for i in divisors for j in own]
    data = []
    for plane in planes(x, axes, 0.0):
        sums = [sum([plane[i] for i in row]) for row in places]
        data += map(operator.truediv, sums, divisors)
    shape = (*x.shape[: len(x.shape) - axes], *counts)
    return Array(shape, x.dtype, stored(data, x.dtype))
