"""What is here, what is missing, and the command that gets it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shlex
import shutil
import stat
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from mess_core import __version__
from mess_core.catalogue.catalogue import ALL
from mess_core.cluster.settings import is_installed
from mess_core.embeddings.device import why_no_gpu
from mess_core.embeddings.extraction import BATCH_SIZE_CPU, BATCH_SIZE_GPU, choose_device
from mess_core.embeddings.precision import computes_bfloat16, read_certificate
from mess_core.encoders.registry import encoder_choices, encoder_ids, encoder_info, encoder_problems
from mess_core.errors import ArtefactMismatchError, MessError
from mess_core.evaluation.kept import KINDS, load_evaluation
from mess_core.installation import clone, how_to_add
from mess_core.search.answers import make_plan
from mess_core.search.engines.chosen import ENGINES, FAISS, engine_of
from mess_core.search.engines.trial import try_engine
from mess_core.search.question import Question
from mess_core.search.recall import read_recall
from mess_core.search.rows import AGAIN, Kind, kind_for
from mess_core.storage.custody import TRASH_KEEP_DAYS
from mess_core.storage.database import RESTORE
from mess_core.storage.far import MEMORY_VARIABLE, search_memory_bytes
from mess_core.storage.files import own_files
from mess_core.study.models import model_problems
from mess_core.targets.registry import target_problems
from mess_core.upkeep.check import last_check
from mess_core.words import counted
from mess_core.workspace.scope import Scope, scope_of, scope_to_listen
from mess_core.workspace.workspace import Workspace

PACKAGES = ("torch", "transformers", "faiss-cpu", "soundfile", "soxr", "pyloudnorm", "librosa")
HOW: dict[Kind, str] = {
    "flat": "exact: every track compared",
    "hnsw": "hnsw",
    "ivf": "ivf",
    "codes": f"by codes, the best {AGAIN} compared exactly, as the library is larger than {MEMORY_VARIABLE}",
}  # a search goes
LOW_DISK_BYTES = 2 * 1024**3
NETWORK_FILE_SYSTEMS = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "afs", "9p"}


@dataclass(frozen=True)
class Finding:
    """One line of the examination. `cure` is empty where nothing is wrong."""

    subject: str
    state: str
    is_ok: bool
    cure: str = ""


def examine(workspace: Workspace) -> list[Finding]:
    """Look at versions, device, disk, weights, precision, libraries, roots, and what went wrong lately.

    Never fails: what cannot be looked at is a finding itself.
    """
    findings: list[Finding] = []
    for subject, look in {
        "mess": _versions,
        "data folder": _folder,
        "cache": _cache,
        "catalogue": _catalogue,
        "catalogue copies": _copies,
        "trash": _trash,
        "weights": _weights,
        "precision": _precision,
        "packages": _packages,
        "clusters": _clusters,
        "libraries": _libraries,
        "engines": _engines,
        "results": _results,
        "music folder": _music,
        "last check": _last_check,
        "failed jobs": _failed_jobs,
        "older files": _older_files,
    }.items():
        try:
            findings += look(workspace)
        except MessError as error:
            findings.append(Finding(subject, error.message, False, error.hint))
        except Exception as error:  # whatever is wrong with it: the next one may be in order
            findings.append(Finding(subject, f"cannot be looked at: {type(error).__name__}: {error}", False, RESTORE))
    return _once(findings)


def _once(findings: list[Finding]) -> list[Finding]:
    """What is wrong with the catalogue is wrong with all that is read from it: said the first time only."""
    said: set[str] = set()
    kept = []
    for finding in findings:
        if finding.is_ok or finding.state not in said:
            kept.append(finding)
        said.add(finding.state)
    return kept


def _versions(workspace: Workspace) -> list[Finding]:
    return [
        Finding("mess", f"{__version__}, Python {platform.python_version()}, {platform.system()}", True),
        *(_package(name) for name in PACKAGES),
        _app(),
        Finding("compute device", _computing(), True),
    ]


def _computing() -> str:
    """What computes here, how, why no GPU does, and how `extract` is told otherwise."""
    import torch

    device = choose_device()
    if device == "cpu":
        threads = counted(torch.get_num_threads(), "thread")
        how = f"{threads}, {BATCH_SIZE_CPU} segments at a time; no GPU: {why_no_gpu()}"
    elif device == "cuda":
        how = f"{torch.cuda.get_device_name()}, {BATCH_SIZE_GPU} segments at a time."
    else:
        how = f"{BATCH_SIZE_GPU} segments at a time."
    return f"{device}, {how} To change it: extract --device, --threads, --batch-size"


def _folder(workspace: Workspace) -> list[Finding]:
    root = workspace.paths.root
    findings = [Finding("data folder", str(root), True)]
    free = shutil.disk_usage(root).free
    is_enough = free > LOW_DISK_BYTES
    cure = "" if is_enough else "Free some space: embeddings and uploads need room."
    findings.append(Finding("free disk", f"{free / 1e9:.1f} GB", is_enough, cure))
    if not os.access(root, os.W_OK):
        cure = "What is there can be searched and copied with `backup`; to change anything, make it writable."
        findings.append(Finding("data folder", "may not be written to", False, cure))
    file_system = _file_system(root)
    if file_system in NETWORK_FILE_SYSTEMS:
        cure = "Set MESS_HOME to a local folder: SQLite's write-ahead log does not work on network file systems."
        findings.append(Finding("file system", file_system, False, cure))
    if os.name != "nt" and stat.S_IMODE(root.stat().st_mode) & 0o077:
        cure = f"It holds what was listened to; to keep it to yourself: chmod 700 {shlex.quote(str(root))}"
        findings.append(Finding("data folder rights", "others on this machine can read it", False, cure))
    return findings


def _cache(workspace: Workspace) -> list[Finding]:
    if workspace.paths.cache.exists() and not workspace.paths.cache.is_dir():
        return [
            Finding("cache", f"{workspace.paths.cache} is a file", False, "Delete it: a folder is made in its place.")
        ]
    return []


def _catalogue(workspace: Workspace) -> list[Finding]:
    """Its structure, as far as SQLite looks in a moment."""
    found = [str(row[0]) for row in workspace.database.connection.execute("PRAGMA quick_check(3)")]
    if found != ["ok"]:
        return [Finding("catalogue", f"damaged: {'; '.join(found)[:300]}", False, RESTORE)]
    return []


def _copies(workspace: Workspace) -> list[Finding]:
    newest = workspace.custody.newest_copy()
    if newest is None:
        state = "none yet; the app keeps one of each day, seven in all"
        return [Finding("catalogue copies", state, True)]
    _, day = newest
    age_days = (date.today() - date.fromisoformat(day)).days
    when = "today" if age_days == 0 else f"{age_days} day{'s' if age_days > 1 else ''} old"
    state = f"newest of {day} ({when}); to go back to it: move mess.sqlite away, python -m mess_core check --rebuild"
    return [Finding("catalogue copies", state, True)]


def _trash(workspace: Workspace) -> list[Finding]:
    files = list(own_files(workspace.paths.root, workspace.paths.trash.rglob("*")))
    if not files:
        return []
    n_bytes = sum(path.stat().st_size for path in files)
    state = f"{counted(len(files), 'file')}, {n_bytes / 1e6:.0f} MB; each is deleted after {TRASH_KEEP_DAYS} days"
    return [Finding("trash", state, True)]


def _weights(workspace: Workspace) -> list[Finding]:
    """Those that are here, or that music was embedded with; of the others, that they can be had."""
    findings, further = [], []
    for choice in encoder_choices(workspace.paths):
        state = choice.weights
        is_here = state.status == "present"
        if state.status in ("missing", "offline") and not workspace.store.known(choice.info):
            further.append(choice.info.id)
        elif state.status != "embedded":
            findings.append(Finding(f"weights {choice.info.id}", state.message, is_here, "" if is_here else state.hint))
    if further:
        found = f"{', '.join(further)}: their weights are not on this machine; the Library page says how to get them"
        findings.append(Finding("further encoders", found, True))
    return findings


def _precision(workspace: Workspace) -> list[Finding]:
    """In which precision encoders compute here, and by what figures."""
    device = choose_device()
    findings = []
    for encoder_id in encoder_ids(workspace.paths):
        certificate = read_certificate(encoder_info(encoder_id, workspace.paths), device, workspace.database)
        if certificate is not None:
            findings.append(Finding(f"precision {encoder_id}", certificate.words, True))
    if findings:
        return findings
    if computes_bfloat16(device):
        state = "float32; bfloat16 is tried when a transformer, as nano or MERT, first embeds 20 segments of a library"
    else:
        state = "float32: what computes here has no bfloat16, or no faster one"
    return [Finding("precision", state, True)]


def _packages(workspace: Workspace) -> list[Finding]:
    """What other packages add, as far as it cannot be used."""
    cure = "Update the package, or uninstall it."
    problems = (*encoder_problems(), *target_problems(), *model_problems())
    return [Finding("packages", problem, False, cure) for problem in problems]


def _clusters(workspace: Workspace) -> list[Finding]:
    """Ray is asked for by `extract --cluster` and `targets --cluster` alone: that it is not here is no fault."""
    if is_installed():
        return [Finding("clusters", f"ray {importlib.metadata.version('ray')}", True)]
    return [Finding("clusters", f"no Ray, which --cluster needs: {how_to_add('cluster')}", True)]


def _libraries(workspace: Workspace) -> list[Finding]:
    findings = []
    for library in workspace.catalogue.libraries():
        findings.append(
            Finding(
                f"library {library.name}",
                f"{counted(library.n_tracks, 'track')}, {workspace.catalogue.length_s(library.name) / 3600:.1f} h",
                True,
            )
        )
        scopes = [scope_of(workspace, library.name, encoder_id) for encoder_id in encoder_ids(workspace.paths)]
        findings += [_search(scope) for scope in scopes if scope.n_embedded]
    return findings or [Finding("libraries", "none yet", False, "python -m mess_core demo")]


def _music(workspace: Workspace) -> list[Finding]:
    return [
        Finding("music folder", f"{root} is not there", False, "Mount the disk; nothing was forgotten.")
        for root in workspace.catalogue.missing_roots()
    ]


def _last_check(workspace: Workspace) -> list[Finding]:
    """What the last `check` left; it reads every byte, so it is not done here."""
    last = last_check(workspace)
    if last is None:
        return [Finding("last check", "never; it reads every stored file: python -m mess_core check", True)]
    at, n_problems = last
    found = f"{n_problems} problem{'s' if n_problems > 1 else ''}" if n_problems else "nothing wrong"
    cure = "python -m mess_core check --repair" if n_problems else ""
    return [Finding("last check", f"{datetime.fromtimestamp(at):%Y-%m-%d %H:%M}, {found}", not n_problems, cure)]


def _failed_jobs(workspace: Workspace) -> list[Finding]:
    """Jobs that failed and were not done since."""
    rows = workspace.database.connection.execute(
        "SELECT kind, message, hint FROM jobs WHERE state = 'failed' AND job_id IN"
        " (SELECT max(job_id) FROM jobs GROUP BY key) ORDER BY job_id DESC"
    ).fetchall()
    if not rows:
        return []
    newest = f"{rows[0]['kind']}: {rows[0]['message']}"
    return [Finding("failed jobs", f"{len(rows)}; {newest}", False, rows[0]["hint"] or "Ask for it again.")]


def _older_files(workspace: Workspace) -> list[Finding]:
    """Embeddings by encoders as they were: kept, and never mixed with those of today."""
    today = [encoder_info(encoder_id, workspace.paths).fingerprint for encoder_id in encoder_ids(workspace.paths)]
    (n_older,) = workspace.database.connection.execute(
        f"SELECT count(*) FROM embeddings WHERE fingerprint NOT IN ({', '.join('?' * len(today))})", today
    ).fetchone()
    if not n_older:
        return []
    state = f"{counted(n_older, 'embedding')} by encoders or settings that are not in use here"
    return [Finding("older files", state, True)]


def _results(workspace: Workspace) -> list[Finding]:
    """Discoveries and evaluations that ask to be made again."""
    findings = []
    for library in workspace.catalogue.libraries():
        for encoder_id in encoder_ids(workspace.paths):
            scope = scope_of(workspace, library.name, encoder_id)
            who = f"--library {shlex.quote(scope.library)} --encoder {encoder_id}"
            content = scope.content
            try:
                discovery = scope.discovery()
                why = "" if discovery is None else discovery.why_again(content, scope.n_embedded)
            except ArtefactMismatchError as error:
                why = error.message
            asks = {"probe": why}
            for what in KINDS:
                kept = load_evaluation(scope, what)
                asks[f"evaluate {what}"] = "" if kept is None else kept.why_again(content)
            findings += [
                Finding(f"{verb} {library.name} {encoder_id}", why, False, f"python -m mess_core {verb} {who}")
                for verb, why in asks.items()
                if why
            ]
    return findings


def _engines(workspace: Workspace) -> list[Finding]:
    """Whether what was chosen to be asked for the nearest answers, and how fast; FAISS is asked where nothing was."""
    findings = []
    for library in (ALL, *(each.name for each in workspace.catalogue.libraries())):
        name = engine_of(workspace, library)
        scope = scope_to_listen(workspace, library)
        if name == FAISS or not scope.n_embedded:
            continue
        try:
            plan = make_plan(scope, Question(), scope.discovery_for_search())
            findings.append(Finding(f"engine {library}", try_engine(plan, name).words, True))
        except MessError as error:
            state = f"{name} does not answer: {error.message} FAISS answers in its place."
            cure = error.hint or f"python -m mess_core engine faiss --library {shlex.quote(library)}"
            findings.append(Finding(f"engine {library}", state, False, cure))
    return findings


def _search(scope: Scope) -> Finding:
    """Which index answers, and what it misses."""
    n_tracks = scope.n_embedded
    kind = kind_for(n_tracks, scope.info.n_numbers + scope.info.n_layers, search_memory_bytes())
    by = ENGINES[engine_of(scope.workspace, scope.library)].title
    state = f"{counted(n_tracks, 'track')}, by {by}, {HOW[kind]}"
    figures = read_recall(scope, "layer") if kind != "flat" else []
    state += "".join(
        f"; {f.weighting}: {f.share:.1%} ({f.low:.1%} to {f.high:.1%}) found in {f.median_s * 1e3:.1f} ms"
        for f in figures
    )
    return Finding(f"search {scope.library} {scope.info.id}", state, True)


def _package(name: str) -> Finding:
    try:
        return Finding(name, importlib.metadata.version(name), True)
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, "not installed", False, f"pip install {name}")


def _app() -> Finding:
    """Streamlit, which the pages need and the core does not: in a clone it is missed, beside the package alone not."""
    try:
        return Finding("streamlit", importlib.metadata.version("streamlit"), True)
    except importlib.metadata.PackageNotFoundError:
        state = "not installed; only the pages need it, which are in a clone of the repository"
        return Finding("streamlit", state, clone() is None, how_to_add("app") if clone() is not None else "")


def _file_system(path: Path) -> str:
    """Type of the file system that holds a path, where the system tells (Linux)."""
    mounts = Path("/proc/self/mounts")
    if not mounts.exists():
        return ""
    best, kind = "", ""
    for line in mounts.read_text().splitlines():
        _, mount, file_system, *_ = line.split()
        if path.is_relative_to(mount) and len(mount) >= len(best):
            best, kind = mount, file_system
    return kind
