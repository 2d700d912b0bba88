"""Sequence recommenders: what comes next, by a network that reads what a user took to in order.

    interactions -> of each user the items in order, cut into windows -> tokens (n_windows, most + 1)
      all but the last item of each user  -> learned from, by epochs
      the last item of each user          -> nDCG@10 after each epoch, which says when to stop
    -> a score of every item: what is predicted for the place after the newest

What they have in common is here; what each is taught is in `sasrec` and `bert4rec`.

Conventions
-----------
What a user took to twice stands in the sequence twice. All windows are learned from, the newest is read when
recommending, with the item that was held out: as many places as were learned.

A user without history has -inf for all items, and an item that is not known has it for all users. Known are the items
that were learned from and, with points, all others that have a point. What is told apart while learning are the former
alone: an item that nobody took to yet would always be the wrong one, and be pushed away for it.

Points are taken less their mean, and on one scale, so that all encoders start alike. A row of zeros is an item without
a point; it is left out of every sequence.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mess_core.errors import InputError
from mess_core.recommend.base import recommend_items
from mess_core.recommend.checkpoints import digest
from mess_core.recommend.columns import Interactions
from mess_core.recommend.fitting import Epoch, Keeping, Learning, drawing_from, learn_by_epochs, on_one_thread
from mess_core.recommend.transformer import PAD, Transformer, build_transformer
from mess_core.recommend.windows import hold_out_last, newest, windows

if TYPE_CHECKING:
    import torch

K = 10
USERS_AT_ONCE = 128


@dataclass(frozen=True, eq=False)
class SequenceRecommender(ABC):
    """What is learned, and how.

    points : (n_items, d), frozen, zero where an item has none; None: a row of its own is learned for each item (ids)
    """

    points: np.ndarray | None = None
    size: Transformer = field(default_factory=Transformer)
    learning: Learning = field(default_factory=Learning)
    name: str = "sequence"

    is_causal: ClassVar[bool]  # whether a place sees only what was before it

    @abstractmethod
    def loss(self, network: torch.nn.Module, tokens: torch.Tensor, n_learned: int) -> torch.Tensor:
        """Of some users' tokens, (n, most + 1), the newest last; the first `n_learned` items are told apart."""

    @abstractmethod
    def question(self, tokens: torch.Tensor) -> torch.Tensor:
        """What the network reads of them to predict at its last place, (n, most)."""

    def fit(self, train: Interactions, keeping: Keeping | None = None) -> LearnedSequences:
        """Learn from interactions.

        Raises
        ------
        InputError
            If points are not one for each item, or hold what is no number; if nobody took to two items.
        ArtefactMismatchError
            If the checkpoint is damaged, or of another fit.
        """
        import torch

        points = None
        if self.points is not None:
            points, has_point = _standardised(self.points, train.n_items)
            train = train.only(has_point[train.item])
        split = hold_out_last(train)
        learned = np.unique(split.train.item)
        known = learned
        if points is not None:
            known = np.concatenate([learned, np.setdiff1d(np.flatnonzero(has_point), learned)])
        tokens, _ = windows(split.train, known, self.size.most)
        tokens = tokens[tokens[:, -2] != PAD]
        if not len(tokens):
            raise InputError("Nobody took to two items, so nothing comes after another.", "Expected longer histories.")
        with drawing_from(self.learning.seed):
            network = build_transformer(
                self.size, len(known), None if points is None else points[known], is_causal=self.is_causal
            )
        before = _frozen_sha256(network)
        taught, read = torch.from_numpy(tokens), newest(split.train, known, self.size.most)

        def figure() -> float:
            learning = LearnedSequences.of(self, network, read, known, train.n_items)
            return _ndcg(recommend_items(learning, split.train, split.tested, K), split.test.last[split.tested])

        curve = learn_by_epochs(
            network,
            len(tokens),
            lambda chosen: self.loss(network, taught[chosen], len(learned)),
            figure if len(split.tested) else None,
            self.learning,
            {**asdict(replace(self, points=None)), "points": before, "rows": digest(train.user, train.item, known)},
            keeping,
        )
        if _frozen_sha256(network) != before:
            raise RuntimeError("The points of the items moved while the network learned; they are to be frozen.")
        whole = newest(train, known, self.size.most)
        return replace(
            LearnedSequences.of(self, network, whole, known, train.n_items), curve=curve, frozen_sha256=before
        )


@dataclass(frozen=True, eq=False)
class LearnedSequences:
    """A network that has learned.

    tokens : (n_users, most + 1) int64, the newest last
    known : (n_known,) int64, items in the order of their tokens, from `FIRST_ITEM` on; n_items : of the catalogue
    rows : (n_known, width), of these items
    curve : of all epochs
    frozen_sha256 : of the points, the same before and after learning; None with ids
    """

    recommender: SequenceRecommender
    network: torch.nn.Module
    tokens: np.ndarray
    known: np.ndarray
    n_items: int
    rows: torch.Tensor
    curve: tuple[Epoch, ...] = ()
    frozen_sha256: str | None = None

    @classmethod
    def of(
        cls,
        recommender: SequenceRecommender,
        network: torch.nn.Module,
        tokens: np.ndarray,
        known: np.ndarray,
        n_items: int,
    ) -> LearnedSequences:
        """With the rows of the items as they are now."""
        import torch

        with torch.no_grad(), on_one_thread():
            rows = network.get_submodule("items")()
        return cls(recommender, network, tokens, known, n_items, rows.clone())

    def scores(self, users: np.ndarray) -> np.ndarray:
        """Of all items, (m, n_items) float32; -inf where nothing is known."""
        import torch

        found = np.full((len(users), self.n_items), -np.inf, np.float32)
        with torch.no_grad(), on_one_thread():
            for start in range(0, len(users), USERS_AT_ONCE):
                tokens = torch.from_numpy(self.tokens[users[start : start + USERS_AT_ONCE]])
                predicted = self.network(self.recommender.question(tokens), self.rows)[:, -1]
                scores = (predicted @ self.rows.T).masked_fill(tokens[:, -1:] == PAD, -torch.inf)
                found[start : start + USERS_AT_ONCE, self.known] = scores.numpy()
        return found


def _standardised(points: np.ndarray, n_items: int) -> tuple[np.ndarray, np.ndarray]:
    """Less the mean of those there are, of length one in the mean square, (n_items, d) float32; and which there are."""
    if points.ndim != 2 or len(points) != n_items:
        raise InputError(f"Points have shape {points.shape}, expected one for each of {n_items} items.")
    if not np.isfinite(points).all():
        row = int(np.argmin(np.isfinite(points).all(axis=1)))
        raise InputError(f"The point of item {row} holds what is no number.", "Give zeros where an item has none.")
    has_point = np.asarray(points.any(axis=1))
    if not has_point.any():
        raise InputError(
            "No item has a point.", "Leave out the points: a row of its own is then learned for each item."
        )
    apart = points - points[has_point].mean(axis=0, dtype=np.float64)
    apart[~has_point] = 0.0
    length = np.sqrt((apart**2).sum() / has_point.sum()) or 1.0
    return (apart / length).astype(np.float32), has_point


def _frozen_sha256(network: torch.nn.Module) -> str | None:
    """Of the points that the rows of items are made of; None where there are none."""
    points = getattr(network.get_submodule("items"), "points", None)
    return None if points is None else digest(points.detach().numpy())


def _ndcg(lists: np.ndarray, wanted: np.ndarray) -> float:
    """Mean of 1 / log2(place + 1) of the one wanted item, 0 without it. lists : (n, k); wanted : (n,)"""
    hits = lists == wanted[:, None]
    return float((hits / np.log2(np.arange(2, lists.shape[1] + 2))).sum(axis=1).mean())
