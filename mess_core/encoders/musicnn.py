"""MusiCNN: a small tagger that learned from real music, by Pons and Serra (2019), in two trainings.

How it hears. Sound becomes 96 log-mel bands, 62.5 frames a second, and is cut into patches of 187 frames (3 s).
Timbral filters are 38 or 67 bands high and 7 frames long; each is slid over all pitches, and only its loudest answer
in a frame counts: a timbre, whatever note it plays. Temporal filters are one band high and 128, 64 or 32 frames long;
each is slid over all bands, and the loudest counts: a rhythm, wherever it sounds. Three convolutions over time follow,
the second and third added to what came before. The largest and the mean over the patch of all that was said so far
(pooled) become 200 numbers (penultimate), off which 50 tags are read.

    waveform (n, n_samples) -> log-mel (n, n_mel_frames, 96) -> patches (n, n_patches, 187, 96)
      -> front end (561, 187) -> three convolutions (64, 187) each -> pooled (1506,) -> penultimate (200,) -> tags (50,)

What is kept. A patch is one frame of the hidden states, and these are layers of different widths: front end and
convolutions by their mean over the patch's time, pooled and penultimate as they are. Tags are read off the last layer
of a patch alone (`Musicnn.tags`), so whoever has kept that needs no sound for them.

`musicnn-mtt` learned the tags of MagnaTagATune (instruments, voice), `musicnn-msd` those that people gave to songs of
the Million Song Dataset (genre, mood, era). The weights are those of the package musicnn 0.1.0 under the ISC licence,
and lie with it beside this file. The level of a recording counts: a quiet copy is heard as another sound.

Source: Pons & Serra, musicnn: pre-trained convolutional neural networks for music audio tagging (2019); Pons et al.,
End-to-end learning for music audio tagging at scale (2018). Differs in one thing: what the original rounds to half
precision it multiplies by 10 000 there, which overflows; here the rounding is the same and the product is not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mess_core.encoders.base import (
    HEARD,
    Encoder,
    EncoderEntry,
    EncoderInfo,
    WeightFile,
    check_waveforms,
    random_twin,
    verify_file,
)
from mess_core.encoders.mel import mel_filters
from mess_core.encoders.widths import with_padding
from mess_core.storage.untrusted import MOST_TENSORS_BYTES, parse_safetensors, read_json, read_untrusted

if TYPE_CHECKING:
    import torch

_HERE = Path(__file__).parent
TAGS = "musicnn-tags.json"

SAMPLE_RATE_HZ = 16_000
FFT_SAMPLES, MEL_HOP_SAMPLES = 512, 256  # 32 and 16 ms
N_BANDS = 96
PATCH_FRAMES = 187  # 3 s
LARGEST_HALF = 65_504.0  # of half precision

TIMBRAL_BANDS, TIMBRAL_FRAMES, N_TIMBRAL = (38, 67), 7, 204  # filters of each height
TEMPORAL_FRAMES, N_TEMPORAL = (128, 64, 32), 51  # filters of each length
N_FRONT = len(TIMBRAL_BANDS) * N_TIMBRAL + len(TEMPORAL_FRAMES) * N_TEMPORAL
N_CONVOLUTIONS, CONVOLUTION_FRAMES, N_CHANNELS = 3, 7, 64
MARGIN = 3  # frames to either side that filters of 7 frames look at
N_POOLED = 2 * (N_FRONT + N_CONVOLUTIONS * N_CHANNELS)
N_PENULTIMATE, N_TAGS = 200, 50
EPSILON = 1e-3  # of batch normalisation
WIDTHS = (N_FRONT, *N_CONVOLUTIONS * [N_CHANNELS], N_POOLED, N_PENULTIMATE)
PENULTIMATE = len(WIDTHS) - 1

PATCHES_AT_ONCE = 4  # their matrices stay in the processor's cache
FILTERS_AT_ONCE, COLUMNS_AT_ONCE = 51, 96  # so do the sums of so many timbral filters and frames
BANDS_AT_ONCE, FRAMES_AT_ONCE = 8, 8  # for which one product answers a temporal filter
ALIGNED = 16  # frames: a matrix product is fastest on rows of whole cache lines

MTT = EncoderInfo(
    id="musicnn-mtt",
    title="MusiCNN, instruments",
    summary="Small tagger that learned instruments and voices from real music; comes with MESS.",
    source="mess_core/encoders/musicnn-mtt.safetensors",
    revision="0.1.0",
    licence="ISC",
    files=(
        WeightFile(
            "musicnn-mtt.safetensors", 3_173_932, "6437d106d25f800cfda04b679120575ceafff7a26827bcedc1281df95a620c71"
        ),
        WeightFile(TAGS, 1_090, "6008eec38b058bf02a72673a952d9dc6d816a4bf5d49898a30e2aa6a27de066d"),
    ),
    sample_rate_hz=SAMPLE_RATE_HZ,
    frame_rate_hz=SAMPLE_RATE_HZ / MEL_HOP_SAMPLES / PATCH_FRAMES,
    n_layers=len(WIDTHS),
    dim=max(WIDTHS),
    layer_0="front end, then three convolutions, pooled, penultimate: means over a patch of 3 s",
    normaliser=f"none, {HEARD}",
    segment_s=3.0,  # a patch: one more frame than that
    hop_s=3.0,  # as in the original, which lets no two patches overlap
    widths=WIDTHS,
    main=PENULTIMATE,
)
MSD = replace(
    MTT,
    id="musicnn-msd",
    title="MusiCNN, genres",
    summary="The same tagger, which learned genre, mood and era; comes with MESS.",
    source="mess_core/encoders/musicnn-msd.safetensors",
    files=(
        WeightFile(
            "musicnn-msd.safetensors", 3_173_932, "38a42f047ae2cae3fd11ce375dd80570e767763fb0f84ef3cad869f1a5b5223e"
        ),
        MTT.files[1],
    ),
)


# --- from sound to patches ----------------------------------------------------------------------------------


class Patches:
    """Waveforms (n, n_samples) -> log-mel patches (n, n_patches, 187, 96), the same for both trainings.

    What is left after the last whole patch is dropped; a waveform shorter than one is a patch of its own length, which
    the network hears as it is, because it pools over time.
    """

    def __init__(self) -> None:
        import torch

        self.filters = torch.from_numpy(mel_filters(FFT_SAMPLES, SAMPLE_RATE_HZ, N_BANDS, lowest_hz=0.0))
        self.window = torch.hann_window(FFT_SAMPLES)

    def __call__(self, waveforms: torch.Tensor) -> torch.Tensor:
        log_mel = self.log_mel(waveforms)
        n, n_frames, _ = log_mel.shape
        length = min(n_frames, PATCH_FRAMES)
        n_patches = n_frames // length
        return log_mel[:, : n_patches * length].reshape(n, n_patches, length, N_BANDS)

    def log_mel(self, waveforms: torch.Tensor) -> torch.Tensor:
        """(n, n_samples) -> (n, n_mel_frames, 96): log10(10 000 power + 1), power rounded to half precision."""
        import torch

        spectra = torch.stft(
            waveforms, FFT_SAMPLES, MEL_HOP_SAMPLES, window=self.window, center=True, return_complex=True
        )
        power = (spectra.real.square() + spectra.imag.square()).transpose(1, 2) @ self.filters
        return (power.clamp(max=LARGEST_HALF).half().float() * 10_000 + 1).log10()


# --- the network --------------------------------------------------------------------------------------------


class Network:
    """Patches (n, n_frames, 96) -> what is kept of each, layer after layer: (n, 2459).

    Patches lie side by side, with silence between them for the convolutions to look at: one column for each frame. A
    convolution over time is then a sum of matrix products, each with all columns moved by a frame.
    """

    def __init__(self, weights: _Weights) -> None:
        n_timbral, n_front = len(TIMBRAL_BANDS), len(TIMBRAL_BANDS) + len(TEMPORAL_FRAMES)
        self.input = weights.normalisation(0)
        self.spectra = _Spectra(weights.device)
        self.timbral = [_Timbral(weights, number) for number in range(n_timbral)]
        self.temporal = _Temporal(weights, range(n_timbral, n_front))
        self.convolutions = []
        for number in range(n_front, n_front + N_CONVOLUTIONS):
            kernel, bias = weights.convolution(number)
            by_frame = kernel[:, :, 0].transpose(1, 2).contiguous()  # (n_frames, n_out, n_in)
            self.convolutions.append((by_frame, bias, *weights.normalisation(number + 1)))
        last = n_front + N_CONVOLUTIONS
        self.pooled = weights.normalisation(last + 1)
        self.dense = (*weights.dense(0), *weights.normalisation(last + 2))

    def __call__(self, patches: torch.Tensor) -> torch.Tensor:
        import torch
        import torch.nn.functional as F

        n, n_frames, _ = patches.shape
        pitch = -(-(n_frames + MARGIN) // ALIGNED) * ALIGNED  # columns from one patch to the next
        is_frame = (torch.arange(pitch, device=patches.device) < n_frames).repeat(n)
        scale, shift = self.input
        bands = F.pad((patches * scale + shift).permute(2, 0, 1), (0, pitch - n_frames)).flatten(1)  # (96, n_columns)
        spectra = self.spectra(bands)
        timbral = [each(spectra)[:, : n * pitch] for each in self.timbral]
        layers = [torch.cat([*timbral, self.temporal(bands, n)]) * is_frame]
        for by_frame, *after in self.convolutions:
            bias, scale, shift = (each[:, None] for each in after)
            padded = F.pad(layers[-1], (MARGIN, MARGIN))
            heard = sum(kernel @ padded[:, frame : frame + n * pitch] for frame, kernel in enumerate(by_frame))
            heard = ((heard + bias).relu() * scale + shift) * is_frame
            layers.append(heard if len(layers) == 1 else heard + layers[-1])
        said = torch.cat(layers).view(-1, n, pitch)[:, :, :n_frames]
        largest, mean = said.amax(dim=2).T, said.mean(dim=2).T  # (n, 753)
        pooled = torch.stack([largest, mean], dim=2).flatten(1)  # largest, mean, largest, mean, …
        scale, shift = self.pooled
        kernel, bias, dense_scale, dense_shift = self.dense
        penultimate = ((pooled * scale + shift) @ kernel + bias).relu() * dense_scale + dense_shift
        return torch.cat([mean, pooled, penultimate], dim=1)  # the mean is that of four layers


# --- its front end ------------------------------------------------------------------------------------------


class _Loudest:
    """What a filter of the front end says in the end, given its largest answer over all positions.

    Every answer goes through ReLU and batch normalisation, scale max(answer + bias, 0) + shift, and the largest result
    is kept. It grows with the answer where scale is positive and falls where that is negative. So filters of negative
    scale are turned round, and the largest over all positions is taken first.
    """

    def __init__(self, weights: _Weights, number: int) -> None:
        import torch

        kernel, bias = weights.convolution(number)
        scale, shift = weights.normalisation(number + 1)
        sign = torch.where(scale < 0, -1.0, 1.0)
        self.kernel = kernel[:, :, 0] * sign  # (n_frames, n_bands, n_filters)
        self.sign, self.bias, self.scale, self.shift = (each[:, None] for each in (sign, bias, scale, shift))

    def __call__(self, largest: torch.Tensor) -> torch.Tensor:
        """(n_filters, n_columns) -> the same."""
        return (largest * self.sign + self.bias).relu() * self.scale + self.shift


class _Timbral:
    """204 filters of 7 frames and many bands: their loudest answers over all bands.

    Slid over the bands, a filter answers at 59 or 30 positions. After a Fourier transform along the bands (`_spectra`)
    it need not be slid: at each frequency it is 7 complex numbers, with which seven neighbouring frames are multiplied
    and summed. What is transformed back are these sums alone, and of positions counted from the middle one

        answer(q) = even(q) - odd(q),   answer(-q) = even(q) + odd(q),   the louder of both = even(q) + |odd(q)|

    where even comes from the real parts and odd from the imaginary parts: a third of the work of sliding.
    """

    def __init__(self, weights: _Weights, number: int) -> None:
        import torch

        self.loudest = _Loudest(weights, number)
        kernel = self.loudest.kernel.cpu().numpy().astype(np.float64)  # (n_frames, n_bands, n_filters)
        middle = (N_BANDS - kernel.shape[1]) / 2  # of the positions; between two where their number is even
        angles = np.outer(_angles(), np.arange(kernel.shape[1]) + middle)
        spectra = np.einsum("tbf,wb->wft", kernel, np.exp(1j * angles)) / N_BANDS
        spectra[1 : N_BANDS // 2] *= 2  # for the frequencies above half the rate, which mirror them
        real, imaginary = spectra.real, spectra.imag  # (49, 204, 7)
        halves = np.stack([np.concatenate([real, -imaginary], axis=2), np.concatenate([imaginary, real], axis=2)], 1)
        positions = np.outer(np.arange(middle % 1, middle + 0.5), _angles())

        def tensor(values: np.ndarray) -> torch.Tensor:
            return torch.from_numpy(values.astype(np.float32)).to(weights.device)

        self.spectra = [  # of some filters: (49, 2 * 51, 14), what makes the real parts, then the imaginary ones
            tensor(some.reshape(len(some), -1, some.shape[-1]))
            for some in np.split(halves, N_TIMBRAL // FILTERS_AT_ONCE, axis=2)
        ]
        self.cosines, self.sines = tensor(np.cos(positions)), tensor(np.sin(positions))  # (30 or 15, 49)

    def __call__(self, spectra: torch.Tensor) -> torch.Tensor:
        """Of `_spectra` -> (204, n_columns), the last block's columns of silence among them"""
        import torch

        n_blocks, n_frequencies, _, n_columns = spectra.shape
        sums = spectra.new_empty(n_frequencies, 2, FILTERS_AT_ONCE * n_columns)
        even, odd = (spectra.new_empty(len(self.cosines), sums.shape[2]) for _ in range(2))
        largest = spectra.new_empty(N_TIMBRAL // FILTERS_AT_ONCE, FILTERS_AT_ONCE, n_blocks, n_columns)
        for block, rows in enumerate(spectra):
            for some, kernels in zip(largest, self.spectra, strict=True):
                torch.bmm(kernels, rows, out=sums.view(n_frequencies, -1, n_columns))
                torch.mm(self.cosines, sums[:, 0], out=even)
                torch.mm(self.sines, sums[:, 1], out=odd)
                some[:, block] = even.add_(odd.abs_()).amax(dim=0).view(FILTERS_AT_ONCE, n_columns)
        return self.loudest(largest.view(N_TIMBRAL, -1))


def _angles() -> np.ndarray:
    """Of the frequencies that 96 bands have, from band to band: (49,), radians."""
    return 2 * np.pi / N_BANDS * np.arange(N_BANDS // 2 + 1)


class _Spectra:
    """Fourier transforms along the bands, laid out for `_Timbral`."""

    def __init__(self, device: str) -> None:
        import torch

        waves = np.exp(-1j * np.outer(_angles(), np.arange(N_BANDS)))
        self.waves = torch.from_numpy(np.concatenate([waves.real, waves.imag]).astype(np.float32)).to(device)

    def __call__(self, bands: torch.Tensor) -> torch.Tensor:
        """Bands (96, n_columns) -> (n_blocks, 49, 14, n_columns of a block).

        At each frequency the real parts of seven neighbouring frames and the imaginary ones, frame after frame.
        """
        import torch.nn.functional as F

        n_columns = bands.shape[1]
        n_at_once = COLUMNS_AT_ONCE if bands.device.type == "cpu" else n_columns
        after = -n_columns % n_at_once
        spectra = F.pad(self.waves @ bands, (MARGIN, MARGIN + after)).view(2, len(self.waves) // 2, -1)
        frames = spectra.unfold(2, TIMBRAL_FRAMES, 1).unflatten(2, (-1, n_at_once))  # (2, 49, n_blocks, n, 7)
        return frames.permute(2, 1, 0, 4, 3).flatten(2, 3)  # a copy


class _Temporal:
    """51 filters each of 128, 64 and 32 frames of one band: their loudest answers over all bands.

    Written eight times, each time a frame later, a filter answers for eight frames at once. Windows over time, which
    overlap and must be laid out for a matrix product, are then needed for every eighth only.
    """

    def __init__(self, weights: _Weights, numbers: range) -> None:
        import torch
        import torch.nn.functional as F

        self.loudest = [_Loudest(weights, number) for number in numbers]
        self.kernels = []  # (n_frames + 7, 51 * 8)
        for each in self.loudest:
            kernel, last = each.kernel[:, 0], FRAMES_AT_ONCE - 1
            later = [F.pad(kernel, (0, 0, frame, last - frame)) for frame in range(FRAMES_AT_ONCE)]
            self.kernels.append(torch.stack(later, dim=2).flatten(1))

    def __call__(self, bands: torch.Tensor, n: int) -> torch.Tensor:
        """Bands (96, n_columns) of n patches -> (153, n_columns). Around each patch there is silence."""
        import torch
        import torch.nn.functional as F

        longest = max(TEMPORAL_FRAMES)
        before = (longest - 1) // 2
        padded = F.pad(bands.view(N_BANDS, n, -1), (before, longest - 1 - before))
        windows = padded.unfold(2, longest + FRAMES_AT_ONCE - 1, FRAMES_AT_ONCE)  # (96, n, n_columns / n / 8, 135)
        answer = bands.new_empty(BANDS_AT_ONCE, bands.shape[1] // FRAMES_AT_ONCE, N_TEMPORAL * FRAMES_AT_ONCE)
        largest = [torch.full_like(answer[0], -torch.inf) for _ in self.kernels]
        for some in windows.split(BANDS_AT_ONCE):
            rows = some.flatten(0, 2)  # a copy, each window by itself
            for kernel, own in zip(self.kernels, largest, strict=True):
                first = (rows.shape[1] - len(kernel)) // 2  # shorter filters look at the middle
                torch.mm(rows[:, first : first + len(kernel)], kernel, out=answer.flatten(0, 1))
                torch.maximum(own, answer.amax(dim=0), out=own)
        columns = [own.view(-1, N_TEMPORAL, FRAMES_AT_ONCE).transpose(0, 1).flatten(1) for own in largest]
        return torch.cat([end(own) for end, own in zip(self.loudest, columns, strict=True)])


class _Weights:
    """The numbers of one training, by their names in the original's graph."""

    def __init__(self, arrays: Mapping[str, np.ndarray], device: str = "cpu") -> None:
        self._arrays, self.device = arrays, device

    def convolution(self, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Kernel (n_frames, n_bands, n_in, n_out), where n_in or n_bands is 1, and bias (n_out,)."""
        return self[_name("conv2d", number), "kernel"], self[_name("conv2d", number), "bias"]

    def dense(self, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Kernel (n_in, n_out) and bias (n_out,)."""
        return self[_name("dense", number), "kernel"], self[_name("dense", number), "bias"]

    def normalisation(self, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Batch normalisation, which is a straight line once it is trained: scale and shift."""
        gamma, beta, mean, variance = (self[_name("batch_normalization", number), part] for part in NORMALISED)
        scale = gamma / (variance + EPSILON).sqrt()
        return scale, beta - scale * mean

    def __getitem__(self, key: tuple[str, str]) -> torch.Tensor:
        import torch

        return torch.from_numpy(self._arrays["/".join(key)]).to(self.device)


NORMALISED = ("gamma", "beta", "moving_mean", "moving_variance")


def _name(kind: str, number: int) -> str:
    return f"{kind}_{number}" if number else kind


def _untrained(seed: int) -> dict[str, np.ndarray]:
    """Arrays of the same names and shapes, as a training begins with them."""
    rng = np.random.default_rng(seed)
    convolutions = [
        *((TIMBRAL_FRAMES, n_bands, 1, N_TIMBRAL) for n_bands in TIMBRAL_BANDS),
        *((n_frames, 1, 1, N_TEMPORAL) for n_frames in TEMPORAL_FRAMES),
        *((CONVOLUTION_FRAMES, n_in, 1, N_CHANNELS) for n_in in (N_FRONT, N_CHANNELS, N_CHANNELS)),
    ]
    kernels: dict[str, tuple[int, ...]] = {_name("conv2d", n): shape for n, shape in enumerate(convolutions)}
    kernels |= {"dense": (N_POOLED, N_PENULTIMATE), "dense_1": (N_PENULTIMATE, N_TAGS)}
    arrays = {}
    for name, shape in kernels.items():
        n_in, n_out = int(np.prod(shape[:-1])), shape[-1]
        n_taps = n_in if len(shape) == 2 else n_in // shape[-2]
        limit = np.sqrt(6 / (n_in + n_out * n_taps))
        arrays[f"{name}/kernel"] = rng.uniform(-limit, limit, shape).astype(np.float32)
        arrays[f"{name}/bias"] = np.zeros(n_out, np.float32)
    n_channels = [1, *(shape[-1] for shape in convolutions), N_POOLED, N_PENULTIMATE]
    for number, n in enumerate(n_channels):
        for part, value in zip(NORMALISED, (1, 0, 0, 1), strict=True):
            arrays[f"{_name('batch_normalization', number)}/{part}"] = np.full(n, value, np.float32)
    return arrays


# --- the encoder --------------------------------------------------------------------------------------------


class Musicnn(Encoder):
    """One training of MusiCNN.

    Parameters
    ----------
    info : EncoderInfo
        `MTT` or `MSD`, or the untrained twin of one.
    arrays : mapping of name to ndarray
        Its numbers, by their names in the original's graph.
    device : str
        "cpu", "cuda" or "mps".
    """

    threads_at_once = 2

    def __init__(self, info: EncoderInfo, arrays: Mapping[str, np.ndarray], device: str = "cpu") -> None:
        self.info = info
        self.device = device
        self.patches = Patches()
        self.network = Network(_Weights(arrays, device))
        self.tag_layer = TagLayer.of(arrays)

    @classmethod
    def load(cls, info: EncoderInfo, device: str = "cpu") -> Musicnn:
        """The weights that come with MESS, verified.

        Raises
        ------
        DataMissingError, ArtefactMismatchError
            If a file is not there, or not what `info` says.
        """
        return cls(info, _read(info), device)

    @classmethod
    def random(cls, info: EncoderInfo, seed: int = 0, device: str = "cpu") -> Musicnn:
        """The untrained twin: the same architecture with seeded fresh weights, a control."""
        return cls(random_twin(info, seed), _untrained(seed), device)

    def encode(self, waveforms: np.ndarray) -> np.ndarray:
        import torch

        waveforms = check_waveforms(waveforms, self.info)
        with torch.inference_mode():
            return self.hear(self.patches(torch.from_numpy(waveforms)))

    def encode_beside(self, others: Sequence[Encoder], waveforms: np.ndarray) -> list[np.ndarray]:
        """Both trainings hear the same patches."""
        trainings = [each for each in others if isinstance(each, Musicnn)]
        if len(trainings) < len(others):
            return super().encode_beside(others, waveforms)
        import torch

        with torch.inference_mode():
            patches = self.patches(torch.from_numpy(check_waveforms(waveforms, self.info)))
            return [each.hear(patches) for each in (self, *trainings)]

    def hear(self, patches: torch.Tensor) -> np.ndarray:
        """Hidden states (n, 6, n_patches, 1506) of `Patches` (n, n_patches, n_frames, 96), one frame for each patch.

        Both trainings hear the same patches: whoever asks both makes these once.
        """
        import torch

        n, n_patches = patches.shape[:2]
        with torch.inference_mode():
            numbers = [
                self.network(part.to(self.device)).cpu() for part in patches.flatten(0, 1).split(PATCHES_AT_ONCE)
            ]
        rows = with_padding(torch.cat(numbers).numpy(), WIDTHS)
        return np.ascontiguousarray(rows.reshape(n, n_patches, *rows.shape[1:]).swapaxes(1, 2))

    def tags(self, penultimate: np.ndarray) -> np.ndarray:
        """How much of each tag the network hears in a patch, between 0 and 1; `tag_names` names them.

        Parameters
        ----------
        penultimate : ndarray, shape (…, 200)
            The last layer of a patch, of which a segment of 3 s has one. What the store has kept of it, in half
            precision, gives tags to 0.002.

        Returns
        -------
        ndarray, shape (…, 50)
        """
        return self.tag_layer(penultimate)


@dataclass(frozen=True, eq=False)
class TagLayer:
    """What reads tags off the last layer. Whoever has that layer needs neither sound nor network.

    kernel : (200, 50)
    bias : (50,)
    """

    kernel: np.ndarray
    bias: np.ndarray

    @classmethod
    def of(cls, arrays: Mapping[str, np.ndarray]) -> TagLayer:
        return cls(arrays["dense_1/kernel"], arrays["dense_1/bias"])

    @classmethod
    def load(cls, info: EncoderInfo) -> TagLayer:
        """That of a training; errors as `Musicnn.load`."""
        return cls.of(_read(info))

    def __call__(self, penultimate: np.ndarray) -> np.ndarray:
        """As `Musicnn.tags`: (…, 200) -> (…, 50)."""
        said = penultimate.astype(np.float32) @ self.kernel + self.bias
        tags: np.ndarray = (1 + np.tanh(said / 2)) / 2  # the sigmoid, which cannot overflow so
        return tags


def _read(info: EncoderInfo) -> dict[str, np.ndarray]:
    """The numbers of a training, verified."""
    for file in info.files:
        verify_file(_HERE / file.name, file)
    weights = info.files[0].name
    return parse_safetensors(read_untrusted(_HERE / weights, MOST_TENSORS_BYTES), weights)


def tag_names(info: EncoderInfo) -> tuple[str, ...]:
    """The 50 tags of a training, in the order of `Musicnn.tags`."""
    names: dict[str, Any] = read_json(_HERE / TAGS)
    return tuple(names[info.id.rpartition("-")[2]])


def _entry(info: EncoderInfo) -> EncoderEntry:
    return EncoderEntry(
        info,
        load=lambda info, paths, device: Musicnn.load(info, device),
        untrained=lambda info, device: Musicnn.random(info, device=device),
    )


ENTRIES = (_entry(MTT), _entry(MSD))
