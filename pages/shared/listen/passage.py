"""The same passage, played by others: heard side by side, with tempo and dynamics beat by beat."""

from __future__ import annotations

from dataclasses import replace

import plotly.graph_objects as go
import streamlit as st

from mess_core.catalogue.catalogue import Track
from mess_core.catalogue.passages import SamePassage
from mess_core.numbers import number
from mess_core.search.comparisons import PassageCurve, compare_passages
from mess_core.words import counted
from pages.shared.app import frame, resources
from pages.shared.widgets import charts
from pages.shared.widgets.player.player import PlayerTrack, keep_heard, player

LONGEST_S = 30.0  # of a passage: the slowest other one takes twice as long, and the player holds that
AT_FIRST_S = 15.0  # while none is chosen
N_AT_FIRST, MOST_OTHERS = 3, 8


@st.fragment
def show_same_passage(query: Track, passage: tuple[float, float] | None) -> None:
    """Nothing where the score of the query is not known, or nobody else plays it."""
    workspace = resources.workspace()
    known = workspace.catalogue.passages.of_track(query.track_id)
    if not known:
        return
    first_s = float(known[0].times_s[0])
    start_s, end_s = passage or (first_s, first_s + AT_FIRST_S)
    same = workspace.catalogue.passages.same(query.track_id, start_s, min(end_s, start_s + LONGEST_S), frame.library())
    if same is None or not same.others:
        return
    st.subheader("The same passage by others", anchor=False)
    others = {other.track_id: other for other in same.others}
    tracks = {track_id: workspace.catalogue.track(track_id) for track_id in others}
    st.caption(
        f"{same.beats_in_words} of the score, {counted(len(others), 'other recording')}, "
        f"the nearest in tempo first. {'' if passage else 'Choose a passage on the waveform to hear another one.'}"
    )
    chosen = st.multiselect(
        "Played beside the query", list(others), default=list(others)[:N_AT_FIRST], key=f"others {query.track_id}",
        max_selections=MOST_OTHERS, format_func=lambda each: _name(tracks[each]),
        help="What a recording is called here never changes with the passage: a chosen one stays chosen.",
    )  # fmt: skip
    chosen = [each for each in chosen if each in others]
    tempi = [f"{_name(tracks[each])} {number(others[each].tempo, 0)}" for each in chosen]
    if tempi:
        st.text(f"Tempo in bpm: query {number(same.asked.tempo, 0)}, {', '.join(tempi)}")
    _play(query, tracks, same, chosen)
    names = {query.track_id: f"query: {_name(query)}"} | {each: _name(track) for each, track in tracks.items()}
    st.plotly_chart(
        _figure(same, tuple(chosen), names), key="passage curves", config=charts.camera("svg", "passage"),
        alt="Tempo and level of the passage, beat by beat, in every recording",
    )  # fmt: skip


# It decodes audio and draws, and the page runs at every move of a slider.
@st.cache_resource(max_entries=256, show_spinner=False)  # of as many queries as people ask at once
def _figure(same: SamePassage, chosen: tuple[str, ...], names: dict[str, str]) -> go.Figure:
    return figure(compare_passages(resources.workspace(), same, chosen), names)


def _play(query: Track, tracks: dict[str, Track], same: SamePassage, chosen: list[str]) -> None:
    """Each begins where the passage does; the loop lasts as long as the slowest."""
    heard = [same.asked, *(other for other in same.others if other.track_id in chosen)]
    recordings = {query.track_id: query, **tracks}
    report = player(
        [
            replace(
                PlayerTrack.of(recordings[each.track_id]),
                label=_name(recordings[each.track_id]),
                performer="",
                offset_s=each.start_s,
                moment=(each.start_s, each.end_s - each.start_s),
            )
            for each in heard
        ],
        key="same-passage",
        region=(0.0, max(each.end_s - each.start_s for each in heard)),
    )
    keep_heard(report, "same-passage", query.track_id)


def figure(curves: list[PassageCurve], names: dict[str, str]) -> go.Figure:
    """Tempo above, level below; one line per recording, the query's the boldest."""
    lines = []
    for place, curve in enumerate(curves):
        name = charts.plain(names[curve.passage.track_id])[:60]
        for axis, values in (("y", curve.tempo), ("y2", curve.level_db)):
            lines.append(
                {
                    "type": "scatter",
                    "mode": "lines",
                    "x": [beat + 1 for beat in curve.beats],  # the first beat is called 1
                    "y": values,
                    "yaxis": axis,
                    "line": {
                        "color": charts.PALETTE[place % len(charts.PALETTE)],
                        "width": 3.5 if place == 0 else 1.5,
                    },
                    "name": name,
                    "legendgroup": str(place),
                    "showlegend": axis == "y",
                    "hovertemplate": f"{name}, beat %{{x:g}}: %{{y:.1f}}<extra></extra>",
                }
            )
    layout = {
        "xaxis": {"title": {"text": "beat of the score"}, "anchor": "y2"},
        "yaxis": {"title": {"text": "tempo (bpm)"}, "domain": [0.54, 1.0]},
        "yaxis2": {"title": {"text": "level above<br>its mean (dB)"}, "domain": [0.0, 0.46]},
        "height": 420,
        "margin": {"l": 10, "r": 10, "t": 10, "b": 10},
        "legend": {"orientation": "h", "y": -0.2},
        "hovermode": "x unified",
    }
    return go.Figure(lines, layout)


def _name(track: Track) -> str:
    """Who plays; the title where that is not known."""
    if track.performer and track.instrument:
        return f"{track.performer} ({track.instrument})"
    return track.performer or track.title
