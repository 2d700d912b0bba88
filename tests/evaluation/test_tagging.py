"""Tagging: the area under the ROC curve against its definition and an oracle, and planted names."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from mess_core.cli.main import main
from mess_core.encoders.vocabulary import PUBLISHED
from mess_core.evaluation.tagging import FEWEST, check_tags, meant_in, roc_auc
from tests.planted import a_track, plant_tags, plant_tracks

pytestmark = pytest.mark.slow


def test_the_area_is_that_of_the_oracle() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        strengths = rng.integers(0, 12, 40) / 12  # with equals
        is_it = rng.random(40) < 0.3
        is_it[:2] = True, False
        weights = rng.integers(0, 4, 40).astype(float)
        weights[:2] = 1
        assert roc_auc(strengths, is_it) == pytest.approx(roc_auc_score(is_it, strengths))
        weighted = roc_auc_score(is_it, strengths, sample_weight=weights)
        assert roc_auc(strengths, is_it, weights) == pytest.approx(weighted)


def test_laws_of_the_area() -> None:
    strengths, is_it = np.array([0.1, 0.2, 0.3, 0.4]), np.array([False, False, True, True])
    assert roc_auc(strengths, is_it) == 1 and roc_auc(strengths, ~is_it) == 0
    assert roc_auc(strengths**3, is_it) == 1 and roc_auc(np.ones(4), is_it) == 0.5
    assert np.isnan(roc_auc(strengths, np.ones(4, bool)))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Violin & Piano", {"violin", "piano"}),
        ("female singer", {"female voice"}),
        ("string orchestra", {"strings"}),
        ("harpsichord", {"harpsichord"}),
        ("clarinet", set()),
        ("", set()),
    ],
)
def test_names_mean_words(text, words) -> None:
    assert meant_in(text) == words


@pytest.fixture
def named(home) -> str:
    """Violins are heard as such but for one; guitars as much as all others; harps are too few to say."""
    rng = np.random.default_rng(0)
    instruments = [*["violin"] * 10, *["guitar"] * 10, *["harp"] * (FEWEST - 1), None]
    ids = plant_tracks(
        home, [a_track(n, work=f"work {n}", composer="C", instrument=name) for n, name in enumerate(instruments)]
    )
    names = {track.track_id: track.instrument for track in home.catalogue.tracks("planted")}
    heard = {}
    for track_id in ids:
        is_violin = names[track_id] == "violin"
        heard[track_id] = {
            "mtt:violin": rng.uniform(0.5, 0.9) if is_violin else rng.uniform(0.1, 0.4),
            "mtt:guitar": rng.uniform(0.1, 0.9),
        }
    plant_tags(home, heard)
    return "planted"


def test_planted_names_are_found(home, named) -> None:
    figures = {figure.word: figure for figure in check_tags(home, named)}
    assert figures.keys() == {"violin", "guitar"}
    violin, guitar = figures["violin"], figures["guitar"]
    assert (violin.n_with, violin.n_without) == (10, 10 + FEWEST - 1)
    assert violin.auc == violin.low == violin.high == 1
    assert guitar.low < guitar.auc < guitar.high and guitar.low < 0.5 < guitar.high
    assert violin.published == {"mtt": PUBLISHED["mtt"]} and guitar.published == PUBLISHED


def test_the_check_on_the_command_line(home, named, capsys) -> None:
    assert main(["--home", str(home.paths.root), "tags", "--check", "--library", named, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [figure["word"] for figure in document["figures"]] == ["violin", "guitar"]
    assert main(["--home", str(home.paths.root), "tags", "--check", "--library", named]) == 0
    assert "violin" in capsys.readouterr().out
