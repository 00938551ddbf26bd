"""A Llama decoder: rotary positions, grouped heads, gated feed-forward layers (https://arxiv.org/abs/2302.13971)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from shape_extensions import Int, IntVar
from torch import Tensor, nn


class Norm[D: IntVar](nn.Module):
    def __init__(self, dim: Int[D]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))

    def forward[B: IntVar, T: IntVar](self, x: Tensor[[B, T, D]]) -> Tensor[[B, T, D]]:
        power = (x * x).mean(dim=-1, keepdim=True)
        return x * torch.rsqrt(power + 1e-6) * self.weight


def rotate[B: IntVar, N: IntVar, T: IntVar, K: IntVar](
    cosine: Tensor[[T, K]], sine: Tensor[[T, K]], x: Tensor[[B, N, T, 2 * K]]
) -> Tensor[[B, N, T, 2 * K]]:
    """Turns each pair of a head's two halves by an angle of its position."""
    half = cosine.shape[1]
    left = x[..., :half]
    right = x[..., half:]
    turned = left * cosine - right * sine
    other = left * sine + right * cosine
    return torch.cat((turned, other), dim=-1)


def angles[T: IntVar, K: IntVar](length: Int[T], half: Int[K]) -> tuple[Tensor[[T, K]], Tensor[[T, K]]]:
    """Cosines and sines of the angles of positions `0 .. length`."""
    speed = torch.exp(torch.arange(half) * (-9.2 / half))
    turns = torch.arange(length)[:, None] * speed[None, :]
    return torch.cos(turns), torch.sin(turns)


class Attention[D: IntVar, G: IntVar, S: IntVar, K: IntVar](nn.Module):
    def __init__(self, dim: Int[D], groups: Int[G], share: Int[S], half: Int[K]) -> None:
        super().__init__()
        self.groups = groups
        self.share = share
        self.wq = nn.Linear(dim, groups * share * 2 * half, bias=False)
        self.wk = nn.Linear(dim, groups * 2 * half, bias=False)
        self.wv = nn.Linear(dim, groups * 2 * half, bias=False)
        self.wo = nn.Linear(groups * share * 2 * half, dim, bias=False)

    def forward[B: IntVar, T: IntVar](
        self, x: Tensor[[B, T, D]], cosine: Tensor[[T, K]], sine: Tensor[[T, K]]
    ) -> Tensor[[B, T, D]]:
        b, t, _ = x.shape
        q = self.wq(x).reshape(b, t, self.groups * self.share, -1).transpose(1, 2)
        k = self.wk(x).reshape(b, t, self.groups, -1).transpose(1, 2)
        v = self.wv(x).reshape(b, t, self.groups, -1).transpose(1, 2)
        query = rotate(cosine, sine, q)
        keys = rotate(cosine, sine, k).repeat_interleave(self.share, dim=1)
        values = v.repeat_interleave(self.share, dim=1)
        scores = query @ keys.transpose(2, 3)
        later = torch.triu(torch.ones(t, t), 1) * -10000.0
        mixed = torch.softmax(scores + later, dim=-1) @ values
        return self.wo(mixed.transpose(1, 2).flatten(2))


class FeedForward[D: IntVar, H: IntVar](nn.Module):
    def __init__(self, dim: Int[D], hidden: Int[H]) -> None:
        super().__init__()
        self.gate = nn.Linear(dim, hidden, bias=False)
        self.up = nn.Linear(dim, hidden, bias=False)
        self.down = nn.Linear(hidden, dim, bias=False)

    def forward[B: IntVar, T: IntVar](self, x: Tensor[[B, T, D]]) -> Tensor[[B, T, D]]:
        return self.down(F.silu(self.gate(x)) * self.up(x))


class Block[D: IntVar, G: IntVar, S: IntVar, K: IntVar, H: IntVar](nn.Module):
    def __init__(self, dim: Int[D], groups: Int[G], share: Int[S], half: Int[K], hidden: Int[H]) -> None:
        super().__init__()
        self.norm1 = Norm(dim)
        self.attention = Attention(dim, groups, share, half)
        self.norm2 = Norm(dim)
        self.mlp = FeedForward(dim, hidden)

    def forward[B: IntVar, T: IntVar](
        self, x: Tensor[[B, T, D]], cosine: Tensor[[T, K]], sine: Tensor[[T, K]]
    ) -> Tensor[[B, T, D]]:
        h = x + self.attention(self.norm1(x), cosine, sine)
        return h + self.mlp(self.norm2(h))


class Llama[V: IntVar, D: IntVar, G: IntVar, S: IntVar, K: IntVar, H: IntVar](nn.Module):
    def __init__(
        self,
        vocabulary: Int[V],
        dim: Int[D],
        groups: Int[G],
        share: Int[S],
        half: Int[K],
        hidden: Int[H],
        depth: int,
    ) -> None:
        super().__init__()
        self.half = half
        self.embed = nn.Embedding(vocabulary, dim)
        self.blocks = nn.ModuleList([Block(dim, groups, share, half, hidden) for _ in range(depth)])
        self.norm = Norm(dim)
        self.head = nn.Linear(dim, vocabulary, bias=False)

    def forward[B: IntVar, T: IntVar](self, tokens: Tensor[[B, T]]) -> Tensor[[B, T, V]]:
        x = self.embed(tokens)
        cosine, sine = angles(tokens.shape[1], self.half)
        for block in self.blocks:
            x = block(x, cosine, sine)
        return self.head(self.norm(x))

    def following[B: IntVar, T: IntVar](self, tokens: Tensor[[B, T]]) -> Tensor[[B, V]]:
        """Scores of the token after the last."""
        return self.forward(tokens)[:, -1]


def smoke() -> tuple[Tensor[[2, 5, 40]], Tensor[[2, 40]]]:
    llama = Llama(40, 12, 2, 3, 2, 20, depth=2)
    tokens = torch.zeros(2, 5, dtype=torch.int64)
    return llama(tokens), llama.following(tokens)
