"""Items as points: joined by id whatever the order, from any table, and the control that exchanges them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mess_core.encoders.hearings import SAME_MUSIC
from mess_core.encoders.nano import NANO
from mess_core.errors import DataMissingError, InputError
from mess_core.recommend.gathering import shelf_of
from mess_core.study.items import join, read_vectors, shuffled, vectors_of
from mess_core.workspace.scope import scope_of
from tests.recommend.worlds import plant_groups

IDS = ["12", "7", "30", "4"]
VECTORS = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)
ITEMS = ("4", "99", "7", "12")  # 99 has no audio; of 30 nobody heard


def expected() -> np.ndarray:
    return np.stack([VECTORS[3], np.zeros(3), VECTORS[1], VECTORS[0]])


@pytest.mark.parametrize("seed", range(5))
def test_a_table_in_another_order_gives_the_same(seed):
    order = np.random.default_rng(seed).permutation(4)
    found = join(ITEMS, ([IDS[row] for row in order], VECTORS[order]), "mel")
    np.testing.assert_array_equal(found.points, expected().astype(np.float32))
    assert found.has_audio.tolist() == [True, False, True, True]
    assert found.summary == "mel has heard 3 of 4 items; 1 row of it of no item."
    with pytest.raises(ValueError, match="read-only"):
        found.points[0] = 1


def written(folder, kind, ids):
    """One table in each form it may have."""
    path = folder / f"t.{kind.split()[0]}"
    if kind == "npy":
        np.save(path, VECTORS)
        (folder / "ids.txt").write_text("\n".join(map(str, ids)) + "\n", "utf-8")
        return path, folder / "ids.txt"
    if kind.startswith("npz"):
        np.savez_compressed(path, ids=np.array(ids), vectors=VECTORS)
        return path, None
    columns = {
        "parquet list": {"vector": list(VECTORS)},
        "parquet fixed": {"vector": pa.FixedSizeListArray.from_arrays(VECTORS.ravel(), 3)},
        "parquet columns": {f"x{place}": VECTORS[:, place] for place in range(3)},
        "parquet text": {"title": list("abcd"), "vector": list(VECTORS.astype(np.float64))},
    }[kind]
    pq.write_table(pa.table({"id": ids, **columns}), path, row_group_size=3)
    return path, None


KINDS = ["npy", "npz", "parquet list", "parquet fixed", "parquet columns", "parquet text"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ids", [IDS, list(map(int, IDS)), list(map(float, IDS))], ids=["text", "whole", "decimal"])
def test_every_table_is_the_same_whatever_its_ids_are_written_as(tmp_path, kind, ids):
    found = join(ITEMS, read_vectors(*written(tmp_path, kind, ids)), "t")
    np.testing.assert_array_equal(found.points, expected().astype(np.float32))


@pytest.mark.parametrize(
    ("ids", "vectors", "said"),
    [
        (["4", "7", "4"], np.ones((3, 2)), "has '4' twice"),
        (["4", "7", "12"], [[1, 1], [np.nan, 1], [np.inf, 0]], r"vector of '7' in t holds a NaN .* so do 1 other"),
        (["4", "7", "12"], [[1, 1], [1e300, 1], [1, 0]], "vector of '7' in t holds"),
        (["4", "7"], np.ones((3, 2)), r"2 ids and vectors \(3, 2\)"),
        (["4"], np.ones((1, 2, 2)), r"vectors \(1, 2, 2\)"),
        (["a", "b"], np.ones((2, 2)), "None of 2 ids of t is an item: they are like 'a', items like '4'"),
    ],
)
def test_what_cannot_be_joined_is_said(ids, vectors, said):
    with pytest.raises(InputError, match=said):
        join(ITEMS, (ids, np.asarray(vectors, float)), "t")


def test_a_row_of_no_item_may_hold_anything():
    """Of items that nobody took to, nothing is asked."""
    vectors = np.vstack([VECTORS[:2], np.full((1, 3), np.nan), VECTORS[3:]])
    np.testing.assert_array_equal(join(ITEMS, (IDS, vectors), "t").points, expected().astype(np.float32))


def test_files_that_are_no_tables_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", VECTORS)
    with pytest.raises(InputError, match="does not say whose its rows are"):
        read_vectors(tmp_path / "a.npy")
    np.savez(tmp_path / "a.npz", names=np.array(IDS))
    with pytest.raises(InputError, match="holds names, expected ids and vectors"):
        read_vectors(tmp_path / "a.npz")
    for columns, said in (
        ({"track": IDS, "x": [1.0] * 4}, "no 'id'"),
        ({"id": IDS}, "no vector"),
        ({"id": IDS, "x": [[1.0]] * 4, "y": [[1.0]] * 4}, "or two"),
        ({"id": IDS, "x": [[1.0], [1.0, 2.0, 3.0], [], [4.0]]}, "some of different lengths"),
        ({"id": IDS, "x": [[1.0], None, [2.0], [4.0]]}, "some of different lengths"),
        ({"id": [], "x": pa.array([], pa.list_(pa.float64()))}, "holds no vectors"),
    ):
        pq.write_table(pa.table(columns), tmp_path / "a.parquet")
        with pytest.raises(InputError, match=said):
            read_vectors(tmp_path / "a.parquet")
    (tmp_path / "a.csv").write_text("id,x\n4,1\n", "utf-8")
    with pytest.raises(InputError, match="no table that can be read"):
        read_vectors(tmp_path / "a.csv")


def test_the_control_exchanges_what_has_audio():
    rng = np.random.default_rng(0)
    ids = [f"i{place:03}" for place in range(200)]
    heard = ids[::2]
    found = join(ids, (heard, rng.standard_normal((100, 4))), "mel")
    control = shuffled(found, seed=1)
    assert control.name == "mel, shuffled" and np.array_equal(control.has_audio, found.has_audio)
    assert sorted(control.points.tolist()) == sorted(found.points.tolist())
    assert (control.points != found.points).any(axis=1).sum() > 90
    assert np.array_equal(control.points, shuffled(found, seed=1).points)
    assert not np.array_equal(control.points, shuffled(found, seed=2).points)


# --- a library ------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_library_is_asked_by_layer_by_all_or_by_a_hearing(home):
    groups = plant_groups(home)
    scope = scope_of(home, "planted", NANO.id)
    tracks = sorted(track_id for group in groups for track_id in group)
    of_layer = join(tracks, vectors_of(scope, 7), "nano 7")
    row = tracks.index(groups[2][5])
    np.testing.assert_array_equal(of_layer.points[row], scope.embedding(groups[2][5]).mean[7])
    whole = join(tracks, vectors_of(scope), "nano")
    np.testing.assert_allclose(whole.points, shelf_of(scope).points, atol=1e-6)  # what the app recommends by
    music = join([*tracks, "another"], vectors_of(scope_of(home, "planted", SAME_MUSIC)), "same music")
    assert music.has_audio.sum() == len(tracks) and not np.allclose(music.points[:-1], whole.points)
    with pytest.raises(InputError, match="no layer 99"):
        vectors_of(scope, 99)
    with pytest.raises(InputError, match="no layer 3 of its own"):
        vectors_of(scope_of(home, "planted", SAME_MUSIC), 3)


def test_of_a_library_that_nothing_has_heard_it_is_said(home):
    with pytest.raises(DataMissingError):
        join(["x"], vectors_of(scope_of(home, "planted", NANO.id), 0), "nano")
