"""What the track features can tell: keys of ASAP, voices and acoustic instruments of real recordings, ratings of piano.

Run: python -m benchmarks.features [--data ../shared/data] [--reference] [--per-piece 2] [--every 4]

Four tables, each only where its data is:

1. keys: the first 90 s of performances of ASAP, rendered on eight instruments, against the key the work is published
   in. That the opening should count was seen on these works; the profiles are the literature's. Chance is what the most
   frequent key, signature or mode of all would reach.
2. real recordings: the area under the ROC curve of instrumentalness (songs and a lone voice against instruments), of
   acousticness (bowed, blown, plucked and struck against loops, drums and bands); chance is .5. Of speech there is one
   recording: its rank is said, and no area.
3. keys of real recordings whose titles say them.
4. PercePiano: rank correlation of energy and valence with the ratings "low-high energy" and "optimistic-dark" (signs
   turned), between passages and within passages; chance is 0.

Intervals are percentile bootstraps that draw works or, of real recordings, performers whole; --reference prints the
means and deviations of `mess_core/targets/character.py`.
"""

from __future__ import annotations

import argparse
import csv
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr
from threadpoolctl import threadpool_limits

from benchmarks.rendered_library import DATA as PERFORMANCES
from benchmarks.rendered_library import plan_library
from mess_core.collections import percepiano
from mess_core.collections.rendering import excerpt
from mess_core.evaluation.tagging import roc_auc
from mess_core.notes.midi import read_midi
from mess_core.notes.synthesis import render
from mess_core.storage.untrusted import read_json
from mess_core.targets import audio, character
from mess_core.targets.base import TargetValue
from mess_core.targets.frames import SAMPLE_RATE_HZ
from mess_core.targets.key_names import key_in_words

DATA = PERFORMANCES.parent
SECONDS = 90.0
SEED, N_DRAWS = 0, 2000

# Of the works of ASAP in the pack: tonic (C = 0) and whether it is major, as published; a part of the file's path.
KEYS = {
    "bwv_848/": (1, True), "bwv_889/": (9, False), "bwv_857/": (5, False), "bwv_854/": (4, True),
    "Islamey/": (1, True), "Piano_Sonatas/4-1/": (3, True), "Piano_Sonatas/17-1_": (2, False),
    "Piano_Sonatas/30-1/": (4, True), "Piano_Sonatas/21-1_": (0, True), "Piano_Sonatas/11-1/": (10, True),
    "Etudes_op_10/1/": (0, True), "Etudes_op_10/2/": (9, False), "Etudes_op_10/4/": (1, False),
    "Etudes_op_10/5/": (6, True), "Etudes_op_10/8/": (5, True), "Etudes_op_10/12/": (0, False),
    "Etudes_op_25/11/": (9, False), "Keyboard_Sonatas/50-1_": (0, True), "Keyboard_Sonatas/31-1/": (8, True),
    "Transcendental_Etudes/4/": (2, False), "Transcendental_Etudes/5/": (10, True), "2_La_campanella/": (8, False),
    "Piano_Sonatas/12-1/": (5, True), "Prokofiev/Toccata/": (2, False), "Preludes_op_23/4/": (2, True),
    "4_Alborada_del_gracioso/": (2, True), "1_Ondine/": (1, True), "Impromptu_op.90_D.899/2/": (3, True),
    "Impromptu_op.90_D.899/4_": (8, True), "Piano_Sonatas/894-2_": (2, True), "Kreisleriana/6/": (10, True),
    "Kreisleriana/7/": (0, False),
}  # fmt: skip
# Of real recordings, as their titles say.
REAL_KEYS = {
    "macleod_sugar_plum_fairy.ogg": (4, False),
    "smd_Beethoven_Op031No2-01_002_20090916-SMD.mp3": (2, False),
    "smd_Chopin_Op028-04_003_20100611-SMD.mp3": (4, False),
    "smd_faure_op15_smd126.flac": (0, False),
    "violin_garner_bwv1002_mov6.ogg": (11, False),
    "violin_garner_bwv1002_mov7.ogg": (11, False),
    "violin_garner_bwv1002_mov8.ogg": (11, False),
    "violin_colbentson_bwv1006_mov4.ogg": (4, True),
    "violin_colbentson_bwv1006_mov6.ogg": (4, True),
    "violin_telmanyi_bwv1001.mp3": (7, False),
}
SUNG = ("vocals+band", "solo voice")
ELECTRIC = ("drums/electronic", "synth pad", "drums, bass", "vocals+band", "band")
ACOUSTIC = (
    *("string orchestra", "trumpet", "piano", "solo piano", "violin+piano", "piano quartet"),
    *("solo violin", "solo violin (historic)", "guitar"),
)


def over_groups(groups: Sequence[str], figure: Callable[[np.ndarray], float]) -> tuple[float, float]:
    """95 % interval of a figure of weights (n,), by drawing whole groups."""
    codes = np.unique(np.array(groups), return_inverse=True)[1]
    n_groups = codes.max() + 1
    rng = np.random.default_rng(SEED)
    draws = [figure(rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups))[codes]) for _ in range(N_DRAWS)]
    low, high = np.nanpercentile(draws, [2.5, 97.5])
    return float(low), float(high)


def said(name: str, value: float, interval: tuple[float, float], chance: float, n: str) -> None:
    """One line of a table."""
    print(f"{name:52}{value:6.2f}  [{interval[0]:.2f}, {interval[1]:.2f}]{chance:8.2f}   {n}")


def heading(title: str, what: str) -> None:
    """The first lines of a table."""
    print(f"\n{title}\n{'':52}{what:>6}  {'95 %':12}{'chance':>8}")


def of_samples(samples: np.ndarray) -> dict[str, TargetValue]:
    """What is measured of samples at the rate of the targets."""
    blocks = (samples[start : start + SAMPLE_RATE_HZ] for start in range(0, len(samples), SAMPLE_RATE_HZ))
    return audio.measure(audio.listen(block.astype(np.float32) for block in blocks))


def of_performance(path: Path, instrument: str, seconds: float | None) -> dict[str, TargetValue]:
    """What is measured of a rendered performance."""
    notes, pedal, duration_s = excerpt(*read_midi(path), seconds)
    return of_samples(render(notes, pedal, instrument, sample_rate_hz=SAMPLE_RATE_HZ, duration_s=duration_s))


# --- keys -------------------------------------------------------------------------------------------------


def report_keys(data: Path, per_piece: int) -> None:
    """Table 1."""
    done: Counter[str] = Counter()
    rows = []
    for plan in sorted(plan_library(data, Path("none")), key=lambda plan: str(plan.source)):
        truth = next((key for part, key in KEYS.items() if f"/{part}" in f"{plan.source.as_posix()}"), None)
        if truth is None or "/asap/" not in plan.source.as_posix() or done[plan.work] >= per_piece:
            continue
        done[plan.work] += 1
        measured = of_performance(plan.source, plan.instrument, SECONDS)
        tonic, is_major = measured["key_pitch_class"].value, measured["mode"].value == 1
        is_right = tonic == truth[0] and is_major == truth[1]
        signature = (int(tonic) + (0 if is_major else 3)) % 12 == (truth[0] + (0 if truth[1] else 3)) % 12
        is_fifth = is_major == truth[1] and (tonic - truth[0]) % 12 in (5, 7)
        is_clear = measured["key_pitch_class"].quality == "good"
        rows.append((plan.work, truth, is_right, signature, is_major == truth[1], is_fifth, is_clear))
    if not rows:
        return
    n = len(rows)
    heading(f"Keys of ASAP: {n} performances of {len(done)} works", "share")
    works = [row[0] for row in rows]
    often = Counter(row[1] for row in rows).most_common(1)[0][1] / n
    major = float(np.mean([row[1][1] for row in rows]))
    often_signature = Counter((row[1][0] + (0 if row[1][1] else 3)) % 12 for row in rows).most_common(1)[0][1] / n

    def line(name: str, place: int, chance: float, chosen: Callable[[tuple], bool] = lambda row: True) -> None:
        is_it = np.array([bool(row[place]) for row in rows])
        keep = np.array([chosen(row) for row in rows])

        def share(weights: np.ndarray) -> float:
            total = weights[keep].sum()
            return float(weights[keep] @ is_it[keep] / total) if total else float("nan")

        said(name, share(np.ones(n)), over_groups(works, share), chance, f"n = {keep.sum()}")

    line("key and mode right", 2, often)
    line("... where the confidence is 0.05 or more", 2, often, lambda row: row[6])
    line("... where it is less", 2, often, lambda row: not row[6])
    line("key signature right", 3, often_signature)
    line("mode right", 4, max(major, 1 - major))
    line("a fifth off", 5, float("nan"))


# --- real recordings --------------------------------------------------------------------------------------


def measure_real(data: Path) -> list[tuple[dict[str, str], dict[str, TargetValue]]]:
    """Rows of the manifest with what was measured, the parts of the indices too; empty where the data is not."""
    manifest = data / "manifest.csv"
    if not manifest.is_file():
        return []
    rows = []
    with manifest.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            sound = audio.hear(data / row["file"]).sound
            is_sounding = sound.moments.is_sounding(sound.loudness)
            colours = sound.moments.colours[is_sounding]
            parts = character.signs(sound.flux, colours, sound.glides, sound.deviations, sound.loudness)
            rows.append((row, audio.measure(sound) | parts))
    return rows


def print_reference(rows: Sequence[tuple[dict[str, str], dict[str, TargetValue]]]) -> None:
    """`character.REFERENCE`, of the recordings of music."""
    for part in character.REFERENCE:
        values = [measured[part] for row, measured in rows if row["is_music"] == "1"]
        known = [character.scaled(part, value.value) for value in values if value.quality != "none"]
        print(f'    "{part}": Usual({np.mean(known):.4g}, {np.std(known):.3g}),  # {len(known)} recordings')


def report_real(rows: Sequence[tuple[dict[str, str], dict[str, TargetValue]]]) -> None:
    """Tables 2 and 3."""
    heading("Real recordings", "AUC")

    def area(index: str, yes: Callable[[str], bool], no: Callable[[str], bool], name: str, sign: int = 1) -> None:
        chosen = [
            (row, sign * measured[index].value)
            for row, measured in rows
            if row["is_music"] == "1" and (yes(row["instrument"]) or no(row["instrument"]))
            and measured[index].quality != "none"
        ]  # fmt: skip
        values = np.array([value for _, value in chosen])
        is_it = np.array([yes(row["instrument"]) for row, _ in chosen])
        performers = [row["performer"] or row["file"] for row, _ in chosen]
        said(
            name,
            roc_auc(values, is_it),
            over_groups(performers, lambda weights: roc_auc(values, is_it, weights)),
            0.5,
            f"{is_it.sum()} against {(~is_it).sum()}, {len(set(performers))} performers",
        )

    def is_sung(instrument: str) -> bool:
        return instrument in SUNG

    def is_played(instrument: str) -> bool:
        return instrument not in SUNG

    area("instrumentalness", is_played, is_sung, "instrumentalness: instruments / voices")
    area(
        "instrumentalness",
        lambda instrument: "violin" in instrument,
        is_sung,
        "instrumentalness: violins / voices",
    )
    area(
        "instrumentalness",
        lambda instrument: instrument in (*ELECTRIC, "ensemble (sequenced)", "orchestral") and instrument not in SUNG,
        lambda instrument: instrument == "vocals+band",
        "instrumentalness: produced, without / with voice",
    )
    area(
        "acousticness",
        lambda instrument: instrument in ACOUSTIC,
        lambda instrument: instrument in ELECTRIC,
        "acousticness: acoustic / electric",
    )
    area(
        "acousticness",
        lambda instrument: instrument in ACOUSTIC,
        lambda instrument: "sequenced" in instrument,
        "acousticness: acoustic / sequenced from samples",
    )
    spoken = [measured["speechiness"].value for row, measured in rows if row["genre"] == "speech"]
    sung = [measured["speechiness"].value for row, measured in rows if row["instrument"] == "solo voice"]
    others = [
        measured["speechiness"].value
        for row, measured in rows
        if row["is_music"] == "1" and row["instrument"] != "solo voice" and measured["speechiness"].quality != "none"
    ]
    print(
        f"speechiness: {', '.join(f'{value:.2f}' for value in spoken)} of speech; {len(others)} recordings of music: "
        f"median {np.median(others):.2f}, highest {np.max(others):.2f}; a lone voice that sings: "
        f"{', '.join(f'{value:.2f}' for value in sung)}"
    )
    print("\nKeys that titles say")
    for row, measured in rows:
        if row["file"] in REAL_KEYS:
            tonic, is_major = REAL_KEYS[row["file"]]
            found = key_in_words(measured["key_pitch_class"].value, measured["mode"].value)
            confidence = measured["key_confidence"].value
            print(f"{row['file'][:50]:52}{found:16}{key_in_words(tonic, is_major):16}confidence {confidence:.2f}")


# --- ratings ----------------------------------------------------------------------------------------------


def report_ratings(data: Path, every: int) -> None:
    """Table 4."""
    labels = data / percepiano.MEANS
    if not labels.is_file():
        return
    rated = {name.strip(): row for name, row in read_json(labels, percepiano.MOST_LABEL_BYTES).items()}
    energy, dark = (percepiano.SCALES.index(f"emotion {scale}") for scale in ("low-high energy", "optimistic-dark"))
    rows = []
    for path in sorted((data / "midi").glob("*.mid"))[1::every]:  # a sixth, from the first on, was looked at before
        match = percepiano.STEM.fullmatch(path.stem.strip())
        if match is None or path.stem.strip() not in rated:
            continue
        measured = of_performance(path, "piano", None)
        truth = rated[path.stem.strip()]
        rows.append((f"{match['piece']} {match['passage']}", truth[energy], -truth[dark], measured))
    heading(f"PercePiano: {len(rows)} passages as played, {len({row[0] for row in rows})} as written", "rho")
    pairs = (("energy", 1), ("loudness_lufs", 1), ("onset_density", 1), ("valence", 2), ("mode_clarity", 2))
    for index, place in pairs:
        chosen = [row for row in rows if row[3][index].quality != "none"]
        works = [row[0] for row in chosen]
        values, truth = np.array([row[3][index].value for row in chosen]), np.array([row[place] for row in chosen])
        scale = ("low-high energy", "dark-optimistic")[place - 1]

        def rho(weights: np.ndarray, values: np.ndarray = values, truth: np.ndarray = truth) -> float:
            picked = np.repeat(np.arange(len(values)), weights.astype(int))
            return float(spearmanr(values[picked], truth[picked]).statistic)

        said(f"{index} / {scale}", rho(np.ones(len(chosen))), over_groups(works, rho), 0.0, f"n = {len(chosen)}")
        within = np.unique(np.array(works), return_inverse=True)[1]
        inner, inner_truth = (
            each - (np.bincount(within, each) / np.bincount(within))[within] for each in (values, truth)
        )

        def rho_within(weights: np.ndarray, values: np.ndarray = inner, truth: np.ndarray = inner_truth) -> float:
            picked = np.repeat(np.arange(len(values)), weights.astype(int))
            return float(spearmanr(values[picked], truth[picked]).statistic)

        said("  within a passage", rho_within(np.ones(len(chosen))), over_groups(works, rho_within), 0.0, "")


def main() -> None:
    """Print the tables, or the reference."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--reference", action="store_true", help="print the means and deviations of the indices")
    parser.add_argument("--per-piece", type=int, default=2, help="performances of each work of ASAP")
    parser.add_argument("--every", type=int, default=4, help="every so many passages of PercePiano")
    arguments = parser.parse_args()
    with threadpool_limits(1):
        real = measure_real(arguments.data / "real-audio")
        if arguments.reference:
            print_reference(real)
            return
        if real:
            report_real(real)
        report_ratings(arguments.data / "percepiano", arguments.every)
        if (arguments.data / "perf-midi" / "manifest.csv").is_file():
            report_keys(arguments.data / "perf-midi", arguments.per_piece)


if __name__ == "__main__":
    main()
