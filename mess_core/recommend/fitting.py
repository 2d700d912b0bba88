"""Fitting by epochs: what learns by gradient goes over its rows again and again, until what is held out says enough.

    module, rows --an epoch--> loss --a look at what is held out--> figure --no better for long--> the best state
                      |                                                |
                      +------------------- checkpoint -----------------+

An epoch takes every row once, in a new order, by batches, with a step of Adam for each. Then one figure is measured on
what is not trained on, larger being better. After `patience` epochs without a better one the fit is over, and the
module is as it was at the best (early stopping). The curve of all epochs is what pages and trackers draw.

Chance
------
Each epoch draws from a seed of its own, made of the seed and the number of the epoch: the order of its rows, what
dropout leaves out, whatever else a loss draws from torch. So the number of the epoch is the whole state of chance, and
a fit that was interrupted goes on to the very bytes it would have come to. On one thread of the processor, since the
sums of several come in any order.

Source
------
Kingma & Ba (2015) for Adam; Prechelt (1998), Early stopping - but when?
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from mess_core.errors import InputError
from mess_core.recommend.base import Fitted, Recommender
from mess_core.recommend.checkpoints import BEGIN_AGAIN, load_checkpoint, save_checkpoint
from mess_core.recommend.columns import Interactions
from mess_core.storage.untrusted import build, understanding

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Epoch:
    """One time over all rows. number : 1, 2, …; loss : mean over rows; figure : of what is held out; took_s : both"""

    number: int
    loss: float
    figure: float | None
    took_s: float


@dataclass(frozen=True)
class Learning:
    """How to learn.

    rate : of Adam; batch : rows a step
    patience : epochs without a better figure that end it
    plateau : epochs without one, after which the rate falls to a tenth; None: it stays
    """

    rate: float = 1e-3
    batch: int = 128
    most_epochs: int = 200
    patience: int = 16
    seed: int = 0
    plateau: int | None = None


@dataclass(frozen=True)
class Keeping:
    """What becomes of a fit while it lasts.

    checkpoint : document of `recommend.checkpoints`, `*.json`; None: nothing is kept
    every_s : how long to go on until it is kept again, seconds
    tell : is given each epoch; what it raises ends the fit
    """

    checkpoint: Path | None = None
    every_s: float = 30.0
    tell: Callable[[Epoch], object] | None = None


class LearnedByEpochs(Fitted, Protocol):
    """What was learned, and how it came about."""

    @property
    def curve(self) -> tuple[Epoch, ...]:
        """All epochs, also those after the best."""


class LearnsByEpochs(Recommender, Protocol):
    """A recommender that can be watched, interrupted and gone on with."""

    def fit(self, train: Interactions, keeping: Keeping | None = None) -> LearnedByEpochs:
        """Learn from interactions."""


def best_of(curve: tuple[Epoch, ...]) -> Epoch:
    """The first of the epochs whose figure is largest; the last where nothing was held out."""
    return max(curve, key=lambda each: each.number if each.figure is None else each.figure)


def rate_after(curve: tuple[Epoch, ...], learning: Learning) -> float:
    """The rate of the epoch that follows: all of it is told by the figures so far, so no checkpoint has to keep it.

    Examples
    --------
    >>> curve = [Epoch(number, 0.0, figure, 0.0) for number, figure in enumerate((1.0, 2.0, 2.0, 1.0, 3.0))]
    >>> [rate_after(tuple(curve[:n]), Learning(rate=1.0, plateau=1)) for n in range(6)]
    [1.0, 1.0, 1.0, 1.0, 0.1, 0.1]
    """
    rate, n_without, best = learning.rate, 0, -math.inf
    for epoch in curve:
        if epoch.figure is not None and epoch.figure <= best:
            n_without += 1
        else:
            n_without, best = 0, best if epoch.figure is None else epoch.figure
        if learning.plateau is not None and n_without > learning.plateau:
            rate, n_without = rate / 10, 0
    return rate


def learn_by_epochs(
    module: torch.nn.Module,
    n_rows: int,
    loss_of: Callable[[torch.Tensor], torch.Tensor],
    figure_of: Callable[[], float] | None,
    learning: Learning,
    about: Mapping[str, Any],
    keeping: Keeping | None = None,
) -> tuple[Epoch, ...]:
    """Teach a module in place; it ends as it was at the best epoch, in evaluation mode.

    Parameters
    ----------
    module : torch.nn.Module
        What of it wants a gradient moves. Buffers that are not persistent are in no checkpoint.
    n_rows : int >= 1
    loss_of : callable (rows, (b,) int64) -> scalar
        Mean loss of some rows. It draws from torch's own generator, or not at all.
    figure_of : callable () -> float, optional
        Of what is held out, called without gradient and in evaluation mode. Without it, all epochs are gone.
    learning : Learning
    about : mapping, as JSON
        What this fit is of: settings of the module, digests of the data.
    keeping : Keeping, optional

    Raises
    ------
    InputError
        If there are no rows, or a loss or figure is no number.
    ArtefactMismatchError
        If the checkpoint is damaged, or of another fit.

    Examples
    --------
    >>> import torch
    >>> line = torch.nn.Linear(1, 1)
    >>> x = torch.arange(8.0)[:, None]
    >>> def loss(rows): return ((line(x[rows]) - 2 * x[rows]) ** 2).mean()
    >>> curve = learn_by_epochs(line, 8, loss, lambda: -loss(torch.arange(8)), Learning(rate=0.1, batch=4), {})
    >>> round(line.weight.item(), 1), curve[0].loss > 1 > curve[-1].loss
    (2.0, True)
    """
    import torch

    if min(n_rows, learning.batch, learning.most_epochs) < 1:
        raise InputError(
            f"{n_rows} rows by {learning.batch}, {learning.most_epochs} times: expected 1 or more of each."
        )
    keeping = keeping or Keeping()
    about = {**about, "learning": asdict(learning), "n_rows": n_rows, "torch": torch.__version__}
    optimiser = torch.optim.Adam([each for each in module.parameters() if each.requires_grad], lr=learning.rate)
    begun = None if keeping.checkpoint is None else load_checkpoint(keeping.checkpoint, about, module, optimiser)
    notes, best = begun or ([], module.state_dict())
    with understanding("The checkpoint", BEGIN_AGAIN):
        curve = tuple(build(Epoch, each) for each in notes)
    kept_s = time.perf_counter()
    while len(curve) < learning.most_epochs and not (curve and len(curve) - best_of(curve).number >= learning.patience):
        began_s, number = time.perf_counter(), len(curve) + 1
        for group in optimiser.param_groups:
            group["lr"] = rate_after(curve, learning)
        with on_one_thread(), drawing_from(learning.seed, number):
            loss = _one_epoch(module, n_rows, loss_of, optimiser, learning.batch)
            figure = None if figure_of is None else _look(module, figure_of)
        if not math.isfinite(loss) or (figure is not None and not math.isfinite(figure)):
            raise InputError(f"Epoch {number} comes to {loss:g} and {figure}, expected numbers.", "Take a lower rate.")
        curve += (Epoch(number, loss, figure, time.perf_counter() - began_s),)
        if best_of(curve).number == number:
            best = {name: value.clone() for name, value in module.state_dict().items()}
        if keeping.checkpoint is not None and time.perf_counter() - kept_s >= keeping.every_s:
            save_checkpoint(keeping.checkpoint, about, [asdict(each) for each in curve], module, best, optimiser)
            kept_s = time.perf_counter()
        if keeping.tell is not None:
            keeping.tell(curve[-1])
    module.load_state_dict(best)
    module.eval()
    return curve


def _one_epoch(
    module: torch.nn.Module,
    n_rows: int,
    loss_of: Callable[[torch.Tensor], torch.Tensor],
    optimiser: torch.optim.Optimizer,
    batch: int,
) -> float:
    import torch

    module.train()
    total = 0.0
    for rows in torch.randperm(n_rows).split(batch):
        optimiser.zero_grad()
        loss = loss_of(rows)
        loss.backward()
        optimiser.step()
        total += float(loss.detach()) * len(rows)
    return total / n_rows


def _look(module: torch.nn.Module, figure_of: Callable[[], float]) -> float:
    import torch

    module.eval()
    with torch.no_grad():
        return float(figure_of())


# --- chance and threads ---------------------------------------------------------------------------------------


@contextlib.contextmanager
def drawing_from(seed: int, number: int = 0) -> Iterator[None]:
    """Within, torch draws from a seed made of both, 0 being before all epochs; outside, nothing was drawn."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)[0]))
        yield


@contextlib.contextmanager
def on_one_thread() -> Iterator[None]:
    """Within, torch uses one thread of the processor."""
    import torch

    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)
