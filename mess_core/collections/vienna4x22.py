"""Vienna 4x22: four short pieces, each played by the same 22 pianists, with every note matched to the score.

A `.match` file pairs the notes of the score with the notes played, one pair to a line:

    snote(n7,[C,n],5,1:1,0,1/4,0.0000,2.0000,[v1,staff1])-note(n6,72,1549,1790,54,0,0).
                               onset, offset in beats        onset, offset in ticks

The folder may be the repository, which has only MIDI, with the recordings anywhere below it. MIDI without a match file
(averages, excerpts) is left out.

Source: Goebl, The Vienna 4x22 Piano Corpus, 1999, doi 10.21939/4X22; format: Foscarin et al., The match file format,
MEC 2022.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from mess_core.catalogue.passages import ScoreTimes
from mess_core.collections.collection import Collection, Description, Download, Recording
from mess_core.collections.walking import MIDI_SUFFIXES, audio_files
from mess_core.errors import InputError
from mess_core.storage.untrusted import MOST_MIDI_BYTES, read_untrusted

STEM = re.compile(r"(?P<piece>[A-Za-z]+_.+)_p(?P<pianist>\d\d)")
PIECES = {
    "Chopin_op10_no3": ("Chopin", "Étude Op. 10 No. 3, bars 1-22"),
    "Chopin_op38": ("Chopin", "Ballade Op. 38, bars 1-46"),
    "Mozart_K331_1st-mov": ("Mozart", "Sonata K. 331, first movement, bars 1-36"),
    "Schubert_D783_no15": ("Schubert", "German Dance D. 783 No. 15"),
}
INFO = re.compile(r"info\((midiClockUnits|midiClockRate),\s*(\d+)\)\.")
NUMBER = r"(-?\d+(?:\.\d+)?)"
# Octave, bar:beat, offset in the beat, duration; then onset and offset in beats. Bounded, for the text is untrusted.
PAIR = re.compile(
    rf"snote\([^\[]{{1,40}},\[[^\]]{{1,9}}\],[^\[]{{1,60}},{NUMBER},{NUMBER},\[[^\]]{{0,200}}\]\)"
    rf"-note\([^,]{{1,40}},\d+,{NUMBER},"
)


def _match_files(folder: Path) -> list[Path]:
    places = (folder / "match", folder)
    return next((found for place in places if (found := sorted(place.glob("*_p[0-9][0-9].match")))), [])


def read_match(path: Path) -> tuple[ScoreTimes, ...]:
    """When the onsets of the score are played; of a chord the earliest note. Empty where the file tells too little."""
    try:
        text = read_untrusted(path, MOST_MIDI_BYTES, error=InputError).decode("utf-8", errors="replace")
    except (OSError, InputError):
        return ()
    clock = {name: int(value) for name, value in INFO.findall(text[:10_000])}
    pairs = [found.groups() for line in text.splitlines() if (found := PAIR.match(line))]
    if not clock.get("midiClockUnits") or "midiClockRate" not in clock:
        return ()
    tick_s = clock["midiClockRate"] / 1e6 / clock["midiClockUnits"]
    beats, times_s = [float(onset) for onset, _, _ in pairs], [float(ticks) * tick_s for _, _, ticks in pairs]
    try:
        return (ScoreTimes.of(f"vienna4x22 {path.stem.rpartition('_p')[0]}", beats, times_s),)
    except InputError:  # fewer than two places
        return ()


def _recording(match_file: Path, match: re.Match[str], audio: Path | None, midi: Path | None) -> Recording:
    piece = match["piece"]
    composer, title = PIECES.get(piece, (piece.partition("_")[0], piece.partition("_")[2].replace("_", " ")))
    return Recording(
        audio,
        title=f"{composer}: {title}",
        work=f"{composer}: {title}",
        composer=composer,
        performer=f"Pianist {match['pianist']}",
        instrument="piano",
        midi=midi,
        score_times=partial(read_match, match_file),
    )


def _midi_files(folder: Path) -> Sequence[Path]:
    found = [Path(parent, name) for parent, _, names in os.walk(folder) for name in names]
    return sorted(path for path in found if path.suffix.lower() in MIDI_SUFFIXES)


def _describe(folder: Path) -> Description:
    match_files = _match_files(folder)
    if not match_files:
        raise InputError(f"{folder} holds no match file of Vienna 4x22.", "Expected match/Chopin_op38_p01.match in it.")
    audio = {path.stem: path for path in reversed(list(audio_files(folder)))}
    midi = {path.stem: path for path in reversed(_midi_files(folder))}
    recordings, refused = [], []
    for path in match_files:
        match = STEM.fullmatch(path.stem)
        if match is None:
            refused.append((path.name, "Its name is not piece_pNN."))
        elif path.stem not in audio and path.stem not in midi:
            refused.append((path.name, "There is neither audio nor MIDI of this name."))
        else:
            recordings.append(_recording(path, match, audio.get(path.stem), midi.get(path.stem)))
    return Description(recordings, refused)


VIENNA = Collection(
    id="vienna4x22",
    title="Vienna 4x22",
    summary="Four short pieces, each played by the same 22 pianists: the purest comparison of performers there is.",
    is_at=lambda folder: bool(_match_files(folder)),
    read=_describe,
    licence="CC BY 4.0",
    homepage="https://doi.org/10.21939/4X22",
    downloads=(
        Download(
            "https://github.com/CPJKU/vienna4x22/archive/decce458a2ae1fa41395fc71117180f91cff4aa4.zip",
            6_900_000,
            None,
            "MIDI and note alignments; the audio is on the homepage",
            "vienna4x22.zip",
        ),
    ),
)
