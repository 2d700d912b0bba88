"""Requests: what cannot be meant is refused in a sentence that names the value and the cure."""

from dataclasses import FrozenInstanceError

import pytest

from mess_core.errors import InputError
from mess_core.probing.aspects import ASPECTS
from mess_core.search.question import COPIES, Question, check_name, check_question, parse_aspects


def test_only_proportions_of_weights_count():
    assert Question({"brightness": 3, "tempo": 1}).weights == {"brightness": 0.75, "tempo": 0.25}
    assert Question({"brightness": 0.3, "tempo": 0.1}).weights == pytest.approx({"brightness": 0.75, "tempo": 0.25})
    assert sum(Question(dict.fromkeys(ASPECTS, 0.1)).weights.values()) == pytest.approx(1)


def test_a_weight_of_zero_asks_for_nothing():
    request = Question({"brightness": 0, "tempo": 2.0})
    check_question(request)
    assert request.weights == {"tempo": 1.0}
    check_question(Question({"brightness": 0, "tempo": 1}, avoid=("brightness",)))


def test_nothing_given_is_a_plain_question():
    request = Question()
    check_question(request)
    assert request.weights == {} and request.k == 10
    with pytest.raises(FrozenInstanceError):
        request.k = 3


def test_everything_that_can_be_meant_passes():
    for copies in COPIES:
        check_question(Question(dict.fromkeys(ASPECTS, 1.0), duplicates=copies, versions=copies))
    check_question(Question({}, tuple(ASPECTS), "layer", 1, 1.0, 1, 1, 1, hubs="on"))
    check_question(Question(k=10**6, diversity=0, max_per_album=10**6))


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"aspects": {"brightnes": 1}}, r"There is no aspect 'brightnes'\. Did you mean brightness\?"),
        ({"avoid": ("tmpo",)}, r"There is no aspect 'tmpo'\. Did you mean tempo\?"),
        ({"aspects": {"xyzzy": 1}}, r"There is no aspect 'xyzzy'\. Known: brightness, texture, .*legato\."),
        ({"aspects": {"": 1}}, r"There is no aspect ''\. Known: brightness"),
        ({"aspects": {"tempo": -0.5}}, r"The weight of tempo is -0\.5, expected 0 or more\. .*not tempo"),
        ({"aspects": {"tempo": float("nan")}}, "The weight of tempo is nan, expected 0 or more"),
        ({"aspects": {"tempo": float("inf")}}, "The weight of tempo is inf, expected 0 or more"),
        ({"aspects": {"tempo": 0, "rubato": 0.0}}, "all aspects are 0.*Give one of them a weight above 0"),
        ({"aspects": {"tempo": 1}, "avoid": ("rubato", "tempo")}, "tempo is both asked for and left out.*Choose one"),
        ({"k": 0}, "k is 0, expected at least 1"),
        ({"k": -3}, "k is -3, expected at least 1"),
        ({"diversity": -0.1}, r"Diversity is -0\.1, expected 0 to 1"),
        ({"diversity": 1.5}, r"Diversity is 1\.5, expected 0 to 1"),
        ({"diversity": float("nan")}, "Diversity is nan, expected 0 to 1"),
        ({"max_per_work": 0}, "At most 0 per work would leave nothing.*1 or more"),
        ({"max_per_performer": -1}, "At most -1 per performer would leave nothing"),
        ({"max_per_album": 0}, "At most 0 per album would leave nothing"),
    ],
)
def test_what_cannot_be_meant_is_refused(fields, match):
    with pytest.raises(InputError, match=match):
        check_question(Question(**fields))


@pytest.mark.parametrize("aspect", ASPECTS)
def test_a_slip_of_the_pen_is_understood(aspect):
    """A letter too few, or two exchanged."""
    for slip in (aspect[:-1], aspect[1] + aspect[0] + aspect[2:]):
        with pytest.raises(InputError, match=f"Did you mean {aspect}"):
            check_name("aspect", slip, ASPECTS)


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("brightness", {"brightness": 1.0}),
        ("brightness=0.7,tempo=0.3", {"brightness": 0.7, "tempo": 0.3}),
        (" brightness=2 ,  tempo ", {"brightness": 2.0, "tempo": 1.0}),
        ("tempo=-1", {"tempo": -1.0}),
        ("tempo=1e-2", {"tempo": 0.01}),
    ],
)
def test_aspects_are_read_as_typed(text, weights):
    """What the numbers may be is for `check_question` to say."""
    assert parse_aspects(text) == weights
    assert list(parse_aspects(text)) == list(weights)


@pytest.mark.parametrize(
    ("text", "number"), [("tempo=fast", "fast"), ("rubato,tempo=1=2", "1=2"), ("tempo=0;5", "0;5")]
)
def test_a_weight_that_is_no_number_is_refused(text, number):
    with pytest.raises(InputError, match=rf"The weight of tempo is '{number}', expected a number\. Write: brightness="):
        parse_aspects(text)
