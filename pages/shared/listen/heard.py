"""As what the query is heard, and when: a curve for each tag, over its time."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go
import streamlit as st

from mess_core.catalogue.catalogue import Track
from mess_core.encoders.vocabulary import WORDS
from mess_core.numbers import number, percent
from mess_core.search.tagged import TrackTags, tag_scope, tags_of, top_words
from pages.shared.app import frame, resources
from pages.shared.widgets import charts

MOST_CURVES = 6
N_SHOWN = 4  # until others are chosen


@st.fragment
def show_heard(query: Track) -> None:
    """What MusiCNN hears in the query over its time; nothing where it has not heard it."""
    workspace = resources.workspace()
    scope = tag_scope(workspace, frame.library())
    if not workspace.store.has(query.track_id, scope.info):
        return
    place = st.expander("What it is heard as, and when", icon=":material/sell:", key="heard", on_change="rerun")
    if not place.open:
        return
    with place:
        tags = tags_of(workspace, query.track_id)
        usual = top_words(tags.strengths, N_SHOWN) or top_words(tags.strengths, 1, weakest=0.0)
        words = st.multiselect(
            "Tags", WORDS, default=usual, max_selections=MOST_CURVES, key=f"curves {query.track_id}",
            label_visibility="collapsed", placeholder="choose tags",
        )  # fmt: skip
        if words:
            st.plotly_chart(
                curves(tags, words), key="curves", config=charts.camera("svg", "tags"),
                alt=f"How strongly {', '.join(words)} is heard over the time of the query",
            )  # fmt: skip
        placed = resources.tagged(frame.library()).place_words(tags, words)
        st.caption(
            "MusiCNN hears three seconds at a time. "
            + " · ".join(
                f"{word} {number(strength)}, more than {percent(at)} of the library" for word, strength, at in placed
            )
        )


def curves(tags: TrackTags, words: Sequence[str]) -> go.Figure:
    """A line for each word: its strength in the middle of every segment."""
    figure = go.Figure()
    for place, word in enumerate(words):
        points = tags.curve(word)
        figure.add_scatter(
            x=[at_s for at_s, _ in points], y=[strength for _, strength in points], mode="lines+markers", name=word,
            line={"color": charts.SERIES[place % len(charts.SERIES)]}, marker={"size": 4},
            text=[frame.clock(at_s) for at_s, _ in points],
            hovertemplate=f"{word} at %{{text}}: %{{y:.2f}}<extra></extra>",
        )  # fmt: skip
    figure.update_layout(
        height=260,
        margin={"l": 10, "r": 10, "t": 10, "b": 40},
        xaxis={"title": "seconds", "rangemode": "tozero"},
        yaxis={"title": "strength", "range": [0, 1]},
        legend={"orientation": "h", "y": 1.15},
        showlegend=True,
    )
    return figure
