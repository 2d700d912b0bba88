"""Segments: a planted passage is found where it was planted, and the rest as by looking at every track."""

import itertools

import numpy as np
import pytest

from mess_core.errors import DataMissingError
from mess_core.probing.aspects import AspectEvidence
from mess_core.probing.directions import Directions
from mess_core.search import segments as module
from mess_core.search.geometry import DirectionGeometry, LayerGeometry
from mess_core.search.matching import align
from mess_core.search.segments import SegmentIndex

D = 16
HOP_S, SEGMENT_S = 2.5, 5.0
GEOMETRIES = ["layer", "direction"]
TARGETS = tuple("abcdefgh")
SEARCHED = {"brightness": TARGETS[:4], "texture": TARGETS[4:]}


class Tracks:
    """Twelve to forty segments a track, unlike each other; `own` is the track that the passage is taken from."""

    def __init__(self, n: int = 30, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.rng = rng
        self.ids = tuple(f"t{row:03d}" for row in range(n))
        self.segments = [
            (5 + rng.standard_normal((rng.integers(12, 40), 1, D))).astype(np.float32) for _ in range(n)
        ]  # (n_segments, n_layers, dim)
        self.starts_s = [
            np.r_[HOP_S * np.arange(len(own) - 1), HOP_S * (len(own) - 1.4)].astype(np.float32) for own in self.segments
        ]  # the last one is end-aligned

    def plant(self, passage: np.ndarray, track: int, at: int, noise: float = 0.2) -> None:
        self.segments[track][at : at + len(passage)] = passage + noise * self.rng.standard_normal(passage.shape)

    def geometry(self, name: str):
        vectors = np.stack([own.mean(axis=0) for own in self.segments])
        if name == "layer":
            return LayerGeometry.fit(vectors)
        weights = np.zeros((8, 1, D), np.float32)
        weights[range(8), 0, range(8)] = 1
        directions = Directions(TARGETS, ((0,),) * 8, weights, np.zeros((8, 1), np.float32))
        evidence = {aspect: AspectEvidence((0,), own, "high", own) for aspect, own in SEARCHED.items()}
        return DirectionGeometry.fit(vectors, evidence, directions)

    def index(self, name: str, kind=None) -> SegmentIndex:
        geometry = self.geometry(name)
        items, starts_s = geometry.items(np.concatenate(self.segments)), np.concatenate(self.starts_s)
        n_segments = np.array([len(own) for own in self.segments])
        return SegmentIndex(self.ids, items, starts_s, n_segments, SEGMENT_S, geometry, kind)

    def similarities(self, name: str, passage: np.ndarray, track: int) -> np.ndarray:
        """(n_query_segments, n_segments), by the definition, all aspects alike."""
        means = np.stack([own[:, 0].astype(np.float64).mean(axis=0) for own in self.segments])
        a, b = passage[:, 0].astype(np.float64), self.segments[track][:, 0].astype(np.float64)
        if name == "layer":
            a, b = a - means.mean(axis=0), b - means.mean(axis=0)
            return (a @ b.T) / np.linalg.norm(a, axis=1)[:, None] / np.linalg.norm(b, axis=1)
        a, b, means = (values / means.std(axis=0) for values in (a, b, means))
        parts = []
        for own in (slice(0, 4), slice(4, 8)):
            tau = np.median([((x - y)[own] ** 2).sum() for x, y in itertools.combinations(means, 2)])
            parts.append(-((a[:, None, own] - b[None, :, own]) ** 2).sum(axis=-1) / tau)
        return np.mean(parts, axis=0)


def ask(index: SegmentIndex, passage: np.ndarray, first: int = 0, **more):
    starts_s = HOP_S * np.arange(first, first + len(passage))
    return index.search(index.geometry.items(passage), starts_s, index.geometry.plain, **more)


@pytest.mark.parametrize("kind", [None, "hnsw"])
@pytest.mark.parametrize("name", GEOMETRIES)
def test_a_planted_passage_is_found_in_its_place(name, kind):
    """Four segments of one track, with noise, in another: first, from its first second to its last."""
    tracks = Tracks()
    passage = tracks.segments[3][5:9].copy()
    tracks.plant(passage, track=17, at=6)
    best, second = ask(tracks.index(name, kind), passage, first=5, k=2, exclude=["t003"])
    assert (best.rank, best.track_id) == (1, "t017") and best.similarity > second.similarity
    moment = best.moment
    assert (moment.query_s, moment.track_s) == (5 * HOP_S, 6 * HOP_S)
    assert moment.length_s == 3 * HOP_S + SEGMENT_S and moment.similarity == best.similarity
    found = ask(tracks.index(name, kind), passage, first=5, k=2)
    assert [match.track_id for match in found] == ["t003", "t017"], "itself, if it is not excluded"
    assert found[0].moment.track_s == 5 * HOP_S and found[0].similarity == pytest.approx(
        float(name == "layer"), abs=1e-5
    )


@pytest.mark.slow
@pytest.mark.parametrize("length", [1, 2, 5, 30])
@pytest.mark.parametrize("name", GEOMETRIES)
def test_the_whole_list_is_that_of_looking_at_every_track(name, length):
    """Every track aligned, by the definition of similarity; also a passage longer than twice some tracks."""
    tracks = Tracks()
    longest = int(np.argmax([len(own) for own in tracks.segments]))
    passage = tracks.segments[longest][:length].copy()
    aligned = {}
    for row, track_id in enumerate(tracks.ids):
        alignment = align(tracks.similarities(name, passage, row))
        (_, first), (_, last) = alignment.pairs[0], alignment.pairs[-1]
        starts_s = tracks.starts_s[row]
        aligned[track_id] = (alignment.similarity, starts_s[first], starts_s[last] + SEGMENT_S - starts_s[first])
    order = sorted(aligned, key=lambda track_id: -aligned[track_id][0])
    index = tracks.index(name)
    for k in (1, 7, 30, 99):
        found = ask(index, passage, k=k)
        assert [match.track_id for match in found] == order[:k]
        assert [match.rank for match in found] == list(range(1, min(k, 30) + 1))
    for match in found:
        facts = match.similarity, match.moment.track_s, match.moment.length_s
        assert facts == pytest.approx(aligned[match.track_id], rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("name", GEOMETRIES)
def test_excluded_tracks_leave_the_others_in_their_order(name):
    tracks = Tracks()
    passage, index = tracks.segments[8][2:6].copy(), tracks.index(name)
    everything = [match.track_id for match in ask(index, passage, k=30)]
    gone = everything[:2] + everything[5:7]
    found = ask(index, passage, k=30, exclude=gone)
    assert [match.track_id for match in found] == [track_id for track_id in everything if track_id not in gone]
    assert found[0].rank == 1
    assert ask(index, passage, exclude=tracks.ids) == []
    assert [match.track_id for match in ask(index, passage, k=30, exclude=["unknown"])] == everything


@pytest.mark.parametrize("name", GEOMETRIES)
def test_a_long_track_that_repeats_itself_hides_no_other(name):
    """The query's own 2 400 segments are all nearer than any other: without it, the others are still found."""
    tracks = Tracks()
    passage = tracks.segments[3][5:9].copy()
    tracks.plant(passage, track=17, at=6)
    faint = 0.01 * tracks.rng.standard_normal((2400, 1, D))
    tracks.segments[3] = (np.tile(passage, (600, 1, 1)) + faint).astype(np.float32)
    tracks.starts_s[3] = HOP_S * np.arange(2400, dtype=np.float32)
    found = ask(tracks.index(name), passage, k=5, exclude=["t003"])
    assert len(found) == 5 and found[0].track_id == "t017"


@pytest.mark.parametrize("name", GEOMETRIES)
def test_percentiles_are_among_pairs_of_segments(name):
    """Counted over all pairs of a small library; the planted passage is nearer than nearly all."""
    tracks = Tracks(n=5)
    passage = tracks.segments[0][2:5].copy()
    tracks.plant(passage, track=3, at=4, noise=0.1)
    rows = np.concatenate([tracks.similarities(name, np.concatenate(tracks.segments), row) for row in range(5)], axis=1)
    pairs = rows[np.triu_indices(len(rows), 1)]
    found = ask(tracks.index(name), passage, k=5, exclude=["t000"])
    assert found[0].track_id == "t003" and found[0].percentile > 99
    for match in found:
        assert match.percentile == pytest.approx(100 * np.mean(pairs < match.similarity), abs=0.01)
        assert 0 <= match.percentile <= 100


def test_a_closer_look_is_taken_at_the_likeliest_tracks(monkeypatch):
    """With few tracks compared in full, and fewer aligned, the planted one is still among them."""
    tracks = Tracks(n=60)
    passage = tracks.segments[3][5:9].copy()
    tracks.plant(passage, track=41, at=6)
    monkeypatch.setattr(module, "MOST_TRACKS", 8)
    monkeypatch.setattr(module, "ALIGNED_TRACKS", 1)
    index = tracks.index("layer")
    found = ask(index, passage, k=2)
    assert [match.track_id for match in found] == ["t003", "t041"]
    assert len(ask(index, passage, k=50)) == 8


def test_equal_tracks_come_in_order_of_track_id():
    tracks = Tracks()
    for row in (20, 4, 11):
        tracks.segments[row], tracks.starts_s[row] = tracks.segments[3].copy(), tracks.starts_s[3].copy()
    found = ask(tracks.index("layer"), tracks.segments[3][2:6], k=4)
    assert [match.track_id for match in found] == ["t003", "t004", "t011", "t020"]


def test_a_library_of_one_segment():
    """No pair to compare with; the whole of it is what resembles."""
    tracks = Tracks(n=3)
    one = LayerGeometry.fit(np.stack([own.mean(axis=0) for own in tracks.segments]))
    item = one.items(tracks.segments[0][:1])
    index = SegmentIndex(("t",), item, np.zeros(1), np.array([1]), SEGMENT_S, one)
    (match,) = ask(index, tracks.segments[0][:3])
    assert len(index) == 1 and match.percentile is None
    assert (match.moment.track_s, match.moment.length_s) == (0, SEGMENT_S)


@pytest.mark.parametrize("name", GEOMETRIES)
@pytest.mark.parametrize("weights", [None, (1.0, 0.0), (0.2, 0.8)])
def test_a_matrix_holds_the_similarity_of_every_pair(name, weights):
    tracks = Tracks(n=6)
    geometry = tracks.geometry(name)
    weights = geometry.plain if weights is None or name == "layer" else np.array(weights)
    one, other = geometry.items(tracks.segments[0]), geometry.items(tracks.segments[1])
    matrix = geometry.matrix(one, other, weights)
    assert matrix.shape == (len(one), len(other)) and matrix.dtype == np.float64
    expected = np.stack([geometry.similarities(item, other) @ weights for item in one])
    np.testing.assert_allclose(matrix, expected, atol=1e-4 if name == "direction" else 1e-6)
    if weights is geometry.plain:
        np.testing.assert_allclose(matrix, tracks.similarities(name, tracks.segments[0], 1), rtol=1e-5, atol=1e-4)


def test_weights_say_in_what_a_passage_is_sought():
    """One copy is alike in brightness only, the other in texture only."""
    tracks = Tracks()
    passage = tracks.segments[3][5:9].copy()
    for track, own in ((10, slice(0, 4)), (20, slice(4, 8))):
        tracks.segments[track][6:10, :, own] = passage[:, :, own]
    index = tracks.index("direction")
    items, starts_s = index.geometry.items(passage), HOP_S * np.arange(4)
    for weights, expected in (((1, 0), "t010"), ((0, 1), "t020")):
        found = index.search(items, starts_s, np.array(weights, float), k=2, exclude=["t003"])
        assert found[0].track_id == expected and found[0].similarity == pytest.approx(0, abs=1e-4)
        assert found[1].similarity < -0.1


def test_inputs_are_left_as_they_were():
    tracks = Tracks()
    index = tracks.index("direction")
    items, starts_s, weights = index.geometry.items(tracks.segments[3][:4]), np.arange(4.0), index.geometry.plain
    for array in (items, starts_s, weights, index.starts_s):
        array.setflags(write=False)
    assert index.search(items, starts_s, weights) == index.search(items, starts_s, weights)


def test_a_library_without_segments_says_what_to_do():
    geometry = Tracks(n=3).geometry("layer")
    with pytest.raises(DataMissingError, match="python -m mess_core extract"):
        SegmentIndex((), np.zeros((0, D), np.float32), np.zeros(0), np.zeros(0, int), SEGMENT_S, geometry)
