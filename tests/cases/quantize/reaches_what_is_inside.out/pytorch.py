# Net(dim=4) of tests/cases/quantize/reaches_what_is_inside.tri, compiled by tritonc 0.1.0

import json
import math

import torch
import torch.nn.functional as F
from torch import nn


def pack_codes(codes, bits, offset):
    """Codes in as few bytes as they need, along the last axis, the first in the low bits."""
    if bits == 8:
        return codes.view(torch.uint8)
    digits = F.pad(
        codes.int() + offset, (0, -codes.shape[-1] % (8 // bits)), value=offset
    )
    shifts = torch.arange(0, 8, bits, device=codes.device)
    digits = digits.unflatten(-1, (-1, 8 // bits)) << shifts
    return digits.sum(-1).to(torch.uint8)


def unpack_codes(packed, size, bits, offset):
    """The `size` codes that each row of packed bytes holds."""
    if bits == 8:
        return packed.view(torch.int8)
    shifts = torch.arange(0, 8, bits, device=packed.device)
    digits = packed.unsqueeze(-1).int() >> shifts & 2**bits - 1
    return digits.flatten(-2)[..., :size] - offset


class PackedWeight(nn.Module):
    """A quantised weight: packed codes and their scale."""

    def __init__(self, weight, scheme):
        super().__init__()
        self.shape = weight.shape
        self.dtype = weight.dtype
        self.scheme = scheme
        codes, scale = scheme.quantize(weight)
        self.register_buffer("codes", pack_codes(codes, scheme.bits, scheme.offset))
        self.register_buffer("scale", scale.contiguous())

    def store(self, weight):
        """Quantises a float weight into this one."""
        other = PackedWeight(weight.to(self.dtype), self.scheme)
        for own, part in zip(self.buffers(), other.buffers()):
            own.copy_(part)

    def unpack(self):
        """The codes, one to an element."""
        scheme = self.scheme
        codes = unpack_codes(self.codes, self.shape[-1], scheme.bits, scheme.offset)
        return codes.to(scheme.code_dtype)

    def parts(self):
        """What the codes are multiplied by."""
        return [self.scale]

    def dequantize(self):
        """The weight as floats."""
        return self.scheme.dequantize(self.unpack(), *self.parts(), dtype=self.dtype)


def pack_weight(module, name):
    """Puts packed codes in the place of a module's float weight."""
    weight = getattr(module, name).detach()
    delattr(module, name)
    setattr(module, name, PackedWeight(weight, module.schemes[name]))


class Scheme:
    """A way to write numbers as small integer codes and a scale.

    One scale serves the whole tensor, or
    one index of `axis`.
    """

    def __init__(self, axis=None):
        self.axis = axis

    def slices(self, x):
        """`x` so that whole axes share a scale, and those axes."""
        if self.axis is not None:
            own = self.axis % x.dim()
            # One more axis, since no axes at all would mean all of them.
            x = x.unsqueeze(-1)
            return x, tuple(axis for axis in range(x.dim()) if axis != own)
        return x, tuple(range(x.dim()))

    def stored(self, scale):
        """Scales in their type; that of nothing but zeros is 1."""
        return torch.where(scale == 0, 1.0, scale)

    def quantize(self, x):
        """Codes and scale."""
        # No gradient passes the scale.
        slices, shared = self.slices(x.detach().float())
        codes, *parts = self.encode(slices, shared)
        codes = codes.to(self.code_dtype).reshape(x.shape)
        return codes, *(part.squeeze(shared) for part in parts)

    def dequantize(self, codes, scale, dtype=torch.float32):
        """The numbers that the codes stand for."""
        slices, shared = self.slices(codes.float())
        sizes = [1 if axis in shared else n for axis, n in enumerate(slices.shape)]
        return (slices * scale.float().reshape(sizes)).reshape(codes.shape).to(dtype)


class Ternary(Scheme):
    """Codes -1, 0 and 1: weights over their mean absolute value, rounded."""

    bits, offset, code_dtype = 2, 1, torch.int8

    def encode(self, slices, shared):
        mean = slices.abs().double().mean(shared, keepdim=True)
        scale = torch.where(mean > 0, mean.float().clamp(min=1e-5), 0.0)
        scale = self.stored(scale)
        return (slices / scale.float()).round().clamp(-1, 1), scale


class Int(Scheme):
    """Signed codes of 4 or 8 bits, symmetric about 0."""

    def __init__(self, bits, **options):
        super().__init__(**options)
        self.bits = bits
        self.offset = 8 if bits == 4 else 0
        self.limit = 7 if bits == 4 else 127
        self.code_dtype = torch.int8

    def encode(self, slices, shared):
        scale = self.stored(slices.abs().amax(shared, keepdim=True) / self.limit)
        codes = (slices / scale.float()).round()
        return codes.clamp(-self.limit, self.limit), scale


def read_safetensors(path):
    """The tensors of a safetensors file, by name."""
    with open(path, "rb") as file:
        data = file.read()
    start = 8 + int.from_bytes(data[:8], "little")
    tensors = {}
    for name, entry in json.loads(data[8:start]).items():
        if name == "__metadata__":
            continue
        if entry["dtype"] not in DTYPES:
            raise ValueError(f"{name}: element type {entry['dtype']} is not supported")
        dtype = DTYPES[entry["dtype"]]
        first, last = (start + offset for offset in entry["data_offsets"])
        raw = torch.frombuffer(bytearray(data[first:last] or b"\0"), dtype=torch.uint8)
        tensors[name] = raw[: last - first].view(dtype).reshape(entry["shape"])
    return tensors


DTYPES = {
    "BOOL": torch.bool,
    "U8": torch.uint8,
    "I8": torch.int8,
    "I16": torch.int16,
    "I32": torch.int32,
    "I64": torch.int64,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F32": torch.float32,
    "F64": torch.float64,
}


def load_weights(model, tensors):
    """Puts tensors in place by name; every misfit is listed in one error."""
    wanted = model.state_dict()
    problems = [f"missing: {name}" for name in wanted if name not in tensors]
    problems += [f"unexpected: {name}" for name in tensors if name not in wanted]
    for name in wanted.keys() & tensors.keys():
        have, want = tensors[name], wanted[name]
        if have.shape != want.shape or have.dtype != want.dtype:
            have, want = (f"{t.dtype} {list(t.shape)}" for t in (have, want))
            problems.append(f"{name} is {have}, not {want}")
    if problems:
        raise ValueError(
            "weights do not fit the model:\n  " + "\n  ".join(sorted(problems))
        )
    model.load_state_dict(tensors)


def adopt_packed(model, tensors):
    """Brings each quantised weight of the model and the file to one form."""
    for prefix, part in list(model.named_modules()):
        for name, scheme in getattr(part, "schemes", {}).items():
            path = f"{prefix}.{name}" if prefix else name
            packed = isinstance(getattr(part, name), PackedWeight)
            codes = tensors.get(f"{path}.codes")
            if codes is not None:
                if scheme.bits == 2 and (codes & codes >> 1 & 0x55).any():
                    raise ValueError(f"{path}.codes holds an invalid ternary code")
                if not packed:
                    pack_weight(part, name)
            elif path in tensors and packed:
                weight = PackedWeight(tensors.pop(path), scheme)
                tensors |= {f"{path}.{key}": t for key, t in weight.named_buffers()}


def layer_norm(x, weight, bias, eps):
    """Layer normalisation over the last axis (https://arxiv.org/abs/1607.06450).
    `x: [..., D]`; `weight` and `bias: [D]` may be left out. The shape stays.
    """
    # <std>/prelude.tri:79
    centred = x - x.mean(-1, keepdim=True)
    # <std>/prelude.tri:80
    variance = (centred * centred).mean(-1, keepdim=True)
    # <std>/prelude.tri:81
    y = centred * (variance + eps).rsqrt()
    # <std>/prelude.tri:82
    y = y * weight
    # <std>/prelude.tri:83
    return y + bias


class Embedding(nn.Module):
    """A table of vectors, looked up by index.

    Compiled for F = float32.
    """

    def __init__(self, num_embeddings, embedding_dim):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_embeddings, embedding_dim))
        self.reset_parameters()

    def reset_parameters(self):
        nn.init.normal_(self.weight, mean=0.0, std=1.0)

    def forward(self, index):
        """`[...]` of indices gives `[..., embedding_dim]`."""
        # <std>/nn.tri:240
        return self.weight[index]


class LayerNorm(nn.Module):
    """Layer normalisation over the last axis (https://arxiv.org/abs/1607.06450).

    eps: Added to the variance.

    Compiled for F = float32, affine = true.
    """

    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.empty(dim))
        self.bias = nn.Parameter(torch.empty(dim))
        self.reset_parameters()

    def reset_parameters(self):
        nn.init.ones_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, x):
        """`[..., dim]` gives the same shape."""
        # <std>/nn.tri:256
        return layer_norm(x, self.weight, self.bias, self.eps)


class Linear_2(nn.Module):
    """Affine map of the last axis: `x @ weight.T`, and a learnt offset if `bias` is set.

    in_features: Size of the last axis of the input.
    out_features: Size of the last axis of the output.

    Compiled for F = float32, bias = true.
    """

    def __init__(self, in_features, out_features):
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        self.schemes = {"weight": Ternary(axis=0)}
        self.weight = PackedWeight(
            torch.zeros(out_features, in_features), Ternary(axis=0)
        )
        self.bias = nn.Parameter(torch.empty(out_features))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self):
        weight = torch.empty((self.out_features, self.in_features))
        nn.init.kaiming_uniform_(weight, a=math.sqrt(5))
        self.weight.store(weight)
        nn.init.zeros_(self.bias)

    def forward(self, x):
        """`[..., in_features]` gives `[..., out_features]`."""
        # <std>/nn.tri:22
        y = x @ self.weight.dequantize().T
        # <std>/nn.tri:23
        return y + self.bias


class Linear(nn.Module):
    """Affine map of the last axis: `x @ weight.T`, and a learnt offset if `bias` is set.

    in_features: Size of the last axis of the input.
    out_features: Size of the last axis of the output.

    Compiled for F = float32, bias = true.
    """

    def __init__(self, in_features, out_features):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.bias = nn.Parameter(torch.empty(out_features))
        self.reset_parameters()

    def reset_parameters(self):
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        nn.init.zeros_(self.bias)

    def forward(self, x):
        """`[..., in_features]` gives `[..., out_features]`."""
        # <std>/nn.tri:22
        y = x @ self.weight.T
        # <std>/nn.tri:23
        return y + self.bias


class Block(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.norm = LayerNorm(dim)
        self.up = Linear_2(dim, 2 * dim)
        self.down = Linear(2 * dim, dim)

    def forward(self, x):
        # tests/cases/quantize/reaches_what_is_inside.tri:15
        return x + self.down(F.relu(self.up(self.norm(x))))


class Linear_3(nn.Module):
    """Affine map of the last axis: `x @ weight.T`, and a learnt offset if `bias` is set.

    in_features: Size of the last axis of the input.
    out_features: Size of the last axis of the output.

    Compiled for F = float32, bias = true.
    """

    def __init__(self, in_features, out_features):
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        self.schemes = {"weight": Int(8, axis=0)}
        self.weight = PackedWeight(
            torch.zeros(out_features, in_features), Int(8, axis=0)
        )
        self.bias = nn.Parameter(torch.empty(out_features))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self):
        weight = torch.empty((self.out_features, self.in_features))
        nn.init.kaiming_uniform_(weight, a=math.sqrt(5))
        self.weight.store(weight)
        nn.init.zeros_(self.bias)

    def forward(self, x):
        """`[..., in_features]` gives `[..., out_features]`."""
        # <std>/nn.tri:22
        y = x @ self.weight.dequantize().T
        # <std>/nn.tri:23
        return y + self.bias


class Block_2(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.norm = LayerNorm(dim)
        self.up = Linear_3(dim, 2 * dim)
        self.down = Linear(2 * dim, dim)

    def forward(self, x):
        # tests/cases/quantize/reaches_what_is_inside.tri:15
        return x + self.down(F.relu(self.up(self.norm(x))))


class Int8Linear(nn.Module):
    """`Linear` with int8 weights and one scale for each output.

    Compiled for F = float32, bias = true.
    """

    def __init__(self, in_features, out_features):
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        self.schemes = {"weight": Int(8, axis=0)}
        self.weight = PackedWeight(
            torch.zeros(out_features, in_features), Int(8, axis=0)
        )
        self.bias = nn.Parameter(torch.empty(out_features))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self):
        weight = torch.empty((self.out_features, self.in_features))
        nn.init.kaiming_uniform_(weight, a=math.sqrt(5))
        self.weight.store(weight)
        nn.init.zeros_(self.bias)

    def forward(self, x):
        """`[..., in_features]` gives `[..., out_features]`."""
        # <std>/nn.tri:76
        y = x @ self.weight.dequantize().T
        # <std>/nn.tri:77
        return y + self.bias


class Net(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.table = Embedding(5, dim)
        self.first = Block(dim)
        self.second = nn.ModuleList([Block_2(dim), Linear_3(dim, dim)])
        self.own = Int8Linear(dim, dim)
        self.scale = nn.Parameter(torch.empty(dim, dim))
        self.reset_parameters()

    def reset_parameters(self):
        nn.init.ones_(self.scale)

    def forward(self, x):
        # tests/cases/quantize/reaches_what_is_inside.tri:29
        y = self.second[0](self.first(self.table(x)))
        y_2 = self.own(self.second[1](y)) @ self.scale
        return y_2 + self.first.up.weight.dequantize().sum(0)

    def weights(self):
        # tests/cases/quantize/reaches_what_is_inside.tri:34
        return self.first.up.weight.dequantize(), self.first.down.weight


class Model(Net):
    """`Net(dim=4)`, as it was compiled."""

    def __init__(self, dim=4):
        super().__init__(dim)


def load(path):
    """A `Model` with the weights of a safetensors file."""
    model = Model()
    tensors = read_safetensors(path)
    adopt_packed(model, tensors)
    load_weights(model, tensors)
    return model
