# Cache(dim=3, size=4) of tests/cases/python/cache.tri, compiled by tritonc 0.1.0

import itertools
import json
import math
import operator
import struct


def nest(params, wanted, empty_lists=()):
    """What a model holds, by part: nested dicts, and lists where parts are numbered.

    Every misfit is listed in one error.
    """
    problems = [f"missing: {name}" for name in wanted if name not in params]
    problems += [f"unexpected: {name}" for name in params if name not in wanted]
    root = {}
    for name in wanted.keys() & params.keys():
        dtype, shape, *path = wanted[name]
        value = received(name, params[name], dtype)
        if tuple(value.shape) != shape:
            problems.append(f"{name} is {list(value.shape)}, not {list(shape)}")
        hang(root, (path or [name])[0], value)
    for path in empty_lists:
        hang(root, path, [])
    if problems:
        raise ValueError(
            "parameters do not fit the model:\n  " + "\n  ".join(sorted(problems))
        )
    return numbered(root)


def hang(root, path, value):
    """Puts a value into a tree of dicts."""
    *parts, last = path.split(".")
    for part in parts:
        root = root.setdefault(part, {})
    root[last] = value


def numbered(node):
    """The same tree, with a list for each dict whose keys are positions."""
    if not isinstance(node, dict):
        return node
    node = {name: numbered(part) for name, part in node.items()}
    if not node or not all(name.isdecimal() for name in node):
        return node
    return [node.get(str(position), {}) for position in range(max(map(int, node)) + 1)]


def state_of(p, wanted, names):
    """The state of a model, by its names in files."""
    state = {}
    for name in names:
        _, _, *path = wanted[name]
        node = p
        for part in (path or [name])[0].split("."):
            node = node[int(part) if isinstance(node, list) else part]
        state[name] = node
    return state


class Array:
    """Numbers of one element type, in row-major order; its data never changes."""

    def __init__(self, shape, dtype, data):
        self.shape = tuple(shape)
        self.dtype = dtype
        self.data = data

    def tolist(self):
        """Nested lists, or a number."""
        rows = self.data
        for size in reversed(self.shape[1:]):
            count = len(rows) // size if size else math.prod(self.shape[:-1])
            rows = [rows[i * size : (i + 1) * size] for i in range(count)]
        return list(rows) if self.shape else rows[0]

    def item(self):
        """The number of an array that holds one."""
        (number,) = self.data
        return number

    def __getitem__(self, items):
        items = list(items) if isinstance(items, tuple) else [items]
        at = next((at for at, item in enumerate(items) if item is ...), None)
        if at is not None:
            items[at : at + 1] = [slice(None)] * (len(self.shape) - len(items) + 1)
        # Axes behind the last item stay whole.
        block = math.prod(self.shape[len(items) :])
        shape, places = [], [0]
        for size, item in zip(self.shape, items):
            rows = range(size)[item]
            if isinstance(item, slice):
                shape.append(len(rows))
            else:
                rows = [rows]
            places = [place * size + row for place in places for row in rows]
        shape += self.shape[len(items) :]
        return Array(shape, self.dtype, blocks(self.data, places, block))

    def __repr__(self):
        return f"array({self.tolist()}, {self.dtype!r})"

    def __bool__(self):
        return bool(self.item())

    def __int__(self):
        return int(self.item())

    def __float__(self):
        return float(self.item())

    def __index__(self):
        return operator.index(self.item())

    def __add__(self, other):
        return combined(operator.add, self, other)

    def __radd__(self, other):
        return combined(operator.add, other, self)

    def __sub__(self, other):
        return combined(operator.sub, self, other)

    def __rsub__(self, other):
        return combined(operator.sub, other, self)

    def __mul__(self, other):
        return combined(operator.mul, self, other)

    def __rmul__(self, other):
        return combined(operator.mul, other, self)

    def __truediv__(self, other):
        return combined(quotient, self, other)

    def __rtruediv__(self, other):
        return combined(quotient, other, self)

    def __neg__(self):
        return mapped(operator.neg, self)

    def __eq__(self, other):
        return combined(operator.eq, self, other, "bool")

    def __ne__(self, other):
        return combined(operator.ne, self, other, "bool")

    def __lt__(self, other):
        return combined(operator.lt, self, other, "bool")

    def __le__(self, other):
        return combined(operator.le, self, other, "bool")

    def __gt__(self, other):
        return combined(operator.gt, self, other, "bool")

    def __ge__(self, other):
        return combined(operator.ge, self, other, "bool")

    def __and__(self, other):
        return combined(operator.and_, self, other)

    def __rand__(self, other):
        return combined(operator.and_, other, self)

    def __or__(self, other):
        return combined(operator.or_, self, other)

    def __ror__(self, other):
        return combined(operator.or_, other, self)

    def __xor__(self, other):
        return combined(operator.xor, self, other)

    def __rxor__(self, other):
        return combined(operator.xor, other, self)

    def __invert__(self):
        return mapped(operator.not_ if self.dtype == "bool" else operator.inv, self)


def array(value, dtype):
    """An array of nested lists or a number; an array is one already."""
    if isinstance(value, Array):
        return value
    values = [value.tolist() if hasattr(value, "tolist") else value]
    shape = []
    while values and isinstance(values[0], (list, tuple)):
        shape.append(len(values[0]))
        values = [element for row in values for element in row]
    if len(values) != math.prod(shape):
        raise ValueError(f"the rows of an array of shape {shape} differ in length")
    kind = bool if dtype == "bool" else float if "float" in dtype else int
    return Array(shape, dtype, stored(list(map(kind, values)), dtype))


def received(name, value, dtype):
    """An input or parameter as an array; lists and other libraries' arrays become one."""
    x = array(value, dtype)
    if x.dtype != dtype:
        raise TypeError(f"{name} is {x.dtype}, not {dtype}")
    return x


def stored(numbers, dtype):
    """Numbers as the element type holds them: floats rounded, integers wrapped."""
    if dtype == "bool":
        return numbers
    if dtype == "float64":
        return list(map(float, numbers))
    if "float" not in dtype:
        low, high = limits(dtype)
        if not numbers or low <= min(numbers) and max(numbers) <= high:
            return numbers
        return [(number - low) % (high - low + 1) + low for number in numbers]
    form = f"{len(numbers)}{'e' if dtype == 'float16' else 'f'}"
    try:
        raw = struct.pack(form, *numbers)
    except OverflowError:
        # From halfway to the next power of two on, a number rounds to infinity.
        least = 65520.0 if dtype == "float16" else 2.0**128 - 2.0**103
        bounded = (x * math.inf if abs(x) >= least else x for x in numbers)
        raw = struct.pack(form, *bounded)
    if dtype == "bfloat16":
        # The upper half of a float32, to nearest, ties to even.
        words = struct.unpack(f"{len(numbers)}I", raw)
        words = [word + 0x7FFF + (word >> 16 & 1) & 0xFFFF0000 for word in words]
        raw = struct.pack(f"{len(numbers)}I", *words)
    return list(struct.unpack(form, raw))


def limits(dtype):
    """The least and the greatest number of an integer type."""
    if dtype == "trit":
        return -1, 1
    bits = int(dtype.removeprefix("u").removeprefix("int"))
    if dtype.startswith("u"):
        return 0, 2**bits - 1
    return -(2 ** (bits - 1)), 2 ** (bits - 1) - 1


def cast(x, dtype):
    """The elements as another type: floats go toward zero and stop at its ends."""
    if dtype == "bool":
        data = [number != 0 for number in x.data]
    elif "float" in dtype:
        data = stored(list(map(float, x.data)), dtype)
    elif "float" in x.dtype:
        low, high = limits(dtype)
        data = [0 if math.isnan(v) else int(min(max(v, low), high)) for v in x.data]
    else:
        data = stored(list(map(int, x.data)), dtype)
    return Array(x.shape, dtype, data)


def combined(function, a, b, dtype=None):
    """`function` of elements of two operands that broadcast; one may be a number."""
    own = a.dtype if isinstance(a, Array) else b.dtype
    a, b = array(a, own), array(b, own)
    shape = common_shape(a.shape, b.shape)
    numbers = list(map(function, spread(a, shape), spread(b, shape)))
    return Array(shape, dtype or own, stored(numbers, dtype or own))


def common_shape(*shapes):
    """The shape to which shapes broadcast."""
    sizes = []
    for own in itertools.zip_longest(*map(reversed, shapes), fillvalue=1):
        several = {size for size in own if size != 1} or {1}
        if len(several) > 1:
            raise ValueError(f"shapes {', '.join(map(str, shapes))} do not broadcast")
        sizes += several
    return tuple(reversed(sizes))


def spread(x, shape):
    """The elements of `x` as it broadcasts to a shape."""
    if x.shape == shape:
        return x.data
    if len(x.data) == 1:
        return x.data * math.prod(shape)
    data, block = x.data, 1
    own = (1,) * (len(shape) - len(x.shape)) + x.shape
    for size, wanted in zip(reversed(own), reversed(shape)):
        if size != wanted:
            starts = range(0, len(data), block)
            data = [v for i in starts for v in data[i : i + block] * wanted]
        block *= wanted
    return data


def blocks(data, places, size):
    """Runs of neighbours, one after the other: those at each place, counted in runs."""
    if size == 1:
        return [data[place] for place in places]
    return [v for place in places for v in data[place * size : (place + 1) * size]]


def mapped(function, x):
    """`function` of each element; infinite if it overflows, NaN outside its domain."""
    try:
        numbers = list(map(function, x.data))
    except (OverflowError, ValueError):
        numbers = [attempt(function, number) for number in x.data]
    return Array(x.shape, x.dtype, stored(numbers, x.dtype))


def attempt(function, number):
    try:
        return function(number)
    except OverflowError:
        return math.copysign(math.inf, number)
    except ValueError:
        return math.nan


def quotient(a, b):
    """`a / b` as IEEE 754 has it."""
    if b:
        return a / b
    if a and not math.isnan(a):
        return math.copysign(math.inf, a) * math.copysign(1.0, b)
    return math.nan


def full(shape, value, dtype):
    """One number everywhere."""
    return Array(shape, dtype, array(value, dtype).data * math.prod(shape))


def zeros(shape, dtype):
    return full(shape, 0, dtype)


def exp(x):
    return mapped(math.exp, x)


def placed(x, items, new):
    """A copy of `x` in which `new` stands where `x[items]` lies."""
    places = Array(x.shape, "int64", range(len(x.data)))[items]
    new = broadcast_to(array(new, x.dtype), places.shape)
    numbers = list(x.data)
    for place, number in zip(places.data, new.data):
        numbers[place] = number
    return Array(x.shape, x.dtype, numbers)


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


def lanes(x, axes):
    """The elements along these sorted axes: a list for each place of the others."""
    others = [axis for axis in range(len(x.shape)) if axis not in axes]
    count = math.prod(x.shape[axis] for axis in others)
    size = math.prod(x.shape[axis] for axis in axes)
    if others and others[-1] != len(others) - 1:
        x = permute(x, (*others, *axes))
    return [x.data[i * size : (i + 1) * size] for i in range(count)]


def from_first(axis, rank):
    """An axis, several or all of them, counted from the first."""
    if axis is None:
        return list(range(rank))
    return sorted(range(rank)[i] for i in (axis if isinstance(axis, tuple) else [axis]))


def reduced(function, x, axis, keepdim, dtype=None):
    """`function` of the elements along some axes, or of all."""
    axes = from_first(axis, len(x.shape))
    shape = [1 if i in axes else size for i, size in enumerate(x.shape)]
    if not keepdim:
        shape = [size for i, size in enumerate(x.shape) if i not in axes]
    numbers = [function(lane) for lane in lanes(x, axes)]
    return Array(shape, dtype or x.dtype, stored(numbers, dtype or x.dtype))


def sum_of(x, axis=None, keepdim=False):
    return reduced(sum, x, axis, keepdim)


def max_of(x, axis=None, keepdim=False):
    return reduced(lambda lane: extreme(max, lane), x, axis, keepdim)


def has_nan(numbers):
    return any(map(operator.ne, numbers, numbers))


def extreme(function, lane):
    """The greatest or the least number; NaN if there is one."""
    return math.nan if has_nan(lane) else function(lane)


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


def read_safetensors(path):
    """The tensors of a safetensors file, by name."""
    with open(path, "rb") as file:
        content = file.read()
    start = 8 + int.from_bytes(content[:8], "little")
    tensors = {}
    for name, entry in json.loads(content[8:start]).items():
        if name == "__metadata__":
            continue
        if entry["dtype"] not in SAFETENSORS:
            raise ValueError(f"{name}: element type {entry['dtype']} is not supported")
        dtype, letter = SAFETENSORS[entry["dtype"]]
        first, last = (start + offset for offset in entry["data_offsets"])
        raw = content[first:last]
        if dtype == "bfloat16":
            # The upper half of a float32.
            pairs = zip(raw[::2], raw[1::2])
            raw = b"".join(bytes((0, 0, low, high)) for low, high in pairs)
        count = math.prod(entry["shape"])
        data = list(struct.unpack(f"<{count}{letter}", raw))
        tensors[name] = Array(entry["shape"], dtype, data)
    return tensors


SAFETENSORS = {
    "BOOL": ("bool", "?"),
    "U8": ("uint8", "B"),
    "I8": ("int8", "b"),
    "U16": ("uint16", "H"),
    "I16": ("int16", "h"),
    "U32": ("uint32", "I"),
    "I32": ("int32", "i"),
    "U64": ("uint64", "Q"),
    "I64": ("int64", "q"),
    "F16": ("float16", "e"),
    "BF16": ("bfloat16", "f"),
    "F32": ("float32", "f"),
    "F64": ("float64", "d"),
}


def softmax(x):
    """`exp(x)` divided by its sum along `axis`."""
    # <std>/activations.tri:96
    e = exp(x - max_of(x, -1, keepdim=True))
    # <std>/activations.tri:97
    return e / sum_of(e, -1, keepdim=True)


def cache_forward(p, x, size):
    B = x.shape[0]
    if size < B:
        raise ValueError("B <= size must hold")
    # tests/cases/python/cache.tri:13
    y = softmax(matmul(x, p["weight"], transpose_b=True))
    # tests/cases/python/cache.tri:14
    p["kept"] = placed(p["kept"], (slice(None, B),), y)
    # tests/cases/python/cache.tri:15
    return y / (1.0 + sum_of(p["kept"]))


def cache_largest(x):
    # tests/cases/python/cache.tri:19
    return max_of(cast(x, "bfloat16"), 1)


def forward(inputs, params):
    """inputs:
        x: float32[B, dim]
    outputs:
        output: float32[B, dim]
    """
    p = nest(initial_state() | params, PARAMETERS)
    x = received("x", inputs["x"], "float32")
    output = cache_forward(p, x, 4)
    return {"output": output, "state": state_of(p, PARAMETERS, initial_state())}


def largest(inputs, params):
    """inputs:
        x: float32[B, dim]
    outputs:
        output: bfloat16[B]
    """
    x = received("x", inputs["x"], "float32")
    output = cache_largest(x)
    return {"output": output}


# What the model holds: element type and sizes of each tensor, by its name in files.
PARAMETERS = {"weight": ("float32", (3, 3)), "kept": ("float32", (4, 3))}


def initial_state():
    """State as it is before the first call, by name."""
    return {"kept": zeros((4, 3), "float32")}
