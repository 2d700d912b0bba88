"""Data sets of other libraries: objects of the shape that mirdata and Hugging Face have, made here."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas
import pyarrow.parquet as pq
import pytest

from mess_core.errors import InputError
from mess_core.library import open_library


class FakeTrack:
    """As a Track of mirdata: plain attributes, annotations as properties, audio that nobody asks for."""

    def __init__(self, track_id: str, audio_path: str | None, **facts: object) -> None:
        self.track_id, self.audio_path = track_id, audio_path
        self.beats_path, self._index = "somewhere", {}
        vars(self).update(facts)

    @property
    def audio(self) -> None:
        raise AssertionError("the audio is not loaded")

    @property
    def beats(self) -> SimpleNamespace:
        return SimpleNamespace(times=np.array([0.0, 0.5, 1.0]), positions=np.array([1, 2, 3]))

    @property
    def chords(self) -> SimpleNamespace:
        return SimpleNamespace(intervals=np.array([[0.0, 0.5], [0.5, 2.0]]), labels=["C", "G"], confidence=None)

    @property
    def key(self) -> None:
        raise FileNotFoundError("not downloaded")

    def to_jams(self) -> None:
        raise AssertionError("not asked for")


class FakeMirdata:
    name = "tiny"

    def __init__(self, tracks: dict[str, FakeTrack]) -> None:
        self._tracks = tracks

    def load_tracks(self) -> dict[str, FakeTrack]:
        return self._tracks


class Audio:
    """As the feature of Hugging Face."""

    def __init__(self, decode: bool = True) -> None:
        self.decode = decode


class FakeDataset:
    """As a split of Hugging Face: rows as dicts, audio as it is stored once it is asked for so."""

    def __init__(self, rows: list[dict], features: dict) -> None:
        self._rows, self.features, self._is_stored = rows, features, False

    def cast_column(self, name: str, feature: Audio) -> FakeDataset:
        assert not feature.decode
        stored = FakeDataset(self._rows, self.features)
        stored._is_stored = True
        return stored

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, number: int) -> dict:
        assert self._is_stored, "decoding is not asked for"
        return self._rows[number]


@pytest.fixture
def library(home):
    return open_library("set", encoder="mel", home=home.paths.root)


def test_mirdata_becomes_a_library(library, write_wav):
    """Tracks where they lie, works and performers, annotations and the rest as columns; what is missing is named."""
    paths = [str(write_wav(f"t{seed}", 2.0, seed)) for seed in range(3)]
    tracks = {
        "a": FakeTrack("a", paths[0], title="One", piece="P", artist="X", tempo=90.5, genre="jazz", tags=["x", "y"]),
        "b": FakeTrack("b", paths[1], title="Two", piece="P", artist="Y", tempo=float("nan"), genre="rock"),
        "gone": FakeTrack("gone", paths[2] + "x", title="Three"),
        "none": FakeTrack("none", None),
    }
    taken = library.add_dataset(FakeMirdata(tracks))
    assert (taken.n_rows, taken.n_registered, [name for name, _ in taken.refused]) == (4, 2, ["gone", "none"])
    assert taken.summary == "2 of 4 recordings registered in set, 2 left out."
    frame = library.tracks.to_frame().set_index("title")
    assert frame.loc["One", ["work", "performer", "collection", "genre", "tempo"]].tolist() == [
        "P",
        "X",
        "tiny",
        "jazz",
        "90.5",
    ]
    assert frame.loc["Two", "performer"] == "Y" and pandas.isna(frame.loc["Two", "tempo"])
    assert frame.loc["One", ["chords", "beats_bpm", "chords_per_minute"]].tolist() == ["G", "120", "60"]
    assert frame.loc["One", "tags"] == "x; y" and not {"key", "beats_path", "audio"} & set(frame.columns)
    library.add_dataset(FakeMirdata({"a": tracks["a"]}), columns={"work": "genre"})
    assert library.tracks.to_frame().set_index("title").loc["One", "work"] == "jazz"


def test_hugging_face_becomes_a_library(library, write_wav, tmp_path):
    """Files where they lie, bytes where the caller says; labels by their names."""
    first, second = write_wav("t0", 2.0, 0), write_wav("t1", 2.0, 1)
    label = SimpleNamespace(int2str=["blues", "folk"].__getitem__)
    rows = [
        {"audio": {"path": str(first), "bytes": None}, "genre": 1, "piece": "P", "loud": 0.25, "words": ["no"]},
        {"audio": {"path": "t1.wav", "bytes": second.read_bytes()}, "genre": 0, "piece": "Q", "loud": 0.5, "words": []},
        {"audio": {"path": "nowhere.wav", "bytes": None}, "genre": -1, "piece": "R", "loud": 1.0, "words": []},
    ]
    dataset = FakeDataset(
        rows, {"audio": Audio(), "genre": label, "piece": object(), "loud": object(), "words": object()}
    )
    taken = library.add_dataset(dataset)
    assert taken.n_registered == 1 and ["folder" in why or "neither" in why for _, why in taken.refused] == [True, True]
    taken = library.add_dataset(dataset, folder=tmp_path / "kept")
    assert taken.n_registered == 2 and len(list((tmp_path / "kept").iterdir())) == 1
    frame = library.tracks.to_frame().set_index("work")
    assert frame.loc["P", ["genre", "loud"]].tolist() == ["folk", "0.25"]
    assert frame.loc["Q", ["genre", "loud", "title"]].tolist() == ["blues", "0.5", "t1"]
    assert library.embed() == [] and library.scope.n_embedded == 2


def test_what_is_no_data_set_is_one_sentence(library):
    for dataset, how, said in (
        ([1, 2], {}, "A list is no Dataset of Hugging Face"),
        (FakeMirdata({}), {}, "it has none"),
        (FakeMirdata({"a": FakeTrack("a", "x.wav")}), {"columns": {"opus": "x"}}, "no 'opus'"),
        (FakeDataset([], {"x": object()}), {}, "Which column is audio. none"),
        (FakeDataset([], {"x": Audio(), "y": Audio()}), {}, "x, y"),
        (FakeDataset([], {"x": Audio()}), {"audio": "z"}, "audio. x"),
    ):
        with pytest.raises(InputError, match=said):
            library.add_dataset(dataset, **how)


def test_arrays_go_out_as_parquet(library, write_wav, tmp_path):
    """Metadata beside the vectors of each layer; the file says whose they are."""
    library.add(write_wav("t0", 6.0, 0).parent)
    library.embed()
    found = library.embeddings(level="segment")
    found.to_parquet(tmp_path / "out.parquet")
    table = pq.read_table(tmp_path / "out.parquet")
    np.testing.assert_array_equal(np.stack(table["layer_0"].to_numpy()), found.vectors[:, 0])
    assert (
        table["track_id"].to_pylist() == list(found.track_ids)
        and table["start_s"].to_pylist() == found.starts_s.tolist()
    )
    assert table.schema.metadata[b"mess.encoder"] == b"mel" and table["title"][0].as_py() == "t0"
