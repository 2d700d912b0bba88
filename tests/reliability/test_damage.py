"""Damage of any kept file is found, the file is named, and repairing leaves a folder that is whole and usable."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mess_core.cli.doctor import examine
from mess_core.embeddings.store import PACKED_KEEP_S, TMP_KEEP_S
from mess_core.encoders.mel import MEL
from mess_core.errors import ArtefactMismatchError
from mess_core.evaluation.kept import load_evaluation
from mess_core.maps.drawing import load_view
from mess_core.storage.files import seal, unseal
from mess_core.upkeep.check import check
from mess_core.upkeep.sweep import sweep
from mess_core.workspace.scope import Scope
from tests.reliability.conftest import KINDS, SETTINGS, Everything

N_FLIPS = 12  # per kind here; 2000 random bits of sealed documents below


def damages(data: bytes, seed: int) -> Iterator[bytes]:
    """Single bits, every cut at a sixteenth, zeros at the end, one byte more."""
    rng = np.random.default_rng(seed)
    for position in rng.integers(0, 8 * len(data), N_FLIPS):
        flipped = bytearray(data)
        flipped[position // 8] ^= 1 << position % 8
        yield bytes(flipped)
    yield from (data[: len(data) * part // 16] for part in range(16))
    yield from (data[:-n] + bytes(n) for n in (len(data) // 8 + 1, len(data)))
    yield data + b"\0"


@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_found_named_and_repaired(everything: Everything, kind: str) -> None:
    """One problem, with the name in it and a cure; after repairing there is none, and nothing else was lost."""
    home = everything.home
    assert check(home) == []
    path = everything.files(kind)[0]
    others = {other for other in home.paths.root.rglob("*") if other.is_file() and path.stem[:16] not in other.name}
    # Of a pair of document and arrays the document goes with the arrays.
    goes_along = set(everything.files("discovery"))
    for document in ("metric", "sessions"):
        goes_along |= set(everything.files(document) if document in kind else ())
    data = path.read_bytes()
    for wrong in damages(data, sorted(KINDS).index(kind)):
        if wrong == data:
            continue  # what was zero already
        path.write_bytes(wrong)
        (problem,) = check(home)
        assert path.stem[:16] in problem.what and problem.cure, problem
    assert len(check(home, repair=True)) == 1
    assert check(home) == []
    lost = {other for other in others if not other.exists()}
    assert lost <= goes_along | {path}


@pytest.mark.parametrize("kind", ["directions", "map arrays", "metric arrays", "sessions arrays"])
def test_half_of_a_pair_is_named(everything: Everything, kind: str) -> None:
    path = everything.files(kind)[0]
    path.unlink()
    (problem,) = check(everything.home, repair=True)
    assert path.name in problem.what and "gone" in problem.what
    assert check(everything.home) == []


def test_an_upload_that_is_gone_is_named(everything: Everything) -> None:
    home = everything.home
    (path,) = everything.files("upload")
    path.unlink()
    (problem,) = check(home, repair=True)
    assert problem.kind == "upload" and path.name in problem.what
    assert check(home) == [] and home.catalogue.find_sha256(path.stem) is None


def test_what_is_damaged_is_not_used_and_is_made_again(everything: Everything) -> None:
    """The pages' own readers refuse it too, without any check before."""
    home = everything.home
    assert load_view(Scope(home, "music", MEL), 0, SETTINGS) is not None
    assert load_view(Scope(home, "music", MEL), 0, SETTINGS).stability is not None
    for kind in KINDS:
        for path in everything.files(kind):
            data = bytearray(path.read_bytes())
            data[len(data) // 2] ^= 1
            path.write_bytes(data)
    assert load_view(Scope(home, "music", MEL), 0, SETTINGS) is None
    assert Scope(home, "music", MEL).discovery_for_search() is None
    assert load_evaluation(Scope(home, "music", MEL), "faithfulness") is None
    with pytest.raises(ArtefactMismatchError, match="is damaged"):
        home.store.load(home.catalogue.track_ids("music"), MEL)
    n_files = sum(len(everything.files(kind)) for kind in KINDS if kind != "packed hash")
    n_pairs = sum(
        len(everything.files(kind)) for kind in ("directions", "map arrays", "metric arrays", "sessions arrays")
    )
    n_demo = sum(len(everything.files(f"demo {kind}")) for kind in ("audio", "MIDI", "score"))  # told by their table
    assert len(check(home, repair=True)) == n_files - n_pairs - n_demo
    assert check(home) == [] and sweep(home) is None


def test_two_thousand_flipped_bits_of_a_document_are_all_found() -> None:
    document = {"format": "x-2", "number": 0.30000000000000004, "text": "Für 1e5 ∆", "list": [1, None, True, 1e-5]}
    for indent in (None, 1):
        data = seal(document, indent)
        assert unseal(data, "a") == document
        for position in range(8 * len(data)):
            flipped = bytearray(data)
            flipped[position // 8] ^= 1 << position % 8
            with pytest.raises(ArtefactMismatchError, match="a is damaged"):
                unseal(bytes(flipped), "a", unsealed=("x-1", "x-2"[:-1] + "3"))


def test_a_file_that_may_not_be_read_is_named_and_kept(everything: Everything, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fails, or missing rights, are no reason to forget what may be whole."""
    home = everything.home
    paths = [everything.files(kind)[0] for kind in ("embedding", "discovery", "map")]
    real = os.open

    def opened(path: Path, *how: int, **more: int) -> int:
        if path in paths:
            raise OSError(5, "Input/output error")
        return real(path, *how, **more)

    monkeypatch.setattr(os, "open", opened)
    problems = check(home, repair=True)
    assert len(problems) == 3 and all("Input/output error" in problem.what for problem in problems)
    monkeypatch.undo()
    assert check(home) == [] and all(path.exists() for path in paths)


def test_a_row_that_points_to_nothing_is_named(everything: Everything) -> None:
    home = everything.home
    home.database.connection.execute("PRAGMA foreign_keys = OFF")
    home.database.connection.execute("DELETE FROM tracks WHERE track_id = ?", (home.catalogue.track_ids("music")[0],))
    problems = check(home)
    assert problems and {problem.kind for problem in problems} == {"catalogue"}
    assert "backup" in problems[0].cure


def test_the_sweep_takes_leftovers_of_the_dead_and_nothing_else(everything: Everything) -> None:
    """Temporary files, directions and arrays that nothing names, once they are old; what is young may be in use."""
    home = everything.home
    (probing,) = (home.paths.root / "probing").iterdir()
    drawn = everything.files("map")[0].parent
    leftovers = [
        home.paths.root / "weights.json.abc.tmp",
        probing / "music-work-track.json.abc.tmp",
        probing / "music-work-track.0123456789abcdef.safetensors",
        drawn / "layer-09.safetensors",
        drawn / "layer-09.stability",
        drawn / "layer-09.json.abc.tmp",
        home.paths.cache / "raw" / "x.safetensors.tmp",
        home.paths.cache / "packed" / "0.sha256",
        everything.files("embedding")[0].with_suffix(".abc.tmp"),
        home.paths.uploads / "abc.tmp",
        home.paths.demo / "a.wav.abc.tmp",
    ]
    whole = {path for path in home.paths.root.rglob("*") if path.is_file()}
    for path in leftovers:
        path.write_bytes(seal({"overlap": 0.5}))
    sweep(home)
    assert all(path.exists() for path in leftovers)
    assert check(home) == []  # nothing that is in the way
    long_ago = time.time() - TMP_KEEP_S - 60
    assert TMP_KEEP_S + 60 < PACKED_KEEP_S
    for path in home.paths.root.rglob("*"):
        if path.is_file():
            os.utime(path, (long_ago, long_ago))
    sweep(home)
    assert not any(path.exists() for path in leftovers)
    assert {path for path in home.paths.root.rglob("*") if path.is_file()} >= whole - {
        path for path in whole if path.name.startswith("mess.sqlite")
    }
    assert check(home) == []


def test_directions_are_not_swept_while_a_result_cannot_be_read(everything: Everything) -> None:
    """Which of them are named is not known then."""
    arrays = everything.files("directions")
    for path in arrays:
        os.utime(path, (0, 0))
    (discovery,) = everything.files("discovery")
    discovery.write_bytes(discovery.read_bytes()[:-1])
    sweep(everything.home)
    assert arrays and all(path.exists() for path in arrays)


def test_doctor_tells_of_the_last_check_failed_jobs_and_older_files(everything: Everything) -> None:
    home = everything.home

    def findings() -> dict[str, tuple[str, bool]]:
        return {finding.subject: (finding.state, finding.is_ok) for finding in examine(home)}

    assert "last check" in findings() and "failed jobs" not in findings() and "older files" not in findings()
    check(home)
    assert findings()["last check"][0].endswith("nothing wrong") and findings()["last check"][1]
    (path,) = everything.files("discovery")
    path.write_bytes(b"{")
    check(home)
    assert findings()["last check"] == (findings()["last check"][0], False)
    assert "1 problem" in findings()["last check"][0]
    check(home, repair=True)
    assert findings()["last check"][1]
    job = home.jobs.submit("extract", {"library": "music", "encoder": "nosuch"})
    assert home.jobs.claim("here/1/x", job_id=job.job_id) is not None
    home.jobs.finish(job.job_id, "here/1/x", "failed", "There is no encoder.", "Choose another.")
    assert "extract: There is no encoder." in findings()["failed jobs"][0] and not findings()["failed jobs"][1]
    job = home.jobs.submit("extract", {"library": "music", "encoder": "nosuch"})
    assert home.jobs.claim("here/1/x", job_id=job.job_id) is not None
    home.jobs.finish(job.job_id, "here/1/x", "done")
    assert "failed jobs" not in findings()  # it was done since
    with home.database.transaction() as connection:
        connection.execute("INSERT INTO encoders (fingerprint, encoder, facts) VALUES ('old', 'mel', '{}')")
        connection.execute(
            "INSERT INTO embeddings SELECT track_id, 'old', path, sha256, size_bytes, n_segments, created_at"
            " FROM embeddings LIMIT 3"
        )
    state, is_ok = findings()["older files"]
    assert "3 embeddings" in state and is_ok
