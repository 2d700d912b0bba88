"""Damaged audio files by the thousand: each is decoded, or refused in one sentence; nothing else comes out.

    python -m benchmarks.mutations --files 1000000

Half of the files are WAV, whose headers are read by our own code; of these most are read in memory and every tenth
through a true file. The others are FLAC, Ogg, MP3 (also without its first frame, and behind a tag), MP4, Matroska, AIFF
and some rarer ones, decoded by FFmpeg through our own `Decoder`. Each is one of a few short recordings after one to a
dozen harms: bits, bytes, runs, cuts, pieces doubled or moved, numbers at the edge of what fits. The seed fixes all of
it.
"""

from __future__ import annotations

import argparse
import io
import os
import random
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile

from mess_core.audio.decode import Decoder
from mess_core.audio.wav_header import decode_samples, read_wav_header
from mess_core.errors import AudioError

RATE_HZ = 8000
EDGES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
BAR_S = 0.010  # on average


@dataclass
class Figures:
    """What happened. `escaped` holds what may not come out: the kind of the file, its number, and what it was."""

    n_files: int = 0
    n_refused: int = 0
    slowest_s: float = 0.0
    slowest: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    escaped: list[str] = field(default_factory=list)

    @property
    def mean_s(self) -> float:
        return sum(self.seconds.values()) / max(self.n_files, 1)


def seeds() -> dict[str, list[bytes]]:
    """Whole files by kind; a quarter of a second each."""
    rng = np.random.default_rng(0)
    stereo = 0.3 * rng.standard_normal((RATE_HZ // 4, 2)).clip(-1, 1)

    def encoded(container: str, subtype: str | None = None, samples: np.ndarray = stereo) -> bytes:
        file = io.BytesIO()
        soundfile.write(file, samples, RATE_HZ, subtype, format=container)
        return file.getvalue()

    short = stereo[:100]
    wavs = [encoded(kind, depth, short) for kind in ("WAV", "WAVEX", "RF64") for depth in ("PCM_16", "PCM_24", "FLOAT")]
    wavs += [encoded("WAV", depth, short) for depth in ("PCM_U8", "PCM_32", "DOUBLE")]
    mp3 = encoded("MP3")
    second = mp3.find(mp3[:2], 4)
    tag = b"ID3\4\0\0\0\0\0\x14" + b"TIT2\0\0\0\x0a\0\0\3a title.."
    return {
        "WAV": wavs,
        "FLAC": [encoded("FLAC", "PCM_16"), encoded("FLAC", "PCM_24"), encoded("FLAC", "PCM_16", stereo[:, 0])],
        "OGG": [encoded("OGG", "VORBIS"), encoded("OGG", "OPUS")],
        "MP3": [mp3, mp3[second:], tag + mp3],
        "MP4": [_encode_av("mp4", codec, stereo) for codec in ("aac", "alac")],
        "MKV": [_encode_av("webm", "libopus", stereo), _encode_av("matroska", "flac", stereo)],
        "AIFF": [encoded("AIFF", "PCM_16"), encoded("CAF", "PCM_16"), encoded("AU", "FLOAT")],
        "other": [
            _encode_av(*kinds, stereo)
            for kinds in [("wv", "wavpack"), ("tta", "tta"), ("adts", "aac"), ("asf", "wmav2"), ("avi", "ac3")]
        ]
        + [encoded("WAV", "IMA_ADPCM"), encoded("WAV", "ULAW"), encoded("W64", "PCM_16")],
    }


def _encode_av(container: str, codec: str, samples: np.ndarray) -> bytes:
    """Encode with FFmpeg; at 48 kHz, which all of its encoders take."""
    import av

    file = io.BytesIO()
    with av.open(file, "w", format=container) as out:
        stream = out.add_stream(codec, rate=48_000, layout="stereo")
        assert isinstance(stream, av.AudioStream)
        stream.bit_rate = 128_000
        formats = stream.codec_context.codec.audio_formats
        assert formats
        resampler = av.AudioResampler(formats[0], "stereo", 48_000)
        for start in range(0, len(samples), 500):
            piece = np.ascontiguousarray(samples[start : start + 500], np.float32).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(piece, "flt", "stereo")
            frame.sample_rate, frame.pts = 48_000, start
            for ready in resampler.resample(frame):
                out.mux(stream.encode(ready))
        for ready in resampler.resample(None):
            out.mux(stream.encode(ready))
        out.mux(stream.encode(None))
    return file.getvalue()


def harm(content: bytes, rng: random.Random) -> bytes:
    """The same file after some harms, most of them near its beginning, where the header is."""
    data = bytearray(content)
    for _ in range(rng.randint(1, 12)):
        if not data:
            break
        at = rng.randrange(len(data) if rng.random() < 0.4 else min(len(data), 120))
        match rng.randrange(8):
            case 0 | 1:
                data[at] ^= 1 << rng.randrange(8)
            case 2:
                data[at] = rng.randrange(256)
            case 3:
                size = rng.choice((1, 2, 4))
                data[at : at + size] = (rng.choice(EDGES) % 256**size).to_bytes(size, "little")
            case 4:
                del data[at : at + rng.randint(1, 40)]
            case 5:
                data[at:at] = data[at : at + rng.randint(1, 40)]
            case 6:
                length = min(rng.randint(1, 200), len(data) - at)
                data[at : at + length] = bytes(length)
            case 7:
                if rng.random() < 0.3:
                    del data[rng.randrange(len(data)) :]
    return bytes(data)


def run(n_files: int, seed: int = 0, folder: Path | None = None, share_wav: float = 0.5) -> Figures:
    """Damage and read so many files."""
    with tempfile.TemporaryDirectory(dir=folder) as place, _silent_decoders(), warnings.catch_warnings():
        warnings.simplefilter("error")
        return _run(n_files, seed, Path(place, "a"), share_wav)


def _run(n_files: int, seed: int, path: Path, share_wav: float) -> Figures:
    figures, whole, rng = Figures(), seeds(), random.Random(seed)
    others = [kind for kind in whole if kind != "WAV"]
    for number in range(n_files):
        kind = "WAV" if rng.random() < share_wav else others[number % len(others)]
        content = harm(rng.choice(whole[kind]), rng)
        in_memory = kind == "WAV" and number % 10 != 0
        if not in_memory:
            path.write_bytes(content)
        started = time.perf_counter()
        try:
            if in_memory:
                _read_in_memory(content)
            else:
                _read_file(path)
        except AudioError:
            figures.n_refused += 1
        except Exception as error:
            figures.escaped.append(f"{kind} {number}: {''.join(traceback.format_exception(error)[-2:])}")
        seconds = time.perf_counter() - started
        figures.n_files += 1
        figures.seconds[kind] = figures.seconds.get(kind, 0.0) + seconds
        figures.counts[kind] = figures.counts.get(kind, 0) + 1
        if seconds > figures.slowest_s:
            figures.slowest_s, figures.slowest = seconds, f"{kind} {number}"
    return figures


def _read_in_memory(content: bytes) -> None:
    header = read_wav_header(io.BytesIO(content), "a")
    if header.n_frames * header.frame_bytes > len(content) - header.data_offset:
        raise ArithmeticError("the header promises more than there is")
    stored = content[header.data_offset : header.data_offset + header.n_frames * header.frame_bytes]
    samples = decode_samples(stored, header)
    if samples.shape != (header.n_frames, header.n_channels) or samples.dtype != np.float32:
        raise ArithmeticError(f"the samples are {samples.shape} {samples.dtype}")


def _read_file(path: Path) -> None:
    decoder = Decoder(path, 24_000, measure_loudness=False)
    for block in decoder:
        if block.dtype != np.float32 or not np.isfinite(block).all():
            raise ArithmeticError("a block is not finite")
    if not np.isfinite(decoder.facts.peak):
        raise ArithmeticError("the peak is not finite")


@contextmanager
def _silent_decoders() -> Iterator[None]:
    """Decoders may write to standard error, past Python."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def main() -> None:
    parser = argparse.ArgumentParser(description="Read damaged audio files; nothing but AudioError may come out.")
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    started = time.perf_counter()
    figures = run(options.files, options.seed)
    print(f"{'kind':<6} {'files':>9} {'ms each':>9}")
    for kind, n in sorted(figures.counts.items()):
        print(f"{kind:<6} {n:>9} {figures.seconds[kind] / n * 1e3:>9.3f}")
    print(f"{'all':<6} {figures.n_files:>9} {figures.mean_s * 1e3:>9.3f}   (bar {BAR_S * 1e3:.0f} ms)")
    print(f"refused {figures.n_refused / figures.n_files:.1%}, escaped {len(figures.escaped)}")
    print(f"slowest {figures.slowest_s * 1e3:.1f} ms ({figures.slowest}), {time.perf_counter() - started:.0f} s in all")
    print("\n".join(figures.escaped[:10]))
    sys.exit(bool(figures.escaped) or figures.mean_s > BAR_S)


if __name__ == "__main__":
    main()
