"""An encoder and a decoder of gated recurrent units with additive attention (https://arxiv.org/abs/1409.0473)."""

from __future__ import annotations

import torch
from shape_extensions import Int, IntVar
from torch import Tensor, nn


class Cell[I: IntVar, H: IntVar](nn.Module):
    def __init__(self, inputs: Int[I], hidden: Int[H]) -> None:
        super().__init__()
        self.wx = nn.Parameter(torch.randn(3 * hidden, inputs))
        self.wh = nn.Parameter(torch.randn(3 * hidden, hidden))
        self.bias = nn.Parameter(torch.zeros(3 * hidden))

    def forward[B: IntVar](self, x: Tensor[[B, I]], h: Tensor[[B, H]]) -> Tensor[[B, H]]:
        xr, xz, xn = (x @ self.wx.T + self.bias).chunk(3, dim=1)
        hr, hz, hn = (h @ self.wh.T).chunk(3, dim=1)
        reset = torch.sigmoid(xr + hr)
        update = torch.sigmoid(xz + hz)
        fresh = torch.tanh(xn + reset * hn)
        return (1.0 - update) * fresh + update * h


class Encoder[V: IntVar, D: IntVar, H: IntVar](nn.Module):
    def __init__(self, vocabulary: Int[V], dim: Int[D], hidden: Int[H]) -> None:
        super().__init__()
        self.hidden = hidden
        self.embed = nn.Embedding(vocabulary, dim)
        self.forwards = Cell(dim, hidden)
        self.backwards = Cell(dim, hidden)

    def forward[B: IntVar, T: IntVar](self, tokens: Tensor[[B, T]]) -> Tensor[[B, T, 2 * H]]:
        """Each token with what comes before and behind it."""
        x = self.embed(tokens)
        left = self.run(self.forwards, x)
        right = self.run(self.backwards, torch.flip(x, (1,)))
        return torch.cat((left, torch.flip(right, (1,))), dim=2)

    def run[B: IntVar, T: IntVar](self, cell: Cell[D, H], x: Tensor[[B, T, D]]) -> Tensor[[B, T, H]]:
        """The state after each step."""
        h = torch.zeros(x.shape[0], self.hidden)
        states = []
        for i in range(x.shape[1]):
            h = cell(x[:, i], h)
            states.append(h)
        return torch.stack(states, dim=1)


class Attention[H: IntVar, M: IntVar, W: IntVar](nn.Module):
    def __init__(self, hidden: Int[H], memory: Int[M], width: Int[W]) -> None:
        super().__init__()
        self.query = nn.Linear(hidden, width)
        self.key = nn.Linear(memory, width)
        self.score = nn.Parameter(torch.zeros(width))

    def forward[B: IntVar, T: IntVar](self, h: Tensor[[B, H]], seen: Tensor[[B, T, M]]) -> Tensor[[B, M]]:
        asked = self.query(h)[:, None, :]
        scores = torch.tanh(asked + self.key(seen)) @ self.score
        weights = torch.softmax(scores, dim=1)
        return (weights[:, :, None] * seen).sum(dim=1)


class Decoder[V: IntVar, D: IntVar, H: IntVar](nn.Module):
    def __init__(self, vocabulary: Int[V], dim: Int[D], hidden: Int[H]) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, dim)
        self.start = nn.Linear(2 * hidden, hidden)
        self.attention = Attention(hidden, 2 * hidden, hidden)
        self.cell = Cell(dim + 2 * hidden, hidden)
        self.head = nn.Linear(3 * hidden + dim, vocabulary)

    def begin[B: IntVar, T: IntVar](self, seen: Tensor[[B, T, 2 * H]]) -> Tensor[[B, H]]:
        return torch.tanh(self.start(seen.mean(dim=1)))

    def step[B: IntVar, T: IntVar](
        self, token: Tensor[[B]], h: Tensor[[B, H]], seen: Tensor[[B, T, 2 * H]]
    ) -> tuple[Tensor[[B, V]], Tensor[[B, H]]]:
        """Scores of the next token, and the state."""
        word = self.embed(token)
        context = self.attention(h, seen)
        after = self.cell(torch.cat((word, context), dim=1), h)
        return self.head(torch.cat((after, context, word), dim=1)), after

    def forward[B: IntVar, T: IntVar, S: IntVar](
        self, seen: Tensor[[B, T, 2 * H]], tokens: Tensor[[B, S]]
    ) -> Tensor[[B, S, V]]:
        h = self.begin(seen)
        rows = []
        for i in range(tokens.shape[1]):
            scores, after = self.step(tokens[:, i], h, seen)
            h = after
            rows.append(scores)
        return torch.stack(rows, dim=1)


class Translator[S: IntVar, V: IntVar, D: IntVar, H: IntVar](nn.Module):
    def __init__(self, source: Int[S], target: Int[V], dim: Int[D], hidden: Int[H]) -> None:
        super().__init__()
        self.encoder = Encoder(source, dim, hidden)
        self.decoder = Decoder(target, dim, hidden)

    def forward[B: IntVar, T: IntVar, L: IntVar](
        self, text: Tensor[[B, T]], answer: Tensor[[B, L]]
    ) -> Tensor[[B, L, V]]:
        return self.decoder(self.encoder(text), answer)


def smoke() -> Tensor[[2, 4, 30]]:
    text = torch.zeros(2, 5, dtype=torch.int64)
    answer = torch.zeros(2, 4, dtype=torch.int64)
    return Translator(20, 30, 6, 8)(text, answer)
