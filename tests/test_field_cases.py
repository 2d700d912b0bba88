"""Odd files and folders from the field: what is expected of every row of the manifest, on the command line.

Each folder of `field-cases` is worked on once, by the verbs a person would use; then each of its files is held to what
the manifest expects of it. A row that no check here answers for fails.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mess_core.audio.decode import Decoder
from mess_core.catalogue.catalogue import Track
from mess_core.cli.main import main
from mess_core.encoders.mel import MEL
from mess_core.encoders.nano import NANO
from mess_core.targets.notes import read_notes
from mess_core.workspace.scope import Scope
from mess_core.workspace.workspace import Workspace
from tests.conftest import SHARED

CASES = SHARED / "field-cases"
MANIFEST = CASES / "manifest.csv"
ROWS = list(csv.DictReader(MANIFEST.read_text("utf-8").splitlines())) if MANIFEST.is_file() else []
FOLDERS = sorted({row["file"].split("/", 1)[0] for row in ROWS})

if not ROWS:
    pytest.skip("the field cases are not here (shared/data/field-cases)", allow_module_level=True)


@dataclass
class Case:
    """One folder of the field cases, copied, with a data folder of its own."""

    folder: Path
    home: Path
    capsys: pytest.CaptureFixture[str]
    said: list[str] = field(default_factory=list)
    notes: dict[str, Any] = field(default_factory=dict)

    def run(self, *arguments: object) -> int:
        """A verb; what it prints is kept."""
        code = main(["--home", str(self.home), *map(str, arguments)])
        printed = self.capsys.readouterr()
        self.said += [printed.out, printed.err]
        return code

    def ask(self, *arguments: object) -> dict:
        """A verb's JSON document."""
        self.run(*arguments, "--json")
        document: dict = json.loads(self.said[-2])
        return document

    def add_and_extract(self, encoder: str = MEL.id) -> None:
        self.run("add", self.folder, "--library", "case")
        self.run("extract", "--library", "case", "--encoder", encoder)

    def open(self) -> Workspace:
        return Workspace(self.home)

    def tracks(self) -> dict[str, Track]:
        """By path below the folder."""
        home = self.open()
        found = {}
        for track in home.catalogue.tracks("case"):
            for path in home.catalogue.file_paths(track.track_id):
                found[path.relative_to(self.folder).as_posix()] = track
        return found

    def nearest(self, query: str, encoder: str, k: int = 1, *options: object) -> list[dict]:
        arguments = ("similar", self.folder / query, "--library", "case", "--encoder", encoder, "-k", k, *options)
        results: list[dict] = self.ask(*arguments)["results"]
        return results

    @property
    def all_said(self) -> str:
        return "\n".join(self.said)


@pytest.fixture(scope="module")
def cases() -> dict[str, Case]:
    return {}


@pytest.fixture
def case_of(cases, tmp_path_factory, capsys) -> Callable[[str], Case]:
    """The case of a folder, worked on once for all of its files."""

    def get(folder: str) -> Case:
        if folder not in cases:
            root = tmp_path_factory.mktemp(folder[:3])
            shutil.copytree(CASES / folder, root / folder)
            for path in (root / folder).rglob("*"):
                path.chmod(0o700 if path.is_dir() else 0o600)
            case = Case(root / folder, root / "home", capsys)
            PREPARE[folder[:3]](case)
            cases[folder] = case
        cases[folder].capsys = capsys
        return cases[folder]

    return get


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["file"])
def test_row(row: dict[str, str], case_of: Callable[[str], Case]) -> None:
    folder, file = row["file"].encode().decode("unicode_escape").encode("latin-1").decode("utf-8").split("/", 1)
    case = case_of(folder)
    assert "defect in MESS" not in case.all_said and "Traceback" not in case.all_said
    CHECK[folder[:3]](case, file)


def test_every_folder_is_held() -> None:
    assert {folder[:3] for folder in FOLDERS} == set(CHECK) == set(PREPARE)
    on_disk = {path.relative_to(CASES).as_posix() for path in CASES.rglob("*") if path.is_file()} - {"manifest.csv"}
    named = {row["file"].encode().decode("unicode_escape").encode("latin-1").decode("utf-8") for row in ROWS}
    assert on_disk == named


# --- MIDI -------------------------------------------------------------------------------------------------------


def prepare_bad_midi(case: Case) -> None:
    case.run("add", case.folder, "--library", "case")
    case.notes["targets"] = case.run("targets", "--library", "case")
    alone = case.folder.parent / "alone"
    alone.mkdir()
    for path in case.folder.glob("*.mid"):
        shutil.copy(path, alone)
    case.run("add", alone, "--render", "--library", "alone")
    case.notes["rendered"] = case.said[-2] + case.said[-1]


def check_bad_midi(case: Case, file: str) -> None:
    home, track = case.open(), case.tracks()[str(Path(file).with_suffix(".wav"))]
    measured = home.measurements.of_track(track.track_id)
    if file.endswith(".wav"):
        assert measured["spectral_centroid"].value > 0
    rendered = str(case.notes["rendered"])
    n_named = sum(f"{path.name}:" in rendered for path in case.folder.glob("*.mid"))
    assert f"{4 - n_named} of 4 files registered" in rendered  # played, or named in a sentence
    if file.startswith("zz_good"):
        assert measured["velocity_mean"].value > 0 and "zz_good.mid:" not in rendered


def check_notes(case: Case, file: str) -> None:
    notes = read_notes(case.folder / file)
    ends_s = notes.release_s
    if file == "tempo_on_track2.mid":
        assert ends_s.max() == pytest.approx(4.0, abs=0.02)
    elif file == "never_off.mid":
        assert len(ends_s) == 40 and np.ptp(ends_s) < 0.01  # the end of the track
    else:
        assert len(ends_s) > 0 and ends_s.max() < 11 * 60


# --- what a file is -------------------------------------------------------------------------------------------


def prepare_retag(case: Case) -> None:
    music = case.folder / "before"
    case.run("add", music, "--library", "case")
    case.run("extract", "--library", "case", "--encoder", MEL.id)
    home = case.open()
    old = next(track for track in home.catalogue.tracks("case") if track.title.startswith("one"))
    home.catalogue.edit(old.track_id, performer="edited by hand")
    home.opinions.judge(old.track_id, "like")
    case.notes["old"] = old.track_id
    case.notes["vectors"] = home.store.read(old.track_id, MEL).mean
    shutil.copy(case.folder / "after" / "one.wav", music / "one.wav")
    case.run("add", music, "--library", "case")
    case.notes["missing"] = len(Scope(home, "case", MEL).missing_tracks)


def check_retag(case: Case, file: str) -> None:
    home, tracks = case.open(), case.tracks()
    assert sorted(tracks) == ["before/one.wav", "before/two.wav"] and len(home.catalogue.tracks("case")) == 2
    new = tracks["before/one.wav"]
    assert new.track_id != case.notes["old"] and new.performer == "edited by hand"
    assert home.opinions.verdicts() == {new.track_id: "like"}
    assert case.notes["missing"] == 0 and np.array_equal(home.store.read(new.track_id, MEL).mean, case.notes["vectors"])


def check_silence(case: Case, file: str) -> None:
    if "silence" in file:
        (first,) = case.nearest(file, NANO.id)
        assert Path(first["path"]).name == "song.flac" and first["similarity"] > 0.95
    assert file in case.tracks()


def prepare_silence(case: Case) -> None:
    padded = [path for path in case.folder.iterdir() if "silence" in path.name]
    aside = case.folder.parent / "aside"
    aside.mkdir()
    for path in padded:  # queries, not answers
        path.rename(aside / path.name)
    case.add_and_extract(NANO.id)
    for path in aside.iterdir():
        path.rename(case.folder / path.name)
    case.notes["before"] = set(case.tracks())
    case.nearest("song_then_60s_silence.flac", NANO.id)
    case.run("add", case.folder, "--library", "everything")
    original = case.tracks
    case.tracks = lambda: original() | dict.fromkeys(path.name for path in padded)  # type: ignore[method-assign]


def check_phase(case: Case, file: str) -> None:
    assert "is silent" not in case.all_said
    track = case.tracks()[file]
    home = case.open()
    embedded = home.store.has(track.track_id, MEL)
    assert embedded or "cancel" in case.all_said
    assert not embedded or track.downmix == "energy"


def prepare_quiet(case: Case) -> None:
    case.add_and_extract(NANO.id)


def check_quiet(case: Case, file: str) -> None:
    (first,) = case.nearest(file, NANO.id)
    other = {"peak_m60dBFS_24bit.wav": "same_loud.wav", "same_loud.wav": "peak_m60dBFS_24bit.wav"}[file]
    assert Path(first["path"]).name == other and "is silent" not in case.all_said


def check_read(case: Case, file: str) -> None:
    """Registered and embedded, or refused by a sentence that names it."""
    assert case.open().store.has(case.tracks()[file].track_id, MEL)


def seconds_of(path: Path) -> float:
    decoder = Decoder(path, 24_000)
    return sum(len(block) for block in decoder) / 24_000


def check_middle(case: Case, file: str) -> None:
    assert seconds_of(case.folder / file) > 3.9
    check_read(case, file)


def check_chained(case: Case, file: str) -> None:
    assert seconds_of(case.folder / file) == pytest.approx(7.0, abs=0.05)
    check_read(case, file)


def check_wav(case: Case, file: str) -> None:
    track = case.tracks()[file]
    assert not track.is_truncated and "breaks off" not in case.all_said
    whole = (case.folder / file).stat().st_size
    assert track.duration_s == pytest.approx(seconds_of(case.folder / file), abs=0.01) and whole > 1000
    check_read(case, file)


def check_oneshot(case: Case, file: str) -> None:
    home, track = case.open(), case.tracks()[file]
    assert home.store.has(track.track_id, MEL) and track.duration_s == pytest.approx(0.4, abs=0.05)
    assert np.isfinite(home.store.read(track.track_id, MEL).mean).all()


# --- tables, tags, names ------------------------------------------------------------------------------------------


def check_table(case: Case, file: str) -> None:
    """What the table says of its files is what the catalogue says."""
    below = Path(file).parts[0]
    listed = read_table(case.folder / below / "mess.csv")
    assert listed and listed.items() <= case.notes[below].items()


def read_table(path: Path) -> dict[str, str]:
    """Path -> title, read another way than MESS does."""
    data = path.read_bytes()
    text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8")
    head, *lines = [line for line in text.splitlines() if line.strip()]
    separator = max("\t;|,", key=head.count)
    names = [name.strip().lower() for name in head.split(separator)]
    rows = [dict(zip(names, line.split(separator), strict=True)) for line in lines]
    return {row["audio"].replace("\\", "/"): row["title"] for row in rows}


def prepare_tables(case: Case) -> None:
    home = case.open()
    for folder in sorted(path for path in case.folder.iterdir() if path.is_dir()):
        case.run("add", folder, "--library", folder.name)
        case.notes[folder.name] = {
            path.relative_to(folder).as_posix(): track.title
            for track in home.catalogue.tracks(folder.name)
            for path in home.catalogue.file_paths(track.track_id)
            if path.is_relative_to(folder)
        }


EXPECTED_TAGS = {
    "unsync.mp3": {"title": "AB"},
    "albumartist_only.mp3": {"performer": "Album Orchestra"},
    "work_movement.flac": {"work": "Suite in G", "performer": "Perf Y"},
}
MOJIBAKE = ("Ã", "â€", "\ufffd", "ƒ", "‚", "\x83", "\x82")


def check_tags(case: Case, file: str) -> None:
    track = case.tracks()[file]
    for name, value in EXPECTED_TAGS.get(file, {}).items():
        assert getattr(track, name) == value
    words = [value for value in vars(track).values() if isinstance(value, str)]
    assert not [word for word in words for sign in MOJIBAKE if sign in word]
    assert all(word.isprintable() for word in words) and track.title


def check_name(case: Case, file: str) -> None:
    assert file in case.tracks()
    assert not any(sign in case.notes["printed"] for sign in ("\x1b", "\r"))
    lines = [line for line in case.notes["printed"].splitlines() if line.strip()]
    assert len(lines) <= 2 + len(case.tracks())  # a head and one line per result


def prepare_names(case: Case) -> None:
    (case.folder / "broken \x1b[31m.wav").write_bytes(b"RIFF no audio")
    case.add_and_extract()
    assert "\x1b" not in case.all_said
    (case.folder / "broken \x1b[31m.wav").unlink()
    case.run("similar", case.folder / "plain.wav", "--library", "case", "--encoder", MEL.id)
    case.notes["printed"] = case.said[-2]


def check_hidden(case: Case, file: str) -> None:
    assert set(case.tracks()) == {"song.wav"}
    assert "deleted" not in case.all_said and "._song" not in case.all_said and "@eaDir" not in case.all_said


def check_album(case: Case, file: str) -> None:
    results = case.nearest("Box/CD1/01.flac", MEL.id, 10, "--max-per-album", 1)
    assert file in case.tracks() and len(results) == 1


COPIES = {"other_leadin.flac", "lossy.mp3"}


def check_copy(case: Case, file: str) -> None:
    """Of the query's copies `exclude` shows none, `collapse` one, and `keep` all."""
    shown = case.notes["shown"]
    assert file == "master.flac" or file not in shown["exclude"]
    assert len(shown["collapse"]) == 1 and shown["keep"] == COPIES


def prepare_copies(case: Case) -> None:
    others = CASES / "k03_silence"
    for path in others.glob("other*.flac"):
        shutil.copy(path, case.folder)
    case.add_and_extract(NANO.id)
    case.notes["shown"] = {
        rule: COPIES
        & {Path(each["path"]).name for each in case.nearest("master.flac", NANO.id, 10, "--duplicates", rule)}
        for rule in ("exclude", "collapse", "keep")
    }


def check_transposed(case: Case, file: str) -> None:
    """Near the top of a library, or the documents say that a semitone undoes it."""
    card = (Path(__file__).parents[1] / "docs" / "nano.md").read_text("utf-8")
    first = case.nearest(file, NANO.id, 1)
    assert Path(first[0]["path"]).name == "master.flac" or "semitone" in card


def prepare_transposed(case: Case) -> None:
    shutil.copy(CASES / "k18_copies" / "master.flac", case.folder)
    for path in (CASES / "k03_silence").glob("other*.flac"):
        shutil.copy(path, case.folder)
    case.add_and_extract(NANO.id)


PREPARE: dict[str, Callable[[Case], None]] = {
    "k01": prepare_bad_midi,
    "k02": prepare_retag,
    "k03": prepare_silence,
    "k05": prepare_quiet,
    "k07": prepare_tables,
    "k13": lambda case: None,
    "k14": prepare_names,
    "k18": prepare_copies,
    "k19": prepare_transposed,
    **dict.fromkeys(("k04", "k06", "k08", "k09", "k10", "k11", "k12", "k15", "k16", "k17"), Case.add_and_extract),
}
CHECK: dict[str, Callable[[Case, str], None]] = {
    "k01": check_bad_midi,
    "k02": check_retag,
    "k03": check_silence,
    "k04": check_phase,
    "k05": check_quiet,
    "k06": check_read,
    "k07": check_table,
    "k08": check_read,
    "k09": check_middle,
    "k10": check_chained,
    "k11": check_tags,
    "k12": check_wav,
    "k13": check_notes,
    "k14": check_name,
    "k15": check_hidden,
    "k16": check_album,
    "k17": check_oneshot,
    "k18": check_copy,
    "k19": check_transposed,
}
