"""Words: a search by what recordings are heard as. "solo violin, slow, not piano".

    text -> wishes, each a word of the vocabulary that is wanted or not
         -> points of each recording in each wish, 0 to 100    its percentile in the library; 100 less that if unwanted
         -> score                                              their mean

So to be heard little as a piano helps exactly as much as to be heard much as a violin, and the order of the words does
not matter. With a query recording, its likeness has points too: how many recordings of the library are less like it, in
percent. Half of the score is likeness then, and half the words, however many:

    words alone     score = mean of points
    with a query    score = (points of likeness + mean of points) / 2

Each wish's share of the score is what it adds to it; shares add up to it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mess_core.encoders.vocabulary import LONGEST_SHOWN, OPPOSITES, WORDS, meaning, spellings
from mess_core.errors import InputError
from mess_core.numbers import whole_parts
from mess_core.search.tagged import TaggedLibrary
from mess_core.storage.untrusted import printable
from mess_core.words import counted

MOST_TYPED = 50  # words of a text
LONGEST_SPELLING = max(len(spelled.split()) for spelled in spellings())  # in words
DENIALS = ("not", "no", "without", "non")
TURNS = ("but", "with")  # from here on it is wanted again
FILLERS = ("a", "an", "the", "and", "like", "this", "music", "sound", "sounds", "please", *TURNS)
LIKENESS = "like the query"
EXAMPLE = "Write what it sounds like, such as: solo violin, slow, not piano."


@dataclass(frozen=True)
class Wish:
    """A word of the vocabulary that is wanted, or not."""

    word: str
    is_wanted: bool = True

    def __str__(self) -> str:
        return self.word if self.is_wanted else f"not {self.word}"


def parse_words(text: str) -> tuple[Wish, ...]:
    """What is asked for in words; what is said twice counts once.

    "not", "no", "without" and a minus before a word deny what follows, up to the next comma, "but" or "with"; a denial
    of a denial is none.

    Raises
    ------
    InputError
        If nothing is asked for, a word is not in the vocabulary, two contradict each other, or there are too many.

    Examples
    --------
    >>> [str(wish) for wish in parse_words("Solo violin, slow, not piano")]
    ['solo', 'violin', 'slow', 'not piano']
    >>> [str(wish) for wish in parse_words("like this, but with voice and no drums")]
    ['voice', 'not drums']
    """
    phrases = [_split(phrase) for phrase in re.split(r"[,;\n]", text)]
    n_typed = sum(map(len, phrases))
    if n_typed > MOST_TYPED:
        raise InputError(
            f"These are {counted(n_typed, 'word')}; at most {MOST_TYPED} can be asked for at once.",
            "Name what matters most.",
        )
    wishes = tuple(dict.fromkeys(wish for phrase in phrases for wish in _wishes(phrase)))
    if not wishes:
        raise InputError("No word is asked for.", EXAMPLE)
    wanted = {wish.word for wish in wishes if wish.is_wanted}
    both = [wish.word for wish in wishes if not wish.is_wanted and wish.word in wanted]
    if both:
        raise InputError(f"{both[0]} is both asked for and left out.", "Choose one of the two.")
    for one, other in OPPOSITES:
        if {one, other} <= wanted:
            raise InputError(f"{one} and {other} contradict each other.", "Choose one of the two.")
    return wishes


def _split(phrase: str) -> list[str]:
    """Words in lower case; a minus before one is a denial, a dash within one stays."""
    said: list[str] = []
    for token in phrase.casefold().split():
        bare = token.strip("\"“”„'‘’.!?():")
        denied = bare.lstrip("-−–")
        if denied != bare:
            said.append("not")
        if denied := denied.lstrip("+"):
            said.append(denied)
    return said


def _wishes(said: Sequence[str]) -> list[Wish]:
    """Of one phrase, the longest spellings first."""
    known, found = spellings(), []
    is_wanted, last, at = True, "", 0
    while at < len(said):
        for n in range(min(LONGEST_SPELLING, len(said) - at), 0, -1):
            spelled = " ".join(said[at : at + n])
            if spelled in known:
                found.append(Wish(known[spelled], is_wanted))
                break
        else:
            n, token = 1, said[at]
            if token in DENIALS:
                is_wanted = not is_wanted
            elif token in TURNS:
                is_wanted = is_wanted or last not in DENIALS
            elif token not in FILLERS:
                meaning(token)  # refuses it, with what is spelled alike
        last, at = said[at], at + n
    if last in DENIALS:
        raise InputError(f"After {printable(last[:LONGEST_SHOWN])!r} nothing follows.", EXAMPLE)
    return found


def points_of(tagged: TaggedLibrary, wishes: Sequence[Wish]) -> np.ndarray:
    """Points of each recording in each wish, (n_tracks, n_wishes), 0 to 100."""
    columns = tagged.percentiles[:, [WORDS.index(wish.word) for wish in wishes]]
    return np.where([wish.is_wanted for wish in wishes], columns, 100.0 - columns)


def ranks(values: np.ndarray) -> np.ndarray:
    """How many of all are smaller, in percent; equals count half: (n,) -> (n,).

    Examples
    --------
    >>> ranks(np.array([0.2, 0.9, 0.2, 0.1])).tolist()
    [50.0, 87.5, 50.0, 12.5]
    """
    ordered = np.sort(values)
    below, up_to = (np.searchsorted(ordered, values, side) for side in ("left", "right"))
    found: np.ndarray = 50.0 * (below + up_to) / max(1, len(values))
    return found


def shares_of(points: np.ndarray, likeness: np.ndarray | None = None) -> np.ndarray:
    """What each wish adds to the score, (n_tracks, n_wishes); with the likeness (n_tracks,) to a query, that last."""
    shares = points / points.shape[1]
    return shares if likeness is None else np.column_stack([shares / 2, likeness / 2])


def in_shares(shares: Mapping[str, float]) -> str:
    """What each wish adds to a score of at most 100, in words.

    Examples
    --------
    >>> in_shares({"violin": 48.6, "not piano": 20.2})
    'violin 49, not piano 20: together 69 of 100'
    >>> in_shares({"violin": 8.5, "slow": 8.5, "like the query": 8.5})
    'violin 9, slow 9, like the query 8: together 26 of 100'
    >>> in_shares({"slow": 86.2})
    'slow 86 of 100'
    """
    total = round(sum(shares.values()))
    parts = whole_parts([*shares.values()], total)
    said = ", ".join(f"{name} {part}" for name, part in zip(shares, parts, strict=True))
    return f"{said} of 100" if len(shares) == 1 else f"{said}: together {total} of 100"
