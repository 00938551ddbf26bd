"""Quantisation schemes and packed forms, computed with NumPy from their definitions in docs/numerics.md.

`schemes.py BINARY` compares the codes, scales, zero points and packed bytes of the interpreter and of
`tritonc quantize` with these, bit for bit; `schemes.py BINARY torch` those of `.pack()` of an emitted PyTorch module.
Both print how many tensors they have compared, and work in the current folder.
"""

import json
import subprocess
import sys

import numpy as np

f32 = np.float32


# ---- element types


def to_bfloat16(x):
    """The nearest bfloat16, ties to even, as float32."""
    bits = np.asarray(x, f32).view(np.uint32).astype(np.uint64)
    bits = (bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000
    return bits.astype(np.uint32).view(f32)


def rounded(scale, dtype):
    if dtype == "float16":
        return scale.astype(np.float16).astype(f32)
    if dtype == "bfloat16":
        return to_bfloat16(scale)
    return scale


# ---- schemes


def slices(w, axis=None, group=None, dynamic=False):
    """`w` with one row for each scale, and what undoes it; the shape of the scales."""
    if axis is not None:
        moved = np.moveaxis(w, axis, 0)
        rows = moved.reshape(moved.shape[0], -1)
        return rows, lambda q: np.moveaxis(q.reshape(moved.shape), 0, axis), (moved.shape[0],)
    if group is not None:
        size = w.shape[-1] // group
        return w.reshape(-1, group), lambda q: q.reshape(w.shape), (*w.shape[:-1], size)
    if dynamic:
        return w.reshape(-1, w.shape[-1]), lambda q: q.reshape(w.shape), w.shape[:-1]
    return w.reshape(1, -1), lambda q: q.reshape(w.shape), ()


def stored(scale, dtype):
    """A scale in its type; 1 where there is nothing to scale."""
    scale = rounded(np.asarray(scale, f32), dtype)
    return np.where(scale == 0, f32(1), scale)


def mean(total, count):
    return np.divide(total, count, out=np.zeros_like(total), where=count > 0).astype(f32)


def ternary(rows, dtype, rule="absmean", ratio=0.3, threshold=0.33, scale=None):
    size = np.abs(rows)
    if rule == "absmean":
        average = mean(size.sum(1, dtype=np.float64), np.full(len(rows), rows.shape[1]))
        s = stored(np.where(average > 0, np.maximum(average, f32(1e-5)), f32(0)), dtype)
        return np.clip(np.rint(rows / s[:, None]), -1, 1), s, None
    limit = f32(ratio) * size.max(1, keepdims=True) if rule == "max" else f32(threshold)
    kept = size > limit
    s = np.ones(len(rows), f32)
    if scale == "kept":
        s = mean(np.where(kept, size, 0).sum(1, dtype=np.float64), kept.sum(1))
    return np.where(kept, np.sign(rows), 0), stored(s, dtype), None


def integer(rows, dtype, bits, symmetric=True):
    if symmetric:
        top = f32(7 if bits == 4 else 127)
        s = stored(np.abs(rows).max(1) / top, dtype)
        return np.clip(np.rint(rows / s[:, None]), -top, top), s, None
    low, high = (0, 15) if bits == 4 else (-128, 127)
    least, most = np.minimum(rows.min(1), f32(0)), np.maximum(rows.max(1), f32(0))
    raw = rounded((most - least) / f32(high - low), dtype)
    s = stored(raw, dtype)
    z = np.where(raw == 0, f32(0), np.clip(np.rint(f32(low) - least / s), low, high))
    return np.clip(np.rint(rows / s[:, None]) + z[:, None], low, high), s, z


def quantize(w, kind, axis=None, group=None, dynamic=False, scale_dtype="float32", **options):
    """Codes, scale and zero point (or None), as integers and float32."""
    rows, restore, shape = slices(w.astype(f32), axis, group, dynamic)
    if kind == "ternary":
        codes, s, z = ternary(rows, scale_dtype, **options)
    else:
        codes, s, z = integer(rows, scale_dtype, int(kind[3:]), **options)
    return restore(codes).astype(np.int64), s.reshape(shape), None if z is None else z.reshape(shape).astype(np.int64)


def philox(seed, count):
    """The first words of a seed's stream: Philox4x32-10."""
    blocks = np.arange((count + 3) // 4, dtype=np.uint64)
    mask, shift = np.uint64(0xFFFFFFFF), np.uint64(32)
    c = [blocks & mask, blocks >> shift, np.zeros_like(blocks), np.zeros_like(blocks)]
    key = [np.uint64(seed & 0xFFFFFFFF), np.uint64(seed >> 32 & 0xFFFFFFFF)]
    for _ in range(10):
        a, b = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        c = [(b >> shift) ^ c[1] ^ key[0], b & mask, (a >> shift) ^ c[3] ^ key[1], a & mask]
        key = [(key[0] + np.uint64(0x9E3779B9)) & mask, (key[1] + np.uint64(0xBB67AE85)) & mask]
    return np.stack(c, 1).reshape(-1)[:count]


def stochastic(w, seed):
    """Absmean codes, rounded at random."""
    _, s, _ = quantize(w, "ternary")
    uniform = ((philox(seed, w.size) >> np.uint64(8)).astype(f32) * f32(2**-24)).reshape(w.shape)
    return np.clip(np.floor(np.clip(w / s, -1, 1) + uniform), -1, 1).astype(np.int64), s


# ---- packed forms


def packed(codes, form):
    """Bytes, each row from a byte's start."""
    if form == "int8":
        return (codes & 0xFF).astype(np.uint8)
    offset, base, each = {"ternary2": (1, 4, 4), "ternary5": (1, 3, 5), "int4": (8, 16, 2), "uint4": (0, 16, 2)}[form]
    digits = codes + offset
    padding = [(0, 0)] * (codes.ndim - 1) + [(0, -codes.shape[-1] % each)]
    digits = np.pad(digits, padding, constant_values=offset).reshape(*codes.shape[:-1], -1, each)
    return (digits * base ** np.arange(each)).sum(-1).astype(np.uint8)


def form_of(options):
    if options["kind"] == "ternary":
        return "ternary2"
    if options["kind"] == "int8":
        return "int8"
    return "int4" if options.get("symmetric", True) else "uint4"


# ---- what is compared

TYPES = [{}, {"scale_dtype": "float16"}, {"scale_dtype": "bfloat16"}]
SLICES = [{}, {"axis": 0}, {"axis": -1}, {"group": 4}]
RULES = [
    {"kind": "ternary"},
    {"kind": "ternary", "rule": "max", "ratio": 0.3},
    {"kind": "ternary", "rule": "max", "ratio": 0.7, "scale": "kept"},
    {"kind": "ternary", "rule": "fixed", "threshold": 0.33},
    {"kind": "ternary", "rule": "fixed", "threshold": 0.05, "scale": "kept"},
    {"kind": "int8"},
    {"kind": "int8", "symmetric": False},
    {"kind": "int4"},
    {"kind": "int4", "symmetric": False},
]
WEIGHTS = [rule | part | dtype for rule in RULES for part in SLICES for dtype in TYPES]
ACTIVATIONS = [rule | {"dynamic": True} for rule in RULES if rule["kind"] != "ternary"]


def text(options):
    """The scheme as Tri writes it."""

    def value(v):
        if isinstance(v, bool):
            return str(v).lower()
        return json.dumps(v) if isinstance(v, str) else str(v)

    given = [
        f"{key}={v if key == 'scale_dtype' else value(v)}" for key, v in options.items() if key != "kind"
    ]
    return f"{options['kind']}({', '.join(given)})"


def tensors():
    """Odd sizes and odd values: ties, zeros, rows of nothing else, the ends of what a type holds."""
    random = np.random.default_rng(7)
    found = {
        "one": np.array([[-0.75]], f32),
        "odd": random.standard_normal((7, 13)).astype(f32),
        "wide": random.standard_normal((3, 132)).astype(f32) * f32(40),
        "kernel": random.standard_normal((5, 3, 2, 4)).astype(f32),
        "ties": (random.integers(-14, 15, (6, 8)) * 0.5).astype(f32),
        "zeros": np.zeros((3, 8), f32),
        "positive": random.random((4, 12)).astype(f32) + f32(2),
        "tiny": (random.standard_normal((4, 8)) * 1e-40).astype(f32),
        "small": (random.standard_normal((4, 8)) * 1e-7).astype(f32),
        "half": random.standard_normal((5, 12)).astype(np.float16),
        "huge": (random.standard_normal((4, 8)) * 1e37).astype(f32),
    }
    found["sparse"] = found["odd"] * (random.random((7, 13)) < 0.2)
    found["sparse"][2] = 0
    return found


def fits(w, name, options):
    group = options.get("group")
    if group and w.shape[-1] % group:
        return False
    return name != "huge" or options.get("scale_dtype") != "float16"


# ---- the program


def read_safetensors(path):
    """Arrays by name; bfloat16 as float32."""
    data = open(path, "rb").read()
    start = 8 + int.from_bytes(data[:8], "little")
    types = {"F32": f32, "F16": np.float16, "BF16": np.uint16, "U8": np.uint8, "I8": np.int8}
    found = {}
    for name, entry in json.loads(data[8:start]).items():
        if name == "__metadata__":
            continue
        first, last = entry["data_offsets"]
        array = np.frombuffer(data[start + first : start + last], types[entry["dtype"]]).reshape(entry["shape"])
        if entry["dtype"] == "BF16":
            array = (array.astype(np.uint32) << 16).view(f32)
        found[name] = array
    return found


def run(*arguments):
    done = subprocess.run(arguments, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(arguments)}\n{done.stderr}")


def same(what, found, wanted):
    """Bit for bit, but for the sign of nothing."""
    found, wanted = np.asarray(found), np.asarray(wanted)
    if found.shape != wanted.shape:
        raise SystemExit(f"{what}: shape {found.shape}, NumPy {wanted.shape}")
    differ = np.flatnonzero((found.astype(np.float64) != wanted.astype(np.float64)).reshape(-1))
    if differ.size:
        at = differ[0]
        own, theirs = found.reshape(-1)[at], wanted.reshape(-1)[at]
        raise SystemExit(f"{what}: {differ.size} differ, first at {at}: {own!r}, NumPy {theirs!r}")


def compare_files(binary, all_tensors):
    """`tritonc quantize` of every tensor under every scheme."""
    count = 0
    for options in WEIGHTS:
        chosen = {name: w for name, w in all_tensors.items() if fits(w, name, options)}
        np.savez("w.npz", **chosen)
        run(binary, "quantize", "w.npz", "--scheme", f"*={text(options)}", "-o", "q.safetensors")
        found = read_safetensors("q.safetensors")
        for name, w in chosen.items():
            codes, scale, zero = quantize(w, **options)
            where = f"{text(options)} of {name}"
            same(f"{where}: codes", found.pop(f"{name}.codes").view(np.uint8), packed(codes, form_of(options)))
            same(f"{where}: scale", found.pop(f"{name}.scale"), scale)
            if zero is not None:
                same(f"{where}: zero point", found.pop(f"{name}.zero_point"), zero)
            count += 1
        if found:
            raise SystemExit(f"{text(options)}: there are also {sorted(found)}")
    return count


def compare_interpreter(binary, all_tensors):
    """`quantize` and `pack` on the interpreter."""
    seed = 2**40 + 11
    count = 0
    for name, w in all_tensors.items():
        wanted, lines, names = [], [], []

        def result(line, values):
            lines.append(line)
            for value in values:
                names.append(f"r{len(names)}")
                wanted.append((line, value))
            return names[-len(values) :]

        for options in WEIGHTS + ACTIVATIONS:
            if not fits(w, name, options):
                continue
            parts = [part for part in quantize(w, **options) if part is not None]
            own = result(f"quantize(x, {text(options)})", parts)
            form = form_of(options).replace("u", "")
            for form, base in [(form, form_of(options))] + [("ternary5", "ternary5")] * (form == "ternary2"):
                result(f'pack({own[0]}, format="{form}")', [packed(parts[0], base)])
            count += 1
        result(f"quantize(x, ternary(stochastic=true), seed=tensor({seed}).reshape([]))", stochastic(w.astype(f32), seed))
        body, at = [], 0
        for line in lines:
            size = 1 if line.startswith("pack") else sum(1 for other, _ in wanted[at : at + 3] if other == line)
            target = ", ".join(names[at : at + size])
            body.append(f"        let {f'({target})' if size > 1 else target} = {line}")
            at += size
        dims = ", ".join(str(size) for size in w.shape)
        program = f"layer Net {{\n    fn forward(x: float32[{dims}]) {{\n" + "\n".join(body)
        program += f"\n        return ({', '.join(names)})\n    }}\n}}\n"
        open("net.tri", "w").write(program)
        np.save("x.npy", w.astype(f32))
        run(binary, "run", "net.tri", "--input", "x=x.npy", "-o", "out.npz")
        found = np.load("out.npz")
        for index, (line, value) in enumerate(wanted):
            same(f"{line} of {name}", found[f"output.{index}"], value)
    return count


def compare_torch(binary, all_tensors):
    """A module with a parameter for each scheme, trained and then packed."""
    import torch

    parameters = {}
    for options in WEIGHTS:
        for name in ["odd", "kernel", "ties", "zeros", "sparse", "positive"]:
            if fits(all_tensors[name], name, options):
                parameters[f"{name}{len(parameters)}"] = (options, all_tensors[name].astype(f32))
    lines = []
    for name, (options, w) in parameters.items():
        dims = ", ".join(str(size) for size in w.shape)
        lines += [f"    @quantize({text(options)})", f"    param {name}: float32[{dims}]"]
    total = " + ".join(f"{name}.sum()" for name in parameters)
    body = f"    fn forward(x: float32) -> float32 = x + {total}"
    open("net.tri", "w").write("layer Net {\n" + "\n".join(lines) + f"\n\n{body}\n}}\n")
    run(binary, "build", "net.tri", "--mode", "train", "-o", ".")
    sys.path.insert(0, ".")
    model = __import__("net").Model()
    model.load_state_dict({name: torch.from_numpy(w) for name, (_, w) in parameters.items()})
    found = {name: tensor.float() for name, tensor in model.pack().state_dict().items()}
    for name, (options, w) in parameters.items():
        where = f"{text(options)} of {name}, packed by PyTorch"
        codes, scale, zero = quantize(w, **options)
        same(f"{where}: codes", found.pop(f"{name}.codes") % 256, packed(codes, form_of(options)))
        same(f"{where}: scale", found.pop(f"{name}.scale"), scale)
        if zero is not None:
            same(f"{where}: zero point", found.pop(f"{name}.zero_point"), zero)
    if found:
        raise SystemExit(f"there are also {sorted(found)}")
    return len(parameters)


def main():
    binary = sys.argv[1]
    all_tensors = tensors()
    if sys.argv[2:] == ["torch"]:
        print(f"{compare_torch(binary, all_tensors)} tensors of PyTorch")
        return
    files = compare_files(binary, all_tensors)
    codes = compare_interpreter(binary, all_tensors)
    print(f"{files} tensors of files, {codes} of the interpreter")


if __name__ == "__main__":
    with np.errstate(over="raise", invalid="raise"):
        main()
