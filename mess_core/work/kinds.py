"""All kinds of work, and which of them follows which by itself.

    demo ─┐
    fetch ─> add ─> extract ─> targets ─> probe ─> evaluate, map

A request that names an encoder to go on with, or says that it goes on, is followed by the next; any other stands alone.
"""

from __future__ import annotations

from mess_core.encoders.hearings import LIKE_THIS
from mess_core.encoders.registry import DEFAULT, hearing_ids
from mess_core.errors import InputError
from mess_core.probing.discovery import path_of
from mess_core.storage.jobs import Job
from mess_core.work.add import AddRequest
from mess_core.work.demo import DemoRequest
from mess_core.work.download import DownloadRequest
from mess_core.work.evaluate import EvaluateRequest
from mess_core.work.extract import EncodeRequest, ExtractRequest
from mess_core.work.fetch import FetchRequest
from mess_core.work.learn import LearnRequest
from mess_core.work.map import MapRequest
from mess_core.work.probe import ProbeRequest
from mess_core.work.request import Done, Request
from mess_core.work.study import StudyRequest
from mess_core.work.targets import MeasureRequest, TargetsRequest
from mess_core.workspace.scope import scope_of
from mess_core.workspace.workspace import DEMO, Workspace

KINDS: dict[str, type[Request]] = {
    request.kind: request
    for request in (
        DemoRequest, AddRequest, ExtractRequest, EncodeRequest, TargetsRequest, MeasureRequest, ProbeRequest,
        EvaluateRequest, MapRequest, DownloadRequest, FetchRequest, LearnRequest, StudyRequest,
    )
}  # fmt: skip


def asked(job: Job) -> Request:
    """What a job is asked to do.

    Raises
    ------
    InputError
        If its kind is not known here: a newer MESS may use the same folder.
    ArtefactMismatchError
        If its row holds what cannot be meant.
    """
    if job.kind not in KINDS:
        raise InputError(
            f"This MESS does no job of the kind {job.kind[:40]!r}.", "Use the newer MESS that asked for it."
        )
    return KINDS[job.kind].from_arguments(job.arguments)


def what_follows(workspace: Workspace, request: Request, done: Done) -> list[Request]:
    """What is to be asked for after a request was done."""
    match request:
        case DemoRequest(encoder_id=str(encoder_id)):
            return _embedding(DEMO, encoder_id)
        case FetchRequest(library=str(library)) if done.path is not None:
            return [AddRequest(done.path, library, request.encoder_id, renders=request.renders)]
        case AddRequest(encoder_id=str(encoder_id)) if done.leads_on:
            return _embedding(request.library, encoder_id)[::-1]  # at once: each file is decoded once for all
        case ExtractRequest(library, encoder_id, goes_on=True):
            # Asked by what is there, not by what was just done: one that was interrupted here asks again.
            scope = scope_of(workspace, library, encoder_id)
            if scope.can_discover and scope.discovery() is None:
                return [TargetsRequest(library, encoder_id)]
        case TargetsRequest(library, str(encoder_id)):
            return [ProbeRequest(library, encoder_id, goes_on=True)]
        case ProbeRequest(library, encoder_id, level="track", goes_on=True):
            return [
                EvaluateRequest(library, encoder_id, "faithfulness"),
                EvaluateRequest(library, encoder_id, "similarity"),
                MapRequest(library, encoder_id),
            ]
    return []


def what_will_follow(workspace: Workspace, request: Request) -> list[Request]:
    """What will be asked for after a request, if it goes well and nothing else is done meanwhile."""
    match request:
        case FetchRequest(folder=folder):
            return what_follows(workspace, request, Done("", path=folder))
        case ExtractRequest(library, encoder_id, goes_on=True):  # by what will be there, not by what is
            scope = scope_of(workspace, library, encoder_id)
            is_there = path_of(workspace.paths, library, scope.info, "work", "track").is_file()
            return [TargetsRequest(library, encoder_id)] if scope.will_discover and not is_there else []
    return what_follows(workspace, request, Done(""))


def _embedding(library: str, encoder_id: str) -> list[Request]:
    """A library is embedded by the default encoder, and then by what else the default hearing listens with."""
    requests: list[Request] = [ExtractRequest(library, encoder_id, goes_on=True)]
    if encoder_id == DEFAULT and LIKE_THIS in hearing_ids():
        requests.append(ExtractRequest(library, LIKE_THIS))
    return requests
