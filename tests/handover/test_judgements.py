"""Judgements: tables go out and come back, and others' tables are understood."""

from __future__ import annotations

import csv

import pytest

from mess_core.catalogue.comparisons import Comparison
from mess_core.catalogue.sittings import Clip
from mess_core.catalogue.takeover import Changed, _inherit_opinions
from mess_core.errors import DataMissingError, InputError
from mess_core.handover.judgements import all_judgements, export_judgements, import_judgements, pair_votes
from tests.planted import a_track, plant_tracks

# As in the published file: tabs, a tab at the end of each line, paths with a folder of one letter.
MAGNATAGATUNE = (
    "clip1_id\tclip2_id\tclip3_id\tclip1_numvotes\tclip2_numvotes\tclip3_numvotes\tclip1_mp3_path\tclip2_mp3_path\t"
    "clip3_mp3_path\t\n"
    "101\t102\t103\t0\t2\t1\ta/t0.mp3\tb/t1.mp3\tc/t2.mp3\t\n"
    "101\t102\t104\t0\t1\t0\ta/t0.mp3\tb/t1.mp3\tc/gone.mp3\t\n"
)


@pytest.fixture
def ids(home):
    """Track ids by title."""
    plant_tracks(home, [a_track(n) for n in range(6)])
    return {track.title: track.track_id for track in home.catalogue.tracks("planted")}


def some(ids) -> list[Comparison]:
    return [
        Comparison(ids["t0"], ids["t1"], ids["t2"], "which is played more alike?", "ann", 1_700_000_000.0, "first"),
        Comparison(ids["t3"], ids["t2"], ids["t1"], "=1+1", "bob, \"the\" ear", 1_700_000_001.5, ""),
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["votes.csv", "votes.parquet"])
def test_what_goes_out_comes_back(home, ids, tmp_path, name):
    home.comparisons.add(some(ids))
    assert export_judgements(home, tmp_path / name) == 2
    with home.database.transaction() as connection:
        connection.execute("DELETE FROM comparisons")
    taken = import_judgements(home, tmp_path / name)
    assert (taken.n_new, taken.n_known, taken.n_vanished, taken.refused) == (2, 0, 0, ())
    assert home.comparisons.all() == some(ids)
    assert import_judgements(home, tmp_path / name).n_known == 2 and len(home.comparisons.all()) == 2


@pytest.mark.parametrize("name", ["votes.csv", "votes.parquet"])
def test_what_was_said_here_is_not_taken_in_a_second_time(home, ids, tmp_path, name):
    """Answers of sittings and thumbs go out, too, and come back as what they are; also to the part of a second."""
    sitting = home.sittings.begin("ann", "planted", "Which is more like X?", "mel", 10, 0)
    for number, answer in enumerate(("first", "second", "neither")):
        clips = [Clip(ids[f"t{(number + place) % 6}"], 0.0, 6.0) for place in range(3)]
        home.sittings.answer(home.sittings.ask(sitting.sitting_id, number, clips, "random").asked_id, answer)
    for track, verdict in (("t1", "like"), ("t2", "dislike")):
        home.opinions.judge(ids[track], verdict, query_track_id=ids["t0"])
    home.comparisons.add(some(ids))
    before = all_judgements(home)
    assert export_judgements(home, tmp_path / name) == len(before) == 5
    taken = import_judgements(home, tmp_path / name)
    assert (taken.n_new, taken.n_known) == (0, 5) and all_judgements(home) == before
    home.sittings.forget("ann")
    assert import_judgements(home, tmp_path / name).n_new == 2 and len(all_judgements(home)) == 5


def test_recordings_are_known_by_id_file_or_title(home, ids, tmp_path):
    rows = [("anchor", "positive", "negative"), (ids["t0"], "t1.wav", "t2"), ("some/where/t3.flac", "t4", "t5")]
    with (tmp_path / "a.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    assert import_judgements(home, tmp_path / "a.csv").n_new == 2
    assert [each.negative for each in home.comparisons.all()] == [ids["t2"], ids["t5"]]
    assert {each.listener for each in home.comparisons.all()} == {"me"}


def test_the_odd_one_out_says_two_things(home, ids, tmp_path):
    """Two votes that the second is odd, one for the third: six comparisons; the row whose clip is gone is counted."""
    path = tmp_path / "comparisons_final.csv"
    path.write_text(MAGNATAGATUNE, "utf-8")
    taken = import_judgements(home, path)
    said = [(each.anchor, each.positive, each.negative) for each in home.comparisons.all()]
    t0, t1, t2 = (ids[f"t{n}"] for n in range(3))
    assert sorted(said) == sorted(2 * [(t0, t2, t1), (t2, t0, t1)] + [(t0, t1, t2), (t1, t0, t2)])
    assert (taken.n_new, taken.n_vanished) == (6, 2) and "left out" in taken.summary


def test_thumbs_are_pair_votes(home, ids, tmp_path):
    """What was liked against what was not, of the same query and listener; what was taken back says nothing."""
    for track, verdict in (("t1", "like"), ("t2", "dislike"), ("t3", "like"), ("t3", "none")):
        home.opinions.judge(ids[track], verdict, query_track_id=ids["t0"])
    home.opinions.judge(ids["t4"], "dislike")
    assert [(c.anchor, c.positive, c.negative) for c in pair_votes(home)] == [(ids["t0"], ids["t1"], ids["t2"])]
    assert export_judgements(home, tmp_path / "a.csv") == 1


def test_bad_rows_are_named_and_the_others_taken(home, ids, tmp_path):
    lines = ["anchor,positive,negative,time", "t0,t1,t2,2026-05-01T12:00:00", "t0,t1,,", "t0,t1,t0,", "t0,t1,t3,noon"]
    (tmp_path / "a.csv").write_text("\n".join(lines), "utf-8")
    taken = import_judgements(home, tmp_path / "a.csv")
    assert taken.n_new == 1 and [row for row, _ in taken.refused] == ["row 3", "row 4", "row 5"]
    assert (
        "says no negative" in taken.refused[0][1]
        and "twice" in taken.refused[1][1]
        and "no time" in taken.refused[2][1]
    )
    assert home.comparisons.all()[0].judged_at == 1_777_636_800.0


def test_other_tables_and_nothing_are_one_sentence(home, ids, tmp_path):
    (tmp_path / "a.csv").write_text("a,b\n1,2\n", "utf-8")
    with pytest.raises(InputError, match="no columns anchor, positive, negative"):
        import_judgements(home, tmp_path / "a.csv")
    (tmp_path / "b.csv").write_text("anchor,positive,negative\nx,y,z\n", "utf-8")
    with pytest.raises(DataMissingError, match=r"None of the recordings in b\.csv"):
        import_judgements(home, tmp_path / "b.csv")
    with pytest.raises(DataMissingError, match="Nobody has judged anything"):
        export_judgements(home, tmp_path / "c.csv")
    assert not (tmp_path / "c.csv").exists()


@pytest.mark.parametrize("facts", [{"negative": "a"}, {"listener": ""}, {"side": "left"}])
def test_what_is_no_comparison_is_refused(facts):
    with pytest.raises(InputError):
        Comparison(**{"anchor": "a", "positive": "b", "negative": "c", **facts})


def test_a_file_that_changed_keeps_its_comparisons(home, ids):
    home.comparisons.add(some(ids))
    with home.database.transaction() as connection:
        _inherit_opinions(connection, Changed(ids["t1"], "f" * 16))
    assert [(c.positive, c.negative) for c in home.comparisons.all()] == [("f" * 16, ids["t2"]), (ids["t2"], "f" * 16)]


def test_no_spreadsheet_runs_what_somebody_is_called(home, ids, tmp_path):
    home.comparisons.add(some(ids))
    export_judgements(home, tmp_path / "votes.csv")
    with (tmp_path / "votes.csv").open(newline="") as file:
        questions = [row["question"] for row in csv.DictReader(file)]
    assert sorted(questions) == ["'=1+1", "which is played more alike?"]
