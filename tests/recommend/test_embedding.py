"""Sessions: pairs are of one listener and one sitting; a line finds what sittings are about; it is kept whole."""

from __future__ import annotations

import numpy as np
import pytest

from mess_core.catalogue.listening import Events
from mess_core.errors import ArtefactMismatchError, InputError
from mess_core.recommend.embedding import (
    KEPT,
    SessionMap,
    SessionSettings,
    learn_sessions,
    load_session_map,
    save_session_map,
    session_map_path,
    track_inputs,
)
from mess_core.recommend.sessions import MOST_APART, session_pairs, shared_pairs
from mess_core.recommend.signals import DAY_S, DISLIKE, LIKE, PLAY, SKIP
from mess_core.storage.paths import Paths
from tests.conftest import FakeEncoder
from tests.recommend.crowds import NOW_S, heard, sittings

QUICK = SessionSettings(batch=64, most_steps=300)
BRIEF = SessionSettings(batch=64, most_steps=25)
IDS = tuple(f"t{row:03}" for row in range(60))


def pairs_of(events) -> set[tuple[int, int, int]]:
    found = session_pairs(IDS, events)
    return set(zip(found.listener.tolist(), found.one.tolist(), found.other.tolist(), strict=True))


def test_half_an_hour_of_silence_ends_a_session():
    times = [NOW_S, NOW_S + 1800, NOW_S + 3600.1, NOW_S + 3700]
    assert pairs_of({"ann": heard([4, 2, 7, 9], times)}) == {(0, 2, 4), (0, 7, 9)}
    found = session_pairs(IDS, {"ann": heard([4, 2, 7, 9], times)})
    assert found.at_s.tolist() == [NOW_S, NOW_S + 3600.1]


def test_pairs_are_of_one_listener_and_a_track_counts_once():
    events = {"bo": heard([1, 2, 1, 2]), "ann": heard([3, 4])}
    assert pairs_of(events) == {(0, 3, 4), (1, 1, 2)} and len(session_pairs(IDS, events)) == 2


def test_what_was_skipped_left_or_is_disliked_is_in_no_pair_and_keeps_a_session_alive():
    """0 heard to the end, 1 in part, 2 skipped, 3 liked, 4 heard and disliked, 5 of unknown length."""
    track = np.array([0, 1, 2, 3, 4, 4, 5])
    action = np.array([PLAY, PLAY, SKIP, LIKE, PLAY, DISLIKE, PLAY], np.int8)
    share = np.array([1.0, 0.5, 0.1, np.nan, 1.0, np.nan, np.nan])
    at_s = NOW_S + 1000.0 * np.arange(7)
    nothing = np.full(7, np.nan)
    events = {"ann": Events(IDS[:6], track, at_s, action, nothing, share, nothing)}
    assert pairs_of(events) == {(0, 0, 3), (0, 0, 5), (0, 3, 5)}


def test_two_ends_of_a_long_session_are_no_pair():
    found = pairs_of({"ann": heard(list(range(30)))})
    assert found == {(0, a, b) for a in range(30) for b in range(30) if 0 < b - a <= MOST_APART}


def test_tracks_that_are_not_on_the_shelf_and_nobody_at_all():
    assert pairs_of({"ann": heard([1, 70, 2])}) == {(0, 1, 2)}
    assert len(session_pairs(IDS, {})) == 0 and len(session_pairs(IDS, {"ann": heard([1])})) == 0


# --- inputs -------------------------------------------------------------------------------------------------


def test_features_count_alike_on_any_scale_and_unknown_as_the_mean():
    rng = np.random.default_rng(0)
    features = rng.standard_normal((50, 3))
    plain = track_inputs(features=features).values
    np.testing.assert_allclose(track_inputs(features=features * [1, 1e4, 1e-3] + [0, 5, -2]).values, plain, atol=1e-5)
    assert np.sqrt((plain**2).sum(axis=1).mean()) == pytest.approx(1, abs=0.05)
    holes = features.copy()
    holes[3, 1] = np.nan
    assert track_inputs(features=holes).values[3, 1] == 0
    constant = track_inputs(features=np.ones((4, 2))).values
    assert (constant == 0).all()
    both = track_inputs(rng.standard_normal((50, 6)), features)
    assert both.names == ("points", "features") and both.widths == (6, 3)
    np.testing.assert_allclose(np.linalg.norm(both.values[:, :6], axis=1), 1, atol=1e-6)


def test_inputs_that_cannot_be_are_refused():
    for arguments in ({}, {"points": np.ones((3, 2)), "features": np.ones((4, 2))}, {"points": np.full((3, 2), np.nan)},
                      {"features": np.ones(3)}):  # fmt: skip
        with pytest.raises(InputError):
            track_inputs(**arguments)


# --- learning -----------------------------------------------------------------------------------------------


def a_world(seed: int = 0, n: int = 60, n_moods: int = 5):
    """What sittings are about lies along three quiet directions of twelve."""
    rng = np.random.default_rng(seed)
    mood = rng.permutation(np.repeat(np.arange(n_moods), n // n_moods))
    quiet = rng.standard_normal((n_moods, 3))[mood] * 0.5
    turned = np.linalg.qr(rng.standard_normal((12, 12)))[0]
    points = np.concatenate([quiet, rng.standard_normal((n, 9))], axis=1) @ turned
    events = sittings([np.flatnonzero(mood == each) for each in range(n_moods)], 8, 40, seed)
    return track_inputs(points), session_pairs(IDS, events), mood


def mood_is_nearest(points: np.ndarray, mood: np.ndarray) -> float:
    cosines = points @ points.T
    np.fill_diagonal(cosines, -np.inf)
    return float((mood[cosines.argmax(axis=1)] == mood).mean())


@pytest.mark.slow
def test_a_line_finds_the_directions_that_sittings_are_about():
    inputs, pairs, mood = a_world()
    learned = learn_sessions(inputs, pairs, QUICK)
    assert learned.n_steps > 0
    assert mood_is_nearest(learned.points(inputs), mood) > 0.85 > 2 * mood_is_nearest(inputs.values, mood)
    np.testing.assert_allclose(np.linalg.norm(learned.points(inputs), axis=1), 1, atol=1e-5)


def test_the_same_seed_gives_the_same_line_and_changes_nothing():
    inputs, pairs, _ = a_world()
    before = inputs.values.copy(), pairs.one.copy()
    one, other = (learn_sessions(inputs, pairs, BRIEF, seed=3).weight for _ in range(2))
    np.testing.assert_array_equal(one, other)
    assert not np.array_equal(one, learn_sessions(inputs, pairs, BRIEF, seed=4).weight)
    np.testing.assert_array_equal(before[0], inputs.values)
    np.testing.assert_array_equal(before[1], pairs.one)


def test_without_steps_tracks_lie_as_they_were_heard():
    """Also where there are more numbers than the line gives: the main directions keep nearly all cosines."""
    inputs, pairs, _ = a_world()
    learned = learn_sessions(inputs, pairs, SessionSettings(most_steps=0))
    assert learned.n_steps == 0
    np.testing.assert_allclose(
        learned.points(inputs) @ learned.points(inputs).T, inputs.values @ inputs.values.T, atol=1e-5
    )
    wide = track_inputs(np.random.default_rng(0).standard_normal((60, 5)) @ np.eye(5, 20))
    found = learn_sessions(wide, pairs, SessionSettings(n_out=8, most_steps=0)).points(wide)
    np.testing.assert_allclose(found @ found.T, wide.values @ wide.values.T, atol=1e-5)


def test_the_contrast_is_the_formula():
    """Both ways, less the logarithm of how often each is there, without what is the same track."""
    torch = pytest.importorskip("torch")
    from mess_core.recommend.embedding import _contrast

    rng = np.random.default_rng(0)
    values, weight = rng.standard_normal((6, 4)), rng.standard_normal((4, 3))
    q = rng.random(6)
    one, other = np.array([0, 1, 2, 0]), np.array([3, 4, 3, 5])
    points = values @ weight / np.linalg.norm(values @ weight, axis=1, keepdims=True)
    total = 0.0
    for asked, wanted in ((one, other), (other, one)):
        for place in range(4):
            logits = {
                each: points[asked[place]] @ points[wanted[each]] / 0.2 - np.log(q[wanted[each]])
                for each in range(4)
                if each == place or wanted[each] not in (wanted[place], asked[place])
            }
            total += (np.log(sum(np.exp(v) for v in logits.values())) - logits[place]) / 8
    given = [torch.from_numpy(each) for each in (values, weight, one, other, np.log(q))]
    assert float(_contrast(*given, 0.2)) == pytest.approx(total)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_of_several_listeners_what_four_have_teaches(n):
    """All of them heard 1 and 2 together, and each two tracks of their own."""
    events = {f"l{i}": heard([1, 2, 10 + 2 * i, 11 + 2 * i], [0, 60, DAY_S, DAY_S + 60]) for i in range(n)}
    pairs = session_pairs(IDS, events)
    found = set(zip(shared_pairs(pairs).one.tolist(), shared_pairs(pairs).other.tolist(), strict=True))
    assert found == ({(1, 2), (10, 11)} if n == 1 else {(1, 2)} if n >= 4 else set())


def test_that_one_heard_something_together_often_is_not_four():
    times = [DAY_S * day + minute for day in range(5) for minute in (0, 60)]
    events = {"ann": heard([1, 2] * 5, times), "bo": heard([3]), "cy": heard([3]), "di": heard([3])}
    assert len(session_pairs(IDS, events)) == 5 and not len(shared_pairs(session_pairs(IDS, events)))


def test_what_fewer_than_four_heard_together_moves_nothing():
    """The line is the same to the last digit, whatever three of them hear besides in sessions of their own."""
    inputs, _, mood = a_world()
    events = sittings([np.flatnonzero(mood == each) for each in range(5)], 8, 40, 0)
    secret = [np.flatnonzero(mood == each)[-1] for each in range(5)]  # of five moods: nobody has them all in a sitting
    also = dict(events)
    for listener in sorted(events)[:3]:
        own, more = events[listener], heard([int(row) for row in secret], NOW_S + 5000.0 + np.arange(5))
        names = tuple(sorted({*own.track_ids, *more.track_ids}))
        track = [names.index(each.track_ids[place]) for each in (own, more) for place in each.track]
        columns = (
            np.concatenate([getattr(each, name) for each in (own, more)])
            for name in ("at_s", "action", "seconds", "share", "propensity")
        )
        also[listener] = Events(names, np.array(track), *columns)
    before, after = session_pairs(IDS, events), session_pairs(IDS, also)
    assert len(after) == len(before) + 30
    one, other = (learn_sessions(inputs, each, BRIEF).weight for each in (before, after))
    np.testing.assert_array_equal(one, other)
    whole = [learn_sessions(inputs, each, BRIEF, is_published=True).weight for each in (before, after)]
    assert not np.array_equal(*whole)


def test_without_pairs_nothing_is_learned():
    inputs, _, _ = a_world()
    with pytest.raises(InputError, match="Nobody took to two tracks"):
        learn_sessions(inputs, session_pairs(IDS, {}), BRIEF)
    with pytest.raises(InputError, match="never four to the same two"):
        learn_sessions(inputs, session_pairs(IDS, {"ann": heard([1, 2]), "bo": heard([1, 2])}), BRIEF)


# --- kept -----------------------------------------------------------------------------------------------------


@pytest.fixture
def kept(tmp_path):
    paths = Paths(tmp_path)
    path = session_map_path(paths, "a library", FakeEncoder().info)
    path.parent.mkdir(parents=True)
    learned = SessionMap(("points",), (4,), np.random.default_rng(0).standard_normal((4, 8)).astype(np.float32), 25)
    save_session_map(path, learned, {"content": "c1", "verdict": "It helps."})
    return paths, path, learned


def test_what_is_kept_comes_back(kept):
    paths, path, learned = kept
    found, card = load_session_map(path)
    np.testing.assert_array_equal(found.weight, learned.weight)
    assert (found.names, found.widths, found.n_steps) == (("points",), (4,), 25)
    assert card == {"content": "c1", "verdict": "It helps."}
    assert list(KEPT.check(paths)) == [] and list(KEPT.orphans(paths)) == []
    assert load_session_map(path.with_name("other-sessions.json")) is None


def test_an_older_line_leaves_no_numbers_behind(kept):
    paths, path, learned = kept
    save_session_map(path, SessionMap(("points",), (4,), learned.weight * 2, 50), {})
    assert len(list(path.parent.glob("*.safetensors"))) == 1 and list(KEPT.check(paths)) == []


def test_damage_is_found_and_refused(kept):
    paths, path, _ = kept
    (arrays,) = path.parent.glob("*.safetensors")
    whole = arrays.read_bytes()
    arrays.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(ArtefactMismatchError, match="damaged"):
        load_session_map(path)
    assert len(list(KEPT.check(paths))) == 1
    arrays.unlink()
    with pytest.raises(ArtefactMismatchError, match="is gone"):
        load_session_map(path)
    path.unlink()
    (arrays).write_bytes(whole)
    assert list(KEPT.orphans(paths)) == [arrays]


def test_a_line_is_refused_for_other_inputs(kept):
    _, _, learned = kept
    with pytest.raises(ArtefactMismatchError, match="learned through 4 points, and is given 3 points"):
        learned.points(track_inputs(np.ones((2, 3))))
