"""One file on its way over the network: it goes on where it was cut, and has its name only when it is whole.

    <name>.part, <name>.part.json    what has arrived, and of which version of the file
    <name>.json                      address, size and sha256 of the file that arrived

A part is continued only if the server says that the file is still the same one. What is damaged is deleted, never used.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mess_core.collections.collection import Download
from mess_core.collections.web import get
from mess_core.errors import ArtefactMismatchError, DataMissingError, StorageError
from mess_core.storage.files import write_atomically
from mess_core.storage.untrusted import read_json
from mess_core.words import counted

CHUNK_BYTES = 1024 * 1024  # between two looks at `should_stop`
MAX_ATTEMPTS = 3  # connections in a row that bring nothing, before a download gives up
FINAL_STATUSES = (401, 403, 404, 410, 451)  # asking again changes nothing
MOST_OF_ESTIMATE = 1.5  # sizes that a publisher does not give are rounded; a file this much larger is another one
MOST_FACTS_BYTES = 2**20
UNPACKED_OVER_PACKED = 1.25  # expected of audio; what an archive really needs is looked at before it is unpacked


class StoppedError(Exception):
    """The user has asked to stop; what is here is kept."""


@dataclass
class Fetch:
    """One file on its way."""

    which: Download
    path: Path  # its final name
    on_progress: Callable[[int, int], None]
    should_stop: Callable[[], bool]

    @property
    def part(self) -> Path:
        return self.path.with_name(f"{self.path.name}.part")

    @property
    def part_facts(self) -> Path:
        return self.path.with_name(f"{self.path.name}.part.json")

    @property
    def record(self) -> Path:
        return self.path.with_name(f"{self.path.name}.json")

    @property
    def is_archive(self) -> bool:
        return self.path.suffix == ".zip"

    @property
    def n_phases(self) -> int:
        return 2 if self.is_archive else 1  # fetching, unpacking

    @property
    def target(self) -> Path:
        return self.path.with_suffix("") if self.is_archive else self.path

    @property
    def most_bytes(self) -> int:
        return round(MOST_OF_ESTIMATE * self.which.size_bytes)

    def done(self) -> int:
        return self.part.stat().st_size if self.part.is_file() else 0


def read_facts(path: Path) -> dict[str, Any]:
    """A small JSON object; empty where there is none that can be read."""
    try:
        return read_json(path, MOST_FACTS_BYTES)
    except (OSError, ArtefactMismatchError):
        return {}


def bring(fetch: Fetch, title: str) -> None:
    """Fetch the file whole, compare it with what is known of it, and give it its name."""
    import httpx2

    failures = 0
    while True:
        if fetch.should_stop():
            raise StoppedError
        before = fetch.done()
        try:
            _append(fetch)
            break
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            failures = 0 if fetch.done() > before else failures + 1
            status = error.response.status_code if isinstance(error, httpx2.HTTPStatusError) else None
            if failures == MAX_ATTEMPTS or status in FINAL_STATUSES:
                raise DataMissingError(
                    f"{title} could not be fetched from {fetch.which.url}: "
                    f"{str(error).splitlines()[0] if str(error) else type(error).__name__}.",
                    "With a network, try again: it goes on where it was. Or fetch it by hand and add its folder.",
                ) from error
    with fetch.part.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    recorded = read_facts(fetch.record)
    expected = fetch.which.sha256 or (recorded.get("sha256") if recorded.get("url") == fetch.which.url else None)
    if expected not in (None, sha256):
        fetch.part.unlink()
        fetch.part_facts.unlink(missing_ok=True)
        raise ArtefactMismatchError(
            f"{fetch.path.name} arrived with sha256 {sha256[:12]}…, expected {expected[:12]}…. It was deleted.",
            "Download it again. If this repeats, something on the way changes files"
            + (f", or it was published anew: then delete {fetch.record}." if not fetch.which.sha256 else "."),
        )
    facts = {"url": fetch.which.url, "sha256": sha256, "size_bytes": fetch.done()}
    write_atomically(fetch.record, json.dumps(facts).encode())
    fetch.part.replace(fetch.path)
    fetch.part_facts.unlink(missing_ok=True)


def _append(fetch: Fetch) -> None:
    """Append to the part what is still missing, over one connection."""
    import httpx2

    facts = read_facts(fetch.part_facts)
    done = fetch.done()
    if done and done == facts.get("total"):
        return
    version = _version(facts)
    headers = {"Range": f"bytes={done}-", "If-Range": version} if done and version else {}
    with get(fetch.which.url, headers) as answer:
        if answer.status_code == 416:  # the file has become shorter than what is here
            fetch.part.unlink()
        answer.raise_for_status()
        sent = int(answer.headers.get("Content-Length") or -1)
        if answer.status_code != 206:  # a server that knows no ranges, or has another version, sends all of it
            done = 0
        elif not answer.headers.get("Content-Range", "").startswith(f"bytes {done}-"):
            fetch.part.unlink()
            raise httpx2.RemoteProtocolError("the server sent another part than it was asked for")
        total = done + sent if sent >= 0 else None
        if (total or 0) > fetch.most_bytes:
            raise _too_large(fetch, total or 0)
        _check_space(fetch, total or fetch.which.size_bytes, done)
        known = {"total": total, "etag": answer.headers.get("ETag"), "modified": answer.headers.get("Last-Modified")}
        with fetch.part.open("ab" if done else "wb") as stream:
            write_atomically(fetch.part_facts, json.dumps(known).encode())
            told = done
            for chunk in answer.iter_raw():
                done += len(chunk)
                if done > (fetch.most_bytes if total is None else total):
                    raise _too_large(fetch, done)
                stream.write(chunk)
                if done - told >= CHUNK_BYTES or done == total:
                    told = done
                    fetch.on_progress(done, fetch.n_phases * (total or max(done, fetch.which.size_bytes)))
                    if fetch.should_stop():
                        raise StoppedError
    if total is not None and done < total:
        raise httpx2.RemoteProtocolError(f"{done:,} of {counted(total, 'byte')} arrived")


def _version(facts: dict[str, Any]) -> str | None:
    """What tells the server which version we have a part of; a weak ETag does not tell bytes apart."""
    etag = facts.get("etag")
    return etag if etag and not etag.startswith("W/") else facts.get("modified")


def _too_large(fetch: Fetch, size_bytes: int) -> ArtefactMismatchError:
    return ArtefactMismatchError(
        f"{fetch.which.url} has {size_bytes:,} bytes or more, expected about {fetch.which.size_bytes:,}.",
        "It is another file than the one that was published. Fetch it by hand and add its folder.",
    )


def _check_space(fetch: Fetch, total: int, done: int) -> None:
    """Refuse before the first byte what would fill the disk."""
    needed = total - done + (UNPACKED_OVER_PACKED * total if fetch.is_archive else 0)
    free = shutil.disk_usage(fetch.path.parent).free
    if needed > free:
        raise StorageError(
            f"{fetch.path.name} needs {needed / 1e6:,.0f} MB more in {fetch.path.parent}, with what is unpacked, and "
            f"{free / 1e6:,.0f} MB are free.",
            "Free some disk space, or choose another folder.",
        )
