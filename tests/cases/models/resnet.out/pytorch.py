# ResNet(num_classes=5) of tests/cases/models/resnet.tri, compiled by tritonc 0.1.0

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


class Conv2d(nn.Module):
    """Convolution of images.

    kernel_size: Height and width of the kernel.
    padding: Zeros added at each side.
    dilation: Distance between the elements that a kernel reads.
    groups: Channels are convolved in so many groups of their own.

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
        self.reset_parameters()

    def reset_parameters(self):
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))

    def forward(self, x):
        """`[B, in_channels, H, W]` gives `[B, out_channels, H', W']` with
        `H' = (H + 2 * padding - dilation * (kernel_size - 1) - 1) // stride + 1`, and W' likewise.
        """
        # <std>/nn.tri:151
        return F.conv2d(
            x,
            self.weight,
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


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut.

    Compiled for in_channels = 4, channels = 4, stride = 1.
    """

    def __init__(self):
        super().__init__()
        self.conv1 = Conv2d(4, 4, 3, padding=1)
        self.bn1 = BatchNorm(4)
        self.conv2 = Conv2d(4, 4, 3, padding=1)
        self.bn2 = BatchNorm(4)

    def forward(self, x):
        """`[B, in_channels, H, W]` gives `[B, channels, ceil(H / stride), ceil(W / stride)]`."""
        # <std>/models/resnet.tri:21
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        # <std>/models/resnet.tri:22
        return F.relu(y + x)


class BasicBlock_2(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut.

    Compiled for in_channels = 4, channels = 8, stride = 2.
    """

    def __init__(self):
        super().__init__()
        self.conv1 = Conv2d(4, 8, 3, stride=2, padding=1)
        self.bn1 = BatchNorm(8)
        self.conv2 = Conv2d(8, 8, 3, padding=1)
        self.bn2 = BatchNorm(8)
        self.downsample = nn.ModuleList([Conv2d(4, 8, 1, stride=2), BatchNorm(8)])

    def forward(self, x):
        """`[B, in_channels, H, W]` gives `[B, channels, ceil(H / stride), ceil(W / stride)]`."""
        # <std>/models/resnet.tri:21
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        # <std>/models/resnet.tri:22
        return F.relu(y + self.downsample[1](self.downsample[0](x)))


class BasicBlock_3(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut.

    Compiled for in_channels = 8, channels = 8, stride = 1.
    """

    def __init__(self):
        super().__init__()
        self.conv1 = Conv2d(8, 8, 3, padding=1)
        self.bn1 = BatchNorm(8)
        self.conv2 = Conv2d(8, 8, 3, padding=1)
        self.bn2 = BatchNorm(8)

    def forward(self, x):
        """`[B, in_channels, H, W]` gives `[B, channels, ceil(H / stride), ceil(W / stride)]`."""
        # <std>/models/resnet.tri:21
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        # <std>/models/resnet.tri:22
        return F.relu(y + x)


class BasicBlock_4(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut.

    Compiled for in_channels = 8, channels = 16, stride = 2.
    """

    def __init__(self):
        super().__init__()
        self.conv1 = Conv2d(8, 16, 3, stride=2, padding=1)
        self.bn1 = BatchNorm(16)
        self.conv2 = Conv2d(16, 16, 3, padding=1)
        self.bn2 = BatchNorm(16)
        self.downsample = nn.ModuleList([Conv2d(8, 16, 1, stride=2), BatchNorm(16)])

    def forward(self, x):
        """`[B, in_channels, H, W]` gives `[B, channels, ceil(H / stride), ceil(W / stride)]`."""
        # <std>/models/resnet.tri:21
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        # <std>/models/resnet.tri:22
        return F.relu(y + self.downsample[1](self.downsample[0](x)))


class BasicBlock_5(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut.

    Compiled for in_channels = 16, channels = 32, stride = 2.
    """

    def __init__(self):
        super().__init__()
        self.conv1 = Conv2d(16, 32, 3, stride=2, padding=1)
        self.bn1 = BatchNorm(32)
        self.conv2 = Conv2d(32, 32, 3, padding=1)
        self.bn2 = BatchNorm(32)
        self.downsample = nn.ModuleList([Conv2d(16, 32, 1, stride=2), BatchNorm(32)])

    def forward(self, x):
        """`[B, in_channels, H, W]` gives `[B, channels, ceil(H / stride), ceil(W / stride)]`."""
        # <std>/models/resnet.tri:21
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        # <std>/models/resnet.tri:22
        return F.relu(y + self.downsample[1](self.downsample[0](x)))


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


class ResNet(nn.Module):
    """A residual network for images of any size.

    Compiled for depths = [1, 2, 1, 1], bottleneck = false, width = 4.
    """

    def __init__(self, num_classes=1000):
        super().__init__()
        self.conv1 = Conv2d(3, 4, 7, stride=2, padding=3)
        self.bn1 = BatchNorm(4)
        self.maxpool = MaxPool2d(3, stride=2, padding=1)
        self.layer1 = nn.ModuleList([BasicBlock()])
        self.layer2 = nn.ModuleList([BasicBlock_2(), BasicBlock_3()])
        self.layer3 = nn.ModuleList([BasicBlock_4()])
        self.layer4 = nn.ModuleList([BasicBlock_5()])
        self.fc = Linear(32, num_classes)

    def forward(self, x):
        """`[B, 3, H, W]` gives the scores `[B, num_classes]`."""
        # <std>/models/resnet.tri:75
        stem = self.maxpool(F.relu(self.bn1(self.conv1(x))))
        # <std>/models/resnet.tri:76
        y = self.layer2[1](self.layer2[0](self.layer1[0](stem)))
        y = self.layer4[0](self.layer3[0](y))
        # <std>/models/resnet.tri:77
        return self.fc(y.mean((2, 3)))


class Model(ResNet):
    """`ResNet(num_classes=5)`, as it was compiled."""

    def __init__(self, num_classes=5):
        super().__init__(num_classes)


def load(path):
    """A `Model` with the weights of a safetensors file."""
    model = Model()
    tensors = read_safetensors(path)
    load_weights(model, tensors)
    return model
