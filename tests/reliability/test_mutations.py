"""Damaged audio files: each is decoded or refused in one sentence, and quickly; nothing else comes out."""

from __future__ import annotations

import random

import pytest

from benchmarks.mutations import BAR_S, harm, run, seeds


def check(n_files: int, share_wav: float, seed: int = 0) -> None:
    figures = run(n_files, seed, share_wav=share_wav)
    assert figures.escaped == [], figures.escaped[:3]
    assert figures.n_files == n_files and set(figures.counts) == {
        "WAV",
        "FLAC",
        "OGG",
        "MP3",
        "MP4",
        "MKV",
        "AIFF",
        "other",
    }
    assert 0.2 < figures.n_refused / n_files < 0.95  # both happen
    assert figures.mean_s < BAR_S and figures.slowest_s < 5.0


@pytest.mark.parametrize("n_files", [10_000, pytest.param(100_000, marks=pytest.mark.soak)])
def test_damaged_files(n_files: int) -> None:
    """Nearly all of them WAV, whose headers are read by our own code."""
    check(n_files, share_wav=0.97)


@pytest.mark.soak
def test_a_hundred_thousand_damaged_files_of_all_kinds() -> None:
    check(100_000, share_wav=0.25, seed=1)


def test_harm_is_done_and_the_same_each_time() -> None:
    content = seeds()["WAV"][0]
    harmed = [harm(content, random.Random(seed)) for seed in range(200)]
    assert sum(other != content for other in harmed) > 190
    assert harmed == [harm(content, random.Random(seed)) for seed in range(200)]
