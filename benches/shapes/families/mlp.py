"""A residual multilayer perceptron whose linear maps are written out, with a gate in each block."""

from __future__ import annotations

import torch
from shape_extensions import Int, IntVar
from torch import Tensor, nn


class Dense[I: IntVar, O: IntVar](nn.Module):
    def __init__(self, inputs: Int[I], outputs: Int[O]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs))
        self.offset = nn.Parameter(torch.zeros(outputs))

    def forward[B: IntVar](self, x: Tensor[[B, I]]) -> Tensor[[B, O]]:
        y = x @ self.weight.T
        return y + self.offset


class Norm[D: IntVar](nn.Module):
    def __init__(self, dim: Int[D]) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(dim))

    def forward[B: IntVar](self, x: Tensor[[B, D]]) -> Tensor[[B, D]]:
        average = x.mean(dim=-1, keepdim=True)
        centred = x - average
        variance = (centred * centred).mean(dim=-1, keepdim=True)
        return centred * torch.rsqrt(variance + 1e-5) * self.scale


class Block[D: IntVar, H: IntVar](nn.Module):
    def __init__(self, dim: Int[D], hidden: Int[H]) -> None:
        super().__init__()
        self.norm = Norm(dim)
        self.up = Dense(dim, hidden)
        self.gate = Dense(dim, hidden)
        self.down = Dense(hidden, dim)

    def forward[B: IntVar](self, x: Tensor[[B, D]]) -> Tensor[[B, D]]:
        h = self.norm(x)
        opened = torch.sigmoid(self.gate(h))
        inner = torch.relu(self.up(h)) * opened
        return x + self.down(inner)


class MLP[F: IntVar, X: IntVar, D: IntVar, H: IntVar, C: IntVar](nn.Module):
    def __init__(
        self, features: Int[F], context: Int[X], dim: Int[D], hidden: Int[H], classes: Int[C], depth: int
    ) -> None:
        super().__init__()
        self.embed = Dense(features + context, dim)
        self.blocks = nn.ModuleList([Block(dim, hidden) for _ in range(depth)])
        self.norm = Norm(dim)
        self.head = Dense(dim, classes)

    def forward[B: IntVar](self, x: Tensor[[B, F]], side: Tensor[[B, X]]) -> Tensor[[B, C]]:
        joined = torch.cat((x, side), dim=1)
        y = self.embed(joined)
        for block in self.blocks:
            y = block(y)
        return self.head(self.norm(y))


def distances[N: IntVar, M: IntVar, K: IntVar](a: Tensor[[N, K]], b: Tensor[[M, K]]) -> Tensor[[N, M]]:
    """Squared distances of each row of `a` to each row of `b`."""
    left = (a * a).sum(dim=1, keepdim=True)
    right = (b * b).sum(dim=1)
    return left + right - 2.0 * (a @ b.T)


def losses[B: IntVar, C: IntVar](logits: Tensor[[B, C]], target: Tensor[[B, C]]) -> Tensor[[B]]:
    """One loss for each row."""
    scores = logits - logits.max(dim=1, keepdim=True).values
    total = torch.exp(scores).sum(dim=1)
    hit = (scores * target).sum(dim=1)
    return torch.log(total) - hit


def smoke() -> tuple[Tensor[[5, 4]], Tensor[[5]], Tensor[[5, 7]]]:
    model = MLP(6, 3, 8, 12, 4, depth=2)
    scores = model(torch.zeros(5, 6), torch.zeros(5, 3))
    return scores, losses(scores, torch.zeros(5, 4)), distances(torch.zeros(5, 6), torch.zeros(7, 6))
