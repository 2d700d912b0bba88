"""A disk that takes no more, by a true limit of the system on the size of a file."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mess_core.upkeep.check import check
from mess_core.workspace.workspace import Workspace

pytest.importorskip("resource")
ROOT = Path(__file__).parents[2]

CHILD = """
import json, resource, sys
from pathlib import Path
import numpy as np
from mess_core.audio.decode import wav_bytes
from mess_core.storage.paths import Paths
from mess_core.storage.database import Database
from mess_core.collections.opening import read_track
from mess_core.embeddings.store import TrackEmbedding
from mess_core.encoders.mel import MEL
from mess_core.errors import StorageError
from mess_core.workspace.workspace import Workspace
from mess_core.storage.packed import read_packed, write_packed
from mess_core.upkeep.check import check
from mess_core.embeddings.hidden_states import RawWriter
from mess_core.workspace.uploads import UploadWriter

root, music = Path(sys.argv[1]), Path(sys.argv[2])
home = Workspace(root)
new = read_track(music)
home.catalogue.add(music.parent, [new], "music")
rng = np.random.default_rng(0)
mean = rng.standard_normal((MEL.n_layers, MEL.embedding_dim)).astype(np.float32)
segments = rng.standard_normal((3000, *mean.shape)).astype(np.float16)
large = TrackEmbedding(segments, np.arange(3000, dtype=np.float32), mean, np.abs(mean[:, : MEL.dim]))
sound = wav_bytes(rng.uniform(-1, 1, (400_000, 1)).astype(np.float32), 24_000)

def embed():
    home.store.write(new.track.track_id, MEL, large)

def upload():
    writer = UploadWriter(home, "sent.wav", len(sound))
    try:
        writer.write(sound)
        writer.finish()
    finally:
        writer.abandon()

def keep_raw():
    writer = RawWriter(home.paths.cache / "raw" / "x" / "a.safetensors")
    writer.add(np.zeros((13, 500, 768), np.float32))
    writer.close()

def describe():
    home.catalogue.edit(new.track.track_id, work="long " * 200_000)

def pack():
    write_packed(home.paths.cache / "packed" / "a.npy", np.zeros(300_000, np.float32))

home.opinions  # what the demo needs is imported by now
before = list(home.database.connection.iterdump())
home.database.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
said = {}
unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, unlimited[1]))
for act in (embed, upload, keep_raw, describe, pack):
    try:
        act()
        said[act.__name__] = None
    except StorageError as error:
        said[act.__name__] = [error.message, error.hint]
left = sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
is_unchanged = list(home.database.connection.iterdump()) == before
n_problems = len(check(home))
resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
for act in (embed, upload, keep_raw, describe, pack):
    act()
print(json.dumps({"said": said, "left": left, "is_unchanged": is_unchanged, "n_problems": n_problems}))
"""


def test_a_full_disk_is_said_and_leaves_nothing_torn_and_trying_again_succeeds(home: Workspace, write_wav) -> None:
    command = [sys.executable, "-W", "error", "-c", CHILD, str(home.paths.root), str(write_wav("a"))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["said"].pop("pack") is None  # a cache that cannot be kept is not
    for name, said in told["said"].items():
        assert said is not None, name
        message, hint = said
        assert "could not be" in message and "ree some" in hint, said
    assert [name for name in told["left"] if not name.startswith("mess.sqlite")] == []
    assert told["is_unchanged"] and told["n_problems"] == 0
    assert check(home) == []
    (track_id,) = home.catalogue.track_ids("music")
    assert home.catalogue.track(track_id).work.startswith("long long")
