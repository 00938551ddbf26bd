# Net(classes=5) of tests/cases/pytorch/convolutional_net.tri, compiled by tritonc 0.1.0

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


class Conv2d(nn.Module):
    """Convolution of images.

    kernel_size: Height and width of the kernel.
    padding: Zeros added at each side.
    dilation: Distance between the elements that a kernel reads.
    groups: Channels are convolved in so many groups of their own.

    Compiled for F = float32, bias = true.
    """

    def __init__(
        self,
        in_channels,
        out_channels,
        kernel_size,
        stride=1,
        padding=0,
        dilation=1,
        groups=1,
    ):
        super().__init__()
        if in_channels % groups != 0:
            raise ValueError("`Conv2d` needs in_channels % groups == 0")
        if out_channels % groups != 0:
            raise ValueError("`Conv2d` needs out_channels % groups == 0")
        self.stride = stride
        self.padding = padding
        self.dilation = dilation
        self.groups = groups
        self.weight = nn.Parameter(
            torch.empty(out_channels, in_channels // groups, kernel_size, kernel_size)
        )
        self.bias = nn.Parameter(torch.empty(out_channels))
        self.reset_parameters()

    def reset_parameters(self):
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        nn.init.zeros_(self.bias)

    def forward(self, x):
        """`[B, in_channels, H, W]` gives `[B, out_channels, H', W']` with
        `H' = (H + 2 * padding - dilation * (kernel_size - 1) - 1) // stride + 1`, and W' likewise.
        """
        # <std>/nn.tri:150
        return F.conv2d(
            x,
            self.weight,
            self.bias,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
        )


class BatchNorm(nn.Module):
    """Batch normalisation for inputs of any rank (https://arxiv.org/abs/1502.03167).

    In training each channel is normalised by its own mean and variance over the batch and all positions, and
    the running statistics follow them; otherwise the running statistics are used.

    eps: Added to the variance.
    momentum: Weight of the newest batch in the running statistics.

    Compiled for F = float32, affine = true.
    """

    def __init__(self, num_features, eps=1e-5, momentum=0.1):
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.weight = nn.Parameter(torch.empty(num_features))
        self.bias = nn.Parameter(torch.empty(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))
        self.reset_parameters()

    def reset_parameters(self):
        nn.init.ones_(self.weight)
        nn.init.zeros_(self.bias)

    def scaled(self, centred, variance):
        """Divides by the root of the variance and applies the learnt scale and shift: `[B, num_features, N]`."""
        # <std>/nn.tri:315
        y = centred * (variance + self.eps).rsqrt().unsqueeze(1)
        # <std>/nn.tri:316
        return y * self.weight.unsqueeze(1) + self.bias.unsqueeze(1)

    def forward(self, x):
        """`[B, num_features, ...]` gives the same shape."""
        B, d0 = x.shape[0], x.shape[2]
        # <std>/nn.tri:298
        flat = x.reshape(B, self.num_features, -1)
        # <std>/nn.tri:310
        centred = flat - self.running_mean.unsqueeze(1)
        y = self.scaled(centred, self.running_var)
        return y.reshape(B, self.num_features, d0, d0)


class MaxPool2d(nn.Module):
    """The largest value of each window of an image.

    Compiled for F = float32, ceil_mode = false.
    """

    def __init__(self, kernel_size, stride=None, padding=0, dilation=1):
        super().__init__()
        if stride is None:
            stride = kernel_size
        self.kernel_size = kernel_size
        self.stride = stride
        self.padding = padding
        self.dilation = dilation

    def forward(self, x):
        """`[B, C, H, W]` gives `[B, C, H', W']` with
        `H' = (H + 2 * padding - dilation * (kernel_size - 1) - 1) // stride + 1`, and W' likewise.
        """
        # <std>/nn.tri:359
        return F.max_pool2d(
            x,
            self.kernel_size,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
        )


class TernaryConv2d(nn.Module):
    """`Conv2d` with ternary weights and one scale for each output channel.

    Compiled for F = float32, bias = false.
    """

    def __init__(
        self,
        in_channels,
        out_channels,
        kernel_size,
        stride=1,
        padding=0,
        dilation=1,
        groups=1,
    ):
        super().__init__()
        if in_channels % groups != 0:
            raise ValueError("`TernaryConv2d` needs in_channels % groups == 0")
        if out_channels % groups != 0:
            raise ValueError("`TernaryConv2d` needs out_channels % groups == 0")
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = kernel_size
        self.stride = stride
        self.padding = padding
        self.dilation = dilation
        self.groups = groups
        self.schemes = {"weight": Ternary(axis=0)}
        self.weight = PackedWeight(
            torch.zeros(out_channels, in_channels // groups, kernel_size, kernel_size),
            Ternary(axis=0),
        )
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self):
        weight = torch.empty(
            (
                self.out_channels,
                self.in_channels // self.groups,
                self.kernel_size,
                self.kernel_size,
            ),
        )
        nn.init.kaiming_uniform_(weight, a=math.sqrt(5))
        self.weight.store(weight)

    def forward(self, x):
        """`[B, in_channels, H, W]` gives `[B, out_channels, H', W']`, as in `Conv2d`."""
        # <std>/nn.tri:231
        weight = self.weight.dequantize()
        return F.conv2d(
            x,
            weight,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
        )


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


class Net(nn.Module):
    def __init__(self, classes=5):
        super().__init__()
        self.conv1 = Conv2d(3, 8, 3, padding=1)
        self.norm = BatchNorm(8)
        self.pool = MaxPool2d(2)
        self.conv2 = TernaryConv2d(8, 4, 3, padding=1)
        self.head = Linear(16, classes)

    def forward(self, x):
        B = x.shape[0]
        # tests/cases/pytorch/convolutional_net.tri:16
        a = self.pool(F.relu(self.norm(self.conv1(x))))
        # tests/cases/pytorch/convolutional_net.tri:17
        b = self.pool(F.relu(self.conv2(a)))
        # tests/cases/pytorch/convolutional_net.tri:18
        return self.head(b.reshape(B, 16))


class Model(Net):
    """`Net(classes=5)`, as it was compiled."""

    def __init__(self, classes=5):
        super().__init__(classes)


def load(path):
    """A `Model` with the weights of a safetensors file."""
    model = Model()
    tensors = read_safetensors(path)
    adopt_packed(model, tensors)
    load_weights(model, tensors)
    return model
