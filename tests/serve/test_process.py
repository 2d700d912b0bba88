"""`mess serve` as a process: it listens on loopback, answers, and finishes what is in hand before it goes."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import uvicorn

from mess_core.cli.main import main
from mess_core.serve import service
from mess_core.serve.service import Service, listen
from mess_core.serve.settings import ServiceSettings
from tests.conftest import write_recording

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
SECRET = "a-token-of-many-characters"
PATIENCE_S = 60


@pytest.fixture
def process(served_home) -> Iterator[subprocess.Popen]:
    """A service on a free port, with a token."""
    command = [
        sys.executable,
        "-m",
        "mess_core",
        "--home",
        str(served_home.paths.root),
        "serve",
        "--port",
        "0",
        "--json",
    ]
    environment = {**os.environ, "MESS_TOKEN": SECRET, "OMP_NUM_THREADS": "1"}
    started = subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    yield started
    if started.poll() is None:
        started.kill()
    started.communicate()


def address_of(process: subprocess.Popen) -> str:
    """What it prints first: one JSON document."""
    text = ""
    while not text.rstrip().endswith("}"):
        line = process.stdout.readline()
        assert line, process.stderr.read()
        text += line
    document = json.loads(text)
    assert document["needs_token"] is True
    return document["address"]


def await_ready(address: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            if httpx2.get(f"{address}/health/ready").status_code == 200:
                return
        except httpx2.TransportError:
            pass
        time.sleep(0.05)
    raise AssertionError("never ready")


def test_it_answers_and_finishes_what_is_in_hand(process, served_home, tmp_path):
    """An upload of which half has come is answered after SIGTERM; nobody new is let in; it leaves with 0."""
    address = address_of(process)
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", address)
    await_ready(address)
    assert httpx2.get(f"{address}/v1/tags").status_code == 401
    known = {"Authorization": f"Bearer {SECRET}"}
    track_id = served_home.catalogue.track_ids("planted")[0]
    asked = {"query": track_id, "library": "planted", "encoder": "mel"}
    answer = httpx2.get(f"{address}/v1/similar", params=asked, headers=known, timeout=PATIENCE_S)
    assert answer.status_code == 200 and len(answer.json()["results"]) == 10
    assert "server" not in answer.headers
    data = write_recording(tmp_path / "a.wav", 6.0).read_bytes()
    host, _, port = address.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE_S) as connection:
        head = f"POST /v1/embed?encoder=mel HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {SECRET}\r\n"
        head += f"Content-Type: audio/wav\r\nContent-Length: {len(data)}\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode() + data[: len(data) // 2])
        uploads = served_home.paths.uploads
        deadline = time.monotonic() + PATIENCE_S
        while not (uploads.is_dir() and list(uploads.iterdir())) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            try:
                socket.create_connection((host, int(port)), timeout=1).close()
            except OSError:
                break
            time.sleep(0.02)
        connection.sendall(data[len(data) // 2 :])
        received = b""
        while piece := connection.recv(65_536):
            received += piece
    assert received.startswith(b"HTTP/1.1 200 ") and b'"n_segments"' in received
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert SECRET not in errors and "Traceback" not in errors
    assert list(served_home.paths.uploads.iterdir()) == []


def test_a_body_that_never_comes_is_given_up(served_home, tmp_path):
    """In a process, because only a real connection can be slow: 408, and the connection is closed."""
    settings = ServiceSettings(port=0, receive_s=0.3)
    listening = listen(settings)
    server = uvicorn.Server(uvicorn.Config(Service(served_home.paths.root, settings).app, log_level="critical"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        host, _, port = service.address_of(listening).removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), timeout=PATIENCE_S) as connection:
            connection.sendall(b"POST /v1/embed HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: audio/wav\r\n"
                               b"Content-Length: 1000\r\n\r\nRIFF")  # fmt: skip
            received = b""
            while piece := connection.recv(65_536):
                received += piece
        head, _, body = received.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 408 ") and json.loads(body)["value"] == 4
    finally:
        server.should_exit = True
        thread.join(PATIENCE_S)
        listening.close()


def test_small_answers_do_not_wait_for_nagle():
    """An accepted connection sends at once: else each answer of two pieces takes 40 ms."""
    with listen(ServiceSettings(port=0)) as listening:
        assert listening.proto == socket.IPPROTO_TCP  # by which asyncio goes
        with socket.create_connection(listening.getsockname()), listening.accept()[0] as accepted:
            assert accepted.proto == socket.IPPROTO_TCP


def test_a_port_that_is_taken_is_one_sentence(served_home, capsys):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert main(["--home", str(served_home.paths.root), "serve", "--port", str(port)]) == 2
    assert f"Nothing can listen at 127.0.0.1, port {port}" in capsys.readouterr().err


@pytest.mark.parametrize(("options", "text"), [
    (("--host", "0.0.0.0"), "Without a token"), (("--port", 70000), "The port is 70000"),
    (("--rate", 0), "--rate is 0"),
    (("--timeout", -1), "--timeout is -1"), (("--most-mb", "nan"), "--most-mb"), (("--token-file", "nowhere"), "token"),
])  # fmt: skip
def test_wrong_use_is_one_sentence_and_nothing_listens(served_home, capsys, options, text):
    assert main(["--home", str(served_home.paths.root), "serve", *map(str, options)]) == 2
    printed = capsys.readouterr()
    assert text in printed.err and printed.err.count("\n") == 1 and printed.out == ""
