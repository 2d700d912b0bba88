"""The scripts of the player as ES modules, each at an address that changes with their content.

    GET /modules/{digest}/{name}

Streamlit runs the script of a component from a blob, which can import nothing that lies beside it. So that script
(`SCRIPT`) only asks this server for `player.js`; what that imports, the browser finds beside it by itself.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

FOREVER = {"Cache-Control": "private, max-age=31536000, immutable"}  # content never changes under its digest
# The sound is a plain script, which runs by itself as well; as a module it exports what the others take of it.
EXPORTS = {"player_audio.js": "\nexport { Engine, toFrames, toSeconds };\n"}
_MODULES = {
    path.name: (path.read_text("utf-8") + EXPORTS.get(path.name, "")).encode()
    for path in sorted(Path(__file__).parent.glob("*.js"))
}
DIGEST = hashlib.sha256(b"\0".join([name.encode() + b"\0" + text for name, text in _MODULES.items()])).hexdigest()[:16]
SCRIPT = f"""\
const {{ default: mount }} = await import(`${{window.location.origin}}/modules/{DIGEST}/player.js`);
export default mount;
"""


async def module(request: Request) -> Response:
    """One script; of another version of MESS there is none."""
    text = _MODULES.get(request.path_params["name"])
    if text is None or request.path_params["digest"] != DIGEST:
        return PlainTextResponse("There is no such script here.", 404)
    return Response(text, media_type="text/javascript", headers=FOREVER)


MODULE_ROUTES = [Route("/modules/{digest}/{name}", module, methods=["GET"])]
