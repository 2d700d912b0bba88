"""BERT4Rec: items of a sequence are hidden, and told from what stands before and after.

    read       x1 [MASK] x3 x4 … [MASK]
    predicted      x2            xn      each among all items

When recommending, a [MASK] stands after the newest. While learning, hidden items have mostly others on both sides; so
of some sequences only the last is hidden, which is the question that will be asked. Every hidden item is a [MASK]:
none is shown as it is or exchanged for another, as in the original of language.

Source
------
Sun et al. (2019). That it takes far more epochs than its authors gave it: Petrov & Macdonald (2022), A systematic
review and replicability study of BERT4Rec.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from mess_core.recommend.sequences import SequenceRecommender
from mess_core.recommend.transformer import FIRST_ITEM, MASK, PAD, cross_entropy

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False)
class Bert4Rec(SequenceRecommender):
    """Attention both ways.

    hidden_share : of the items of a sequence, by chance; the last where chance leaves all
    last_share : of sequences of which only the last is hidden
    """

    name: str = "bert4rec"
    hidden_share: float = 0.2
    last_share: float = 0.1

    is_causal: ClassVar[bool] = False

    def loss(self, network: torch.nn.Module, tokens: torch.Tensor, n_learned: int) -> torch.Tensor:
        """What is hidden, at every place where something is."""
        items = network.get_submodule("items")()
        tokens = tokens[:, 1:]
        is_hidden = self.hide(tokens)
        hidden = network(tokens.masked_fill(is_hidden, MASK), items)
        return cross_entropy(hidden[is_hidden], tokens[is_hidden] - FIRST_ITEM, items[:n_learned])

    def hide(self, tokens: torch.Tensor) -> torch.Tensor:
        """Which items are hidden, by chance, (n, length) bool."""
        import torch

        is_hidden = (torch.rand(tokens.shape) < self.hidden_share) & (tokens != PAD)
        only_last = (torch.rand(len(tokens)) < self.last_share) | ~is_hidden.any(dim=1)
        is_hidden[only_last] = False
        is_hidden[only_last, -1] = True
        return is_hidden

    def question(self, tokens: torch.Tensor) -> torch.Tensor:
        """The newest but the oldest of them, and a place for what comes next."""
        import torch

        return torch.cat([tokens[:, 2:], torch.full_like(tokens[:, :1], MASK)], dim=1)
