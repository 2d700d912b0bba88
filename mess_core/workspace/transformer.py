"""Embed: an encoder as a transformer of scikit-learn, from paths to vectors.

make_pipeline(Embed("nano", layer=5), StandardScaler(), RidgeCV()).fit(paths, numbers)
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from mess_core.embeddings.arrays import layers_asked
from mess_core.embeddings.embedder import Embedder
from mess_core.encoders.base import EncoderInfo
from mess_core.encoders.registry import DEFAULT, encoder_info
from mess_core.errors import InputError
from mess_core.storage.paths import Paths

N_REMEMBERED = 4096  # 40 kB each of MERT-95M: what cross-validation hears again and again is heard once
_remembered: OrderedDict[tuple[str, str, int, int], np.ndarray] = OrderedDict()


class Embed(TransformerMixin, BaseEstimator):
    """The track embeddings of audio files, (n_files, n_numbers) float32; nothing is fitted.

    Parameters
    ----------
    encoder : str
        Its id.
    layer : int, sequence of int or None
        Which of its layers, one after the other; None is all.
    home : path or None
        The data folder, which knows imported encoders and where weights lie; None is the usual one.
    device : str or None
        "cpu", "cuda", "mps"; None is the fastest there is.
    """

    def __init__(
        self,
        encoder: str = DEFAULT,
        *,
        layer: int | Sequence[int] | None = None,
        home: str | os.PathLike[str] | None = None,
        device: str | None = None,
    ) -> None:
        self.encoder = encoder
        self.layer = layer
        self.home = home
        self.device = device

    def fit(self, X: Any, y: Any = None) -> Self:
        """Look at the parameters; errors as `Embedder`, and as `transform` for what are no paths."""
        _paths_of(X)
        layers_asked(self.layer, self._info())
        return self

    def transform(self, X: Any) -> np.ndarray:
        """The embeddings of files.

        Parameters
        ----------
        X : sequence of path, or array of shape (n_files,) or (n_files, 1)

        Returns
        -------
        ndarray, shape (n_files, n_numbers), float32

        Raises
        ------
        InputError
            If these are no paths.
        AudioError
            If a file is no audio.
        """
        info, paths = self._info(), _paths_of(X)
        layers, embedder = list(layers_asked(self.layer, info)), None
        rows = []
        for path in paths:
            key = _key(path, info)
            if key not in _remembered:
                embedder = embedder or Embedder(self.encoder, home=self.home, device=self.device)
                _remembered[key] = embedder.hear(path).embedding.mean
                while len(_remembered) > N_REMEMBERED:
                    _remembered.popitem(last=False)
            rows.append(_remembered[key][layers].ravel())
        return np.stack(rows)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """`nano5_0`, `nano5_1`, …: encoder, layer, number."""
        info = self._info()
        layers = layers_asked(self.layer, info)
        return np.array([f"{info.id}{layer}_{n}" for layer in layers for n in range(info.embedding_dim)], object)

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        return tags

    def _info(self) -> EncoderInfo:
        paths = Paths.default() if self.home is None else Paths(Path(self.home).expanduser().resolve())
        return encoder_info(self.encoder, paths)


def _key(path: Path, info: EncoderInfo) -> tuple[str, str, int, int]:
    """A file as it is now, heard by an encoder; one that is not there is said when it is heard."""
    facts = path.stat() if path.is_file() else None
    return (info.fingerprint, str(path), facts.st_mtime_ns if facts else 0, facts.st_size if facts else 0)


def _paths_of(X: Any) -> list[Path]:
    """InputError unless these are paths."""
    if isinstance(X, str | os.PathLike):
        raise InputError(f"{os.fspath(X)!r:.80} is one path, expected a sequence of them.", "Put it into a list.")
    found = np.asarray(X, dtype=object)
    if found.ndim == 2 and found.shape[1] == 1:
        found = found[:, 0]
    if found.ndim != 1 or not len(found):
        raise InputError(f"Paths of audio files are wanted, (n_files,), got an array of shape {found.shape}.")
    for each in found:
        if not isinstance(each, str | os.PathLike):
            raise InputError(f"Paths of audio files are wanted, got {each!r:.60} ({type(each).__name__}).")
    return [Path(each).expanduser().resolve() for each in found]
