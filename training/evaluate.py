"""The bars of MESS-nano, for the weights in the repository or those of a run, beside the controls.

Controls are log-mel, chroma and the untrained network.

    python -m training.evaluate [--weights FOLDER ...] [--work training/work] [--json FILE]

ASAP performances are rendered once into the work folder; embeddings of the controls are kept there too. Real recordings
are embedded where they lie. Intervals: 95 %, drawn over works (ASAP) or performers (recordings).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mess_core.config import HOP_S, SEGMENT_S
from mess_core.embeddings.extraction import ExtractedTrack, FailedTrack, WantedTrack, extract
from mess_core.embeddings.store import TrackEmbedding
from mess_core.encoders.base import Encoder
from mess_core.encoders.chroma import Chroma
from mess_core.encoders.mel import Mel
from mess_core.encoders.nano import Nano
from mess_core.storage.files import write_atomically
from training import speed
from training.bars import (
    CHOSEN,
    SEARCH,
    Bar,
    Figure,
    as_json,
    ask_for,
    bars_of,
    best_layer,
    judge,
    probe_figures,
    retrieval_figures,
)
from training.data import SHARED, WORK
from training.excerpts import TARGETS, WINDOW_S, Excerpt, plan_excerpts, read_manifest, render_excerpts, windows_of
from training.weights import SHIPPED, load

PERF_MIDI = SHARED / "perf-midi"
REAL_AUDIO = SHARED / "real-audio"
LOG_MEL, CHROMA, UNTRAINED = "log-mel", "chroma", "untrained"
KINDS = ("solo violin", "piano", "vocals", "drums", "voice", "orchest", "ensemble")  # first word found in `instrument`
FEWEST_OF_KIND = 3
DISTANT_S = 30.0  # a recording this long has two ends
PASSAGE_STEP_S, PASSAGE_SEGMENTS = 12.5, 5  # fifteen seconds, each performer of a piece from another beginning
END_SEGMENTS = 3  # ten seconds at each end


@dataclass(frozen=True)
class RealRecording:
    """A recording with what is known of it."""

    audio: Path
    performer: str
    kind: str
    duration_s: float


def real_recordings(folder: Path) -> list[RealRecording]:
    """The music of the pack."""
    rows = [row for row in read_manifest(folder, "--real-audio") if row["is_music"] == "1"]
    return [
        RealRecording(
            folder / row["file"],
            row["performer"] or row["file"],
            next((kind for kind in KINDS if kind in row["instrument"].lower()), row["instrument"]),
            float(row["duration_s"]),
        )
        for row in rows
    ]


def embed(paths: Sequence[Path], encoder: Encoder, kept: Path) -> list[TrackEmbedding]:
    """File to embedding, as the app does it; kept by the encoder's fingerprint."""
    names = np.array([path.name for path in paths])
    file = kept / f"{encoder.info.folder}-{paths[0].parent.name}.npz"
    if file.is_file():
        with np.load(file) as arrays:
            if np.array_equal(arrays["names"], names):
                parts = TrackEmbedding.__dataclass_fields__
                return [TrackEmbedding(**{part: arrays[f"{part}-{i}"] for part in parts}) for i in range(len(names))]
    done: list[TrackEmbedding] = []
    for event in extract([WantedTrack(path.name, path.name, path) for path in paths], encoder):
        if isinstance(event, FailedTrack):
            raise event.error
        if isinstance(event, ExtractedTrack):
            done.append(event.embedding)
    kept.mkdir(parents=True, exist_ok=True)
    np.savez(
        file, names=names, **{f"{part}-{i}": value for i, one in enumerate(done) for part, value in vars(one).items()}
    )
    return done


def window_vectors(embedding: TrackEmbedding, n_windows: int) -> np.ndarray:
    """Mean of the segments that lie within each window, (n_windows, n_layers, dim) float32."""
    starts_s = embedding.starts_s
    last_s = WINDOW_S - SEGMENT_S
    return np.stack(
        [
            embedding.segments[(starts_s >= at - 0.01) & (starts_s <= at + last_s + 0.01)].mean(
                axis=0, dtype=np.float32
            )
            for at in WINDOW_S * np.arange(n_windows)
        ]
    )


def passage_vector(embedding: TrackEmbedding, number: int) -> np.ndarray:
    """Mean of the segments within [12.5 number, 12.5 number + 15) s, (n_layers, dim) float32; number is 0, 1 or 2."""
    first = round(PASSAGE_STEP_S * number / HOP_S)
    return embedding.segments[first : first + PASSAGE_SEGMENTS].mean(axis=0, dtype=np.float32)


def ends(embedding: TrackEmbedding) -> np.ndarray:
    """The first and the last ten seconds, (2, n_layers, dim) float32."""
    first, last = embedding.segments[:END_SEGMENTS], embedding.segments[-END_SEGMENTS:]
    return np.stack([first.mean(axis=0, dtype=np.float32), last.mean(axis=0, dtype=np.float32)])


def figures_of(
    encoders: dict[str, Encoder],
    excerpts: list[Excerpt],
    foreign: list[Excerpt],
    recordings: list[RealRecording],
    kept: Path,
) -> tuple[list[Figure], list[dict[str, Any]]]:
    """All figures of all encoders; the first two are log-mel and chroma. `foreign`: by a SoundFont, or empty."""
    truths = [windows_of(excerpt) for excerpt in excerpts]
    counts = [len(truth) for truth in truths]
    targets = {target: np.array([window[target] for truth in truths for window in truth]) for target in TARGETS}
    works = np.repeat([excerpt.work for excerpt in excerpts], counts).tolist()
    performances = np.repeat([excerpt.audio.stem for excerpt in excerpts], counts).tolist()
    kinds = [recording.kind for recording in recordings]
    common = [i for i, kind in enumerate(kinds) if kinds.count(kind) >= FEWEST_OF_KIND]
    long = [i for i, recording in enumerate(recordings) if recording.duration_s >= DISTANT_S]
    performers = [recording.performer for recording in recordings]

    piece = ask_for("piece", [e.work for e in excerpts], [e.performer for e in excerpts], [e.work for e in excerpts])
    elsewhere = replace(piece, bar="piece, 15 s elsewhere")
    by_soundfont = [replace(piece, bar="piece, by a SoundFont")] if foreign else []
    places = [[e.work for e in excerpts[:i]].count(excerpt.work) % 3 for i, excerpt in enumerate(excerpts)]
    instrument = ask_for(
        "instrument", [kinds[i] for i in common], [performers[i] for i in common], [performers[i] for i in common]
    )
    halves = [f"{i}-{end}" for i in long for end in (0, 1)]
    recording = ask_for(
        "recording", [half.split("-")[0] for half in halves], halves, [performers[i] for i in long for _ in (0, 1)]
    )

    figures: list[Figure] = []
    probes: list[dict[str, Any]] = []
    known: dict[str, list[np.ndarray]] = {}

    def vectors_of(encoder: Encoder) -> list[np.ndarray]:
        rendered = embed([excerpt.audio for excerpt in excerpts], encoder, kept)
        real = embed([one.audio for one in recordings], encoder, kept)
        windows = np.concatenate([window_vectors(*pair) for pair in zip(rendered, counts, strict=True)])
        vectors = [
            np.stack([one.mean for one in rendered]),
            np.stack([passage_vector(*pair) for pair in zip(rendered, places, strict=True)]),
            np.stack([real[i].mean for i in common]),
            np.concatenate([ends(real[i]) for i in long]),
        ]
        if foreign:
            vectors.append(np.stack([one.mean for one in embed([one.audio for one in foreign], encoder, kept)]))
        return [*vectors, windows]

    questions = (piece, elsewhere, instrument, recording, *by_soundfont)
    for name in (LOG_MEL, CHROMA):
        known[name] = vectors_of(encoders[name])
    for name, encoder in encoders.items():
        *vectors, windows = known.get(name) or vectors_of(encoder)
        (*mels, mel), (*chromas, chroma) = known[LOG_MEL], known[CHROMA]
        for question, found, *controls in zip(questions, vectors, mels, chromas, strict=True):
            figures += retrieval_figures(question, found, name, *controls)
        probes += probe_figures(windows, targets, works, performances, name, mel[:, 0], chroma[:, 0])
        print(f"{name} done", flush=True)
    return figures, probes


def print_figures(figures: list[Figure], probes: list[dict[str, Any]]) -> None:
    """The tables."""
    for bar in bars_of(figures):
        chance = next(figure.chance for figure in figures if figure.bar == bar)
        print(f"\n{bar}: MAP, chance {chance or 0:.3f}                                     over log-mel")
        for encoder in dict.fromkeys(figure.encoder for figure in figures):
            own = [figure for figure in figures if (figure.bar, figure.encoder) == (bar, encoder)]
            others = [one for one in own if one.layer in (CHOSEN, SEARCH)] if len(own) > 3 else []
            for figure in (best_layer(own), *others):
                where = f"layer {figure.layer}" if isinstance(figure.layer, int) else figure.layer
                print(
                    f"{encoder:24} {where:9} {figure.value:.3f} [{figure.low or 0:.3f}, {figure.high or 0:.3f}]"
                    f"   {figure.ratio:5.2f} [{figure.ratio_low:.2f}, {figure.ratio_high:.2f}]"
                )
                if figure in others and encoder != UNTRAINED and figure.above is not None:
                    by = f"{figure.above:+.3f} [{figure.above_low:+.3f}, {figure.above_high:+.3f}]"
                    print(f"{'':24} {figure.verdict}, {where}: {by}")
            if others:
                print(f"{'':24} layers    {' '.join(f'{figure.value:.2f}' for figure in own[:-2])}")
    print(
        f"\n{'probe, R²':24} {'encoder':24} log-mel    best layer, and chosen in training    gain over log-mel, chroma"
    )
    for row in sorted(probes, key=lambda row: TARGETS.index(row["target"])):
        if row["encoder"] != LOG_MEL:
            print(
                f"{row['target']:24} {row['encoder']:24} {row['log_mel']:7.2f} {row['layer']:5} {row['r2']:7.2f}"
                f" {_or_dash(row['nested'])} [{_or_dash(row['low'])}, {_or_dash(row['high'])}]"
                f"   {_or_dash(row['gain'])} [{_or_dash(row['gain_low'])}, {_or_dash(row['gain_high'])}]"
                f"   {' '.join(f'{r2:.2f}' for r2 in row['layers'])}"
            )


def _or_dash(value: float | None) -> str:
    return "    –" if value is None else f"{value:5.2f}"


def print_bars(bars: list[Bar], name: str) -> None:
    """What was to be reached, and whether it was."""
    print(f"\n{name:44} wanted   reached")
    for bar in bars:
        print(f"{bar.what:44} {bar.wanted:6.2f} {bar.reached:9.2f} {bar.unit:12} {'yes' if bar.is_met else 'NO'}")


def main() -> None:
    """Print the bars, and write them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, nargs="*", default=[SHIPPED], help="folders of weights")
    parser.add_argument("--work", type=Path, default=WORK, help="folder that keeps what was rendered")
    parser.add_argument("--perf-midi", type=Path, default=PERF_MIDI, help="default: %(default)s")
    parser.add_argument("--soundfont", type=Path, help="also play the pieces by this SoundFont (.sf2, .sf3)")
    parser.add_argument("--real-audio", type=Path, default=REAL_AUDIO, help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, help="write the figures here too")
    arguments = parser.parse_args()
    import torch

    torch.set_num_threads(arguments.threads)
    folder = arguments.work / "evaluation"
    excerpts = plan_excerpts(arguments.perf_midi, folder)
    foreign = plan_excerpts(arguments.perf_midi, folder, arguments.soundfont) if arguments.soundfont else []
    render_excerpts([*excerpts, *foreign], arguments.threads)
    encoders: dict[str, Encoder] = {LOG_MEL: Mel(), CHROMA: Chroma(), UNTRAINED: Nano.random()}
    encoders |= {"shipped" if path.resolve() == SHIPPED else path.name: load(path) for path in arguments.weights}
    figures, probes = figures_of(
        encoders, excerpts, foreign, real_recordings(arguments.real_audio), folder / "embeddings"
    )
    print_figures(figures, probes)
    speeds = {}
    for name, path in zip(list(encoders)[3:], arguments.weights, strict=True):
        speeds[name] = speed.measure_apart(path, folder, arguments.threads)
        print_bars(judge(figures, probes, speeds[name], name), f"{name}, {arguments.threads} threads")
    if arguments.json:
        document = {"retrieval": as_json(figures), "probes": probes, "speed": speeds}
        write_atomically(arguments.json, json.dumps(document, indent=1).encode())


if __name__ == "__main__":
    main()
