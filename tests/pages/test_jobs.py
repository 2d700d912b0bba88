"""What is worked on, and how it ended: named by what it works on, folded where it is many, a way on from it."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from streamlit.testing.v1 import AppTest

from mess_core.collections.opening import read_track
from mess_core.encoders.mel import MEL
from mess_core.encoders.nano import NANO
from mess_core.storage.jobs import Failure, new_owner
from mess_core.work.add import AddRequest
from mess_core.work.evaluate import EvaluateRequest
from mess_core.work.extract import ExtractRequest
from mess_core.work.map import MapRequest
from mess_core.work.request import submit
from mess_core.work.targets import TargetsRequest
from tests.conftest import work
from tests.pages.conftest import words

LIBRARY = "pages/1_Library.py"


def button(at: AppTest, label: str):
    return next(each for each in at.button if each.label == label)


def end(home, job, state: str, message: str = "", *failures: Failure) -> None:
    """A job is claimed and ends like this."""
    owner = new_owner()
    assert home.jobs.claim(owner, job_id=job.job_id) is not None
    for failure in failures:
        home.jobs.fail_item(job.job_id, owner, failure)
    home.jobs.finish(job.job_id, owner, state, message)


def add(home, number: int, library: str = "music", **others):
    arguments = {"path": f"/music/{number}", "library": library, "then_extract": None, "collection": "auto"}
    return home.jobs.submit("add", {**arguments, "renders": False, **others})


def test_jobs_are_named_by_what_they_work_on(launch, home, library):
    """Each has a state word, too: also one that has said nothing yet."""
    first = submit(home, ExtractRequest("music", MEL.id))
    submit(home, MapRequest("music", NANO.id))
    submit(home, EvaluateRequest("music", NANO.id, "similarity"))
    home.jobs.submit("targets", {"library": "music", "then_probe": None})
    home.jobs.submit("probe", {"library": "all", "encoder": "gone", "level": "segment"})
    add(home, 1, "two")
    home.jobs.claim(new_owner(), job_id=first.job_id)
    at = launch()
    shown = [line.value for line in at.text]
    line, bar = [each.proto.text for each in at.get("progress")]
    assert bar == r"Embedding music \(4 tracks\) with Log\-mel · 0 %"
    assert line.replace("\N{NO-BREAK SPACE}", " ") == r"Music ready · embedding with Log\-mel 0 % · map next"
    assert "starting" in shown
    assert [line for line in shown if line.endswith("waits for its turn")] == [
        f"{name} · waits for its turn"
        for name in (
            "Drawing the map of music with MESS-nano",
            "Measuring which way of comparing finds what in music with MESS-nano",
            "Measuring music",
            "Discovery in all libraries (segments) with gone",
            "Registering /music/1 in two",
        )
    ]


def test_only_two_waiting_jobs_stand_outside_and_each_can_be_cancelled(launch, home):
    jobs = [add(home, number) for number in range(8)]
    at = launch()
    (folded,) = [each for each in at.expander if each.label == "6 more waiting"]
    assert len(folded.button) == 6 and len([each for each in at.button if each.label == "Cancel"]) == 8
    at.button(key=f"cancel-{jobs[-1].job_id}").click().run()
    assert jobs[-1].job_id not in [job.job_id for job in home.jobs.active()]
    assert [each.label for each in at.expander if "waiting" in each.label] == ["5 more waiting"]


@pytest.mark.parametrize(
    "name", ["![x](http://example.com)", "<b>x</b>", "$x$ :material/home:", "x" * 5000, "\x1b[2J\n"]
)
def test_names_in_jobs_and_notices_are_text(launch, home, name):
    """Wherever Streamlit would read Markdown they are written out, and a long one is shortened."""
    running = home.jobs.submit("extract", {"library": name, "encoder": name})
    home.jobs.claim(new_owner(), job_id=running.job_id)
    add(home, 1, name)
    home.jobs.submit("map", {"library": name, "encoder": name})
    home.jobs.submit(name, {})
    end(home, add(home, 2, name), "failed", name)
    at = launch(LIBRARY)
    assert not at.exception
    marked = [str(each.value) for each in (*at.markdown, *at.caption)]
    marked += [each.proto.text for each in at.get("progress")] + [each.label for each in (*at.button, *at.expander)]
    assert not any(name in text for text in marked)
    assert all(len(text) < 1000 for text in marked if "material" not in text and "<style>" not in text)


def test_a_library_that_was_added_is_opened_by_a_click(launch, home, library, write_wav):
    submit(home, AddRequest(write_wav("new", folder="other").parent, "real $x$"))
    work(home)
    at = launch(LIBRARY, library="music")
    assert r"1 track added to real \$x\$" in words(at)
    button(at, "Open it").click().run()
    assert not at.exception and at.selectbox(key="library").value == "real $x$"
    assert at.query_params["library"] in ("real $x$", ["real $x$"])
    assert "added to" not in words(at)


@pytest.mark.slow
def test_what_was_added_is_told_until_it_is_dismissed(launch, home, write_wav):
    submit(home, AddRequest(write_wav("new").parent, "real"))
    work(home)
    at = launch(LIBRARY)
    assert "1 track added to real" in words(at)
    assert "Open it" not in [each.label for each in at.button]  # it is what is shown
    button(at, "Dismiss").click().run()
    assert "added to" not in words(at) and "added to" not in words(launch(LIBRARY))


def test_a_registration_without_any_track_has_failed(launch, home, tmp_path):
    """It names the folder and the library, and says why."""
    folder = tmp_path / "music"
    folder.mkdir()
    (folder / "bad.wav").write_bytes(b"<html>")
    submit(home, AddRequest(folder, "real"))
    work(home)
    said = words(launch(LIBRARY)).replace("\\", "")
    assert "in real failed: nothing was added" in said and f"{folder}"[-25:] in said and "is done" not in said


def test_notices_that_say_the_same_are_one(launch, home):
    """Others are told apart; how many are hidden is said, and one click reads them all."""
    for others in ({}, {"renders": True}, {"then_extract": MEL.id}):
        end(home, add(home, 1, **others), "failed", "The disk is full.")
    for number in range(2, 6):
        end(home, add(home, number), "failed", "The disk is full.")
    at = launch(LIBRARY)
    said = words(at).replace("\\", "")
    assert "2 older notices not shown." in said and "/music/5 in music failed" in said and "/music/2" not in said
    button(at, "Dismiss").click().run()
    button(at, "Dismiss").click().run()
    said = words(at).replace("\\", "")
    assert "Registering /music/1 in music failed: nothing was added (3 times)" in said and "not shown" not in said
    button(at, "Dismiss all 3").click().run()
    assert "failed" not in words(at) and home.jobs.outcomes(["add"]) == []


@pytest.mark.slow
def test_nothing_is_resumed_where_nothing_is_left(launch, home, library, write_wav):
    job = submit(home, ExtractRequest("music", NANO.id))
    home.jobs.cancel(job.job_id)
    at = launch(LIBRARY, library="music")
    assert "4 of 4 tracks kept in music. Nothing is left to do." in words(at)
    assert "Resume" not in [each.label for each in at.button]
    new = read_track(write_wav("newcomer", 3.0, 9))
    home.catalogue.add(new.audio.parent, [new], "music")
    at = launch(LIBRARY, library="music")
    button(at, "Resume").click().run()
    assert [each.kind for each in home.jobs.active()] == ["extract"]


@pytest.mark.parametrize("n_done", [3, 4])
def test_measuring_is_resumed_only_where_tracks_are_left(launch, home, library, n_done):
    job = home.jobs.submit("targets", {"library": "music", "then_probe": None})
    owner = new_owner()
    home.jobs.claim(owner)
    home.jobs.progress(job.job_id, owner, n_done=n_done, n_total=4, message=f"{n_done} of 4 tracks measured")
    home.jobs.finish(job.job_id, owner, "cancelled")
    at = launch(LIBRARY, library="music")
    assert "Measuring music was cancelled" in words(at) and f"It was at: {n_done} of 4 tracks measured." in words(at)
    assert ("Resume" in [each.label for each in at.button]) == (n_done < 4)


@pytest.mark.slow
def test_a_button_whose_work_is_asked_for_is_disabled_and_says_so(launch, home, library):
    at = launch(LIBRARY, library="music")
    at.radio(key="extractor").set_value(MEL.id).run()
    button(at, "Embed 4 tracks with Log-mel").click().run()
    assert button(at, "Embed the rest with Log-mel").disabled and "waits for its turn" in [c.value for c in at.caption]
    (job,) = home.jobs.active()
    home.jobs.claim(new_owner(), job_id=job.job_id)
    at.run()
    assert button(at, "Embed the rest with Log-mel").disabled and "is being done" in [c.value for c in at.caption]
    assert next(bar.proto.text for bar in at.get("progress")) == r"0 of 4 tracks embedded with Log\-mel"
    at.radio(key="extractor").set_value(NANO.id).run()
    assert "is being done" not in [c.value for c in at.caption]  # another encoder's work is other work


def test_discovery_is_asked_for_once(launch, home, library):
    at = launch("pages/2_Layers.py", library="music", encoder=NANO.id)
    button(at, "Run discovery").click().run()
    assert button(at, "Run discovery").disabled and "waits for its turn" in [c.value for c in at.caption]


def test_discovery_that_waits_for_its_measures_is_asked_for_already(launch, home, library):
    submit(home, TargetsRequest("music", encoder_id=NANO.id))
    at = launch("pages/2_Layers.py", library="music", encoder=NANO.id)
    assert button(at, "Run discovery").disabled
    assert not button(launch("pages/2_Layers.py", library="music", encoder=NANO.id, level="segment"),
                      "Run discovery").disabled  # fmt: skip


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("x" * 5000, "has at most 60 characters; this one has 5,000."),
        ("   ", "cannot be called '   '"),
        ("\u200b", "cannot be called"),
        ("all", "cannot be called 'all'"),
    ],
)
def test_a_library_name_that_is_none_is_refused_at_the_form(launch, home, write_wav, name, sentence):
    at = launch(LIBRARY)
    at.text_input[0].set_value(str(write_wav("a").parent))
    at.text_input[1].set_value(name)
    at.button(key="FormSubmitter:add-folder-Add").click().run()
    assert sentence in words(at) and home.jobs.active() == []


@pytest.mark.parametrize("name", ["../x/y", "x" * 60, "Études"])
def test_a_library_may_be_called_nearly_anything(launch, home, write_wav, name):
    at = launch(LIBRARY)
    at.text_input[0].set_value(str(write_wav("a").parent))
    at.text_input[1].set_value(name)
    at.button(key="FormSubmitter:add-folder-Add").click().run()
    assert [job.arguments["library"] for job in home.jobs.active()] == [name]


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("https://example.com/a.mp3", "https://example.com/a.mp3 is a web address; MESS reads files on this machine."),
        ("ftp://example.com", "ftp://example.com is a web address"),
        ("/" + "x" * 5000, "cannot be read"),
        ("/" + "x/" * 2000, "…"),
    ],
)
def test_a_path_that_is_none_gets_a_short_sentence(launch, home, path, sentence):
    at = launch(LIBRARY)
    at.text_input[0].set_value(path)
    at.button(key="FormSubmitter:add-folder-Add").click().run()
    (said,) = [line.value for line in at.text if sentence in line.value]
    assert len(said) < 300 and home.jobs.active() == []


def test_a_filter_without_a_hit_is_one_sentence(launch, home, library):
    at = launch(LIBRARY, library="music")
    at.text_input(key="filter").set_value("nobody").run()
    assert "No track has these words" in words(at) and "0 tracks" not in words(at)


def test_the_time_left_is_that_of_lately(launch, home, library, monkeypatch):
    """Half of it took a moment, the other half does not: the page follows, and never faster than time passes."""
    job = home.jobs.submit("map", {"library": "music", "encoder": NANO.id})
    owner, began = new_owner(), time.time()
    home.jobs.claim(owner)
    told = []
    for after_s in range(5, 200, 5):
        home.jobs.progress(job.job_id, owner, n_done=500 + after_s, n_total=1000, message="layer 3")
        monkeypatch.setattr("mess_core.storage.jobs.time.time", lambda now=began + after_s: now)
        told.append(home.jobs.left_s(home.jobs.get(job.job_id)))
    assert all(after - before <= 5.001 for before, after in pairwise(told))
    assert told[0] == pytest.approx(4.9, abs=0.2) and told[-1] == pytest.approx(305, rel=0.4)
    assert "left" in "".join(line.value for line in launch().text)
