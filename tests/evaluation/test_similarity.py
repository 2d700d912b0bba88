"""The study of similarity: planted answers, twins of each measure, laws."""

import dataclasses
import json

import numpy as np
import pytest
from scipy.linalg import sqrtm
from scipy.stats import ortho_group
from sklearn.covariance import ledoit_wolf
from sklearn.metrics.pairwise import cosine_similarity, euclidean_distances

from mess_core.errors import ArtefactMismatchError, InputError
from mess_core.evaluation.retrieval import RetrievalScore, rank_difference_ratio
from mess_core.evaluation.similarity import (
    MEASURES,
    SimilarityStudy,
    corrected,
    evaluate_similarity,
    in_geometry,
    inner_products,
    whiten,
)
from mess_core.search.geometry import LayerGeometry
from mess_core.search.hubness import Hubness, unit_vectors

N_WORKS, N_PERFORMERS, LAYERS, DIM = 12, 5, 2, 24
N = N_WORKS * N_PERFORMERS
WORKS = [f"work {row // N_PERFORMERS}" for row in range(N)]
PERFORMERS = [f"performer {row % N_PERFORMERS}" for row in range(N)]
ALL = np.arange(N)


def planted(seed: int = 0) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Layer 0 holds the work, layer 1 the performer and a number; both have a large common part."""
    rng = np.random.default_rng(seed)
    vectors = 0.1 * rng.standard_normal((N, LAYERS, DIM))
    vectors[:, 0] += np.repeat(rng.standard_normal((N_WORKS, DIM)), N_PERFORMERS, axis=0)
    vectors[:, 1, :16] += np.tile(rng.standard_normal((N_PERFORMERS, 16)), (N_WORKS, 1))
    angle = rng.uniform(0, 2, N)
    vectors[:, 1, 16], vectors[:, 1, 17] = 4 * np.cos(angle), 4 * np.sin(angle)
    return (5 + vectors).astype(np.float32), {"angle": angle, "noise": rng.standard_normal(N)}


@pytest.fixture(scope="module")
def study() -> SimilarityStudy:
    vectors, properties = planted()
    return evaluate_similarity(vectors, WORKS, PERFORMERS, properties, n_bootstraps=200)


def values(study: SimilarityStudy) -> np.ndarray:
    return np.array([figure.score.value for figure in study.figures])


def test_there_is_a_figure_for_every_task_measure_and_layer(study):
    per_task = len(MEASURES) * LAYERS + 2
    tasks = ("work", "performer", "angle", "noise")
    assert [f.task for f in study.figures] == [task for task in tasks for _ in range(per_task)]
    assert {(f.measure, f.layer) for f in study.figures} == {
        *((measure, layer) for measure in MEASURES for layer in range(LAYERS)),
        ("layer", None),
        ("layer, CSLS", None),
    }
    assert (study.n_tracks, study.n_groups) == (N, N_WORKS)
    assert set(study.hubness) == {"layer", "layer, CSLS"} and study.hubness["layer"].k == 10


def test_the_planted_layers_win(study):
    """Each task is answered by the layer that holds its answer, and by chance elsewhere."""
    for measure in ("cosine", "Euclidean", "centred", "CSLS", "whitened"):
        assert study.score("work", measure, 0).value == 1
        assert study.score("work", measure, 1).value < 0.3
        assert study.score("performer", measure, 1).low > 2 * study.score("performer", measure, 1).chance
        assert study.score("performer", measure, 0).value < 0.4
    assert study.score("angle", "centred", 1).high < 0.75
    for measure in MEASURES:
        for task, layer in (("angle", 0), ("noise", 0), ("noise", 1)):
            assert study.score(task, measure, layer).value == pytest.approx(1, abs=0.15)
    with pytest.raises(KeyError):
        study.score("work", "layer", 0)


def test_centring_takes_the_common_part_away(study):
    """Anisotropy: raw cosines near one, centred ones near zero."""
    for raw, centred in study.anisotropy:
        assert raw > 0.8 and abs(centred) < 0.05


@pytest.mark.slow
@pytest.mark.parametrize("task", ["work", "performer", "noise"])
def test_random_vectors_are_at_chance(task):
    """In the mean over layers exactly; the intervals, which take the library as given, mostly hold it."""
    rng = np.random.default_rng(1)
    vectors = rng.standard_normal((N, 30, DIM)).astype(np.float32)
    random = evaluate_similarity(vectors, WORKS, PERFORMERS, {"noise": rng.standard_normal(N)}, n_bootstraps=100)
    for measure in MEASURES:
        scores = [random.score(task, measure, layer) for layer in range(30)]
        off = np.array([score.value - score.chance for score in scores])
        assert abs(off.mean()) < 3 * off.std() / 30**0.5
        assert np.mean([score.low <= score.chance <= score.high for score in scores]) > 0.55


def test_measures_are_what_their_names_say():
    """scikit-learn's cosine and distance; in row order, also for a few queries."""
    vectors = planted()[0][:, 1].astype(np.float64)
    centred = vectors - vectors.mean(axis=0)
    truth = {
        "cosine": cosine_similarity(vectors),
        "Euclidean": -euclidean_distances(vectors),
        "dot": vectors @ vectors.T,
        "centred": cosine_similarity(centred),
    }
    far_off = MEASURES["Euclidean"](vectors + 1e7, ALL)
    assert np.allclose(far_off, truth["Euclidean"], atol=1e-6)  # a common part costs no digits
    rows = np.array([7, 3])
    for name, similarities in truth.items():
        assert np.allclose(MEASURES[name](vectors, ALL), similarities, atol=1e-6)
    for name, measure in MEASURES.items():
        assert np.allclose(measure(vectors, rows), measure(vectors, ALL)[rows]), name


@pytest.mark.parametrize("n", [N, 12])
def test_whitening_is_that_of_ledoit_and_wolf(n):
    """scikit-learn's covariance, its inverse root by scipy; with more and with fewer rows than dimensions."""
    vectors = planted()[0][:n, 1].astype(np.float64)
    centred = vectors - vectors.mean(axis=0)
    root = np.linalg.inv(sqrtm(ledoit_wolf(centred, assume_centered=True)[0]).real)
    expected = centred @ root
    assert np.allclose(whiten(vectors) @ whiten(vectors).T, expected @ expected.T)
    assert np.allclose(MEASURES["whitened"](vectors, np.arange(n)), cosine_similarity(expected))


def test_csls_by_hand(monkeypatch):
    """Mean of the ten nearest others on both sides; in blocks as in one piece."""
    units = unit_vectors(planted()[0][:, 0].astype(np.float64) - 5)
    cosines = units @ units.T
    used_to = np.array([np.sort(np.delete(row, i))[-10:].mean() for i, row in enumerate(cosines)])
    expected = 2 * cosines - used_to[:, None] - used_to
    assert np.allclose(corrected(inner_products, units, ALL), expected, atol=1e-5)
    monkeypatch.setattr("mess_core.evaluation.similarity.BLOCK_CELLS", 7 * N)
    assert np.allclose(corrected(inner_products, units, ALL), expected, atol=1e-5)


def test_layer_is_the_mean_over_layers_of_centred_cosines():
    """scikit-learn, layer by layer; also of a track that is the library's mean in one layer: similar to nothing."""
    vectors = planted()[0]
    vectors[4, 1] = np.delete(vectors[:, 1], 4, axis=0).mean(axis=0)
    centred = vectors - vectors.mean(axis=0, dtype=np.float64)
    centred[4, 1] = 0
    geometry = LayerGeometry.fit(vectors)
    expected = np.mean([cosine_similarity(centred[:, layer]) for layer in range(LAYERS)], axis=0)
    assert np.allclose(in_geometry(geometry)(geometry.items(vectors), ALL), expected, atol=1e-5)


def test_a_layer_without_direction_is_similar_to_nothing():
    """Copies of one track: no figure is better than another, and none is missing."""
    vectors = np.ones((N, 1, 3), np.float32) * np.array([0.1, 0.7, 3.3], np.float32)
    copies = evaluate_similarity(vectors, WORKS, PERFORMERS, {}, n_bootstraps=0)
    assert copies.anisotropy == ((pytest.approx(1), 0.0),)
    assert len({copies.score("work", measure, 0).value for measure in ("centred", "whitened", "CSLS")}) == 1


def test_what_counts_as_the_same_work():
    """Another performer's, or any if one is unknown; the same performer's other takes are neither right nor wrong."""
    works = ["a", "a", "a", "b", "b", None, None, "c"]
    performers = ["x", "x", "y", None, "x", "x", None, "z"]
    similarities = np.zeros((8, 8))
    similarities[0] = [9, 8, 1, 7, 6, 5, 4, 3]  # 1 is taken out; five wrong ones before 2: precision 1/6
    similarities[2, [0, 1]] = similarities[1, 2] = similarities[3, 4] = similarities[4, 3] = 9  # all others: 1
    vectors = np.random.default_rng(0).standard_normal((8, 1, 3)).astype(np.float32)
    score = evaluate_similarity(vectors, works, performers, {}, {"given": similarities}).score("work", "given")
    assert (score.n_queries, score.n_groups) == (5, 2)
    assert score.value == pytest.approx((4 + 1 / 6) / 5)


def test_a_performer_is_sought_in_other_works_only():
    """Among tracks with a known performer: 0 finds 4 before 7 (1), 4 finds 5 before 0 and 1 (1/2, 2/3)."""
    works = ["a", "a", "a", "b", "b", "c", None, "d"]
    performers = ["x", "x", "y", None, "x", "q", None, "z"]
    similarities = np.tile(-ALL[:8].astype(float), (8, 1))
    similarities[0] = [9, 8, 7, 6, 5, 4, 3, 2]
    similarities[4] = [3, 2, 0, 9, 9, 4, 8, -1]
    similarities[1] = similarities[0]
    vectors = np.random.default_rng(0).standard_normal((8, 1, 3)).astype(np.float32)
    score = evaluate_similarity(vectors, works, performers, {}, {"given": similarities}).score("performer", "given")
    assert (score.n_queries, score.n_groups) == (3, 2)
    assert score.value == pytest.approx((1 + 1 + (1 / 2 + 2 / 3) / 2) / 3)


def test_a_property_is_sought_in_other_works_only():
    """A number that all performances of a work share cannot be found by recognising the work."""
    vectors, _ = planted()
    of_work = np.random.default_rng(2).standard_normal(N_WORKS)[ALL // N_PERFORMERS]
    is_same_work = ALL[:, None] // N_PERFORMERS == ALL // N_PERFORMERS
    similarities = np.random.default_rng(3).standard_normal((N, N)) + 100 * is_same_work
    study = evaluate_similarity(
        vectors, WORKS, PERFORMERS, {"key": of_work}, {"given": similarities}, n_bootstraps=50, seed=4
    )
    truth = rank_difference_ratio(similarities, of_work, ~is_same_work, ALL // N_PERFORMERS, n_bootstraps=50, seed=4)
    assert study.score("key", "given").value == pytest.approx(truth.value) == pytest.approx(1, abs=0.15)


def test_a_track_is_never_its_own_neighbour():
    """Hubness is the same wherever a measure places the query itself."""
    vectors, _ = planted()
    similarities = np.random.default_rng(0).standard_normal((N, N))
    hubness = []
    for of_itself in (99.0, 0.0, -99.0, np.nan):
        np.fill_diagonal(similarities, of_itself)
        study = evaluate_similarity(vectors, WORKS, PERFORMERS, {}, {"given": similarities.copy()}, n_bootstraps=0)
        hubness.append(study.hubness["given"])
    assert len(set(hubness)) == 1


def test_extra_similarities_are_measures_too():
    """The truth itself, searched by, has the lowest ratio of all; its hubness is told as well."""
    vectors, properties = planted()
    oracle = -np.abs(properties["noise"][:, None] - properties["noise"])
    np.fill_diagonal(oracle, np.nan)
    done: list[tuple[int, int]] = []
    study = evaluate_similarity(
        vectors,
        WORKS,
        PERFORMERS,
        properties,
        {"direction": oracle},
        n_bootstraps=50,
        on_progress=lambda n_done, n_total: done.append((n_done, n_total)),
    )
    assert study.score("noise", "direction").value < 0.3
    assert set(study.hubness) == {"layer", "layer, CSLS", "direction"}
    n_measures = LAYERS * len(MEASURES) + 3
    assert done == [(i, n_measures) for i in range(1, n_measures + 1)]


def test_the_app_against_what_is_added_is_paired():
    """Against itself it gains exactly nothing; against noise what the two scores differ by, surely above 0."""
    vectors, properties = planted()
    items = LayerGeometry.fit(vectors).items(vectors)
    extra = {"itself": items @ items.T, "noise": np.random.default_rng(0).standard_normal((N, N))}
    study = evaluate_similarity(vectors, WORKS, PERFORMERS, properties, extra, n_bootstraps=100)
    itself, noise = study.above["itself"], study.above["noise"]
    assert (itself.low, itself.high) == (0.0, 0.0) and itself.value == 0.0 and itself.chance is None
    assert noise.value == pytest.approx(study.score("work", "layer").value - study.score("work", "noise").value)
    assert 0 < noise.low <= noise.value <= noise.high


def test_the_order_of_rows_changes_nothing(study):
    vectors, properties = planted()
    order = np.random.default_rng(0).permutation(N)
    moved = evaluate_similarity(
        vectors[order],
        [WORKS[row] for row in order],
        [PERFORMERS[row] for row in order],
        {name: column[order] for name, column in properties.items()},
        n_bootstraps=200,
    )
    assert np.allclose(values(moved), values(study), atol=1e-3)
    ends = [[(f.score.low, f.score.high) for f in of.figures] for of in (moved, study)]
    assert np.allclose(*ends, atol=1e-3)
    assert moved.hubness["layer"] == study.hubness["layer"]
    assert np.allclose(moved.anisotropy, study.anisotropy, atol=1e-6)


def test_a_rotation_changes_nothing(study):
    """No measure looks at single coordinates."""
    vectors, properties = planted()
    turned = (vectors @ ortho_group.rvs(DIM, random_state=0)).astype(np.float32)
    rotated = evaluate_similarity(turned, WORKS, PERFORMERS, properties, n_bootstraps=0)
    assert np.allclose(values(rotated), values(study), atol=5e-3)


def test_a_library_larger_than_its_queries_is_sampled():
    """The same sample by the same seed; everything is searched, only the sample asks."""
    vectors, properties = planted()
    asked = [
        evaluate_similarity(vectors, WORKS, PERFORMERS, properties, n_bootstraps=50, seed=seed, max_queries=20)
        for seed in (0, 0, 1)
    ]
    assert asked[0] == asked[1] != asked[2]
    score = asked[0].score("work", "centred", 0)
    assert (asked[0].n_tracks, score.n_queries) == (N, 20)
    assert score.value == 1 and score.chance == pytest.approx(asked[2].score("work", "centred", 0).chance)


def test_unknown_works_and_performers_are_no_error():
    """Nothing to find is a figure without a value, and no reason to correct."""
    vectors, properties = planted()
    study = evaluate_similarity(vectors, [None] * N, [None] * N, properties, n_bootstraps=50)
    nothing = RetrievalScore(None, None, None, None, 0, 0)
    assert study.score("work", "layer") == study.score("performer", "layer") == nothing
    assert study.score("angle", "layer").value < 1 and study.n_groups == N
    assert not study.csls_helps


def test_two_tracks_are_enough():
    vectors = np.random.default_rng(0).standard_normal((2, 1, 4)).astype(np.float32)
    study = evaluate_similarity(vectors, ["a", "a"], ["x", "y"], {"tempo": np.array([1.0, np.nan])})
    assert study.score("work", "layer") == RetrievalScore(1, None, None, 1, 2, 1)
    assert study.hubness["layer"].k == 1
    assert np.allclose(MEASURES["whitened"](vectors[:, 0].astype(np.float64), np.arange(2)), [[1, -1], [-1, 1]])
    assert SimilarityStudy.from_dict(study.to_dict()) == study


def test_csls_helps_only_if_hubs_go_and_works_stay(study):
    def changed(before: float, after: float, found: float) -> SimilarityStudy:
        hubness = {
            "layer": Hubness(10, before, 50, 0.1, 0.3),
            "layer, CSLS": Hubness(10, after, 20, 0.0, 0.2),
        }
        figures = tuple(
            dataclasses.replace(f, score=dataclasses.replace(f.score, value=found))
            if (f.task, f.measure) == ("work", "layer, CSLS")
            else f
            for f in study.figures
        )
        return dataclasses.replace(study, hubness=hubness, figures=figures)

    as_good = study.score("work", "layer").value
    assert changed(2.0, 1.0, as_good).csls_helps
    assert not changed(1.3, 1.0, as_good).csls_helps
    assert not changed(2.0, 2.1, as_good).csls_helps
    assert not changed(2.0, 1.0, as_good - 0.01).csls_helps


def test_json_keeps_everything(study):
    text = json.dumps(study.to_dict(), allow_nan=False)
    assert SimilarityStudy.from_dict(json.loads(text)) == study
    assert json.dumps(json.loads(text)) == text
    for damaged in ({"format": "other"}, {**study.to_dict(), "figures": [{}]}, {**study.to_dict(), "hubness": None}):
        with pytest.raises(ArtefactMismatchError, match="similarity study"):
            SimilarityStudy.from_dict(damaged)


def test_inputs_stay_as_they_are():
    vectors, properties = planted()
    extra = {"given": np.random.default_rng(0).standard_normal((N, N))}
    for array in (vectors, *properties.values(), *extra.values()):
        array.setflags(write=False)
    first, second = (
        evaluate_similarity(vectors, WORKS, PERFORMERS, properties, extra, n_bootstraps=20) for _ in range(2)
    )
    assert first == second


def test_what_does_not_fit_is_refused():
    vectors, _ = planted()
    holed = vectors.copy()
    holed[0, 0, 0] = np.nan
    for wrong in (vectors[0], vectors[:1], holed):
        with pytest.raises(InputError, match="all finite"):
            evaluate_similarity(wrong, WORKS[: len(wrong)], PERFORMERS[: len(wrong)], {})
    with pytest.raises(InputError, match="works has 1 entries"):
        evaluate_similarity(vectors, ["a"], PERFORMERS, {})
    with pytest.raises(InputError, match="tempo has 3 entries"):
        evaluate_similarity(vectors, WORKS, PERFORMERS, {"tempo": np.zeros(3)})
    with pytest.raises(InputError, match="another name"):
        evaluate_similarity(vectors, WORKS, PERFORMERS, {"work": np.zeros(N)})
    with pytest.raises(InputError, match="another name"):
        evaluate_similarity(vectors, WORKS, PERFORMERS, {}, {"layer": np.zeros((N, N))})
    with pytest.raises(InputError, match="direction has shape"):
        evaluate_similarity(vectors, WORKS, PERFORMERS, {}, {"direction": np.zeros((N, 2))})
    with pytest.raises(InputError, match="not finite"):
        evaluate_similarity(vectors, WORKS, PERFORMERS, {}, {"direction": np.full((N, N), np.nan)})


def test_the_same_instrument_is_looked_for_in_other_works() -> None:
    """Planted: sounds lie together by instrument; the query's own work counts neither way; without names, no task."""
    rng = np.random.default_rng(0)
    instruments = [["piano", "flute", "violin"][row % 3] for row in range(24)] + [None]
    works = [f"work {row // 3}" for row in range(24)] + ["alone"]
    place = {"piano": 0, "flute": 1, "violin": 2, None: 0}
    vectors = 0.01 * rng.standard_normal((25, 1, 4)).astype(np.float32)
    vectors[range(25), 0, [place[instrument] for instrument in instruments]] += 1
    study = evaluate_similarity(vectors, works, [None] * 25, {}, n_bootstraps=50, instruments=instruments)
    assert study.score("instrument", "cosine", 0).value == 1.0
    assert study.score("instrument", "cosine", 0).chance == pytest.approx(1 / 3, abs=0.1)
    one = evaluate_similarity(vectors, works, [None] * 25, {}, n_bootstraps=0, instruments=["piano"] * 25)
    assert {figure.task for figure in one.figures} == {"work", "performer"}
    with pytest.raises(InputError, match="instruments has 3 entries"):
        evaluate_similarity(vectors, works, [None] * 25, {}, instruments=["a"] * 3)
