"""Selection: which of the ranked recordings are shown. Nothing is deleted: what is not shown was not asked for.

Maximal marginal relevance ranks what resembles a result already chosen lower:

    next = argmax over candidates x of (1 - d) s(q, x) - d max over chosen y of s(x, y),   d = diversity

Source
------
Carbonell & Goldstein (1998).
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from mess_core.catalogue.catalogue import FILTERS
from mess_core.search.question import Question

POOL_AT_LEAST, POOL_PER_RESULT = 100, 10  # candidates among which diversity chooses
MOST_AT_ONCE = 1000  # candidates whose facts are asked for in one go


@dataclass(frozen=True, eq=False)
class Candidate:
    """A ranked row; `score` is what it is ranked by, the similarity or its correction for hubs."""

    row: int
    track_id: str
    score: float
    similarity: float
    parts: np.ndarray = field(default_factory=lambda: np.empty(0))  # similarity in each part


@dataclass(frozen=True)
class Facts:
    """What selection needs to know of a track; None is unknown, and unknown is never the same as unknown."""

    work: str | None = None
    performer: str | None = None
    album: str | None = None
    composer: str | None = None
    instrument: str | None = None
    collection: str | None = None
    split: str | None = None
    details: Mapping[str, str] = field(default_factory=dict)
    heard_as: frozenset[str] = frozenset()  # looked up only where it is asked for
    values: Mapping[str, float] = field(default_factory=dict)  # what was measured; likewise

    def says(self, name: str, wanted: Collection[str]) -> bool:
        """Whether a name or a column of the user's own table says one of these, whatever the case."""
        value = self.details.get(name, getattr(self, name, None))
        return value is not None and value.casefold() in wanted


FactsOf = Callable[[Sequence[str]], Mapping[str, Facts]]  # of tracks by id; of what is not there, nothing is known
UNKNOWN = Facts()


def _nothing_alike(row: int, rows: list[int]) -> np.ndarray:
    return np.zeros(len(rows))


def select(
    ranked: Iterator[Candidate],
    question: Question,
    query: Facts,
    facts_of: FactsOf,
    similarities: Callable[[int, list[int]], np.ndarray] = _nothing_alike,
    is_copy: Callable[[int, list[int]], np.ndarray] = _nothing_alike,
    is_copy_of_query: Callable[[int], bool] = lambda row: False,
    others: Collection[Facts] = (),
) -> list[Candidate]:
    """Choose at most `question.k` candidates.

    Parameters
    ----------
    ranked : iterator of Candidate
        The best first; consumed no further than needed, or, where facts decide, in portions that double.
    query : Facts
    facts_of : callable (track_ids) -> mapping of id to Facts
        Asked once for each portion, and only if something goes by facts.
    similarities, is_copy : callable (row, rows) -> ndarray, shape (n_rows,)
        Similarity between results, and whether one is a near-duplicate of the other.
    is_copy_of_query : callable (row) -> bool
    others : collection of Facts
        Of what else was asked about: where the query's work is left out, so are theirs.
    """
    known: dict[str, Facts] = {}
    caps = {name: getattr(question, f"max_per_{name}") for name in ("work", "performer", "album")}
    if question.versions == "collapse":
        caps["work"] = 1
    caps = {name: cap for name, cap in caps.items() if cap is not None}
    counts: Counter[tuple[str, str]] = Counter()
    shown: list[int] = []
    only = {name: getattr(question, f"{name}s") for name in FILTERS}  # a field of `Question` each, in the plural
    only = {name: wanted for name, wanted in only.items() if wanted}
    where: dict[str, set[str]] = {}
    for name, value in question.where:
        where.setdefault(name, set()).add(value.casefold())

    works = {facts.work for facts in (query, *others) if facts.work is not None}
    n_pool = max(POOL_AT_LEAST, POOL_PER_RESULT * question.k)

    def with_facts() -> Iterator[Candidate]:
        n = n_pool if question.diversity else question.k
        while portion := list(itertools.islice(ranked, n)):
            known.update(facts_of([candidate.track_id for candidate in portion]))
            yield from portion
            n = min(2 * n, MOST_AT_ONCE)

    def facts(candidate: Candidate) -> Facts:
        return known.get(candidate.track_id, UNKNOWN)

    def is_wanted(candidate: Candidate) -> bool:
        if any(getattr(facts(candidate), name) not in wanted for name, wanted in only.items()):
            return False
        if not all(facts(candidate).says(name, wanted) for name, wanted in where.items()):
            return False
        if not facts(candidate).heard_as.issuperset(question.heard_as):
            return False
        values = facts(candidate).values
        if not all(each.lets_in(values.get(each.target, math.nan)) for each in question.between):
            return False
        if question.duplicates == "exclude" and is_copy_of_query(candidate.row):
            return False
        return question.versions != "exclude" or facts(candidate).work not in works

    def is_allowed(candidate: Candidate) -> bool:
        for name, cap in caps.items():
            value = getattr(facts(candidate), name)
            if value is not None and counts[name, value] >= cap:
                return False
        return question.duplicates != "collapse" or not shown or not is_copy(candidate.row, shown).any()

    def take(candidate: Candidate) -> Candidate:
        for name in caps:
            counts[name, getattr(facts(candidate), name)] += 1
        shown.append(candidate.row)
        return candidate

    goes_by_facts = bool(caps or only or where or question.heard_as or question.between)
    goes_by_facts |= question.versions == "exclude" and bool(works)
    wanted = filter(is_wanted, with_facts() if goes_by_facts else ranked)
    if question.diversity == 0:
        # takes each before the next is judged
        return list(itertools.islice((take(candidate) for candidate in wanted if is_allowed(candidate)), question.k))

    pool = list(itertools.islice(wanted, n_pool))
    nearest_shown = np.full(len(pool), -np.inf)  # to each candidate
    chosen: list[Candidate] = []
    is_left = np.ones(len(pool), bool)
    scores = np.array([candidate.score for candidate in pool])
    while len(chosen) < question.k and is_left.any():
        merit = (1 - question.diversity) * scores
        if chosen:
            merit = merit - question.diversity * nearest_shown
        best = int(np.where(is_left, merit, -np.inf).argmax())
        is_left[best] = False
        if is_allowed(pool[best]):
            chosen.append(take(pool[best]))
            nearest_shown = np.maximum(nearest_shown, similarities(pool[best].row, [c.row for c in pool]))
    return chosen
