"""Matching: planted passages are found where they were hidden; librosa and brute force as oracles."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from mess_core.errors import InputError
from mess_core.search.matching import (
    STEP_WEIGHTS,
    STEPS,
    Moment,
    SegmentAlignment,
    align,
    best_moments,
    max_sim,
    max_sim_by_track,
    parse_passage,
    passage_rows,
    span,
)

HOP_S, SEGMENT_S = 2.5, 5.0
SHAPES = [(1, 1), (1, 9), (9, 1), (2, 1), (2, 2), (3, 2), (4, 2), (5, 3), (6, 3), (7, 30), (12, 12), (25, 13), (30, 14)]


def random_matrix(shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, shape)


def starts(n_segments: int) -> np.ndarray:
    return np.arange(n_segments, dtype=np.float32) * HOP_S


def cosines(query: np.ndarray, track: np.ndarray) -> np.ndarray:
    query, track = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True) for vectors in (query, track))
    return query @ track.T


def minus_squared_distances(query: np.ndarray, track: np.ndarray) -> np.ndarray:
    return -((query[:, None] - track) ** 2).sum(axis=-1)


class Music:
    """A piece as a curve in 24 dimensions that turns every 5 s; segments are points on it."""

    def __init__(self, seed: int, length_s: float = 500.0) -> None:
        self.grid_s = np.arange(0, length_s, 5.0)
        self.turns = np.random.default_rng(seed).normal(size=(24, len(self.grid_s)))

    def at(self, times_s: np.ndarray) -> np.ndarray:
        return np.stack([np.interp(times_s, self.grid_s, turns) for turns in self.turns], axis=1)

    def played(self, start_s: float, n_segments: int, tempo: float = 1.0) -> np.ndarray:
        return self.at(start_s + tempo * HOP_S * np.arange(n_segments))


def path_cost(pairs: np.ndarray, cost: np.ndarray) -> float:
    """What a path costs, every step of it being allowed."""
    weights = [1.0] + [STEP_WEIGHTS[STEPS.index((int(rows), int(columns)))] for rows, columns in np.diff(pairs, axis=0)]
    return float(weights @ cost[pairs[:, 0], pairs[:, 1]])


@pytest.fixture(scope="module")
def librosa_path(librosa):
    """Cost and pairs of librosa's path. Its two loops run as they are written: to compile them takes 20 s."""
    loops = {name: getattr(librosa.sequence, name).py_func for name in ("__dtw_calc_accu_cost", "__dtw_backtracking")}

    def path_of(cost: np.ndarray) -> tuple[float, np.ndarray]:
        with pytest.MonkeyPatch.context() as patch, np.errstate(invalid="ignore"):
            for name, loop in loops.items():
                patch.setattr(librosa.sequence, name, loop)
            totals, path = librosa.sequence.dtw(
                C=cost, subseq=True, step_sizes_sigma=np.array(STEPS), weights_mul=np.array(STEP_WEIGHTS)
            )
        if cost.shape[0] > cost.shape[1]:
            path = path[:, ::-1]  # librosa swaps the columns of the path of a tall matrix, which it has not transposed
        return totals[-1].min(), path[::-1]

    return path_of


def test_the_module_is_light():
    """NumPy only: librosa and numba take a second to import."""
    code = "import sys, mess_core.search.matching; print({'librosa', 'numba', 'scipy'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"


# max_sim


@pytest.mark.parametrize("shape", SHAPES)
def test_max_sim_equals_brute_force(shape):
    similarities = random_matrix(shape)
    by_hand = sum(max(row) for row in similarities.tolist()) / shape[0]
    assert max_sim(similarities) == pytest.approx(by_hand, abs=1e-12)


def test_max_sim_of_many_tracks_is_that_of_each():
    """Batch equals single, for float32 and tracks of one segment as well."""
    codes = np.repeat(np.arange(6), [4, 1, 9, 1, 30, 2])
    similarities = random_matrix((7, len(codes))).astype(np.float32)
    batch = max_sim_by_track(similarities, codes)
    single = [max_sim(similarities[:, codes == track]) for track in range(6)]
    assert batch.dtype == np.float64 and batch.shape == (6,)
    np.testing.assert_allclose(batch, single, rtol=0, atol=1e-12)


def test_max_sim_of_a_track_does_not_depend_on_the_others():
    """Tracks in another order keep their values, to the bit."""
    sizes = [4, 1, 9, 1, 30, 2]
    tracks = [random_matrix((7, size), seed) for seed, size in enumerate(sizes)]
    order = [3, 5, 0, 4, 2, 1]
    before = max_sim_by_track(np.hstack(tracks), np.repeat(np.arange(6), sizes))
    after = max_sim_by_track(np.hstack([tracks[i] for i in order]), np.repeat(np.arange(6), np.take(sizes, order)))
    assert (after == before[order]).all()


def test_max_sim_ignores_order_and_is_highest_for_the_same_music():
    """A shuffled copy is as alike as a copy; other music is less so."""
    query = Music(0).played(0.0, 20)
    shuffled = np.random.default_rng(1).permutation(query)
    assert max_sim(cosines(query, query)) == pytest.approx(1.0)
    assert max_sim(cosines(query, shuffled)) == pytest.approx(1.0)
    assert max_sim(cosines(query, Music(2).played(0.0, 20))) < 0.7


# align


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("shape", SHAPES)
def test_paths_are_those_of_librosa(librosa_path, shape, seed):
    """Equal cost and, as random numbers have one cheapest path, equal pairs; transposed where there is no path."""
    similarities = random_matrix(shape, seed)
    cost = similarities.max() - similarities
    is_transposed = shape[0] > 2 * shape[1] - 1
    expected_cost, expected = librosa_path(cost.T if is_transposed else cost)
    pairs = align(similarities).pairs
    assert pairs.tolist() == (expected[:, ::-1] if is_transposed else expected).tolist()
    found = path_cost(pairs[:, ::-1], cost.T) if is_transposed else path_cost(pairs, cost)
    assert found == pytest.approx(expected_cost, abs=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_a_path_among_equals_is_as_cheap_as_that_of_librosa(librosa_path, seed):
    """Whole numbers from 0 to 2 leave many cheapest paths."""
    similarities = np.random.default_rng(seed).integers(0, 3, (9, 14)).astype(float)
    cost = similarities.max() - similarities
    assert path_cost(align(similarities).pairs, cost) == librosa_path(cost)[0]


@pytest.mark.parametrize("shape", SHAPES)
def test_the_whole_query_is_aligned_or_else_the_whole_track(shape):
    """Both axes advance by one or two; the similarity is the mean over the pairs."""
    similarities = random_matrix(shape, 5)
    alignment = align(similarities)
    pairs = alignment.pairs
    whole = 1 if shape[0] > 2 * shape[1] - 1 else 0
    assert (pairs[0, whole], pairs[-1, whole]) == (0, shape[whole] - 1)
    assert {tuple(step) for step in np.diff(pairs, axis=0).tolist()} <= set(STEPS)
    assert alignment.similarity == pytest.approx(np.mean([similarities[i, j] for i, j in pairs]))


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1)])
def test_a_single_segment_goes_with_its_best_partner(shape):
    similarities = random_matrix(shape, 3)
    alignment = align(similarities)
    assert alignment.pairs.tolist() == [list(np.unravel_index(similarities.argmax(), shape))]
    assert alignment.similarity == similarities.max()


@pytest.mark.parametrize("measure", [cosines, minus_squared_distances])
@pytest.mark.parametrize("seed", range(5))
def test_a_hidden_passage_is_found(measure, seed):
    """24 segments of a track, a little blurred, at 125 s."""
    track = Music(seed).played(0.0, 160)
    blur = np.random.default_rng(seed).normal(scale=0.2, size=(24, track.shape[1]))
    alignment = align(measure(track[50:74] + blur, track))
    assert alignment.pairs.tolist() == [[i, 50 + i] for i in range(24)]
    moment = span(alignment, starts(24), starts(160), SEGMENT_S)
    assert moment == Moment(0.0, 125.0, 23 * HOP_S + SEGMENT_S, alignment.similarity)


@pytest.mark.parametrize("measure", [cosines, minus_squared_distances])
@pytest.mark.parametrize("tempo", [1 / 1.3, 1.3])
@pytest.mark.parametrize("seed", range(5))
def test_a_hidden_passage_is_found_at_another_tempo(measure, tempo, seed):
    """Every pair is within one hop of the truth, and the stretch of the track has the length of the passage."""
    music = Music(seed)
    query, track = music.played(125.0, 26, tempo), music.played(0.0, 160)
    alignment = align(measure(query, track))
    rows, columns = alignment.pairs.T
    assert np.abs(columns * HOP_S - (125.0 + tempo * HOP_S * rows)).max() <= HOP_S
    moment = span(alignment, starts(26), starts(160), SEGMENT_S)
    assert moment.track_s == pytest.approx(125.0, abs=HOP_S)
    assert moment.length_s == pytest.approx(tempo * 25 * HOP_S + SEGMENT_S, abs=2 * HOP_S)


def test_a_short_track_is_found_inside_a_long_query():
    """The roles are swapped, the order of the pairs is not."""
    query = Music(0).played(0.0, 60)
    alignment = align(cosines(query, query[30:40]))
    assert alignment.pairs.tolist() == [[30 + i, i] for i in range(10)]
    assert span(alignment, starts(60), starts(10), SEGMENT_S) == Moment(75.0, 0.0, 27.5, alignment.similarity)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_constant_changes_no_path(shape):
    """Sixteenths, so that sums are exact and ties stay ties."""
    similarities = np.random.default_rng(2).integers(-16, 17, shape) / 16
    before, after = align(similarities), align(similarities + 3)
    assert (before.pairs == after.pairs).all()
    assert after.similarity == pytest.approx(before.similarity + 3)


def test_a_wide_matrix_is_aligned():
    """One hour of track, a row at a time: the planted diagonal and nothing else."""
    similarities = random_matrix((30, 2000)) / 4
    similarities[np.arange(30), 1500 + np.arange(30)] = 1.0
    assert align(similarities).pairs.tolist() == [[i, 1500 + i] for i in range(30)]


def test_a_span_ends_with_the_last_segment():
    """The last segment of a recording is end-aligned: less than a hop after the one before."""
    alignment = SegmentAlignment(np.array([[0, 1], [1, 3]]), 0.5)
    moment = span(alignment, np.array([10.0, 12.5]), np.array([0.0, 2.5, 5.0, 6.25]), SEGMENT_S)
    assert moment == Moment(10.0, 2.5, 8.75, 0.5)


# best_moments


def moments_by_hand(similarities, query_s, track_s, n, apart_s):
    """Greedy choice from a sorted list of every stretch."""
    length = min(3, *similarities.shape)
    stretches = sorted(
        (-np.mean([similarities[i + step, j + step] for step in range(length)]), i, j)
        for i in range(similarities.shape[0] - length + 1)
        for j in range(similarities.shape[1] - length + 1)
    )
    chosen: list[tuple[float, int, int]] = []
    for value, i, j in stretches:
        if len(chosen) < n and not any(
            abs(query_s[i] - query_s[a]) < apart_s and abs(track_s[j] - track_s[b]) < apart_s for _, a, b in chosen
        ):
            chosen.append((value, i, j))
    return [(query_s[i], track_s[j], -value) for value, i, j in chosen]


@pytest.mark.parametrize("apart_s", [0.0, 5.0, 12.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_moments_equal_brute_force(shape, apart_s):
    """For every shape: the same stretches in the same order."""
    similarities = random_matrix(shape, 4)
    query_s, track_s = starts(shape[0]), starts(shape[1])
    moments = best_moments(similarities, query_s, track_s, SEGMENT_S, n=8, apart_s=apart_s)
    found = [(moment.query_s, moment.track_s, moment.similarity) for moment in moments]
    expected = moments_by_hand(similarities, query_s, track_s, 8, apart_s)
    assert [place[:2] for place in found] == [place[:2] for place in expected]
    np.testing.assert_allclose([place[2] for place in found], [place[2] for place in expected], atol=1e-12)


def test_hidden_moments_are_found_best_first():
    """Three stretches of a track that come back in the query, the later ones more blurred."""
    query, track = Music(1).played(0.0, 60), Music(2).played(0.0, 90)
    rng = np.random.default_rng(0)
    for blur, (i, j) in zip([0.0, 0.3, 0.5], [(40, 10), (5, 70), (20, 33)], strict=True):
        query[i : i + 3] = track[j : j + 3] + blur * rng.normal(size=(3, 24))
    moments = best_moments(cosines(query, track), starts(60), starts(90), SEGMENT_S)
    assert [(moment.query_s, moment.track_s) for moment in moments] == [(100.0, 25.0), (12.5, 175.0), (50.0, 82.5)]
    assert {moment.length_s for moment in moments} == {10.0}
    assert moments[0].similarity == pytest.approx(1.0)


def test_a_stretch_is_better_than_one_lucky_segment():
    """Three cells of .8 in a row beat a single 1.0, also where that is the last of the query."""
    similarities = np.zeros((10, 10))
    similarities[9, 4] = similarities[2, 7] = 1.0
    similarities[[4, 5, 6], [1, 2, 3]] = 0.8
    (moment,) = best_moments(similarities, starts(10), starts(10), SEGMENT_S, n=1)
    assert moment == Moment(10.0, 2.5, 10.0, pytest.approx(0.8))


def test_a_moment_that_starts_near_a_better_one_on_both_sides_is_left_out():
    """Less than 5 s away in query and track; a repeat elsewhere in the track is another moment."""
    similarities = np.zeros((12, 30))
    for i, j, value in [(2, 3, 0.9), (3, 4, 0.8), (2, 20, 0.7), (4, 5, 0.6), (8, 3, 0.5)]:
        similarities[i : i + 3, j : j + 3] += np.diag([value] * 3) * (similarities[i : i + 3, j : j + 3] == 0)
    places = [
        (moment.query_s, moment.track_s)
        for moment in best_moments(similarities, starts(12), starts(30), SEGMENT_S, n=4)
    ]
    assert places[0] == (5.0, 7.5)
    assert (7.5, 10.0) not in places
    assert {(10.0, 12.5), (5.0, 50.0), (20.0, 7.5)} == set(places[1:])


def test_equal_moments_are_chosen_by_query_then_track():
    moments = best_moments(np.zeros((5, 6)), starts(5), starts(6), SEGMENT_S, n=99)
    assert [(moment.query_s, moment.track_s) for moment in moments] == [(0.0, 0.0), (0.0, 5.0), (5.0, 0.0), (5.0, 5.0)]


def test_a_moment_has_the_length_of_its_shorter_side():
    """The end-aligned last segment of the track makes its last stretch 1.5 s shorter."""
    track_s = np.array([0.0, 2.5, 5.0, 6.0])
    similarities = np.zeros((4, 4))
    similarities[[0, 1, 2], [1, 2, 3]] = 1.0
    (moment,) = best_moments(similarities, starts(4), track_s, SEGMENT_S, n=1)
    assert moment == Moment(0.0, 2.5, 8.5, 1.0)


@pytest.mark.parametrize(("shape", "length_s"), [((1, 7), 5.0), ((7, 2), 7.5), ((2, 2), 7.5)])
def test_a_side_with_few_segments_makes_short_moments(shape, length_s):
    """All moments of a matrix have the same number of segments."""
    moments = best_moments(random_matrix(shape), starts(shape[0]), starts(shape[1]), SEGMENT_S)
    assert {moment.length_s for moment in moments} == {length_s}


def test_a_constant_changes_no_moment():
    similarities = np.random.default_rng(2).integers(-16, 17, (12, 20)) / 16
    before = best_moments(similarities, starts(12), starts(20), SEGMENT_S, n=6)
    after = best_moments(similarities + 3, starts(12), starts(20), SEGMENT_S, n=6)
    assert [(m.query_s, m.track_s) for m in before] == [(m.query_s, m.track_s) for m in after]


# passages


@pytest.mark.parametrize(
    ("start_s", "end_s", "rows"),
    [
        (0.0, 20.1, [0, 1, 2, 3, 4, 5, 6, 7]),
        (4.0, 8.0, [1, 2]),
        (2.5, 5.0, [0]),
        (5.0, 7.5, [1]),
        (0.0, 1.0, [0]),
        (6.0, 7.0, [1]),
        (19.0, 20.1, [7]),
        (20.09, 20.105, [7]),
    ],
)
def test_a_passage_is_the_segments_whose_centre_is_in_it(start_s, end_s, rows):
    """A recording of 20.1 s: segments at 0, 2.5 … 15 and, end-aligned, 15.1."""
    starts_s = np.append(starts(7), np.float32(15.1))
    assert passage_rows(starts_s, SEGMENT_S, start_s, end_s, 20.1).tolist() == rows


def test_neighbouring_passages_share_no_segment():
    """Wherever a recording is cut in two, each segment stands for one part."""
    starts_s = starts(20)
    duration_s = 19 * HOP_S + SEGMENT_S
    for cut_s in np.linspace(3.0, 48.0, 181):
        parts = [
            passage_rows(starts_s, SEGMENT_S, 0.0, cut_s, duration_s),
            passage_rows(starts_s, SEGMENT_S, cut_s, duration_s, duration_s),
        ]
        assert np.concatenate(parts).tolist() == list(range(20))


def test_a_recording_shorter_than_a_segment_has_its_own_centre():
    assert passage_rows(np.array([0.0]), SEGMENT_S, 1.0, 2.0, 3.0).tolist() == [0]


@pytest.mark.parametrize("passage", [(12.5, 90.0), (20.1, 20.105), (25.0, 30.0), (0.0, 20.12)])
def test_a_passage_outside_the_recording_is_refused(passage):
    with pytest.raises(InputError, match=r"outside the recording, which lasts 20\.1 s\."):
        passage_rows(starts(7), SEGMENT_S, *passage, duration_s=20.1)


def test_the_refusal_is_one_sentence():
    with pytest.raises(InputError) as refusal:
        passage_rows(starts(7), SEGMENT_S, 12.5, 90.0, duration_s=20.1)
    assert str(refusal.value) == "The passage 12.5:90 s is outside the recording, which lasts 20.1 s."


NO_PASSAGES = [(5.0, 5.0), (8.0, 5.0), (-1.0, 5.0), (np.nan, 5.0), (0.0, np.nan), (0.0, np.inf)]


@pytest.mark.parametrize("passage", NO_PASSAGES)
def test_what_is_no_stretch_of_time_is_refused(passage):
    """By `passage_rows`, and by `parse_passage` before a file is opened."""
    with pytest.raises(InputError, match=r"expected 0 <= START < END"):
        passage_rows(starts(7), SEGMENT_S, *passage, duration_s=20.1)
    with pytest.raises(InputError, match=r"expected 0 <= START < END"):
        parse_passage(f"{passage[0]}:{passage[1]}")


@pytest.mark.parametrize(
    ("text", "passage"), [("12.5:20", (12.5, 20.0)), ("0:0.5", (0.0, 0.5)), (" 3 : 4 ", (3.0, 4.0))]
)
def test_a_passage_can_be_typed(text, passage):
    assert parse_passage(text) == passage


@pytest.mark.parametrize("text", ["", "12", "12.5-20", "1:05-1:20", "1:2:3", ":20", "12:", "12,5:20", "a:b"])
def test_another_form_is_refused_with_an_example(text):
    with pytest.raises(InputError, match=r"cannot be read, expected START:END in seconds, for example 12\.5:20\."):
        parse_passage(text)


# what is given


def test_inputs_are_untouched_and_results_cannot_be_changed():
    """Read-only arrays are enough for every function."""
    similarities, query_s, track_s = random_matrix((6, 9)), starts(6), starts(9)
    copies = [array.copy() for array in (similarities, query_s, track_s)]
    alignment = align(similarities)
    span(alignment, query_s, track_s, SEGMENT_S)
    max_sim(similarities)
    max_sim_by_track(similarities, np.repeat([0, 1, 2], 3))
    best_moments(similarities, query_s, track_s, SEGMENT_S, n=2)
    best_moments(similarities[:1], query_s[:1], track_s, SEGMENT_S, n=2)
    passage_rows(query_s, SEGMENT_S, 1.0, 2.0, 17.5)
    for array, copy in zip((similarities, query_s, track_s), copies, strict=True):
        assert (array == copy).all()
    with pytest.raises(ValueError, match="read-only"):
        alignment.pairs[0, 0] = 1


@pytest.mark.parametrize(
    "function",
    [
        max_sim,
        align,
        lambda similarities: max_sim_by_track(similarities, np.zeros(2, int)),
        lambda similarities: best_moments(similarities, starts(2), starts(2), SEGMENT_S),
    ],
)
def test_no_matrix_of_similarities_is_refused(function):
    """Empty on either side, another rank, NaN or infinity."""
    for shape in [(0, 3), (3, 0), (3,), (1, 2, 3)]:
        with pytest.raises(InputError, match=r"expected \(n_query_segments, n_track_segments\), each above 0"):
            function(np.zeros(shape))
    for bad in (np.nan, np.inf, -np.inf):
        with pytest.raises(InputError, match="1 of 4 similarities are NaN or infinite"):
            function(np.array([[0.0, 1.0], [bad, 0.0]]))


def test_track_codes_must_count_the_rows():
    similarities = np.zeros((2, 4))
    with pytest.raises(InputError, match=r"shape \(3,\), expected one for each of 4"):
        max_sim_by_track(similarities, np.array([0, 0, 1]))
    for codes in ([0, 0, 2, 2], [0, 1, 0, 1], [1, 1, 2, 2], [-1, 0, 1, 2]):
        with pytest.raises(InputError, match="skip or go back, expected 0, 1"):
            max_sim_by_track(similarities, np.array(codes))


def test_start_times_must_fit_the_matrix():
    similarities = np.zeros((4, 6))
    with pytest.raises(InputError, match=r"query have shape \(3,\), expected \(4,\)"):
        best_moments(similarities, starts(3), starts(6), SEGMENT_S)
    with pytest.raises(InputError, match=r"track have shape \(7,\), expected \(6,\)"):
        best_moments(similarities, starts(4), starts(7), SEGMENT_S)
    with pytest.raises(InputError, match=r"query have shape \(3,\), expected at least \(4,\)"):
        span(align(similarities + np.eye(4, 6)), starts(3), starts(6), SEGMENT_S)


def test_impossible_wishes_are_refused():
    arguments = (np.zeros((4, 6)), starts(4), starts(6), SEGMENT_S)
    with pytest.raises(InputError, match="0 moments asked for, expected at least 1"):
        best_moments(*arguments, n=0)
    for apart_s in (-1.0, np.nan):
        with pytest.raises(InputError, match="apart asked for, expected at least 0 s"):
            best_moments(*arguments, apart_s=apart_s)
