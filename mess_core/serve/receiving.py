"""Receiving: the body of a request, piece by piece, never more of it in memory than a mebibyte.

    JSON         read whole, up to 64 KiB
    a file       onto the disk as it comes, under a name of ours; looked at once it is whole, as every upload is

A body is counted as it comes, whatever it was announced as, and must come in time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import unquote

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request

from mess_core.errors import AudioError, InputError
from mess_core.serve.answering import SentFile
from mess_core.serve.refusals import Refusal, not_a_format
from mess_core.serve.settings import ServiceSettings
from mess_core.storage.untrusted import parse_json
from mess_core.workspace.uploads import UploadWriter
from mess_core.workspace.workspace import Workspace

MOST_JSON_BYTES = 64 * 2**10
PIECE_BYTES = 2**20  # written at a time
JSON, AUDIO = "application/json", ("audio/", "video/")  # the sound of a film is read, too
BYTES = ("application/octet-stream", "application/ogg")


def kind_of_body(request: Request) -> str:
    """What there is to receive, "json", "file" or "none"; 415 for anything else."""
    encoding = request.headers.get("content-encoding", "identity")
    if encoding != "identity":
        raise Refusal(415, "An encoded body is not read.", encoding, "identity", "Send it as it is.")
    said = request.headers.get("content-type", "").partition(";")[0].strip().casefold()
    has_body = "transfer-encoding" in request.headers or request.headers.get("content-length", "0") != "0"
    if not has_body:
        return "none"
    if said == JSON:
        return "json"
    if said in BYTES or said.startswith(AUDIO):
        return "file"
    cure = f"Say what it is: Content-Type: {JSON} for a question, {BYTES[0]} for a file."
    raise Refusal(415, "The body is of a type that is not read.", said or None, f"{JSON}, audio/*, {BYTES[0]}", cure)


async def receive_json(request: Request, settings: ServiceSettings) -> dict[str, Any]:
    """The object that a body holds.

    Raises
    ------
    Refusal
        400 if it is none, 408, 413.
    """
    if request.url.query:
        raise Refusal(400, "There are two questions: a body and a query string.", cure="Give one of the two.")
    body = bytearray()
    async for piece in _pieces(request, MOST_JSON_BYTES, settings.receive_s):
        body += piece
    try:
        return parse_json(bytes(body), "The body", "Send one JSON object.", InputError)
    except InputError as error:
        raise Refusal(400, error.message, expected="one JSON object", cure=error.hint) from error


async def receive_file(
    request: Request, workspace: Workspace, settings: ServiceSettings, name: str
) -> tuple[SentFile, UploadWriter]:
    """A file, on the disk; whoever takes it calls `abandon` of its writer in the end.

    Raises
    ------
    Refusal
        408, 413, 415 if it is no audio.
    MessError
        If the disk has no room.
    """
    announced = request.headers.get("content-length", "0")
    n_announced = int(announced) if announced.isdecimal() and len(announced) < 20 else 0
    _check_size(n_announced, settings.most_bytes)
    writer = await run_in_threadpool(UploadWriter, workspace, unquote(name), n_announced)
    try:
        held = bytearray()
        async for piece in _pieces(request, settings.most_bytes, settings.receive_s):
            held += piece
            if len(held) >= PIECE_BYTES:
                await run_in_threadpool(writer.write, bytes(held))
                held.clear()
        await run_in_threadpool(writer.write, bytes(held))
        try:
            track = await run_in_threadpool(writer.receive)
        except AudioError as error:
            raise not_a_format(error) from error
        if track.duration_s > settings.most_s:
            raise Refusal(
                413, "The recording is too long.", round(track.duration_s, 1), f"at most {settings.most_s:g} s",
                "Send a part of it.",
            )  # fmt: skip
    except BaseException:
        writer.abandon()
        raise
    return SentFile(writer.path, track.sha256, track.duration_s, writer.name), writer


async def _pieces(request: Request, most_bytes: float, receive_s: float) -> AsyncIterator[bytes]:
    n_bytes = 0
    stream = request.stream()
    ends_s = asyncio.get_running_loop().time() + receive_s
    while True:
        try:
            async with asyncio.timeout_at(ends_s):
                piece = await anext(stream, None)
        except TimeoutError as error:
            what = "The body did not come in time."
            raise Refusal(
                408, what, n_bytes, f"all of it within {receive_s:g} s", "Send it faster, or less of it.",
                {"Connection": "close"},
            ) from error  # fmt: skip
        except ClientDisconnect as error:
            raise Refusal(408, "The body broke off.", n_bytes, "all of it", "Send it again.") from error
        if piece is None:
            return
        n_bytes += len(piece)
        _check_size(n_bytes, most_bytes)
        yield piece


def _check_size(n_bytes: int, most_bytes: float) -> None:
    if n_bytes > most_bytes:
        cure = "Send less of it."
        raise Refusal(
            413, "The body is too large.", n_bytes, f"at most {most_bytes:.0f} bytes", cure, {"Connection": "close"}
        )
