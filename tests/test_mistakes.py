"""Mistakes in Python answer as on the command line: one sentence with what was meant, never a silent NaN or []."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas
import pytest
import soundfile

import mess_core
from mess_core import (
    Embedder,
    GroupedFolds,
    MessError,
    ProbeSettings,
    encoder_from_hf,
    gain_beyond,
    open_library,
    probe_layers,
    register_encoder,
)
from mess_core.cli.main import main
from mess_core.encoders.mel import MEL
from mess_core.errors import InputError, StorageError, UnknownTrackError
from mess_core.search.rows import RowIndex

ROOT = Path(__file__).parent.parent
VECTORS = np.random.default_rng(0).standard_normal((24, 2, 3))
NUMBERS, WORKS = np.arange(24.0), list("abcdef" * 4)
QUICK = {"n_permutations": 0, "n_bootstraps": 0, "n_repeats": 1}
ROW = "0123456789abcdef"


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """Four recordings by the control that needs no weights; no mistake changes them."""
    folder = tmp_path_factory.mktemp("music")
    for seed in range(4):
        samples = np.random.default_rng(seed).uniform(-0.5, 0.5, 3 * MEL.sample_rate_hz)
        soundfile.write(folder / f"t{seed}.wav", samples, MEL.sample_rate_hz)
    library = open_library("music", encoder=MEL.id, home=tmp_path_factory.mktemp("home"))
    library.add(folder)
    library.embed()
    return library


@pytest.mark.parametrize(
    "use",
    [
        lambda lib: lib.tracks,
        lambda lib: lib.embed(),
        lambda lib: lib.embeddings(),
        lambda lib: lib.discover(),
        lambda lib: lib.similar(ROW),
        lambda lib: lib.path(ROW, ROW[::-1]),
        lambda lib: lib.recommend(),
        lambda lib: lib.learn("works"),
        lambda lib: lib.runs(),
    ],
)
def test_a_library_that_is_not_there_is_said_to_be_none(use, library):
    with pytest.raises(UnknownTrackError, match=r"no library called 'musik'.* Did you mean music\?"):
        use(open_library("musik", encoder=MEL.id, home=library.scope.workspace.paths.root))


@pytest.mark.parametrize(
    ("use", "says"),
    [
        (lambda lib: lib.similar_to_each(lib.tracks[0].track_id), "is one query, expected a sequence"),
        (lambda lib: lib.run(3), "A run is 3, expected its id"),
        (lambda lib: lib.evaluate_relevance("labels.csv", k="5"), "k is '5', expected a whole number"),
        (
            lambda lib: lib.evaluate_relevance(pandas.DataFrame({"a": [1]})),
            r"The data frame does not say .*query, track",
        ),
        (lambda lib: lib.evaluate_relevance(pandas.DataFrame({"query": []})), "The data frame has no rows"),
        (lambda lib: lib.add_target("x", {lib.tracks[0].track_id: np.inf}), "'x' holds inf, expected finite numbers"),
    ],
)
def test_what_is_handed_to_a_library_and_cannot_be_meant(library, use, says):
    with pytest.raises(InputError, match=says):
        use(library)


def test_relevance_may_be_a_data_frame(library):
    first, second, *_ = library.tracks.to_frame()["track_id"]
    study = library.evaluate_relevance(pandas.DataFrame({"query": [first], "track": [second], "gain": [None]}), k=1)
    assert study.n_queries == 1


def test_what_to_know_of_an_answer_is_on_it(library):
    """Aspects that cannot be told are not left out in silence."""
    assert library.similar(library.tracks[0], k=1).notices == ()
    (said,) = library.similar(library.tracks[0], aspects={"brightness": 1}, k=1, geometry="layer").notices
    assert "No discovery yet" in said


def test_what_is_no_name_of_a_library_or_encoder_is_a_sentence(tmp_path):
    with pytest.raises(InputError, match=r"A library is a \w*Path, expected its name\. .*library\.add"):
        open_library(tmp_path)
    with pytest.raises(InputError, match=r"no encoder called 'nanoo'\. Did you mean nano\?"):
        open_library("music", encoder="nanoo")
    with pytest.raises(InputError, match=r"no encoder called 'mert-95'\. Did you mean mert-95m\?"):
        Embedder("mert-95")
    with pytest.raises(InputError, match="An encoder is None, expected its id"):
        Embedder(None)
    with pytest.raises(AttributeError, match=r"no attribute 'Embeder'\. Did you mean Embedder\?"):
        mess_core.Embeder  # noqa: B018


WAVEFORMS = np.random.default_rng(0).uniform(-1, 1, (2, MEL.segment_samples)).astype(np.float32)


@pytest.mark.parametrize(
    ("waveforms", "sentence"),
    [
        (WAVEFORMS[0], r"shape \(n, n_samples\), got .*\. One alone: waveform\[None\]"),
        (WAVEFORMS.T, r"got 2 samples\. Are samples and waveforms exchanged\? waveforms\.T"),
        ((WAVEFORMS * 32767).astype(np.int16), r"are int16, expected numbers from -1 to 1\. Divide them by 32,768"),
        ("a.wav", r"expected an array .* A file is heard by embed_file"),
        ([[1.0, 2.0], [1.0]], "of unequal length"),
        (WAVEFORMS * np.nan, "NaN or infinite"),
        (WAVEFORMS > 0, "are bool, expected"),
    ],
)
def test_waveforms_that_are_none(waveforms, sentence):
    with pytest.raises(InputError, match=sentence):
        Embedder(MEL.id).embed(waveforms)


SECOND = WAVEFORMS[:, : MEL.sample_rate_hz]
SOUNDS = {
    "turned": (WAVEFORMS.T, r"Are sounds and samples exchanged\? x\.T"),
    "a short one turned": (SECOND[:, :100].T, r"got \(100, 2\)\. Are sounds and samples exchanged\? x\.T"),
    "one": (SECOND[0], r"One alone: sound\[None\]"),
    "none": (SECOND[:0], "nothing to hear: leave it out"),
    "no samples": (SECOND[:, :0], "nothing to hear: leave it out"),
    "stereo": (SECOND[None], "the mean over channels is mono"),
    "whole numbers": ((SECOND * 32767).astype(np.int16), r"Sounds are int16, expected .* Divide them by 32,768"),
    "a file": ("a.wav", r"expected an array \(n_sounds, n_samples\) .* A file is heard by embed_file"),
    "ragged": ([[1.0, 2.0], [1.0]], "Sounds are of unequal length"),
}


@pytest.mark.parametrize(("sounds", "sentence"), SOUNDS.values(), ids=SOUNDS)
def test_sounds_that_are_none(sounds, sentence, monkeypatch):
    """Before anything is heard: columns taken for sounds would be repeated to a second each, for minutes."""
    embedder = Embedder(MEL.id)
    monkeypatch.setattr(embedder, "_encoder", None)
    monkeypatch.setattr(Embedder, "info", MEL)
    for use in (embedder.get_scene_embeddings, embedder.get_timestamp_embeddings):
        with pytest.raises(InputError, match=sentence):
            use(sounds)


def test_paths_are_text_or_paths(library, write_wav):
    embedder, path = Embedder(MEL.id), write_wav("a", 3.0)
    heard, as_text = embedder.hear(path), embedder.hear(str(path))
    np.testing.assert_array_equal(heard.embedding.segments, as_text.embedding.segments)
    for use in (embedder.embed_file, embedder.hear, library.add):
        with pytest.raises(InputError, match=r"A path is a list, .* one by one"):
            use([path])
        with pytest.raises(InputError, match="A path is a NoneType, expected text or a Path"):
            use(None)


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"group": "performr"}, r"No track of 'music' has a column 'performr'\. Did you mean performer\?"),
        ({"level": "tracks"}, r"There is no level 'tracks'\. Did you mean track\?"),
        ({"settings": {"n_folds": 3}}, r"Settings are a dict, expected ProbeSettings"),
        ({"settings": ProbeSettings(columns=("difficulti",))}, "has a column 'difficulti'"),
        ({"settings": ProbeSettings(columns=("energi",))}, r"Did you mean energy\?"),
        ({"settings": ProbeSettings(without=("untraind",))}, r"Did you mean untrained\?"),
    ],
)
def test_what_cannot_be_discovered(library, asked, sentence):
    with pytest.raises(InputError, match=sentence):
        library.discover(**asked)


QUESTIONS = {
    "aspect": ({"aspects": {"britness": 1}}, r"no aspect 'britness'\. Did you mean brightness\?"),
    "aspects in a list": ({"aspects": ["brightness"]}, r"Aspects are a list, expected their weights"),
    "a weight in words": ({"aspects": {"brightness": "much"}}, r"weight of brightness is 'much', expected a number"),
    "avoided": ({"avoid": ["tmpo"]}, r"Did you mean tempo\?"),
    "avoided alone": ({"avoid": "tmpo"}, r"no aspect 'tmpo'\. Did you mean tempo\?"),
    "k as text": ({"k": "3"}, "k is '3', expected a whole number"),
    "half a neighbour": ({"k": 2.5}, r"k is 2\.5, expected a whole number"),
    "cap": ({"max_per_work": "one"}, "max_per_work is 'one', expected a whole number"),
    "option": ({"lik": (ROW,)}, r"no option of a question 'lik'\. Did you mean like\?"),
    "geometry": ({"geometry": "layr"}, r"no geometry 'layr'\. Did you mean layer\?"),
    "copies": ({"duplicates": "drop"}, "Known: keep, collapse, exclude"),
    "versions": ({"versions": "colapse"}, r"Did you mean collapse\?"),
    "hubs": ({"hubs": "maybe"}, "Known: auto, on, off"),
    "diversity": ({"diversity": "much"}, "diversity is 'much', expected 0 to 1"),
    "passage turned round": ({"passage": (3.0, 1.0)}, r"START < END"),
    "passage of one": ({"passage": (1.0,)}, r"expected \(start, end\) in seconds"),
    "word": ({"words": "violn"}, r"Did you mean violin\?"),
    "column": ({"where": {"titel": "t1"}}, r"no column 'titel'\. Did you mean title\?"),
    "value": ({"where": {"title": "t11"}}, r"No track has 't11' as its title\. Did you mean t\d\?"),
    "filter": ({"composers": "Chopn"}, r"No track has 'Chopn' as its composer\. No track has any"),
    "numbers for names": ({"composers": 3}, "composers is 3, expected one or several names"),
    "where as a number": ({"where": 3}, r"Write what a track must be: \{'era': 'late'\}"),
    "limits": ({"between": "tmpo=90:110"}, r"no measured value 'tmpo'\. Did you mean tempo\?"),
}


@pytest.mark.parametrize(("asked", "sentence"), QUESTIONS.values(), ids=QUESTIONS)
def test_questions_that_cannot_be_meant(library, asked, sentence):
    with pytest.raises(MessError, match=sentence):
        library.similar(library.tracks[0].track_id, **asked)


def test_a_recording_is_named_by_itself_its_id_or_its_path_and_a_slip_is_said(library):
    """A title finds the id that goes by it; what is no text is refused."""
    track = library.tracks[0]
    ranked = [found.track for found in library.similar(track.track_id).found]
    assert [found.track for found in library.similar(track).found] == ranked != []
    assert len(library.similar(track, like=library.tracks[1].track_id).found) == 2  # one name is one, not its letters
    assert library.similar(track, passage="0:2").found != []
    with pytest.raises(UnknownTrackError, match=rf"It is the title of {track.track_id}: name that"):
        library.similar(track.title)
    with pytest.raises(UnknownTrackError, match=rf"Did you mean {track.track_id}, '{track.title}'\?"):
        library.similar(track.track_id[:-1])
    for query in (3, WAVEFORMS):
        with pytest.raises(InputError, match="expected a path or a track id"):
            library.similar(query)


def test_paths_recommendations_and_lessons_that_cannot_be_meant(library):
    first, second, third, _ = library.tracks
    assert len(library.path(first, second, 4, via=third.track_id).steps) == 4
    with pytest.raises(InputError, match="n is '4', expected a number"):
        library.path(first, second, "4")
    with pytest.raises(InputError, match=r"no option of a question 'aspcts'\. Did you mean aspects\?"):
        library.path(first, second, aspcts={})
    with pytest.raises(InputError, match=r"no section 'quickpicks'\. Did you mean quick-picks\?"):
        library.recommend(section="quickpicks")
    with pytest.raises(InputError, match="k is '3', expected"):
        library.recommend(k="3")
    with pytest.raises(MessError, match=r"from 'work'\. Did you mean works\?"):
        library.learn("work")
    with pytest.raises(MessError, match=r"no student 'diagonl'\. Did you mean diagonal\?"):
        library.learn("works", "diagonl")


ARRAYS = {
    "one layer": ((VECTORS[:, 0], {"x": NUMBERS}, WORKS), r"Of one layer: vectors\[:, None, :\]"),
    "turned": ((VECTORS.swapaxes(0, 1), {"x": NUMBERS}, list("ab")[:1] * 24), "24 groups for 2 rows"),
    "exchanged": ((VECTORS, {"x": NUMBERS}, list("ab")), r"exchanged\? vectors\.swapaxes\(0, 1\)"),
    "a file": (("v.npy", {"x": NUMBERS}, WORKS), r"A file is read by numpy\.load"),
    "words": ((VECTORS.astype(str), {"x": NUMBERS}, WORKS), "vectors hold str.*, expected numbers"),
    "ragged": (([[1.0], [1.0, 2.0]], {"x": NUMBERS}, WORKS), "rows of unequal length"),
    "targets without names": ((VECTORS, NUMBERS, WORKS), "targets are a ndarray, expected arrays by name"),
    "too few": ((VECTORS, {"x": NUMBERS[:3]}, WORKS), r"Target x has shape \(3,\), expected \(24,\)"),
    "groups as text": ((VECTORS, {"x": NUMBERS}, "abcdef" * 4), "groups are str, expected one name per row"),
    "no groups": ((VECTORS, {"x": NUMBERS}, None), "groups are NoneType"),
}


@pytest.mark.parametrize(("arguments", "sentence"), ARRAYS.values(), ids=ARRAYS)
def test_arrays_that_cannot_be_probed(arguments, sentence):
    with pytest.raises(InputError, match=sentence):
        probe_layers(*arguments, **QUICK)


BASE, LAYER, TARGETS = VECTORS[:, 0], VECTORS[:, 1], {"x": NUMBERS}
BEYOND = {
    "NaN in the base": ((BASE * np.nan, LAYER, TARGETS, WORKS), "the base of 24 of 24 rows hold NaN or infinity"),
    "infinity in the layer": ((BASE, LAYER * np.inf, TARGETS, WORKS), "the layer of 24 of 24 rows hold NaN"),
    "targets without names": ((BASE, LAYER, NUMBERS, WORKS), "targets are a ndarray, expected arrays by name"),
    "all layers": ((BASE, VECTORS, TARGETS, WORKS), r"shape \(24, 2, 3\).* one of its layers: layer\[:, 1\]"),
    "all layers of 13": ((BASE, np.ones((24, 13, 3)), TARGETS, WORKS), r"layer\[:, 5\]"),
    "a base of layers": ((VECTORS[:, :1], LAYER, TARGETS, WORKS), r"base\[:, 0\]"),
    "classes": ((BASE, LAYER, {"x": WORKS}, WORKS), "'x' has classes, .* Use probe_layers"),
    "a file": (("v.npy", LAYER, TARGETS, WORKS), r"vectors of the base are a str.* numpy\.load"),
    "too few": ((BASE[:3], LAYER, TARGETS, WORKS), "The bands have the shapes"),
    "no groups": ((BASE, LAYER, TARGETS, None), "groups are NoneType"),
}


@pytest.mark.parametrize(("arguments", "sentence"), BEYOND.values(), ids=BEYOND)
def test_arrays_without_a_gain(arguments, sentence):
    with pytest.raises(InputError, match=sentence):
        gain_beyond(*arguments)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"n_splits": "3"}, "n_splits is '3', expected a whole number from 2"),
        ({"n_splits": 1}, "n_splits is 1, expected a whole number from 2"),
        ({"n_repeats": 1.5}, r"n_repeats is 1\.5, expected a whole number from 1"),
        ({"seed": None}, "seed is None, expected a whole number from 0"),
    ],
)
def test_folds_that_cannot_be(settings, sentence):
    for use in (lambda folds: list(folds.split(NUMBERS, groups=WORKS)), GroupedFolds.get_n_splits):
        with pytest.raises(InputError, match=sentence):
            use(GroupedFolds(**settings))


@pytest.mark.parametrize(
    ("layers", "sentence"),
    [
        (["5"], "A layer is '5', expected a whole number from 0 to 0"),
        ([0.0], r"A layer is 0\.0, expected a whole number"),
        ([True], "A layer is True, expected a whole number"),
        ("all", r"layers are 'all', expected whole numbers, as \[0, 5\]\. None stands for all"),
        (5.0, r"layers are 5\.0, expected whole numbers"),
        ([1], "There is no layer 1: mel has layers 0 to 0"),
    ],
)
def test_layers_that_are_none(layers, sentence):
    with pytest.raises(InputError, match=sentence):
        Embedder(MEL.id, layers=layers)


def test_encoders_that_cannot_be_registered():
    facts = {"sample_rate_hz": 16_000, "n_layers": 1, "dim": 2, "licence": "MIT"}
    with pytest.raises(InputError, match=r"its id is 'My Enc!', expected small letters, digits and \. _ -"):
        register_encoder("My Enc!", **facts)(lambda waveforms: waveforms)
    with pytest.raises(InputError, match="A checkpoint is None, expected a folder, or a model as the hub calls it"):
        encoder_from_hf(None)


def test_tables_go_where_there_is_no_folder_yet(library, tmp_path):
    found = library.embeddings()
    found.to_parquet(tmp_path / "new" / "folder" / "e.parquet")
    assert (tmp_path / "new" / "folder" / "e.parquet").is_file()
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"e\.parquet could not be written to .*\. Name another path"):
        found.to_parquet(tmp_path / "file" / "e.parquet")
    with pytest.raises(InputError, match="A path is a NoneType"):
        found.to_parquet(None)


def test_annotations_that_fit_nothing_say_what_they_are_called(library, tmp_path):
    with pytest.raises(InputError, match=r"There is no file or folder at .*nosuch"):
        library.annotate(tmp_path / "nosuch")
    with pytest.raises(InputError, match=r"none in .*\. Expected files called piece\.jams or piece\.<layer>\.csv"):
        library.annotate(tmp_path)


@pytest.mark.parametrize("n_rows", [81, 119, 200, 700])
def test_lists_of_a_few_rows_are_placed_without_a_warning(n_rows, capfd):
    """FAISS writes one itself where it is given fewer rows than it wants to place a list by."""
    rows = np.random.default_rng(0).standard_normal((n_rows, 8)).astype(np.float32)
    RowIndex(n_rows, 8, lambda start, stop: rows[start:stop], "ivf")
    assert "".join(capfd.readouterr()) == ""


@pytest.mark.parametrize(
    ("typed", "called"), [("/usr/bin/mess", "mess"), ("mess.exe", "mess"), ("__main__.py", "python -m mess_core")]
)
def test_usage_names_the_command_as_it_was_typed(typed, called, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [typed])
    with pytest.raises(SystemExit):
        main(["similar", "--help"])
    assert capsys.readouterr().out.startswith(f"usage: {called} similar ")


def test_lists_do_as_arrays_and_what_was_not_probed_is_said():
    """One penalty alone, too; a target without any value has a reason in place of a number."""
    expected = probe_layers(VECTORS, {"bright": NUMBERS, "gone": NUMBERS * np.nan}, WORKS, alphas=(1.0,), **QUICK)
    found = probe_layers(VECTORS.tolist(), {"bright": NUMBERS.tolist()}, WORKS, alphas=1.0, **QUICK)
    assert found.cell(0, "bright").r2 == expected.cell(0, "bright").r2
    assert expected.cell(0, "gone").r2 is None and expected.cell(0, "gone").reason == "undefined for every row"
    with pytest.raises(UnknownTrackError, match=r"'brigt' was not probed\. Did you mean bright\?"):
        found.cell(0, "brigt")
    with pytest.raises(KeyError, match=r"'brigt' was not probed"):
        found.target("brigt")
    with pytest.raises(UnknownTrackError, match=r"no layer 9\. Layers are 0 to 1"):
        found.cell(9, "bright")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="pipes break otherwise there")
@pytest.mark.parametrize("verb", ["probe --encoder mel --permutations 0 --without untrained --library music", "doctor"])
def test_who_stops_reading_gets_no_traceback(verb, library):
    """As after `| head -1`: whatever the verb has to say is said to nobody, and it ends as one expects of a program."""
    command = [sys.executable, "-m", "mess_core", "--home", str(library.scope.workspace.paths.root), *verb.split()]
    running = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    running.stdout.close()
    said = running.stderr.read()
    running.stderr.close()
    assert running.wait(120) == 141 and "Traceback" not in said and "BrokenPipe" not in said
