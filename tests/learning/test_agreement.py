"""Agreement: figures that are known by construction, from the textbook, or from simulated listeners."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from mess_core.catalogue.sittings import Asked, Choice, Clip, Purpose
from mess_core.learning import questions
from mess_core.learning.agreement import (
    FEWEST_CATCHES,
    FEWEST_IN_COMMON,
    FEWEST_TO_COMPARE,
    LEARNED,
    MOST_MORE,
    SHARE_OF_CHANCE,
    Listening,
    ModelPair,
    Share,
    alpha_of,
    listening_of,
    progress_of,
)
from mess_core.learning.questions import choose_question
from mess_core.learning.ways import Ways, build_ways

N = 30  # recordings


def clip(name: str) -> Clip:
    return Clip(name, 0.0, 10.0)


def question(
    number: int, answer: Choice | None, purpose: Purpose = "random", names: str = "xab", repeats: int | None = None,
    sitting_id: int = 1,
) -> Asked:  # fmt: skip
    return Asked(
        f"q{number}", sitting_id, number, *map(clip, names), purpose, repeats, answer, None if answer is None else 1.0
    )


# --- shares -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("right", "n"), [(0, 1), (1, 1), (3, 4), (8, 10), (0, 50), (47, 50), (120, 200)])
def test_the_interval_is_wilsons(right, n):
    """By his formula, written again."""
    z, share = 1.959963984540054, right / n
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    found = Share(right, n)
    assert found.interval == pytest.approx((middle - half, middle + half), abs=1e-9) and found.value == share
    assert f"{right} of {n}" in found.words


def test_of_nothing_there_is_no_share():
    assert Share(0, 0).value is None and Share(0, 0).interval is None and Share(0, 0).words == "none yet"


# --- one listener -------------------------------------------------------------------------------------------


def test_a_repeat_is_answered_alike_where_the_other_side_is_chosen():
    """It stands on the other side; what could not be told, once or twice, is neither."""
    first = [
        question(0, "first"),
        question(1, "second"),
        question(2, "first"),
        question(3, "neither"),
        question(4, "first"),
    ]
    again = [("second", 0), ("first", 1), ("first", 2), ("first", 3), ("neither", 4)]
    turned = [question(10 + n, answer, "repeat", "xba", before) for n, (answer, before) in enumerate(again)]
    assert listening_of([*first, *turned]).consistency == Share(2, 3)
    assert listening_of([*first, *turned]).n_answers == 8 and listening_of([*first, *turned]).n_neither == 2


def test_a_repeat_is_of_its_own_sitting():
    """Another sitting of the same listener counts its questions from 0, too."""
    one = [question(0, "first"), question(9, "second", "repeat", "xba", 0)]
    other = [question(0, "second", sitting_id=2), question(9, "second", "repeat", "xba", 0, sitting_id=2)]
    assert listening_of([*one, *other]).consistency == Share(1, 2)


def test_catches_are_counted_apart():
    asked = [
        question(0, "first", "catch", "xxb"),
        question(1, "second", "catch", "xxb"),
        question(2, "second", "catch", "xbx"),
        question(3, "neither", "catch", "xxb"),
        question(4, None, "catch", "xxb"),
        question(5, "first"),
    ]
    found = listening_of(asked)
    assert found.catches == Share(2, 4) and (found.n_answers, found.n_neither) == (1, 1)


@pytest.mark.parametrize(("right", "n", "is_excluded"), [(0, 4, False), (3, 5, True), (4, 5, False), (7, 9, True)])
def test_who_tells_too_few_of_five_catches_is_excluded(right, n, is_excluded):
    catches = [question(i, "first" if i < right else "second", "catch", "xxb") for i in range(n)]
    assert listening_of(catches).is_excluded == is_excluded and FEWEST_CATCHES == 5


def test_who_always_says_a_is_excluded_by_the_catches():
    """As is who guesses; who listens with a tenth of lapses is not, but for once in a while."""
    rng = np.random.default_rng(0)

    def excluded(answer) -> float:
        of_listener = []
        for _ in range(400):
            names = rng.choice(["xxb", "xbx"], 15)
            asked = [question(i, answer(name), "catch", name) for i, name in enumerate(names)]
            of_listener.append(listening_of(asked).is_excluded)
        return float(np.mean(of_listener))

    def attentive(name: str) -> Choice:
        is_first = (name == "xxb") if rng.random() < 0.9 else rng.random() < 0.5
        return "first" if is_first else "second"

    assert excluded(lambda name: "first") > 0.95
    assert excluded(lambda name: str(rng.choice(["first", "second"]))) > 0.95
    assert excluded(attentive) < 0.02


@pytest.mark.parametrize("p", [0.55, 0.7, 0.8, 0.95, 1.0])
def test_the_ceiling_is_how_often_the_better_answer_is_given(p):
    """Somebody gives the better answer of two with probability p, to the question and to its repeat."""
    rng = np.random.default_rng(0)
    n = 60_000
    alike = int(((rng.random(n) < p) == (rng.random(n) < p)).sum())
    found = Listening(n, 0, Share(alike, n), Share(0, 0)).ceiling
    assert found == pytest.approx(p, abs=0.02)


def test_lapses_lower_the_ceiling_of_a_listener_who_is_asked():
    """A tenth of the answers are a guess: .95 of them are the better one."""
    rng = np.random.default_rng(1)
    asked = []
    for number in range(4000):
        better = "first" if rng.random() < 0.5 else "second"
        for turned, repeats in ((False, None), (True, number)):
            is_better = rng.random() < 0.95
            is_first = (better == "first") == (is_better != turned)
            asked.append(
                question(number + 10_000 * turned, "first" if is_first else "second",
                         "repeat" if turned else "random", "xba" if turned else "xab", repeats)
            )  # fmt: skip
    assert listening_of(asked).ceiling == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize("alike", [(0, 0), (0, 6), (3, 6), (1, 1), (4, 4)])
def test_who_agrees_with_himself_no_more_than_by_chance_or_was_hardly_asked_has_no_ceiling(alike):
    assert Listening(10, 0, Share(*alike), Share(0, 0)).ceiling is None


# --- models -------------------------------------------------------------------------------------------------


def world(seed: int = 0) -> Ways:
    rng = np.random.default_rng(seed)
    named = {
        "one": [(f"one {way}", rng.standard_normal((N, 3))) for way in range(2)],
        "two": [(f"two {way}", rng.standard_normal((N, 3))) for way in range(2)],
        "three": [("three", rng.standard_normal((N, 3)))],
    }
    return build_ways([f"t{row}" for row in range(N)], named)


WAYS = world()


@pytest.fixture(autouse=True)
def few_candidates(monkeypatch):
    """Enough for libraries as small as these."""
    monkeypatch.setattr(questions, "N_CANDIDATES", 200)


def sit(model: str, n: int, seed: int, lapse: float = 0.0) -> list[Asked]:
    """A sitting of somebody whose truth is one model."""
    rng = np.random.default_rng((seed, 7))
    found: list[Asked] = []
    for number in range(n):
        chosen = choose_question(WAYS, [str(row) for row in range(N)], found, number, seed)
        is_first = bool(WAYS.told(model, WAYS.differences(np.array([chosen.rows])))[0] > 0)
        if chosen.purpose == "catch":
            is_first = chosen.rows[0] == chosen.rows[1]
        if rng.random() < lapse:
            is_first = rng.random() < 0.5
        clips = (clip(WAYS.track_ids[row]) for row in chosen.rows)
        found.append(
            Asked(
                str(number), 1, number, *clips, chosen.purpose, chosen.repeats, "first" if is_first else "second", 1.0
            )
        )
    return found


@pytest.mark.parametrize("model", ["one", "two", "three"])
def test_the_model_that_is_a_listeners_truth_ranks_first(model):
    """With all of his answers, and its ways weigh most; what learns comes near, the others guess."""
    found = progress_of(WAYS, sit(model, 100, 3))
    n_random = 40
    assert found.accuracies[model] == Share(n_random, n_random)
    assert next(iter(found.accuracies)) in (model, LEARNED) and set(found.accuracies) == {*WAYS.models, LEARNED}
    others = [share.value for name, share in found.accuracies.items() if name not in (model, LEARNED)]
    assert found.accuracies[LEARNED].value > 0.75 > max(others)
    heaviest = list(found.weights)[: len(WAYS.models[model])]
    assert {name.split()[0] for name in heaviest} == {model}
    assert sum(found.weights.values()) == pytest.approx(1) and list(found.weights.values()) == sorted(
        found.weights.values(), reverse=True
    )
    assert found.listening.consistency.value == 1 and found.listening.catches.value == 1


def test_lapses_lower_its_accuracy_and_not_its_rank():
    shares = [progress_of(WAYS, sit("two", 100, seed, 0.2)).accuracies for seed in range(3)]
    assert all(next(iter(each)) in ("two", LEARNED) for each in shares)
    assert np.mean([each["two"].value for each in shares]) == pytest.approx(0.9, abs=0.06)


def test_only_questions_by_chance_are_measured():
    """On those that were chosen because models disagree, nothing is; and nothing on repeats or catches."""
    asked = sit("one", 60, 0)
    found = progress_of(WAYS, asked)
    spoilt = [
        replace(each, answer="first" if each.answer == "second" else "second") if each.purpose != "random" else each
        for each in asked
    ]
    assert {name: share for name, share in progress_of(WAYS, spoilt).accuracies.items() if name != LEARNED} == {
        name: share for name, share in found.accuracies.items() if name != LEARNED
    }
    assert {share.n for share in found.accuracies.values()} == {sum(each.purpose == "random" for each in asked)}


def test_what_learns_is_asked_before_it_hears_an_answer():
    """Answers by chance, which nobody can foretell: what was fitted to them would tell most of them."""
    rng = np.random.default_rng(0)
    shares = []
    for seed in range(4):
        asked = [replace(each, answer=str(rng.choice(["first", "second"]))) for each in sit("one", 100, seed)]
        shares.append(progress_of(WAYS, asked).accuracies[LEARNED])
    assert sum(each.right for each in shares) / sum(each.n for each in shares) == pytest.approx(0.5, abs=0.11)


def test_of_no_answers_nothing_is_said():
    found = progress_of(WAYS, [])
    assert {share.n for share in found.accuracies.values()} == {0} and found.listening.n_answers == 0
    assert "Too few answers to compare" in found.advice


def test_a_library_in_which_nothing_differs_has_no_models():
    ways = build_ways(["x", "a", "b"], {"one": [("a", np.ones((3, 2)))]})
    found = progress_of(ways, [question(n, "first") for n in range(12)])
    assert found.accuracies == {} and found.weights == {} and found.advice == ""


# --- when to stop -------------------------------------------------------------------------------------------


def advised(pair: ModelPair) -> int:
    """The number of answers in its sentence."""
    (number,) = [int(word) for word in pair.advice.split() if word.isdecimal()]
    return number


@pytest.mark.parametrize(("one", "other"), [(0.8, 0.6), (0.7, 0.55), (0.9, 0.8)])
def test_the_advice_is_about_what_a_simulation_needs(one, other):
    """How many questions by chance it takes until half of the intervals leave out 0, for known accuracies."""
    rng = np.random.default_rng(0)
    n_most, n_listeners = 400, 400
    differences = (rng.random((n_listeners, n_most)) < one).astype(int) - (rng.random((n_listeners, n_most)) < other)
    counts = np.arange(1, n_most + 1)
    mean = differences.cumsum(axis=1) / counts
    spread = np.sqrt((differences**2).cumsum(axis=1) / counts - mean**2)
    told_apart = (mean > 1.96 * spread / np.sqrt(counts)).mean(axis=0)
    needed = int(counts[np.flatnonzero((told_apart >= 0.5) & (counts >= FEWEST_TO_COMPARE))[0]])
    n = FEWEST_TO_COMPARE
    only = round(one * (1 - other) * n), round(other * (1 - one) * n)
    expected = ModelPair("one", "other", *only, n)
    assert (needed - n) / 2 < advised(expected) * SHARE_OF_CHANCE < (needed - n) * 2


def test_too_few_answers_are_no_comparison():
    found = ModelPair("one", "other", 5, 0, FEWEST_TO_COMPARE - 4)
    assert "Too few answers to compare one with other" in found.advice and advised(found) == math.ceil(
        4 / SHARE_OF_CHANCE
    )


@pytest.mark.parametrize("counts", [(20, 0, 20), (30, 5, 60), (12, 2, 40)])
def test_what_is_told_apart_needs_no_more(counts):
    assert "better than other: more answers would not change that" in ModelPair("one", "other", *counts).advice


@pytest.mark.parametrize("counts", [(0, 0, 40), (5, 5, 40), (11, 10, 60), (1, 0, 1000)])
def test_what_hardly_differs_is_not_worth_more_answers(counts):
    """However many were given."""
    assert f"more than {MOST_MORE} further ones" in ModelPair("one", "other", *counts).advice


def test_the_advice_never_names_more_than_is_worth_it_nor_a_handful():
    for only_one, only_other in itertools.combinations_with_replacement(range(25), 2):
        for n in (25, 40, 100):
            pair = ModelPair("one", "other", only_other, only_one, max(n, only_one + only_other))
            if "would tell" in pair.advice:
                assert 10 <= advised(pair) <= MOST_MORE and advised(pair) % 10 == 0  # nobody knows it better


# --- between listeners --------------------------------------------------------------------------------------


def answered(values: list[int | None], seed: int = 0) -> list[Asked]:
    """One listener's answers to unit after unit: 1 where b is chosen; which of the two stands first is chance."""
    rng = np.random.default_rng(seed)
    found = []
    for number, value in enumerate(values):
        is_turned = bool(rng.random() < 0.5)
        names = ["b", "a"] if is_turned else ["a", "b"]
        clips = [clip(f"x{number}"), *(clip(f"{name}{number}") for name in names)]
        is_first = bool(value) == is_turned
        answer = None if value is None else "first" if is_first else "second"
        found.append(Asked(f"q{number}", 1, number, *clips, "random", None, answer, 1.0))
    return found


def alpha_by_hand(table: list[list[int | None]]) -> float:
    """Krippendorff's coincidences, for two values: 1 - (n - 1) o_01 / (n_0 n_1)."""
    coincidences = np.zeros((2, 2))
    for unit in zip(*table, strict=True):
        given = [value for value in unit if value is not None]
        for one, other in itertools.permutations(range(len(given)), 2):
            coincidences[given[one], given[other]] += 1 / (len(given) - 1)
    totals = coincidences.sum(axis=1)
    return 1 - (totals.sum() - 1) * coincidences[0, 1] / (totals[0] * totals[1])


MEG = [0, 1, 0, 0, 0, 0, 0, 0, 1, 0]
OWEN = [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]


def test_alpha_is_the_textbooks():
    """Krippendorff (2011), example A: two observers, ten units, yes or no: .095. Where a clip stands is no matter."""
    found = alpha_of({"Meg": answered(MEG), "Owen": answered(OWEN, seed=5)})
    assert found.value == pytest.approx(0.095, abs=5e-4) and found.value == pytest.approx(alpha_by_hand([MEG, OWEN]))
    assert (found.n_listeners, found.n_questions) == (2, 10) and found.low < found.value < found.high
    assert "may not agree more than chance" in found.words


def test_alpha_of_several_listeners_who_did_not_answer_everything_is_that_by_hand():
    rng = np.random.default_rng(0)
    truth = rng.random(40) < 0.5
    table = [[None if rng.random() < 0.3 else int(value != (rng.random() < 0.15)) for value in truth] for _ in range(4)]
    found = alpha_of({str(n): answered(values, n) for n, values in enumerate(table)})
    assert found.value == pytest.approx(alpha_by_hand(table), abs=1e-9)
    assert found.n_questions == sum(sum(value is not None for value in unit) > 1 for unit in zip(*table, strict=True))
    assert found.low > 0 and "People agree" in found.words


def test_listeners_who_agree_or_guess_or_contradict_each_other():
    rng = np.random.default_rng(0)
    values = (rng.random(200) < 0.5).astype(int).tolist()
    guessed = (rng.random(200) < 0.5).astype(int).tolist()
    assert alpha_of({"ann": answered(values), "bob": answered(values, 1)}).value == 1
    by_chance = alpha_of({"ann": answered(values), "bob": answered(guessed, 1)})
    assert by_chance.low < 0 < by_chance.high
    assert alpha_of({"ann": answered(values), "bob": answered([1 - each for each in values], 1)}).value < -0.9


def test_alpha_needs_a_second_listener_and_ten_questions():
    nine = FEWEST_IN_COMMON - 1
    alone = alpha_of({"ann": answered(MEG)})
    assert alone.value is None and "One listener so far" in alone.words
    assert alpha_of({}).value is None
    few = alpha_of({"ann": answered(MEG[:nine]), "bob": answered(OWEN[:nine])})
    assert few.value is None and few.n_questions == nine and "too few" in few.words
    same = alpha_of({"ann": answered([0] * 12), "bob": answered([0] * 12)})
    assert same.value is None  # of one value alone chance would agree, too


def test_repeats_catches_and_what_could_not_be_told_are_no_agreement():
    """And of a question that was put twice the later answer counts once."""
    plain = {"ann": answered(MEG), "bob": answered(OWEN)}
    noise = [replace(each, purpose=purpose, answer="first", asked_id="n") for purpose in ("repeat", "catch")
             for each in plain["ann"]]  # fmt: skip
    unsure = [replace(each, answer="neither", asked_id="u") for each in answered([0] * 30)[10:]]
    found = alpha_of({"ann": [*plain["ann"], *noise, *unsure], "bob": [*plain["bob"], *unsure]})
    assert found == alpha_of(plain)
    twice = alpha_of({"ann": [*answered([1 - each for each in MEG]), *plain["ann"]], "bob": plain["bob"]})
    assert twice == alpha_of(plain)
