"""MIDI: what is read agrees with another reader, odd files are read or named, and no file does harm."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import mido
import numpy as np
import pretty_midi
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mess_core.errors import InputError
from mess_core.notes.midi import TICK_S, Note, PedalSpan, notes_of, read_events, read_midi, write_midi
from mess_core.targets.alignment import read_score
from tests.conftest import SHARED

END = b"\x00\xff\x2f\x00"
FOUR = b"".join(b"\x00\x90%c\x50\x60\x80%c\x00" % (pitch, pitch) for pitch in (60, 62, 64, 65))  # 96 ticks each
FOUR_NOTES = [(60, 0), (62, 96), (64, 192), (65, 288)]


def smf(*tracks: bytes, division: int = 96, kind: int = 1) -> bytes:
    """A file from the bytes of its tracks, each without its end."""
    head = struct.pack(">4sIHHH", b"MThd", 6, kind, len(tracks), division)
    return head + b"".join(b"MTrk" + struct.pack(">I", len(track + END)) + track + END for track in tracks)


def read(data: bytes, folder: Path) -> tuple[tuple[Note, ...], tuple[PedalSpan, ...]]:
    path = folder / "a.mid"
    path.write_bytes(data)
    return read_midi(path)


def tempo(bpm: float) -> bytes:
    return b"\x00\xff\x51\x03" + round(6e7 / bpm).to_bytes(3, "big")


def test_round_trip(tmp_path: Path) -> None:
    """Times on ticks, pitches, velocities and pedal come back; the same notes give the same bytes."""
    notes = tuple(Note(480 * i * TICK_S, (480 * i + 380) * TICK_S, 60 + 2 * i, 50 + 5 * i) for i in range(5))
    pedal = (PedalSpan(0.25, 0.5), PedalSpan(0.75, 1.0))
    write_midi(tmp_path / "a.mid", notes, pedal, metre=(3, 4), program=11)
    write_midi(tmp_path / "b.mid", notes, pedal, metre=(3, 4), program=11)
    read_notes, read_pedal = read_midi(tmp_path / "a.mid")
    assert (tmp_path / "a.mid").read_bytes() == (tmp_path / "b.mid").read_bytes()
    assert [(n.pitch, n.velocity) for n in read_notes] == [(n.pitch, n.velocity) for n in notes]
    assert np.allclose([(n.start_s, n.end_s) for n in read_notes], [(n.start_s, n.end_s) for n in notes], atol=1e-6)
    assert np.allclose([(s.start_s, s.end_s) for s in read_pedal], [(0.25, 0.5), (0.75, 1.0)], atol=1e-6)
    midi = pretty_midi.PrettyMIDI(str(tmp_path / "a.mid"))
    assert midi.instruments[0].program == 11
    assert (midi.time_signature_changes[0].numerator, midi.time_signature_changes[0].denominator) == (3, 4)


EVENTS = st.lists(
    st.tuples(
        st.integers(0, 300), st.sampled_from(["on", "off", "on", "off", "pedal", "tempo", "program", "text"]),
        st.integers(0, 2), st.integers(58, 62), st.integers(0, 127),
    ),
    max_size=40,
)  # fmt: skip


@pytest.mark.slow
@given(st.lists(EVENTS, min_size=1, max_size=3))
def test_agrees_with_pretty_midi(tmp_path_factory: pytest.TempPathFactory, tracks: Sequence[Sequence[tuple]]) -> None:
    """Of sound files, with every note released and tempo in the first track, the notes are those of pretty_midi."""
    midi = mido.MidiFile(type=1, ticks_per_beat=480)
    for number, events in enumerate(tracks):
        track = midi.add_track()
        sounding: set[tuple[int, int]] = set()
        for delta, kind, channel, pitch, value in events:
            key = channel, pitch
            if kind == "on" and key not in sounding:
                sounding.add(key)
                track.append(mido.Message("note_on", channel=channel, note=pitch, velocity=max(value, 1), time=delta))
            elif kind == "off" and key in sounding:
                sounding.remove(key)
                track.append(mido.Message("note_off", channel=channel, note=pitch, time=delta + 1))
            elif kind == "tempo" and number == 0:
                track.append(mido.MetaMessage("set_tempo", tempo=100_000 + 5_000 * value, time=delta))
            elif kind == "program":
                track.append(mido.Message("program_change", channel=channel, program=value, time=delta))
            elif kind == "text":
                track.append(mido.MetaMessage("text", text="x" * value, time=delta))
        track.extend(mido.Message("note_off", channel=channel, note=pitch, time=3) for channel, pitch in sounding)
    path = tmp_path_factory.mktemp("midi") / "a.mid"
    midi.save(path)
    theirs = [note for track in pretty_midi.PrettyMIDI(str(path)).instruments for note in track.notes]
    events = read_events(path)
    found = [(note.pitch, note.velocity, *events.seconds([note.start, note.end])) for note in events.notes]
    expected = [(note.pitch, note.velocity, note.start, note.end) for note in theirs if note.end > note.start]
    assert len(found) == len(expected)
    assert np.allclose(sorted(found), sorted(expected), atol=1e-9)


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared material is not here")
def test_real_performances_and_scores_agree_with_pretty_midi() -> None:
    """Of every fortieth real file: notes at the same times; the beats of scores where pretty_midi has them."""
    paths = sorted(path for part in ("perf-midi", "pop909") for path in (SHARED / part).rglob("*.mid"))[::40]
    assert len(paths) > 20
    for path in paths:
        try:
            midi = pretty_midi.PrettyMIDI(str(path))
        except RuntimeWarning:  # a tempo outside the first track: it says itself that its times may be wrong
            continue
        theirs = sorted(
            (n.pitch, n.start, n.end) for t in midi.instruments if not t.is_drum for n in t.notes if n.end > n.start
        )
        events = read_events(path)
        times_s = zip(*(events.seconds([getattr(n, x) for n in events.notes]) for x in ("start", "end")), strict=True)
        ours = sorted((note.pitch, *times) for note, times in zip(events.notes, times_s, strict=True))
        assert np.shape(ours) == np.shape(theirs) and np.allclose(ours, theirs, atol=1e-6), path.name
        beats = np.array([midi.time_to_tick(time_s) for time_s in midi.get_beats()]) / midi.resolution
        n = len(events.beats())
        assert np.allclose(read_score(path).beat, beats[:n], atol=0.01), path.name


def test_drums_tracks_and_open_pedal(tmp_path: Path) -> None:
    """Drums are left out, tracks are merged, and a pedal that is never released holds to the end of its track."""
    first = b"\x18\xb0\x40\x64\x18\x90\x3c\x50\x30\x80\x3c\x00"
    notes, pedal = read(smf(first, b"\x00\x99\x24\x50\x60\x89\x24\x00", b"\x00\x90\x40\x50\x60\x80\x40\x00"), tmp_path)
    assert [note.pitch for note in notes] == [64, 60]
    assert pedal == (PedalSpan(0.125, 0.5),)


def test_doubled_notes_count_once(tmp_path: Path) -> None:
    """The same pitch within 1 ms is one note, the longer and then the louder; 2 ms later it is another."""
    write = [[(0.0, 1.0, 60, 80), (0.5, 1.0, 64, 70), (1.0, 1.5, 67, 40), (2.0, 2.5, 72, 80)],
             [(0.0, 1.0, 60, 80), (0.5005, 1.8, 64, 60), (1.0, 1.5, 67, 90), (2.002, 2.5, 72, 80), (2.0, 2.5, 73, 80)],
    ]  # fmt: skip
    midi = pretty_midi.PrettyMIDI(resolution=9600)
    for notes in write:
        track = pretty_midi.Instrument(program=0)
        track.notes.extend(pretty_midi.Note(velocity, pitch, start, end) for start, end, pitch, velocity in notes)
        midi.instruments.append(track)
    midi.write(str(tmp_path / "a.mid"))
    found = [(round(n.start_s, 4), n.pitch, n.velocity) for n in read_midi(tmp_path / "a.mid")[0]]
    assert found == [(0.0, 60, 80), (0.5005, 64, 60), (1.0, 67, 90), (2.0, 72, 80), (2.0, 73, 80), (2.002, 72, 80)]


def test_tempo_holds_for_all_tracks(tmp_path: Path) -> None:
    """Wherever it stands, in the track of the notes, before or after it, and where two change it at once the last."""
    for tracks in ((tempo(60) + FOUR,), (FOUR, tempo(60)), (tempo(60), FOUR), (tempo(90), FOUR, tempo(60))):
        notes, _ = read(smf(*tracks), tmp_path)
        assert [(note.pitch, note.start_s) for note in notes] == [(60, 0), (62, 1), (64, 2), (65, 3)]
    midway = b"\x81\x40\xff\x51\x03" + (1_000_000).to_bytes(3, "big")  # 60 bpm after 192 ticks of 120 bpm
    assert [note.start_s for note in read(smf(FOUR, midway), tmp_path)[0]] == [0, 0.5, 1, 2]


@pytest.mark.parametrize(
    "odd",
    [
        b"\x00\xff\x59\x02\xf8\x00", b"\x00\xff\x59\x02\x63\x09", b"\x00\xff\x59\x00",  # keys
        b"\x00\xff\x51\x03\x00\x00\x00", b"\x00\xff\x51\x02\x07\xa1", b"\x00\xff\x51\x00",  # tempi
        b"\x00\xff\x58\x01\x04", b"\x00\xff\x58\x04\x00\x00\x18\x08", b"\x00\xff\x58\x04\x04\xff\x18\x08",  # metres
        b"\x00\xff\x54\x01\x60", b"\x00\xff\x00\x01\x00", b"\x00\xff\x20\x00", b"\x00\xff\x21\x00", b"\x00\xff\x7f\x00",
        b"\x00\xff\x03\x04\xff\xfe\x80\x81", b"\x00\xff\x60\x03\x01\x02\x03",
        b"\x00\xf0\x03\x43\x12\xf7", b"\x00\xf7\x01\xf8", b"\x00\xf0\x00", b"\x00\xf3\x01", b"\x00\xfa",
        b"\x00\xc0\x05\x00\xd0\x10\x00\xe0\x00\x40\x00\xa0\x3c\x10",
    ],
)  # fmt: skip
def test_what_means_nothing_here_is_stepped_over(tmp_path: Path, odd: bytes) -> None:
    """A key, a tempo of 0, a text, whatever its length says: the notes are where they were."""
    notes, _ = read(smf(odd + FOUR), tmp_path)
    assert [(note.pitch, round(note.start_s * 192)) for note in notes] == FOUR_NOTES


def test_time_before_an_unknown_event_counts(tmp_path: Path) -> None:
    """Dropped with its event, as mido does, it would make all that follows come too early."""
    assert read(smf(b"\x60\xff\x60\x01\x00" + FOUR), tmp_path)[0][0].start_s == 0.5


def test_running_status_survives_other_events(tmp_path: Path) -> None:
    """As many programs write it: a text between two notes of one status."""
    notes, _ = read(smf(b"\x00\x90\x3c\x50\x60\x3c\x00\x00\xff\x01\x01x\x00\x3e\x50\x60\x3e\x00"), tmp_path)
    assert [note.pitch for note in notes] == [60, 62]


def test_notes_that_are_never_released(tmp_path: Path) -> None:
    """They end where their track ends; one that is struck there counts, too."""
    data = smf(b"".join(b"\x60\x90%c\x50" % pitch for pitch in (60, 62, 64)) + b"\x83\x60\xff\x01\x00")
    at_the_end = smf(b"\x60\x90\x3c\x50" * 3)
    assert len(read(at_the_end, tmp_path)[0]) == 3
    assert [(n.pitch, round(n.end_s, 2)) for n in read(data, tmp_path)[0]] == [(60, 4.0), (62, 4.0), (64, 4.0)]


@pytest.mark.parametrize(("division", "tick_s"), [(0xE728, 0.001), (0xE250, 1 / 2400), (0xE350, 1001 / 30_000 / 80)])
def test_smpte(tmp_path: Path, division: int, tick_s: float) -> None:
    """Frames a second instead of quarters: a tempo means nothing then."""
    notes, _ = read(smf(tempo(60) + FOUR, division=division), tmp_path)
    assert [note.start_s for note in notes] == pytest.approx([0, 96 * tick_s, 192 * tick_s, 288 * tick_s])
    assert len(read_score(tmp_path / "a.mid")) == 4


def test_largest_resolution(tmp_path: Path) -> None:
    """32767 ticks a quarter and forty minutes, as in MAPS: more ticks than pretty_midi takes."""
    long = b"".join(b"\x87\xff\x7f\x90%c\x50\x00\x80%c\x00" % (60 + i % 9, 60 + i % 9) for i in range(1200))
    data = smf(b"\x00\x90\x3c\x50" + long, division=32767)
    assert read(data, tmp_path)[0][-1].start_s == pytest.approx(1200 * 0x1FFFF / 32767 / 2, rel=0.002)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (smf(FOUR, kind=2), "of type 2"), (smf(FOUR, kind=7), "of type 7"), (smf(FOUR, division=0), "division is 0"),
        (smf(FOUR, division=0xE700), "of 0 ticks"), (smf(FOUR, division=0x8028), "128 frames"),
        (smf(), "no track"), (b"", "no MIDI header"), (b"RIFF this is no MIDI", "no MIDI header"), (b"MThd", "header"),
        (smf(b"\x00\x3c\x50"), "should begin an event"), (smf(b"\x00\x90\x3c\xf0" + FOUR), "above 127"),
        (smf(b"\xff\xff\xff\xff\x7f\x90\x3c\x50"), "longer than MIDI has them"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_named(tmp_path: Path, data: bytes, reason: str) -> None:
    """In one sentence, with the name of the file."""
    with pytest.raises(InputError, match=rf"a\.mid is not a MIDI file that can be read: .*{reason}"):
        read(data, tmp_path)
    with pytest.raises(InputError, match=reason):
        read_score(tmp_path / "a.mid")


def test_what_is_around_it(tmp_path: Path) -> None:
    """RIFF or junk around, alien chunks between, sizes and numbers of tracks that lie, an end that is missing."""
    plain = smf(FOUR)
    alien = plain[:14] + b"XFIH\x00\x00\x00\x02ab" + plain[14:]
    for data in (
        b"RIFF\x00\x00\x00\x00RMIDdata\x00\x00\x00\x00" + plain, b"\x00" * 128 + plain, alien, plain + b"junk" * 9,
        plain[:10] + b"\x00\x09" + plain[12:], plain[:18] + b"\x00\x00\xff\xff" + plain[22:], plain[:-4], plain[:-1],
    ):  # fmt: skip
        notes, _ = read(data, tmp_path)
        assert [(note.pitch, round(note.start_s * 192)) for note in notes] == FOUR_NOTES
    two = smf(FOUR, FOUR.replace(b"\x90\x3c", b"\x91\x30").replace(b"\x80\x3c", b"\x81\x30"))
    assert len(read(two[:18] + b"\x00\x00\x0f\xff" + two[22:], tmp_path)[0]) == 5  # the first track's size covers both


@pytest.mark.parametrize(
    "data",
    [
        smf(b"\x00\xff\x01\xff\x7f" + FOUR),  # a text longer than the file
        smf(b"\x00\xf0\xff\x7f" + FOUR),
        smf(FOUR)[:25],
        smf(b"\x00\x90\x3c"),
    ],
)
def test_what_breaks_off_before_its_first_note_is_called_damaged(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(InputError, match="cut off or damaged before its first note"):
        read(data, tmp_path)
    assert read(smf(b"\x00\xff\x01\x01a"), tmp_path)[0] == ()  # whole, and without notes


def test_nothing_larger_than_a_performance_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Notes, events, hours and bytes are bounded; each is named."""
    monkeypatch.setattr("mess_core.notes.midi.MOST_NOTES", 1000)
    monkeypatch.setattr("mess_core.notes.midi.MOST_EVENTS", 5000)
    with pytest.raises(InputError, match="more than 1,000 notes"):
        read(smf((b"\x00\x90\x3c\x50\x01\x3c\x00") * 1001), tmp_path)
    with pytest.raises(InputError, match="more than 5,000 events"):
        read(smf(b"\x00\xb0\x01\x02" + b"\x00\x01\x02" * 5000), tmp_path)
    with pytest.raises(InputError, match=r"lasts [\d,]+ h"):
        read(smf(b"\x00\x90\x3c\x50" + b"\xff\xff\xff\x7f\xff\x01\x00" * 100 + b"\x00\x80\x3c\x00"), tmp_path)
    with pytest.raises(InputError, match="at most 16,777,216"):
        read(smf(FOUR) + bytes(17 * 2**20), tmp_path)


@given(st.binary(max_size=400), st.integers(0, 120))
def test_no_bytes_raise_anything_else(tmp_path_factory: pytest.TempPathFactory, data: bytes, at: int) -> None:
    """Whatever stands in a file, there are notes or an InputError."""
    path = tmp_path_factory.mktemp("midi") / "a.mid"
    plain = smf(tempo(60) + FOUR)
    path.write_bytes(plain[:at] + data + plain[at:])
    try:
        notes, _ = read_midi(path)
    except InputError:
        return
    assert all(0 <= note.start_s < note.end_s and note.pitch < 128 for note in notes)


def test_one_track(tmp_path: Path) -> None:
    """Tracks have their names, and can be read one by one."""
    path = tmp_path / "a.mid"
    path.write_bytes(smf(b"\x00\xff\x03\x06MELODY" + FOUR, b"\x00\xff\x03\x05PIANO" + FOUR))
    events = read_events(path)
    assert events.names == {0: "MELODY", 1: "PIANO"}
    assert len(notes_of(events, track=1)) == 4


def test_absent(tmp_path: Path) -> None:
    """What is not there is named."""
    with pytest.raises(InputError, match=r"no file missing\.mid"):
        read_midi(tmp_path / "missing.mid")
