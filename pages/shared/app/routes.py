"""What the server answers beside the pages: audio, excerpts, waveforms and uploads.

    GET /audio/{sha256}                       the file itself, with Range
    GET /excerpt/{sha256}?start_s&length_s    at most 60 s as 16-bit WAV: what the player uses
    GET /peaks/{sha256}                       the waveform of the whole recording
    GET /clip/{asked_id}/{letter}             a clip of a question on Judge, known by nothing else
    PUT /upload                               a file, streamed to disk
    POST /answer                              what somebody answered to such a question

Audio is found by content hash in the catalogue; nothing a browser sends ever becomes a path. Who may ask at all, and
what every answer forbids a browser, is in guards.py.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from urllib.parse import unquote

import anyio
import streamlit as st
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from mess_core.audio.decode import read_excerpt, wav_bytes
from mess_core.audio.preview import preview
from mess_core.catalogue.catalogue import Track
from mess_core.config import EXCERPT_DEFAULT_S, EXCERPT_MAX_S
from mess_core.encoders.registry import DEFAULT
from mess_core.errors import (
    DataMissingError,
    InputError,
    MessError,
    StorageError,
    UnknownTrackError,
)
from mess_core.learning.clips import read_clip
from mess_core.storage.untrusted import parse_json
from mess_core.work.demo import DemoRequest
from mess_core.work.request import submit
from mess_core.work.worker import WorkerKeeper
from mess_core.workspace.peaks import sealed_peaks
from mess_core.workspace.uploads import UploadWriter
from pages.shared.app import resources
from pages.shared.app.guards import FOREVER, INDEX_ROUTES

STATUS = {UnknownTrackError: 404, DataMissingError: 404, StorageError: 507, InputError: 400, MessError: 500}
MEDIA_TYPES = {"WAV": "audio/wav", "FLAC": "audio/flac", "OGG": "audio/ogg", "MP3": "audio/mpeg"}
CLIPS = ("x", "a", "b")  # of a question: the anchor, the first, the second
MOST_ANSWER_BYTES = 2000
N_DECODERS = 2  # excerpts decoded at the same time; each takes some 40 MB

Endpoint = Callable[[Request], Awaitable[Response]]
_decoders = anyio.CapacityLimiter(N_DECODERS)


@contextlib.asynccontextmanager
async def lifespan(app: st.App) -> AsyncIterator[None]:
    """While the server runs, its data folder is open and has a worker. An empty one gets the demo library."""
    workspace = resources.workspace()
    with contextlib.suppress(MessError):  # a catalogue that cannot be read: the pages say so, and how to cure it
        if not workspace.catalogue.libraries() and workspace.database.setting("demo") is None:
            submit(workspace, DemoRequest(DEFAULT))
    keeper = WorkerKeeper(workspace)
    keeper.start()
    try:
        yield
    finally:
        await run_in_threadpool(keeper.stop)
        with contextlib.suppress(MessError):  # of a folder that is gone there is nothing to close
            resources.close()


def answer_errors(endpoint: Endpoint) -> Endpoint:
    """A MessError becomes its status and one sentence, as JSON."""

    async def answered(request: Request) -> Response:
        try:
            return await endpoint(request)
        except MessError as error:
            status = next(code for kind, code in STATUS.items() if isinstance(error, kind))
            return JSONResponse({"error": error.message, "hint": error.hint}, status)

    return answered


@answer_errors
async def audio(request: Request) -> Response:
    """The file itself."""
    track = await run_in_threadpool(_track, request)
    path = await run_in_threadpool(resources.workspace().catalogue.audio_path, track.track_id)
    return FileResponse(path, media_type=MEDIA_TYPES[track.codec.split()[0]], headers=FOREVER)


@answer_errors
async def excerpt(request: Request) -> Response:
    """A passage, decoded here: a browser that decoded whole files would need hundreds of megabytes."""
    track = await run_in_threadpool(_track, request)
    start_s = _seconds(request, "start_s", 0.0)
    length_s = _seconds(request, "length_s", EXCERPT_DEFAULT_S)
    if start_s > track.duration_s:
        raise InputError(
            f"start_s is {start_s:g} s, expected at most the length of the recording, {track.duration_s:g} s."
        )
    if not 0 < length_s <= EXCERPT_MAX_S:
        raise InputError(f"length_s is {length_s:g} s, expected more than 0 and at most {EXCERPT_MAX_S:g} s.")

    def decode() -> bytes:
        return wav_bytes(*read_excerpt(resources.workspace().catalogue.audio_path(track.track_id), start_s, length_s))

    data = await anyio.to_thread.run_sync(decode, limiter=_decoders)
    return Response(data, media_type="audio/wav", headers=FOREVER)


@answer_errors
async def heard_in_passing(request: Request) -> Response:
    """Some seconds from the middle of a recording, to tell what it is: for a point of the map under the pointer."""
    workspace = resources.workspace()
    track = await run_in_threadpool(workspace.catalogue.track, request.path_params["track_id"])

    def decode() -> bytes:
        path = workspace.catalogue.audio_path(track.track_id)
        return wav_bytes(*preview(path, track.duration_s, track.heard_lufs))

    data = await anyio.to_thread.run_sync(decode, limiter=_decoders)
    return Response(data, media_type="audio/wav", headers=FOREVER)


@answer_errors
async def peaks(request: Request) -> Response:
    """The waveform of the whole recording."""
    track = await run_in_threadpool(_track, request)
    data = await anyio.to_thread.run_sync(lambda: sealed_peaks(resources.workspace(), track), limiter=_decoders)
    return Response(data, media_type="application/json", headers=FOREVER)


@answer_errors
async def upload(request: Request) -> Response:
    """Receive a file piece by piece, at flat memory whatever its size."""
    name = unquote(request.headers.get("x-mess-file-name", ""))
    announced = request.headers.get("content-length", "0")
    writer = UploadWriter(resources.workspace(), name, int(announced) if announced.isdecimal() else 0)
    try:
        async for piece in request.stream():
            await run_in_threadpool(writer.write, piece)
        track = await run_in_threadpool(writer.finish)
    except ClientDisconnect:
        return Response(status_code=499)
    finally:
        writer.abandon()  # of a finished one nothing is left to abandon
    return JSONResponse({"sha256": track.sha256, "title": track.title, "duration_s": track.duration_s})


@answer_errors
async def clip(request: Request) -> Response:
    """One of the three clips of a question, from `start_s` on, as loud as any other."""
    workspace = resources.workspace()
    asked = await run_in_threadpool(workspace.sittings.find_question, request.path_params["asked_id"])
    letter = request.path_params["letter"]
    if asked is None or letter not in CLIPS:
        raise UnknownTrackError("This question is not asked (any more).")
    wanted = asked.clips[CLIPS.index(letter)]  # shorter than any excerpt
    start_s = min(_seconds(request, "start_s", 0.0), EXCERPT_MAX_S)
    length_s = min(_seconds(request, "length_s", EXCERPT_DEFAULT_S), EXCERPT_MAX_S)

    def decode() -> bytes:
        audio, rate_hz = read_clip(workspace.catalogue.audio_path(wanted.track_id), wanted)
        return wav_bytes(audio[round(start_s * rate_hz) :][: max(1, round(length_s * rate_hz))], rate_hz)

    data = await anyio.to_thread.run_sync(decode, limiter=_decoders)
    return Response(data, media_type="audio/wav", headers={"Cache-Control": "private, max-age=3600"})


@answer_errors
async def take_answer(request: Request) -> Response:
    """Keep an answer; when this says so, it is on the disk."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MOST_ANSWER_BYTES:
            raise InputError(f"An answer has at most {MOST_ANSWER_BYTES} bytes.")
    said = parse_json(body, "An answer", error=InputError)
    heard_s = said.get("heard_s", [0.0, 0.0, 0.0])
    is_time = isinstance(heard_s, list) and len(heard_s) == len(CLIPS)
    if not is_time or not all(isinstance(each, int | float) and 0 <= each <= 3600 for each in heard_s):
        raise InputError("heard_s is no list of three numbers of seconds.")
    kept = await run_in_threadpool(
        resources.workspace().sittings.answer,
        str(said.get("asked_id", "")),
        str(said.get("choice", "")),
        heard_s,
        again=said.get("again") is True,
    )
    return JSONResponse({"asked_id": kept.asked_id, "choice": kept.answer})


def _track(request: Request) -> Track:
    sha256 = request.path_params["sha256"]
    track = resources.workspace().catalogue.find_sha256(sha256)
    if track is None:
        raise UnknownTrackError("There is no recording with this hash here.")
    return track


def _seconds(request: Request, name: str, default: float) -> float:
    text = request.query_params.get(name)
    try:
        value = default if text is None else float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value < 0:
        raise InputError(f"{name} is {text!r}, expected a number of seconds.")
    return value


ROUTES = [
    Route("/audio/{sha256}", audio, methods=["GET"]),  # HEAD comes with GET
    Route("/excerpt/{sha256}", excerpt, methods=["GET"]),
    Route("/peaks/{sha256}", peaks, methods=["GET"]),
    Route("/preview/{track_id}", heard_in_passing, methods=["GET"]),
    Route("/clip/{asked_id}/{letter}", clip, methods=["GET"]),
    Route("/upload", upload, methods=["PUT"]),
    Route("/answer", take_answer, methods=["POST"]),
    *INDEX_ROUTES,
]
