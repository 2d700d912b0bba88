"""The same passage by others: against performances whose times are planted."""

from dataclasses import replace

import numpy as np
import pytest
import soundfile

from mess_core.catalogue.passages import ScoreTimes
from mess_core.collections.opening import read_track
from mess_core.errors import InputError
from mess_core.search.comparisons import compare_passages

RATE_HZ = 8000
BEATS = np.arange(16.0)


@pytest.fixture
def perform(home, tmp_path):
    """Adds a recording of 16 beats at a tempo, after `lead_s`; every beat twice as strong as the one before or not."""

    def perform(name, tempo, lead_s=1.0, score="a waltz", gain=1.0, library="music", is_heard=True):
        times_s = lead_s + BEATS * 60 / tempo
        rng = np.random.default_rng(len(name))
        sound = rng.standard_normal(round((times_s[-1] + 2) * RATE_HZ)).clip(-3, 3) * 0.01
        for number, (start_s, end_s) in enumerate(zip(times_s, [*times_s[1:], times_s[-1] + 1], strict=True)):
            sound[round(start_s * RATE_HZ) : round(end_s * RATE_HZ)] *= gain * (2.0 if number % 2 else 1.0)
        path = tmp_path / "music" / f"{name}.wav"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, sound, RATE_HZ, subtype="FLOAT")
        new = read_track(path)
        new = replace(new, score_times=(ScoreTimes.of(score, BEATS, times_s),))
        home.catalogue.add(path.parent, [new], library)
        if not is_heard:
            path.unlink()
        return new.track.track_id

    return perform


def test_beats_and_seconds_are_each_others_inverse():
    rng = np.random.default_rng(0)
    times = ScoreTimes.of("s", BEATS, np.cumsum(rng.uniform(0.3, 0.9, len(BEATS))))
    for beat in rng.uniform(0, 15, 50):
        assert times.beat_at(times.time_at(beat)) == pytest.approx(beat, abs=1e-9)
    assert np.isnan(times.time_at(15.1)) and np.isnan(times.beat_at(0.0))


def test_pairs_come_in_any_order_and_time_never_runs_back():
    """Chords give a beat several times, an alignment may be wrong in one: the earliest counts, the crooked goes."""
    times = ScoreTimes.of("s", [2, 0, 1, 1, 3, 4, np.nan], [1.0, 0.0, 0.6, 0.5, 0.9, 2.0, 5.0])
    assert times.beats.tolist() == [0, 1, 2, 4] and times.times_s.tolist() == [0.0, 0.5, 1.0, 2.0]
    for beats, seconds in (([0, 0], [1, 2]), ([0, 1], [1, 1]), ([], [])):
        with pytest.raises(InputError, match="at least two"):
            ScoreTimes.of("s", beats, seconds)


def test_others_are_found_where_they_play_it_and_the_nearest_in_tempo_first(home, perform):
    asked = perform("asked", 120, lead_s=2.0)
    slow, near = perform("slow one", 80, lead_s=0.5), perform("near one", 110, lead_s=3.0)
    perform("another piece", 120, score="a march")
    perform("elsewhere", 120, library="other")
    wrong = perform("wrong alignment", 30)
    same = home.catalogue.passages.same(asked, 2.0 + 4 * 0.5, 2.0 + 10 * 0.5, "music")
    assert (same.from_beat, same.to_beat) == (pytest.approx(4), pytest.approx(10))
    assert [other.track_id for other in same.others] == [near, slow] and wrong not in same.others
    first = same.others[0]
    assert (first.start_s, first.end_s) == (pytest.approx(3 + 4 * 60 / 110), pytest.approx(3 + 10 * 60 / 110))
    assert first.tempo == pytest.approx(110) and same.asked.tempo == pytest.approx(120)
    assert len(home.catalogue.passages.same(asked, 4, 7, "all").others) == 3


def test_a_passage_ends_where_the_known_beats_do(home, perform):
    asked = perform("asked", 120, lead_s=2.0)
    same = home.catalogue.passages.same(asked, 0.0, 100.0, "music")
    assert (same.asked.start_s, same.asked.end_s) == (2.0, 9.5) and same.others == ()
    assert home.catalogue.passages.same(asked, 0.0, 1.5, "music") is None  # before the first beat
    assert home.catalogue.passages.same(asked, 3.0, 3.4, "music") is None  # less than two beats
    assert home.catalogue.passages.same("0" * 16, 0.0, 9.0, "music") is None


def test_score_times_go_with_their_track_and_are_replaced(home, perform):
    asked = perform("asked", 120)
    home.catalogue.passages.write(asked, [ScoreTimes.of("a waltz", [0, 1, 2], [0.0, 1.0, 2.0])])
    (times,) = home.catalogue.passages.of_track(asked)
    assert times.beats.tolist() == [0, 1, 2]
    home.forget_tracks([asked])
    assert home.catalogue.passages.of_track(asked) == []


def test_curves_tell_tempo_and_level(home, perform):
    """Every second beat was made twice as strong: 6 dB, whatever the recording's gain."""
    asked, other = perform("asked", 120), perform("much louder", 100, gain=4.0)
    silent = perform("taken away", 110, is_heard=False)
    same = home.catalogue.passages.same(asked, 1.0 + 2 * 0.5, 1.0 + 12 * 0.5, "music")
    curves = compare_passages(home, same, [other, silent])
    assert [curve.passage.track_id for curve in curves] == [asked, other]
    for curve, tempo in zip(curves, (120, 100), strict=True):
        assert np.allclose(curve.beats, np.arange(2, 12)) and np.allclose(curve.tempo, tempo)
        level = np.array(curve.level_db)
        assert np.abs(np.abs(np.diff(level)) - 6.02).max() < 0.4
    assert np.allclose(curves[0].level_db, curves[1].level_db, atol=0.4)
