"""The exported index: it ranks as the app does, and damage is named."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest

from mess_core.encoders.mel import MEL, MFCC
from mess_core.errors import ArtefactMismatchError, DataMissingError, InputError
from mess_core.evaluation.kept import load_evaluation
from mess_core.handover.folders import MANIFEST
from mess_core.handover.served import build_served, export_index, load_index
from mess_core.work.evaluate import EvaluateRequest
from mess_core.work.request import submit
from mess_core.workspace.scope import Scope
from mess_core.workspace.workspace import Workspace
from tests.conftest import work
from tests.handover.conftest import contents, forge, nearest
from tests.planted import TWO_LAYERS, plant_heard_library


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory) -> tuple[Workspace, list[str]]:
    home = Workspace(tmp_path_factory.mktemp("evaluated") / "home")
    return home, plant_heard_library(home, TWO_LAYERS, MEL)


def correct_hubs(home: Workspace, monkeypatch) -> None:
    """As if the correction had been seen to help."""
    from mess_core.handover import served
    from mess_core.search import answers

    for module in (answers, served):
        monkeypatch.setattr(module, "correction_helps", lambda scope, geometry: geometry == "layer")


@pytest.mark.slow
@pytest.mark.parametrize("is_corrected", [False, True])
def test_an_index_ranks_as_the_app_does(evaluated, tmp_path, monkeypatch, is_corrected):
    """The first ten of every track, and their similarities; by MESS, and by faiss alone with what the manifest says."""
    import faiss
    from safetensors.numpy import load_file

    home, ids = evaluated
    if is_corrected:
        plain = {track_id: nearest(home, track_id, "planted") for track_id in ids}
        correct_hubs(home, monkeypatch)
    export_index(Scope(home, "planted", MEL), tmp_path / "index")
    served = load_index(tmp_path / "index")
    assert served.corrects_hubs == is_corrected and served.track_ids == tuple(ids)
    rows = faiss.read_index(str(tmp_path / "index" / "index.faiss"))
    centre = load_file(tmp_path / "index" / "query.safetensors")["centre"]
    n_moved = 0
    for track_id in ids:
        embedding = home.store.read(track_id, MEL).mean
        expected = nearest(home, track_id, "planted")
        found = [(each.track_id, each.similarity) for each in served.nearest(embedding, 10, [track_id])]
        assert [name for name, _ in found] == [name for name, _ in expected]
        np.testing.assert_allclose([s for _, s in found], [s for _, s in expected], atol=1e-12)
        layers = embedding - centre
        vector = (layers / np.linalg.norm(layers, axis=-1, keepdims=True)).ravel() / len(layers)
        vector = np.append(vector, 1) if is_corrected else vector
        by_faiss = [ids[row] for row in rows.search(vector[None].astype(np.float32), 11)[1][0]]
        assert [name for name in by_faiss if name != track_id][:10] == [name for name, _ in expected]
        n_moved += is_corrected and [name for name, _ in plain[track_id]] != [name for name, _ in expected]
    assert n_moved > 0 or not is_corrected
    assert [[n.track_id for n in each] for each in served.nearest_of_each(3)] == [
        [name for name, _ in nearest(home, track_id, "planted", k=3)] for track_id in ids
    ]


@pytest.mark.slow
def test_hubs_are_corrected_where_the_evaluation_says_so(evaluated, tmp_path):
    """What the app goes by decides here as well."""
    home, _ = evaluated
    submit(home, EvaluateRequest("planted", MEL.id, "similarity"))
    work(home)
    kept = load_evaluation(Scope(home, "planted", MEL), "similarity")
    assert build_served(Scope(home, "planted", MEL))[0].corrects_hubs == kept.result.csls_helps


def test_an_index_is_verified(evaluated, tmp_path):
    home, _ = evaluated
    folder = tmp_path / "index"
    export_index(Scope(home, "planted", MEL), folder)
    whole = contents(folder)
    assert whole.keys() == {"index.faiss", "ids.txt", "query.safetensors", MANIFEST}
    export_index(Scope(home, "planted", MEL), folder)
    assert contents(folder) == whole
    for name, data in whole.items():
        for bad in (data[:-1], data[:10] + bytes([data[10] ^ 1]) + data[11:], None):
            (folder / name).unlink() if bad is None else (folder / name).write_bytes(bad)
            with pytest.raises(ArtefactMismatchError, match=name):
                load_index(folder)
        (folder / name).write_bytes(data)
    forge(folder, encoder=asdict(TWO_LAYERS), fingerprint=TWO_LAYERS.fingerprint)
    with pytest.raises(ArtefactMismatchError, match="do not belong together"):
        load_index(folder)
    forge(folder, files=[{"path": "../x", "size_bytes": 1, "sha256": ""}])
    with pytest.raises(InputError, match="leads out"):
        load_index(folder)
    with pytest.raises(DataMissingError, match="mfcc"):
        export_index(Scope(home, "planted", MFCC), tmp_path / "x")
