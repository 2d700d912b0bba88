"""Weights by consent: found, verified, downloaded from a hub of our own, and refused when they are not right."""

import dataclasses
import hashlib
import http.server
import json
import shutil
import socket
import threading
from pathlib import Path

import pytest
from huggingface_hub import constants

from mess_core.encoders.base import WeightFile
from mess_core.encoders.mel import MEL
from mess_core.encoders.mert import MERT_95M, MERT_330M, Mert
from mess_core.encoders.nano import NANO
from mess_core.encoders.weights import (
    download,
    download_command,
    locate,
    resolve,
    use_folder,
    weights_state,
)
from mess_core.errors import ArtefactMismatchError, DataMissingError, StorageError
from mess_core.storage.paths import Paths

GOLDEN = Path(__file__).parent.parent / "data" / "mert-golden" / "post-ln"
NAMES = ("config.json", "preprocessor_config.json", "pytorch_model.bin")
REVISION = "0123456789abcdef0123456789abcdef01234567"
BIN = GOLDEN / "pytorch_model.bin"


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


PINNED = dataclasses.replace(
    MERT_95M,
    id="mert-tiny",
    source="m-a-p/tiny",
    revision=REVISION,
    n_layers=5,
    dim=48,
    files=tuple(WeightFile(name, (GOLDEN / name).stat().st_size, sha256(GOLDEN / name)) for name in NAMES),
)
# As with the 330M: no hashes are known, and the sizes are estimates.
UNPINNED = dataclasses.replace(
    PINNED, files=tuple(WeightFile(file.name, file.size_bytes + 3, None) for file in PINNED.files)
)


@pytest.fixture
def paths(tmp_path) -> Paths:
    return Paths(tmp_path / "home")


@pytest.fixture
def folder(tmp_path) -> Path:
    return Path(shutil.copytree(GOLDEN, tmp_path / "my weights"))


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    """An empty Hugging Face cache, and a hub that is nowhere. The library reads its environment once, at import."""
    folder = tmp_path / "hub"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    point_to(monkeypatch, "http://127.0.0.1:9")  # the discard port: refused at once
    return folder


def point_to(monkeypatch, endpoint: str) -> None:
    template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


# --- a hub on this machine ----------------------------------------------------------------------------------


class Hub(http.server.ThreadingHTTPServer):
    """Speaks as much of the hub's protocol as a download needs; large files are redirected, as there."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), HubHandler)
        self.content = {name: (GOLDEN / name).read_bytes() for name in NAMES}
        self.announced = {name: hashlib.sha256(data).hexdigest() for name, data in self.content.items()}
        self.revision = REVISION
        self.knows_ranges = True
        self.cut_after: list[int] = []  # bytes after which the next answers break off
        self.requests: list[tuple[str, str, str | None]] = []

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class HubHandler(http.server.BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self.answer(with_body=False)

    def do_GET(self) -> None:
        self.answer(with_body=True)

    def log_message(self, *args) -> None:
        pass

    def answer(self, with_body: bool) -> None:
        hub = self.server
        name = self.path.rsplit("/", 1)[-1]
        hub.requests.append((self.command, self.path, self.headers.get("Range")))
        assert "Authorization" not in self.headers
        if name not in hub.content:
            self.send_response(404)
            self.end_headers()
            return
        data = hub.content[name]
        if name.endswith(".bin") and "/cdn/" not in self.path:
            self.send_response(302)
            self.send_header("Location", f"{hub.endpoint}/cdn/{name}")
            self.send_header("X-Repo-Commit", hub.revision)
            self.send_header("X-Linked-ETag", f'"{hub.announced[name]}"')
            self.send_header("X-Linked-Size", str(len(data)))
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        start = 0
        if hub.knows_ranges and (wanted := self.headers.get("Range")):
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        self.send_response(206 if start else 200)
        self.send_header("X-Repo-Commit", hub.revision)
        self.send_header("ETag", f'"{hub.announced[name]}"')
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        if with_body:
            stop = start + hub.cut_after.pop(0) if hub.cut_after and name.endswith(".bin") else None
            self.wfile.write(data[start:stop])


@pytest.fixture
def hub(monkeypatch):
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    point_to(monkeypatch, server.endpoint)
    monkeypatch.setattr("mess_core.encoders.weights.CHUNK_BYTES", 50_000)
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


# --- where weights are --------------------------------------------------------------------------------------


@pytest.mark.parametrize("info", [NANO, MEL])
def test_embedded_encoders_need_nothing(info, paths):
    assert weights_state(info, paths).status == "embedded"


def test_missing_weights_come_with_the_exact_command(paths):
    """What, how large, under which licence, and what to type."""
    state = weights_state(MERT_95M, paths)
    assert (state.status, state.folder, state.size_bytes) == ("missing", None, 377_555_015)
    assert "MERT 95M (378 MB, CC BY-NC 4.0)" in state.message
    assert state.hint.endswith(
        "hf download m-a-p/MERT-v1-95M config.json preprocessor_config.json pytorch_model.bin "
        "--revision 12af15fef9d0ac838c3f475bfbbf26d2060dd4f5"
    )
    with pytest.raises(DataMissingError, match="not on this machine"):
        locate(MERT_95M, paths)


def test_a_folder_is_verified_and_remembered(folder, paths):
    """The chosen folder is found again, and loads."""
    assert use_folder(PINNED, paths, folder).status == "present"
    assert locate(PINNED, paths) == folder
    assert Mert.from_folder(locate(PINNED, paths)).info.dim == 48
    shutil.rmtree(folder)
    state = weights_state(PINNED, paths)
    assert state.status == "missing"
    assert f"the chosen folder {folder} no longer has them" in state.message


def test_the_hugging_face_cache_is_found(cache, paths):
    """Weights that another program has fetched are used, at the pinned revision only."""
    snapshots = cache / "models--m-a-p--tiny" / "snapshots"
    shutil.copytree(GOLDEN, snapshots / "another-revision")
    assert weights_state(PINNED, paths).status == "missing"
    shutil.copytree(GOLDEN, snapshots / REVISION)
    assert locate(PINNED, paths) == snapshots / REVISION


def test_an_incomplete_folder_is_refused(folder, paths):
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(DataMissingError, match=r"preprocessor_config\.json is not in"):
        use_folder(PINNED, paths, folder)
    assert not paths.weights.exists()


SPOILT = {
    "bit flip": lambda data: data[:1000] + bytes([data[1000] ^ 1]) + data[1001:],
    "half": lambda data: data[: len(data) // 2],
    "one byte less": lambda data: data[:-1],
    "one byte more": lambda data: data + b"\0",
    "zeroed half": lambda data: data[: len(data) // 2] + bytes(len(data) - len(data) // 2),
    "empty": lambda data: b"",
}


@pytest.mark.parametrize("how", SPOILT)
def test_damage_is_refused_and_named(how, folder, paths):
    """Before it is chosen, and after."""
    spoilt = SPOILT[how](BIN.read_bytes())
    (folder / BIN.name).write_bytes(spoilt)
    with pytest.raises(ArtefactMismatchError, match=r"pytorch_model\.bin has .* expected"):
        use_folder(PINNED, paths, folder)
    (folder / BIN.name).write_bytes(BIN.read_bytes())
    use_folder(PINNED, paths, folder)
    (folder / BIN.name).write_bytes(spoilt)
    with pytest.raises(ArtefactMismatchError, match=r"pytorch_model\.bin has .* expected"):
        locate(PINNED, paths)
    assert weights_state(PINNED, paths).status == "damaged"


def test_asking_again_reads_nothing(folder, paths, monkeypatch):
    """A page asks at every run: an unchanged file is not hashed again, a touched one is."""
    use_folder(PINNED, paths, folder)
    hashed = []
    monkeypatch.setattr("mess_core.encoders.weights._sha256", lambda path: hashed.append(path.name) or sha256(path))
    assert weights_state(PINNED, paths).status == "present"
    assert hashed == []
    (folder / BIN.name).touch()
    assert weights_state(PINNED, paths).status == "present"
    assert hashed == [BIN.name]
    locate(PINNED, paths)  # what is about to be loaded is always hashed
    assert hashed[1:] == list(NAMES)


def test_unpinned_weights_are_recorded_and_verified_ever_after(folder, paths):
    """As for the 330M: the first sight counts, here and in the facts that identify embeddings."""
    assert resolve(UNPINNED, paths) == UNPINNED
    use_folder(UNPINNED, paths, folder)
    assert resolve(UNPINNED, paths).files == PINNED.files
    assert resolve(UNPINNED, paths).fingerprint == PINNED.fingerprint != UNPINNED.fingerprint
    assert locate(resolve(UNPINNED, paths), paths) == folder
    (folder / BIN.name).write_bytes(SPOILT["bit flip"](BIN.read_bytes()))
    with pytest.raises(ArtefactMismatchError, match="sha256"):
        locate(UNPINNED, paths)


def test_unpinned_weights_cut_short_are_refused(folder, paths):
    """A size that is only an estimate still tells half a file, and nothing is recorded from such a folder."""
    (folder / BIN.name).write_bytes(SPOILT["half"](BIN.read_bytes()))
    with pytest.raises(ArtefactMismatchError, match="expected about"):
        use_folder(UNPINNED, paths, folder)
    assert resolve(UNPINNED, paths) == UNPINNED


@pytest.mark.parametrize("text", ["{", "[]", '{"folders": 3}'])
def test_a_damaged_memory_is_named(text, paths):
    paths.root.mkdir()
    paths.weights.write_text(text)
    state = weights_state(PINNED, paths)
    assert state.status == "damaged" and "weights.json" in state.message and "Delete it" in state.hint


# --- without a network --------------------------------------------------------------------------------------


def test_offline_makes_no_socket_calls(paths, monkeypatch):
    """HF_HUB_OFFLINE=1: one sentence and the command, and not one connection."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    def connect(*args):
        raise AssertionError("a socket was connected")

    monkeypatch.setattr(socket.socket, "connect", connect)
    state = weights_state(PINNED, paths)
    assert state.status == "offline" and "HF_HUB_OFFLINE" in state.hint
    with pytest.raises(DataMissingError) as caught:
        download(PINNED, paths)
    assert download_command(PINNED) in caught.value.hint


def test_no_network_is_one_sentence(paths):
    with pytest.raises(DataMissingError, match=r"could not be fetched from http://127\.0\.0\.1:9") as caught:
        download(PINNED, paths)
    assert "\n" not in caught.value.message and download_command(PINNED) in caught.value.hint


# --- downloading --------------------------------------------------------------------------------------------


def test_download_verifies_and_reports(hub, cache, paths):
    """All files at the pinned revision, rising progress up to the total, then present and loadable."""
    seen = []
    state = download(PINNED, paths, lambda done, total: seen.append((done, total)))
    assert state.status == "present" and locate(PINNED, paths) == state.folder
    assert state.folder == cache / "models--m-a-p--tiny" / "snapshots" / REVISION
    total = sum(file.size_bytes for file in PINNED.files)
    assert seen == sorted(seen) and seen[-1] == (total, total) and len(seen) > 8
    assert {path.split("/resolve/")[1].split("/")[0] for _, path, _ in hub.requests if "/resolve/" in path} == {
        REVISION
    }
    assert Mert.from_folder(state.folder).info.dim == 48
    hub.requests.clear()
    download(PINNED, paths)
    assert not [path for command, path, _ in hub.requests if command == "GET"]


@pytest.mark.parametrize("knows_ranges", [True, False])
def test_download_resumes(hub, paths, knows_ranges):
    """Stopped, then started again: only the rest is fetched, unless the server knows no ranges."""
    hub.knows_ranges = knows_ranges
    done = []
    state = download(PINNED, paths, lambda n, total: done.append(n), lambda: bool(done) and done[-1] > 200_000)
    assert state.status == "missing" and "stopped" in state.message
    assert weights_state(PINNED, paths).status == "missing"
    hub.requests.clear()
    assert download(PINNED, paths).status == "present"
    ranges = [wanted for command, path, wanted in hub.requests if command == "GET" and "/cdn/" in path]
    assert len(ranges) == 1 and int(ranges[0].removeprefix("bytes=").removesuffix("-")) > 150_000


def test_broken_connections_are_continued(hub, paths):
    """Each broken connection that brought something is followed by another."""
    hub.cut_after = [100_000, 100_000, 60_000, 60_000, 60_000]
    assert download(PINNED, paths).status == "present"


def test_dead_connections_end_it(hub, paths):
    hub.cut_after = [100_000, 0, 0, 0, 0, 0]
    with pytest.raises(DataMissingError, match="could not be fetched"):
        download(PINNED, paths)
    hub.cut_after = []
    assert download(PINNED, paths).status == "present"


@pytest.mark.parametrize("info", [PINNED, UNPINNED], ids=["pinned", "unpinned"])
def test_damaged_downloads_are_deleted_and_named(info, hub, cache, paths):
    """By the pinned hash, or by the one the hub announced; a second download, undamaged, succeeds."""
    whole = hub.content[BIN.name]
    hub.content[BIN.name] = SPOILT["bit flip"](whole)
    with pytest.raises(ArtefactMismatchError, match=r"pytorch_model\.bin .* arrived damaged"):
        download(info, paths)
    assert weights_state(info, paths).status == "missing"
    assert not list(cache.rglob("*.incomplete"))
    hub.content[BIN.name] = whole
    assert download(info, paths).status == "present"


def test_downloading_mends_what_is_damaged(hub, folder, paths):
    """The damaged file in the cache is replaced, a damaged folder is no longer asked."""
    snapshot = download(PINNED, paths).folder
    (snapshot / BIN.name).resolve().write_bytes(SPOILT["bit flip"](BIN.read_bytes()))
    assert weights_state(PINNED, paths).status == "damaged"
    use_folder(PINNED, paths, folder)
    (folder / BIN.name).write_bytes(b"")
    assert download(PINNED, paths).folder == snapshot
    assert locate(PINNED, paths) == snapshot


def test_the_first_download_is_recorded(hub, paths):
    """Unpinned weights that change on the hub are not accepted in place of those seen first."""
    download(UNPINNED, paths)
    assert resolve(UNPINNED, paths).files == PINNED.files
    shutil.rmtree(constants.HF_HUB_CACHE)
    hub.content["config.json"] += b" "
    hub.announced["config.json"] = hashlib.sha256(hub.content["config.json"]).hexdigest()
    with pytest.raises(ArtefactMismatchError, match=r"config\.json has .* expected"):
        download(UNPINNED, paths)


def test_another_revision_is_refused(hub, paths):
    hub.revision = "f" * 40
    with pytest.raises(DataMissingError, match="does not answer as the Hugging Face hub would"):
        download(PINNED, paths)


def test_files_the_hub_lacks_are_named(hub, paths):
    del hub.content["preprocessor_config.json"]
    with pytest.raises(DataMissingError, match=r"404"):
        download(PINNED, paths)


def test_a_full_disk_is_said_before_the_first_byte(hub, paths, monkeypatch):
    usage = shutil.disk_usage("/")._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(StorageError, match="are free"):
        download(PINNED, paths)
    assert not [path for command, path, _ in hub.requests if command == "GET"]


def test_what_on_progress_raises_ends_it(hub, paths):
    """A job that lost its lease stops the download by raising; what is here is kept."""
    with pytest.raises(KeyError):
        download(PINNED, paths, lambda done, total: {}[done])
    assert download(PINNED, paths).status == "present"


def test_memory_is_plain_json(folder, paths):
    use_folder(UNPINNED, paths, folder)
    memory = json.loads(paths.weights.read_text())
    assert memory["folders"] == {"mert-tiny": str(folder)}
    assert memory["recorded"][f"m-a-p/tiny@{REVISION}/{BIN.name}"]["sha256"] == sha256(BIN)


def test_published_encoders_name_full_revisions():
    for info in (MERT_95M, MERT_330M):
        assert len(info.revision) == 40 and len(info.files) == 3
