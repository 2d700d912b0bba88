"""Words: what a text asks for, planted recordings that fit it, and laws of the score."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

from mess_core.cli.main import main
from mess_core.encoders.mel import MEL
from mess_core.encoders.vocabulary import WORDS
from mess_core.errors import DataMissingError, InputError
from mess_core.handover.exports import as_csv, as_document, as_json
from mess_core.library import Library
from mess_core.search.answers import Answer, answer, answer_in_words, build_index, make_plan, query_of
from mess_core.search.question import Question
from mess_core.search.tagged import TaggedLibrary, tagged_library
from mess_core.search.words import LIKENESS, MOST_TYPED, parse_words, points_of, ranks, shares_of
from mess_core.work.reproduce import reproduce
from mess_core.workspace.scope import scope_of
from tests.planted import a_track, embed, plant_tags, plant_tracks

# --- what a text asks for -------------------------------------------------------------------------------------


def read(text: str) -> list[str]:
    return [str(wish) for wish in parse_words(text)]


@pytest.mark.parametrize(
    ("text", "wishes"),
    [
        ("solo violin, slow, not piano", ["solo", "violin", "slow", "not piano"]),
        ("like this, but with voice", ["voice"]),
        ("no vocals", ["not voice"]),
        ("without piano and drums, violin", ["not piano", "not drums", "violin"]),
        ("violin -piano", ["violin", "not piano"]),
        ("–piano; Woman\nHip Hop", ["not piano", "female voice", "hip-hop"]),
        ("hip-hop r&b", ["hip-hop", "R&B"]),
        ("rhythm and blues", ["R&B"]),
        ("blues and rhythmic", ["blues", "beat"]),
        ("not slow but fast", ["not slow", "fast"]),
        ("fast, not with drums", ["fast", "not drums"]),
        ("classical music", ["classical"]),
        ("“Sad” piano.", ["sad", "piano"]),
        ("violin, violins, fiddle", ["violin"]),
        ("not classic rock, rock", ["not classic rock", "rock"]),
        ("+harp", ["harp"]),
    ],
)
def test_a_text_is_read(text, wishes) -> None:
    assert read(text) == wishes


@pytest.mark.parametrize("word", WORDS)
def test_every_word_can_be_asked_for_and_denied(word) -> None:
    assert read(word) == [word] and read(f"not {word}") == [f"not {word}"]
    assert read(", ".join(read(f"{word}, not piano" if word != "piano" else "piano"))) == read(
        f"{word}, not piano" if word != "piano" else "piano"
    )


@pytest.mark.parametrize(("text", "same"), [("not not piano", "piano"), ("no -piano", "piano"),
                                            ("not without not piano", "not piano")])  # fmt: skip
def test_a_denial_of_a_denial_is_none(text, same) -> None:
    assert read(text) == read(same)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "No word is asked for.*such as"),
        (" , ;\n", "No word is asked for"),
        ("like this", "No word is asked for"),
        ("violn", "heard as 'violn'.*Did you mean violin"),
        ("solo tuba", "heard as 'tuba'"),
        ("piano, not piano", "piano is both asked for and left out"),
        ("fast and slow", "slow and fast contradict each other"),
        ("instrumental, women", "instrumental and female voice contradict"),
        ("violin, not", "After 'not' nothing follows"),
        (" ".join(["piano"] * 200), f"200 words; at most {MOST_TYPED}"),
        ("x" * 10_000, "heard as 'x{40}…'"),
        ("*!?", "heard as"),
    ],
)
def test_what_cannot_be_meant_is_one_sentence(text, says) -> None:
    with pytest.raises(InputError, match=says) as refused:
        parse_words(text)
    assert len(refused.value.message) < 140 and refused.value.hint


# --- the score ------------------------------------------------------------------------------------------------


@pytest.fixture
def drawn() -> TaggedLibrary:
    raw = np.random.default_rng(0).random((30, 100)).astype(np.float32)
    return TaggedLibrary.of([f"t{n:02}" for n in range(30)], raw)


def test_a_denied_word_is_the_rest_to_a_hundred(drawn) -> None:
    wanted, denied = (points_of(drawn, parse_words(text)) for text in ("violin", "not violin"))
    np.testing.assert_allclose(wanted + denied, 100)
    np.testing.assert_array_equal(wanted[:, 0], drawn.percentiles[:, WORDS.index("violin")])


def test_the_order_of_words_does_not_matter(drawn) -> None:
    words = ["violin", "not piano", "slow", "jazz"]
    scores = [
        shares_of(points_of(drawn, parse_words(", ".join(order)))).sum(axis=1)
        for order in itertools.permutations(words)
    ]
    np.testing.assert_allclose(scores, np.broadcast_to(scores[0], (24, 30)))


def test_shares_add_up_to_the_score(drawn) -> None:
    """Alone the mean of points; beside a query half of it, and half the likeness, however many words there are."""
    points, likeness = points_of(drawn, parse_words("violin, not piano, slow")), np.linspace(0, 100, 30)
    np.testing.assert_allclose(shares_of(points).sum(axis=1), points.mean(axis=1))
    both = shares_of(points, likeness)
    np.testing.assert_allclose(both.sum(axis=1), (likeness + points.mean(axis=1)) / 2)
    assert both.shape == (30, 4) and both[:, :3].max() <= 100 / 6 and both[:, 3].max() == 50


def test_ranks_are_places_whatever_the_scale() -> None:
    values = np.random.default_rng(0).permutation(50) / 50
    np.testing.assert_allclose(np.sort(ranks(values)), 100 * (np.arange(50) + 0.5) / 50)
    np.testing.assert_array_equal(ranks(values), ranks(np.exp(9 * values)))
    assert ranks(np.ones(4)).tolist() == [50] * 4 and ranks(np.empty(0)).size == 0


# --- answers --------------------------------------------------------------------------------------------------

N, UNHEARD = 20, 19


@pytest.fixture
def library(home) -> list[str]:
    """Row n is heard as a violin with n, as slow with 19 - n, in nineteenths; only row 4 sings; one was not heard."""
    ids = plant_tracks(
        home, [a_track(row, work=f"work {row}", composer="C", performer=f"p{row % 2}") for row in range(N)]
    )
    embed(home, MEL, ids)
    heard = {}
    for row, track_id in enumerate(ids):
        sings = 0.8 if row == 4 else 0.005
        heard[track_id] = {"mtt:violin": 0.05 + 0.04 * row, "mtt:slow": 0.9 - 0.04 * row, "mtt:woman": sings}
    del heard[ids[UNHEARD]]
    plant_tags(home, heard)
    return ids


def ask(home, words: str, query: str | None = None, **question) -> Answer:
    scope = scope_of(home, "planted", MEL.id)
    plan = make_plan(scope, Question(words=(words,), **question), None)
    if query is None:
        return answer_in_words(plan)
    return answer(build_index(plan), plan, query_of(scope, home.catalogue.track(query)))


def found_ids(found: Answer) -> list[str]:
    return [item.track.track_id for item in found.found]


@pytest.mark.slow
def test_words_alone_find_what_was_planted(home, library) -> None:
    heard = library[:UNHEARD]
    assert found_ids(ask(home, "violin", k=N)) == heard[::-1]
    assert found_ids(ask(home, "slow", k=N)) == heard == found_ids(ask(home, "not violin", k=N))
    found = ask(home, "violin, female voice", k=3)
    assert found_ids(found)[0] == library[18] and found_ids(ask(home, "female voice"))[0] == library[4]
    best = ask(home, "violin", k=1).found[0].neighbour
    assert best.words == {"violin": pytest.approx(100 * 18.5 / 19)} and best.similarity == pytest.approx(18.5 / 19)
    assert best.percentile == pytest.approx(100 * 18.5 / 19) and best.rank == 1
    assert found.plan.notices == (f"1 of {N} recordings is left out: not heard by MusiCNN yet.",)
    assert found.query is None and found.asked == "violin, female voice"


@pytest.mark.slow
def test_what_nothing_is_heard_as_is_said(home, library) -> None:
    """And denied, it changes no rank: that none is a piano's tells nobody apart."""
    (said, _) = ask(home, "violin, opera, not sitar").plan.notices
    assert said == "Nothing here is clearly heard as opera, so that says little."
    assert found_ids(ask(home, "violin, not piano", k=N)) == found_ids(ask(home, "violin", k=N))


@pytest.mark.slow
def test_two_ways_to_say_it_have_one_answer(home, library) -> None:
    """The order of words, their case, synonyms and twofold denials change no rank and no score."""
    one, *others = (
        [(item.track.track_id, item.neighbour.similarity) for item in ask(home, text, k=N).found]
        for text in ("violin, not slow, women", "Female voice, fiddle, no slow", "not not violin -slow, woman")
    )
    assert all(other == one for other in others)


@pytest.mark.slow
def test_beside_a_query_half_of_the_score_is_likeness(home, library) -> None:
    """By hand: ranks of the similarities of a plain search, and percentiles of what was planted."""
    query = library[7]
    scope = scope_of(home, "planted", MEL.id)
    plain = answer(
        build_index(plan := make_plan(scope, Question(k=N), None)), plan, query_of(scope, home.catalogue.track(query))
    )
    similarity = {item.track.track_id: item.neighbour.similarity for item in plain.found}
    tagged = tagged_library(home, "planted")
    others = [track_id for track_id in tagged.track_ids if track_id != query]
    likeness = dict(zip(others, ranks(np.array([similarity[each] for each in others])), strict=True))
    violin = dict(zip(others, tagged.values("violin", others), strict=True))
    found = ask(home, "like this, but with violin", query, k=N)
    assert set(found_ids(found)) == set(others)  # neither the query nor what was not heard
    for item in found.found:
        shares, track_id = item.neighbour.words, item.track.track_id
        halves = {"violin": violin[track_id] / 2, LIKENESS: likeness[track_id] / 2}
        assert shares == pytest.approx(halves)
        assert item.neighbour.similarity == pytest.approx(sum(shares.values()) / 100) and item.moment is not None
    scores = [item.neighbour.similarity for item in found.found]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.slow
def test_filters_and_caps_hold_in_words_and_what_does_not_is_said(home, library) -> None:
    only = ask(home, "violin", k=N, performers=("p0",))
    assert {item.track.performer for item in only.found} == {"p0"}
    assert len(ask(home, "violin", k=N, max_per_performer=2).found) == 4
    assert found_ids(ask(home, "slow", heard_as=("female voice",))) == [library[4]]
    assert "Diversity, near-duplicates" in ask(home, "violin", diversity=0.5).plan.notices[0]
    assert ask(home, "violin", composers=("nobody",)).found == ()
    with pytest.raises(InputError, match="not of a passage"):
        make_plan(scope_of(home, "planted", MEL.id), Question(words=("violin",)), None, is_of_passage=True)


def test_before_musicnn_has_heard_anything_one_sentence_says_what_to_do(home) -> None:
    plant_tracks(home, [a_track(0)])
    with pytest.raises(DataMissingError, match=r"not heard any recording.*extract"):
        ask(home, "violin")


# --- files and the command line -------------------------------------------------------------------------------


@pytest.mark.slow
def test_an_answer_in_words_is_saved_and_asked_again(home, library, tmp_path) -> None:
    for query in (None, library[3]):
        found = ask(home, "violin, not slow", query, k=5)
        document = as_document(found)
        assert document["query"] == (query or "violin, not slow") and document["query_track_id"] == query
        assert document["request"]["words"] == ("violin", "not slow")
        assert list(document["results"][0]["words"]) == ["violin", "not slow", *([LIKENESS] if query else [])]
        assert "violin_share,not slow_share" in as_csv(found).splitlines()[0]
        path = tmp_path / "answer.json"
        path.write_text(as_json(found), "utf-8")
        again = reproduce(home, path)
        assert again.is_identical and again.n_found == 5 and again.first_apart is None


def run(home, capsys, *arguments: str) -> tuple[int, str, str]:
    code = main(["--home", str(home.paths.root), "similar", "--encoder", "mel", "--library", "planted", *arguments])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


@pytest.mark.slow
def test_words_on_the_command_line(home, library, capsys, tmp_path) -> None:
    code, out, _ = run(home, capsys, "--words", "violin, not slow", "-k", "2")
    assert code == 0 and "(violin 49, not slow 48: together 97 of 100)" in out and len(out.splitlines()) == 3
    code, out, _ = run(home, capsys, library[0], "--words", "violin", "--json")
    document = json.loads(out)
    assert code == 0 and set(document["results"][0]["words"]) == {"violin", LIKENESS}
    playlist = tmp_path / "near.m3u8"
    assert run(home, capsys, "--words", "slow", "--playlist", str(playlist))[0] == 0 and playlist.is_file()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--words", ""), "No word is asked for"),
        (("--words", "violn"), "Did you mean violin"),
        (("--words", "violin", "--passage", "0:2"), "passage"),
    ],
)
def test_wrong_use_is_one_sentence(home, library, capsys, arguments, says) -> None:
    code, out, said = run(home, capsys, *arguments)
    assert code == 2 and says in said and out == "" and said.count("\n") == 1


@pytest.mark.slow
def test_words_in_python(home, library) -> None:
    asked = Library(scope_of(home, "planted", MEL.id))
    assert found_ids(asked.similar(words="violin", k=2)) == [library[18], library[17]]
    assert asked.similar(library[0], words="violin", k=1).found[0].neighbour.words.keys() == {"violin", LIKENESS}
    with pytest.raises(InputError, match="Nothing is asked for"):
        asked.similar()
