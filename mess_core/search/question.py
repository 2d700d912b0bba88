"""A question: what is asked of a library, beside the query itself."""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from mess_core.encoders.vocabulary import VOCABULARY, meaning
from mess_core.errors import InputError
from mess_core.probing.aspects import ASPECTS

Wanted = Literal["auto", "layer", "direction", "measured", "learned"]
Copies = Literal["keep", "collapse", "exclude"]
Hubs = Literal["auto", "on", "off"]
COPIES: tuple[Copies, ...] = ("keep", "collapse", "exclude")
MOST_NAMED = 20  # recordings to be like, and to be unlike: more are a collection, not a question


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
    for word in question.heard_as:
        check_name("tag", word, VOCABULARY)
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
    for name in ("work", "performer", "album"):
        cap = getattr(question, f"max_per_{name}")
        if cap is not None and cap < 1:
            raise InputError(f"At most {cap} per {name} would leave nothing.", "Expected 1 or more.")


def check_name(kind: str, name: str, known: Collection[str]) -> None:
    """InputError for a name that does not exist, with the nearest one that does."""
    if name in known:
        return
    near = difflib.get_close_matches(name, list(known), 1)
    hint = f"Did you mean {near[0]}?" if near else f"Known: {', '.join(known)}."
    raise InputError(f"There is no {kind} {name!r}.", hint)


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
