"""A transformer layer with a mixture of experts (https://arxiv.org/abs/2101.03961): each token asks its best few."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from shape_extensions import Int, IntVar
from torch import Tensor, nn


class Router[D: IntVar, E: IntVar, K: IntVar](nn.Module):
    def __init__(self, dim: Int[D], experts: Int[E], top: Int[K]) -> None:
        super().__init__()
        self.experts = experts
        self.top = top
        self.gate = nn.Linear(dim, experts, bias=False)

    def forward[N: IntVar](self, x: Tensor[[N, D]]) -> tuple[Tensor[[N, K]], Tensor[[N, K]]]:
        """The weights and the numbers of the experts that each token asks."""
        chances = torch.softmax(self.gate(x), dim=1)
        best, index = torch.topk(chances, self.top, dim=1)
        weights = best / best.sum(dim=1, keepdim=True)
        return weights, index

    def balance[N: IntVar](self, x: Tensor[[N, D]]) -> Tensor[[]]:
        """How evenly the experts are used."""
        chances = torch.softmax(self.gate(x), dim=1)
        load = chances.mean(dim=0)
        return (load * load).sum() * self.experts


class Experts[D: IntVar, H: IntVar, E: IntVar](nn.Module):
    def __init__(self, dim: Int[D], hidden: Int[H], experts: Int[E]) -> None:
        super().__init__()
        self.w1 = nn.Parameter(torch.randn(experts, hidden, dim))
        self.w2 = nn.Parameter(torch.randn(experts, dim, hidden))
        self.b1 = nn.Parameter(torch.zeros(experts, hidden))

    def forward[N: IntVar](self, x: Tensor[[N, D]]) -> Tensor[[E, N, D]]:
        """What every expert says to every token."""
        up = x[None, :, :] @ self.w1.transpose(1, 2)
        inner = torch.relu(up + self.b1[:, None, :])
        return inner @ self.w2.transpose(1, 2)


class Mixture[D: IntVar, H: IntVar, E: IntVar, K: IntVar](nn.Module):
    def __init__(self, dim: Int[D], hidden: Int[H], experts: Int[E], top: Int[K]) -> None:
        super().__init__()
        self.dim = dim
        self.router = Router(dim, experts, top)
        self.experts_ = Experts(dim, hidden, experts)
        self.shared_up = nn.Linear(dim, 2 * hidden)
        self.shared_down = nn.Linear(hidden, dim)

    def forward[B: IntVar, T: IntVar](self, x: Tensor[[B, T, D]]) -> Tensor[[B, T, D]]:
        b, t, _ = x.shape
        tokens = x.flatten(0, 1)
        weights, index = self.router(tokens)
        answers = self.experts_(tokens).permute(1, 0, 2)
        wanted = index[:, :, None] + torch.zeros(1, 1, self.dim, dtype=torch.int64)
        asked = answers.gather(1, wanted)
        mixed = (asked * weights[:, :, None]).sum(dim=1)
        return (mixed + self.shared(tokens)).reshape(b, t, -1)

    def shared[N: IntVar](self, tokens: Tensor[[N, D]]) -> Tensor[[N, D]]:
        """An expert that every token asks, with a gate."""
        gate, up = self.shared_up(tokens).chunk(2, dim=1)
        return self.shared_down(F.silu(gate) * up)


class Block[D: IntVar, H: IntVar, E: IntVar, K: IntVar](nn.Module):
    def __init__(self, dim: Int[D], hidden: Int[H], experts: Int[E], top: Int[K]) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.mix = nn.Linear(dim, dim)
        self.norm2 = nn.LayerNorm(dim)
        self.mixture = Mixture(dim, hidden, experts, top)

    def forward[B: IntVar, T: IntVar](self, x: Tensor[[B, T, D]]) -> Tensor[[B, T, D]]:
        y = x + self.mix(self.norm1(x))
        return y + self.mixture(self.norm2(y))


def smoke() -> tuple[Tensor[[2, 7, 6]], Tensor[[]]]:
    return Block(6, 10, 5, 2)(torch.zeros(2, 7, 6)), Router(6, 5, 2).balance(torch.zeros(4, 6))
