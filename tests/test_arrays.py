"""Arrays and tables out: every row is what the store keeps, beside all that is known of its track."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pandas
import pytest

import mess_core
from mess_core import Embedder, open_library, plugins
from mess_core.embeddings.store import EmbeddingSet
from mess_core.errors import ArtefactMismatchError, DataMissingError, InputError, UnknownTrackError
from mess_core.work.doing import do_now
from mess_core.work.extract import ExtractRequest
from tests.conftest import RATE_HZ

TABLE = "file,work,performer,difficulty\n" + "".join(f"t{n}.wav,work {n // 2},p{n % 2},{n}.5\n" for n in range(4))


def register() -> None:
    @mess_core.register_encoder(
        "steps", sample_rate_hz=RATE_HZ, frame_rate_hz=10.0, n_layers=3, dim=2, licence="MIT", version="1"
    )
    def steps(waveforms: np.ndarray) -> np.ndarray:
        """Frames of a tenth of a second: how loud and how steady, more of it in each layer."""
        frames = waveforms[:, : waveforms.shape[1] // 2400 * 2400].reshape(len(waveforms), -1, 2400)
        numbers = np.stack([np.abs(frames).mean(-1), frames.std(-1)], -1)
        return np.stack([numbers, 2 * numbers, numbers**2], 1)


@pytest.fixture
def library(home, write_wav, monkeypatch):
    """Four recordings, a table of the user's own beside them, heard by three layers, their frames kept."""
    monkeypatch.setattr(plugins, "_registered", {})
    register()
    for seed in range(4):
        folder = write_wav(f"t{seed}", 6.0 + seed, seed).parent
    (folder / "mess.csv").write_text(TABLE)
    library = open_library("music", encoder="steps", home=home.paths.root)
    library.add(folder)
    assert do_now(home, ExtractRequest("music", "steps", keep_raw=True)).state == "done"
    return library


def test_without_a_word_they_are_what_they_were(library):
    vectors, kept = library.embeddings(), library.scope.embeddings()
    assert isinstance(vectors, EmbeddingSet)
    assert (vectors.info, vectors.track_ids, vectors.content) == (kept.info, kept.track_ids, kept.content)
    np.testing.assert_array_equal(vectors.vectors, kept.vectors)
    assert vectors.vectors.shape == (4, 3, 2)


def test_tracks_come_with_all_their_metadata(library):
    """Our columns, and those of the user's table, in the order of the rows."""
    found = library.embeddings(layers=[2, 0])
    frame = found.to_frame()
    assert frame["track_id"].tolist() == list(found.track_ids) and found.layers == (2, 0)
    np.testing.assert_array_equal(found.vectors, library.embeddings().vectors[:, [2, 0]])
    by_title = frame.set_index("title")
    assert by_title.loc["t3", ["work", "performer", "difficulty"]].tolist() == ["work 1", "p1", "3.5"]
    assert by_title["duration_s"].round(3).to_dict() == {"t0": 6.0, "t1": 7.0, "t2": 8.0, "t3": 9.0}
    wide = library.embeddings(layers=1).to_frame(vectors=True)
    np.testing.assert_array_equal(wide[["1:0", "1:1"]].to_numpy(), library.embeddings(layers=1).vectors[:, 0])


def test_segments_come_with_their_times(library):
    found = library.embeddings("steps", level="segment", layers=[1])
    frame = found.to_frame()
    for track_id, rows in frame.groupby("track_id").indices.items():
        kept = library.scope.embedding(track_id)
        np.testing.assert_array_equal(found.vectors[rows, 0], kept.segments[:, 1].astype(np.float32))
        np.testing.assert_array_equal(frame.loc[rows, "start_s"], kept.starts_s)
        np.testing.assert_allclose(frame.loc[rows, "end_s"] - frame.loc[rows, "start_s"], 5.0)
    assert (
        len(frame) == len(found) == sum(len(library.scope.embedding(each).segments) for each in {*found.track_ids}) > 4
    )


def test_frames_are_those_of_the_encoder(library, home):
    """As an embedder hears the file; each with the time of its middle; on the disk until it is looked at."""
    track = next(track for track in library.tracks if track.title == "t1")
    expected = Embedder("steps", home=home.paths.root).embed_file(home.catalogue.audio_path(track.track_id), raw=True)
    frames = library.frames(track.track_id)
    assert isinstance(frames.numbers, np.memmap) and frames.shape == expected.shape
    np.testing.assert_array_equal(frames.layer(2), expected[:, 2])
    np.testing.assert_allclose(
        frames.times_s[1, :2], library.scope.embedding(track.track_id).starts_s[1] + [0.05, 0.15]
    )
    found = library.embeddings(level="frame", layers=[2])
    table = found.to_frame()
    rows = np.flatnonzero(table["track_id"] == track.track_id)
    np.testing.assert_array_equal(found.vectors[rows, 0], expected[:, 2].reshape(-1, 2))
    assert table.loc[rows[0], ["start_s", "end_s"]].tolist() == pytest.approx([0.0, 0.1]) and found.missing == ()
    with pytest.raises(ValueError, match="read-only"):
        frames.numbers[0] = 1


def test_frames_that_were_not_kept_are_said(library, home):
    first, *others = library.embeddings().track_ids
    path = home.store.raw_path(first, library.scope.info)
    data = path.read_bytes()
    path.unlink()
    assert library.embeddings(level="frame").missing == (first,)
    with pytest.raises(DataMissingError, match="--keep-raw"):
        library.frames(first)
    path.write_bytes(data[:-10])
    with pytest.raises(ArtefactMismatchError, match=first):
        library.frames(first)
    for each in (first, *others):
        home.store.raw_path(each, library.scope.info).unlink()
    with pytest.raises(DataMissingError, match="Of no track here"):
        library.embeddings(level="frame")


def test_what_cannot_be_asked_is_one_sentence(library):
    for how, said in (
        ({"level": "bar"}, "no level 'bar'"),
        ({"layers": [3]}, "no layer 3: steps has layers 0 to 2"),
        ({"layers": [-1]}, "no layer -1"),
        ({"layers": []}, "No layer is asked for"),
        ({"layers": ["5"]}, "A layer is '5', expected a whole number from 0 to 2"),
        ({"encoder": "nosuch"}, "no encoder called 'nosuch'"),
    ):
        with pytest.raises(InputError, match=said):
            library.embeddings(**how)
    with pytest.raises(UnknownTrackError):
        library.frames("nosuch")


def test_tracks_are_a_list_and_a_table(library):
    assert [track.title for track in library.tracks] == library.tracks.to_frame()["title"].tolist()
    frame = library.tracks.to_frame()
    assert frame.columns[0] == "track_id" and len(frame) == 4 == len(library.tracks)
    assert sorted(frame["difficulty"]) == ["0.5", "1.5", "2.5", "3.5"]


def test_an_answer_is_a_table(library):
    first = library.tracks[0]
    answer = library.similar(first.track_id, k=2)
    frame = answer.to_frame()
    assert frame["track_id"].tolist() == [found.track.track_id for found in answer.found]
    assert frame["similarity"].tolist() == [found.neighbour.similarity for found in answer.found]
    assert set(frame["query_track_id"]) == {first.track_id} and frame["rank"].tolist() == [1, 2]
    assert {"difficulty", "work", "path", "moment:track_s"} <= set(frame.columns)
    assert replace(answer, found=()).to_frame().empty


def test_many_queries_are_one_table_of_the_same_answers(library, write_wav):
    """By id and by a file that nobody knows; figure by figure what one after the other gives."""
    queries = [*(track.track_id for track in library.tracks), write_wav("new", 6.0, 9, folder="elsewhere")]
    found = library.similar_to_each(queries, k=3)
    singly = pandas.concat([library.similar(query, k=3).to_frame() for query in queries], ignore_index=True)
    frame = found.to_frame()
    assert len(found) == 5 and frame["query"].unique().tolist() == list(map(str, queries))
    same = [name for name in singly.columns if not name.startswith("moment:")]
    pandas.testing.assert_frame_equal(frame[same], singly[same])
    moments = library.similar_to_each(queries, k=3, with_moments=True).to_frame()
    pandas.testing.assert_frame_equal(moments[singly.columns], singly)
    assert library.similar_to_each([], k=3).to_frame().empty


@pytest.mark.slow
def test_many_queries_are_faster_together(library):
    queries = [track.track_id for track in library.tracks] * 10

    def seconds(ask) -> float:
        ask()
        started = time.perf_counter()
        ask()
        return time.perf_counter() - started

    together = min(seconds(lambda: library.similar_to_each(queries)) for _ in range(3))
    singly = min(seconds(lambda: [library.similar(query) for query in queries]) for _ in range(3))
    assert together < 0.8 * singly, (together, singly)


# --- HEAR -------------------------------------------------------------------------------------------------


def hear(library, **how: object) -> Embedder:
    return Embedder("steps", home=library.scope.workspace.paths.root, **how)


def test_scenes_are_means_of_what_is_heard(library):
    """As the encoder has it, for tensors and arrays; of layers asked for, one after the other."""
    import torch

    embedder = hear(library)
    sounds = np.random.default_rng(0).uniform(-1, 1, (10, 5 * RATE_HZ)).astype(np.float32)
    scenes = embedder.get_scene_embeddings(torch.from_numpy(sounds))
    assert isinstance(scenes, torch.Tensor) and scenes.shape == (10, embedder.scene_embedding_size) == (10, 6)
    expected = embedder.embed(sounds).mean(axis=2).reshape(10, 6)
    np.testing.assert_allclose(scenes, expected, rtol=1e-5)
    one = hear(library, layers=1)
    np.testing.assert_allclose(one.get_scene_embeddings(sounds), expected[:, 2:4], rtol=1e-5)
    assert one.scene_embedding_size == one.timestamp_embedding_size == 2 and one.sample_rate == RATE_HZ


@pytest.mark.parametrize("seconds", [0.6, 1.0, 5.0, 12.3])
def test_timestamps_cover_a_sound_once(library, seconds):
    """Every tenth of a second, in ms, each with what is heard there: also across segments."""
    n_samples = round(seconds * RATE_HZ)
    sounds = np.random.default_rng(1).uniform(-1, 1, (3, n_samples)).astype(np.float32)
    embeddings, times_ms = hear(library, layers=0).get_timestamp_embeddings(sounds)
    n = n_samples // 2400
    assert embeddings.shape == (3, n, 2) and times_ms.shape == (3, n)
    np.testing.assert_allclose(times_ms[2], 50 + 100 * np.arange(n), atol=1e-3)
    frames = sounds[:, : n * 2400].reshape(3, n, 2400)
    np.testing.assert_allclose(embeddings[..., 0], np.abs(frames).mean(-1), rtol=1e-5)


def test_sounds_that_are_none_are_said(library):
    for sounds in (np.zeros(100), np.zeros((2, 0)), np.zeros((0, 100)), np.zeros((1, 1, 100))):
        with pytest.raises(InputError, match=r"Sounds are \(n_sounds, n_samples\)"):
            hear(library).get_scene_embeddings(sounds)
    with pytest.raises(InputError, match="NaN"):
        hear(library).get_timestamp_embeddings(np.full((1, RATE_HZ), np.nan))
    with pytest.raises(InputError, match="no layer 7"):
        hear(library, layers=[7])


def test_frames_are_kept_of_what_was_embedded_without_them(home, write_wav, monkeypatch):
    """Once more, and only of what lacks them; the embeddings are the same."""
    monkeypatch.setattr(plugins, "_registered", {})
    register()
    fresh = open_library("later", encoder="steps", home=home.paths.root)
    fresh.add(write_wav("later", 6.0, 3, folder="later").parent)
    fresh.embed()
    before = fresh.embeddings().vectors
    with pytest.raises(DataMissingError, match=r"keep_raw=True"):
        fresh.embeddings(level="frame")
    fresh.embed(keep_raw=True)
    assert len(fresh.embeddings(level="frame")) > 0
    path = fresh.scope.workspace.store.raw_path(fresh.tracks[0].track_id, fresh.scope.info)
    written = path.stat().st_mtime_ns
    fresh.embed(keep_raw=True)
    assert path.stat().st_mtime_ns == written
    np.testing.assert_array_equal(fresh.embeddings().vectors, before)
