"""The ladder: what people import does what the command line does, on the same data folder."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from mess_core import Embedder, open_library
from mess_core.encoders.mel import MEL
from mess_core.encoders.registry import load_encoder
from mess_core.errors import AudioError, InputError, MessError, UnknownTrackError
from mess_core.recommend.for_you import recommend
from mess_core.search.answers import answer, build_index, make_plan, query_of
from mess_core.search.question import Question
from mess_core.storage.paths import Paths
from mess_core.workspace.scope import Scope


@pytest.fixture
def library(home, write_wav):
    """Six recordings by the control that needs no weights."""
    for seed in range(6):
        folder = write_wav(f"t{seed}", 3.0 + seed, seed).parent
    library = open_library("music", encoder=MEL.id, home=home.paths.root)
    assert len(library) == 0
    assert library.add(folder) == [] and library.embed() == []
    return library


def test_an_embedder_is_its_encoder(write_wav):
    """Hidden states are the encoder's own, and a file's frames pooled are its embedding."""
    embedder, waveforms = Embedder(MEL.id), np.random.default_rng(0).uniform(-1, 1, (3, MEL.segment_samples))
    expected = load_encoder(MEL.id, Paths.default()).encode(waveforms.astype(np.float32))
    np.testing.assert_array_equal(embedder.embed(waveforms), expected)
    path = write_wav("a", 7.0)
    embedding, frames = embedder.embed_file(path), embedder.embed_file(str(path), raw=True)
    assert frames.shape[:2] == embedding.segments.shape[:2] and frames.dtype == np.float16
    pooled = np.concatenate([frames.mean(axis=2, dtype=np.float32), frames.std(axis=2, dtype=np.float32)], axis=-1)
    np.testing.assert_allclose(pooled, embedding.segments.astype(np.float32), rtol=2e-2, atol=2e-2)


def test_what_cannot_be_embedded_is_a_sentence(tmp_path):
    (tmp_path / "no.wav").write_bytes(b"nothing")
    with pytest.raises(AudioError, match=r"no\.wav"):
        Embedder(MEL.id).embed_file(tmp_path / "no.wav")
    with pytest.raises(InputError, match="nosuch"):
        Embedder("nosuch")
    with pytest.raises(InputError, match="shape"):
        Embedder(MEL.id).embed(np.zeros(10_000))


def test_a_library_holds_what_was_added(library, home):
    """The same rows as by the command line, and its embeddings beside their ids."""
    assert (len(library), sorted(track.title for track in library.tracks)) == (6, [f"t{seed}" for seed in range(6)])
    vectors = library.embeddings()
    assert vectors.vectors.shape == (6, MEL.n_layers, MEL.embedding_dim)
    assert list(vectors.track_ids) == home.catalogue.track_ids("music")
    assert "6 tracks" in repr(library)


@pytest.mark.slow
def test_neighbours_are_those_of_the_search(library, home, write_wav):
    """A known track, by id and by its file; a file that is not known is embedded and not kept."""
    track = library.tracks[2]
    plan = make_plan(Scope(home, "music", MEL), Question(k=3), None)
    expected = answer(build_index(plan), plan, query_of(plan.scope, track))
    ranked = [(item.track.track_id, item.neighbour.similarity) for item in expected.found]
    for query in (track.track_id, home.catalogue.audio_path(track.track_id)):
        assert [(i.track.track_id, i.neighbour.similarity) for i in library.similar(query, k=3).found] == ranked
    n_before = home.catalogue.n_tracks("all")
    assert len(library.similar(write_wav("new", 4.0, 99, folder="other"), k=99).found) == 6
    assert home.catalogue.n_tracks("all") == n_before
    assert len(library.similar(track.track_id, passage=(0.0, 3.0), k=2).found) == 2


@pytest.mark.slow
def test_several_the_furthest_and_a_path_are_those_of_the_search(library, write_wav, tmp_path):
    """By ids and by files; the path's ends may be a file that is in no library."""
    first, second, third, *_ = (track.track_id for track in library.tracks)
    found = library.similar(first, like=(second,), unlike=(third,))
    assert not {first, second, third} & {item.track.track_id for item in found.found} and len(found.found) == 3
    nearest, furthest = library.similar(first, k=9), library.similar(first, k=9, reverse=True)
    assert [item.track for item in furthest.found] == [item.track for item in nearest.found][::-1]
    stranger = write_wav("stranger", 4.0, 77, folder="elsewhere")
    path = library.path(stranger, second, 4)
    steps = [step.track.track_id for step in path.steps]
    assert path.steps[0].track.title == "stranger" and path.steps[0].path == stranger and steps[-1] == second
    assert (len(set(steps)) == len(steps) <= 4 and len(path.steps) == 4) or path.notices
    with pytest.raises(InputError, match="one is named twice"):
        library.path(first, first)
    with pytest.raises(InputError, match="or an aspect to put all in order along"):
        library.similar()


def test_what_is_added_later_is_found(library, write_wav):
    before = library.similar(library.tracks[0].track_id, k=99)
    library.add(write_wav("late", 4.0, 50, folder="later"))
    library.embed()
    assert len(library.similar(library.tracks[0].track_id, k=99).found) == len(before.found) + 1


def test_bad_files_are_told_and_stop_nothing(library, write_wav):
    (write_wav("good", 3.0, 8, folder="mixed").parent / "bad.wav").write_bytes(b"RIFF")
    (failure,) = library.add(write_wav("good", 3.0, 8, folder="mixed").parent)
    assert "bad.wav" in failure.subject and len(library) == 7


def test_what_cannot_be_meant_is_a_sentence(library, tmp_path, home):
    with pytest.raises(UnknownTrackError, match="neither a file nor a track id"):
        library.similar("nosuch")
    with pytest.raises(InputError, match="nosuch"):
        library.similar(library.tracks[0].track_id, aspects={"nosuch": 1})
    with pytest.raises(MessError, match="no file or folder"):
        library.add(tmp_path / "nowhere")
    with pytest.raises(MessError):
        open_library("empty", encoder=MEL.id, home=home.paths.root).embed()


def test_progress_is_shown_only_where_it_is_asked_for(library, capsys):
    library.embed()
    assert capsys.readouterr().err == ""
    library.embed(progress=True)
    assert "extract: 100%" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="no HOME there")
def test_an_installed_package_keeps_its_data_where_programs_do(monkeypatch, tmp_path):
    """In a clone it is the folder `data`; `MESS_HOME` goes before both."""
    from mess_core import installation
    from mess_core.storage import paths

    monkeypatch.delenv("MESS_HOME", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    assert paths.Paths.default().root.name == "data"
    monkeypatch.setattr(installation, "__file__", str(tmp_path / "site-packages" / "mess_core" / "installation.py"))
    assert paths.Paths.default().root.name == "mess" and not paths.Paths.default().root.exists()
    monkeypatch.setenv("MESS_HOME", str(tmp_path / "own"))
    assert paths.Paths.default().root == (tmp_path / "own").resolve()


def test_what_is_recommended_is_what_the_core_recommends(library, home):
    """By the library's own encoder where one was named; of somebody who has heard nothing, too."""
    ids = [track.track_id for track in library.tracks]
    home.opinions.judge(ids[0], "like", listener="Ann")
    found = library.recommend("Ann", 3, section="because")
    expected = recommend(Scope(home, "music", MEL), "Ann", "because", k=3)
    assert [row.track.track_id for row in found.found] == [row.track.track_id for row in expected.found] != []
    assert [row.why.track_id for row in found.found] == [ids[0]] * 3 and found.encoder == MEL.id
    assert len(library.recommend(k=4).found) == 4 and home.opinions.listeners() == ["Ann"]
    with pytest.raises(InputError, match="no section 'nonsense'"):
        library.recommend(section="nonsense")
    with pytest.raises(InputError, match="surprise is -1"):
        library.recommend(surprise=-1)
    with pytest.raises(MessError, match="has heard 0 recordings"):
        open_library("music", encoder="mfcc", home=home.paths.root).recommend()
    with pytest.raises(UnknownTrackError, match="no library called 'empty'"):
        open_library("empty", home=home.paths.root).recommend()
