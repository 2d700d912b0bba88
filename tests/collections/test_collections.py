"""Collections: what names and tables say arrives, what cannot be used is refused, nothing leads out of a folder."""

from __future__ import annotations

import contextlib
import csv
import itertools
import json
import pickle
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from mess_core.collections.asap import ASAP, performer_of
from mess_core.collections.collection import below, tidy
from mess_core.collections.folder import FOLDER
from mess_core.collections.maestro import MAESTRO
from mess_core.collections.manifest import MANIFEST
from mess_core.collections.opening import TAGS, open_recording, read_track
from mess_core.collections.percepiano import PERCEPIANO, read_ratings
from mess_core.collections.playlist import read_playlist
from mess_core.collections.published import COLLECTIONS, collection, detect
from mess_core.collections.smd import SMD
from mess_core.collections.table import read_table
from mess_core.collections.tags import _reader, read_tags
from mess_core.collections.vienna4x22 import VIENNA
from mess_core.errors import InputError
from tests.conftest import SHARED
from tests.contracts import COLLECTION_LAWS, name_of, names_a_bad_row_and_goes_on

MAESTRO_HEADER = "canonical_composer,canonical_title,split,year,midi_filename,audio_filename,duration"
ASAP_HEADER = (
    "composer,title,folder,xml_score,midi_score,midi_performance,performance_annotations,midi_score_annotations,"
    "maestro_midi_performance,maestro_audio_performance,start,end,audio_performance"
)


def plant(root: Path, *names: str, text: str = "") -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")


def plant_maestro(root: Path, *stems: str) -> None:
    rows = [f"Franz Liszt,«La leggierezza»,train,2008,2008/{stem}.midi,2008/{stem}.wav,9.5" for stem in stems]
    plant(root, "maestro-v3.0.0.csv", text="\n".join([MAESTRO_HEADER, *rows]))
    plant(root, *(f"2008/{stem}.{suffix}" for stem in stems for suffix in ("midi", "wav")))


def plant_percepiano(root: Path, *stems: str) -> None:
    """Passages rated from 0 to .9, the first of them by three listeners."""
    plant(root, *(f"midi/{stem}.mid" for stem in stems))
    means = {stem: [place / 20 for place in range(19)] + [0] for stem in stems}
    plant(root, "label_mean_19.json", text=json.dumps(means))
    plant(root, "label_std_19.json", text=json.dumps({stem: [0.25] * 19 for stem in stems}))
    plant(root, "ratings.csv", text="user,filename,Question\n" + "\n".join(f"{n},{stems[0]}.wav,3" for n in range(3)))


def plant_asap(root: Path, *performances: tuple[str, str, str, list[float]], n_score: int = 4) -> None:
    """Performances as (folder/stem, recording of MAESTRO or nothing, start, times of beats)."""
    lines = [ASAP_HEADER]
    for place, source, start, beats in performances:
        folder = place.rpartition("/")[0]
        title = folder.partition("/")[2].replace("/", "_")
        named = [f"{{maestro}}/2008/{source}.{suffix}" if source else "" for suffix in ("midi", "wav")]
        score, annotations = f"{folder}/midi_score.mid", f"{folder}/midi_score_annotations.txt"
        lines.append(
            f"Bach,{title},{folder},x,{score},{place}.mid,{place}_annotations.txt,{annotations},{named[0]},{named[1]},"
            f"{start},,{place}.wav"
        )
        plant(root, score, f"{place}.mid")
        plant(root, annotations, text="\n".join(f"{i / 2}\t{i / 2}\tb" for i in range(n_score)))
        plant(root, f"{place}_annotations.txt", text="\n".join(f"{t}\t{t}\tb" for t in beats))
    plant(root, "metadata.csv", text="\n".join(lines))


# --- the interface ----------------------------------------------------------------------------------------


def test_a_path_may_not_lead_out(tmp_path):
    (tmp_path / "music").mkdir()
    assert below(tmp_path / "music", "a/b.wav") == tmp_path / "music" / "a" / "b.wav"
    for bad in ("../secret.wav", "/etc/passwd", "a/../../secret.wav"):
        with pytest.raises(InputError, match="leads out"):
            below(tmp_path / "music", bad)
    (tmp_path / "music" / "disk").symlink_to(tmp_path)  # another disk, where the user wants it
    assert below(tmp_path / "music", "disk/a.wav") == tmp_path / "music" / "disk" / "a.wav"
    with pytest.raises(InputError, match="no path"):
        below(tmp_path / "music", "a\0.wav")


def test_names_are_tidied():
    """Control and direction characters go, length is bounded, nothing is None."""
    assert tidy(" a\n\tb\x00\u202ec ") == "a b c"
    assert tidy("é" * 10_000) == "é" * 300
    assert tidy("") is tidy(None) is tidy("\x01") is None


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_tables_in_three_dialects(tmp_path, separator):
    path = tmp_path / "a.csv"
    path.write_text(f'\ufeffaudio{separator}title\r\nx.wav{separator}"a, b; c"\r\n', "utf-8")
    assert read_table(path) == {2: {"audio": "x.wav", "title": "a, b; c"}}


def test_a_row_keeps_its_number_after_an_empty_one(tmp_path):
    (tmp_path / "a.csv").write_text("audio,title\n\n,,\nx.wav,T,too much\n", "utf-8")
    assert read_table(tmp_path / "a.csv") == {4: {"audio": "x.wav", "title": "T", "column 3": "too much"}}


def test_a_table_that_is_none(tmp_path):
    (tmp_path / "a.csv").write_bytes(bytes(range(128, 256)) * 8)
    with pytest.raises(InputError, match="encoding that cannot be told"):
        read_table(tmp_path / "a.csv")
    (tmp_path / "a.csv").write_text("audio\n" + "x" * 200_000, "utf-8")
    with pytest.raises(InputError, match="as a table"):
        read_table(tmp_path / "a.csv")


def test_registry(tmp_path):
    assert list(COLLECTIONS) == ["smd", "maestro", "asap", "vienna4x22", "percepiano", "manifest", "folder"]
    assert collection("asap") is ASAP
    with pytest.raises(InputError, match="smd, maestro"):
        collection("spotify")
    assert detect(tmp_path) is FOLDER
    with pytest.raises(InputError, match="not a folder"):
        detect(tmp_path / "nowhere")


# --- the laws of all --------------------------------------------------------------------------------------


def plant_one(root: Path, kind: str) -> None:
    """One recording, and where there is a table a row that is refused."""
    if kind == "smd":
        plant(root, "wav/Beethoven_Op027No1-02_003_20090916-SMD.wav", "midi/Beethoven_Op027No1-02_003_20090916-SMD.mid")
    elif kind == "maestro":
        plant_maestro(root, "a", "b")
        table = root / "maestro-v3.0.0.csv"
        table.write_text(table.read_text("utf-8").replace("2008/b.wav", "../b.wav"), "utf-8")
    elif kind == "asap":
        plant_asap(root, *((f"Bach/Fugue/bwv_846/{who}", "", "", [1.0, 1.4, 2.0, 2.5]) for who in ("Shi05", "Ko06")))
        (root / "Bach" / "Fugue" / "bwv_846" / "Ko06.mid").unlink()
    elif kind == "vienna4x22":
        plant(root, "match/Chopin_op38_p01.match", "match/Chopin_op38_p02.match", text=MATCH)
        plant(root, "midi/Chopin_op38_p01.mid")
    elif kind == "percepiano":
        plant_percepiano(root, "Schubert_D960_mv3_8bars_11_8")
        plant(root, "midi/Schubert.mid")
    else:
        plant(root, "a.wav", "a.mid")
        if kind == "manifest":
            plant(root, "mess.csv", text="audio,title,mood\na.wav,Nocturne,sad\n../b.wav,Waltz,gay\n")


@pytest.mark.parametrize(
    ("kind", "law"),
    [
        *itertools.product(COLLECTIONS, COLLECTION_LAWS),
        *itertools.product(("maestro", "asap", "vienna4x22", "percepiano", "manifest"), [names_a_bad_row_and_goes_on]),
    ],
    ids=lambda value: value if isinstance(value, str) else name_of(value),
)
def test_laws(tmp_path, kind, law):
    (tmp_path / "music").mkdir()
    plant_one(tmp_path / "music", kind)
    law(COLLECTIONS[kind], tmp_path / "music")


# --- SMD --------------------------------------------------------------------------------------------------


def test_smd(tmp_path):
    """Work, part, pianist and date from the name; the best audio; the synthesised folder is no recording."""
    dante = "Liszt_AnnesDePelerinage-LectureDante_002_20090916-SMD"
    plant(tmp_path, "wav_22050_mono/Beethoven_Op027No1-02_003_20090916-SMD.wav")
    plant(tmp_path, "wav_44100_stereo/Beethoven_Op027No1-02_003_20090916-smd.wav")
    plant(tmp_path, f"midi_wav_22050_mono/{dante}.wav", f"midi/{dante}.mid", "midi/notes.mid")
    plant(tmp_path, "midi/Beethoven_Op027No1-02_003_20090916-SMD.mid")
    assert detect(tmp_path) is SMD
    sonata, liszt = SMD.read(tmp_path).recordings
    assert sonata.audio.parent.name == "wav_44100_stereo" and sonata.midi.stem.endswith("SMD")
    assert sonata.work == "Beethoven: Op. 27 No. 1/2"
    assert (sonata.performer, sonata.session, sonata.instrument) == ("SMD pianist 003", "2009-09-16", "piano")
    assert liszt.audio is None and "Lecture" in liszt.work and "/" not in liszt.work


def test_smd_spellings(tmp_path):
    plant(tmp_path, "mp3/Rachmaninov_Op039No1_002_20090916-SMD.mp3", "mp3/Rachmaninoff_Op036-01_007_20110315-SMD.mp3")
    assert {recording.composer for recording in SMD.read(tmp_path).recordings} == {"Rachmaninoff"}


def test_the_whole_of_smd():
    """50 files are 50 works by 8 pianists and 11 composers."""
    folder = SHARED / "perf-midi" / "smd"
    if not folder.is_dir():
        pytest.skip("needs the MIDI of SMD")
    description = SMD.read(folder)
    recordings = description.recordings
    assert len(recordings) == len({recording.work for recording in recordings}) == 50 and not description.refused
    assert len({recording.performer for recording in recordings}) == 8
    assert len({recording.composer for recording in recordings}) == 11


# --- MAESTRO and ASAP -------------------------------------------------------------------------------------


def test_maestro(tmp_path):
    """Audio in another format counts; what is missing or leads out is refused by its row."""
    plant_maestro(tmp_path, "a", "b", "c", "d")
    (tmp_path / "2008" / "a.wav").rename(tmp_path / "2008" / "a.flac")
    (tmp_path / "2008" / "b.wav").unlink()
    for suffix in ("wav", "midi"):
        (tmp_path / "2008" / f"c.{suffix}").unlink()
    table = tmp_path / "maestro-v3.0.0.csv"
    table.write_text(table.read_text("utf-8").replace("2008/d.wav", "../d.wav"), "utf-8")
    assert detect(tmp_path) is MAESTRO
    description = MAESTRO.read(tmp_path)
    first, second = description.recordings
    assert first.audio.suffix == ".flac" and second.audio is None and second.midi.name == "b.midi"
    assert first.work == "Franz Liszt: «La leggierezza»" and (first.split, first.session) == ("train", "2008")
    assert first.performer is None
    assert [name for name, _ in description.refused] == ["row 4", "row 5"]


@pytest.mark.slow
def test_the_whole_of_maestro(tmp_path):
    table = SHARED / "maestro-meta" / "maestro-v3.0.0.csv"
    if not table.is_file():
        pytest.skip("needs the table of MAESTRO v3")
    (tmp_path / table.name).write_bytes(table.read_bytes())
    with table.open(encoding="utf-8", newline="") as file:
        names = [row["midi_filename"] for row in csv.DictReader(file)]
    plant(tmp_path, *names[:1000])
    description = MAESTRO.read(tmp_path)
    assert (len(description.recordings), len(description.refused)) == (1000, 276)


def test_asap_without_audio(tmp_path):
    """Beat i is beat i of the score; where the counts differ nothing is claimed."""
    plant_asap(
        tmp_path,
        ("Bach/Fugue/bwv_846/KOLESO06", "", "", [1.0, 1.4, 2.0, 2.5]),
        ("Bach/Fugue/bwv_846/Shi05", "", "", [1.0, 1.4, 2.0]),
    )
    (tmp_path / "Bach" / "Fugue" / "bwv_846" / "Shi05.mid").rename(tmp_path / "Shi05.mid")
    assert detect(tmp_path) is ASAP
    description = ASAP.read(tmp_path)
    (recording,) = description.recordings
    assert recording.audio is None and recording.score.name == "midi_score.mid"
    assert (recording.work, recording.performer) == ("Bach: Fugue bwv 846", "Koleso")
    (times,) = recording.score_times()
    assert times.score == "asap Bach/Fugue/bwv_846"
    assert times.beats.tolist() == [0, 1, 2, 3] and times.times_s.tolist() == [1.0, 1.4, 2.0, 2.5]
    assert description.refused[0][0] == "row 3"
    (tmp_path / "Shi05.mid").rename(tmp_path / "Bach" / "Fugue" / "bwv_846" / "Shi05.mid")
    assert ASAP.read(tmp_path).recordings[1].score_times() == ()


@pytest.mark.parametrize("place", ["maestro-v3.0.0", "../maestro"])
def test_two_performances_cut_from_one_recording(tmp_path, place):
    """They become one recording with two scores, each moved to where it begins; MIDI and split are MAESTRO's."""
    asap = tmp_path / "asap"
    plant_asap(
        asap,
        ("Bach/Fugue/bwv_846/Shi05M", "rec", "100.5", [1, 2, 3, 4]),
        ("Bach/Prelude/bwv_846/Shi04M", "rec", "", [1, 2, 3, 4]),
        ("Bach/Prelude/bwv_846/Ozaki01M", "other", "", [1, 2, 3, 4]),
        ("Bach/Prelude/bwv_846/Lee01M", "absent", "", [1, 2, 3, 4]),
    )
    plant_maestro((asap / place).resolve(), "rec", "other")
    description = ASAP.read(asap)
    both, ozaki, lee = description.recordings
    assert both.audio.name == "rec.wav" and both.midi.name == "rec.midi" and both.split == "train"
    assert both.score is None and both.performer == "Shi"
    assert both.work == "Bach: Prelude bwv 846 + Bach: Fugue bwv 846"
    prelude, fugue = both.score_times()
    assert prelude.times_s[0] == 1 and fugue.times_s[0] == 101.5 and fugue.score == "asap Bach/Fugue/bwv_846"
    assert ozaki.audio.name == "other.wav" and ozaki.score.name == "midi_score.mid"
    assert lee.audio is None and lee.midi.name == "Lee01M.mid"
    root = description.root or asap
    assert both.audio.resolve().is_relative_to(root) and lee.midi.is_relative_to(root)


def test_a_performance_that_was_cut_out_keeps_its_own_times(tmp_path):
    plant_asap(tmp_path / "asap", ("Bach/Fugue/bwv_846/Shi05M", "rec", "100.5", [1, 2, 3, 4]))
    plant_maestro(tmp_path / "maestro", "rec")
    plant(tmp_path / "asap", "Bach/Fugue/bwv_846/Shi05M.wav")
    (recording,) = ASAP.read(tmp_path / "asap").recordings
    assert recording.audio.name == "Shi05M.wav" and recording.midi.name == "Shi05M.mid"
    assert recording.score_times()[0].times_s[0] == 1


def test_performers_of_asap():
    stems = ["KOLESO06", "Shi05M", "FALIKS01_2004", "Richardson_2015_04M", "KIM_J02", "Na_2006_01", "FaB05M"]
    assert [performer_of(stem) for stem in stems] == [
        "Koleso", "Shi", "Faliks", "Richardson", "Kim J", "Na", "FaB",
    ]  # fmt: skip


def test_beats_of_the_real_asap():
    """In the pack every performance has as many beats as its score."""
    folder = SHARED / "perf-midi" / "asap" / "Bach" / "Fugue" / "bwv_848"
    if not folder.is_dir():
        pytest.skip("needs the ASAP pack")
    from mess_core.collections.asap import BeatFiles, score_times

    written = folder / "midi_score_annotations.txt"
    played = sorted(path for path in folder.glob("*_annotations.txt") if path != written)
    found = score_times(BeatFiles(path.stem, path, written) for path in played)
    assert len(found) == len(played) >= 3
    assert all(len(times.beats) == 217 for times in found)


# --- Vienna -----------------------------------------------------------------------------------------------

MATCH = """info(matchFileVersion,1.0.0).
info(midiClockUnits,480).
info(midiClockRate,500000).
scoreprop(keySignature,F,0:1,0,-1.0000).
snote(n1,[C,n],5,0:1,0,1/8,-1.0000,0.0000,[v1,staff1])-note(n0,72,480,600,45,0,0).
snote(n2,[E,b],4,1:1,0,1/4,0.0000,1.0000,[v1,staff1])-note(n1,63,990,1200,45,0,0).
snote(n3,[C,n],4,1:1,0,1/4,0.0000,1.0000,[v4,staff2])-note(n2,60,960,1200,45,0,0).
snote(n4,[C,n],4,1:1,0,1/4,0.5000,1.0000,[v4,staff2])-deletion.
snote(n5,[C,#],4,1:2,0,1/4,1.0000,2.0000,[v4,staff2,grace])-note(n3,61,1920,2000,45,0,0).
insertion-note(n9,60,5000,5100,30,5100,5100).
sustain(100,127).
"""


def test_vienna(tmp_path):
    """Of a chord the earliest note counts; what was not played or not written has no place."""
    plant(tmp_path, "match/Chopin_op38_p01.match", "match/Chopin_op38_p02.match", text=MATCH)
    plant(tmp_path, "midi/Chopin_op38_p01.mid", "midi/Chopin_op38_1st-3rd_p01.mid", "audio/x/Chopin_op38_p01.wav")
    assert detect(tmp_path) is VIENNA
    description = VIENNA.read(tmp_path)
    (recording,) = description.recordings
    assert recording.audio.name == "Chopin_op38_p01.wav" and recording.midi.parent.name == "midi"
    assert (recording.composer, recording.performer) == ("Chopin", "Pianist 01")
    (times,) = recording.score_times()
    assert times.score == "vienna4x22 Chopin_op38"
    assert times.beats.tolist() == [-1, 0, 1] and times.times_s.tolist() == [0.5, 1.0, 2.0]
    assert description.refused == [("Chopin_op38_p02.match", "There is neither audio nor MIDI of this name.")]


def test_a_damaged_match_file_claims_nothing(tmp_path):
    plant(tmp_path, "match/Chopin_op38_p01.match", text="snote(" + "[" * 100_000 + "\ninfo(midiClockUnits,0).")
    plant(tmp_path, "midi/Chopin_op38_p01.mid")
    started_s = time.process_time()
    assert VIENNA.read(tmp_path).recordings[0].score_times() == ()
    assert time.process_time() - started_s < 10  # of the processor's; going back and forth in it would take hours


def test_percepiano(tmp_path):
    """A passage is a work, whoever plays it; ratings are columns, with how much they differ and of how many people."""
    plant_percepiano(tmp_path, *(f"Schubert_D935_no.3_4bars_{player}_25" for player in ("1", "Score2")))
    (tmp_path / "midi" / "Schubert_D935_no.3_4bars_1_25.mid").rename(
        tmp_path / "midi" / " Schubert_D935_no.3_4bars_1_25.mid"
    )
    plant(tmp_path, "midi/Schubert_D935_no.3_4bars_2_25.mid", "midi/notes.mid", "midi/readme.txt")
    assert detect(tmp_path) is PERCEPIANO
    description = PERCEPIANO.read(tmp_path)
    one, score = description.recordings
    assert one.work == score.work == "Schubert D935 no.3, passage 25 (4 bars)"
    assert (one.performer, score.performer, one.composer) == ("Player 1", "Score2", "Schubert")
    assert one.audio is None and one.midi.name.startswith(" Schubert")
    assert one.details["timing stable-unstable"] == "0" and one.details["interpretation doubtful-convincing"] == "0.9"
    assert one.details["timing stable-unstable sd"] == "0.25" and one.details["timing stable-unstable raters"] == "3"
    assert len(one.details) == 3 * 19 and "timing stable-unstable raters" not in score.details
    assert [name for name, _ in description.refused] == ["Schubert_D935_no.3_4bars_2_25.mid", "notes.mid"]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"a": [1, 2]}', '{"a": "b"}', "\x00", '{"a": [' + "null," * 19 + "0]}"]
)
def test_percepiano_without_ratings_is_one_sentence(tmp_path, text):
    plant_percepiano(tmp_path, "Schubert_D960_mv3_8bars_11_8")
    (tmp_path / "label_mean_19.json").write_text(text, "utf-8")
    with pytest.raises(InputError, match=r"label_mean_19\.json"):
        PERCEPIANO.read(tmp_path)


def test_single_ratings_are_named_as_their_recordings(tmp_path):
    """By work and performer, as the collection gives them; what was not answered is NaN, the twentieth is left."""
    stem = "Schubert_D935_no.3_4bars_1_25"
    plant_percepiano(tmp_path, stem)
    questions = ",".join(f"Question_{n}" for n in range(20))
    rows = [",".join(map(str, range(19))) + ",", ",".join(["", *map(str, range(1, 19))]) + ","]
    table = "\n".join([f"user,filename,{questions}", *(f"7,{stem}.wav,{row}" for row in rows)])
    (tmp_path / "ratings.csv").write_text(table, "utf-8")
    names, ratings = read_ratings(tmp_path / "ratings.csv")
    (recording,) = PERCEPIANO.read(tmp_path).recordings
    assert names == 2 * [f"{recording.work}, {recording.performer}"]
    np.testing.assert_array_equal(ratings, [np.arange(19.0), [np.nan, *range(1, 19)]])
    (tmp_path / "ratings.csv").write_text("user,filename,Question_1\n7,a.wav,3\n", "utf-8")
    with pytest.raises(InputError, match="1 questions, expected 19"):
        read_ratings(tmp_path / "ratings.csv")


@pytest.mark.skipif(not (SHARED / "percepiano").exists(), reason="the shared data is not here")
def test_the_published_percepiano():
    description = PERCEPIANO.read(SHARED / "percepiano")
    assert len(description.recordings) == 830 and description.refused == []
    by_work = Counter(recording.work for recording in description.recordings)
    assert len(by_work) == 67 and min(by_work.values()) >= 4
    assert all(len(recording.details) == 3 * 19 for recording in description.recordings)


# --- a table of one's own ---------------------------------------------------------------------------------


@pytest.mark.parametrize("column", ["file", "path", "filename"])
def test_a_table_may_call_its_audio_otherwise(write_wav, column):
    folder = write_wav("a").parent
    (folder / "manifest.csv").write_text(f"{column},title,composer\na.wav,Nocturne,Chopin\n", "utf-8")
    assert detect(folder) is MANIFEST
    (recording,) = MANIFEST.read(folder).recordings
    assert (recording.audio, recording.title, recording.composer) == (folder / "a.wav", "Nocturne", "Chopin")


@pytest.mark.parametrize("name", ["mess.csv", "manifest.csv", "mess.parquet"])
def test_manifest(tmp_path, name):
    """Rows become recordings; a bad one is refused by its number and reason; other columns are details."""
    plant(tmp_path, "a.wav", "b.mid", "s.mid")
    rows = [
        {"audio": "a.wav", "work": "W", "performer": "P", "mood": "sad", "score": "s.mid"},
        {"midi": "b.mid", "title": "T", "mood": "sad"},
        {"audio": "../x.wav"},
        {"audio": "gone.wav"},
        {"title": "nothing"},
        {"audio": "./a.wav"},
    ]
    columns = ["audio", "midi", "score", "title", "work", "performer", "mood"]
    filled = [{column: row.get(column) for column in columns} for row in rows]
    if name.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(filled), tmp_path / name)
    else:
        with (tmp_path / name).open("w", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(filled)
    assert detect(tmp_path) is MANIFEST
    description = MANIFEST.read(tmp_path)
    first, second = description.recordings
    assert first.audio == tmp_path / "a.wav" and first.names == {"work": "W", "performer": "P"}
    assert first.score == tmp_path / "s.mid" and first.details == second.details == {"mood": "sad"}
    assert second.audio is None and second.names == {"title": "T"}
    number = 1 if name.endswith(".parquet") else 2
    named = ["../x.wav", "gone.wav", "", "./a.wav"]
    names = [f"row {number + i} ({file})".removesuffix(" ()") for i, file in enumerate(named, start=2)]
    assert [row for row, _ in description.refused] == names
    reasons = [reason for _, reason in description.refused]
    expected = ["leads out", "not there", "neither", "the same file"]
    assert all(part in reason for part, reason in zip(expected, reasons, strict=True))


def test_a_table_about_something_else_is_no_manifest(tmp_path):
    plant(tmp_path, "manifest.csv", text="name,role\na.wav,performance\n")
    plant(tmp_path, "mess.parquet", text="PAR1 not really")
    assert detect(tmp_path) is FOLDER
    with pytest.raises(InputError, match="no table"):
        MANIFEST.read(tmp_path)
    ((name, why),) = FOLDER.read(tmp_path).refused  # a table of the other name may be anybody's
    assert name == "mess.parquet" and "not used" in why


# --- a folder, and tags -----------------------------------------------------------------------------------


def write_tagged(path: Path, **tags: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with soundfile.SoundFile(path, "w", 24_000, 1) as file:
        for name, value in tags.items():
            setattr(file, name, value)
        file.write(np.random.default_rng(0).standard_normal(24_000) * 0.1)
    return path


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg"])
def test_tags_name_a_track(tmp_path, name):
    """The title of an upload goes before the tag, the tag before the file's name."""
    path = write_tagged(tmp_path / name, title="Für\x07 Elise", artist="Ada " * 200)
    track = read_track(path).track
    assert track.title == "Für Elise" and track.performer.startswith("Ada Ada") and len(track.performer) <= 300
    assert read_track(path, "mine").track.title == "mine"
    assert read_track(write_tagged(tmp_path / f"plain-{name}")).track.title == f"plain-{name[0]}"


def test_damaged_tags_never_stop_a_scan(tmp_path):
    """Any byte of the head may be anything: there are tags or none, and no error."""
    head = bytearray(write_tagged(tmp_path / "a.flac", title="T", artist="A").read_bytes())
    rng = np.random.default_rng(1)
    for suffix in (".flac", ".mp3", ".ogg", ".wav"):
        for _ in range(60):
            bad = bytearray(head)
            for place in rng.integers(0, 300, 8):
                bad[place] = rng.integers(256)
            (tmp_path / f"b{suffix}").write_bytes(bad)
            assert set(read_tags(tmp_path / f"b{suffix}")) <= {"title", *TAGS}


def test_of_many_values_of_one_tag_one_is_kept(tmp_path):
    """Two hundred thousand composers, each looked up among those before it, would take minutes."""
    values = (b"X=%d" % number for number in range(2000))
    entries = b"".join(len(value).to_bytes(4, "little") + value for value in [b"COMPOSER=Ann", *values])
    block = (0).to_bytes(4, "little") + (2001).to_bytes(4, "little") + entries
    (tmp_path / "a.flac").write_bytes(b"fLaC" + bytes([0x84]) + len(block).to_bytes(3, "big") + block)
    assert read_tags(tmp_path / "a.flac") == {"composer": "Ann"}
    assert _reader().get(tmp_path / "a.flac", duration=False).other == {}


def test_a_plain_folder(tmp_path, write_wav):
    write_wav("b")
    path = write_wav("a")
    path.with_suffix(".mid").touch()
    recordings = FOLDER.read(path.parent).recordings
    assert [recording.audio.name for recording in recordings] == ["a.wav", "b.wav"]
    new = open_recording(recordings[0], None)
    assert new.companions == {"midi": path.with_suffix(".mid")} and new.track.title == "a"


def test_opening_a_recording(tmp_path, write_wav):
    """The collection's names go before the tags; score times are read now; without audio there is nothing to open."""
    audio = write_wav("Shi05M", folder="asap")
    plant_asap(tmp_path / "asap", ("Bach/Fugue/bwv_846/Shi05M", "", "", [0.1, 0.2, 0.3, 0.5]))
    audio.rename(tmp_path / "asap" / "Bach" / "Fugue" / "bwv_846" / "Shi05M.wav")
    (recording,) = ASAP.read(tmp_path / "asap").recordings
    new = open_recording(recording, "asap")
    assert (new.track.title, new.track.performer, new.track.collection) == ("Bach: Fugue bwv 846", "Shi", "asap")
    assert set(new.companions) == {"midi", "score"} and new.score_times[0].beat_at(0.25) == pytest.approx(1.5)
    assert pickle.loads(pickle.dumps(recording)).score_times()[0].beats.tolist() == [0, 1, 2, 3]  # for other processes
    plant_asap(tmp_path / "bare", ("Bach/Fugue/bwv_846/Shi05M", "", "", [0.1, 0.2, 0.3, 0.5]))
    with pytest.raises(InputError, match="only MIDI"):
        open_recording(ASAP.read(tmp_path / "bare").recordings[0], "asap")


def test_everything_that_can_be_downloaded_is_described():
    for each in COLLECTIONS.values():
        for download in each.downloads:
            assert download.url.startswith("https://") and download.size_bytes > 0 and download.holds
            assert download.sha256 is None or len(download.sha256) == 64
            assert each.licence and each.homepage.startswith("https://")


# --- tables as people save them ---------------------------------------------------------------------------

SPELLINGS = {
    "capitals": "Audio,Title,Composer\nmusic/a.wav,First,Me\nmusic/Étude.wav,Second,Me\n",
    "spaces": " audio , title\n music/a.wav , First\nmusic/Étude.wav,Second\n",
    "sep": "sep=;\naudio;title\nmusic/a.wav;First\nmusic/Étude.wav;Second\n",
    "comments": "# mine\n\n# audio, as it lies\naudio,title\n# side 1\nmusic/a.wav,First\nmusic/Étude.wav,Second\n",
    "bars": "audio|title\nmusic/a.wav|First\nmusic/Étude.wav|Second\n",
    "tabs": "audio\ttitle\nmusic/a.wav\tFirst\nmusic/Étude.wav\tSecond\n",
    "backslashes": "audio,title\r\nmusic\\a.wav,First\r\n.\\music\\Étude.wav,Second\r\n",
    "line breaks": 'audio,notes,title\nmusic/a.wav,"one\ntwo",First\nmusic/Étude.wav,"a ""b""",Second\n',
    "decomposed": "audio,title\nmusic/a.wav,First\nmusic/E\u0301tude.wav,Second\n",
    "other case": "audio,title\nMusic/A.WAV,First\nMUSIC/étude.wav,Second\n",
    "odd quotes": 'audio,title\nmusic/a.wav,First\nmusic/Étude.wav,Second\n#,12" single\n',
    "file name": "Title,File Name\nFirst,music/a.wav\nSecond,./music/Étude.wav\n",
    "hash header": "#audio,title\nmusic/a.wav,First\nmusic/Étude.wav,Second\n",
    "quoted": '"audio";"title"\n"music/a.wav";"First"\n"music/Étude.wav";"Second"\n',
    "old mac": "audio,title\rmusic/a.wav,First\rmusic/Étude.wav,Second\r",
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "cp1252"])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_any_reasonable_spelling_of_a_table_is_read(tmp_path, spelling, encoding):
    if encoding == "cp1252" and spelling == "decomposed":
        pytest.skip("that encoding has no combining accents")
    plant(tmp_path, "music/a.wav", "music/Étude.wav")
    (tmp_path / "Mess.CSV").write_bytes(SPELLINGS[spelling].encode(encoding))
    assert detect(tmp_path) is MANIFEST
    description = MANIFEST.read(tmp_path)
    assert description.refused == []
    assert [(r.audio.name, r.title) for r in description.recordings] == [("a.wav", "First"), ("Étude.wav", "Second")]


def test_a_table_on_another_disk_and_in_this_folder(tmp_path):
    """A folder that is a link works; an absolute path is one of this folder or none."""
    plant(tmp_path / "disk", "a.wav"), plant(tmp_path / "m", "b.wav"), plant(tmp_path, "c.wav")
    (tmp_path / "m" / "linked").symlink_to(tmp_path / "disk")
    rows = ["audio", "linked/a.wav", str(tmp_path / "m" / "b.wav"), str(tmp_path / "c.wav"), "linked/../../c.wav"]
    (tmp_path / "m" / "mess.csv").write_text("\n".join(rows), "utf-8")
    description = MANIFEST.read(tmp_path / "m")
    assert [r.audio for r in description.recordings] == [tmp_path / "m" / "linked" / "a.wav", tmp_path / "m" / "b.wav"]
    assert len(description.refused) == 2 and all("leads out" in why for _, why in description.refused)


def test_a_table_that_is_not_used_is_said_so(tmp_path):
    plant(tmp_path, "a.wav")
    (tmp_path / "mess.csv").write_text("piece,title\na.wav,First\n", "utf-8")
    assert detect(tmp_path) is FOLDER
    ((name, why),) = FOLDER.read(tmp_path).refused
    assert name == "mess.csv" and "no column audio or midi. Its columns: piece, title." in why


def test_further_columns_are_details(tmp_path):
    """As many as there are, by their names; those that are names of a track by any spelling are not."""
    plant(tmp_path, "a.wav")
    (tmp_path / "mess.csv").write_text(
        "Audio,ARTIST,Album Artist,Difficulty,Era (c.),\na.wav,Ann,Band,4,Baroque,more\n"
    )
    (recording,) = MANIFEST.read(tmp_path).recordings
    assert recording.names == {"performer": "Ann", "album_artist": "Band"}
    assert recording.details == {"Difficulty": "4", "Era (c.)": "Baroque", "column 6": "more"}


@pytest.mark.slow
@given(st.one_of(st.binary(max_size=300), st.text('audio,;"#|\t\n\r=sep.wav', max_size=200).map(str.encode)))
def test_no_table_raises_anything_but_a_sentence(tmp_path_factory, data):
    """Whatever stands in it, it describes recordings or is refused."""
    folder = tmp_path_factory.mktemp("table")
    plant(folder, "a.wav")
    (folder / "mess.csv").write_bytes(data)
    collection = detect(folder)
    try:
        description = collection.read(folder)
    except InputError:
        return
    assert len(description.recordings) <= 1
    (folder / "mix.m3u").write_bytes(data)
    with contextlib.suppress(InputError):
        read_playlist(folder / "mix.m3u")


def test_a_header_of_any_length_is_a_sentence(tmp_path):
    (tmp_path / "mess.csv").write_text("x" * 200_000 + ",audio\na.wav\n", "utf-8")
    ((_, why),) = FOLDER.read(tmp_path).refused
    assert "not used" in why


@pytest.mark.parametrize("name", ["mess.csv", "manifest.csv", "mess.parquet"])
def test_a_table_without_rows_leaves_a_plain_folder(tmp_path, name):
    """Nothing below the header, or comments alone; a row that looks like one and names a file is a row."""
    plant(tmp_path, "a.wav", "#1.wav")
    if name.endswith(".parquet"):
        pq.write_table(pa.table({"audio": pa.array([], pa.string())}), tmp_path / name)
    for text in ["audio,title\n", "audio,title\n\n# side 1\n#" + "x" * 300 + ".wav,x\n"]:
        if name.endswith(".csv"):
            (tmp_path / name).write_text(text, "utf-8")
        assert detect(tmp_path) is FOLDER
        description = FOLDER.read(tmp_path)
        assert [recording.audio.name for recording in description.recordings] == ["#1.wav", "a.wav"]
        assert description.refused == [(name, f"The table is not used: {name} has no rows.")]
        with pytest.raises(InputError, match="has no rows"):
            MANIFEST.read(tmp_path)
    if name.endswith(".csv"):
        (tmp_path / name).write_text("audio,title\n#1.wav,First\n", "utf-8")
        assert [recording.title for recording in detect(tmp_path).read(tmp_path).recordings] == ["First"]


@pytest.mark.parametrize(
    ("header", "names", "details"),
    [
        ("Path,Name", {"title": "b"}, {}),
        ("filename,Track Title", {"title": "b"}, {}),
        ("filepath,track,year", {"title": "b"}, {"year": "c"}),
        ("Location;song;Artist", {"title": "b", "performer": "c"}, {}),
        ("FILE,Work_Title,composer name", {"work": "b", "composer": "c"}, {}),
        ("audio,title,name", {"title": "b"}, {"name": "c"}),  # the better one; the other is not lost
        ("#filepath,Name", {"title": "b"}, {}),
        ("audio,Titel,Komponist", {}, {"Titel": "b", "Komponist": "c"}),
    ],
)
def test_names_by_the_words_that_other_programs_have_for_them(tmp_path, header, names, details):
    plant(tmp_path, "a.wav")
    n_columns = len(header.replace(";", ",").split(","))
    row = (";" if ";" in header else ",").join(["a.wav", "b", "c"][:n_columns])
    (tmp_path / "mess.csv").write_text(f"{header}\n{row}\n", "utf-8")
    (recording,) = MANIFEST.read(tmp_path).recordings
    assert (recording.names, dict(recording.details)) == (names, details)


def test_a_track_that_is_a_number_is_no_title(tmp_path):
    plant(tmp_path, "a.wav", "b.wav")
    (tmp_path / "mess.csv").write_text("file,Track\na.wav,3/12\nb.wav,4\n", "utf-8")
    first, second = MANIFEST.read(tmp_path).recordings
    assert first.names == second.names == {} and first.details == {"Track": "3/12"}
    (tmp_path / "mess.csv").write_text("file,Track\na.wav,99 Luftballons\nb.wav,1999\n", "utf-8")
    assert [recording.title for recording in MANIFEST.read(tmp_path).recordings] == ["99 Luftballons", "1999"]


def test_a_url_in_a_table_is_called_one(tmp_path):
    """Wherever it would lead; a name longer than names can be is a file that is not there."""
    plant(tmp_path, "b.wav", "cd:/b.wav")
    urls = [f"file://{tmp_path}/b.wav", "HTTP://x.org/../../../../b.wav", "file:b.wav", "smb://nas/b.wav"]
    (tmp_path / "mess.csv").write_text("\n".join(["audio", *urls, "x" * 300 + ".wav", "cd:/b.wav"]), "utf-8")
    description = MANIFEST.read(tmp_path)
    *reasons, last = (reason for _, reason in description.refused)
    assert reasons == ["A URL is not taken. Write the path below the table's folder."] * 4 and "is not there" in last
    assert [recording.audio for recording in description.recordings] == [tmp_path / "cd:" / "b.wav"]
