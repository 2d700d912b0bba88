"""Voices: instruments drawn at random around the families of our synthesiser, and a drum kit of noise bursts.

    draw_voice   family -> an instrument nobody has heard before
    sing         notes of one part -> dry audio
    drum         hits -> dry audio

A family is one or more instruments of the synthesiser as centres; a voice moves every number of one of them. So no
network can learn what "the piano" sounds like by heart, only what pianos have in common.

Conventions: audio is mono float64 at 24 kHz, dry; as loud as the synthesiser makes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mess_core.notes import synthesis
from mess_core.notes.midi import Note, PedalSpan
from mess_core.notes.synthesis import INSTRUMENTS, RESTRIKE_S, SAMPLE_RATE_HZ, Instrument, sound_ends

_BRASS = Instrument(
    "brass", 56, -16.5, slope=0.7, cutoff_hz=1600, cutoff_octaves=3.2, release_s=0.07, attack_s=0.035,
    vibrato_cents=4, formants=((1200, 1.7),), noise_db=-46, noise_band_hz=(800, 4000),
)  # fmt: skip
_VOICE = Instrument(
    "voice", 52, -16.5, slope=1.1, cutoff_hz=1500, cutoff_octaves=1.6, release_s=0.10, attack_s=0.06, detune_cents=2,
    vibrato_cents=28, formants=((600, 3.0), (1100, 2.5), (2700, 2.2)), noise_db=-38, noise_band_hz=(1500, 7000),
)  # fmt: skip
_BASS = Instrument(
    "bass", 33, -9.5, slope=1.2, cutoff_hz=700, cutoff_octaves=2.4, release_s=0.06, decay_s=3.5, decay_tilt=0.5,
    pluck=0.2, inharmonicity=1e-4, noise_db=-34, noise_s=0.02, noise_band_hz=(300, 2500),
)  # fmt: skip
_SYNTH = Instrument(
    "synth", 81, -17.0, slope=0.95, cutoff_hz=2600, cutoff_octaves=2.0, release_s=0.08, attack_s=0.01,
    detune_cents=7, noise_db=-120,
)  # fmt: skip
_SOLO_STRING = replace(INSTRUMENTS["strings"], name="violin", detune_cents=0.0, vibrato_cents=22.0, noise_db=-34)
_BELL = replace(INSTRUMENTS["vibraphone"], name="bell", ratios=(1, 2.76, 5.4, 8.93), tremolo=0.0, decay_s=3.0)

FAMILIES: dict[str, tuple[Instrument, ...]] = {
    "piano": (INSTRUMENTS["piano"],),
    "plucked": (INSTRUMENTS["guitar"], INSTRUMENTS["harpsichord"]),
    "bowed": (INSTRUMENTS["strings"], _SOLO_STRING),
    "flute": (INSTRUMENTS["flute"],),
    "reed": (INSTRUMENTS["clarinet"], replace(INSTRUMENTS["clarinet"], name="oboe", even=0.9, slope=0.5)),
    "brass": (_BRASS,),
    "organ": (INSTRUMENTS["organ"],),
    "mallet": (INSTRUMENTS["vibraphone"], _BELL),
    "voice": (_VOICE,),
    "bass": (_BASS,),
    "synth": (_SYNTH,),
}
FAMILY_NAMES = tuple(FAMILIES)
DRUMS = ("kick", "snare", "hat")
LOWEST, HIGHEST = 21, 108  # the keys of a piano: what the pitch teachers know


@dataclass(frozen=True)
class Voice:
    """An instrument and the family it was drawn from."""

    family: str
    instrument: Instrument


@dataclass(frozen=True)
class Hit:
    """One stroke on the drums."""

    start_s: float
    drum: str
    velocity: int


@dataclass(frozen=True)
class Kit:
    """The numbers of a drum kit."""

    kick_hz: float
    kick_s: float
    snare_hz: float
    snare_s: float
    hat_s: float
    hat_tilt: float  # 0: as dark as the snare; 1: only the highest
    seed: int


def draw_voice(family: str, rng: np.random.Generator) -> Voice:
    """An instrument of that family with every number moved."""
    centre = FAMILIES[family][rng.integers(len(FAMILIES[family]))]

    def times(octaves: float) -> float:
        return float(2 ** rng.uniform(-octaves, octaves))

    formants = tuple((hz * times(0.3), 1 + (gain - 1) * times(0.6)) for hz, gain in centre.formants)
    if rng.random() < 0.6:  # the body of this one
        formants = (*formants, (float(2 ** rng.uniform(7.5, 12)), float(rng.uniform(0.4, 2.5))))
    even = centre.even
    if family in ("synth", "organ"):
        even = float(rng.choice([0.05, 0.5, 1.0]))
    return Voice(
        family,
        replace(
            centre,
            name=f"{centre.name} {rng.integers(1 << 30)}",
            slope=centre.slope * times(0.3),
            cutoff_hz=centre.cutoff_hz * times(0.6),  # no more, or brightness would not tell velocity
            cutoff_octaves=centre.cutoff_octaves * times(0.6),
            release_s=centre.release_s * times(0.6),
            decay_s=centre.decay_s * times(0.6),
            decay_tilt=centre.decay_tilt * times(0.6),
            attack_s=centre.attack_s * times(0.9),
            even=even,
            pluck=centre.pluck * times(0.5),
            inharmonicity=centre.inharmonicity * times(1.0),
            formants=formants,
            detune_cents=centre.detune_cents * rng.uniform(0, 2),
            vibrato_cents=centre.vibrato_cents * rng.uniform(0, 2),
            tremolo=min(centre.tremolo * rng.uniform(0, 2), 0.5),
            noise_db=centre.noise_db + rng.uniform(-8, 8),
            noise_s=centre.noise_s * times(0.6),
        ),
    )


def sing(notes: Sequence[Note], pedal: Sequence[PedalSpan], voice: Voice, duration_s: float) -> np.ndarray:
    """One part, dry, (n_samples,)."""
    y = np.zeros(round(duration_s * SAMPLE_RATE_HZ))
    instrument = voice.instrument
    for note, end_s in zip(notes, sound_ends(notes, pedal), strict=True):
        release_s = RESTRIKE_S if end_s < note.end_s else instrument.release_s * 2 ** ((60 - note.pitch) / 30)
        synthesis._add_note(y, note, end_s, release_s, instrument, SAMPLE_RATE_HZ)
    return y


def draw_kit(rng: np.random.Generator) -> Kit:
    return Kit(
        kick_hz=rng.uniform(42, 75),
        kick_s=rng.uniform(0.05, 0.16),
        snare_hz=rng.uniform(150, 260),
        snare_s=rng.uniform(0.04, 0.12),
        hat_s=rng.uniform(0.012, 0.07),
        hat_tilt=rng.uniform(0.6, 1.0),
        seed=int(rng.integers(1 << 30)),
    )


def drum(hits: Sequence[Hit], kit: Kit, duration_s: float) -> np.ndarray:
    """All hits, dry, (n_samples,)."""
    y = np.zeros(round(duration_s * SAMPLE_RATE_HZ))
    sounds = {name: _stroke(kit, name) for name in {hit.drum for hit in hits}}
    for hit in hits:
        start = round(hit.start_s * SAMPLE_RATE_HZ)
        sound = sounds[hit.drum][: max(len(y) - start, 0)]
        y[start : start + len(sound)] += 0.5 * (hit.velocity / 127) ** 1.3 * sound
    return y


def _stroke(kit: Kit, name: str) -> np.ndarray:
    """One stroke at full velocity: a falling sine, a sine under noise, or bright noise."""
    rng = np.random.default_rng([kit.seed, DRUMS.index(name)])
    decay_s = {"kick": kit.kick_s, "snare": kit.snare_s, "hat": kit.hat_s}[name]
    t_s = np.arange(round(7 * decay_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    envelope = np.exp(-t_s / decay_s)
    noise = rng.standard_normal(len(t_s))
    if name == "kick":
        phase = 2 * np.pi * (kit.kick_hz * t_s + 3.0 * 0.02 * kit.kick_hz * (1 - np.exp(-t_s / 0.02)))
        return envelope * (np.sin(phase) + 0.05 * noise * np.exp(-t_s / 0.004))
    if name == "snare":
        return envelope * (0.5 * np.sin(2 * np.pi * kit.snare_hz * t_s) + 0.35 * noise)
    return 0.5 * envelope * (noise - kit.hat_tilt * np.roll(noise, 1))
