"""PercePiano: 830 short passages of piano music, each rated by a dozen listeners on 19 scales of expression.

The same passage is played by thirteen players and more, and by nobody: `Score` is the score played as written. So
whoever finds what listeners agree on, within one passage, hears how it is played and not what. The collection has MIDI
and ratings; the passages are rendered when they are added.

A file is called `<piece>_<n>bars_<player>_<passage>.mid`. The passage is the work here, the player the performer. Of
each scale three columns are kept: the mean over listeners, 0 to 1, its standard deviation and the number of listeners,
from which the ceiling of any prediction follows (`probing.ceiling`).

Source: Park, Kim et al., PercePiano, Scientific Reports 14, 23002 (2024), doi 10.1038/s41598-024-73810-0.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mess_core.collections.collection import Collection, Description, Recording
from mess_core.collections.table import read_table
from mess_core.collections.walking import MIDI_SUFFIXES, audio_files
from mess_core.config import RATERS, SPREAD
from mess_core.errors import InputError
from mess_core.storage.untrusted import read_json
from mess_core.words import counted

MEANS, SPREADS, RATINGS = "label_mean_19.json", "label_std_19.json", "ratings.csv"
MOST_LABEL_BYTES = 16 * 2**20  # theirs have 0.4 MB
STEM = re.compile(r"(?P<piece>(?P<composer>[A-Za-z]+)_.+)_(?P<n_bars>\d+)bars_(?P<player>\w+)_(?P<passage>\d+)")
SCALES = (  # from low to high, in the order of the published labels
    "timing stable-unstable",
    "articulation short-long",
    "articulation soft-hard",
    "pedal sparse-saturated",
    "pedal clean-blurred",
    "timbre even-colourful",
    "timbre shallow-rich",
    "timbre bright-dark",
    "timbre soft-loud",
    "dynamics sophisticated-raw",
    "dynamics little-large range",
    "music making fast-slow",
    "music making flat-spacious",
    "music making disproportioned-balanced",
    "music making pure-dramatic",
    "emotion optimistic-dark",
    "emotion low-high energy",
    "emotion honest-imaginative",
    "interpretation doubtful-convincing",
)


def _read_labels(path: Path) -> dict[str, list[float]]:
    """Numbers of the 19 scales by passage; what follows them in a row (an empty 20th) is left."""
    labels = {}
    for name, numbers in read_json(path, MOST_LABEL_BYTES, error=InputError).items():
        is_row = isinstance(numbers, list) and len(numbers) >= len(SCALES)
        if is_row and all(isinstance(number, int | float) for number in numbers[: len(SCALES)]):
            labels[name.strip()] = [float(number) for number in numbers[: len(SCALES)]]
    if not labels:
        raise InputError(f"{path.name} rates nothing.", f"Expected rows of {len(SCALES)} numbers, by passage.")
    return labels


def _count_raters(folder: Path) -> Counter[str]:
    """How many listeners rated each passage; of none where the single ratings are not there."""
    path = folder / RATINGS
    if not path.is_file():
        return Counter()
    return Counter(Path(row.get("filename", "")).stem.strip() for row in read_table(path).values())


def read_ratings(path: Path) -> tuple[list[str], np.ndarray]:
    """The single ratings: work and performer of what each is of, and its 19 numbers, (n_ratings, 19).

    Performer and work stand as in `work, performer`; NaN is what was not answered.

    Raises
    ------
    InputError
        If it is no such table.
    """
    rows = list(read_table(path).values())
    asked = [name for name in (rows[0] if rows else {}) if name.startswith("Question_")][: len(SCALES)]
    if len(asked) < len(SCALES):
        raise InputError(f"{path.name} has {len(asked)} questions, expected {len(SCALES)}.")

    def answer(text: str) -> float:
        try:
            return float(text)
        except ValueError:
            return np.nan

    ratings = np.array([[answer(row.get(name, "")) for name in asked] for row in rows])
    stems = (Path(row.get("filename", "")).stem.strip() for row in rows)
    matches = ((stem, STEM.fullmatch(stem)) for stem in stems)
    return [f"{_work(match)}, {_player(match)}" if match else stem for stem, match in matches], ratings


def _work(match: re.Match[str]) -> str:
    return f"{match['piece'].replace('_', ' ')}, passage {match['passage']} ({counted(int(match['n_bars']), 'bar')})"


def _player(match: re.Match[str]) -> str:
    return match["player"] if match["player"].startswith("Score") else f"Player {match['player']}"


def _details(
    stem: str, means: Mapping[str, Sequence[float]], spreads: Mapping[str, Sequence[float]], raters: Mapping[str, int]
) -> dict[str, str]:
    """What was rated, as columns of a table."""
    details = {}
    for place, scale in enumerate(SCALES):
        if stem in means:
            details[scale] = f"{means[stem][place]:.6g}"
        if stem in spreads:
            details[f"{scale}{SPREAD}"] = f"{spreads[stem][place]:.6g}"
        if stem in raters:
            details[f"{scale}{RATERS}"] = str(raters[stem])
    return details


def _midi_files(folder: Path) -> list[Path]:
    place = folder / "midi" if (folder / "midi").is_dir() else folder
    found = [path for path in place.iterdir() if path.suffix.lower() in MIDI_SUFFIXES]
    return sorted(found, key=lambda path: path.name.strip())


def _describe(folder: Path) -> Description:
    means, raters = _read_labels(folder / MEANS), _count_raters(folder)
    spreads = _read_labels(folder / SPREADS) if (folder / SPREADS).is_file() else {}
    audio = {path.stem.strip(): path for path in reversed(list(audio_files(folder)))}
    recordings, refused = [], []
    for path in _midi_files(folder):
        stem = path.stem.strip()  # some names begin with a blank
        match = STEM.fullmatch(stem)
        if match is None:
            refused.append((path.name, "Its name is not piece_Nbars_player_passage."))
            continue
        if stem not in means:
            refused.append((path.name, f"{MEANS} does not rate it."))
            continue
        piece = match["piece"].replace("_", " ")
        recordings.append(
            Recording(
                audio.get(stem),
                title=f"{piece}, passage {match['passage']}, {_player(match)}",
                work=_work(match),
                composer=match["composer"],
                performer=_player(match),
                instrument="piano",
                album=piece,
                midi=path,
                details=_details(stem, means, spreads, raters),
            )
        )
    return Description(recordings, refused)


PERCEPIANO = Collection(
    id="percepiano",
    title="PercePiano",
    summary="830 piano passages by a dozen players each, rated by listeners on 19 scales of expression.",
    is_at=lambda folder: (folder / MEANS).is_file(),
    read=_describe,
    licence="MIT",
    homepage="https://github.com/JonghoKimSNU/PercePiano",
)
