"""SASRec: at every place of a sequence, what comes next, from nothing but what was before.

    read       x1 x2 x3 … x(n-1)
    predicted  x2 x3 x4 … xn        each among all items

One sequence gives as many questions as it has steps, and the question when recommending is one of them: what comes
after the newest. Its first authors told each item from one drawn at random; told from all items at once (full softmax)
it is as good as or better than BERT4Rec, and learns in fewer epochs.

Source
------
Kang & McAuley (2018), Self-attentive sequential recommendation; Klenitskiy & Vasilev (2023), Turning dross into gold
loss, for the softmax.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from mess_core.recommend.sequences import SequenceRecommender
from mess_core.recommend.transformer import FIRST_ITEM, PAD, cross_entropy

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False)
class SasRec(SequenceRecommender):
    """Attention to what was before."""

    name: str = "sasrec"

    is_causal: ClassVar[bool] = True

    def loss(self, network: torch.nn.Module, tokens: torch.Tensor, n_learned: int) -> torch.Tensor:
        """What comes next, at every place but the last."""
        items = network.get_submodule("items")()
        read, wanted = tokens[:, :-1], tokens[:, 1:]
        asked = read != PAD
        return cross_entropy(network(read, items)[asked], wanted[asked] - FIRST_ITEM, items[:n_learned])

    def question(self, tokens: torch.Tensor) -> torch.Tensor:
        """The newest as they are."""
        return tokens[:, 1:]
