"""Own encoders: ten lines are enough, and a function that changed never meets the vectors of what it was."""

from __future__ import annotations

import linecache
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import mess_core
from mess_core import plugins
from mess_core.cli.main import main
from mess_core.encoders.base import Encoder
from mess_core.encoders.identity import identity_of
from mess_core.encoders.registry import encoder_ids, encoder_info, encoder_problems, load_encoder
from mess_core.errors import ArtefactMismatchError, InputError
from mess_core.storage.paths import Paths
from tests.contracts import ENCODER_LAWS
from tests.workers import end, start_process, wait_until

RATE_HZ = 16_000
PLUGIN = '''
import numpy as np

import mess_core

FRAME = 400


@mess_core.register_encoder("envelope", sample_rate_hz=16_000, n_layers=2, dim=2, licence="MIT")
def envelope(waveforms):
    """How loud, and how steady."""
    frames = waveforms[:, : waveforms.shape[1] // FRAME * FRAME].reshape(len(waveforms), 1, -1, FRAME)
    numbers = np.stack([np.abs(frames).mean(-1), frames.std(-1)], -1)
    return np.concatenate([numbers, np.sqrt(numbers)], 1)
'''


@pytest.fixture(autouse=True)
def nothing_registered(monkeypatch):
    """Each test begins in a process that knows no encoder but ours."""
    monkeypatch.setattr(plugins, "_registered", {})
    monkeypatch.setattr(plugins, "_run", {})
    monkeypatch.delenv(plugins.FILES, raising=False)
    monkeypatch.setenv(plugins.FILES, "")


@pytest.fixture
def plugin(tmp_path) -> Path:
    path = tmp_path / "my_encoder.py"
    path.write_text(PLUGIN)
    return path


def register(**facts: object):
    """An encoder of one layer: the mean of each frame."""
    told = {"sample_rate_hz": RATE_HZ, "frame_rate_hz": 160.0, "n_layers": 1, "dim": 1, "licence": "MIT"} | facts

    @mess_core.register_encoder("means", **told)
    def means(waveforms: np.ndarray) -> np.ndarray:
        """What a frame is on average."""
        frames = waveforms[:, : waveforms.shape[1] // 100 * 100].reshape(len(waveforms), 1, -1, 100)
        return frames.mean(-1)[..., None]

    return means


def load(id_: str = "means") -> Encoder:
    return load_encoder(id_, Paths.default())


def test_a_function_is_an_encoder(tmp_path):
    """It keeps the contract of every encoder, and is listed after ours."""
    means = register()
    assert encoder_ids().index("mfcc") < encoder_ids().index("means") < encoder_ids().index("random:mert-95m")
    encoder = load()
    for law in ENCODER_LAWS:
        law(encoder)
    waveforms = np.random.default_rng(0).uniform(-1, 1, (3, RATE_HZ)).astype(np.float32)
    np.testing.assert_allclose(encoder.encode(waveforms), means(waveforms), rtol=1e-6)
    info = encoder_info("means", Paths(tmp_path))
    assert info.summary == "What a frame is on average. There is no untrained twin of it."
    assert "random:means" not in encoder_ids()


def test_a_twin_is_declared():
    """It answers otherwise, has an identity of its own, and the summary no longer says that it lacks."""
    register(untrained=lambda waveforms: np.ones((len(waveforms), 1, 7, 1)))
    twin, encoder = load("random:means"), load()
    assert twin.encode(np.zeros((2, RATE_HZ), np.float32)).shape == (2, 1, 7, 1)
    assert encoder.info.summary == "What a frame is on average."
    before, of_encoder = twin.info.fingerprint, encoder.info.fingerprint
    assert twin.info.fingerprint == encoder_info("random:means", Paths.default()).fingerprint
    register(untrained=lambda waveforms: np.zeros((len(waveforms), 1, 7, 1)))
    assert load("random:means").info.fingerprint != before and load().info.fingerprint == of_encoder


@pytest.mark.slow
def test_torch_may_answer():
    import torch

    register()
    expected = load().encode(np.ones((2, RATE_HZ), np.float32))

    @mess_core.register_encoder("means", sample_rate_hz=RATE_HZ, n_layers=1, dim=1, licence="MIT")
    def of_torch(waveforms: np.ndarray) -> torch.Tensor:
        sound = torch.tensor(waveforms, requires_grad=True)
        return sound.unfold(1, 100, 100).mean(-1)[:, None, :, None]

    np.testing.assert_allclose(load().encode(np.ones((2, RATE_HZ), np.float32)), expected)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda waveforms: np.zeros((len(waveforms), 2, 5, 1)), r"\(2, 2, 5, 1\) of 2 waveforms, expected \(2, 1, n_f"),
        (lambda waveforms: np.zeros((len(waveforms), 1)), r"returned \(2, 1\)"),
        (lambda waveforms: np.full((len(waveforms), 1, 5, 1), np.nan), "NaN"),
        (lambda waveforms: "nothing", "returned a str"),
        (lambda waveforms: np.zeros((len(waveforms), 1, 0, 1)), r"\(2, 1, 0, 1\)"),
    ],
)
def test_a_wrong_answer_is_one_sentence(answer, said):
    mess_core.register_encoder("wrong", sample_rate_hz=RATE_HZ, n_layers=1, dim=1, licence="MIT")(answer)
    with pytest.raises(ArtefactMismatchError, match=said):
        load("wrong").encode(np.zeros((2, RATE_HZ), np.float32))


@pytest.mark.parametrize(
    ("id_", "facts", "said"),
    [
        ("nano", {}, "there is an encoder called 'nano' already"),
        ("random:x", {}, "its name says that it is another's"),
        ("Big Name", {}, "'Big Name'"),
        ("x", {"n_layers": 0}, "0 layers"),
        ("x", {"dim": 0}, "0 numbers"),
        ("x", {"sample_rate_hz": "fast"}, "sample_rate_hz"),
        ("x", {"main": 3}, "3 stands for them"),
    ],
)
def test_what_cannot_be_registered_is_one_sentence(id_, facts, said):
    facts = {"sample_rate_hz": RATE_HZ, "n_layers": 1, "dim": 1, "licence": "MIT"} | facts
    with pytest.raises(InputError, match=said):
        mess_core.register_encoder(id_, **facts)(lambda waveforms: waveforms)
    assert encoder_problems() == ()


def test_only_functions_are_encoders():
    with pytest.raises(InputError, match="got a int"):
        mess_core.register_encoder("x", sample_rate_hz=RATE_HZ, n_layers=1, dim=1, licence="MIT")(3)


# --- identity ---------------------------------------------------------------------------------------------


def identity(text: str, folder: Path, version: str = "") -> str:
    """Of `f` in a file of this text."""
    path = folder / "written.py"
    path.write_text(text)
    names: dict[str, object] = {"__name__": "written"}
    linecache.checkcache(str(path))
    exec(compile(text, str(path), "exec"), names)
    return identity_of(names["f"], version)


BASE = """
import numpy as np
SCALE = 2.0
KERNEL = np.ones(3)
def helper(x):
    return x * SCALE
class Net:
    gain = 1
    def __call__(self, x):
        return helper(x) + KERNEL.sum()
def f(x, offset=1):
    return [Net()(each) + offset for each in x]
"""


def test_the_identity_of_a_function_is_what_it_says(tmp_path):
    assert identity(BASE, tmp_path) == identity(BASE + "\ndef other(): return 1\n", tmp_path)
    assert identity(BASE, tmp_path) == identity(BASE.replace("def f", "\n\n# why\ndef f"), tmp_path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("+ offset for", "- offset for"),  # itself
        ("x * SCALE", "x / SCALE"),  # what it calls
        ("SCALE = 2.0", "SCALE = 2.5"),  # a number that names
        ("np.ones(3)", "np.ones(4)"),  # an array
        ("gain = 1", "gain = 2"),  # a class
        ("offset=1", "offset=2"),  # a default
    ],
)
def test_a_changed_function_is_another(tmp_path, old, new):
    assert identity(BASE.replace(old, new), tmp_path) != identity(BASE, tmp_path)


def test_a_version_makes_another():
    assert identity_of(test_a_version_makes_another, "2") != identity_of(test_a_version_makes_another)


@pytest.mark.slow
def test_weights_of_a_network_are_part_of_it():
    import torch

    def of(network: torch.nn.Module) -> str:
        def encode(waveforms: np.ndarray) -> torch.Tensor:
            return network(waveforms)

        return identity_of(encode)

    torch.manual_seed(0)
    first, second = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    assert of(first) != of(second)
    second.load_state_dict(first.state_dict())
    assert of(first) == of(second)


def test_a_function_without_source_needs_a_version():
    names: dict[str, object] = {}
    exec("def f(x): return x", names)
    with pytest.raises(InputError, match="version"):
        identity_of(names["f"])
    assert identity_of(names["f"], "1") != identity_of(names["f"], "2")


# --- plugins ----------------------------------------------------------------------------------------------


def test_changed_vectors_never_meet(home, write_wav, plugin, capsys):
    """Embedded, changed, and nothing is embedded any more; changed back, all of it is there."""
    folder = write_wav("a", 3.0).parent
    write_wav("b", 4.0, 1)
    where = ["--home", str(home.paths.root), "--json"]

    def n_embedded() -> int:
        return mess_core.open_library("music", "envelope", home.paths.root).scope.n_embedded

    assert main([*where, "add", str(folder), "--library", "music"]) == 0
    assert main([*where, "--plugin", str(plugin), "extract", "--library", "music", "--encoder", "envelope"]) == 0
    assert n_embedded() == 2
    plugin.write_text(PLUGIN.replace("np.abs(frames).mean(-1)", "np.abs(frames).max(-1)"))
    plugins._registered.clear(), plugins._run.clear()
    assert n_embedded() == 0
    plugin.write_text(PLUGIN)
    plugins._registered.clear(), plugins._run.clear()
    assert n_embedded() == 2
    capsys.readouterr()


def test_a_verb_without_the_plugin_says_how(home, capsys):
    assert main(["--home", str(home.paths.root), "extract", "--encoder", "envelope"]) == 2
    assert "no encoder called 'envelope'" in (said := capsys.readouterr().err) and "--plugin" in said


@pytest.mark.parametrize(
    ("text", "said"),
    [("1 +", "SyntaxError"), ("raise ValueError('what\\nnow')", "ValueError, what now"), (None, "no file of Python")],
)
def test_a_broken_plugin_is_one_sentence(tmp_path, home, capsys, monkeypatch, text, said):
    """On the command line it stops; where the environment names it, the rest goes on."""
    path = tmp_path / "broken.py"
    if text is not None:
        path.write_text(text)
    assert main(["--home", str(home.paths.root), "--plugin", str(path), "doctor"]) == 2
    assert said in capsys.readouterr().err
    monkeypatch.setenv(plugins.FILES, str(path))
    monkeypatch.setattr(plugins, "_registered", {"mess.encoders": {}})
    register()
    (problem,) = encoder_problems()
    assert said in problem and "means" in encoder_ids()


def test_a_data_folder_runs_nothing(home, plugin):
    """A plugin that lies in it is not looked at."""
    (home.paths.root / "plugin.py").write_text("raise SystemExit('was run')")
    (home.paths.root / "plugins").mkdir()
    (home.paths.root / "plugins" / "p.py").write_text("raise SystemExit('was run')")
    assert mess_core.open_library("x", home=home.paths.root).scope.n_embedded == 0


@pytest.mark.slow
def test_a_worker_has_what_its_environment_names(home, write_wav, plugin):
    """The app's worker embeds by it, if the app was started with MESS_PLUGINS."""
    from mess_core.work.extract import ExtractRequest
    from mess_core.work.request import submit

    mess_core.open_library("music", "mel", home.paths.root).add(write_wav("a", 3.0).parent)
    plugins.run_file(plugin)
    assert os.environ[plugins.FILES] == str(plugin)
    scope = mess_core.open_library("music", "envelope", home.paths.root).scope
    submit(home, ExtractRequest("music", "envelope"))
    process = start_process(home)
    try:
        wait_until(lambda: scope.n_embedded == 1)
    finally:
        end(process)


@pytest.mark.slow
def test_every_verb_takes_the_plugin(home, write_wav, plugin):
    """As a person types it, in processes of their own."""
    for seed in range(4):
        folder = write_wav(f"t{seed}", 3.0, seed).parent
    begin = [sys.executable, "-m", "mess_core", "--home", str(home.paths.root), "--plugin", str(plugin)]
    chosen = ["--library", "music", "--encoder", "envelope"]
    for verb in (
        ["add", str(folder), "--library", "music"],
        ["extract", *chosen],
        ["similar", str(folder / "t1.wav"), *chosen],
        ["export", str(home.paths.root.parent / "out"), *chosen],
    ):
        done = subprocess.run([*begin, *verb], capture_output=True, text=True, cwd=Path(mess_core.__file__).parents[1])
        assert done.returncode == 0, (verb, done.stderr)
