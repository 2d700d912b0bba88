"""MAESTRO: 1,276 recordings of a piano competition, 199 h, each as audio and as MIDI.

`maestro-v3.0.0.csv` says what each file is. It does not name the pianists; where ASAP plays from the same recordings,
its file names do (see `asap.py`). 203 works are there more than once.

Source: Hawthorne et al., Enabling Factorized Piano Music Modeling and Generation with the MAESTRO Dataset, ICLR 2019.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mess_core.collections.collection import (
    Collection,
    Description,
    Download,
    Recording,
    below,
    tidy,
)
from mess_core.collections.table import read_header, read_table
from mess_core.collections.walking import MIDI_SUFFIXES, beside
from mess_core.config import AUDIO_SUFFIXES
from mess_core.errors import InputError

COLUMNS = ("canonical_composer", "canonical_title", "split", "year", "midi_filename", "audio_filename")
OTHER_AUDIO = sorted(AUDIO_SUFFIXES)  # 108 GB of wav are often kept in another format


def table_of(folder: Path) -> Path | None:
    """The table of a MAESTRO folder, of the newest version if there are several."""
    return max(folder.glob("maestro-v*.csv"), default=None)


def read_rows(folder: Path) -> dict[int, dict[str, str]]:
    """The rows of MAESTRO's table, by number.

    Raises
    ------
    InputError
        If there is none, or it lacks a column.
    """
    table = table_of(folder)
    if table is None:
        raise InputError(f"{folder} holds no table of MAESTRO.", "Expected maestro-v3.0.0.csv in it.")
    rows = read_table(table)
    lacking = sorted(set(COLUMNS) - set(read_header(table)))
    if lacking or not rows:
        raise InputError(f"{table.name} has no {', '.join(lacking) or 'rows'}.", "Fetch it again from MAESTRO's page.")
    return rows


def recording_of(folder: Path, row: Mapping[str, str]) -> Recording:
    """What a row of the table says, and which of its files are here.

    Raises
    ------
    InputError
        If neither is, or a path leads out of the folder.
    """
    lacking = [name for name in COLUMNS if not row.get(name)]
    if lacking:
        raise InputError(f"The row has no {', '.join(lacking)}.")
    audio = beside(below(folder, row["audio_filename"]), OTHER_AUDIO)
    midi = beside(below(folder, row["midi_filename"]), MIDI_SUFFIXES)
    if audio is None and midi is None:
        raise InputError(f"Neither {row['audio_filename']} nor its MIDI is in {folder}.")
    composer, title = tidy(row["canonical_composer"]), tidy(row["canonical_title"])
    return Recording(
        audio,
        title=f"{composer}: {title}",
        work=f"{composer}: {title}",
        composer=composer,
        instrument="piano",
        session=tidy(row["year"]),
        split=tidy(row["split"]),
        midi=midi,
    )


def _describe(folder: Path) -> Description:
    recordings, refused = [], []
    for number, row in read_rows(folder).items():
        try:
            recordings.append(recording_of(folder, row))
        except InputError as error:
            refused.append((f"row {number}", error.message))
    return Description(recordings, refused)


ROOT = "https://storage.googleapis.com/magentadata/datasets/maestro/v3.0.0/"
MAESTRO = Collection(
    id="maestro",
    title="MAESTRO v3",
    summary="1,276 recordings of a piano competition, 199 h of real audio with exactly what was played.",
    is_at=lambda folder: table_of(folder) is not None,
    read=_describe,
    licence="CC BY-NC-SA 4.0",
    homepage="https://magenta.tensorflow.org/datasets/maestro",
    downloads=(
        Download(
            f"{ROOT}maestro-v3.0.0.zip",
            108_445_099_632,
            "6680fea5be2339ea15091a249fbd70e49551246ddbd5ca50f1b2352c08c95291",
            "all audio and MIDI",
        ),
        Download(
            f"{ROOT}maestro-v3.0.0-midi.zip",
            56_000_000,
            "70470ee253295c8d2c71e6d9d4a815189e35c89624b76d22fce5a019d5dde12c",
            "MIDI only: to be rendered",
        ),
    ),
)
