"""The command line: its shapes, its exit codes, and the same answers as the core."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mess_core.cli.doctor import examine
from mess_core.cli.main import main
from mess_core.encoders.mel import MEL
from mess_core.encoders.mert import MERT_95M
from mess_core.encoders.registry import encoder_info
from mess_core.evaluation.kept import load_evaluation
from mess_core.handover.exports import as_json
from mess_core.search import rows
from mess_core.search.answers import answer, build_index, make_plan, query_of
from mess_core.search.question import Question
from mess_core.targets.registry import VERSIONS
from mess_core.work import evaluate as evaluate_module
from mess_core.work import targets as work_of_targets
from mess_core.workspace.scope import Scope
from mess_core.workspace.workspace import Workspace
from tests.conftest import take, write_recording
from tests.planted import (
    QUERY,
    TWIN,
    a_track,
    discover,
    embed,
    pace,
    plant_heard_library,
    plant_tracks,
    strict,
    work_here,
)


@pytest.fixture
def run(tmp_path, capsys):
    """Run a verb on an own data folder; returns its exit code and what it printed."""

    def run(*arguments: object) -> tuple[int, str]:
        code = main(["--home", str(tmp_path / "home"), *map(str, arguments)])
        return code, capsys.readouterr().out

    return run


@pytest.fixture
def library(home, made_once, tmp_path, capsys):
    """Three recordings, registered and embedded with the log-mel control."""
    take(made_once("three", _make_library), home, tmp_path / "music")
    capsys.readouterr()  # what its making printed
    return sorted((tmp_path / "music").iterdir())


def _make_library(folder: Path) -> None:
    for seed in range(3):
        write_recording(folder / "music" / f"t{seed}.wav", 4.0 + seed, seed)
    assert main(["--home", str(folder / "home"), "add", str(folder / "music")]) == 0
    assert main(["--home", str(folder / "home"), "extract", "--encoder", "mel"]) == 0


def test_similar_has_the_promised_shape_and_answer(run, library, tmp_path):
    code, out = run("similar", library[0], "--encoder", "mel", "-k", 99, "--json")
    document = json.loads(out)
    assert code == 0
    assert {"query", "encoder", "library", "geometry", "results"} <= document.keys()
    assert document["query"] == str(library[0]) and document["geometry"] == "layer"
    assert [r["rank"] for r in document["results"]] == [1, 2]  # the query's own bytes never come back
    for result in document["results"]:
        assert result.keys() == {
            "rank", "track_id", "title", "path", "similarity", "percentile", "nearness", "aspects", "heard_as", "words",
            "hearings", "semitones", "value", "standings", "moment",
        }  # fmt: skip
        assert result["aspects"] is None
        assert result["moment"].keys() == {"query_s", "track_s", "length_s", "similarity"}
    home = Workspace(tmp_path / "home")
    plan = make_plan(Scope(home, "all", encoder_info("mel", home.paths)), Question(k=99), None)
    query = query_of(plan.scope, home.catalogue.track(document["query_track_id"]), str(library[0]))
    assert json.loads(as_json(answer(build_index(plan), plan, query))) == document


def test_a_query_that_is_catalogued_but_not_embedded_keeps_its_facts(run, library, tmp_path):
    """Its work is known, so that other recordings of it can be left out."""
    home = Workspace(tmp_path / "home")
    by_path = {home.catalogue.file_paths(track.track_id)[0]: track.track_id for track in home.catalogue.tracks("all")}
    with home.database.transaction() as connection:
        for path, work in zip(library, ("one", "one", "other"), strict=True):
            connection.execute("UPDATE tracks SET work = ? WHERE track_id = ?", (work, by_path[path.resolve()]))
    home.store.forget(by_path[library[0].resolve()], encoder_info("mel", home.paths).fingerprint)
    for versions, expected in (("keep", library[1:]), ("exclude", library[2:])):
        code, out = run("similar", library[0], "--encoder", "mel", "--versions", versions, "--json")
        assert code == 0
        assert {r["track_id"] for r in json.loads(out)["results"]} == {by_path[p.resolve()] for p in expected}


def test_a_file_that_is_not_catalogued_is_embedded_and_not_kept(run, library, write_wav, tmp_path):
    stranger = write_wav("stranger", 5.0, seed=9, folder="elsewhere")
    code, out = run("similar", stranger, "--encoder", "mel", "--json")
    assert code == 0 and len(json.loads(out)["results"]) == 3
    assert len(Workspace(tmp_path / "home").catalogue.tracks("all")) == 3


def test_a_track_id_and_its_file_give_the_same_answer(run, library):
    by_file = json.loads(run("similar", library[1], "--encoder", "mel", "--json")[1])
    by_id = json.loads(run("similar", by_file["query_track_id"], "--encoder", "mel", "--json")[1])
    assert by_id["results"] == by_file["results"]


def test_extract_resumes_and_names_what_failed(run, library, write_wav):
    write_wav("silent", level=0.0)
    code, out = run("add", library[0].parent, "--json")
    assert code == 0
    code, out = run("extract", "--encoder", "mel", "--json")
    document = json.loads(out)
    assert code == 1 and document["done"]
    assert [failure["subject"] for failure in document["failures"]] == ["silent"]
    assert "is silent" in document["failures"][0]["message"]


def test_extract_twice_changes_nothing(run, library, tmp_path):
    home = Workspace(tmp_path / "home")
    before = {path: path.stat().st_mtime_ns for path in home.paths.embeddings.rglob("*.safetensors")}
    assert run("extract", "--encoder", "mel")[0] == 0
    assert {path: path.stat().st_mtime_ns for path in home.paths.embeddings.rglob("*.safetensors")} == before


def test_keep_raw_keeps_hidden_states(run, library, tmp_path):
    from safetensors.numpy import load_file

    home = Workspace(tmp_path / "home")
    for path in home.paths.embeddings.rglob("*.safetensors"):
        path.unlink()
    run("check", "--repair")
    assert run("extract", "--encoder", "mel", "--keep-raw")[0] == 0
    (first, *others) = sorted((home.paths.cache / "raw").rglob("*.safetensors"))
    assert len(others) == 2
    raw = load_file(first)["hidden_states"].astype(np.float32)
    kept = home.store.read(first.stem, encoder_info("mel", home.paths)).segments
    np.testing.assert_allclose(raw.mean(axis=2), kept[:, :, :128], atol=0.02)


def test_check_finds_and_repairs(run, library, tmp_path):
    assert json.loads(run("check", "--json")[1]) == {"ok": True, "problems": []}
    path = next((tmp_path / "home" / "embeddings").rglob("*.safetensors"))
    path.write_bytes(path.read_bytes()[:-1])
    code, out = run("check", "--json")
    (problem,) = json.loads(out)["problems"]
    assert code == 1 and problem.keys() == {"kind", "what", "cure"} and path.name in problem["what"]
    assert run("check", "--repair")[0] == 1
    assert run("check")[0] == 0
    assert run("extract", "--encoder", "mel")[0] == 0


def test_remove_forgets_and_touches_no_music(run, library, tmp_path):
    assert run("remove", "music")[0] == 0
    assert all(path.exists() for path in library)
    assert not list((tmp_path / "home" / "embeddings").rglob("*.safetensors"))
    assert run("similar", library[0], "--encoder", "mel")[0] == 2


def test_remove_takes_a_track_id_too(run, library):
    track_id = json.loads(run("similar", library[0], "--encoder", "mel", "--json")[1])["query_track_id"]
    assert run("remove", track_id)[0] == 0
    assert len(json.loads(run("similar", library[0], "--encoder", "mel", "--json")[1])["results"]) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["similar", "nosuch"],
        ["remove", "nosuch"],
        ["add", "/no/such/folder"],
        ["extract", "--encoder", "nosuch"],
        ["extract", "--library", "nosuch"],
        ["extract", "--encoder", "mert-95m"],
        ["similar", "x", "-k", "0"],
        ["probe", "--encoder", "mel", "--seed", "-1"],
        ["probe", "--encoder", "mel", "--folds", "1"],
        ["probe", "--encoder", "mel", "--alpha", "nan"],
        ["evaluate", "similarity", "--library", "nosuch"],
        ["evaluate", "faithfulness", "--encoder", "nosuch"],
        ["evaluate", "sequences", "/no/such/file.txt"],
    ],
)
def test_wrong_use_is_exit_2_and_one_sentence(run, library, arguments, capsys):
    code = run(*arguments, "--json")
    assert code[0] == 2
    document = json.loads(code[1])
    assert document.keys() == {"error", "hint"} and document["error"].endswith(".")


def test_unknown_verbs_and_options_are_exit_2(run):
    for arguments in (
        ["nosuch"],
        ["similar"],
        ["add", "x", "--dataset", "nosuch"],
        ["similar", "x", "--geometry", "nosuch"],
        ["similar", "x", "--duplicates", "nosuch"],
        ["similar", "x", "--hubs", "nosuch"],
        ["evaluate"],
        ["evaluate", "nosuch"],
        ["evaluate", "sequences"],
        ["evaluate", "similarity", "file.txt"],
    ):
        with pytest.raises(SystemExit) as stopped:
            run(*arguments)
        assert stopped.value.code == 2


def test_a_folder_without_audio_is_said_so(run, tmp_path):
    (tmp_path / "nothing").mkdir()
    code, out = run("add", tmp_path / "nothing")
    assert code == 1 and "No audio file" in out


def test_doctor_names_what_is_missing_and_the_cure(run):
    code, out = run("doctor", "--json")
    findings = {finding["subject"]: finding for finding in json.loads(out)["findings"]}
    assert code == 0
    assert findings["libraries"]["cure"] == "python -m mess_core demo"
    assert "mert-95m" in findings["further encoders"]["state"] and findings["torch"]["is_ok"]
    assert not any(subject.startswith("search") for subject in findings)


def test_doctor_says_which_index_answers_and_what_it_misses(run, library, monkeypatch):
    """One line per library and encoder that embedded some of it; an approximate index with its recall."""

    def findings() -> dict[str, str]:
        return {f["subject"]: f["state"] for f in json.loads(run("doctor", "--json")[1])["findings"]}

    (name,) = [subject for subject in findings() if subject.startswith("search")]
    assert name == "search music mel" and findings()[name] == "3 tracks, by FAISS, exact: every track compared"
    monkeypatch.setattr(rows, "FLAT_UP_TO", 2)
    monkeypatch.setattr(rows, "NARROW", 0)
    monkeypatch.setattr(rows, "NARROW", 1)
    assert findings()[name] == "3 tracks, by FAISS, hnsw"  # nobody has searched yet
    document = json.loads(run("similar", library[0], "--encoder", "mel", "--library", "music", "--json")[1])
    assert document["index"] == "hnsw" and len(document["results"]) == 2
    assert "3 tracks, by FAISS, hnsw; nothing in particular: 100.0% (100.0% to 100.0%) found in" in findings()[name]


# --- with a discovery ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def planted(tmp_path_factory) -> tuple[Workspace, list[str]]:
    """Forty tracks in which brightness and tempo were discovered; another library without any discovery."""
    home = Workspace(tmp_path_factory.mktemp("planted") / "home")
    ids = plant_heard_library(home, MEL)
    discover(home, MEL)
    return home, ids


@pytest.fixture
def ask(planted, capsys):
    """Ask for what is like the first planted track; returns exit code, document or text, and what was warned of."""

    def ask(*options: object, verb: tuple[str, ...] = (), is_json: bool = True):
        home, ids = planted
        verb = verb or ("similar", ids[QUERY])
        shared = ("--encoder", "mel", *(["--library", "planted"] if "--library" not in options else []))
        json_option = ("--json",) if is_json else ()
        code = main(["--home", str(home.paths.root), *verb, *shared, *map(str, options), *json_option])
        printed = capsys.readouterr()
        return code, strict(printed.out) if is_json else printed.out, printed.err

    return ask


RESULT = {"rank", "track_id", "title", "path", "similarity", "percentile", "nearness", "aspects", "heard_as", "words",
          "hearings", "semitones", "value", "standings", "moment"}  # fmt: skip
SCORE = {"similarity", "percentile", "weight", "contribution", "nearness"}


@pytest.mark.slow
def test_aspects_on_the_command_line(planted, ask):
    """The promised shape, shares as weights, and the planted neighbours."""
    _, ids = planted
    code, document, warned = ask("--aspects", "brightness=0.6, tempo=0.2", "-k", 5)
    assert code == 0 and warned == "" and document["geometry"] == "direction" and document["notices"] == []
    assert document["discovered_on"] == "planted"
    assert [result["rank"] for result in document["results"]] == [1, 2, 3, 4, 5]
    for result in document["results"]:
        assert result.keys() == RESULT and result["aspects"].keys() == {"brightness", "tempo"}
        assert all(score.keys() == SCORE for score in result["aspects"].values())
        assert result["aspects"]["brightness"]["weight"] == pytest.approx(0.75)
    by_one = ask("--aspects", "tempo", "-k", 8)[1]
    near = [abs(pace([result["track_id"]]) - pace([ids[QUERY]]))[0] for result in by_one["results"]]
    assert np.mean(near) < 1.3 * np.sort(np.abs(pace(ids) - pace([ids[QUERY]])))[1:9].mean()


@pytest.mark.slow
def test_not_and_geometry_on_the_command_line(ask):
    """What is left out, with or without spaces; the geometry that was asked for."""
    code, document, _ = ask("--not", "tempo, legato", "-k", 99)
    assert code == 0 and document["request"]["avoid"] == ["tempo", "legato"] and document["geometry"] == "layer"
    plain = ask("-k", 99)[1]
    assert [r["track_id"] for r in document["results"]] != [r["track_id"] for r in plain["results"]]
    assert ask("--aspects", "tempo", "--geometry", "layer")[1]["geometry"] == "layer"
    document = ask("--geometry", "direction", "--not", "tempo")[1]
    assert document["geometry"] == "direction" and set(document["request"]["aspects"]) == {"brightness", "warmth"}


def test_measured_values_on_the_command_line(planted, ask):
    """Ranks are those of the planted tempo; said in a line and in the document, as is who was left out."""
    _, ids = planted
    options = ("--aspects", "tempo", "--geometry", "measured", "-k", 5)
    code, document, warned = ask(*options)
    apart = np.abs(pace(ids) - pace([ids[QUERY]]))
    assert code == 0 and warned == "" and document["geometry"] == "measured"
    assert [result["track_id"] for result in document["results"]] == [ids[row] for row in np.argsort(apart)[1:6]]
    assert (document["discovered_on"], document["n_left_out"]) == (None, 0)
    assert document["basis"] == "Ranked by what was measured in the sound, not by what the encoder hears."
    assert ask(*options, is_json=False)[1].splitlines()[0] == document["basis"]
    assert ask("--aspects", "tempo")[1]["basis"] is None
    code, document, warned = ask("--aspects", "rubato", "--geometry", "measured")
    assert code == 2 and "rubato was measured in no recording here" in document["error"]


def test_a_passage_on_the_command_line(planted, ask):
    """The planted place comes first, with when it is."""
    _, ids = planted
    for options in ((), ("--aspects", "tempo=1,brightness=1")):
        code, document, _ = ask("--passage", "3:12.5", "-k", 3, *options)
        first = document["results"][0]
        assert code == 0 and len(document["results"]) == 3 and first["track_id"] == ids[TWIN]
        assert (first["moment"]["query_s"], first["moment"]["track_s"], first["moment"]["length_s"]) == (2.5, 0, 10)


@pytest.mark.slow
def test_caps_copies_and_hubs_on_the_command_line(planted, ask):
    """Each option reaches the search."""
    home, ids = planted
    work_of = {track.track_id: track.work for track in home.catalogue.tracks("planted")}

    def works(*options: object) -> list[str]:
        code, document, _ = ask("-k", 99, *options)
        assert code == 0
        return [work_of[result["track_id"]] for result in document["results"]]

    assert len(works()) == len(ids) - 1
    assert len(works("--max-per-work", 1)) == len(ids) // 2 == len(works("--versions", "collapse"))
    assert work_of[ids[QUERY]] not in works("--versions", "exclude")
    assert len(works("--max-per-performer", 2)) == 4 and len(works("--max-per-album", 3)) == 3
    assert len(works("--duplicates", "exclude")) == len(ids) - 1  # there are none
    assert ask("--duplicates", "collapse")[1]["request"]["duplicates"] == "collapse"
    assert works("--diversity", 0.9) != works() and works("--hubs", "on") != works()
    assert works("--hubs", "off") == works("--diversity", 0) == works()


def test_an_aspect_without_evidence_is_searched_with_a_warning(ask):
    """Exit 0, one line on standard error, the same in the document."""
    code, document, warned = ask("--aspects", "legato")
    assert code == 0 and len(document["results"]) == 10
    assert warned.startswith("mess: There is no evidence for legato here") and len(warned.splitlines()) == 1
    assert warned.strip() == f"mess: {document['notices'][0]}"
    assert document["results"][0]["aspects"]["legato"]["weight"] == 1


def test_a_library_may_borrow_a_discovery(planted, ask):
    home, ids = planted
    home.catalogue.add_to_library("borrower", ids[:8])
    code, document, warned = ask("--aspects", "tempo", "--library", "borrower")
    assert code == 0 and document["discovered_on"] == "planted" and "discovered on the library planted" in warned
    assert len(document["results"]) == 7


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--aspects", "brightnes=1"], "no aspect 'brightnes'"),
        (["--not", "nosuch"], "no aspect 'nosuch'"),
        (["--aspects", "tempo=-1"], "-1"),
        (["--aspects", "tempo=0"], "all aspects are 0"),
        (["--aspects", "tempo=0,brightness=0"], "all aspects are 0"),
        (["--aspects", "tempo=much"], "'much'"),
        (["--aspects", "tempo=nan"], "nan"),
        (["--aspects", "tempo=inf"], "inf"),
        (["--aspects", "rubato"], "Nothing can be said of rubato"),
        (["--aspects", "tempo", "--not", "tempo"], "both asked for and left out"),
        (["--passage", "20:25"], "outside the recording"),
        (["--passage", "5:4"], "5:4"),
        (["--passage", "abc"], "'abc'"),
        (["--passage", "0:5", "--not", "tempo", "--geometry", "layer"], "cannot be left out"),
        (["--diversity", 2], "Diversity is 2"),
        (["--max-per-work", 0], "At most 0 per work"),
        (["-k", 0], "k is 0"),
    ],
)
def test_a_question_that_cannot_be_meant_is_exit_2(ask, options, text):
    """One sentence that names it, on standard error as well."""
    code, document, warned = ask(*options)
    assert code == 2 and document.keys() == {"error", "hint"}
    assert text in document["error"] and document["error"] in warned and "Traceback" not in warned


def test_the_table_names_aspects_moments_and_titles(ask):
    """For people: a heading, then one line per neighbour, then what is usual here."""
    code, text, _ = ask("--aspects", "tempo,legato", "-k", 4, is_json=False)
    heading, *lines = text.splitlines()
    usual = [line for line in lines if line.startswith("a usual query's neighbour #")]
    assert lines[-len(usual) :] == usual and len(usual) == 2
    lines = lines[: -len(usual)]
    assert code == 0 and len(lines) == 4 and "tempo" in heading and "legato" in heading and "brightness" not in heading
    _, document, _ = ask("--aspects", "tempo,legato", "-k", 4)
    for line, result in zip(lines, document["results"], strict=True):
        assert line.endswith(result["title"]) and f"{result['similarity']:.3f}" in line
        assert f"{result['aspects']['tempo']['percentile']:.1f} %" in line
        assert f"{result['moment']['query_s']:.1f} ~ {result['moment']['track_s']:.1f} s" in line


@pytest.mark.slow
def test_several_recordings_the_furthest_and_an_order_on_the_command_line(planted, ask, tmp_path):
    """By id; strict documents, tables for people, a playlist in the same order."""
    _, ids = planted
    code, document, warned = ask("--like", ids[5], "--like", ids[6], "--unlike", ids[9], "-k", 7)
    assert (code, warned) == (0, "") and document["request"]["like"] == [ids[5], ids[6]]
    assert not {ids[5], ids[6], ids[9]} & {result["track_id"] for result in document["results"]}
    text = ask("--like", ids[5], "--unlike", ids[9], "-k", 3, is_json=False)[1]
    assert len(text.splitlines()) == 4 and all("near to" in line for line in text.splitlines()[1:])
    nearest, furthest = (ask("-k", 99, *option)[1]["results"] for option in ((), ("--furthest",)))
    assert [one["track_id"] for one in furthest] == [one["track_id"] for one in nearest][::-1]
    playlist = tmp_path / "order.m3u8"
    code, document, _ = ask("--along", "brightness", "--geometry", "measured", "-k", 99, "--playlist", playlist)
    ordered = [result["title"] for result in document["results"]]
    assert code == 0 and document["dial"]["query_percentile"] >= 0
    assert re.findall(r"^#EXTINF:\d+,(.+)$", playlist.read_text(), flags=re.MULTILINE) == ordered
    everybody = ask("--along", "brightness", "-k", 99, verb=("similar",))[1]
    assert everybody["query_track_id"] is None and len(everybody["results"]) == 1 + len(ordered)
    lines = ask("--along", "brightness", "--reverse", "-k", 3, is_json=False)[1].splitlines()
    assert "From brighter to darker." in lines[0] and lines[-1].startswith("The query is ") and len(lines) == 6


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--like", "nosuch"], "'nosuch' is no recording of the catalogue"),
        (["--unlike", "{query}"], "The query is named once more"),
        (["--like", "{other}", "--unlike", "{other}"], "should be like"),
        (["--along", "brightnes"], "There is no aspect 'brightnes'"),
        (["--along", "tempo", "--passage", "0:2"], "A passage is looked for by itself"),
    ],
)
def test_what_cannot_be_named_on_the_command_line_is_one_sentence(planted, ask, options, text):
    _, ids = planted
    names = {"query": ids[QUERY], "other": ids[5]}
    code, document, warned = ask(*(option.format(**names) for option in options))
    assert code == 2 and text in document["error"] and document["error"] in warned and "Traceback" not in warned


# --- evaluate -----------------------------------------------------------------------------------------------

EVALUATION = {"library", "encoder", "fingerprint", "content", "provenance", "target_versions"}


@pytest.mark.slow
def test_evaluate_faithfulness(planted, ask):
    """The planted aspects pass; the document is what is kept; the table gives the verdict of each."""
    home, _ = planted
    code, document, _ = ask(verb=("evaluate", "faithfulness"))
    assert code == 0 and document.keys() == EVALUATION | {
        "k", "n_queries", "n_groups", "rows", "references", "correlations", "labels", "differences"
    }  # fmt: skip
    assert document["content"] == Scope(home, "planted", MEL).content and document["n_groups"] == 20
    assert document["rows"]["direction"]["tempo"]["tempo"]["value"] < 0.6
    kept = load_evaluation(Scope(home, "planted", MEL), "faithfulness")
    assert strict(json.dumps(kept.as_document())) == document
    assert set(kept.result.judged) == {"brightness", "warmth", "tempo"}
    assert all(kept.result.passes(aspect) for aspect in kept.result.judged)
    code, text, _ = ask(verb=("evaluate", "faithfulness"), is_json=False)
    assert code == 0 and "3 of 3 aspects with evidence do what they say." in text.splitlines()[0]
    (line,) = [line for line in text.splitlines() if line.startswith("direction tempo ")]
    assert "passes" in line
    (line,) = [line for line in text.splitlines() if line.startswith("  brightness ")]
    assert "one family with: warmth" in line and "leaks into: –" in line


@pytest.mark.slow
def test_what_was_measured_otherwise_asks_to_be_run_again(planted, ask, capsys, monkeypatch):
    """By `doctor`, with the command; and beside an evaluation that goes by an old discovery."""
    home, _ = planted
    ask(verb=("evaluate", "faithfulness"))

    def asked() -> dict[str, dict]:
        main(["--home", str(home.paths.root), "doctor", "--json"])
        return {each["subject"]: each for each in strict(capsys.readouterr().out)["findings"]}

    subjects = {"probe planted mel", "evaluate faithfulness planted mel"}
    assert not subjects & asked().keys()
    monkeypatch.setitem(VERSIONS, "audio", VERSIONS["audio"] + 1)
    found = asked()
    for subject in subjects:
        assert found[subject]["state"].startswith("How properties are measured has changed since")
        assert not found[subject]["is_ok"] and found[subject]["cure"].endswith("--library planted --encoder mel")
    monkeypatch.setattr(evaluate_module, "measure_tracks", lambda task, track_ids: None)  # there is no music
    code, document, warned = ask(verb=("evaluate", "faithfulness"))
    assert code == 0 and document["target_versions"]["audio"] == VERSIONS["audio"]
    assert "The discovery that this goes by: How properties are measured has changed since" in warned
    assert "evaluate faithfulness planted mel" not in asked()
    monkeypatch.undo()
    ask(verb=("evaluate", "faithfulness"))


@pytest.mark.slow
def test_evaluate_similarity(ask):
    """Every measure, the held-out directions among them; then the table."""
    code, document, _ = ask(verb=("evaluate", "similarity"))
    assert code == 0 and document.keys() >= EVALUATION | {"n_tracks", "n_groups", "figures", "hubness", "anisotropy"}
    assert {figure["task"] for figure in document["figures"]} >= {"work", "performer"}
    assert "direction" in {figure["measure"] for figure in document["figures"]} and "direction" in document["hubness"]
    code, text, _ = ask(verb=("evaluate", "similarity"), is_json=False)
    assert code == 0 and any(line.startswith("hubness by direction") for line in text.splitlines())


def test_evaluate_sequences(run, tmp_path):
    """What two camps of users have is found, and a table beside chance says so; there is no audio to it."""
    path = tmp_path / "sequences.txt"
    lines = [" ".join([f"u{u}", *(f"{'ab'[u % 2]}{(u + i) % 9}" for i in range(5))]) for u in range(40)]
    path.write_text("\n".join(lines), "utf-8")
    code, out = run("evaluate", "sequences", path, "-k", "3", "--json")
    document = json.loads(out)
    assert code == 0 and (document["n_tested"], document["k"], document["file"]) == (40, 3, str(path))
    hit_rates = {each["name"]: each["figures"][0]["value"] for each in document["recommenders"]}
    assert hit_rates["itemknn"] > 0.7 > hit_rates["popular"]
    code, out = run("evaluate", "sequences", path, "-k", "3")
    first, header, *lines = out.splitlines()
    assert first.startswith("40 users, 18 items") and "hit rate@3" in header
    names = [line.split()[0] for line in lines]
    assert names[:5] == ["random", "popular", "next", "itemknn", "ease"] and "chance" in names
    assert "There is no audio to these items" in out


def test_evaluating_aspects_before_any_were_discovered_is_exit_1(planted, ask):
    """The job fails in one sentence, with the command; comparing ways to compare needs no discovery."""
    home, ids = planted
    home.catalogue.add_to_library("undiscovered", ids[:8])
    code, document, _ = ask("--library", "undiscovered", verb=("evaluate", "faithfulness"))
    assert code == 1 and not document["done"] and "Nothing was discovered in 'undiscovered'" in document["message"]
    assert "python -m mess_core probe --encoder mel" in document["message"]
    code, document, _ = ask("--library", "undiscovered", verb=("evaluate", "similarity"))
    assert code == 0 and "direction" not in document["hubness"]


@pytest.mark.slow
def test_names_reach_a_terminal_without_control_characters(run, write_wav, tmp_path):
    """One line each, in answers and in what is refused; a document has them as they are."""
    folder = write_wav("plain", seconds=6).parent
    for seed, name in enumerate(("new\nline", "esc\x1b[31mred", "bell\x07", "left\u202eright"), start=1):
        write_wav(name, seconds=6, seed=seed)
    (folder / "broken\x1b]0;x\x07\n.wav").write_bytes(b"RIFF but no more")
    code, out = run("add", folder, "--library", "music")
    assert code == 1 and len(out.splitlines()) == 2 and "\\x1b]0;x" in out
    run("extract", "--encoder", "mel", "--library", "music")
    code, out = run("similar", folder / "plain.wav", "--encoder", "mel", "--library", "music")
    assert code == 0 and len(out.splitlines()) == 5 and "new\\nline" in out
    assert all(char.isprintable() for line in out.splitlines() for char in line)
    code, out = run("similar", folder / "plain.wav", "--encoder", "mel", "--library", "music", "--json")
    assert "new\nline" in {found["title"] for found in json.loads(out)["results"]}


@pytest.mark.slow
def test_what_is_refused_for_one_reason_is_one_line(run, write_wav):
    """With how many there are, and the first three; the headline says what is so."""
    folder = write_wav("a").parent
    rows = "".join(f"gone{number}.wav\n" for number in range(830))
    (folder / "mess.csv").write_text(f"audio\na.wav\n{rows}", "utf-8")
    code, out = run("add", folder)
    first, second = out.splitlines()
    assert code == 1 and first.startswith("Folder with a table: 1 of 1 recording registered.")
    assert second.strip().startswith("830 × The file that it names is not there. row 3 (gone0.wav), row 4")
    (folder / "mess.csv").write_text(f"audio\n{rows}", "utf-8")
    code, out = run("add", folder)
    assert code == 1 and "No audio" not in out and "830 refused" in out.splitlines()[0] and len(out.splitlines()) == 2


def test_a_playlist_goes_in_and_comes_out(run, write_wav, tmp_path):
    folder = write_wav("a", seconds=6, seed=1).parent
    write_wav("b", seconds=6, seed=2)
    (folder / "mix.m3u8").write_text("#EXTM3U\na.wav\nb.wav\nhttp://example.com/x.mp3\n", "utf-8")
    code, out = run("add", folder / "mix.m3u8")
    assert code == 1 and "2 of 2 files registered" in out and "on the network" in out
    run("extract", "--encoder", "mel", "--library", "mix")
    code, _ = run(
        "similar", folder / "a.wav", "--encoder", "mel", "--library", "mix", "--playlist", tmp_path / "n.m3u8"
    )
    assert code == 0 and (tmp_path / "n.m3u8").read_text("utf-8").splitlines()[-1] == "music/b.wav"


@pytest.mark.slow
def test_columns_of_a_table_on_the_command_line(run, write_wav, monkeypatch):
    monkeypatch.setattr(work_of_targets, "work_through", work_here)
    folder = write_wav("a", seconds=6, seed=1).parent
    for seed, name in enumerate("bc", start=2):
        write_wav(name, seconds=6, seed=seed)
    (folder / "mess.csv").write_text("audio,era\na.wav,late\nb.wav,late\nc.wav,early\n", "utf-8")
    code, out = run("add", folder, "--library", "music")
    assert code == 0 and out.startswith(
        "Folder with a table: 3 of 3 recordings registered. None names its work, so each"
    )
    run("extract", "--encoder", "mel", "--library", "music")
    asked = ("similar", folder / "a.wav", "--encoder", "mel", "--library", "music")
    _, out = run(*asked, "--where", "era=late", "--json")
    assert [found["title"] for found in json.loads(out)["results"]] == ["b"]
    assert run(*asked, "--where", "mood=sad")[0] == 2
    assert run("probe", "--encoder", "mel", "--library", "music", "--group", "mood")[0] == 2
    code, out = run("probe", "--encoder", "mel", "--library", "music", "--target", "era", "--without", "untrained")
    assert code == 0 and "each of its classes is in fewer groups than the 5 folds" in out


ONE = r"\b1 (?!(?:s|is|was|has)\b)[a-z]+s\b"  # "1 tracks", not "1 s"
ON_ONE_TRACK = (
    ["extract", "--encoder", "mel"],
    ["extract", "--encoder", "mel"],  # nothing is left
    ["targets"],
    ["probe", "--encoder", "mel"],
    ["evaluate", "similarity", "--encoder", "mel"],
    ["evaluate", "faithfulness", "--encoder", "mel"],
    ["evaluate", "taste", "--encoder", "mel"],
    ["recommend", "--encoder", "mel"],
    ["map", "--encoder", "mel"],
    ["similar", "{audio}", "--encoder", "mel"],
    ["similar", "{audio}", "--encoder", "mel", "--passage", "0:2"],
    ["export", "{folder}/handed", "--encoder", "mel"],
    ["export", "{folder}/served", "--index", "--encoder", "mel"],
    ["import", "{folder}/handed"],
    ["import", "--vectors", "{folder}/v.npy", "--ids", "{folder}/v.txt", "--name", "own"],
    ["check"],
    ["doctor"],
    ["backup", "{folder}/copy"],
    ["remove", "--missing"],
    ["remove", "one"],
)


@pytest.mark.slow
def test_one_is_said_in_the_singular(write_wav, tmp_path, capsys, monkeypatch):
    """All verbs on a library of one track: no "1 tracks", "1 files", "1 works"."""
    monkeypatch.setattr(work_of_targets, "work_through", work_here)
    audio = write_wav("only", 6.0)
    np.save(tmp_path / "v.npy", np.ones((1, 4), np.float32))
    (tmp_path / "v.txt").write_text("only\n")
    said = {}
    for verb in (["add", str(audio.parent), "--library", "one"], *ON_ONE_TRACK):
        words = [word.format(audio=audio, folder=tmp_path) for word in verb]
        main(["--home", str(tmp_path / "home"), *words])
        caught = capsys.readouterr()
        said[" ".join(verb)] = caught.out + caught.err
    assert all(said.values())
    wrong = {verb: found for verb, text in said.items() if (found := re.findall(ONE, text))}
    assert not wrong, [line for verb in wrong for line in said[verb].splitlines() if re.search(ONE, line)]


def test_one_missing_file_is_said_in_the_singular(run, write_wav, tmp_path):
    keep, gone = write_wav("a", 3.0), write_wav("b", 3.0, 1)
    run("add", keep.parent)
    gone.unlink()
    told, forgot = run("remove", "--missing")[1], run("remove", "--missing", "--yes")[1]
    assert "1 track without a file" in told and "1 track forgotten" in forgot
    assert not re.search(ONE, told + forgot)


def test_wrong_use_of_files_and_collections_is_exit_2(run, write_wav, capsys):
    """Nothing is queued for what cannot be meant."""
    folder = write_wav("a").parent
    for arguments in (
        ["add", "/dev/null"],
        *(["add", folder, "--dataset", id] for id in ("maestro", "smd", "asap", "vienna4x22", "manifest")),
    ):
        code, out = run(*arguments, "--json")
        assert code == 2 and json.loads(out)["error"].endswith("."), arguments


@pytest.mark.parametrize("verb", [["map"], ["probe"], ["evaluate", "similarity"], ["evaluate", "faithfulness"],
                                  ["evaluate", "taste"]])  # fmt: skip
def test_what_needs_embeddings_says_so_as_similar_does(run, write_wav, verb):
    folder = write_wav("a").parent
    run("add", folder, "--library", "music")
    asked = ("--encoder", "mel", "--library", "music", "--json")
    (code, out), (expected, said) = run(*verb, *asked), run("similar", folder / "a.wav", *asked)
    assert code == expected == 2 and json.loads(out)["hint"] == json.loads(said)["hint"]
    assert "has an embedding by mel yet" in json.loads(out)["error"]


@pytest.mark.parametrize("arguments", [["nosuch"], ["similar"], ["add", ""], ["similar", "x", "-k", "x"], ["map", "x"]])
def test_what_the_parser_refuses_is_a_document_too(tmp_path, arguments, capsys):
    """Wherever --json stands; usage goes to standard error."""
    for asked in (["--json", *arguments], [*arguments, "--json"], arguments):
        with pytest.raises(SystemExit) as stopped:
            main(["--home", str(tmp_path), *asked])
        out, err = capsys.readouterr()
        assert stopped.value.code == 2 and err.startswith("usage: ")
        if "--json" in asked:
            assert json.loads(out).keys() == {"error", "hint"}
        else:
            assert out == ""


def test_a_value_that_no_track_has_is_exit_2_and_names_what_there_is(run, write_wav):
    paths = [write_wav(f"t{number:02}", seconds=1, seed=number) for number in range(12)]
    rows = [f"{path.name},era {number:02},Ann" for number, path in enumerate(paths)]
    (paths[0].parent / "mess.csv").write_text("\n".join(["audio,era,performer", *rows]), "utf-8")
    run("add", paths[0].parent, "--library", "music")
    run("extract", "--encoder", "mel", "--library", "music")
    asked = ("similar", paths[0], "--encoder", "mel", "--library", "music", "--json", "--where")
    code, out = run(*asked, "era=zzz")
    document = json.loads(out)
    assert code == 2 and document["error"] == "No track has 'zzz' as its era."
    assert document["hint"] == f"There is: {', '.join(f'era {number:02}' for number in range(10))} and 2 more."
    assert json.loads(run(*asked, "performer=Bob")[1])["hint"] == "There is: Ann."
    assert json.loads(run(*asked, "composer=Bob")[1])["hint"] == "No track has any."
    assert run(*asked, "performer=ANN")[0] == run(*asked, "era=ERA 03")[0] == 0


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["doctor", "--json"], ["--help"]])
def test_a_reader_that_stops_is_no_traceback(tmp_path, arguments):
    """`| head`: the pipe is closed before anything is written."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "mess_core", "--home", str(tmp_path), *arguments]
    surroundings = {"env": {**os.environ, "PYTHONUNBUFFERED": ""}, "cwd": Path(__file__).parents[2]}
    ended = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, timeout=120, **surroundings)
    os.close(writer)
    assert ended.returncode == 128 + 13 and ended.stderr == b""


def test_nothing_is_registered_where_one_of_several_paths_is_wrong(run, home, write_wav, tmp_path):
    code, out = run("add", write_wav("a"), tmp_path / "nowhere", "--json")
    assert code == 2 and "There is no file or folder at" in json.loads(out)["error"]
    assert home.catalogue.libraries() == []


def test_weights_are_a_finding_only_where_something_rests_on_them(home):
    """What nobody has asked for is offered in one line; what has embedded music and is gone is wrong."""
    ids = plant_tracks(home, [a_track(row) for row in range(3)], "music")
    before = {finding.subject: finding for finding in examine(home)}
    assert before["further encoders"].is_ok and MERT_95M.id in before["further encoders"].state
    assert f"weights {MERT_95M.id}" not in before
    embed(home, MERT_95M, ids[:1])
    after = {finding.subject: finding for finding in examine(home)}
    missing = after[f"weights {MERT_95M.id}"]
    assert not missing.is_ok and missing.cure and MERT_95M.id not in after["further encoders"].state


# --- path -------------------------------------------------------------------------------------------------------

PATH = {"stops", "stop_track_ids", "encoder", "fingerprint", "library", "content", "plan_key", "versions", "geometry",
        "score", "request", "basis", "notices", "largest_step", "steps"}  # fmt: skip


@pytest.mark.slow
def test_a_path_on_the_command_line(planted, ask, tmp_path):
    """From the slowest to the fastest by way of another: the promised shape, a table, a playlist."""
    _, ids = planted
    order = [ids[row] for row in np.argsort(pace(ids))]
    slow, middle, fast = order[0], order[20], order[-1]
    playlist = tmp_path / "path.m3u8"
    options = ("--via", middle, "-n", 6, "--aspects", "tempo", "--playlist", playlist)
    code, document, warned = ask(*options, verb=("path", slow, fast))
    assert (code, warned) == (0, "") and document.keys() == PATH and len(document["steps"]) == 6
    assert document["stop_track_ids"] == [slow, middle, fast]
    steps = [step["track_id"] for step in document["steps"]]
    assert steps[0] == slow and steps[-1] == fast and middle in steps and len(set(steps)) == 6
    at = pace(steps)
    assert (np.diff(at) > -0.3).all() and np.abs(np.diff(at)).max() < 0.6 * np.ptp(at)
    assert playlist.read_text().count("#EXTINF") == 6
    code, text, _ = ask(*options[:-2], verb=("path", slow, fast), is_json=False)
    assert code == 0 and "The largest step is from #" in text.splitlines()[-1] and len(text.splitlines()) == 8


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["{a}", "{a}"], "one is named twice"),
        (["{a}", "nosuch"], "is neither a file nor a track id"),
        (["{a}", "{b}", "-n", "1"], "cannot hold the 2 that are named"),
        (["{a}", "{b}", "-n", "45"], "40 recordings can be compared here"),
        (["{a}", "{b}", "--aspects", "brightnes"], "There is no aspect 'brightnes'"),
    ],
)
def test_what_is_no_path_on_the_command_line_is_one_sentence(planted, ask, arguments, text):
    _, ids = planted
    named = [each.format(a=ids[3], b=ids[9]) for each in arguments]
    code, document, warned = ask(verb=("path", *named))
    assert code == 2 and document.keys() == {"error", "hint"} and text in document["error"]
    assert document["error"] in warned and "Traceback" not in warned
