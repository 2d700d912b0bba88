"""The verbs `engine` and `serve-db`: what is asked for the nearest recordings, and a database for trying."""

from __future__ import annotations

import argparse
import shlex
import signal
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

from mess_core.catalogue.catalogue import ALL
from mess_core.cli.saying import DONE, say
from mess_core.search.answers import make_plan
from mess_core.search.engines.chosen import ENGINES, FAISS, engine_of, keep_engine, own_folder
from mess_core.search.engines.postgres import DSN_VARIABLE
from mess_core.search.engines.serving import dsn_of_served, serve
from mess_core.search.engines.trial import try_engine
from mess_core.search.question import Question
from mess_core.workspace.scope import scope_to_listen
from mess_core.workspace.workspace import Workspace

SLEEP_S = 3600.0


def add_verbs(verb: Callable[[str, Any, str], argparse.ArgumentParser]) -> None:
    """Declare them."""
    sub = verb("engine", _engine, "What is asked for the nearest recordings of a library: FAISS, or a database.")
    sub.add_argument("engine", nargs="?", choices=list(ENGINES), help="choose it, once it has answered")
    sub.add_argument("--library", default=ALL)

    sub = verb("serve-db", _serve, "A PostgreSQL server with pgvector, for trying; runs until Ctrl-C.")
    sub.add_argument("--folder", type=Path, metavar="FOLDER", help="where it keeps its files (default: the cache)")
    sub.add_argument("--user", metavar="NAME", help="as whom it runs, where you are root")


def _engine(workspace: Workspace, options: argparse.Namespace) -> int:
    workspace.catalogue.require_library(options.library)
    kept = engine_of(workspace, options.library)
    if options.engine == FAISS:  # needs nothing to be kept: a way back from what does not answer
        keep_engine(workspace, options.library, FAISS)
        kept = FAISS
    scope = scope_to_listen(workspace, options.library)
    trial = try_engine(make_plan(scope, Question(), scope.discovery_for_search()), options.engine or kept)
    if options.engine:
        keep_engine(workspace, options.library, trial.engine)
    say(options, {"library": options.library, **asdict(trial)}, f"{options.library}: {trial.words}")
    return DONE


def _serve(workspace: Workspace, options: argparse.Namespace) -> int:
    folder = (options.folder or own_folder(workspace.paths, workspace.paths.postgres)).expanduser().resolve()

    def stop(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        with serve(folder, options.user) as dsn:
            lines = [f"PostgreSQL with pgvector runs; Ctrl-C stops it. Its files are in {folder}."]
            if dsn_of_served(workspace.paths.postgres) != dsn:
                lines.append(f"For other verbs and programs: export {DSN_VARIABLE}={shlex.quote(dsn)}")
            say(options, {"dsn": dsn, "folder": str(folder)}, lines)
            print(end="", flush=True)
            while True:
                time.sleep(SLEEP_S)
    except KeyboardInterrupt:
        return DONE
    finally:
        signal.signal(signal.SIGTERM, before)
