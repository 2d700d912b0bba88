"""Indexes: exact search finds all, the others what can be computed by hand, and each says its size."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mess_core.cli.main import main
from mess_core.errors import DataMissingError
from mess_core.evaluation.indexes import K, measure_indexes, study_indexes
from mess_core.search.answers import build_index, make_plan
from mess_core.search.question import Question
from mess_core.search.rows import RowIndex
from mess_core.workspace.scope import Scope
from tests.planted import TWO_LAYERS, a_track, plant_embeddings, plant_tracks

N, DIM = 1500, 48


@pytest.fixture(scope="module")
def figures():
    """Unit vectors around many centres, so that neighbours are near."""
    rng = np.random.default_rng(0)
    items = rng.standard_normal((150, DIM))[rng.integers(0, 150, N)] + 0.5 * rng.standard_normal((N, DIM))
    items = (items / np.linalg.norm(items, axis=1, keepdims=True)).astype(np.float32)
    found, notices = measure_indexes(items, lambda rows: rows, 40)
    return items, {(each.name, each.setting): each for each in found}, notices


@pytest.mark.slow
def test_exact_search_is_exact_and_others_come_near(figures):
    """More bits, and more parts, find more; a hundred candidates hold more than ten."""
    _, found, notices = figures
    exact = found["exact", "every row"]
    assert (exact.recall, exact.low, exact.high, exact.recall_in_100) == (1.0, 1.0, 1.0, 1.0)
    assert found["hnsw", "as searches use it"].recall > 0.95 and found["ivf", "as searches use it"].recall > 0.7
    by_bits = [found["lsh", f"{bits} bits"].recall for bits in (256, 1024, 2048)]
    assert by_bits == sorted(by_bits) and by_bits[0] < 0.9 < by_bits[2]
    assert found["pq", "32 parts"].recall > 0.4
    assert found["codes", "the best 500 exactly"].recall == 1.0
    assert all(each.low <= each.recall <= each.high and each.recall <= each.recall_in_100 for each in found.values())
    assert all(0 < each.median_ms <= each.p95_ms for each in found.values()) and "above 200,000" in notices[-1]


@pytest.mark.slow
def test_lsh_is_what_it_says(figures):
    """The recall of 1024 bits is that of random planes drawn here: of as many, near enough."""
    items, found, _ = figures
    rng = np.random.default_rng(7)
    bits = items @ rng.standard_normal((DIM, 1024)) > 0
    asked = np.sort(np.random.default_rng(0).choice(N, 40, replace=False))
    shares = []
    for row in asked:
        truth = np.argsort(-(items @ items[row]), kind="stable")[1 : K + 1]
        nearest = np.argsort((bits != bits[row]).sum(axis=1), kind="stable")
        shares.append(len(np.intersect1d(nearest[nearest != row][:K], truth)) / K)
    assert found["lsh", "1024 bits"].recall == pytest.approx(np.mean(shares), abs=0.08)


@pytest.mark.slow
def test_sizes_are_those_of_what_is_kept(figures):
    _, found, _ = figures
    raw = N * DIM * 4
    assert found["exact", "every row"].size_bytes == raw
    assert raw < found["hnsw", "as searches use it"].size_bytes < 4 * raw
    assert raw / 2 <= found["ivf", "as searches use it"].size_bytes < raw
    assert found["codes", "the best 500 exactly"].size_bytes == N * DIM * 2
    codes = found["pq", "32 parts"].size_bytes
    assert N * 32 * 5 / 8 <= codes < raw / 2  # of 1,500 rows five bits are learned for each part


def test_the_rows_of_searches_know_their_size():
    rows = np.eye(8, dtype=np.float32)
    assert RowIndex(8, 8, lambda start, stop: rows[start:stop]).size_bytes == 8 * 8 * 4


@pytest.mark.slow
def test_a_library_is_measured(home, capsys):
    """On the command line; a small one says that it is."""
    rng = np.random.default_rng(3)
    ids = plant_tracks(home, [a_track(number) for number in range(60)])
    plant_embeddings(home, TWO_LAYERS, {track_id: rng.standard_normal((2, 6)) for track_id in ids[:49]})
    with pytest.raises(DataMissingError, match="49 recordings of 'planted' embedded by fake, expected 50"):
        study_indexes(Scope(home, "planted", TWO_LAYERS))
    plant_embeddings(home, TWO_LAYERS, {track_id: rng.standard_normal((2, 6)) for track_id in ids[49:]})
    study = study_indexes(Scope(home, "planted", TWO_LAYERS), n_queries=10)
    assert (study.n_tracks, study.n_columns, study.n_queries) == (60, 14, 10)
    assert {each.name for each in study.figures} == {"exact", "hnsw", "ivf", "codes", "lsh"}
    assert study.figures[0].recall == 1.0 and "PQ is left out" in study.notices[0]
    json.dumps(study.as_document(), allow_nan=False)
    assert main(["--home", str(home.paths.root), "evaluate", "indexes", "--library", "nosuch"]) == 2
    assert main(["--home", str(home.paths.root), "evaluate", "indexes", "--library", "planted"]) == 2
    assert "nano" in capsys.readouterr().err


@pytest.mark.slow
def test_a_library_above_the_budget_is_measured_on_as_many_as_it_holds(home, monkeypatch):
    """It says so, and what its own search finds."""
    rng = np.random.default_rng(3)
    ids = plant_tracks(home, [a_track(number) for number in range(90)])
    plant_embeddings(home, TWO_LAYERS, {track_id: rng.standard_normal((2, 6)) for track_id in ids})
    scope = Scope(home, "planted", TWO_LAYERS)
    monkeypatch.setenv("MESS_SEARCH_GB", str(60 * 14 * 4 / 1e9))
    build_index(make_plan(scope, Question(), None))
    study = study_indexes(scope, 20)
    assert study.n_tracks == 60 and study.notices[0].startswith("Measured on 60 seeded recordings of 90")
    assert "go by codes. Of the ten nearest it finds 100.0 %" in study.notices[1]
    monkeypatch.delenv("MESS_SEARCH_GB")
    assert study_indexes(scope, 20).n_tracks == 90
