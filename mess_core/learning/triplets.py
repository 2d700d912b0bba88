"""Triplets: of an anchor and two others, which is more like it, by rated profiles or by what listeners answered.

From profiles, within one excerpt
    All play the same notes, so only the playing can differ. Of two others the one that was rated nearer is the answer,
    and only *clear* triplets are kept, the half with the larger difference: where the two are rated about as near, the
    raters' noise decides, and nothing can be learned from it or tested by it.

The raters' ceiling
    Raters differ, so nobody can tell all answers that their means give. How far people themselves would come: one half
    of the raters is asked for the triplets of the other half. It is a careful figure, for each half has half of the
    ratings and so more noise than the whole.

Votes
    A listener who contradicts himself on a triplet has said nothing of it: both answers are left out. One who
    always picks the same side did not listen: from ten answers on, all of one side, he is left out by name; so is one
    who told too few of the questions with a known answer (`agreement`).

Conventions
-----------
Rows are those of `MomentSet`. A triplet is (anchor, nearer, further).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mess_core.catalogue.comparisons import Comparison
from mess_core.errors import DataMissingError, InputError
from mess_core.words import counted, listed

PER_ANCHOR = 66  # pairs of others, drawn at random where there are more: all pairs of the other twelve of thirteen
CLEAR_SHARE = 0.5  # of the drawn ones: those with the larger difference
ONE_SIDED_FROM = 10  # answers: all of one side happens to one honest listener in 512
FEWEST_ANSWERS = 30  # fewer cannot tell a good metric from a bad one: the interval of .7 would be .5 to .85
N_HALVINGS = 10


@dataclass(frozen=True, eq=False)
class Triplets:
    """rows : (n, 3) int, anchor, nearer, further; weights : (n,) float64, how many say so"""

    rows: np.ndarray
    weights: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def within(self, rows: np.ndarray, n: int) -> np.ndarray:
        """Of which triplets all three are among some rows of n, (n_triplets,) bool."""
        is_in = np.zeros(n, bool)
        is_in[rows] = True
        inside: np.ndarray = is_in[self.rows].all(axis=1)
        return inside

    def among(self, rows: np.ndarray, n: int) -> Triplets:
        """Those of which all three are among some rows of n, with rows counted anew from 0."""
        place = np.full(n, -1)
        place[rows] = np.arange(len(rows))
        kept = self.within(rows, n)
        return Triplets(place[self.rows[kept]], self.weights[kept])


def rated_triplets(profiles: np.ndarray, spans: np.ndarray, seed: int = 0) -> Triplets:
    """Clear triplets within one span, by the distance of standardised profiles.

    Parameters
    ----------
    profiles : ndarray, shape (n, n_scales)
        Rows with a NaN take no part.
    spans : ndarray, shape (n,), int
    """
    rng = np.random.default_rng(seed)
    whole = np.isfinite(profiles).all(axis=1)
    rated = standardised(profiles)
    rows, margins = [], []
    for anchor in np.flatnonzero(whole):
        others = np.flatnonzero(whole & (spans == spans[anchor]))
        others = others[others != anchor]
        if len(others) < 2:
            continue
        first, second = np.triu_indices(len(others), 1)
        chosen = rng.permutation(len(first))[:PER_ANCHOR]
        distances = np.linalg.norm(rated[others] - rated[anchor], axis=1)
        for one, other in zip(others[first[chosen]], others[second[chosen]], strict=True):
            near = distances[others == one][0] - distances[others == other][0]
            if near != 0:
                rows.append((anchor, one, other) if near < 0 else (anchor, other, one))
                margins.append(abs(near))
    if not rows:
        return Triplets(np.empty((0, 3), int), np.empty(0))
    clear = np.array(margins) >= np.quantile(margins, 1 - CLEAR_SHARE)
    found = np.array(rows)[clear]
    return Triplets(found, np.ones(len(found)))


def standardised(profiles: np.ndarray) -> np.ndarray:
    """Scales in standard deviations of the rated moments, (n, n_scales)."""
    mean, spread = np.nanmean(profiles, axis=0), np.nanstd(profiles, axis=0)
    found: np.ndarray = (profiles - mean) / np.where(spread > 0, spread, 1.0)
    return found


def halves_agreement(ratings: np.ndarray, rows: np.ndarray, spans: np.ndarray, n: int, seed: int = 0) -> float | None:
    """How well one half of the raters tells the clear triplets of the other half.

    Of every moment the ratings are dealt to two halves at random; each half has a profile of it.

    Parameters
    ----------
    ratings : ndarray, shape (n_ratings, n_scales)
        Single ratings; NaN where a scale was not answered.
    rows : ndarray, shape (n_ratings,), int
        Of which moment each is.
    spans : ndarray, shape (n,), int
    n : int
        Moments.

    Returns
    -------
    float or None
        Share of triplets; None where no moment has ratings of two.
    """
    from mess_core.learning.teachers import span_means

    rng = np.random.default_rng(seed)
    right, total = 0.0, 0
    for _ in range(N_HALVINGS):
        shuffled = rng.permutation(len(rows))
        by_row = shuffled[np.argsort(rows[shuffled], kind="stable")]
        of_second = np.zeros(len(rows), bool)
        of_second[by_row[1::2]] = True  # every other one of each moment, but for where one moment ends
        halves = []
        for chosen in (~of_second, of_second):
            moments = np.full((n, ratings.shape[1]), np.nan)
            here = rows[chosen]
            moments[here] = span_means(ratings[chosen], here)[0]
            halves.append(standardised(moments))
        told, asked = halves
        triplets = rated_triplets(asked, spans, seed=int(rng.integers(1 << 31))).rows
        triplets = triplets[np.isfinite(told[triplets]).all(axis=(1, 2))]
        near, far = (((told[triplets[:, 0]] - told[triplets[:, place]]) ** 2).sum(axis=1) for place in (1, 2))
        right += float((near < far).sum() + 0.5 * (near == far).sum())
        total += len(triplets)
    return right / total if total else None


@dataclass(frozen=True)
class Answers:
    """What of people's answers can be learned from.

    triplets : rows of moments
    excluded : listeners who always picked one side
    inattentive : those who told too few of the questions with a known answer
    n_contradictory, n_vanished : answers left out
    agreement : how often listeners who were asked the same agree, or None if none were
    """

    triplets: Triplets
    excluded: tuple[str, ...]
    n_contradictory: int
    n_vanished: int
    agreement: float | None
    inattentive: tuple[str, ...] = ()

    @property
    def notices(self) -> tuple[str, ...]:
        """What was left out and why, in sentences."""
        found = []
        if self.excluded:
            always = "always picks" if len(self.excluded) == 1 else "always pick"
            found.append(f"{listed(self.excluded, 5)} {always} the same side, and is not counted.")
        if self.inattentive:
            who, are = listed(self.inattentive, 5), "is" if len(self.inattentive) == 1 else "are"
            found.append(f"{who} told too few of the questions with a known answer, and {are} not counted.")
        if self.n_contradictory:
            found.append(f"{counted(self.n_contradictory, 'answer')} contradicted by the same listener, not counted.")
        if self.n_vanished:
            found.append(f"{counted(self.n_vanished, 'answer')} on recordings that are not in this library any more.")
        return tuple(found)


def answers_of(
    comparisons: Sequence[Comparison], row_of: Mapping[str, int], inattentive: Collection[str] = ()
) -> Answers:
    """Votes as triplets.

    Parameters
    ----------
    comparisons : sequence of Comparison
    row_of : mapping of track id to the row of its moment
    inattentive : listeners who are not counted, because they did not listen

    Raises
    ------
    DataMissingError
        If there are too few answers to learn from, or none of their recordings is here.
    InputError
        If everything contradicts itself.
    """
    if not comparisons:
        raise DataMissingError(
            "Nobody has judged anything yet.",
            "Judge some on the page Judge, or bring answers from a table: python -m mess_core judgements import FILE.",
        )
    excluded = tuple(sorted(_one_sided(comparisons)))
    distracted = tuple(sorted({each.listener for each in comparisons} & set(inattentive) - set(excluded)))
    left = [each for each in comparisons if each.listener not in (*excluded, *distracted)]
    here = [each for each in left if {each.anchor, each.positive, each.negative} <= row_of.keys()]
    said = defaultdict(Counter)  # type: ignore[var-annotated]
    for each in here:
        said[each.question, each.anchor, *sorted((each.positive, each.negative))][each.listener, each.positive] += 1
    rows, weights, n_contradictory, agreed, asked = [], [], 0, 0.0, 0
    for (_, anchor, one, other), votes in said.items():
        clear = []
        for listener in {listener for listener, _ in votes}:
            for_one, for_other = votes[listener, one], votes[listener, other]
            if for_one and for_other:
                n_contradictory += for_one + for_other
            else:
                clear.append(one if for_one else other)
        tally = Counter(clear)
        if len(clear) > 1:
            agreed += sum(n * (n - 1) for n in tally.values()) / (len(clear) - 1)
            asked += len(clear)
        for positive, n in sorted(tally.items()):
            rows.append((row_of[anchor], row_of[positive], row_of[other if positive == one else one]))
            weights.append(float(n))
    found = Answers(
        Triplets(np.array(rows, int).reshape(-1, 3), np.array(weights)),
        excluded,
        n_contradictory,
        len(left) - len(here),
        agreed / asked if asked else None,
        distracted,
    )
    _require_enough(found, len(comparisons))
    return found


def _require_enough(found: Answers, n_given: int) -> None:
    n = int(found.triplets.weights.sum())
    if n >= FEWEST_ANSWERS:
        return
    if not n and found.n_contradictory:
        raise InputError(
            f"All {counted(n_given, 'answer')} contradict each other, so there is nothing to learn.",
            "Judge again; answer only where you hear a difference.",
        )
    why = f" {' '.join(found.notices)}" if found.notices else ""
    raise DataMissingError(
        f"{counted(n, 'answer')} can be learned from, and {FEWEST_ANSWERS} are needed.{why}",
        "Judge more, or import more judgements.",
    )


def _one_sided(comparisons: Sequence[Comparison]) -> set[str]:
    """Listeners who have picked the same side in all of at least ten answers of which the side is known."""
    sides: dict[str, Counter[str]] = defaultdict(Counter)
    for each in comparisons:
        if each.side:
            sides[each.listener][each.side] += 1
    return {who for who, tally in sides.items() if len(tally) == 1 and tally.total() >= ONE_SIDED_FROM}
