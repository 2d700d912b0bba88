"""What a study came to on 8_Study, in figures: every recommender, the layers of an encoder, how each learned."""

from __future__ import annotations

import plotly.graph_objects as go
import streamlit as st

from mess_core.evaluation.exposure import BY_POPULARITY
from mess_core.evaluation.recommendation import (
    COVERAGE,
    DIVERSITY,
    GINI,
    HIT_RATE,
    LIFT,
    MRR,
    NDCG,
    NOVELTY,
    PRECISION,
    RECALL,
)
from mess_core.study.findings import layer_profiles
from mess_core.study.table import CHANCE, POPULAR, StudyTable, TableRow
from pages.shared.app.table import show_table
from pages.shared.widgets import charts

KINDS = ("goes by sound", "goes by other listeners", "there to be beaten")
COLOURS = (charts.SERIES[0], charts.SERIES[1], charts.SERIES[6])
MOST_SHOWN = 40  # rows of the picture: the best, and what is there to be beaten
ACTIVE = ("nDCG, few items", "nDCG, some", "nDCG, many")


def show_models(table: StudyTable) -> None:
    """A dot and an interval for each, beside chance and what is popular."""
    rows = [row for row in table.rows if not row.refused and row.model != CHANCE]
    if not rows:
        return
    rows.sort(key=lambda row: row.values[NDCG])
    shown = [row for place, row in enumerate(rows) if row.is_control or len(rows) - place <= MOST_SHOWN]
    figure = go.Figure()
    for kind, colour in zip(KINDS, COLOURS, strict=True):
        own = [row for row in shown if _kind(row) == kind]
        figure.add_trace(
            go.Scatter(
                x=[row.values[NDCG] for row in own],
                y=[charts.plain(row.title) for row in own],
                error_x={
                    "type": "data",
                    "array": [0.0 if row.high is None else row.high - row.values[NDCG] for row in own],
                    "arrayminus": [0.0 if row.low is None else row.values[NDCG] - row.low for row in own],
                    "thickness": 1.5,
                },
                mode="markers", marker={"size": 9, "color": colour}, name=kind,
                hovertemplate="%{y}: %{x:.3f}<extra></extra>",
            )
        )  # fmt: skip
    for model, dash in ((CHANCE, "dot"), (POPULAR, "dash")):
        line = table.row(model)
        if line is not None and NDCG in line.values:
            figure.add_vline(
                x=line.values[NDCG], line={"dash": dash, "width": 1, "color": charts.GREYS[0]},
                annotation={"text": model, "font": {"size": 11}},
                annotation_position="top left" if model == CHANCE else "top right",
            )  # fmt: skip
    figure.update_yaxes(
        categoryorder="array", categoryarray=[charts.plain(row.title) for row in shown], automargin=True
    )
    figure.update_layout(
        height=140 + 24 * len(shown), margin={"l": 10, "r": 10, "t": 30, "b": 60}, xaxis_title=f"nDCG@{table.k}",
        legend={"orientation": "h", "y": -65 / (50 + 24 * len(shown)), "yanchor": "top"}, dragmode=False,
    )  # fmt: skip
    st.plotly_chart(
        figure, key="picture of recommenders", config=charts.camera("svg", "study"),
        alt="Every recommender with its interval, beside chance and what is popular",
    )  # fmt: skip


def _kind(row: TableRow) -> str:
    return KINDS[2] if row.is_control else KINDS[0] if row.goes_by_sound else KINDS[1]


def show_layers(table: StudyTable) -> None:
    """Which layer of an encoder serves which recommender."""
    profiles = layer_profiles(table)
    if not profiles:
        return
    st.subheader("Which layer", anchor=False)
    figure = go.Figure()
    for number, ((encoder, model), rows) in enumerate(profiles.items()):
        figure.add_trace(
            go.Scatter(
                x=[layer for layer, _ in rows], y=[row.values[NDCG] for _, row in rows],
                mode="lines+markers", name=charts.plain(f"{model} by {encoder}"),
                line={"color": charts.PALETTE[number % len(charts.PALETTE)]},
                hovertemplate="layer %{x}: %{y:.3f}<extra>%{fullData.name}</extra>",
            )
        )  # fmt: skip
    chance = table.row(CHANCE)
    if chance is not None and NDCG in chance.values:
        figure.add_hline(y=chance.values[NDCG], line={"dash": "dot", "width": 1, "color": charts.GREYS[0]},
                         annotation={"text": CHANCE, "font": {"size": 11}})  # fmt: skip
    figure.update_layout(
        height=320, margin={"l": 10, "r": 10, "t": 10, "b": 40}, xaxis_title="layer", yaxis_title=f"nDCG@{table.k}",
        xaxis={"tickformat": "d"}, legend={"orientation": "h", "y": -0.25}, dragmode=False,
    )  # fmt: skip
    st.plotly_chart(
        figure, key="picture of layers", config=charts.camera("svg", "layers"),
        alt="How well each recommender does by each layer of an encoder",
    )  # fmt: skip


def show_every_figure(table: StudyTable) -> None:
    """Every figure of every row."""
    with st.expander("Every figure", icon=":material/table:"):
        show_table(
            [_line(row) for row in table.rows], key="every figure",
            alt="Every recommender with all its figures",
            column_config={
                name: st.column_config.NumberColumn(format="%.3f") for name in _line(table.rows[0]) if name not in PLAIN
            } | {"novelty [bits]": st.column_config.NumberColumn(format="%.1f"),
                 "p (Holm)": st.column_config.NumberColumn(format="%.2g")},
        )  # fmt: skip
        st.caption(
            "Over exchanged: what is gained over the same recommender with the recordings exchanged, with its interval "
            "and p corrected for all of them (Holm). Head, middle and tail are items that make up a third of all "
            "training rows each, the most popular first. Few, some, many: listeners by how much they had. Gini: 0 if "
            "every item is recommended as often, 1 if one always is."
        )


PLAIN = ("recommender", "heard by", "items heard", "not counted because")  # no fractions


def _line(row: TableRow) -> dict[str, object]:
    control, popular = row.over_control, row.over_popular
    activity = row.by_activity or (None,) * len(ACTIVE)
    return {
        "recommender": row.model,
        "heard by": row.heard_by or None,
        "nDCG": row.values.get(NDCG),
        "from": row.low,
        "to": row.high,
        "over exchanged": None if control is None else control.value,
        "over exchanged from": None if control is None else control.low,
        "over exchanged to": None if control is None else control.high,
        "p (Holm)": None if control is None else control.p_holm,
        "over popular": None if popular is None else popular.value,
        "hit rate": row.values.get(HIT_RATE),
        "recall": row.values.get(RECALL),
        "MRR": row.values.get(MRR),
        "precision": row.values.get(PRECISION),
        "coverage": row.values.get(COVERAGE),
        "Gini": row.values.get(GINI),
        "novelty [bits]": row.values.get(NOVELTY),
        "popularity lift": row.values.get(LIFT),
        "diversity": row.values.get(DIVERSITY),
        **{name: row.values.get(name) for name in BY_POPULARITY},
        **dict(zip(ACTIVE, activity, strict=True)),
        "items heard": row.n_heard,
        "not counted because": row.refused or None,
    }


def show_curves(table: StudyTable) -> None:
    """How those learned that learn by epochs: the figure by which it is told when to stop."""
    learned = [row for row in table.rows if any(epoch.figure is not None for epoch in row.curve)]
    if not learned:
        return
    with st.expander("How they learned", icon=":material/show_chart:"):
        figure = go.Figure()
        for number, row in enumerate(learned):
            figure.add_trace(
                go.Scatter(
                    x=[epoch.number for epoch in row.curve], y=[epoch.figure for epoch in row.curve], mode="lines",
                    name=charts.plain(row.title), line={"color": charts.PALETTE[number % len(charts.PALETTE)]},
                )
            )  # fmt: skip
        figure.update_layout(
            height=360, margin={"l": 10, "r": 10, "t": 10, "b": 40}, xaxis_title="epoch",
            yaxis_title="its own figure, on what it holds back", legend={"orientation": "h", "y": -0.2},
            dragmode=False,
        )  # fmt: skip
        st.plotly_chart(
            figure, key="picture of curves", config=charts.camera("svg", "curves"),
            alt="How well each recommender did after each epoch",
        )  # fmt: skip
        st.caption("Each stops where nothing became better for long, and is then as it was at its best.")
