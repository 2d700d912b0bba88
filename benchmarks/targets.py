"""What the audio targets cost: milliseconds of the processor per second of audio, by what is computed.

Run: python benchmarks/targets.py [--minutes 5] [--hours 0] [FILE ...]

Without files it measures rendered piano music, written as a stereo FLAC at 44.1 kHz. The bar of the project is an hour
of audio in 60 s on two cores, one file per core: 33 ms of one core per second of audio. With --hours a file of that
length is measured as a whole, for the memory it takes. Everything runs in one thread.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))

from mess_core.audio.decode import Decoder  # noqa: E402
from mess_core.targets import (  # noqa: E402
    attack,
    audio,
    character,
    danceability,
    dynamics,
    form,
    harmony,
    key,
    rhythm,
    spectrum,
    voice,
)
from mess_core.targets.frames import SAMPLE_RATE_HZ  # noqa: E402
from mess_core.targets.moments import MomentStream  # noqa: E402

FILE_RATE_HZ = 44_100
BAR_MS = 33.0


def cpu_ms(work: Callable[[], Any]) -> tuple[float, Any]:
    """Processor time of one call, and what it returned."""
    started_s = time.process_time()
    result = work()
    return 1000 * (time.process_time() - started_s), result


def stream(collector: Any, add: str, blocks: Iterable[np.ndarray]) -> Any:
    """Feed all blocks to a collector."""
    for block in blocks:
        getattr(collector, add)(block)
    return collector.finish()


def report(path: Path) -> None:
    """Print one table: each part alone, then all in one pass."""
    decoding_ms, blocks = cpu_ms(lambda: list(Decoder(path, SAMPLE_RATE_HZ, measure_loudness=False)))
    duration_s = sum(map(len, blocks)) / SAMPLE_RATE_HZ
    rows: list[tuple[str, float, str]] = [("decode, mono, resample", decoding_ms, "all")]

    def timed(name: str, targets: str, work: Callable[[], Any]) -> Any:
        milliseconds, result = cpu_ms(work)
        rows.append((name, milliseconds, targets))
        return result

    loudness = timed(
        "K filter, 0.1 s steps", "dynamic_*, all gates", lambda: stream(dynamics.LoudnessStream(), "add_mono", blocks)
    )
    frames = timed("spectra, 23 ms", "spectral_*, zcr", lambda: stream(spectrum.SpectrumStream(), "add", blocks))
    spectra = [spectrum.SpectrumStream().add(block) for block in blocks]
    glides = timed("glides", "the indices of a voice", lambda: stream(voice.GlideStream(), "add", spectra))
    deviations = timed(
        "deviations, 10 ms", "danceability", lambda: stream(danceability.DeviationStream(), "add", blocks)
    )
    flux = timed("spectral flux, 12 ms", "tempo, onset_*", lambda: stream(rhythm.FluxStream(), "add", blocks))
    envelope = timed("envelope, 1 ms", "attack_*", lambda: stream(attack.EnvelopeStream(), "add", blocks))
    moments = timed("moments, 0.5 s", "harmony, form", lambda: stream(MomentStream(), "add", blocks))
    chroma = timed("notes of the moments", "harmonic_complexity, form", lambda: harmony.chroma_of(moments))
    onsets_s = timed("onset peaks", "onset_*, attack_*", lambda: rhythm.find_onsets(flux, loudness))
    attacks = timed(
        "attacks", "attack_*", lambda: attack.find_attacks(envelope, attack.refine_onsets(envelope, onsets_s))
    )
    timed("medians of spectra", "spectral_*, zcr", lambda: spectrum.measure(frames, loudness))
    timed("ranges and swells", "dynamic_*, crescendo, ...", lambda: dynamics.measure(loudness, onsets_s))
    timed("tempo", "tempo", lambda: rhythm.measure(flux, onsets_s, loudness, duration_s))
    timed("medians of attacks", "attack_*", lambda: attack.measure(attacks))
    timed("complexity", "harmony", lambda: harmony.measure(chroma, moments.is_sounding(loudness)))
    timed("novelty", "phrases", lambda: form.measure(moments, chroma, loudness, duration_s))
    is_sounding = moments.is_sounding(loudness)
    timed("key", "key, mode", lambda: key.measure(chroma, is_sounding))
    timed("fluctuation", "danceability", lambda: danceability.measure(deviations, loudness))
    colours = moments.colours[is_sounding]
    timed("signs", "the indices", lambda: character.signs(flux, colours, glides, deviations, loudness))
    whole_ms, _ = cpu_ms(lambda: audio.measure_audio(path))
    segments_ms, _ = cpu_ms(lambda: audio.measure_audio_segments(path, 5.0, 2.5))

    print(f"\n{path.name}: {duration_s / 60:.1f} min")
    print(f"{'':28}{'ms per s of audio':>18}   for")
    for name, milliseconds, targets in rows:
        print(f"{name:28}{milliseconds / duration_s:18.2f}   {targets}")
    factor = 1000 * duration_s / whole_ms
    print(f"{'measure_audio':28}{whole_ms / duration_s:18.2f}   bar {BAR_MS:g}; {factor:.0f} x real time")
    print(f"{'measure_audio_segments':28}{segments_ms / duration_s:18.2f}   5 s every 2.5 s")


def write_music(path: Path, duration_s: float) -> None:
    """Render a demo performance and repeat it, in two channels."""
    import soundfile
    import soxr

    from mess_core.collections.demo import perform, plan_demo
    from mess_core.notes.synthesis import SAMPLE_RATE_HZ as RENDERED_HZ
    from mess_core.notes.synthesis import render

    plan = next(plan for plan in plan_demo() if plan.instrument == "piano")
    performance = perform(plan)
    mono = render(performance.notes, performance.pedal, plan.instrument, duration_s=performance.duration_s)
    mono = soxr.resample(mono, RENDERED_HZ, FILE_RATE_HZ)
    stereo = np.column_stack([mono, 0.9 * mono])
    n_frames = round(duration_s * FILE_RATE_HZ)
    with soundfile.SoundFile(path, "w", FILE_RATE_HZ, 2, format="FLAC") as sound:
        for start in range(0, n_frames, len(stereo)):
            sound.write(stereo[: n_frames - start])


def main() -> None:
    """Measure the files given, or music of our own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--minutes", type=float, default=5.0, help="length of the rendered music")
    parser.add_argument("--hours", type=float, default=0.0, help="length of a file to measure as a whole")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(1):
        small = Path(folder) / "small.flac"
        write_music(small, 10.0)
        audio.measure_audio(small)  # imports and first calls
        music = Path(folder) / "piano.flac"
        if arguments.hours:
            write_music(music, arguments.hours * 3600)
            before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            milliseconds, _ = cpu_ms(lambda: audio.measure_audio(music))
            grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib
            print(
                f"{arguments.hours:g} h: {milliseconds / 1000:.0f} s of one core, "
                f"peak memory grew by {grown_kib / 1024:.0f} MB"
            )
            return
        if not arguments.files:
            write_music(music, arguments.minutes * 60)
        for path in arguments.files or [music]:
            report(path)


if __name__ == "__main__":
    main()
