"""Copies: planted lags, lost ends and noise are found; what is only alike, or in another order or time, is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mess_core.audio.decode import read_excerpt
from mess_core.collections.opening import read_track
from mess_core.encoders.mel import MEL
from mess_core.search import answers, copies
from mess_core.search.answers import answer, build_index, make_plan, query_of
from mess_core.search.copies import COPY, copy_score, onsets
from mess_core.search.question import Question
from mess_core.work.extract import ExtractRequest
from mess_core.work.request import submit
from mess_core.workspace.scope import Scope
from mess_core.workspace.workspace import Workspace
from tests.conftest import work

FIELD_CASES = Path(__file__).parents[3] / "shared" / "data" / "field-cases"
RATE = copies.RATE_HZ


def music(seconds: float = 20.0, seed: int = 0, rate: float = 1.0) -> np.ndarray:
    """Notes that begin at times of their own, each with its pitch, and die away; `rate` is the tempo."""
    rng = np.random.default_rng(seed)
    audio = np.zeros(round(seconds / rate * RATE))
    for start_s in np.cumsum(rng.uniform(0.1, 0.5, round(seconds * 4))) / rate:
        time_s = np.arange(round(0.6 * RATE)) / RATE
        note = rng.uniform(0.2, 1) * np.sin(2 * np.pi * rng.uniform(150, 2500) * time_s) * np.exp(-6 * time_s)
        first = round(start_s * RATE)
        there = audio[first : first + len(note)]
        there += note[: len(there)]
    return audio / 4


def score(one: np.ndarray, other: np.ndarray) -> float:
    return copy_score(onsets(one), onsets(other))


def test_a_recording_is_a_copy_of_itself_at_any_level():
    assert score(music(), music()) == pytest.approx(1.0, abs=1e-5)
    assert score(music(), music() / 10) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("lag_s", [0.01, 1.1, 6.543])
def test_a_start_elsewhere_is_found_either_way(lag_s):
    whole = music()
    part = whole[round(lag_s * RATE) :]
    assert score(whole, part) > 0.8 and score(part, whole) == pytest.approx(score(whole, part), abs=1e-5)


def test_noise_and_a_lost_upper_half_leave_it_a_copy():
    whole = music()
    noisy = whole + 0.003 * np.random.default_rng(1).standard_normal(len(whole))
    spectrum = np.fft.rfft(whole)
    spectrum[len(spectrum) // 2 :] = 0
    assert score(whole, noisy) > COPY and score(whole, np.fft.irfft(spectrum, len(whole))) > COPY


@pytest.mark.parametrize("other", ["other music", "faster", "slightly faster", "backwards"])
def test_what_is_not_the_same_recording_is_no_copy(other):
    changed = {
        "other music": music(seed=1),
        "faster": music(rate=1.2),
        "slightly faster": music(rate=1.01),
        "backwards": music()[::-1],
    }[other]
    assert score(music(), changed) < COPY


@pytest.mark.parametrize("audio", [np.zeros(0), np.zeros(100), np.zeros(80_000), np.ones(80_000), music(1.5)])
def test_what_tells_nothing_is_no_copy_of_anything(audio):
    assert score(audio, audio) == 0.0 and score(audio, music()) < COPY


@pytest.mark.slow
@pytest.mark.skipif(not FIELD_CASES.is_dir(), reason="needs ../shared/data/field-cases")
def test_copies_through_a_codec_and_cut_elsewhere_are_told(home: Workspace, monkeypatch: pytest.MonkeyPatch):
    """k18: 32 kbit/s, and from 1.1 s on. Nothing else of the field cases is a copy of the master."""
    folder = FIELD_CASES / "k18_copies"
    others = sorted((FIELD_CASES / "k03_silence").glob("other*.flac"))
    tracks = {path: read_track(path) for path in [*sorted(folder.iterdir()), *others]}
    for path, new in tracks.items():
        home.catalogue.add(path.parent, [new], "music")
    submit(home, ExtractRequest("music", MEL.id))
    work(home)
    ids = {path.name: new.track.track_id for path, new in tracks.items()}

    def shown(duplicates: str) -> set[str]:
        question = Question(k=20, duplicates=duplicates)
        plan = make_plan(Scope(home, "music", MEL), question, None)
        query = query_of(plan.scope, home.catalogue.track(ids["master.flac"]), "master")
        found = answer(build_index(plan), plan, query).found
        return {item.track.track_id for item in found}

    copied = {ids["lossy.mp3"], ids["other_leadin.flac"]}
    assert shown("keep") == set(ids.values()) - {ids["master.flac"]}
    with monkeypatch.context() as once:
        listened = []
        once.setattr(answers, "read_excerpt", lambda path, *of: listened.append(path) or read_excerpt(path, *of))
        answers._onsets.cache_clear()
        assert shown("exclude") == shown("exclude") == shown("keep") - copied
    assert listened and len(listened) == len(set(listened))  # heard once, however often the page asks
    assert len(shown("collapse") & copied) == 1 and shown("keep") - copied <= shown("collapse")
