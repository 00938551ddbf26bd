"""A causal transformer decoder over tokens (GPT-2), with its loss and one step of generation."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from shape_extensions import Int, IntVar
from torch import Tensor, nn


class CausalAttention[D: IntVar, N: IntVar, L: IntVar](nn.Module):
    def __init__(self, dim: Int[D], heads: Int[N], limit: Int[L]) -> None:
        super().__init__()
        self.dim = dim
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)
        self.seen = nn.Buffer(torch.tril(torch.ones(limit, limit)))

    def forward[B: IntVar, T: IntVar](self, x: Tensor[[B, T, D]]) -> Tensor[[B, T, D]]:
        b, t, _ = x.shape
        joined = self.qkv(x).reshape(b, t, 3, self.heads, -1)
        parts = joined.permute(2, 0, 3, 1, 4)
        q = parts[0]
        k = parts[1]
        v = parts[2]
        scores = q @ k.transpose(-2, -1) / math.sqrt(self.dim // self.heads)
        hidden = scores.masked_fill(self.seen[:t, :t] == 0.0, -math.inf)
        weights = torch.softmax(hidden, dim=-1)
        mixed = weights @ v
        return self.out(mixed.transpose(1, 2).reshape(b, t, self.dim))


class FeedForward[D: IntVar](nn.Module):
    def __init__(self, dim: Int[D]) -> None:
        super().__init__()
        self.up = nn.Linear(dim, 4 * dim)
        self.down = nn.Linear(4 * dim, dim)

    def forward[B: IntVar, T: IntVar](self, x: Tensor[[B, T, D]]) -> Tensor[[B, T, D]]:
        inner = F.gelu(self.up(x))
        return self.down(inner)


class Block[D: IntVar, N: IntVar, L: IntVar](nn.Module):
    def __init__(self, dim: Int[D], heads: Int[N], limit: Int[L]) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attention = CausalAttention(dim, heads, limit)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = FeedForward(dim)

    def forward[B: IntVar, T: IntVar](self, x: Tensor[[B, T, D]]) -> Tensor[[B, T, D]]:
        y = x + self.attention(self.norm1(x))
        return y + self.mlp(self.norm2(y))


class GPT[V: IntVar, L: IntVar, D: IntVar, N: IntVar](nn.Module):
    def __init__(self, vocabulary: Int[V], limit: Int[L], dim: Int[D], heads: Int[N], depth: int) -> None:
        super().__init__()
        self.wte = nn.Embedding(vocabulary, dim)
        self.wpe = nn.Parameter(torch.randn(limit, dim))
        self.blocks = nn.ModuleList([Block(dim, heads, limit) for _ in range(depth)])
        self.norm = nn.LayerNorm(dim)

    def forward[B: IntVar, T: IntVar](self, tokens: Tensor[[B, T]]) -> Tensor[[B, T, V]]:
        x = self.wte(tokens) + self.wpe[: tokens.shape[1]]
        for block in self.blocks:
            x = block(x)
        return self.norm(x) @ self.wte.weight.T

    def surprise[B: IntVar, T: IntVar](self, tokens: Tensor[[B, T]]) -> Tensor[[B, T - 1]]:
        """How surprising each token is after those before it."""
        scores = F.log_softmax(self.forward(tokens[:, :-1]), dim=-1)
        targets = tokens[:, 1:]
        hit = scores.gather(2, targets[:, :, None])
        return -hit.squeeze(2)

    def extend[B: IntVar, T: IntVar](self, tokens: Tensor[[B, T]]) -> Tensor[[B, T + 1]]:
        """The tokens with the likeliest next one behind them."""
        last = self.forward(tokens)[:, -1]
        following = last.argmax(dim=-1)
        return torch.cat((tokens, following[:, None]), dim=1)


def smoke() -> tuple[Tensor[[2, 7, 40]], Tensor[[2, 6]], Tensor[[2, 8]]]:
    gpt = GPT(40, 16, 12, 2, depth=2)
    tokens = torch.zeros(2, 7, dtype=torch.int64)
    return gpt(tokens), gpt.surprise(tokens), gpt.extend(tokens)
