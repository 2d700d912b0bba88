"""What maps are drawn from, held for browsers to fetch: once each, by an address that changes with the content.

    GET /points/{digest}

A map of a hundred thousand points takes megabytes. Sent with the page they would be sent again with every click on it.
What is held here is bounded; what had to give way is held again when the page that shows it runs again.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pages.shared.app.guards import FOREVER

MOST_BYTES = 64 * 1024 * 1024

_held: OrderedDict[str, bytes] = OrderedDict()  # by digest, the one asked for last at the end
_digests: dict[Hashable, str] = {}
_lock = threading.Lock()


def address_of(data: bytes) -> str:
    """Hold this, and say where a browser gets it."""
    digest = hashlib.sha256(data).hexdigest()[:32]
    with _lock:
        _held[digest] = data
        _held.move_to_end(digest)
        while sum(map(len, _held.values())) > MOST_BYTES and len(_held) > 1:
            _held.popitem(last=False)
    return f"/points/{digest}"


def address_of_made(key: Hashable, make: Callable[[], bytes]) -> str:
    """The same of what takes long to pack: made anew only where what `key` stands for is held no more."""
    with _lock:
        digest = _digests.get(key, "")
        is_held = digest in _held
        if is_held:
            _held.move_to_end(digest)
    if is_held:
        return f"/points/{digest}"
    address = address_of(make())
    with _lock:
        for older in [each for each, of in _digests.items() if of not in _held]:
            del _digests[older]
        _digests[key] = address.rpartition("/")[2]
    return address


async def pack(request: Request) -> Response:
    """One of them."""
    with _lock:
        data = _held.get(request.path_params["digest"])
    if data is None:
        return JSONResponse({"error": "This map is not held any more.", "hint": "Open the page again."}, 404)
    return Response(data, media_type="application/octet-stream", headers=FOREVER)


PACK_ROUTES = [Route("/points/{digest}", pack, methods=["GET"])]
