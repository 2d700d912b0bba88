"""The scripts of our components as ES modules, each at an address that changes with their content.

    GET /modules/{digest}/{name}

Streamlit runs the script of a component from a blob, which can import nothing that lies beside it. So that script
(`Modules.script`) only asks this server for the first module; what that imports, the browser finds beside it by itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from pages.shared.app.guards import FOREVER


@dataclass(frozen=True)
class Modules:
    """The scripts of one component. texts : by file name; first : the one that imports the others"""

    texts: Mapping[str, bytes]
    first: str

    @classmethod
    def of(cls, folder: Path, first: str, exports: Mapping[str, str] | None = None) -> Modules:
        """Every script of a folder. exports : what is added to the end of some"""
        added = exports or {}
        return cls(
            {
                path.name: (path.read_text("utf-8") + added.get(path.name, "")).encode()
                for path in sorted(folder.glob("*.js"))
            },
            first,
        )

    @property
    def digest(self) -> str:
        parts = [name.encode() + b"\0" + text for name, text in self.texts.items()]
        return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]

    @property
    def script(self) -> str:
        """What Streamlit is given."""
        return f"""\
const {{ default: mount }} = await import(`${{window.location.origin}}/modules/{self.digest}/{self.first}`);
export default mount;
"""


def module_routes(*served: Modules) -> list[Route]:
    """The address under which all of these are found; of another version of MESS there is none."""
    by_digest = {modules.digest: modules for modules in served}

    async def module(request: Request) -> Response:
        modules = by_digest.get(request.path_params["digest"])
        text = modules.texts.get(request.path_params["name"]) if modules else None
        if text is None:
            return PlainTextResponse("There is no such script here.", 404)
        return Response(text, media_type="text/javascript", headers=FOREVER)

    return [Route("/modules/{digest}/{name}", module, methods=["GET"])]
