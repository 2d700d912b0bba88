"""The routes beside the pages, asked by programs of our own: floods, odd ranges, foreign hosts, a second server."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

from mess_core.audio.decode import wav_bytes
from mess_core.upkeep.check import check
from mess_core.workspace.workspace import Workspace
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
    home = Workspace(app.home)
    for number, data in enumerate(sounds):
        assert home.catalogue.find_sha256(hashlib.sha256(data).hexdigest()).title == f"flood {number}"
    assert not list((app.home / "uploads").glob("*.tmp"))
    assert resident_bytes(app.process.pid) - before < 150e6
    assert check(home) == []


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
    home = Workspace(app.home)
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
    home = Workspace(app.home)
    track = home.catalogue.tracks("music")[0]
    for path in (f"/audio/{track.sha256}", f"/excerpt/{track.sha256}?start_s=1&length_s=2", f"/peaks/{track.sha256}"):
        got, head = request(app, "GET", path), request(app, "HEAD", path)
        assert (head.status, head.body) == (200, b"")
        assert int(head.headers["Content-Length"]) == len(got.body)
        assert head.headers["Content-Type"] == got.headers["Content-Type"]
        assert request(app, "POST", path, body=b"x").status in (403, 405)


def test_peaks_that_were_damaged_are_made_again(app):
    track = Workspace(app.home).catalogue.tracks("music")[1]
    first = request(app, "GET", f"/peaks/{track.sha256}").body
    path = app.home / "cache" / "peaks" / f"{track.sha256}.json"
    assert path.read_bytes() == first
    path.write_bytes(first.replace(b"0.1", b"0.2", 1) if b"0.1" in first else first[:-1])
    assert request(app, "GET", f"/peaks/{track.sha256}").body == first == path.read_bytes()


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "[::ffff:127.0.0.2]"])
def test_foreign_hosts_get_nothing_from_any_route(app, host):
    track = Workspace(app.home).catalogue.tracks("music")[0]
    for path in (f"/audio/{track.sha256}", f"/excerpt/{track.sha256}", f"/peaks/{track.sha256}"):
        assert request(app, "GET", path, Host=host).status == 400
    assert request(app, "PUT", "/upload", body=sound(5), Host=host).status == 400


def foreign_origins(app) -> list[str]:
    """Pages that are not ours: other sites, other ports and schemes, and what is no origin at all."""
    host, port = _address(app)
    return [
        "http://evil.example", "null", "", "http://[", "http://", "file://", f"http://{host}",
        f"http://{host}:{port + 1}",        f"http://localhost:{port}", f"https://{host}:{port + 1}", f"http://{host}:{port}@evil.example",
        f"http://{host}:{port}.evil.example", f"http://{host}:{port}/", f"http://a@{host}:{port}", f"ftp://{host}:{port}",
        f"http://{host}:99999", f"http://{host}:{port} http://evil.example", "\x80\xff",
    ]  # fmt: skip


def ask(app, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> tuple[int, dict[str, str]]:
    """A request written by hand; its status and the headers of the answer, by small letters."""
    told = {"Host": urlsplit(app.url).netloc, "Content-Length": str(len(body)), "Connection": "close", **headers}
    head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in told.items())
    with socket.create_connection(_address(app), timeout=20) as connection:
        connection.sendall(f"{head}\r\n".encode("latin-1") + body)
        answer = b""
        while b"\r\n\r\n" not in answer and (piece := connection.recv(4096)):
            answer += piece
    lines = answer.split(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    return int(lines[0].split()[1]), {key.lower(): value for key, _, value in (line.partition(": ") for line in lines)}


def open_session(app, **headers: str) -> int:
    """The status of the handshake of a WebSocket."""
    told = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    told |= {"Sec-WebSocket-Key": base64.b64encode(b"0123456789abcdef").decode()}
    return ask(app, "GET", "/_stcore/stream", {**told, **headers})[0]


def test_only_our_own_pages_get_a_session(app):
    """The WebSocket is where a page talks to the server; every other one is refused at the handshake."""
    assert open_session(app, Origin=app.url) == 101
    assert open_session(app, Origin=app.url.upper().replace("HTTP", "http")) == 101
    for origin in foreign_origins(app):
        assert open_session(app, Origin=origin) == 403, origin
    assert open_session(app) == 403  # a browser names its origin
    assert 400 <= open_session(app, Host="evil.example", Origin="http://evil.example") < 500


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "PATCH"])
@pytest.mark.parametrize("path", ["/upload", "/_stcore/upload_file/x/y", "/_stcore/agent/interact", "/Listen"])
def test_what_changes_something_comes_from_our_own_pages(app, method, path):
    for origin in foreign_origins(app):
        assert ask(app, method, path, {"Origin": origin}, b"x")[0] == 403, origin
    if (method, path) == ("PUT", "/upload"):
        for headers in ({"Origin": app.url}, {}):  # our page; a program, which names none
            assert ask(app, method, path, headers, sound(6))[0] == 200


@pytest.mark.parametrize(
    "path",
    ["/", "/Listen", "/listen", "/Library", "/nosuch", "/favicon.png", "/index.html", "/static/nosuch.js",
     "/_stcore/health", "/_stcore/host-config", "/_stcore/script-health-check", "/media/nosuch",
     "/component/nosuch/x", "/upload",
     "/audio/nosuch", "/audio/{sha256}", "/excerpt/{sha256}", "/peaks/{sha256}", "/excerpt/{sha256}?start_s=-1",
     "//evil.example/%2e%2e", "/Listen/_stcore/health"],
)  # fmt: skip
def test_no_answer_can_be_framed_sniffed_or_made_to_load_from_elsewhere(app, path):
    track = Workspace(app.home).catalogue.tracks("music")[0]
    for headers in ({}, {"Host": "evil.example"}, {"Origin": "http://[", "Range": "bytes=0-0"}):
        for method in ("GET", "HEAD", "POST"):
            status, told = ask(app, method, path.replace("{sha256}", track.sha256), headers)
            assert status < 500, (method, headers)
            assert told["x-frame-options"] == "DENY" and told["x-content-type-options"] == "nosniff"
            assert told["referrer-policy"] == "no-referrer"
            policy = dict(part.split(" ", 1) for part in told["content-security-policy"].split("; "))
            assert policy["frame-ancestors"] == policy["default-src"] == policy["base-uri"] == "'none'"
            assert not {"'unsafe-eval'", "'unsafe-inline'", "*", "http:", "https:", "data:"} & set(
                policy["script-src"].split()
            )


@pytest.mark.parametrize(
    "asked",
    ["start_s=1e308", "start_s=-1e308", "start_s=nan", "start_s=inf", "start_s=-1", "start_s=", "start_s=%00",
     "start_s=1e999", "start_s=6.5", "length_s=0", "length_s=-1", "length_s=nan", "length_s=inf", "length_s=1e308",
     "length_s=60.001", "length_s=x", "start_s=1e308&length_s=1e308", "start_s=" + "9" * 5000],
)  # fmt: skip
def test_nonsensical_passages_are_refused(app, asked):
    track = Workspace(app.home).catalogue.tracks("music")[0]
    response = request(app, "GET", f"/excerpt/{track.sha256}?{asked}")
    assert response.status == 400 and json.loads(response.body)["error"], response.status


def test_a_page_from_elsewhere_cannot_frame_ours(app, open_page, watch, tmp_path):
    """A page on another port of this machine frames the app: the frame stays empty."""
    (tmp_path / "index.html").write_text(f"<iframe src='{app.url}/Library'></iframe>")
    handler = partial(SimpleHTTPRequestHandler, directory=tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as elsewhere:
        threading.Thread(target=elsewhere.serve_forever, daemon=True).start()
        watch.expected.append("favicon")  # of the page that frames
        page = open_page(f"http://127.0.0.1:{elsewhere.server_port}/index.html")
        page.wait_for_timeout(3000)
        assert not any(frame.url.startswith(app.url) for frame in page.frames)
        assert page.frames[1].get_by_role("button").count() == 0
        assert any("frame-ancestors 'none'" in error for error in watch.errors)
        watch.errors.clear()
        elsewhere.shutdown()


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
    assert check(Workspace(app.home)) == []


def _address(app) -> tuple[str, int]:
    parts = urlsplit(app.url)
    return parts.hostname, parts.port
