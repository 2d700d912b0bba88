"""Judge: a sitting is begun, paused, gone on with, ended and deleted; what a link or a name says is only text."""

from __future__ import annotations

import csv
import io

import pytest
from streamlit.testing.v1 import AppTest

from mess_core.catalogue.comparisons import Comparison
from mess_core.catalogue.sittings import MOST_QUESTIONS, Asked, Clip, Sitting
from mess_core.encoders.nano import NANO
from mess_core.learning import questions
from mess_core.learning.agreement import Listening, Progress, Share
from mess_core.learning.judging import QUESTIONS, begin_sitting, go_on
from mess_core.learning.ways import ways_of
from mess_core.recommend.simulated import PEOPLE
from mess_core.workspace.scope import Scope
from pages.shared.judge import panels, sitting, told
from pages.shared.judge import trial as drawing
from tests.pages.conftest import words
from tests.planted import a_track, plant_tracks

JUDGE = "pages/5_Judge.py"
ASKS = QUESTIONS["alike"]
HOSTILE = ["**bold** ![](https://x.y/z.png) $x$", "<img src=x onerror=alert(1)> :red[a] `b`"]


@pytest.fixture(autouse=True)
def few_candidates(monkeypatch):
    """Enough for a library of four recordings."""
    monkeypatch.setattr(questions, "N_CANDIDATES", 50)


class Trials:
    """What the browser is given to draw, and what somebody does in it. shown : the question; again : as one before"""

    def __init__(self) -> None:
        self.shown: Asked | None = None
        self.again = False
        self._done: list[str] = []

    def __call__(self, at: AppTest, what: str) -> None:
        """`what` is "answered" or "back", as the browser reports them."""
        self._done.append(what)
        at.run()
        at.run()  # a report comes before the run that it causes
        assert not at.exception

    def draw(self, asked: Asked, *, again: bool, **settings) -> None:
        self.shown, self.again = asked, again
        while self._done:
            settings[f"on_{self._done.pop()}"]()


@pytest.fixture
def trials(monkeypatch) -> Trials:
    drawn = Trials()
    monkeypatch.setattr(sitting, "trial", drawn.draw)
    return drawn


def judge(home, n: int, listener: str = "me", n_wanted: int = 60, question: str = ASKS) -> Sitting:
    """A sitting of which so many questions were answered, by somebody who listens."""
    scope = Scope(home, "music", NANO)
    ways, sitting = ways_of(scope), begin_sitting(scope, listener, question, n_wanted)
    for _ in range(n):
        asked = go_on(scope, ways, sitting).open
        home.sittings.answer(asked.asked_id, "second" if asked.second == asked.anchor else "first")
    return sitting


def keys(at: AppTest) -> list[str]:
    return [button.key for button in at.button]


def press(at: AppTest, key: str) -> AppTest:
    at.button(key=key).click().run()
    assert not at.exception
    return at


# --- a sitting ----------------------------------------------------------------------------------------------


def test_a_sitting_is_begun_and_in_the_link(launch, library, home, trials):
    at = launch(JUDGE, library="music")
    assert "without names" in words(at) and "About 30 min" in words(at) and home.sittings.all() == []
    at.text_input(key="listener").set_value("Ann").run()
    at.number_input(key="questions").set_value(20).run()
    at.selectbox(key="asks").set_value("played").run()
    press(at, "begin")
    (sitting,) = home.sittings.all()
    assert (sitting.listener, sitting.question, sitting.n_wanted) == ("Ann", QUESTIONS["played"], 20)
    assert sitting.library == "music" and str(sitting.sitting_id) in at.query_params["sitting"]
    assert "Question 1 of 20" in words(at) and "answered by Ann" in words(at) and sitting.question in words(at)
    assert home.sittings.questions(sitting.sitting_id) == [trials.shown] and not trials.again


def test_the_browser_is_told_nothing_of_what_it_plays(launch, library, home):
    """No id, no title: a clip is known by its question and its letter. This one draws the real component."""
    at = launch(JUDGE, library="music")
    press(at, "begin")
    (asked,) = home.sittings.questions(1)
    (drawn,) = at.get("bidi_component")
    given = str(drawn.proto)
    assert asked.asked_id in given and all(f"/clip/{asked.asked_id}/{letter}" in given for letter in "xab")
    assert asked.purpose not in given and not any(name in given for name in (*library, "track "))


@pytest.mark.parametrize(("seconds", "needs_s"), [(8.0, 1.0), (0.4, 0.2)])
def test_a_recording_shorter_than_what_must_be_heard_can_be_compared(monkeypatch, seconds, needs_s):
    """Half of the shortest is enough."""
    given = {}
    monkeypatch.setattr(drawing, "_component", lambda **settings: given.update(settings["data"]))
    clips = [Clip("x", 0.0, 10.0), Clip("a", 3.0, 3.0 + seconds), Clip("b", 0.0, 9.0)]
    asked = Asked("0123", 1, 0, *clips, "random")
    drawing.trial(asked, key="trial", again=False, on_answered=lambda: None, on_back=lambda: None)
    assert given["needs_s"] == pytest.approx(needs_s)
    assert [each["duration_s"] for each in given["clips"]] == pytest.approx([10.0, seconds, 9.0])


def test_an_answer_brings_the_next_question(launch, library, home, trials):
    at = launch(JUDGE, library="music")
    press(at, "begin")
    first = trials.shown
    assert at.button(key="back").disabled
    home.sittings.answer(first.asked_id, "first")
    trials(at, "answered")
    assert trials.shown.number == 1 and "Question 2 of 60" in words(at)


def test_who_reloads_hears_the_same_question(launch, library, home, trials):
    sitting = judge(home, 3)
    launch(JUDGE, library="music", sitting=str(sitting.sitting_id))
    first = trials.shown
    assert first.number == 3 and launch(JUDGE, library="music", sitting=str(sitting.sitting_id))
    assert trials.shown == first


def test_one_goes_back_answers_again_and_is_where_one_was(launch, library, home, trials):
    """By the button or by the key; before the first there is none."""
    sitting = judge(home, 2)
    at = launch(JUDGE, library="music", sitting=str(sitting.sitting_id))
    press(at, "back")
    assert trials.shown.number == 1 and trials.again and "another answer replaces it" in words(at)
    assert "Question 2 of 60" in words(at)
    trials(at, "back")
    assert trials.shown.number == 0 and trials.again and at.button(key="back").disabled
    trials(at, "back")
    assert trials.shown.number == 0
    trials(at, "answered")
    assert trials.shown.number == 2 and not trials.again
    press(press(at, "back"), "forward")
    assert trials.shown.number == 2 and not trials.again and "forward" not in keys(at)


def test_a_pause_keeps_everything_and_one_goes_on(launch, library, home, trials):
    sitting = judge(home, 2)
    at = launch(JUDGE, library="music", sitting=str(sitting.sitting_id))
    opened = trials.shown
    press(press(at, "back"), "pause")
    assert "sitting" not in at.query_params and "me: 2 answers" in words(at)
    assert home.sittings.find(sitting.sitting_id).ended_at is None
    press(at, f"go on me {ASKS}")
    assert trials.shown == opened and not trials.again
    press(at, "pause")
    at.text_input(key="listener").set_value(" me ").run()
    assert at.button(key="begin").label == "Go on" and "goes on with the 60 questions that were begun" in words(at)
    press(at, "begin")  # with the same name: that one goes on
    assert trials.shown == opened and len(home.sittings.all()) == 1
    press(at, "pause")
    at.text_input(key="listener").set_value("Bob").run()
    assert at.button(key="begin").label == "Begin" and "About 30 min" in words(at)


def test_at_the_end_it_is_told_what_the_answers_say(launch, library, home, trials):
    sitting = judge(home, 12)
    at = launch(JUDGE, library="music", sitting=str(sitting.sitting_id))
    press(at, "end")
    said = words(at)
    assert "Thank you" in said and f"12 answers to “{ASKS}” by me." in said
    assert "with a known answer told" in said and "Too few answers to compare" in said
    assert set(at.dataframe[0].value["model"]) >= {NANO.title, "learned from these answers"}
    assert home.sittings.find(sitting.sitting_id).ended_at is not None
    press(at, "leave")
    assert "Answers so far" in words(at) and "sitting" not in at.query_params and f"go on me {ASKS}" not in keys(at)


@pytest.mark.parametrize(("right", "n", "is_told"), [(4, 7, False), (14, 20, False), (17, 20, True), (60, 90, True)])
def test_nothing_is_said_to_tell_the_answers_that_a_guess_may_have_told(right, n, is_told):
    """The first of several has more than half by chance."""
    found = Progress(Listening(n, 1, Share(1, 1), Share(1, 2)), {"Chroma": Share(right, n)}, "", {})
    said = " ".join(told._sentences(found))
    assert "Chroma" in said and f"{right} of {n} answers" in said
    assert ("told best by Chroma" in said) == is_told and ("Nothing is shown yet" in said) == (not is_told)
    assert said.startswith("1 of 1 repeated question answered alike; 1 of 2 questions with a known answer told; once")
    assert "nothing can tell more than" not in said  # by one repeat


@pytest.mark.parametrize(("n", "said"), [(0, "so far there is none."), (1, "so far there is 1."), (2, "there are 2.")])
def test_few_answers_are_counted_in_a_sentence(launch, library, home, trials, n, said):
    at = launch(JUDGE, library="music", sitting=str(judge(home, n).sitting_id))
    press(at, "end")
    assert said in words(at)
    assert ("Thank you" in words(at)) == (n > 0) and ("Ended before the first answer" in words(at)) == (n == 0)


def test_what_was_not_asked_is_not_counted(launch, library, home):
    home.sittings.end(judge(home, 1).sitting_id)
    assert "me: 1 answer" in [text.value for text in launch(JUDGE, library="music").text]


@pytest.mark.parametrize("n_wanted", [10, 60, MOST_QUESTIONS])
def test_who_has_ended_can_go_on_with_more(launch, library, home, trials, n_wanted):
    """Twenty beyond what was answered, however many had been wanted."""
    sitting = judge(home, 10, n_wanted=n_wanted)
    home.sittings.end(sitting.sitting_id)
    at = launch(JUDGE, library="music", sitting=str(sitting.sitting_id))
    press(at, "more")
    assert "Question 11 of 30" in words(at) and trials.shown.number == 10


def test_two_tabs_that_want_more_get_it_once(launch, library, home, trials):
    sitting = judge(home, 10, n_wanted=10)
    home.sittings.end(sitting.sitting_id)
    one, other = (launch(JUDGE, library="music", sitting=str(sitting.sitting_id)) for _ in range(2))
    press(one, "more")
    press(other, "more")
    assert home.sittings.find(sitting.sitting_id).n_wanted == 30


def test_a_sitting_that_was_deleted_in_another_tab_is_a_sentence(launch, library, home, trials):
    sitting = judge(home, 10, n_wanted=10)
    home.sittings.end(sitting.sitting_id)
    at = launch(JUDGE, library="music", sitting=str(sitting.sitting_id))
    home.sittings.forget("me")
    press(at, "more")
    assert "This sitting is not here (any more)" in words(at) and "begin" in keys(at)


def test_where_too_little_is_left_to_ask_about_the_answers_are_still_there(launch, library, home, trials):
    """It is said why, and what was judged can be seen, exported and deleted."""
    sitting = judge(home, 3)
    with home.database.transaction() as connection:
        connection.execute("DELETE FROM tracks WHERE track_id IN (SELECT track_id FROM tracks LIMIT 2)")
    at = launch(JUDGE, library="music", sitting=str(sitting.sitting_id))
    assert "This sitting cannot go on" in words(at) and "me: 3 answers" in words(at)
    assert "sitting" not in at.query_params


# --- links and names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("named", ["foo", "999999", "-1", "1' OR '1'='1", "9" * 40])
def test_a_link_that_somebody_made_up_begins_at_the_beginning(launch, library, home, named):
    judge(home, 1)
    at = launch(JUDGE, library="music", sitting=named)
    assert "This sitting is not here (any more)" in words(at) and "begin" in keys(at)
    assert "sitting" not in at.query_params and at.number_input(key="questions").value == 60


def test_a_sitting_of_another_library_is_not_gone_on_with_in_this_one(launch, library, home):
    sitting = judge(home, 1)
    plant_tracks(home, [a_track(99)], "other")
    at = launch(JUDGE, library="other", sitting=str(sitting.sitting_id))
    assert "Nothing to judge yet" in words(at) and "sitting" not in at.query_params
    assert home.sittings.find(sitting.sitting_id).ended_at is None


@pytest.mark.parametrize(
    "link", [{"asks": "nonsense"}, {"questions": "1e9"}, {"questions": "5"}, {"listener": "a" * 80}]
)
def test_a_link_with_impossible_choices_opens(launch, library, home, link):
    at = launch(JUDGE, library="music", **link)
    assert at.selectbox(key="asks").value in QUESTIONS and 10 <= at.number_input(key="questions").value <= 300


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_shown_as_text(launch, library, home, trials, name):
    """Never as Markdown or HTML, in a sitting, at its end, or in the list."""
    sitting = judge(home, 10, name, n_wanted=10)
    other = judge(home, 1, name, question=QUESTIONS["played"])

    def check(at: AppTest) -> str:
        drawn = [element.value for kind in (at.markdown, at.caption, at.subheader) for element in kind]
        drawn += [bar.proto.text for bar in at.get("progress")]
        drawn += [each.proto.label for kind in ("button", "popover", "expander") for each in at.get(kind)
                  if hasattr(each.proto, "label")]  # fmt: skip
        assert not any(name in str(text) for text in drawn)
        return "\n".join(str(element.value) for element in at.text)

    assert name in check(launch(JUDGE, library="music"))
    assert name in check(launch(JUDGE, library="music", sitting=str(sitting.sitting_id)))
    check(launch(JUDGE, library="music", sitting=str(other.sitting_id)))


@pytest.mark.parametrize("name", ["", "   ", "a\u202eb"])
def test_what_is_no_name_is_said(launch, library, home, name):
    at = launch(JUDGE, library="music")
    at.text_input(key="listener").set_value(name).run()
    press(at, "begin")
    said = "is no name for a listener" if name.split() else "The listener has no name."
    assert said in words(at) and home.sittings.all() == []
    assert said not in words(at.run())


def test_without_music_it_is_said_what_to_do(launch, home):
    at = launch(JUDGE)
    assert "Nothing to judge yet" in words(at) and "4 are needed" in words(at) and "begin" not in keys(at)


# --- all answers --------------------------------------------------------------------------------------------


def test_deleting_takes_the_answers_of_one_listener(launch, library, home):
    judge(home, 3)
    judge(home, 2, "Bob")
    at = launch(JUDGE, library="music")
    assert "me: 3 answers" in words(at) and "Bob: 2 answers" in words(at)
    assert "This cannot be undone" in words(at)
    press(at, f"really Bob {ASKS}")
    assert "Bob" not in words(at) and [each.listener for each in home.sittings.all()] == ["me"]


def test_how_far_listeners_agree_is_said_of_each_question(launch, library, home):
    home.sittings.end(judge(home, 20).sitting_id)
    at = launch(JUDGE, library="music")
    assert "One listener so far" in words(at).replace("\\", "")
    home.sittings.end(judge(home, 20, "Bob").sitting_id)
    at = launch(JUDGE, library="music")
    assert "several of 2 listeners answered" in words(at).replace("\\", "")
    for toggle in at.toggle:
        toggle.set_value(True)
    at.run()
    assert [next(iter(table.value["of"])) for table in at.dataframe] == [8, 8]  # each has their own, of as many answers


def test_while_somebody_answers_others_see_only_how_many(launch, library, home):
    sitting = judge(home, 20)
    at = launch(JUDGE, library="music")
    assert "me: 20 answers, and more to come" in [text.value for text in at.text]
    assert not at.toggle and "repeated questions" not in words(at)
    home.sittings.end(sitting.sitting_id)
    at = launch(JUDGE, library="music")
    assert len(at.toggle) == 1 and "me: 20 answers; repeated questions answered alike" in words(at)


def test_answers_go_out_as_a_table_and_come_back(launch, library, home):
    """In the columns that are read again; those that are here are not taken in twice."""
    judge(home, 5)
    expected = home.sittings.comparisons()
    at = launch(JUDGE, library="music")
    assert at.download_button(key="export csv") and at.download_button(key="export parquet")
    data = panels._table("csv")
    rows = list(csv.DictReader(io.StringIO(data.decode())))
    assert [(row["anchor"], row["positive"], row["negative"], row["side"], row["listener"]) for row in rows] == [
        (each.anchor, each.positive, each.negative, each.side, "me") for each in expected
    ]
    assert panels._table("parquet")[:4] == b"PAR1"
    at.file_uploader(key="import judgements").set_value(("mine.csv", data, "text/csv")).run()
    press(at, "take in")
    assert f"0 judgements taken in, {len(expected)} known already" in words(at) and home.comparisons.all() == []
    home.sittings.forget("me")
    press(at, "take in")
    assert f"{len(expected)} judgements taken in" in words(at) and len(home.comparisons.all()) == len(expected)


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [("a.csv", b"one,two\n1,2\n", "has no columns anchor"), ("a.parquet", b"PAR1", "no table that can be read"),
     ("a.csv", b"anchor,positive,negative\nx,y,z\n", "in the catalogue")],
)  # fmt: skip
def test_a_table_that_is_none_is_a_sentence(launch, library, home, name, data, said):
    at = launch(JUDGE, library="music")
    at.file_uploader(key="import judgements").set_value((name, data, "text/plain")).run()
    press(at, "take in")
    assert said in words(at) and home.comparisons.all() == []


def test_a_table_is_called_as_its_owner_calls_it_and_bad_rows_are_named(launch, library, home):
    at = launch(JUDGE, library="music")
    rows = [library[:3], [library[0], library[1], library[1]]]
    data = "\n".join(",".join(row) for row in [["anchor", "positive", "negative"], *rows]).encode()
    at.file_uploader(key="import judgements").set_value(("mine.csv", data, "text/csv")).run()
    press(at, "take in")
    assert "1 judgement taken in" in words(at) and "1 row left out" in words(at) and "row 3: " in words(at)
    at.file_uploader(key="import judgements").set_value(("../" + "né" * 150 + ".CSV", b"a\n1\n", "text/csv")).run()
    press(at, "take in")
    assert "né" * 25 + ".csv has no columns anchor" in words(at)


def test_what_was_taken_in_can_go_out(launch, library, home):
    home.comparisons.add([Comparison(*library[:3], listener="bob")])
    at = launch(JUDGE, library="music")
    assert at.download_button(key="export parquet") and b"bob" in panels._table("csv")


def test_nobody_judges_in_the_name_of_a_simulated_listener(launch, library, home, trials):
    """Who was looked at on For You is not who listens here; nor is one whose name is typed."""
    simulated = next(iter(PEOPLE))
    at = launch(JUDGE, library="music", listener=simulated)
    assert at.text_input(key="listener").value == "me"
    at.text_input(key="listener").set_value(simulated).run()
    at.button(key="begin").click().run()
    assert [each.listener for each in home.sittings.all("music")] == ["me"]
