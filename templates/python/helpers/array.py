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


def narrow(x, dtype):
    """The elements as `trit` or `int4`, which lie in bytes."""
    if dtype == "trit" and any(abs(number) > 1 for number in x.data):
        raise ValueError("only -1, 0 and 1 are trits; clamp or quantize first")
    return Array(x.shape, "int8", cast(x, dtype).data)


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
