"""The status at the bottom of the sidebar: one line for all work, what is done until somebody has looked."""

from __future__ import annotations

import pytest

from mess_core.encoders.mel import MEL
from mess_core.encoders.nano import NANO
from mess_core.storage.jobs import Failure, new_owner
from mess_core.study.examples import write_planted_plan
from mess_core.work.add import AddRequest
from mess_core.work.demo import DemoRequest
from mess_core.work.evaluate import EvaluateRequest
from mess_core.work.extract import ExtractRequest
from mess_core.work.learn import LearnRequest
from mess_core.work.map import MapRequest
from mess_core.work.probe import ProbeRequest
from mess_core.work.request import submit
from mess_core.work.study import StudyRequest
from mess_core.work.targets import TargetsRequest
from pages.shared.app import frame
from pages.shared.layers import panels
from tests.pages.conftest import words

LAYERS, MAP, LISTEN = "pages/2_Layers.py", "pages/3_Map.py", "pages/4_Listen.py"


@pytest.fixture
def seen(home, library) -> list[str]:
    """The library, of which everything that was done before has been looked at."""
    for job in home.jobs.news(["extract"]):
        home.jobs.dismiss(job.job_id)
    return library


def end(home, request, state: str = "done", *failures: Failure, message: str = "How it went.") -> None:
    job, owner = submit(home, request), new_owner()
    home.jobs.claim(owner, job_id=job.job_id)
    for failure in failures:
        home.jobs.fail_item(job.job_id, owner, failure)
    home.jobs.finish(job.job_id, owner, state, message)


def links(at) -> list[str]:
    """What leads to what was done."""
    leading = [*(link.proto.label for link in at.sidebar.get("page_link")), *(each.label for each in at.sidebar.button)]
    return [label for label in leading if "→" in label]


def test_without_work_and_news_the_sidebar_says_nothing_of_either(launch, home, seen):
    at = launch(MAP, library="music")
    assert links(at) == [] and at.sidebar.get("progress") == [] and at.sidebar.get("popover") == []


def test_all_work_is_one_line_with_one_bar_and_one_time(launch, home, seen):
    """The same on every page, and in the sidebar alone."""
    home.store.set_speed(MEL, 2.0)
    job, owner = submit(home, ExtractRequest("music", MEL.id)), new_owner()
    home.jobs.claim(owner, job_id=job.job_id)
    home.jobs.progress(job.job_id, owner, n_done=25, n_total=100, message="1 of 4 tracks")
    submit(home, MapRequest("music", MEL.id))
    for page in (None, LAYERS, MAP):
        at = launch(page, library="music")
        line, *details = at.sidebar.get("progress")
        shown = line.proto.text.replace("\\", "").replace("\N{NO-BREAK SPACE}", " ")
        assert shown == "Music ready · embedding with Log-mel 25 % · map next"
        assert line.proto.value == 25 and len(details) == 1
        # nobody knows yet how long a map takes
        assert [each.value for each in at.sidebar.caption if "left" in each.value] == ["about 3 min left of this"]
        assert at.main.get("progress") == []


def test_what_is_done_leads_to_its_page_until_somebody_has_looked(launch, home, seen):
    """To the page as it was made; another page, or another library, is not a look at it."""
    end(home, ProbeRequest("music", MEL.id, "performer", "segment"))
    end(home, MapRequest("music", NANO.id))
    told = ["music: map done, look →", "music: layers done, look →"]
    at = launch(library="music")
    assert links(at) == told
    query = {link.proto.label: link.proto.query_string for link in at.sidebar.get("page_link")}[told[1]]
    assert {"library=music", "encoder=mel", "group=performer", "level=segment"} <= set(query.split("&"))
    assert links(launch(LAYERS, library="all")) == told
    assert links(launch(MAP, library="music")) == told[1:]
    assert links(launch(LAYERS, library="music")) == [] and links(launch()) == []


def test_what_is_done_in_another_library_is_asked_for_by_itself_also_on_its_own_page(launch, home, seen):
    """A link to the page one is on is no new question there, and a query of one library means nothing in another."""
    home.catalogue.add_to_library("few", seen[:2])
    end(home, ExtractRequest("few", NANO.id))
    at = launch(LISTEN, library="music", query=seen[3], diversity="0.5")
    (button,) = [each for each in at.sidebar.button if "embedded, listen →" in each.label]
    button.click().run()
    assert not at.exception and dict(at.query_params) == {"library": "few"}
    end(home, ExtractRequest("few", MEL.id))
    at = launch(MAP, library="music", query=seen[3])
    (link,) = [each for each in at.sidebar.get("page_link") if "embedded, listen →" in each.proto.label]
    assert link.proto.query_string == "library=few"


def test_what_is_done_can_be_dismissed(launch, home, seen):
    end(home, MapRequest("music", NANO.id))
    at = launch(library="music")
    at.button(key="dismiss-news").click().run()
    assert links(at) == [] and home.jobs.news(["map"]) == []


def test_an_embedding_that_left_something_out_is_no_good_news(launch, home, seen):
    """It is said until it is dismissed, wherever one has looked meanwhile; the cure is a button's name."""
    end(home, ExtractRequest("music", MEL.id), "done", Failure("a", "It is gone.", "python -m mess_core add FOLDER"))
    launch(LISTEN, library="music")
    at = launch(library="music")
    assert links(at) == [] and "with Log-mel: done, but 1 file could not be used" in words(at).replace("\\", "")
    table = at.sidebar.dataframe[0].value
    assert list(table["what to do"]) == ["Add a folder on the Library page"]


def test_what_failed_is_in_the_line_and_on_every_page(launch, home, seen):
    end(home, MapRequest("music", NANO.id), "failed")
    for page in (None, LISTEN):
        at = launch(page, library="music")
        said = [caption.value.replace("\\", "") for caption in at.sidebar.caption]
        assert any("Drawing the map of music with MESS-nano failed" in line for line in said)


@pytest.mark.parametrize("state", ["failed", "cancelled", "done"])
def test_how_every_kind_of_work_ended_is_a_sentence(launch, home, seen, state, tmp_path):
    """In the line and in Details; of the others it says that they are notices."""
    path = write_planted_plan(home.paths, "music", [MEL.id], MEL.id)
    requests = [
        DemoRequest(MEL.id), ExtractRequest("music", MEL.id), TargetsRequest("music"), ProbeRequest("music", MEL.id),
        EvaluateRequest("music", MEL.id, "similarity"), MapRequest("music", MEL.id),
        LearnRequest("music", MEL.id, "works"), StudyRequest(path),
    ]  # fmt: skip
    for number, request in enumerate(requests):
        end(home, request, state, *[Failure(f"one {number}", "It is gone.", "")] * (state == "done"))
    at = launch(library="music")
    said = words(at).replace("\\", "")
    assert "Log-mel is done" not in said and f"{len(requests) - 1} more notices in Details" in said
    n_left_out = {request.kind: f"1 {request.items} could not be used" for request in requests}
    for request in requests[-3:]:  # as many as are shown one by one
        name = request.words(home)
        assert name[0].isupper() and not name.endswith(".")
        assert {
            "failed": f"{name} failed", "cancelled": f"{name} was cancelled",
            "done": f"{name}: done, but {n_left_out[request.kind]}",
        }[state] in said  # fmt: skip


def test_that_a_folder_was_added_is_told_until_its_library_is_looked_at(launch, home, seen, tmp_path):
    """For a minute on every page; then only where another library is looked at."""
    end(home, AddRequest(tmp_path, "music"), "done", message="4 of 4 files registered.")
    assert "4 tracks added to music" in words(launch(library="music"))
    with home.database.transaction() as connection:
        connection.execute("UPDATE jobs SET finished_at = finished_at - 90")
    assert "4 tracks added to music" in words(launch(library="all")), "nobody has looked"
    assert "4 tracks added to music" not in words(launch(library="music"))
    assert "4 tracks added to music" not in words(launch(library="all")), "it has been seen"


def test_a_folder_that_left_something_out_is_told_until_somebody_has_read_it(launch, home, seen, tmp_path):
    failure = Failure("a.wav", "It is damaged.", "")
    end(home, AddRequest(tmp_path, "music"), "done", failure, message="4 of 5 files registered.")
    with home.database.transaction() as connection:
        connection.execute("UPDATE jobs SET finished_at = finished_at - 90")
    launch(library="music")
    assert "4 tracks added to music" in words(launch(library="music"))


def test_a_job_that_begins_while_the_page_is_drawn_is_not_said_to_wait(launch, home, seen, monkeypatch):
    """The button was drawn while it waited; the page runs again before it stands."""
    submit(home, ProbeRequest("music", NANO.id, goes_on=True))
    explain = panels.explain

    def and_then_it_begins() -> None:
        explain()
        if home.jobs.active()[0].state == "queued":
            assert home.jobs.claim(new_owner()) is not None

    monkeypatch.setattr(panels, "explain", and_then_it_begins)
    at = launch(LAYERS, library="music", encoder=NANO.id)
    said = [caption.value for caption in at.main.caption]
    assert "is being done" in said and "waits for its turn" not in said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.2, "a few seconds"), (5, "a few seconds"), (6, "about 10 s"), (41, "about 50 s"), (51, "about 1 min"),
        (61, "about 2 min"), (3540, "about 59 min"), (3541, "about 1 h 00 min"), (8000, "about 2 h 10 min"),
    ],
)  # fmt: skip
def test_a_time_left_is_said_as_roughly_as_it_is_known(seconds, said):
    assert frame.about(seconds) == said


def test_what_is_not_known_of_a_track_is_an_empty_cell(launch, home, seen):
    """Not the word None."""
    (table,) = launch("pages/1_Library.py", library="music").main.get("dataframe")
    assert table.proto.HasField("placeholder") and table.proto.placeholder == ""


def test_while_a_library_is_embedded_its_page_names_one_count(launch, home, seen):
    """As it is now, with no number beside it that stands still."""
    job, owner = submit(home, ExtractRequest("music", MEL.id)), new_owner()
    home.jobs.claim(owner, job_id=job.job_id)
    at = launch("pages/1_Library.py", library="music")
    at.radio(key="extractor").set_value(MEL.id).run()
    assert at.metric == [] and r"0 of 4 tracks embedded with Log\-mel" in words(at)
    assert "Embed the rest with Log-mel" in [each.label for each in at.button]
