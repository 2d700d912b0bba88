"""Which layer is for whom: planted layers are named, and what is not shown is not said."""

import numpy as np
import pytest

from mess_core.evaluation.layer_choice import LayerChoice, advice, choose_layers
from mess_core.evaluation.retrieval import RetrievalScore
from mess_core.evaluation.similarity import SimilarityFigure, SimilarityStudy, evaluate_similarity

Interval = tuple[float, float, float]  # value, low, high


def study(task: str, layers: list[Interval | None], whole: Interval = (0.5, 0.4, 0.6), chance: float = 0.1):
    """A study of one task by hand; another measure, of which nothing must be taken, always does better."""

    def score(interval: Interval | None) -> RetrievalScore:
        value, low, high = interval or (None, None, None)
        return RetrievalScore(value, low, high, chance, 20, 10)

    figures = [SimilarityFigure(task, "centred", layer, score(each)) for layer, each in enumerate(layers)]
    figures += [SimilarityFigure(task, "whitened", layer, score((0.99, 0.98, 1.0))) for layer in range(len(layers))]
    return SimilarityStudy(40, 20, (*figures, SimilarityFigure(task, "layer", None, score(whole))), {}, ())


def test_named_is_the_best_with_all_whose_interval_overlaps_its_own():
    (choice,) = choose_layers(study("work", [(0.2, 0.1, 0.3), (0.6, 0.55, 0.65), (0.7, 0.6, 0.8), (0.5, 0.45, 0.59)]))
    assert choice.layers == (1, 2) and choice.best.value == 0.7
    assert advice([choice]) == (
        "For the same piece in other hands: layers 1–2 (0.70 of 1; all layers together 0.50; chance 0.10).",
    )


def test_of_a_property_the_smallest_is_the_best():
    (choice,) = choose_layers(study("tempo_bpm", [(0.9, 0.8, 1.0), (0.3, 0.2, 0.4), (0.6, 0.5, 0.7)], chance=1.0))
    assert advice([choice]) == ("For tempo: layer 1 (0.30 of the distance by chance; all layers together 0.50).",)


def test_a_measure_of_ours_is_called_by_its_title():
    (choice,) = choose_layers(study("velocity_std", [(0.9, 0.8, 1.0), (0.3, 0.2, 0.4)], chance=1.0))
    assert choice.question == "variety of touch"


def test_where_most_overlap_none_stands_out():
    """Two of three are no choice, nor are two of two; every task is counted in one sentence."""
    choices = [
        *choose_layers(study("work", [(0.5, 0.3, 0.7), (0.6, 0.4, 0.8)])),
        *choose_layers(study("instrument", [(0.5, 0.3, 0.7), (0.6, 0.4, 0.8), (0.2, 0.15, 0.25)])),
    ]
    assert [len(choice.layers) for choice in choices] == [2, 2]
    assert not any(choice.stands_out for choice in choices)
    (said,) = advice(choices)
    assert said == ("No layer stands out for the same piece in other hands and the same instrument in other pieces.")


@pytest.mark.parametrize(
    ("task", "layers", "chance"),
    [("performer", [(0.05, 0.02, 0.08), (0.15, 0.09, 0.2)], 0.1), ("rubato", [(1.5, 1.4, 1.6), (0.9, 0.8, 1.05)], 1.0)],
)
def test_what_chance_finds_as_well_is_not_recommended(task, layers, chance):
    (choice,) = choose_layers(study(task, layers, chance=chance))
    assert not choice.beats_chance and not choice.stands_out
    assert advice([choice]) == (f"No layer surely finds {choice.question} better than chance.",)


@pytest.mark.parametrize(
    "layers",
    [[(0.5, 0.3, 0.7)], [None, None], [None, (0.5, 0.3, 0.7)]],
    ids=["one layer", "nothing could be asked", "of one only"],
)
def test_where_there_is_nothing_to_choose_nothing_is_said(layers):
    assert choose_layers(study("work", layers)) == ()


def test_without_intervals_nothing_is_recommended():
    """One work: no interval can be drawn, so nothing is known to differ."""
    bare = [RetrievalScore(value, None, None, 0.1, 2, 1) for value in (0.2, 0.9)]
    figures = [SimilarityFigure("work", "centred", layer, score) for layer, score in enumerate(bare)]
    (choice,) = choose_layers(
        SimilarityStudy(4, 1, (*figures, SimilarityFigure("work", "layer", None, bare[0])), {}, ())
    )
    assert choice.layers == (0, 1) and not choice.stands_out


def test_planted_layers_are_found():
    """Layer 0 holds the work, layer 1 the performer, layer 2 neither."""
    rng = np.random.default_rng(0)
    n_works, n_performers, dim = 12, 5, 24
    vectors = 0.1 * rng.standard_normal((n_works * n_performers, 3, dim))
    vectors[:, 0] += np.repeat(rng.standard_normal((n_works, dim)), n_performers, axis=0)
    vectors[:, 1] += np.tile(rng.standard_normal((n_performers, dim)), (n_works, 1))
    works = [f"work {row // n_performers}" for row in range(len(vectors))]
    performers = [f"performer {row % n_performers}" for row in range(len(vectors))]
    found = evaluate_similarity(5 + vectors.astype(np.float32), works, performers, {}, n_bootstraps=200)
    choices: dict[str, LayerChoice] = {choice.task: choice for choice in choose_layers(found)}
    assert choices["work"].layers == (0,) and choices["performer"].layers == (1,)
    assert all(choice.stands_out for choice in choices.values())
