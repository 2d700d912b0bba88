"""The routes beside the pages, asked by programs of our own: floods, odd ranges, foreign hosts, a second server."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

from mess_core.audio import wav_bytes
from mess_core.home import Home
from tests.e2e.test_app import request

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
RATE_HZ = 8000
N_FLOOD = 100


@pytest.fixture(scope="module")
def app(serve, bright_library, tmp_path_factory):
    root = tmp_path_factory.mktemp("routes") / "home"
    shutil.copytree(bright_library, root)
    return serve(ROOT / "app.py", home=root)


def sound(seed: int, seconds: float = 2.0) -> bytes:
    rng = np.random.default_rng(seed)
    return wav_bytes(rng.uniform(-0.3, 0.3, (round(seconds * RATE_HZ), 1)).astype(np.float32), RATE_HZ)


def resident_bytes(process_id: int) -> int:
    pages = int(Path(f"/proc/{process_id}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_a_flood_of_uploads_is_taken_in_full(app):
    """A hundred at once, every one of them whole; nothing is left over, and memory stays where it was."""
    sounds = [sound(number, 20.0) for number in range(N_FLOOD)]
    request(app, "PUT", "/upload", body=sound(-1 % 2**31), X_MESS_File_Name="first.wav")
    before = resident_bytes(app.process.pid)
    start = threading.Barrier(N_FLOOD)

    def send(number: int) -> int:
        start.wait(60)
        return request(app, "PUT", "/upload", body=sounds[number], X_MESS_File_Name=f"flood {number}.wav").status

    with ThreadPoolExecutor(N_FLOOD) as pool:
        assert set(pool.map(send, range(N_FLOOD))) == {200}
    home = Home(app.home)
    for number, data in enumerate(sounds):
        assert home.catalogue.find_sha256(hashlib.sha256(data).hexdigest()).title == f"flood {number}"
    assert not list((app.home / "uploads").glob("*.tmp"))
    assert resident_bytes(app.process.pid) - before < 150e6
    assert home.check() == []


def test_uploads_that_are_refused_leave_nothing(app):
    """Too large by its own word, empty, no audio, a nonsensical length, no length at all."""
    before = sorted((app.home / "uploads").iterdir()) if (app.home / "uploads").exists() else []
    assert request(app, "PUT", "/upload", body=b"").status == 400
    assert request(app, "PUT", "/upload", body=b"<html>", X_MESS_File_Name="../../x.wav").status == 400
    for method in ("POST", "DELETE", "PATCH"):
        assert request(app, method, "/upload", body=b"x").status in (405, 403)
    for length in (3_000_000_000, -5):
        with socket.create_connection(_address(app), timeout=20) as connection:
            head = f"PUT /upload HTTP/1.1\r\nHost: {urlsplit(app.url).netloc}\r\nContent-Length: {length}\r\n\r\n"
            connection.sendall(head.encode())
            assert connection.recv(100).startswith(b"HTTP/1.1 400")
    data = sound(77)
    with socket.create_connection(_address(app), timeout=20) as connection:  # in chunks, as a program does
        connection.sendall(
            f"PUT /upload HTTP/1.1\r\nHost: {urlsplit(app.url).netloc}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )
        for first in range(0, len(data), 10_000):
            piece = data[first : first + 10_000]
            connection.sendall(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        connection.sendall(b"0\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 200")
    kept = app.home / "uploads" / f"{hashlib.sha256(data).hexdigest()}.wav"
    assert sorted((app.home / "uploads").iterdir()) == sorted({*before, kept})


@pytest.mark.parametrize(
    ("range_", "status", "part"),
    [
        ("bytes=0-0", 206, slice(0, 1)),
        ("bytes=10-", 206, slice(10, None)),
        ("bytes=-1", 206, slice(-1, None)),
        ("bytes=0-99999999999", 206, slice(0, None)),
        ("bytes=-99999999999", 206, slice(0, None)),
        ("bytes=5-2", (400, 416), None),
        ("bytes=99999999999-", 416, None),
        ("bytes=abc", (200, 400), None),
        ("bytes=", (200, 400), None),
        ("items=0-5", (200, 400), None),
        ("bytes=0-1,-1", 206, None),
        ("bytes=" + ",".join("0-" for _ in range(500)), (200, 206, 400, 416), None),
    ],
)
def test_ranges(app, range_, status, part):
    """What a range asks for, or an answer that a client can tell from it; never more than the file."""
    home = Home(app.home)
    track = home.catalogue.tracks("music")[0]
    whole = home.catalogue.audio_path(track.track_id).read_bytes()
    response = request(app, "GET", f"/audio/{track.sha256}", Range=range_)
    assert response.status in (status if isinstance(status, tuple) else (status,)), response.status
    if part is not None:
        assert response.body == whole[part]
        assert response.headers["Content-Range"].endswith(f"/{len(whole)}")
    elif response.status == 200:
        assert response.body == whole
    assert len(response.body) < 2 * len(whole)


def test_head_says_what_get_would(app):
    home = Home(app.home)
    track = home.catalogue.tracks("music")[0]
    for path in (f"/audio/{track.sha256}", f"/excerpt/{track.sha256}?start_s=1&length_s=2", f"/peaks/{track.sha256}"):
        got, head = request(app, "GET", path), request(app, "HEAD", path)
        assert (head.status, head.body) == (200, b"")
        assert int(head.headers["Content-Length"]) == len(got.body)
        assert head.headers["Content-Type"] == got.headers["Content-Type"]
        assert request(app, "POST", path, body=b"x").status in (403, 405)


def test_peaks_that_were_damaged_are_made_again(app):
    track = Home(app.home).catalogue.tracks("music")[1]
    first = request(app, "GET", f"/peaks/{track.sha256}").body
    path = app.home / "cache" / "peaks" / f"{track.sha256}.json"
    assert path.read_bytes() == first
    path.write_bytes(first.replace(b"0.1", b"0.2", 1) if b"0.1" in first else first[:-1])
    assert request(app, "GET", f"/peaks/{track.sha256}").body == first == path.read_bytes()


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "[::ffff:127.0.0.2]"])
def test_foreign_hosts_get_nothing_from_any_route(app, host):
    track = Home(app.home).catalogue.tracks("music")[0]
    for path in (f"/audio/{track.sha256}", f"/excerpt/{track.sha256}", f"/peaks/{track.sha256}"):
        assert request(app, "GET", path, Host=host).status == 400
    assert request(app, "PUT", "/upload", body=sound(5), Host=host).status == 400


@pytest.mark.parametrize(
    ("headers", "is_welcome"),
    [
        ({}, True),
        ({"Origin": "http://evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Host": "evil.example", "Origin": "http://evil.example"}, False),
    ],
)
def test_only_our_own_pages_get_a_session(app, headers, is_welcome):
    """The WebSocket is where a page talks to the server; a page from elsewhere is refused at the handshake."""
    own = urlsplit(app.url).netloc
    told = {"Host": own, "Origin": app.url, "Connection": "Upgrade", "Upgrade": "websocket"}
    told |= {"Sec-WebSocket-Key": base64.b64encode(b"0123456789abcdef").decode(), "Sec-WebSocket-Version": "13"}
    lines = "".join(f"{name}: {value}\r\n" for name, value in {**told, **headers}.items())
    with socket.create_connection(_address(app), timeout=20) as connection:
        connection.sendall(f"GET /_stcore/stream HTTP/1.1\r\n{lines}\r\n".encode())
        status = int(connection.recv(100).split()[1])
    assert (status == 101) == is_welcome, status


def test_a_second_server_on_the_same_folder_serves_what_the_first_received(app, serve):
    """Both at once, each with its worker; what one takes the other plays."""
    other = serve(ROOT / "app.py", home=app.home)
    try:
        sounds = [sound(1000 + number) for number in range(20)]

        def send(number: int) -> int:
            return request((app, other)[number % 2], "PUT", "/upload", body=sounds[number]).status

        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(send, range(len(sounds)))) == {200}
        for number, data in enumerate(sounds):
            response = request((other, app)[number % 2], "GET", f"/audio/{hashlib.sha256(data).hexdigest()}")
            assert response.body == data
    finally:
        other.stop()
    assert Home(app.home).check() == []


def _address(app) -> tuple[str, int]:
    parts = urlsplit(app.url)
    return parts.hostname, parts.port
