"""MIDI files: reading what people have, writing what was played.

    read_events   file -> MidiEvents: notes, sustain pedal, tempo and metre of all tracks, in ticks
    read_midi     file -> notes and pedal in seconds
    write_midi    notes and pedal -> file

The events are read here and not by mido, which loses a whole file for one text, key or tempo event that it cannot
make sense of, and the time before every event whose kind it does not know. Only notes, pedal, tempo, metre and
names of tracks are looked at; the rest is stepped over, whatever it holds. A file that breaks off is read as far as it
goes.

Conventions: seconds from the start of the file, pitches and velocities as in MIDI. A tempo holds for all tracks,
whichever it stands in. A note that is never released, and a pedal, end with their track.

Source: Standard MIDI Files 1.0 (MIDI Manufacturers Association, 1996); SMPTE 29 is 30000/1001 frames per second.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from mess_core.config import MAX_DURATION_S
from mess_core.errors import InputError
from mess_core.storage.untrusted import MOST_MIDI_BYTES, printable, read_untrusted

TICKS_PER_QUARTER = 960  # at 120 bpm a tick is 0.52 ms, finer than a listener hears two onsets apart
TICK_S = 60 / (120 * TICKS_PER_QUARTER)  # times that are multiples of this survive `write_midi` at 120 bpm unchanged
DOUBLE_S = 0.001  # a key cannot be struck twice this fast: the file holds one note twice
SUSTAIN_PEDAL = 64  # controller number, and also the value from which it counts as down
DRUMS = 9  # the channel that General MIDI keeps for them
QUARTER_US = 500_000  # microseconds, where no tempo is given
MOST_EVENTS = 1_000_000
MOST_NOTES = 200_000  # 12 hours of five notes a second
SMPTE_FRAMES_PER_S = {24: 24.0, 25: 25.0, 29: 30_000 / 1001, 30: 30.0}


@dataclass(frozen=True)
class Note:
    """One key: pressed at `start_s`, released at `end_s`."""

    start_s: float
    end_s: float
    pitch: int
    velocity: int


@dataclass(frozen=True)
class PedalSpan:
    """The sustain pedal is down from `start_s` to `end_s`."""

    start_s: float
    end_s: float


@dataclass(frozen=True)
class WrittenNote:
    """A note in ticks, with the track of the file and the channel that it stands in."""

    start: int
    end: int
    pitch: int
    velocity: int
    track: int
    channel: int


@dataclass(frozen=True)
class MidiEvents:
    """What a file says, in ticks.

    notes, pedal : without drums; in the order in which they end
    tempi : from when on, and how many seconds a tick lasts; the first from 0 on
    metres : from when on, beats to a bar, and which note is a beat (4: a quarter)
    names : of the tracks that have one
    """

    notes: Sequence[WrittenNote]
    pedal: Sequence[tuple[int, int]]
    tempi: Sequence[tuple[int, float]]
    metres: Sequence[tuple[int, int, int]]
    names: dict[int, str]
    ticks_per_quarter: float

    def seconds(self, ticks: Sequence[int]) -> list[float]:
        """When these ticks are."""
        starts = [start for start, _ in self.tempi]
        starts_s = [0.0]
        for (start, tick_s), (next_start, _) in zip(self.tempi, self.tempi[1:], strict=False):
            starts_s.append(starts_s[-1] + (next_start - start) * tick_s)
        found = []
        for tick in ticks:
            at = bisect_right(starts, tick) - 1
            found.append(starts_s[at] + (tick - starts[at]) * self.tempi[at][1])
        return found

    def beats(self) -> np.ndarray:
        """Where the beats are up to the last note, in quarters, shape (n_beats,); dotted in compound metres."""
        end = max((note.end for note in self.notes), default=0)
        metres = list(self.metres) or [(0, 4, 4)]
        if metres[0][0] > 0:
            metres.insert(0, (0, 4, 4))
        starts = [start for start, _, _ in metres]
        spans = []
        for (start, upper, lower), stop in zip(metres, [*starts[1:], end], strict=True):
            is_compound = upper > 3 and upper % 3 == 0
            step = self.ticks_per_quarter * 4 / lower * (3 if is_compound else 1)
            spans.append(np.arange(start, min(stop, end), step))
        return np.concatenate(spans) / self.ticks_per_quarter


def read_midi(path: Path) -> tuple[tuple[Note, ...], tuple[PedalSpan, ...]]:
    """Read the notes of a MIDI file except drums, by start and pitch, and when the sustain pedal is down.

    A note that is there twice, with the same pitch and a start within 1 ms, counts once: the longer one is kept, of two
    as long the louder.

    Raises
    ------
    InputError
        If there is no such file, or it is no MIDI that can be read, of type 2, too large or too long.
    """
    events = read_events(path)
    return notes_of(events, printable(path.name)), pedal_of(events)


def notes_of(events: MidiEvents, name: str = "The MIDI", track: int | None = None) -> tuple[Note, ...]:
    """The notes of all tracks, or of one, in seconds.

    Raises
    ------
    InputError
        If they last longer than any recording that is read.
    """
    written = [note for note in events.notes if track is None or note.track == track]
    starts_s = events.seconds([note.start for note in written])
    ends_s = events.seconds([note.end for note in written])
    if max(ends_s, default=0.0) > MAX_DURATION_S:
        raise InputError(f"{name} lasts {max(ends_s) / 3600:,.0f} h; MIDI is read up to {MAX_DURATION_S / 3600:.0f} h.")
    notes = (
        Note(start_s, end_s, note.pitch, note.velocity)
        for start_s, end_s, note in zip(starts_s, ends_s, written, strict=True)
        if end_s > start_s
    )
    return tuple(sorted(_without_doubles(notes), key=lambda note: (note.start_s, note.pitch)))


def pedal_of(events: MidiEvents) -> tuple[PedalSpan, ...]:
    """When the sustain pedal of any track is down, by start."""
    times_s = zip(*(events.seconds([span[side] for span in events.pedal]) for side in (0, 1)), strict=True)
    return tuple(sorted((PedalSpan(*span) for span in times_s), key=lambda span: span.start_s))


def read_events(path: Path) -> MidiEvents:
    """Read a MIDI file; arguments and errors as in `read_midi`."""
    data = read_untrusted(path, MOST_MIDI_BYTES, error=InputError)
    try:
        return _Reader(data).events()
    except InputError as error:
        name = printable(path.name)
        raise InputError(f"{name} is not a MIDI file that can be read: {error.message}", error.hint) from error


class _Reader:
    """One file while it is read."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.notes: list[WrittenNote] = []
        self.pedal: list[tuple[int, int]] = []
        self.tempi: dict[int, int] = {}  # microseconds of a quarter
        self.metres: dict[int, tuple[int, int]] = {}
        self.names: dict[int, str] = {}
        self.n_events = 0
        self.is_cut = False  # an event says that it goes on where its track, or the file, has ended
        # of the track that is being read
        self.track = self.tick = 0
        self.held: dict[tuple[int, int], list[tuple[int, int]]] = {}  # channel, pitch -> start, velocity
        self.pedal_down: dict[int, int] = {}  # channel -> since when

    def events(self) -> MidiEvents:
        ticks_per_quarter, smpte_tick_s, at = self._header()
        # Other chunks, junk between chunks and sizes that lie: what begins with MTrk is a track.
        while (at := self.data.find(b"MTrk", at)) >= 0:
            size = int.from_bytes(self.data[at + 4 : at + 8], "big")
            at = self._read_track(at + 8, min(at + 8 + size, len(self.data)))
            self.track += 1
        if not self.track:
            raise InputError("it holds no track.")
        if self.is_cut and not self.notes:
            raise InputError("it is cut off or damaged before its first note.", "Save or fetch it again.")
        if smpte_tick_s:
            tempi = [(0, smpte_tick_s)]
        else:
            quarters = sorted({0: QUARTER_US, **self.tempi}.items())
            tempi = [(start, quarter_us / 1e6 / ticks_per_quarter) for start, quarter_us in quarters]
        metres = [(start, *metre) for start, metre in sorted(self.metres.items())]
        return MidiEvents(self.notes, self.pedal, tempi, metres, self.names, ticks_per_quarter)

    def _header(self) -> tuple[float, float, int]:
        """Ticks of a quarter, seconds of a tick where the file counts frames (else 0), and where the tracks begin."""
        at = self.data.find(b"MThd", 0, 512)  # RIFF may lie around it (RMID), or 128 bytes before it (MacBinary)
        if at < 0 or len(self.data) < at + 14:
            raise InputError("it has no MIDI header.")
        size, kind, division = (
            int.from_bytes(self.data[at + a : at + b], "big") for a, b in ((4, 8), (8, 10), (12, 14))
        )
        if kind == 2:
            raise InputError("it is of type 2, patterns without a common time.", "Save it as type 0 or 1.")
        if kind > 2:
            raise InputError(f"it says that it is of type {kind}; there are 0 and 1.")
        if division == 0:
            raise InputError("its division is 0 ticks a quarter, so nothing in it has a time.", "Save it again.")
        at += 8 + min(size, len(self.data))
        if division < 0x8000:
            return division, 0.0, at
        frames, ticks_per_frame = 256 - (division >> 8), division & 0xFF
        if frames not in SMPTE_FRAMES_PER_S or not ticks_per_frame:
            raise InputError(
                f"its division is {frames} frames a second of {ticks_per_frame} ticks, which SMPTE has not."
            )
        tick_s = 1 / (SMPTE_FRAMES_PER_S[frames] * ticks_per_frame)
        return QUARTER_US / 1e6 / tick_s, tick_s, at

    def _read_track(self, at: int, end: int) -> int:
        """Read the events of one track; returns where it ends in the file."""
        self.tick, self.held, self.pedal_down = 0, {}, {}
        try:
            at = self._read_events(memoryview(self.data)[:end], at)
            self.is_cut |= at > end
        except IndexError:  # it breaks off
            self.is_cut = True
            at = end
        self.pedal += [(since, self.tick) for since in self.pedal_down.values() if since < self.tick]
        for (channel, pitch), started in self.held.items():  # one that is struck where the track ends is a note, too
            self._add(channel, pitch, [(start, max(self.tick, start + 1), velocity) for start, velocity in started])
        return at

    def _read_events(self, data: memoryview, at: int) -> int:
        running = 0  # the status that holds until another comes
        while at < len(data):
            delta, at = _number(data, at)
            self.tick += delta
            self.n_events += 1
            if self.n_events > MOST_EVENTS:
                raise InputError(f"it has more than {MOST_EVENTS:,} events.")
            status = data[at] if data[at] >= 0x80 else running
            at += data[at] >= 0x80
            if status == 0xFF:
                kind = data[at]
                size, at = _number(data, at + 1)
                if kind == 0x2F:  # end of track
                    return min(at + size, len(data))
                self._meta(kind, bytes(data[at : at + size]))
                at += size
            elif status in (0xF0, 0xF7):
                size, at = _number(data, at)
                at += size
            elif status > 0xF0:  # of a cable, not of a file
                at += {0xF1: 1, 0xF2: 2, 0xF3: 1}.get(status, 0)
            elif status == 0:
                raise InputError(f"byte {at:,} should begin an event, and is {data[at]}.")
            else:
                running, n_values = status, 1 if 0xC0 <= status < 0xE0 else 2
                values, at = [data[at + i] for i in range(n_values)], at + n_values
                if max(values) > 127:
                    raise InputError(f"a value before byte {at:,} is above 127: the file is damaged.")
                self._channel(status & 0xF0, status & 0x0F, values[0], values[-1])
        return at

    def _meta(self, kind: int, value: bytes) -> None:
        """An event about the music; one whose length is not as it should be says nothing."""
        if kind == 0x51 and len(value) == 3 and any(value):
            self.tempi[self.tick] = int.from_bytes(value, "big")
        elif kind == 0x58 and len(value) >= 2 and value[0] and value[1] <= 7:
            self.metres[self.tick] = (value[0], 2 ** value[1])
        elif kind == 0x03:
            self.names.setdefault(self.track, value[:100].decode("latin-1"))

    def _channel(self, kind: int, channel: int, first: int, second: int) -> None:
        """A key or a controller."""
        if channel == DRUMS:
            return
        if kind == 0x90 and second:
            self.held.setdefault((channel, first), []).append((self.tick, second))
        elif kind in (0x80, 0x90):
            self._release(channel, first, self.held.pop((channel, first), []))
        elif kind == 0xB0 and first == SUSTAIN_PEDAL:
            if second >= SUSTAIN_PEDAL:
                self.pedal_down.setdefault(channel, self.tick)
            elif (since := self.pedal_down.pop(channel, self.tick)) < self.tick:
                self.pedal.append((since, self.tick))

    def _release(self, channel: int, pitch: int, started: list[tuple[int, int]]) -> None:
        """One release ends every note that is held on this key, except one struck at the same moment: that goes on."""
        ended = [(start, self.tick, velocity) for start, velocity in started if start < self.tick]
        if ended and len(ended) < len(started):
            self.held[channel, pitch] = [each for each in started if each[0] == self.tick]
        self._add(channel, pitch, ended)

    def _add(self, channel: int, pitch: int, notes: Iterable[tuple[int, int, int]]) -> None:
        self.notes += [WrittenNote(start, end, pitch, v, self.track, channel) for start, end, v in notes]
        if len(self.notes) > MOST_NOTES:
            raise InputError(f"it has more than {MOST_NOTES:,} notes.")


def _number(data: memoryview, at: int) -> tuple[int, int]:
    """A number of variable length, of four bytes at most, and where it ends."""
    value = 0
    for _ in range(4):
        byte = data[at]
        at += 1
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at
    raise InputError(f"the number before byte {at:,} is longer than MIDI has them: the file is damaged.")


def _without_doubles(notes: Iterable[Note]) -> list[Note]:
    """One of several notes of a pitch that begin within `DOUBLE_S` of the first of them."""
    groups: list[list[Note]] = []
    for note in sorted(notes, key=lambda note: (note.pitch, note.start_s)):
        first = groups[-1][0] if groups else None
        if first is not None and note.pitch == first.pitch and note.start_s - first.start_s <= DOUBLE_S:
            groups[-1].append(note)
        else:
            groups.append([note])
    return [max(group, key=lambda note: (note.end_s - note.start_s, note.velocity)) for group in groups]


def write_midi(
    path: Path | BinaryIO,
    notes: Sequence[Note],
    pedal: Sequence[PedalSpan] = (),
    *,
    tempo_bpm: float = 120.0,
    metre: tuple[int, int] = (4, 4),
    program: int = 0,
) -> None:
    """Write notes and pedal as a MIDI file: the same notes always give the same bytes.

    Parameters
    ----------
    path : Path, or a file opened for writing bytes
    notes, pedal : as in `render`; times are rounded to 1/960 of a quarter note at `tempo_bpm`
    tempo_bpm : float, quarter notes per minute
    metre : (int, int), the time signature, such as (3, 4)
    program : int, General MIDI, counted from 0
    """
    import pretty_midi

    midi = pretty_midi.PrettyMIDI(resolution=TICKS_PER_QUARTER, initial_tempo=tempo_bpm)
    midi.time_signature_changes.append(pretty_midi.TimeSignature(*metre, 0.0))
    track = pretty_midi.Instrument(program=program)
    track.notes = [pretty_midi.Note(n.velocity, n.pitch, n.start_s, n.end_s) for n in notes]
    for span in pedal:
        for value, time_s in ((127, span.start_s), (0, span.end_s)):
            track.control_changes.append(pretty_midi.ControlChange(SUSTAIN_PEDAL, value, time_s))
    midi.instruments.append(track)
    midi.write(str(path) if isinstance(path, Path) else path)
