"""How far the MIDI targets can be trusted: against annotated beats (ASAP), note alignments (Vienna 4x22), and the demo.

Run: python benchmarks/midi_targets.py [--data /path/to/perf-midi]

Spearman's rho with a 95 % interval: works are drawn with replacement, with all their performances (1 000 draws).
Beside each figure stands note density as the baseline: what a target would be worth that only counted notes.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import sys
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))

from mess_core.collections.demo import perform, plan_demo  # noqa: E402
from mess_core.collections.demo_scores import read_score as written_notes  # noqa: E402
from mess_core.targets.alignment import Score, align  # noqa: E402
from mess_core.targets.key_overlap import overlaps_by_score, overlaps_by_skyline  # noqa: E402
from mess_core.targets.local_tempo import (  # noqa: E402
    estimate_periods,
    flexibility,
    rubato,
    sounding_periods,
    tempo_variability,
)
from mess_core.targets.midi import measure, prepare  # noqa: E402
from mess_core.targets.notes import NoteTable, find_chords, read_notes  # noqa: E402

N_DRAWS = 1000
Rows = list[tuple[str, dict[str, float]]]  # work, what was measured


def rho(pairs: list[tuple[float, float]]) -> float:
    """Spearman's rho, pairs with a gap left out."""
    x = np.array(pairs)
    x = x[np.isfinite(x).all(axis=1)]
    return float(spearmanr(*x.T).statistic) if len(x) > 2 else float("nan")


def report(title: str, rows: Rows, lines: list[tuple[str, str]]) -> None:
    """Print rho of each pair of columns, with its interval."""
    of_work = defaultdict(list)
    for work, row in rows:
        of_work[work].append(row)
    works = sorted(of_work)
    rng = np.random.default_rng(0)
    draws = [[works[i] for i in rng.integers(0, len(works), len(works))] for _ in range(N_DRAWS)]
    print(f"\n{title}: {len(rows)} performances of {len(works)} works")
    print(f"{'truth':28}{'measured':28}{'rho':>7}  {'95 % interval':16}{'n':>5}")
    for truth, found in lines:
        pairs = [(row[truth], row[found]) for _, row in rows]
        resampled = [rho([(row[truth], row[found]) for work in draw for row in of_work[work]]) for draw in draws]
        low, high = np.nanpercentile(resampled, [2.5, 97.5])
        n = int(np.isfinite(np.array(pairs)).all(axis=1).sum())
        print(f"{truth:28}{found:28}{rho(pairs):7.3f}  [{low:5.2f}, {high:5.2f}]  {n:5d}")


def estimates(notes: NoteTable) -> dict[str, float]:
    """What is said without a score."""
    chords = find_chords(notes.onset_s)
    period_s = estimate_periods(chords.onset_s, chords.n_notes)
    return {
        "skyline KOR": float(np.median(overlaps_by_skyline(notes))),
        "estimated tempo CV": tempo_variability(period_s),
        "estimated flexibility": flexibility(period_s),
        "note density": len(notes) / float(np.ptp(notes.onset_s)),
    }


def asap(folder: Path) -> None:
    """All performances of ASAP that are here."""
    from tests.targets.test_midi import read_asap

    rows: Rows = []
    errors_s, shares, elapsed_s, longest = [], [], 0.0, (0, 0.0, 0.0)
    for number, performances in enumerate(read_asap(per_work=99, folder=folder)):
        for one in performances:
            period_s = sounding_periods(np.diff(np.where(one.is_uncertain, np.nan, one.beats_s)))
            started_s = time.process_time()
            alignment = align(one.notes, one.score)
            took_s = time.process_time() - started_s
            elapsed_s += took_s
            longest = max(longest, (len(one.notes), float(one.notes.onset_s[-1]), took_s))
            found_s = sounding_periods(np.diff(alignment.beat_s) / np.diff(alignment.beat))
            is_known = np.isfinite(alignment.beat_s)
            at_s = np.interp(
                one.score_beat, alignment.beat[is_known], alignment.beat_s[is_known], left=np.nan, right=np.nan
            )
            errors_s.append(np.abs(at_s - one.beats_s)[np.isfinite(at_s) & ~one.is_uncertain])
            shares.append(alignment.share)
            truth = {
                "true KOR": one.true_overlap(),
                "aligned KOR": float(
                    np.median(overlaps_by_score(one.notes, one.score, alignment.note_rows, alignment.score_rows))
                ),
                "annotated tempo CV": tempo_variability(period_s),
                "aligned tempo CV": tempo_variability(found_s),
                "annotated rubato": rubato(period_s),
                "aligned rubato": rubato(found_s),
            }
            rows.append((str(number), truth | estimates(one.notes)))
    report(
        "ASAP",
        rows,
        [
            ("true KOR", "skyline KOR"),
            ("true KOR", "aligned KOR"),
            ("true KOR", "note density"),
            ("annotated tempo CV", "aligned tempo CV"),
            ("annotated rubato", "aligned rubato"),
            ("annotated tempo CV", "estimated tempo CV"),
            ("annotated rubato", "estimated flexibility"),
            ("annotated tempo CV", "note density"),
        ],
    )
    error_s = np.concatenate(errors_s)
    shown = ", ".join(f"{share:.1%} within {limit * 1000:.0f} ms" for limit in (0.02, 0.05, 0.2)
                      for share in [np.mean(error_s <= limit)])  # fmt: skip
    print(f"beats, aligned against annotated: {shown} (n = {len(error_s)})")
    print(f"notes with a partner: at least {min(shares):.0%}, median {np.median(shares):.0%}")
    print(
        f"alignment: {elapsed_s:.1f} CPU s in all; {longest[0]} notes, {longest[1]:.0f} s long: {longest[2]:.2f} CPU s"
    )


def vienna(folder: Path) -> None:
    """22 pianists, 4 excerpts: successors and beats from the published note alignment."""
    table = defaultdict(list)
    with gzip.open(folder / "note_alignment.csv.gz", "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            table[row["file_stem"]].append(row)
    rows: Rows = []
    for stem, notes in sorted(table.items()):
        columns = np.array(
            [
                [float(n[k]) for k in ("score_onset_beats", "score_offset_beats", "midi_pitch", "perf_onset_s")]
                for n in notes
            ]
        )
        onset, offset, pitch, onset_s = columns[np.lexsort((columns[:, 2], columns[:, 0]))].T
        score = Score(onset, offset, pitch.astype(int), np.zeros(len(onset), int), np.unique(np.ceil(onset)))
        played = read_notes(folder / "midi" / f"{stem}.mid")
        first_s = played.onset_s[0] - onset_s.min()  # the table's clock may begin with the first note
        near = [
            np.flatnonzero((played.pitch == p) & (np.abs(played.onset_s - first_s - t) < 0.01))[:1]
            for p, t in zip(pitch, onset_s, strict=True)
        ]
        score_rows = np.array([row for row, found in enumerate(near) if len(found)], dtype=int)
        note_rows = np.array([found[0] for found in near if len(found)], dtype=int)
        on_beat = [
            (beat, np.median(onset_s[np.abs(onset - beat) < 1e-3]))
            for beat in np.unique(np.round(onset, 3))
            if beat == round(beat)
        ]
        beat, beat_s = np.array(on_beat).T
        period_s = sounding_periods(np.diff(beat_s) / np.diff(beat))
        alignment = align(played, score)
        found_s = sounding_periods(np.diff(alignment.beat_s) / np.diff(alignment.beat))
        of_note = dict(zip(score_rows.tolist(), note_rows.tolist(), strict=True))
        agree = [of_note.get(s) == n for n, s in zip(alignment.note_rows, alignment.score_rows, strict=True)]
        truth = {
            "true KOR": float(np.median(overlaps_by_score(played, score, note_rows, score_rows))),
            "annotated tempo CV": tempo_variability(period_s),
            "aligned tempo CV": tempo_variability(found_s),
            "matched alike": float(np.mean(agree)),
        }
        rows.append((stem.rsplit("_", 1)[0], truth | estimates(played)))
    report(
        "Vienna 4x22",
        rows,
        [
            ("true KOR", "skyline KOR"),
            ("true KOR", "note density"),
            ("annotated tempo CV", "aligned tempo CV"),
            ("annotated tempo CV", "estimated tempo CV"),
            ("annotated tempo CV", "note density"),
        ],
    )
    alike = [row["matched alike"] for _, row in rows]
    print(f"pairs of our alignment that are also in theirs: median {np.median(alike):.1%}, at least {min(alike):.1%}")


def demo() -> None:
    """The demo library's planted truth, with its score and without."""
    names = {
        "rubato": "rubato", "articulation_ratio": "articulation_ratio", "velocity_mean": "velocity_mean",
        "velocity_std": "velocity_std", "velocity_range": "velocity_range", "melody_lead": "melody_lead_ms",
        "chord_asynchrony": "chord_asynchrony_ms", "pedal_ratio": "pedal_ratio", "note_density": "note_density",
        "mean_pitch": "mean_pitch",
    }  # fmt: skip
    rows: Rows = []
    for plan in plan_demo():
        performance = perform(plan)
        written = written_notes(plan.piece, performance.score_length)
        onset, pitch, offset = np.array([(note.onset, note.pitch, note.offset) for note in written]).T
        beat = np.arange(0, performance.score_length, plan.piece.beat)
        score = Score(onset, offset, pitch.astype(int), np.zeros(len(onset), int), beat)
        notes = NoteTable.of(performance.notes, performance.pedal)
        with_score, alone = measure(prepare(notes, score=score)), measure(prepare(notes))
        row = {"planted " + name: performance.planted.get(planted, np.nan) for name, planted in names.items()}
        row |= {name: with_score[name].value for name in (*names, "tempo_variability")}
        row |= {f"{name} (no score)": alone[name].value for name in (*names, "tempo_variability")}
        rows.append((plan.piece.work, row))
    lines = [("planted " + name, found) for name in names for found in (name, f"{name} (no score)")]
    lines += [("planted rubato", "tempo_variability"), ("planted rubato", "tempo_variability (no score)")]
    report("Demo library", rows, lines)


def main() -> None:
    """Print three tables."""
    from tests.conftest import SHARED

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=SHARED / "perf-midi", help="folder with asap and vienna4x22")
    arguments = parser.parse_args()
    if (arguments.data / "manifest.csv").is_file():
        asap(arguments.data)
        vienna(arguments.data / "vienna4x22")
    else:
        print(f"No performances at {arguments.data}: only the demo library is measured.")
    demo()


if __name__ == "__main__":
    main()
