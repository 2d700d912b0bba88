"""A small app around the player and the drop zone, with made-up sounds of known level. Only for tests.

Streamlit reads this file twice: once as a module, for `app` and its routes, and on every run as the page.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import io
import json
from urllib.parse import unquote

import numpy as np
import soundfile
import streamlit as st
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pages.shared.widgets.modules import module_routes
from pages.shared.widgets.player.modules import MODULES
from pages.shared.widgets.player.player import PlayerTrack, player
from pages.shared.widgets.upload.upload import upload

LONG_S, SHORT_S = 75.0, 8.0
SOUNDS = {  # name: (rate_hz, channels, duration_s, level in dBFS RMS)
    "low": (24_000, 1, LONG_S, -12.0),  # 440 Hz; the rate of the demo library, so every excerpt is resampled
    "high": (44_100, 2, LONG_S, -25.0),  # 880 Hz
    "short": (48_000, 1, SHORT_S, -20.0),  # noise
    "ticks24": (24_000, 1, LONG_S, -30.0),  # a click at every whole second
    "ticks44": (44_100, 1, LONG_S, -30.0),
}
LABELS = {
    "low": "Nocturne in E-flat major, Op. 9 No. 2",
    "high": "Étude in A-flat major, Op. 25 No. 1 “Aeolian Harp”, live in Warsaw",
    "short": "Prélude in A major",
    "ticks24": "Ticks at 24 kHz",
    "ticks44": "Ticks at 44.1 kHz",
    "missing": "Mazurka that is gone",
}
HOSTILE = "<img src=x onerror=window.__pwn=1> ![](http://example.org/x.png) **bold**"


def sound(name: str, first: int, count: int) -> np.ndarray:
    """Samples `first .. first + count` of a made-up recording, shape (count, channels)."""
    rate, channels, _, level_db = SOUNDS[name]
    frames = np.arange(first, first + count)
    if name in ("low", "high"):
        frequency = 440 if name == "low" else 880
        mono = np.sqrt(2) * np.sin(2 * np.pi * frequency * frames / rate)
    elif name == "short":
        mono = np.random.default_rng(first).standard_normal(count)
    else:
        mono = np.where(frames % rate == 0, 16.0, 0.0)
    return np.repeat((10 ** (level_db / 20) * mono)[:, None], channels, axis=1)


def excerpt(request):
    name = request.path_params["name"]
    if name not in SOUNDS:
        return JSONResponse({"error": "The file has gone.", "hint": "Scan the library."}, 404)
    rate, _, duration_s, _ = SOUNDS[name]
    first = round(float(request.query_params["start_s"]) * rate)
    count = min(round(float(request.query_params["length_s"]) * rate), round(duration_s * rate) - first)
    file = io.BytesIO()
    soundfile.write(file, sound(name, first, count), rate, format="WAV", subtype="PCM_16")
    return Response(file.getvalue(), media_type="audio/wav")


def peaks(request):
    """Something that looks like music."""
    name = request.path_params["name"]
    if name not in SOUNDS:
        return JSONResponse({"error": "The file has gone."}, 404)
    rng = np.random.default_rng(len(name))
    phrase = np.abs(np.sin(np.linspace(0, 3.1 * np.pi, 800) + len(name))) ** 0.7
    bars = (0.25 + 0.75 * phrase) * rng.uniform(0.45, 1.0, 800) * 10 ** (SOUNDS[name][3] / 20)
    return JSONResponse({"peaks": bars.round(4).tolist(), "duration_s": SOUNDS[name][2]})


async def receive(request):
    """Takes anything; the name says how to behave."""
    name = unquote(request.headers["x-mess-file-name"])
    digest, size = hashlib.sha256(), 0
    async for chunk in request.stream():
        digest.update(chunk)
        size += len(chunk)
        if name.startswith("slow"):
            await asyncio.sleep(0.02)
    if name.startswith("text"):
        return JSONResponse({"error": f"“{name}” is not audio that MESS reads.", "hint": "Send a wav."}, 415)
    if name.startswith("full"):
        return JSONResponse({"error": "The disk is full.", "hint": "Free 3 MB."}, 507)
    return JSONResponse({"sha256": digest.hexdigest(), "title": name, "duration_s": size / 1e5})


def track(name: str, **changes) -> PlayerTrack:
    duration_s, level_db = (SOUNDS[name][2], SOUNDS[name][3]) if name in SOUNDS else (LONG_S, None)
    made = PlayerTrack(
        id=name,
        label=LABELS[name],
        excerpt_url=f"/excerpt/{name}",
        loudness_lufs=level_db,
        duration_s=duration_s,
        peaks_url=f"/peaks/{name}",
    )
    return dataclasses.replace(made, **changes)


def scene(name: str) -> list[PlayerTrack]:
    if name == "ticks":
        return [track("ticks24"), track("ticks44")]
    if name == "aligned":
        return [track("ticks24", offset_s=40.25), track("ticks44", offset_s=10.25)]
    if name == "broken":
        return [track("low"), track("missing"), track("short")]
    if name == "hostile":
        return [track("low", label=HOSTILE), track("missing", label=HOSTILE)]
    if name == "moments":
        return [track("low", offset_s=5.0, moment=(20.0, 10.0)), track("high", moment=(40.0, 5.0)), track("short")]
    if name == "performers":
        title = "A title that is much longer than there is room for in one line of a button of the player, or two"
        return [track("low", label=title, performer="Performer A"), track("high", performer="Performer B")]
    if name == "many":
        names = ["low", "high", "short", "ticks24", "ticks44"] * 2
        return [track(name, id=f"{name}{number}") for number, name in enumerate(names)]
    return [track("low"), track("high"), track("short")]


def choose_region(tracks: list[PlayerTrack]) -> tuple[float, float] | None:
    """What is typed in, like `10.5 12.25`, or the passage that the listener chose last, given back."""
    typed = st.text_input("Region")
    passage = st.session_state.get("main", {}).get("passage")
    if st.checkbox("Give the passage back") and passage:
        offset_s = next(track.offset_s for track in tracks if track.id == passage["track_id"])
        return round(passage["start_s"] - offset_s, 1), round(passage["end_s"] - offset_s, 1)
    return tuple(map(float, typed.split())) if typed else None


def count_passage() -> None:
    st.session_state.passages = st.session_state.get("passages", 0) + 1


def page() -> None:
    st.set_page_config(layout="wide")
    name = st.query_params.get("scene", "ab")
    st.slider("Unrelated", 0, 10, key="unrelated")
    if name == "upload":
        received = upload(key="drop", max_bytes=30_000_000)
        st.text(f"received: {json.dumps(dataclasses.asdict(received)) if received else None}")
        return
    tracks = scene(name)
    if st.checkbox("Another last track"):
        tracks = [*tracks[:-1], track("ticks24")]
    region = choose_region(tracks) if name in ("moments", "ticks") else None
    if st.checkbox("Show", value=True):
        report = player(tracks, key="main", region=region, on_passage=count_passage)
        st.text(f"report: {json.dumps(dataclasses.asdict(report)) if report else None}")
        st.text(f"passages: {st.session_state.get('passages', 0)}")
    if name == "two":
        player([track("high")], key="second")


if __name__ == "__main__":
    page()
else:
    app = st.App(
        "component_app.py",
        routes=[
            Route("/excerpt/{name}", excerpt),
            Route("/peaks/{name}", peaks),
            Route("/upload", receive, methods=["PUT"]),
            *module_routes(MODULES),
        ],
    )
