"""Remembered: never stale, and never larger than it may be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from mess_core.storage import remembered as module
from mess_core.storage.remembered import bytes_of


@dataclass(frozen=True, eq=False)
class Shelf:
    points: np.ndarray
    names: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Profile:
    shelf: Shelf
    scores: np.ndarray


@pytest.fixture
def remembered(home):
    return home.database.remembered


def made(n_bytes: int):
    return lambda: np.zeros(n_bytes, np.uint8)


def test_what_was_asked_for_longest_ago_is_forgotten_first(remembered, monkeypatch):
    monkeypatch.setattr(module, "MOST_BYTES", remembered.n_bytes + 3500)
    for key in "abc":
        remembered.made_of(key, 0, made(1000))
    assert remembered.made_of("a", 0, made(1)).size == 1000
    remembered.made_of("d", 0, made(1000))
    assert [remembered.made_of(key, 0, made(1)).size for key in "acdb"] == [1000, 1000, 1000, 1]


def test_the_latest_is_kept_however_large_it_is(remembered, monkeypatch):
    monkeypatch.setattr(module, "MOST_BYTES", 10)
    remembered.made_of("a", 0, made(1000))
    assert remembered.made_of("a", 0, made(1)).size == 1000


def test_what_is_made_of_something_else_is_made_again(remembered):
    remembered.made_of("a", (1, "x"), made(5))
    before = remembered.n_bytes
    assert remembered.made_of("a", (1, "y"), made(7)).size == 7
    assert remembered.n_bytes - before == 2, "the old one is not counted any more"


def test_arrays_count_once_whatever_looks_at_them():
    array = np.zeros((1000, 10))
    views = [array[:500], array.T, array.reshape(-1)]
    assert array.nbytes <= bytes_of(views) <= array.nbytes + 2000


def test_what_something_is_made_of_belongs_to_others(remembered):
    shelf = Shelf(np.zeros(100_000), tuple(f"recording {number}" for number in range(10_000)))
    before = remembered.n_bytes
    remembered.made_of("profile", (shelf, 1), lambda: Profile(shelf, np.zeros(100)))
    assert 800 <= remembered.n_bytes - before <= 3000


def test_long_sequences_are_told_by_a_sample():
    names = tuple(f"recording {number:06}" for number in range(10_000))
    exact = sum(each.__sizeof__() for each in names)
    assert bytes_of(names) == pytest.approx(exact + names.__sizeof__(), rel=0.02)
    by_name = {name: number for number, name in enumerate(names)}
    assert bytes_of(by_name) == pytest.approx(exact + by_name.__sizeof__() + 28 * len(names), rel=0.02)
