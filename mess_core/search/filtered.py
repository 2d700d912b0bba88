"""Filtered: which recordings a question lets into its list at all, by names, columns, tags, measured values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mess_core.catalogue.catalogue import FILTERS
from mess_core.search.between import with_values
from mess_core.search.question import Question
from mess_core.search.selection import Candidate, Facts, FactsOf, select
from mess_core.search.tagged import require_tags
from mess_core.search.track_facts import facts_of_many
from mess_core.workspace.workspace import Workspace


def is_filtered(question: Question) -> bool:
    """Whether it lets in some recordings only."""
    by_more = question.where or question.heard_as or question.between
    return bool(by_more or any(getattr(question, f"{name}s") for name in FILTERS))


def filtered(workspace: Workspace, library: str, question: Question, track_ids: Sequence[str]) -> frozenset[str]:
    """Those of the tracks that it lets in; copies, versions and caps aside, which depend on what else is found.

    Parameters
    ----------
    library : str
        In which a tag is counted as heard.

    Raises
    ------
    DataMissingError
        If tags are asked for and MusiCNN has heard nothing of the library yet.
    """
    only = replace(
        Question(),
        k=max(1, len(track_ids)),
        where=question.where,
        heard_as=question.heard_as,
        between=question.between,
        **{f"{name}s": getattr(question, f"{name}s") for name in FILTERS},
    )
    candidates = (Candidate(row, track_id, 0.0, 0.0) for row, track_id in enumerate(track_ids))
    return frozenset(each.track_id for each in select(candidates, only, Facts(), facts_for(workspace, library, only)))


def facts_for(workspace: Workspace, library: str, question: Question) -> FactsOf:
    """What a question's filters go by: names and columns, and tags and measured values only where they are asked for.

    Raises
    ------
    DataMissingError
        As `filtered`.
    """
    tagged = require_tags(workspace, library) if question.heard_as else None

    def facts_of(track_ids: Sequence[str]) -> dict[str, Facts]:
        facts = facts_of_many(workspace, track_ids)
        if tagged is not None:
            facts = dict(tagged.with_tags(facts))
        return with_values(workspace, facts, [each.target for each in question.between]) if question.between else facts

    return facts_of
