"""Who may speak to the server, and what its answers allow a browser to do.

There are no accounts: whoever reaches the server may use it. What must not is a page from elsewhere in the visitor's
own browser, be it of another site, of another program on another port of this machine, or of a name that was made to
point here. So every answer forbids to be framed and to load anything from elsewhere, and what changes something or
opens a session is taken from our own origin only: scheme, host and port.

A request that names no origin comes from a program, not from a page. It may ask and upload, as `curl -T` does: a
program on this machine could as well read the disk. It gets no WebSocket: browsers always name an origin there.
"""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from urllib.parse import urlsplit

import streamlit as st
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PORTS = {"http": 80, "https": 443}  # where none is named
SAFE = ("GET", "HEAD", "OPTIONS")
FOREVER = {"Cache-Control": "private, max-age=31536000, immutable"}  # of what never changes under its address
# Streamlit looks for the server at /Library/_stcore first when a visitor opens /Library, and gets a 404. Told where
# the server is, it does not look.
FIRST_SCRIPT = "window.prerenderReady = false; window.__streamlit = {BACKEND_BASE_URL: window.location.origin};"
_INLINE = re.compile(r"<script>(.*?)</script>", re.DOTALL)
_INDEX = _INLINE.sub(
    f"<script>{FIRST_SCRIPT}</script>",
    (Path(st.__file__).parent / "static" / "index.html").read_text("utf-8"),
)
_SCRIPTS = " ".join(
    f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
    for script in _INLINE.findall(_INDEX)
)
POLICY = "; ".join(
    [
        "default-src 'none'",
        f"script-src 'self' blob: {_SCRIPTS}",  # blob: is how Streamlit runs the scripts of our own components
        "style-src 'self' 'unsafe-inline'",  # Streamlit and Plotly write styles as they go
        "img-src 'self' data: blob:",
        "media-src 'self' blob:",
        "font-src 'self' data:",
        "connect-src 'self' data: blob:",
        "worker-src 'self' blob:",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class Guard:
    """The outermost layer: refuses other origins, and writes `HEADERS` on every answer, also on one that failed."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        has_begun = False

        async def send_guarded(message: Message) -> None:
            nonlocal has_begun
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                has_begun = True
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        refusal = _refusal(scope)
        try:
            await (self.app if refusal is None else refusal)(scope, receive, send_guarded)
        except Exception:
            if scope["type"] == "http" and not has_begun:  # else the answer is written above us, without our headers
                await PlainTextResponse("Internal Server Error", 500)(scope, receive, send_guarded)
            raise


def _refusal(scope: Scope) -> JSONResponse | None:
    """What a page from elsewhere is told; None for our own, and for programs that only ask or upload."""
    headers = Headers(scope=scope)
    if scope["type"] == "websocket":
        is_welcome = is_own(headers.getlist("origin"), headers.getlist("host"), needs_origin=True)
    else:
        is_welcome = scope["method"] in SAFE or is_own(headers.getlist("origin"), headers.getlist("host"))
    return None if is_welcome else JSONResponse({"error": "This must come from MESS's own page.", "hint": ""}, 403)


def is_own(origins: list[str], hosts: list[str], *, needs_origin: bool = False) -> bool:
    """Whether the `Origin` of a request is the server that its `Host` names: host and port.

    Parameters
    ----------
    origins, hosts : list of str
        The values of these headers: none, one, or, from somebody who tries things, several.
    needs_origin : bool
        Whether none is refused.

    Examples
    --------
    >>> is_own(["http://localhost:8501"], ["localhost:8501"]), is_own(["http://localhost:3000"], ["localhost:8501"])
    (True, False)
    """
    if not origins:
        return not needs_origin
    if len(origins) != 1 or len(hosts) != 1:
        return False
    try:
        origin, host = urlsplit(origins[0]), urlsplit(f"{urlsplit(origins[0]).scheme}://{hosts[0]}")
        ours, theirs = (host.hostname, host.port), (origin.hostname, origin.port)
    except ValueError:  # such as http://[
        return False
    port = PORTS.get(origin.scheme)
    has_only_host = origins[0].lower() == f"{origin.scheme}://{origin.netloc}".lower() and "@" not in origin.netloc
    return (
        port is not None and has_only_host and theirs[0] is not None
        and (theirs[0], theirs[1] or port) == (ours[0], ours[1] or port)
    )  # fmt: skip


async def index(request: Request) -> HTMLResponse:
    """Streamlit's page, with our first script."""
    return HTMLResponse(_INDEX, headers={"Cache-Control": "no-cache"})


async def as_typed(request: Request) -> RedirectResponse:
    """/listen, which somebody typed, is /Listen; Streamlit would show Home at it."""
    return RedirectResponse(request.url.replace(path=f"/{request.url.path[1:].capitalize()}"))


_PAGES = sorted(path.stem.split("_", 1)[1] for path in Path(__file__).parents[2].glob("*.py"))
INDEX_ROUTES = [
    *(Route(path, index, methods=["GET"]) for path in ("/", *(f"/{name}" for name in _PAGES))),
    *(Route(f"/{name.lower()}", as_typed, methods=["GET"]) for name in _PAGES),
]

# Streamlit checks `server.allowedHosts` for its own routes only; ours need the same.
GUARDS = [
    Middleware(Guard),
    Middleware(TrustedHostMiddleware, allowed_hosts=st.get_option("server.allowedHosts") or ["*"]),
]
