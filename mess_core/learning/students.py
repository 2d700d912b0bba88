"""Students: ways to compare embeddings, from the one nobody taught to a small network, in order of what they may bend.

    S0    cosine      the mean cosine over layers, as the numbers come
    S0'   centred     the same without the library's mean: what search does without learning
    S0''  predicted   minus the squared distance of what ridge regression reads of the teacher off the embedding: the
                      best straight answer there is to a teacher of numbers, so everything else must beat it
    S1    layers      a weight for each layer
          diagonal    a weight for each of 128 principal axes
    S2    linear      a projection to 64 numbers
    S3    mlp         a network of one hidden layer on top of it
          attention   as linear, of a moment that is heard by those of its segments that matter instead of by their mean
          fused       as S0', plus a weight for each field of the catalogue that two recordings share

Each gives a `Transform`, which is all that search needs of it; the last two need more than the embeddings of
recordings, and are tried, not searched by. S1 and fused begin as S0', the others as S0' or, where there are numbers to
be read, as S0''; each moves away only as far as the training rows pull: a weight decay towards the beginning, and as
many steps as were best on a fifth of the groups held out inside the training set. So a teacher that teaches nothing
leaves search as it was.

What ridge reads off, and the axes that a projection turns, are told by the numbers less the mean of their span: the
piece, which is most of an embedding, then neither helps nor disturbs. Compared are the whole numbers, as in search.

Deterministic for a seed, on one thread. Products of a student's own size stay far below those of an encoder: seconds to
minutes on two cores.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mess_core.errors import InputError
from mess_core.learning.attention import Attention, TurnedSegments
from mess_core.learning.fields import Fields
from mess_core.learning.fused import Fused
from mess_core.learning.losses import candidate_loss, dependence, pair_similarities, triplet_loss
from mess_core.learning.segments import SegmentSet
from mess_core.learning.teachers import CandidateSet, span_means
from mess_core.learning.triplets import Triplets
from mess_core.probing.folds import assign_folds
from mess_core.probing.ridge import FoldedFeatures, one_blas_thread, predict_out_of_fold
from mess_core.search.learned import Line, Transform, unit_numbers

if TYPE_CHECKING:
    import torch

PLAIN = "centred"  # what search does without learning: every gain is over it
UNTRAINED = ("cosine", PLAIN)
TRIED_ONLY = ("attention", "fused")  # need what search has not at hand: every segment, or the catalogue
STUDENTS = ("predicted", "layers", "diagonal", "linear", "mlp", *TRIED_ONLY)  # in order
IN_WORDS = {
    "cosine": "plain cosine",
    PLAIN: "search as it is",
    "predicted": "what it reads off by ridge regression",
    "layers": "a weight for each layer",
    "diagonal": "a weight for each of 128 axes",
    "linear": "a projection to 64 numbers",
    "mlp": "a small network",
    "attention": "a projection of the segments that matter",
    "fused": "search as it is, and what the catalogue says",
}  # students and those whom nobody taught, as people read them
N_AXES = 128  # principal axes of the training numbers that a projection may turn
N_OUT, N_HIDDEN, DROPOUT = 64, 256, 0.2
N_STEPS, PATIENCE, LOOK_EVERY = 60, 20, 5
RATE = {"layers": 0.1, "diagonal": 5e-2, "linear": 1e-2, "mlp": 3e-3, "attention": 1e-2, "fused": 5e-2}
LOOKING_RATE = 0.1  # of where attention looks: one direction, in units of one
DECAY = {"layers": 1e-3, "diagonal": 1e-2, "linear": 1e-2, "mlp": 1e-2, "attention": 1e-2, "fused": 1e-3}
# ^ towards the beginning
SCALES = np.log(10.0) * np.linspace(-3, 3, 13)  # logarithms of the scale of similarities that are tried first
RIDGE_FIRST = 0.3  # penalty of the ridge a projection begins at, over its rows; each number has a mean square of 1
LEAST_SPREAD = 1e-4  # of a number, over that of the most spread one: unit numbers in single precision keep seven digits
ALPHAS = np.logspace(0, 5, 11)  # of ridge on standardised numbers; its optimum lay between 100 and 10 000
INNER_FOLDS = 4
VALIDATION = 5  # one group in so many tells when to stop


Taught = Transform | Attention | Fused


@dataclass(frozen=True, eq=False)
class Lesson:
    """What a student may see: the training rows, and what the teacher says of them.

    vectors : (n, n_layers, dim) float32
    widths : how many numbers each layer has
    groups : what is not to be on both sides when the moment to stop is chosen, a name per row
    spans : (n,) int, or None; where given, each span's mean is taken off the numbers before anything is learned
    targets : (n, n_scales), what S0'' reads off; NaN where unknown; None without any
    candidates : sets of rows to be told apart by likeness
    triplets : (anchor, nearer, further) with weights
    hide : (n,) int or None: what the points should not tell (HSIC), such as the piece
    hiding : how much that counts, beside what the teacher says
    segments : of each row, what `attention` may choose among; None where there is nothing to choose
    fields : of each row, what `fused` may go by; None where nothing is usable
    """

    vectors: np.ndarray
    widths: tuple[int, ...]
    groups: tuple[str, ...]
    spans: np.ndarray | None = None
    targets: np.ndarray | None = None
    candidates: tuple[CandidateSet, ...] = ()
    triplets: Triplets | None = None
    hide: np.ndarray | None = None
    hiding: float = 1.0
    segments: SegmentSet | None = None
    fields: Fields | None = None

    @cached_property
    def centre(self) -> np.ndarray:
        """(n_layers, dim) float32, of the training rows."""
        mean: np.ndarray = self.vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
        return mean

    @cached_property
    def numbers(self) -> np.ndarray:
        """(n, n_numbers) float32, layers of unit length over the root of their number: rows of length 1."""
        return unit_numbers(self.vectors, self.centre, self.widths) / np.float32(np.sqrt(len(self.widths)))

    @cached_property
    def apart(self) -> np.ndarray:
        """The numbers without the mean of their span, (n, n_numbers) float32; as they are where there are no spans."""
        if self.spans is None:
            return self.numbers
        return (self.numbers - span_means(self.numbers, self.spans)[0]).astype(np.float32)

    @cached_property
    def axes(self) -> np.ndarray:
        """Principal axes of `apart`, (n_numbers, n_axes) float32, the widest first."""
        with one_blas_thread():
            squares, left = np.linalg.eigh((self.apart @ self.apart.T).astype(np.float64))
            kept = np.argsort(-squares)[: min(N_AXES, len(squares))]
            kept = kept[squares[kept] > 1e-9 * squares.max(initial=0)]
            if not len(kept):
                raise InputError("All recordings sound alike to this encoder, so nothing can be told apart.")
            return np.asarray(self.apart.T @ (left[:, kept] / np.sqrt(squares[kept])), np.float32)


def untrained(name: str, lesson: Lesson) -> Transform:
    """S0 and S0'."""
    centre = lesson.centre if name == PLAIN else np.zeros_like(lesson.centre)
    return Transform(centre, _even(lesson), (), is_distance=False, widths=lesson.widths)


def can_learn(name: str, lesson: Lesson) -> bool:
    """Whether a lesson has what a student learns from; else it is left out of a trial."""
    needed = {"predicted": lesson.targets, "attention": lesson.segments, "fused": lesson.fields}
    return name not in needed or needed[name] is not None


def train(name: str, lesson: Lesson, seed: int = 0, curves: list[dict[str, float]] | None = None) -> Taught:
    """Teach a student.

    Parameters
    ----------
    name : one of `STUDENTS`
    curves : list or None
        Filled with the losses of every look, for who wants to see them.

    Raises
    ------
    InputError
        If there is no such student, or the lesson has nothing for it.
    """
    if name == "predicted":
        return _predicted(lesson, seed)
    if name not in RATE:
        raise InputError(f"There is no student {name!r}.", f"Choose one of: {', '.join(STUDENTS)}.")
    if not can_learn(name, lesson):
        raise InputError(f"There is nothing here that the student {name!r} could go by.")
    return _descend(name, lesson, seed, [] if curves is None else curves)


def _even(lesson: Lesson) -> np.ndarray:
    return np.full(sum(lesson.widths), 1 / np.sqrt(len(lesson.widths)), np.float32)


def _predicted(lesson: Lesson, seed: int) -> Transform:
    """Ridge from the numbers to the targets, alpha chosen by folds of whole groups."""
    if lesson.targets is None:
        raise InputError("There are no numbers to read off these embeddings.")
    rows = np.flatnonzero(np.isfinite(lesson.targets).all(axis=1))
    if len(rows) < INNER_FOLDS:
        raise InputError("Too few moments have values, so nothing can be read off these embeddings.")
    groups = tuple(lesson.groups[row] for row in rows)
    n_folds = min(INNER_FOLDS, len(set(groups)))
    targets = lesson.targets[rows]
    inner: np.ndarray = assign_folds(groups, n_folds, seed=seed) if n_folds > 1 else np.zeros(len(rows), int)
    spread = lesson.apart[rows].std(axis=0, dtype=np.float64)
    told = spread > LEAST_SPREAD * spread.max(initial=0.0)  # the others are rounding, and would be blown up to count
    folded = FoldedFeatures(lesson.apart[rows][:, told], inner)
    alphas = np.full(targets.shape[1], float(np.median(ALPHAS)))
    if n_folds > 2:
        with one_blas_thread():
            chosen = predict_out_of_fold(folded, targets, ALPHAS, inner="folds").alphas
        alphas = np.exp(np.log(chosen).mean(axis=0))
    with one_blas_thread():
        whole = folded.decompose()
        mean = targets.mean(axis=0)
        weights = np.zeros((len(told), len(alphas)), np.float32)
        weights[told] = whole.coefficients(targets - mean, alphas)
    step = Line(weights, np.zeros(len(alphas), np.float32))
    return Transform(lesson.centre, _even(lesson), (step,), is_distance=True, widths=lesson.widths)


class _Pupil:
    """A student while it learns: what moves, and how points, or the similarities of pairs, come of it."""

    def __init__(self, name: str, lesson: Lesson, seed: int) -> None:
        import torch

        self.name, self.lesson = name, lesson
        self.is_distance = lesson.spans is not None and name in ("linear", "mlp", "attention")
        self.generator = torch.Generator().manual_seed(seed)
        one = float(np.log(np.e - 1))  # softplus of it is 1
        if not self.has_points:
            pairs = [(np.arange(len(lesson.vectors))[:, None], each.index) for each in lesson.candidates]
            if lesson.triplets is not None:
                pairs.append((lesson.triplets.rows[:, :1], lesson.triplets.rows[:, 1:]))
            self.cosines = [_layer_cosines(lesson, *pair) for pair in pairs]
            if name == "layers":
                moving = {"weight": torch.full((len(lesson.widths),), one)}
            else:
                assert lesson.fields is not None
                self.shared = [torch.from_numpy(lesson.fields.shared(*pair)) for pair in pairs]
                moving = {"weight": torch.zeros(len(lesson.fields.names))}
        else:
            # Search will compare whole numbers, the piece in them: so they are learned on, in the unit of what differs.
            found = lesson.numbers @ lesson.axes
            size = float(np.sqrt(((lesson.apart @ lesson.axes) ** 2).mean())) or 1.0
            self.onto = lesson.axes / np.float32(size)
            self.numbers = torch.from_numpy(np.asarray(found / size, np.float32))
            n_axes = found.shape[1]
            if name == "diagonal":
                moving = {"weight": torch.full((n_axes,), one)}
            else:
                moving = {"line": torch.from_numpy(_beginning(lesson, lesson.apart @ self.onto, self.is_distance))}
            if name == "attention":
                assert lesson.segments is not None
                turned = TurnedSegments.of(lesson.vectors, lesson.segments, lesson.centre, lesson.widths, self.onto)
                self.turned, self.seen, self.is_segment, self.time_axes = (
                    torch.from_numpy(each) for each in (turned.turned, turned.seen, turned.mask, turned.axes)
                )
                moving |= {"towards": torch.zeros(self.time_axes.shape[1])}
            if name == "mlp":
                into = torch.empty(n_axes, N_HIDDEN)
                torch.nn.init.xavier_uniform_(into, generator=self.generator)
                moving |= {"into": into, "out": torch.zeros(N_HIDDEN, moving["line"].shape[1])}
        self.beginning = {key: value.clone() for key, value in moving.items()}
        self.moving = {**moving, "scale": torch.tensor(0.0)}
        for value in self.moving.values():
            value.requires_grad_(True)

    def points(self, *, is_training: bool = False) -> torch.Tensor:
        """Of all rows of the lesson, (n, n_out); unit vectors unless they are compared by distance."""
        import torch
        from torch.nn import functional

        if self.name == "diagonal":
            found = self.numbers * torch.sqrt(functional.softplus(self.moving["weight"]))
        elif self.name == "attention":
            logits = (self.seen @ self.moving["towards"]).masked_fill(~self.is_segment, -torch.inf)
            found = (self.numbers + (torch.softmax(logits, 1)[..., None] * self.turned).sum(1)) @ self.moving["line"]
        else:
            found = self.numbers @ self.moving["line"]
        if self.name == "mlp":
            hidden = self.numbers @ self.moving["into"]
            hidden = functional.gelu(functional.layer_norm(hidden, hidden.shape[-1:]))
            if is_training:
                kept = torch.rand(hidden.shape, generator=self.generator) >= DROPOUT
                hidden = hidden * kept / (1 - DROPOUT)
            found = found + hidden @ self.moving["out"]
        return found if self.is_distance else functional.normalize(found, dim=1)

    @property
    def has_points(self) -> bool:
        """Weights of layers and of fields need what is known of pairs and nothing else."""
        return self.name not in ("layers", "fused")

    def similarities(self, points: torch.Tensor | None, asked: _Asked) -> torch.Tensor:
        """Of the pairs that are asked for, (n, k), times the scale."""
        import torch
        from torch.nn import functional

        scale = torch.exp(self.moving["scale"])
        if self.name == "fused":
            plain = self.cosines[asked.place][asked.kept].mean(-1)
            return scale * (plain + self.shared[asked.place][asked.kept] @ self.moving["weight"])
        if points is None:
            weights = functional.softplus(self.moving["weight"])
            return scale * (self.cosines[asked.place][asked.kept] @ (weights / weights.sum()))
        return scale * pair_similarities(points, asked.one, asked.other, is_distance=self.is_distance)

    def strayed(self) -> torch.Tensor:
        """How far it is from its beginning, squared."""
        import torch

        return torch.stack([((self.moving[key] - value) ** 2).sum() for key, value in self.beginning.items()]).sum()

    def taught(self) -> Taught:
        """What compares recordings, as it stands."""
        lesson, even = self.lesson, _even(self.lesson)
        own = {key: value.detach().numpy() for key, value in self.moving.items()}
        if self.name == "fused":
            assert lesson.fields is not None
            return Fused(untrained(PLAIN, lesson), lesson.fields.names, own["weight"].astype(np.float64))
        if "weight" in own:
            roots = np.sqrt(np.log1p(np.exp(own["weight"])))
        if self.name == "layers":
            scale = (even * np.repeat(roots, lesson.widths)).astype(np.float32)
            return Transform(lesson.centre, scale, (), self.is_distance, lesson.widths)

        def step(weight: np.ndarray) -> Line:
            return Line(np.ascontiguousarray(weight, np.float32), np.zeros(weight.shape[1], np.float32))

        steps = [step(self.onto * roots if self.name == "diagonal" else self.onto @ own["line"])]
        if self.name == "mlp":
            steps += [step(self.onto @ own["into"]), step(own["out"])]
        found = Transform(lesson.centre, even, tuple(steps), self.is_distance, lesson.widths)
        return Attention(found, self.time_axes.numpy() @ own["towards"]) if self.name == "attention" else found


def _layer_cosines(lesson: Lesson, one: np.ndarray, other: np.ndarray) -> torch.Tensor:
    """Of pairs of rows, (n, 1) and (n, k): (n, k, n_layers)."""
    import torch

    ends = np.cumsum(lesson.widths)
    layers = (lesson.numbers[:, end - width : end] for end, width in zip(ends, lesson.widths, strict=True))
    cosines = [np.matmul(each[other], each[one].transpose(0, 2, 1))[..., 0] for each in layers]
    return torch.from_numpy(len(lesson.widths) * np.stack(cosines, axis=-1))


def _beginning(lesson: Lesson, numbers: np.ndarray, is_distance: bool) -> np.ndarray:
    """Where a projection begins: at what ridge reads off, if there are numbers to be read; else where search is."""
    n_axes = numbers.shape[1]
    if not is_distance or lesson.targets is None:
        return np.eye(n_axes, min(N_OUT, n_axes), dtype=np.float32)
    known = np.isfinite(lesson.targets).all(axis=1)
    seen, wanted = numbers[known].astype(np.float64), lesson.targets[known]
    penalty = RIDGE_FIRST * len(seen) * np.eye(n_axes)
    line = np.linalg.solve(seen.T @ seen + penalty, seen.T @ (wanted - wanted.mean(axis=0)))
    size = np.linalg.norm(line)
    found: np.ndarray = (line * (np.sqrt(n_axes) / 2 / size if size else 1.0)).astype(np.float32)
    return found


def _descend(name: str, lesson: Lesson, seed: int, curves: list[dict[str, float]]) -> Taught:
    """Gradient descent: once to see when to stop, then so many steps on everything."""
    import torch

    n_folds = min(VALIDATION, len(set(lesson.groups)))
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        pupil = _Pupil(name, lesson, seed)
        n_steps = N_STEPS
        held_out = assign_folds(lesson.groups, n_folds, seed=seed) == 0 if n_folds > 1 else np.ones(1, bool)
        if n_folds > 1 and _questions(pupil, ~held_out, ~held_out):  # else too few groups are left to look by
            n_steps = _walk(pupil, ~held_out, held_out, N_STEPS, curves)
            pupil = _Pupil(name, lesson, seed)
        _walk(pupil, np.ones(len(lesson.vectors), bool), None, n_steps, curves)
        return pupil.taught()
    finally:
        torch.set_num_threads(n_threads)


def _walk(
    pupil: _Pupil, seen: np.ndarray, held_out: np.ndarray | None, n_steps: int, curves: list[dict[str, float]]
) -> int:
    """Take steps; returns after how many of them the loss on what is held out was least, 0 if that was before any."""
    import torch

    questions = _questions(pupil, seen, seen)
    if not questions:
        raise InputError("There is nothing here that this student could learn from.")
    tests = [] if held_out is None else _questions(pupil, held_out, np.ones_like(seen))
    if held_out is not None and not tests:
        return n_steps  # nothing is held out that could tell
    rates = {"towards": LOOKING_RATE}
    optimiser = torch.optim.Adam(
        [{"params": [value], "lr": rates.get(key, RATE[pupil.name])} for key, value in pupil.moving.items()]
    )
    rows = torch.from_numpy(seen)
    hide = None if pupil.lesson.hide is None or not pupil.has_points else torch.from_numpy(pupil.lesson.hide)
    best, least = 0, np.inf
    with torch.no_grad():
        _begin_at_scale(pupil, questions)
    for step in range(n_steps + 1):
        if tests and step % LOOK_EVERY == 0:
            with torch.no_grad():
                loss = float(_losses(pupil, tests))
                if hide is not None:
                    loss += pupil.lesson.hiding * float(dependence(pupil.points()[~rows], hide[~rows]))
            curves.append({"step": step, "held_out": loss})
            if loss < least:
                best, least = step, loss
            elif step - best >= PATIENCE:
                break
        if step == n_steps:
            break
        total = _losses(pupil, questions, is_training=True) + DECAY[pupil.name] * pupil.strayed()
        if hide is not None:
            total = total + pupil.lesson.hiding * dependence(pupil.points()[rows], hide[rows])
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
    return best if tests else n_steps


@dataclass(frozen=True, eq=False)
class _Asked:
    """A candidate set, or the triplets, as far as they are asked: which pairs, and what the teacher says of them.

    place : of its cosines; one, other : (n, 1) and (n, k) rows; wanted : probabilities, or weights of answers
    """

    place: int
    kept: torch.Tensor
    one: torch.Tensor
    other: torch.Tensor
    wanted: torch.Tensor
    mask: torch.Tensor | None


def _questions(pupil: _Pupil, asked: np.ndarray, allowed: np.ndarray) -> list[_Asked]:
    """What the teachers say of the rows that are asked for, with candidates among the rows allowed."""
    import torch

    lesson, found = pupil.lesson, []

    def add(
        place: int, kept: np.ndarray, one: np.ndarray, other: np.ndarray, wanted: np.ndarray, mask: np.ndarray | None
    ) -> None:
        rows, first, second = (torch.from_numpy(each) for each in (kept, one[kept], other[kept]))
        said = torch.from_numpy(wanted.astype(np.float32))
        found.append(_Asked(place, rows, first, second, said, None if mask is None else torch.from_numpy(mask)))

    for place, each in enumerate(lesson.candidates):
        mask = each.mask & allowed[each.index]
        probability = np.where(mask & asked[:, None], each.probability, 0.0)
        sums = probability.sum(axis=1)
        kept = np.flatnonzero(sums)
        if len(kept):
            wanted = probability[kept] / sums[kept, None]
            add(place, kept, np.arange(len(asked))[:, None], each.index, wanted, mask[kept])
    if lesson.triplets is not None:
        rows = lesson.triplets.rows
        kept = np.flatnonzero(asked[rows[:, 0]] & allowed[rows].all(axis=1))
        if len(kept):
            add(len(lesson.candidates), kept, rows[:, :1], rows[:, 1:], lesson.triplets.weights[kept], None)
    return found


def _losses(pupil: _Pupil, questions: list[_Asked], *, is_training: bool = False) -> torch.Tensor:
    """Their mean, each question as much as any other."""
    import torch

    points = pupil.points(is_training=is_training) if pupil.has_points else None
    losses = []
    for each in questions:
        similarities = pupil.similarities(points, each)
        if each.mask is not None:
            losses.append(candidate_loss(similarities, each.wanted, each.mask))
        else:
            losses.append(triplet_loss(similarities[:, 0], similarities[:, 1], each.wanted))
    return torch.stack(losses).mean()


def _begin_at_scale(pupil: _Pupil, questions: list[_Asked]) -> None:
    """Give similarities the scale that fits the teacher best as the student stands: then training bends, not scales."""
    losses = []
    for scale in SCALES:
        pupil.moving["scale"].fill_(float(scale))
        losses.append(float(_losses(pupil, questions)))
    pupil.moving["scale"].fill_(float(SCALES[int(np.argmin(losses))]))
