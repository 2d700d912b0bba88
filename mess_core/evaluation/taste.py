"""Replay: would a taste have known what was liked afterwards, and is every part of it of use?

    events until a time -> taste -> ranks what was never heard -> events after it: which of these were taken well?

Each way of making a taste stands beside what needs none: chance, what is like the last track that was heard to the end,
and the same taste on embeddings that were shuffled. Each section is asked how much oftener its rows were taken well
later on than rows drawn by chance. Reasons are tested by removal: the taste is made anew without the named track, and
the score must fall.

Listeners are simulated where a library has no history of its own: with three planted tastes and a dislike, told by
names and notes and not by embeddings. They first hear three fifths of the library, then all of it. What is found for
them says that the method finds what is there; not that people are like that.

One's own history is replayed at ten moments of its second half. That is one person, so there is no interval.

Conventions
-----------
Every figure is a mean over listeners, with an interval from drawing listeners (95 %); none of fewer than twelve.
Taken well: more was said for a track than against it. AUC: how often what is taken well later stands before what is
disliked or skipped later, ½ by chance.

Source
------
Järvelin & Kekäläinen (2002) for the discounted gain; Cañamares & Castells (2018) on why chance and popularity must
stand beside it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np

from mess_core.catalogue.catalogue import Track
from mess_core.catalogue.listening import Events
from mess_core.errors import DataMissingError
from mess_core.probing.resampling import draw_groups, intervals
from mess_core.recommend.profile import Profile, profile_of
from mess_core.recommend.reasons import carrier_of, is_borne_out
from mess_core.recommend.sections import LATELY_DAYS, SECTIONS
from mess_core.recommend.shelf import Shelf
from mess_core.recommend.signals import DAY_S, HALF_LIVES_DAYS, LIKE, TO_THE_END_FROM, signals_of
from mess_core.recommend.simulated import KNOWN_SHARE, Planted, draw_planted, simulate
from mess_core.recommend.taste import TasteSettings

AT = (20, 50)  # ranks
LIST_LENGTH = 10  # rows of a section
DAYS_BEFORE, DAYS_AFTER = 60, 30
N_LISTENERS = 40
N_BOOTSTRAPS = 1000
FEWEST_FOR_INTERVAL = 12  # simulated, 95 % intervals of as many held the truth in 9 of 10 cases or more
N_REASONS = 10  # of each listener, tested by removal
N_MOMENTS, FEWEST_EVENTS = 10, 50  # of one's own history

WAYS: Mapping[str, tuple[TasteSettings, tuple[float, ...]]] = {  # settings, half-lives in days
    "several interests": (TasteSettings(), HALF_LIVES_DAYS),
    "one mean of all": (TasteSettings(most_interests=1), HALF_LIVES_DAYS),
    "all hearings alike": (TasteSettings(favoured=0.0), HALF_LIVES_DAYS),
    "nothing forgotten": (TasteSettings(), (np.inf,)),
    "without dislikes": (TasteSettings(subtracted=0.0, near_dislike=0.0), HALF_LIVES_DAYS),
    "dislikes twice as strong": (TasteSettings(subtracted=0.5, near_dislike=1.0), HALF_LIVES_DAYS),
}
SHUFFLED, LAST, CHANCE = "shuffled embeddings", "like the last one heard", "chance"


@dataclass(frozen=True)
class Mean:
    """A figure over listeners. low, high : None of fewer than twelve"""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class WayResult:
    """How well one way of making a taste does; None where nothing new was liked.

    recall, ndcg : by rank, as text
    auc : against what is disliked or skipped later
    """

    name: str
    recall: Mapping[str, Mean | None]
    ndcg: Mapping[str, Mean | None]
    auc: Mean | None


@dataclass(frozen=True)
class SectionResult:
    """What came of a section's rows.

    rate, by_chance : share of rows taken well later on; of rows drawn by chance from what was not heard lately
    lift : their ratio; None where nothing was recommended, or chance finds nothing
    variety : mean over pairs of rows of one less their cosine
    novelty : mean over rows of one less the greatest cosine with anything heard before
    """

    section: str
    n_lists: int
    rate: Mean | None
    by_chance: Mean | None
    lift: Mean | None
    variety: Mean | None
    novelty: Mean | None


@dataclass(frozen=True)
class TasteStudy:
    """What a replay found.

    listeners : how many, and of what kind: "simulated" or "own"
    planted_found : share of the planted tastes that are the greater part of an interest; None of own listeners
    borne_out : share of reasons after whose removal the score fell
    coverage : share of the library in anybody's quick picks
    calibration : Kullback-Leibler divergence of the rows of quick picks from the interests, in nats; 0 is proportional
    """

    listeners: str
    n_listeners: int
    n_tracks: int
    ways: tuple[WayResult, ...]
    sections: tuple[SectionResult, ...]
    planted_found: Mapping[str, Mean | None] | None
    borne_out: Mean | None
    n_reasons: int
    coverage: float
    calibration: Mean | None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        def mean(entry: Mapping[str, Any] | None) -> Mean | None:
            return None if entry is None else Mean(**entry)

        def means(entries: Mapping[str, Any] | None) -> dict[str, Mean | None]:
            return {name: mean(entry) for name, entry in (entries or {}).items()}

        ways = tuple(
            WayResult(each["name"], means(each["recall"]), means(each["ndcg"]), mean(each["auc"]))
            for each in plain["ways"]
        )
        sections = tuple(
            SectionResult(
                each["section"],
                int(each["n_lists"]),
                *(mean(each[name]) for name in ("rate", "by_chance", "lift", "variety", "novelty")),
            )
            for each in plain["sections"]
        )
        known: dict[str, Any] = {
            **plain,
            "ways": ways,
            "sections": sections,
            "planted_found": means(plain["planted_found"]) if plain["planted_found"] is not None else None,
            "borne_out": mean(plain["borne_out"]),
            "calibration": mean(plain["calibration"]),
        }
        return cls(**known)


@dataclass(frozen=True, eq=False)
class Case:
    """A listener: what was heard until a time, and what after it. planted : None of one who is not simulated"""

    before: Events
    after: Events
    now_s: float
    planted: Planted | None = None


def simulated_cases(tracks: Sequence[Track], n: int, seed: int) -> list[Case]:
    """Listeners with planted tastes, on the tracks of a shelf.

    Raises
    ------
    DataMissingError
        If the tracks have too few names in common to plant tastes by.
    """
    ids = [each.track_id for each in tracks]
    now_s = 1.75e9  # any time: only differences count
    cases = []
    for number in range(n):
        rng = np.random.default_rng([seed, number])
        planted = draw_planted(tracks, rng)
        if planted is None:
            raise DataMissingError(
                "Too few recordings here share a work, composer, instrument or player, so no taste can be planted.",
                "Name them in the files' tags or in a table, or try the demo library.",
            )
        known = np.sort(rng.permutation(len(ids))[: round(KNOWN_SHARE * len(ids))])
        among = set(known.tolist())
        at_first = Planted(
            planted.name,
            tuple(tuple(row for row in taste if row in among) or taste[:1] for taste in planted.tastes),
            tuple(row for row in planted.unwanted if row in among),
        )
        first, second = (int(each) for each in rng.integers(2**31, size=2))
        before = simulate(at_first, ids, DAYS_BEFORE, now_s, first, known.tolist())
        after = simulate(planted, ids, DAYS_AFTER, now_s + DAYS_AFTER * DAY_S, second)
        cases.append(Case(before, after, now_s, planted))
    return cases


def own_cases(events: Events) -> list[Case]:
    """One's own history, cut at moments of its second half; each is asked what came until the next.

    Raises
    ------
    DataMissingError
        If it is too short.
    """
    if len(events) < FEWEST_EVENTS:
        raise DataMissingError(
            f"There are {len(events)} events, and {FEWEST_EVENTS} at least can be replayed.",
            "Listen, or take in what was heard elsewhere: python -m mess_core events import FILE",
        )
    ends_s = np.quantile(events.at_s, np.linspace(0.5, 1.0, N_MOMENTS + 1))
    return [
        Case(events.until(begin_s), events.until(end_s).after(begin_s), float(begin_s))
        for begin_s, end_s in itertools.pairwise(ends_s.tolist())
    ]


def measure_taste(
    shelf: Shelf,
    cases: Sequence[Case],
    *,
    seed: int | None = 0,
    on_progress: Callable[[int, int], None] = lambda n_done, n_total: None,
) -> TasteStudy:
    """Replay listeners on a shelf."""
    rng_seed = seed or 0
    shuffled = replace(shelf, points=shelf.points[np.random.default_rng(rng_seed).permutation(len(shelf))])
    names = [*WAYS, SHUFFLED, LAST, CHANCE]
    of_way: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    of_section: dict[str, list[dict[str, float]]] = {name: [] for name in SECTIONS}
    found: dict[str, list[float]] = {name: [] for name in WAYS}
    borne_out: list[float] = []
    n_reasons = 0
    picked: set[int] = set()
    calibrations: list[float] = []
    for number, case in enumerate(cases):
        liked, against = _taken(shelf, case)
        usual = profile_of(shelf, case.before, case.now_s)
        new = np.flatnonzero(~np.isfinite(usual.days_since))
        scores: dict[str, np.ndarray] = {}
        for name, (settings, half_lives) in WAYS.items():
            profile = profile_of(shelf, case.before, case.now_s, settings=settings, half_lives_days=half_lives)
            scores[name] = profile.taste.scores
            if case.planted is not None:
                found[name].append(_planted_found(profile, case.planted))
        scores[SHUFFLED] = profile_of(shuffled, case.before, case.now_s).taste.scores
        scores[LAST] = _like_the_last(shelf, case)
        scores[CHANCE] = np.random.default_rng([rng_seed, number]).random(len(shelf))
        for name in names:
            of_way[name].append(_ranked(scores[name], liked, against, new))
        for name, section in SECTIONS.items():
            rows = [each.row for each in section.choose(usual, LIST_LENGTH, 0.5, rng_seed + number)]
            of_section[name].append(_section(shelf, usual, rows, liked))
            if name == "quick-picks":
                picked.update(rows)
                calibrations.append(_calibration(usual, rows))
        n, n_true = _reasons(usual, case, new)
        n_reasons += n
        borne_out.append(n_true / n if n else np.nan)
        on_progress(number + 1, len(cases))
    is_simulated = all(case.planted is not None for case in cases)
    seed = seed if is_simulated else None  # moments of one person are no sample of people
    return TasteStudy(
        listeners="simulated" if is_simulated else "own",
        n_listeners=len(cases) if is_simulated else 1,
        n_tracks=len(shelf),
        ways=tuple(_way_result(name, of_way[name], seed) for name in names),
        sections=tuple(_section_result(name, of_section[name], seed) for name in SECTIONS),
        planted_found={name: _mean(found[name], seed) for name in WAYS} if is_simulated else None,
        borne_out=_mean(borne_out, seed),
        n_reasons=n_reasons,
        coverage=len(picked) / max(len(shelf), 1),
        calibration=_mean(calibrations, seed),
    )


# --- of one listener ----------------------------------------------------------------------------------------


def _taken(shelf: Shelf, case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Which rows were taken well after the time, and which badly, (n,) bool each."""
    after = signals_of(case.after, float(case.after.at_s.max(initial=case.now_s)), (np.inf,))
    liked, against = np.zeros(len(shelf), bool), np.zeros(len(shelf), bool)
    for track_id, liking, disliking in zip(after.track_ids, after.liking, after.disliking, strict=True):
        if track_id in shelf.rows:
            liked[shelf.rows[track_id]] = liking > 0
            against[shelf.rows[track_id]] = disliking > 0
    return liked, against


def _ranked(scores: np.ndarray, liked: np.ndarray, against: np.ndarray, new: np.ndarray) -> dict[str, float]:
    order = new[np.argsort(-scores[new], kind="stable")]
    relevant = liked[order]
    n_relevant = int(relevant.sum())
    found: dict[str, float] = {}
    for at in AT:
        gains = 1 / np.log2(np.arange(2, min(at, len(order)) + 2))
        best = gains[: min(n_relevant, len(gains))].sum()
        found[f"recall@{at}"] = float(relevant[:at].sum() / min(n_relevant, at)) if n_relevant else np.nan
        found[f"ndcg@{at}"] = float((gains * relevant[: len(gains)]).sum() / best) if n_relevant else np.nan
    well, badly = scores[new[liked[new]]], scores[new[against[new]]]
    before = (
        (well[:, None] > badly).mean() + 0.5 * (well[:, None] == badly).mean() if well.size and badly.size else None
    )
    found["auc"] = float(before) if before is not None else np.nan
    return found


def _like_the_last(shelf: Shelf, case: Case) -> np.ndarray:
    """How like each row is to the last that was heard to the end, or liked."""
    before = case.before
    well = np.flatnonzero((before.share >= TO_THE_END_FROM) | (before.action == LIKE))
    for event in well[::-1]:
        row = shelf.rows.get(before.track_ids[before.track[event]])
        if row is not None:
            return shelf.points @ shelf.points[row]
    return np.zeros(len(shelf))


def _planted_found(profile: Profile, planted: Planted) -> float:
    """Which share of the planted tastes is the greater part of an interest."""
    known = [
        any(
            interest.weights[np.isin(interest.rows, taste)].sum() > interest.weights.sum() / 2
            for interest in profile.taste.interests
        )
        for taste in planted.tastes
    ]
    return float(np.mean(known))


def _section(shelf: Shelf, profile: Profile, rows: Sequence[int], liked: np.ndarray) -> dict[str, float]:
    eligible = profile.days_since >= LATELY_DAYS
    by_chance = float(liked[eligible].mean()) if eligible.any() else np.nan
    if not rows:
        return {"rate": np.nan, "by_chance": by_chance, "variety": np.nan, "novelty": np.nan}
    points = shelf.points[rows]
    nearest = shelf.nearest(shelf.points[profile.heard])[rows]
    pairs = np.triu_indices(len(rows), 1)
    variety = float(1 - (points @ points.T)[pairs].mean()) if len(rows) > 1 else np.nan
    rate, novelty = float(liked[list(rows)].mean()), float(1 - nearest.mean())
    return {"rate": rate, "by_chance": by_chance, "variety": variety, "novelty": novelty}


def _calibration(profile: Profile, rows: Sequence[int]) -> float:
    """Divergence of a list's interests from the taste's, a hundredth of the taste mixed in so that it is finite."""
    shares = np.array([interest.share for interest in profile.taste.interests])
    if not len(shares) or not rows:
        return np.nan
    counted = np.bincount(profile.taste.best[list(rows)], minlength=len(shares)) / len(rows)
    mixed = 0.99 * counted + 0.01 * shares
    return float((shares * np.log(shares / mixed)).sum())


def _reasons(profile: Profile, case: Case, new: np.ndarray) -> tuple[int, int]:
    """How many reasons were given for the best rows, and how many of them hold when the taste is made anew."""
    n = n_true = 0
    best = new[np.argsort(-profile.taste.scores[new], kind="stable")][:N_REASONS]
    for row in best.tolist():
        carrier = carrier_of(profile.taste, row)
        if carrier is not None:
            n += 1
            n_true += is_borne_out(profile.taste, profile.signals, profile.less, row, carrier)
    return n, n_true


# --- over listeners -----------------------------------------------------------------------------------------


def _mean(values: Sequence[float], seed: int | None) -> Mean | None:
    """Over those for whom it is known; None if for nobody. Without a seed there is no interval."""
    known = np.array([each for each in values if np.isfinite(each)])
    if not len(known):
        return None
    value = float(known.mean())
    if len(known) < FEWEST_FOR_INTERVAL or seed is None:
        return Mean(value, None, None)
    counts = draw_groups(len(known), N_BOOTSTRAPS, np.random.default_rng(seed))
    low, high = intervals((counts @ known / counts.sum(axis=1))[:, None], N_BOOTSTRAPS)
    return Mean(value, float(low[0]), float(high[0]))


def _ratio(parts: Sequence[float], wholes: Sequence[float], seed: int | None) -> Mean | None:
    """The ratio of two means over the same listeners, with an interval."""
    pairs = np.array([pair for pair in zip(parts, wholes, strict=True) if np.isfinite(pair).all()]).reshape(-1, 2)
    if not len(pairs) or not pairs[:, 1].sum():
        return None
    value = float(pairs[:, 0].sum() / pairs[:, 1].sum())
    if len(pairs) < FEWEST_FOR_INTERVAL or seed is None:
        return Mean(value, None, None)
    counts = draw_groups(len(pairs), N_BOOTSTRAPS, np.random.default_rng(seed))
    low, high = intervals(((counts @ pairs[:, 0]) / (counts @ pairs[:, 1]))[:, None], N_BOOTSTRAPS)
    return Mean(value, float(low[0]), float(high[0]))


def _way_result(name: str, rows: Sequence[Mapping[str, float]], seed: int | None) -> WayResult:
    def over(key: str) -> Mean | None:
        return _mean([row[key] for row in rows], seed)

    return WayResult(
        name,
        {str(at): over(f"recall@{at}") for at in AT},
        {str(at): over(f"ndcg@{at}") for at in AT},
        _mean([row["auc"] for row in rows], seed),
    )


def _section_result(name: str, rows: Sequence[Mapping[str, float]], seed: int | None) -> SectionResult:
    columns = {key: [row[key] for row in rows] for key in ("rate", "by_chance", "variety", "novelty")}
    return SectionResult(
        section=name,
        n_lists=int(np.isfinite(columns["rate"]).sum()),
        rate=_mean(columns["rate"], seed),
        by_chance=_mean(columns["by_chance"], seed),
        lift=_ratio(columns["rate"], columns["by_chance"], seed),
        variety=_mean(columns["variety"], seed),
        novelty=_mean(columns["novelty"], seed),
    )
