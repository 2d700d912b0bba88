"""Does the server give memory back? Uploads, plays and sessions by the hundred, and its size before and after.

    python -m benchmarks.soak

One round first, so that what is loaded once and kept (caches, code, the threads' own memory) is there; then the rounds
that are measured. The bar: after a minute of rest the server is no more than a tenth larger than after the first round.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import http.client
import os
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from benchmarks.first_minute import PORT, ROOT, is_healthy
from benchmarks.memory import resident_bytes
from mess_core.audio.decode import wav_bytes
from mess_core.workspace.workspace import Workspace

RATE_HZ = 44_100
N_UPLOADS, N_PLAYS, N_SESSIONS = 200, 500, 50
UPLOAD_S = 15
REST_S = 20
BAR = 0.10


def main() -> None:
    parser = argparse.ArgumentParser(description="Uploads, plays and sessions, and the server's memory.")
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        Workspace(Path(folder)).database.set_setting("demo", "removed")
        command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(PORT)]
        environment = {**os.environ, "MESS_HOME": folder}
        server = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            while not is_healthy():
                time.sleep(0.1)
            print(f"{'':<12} {'uploads':>8} {'plays':>8} {'sessions':>9} {'peak':>8} {'at rest':>8}")
            sizes = []
            for number in range(options.rounds + 1):
                seconds = one_round(number)
                peak = resident_bytes(server.pid)
                time.sleep(REST_S)
                sizes.append(resident_bytes(server.pid))
                name = "first" if number == 0 else f"round {number}"
                spent = " ".join(f"{second:>7.1f}s" for second in seconds)
                print(f"{name:<12} {spent}  {peak / 1e6:>6.0f}MB {sizes[-1] / 1e6:>6.0f}MB", flush=True)
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait()
    growth = sizes[-1] / sizes[0] - 1
    print(f"growth from the first round to the last {growth:+.1%}   (bar {BAR:.0%})")
    sys.exit(growth > BAR)


def one_round(number: int) -> tuple[float, float, float]:
    """Seconds that the uploads, the plays and the sessions took."""
    started = time.perf_counter()
    rng = np.random.default_rng(number)
    noise = rng.uniform(-0.3, 0.3, (UPLOAD_S * RATE_HZ, 2)).astype(np.float32)
    hashes = []

    def send(turn: int) -> str:
        data = wav_bytes(np.roll(noise, turn * 997, axis=0), RATE_HZ)
        status, _ = ask("PUT", "/upload", data)
        if status != 200:
            raise RuntimeError(f"upload {turn}: status {status}")
        return hashlib.sha256(data).hexdigest()

    with ThreadPoolExecutor(4) as pool:
        hashes = list(pool.map(send, range(N_UPLOADS)))
    uploaded = time.perf_counter()

    def play(turn: int) -> None:
        status, body = ask("GET", f"/excerpt/{hashes[turn % len(hashes)]}?start_s={turn % 5}&length_s=10")
        if status != 200 or len(body) != 44 + 10 * RATE_HZ * 4:
            raise RuntimeError(f"play {turn}: status {status}, {len(body)} bytes")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(play, range(N_PLAYS)))
    played = time.perf_counter()
    asyncio.run(sessions())
    return uploaded - started, played - uploaded, time.perf_counter() - played


async def sessions() -> None:
    """Open pages as browsers do: a WebSocket each, which asks for a run and reads until the page is complete."""
    import websockets
    from websockets.typing import Origin, Subprotocol

    async def visit(number: int) -> None:
        from streamlit.proto.BackMsg_pb2 import BackMsg
        from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

        page = ("", "Library", "Layers", "Map", "Listen")[number % 5]
        address = f"ws://127.0.0.1:{PORT}/_stcore/stream"
        async with websockets.connect(
            address, origin=Origin(f"http://127.0.0.1:{PORT}"), subprotocols=[Subprotocol("streamlit")], max_size=None
        ) as connection:
            message = BackMsg()
            message.rerun_script.page_name = page
            await connection.send(message.SerializeToString())
            async with asyncio.timeout(120):
                while True:
                    answer = ForwardMsg()
                    answer.ParseFromString(await connection.recv())
                    if answer.WhichOneof("type") == "script_finished":
                        return

    for first in range(0, N_SESSIONS, 10):
        await asyncio.gather(*(visit(number) for number in range(first, first + 10)))


def ask(method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=120)
    try:
        connection.request(method, path, body, {"X-MESS-File-Name": "soak.wav"} if body else {})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


if __name__ == "__main__":
    main()
