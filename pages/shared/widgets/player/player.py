"""The player: several recordings on one clock, heard one at a time, switched without losing the place.

The browser half are the scripts beside this: the sound (`player_audio.js`), the face (`view.js`, `waveform.js`,
`rows.js`), and `player.js`, which joins them. It fetches excerpts of 30 seconds, so a long recording is never decoded
whole.

Conventions
-----------
Position: seconds on the common clock. Second `p` of the clock plays second `p + offset_s` of a track;
before its beginning and after its end a track is silent.
Moment: the stretch of a track that its band on the waveform points at, in that track's own time.
Region: a stretch of the clock, the same for all tracks. Loop repeats it, and Play begins in it.
Passage: the region that the listener chose, told in the own time of the track heard at that moment.
Row: what a list says of a track beside playing it. A player all of whose tracks have one is a list.
Loudness: integrated, BS.1770, in LUFS, as heard from two speakers (a mono file counts for both).

Examples
--------
>>> matching_gains_db([-18.0, -23.0])
[-5.0, 0.0]
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import streamlit as st

from mess_core.catalogue.catalogue import Track
from mess_core.catalogue.opinions import ME, heard_since
from mess_core.config import EXCERPT_DEFAULT_S, MAX_DURATION_S
from mess_core.errors import InputError, UnknownTrackError
from pages.shared.app import resources
from pages.shared.widgets.player.modules import MODULES

VERDICTS = ("like", "dislike", "none")
# What a row may be taken for, by the name of its button.
TAKEN = {"like_too": "like", "unlike": "unlike", "to": "to", "ignore": "ignore"}
# The buttons of a row, and what each says: thumbs are kept as verdicts, "follow" goes on from here, others are TAKEN.
OF_AN_ANSWER = {
    "like": "Good match", "dislike": "Not a match", "follow": "Find like this",
    "like_too": "Also like this", "unlike": "Not like this", "to": "A path to this",
}  # fmt: skip
OF_A_RECOMMENDATION = {
    "like": "I like this", "dislike": "Not for me", "follow": "Find like this", "ignore": "Not for that reason",
}  # fmt: skip
APART = " · "  # between what a title says, and what is said below it
PASSAGE_MIN_S = 1.0  # as in player.js: a shorter one cannot be chosen
QUIETEST_TARGET_LUFS = -45.0  # a nearly silent recording must not pull all others down with it

_HERE = Path(__file__).parent
_component = st.components.v2.component(  # its texts are our own: names and titles travel as data, never in here
    "mess_player",
    html=(_HERE / "player.html").read_text("utf-8"),
    css=(_HERE / "player.css").read_text("utf-8"),
    js=MODULES.script,
)


@dataclass(frozen=True)
class RowScore:
    """How near in one of the things that were asked for, as it is written, and in words.

    colour : as CSS; empty for the page's own
    """

    name: str
    score: str
    colour: str
    words: str


@dataclass(frozen=True)
class PlayerRow:
    """What a list says of a track.

    number : as the key that chooses it
    verdict_words : why it is here
    score : how near, 0 to 100; None where there is none
    unit, score_words : what the score is of, and what it means
    scores : in each thing that was asked for
    more : what the button below it says that shows or hides the rows that stand under it; empty for none
    holds : numbers of the rows that this button shows, by whose keys it is pressed, too
    is_under : whether it stands under another row
    acts : its buttons, and what each says; none where the listener is asked nothing
    verdict : "like", "dislike" or "none"
    """

    number: str
    verdict_words: str = ""
    score: int | None = None
    unit: str = "of 100"
    score_words: str = ""
    scores: tuple[RowScore, ...] = ()
    more: str = ""
    holds: tuple[str, ...] = ()
    is_under: bool = False
    acts: Mapping[str, str] = field(default_factory=lambda: OF_AN_ANSWER)
    verdict: str = "none"


@dataclass(frozen=True)
class PlayerTrack:
    """One recording in the player.

    `excerpt_url` is a path on this server, like `/excerpt/<sha256>`, which the player asks for with
    `?start_s=..&length_s=..`; `peaks_url`, like `/peaks/<sha256>`, answers `{"peaks": [0..1, ...], "duration_s": ..}`.
    `loudness_lufs` is None where it is not known; `offset_s` is where the clock's zero lies in this recording.
    `moment`, (start_s, length_s) in this recording's own time, is shown as a band on its waveform.
    """

    id: str
    label: str
    excerpt_url: str
    loudness_lufs: float | None
    duration_s: float
    offset_s: float = 0.0
    peaks_url: str | None = None
    moment: tuple[float, float] | None = None
    performer: str = ""  # on a line of its own: often all that tells one recording from the next
    row: PlayerRow | None = None

    @classmethod
    def of(cls, track: Track, prefix: str = "") -> PlayerTrack:
        """A track of the catalogue, found by its content hash."""
        return cls(
            id=track.track_id,
            label=f"{prefix}{track.title}",
            excerpt_url=f"/excerpt/{track.sha256}",
            peaks_url=f"/peaks/{track.sha256}",
            loudness_lufs=track.heard_lufs,
            duration_s=track.duration_s,
            performer="" if (track.performer or "") in track.title else str(track.performer),
        )

    @classmethod
    def in_a_row(cls, track: Track) -> PlayerTrack:
        """What is played, and who plays it on what set apart: each once, however the title puts them together."""
        facts = [fact for fact in (track.performer, track.instrument) if fact]
        parts = [part for part in track.title.split(APART) if part not in facts]
        title = APART.join(parts) or track.title
        apart = [fact for fact in facts if fact.casefold() not in title.casefold()]
        return replace(cls.of(track), label=title, performer=APART.join(apart))


@dataclass(frozen=True)
class PlayerReport:
    """What was listened to since the player appeared; `heard` is in seconds, by track id, silence left out.

    `passage` is what the listener chose on the waveform: (track_id, start_s, end_s) in that track's own time, at least
    `PASSAGE_MIN_S` long; None until one is chosen and after it is cleared.
    """

    position_s: float
    track_id: str
    switches: int
    heard: dict[str, float]
    passage: tuple[str, float, float] | None = None


@dataclass(frozen=True)
class Shown:
    """How a recommended track came to be shown.

    rank : 1 is the first
    propensity : with what probability it was shown there, above 0, at most 1; None where that is not known
    """

    section: str
    rank: int
    propensity: float | None = None


def player(
    tracks: Sequence[PlayerTrack],
    *,
    key: str,
    region: tuple[float, float] | None = None,
    starts: str | None = None,
    has_query: bool = True,
    is_strange: bool = False,
    on_report: Callable[[], None] | None = None,
    on_passage: Callable[[], None] | None = None,
    on_judge: Callable[[str, str], None] | None = None,
    on_follow: Callable[[str], None] | None = None,
    on_take: Callable[[str, str], None] | None = None,
    on_open: Callable[[str], None] | None = None,
    on_clear: Callable[[], None] | None = None,
) -> PlayerReport | None:
    """Show the player; the first track is the query, if there is one.

    Tracks that stay the same from one run to the next keep playing. A report comes on pause, at the end, and after a
    change of track, and each reruns the page: a costly page puts the player into a fragment. So does a passage, once,
    when it is chosen or cleared; reports that follow carry it on without calling `on_passage` again.

    Parameters
    ----------
    tracks : sequence of PlayerTrack
        At least one, with different ids.
    key : str
        Stable from run to run; a new key is a new player.
    region : (from_s, to_s), seconds of the clock, optional
        When it is another than in the run before, it replaces the one shown, chosen passage or not, and the position
        moves to its beginning; a chosen passage given back as the region, rounded to tenths or not at all, changes
        nothing. What lies off the clock is cut off; less than 0.1 s is no region.
    starts : str, optional
        When it is another than in the run before, the first track is played from its beginning. For a click elsewhere
        on the page: a browser plays nothing that nobody clicked for.
    has_query : bool
        Whether the first track is marked as what was asked about.
    is_strange : bool
        Whether the rows of a list are paled, because none of them is really alike.
    on_report : callable, optional
        Called without arguments before the rerun that a report causes.
    on_passage : callable, optional
        Called without arguments before the rerun that choosing or clearing a passage causes.
    on_judge, on_follow : callable, optional
        Called before the rerun that a click in a row causes: with the track's id and "like", "dislike" or "none"; with
        the track's id where the listener goes on from it.
    on_take : callable, optional
        Likewise, with the track's id and what it is taken for: "like" and "unlike", beside the query, "to", the end
        of a path, or "ignore", no reason for anything.
    on_open : callable, optional
        Likewise, with the id of the track under whose row others are to be shown, or hidden.
    on_clear : callable, optional
        Likewise, without arguments, where the `region` that was given is cleared.

    Returns
    -------
    PlayerReport or None
        The latest report; None until there is one. The first passage brings one with it.

    Raises
    ------
    InputError
        If there is no track, an id comes twice, or a duration, offset, moment or region is not in finite seconds.
    """
    _check(tracks, region)
    ids = {track.id for track in tracks}
    gains_db = matching_gains_db([track.loudness_lufs for track in tracks])
    data = {
        "excerpt_s": EXCERPT_DEFAULT_S,
        "region": list(region) if region else None,
        "starts": starts,
        "has_query": has_query,
        "is_strange": is_strange,
        "tracks": [
            {**asdict(track), "gain_db": round(gain_db, 3)} for track, gain_db in zip(tracks, gains_db, strict=True)
        ],
    }
    result = _component(
        key=key,
        data=data,
        default={"report": None, "passage": None},
        on_report_change=on_report if on_report else lambda: None,
        on_passage_change=on_passage if on_passage else lambda: None,
        on_judge_change=lambda: _tell_judgement(st.session_state[key].judge, ids, on_judge),
        on_follow_change=lambda: _tell_follow(st.session_state[key].follow, ids, on_follow),
        on_open_change=lambda: _tell_follow(st.session_state[key].open, ids, on_open),
        on_clear_change=on_clear if on_clear else lambda: None,
        on_take_change=lambda: _tell_taken(st.session_state[key].take, ids, on_take),
    )
    report, passage = _read_report(result.report), _read_passage(result.passage, tracks)
    return replace(report, passage=passage) if report else None


def keep_heard(
    report: PlayerReport | None,
    key: str,
    query_id: str | None = None,
    *,
    shown: Mapping[str, Shown] | None = None,
    listener: str = ME,
) -> None:
    """Keep for how long each track was heard, and how much of it; a report counts up until the player is made anew.

    Whatever plays recordings of the catalogue calls this. However short, what was heard is no skip: here one listens
    into many, to choose. What is no track of the catalogue is not kept: a browser can send anything.

    Parameters
    ----------
    report : PlayerReport or None
    key : str
        The player's.
    query_id : str, optional
        What the tracks were found for.
    shown : mapping, optional
        How those tracks came to be shown that were recommended, by id.
    listener : str
        Who heard it.
    """
    if report is None:
        return
    workspace = resources.workspace()
    before = st.session_state.get(f"heard in {key}", {})
    more = heard_since(before, report.heard)
    for track_id, heard_s in more.items():
        try:
            track = workspace.catalogue.track(track_id)
        except UnknownTrackError:
            continue
        seconds = min(heard_s, MAX_DURATION_S)  # a loop that was left on for days
        came = (shown or {}).get(track_id)
        workspace.opinions.add_play(
            track_id,
            seconds,
            share=min(1.0, seconds / track.duration_s),
            query_track_id=query_id,
            section=came.section if came else None,
            rank=came.rank if came else None,
            propensity=came.propensity if came else None,
            listener=listener,
        )
    # What was too short to be kept is not counted as kept: it may add up.
    st.session_state[f"heard in {key}"] = {**before, **{track_id: report.heard[track_id] for track_id in more}}


def matching_gains_db(loudness_lufs: Sequence[float | None]) -> list[float]:
    """Gains that make all tracks as loud as the quietest one: never above 0 dB, so nothing can clip.

    Parameters
    ----------
    loudness_lufs : sequence of float or None, LUFS
        None and -inf stand for unknown and silent. A track of unknown loudness is taken to be as loud as the loudest
        known one: too quiet is a smaller fault than too loud.

    Returns
    -------
    list of float, dB, each at most 0
    """
    known = [value for value in loudness_lufs if value is not None and math.isfinite(value)]
    if not known:
        return [0.0] * len(loudness_lufs)
    target = max(min(known), QUIETEST_TARGET_LUFS)
    loudest = max(known)
    return [
        min(0.0, target - (value if value is not None and math.isfinite(value) else loudest)) for value in loudness_lufs
    ]


def _check(tracks: Sequence[PlayerTrack], region: tuple[float, float] | None) -> None:
    if not tracks:
        raise InputError("The player was given no track; it needs at least one.")
    if len({track.id for track in tracks}) < len(tracks):
        raise InputError(f"The player was given the same track twice: {', '.join(track.id for track in tracks)}.")
    for track in tracks:
        if not (math.isfinite(track.duration_s) and track.duration_s > 0 and math.isfinite(track.offset_s)):
            raise InputError(
                f"Track {track.id} has a duration of {track.duration_s} s and an offset of {track.offset_s} s; "
                "the player needs a positive duration and a finite offset."
            )
        if track.moment and not (all(map(math.isfinite, track.moment)) and track.moment[1] > 0):
            raise InputError(
                f"Track {track.id} has the moment {track.moment}; it needs a finite start and a positive length."
            )
    if region and not (all(map(math.isfinite, region)) and region[0] < region[1]):
        raise InputError(f"The player was given the region {region}; it needs a beginning and a later end, in seconds.")


def _tell_judgement(raw: Any, ids: Collection[str], on_judge: Callable[[str, str], None] | None) -> None:
    """Pass on what a listener thinks of one of these tracks; a browser can send anything."""
    if not (on_judge and isinstance(raw, Mapping)):
        return
    track_id, verdict = raw.get("track_id"), raw.get("verdict")
    if isinstance(track_id, str) and track_id in ids and isinstance(verdict, str) and verdict in VERDICTS:
        on_judge(track_id, verdict)


def _tell_follow(raw: Any, ids: Collection[str], on_follow: Callable[[str], None] | None) -> None:
    if on_follow and isinstance(raw, str) and raw in ids:
        on_follow(raw)


def _tell_taken(raw: Any, ids: Collection[str], on_take: Callable[[str, str], None] | None) -> None:
    if not (on_take and isinstance(raw, Mapping)):
        return
    track_id, how = raw.get("track_id"), raw.get("how")
    if isinstance(track_id, str) and track_id in ids and isinstance(how, str) and how in TAKEN:
        on_take(track_id, TAKEN[how])


def _read_report(raw: Any) -> PlayerReport | None:
    """The browser's report, or None where there is none or it is not one: a browser can send anything."""
    try:
        if not isinstance(raw, Mapping) or not isinstance(raw["heard"], Mapping):
            return None
        heard = {str(track_id): float(seconds) for track_id, seconds in raw["heard"].items()}
        report = PlayerReport(float(raw["position_s"]), str(raw["track_id"]), int(raw["switches"]), heard)
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    return report if all(math.isfinite(number) for number in (report.position_s, *heard.values())) else None


def _read_passage(raw: Any, tracks: Sequence[PlayerTrack]) -> tuple[str, float, float] | None:
    """The browser's passage, cut to its track, or None where it is none of these tracks', or none at all."""
    try:
        track = next(track for track in tracks if track.id == raw["track_id"])
        start_s, end_s = float(raw["start_s"]), float(raw["end_s"])
    except (StopIteration, KeyError, TypeError, ValueError, OverflowError):
        return None
    if not (math.isfinite(start_s) and math.isfinite(end_s)):
        return None
    start_s, end_s = max(0.0, start_s), min(track.duration_s, end_s)
    is_long_enough = end_s - start_s >= PASSAGE_MIN_S - 1e-3  # the browser rounds
    return (track.id, start_s, end_s) if is_long_enough else None
