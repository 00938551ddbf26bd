"""A transformer encoder over pairs of sentences (https://arxiv.org/abs/1810.04805)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from shape_extensions import Int, IntVar
from torch import Tensor, nn


class Embeddings[V: IntVar, P: IntVar, D: IntVar](nn.Module):
    def __init__(self, vocabulary: Int[V], positions: Int[P], dim: Int[D]) -> None:
        super().__init__()
        self.word = nn.Embedding(vocabulary, dim)
        self.place = nn.Embedding(positions, dim)
        self.segment = nn.Embedding(2, dim)
        self.norm = nn.LayerNorm(dim)

    def forward[B: IntVar, T: IntVar](self, tokens: Tensor[[B, T]], segments: Tensor[[B, T]]) -> Tensor[[B, T, D]]:
        words = self.word(tokens)
        places = self.place(torch.arange(tokens.shape[1]))
        return self.norm(words + places + self.segment(segments))


class Attention[D: IntVar, N: IntVar](nn.Module):
    def __init__(self, dim: Int[D], heads: Int[N]) -> None:
        super().__init__()
        self.dim = dim
        self.heads = heads
        self.query = nn.Linear(dim, dim)
        self.key = nn.Linear(dim, dim)
        self.value = nn.Linear(dim, dim)
        self.out = nn.Linear(dim, dim)

    def forward[B: IntVar, T: IntVar](self, x: Tensor[[B, T, D]], keep: Tensor[[B, T]]) -> Tensor[[B, T, D]]:
        q = self.split(self.query(x))
        k = self.split(self.key(x))
        v = self.split(self.value(x))
        scores = q @ k.transpose(-2, -1) * 0.125
        masked = scores + (1.0 - keep[:, None, None, :]) * -10000.0
        mixed = torch.softmax(masked, dim=-1) @ v
        return self.out(mixed.transpose(1, 2).reshape(x.shape[0], x.shape[1], self.dim))

    def split[B: IntVar, T: IntVar](self, x: Tensor[[B, T, D]]) -> Tensor[[B, N, T, D // N]]:
        parts = x.reshape(x.shape[0], x.shape[1], self.heads, -1)
        return parts.permute(0, 2, 1, 3)


class Encoder[D: IntVar, N: IntVar, H: IntVar](nn.Module):
    def __init__(self, dim: Int[D], heads: Int[N], hidden: Int[H]) -> None:
        super().__init__()
        self.attention = Attention(dim, heads)
        self.norm1 = nn.LayerNorm(dim)
        self.up = nn.Linear(dim, hidden)
        self.down = nn.Linear(hidden, dim)
        self.norm2 = nn.LayerNorm(dim)

    def forward[B: IntVar, T: IntVar](self, x: Tensor[[B, T, D]], keep: Tensor[[B, T]]) -> Tensor[[B, T, D]]:
        a = self.norm1(x + self.attention(x, keep))
        h = F.gelu(self.up(a))
        return self.norm2(a + self.down(h))


class Bert[V: IntVar, P: IntVar, D: IntVar, N: IntVar, C: IntVar](nn.Module):
    def __init__(
        self, vocabulary: Int[V], positions: Int[P], dim: Int[D], heads: Int[N], depth: int, classes: Int[C]
    ) -> None:
        super().__init__()
        self.embed = Embeddings(vocabulary, positions, dim)
        self.encoders = nn.ModuleList([Encoder(dim, heads, 4 * dim) for _ in range(depth)])
        self.pooler = nn.Linear(dim, dim)
        self.head = nn.Linear(2 * dim, classes)

    def encode[B: IntVar, T: IntVar](
        self, tokens: Tensor[[B, T]], segments: Tensor[[B, T]], keep: Tensor[[B, T]]
    ) -> Tensor[[B, T, D]]:
        x = self.embed(tokens, segments)
        for encoder in self.encoders:
            x = encoder(x, keep)
        return x

    def forward[B: IntVar, T: IntVar](
        self, tokens: Tensor[[B, T]], segments: Tensor[[B, T]], keep: Tensor[[B, T]]
    ) -> Tensor[[B, C]]:
        x = self.encode(tokens, segments, keep)
        first = torch.tanh(self.pooler(x[:, 0]))
        average = mean_of(x, keep)
        return self.head(torch.cat((first, average), dim=1))


def mean_of[B: IntVar, T: IntVar, D: IntVar](x: Tensor[[B, T, D]], keep: Tensor[[B, T]]) -> Tensor[[B, D]]:
    """The mean over the tokens that count."""
    total = (x * keep[:, :, None]).sum(dim=1)
    count = keep.sum(dim=1, keepdim=True)
    return total / count


def smoke() -> Tensor[[2, 4]]:
    tokens = torch.zeros(2, 7, dtype=torch.int64)
    return Bert(50, 16, 12, 3, depth=2, classes=4)(tokens, tokens, torch.ones(2, 7))
