"""An embedder: waveforms or a file in, hidden states or an embedding out. It keeps nothing and needs no library."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mess_core.embeddings.arrays import layers_asked
from mess_core.embeddings.device import check_batch_size, check_device
from mess_core.embeddings.extraction import (
    ExtractedTrack,
    FailedTrack,
    WantedTrack,
    choose_device,
    encode_in_halves,
    extract,
    use_all_cores,
)
from mess_core.embeddings.hear import as_waveforms, scene_embeddings, timestamp_embeddings
from mess_core.embeddings.hidden_states import read_raw
from mess_core.embeddings.store import TrackEmbedding
from mess_core.encoders.base import EncoderInfo
from mess_core.encoders.registry import DEFAULT, load_encoder
from mess_core.errors import InputError
from mess_core.storage.paths import Paths, path_named


class Embedder:
    """A loaded encoder.

    Parameters
    ----------
    encoder : str
        Its id; `mess_core.encoders.registry.encoder_ids()` lists them.
    device : "cpu", "cuda", "cuda:1", "mps" or None
        None is the fastest there is.
    batch_size : int or None
        Segments that are heard at a time; None is what suits the device.
    layers : sequence of int or None
        Which of its layers `get_scene_embeddings` and `get_timestamp_embeddings` tell; None is all.
    home : path or None
        The data folder, which knows imported encoders and where weights lie; None is the usual one.

    Raises
    ------
    InputError
        If there is no such encoder, or no such device here.
    DataMissingError
        If its weights are not here; the hint says how to get them.

    Examples
    --------
    >>> mel = Embedder("mel")
    >>> mel.embed(np.zeros((2, mel.info.segment_samples), np.float32)).shape[:2]  # two waveforms, one layer
    (2, 1)
    """

    def __init__(
        self,
        encoder: str = DEFAULT,
        *,
        device: str | None = None,
        batch_size: int | None = None,
        layers: int | Sequence[int] | None = None,
        home: str | os.PathLike[str] | None = None,
    ) -> None:
        paths = Paths(Path(home).expanduser().resolve()) if home is not None else Paths.default()
        use_all_cores()
        if batch_size is not None:
            check_batch_size(batch_size)
        self.batch_size = batch_size
        self._encoder = load_encoder(encoder, paths, check_device(device) if device else choose_device())
        self.layers = layers_asked(layers, self._encoder.info)

    @property
    def info(self) -> EncoderInfo:
        """Rate, segment, layers and dimension, with licence and source."""
        return self._encoder.info

    def embed(self, waveforms: np.ndarray) -> np.ndarray:
        """Hidden states of waveforms of one length.

        Parameters
        ----------
        waveforms : ndarray, shape (n, n_samples), float32
            Mono, at `info.sample_rate_hz`, a second at least.

        Returns
        -------
        ndarray, shape (n, n_layers, n_frames, dim), float32

        Raises
        ------
        InputError
            If they have another shape, are too short, or are no numbers.
        """
        heard = as_waveforms(waveforms)
        size = self.batch_size or len(heard)
        if heard.ndim != 2 or len(heard) <= size:
            return encode_in_halves(self._encoder, heard)
        parts = [encode_in_halves(self._encoder, heard[at : at + size]) for at in range(0, len(heard), size)]
        return np.concatenate(parts)

    @property
    def sample_rate(self) -> int:
        """In Hz: what HEAR asks a model for."""
        return self.info.sample_rate_hz

    @property
    def scene_embedding_size(self) -> int:
        return len(self.layers) * self.info.embedding_dim

    @property
    def timestamp_embedding_size(self) -> int:
        return len(self.layers) * self.info.dim

    def get_scene_embeddings(self, audio: Any) -> Any:
        """One embedding of each sound, as HEAR asks for it; see `hear.py`.

        Parameters
        ----------
        audio : tensor or ndarray, shape (n_sounds, n_samples)
            Mono, at `sample_rate`, all of one length; nothing is left out of it.

        Returns
        -------
        tensor or ndarray, shape (n_sounds, scene_embedding_size), float32
            The layers one after the other.

        Raises
        ------
        InputError
            If they have another shape, or are no numbers from -1 to 1.
        """
        return scene_embeddings(audio, self.embed, self.info, self.layers)

    def get_timestamp_embeddings(self, audio: Any) -> tuple[Any, Any]:
        """Embeddings through time of each sound, as HEAR asks for them; see `hear.py`.

        Returns
        -------
        tensor or ndarray, shape (n_sounds, n_timestamps, timestamp_embedding_size), float32
        tensor or ndarray, shape (n_sounds, n_timestamps), float32, ms
            The middle of each frame.
        """
        return timestamp_embeddings(audio, self.embed, self.info, self.layers)

    def embed_file(self, path: str | os.PathLike[str], *, raw: bool = False) -> TrackEmbedding | np.ndarray:
        """The embedding of an audio file of any format and length, as a library would keep it.

        Parameters
        ----------
        raw : bool
            The hidden states of all frames instead: 0.7 GB for four minutes of MERT-95M.

        Returns
        -------
        TrackEmbedding
            `segments` (n_segments, n_layers, dim), `starts_s`, `mean` and `std` (n_layers, dim).
        ndarray, shape (n_segments, n_layers, n_frames, dim), float16
            If `raw`. A segment shorter than the others has NaN for the frames that it lacks.

        Raises
        ------
        AudioError
            If it is no audio, or silent.
        """
        if not raw:
            return self.hear(path).embedding
        with tempfile.TemporaryDirectory(prefix="mess-") as folder:
            file = Path(folder) / "frames.safetensors"
            self.hear(path, raw=file)
            return read_raw(file)

    def hear(
        self, path: str | os.PathLike[str], track_id: str = "", title: str = "", raw: Path | None = None
    ) -> ExtractedTrack:
        """A file's embedding with what decoding found out; its frames go to the file `raw`, if one is named."""
        path = path_named(path)
        wanted = WantedTrack(track_id, title or path.name, path.expanduser(), raw)
        for event in extract([wanted], self._encoder, batch_size=self.batch_size):
            if isinstance(event, FailedTrack):
                raise event.error
            if isinstance(event, ExtractedTrack):
                return event
        raise InputError(f"{path} holds no audio.")
