"""Interests are named by what their tracks have in common and the library has not."""

from __future__ import annotations

import pytest

from mess_core.recommend.naming import COMMON_FROM, KINDS, MOST_NAMED, TELLING_FROM, name_of_interest, shares_of

LIBRARY = [
    {"work": [f"work {n // 2}"], "composer": ["Bach"], "instrument": ["organ" if n < 4 else "flute"]}
    for n in range(20)
]  # fmt: skip


def named(rows: list[int], weights: list[float] | None = None, library=LIBRARY) -> str:
    weights = [1.0] * len(rows) if weights is None else weights
    return name_of_interest([library[row] for row in rows], weights, shares_of(library))


def test_what_all_of_the_library_has_names_nothing():
    assert "Bach" not in named([0, 1, 2, 3]) and named(list(range(20))) == ""


def test_what_tells_most_comes_by_kind_and_not_by_how_much_it_tells():
    assert named([0, 1]) == "work 0 · organ"


def test_a_fact_that_many_have_not_names_nothing():
    """Half are of one work, half of another: neither is what all of them are."""
    assert named([0, 1, 2, 3]) == "organ"
    rows = [0, *range(4, 20, 2)]
    assert 1 / len(rows) < COMMON_FROM and "organ" not in named(rows)


def test_weights_count_and_not_how_many():
    rows = [0, 1, 4, 6, 8, 10]
    assert named(rows) != named(rows, [10, 10, 0.1, 0.1, 0.1, 0.1]) == "work 0 · organ"


def test_what_is_common_in_the_library_must_be_more_so_here():
    """Four fifths are flutes: that all of an interest are is a fifth more, too little to tell."""
    shares = shares_of(LIBRARY)
    assert 1 - shares["instrument", "flute"] < TELLING_FROM and "flute" not in named(list(range(4, 20)))


def test_a_name_says_no_word_twice_and_no_more_than_two():
    library = [{kind: ["same"] for kind in KINDS}, *({kind: ["other"] for kind in KINDS} for _ in range(9))]
    assert named([0], library=library) == "same"
    library = [{kind: [kind.upper()] for kind in KINDS}, *({"work": ["other"]} for _ in range(9))]
    assert named([0], library=library).count(" · ") == MOST_NAMED - 1


def test_of_no_names_there_is_no_name():
    assert named([0, 1], library=[{}] * 5) == "" and name_of_interest([], [], {}) == ""


def test_a_tag_counts_once_of_a_track():
    shares = shares_of([{"heard as": ["piano", "piano"]}, {"heard as": ["flute"]}])
    assert shares == {("heard as", "piano"): pytest.approx(0.5), ("heard as", "flute"): pytest.approx(0.5)}
    assert shares_of([]) == {}
