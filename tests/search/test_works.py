"""Works: rows of one work stand under the nearest, by name or by their notes; nobody is lost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from mess_core.search import works
from mess_core.search.answers import FoundTrack
from mess_core.search.frames import pitch_classes
from mess_core.search.neighbours import Neighbour
from mess_core.search.works import WorkGroup, frames_together, gather, notes_of, same_notes
from tests.planted import a_track

RATE_HZ = 8000


def found(*named: str | None, composers: tuple[str, ...] = ()) -> list[FoundTrack]:
    """Rows in order, of these works; the same composer but where it is said."""
    tracks = [
        replace(a_track(n), work=work, composer=composers[n] if composers else "C", duration_s=30.0)
        for n, work in enumerate(named)
    ]
    return [
        FoundTrack(Neighbour(n + 1, track.track_id, 0.5, 50.0), track, Path(f"{n}.wav"), None)
        for n, track in enumerate(tracks)
    ]


def ranks(groups: list[WorkGroup]) -> list[list[int]]:
    return [[item.neighbour.rank for item in (group.first, *group.others)] for group in groups]


def melody(seed: int, tempo: float = 1.0, timbre: float = 0.3, semitones: int = 0) -> np.ndarray:
    """Sixty seeded notes of a scale, half a second each, at a tempo, with overtones; (n,) at 8 kHz."""
    pitches = np.random.default_rng(seed).choice([0, 2, 4, 5, 7, 9, 11, 12], 60) + 60 + semitones
    sound = []
    for pitch in pitches:
        time_s = np.arange(int(0.5 / tempo * RATE_HZ)) / RATE_HZ
        hz = 440 * 2 ** ((pitch - 69) / 12)
        sound.append(sum(timbre**k * np.sin(2 * np.pi * hz * (k + 1) * time_s) for k in range(3)) * np.exp(-2 * time_s))
    return 0.3 * np.concatenate(sound)


@pytest.fixture(scope="module")
def played(tmp_path_factory) -> list[FoundTrack]:
    """Without names: a piece three times, faster and on something else; between them others; one is too short."""
    folder = tmp_path_factory.mktemp("played")
    sounds = [melody(0), melody(1), melody(0, 1.15, 0.6), melody(2), melody(0, 0.9, 0.1), melody(1)[: 5 * RATE_HZ]]
    rows = []
    for n, (row, sound) in enumerate(zip(found(*[None] * len(sounds)), sounds, strict=True)):
        path = folder / f"{n}.wav"
        soundfile.write(path, sound, RATE_HZ)
        rows.append(replace(row, path=path, track=replace(row.track, duration_s=len(sound) / RATE_HZ)))
    return rows


def test_recordings_of_one_work_stand_under_the_nearest_in_their_order():
    rows = found("a", "b", "a", None, "a", "b", None)
    groups = gather(rows)
    assert ranks(groups) == [[1, 3, 5], [2, 6], [4], [7]]
    assert all(group.alike is None for group in groups)


def test_works_of_two_composers_may_have_one_name():
    assert ranks(gather(found("Waltz", "Waltz", "Waltz", composers=("A", "B", "A")))) == [[1, 3], [2]]


def test_everybody_is_somewhere_and_once():
    rng = np.random.default_rng(0)
    for _ in range(20):
        rows = found(*rng.choice(["a", "b", "c", None], 12))
        assert sorted(rank for group in ranks(gather(rows)) for rank in group) == list(range(1, 13))
    assert gather([]) == []


def test_without_a_name_the_notes_say_it_at_any_tempo_and_on_anything(played):
    groups = gather(played, notes_of)
    assert ranks(groups) == [[1, 3, 5], [2], [4], [6]]
    assert set(groups[0].alike) == {played[2].track.track_id, played[4].track.track_id}
    assert all(works.SAME_NOTES <= alike <= 1 for alike in groups[0].alike.values())
    assert ranks(gather(played)) == [[1], [2], [3], [4], [5], [6]], "nobody listened"


def test_a_name_is_not_doubted(played):
    """Same notes under two names are two works, and nobody listens to what has a name."""
    named = [replace(row, track=replace(row.track, work=f"work {n}")) for n, row in enumerate(played[:3])]

    def nobody(item: FoundTrack) -> None:
        raise AssertionError(item.track.title)

    assert ranks(gather(named, nobody)) == [[1], [2], [3]]


def test_another_key_is_another_recording():
    one, other = (frames_of(melody(0, semitones=semitones)) for semitones in (0, 1))
    assert same_notes(one, one) == pytest.approx(1, abs=1e-6) and same_notes(one, other) < works.SAME_NOTES


def frames_of(sound: np.ndarray) -> np.ndarray:
    return frames_together(pitch_classes(sound))


def test_what_cannot_be_heard_stands_by_itself(played, tmp_path):
    gone = [replace(row, path=tmp_path / f"gone {n}.wav") for n, row in enumerate(played[:3:2])]
    assert [notes_of(row) for row in gone] == [None, None] and ranks(gather(gone, notes_of)) == [[1], [3]]
    assert notes_of(played[5]) is None, "five seconds say too little"


def test_only_so_many_are_listened_to(monkeypatch):
    asked: list[str] = []

    def listen(item: FoundTrack) -> np.ndarray:
        asked.append(item.track.track_id)
        return np.eye(12)[[len(asked) % 12] * 20]

    monkeypatch.setattr(works, "MOST_HEARD", 5)
    gather(found(*[None] * 9), listen)
    assert len(asked) == 5
