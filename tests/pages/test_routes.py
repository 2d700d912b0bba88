"""The routes beside the pages: one data folder is open for all of them, for as long as it is the one at its path."""

from __future__ import annotations

import hashlib
import io
import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import soundfile
from starlette.applications import Starlette
from starlette.testclient import TestClient

from mess_core.audio.preview import PREVIEW_S
from mess_core.collections.opening import read_track
from mess_core.storage.database import Database
from mess_core.workspace.workspace import Workspace
from pages.shared.app import resources, routes
from tests.conftest import write_recording


class NoWorker:
    """Stands where a process would be kept."""

    def __init__(self, workspace: Workspace) -> None:
        self.is_running = False

    def start(self) -> None:
        self.is_running = True

    def stop(self) -> None:
        self.is_running = False


@pytest.fixture
def server(monkeypatch):
    """The routes in their lifespan; `MESS_HOME` is that of the test."""
    monkeypatch.setattr(routes, "WorkerKeeper", NoWorker)
    with TestClient(Starlette(routes=routes.ROUTES, lifespan=routes.lifespan)) as client:
        yield client


@pytest.fixture
def opened(monkeypatch) -> list[sqlite3.Connection]:
    """Every connection that is opened to write."""
    found: list[sqlite3.Connection] = []
    real = Database._open

    def opening(database: Database) -> sqlite3.Connection:
        found.append(real(database))
        return found[-1]

    monkeypatch.setattr(Database, "_open", opening)
    return found


def test_the_name_of_a_page_may_be_typed_in_small_letters(server) -> None:
    """And what follows it stays: a link that somebody wrote by hand."""
    for page in ("listen", "library", "layers", "map"):
        answer = server.get(f"/{page}?query=a%26b&not=tempo&not=rubato", follow_redirects=False)
        address = answer.headers["location"].partition("testserver")[2]
        assert answer.is_redirect and address == f"/{page.capitalize()}?query=a%26b&not=tempo&not=rubato"


def sound(folder: Path, seed: int) -> bytes:
    return write_recording(folder / f"{seed}.wav", 2.0, seed).read_bytes()


def address(data: bytes) -> str:
    return f"/audio/{hashlib.sha256(data).hexdigest()}"


@pytest.mark.slow
def test_a_connection_belongs_to_a_thread_not_to_a_request(server, opened, tmp_path):
    """However many ask: each thread of the pool opens the catalogue once."""
    sounds = [sound(tmp_path, seed) for seed in range(4)]
    for data in sounds:
        assert server.put("/upload", content=data).status_code == 200
    n_before = len(opened)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda number: server.get(address(sounds[number % 4])), range(80)))
    assert [answer.content for answer in answers] == [sounds[number % 4] for number in range(80)]
    assert len(opened) - n_before < 40  # threads of the pool, of which each request takes two or three


def test_another_data_folder_in_its_place_answers(server, home, tmp_path):
    """As if the server had been started on it; when the first one is back, as before. Pages see the same."""
    mine, theirs = sound(tmp_path, 1), sound(tmp_path, 2)
    assert server.put("/upload", content=mine).status_code == 200
    assert [server.get(address(data)).status_code for data in (mine, theirs)] == [200, 404]
    root, aside = home.paths.root, home.paths.root.with_name("aside")
    root.rename(aside)
    other = Workspace(root)
    other.database.set_setting("demo", "of the other")
    assert resources.workspace().database.setting("demo") == "of the other"
    assert [server.get(address(data)).status_code for data in (mine, theirs)] == [404, 404]
    assert server.put("/upload", content=theirs).status_code == 200
    assert [server.get(address(data)).status_code for data in (mine, theirs)] == [404, 200]
    assert other.catalogue.find_sha256(hashlib.sha256(theirs).hexdigest()) is not None
    shutil.rmtree(root)
    aside.rename(root)
    assert [server.get(address(data)).status_code for data in (mine, theirs)] == [200, 404]


def test_a_data_folder_that_vanished_is_a_new_one(server, home, tmp_path):
    """What was there is unknown, what comes is kept, and nobody else may read it."""
    data = sound(tmp_path, 1)
    assert server.put("/upload", content=data).status_code == 200
    shutil.rmtree(home.paths.root)
    assert server.get(address(data)).status_code == 404
    assert home.paths.root.stat().st_mode & 0o077 == 0
    assert server.put("/upload", content=data).status_code == 200
    assert server.get(address(data)).content == data


def test_one_that_cannot_be_made_is_a_sentence(server, home):
    assert server.get(f"/audio/{'0' * 64}").status_code == 404
    shutil.rmtree(home.paths.root)
    home.paths.root.write_text("in its place")
    answer = server.get(f"/audio/{'0' * 64}")
    assert answer.status_code == 507 and "cannot be made" in answer.json()["error"]


def test_it_is_closed_at_the_end(monkeypatch, home, opened):
    """Nobody holds the catalogue any more: SQLite has taken its log back."""
    monkeypatch.setattr(routes, "WorkerKeeper", NoWorker)
    home.database.set_setting("demo", "removed")
    home.close()
    with TestClient(Starlette(routes=routes.ROUTES, lifespan=routes.lifespan)) as client:
        assert client.get(f"/audio/{'0' * 64}").status_code == 404
        resources.workspace().catalogue.libraries()
        assert home.paths.database.with_name("mess.sqlite-wal").exists()
    assert not home.paths.database.with_name("mess.sqlite-wal").exists()
    for connection in opened:
        with pytest.raises(sqlite3.ProgrammingError):
            connection.execute("SELECT 1")
    assert resources.workspace().catalogue.libraries() == []  # whoever comes late opens it again


def test_some_seconds_are_heard_in_passing(server, home, write_wav):
    """The middle of a recording by its id; of no other name anything."""
    new = read_track(write_wav("long", 20.0, 1))
    home.catalogue.add(new.audio.parent, [new], "music")
    answer = server.get(f"/preview/{new.track.track_id}")
    assert answer.status_code == 200 and answer.headers["content-type"] == "audio/wav"
    samples, rate_hz = soundfile.read(io.BytesIO(answer.content))
    assert len(samples) == round(PREVIEW_S * rate_hz) and "immutable" in answer.headers["cache-control"]
    for name in ("0123456789abcdef", "..%2F..%2Fetc%2Fpasswd", "x' OR '1'='1"):
        assert server.get(f"/preview/{name}").status_code == 404
