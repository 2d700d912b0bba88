"""Own encoders: a function from waveforms to hidden states, under a decorator that says what it is.

    @register_encoder("envelope", sample_rate_hz=16_000, n_layers=1, dim=2, licence="MIT")
    def envelope(waveforms):                                # (n, n_samples) float32
        frames = waveforms[:, : waveforms.shape[1] // 400 * 400].reshape(len(waveforms), -1, 400)
        numbers = np.stack([np.abs(frames).mean(-1), frames.std(-1)], -1)
        return numbers[:, None]                             # (n, n_layers, n_frames, dim)

From then on it is an encoder like any other, for as long as the process lives; in a file that `--plugin` or
MESS_PLUGINS names, for every process that is started so (`mess_core.plugins`). What it has embedded is kept by the
identity of the function (`identity.py`): a changed one never meets the vectors of what it was.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from mess_core import plugins
from mess_core.encoders.base import HEARD, Encoder, EncoderEntry, EncoderInfo, check_waveforms, random_twin
from mess_core.encoders.identity import identity_of
from mess_core.encoders.registry import GROUP, check_own
from mess_core.errors import ArtefactMismatchError, InputError

Hears = Callable[[np.ndarray], Any]  # (n, n_samples) -> (n, n_layers, n_frames, dim), of NumPy or torch
Function = TypeVar("Function", bound=Hears)
NO_TWIN = "There is no untrained twin of it."


def register_encoder(
    id: str,
    *,
    sample_rate_hz: int,
    n_layers: int,
    dim: int,
    licence: str,
    version: str = "",
    untrained: Hears | None = None,
    title: str = "",
    summary: str = "",
    source: str = "",
    frame_rate_hz: float = 0.0,
    layer_0: str = "as its author says",
    main: int | None = None,
    device: str = "cpu",
) -> Callable[[Function], Function]:
    """Make an encoder of a function.

    Parameters
    ----------
    id : str
        What it is called: small letters, digits, point, underscore, hyphen.
    sample_rate_hz : int
        Waveforms come at this rate, mono, 5 s each or what a shorter recording has, at least 1 s.
    n_layers, dim : int
        Of what it returns, (n, n_layers, n_frames, dim), for waveforms (n, n_samples).
    licence : str
        On whose terms what it makes may be used; exports carry it.
    version : str
        To be counted up when something changes that the function's source does not show: a file it reads, say.
    untrained : callable, optional
        The same network with random weights, the control for what training adds. Without it there is none, and its
        summary says so.
    title, summary, source, layer_0 : str
        For people; the summary is by default the first line of the function's docstring.
    frame_rate_hz : float
        Of its frames; 0 where they are no steady grid.
    main : int, optional
        The layer that stands for all where there is room for one; by default the middle one.
    device : str
        Where it computes, "cpu" or "cuda": batches are as large as suits that. It is the function that computes there.

    Raises
    ------
    InputError
        If the name is taken or cannot be one, a number cannot be, or what is decorated is no function.

    Returns
    -------
    callable
        The decorator; it returns the function as it was.
    """

    def decorate(function: Function) -> Function:
        first_line = (inspect.getdoc(function) or "").partition("\n")[0]
        told = summary or first_line or "An encoder of your own."
        revision = identity_of(function, version)
        twin_revision = "" if untrained is None else identity_of(untrained, version)
        info = EncoderInfo(
            id=id, title=title or id, summary=told if untrained else f"{told} {NO_TWIN}",
            source=source or f"{function.__module__}.{function.__qualname__}", revision=revision, licence=licence,
            files=(), sample_rate_hz=sample_rate_hz, frame_rate_hz=frame_rate_hz, n_layers=n_layers, dim=dim,
            layer_0=layer_0, normaliser=f"its own, {HEARD}", main=main,
        )  # fmt: skip
        entry = EncoderEntry(
            info,
            load=lambda info, paths, where: FunctionEncoder(info, function, device),
            untrained=None if untrained is None else lambda info, where: _twin(info, twin_revision, untrained, device),
            untrained_revision=twin_revision,
        )
        check_own(entry)
        plugins.register(GROUP, id, entry)
        setattr(function, plugins.ENTRY, entry)
        return function

    return decorate


class FunctionEncoder(Encoder):
    """A function as an encoder; what it returns is looked at every time."""

    def __init__(self, info: EncoderInfo, function: Hears, device: str = "cpu") -> None:
        self.info = info
        self.device = device
        self._function = function

    def encode(self, waveforms: np.ndarray) -> np.ndarray:
        """Hidden states of equal-length waveforms; see `Encoder.encode`.

        Raises
        ------
        ArtefactMismatchError
            If the function returns another shape than it was registered with, or what is no number.
        """
        waveforms = check_waveforms(waveforms, self.info)
        answer = self._function(waveforms)
        if hasattr(answer, "detach"):
            answer = answer.detach().cpu()
        try:
            hidden_states = np.asarray(answer, np.float32)
        except (TypeError, ValueError) as error:
            raise ArtefactMismatchError(
                f"{self.info.id} returned a {type(answer).__name__}, expected an array of numbers."
            ) from error
        n, n_layers, dim = len(waveforms), self.info.n_layers, self.info.dim
        shape = hidden_states.shape
        if len(shape) != 4 or shape[:2] != (n, n_layers) or shape[3] != dim or shape[2] < 1:
            raise ArtefactMismatchError(
                f"{self.info.id} returned {shape} of {n} waveforms, expected ({n}, {n_layers}, n_frames, {dim}): "
                "waveforms, layers, frames, numbers.",
                "Let the function return that, or register it with other n_layers and dim.",
            )
        if not np.isfinite(hidden_states).all():
            raise ArtefactMismatchError(f"{self.info.id} returned a NaN or infinity.", "See what it does with silence.")
        return hidden_states


def _twin(info: EncoderInfo, revision: str, untrained: Hears | None, device: str) -> Encoder:
    if untrained is None:
        raise InputError(f"There is no untrained twin of {info.id}.", "Register it with untrained=….")
    return FunctionEncoder(replace(random_twin(info, seed=0), revision=revision), untrained, device)
