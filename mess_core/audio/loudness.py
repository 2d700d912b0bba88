"""Integrated loudness, measured while a recording streams past.

Each channel goes through the K filter (a shelf for the head, a high-pass for the ear). Its energy is collected in
steps of 0.1 s; four steps make a gate block. Blocks that are neither near silence nor far below the rest are averaged.

Source
------
ITU-R BS.1770-4, annex 1; filter coefficients and rounding of pyloudnorm 0.2 (Steinmetz and Reiss 2021).
"""

from __future__ import annotations

import math

import numpy as np


class LoudnessMeter:
    """Integrated loudness of a programme, block by block (ITU-R BS.1770-4).

    Up to five channels are L, R, C, Ls, Rs as in pyloudnorm; six to eight follow the order of WAV, whose fourth is the
    low-frequency channel that does not count; more have no known places and weigh the same.
    """

    GATE_BLOCK_S = 0.4
    OVERLAP = 0.75
    ABSOLUTE_GATE_LUFS = -70.0
    RELATIVE_GATE_LU = -10.0
    OFFSET_LU = -0.691  # BS.1770-4, equation 4
    SURROUND_WEIGHT = 1.41

    def __init__(self, sample_rate_hz: int, n_channels: int) -> None:
        import pyloudnorm

        filters = pyloudnorm.Meter(sample_rate_hz)._filters.values()
        self.sample_rate_hz = sample_rate_hz
        self._sections = np.array([[*section.b, *section.a] for section in filters])
        self._state = np.zeros((len(self._sections), n_channels, 2))
        self._weights = self._channel_weights(n_channels)
        self._n_frames = 0
        self._step_energies = [0.0]  # weighted energy of each step of 0.1 s; the last one is still being filled

    def add(self, block: np.ndarray) -> None:
        """Take the next frames: ndarray, shape (n, n_channels), finite."""
        from scipy.signal import sosfilt

        channels = np.ascontiguousarray(block.T, dtype=np.float64)
        filtered, self._state = sosfilt(self._sections, channels, axis=1, zi=self._state)
        # in silence the state dies away into denormal numbers, which are many times slower to compute with
        self._state[np.abs(self._state) < 1e-30] = 0.0
        energy = self._weights @ np.square(filtered, out=filtered)

        done = 0
        while done < len(energy):
            step_end = self._step_start(len(self._step_energies)) - self._n_frames
            part = energy[done:step_end]
            self._step_energies[-1] += float(part.sum())
            done += len(part)
            if done == step_end:
                self._step_energies.append(0.0)
        self._n_frames += len(energy)

    def integrated_lufs(self) -> float | None:
        """Return the loudness so far; None for less than 0.4 s and where nothing passes the gate, as in silence."""
        if self._n_frames < self.GATE_BLOCK_S * self.sample_rate_hz:
            return None
        steps_per_block = round(1 / (1 - self.OVERLAP))
        duration_s = self._n_frames / self.sample_rate_hz
        # pyloudnorm rounds, so that a last block which lacks less than half a step still counts
        n_blocks = round((duration_s - self.GATE_BLOCK_S) / (self.GATE_BLOCK_S * (1 - self.OVERLAP))) + 1
        steps = np.zeros(n_blocks + steps_per_block - 1)
        n_filled = min(len(steps), len(self._step_energies))
        steps[:n_filled] = self._step_energies[:n_filled]
        energy = np.convolve(steps, np.ones(steps_per_block), mode="valid")  # (n_blocks,)
        power = energy / (self.GATE_BLOCK_S * self.sample_rate_hz)

        power = power[power >= self._power(self.ABSOLUTE_GATE_LUFS)]
        if not power.size:
            return None
        power = power[power > power.mean() * 10 ** (self.RELATIVE_GATE_LU / 10)]
        return self.OFFSET_LU + 10 * math.log10(power.mean())

    def _step_start(self, step: int) -> int:
        """First frame of a step, rounded as pyloudnorm does."""
        return int(self.GATE_BLOCK_S * (step * (1 - self.OVERLAP)) * self.sample_rate_hz)

    @classmethod
    def _power(cls, loudness_lufs: float) -> float:
        return 10 ** ((loudness_lufs - cls.OFFSET_LU) / 10)

    @classmethod
    def _channel_weights(cls, n_channels: int) -> np.ndarray:
        weights = np.ones(n_channels)
        if 4 <= n_channels <= 5:
            weights[3:] = cls.SURROUND_WEIGHT
        elif 6 <= n_channels <= 8:
            weights[3] = 0.0
            weights[4:] = cls.SURROUND_WEIGHT
        return weights
