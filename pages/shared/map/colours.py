"""What the points of a map are coloured by: a name, a property, an aspect, or what is true of the map there."""

from __future__ import annotations

import streamlit as st

from mess_core.encoders.vocabulary import WORDS
from mess_core.maps.drawing import MapView
from mess_core.search.answers import make_plan
from mess_core.search.explaining import similarities_to
from mess_core.search.neighbours import NeighbourIndex
from mess_core.search.question import Question
from mess_core.search.reasons import aspect_coordinates
from mess_core.search.tagged import tag_scope
from mess_core.targets.registry import COMPARABLE, TARGETS
from mess_core.workspace.scope import Scope
from pages.shared.app import frame, resources, state
from pages.shared.map import figures, views
from pages.shared.map.figures import Colour

NAMES = ("instrument", "performer", "composer", "work")
REGION, KEPT, DISTANCE = "region", "neighbours kept", "likeness to the query"


def choose_colour(view: MapView, scope: Scope) -> Colour:
    """What the points are coloured by; in the URL."""
    workspace = resources.workspace()
    tracks = list(views.tracks_of(view).values())
    known = [name for name in NAMES if any(getattr(track, name) for track in tracks)]
    shown = [target for target in TARGETS.values() if target.id in COMPARABLE or not target.is_companion]
    targets = {target.title: target.id for target in shown}
    aspects = _aspects(scope)
    is_heard = tag_scope(workspace, scope.library).n_embedded
    words = {f"heard as: {word}": word for word in WORDS} if is_heard else {}
    options = [*known, REGION, KEPT, *([DISTANCE] if state.query() else []), *aspects, *targets, *words]
    few = [name for name in known if len({getattr(track, name) for track in tracks}) <= figures.MOST_NAMES]
    first = few[0] if few else options[0]
    chosen = state.sticky(st.selectbox, "Colour", options=options, key="colour", default=first)
    if chosen in NAMES:
        return Colour(chosen, names=[getattr(track, chosen) for track in tracks])
    if chosen == KEPT:
        return Colour(KEPT, numbers=view.preservation)
    if chosen == REGION:
        regions = views.names(view, scope).regions
        names: list[str | None] = [None] * len(view.track_ids)
        for number, region in enumerate(regions, start=1):
            for row in region.rows:
                names[row] = region.sentence or f"region {number}, which nothing measured sets apart"
        return Colour(REGION, names=names)
    if chosen == DISTANCE:
        return Colour("similarity", numbers=_similarities(view, scope))
    if chosen in aspects:
        word, coordinates = aspect_coordinates(_by_direction(scope), aspects[chosen], view.track_ids)
        return Colour(f"{word} (SD)", numbers=coordinates)
    if chosen in words:
        percentiles = resources.tagged(scope.library).values(words[chosen], view.track_ids)
        return Colour(f"{words[chosen]} (percentile)", numbers=percentiles)
    values = workspace.measurements.values(view.track_ids, targets[chosen]).tolist()
    unit = TARGETS[targets[chosen]].unit
    return Colour(f"{chosen} ({unit})", numbers=[value if value == value else None for value in values])


def _aspects(scope: Scope) -> dict[str, str]:
    """Aspects by which this library can be searched, by the name they have among the colours."""
    discovery = resources.discovery(scope)
    found = {} if discovery is None else discovery.aspects
    return {f"aspect: {frame.aspect_title(name)}": name for name, aspect in found.items() if aspect.has_evidence}


def _by_direction(scope: Scope) -> NeighbourIndex:
    return resources.index(make_plan(scope, Question(geometry="direction"), resources.discovery(scope)))


def _similarities(view: MapView, scope: Scope) -> list[float | None]:
    """To the query, as Listen would rank by all layers."""
    query = state.query()
    if query is None or not scope.workspace.store.has(query, scope.info):
        return [None] * len(view.track_ids)
    plan = make_plan(scope, Question(), None)
    return similarities_to(resources.index(plan), scope.embedding(query).mean, view.track_ids)
