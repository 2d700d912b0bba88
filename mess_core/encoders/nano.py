"""MESS-nano: our own small transformer over log-mel frames; the encoder that is simply there.

How it hears. A segment is scaled to one peak level, so recording gain does not matter; it becomes 128 log-mel bands
at 50 Hz, each standardised. Three small convolutions halve time and quarter the bands, a linear map and a
convolution over time (which tells a frame where its neighbours are) give layer 0 at 25 Hz; twelve pre-norm
transformer blocks follow, and layer i is the residual stream after block i.

    waveform (n, n_samples) -> log-mel (n, n_mel_frames, 128) -> stem (n, n_frames, 192) -> 13 x (n, n_frames, 192)

What it learned from. 20 hours of sound made from MIDI, each passage twice in other timbres. Layers 1 to 3 were asked
how it sounds, 4 to 8 who plays and how, 5 to 12 which notes. The weights are ours, CC BY 4.0, and lie beside this file;
docs/nano.md says what they can do and what not, training/ makes them again.

How fast. Where a processor has bfloat16 the network takes some four sevenths of the time in it, front end and residual
stream in float32; used where it is found to say the same (`embeddings.precision`).

Source: Slaney's mel scale as in librosa.filters.mel; pre-norm blocks as in Xiong et al. 2020.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from mess_core.encoders.base import (
    Encoder,
    EncoderEntry,
    EncoderInfo,
    Precision,
    WeightFile,
    check_waveforms,
    random_twin,
    verify_file,
)
from mess_core.encoders.mel import MEL_NORMALISER, N_BANDS, LogMel
from mess_core.encoders.stock import in_float32
from mess_core.storage.untrusted import MOST_TENSORS_BYTES, parse_safetensors, read_json, read_untrusted

if TYPE_CHECKING:
    import torch

_HERE = Path(__file__).parent
WEIGHTS, NORM = "nano.safetensors", "nano_norm.json"

FFT_SAMPLES = 2048  # 85 ms: the semitones of low voices lie closer together than half of it could tell apart
CHANNELS = 24
HEADS = 4

NANO = EncoderInfo(
    id="nano",
    title="MESS-nano",
    summary="Small transformer that comes with MESS: no download, many times faster than real time.",
    source="mess_core/encoders/nano.safetensors",
    revision="1",
    licence="CC BY 4.0",
    files=(
        WeightFile(WEIGHTS, 11_193_480, "215715c4fa3298318c69f9ab1d1b5e3c55a24513a7421b80f0264148ea8aa5fc"),
        WeightFile(NORM, 5_076, "121ca28911a747b124c4f99449ea12162ba940d8dcde79af37ebaedab4c954b8"),
    ),
    sample_rate_hz=24_000,
    frame_rate_hz=25.0,
    n_layers=13,
    dim=192,
    layer_0="log-mel through three convolutions, before the first transformer block",
    normaliser=f"{MEL_NORMALISER}, {FFT_SAMPLES} samples",
)


def build_network() -> torch.nn.Module:
    """The network with fresh weights. Names are those of the weight file: conv, inp, n0, pos, blocks.{0..11}."""
    import torch
    import torch.nn.functional as F
    from torch import nn

    dim = NANO.dim

    class Block(nn.Module):
        """Pre-norm transformer block."""

        def __init__(self) -> None:
            super().__init__()
            self.n1, self.n2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
            self.qkv, self.o = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
            self.f1, self.f2 = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            n, n_frames, _ = x.shape
            query, key, value = (
                self.qkv(self.n1(x)).view(n, n_frames, 3, HEADS, dim // HEADS).permute(2, 0, 3, 1, 4)
            )  # each (n, heads, n_frames, dim / heads)
            heard = F.scaled_dot_product_attention(query, key, value)
            x = x + self.o(heard.transpose(1, 2).reshape(n, n_frames, dim))
            return x + self.f2(F.gelu(self.f1(self.n2(x))))

    class Network(nn.Module):
        """Log-mel (n, n_mel_frames, 128) -> 13 hidden states (n, n_frames, 192)."""

        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Sequential(  # over (time, band)
                nn.Conv2d(1, CHANNELS, 3, padding=1),
                nn.GELU(),
                nn.Conv2d(CHANNELS, CHANNELS, 3, stride=2, padding=1),
                nn.GELU(),
                nn.Conv2d(CHANNELS, CHANNELS, (1, 5), stride=(1, 2), padding=(0, 2)),
                nn.GELU(),
            )
            self.inp = nn.Linear(CHANNELS * N_BANDS // 4, dim)
            self.n0 = nn.LayerNorm(dim)
            self.pos = nn.Conv1d(dim, dim, 31, padding=15, groups=12)
            self.blocks = nn.ModuleList(Block() for _ in range(NANO.n_layers - 1))

        def forward(self, log_mel: torch.Tensor) -> list[torch.Tensor]:
            x = self.conv(log_mel[:, None])  # (n, channels, n_frames, bands / 4)
            x = self.n0(self.inp(x.permute(0, 2, 1, 3).flatten(2)))
            x = x + F.gelu(self.pos(x.transpose(1, 2)).transpose(1, 2))
            hidden_states = [x]
            for block in self.blocks:
                hidden_states.append(block(hidden_states[-1]))
            return hidden_states

    network = Network()
    network.conv.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # the same numbers, faster
    return network.eval().requires_grad_(False)


class Nano(Encoder):
    """The embedded encoder.

    Parameters
    ----------
    info : EncoderInfo
    network : torch.nn.Module
        As made by `build_network`.
    folder : Path
        Where its `nano_norm.json` lies.
    device : str
        "cpu", "cuda" or "mps".
    """

    threads_at_once = 2
    precisions: ClassVar[tuple[Precision, ...]] = ("float32", "bfloat16")

    def __init__(self, info: EncoderInfo, network: torch.nn.Module, folder: Path, device: str = "cpu") -> None:
        norm = read_json(folder / NORM)
        self.info = info
        self.device = device
        self.log_mel = LogMel(np.asarray(norm["mean"]), np.asarray(norm["std"]), FFT_SAMPLES)
        self.network = network.to(device)
        positions: Any = self.network.pos
        positions.forward = partial(in_float32, positions.forward)

    @classmethod
    def load(cls, device: str = "cpu") -> Nano:
        """The weights that come with MESS."""
        return cls.from_folder(_HERE, info=NANO, device=device)

    @classmethod
    def from_folder(cls, folder: Path, *, info: EncoderInfo, device: str = "cpu") -> Nano:
        """The weights of a folder, verified against `info`; stored as float16, computed in float32.

        Raises
        ------
        DataMissingError, ArtefactMismatchError
            If a file is not there, or not what `info` says.
        """
        import torch

        for file in info.files:
            verify_file(folder / file.name, file)
        network = build_network()
        arrays = parse_safetensors(read_untrusted(folder / WEIGHTS, MOST_TENSORS_BYTES), WEIGHTS)
        state = {name: torch.from_numpy(array.astype(np.float32)) for name, array in arrays.items()}
        network.load_state_dict(state, strict=True)
        return cls(info, network, folder, device)

    @classmethod
    def random(cls, seed: int = 0, device: str = "cpu") -> Nano:
        """The untrained twin: the same architecture with seeded fresh weights, a control."""
        import torch

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cls(random_twin(NANO, seed), build_network(), _HERE, device)

    def encode(self, waveforms: np.ndarray) -> np.ndarray:
        import torch

        waveforms = check_waveforms(waveforms, self.info)
        kind, is_coarse = torch.device(self.device).type, self.precision == "bfloat16"
        with torch.inference_mode():
            log_mel = self.log_mel(torch.from_numpy(waveforms)).to(self.device)
            with torch.autocast(kind, torch.bfloat16, enabled=is_coarse):
                hidden_states = self.network(log_mel)
            return torch.stack(hidden_states, dim=1).cpu().numpy()


ENTRIES = (
    EncoderEntry(
        NANO,
        load=lambda info, paths, device: Nano.load(device),
        untrained=lambda info, device: Nano.random(device=device),
    ),
)
