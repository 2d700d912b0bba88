"""The trial of sessions: kept where sittings are about what can be heard, refused where they are about nothing."""

from __future__ import annotations

import functools
import json

import numpy as np
import pytest

from mess_core.errors import InputError
from mess_core.evaluation.session_trial import (
    BOTH,
    CHANCE,
    EXCHANGED,
    FEATURES,
    LEARNED,
    POINTS,
    SessionFigure,
    SessionTrial,
    keep_sessions,
)
from mess_core.evaluation.session_trial import try_sessions as try_all
from mess_core.recommend.embedding import SessionMap, SessionSettings, kept_sessions
from mess_core.recommend.signals import DAY_S
from mess_core.workspace.scope import Scope
from tests.planted import TWO_LAYERS, a_track, plant_embeddings, plant_tracks
from tests.recommend.crowds import NOW_S, a_shelf, heard, sittings

N, N_MOODS = 200, 8
BRIEF = SessionSettings(batch=64, most_steps=25)
try_sessions = functools.partial(try_all, settings=SessionSettings(batch=64, most_steps=300))


def a_world(seed: int, loudness: float = 1.0, is_about_nothing: bool = False, n_listeners: int = 16):
    """What sittings are about lies along six directions; eighteen others are as loud as given."""
    rng = np.random.default_rng(seed)
    mood = rng.permutation(np.arange(N) % N_MOODS)
    about = rng.standard_normal((N_MOODS, 6))[mood] * 0.5 + (0.01 + 0.15 * loudness) * rng.standard_normal((N, 6))
    points = np.concatenate([about, loudness * rng.standard_normal((N, 18))], axis=1)
    moods = [np.flatnonzero(mood == each) for each in range(N_MOODS)]
    if is_about_nothing:
        moods = [rng.permutation(N)[: N // N_MOODS] for _ in range(N_MOODS)]
    turned = np.linalg.qr(rng.standard_normal((24, 24)))[0]
    return a_shelf(points @ turned), sittings(moods, n_listeners, 45, seed), about


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_what_sittings_are_about_is_learned_and_kept(seed):
    shelf, events, _ = a_world(seed)
    trial = try_sessions(shelf, events, seed=seed)
    assert trial.kept is trial.learned and trial.not_beaten == ()
    figures = {each.way: each for each in trial.figures}
    assert list(figures) == [LEARNED, POINTS, EXCHANGED, CHANCE]
    assert figures[LEARNED].value > 2 * figures[POINTS].value and figures[POINTS].gain_low > 0
    assert "helps" in trial.verdict


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_where_points_say_all_they_are_kept(seed):
    shelf, events, _ = a_world(seed, loudness=0.0)
    trial = try_sessions(shelf, events, seed=seed)
    assert trial.kept is None and POINTS in trial.not_beaten
    assert "not better than points" in trial.verdict and "Not kept." in trial.verdict


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_sittings_about_nothing_teach_nothing(seed):
    """Some tracks are heard oftener, and even exchanged tracks can say which."""
    shelf, events, _ = a_world(seed, is_about_nothing=True)
    assert try_sessions(shelf, events, seed=seed).kept is None


@pytest.mark.slow
def test_features_are_a_way_of_their_own_and_must_be_beaten():
    """Features that are all that sittings are about: a line through both is not surely better than they are."""
    shelf, events, about = a_world(0)
    trial = try_sessions(shelf, events, about)
    figures = {each.way: each for each in trial.figures}
    assert set(figures) == {LEARNED, POINTS, FEATURES, BOTH, EXCHANGED, CHANCE}
    assert figures[FEATURES].value > 2 * figures[POINTS].value and figures[LEARNED].value > figures[POINTS].value
    assert trial.learned.names == ("points", "features") and trial.learned.widths == (24, 6)


def test_of_few_listeners_nothing_can_be_said():
    shelf, events, _ = a_world(0, n_listeners=4)
    trial = try_all(shelf, events, settings=BRIEF)
    assert trial.kept is None and "cannot be said of 4 listeners" in trial.verdict


def test_what_was_together_before_is_not_asked_again():
    """The same two tracks in every sitting: nothing is left to ask."""
    times = [NOW_S - day * DAY_S + minute for day in (20, 10, 1) for minute in (0, 240)]
    events = {f"l{i}": heard([1, 2] * 3, times) for i in range(6)}
    with pytest.raises(InputError, match="nobody took to two tracks"):
        try_sessions(a_shelf(np.random.default_rng(0).standard_normal((9, 4))), events)


@pytest.mark.slow
def test_the_week_that_is_held_back_is_not_learned_from():
    """Whatever is heard in it: the line is the same to the last digit."""
    shelf, events, _ = a_world(0)
    begun_s = max(float(each.at_s[-1]) for each in events.values()) - 7 * DAY_S
    other = {}
    for listener, own in events.items():
        track = own.track.copy()
        is_late = own.at_s >= begun_s + 3600  # no session that began before lasts as long
        track[is_late] = np.roll(own.track, 40)[is_late]
        other[listener] = type(own)(own.track_ids, track, own.at_s, own.action, own.seconds, own.share, own.propensity)
    one, two = (try_sessions(shelf, each) for each in (events, other))
    np.testing.assert_array_equal(one.learned.weight, two.learned.weight)
    assert one.n_pairs == two.n_pairs and one.figures[1].value != two.figures[1].value


def test_the_document_is_strict_json():
    shelf, events, _ = a_world(0, n_listeners=6)
    document = json.loads(json.dumps(try_all(shelf, events, settings=BRIEF).as_document(), allow_nan=False))
    assert document.keys() >= {"figures", "verdict", "is_kept", "n_pairs"} and document["n_listeners"] == 6


def test_what_helps_is_kept_for_this_library_and_what_does_not_is_taken_away(home):
    plant_tracks(home, [a_track(number) for number in range(4)])
    ids = home.catalogue.track_ids("planted")
    plant_embeddings(home, TWO_LAYERS, {each: np.eye(2, 6) + row for row, each in enumerate(ids[:3])})
    scope = Scope(home, "planted", TWO_LAYERS)
    assert kept_sessions(scope) is None
    learned = SessionMap(("points",), (2,), np.ones((2, 3), np.float32), 25)
    better = (SessionFigure("learned", 0.5, 0.4, 0.6), SessionFigure("points", 0.2, 0.1, 0.3, 0.3, 0.2, 0.4))
    worse = (better[0], SessionFigure("points", 0.5, 0.4, 0.6, 0.0, -0.1, 0.1))
    assert keep_sessions(scope, SessionTrial(10, better, 9, 90, 900, learned))
    np.testing.assert_array_equal(kept_sessions(scope).weight, learned.weight)
    plant_embeddings(home, TWO_LAYERS, {ids[3]: np.eye(2, 6)})
    assert kept_sessions(Scope(home, "planted", TWO_LAYERS)) is None  # the library changed, and its points turned
    assert not keep_sessions(scope, SessionTrial(10, worse, 9, 90, 900, learned))
    assert not list(home.paths.learned.rglob("*sessions*"))
