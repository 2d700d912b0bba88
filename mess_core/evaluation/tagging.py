"""Tagging: is what is a violin's by its name heard as a violin? What tags are worth on a library that has names.

For each word that enough names of the library mean: the area under the ROC curve, which is the chance that a recording
named so is heard more as that than one named otherwise. 1 is always, .5 is chance. Instruments and voices go by the
name `instrument`, the other words by columns of the user's own table (`NAMED_BY`); recordings without such a name are
left out. Works are drawn anew for the intervals, as everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mess_core.encoders.vocabulary import PUBLISHED, VOCABULARY, spellings
from mess_core.probing.discovery import groups_of
from mess_core.probing.uncertainty import MIN_GROUPS
from mess_core.search.tagged import require_tags
from mess_core.workspace.workspace import Workspace

NAMED_BY = ("genre", "style", "mood", "era", "decade", "tags")  # columns, in any case
FEWEST = 5  # recordings with a name, and without
N_DRAWS, SEED = 500, 0


@dataclass(frozen=True)
class TagFigure:
    """How well one word is heard in a library.

    n_with, n_without : recordings whose name means it, and others that have a name
    auc : area under the ROC curve, .5 is chance
    low, high : 95 % interval over works; None below ten of them
    published : mean over the fifty tags of each training that knows it, on its own test set
    """

    word: str
    group: str
    n_with: int
    n_without: int
    auc: float
    low: float | None
    high: float | None
    published: Mapping[str, float]


def check_tags(workspace: Workspace, library: str) -> list[TagFigure]:
    """Every word that enough recordings of a library are named by; the surest first. DataMissingError without tags."""
    tagged = require_tags(workspace, library)
    known = workspace.catalogue.tracks_of(tagged.track_ids)
    details = workspace.catalogue.details_of_many(tagged.track_ids)
    works = np.unique(groups_of([known[track_id] for track_id in tagged.track_ids], "work"), return_inverse=True)[1]
    by_instrument = [known[track_id].instrument or "" for track_id in tagged.track_ids]
    by_table = [
        ", ".join(value for name, value in details.get(track_id, {}).items() if name.casefold() in NAMED_BY)
        for track_id in tagged.track_ids
    ]
    named = {is_instrument: [meant_in(text) for text in texts] for is_instrument, texts in
             ((True, by_instrument), (False, by_table))}  # fmt: skip
    has_name = {True: np.array([bool(t) for t in by_instrument]), False: np.array([bool(t) for t in by_table])}
    figures = []
    for number, (word, tag) in enumerate(VOCABULARY.items()):
        kind = tag.group in ("instrument", "voice")
        rows = np.flatnonzero(has_name[kind])
        is_it = np.array([word in named[kind][row] for row in rows], bool)
        if min(is_it.sum(), (~is_it).sum()) < FEWEST:
            continue
        auc, low, high = _auc_over_works(tagged.strengths[rows, number], is_it, works[rows])
        published = {training: PUBLISHED[training] for training in tag.trainings}
        figures.append(TagFigure(word, tag.group, int(is_it.sum()), int((~is_it).sum()), auc, low, high, published))
    return sorted(figures, key=lambda figure: -figure.auc)


def meant_in(text: str) -> set[str]:
    """The words of the vocabulary that a name means, longer ones before what is part of them.

    Examples
    --------
    >>> sorted(meant_in("Violin, string orchestra")), meant_in("clarinet")
    (['strings', 'violin'], set())
    """
    found, left = set(), f" {text.casefold()} "
    for spelled, word in sorted(spellings().items(), key=lambda pair: -len(pair[0])):
        pattern = rf"(?<!\w){re.escape(spelled)}(?!\w)"
        if spelled in left and re.search(pattern, left):
            found.add(word)
            left = re.sub(pattern, " ", left)
    return found


def roc_auc(strengths: np.ndarray, is_it: np.ndarray, weights: np.ndarray | None = None) -> float:
    """The chance that one that is it is stronger than one that is not, equals counting half; NaN if there are not both.

    Parameters
    ----------
    strengths : ndarray, shape (n,)
    is_it : ndarray, shape (n,), bool
    weights : ndarray, shape (n,), or None
        How often each counts.
    """
    codes = np.unique(strengths, return_inverse=True)[1]
    counted = np.ones(len(codes)) if weights is None else weights
    with_it, without = (np.bincount(codes, counted * of) for of in (is_it, ~is_it))
    n_pairs = with_it.sum() * without.sum()
    if not n_pairs:
        return float("nan")
    below = np.cumsum(without) - without / 2
    return float((with_it * below).sum() / n_pairs)


def _auc_over_works(
    strengths: np.ndarray, is_it: np.ndarray, works: np.ndarray
) -> tuple[float, float | None, float | None]:
    works = np.unique(works, return_inverse=True)[1]
    n_works = int(works.max()) + 1
    auc = roc_auc(strengths, is_it)
    if n_works < MIN_GROUPS:
        return auc, None, None
    rng = np.random.default_rng(SEED)
    draws = [
        roc_auc(strengths, is_it, rng.multinomial(n_works, np.full(n_works, 1 / n_works))[works])
        for _ in range(N_DRAWS)
    ]
    low, high = np.nanpercentile(draws, [2.5, 97.5])
    return auc, float(low), float(high)
