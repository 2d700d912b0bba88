"""Tuning: adapters change nothing at first, only they move, and what is taught is found on what was held out."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from mess_core.encoders.nano import NANO, build_network
from mess_core.errors import DependencyMissingError, InputError
from mess_core.learning.course import TRIPLETS, Course
from mess_core.learning.moments import deal
from mess_core.learning.triplets import rated_triplets
from tests.learning.worlds import moments
from training import tune as tuning
from training.tune import Heard, Tail, Tuning, adapted, hear, try_tuning, tune

needs_peft = pytest.mark.skipif(find_spec("peft") is None, reason="needs peft: pip install -r requirements-extra.txt")
N_MEL_FRAMES, N_BANDS = 20, 128


@pytest.fixture(scope="module")
def network():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build_network()


@pytest.fixture(scope="module")
def heard(network) -> Heard:
    """Two moments: one of two segments, one of one that is shorter."""
    generator = torch.Generator().manual_seed(0)
    first = [torch.randn(N_MEL_FRAMES, N_BANDS, generator=generator) for _ in range(2)]
    return hear(network, [first, [torch.randn(N_MEL_FRAMES // 2, N_BANDS, generator=generator)]])


def world(n_works: int = 12, n_players: int = 4, seed: int = 0) -> tuple[Course, Heard]:
    """What is rated is in the frames that the last blocks are given, in two directions; the piece is in all."""
    rng = np.random.default_rng(seed)
    n = n_works * n_players
    rated = rng.standard_normal((n, 2))
    into = np.random.default_rng(7).standard_normal((2, NANO.dim))
    piece = np.repeat(rng.standard_normal((n_works, NANO.dim)), n_players, axis=0)
    frames = (piece + 0.5 * rated @ into)[:, None] + 0.5 * rng.standard_normal((n, 6, NANO.dim))
    below = rng.standard_normal((n, NANO.n_layers - tuning.N_TUNED, NANO.dim)).astype(np.float32)
    works = [f"w{work}" for work in range(n_works) for _ in range(n_players)]
    found = moments(works, [None] * n, np.zeros((n, NANO.n_layers, NANO.dim), np.float32))
    triplets = rated_triplets(rated, found.codes(found.spans))
    own = Heard(below, tuple(frames.astype(np.float16)), np.ones(n, int))
    return Course("ratings", found, (NANO.dim,) * NANO.n_layers, rated, triplets), own


def state(module: torch.nn.Module, *, is_adapter: bool) -> str:
    """Hash of what moves, or of what does not."""
    found = hashlib.sha256()
    for name, value in sorted(module.named_parameters()):
        if ("lora" in name) == is_adapter:
            found.update(value.detach().numpy().tobytes())
    return found.hexdigest()


def test_the_tail_goes_on_where_the_rest_ended(network, heard):
    """Kept frames through the last blocks are what the whole network says, but for what float16 forgets."""
    generator = torch.Generator().manual_seed(0)
    segments = [torch.randn(N_MEL_FRAMES, N_BANDS, generator=generator) for _ in range(2)]
    with torch.inference_mode():
        whole = torch.stack([torch.stack(network(each[None]))[:, 0].mean(dim=1) for each in segments]).mean(dim=0)
        found = heard.embedded(Tail(network))
    assert found.shape == (2, NANO.n_layers, NANO.dim)
    torch.testing.assert_close(found[0], whole, atol=2e-3, rtol=2e-3)


@needs_peft
def test_adapters_change_nothing_at_the_start(network, heard):
    with torch.inference_mode():
        plain, found = heard.embedded(Tail(network)), heard.embedded(adapted(network, 0))
    torch.testing.assert_close(found, plain, atol=0, rtol=0)


@needs_peft
def test_only_adapters_move(network):
    course, own = world(n_works=4)
    tail, before = adapted(network, 0), state(network, is_adapter=False)
    moving = {name for name, value in tail.named_parameters() if value.requires_grad}
    assert moving and all("lora_" in name for name in moving)
    assert len(moving) == 2 * tuning.N_TUNED * len(tuning.ADAPTED)
    frozen, adapters = state(tail, is_adapter=False), state(tail, is_adapter=True)
    with torch.inference_mode():
        vectors = own.embedded(Tail(network)).numpy()
    shown = replace(course, moments=replace(course.moments, vectors=vectors))
    tune(tail, own, shown.lesson(np.arange(len(course.moments))), 1, 0)
    assert state(tail, is_adapter=False) == frozen and state(network, is_adapter=False) == before
    assert state(tail, is_adapter=True) != adapters
    with torch.inference_mode():
        found = own.embedded(tail).numpy()
    np.testing.assert_array_equal(found[:, : -tuning.N_TUNED], vectors[:, : -tuning.N_TUNED])
    assert np.abs(found[:, -1] - vectors[:, -1]).max() > 1e-3


@needs_peft
def test_what_was_held_out_teaches_nothing(network):
    """Adapters of a fold are the same whatever its test rows sound like; another seed begins elsewhere."""
    course, own = world(n_works=6)
    fold = next(deal(course.moments, "work", 3, 0))
    changed = list(own.states)
    for row in fold.test:
        changed[row] = np.zeros_like(changed[row])
    lesson = course.lesson(fold.train)
    one, same, other = (
        Tuning(network, states, 1).vectors(lesson, fold, seed)[fold.train]
        for states, seed in ((own, 0), (replace(own, states=tuple(changed)), 0), (own, 1))
    )
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 1e-4


@needs_peft
def test_what_is_taught_is_found_on_what_was_held_out(network):
    course, own = world()
    result = try_tuning(course, network, own, 6, 1)
    names = {each.name for each in result.figures if each.is_student and each.metric == TRIPLETS}
    assert names == {"predicted", "tuned", "tuned predicted"}
    assert result.figure("tuned").value > result.figure("centred").value


def test_answers_are_no_lesson_for_it(network):
    course, own = world(n_works=4)
    lesson = replace(course.lesson(np.arange(len(course.moments))), candidates=())
    with pytest.raises(InputError, match="says nothing that tuning could go by"):
        tune(Tail(network), own, lesson, 1, 0)


def test_what_must_be_installed_is_said(network, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(DependencyMissingError, match="needs peft") as refused:
        adapted(network, 0)
    assert refused.value.hint == "pip install -r requirements-extra.txt"
