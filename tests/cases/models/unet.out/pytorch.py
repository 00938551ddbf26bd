# UNet(n_channels=3, n_classes=2, width=2) of tests/cases/models/unet.tri, compiled by tritonc 0.1.0

import json
import math

import torch
import torch.nn.functional as F
from torch import nn


class Function(nn.Module):
    """The place of a function in a list of layers; it holds nothing."""

    def __init__(self, name):
        super().__init__()
        self.name = name


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


class DoubleConv(nn.Module):
    """Two 3 x 3 convolutions, each normalised and followed by ReLU. The size stays."""

    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.double_conv = nn.ModuleList(
            [
                Conv2d(in_channels, out_channels, 3, padding=1),
                BatchNorm(out_channels),
                Function("relu"),
                Conv2d(out_channels, out_channels, 3, padding=1),
                BatchNorm(out_channels),
                Function("relu"),
            ]
        )

    def forward(self, x):
        """`[B, in_channels, H, W]` gives `[B, out_channels, H, W]`."""
        # <std>/models/unet.tri:18
        y = F.relu(self.double_conv[1](self.double_conv[0](x)))
        return F.relu(self.double_conv[4](self.double_conv[3](y)))


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


class Down(nn.Module):
    """Half the size, other channels."""

    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.maxpool_conv = nn.ModuleList(
            [MaxPool2d(2), DoubleConv(in_channels, out_channels)]
        )

    def forward(self, x):
        """`[B, in_channels, H, W]` gives `[B, out_channels, H // 2, W // 2]`."""
        # <std>/models/unet.tri:26
        return self.maxpool_conv[1](self.maxpool_conv[0](x))


class ConvTranspose2d(nn.Module):
    """Transposed convolution of images: the gradient of `Conv2d` as a layer, used to enlarge.

    padding: Elements cut from each side of the result.
    output_padding: Elements added at the end of each axis of the result.

    Compiled for F = float32, bias = true.
    """

    def __init__(
        self,
        in_channels,
        out_channels,
        kernel_size,
        stride=1,
        padding=0,
        output_padding=0,
        dilation=1,
        groups=1,
    ):
        super().__init__()
        if in_channels % groups != 0:
            raise ValueError("`ConvTranspose2d` needs in_channels % groups == 0")
        if out_channels % groups != 0:
            raise ValueError("`ConvTranspose2d` needs out_channels % groups == 0")
        self.stride = stride
        self.padding = padding
        self.output_padding = output_padding
        self.dilation = dilation
        self.groups = groups
        self.weight = nn.Parameter(
            torch.empty(in_channels, out_channels // groups, kernel_size, kernel_size)
        )
        self.bias = nn.Parameter(torch.empty(out_channels))
        self.reset_parameters()

    def reset_parameters(self):
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        nn.init.zeros_(self.bias)

    def forward(self, x):
        """`[B, in_channels, H, W]` gives `[B, out_channels, H', W']` with
        `H' = (H - 1) * stride - 2 * padding + dilation * (kernel_size - 1) + output_padding + 1`, and W' likewise.
        """
        # <std>/nn.tri:203
        return F.conv_transpose2d(
            x,
            self.weight,
            self.bias,
            stride=self.stride,
            padding=self.padding,
            output_padding=self.output_padding,
            groups=self.groups,
            dilation=self.dilation,
        )


class Up(nn.Module):
    """Twice the size and half the channels, joined with what the way down had at that size."""

    def __init__(self, in_channels, out_channels):
        super().__init__()
        if in_channels % 2 != 0:
            raise ValueError("`Up` needs in_channels % 2 == 0")
        self.up = ConvTranspose2d(in_channels, in_channels // 2, 2, stride=2)
        self.conv = DoubleConv(in_channels, out_channels)

    def forward(self, x, skip):
        """`x: [B, in_channels, H, W]` and `skip: [B, in_channels // 2, 2 * H, 2 * W]` give `[B, out_channels, 2 * H, 2 * W]`."""
        # <std>/models/unet.tri:39
        return self.conv(torch.cat([skip, self.up(x)], dim=1))


class Conv2d_2(nn.Module):
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


class UNet(nn.Module):
    """Four times down to half the size, and as often up again beside what was seen on the way down.

    width: Channels at the full size; each size below has twice as many.
    """

    def __init__(self, n_channels=3, n_classes=2, width=64):
        super().__init__()
        self.inc = DoubleConv(n_channels, width)
        self.down1 = Down(width, 2 * width)
        self.down2 = Down(2 * width, 4 * width)
        self.down3 = Down(4 * width, 8 * width)
        self.down4 = Down(8 * width, 16 * width)
        self.up1 = Up(16 * width, 8 * width)
        self.up2 = Up(8 * width, 4 * width)
        self.up3 = Up(4 * width, 2 * width)
        self.up4 = Up(2 * width, width)
        self.outc = Conv2d_2(width, n_classes, 1)

    def forward(self, x):
        """`[B, n_channels, H, W]` gives the scores of each pixel, `[B, n_classes, H, W]`."""
        H, W = x.shape[2], x.shape[3]
        if H % 16 != 0:
            raise ValueError("H % 16 == 0 must hold")
        if W % 16 != 0:
            raise ValueError("W % 16 == 0 must hold")
        # <std>/models/unet.tri:63
        x1 = self.inc(x)
        # <std>/models/unet.tri:64
        x2 = self.down1(x1)
        # <std>/models/unet.tri:65
        x3 = self.down2(x2)
        # <std>/models/unet.tri:66
        x4 = self.down3(x3)
        # <std>/models/unet.tri:67
        x5 = self.down4(x4)
        # <std>/models/unet.tri:68
        y = self.up3(self.up2(self.up1(x5, x4), x3), x2)
        return self.outc(self.up4(y, x1))


class Model(UNet):
    """`UNet(n_channels=3, n_classes=2, width=2)`, as it was compiled."""

    def __init__(self, n_channels=3, n_classes=2, width=2):
        super().__init__(n_channels, n_classes, width)


def load(path):
    """A `Model` with the weights of a safetensors file."""
    model = Model()
    tensors = read_safetensors(path)
    load_weights(model, tensors)
    return model
