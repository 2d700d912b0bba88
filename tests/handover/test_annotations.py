"""Annotations of other programs: what runs through a recording becomes a number or a word, by one rule."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mess_core.cli.main import main
from mess_core.errors import InputError
from mess_core.handover.annotations import Observation, columns_of, read_jams, read_layer
from mess_core.library import open_library


def jams(path: Path, *annotations: tuple[str, list | dict], duration: float = 60.0) -> Path:
    document = {
        "annotations": [{"namespace": name, "data": data, "sandbox": {}} for name, data in annotations],
        "file_metadata": {"duration": duration, "title": "x", "jams_version": "0.3.4"},
        "sandbox": {},
    }
    path.write_text(json.dumps(document))
    return path


def at(*rows: tuple[float, float, object]) -> list[dict[str, object]]:
    return [{"time": time, "duration": length, "value": value, "confidence": None} for time, length, value in rows]


def test_a_jams_file_becomes_columns(tmp_path):
    """Tempo by how long it holds, the key that holds longest, beats a minute; the second of a kind beside the first."""
    path = jams(
        tmp_path / "a.jams",
        ("tempo", at((0, 15, 100.0), (15, 45, 120.0))),
        ("key_mode", at((0, 10, "C:major"), (10, 40, "A:minor"), (50, 10, "C:major"))),
        ("beat", at(*((0.5 * beat, 0.0, beat % 4 + 1) for beat in range(120)))),
        ("onset", {"time": [0, 1.5, 3.0], "duration": [0, 0, 0], "value": [None, None, None]}),
        ("pitch_contour", at((0, 1, {"frequency": 440.0, "voiced": True, "index": 0}))),
        ("tempo", at((0, 60, 90.0))),
        ("chord", []),
    )
    found = read_jams(path)
    assert found["tempo"] == 115.0 and found["tempo_2"] == 90.0 and found["pitch_contour"] == 440.0
    assert (found["key_mode"], found["key_mode_per_minute"]) == ("A:minor", 3.0)
    assert found["onset_bpm"] == 40.0 and found["onset_per_minute"] == 3.0
    assert found["beat_bpm"] == 120.0 and not {"beat", "chord"} & found.keys()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.5\n1.0\n1.5\n2.0\n", {"x_bpm": 120.0, "x_per_minute": 24.0}),
        ("0.5,New Point\n1.0,New Point\n", {"x_bpm": 120.0, "x_per_minute": 12.0}),
        ("0,100\n2,110\n", {"x": (200 + 880) / 10}),
        ("0.0,60.5,2.0,verse\n2.0,64.5,6.0,chorus\n", {"x": 63.5}),
        ("0.0,A\n2.0,B\n9,A\n", {"x": "B", "x_per_minute": 18.0}),
        ("TIME;VALUE;LABEL\n0;3;a\n5;4;b\n", {"x": 3.5}),
        ("\ufeff0\t3.5\ta\n", {"x": 3.5}),
    ],
)
def test_a_layer_becomes_columns(tmp_path, text, expected):
    """Moments, moments with a label, values in time, regions, words; with a header or without, of ten seconds."""
    path = tmp_path / "piece.x.csv"
    path.write_text(text, "utf-8")
    found = read_layer(path, "x", 10.0)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name] == (value if isinstance(value, str) else pytest.approx(value))


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.jams", "{", "a.jams"),
        ("a.jams", "{}", "no annotations"),
        ("a.jams", '{"annotations": [{"namespace": "x", "data": {"time": [1], "value": []}}]}', "unequal length"),
        ("a.x.csv", "", "is empty"),
        ("a.x.csv", "0,1\nzero,2\n", "Line 2 of a.x.csv has no time"),
        ("a.x.csv", "0,1\n1\n", "Line 2 of a.x.csv has 1 columns, the first has 2"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(tmp_path, name, text, said):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(InputError, match=said):
        read_jams(path) if name.endswith(".jams") else read_layer(path, "x")


def test_numbers_that_are_none_say_nothing():
    assert columns_of("x", []) == {} == columns_of("x", [Observation(0, 1, np.nan)])
    assert columns_of("x", [Observation(np.nan, 1, 3.0), Observation(0, np.inf, 4.0)]) == {"x": 4.0}


@pytest.mark.slow
def test_annotations_are_probed_as_columns(home, write_wav, tmp_path, capsys):
    """Found by the name of the file, beside it or elsewhere; what is of no recording is named; then a target."""
    for seed in range(12):
        folder = write_wav(f"t{seed}", 2.0, seed).parent
        jams(folder / f"t{seed}.jams", ("tempo", at((0, 2, 60.0 + seed))), duration=2.0)
    (tmp_path / "t3.beats.csv").write_text("0.0\n0.5\n1.0\n")
    (tmp_path / "other.beats.csv").write_text("0.0\n")
    library = open_library("music", encoder="mel", home=home.paths.root)
    (folder / "table.csv").write_text("any,table\n1,2\n")  # beside them, and none of a layer
    library.add(folder)
    assert library.annotate(folder, tmp_path / "t3.beats.csv", tmp_path / "other.beats.csv") == (
        ("other.beats.csv", "no such recording in this library"),
    )
    frame = library.tracks.to_frame().set_index("title")
    assert frame["tempo"].astype(float).to_dict() == {f"t{seed}": 60.0 + seed for seed in range(12)}
    assert float(frame.loc["t3", "beats_bpm"]) == 120.0 and frame["beats_bpm"].notna().sum() == 1
    home_of = ["--home", str(home.paths.root), "annotate", "--library", "music", "--json"]
    assert main([*home_of, str(folder / "t3.jams")]) == 0
    assert json.loads(capsys.readouterr().out) == {"library": "music", "n_annotated": 1, "refused": []}
    assert main([*home_of, str(folder), str(tmp_path / "other.beats.csv")]) == 1
    assert json.loads(capsys.readouterr().out)["refused"][0]["name"] == "other.beats.csv"
    assert library.tracks.to_frame().set_index("title").loc["t3", "beats_bpm"] == "120"
    library.embed()
    run = ["--home", str(home.paths.root), "probe", "--encoder", "mel", "--library", "music", "--group", "recording"]
    how = ["--target", "tempo", "--permutations", "0", "--folds", "3", "--without", "untrained", "--json"]
    assert main([*run, *how]) in (0, 1)
    cells = json.loads(capsys.readouterr().out)["cells"]
    assert [cell["target"] for cell in cells] == ["tempo (own)"] and cells[0]["n"] == 12
    for files, said in (
        (["nosuch.jams"], "no file or folder"),
        ([tmp_path / "other.beats.csv"], "No annotation can be"),
    ):
        with pytest.raises(InputError, match=said):
            library.annotate(*files)
