"""Examples: questions that can honestly be asked of a library now, for who does not know yet what to ask.

    names of the library  ->  instances      which recording to ask about, and which others should answer
    instances, what is known by now  ->  examples      live, or what they wait for

What an example promises rests on what the catalogue says, not on what the encoder should hear: a piece that others play
on other instruments, a performer of several pieces, a passage of a piece that others play, a brightness that was
measured. A library whose names do not say so has no such example. `served_first` lists the recordings that make the
examples live: embedded before all others, they can be tried long before the library is done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from mess_core.catalogue.catalogue import Track
from mess_core.encoders.hearings import SAME_MUSIC
from mess_core.encoders.registry import DEFAULT
from mess_core.probing.discovery import Discovery
from mess_core.search.measured import commonly_measured, has_values, measured_aspects, standing_at
from mess_core.search.question import Question
from mess_core.search.track_facts import work_of
from mess_core.words import counted
from mess_core.workspace.scope import scope_of
from mess_core.workspace.workspace import Workspace

TRY_FROM = 20  # recordings that can be compared, or all of a smaller library: of fewer a list says little
MOST_SEEN = 5_000  # recordings, by title, among which examples are looked for
MOST_TRIED = 20  # recordings of a piece, as the one to ask about
MOST_ANSWERS = 9  # that are embedded first, and that a list of ten can show
PLAYING = {"legato": 1.0, "rubato": 0.5, "expressiveness": 0.5}  # how somebody plays, where all of it was measured
BRIGHT_FROM = 0.8  # a recording that is brighter than this share of others: plain to hear, and still in company
PASSAGE_S = 8.0
PASSAGE_BEATS = 16.0

Kind = Literal["instrument", "player", "brightness", "passage"]
ORDER: tuple[Kind, ...] = ("instrument", "player", "brightness", "passage")


@dataclass(frozen=True)
class Example:
    """A question that can be asked with one click, or could be soon.

    title, says : in a few words what is asked, and in a line about whom; `says` holds names of the library
    dimension : of the registry of targets, whose colour it has
    track_id : the query; None while nobody can tell which
    passage : of the query, from and to in seconds; None for all of it
    hearing : what is listened for; empty for what is usual
    n_answers : how many recordings that keep the promise can be found by now; None where any can
    is_of_one_work : they all play one work, so that none should stand under another
    waits_for : what has to happen before it can be asked, as "as soon as …"; empty if it can
    """

    kind: Kind
    title: str
    says: str
    dimension: str
    track_id: str | None = None
    passage: tuple[float, float] | None = None
    hearing: str = ""
    question: Question = field(default_factory=Question)
    n_answers: int | None = None
    is_of_one_work: bool = False
    waits_for: str = ""

    @property
    def is_live(self) -> bool:
        """Whether it can be asked now."""
        return not self.waits_for


@dataclass(frozen=True)
class _Instance:
    """A recording to ask about, and the others that keep the promise."""

    query: Track
    answers: tuple[Track, ...]


def examples_of(
    workspace: Workspace, library: str, discovery: Callable[[], Discovery | None] = lambda: None
) -> list[Example]:
    """The examples of a library, those that are live and those that wait; none that its names rule out.

    Parameters
    ----------
    discovery : callable
        Gives what searches of the library by the default encoder go by: with evidence for brightness it need not be
        measured. Asked only where it was not, since of a large library it takes seconds to read.
    """
    scope = scope_of(workspace, library, DEFAULT)
    n_tracks = workspace.catalogue.n_tracks(library)
    if not n_tracks:
        return []
    least = min(TRY_FROM, n_tracks)
    is_enough = len(scope.some_embedded_ids(least)) >= least
    waits_for = "" if is_enough else f"as soon as {counted(least, 'recording')} can be compared"

    def read() -> dict[Kind, tuple[_Instance, bool]]:
        """Of those that can be compared; one that never can, because its file is damaged, is not waited for."""
        tracks, _ = workspace.catalogue.find(library, limit=MOST_SEEN)
        known = set() if waits_for else workspace.store.among(scope.info, [track.track_id for track in tracks])
        embedded = [track for track in tracks if track.track_id in known]
        found = {}
        for kind, choose in _INSTANCES.items():
            now = choose(embedded)
            if (instance := now or choose(tracks)) is not None:
                found[kind] = (instance, now is not None)
        return found

    instances: dict[Kind, tuple[_Instance, bool]] = workspace.database.remembered(
        ("examples", library, waits_for), read, ("tracks", "library_tracks", "embeddings")
    )
    found = [_bright(workspace, library, discovery, waits_for)]
    for kind, (instance, is_now) in instances.items():
        later = "" if is_now else f"as soon as all {counted(n_tracks, 'recording')} can be compared"
        found.append(replace(_MAKERS[kind](workspace, library, instance), waits_for=waits_for or later))
    return sorted(found, key=lambda example: ORDER.index(example.kind))


def served_first(tracks: Sequence[Track]) -> list[str]:
    """The ids of the recordings that the examples need, in that order: to be embedded before all others."""
    instances = (choose(tracks) for choose in _INSTANCES.values())
    needed = (track for each in instances if each for track in (each.query, *each.answers))
    return list(dict.fromkeys(track.track_id for track in needed))


# --- which recordings -----------------------------------------------------------------------------------------


def _by(tracks: Iterable[Track], name: Callable[[Track], str | None]) -> dict[str, list[Track]]:
    """Those that have a name, by it; names, and tracks by title, in the order of the alphabet."""
    groups: dict[str, list[Track]] = {}
    for track in sorted(tracks, key=lambda track: (track.title, track.track_id)):
        if value := name(track):
            groups.setdefault(value, []).append(track)
    return dict(sorted(groups.items()))


def _fullest(instances: Iterable[_Instance]) -> _Instance | None:
    """The one with the most answers, up to as many as a list shows; the first of equals."""
    best: _Instance | None = None
    for each in instances:
        if len(each.answers) > (len(best.answers) if best else 0):
            best = each
    return best


def _others(group: Sequence[Track], query: Track, differ: Callable[[Track], str | None]) -> _Instance:
    """Those of a group that differ from the query in a name, as far as both have one."""
    answers = [track for track in group if differ(track) and differ(track) != differ(query)]
    return _Instance(query, tuple(answers[:MOST_ANSWERS]) if differ(query) else ())


def _on_other_instruments(tracks: Sequence[Track]) -> _Instance | None:
    works = _by(tracks, work_of)
    return _fullest(
        _others(group, query, lambda track: track.instrument)
        for group in works.values()
        for query in group[:MOST_TRIED]
    )


def _by_the_same_player(tracks: Sequence[Track]) -> _Instance | None:
    players = _by(tracks, lambda track: track.performer)
    return _fullest(_others(group, group[0], work_of) for group in players.values())


def _by_others(tracks: Sequence[Track]) -> _Instance | None:
    """Not of the piece that is heard on other instruments already, if others are played as often."""
    works = _by(tracks, work_of)
    heard = _on_other_instruments(tracks)
    first = heard and work_of(heard.query)
    return _fullest(
        _others(group, group[0], lambda track: track.performer)
        for work, group in sorted(works.items(), key=lambda item: item[0] == first)
        if group[0].duration_s >= 2 * PASSAGE_S
    )


_INSTANCES: dict[Kind, Callable[[Sequence[Track]], _Instance | None]] = {
    "instrument": _on_other_instruments,
    "player": _by_the_same_player,
    "passage": _by_others,
}


# --- what is asked of them ------------------------------------------------------------------------------------


def _instrument(workspace: Workspace, library: str, instance: _Instance) -> Example:
    query = instance.query
    return Example(
        "instrument", "The same piece, another instrument",
        f"{query.work} on {query.instrument}. Ask for the same music: who else plays it?",
        "harmony", query.track_id, hearing=SAME_MUSIC, n_answers=len(instance.answers),
        is_of_one_work=True,
    )  # fmt: skip


def _player(workspace: Workspace, library: str, instance: _Instance) -> Example:
    """Of one performer only, whoever else plays like that; by how it is played, where that was measured."""
    query = instance.query
    question = Question(performers=(str(query.performer),), versions="exclude")
    scope = scope_of(workspace, library, DEFAULT)
    if {*PLAYING} <= {*commonly_measured(scope)}:
        aspects = measured_aspects(scope)
        targets = sorted({target for aspect in PLAYING for target in aspects[aspect].searched})
        if has_values(scope, query.track_id, targets):
            question = replace(question, aspects=PLAYING, geometry="measured")
    return Example(
        "player", "The same hands, other music",
        f"{query.performer} plays {query.work}. What else of theirs is like it?",
        "articulation", query.track_id, question=question, n_answers=len(instance.answers),
    )  # fmt: skip


def _passage(workspace: Workspace, library: str, instance: _Instance) -> Example:
    """By the beats of a score, where one is known; by the clock, where not."""
    query = instance.query
    start_s, end_s, what = query.duration_s / 4, query.duration_s / 4 + PASSAGE_S, f"{PASSAGE_S:.0f} seconds"
    for score in workspace.catalogue.passages.of_track(query.track_id)[:1]:
        first = float(score.beats[0]) + PASSAGE_BEATS / 4
        from_s, to_s = score.time_at(first), score.time_at(first + PASSAGE_BEATS)
        if PASSAGE_S / 2 <= to_s - from_s <= 3 * PASSAGE_S:
            start_s, end_s, what = from_s, to_s, f"{PASSAGE_BEATS:.0f} beats"
    return Example(
        "passage", "These bars, by others",
        f"{what[:1].upper()}{what[1:]} of {query.work}, found wherever they are played.",
        "expression", query.track_id, passage=(round(start_s, 1), round(end_s, 1)), hearing=SAME_MUSIC,
        n_answers=len(instance.answers), is_of_one_work=True,
    )  # fmt: skip


def _bright(workspace: Workspace, library: str, discovery: Callable[[], Discovery | None], waits_for: str) -> Example:
    """By what was measured; by what the encoder hears, where a discovery has evidence that it does."""
    question = Question(aspects={"brightness": 1.0}, versions="exclude")
    scope = scope_of(workspace, library, DEFAULT)
    example = Example("brightness", "As bright as this", "Whatever it plays, and on what.", "timbre", question=question)
    track_id = None
    if waits_for:
        return replace(example, waits_for=waits_for)
    if "brightness" in commonly_measured(scope):
        track_id = standing_at(scope, "spectral_centroid", BRIGHT_FROM)
        question = replace(question, geometry="measured")
    elif (found := discovery()) is not None and found.aspects["brightness"].has_evidence:
        track_id = scope.first_embedded_id
    if track_id is None:
        return replace(example, waits_for="as soon as brightness is measured")
    query = workspace.catalogue.track(track_id)
    said = " on ".join(filter(None, (query.work or query.title, query.instrument)))
    return replace(example, says=f"{said}. Whatever else sounds as bright.", track_id=track_id, question=question)


_MAKERS: dict[Kind, Callable[[Workspace, str, _Instance], Example]] = {
    "instrument": _instrument,
    "player": _player,
    "passage": _passage,
}
