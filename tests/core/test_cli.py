"""The command line: its shapes, its exit codes, and the same answers as the core."""

import json

import numpy as np
import pytest

from mess_core.cli import main
from mess_core.encoders.registry import encoder_info
from mess_core.home import Home


@pytest.fixture
def run(tmp_path, capsys):
    """Run a verb on an own data folder; returns its exit code and what it printed."""

    def run(*arguments: object) -> tuple[int, str]:
        code = main(["--home", str(tmp_path / "home"), *map(str, arguments)])
        return code, capsys.readouterr().out

    return run


@pytest.fixture
def library(run, write_wav):
    """Three recordings, registered and embedded with the log-mel control."""
    paths = [write_wav(f"t{seed}", 4.0 + seed, seed) for seed in range(3)]
    assert run("add", paths[0].parent)[0] == 0
    assert run("extract", "--encoder", "mel")[0] == 0
    return paths


def test_similar_has_the_promised_shape_and_answer(run, library, tmp_path):
    code, out = run("similar", library[0], "--encoder", "mel", "-k", 99, "--json")
    document = json.loads(out)
    assert code == 0
    assert {"query", "encoder", "library", "geometry", "results"} <= document.keys()
    assert document["query"] == str(library[0]) and document["geometry"] == "layer"
    assert [r["rank"] for r in document["results"]] == [1, 2]  # the query's own bytes never come back
    for result in document["results"]:
        assert result.keys() == {
            "rank", "track_id", "title", "path", "similarity", "percentile", "aspects", "moment"
        }  # fmt: skip
        assert result["aspects"] is None and result["moment"] is None
    home = Home(tmp_path / "home")
    info = encoder_info("mel", home.paths)
    query = home.store.read(document["query_track_id"], info).mean
    expected = home.index("music", info).search(query, 2, exclude=[document["query_track_id"]])
    assert [r["track_id"] for r in document["results"]] == [n.track_id for n in expected]


def test_a_file_that_is_not_catalogued_is_embedded_and_not_kept(run, library, write_wav, tmp_path):
    stranger = write_wav("stranger", 5.0, seed=9, folder="elsewhere")
    code, out = run("similar", stranger, "--encoder", "mel", "--json")
    assert code == 0 and len(json.loads(out)["results"]) == 3
    assert len(Home(tmp_path / "home").catalogue.tracks("all")) == 3


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
    home = Home(tmp_path / "home")
    before = {path: path.stat().st_mtime_ns for path in home.paths.embeddings.rglob("*.safetensors")}
    assert run("extract", "--encoder", "mel")[0] == 0
    assert {path: path.stat().st_mtime_ns for path in home.paths.embeddings.rglob("*.safetensors")} == before


def test_keep_raw_keeps_hidden_states(run, library, tmp_path):
    from safetensors.numpy import load_file

    home = Home(tmp_path / "home")
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
    ],
)
def test_wrong_use_is_exit_2_and_one_sentence(run, library, arguments, capsys):
    code = run(*arguments, "--json")
    assert code[0] == 2
    document = json.loads(code[1])
    assert document.keys() == {"error", "hint"} and document["error"].endswith(".")


def test_unknown_verbs_and_options_are_exit_2(run):
    for arguments in (["nosuch"], ["similar"], ["add", "x", "--dataset", "nosuch"]):
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
    assert "mert-95m" in "".join(findings) and findings["torch"]["is_ok"]
