"""Where a recording sounds, and how its channels become one, found while it streams past.

Silence is not music: what is below -80 dBFS in every channel before the first sound, after the last one, or for five
seconds and more between two, belongs to no span. A shorter silence does: a general pause, or the digital zeros between
two synthetic notes, is heard by an encoder together with the music around it, because a segment is five seconds long.
So the spans of a song that somebody padded are those of the song itself.

Channels become one as their mean. Where they cancel each other, so that the mean has lost more than 20 dB of their
power over the whole recording, those that run against the loudest are turned over first. Both are decided by the whole
recording, and neither by how it was cut into blocks.
"""

from __future__ import annotations

import numpy as np

from mess_core.config import MIN_DURATION_S, SHORT_S, SILENCE_PEAK

MIN_GAP_S = 5.0  # a segment: what is shorter is always heard together with music
EDGE_S = 0.1  # at the ends a silence so short stays: encoders of MP3 leave some, and it moves no segment
MOST_SHORT_SPANS = 64  # of a recording that has only such
MOST_LOSS_DB = 20.0  # 64 channels that have nothing in common lose 18

Span = tuple[int, int]  # first frame, and the one after the last


class Sounding:
    """The spans in which a recording sounds, and its peak.

    Parameters
    ----------
    rate_hz : int
        Of the frames.
    """

    def __init__(self, rate_hz: int) -> None:
        self.rate_hz = rate_hz
        self.peak = 0.0  # of any channel
        self.n_frames = 0
        self.is_over = False
        self._spans: list[Span] = []
        self._gap, self._edge = round(MIN_GAP_S * rate_hz), round(EDGE_S * rate_hz)

    def add(self, block: np.ndarray) -> None:
        """Take the next frames, shape (n, n_channels), finite."""
        peak = float(max(block.max(), -block.min()))
        self.peak = max(self.peak, peak)
        if peak >= SILENCE_PEAK:
            if len(block) < self._gap:
                first, last = _first_loud(block), len(block) - 1 - _first_loud(block[::-1])
                self._add_run(self.n_frames + first, self.n_frames + last + 1)
            else:  # silences may begin and end within
                loud = np.flatnonzero(_is_loud(block)) + self.n_frames
                breaks = np.flatnonzero(np.diff(loud) > self._gap)
                for first, last in zip(loud[[0, *(breaks + 1)]], loud[[*breaks, -1]], strict=True):
                    self._add_run(int(first), int(last) + 1)
        self.n_frames += len(block)

    def finish(self) -> None:
        """Say that there are no more frames."""
        self.is_over = True
        if self._spans and self.n_frames - self._spans[-1][1] < self._edge:
            self._spans[-1] = (self._spans[-1][0], self.n_frames)

    def spans(self) -> list[tuple[int, int, bool]]:
        """What is known: first frame, end, and whether the span is over; only the last one may not be."""
        is_last_over = self.is_over or (bool(self._spans) and self.n_frames - self._spans[-1][1] >= self._gap)
        last = len(self._spans) - 1
        return [(start, end, row < last or is_last_over) for row, (start, end) in enumerate(self._spans)]

    def kept(self) -> list[Span]:
        """The spans that are music, once it is over: a second and longer; where there is none, what is shorter."""
        long = [span for span in self._spans if self.is_long(*span)]
        return long or [span for span in self._spans if self.is_sound(*span)][:MOST_SHORT_SPANS]

    def kept_s(self) -> tuple[tuple[float, float], ...]:
        """The same in seconds."""
        return tuple((start / self.rate_hz, end / self.rate_hz) for start, end in self.kept())

    def is_long(self, start: int, end: int) -> bool:
        """Whether a span can stand for a recording, whatever else there is."""
        return end - start >= round(SHORT_S * self.rate_hz)

    def is_sound(self, start: int, end: int) -> bool:
        """Whether a span is more than a click."""
        return end - start >= round(MIN_DURATION_S * self.rate_hz)

    def _add_run(self, first: int, end: int) -> None:
        if self._spans and first - self._spans[-1][1] < self._gap:  # the run before goes on
            self._spans[-1] = (self._spans[-1][0], end)
        else:
            is_edge = not self._spans and first < self._edge
            self._spans.append((0 if is_edge else first, end))


class Channels:
    """Measures whether channels cancel each other.

    Parameters
    ----------
    n_channels : int
    """

    def __init__(self, n_channels: int) -> None:
        self._power = np.zeros((n_channels, n_channels))  # sums of products of each two

    def add(self, block: np.ndarray) -> None:
        """Take the next frames, shape (n, n_channels), finite."""
        n_channels = block.shape[1]
        if n_channels > 8:
            self._power += block.T @ block
        elif n_channels > 1:  # two columns at a time is five times as fast as the product of two narrow matrices
            for one in range(n_channels):
                for other in range(one, n_channels):
                    self._power[one, other] += np.dot(block[:, one], block[:, other])

    def signs(self) -> tuple[float, ...] | None:
        """What to multiply channels by before their mean, 1 or -1 each; None where the mean is right as it is."""
        n_channels = len(self._power)
        power = self._power if n_channels > 8 else np.triu(self._power) + np.triu(self._power, 1).T
        total, mean = np.trace(power) / n_channels, power.sum() / n_channels**2
        if n_channels == 1 or not np.isfinite(total) or mean >= total * 10 ** (-MOST_LOSS_DB / 10):
            return None
        loudest = int(np.diag(power).argmax())
        return tuple(-1.0 if product < 0 else 1.0 for product in power[loudest])


def mix_to_mono(block: np.ndarray, signs: tuple[float, ...] | None = None) -> np.ndarray:
    """Return the mean of the channels, shape (n, 1); column by column is ten times as fast as `mean(axis=1)`."""
    mono = block[:, 0].copy()
    if signs is not None:
        mono *= np.float32(signs[0])
    for channel in range(1, block.shape[1]):
        if signs is not None and signs[channel] < 0:
            mono -= block[:, channel]
        else:
            mono += block[:, channel]
    mono /= block.shape[1]
    return mono[:, np.newaxis]


def _is_loud(block: np.ndarray) -> np.ndarray:
    """Whether any channel is above silence, shape (n,)."""
    loud: np.ndarray = np.abs(block[:, 0]) >= SILENCE_PEAK
    for channel in range(1, block.shape[1]):
        loud |= np.abs(block[:, channel]) >= SILENCE_PEAK
    return loud


def _first_loud(block: np.ndarray) -> int:
    """The first frame above silence of a block that has one; nearly always one of the very first."""
    start, n_frames = 0, 64
    while not (loud := _is_loud(block[start : start + n_frames])).any():
        start += n_frames
        n_frames *= 8
    return start + int(loud.argmax())
