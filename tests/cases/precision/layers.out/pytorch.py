# Net(width=4) of tests/cases/precision/layers.tri, compiled by tritonc 0.1.0

import json
import math

import torch
import torch.nn.functional as F
from torch import nn


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


def doubled(x):
    # tests/cases/precision/layers.tri:10
    return x + x


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
        y = self.weight.to(torch.bfloat16)
        y_2 = self.bias.to(torch.bfloat16)
        y_3 = x.to(torch.bfloat16)
        return F.conv2d(
            y_3,
            y,
            y_2,
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
        B, d0, d1 = x.shape[0], x.shape[2], x.shape[3]
        # <std>/nn.tri:298
        flat = x.reshape(B, self.num_features, -1)
        # <std>/nn.tri:310
        centred = flat - self.running_mean.unsqueeze(1)
        y = self.scaled(centred, self.running_var)
        return y.reshape(B, self.num_features, d0, d1)


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
        y = x.to(torch.bfloat16) @ self.weight.T.to(torch.bfloat16)
        # <std>/nn.tri:23
        return y + self.bias.to(torch.bfloat16)


class Net(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv = Conv2d(3, width, 3, padding=1)
        self.norm = BatchNorm(width)
        self.inner = LayerNorm(width)
        self.out = Linear(width, 5)

    def forward(self, x, bias):
        # tests/cases/precision/layers.tri:19
        y = self.norm(self.conv(x).to(torch.float32))
        y = F.relu(y.to(torch.bfloat16))
        # tests/cases/precision/layers.tri:20
        pooled = self.inner(y.to(torch.float32).mean((2, 3)))
        # tests/cases/precision/layers.tri:21
        y = doubled(bias).to(torch.bfloat16)
        return F.softmax((doubled(self.out(pooled)) + y).to(torch.float32), dim=-1)


class Model(Net):
    """`Net(width=4)`, as it was compiled."""

    def __init__(self, width=4):
        super().__init__(width)


def load(path):
    """A `Model` with the weights of a safetensors file."""
    model = Model()
    tensors = read_safetensors(path)
    load_weights(model, tensors)
    return model
