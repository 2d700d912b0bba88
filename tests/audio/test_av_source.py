"""Formats that FFmpeg reads: whole, at any passage, and never more than the file that was given."""

from __future__ import annotations

import contextlib
import io
import socket
import struct
import time
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from mess_core.audio import av_source
from mess_core.audio import source as audio_source
from mess_core.audio.av_source import AvSource
from mess_core.audio.decode import Decoder, inspect_audio, read_excerpt
from mess_core.audio.source import open_audio
from mess_core.errors import AudioError

pytestmark = pytest.mark.slow

RATE_HZ = 48_000
SECONDS = 6

# suffix -> FFmpeg's container, its encoder, how far a decoder may be off the samples that were encoded
FORMATS = {
    "m4a": ("mp4", "aac", 0.1),
    "alac.m4a": ("mp4", "alac", 1e-4),
    "mov": ("mov", "pcm_s16be", 1e-4),
    "3gp": ("3gp", "aac", 0.1),
    "aac": ("adts", "aac", 0.1),
    "aiff": ("aiff", "pcm_s24be", 1e-4),
    "aifc": ("aiff", "pcm_f32be", 1e-4),
    "caf": ("caf", "alac", 1e-4),
    "w64": ("w64", "pcm_s16le", 1e-4),
    "au": ("au", "pcm_alaw", 0.05),
    "mulaw.wav": ("wav", "pcm_mulaw", 0.05),
    "ima.wav": ("wav", "adpcm_ima_wav", 0.1),
    "ms.wav": ("wav", "adpcm_ms", 0.1),
    "f64.wav": ("wav", "pcm_f64le", 1e-4),
    "flac": ("flac", "flac", 1e-4),
    "oga": ("ogg", "flac", 1e-4),
    "ogg": ("ogg", "libvorbis", 0.1),
    "opus": ("ogg", "libopus", 0.1),
    "wv": ("wv", "wavpack", 0.01),
    "tta": ("tta", "tta", 0.01),
    "mp3": ("mp3", "libmp3lame", 0.1),
    "mp2": ("mp2", "mp2", 0.1),
    "ac3": ("ac3", "ac3", 0.1),
    "mka": ("matroska", "flac", 1e-4),
    "webm": ("webm", "libopus", 0.1),
    "vorbis.webm": ("webm", "libvorbis", 0.1),
    "wma": ("asf", "wmav2", 0.15),
    "mts": ("mpegts", "aac", 0.1),
    "avi": ("avi", "libmp3lame", 0.1),
    "flv": ("flv", "aac", 0.1),
}  # fmt: skip


def music(n_channels: int = 2, seconds: float = SECONDS) -> np.ndarray:
    """Tones that wander, so that every passage is another one; shape (n, n_channels)."""
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    sweep = np.sin(2 * np.pi * (150 * t + 60 * t**2))
    other = np.sin(2 * np.pi * (900 * t + 3 * np.sin(2 * np.pi * 1.3 * t)))
    return np.stack([0.3 * sweep + 0.15 * other, 0.3 * sweep - 0.1 * other][:n_channels], axis=1).astype(np.float32)


def encode(path: Path, container: str, codec: str, samples: np.ndarray, *, film: bool = False) -> Path:
    """Encode with FFmpeg; as a film, beside a black picture."""
    if codec == "libvorbis":
        return _encode_vorbis(path, container, samples)
    layout = {1: "mono", 2: "stereo"}[samples.shape[1]]
    with av.open(str(path), "w", format=container) as out:
        stream = out.add_stream(codec, rate=RATE_HZ, layout=layout)
        if codec in ("wmav2", "libmp3lame", "mp2", "ac3"):
            stream.bit_rate = 128_000
        resampler = av.AudioResampler(stream.codec_context.codec.audio_formats[0], layout, RATE_HZ)
        if film:
            picture = out.add_stream("mpeg4", rate=25)
            picture.width, picture.height, picture.pix_fmt = 64, 64, "yuv420p"
            for _ in range(25 * SECONDS):
                out.mux(picture.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")))
            out.mux(picture.encode())
        for start in range(0, len(samples), 1000):
            frame = av.AudioFrame.from_ndarray(samples[start : start + 1000].reshape(1, -1).copy(), "flt", layout)
            frame.sample_rate, frame.pts = RATE_HZ, start
            for ready in resampler.resample(frame):
                out.mux(stream.encode(ready))
        for ready in resampler.resample(None):
            out.mux(stream.encode(ready))
        out.mux(stream.encode())
    return path


def _encode_vorbis(path: Path, container: str, samples: np.ndarray) -> Path:
    """By libsndfile, and packed into another container if need be."""
    soundfile.write(path, samples, RATE_HZ, format="OGG", subtype="VORBIS")
    if container != "ogg":
        content = path.read_bytes()
        with av.open(io.BytesIO(content)) as ogg, av.open(str(path), "w", format=container) as out:
            stream = out.add_stream_from_template(ogg.streams.audio[0])
            for packet in ogg.demux():
                if packet.dts is not None:
                    packet.stream = stream
                    out.mux(packet)
    return path


class Made:
    """One file of each format, made when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __getitem__(self, name: str) -> Path:
        path = self.folder / f"a.{name}"
        return path if path.exists() else encode(path, *FORMATS[name][:2], music())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp("formats"))


def whole(path: Path) -> np.ndarray:
    with open_audio(path) as source:
        return source.read(10**7)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_read_whole(made: Made, name: str) -> None:
    """All samples, at their place but for an encoder's delay, and nothing is called cut."""
    found, expected = whole(made[name]), music()
    assert abs(len(found) - len(expected)) < 0.15 * RATE_HZ
    middle = slice(RATE_HZ, 3 * RATE_HZ)
    lags = range(-3000, 3000)
    start = min(lags, key=lambda lag: np.abs(found[RATE_HZ + lag :][:2000] - expected[RATE_HZ:][:2000]).mean())
    error = np.abs(found[middle.start + start : middle.stop + start] - expected[middle])
    assert np.quantile(error, 0.95) < FORMATS[name][2]
    decoder = Decoder(made[name], 24_000)
    assert sum(map(len, decoder)) == pytest.approx(SECONDS * 24_000, abs=0.15 * 24_000)
    assert not decoder.facts.is_truncated
    assert inspect_audio(made[name]).duration_s == pytest.approx(SECONDS, abs=0.15)


@pytest.mark.parametrize("name", FORMATS)
def test_a_passage_is_a_slice_of_the_whole(made: Made, name: str) -> None:
    """Forwards, backwards, across packets, read in any portions: the samples of the whole, to what codecs remember."""
    expected = whole(made[name])
    rng = np.random.default_rng(0)
    # Opus predicts from what it decoded before; AAC fills bands with noise, drawn anew where decoding begins.
    tolerance = {"opus": 2e-3, "webm": 2e-3, "m4a": 0.03, "3gp": 0.03, "aac": 0.03}.get(name, 1e-5)
    with open_audio(made[name]) as source:
        for start in [*rng.integers(0, len(expected) - 5000, 6), 1, 0, len(expected) - 3000]:
            source.seek(int(start))
            found = np.concatenate([source.read(int(n)) for n in (1, 700, 2000)])
            np.testing.assert_allclose(found, expected[start:][:2701], atol=tolerance)
    excerpt, rate_hz = read_excerpt(made[name], 2.5, 1.0)
    assert rate_hz == RATE_HZ
    np.testing.assert_allclose(excerpt, expected[round(2.5 * RATE_HZ) :][:RATE_HZ], atol=tolerance)


def test_of_a_film_the_sound_is_read(tmp_path: Path) -> None:
    """The picture is passed over; a film without sound is one sentence."""
    path = encode(tmp_path / "a.mp4", "mp4", "aac", music(), film=True)
    assert inspect_audio(path).codec == "MP4 AAC"
    assert len(whole(path)) == pytest.approx(SECONDS * RATE_HZ, abs=0.1 * RATE_HZ)
    with av.open(str(tmp_path / "b.mp4"), "w") as out:
        picture = out.add_stream("mpeg4", rate=25)
        picture.width, picture.height, picture.pix_fmt = 64, 64, "yuv420p"
        out.mux(picture.encode(av.VideoFrame(64, 64, "yuv420p")))
        out.mux(picture.encode())
    with pytest.raises(AudioError, match=r"^b\.mp4 holds no sound"):
        inspect_audio(tmp_path / "b.mp4")


def test_chained_ogg_is_read_whole(tmp_path: Path) -> None:
    """Streams one behind the other, as recorded radio has them: all are read and counted."""
    parts = [encode(tmp_path / f"{n}.ogg", "ogg", "libvorbis", music(seconds=n)).read_bytes() for n in (2, 3)]
    (tmp_path / "a.ogg").write_bytes(b"".join(parts))
    assert inspect_audio(tmp_path / "a.ogg").duration_s == pytest.approx(5, abs=0.3)
    found = whole(tmp_path / "a.ogg")
    assert len(found) == pytest.approx(5 * RATE_HZ, abs=2000)
    with open_audio(tmp_path / "a.ogg") as source:
        source.seek(3 * RATE_HZ)
        np.testing.assert_allclose(source.read(5000), found[3 * RATE_HZ :][:5000], atol=1e-5)


LINKS = {  # rate, channels, seconds, tone
    "rates": ("vorbis", [(44_100, 2, 2.0, 500), (48_000, 2, 3.0, 900)]),
    "three rates": ("vorbis", [(48_000, 1, 2.0, 500), (22_050, 1, 1.5, 900), (44_100, 1, 3.0, 1300)]),
    "mono, stereo": ("vorbis", [(44_100, 1, 2.0, 500), (44_100, 2, 3.0, 900)]),
    "stereo, mono, stereo": ("vorbis", [(44_100, 2, 1.0, 500), (44_100, 1, 2.0, 900), (44_100, 2, 1.0, 1300)]),
    "opus": ("opus", [(48_000, 1, 2.0, 500), (48_000, 2, 3.0, 900)]),
    "flac": ("flac", [(44_100, 1, 2.0, 500), (96_000, 2, 3.0, 900)]),
    "codecs": ("mixed", [(48_000, 1, 2.0, 500), (44_100, 2, 3.0, 900), (48_000, 2, 1.0, 1300)]),
    "all alike": ("vorbis", [(44_100, 2, 1.0, 500 + 200 * n) for n in range(12)]),
}


def link(codec: str, rate_hz: int, n_channels: int, seconds: float, tone_hz: int) -> bytes:
    """An Ogg file with a tone."""
    tone = 0.3 * np.sin(2 * np.pi * tone_hz * np.arange(round(seconds * rate_hz)) / rate_hz)
    samples = np.stack([tone] * n_channels, axis=1).astype(np.float32)
    file = io.BytesIO()
    if codec != "flac":
        soundfile.write(file, samples, rate_hz, format="OGG", subtype=codec.upper())
        return file.getvalue()
    layout = {1: "mono", 2: "stereo"}[n_channels]
    with av.open(file, "w", format="ogg") as out:
        stream = out.add_stream("flac", rate=rate_hz, layout=layout)
        resampler = av.AudioResampler("s16", layout, rate_hz, frame_size=4096)
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), "flt", layout)
        frame.sample_rate, frame.pts = rate_hz, 0
        for ready in [*resampler.resample(frame), *resampler.resample(None)]:
            out.mux(stream.encode(ready))
        out.mux(stream.encode())
    return file.getvalue()


@pytest.mark.parametrize("name", LINKS)
@pytest.mark.parametrize("between", [b"", b"junk" * 9])
def test_a_chained_ogg_of_any_parts_is_read_whole(tmp_path: Path, name: str, between: bytes) -> None:
    """Each part is there at its time, at the rate and with the channels of the first."""
    codec, parts = LINKS[name]
    codecs = ["opus", "vorbis", "flac"] if codec == "mixed" else [codec] * len(parts)
    path = tmp_path / "a.ogg"
    path.write_bytes(between.join(link(codec, *part) for codec, part in zip(codecs, parts, strict=True)))
    rate_hz, n_channels = parts[0][:2]
    total_s = sum(part[2] for part in parts)
    info = inspect_audio(path)
    assert (info.sample_rate_hz, info.n_channels, info.is_truncated) == (rate_hz, n_channels, False)
    assert info.duration_s == pytest.approx(total_s, abs=0.02 * len(parts))
    found = whole(path)
    assert len(found) == pytest.approx(total_s * rate_hz, abs=0.02 * len(parts) * rate_hz)
    start_s = 0.0
    for _, _, seconds, tone_hz in parts:
        piece = found[round((start_s + 0.2) * rate_hz) : round((start_s + seconds - 0.2) * rate_hz)]
        for channel in piece.T:
            strength = np.abs(np.fft.rfft(channel * np.hanning(len(channel))))
            assert strength.argmax() * rate_hz / len(channel) == pytest.approx(tone_hz, abs=5)
            assert np.sqrt((channel**2).mean()) == pytest.approx(0.3 / np.sqrt(2), rel=0.1)
        start_s += seconds
    decoder = Decoder(path, rate_hz)
    assert sum(map(len, decoder)) == len(found)
    assert not decoder.facts.is_truncated
    with open_audio(path) as source:
        for frame in (len(found) - 5000, round(1.5 * rate_hz), 0, round(parts[0][2] * rate_hz) - 2000):
            source.seek(frame)
            np.testing.assert_array_equal(source.read(4000), found[frame:][:4000])


def test_a_part_that_cannot_be_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part in a codec that is not read, damaged or cut is left out or short; so are those beyond what is searched."""
    good, other = link("vorbis", 44_100, 2, 2.0, 500), link("vorbis", 44_100, 2, 1.0, 900)
    damaged = other.replace(b"vorbis", b"sibrov")
    for content, seconds in (
        (good + damaged + other, 3.0),
        (damaged + good, 2.0),
        (good + other[: len(other) // 2], 2),
    ):
        (tmp_path / "a.ogg").write_bytes(content)
        assert inspect_audio(tmp_path / "a.ogg").is_truncated
        assert len(whole(tmp_path / "a.ogg")) >= seconds * 44_100 - 1000
    empty = link("vorbis", 44_100, 2, 0.0, 500)
    (tmp_path / "a.ogg").write_bytes(good + empty + other)
    assert not inspect_audio(tmp_path / "a.ogg").is_truncated
    monkeypatch.setattr(audio_source, "_MAX_LINKS", 2)
    (tmp_path / "a.ogg").write_bytes(good + other + other)
    assert inspect_audio(tmp_path / "a.ogg").is_truncated
    (tmp_path / "a.ogg").write_bytes(damaged + damaged)
    with pytest.raises(AudioError, match=r"^a\.ogg "):
        inspect_audio(tmp_path / "a.ogg")


@pytest.mark.parametrize("name", ["mp3", "flac", "ogg", "aac"])
@pytest.mark.parametrize("n_junk", [5000, 90_000])
def test_bytes_amid_the_audio_cost_little(made: Made, tmp_path: Path, name: str, n_junk: int) -> None:
    """What follows is found again, at its time, and the file is not called cut."""
    content, expected = made[name].read_bytes(), whole(made[name])
    middle = len(content) // 2
    junk = np.random.default_rng(0).bytes(n_junk)
    path = tmp_path / "a"
    path.write_bytes(content[:middle] + junk + content[middle:])
    found = whole(path)
    assert len(found) > len(expected) - (1.2 if name == "ogg" else 0.5) * RATE_HZ  # pages of Ogg last a second
    ends = [each[-RATE_HZ:-4000] for each in (found, expected)]
    lag = min(range(-4000, 4000), key=lambda lag: np.abs(ends[0][4000:9000] - ends[1][4000 + lag : 9000 + lag]).mean())
    assert np.abs(ends[0][4000:20_000] - ends[1][4000 + lag : 20_000 + lag]).max() < 1e-3
    decoder = Decoder(path, 24_000)
    for _ in decoder:
        pass
    assert not decoder.facts.is_truncated


@pytest.mark.parametrize("name", ["m4a", "flac", "oga", "opus", "wv", "aiff", "mp3", "mulaw.wav", "alac.m4a", "caf"])
def test_a_cut_file_gives_what_it_holds_and_says_so(made: Made, tmp_path: Path, name: str) -> None:
    """MP4 and CAF keep what is needed for reading at their end: of them nothing is left."""
    content = made[name].read_bytes()
    path = tmp_path / "a"
    path.write_bytes(content[: len(content) * 6 // 10])
    try:
        decoder = Decoder(path, 24_000)
        n = sum(map(len, decoder))
    except AudioError as error:
        assert name in ("m4a", "alac.m4a", "caf") and error.message.startswith("a ")
        return
    assert n == pytest.approx(0.6 * SECONDS * 24_000, rel=0.2)
    assert decoder.facts.is_truncated


def test_a_length_that_is_not_there_is_counted(tmp_path: Path) -> None:
    """A recording of a browser has no length in its header."""
    path = encode(tmp_path / "a.webm", "webm", "libopus", music())
    content = path.read_bytes()
    at = content.index(b"\x44\x89\x88")  # EBML: duration, 8 bytes
    path.write_bytes(content[:at] + b"\xec\x89" + bytes(9) + content[at + 11 :])  # 9 bytes of nothing
    assert inspect_audio(path).duration_s == pytest.approx(SECONDS, abs=0.1)


@pytest.mark.parametrize("n_junk", [0, 1, 999, 20_000, 65_535, 65_536, 200_000, 1_000_000, 3_000_000])
@pytest.mark.parametrize("name", ["mp3", "mp2", "aac"])
def test_frames_behind_any_bytes(made: Made, tmp_path: Path, n_junk: int, name: str) -> None:
    """Random bytes hold headers of frames by chance; the first of many that follow each other is the first."""
    expected, info = whole(made[name]), inspect_audio(made[name])
    expected_excerpt, _ = read_excerpt(made[name], 2.5, 1.0)
    path = tmp_path / "a"
    for junk in (bytes(n_junk), np.random.default_rng(0).bytes(n_junk), np.random.default_rng(1).bytes(n_junk)):
        path.write_bytes(junk + made[name].read_bytes())
        assert inspect_audio(path) == info
        np.testing.assert_array_equal(whole(path), expected)
        np.testing.assert_array_equal(read_excerpt(path, 2.5, 1.0)[0], expected_excerpt)
        decoder = Decoder(path, RATE_HZ)
        assert sum(map(len, decoder)) == len(expected)
        assert not decoder.facts.is_truncated


@pytest.mark.parametrize("n_junk", [0, 65_536, 200_000])
@pytest.mark.parametrize("name", ["mp3", "mp2", "ac3"])
def test_a_length_that_is_known_changes_no_sample(made: Made, n_junk: int, name: str) -> None:
    """Whether or not packets are counted, wherever FFmpeg finds the first of them: nothing comes twice."""
    content = bytes(n_junk) + made[name].read_bytes()
    counted = AvSource(io.BytesIO(content), "a", is_length_known=False)
    expected = counted.read(10**7)
    counted.close()
    assert len(expected) == pytest.approx(SECONDS * RATE_HZ, abs=0.1 * RATE_HZ)
    known = AvSource(io.BytesIO(content), "a", n_frames=len(expected))
    np.testing.assert_array_equal(known.read(10**7), expected)
    known.close()


def test_an_mp4_behind_a_tag(made: Made, tmp_path: Path) -> None:
    """It begins with a size, and so with zeros, which are no padding of the tag."""
    (tmp_path / "a.m4a").write_bytes(b"ID3\4\0\0\0\0\0\x0a" + bytes(10) + made["m4a"].read_bytes())
    assert len(whole(tmp_path / "a.m4a")) == len(whole(made["m4a"]))


def test_free_format_mp3(tmp_path: Path) -> None:
    """Frames whose header does not say how long they are."""
    plain = encode(tmp_path / "b.mp3", "mp3", "libmp3lame", music(1)).read_bytes()
    at, n_bytes = plain.index(b"\xff\xfb"), 144 * 128_000 // RATE_HZ
    frames = [plain[start : start + n_bytes] for start in range(at, len(plain) - n_bytes + 1, n_bytes)]
    assert all(frame[:2] == b"\xff\xfb" and frame[2] & 0xF0 == 0x90 for frame in frames)
    free = [frame[:2] + bytes([frame[2] & 0x0F]) + frame[3:] for frame in frames[1:]]  # the first one tells the length
    (tmp_path / "a.mp3").write_bytes(b"".join(free))
    assert len(whole(tmp_path / "a.mp3")) == pytest.approx(SECONDS * RATE_HZ, abs=0.2 * RATE_HZ)


# --- hostile files ----------------------------------------------------------------------------------------

PLAYLISTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{decoy}\n#EXT-X-ENDLIST\n",
    "ffconcat": "ffconcat version 1.0\nfile '{decoy}'\n",
    "m3u": "#EXTM3U\n#EXTINF:5,song\n{decoy}\n",
    "pls": "[playlist]\nFile1={decoy}\nNumberOfEntries=1\n",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio {port} RTP/AVP 0\n",
    "dash": (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" profiles="urn:mpeg:dash:profile:full:2011"'
        ' type="static" mediaPresentationDuration="PT5S"><Period><AdaptationSet mimeType="audio/mp4"><Representation'
        ' id="1"><BaseURL>{decoy}</BaseURL></Representation></AdaptationSet></Period></MPD>'
    ),
    "asx": '<ASX version="3.0"><ENTRY><REF HREF="{decoy}"/></ENTRY></ASX>',
    "rtsp": "rtsptext\n{decoy}\n",
    "reference": "[Reference]\nRef1={decoy}\n",
}


@pytest.mark.parametrize("suffix", ["m3u8", "mp3"])
@pytest.mark.parametrize("kind", PLAYLISTS)
@pytest.mark.parametrize("place", ["path", "file", "http"])
def test_a_playlist_opens_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, place: str, suffix: str
) -> None:
    """Neither the file it names, by path or URL, which would be read as sound, nor a socket."""
    monkeypatch.chdir(tmp_path)
    soundfile.write("decoy.wav", music(1, 0.5), RATE_HZ)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        where = {"path": "decoy.wav", "file": f"file://{tmp_path}/decoy.wav", "http": f"http://127.0.0.1:{port}/a.wav"}
        path = tmp_path / f"list.{suffix}"
        path.write_text(PLAYLISTS[kind].format(decoy=where[place], port=port))
        with pytest.raises(AudioError, match=f"^list\\.{suffix} (is no audio|holds no sound)"):
            inspect_audio(path)
        server.settimeout(0.05)
        with pytest.raises(TimeoutError):
            server.accept()


def test_a_film_in_parts_opens_none_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """QuickTime may refer to other files for its samples."""
    decoy = encode(tmp_path / "decoy.mov", "mov", "pcm_s16be", music())
    content = bytearray(decoy.read_bytes())
    at = content.index(b"dref")
    alias = b"url " + struct.pack(">I", 0) + f"file://{decoy}".encode() + b"\0"
    entry = struct.pack(">I", len(alias) + 4) + alias
    box_bytes = struct.unpack(">I", content[at - 4 : at])[0]
    content[at - 4 : at - 4 + box_bytes] = (
        struct.pack(">I", 16 + len(entry)) + b"dref" + struct.pack(">II", 0, 1) + entry
    )
    path = tmp_path / "a.mov"
    path.write_bytes(content)
    opened: list[str] = []
    monkeypatch.setattr(av_source, "_refuse", lambda url, *_: opened.append(url))
    with contextlib.suppress(AudioError), open_audio(path) as source:
        source.read(1000)  # of its own bytes, or nothing
    assert opened == []


@pytest.mark.parametrize("kind", ["stsz", "stsc", "ctts", "trun"])
@pytest.mark.parametrize("place", ["moov", "udta"])
def test_an_mp4_that_announces_too_much_is_refused_at_once(made: Made, tmp_path: Path, kind: str, place: str) -> None:
    """A few bytes could have FFmpeg make a table of gigabytes."""
    many = 2**30
    table = {
        "stsz": struct.pack(">IIII", 0, 1, many, 0),
        "stsc": struct.pack(">IIIII", 0, 1, 1, many, 1),
        "ctts": struct.pack(">IIII", 0, 1, many, 0),
        "trun": struct.pack(">III", 0, many, 0),
    }[kind]
    box = struct.pack(">I", 8 + len(table)) + kind.encode() + table
    if kind == "stsc":
        box += struct.pack(">I4sIII", 20, b"stco", 0, 1, 100)
    if place == "udta":
        box = struct.pack(">I4s", 8 + len(box), b"udta") + box
    content = made["m4a"].read_bytes()
    path = tmp_path / "a.m4a"
    path.write_bytes(content + struct.pack(">I4s", 8 + len(box), b"moov") + box)
    with pytest.raises(AudioError, match=r"^a\.m4a announces more packets than any recording has"):
        inspect_audio(path)


def test_what_is_allowed_is_sound() -> None:
    """No format that refers to others, no decoder of pictures, and all names are FFmpeg's."""
    for name in av_source.FORMATS:
        av.format.ContainerFormat(name, "r")
    for name in av_source.CODECS:
        assert av.codec.Codec(name, "r").type == "audio"
    assert not {"hls", "concat", "dash", "sdp", "rtsp", "image2", "lavfi", "ffmetadata", "imf"} & set(av_source.FORMATS)


def test_a_codec_outside_the_list_is_named(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(av_source, "CODECS", av_source.CODECS - {"wavpack"})
    with pytest.raises(AudioError, match=r"^a\.wv holds wavpack, which MESS does not read"):
        inspect_audio(made["wv"])


def test_bytes_without_sound_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Packets that bring nothing are given up after a while, whatever follows."""
    monkeypatch.setattr(av_source, "MAX_SILENT_PACKETS", 50)
    content = encode(tmp_path / "b.aac", "adts", "aac", music()).read_bytes()
    n_bytes = (content[3] & 3) << 11 | content[4] << 3 | content[5] >> 5
    junk = np.random.default_rng(0).bytes(n_bytes - 7)
    (tmp_path / "a.aac").write_bytes(content + (content[:7] + junk) * 2000)
    started_s = time.perf_counter()
    assert len(whole(tmp_path / "a.aac")) < 20 * RATE_HZ
    assert time.perf_counter() - started_s < 5


def test_a_disk_that_fails_is_said(made: Made) -> None:
    """An error of the system is not taken for the end of the recording."""
    from mess_core.audio.av_source import AvSource

    class Failing(io.BytesIO):
        fails = False

        def read(self, size: int | None = -1) -> bytes:
            if self.fails:
                raise OSError(5, "Input/output error")
            return super().read(size)

    file = Failing(made["flac"].read_bytes())
    source = AvSource(file, "a")
    assert len(source.read(100)) == 100
    file.fails = True
    with pytest.raises(OSError, match="Input/output error"):
        source.read(10**7)
