"""Track features: keys that are planted, exponents that are known, laws of the indices, and real recordings."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from mess_core.evaluation.tagging import roc_auc
from mess_core.notes.midi import Note
from mess_core.notes.synthesis import render
from mess_core.probing.aspects import ASPECTS
from mess_core.search.comparisons import key_of
from mess_core.targets import audio, character, danceability, harmony, key, voice
from mess_core.targets.audio import Sound, listen, measure, measure_audio
from mess_core.targets.base import CIRCLE, TargetValue, transform
from mess_core.targets.dynamics import Loudness
from mess_core.targets.frames import SAMPLE_RATE_HZ
from mess_core.targets.measurements import probe_scale, probed_targets
from mess_core.targets.moments import MomentStream, colour
from mess_core.targets.registry import FEATURES, NUISANCES, TARGETS
from mess_core.workspace.workspace import Workspace
from tests.conftest import SHARED

REAL = SHARED / "real-audio"
NEW = [id for id in FEATURES if id not in ("tempo", "loudness_lufs")] + ["mode_clarity", "key_confidence"]
MAJOR_CADENCE = ([0, 4, 7], [5, 9, 12], [7, 11, 14, 17], [0, 4, 7])
MINOR_CADENCE = ([0, 3, 7], [5, 8, 12], [7, 11, 14, 17], [0, 3, 7])


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Small matrix products on two busy cores wait for each other."""
    with threadpool_limits(1):
        yield


# --- signals ----------------------------------------------------------------------------------------------


def hear(samples: np.ndarray) -> Sound:
    """Listen in blocks that fit nothing."""
    samples = samples.astype(np.float32)
    return listen(samples[start : start + 10_007] for start in range(0, len(samples), 10_007))


def values_of(samples: np.ndarray) -> dict[str, float]:
    """Each target's bare value."""
    return {id: measured.value for id, measured in measure(hear(samples)).items()}


def time_s(duration_s: float) -> np.ndarray:
    """Time of each sample."""
    return np.arange(round(duration_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ


def cadences(tonic: int, chords: Sequence[Sequence[int]], times: int = 2, chord_s: float = 1.0) -> list[Note]:
    """Chords over a bass, again and again."""
    notes = []
    for number in range(times * len(chords)):
        chord = chords[number % len(chords)]
        start_s = number * chord_s
        pitches = [48 + tonic + chord[0] % 12, *(60 + tonic + pitch for pitch in chord)]
        notes += [Note(start_s, start_s + 0.9 * chord_s, pitch, 80) for pitch in pitches]
    return notes


def played(notes: Sequence[Note], instrument: str = "piano") -> np.ndarray:
    """Notes at the rate of the targets."""
    return render(list(notes), instrument=instrument, sample_rate_hz=SAMPLE_RATE_HZ)


def heard_key(samples: np.ndarray) -> dict[str, TargetValue]:
    """Only the key."""
    stream = MomentStream()
    stream.add(samples.astype(np.float32))
    moments = stream.finish()
    return key.measure(harmony.chroma_of(moments), np.ones(len(moments.cepstra), dtype=bool))


def harmonics(pitch_hz: np.ndarray, n: int = 20) -> np.ndarray:
    """A tone with overtones, its pitch one value per sample."""
    phase = 2 * np.pi * np.cumsum(pitch_hz) / SAMPLE_RATE_HZ
    return 0.1 * sum(np.sin(k * phase) / k for k in range(1, n + 1))


def sounding(duration_s: float) -> Loudness:
    """The loudness of something that sounds all the time."""
    return Loudness(np.full(round(10 * duration_s), 0.01))


# --- the registry -----------------------------------------------------------------------------------------


def test_the_features_are_companions_and_change_no_aspect_and_no_nuisance() -> None:
    """Ten features; what is new is measured and stored, not probed, and low in trust."""
    assert len(FEATURES) == len(set(FEATURES)) == 10 and set(FEATURES) <= TARGETS.keys()
    for id in NEW:
        assert TARGETS[id].is_companion and TARGETS[id].tier == "low" and TARGETS[id].levels == ("track",)
    assert len(probed_targets("track")) == 22
    assert not set(NEW) & {target for targets in ASPECTS.values() for target in targets}
    assert NUISANCES == ("duration_s", "loudness_lufs", "onset_rate", "mean_pitch")


def test_an_index_is_called_one() -> None:
    """Nobody takes it for a measurement."""
    for id in character.INDICES:
        assert TARGETS[id].summary.startswith("Heuristic index: ") and TARGETS[id].unit == "0..1"


def test_no_line_is_fitted_to_a_circle() -> None:
    """B is next to C: a tonic has no place on the scale of probes."""
    tonics = np.arange(12.0)
    assert TARGETS["key_pitch_class"].transform == CIRCLE
    assert np.isnan(probe_scale(tonics, "key_pitch_class")).all()
    assert np.isnan(transform(tonics, CIRCLE)).all() and tonics[3] == 3


# --- the key ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tonic", range(12))
@pytest.mark.parametrize(("chords", "mode"), [(MAJOR_CADENCE, 1.0), (MINOR_CADENCE, 0.0)], ids=["major", "minor"])
def test_a_cadence_has_its_key(tonic: int, chords: Sequence[Sequence[int]], mode: float) -> None:
    """24 of 24, and clear."""
    found = heard_key(played(cadences(tonic, chords)))
    assert (found["key_pitch_class"].value, found["mode"].value) == (tonic, mode)
    assert {value.quality for value in found.values()} == {"good"}
    assert (found["mode_clarity"].value > 0.05) == (mode == 1)
    assert abs(found["mode_clarity"].value) > 0.05


@pytest.mark.parametrize("steps", range(12))
def test_likeness_turns_with_the_pitch_classes(steps: int) -> None:
    """Transposed, the same likeness to the key so many semitones higher."""
    chroma = np.random.default_rng(0).dirichlet(np.ones(12))
    turned = key.likenesses(np.roll(chroma, steps))
    np.testing.assert_allclose(turned, np.roll(key.likenesses(chroma), steps, axis=1), atol=1e-12)


def test_likeness_is_a_correlation() -> None:
    """As NumPy says, whatever the sum of the pitch classes."""
    chroma = np.random.default_rng(1).dirichlet(np.ones(12))
    expected = np.corrcoef(chroma, np.roll(key.MINOR, 9))[0, 1]
    assert key.likenesses(chroma)[0, 9] == pytest.approx(expected) == key.likenesses(7 * chroma)[0, 9]


def test_a_profile_is_its_own_key() -> None:
    """What has exactly the pitch classes of a key is in it, with a confidence above 0."""
    for mode, profile in ((0.0, key.MINOR), (1.0, key.MAJOR)):
        found = key.measure(np.tile(np.roll(profile, 3) / profile.sum(), (20, 1)), np.ones(20, dtype=bool))
        assert (found["key_pitch_class"].value, found["mode"].value) == (3.0, mode)


def test_between_two_keys_the_key_is_weak_and_the_other_is_named() -> None:
    """Half of C major, half of its dominant: the reason says which."""
    between = (key.MAJOR + np.roll(key.MAJOR, 7)) / 2
    found = key.measure(np.tile(between, (20, 1)), np.ones(20, dtype=bool))["key_pitch_class"]
    assert found.quality == "weak"
    assert ("G major" if found.value == 0 else "C major") in found.reason


def test_the_opening_counts_as_much_as_the_whole() -> None:
    """Twenty seconds in D and forty in its dominant are in D."""
    chroma = np.concatenate([np.tile(np.roll(key.MAJOR, 2), (40, 1)), np.tile(np.roll(key.MAJOR, 9), (60, 1))])
    found = key.measure(chroma, np.ones(100, dtype=bool))
    assert key.key_in_words(found["key_pitch_class"].value, found["mode"].value) == "D major"


def test_what_has_no_key_says_so() -> None:
    """Too short, or all pitch classes alike."""
    short = key.measure(np.tile(key.MAJOR, (9, 1)), np.ones(9, dtype=bool))
    even = key.measure(np.full((20, 12), 1 / 12), np.ones(20, dtype=bool))
    for found in (short, even):
        assert {value.quality for value in found.values()} == {"none"}
        assert all(value.reason and math.isnan(value.value) for value in found.values())


def test_keys_have_24_names() -> None:
    """Each its own, as musicians write it."""
    names = [key.key_in_words(tonic, mode) for tonic in range(12) for mode in (0, 1)]
    assert len(set(names)) == 24
    assert {"C-sharp minor", "D-flat major", "E-flat minor", "B-flat major", "F-sharp minor"} <= set(names)


@pytest.mark.parametrize(
    ("tonic", "mode", "said"),
    [
        (TargetValue.good(3, 9), TargetValue.good(0, 9), "E-flat minor"),
        (TargetValue.weak(9, 9, "or D major"), TargetValue.weak(1, 9, "or D major"), "perhaps A major"),
        (TargetValue.none("too short"), TargetValue.none("too short"), ""),
    ],
)
def test_a_key_is_said_with_its_doubt(tonic: TargetValue, mode: TargetValue, said: str) -> None:
    """As the page says it; nothing of a recording without one, or that was not measured."""
    measured = {"t": {"key_pitch_class": tonic, "mode": mode}, "new": {}}
    workspace = cast(Workspace, SimpleNamespace(measurements=SimpleNamespace(of_track=measured.__getitem__)))
    assert key_of(workspace, "t") == said and key_of(workspace, "new") == ""


# --- danceability -----------------------------------------------------------------------------------------


def lone_window(walk: np.ndarray, n: int) -> float:
    """The definition, window by window, with NumPy's own line."""
    x, left, counted = np.arange(n), 0.0, 0
    for start in range(0, len(walk) - n + 1, max(n // danceability.JUMPS, 1)):
        y = walk[start : start + n]
        left += ((y - np.polyval(np.polyfit(x, y, 1), x)) ** 2).sum()
        counted += n
    return math.sqrt(left / counted)


def test_fluctuation_is_what_a_line_leaves() -> None:
    """The running sums give what fitting every window gives, across the seams of the batches too."""
    walk = np.cumsum(np.random.default_rng(0).standard_normal(danceability.BATCH_STEPS + 1500))
    fast, lengths = danceability.fluctuations(walk), danceability.window_steps()
    for place in (0, 12, 24, len(lengths) - 1):
        assert fast[place] == pytest.approx(lone_window(walk, int(lengths[place])), rel=1e-9)


def test_windows_are_those_of_the_paper() -> None:
    """From 310 to 8800 ms, each a tenth longer, in steps of 10 ms."""
    lengths = danceability.window_steps()
    assert lengths[0] == 31 and 800 <= lengths[-1] <= 880 and len(lengths) == 36
    assert (np.diff(lengths) > 0).all()


@pytest.mark.parametrize("seed", range(3))
def test_known_exponents(seed: int) -> None:
    """White noise 0.5, a random walk 1.5."""
    noise = np.random.default_rng(seed).standard_normal(60_000)
    walk = np.cumsum(noise)
    assert danceability.exponents(noise - noise.min() + 1).mean() == pytest.approx(0.5, abs=0.05)
    assert danceability.exponents(walk - walk.min() + 1).mean() == pytest.approx(1.5, abs=0.08)


@pytest.mark.parametrize("gain", [1e-4, 0.3, 1e4])
def test_exponents_know_no_gain(gain: float) -> None:
    """A factor is none of the slope."""
    deviations = np.abs(np.random.default_rng(0).standard_normal(5000)) + 0.1
    expected = danceability.exponents(deviations)
    np.testing.assert_allclose(danceability.exponents(gain * deviations), expected, rtol=1e-6)


def test_a_strict_beat_is_more_danceable_than_one_that_wanders() -> None:
    """The same strokes, their loudness wandering or not."""
    t, rng = time_s(40), np.random.default_rng(0)
    strokes = np.exp(-12 * (t % 0.5)) * rng.standard_normal(len(t))
    wandering = np.interp(t, np.arange(41), np.exp(0.5 * np.cumsum(rng.standard_normal(41))))
    strict, loose = (
        danceability.measure(hear(0.05 * signal).deviations, sounding(40))["danceability"].value
        for signal in (strokes, strokes * wandering / wandering.max())
    )
    assert strict > 1.5 * loose > 0


def test_danceability_needs_time_and_change() -> None:
    """Short, or a loudness that never changes: none, with the reason."""
    for deviations, loudness in ((np.ones(1500), sounding(15)), (np.ones(4000), sounding(40))):
        found = danceability.measure(deviations, loudness)["danceability"]
        assert found.quality == "none" and found.reason


# --- the voice --------------------------------------------------------------------------------------------


def test_glides_are_found_and_held_notes_are_none() -> None:
    """A siren of 300 cents a second, either way, glides all the time; a held tone and its repetitions never do."""
    t = time_s(6)
    siren = harmonics(220 * 2 ** (12 * np.abs((t % 2) - 1) / 12))  # 1200 cents a second
    held = harmonics(np.full(len(t), 220.0))
    steps = harmonics(220 * 2 ** ((np.floor(t * 2) % 5) / 12))
    shares = [hear(samples).glides.sounding_share(sounding(6))[0] for samples in (siren, held, steps)]
    assert shares[0] > 0.6 and shares[1] == 0 and shares[2] < 0.05


def test_a_violins_vibrato_is_no_glide() -> None:
    """15 cents either way, six times a second."""
    t = time_s(6)
    vibrato = harmonics(440 * 2 ** (15 / 1200 * np.sin(2 * np.pi * 6 * t)))
    assert hear(vibrato).glides.sounding_share(sounding(6))[0] < 0.05


def test_blocks_do_not_change_the_glides() -> None:
    """Frames are paired across blocks."""
    samples = harmonics(220 * 2 ** (np.sin(2 * np.pi * 0.5 * time_s(5)))).astype(np.float32)
    whole, parts = listen([samples]), listen(np.array_split(samples, 37))
    np.testing.assert_array_equal(whole.glides.shares, parts.glides.shares)
    np.testing.assert_allclose(whole.deviations, parts.deviations, rtol=1e-6)


def test_syllables_lie_at_four_hertz() -> None:
    """A level that moves at 4 Hz has more of them than one at 1 or 12 Hz; half of a square wave are pauses."""
    steps = np.arange(2000) * danceability.STEP_S
    of_rate = {rate: voice.syllables(1 + 0.5 * np.sin(2 * np.pi * rate * steps))[0] for rate in (1, 4, 12)}
    assert of_rate[4] > of_rate[1] + 3 and of_rate[4] > of_rate[12] + 3
    assert voice.syllables(np.where(steps % 0.5 < 0.25, 1.0, 0.01))[1] == pytest.approx(0.5, abs=0.03)
    assert np.isnan(voice.syllables(np.ones(150))).all()


def test_noise_is_noisy_and_tones_are_not() -> None:
    """White noise is flat, a tone far from it; treble is the share above 5 kHz."""
    flat, tone = np.ones((1, 4097), dtype=np.float32), np.full((1, 4097), 1e-4, dtype=np.float32)
    tone[0, 400] = 1.0  # 1077 Hz
    assert colour(flat)[0] == pytest.approx([0.0, 10 * math.log10((11_025 - 5000) / 11_025)], abs=0.01)
    assert colour(tone)[0, 0] < -40 and colour(tone)[0, 1] < -40
    np.testing.assert_allclose(colour(1e-3 * tone), colour(tone), atol=1e-3)


# --- the indices ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tune() -> list[Note]:
    """Half a minute in C major."""
    return cadences(0, MAJOR_CADENCE, times=8)


def test_louder_denser_and_brighter_is_more_energetic(tune: list[Note]) -> None:
    """Each alone."""
    samples = played(tune)
    plain = values_of(0.3 * samples)["energy"]
    quick = [replace(note, start_s=note.start_s / 3, end_s=note.end_s / 3) for note in [*tune, *_later(tune, 3)]]
    hiss = 0.01 * np.random.default_rng(0).standard_normal(len(samples))
    assert values_of(samples)["energy"] > plain + 0.02
    assert values_of(0.3 * played(quick))["energy"] > plain + 0.02
    assert values_of(0.3 * (samples + hiss * np.abs(samples)))["energy"] > plain


def _later(notes: Sequence[Note], times: int) -> list[Note]:
    end_s = max(note.end_s for note in notes)
    return [
        replace(note, start_s=note.start_s + n * end_s, end_s=note.end_s + n * end_s)
        for n in range(1, times)
        for note in notes
    ]


def test_valence_knows_mode_and_pace_and_no_transposition(tune: list[Note]) -> None:
    """Minor is lower, slow is lower; four semitones higher are the same."""
    quick = cadences(0, MAJOR_CADENCE, times=8, chord_s=0.3)
    plain = values_of(played(quick))
    higher = values_of(played([replace(note, pitch=note.pitch + 4) for note in quick]))
    minor = values_of(played(cadences(0, MINOR_CADENCE, times=8, chord_s=0.3)))
    slow = values_of(played(tune))
    assert (higher["mode"], higher["key_pitch_class"]) == (1, 4) and (plain["mode"], plain["key_pitch_class"]) == (1, 0)
    assert higher["valence"] == pytest.approx(plain["valence"], abs=0.08)
    assert minor["valence"] < plain["valence"] - 0.2 and slow["valence"] < plain["valence"] - 0.05


def test_an_index_is_its_formula() -> None:
    """Usual parts give one half; each part pulls where its sign says, and never by more than three deviations."""
    for parts in character.INDICES.values():
        scale = {part.id: character.REFERENCE[part.id] for part in parts}

        def of(moved: float, parts=parts, scale=scale, only: str = "") -> float:
            total = sum(part.sign * min(max(moved if only in ("", part.id) else 0, -3), 3) for part in parts)
            return 1 / (1 + math.exp(-character.STEEPNESS * total / len(parts)))

        values = {part.id: _unscaled(part.id, scale[part.id].mean) for part in parts}
        assert character.index(parts, values) == pytest.approx(0.5)
        for part in parts:
            usual = scale[part.id]
            more = values | {part.id: _unscaled(part.id, usual.mean + usual.sd)}
            assert character.index(parts, more) == pytest.approx(of(1.0, only=part.id), abs=1e-6)
            most = values | {part.id: _unscaled(part.id, usual.mean + 5 * usual.sd)}
            assert character.index(parts, most) == pytest.approx(of(3.0, only=part.id), abs=1e-6)


def _unscaled(part: str, value: float) -> float:
    if part in ("onset_density", "spectral_flux", "glides"):
        return math.exp(value)
    return 2.0**value if part == "spectral_centroid" else value


def test_a_part_without_a_value_leaves_none_and_a_weak_one_a_weak_index() -> None:
    """The reason is the part's."""
    good = {part: TargetValue.good(_unscaled(part, usual.mean), 9) for part, usual in character.REFERENCE.items()}
    assert {id: found.quality for id, found in character.measure(good).items()} == {
        id: "weak" if id in character.UNPROVEN else "good" for id in character.INDICES
    }
    unclear = character.measure(good | {"mode_clarity": TargetValue.weak(0.0, 9, "or E minor")})
    assert (unclear["valence"].quality, unclear["valence"].reason) == ("weak", "or E minor")
    lacking = character.measure(good | {"glides": TargetValue.none("too short")})
    assert {id for id, found in lacking.items() if found.quality == "none"} == {"instrumentalness", "speechiness"}
    assert lacking["instrumentalness"].reason == "too short"


# --- real recordings --------------------------------------------------------------------------------------

KEYS = {
    "macleod_sugar_plum_fairy.ogg": "E minor",
    "smd_Chopin_Op028-04_003_20100611-SMD.mp3": "E minor",
    "smd_faure_op15_smd126.flac": "C minor",
    "violin_garner_bwv1002_mov6.ogg": "B minor",
    "violin_colbentson_bwv1006_mov4.ogg": "E major",
    "violin_telmanyi_bwv1001.mp3": "G minor",
}
INSTRUMENTS = [
    "brahms_hungarian5_us_army_strings.ogg",
    "lena_orsa_pistachio_ragtime.ogg",
    "song_shearer_can_t_stop_it_instrumental.ogg",
    "uh_main_theme.ogg",
    *KEYS,
]
VOICES = [
    "song_fairy_bot_orchestra_heaven_can_t_wait.ogg",
    *(f"song_jonathan_coulton_{name}.ogg" for name in ("a_talk_with_george", "furry_old_lobster", "not_about_you")),
    "vocadito_1.flac",
    "vocadito_14.flac",
]


@pytest.fixture(scope="module")
def recordings() -> dict[str, dict[str, TargetValue]]:
    """What is measured of the first half minute of each."""
    if not REAL.is_dir():
        pytest.skip("the real recordings are not here")
    names = [*INSTRUMENTS, *VOICES, "librispeech_5703.ogg", "cc0_loop_garzul.flac"]
    return {name: measure_audio(Path(REAL / name), length_s=30.0) for name in names}


@pytest.mark.slow
def test_voices_are_told_from_instruments(recordings: dict[str, dict[str, TargetValue]]) -> None:
    """Songs and lone singers against instruments, a band without its singer among them; chance is one half."""
    names = [*INSTRUMENTS, *VOICES]
    values = np.array([recordings[name]["instrumentalness"].value for name in names])
    assert roc_auc(values, np.array([name in INSTRUMENTS for name in names])) > 0.9


def test_speech_is_like_speech(recordings: dict[str, dict[str, TargetValue]]) -> None:
    """More than any instrument, and never without a doubt."""
    spoken = recordings["librispeech_5703.ogg"]["speechiness"]
    assert spoken.quality == "weak" and "one recording" in spoken.reason
    assert all(recordings[name]["speechiness"].value < spoken.value for name in INSTRUMENTS)


def test_strings_and_keys_are_more_acoustic_than_bands_and_loops(
    recordings: dict[str, dict[str, TargetValue]],
) -> None:
    """By the sound between the tones."""
    acoustic = [recordings[name]["acousticness"].value for name in KEYS if not name.startswith("macleod")]
    electric = [
        recordings[name]["acousticness"].value
        for name in (*VOICES[:4], "song_shearer_can_t_stop_it_instrumental.ogg", "cc0_loop_garzul.flac")
    ]
    assert min(acoustic) > max(electric)


@pytest.mark.parametrize("name", KEYS)
def test_keys_that_titles_say(name: str, recordings: dict[str, dict[str, TargetValue]]) -> None:
    """Six real recordings."""
    measured = recordings[name]
    assert key.key_in_words(measured["key_pitch_class"].value, measured["mode"].value) == KEYS[name]


def test_a_passage_of_the_sound_keeps_its_streams_apart(tune: list[Note]) -> None:
    """The features of a part are those of the part heard alone, within what the frames allow."""
    samples = played([*tune, *_later(tune, 2)])
    part = measure(hear(samples).between(2.0, 32.0))
    alone = measure(hear(samples[2 * SAMPLE_RATE_HZ : 32 * SAMPLE_RATE_HZ]))
    for id in NEW:
        assert part[id].value == pytest.approx(alone[id].value, abs=0.06), id
    assert set(audio.measure(hear(samples).between(2.0, 7.0), level="segment")).isdisjoint(NEW)
