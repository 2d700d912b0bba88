"""The network of the sequence recommenders: what a listener took to, in order, to a point for each place in it.

    tokens (n, length) -> rows of items + places (n, length, width) -> blocks -> hidden (n, length, width)
    hidden · items, over all items -> how likely each stands at that place (softmax)

Tokens are PAD, where there is nothing, MASK, where something is hidden, and from `FIRST_ITEM` on the items. Sequences
end at the right: the newest stands last, whatever the length, and places are counted from there.

Items
-----
An item has one row, by which it is read and by which it is predicted (tied). Either the rows are learned, one for each
item (ids), or they are a linear map, which is learned, of points which are not: frozen. Of the points alone, an item
that nobody has taken to yet is read and predicted like any other. PAD is zero, MASK a learned row of its own.

A block is attention, then two lines with a bend between, each on what was normalised before and added to what came in
(pre-norm). Attention looks back only (causal) or both ways.

Source
------
Vaswani et al. (2017); pre-norm: Xiong et al. (2020); tied rows: Press & Wolf (2017).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mess_core.errors import InputError

if TYPE_CHECKING:
    import torch

PAD, MASK, FIRST_ITEM = 0, 1, 2
SPREAD = 0.02  # of fresh weights, as in BERT
MOST_LOGITS = 100_000_000  # of a batch: 0.4 GB, and about three times that while it is learned from


@dataclass(frozen=True)
class Transformer:
    """The size of a network.

    width : numbers of each place; inner : those between the two lines of a block
    most : places
    """

    width: int = 64
    n_layers: int = 2
    n_heads: int = 2
    inner: int = 256
    dropout: float = 0.2
    most: int = 50


def build_transformer(
    size: Transformer, n_items: int, points: np.ndarray | None = None, *, is_causal: bool
) -> torch.nn.Module:
    """A network with fresh weights, drawn from torch's own generator.

    Its part `items` gives the rows, () -> (n_items, width); the network itself takes tokens and these rows,
    (n, length) int64 and (n_items, width) -> (n, length, width).

    Parameters
    ----------
    size : Transformer
    n_items : int
    points : ndarray, shape (n_items, d), optional
        Frozen; by default, ids are learned.
    is_causal : bool
        Whether a place sees only what was before it.

    Raises
    ------
    InputError
        If the sizes do not fit each other.
    """
    import torch
    import torch.nn.functional as F
    from torch import nn

    if size.n_heads < 1 or size.width % size.n_heads or size.most < 2 or not 0 <= size.dropout < 1:
        raise InputError(f"{size} is no network: heads must divide the width, and there must be 2 places at least.")

    class Ids(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rows = nn.Parameter(SPREAD * torch.randn(n_items, size.width))

        def forward(self) -> torch.Tensor:
            return self.rows

    class Points(nn.Module):
        def __init__(self, points: np.ndarray) -> None:
            super().__init__()
            self.points: torch.Tensor
            self.register_buffer("points", torch.from_numpy(np.array(points, np.float32)), persistent=False)
            self.into = nn.Linear(points.shape[1], size.width, bias=False)

        def forward(self) -> torch.Tensor:
            rows: torch.Tensor = self.into(self.points)
            return rows

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.n1, self.n2 = nn.LayerNorm(size.width), nn.LayerNorm(size.width)
            self.qkv, self.out = nn.Linear(size.width, 3 * size.width), nn.Linear(size.width, size.width)
            self.f1, self.f2 = nn.Linear(size.width, size.inner), nn.Linear(size.inner, size.width)
            self.dropout = nn.Dropout(size.dropout)

        def forward(self, x: torch.Tensor, sees: torch.Tensor) -> torch.Tensor:
            n, length, _ = x.shape
            query, key, value = (
                self.qkv(self.n1(x)).view(n, length, 3, size.n_heads, -1).permute(2, 0, 3, 1, 4)
            )  # each (n, heads, length, width / heads)
            dropout = size.dropout if self.training else 0.0
            seen = F.scaled_dot_product_attention(query, key, value, sees, dropout)
            x = x + self.dropout(self.out(seen.transpose(1, 2).reshape(n, length, size.width)))
            return x + self.dropout(self.f2(F.gelu(self.f1(self.n2(x)))))

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.items = Ids() if points is None else Points(points)
            self.mask = nn.Parameter(SPREAD * torch.randn(1, size.width))
            self.places = nn.Parameter(SPREAD * torch.randn(size.most, size.width))
            self.blocks = nn.ModuleList(Block() for _ in range(size.n_layers))
            self.norm = nn.LayerNorm(size.width)
            self.dropout = nn.Dropout(size.dropout)

        def forward(self, tokens: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
            length = tokens.shape[1]
            rows = torch.cat([torch.zeros_like(self.mask), self.mask, items])  # by token
            x = self.dropout(F.embedding(tokens, rows) + self.places[size.most - length :])
            sees = (tokens != PAD)[:, None, None, :].expand(-1, 1, length, -1)
            if is_causal:
                sees = sees & torch.ones(length, length, dtype=torch.bool).tril()
            sees = sees | torch.eye(length, dtype=torch.bool)  # a place without anything before it sees itself
            for block in self.blocks:
                x = block(x, sees)
            found: torch.Tensor = self.norm(x)
            return found

    network = Network()
    for block in network.blocks:
        for line in (each for each in block.modules() if isinstance(each, nn.Linear)):
            nn.init.normal_(line.weight, std=SPREAD)
            nn.init.zeros_(line.bias)
    return network


def cross_entropy(hidden: torch.Tensor, wanted: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
    """Mean surprise of what was wanted, among all items.

    Where places times items are more than `MOST_LOGITS`, so many places as fit are drawn: their mean is that of all in
    expectation, in bounded memory.

    Parameters
    ----------
    hidden : (m, width), of the places asked about
    wanted : (m,) int64, rows of items
    items : (n_items, width)
    """
    import torch
    import torch.nn.functional as F

    most = max(1, MOST_LOGITS // len(items))
    if len(hidden) > most:
        drawn = torch.randperm(len(hidden))[:most]
        hidden, wanted = hidden[drawn], wanted[drawn]
    return F.cross_entropy(hidden @ items.T, wanted)
