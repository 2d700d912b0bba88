"""What the protocol of the original mess-ai claims of the demo library, beside what MESS says of it.

Run: python benchmarks/original.py [--home DIR] [--tracks N]

The original's protocol: its four published targets by its own formulas; Ridge with alpha 1 on standardised embeddings;
shuffled folds; the best of all layers by the very R² that is then reported; a label from that number alone. Its data
held no piece twice, so `one take each` is its like: one performance of every work, mean over as many choices as there
are takes. `all takes` is the same on every performance, folds still at random: other takes of a tested work are in
training, a leak that the demo library adds and the original did not have. `works apart` closes that leak and nothing
else.

MESS: its own targets; folds by work; alpha and layer chosen inside training; the interval draws works; p is that of the
best of all layers and targets (max-T); the gain is over the best baseline (log-mel, MFCC, untrained twin, nuisances).

Conventions
-----------
Without --home a temporary data folder is made, with the demo library, its embeddings by MESS-nano and its targets
(minutes). One that is given is completed where something is missing, and else only read.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import warnings
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))

from mess_core.embeddings.extraction import use_all_cores  # noqa: E402
from mess_core.encoders.base import EncoderInfo  # noqa: E402
from mess_core.encoders.registry import DEFAULT, encoder_info  # noqa: E402
from mess_core.errors import ArtefactMismatchError  # noqa: E402
from mess_core.probing.discovery import Discovery, groups_of  # noqa: E402
from mess_core.probing.result import label_of  # noqa: E402
from mess_core.storage.jobs import Job, new_owner  # noqa: E402
from mess_core.work.demo import DemoRequest  # noqa: E402
from mess_core.work.doing import do  # noqa: E402
from mess_core.work.extract import ExtractRequest  # noqa: E402
from mess_core.work.probe import ProbeRequest  # noqa: E402
from mess_core.work.request import submit  # noqa: E402
from mess_core.work.task import Task  # noqa: E402
from mess_core.workspace.scope import Scope  # noqa: E402
from mess_core.workspace.workspace import DEMO, Workspace  # noqa: E402

SAMPLE_RATE_HZ, HOP = 24_000, 512
ALPHA, N_FOLDS, SEED = 1.0, 5, 42
LABELS = (("high", 0.8), ("medium", 0.5))  # from R² itself


@dataclass(frozen=True)
class Claim:
    """The best layer of one target; R² is the mean over folds, as in the original's result file."""

    layer: int
    r2: float
    r2_sd: float

    @property
    def label(self) -> str:
        return next((label for label, least in LABELS if self.r2 > least), "low")


def measure(path: Path) -> dict[str, float]:
    """The four published targets by the original's formulas."""
    import librosa

    audio, _ = librosa.load(path, sr=SAMPLE_RATE_HZ, mono=True)
    rms = librosa.feature.rms(y=audio, hop_length=HOP)
    chroma = librosa.feature.chroma_cqt(y=audio, sr=SAMPLE_RATE_HZ, hop_length=HOP).mean(axis=1)
    share = chroma / chroma.sum()
    tempo_bpm, _ = librosa.beat.beat_track(y=audio, sr=SAMPLE_RATE_HZ, hop_length=HOP)
    return {
        "spectral_centroid": librosa.feature.spectral_centroid(y=audio, sr=SAMPLE_RATE_HZ, hop_length=HOP).mean(),
        "tempo": np.ravel(tempo_bpm)[0],
        "dynamic_range": np.ptp(rms),  # of the amplitude, not of decibels
        "harmonic_complexity": -(share * np.log(share + 1e-8)).sum(),
    }


def claim(vectors: np.ndarray, values: np.ndarray, groups: tuple[str, ...] | None = None) -> Claim:
    """The original's probe, (n_tracks, n_layers, dim); with groups, the same on folds that keep a group together."""
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import GroupKFold, KFold, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    folds = GroupKFold if groups else KFold
    cv = folds(N_FOLDS, shuffle=True, random_state=SEED)
    scores = [
        cross_val_score(make_pipeline(StandardScaler(), Ridge(alpha=ALPHA)), layer, values, groups=groups, cv=cv)
        for layer in vectors.transpose(1, 0, 2)
    ]
    best = int(np.argmax(np.mean(scores, axis=1)))
    return Claim(best, float(np.mean(scores[best])), float(np.std(scores[best])))


def claim_one_each(vectors: np.ndarray, values: np.ndarray, groups: tuple[str, ...]) -> Claim:
    """The original's probe on one track of every group; mean over choices, the layer chosen most often."""
    rows_of: dict[str, list[int]] = {}
    for row, group in enumerate(groups):
        rows_of.setdefault(group, []).append(row)
    n_choices = min(map(len, rows_of.values()))
    chosen = [[rows[number] for rows in rows_of.values()] for number in range(n_choices)]
    claims = [claim(vectors[rows], values[rows]) for rows in chosen]
    layers = [each.layer for each in claims]
    r2, r2_sd = (float(np.mean([getattr(each, name) for each in claims])) for name in ("r2", "r2_sd"))
    return Claim(max(sorted(set(layers)), key=layers.count), r2, r2_sd)


def complete(workspace: Workspace, info: EncoderInfo) -> Discovery:
    """The demo library's discovery; what it needs and is missing is made."""
    if DEMO not in [library.name for library in workspace.catalogue.libraries()]:
        do_here(workspace, submit(workspace, DemoRequest()))
    scope = Scope(workspace, DEMO, info)
    if scope.missing_tracks:
        do_here(workspace, submit(workspace, ExtractRequest(DEMO, info.id)))
    try:
        found = scope.discovery()
    except ArtefactMismatchError:
        found = None
    if found is None or not (found.result.has_null and found.result.has_intervals) or found.content != scope.content:
        do_here(workspace, submit(workspace, ProbeRequest(DEMO, info.id)))
        found = scope.discovery()
    assert found is not None
    return found


def do_here(workspace: Workspace, job: Job) -> None:
    """Do a job here and now."""
    print(f"{job.kind} …", file=sys.stderr)
    owner = new_owner()
    claimed = workspace.jobs.claim(owner, job_id=job.job_id)
    if claimed is None:
        raise SystemExit(f"Another process is at the {job.kind} of {workspace.paths.root}: wait for it, or end it.")
    ended = do(Task(workspace, claimed, owner))
    if ended.state != "done":
        raise SystemExit(f"{job.kind}: {ended.message} {ended.hint}")


def report(workspace: Workspace, info: EncoderInfo, found: Discovery, n_tracks: int | None) -> None:
    """Print the table."""
    tracks = workspace.catalogue.tracks(DEMO)
    paths = {track.track_id: workspace.catalogue.audio_path(track.track_id) for track in tracks}
    tracks = sorted(tracks, key=lambda track: paths[track.track_id].name)[:n_tracks]
    embedded = workspace.store.load([track.track_id for track in tracks], info)
    by_id = {track.track_id: track for track in tracks}
    tracks = [by_id[track_id] for track_id in embedded.track_ids]  # the store has an order of its own
    groups, vectors = groups_of(tracks, "work"), embedded.vectors
    print(f"the original's targets of {len(tracks)} tracks …", file=sys.stderr)
    measured = [measure(paths[track.track_id]) for track in tracks]

    works = f"{len(tracks)} tracks of {len(set(groups))} works"
    print(f"\nDemo library, {info.title}, {info.n_layers} layers. Original: {works}; ", end="")
    print(f"MESS: {found.n_tracks} tracks of {found.result.n_groups} works.\n")
    print(f"{'':20}| {'one take each':30}| {'all takes':12}| {'works apart':12}| what MESS says")
    print(
        f"{'target':20}| {'layer':>5}{'R²':>7}{'fold sd':>9}  {'label':7}"
        f"| {'layer':>5}{'R²':>6} | {'layer':>5}{'R²':>6} "
        f"| {'layer':>5}{'R²':>7}  {'95 % interval':16}{'p':>6}{'gain':>7}  {'95 % interval':16}{'label':14}encodes"
    )
    for target in measured[0]:
        values = np.array([row[target] for row in measured])
        said = claim_one_each(vectors, values, groups)
        leaking, apart = claim(vectors, values), claim(vectors, values, groups)
        line = f"{target:20}| {said.layer:5d}{said.r2:7.2f}{said.r2_sd:9.2f}  {said.label:7}| "
        both = " | ".join(f"{each.layer:5d}{each.r2:6.2f}" for each in (leaking, apart))
        print(f"{line}{both} | {ours(found, target)}")
    print(
        "\nHow to read it: the left is what one alpha and the luckiest layer make of each target; `all takes` adds a "
        "leak that this library has and\nthe original's had not, and `works apart` closes it. The right is what MESS "
        "finds for works never heard; `encodes` is yes only if it\nexceeds every baseline and chance, all cells at "
        "once. The two sides measure tempo, dynamic range and complexity by different formulas:\ncompare the verdicts, "
        "not the digits. And a small encoder on synthesised music cannot say what MERT tells on SMD: this compares "
        "protocols."
    )


def ours(found: Discovery, target: str) -> str:
    """MESS's half of a line; the layer is the best one, R² that of layers chosen inside training."""
    summary = found.result.target(target)
    if summary.best_layer is None:
        return f"    –  {summary.reason}"
    cell = found.result.cell(summary.best_layer, target)
    r2 = f"{number(summary.nested_r2)}  [{number(summary.nested_r2_low)}, {number(summary.nested_r2_high)}]"
    gain = f"{number(cell.gain)}  [{number(cell.gain_low)}, {number(cell.gain_high)}]"
    p = f"{number(cell.p_adj, 3)}"
    label = label_of(summary.nested_r2_low)
    return f"{cell.layer:5d}  {r2} {p:>7}  {gain} {label:14}{'yes' if cell.encodes else 'no'}"


def number(value: float | None, digits: int = 2) -> str:
    return "    –" if value is None else f"{value:5.{digits}f}"


def main() -> None:
    """Complete the data folder and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, help="data folder (default: a temporary one)")
    parser.add_argument("--tracks", type=int, help="the original's first N files by name (it took 50; default: all)")
    arguments = parser.parse_args()
    use_all_cores()
    logging.disable(logging.INFO)
    warnings.filterwarnings("ignore", module="librosa")
    with nullcontext(arguments.home) if arguments.home else tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder))
        info = encoder_info(DEFAULT, workspace.paths)
        report(workspace, info, complete(workspace, info), arguments.tracks)


if __name__ == "__main__":
    main()
