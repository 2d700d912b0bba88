"""Planted libraries: tracks without music whose embeddings and targets hold a known answer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np

from mess_core.catalogue.catalogue import NewTrack, Track, track_id_of
from mess_core.embeddings.store import TrackEmbedding, TrackPooler
from mess_core.encoders.base import EncoderInfo
from mess_core.encoders.musicnn import N_PENULTIMATE, N_TAGS, PENULTIMATE, TagLayer, tag_names
from mess_core.encoders.nano import NANO
from mess_core.encoders.vocabulary import TRAININGS
from mess_core.probing.discovery import Discovery, save
from mess_core.probing.probe import fit_cells
from mess_core.probing.result import ProbeSettings
from mess_core.targets.base import TargetValue
from mess_core.targets.measurements import Measured
from mess_core.targets.registry import TARGETS
from mess_core.workspace.scope import Scope
from mess_core.workspace.workspace import Workspace
from tests.conftest import FakeEncoder

TWO_LAYERS = replace(FakeEncoder().info, dim=6)
MANY = 40  # tracks in half as many works


def a_track(number: int, **facts: str | None) -> Track:
    sha256 = hashlib.sha256(str(number).encode()).hexdigest()
    return Track(track_id_of(sha256), sha256, f"t{number}", 6.0, 24_000, 1, "WAV", **facts)


def plant_tracks(home: Workspace, tracks: Collection[Track], library: str = "planted") -> list[str]:
    """Catalogue tracks without music; returns their ids in the order of the catalogue."""
    folder = home.paths.root.parent / "planted"
    folder.mkdir(exist_ok=True)
    new = []
    for track in tracks:
        audio = folder / f"{track.title}.wav"
        audio.write_bytes(b"")
        new.append(NewTrack(track, audio))
    home.catalogue.add(folder, new, library)
    return sorted(track.track_id for track in tracks)


def plant_embeddings(home: Workspace, info: EncoderInfo, vectors: Mapping[str, np.ndarray]) -> None:
    """Track id -> (n_layers, embedding_dim), the same in both segments but for a little noise."""
    rng = np.random.default_rng(99)
    for track_id, mean in vectors.items():
        noise = 0.01 * rng.standard_normal((2, *mean.shape))
        home.store.write(
            track_id,
            info,
            TrackEmbedding(
                segments=(mean + noise).astype(np.float16),
                starts_s=np.array([0.0, 1.0], np.float32),
                mean=mean.astype(np.float32),
                frame_std=np.zeros((info.n_layers, info.dim), np.float32),
            ),
        )


def plant_targets(home: Workspace, track_ids: Collection[str], planted: Mapping[str, np.ndarray]) -> None:
    """Every target of every track: what is planted, else chance; of the current version, so that nothing is missing."""
    rng = np.random.default_rng(5)
    for row, track_id in enumerate(track_ids):
        values = {target: TargetValue.good(rng.uniform(0.1, 0.9), 50) for target in TARGETS}
        values |= {target: TargetValue.good(column[row], 50) for target, column in planted.items()}
        segment = {target: value for target, value in values.items() if "segment" in TARGETS[target].levels}
        measured = Measured(track_id, values, [segment, segment])
        home.measurements.write(home.measurements.files(track_id), measured, lambda connection: None)


def told(track_ids: Collection[str]) -> np.ndarray:
    """What layer 1 tells: one number per track, the same for a track wherever it is in a list."""
    return np.array([np.random.default_rng(int(track_id, 16)).standard_normal() for track_id in track_ids])


def layered(track_ids: Collection[str], info: EncoderInfo) -> dict[str, np.ndarray]:
    """Noise in every layer; layer 1 also carries `told` without error in one of its directions."""
    rng = np.random.default_rng(3)
    vectors = {}
    for track_id, value in zip(track_ids, told(track_ids), strict=True):
        vectors[track_id] = rng.standard_normal((info.n_layers, info.embedding_dim))
        if info.n_layers > 1:
            vectors[track_id][1] = 0.01 * vectors[track_id][1]
            vectors[track_id][1, :3] = value
    return vectors


def plant_library(home: Workspace, *infos: EncoderInfo, n: int = MANY) -> list[str]:
    """`n` tracks, two performances of each work; spectral_centroid is `told` in octaves; embedded by every encoder."""
    tracks = [
        a_track(i, work=f"work {i // 2}", composer=f"composer {i % 4}", performer=f"performer {i % 2}")
        for i in range(n)
    ]
    ids = plant_tracks(home, [replace(track, composer=f"composer {i // 2 % 4}") for i, track in enumerate(tracks)])
    plant_targets(home, ids, {"spectral_centroid": 1000 * 2 ** told(ids)})
    for info in infos:
        plant_embeddings(home, info, layered(ids, info))
    return ids


def work_here(work, items):
    """What `work_through` gives, without processes."""
    for item in items:
        try:
            yield item, work(item)
        except Exception as error:
            yield item, error


def strict(text: str) -> dict:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


MANY, DURATION_S = 40, 12.5
STARTS_S = np.array([0.0, 2.5, 5.0, 7.5], np.float32)
QUERY, TWIN = 0, 7  # rows: the twin begins with what the query ends with


def pace(track_ids: Collection[str]) -> np.ndarray:
    """The other planted number, as `told` is the first: a track's own, wherever it is in a list."""
    return np.array([np.random.default_rng(int(track_id[::-1], 16)).standard_normal() for track_id in track_ids])


def embed(home: Workspace, info: EncoderInfo, track_ids: Collection[str], seed: int = 3) -> None:
    """Every layer: half of it tells one number, half the other; the first of several layers is mostly noise."""
    rng = np.random.default_rng(seed)
    half = info.embedding_dim // 2
    noise = np.full(info.n_layers, 0.1)
    if info.n_layers > 1:
        noise[0] = 3.0
    ends = None
    for row, (track_id, bright, fast) in enumerate(zip(track_ids, told(track_ids), pace(track_ids), strict=True)):
        mean = np.repeat([bright, fast], [half, info.embedding_dim - half]) + np.zeros((info.n_layers, 1))
        mean = 5 + mean + noise[:, None] * rng.standard_normal(mean.shape)
        segments = mean + 0.3 * rng.standard_normal((4, *mean.shape))
        if row == QUERY:
            ends = segments[1:]
        if row == TWIN:
            segments[:3] = ends
        frame_std = np.zeros((info.n_layers, info.dim), np.float32)
        embedding = TrackEmbedding(segments.astype(np.float16), STARTS_S, mean.astype(np.float32), frame_std)
        home.store.write(track_id, info, embedding)


def plant_heard_library(home: Workspace, *infos: EncoderInfo, library: str = "planted") -> list[str]:
    """Forty tracks that are not silent, two performances of each work; brightness and tempo are told."""
    tracks = [
        a_track(row, work=f"work {row // 2}", composer="C", performer=f"performer {row % 2}") for row in range(MANY)
    ]
    ids = plant_tracks(home, [replace(t, loudness_lufs=-20.0, duration_s=DURATION_S) for t in tracks], library)
    plant_targets(home, ids, {"spectral_centroid": 1000 * 2 ** told(ids), "tempo": 100 * 2 ** (0.5 * pace(ids))})
    with home.database.transaction() as connection:  # rubato is estimated without a score: not probed
        connection.execute("UPDATE targets SET quality = 'weak' WHERE target IN ('rubato', 'tempo_variability')")
    for info in infos:
        embed(home, info, ids)
    return ids


def discover(home: Workspace, info: EncoderInfo, library: str = "planted", **settings: object) -> Discovery:
    gathered = Scope(home, library, info).gather("work", "track")
    result = fit_cells(gathered.data, ProbeSettings(n_bootstraps=200, **settings))
    return save(home.paths, info, gathered, replace(result, settings=ProbeSettings()), library, "work")


def plant_tags(home: Workspace, heard: Mapping[str, Mapping[str, float] | list[Mapping[str, float]]]) -> None:
    """Track id -> how strong each raw tag ("mtt:violin") is in each segment, or in both of two; the others not."""
    for track_id, said in heard.items():
        segments = said if isinstance(said, list) else [said, said]
        for training, info in TRAININGS.items():
            layer = TagLayer.load(info)
            strengths = np.full((len(segments), N_TAGS), 0.005)
            for row, segment in enumerate(segments):
                for number, name in enumerate(tag_names(info)):
                    strengths[row, number] = segment.get(f"{training}:{name}", strengths[row, number])
            wanted = np.log(strengths / (1 - strengths)) - layer.bias
            found = np.zeros((len(segments), info.n_layers, info.dim), np.float32)
            found[:, PENULTIMATE, :N_PENULTIMATE] = wanted @ np.linalg.pinv(layer.kernel)
            home.store.write(
                track_id,
                info,
                TrackEmbedding(
                    segments=found.astype(np.float16),
                    starts_s=3.0 * np.arange(len(segments), dtype=np.float32),
                    mean=found.mean(axis=0),
                    frame_std=np.zeros((info.n_layers, info.dim), np.float32),
                ),
            )


INFO = FakeEncoder().info


def embedding(seed: int = 0, n_segments: int = 3) -> TrackEmbedding:
    rng = np.random.default_rng(seed)
    pooler = TrackPooler(INFO)
    for segment in range(n_segments):
        pooler.add(2.5 * segment, rng.standard_normal((INFO.n_layers, 7, INFO.dim)).astype(np.float32))
    return pooler.pool()


INSTRUMENTS, PLAYERS, N_WORKS = ("flute", "guitar", "organ"), ("Ann", "Bob", "Cid"), 10


def tracks_of_works() -> list[Track]:
    """Ten pieces, each played by three performers on three instruments, in turn."""
    return [
        replace(
            a_track(3 * work + player),
            duration_s=20.0,
            work=f"work {work}",
            composer="C",
            performer=PLAYERS[player],
            instrument=INSTRUMENTS[(work + player) % 3],
        )
        for work in range(N_WORKS)
        for player in range(3)
    ]


def embed_works(home: Workspace, tracks: list[Track]) -> None:
    """Recordings of one work are all but the same to every layer; the instrument and the performer leave no trace."""
    rng = np.random.default_rng(1)
    of_work = {f"work {work}": rng.standard_normal((NANO.n_layers, NANO.embedding_dim)) for work in range(N_WORKS)}
    noise = np.random.default_rng(2)
    plant_embeddings(
        home, NANO, {t.track_id: of_work[t.work] + 0.1 * noise.standard_normal((NANO.n_layers, 1)) for t in tracks}
    )
