"""The service: `mess serve`.

    request -> Gate        who asks, from where, how often; what it took is counted
            -> endpoint    fields read, a file received
            -> pool        answered in a thread; what hears a file waits in a line of its own
            -> document    or a refusal (`refusals`)

It starts listening at once and is ready when the index of all libraries is made. Told to stop, by SIGTERM or Ctrl+C, it
takes nothing more and finishes what is in hand.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import math
import os
import re
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mess_core.errors import DataMissingError, MessError, StorageError
from mess_core.search.inquiry import Inquiry, plan_inquiry
from mess_core.serve import metrics
from mess_core.serve.answering import SentFile, without_paths
from mess_core.serve.endpoints import BY_PATH, ENDPOINTS, Endpoint
from mess_core.serve.fields import read_fields, read_query_string
from mess_core.serve.metrics import Metrics
from mess_core.serve.openapi import openapi
from mess_core.serve.pool import WorkPool
from mess_core.serve.rates import Rates, client_of
from mess_core.serve.receiving import kind_of_body, receive_file, receive_json
from mess_core.serve.refusals import AGAIN_AFTER_S, INSIDE, MEDIA_TYPE, Refusal, refusal_of
from mess_core.serve.settings import ServiceSettings, is_loopback
from mess_core.serve.shared import Shared

log = logging.getLogger("mess.serve")
MOST_IN_FLIGHT = 256  # requests, those among them that are still being received
MOST_CONNECTIONS = 1024  # beyond it uvicorn itself says 503
HEARING_AT_ONCE, HEARING_WAITS = 1, 8  # an encoder takes all cores
KEEP_ALIVE_S = 5
WARM_AGAIN_S = 10  # an index that could not be made
MOST_HEADER_BYTES = 32 * 2**10
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
OPENAPI = openapi()
PATH = re.compile(r"(?<![\w./])(?:/|[A-Za-z]:\\)[^\s'\"/\\]+[/\\]")  # an absolute one, in a sentence


class Service:
    """What one process serves: a data folder, by some settings."""

    def __init__(self, root: Path, settings: ServiceSettings) -> None:
        self.settings, self.shared = settings, Shared(root)
        n_threads = settings.n_threads or os.cpu_count() or 1
        self.answering = WorkPool("answering", n_threads, settings.most_waiting, is_alone=False)
        self.hearing = WorkPool("hearing", HEARING_AT_ONCE, HEARING_WAITS)
        self.warming = WorkPool("warming", 1, 0)
        self.not_ready: Refusal | None = _starting()
        indexes = self.shared.indexes
        self.metrics = Metrics(
            {
                'mess_held{pool="answering"}': lambda: self.answering.n_held,
                'mess_held{pool="hearing"}': lambda: self.hearing.n_held,
                "mess_indexes": lambda: len(indexes),
                "mess_index_builds_total": lambda: indexes.n_built,
            }
        )

    @property
    def app(self) -> Starlette:
        """The ASGI application."""
        routes = [Route(each.path, self._endpoint(each), methods=[*each.methods]) for each in ENDPOINTS]
        handlers = {Refusal: _refuse, HTTPException: _refuse_http, MessError: _refuse, OSError: _refuse}
        gate = Middleware(Gate, service=self)
        return Starlette(routes=routes, middleware=[gate], lifespan=self._lifespan, exception_handlers=handlers)

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        warming = asyncio.create_task(self._warm())
        try:
            yield
        finally:
            warming.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await warming
            for pool in (self.warming, self.hearing, self.answering):  # SQLite must not be closed under a thread
                await asyncio.to_thread(pool.close)
            self.shared.close()

    async def _warm(self) -> None:
        """Make the index of the plain question; until then the service is not ready."""

        def build() -> None:
            plan = plan_inquiry(self.shared.workspace, Inquiry(), self.shared.discovery)
            if not len(self.shared.index(plan)):
                raise DataMissingError("Nothing is embedded yet.", "On its machine: python -m mess_core extract.")

        while self.not_ready is not None:
            try:
                await self.warming.run(build, math.inf)
                self.not_ready = None
            except Exception as error:  # whatever it is, the next try may not meet it
                if not isinstance(error, MessError):
                    _note(error)
                found = refusal_of(error)
                self.not_ready = Refusal(503, found.what, cure=found.cure, headers={"Retry-After": str(WARM_AGAIN_S)})
                await asyncio.sleep(WARM_AGAIN_S)

    def _endpoint(self, endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
        at_once = {"live": self._live, "ready": self._ready, "metrics": self._metrics, "openapi": self._openapi}
        if endpoint.answers is None:
            return at_once[endpoint.name]

        async def answered(request: Request) -> Response:
            return await self._answer(endpoint, request)

        return answered

    async def _answer(self, endpoint: Endpoint, request: Request) -> Response:
        kind = kind_of_body(request) if request.method == "POST" else "none"
        if kind == "file" and not endpoint.takes_file:
            raise Refusal(415, "No file is read here.", request.headers.get("content-type"), "application/json")
        if kind == "json" and endpoint.needs_file:
            raise Refusal(415, "No question is read here.", "application/json", "audio/*")
        body = read_query_string(request.query_params.multi_items())
        if kind == "json":
            body = await receive_json(request, self.settings)
        said = read_fields(endpoint.fields, body)
        sent, dispose = None, lambda: None
        if kind == "file":
            name = said.get("file_name", "upload")
            sent, writer = await receive_file(request, self.shared.workspace, self.settings, name)
            dispose = writer.abandon
        pool, limit_s = (self.hearing, self.settings.hear_s) if sent else (self.answering, self.settings.answer_s)
        text = await pool.run(lambda: self._written(endpoint, said, sent), limit_s, dispose)
        return Response(text, media_type=endpoint.media_type)

    def _written(self, endpoint: Endpoint, said: dict[str, Any], sent: SentFile | None) -> bytes:
        """The document as it is sent; made in a thread."""
        assert endpoint.answers is not None
        try:
            document = endpoint.answers(self.shared, said, sent)
        except MessError as error:
            if self.settings.shows_paths or not PATH.search(str(error)):
                raise
            _note(error)
            refused = refusal_of(error)
            raise Refusal(
                refused.status, "It cannot be answered; why names a place on the machine of the service.",
                cure="Its log says which.",
            ) from error  # fmt: skip
        if not self.settings.shows_paths:
            document = without_paths(document)
        return json.dumps(document, allow_nan=False).encode()

    async def _live(self, request: Request) -> Response:
        return JSONResponse({"status": "live"})

    async def _ready(self, request: Request) -> Response:
        if self.not_ready is not None:
            return _response(self.not_ready)
        return JSONResponse({"status": "ready"})

    async def _metrics(self, request: Request) -> Response:
        return PlainTextResponse(self.metrics.text(), headers={"Content-Type": metrics.MEDIA_TYPE})

    async def _openapi(self, request: Request) -> Response:
        return JSONResponse(OPENAPI)


class Gate:
    """The outermost layer: refuses before anything is read, counts, and lets no trace of a fault out."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        settings = service.settings
        self.app, self.settings, self.metrics = app, settings, service.metrics
        self.of_client = Rates(settings.rate_per_s, settings.burst)
        self.of_all = Rates(settings.rate_of_all_per_s, settings.burst_of_all)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
                return
            await self.app(scope, receive, send)
            return
        began_s, n_in, n_out, status, has_begun = time.perf_counter(), 0, 0, 500, False

        async def receive_counted() -> Message:
            nonlocal n_in
            message = await receive()
            n_in += len(message.get("body", b""))
            return message

        async def send_counted(message: Message) -> None:
            nonlocal n_out, status, has_begun
            if message["type"] == "http.response.start":
                has_begun, status = True, message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            n_out += len(message.get("body", b""))
            await send(message)

        endpoint = BY_PATH.get(scope["path"])
        self.metrics.in_flight += 1
        try:
            refused = self._refusal(scope, endpoint)
            if refused is not None:
                await _response(refused)(scope, receive_counted, send_counted)
            else:
                await self.app(scope, receive_counted, send_counted)
        except Exception as error:
            _note(error)
            if not has_begun:
                await _response(INSIDE)(scope, receive, send_counted)
        finally:
            self.metrics.in_flight -= 1
            seconds = time.perf_counter() - began_s
            self.metrics.count(endpoint.name if endpoint else metrics.OTHER, status, seconds, n_in, n_out)

    def _refusal(self, scope: Scope, endpoint: Endpoint | None) -> Refusal | None:
        """Why this is not even looked at; guesses at a token cost their client, and nobody else."""
        settings, headers = self.settings, Headers(scope=scope)
        if settings.token is None and (why := _is_foreign(headers)):
            return Refusal(403, why, cure="Without a token only programs on this machine may ask; start it with one.")
        if endpoint is not None and endpoint.is_open:  # whoever looks whether it lives must not take a flood for death
            return None
        if self.metrics.in_flight > MOST_IN_FLIGHT:
            again = {"Retry-After": str(AGAIN_AFTER_S)}
            return Refusal(503, "Too many requests are in hand.", cure="Ask again later.", headers=again)
        wait_s = self.of_client.take(client_of(scope["client"][0] if scope.get("client") else None))
        if wait_s:
            return _too_often(wait_s, "You ask", settings.rate_per_s, settings.burst)
        if settings.token is not None and not settings.token.is_known_to(headers.get("authorization")):
            return Refusal(
                401, "No token, or another one.", None, "Authorization: Bearer TOKEN",
                "Ask whoever runs the service for its token.", {"WWW-Authenticate": 'Bearer realm="mess"'},
            )  # fmt: skip
        wait_s = self.of_all.take()
        return _too_often(wait_s, "All ask", settings.rate_of_all_per_s, settings.burst_of_all) if wait_s else None


def _is_foreign(headers: Headers) -> str:
    """In a sentence, that a page of a browser asks, or a name that was made to point here; empty of a program's."""
    if "origin" in headers or headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return "A page of a browser may not ask here."
    try:
        host = urlsplit(f"//{headers.get('host', '')}").hostname or ""
    except ValueError:
        host = ""
    return "" if is_loopback(host) else "This machine is asked by a name that is not its own."


def _too_often(wait_s: float, who: str, rate_per_s: float, burst: int) -> Refusal:
    return Refusal(
        429, f"{who} too often.", None, f"{rate_per_s:g} requests a second, {burst} at once",
        f"Ask again in {max(1, round(wait_s))} s.", {"Retry-After": str(max(1, round(wait_s)))},
    )  # fmt: skip


def _starting() -> Refusal:
    return Refusal(503, "The index is being made.", cure="Ask again.", headers={"Retry-After": str(AGAIN_AFTER_S)})


def _response(refused: Refusal) -> Response:
    return JSONResponse(refused.document, refused.status, headers=dict(refused.headers), media_type=MEDIA_TYPE)


async def _refuse(request: Request, error: Exception) -> Response:
    refused = refusal_of(error)
    if not isinstance(error, Refusal) and refused.status >= 500:
        _note(error)
    return _response(refused)


async def _refuse_http(request: Request, error: Exception) -> Response:
    """What Starlette itself refuses: an address or a method that there is not."""
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        what = "This address knows another method."
        return _response(Refusal(405, what, request.method, allowed, headers={"Allow": allowed}))
    if error.status_code == 404:
        known = ", ".join(BY_PATH)
        return _response(Refusal(404, "There is nothing at this address.", request.url.path[:200], known))
    return _response(Refusal(400, "The request is malformed.", cure="See /openapi.json."))


def _note(error: Exception) -> None:
    """Into the log of the service, with its trace: the client is told none of it."""
    log.error("%s", type(error).__name__, exc_info=error)


def listen(settings: ServiceSettings) -> socket.socket:
    """The socket of a service; port 0 is one that is free.

    Raises
    ------
    StorageError
        If somebody else listens there, or it may not.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # Only where the protocol is named does asyncio send at once, without Nagle's wait of 40 ms after a first piece.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":  # elsewhere it would let two listen at one port
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((settings.host, settings.port))
        listening.listen(MOST_CONNECTIONS)
        return listening
    except (OSError, UnicodeError) as error:
        listening.close()
        why = getattr(error, "strerror", None) or error
        raise StorageError(
            f"Nothing can listen at {settings.host}, port {settings.port}: {why}.",
            "Choose another --port or --host.",
        ) from error


def address_of(listening: socket.socket) -> str:
    """Where a service is reached."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(root: Path, settings: ServiceSettings, listening: socket.socket) -> None:
    """Answer until told to stop; what is in hand then is finished."""
    import uvicorn

    config = uvicorn.Config(
        Service(root, settings).app,
        lifespan="on",
        ws="none",
        access_log=False,  # addresses name tracks, and who listens to what is nobody's business
        log_level="warning",
        server_header=False,
        proxy_headers=bool(settings.proxies),
        forwarded_allow_ips=list(settings.proxies),
        limit_concurrency=MOST_CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=round(max(settings.receive_s, 1) + settings.hear_s),
        h11_max_incomplete_event_size=MOST_HEADER_BYTES,
        http="h11",
    )
    with _signals_end_nothing():
        uvicorn.Server(config).run(sockets=[listening])


@contextlib.contextmanager
def _signals_end_nothing() -> Iterator[None]:
    """Uvicorn stops at a signal, and sends it to us once more at the end: all is done then, and that is no fault."""
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
