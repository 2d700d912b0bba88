"""A system that refuses a call, and everything of ours that writes."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mess_core.audio.decode import samples_sha256, wav_bytes
from mess_core.embeddings.hidden_states import RawWriter, verify_raw
from mess_core.embeddings.store import TrackEmbedding
from mess_core.encoders.base import EncoderInfo
from mess_core.encoders.mel import MEL
from mess_core.errors import MessError
from mess_core.evaluation.kept import load_evaluation, save_evaluation
from mess_core.maps.kept import read_view, write_view
from mess_core.probing.discovery import save
from mess_core.storage.packed import open_packed, read_packed, write_packed, write_packed_in_parts
from mess_core.workspace.scan import scan
from mess_core.workspace.scope import Scope
from mess_core.workspace.uploads import UploadWriter
from mess_core.workspace.workspace import Workspace
from tests.reliability.conftest import Everything

FAULTS = (errno.EIO, errno.ENOSPC, errno.EACCES, errno.EMFILE)
CALLS = ("open", "mkdir", "fsync", "replace", "rename", "unlink", "close")
MOST_CALLS = 200


class Faults:
    """Lets the n-th call of the system fail, once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, root: Path, n: int, code: int) -> None:
        self.n_left, self.code = n, code
        self.failed = ""
        for name in CALLS:
            monkeypatch.setattr(os, name, self._failing(name, getattr(os, name)))
        real = os.fdopen

        def fdopen(*arguments: Any, **options: Any) -> Any:
            return _Stream(real(*arguments, **options), self)

        monkeypatch.setattr(os, "fdopen", fdopen)
        real_open = Path.open

        def path_open(path: Path, mode: str = "r", *arguments: Any, **options: Any) -> Any:
            if path.is_relative_to(root):  # and not where Python looks for its own files
                self.count("Path.open")
            stream = real_open(path, mode, *arguments, **options)
            return _Stream(stream, self) if "w" in mode else stream

        monkeypatch.setattr(Path, "open", path_open)

    def count(self, name: str) -> None:
        self.n_left -= 1
        if self.n_left == 0:
            self.failed = name
            raise OSError(self.code, os.strerror(self.code))

    def _failing(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            if name == "close":  # what is closed is closed, whatever the system says
                real(*arguments, **options)
                self.count(name)
                return None
            self.count(name)
            return real(*arguments, **options)

        return call


class _Stream:
    """A file that is being written, whose every write, flush and close is counted; half of a failed write arrives."""

    def __init__(self, stream: io.BufferedWriter, faults: Faults) -> None:
        self._stream, self._faults = stream, faults

    def write(self, data: bytes) -> int:
        try:
            self._faults.count("write")
        except OSError:
            self._stream.write(data[: len(data) // 2])
            raise
        return self._stream.write(data)

    def flush(self) -> None:
        self._faults.count("flush")
        self._stream.flush()

    def close(self) -> None:
        self._stream.close()
        self._faults.count("close of a stream")

    def __enter__(self) -> _Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@dataclass
class Operation:
    """Something that writes. `act(n)` writes another content for every n; `state(n)` is what a reader sees then."""

    act: Callable[[int], object]
    state: Callable[[int], object]
    is_quiet: bool = False  # a cache: what cannot be kept is not, and nothing is raised
    begin: Callable[[], object] = lambda: None  # before each round, so that the n-th call is the same in all of them


def an_embedding(seed: int) -> TrackEmbedding:
    rng = np.random.default_rng(seed)
    mean = rng.standard_normal((MEL.n_layers, MEL.embedding_dim)).astype(np.float32)
    segments = np.repeat(mean[None], 2, axis=0).astype(np.float16)
    return TrackEmbedding(segments, np.array([0, 2.5], np.float32), mean, np.zeros((MEL.n_layers, MEL.dim), np.float32))


def write_embedding(made: Everything) -> Operation:
    """A new embedding in place of one with other bytes."""
    store, track_id = made.home.store, made.home.catalogue.track_ids("music")[0]

    def begin() -> None:
        store.forget(track_id, MEL.fingerprint)
        store.write(track_id, MEL, an_embedding(0))

    return Operation(
        lambda n: store.write(track_id, MEL, an_embedding(n)),
        lambda n: store.read(track_id, MEL).mean.tobytes(),
        begin=begin,
    )


def write_first_embedding(made: Everything) -> Operation:
    store, track_id = made.home.store, made.home.catalogue.track_ids("music")[0]

    def info(n: int) -> EncoderInfo:
        return replace(MEL, revision=f"revision {n}")

    return Operation(
        lambda n: store.write(track_id, info(n), an_embedding(n)),
        lambda n: store.read(track_id, info(n)).mean.tobytes() if store.has(track_id, info(n)) else None,
    )


def keep_upload(made: Everything) -> Operation:
    def act(n: int) -> None:
        data = wav_bytes(np.random.default_rng(n).uniform(-0.2, 0.2, (24_000, 1)).astype(np.float32), 24_000)
        writer = UploadWriter(made.home, f"new {n}.wav", len(data))
        try:
            writer.write(data)
            writer.finish()
        finally:
            writer.abandon()

    return Operation(act, lambda n: _titles(made.home))


def save_map(made: Everything) -> Operation:
    path = made.files("map")[0]
    facts, arrays = read_view(path)
    facts = {name: value for name, value in facts.items() if name not in ("made_by", "sha256")}

    def state(n: int) -> object:
        try:
            return read_view(path)[1]["umap"].tobytes()
        except MessError:
            return None

    return Operation(lambda n: write_view(path, facts, {**arrays, "umap": np.full_like(arrays["umap"], n)}), state)


def save_evaluation_again(made: Everything) -> Operation:
    scope = Scope(made.home, "music", MEL)
    kept = load_evaluation(scope, "similarity")
    return Operation(
        lambda n: save_evaluation(scope, replace(kept, content=f"newer {n}"), "similarity"),
        lambda n: load_evaluation(scope, "similarity").content,
    )


def save_discovery(made: Everything) -> Operation:
    """Other results, other directions: a reader finds the two that belong together."""
    home = made.home
    scope = Scope(home, "music", MEL)
    gathered, kept = scope.gather("work", "track"), scope.discovery()

    def act(n: int) -> None:
        data = replace(gathered.data, vectors=gathered.data.vectors * (n + 1))
        save(home.paths, MEL, replace(gathered, data=data, content=f"newer {n}"), kept.result, "music", "work")

    def state(n: int) -> object:
        found = scope.discovery()
        return found.content, scope.directions(found).weights.tobytes()

    return Operation(act, state)


def pack(made: Everything) -> Operation:
    def path(n: int) -> Path:
        return made.home.paths.cache / "packed" / f"new {n}.npy"

    def state(n: int) -> object:
        read = read_packed(path(n), (12,))
        return None if read is None else read.tobytes()

    return Operation(lambda n: write_packed(path(n), np.arange(12, dtype=np.float32)), state, is_quiet=True)


def pack_in_parts(made: Everything) -> Operation:
    """What is too large for memory: a disk that refuses is an error, as there is no other place for it."""

    def path(n: int) -> Path:
        return made.home.paths.cache / "packed" / f"far {n}.npy"

    def state(n: int) -> object:
        opened = open_packed(path(n), (12, 1))
        return None if opened is None else opened[:].tobytes()

    def act(n: int) -> None:
        write_packed_in_parts(path(n), (12, 1), np.float16, np.arange(12.0).reshape(3, 4, 1))

    return Operation(act, state)


def keep_raw(made: Everything) -> Operation:
    def path(n: int) -> Path:
        return made.home.paths.cache / "raw" / f"folder {n}" / "new.safetensors"

    def act(n: int) -> None:
        writer = RawWriter(path(n))
        writer.add(np.ones((1, 2, 3), np.float32))
        writer.add(np.ones((1, 2, 3), np.float32))
        writer.close()

    def state(n: int) -> object:
        if path(n).exists():
            verify_raw(path(n))
        return path(n).exists()

    return Operation(act, state)


def retag(made: Everything) -> Operation:
    """A file gets other bytes and keeps its samples: track, names and embedding are the new one's or the old one's."""
    home, path = made.home, made.home.paths.root.parent / "retagged" / "a.wav"
    path.parent.mkdir(exist_ok=True)

    def write(tag: int) -> None:
        data = wav_bytes(np.random.default_rng(0).uniform(-0.2, 0.2, (24_000, 1)).astype(np.float32), 24_000)
        data += b"junk" + (4).to_bytes(4, "little") + tag.to_bytes(4, "little")
        with io.FileIO(path, "w") as stream:  # the user's own doing, of which no call fails
            stream.write(data[:4] + (len(data) - 8).to_bytes(4, "little") + data[8:])

    def begin() -> None:
        write(MOST_CALLS + 1)
        scan(home, path.parent, "retagged")
        (track_id,) = home.catalogue.track_ids("retagged")
        with home.database.transaction() as connection:
            connection.execute(
                "UPDATE tracks SET samples_sha256 = ? WHERE track_id = ?", (samples_sha256(path), track_id)
            )
        home.catalogue.edit(track_id, title="By hand")
        home.store.write(track_id, MEL, an_embedding(0))

    def act(n: int) -> None:
        write(n)
        scan(home, path.parent, "retagged")

    def state(n: int) -> object:
        (track_id,) = home.catalogue.track_ids("retagged")
        mean = home.store.read(track_id, MEL).mean.tobytes()
        return track_id, home.catalogue.track(track_id).title, mean, home.catalogue.tracks_at(path)

    return Operation(act, state, begin=begin)


OPERATIONS = [
    write_embedding,
    write_first_embedding,
    keep_upload,
    save_map,
    save_evaluation_again,
    save_discovery,
    pack,
    pack_in_parts,
    keep_raw,
    retag,
]


def _titles(home: Workspace) -> tuple[str, ...]:
    rows = home.database.connection.execute("SELECT title FROM tracks ORDER BY title")
    return tuple(row["title"] for row in rows)


class _Connection:
    """A connection whose n-th statement fails, once."""

    def __init__(self, real: sqlite3.Connection, n: int) -> None:
        self._real, self.n_left = real, n
        self.failed = ""

    def _count(self, statement: str) -> None:
        self.n_left -= 1
        if self.n_left == 0:
            self.failed = statement
            raise sqlite3.OperationalError("database or disk is full")

    def execute(self, statement: str, *arguments: Any) -> sqlite3.Cursor:
        self._count(statement)
        return self._real.execute(statement, *arguments)

    def executemany(self, statement: str, *arguments: Any) -> sqlite3.Cursor:
        self._count(statement)
        return self._real.executemany(statement, *arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


@contextlib.contextmanager
def failing_statement(home: Workspace, n: int) -> Iterator[_Connection]:
    real = home.database.connection
    connection = _Connection(real, n)
    home.database._local.connection = connection
    try:
        yield connection
    finally:
        home.database._local.connection = real
