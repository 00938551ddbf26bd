"""A small convolutional network for images, with class activation maps."""

from __future__ import annotations

import torch
from shape_extensions import Int, IntVar
from torch import Tensor, nn


class Features[N: IntVar, W: IntVar](nn.Module):
    def __init__(self, channels: Int[N], width: Int[W]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 5, padding=2)
        self.conv2 = nn.Conv2d(width, 2 * width, 5)
        self.conv3 = nn.Conv2d(2 * width, 4 * width, 3, stride=2)
        self.pool = nn.MaxPool2d(2)

    def forward[B: IntVar](self, x: Tensor[[B, N, 28, 28]]) -> Tensor[[B, 4 * W, 2, 2]]:
        """Maps of 2 by 2 for images of 28 by 28."""
        a = self.pool(torch.relu(self.conv1(x)))
        b = self.pool(torch.relu(self.conv2(a)))
        return torch.relu(self.conv3(b))


class Classifier[I: IntVar, H: IntVar, C: IntVar](nn.Module):
    def __init__(self, inputs: Int[I], hidden: Int[H], classes: Int[C]) -> None:
        super().__init__()
        self.fc1 = nn.Linear(inputs, hidden)
        self.fc2 = nn.Linear(hidden, hidden // 2)
        self.fc3 = nn.Linear(hidden // 2, classes)

    def forward[B: IntVar](self, x: Tensor[[B, I]]) -> Tensor[[B, C]]:
        a = torch.relu(self.fc1(x))
        b = torch.relu(self.fc2(a))
        return self.fc3(b)


class Net[N: IntVar, W: IntVar, H: IntVar, C: IntVar](nn.Module):
    def __init__(self, channels: Int[N], width: Int[W], hidden: Int[H], classes: Int[C]) -> None:
        super().__init__()
        self.features = Features(channels, width)
        self.classifier = Classifier(16 * width, hidden, classes)

    def forward[B: IntVar](self, x: Tensor[[B, N, 28, 28]]) -> Tensor[[B, C]]:
        maps = self.features(x)
        flat = maps.flatten(1)
        return self.classifier(flat)

    def heat[B: IntVar](self, x: Tensor[[B, N, 28, 28]]) -> Tensor[[B, 2, 2]]:
        """The share of each position in what is found."""
        strength = self.features(x).mean(dim=1)
        total = strength.sum(dim=(1, 2), keepdim=True)
        return strength / (total + 1e-6)


def centre[B: IntVar, C: IntVar, H: IntVar, W: IntVar](x: Tensor[[B, C, H, W]]) -> Tensor[[B, C, H, W]]:
    """Each channel with mean 0 over the positions of an image."""
    average = x.mean(dim=(2, 3), keepdim=True)
    return x - average


def grey[B: IntVar, C: IntVar, H: IntVar, W: IntVar](
    x: Tensor[[B, C, H, W]], weights: Tensor[[C]]
) -> Tensor[[B, 1, H, W]]:
    """The channels of an image weighed and added, the result as an image of one channel."""
    weighed = x * weights.reshape(1, x.shape[1], 1, 1)
    return weighed.sum(dim=1, keepdim=True)


def smoke() -> tuple[Tensor[[3, 10]], Tensor[[3, 2, 2]], Tensor[[3, 1, 8, 9]]]:
    net = Net(1, 6, 20, 10)
    x = torch.zeros(3, 1, 28, 28)
    return net(centre(x)), net.heat(x), grey(torch.zeros(3, 4, 8, 9), torch.zeros(4))
