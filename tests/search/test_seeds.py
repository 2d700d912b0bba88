"""Seeds: like these, not like those, and the furthest; in every geometry as the definition says, and where planted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mess_core.embeddings.store import EmbeddingSet
from mess_core.encoders.base import Part
from mess_core.encoders.chroma import N_CLASSES
from mess_core.encoders.mel import MEL, MFCC
from mess_core.errors import UnknownTrackError
from mess_core.probing.aspects import AspectEvidence
from mess_core.probing.directions import Directions
from mess_core.search.either import EitherGeometry
from mess_core.search.geometry import DirectionGeometry, Geometry, LayerGeometry, MeasuredGeometry
from mess_core.search.neighbours import NeighbourIndex
from mess_core.search.question import Question
from mess_core.search.seeds import UNLIKE_SHARE
from mess_core.search.selection import Facts
from mess_core.search.transposed import TransposedGeometry
from tests.conftest import FakeEncoder

N, DIM = 120, 12
MUSIC, SOUND = "same music", "same sound and style"
EITHER = replace(
    MEL, id="hearing:planted", n_layers=2, dim=DIM, pooling="mean", widths=(DIM, DIM),
    parts=(Part(MEL, (0,), MUSIC), Part(MFCC, (0,), SOUND)),
)  # fmt: skip
PLACE = AspectEvidence((), ("a", "b"), "high", ("a", "b"))  # an aspect of two targets
KINDS = (LayerGeometry, DirectionGeometry, MeasuredGeometry, EitherGeometry, TransposedGeometry)


def ids_of(n: int) -> tuple[str, ...]:
    return tuple(f"{row:03d}" for row in range(n))


def axes(dim: int) -> Directions:
    """Targets a and b are the first two numbers of the one layer."""
    return Directions(("a", "b"), ((0,), (0,)), np.eye(2, dim, dtype=np.float32)[:, None], np.zeros((2, 1), np.float32))


def index_of(kind: type[Geometry], vectors: np.ndarray) -> NeighbourIndex:
    vectors = np.asarray(vectors, np.float32)
    info = FakeEncoder(n_layers=vectors.shape[1], dim=vectors.shape[2]).info
    if issubclass(kind, DirectionGeometry):
        geometry: Geometry = kind.fit(vectors, {"brightness": PLACE}, axes(vectors.shape[2]))
    else:
        geometry = kind.fit(vectors, info=EITHER if kind is EitherGeometry else info)
    return NeighbourIndex(EmbeddingSet(info, ids_of(len(vectors)), vectors, "content"), geometry)


def random_index(kind: type[Geometry], n: int = N) -> tuple[NeighbourIndex, np.ndarray]:
    n_layers = 2 if kind is EitherGeometry else 1
    vectors = 5 + np.random.default_rng(3).standard_normal((n, n_layers, N_CLASSES))
    return index_of(kind, vectors), vectors.astype(np.float32)


def found(index: NeighbourIndex, query: np.ndarray, **asked: object) -> list[str]:
    return [each.track_id for each in index.search(query, Question(**asked)).neighbours]


@pytest.mark.parametrize("kind", KINDS)
def test_search_is_a_sort_of_the_definition(kind):
    """Mean of what each pair has, less half the mean of what it should not be like; whatever k, and both ways round."""
    index, vectors = random_index(kind)
    geometry, like, unlike = index.geometry, ("007", "031"), ("050", "066", "090")
    items, asker = geometry.items(vectors), vectors[100]
    named = {int(each) for each in (*like, *unlike)}

    def totals(row: int) -> np.ndarray:
        return geometry.total(geometry.similarities(items[row], items), geometry.plain)

    expected = np.mean([totals(row) for row in (100, 7, 31)], axis=0)
    expected -= UNLIKE_SHARE * np.mean([totals(row) for row in (50, 66, 90)], axis=0)
    for reverse in (False, True):
        order = sorted(set(range(N)) - named, key=lambda row: (expected[row] * (1 if reverse else -1), row))
        for k in (1, 10, 40, N):
            asked = Question(like=like, unlike=unlike, reverse=reverse, k=k)
            got = index.search(asker, asked)
            assert [each.track_id for each in got.neighbours] == [f"{row:03d}" for row in order[:k]]
            assert got.is_strange is None
            for each in got.neighbours:
                assert each.similarity == pytest.approx(expected[int(each.track_id)], abs=1e-4)
                assert each.percentile is each.nearness is each.hearings is None


@pytest.mark.parametrize("hubs", ["off", "on"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_furthest_are_the_nearest_turned_round(kind, hubs):
    index, vectors = random_index(kind)
    nearest = found(index, vectors[4], k=N, hubs=hubs)
    assert found(index, vectors[4], k=N, hubs=hubs, reverse=True) == nearest[::-1]
    for k in (1, 5, 33):
        assert found(index, vectors[4], k=k, hubs=hubs, reverse=True) == nearest[::-1][:k]


@pytest.mark.parametrize("kind", KINDS)
def test_each_neighbour_stands_beside_each_that_was_named(kind):
    """As it would be found, and with the numbers that it would have, by each alone."""
    index, vectors = random_index(kind)
    got = index.search(vectors[9], Question(like=("020",), unlike=("040",), k=N)).neighbours
    for place, (row, track_id, is_wanted) in enumerate(((9, None, True), (20, "020", True), (40, "040", False))):
        alone = {each.track_id: each for each in index.search(vectors[row], Question(k=N)).neighbours}
        for each in got:
            standing, by_itself = each.standings[place], alone[each.track_id]
            assert (standing.track_id, standing.is_wanted) == (track_id, is_wanted)
            for name in ("similarity", "percentile", "nearness"):
                assert getattr(standing, name) == pytest.approx(getattr(by_itself, name), abs=1e-3), name
    assert index.search(vectors[9], Question(k=1)).neighbours[0].standings is None


def plane(points: list[tuple[float, float]]) -> np.ndarray:
    """Points of equal spread either way, so that a unit is the same in both."""
    return np.array(points, np.float32)[:, None]


def test_between_two_on_a_plane():
    """Like both: around the middle, not beside either."""
    points = [(0, 0), (8, 0), (4, 0.5), (0.5, 0.5), (7.5, -0.5), (4, 7), (-3, -3), (11, -4)]
    index = index_of(DirectionGeometry, plane(points))
    got = index.search(plane(points)[0], Question(like=("001",), k=2), exclude=["000"]).neighbours
    assert got[0].track_id == "002"


def test_away_from_one_on_a_plane():
    """Not like b: around the point that is as far beyond the query as b is before it, not at the end of the world."""
    points = [(0, 0), (-2, 0), (2, 0.1), (6, 0), (-0.5, 0.1), (0, 3), (0, -3.2), (-6, 0)]
    index = index_of(MeasuredGeometry, plane(points))
    got = index.search(plane(points)[0], Question(unlike=("001",), k=8), exclude=["000"]).neighbours
    assert [each.track_id for each in got][:1] == ["002"] and got[-1].track_id == "007"
    assert [each.track_id for each in got].index("003") > 0


def test_the_music_of_one_and_the_sound_of_another():
    """In either of two hearings what has both is first, and what is near to one of the two in both is not."""
    vectors = np.random.default_rng(0).standard_normal((N, 2, DIM)).astype(np.float32)
    noise = 0.2 * np.random.default_rng(1).standard_normal((4, DIM)).astype(np.float32)
    vectors[5] = vectors[0, 0] + noise[0], vectors[1, 1] + noise[1]  # the music of 0, the sound of 1
    vectors[6, 0] = vectors[0, 0] + noise[2]
    vectors[7, 1] = vectors[1, 1] + noise[3]
    index = index_of(EitherGeometry, vectors)
    got = index.search(vectors[0], Question(like=("001",), k=3), exclude=["000"]).neighbours
    assert got[0].track_id == "005" and {got[1].track_id, got[2].track_id} == {"006", "007"}
    assert [each.is_near for each in got[0].standings] == [True, True]


def test_an_unlike_recording_that_resembles_the_query_does_not_cancel_it():
    """Of a pair of twins one is not wanted: what is like both still comes before what is like neither."""
    rng = np.random.default_rng(2)
    vectors = rng.standard_normal((N, 1, DIM)).astype(np.float32)
    vectors[1], vectors[2] = vectors[0] + 0.1 * vectors[1], vectors[0] + 0.3 * vectors[2]
    index = index_of(LayerGeometry, vectors)
    got = index.search(vectors[0], Question(unlike=("001",), k=1), exclude=["000"]).neighbours
    assert got[0].track_id == "002"


@pytest.mark.parametrize("kind", [LayerGeometry, DirectionGeometry])
def test_contributions_of_aspects_add_up_to_the_score(kind):
    vectors = 5 + np.random.default_rng(5).standard_normal((40, 2, DIM)).astype(np.float32)
    of_one = np.zeros((2, 2, DIM), np.float32)
    of_one[[0, 1], 0, [0, 1]] = 1
    directions = Directions(("a", "b"), ((0,), (0,)), of_one, np.zeros((2, 2), np.float32))
    evidence = {
        "brightness": AspectEvidence((0,), ("a",), "high", ("a",)),
        "tempo": AspectEvidence((1,), ("b",), "high", ("b",)),
    }
    info = FakeEncoder(n_layers=2, dim=DIM).info
    index = NeighbourIndex(EmbeddingSet(info, ids_of(40), vectors, "c"), kind.fit(vectors, evidence, directions))
    asked = Question({"brightness": 3, "tempo": 1}, like=("001",), unlike=("002",), k=40)
    for each in index.search(vectors[0], asked).neighbours:
        assert sum(score.contribution for score in each.aspects.values()) == pytest.approx(each.similarity, abs=1e-5)
        assert all(score.percentile is None and score.nearness is None for score in each.aspects.values())


def test_nobody_that_was_named_comes_back_and_copies_of_the_liked_go_with_those_of_the_query():
    index, vectors = random_index(LayerGeometry)
    twins = np.concatenate([vectors, vectors[[7]] * 1.0001])
    index = index_of(LayerGeometry, twins)
    asked = {"like": ("007",), "unlike": ("008",), "k": N + 1}
    kept = found(index, vectors[0], **asked)
    assert not {"007", "008"} & set(kept) and f"{N:03d}" in kept
    assert f"{N:03d}" not in found(index, vectors[0], **asked, duplicates="exclude")


def test_other_recordings_of_a_liked_work_are_left_out_with_those_of_the_query():
    index, vectors = random_index(LayerGeometry)
    facts = {track_id: Facts(work=f"work {int(track_id) // 10}") for track_id in index.track_ids}
    got = index.search(
        vectors[0],
        Question(like=("015",), k=N, versions="exclude"),
        exclude=["000"],
        facts_of=lambda track_ids: {track_id: facts[track_id] for track_id in track_ids},
        query_facts=facts["000"],
    ).neighbours
    assert {facts[each.track_id].work for each in got} == {f"work {n}" for n in range(2, 12)}


def test_a_name_that_is_not_in_the_index_is_one_sentence():
    index, vectors = random_index(LayerGeometry)
    with pytest.raises(UnknownTrackError, match=r"nosuch is not among what can be found here\."):
        index.search(vectors[0], Question(like=("nosuch",)))
