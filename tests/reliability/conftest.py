"""A data folder with one file of every kind that MESS keeps."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from mess_core.collections.demo import make_demo, plan_demo
from mess_core.embeddings.hidden_states import RawWriter
from mess_core.encoders.imported import keep_imported
from mess_core.encoders.mel import MEL
from mess_core.encoders.weights import use_folder
from mess_core.evaluation.kept import Evaluation, save_evaluation
from mess_core.evaluation.taste import measure_taste
from mess_core.learning.kept import LearnReport, save_report
from mess_core.learning.trial import Figure, Point, Split, TrialResult
from mess_core.maps.drawing import make_map
from mess_core.maps.settings import MapSettings
from mess_core.recommend.embedding import SessionMap, save_session_map, session_map_path
from mess_core.search.answers import build_segment_index, make_plan
from mess_core.search.learned import LearnedMetric, Transform, save_metric
from mess_core.search.question import Question
from mess_core.search.recall import recall_path
from mess_core.storage.files import seal, write_atomically
from mess_core.workspace.scope import Scope
from mess_core.workspace.uploads import UploadWriter
from mess_core.workspace.workspace import Workspace
from tests.recommend.worlds import planted_cases, planted_shelf

SETTINGS = MapSettings(n_neighbours=4)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What breaks things on purpose takes its time: all of this folder runs in `make test-slow`."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)


@dataclass
class Everything:
    """A data folder, opened, and its files by kind."""

    home: Workspace

    def files(self, kind: str) -> list[Path]:
        return sorted(self.home.paths.root.glob(KINDS[kind]))


KINDS = {
    "embedding": "embeddings/*/*/*.safetensors",
    "packed": "cache/packed/*.npy",
    "packed hash": "cache/packed/*.sha256",
    "discovery": "probing/*/music-work-track.json",
    "directions": "probing/*/*.safetensors",
    "faithfulness": "probing/*/music-faithfulness.json",
    "similarity": "probing/*/music-similarity.json",
    "taste": "probing/*/music-taste.json",
    "metric": "learned/*/*-metric.json",
    "metric arrays": "learned/*/*-metric.*.safetensors",
    "sessions": "learned/*/*-sessions.json",
    "sessions arrays": "learned/*/*-sessions.*.safetensors",
    "learning": "learned/*/*-works.json",
    "map": "cache/maps/*/*/*/*.json",
    "map arrays": "cache/maps/*/*/*/*.safetensors",
    "map current": "cache/maps/*/*/current.json",
    "map stability": "cache/maps/*/*/*/*.stability",
    "peaks": "cache/peaks/*.json",
    "recall": "cache/recall/*.json",
    "raw": "cache/raw/*/*.safetensors",
    "upload": "uploads/*",
    "imported encoder": "imported/*.json",
    "weights": "weights.json",
    "demo audio": "demo/audio/*.flac",
    "demo MIDI": "demo/midi/*.mid",
    "demo score": "demo/score/*.mid",
    "demo table": "demo/demo.json",
}


@pytest.fixture(scope="session")
def everything_once(bright_library: Path, made_once) -> Path:
    """Made once; tests work on a copy."""
    return made_once("everything", lambda folder: _make_everything(bright_library, folder / "home")) / "home"


def _make_everything(bright_library: Path, root: Path) -> None:
    shutil.copytree(bright_library, root)
    home = Workspace(root)
    scope = Scope(home, "music", MEL)
    make_map(scope, SETTINGS, with_stability=True)
    build_segment_index(make_plan(scope, Question(), scope.discovery_for_search()))
    track = home.catalogue.tracks("music")[0]
    write_atomically(home.paths.cache / "peaks" / f"{track.sha256}.json", seal({"peaks": [0.1, 0.2]}, indent=None))
    write_atomically(recall_path(scope, "layer"), seal({"kind": "ivf", "recall": []}))
    raw = RawWriter(home.store.raw_path(track.track_id, MEL))
    for number in range(2):
        raw.add(np.full((1, 5, 4), number, np.float32))
    raw.close()
    writer = UploadWriter(home, "sent.wav")
    writer.write(_wav())
    writer.finish()
    make_learned(scope)
    study = measure_taste(planted_shelf(), planted_cases(2))
    save_evaluation(scope, Evaluation("music", MEL.id, MEL.fingerprint, scope.content, study), "taste")
    keep_imported(replace(MEL, id="imported:theirs", title="theirs"), home.paths)
    use_folder(replace(MEL, files=()), home.paths, root)
    make_demo(home.paths.demo, only={plan_demo()[0].stem}, workers=1)
    home.database.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    home.database.close()


def make_learned(scope: Scope) -> None:
    """A metric, a line through sessions, and a report of figures that nobody could reach."""
    numbers = scope.info.n_layers * scope.info.embedding_dim
    shape, widths = (scope.info.n_layers, scope.info.embedding_dim), (scope.info.embedding_dim,) * scope.info.n_layers
    transform = Transform(np.zeros(shape, np.float32), np.ones(numbers, np.float32), (), False, widths)
    own = (scope.library, scope.info.id, scope.info.fingerprint)
    save_metric(
        scope.workspace.paths, scope.info,
        LearnedMetric(*own, "works", "layers", scope.content, {"n_works": 2}, "none", transform),
    )  # fmt: skip
    line = SessionMap(("points",), (2,), np.ones((2, 3), np.float32), 25)
    save_session_map(session_map_path(scope.workspace.paths, scope.library, scope.info), line, {"verdict": "It helps."})
    value = (False, 0.5, 0.4, 0.6, None, None, None, "cosine", None, None, None, (0.5,))
    figure = Figure("centred", "nDCG@10", "work", *value)
    split = Split("work", 4, 1, 5, 10, 10, (("a", "b"),))
    curve = (Point(0.5, 5, None),)
    result = TrialResult(("nDCG@10",), (split,), (figure,), {"nDCG@10": 0.1}, "centred", "centred", curve)
    save_report(scope.workspace.paths, scope.info, LearnReport(*own, scope.content, "works", result))


@pytest.fixture
def everything(everything_once: Path, tmp_path: Path) -> Everything:
    shutil.copytree(everything_once, tmp_path / "everything")
    made = Everything(Workspace(tmp_path / "everything"))
    assert all(made.files(kind) for kind in KINDS)
    return made


def _wav() -> bytes:
    from mess_core.audio.decode import wav_bytes

    return wav_bytes(np.random.default_rng(0).uniform(-0.3, 0.3, (24_000, 1)).astype(np.float32), 24_000)
