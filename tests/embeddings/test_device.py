"""What computes: the device, batch and threads that are asked for, and a sentence where they cannot be had."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mess_core import Embedder, open_library
from mess_core.cli.doctor import examine
from mess_core.cli.main import main
from mess_core.embeddings import device, extraction
from mess_core.encoders.mel import MEL
from mess_core.errors import InputError
from mess_core.work import extract as work
from mess_core.work import task as task_module


@pytest.fixture
def no_driver(monkeypatch):
    """A PyTorch with CUDA on a machine without a driver: what it says goes on with web pages."""

    def init() -> None:
        raise RuntimeError("Found no NVIDIA driver on your system. Please check … http://www.nvidia.com/Download")

    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "init", init)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


def test_a_driver_that_is_missing_is_a_sentence(no_driver, home, write_wav, capsys):
    """In Python, on the command line and in doctor; nothing is queued."""
    sentence = (
        r"^cuda cannot compute here: Found no NVIDIA driver on your system\. Leave the device out, or name cpu\.$"
    )
    with pytest.raises(InputError, match=sentence):
        Embedder(MEL.id, device="cuda")
    library = open_library("music", encoder=MEL.id, home=home.paths.root)
    library.add(write_wav("a", 3.0))
    with pytest.raises(InputError, match=sentence):
        library.embed(device="cuda")
    assert main(["--home", str(home.paths.root), "extract", "--encoder", "mel", "--device", "cuda"]) == 2
    assert "mess: cuda cannot compute here" in capsys.readouterr().err and home.jobs.latest("extract") is None
    (found,) = [each for each in examine(home) if each.subject == "compute device"]
    assert found.is_ok and found.state.startswith("cpu, ") and "no GPU: Found no NVIDIA driver" in found.state
    assert "extract --device, --threads, --batch-size" in found.state


def test_each_way_to_have_no_gpu_is_told_apart(no_driver, monkeypatch):
    monkeypatch.setattr(torch.cuda, "init", lambda: None)
    assert device.why_no_gpu() == "PyTorch finds no NVIDIA GPU."
    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: False)
    assert device.why_no_gpu() == f"this PyTorch ({torch.__version__}) was built without CUDA."


def test_devices_are_those_that_are_here(no_driver, monkeypatch):
    assert device.check_device("cpu") == "cpu"
    for name, sentence in {
        "gpu": r"There is no device 'gpu'",
        "cdua": r"no device 'cdua'\. Did you mean cuda\?",
        "cpu:1": r"no device 'cpu:1'",
        "cuda:x": r"no device 'cuda:x'",
        "mps": "mps cannot compute here: it is the GPU of a Mac",
    }.items():
        with pytest.raises(InputError, match=sentence):
            device.check_device(name)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert device.check_device("cuda") == "cuda" and device.check_device("cuda:1") == "cuda:1"
    with pytest.raises(InputError, match=r"cuda:2 is not here\. Known: cuda:0, cuda:1"):
        device.check_device("cuda:2")


def test_threads_are_as_before_when_it_is_over():
    before = torch.get_num_threads()
    with device.computing_threads(1):
        assert torch.get_num_threads() == 1
    with device.computing_threads(0):
        assert torch.get_num_threads() == before
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"batch_size": 0}, "batch_size is 0, expected 1 or more"),
        ({"batch_size": 10**6}, r"batch size is 1000000, expected 1 to 4,096"),
        ({"n_threads": -1}, "number of threads is -1, expected"),
        ({"n_threads": 2.5}, r"number of threads is 2\.5, expected"),
    ],
)
def test_numbers_that_cannot_be_meant(home, write_wav, asked, sentence):
    library = open_library("music", encoder=MEL.id, home=home.paths.root)
    library.add(write_wav("a", 3.0))
    with pytest.raises(InputError, match=sentence):
        library.embed(**asked)


def test_extract_computes_as_it_was_told(home, write_wav, monkeypatch):
    """The device, the batch and the threads reach what computes; what comes out is the same."""
    heard = {}
    plain = extraction.extract

    def extract(tracks, *encoders, batch_size=None):
        heard.update(batch_size=batch_size, n_threads=torch.get_num_threads())
        return plain(tracks, *encoders, batch_size=batch_size)

    def load(encoder_id, paths, on):
        heard.setdefault("devices", set()).add(on)
        return load_encoder(encoder_id, paths, on)

    load_encoder = task_module.load_encoder
    monkeypatch.setattr(work, "extract", extract)
    monkeypatch.setattr(task_module, "load_encoder", load)
    root, folder = str(home.paths.root), write_wav("a", 20.0).parent
    assert main(["--home", root, "add", str(folder), "--library", "music"]) == 0
    asked = ["--device", "cpu", "--batch-size", "3", "--threads", "1"]
    assert main(["--home", root, "extract", "--encoder", "mel", *asked]) == 0
    assert heard == {"batch_size": 3, "n_threads": 1, "devices": {"cpu"}}
    library = open_library("music", encoder=MEL.id, home=root)
    by_file = Embedder(MEL.id, batch_size=2).embed_file(folder / "a.wav")
    np.testing.assert_allclose(library.embeddings().vectors[0], by_file.mean, rtol=1e-5, atol=1e-6)


def test_a_batch_of_an_embedder_changes_nothing(write_wav):
    waveforms = np.random.default_rng(0).uniform(-1, 1, (5, MEL.segment_samples)).astype(np.float32)
    np.testing.assert_allclose(
        Embedder(MEL.id, batch_size=2).embed(waveforms), Embedder(MEL.id).embed(waveforms), rtol=1e-5, atol=1e-6
    )
    with pytest.raises(InputError, match="batch size is 0"):
        Embedder(MEL.id, batch_size=0)


def test_a_cluster_chooses_its_own(home):
    with pytest.raises(InputError, match="Workers of a cluster compute on what they find"):
        work.ExtractRequest("music", MEL.id, cluster="local", n_threads=2).begin(home)
