"""What if it sounded otherwise: the query changed in one thing, heard beside itself, and what that moves."""

from __future__ import annotations

import plotly.graph_objects as go
import streamlit as st

from mess_core.audio.changes import BOUNDS, Change, apply
from mess_core.audio.decode import read_excerpt, wav_bytes
from mess_core.catalogue.catalogue import Track
from mess_core.config import MIN_DURATION_S
from mess_core.errors import InputError, UnknownTrackError
from mess_core.search.answers import make_plan
from mess_core.search.counterfactual import Moved, moved
from mess_core.search.question import Question
from mess_core.search.reasons import errors_of
from mess_core.work.extract import EncodeRequest
from mess_core.work.request import latest, submit
from mess_core.workspace.scope import Scope
from mess_core.workspace.uploads import UploadWriter
from pages.shared.app import frame, resources
from pages.shared.app.jobs import wait_for
from pages.shared.widgets import charts
from pages.shared.widgets.accents import GREY, accent_of_aspect
from pages.shared.widgets.player.player import PlayerTrack, keep_heard, player

LONGEST_S = 30.0  # is changed, of the passage or from the beginning
AS_IT_IS = Change().words
SEMITONES = tuple(range(-12, 13))
TEMPI = tuple(percent / 100 for percent in range(50, 201, 5))
NO_NOISE = "none"
NOISES = (NO_NOISE, 40, 30, 20, 10, 0)  # dB


def show_otherwise(query: Track, scope: Scope, passage: tuple[float, float] | None) -> None:
    """Choose a change, hear it, and see which layers and aspects it moves; worked out only while it is open."""
    place = st.expander(
        "What if it sounded otherwise?", icon=":material/instant_mix:", key="otherwise", on_change="rerun"
    )
    if not place.open:
        return
    start_s, end_s = passage or (0.0, query.duration_s)
    length_s = min(end_s - start_s, LONGEST_S)
    with place, frame.explain_errors():
        change = _choose()
        asked = f"otherwise {query.track_id} {start_s:g} {length_s:g}"
        if change is not None:
            if length_s < MIN_DURATION_S:
                raise InputError(f"The passage is {length_s:g} s long, expected {MIN_DURATION_S:g} s or more.")
            with st.spinner("Making it sound otherwise: a few seconds.", show_time=True):
                st.session_state[asked] = (change, *_make(query, start_s, length_s, change))
        if asked in st.session_state:
            _show(query, scope.for_aspects, *st.session_state[asked])


def _choose() -> Change | None:
    """What is to be changed; None until the button is pressed."""
    with st.form("otherwise form", border=False):
        left, middle, right = st.columns(3, gap="medium")
        semitones = left.select_slider("Pitch", SEMITONES, 0, format_func=_higher)
        tempo = left.select_slider("Tempo", TEMPI, 1.0, format_func=_faster)
        tilt_db = middle.slider("Brightness", -6.0, 6.0, 0.0, step=0.5, format="%+.1f dB an octave")
        hall_s = middle.slider("Hall", 0.0, 5.0, 0.0, step=0.25, format="%.2f s")
        snr_db = right.select_slider(
            "Noise", NOISES, format_func=lambda each: each if each == NO_NOISE else f"{each} dB below the music"
        )
        level_db = right.slider("Level", -40, 12, 0, format="%+d dB")
        if not st.form_submit_button("Hear and compare", type="primary"):
            return None
    noise_db = BOUNDS["snr_db"].none if snr_db == NO_NOISE else float(snr_db)
    change = Change(float(semitones), float(tempo), float(tilt_db), float(hall_s), noise_db, float(level_db))
    if change.is_none:
        st.caption("Nothing is changed yet: move at least one slider.")
        return None
    return change


def _higher(semitones: int) -> str:
    return f"{semitones:+d} {'semitone' if abs(semitones) == 1 else 'semitones'}" if semitones else AS_IT_IS


def _faster(tempo: float) -> str:
    return AS_IT_IS if tempo == 1 else f"{tempo:g} times as fast"


def _make(query: Track, start_s: float, length_s: float, change: Change) -> tuple[str, str]:
    """The passage as it is and changed, as recordings that are in no library; they are forgotten after a week."""
    path = resources.workspace().catalogue.audio_path(query.track_id)
    samples, rate_hz = read_excerpt(path, start_s, length_s)
    made = []
    for words, sound in ((Change().words, samples), (change.words, apply(change, samples, rate_hz))):
        writer = UploadWriter(resources.workspace(), f"{query.title}, {words}.wav")
        try:
            writer.write(wav_bytes(sound, rate_hz))
            made.append(writer.finish().track_id)
        finally:
            writer.abandon()
    return made[0], made[1]


def _show(query: Track, scope: Scope, change: Change, before: str, after: str) -> None:
    workspace, heard = resources.workspace(), (before, after)
    try:
        tracks = [workspace.catalogue.track(track_id) for track_id in heard]
    except UnknownTrackError:
        st.caption("It was made more than a week ago, and is forgotten. Make it again.")
        return
    shown = [
        PlayerTrack(track.track_id, label, f"/excerpt/{track.sha256}", track.heard_lufs, track.duration_s,
                    peaks_url=f"/peaks/{track.sha256}")
        for track, label in zip(tracks, (Change().words, change.words), strict=True)
    ]  # fmt: skip
    keep_heard(player(shown, key="otherwise-player", has_query=False), "otherwise-player", query.track_id)
    missing = [track_id for track_id in heard if not workspace.store.has(track_id, scope.info)]
    for track_id in missing:
        job = latest(workspace, EncodeRequest, track_id=track_id, encoder_id=scope.info.id)
        if job is not None and job.state == "failed":
            frame.notice("It cannot be compared", job.message, job.hint)
            return
        n_before = len(heard) - len(missing)
        which = "changed" if track_id == after else AS_IT_IS
        sentence = f"{n_before + 1} of {len(heard)}: listening to it {which}. Then you see what the change moves."
        wait_for(submit(workspace, EncodeRequest(track_id, scope.info.id)), sentence, n_before, len(heard))
        return  # the other one comes after it
    found = _compare(scope, before, after)
    st.text(" ".join(found.sentences()))
    st.plotly_chart(
        figure(found), key="otherwise figure", config=charts.camera("svg", "otherwise"),
        alt="How far each layer and each aspect moves",
    )  # fmt: skip
    st.caption(
        f"By {scope.info.title}. *Layers*: 0 is the same, 1 as far as unrelated recordings are. *Aspects*: in standard "
        "deviations of this library; pale where the encoder can be as wrong as that."
    )


def _compare(scope: Scope, before: str, after: str) -> Moved:
    discovery = resources.discovery(scope)
    layers = resources.index(make_plan(scope, Question(geometry="layer"), discovery)).geometry
    directions, errors = None, {}
    if discovery is not None and any(aspect.has_evidence for aspect in discovery.aspects.values()):
        directions = resources.index(make_plan(scope, Question(geometry="direction"), discovery)).geometry
        errors = errors_of(discovery.result)
    means = [scope.workspace.store.read(track_id, scope.info).mean for track_id in (before, after)]
    return moved(layers, directions, *means, errors)


def figure(found: Moved) -> go.Figure:
    """How far each layer turned; how far along each aspect, beside how wrong that can be."""
    drawn = go.Figure()
    drawn.add_bar(
        x=list(range(len(found.layers))), y=list(found.layers), marker_color=charts.SERIES[0], showlegend=False,
        hovertemplate="layer %{x}: %{y:.2f}<extra></extra>",
    )  # fmt: skip
    names = [frame.aspect_title(each.aspect) for each in found.aspects]
    if names:
        drawn.add_bar(
            x=[each.difference_sd for each in found.aspects], y=names, orientation="h", xaxis="x2", yaxis="y2",
            marker={
                "color": [accent_of_aspect(each.aspect).now for each in found.aspects],
                "opacity": [1.0 if each.is_beyond else 0.35 for each in found.aspects],
            },
            error_x={"type": "data", "array": [min(each.error_sd, 10.0) for each in found.aspects],
                     "color": GREY.now, "thickness": 1},
            showlegend=False, hovertemplate="%{y}: %{x:+.2f} SD<extra></extra>",
        )  # fmt: skip
    drawn.update_layout(
        height=110 + 26 * max(len(names), 6),
        margin={"l": 10, "r": 10, "t": 10, "b": 40},
        xaxis={"title": "layer", "domain": [0.0, 0.45] if names else [0.0, 1.0], "dtick": 1},
        yaxis={"title": "moved", "rangemode": "tozero"},
        xaxis2={"title": "moved along (SD)", "domain": [0.62, 1.0], "anchor": "y2"},
        yaxis2={"anchor": "x2", "autorange": "reversed", "automargin": True},
    )
    return drawn
