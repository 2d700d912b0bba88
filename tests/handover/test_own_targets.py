"""Targets of one's own: from a table, a Series, a function; kept with what they are, and probed like any other."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mess_core.encoders.mel import MEL
from mess_core.errors import DataMissingError, InputError
from mess_core.handover.exports import cells_as_csv
from mess_core.handover.own_targets import import_target, take_target
from mess_core.library import open_library
from mess_core.probing.discovery import load, save
from mess_core.probing.probe import fit_cells
from mess_core.probing.result import ProbeSettings
from mess_core.storage.files import write_atomically
from mess_core.targets.base import TargetValue
from mess_core.targets.own import CLASSES, NUMBERS, forget_own, load_own, own_path, own_targets
from mess_core.upkeep.check import check
from mess_core.workspace.scope import Scope
from tests.planted import a_track, plant_library, plant_tracks, told


@pytest.fixture
def ids(home) -> list[str]:
    return plant_tracks(home, [a_track(n, composer=f"c{n}", instrument="cello") for n in range(4)])


def write(tmp_path, text: str):
    path = tmp_path / "d.csv"
    path.write_text(text, "utf-8")
    return path


def test_a_column_of_a_table_is_matched_as_other_tables_are(home, ids, tmp_path):
    """By title, by file with its folder and ending, by id and by the hash of the bytes."""
    first, *others = home.catalogue.tracks("planted")
    rows = [(first.sha256, "1"), (others[0].title, '"2,5"'), (f"music/{others[1].title}.wav", "3"), ("no", "9")]
    rows.append((others[2].track_id, "4"))
    path = write(tmp_path, "track_id,difficulty\n" + "".join(f"{name},{value}\n" for name, value in rows))
    taken = import_target(home, path, "difficulty", unit="grade")
    ids = [track.track_id for track in (first, *others)]
    assert dict(taken.target.values) == dict(zip(ids, (1.0, 2.5, 3.0, 4.0), strict=True)) and taken.n_vanished == 1
    assert taken.target.kind == NUMBERS and "grade" in taken.summary and "1 row left out" in taken.summary
    assert load_own(home.paths, "difficulty") == taken.target == own_targets(home.paths)["difficulty"]


def test_text_is_classes_and_numbers_may_be(home, ids, tmp_path):
    rows = "".join(f"{track_id},{'ab'[n % 2]},{n % 2}\n" for n, track_id in enumerate(ids))
    path = write(tmp_path, f"track_id,mood,label\n{rows}")
    assert import_target(home, path, "mood").target.kind == CLASSES
    taken = import_target(home, path, "label", kind=CLASSES, name="two")
    assert taken.target.values == {track_id: str(n % 2) for n, track_id in enumerate(ids)}
    taken = take_target(home, "float", pd.Series([1.0, 2.0, np.nan, 1.0], index=ids), kind=CLASSES)
    assert set(taken.target.values.values()) == {"1", "2"} and len(taken.target.values) == 3


def test_what_cannot_be_taken_in_is_one_sentence(home, ids, tmp_path):
    path = write(tmp_path, f"track_id,x,empty\n{ids[0]},1,\n{ids[0]},2,\n")
    for column, why in (
        ("nosuch", "no column 'nosuch'"),
        ("x", "say '1' and '2'"),
        ("empty", "No recording has a value"),
    ):
        with pytest.raises(InputError, match=why):
            import_target(home, path, column)
    with pytest.raises(InputError, match="names recordings"):
        import_target(home, write(tmp_path, "a,b\n1,2\n"), "b")
    with pytest.raises(DataMissingError, match="None of the recordings"):
        import_target(home, write(tmp_path, "title,b\nzzz,2\n"), "b")
    with pytest.raises(InputError, match="expected a mapping"):
        take_target(home, "x", [1, 2])
    with pytest.raises(InputError, match="cannot name a target"):
        take_target(home, " ", {ids[0]: 1})
    with pytest.raises(InputError, match="expected numbers or classes"):
        take_target(home, "x", {ids[0]: 1}, kind="float")
    with pytest.raises(DataMissingError):
        take_target(home, "x", {"nobody": 1})
    with pytest.raises(InputError, match="no target of your own called 'x'"):
        forget_own(home.paths, "x")
    assert not own_targets(home.paths)


def test_a_function_is_called_once_for_every_recording(home, write_wav):
    folder = write_wav("a", 3.0, seed=1).parent
    write_wav("b", 4.0, seed=2)
    library = open_library("music", encoder=MEL.id, home=home.paths.root)
    library.add(folder)
    taken = library.add_target("length", lambda sound: sound.duration_s)
    assert sorted(round(value) for value in taken.target.values.values()) == [3, 4] and not taken.refused
    assert "function" in taken.target.source

    def half(track):
        return TargetValue.none("too short") if track.title == "a" else "long"

    taken = library.add_target("half", half, signal="track", title="Half", summary="Whether it is long.")
    assert [why for _, why in taken.refused] == ["too short"] and taken.target.kind == CLASSES
    assert taken.target.described.title == "Half" and taken.target.described.summary == "Whether it is long."
    for function, signal, why in (
        (lambda _: 1 / 0, "audio", "could not be measured on any recording"),
        (lambda notes: 1.0, "midi", "there is no MIDI"), (lambda x: 1.0, "video", "expected one of audio, midi, track"),
        (lambda track: math.nan, "track", "gave no value"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=why):
            library.add_target("x", function, signal=signal)


def test_a_damaged_one_is_named_and_put_aside(home, ids):
    take_target(home, "x", dict.fromkeys(ids, 1.0))
    path = own_path(home.paths, "x")
    write_atomically(path, path.read_bytes().replace(b"1.0", b"2.0"))
    assert [problem.kind for problem in check(home)] == ["own target"] and own_targets(home.paths) == {}
    assert check(home, repair=True) and not path.exists() and list(path.parent.glob("x*.damaged"))
    assert check(home) == []


@pytest.mark.slow
def test_own_targets_and_names_are_probed(home):
    """Numbers as numbers, names as classes, each described in the result; a column of that name gives way."""
    ids = plant_library(home, MEL)
    signs = np.where(told(ids) > 0, "high", "low")
    take_target(home, "level", dict(zip(ids, told(ids).tolist(), strict=True)), unit="SD", title="My level")
    take_target(home, "sign", dict(zip(ids, signs.tolist(), strict=True)))
    columns = ("level", "sign", "performer")
    gathered = Scope(home, "planted", MEL).gather("work", "track", columns)
    assert gathered.data.classes["performer"] == ("performer 0", "performer 1")
    assert gathered.data.classes["sign"] == ("high", "low") and gathered.data.described["level"].unit == "SD"
    np.testing.assert_allclose(gathered.data.targets["level"], told(ids))
    assert gathered.data.described["performer"].kind == CLASSES and "composer" in gathered.data.identities
    assert not Scope(home, "planted", MEL).gather("work", "track", ("composer",)).data.identities
    with home.database.transaction() as connection:
        connection.executemany("INSERT INTO details VALUES (?, 'level', '7')", [(track_id,) for track_id in ids])
    again = Scope(home, "planted", MEL).gather("work", "track", ("level",))
    np.testing.assert_allclose(again.data.targets["level"], told(ids))
    settings = ProbeSettings(columns=columns, n_repeats=1, n_permutations=0, n_bootstraps=50, without=("untrained",))
    result = fit_cells(gathered.data, settings)
    found = save(home.paths, MEL, gathered, result, "planted", "work")
    assert load(home.paths, "planted", MEL, "work", "track", settings).as_document() == found.as_document()
    (level, sign, performer) = found.as_document()["targets"]
    assert level["about"]["title"] == "My level" and level["about"]["source"] == "values given in Python"
    assert sign["classes"]["names"] == ("high", "low") and performer["about"]["kind"] == CLASSES
    assert replace(found.result, described={}).about("sign").dimension == "own"
    scope = Scope(home, "planted", MEL)
    assert scope.why_again(found) == ""
    take_target(home, "sign", dict.fromkeys(ids, "high"))
    assert "The values of sign have changed since" in scope.why_again(found)
    header, row = cells_as_csv(found).splitlines()[:2]
    assert header.endswith("in_best_set,accuracy,accuracy_low,accuracy_high,balanced,balanced_low,balanced_high,auc,"
                           "auc_low,auc_high") and row.endswith(",,,,,,,,,")  # fmt: skip
    assert len([line for line in cells_as_csv(found).splitlines() if ",sign," in line and not line.endswith(",,")]) == 1
