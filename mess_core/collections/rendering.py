"""A performance of which only the MIDI is known, played by our own synthesiser as a piano.

Rendered audio proves nothing about recorded dynamics or timbre: its loudness and brightness follow the MIDI velocities
by a rule of ours, there is one piano and one room, and no half pedal. Timing and notes are those of the performer.

A rendering is made once. Its name comes from the sha256 of the MIDI and from how it was made: the same performance is
the same file everywhere, and one made otherwise is another. Beside the audio lies the MIDI of what is heard.

Conventions: times on MIDI ticks (`TICK_S`); the first note begins `LEAD_IN_S` after the start.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import soundfile

from mess_core.catalogue.catalogue import readable
from mess_core.catalogue.passages import ScoreTimes
from mess_core.collections.collection import Recording
from mess_core.collections.demo import LEAD_IN_S
from mess_core.collections.demo import VERSION as SYNTHESIS_VERSION
from mess_core.errors import InputError
from mess_core.notes.midi import TICK_S, Note, PedalSpan, read_midi, write_midi
from mess_core.notes.synthesis import INSTRUMENTS, LONGEST_NOTE_S, ROOM_S, SAMPLE_RATE_HZ, render, sound_ends
from mess_core.storage.files import write_atomically
from mess_core.storage.untrusted import MOST_MIDI_BYTES, read_untrusted

VERSION = "1"  # of this file's part in it: raise it when a rendering would come out otherwise
INSTRUMENT = "piano"
DECAY_S = 1.0  # a performance rings out
SHORTEST_S = 0.05  # a note that begins later than this before the end would not be heard
STRETCH_S = 120  # rendered at a time, a whole number of seconds
EARLIER_S = round(LONGEST_NOTE_S + ROOM_S) + 1  # what began this long before a stretch may still be heard in it
LONGEST_S = 3 * 3600.0


def render_recording(recording: Recording, folder: Path, seconds: float | None = None) -> Recording:
    """The same performance with audio.

    It is played in stretches of two minutes, so that half an hour needs no more memory than two minutes do: about
    0.5 GB, most of it notes kept for when they come again. One core makes it 30 times faster than it lasts.

    Parameters
    ----------
    recording : Recording, with MIDI
    folder : Path, where the renderings are; made if it does not exist
    seconds : float > 0, or None
        Only its first seconds; the performance as a whole if None.

    Returns
    -------
    Recording
        With audio, the MIDI of what is heard, and score times in seconds of that audio.

    Raises
    ------
    InputError
        If there is no MIDI, it cannot be read, or it holds nothing to play.
    DataMissingError
        If the MIDI is gone.
    StorageError
        If the disk refuses.
    """
    if recording.midi is None:
        raise InputError(f"{recording.title or 'The recording'} has no MIDI that could be rendered.")
    if seconds is not None and not seconds > 0:
        raise InputError(f"An excerpt lasts longer than 0 s, got {seconds:g} s.")
    data = read_untrusted(recording.midi, MOST_MIDI_BYTES, cure="Add its folder again.")
    source = hashlib.sha256(data).hexdigest()
    made_how = f"{source} {INSTRUMENT} {SYNTHESIS_VERSION} {VERSION} {seconds}"
    audio = folder / f"{hashlib.sha256(made_how.encode()).hexdigest()[:32]}.flac"
    midi = audio.with_suffix(".mid")
    if not (audio.is_file() and midi.is_file()):
        notes, pedal, duration_s = excerpt(*read_midi(recording.midi), seconds)
        heard = io.BytesIO()
        write_midi(heard, notes, pedal, program=INSTRUMENTS[INSTRUMENT].program)
        write_atomically(midi, heard.getvalue())
        write_atomically(audio, _flac(notes, pedal, duration_s))  # last, so that where it is both are
    return replace(
        recording,
        title=recording.title or readable(recording.midi.stem),  # the rendering is called by its content
        audio=audio,
        midi=midi,
        instrument=f"{INSTRUMENT}, rendered",
        score_times=partial(_moved, recording.score_times, recording.midi, seconds),
    )


def excerpt(
    notes: Sequence[Note], pedal: Sequence[PedalSpan], seconds: float | None = None
) -> tuple[list[Note], list[PedalSpan], float]:
    """What is played in the first seconds, from just before the first note: notes, pedal and duration in seconds.

    Raises
    ------
    InputError
        If there are no notes, or they last too long.
    """
    shift = _shift_ticks(notes)
    end = round((LONGEST_S if seconds is None else seconds) / TICK_S)

    def ticks(time_s: float) -> int:
        return min(max(round(time_s / TICK_S) + shift, 0), end)

    kept = {  # a set: some files hold a note twice
        (ticks(note.start_s), ticks(note.end_s), note.pitch, note.velocity)
        for note in notes
        if ticks(note.start_s) < end - round(SHORTEST_S / TICK_S)
    }
    played = [Note(a * TICK_S, max(b, a + 1) * TICK_S, pitch, velocity) for a, b, pitch, velocity in sorted(kept)]
    if not played:
        raise InputError(f"No note begins in the first {seconds} s.", "Choose a longer excerpt.")
    spans = [(ticks(span.start_s), ticks(span.end_s)) for span in pedal]
    held = [PedalSpan(down * TICK_S, up * TICK_S) for down, up in spans if down < up]
    duration_s = float(sound_ends(played, held).max()) + DECAY_S
    if seconds is None and duration_s > LONGEST_S:
        raise InputError(f"It lasts more than {LONGEST_S / 3600:g} h.", "Render its first seconds only.")
    return played, held, duration_s if seconds is None else min(seconds, duration_s)


def _shift_ticks(notes: Sequence[Note]) -> int:
    """By how many ticks a performance is moved, so that it begins soon."""
    if not notes:
        raise InputError("The MIDI holds no notes.", "Leave this recording out.")
    return round(LEAD_IN_S / TICK_S) - round(min(note.start_s for note in notes) / TICK_S)


def _moved(
    score_times: Callable[[], Sequence[ScoreTimes]], midi: Path, seconds: float | None
) -> tuple[ScoreTimes, ...]:
    """Score times of the MIDI as those of its rendering."""
    known = score_times()
    if not known:
        return ()
    shift_s = _shift_ticks(read_midi(midi)[0]) * TICK_S
    moved = []
    for each in known:
        times_s = each.times_s + shift_s
        is_heard = (times_s >= 0) & (times_s < (np.inf if seconds is None else seconds))
        if is_heard.sum() >= 2:
            moved.append(ScoreTimes(each.score, each.beats[is_heard], times_s[is_heard]))
    return tuple(moved)


def _flac(notes: Sequence[Note], pedal: Sequence[PedalSpan], duration_s: float) -> bytes:
    data = io.BytesIO()
    with soundfile.SoundFile(data, "w", SAMPLE_RATE_HZ, channels=1, format="FLAC", subtype="PCM_16") as file:
        for audio in stretches(notes, pedal, duration_s):
            file.write(np.rint(audio * 32767).astype(np.int16))
    return data.getvalue()


def stretches(
    notes: Sequence[Note], pedal: Sequence[PedalSpan], duration_s: float, stretch_s: int = STRETCH_S
) -> Iterator[np.ndarray]:
    """A rendering piece by piece: put together, what `render` makes at once.

    Parameters
    ----------
    notes : sequence of Note, by start
    stretch_s : int, a whole number of seconds

    Yields
    ------
    ndarray, shape (n_samples,), float32, one after the other
    """
    starts_s = np.array([note.start_s for note in notes])
    n_total = round(duration_s * SAMPLE_RATE_HZ)
    for start_s in range(0, max(int(np.ceil(duration_s)), 1), stretch_s):
        from_s = max(start_s - EARLIER_S, 0)
        to_s = min(float(start_s + stretch_s + 1), duration_s)  # a second more: `render` fades out at the end
        first, last = np.searchsorted(starts_s, [from_s, to_s])
        heard = [_earlier(note, from_s) for note in notes[first:last]]
        spans = [PedalSpan(span.start_s - from_s, span.end_s - from_s) for span in pedal if span.end_s > from_s]
        audio = render(heard, spans, INSTRUMENT, duration_s=to_s - from_s)
        before = (start_s - from_s) * SAMPLE_RATE_HZ
        n_samples = min(stretch_s * SAMPLE_RATE_HZ, n_total - start_s * SAMPLE_RATE_HZ)
        yield audio[before : before + n_samples]


def _earlier(note: Note, seconds: int) -> Note:
    """A note moved by whole seconds, at a whole number of samples: in every stretch it begins at the same one."""
    first = round(note.start_s * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    last = max(round(note.end_s * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ, first + 1 / SAMPLE_RATE_HZ)
    return Note(first - seconds, last - seconds, note.pitch, note.velocity)
