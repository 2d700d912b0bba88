"""What the tests share: an empty data folder, small recordings, a small library, an encoder of one line."""

from __future__ import annotations

import fcntl
import functools
import gc
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soundfile

from mess_core.collections.opening import read_track
from mess_core.encoders.base import Encoder, EncoderInfo, check_waveforms
from mess_core.encoders.mel import MEL
from mess_core.parallel import compiling_alone
from mess_core.storage.jobs import new_owner
from mess_core.work import targets as work_of_targets
from mess_core.work.doing import do
from mess_core.work.evaluate import EvaluateRequest
from mess_core.work.extract import ExtractRequest
from mess_core.work.probe import ProbeRequest
from mess_core.work.request import submit
from mess_core.work.task import Task
from mess_core.workspace.workspace import Workspace

# What numba compiles for the tests is kept for the next time, in one place for all processes that run them side by
# side. Those that fill it at once crash each other, so each holds `compiling_alone` meanwhile: MESS where it draws
# maps, and `librosa` below.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("NUMBA_CACHE_DIR", str(Path(__file__).parent.parent / ".pytest_cache" / "numba"))

RATE_HZ = 24_000
N_QUEUED = 24  # recordings
SLOW = "\npytestmark = pytest.mark.slow\n"  # in a module
SHARED = Path(__file__).parents[2] / "shared" / "data"  # large data that is not part of the repository


class FakeEncoder(Encoder):
    """Two layers whose hidden states are simple functions of the waveform, so that tests can compute the answer."""

    def __init__(self, **facts: object) -> None:
        defaults = {
            "id": "fake",
            "title": "Fake",
            "summary": "",
            "source": "tests",
            "revision": "1",
            "licence": "none",
            "files": (),
            "sample_rate_hz": RATE_HZ,
            "frame_rate_hz": 10.0,
            "n_layers": 2,
            "dim": 3,
            "layer_0": "none",
            "normaliser": "none",
        }
        self.info = EncoderInfo(**{**defaults, **facts})
        self.batch_sizes: list[int] = []

    def encode(self, waveforms: np.ndarray) -> np.ndarray:
        waveforms = check_waveforms(waveforms, self.info)
        self.batch_sizes.append(len(waveforms))
        n, n_samples = waveforms.shape
        frames = waveforms[:, : n_samples // 2400 * 2400].reshape(n, 1, -1, 2400)
        facts = np.stack([frames.mean(-1), np.abs(frames).mean(-1), frames.max(-1)], axis=-1)  # (n, 1, n_frames, 3)
        return np.concatenate([facts, 2 * facts], axis=1).astype(np.float32)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """`make test` does not import modules of which it wants no test: what they import takes seconds."""
    if "not (slow" not in config.option.markexpr:
        return None
    is_folder = collection_path.is_dir() and collection_path.name in ("reliability", "e2e")
    is_module = collection_path.suffix == ".py" and SLOW in collection_path.read_text("utf-8")
    return True if is_folder or is_module else None


def pytest_collection_finish() -> None:
    """What was collected stays to the end: the garbage collector need not look at it again and again."""
    gc.collect()
    gc.freeze()


def work(home: Workspace) -> None:
    """What the worker process does, here."""
    owner = new_owner()
    while (job := home.jobs.claim(owner)) is not None:
        do(Task(home, job, owner))


@pytest.fixture(scope="session")
def librosa() -> ModuleType:
    """The oracle of some tests, with all that they use of it: some is compiled when it is imported."""
    with compiling_alone():
        import librosa
        import librosa.core
        import librosa.feature
        import librosa.filters
        import librosa.sequence
    return librosa


@pytest.fixture(scope="session")
def scanned_once() -> Iterator[None]:
    """Streamlit looks through every installed package whenever a test opens the app: from now on only once."""
    from streamlit.components.v2 import manifest_scanner

    scan = functools.cache(manifest_scanner.scan_component_manifests)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest_scanner, "scan_component_manifests", scan)
        yield


@pytest.fixture(scope="session")
def made_once(tmp_path_factory) -> Callable[[str, Callable[[Path], object]], Path]:
    """A folder filled by the first of all processes that run tests side by side; each test takes a copy of it.

    `made_once("bright", fill)` calls `fill(folder)` with an empty folder, once.
    """
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def made(name: str, fill: Callable[[Path], object]) -> Path:
        folder, is_filled = base / name, base / f"{name}.filled"
        with (base / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not is_filled.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                fill(folder)
                is_filled.touch()
        return folder

    return made


def move_in(root: Path, home: Workspace) -> None:
    """Put a copy of a finished data folder where an empty one is."""
    home.database.close()
    shutil.rmtree(home.paths.root, ignore_errors=True)
    shutil.copytree(root, home.paths.root)


def take(folder: Path, home: Workspace, music: Path) -> None:
    """Put copies of a finished data folder and its music (`home` and `music` of a folder) where a test has its own."""
    move_in(folder / "home", home)
    shutil.copytree(folder / "music", music, dirs_exist_ok=True)
    with home.database.transaction() as connection:
        connection.execute("UPDATE roots SET path = ?", (str(music),))


@pytest.fixture(scope="session")
def bright_library(made_once) -> Path:
    """A data folder with twelve recordings of ten works that differ in brightness; probed by the mel control."""
    return made_once("bright", _make_bright) / "home"


def _make_bright(folder: Path) -> None:
    from tests.planted import work_here

    home = Workspace(folder / "home")
    rng = np.random.default_rng(0)
    new = []
    for number, cutoff_hz in enumerate(np.geomspace(300, 9000, 12)):
        noise = rng.standard_normal(RATE_HZ * 6)
        spectrum = np.fft.rfft(noise) / (1 + (np.fft.rfftfreq(len(noise), 1 / RATE_HZ) / cutoff_hz) ** 4)
        sound = np.fft.irfft(spectrum) * (1 + 0.5 * np.sin(np.arange(len(noise)) / RATE_HZ * rng.uniform(2, 20)))
        path = folder / f"cutoff {cutoff_hz:.0f}.wav"
        soundfile.write(path, 0.3 * sound / np.abs(sound).max(), RATE_HZ)
        track = read_track(path)
        new.append(replace(track, track=replace(track.track, work=f"work {number % 10}", performer=f"p{number // 6}")))
    home.catalogue.add(folder, new, "music")
    submit(home, ExtractRequest("music", MEL.id))
    submit(home, ProbeRequest("music", MEL.id))
    submit(home, EvaluateRequest("music", MEL.id, "faithfulness"))
    submit(home, EvaluateRequest("music", MEL.id, "similarity"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(work_of_targets, "work_through", work_here)
        work(home)
    home.database.set_setting("demo", "removed")
    home.database.close()


@pytest.fixture
def home(tmp_path: Path) -> Workspace:
    """An empty data folder."""
    return Workspace(tmp_path / "home")


def write_recording(path: Path, seconds: float = 3.0, seed: int = 0, level: float = 0.2) -> Path:
    """Write a recording of seeded noise around a tone."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    tone = np.sin(2 * np.pi * (200 + 40 * seed) * time_s)
    path.parent.mkdir(exist_ok=True)
    soundfile.write(path, level * (tone + 0.1 * rng.standard_normal(len(time_s))), RATE_HZ)
    return path


@pytest.fixture
def write_wav(tmp_path: Path) -> Callable[..., Path]:
    """Writes a recording into a folder of the test: `write_wav("a", seconds=3, seed=1)`."""

    def write(name: str, *sound: float, folder: str = "music", **how: float) -> Path:
        return write_recording(tmp_path / folder / f"{name}.wav", *sound, **how)

    return write


@pytest.fixture
def queued(home: Workspace, write_wav) -> Workspace:
    """A library of many short recordings, and the job that embeds them."""
    new = [read_track(write_wav(f"t{seed}", 6.0, seed)) for seed in range(N_QUEUED)]
    home.catalogue.add(new[0].audio.parent, new, "music")
    submit(home, ExtractRequest("music", MEL.id))
    return home
