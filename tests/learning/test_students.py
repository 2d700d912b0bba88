"""Students: they find what was planted, begin where search is, and give search what they learned."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mess_core.errors import InputError
from mess_core.learning import students
from mess_core.learning.losses import candidate_loss, dependence, triplet_loss
from mess_core.learning.students import PLAIN, STUDENTS, TRIED_ONLY, Lesson, train, untrained
from mess_core.learning.teachers import label_set
from mess_core.learning.triplets import Triplets
from mess_core.search.geometry import LayerGeometry
from tests.learning.worlds import course

PLANTED = np.array([0.4, 0.25, 0.2, 0.1, 0.05, 0.0])  # of six layers
N_ANSWERS, LAPSES = 300, 0.1


def judged(seed: int) -> Lesson:
    """Three hundred answers of somebody who weighs six layers so, and answers at random one time in ten."""
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((120, 6, 12)).astype(np.float32)
    centred = vectors - vectors.mean(axis=0)
    units = centred / np.linalg.norm(centred, axis=2, keepdims=True)
    heard = np.einsum("l,ald,bld->ab", PLANTED, units, units)
    rows = np.array([rng.permutation(120)[:3] for _ in range(N_ANSWERS)])
    is_wrong = heard[rows[:, 0], rows[:, 1]] < heard[rows[:, 0], rows[:, 2]]
    is_lapse = rng.random(N_ANSWERS) < LAPSES
    is_wrong = np.where(is_lapse, rng.random(N_ANSWERS) < 0.5, is_wrong)
    rows[is_wrong] = rows[is_wrong][:, [0, 2, 1]]
    triplets = Triplets(rows, np.ones(N_ANSWERS))
    return Lesson(vectors, (12,) * 6, tuple(f"w{row}" for row in range(120)), triplets=triplets)


def layer_weights(lesson: Lesson, seed: int = 0) -> np.ndarray:
    squares = train("layers", lesson, seed).scale.reshape(len(lesson.widths), -1)[:, 0] ** 2
    return squares / squares.sum()


@pytest.mark.parametrize("seed", range(4))
def test_planted_weights_of_layers_come_back(seed):
    """Correlation of the weights with what was planted, from three hundred answers of which one in ten is a lapse."""
    weights = layer_weights(judged(seed))
    assert np.corrcoef(weights, PLANTED)[0, 1] >= 0.95


def test_answers_at_random_give_no_weights():
    """The same with the answers shuffled: nothing is recovered, so the test above can fail."""
    lesson = judged(0)
    rng = np.random.default_rng(1)
    rows = lesson.triplets.rows.copy()
    flipped = rng.random(len(rows)) < 0.5
    rows[flipped] = rows[flipped][:, [0, 2, 1]]
    weights = layer_weights(replace(lesson, triplets=Triplets(rows, np.ones(len(rows)))))
    assert np.corrcoef(weights, PLANTED)[0, 1] < 0.9


def lesson_of(seed: int = 0, **facts: float) -> Lesson:
    made = course(np.random.default_rng(seed), **facts)
    return made.lesson(np.arange(len(made.moments)))


def test_search_is_where_it_begins():
    """`centred` ranks as the geometry that search has without learning."""
    lesson = lesson_of()
    geometry = LayerGeometry.fit(lesson.vectors)
    items = geometry.items(lesson.vectors)
    transform = untrained(PLAIN, lesson)
    points = transform.points(lesson.vectors)
    expected = geometry.similarities(items[0], items)[:, -1]
    np.testing.assert_allclose(transform.similarities(points[:1], points)[0], expected, atol=1e-5)


@pytest.mark.parametrize("name", [name for name in STUDENTS if name not in TRIED_ONLY])
def test_the_same_seed_learns_the_same(name):
    lesson = lesson_of(n_works=6)
    one, other = (train(name, replace(lesson), seed=3) for _ in range(2))
    for a, b in zip(
        (one.scale, *(s.weight for s in one.steps)), (other.scale, *(s.weight for s in other.steps)), strict=True
    ):
        assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize("name", ["predicted", "linear", "mlp"])
def test_what_is_rated_is_found_below_the_piece(name):
    """Of recordings of new pieces the student tells triplets better than search, which hears the room."""
    made = course(np.random.default_rng(0), n_works=40, manner=0.5, noise=0.4, room=1.0)
    rows = np.arange(len(made.moments))
    seen, new = rows[: 30 * 6], rows[30 * 6 :]
    lesson = made.lesson(seen)
    triplets = made.triplets.among(new, len(rows)).rows

    def accuracy(transform):
        points = transform.points(made.moments.vectors[new])
        alike = transform.similarities(points, points)
        return float((alike[triplets[:, 0], triplets[:, 1]] > alike[triplets[:, 0], triplets[:, 2]]).mean())

    assert accuracy(train(name, lesson)) > accuracy(untrained(PLAIN, lesson)) + 0.05


@pytest.mark.parametrize("name", ["layers", "diagonal", "linear", "mlp"])
def test_search_gets_what_was_learned(name):
    """Similarities by NumPy, from embeddings, are those of torch while it learned, the hidden layer included."""
    import torch

    lesson = lesson_of(n_works=6)
    pupil = students._Pupil(name, lesson, 0)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in pupil.moving.values():
            value += 0.3 * torch.randn(value.shape, generator=generator)
        pupil.moving["scale"].fill_(0.0)
        (asked,) = students._questions(pupil, *(np.ones(len(lesson.vectors), bool),) * 2)
        points = pupil.points() if pupil.has_points else None
        of_torch = pupil.similarities(points, asked).numpy()
    transform = pupil.taught()
    found = transform.points(lesson.vectors)
    of_search = transform.similarities(found, found)[np.arange(len(found))[:, None], asked.other.numpy()]
    np.testing.assert_allclose(of_search, of_torch, rtol=1e-3, atol=1e-3)


def test_nobody_else_can_be_taught():
    with pytest.raises(InputError, match="no student 'genius'"):
        train("genius", lesson_of(n_works=6))
    with pytest.raises(InputError, match="nothing here that this student could learn from"):
        train("linear", replace(lesson_of(n_works=6), candidates=()))
    with pytest.raises(InputError, match="no numbers to read"):
        train("predicted", replace(lesson_of(n_works=6), targets=None))


def test_a_number_that_is_only_rounding_is_not_blown_up():
    """A unit that never answers differs by rounding alone; what is read off it is nothing, and stays possible."""
    lesson = lesson_of(n_works=6)
    vectors = lesson.vectors.copy()
    vectors[..., 0] = 1e-7 * np.random.default_rng(0).standard_normal(vectors.shape[:-1])
    weights = train("predicted", replace(lesson, vectors=vectors)).steps[0].weight
    assert not weights[0].any() and np.abs(weights).max() < 1e3


def test_what_sounds_all_alike_is_refused():
    lesson = lesson_of(n_works=6)
    alike = replace(lesson, vectors=np.ones_like(lesson.vectors), spans=None, targets=None)
    with pytest.raises(InputError, match="sound alike to this encoder"):
        train("linear", alike)


# --- losses -----------------------------------------------------------------------------------------------------


def test_the_candidate_loss_is_cross_entropy():
    import torch

    scores, wanted = (
        torch.tensor([[1.0, 2.0, 9.0], [0.0, 0.0, 0.0]]),
        torch.tensor([[0.25, 0.75, 0.0], [0.0, 0.0, 0.0]]),
    )
    mask = torch.tensor([[True, True, False], [True, True, True]])
    log_p = np.array([1.0, 2.0]) - np.log(np.exp([1.0, 2.0]).sum())
    assert float(candidate_loss(scores, wanted, mask)) == pytest.approx(-(0.25 * log_p[0] + 0.75 * log_p[1]), abs=1e-6)


def test_the_triplet_loss_forgives_a_lapse():
    """However sure and wrong, one answer costs at most -log of half the share of lapses."""
    import torch

    worst = triplet_loss(torch.tensor([-1e6]), torch.tensor([1e6]), torch.ones(1))
    even = triplet_loss(torch.zeros(1), torch.zeros(1), torch.ones(1))
    assert float(worst) == pytest.approx(-np.log(0.05), abs=1e-5) and float(even) == pytest.approx(np.log(2), abs=1e-6)


def test_dependence_is_of_labels_and_not_of_noise():
    import torch

    labels = torch.arange(6).repeat_interleave(10)
    told = torch.eye(6)[labels]
    noise = torch.randn(60, 6, generator=torch.Generator().manual_seed(0))
    assert float(dependence(told, labels)) == pytest.approx(1, abs=1e-5)
    assert float(dependence(noise, labels)) < 0.3


def test_hiding_the_piece_hides_it():
    """Points that are taught to tell performers tell less of the piece where that is asked."""
    import torch

    rng = np.random.default_rng(0)
    works, players = np.repeat(np.arange(12), 6), np.tile(np.arange(6), 12)
    own = rng.standard_normal((6, 10))[players] + 2 * rng.standard_normal((12, 10))[works]
    vectors = (own + 0.3 * rng.standard_normal(own.shape))[:, None].astype(np.float32)
    allowed = works[:, None] != works
    lesson = Lesson(
        vectors, (10,), tuple(f"w{work}" for work in works),
        candidates=(label_set(players, allowed, rng, 64),),
    )  # fmt: skip
    told = []
    for hide in (None, works):
        points = train("linear", replace(lesson, hide=hide)).points(vectors)
        units = points / np.linalg.norm(points, axis=1, keepdims=True)
        told.append(float(dependence(torch.from_numpy(units), torch.from_numpy(works))))
    assert told[1] < told[0]
