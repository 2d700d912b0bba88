"""An evening of MP3s: how long a library of them takes to be embedded as usual, by nano and both networks of MusiCNN.

    python -m benchmarks.embedding [--minutes 400]

A new data folder, the files registered and embedded as `add` and `extract` do it, with the precision that is found to
say the same. The bar is 5 minutes for 400 on two quiet cores. Baselines, of the same run: decoding all files without
hearing them, and what the encoders alone need for as many segments, with nothing else to do, in float32.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

from benchmarks.decode import write_music
from benchmarks.first_minute import limit_s
from mess_core.audio.decode import Decoder
from mess_core.embeddings.extraction import use_all_cores
from mess_core.embeddings.precision import read_certificate
from mess_core.encoders.hearings import LIKE_THIS
from mess_core.encoders.musicnn import MSD, MTT
from mess_core.encoders.nano import NANO
from mess_core.storage.jobs import new_owner
from mess_core.work.doing import do
from mess_core.work.extract import ExtractRequest
from mess_core.work.request import submit
from mess_core.work.task import Task
from mess_core.workspace.scan import scan
from mess_core.workspace.scope import count_segments
from mess_core.workspace.workspace import Workspace

LIBRARY, FILE_MINUTES, BAR_S = "evening", 5, 300.0
LATER_BYTES = 4000  # a quarter of a second: it takes a minute to compress an hour of music anew
ENCODERS = (NANO, MTT, MSD)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=int, default=400)
    n_files = max(1, parser.parse_args().minutes // FILE_MINUTES)
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}, {n_files} files of {FILE_MINUTES} minutes")
    with tempfile.TemporaryDirectory() as folder:
        music, workspace = Path(folder) / "music", Workspace(Path(folder) / "home")
        music.mkdir()
        files = [music / f"{number:03d}.mp3" for number in range(n_files)]
        write_music(files[0], "MP3", FILE_MINUTES * 60)
        data = files[0].read_bytes()
        for number, file in enumerate(files[1:], start=1):
            file.write_bytes(data[number * LATER_BYTES :])  # begins later: another content, and so another track
        scan(workspace, music, LIBRARY)
        owner = new_owner()
        submit(workspace, ExtractRequest(LIBRARY, LIKE_THIS))
        cpu_s, started = time.process_time(), time.perf_counter()
        use_all_cores()
        job = workspace.jobs.claim(owner)
        assert job is not None, "it was submitted a moment ago"
        do(Task(workspace, job, owner))
        embedded_s, cpu_s = time.perf_counter() - started, time.process_time() - cpu_s
        tracks = workspace.catalogue.tracks(LIBRARY)
        n_embedded = min(len(workspace.store.known(info)) for info in ENCODERS)
        assert n_embedded == len(tracks) == n_files, f"{n_embedded} of {len(tracks)} were embedded"
        for info in ENCODERS:
            certificate = read_certificate(info, "cpu", workspace.database)
            print(f"{info.id:>14}  {certificate.words if certificate else 'float32'}")
        music_s = sum(track.duration_s for track in tracks)
        started = time.perf_counter()
        for file in files:
            for _ in Decoder(file, NANO.sample_rate_hz, measure_loudness=False):
                pass
        decoded_s = time.perf_counter() - started
    alone_s = sum(limit_s(sum(count_segments(t.duration_s, info) for t in tracks), info) for info in ENCODERS)
    times = music_s / embedded_s
    print(f"embedded      {embedded_s:7.1f} s, {times:.0f} x real time   (bar {BAR_S:g} s for 400 minutes)")
    print(f"  processor   {cpu_s:7.1f} s")
    print(f"encoders alone{alone_s:7.1f} s, in float32")
    print(f"decoded once  {decoded_s:7.1f} s")


if __name__ == "__main__":
    main()
