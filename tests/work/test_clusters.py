"""Where embeddings and targets were computed leaves no trace: what is made of them is the same, byte for byte."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from mess_core.collections.opening import read_track
from mess_core.encoders.mel import MEL
from mess_core.storage import provenance
from mess_core.work import targets as work_of_targets
from mess_core.work.extract import ExtractRequest
from mess_core.work.map import MapRequest
from mess_core.work.probe import ProbeRequest
from mess_core.work.request import submit
from mess_core.work.targets import TargetsRequest
from mess_core.workspace.workspace import Workspace
from tests.conftest import work, write_recording
from tests.machines import FakeRay, Node, connect
from tests.planted import work_here

N = 12
CLOCK = datetime(2000, 1, 1, tzinfo=UTC)  # at which all is computed


def library(folder: Path) -> Workspace:
    """Recordings of ten works, differing in pitch, loudness and length."""
    new = []
    for number in range(N):
        path = write_recording(folder / "music" / f"t{number}.wav", 5 + number % 3, number, 0.05 + 0.02 * number)
        track = read_track(path)
        new.append(replace(track, track=replace(track.track, work=f"work {number % 10}")))
    home = Workspace(folder / "home")
    home.catalogue.add(folder / "music", new, "music")
    return home


def made_of(home: Workspace) -> dict[str, bytes]:
    """What probing and drawing have written, by its place in the data folder."""
    submit(home, ProbeRequest("music", MEL.id))
    submit(home, MapRequest("music", MEL.id))
    work(home)
    assert {home.jobs.latest(kind).state for kind in ("probe", "map")} == {"done"}
    folders = {"probing", "map"}
    return {
        str(path.relative_to(home.paths.root)): path.read_bytes()
        for path in home.paths.root.rglob("*")
        if path.is_file() and folders & set(path.relative_to(home.paths.root).parts)
    }


@pytest.mark.slow
def test_discoveries_and_maps_are_the_same_from_a_cluster_and_from_here(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "datetime", SimpleNamespace(now=lambda zone: CLOCK))
    monkeypatch.setattr(work_of_targets, "work_through", work_here)
    here = library(tmp_path)
    there = Workspace(shutil.copytree(here.paths.root, tmp_path / "there"))
    machines = FakeRay([Node("a", 64), Node("b", 64)])
    connect(machines, monkeypatch)
    for home, cluster in {here: "", there: "local"}.items():
        n_workers = 2 if cluster else 0
        submit(home, ExtractRequest("music", MEL.id, cluster=cluster, n_workers=n_workers))
        submit(home, TargetsRequest("music", cluster=cluster, n_workers=n_workers))
        work(home)
    assert len({track_id for asked in machines.asked for track_id in asked}) == N and len(machines.begun) == 4
    found, expected = made_of(there), made_of(here)
    assert {Path(name).suffix for name in expected} >= {".json", ".safetensors"}
    assert found.keys() == expected.keys()
    assert [name for name in expected if found[name] != expected[name]] == []
