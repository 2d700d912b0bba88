"""Shallow Net: one layer that turns points of sound into points of taste, the same for users and items.

    item: its point, as it was heard  ─┐
                                       ├─ Linear, ReLU ─> length one ─> cosine          "cosine"
    user: a point of their own,       ─┘                            └─> w · (user ⊙ item)  "interaction"
          which begins as the mean
          of what they have

    loss = confidence · max(0, margin - s(user, item) + s(another user, item)),  20 others for each pair      "users"
                                    or  + s(user, another item)                                                 "items"

What is learned is a reading of an encoder, so items that nobody has are read like any other. The points of items are
frozen: they are no parameters, and their sha256 is the same after as before, or the fit fails. In the published code
the flag that should freeze them let them learn, and froze the users; then the figure speaks of the table's size, not of
the encoder.

Others are drawn from all users (or items) of the training rows, never one who has the item: there, from the first
17,052 of 21,018 users, and also from those who do. Confidence is 1 + 2 log(1 + weight of the pair), or 1. Points are
divided by one number so that their mean square is 1: the scale of an encoder is not how much it has to say.

What is held out to stop by is a share of the pairs, with the others drawn once for all epochs.

Source
------
Tamm & Aljanaki (2024), Comparative analysis of pretrained audio representations in music recommender systems, and its
code; there the layer is as wide as its input. He et al. (2017), Neural collaborative filtering (GMF), for the product.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from mess_core.errors import InputError
from mess_core.recommend.checkpoints import digest
from mess_core.recommend.columns import Interactions
from mess_core.recommend.content import InOneSpace, has_point, points_for, user_sums
from mess_core.recommend.fitting import Epoch, Keeping, Learning, drawing_from, learn_by_epochs

if TYPE_CHECKING:
    import torch

N_DRAWS = 5  # of another user in place of one who has the item; who still has it then does not count
MOST_HELD_OUT = 20_000  # pairs; their loss moves by a hundredth with others


@dataclass(frozen=True, eq=False)
class ShallowNet:
    """One layer over frozen points, learned by a margin.

    points : (n_items, d), zero where an item has none
    width : numbers of a point of taste
    score : how a user and an item come together
    others : what is drawn against each pair
    n_others : how many
    has_confidence : whether pairs of more weight count more
    penalty : times the sum of squares of all that is learned (L2)
    held_out : share of the pairs by whose loss it is stopped; 0: after all epochs
    """

    points: np.ndarray
    width: int = 128
    score: Literal["cosine", "interaction"] = "cosine"
    others: Literal["users", "items"] = "users"
    n_others: int = 20
    margin: float = 0.2
    has_confidence: bool = False
    penalty: float = 0.0
    held_out: float = 0.05
    learning: Learning = Learning(batch=10_000, most_epochs=100, patience=16, plateau=5)  # noqa: RUF009  (frozen)
    name: str = "shallow"

    def fit(self, train: Interactions, keeping: Keeping | None = None) -> ShallowFitted:
        """Learn from interactions.

        Raises
        ------
        InputError
            If there is no point for each item, or nobody has an item with one.
        """
        import torch

        points = points_for(self.points, train)
        before, is_known = digest(points), has_point(points)
        pairs = train.matrix.tocoo()
        is_heard = is_known[pairs.col]
        if not is_heard.any():
            raise InputError("Nobody has an item that was heard.", "Join points of these items.")
        user, item = (torch.from_numpy(each[is_heard].astype(np.int64)) for each in (pairs.row, pairs.col))
        confidence = 1 + 2 * np.log1p(pairs.data[is_heard]) if self.has_confidence else np.ones(len(user))
        weight = torch.from_numpy(confidence.astype(np.float32))
        asked, wanted = (item, user) if self.others == "users" else (user, item)
        with drawing_from(self.learning.seed):
            net = _net(points, train, self.width, has_mix=self.score == "interaction")
            draw = _drawing(user, item, self.others, self.n_others)
            order = torch.randperm(len(user))
            n_held_out = min(int(self.held_out * len(user)), MOST_HELD_OUT)
            held_out, learned = order[:n_held_out], order[n_held_out:]
            drawn = draw(user[held_out], item[held_out])

        def loss_on(rows: torch.Tensor, others: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
            scores = net.scores(self.others, asked[rows], torch.cat([wanted[rows][:, None], others], dim=1))
            return hinge(scores, weight[rows], counts, self.margin)

        def loss_of(rows: torch.Tensor) -> torch.Tensor:
            rows = learned[rows]
            loss = loss_on(rows, *draw(user[rows], item[rows]))
            if self.penalty:
                loss = loss + self.penalty * sum((each**2).sum() for each in net.module.parameters())
            return loss

        about = {key: value for key, value in vars(self).items() if key not in ("points", "learning")}
        about |= {"points": before, "rows": digest(train.user, train.item, train.weight)}
        look = (lambda: -float(loss_on(held_out, *drawn))) if n_held_out else None
        curve = learn_by_epochs(net.module, len(learned), loss_of, look, self.learning, about, keeping)
        with torch.no_grad():
            users, items = (
                net.of(kind, torch.arange(n)) for kind, n in (("users", train.n_users), ("items", train.n_items))
            )
            users = net.mixed(users)
            users[~torch.isin(torch.arange(train.n_users), user)] = 0.0  # of whom nothing was heard
        if digest(net.heard.numpy()) != before:
            raise RuntimeError("The points of the items moved while the layer learned; they are to be frozen.")
        return ShallowFitted(users.numpy(), items.numpy(), is_known, curve, before)


@dataclass(frozen=True, eq=False)
class ShallowFitted(InOneSpace):
    """What was learned. frozen_sha256 : of the points of items, the same before and after learning"""

    curve: tuple[Epoch, ...]
    frozen_sha256: str


def hinge(scores: torch.Tensor, weight: torch.Tensor, counts: torch.Tensor, margin: float) -> torch.Tensor:
    """By how much a pair is not above others by the margin, mean over the others that count.

    scores : (b, 1 + n_others), of the pair first; weight : (b,); counts : (b, n_others) bool
    """
    import torch

    missed = torch.relu(margin - scores[:, :1] + scores[:, 1:]) * weight[:, None]
    return (missed * counts).sum() / counts.sum().clamp(min=1)


@dataclass(frozen=True, eq=False)
class _Net:
    """What is learned (`users`, `line`, perhaps `mix`), and beside it what is not.

    heard : (n_items, d); scale : it is divided by
    """

    module: torch.nn.ModuleDict
    heard: torch.Tensor
    scale: float

    def of(self, kind: str, ids: torch.Tensor) -> torch.Tensor:
        """Points of taste of some users or items, (m, width), of length one."""
        import torch

        points = self.heard[ids] / self.scale if kind == "items" else self.module["users"](ids)
        return torch.nn.functional.normalize(torch.relu(self.module["line"](points)), dim=-1)

    def mixed(self, points: torch.Tensor) -> torch.Tensor:
        """Weighed number by number, where the way they come together is learned."""
        import torch

        return points * self.module["mix"](torch.zeros(1, dtype=torch.int64)) if "mix" in self.module else points

    def scores(self, kind: str, asked: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
        """Of one side, (b,), with several of the other side, which is `kind`, (b, n) -> (b, n)."""
        import torch

        ids, place = asked.unique(return_inverse=True)  # each is read once, however often it occurs
        one = self.mixed(self.of("items" if kind == "users" else "users", ids))[place]
        ids, place = others.unique(return_inverse=True)
        many = torch.nn.functional.embedding(place, self.of(kind, ids))
        return torch.bmm(many, one[:, :, None])[:, :, 0]


def _net(points: np.ndarray, train: Interactions, width: int, *, has_mix: bool) -> _Net:
    import torch

    scale = float(np.sqrt(np.mean(points[points.any(axis=1)] ** 2)))
    n_heard = np.asarray(train.has @ points.any(axis=1).astype(np.float32))[:, None]
    users = user_sums(points, train) / np.maximum(n_heard, 1) / scale
    parts: dict[str, torch.nn.Module] = {
        "users": torch.nn.Embedding.from_pretrained(torch.from_numpy(users.astype(np.float32)), freeze=False),
        "line": torch.nn.Linear(points.shape[1], width),
    }
    if has_mix:
        parts["mix"] = torch.nn.Embedding.from_pretrained(torch.ones(1, width), freeze=False)  # begins as the cosine
    return _Net(torch.nn.ModuleDict(parts), torch.tensor(points), scale)


def _drawing(
    user: torch.Tensor, item: torch.Tensor, kind: str, n_others: int
) -> Callable[..., tuple[torch.Tensor, torch.Tensor]]:
    """A way to draw from all who are in pairs: (users, items), (b,) -> others and which of them count, (b, n_others).

    What is in no pair is not drawn: an item that nobody has would be taught to be nobody's.
    """
    import torch

    n_items = int(item.max()) + 1
    pool = (user if kind == "users" else item).unique()
    taken = (user * n_items + item).sort().values

    def has(asked: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
        keys = others * n_items + asked if kind == "users" else asked * n_items + others
        return taken[torch.searchsorted(taken, keys).clamp(max=len(taken) - 1)] == keys

    def draw(users: torch.Tensor, items: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        shape = (len(users), n_others)
        asked = (items if kind == "users" else users)[:, None].expand(shape)
        others = pool[torch.randint(len(pool), shape)]
        is_taken = has(asked, others)
        for _ in range(N_DRAWS):
            again = is_taken.nonzero(as_tuple=True)
            others[again] = pool[torch.randint(len(pool), again[0].shape)]
            is_taken[again] = has(asked[again], others[again])
        return others, ~is_taken

    return draw
