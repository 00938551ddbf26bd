# Net(dim=8) of tests/cases/quantize/stochastic_training.tri, compiled by tritonc 0.1.0

import json
import math

import torch
import torch.nn.functional as F
from torch import nn


def pack_codes(codes, bits, offset):
    """Codes in as few bytes as they need, along the last axis, the first in the low bits."""
    digits = F.pad(
        codes.int() + offset, (0, -codes.shape[-1] % (8 // bits)), value=offset
    )
    shifts = torch.arange(0, 8, bits, device=codes.device)
    digits = digits.unflatten(-1, (-1, 8 // bits)) << shifts
    return digits.sum(-1).to(torch.uint8)


def unpack_codes(packed, size, bits, offset):
    """The `size` codes that each row of packed bytes holds."""
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


def philox(seed, count, device=None):
    """`count` random 32-bit words of Philox4x32-10, as int64."""
    low = 0xFFFFFFFF
    seed = int(seed)
    block = torch.arange((count + 3) // 4, device=device)
    a, b, c, d = block & low, block >> 32, block * 0, block * 0
    key, other_key = seed & low, seed >> 32 & low
    for _ in range(10):
        left, right = a * 0xD2511F53, c * 0xCD9E8D57
        a, c = (right >> 32 & low) ^ b ^ key, (left >> 32 & low) ^ d ^ other_key
        b, d = right & low, left & low
        key = key + 0x9E3779B9 & low
        other_key = other_key + 0xBB67AE85 & low
    return torch.stack([a, b, c, d], dim=-1).flatten()[:count]


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


class StochasticTernary(Ternary):
    """The same, rounded up or down at random, for training."""

    def __init__(self, seed, **options):
        super().__init__(**options)
        self.seed = seed

    def encode(self, slices, shared):
        _, scale = super().encode(slices, shared)
        words = philox(self.seed, slices.numel(), slices.device) >> 8
        draws = (words.double() * 2.0**-24).float().reshape(slices.shape)
        codes = ((slices / scale.float()).clamp(-1, 1) + draws).floor()
        return codes.clamp(-1, 1), scale


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


class Linear(nn.Module):
    """Affine map of the last axis: `x @ weight.T`, and a learnt offset if `bias` is set.

    in_features: Size of the last axis of the input.
    out_features: Size of the last axis of the output.

    Compiled for F = float32, bias = true.
    """

    def __init__(self, in_features, out_features):
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        self.schemes = {"weight": Ternary()}
        self.weight = PackedWeight(torch.zeros(out_features, in_features), Ternary())
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


class Net(nn.Module):
    def __init__(self, dim=8):
        super().__init__()
        self.dim = dim
        self.schemes = {"weight": Ternary(axis=0)}
        self.up = Linear(dim, dim)
        self.weight = PackedWeight(torch.zeros(dim, dim), Ternary(axis=0))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self):
        weight = torch.empty((self.dim, self.dim))
        nn.init.xavier_uniform_(weight, gain=1.0)
        self.weight.store(weight)

    def forward(self, x, seed):
        # tests/cases/quantize/stochastic_training.tri:16
        codes, scale = StochasticTernary(seed, axis=0).quantize(x)
        # tests/cases/quantize/stochastic_training.tri:17
        return self.up(x) @ self.weight.dequantize().T, codes, scale


class Model(Net):
    """`Net(dim=8)`, as it was compiled."""

    def __init__(self, dim=8):
        super().__init__(dim)


def load(path):
    """A `Model` with the weights of a safetensors file."""
    model = Model()
    tensors = read_safetensors(path)
    adopt_packed(model, tensors)
    load_weights(model, tensors)
    return model
