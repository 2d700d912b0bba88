"""What a player reports is kept: how long, how much of the track, and where."""

from __future__ import annotations

import pytest

from mess_core.config import MAX_DURATION_S
from pages.shared.widgets.player import player as module
from pages.shared.widgets.player.player import PlayerReport, Shown, keep_heard


@pytest.fixture
def state(monkeypatch) -> dict:
    """What the session keeps, without a page."""
    state: dict = {}
    monkeypatch.setattr(module.st, "session_state", state)
    return state


def report(**heard: float) -> PlayerReport:
    return PlayerReport(0.0, "any", 0, heard)


def kept(home) -> list[tuple]:
    names = ("track_id", "query_track_id", "seconds", "share", "is_skip", "section", "rank", "propensity")
    return sorted(tuple(entry[name] for name in names) for entry in home.opinions.export())


def test_a_report_is_kept_with_its_share_and_a_short_one_is_no_skip(home, library, state):
    first, second = sorted(library[:2])
    length = home.catalogue.track(first).duration_s
    keep_heard(report(**{first: length / 4, second: 0.6}), "player", second)
    keep_heard(report(**{first: length / 2, second: 0.7}), "player", second)
    short_share = pytest.approx(0.6 / home.catalogue.track(second).duration_s)
    assert kept(home) == sorted([
        (first, second, pytest.approx(length / 2), pytest.approx(0.5), False, None, None, None),
        (second, second, 0.6, short_share, False, None, None, None),
    ])  # fmt: skip
    assert home.opinions.events().action.tolist() == [0, 0]


def test_a_recommended_track_says_so(home, library, state):
    track = library[0]
    keep_heard(report(**{track: 1.0}), "player", shown={track: Shown("new here", 3, 0.25)})
    assert [row[5:] for row in kept(home)] == [("new here", 3, 0.25)]


def test_a_loop_of_days_and_what_is_no_track_break_nothing(home, library, state):
    keep_heard(report(**{library[0]: 3e5, "nonsense": 10.0, "": 10.0}), "player")
    assert kept(home) == [(library[0], None, MAX_DURATION_S, 1.0, False, None, None, None)]
    keep_heard(None, "player")
    assert len(kept(home)) == 1
