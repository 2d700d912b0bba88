"""MLflow, if asked for: what is logged comes back, and without MLflow the flag says so before the work."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from mess_core.cli import tracking
from mess_core.cli.main import main
from mess_core.encoders.base import EncoderInfo
from mess_core.encoders.registry import encoder_info
from mess_core.errors import DependencyMissingError, StorageError
from mess_core.probing.data import ProbeData
from mess_core.probing.discovery import Discovery, Gathered, save
from mess_core.probing.paired import compare_runs
from mess_core.probing.probe import fit_cells
from mess_core.probing.result import ProbeSettings
from mess_core.workspace.scope import Scope
from mess_core.workspace.workspace import Workspace

N_TRACKS, N_LAYERS = 30, 3


@pytest.fixture
def info(home: Workspace) -> EncoderInfo:
    return encoder_info("mel", home.paths)


@pytest.fixture
def discovery(home: Workspace, info: EncoderInfo) -> Discovery:
    """Of random vectors; one target is in the middle layer, one is the same everywhere."""
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((N_TRACKS, N_LAYERS, 4)).astype(np.float32)
    targets = {"tempo": vectors[:, 1, 0].astype(float), "dynamic_range": np.ones(N_TRACKS)}
    row_ids = tuple(f"t{row:02d}" for row in range(N_TRACKS))
    data = ProbeData(vectors, targets, row_ids)
    result = fit_cells(data, ProbeSettings(alphas=(0.1, 1.0), n_bootstraps=50, n_permutations=0))
    gathered = Gathered(data, row_ids, content="c0ffee", n_tracks=N_TRACKS, n_without_work=N_TRACKS)
    return save(home.paths, info, gathered, result, "Études / 1", "work")


@pytest.fixture
def without_mlflow(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "mlflow"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "mlflow", None)  # Python then raises ImportError


def client_of(home: Workspace):
    pytest.importorskip("mlflow", reason="MLflow is optional: pip install -r requirements-extra.txt")
    pytest.importorskip("alembic", reason="MLflow's store is optional: pip install -r requirements-extra.txt")
    from mlflow import MlflowClient

    return MlflowClient(f"sqlite:///{home.paths.root / 'mlflow.sqlite'}")


@pytest.mark.filterwarnings("ignore")  # MLflow's own
def test_a_probe_comes_back_with_its_profile_and_its_file(home, discovery):
    client = client_of(home)
    run = client.get_run(tracking.log_probe(home.paths, discovery, 1.5))
    assert run.info.status == "FINISHED" and run.data.metrics["seconds"] == 1.5
    expected = {
        "encoder": "mel",
        "fingerprint": discovery.fingerprint,
        "library": "Études / 1",
        "group": "work",
        "level": "track",
        "alphas": "(0.1, 1.0)",
        "n_folds": "5",
        "n_permutations": "0",
        "seed": "0",
        "n_tracks": str(N_TRACKS),
        "n_groups": str(N_TRACKS),
        "content": "c0ffee",
    }
    assert expected.items() <= run.data.params.items()
    assert '"audio":' in run.data.params["target_versions"]
    profile = {metric.step: metric.value for metric in client.get_metric_history(run.info.run_id, "r2.tempo")}
    assert profile == {layer: discovery.result.cell(layer, "tempo").r2 for layer in range(N_LAYERS)}
    assert "r2.dynamic_range" not in run.data.metrics  # there is no such number
    (artefact,) = (home.paths.root / "mlflow-artifacts").rglob("*.json")
    (kept,) = (home.paths.root / "probing").rglob("*.json")
    assert artefact.read_bytes() == kept.read_bytes()


@pytest.mark.filterwarnings("ignore")
def test_an_extraction_comes_back_and_runs_add_up(home, info):
    client = client_of(home)
    run = client.get_run(tracking.log_extraction(Scope(home, "demo", info), 2, 30, 1.5))
    assert run.data.metrics == {"seconds": 1.5, "n_tracks": 2, "n_segments": 30, "segments_per_second": 20}
    assert run.data.params["encoder"] == "mel" and run.data.params["fingerprint"] == info.fingerprint
    tracking.log_extraction(Scope(home, "demo", info), 0, 0, 0.0)
    assert len(client.search_runs([run.info.experiment_id])) == 2


@pytest.mark.filterwarnings("ignore")
def test_a_store_that_is_none_is_a_sentence(home):
    client_of(home)
    (home.paths.root / "mlflow.sqlite").write_bytes(b"not a database" * 100)
    with pytest.raises(StorageError, match=r"MLflow refused: .*Move .*mlflow\.sqlite away"):
        tracking.open_store(home.paths)


@pytest.mark.filterwarnings("ignore")
def test_the_command_line_logs_what_it_did(tmp_path, write_wav, capsys):
    home = Workspace(tmp_path / "home")
    client = client_of(home)
    main(["--home", str(home.paths.root), "add", str(write_wav("a", 6.0).parent)])
    capsys.readouterr()
    assert main(["--home", str(home.paths.root), "extract", "--encoder", "mel", "--mlflow"]) == 0
    (experiment,) = client.search_experiments(filter_string=f"name = '{tracking.EXTRACTION}'")
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.data.metrics["n_tracks"], run.data.params["library"]) == (1, "all")
    assert run.data.metrics["n_segments"] == len(home.store.read(*embedded(home)).segments)
    assert capsys.readouterr().err == ""


def embedded(home: Workspace) -> tuple[str, EncoderInfo]:
    return home.catalogue.track_ids("all")[0], encoder_info("mel", home.paths)


def test_without_mlflow_the_cure_is_named(home, without_mlflow):
    with pytest.raises(DependencyMissingError, match=r"--mlflow needs MLflow.* pip install -r requirements-extra\.txt"):
        tracking.open_store(home.paths)
    assert not list(home.paths.root.glob("mlflow*"))


@pytest.mark.parametrize("verb", ["extract", "probe"])
def test_without_mlflow_nothing_is_begun(verb, tmp_path, write_wav, without_mlflow, capsys):
    folder = str(tmp_path / "home")
    main(["--home", folder, "add", str(write_wav("a").parent)])
    capsys.readouterr()
    home = Workspace(tmp_path / "home")
    assert main(["--home", folder, verb, "--encoder", "mel", "--mlflow"]) == 2
    assert "pip install -r requirements-extra.txt" in capsys.readouterr().err
    assert home.jobs.latest(verb) is None  # nothing was queued


@pytest.mark.filterwarnings("ignore")  # MLflow's own
def test_a_comparison_comes_back_layer_by_layer(home, discovery):
    client = client_of(home)
    run_id = tracking.log_comparison(home.paths, compare_runs(discovery, discovery), "aaaaaaaa", "bbbbbbbb")
    assert client.get_run(run_id).data.params["second"] == "bbbbbbbb"
    steps = {each.step: each.value for each in client.get_metric_history(run_id, "delta.tempo")}
    assert steps == dict.fromkeys(range(N_LAYERS), 0.0)
