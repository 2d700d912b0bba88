"""A library of any size that is drawn already, without any music: what the Map page is measured and tested on.

Points lie in round groups of several densities; an instrument and a performer are those of a group.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from mess_core.catalogue.catalogue import NewTrack, Track, track_id_of
from mess_core.embeddings.store import TrackEmbedding, remember_encoder
from mess_core.encoders.base import EncoderInfo
from mess_core.encoders.mel import MEL
from mess_core.maps.drawing import kept_at
from mess_core.maps.kept import write_view
from mess_core.maps.settings import MapSettings
from mess_core.maps.trust import Trust, nearest_on_map
from mess_core.storage.files import write_sealed
from mess_core.storage.packed import write_packed
from mess_core.workspace.scope import Scope
from mess_core.workspace.workspace import Workspace

LIBRARY = "planted"
INSTRUMENTS = ("piano", "strings", "flute", "organ", "guitar", "harp", "voice", "clarinet")
N_GROUPS, K = 40, 15


def plant_map(root: Path, n: int, n_whole: int = 10, seed: int = 0) -> list[str]:
    """Fill a data folder; returns the ids in the order of the map.

    Parameters
    ----------
    n_whole : int
        So many, the first ones, have a real embedding and can be clicked; of the others only the catalogue knows one.
    """
    rng = np.random.default_rng(seed)
    workspace = Workspace(root)
    workspace.database.set_setting("demo", "removed")
    ids = catalogue_of(workspace, n, rng)
    _embed(workspace, ids, n_whole, rng)
    performers = [str(track.performer) for track in workspace.catalogue.tracks(LIBRARY)]
    groups = np.array([int(performer.split()[1]) for performer in performers])
    centres, widths = rng.standard_normal((N_GROUPS, 2)) * 0.5, rng.uniform(0.03, 0.12, N_GROUPS)
    points = centres[groups] + rng.standard_normal((n, 2)) * widths[groups][:, None]
    _draw(workspace, ids, points.astype(np.float32), rng.random(n).astype(np.float32))
    workspace.database.close()
    return ids


def catalogue_of(workspace: Workspace, n: int, rng: np.random.Generator) -> list[str]:
    """Register n made-up tracks of empty files; returns their ids, in order."""
    of_group = rng.integers(0, N_GROUPS, n)
    tracks = sorted((_track(number, group) for number, group in enumerate(of_group)), key=lambda each: each.track_id)
    _catalogue(workspace, tracks)
    return [track.track_id for track in tracks]


def _track(number: int, group: int) -> Track:
    sha256 = hashlib.sha256(str(number).encode()).hexdigest()
    return Track(
        track_id_of(sha256), sha256, f"nocturne {number}", 20.0, 24_000, 1, "WAV", work=f"work {number // 4}",
        composer=f"composer {group % 10}", performer=f"performer {group}", instrument=INSTRUMENTS[group % 8],
    )  # fmt: skip


def _catalogue(workspace: Workspace, tracks: Sequence[Track]) -> None:
    music = workspace.paths.root / "music"
    music.mkdir(exist_ok=True)
    new = [NewTrack(track, music / f"{track.title}.wav") for track in tracks]
    for each in new:
        each.audio.touch()
    workspace.catalogue.add(music, new, LIBRARY)


def _embed(workspace: Workspace, ids: Sequence[str], n_whole: int, rng: np.random.Generator) -> None:
    vectors = rng.standard_normal((len(ids), MEL.n_layers, MEL.embedding_dim)).astype(np.float32)
    embeddings_known(workspace, ids, MEL)
    for row, track_id in enumerate(ids[:n_whole]):
        segments = np.stack([vectors[row]] * 2).astype(np.float16)
        spread = np.zeros((MEL.n_layers, MEL.dim), np.float32)
        starts_s = np.array([0.0, 2.5], np.float32)
        workspace.store.write(track_id, MEL, TrackEmbedding(segments, starts_s, vectors[row], spread))
    content = workspace.store.content(ids, MEL)
    write_packed(workspace.paths.packed / f"{content}.npy", vectors)


def embeddings_known(workspace: Workspace, ids: Sequence[str], info: EncoderInfo) -> None:
    """Let the catalogue know an embedding of each, of which no file is there."""
    now = time.time()
    with workspace.database.transaction() as connection:
        remember_encoder(connection, info)
        rows = [(each, info.fingerprint, each, hashlib.sha256(each.encode()).hexdigest(), 1, 2, now) for each in ids]
        connection.executemany("INSERT OR REPLACE INTO embeddings VALUES (?, ?, ?, ?, ?, ?, ?)", rows)


def _draw(workspace: Workspace, ids: Sequence[str], points: np.ndarray, kept: np.ndarray) -> None:
    settings, trust = MapSettings(), Trust(0.9, 0.9, 0.5, 0.001, K, 3000)
    content = workspace.store.content(ids, MEL)
    path = kept_at(Scope(workspace, LIBRARY, MEL), settings, content, 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = {
        "library": LIBRARY, "encoder": MEL.id, "fingerprint": MEL.fingerprint, "layer": 0, "content": content,
        "settings": asdict(settings), "track_ids": list(ids), "provenance": {}, "metric": "cosine",
        "trust": asdict(trust), "pca_trust": asdict(trust),
    }  # fmt: skip
    arrays = {
        "umap": points, "pca": points[:, ::-1].copy(), "preservation": kept, "pca_preservation": kept,
        "nearest": nearest_on_map(points, K).astype(np.int32), "distances": np.ones((len(ids), K), np.float32),
    }  # fmt: skip
    write_view(path, facts, arrays)
    write_sealed(path.parent.parent / "current.json", {"content": path.parent.name})
