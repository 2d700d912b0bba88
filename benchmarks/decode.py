"""How fast and in how much memory a recording becomes mono blocks at 24 kHz.

Run: python benchmarks/decode.py [--hours 3]

Each row is a process of its own. Beside MESS stand librosa on the same file (not on the long one: it holds the whole
recording) and two limits of this machine: libsndfile or a plain read that throws everything away, and that with soxr.
Seconds are of the processor, so that other programs do not count. Memory is the peak above a process that has imported
the libraries and done nothing else.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))
RATE_HZ = 24_000
FILE_RATE_HZ = 44_100
SHORT_S = 300


def with_mess(path: Path) -> None:
    """Decode, resample, measure loudness, cut into segments."""
    from mess_core.audio.decode import Decoder, segments

    for _ in segments(Decoder(path, RATE_HZ), 5 * RATE_HZ, 5 * RATE_HZ // 2, RATE_HZ):
        pass


def with_mess_without_loudness(path: Path) -> None:
    """Decode, resample, cut into segments."""
    from mess_core.audio.decode import Decoder, segments

    for _ in segments(Decoder(path, RATE_HZ, measure_loudness=False), 5 * RATE_HZ, 5 * RATE_HZ // 2, RATE_HZ):
        pass


def with_librosa(path: Path) -> None:
    """Load and resample as most do, with the same resampler."""
    import librosa

    librosa.load(path, sr=RATE_HZ, mono=True, res_type="soxr_hq")


def limit_decode_and_resample(path: Path) -> None:
    """Decode with libsndfile, take one channel, resample: nothing else."""
    import soundfile
    import soxr

    stream = soxr.ResampleStream(FILE_RATE_HZ, RATE_HZ, 1, dtype="float32", quality="HQ")
    for block in soundfile.blocks(path, 32_768, dtype="float32", always_2d=True):
        stream.resample_chunk(np.ascontiguousarray(block[:, 0]))


def limit_decode(path: Path) -> None:
    """Decode with libsndfile and throw away."""
    import soundfile

    for _ in soundfile.blocks(path, 32_768, dtype="float32", always_2d=True):
        pass


LIBROSA = "librosa.load (baseline)"
WAYS: dict[str, Callable[[Path], None]] = {
    "MESS": with_mess,
    "MESS, loudness not measured": with_mess_without_loudness,
    LIBROSA: with_librosa,
    "libsndfile + soxr (limit)": limit_decode_and_resample,
    "libsndfile alone (limit)": limit_decode,
}


def measure(way: str, path: Path) -> None:
    """Print processor seconds and kibibytes; runs in a process of its own, a small file warms everything up."""
    import pyloudnorm  # noqa: F401
    import scipy.signal  # noqa: F401
    import soundfile  # noqa: F401
    import soxr  # noqa: F401

    import mess_core.audio.decode  # noqa: F401

    if way == LIBROSA:
        import librosa

        librosa.resample(np.zeros(RATE_HZ), orig_sr=RATE_HZ, target_sr=RATE_HZ // 2)  # it imports lazily
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        small = Path(folder) / "small.wav"
        write_music(small, "WAV", 2)
        before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        WAYS[way](small)
    started_s = time.process_time()
    WAYS[way](path)
    print(time.process_time() - started_s, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib)


def write_music(path: Path, container: str, duration_s: int) -> None:
    """Write stereo noise with a slow envelope, second by second."""
    import soundfile

    rng = np.random.default_rng(0)
    seconds = [rng.normal(0, 0.1, (FILE_RATE_HZ, 2)) * level for level in (1, 0.5, 0.1, 0.7)]
    with soundfile.SoundFile(path, "w", FILE_RATE_HZ, 2, format=container) as sound:
        for number in range(duration_s):
            sound.write(seconds[number % len(seconds)])


def report(title: str, path: Path, duration_s: float, ways: list[str]) -> None:
    """Print one table."""
    print(f"\n{title}, {duration_s / 60:.0f} min stereo at {FILE_RATE_HZ} Hz, {path.stat().st_size / 1e6:.0f} MB")
    print(f"{'':32}{'CPU s':>9}{'x real time':>13}{'peak above process':>21}")
    for way in ways:
        runs = []
        for _ in range(3 if duration_s <= SHORT_S else 1):
            command = [sys.executable, __file__, "--measure", way, str(path)]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            runs.append([float(value) for value in output.split()])
        seconds, kib = np.median(runs, axis=0)
        print(f"{way:32}{seconds:9.2f}{duration_s / seconds:13.0f}{kib / 1024:18.1f} MB")


def main() -> None:
    """Measure short files in four formats, then a long WAV."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=3.0, help="length of the long WAV")
    parser.add_argument("--measure", nargs=2, metavar=("WAY", "FILE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(arguments.measure[0], Path(arguments.measure[1]))
        return
    with tempfile.TemporaryDirectory() as folder:
        for container in ("WAV", "FLAC", "OGG", "MP3"):
            path = Path(folder) / f"short.{container.lower()}"
            write_music(path, container, SHORT_S)
            report(container, path, SHORT_S, list(WAYS))
        path = Path(folder) / "long.wav"
        write_music(path, "WAV", round(arguments.hours * 3600))
        report("long WAV", path, arguments.hours * 3600, [way for way in WAYS if way != LIBROSA])


if __name__ == "__main__":
    main()
