"""When are two recordings copies of each other? Scores of true copies against those of everything else.

    python -m benchmarks.copies DATA [--seconds 30]

DATA holds `real-audio/` (recordings) and `perf-midi/` (performances, rendered here with one piano). Copies of every
recording are made: 32 kbit/s MP3, Ogg at quality 0, 24 kbit/s Opus, -20 dB, from 1.1 s on, that as MP3, at half the
rate. Everything else: other recordings, and other performances of the same piece on the same piano, the hardest case.
Each pair's score is `search.copies.copy_score`; the threshold is right where the least of the copies and the largest of
the others part.
"""

from __future__ import annotations

import argparse
import csv
import io
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile
import soxr

from mess_core.audio.decode import read_excerpt
from mess_core.collections.rendering import excerpt, stretches
from mess_core.notes.midi import read_midi
from mess_core.notes.synthesis import SAMPLE_RATE_HZ
from mess_core.search.copies import COPY, HEARD_S, RATE_HZ, copy_score, onsets

LEAD_IN_S = 1.1
PIECE = "piece "
N_PIECES, N_PERFORMERS = 12, 4
KINDS = ("mp3 32k", "ogg q0", "opus 24k", "-20 dB", "from 1.1 s", "from 1.1 s, mp3 32k", "half the rate")


def encoded(audio: np.ndarray, rate_hz: int, kind: str, codec: str, bit_rate: int) -> bytes:
    """A recording through a codec of FFmpeg's, at a bit rate."""
    data = io.BytesIO()
    if codec == "libopus":
        audio, rate_hz = soxr.resample(audio, rate_hz, 48_000), 48_000
    if codec == "libmp3lame" and rate_hz > 24_000:  # 32 kbit/s are too few for more
        audio, rate_hz = soxr.resample(audio, rate_hz, 22_050), 22_050
    with av.open(data, "w", format=kind) as file:
        stream: Any = file.add_stream(codec, rate=rate_hz, layout="mono")
        stream.bit_rate = bit_rate
        pcm = (audio.clip(-1, 1) * 32767).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(pcm, format="s16", layout="mono")
        frame.sample_rate = rate_hz
        for packet in (*stream.encode(frame), *stream.encode(None)):
            file.mux(packet)
    return data.getvalue()


def written(audio: np.ndarray, rate_hz: int, kind: str = "WAV", **how: Any) -> bytes:
    data = io.BytesIO()
    soundfile.write(data, audio, rate_hz, format=kind, **how)
    return data.getvalue()


def variants(audio: np.ndarray, rate_hz: int) -> dict[str, tuple[str, bytes]]:
    """Kind -> suffix and bytes of each copy."""
    later = audio[round(LEAD_IN_S * rate_hz) :]
    return {
        "mp3 32k": (".mp3", encoded(audio, rate_hz, "mp3", "libmp3lame", 32_000)),
        "ogg q0": (".ogg", written(audio, rate_hz, "OGG", subtype="VORBIS", compression_level=1.0)),
        "opus 24k": (".opus", encoded(audio, rate_hz, "ogg", "libopus", 24_000)),
        "-20 dB": (".wav", written(audio / 10, rate_hz, subtype="PCM_16")),
        "from 1.1 s": (".wav", written(later, rate_hz, subtype="PCM_16")),
        "from 1.1 s, mp3 32k": (".mp3", encoded(later, rate_hz, "mp3", "libmp3lame", 32_000)),
        "half the rate": (".wav", written(soxr.resample(audio, rate_hz, rate_hz / 2), rate_hz // 2, subtype="PCM_16")),
    }


def make(data: Path, folder: Path, seconds: float) -> list[tuple[str, str, Path]]:
    """(what it is, which variant, file); what begins with the same word of a real recording is a copy of it."""
    made: list[tuple[str, str, Path]] = []

    def keep(name: str, kind: str, suffix: str, content: bytes) -> None:
        path = folder / f"{len(made):04d}{suffix}"
        path.write_bytes(content)
        made.append((name, kind, path))

    for path in sorted((data / "real-audio").iterdir()):
        if path.suffix in (".flac", ".ogg", ".mp3"):
            samples, rate_hz = read_excerpt(path, 0.0, seconds)
            audio = samples.mean(axis=1)
            keep(path.stem, "original", ".wav", written(audio, rate_hz, subtype="PCM_16"))
            for kind, (suffix, content) in variants(audio, rate_hz).items():
                keep(path.stem, kind, suffix, content)
    pieces = defaultdict(list)
    with (data / "perf-midi" / "manifest.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["role"] == "performance":
                pieces[row["group_id"]].append(row)
    several = [(name, rows) for name, rows in sorted(pieces.items()) if len(rows) >= N_PERFORMERS]
    for name, rows in several[:: max(1, len(several) // N_PIECES)][:N_PIECES]:
        for row in rows[:N_PERFORMERS]:
            notes, pedal, length_s = excerpt(*read_midi(data / "perf-midi" / row["file"]), seconds)
            audio = np.concatenate(list(stretches(notes, pedal, length_s)))
            keep(f"{PIECE}{name}", row["performer"], ".wav", written(audio, SAMPLE_RATE_HZ, subtype="PCM_16"))
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--seconds", type=float, default=30.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        made = make(options.data, Path(folder), options.seconds)
        heard = [(name, kind, _onsets(path)) for name, kind, path in made]
    found: dict[str, list[float]] = defaultdict(list)
    originals = [each for each in heard if each[1] not in KINDS]
    for number, (name, _, own) in enumerate(originals):
        for other, kind, its in heard:
            if other == name and kind in KINDS:
                found[kind].append(copy_score(own, its))
        for other, _, its in originals[:number]:
            is_piece = other == name
            is_rendered = other.startswith(PIECE) or name.startswith(PIECE)
            if is_piece or not is_rendered:
                found["the same piece by others" if is_piece else "other recordings"].append(copy_score(own, its))
    print(f"{'':<28}{'pairs':>7}{'least':>8}{'1 %':>7}{'50 %':>7}{'99 %':>7}{'most':>7}  called copies")
    for kind in (*KINDS, "the same piece by others", "other recordings"):
        scores = np.array(found[kind])
        quantiles = "".join(f"{value:7.2f}" for value in np.quantile(scores, [0, 0.01, 0.5, 0.99, 1]))
        print(f"{kind:<28}{len(scores):>7} {quantiles}  {(scores >= COPY).mean():13.1%}")


def _onsets(path: Path) -> np.ndarray:
    audio, rate_hz = read_excerpt(path, 0.0, HEARD_S)
    return onsets(soxr.resample(audio.mean(axis=1), rate_hz, RATE_HZ))


if __name__ == "__main__":
    main()
