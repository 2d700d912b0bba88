"""Onsets and pulse, from the growth of the spectrum.

    blocks -> frames of 93 ms every 12 ms -> bands of a third of a semitone, compressed -> flux -> peaks = onsets
                                                                                    -> autocorrelation = tempo

Flux is the growth of each band over two frames, against the band and its two neighbours (SuperFlux), so that a
vibrato or a glide is not an onset. Levels are compressed relative to a running maximum: the gain does not matter.
The bands are as narrow as the frames allow, because a bowed or blown note is heard by its new pitch, not by its attack.

Figures (`python -m benchmarks.onsets`: works on which nothing was set, 30 s each; Spearman's rho of onset density with
the MIDI's chords per second, with an interval that counts works, and how many of the onsets are right, and of the
chords found, within 50 ms):

                                               n  works   rho   95 %          found/true   precision   recall
    rendered, struck and plucked strings      43     33   .99   [.98, 1.00]          .96         .99      .93
    rendered, all eight instruments           76     45   .96   [.91, .98]           .91         .98      .84
    the same by a SoundFont, struck           43     33   .99   [.98, 1.00]          .94         .99      .90
    the same by a SoundFont, all              76     45   .95   [.90, .97]           .96         .91      .85
    real pianos (SMD), passages of 20 s       31      2   .97   none: two works      .96         .99      .87

Bowed and blown notes that begin softly are missed, a quarter of them (recall of strings .70, of the clarinet .73).

Source
------
Boeck and Widmer 2013, "Maximum filter vibrato suppression for onset detection"; peak picking of Boeck, Krebs and
Schedl 2012, as in librosa. Tempo: autocorrelation with a log-normal prior (Ellis 2007; librosa.feature.tempo).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft
from scipy.ndimage import maximum_filter1d, uniform_filter1d

from mess_core.targets.base import TargetValue
from mess_core.targets.dynamics import Loudness
from mess_core.targets.frames import SAMPLE_RATE_HZ, Framer, hann, magnitudes, rows_within, triangles

WINDOW_SAMPLES = 2048  # 93 ms: with half of that the overtones of neighbouring keys share a band
HOP_SAMPLES = 256  # 12 ms
HOP_S = HOP_SAMPLES / SAMPLE_RATE_HZ
WINDOW_S = WINDOW_SAMPLES / SAMPLE_RATE_HZ
BANDS_PER_OCTAVE = 36  # ... but none narrower than a bin of the spectrum
LOW_HZ, HIGH_HZ = 60.0, 10_000.0
LAG_FRAMES = 2  # 23 ms
COMPRESSION = 100.0  # log10(1 + 100 x): what lies 40 dB below the running maximum is next to nothing
LEAST_GROWTH = 0.1  # of a band, in log10 units: by less the noise between notes grows and shrinks all the time
FADING_DB_PER_S = 3.0  # the running maximum falls this fast, so that soft passages are heard after loud ones ...
AHEAD_S = 1.0  # ... and knows what comes within this time, so that the noise before the first note is not music
AHEAD_FRAMES = round(AHEAD_S / HOP_S)
FLOOR_LEVEL = 1e-7  # -140 dBFS per band: the running maximum never falls below; only digital silence is there

PEAK_S = 0.03  # an onset is the largest flux within +-30 ms ...
MEAN_S = 0.07  # ... and above the mean within +-70 ms ...
MIN_DELTA = 0.0018  # ... by this much: what a bowed note among others adds ...
DELTA = 0.02  # ... and by this share of the largest flux within +-5 s: where notes are struck, less is a resonance
DELTA_SPAN_S = 10.0
# window, bands, lag, compression, growth, mean and deltas were set on one half of the works of `benchmarks/onsets.py`,
# with and without pink noise 20 and 30 dB below the music
ONSET_LAG_S = 0.056  # from the start of a frame to the onset its flux shows; set on rendered notes

MAX_SHIFT_S, SHIFT_SIGMA_S = 0.15, 0.01  # between a recording and its MIDI: MP3 coders alone add up to 0.07 s
SHIFTS_S = np.arange(-30, 31) * 0.005

MIN_TEMPO_S = 8.0  # librosa's autocorrelation window
ACF_HOP_S = 1.0
TEMPO_BPM = (30.0, 300.0)
PRIOR_BPM, PRIOR_OCTAVES = 120.0, 1.0
CLEAR_SALIENCE = 1.3  # below this ratio first and second tempo are as good as equal
MIN_TEMPO_ONSETS = 8


class FluxStream:
    """Collects the spectral flux."""

    def __init__(self) -> None:
        self._framer = Framer(WINDOW_SAMPLES, HOP_SAMPLES)
        self._window = hann(WINDOW_SAMPLES)
        self._bands = triangles(band_edges_hz(), WINDOW_SAMPLES)
        n_bands = self._bands.shape[1]
        self._waiting = np.zeros((0, n_bands), dtype=np.float32)  # levels of which it is not known what comes
        self._newest = np.zeros((0, n_bands), dtype=np.float32)  # the last frames, compressed
        self._maximum_db = -np.inf
        self._parts: list[np.ndarray] = []

    def add(self, block: np.ndarray) -> None:
        """Take the next samples, shape (n,)."""
        frames = self._framer.add(block)
        if len(frames):
            self._waiting = np.concatenate([self._waiting, magnitudes(frames, self._window) @ self._bands])
            self._compare(len(self._waiting) - AHEAD_FRAMES)

    def finish(self) -> Flux:
        """Return what was collected."""
        self._compare(len(self._waiting))
        return Flux(np.concatenate([np.zeros(LAG_FRAMES, dtype=np.float32), *self._parts]))

    def _compare(self, n_frames: int) -> None:
        """Reduce the first frames that wait to their flux."""
        if n_frames <= 0:
            return
        levels = self._waiting[:n_frames]
        maximum = self._running_maximum(self._waiting.max(axis=1), n_frames)
        self._waiting = self._waiting[n_frames:]
        compressed = np.log10(1 + COMPRESSION * levels / maximum[:, np.newaxis])
        compressed = np.concatenate([self._newest, compressed])
        self._newest = compressed[-LAG_FRAMES:]
        widened = maximum_filter1d(compressed, 3, axis=1)
        growth = compressed[LAG_FRAMES:] - widened[:-LAG_FRAMES]
        self._parts.append(np.maximum(growth - LEAST_GROWTH, 0).mean(axis=1))

    def _running_maximum(self, loudest: np.ndarray, n_frames: int) -> np.ndarray:
        """The loudest band up to `AHEAD_S` later, falling by `FADING_DB_PER_S`, shape (n_frames,).

        Parameters
        ----------
        loudest : ndarray, shape (n_waiting,), the loudest band of each frame that waits
        """
        following = np.pad(loudest, (0, AHEAD_FRAMES), mode="edge")
        loudest = np.lib.stride_tricks.sliding_window_view(following, AHEAD_FRAMES + 1)[:n_frames].max(axis=1)
        falling_db = FADING_DB_PER_S * HOP_S * np.arange(1, n_frames + 1)
        level_db = 20 * np.log10(np.maximum(loudest, FLOOR_LEVEL)) + falling_db
        maximum_db = np.maximum(np.maximum.accumulate(level_db), self._maximum_db) - falling_db
        self._maximum_db = float(maximum_db[-1])
        return np.maximum(10 ** (maximum_db / 20), FLOOR_LEVEL).astype(np.float32)


def band_edges_hz() -> np.ndarray:
    """Edges of `triangles`, a third of a semitone or a bin of the spectrum apart, shape (n_bands + 2,)."""
    bin_hz = SAMPLE_RATE_HZ / WINDOW_SAMPLES
    edges = [LOW_HZ]
    while edges[-1] < HIGH_HZ:
        edges.append(edges[-1] + max(edges[-1] * (2 ** (1 / BANDS_PER_OCTAVE) - 1), bin_hz))
    return np.array(edges)


@dataclass(frozen=True)
class Flux:
    """How much the spectrum grows, at 86 Hz."""

    values: np.ndarray  # (n_frames,), mean over the bands of the growth in log10 units
    start_s: float = 0.0  # when the first frame begins, from the start of the support

    @property
    def shown_s(self) -> np.ndarray:
        """When what each frame shows begins, shape (n_frames,), from the start of the support."""
        return self.start_s + np.arange(len(self.values)) * HOP_S + ONSET_LAG_S

    def heard(self, loudness: Loudness) -> Flux:
        """The same, 0 where there is no music: noise that is alone grows as much as notes do."""
        return Flux(np.where(loudness.is_sounding_at(self.shown_s + HOP_S), self.values, 0), self.start_s)

    def between(self, start_s: float, end_s: float) -> Flux:
        """The frames of the whole recording that lie entirely within a part of it, which is then the support."""
        rows = rows_within(len(self.values), HOP_S, WINDOW_S, start_s, end_s)
        return Flux(self.values[rows], rows.start * HOP_S - start_s)


def find_onsets(flux: Flux, loudness: Loudness) -> np.ndarray:
    """Onsets of notes and chords: peaks of the flux where there is music.

    Returns
    -------
    ndarray, shape (n_onsets,), seconds from the start of the support, increasing; accurate to about 10 ms
    """
    values = flux.heard(loudness).values
    if not len(values):
        return np.zeros(0)
    peak_frames, mean_frames = round(PEAK_S / HOP_S), round(MEAN_S / HOP_S)
    is_peak = values >= maximum_filter1d(values, 2 * peak_frames + 1, mode="constant")
    span_frames = round(DELTA_SPAN_S / HOP_S)
    delta = np.maximum(MIN_DELTA, DELTA * maximum_filter1d(values, span_frames, mode="nearest"))
    is_peak &= values >= uniform_filter1d(values, 2 * mean_frames + 1, mode="nearest") + delta
    rows = np.flatnonzero(is_peak)
    before, at, after = (np.pad(values, 1)[rows + step] for step in (0, 1, 2))
    shift = 0.5 * (before - after) / np.minimum(before - 2 * at + after, -1e-12)  # the top of the parabola
    return flux.shown_s[rows] + HOP_S * np.clip(shift, -0.5, 0.5)


def clock_shift_s(onsets_s: np.ndarray, found_s: np.ndarray) -> float:
    """How much later the audio's clock says the same than the MIDI's; a recording and its MIDI may differ by 0.1 s.

    Parameters
    ----------
    onsets_s : ndarray, shape (n_onsets,), of the MIDI, increasing
    found_s : ndarray, shape (n_found,), of the audio, increasing
    """
    if not len(onsets_s) or not len(found_s):
        return 0.0
    after = np.clip(np.searchsorted(found_s, onsets_s[:, np.newaxis]) + np.array([-1, 0]), 0, len(found_s) - 1)
    differences_s = (found_s[after] - onsets_s[:, np.newaxis]).ravel()
    near = differences_s[np.abs(differences_s) <= MAX_SHIFT_S]
    if not len(near):
        return 0.0
    # the fullest place: differences between unrelated neighbours lie everywhere, those of the shift in one
    crowd = np.exp(-0.5 * ((SHIFTS_S[:, np.newaxis] - near) / SHIFT_SIGMA_S) ** 2).sum(axis=1)
    return float(SHIFTS_S[np.argmax(crowd)])


# --- the targets ------------------------------------------------------------------------------------------


def measure(flux: Flux, onsets_s: np.ndarray, loudness: Loudness, duration_s: float) -> dict[str, TargetValue]:
    """All targets of this file; `onsets_s` as `find_onsets` returns them."""
    return {
        "onset_density": onset_density(onsets_s, loudness),
        "onset_rate": onset_rate(onsets_s, loudness, duration_s),
        **tempi(flux.heard(loudness), onsets_s),
    }


def onset_density(onsets_s: np.ndarray, loudness: Loudness) -> TargetValue:
    """Onsets per second of music [1/s]."""
    return _per_second(len(onsets_s), loudness.sounding_s, loudness)


def onset_rate(onsets_s: np.ndarray, loudness: Loudness, duration_s: float) -> TargetValue:
    """Onsets per second of recording [1/s]."""
    return _per_second(len(onsets_s), duration_s, loudness)


def tempi(flux: Flux, onsets_s: np.ndarray) -> dict[str, TargetValue]:
    """The two clearest pulses [BPM] and how much clearer the first is [ratio]."""
    names = ("tempo", "tempo_second", "tempo_salience")
    duration_s = len(flux.values) * HOP_S
    if duration_s < MIN_TEMPO_S:
        return dict.fromkeys(names, TargetValue.none(f"{duration_s:.1f} s long; a tempo needs {MIN_TEMPO_S:g} s"))
    if len(onsets_s) < MIN_TEMPO_ONSETS:
        reason = f"{len(onsets_s)} onsets; a tempo needs {MIN_TEMPO_ONSETS}"
        return dict.fromkeys(names, TargetValue.none(reason, len(onsets_s)))
    tempi_bpm, strengths = pulses(np.sqrt(flux.values))  # a beat counts as one, accented or not
    if len(tempi_bpm) == 0:
        return dict.fromkeys(names, TargetValue.none("nothing recurs regularly", len(onsets_s)))
    if len(tempi_bpm) == 1:
        alone = TargetValue.none("only one pulse recurs", len(onsets_s))
        return {"tempo": TargetValue.good(tempi_bpm[0], len(onsets_s)), "tempo_second": alone, "tempo_salience": alone}
    salience = strengths[0] / strengths[1]
    values = (tempi_bpm[0], tempi_bpm[1], salience)
    if salience < CLEAR_SALIENCE:
        reason = f"{tempi_bpm[1]:.0f} BPM is almost as clear (salience ratio {salience:.2f})"
        return {n: TargetValue.weak(v, len(onsets_s), reason) for n, v in zip(names, values, strict=True)}
    return {n: TargetValue.good(v, len(onsets_s)) for n, v in zip(names, values, strict=True)}


def pulses(flux_values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Tempi at which the flux recurs, the clearest first.

        strength(tau) = median over windows of ACF(tau) x log-normal prior(60 / tau; 120 BPM, 1 octave)

    Parameters
    ----------
    flux_values : ndarray, shape (n_frames,), at least `MIN_TEMPO_S` long

    Returns
    -------
    tempi_bpm, strengths : ndarrays, shape (n_pulses,)
        The local maxima of the strength.
    """
    acf = _median_acf(flux_values)
    lags = np.arange(1, len(acf) - 1)
    is_peak = (acf[lags] > acf[lags - 1]) & (acf[lags] >= acf[lags + 1]) & (acf[lags] > 0)
    lags = lags[is_peak]
    before, at, after = acf[lags - 1], acf[lags], acf[lags + 1]
    shift = 0.5 * (before - after) / (before - 2 * at + after)  # the top of the parabola through three values
    tempi_bpm = 60 / (HOP_S * (lags + shift))
    prior = np.exp(-0.5 * (np.log2(tempi_bpm / PRIOR_BPM) / PRIOR_OCTAVES) ** 2)
    strengths = at * prior
    is_allowed = (tempi_bpm >= TEMPO_BPM[0]) & (tempi_bpm <= TEMPO_BPM[1])
    order = np.argsort(-strengths[is_allowed], kind="stable")
    return tempi_bpm[is_allowed][order], strengths[is_allowed][order]


def _median_acf(flux_values: np.ndarray) -> np.ndarray:
    """Autocorrelation in windows of 8 s, 1 at lag 0, median over the windows; shape (n_lags,).

    Unlike librosa's, the mean is taken off before: otherwise even noise has a pedestal, and no two tempi ever differ.
    """
    n_window, hop = round(MIN_TEMPO_S / HOP_S), round(ACF_HOP_S / HOP_S)
    n_window = min(n_window, len(flux_values))
    n_lags = int(60 / TEMPO_BPM[0] / HOP_S) + 2
    windows = np.lib.stride_tricks.sliding_window_view(flux_values, n_window)[::hop]
    n_fft = fft.next_fast_len(n_window + n_lags, real=True)
    rows = []
    for window in windows:  # one by one: three hours of windows at once would not fit the cache
        power = np.abs(fft.rfft(window - window.mean(), n_fft)) ** 2
        acf = fft.irfft(power, n_fft)[:n_lags]
        if acf[0] > 0:
            rows.append(acf / acf[0] * (n_window / (n_window - np.arange(n_lags))))  # fewer products at long lags
    return np.median(rows, axis=0) if rows else np.zeros(n_lags)


def _per_second(n_onsets: int, seconds: float, loudness: Loudness) -> TargetValue:
    if loudness.sounding_s < 1.0:
        return TargetValue.none(f"{loudness.sounding_s:.1f} s of sound; a density needs 1 s", n_onsets)
    if n_onsets == 0:
        return TargetValue.weak(0.0, 0, "no onset was found: a held sound, or beginnings too soft to be seen")
    return TargetValue.good(n_onsets / seconds, n_onsets)
