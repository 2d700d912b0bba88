"""What is here, what is missing, and the command that gets it."""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from mess_core import __version__
from mess_core.answers import read_recall
from mess_core.encoders.registry import PUBLISHED, encoder_ids, encoder_info
from mess_core.encoders.weights import weights_state
from mess_core.extraction import choose_device
from mess_core.home import Home
from mess_core.search.rows import kind_for

PACKAGES = ("streamlit", "torch", "transformers", "faiss-cpu", "soundfile", "soxr", "pyloudnorm", "librosa")
LOW_DISK_BYTES = 2 * 1024**3
NETWORK_FILE_SYSTEMS = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "afs", "9p"}


@dataclass(frozen=True)
class Finding:
    """One line of the examination. `cure` is empty where nothing is wrong."""

    subject: str
    state: str
    is_ok: bool
    cure: str = ""


def examine(home: Home) -> list[Finding]:
    """Look at versions, device, disk, weights, libraries, roots, and what went wrong lately."""
    free = shutil.disk_usage(home.paths.root).free
    findings = [
        Finding("mess", f"{__version__}, Python {platform.python_version()}, {platform.system()}", True),
        *(_package(name) for name in PACKAGES),
        Finding("compute device", choose_device(), True),
        Finding("data folder", str(home.paths.root), True),
        Finding(
            "free disk",
            f"{free / 1e9:.1f} GB",
            free > LOW_DISK_BYTES,
            "" if free > LOW_DISK_BYTES else "Free some space: embeddings and uploads need room.",
        ),
    ]
    file_system = _file_system(home.paths.root)
    if file_system in NETWORK_FILE_SYSTEMS:
        cure = "Set MESS_HOME to a local folder: SQLite's write-ahead log does not work on network file systems."
        findings.append(Finding("file system", file_system, False, cure))
    for published in PUBLISHED:
        state = weights_state(encoder_info(published.id, home.paths), home.paths)
        is_here = state.status == "present"
        findings.append(Finding(f"weights {published.id}", state.message, is_here, "" if is_here else state.hint))
    for library in home.catalogue.libraries():
        findings.append(
            Finding(f"library {library.name}", f"{library.n_tracks} tracks, {library.duration_s / 3600:.1f} h", True)
        )
        findings += [_search(home, library.name, encoder_id) for encoder_id in encoder_ids(home.paths)
                     if home.n_embedded(library.name, encoder_info(encoder_id, home.paths))]  # fmt: skip
    if not home.catalogue.libraries():
        findings.append(Finding("libraries", "none yet", False, "python -m mess_core demo"))
    for root in home.catalogue.missing_roots():
        findings.append(
            Finding("music folder", f"{root} is not there", False, "Mount the disk; nothing was forgotten.")
        )
    return [*findings, _last_check(home), *_failed_jobs(home), *_older_files(home)]


def _last_check(home: Home) -> Finding:
    """What the last `check` left; it reads every byte, so it is not done here."""
    last = home.last_check()
    if last is None:
        return Finding("last check", "never; it reads every stored file: python -m mess_core check", True)
    at, n_problems = last
    found = f"{n_problems} problem{'s' if n_problems > 1 else ''}" if n_problems else "nothing wrong"
    cure = "python -m mess_core check --repair" if n_problems else ""
    return Finding("last check", f"{datetime.fromtimestamp(at):%Y-%m-%d %H:%M}, {found}", not n_problems, cure)


def _failed_jobs(home: Home) -> list[Finding]:
    """Jobs that failed and were not done since."""
    rows = home.database.connection.execute(
        "SELECT kind, message, hint FROM jobs WHERE state = 'failed' AND job_id IN"
        " (SELECT max(job_id) FROM jobs GROUP BY key) ORDER BY job_id DESC"
    ).fetchall()
    if not rows:
        return []
    newest = f"{rows[0]['kind']}: {rows[0]['message']}"
    return [Finding("failed jobs", f"{len(rows)}; {newest}", False, rows[0]["hint"] or "Ask for it again.")]


def _older_files(home: Home) -> list[Finding]:
    """Embeddings by encoders as they were: kept, and never mixed with those of today."""
    today = [encoder_info(encoder_id, home.paths).fingerprint for encoder_id in encoder_ids(home.paths)]
    (n_older,) = home.database.connection.execute(
        f"SELECT count(*) FROM embeddings WHERE fingerprint NOT IN ({', '.join('?' * len(today))})", today
    ).fetchone()
    if not n_older:
        return []
    return [Finding("older files", f"{n_older} embeddings by encoders or settings that are not in use here", True)]


def _search(home: Home, library: str, encoder_id: str) -> Finding:
    """Which index answers, and what it misses."""
    info = encoder_info(encoder_id, home.paths)
    n_tracks = home.n_embedded(library, info)
    kind = kind_for(n_tracks, info.n_layers * (info.embedding_dim + 1))
    state = f"{n_tracks} tracks, {'exact: every track compared' if kind == 'flat' else kind}"
    figures = read_recall(home, library, info, "layer") if kind != "flat" else []
    state += "".join(f"; {f.weighting}: {f.share:.1%} found in {f.median_s * 1e3:.1f} ms" for f in figures)
    return Finding(f"search {library} {encoder_id}", state, True)


def _package(name: str) -> Finding:
    try:
        return Finding(name, importlib.metadata.version(name), True)
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, "not installed", False, "pip install -r requirements.txt")


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
