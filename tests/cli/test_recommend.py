"""`recommend` and `evaluate taste` on the command line: the promised shapes, the same answers as the core."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mess_core.cli.main import main
from mess_core.encoders.nano import NANO
from mess_core.recommend.explaining import why_not_of
from mess_core.recommend.for_you import recommend
from mess_core.recommend.sections import SECTIONS
from mess_core.workspace.scope import scope_to_listen
from tests.planted import a_track, plant_tracks, strict
from tests.recommend.worlds import disliked, liked, plant_events, plant_groups


@pytest.fixture
def groups(home) -> list[list[str]]:
    found = plant_groups(home)
    plant_events(home, *liked(found[0][:5], 70), *liked(found[1][:5], 70.5), *disliked(found[3][:1]), listener="Ann",
                 now_s=1.75e9)  # fmt: skip
    return found


@pytest.fixture
def run(home, capsys):
    """Exit code, document or text, and what was warned of."""

    def run(*arguments: object, is_json: bool = True):
        try:
            code = main(["--home", str(home.paths.root), *map(str, arguments), *(["--json"] if is_json else [])])
        except SystemExit as left:  # what the parser refuses
            code = left.code
        printed = capsys.readouterr()
        return code, strict(printed.out) if is_json else printed.out, printed.err

    return run


def test_recommend_has_the_promised_shape_and_the_core_s_answer(run, home, groups):
    code, document, _ = run("recommend", "--listener", "Ann", "--library", "planted", "-k", 7)
    assert code == 0
    assert document.keys() >= {"listener", "n_events", "interests", "results"}
    assert (document["listener"], document["n_events"], document["section"]) == ("Ann", 11, "quick-picks")
    assert len(document["interests"]) == 2
    for interest in document["interests"]:
        assert interest.keys() >= {"name", "weight", "medoid"} and 0 < interest["weight"] <= 1
    assert [result["rank"] for result in document["results"]] == list(range(1, 8))
    for result in document["results"]:
        assert result.keys() >= {"rank", "track_id", "title", "score", "section", "reason"}
        assert result["reason"].keys() >= {"kind", "track_id", "aspects", "text"} and result["reason"]["text"]
        assert 0 < result["propensity"] <= 1 and 0 <= result["place"] <= 1
    expected = recommend(scope_to_listen(home, "planted"), "Ann", k=7)
    assert [result["track_id"] for result in document["results"]] == [row.track.track_id for row in expected.found]
    assert [result["reason"]["text"] for result in document["results"]] == [row.why.text for row in expected.found]


@pytest.mark.parametrize("section", SECTIONS)
def test_every_section_can_be_asked_for(run, home, groups, section):
    code, document, _ = run("recommend", "--listener", "Ann", "--section", section, "--surprise", 1, "--context",
                            "evening")  # fmt: skip
    assert code == 0 and document["section"] == section and document["definition"] == SECTIONS[section].definition
    assert {result["section"] for result in document["results"]} <= {section}
    assert groups[3][0] not in {result["track_id"] for result in document["results"]}


def test_the_table_has_titles_and_reasons(run, groups):
    code, text, _ = run("recommend", "--listener", "Ann", "-k", 3, is_json=False)
    assert code == 0 and "Ann: 11 events, 2 interests" in text and "Quick picks" in text and text.count("Because") == 3
    code, text, _ = run("recommend", "--listener", "Ann", "--section", "new", is_json=False)
    assert code == 0 and "nothing here yet" in text


def test_of_nobody_something_is_recommended_all_the_same(run, groups):
    code, document, _ = run("recommend", "-k", 4)
    assert code == 0 and (document["listener"], document["n_events"], document["interests"]) == ("me", 0, [])
    assert len(document["results"]) == 4


def test_why_not_says_what_the_core_says(run, home, groups):
    refused = groups[3][0]
    code, document, _ = run("recommend", "--listener", "Ann", "--library", "planted", "--why-not", refused)
    assert code == 0 and document["track_id"] == refused and document["is_refused"] and "dislike" in document["text"]
    assert document.keys() >= {"place", "interest", "penalty", "disliked"}
    code, text, _ = run("recommend", "--listener", "Ann", "--why-not", groups[2][0], is_json=False)
    assert code == 0 and text.strip() == why_not_of(scope_to_listen(home, "all"), "Ann", groups[2][0])[1]


def test_a_playlist_is_written_anew_each_time(run, home, groups, tmp_path):
    file = tmp_path / "lists" / "for me.m3u8"
    file.parent.mkdir()
    for k in (5, 3):
        code, document, _ = run("recommend", "--listener", "Ann", "-k", k, "--playlist", file)
        lines = [line for line in file.read_text("utf-8").splitlines() if line and not line.startswith("#")]
        assert code == 0 and len(lines) == k
        written = [(file.parent / line).resolve() for line in lines]
        assert written == [Path(result["path"]).resolve() for result in document["results"]]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--section", "nonsense"], "nonsense"),
        (["--surprise", "2"], "surprise is 2"),
        (["--surprise", "nan"], "surprise is nan"),
        (["-k", "0"], "0 recommendations"),
        (["--context", "lunch"], "lunch"),
        (["--library", "nosuch"], "nosuch"),
        (["--encoder", "nosuch"], "nosuch"),
        (["--why-not", "nosuch"], "nosuch"),
        (["--encoder", "mel"], "0 recordings"),
    ],
)
def test_wrong_use_is_exit_2_and_one_sentence(run, groups, arguments, said):
    code, document, _ = run("recommend", *arguments)
    assert code == 2 and document.keys() == {"error", "hint"} and said in document["error"]


def test_with_nothing_embedded_it_is_one_sentence(run, home):
    plant_tracks(home, [a_track(number) for number in range(5)])
    for verb in (["recommend"], ["evaluate", "taste"]):
        code, document, _ = run(*verb)
        assert code == 2 and document.keys() == {"error", "hint"} and "\n" not in document["error"]


@pytest.mark.slow
def test_evaluate_taste(run, home, groups):
    """On simulated listeners of the planted groups: by what was planted, better than by chance."""
    code, document, _ = run("evaluate", "taste", "--library", "planted")
    assert code == 0 and {"library", "encoder", "ways", "sections", "n_listeners"} <= document.keys()
    ways = {way["name"]: way for way in document["ways"]}
    assert {"several interests", "one mean of all", "chance", "shuffled embeddings"} <= ways.keys()
    at = next(iter(ways["chance"]["ndcg"]))
    assert ways["several interests"]["ndcg"][at]["value"] > ways["chance"]["ndcg"][at]["value"]
    assert {each["section"] for each in document["sections"]} == set(SECTIONS)
    code, text, _ = run("evaluate", "taste", "--library", "planted", is_json=False)
    assert code == 0 and "several interests" in text and "quick-picks" in text
    assert json.dumps(document)  # of one document
    assert home.opinions.listeners() == ["Ann"]  # nothing of the simulated is kept


def test_evaluating_a_taste_of_music_without_names_is_exit_1(run, home):
    tracks = [a_track(number) for number in range(48)]
    plant_groups(home, tracks)
    code, document, _ = run("evaluate", "taste", "--encoder", NANO.id)
    assert code == 1 and not document["done"] and "no taste can be planted" in document["message"].lower()
