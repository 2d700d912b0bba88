"""Peak memory, whatever the length of the file: extraction of three hours, and an upload of 500 MB.

    python -m benchmarks.memory

Each measurement runs in its own process; what the process held before (with the model loaded, after a first short
file) is subtracted. The baseline is what loading the same file whole would take.
"""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

from benchmarks.first_minute import PORT, ROOT, is_healthy
from mess_core.embeddings.extraction import ExtractedTrack, WantedTrack, extract, use_all_cores
from mess_core.encoders.registry import load_encoder
from mess_core.storage.paths import Paths
from mess_core.workspace.workspace import Workspace

RATE_HZ = 44_100
HOURS = 3
UPLOAD_BYTES = 500_000_000


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        long, short = Path(folder, "long.wav"), Path(folder, "short.wav")
        write_noise(long, HOURS * 3600)
        write_noise(short, 20)
        whole = HOURS * 3600 * RATE_HZ * 2 * 4
        print(f"loading {HOURS} h of stereo whole          {whole / 1e6:8.0f} MB   (baseline, float32)")
        for encoder_id, bar in (("nano", 250), ("musicnn-msd", 250), ("mel", 250)):
            command = [sys.executable, "-m", "benchmarks.memory", encoder_id, str(long), str(short)]
            print(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip(), end="")
            print(f"   (bar {bar} MB)")
        print(upload_line(long))


def write_noise(path: Path, seconds: int) -> None:
    rng = np.random.default_rng(0)
    second = rng.normal(0, 3000, (RATE_HZ, 2)).astype(np.int16)
    with soundfile.SoundFile(path, "w", RATE_HZ, 2, "PCM_16") as file:
        for number in range(seconds):
            file.write(np.roll(second, number * 101, axis=0))


def extraction_line(encoder_id: str, long: Path, short: Path) -> str:
    """Peak of extracting the long file above that of the short one's end."""
    use_all_cores()
    encoder = load_encoder(encoder_id, Paths.default())
    encoder.encode(np.zeros((1, encoder.info.segment_samples), np.float32))  # the model with its first buffers
    before = resident_bytes(os.getpid())
    list(extract([WantedTrack("short", "short", short)], encoder))
    start = time.perf_counter()
    (done,) = [
        event for event in extract([WantedTrack("long", "long", long)], encoder) if isinstance(event, ExtractedTrack)
    ]
    seconds = time.perf_counter() - start
    peak = resident_bytes(os.getpid(), "VmHWM") - before
    return (
        f"extracting {HOURS} h with {encoder_id:<5} {len(done.embedding.segments)} segments {peak / 1e6:6.0f} MB"
        f"   {HOURS * 3600 / seconds:.0f} x real time"
    )


def upload_line(long: Path) -> str:
    """Growth of the server while it receives a large file."""
    with tempfile.TemporaryDirectory() as folder:
        Workspace(Path(folder)).database.set_setting("demo", "removed")
        command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(PORT)]
        server = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "MESS_HOME": folder})
        try:
            while not is_healthy():
                time.sleep(0.1)
            send(long, 1_000_000)
            before = resident_bytes(server.pid)
            start = time.perf_counter()
            status = send(long, UPLOAD_BYTES)
            seconds = time.perf_counter() - start
            growth = resident_bytes(server.pid, "VmHWM") - before
        finally:
            server.terminate()
            server.wait()
    return (
        f"upload of {UPLOAD_BYTES / 1e6:.0f} MB, status {status}       {growth / 1e6:6.0f} MB"
        f"   {UPLOAD_BYTES / seconds / 1e6:.0f} MB/s"
    )


def send(path: Path, n_bytes: int) -> int:
    """Send the first bytes of a file, as a browser does."""
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=120)
    connection.putrequest("PUT", "/upload")
    connection.putheader("Content-Length", str(n_bytes))
    connection.putheader("X-MESS-File-Name", "large.wav")
    connection.endheaders()
    with path.open("rb") as file:
        while n_bytes:
            piece = file.read(min(n_bytes, 1 << 20))
            connection.send(piece)
            n_bytes -= len(piece)
    response = connection.getresponse()
    response.read()
    connection.close()
    return response.status


def resident_bytes(process_id: int, field: str = "VmRSS") -> int:
    """Memory of a process now (VmRSS) or at its peak (VmHWM); Linux."""
    for line in Path(f"/proc/{process_id}/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"no {field} for process {process_id}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(extraction_line(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])))
    else:
        main()
