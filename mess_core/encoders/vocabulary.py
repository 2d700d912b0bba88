"""Vocabulary: the words a recording can be heard as, and which tags of MusiCNN stand for each.

Both trainings have fifty tags, and many say the same: "female vocal", "female voice", "woman". `VOCABULARY` is the
table that merges them. Every raw tag is in one row, none in two, and a word is as strong as the strongest of its tags.

    raw tags (…, 100), those of `musicnn-mtt` and then those of `musicnn-msd`  ->  words (…, n_words)

Instruments, voices and how it is played come from MagnaTagATune, whose tags people gave to what they had just heard;
genre, mood and era from the Million Song Dataset, whose tags people gave to songs and artists they know. What both have
is read off both. The tags "no vocals", "no vocal" and "no voice" are no voice at all: they are signs of *instrumental*,
which is a word of its own, and are never turned round to tell a voice.

How far to trust them: `PUBLISHED` has the area under the ROC curve of each training on its own test set, the mean over
its fifty tags. Nobody has published it tag by tag; `tags --check` measures it on a library that has names to go by.
"""

from __future__ import annotations

import difflib
import functools
from dataclasses import dataclass

import numpy as np

from mess_core.encoders.musicnn import MSD, MTT, tag_names
from mess_core.errors import InputError
from mess_core.storage.untrusted import printable

TRAININGS = {"mtt": MTT, "msd": MSD}  # in the order of raw tags
PUBLISHED = {"mtt": 0.907, "msd": 0.880}  # mean ROC AUC over fifty tags; Pons & Serra 2019
NEAR = 0.7  # ratio of two spellings that are alike
LONGEST_SHOWN = 40  # characters of what was typed, in a sentence
GROUPS = ("instrument", "voice", "playing", "genre", "mood", "era")


@dataclass(frozen=True)
class Tag:
    """One word of the vocabulary.

    group : of `GROUPS`
    raw : the tags that stand for it, each with its training: "mtt:violin"
    synonyms : what else people call it
    """

    name: str
    group: str
    raw: tuple[str, ...]
    synonyms: tuple[str, ...] = ()

    @property
    def trainings(self) -> tuple[str, ...]:
        """Which trainings know it."""
        return tuple(dict.fromkeys(each.partition(":")[0] for each in self.raw))


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _tag(group: str, name: str, mtt: str = "", msd: str = "", also: str = "") -> Tag:
    raw = [f"{training}:{tag}" for training, tags in (("mtt", mtt), ("msd", msd)) for tag in _split(tags)]
    return Tag(name, group, tuple(raw), tuple(_split(also)))


# Group, word, tags of MagnaTagATune, tags of the Million Song Dataset, synonyms.
VOCABULARY: dict[str, Tag] = {
    tag.name: tag
    for tag in (
        _tag("instrument", "guitar", "guitar", "guitar", "guitars"),
        _tag("instrument", "piano", "piano", "", "pianoforte, pianos"),
        _tag("instrument", "strings", "strings", "", "string, string orchestra, string section"),
        _tag("instrument", "violin", "violin", "", "violins, fiddle"),
        _tag("instrument", "cello", "cello", "", "cellos, violoncello"),
        _tag("instrument", "flute", "flute", "", "flutes"),
        _tag("instrument", "harp", "harp", "", "harps"),
        _tag("instrument", "harpsichord", "harpsichord", "", "cembalo, clavecin"),
        _tag("instrument", "sitar", "sitar", "", "sitars"),
        _tag("instrument", "synth", "synth", "", "synths, synthesizer, synthesiser, synthesizers, synthesisers"),
        _tag("instrument", "drums", "drums", "", "drum, percussion"),
        _tag("voice", "voice", "vocal, vocals, voice, singing", "", "voices, singer, sung"),
        _tag(
            "voice", "female voice", "female, woman, female vocal, female voice",
            "female vocalists, female vocalist", "women, female vocals, female singer",
        ),
        _tag(
            "voice", "male voice", "male, man, male vocal, male voice",
            "male vocalists", "men, male vocalist, male vocals, male singer",
        ),
        _tag("voice", "choir", "choir, choral", "", "chorus, choirs"),
        _tag("voice", "instrumental", "no vocals, no vocal, no voice", "instrumental", "instrumentals"),
        _tag("playing", "solo", "solo", "", "alone, unaccompanied"),
        _tag("playing", "slow", "slow", "", "slowly"),
        _tag("playing", "fast", "fast", "", "quick"),
        _tag("playing", "loud", "loud"),
        _tag("playing", "quiet", "quiet"),
        _tag("playing", "soft", "soft", "", "gentle"),
        _tag("playing", "beat", "beat, beats", "", "rhythmic"),
        _tag("playing", "acoustic", "", "acoustic", "unplugged"),
        _tag("genre", "classical", "classical, classic"),
        _tag("genre", "opera", "opera", "", "operatic"),
        _tag("genre", "indian", "indian", "", "hindustani, raga"),
        _tag("genre", "new age", "new age"),
        _tag("genre", "ambient", "ambient", "ambient"),
        _tag("genre", "electronic", "electronic", "electronic, electronica, electro"),
        _tag("genre", "techno", "techno"),
        _tag("genre", "house", "", "House"),
        _tag("genre", "dance", "dance", "dance"),
        _tag("genre", "pop", "pop", "pop"),
        _tag("genre", "rock", "rock", "rock"),
        _tag("genre", "classic rock", "", "classic rock"),
        _tag("genre", "hard rock", "", "hard rock"),
        _tag("genre", "progressive rock", "", "Progressive rock", "progressive, prog rock, prog"),
        _tag("genre", "alternative", "", "alternative, alternative rock"),
        _tag("genre", "indie", "", "indie, indie rock, indie pop"),
        _tag("genre", "punk", "", "punk", "punk rock"),
        _tag("genre", "metal", "metal", "metal, heavy metal"),
        _tag("genre", "country", "country", "country"),
        _tag("genre", "folk", "", "folk"),
        _tag("genre", "blues", "", "blues"),
        _tag("genre", "jazz", "", "jazz", "jazzy"),
        _tag("genre", "soul", "", "soul"),
        _tag("genre", "funk", "", "funk", "funky"),
        _tag("genre", "R&B", "", "rnb", "r and b, r'n'b, rhythm and blues"),
        _tag("genre", "hip-hop", "", "Hip-Hop", "hip hop, hiphop, rap"),
        _tag("genre", "easy listening", "", "easy listening", "lounge"),
        _tag("genre", "experimental", "", "experimental", "avant-garde"),
        _tag("mood", "beautiful", "", "beautiful"),
        _tag("mood", "mellow", "", "Mellow"),
        _tag("mood", "chill", "", "chill, chillout", "chilled, relaxed, relaxing, calm"),
        _tag("mood", "happy", "", "happy", "cheerful, joyful"),
        _tag("mood", "sad", "", "sad", "melancholy, melancholic, sorrowful"),
        _tag("mood", "sexy", "", "sexy", "sensual"),
        _tag("mood", "catchy", "", "catchy"),
        _tag("mood", "party", "", "party"),
        _tag("mood", "weird", "weird", "", "strange, odd"),
        _tag("era", "60s", "", "60s", "sixties, 1960s"),
        _tag("era", "70s", "", "70s", "seventies, 1970s"),
        _tag("era", "80s", "", "80s", "eighties, 1980s"),
        _tag("era", "90s", "", "90s", "nineties, 1990s"),
        _tag("era", "00s", "", "00s", "2000s, noughties"),
        _tag("era", "oldies", "", "oldies", "oldie, old"),
    )
}  # fmt: skip
WORDS = tuple(VOCABULARY)  # in the order of `merged`

# Who asks for both of a pair contradicts himself.
OPPOSITES = (
    ("slow", "fast"), ("loud", "quiet"), ("loud", "soft"), ("happy", "sad"), ("instrumental", "voice"),
    ("instrumental", "female voice"), ("instrumental", "male voice"), ("instrumental", "choir"),
)  # fmt: skip


@functools.cache
def raw_names() -> tuple[str, ...]:
    """The 100 raw tags, each with its training: "mtt:guitar"."""
    return tuple(f"{training}:{name}" for training, info in TRAININGS.items() for name in tag_names(info))


@functools.cache
def _columns() -> tuple[tuple[int, ...], ...]:
    """Of each word the raw tags that stand for it, by their numbers."""
    number = {name: n for n, name in enumerate(raw_names())}
    return tuple(tuple(number[raw] for raw in tag.raw) for tag in VOCABULARY.values())


def merged(raw: np.ndarray) -> np.ndarray:
    """How strongly something is heard as each word, between 0 and 1, in the order of `WORDS`.

    The strongest tag counts, not their sum: else what has many names would seem to be more than what has one.

    Parameters
    ----------
    raw : ndarray, shape (…, 100)
        In the order of `raw_names`.

    Returns
    -------
    ndarray, shape (…, n_words)
    """
    return np.stack([raw[..., list(columns)].max(axis=-1) for columns in _columns()], axis=-1)


@functools.cache
def spellings() -> dict[str, str]:
    """What people may write, in lower case, and the word that it means: names, synonyms and raw tags."""
    meant = {}
    for tag in VOCABULARY.values():
        raw = (each.partition(":")[2] for each in tag.raw)
        for spelled in (tag.name, *tag.synonyms, *(each for each in raw if not each.startswith("no "))):
            meant[spelled.casefold()] = tag.name
    return meant


def meaning(text: str) -> str:
    """The word that is meant by a spelling, in any case.

    Raises
    ------
    InputError
        If it means none; with what is spelled alike, else with all words there are.

    Examples
    --------
    >>> meaning("Violins"), meaning("woman")
    ('violin', 'female voice')
    """
    meant = spellings()
    spelled = " ".join(text.casefold().split())
    if spelled in meant:
        return meant[spelled]
    near = dict.fromkeys(meant[each] for each in difflib.get_close_matches(spelled[:LONGEST_SHOWN], meant, 3, NEAR))
    hint = f"Did you mean {' or '.join(near)}?" if near else f"Known: {', '.join(WORDS)}."
    shown = spelled if len(spelled) <= LONGEST_SHOWN else f"{spelled[:LONGEST_SHOWN]}…"
    raise InputError(f"Nothing can be heard as {printable(shown)!r}: it is not in the vocabulary.", hint)
