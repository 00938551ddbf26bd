"""The helpers of the target `python` against torch: every element type, shapes that broadcast, and numbers at which
plain Python raises: infinities, NaN, zeros, the ends of integers.

    python tests/python/helpers.py templates/python/helpers
"""

import itertools
import json
import math
import operator
import pathlib
import struct
import sys
import tempfile

import torch
import torch.nn.functional as F

FLOATS = ["float16", "bfloat16", "float32", "float64"]
INTEGERS = ["int8", "int16", "int32", "int64", "uint8"]
NAMES = {"float16": "F16", "bfloat16": "BF16", "float32": "F32", "float64": "F64"}
NAMES |= {"int8": "I8", "int16": "I16", "int32": "I32", "int64": "I64"}
NAMES |= {"uint8": "U8", "bool": "BOOL"}
EXTREMES = [math.nan, math.inf, -math.inf, 0.0, -0.0, 1e30, -1e30, 1e-30]
EXTREMES += [0.5, 1.5, 2.5, -0.5, 1.0, -1.0, 100.0, -100.0, 3.0, -3.0]
PAIRS = [((), ()), ((5,), ()), ((), (3,)), ((2, 3), (3,)), ((2, 1), (1, 4))]
PAIRS += [((2, 1, 3), (4, 1)), ((0, 3), (3,)), ((2, 3, 4), (2, 3, 4))]
SHAPES = [(), (3,), (2, 3), (2, 3, 4), (2, 1, 3, 2)]
TOLERANCES = {"float16": (2e-3, 1e-3), "bfloat16": (2e-2, 1e-2)}

chance = torch.Generator().manual_seed(0)
compared = 0


class Helpers:
    """What the files define."""

    def __init__(self, folder):
        modules = (itertools, json, math, operator, struct)
        names = {module.__name__: module for module in modules}
        for file in sorted(pathlib.Path(folder).glob("*.py")):
            exec(compile(file.read_text(), file.name, "exec"), names)
        self.__dict__.update(names)


def drawn(shape, dtype, extreme=False):
    kind = getattr(torch, dtype)
    if dtype == "bool":
        return torch.randint(0, 2, shape, generator=chance).bool()
    if dtype in FLOATS:
        numbers = torch.randn(shape, generator=chance, dtype=torch.float64) * 2.0
        if extreme:
            pool = torch.tensor(EXTREMES, dtype=torch.float64)
            chosen = pool[torch.randint(0, len(pool), shape, generator=chance)]
            mask = torch.rand(shape, generator=chance) < 0.5
            numbers = torch.where(mask, chosen, numbers)
        return numbers.to(kind)
    info = torch.iinfo(kind)
    if extreme:
        pool = torch.tensor([info.min, info.max, 0, 1, 2, 3, 7])
        return pool[torch.randint(0, len(pool), shape, generator=chance)].to(kind)
    return torch.randint(max(info.min, -9), 10, shape, generator=chance).to(kind)


def own(tensor):
    dtype = str(tensor.dtype).removeprefix("torch.")
    return helpers.Array(tensor.shape, dtype, tensor.flatten().tolist())


def same(what, have, want):
    """Fails unless the array is as the tensor: type, shape, Python's types, numbers that the type holds."""
    global compared
    compared += 1
    dtype = str(want.dtype).removeprefix("torch.")
    assert (have.dtype, have.shape) == (dtype, tuple(want.shape)), f"{what} {dtype}"
    kind = bool if dtype == "bool" else float if dtype in FLOATS else int
    assert all(type(number) is kind for number in have.data), f"{what}: {have.data}"
    if dtype not in FLOATS:
        assert have.data == want.flatten().tolist(), f"{what} {dtype}: {have} {want}"
        return
    numbers = torch.tensor(have.data, dtype=torch.float64).reshape(want.shape)
    rounded = numbers.to(want.dtype).double()
    assert torch.equal(rounded.nan_to_num(7.0), numbers.nan_to_num(7.0)), (
        f"{what} {dtype}"
    )
    rtol, atol = TOLERANCES.get(dtype, (1e-5, 1e-6))
    close = torch.allclose(numbers, want.double(), rtol=rtol, atol=atol, equal_nan=True)
    assert close, f"{what} {dtype}: {numbers} {want}"


def pairs(dtype, extreme):
    for left, right in PAIRS:
        a, b = drawn(left, dtype, extreme), drawn(right, dtype, extreme)
        x, y = own(a), own(b)
        for name in ("add", "sub", "mul", "eq", "ne", "lt", "le", "gt", "ge"):
            function = getattr(operator, name)
            same(name, function(x, y), function(a, b))
        same("minimum", helpers.combined(helpers.smaller, x, y), torch.minimum(a, b))
        same("maximum", helpers.combined(helpers.larger, x, y), torch.maximum(a, b))
        mask = drawn(left, "bool")
        same("where", helpers.where(own(mask), x, y), torch.where(mask, a, b))
        if dtype in FLOATS:
            same("div", x / y, a / b)
            if dtype != "bfloat16":
                same("pow", helpers.power(x, y), (a.double() ** b.double()).to(a.dtype))
            continue
        for name in ("and_", "or_", "xor"):
            function = getattr(operator, name)
            same(name, function(x, y), function(a, b))
        few = drawn(right, dtype).clamp(0, 7)
        same("pow", helpers.power(x, own(few)), a**few)
        same("shift_left", helpers.shift_left(x, own(few)), a << few)
        same("shift_right", helpers.shift_right(x, own(few)), a >> few)
        if not extreme:
            divisor = torch.where(b == 0, 1, b)
            same("floor_div", helpers.floor_divide(x, own(divisor)), a // divisor)
            same("mod", helpers.remainder(x, own(divisor)), a % divisor)


def elements(dtype, extreme):
    a = drawn((4, 7), dtype, extreme)
    x = own(a)
    same("neg", -x, -a)
    same("abs", helpers.mapped(abs, x), a.abs())
    for wanted in FLOATS + INTEGERS + ["bool"]:
        kind = getattr(torch, wanted)
        cast = a.to(kind)
        if dtype in FLOATS and wanted in INTEGERS:
            low, high = torch.iinfo(kind).min, torch.iinfo(kind).max
            ends = [0 if v != v else int(min(max(v, low), high)) for v in x.data]
            cast = torch.tensor(ends, dtype=kind).reshape(a.shape)
        same(f"cast {dtype}", helpers.cast(x, wanted), cast)
    if dtype not in FLOATS:
        return
    exact = a.double()
    for name in ("exp", "log", "sqrt", "rsqrt", "sinh", "cosh", "atanh"):
        same(name, getattr(helpers, name)(x), getattr(exact, name)().to(a.dtype))
    for name in (
        "sin",
        "cos",
        "tan",
        "asin",
        "acos",
        "atan",
        "tanh",
        "asinh",
        "acosh",
        "erf",
    ):
        mapped = helpers.mapped(getattr(math, name), x)
        same(name, mapped, getattr(exact, name)().to(a.dtype))
    for name, function in (
        ("floor", math.floor),
        ("ceil", math.ceil),
        ("round", round),
    ):
        same(name, helpers.whole(function, x), getattr(a, name)())
    same("isnan", helpers.isnan(x), a.isnan())
    same("isinf", helpers.isinf(x), a.isinf())


def shapes(dtype, shape):
    a = drawn(shape, dtype)
    x, rank = own(a), len(shape)
    wide = a.double() if dtype in FLOATS else a.long()
    all_axes = [None, *range(-rank, rank), *itertools.combinations(range(rank), 2)]
    for axis, keepdim in itertools.product(all_axes, (False, True)):
        dims = tuple(range(rank)) if axis is None else axis
        total = wide.sum(dims, keepdim=keepdim) if rank else wide
        same("sum", helpers.sum_of(x, axis, keepdim), total.to(a.dtype))
        same("max", helpers.max_of(x, axis, keepdim), a.amax(dims, keepdim=keepdim))
        same("min", helpers.min_of(x, axis, keepdim), a.amin(dims, keepdim=keepdim))
    for axis in range(-rank, rank):
        same("cumsum", helpers.cumsum(x, axis), wide.cumsum(axis).to(a.dtype))
        same("cumprod", helpers.cumprod(x, axis), wide.cumprod(axis).to(a.dtype))
        for descending in (False, True):
            values, places = helpers.sort(x, axis, descending=descending)
            wanted = torch.sort(a, dim=axis, descending=descending, stable=True)
            same("sort", values, wanted.values)
            same("sort", places, wanted.indices)
        for n in (1, 2, 3):
            for have, want in zip(
                helpers.chunk(x, n, axis), a.chunk(n, axis), strict=True
            ):
                same("chunk", have, want)
        same("stack", helpers.stack([x, x], axis), torch.stack([a, a], axis))
        same("concat", helpers.concat([x, x], axis), torch.cat([a, a], axis))
        same("flip", helpers.flip(x, axis), a.flip(axis))
        same("roll", helpers.roll(x, (2,), axis), a.roll(2, axis))
        index = torch.randint(-shape[axis], shape[axis], (4,), generator=chance)
        place = index % shape[axis]
        same("take", helpers.take(x, own(index), axis), a.index_select(axis, place))
        sizes = [3 if i == axis % rank else max(1, n - 1) for i, n in enumerate(shape)]
        index = torch.randint(-shape[axis], shape[axis], sizes, generator=chance)
        place, new = index % shape[axis], drawn(sizes, dtype)
        same("gather", helpers.gather(x, axis, own(index)), a.gather(axis, place))
        for ours, theirs in (
            ("add", "sum"),
            ("mul", "prod"),
            ("max", "amax"),
            ("min", "amin"),
        ):
            have = helpers.scatter(x, axis, own(index), own(new), reduce=ours)
            want = wide.scatter_reduce(axis, place, new.to(wide.dtype), theirs)
            same(f"scatter {ours}", have, want.to(a.dtype))
    for axes in itertools.permutations(range(rank)):
        same("permute", helpers.permute(x, axes), a.permute(axes))
    for items in itertools.product(
        (slice(None), 0, -1, slice(1, None), slice(None, None, 2)), repeat=rank
    ):
        same(f"{items}", x[items], a[items])
    assert x.tolist() == a.tolist()
    assert helpers.array(x.tolist(), dtype).data == x.data


def sizes_of(axes, low, high):
    return tuple(torch.randint(low, high, (axes,), generator=chance).tolist())


def windows(axes):
    functions = {
        name: getattr(F, f"{name}{axes}d") for name in ("conv", "max_pool", "avg_pool")
    }
    for _ in range(25):
        groups, inputs, outputs = sizes_of(3, 1, 3)
        kernel, stride, padding = (
            sizes_of(axes, 1, 4),
            sizes_of(axes, 1, 4),
            sizes_of(axes, 0, 3),
        )
        dilation = sizes_of(axes, 1, 3)
        a = drawn((2, groups * inputs, *sizes_of(axes, 6, 8)), "float32")
        w = drawn((groups * outputs, inputs, *kernel), "float32")
        have = helpers.convolve(own(a), own(w), None, stride, padding, dilation, groups)
        want = functions["conv"](
            a.double(), w.double(), None, stride, padding, dilation, groups
        )
        same("conv", have, want.float())
        padding = tuple(min(p, k // 2) for p, k in zip(padding, kernel))
        for ceil in (False, True):
            have = helpers.max_pool(
                own(a), axes, kernel, stride, padding, dilation, ceil
            )
            want = functions["max_pool"](
                a, kernel, stride, padding, dilation, ceil_mode=ceil
            )
            same("max_pool", have, want)
            for counted in (False, True):
                have = helpers.avg_pool(
                    own(a), axes, kernel, stride, padding, ceil, counted
                )
                want = functions["avg_pool"](a, kernel, stride, padding, ceil, counted)
                same("avg_pool", have, want)


def weights():
    """A file of every element type, read back."""
    tensors = {dtype: drawn((2, 3), dtype) for dtype in [*FLOATS, *INTEGERS, "bool"]}
    header, content = {"__metadata__": {"by": "hand"}}, b""
    for name, tensor in tensors.items():
        raw = bytes(tensor.flatten().view(torch.uint8).tolist())
        entry = {"dtype": NAMES[name], "shape": [2, 3]}
        entry["data_offsets"] = [len(content), len(content) + len(raw)]
        header[name], content = entry, content + raw
    text = json.dumps(header).encode()
    with tempfile.NamedTemporaryFile() as file:
        file.write(len(text).to_bytes(8, "little") + text + content)
        file.flush()
        found = helpers.read_safetensors(file.name)
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        same(f"safetensors {name}", found[name], tensor)


if __name__ == "__main__":
    helpers = Helpers(sys.argv[1])
    for dtype in FLOATS + INTEGERS:
        for extreme in (False, True):
            pairs(dtype, extreme)
            elements(dtype, extreme)
        for shape in SHAPES:
            shapes(dtype, shape)
    for axes in (1, 2, 3):
        windows(axes)
    weights()
    print(f"{compared} results")
