"""Attention: it begins at the mean, finds what one segment of several has, and nothing where nothing is there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mess_core.errors import InputError
from mess_core.learning import segments, students
from mess_core.learning.attention import Attention, TurnedSegments
from mess_core.learning.course import TRIPLETS, Course
from mess_core.learning.segments import SegmentSet, departures, evenly, most_of_each
from mess_core.learning.students import Lesson, train
from mess_core.learning.trial import run_trial
from mess_core.learning.triplets import rated_triplets
from tests.learning.worlds import moments

DIM, N_SEGMENTS = 12, 6
*INTO, MARKED = np.linalg.qr(np.random.default_rng(7).standard_normal((DIM, 3)))[0].T  # what is rated, and the mark


def one_tells(seed: int = 0, n_works: int = 20, n_players: int = 6, mark: float = 4.0) -> Course:
    """What is rated is heard in one segment of six, which has a mark of its own; in the others the same is noise.

    Without a mark nothing says which segment that is.
    """
    rng = np.random.default_rng(seed)
    n = n_works * n_players
    rated = rng.standard_normal((n, 2))
    piece = np.repeat(rng.standard_normal((n_works, DIM)), n_players, axis=0)[:, None]
    heard = rng.standard_normal((n, N_SEGMENTS, 2))
    places = rng.integers(N_SEGMENTS, size=n)
    heard[np.arange(n), places] = rated
    every = piece + 2.0 * heard @ np.array(INTO) + 0.3 * rng.standard_normal((n, N_SEGMENTS, DIM))
    every[np.arange(n), places] += mark * MARKED
    works = [f"w{work}" for work in range(n_works) for _ in range(n_players)]
    players: list[str | None] = [f"p{player}" for _ in range(n_works) for player in range(n_players)]
    found = moments(works, players, every.mean(axis=1)[:, None].astype(np.float32))
    own = SegmentSet(every.reshape(-1, 1, DIM).astype(np.float16), np.full(n, N_SEGMENTS))
    triplets = rated_triplets(rated, found.codes(found.spans))
    return Course("ratings", found, (DIM,), rated, triplets, segments=own)


def lesson(course: Course) -> Lesson:
    return course.lesson(np.arange(len(course.moments)))


@pytest.fixture(scope="module")
def tried():
    return run_trial(one_tells(), ("linear", "attention"), n_seeds=1, has_second_split=False)


def test_what_one_segment_has_is_found_where_the_mean_does_not(tried):
    attention, linear = tried.figure("attention"), tried.figure("linear")
    assert attention.value > linear.value + 0.08 and attention.step_low > 0 and attention.p_holm < 0.05


def test_the_marked_segment_is_the_one_that_counts():
    course = one_tells()
    taught = train("attention", lesson(course))
    assert isinstance(taught, Attention)
    weights = np.array(taught.weights(course.moments.vectors, course.segments))
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-5)
    every = course.segments.vectors.reshape(len(weights), N_SEGMENTS, DIM).astype(float)
    is_it = (every @ MARKED).argmax(axis=1) == weights.argmax(axis=1)
    assert is_it.mean() > 0.9 and weights.max(axis=1).mean() > 2 / N_SEGMENTS


def test_where_nothing_says_which_segment_there_is_no_gain():
    result = run_trial(one_tells(n_works=30, mark=0.0), ("linear", "attention"), n_seeds=1, has_second_split=False)
    attention, linear = result.figure("attention"), result.figure("linear")
    assert abs(attention.value - linear.value) < 0.06
    assert not attention.step_low > 0 and not attention.gain_low > 0


def test_it_begins_where_the_mean_is():
    """Before it learns it is `linear` before that learns, in torch and in NumPy."""
    course = one_tells(n_works=4)
    one, other = (students._Pupil(name, lesson(course), 0) for name in ("attention", "linear"))
    np.testing.assert_allclose(one.points().detach(), other.points().detach(), atol=1e-4)
    taught, plain = one.taught(), other.taught()
    np.testing.assert_allclose(
        taught.points(course.moments.vectors, course.segments), plain.points(course.moments.vectors), atol=1e-3
    )
    np.testing.assert_allclose(np.concatenate(taught.weights(course.moments.vectors, course.segments)), 1 / N_SEGMENTS)


def test_it_compares_by_what_it_learned_on():
    """Points by NumPy from segments are those of torch; moments of unequal length, a hearing's padding and all."""
    import torch

    rng = np.random.default_rng(0)
    counts = rng.integers(1, 6, 30)
    vectors = rng.standard_normal((counts.sum(), 3, 5)).astype(np.float16)
    vectors[:, 2, 3:] = 0
    own = SegmentSet(vectors, counts)
    means = np.array([each.astype(np.float32).mean(axis=0) for each in own.each()])
    made = moments([f"w{row // 3}" for row in range(30)], [None] * 30, means)
    course = Course("works", made, (5, 5, 3), segments=own)
    pupil = students._Pupil("attention", lesson(course), 0)
    with torch.no_grad():
        for value in pupil.moving.values():
            value += torch.randn(value.shape, generator=torch.Generator().manual_seed(0))
        points = pupil.points().numpy()
    found = pupil.taught().points(made.vectors, own)
    np.testing.assert_allclose(found / np.linalg.norm(found, axis=1, keepdims=True), points, atol=1e-4)


def test_the_same_seed_learns_the_same_and_leaves_what_it_was_given():
    course = one_tells(n_works=6)
    before = course.segments.vectors.tobytes()
    one, other = (train("attention", lesson(course), 3) for _ in range(2))
    assert one.towards.tobytes() == other.towards.tobytes() and one.towards.any()
    assert course.segments.vectors.tobytes() == before


def test_without_segments_it_is_left_out():
    course = replace(one_tells(n_works=10), segments=None)
    result = run_trial(course, ("linear", "attention"), n_seeds=1, has_second_split=False)
    assert {each.name for each in result.figures if each.is_student and each.metric == TRIPLETS} == {"linear"}
    with pytest.raises(InputError, match="nothing here that the student 'attention' could go by"):
        train("attention", lesson(course))


# --- segments -----------------------------------------------------------------------------------------------------


def test_rows_keep_their_segments():
    own = SegmentSet(np.arange(6, dtype=np.float16).reshape(6, 1, 1), np.array([1, 3, 2]))
    chosen = own.of(np.array([2, 0]))
    assert [each.ravel().tolist() for each in chosen.each()] == [[4, 5], [0]] and chosen.has_several
    assert not own.of(np.array([0])).has_several
    assert len(own.of(np.empty(0, int)).vectors) == 0


def test_segments_that_are_nobodys_are_refused():
    with pytest.raises(InputError, match="4 segments in all, and 6 vectors"):
        SegmentSet(np.zeros((6, 1, 1), np.float16), np.array([1, 3]))


def test_a_long_moment_is_looked_at_from_end_to_end():
    assert len(evenly(1000, 64)) == 64 and evenly(1000, 64)[[0, -1]].tolist() == [7, 992]
    assert most_of_each(10, 100) == segments.MOST_SEGMENTS and most_of_each(10**9, 10**6) == 1
    assert most_of_each(3000, 9984) * 3000 * 9984 * 2 <= segments.MOST_BYTES


def test_departures_are_in_the_length_of_their_moment():
    """Numbers of a moment and the mean of its departures are its numbers; a layer without direction has none."""
    own = np.array([[[3.0, 0.0], [1.0, 1.0]], [[5.0, 2.0], [1.0, 1.0]]])
    found = departures(own, np.array([[4.0, 1.0], [1.0, 1.0]]), np.array([[4.0, 0.0], [1.0, 1.0]]), (2, 2))
    np.testing.assert_allclose(found, np.array([[-1, -1, 0, 0], [1, 1, 0, 0]]) / np.sqrt(2), atol=1e-6)


def test_what_is_not_there_takes_no_part():
    own = SegmentSet(np.random.default_rng(0).standard_normal((5, 1, 4)).astype(np.float16), np.array([1, 4]))
    means = np.array([each.mean(axis=0) for each in own.each()], np.float32)
    found = TurnedSegments.of(means, own, np.zeros((1, 4), np.float32), (4,), np.eye(4, dtype=np.float32))
    assert found.mask.tolist() == [[True, False, False, False], [True] * 4]
    assert not found.turned[~found.mask].any() and not found.turned[0].any()
