"""The table of a study: each model with each encoder, beside chance, what is popular, and its own control.

    rows of one test and k -> seeds put together, user by user -> mean, interval over users
                           -> gain over what is popular, interval over users
                           -> gain over the same with items exchanged: users and exchanges are drawn
                           -> p of all gains over controls, corrected for all at once (Holm)

A row that goes by an encoder is refused where its controls are missing: without them nobody can tell whether the
encoder or the model did it. Seeds are means of the same users, so that a user counts once however many seeds there are.

A gain over controls
--------------------
If the sound meant nothing, the true order of the items would be one exchange more. So a gain goes up and down with the
users, and with the luck of m exchanges and of the true order, which is one of their kind:

    error² = variance over users / n + variance over exchanges · (1 + 1 / m)

The second variance is that of means over all users, pooled over the encoders of a model, each about its own mean; the
degrees of freedom are Satterthwaite's. Over users alone, one exchange that was unlucky would be a gain "shown".
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from mess_core.errors import ArtefactMismatchError, InputError
from mess_core.evaluation.recommendation import (
    COVERAGE,
    GINI,
    N_HAD,
    NDCG,
    mean_of_users,
)
from mess_core.probing.resampling import holm_adjusted, two_sided_p
from mess_core.recommend.fitting import Epoch
from mess_core.storage.paths import Paths
from mess_core.study.kept import StudyFacts, StudyRow, kept_row, per_user_of
from mess_core.study.plan import EncoderPlan, RowPlan

CHANCE, POPULAR = "chance", "popular"
N_ACTIVITIES = 3
NOT_RUN = "It was not run yet."
BLIND = "It knows nothing of these items, and gives all of them one score."
SURE = 0.05  # Holm's p below which a gain is called one

Group = tuple[str, EncoderPlan | None, bool]  # model, encoder, whether its items are exchanged


@dataclass(frozen=True)
class Better:
    """How much better than something else in nDCG, user by user. low, high : 95 %; p_holm : of all such at once"""

    value: float
    low: float | None
    high: float | None
    p: float | None = None
    p_holm: float | None = None

    @property
    def is_shown(self) -> bool:
        return self.low is not None and self.low > 0 and (self.p_holm is None or self.p_holm < SURE)


@dataclass(frozen=True)
class TableRow:
    """One line, of all seeds together.

    values : metric -> mean; low, high : of nDCG
    by_activity : nDCG of the third of users who have least, of the next, of the third who have most
    over_control : its gain over the same with items exchanged, several times; over_popular : over what is popular
    n_heard : items that its encoder has heard; None without one
    refused : why it has no figures, in a sentence; empty where it has
    """

    model: str
    encoder: EncoderPlan | None
    seeds: tuple[int, ...]
    is_control: bool
    n_users: int = 0
    values: Mapping[str, float] = field(default_factory=dict)
    low: float | None = None
    high: float | None = None
    over_control: Better | None = None
    over_popular: Better | None = None
    curve: tuple[Epoch, ...] = ()
    by_activity: tuple[float, ...] = ()
    n_heard: int | None = None
    refused: str = ""

    @property
    def goes_by_sound(self) -> bool:
        """Whether it is another one with other sound: a bridge leaves items alone that somebody has."""
        over = self.over_control
        return self.encoder is not None and (over is None or not over.value == over.low == over.high == 0)

    @property
    def heard_by(self) -> str:
        return "" if self.encoder is None else self.encoder.title

    @property
    def title(self) -> str:
        return f"{self.model} by {self.heard_by}" if self.encoder else self.model


@dataclass(frozen=True)
class StudyTable:
    """One test of a study at one k.

    n_missing : rows of the plan that were not run yet
    over_second : what the best gains over the second best
    """

    study: StudyFacts
    test: str
    k: int
    rows: tuple[TableRow, ...]
    n_missing: int
    over_second: Better | None = None

    @property
    def ranked(self) -> list[TableRow]:
        """Those that are not there to be beaten, the best first."""
        known = [each for each in self.rows if not each.is_control and not each.refused]
        return sorted(known, key=lambda each: -each.values[NDCG])

    def row(self, model: str, encoder: EncoderPlan | None = None) -> TableRow | None:
        return next((each for each in self.rows if (each.model, each.encoder) == (model, encoder)), None)


def tabulate(paths: Paths, study: StudyFacts, test: str | None = None, k: int | None = None) -> StudyTable:
    """Put together what of a study is there.

    Parameters
    ----------
    test : str, optional
        By default the first.
    k : int, optional
        By default the smallest.

    Raises
    ------
    InputError
        If the study has no such test or k.
    """
    test = next(iter(study.tests)) if test is None else test
    k = study.plan.k[0] if k is None else k
    if test not in study.tests or k not in study.plan.k:
        raise InputError(
            f"The study {study.plan.name!r} has no test {test!r} at {k}.",
            f"It has {', '.join(study.tests)}, at {', '.join(map(str, study.plan.k))}.",
        )
    groups: dict[Group, list[str]] = {}
    for name, plan in study.rows.items():
        groups.setdefault((plan.model.title, plan.encoder, plan.is_shuffled), []).append(name)
    kept = {name: kept_row(paths, study, name) for name in study.rows}
    seeds = {
        group: _each_seed(
            paths, study, [name for name in names if _has_figures(kept[name], test)], test, k,
            metrics=(NDCG, N_HAD) if group[2] else None,  # of an exchange nothing else is asked
        )
        for group, names in groups.items()
    }  # fmt: skip
    popular = _together(seeds.get((POPULAR, None, False), []))
    luck = {model: _luck(seeds, model) for model, _, is_shuffled in groups if is_shuffled}
    rows = [_chance(study, test, k)]
    for group, names in groups.items():
        if not group[2]:
            users, controls = _together(seeds[group]), seeds.get((group[0], group[1], True), [])
            row = _row(study, group, names, kept, users, popular, test, k)
            if group[1] is not None and not row.refused:
                row = _beside_controls(row, users or {}, controls, luck.get(group[0]))
            rows.append(row)
    n_missing = sum(each is None for each in kept.values())
    table = StudyTable(study, test, k, tuple(_corrected(rows)), n_missing)
    if len(table.ranked) < 2:
        return table
    first, second = (_together(seeds[row.model, row.encoder, False]) for row in table.ranked[:2])
    return replace(table, over_second=None if first is None else _better(first, second))


def _has_figures(row: StudyRow | None, test: str) -> bool:
    """Whether it was run, and what it came to there is more than the order of the file."""
    return row is not None and not row.refused and test not in row.blind


def _each_seed(
    paths: Paths, study: StudyFacts, names: Sequence[str], test: str, k: int, metrics: Collection[str] | None
) -> list[dict[str, np.ndarray]]:
    """Of each seed, or exchange, what was measured of each user, by metric."""
    found = []
    for name in names:
        try:
            found.append(per_user_of(paths, study.plan.name, name, test, k, metrics))
        except ArtefactMismatchError:
            continue
    n_users = study.tests[test].n_users
    return [
        each for each in found if {NDCG, N_HAD} <= each.keys() and all(len(own) == n_users for own in each.values())
    ]


def _together(seeds: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray] | None:
    """Mean over seeds of each user, by metric; None where there is nothing yet."""
    if not seeds:
        return None
    return {metric: np.mean([each[metric] for each in seeds if metric in each], axis=0) for metric in seeds[0]}


@dataclass(frozen=True)
class Luck:
    """How nDCG goes up and down from one exchange to the next. n : degrees of freedom of the variance"""

    variance: float
    n: int


def _luck(seeds: Mapping[Group, Sequence[Mapping[str, np.ndarray]]], model: str) -> Luck | None:
    """Of a model, over all its encoders; None of fewer than two exchanges."""
    squares, n = 0.0, 0
    for (name, _, is_shuffled), own in seeds.items():
        if name == model and is_shuffled and len(own) > 1:
            means = np.array([each[NDCG].mean() for each in own])
            squares += float(((means - means.mean()) ** 2).sum())
            n += len(own) - 1
    return Luck(squares / n, n) if n else None


def _beside_controls(
    row: TableRow, users: Mapping[str, np.ndarray], controls: Sequence[Mapping[str, np.ndarray]], luck: Luck | None
) -> TableRow:
    """The row with its gain over the same with items exchanged; refused where that is not there."""
    control = _together(controls)
    if control is None or luck is None:
        missing = TableRow(row.model, row.encoder, row.seeds, row.is_control)
        return replace(missing, refused="Its controls, the same with the items exchanged, are missing.")
    return replace(row, over_control=gain_over_exchanged(users[NDCG] - control[NDCG], len(controls), luck))


def gain_over_exchanged(difference: np.ndarray, m: int, luck: Luck) -> Better:
    """A gain over the mean of m exchanges, as the top of this file tells. difference : (n_users,) of nDCG"""
    from scipy.special import stdtrit

    n = len(difference)
    value, of_users = float(difference.mean()), float(difference.var(ddof=1)) / n if n > 1 else 0.0
    of_luck = luck.variance * (1 + 1 / m)
    error2 = of_users + of_luck
    if not error2:
        return Better(value, value, value, two_sided_p(value, 0.0, 2))
    freedom = error2**2 / (of_users**2 / max(n - 1, 1) + of_luck**2 / luck.n)
    reach = float(stdtrit(freedom, 0.975)) * np.sqrt(error2)
    return Better(value, value - reach, value + reach, two_sided_p(value, float(np.sqrt(error2)), freedom + 1))


def _row(
    study: StudyFacts,
    group: Group,
    names: Sequence[str],
    kept: Mapping[str, StudyRow | None],
    users: dict[str, np.ndarray] | None,
    popular: dict[str, np.ndarray] | None,
    test: str,
    k: int,
) -> TableRow:
    first: RowPlan = study.rows[names[0]]
    seeds = tuple(sorted(study.rows[name].seed for name in names))
    line = TableRow(group[0], group[1], seeds, first.is_control)
    done = [row for name in names if (row := kept[name]) is not None]
    refused = next((row.refused for row in done if row.refused), "")
    if any(test in row.blind for row in done):
        return replace(line, refused=BLIND)
    if users is None:
        return replace(line, refused=refused or NOT_RUN)
    _, low, high = mean_of_users(users[NDCG])
    values = {metric: float(np.nanmean(own)) for metric, own in users.items() if np.isfinite(own).any()}
    own = [row for row in done if not row.refused]
    for metric in (COVERAGE, GINI):  # of all lists together
        told = [figure.value for row in own for figure in row.figures[test][k] if figure.metric == metric]
        values |= {metric: float(np.mean(known))} if (known := [each for each in told if each is not None]) else {}
    return replace(
        line,
        n_users=len(users[NDCG]),
        values=values,
        low=low,
        high=high,
        over_popular=None if group[0] == POPULAR else _better(users, popular),
        curve=own[0].curve,
        by_activity=_by_activity(users),
        n_heard=own[0].n_heard,
    )


def _by_activity(users: Mapping[str, np.ndarray]) -> tuple[float, ...]:
    """By how much each user had in training; users of equal numbers stay in order, so thirds are of one size."""
    if len(users[NDCG]) < N_ACTIVITIES:
        return ()
    order = np.argsort(users[N_HAD], kind="stable")
    return tuple(float(users[NDCG][third].mean()) for third in np.array_split(order, N_ACTIVITIES))


def _better(users: Mapping[str, np.ndarray], than: Mapping[str, np.ndarray] | None) -> Better | None:
    if than is None:
        return None
    value, low, high = mean_of_users(users[NDCG] - than[NDCG])
    return Better(value or 0.0, low, high)


def _chance(study: StudyFacts, test: str, k: int) -> TableRow:
    chance = study.tests[test].chance.get(k, {})
    return TableRow(CHANCE, None, (), True, study.tests[test].n_users, dict(chance))


def _corrected(rows: Sequence[TableRow]) -> list[TableRow]:
    """Holm's p of all gains over controls."""
    holm = iter(holm_adjusted([each.over_control.p for each in rows if each.over_control is not None]))
    return [
        each if each.over_control is None else replace(each, over_control=replace(each.over_control, p_holm=next(holm)))
        for each in rows
    ]
