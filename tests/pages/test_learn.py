"""Learn: nothing to learn from is said, a report is shown in a sentence, and what helps is found on Listen."""

from __future__ import annotations

from urllib.parse import parse_qs

import numpy as np
import pytest

from mess_core.catalogue.comparisons import Comparison
from mess_core.learning.kept import LearnReport, save_report
from mess_core.learning.students import STUDENTS
from mess_core.learning.trial import run_trial, teach
from mess_core.search.learned import LearnedMetric, load_metric, save_metric
from mess_core.work.learn import LearnRequest
from mess_core.workspace.scope import scope_of
from tests.conftest import work
from tests.learning.worlds import course
from tests.pages.conftest import words
from tests.planted import a_track, plant_tracks


@pytest.fixture
def learned(home, bright) -> None:
    """A report on the bright library, and a metric of its numbers that is active."""
    scope = scope_of(home, "music", "mel")
    made = course(np.random.default_rng(0), n_works=12, n_players=4)
    result = run_trial(made, ("predicted", "linear"), n_seeds=1, ceiling=0.9)
    report = LearnReport(
        scope.library, "mel", scope.info.fingerprint, scope.content, "ratings", result, None, ("<b>not</b> bold",)
    )
    save_report(home.paths, scope.info, report)
    vectors = scope.embeddings().vectors
    n_tracks = len(vectors)
    own = course(np.random.default_rng(1), n_works=n_tracks // 2, n_players=2, dim=vectors.shape[2], source="works")
    metric = LearnedMetric(
        scope.library, "mel", scope.info.fingerprint, "works", "diagonal", scope.content, {}, "nDCG@10 0.50.",
        teach(own, "diagonal"),
    )  # fmt: skip
    save_metric(home.paths, scope.info, metric)


def test_nothing_to_learn_from_is_said_with_its_cure(launch, home, bright):
    at = launch("pages/6_Learn.py", source="judgements")
    assert "Nothing was learned from this yet." in words(at) and "So far there are none." in words(at)
    at.button(key="learn").click().run()
    (job,) = [job for job in home.jobs.active() if job.kind == "learn"]
    assert job.arguments["from"] == "judgements" and job.arguments["activates"]
    work(home)
    at.run()
    assert not at.exception
    assert "Nobody has judged anything yet." in words(at) and "Nothing could be learned" in words(at)


def test_it_is_said_how_many_answers_there_are_and_why_nobody_can_learn(launch, home, bright):
    home.comparisons.add([Comparison(*bright[:3], listener="bob")])
    assert "So far there is 1 answer." in words(launch("pages/6_Learn.py", source="judgements"))
    plant_tracks(home, [a_track(99)], "other")
    at = launch("pages/6_Learn.py", source="works", library="other")
    assert at.button(key="learn").disabled and "No recording is embedded here yet." in words(at)


def test_a_report_is_a_sentence_first(launch, learned):
    at = launch("pages/6_Learn.py", source="ratings")
    said = words(at)
    assert "earning from ratings" in said and "Tested on 12 works" in said
    assert "Chance: 0.50." in said and "agree with each other: 0.90" in said
    assert r"\<b\>" in said or "<b>" not in said  # names and notices are no Markdown
    rows = at.dataframe[0].value
    assert {"search as it is", "what it reads off by ridge regression"} <= set(rows["what compares"])


def test_what_is_active_is_searched_by_and_taken_away(launch, home, bright, learned):
    at = launch("pages/6_Learn.py")
    assert "Active here: a similarity learned from which recordings are of one work" in words(at)
    (asked,) = [parse_qs(link.proto.query_string) for link in at.get("page_link") if link.proto.label == "Find by it"]
    assert asked["query"][0] in bright and asked["geometry"] == ["learned"]  # nothing is found by a similarity alone
    listening = launch("pages/4_Listen.py", query=bright[0], geometry="learned", hearing="mel")
    assert "Ranked by a similarity that was learned from which recordings are of one work." in words(listening)
    at.button(key="forget metric").click().run()
    assert not at.exception and "Active here" not in words(at)
    assert load_metric(scope_of(home, "music", "mel")) is None
    again = launch("pages/4_Listen.py", query=bright[0], geometry="learned", hearing="mel")
    assert "Ranked by a similarity" not in words(again)


@pytest.mark.parametrize("link", [{"source": "dreams"}, {"student": "genius"}, {"library": "nowhere"}])
def test_a_link_that_cannot_be_meant_shows_what_can(launch, bright, link):
    at = launch("pages/6_Learn.py", **link)
    assert not at.exception and at.button(key="learn")


def test_how_it_is_learned_is_what_is_asked(launch, home, bright):
    at = launch("pages/6_Learn.py", source="works", student="diagonal")
    at.toggle(key="activates").set_value(False).run()
    at.button(key="learn").click().run()
    (job,) = [job for job in home.jobs.active() if job.kind == "learn"]
    request = LearnRequest.from_arguments(job.arguments)
    assert (request.student, request.activates, request.source) == ("diagonal", False, "works")
    assert request.student in STUDENTS


def test_who_is_only_tried_is_not_asked_to_be_searched_by(launch, home, bright):
    at = launch("pages/6_Learn.py", source="works", student="attention")
    assert at.toggle(key="activates").disabled
    at.button(key="learn").click().run()
    (job,) = [job for job in home.jobs.active() if job.kind == "learn"]
    assert not at.exception and not LearnRequest.from_arguments(job.arguments).activates
