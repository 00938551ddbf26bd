def plain_dot(a, b):
    """The sum of the products of two lists."""
    return sum(map(operator.mul, a, b))


dot = getattr(math, "sumprod", plain_dot)  # Python 3.12 has it.


def product_type(a, b):
    """The element type of a product: codes give `int32`, or the type of the floats."""
    if a.dtype == b.dtype == "int8":
        return "int32"
    return a.dtype if "float" in a.dtype else b.dtype


def matmul(a, b, transpose_a=False, transpose_b=False):
    """The matrix product of the last two axes; a rank of 1 is a row or a column."""
    dtype = product_type(a, b)
    left = unsqueeze(a, 0) if len(a.shape) == 1 else a
    right = unsqueeze(b, 1) if len(b.shape) == 1 else b
    left = transpose(left, -2, -1) if transpose_a else left
    # Rows of the one, and columns of the other, each a list.
    right = right if transpose_b else transpose(right, -2, -1)
    if left.shape[-1] != right.shape[-1]:
        raise ValueError(f"cannot multiply shapes {a.shape} and {b.shape}")
    batch = common_shape(left.shape[:-2], right.shape[:-2])
    numbers = []
    for rows, columns in zip(matrices(left, batch), matrices(right, batch)):
        for row in rows:
            numbers += [dot(row, column) for column in columns]
    shape = [*batch]
    if len(a.shape) > 1:
        shape.append(left.shape[-2])
    if len(b.shape) > 1:
        shape.append(right.shape[-2])
    return Array(shape, dtype, stored(numbers, dtype))


def matrices(x, batch):
    """The rows of each matrix of a batch to which `x` broadcasts."""
    count, size = x.shape[-2:]
    rows = [x.data[i * size : (i + 1) * size] for i in range(math.prod(x.shape[:-1]))]
    starts = range(0, math.prod(x.shape[:-2]) * count, max(count, 1))
    starts = Array(x.shape[:-2], "int64", list(starts))
    return [rows[start : start + count] for start in spread(starts, batch)]


def routed_matmul(x, w, index):
    """Row n is `x[n] @ w[index[n]].T`; the axes before a row are those of the index."""
    dtype = product_type(x, w)
    experts, outputs, size = w.shape
    stacks = matrices(w, (experts,))
    numbers = []
    for i, expert in enumerate(index.data):
        row = x.data[i * size : (i + 1) * size]
        numbers += [dot(row, column) for column in stacks[expert]]
    return Array((*index.shape, outputs), dtype, stored(numbers, dtype))
