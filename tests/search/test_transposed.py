"""In any key: what is transposed is as near as if it were not, and the search is that of asking twelve times."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mess_core.embeddings.store import EmbeddingSet
from mess_core.encoders.chroma import CHROMA
from mess_core.encoders.hearings import ANY_KEY, HEARINGS
from mess_core.encoders.registry import encoder_ids, encoder_info
from mess_core.errors import InputError
from mess_core.search.either import geometry_for
from mess_core.search.geometry import DirectionGeometry, LayerGeometry, of_segments
from mess_core.search.matching import align
from mess_core.search.neighbours import FIRST_PORTION, NeighbourIndex
from mess_core.search.question import Question
from mess_core.search.segments import SegmentIndex
from mess_core.search.transposed import TransposedGeometry, in_key
from tests.contracts import (
    does_not_care_who_asks,
    leaves_arrays_as_they_were,
    makes_an_item_the_same_in_any_company,
    makes_items_of_single_precision,
    name_of,
)

N = 300
INFO = replace(CHROMA, id="hearing:planted", any_key=True)
HIGHER = (0, 1, -3, 6, 5, -5, 2)  # by so many semitones the second of a pair is, one pair after the other
SEGMENT_S, HOP_S = 5.0, 2.5


def transposed(vectors: np.ndarray, semitones: int) -> np.ndarray:
    """Pitch classes (…, 24) as they sound so many semitones higher, means and deviations each by themselves."""
    halves = np.split(vectors, 2, axis=-1)
    return np.concatenate([np.roll(half, semitones, axis=-1) for half in halves], axis=-1)


def nearest_way(semitones: int) -> int:
    return (semitones + 5) % 12 - 5


def cosines_by_hand(one: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(12, n): the cosine of one (1, 24) with others (n, 1, 24), by how many semitones it is moved up.

    In double precision; of each half its own mean is removed.
    """
    a, b = (
        (half.reshape(-1, 2, 12) - half.reshape(-1, 2, 12).mean(axis=2, keepdims=True)).reshape(-1, 24)
        for half in (one.astype(np.float64), others.astype(np.float64))
    )
    a = a[0]
    b /= np.linalg.norm(b, axis=1, keepdims=True)
    return np.stack([b @ transposed(a, up) / np.linalg.norm(a) for up in range(12)])


def chroma_like(rng: np.random.Generator, n: int) -> np.ndarray:
    """(n, 1, 24): mean and deviation of log power; some classes sound more than others in all of it."""
    means = -6 + np.linspace(0, 2, 12) + 2 * rng.standard_normal((n, 1, 12))
    return np.concatenate([means, 2 + 0.5 * rng.standard_normal((n, 1, 12))], axis=2).astype(np.float32)


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    """Tracks in pairs: 2 i + 1 is 2 i, transposed, and a little otherwise."""
    rng = np.random.default_rng(0)
    vectors = chroma_like(rng, N)
    for i in range(N // 2):
        vectors[2 * i + 1] = transposed(vectors[2 * i], HIGHER[i % len(HIGHER)]) + 0.3 * rng.standard_normal((1, 24))
    return vectors


def index_of(vectors: np.ndarray, kind=TransposedGeometry) -> NeighbourIndex:
    ids = tuple(f"t{n:04d}" for n in range(len(vectors)))
    return NeighbourIndex(EmbeddingSet(INFO, ids, vectors, "x"), kind.fit(vectors, info=INFO))


@pytest.fixture(scope="module")
def index(vectors) -> NeighbourIndex:
    return index_of(vectors)


# --- whole recordings ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("up", range(12))
def test_an_item_that_is_turned_is_the_item_of_what_is_turned(index, vectors, up) -> None:
    items, of_turned = index.geometry.items(vectors), index.geometry.items(transposed(vectors, up))
    np.testing.assert_allclose(of_turned[:, :24], transposed(items[:, :24], up), atol=1e-6)
    np.testing.assert_allclose(of_turned[:, 24], items[:, 24], rtol=1e-6)


@pytest.mark.parametrize(
    "law",
    [
        makes_items_of_single_precision,
        makes_an_item_the_same_in_any_company,
        does_not_care_who_asks,
        leaves_arrays_as_they_were,
    ],
    ids=name_of,
)
def test_laws(law, vectors) -> None:
    law(TransposedGeometry.fit(vectors[:40], info=INFO), vectors[:40], vectors[77:78])


@pytest.mark.slow
def test_the_partner_is_found_and_its_key_told(index, vectors) -> None:
    """Where it is in the same key, too; without turning only there."""
    plain = index_of(vectors, LayerGeometry)
    found_plain = []
    for row in range(0, N, 2):
        planted = HIGHER[row // 2 % len(HIGHER)]
        for asked, partner, up in ((row, row + 1, planted), (row + 1, row, nearest_way(-planted))):
            (nearest,) = index.search(vectors[asked], Question(k=1), exclude=[f"t{asked:04d}"]).neighbours
            assert (nearest.track_id, nearest.semitones) == (f"t{partner:04d}", up)
        (first,) = plain.search(vectors[row], Question(k=1), exclude=[f"t{row:04d}"]).neighbours
        assert first.semitones is None and first.hearings is nearest.hearings is None
        found_plain.append((planted == 0, first.track_id == f"t{row + 1:04d}"))
    assert all(is_found for is_same_key, is_found in found_plain if is_same_key)
    assert np.mean([is_found for is_same_key, is_found in found_plain if not is_same_key]) < 0.1


@pytest.mark.parametrize("up", [1, -3, 6])
def test_a_transposed_query_has_the_same_answer(index, vectors, up) -> None:
    """The same tracks, as near, in the same percentile; only the keys are so much lower beside it."""
    for row in (4, 31, 208):
        plain, other = (
            index.search(query, Question(k=N), exclude=[f"t{row:04d}"])
            for query in (vectors[row], transposed(vectors[row], up))
        )
        assert [each.track_id for each in other.neighbours] == [each.track_id for each in plain.neighbours]
        for one, same in zip(plain.neighbours, other.neighbours, strict=True):
            assert same.similarity == pytest.approx(one.similarity, abs=1e-6)
            assert same.percentile == pytest.approx(one.percentile, abs=0.01)
            assert same.semitones == nearest_way(one.semitones - up)
        assert other.is_strange is plain.is_strange


@pytest.mark.slow
@pytest.mark.parametrize("k", [1, 10, FIRST_PORTION + 28, N])
def test_search_equals_brute_force(index, vectors, k) -> None:
    for row in range(0, N, 23):
        cosines = cosines_by_hand(vectors[row], vectors)
        totals, up = cosines.max(axis=0), cosines.argmax(axis=0)
        totals[row] = -np.inf
        order = sorted(range(N), key=lambda other: (-totals[other], other))[: min(k, N - 1)]
        found = index.search(vectors[row], Question(k=k), exclude=[f"t{row:04d}"]).neighbours
        assert [each.track_id for each in found] == [f"t{other:04d}" for other in order]
        np.testing.assert_allclose([each.similarity for each in found], totals[order], atol=1e-6)
        assert [each.semitones for each in found] == [nearest_way(int(up[other])) for other in order]


@pytest.mark.slow
def test_percentiles_are_among_pairs_in_any_key(index, vectors) -> None:
    pairs = np.concatenate([cosines_by_hand(vectors[row], vectors[row + 1 :]).max(axis=0) for row in range(N - 1)])
    found = index.search(vectors[0], Question(k=20), exclude=["t0000"]).neighbours
    for each in found:
        assert each.percentile == pytest.approx(100 * (pairs < each.similarity).mean(), abs=0.01)
    usual = index.usual_percentiles()
    assert 99 < usual[1] <= 100 and usual[10] < usual[1]


def test_who_is_strange_is_so_in_every_key(vectors) -> None:
    """None that the library has in another key is; what is far out is."""
    index = index_of(vectors)
    for row, up in ((10, 4), (101, -2), (256, 6)):
        again = transposed(vectors[row], up) + 0.05
        assert index.search(again.astype(np.float32)).is_strange is False
    outside = vectors[7] + 40 * np.random.default_rng(1).standard_normal((1, 24)).astype(np.float32)
    assert all(index.search(transposed(outside, up)).is_strange is True for up in range(12))


def test_what_is_transposed_is_no_copy(index, vectors) -> None:
    """Of two recordings with the very same numbers, one of them moved on, only the other is left out."""
    copied = np.concatenate([vectors[:60], vectors[:1], transposed(vectors[:1], 4)])
    found = index_of(copied).search(copied[0], Question(k=99, duplicates="exclude"), exclude=["t0000"]).neighbours
    assert found[0].track_id == "t0061" and found[0].semitones == 4 and found[0].similarity > 0.9999
    assert "t0060" not in {each.track_id for each in found} and len(found) == 60


@pytest.mark.parametrize("period", [2, 3, 4, 6])
def test_what_turns_into_itself_is_in_the_nearest_key(index, vectors, period) -> None:
    """Chords that divide the octave: of two keys that are equal the nearer one, whatever rounding says."""
    even = np.tile(vectors[:1].reshape(1, 2, 12)[..., :period], 12 // period).reshape(1, 24)
    for up in range(12):
        copied = np.concatenate([vectors[:30], transposed(even[None], up)])
        (found,) = index_of(copied).search(even, Question(k=1)).neighbours
        nearest = next(turn for turn in (0, 1, -1, 2, -2, 3) if (turn - up) % period == 0)
        assert (found.track_id, found.semitones) == ("t0030", nearest)


def test_silence_is_similar_to_nothing(vectors) -> None:
    """Its numbers are the same in all classes, up to rounding, which has no direction."""
    silent = np.repeat([[-13.815511, 1e-4]], 12, axis=1).reshape(1, 24).astype(np.float32)
    index = index_of(np.concatenate([vectors[:30], silent[None]]))
    found = index.search(vectors[3], Question(k=99)).neighbours
    assert next(each.similarity for each in found if each.track_id == "t0030") == 0
    assert {(each.similarity, each.semitones) for each in index.search(silent, Question(k=99)).neighbours} == {(0, 0)}


def test_the_level_of_a_recording_says_nothing(index, vectors) -> None:
    """Louder and fuller in all classes alike, the same answer."""
    other = vectors[5] + np.repeat([[3.0, 0.7]], 12, axis=1).reshape(1, 24).astype(np.float32)
    for one, same in zip(index.search(vectors[5]).neighbours, index.search(other).neighbours, strict=True):
        assert one.track_id == same.track_id and one.similarity == pytest.approx(same.similarity, abs=1e-6)


def test_hubs_are_not_corrected_in_it(index, vectors) -> None:
    plain, corrected = (index.search(vectors[3], Question(hubs=hubs)).neighbours for hubs in ("off", "on"))
    assert plain == corrected


@pytest.mark.parametrize("n", [1, 2, 5])
def test_small_libraries_are_answered(vectors, n) -> None:
    found = index_of(vectors[:n]).search(vectors[0], exclude=["t0000"]).neighbours
    assert len(found) == n - 1 and all(np.isfinite(each.similarity) for each in found)


# --- segments -----------------------------------------------------------------------------------------------


def alike_by_hand(passage: np.ndarray, segments: np.ndarray) -> tuple[int, np.ndarray]:
    """The turn in which a passage's segments find the best partners, and all similarities in it."""
    of_each = np.stack([cosines_by_hand(one, segments) for one in passage], axis=1)  # (12, n_one, n_other)
    best = int(of_each.max(axis=2).mean(axis=1).argmax())
    return best, of_each[best]


@pytest.fixture(scope="module")
def tracks() -> list[np.ndarray]:
    """Thirty tracks of 12 to 25 segments; 8 holds four of 3 five semitones higher, 9 holds each in a key of its own."""
    rng = np.random.default_rng(2)
    tracks = [chroma_like(rng, int(rng.integers(12, 26))) for _ in range(30)]
    passage = tracks[3][5:9]
    tracks[8][2:6] = transposed(passage, 5) + 0.3 * rng.standard_normal(passage.shape)
    for n, up in enumerate((5, -2, 1, 4)):
        tracks[9][4 + n] = transposed(passage[n], up) + 0.1 * rng.standard_normal((1, 24))
    return tracks


@pytest.fixture(scope="module")
def means(tracks) -> np.ndarray:
    return np.stack([own.mean(axis=0) for own in tracks])


@pytest.fixture(scope="module")
def segment_index(tracks, means) -> SegmentIndex:
    geometry = TransposedGeometry.fit(means, info=INFO)
    items = geometry.items(np.concatenate(tracks))
    starts_s = np.concatenate([HOP_S * np.arange(len(own), dtype=np.float32) for own in tracks])
    ids, counts = tuple(f"t{row:03d}" for row in range(len(tracks))), np.array([len(own) for own in tracks])
    return SegmentIndex(ids, items, starts_s, counts, SEGMENT_S, geometry)


def test_a_matrix_is_in_one_key_for_each_recording(tracks, segment_index) -> None:
    """Brute force over the twelve turns; of many recordings at once as of each alone."""
    geometry = segment_index.geometry
    one, weights = geometry.items(tracks[3]), geometry.plain
    others = [geometry.items(own) for own in tracks]
    recordings = np.repeat(np.arange(len(tracks)), [len(own) for own in tracks])
    together = geometry.matrix(one, np.concatenate(others), weights, recordings)
    semitones = geometry.semitones(one, np.concatenate(others), recordings)
    assert together.dtype == np.float64
    for row, (own, items) in enumerate(zip(tracks, others, strict=True)):
        up, expected = alike_by_hand(tracks[3], own)
        assert semitones[row] == nearest_way(up)
        np.testing.assert_allclose(together[:, recordings == row], expected, atol=1e-6)
        np.testing.assert_allclose(geometry.matrix(one, items, weights), expected, atol=1e-6)
    assert semitones[3] == 0


def test_the_nearest_segments_are_those_in_any_key(tracks, segment_index) -> None:
    passage = tracks[3][5:9]
    rows = segment_index.nearest(segment_index.geometry.items(passage), segment_index.geometry.plain, 25)
    for one, found in zip(passage, rows, strict=True):
        cosines = cosines_by_hand(one, np.concatenate(tracks)).max(axis=0)
        assert found.tolist() == np.argsort(-cosines, kind="stable")[:25].tolist()
    everything = segment_index.nearest(segment_index.geometry.items(passage), segment_index.geometry.plain, 9999)
    assert all(sorted(row.tolist()) == list(range(len(segment_index))) for row in everything)


def test_a_transposed_passage_is_found_in_its_place_and_the_list_is_brute_force(tracks, segment_index) -> None:
    """First the one that is in one key throughout; that whose segments are each in another is not it."""
    passage = tracks[3][5:9]
    starts_s = HOP_S * np.arange(5, 9)
    items, weights = segment_index.geometry.items(passage), segment_index.geometry.plain
    found = segment_index.search(items, starts_s, weights, k=30, exclude=["t003"])
    best = found[0]
    assert (best.track_id, best.semitones) == ("t008", 5) and best.similarity > 0.9
    assert (best.moment.query_s, best.moment.track_s) == (5 * HOP_S, 2 * HOP_S)
    assert best.moment.length_s == 3 * HOP_S + SEGMENT_S
    expected = {}
    for row, own in enumerate(tracks):
        up, similarities = alike_by_hand(passage, own)
        expected[f"t{row:03d}"] = (align(similarities).similarity, nearest_way(up))
    del expected["t003"]
    assert [match.track_id for match in found] == sorted(expected, key=lambda track_id: -expected[track_id][0])
    for match in found:
        similarity, semitones = expected[match.track_id]
        assert match.similarity == pytest.approx(similarity, abs=1e-6) and match.semitones == semitones
    assert expected["t009"][0] < best.similarity - 0.2


@pytest.mark.parametrize("up", [1, -3, 6])
def test_a_passage_asked_in_another_key_has_the_same_answer(tracks, segment_index, up) -> None:
    starts_s, weights = HOP_S * np.arange(5, 9), segment_index.geometry.plain
    plain, other = (
        segment_index.search(segment_index.geometry.items(passage), starts_s, weights, k=30)
        for passage in (tracks[3][5:9], transposed(tracks[3][5:9], up))
    )
    for one, same in zip(plain, other, strict=True):
        assert (same.track_id, same.moment.track_s) == (one.track_id, one.moment.track_s)
        assert same.similarity == pytest.approx(one.similarity, abs=1e-6)
        assert same.semitones == nearest_way(one.semitones - up)


# --- which geometry, and how it is said ---------------------------------------------------------------------


def test_it_is_taken_by_the_hearing_in_any_key_and_by_nothing_else(home) -> None:
    """What was made by others keeps its facts, and so its fingerprint."""
    info = encoder_info(ANY_KEY, home.paths)
    assert geometry_for("layer", info) is TransposedGeometry and geometry_for("direction", info) is DirectionGeometry
    assert of_segments(TransposedGeometry) is TransposedGeometry
    assert info.encoders == (CHROMA,) and info.facts["any_key"] is True
    for other in {*HEARINGS, *encoder_ids()} - {ANY_KEY}:
        facts = encoder_info(other, home.paths)
        assert geometry_for("layer", facts) is not TransposedGeometry and "any_key" not in facts.facts
    assert info.fingerprint != replace(info, any_key=None).fingerprint


def test_what_are_no_pitch_classes_is_refused() -> None:
    for shape in ((5, 1, 13), (5, 2, 12)):
        with pytest.raises(InputError, match="needs one layer of 12 pitch classes"):
            TransposedGeometry.fit(np.zeros(shape, np.float32))
    with pytest.raises(InputError, match="leaves nothing out"):
        TransposedGeometry.fit(np.zeros((5, 1, 12), np.float32), avoid=("a",))


def test_the_words_say_by_how_much_and_which_way() -> None:
    assert [in_key(n) for n in (0, 1, -2, 5, -5)] == [
        "the same key", "one semitone higher", "two semitones lower", "five semitones higher", "five semitones lower",
    ]  # fmt: skip
    assert in_key(6) == "six semitones higher or lower", "half an octave is as far up as down"
