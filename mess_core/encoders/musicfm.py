"""MusicFM and MuQ: conformers over a log-mel spectrum, two of the strongest that learned from music alone.

    waveform (n_samples,)  at the level it was recorded
      -> 128 mel bands in dB every 10 ms, last frame dropped, standardised by two numbers   (128, n_mel_frames)
      -> two residual convolutions, each halving time and bands; projected        (n_frames, 1024)  layer 0
      -> 12 conformer blocks: half a feed-forward, attention with rotary          (n_frames, 1024)  layers 1 to 12
         positions, convolution over time, half a feed-forward; the last
         one after another LayerNorm

The two have one architecture and differ in what they had to guess: MusicFM a random code of the spectrum, MuQ a learned
one. The conformer is transformers' `Wav2Vec2ConformerEncoder`; what stands before it is written here, in a few lines.

Conventions
-----------
25 frames a second: 10 s are 250. Hidden states are (n, n_layers, n_frames, dim), and what is kept is their mean over
*frames*. The README of MusicFM takes the mean over the other axis, and a published comparison with it: that is a curve
over time, 250 numbers for 10 s, and no embedding.
Level is heard: a recording 20 dB down is another input. It is not normalised, for training did not either.
The front end rounds up: frames = ceil(ceil(floor(n_samples / 240) / 2) / 2).

Source
------
Won, Hung & Le 2023, "A Foundation Model for Music Informatics", code MIT; checkpoints minzwon/MusicFM.
Zhu et al. 2025, "MuQ: Self-Supervised Music Representation Learning with Mel Residual Vector Quantization", code MIT;
checkpoint OpenMuQ/MuQ-large-msd-iter. Mel bands as torchaudio makes them by default: HTK scale, triangles not scaled.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mess_core.encoders.base import EncoderEntry, EncoderInfo, WeightFile, random_twin
from mess_core.encoders.stock import (
    CONFIG_FILE,
    CONSENT,
    FETCH_AGAIN,
    NON_COMMERCIAL,
    StockEncoder,
    fill,
    read_config,
    read_tensors,
    require_keys,
    require_values,
    seeded,
)
from mess_core.encoders.weights import locate
from mess_core.errors import ArtefactMismatchError
from mess_core.storage.paths import Paths

if TYPE_CHECKING:
    import torch

SAMPLE_RATE_HZ = 24_000
FFT_SAMPLES = 2048  # 85 ms
MEL_HOP_SAMPLES = 240  # 10 ms
N_BANDS = 128
POWER_FLOOR = 1e-10  # -100 dB
TIME_FACTOR = 4  # mel frames to a frame

MUSICFM_FMA = EncoderInfo(
    id="musicfm-fma",
    title="MusicFM, of FMA",
    summary="Conformer of 12 blocks, learned from 8,000 hours of Creative Commons music: free of MERT's conditions.",
    source="minzwon/MusicFM",
    revision="4513b38bc25ad1d227b1980819b9691ba97f4d87",
    licence="MIT for the code, none named for the weights",
    files=(
        WeightFile("fma_stats.json", 2281, "5416e468018bae68c6231d4cbb2b11f0d11c04e6437881505ae427a3f8344904"),
        WeightFile(
            "pretrained_fma.pt", 1_316_802_154, "68392eee13d34c2941b3761934abb6b1e67b2e9df498695bda2ea5c1087d4b96"
        ),
    ),
    sample_rate_hz=SAMPLE_RATE_HZ,
    frame_rate_hz=SAMPLE_RATE_HZ / MEL_HOP_SAMPLES / TIME_FACTOR,
    n_layers=13,
    dim=1024,
    layer_0="log-mel through two residual convolutions, projected",
    normaliser="none: mel bands in dB, standardised by the mean and deviation published with the weights",
)
MUSICFM_MSD = dataclasses.replace(
    MUSICFM_FMA,
    id="musicfm-msd",
    title="MusicFM, of MSD",
    summary="The same conformer, learned from the Million Song Dataset; better than the other by its authors' word.",
    files=(
        WeightFile("msd_stats.json", 2277, "c36c61ab10ca4d2e7fdfefc3fcc15205316bec276a06a47baa3641a62c546f22"),
        WeightFile(
            "pretrained_msd.pt", 1_316_802_088, "218b483a0256ddef736267425fabb166fd97008983696bb9270def464b47bded"
        ),
    ),
)
MUQ = dataclasses.replace(
    MUSICFM_FMA,
    id="muq",
    title="MuQ",
    summary="MusicFM's architecture, better taught: far ahead of MERT at finding melodies in a published comparison.",
    source="OpenMuQ/MuQ-large-msd-iter",
    revision="0562a57814f6f8bbd9fdea0a25921a2fce1a841a",
    licence="CC BY-NC 4.0",
    files=(
        WeightFile(CONFIG_FILE, 3133, "237335ee27d8fb951ce778701a12a79e06c51ae636dd786f97e45f51ce532543"),
        WeightFile(
            "model.safetensors", 1_333_825_096, "273febab2be02872c37d2c37e48a9d6c52c1c9392f3eeeabd498efa281ccb7a6"
        ),
    ),
)

MUSICFM_NOTICE = (
    "The MusicFM weights are by Won, Hung & Le 2023 (ByteDance), given out with code under the MIT licence; none is "
    "named for the weights alone. Your audio stays on this machine."
)
MUQ_NOTICE = f"The MuQ weights are by Zhu et al. 2025 (Tencent AI Lab), {NON_COMMERCIAL}"


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Of a conformer with its front end; those of all three checkpoints by default.

    mean, std : dB, by which mel bands are standardised; those of the Million Song Dataset
    """

    conv_dim: int = 512
    dim: int = 1024
    n_blocks: int = 12
    n_heads: int = 16
    feed_forward: int = 4096
    kernel: int = 31
    mean: float = 6.768444971712967
    std: float = 18.417922652295623


# What a configuration must say of the conformer, in the words of `Wav2Vec2ConformerConfig`.
_MUST_BE: dict[str, Any] = {
    "hidden_act": "swish",
    "layer_norm_eps": 1e-5,
    "position_embeddings_type": "rotary",
    "rotary_embedding_base": 10_000,
}
# Tensors of a checkpoint that only training needed, or that are computed here.
_UNUSED = ("cls_token", "linear.", "preprocessor_", "quantizer_", "recon_proj.", "rvq.")
PREFIX = "model."


class MusicFm(StockEncoder):
    """MusicFM or MuQ. Made by `from_folder` (a checkpoint as published) or `random` (the untrained twin)."""

    @classmethod
    def from_folder(cls, path: Path, *, info: EncoderInfo, sizes: Sizes = Sizes(), device: str = "cpu") -> MusicFm:
        """Load a checkpoint folder as published; errors as `Mert.from_folder`.

        Parameters
        ----------
        info : EncoderInfo
            Its two files are the numbers to standardise by (or a configuration that has them), and the tensors.
        """
        numbers, tensors = (path / file.name for file in info.files)
        found = read_config(numbers)
        if numbers.name == CONFIG_FILE:
            _check_config(found, numbers, info, sizes)
            found = found["stat"]
        mean, std = (_number(found, f"melspec_{FFT_SAMPLES}_{what}", numbers) for what in ("mean", "std"))
        network = build_network(dataclasses.replace(sizes, mean=mean, std=std))
        within = "" if tensors.suffix == ".safetensors" else "state_dict"
        fill(network, _used(read_tensors(tensors, within), tensors), tensors)
        return cls(info, network, device)

    @classmethod
    def random(cls, info: EncoderInfo, seed: int = 0, *, sizes: Sizes = Sizes(), device: str = "cpu") -> MusicFm:
        """The untrained twin: the same architecture with seeded random weights, a control."""
        return cls(random_twin(info, seed), seeded(seed, lambda: build_network(sizes)), device)

    def _layers(self, waveforms: Any) -> list[Any]:
        layers: list[Any] = self._model(waveforms)
        return layers


def build_network(sizes: Sizes) -> torch.nn.Module:
    """The network with fresh weights; names are those of the checkpoints: conv.conv.{0,1}, conv.linear, conformer."""
    import torch
    import torch.nn.functional as F
    from torch import nn
    from transformers import Wav2Vec2ConformerConfig
    from transformers.models.wav2vec2_conformer.modeling_wav2vec2_conformer import Wav2Vec2ConformerEncoder

    class Residual(nn.Module):
        """Two convolutions over (band, time), and a third that brings the input to the same size."""

        def __init__(self, n_in: int, n_out: int) -> None:
            super().__init__()
            self.conv1, self.bn1 = nn.Conv2d(n_in, n_out, 3, stride=2, padding=1), nn.BatchNorm2d(n_out)
            self.conv2, self.bn2 = nn.Conv2d(n_out, n_out, 3, padding=1), nn.BatchNorm2d(n_out)
            self.conv3, self.bn3 = nn.Conv2d(n_in, n_out, 3, stride=2, padding=1), nn.BatchNorm2d(n_out)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            inner = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
            return F.relu(inner + self.bn3(self.conv3(x)))

    class Front(nn.Module):
        """Log-mel (n, 128, n_mel_frames) -> (n, n_frames, dim)."""

        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Sequential(Residual(1, sizes.conv_dim), Residual(sizes.conv_dim, sizes.conv_dim))
            self.linear = nn.Linear(sizes.conv_dim * N_BANDS // 4, sizes.dim)

        def forward(self, log_mel: torch.Tensor) -> torch.Tensor:
            x = self.conv(log_mel[:, None])  # (n, conv_dim, bands / 4, n_frames)
            answer: torch.Tensor = self.linear(x.permute(0, 3, 1, 2).flatten(2))
            return answer

    class Network(nn.Module):
        """Waveforms (n, n_samples) -> 13 hidden states (n, n_frames, dim)."""

        window: torch.Tensor
        filters: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            self.conv = Front()
            config_of_conformer: Any = Wav2Vec2ConformerConfig  # its keywords are made at run time
            config = config_of_conformer(
                hidden_size=sizes.dim,
                num_hidden_layers=sizes.n_blocks,
                num_attention_heads=sizes.n_heads,
                intermediate_size=sizes.feed_forward,
                conv_depthwise_kernel_size=sizes.kernel,
                attn_implementation="sdpa",
                **_MUST_BE,
            )
            self.conformer = Wav2Vec2ConformerEncoder(config)
            self.register_buffer("window", torch.hann_window(FFT_SAMPLES), persistent=False)
            self.register_buffer("filters", torch.from_numpy(_mel_filters()), persistent=False)

        def forward(self, waveforms: torch.Tensor) -> list[torch.Tensor]:
            with torch.autocast(waveforms.device.type, enabled=False):  # decibels want all their digits
                log_mel = self.log_mel(waveforms)
            x = self.conv(log_mel).float()
            positions = self.conformer.embed_positions(x)
            layers = [x]
            for block in self.conformer.layers:
                layers.append(block(layers[-1], relative_position_embeddings=positions).float())
            return [*layers[:-1], self.conformer.layer_norm(layers[-1])]

        def log_mel(self, waveforms: torch.Tensor) -> torch.Tensor:
            spectra = torch.stft(
                waveforms, FFT_SAMPLES, MEL_HOP_SAMPLES, window=self.window, center=True, return_complex=True
            )[..., :-1]  # (n, n_bins, n_mel_frames)
            power = self.filters.T @ (spectra.real.square() + spectra.imag.square())
            return (10 * power.clamp_min(POWER_FLOOR).log10() - sizes.mean) / sizes.std

    return Network()


def _mel_filters() -> Any:
    """Triangles on the HTK scale up to half the rate, not scaled: (n_bins, 128) float32."""
    from transformers.audio_utils import mel_filter_bank

    filters = mel_filter_bank(
        FFT_SAMPLES // 2 + 1, N_BANDS, 0.0, SAMPLE_RATE_HZ / 2, SAMPLE_RATE_HZ, norm=None, mel_scale="htk"
    )
    return filters.astype("float32")


def _check_config(config: Mapping[str, Any], file: Path, info: EncoderInfo, sizes: Sizes) -> None:
    """Refuse a configuration of another network than `build_network` makes."""
    of_front = {"hop_length": MEL_HOP_SAMPLES, "n_mels": N_BANDS, "label_rate": round(info.frame_rate_hz)}
    of_front |= {"conv_dim": sizes.conv_dim, "encoder_dim": sizes.dim, "encoder_depth": sizes.n_blocks}
    of_conformer = _MUST_BE | {
        "num_attention_heads": sizes.n_heads,
        "intermediate_size": sizes.feed_forward,
        "conv_depthwise_kernel_size": sizes.kernel,
    }
    require_keys(config, ("stat", "w2v2_config"), file)
    for found, expected in ((config, of_front), (config["w2v2_config"], of_conformer)):
        if not isinstance(found, Mapping):
            raise ArtefactMismatchError(f"{file} has w2v2_config = {found!r:.60}, expected an object.", FETCH_AGAIN)
        said = {key: value for key, value in expected.items() if key in found}  # what it leaves out is its library's
        require_values(found, said, file, info.id)


def _number(found: object, key: str, file: Path) -> float:
    value = found.get(key) if isinstance(found, Mapping) else None
    if not isinstance(value, int | float) or isinstance(value, bool) or (key.endswith("std") and value <= 0):
        raise ArtefactMismatchError(f"{file} has {key} = {value!r:.60}, expected a number of dB.", FETCH_AGAIN)
    return float(value)


def _used(tensors: Mapping[str, Any], file: Path) -> dict[str, Any]:
    """Tensors of the network by its own names; what only training needed is left out."""
    if not all(name.startswith(PREFIX) for name in tensors):
        raise ArtefactMismatchError(f"{file} holds tensors of another network: none is called {PREFIX}….", FETCH_AGAIN)
    named = {name.removeprefix(PREFIX): tensor for name, tensor in tensors.items()}
    return {name: tensor for name, tensor in named.items() if not name.startswith(_UNUSED)}


def _load(info: EncoderInfo, paths: Paths, device: str) -> MusicFm:
    return MusicFm.from_folder(locate(info, paths), info=info, device=device)


def _untrained(info: EncoderInfo, device: str) -> MusicFm:
    return MusicFm.random(info, device=device)


ENTRIES = (
    EncoderEntry(MUQ, _load, _untrained, MUQ_NOTICE, CONSENT),
    *(EncoderEntry(info, _load, _untrained, MUSICFM_NOTICE) for info in (MUSICFM_FMA, MUSICFM_MSD)),
)
