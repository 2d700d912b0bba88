"""Learning, from the command line to the geometry: its shapes, what it refuses and in which words."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from mess_core.catalogue.comparisons import Comparison
from mess_core.catalogue.passages import ScoreTimes
from mess_core.cli.main import main
from mess_core.encoders.mel import MEL
from mess_core.errors import DataMissingError, InputError
from mess_core.learning.kept import load_report, report_path
from mess_core.learning.trial import Figure, TrialResult
from mess_core.library import open_library
from mess_core.search.learned import load_metric
from mess_core.upkeep.check import check
from mess_core.work.courses import TEACHING, gather, segments_of
from mess_core.work.kinds import KINDS
from mess_core.work.learn import LearnRequest, searchable
from mess_core.work.request import submit
from mess_core.workspace.scope import Scope
from mess_core.workspace.workspace import Workspace
from tests.planted import a_track, plant_embeddings, plant_tracks, strict

N_WORKS, N_PLAYERS = 12, 5


def plant(home: Workspace, *, works: int = N_WORKS, players: int = N_PLAYERS, named: bool = True) -> list[str]:
    """Works by several performers, embedded as log-mel: who plays is in ten numbers, which work is in all."""
    rng = np.random.default_rng(0)
    tracks = [
        a_track(
            work * players + player,
            work=f"work {work}",
            composer="C",
            performer=f"player {player}" if named else None,
        )
        for work in range(works)
        for player in range(players)
    ]
    plant_tracks(home, tracks)
    shape = (MEL.n_layers, MEL.embedding_dim)
    of_work, of_player = rng.standard_normal((works, *shape)), rng.standard_normal((players, *shape))
    vectors = {}
    for number, track in enumerate(tracks):
        own = 0.5 * rng.standard_normal(shape) + of_work[number // players]
        own[:, :10] += 3 * of_player[number % players][:, :10]
        vectors[track.track_id] = own
    plant_embeddings(home, MEL, vectors)
    return [track.track_id for track in tracks]


def rate(home: Workspace, ids: list[str]) -> None:
    """Two scales that are in two numbers of the embedding, with the spread and number of raters."""
    rows = []
    for track_id in ids:
        mean = home.store.read(track_id, MEL).mean[0]
        for scale, value in (("bright", mean[0]), ("fast", mean[1])):
            rows += [
                (track_id, scale, f"{value:.5f}"),
                (track_id, f"{scale} sd", "0.1"),
                (track_id, f"{scale} raters", "9"),
            ]
    with home.database.transaction() as connection:
        connection.executemany("INSERT INTO details VALUES (?, ?, ?)", rows)


def learn(home: Workspace, capsys, *arguments: str) -> tuple[int, dict]:
    code = main(
        ["--home", str(home.paths.root), "learn", "--library", "planted", "--encoder", "mel", *arguments, "--json"]
    )
    return code, strict(capsys.readouterr().out)


def test_the_document_has_the_promised_shape(home, capsys):
    rate(home, plant(home))
    code, document = learn(home, capsys, "--from", "ratings", "--student", "predicted", "--seeds", "2", "--activate")
    assert code == 0
    assert {"library", "encoder", "from", "split", "students", "chance", "n_queries", "activated"} <= document.keys()
    assert {"train", "test", "by"} <= document["split"].keys() and document["split"]["by"] == "work"
    keys = {
        "name", "metric", "value", "low", "high", "gain", "gain_low", "gain_high", "p_holm", "seed_values"
    }  # fmt: skip
    assert all(keys <= row.keys() for row in document["students"])
    assert {row["name"] for row in document["students"]} >= {"cosine", "centred", "predicted", "duration"}
    assert document["from"] == "ratings" and document["chance"] == 0.5 and document["activated"] == "predicted"
    (row,) = (
        row for row in document["students"]
        if (row["name"], row["metric"], row["split"]) == ("predicted", "triplet accuracy", "work")
    )  # fmt: skip
    assert row["value"] > 0.5 and len(row["seed_values"]) == 2

    asked = ["similar", home.catalogue.track_ids("planted")[0], "--library", "planted", "--encoder", "mel"]
    code = main(["--home", str(home.paths.root), *asked, "--geometry", "learned", "-k", "3", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert code == 0 and found["geometry"] == "learned" and len(found["results"]) == 3
    assert check(home) == []


def test_the_report_comes_back_and_damage_is_named(home, capsys):
    plant(home)
    code, document = learn(home, capsys, "--from", "works", "--student", "layers", "--seeds", "1")
    assert code == 0 and document["activated"] is None
    report = load_report(home.paths, "planted", MEL, "works")
    assert strict(json.dumps(report.as_document(), allow_nan=False)) == document
    path = report_path(home.paths, "planted", MEL, "works")
    path.write_bytes(path.read_bytes().replace(b'"works"', b'"Works"', 1))
    (problem,) = check(home, repair=True)
    assert (
        problem.kind == "learning"
        and "damaged" in problem.what
        and load_report(home.paths, "planted", MEL, "works") is None
    )


def test_nothing_is_activated_that_is_not_better(home, capsys):
    """Works are told by the plain embedding as well as can be: learning says so, and leaves search as it was."""
    plant(home)
    code, document = learn(home, capsys, "--from", "works", "--seeds", "1", "--activate")
    assert code == 0 and document["activated"] is None and document["chosen"] == "centred"
    assert "Nothing was activated. Students take turns" in " ".join(document["notices"])
    assert load_metric(Scope(home, "planted", MEL)) is None


def test_a_library_learns_in_python(home):
    plant(home)
    library = open_library("planted", "mel", home.paths.root)
    report = library.learn("performers", "linear", n_seeds=1, activate=True)
    assert report.activated == "linear" and "performers" in report.verdict
    found = library.similar(home.catalogue.track_ids("planted")[0], geometry="learned", k=4)
    assert len(found.found) == 4 and found.plan.geometry == "learned"


def test_answers_teach(home, capsys):
    ids = plant(home)
    rng = np.random.default_rng(0)
    votes = [Comparison(*(ids[row] for row in rng.permutation(len(ids))[:3]), judged_at=float(n)) for n in range(200)]
    home.comparisons.add(votes)
    code, document = learn(home, capsys, "--from", "judgements", "--student", "layers", "--seeds", "1")
    assert code == 0 and [row["metric"] for row in document["students"]] == ["triplet accuracy"] * 4


def test_it_is_a_job_like_others(home):
    plant(home)
    assert KINDS["learn"] is LearnRequest
    job = submit(home, LearnRequest("planted", "mel", "works"))
    assert LearnRequest.from_arguments(job.arguments) == LearnRequest("planted", "mel", "works")
    assert submit(home, LearnRequest("planted", "mel", "works")).job_id == job.job_id


# --- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "source", "says"),
    [
        ({"players": 1}, "performers", "only player 0 is named as one"),
        ({"named": False}, "performers", "nobody is named as one"),
        ({"works": 1}, "works", "All recordings here are of one work"),
        ({}, "ratings", "No recording of 'planted' was rated"),
        ({}, "judgements", "Nobody has judged anything yet"),
        ({}, "expression", "the notes are known"),
        ({"players": 2}, "expression", "No passage of 'planted' is played by three performers"),
    ],
)
def test_too_little_is_one_sentence(home, facts, source, says):
    plant(home, **facts)
    with pytest.raises(DataMissingError, match=says) as refused:
        gather(Scope(home, "planted", MEL), source)
    assert refused.value.message.endswith(".") and refused.value.hint


def test_five_answers_and_one_sided_ears_are_said_on_the_command_line(home, capsys):
    ids = plant(home)
    home.comparisons.add(Comparison(ids[0], ids[n + 1], ids[n + 2], judged_at=float(n)) for n in range(5))
    home.comparisons.add(
        Comparison(ids[1], ids[n + 2], ids[n + 3], listener="deaf", judged_at=float(n), side="first") for n in range(40)
    )
    code, document = learn(home, capsys, "--from", "judgements")
    assert code == 1 and document["done"] is False
    assert "5 answers can be learned from, and 30 are needed. deaf always picks the same side" in document["message"]


@pytest.mark.parametrize(
    "changed",
    [
        {"source": "hearsay"},
        {"student": "genius"},
        {"n_seeds": 0},
        {"student": "attention", "activates": True},
        {"student": "fused", "activates": True},
    ],
)
def test_what_cannot_be_meant_is_refused_at_once(home, changed):
    with pytest.raises(InputError):
        submit(home, replace(LearnRequest("planted", "mel", "works"), **changed))
    assert home.jobs.active() == []


def test_who_has_nothing_to_go_by_is_left_out_with_a_sentence(home, capsys):
    """Fields that are shared are those of the work, and no recording has two segments."""
    plant(home, named=False)
    one_segment(home)
    code, document = learn(home, capsys, "--from", "works", "--student", "all", "--seeds", "1")
    assert code == 0 and not {"attention", "fused"} & {row["name"] for row in document["students"]}
    said = " ".join(document["notices"])
    assert "The student attention was left out: every moment has one segment only" in said
    assert "The student fused was left out: beside what is taught, no field" in said
    code, document = learn(home, capsys, "--from", "works", "--student", "attention", "--seeds", "1")
    assert code == 1 and "The student attention cannot be taught here" in document["message"]


def one_segment(home: Workspace) -> None:
    for track_id in home.catalogue.track_ids("planted"):
        whole = home.store.read(track_id, MEL)
        home.store.write(track_id, MEL, replace(whole, segments=whole.segments[:1], starts_s=whole.starts_s[:1]))


def test_segments_are_those_of_each_moment(home):
    plant(home)
    scope = Scope(home, "planted", MEL)
    gathered = gather(scope, "works")
    found = segments_of(scope, gathered.spans)
    assert found.counts.tolist() == [2] * len(gathered.course.moments)
    for row, recording in enumerate(gathered.course.moments.recordings[:3]):
        (own,) = found.of(np.array([row])).each()
        assert (own == home.store.read(recording, MEL).segments).all()


def test_fields_are_what_is_known_beside_what_is_taught(home):
    """The user's own columns are fields, what was rated is none, and of a work its composer is none."""
    ids = plant(home)
    rate(home, ids)
    columns = [(track_id, "hall", f"hall {number % 3}") for number, track_id in enumerate(ids)]
    columns += [(track_id, "opus", f"op. {number // N_PLAYERS}") for number, track_id in enumerate(ids)]
    with home.database.transaction() as connection:
        connection.executemany("INSERT INTO details VALUES (?, ?, ?)", columns)
    scope = Scope(home, "planted", MEL)

    def names(source):
        return set(gather(scope, source).course.fields.names)

    assert names("works") == {"hall"}
    assert names("performers") == {"hall", "opus"}
    assert names("ratings") == {"hall", "opus", "performer"}


def test_the_best_that_search_can_go_by_is_activated(home):
    """Where one that is only tried ends the ladder, the last before it."""
    plain = Figure(
        "centred", "nDCG@10", "work", False, 0.5, 0.4, 0.6, None, None, None, "centred", None, None, None, (0.5,)
    )
    steps = {"predicted": 0.1, "layers": 0.1, "attention": 0.2}
    figures = tuple(replace(plain, name=name, is_student=True, step_low=low) for name, low in steps.items())
    result = TrialResult(("nDCG@10",), (), (plain, *figures), {}, "attention", "attention")
    assert searchable(result) == "layers"
    assert searchable(replace(result, figures=(plain, figures[2]))) == "centred"
    unsure = replace(figures[0], step_low=0.0)
    assert searchable(replace(result, figures=(plain, unsure, *figures[1:]))) == "centred"


def test_passages_are_cut_where_scores_are_known(home):
    """Three who know a score and have no MIDI: their passages are found, and it is said what is missing."""
    ids = plant(home, works=2, players=3)
    for number, track_id in enumerate(ids[:3]):
        beats = np.arange(33.0)
        home.catalogue.passages.write(track_id, [ScoreTimes("s", beats, (0.1 + 0.01 * number) * beats)])
    with pytest.raises(DataMissingError, match="the notes are known"):
        gather(Scope(home, "planted", MEL), "expression")
    assert len(TEACHING) == len(set(TEACHING))
