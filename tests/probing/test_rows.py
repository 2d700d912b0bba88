"""What a row of a discovery stands for."""

from __future__ import annotations

import numpy as np

from mess_core.collections.opening import read_track
from mess_core.embeddings.store import TrackEmbedding
from mess_core.probing.rows import Row, rows_of
from tests.conftest import FakeEncoder


def test_a_segment_begins_where_its_embedding_says(home, write_wav):
    """After a silence segments are cut anew, so that number times hop would be another place."""
    info = FakeEncoder().info
    new = [read_track(write_wav(name, seed=seed)) for seed, name in enumerate("ab")]
    home.catalogue.add(new[0].audio.parent, new, "music")
    one, other = (each.track.track_id for each in new)
    starts_s = np.array([0.0, 2.5, 20.0], np.float32)
    vectors = np.ones((3, 2, 3), np.float16)
    embedding = TrackEmbedding(vectors, starts_s, np.ones((2, 3), np.float32), np.zeros((2, 3), np.float32))
    home.store.write(one, info, embedding)
    rows = rows_of(home.store, [f"{one}:0", f"{one}:2", f"{one}:3", f"{other}:0"], info)
    assert rows == {0: Row(f"{one}:0", one, 0.0, True), 1: Row(f"{one}:2", one, 20.0, True)}


def test_a_row_of_a_whole_recording_begins_with_it(home):
    assert rows_of(home.store, ["abc"], FakeEncoder().info) == {0: Row("abc", "abc", 0.0, is_segment=False)}
