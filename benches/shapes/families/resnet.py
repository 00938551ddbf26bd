"""Residual blocks of convolutions (https://arxiv.org/abs/1512.03385) in three stages that halve the image."""

from __future__ import annotations

import torch
from shape_extensions import Int, IntVar
from torch import Tensor, nn


class Block[C: IntVar](nn.Module):
    def __init__(self, channels: Int[C]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)

    def forward[B: IntVar, H: IntVar, W: IntVar](self, x: Tensor[[B, C, H, W]]) -> Tensor[[B, C, H, W]]:
        a = torch.relu(self.norm1(self.conv1(x)))
        b = self.norm2(self.conv2(a))
        return torch.relu(x + b)


class Down[C: IntVar](nn.Module):
    """Halves the image and doubles the channels."""

    def __init__(self, channels: Int[C]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(2 * channels)
        self.conv2 = nn.Conv2d(2 * channels, 2 * channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(2 * channels)
        self.shortcut = nn.Conv2d(channels, 2 * channels, 1, stride=2, bias=False)
        self.gate = SqueezeExcite(2 * channels)

    def forward[B: IntVar, H: IntVar, W: IntVar](
        self, x: Tensor[[B, C, H, W]]
    ) -> Tensor[[B, 2 * C, (H - 1) // 2 + 1, (W - 1) // 2 + 1]]:
        a = torch.relu(self.norm1(self.conv1(x)))
        b = self.norm2(self.conv2(a))
        kept = self.shortcut(x)
        return torch.relu(self.gate(b) + kept)


class SqueezeExcite[C: IntVar](nn.Module):
    """Weighs each channel by what the whole image shows (https://arxiv.org/abs/1709.01507)."""

    def __init__(self, channels: Int[C]) -> None:
        super().__init__()
        self.reduce = nn.Linear(channels, channels // 4)
        self.expand = nn.Linear(channels // 4, channels)

    def forward[B: IntVar, H: IntVar, W: IntVar](self, x: Tensor[[B, C, H, W]]) -> Tensor[[B, C, H, W]]:
        squeezed = x.mean(dim=(2, 3))
        excited = torch.sigmoid(self.expand(torch.relu(self.reduce(squeezed))))
        return x * excited[:, :, None, None]


class ResNet[N: IntVar, C: IntVar](nn.Module):
    def __init__(self, width: Int[N], classes: Int[C], depth: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        self.pool = nn.MaxPool2d(2)
        self.stage1 = nn.ModuleList([Block(width) for _ in range(depth)])
        self.down1 = Down(width)
        self.stage2 = nn.ModuleList([Block(2 * width) for _ in range(depth)])
        self.down2 = Down(2 * width)
        self.stage3 = nn.ModuleList([Block(4 * width) for _ in range(depth)])
        self.head = nn.Linear(4 * width, classes)

    def forward[B: IntVar, H: IntVar, W: IntVar](self, image: Tensor[[B, 3, H, W]]) -> Tensor[[B, C]]:
        x = self.pool(torch.relu(self.stem(image)))
        for block in self.stage1:
            x = block(x)
        y = self.down1(x)
        for block in self.stage2:
            y = block(y)
        z = self.down2(y)
        for block in self.stage3:
            z = block(z)
        pooled = z.mean(dim=(2, 3))
        return self.head(pooled)


def smoke() -> Tensor[[2, 5]]:
    return ResNet(8, 5, depth=1)(torch.zeros(2, 3, 32, 48))
