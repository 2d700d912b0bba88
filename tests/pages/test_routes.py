"""The routes beside the pages: one data folder is open for all of them, for as long as it is the one at its path."""

from __future__ import annotations

import hashlib
import io
import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.testclient import TestClient

from mess_core.audio.preview import PREVIEW_S
from mess_core.catalogue.sittings import Asked, Clip
from mess_core.collections.opening import read_track
from mess_core.storage.database import Database
from mess_core.workspace.workspace import Workspace
from pages.shared.app import resources, routes
from pages.shared.app.guards import Guard
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
    for page in ("listen", "library", "layers", "map", "judge"):
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


# --- clips and answers of Judge -----------------------------------------------------------------------------


@pytest.fixture
def asked(home, write_wav) -> Asked:
    """A question of three recordings, each of a tone of its own."""
    new = [read_track(write_wav(f"t{seed}", 12.0, seed)) for seed in range(3)]
    home.catalogue.add(new[0].audio.parent, new, "music")
    sitting = home.sittings.begin("ann", "music", "Which is more like X?", "mel", 10, 0)
    clips = [Clip(each.track.track_id, 1.0 + number, 9.0 + number) for number, each in enumerate(new)]
    return home.sittings.ask(sitting.sitting_id, 0, clips, "random")


def heard(server, asked: Asked, letter: str, **query: object) -> tuple[np.ndarray, int]:
    answer = server.get(f"/clip/{asked.asked_id}/{letter}", params=query)
    assert answer.status_code == 200 and answer.headers["content-type"] == "audio/wav"
    assert "private" in answer.headers["cache-control"]
    samples, rate_hz = soundfile.read(io.BytesIO(answer.content))
    return samples, rate_hz


def test_a_clip_is_known_by_its_question_and_its_letter(server, home, asked):
    """x, a and b are the three that were asked, in their order, and say nothing of where they come from."""
    for number, letter in enumerate("xab"):
        samples, rate_hz = heard(server, asked, letter)
        assert len(samples) == 8 * rate_hz
        loudest_hz = np.argmax(np.abs(np.fft.rfft(samples))) * rate_hz / len(samples)
        assert loudest_hz == pytest.approx(200 + 40 * number, abs=1)
        data = server.get(f"/clip/{asked.asked_id}/{letter}").content
        assert not any(clip.track_id.encode() in data for clip in asked.clips)


@pytest.mark.parametrize(
    ("query", "part"),
    [
        ({"start_s": 2.5}, (2.5, 8)),
        ({"length_s": 1}, (0, 1)),
        ({"start_s": 7, "length_s": 10}, (7, 8)),
        ({"start_s": 3, "length_s": 0.5}, (3, 3.5)),
        ({"start_s": 0, "length_s": 1e308}, (0, 8)),
        ({"start_s": 100}, (8, 8)),
        ({"start_s": 1e308}, (8, 8)),
    ],
)
def test_a_part_of_a_clip_is_that_part(server, asked, query, part):
    """As loud and as faded as in the whole; beyond its end there is nothing."""
    whole, rate_hz = heard(server, asked, "a")
    samples, _ = heard(server, asked, "a", **query)
    assert np.array_equal(samples, whole[round(part[0] * rate_hz) : round(part[1] * rate_hz)])


@pytest.mark.parametrize("query", [{"start_s": -1}, {"start_s": "nan"}, {"length_s": "inf"}, {"length_s": "x"}])
def test_a_part_that_cannot_be_is_refused(server, asked, query):
    answer = server.get(f"/clip/{asked.asked_id}/a", params=query)
    assert answer.status_code == 400 and "expected a number of seconds" in answer.json()["error"]


def test_no_other_clip_is_heard(server, home, asked):
    """Not of an unknown question, not by another letter, not of an ended sitting; nor is a path ever made of it."""
    name = asked.asked_id
    for path in (f"{name}/z", f"{name}/X", f"{name}/xa", "0123456789abcdef/x", "x' OR '1'='1/x", f"{name}/..%2Fx"):
        assert server.get(f"/clip/{path}").status_code == 404
    assert server.get(f"/clip/{name}").status_code == 404
    home.sittings.end(asked.sitting_id)
    answer = server.get(f"/clip/{name}/x")
    assert answer.status_code == 404 and "not asked (any more)" in answer.json()["error"]


def test_a_clip_whose_file_is_gone_is_a_sentence(server, home, asked):
    home.catalogue.audio_path(asked.anchor.track_id).unlink()
    answer = server.get(f"/clip/{asked.asked_id}/x")
    assert answer.status_code in (404, 500) and answer.json()["error"] and "Traceback" not in answer.text
    assert server.get(f"/clip/{asked.asked_id}/a").status_code == 200


def test_an_answer_that_was_taken_is_on_the_disk(server, home, asked):
    """Sent twice, as by a browser that was not told, it counts once; on purpose, anew."""
    said = {"asked_id": asked.asked_id, "choice": "second", "heard_s": [1.5, 2, 3.25]}
    for _ in range(2):
        answer = server.post("/answer", json=said)
        assert answer.status_code == 200 and answer.json() == {"asked_id": asked.asked_id, "choice": "second"}
    other = Workspace(home.paths.root).sittings
    assert other.find_question(asked.asked_id).answer == "second"
    assert other.find_question(asked.asked_id).heard_s == (1.5, 2.0, 3.25)
    late = server.post("/answer", json={**said, "choice": "first"})
    assert late.status_code == 200 and late.json()["choice"] == "second"
    for again in (1, "true", None):  # nothing else means yes
        assert server.post("/answer", json={**said, "choice": "first", "again": again}).json()["choice"] == "second"
    anew = server.post("/answer", json={"asked_id": asked.asked_id, "choice": "neither", "again": True})
    assert anew.json()["choice"] == "neither"


@pytest.mark.parametrize(
    "body",
    [
        b"", b"no json", b"[]", b'"first"', b"\xff", b'{"asked_id": "ID", "choice": "third"}', b'{"asked_id": "ID"}',
        b'{"asked_id": "ID", "choice": "first", "choice": "second"}', b'{"asked_id": "ID", "choice": ["first"]}',
        b'{"asked_id": "ID", "choice": "first", "heard_s": [1, 2]}',
        b'{"asked_id": "ID", "choice": "first", "heard_s": [1, 2, -1]}',
        b'{"asked_id": "ID", "choice": "first", "heard_s": [1, 2, 1e9]}',
        b'{"asked_id": "ID", "choice": "first", "heard_s": [1, 2, NaN]}',
        b'{"asked_id": "ID", "choice": "first", "heard_s": [1, 2, "3"]}',
        b'{"asked_id": "ID", "choice": "first", "heard_s": {"0": 1}}',
        b'{"asked_id": "ID", "choice": "first", "x": "' + b"a" * 2000 + b'"}',
        b'{"asked_id": "ID", "choice": "first", "x": "\\ud800"}',
    ],
)  # fmt: skip
def test_what_is_no_answer_is_refused_in_a_sentence(server, home, asked, body):
    answer = server.post("/answer", content=body.replace(b"ID", asked.asked_id.encode()))
    assert answer.status_code == 400 and answer.json()["error"].endswith(".")
    assert home.sittings.find_question(asked.asked_id) == asked


@pytest.mark.parametrize("name", ["", "no such", "x' OR '1'='1", "a\0b", "♪"])
def test_an_answer_to_no_question_says_so(server, home, asked, name):
    answer = server.post("/answer", json={"asked_id": name, "choice": "first"})
    assert answer.status_code == 404 and "not asked any more" in answer.json()["error"]
    assert home.sittings.find_question(asked.asked_id) == asked


def test_an_answer_comes_from_our_own_page(home, asked, monkeypatch):
    """Or from a program; not from a page elsewhere in the visitor's browser, whatever it calls what it sends."""
    monkeypatch.setattr(routes, "WorkerKeeper", NoWorker)
    app = Starlette(routes=routes.ROUTES, lifespan=routes.lifespan, middleware=[Middleware(Guard)])
    said = f'{{"asked_id": "{asked.asked_id}", "choice": "first"}}'
    with TestClient(app) as client:
        for origin in ("http://evil.example", "http://testserver:8501", "https://testserver.evil.example", "null"):
            for kind in ("application/json", "text/plain"):
                answer = client.post("/answer", content=said, headers={"Origin": origin, "Content-Type": kind})
                assert answer.status_code == 403
        assert home.sittings.find_question(asked.asked_id) == asked
        assert client.get("/answer").status_code == 405
        own = client.post("/answer", content=said, headers={"Origin": "http://testserver"})
        assert own.status_code == 200 and home.sittings.find_question(asked.asked_id).answer == "first"
