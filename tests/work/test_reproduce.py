"""Reproducing: the same data folder gives the same digits, and what has changed is named."""

import json
from dataclasses import replace

import numpy as np
import pytest

from mess_core.cli.main import main
from mess_core.encoders.mel import MEL, MFCC
from mess_core.errors import ArtefactMismatchError, InputError
from mess_core.evaluation.kept import Evaluation, save_evaluation
from mess_core.probing.discovery import path_of, save
from mess_core.probing.probe import add_null, fit_cells
from mess_core.probing.result import ProbeSettings
from mess_core.search.evaluated import evaluation_path
from mess_core.storage.files import seal, unseal
from mess_core.storage.provenance import provenance
from mess_core.work.evaluate import evaluate_faithfulness
from mess_core.work.reproduce import reproduce
from mess_core.workspace.scope import Scope
from tests.planted import layered, plant_embeddings, plant_library

pytestmark = pytest.mark.slow

QUICK = ProbeSettings(alphas=(1.0, 100.0), n_repeats=2, n_bootstraps=50, n_permutations=19)


@pytest.fixture
def kept(home):
    """A library that was probed by a real encoder's id, and the file that says so."""
    plant_library(home, MEL, MFCC)
    gathered = Scope(home, "planted", MEL).gather("work", "track")
    result = add_null(fit_cells(gathered.data, QUICK), gathered.data)
    save(home.paths, MEL, gathered, result, "planted", "work")
    return home, path_of(home.paths, "planted", MEL, "work", "track", QUICK)


def test_the_same_folder_gives_the_same_digits(kept):
    home, path = kept
    before = path.read_bytes()
    found = reproduce(home, path)
    assert found.is_identical and found.n_numbers > 500 and found.changed == () and found.largest == 0.0
    assert found.sentences() == [f"Identical: all {found.n_numbers:,} numbers to the last digit."]
    assert path.read_bytes() == before, "nothing is written"


def test_what_a_result_was_made_with_is_kept(kept):
    _, path = kept
    made = json.loads(path.read_bytes())["provenance"]
    assert made["versions"].keys() >= {"mess", "numpy", "torch", "scikit-learn"} and made["threads"] >= 1
    assert len(made["audio"]) == 64 and made["baselines"].keys() == {"MFCC"} and made["date"][:2] == "20"
    assert MFCC.fingerprint in made["baselines"]["MFCC"]


def test_other_embeddings_are_named_and_measured(kept):
    """One track embedded anew: how far off, where, and since what."""
    home, path = kept
    ids = home.catalogue.track_ids("planted")
    plant_embeddings(home, MEL, {track_id: 2 * vectors for track_id, vectors in layered(ids[:1], MEL).items()})
    found = reproduce(home, path)
    assert not found.is_identical and 0 < found.largest < np.inf
    assert found.changed == ("the embeddings, or which tracks there are",)
    assert found.sentences()[0].startswith(f"Not identical: {found.n_different:,} numbers of")
    plant_embeddings(home, MFCC, {ids[0]: 3 * layered(ids[:1], MFCC)[ids[0]]})
    assert "the baseline MFCC" in reproduce(home, path).changed


def test_other_versions_are_named(kept):
    home, path = kept
    document = unseal(path.read_bytes(), "a")
    document["provenance"]["versions"]["numpy"] = "1.0"
    document["target_versions"]["tempo"] = 0
    path.write_bytes(seal(document))
    found = reproduce(home, path)
    assert found.is_identical and len(found.changed) == 2
    assert found.changed[0].startswith("numpy 1.0, now ") and found.changed[1] == "how tempo is measured"


def test_an_evaluation_is_reproduced_too(kept):
    home, _ = kept
    gathered = Scope(home, "planted", MEL).gather("work", "track")
    usual = replace(fit_cells(gathered.data, QUICK), settings=ProbeSettings(alphas=(10.0,), n_permutations=0))
    save(home.paths, MEL, gathered, replace(usual, settings=ProbeSettings()), "planted", "work")
    result = evaluate_faithfulness(Scope(home, "planted", MEL))
    content = Scope(home, "planted", MEL).content
    evaluation = Evaluation("planted", MEL.id, MEL.fingerprint, content, result, provenance())
    save_evaluation(Scope(home, "planted", MEL), evaluation, "faithfulness")
    found = reproduce(home, evaluation_path(Scope(home, "planted", MEL), "faithfulness"))
    assert found.is_identical and found.n_numbers > 50 and found.changed == ()
    save_evaluation(Scope(home, "planted", MEL), replace(evaluation, target_versions={"audio": 0}), "faithfulness")
    found = reproduce(home, evaluation_path(Scope(home, "planted", MEL), "faithfulness"))
    assert found.is_identical and found.changed == ("how audio is measured",)


def test_what_cannot_be_reproduced_is_one_sentence(kept, tmp_path):
    home, path = kept
    with pytest.raises(InputError, match="There is no file"):
        reproduce(home, tmp_path / "nosuch.json")
    other = tmp_path / "other.json"
    other.write_bytes(seal({"format": "mess-poem"}))
    with pytest.raises(InputError, match="no kept discovery or evaluation"):
        reproduce(home, other)
    path.write_bytes(seal({**unseal(path.read_bytes(), "a"), "format": "mess-discovery-3"}))
    with pytest.raises(ArtefactMismatchError, match="earlier version"):
        reproduce(home, path)


def test_on_the_command_line(kept, capsys):
    """Exit 0 if it is the same, 1 if not."""
    home, path = kept
    assert main(["--home", str(home.paths.root), "reproduce", str(path)]) == 0
    assert capsys.readouterr().out.startswith("Identical: all ")
    ids = home.catalogue.track_ids("planted")
    plant_embeddings(home, MEL, {ids[0]: 2 * layered(ids[:1], MEL)[ids[0]]})
    assert main(["--home", str(home.paths.root), "reproduce", str(path), "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["is_identical"] is False and document["changed"]
