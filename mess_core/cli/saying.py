"""What every verb of the command line says: how its work goes, how it ended, and its document or its lines."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from mess_core.storage.jobs import Job, grouped
from mess_core.storage.untrusted import harmless
from mess_core.work.doing import do_now
from mess_core.work.request import Request
from mess_core.workspace.workspace import Workspace

DONE, SOME_FAILED = 0, 1  # exit codes


def work_on(workspace: Workspace, request: Request) -> Job:
    """Do a job here, with its progress if a person is looking."""
    return do_now(workspace, request, progress=sys.stderr.isatty())


def show_progress(n_done: int, n_total: int) -> None:
    """The same for work that is no job."""
    if sys.stderr.isatty() and n_total:
        print(f"\r{n_done / n_total:4.0%}", end="\n" if n_done == n_total else "", file=sys.stderr, flush=True)


def report(workspace: Workspace, jobs: Sequence[Job], options: argparse.Namespace, **facts: Any) -> int:
    """Print how jobs ended, with every failed item; returns the exit code."""
    failures = [failure for job in jobs for failure in workspace.jobs.failures(job.job_id)]
    is_done = all(job.state == "done" for job in jobs)
    message = " ".join(f"{job.message or job.state} {job.hint}".strip() for job in jobs)
    document = {"done": is_done, "message": message, **facts, "failures": [vars(failure) for failure in failures]}
    lines = [message, *(f"  {group.line}" for group in grouped(failures))]
    say(options, document, lines)
    return DONE if is_done and not failures else SOME_FAILED


def say(options: argparse.Namespace, document: dict[str, Any], text: str | Sequence[str]) -> None:
    """A line, or lines, or the document; no name in a line can do anything to the terminal."""
    if options.json:
        say_document(document)
    else:
        encoding = sys.stdout.encoding or "utf-8"
        for line in [text] if isinstance(text, str) else text:
            print(harmless(line).encode(encoding, "replace").decode(encoding))


def say_document(document: dict[str, Any]) -> None:
    print(json.dumps(document, indent=2, allow_nan=False))
