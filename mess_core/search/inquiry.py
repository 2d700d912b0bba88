"""An inquiry: all that `similar` is asked, in the words in which a person or a program asks it.

    inquiry            -> plan      parsed, checked against what the library says of itself, and planned
    plan, query, index -> answer    whichever kind of search it takes

The command line and the service (`serve`) ask through here, so both give the same answer. What names the query itself
is not part of it: a person may name a file of this machine, a program elsewhere must not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from mess_core.catalogue.catalogue import ALL, FILTERS, NAMES
from mess_core.errors import InputError
from mess_core.probing.discovery import Discovery
from mess_core.search.answers import (
    Answer,
    Plan,
    Query,
    answer,
    answer_along,
    answer_in_words,
    answer_passage,
    build_index,
    build_segment_index,
    make_plan,
)
from mess_core.search.neighbours import NeighbourIndex
from mess_core.search.question import Copies, Hubs, Question, Wanted, parse_between, parse_heard_as, parse_where
from mess_core.search.segments import SegmentIndex
from mess_core.search.words import parse_words
from mess_core.spelling import check_name, did_you_mean
from mess_core.workspace.scope import Scope, scope_of, scope_to_listen
from mess_core.workspace.workspace import Workspace

MOST_VALUES_NAMED = 10


@dataclass(frozen=True)
class Inquiry:
    """What is asked; nothing given is the plain question. The names are those of `Question`, where it has them.

    encoder : id; None is the first hearing for which all of the library has been embedded
    passage : of the query, from and to in seconds
    words : "solo violin, not slow"; None asks by sound alone
    where, between : as they are written, `era=late` and `tempo=90:110`
    like, unlike : track ids
    engine : what is asked for the nearest; empty is what was chosen for the library
    """

    library: str = ALL
    encoder: str | None = None
    passage: tuple[float, float] | None = None
    words: str | None = None
    k: int = 10
    aspects: Mapping[str, float] = field(default_factory=dict)
    avoid: Sequence[str] = ()
    geometry: Wanted = "auto"
    diversity: float = 0.0
    max_per_work: int | None = None
    max_per_performer: int | None = None
    max_per_album: int | None = None
    duplicates: Copies = "keep"
    versions: Copies = "keep"
    hubs: Hubs = "auto"
    composers: Sequence[str] = ()
    performers: Sequence[str] = ()
    instruments: Sequence[str] = ()
    collections: Sequence[str] = ()
    splits: Sequence[str] = ()
    where: Sequence[str] = ()
    heard_as: Sequence[str] = ()
    between: Sequence[str] = ()
    like: Sequence[str] = ()
    unlike: Sequence[str] = ()
    along: str = ""
    reverse: bool = False
    engine: str = ""


def asked_scope(workspace: Workspace, library: str, encoder: str | None) -> Scope:
    """The library as seen through the encoder that was asked for, or through the usual one.

    Raises
    ------
    InputError
        If there is no such encoder.
    """
    return scope_of(workspace, library, encoder) if encoder else scope_to_listen(workspace, library)


def plan_inquiry(
    workspace: Workspace,
    asked: Inquiry,
    discovery_of: Callable[[Scope], Discovery | None] = Scope.discovery_for_search,
) -> Plan:
    """How an inquiry will be answered.

    Parameters
    ----------
    discovery_of : callable (scope) -> Discovery or None
        What searches of a scope go by; whoever serves many has read it already.

    Raises
    ------
    MessError
        If it cannot be meant, or asks for what is not known here.
    """
    scope = asked_scope(workspace, asked.library, asked.encoder)
    question = Question(
        aspects=dict(asked.aspects),
        avoid=tuple(asked.avoid),
        geometry=asked.geometry,
        k=asked.k,
        diversity=asked.diversity,
        max_per_work=asked.max_per_work,
        max_per_performer=asked.max_per_performer,
        max_per_album=asked.max_per_album,
        duplicates=asked.duplicates,
        versions=asked.versions,
        hubs=asked.hubs,
        composers=tuple(asked.composers),
        performers=tuple(asked.performers),
        instruments=tuple(asked.instruments),
        collections=tuple(asked.collections),
        splits=tuple(asked.splits),
        where=parse_where(asked.where, [*NAMES, *workspace.catalogue.detail_names(asked.library)]),
        heard_as=parse_heard_as(asked.heard_as),
        between=parse_between(asked.between),
        words=() if asked.words is None else tuple(map(str, parse_words(asked.words))),
        like=tuple(asked.like),
        unlike=tuple(asked.unlike),
        along=asked.along,
        reverse=asked.reverse,
    )
    check_narrowed(workspace, asked.library, question)
    is_of_passage = asked.passage is not None
    return make_plan(scope, question, discovery_of(scope), is_of_passage=is_of_passage, engine=asked.engine)


def answer_plan(
    plan: Plan,
    query_of: Callable[[Plan], Query] | None,
    passage: tuple[float, float] | None = None,
    *,
    index_of: Callable[[Plan], NeighbourIndex] = build_index,
    segments_of: Callable[[Plan], SegmentIndex] = build_segment_index,
) -> Answer:
    """Answer by whichever search a plan takes.

    Parameters
    ----------
    query_of : callable (plan) -> Query, or None
        Finds the query once the index has said what is missing; None asks by words alone, or along an aspect.
    index_of, segments_of : callable (plan) -> index
        As `build_index` and `build_segment_index`; whoever answers many keeps what these built.

    Raises
    ------
    MessError
        If there is a passage of no query, or as the searches themselves.
    """
    if query_of is None:
        if passage is not None:
            raise InputError("A passage is one of a query, and there is none.", "Give a QUERY.")
        return answer_along(index_of(plan), plan) if plan.question.along else answer_in_words(plan)
    if passage is None:
        index = index_of(plan)
        return answer(index, plan, query_of(plan))
    segments = segments_of(plan)
    return answer_passage(segments, plan, query_of(plan), passage)


def check_narrowed(workspace: Workspace, library: str, question: Question) -> None:
    """Refuse what no track of the library says: a slip of the pen, where an empty answer would look like one.

    Raises
    ------
    InputError
        If there is no such column, or none of its tracks says that.
    """
    catalogue = workspace.catalogue
    columns = [*NAMES, *catalogue.detail_names(library)] if question.where else []
    for name, _ in question.where:
        check_name("column", name, columns)
    filters = ((name, wanted) for name in FILTERS for wanted in getattr(question, f"{name}s"))
    for name, wanted in (*question.where, *filters):
        said = catalogue.values_of(library, name)
        if wanted.casefold() not in {value.casefold() for value in said}:
            more = f" and {len(said) - MOST_VALUES_NAMED:,} more" if len(said) > MOST_VALUES_NAMED else ""
            there_is = f"There is: {', '.join(said[:MOST_VALUES_NAMED])}{more}." if said else "No track has any."
            raise InputError(f"No track has {wanted!r} as its {name}.", did_you_mean(wanted, said, there_is))
