"""Reproducing: the same data folder gives the same digits, and what has changed is named."""

import json
from dataclasses import replace

import numpy as np
import pytest

from mess_core.cli.main import main
from mess_core.encoders.mel import MEL, MFCC
from mess_core.errors import ArtefactMismatchError, InputError, MessError
from mess_core.evaluation.kept import Evaluation, save_evaluation
from mess_core.handover.exports import as_json
from mess_core.maps.drawing import make_map
from mess_core.maps.settings import MapSettings
from mess_core.probing.discovery import Discovery, path_of, read, save
from mess_core.probing.probe import add_null, fit_cells
from mess_core.probing.result import ProbeSettings
from mess_core.search.answers import answer, answer_passage, build_index, build_segment_index, make_plan, query_of
from mess_core.search.evaluated import evaluation_path
from mess_core.search.question import Question
from mess_core.storage.files import seal, unseal
from mess_core.storage.provenance import provenance
from mess_core.work.evaluate import evaluate_faithfulness
from mess_core.work.reproduce import reproduce
from mess_core.workspace.scope import Scope
from tests.planted import layered, plant_embeddings, plant_library

pytestmark = pytest.mark.slow

QUICKLY = MapSettings(n_neighbours=5)
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


# --- answers ------------------------------------------------------------------------------------------------

ASKED = [
    {},
    {"geometry": "measured", "aspects": {"brightness": 1.0}},
    {"avoid": ("tempo",), "max_per_work": 1, "composers": ("composer 1", "composer 2")},
    {"aspects": {"brightness": 2.0, "legato": 1.0}, "geometry": "direction"},
    {"like": ("{1}", "{2}"), "unlike": ("{3}",)},
    {"reverse": True},
    {"along": "brightness", "geometry": "measured", "reverse": True},
]


@pytest.fixture
def saved(kept, tmp_path):
    """Asks what is like the first track and saves the answer as Listen does; returns the file."""
    home, _ = kept
    gathered = Scope(home, "planted", MEL).gather("work", "track")
    usual = replace(fit_cells(gathered.data, QUICK), settings=ProbeSettings())
    save(home.paths, MEL, gathered, usual, "planted", "work")

    def ask(passage=None, **request):
        scope = Scope(home, "planted", MEL)
        ids = [track.track_id for track in scope.tracks]
        for key in request.keys() & {"like", "unlike"}:
            request[key] = tuple(each.format(*ids) for each in request[key])
        plan = make_plan(
            scope, Question(k=7, **request), scope.discovery_for_search(), is_of_passage=passage is not None
        )
        query = query_of(scope, scope.tracks[0])
        if passage is None:
            found = answer(build_index(plan), plan, query)
        else:
            found = answer_passage(build_segment_index(plan), plan, query, passage)
        path = tmp_path / "similar-to.json"
        path.write_text(as_json(found))
        return path

    return ask


@pytest.mark.parametrize("request_", ASKED)
def test_an_answer_is_asked_again(kept, saved, request_):
    """The same ranks and digits, whatever was asked."""
    home, _ = kept
    path = saved(**request_)
    n = len(json.loads(path.read_text())["results"])
    found = reproduce(home, path)
    assert found.is_identical and found.changed == () and found.n_found == n > 2 and found.n_numbers > 2 * n
    assert found.sentences()[1] == f"The ranks are the same: {n} recordings in the same order."


def test_a_passage_is_asked_again(kept, saved):
    home, _ = kept
    path = saved(passage=(0.0, 4.0))
    assert json.loads(path.read_text())["passage_s"] == [0.0, 4.0]
    assert reproduce(home, path).is_identical


def test_where_the_ranks_part_is_said(kept, saved):
    """Whoever came second is another now: embeddings changed, and that is named; so are other versions."""
    home, _ = kept
    path = saved()
    document = json.loads(path.read_text())
    second, last = document["results"][1]["track_id"], document["results"][-1]["track_id"]
    document["versions"]["numpy"] = "1.0"
    path.write_text(json.dumps(document))
    own = {each: layered([each], MEL)[each] for each in (second, last)}
    plant_embeddings(home, MEL, {second: -own[second]})
    found = reproduce(home, path)
    assert not found.is_identical and found.first_apart == 2 and found.changed[0].startswith("the embeddings")
    assert found.changed[1].startswith("numpy 1.0, now ")
    assert "The ranks differ from 2 on; only the first recording is the same." in found.sentences()


def test_an_answer_of_before_says_that_it_does_not_know(kept, saved):
    home, _ = kept
    path = saved()
    document = json.loads(path.read_text())
    path.write_text(json.dumps({k: v for k, v in document.items() if k not in ("content", "plan_key", "versions")}))
    found = reproduce(home, path)
    assert found.is_identical and "an earlier version saved it" in found.changed[0]


def test_measured_otherwise_is_named(kept, saved):
    home, _ = kept
    path = saved(geometry="measured", aspects={"brightness": 1.0})
    with home.database.transaction() as connection:
        connection.execute(
            "UPDATE targets SET value = 2 * value WHERE target = 'spectral_centroid' AND track_id = ?",
            (home.catalogue.track_ids("planted")[0],),
        )
    found = reproduce(home, path)
    assert not found.is_identical and found.changed == ("what was discovered or measured",)


def test_an_answer_whose_query_is_gone_is_one_sentence(kept, saved):
    home, _ = kept
    path = saved()
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "query": "/nowhere/gone.wav", "query_track_id": "0" * 16}))
    with pytest.raises(InputError, match=r"The query /nowhere/gone.wav is not in the catalogue.*Add that recording"):
        reproduce(home, path)


@pytest.mark.parametrize(
    "change",
    [
        {"request": {}}, {"request": []}, {"results": 3}, {"results": [3]}, {"encoder": 3}, {"passage_s": [1]},
        {"request": {"aspects": {}, "geometry": "spherical"}}, {"request": {"aspects": {}, "geometry": "auto", "x": 1}},
        {"request": {"aspects": {"nosuch": 1}, "geometry": "auto"}}, {"library": "nosuch"}, {"encoder": "nosuch"},
    ],
)  # fmt: skip
def test_an_answer_that_cannot_be_meant_is_one_sentence(kept, saved, change):
    home, _ = kept
    path = saved()
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(MessError):
        reproduce(home, path)


def test_a_map_is_drawn_again(kept):
    """Every view of it, that of the aspects included; nothing is written, and what has changed is named."""
    home, _ = kept
    scope = Scope(home, "planted", MEL)
    views = make_map(scope, QUICKLY)
    paths = sorted(path for path in home.paths.maps.rglob("*.json") if path.name != "current.json")
    assert len(paths) == len(views)
    before = {path: path.read_bytes() for path in home.paths.maps.rglob("*") if path.is_file()}
    for path in paths:
        found = reproduce(home, path)
        assert found.is_identical and found.n_numbers > 200 and found.changed == (), path.name
    assert {path: path.read_bytes() for path in home.paths.maps.rglob("*") if path.is_file()} == before
    ids = home.catalogue.track_ids("planted")
    plant_embeddings(home, MEL, {ids[0]: 2 * layered(ids[:1], MEL)[ids[0]]})
    found = reproduce(home, paths[-1])
    assert not found.is_identical and "the embeddings" in found.changed
    home.store.forget(ids[0], MEL.fingerprint)
    with pytest.raises(InputError, match="1 recording of this map has no embedding"):
        reproduce(home, paths[-1])


def test_a_map_that_is_none_is_one_sentence(kept, tmp_path):
    home, _ = kept
    path = tmp_path / "layer-00.json"
    path.write_text(json.dumps({"made_by": {}, "trust": {}, "seal": "x"}))
    with pytest.raises(ArtefactMismatchError, match="layer-00"):
        reproduce(home, path)


def test_what_else_a_file_is_is_said(kept, tmp_path):
    """With what to do about it, and which files can be computed again."""
    home, path = kept
    kept_document = Discovery.as_document(read(path))
    for document, what in (
        (kept_document, "what `probe --json` prints"),
        ({"target_versions": {}, "fingerprint": "x"}, "what `evaluate --json` prints"),
        ({"steps": [], "largest_step": 2}, "what `path --json` prints"),
        ({"a": 1}, "no result that MESS keeps"),
    ):
        other = tmp_path / "other.json"
        other.write_text(json.dumps(document))
        with pytest.raises(InputError, match=what) as caught:
            reproduce(home, other)
        assert "an answer saved as JSON" in caught.value.hint and "damaged" not in str(caught.value)


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
