"""Trial: every student tested on what it was not trained on, beside what nobody taught.

    Course    moments, what teaches them, and what they are compared with (`course`)
      -> folds of whole works (and again of whole performers); for each: a lesson of the training rows, every student
         taught, every test row compared with the others of its fold
      -> parts and wholes per query, one row for each seed: a seed deals the folds anew and begins training anew
      -> figures with intervals, gains over the better of S0 and S0', which nobody taught, Holm's p

Always in the table: chance, search as it is (`centred`), plain cosine, S0'', and what needs no learning and no encoder
of this kind: measured values (the mid-level features), other embeddings, duration alone.

Intervals
---------
Works are the independent unit. A student's figure depends on which works it was tested on and on which it was trained
on; the jackknife over works sees the first only, so its standard error is multiplied, and what seeds move is added, as
for probes (`probing.uncertainty`, where the factors are explained). What nothing was trained for has a bootstrap of
works (`evaluation.retrieval`). Gains are paired: the same queries, candidates and folds.

The ladder
----------
Students come in order of what they may bend. Each must beat the best before it, its paired interval above 0; the first
that does not ends the ladder, and the best before it is chosen. Nothing is chosen because it is large.

Source
------
Holm (1979) for p over students. Nadeau & Bengio (2003) for the factor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mess_core.errors import DataMissingError, InputError
from mess_core.evaluation.retrieval import (
    N_BOOTSTRAPS,
    RetrievalTask,
    estimate,
    ranking,
)
from mess_core.learning.attention import Attention
from mess_core.learning.course import DEEP_RECALL, N_TO_RANK, NDCG, PIECE, TRIPLETS, Course, in_spreads
from mess_core.learning.fused import Fused
from mess_core.learning.moments import By, Fold, deal
from mess_core.learning.students import (
    PLAIN,
    STUDENTS,
    TRIED_ONLY,
    UNTRAINED,
    Lesson,
    Taught,
    can_learn,
    train,
    untrained,
)
from mess_core.learning.teachers import (
    squared_distances,
)
from mess_core.numbers import number
from mess_core.probing.resampling import holm_adjusted, two_sided_p
from mess_core.probing.scores import sum_by
from mess_core.probing.uncertainty import MIN_GROUPS, gains, t_quantile
from mess_core.search.learned import Transform, unit, unit_numbers

OnProgress = Callable[[int, int, str], None]
Further = Callable[[Lesson, Fold, np.ndarray, int], np.ndarray]  # of a fold's rows with each other, for a seed
LEAST_DEEP_RECALL, LEAST_ROOM = 0.9, 0.05  # below: what is to be found is not among them; or their order is good
N_FOLDS, FEW_FOLDS = 5, 2
HIDING_WEIGHTS = (0.0, 1.0, 3.0, 10.0, 30.0)
HIDER = "diagonal"  # it begins where search is; a projection begins at what differs within a span: the piece is gone
CURVE_SHARES = (0.25, 0.5, 0.75)  # of the training groups; all of them is the figure itself


@dataclass(frozen=True)
class Figure:
    """What one way of comparing reached in one metric and split; None where there is no such number.

    name : a student, or what nobody taught
    metric, split : "nDCG@10" …; "work" or "performer"
    is_student : whether it was trained here
    value, low, high : 95 %
    gain, gain_low, gain_high : over the better of `cosine` and `centred`, paired
    over : which of the two that is
    p : two-sided, of the gain; p_holm : with Holm's correction for all students of this metric and split
    step_low : lower end of the gain over the best student before it; None where it is no student
    seed_values : of each seed
    """

    name: str
    metric: str
    split: str
    is_student: bool
    value: float | None
    low: float | None
    high: float | None
    gain: float | None
    gain_low: float | None
    gain_high: float | None
    over: str
    p: float | None
    p_holm: float | None
    step_low: float | None
    seed_values: tuple[float | None, ...]


@dataclass(frozen=True)
class Split:
    """How rows were dealt. n_units : queries or triplets tested of the main metric; hashes : train and test, by fold"""

    by: str
    n_train: int
    n_test: int
    n_folds: int
    n_groups: int
    n_units: int
    hashes: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Point:
    """Of the learning curve: what the chosen student reaches after training on so many groups."""

    share: float
    n_groups: int
    value: float | None


@dataclass(frozen=True)
class HidingPoint:
    """What a student finds where points must not tell the work: of what it is taught (the main metric), and the piece.

    weight : how much hiding counts; 0: not at all
    """

    weight: float
    value: float | None
    piece: float | None


@dataclass(frozen=True)
class TrialResult:
    """All figures of a course.

    chance : by metric
    chosen : the student that the ladder ends with; `centred` if none is surely better
    best : the student with the highest value of the main metric
    ceiling : what can be reached, or None
    """

    metrics: tuple[str, ...]
    splits: tuple[Split, ...]
    figures: tuple[Figure, ...]
    chance: Mapping[str, float | None]
    chosen: str
    best: str
    curve: tuple[Point, ...] = ()
    ceiling: float | None = None
    notices: tuple[str, ...] = ()
    hiding: tuple[HidingPoint, ...] = ()

    def figure(self, name: str, metric: str | None = None, split: str = "work") -> Figure:
        """One figure; KeyError if there is none."""
        for each in self.figures:
            if (each.name, each.metric, each.split) == (name, metric or self.metrics[0], split):
                return each
        raise KeyError((name, metric, split))


def run_trial(
    course: Course,
    students: Sequence[str] = STUDENTS,
    *,
    further: Mapping[str, Further] | None = None,
    n_seeds: int = 5,
    n_folds: int = N_FOLDS,
    ceiling: float | None = None,
    has_second_split: bool = True,
    on_progress: OnProgress = lambda n_done, n_total, what: None,
) -> TrialResult:
    """Teach and test every student.

    Parameters
    ----------
    further : name -> what is taught elsewhere, by the training rows of each fold; counted as students, after them

    Raises
    ------
    InputError
        If there are too few works to test on what was not trained on.
    DataMissingError
        If nothing can be asked of any fold.
    """
    ways: list[By] = ["work"]
    everyone = (*students, *(further or {}))
    notices = []
    if has_second_split and course.source != "judgements":
        n_performers = len(set(course.moments.performers) - {None})
        if n_performers > FEW_FOLDS:
            ways.append("performer")
        else:
            notices.append("Performers could not be put apart: there are too few with a name.")
    figures: list[Figure] = []
    splits, chance, tallies = [], {}, {}
    n_total, n_done = len(ways) * n_seeds * n_folds, 0

    for by in ways:
        n_here = n_folds if by == "work" else FEW_FOLDS + 1
        tally = _Tally(course, by, further)
        try:
            for seed in range(n_seeds):
                for fold in deal(course.moments, by, n_here, seed):
                    on_progress(min(n_done, n_total - 1), n_total, f"teaching by {course.source}, {by}s apart")
                    tally.add(seed, fold, students)
                    n_done += 1
        except InputError as error:
            if by == "work":
                raise
            notices.append(f"Performers could not be put apart: {error.message}")
            continue
        tallies[by] = tally
        splits.append(tally.split(n_here))
        figures += tally.figures(everyone)
        if by == "work":
            chance = tally.chance()
    main = tallies["work"]
    if not main.n_units:
        raise DataMissingError(
            "No question could be asked of what was not trained on: too few recordings share a work or a performer.",
            "Add recordings of the same works by others.",
        )
    chosen = _ladder(main, everyone)
    values = {name: main.value(name, course.metrics[0]) for name in everyone}
    best = max(everyone, key=lambda name: values[name] or 0.0, default=PLAIN)
    if NDCG in course.metrics:
        notices.append(_on_reranking(main, best if best in everyone else PLAIN))
    on_progress(n_total, n_total, "figures")
    return TrialResult(course.metrics, tuple(splits), tuple(figures), chance, chosen, best, (), ceiling, tuple(notices))


def learning_curve(
    course: Course, student: str, n_seeds: int = 2, n_folds: int = N_FOLDS, shares: Sequence[float] = CURVE_SHARES
) -> tuple[Point, ...]:
    """What a student reaches after training on a part of the training groups, tested as ever."""
    points = []
    groups = course.moments.groups("work")
    for share in shares:
        tally, sizes = _Tally(course, "work"), []
        for seed in range(n_seeds):
            rng = np.random.default_rng([seed, round(100 * share)])
            for fold in deal(course.moments, "work", n_folds, seed):
                names = sorted({groups[row] for row in fold.train})
                kept = set(rng.permutation(names)[: max(2, round(share * len(names)))].tolist())
                fewer = np.array([row for row in fold.train if groups[row] in kept])
                sizes.append(len(kept))
                tally.add(seed, replace(fold, train=fewer), (student,), names=())
        points.append(Point(share, round(float(np.mean(sizes))), tally.value(student, course.metrics[0])))
    return tuple(points)


def hiding_curve(
    course: Course, n_seeds: int = 1, n_folds: int = N_FOLDS, weights: Sequence[float] = HIDING_WEIGHTS
) -> tuple[HidingPoint, ...]:
    """What `HIDER` finds, of what it is taught and of the piece, the more hiding the piece counts."""
    points = []
    for weight in weights:
        hiding = replace(course, hiding=weight)
        tally = _Tally(hiding, "work")
        for seed in range(n_seeds):
            for fold in deal(course.moments, "work", n_folds, seed):
                tally.add(seed, fold, (HIDER,), names=())
        points.append(HidingPoint(weight, tally.value(HIDER, NDCG), tally.value(HIDER, PIECE)))
    return tuple(points)


def teach(course: Course, student: str, seed: int = 0) -> Transform:
    """A student taught with everything there is: what search is given.

    Raises
    ------
    InputError
        If search cannot go by it, or the course has nothing for it.
    """
    require_searchable(student)
    lesson = course.lesson(np.arange(len(course.moments)), seed=seed)
    taught = untrained(student, lesson) if student in UNTRAINED else train(student, lesson, seed)
    assert isinstance(taught, Transform)
    return taught


def require_searchable(student: str) -> None:
    """InputError if a student is tried, not searched by."""
    if student in TRIED_ONLY:
        raise InputError(
            f"The student {student} is tried, not searched by: search would need more than one vector of a recording.",
            f"Activate one of: {', '.join(name for name in STUDENTS if name not in TRIED_ONLY)}.",
        )


class _Tally:
    """Parts and wholes of every way of comparing, filled fold by fold."""

    def __init__(self, course: Course, by: By, further: Mapping[str, Further] | None = None) -> None:
        self.course, self.by, self.further = course, by, further or {}
        self.groups = np.unique(course.moments.groups(by), return_inverse=True)[1]
        self.n_train: list[int] = []
        self.n_test: list[int] = []
        self.hashes: list[tuple[str, str]] = []
        self.parts: dict[tuple[str, str], dict[int, np.ndarray]] = {}
        self.wholes: dict[str, dict[int, np.ndarray]] = {}
        self.chances: dict[str, list[tuple[float, float]]] = {}
        triplets = course.triplets
        self.of_unit = dict.fromkeys(course.metrics, self.groups)
        if triplets is not None:
            self.of_unit[TRIPLETS] = self.groups[triplets.rows[:, 0]]

    @property
    def n_units(self) -> int:
        """Of the main metric, with an answer."""
        wholes = self.wholes.get(self.course.metrics[0], {})
        return int(np.count_nonzero(sum(wholes.values()))) if wholes else 0

    def add(self, seed: int, fold: Fold, students: Sequence[str], names: Sequence[str] | None = None) -> None:
        """Teach on a fold's training rows and ask its test rows; `names` of what nobody taught, None for all of it."""
        course, rows = self.course, fold.test
        lesson = course.lesson(fold.train, self.by, seed)
        n = len(course.moments)
        asked = course.asked(fold)
        if asked is not None and course.source == "judgements":
            assert course.triplets is not None
            rows = np.unique(course.triplets.rows[asked])
        tasks = course.tasks(fold) if NDCG in course.metrics else {}
        self._note(seed, fold, tasks, asked)
        place = np.full(n, -1)
        place[rows] = np.arange(len(rows))
        for name, similarities in self._compared(lesson, fold, rows, seed, students, names):
            order = ranking(similarities) if tasks else None
            for metric, task in tasks.items():
                assert order is not None
                self._put((name, metric), seed, rows, task.parts(order))
            if asked is not None and course.triplets is not None:
                anchor, near, far = place[course.triplets.rows[asked]].T
                right = np.sign(similarities[anchor, near] - similarities[anchor, far]) / 2 + 0.5
                self._put((name, TRIPLETS), seed, asked, right * course.triplets.weights[asked])

    def _note(self, seed: int, fold: Fold, tasks: Mapping[str, RetrievalTask], asked: np.ndarray | None) -> None:
        self.n_train.append(len(fold.train))
        self.n_test.append(len(fold.test))
        self.hashes.append((fold.train_sha256, fold.test_sha256))
        for metric, task in tasks.items():
            self._whole(metric, seed, fold.test, task.wholes)
            if task.chance is not None:
                self.chances.setdefault(metric, []).append((task.chance, float(task.wholes.sum())))
        if asked is not None and self.course.triplets is not None:
            self._whole(TRIPLETS, seed, asked, self.course.triplets.weights[asked])

    def _whole(self, metric: str, seed: int, units: np.ndarray, values: np.ndarray) -> None:
        whole = self.wholes.setdefault(metric, {})
        whole.setdefault(seed, np.zeros(len(self.of_unit[metric])))[units] = values

    def _put(self, key: tuple[str, str], seed: int, units: np.ndarray, values: np.ndarray) -> None:
        parts = self.parts.setdefault(key, {})
        parts.setdefault(seed, np.zeros(len(self.of_unit[key[1]])))[units] = values

    def _compared(
        self,
        lesson: Lesson,
        fold: Fold,
        rows: np.ndarray,
        seed: int,
        students: Sequence[str],
        names: Sequence[str] | None,
    ) -> Iterator[tuple[str, np.ndarray]]:
        """Name, similarities (n_rows, n_rows)."""
        course = self.course
        for name in UNTRAINED if names is None else names:
            yield name, _similarities(untrained(name, lesson), course, rows)
        for name in students:
            if can_learn(name, lesson):
                yield name, _similarities(train(name, lesson, seed), course, rows)
        if names is not None:
            return
        for name, compare in self.further.items():
            yield name, compare(lesson, fold, rows, seed)
        for name, others in course.rivals.items():
            widths = (others.shape[2],) * others.shape[1]
            centre = others[fold.train].mean(axis=0, dtype=np.float64).astype(np.float32)
            numbers = unit(unit_numbers(others[rows], centre, widths))
            yield name, numbers @ numbers.T
        for name, values in course.values.items():
            standard = in_spreads(values, fold.train)[rows]
            yield name, -squared_distances(np.nan_to_num(standard))

    # --- figures ----------------------------------------------------------------------------------------------

    def value(self, name: str, metric: str) -> float | None:
        """Over all seeds."""
        parts = self.parts.get((name, metric))
        whole = sum(float(each.sum()) for each in self.wholes.get(metric, {}).values())
        return None if parts is None or not whole else sum(float(each.sum()) for each in parts.values()) / whole

    def chance(self) -> dict[str, float | None]:
        found: dict[str, float | None] = dict.fromkeys(self.course.metrics)
        for metric, each in self.chances.items():
            weight = sum(n for _, n in each)
            found[metric] = sum(chance * n for chance, n in each) / weight if weight else None
        return found | ({TRIPLETS: 0.5} if TRIPLETS in self.course.metrics else {})

    def split(self, n_folds: int) -> Split:
        train, test = (round(float(np.mean(each))) for each in (self.n_train, self.n_test))
        n_groups = len(np.unique(self.groups))
        return Split(self.by, train, test, n_folds, n_groups, self.n_units, tuple(self.hashes))

    def figures(self, students: Sequence[str]) -> list[Figure]:
        found = []
        for metric in self.course.metrics:
            names = [name for name, of in self.parts if of == metric]
            own = [self._figure(name, metric, name in students) for name in names]
            holm = holm_adjusted([each.p for each in own if each.is_student])
            adjusted = iter(holm)
            steps = self._steps([name for name in students if name in names], metric)
            found += [
                replace(each, p_holm=next(adjusted), step_low=steps[each.name]) if each.is_student else each
                for each in own
            ]
        return found

    def _steps(self, students: Sequence[str], metric: str) -> dict[str, float | None]:
        """Lower end of each student's gain over the best that stood before it."""
        best, found = self.rival(metric), {}
        for name in students:
            low = self.gain(name, best, metric)[1]
            found[name] = low
            if low is not None and low > 0:
                best = name
        return found

    def _figure(self, name: str, metric: str, is_student: bool) -> Figure:
        parts, wholes = self._by_seed((name, metric)), self._wholes(metric)
        value = self.value(name, metric)
        sums = wholes.sum(axis=1)
        each = tuple(float(p.sum() / w) if w else None for p, w in zip(parts, sums, strict=True))
        low, high = self._interval(parts, wholes, metric, is_student)
        over = self.rival(metric)
        gain, gain_low, gain_high, p = self.gain(name, over, metric) if name != over else (None,) * 4
        return Figure(
            name, metric, self.by, is_student, value, low, high, gain, gain_low, gain_high, over, p, None, None, each
        )

    def rival(self, metric: str) -> str:
        """The better of the two ways of comparing that nobody taught, by its value: what learning must beat."""
        return max(UNTRAINED[::-1], key=lambda name: self.value(name, metric) or 0.0)

    def _interval(
        self, parts: np.ndarray, wholes: np.ndarray, metric: str, is_student: bool
    ) -> tuple[float | None, float | None]:
        codes = self.of_unit[metric]
        if is_student:
            return self._t_interval(parts, np.zeros_like(parts), wholes, metric)[1:3]
        whole = wholes.mean(axis=0)
        task = RetrievalTask(whole, lambda order: whole, None)
        (score,) = estimate(task, [parts.mean(axis=0)], codes, n_bootstraps=N_BOOTSTRAPS, seed=0)
        is_enough = score.n_groups >= MIN_GROUPS
        return (score.low, score.high) if is_enough else (None, None)

    def gain(self, name: str, rival: str, metric: str) -> tuple[float | None, float | None, float | None, float | None]:
        """Over a rival, paired: value, lower and upper end, two-sided p."""
        one, other = self._by_seed((name, metric)), self._by_seed((rival, metric))
        return self._t_interval(one, other, self._wholes(metric), metric)

    def _t_interval(
        self, parts: np.ndarray, rivals: np.ndarray, wholes: np.ndarray, metric: str
    ) -> tuple[float | None, float | None, float | None, float | None]:
        """Of the ratio of sums of parts less rivals: value, low, high, p."""
        return paired_interval(parts, rivals, wholes, self.of_unit[metric])

    def _by_seed(self, key: tuple[str, str]) -> np.ndarray:
        return np.stack([self.parts[key][seed] for seed in sorted(self.wholes[key[1]])])

    def _wholes(self, metric: str) -> np.ndarray:
        return np.stack([each for _, each in sorted(self.wholes[metric].items())])


def paired_interval(
    parts: np.ndarray, rivals: np.ndarray, wholes: np.ndarray, groups: np.ndarray
) -> tuple[float | None, float | None, float | None, float | None]:
    """How much more of the whole a student gets than a rival, with an interval that counts its training in.

    Parameters
    ----------
    parts, rivals, wholes : ndarray, shape (n_seeds, n_units)
    groups : ndarray, shape (n_units,), int

    Returns
    -------
    value, low, high, p
        No interval below ten groups; nothing where there is no whole.
    """
    is_used = wholes.any(axis=0)
    if not is_used.any():
        return None, None, None, None
    codes = np.unique(groups[is_used], return_inverse=True)[1]
    n_groups = int(codes.max()) + 1
    of_groups = [np.stack([sum_by(codes, row[is_used][:, None]) for row in each]) for each in (parts, rivals, wholes)]
    own, other, total = of_groups
    # As a gain in R², of which errors are what is missing of the whole.
    found = gains(total - own, total - other, total)
    value, error = float(found.value[0]), float(found.error[0])
    if n_groups < MIN_GROUPS:
        return value, None, None, None
    reach = t_quantile(n_groups)
    return value, value - reach * error, value + reach * error, two_sided_p(value, error, n_groups)


def _ladder(tally: _Tally, students: Sequence[str]) -> str:
    """The best student before the first that is not surely better than the best before it."""
    metric = tally.course.metrics[0]
    first = best = tally.rival(metric)
    for name in students:
        if (name, metric) not in tally.parts:
            continue
        low = tally.gain(name, best, metric)[1]
        if low is None or low <= 0:
            break
        best = name
    return PLAIN if best == first else best


def _on_reranking(tally: _Tally, best: str) -> str:
    """Whether a second stage, which ranks the nearest hundred anew, could help: the gate of a reranker (S4)."""
    deep, order = (tally.value(best, metric) or 0.0 for metric in (DEEP_RECALL, NDCG))
    if deep < LEAST_DEEP_RECALL:
        return (
            f"Ranking the nearest {N_TO_RANK} anew was not tried: {number(deep)} of what is to be found is among them, "
            f"and {LEAST_DEEP_RECALL:g} would be needed."
        )
    if 1 - order < LEAST_ROOM:
        return f"Ranking the nearest {N_TO_RANK} anew was not tried: they are nearly in the best order already."
    return (
        f"Ranking the nearest {N_TO_RANK} anew could help: {number(deep)} of what is to be found is among them. "
        "MESS has no such second stage."
    )


def _similarities(taught: Taught, course: Course, rows: np.ndarray) -> np.ndarray:
    """Of some moments with each other, (n_rows, n_rows)."""
    vectors = course.moments.vectors[rows]
    match taught:
        case Fused():
            assert course.fields is not None
            return taught.similarities(vectors, course.fields.of(rows))
        case Attention():
            assert course.segments is not None
            points = taught.points(vectors, course.segments.of(rows))
            return taught.transform.similarities(points, points)
        case Transform():
            points = taught.points(vectors)
            return taught.similarities(points, points)
