"""Downloads: they go on where they were cut, what is damaged or dangerous is refused, and nothing else is asked."""

from __future__ import annotations

import hashlib
import io
import json
import re
import stat
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mess_core.collections import fetching, web
from mess_core.collections.collection import Collection, Description, Download
from mess_core.collections.download import download_collection
from mess_core.collections.unpacking import unpack
from mess_core.errors import ArtefactMismatchError, DataMissingError, InputError, StorageError

NOISE = np.random.default_rng(0).bytes(300_000)


def zipped(**files: bytes) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in files.items():
            file.writestr(name, content)
    return data.getvalue()


ARCHIVE = zipped(**{"music/a.wav": NOISE, "music/table.csv": b"a,b", "__MACOSX/music/._a.wav": b"junk"})


@dataclass
class Server:
    """A server of one file that can be told to misbehave; it notes what it was asked."""

    body: bytes = ARCHIVE
    etag: str | None = '"one"'
    cut_at: int | None = None  # the first answer breaks off here
    status: int = 200
    location: str | None = None
    knows_ranges: bool = True
    url: str = ""
    ranges: list[str | None] = field(default_factory=list)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        asked = request.headers.get("Range")
        self.ranges.append(asked)
        if self.location and request.path != "/elsewhere.zip":
            request.send_response(302)
            request.send_header("Location", self.location)
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        is_part = bool(asked) and self.knows_ranges and request.headers.get("If-Range", self.etag) == self.etag
        start = int(re.findall(r"\d+", asked)[0]) if asked and is_part else 0
        body = self.body[start:]
        request.send_response(206 if is_part else self.status)
        request.send_header("Content-Length", str(len(body)))
        if is_part:
            request.send_header("Content-Range", f"bytes {start}-{len(self.body) - 1}/{len(self.body)}")
        if self.etag:
            request.send_header("ETag", self.etag)
        request.end_headers()
        if self.cut_at is not None:
            body, self.cut_at = body[: self.cut_at], None
        request.wfile.write(body)


@pytest.fixture
def server() -> Iterator[Server]:
    told = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.answer(self)
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        told.url = f"http://127.0.0.1:{http.server_port}/music.zip"
        threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield told
        http.shutdown()


def fetch(server: Server, folder: Path, sha256: str | None = None, size: int | None = None, **kwargs) -> Path | None:
    which = Download(server.url, size or len(server.body), sha256, "all")
    collection = Collection("x", "X", "", lambda _: True, lambda _: Description([]), downloads=(which,))
    return download_collection(collection, which, folder, **kwargs)


def test_a_download(server, tmp_path):
    """The one folder of the archive is the folder that is made; the archive is gone, its sha256 is kept."""
    seen: list[tuple[int, int]] = []
    folder = fetch(server, tmp_path, on_progress=lambda done, total: seen.append((done, total)))
    assert folder == tmp_path / "music"
    assert (folder / "a.wav").read_bytes() == NOISE
    assert {path.name for path in folder.rglob("*")} == {"a.wav", "table.csv"}
    assert {path.name for path in tmp_path.iterdir()} == {"music", "music.zip.json", "music.zip.lock"}
    assert json.loads((tmp_path / "music.zip.json").read_text())["sha256"] == hashlib.sha256(ARCHIVE).hexdigest()
    assert seen == sorted(seen) and seen[-1] == (2 * len(ARCHIVE), 2 * len(ARCHIVE))
    assert fetch(server, tmp_path) == folder and len(server.ranges) == 1  # not asked again


def test_it_goes_on_where_it_was_cut(server, tmp_path):
    """Within one call: only what is missing is asked for again."""
    server.cut_at = 100_000
    assert fetch(server, tmp_path / "a", sha256=hashlib.sha256(ARCHIVE).hexdigest()) == tmp_path / "a" / "music"
    assert server.ranges[0] is None
    assert server.ranges[1] and 0 < int(re.findall(r"\d+", server.ranges[1])[0]) <= 100_000


def stop_soon(part: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], bool]:
    """The user asks to stop as soon as 50 kB are here."""
    monkeypatch.setattr(fetching, "CHUNK_BYTES", 50_000)
    return lambda: part.is_file() and part.stat().st_size >= 50_000


def test_a_stop_keeps_what_is_here(server, tmp_path, monkeypatch):
    part = tmp_path / "music.zip.part"
    assert fetch(server, tmp_path, should_stop=stop_soon(part, monkeypatch)) is None
    size = part.stat().st_size
    assert 50_000 <= size < len(ARCHIVE)
    assert fetch(server, tmp_path) == tmp_path / "music"
    assert server.ranges == [None, f"bytes={size}-"]
    assert fetch(server, tmp_path / "b", should_stop=lambda: True) is None
    assert len(server.ranges) == 2


def test_another_version_is_not_glued_to_the_old_one(server, tmp_path, monkeypatch):
    """A part belongs to one ETag."""
    server.body = NOISE
    assert fetch(server, tmp_path, should_stop=stop_soon(tmp_path / "music.zip.part", monkeypatch)) is None
    server.body, server.etag = ARCHIVE, '"two"'
    assert fetch(server, tmp_path) == tmp_path / "music"
    assert len(server.ranges) == 2 and server.ranges[1] is not None


def test_a_server_without_ranges_sends_all_again(server, tmp_path):
    server.knows_ranges, server.cut_at = False, 100_000
    assert fetch(server, tmp_path) == tmp_path / "music"


def test_a_flipped_bit_is_refused(server, tmp_path):
    """Against the published sha256, and against the one that was recorded when nobody published any."""
    right = hashlib.sha256(ARCHIVE).hexdigest()
    server.body = bytes([*ARCHIVE[:1000], ARCHIVE[1000] ^ 1, *ARCHIVE[1001:]])
    with pytest.raises(ArtefactMismatchError, match="sha256"):
        fetch(server, tmp_path, sha256=right)
    assert not [path for path in tmp_path.iterdir() if path.suffix in (".zip", ".part")]
    with pytest.raises(ArtefactMismatchError, match="damaged"):  # the archive's own checksum
        fetch(server, tmp_path)
    assert not (tmp_path / "music").exists() and not (tmp_path / "music.zip").exists()
    server.body = ARCHIVE
    assert fetch(server, tmp_path) is not None
    for path in (tmp_path / "music").iterdir():
        path.unlink()
    (tmp_path / "music").rmdir()
    server.body = zipped(**{"music/a.wav": b"another"})
    with pytest.raises(ArtefactMismatchError, match="published anew"):
        fetch(server, tmp_path, size=len(ARCHIVE))


def test_a_full_disk_is_refused_before_the_first_byte(server, tmp_path, monkeypatch):
    monkeypatch.setattr(fetching.shutil, "disk_usage", lambda _: SimpleNamespace(free=2 * len(ARCHIVE)))
    with pytest.raises(StorageError, match="are free"):
        fetch(server, tmp_path)
    assert not (tmp_path / "music.zip.part").exists()


def test_a_file_far_too_large_is_refused(server, tmp_path):
    with pytest.raises(ArtefactMismatchError, match="expected about"):
        fetch(server, tmp_path, size=1000)


def test_a_server_without_the_file(server, tmp_path):
    server.status = 404
    with pytest.raises(DataMissingError, match="404"):
        fetch(server, tmp_path)
    assert len(server.ranges) == 1
    server.status = 503
    with pytest.raises(DataMissingError, match="503"):
        fetch(server, tmp_path)
    assert len(server.ranges) == 1 + fetching.MAX_ATTEMPTS


def test_only_what_the_collection_names(server, tmp_path):
    collection = Collection("x", "X", "", lambda _: True, lambda _: Description([]))
    with pytest.raises(InputError, match="no download of"):
        download_collection(collection, Download(server.url, 1, None, "all"), tmp_path)
    assert not server.ranges


def test_a_folder_that_was_there_before_is_left_alone(server, tmp_path):
    (tmp_path / "music").mkdir()
    with pytest.raises(InputError, match="already"):
        fetch(server, tmp_path)


# --- whom to ask ------------------------------------------------------------------------------------------


def test_redirections(server, tmp_path):
    server.location = "/elsewhere.zip"
    assert fetch(server, tmp_path) == tmp_path / "music"
    server.location = "/music.zip"
    with pytest.raises(DataMissingError, match="redirects more than"):
        fetch(server, tmp_path / "b")


@pytest.mark.parametrize(
    "url", ["https://10.0.0.1/a.zip", "https://[::1]/a.zip", "https://169.254.169.254/", "http://a.org/a.zip"]
)
def test_addresses_that_are_not_asked(server, url, monkeypatch):
    """A public server may not send us into the network of this machine, nor to plain http."""
    monkeypatch.setattr(web, "_is_loopback", lambda _: False)
    with pytest.raises(DataMissingError, match="not asked"), web.get(url, {}):
        pass
    monkeypatch.setattr(web, "_check", lambda asked: None if asked == server.url else real_check(asked))
    server.location = url
    with pytest.raises(DataMissingError, match="not asked"), web.get(server.url, {}):
        pass


real_check = web._check


# --- unpacking --------------------------------------------------------------------------------------------


def refused(tmp_path: Path, data: bytes) -> str:
    """Why an archive is not unpacked; nothing of it is left under the final name or outside."""
    archive = tmp_path / "in" / "a.zip"
    archive.parent.mkdir()
    archive.write_bytes(data)
    with pytest.raises(ArtefactMismatchError) as caught:
        unpack(archive, tmp_path / "in" / "a")
    assert not (tmp_path / "in" / "a").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
    return caught.value.message


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/evil", "a\\..\\evil", "C:evil", ".."])
def test_nothing_is_written_outside(tmp_path, name):
    assert "leads out" in refused(tmp_path, zipped(**{"ok": b"1", name: b"2"}))


def test_links_are_refused(tmp_path):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        info = zipfile.ZipInfo("link")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        file.writestr(info, "/etc")
    assert "link" in refused(tmp_path, data.getvalue())


def test_bombs_are_refused(tmp_path):
    assert "far more" in refused(tmp_path, zipped(a=b"\0" * 30_000_000))


def test_an_archive_that_lies_about_a_size(tmp_path):
    """No more is unpacked than was declared, and then its checksum does not fit."""
    data = zipped(a=b"\0" * 100_000)
    assert "damaged" in refused(tmp_path, data.replace((100_000).to_bytes(4, "little"), (100).to_bytes(4, "little")))


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 not really", ARCHIVE[:-50], zipped()])
def test_what_is_no_archive(tmp_path, data):
    assert refused(tmp_path, data)


def test_unpacking_goes_on_where_it_was(tmp_path):
    """Files that are whole are not written again; without a common folder the archive's own name is used."""
    (tmp_path / "a.zip").write_bytes(zipped(**{f"{number}/x": NOISE for number in range(4)}))
    asked: list[int] = []
    assert not unpack(tmp_path / "a.zip", tmp_path / "a", should_stop=lambda: bool(asked.append(1)) or len(asked) > 5)
    first = tmp_path / "a.unpacking" / "0" / "x"
    made_ns = first.stat().st_mtime_ns
    assert not (tmp_path / "a").exists()
    assert unpack(tmp_path / "a.zip", tmp_path / "a")
    assert (tmp_path / "a" / "0" / "x").stat().st_mtime_ns == made_ns
    assert sorted(path.as_posix()[-3:] for path in (tmp_path / "a").rglob("*")) == sorted(
        [*(f"a/{i}" for i in range(4)), *(f"{i}/x" for i in range(4))]
    )


def test_a_disk_too_small_for_what_is_unpacked(tmp_path, monkeypatch):
    (tmp_path / "a.zip").write_bytes(ARCHIVE)
    monkeypatch.setattr("mess_core.collections.unpacking.shutil.disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(StorageError, match="to be unpacked"):
        unpack(tmp_path / "a.zip", tmp_path / "a")
