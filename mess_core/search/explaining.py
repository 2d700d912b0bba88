"""Explaining: by which index reasons are found, which names a neighbour shares, and how alike all others are."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from mess_core.catalogue.catalogue import Track
from mess_core.probing.discovery import Discovery
from mess_core.search.answers import Answer, Plan, make_plan, vector_of
from mess_core.search.neighbours import NeighbourIndex
from mess_core.search.paths import TrackPath
from mess_core.search.question import Question
from mess_core.search.reasons import Reason, errors_of, find_reasons
from mess_core.search.selection import Facts
from mess_core.search.track_facts import work_of
from mess_core.workspace.scope import Scope


def plan_of_reasons(
    plan: Plan, discovery_of: Callable[[Scope], Discovery | None] = Scope.discovery_for_search
) -> Plan | None:
    """The plan by whose index the neighbours of an answer are explained (`reasons.find_reasons`).

    Reasons are all aspects with evidence, whatever the search went by. A search along directions from which nothing
    was taken out has them in its own index; any other needs that of the directions. None where there are none.
    A search by measured values is explained by the values that it asked for.

    Parameters
    ----------
    plan : Plan
    discovery_of : callable (scope) -> Discovery or None
        What searches of a scope go by; a page has read it already, which takes seconds of ten thousand tracks.
    """
    if plan.measured is not None:
        asked = replace(plan.question, avoid=())
        return plan if not plan.avoid else make_plan(plan.scope, asked, None)
    if plan.scope.info.explained_by is not None:
        scope = plan.scope.for_aspects
        discovery = discovery_of(scope) if scope.n_embedded else None
        plan = replace(plan, scope=scope, discovery=discovery)
    if plan.discovery is None or not any(aspect.has_evidence for aspect in plan.discovery.aspects.values()):
        return None
    if plan.kind.has_directions and not plan.avoid:
        return plan
    return make_plan(plan.scope, Question(geometry="direction"), plan.discovery)


def query_of_reasons(plan: Plan, found: Answer) -> np.ndarray | None:
    """What of the query is compared by a plan of reasons, (n_layers, dim).

    None where its encoder has not heard it, or there is no query.
    """
    if found.query is None:
        return None
    if plan.scope.info == found.plan.scope.info:
        return vector_of(plan, found.query)
    store = plan.scope.workspace.store
    if not store.has(found.query.track_id, plan.scope.info):
        return None
    return store.read(found.query.track_id, plan.scope.info).mean


def explain_neighbours(
    found: Answer,
    index_of: Callable[[Plan], NeighbourIndex],
    discovery_of: Callable[[Scope], Discovery | None] = Scope.discovery_for_search,
) -> dict[str, list[Reason]]:
    """In what each neighbour of an answer is like its query, and in what not, by track id; empty where unknown.

    Parameters
    ----------
    found : Answer
    index_of : callable (plan) -> NeighbourIndex
        As `answers.build_index`; a page has built it already.
    discovery_of : callable (scope) -> Discovery or None
        As in `plan_of_reasons`.
    """
    track_ids = [item.track.track_id for item in found.found]
    plan = plan_of_reasons(found.plan, discovery_of) if found.query is not None else None
    query = None if plan is None else query_of_reasons(plan, found)
    if plan is None or query is None:  # asked in words; nothing discovered; an upload that its encoder has not heard
        return {track_id: [] for track_id in track_ids}
    errors = None if plan.discovery is None else errors_of(plan.discovery.result)
    return find_reasons(index_of(plan), query, track_ids, errors)


def explain_steps(
    path: TrackPath,
    index_of: Callable[[Plan], NeighbourIndex],
    discovery_of: Callable[[Scope], Discovery | None] = Scope.discovery_for_search,
) -> list[list[Reason]]:
    """In what each recording of a path is like the one before, and in what not; nothing of the first, or if not known.

    `index_of` and `discovery_of` as in `explain_neighbours`.
    """
    plan = plan_of_reasons(path.plan, discovery_of)
    track_ids = [step.track.track_id for step in path.steps]
    if plan is None:
        return [[] for _ in track_ids]
    store, index = plan.scope.workspace.store, index_of(plan)
    errors = None if plan.discovery is None else errors_of(plan.discovery.result)
    reasons: list[list[Reason]] = [[]]
    for before, here in itertools.pairwise(track_ids):
        is_known = plan.measured is None and store.has(before, plan.scope.info)
        vector = store.read(before, plan.scope.info).mean if is_known else None
        reasons.append([] if vector is None else find_reasons(index, vector, [here], errors)[here])
    return reasons


def names_in_common(facts: Facts, track: Track) -> list[str]:
    """Which of what the catalogue knows of a query is the same of a track: "work", "performer"."""
    pairs = {"work": (facts.work, work_of(track)), "performer": (facts.performer, track.performer)}
    return [name for name, (of_query, of_track) in pairs.items() if of_query is not None and of_query == of_track]


def similarities_to(index: NeighbourIndex, query: np.ndarray, track_ids: Sequence[str]) -> list[float | None]:
    """How alike to a query each of these tracks is, as a search that asks for no aspect ranks them.

    Parameters
    ----------
    index : NeighbourIndex
    query : ndarray, shape (n_layers, dim)
        Its embedding.
    track_ids : sequence of str

    Returns
    -------
    list of float or None
        None for a track that the index does not hold.
    """
    found = index.search(query, Question(k=max(1, len(index))))
    similarity = {each.track_id: each.similarity for each in found.neighbours}
    return [similarity.get(track_id) for track_id in track_ids]
