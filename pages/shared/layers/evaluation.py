"""Whether search does what it says: the layers for each question, the leak matrix, hubs, ways of comparing."""

from __future__ import annotations

import plotly.graph_objects as go
import streamlit as st

from mess_core.evaluation.faithfulness import DIRECTION, LAYER, MAX_RATIO, MEASURED, NOT, ORACLE, Faithfulness, Ratio
from mess_core.evaluation.kept import Evaluation, What
from mess_core.evaluation.layer_choice import advice, choose_layers
from mess_core.evaluation.similarity import RETRIEVAL, SimilarityStudy
from mess_core.glossary import define
from mess_core.numbers import interval, number
from mess_core.probing.aspects import ASPECTS
from mess_core.search.hubness import HUB_SKEWNESS
from mess_core.words import counted, listed
from mess_core.work.evaluate import PLAIN, EvaluateRequest
from mess_core.work.probe import ProbeRequest
from mess_core.work.request import submit, under_way
from mess_core.work.targets import TargetsRequest
from mess_core.workspace.scope import Scope
from pages.shared.app import jobs, resources, state
from pages.shared.app.frame import aspect_title, plain
from pages.shared.app.table import show_table
from pages.shared.widgets import charts
from pages.shared.widgets.accents import Accent

WAYS = {
    DIRECTION: "by directions",
    LAYER: "by whole layers",
    MEASURED: "by measured values",
    NOT: "with the aspect left out",
    ORACLE: "oracle: by the measured values",
}
NEAR = Accent("#3559c7", "#7d9bff")  # in the leak matrix


def show_faithfulness(scope: Scope) -> None:
    """In a sentence, and the leak matrix: what a search by one aspect finds in every other."""
    st.subheader("Do aspects find what they say?", anchor=False, help=define("leak", "direction"))
    leading = [under_way(scope.workspace, kind, **_of(scope)) for kind in (ProbeRequest, TargetsRequest)]
    hint = (
        "It is measured by itself after discovery, which has not ended."
        if any(leading)
        else "Recordings are searched for by every aspect, and what is found is looked at in all others."
    )
    kept = _kept(scope, "faithfulness", hint)
    if kept is None or not isinstance(kept.result, Faithfulness):
        return
    result = kept.result
    passed = [aspect for aspect in result.judged if result.passes(aspect)]
    named = f": {listed([aspect_title(aspect) for aspect in passed])}" if passed else ""
    st.markdown(
        f"**{len(passed)} of {len(result.judged)}** {'aspect' if len(result.judged) == 1 else 'aspects'} with evidence "
        f"{'does what it says' if len(passed) == 1 else 'do what they say'}{named}; on "
        f"{counted(result.n_queries, 'query', 'queries')} of {counted(result.n_groups, 'work')}."
    )
    if result.differences and result.judged:
        st.markdown(whose(result))
    with st.expander("Details: what a search by each aspect finds"):
        _show_leaks(result)
        _show_verdicts(result)


def _show_leaks(result: Faithfulness) -> None:
    names = WAYS | {rival: f"by {rival.split(',')[0]}, a plain spectrum" for rival in result.differences}
    ways = [way for way in names if result.rows.get(way)]
    way = st.segmented_control(
        "Searched", ways, default=DIRECTION, required=True, key="leak-way", format_func=names.__getitem__
    )
    way = state.offered(way, ways, DIRECTION)
    asked = list(result.rows[DIRECTION]) if way in (DIRECTION, LAYER) else list(result.rows[way])
    with st.container(key="picture leak"):  # on a phone it is pushed sideways, as the heatmap is
        st.plotly_chart(
            leak_matrix(result, way, [aspect for aspect in ASPECTS if aspect in asked]),
            key=f"leak {way}",
            config=charts.camera("svg", "leak-matrix"),
            alt="Leak matrix: aspect searched by, against aspect looked at",
        )  # fmt: skip
    st.caption(
        "Each row is a search by one aspect; each column is what its ten nearest recordings have in common with the "
        "query, in *measured* values: 1 is chance, 0 is identical. A faithful slider is strong on the diagonal and "
        f"pale elsewhere: it passes if its own column is at most {MAX_RATIO:g} and no unrelated one is served better. "
        "Nothing of a query's work was used to find the directions, nor could be found. The plain spectrum had the "
        "same measurements (labels) to learn directions from."
        + (" Here, with an aspect left out, its own column should be pale." if way == NOT else "")
    )


def whose(result: Faithfulness) -> str:
    """What the encoder adds to an aspect, and what only the labels do."""
    adds, same, worse = [], [], []
    for aspect in result.judged:
        apart = [row[aspect] for row in result.differences.values() if aspect in row]
        is_worse = any(each.low is not None and each.low > 0 for each in apart)
        of = adds if result.adds(aspect) else worse if is_worse else same
        if apart:
            of.append(aspect_title(aspect))
    said = []
    if adds:
        said.append(f"By {listed(adds)} the encoder finds what is nearer than a plain spectrum finds.")
    if same:
        said.append(f"That it finds what is nearer by {listed(same)} is not shown.")
    if worse:
        said.append(f"By {listed(worse)} the spectrum finds what is nearer.")
    if same or worse:
        said.append("There the dial works because it was learned from measurements, which would serve a spectrum, too.")
    if adds:
        said.append("That is not what is asked above: there it is the right value, here the right neighbours.")
    return " ".join(said)


def _show_verdicts(result: Faithfulness) -> None:
    show_table(
        [
            {
                "aspect": aspect_title(aspect),
                "verdict": "does what it says" if result.passes(aspect) else "does not",
                "own column": _ratio(result.rows[DIRECTION][aspect][aspect]),
                "by whole layers": _ratio(result.rows[LAYER].get(aspect, {}).get(aspect)),
                **{name: _ratio(row[aspect]) for name, row in result.references.items()},
                **{rival: _ratio(result.rows[rival].get(aspect, {}).get(aspect)) for rival in result.differences},
                **{f"less than {rival}": _ratio(row.get(aspect)) for rival, row in result.differences.items()},
                "by measured values": _ratio(result.rows.get(MEASURED, {}).get(aspect, {}).get(aspect)),
                "at best": _ratio(result.rows[ORACLE][aspect][aspect]),
                "cannot be told apart from": ", ".join(map(aspect_title, result.family(aspect))),
                "leaks into": ", ".join(map(aspect_title, result.leaks(aspect))),
            }
            for aspect in result.judged
        ],
        alt="Verdict on each aspect",
    )


def leak_matrix(result: Faithfulness, way: str, asked: list[str]) -> go.Figure:
    """Aspects asked for downward, looked at rightward; the nearer, the stronger, in either theme."""
    near, looked_at = NEAR.now, list(result.correlations)
    rows = [[result.rows[way].get(one, {}).get(other) for other in looked_at] for one in asked]
    figure = go.Figure(
        go.Heatmap(
            x=list(map(aspect_title, looked_at)),
            y=list(map(aspect_title, asked)),
            z=[[cell.value if cell else None for cell in row] for row in rows],
            text=[[_hover(one, other, cell) for other, cell in zip(looked_at, row, strict=True)]
                  for one, row in zip(asked, rows, strict=True)],
            hovertemplate="%{text}<extra></extra>",
            zmin=0, zmax=1, colorscale=[charts.faded(near, 1), charts.faded(near, 0.04)], colorbar={"title": "ratio"},
            xgap=1, ygap=1,
        )
    )  # fmt: skip
    for aspect in asked:
        if aspect in looked_at:
            place, row = looked_at.index(aspect), asked.index(aspect)
            figure.add_shape(
                type="rect", x0=place - 0.5, x1=place + 0.5, y0=row - 0.5, y1=row + 0.5,
                line={"color": "#e0803a", "width": 2},
            )  # fmt: skip
    figure.update_layout(
        height=150 + 30 * len(asked),
        margin={"l": 10, "r": 10, "t": 10, "b": 90},
        xaxis={"title": "looked at", "tickangle": -45, "showgrid": False},
        yaxis={"title": "searched by", "autorange": "reversed", "showgrid": False},
    )
    return figure


def show_layer_choice(scope: Scope) -> None:
    """Which layers to go by for which question, and how the library lies in the encoder's space."""
    st.subheader("Which layer is for you?", anchor=False, help=define("layer", "hub"))
    kept = _kept(scope, "similarity", "Every layer is asked for the same piece, player and instrument.")
    if kept is None or not isinstance(kept.result, SimilarityStudy):
        return
    study = kept.result
    sentences = advice(choose_layers(study))
    st.markdown("\n".join(f"- {plain(sentence)}" for sentence in sentences))
    if not sentences:
        st.caption(
            "There is nothing to choose: the encoder has one layer, or the library no piece in two hands, no player "
            "with two pieces and no instrument in two."
        )
    with st.expander("Details: which way of comparing finds what"):
        _show_figures(study)
        for sentence in above(study):
            st.markdown(sentence)
        _show_hubs(study)


def _show_figures(study: SimilarityStudy) -> None:
    st.caption(
        "Above, layers are named together where their intervals overlap: that one of them is better is not shown. "
        "The best of several flatters itself a little. Of 1: mean average precision (MAP), 1 if all that is sought "
        "comes first."
    )
    show_table(
        [
            {
                "task": _task(figure.task),
                "measure": figure.measure,
                "layer": "all" if figure.layer is None else str(figure.layer),
                "value": figure.score.value,
                "low": figure.score.low,
                "high": figure.score.high,
                "chance": figure.score.chance,
                "queries": figure.score.n_queries,
            }
            for figure in study.figures
            if figure.score.value is not None
        ],
        height=320,
        column_config={
            name: st.column_config.NumberColumn(format="%.3f") for name in ("value", "low", "high", "chance")
        },
        alt="Every measure in every task",
    )
    st.caption(
        "*Same work*, *performer*, *instrument*: mean average precision, more is better. Others: how far the ten "
        "nearest are from the query in rank, over chance; less is better. Intervals: 95 %, works drawn again; the "
        "library stays."
    )


def above(study: SimilarityStudy) -> list[str]:
    """Whether the encoder finds the work better than plain descriptions of sound and of notes do."""
    said = []
    for name, score in study.above.items():
        if name not in PLAIN or score.value is None or score.low is None or score.high is None:
            continue
        within = interval(score.low, score.high, signed=True)
        gain = f"{number(score.value, signed=True)} {within} in mean average precision"
        if score.low > 0:
            said.append(f"It finds other performances of a work **better than {name}**: {gain}.")
        elif score.high < 0:
            said.append(f"It finds other performances of a work **worse than {name}**: {gain}.")
        else:
            said.append(f"That it finds other performances of a work better than {name} is **not shown**: {gain}.")
    return said


def _show_hubs(study: SimilarityStudy) -> None:
    """How often one recording is among the ten nearest of others, and how far embeddings point the same way."""
    show_table(
        [
            {
                "ranked by": name, "skewness": hubs.skewness, "most often near": hubs.largest,
                "never near": hubs.antihub_share, "Robin Hood": hubs.robin_hood,
            }
            for name, hubs in study.hubness.items()
        ], alt="Hubness",
        column_config={"never near": st.column_config.NumberColumn(format="percent"),
                       **{name: st.column_config.NumberColumn(format="%.2f") for name in ("skewness", "Robin Hood")}},
    )  # fmt: skip
    raw, centred = zip(*study.anisotropy, strict=True)
    verdict = "is on" if study.csls_helps else "is off"
    st.caption(
        f"Hubs are recordings that are near to everything: a skewness above {HUB_SKEWNESS:g} of how often each is in "
        f"the ten nearest. The correction (CSLS) {verdict} by itself here. Mean cosine of two recordings, layer by "
        f"layer: {number(min(raw))} to {number(max(raw))} as they come, {number(min(centred))} to "
        f"{number(max(centred))} centred."
    )


def _of(scope: Scope) -> dict[str, str]:
    return {"library": scope.library, "encoder_id": scope.info.id}


def _kept(scope: Scope, what: What, hint: str) -> Evaluation | None:
    """The kept evaluation, with the way to make it, or make it again."""
    kept = resources.evaluation(scope, what)
    request = EvaluateRequest(scope.library, scope.info.id, what)
    job = under_way(scope.workspace, EvaluateRequest, **vars(request))
    why = f"{'Not measured yet' if job is None else 'It is not there yet'}. {hint}"
    why = why if kept is None else kept.why_again(scope.content)
    if why and what == "faithfulness" and resources.own_discovery(scope) is None:
        st.caption("Aspects are judged by a discovery with the usual settings: run that first, above.")
    elif why:
        st.caption(why)
        if jobs.work_button("Measure", job, key=f"evaluate {what}"):
            submit(scope.workspace, request)
            st.rerun()
    return kept


def _task(task: str) -> str:
    return f"same {task}" if task in RETRIEVAL else task.replace("_", " ")


def _ratio(ratio: Ratio | None) -> str:
    if ratio is None or ratio.value is None:
        return "–"
    return f"{number(ratio.value)} {interval(ratio.low, ratio.high)}".rstrip()


def _hover(asked: str, looked_at: str, ratio: Ratio | None) -> str:
    return f"searched by {aspect_title(asked)}<br>looked at {aspect_title(looked_at)}: {_ratio(ratio)}"
