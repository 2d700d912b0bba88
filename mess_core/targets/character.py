"""Heuristic indices from 0 to 1: energy, valence, acousticness, instrumentalness, speechiness.

    what was measured -> on its scale -> (value - mean) / deviation, of a fixed set of recordings -> mean -> logistic

No ratings of arousal and valence of whole recordings were at hand to fit weights to, so nothing is fitted: every part
counts the same, its sign is what the literature found, and the means and deviations are those of one named set of
recordings, whatever the library: a value is the same everywhere. An index of 0.5 is the middle of that set. These are
no other service's figures.

    python -m benchmarks.features --reference    # prints `REFERENCE`
    python -m benchmarks.features                # what each index can tell, with intervals and chance

What was found is in docs/statistics.md, "Track features"; where nothing there says that an index means anything, its
value is weak, with that as the reason. Energy follows the level of a recording, as listeners do; the others do not.

Source
------
Energy: loudness, density, brightness and change of the spectrum raise arousal (Gabrielsson and Lindstroem 2010; Eerola
2012). Valence: mode, then pace (Hevner 1935; Dalla Bella et al. 2001). Acousticness: little noise and little treble.
The voice: `mess_core/targets/voice.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mess_core.targets import voice
from mess_core.targets.base import TargetValue
from mess_core.targets.dynamics import Loudness
from mess_core.targets.rhythm import Flux
from mess_core.targets.voice import Glides

MIN_SOUND_S = 4.0
STEEPNESS = 2.5  # of the logistic: one deviation in every part is an index of .92
MOST_SD = 3.0  # no part counts more
LEAST_GLIDES, LEAST_DENSITY, LEAST_FLUX = 0.003, 0.1, 1e-4  # one frame in a hundred, in one band; before a logarithm


@dataclass(frozen=True)
class Ingredient:
    """One measurement's share in an index."""

    id: str  # a key of `REFERENCE`
    sign: int


@dataclass(frozen=True)
class Usual:
    """The set of recordings a part is compared with."""

    mean: float
    sd: float


# python -m benchmarks.features --reference: the 38 recordings of music of `real-audio`
REFERENCE = {
    "loudness_lufs": Usual(-19.84, 5.38),
    "onset_density": Usual(1.524, 0.392),
    "spectral_centroid": Usual(10.6, 0.652),
    "spectral_flux": Usual(-5.35, 0.605),
    "mode_clarity": Usual(0.01815, 0.191),
    "noisiness": Usual(-21.34, 11.3),
    "treble": Usual(-28.76, 11.7),
    "glides": Usual(-4.6, 1.2),
    "syllables": Usual(-4.425, 1.05),
    "pauses": Usual(0.1338, 0.11),
}
INDICES = {
    "energy": (
        Ingredient("loudness_lufs", 1),
        Ingredient("onset_density", 1),
        Ingredient("spectral_centroid", 1),
        Ingredient("spectral_flux", 1),
    ),  # a narrow range of loudness is said to add to it; ratings of piano knew nothing of that (rho .07)
    # No brightness: it moves with the register, and a transposed piece is neither sadder nor happier by that alone.
    "valence": (Ingredient("mode_clarity", 1), Ingredient("onset_density", 1)),
    "acousticness": (Ingredient("noisiness", -1), Ingredient("treble", -1)),
    "instrumentalness": (Ingredient("glides", -1),),
    # A voice that sings glides, too; it pauses and articulates less.
    "speechiness": (Ingredient("glides", 1), Ingredient("syllables", 1), Ingredient("pauses", 1)),
}
UNPROVEN = {
    "valence": "a rule of thumb: it was tried on ratings of three pieces of piano alone",
    "speechiness": "a rule of thumb: one recording of speech was at hand to try it on, and drums look alike",
}


def signs(
    flux: Flux, colours: np.ndarray, glides: Glides, deviations: np.ndarray, loudness: Loudness
) -> dict[str, TargetValue]:
    """What the indices need and no other target says; none of it is kept.

    Parameters
    ----------
    flux, glides, loudness : of the support
    colours : ndarray, shape (n_moments, 2)
        Noisiness and treble of the moments that sound, as `moments.colour`.
    deviations : ndarray, shape (n_steps,)
        As `danceability.DeviationStream` collects them.
    """
    names = ("spectral_flux", "noisiness", "treble", "glides", "syllables", "pauses")
    share, n_frames = glides.sounding_share(loudness)
    modulation, pauses = voice.syllables(deviations)
    if loudness.sounding_s < MIN_SOUND_S or not len(colours) or not n_frames or math.isnan(modulation):
        return dict.fromkeys(names, TargetValue.none(_too_short(loudness)))
    grown = flux.values[loudness.is_sounding_at(flux.shown_s)]
    noisiness, treble = np.median(colours, axis=0)
    return {
        "spectral_flux": TargetValue.good(grown.mean() if len(grown) else 0.0, len(grown)),
        "noisiness": TargetValue.good(noisiness, len(colours)),
        "treble": TargetValue.good(treble, len(colours)),
        "glides": TargetValue.good(share, n_frames),
        "syllables": TargetValue.good(modulation, n_frames),
        "pauses": TargetValue.good(pauses, n_frames),
    }


def scaled(part: str, value: float) -> float:
    """A measurement on the scale on which it is compared."""
    if part == "onset_density":
        return math.log(max(value, LEAST_DENSITY))
    if part == "spectral_centroid":
        return math.log2(value)
    if part == "spectral_flux":
        return math.log(max(value, LEAST_FLUX))
    if part == "glides":
        return math.log(max(value, LEAST_GLIDES))
    return value


def index(parts: tuple[Ingredient, ...], values: Mapping[str, float]) -> float:
    """One index, 0..1.

    Parameters
    ----------
    parts : of the index
    values : mapping of part to float, in its unit

    Examples
    --------
    >>> index((Ingredient("treble", -1),), {"treble": REFERENCE["treble"].mean})
    0.5
    """
    total = 0.0
    for part in parts:
        usual = REFERENCE[part.id]
        deviation = (scaled(part.id, values[part.id]) - usual.mean) / usual.sd
        total += part.sign * min(max(deviation, -MOST_SD), MOST_SD)
    return 1 / (1 + math.exp(-STEEPNESS * total / len(parts)))


def measure(values: Mapping[str, TargetValue]) -> dict[str, TargetValue]:
    """All indices, from what was measured; one has no value where a part has none, and is weak where a part is.

    Parameters
    ----------
    values : mapping of target to TargetValue
        Of this support, with `signs`.
    """
    found = {}
    for name, parts in INDICES.items():
        lacking = next((values[part.id] for part in parts if values[part.id].quality == "none"), None)
        if lacking is not None:
            found[name] = TargetValue.none(lacking.reason)
            continue
        value = index(parts, {part.id: values[part.id].value for part in parts})
        n_events = min(values[part.id].n_events for part in parts)
        doubts = [values[part.id].reason for part in parts if values[part.id].quality == "weak"]
        doubts += [UNPROVEN[name]] if name in UNPROVEN else []
        if doubts:
            found[name] = TargetValue.weak(value, n_events, doubts[0])
        else:
            found[name] = TargetValue.good(value, n_events)
    return found


def _too_short(loudness: Loudness) -> str:
    return f"{loudness.sounding_s:.1f} s of sound; an index needs {MIN_SOUND_S:g} s"
