"""Paths: planted on a line and on a circle; the best of all, by looking at all; what cannot be asked."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest

from mess_core.errors import InputError
from mess_core.handover.exports import as_m3u8, path_as_csv, path_document
from mess_core.search import paths
from mess_core.search.answers import build_index, make_plan, query_of
from mess_core.search.paths import TrackPath, check_length, find_path, question_of_path
from mess_core.search.question import Question
from mess_core.workspace.scope import Scope
from mess_core.workspace.workspace import Workspace
from tests.planted import TWO_LAYERS, a_track, plant_embeddings, plant_targets, plant_tracks

EVERY = 10  # degrees
OFFSET = 3.0  # a common part, as real embeddings have


def points_at(degrees: Sequence[float], radius: float = 1.0) -> list[np.ndarray]:
    """On a circle, in both layers."""
    return [radius * np.array([np.cos(a), np.sin(a), 0, 0, 0, 0]) for a in np.deg2rad(degrees)]


@pytest.fixture
def circle(home) -> tuple[Workspace, dict[str, int]]:
    """A recording every ten degrees, all the way round; by track id at how many degrees it is."""
    degrees = list(range(0, 360, EVERY))
    tracks = [a_track(each, performer="north" if each % 20 == 0 else "south") for each in degrees]
    plant_tracks(home, tracks)
    vectors = {t.track_id: np.tile(OFFSET + p, (2, 1)) for t, p in zip(tracks, points_at(degrees), strict=True)}
    plant_embeddings(home, TWO_LAYERS, vectors)
    return home, {track.track_id: each for track, each in zip(tracks, degrees, strict=True)}


def path_of(home: Workspace, named: Sequence[str], n: int, **asked: object) -> TrackPath:
    scope = Scope(home, "planted", TWO_LAYERS)
    plan = make_plan(scope, question_of_path(Question(**asked)), None)
    stops = [query_of(scope, home.catalogue.track(track_id)) for track_id in named]
    return find_path(build_index(plan), plan, stops, n)


def id_at(where: dict[str, int], degrees: int) -> str:
    return next(track_id for track_id, each in where.items() if each == degrees)


def degrees_of(path: TrackPath, where: dict[str, int]) -> list[int]:
    return [where[step.track.track_id] for step in path.steps]


@pytest.mark.parametrize(("end", "n", "expected"), [
    (90, 4, [0, 30, 60, 90]), (90, 10, list(range(0, 100, 10))), (120, 3, [0, 60, 120]), (60, 2, [0, 60]),
    (270, 4, [0, 330, 300, 270]),
])  # fmt: skip
def test_on_a_circle_it_goes_round_by_even_steps(circle, end, n, expected):
    """The shorter way, none left out and none twice, though the straight line between lies inside the circle."""
    home, where = circle
    path = path_of(home, [id_at(where, 0), id_at(where, end)], n)
    assert degrees_of(path, where) == expected
    assert [step.number for step in path.steps] == list(range(1, n + 1)) and path.notices == ()
    assert [step.is_stop for step in path.steps] == [True, *[False] * (n - 2), True]
    step_cosine = np.cos(np.deg2rad(abs(end if end < 180 else 360 - end) / (n - 1)))
    assert [step.similarity for step in path.steps[1:]] == pytest.approx([step_cosine] * (n - 1), abs=1e-3)
    assert path.steps[0].similarity is None


def test_by_way_of_another_it_takes_that_way(circle):
    """Half a turn either way is as far: what is named decides, and the steps are shared out evenly."""
    home, where = circle
    for via in (90, 270):
        path = path_of(home, [id_at(where, 0), id_at(where, via), id_at(where, 180)], 7)
        assert degrees_of(path, where) == [0, 30, 60, 90, 120, 150, 180][:: 1] if via == 90 else [
            0, 330, 300, 270, 240, 210, 180]  # fmt: skip
        assert sum(step.is_stop for step in path.steps) == 3
    uneven = path_of(home, [id_at(where, 0), id_at(where, 40), id_at(where, 160)], 5)
    assert degrees_of(uneven, where) == [0, 40, 80, 120, 160]


def test_on_a_line_of_measured_values_it_goes_from_one_end_to_the_other(home):
    """By brightness alone, whatever else there is: even steps on the scale of hearing."""
    tracks = [a_track(number) for number in range(33)]
    ids = plant_tracks(home, tracks)
    octaves = np.random.default_rng(1).permutation(33) / 8
    plant_targets(home, ids, {"spectral_centroid": 200 * 2**octaves})
    plant_embeddings(home, TWO_LAYERS, {each: np.random.default_rng(n).random((2, 6)) for n, each in enumerate(ids)})
    at = dict(zip(ids, octaves, strict=True))
    low, high = (min(at, key=at.get), max(at, key=at.get))
    path = path_of(home, [low, high], 5, aspects={"brightness": 1}, geometry="measured")
    assert [at[step.track.track_id] for step in path.steps] == [0, 1, 2, 3, 4]
    assert "Ranked by what was measured" in path_document(path)["basis"]


def test_only_those_that_are_wanted_are_on_it(circle):
    home, where = circle
    path = path_of(home, [id_at(where, 0), id_at(where, 100)], 4, performers=("north",))
    assert degrees_of(path, where) in ([0, 40, 60, 100], [0, 20, 60, 100], [0, 40, 80, 100])


@pytest.mark.parametrize("count", [0, 1, 2, 3])
@pytest.mark.parametrize("seed", range(5))
def test_the_best_of_all_ways_is_found(seed, count):
    """Seven points, all ways that go on: first the smallest largest step, then the least sum."""
    rng = np.random.default_rng(seed)
    n = 7
    steps = rng.integers(1, 6, (n, n)).astype(float)  # ties abound
    steps[np.tril_indices(n)] = np.inf
    ways = [(0, *between, n - 1) for between in itertools.combinations(range(1, n - 1), count)]

    def taken(way: Sequence[int]) -> list[float]:
        return [steps[pair] for pair in itertools.pairwise(way)]

    least = min(max(taken(way)) for way in ways)
    assert paths._largest_steps(steps, 5)[count] == least
    found = (0, *paths._least_sum(np.where(steps <= least, steps, np.inf), count), n - 1)
    assert max(taken(found)) == least and sum(taken(found)) == min(
        sum(taken(w)) for w in ways if max(taken(w)) <= least
    )


def test_lengths_are_shared_out_so_that_the_largest_step_is_smallest():
    rng = np.random.default_rng(0)
    for _ in range(20):
        sweeps = [np.sort(rng.random(7))[::-1] for _ in range(3)]
        shares, n_lacking = paths._shares(sweeps, 6)
        every = [each for each in itertools.product(range(7), repeat=3) if sum(each) == 6]
        best = min(max(sweep[count] for sweep, count in zip(sweeps, each, strict=True)) for each in every)
        assert n_lacking == 0 and sum(shares) == 6
        assert max(sweep[count] for sweep, count in zip(sweeps, shares, strict=True)) == best


def test_of_a_large_library_the_least_aside_of_every_stretch_are_looked_at():
    rng = np.random.default_rng(0)
    t, aside = rng.random(5000), rng.random(5000)
    kept = paths._looked_at(np.arange(5000), t, aside)
    assert len(kept) == paths.MOST_LOOKED_AT and aside[kept].max() < 0.2
    assert np.histogram(t[kept], 20, (0, 1))[0].tolist() == [paths.MOST_LOOKED_AT // 20] * 20
    np.testing.assert_array_equal(paths._looked_at(np.arange(9), t[:9], aside[:9]), np.arange(9))


def test_where_few_lie_between_it_is_shorter_and_says_so(circle):
    home, where = circle
    path = path_of(home, [id_at(where, 0), id_at(where, 20)], 6)
    assert degrees_of(path, where) == [0, 10, 20], "and not what is opposite, though it is as far along"
    assert path.notices[-1] == "Only 1 recording lies between them here, so the path is shorter than was asked for."
    nobody = path_of(home, [id_at(where, 0), id_at(where, 100)], 6, performers=("nobody",))
    assert len(nobody.steps) == 2
    assert nobody.notices[-1] == "No recording lies between them here, so the path is shorter than was asked for."


def test_the_largest_step_is_said(circle):
    """With every second one of them gone from one side, the step over the gap."""
    home, where = circle
    home.catalogue.remove_tracks([id_at(where, each) for each in (50, 60, 70)])
    path = path_of(home, [id_at(where, 0), id_at(where, 90)], 7)
    assert degrees_of(path, where) == [0, 10, 20, 30, 40, 80, 90] and path.largest.number == 6
    said = "The largest step is from #5 to #6: further than any recording here is from its nearest."
    wide = "1 of its 6 steps is wide: three of four pairs of neighbours are nearer."
    assert path.sentence == f"{said} {wide}" and path.largest.nearness < 0.5 and path.wide == (path.largest,)
    (only,) = path_of(home, [id_at(where, 0), id_at(where, 90)], 2).wide
    assert (
        only.number == 2 and "Its only step is wide" in path_of(home, [id_at(where, 0), id_at(where, 90)], 2).sentence
    )
    assert path_of(home, [id_at(where, 0), id_at(where, 40)], 5).sentence.endswith("pairs that neighbours form here.")
    document = path_document(path)
    assert document["largest_step"] == 6 and [step["number"] for step in document["steps"]] == list(range(1, 8))
    assert path_as_csv(path).count("\r\n") == 8 and as_m3u8(path).splitlines()[1].endswith(",t0")


@pytest.mark.parametrize(
    ("named", "n", "text"),
    [
        ((0, 0), 5, "one is named twice"),
        ((0, 50, 0), 5, "one is named twice"),
        ((0, 50), 37, "A path of 37 recordings is asked for, and 36 recordings can be compared here"),
        ((0, 50), 51, "expected at most 50"),
        ((0, 50), 1, "A path of 1 recording cannot hold the 2 that are named"),
        ((0, 50, 90), 2, "cannot hold the 3"),
        (tuple(range(0, 80, 10)), 20, "by way of at most 5 recordings, not of 6"),
    ],
)
def test_what_is_no_path_is_one_sentence(circle, named, n, text):
    home, where = circle
    with pytest.raises(InputError, match=text) as caught:
        path_of(home, [id_at(where, each) for each in named], n)
    assert caught.value.message.endswith(".")


def test_between_two_that_sound_the_same_there_is_nothing(circle):
    home, where = circle
    track = a_track(999)
    plant_tracks(home, [track])
    plant_embeddings(home, TWO_LAYERS, {track.track_id: np.tile(OFFSET + points_at([0])[0], (2, 1))})
    with pytest.raises(InputError, match="are the same here: nothing lies between them"):
        path_of(home, [id_at(where, 0), track.track_id], 3)


def test_the_length_is_checked_before_anything_is_heard():
    check_length(2, 2, 2)
    with pytest.raises(InputError):
        check_length(3, 2, 2)
