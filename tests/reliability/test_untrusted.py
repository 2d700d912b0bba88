"""Hostile files at every way in: each is one sentence, in bounded time and memory, and stops nothing else.

A damaged kept document never stops a page, `check` or `doctor`: it is named, and repairing takes it away.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import streamlit as st
from safetensors.numpy import load, save
from streamlit.testing.v1 import AppTest

from mess_core.cli.doctor import examine
from mess_core.encoders.mel import MEL
from mess_core.errors import ArtefactMismatchError, MessError
from mess_core.handover import folders
from mess_core.handover.folders import MANIFEST
from mess_core.handover.incoming import import_library
from mess_core.handover.outgoing import export_library
from mess_core.handover.vectors import import_vectors
from mess_core.storage.files import seal, unseal
from mess_core.upkeep.check import check
from mess_core.workspace.scope import Scope
from mess_core.workspace.workspace import Workspace
from tests.reliability.conftest import KINDS, Everything

ROOT = Path(__file__).parent.parent.parent
PAGES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "pages").glob("[0-9]_*.py"))

DOCUMENTS = [
    kind
    for kind in KINDS
    if kind not in ("embedding", "packed", "packed hash", "directions", "raw", "upload")
    and not kind.endswith(" arrays")
    and not kind.startswith("demo")
] + ["demo table"]


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def link(path: Path, to: Path | str) -> None:
    path.unlink()
    path.symlink_to(to)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "inside").touch()


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**41)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "deep": lambda path: path.write_bytes(b'{"format": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "many": lambda path: path.write_bytes(b'{"format": [' + b"{}," * 2_500_000 + b"{}]}"),
    "digits": lambda path: path.write_bytes(b'{"format": ' + b"9" * 6000 + b"}"),
    "infinite": lambda path: path.write_bytes(b'{"format": Infinity}'),
    "half a character": lambda path: path.write_bytes(b'{"format": "\\ud800"}'),
    "a pipe": pipe,
    "endless": lambda path: link(path, "/dev/zero"),
    "a loop": lambda path: link(path, path),
    "a folder": folder,
    "2 TB": sparse,
}


@pytest.mark.parametrize("kind", DOCUMENTS)
@pytest.mark.parametrize("damage", DAMAGE)
def test_check_names_it_doctor_goes_on_and_repair_takes_it_away(everything: Everything, kind: str, damage: str) -> None:
    home, path = everything.home, everything.files(kind)[0]
    DAMAGE[damage](path)
    (problem,) = check(home)
    assert path.stem[:16] in problem.what and problem.cure and problem.what.isprintable()
    assert all(finding.state.isprintable() for finding in examine(home))
    assert len(check(home, repair=True)) == 1
    assert check(home) == []


def changed(document: dict, way: tuple, value: object) -> dict:
    at = document
    for step in way[:-1]:
        at = at[step]
    at[way[-1]] = value
    return document


WRONG = [
    ("discovery", ("result",), 7),
    ("discovery", ("result", "cells"), {"a": 1}),
    ("discovery", ("result", "cells", 0, "r2"), "high"),
    ("discovery", ("result", "cells", 0, "layer"), 10**30),
    ("discovery", ("result", "settings", "alphas"), [["x"]]),
    ("discovery", ("result", "targets", 0, "folds"), [10**30]),
    ("discovery", ("aspects",), [1]),
    ("discovery", ("aspects", "brightness"), None),
    ("discovery", ("aspects", "brightness", "layers"), ["0"]),
    ("discovery", ("aspects", "brightness", "label"), {}),
    ("discovery", ("n_tracks",), "many"),
    ("discovery", ("group",), ["work"]),
    ("discovery", ("extra",), 1),
    ("faithfulness", ("result",), []),
    ("faithfulness", ("result", "rows"), {"direction": {"tempo": 5}}),
    ("similarity", ("result", "figures"), [{}]),
    ("similarity", ("result", "n_tracks"), None),
    ("imported encoder", ("encoder", "hop_s"), -1.0),
    ("imported encoder", ("encoder", "n_layers"), 10**12),
    ("imported encoder", ("encoder", "files"), 5),
    ("weights", ("folders",), {"mert-95m": 5}),
    ("weights", ("hashed",), {"x": {"state": "ab", "sha256": "0" * 64}}),
    ("weights", ("recorded",), [1]),
]


@pytest.mark.parametrize(("kind", "way", "value"), WRONG, ids=lambda part: str(part)[:40])
def test_a_right_seal_does_not_make_it_right(everything: Everything, kind: str, way: tuple, value: object) -> None:
    home, path = everything.home, everything.files(kind)[0]
    path.write_bytes(seal(changed(unseal(path.read_bytes(), path.name), way, value)))
    (problem,) = check(home)
    assert path.stem[:16] in problem.what and problem.what.isprintable()
    examine(home)
    Scope(home, "music", MEL).discovery_for_search()
    check(home, repair=True)
    assert check(home) == []


@pytest.mark.usefixtures("scanned_once")
@pytest.mark.parametrize("kind", ["discovery", "similarity", "taste", "map", "imported encoder", "weights", "recall"])
def test_every_page_opens(everything: Everything, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in everything.files(kind):
        DAMAGE["deep"](path)
    monkeypatch.setenv("MESS_HOME", str(everything.home.paths.root))
    st.cache_resource.clear()
    st.cache_data.clear()
    at = AppTest.from_file(str(ROOT / "home.py"), default_timeout=60)
    at.query_params["library"] = "music"
    assert not at.run().exception
    for page in PAGES:
        assert not at.switch_page(page).run().exception, (page, at.exception)
    st.cache_resource.clear()


# --- imports ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def exported(bright_library: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("exported")
    shutil.copytree(bright_library, made / "home")
    export_library(Workspace(made / "home"), "music", made / "export")
    return made / "export"


@pytest.fixture
def copy(exported: Path, tmp_path: Path) -> Path:
    shutil.copytree(exported, tmp_path / "export")
    return tmp_path / "export"


def list_again(folder: Path, name: str) -> None:
    """A manifest that is right about a file that is not."""
    document = unseal((folder / MANIFEST).read_bytes(), MANIFEST)
    listed = vars(folders._listed(folder, folder / name))
    document["files"] = [listed if file["path"] == name else file for file in document["files"]]
    (folder / MANIFEST).write_bytes(seal(document))


def refused(home: Workspace, folder: Path) -> str:
    with pytest.raises(MessError) as caught:
        import_library(home, folder)
    assert isinstance(caught.value, ArtefactMismatchError) and caught.value.message.isprintable()
    return caught.value.message


@pytest.mark.parametrize("damage", [*DAMAGE, "size Infinity", "size of a true", "a size that is negative", "no object"])
def test_a_manifest_that_harms_is_refused(copy: Path, home: Workspace, damage: str) -> None:
    path = copy / MANIFEST
    if damage in DAMAGE:
        DAMAGE[damage](path)
    else:
        document = unseal(path.read_bytes(), MANIFEST)
        document["files"][0]["size_bytes"] = {"size of a true": True, "a size that is negative": -1}.get(damage, 7)
        document = [1] if damage == "no object" else document
        text = json.dumps(document).replace('"size_bytes": 7', '"size_bytes": Infinity')
        path.write_text(text) if damage in ("size Infinity", "no object") else path.write_bytes(seal(document))
    refused(home, copy)
    assert home.catalogue.tracks("all") == [] or not home.catalogue.tracks("all")


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("tracks", "codec", ""),
        ("tracks", "codec", "\x1b[31m"),
        ("tracks", "sample_rate_hz", -1),
        ("tracks", "sample_rate_hz", 10**12),
        ("tracks", "n_channels", 0),
        ("tracks", "n_channels", 2**62),
        ("tracks", "duration_s", float("nan")),
        ("tracks", "duration_s", 1e30),
        ("tracks", "loudness_lufs", float("-inf")),
        ("tracks", "loudness_lufs", 1e9),
        ("tracks", "track_id", "../../../../x"),
        ("tracks", "sha256", "0" * 64),
        ("tracks", "samples_sha256", "no"),
        ("targets", "value", float("inf")),
        ("targets", "value", float("nan")),
        ("targets", "value", 1e300),
        ("targets", "n_events", -1),
        ("segment_targets", "value", float("-inf")),
        ("segment_targets", "segment", -5),
        ("tracks", "title", "a" * 1_000_000),
    ],
)
def test_values_that_cannot_be_are_refused(copy: Path, home: Workspace, table: str, column: str, value: object) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    name = f"{table}.parquet"
    whole = pq.read_table(copy / name)
    place = whole.schema.get_field_index(column)
    cells = pa.array([value, *whole.column(column).to_pylist()[1:]], whole.schema.field(column).type)
    pq.write_table(whole.set_column(place, whole.schema.field(column), cells), copy / name)
    list_again(copy, name)
    assert table in refused(home, copy)


def test_names_come_in_as_one_line_of_text(copy: Path, home: Workspace) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    whole = pq.read_table(copy / "tracks.parquet")
    place = whole.schema.get_field_index("title")
    titles = pa.array(["a\x1b[31m\nb", "", *whole.column("title").to_pylist()[2:]])
    pq.write_table(whole.set_column(place, whole.schema.field("title"), titles), copy / "tracks.parquet")
    list_again(copy, "tracks.parquet")
    import_library(home, copy)
    shown = {track.title for track in home.catalogue.tracks("music")}
    assert "a [31m b" in shown and all(title.isprintable() and title for title in shown)


CUT = {
    "starts -1e30": lambda parts: parts | {"starts_s": parts["starts_s"] * 0 - np.float32(1e30)},
    "starts run back": lambda parts: parts | {"starts_s": parts["starts_s"][::-1].copy()},
    "means 3e38": lambda parts: parts | {"mean": parts["mean"] * 0 + np.float32(3e38)},
    "NaN": lambda parts: parts | {"mean": parts["mean"] * np.float32("nan")},
    "spread below nothing": lambda parts: parts | {"frame_std": parts["frame_std"] * 0 - np.float32(1)},
    "a part more": lambda parts: parts | {"more": np.zeros(3, np.float32)},
    "a part less": lambda parts: {name: part for name, part in parts.items() if name != "mean"},
    "another shape": lambda parts: parts | {"mean": parts["mean"].ravel()},
    "another kind": lambda parts: parts | {"mean": parts["mean"].astype(np.float64)},
    "no segments": lambda parts: parts | {"segments": parts["segments"][:0], "starts_s": parts["starts_s"][:0]},
}


@pytest.mark.parametrize("damage", [*CUT, "BF16", "deep header", "huge shape"])
def test_embeddings_that_cannot_be_are_refused(copy: Path, home: Workspace, damage: str) -> None:
    path = sorted(copy.glob("embeddings/*/*/*.safetensors"))[0]
    data = path.read_bytes()
    if damage in CUT:
        path.write_bytes(save(CUT[damage](load(data))))
    elif damage == "BF16":
        path.write_bytes(data.replace(b'"F32"', b'"B16"', 1))
    else:
        header = b'{"mean": ' + b"[" * 5000 + b"]" * 5000 + b"}"
        if damage == "huge shape":
            entry = {"dtype": "F32", "shape": [10**9, 10**9], "data_offsets": [0, 4 * 10**18]}
            header = json.dumps({"mean": entry}).encode()
        path.write_bytes(len(header).to_bytes(8, "little") + header)
    list_again(copy, path.relative_to(copy).as_posix())
    assert path.stem in refused(home, copy)


@pytest.mark.parametrize("damage", ["a pipe", "endless", "a loop", "a folder", "2 TB"])
@pytest.mark.parametrize("which", ["vectors.npy", "names.txt"])
def test_vectors_that_are_no_file_are_refused(tmp_path: Path, home: Workspace, damage: str, which: str) -> None:
    np.save(tmp_path / "vectors.npy", np.zeros((1, 3), np.float32))
    (tmp_path / "names.txt").write_text("a\n")
    DAMAGE[damage](tmp_path / which)
    with pytest.raises(MessError) as caught:
        import_vectors(home, "theirs", tmp_path / "vectors.npy", tmp_path / "names.txt")
    assert which in caught.value.message and caught.value.message.isprintable()


def test_the_command_line_stays_small_and_quick(tmp_path: Path, exported: Path) -> None:
    """`check`, `doctor` and `import` over the worst of it, in a process that may have 3 GB and a minute."""
    root = tmp_path / "home"
    Workspace(root).database.set_setting(
        "demo", "removed"
    )  # files beside no catalogue are refused before they are read
    (root / "probing" / "x").mkdir(parents=True)
    DAMAGE["many"](root / "probing" / "x" / "music-work-track.json")
    os.mkfifo(root / "probing" / "x" / "music-work-segment.json")
    (root / "weights.json").symlink_to("/dev/zero")
    shutil.copytree(exported, tmp_path / "export")
    (tmp_path / "export" / MANIFEST).unlink()
    (tmp_path / "export" / MANIFEST).symlink_to("/dev/zero")
    limit = "import resource; resource.setrlimit(resource.RLIMIT_DATA, (3 << 30, 3 << 30)); "
    run = "import sys; from mess_core.cli.main import main; sys.exit(main(sys.argv[1:]))"
    for verb, code in ((["doctor"], (0, 1)), (["check"], (1,)), (["import", str(tmp_path / "export")], (1, 2))):
        done = subprocess.run(
            [sys.executable, "-c", limit + run, "--home", str(root), *verb],
            cwd=ROOT, capture_output=True, text=True, timeout=100,
        )  # fmt: skip
        assert done.returncode in code and "Traceback" not in done.stderr, (verb, done.stdout, done.stderr)
