"""Something is removed while it is embedded, measured, registered or copied: nothing is left of it, nothing breaks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from mess_core.collections.opening import read_track
from mess_core.embeddings.store import EmbeddingStore
from mess_core.encoders.mel import MEL
from mess_core.errors import UnknownTrackError
from mess_core.storage.jobs import new_owner
from mess_core.upkeep.check import check
from mess_core.work.add import AddRequest
from mess_core.work.doing import do
from mess_core.work.extract import EncodeRequest, ExtractRequest
from mess_core.work.request import submit
from mess_core.work.targets import TargetsRequest
from mess_core.work.task import Cancelled, Task
from mess_core.workspace.scan import scan
from mess_core.workspace.workspace import Workspace
from tests.conftest import work
from tests.reliability.faults import an_embedding


@pytest.fixture
def library(home: Workspace, write_wav: Callable[..., Path]) -> Workspace:
    new = [read_track(write_wav(f"t{seed}", 3.0, seed)) for seed in range(4)]
    home.catalogue.add(new[0].audio.parent, new, "music")
    return home


def is_clean(home: Workspace, n_embedded: int) -> bool:
    files = [path for path in home.paths.embeddings.rglob("*") if path.is_file()]
    return check(home) == [] and len(files) == n_embedded == len(home.store.known(MEL))


def test_what_comes_late_is_refused_and_leaves_nothing(library: Workspace) -> None:
    """Embedding, targets, score times, library: each says that it is gone."""
    home = library
    gone, other = home.catalogue.track_ids("music")[:2]
    home.store.write(other, MEL, an_embedding(0))
    files = home.measurements.files(gone)
    home.forget_tracks([gone])
    from mess_core.targets.base import TargetValue
    from mess_core.targets.measurements import Measured

    measured = Measured(gone, {"tempo": TargetValue.none("x")}, [{"tempo": TargetValue.none("x")}])
    for act in (
        lambda: home.store.write(gone, MEL, an_embedding(0)),
        lambda: home.measurements.write(files, measured, lambda connection: None),
        lambda: home.keep_upload(gone, "music"),
    ):
        with pytest.raises(UnknownTrackError, match="removed meanwhile"):
            act()
    assert is_clean(home, 1)


@pytest.mark.parametrize("removes", ["library", "track"])
def test_removed_while_it_is_embedded(library: Workspace, monkeypatch: pytest.MonkeyPatch, removes: str) -> None:
    """At the very moment before its row is written; the job ends, and says nothing of defects."""
    home = library
    ids = home.catalogue.track_ids("music")
    other = Workspace(home.paths.root)
    real = EmbeddingStore.write
    done: list[str] = []

    def write(store, track_id, *facts) -> None:
        if not done:
            other.remove_library("music") if removes == "library" else other.forget_tracks(ids)
        done.append(track_id)
        real(store, track_id, *facts)

    monkeypatch.setattr(EmbeddingStore, "write", write)
    submit(home, ExtractRequest("music", MEL.id))
    work(home)
    job = home.jobs.latest("extract")
    assert done and job.state in ("done", "cancelled") and "defect" not in job.message
    assert removes == "library" or "4 were removed meanwhile" in job.message
    assert is_clean(home, 0) and home.jobs.failures(job.job_id) == []


def test_removed_while_it_is_measured(library: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    home = library
    gone = home.catalogue.track_ids("music")[0]
    real = home.measurements.missing

    def missing(track_ids, *others_see):
        todo = real(track_ids, *others_see)
        Workspace(home.paths.root).forget_tracks([gone])
        return todo

    monkeypatch.setattr(home.measurements, "missing", missing)
    submit(home, TargetsRequest("music"))
    work(home)
    job = home.jobs.latest("targets")
    assert (job.state, job.message) == ("done", "3 of 4 tracks measured. 1 was removed meanwhile.")
    assert check(home) == []


def test_removed_while_it_waits_to_be_heard(library: Workspace) -> None:
    """What nobody has begun is cancelled; what has begun ends so."""
    home = library
    first, second = home.catalogue.track_ids("music")[:2]
    job = submit(home, EncodeRequest(first, MEL.id))
    home.forget_tracks([first])
    assert home.jobs.get(job.job_id).state == "cancelled"
    job = submit(home, EncodeRequest(second, MEL.id))
    owner = new_owner()
    claimed = home.jobs.claim(owner)
    home.forget_tracks([second])
    assert do(Task(home, claimed, owner)).state == "cancelled"
    assert is_clean(home, 0)


def test_a_library_that_is_removed_while_it_is_registered_does_not_come_back(
    library: Workspace, write_wav: Callable[..., Path]
) -> None:
    """Its job may have one more commit in hand."""
    home = library
    folder = write_wav("t9", 3.0, 9).parent
    submit(home, AddRequest(folder, "more"))
    owner = new_owner()
    task = Task(home, home.jobs.claim(owner), owner)
    home.catalogue.add_to_library("more", home.catalogue.track_ids("music")[:1])
    home.remove_library("more")
    with pytest.raises(Cancelled):
        scan(home, folder, "more", guard=task.guard_unless_cancelled)
    assert [each.name for each in home.catalogue.libraries()] == ["music"]


def test_tracks_removed_while_all_are_read_are_left_out(library: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    home = library
    ids = home.catalogue.track_ids("music")
    for track_id in ids:
        home.store.write(track_id, MEL, an_embedding(0))
    other = Workspace(home.paths.root)
    real = home.store.read

    def read(track_id, info):
        if other.store.has(ids[2], MEL):
            other.forget_tracks([ids[2]])
        return real(track_id, info)

    monkeypatch.setattr(home.store, "read", read)
    assert home.store.load(ids, MEL).track_ids == (ids[0], ids[1], ids[3])


def test_a_true_extractor_and_a_true_removal(library: Workspace, write_wav: Callable[..., Path]) -> None:
    """In two threads, as a page and the worker are."""
    home = library
    new = [read_track(write_wav(f"u{seed}", 3.0, 20 + seed)) for seed in range(20)]
    home.catalogue.add(new[0].audio.parent, new, "music")
    submit(home, ExtractRequest("music", MEL.id))
    thread = threading.Thread(target=work, args=(Workspace(home.paths.root),))
    thread.start()
    for track_id in home.catalogue.track_ids("music")[:-1]:
        home.forget_tracks([track_id])
    thread.join()
    job = home.jobs.latest("extract")
    assert job.state == "done" and "defect" not in job.message and home.jobs.failures(job.job_id) == []
    assert is_clean(home, 1)
