"""A vision transformer (https://arxiv.org/abs/2010.11929) over patches of a square image."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from shape_extensions import Int, IntVar
from torch import Tensor, nn


class Patches[N: IntVar, S: IntVar, P: IntVar, D: IntVar](nn.Module):
    def __init__(self, channels: Int[N], side: Int[S], patch: Int[P], dim: Int[D]) -> None:
        super().__init__()
        self.dim = dim
        self.project = nn.Conv2d(channels, dim, patch, stride=patch)
        self.token = nn.Parameter(torch.zeros(1, 1, dim))
        self.place = nn.Parameter(torch.zeros(1, side * side + 1, dim))

    def forward[B: IntVar](self, image: Tensor[[B, N, S * P, S * P]]) -> Tensor[[B, S * S + 1, D]]:
        maps = self.project(image)
        rows = maps.flatten(2).transpose(1, 2)
        first = self.token.expand(image.shape[0], 1, self.dim)
        return torch.cat((first, rows), dim=1) + self.place


class Attention[N: IntVar, K: IntVar](nn.Module):
    def __init__(self, heads: Int[N], head_dim: Int[K]) -> None:
        super().__init__()
        self.heads = heads
        self.head_dim = head_dim
        self.qkv = nn.Linear(heads * head_dim, 3 * heads * head_dim)
        self.out = nn.Linear(heads * head_dim, heads * head_dim)

    def forward[B: IntVar, T: IntVar](self, x: Tensor[[B, T, N * K]]) -> Tensor[[B, T, N * K]]:
        b, t, _ = x.shape
        query, key, value = self.qkv(x).chunk(3, dim=2)
        q = query.reshape(b, t, self.heads, -1).transpose(1, 2)
        k = key.reshape(b, t, self.heads, -1).transpose(1, 2)
        v = value.reshape(b, t, self.heads, -1).transpose(1, 2)
        scores = (q @ k.transpose(-2, -1)) / math.sqrt(self.head_dim)
        mixed = torch.softmax(scores, dim=-1) @ v
        return self.out(mixed.transpose(1, 2).flatten(2))


class Block[N: IntVar, K: IntVar, H: IntVar](nn.Module):
    def __init__(self, heads: Int[N], head_dim: Int[K], hidden: Int[H]) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(heads * head_dim)
        self.attention = Attention(heads, head_dim)
        self.norm2 = nn.LayerNorm(heads * head_dim)
        self.up = nn.Linear(heads * head_dim, hidden)
        self.down = nn.Linear(hidden, heads * head_dim)
        self.gain = nn.Parameter(torch.ones(heads * head_dim))

    def forward[B: IntVar, T: IntVar](self, x: Tensor[[B, T, N * K]]) -> Tensor[[B, T, N * K]]:
        y = x + self.attention(self.norm1(x)) * self.gain
        inner = F.gelu(self.up(self.norm2(y)))
        return y + self.down(inner)


class ViT[C: IntVar, S: IntVar, P: IntVar, N: IntVar, K: IntVar, O: IntVar](nn.Module):
    def __init__(
        self,
        channels: Int[C],
        side: Int[S],
        patch: Int[P],
        heads: Int[N],
        head_dim: Int[K],
        depth: int,
        classes: Int[O],
    ) -> None:
        super().__init__()
        self.side = side
        self.patches = Patches(channels, side, patch, heads * head_dim)
        self.blocks = nn.ModuleList([Block(heads, head_dim, 4 * heads * head_dim) for _ in range(depth)])
        self.norm = nn.LayerNorm(heads * head_dim)
        self.head = nn.Linear(heads * head_dim, classes)

    def features[B: IntVar](self, image: Tensor[[B, C, S * P, S * P]]) -> Tensor[[B, S * S + 1, N * K]]:
        x = self.patches(image)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)

    def forward[B: IntVar](self, image: Tensor[[B, C, S * P, S * P]]) -> Tensor[[B, O]]:
        x = self.features(image)
        return self.head(x[:, 0])

    def likeness[B: IntVar](self, image: Tensor[[B, C, S * P, S * P]]) -> Tensor[[B, S, S]]:
        """How alike each patch is to the class token, as an image."""
        x = self.features(image)
        first = x[:, 0, :]
        rest = x[:, 1:, :]
        products = (rest * first[:, None, :]).sum(dim=2)
        return products.reshape(image.shape[0], self.side, -1)


def smoke() -> tuple[Tensor[[2, 7]], Tensor[[2, 4, 4]]]:
    vit = ViT(3, 4, 5, 3, 6, depth=2, classes=7)
    image = torch.zeros(2, 3, 20, 20)
    return vit(image), vit.likeness(image)
