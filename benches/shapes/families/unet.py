"""An encoder and a decoder with skip connections (https://arxiv.org/abs/1505.04597), told a time by an embedding."""

from __future__ import annotations

import torch
from shape_extensions import Int, IntVar
from torch import Tensor, nn


class Double[I: IntVar, O: IntVar, T: IntVar](nn.Module):
    """Two convolutions; what the time says is added to every position between them."""

    def __init__(self, inputs: Int[I], outputs: Int[O], times: Int[T]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm1 = nn.GroupNorm(4, outputs)
        self.shift = nn.Linear(times, outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)

    def forward[B: IntVar, H: IntVar, W: IntVar](
        self, x: Tensor[[B, I, H, W]], time: Tensor[[B, T]]
    ) -> Tensor[[B, O, H, W]]:
        a = torch.relu(self.norm1(self.conv1(x)))
        told = a + self.shift(time)[:, :, None, None]
        return torch.relu(self.conv2(told))


class Up[I: IntVar, O: IntVar, T: IntVar](nn.Module):
    def __init__(self, inputs: Int[I], outputs: Int[O], times: Int[T]) -> None:
        super().__init__()
        self.grow = nn.ConvTranspose2d(inputs, outputs, 2, stride=2)
        self.mix = Double(2 * outputs, outputs, times)

    def forward[B: IntVar, H: IntVar, W: IntVar](
        self, deep: Tensor[[B, I, H, W]], skip: Tensor[[B, O, 2 * H, 2 * W]], time: Tensor[[B, T]]
    ) -> Tensor[[B, O, 2 * H, 2 * W]]:
        grown = self.grow(deep)
        joined = torch.cat((skip, grown), dim=1)
        return self.mix(joined, time)


class UNet[N: IntVar, C: IntVar, K: IntVar](nn.Module):
    def __init__(self, channels: Int[N], width: Int[C], waves: Int[K]) -> None:
        super().__init__()
        self.waves = waves
        self.first = Double(channels, width, 2 * waves)
        self.second = Double(width, 2 * width, 2 * waves)
        self.bottom = Double(2 * width, 4 * width, 2 * waves)
        self.up2 = Up(4 * width, 2 * width, 2 * waves)
        self.up1 = Up(2 * width, width, 2 * waves)
        self.pool = nn.MaxPool2d(2)
        self.last = nn.Conv2d(width, channels, 1)

    def forward[B: IntVar, H: IntVar, W: IntVar](
        self, x: Tensor[[B, N, 4 * H, 4 * W]], time: Tensor[[B]]
    ) -> Tensor[[B, N, 4 * H, 4 * W]]:
        t = embed(time, self.waves)
        a = self.first(x, t)
        b = self.second(self.pool(a), t)
        c = self.bottom(self.pool(b), t)
        d = self.up2(c, b, t)
        e = self.up1(d, a, t)
        return self.last(e)


def embed[B: IntVar, K: IntVar](time: Tensor[[B]], waves: Int[K]) -> Tensor[[B, 2 * K]]:
    """A wave of each frequency for each time, sines and cosines."""
    steps = torch.arange(waves)
    frequencies = torch.exp(steps * (-9.2 / waves))
    angles = time[:, None] * frequencies[None, :]
    return torch.cat((torch.sin(angles), torch.cos(angles)), dim=1)


def smoke() -> Tensor[[2, 3, 8, 12]]:
    # Pyrefly does not solve 4 * H = 8 for H.
    return UNet(3, 8, 3)(torch.zeros(2, 3, 8, 12), torch.zeros(2))  # type: ignore[bad-argument-type, bad-return]
