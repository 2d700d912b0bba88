"""The vocabulary: every raw tag of both trainings in one row, and no spelling with two meanings."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from mess_core.encoders.musicnn import MSD, MTT, Musicnn, TagLayer, tag_names
from mess_core.encoders.vocabulary import (
    GROUPS,
    OPPOSITES,
    PUBLISHED,
    TRAININGS,
    VOCABULARY,
    WORDS,
    meaning,
    merged,
    raw_names,
    spellings,
)
from mess_core.errors import InputError


def test_every_raw_tag_is_in_one_row_and_none_in_two() -> None:
    used = Counter(raw for tag in VOCABULARY.values() for raw in tag.raw)
    assert used == Counter(raw_names()) and len(raw_names()) == 100
    assert set(raw_names()) == {f"mtt:{name}" for name in tag_names(MTT)} | {f"msd:{name}" for name in tag_names(MSD)}


def test_every_word_has_a_group_and_a_figure() -> None:
    assert {tag.group for tag in VOCABULARY.values()} == set(GROUPS)
    assert all(tag.trainings and set(tag.trainings) <= PUBLISHED.keys() for tag in VOCABULARY.values())
    assert PUBLISHED.keys() == TRAININGS.keys()
    groups = [tag.group for tag in VOCABULARY.values()]
    assert groups == sorted(groups, key=GROUPS.index)  # the table is read group by group


def test_a_spelling_means_one_word() -> None:
    """Names, synonyms and raw tags: none is claimed by two rows, and what denies a voice names none."""
    claimed = Counter()
    for tag in VOCABULARY.values():
        own = {tag.name, *tag.synonyms, *(raw.partition(":")[2] for raw in tag.raw)}
        claimed.update({spelled.casefold() for spelled in own})
    assert [spelled for spelled, n in claimed.items() if n > 1] == []
    meant = spellings()
    assert set(meant.values()) == set(WORDS) and all(spelled == spelled.casefold() for spelled in meant)
    assert meant["woman"] == meant["female vocalists"] == "female voice" and meant["rnb"] == meant["r&b"] == "R&B"
    assert not any(spelled.startswith("no ") for spelled in meant)


def test_opposites_are_words() -> None:
    assert {word for pair in OPPOSITES for word in pair} <= set(WORDS)


def test_a_word_is_as_strong_as_its_strongest_tag() -> None:
    """Planted: a word of eleven tags that are all a little there stays below one of a single strong tag."""
    raw = np.zeros((2, 100))
    number = {name: n for n, name in enumerate(raw_names())}
    for name in VOCABULARY["female voice"].raw:
        raw[0, number[name]] = 0.2
    raw[0, number["mtt:violin"]] = 0.5
    raw[1, number["msd:rock"]], raw[1, number["mtt:rock"]] = 0.3, 0.7
    words = dict(zip(WORDS, merged(raw).T, strict=True))
    assert words["female voice"].tolist() == [0.2, 0] and words["violin"].tolist() == [0.5, 0]
    assert words["rock"].tolist() == [0, 0.7]
    assert merged(np.zeros((3, 4, 100))).shape == (3, 4, len(WORDS))


def test_signs_of_no_voice_are_never_signs_of_one() -> None:
    raw = np.zeros(100)
    for n, name in enumerate(raw_names()):
        raw[n] = name.startswith("mtt:no ")
    heard = dict(zip(WORDS, merged(raw), strict=True))
    assert [word for word, strength in heard.items() if strength] == ["instrumental"]


@pytest.mark.parametrize("info", TRAININGS.values(), ids=lambda info: info.id)
def test_tags_need_no_network(info) -> None:
    penultimate = np.random.default_rng(0).standard_normal((3, 200)).astype(np.float32)
    np.testing.assert_array_equal(TagLayer.load(info)(penultimate), Musicnn.load(info).tags(penultimate))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("violn", "heard as 'violn'.*Did you mean violin"),
        ("", "heard as ''.*Known: guitar, piano"),
        ("x" * 5000, "heard as 'x{40}…'.*Known"),
        ("\x1b[31mred", "Known|mean"),
        ("no vocals", "not in the vocabulary"),
    ],
)
def test_what_means_nothing_is_said_in_a_sentence(text, says) -> None:
    with pytest.raises(InputError, match=says) as refused:
        meaning(text)
    assert "\x1b" not in str(refused.value) and len(refused.value.message) < 120


def test_words_are_known_by_any_of_their_names() -> None:
    assert [meaning(each) for each in (" VIOLIN ", "Hip  hop", "1980s", *WORDS)] == ["violin", "hip-hop", "80s", *WORDS]
