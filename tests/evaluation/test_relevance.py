"""Relevance of one's own: planted answers are found, chance is what it says, and another program measures the same."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, ndcg_score

from mess_core.cli.main import main
from mess_core.encoders.mel import MEL
from mess_core.errors import DataMissingError, InputError
from mess_core.evaluation.relevance import (
    ANY,
    MAP,
    MRR,
    RIGHT,
    evaluate_relevance,
    relevance_of_groups,
    relevance_of_pairs,
    relevance_of_triplets,
    said_of,
)
from mess_core.evaluation.similarity import MEASURES
from mess_core.handover.relevance import read_relevance, study_relevance
from mess_core.workspace.scope import Scope
from tests.planted import TWO_LAYERS, plant_library

N = 60


@pytest.fixture(scope="module")
def planted() -> tuple[np.ndarray, list[str], np.ndarray]:
    """Three layers; the groups of four are in layer 1 alone. Every recording is of a work of its own."""
    rng = np.random.default_rng(0)
    groups = np.arange(N) // 4
    vectors = rng.standard_normal((N, 3, 8)).astype(np.float32)
    vectors[:, 1] = 3 * rng.standard_normal((N // 4, 8))[groups] + 0.3 * rng.standard_normal((N, 8))
    return vectors, [f"g{group}" for group in groups], groups


def test_planted_groups_are_found_in_the_planted_layer(planted):
    vectors, labels, codes = planted
    study = evaluate_relevance(vectors, relevance_of_groups(labels, codes), 10, n_bootstraps=200)
    assert study.metrics == (MAP, MRR, "Recall@10", "nDCG@10") and study.n_queries == N and study.n_groups == N // 4
    for measure in MEASURES:
        found, other = (study.score(MAP, measure, layer) for layer in (1, 0))
        assert found.value > 0.7 and found.low > other.high and found.chance == other.chance
        assert other.low < found.chance + 0.1
    nested = {(each.metric, each.measure): each for each in study.nested}
    assert nested[MAP, "cosine"].chosen == ("layer 1",) * 5 and "layer 1" in nested[MAP, ANY].chosen[0]
    assert nested[MAP, "cosine"].score.value == pytest.approx(study.score(MAP, "cosine", 1).value)
    json.dumps(study.as_document(), allow_nan=False)
    assert said_of(study) == "60 queries of 15 works or groups, by groups, among 60 recordings."


def test_the_nested_choice_does_not_flatter_itself():
    """Of thirty layers of noise the best looks better than chance; the one chosen elsewhere does not."""
    rng = np.random.default_rng(1)
    vectors = rng.standard_normal((N, 30, 6)).astype(np.float32)
    codes = np.arange(N) // 4
    study = evaluate_relevance(vectors, relevance_of_groups([f"{code}" for code in codes], codes), n_bootstraps=200)
    best = max(study.score(MAP, "cosine", layer).value for layer in range(30))
    nested = next(each for each in study.nested if (each.metric, each.measure) == (MAP, "cosine"))
    assert best > nested.score.value and nested.score.low < nested.score.chance + 0.02


def test_triplets_are_right_or_not(planted):
    vectors, _, codes = planted
    triplets = [(row, row + 1, (row + 10) % N) for row in range(0, N, 4)]
    study = evaluate_relevance(vectors, relevance_of_triplets(triplets, codes), n_bootstraps=200)
    assert study.metrics == (RIGHT,) and study.score(RIGHT, "cosine", 1).value == 1
    assert study.score(RIGHT, "cosine", 1).chance == 0.5 and study.score(RIGHT, "cosine", 0).low < 0.7
    backwards = [(anchor, negative, positive) for anchor, positive, negative in triplets]
    turned = evaluate_relevance(vectors, relevance_of_triplets(backwards, codes), n_bootstraps=0)
    assert turned.score(RIGHT, "cosine", 1).value == 0


def graded(rng: np.random.Generator) -> dict[tuple[int, int], float]:
    """Up to five relevant tracks for each of twenty queries, of gains 1 to 3."""
    return {
        (query, int(row)): float(rng.integers(1, 4))
        for query in range(20)
        for row in rng.choice([row for row in range(N) if row != query], rng.integers(1, 6), replace=False)
    }


def test_figures_are_those_of_scikit_learn(planted):
    vectors, _, _ = planted
    pairs = graded(np.random.default_rng(2))
    relevance = relevance_of_pairs(pairs, np.arange(N))
    study = evaluate_relevance(vectors, relevance, 10, n_bootstraps=0)
    similarities = vectors[:, 0].astype(float) @ vectors[:, 0].T
    others = ~np.eye(N, dtype=bool)
    means = {MAP: [], "nDCG@10": []}
    for place, query in enumerate(relevance.rows):
        gains, scores = relevance.gains[place][others[query]], similarities[query][others[query]]
        means[MAP].append(average_precision_score(gains > 0, scores))
        means["nDCG@10"].append(ndcg_score([2.0**gains - 1], [scores], k=10))
    for metric, values in means.items():
        assert study.score(metric, "dot", 0).value == pytest.approx(np.mean(values), abs=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_figures_are_those_of_ranx(planted):
    ranx = pytest.importorskip("ranx", reason="ranx, the oracle, is not installed: pip install ranx")
    vectors, _, _ = planted
    pairs = graded(np.random.default_rng(3))
    study = evaluate_relevance(vectors, relevance_of_pairs(pairs, np.arange(N)), 10, n_bootstraps=0)
    similarities = vectors[:, 0].astype(float) @ vectors[:, 0].T
    qrels: dict[str, dict[str, int]] = {}
    for (query, row), gain in pairs.items():
        qrels.setdefault(f"q{query}", {})[f"d{row}"] = int(gain)
    run = {
        query: {f"d{row}": float(similarities[int(query[1:]), row]) for row in range(N) if row != int(query[1:])}
        for query in qrels
    }
    names = {MAP: "map", MRR: "mrr", "Recall@10": "recall@10", "nDCG@10": "ndcg_burges@10"}
    found = ranx.evaluate(ranx.Qrels(qrels), ranx.Run(run), list(names.values()))
    for metric, name in names.items():
        assert study.score(metric, "dot", 0).value == pytest.approx(found[name], abs=1e-6), metric


@pytest.mark.slow
def test_chance_is_what_random_rankings_give():
    rng = np.random.default_rng(4)
    relevance = relevance_of_pairs(graded(rng), np.arange(N))
    studies = [
        evaluate_relevance(rng.standard_normal((N, 1, 4)).astype(np.float32), relevance, 5, n_bootstraps=0)
        for _ in range(60)
    ]
    for metric in studies[0].metrics:
        mean = np.mean([study.score(metric, "cosine", 0).value for study in studies])
        assert mean == pytest.approx(studies[0].score(metric, "cosine", 0).chance, rel=0.1), metric


# --- from a table ---------------------------------------------------------------------------------------------


@pytest.fixture
def scope(home) -> Scope:
    plant_library(home, TWO_LAYERS)
    return Scope(home, "planted", TWO_LAYERS)


def write(tmp_path, text: str):
    path = tmp_path / "labels.csv"
    path.write_text(text, "utf-8")
    return path


@pytest.mark.slow
def test_a_table_says_by_its_columns_what_it_is(scope, tmp_path):
    ids = scope.embeddings().track_ids
    path = write(
        tmp_path, f"query,track,gain\n{ids[0]},{ids[1]},3\n{ids[0]},t1,\n{ids[2]},nosuch,1\n{ids[2]},{ids[3]},0\n"
    )
    found = read_relevance(scope, path, ids)
    assert found.kind == "pairs" and found.rows.tolist() == [0] and found.gains.max() == 3 and found.n_vanished == 1
    path = write(tmp_path, "title,group\n" + "".join(f"t{n},{n % 4}\n" for n in range(12)) + "nosuch,1\n")
    found = read_relevance(scope, path, ids)
    assert found.kind == "groups" and len(found.rows) == 12 and (found.gains.sum(axis=1) == 2).all()
    assert found.drawn == "work" and len(set(found.groups.tolist())) == 6  # works cross groups: two would be left
    path = write(tmp_path, f"anchor,positive,negative\n{ids[0]},{ids[1]},{ids[2]}\n{ids[0]},{ids[0]},{ids[2]}\n")
    found = read_relevance(scope, path, ids)
    assert found.kind == "triplets" and found.triplets.tolist() == [[1, 2]] and found.n_vanished == 1


@pytest.mark.slow
def test_a_table_that_says_nothing_is_a_sentence(scope, tmp_path):
    ids = scope.embeddings().track_ids
    for text, error, why in (
        ("a,b\n1,2\n", InputError, "does not say what is relevant"),
        (f"query,track,gain\n{ids[0]},{ids[1]},much\n", InputError, "gain 'much', expected 0 to 30"),
        (f"track_id,group\n{ids[0]},a\n{ids[0]},b\n", InputError, "in 'a' already"),
        ("query,track\nno,way\n", DataMissingError, "is embedded by fake"),
    ):
        with pytest.raises(error, match=why):
            read_relevance(scope, write(tmp_path, text), ids)
    path = write(tmp_path, f"query,track\n{ids[0]},{ids[1]}\n")
    with pytest.raises(InputError, match="k is 0"):
        study_relevance(scope, path, 0)


@pytest.mark.slow
def test_the_verb(home, tmp_path, capsys):
    ids = plant_library(home, MEL)
    path = write(tmp_path, "title,group\n" + "".join(f"t{n},{n // 4}\n" for n in range(len(ids))))
    base = ["--home", str(home.paths.root), "evaluate", "similarity", "--library", "planted", "--encoder", "mel"]
    assert main([*base, "--relevance", str(path), "-k", "3", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["kind"] == "groups" and document["k"] == 3 and document["encoder"] == "mel"
    assert {each["metric"] for each in document["figures"]} == {"MAP", "MRR", "Recall@3", "nDCG@3"}
    assert main([*base, "--relevance", str(path)]) == 0
    assert "chosen elsewhere" in capsys.readouterr().out
    base[3] = "faithfulness"
    assert main([*base, "--relevance", str(path)]) == 2
