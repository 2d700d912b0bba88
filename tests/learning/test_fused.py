"""Fused: a shared field counts as much as the teacher says, and never gives away what is taught."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mess_core.errors import InputError
from mess_core.learning import students
from mess_core.learning.course import Course
from mess_core.learning.fields import MOST_VALUES, Fields, usable_fields
from mess_core.learning.students import PLAIN, train, untrained
from mess_core.learning.trial import require_searchable, run_trial, teach
from mess_core.learning.triplets import Triplets
from tests.learning.worlds import moments

N = 90


def judged(weight: float, seed: int = 0) -> Course:
    """Answers of somebody who hears as the encoder does, and to whom one of two fields counts beside it."""
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((N, 1, 8)).astype(np.float32)
    found = moments([f"w{row // 3}" for row in range(N)], [None] * N, vectors)
    hall, shelf = (tuple(f"{value}" for value in rng.integers(3, size=N)) for _ in range(2))
    fields = usable_fields({"hall": hall, "shelf": shelf}, "judgements")
    units = vectors[:, 0] - vectors[:, 0].mean(axis=0)
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    alike = units @ units.T + weight * (np.array(hall)[:, None] == np.array(hall))
    rows = np.array([rng.permutation(N)[:3] for _ in range(1200)])
    is_wrong = alike[rows[:, 0], rows[:, 1]] < alike[rows[:, 0], rows[:, 2]]
    is_wrong ^= rng.random(len(rows)) < 0.1
    rows[is_wrong] = rows[is_wrong][:, [0, 2, 1]]
    return Course("judgements", found, (8,), triplets=Triplets(rows, np.ones(len(rows))), fields=fields)


def everything(course: Course) -> students.Lesson:
    return course.lesson(np.arange(N))


def test_a_field_that_counts_is_found_and_one_that_does_not_is_not():
    result = run_trial(judged(0.6), ("fused",), n_seeds=1)
    assert result.chosen == "fused" and result.figure("fused").gain > 0.05
    taught = train("fused", everything(judged(0.6)))
    weights = dict(zip(taught.names, taught.weights, strict=True))
    assert weights["hall"] > 0.3 and abs(weights["shelf"]) < 0.15


def test_where_no_field_counts_there_is_no_gain():
    result = run_trial(judged(0.0), ("fused",), n_seeds=1)
    assert result.chosen == PLAIN and abs(result.figure("fused").gain) < 0.02


def test_it_begins_as_search_is_and_compares_by_what_it_learned_on():
    import torch

    course = judged(0.6)
    lesson = everything(course)
    pupil = students._Pupil("fused", lesson, 0)
    vectors, rows = course.moments.vectors, np.arange(N)
    plain = untrained(PLAIN, lesson)
    points = plain.points(vectors)
    begun = pupil.taught().similarities(vectors, course.fields)
    np.testing.assert_allclose(begun, plain.similarities(points, points), atol=1e-6)
    with torch.no_grad():
        pupil.moving["weight"] += torch.tensor([0.5, -0.25])
        (asked,) = students._questions(pupil, *(np.ones(N, bool),) * 2)
        of_torch = pupil.similarities(None, asked).numpy()
    found = pupil.taught().similarities(vectors, course.fields.of(rows))
    np.testing.assert_allclose(found[asked.one.numpy(), asked.other.numpy()], of_torch, atol=1e-5)


def test_the_same_seed_learns_the_same():
    one, other = (train("fused", everything(judged(0.6)), 1) for _ in range(2))
    assert one.weights.tobytes() == other.weights.tobytes() and one.weights.any()


def test_without_fields_it_is_left_out():
    course = replace(judged(0.6), fields=None)
    result = run_trial(course, ("layers", "fused"), n_seeds=1)
    assert {each.name for each in result.figures if each.is_student} == {"layers"}


@pytest.mark.parametrize("name", ["attention", "fused"])
def test_search_is_not_given_what_it_cannot_go_by(name):
    with pytest.raises(InputError, match=f"The student {name} is tried, not searched by") as refused:
        teach(judged(0.6), name)
    assert "linear" in refused.value.hint and name not in refused.value.hint
    require_searchable("linear")


# --- fields -------------------------------------------------------------------------------------------------------

WORKS = [f"w{row // 5}" for row in range(60)]
PLAYERS: list[str | None] = [f"p{row % 5}" if row % 7 else None for row in range(60)]
COMPOSERS = [f"c{row // 30}" for row in range(60)]
HALLS = [f"h{row % 2}" for row in range(60)]
EVERY = {
    "composer": COMPOSERS, "performer": PLAYERS, "movement": WORKS, "work": WORKS, "hall": HALLS,
    "opus": [work.upper() for work in WORKS], "soloist": [player and player.upper() for player in PLAYERS],
}  # fmt: skip


@pytest.mark.parametrize(
    ("source", "taught", "kept"),
    [
        ("works", WORKS, {"hall", "soloist"}),
        ("performers", PLAYERS, {"composer", "movement", "work", "hall", "opus"}),
        ("judgements", None, set(EVERY)),
    ],
)
def test_what_is_taught_is_never_a_field_under_any_name(source, taught, kept):
    """Nor is what goes with the work (its composer), nor the taught name spelt in another way."""
    assert set(usable_fields(EVERY, source, taught).names) == kept


def test_a_mistyped_name_gives_it_away_all_the_same():
    nearly = [work.upper() for work in WORKS]
    nearly[0] = "W1"
    assert usable_fields({"opus": nearly}, "works", WORKS) is None


def test_what_all_share_or_nobody_does_is_no_field():
    columns = {
        "one": ["x"] * 60,
        "each": [f"{row}" for row in range(60)],
        "none": [None] * 60,
        "many": [f"{row % (MOST_VALUES + 1)}" for row in range(60)],
        "some": ["a", "b", "a", *[None] * 57],
    }
    assert usable_fields(columns, "judgements").names == ("some",)
    assert usable_fields({"one": columns["one"]}, "judgements") is None


def test_what_is_not_known_is_shared_with_nobody():
    fields = usable_fields({"some": ["a", None, None, "a", "b"]}, "judgements")
    rows = np.arange(5)
    shared = fields.shared(rows[:, None], rows[None, :])[..., 0]
    assert shared.tolist() == [[1, 0, 0, 1, 0], [0] * 5, [0] * 5, [1, 0, 0, 1, 0], [0, 0, 0, 0, 1]]
    assert isinstance(fields.of(rows[:2]), Fields) and len(fields.of(rows[:2]).codes) == 2
