"""A question: what is asked of a library, beside the query itself."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from numbers import Integral, Real
from typing import Any, Literal, get_args

from mess_core.encoders.vocabulary import VOCABULARY, meaning
from mess_core.errors import InputError
from mess_core.numbers import plain_number
from mess_core.probing.aspects import ASPECTS
from mess_core.spelling import check_name
from mess_core.targets.base import CIRCLE
from mess_core.targets.key_names import NAMES as PITCH_CLASSES
from mess_core.targets.registry import TARGETS, name_of

Wanted = Literal["auto", "layer", "direction", "measured", "learned"]
Copies = Literal["keep", "collapse", "exclude"]
Hubs = Literal["auto", "on", "off"]
COPIES: tuple[Copies, ...] = ("keep", "collapse", "exclude")
CAPS = ("max_per_work", "max_per_performer", "max_per_album")
SEVERAL = frozenset({"composers", "performers", "instruments", "collections", "splits", "heard_as", "like", "unlike"})
CALLED = {target.title.casefold(): target.id for target in reversed(TARGETS.values())} | {"key": "key_pitch_class"}
MOST_NAMED = 20  # recordings to be like, and to be unlike: more are a collection, not a question


@dataclass(frozen=True)
class Between:
    """That a measured value lies within two limits, both of them in it; written as `tempo=90:110`, `tempo=:110`.

    low, high : in the target's unit, infinite where there is no limit; of a place on a circle, from which to which, so
        that `key_pitch_class=11:1` is B, C and D-flat
    """

    target: str
    low: float = -math.inf
    high: float = math.inf

    def lets_in(self, value: float) -> bool:
        """Whether a value lies within; what was not measured, NaN, does not."""
        if TARGETS[self.target].transform == CIRCLE and self.low > self.high:
            return value >= self.low or value <= self.high
        return self.low <= value <= self.high

    @property
    def is_limited(self) -> bool:
        """Whether there is a limit at all."""
        return math.isfinite(self.low) or math.isfinite(self.high)

    def __str__(self) -> str:
        low, high = ("" if math.isinf(limit) else plain_number(limit) for limit in (self.low, self.high))
        return f"{self.target}={low}:{high}"

    @property
    def words(self) -> str:
        """In a sentence.

        Examples
        --------
        >>> Between("tempo", 90, 110).words, Between("loudness_lufs", high=-14).words
        ('a tempo of 90 to 110 BPM', 'a loudness of at most -14 LUFS')
        >>> Between("key_pitch_class", 2, 2).words
        'a tonic of D'
        """
        name, unit = name_of(self.target), TARGETS[self.target].unit
        name = f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
        if TARGETS[self.target].transform == CIRCLE and math.isfinite(self.low) and math.isfinite(self.high):
            first, last = (PITCH_CLASSES[round(limit) % len(PITCH_CLASSES)] for limit in (self.low, self.high))
            return f"{name} of {first}" if first == last else f"{name} of {first} to {last}"
        unit = "" if unit[:1].isdigit() or unit[:1] == "-" else f" {unit}"  # a scale is no unit
        low, high = plain_number(self.low), plain_number(self.high)
        if math.isfinite(self.low) and math.isfinite(self.high):
            return f"{name} of {low} to {high}{unit}"
        if math.isfinite(self.low):
            return f"{name} of at least {low}{unit}"
        return f"{name} of at most {high}{unit}" if math.isfinite(self.high) else f"{name} of any size"


@dataclass(frozen=True)
class Question:
    """Nothing given is the plain question: what is alike?

    aspects : weight of each aspect; only their proportions count; empty means no aspect in particular
    avoid : aspects that must not count
    geometry : "auto" is "direction" if aspects are asked for and were discovered, else "layer"; "measured" goes by
        what was measured, without the encoder; "learned" by the metric that was activated
    k : how many
    diversity : 0 ranks by similarity alone; towards 1, what resembles a better result ranks lower (MMR)
    max_per_work, max_per_performer, max_per_album : caps; None for no cap
    duplicates : near-duplicates are kept, shown once, or, if they are near-duplicates of the query, not shown
    versions : other recordings of the same work, likewise
    composers, performers, instruments, collections, splits : only recordings of these; empty for any
    where : pairs of a name or a column of the user's own table and what it must say; of one name any of its pairs
    heard_as : words of the vocabulary; only recordings that stand high in all of them (`tagged.py`)
    between : only recordings of which each of these was measured within its limits (`between.py`)
    words : what is asked for in words, one or several to a text (`words.py`); empty for none
    like, unlike : ids of further tracks of the library, that answers should be like, too, and should not (`seeds.py`)
    along : an aspect by which all are put in order, the least of it first; empty for none (`along.py`)
    reverse : the other end first: the furthest in place of the nearest, the most of `along` in place of the least
    hubs : whether ranks are corrected for recordings that are near to everything (CSLS); "auto" if it helps here
    """

    aspects: Mapping[str, float] = field(default_factory=dict)
    avoid: tuple[str, ...] = ()
    geometry: Wanted = "auto"
    k: int = 10
    diversity: float = 0.0
    max_per_work: int | None = None
    max_per_performer: int | None = None
    max_per_album: int | None = None
    duplicates: Copies = "keep"
    versions: Copies = "keep"
    hubs: Hubs = "auto"
    composers: tuple[str, ...] = ()
    performers: tuple[str, ...] = ()
    instruments: tuple[str, ...] = ()
    collections: tuple[str, ...] = ()
    splits: tuple[str, ...] = ()
    where: tuple[tuple[str, str], ...] = ()
    heard_as: tuple[str, ...] = ()
    between: tuple[Between, ...] = ()
    words: tuple[str, ...] = ()
    like: tuple[str, ...] = ()
    unlike: tuple[str, ...] = ()
    along: str = ""
    reverse: bool = False

    @property
    def weights(self) -> dict[str, float]:
        """The weights above 0, adding up to 1."""
        total = sum(self.aspects.values())
        return {aspect: weight / total for aspect, weight in self.aspects.items() if weight > 0}


def check_question(question: Question) -> None:
    """Refuse what cannot be meant.

    Raises
    ------
    InputError
        For an unknown aspect, a negative weight, weights that are all zero, an aspect both asked for and avoided, or a
        number out of its range; for a track that answers should be both like and unlike, or that is named twice; for
        two orders at once.
    """
    for aspect in [*question.aspects, *question.avoid]:
        check_name("aspect", aspect, ASPECTS)
    check_name("geometry", question.geometry, get_args(Wanted))
    check_name("way with near-duplicates", question.duplicates, COPIES)
    check_name("way with other recordings of a work", question.versions, COPIES)
    check_name("way with hubs", question.hubs, get_args(Hubs))
    for word in question.heard_as:
        check_name("tag", word, VOCABULARY)
    for each in question.between:
        if not each.is_limited:
            raise InputError(
                f"{each.target}=: has no limit.", f"Write the least, the most, or both: {each.target}=90:110."
            )
    for aspect, weight in question.aspects.items():
        if not math.isfinite(weight) or weight < 0:
            raise InputError(
                f"The weight of {aspect} is {weight:g}, expected 0 or more.", f"To leave it out use: not {aspect}."
            )
    if question.aspects and not any(question.aspects.values()):
        raise InputError(
            "The weights of all aspects are 0, so nothing is asked for.", "Give one of them a weight above 0."
        )
    both = [aspect for aspect in question.avoid if question.aspects.get(aspect)]
    if both:
        raise InputError(f"{both[0]} is both asked for and left out.", "Choose one of the two.")
    if question.k < 1:
        raise InputError(f"k is {question.k}, expected at least 1 neighbour.")
    if not 0 <= question.diversity <= 1:
        raise InputError(f"Diversity is {question.diversity:g}, expected 0 to 1.")
    for track_id in question.like:
        if track_id in question.unlike:
            raise InputError(f"Answers should be like {track_id} and should not.", "Choose one of the two.")
    if question.along:
        check_name("aspect", question.along, ASPECTS)
        if question.along in question.avoid:
            raise InputError(f"{question.along} is both the order and left out.", "Choose one of the two.")
        if question.like or question.unlike:
            raise InputError("An order along an aspect has nothing to be like or unlike.", "Ask for one of the two.")
        if question.words:
            raise InputError("Words and an aspect are two orders.", "Ask for one of the two.")
    if question.reverse and question.words:
        raise InputError("What fits words least is not looked for.", "Say what is not wanted: not piano.")
    for named in (question.like, question.unlike):
        if len(set(named)) < len(named):
            raise InputError("A recording that answers should be like, or should not, is named twice.", "Once will do.")
        if len(named) > MOST_NAMED:
            raise InputError(f"{len(named)} recordings are named at once, expected at most {MOST_NAMED}.")
    for name in CAPS:
        cap = getattr(question, name)
        if cap is not None and cap < 1:
            of = name.removeprefix("max_per_")
            raise InputError(f"At most {cap} per {of} would leave nothing.", "Expected 1 or more.")


def question_of(
    aspects: Any = None, avoid: Any = (), k: Any = 10, words: tuple[str, ...] = (), **further: Any
) -> Question:
    """The question that somebody asks in Python, its kinds of values looked at; `check_question` looks at the values.

    Raises
    ------
    InputError
        If there is no such part of a question, or a value is of another kind than it takes.
    """
    for name in further:
        check_name("option of a question", name, [each.name for each in fields(Question)])
    if not isinstance(aspects or {}, Mapping):
        raise InputError(f"Aspects are a {type(aspects).__name__}, expected their weights: {{'brightness': 1}}.")
    for aspect, weight in (aspects or {}).items():
        if not isinstance(weight, Real):
            raise InputError(f"The weight of {aspect} is {weight!r}, expected a number.")
    for name, value in {"k": k, **{name: further[name] for name in CAPS if further.get(name) is not None}}.items():
        if not isinstance(value, Integral):
            raise InputError(f"{name} is {value!r}, expected a whole number.")
    if not isinstance(further.get("diversity", 0), Real):
        raise InputError(f"diversity is {further['diversity']!r}, expected 0 to 1.")
    for name in SEVERAL & further.keys():
        further[name] = _several(name, further[name])
    if "where" in further:
        further["where"] = _pairs(further["where"])
    if any(not isinstance(each, Between) for each in further.get("between", ())):
        further["between"] = parse_between(_several("between", further["between"]))
    return Question(aspects=dict(aspects or {}), avoid=_several("avoid", avoid), k=int(k), words=words, **further)


def _several(name: str, value: Any) -> tuple[str, ...]:
    """Names; one alone is one, and not its letters."""
    found = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, Iterable) else (value,)
    if not all(isinstance(each, str) for each in found):
        raise InputError(f"{name} is {value!r}, expected one or several names.")
    return found


def _pairs(where: Any) -> tuple[tuple[str, str], ...]:
    """What must be said of a track: a mapping, pairs, or texts as on the command line."""
    asked = where.items() if isinstance(where, Mapping) else [where] if isinstance(where, str) else where
    try:
        pairs = [each.split("=", 1) if isinstance(each, str) else each for each in asked]
        return tuple((str(name).strip(), str(value).strip()) for name, value in pairs)
    except (TypeError, ValueError) as error:
        raise InputError(f"where is {where!r}.", "Write what a track must be: {'era': 'late'}.") from error


def parse_aspects(text: str) -> dict[str, float]:
    """`brightness=0.7,phrasing=0.3`, as on the command line; a name alone weighs 1.

    Examples
    --------
    >>> parse_aspects("brightness=0.7, tempo")
    {'brightness': 0.7, 'tempo': 1.0}
    """
    weights = {}
    for part in text.split(","):
        name, _, number = part.strip().partition("=")
        try:
            weights[name] = float(number) if number else 1.0
        except ValueError as error:
            raise InputError(
                f"The weight of {name} is {number!r}, expected a number.", "Write: brightness=0.7,tempo=0.3."
            ) from error
    return weights


def parse_heard_as(texts: Sequence[str]) -> tuple[str, ...]:
    """Words of the vocabulary, in any case and by any of their names.

    Raises
    ------
    InputError
        If there is no such word.

    Examples
    --------
    >>> parse_heard_as(["Violin", "women"])
    ('violin', 'female voice')
    """
    return tuple(dict.fromkeys(map(meaning, texts)))


def parse_between(texts: Sequence[str]) -> tuple[Between, ...]:
    """`tempo=90:110`, as on the command line and in links; a limit that is left out is none.

    Raises
    ------
    InputError
        If there is no such target, or no limit that can be meant.

    Examples
    --------
    >>> [str(each) for each in parse_between(["tempo=90:110.50", "loudness_lufs= : -14"])]
    ['tempo=90:110.5', 'loudness_lufs=:-14']
    """
    found: dict[str, Between] = {}
    for text in texts:
        target, equals, limits = (part.strip() for part in text.partition("="))
        low, colon, high = (part.strip() for part in limits.partition(":"))
        target = CALLED.get(target.casefold(), target)
        check_name("measured value", target, TARGETS)
        try:
            one = Between(target, float(low or -math.inf), float(high or math.inf))
        except ValueError:
            one = Between(target, math.nan, math.nan)
        is_turned = one.low > one.high and TARGETS[target].transform != CIRCLE
        if not (equals and colon) or math.isnan(one.low) or math.isnan(one.high) or is_turned:
            raise InputError(
                f"{text!r} says not between which values {name_of(target)} is to be.",
                f"Write the least, a colon and the most, in {TARGETS[target].unit}: {target}=90:110, or {target}=90: .",
            )
        if target in found:
            raise InputError(f"{name_of(target)} is limited twice.", "Once will do.")
        found[target] = one
    return tuple(found.values())


def parse_where(conditions: Sequence[str], known: Collection[str]) -> tuple[tuple[str, str], ...]:
    """`era=late`, as on the command line; names in any case.

    Raises
    ------
    InputError
        If there is no = in it, or no such name.

    Examples
    --------
    >>> parse_where(["ERA=late"], ["era", "level"])
    (('era', 'late'),)
    """
    folded = {name.casefold(): name for name in known}
    found = []
    for condition in conditions:
        name, equals, value = (part.strip() for part in condition.partition("="))
        if not equals:
            raise InputError(f"{condition!r} says not what a track must be.", "Write: --where NAME=VALUE.")
        check_name("column", name.casefold(), folded)
        found.append((folded[name.casefold()], value))
    return tuple(found)
