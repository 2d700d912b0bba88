"""CLAP: the audio half of a network that learned which words go with which sound; 48 kHz, one vector for ten seconds.

    waveform (n_samples,)  cut into windows of exactly 10 s, the last one ending where the waveform ends
      -> 64 mel bands in dB every 10 ms                                                    (1001, 64)
      -> HTS-AT: the spectrum as a picture, four stages of attention in windows of it      (1024,)
      -> two linear maps, length 1: a point in the space that the words share              (512,)

Of the checkpoint only the audio half is read. In larger_clap_music the other one is known to be broken (all texts come
out alike), so words are not asked of it; for sounds it is what it was trained to be.

Conventions
-----------
One frame per window of 10 s, one layer: hidden states (n, 1, n_windows, 512), each of length 1.
The published feature extractor cuts a longer sound at random, so that no two answers are the same: here nothing longer
than a window ever reaches it. A shorter one it repeats as often as it fits, and fills up with silence, as in training.

Source
------
Wu et al. 2023, "Large-Scale Contrastive Language-Audio Pretraining with Feature Fusion and Keyword-to-Caption
Augmentation"; checkpoint laion/larger_clap_music. The network is transformers' `ClapAudioModelWithProjection`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mess_core.encoders.base import EncoderEntry, EncoderInfo, WeightFile, random_twin
from mess_core.encoders.stock import (
    CHECKPOINT_FILE,
    CONFIG_FILE,
    FETCH_AGAIN,
    PREPROCESSOR_FILE,
    StockEncoder,
    fill,
    read_config,
    read_tensors,
    require_values,
    seeded,
)
from mess_core.encoders.weights import locate
from mess_core.errors import ArtefactMismatchError
from mess_core.storage.paths import Paths

SAMPLE_RATE_HZ = 48_000
WINDOW_S = 10
WINDOW_SAMPLES = WINDOW_S * SAMPLE_RATE_HZ

CLAP_MUSIC = EncoderInfo(
    id="clap-music",
    title="CLAP, of music",
    summary="What goes with the same words: learned from music and its descriptions. One vector for ten seconds.",
    source="laion/larger_clap_music",
    revision="a0b4534a14f58e20944452dff00a22a06ce629d1",
    licence="Apache-2.0",
    files=(
        WeightFile(CONFIG_FILE, 628, "2d7722d338bb83ea8824272b1431f088954d3425d79eb3c2d39489478516dc03"),
        WeightFile(PREPROCESSOR_FILE, 541, "9739f58296aa6f9ac18008fd0150fb2649bc554985fbde86d0a4041c882ac753"),
        WeightFile(CHECKPOINT_FILE, 776_444_665, "5c289311f4a030d768af7ffbfdecd01b008aa64824211899a4e59f4f9d154fd1"),
    ),
    sample_rate_hz=SAMPLE_RATE_HZ,
    frame_rate_hz=1 / WINDOW_S,
    n_layers=1,
    dim=512,
    layer_0="the vector that is compared with words",
    normaliser="none: mel bands in dB; shorter than 10 s, repeated and filled up with silence; vectors of length 1",
    segment_s=float(WINDOW_S),
    hop_s=WINDOW_S / 2,
)
NOTICE = (
    "The CLAP weights are by Wu et al. 2023 (LAION), under the Apache License 2.0. Much of what they learned from was "
    "linked to on the web, under licences of its own. Your audio stays on this machine."
)

# The published configuration names what differs from the library's defaults of its time: those are written out here,
# so that another version cannot change them.
_ARCHITECTURE: dict[str, Any] = {
    "attention_probs_dropout_prob": 0.0,
    "depths": [2, 2, 12, 2],
    "enable_fusion": False,
    "enable_patch_layer_norm": True,
    "flatten_patch_embeds": True,
    "hidden_act": "gelu",
    "hidden_size": 1024,
    "layer_norm_eps": 1e-5,
    "mlp_ratio": 4.0,
    "num_attention_heads": [4, 8, 16, 32],
    "num_mel_bins": 64,
    "patch_embed_input_channels": 1,
    "patch_embeds_hidden_size": 128,
    "patch_size": 4,
    "patch_stride": [4, 4],
    "projection_dim": 512,
    "projection_hidden_act": "relu",
    "qkv_bias": True,
    "spec_size": 256,
    "window_size": 8,
}
# What may be another in another checkpoint of the same kind.
_SIZES = ("depths", "hidden_size", "num_attention_heads", "patch_embeds_hidden_size")
_OF_BOTH = ("projection_dim", "projection_hidden_act")  # said for both halves together
# Of the feature extractor. Mel bands on Slaney's scale go with "rand_trunc", on HTK's with "fusion".
_FEATURES: dict[str, Any] = {
    "feature_size": 64,
    "fft_window_size": 1024,
    "frequency_max": 14_000,
    "frequency_min": 50,
    "hop_length": 480,
    "max_length_s": WINDOW_S,
    "padding": "repeatpad",
    "sampling_rate": SAMPLE_RATE_HZ,
    "top_db": None,
    "truncation": "rand_trunc",
}
_AUDIO_HALF = ("audio_model.", "audio_projection.")


class Clap(StockEncoder):
    """The audio half of CLAP, through transformers' `ClapAudioModelWithProjection`."""

    def __init__(self, info: EncoderInfo, model: Any, device: str) -> None:
        from transformers import ClapFeatureExtractor

        super().__init__(info, model, device)
        self._features = ClapFeatureExtractor(**_FEATURES)

    @classmethod
    def from_folder(cls, path: Path, *, info: EncoderInfo = CLAP_MUSIC, device: str = "cpu") -> Clap:
        """Load a checkpoint folder as published; errors as `Mert.from_folder`."""
        file = path / CONFIG_FILE
        found = _ARCHITECTURE | _said(read_config(file), file, info)
        fixed = [key for key in _ARCHITECTURE if info.id == CLAP_MUSIC.id or key not in _SIZES]
        expected = {key: _ARCHITECTURE[key] for key in fixed} | {"projection_dim": info.dim}
        require_values(found, expected, file, info.id)
        of_features = read_config(path / PREPROCESSOR_FILE)
        require_values(_FEATURES | of_features, _FEATURES, path / PREPROCESSOR_FILE, info.id)
        model = _build({key: found[key] for key in _ARCHITECTURE})
        tensors = read_tensors(path / CHECKPOINT_FILE)
        of_audio = {name: tensor for name, tensor in tensors.items() if name.startswith(_AUDIO_HALF)}
        fill(model, of_audio, path / CHECKPOINT_FILE)
        return cls(info, model, device)

    @classmethod
    def random(cls, info: EncoderInfo = CLAP_MUSIC, seed: int = 0, *, device: str = "cpu") -> Clap:
        """The untrained twin: the same architecture with seeded random weights, a control."""
        return cls(random_twin(info, seed), seeded(seed, lambda: _build(_ARCHITECTURE)), device)

    def _layers(self, waveforms: Any) -> list[Any]:
        import torch

        windows = waveforms.cpu().numpy()[:, _windows(waveforms.shape[1])]  # (n, n_windows, at most WINDOW_SAMPLES)
        log_mel = np.stack([self._log_mel(window) for window in windows.reshape(-1, windows.shape[-1])])
        answer = self._model(input_features=torch.from_numpy(log_mel).to(waveforms.device)).audio_embeds.float()
        return [torch.nn.functional.normalize(answer, dim=-1).view(*windows.shape[:2], -1)]

    def _log_mel(self, window: np.ndarray) -> np.ndarray:
        """(1, 1001, 64) float32"""
        features = self._features(window, sampling_rate=SAMPLE_RATE_HZ, return_tensors="np")
        log_mel: np.ndarray = features["input_features"][0].astype(np.float32)
        return log_mel


def _windows(n_samples: int) -> np.ndarray:
    """Which samples each window has, (n_windows, at most WINDOW_SAMPLES); the last one ends where the waveform does."""
    length = min(n_samples, WINDOW_SAMPLES)
    n_windows = -(-n_samples // WINDOW_SAMPLES)
    starts = np.minimum(np.arange(n_windows) * WINDOW_SAMPLES, n_samples - length)
    samples: np.ndarray = starts[:, None] + np.arange(length)
    return samples


def _said(config: dict[str, Any], file: Path, info: EncoderInfo) -> dict[str, Any]:
    """What a configuration says of the audio half."""
    require_values(config, {"model_type": "clap"}, file, info.id)
    of_audio = config.get("audio_config")
    if not isinstance(of_audio, dict):
        raise ArtefactMismatchError(f"{file} has audio_config = {of_audio!r:.60}, expected an object.", FETCH_AGAIN)
    return of_audio | {key: config[key] for key in _OF_BOTH if key in config}


def _build(config: dict[str, Any]) -> Any:
    """A `ClapAudioModelWithProjection` of this architecture, with random weights."""
    from transformers import ClapAudioConfig, ClapAudioModelWithProjection

    config_of_audio: Any = ClapAudioConfig  # its keywords are made at run time
    return ClapAudioModelWithProjection(config_of_audio(**config))


def _load(info: EncoderInfo, paths: Paths, device: str) -> Clap:
    return Clap.from_folder(locate(info, paths), info=info, device=device)


def _untrained(info: EncoderInfo, device: str) -> Clap:
    return Clap.random(info, device=device)


ENTRIES = (EncoderEntry(CLAP_MUSIC, _load, _untrained, NOTICE),)
