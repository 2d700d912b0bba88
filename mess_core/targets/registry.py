"""Which proxy targets there are. A line added here appears in the measurements, the heatmap and the command line.

Those of another package appear by themselves once that is installed (`mess_core.plugins`). What each measures, and how
well, is said beside its formula.

Conventions
-----------
Tiers: high: agrees with an exact reference; medium: agrees with a reference that is itself an estimate, or mixes in
a second property; low: not reliable without a score, or no reference exists. A value's own quality may be lower still.
Titles are a listener's words: where one target alone stands for an aspect, the same as the aspect's. What the
literature calls it, if that is another word, is its `term`.
"""

from __future__ import annotations

import re

from mess_core import plugins
from mess_core.errors import InputError
from mess_core.targets.base import CIRCLE, TRANSFORMS, Target, TargetEntry

# One number per signal, stored with every value: it grows when any formula of that signal changes.
VERSIONS = {"audio": 4, "midi": 3}

GROUP = "mess.targets"
ID = re.compile(r"[a-z][a-z0-9_]{0,63}")
OWN = "own"  # the dimension of what is no target of ours
TRACK = ("track",)
BOTH = ("track", "segment")

TARGETS: dict[str, Target] = {
    target.id: target
    for target in (
        # --- audio --------------------------------------------------------------------------------------
        Target(
            "spectral_centroid", "Brightness", "Hz", "timbre", "audio", "high", "log2", BOTH,
            "Where the spectrum has its centre of gravity: brightness; on one instrument it also follows register.",
            words=("brighter", "darker"), term="spectral centroid",
        ),
        Target(
            "spectral_rolloff", "Overtones", "Hz", "timbre", "audio", "high", "log2", BOTH,
            "The frequency below which 85 % of the spectrum lies: how far up the overtones reach.",
            words=("more overtones", "fewer overtones"), term="spectral rolloff",
        ),
        Target(
            "spectral_bandwidth", "Width of sound", "Hz", "timbre", "audio", "high", "log2", BOTH,
            "How widely the spectrum spreads around its centroid: a narrow, warm sound or a wide one.",
            words=("wider in sound", "narrower in sound"), term="spectral bandwidth",
        ),
        Target(
            "zero_crossing_rate", "Roughness", "1/s", "timbre", "audio", "high", "log2", BOTH,
            "How often the waveform changes sign: high for noisy and bright sound, twice the pitch for a pure tone.",
            words=("rougher", "smoother"), term="zero crossing rate",
        ),
        Target(
            "tempo", "Tempo", "BPM", "rhythm", "audio", "low", "log2", TRACK,
            "The pulse that recurs most clearly; its double or half may be what a listener taps.",
            words=("faster", "slower"), term="estimated tempo",
        ),
        Target(
            "onset_density", "Rhythmic energy", "1/s", "rhythm", "audio", "medium", "log1p", BOTH,
            "Notes or chords that begin per second of sounding music; a quarter of bowed and blown ones goes unheard.",
            words=("busier", "calmer"), term="onset density",
        ),
        Target(
            "dynamic_range", "Dynamic range", "LU", "dynamics", "audio", "high", "id", TRACK,
            "Loudness range (EBU Tech 3342): from the soft passages to the loud ones, whatever the recording level.",
            words=("wider in dynamics", "flatter in dynamics"), term="loudness range",
        ),
        Target(
            "dynamic_variance", "Changes of loudness", "LU²", "dynamics", "audio", "high", "log1p", BOTH,
            "How much loudness varies from moment to moment.",
            words=("livelier in dynamics", "steadier in dynamics"), term="dynamic variance",
        ),
        Target(
            "crescendo_strength", "Crescendo", "LU/min", "dynamics", "audio", "medium", "log1p", TRACK,
            "How much loudness is gained in sustained rises, per minute of sounding music.",
            words=("rising more", "rising less"), term="crescendo strength",
        ),
        Target(
            "diminuendo_strength", "Diminuendo", "LU/min", "dynamics", "audio", "medium", "log1p", TRACK,
            "How much loudness is lost in sustained falls, per minute; the decay of struck strings adds to it.",
            words=("fading more", "fading less"), term="diminuendo strength",
        ),
        Target(
            "harmonic_complexity", "Harmonic richness", "0..1", "harmony", "audio", "medium", "logit", BOTH,
            "How far the sounding pitch classes spread around the circle of fifths: 0 for one, 1 for all alike.",
            words=("richer in harmony", "simpler in harmony"), term="harmonic complexity",
        ),
        Target(
            "attack_slopes", "Attack", "dB/s", "articulation", "audio", "medium", "log", BOTH,
            "How fast notes rise on average from near silence to their peak.",
            words=("sharper attacks", "softer attacks"), term="attack slope",
        ),
        Target(
            "attack_sharpness", "Hardness of attack", "dB/s", "articulation", "audio", "medium", "log", BOTH,
            "The steepest moment of the notes' beginnings.",
            words=("harder attacks", "gentler attacks"), term="attack sharpness",
        ),
        Target(
            "phrase_regularity", "Phrase regularity", "0..1", "form", "audio", "low", "logit", TRACK,
            "How alike the sections are in length: 1 if all are equally long.",
            words=("more regular", "less regular"),
        ),
        Target(
            "num_phrases", "Phrases per minute", "1/min", "form", "audio", "low", "log1p", TRACK,
            "How many sections, bounded by audible changes, there are per minute.",
            words=("shorter phrases", "longer phrases"),
        ),
        # --- MIDI ---------------------------------------------------------------------------------------
        Target(
            "rubato", "Rubato", "octaves", "expression", "midi", "low", "id", TRACK,
            "How far beats depart from the tempo around them; without a score an estimate of tempo flexibility.",
            words=("freer in tempo", "stricter in tempo"),
        ),
        Target(
            "tempo_variability", "Tempo variability", "ratio", "expression", "midi", "low", "id", TRACK,
            "Spread of the local tempo relative to its mean.",
            words=("freer in tempo", "steadier in tempo"),
        ),
        Target(
            "velocity_mean", "Touch", "MIDI 1..127", "dynamics", "midi", "high", "id", BOTH,
            "How hard keys are struck on average; instruments differ.",
            words=("louder in touch", "quieter in touch"), term="mean velocity",
        ),
        Target(
            "velocity_std", "Variety of touch", "MIDI 1..127", "expression", "midi", "high", "id", BOTH,
            "How much the touch varies from chord to chord.",
            words=("more varied in touch", "more even in touch"), term="velocity spread",
        ),
        Target(
            "velocity_range", "Range of touch", "MIDI 1..127", "expression", "midi", "high", "id", BOTH,
            "From soft keystrokes to hard ones, the extreme 5 % on either side left out.",
            words=("wider in touch", "narrower in touch"), term="velocity range",
        ),
        Target(
            "onset_timing_std", "Looseness of timing", "ms", "expression", "midi", "low", "log1p", TRACK,
            "How far notes fall from the tempo's grid; only a score says where the grid is.",
            words=("looser in timing", "tighter in timing"), term="onset timing spread",
        ),
        Target(
            "articulation_ratio", "Legato", "ratio", "articulation", "midi", "medium", "id", BOTH,
            "How long a key is held beyond the next note's beginning, in inter-onset intervals: above 0 is legato.",
            words=("more legato", "more detached"), term="key overlap ratio",
        ),
        # --- companions, audio --------------------------------------------------------------------------
        Target(
            "tempo_second", "Second tempo", "BPM", "rhythm", "audio", "low", "log2", TRACK,
            "The next clearest pulse: usually the double, half or third of the first.",
            is_companion=True,
        ),
        Target(
            "tempo_salience", "Tempo salience", "ratio", "rhythm", "audio", "low", "log", TRACK,
            "How much clearer the first tempo is than the second; below 1.3 the choice is arbitrary.",
            is_companion=True,
        ),
        Target(
            "brightness", "Energy above 1500 Hz", "0..1", "timbre", "audio", "high", "logit", BOTH,
            "Share of the energy above 1500 Hz.",
            is_companion=True,
        ),
        Target(
            "chroma_entropy", "Pitch-class entropy", "0..1", "harmony", "audio", "medium", "logit", BOTH,
            "How evenly the twelve pitch classes sound, whatever their relation.",
            is_companion=True,
        ),
        Target(
            "npvi", "Phrase length nPVI", "0..200", "form", "audio", "low", "log1p", TRACK,
            "How much neighbouring sections differ in length.",
            is_companion=True,
        ),
        Target(
            "log_attack_time", "Log attack time", "log10 s", "articulation", "audio", "medium", "id", BOTH,
            "How long a note takes from 20 % to 90 % of its peak amplitude.",
            is_companion=True,
        ),
        Target(
            "loudness_lufs", "Loudness", "LUFS", "dynamics", "audio", "high", "id", BOTH,
            "Integrated loudness of the mono mix; mostly the engineer's choice.",
            is_companion=True,
        ),
        Target(
            "duration_s", "Duration", "s", "form", "audio", "high", "log", TRACK,
            "Length of the recording.",
            is_companion=True,
        ),
        Target(
            "onset_rate", "Onset rate", "1/s", "rhythm", "audio", "medium", "log1p", BOTH,
            "How many notes or chords begin per second of recording, pauses included.",
            is_companion=True,
        ),
        # --- companions, track features -----------------------------------------------------------------
        Target(
            "key_pitch_class", "Tonic", "0..11", "harmony", "audio", "low", CIRCLE, TRACK,
            "The tonic of the key, as a pitch class: 0 is C, 1 C-sharp or D-flat, 11 is B.",
            is_companion=True,
        ),
        Target(
            "mode", "Mode", "1 major, 0 minor", "harmony", "audio", "low", "id", TRACK,
            "Whether the key is major or minor.",
            is_companion=True, words=("more major", "more minor"),
        ),
        Target(
            "mode_clarity", "Major rather than minor", "-1..1", "harmony", "audio", "low", "id", TRACK,
            "How much more like the best major key it is than like the best minor one; around 0 it may be either.",
            is_companion=True, words=("more major", "more minor"),
        ),
        Target(
            "key_confidence", "Clarity of key", "0..1", "harmony", "audio", "low", "id", TRACK,
            "How much more like its key it is than like the next; below 0.05 the key is as good as guessed.",
            is_companion=True, words=("clearer in key", "vaguer in key"),
        ),
        Target(
            "danceability", "Danceability", "0..3", "rhythm", "audio", "low", "id", TRACK,
            "How steadily loudness returns to itself (1 / the exponent of detrended fluctuation): high for a strict "
            "beat, low for what swells and pauses; nobody was asked about dancing.",
            is_companion=True, words=("more danceable", "less danceable"),
        ),
        Target(
            "energy", "Energy", "0..1", "dynamics", "audio", "low", "logit", TRACK,
            "Heuristic index: louder, denser, brighter and more changing than other recordings; it follows the level.",
            is_companion=True, words=("more energetic", "less energetic"),
        ),
        Target(
            "valence", "Valence", "0..1", "harmony", "audio", "low", "logit", TRACK,
            "Heuristic index: major and quick rather than minor and slow; a rule of thumb, not a mood.",
            is_companion=True, words=("more cheerful", "less cheerful"),
        ),
        Target(
            "acousticness", "Acousticness", "0..1", "timbre", "audio", "low", "logit", TRACK,
            "Heuristic index: little noise between the tones and little treble; a dull recording looks acoustic, too.",
            is_companion=True, words=("more acoustic", "more electric"),
        ),
        Target(
            "instrumentalness", "Instrumentalness", "0..1", "timbre", "audio", "low", "logit", TRACK,
            "Heuristic index: few partials that glide as those of a voice do; what else slides looks sung.",
            is_companion=True, words=("more instrumental", "more vocal"),
        ),
        Target(
            "speechiness", "Speechiness", "0..1", "timbre", "audio", "low", "logit", TRACK,
            "Heuristic index: gliding partials, syllables and pauses; a lone singer has much of it, too.",
            is_companion=True, words=("more like speech", "less like speech"),
        ),
        # --- companions, MIDI ---------------------------------------------------------------------------
        Target(
            "chord_asynchrony", "Chord asynchrony", "ms", "expression", "midi", "high", "log1p", BOTH,
            "How far apart the notes of one chord begin.",
            is_companion=True,
        ),
        Target(
            "melody_lead", "Melody lead", "ms", "expression", "midi", "medium", "id", BOTH,
            "How much earlier the top note of a chord begins than the others.",
            is_companion=True,
        ),
        Target(
            "pedal_ratio", "Time with the pedal down", "0..1", "articulation", "midi", "high", "logit", BOTH,
            "Share of the time during which the sustain pedal is down.",
            is_companion=True,
        ),
        Target(
            "legato_fraction", "Legato fraction", "0..1", "articulation", "midi", "medium", "logit", BOTH,
            "Share of the melody's notes that are held into the next.",
            is_companion=True,
        ),
        Target(
            "staccato_fraction", "Staccato fraction", "0..1", "articulation", "midi", "medium", "logit", BOTH,
            "Share of the melody's notes that end well before the next.",
            is_companion=True,
        ),
        Target(
            "note_density", "Note density", "1/s", "rhythm", "midi", "high", "log1p", BOTH,
            "How many notes, each of a chord counted, begin per second.",
            is_companion=True,
        ),
        Target(
            "mean_pitch", "Mean pitch", "MIDI note", "harmony", "midi", "high", "id", BOTH,
            "The register, as the mean of all notes.",
            is_companion=True,
        ),
    )
}  # fmt: skip

# The track features, for tables of what one recording is like.
FEATURES = (
    *("tempo", "key_pitch_class", "mode", "loudness_lufs", "energy", "danceability", "valence"),
    *("acousticness", "instrumentalness", "speechiness"),
)
# Those that are numbers: to be probed when asked for by name, and to colour by.
COMPARABLE = tuple(id for id in FEATURES if TARGETS[id].transform != CIRCLE)

# What must not be mistaken for musical content: probes are compared with these (science §2.5, B1).
NUISANCES = ("duration_s", "loudness_lufs", "onset_rate", "mean_pitch")


def _check(entry: TargetEntry, before: tuple[TargetEntry, ...]) -> None:
    """Refuse what takes the place of another target, or cannot be measured or probed."""
    target = entry.target
    if target.id in TARGETS or target.id in {other.target.id for other in before}:
        raise InputError(f"there is a target called {target.id!r} already")
    for name in (target.id, *entry.aspects):
        if not ID.fullmatch(name):
            raise InputError(f"nothing can be called {name!r}, expected a-z, 0-9 and _")
    if target.signal != "audio" or target.transform not in TRANSFORMS or target.levels not in (TRACK, BOTH):
        raise InputError("expected the signal audio, a known transform, and the levels track, or track and segment")


ADDED = plugins.added(GROUP, TargetEntry, _check)
TARGETS |= {entry.target.id: entry.target for entry in ADDED.entries}
VERSIONS |= {entry.target.id: entry.version for entry in ADDED.entries}


def target_problems() -> tuple[str, ...]:
    """A sentence for each target of another package that cannot be used."""
    return ADDED.problems


def added_aspects() -> dict[str, tuple[str, ...]]:
    """The aspects that other packages add, each with its targets."""
    aspects: dict[str, tuple[str, ...]] = {}
    for entry in ADDED.entries:
        for aspect in entry.aspects:
            aspects[aspect] = (*aspects.get(aspect, ()), entry.target.id)
    return aspects


def name_of(target: str) -> str:
    """A target within a sentence, as a listener calls it; a column of the user's own table is named as it is.

    Examples
    --------
    >>> name_of("spectral_centroid"), name_of("my Column")
    ('brightness', 'my Column')
    """
    known = target_of(target)
    return known.title if known.dimension == OWN else known.title[:1].lower() + known.title[1:]


def own_name(column: str) -> str:
    """A column of the user's own table among targets: never by the name of one that is measured here.

    Examples
    --------
    >>> own_name("my column"), own_name("energy")
    ('my column', 'energy (own)')
    """
    return f"{column} (own)" if column in TARGETS else column


def target_of(id: str) -> Target:
    """The target of that id; one that is not in the registry is a column of the user's own table, or a word."""
    what = "A column of your own table, or as what MusiCNN hears it."
    return TARGETS.get(id) or Target(id, id, "", OWN, "table", "high", "id", TRACK, what)
