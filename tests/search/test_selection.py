"""Selection: caps, copies, versions and diversity, against the same done by hand."""

import numpy as np
import pytest

from mess_core.catalogue.catalogue import FILTERS
from mess_core.search.question import Question
from mess_core.search.selection import Candidate, Facts, select

N = 30


class Library:
    """Thirty ranked tracks with facts, and what select may ask of them. `consumed` counts what it took."""

    def __init__(self, facts=None, copies=(), copies_of_query=(), seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        points = rng.standard_normal((N, 3))
        self.pairs = -((points[:, None] - points[None]) ** 2).sum(axis=-1)
        scores = np.sort(-rng.uniform(0, 4, N))[::-1]
        self.candidates = [Candidate(row, f"t{row:02d}", float(scores[row]), -9.0) for row in range(N)]
        self.facts = facts or {}
        self.copies = [set(own) for own in copies]
        self.copies_of_query = set(copies_of_query)
        self.consumed = 0
        self.asked: list[int] = []  # how many facts at a time

    def ranked(self):
        for candidate in self.candidates:
            self.consumed += 1
            yield candidate

    def facts_of(self, track_ids: list[str]) -> dict[str, Facts]:
        self.asked.append(len(track_ids))
        return {track_id: self.facts[int(track_id[1:])] for track_id in track_ids if int(track_id[1:]) in self.facts}

    def is_copy(self, row: int, rows: list[int]) -> np.ndarray:
        return np.array([any({row, other} <= own for own in self.copies) for other in rows])

    def select(self, query: Facts | None = None, **asked) -> list[int]:
        chosen = select(
            self.ranked(),
            Question(**asked),
            query or Facts(),
            self.facts_of,
            lambda row, rows: self.pairs[row, rows],
            self.is_copy,
            lambda row: row in self.copies_of_query,
        )
        assert all(candidate is self.candidates[candidate.row] for candidate in chosen), "given on as they came"
        assert len({candidate.row for candidate in chosen}) == len(chosen), "nothing is repeated"
        return [candidate.row for candidate in chosen]


def works(*names: str | None) -> dict[int, Facts]:
    return {row: Facts(work=name) for row, name in enumerate(names)}


def test_plainly_it_is_the_ranking():
    assert Library().select(k=5) == [0, 1, 2, 3, 4]
    assert Library().select(k=99) == list(range(N))


@pytest.mark.parametrize("name", ["work", "performer", "album"])
@pytest.mark.parametrize("cap", [1, 2, 3])
def test_caps_pass_over_what_is_too_many(name, cap):
    """The best of each stay, in their order; the unknown are never too many."""
    facts = {row: Facts(**{name: (None, "a", "b")[row % 3]}) for row in range(N)}
    found = Library(facts).select(k=N, **{f"max_per_{name}": cap})
    expected = [row for row in range(N) if row % 3 == 0 or row < 3 * cap]
    assert found == expected
    assert Library(facts).select(k=4, **{f"max_per_{name}": cap}) == expected[:4]


@pytest.mark.parametrize("name", FILTERS)
def test_only_what_was_asked_for_is_shown(name):
    """The unknown is none of them; two wanted are either."""
    facts = {row: Facts(**{name: (None, "a", "b", "c")[row % 4]}) for row in range(N)}
    assert Library(facts).select(k=3, **{f"{name}s": ("b",)}) == [2, 6, 10]
    assert Library(facts).select(k=4, **{f"{name}s": ("a", "c")}) == [1, 3, 5, 7]
    assert Library(facts).select(k=4, **{f"{name}s": ("nobody",)}) == []


def test_caps_hold_together_and_each_for_its_own_kind():
    """A work and a performer of one name are two things."""
    facts = {0: Facts("x", "p"), 1: Facts("y", "x"), 2: Facts("x", "q"), 3: Facts("z", "p"), 4: Facts("z", "q")}
    assert Library(facts).select(k=4, max_per_work=1, max_per_performer=1) == [0, 1, 4, 5]


def test_versions_are_kept_shown_once_or_left_out():
    facts = works("own", "other", "own", "other", None, None, "third", "own")
    query = Facts(work="own")
    assert Library(facts).select(query, k=6) == [0, 1, 2, 3, 4, 5]
    assert Library(facts).select(query, k=6, versions="collapse") == [0, 1, 4, 5, 6, 8]
    assert Library(facts).select(query, k=6, versions="exclude") == [1, 3, 4, 5, 6, 8]
    assert Library(facts).select(query, k=6, versions="exclude", max_per_work=1) == [1, 4, 5, 6, 8, 9]


def test_an_unknown_work_is_never_the_same():
    """Neither as that of the query nor as that of another track."""
    facts = works(None, "own", None)
    for versions in ("keep", "collapse", "exclude"):
        assert Library(facts).select(Facts(), k=4, versions=versions) == [0, 1, 2, 3]


def test_collapsing_versions_is_the_stricter_of_two_caps():
    facts = works("a", "a", "a", "b")
    assert Library(facts).select(k=3, max_per_work=2) == [0, 1, 3]
    assert Library(facts).select(k=3, max_per_work=2, versions="collapse") == [0, 3, 4]


def test_duplicates_are_kept_shown_once_or_left_out():
    def library() -> Library:
        return Library(copies=[{0, 2, 5}, {1, 3}], copies_of_query={0, 2, 5})

    assert library().select(k=5) == [0, 1, 2, 3, 4]
    assert library().select(k=5, duplicates="collapse") == [0, 1, 4, 6, 7]
    excluded = library().select(k=5, duplicates="exclude")
    assert not {0, 2, 5} & set(excluded) and excluded[0] == 1 and len(excluded) == 5


def test_a_copy_of_what_was_passed_over_is_shown():
    """Row 1 is not shown because of its work; its copy, row 2, of another work, may be."""
    library = Library(works("a", "a", "b"), copies=[{1, 2}])
    assert library.select(k=2, max_per_work=1, duplicates="collapse") == [0, 2]


def by_hand(library: Library, k: int, diversity: float, rows: list[int], cap=None) -> list[int]:
    """Maximal marginal relevance, one candidate and one result at a time."""
    chosen: list[int] = []
    left = list(rows)
    while left and len(chosen) < k:
        merits = {}
        for row in left:
            merits[row] = (1 - diversity) * library.candidates[row].score
            if chosen:
                merits[row] -= diversity * max(library.pairs[row, other] for other in chosen)
        best = max(left, key=lambda row: merits[row])
        left.remove(best)
        work = library.facts.get(best, Facts()).work
        if cap and sum(library.facts.get(row, Facts()).work == work for row in chosen) >= cap:
            continue
        chosen.append(best)
    return chosen


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("diversity", [0.1, 0.5, 0.9, 1.0])
def test_diversity_is_greedy_maximal_marginal_relevance(diversity, seed):
    library = Library(seed=seed)
    found = library.select(k=12, diversity=diversity)
    assert found == by_hand(library, 12, diversity, list(range(N)))
    assert found[0] == 0, "the best is first"
    assert diversity < 0.5 or found != list(range(12))


def test_diversity_works_with_caps_and_exclusions():
    """What may not be shown pushes nothing away."""
    facts = {row: Facts(work="abc"[row % 3]) for row in range(N)}
    library = Library(facts)
    assert library.select(k=6, diversity=0.6, max_per_work=2) == by_hand(library, 6, 0.6, list(range(N)), cap=2)
    assert len(library.select(k=20, diversity=0.6, max_per_work=2)) == 6
    rows = [row for row in range(N) if row % 3]
    assert library.select(Facts("a"), k=6, diversity=0.6, versions="exclude") == by_hand(library, 6, 0.6, rows)


def test_a_little_diversity_is_nearly_none():
    assert Library().select(k=10, diversity=1e-9) == Library().select(k=10, diversity=0)


def test_a_copy_is_the_last_that_diversity_would_choose():
    library = Library()
    library.pairs[:] = -1.0
    library.pairs[0, 1] = library.pairs[1, 0] = 0.0
    library.candidates[2:] = [Candidate(row, f"t{row:02d}", -1.0, -9.0) for row in range(2, N)]
    assert library.select(k=5, diversity=0.9) == [0, 2, 3, 4, 5]
    assert library.select(k=N, diversity=0.9)[-1] == 1


def test_no_more_is_looked_at_than_needed():
    """The candidates are expensive: each portion is a search."""
    library = Library(works("a", "a", "b", "b"))
    library.select(k=3)
    assert library.consumed == 3
    assert library.asked == []
    library.consumed = 0
    assert library.select(k=2, max_per_work=1) == [0, 2] and library.consumed == 6
    assert library.asked == [2, 4], "facts are asked for in portions, not one by one"
    library.candidates = [Candidate(row % N, f"t{row:05d}", -float(row), 0.0) for row in range(1000)]
    library.consumed, library.facts = 0, {}
    select(library.ranked(), Question(k=5, diversity=0.5), Facts(), lambda _: {},
           lambda row, rows: library.pairs[row, rows], library.is_copy, lambda row: False)  # fmt: skip
    assert library.consumed == 100, "the pool among which diversity chooses"


def test_nothing_ranked_is_nothing_chosen():
    library = Library(copies_of_query=range(N))
    assert library.select(k=5, duplicates="exclude") == []
    assert library.select(k=5, duplicates="exclude", diversity=0.5) == []
