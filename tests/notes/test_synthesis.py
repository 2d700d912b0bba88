"""Notes -> audio: every instrument is in tune, answers touch and register, stops when told, and never clips."""

from __future__ import annotations

import numpy as np
import pytest

from mess_core.errors import InputError
from mess_core.notes.midi import Note, PedalSpan
from mess_core.notes.synthesis import (
    INSTRUMENTS,
    PEAK_LIMIT,
    SAMPLE_RATE_HZ,
    VELOCITY_STEPS,
    render,
    render_note,
    sound_ends,
)

SCALE = tuple(Note(0.25 * i, 0.25 * i + 0.2, pitch, 50 + 5 * i) for i, pitch in enumerate((60, 62, 64, 65, 67)))


def centroid_hz(audio: np.ndarray) -> float:
    """Centre of gravity of the magnitude spectrum."""
    magnitude = np.abs(np.fft.rfft(audio * np.hanning(len(audio))))
    return float(magnitude @ np.fft.rfftfreq(len(audio), 1 / SAMPLE_RATE_HZ) / magnitude.sum())


def level(audio: np.ndarray) -> float:
    return float(np.sqrt(np.mean(audio.astype(float) ** 2)))


def strongest_hz(audio: np.ndarray, near_hz: float) -> float:
    """Frequency of the spectrum's peak within a quarter tone, to a fraction of a cent."""
    n = 1 << 21  # zero-padding makes the grid finer than the tolerance
    magnitude = np.abs(np.fft.rfft(audio * np.hanning(len(audio)), n))
    frequencies_hz = np.fft.rfftfreq(n, 1 / SAMPLE_RATE_HZ)
    band = (frequencies_hz > near_hz * 2 ** (-1 / 24)) & (frequencies_hz < near_hz * 2 ** (1 / 24))
    return float(frequencies_hz[band][np.argmax(magnitude[band])])


@pytest.mark.slow
@pytest.mark.parametrize("instrument", INSTRUMENTS)
@pytest.mark.parametrize("pitch", [48, 60, 72])
def test_note_is_in_tune(instrument: str, pitch: int) -> None:
    """The fundamental lies within 3 cents of equal temperament, vibrato and detuned strings included."""
    expected_hz = 440 * 2 ** ((pitch - 69) / 12)
    found_hz = strongest_hz(render_note(instrument, pitch, 4, 2.0), expected_hz)
    assert abs(1200 * np.log2(found_hz / expected_hz)) < 3


@pytest.mark.parametrize("instrument", INSTRUMENTS)
@pytest.mark.parametrize("pitch", [43, 60, 77])
def test_touch_makes_louder_and_brighter(instrument: str, pitch: int) -> None:
    """From each velocity step to the next both level and spectral centroid rise."""
    notes = [render_note(instrument, pitch, step, 0.5) for step in range(len(VELOCITY_STEPS))]
    assert np.all(np.diff([level(note) for note in notes]) > 0)
    assert np.all(np.diff([centroid_hz(note) for note in notes]) > 0)


@pytest.mark.parametrize("instrument", INSTRUMENTS)
def test_register_moves_the_spectrum(instrument: str) -> None:
    """Higher notes have a higher centroid, but fewer partials under it, as on real instruments."""
    pitches = (40, 52, 64, 76, 88)
    centroids_hz = np.array([centroid_hz(render_note(instrument, pitch, 4, 0.5)) for pitch in pitches])
    fundamentals_hz = 440 * 2 ** ((np.array(pitches) - 69) / 12)
    assert np.all(np.diff(centroids_hz) > 0)
    assert np.all(np.diff(centroids_hz / fundamentals_hz) < 0)


@pytest.mark.parametrize("instrument", INSTRUMENTS)
def test_release_stops_and_pedal_prolongs(instrument: str) -> None:
    """A staccato note is silent where a legato one still sounds; the pedal undoes the release."""
    short, long = Note(0.1, 0.3, 60, 80), Note(0.1, 0.9, 60, 80)
    between = slice(round(0.75 * SAMPLE_RATE_HZ), round(0.9 * SAMPLE_RATE_HZ))
    staccato, legato, pedalled = (
        level(render(notes, pedal, instrument, duration_s=1.5)[between])
        for notes, pedal in (([short], ()), ([long], ()), ([short], [PedalSpan(0.2, 1.0)]))
    )
    assert staccato < 0.25 * legato
    assert pedalled == pytest.approx(legato, rel=0.01)


@pytest.mark.parametrize("instrument", INSTRUMENTS)
def test_loud_chords_do_not_clip(instrument: str) -> None:
    """Twelve keys at full force stay below the limit, finite, without an offset, and end in silence."""
    chord = [Note(0.1, 1.5, pitch, 127) for pitch in range(36, 84, 4)]
    audio = render(chord, (), instrument)
    assert audio.dtype == np.float32
    assert np.isfinite(audio).all()
    assert np.abs(audio).max() <= PEAK_LIMIT + 1e-6
    assert abs(audio.mean()) < 1e-3
    assert abs(audio[-1]) < 1e-4


@pytest.mark.parametrize("instrument", INSTRUMENTS)
def test_no_clicks(instrument: str) -> None:
    """Beginnings, releases and repeated keys leave no jump: energy above 11 kHz, where no partial lies, stays tiny."""
    repeated = [Note(0.2 * i, 0.2 * i + 0.19, 57 + i % 2, 80) for i in range(8)]
    spectrum = np.abs(np.fft.rfft(render(repeated, (), instrument))) ** 2
    above = np.fft.rfftfreq(2 * (len(spectrum) - 1), 1 / SAMPLE_RATE_HZ) > 11_000
    assert spectrum[above].sum() < 1e-5 * spectrum.sum()


def test_velocity_between_steps_is_continuous() -> None:
    """Each velocity is louder than the one before, also where the timbre changes step."""
    levels = [level(render([Note(0, 0.4, 60, v)], (), "piano", duration_s=0.5)) for v in range(20, 120, 4)]
    assert np.all(np.diff(levels) > 0)


def test_performers_keep_their_loudness() -> None:
    """Nothing is normalised: softer playing gives a softer file."""
    soft = [Note(n.start_s, n.end_s, n.pitch, n.velocity // 2) for n in SCALE]
    assert level(render(soft)) < 0.6 * level(render(SCALE))


def test_same_input_same_bytes_and_input_untouched() -> None:
    """Rendering twice gives the same bytes, and leaves notes, pedal and cached notes as they were."""
    notes, pedal = list(SCALE), [PedalSpan(0.1, 0.6)]
    cached = render_note("guitar", 60, 2, 0.5).copy()
    first, second = render(notes, pedal, "guitar"), render(notes, pedal, "guitar")
    assert first.tobytes() == second.tobytes()
    assert notes == list(SCALE)
    assert pedal == [PedalSpan(0.1, 0.6)]
    assert np.array_equal(cached, render_note("guitar", 60, 2, 0.5))


def test_order_of_notes_does_not_matter() -> None:
    """Notes in another order sound the same, up to rounding."""
    assert np.allclose(render(SCALE), render(SCALE[::-1]), atol=1e-6)


def test_sound_ends() -> None:
    """A note ends with its key, with the pedal that holds it, or when its key is struck again, whichever rules."""
    notes = [Note(0.0, 0.5, 60, 80), Note(0.0, 0.5, 64, 80), Note(0.7, 1.2, 60, 80), Note(1.5, 1.6, 67, 80)]
    assert sound_ends(notes, [PedalSpan(0.4, 1.0)]).tolist() == [0.7, 1.0, 1.2, 1.6]


def test_extremes_are_playable() -> None:
    """The highest MIDI pitch has no partial below the Nyquist frequency: silence, as no note at all, not an error."""
    assert np.isfinite(render([Note(0, 0.2, 127, 100), Note(0, 0.2, 0, 100)])).all()
    assert level(render([], duration_s=0.5)) == 0
    assert len(render([], duration_s=0.0)) == 0


@pytest.mark.parametrize("note", [Note(1, 1, 60, 80), Note(-1, 1, 60, 80), Note(0, 1, 128, 80), Note(0, 1, 60, 0)])
def test_impossible_note(note: Note) -> None:
    """A note that is no note is refused with its values."""
    with pytest.raises(InputError, match="cannot be played"):
        render([note])


def test_unknown_instrument() -> None:
    """The error lists what there is."""
    with pytest.raises(InputError, match=r"no instrument 'kazoo'.*piano"):
        render(SCALE, (), "kazoo")
