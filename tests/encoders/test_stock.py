"""Music2Vec, MusicFM, MuQ and CLAP on tiny checkpoints with the published layout, against stock modules written out.

Each trap that a published comparison of encoders fell into is a test of its own: the rate, the axis of the mean, the
layer, the normaliser.
"""

import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from transformers import (
    ClapConfig,
    ClapModel,
    Data2VecAudioConfig,
    Data2VecAudioModel,
    Wav2Vec2ConformerConfig,
    Wav2Vec2FeatureExtractor,
)
from transformers.models.wav2vec2_conformer.modeling_wav2vec2_conformer import Wav2Vec2ConformerEncoder

from mess_core.embeddings.extraction import ExtractedTrack, WantedTrack, extract
from mess_core.embeddings.store import pool_frames
from mess_core.encoders import clap as clap_module
from mess_core.encoders import music2vec as music2vec_module
from mess_core.encoders.base import EncoderInfo, WeightFile, random_twin
from mess_core.encoders.clap import CLAP_MUSIC, WINDOW_SAMPLES, Clap
from mess_core.encoders.mel import Mel
from mess_core.encoders.music2vec import MUSIC2VEC, Music2Vec
from mess_core.encoders.musicfm import MUQ, MUSICFM_FMA, MUSICFM_MSD, MusicFm, Sizes, build_network
from mess_core.encoders.registry import encoder_choices, encoder_ids, load_encoder
from mess_core.encoders.stock import StockEncoder
from mess_core.encoders.weights import use_folder, weights_state
from mess_core.errors import ArtefactMismatchError, DataMissingError, InputError
from mess_core.storage.paths import Paths
from tests.contracts import ENCODER_LAWS, name_of, noise

pytestmark = pytest.mark.slow

PUBLISHED = (MUSIC2VEC, MUSICFM_FMA, MUSICFM_MSD, MUQ, CLAP_MUSIC)
TINY = Sizes(conv_dim=16, dim=48, n_blocks=3, n_heads=4, feed_forward=96, kernel=31)


def music(seconds: float, rate_hz: int, seed: int = 0) -> np.ndarray:
    """A chord that swells over something like a drum: (1, n_samples)."""
    t_s = np.arange(round(seconds * rate_hz)) / rate_hz
    chord = sum(np.sin(2 * np.pi * hz * t_s) for hz in (110.0, 329.6, 392.0, 1046.5)) * (0.2 + t_s / seconds)
    beats = np.random.default_rng(seed).standard_normal(len(t_s)) * np.exp(-20 * (t_s % 0.5))
    return (0.05 * chord + 0.1 * beats).astype(np.float32)[None]


# --- tiny checkpoints, as they are published ------------------------------------------------------------------


def make_music2vec(folder: Path) -> Data2VecAudioModel:
    """The published configuration has a path where the size of a vocabulary belongs."""
    torch.manual_seed(0)
    config = Data2VecAudioConfig(
        hidden_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=96,
        conv_dim=[32] * 7,
        num_conv_pos_embeddings=2,
    )
    model = Data2VecAudioModel(config).eval()
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    said = config.to_dict() | {"vocab_size": "their/own/dict.txt"}
    (folder / "config.json").write_text(json.dumps(said, default=list))
    preprocessor = {"do_normalize": True, "feature_size": 1, "padding_value": 0.0, "sampling_rate": 16_000}
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    return model


def conformer() -> Wav2Vec2ConformerEncoder:
    return Wav2Vec2ConformerEncoder(
        Wav2Vec2ConformerConfig(
            hidden_size=TINY.dim,
            num_hidden_layers=TINY.n_blocks,
            num_attention_heads=TINY.n_heads,
            intermediate_size=TINY.feed_forward,
            hidden_act="swish",
            position_embeddings_type="rotary",
        )
    ).eval()


def make_musicfm(folder: Path, kind: str) -> tuple[dict[str, torch.Tensor], Wav2Vec2ConformerEncoder]:
    """Names as in the checkpoints: of an older torch, counters of another kind, and what only training needed."""
    torch.manual_seed(1)
    stock, tensors = conformer(), {}
    for block, n_in in ((0, 1), (1, TINY.conv_dim)):
        for number, n_from in ((1, n_in), (2, TINY.conv_dim), (3, n_in)):
            conv, norm = f"conv.conv.{block}.conv{number}", f"conv.conv.{block}.bn{number}"
            tensors[f"{conv}.weight"] = torch.randn(TINY.conv_dim, n_from, 3, 3) / (3 * n_from**0.5)
            tensors[f"{conv}.bias"] = 0.1 * torch.randn(TINY.conv_dim)
            tensors[f"{norm}.weight"] = 1 + 0.1 * torch.randn(TINY.conv_dim)
            tensors[f"{norm}.bias"] = 0.1 * torch.randn(TINY.conv_dim)
            tensors[f"{norm}.running_mean"] = 0.1 * torch.randn(TINY.conv_dim)
            tensors[f"{norm}.running_var"] = 0.5 + torch.rand(TINY.conv_dim)
            tensors[f"{norm}.num_batches_tracked"] = torch.tensor(7.0)
    tensors["conv.linear.weight"] = torch.randn(TINY.dim, TINY.conv_dim * 32) / (TINY.conv_dim * 32) ** 0.5
    tensors["conv.linear.bias"] = 0.1 * torch.randn(TINY.dim)
    for block in stock.layers:
        block.conv_module.batch_norm.running_mean.normal_(0, 0.1)
        block.conv_module.batch_norm.running_var.uniform_(0.5, 1.5)
    for module in stock.modules():  # as they are once something was learned: none leaves things as they are
        if isinstance(module, torch.nn.LayerNorm):
            torch.nn.init.normal_(module.weight, 1, 0.3)
            torch.nn.init.normal_(module.bias, 0, 0.1)
    older = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}
    for name, tensor in stock.state_dict().items():
        for new, old in older.items():
            name = name.replace(new, old)
        tensors[f"conformer.{name}"] = tensor.clone()
    unused = {"cls_token": torch.randn(TINY.dim), "linear.weight": torch.randn(64, TINY.dim)}
    unused |= {"quantizer_melspec_2048_0.codebook": torch.randn(16, 64), "rvq.quantizers.0.codebook": torch.randn(4, 4)}
    unused["preprocessor_melspec_2048.mel_stft.spectrogram.window"] = torch.zeros(2048)
    checkpoint = {f"model.{name}": tensor.contiguous() for name, tensor in (tensors | unused).items()}
    stats = {"melspec_2048_mean": -3.0, "melspec_2048_std": 20.0, "melspec_2048_cnt": 14_282_760_192}
    if kind == "muq":
        of_conformer = {"hidden_act": "swish", "position_embeddings_type": "rotary", "num_attention_heads": 4}
        of_conformer |= {"intermediate_size": 96, "hidden_size": 1024, "num_hidden_layers": 24}  # two are overruled
        said = {"label_rate": 25, "hop_length": 240, "n_mels": 128, "conv_dim": 16, "encoder_dim": 48}
        said |= {"encoder_depth": 3, "stat": stats, "w2v2_config": of_conformer}
        (folder / "config.json").write_text(json.dumps(said))
        save_file(checkpoint, folder / "model.safetensors")
    else:
        (folder / "fma_stats.json").write_text(json.dumps(stats))
        torch.save({"state_dict": checkpoint}, folder / "pretrained_fma.pt")
    return tensors, stock


def make_clap(folder: Path) -> ClapModel:
    """Both halves; the configuration names only what differs from the defaults."""
    torch.manual_seed(2)
    of_audio = {"depths": [1, 2, 1, 1], "hidden_size": 128, "num_attention_heads": [2, 2, 4, 4]}
    of_audio["patch_embeds_hidden_size"] = 16
    of_text = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    of_text["vocab_size"] = 50
    model = ClapModel(ClapConfig(audio_config=of_audio, text_config=of_text)).eval()
    norm = model.audio_model.audio_encoder.batch_norm  # bands in dB, as in training
    norm.running_mean.normal_(-30, 3)
    norm.running_var.uniform_(200, 400)
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    said = {"model_type": "clap", "audio_config": of_audio | {"model_type": "clap_audio_model"}, "projection_dim": 512}
    (folder / "config.json").write_text(json.dumps(said | {"projection_hidden_act": "relu", "text_config": of_text}))
    preprocessor = {"feature_size": 64, "sampling_rate": 48_000, "truncation": "rand_trunc", "padding": "repeatpad"}
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    return model


def tiny_info(info: EncoderInfo, folder: Path, **facts: object) -> EncoderInfo:
    """The same encoder, of the size of its folder's checkpoint."""
    names = [file.name for file in info.files]
    files = tuple(WeightFile(name, (folder / name).stat().st_size, None) for name in names)
    return dataclasses.replace(info, id=f"{info.id}-tiny", files=files, **facts)


def load(kind: str, folder: Path, info: EncoderInfo | None = None) -> StockEncoder:
    if kind == "music2vec":
        return Music2Vec.from_folder(folder, info=info or tiny_info(MUSIC2VEC, folder, n_layers=4, dim=48))
    if kind == "clap":
        return Clap.from_folder(folder, info=info or tiny_info(CLAP_MUSIC, folder))
    published = {"musicfm": MUSICFM_FMA, "muq": MUQ}[kind]
    return MusicFm.from_folder(folder, info=info or tiny_info(published, folder, n_layers=4, dim=48), sizes=TINY)


MAKERS = {
    "music2vec": make_music2vec,
    "musicfm": lambda folder: make_musicfm(folder, "musicfm"),
    "muq": lambda folder: make_musicfm(folder, "muq"),
    "clap": make_clap,
}
KINDS = tuple(MAKERS)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> dict[str, tuple]:
    """By kind: the encoder, and what its checkpoint was made of."""
    found = {}
    for kind, make in MAKERS.items():
        folder = tmp_path_factory.mktemp(kind)
        made = make(folder)
        found[kind] = (load(kind, folder), made)
    return found


@pytest.fixture(params=KINDS)
def encoder(request, tiny) -> StockEncoder:
    return tiny[request.param][0]


# --- the same as stock modules, written out -------------------------------------------------------------------


def written_out_music2vec(model: Data2VecAudioModel, waveform: np.ndarray, is_normalised: bool = True) -> torch.Tensor:
    published = Wav2Vec2FeatureExtractor(sampling_rate=16_000, do_normalize=is_normalised)
    given = published(waveform, sampling_rate=16_000, return_tensors="pt").input_values
    with torch.inference_mode():
        projected, _ = model.feature_projection(model.feature_extractor(given).transpose(1, 2))
        states = [model.encoder.layer_norm(projected + model.encoder.pos_conv_embed(projected))]
        for block in model.encoder.layers:
            states.append(block(states[-1]))
    return torch.stack(states, dim=1)


def written_out_musicfm(made: tuple, waveform: np.ndarray) -> torch.Tensor:
    """Torchaudio's own bands, convolutions of functions, and the stock conformer with its blocks overheard."""
    from torchaudio.transforms import AmplitudeToDB, MelSpectrogram

    tensors, stock = made
    bands = MelSpectrogram(sample_rate=24_000, n_fft=2048, hop_length=240, n_mels=128)

    def convolve(x: torch.Tensor, block: int, number: int, stride: int) -> torch.Tensor:
        conv, norm = f"conv.conv.{block}.conv{number}", f"conv.conv.{block}.bn{number}"
        x = F.conv2d(x, tensors[f"{conv}.weight"], tensors[f"{conv}.bias"], stride, padding=1)
        of_norm = (tensors[f"{norm}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        return F.batch_norm(x, *of_norm)

    with torch.inference_mode():
        x = (AmplitudeToDB()(bands(torch.from_numpy(waveform)))[..., :-1] + 3.0) / 20.0
        x = x[:, None]
        for block in (0, 1):
            inner = convolve(F.relu(convolve(x, block, 1, 2)), block, 2, 1)
            x = F.relu(inner + convolve(x, block, 3, 2))
        n, channels, n_bands, n_frames = x.shape
        x = x.permute(0, 3, 1, 2).reshape(n, n_frames, channels * n_bands)
        states = [F.linear(x, tensors["conv.linear.weight"], tensors["conv.linear.bias"])]
        hooks = [block.register_forward_hook(lambda _, given, out: states.append(out)) for block in stock.layers]
        last = stock(states[0]).last_hidden_state
        for hook in hooks:
            hook.remove()
    return torch.stack([*states[:-1], last], dim=1)


def written_out_clap(librosa, model: ClapModel, window: np.ndarray) -> torch.Tensor:
    """Librosa's bands of exactly 10 s, and the joint model's own answer."""
    power = librosa.feature.melspectrogram(
        y=window, sr=48_000, n_fft=1024, hop_length=480, n_mels=64, fmin=50, fmax=14_000, pad_mode="reflect"
    )
    bands = torch.from_numpy(librosa.power_to_db(power, top_db=None).T.astype(np.float32))[None, None]
    with torch.inference_mode():
        return F.normalize(model.get_audio_features(input_features=bands).pooler_output, dim=-1)[0]


@pytest.mark.parametrize("seconds", [1.0, 2.37, 5.0])
def test_music2vec_is_the_stock_model(tiny, seconds):
    encoder, model = tiny["music2vec"]
    waveform = music(seconds, 16_000)
    np.testing.assert_allclose(encoder.encode(waveform), written_out_music2vec(model, waveform), rtol=0, atol=1e-4)


@pytest.mark.parametrize("kind", ["musicfm", "muq"])
@pytest.mark.parametrize("seconds", [1.0, 2.37, 5.0])
def test_musicfm_and_muq_are_the_stock_conformer_behind_their_front(tiny, kind, seconds):
    encoder, made = tiny[kind]
    waveform = music(seconds, 24_000)
    np.testing.assert_allclose(encoder.encode(waveform), written_out_musicfm(made, waveform), rtol=0, atol=2e-4)


def test_clap_is_the_joint_model(tiny, librosa):
    encoder, model = tiny["clap"]
    waveform = music(10.0, 48_000)
    answer = encoder.encode(waveform)
    assert answer.shape == (1, 1, 1, 512) and np.linalg.norm(answer) == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(answer[0, 0, 0], written_out_clap(librosa, model, waveform[0]), rtol=0, atol=1e-4)


def test_the_oracles_tell_one_sound_from_another(tiny, librosa):
    """The tests above could fail."""
    for kind, oracle in (("music2vec", written_out_music2vec), ("musicfm", written_out_musicfm)):
        encoder, made = tiny[kind]
        rate_hz = encoder.info.sample_rate_hz
        difference = encoder.encode(music(2.0, rate_hz)) - oracle(made, music(2.0, rate_hz, seed=1)).numpy()
        assert abs(difference).max() > 0.01
    encoder, model = tiny["clap"]
    other = written_out_clap(librosa, model, noise(1, 10.0, 48_000)[0])
    assert abs(encoder.encode(music(10.0, 48_000))[0, 0, 0] - other.numpy()).max() > 0.01


@pytest.mark.parametrize("law", ENCODER_LAWS, ids=name_of)
def test_laws(encoder, law):
    law(encoder)


# --- the traps ------------------------------------------------------------------------------------------------


def test_the_rate_is_the_encoders_own(encoder, tmp_path):
    """A tone of 1 kHz in a file of 44.1 kHz comes in as a tone of 1 kHz; the comparison fed Music2Vec 24 kHz."""
    expected_hz = {"music2vec": 16_000, "muq": 24_000, "musicfm": 24_000, "clap": 48_000}
    assert encoder.info.sample_rate_hz == expected_hz[encoder.info.id.partition("-")[0]]
    file = tmp_path / "tone.wav"
    soundfile.write(file, 0.3 * np.sin(2 * np.pi * 1000 * np.arange(4 * 44_100) / 44_100), 44_100)
    given = []

    class Overheard(type(encoder)):
        def encode(self, waveforms: np.ndarray) -> np.ndarray:
            given.append(waveforms)
            return super().encode(waveforms)

    overheard = encoder.in_precision("float32")
    overheard.__class__ = Overheard
    (track,) = [e for e in extract([WantedTrack("1", "tone", file)], overheard) if isinstance(e, ExtractedTrack)]
    assert track.embedding.mean.shape == (encoder.info.n_layers, encoder.info.dim)
    spectrum = np.abs(np.fft.rfft(given[0][0]))
    loudest_hz = spectrum.argmax() * encoder.info.sample_rate_hz / given[0].shape[1]
    assert loudest_hz == pytest.approx(1000, abs=1)


@pytest.mark.parametrize("kind", ["musicfm", "muq"])
def test_the_mean_is_over_time(tiny, kind):
    """10 s are 250 frames, and an embedding is as wide as the network: not 250 numbers, a mean over its width."""
    encoder, made = tiny[kind]
    waveform = music(10.0, 24_000)
    hidden_states = encoder.encode(waveform)
    assert hidden_states.shape == (1, 4, 250, 48)
    pooled = pool_frames(hidden_states, encoder.info.pooling)
    frames = written_out_musicfm(made, waveform)  # (1, n_layers, n_frames, dim), as the authors' code has them
    assert pooled.shape == (1, 4, 48)
    np.testing.assert_allclose(pooled, frames.mean(2), rtol=0, atol=1e-4)
    assert frames.mean(-1).shape == (1, 4, 250)  # what the README takes


def test_layers_are_counted_from_the_input_of_the_first_block(tiny):
    """The last layer is what the whole model answers, the first nothing that a block has changed."""
    encoder, model = tiny["music2vec"]
    waveform = music(1.0, 16_000)
    found = encoder.encode(waveform)
    given = Wav2Vec2FeatureExtractor(do_normalize=True)(waveform, sampling_rate=16_000, return_tensors="pt")
    with torch.inference_mode():
        np.testing.assert_allclose(found[:, -1], model(given.input_values).last_hidden_state, rtol=0, atol=1e-4)
        block = model.encoder.layers[0](torch.from_numpy(found[:, 0]))
    np.testing.assert_allclose(found[:, 1], block, rtol=0, atol=1e-4)
    encoder, (_, stock) = tiny["musicfm"]
    waveform = music(1.0, 24_000)
    found = encoder.encode(waveform)
    with torch.inference_mode():
        np.testing.assert_allclose(
            found[:, -1], stock(torch.from_numpy(found[:, 0])).last_hidden_state, rtol=0, atol=1e-4
        )


def test_music2vec_is_normalised(tiny):
    """40 dB down it hears the same; without the normalisation, which the comparison left out, it does not."""
    encoder, model = tiny["music2vec"]
    waveform = music(2.0, 16_000)
    quiet = np.float32(0.01) * waveform
    np.testing.assert_allclose(encoder.encode(quiet), encoder.encode(waveform), rtol=0, atol=5e-3)
    assert abs(encoder.encode(quiet) - written_out_music2vec(model, quiet, False).numpy()).max() > 0.1


@pytest.mark.parametrize("kind", ["musicfm", "muq"])
def test_musicfm_hears_the_level(tiny, kind):
    """20 dB down every band is 20 dB lower: it is standardised by fixed numbers, never by the recording."""
    network = tiny[kind][0]._model
    waveform = torch.from_numpy(noise(1, 1.0, 24_000))
    with torch.inference_mode():
        lower = network.log_mel(waveform) - network.log_mel(0.1 * waveform)
    np.testing.assert_allclose(lower, np.full(lower.shape, 20 / 20.0), rtol=0, atol=1e-3)


def test_clap_never_cuts_at_random(tiny):
    """25 s are three windows, the last one ending with the sound; asked twice it says the same."""
    encoder, _ = tiny["clap"]
    waveform = music(25.0, 48_000)
    found = encoder.encode(waveform)
    assert found.shape == (1, 1, 3, 512) and found.tobytes() == encoder.encode(waveform).tobytes()
    for frame, start_s in enumerate((0, 10, 15)):
        window = waveform[:, start_s * 48_000 : start_s * 48_000 + WINDOW_SAMPLES]
        np.testing.assert_allclose(found[0, 0, frame], encoder.encode(window)[0, 0, 0], rtol=0, atol=1e-5)


def test_clap_repeats_what_is_short(tiny, librosa):
    """4 s fit twice, and two seconds of silence follow, as in training."""
    encoder, model = tiny["clap"]
    waveform = music(4.0, 48_000)
    window = np.concatenate([waveform[0], waveform[0], np.zeros(2 * 48_000, np.float32)])
    expected = written_out_clap(librosa, model, window)
    np.testing.assert_allclose(encoder.encode(waveform)[0, 0, 0], expected, rtol=0, atol=1e-4)


def test_of_clap_only_the_audio_half_is_read(tmp_path):
    """The words of the published checkpoint are broken; they are neither needed nor looked at."""
    make_clap(tmp_path)
    file = tmp_path / "pytorch_model.bin"
    before = load("clap", tmp_path).encode(music(1.0, 48_000))
    tensors = torch.load(file, weights_only=True)
    torch.save({n: t for n, t in tensors.items() if not n.startswith("text_")}, file)
    np.testing.assert_array_equal(load("clap", tmp_path).encode(music(1.0, 48_000)), before)


# --- identity -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("info", PUBLISHED, ids=lambda info: info.id)
def test_what_is_missing_is_said_with_size_licence_and_command(info, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    paths = Paths(tmp_path / "home")
    assert {info.id, f"random:{info.id}"} <= set(encoder_ids())
    (choice,) = [choice for choice in encoder_choices(paths) if choice.info.id == info.id]
    assert choice.weights.status == "missing" and "stays on this machine" in choice.notice
    assert info.title in choice.weights.message and info.licence in choice.weights.message
    assert f"{sum(file.size_bytes for file in info.files) / 1e6:,.0f} MB" in choice.weights.message
    assert choice.weights.hint.endswith(f"--revision {info.revision}") and info.source in choice.weights.hint
    assert bool(choice.consent) == ("NC" in info.licence)
    with pytest.raises(DataMissingError, match="are not on this machine"):
        load_encoder(info.id, paths)


def test_a_folder_of_ones_own_is_used_once_it_is_right(tmp_path):
    """Of a size or hash that is not the published one it is refused."""
    make_clap(tmp_path)
    paths = Paths(tmp_path / "home")
    info = tiny_info(CLAP_MUSIC, tmp_path)
    assert use_folder(info, paths, tmp_path).status == "present" == weights_state(info, paths).status
    with pytest.raises(ArtefactMismatchError, match=r"config\.json has .* expected 628"):
        use_folder(CLAP_MUSIC, paths, tmp_path)


def test_published_sizes_are_those_of_the_networks():
    """Four bytes for each number of the network; the rest is what only training needed."""

    def n_bytes(model: torch.nn.Module) -> int:
        return 4 * sum(tensor.numel() for tensor in model.state_dict().values())

    with torch.device("meta"):
        stock = Data2VecAudioModel(Data2VecAudioConfig(**music2vec_module._SIZES))
        joint = ClapModel(ClapConfig(audio_config=clap_module._ARCHITECTURE))
        network = build_network(Sizes())
    sizes = {info.id: info.files[-1].size_bytes for info in PUBLISHED}
    assert n_bytes(stock) == pytest.approx(sizes["music2vec"], rel=2e-3)
    assert n_bytes(joint) == pytest.approx(sizes["clap-music"], rel=2e-3)
    head = 4 * (1024 * 4096 + 4096 + 1024 + 512 * 16 + 4096 * 16 + 1025 * 128 + 2048)  # codes, and the bands
    for name in ("musicfm-fma", "musicfm-msd"):
        assert n_bytes(network) + head == pytest.approx(sizes[name], rel=1e-3)
    assert 0.97 * sizes["muq"] < n_bytes(network) < sizes["muq"]


def test_twins_are_seeded(monkeypatch):
    """Same seed, same answers; another identity; the caller's random numbers are left alone."""
    small = {"conv_dim": [16] * 7, "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2}
    monkeypatch.setattr(music2vec_module, "_SIZES", music2vec_module._SIZES | small | {"num_attention_heads": 2})
    of_clap = {"depths": [1, 1, 1, 1], "hidden_size": 64, "num_attention_heads": [2] * 4, "patch_embeds_hidden_size": 8}
    monkeypatch.setattr(clap_module, "_ARCHITECTURE", clap_module._ARCHITECTURE | of_clap)
    makers = {
        dataclasses.replace(MUSIC2VEC, n_layers=3, dim=32): Music2Vec.random,
        dataclasses.replace(MUQ, n_layers=4, dim=48): lambda info, seed: MusicFm.random(info, seed, sizes=TINY),
        CLAP_MUSIC: Clap.random,
    }
    for info, make in makers.items():
        torch.manual_seed(1)
        expected = torch.rand(3)
        torch.manual_seed(1)
        one, same, other = (make(info, seed) for seed in (7, 7, 8))
        assert torch.equal(torch.rand(3), expected)
        assert one.info == random_twin(info, 7)
        waveforms = noise(1, 1.0, info.sample_rate_hz)
        np.testing.assert_array_equal(one.encode(waveforms), same.encode(waveforms))
        assert abs(one.encode(waveforms) - other.encode(waveforms)).max() > 1e-3


# --- another precision ----------------------------------------------------------------------------------------


def test_bfloat16_is_close_with_the_same_weights(encoder):
    """One network, two precisions; what was asked in one leaves nothing behind for the other."""
    waveforms = np.concatenate([music(2.0, encoder.info.sample_rate_hz, seed) for seed in range(2)])
    exact = encoder.encode(waveforms)
    twin = encoder.in_precision("bfloat16")
    assert twin._model is encoder._model and twin.info is encoder.info
    coarse = twin.encode(waveforms)
    one, other = (pool_frames(states, "mean") for states in (exact, coarse))
    cosines = (one * other).sum(-1) / np.linalg.norm(one, axis=-1) / np.linalg.norm(other, axis=-1)
    assert coarse.dtype == np.float32 and np.isfinite(coarse).all() and cosines.min() > 0.99
    assert abs(coarse - exact).max() > 1e-5
    assert encoder.precision == "float32" and encoder.encode(waveforms).tobytes() == exact.tobytes()
    shorter = waveforms[:, : -encoder.info.sample_rate_hz // 2]  # a length that is heard in bfloat16 first
    twin.encode(shorter)
    after = encoder.encode(shorter)
    encoder.encode(waveforms)
    assert encoder.encode(shorter).tobytes() == after.tobytes()


def test_a_precision_that_an_encoder_has_not_is_refused(tiny):
    with pytest.raises(InputError, match="mel computes in 'float32', got 'bfloat16'"):
        Mel().in_precision("bfloat16")
    with pytest.raises(InputError, match="'float32' or 'bfloat16', got 'float16'"):
        tiny["clap"][0].in_precision("float16")


# --- what must be refused -------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path) -> Path:
    """An empty one, to be filled and spoilt."""
    (tmp_path / "checkpoint").mkdir()
    return tmp_path / "checkpoint"


def change_json(file: Path, way: tuple[str, ...], value: object) -> None:
    document = at = json.loads(file.read_text())
    for step in way[:-1]:
        at = at[step]
    at[way[-1]] = value
    file.write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("kind", "name", "way", "value", "says"),
    [
        ("music2vec", "config.json", ("model_type",), "wav2vec2", "model_type = 'wav2vec2', expected 'data2vec-audio'"),
        ("music2vec", "config.json", ("add_adapter",), True, "add_adapter"),
        ("music2vec", "config.json", ("num_hidden_layers",), 2, "num_hidden_layers = 2, expected 3"),
        ("music2vec", "preprocessor_config.json", ("sampling_rate",), 24_000, "sampling_rate = 24000, expected 16000"),
        ("musicfm", "fma_stats.json", ("melspec_2048_mean",), "loud", "melspec_2048_mean = 'loud', expected a number"),
        ("musicfm", "fma_stats.json", ("melspec_2048_std",), 0, "melspec_2048_std = 0, expected a number"),
        ("muq", "config.json", ("label_rate",), 50, "label_rate = 50, expected 25"),
        ("muq", "config.json", ("w2v2_config",), [], "w2v2_config = .*, expected an object"),
        ("muq", "config.json", ("w2v2_config", "position_embeddings_type"), "relative", "position_embeddings_type"),
        ("muq", "config.json", ("stat",), {}, "melspec_2048_mean = None"),
        ("clap", "config.json", ("model_type",), "clip", "model_type = 'clip', expected 'clap'"),
        ("clap", "config.json", ("audio_config",), None, "audio_config = None, expected an object"),
        ("clap", "config.json", ("audio_config", "enable_fusion"), True, "enable_fusion = True"),
        ("clap", "config.json", ("projection_dim",), 256, "projection_dim = 256, expected 512"),
        ("clap", "preprocessor_config.json", ("truncation",), "fusion", "truncation = 'fusion', expected 'rand_trunc'"),
        ("clap", "preprocessor_config.json", ("sampling_rate",), 44_100, "sampling_rate = 44100, expected 48000"),
    ],
)
def test_wrong_configurations_are_refused(folder, kind, name, way, value, says):
    MAKERS[kind](folder)
    change_json(folder / name, way, value)
    with pytest.raises(ArtefactMismatchError, match=says):
        load(kind, folder)


def test_a_named_checkpoint_is_held_to_its_size(folder):
    make_music2vec(folder)
    with pytest.raises(ArtefactMismatchError, match=r"expected .* for music2vec"):
        Music2Vec.from_folder(folder)
    make_clap(folder)
    with pytest.raises(ArtefactMismatchError, match=r"expected .* for clap-music"):
        Clap.from_folder(folder)


def checkpoint_of(kind: str) -> str:
    return {"muq": "model.safetensors", "musicfm": "pretrained_fma.pt"}.get(kind, "pytorch_model.bin")


@pytest.mark.parametrize("kind", KINDS)
def test_missing_and_damaged_files_are_named(folder, kind):
    MAKERS[kind](folder)
    file = folder / checkpoint_of(kind)
    info = load(kind, folder).info
    content = file.read_bytes()
    for data in (content[: len(content) // 2], b"", b"\0" * 100):
        file.write_bytes(data)
        with pytest.raises(ArtefactMismatchError, match=file.name):
            load(kind, folder)
    file.write_bytes(content)
    for missing in info.files:
        away = folder / f"{missing.name}.away"
        (folder / missing.name).rename(away)
        with pytest.raises(DataMissingError, match=missing.name):
            load(kind, folder, info)
        away.rename(folder / missing.name)


@pytest.mark.parametrize("kind", ["music2vec", "musicfm", "clap"])
def test_tensors_that_do_not_fit_are_refused(folder, kind):
    """One that is missing, and one that nobody knows; of MusicFM also those of another network."""
    MAKERS[kind](folder)
    file = folder / checkpoint_of(kind)
    whole = torch.load(file, weights_only=True)
    tensors = whole.get("state_dict", whole)
    prefix = {"music2vec": "encoder.", "musicfm": "model.conformer.", "clap": "audio_projection."}[kind]
    lost = next(name for name in tensors if name.startswith(prefix) and name.endswith("weight"))
    for changed, says in (
        ({name: tensor for name, tensor in tensors.items() if name != lost}, "Missing key"),
        (tensors | {f"{prefix}stowaway": torch.zeros(2)}, "Unexpected key.*stowaway"),
        (tensors | {lost: torch.zeros(3)}, "size mismatch"),
    ):
        torch.save({"state_dict": changed} if kind == "musicfm" else changed, file)
        with pytest.raises(ArtefactMismatchError, match=f"does not fit its config.json: .*{says}"):
            load(kind, folder)
    if kind == "musicfm":
        for other, says in (({"bert.weight": torch.zeros(2)}, "another network"), (None, "not a dictionary")):
            torch.save({"state_dict": other}, file)
            with pytest.raises(ArtefactMismatchError, match=says):
                load(kind, folder)


class Hostile:
    """Unpickled, this would make a folder."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self):
        return os.mkdir, (str(self.file),)


@pytest.mark.parametrize("kind", ["music2vec", "musicfm", "clap"])
def test_code_in_a_checkpoint_is_not_run(folder, tmp_path, kind):
    MAKERS[kind](folder)
    trace = tmp_path / "trace"
    torch.save({"state_dict": {"model.conv": Hostile(trace)}}, folder / checkpoint_of(kind))
    with pytest.raises(ArtefactMismatchError, match="nothing in it was run"):
        load(kind, folder)
    assert not trace.exists()
