"""All work in a line: what is ready, in hand and next, and one time of which is said what it is of."""

from __future__ import annotations

import time

import pytest

from mess_core.encoders.hearings import LIKE_THIS
from mess_core.encoders.mel import MEL
from mess_core.encoders.nano import NANO
from mess_core.encoders.registry import encoder_info
from mess_core.storage.jobs import new_owner
from mess_core.work.demo import DemoRequest
from mess_core.work.extract import EncodeRequest, ExtractRequest
from mess_core.work.kinds import what_will_follow
from mess_core.work.map import MapRequest
from mess_core.work.outlook import outlook
from mess_core.work.probe import ProbeRequest
from mess_core.work.request import submit
from mess_core.work.targets import TargetsRequest
from mess_core.workspace.scope import count_segments
from tests.planted import a_track, layered, plant_embeddings, plant_tracks


@pytest.fixture
def ids(home) -> list[str]:
    """Forty tracks of twenty works, nothing embedded."""
    return plant_tracks(home, [a_track(n, work=f"work {n // 2}", composer="C") for n in range(40)], "music")


def begin(home, request, n_done: int = 0, n_total: int = 0):
    """A request that is worked on and this far."""
    job, owner = submit(home, request), new_owner()
    home.jobs.claim(owner, job_id=job.job_id)
    home.jobs.progress(job.job_id, owner, n_done=n_done, n_total=n_total, message="")
    return job.job_id, owner


def told(home):
    return outlook(home, home.jobs.active())


def test_without_work_nothing_is_said(home):
    assert told(home) is None


def test_what_follows_by_itself_is_next(home, ids):
    """Also before anything of it was asked for; measuring is a step on the way to the layers."""
    begin(home, ExtractRequest("music", NANO.id, goes_on=True), 40, 100)
    assert told(home).line == "music: embedding 40 % · layers next" and told(home).share == 0.4
    assert [each.kind for each in what_will_follow(home, ExtractRequest("music", NANO.id, goes_on=True))] == ["targets"]


def test_what_will_not_follow_is_not_promised(home):
    """Three tracks are not discovered, and nothing follows what was asked for by itself."""
    plant_tracks(home, [a_track(n, work=f"work {n}") for n in range(3)], "few")
    begin(home, ExtractRequest("few", NANO.id, goes_on=True), 1, 3)
    assert told(home).line == "few: embedding 33 %"
    assert what_will_follow(home, ExtractRequest("few", NANO.id, goes_on=True)) == []


@pytest.mark.slow
def test_a_library_that_can_be_listened_to_is_called_ready(home, ids):
    plant_embeddings(home, NANO, layered(ids, NANO))
    begin(home, TargetsRequest("music", NANO.id), 1, 4)
    assert told(home).line == "music ready · measuring 25 % · layers next"
    for job in home.jobs.active():
        home.jobs.finish(job.job_id, *_end(home, job))
    begin(home, ProbeRequest("music", NANO.id, goes_on=True), 2, 5)
    assert told(home).line == "music ready · layers 40 % · map next"


def _end(home, job) -> tuple[str, str]:
    owner = home.database.connection.execute("SELECT owner FROM jobs WHERE job_id = ?", (job.job_id,)).fetchone()[0]
    return owner, "done"


def test_the_demo_leads_to_its_embedding(home):
    begin(home, DemoRequest(NANO.id), 30, 120)
    assert told(home).line == "making the demo 25 % · embedding next"


def test_another_library_is_named(home, ids):
    plant_tracks(home, [a_track(99)], "two")
    begin(home, ExtractRequest("music", NANO.id), 1, 2)
    submit(home, MapRequest("two", NANO.id))
    assert told(home).line == "music: embedding 50 % · map of two next"


def test_what_waits_is_said_to_wait(home, ids):
    submit(home, ExtractRequest("music", LIKE_THIS))
    assert told(home).line == "waiting for its turn: music: embedding for “Like this”" and told(home).share is None
    assert told(home).left_s is None


def test_a_query_that_goes_between_does_not_take_the_line(home, ids):
    begin(home, ExtractRequest("music", NANO.id), 1, 2)
    begin(home, EncodeRequest(ids[0], MEL.id))
    assert told(home).line == "music: embedding 50 %"


def test_a_job_of_a_newer_mess_is_named_by_its_kind(home):
    home.jobs.submit("dream", {})
    assert told(home).line == "waiting for its turn: dream"


def test_one_time_is_of_all_that_is_to_come_where_that_is_known(home, ids):
    """Two embeddings by their speeds; with a map that was never drawn, of what is in hand; once drawn, of all again."""
    home.store.set_speed(NANO, 2.0)
    home.store.set_speed(MEL, 3.0)
    begin(home, ExtractRequest("music", NANO.id), 10, 40)
    assert (told(home).left_s, told(home).is_all) == (pytest.approx(60.0), True)
    submit(home, ExtractRequest("music", MEL.id))
    n_segments = ExtractRequest("music", MEL.id).expected_s(home) / 3.0
    assert n_segments >= 40
    assert (told(home).left_s, told(home).is_all) == (pytest.approx(60.0 + 3.0 * n_segments), True)
    drawn = MapRequest("music", NANO.id)
    waits = submit(home, drawn)
    assert (told(home).left_s, told(home).is_all) == (pytest.approx(60.0), False)
    home.jobs.cancel(waits.job_id)
    job_id, owner = begin(home, drawn)
    with home.database.transaction() as connection:
        connection.execute("UPDATE jobs SET started_at = started_at - 50 WHERE job_id = ?", (job_id,))
    home.jobs.finish(job_id, owner, "done")
    submit(home, drawn)
    assert told(home).is_all and told(home).left_s == pytest.approx(60.0 + 3.0 * n_segments + 50.0, abs=1.0)


def test_the_time_left_of_a_discovery_never_grows(home, ids, monkeypatch):
    """Its steps are unlike: the first time nobody says how long, then it counts down from what it took last."""
    began = time.time()
    first, owner = begin(home, ProbeRequest("music", NANO.id), 10, 1000)
    for after_s in (5, 50, 500):
        home.jobs.progress(first, owner, n_done=100 + after_s, n_total=1000, message="")
        monkeypatch.setattr("mess_core.work.request.time.time", lambda now=began + after_s: now)
        assert told(home).left_s is None
    with home.database.transaction() as connection:
        connection.execute("UPDATE jobs SET started_at = ? WHERE job_id = ?", (began, first))
    home.jobs.finish(first, owner, "done")
    with home.database.transaction() as connection:
        connection.execute("UPDATE jobs SET finished_at = ? WHERE job_id = ?", (began + 100, first))
    again, owner = begin(home, ProbeRequest("music", NANO.id), 10, 1000)
    with home.database.transaction() as connection:
        connection.execute("UPDATE jobs SET started_at = ? WHERE job_id = ?", (began, again))
    said = []
    for after_s, n_done in ((1, 900), (20, 901), (40, 902), (90, 903), (120, 904)):
        home.jobs.progress(again, owner, n_done=n_done, n_total=1000, message="")
        monkeypatch.setattr("mess_core.work.request.time.time", lambda now=began + after_s: now)
        said.append(told(home).left_s)
    assert said == [pytest.approx(99), pytest.approx(80), pytest.approx(60), pytest.approx(10), None]


def test_the_time_left_of_a_hearing_goes_by_what_is_missing(home, ids):
    """A part that all have heard is a step that takes no time: what is left of the others counts, or nobody knows."""
    music, sound = encoder_info("musicnn-mtt", home.paths), encoder_info("musicnn-msd", home.paths)
    plant_embeddings(home, NANO, layered(ids, NANO))
    begin(home, ExtractRequest("music", LIKE_THIS), 1000, 3000)
    assert told(home).left_s is None
    home.store.set_speed(NANO, 100.0)
    home.store.set_speed(music, 2.0)
    home.store.set_speed(sound, 3.0)
    n_segments = {info.id: 40 * count_segments(6.0, info) for info in (music, sound)}
    assert told(home).left_s == pytest.approx(2.0 * n_segments[music.id] + 3.0 * n_segments[sound.id])
