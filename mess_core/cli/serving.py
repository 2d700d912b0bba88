"""The verb `serve`: the same answers over HTTP."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mess_core.cli.saying import DONE, say
from mess_core.workspace.workspace import Workspace

READABLE_BY_OTHERS = 0o077
MEGABYTE = 10**6


def add_verb(verb: Callable[[str, Any, str], argparse.ArgumentParser], path: Callable[[str], Path]) -> None:
    """Declare it. What is not given here is as `serve.settings.ServiceSettings` has it."""
    sub = verb("serve", _serve, "Answer over HTTP as the command line does: embed, similar, recommend, tags, explain.")
    sub.add_argument("--host", metavar="ADDRESS", help="where to listen; without a token on this machine alone")
    sub.add_argument("--port", type=int, metavar="N", help="0 is one that is free; by default 8600")
    sub.add_argument("--token-file", type=path, metavar="FILE", help="the token that must be known; or $MESS_TOKEN")
    sub.add_argument("--proxy", dest="proxies", action="append", metavar="ADDRESS",
                     help="a reverse proxy whose X-Forwarded-For is believed; repeatable")  # fmt: skip
    sub.add_argument("--rate", dest="rate_per_s", type=float, metavar="N", help="requests of a client a second")
    sub.add_argument("--burst", type=int, metavar="N", help="so many of them at once")
    sub.add_argument("--rate-of-all", dest="rate_of_all_per_s", type=float, metavar="N", help="of all clients together")
    sub.add_argument("--burst-of-all", type=int, metavar="N", help="so many of them at once")
    sub.add_argument("--most-mb", type=float, metavar="MB", help="the largest file that is taken")
    sub.add_argument("--most-seconds", dest="most_s", type=float, metavar="S", help="the longest recording")
    sub.add_argument("--timeout", dest="answer_s", type=float, metavar="S", help="how long an answer may take")
    sub.add_argument("--threads", dest="n_threads", type=int, metavar="N", help="that answer; by default one per core")
    sub.add_argument("--no-paths", dest="shows_paths", action="store_const", const=False,
                     help="do not say where files lie on this machine")  # fmt: skip


def _serve(workspace: Workspace, options: argparse.Namespace) -> int:
    from mess_core.serve.service import address_of, listen, serve
    from mess_core.serve.settings import ServiceSettings, find_token

    token = find_token(options.token_file)
    os.environ.pop("MESS_TOKEN", None)  # nothing that is started from here needs it
    if options.token_file is not None and options.token_file.stat().st_mode & READABLE_BY_OTHERS:
        print("mess: Others on this machine can read the file of the token: chmod 600.", file=sys.stderr)
    given = {name: getattr(options, name, None) for name in ServiceSettings.__dataclass_fields__}
    given["most_bytes"] = None if options.most_mb is None else options.most_mb * MEGABYTE
    given["proxies"] = tuple(options.proxies or ()) or None
    settings = ServiceSettings(**{name: value for name, value in given.items() if value is not None}, token=token)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    listening = listen(settings)
    address = address_of(listening)
    who = "whoever knows the token" if token is not None else "programs on this machine"
    say(options, {"address": address, "needs_token": token is not None}, f"MESS answers {who} at {address}/v1/similar")
    sys.stdout.flush()
    workspace.close()
    serve(workspace.paths.root, settings, listening)
    return DONE
