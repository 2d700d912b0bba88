"""Where an encoder's weights are, and that they are the right ones.

MESS bundles no weights that come on terms of their own, as MERT's do. They come from a folder the user names, or from
the Hugging Face cache of this machine, where `download` puts them after the user has said yes. A file is used only
after its sha256 was compared:

    sha256 in EncoderInfo   -> must be equal
    not known to us         -> recorded the first time it is seen here, and must be equal ever after

`weights.json` in the data folder remembers the chosen folders, the recorded hashes, and which files were hashed in
which state, so that asking again costs a `stat` and not a gigabyte of reading. It can be deleted: folders are then
chosen again, files hashed again.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mess_core.encoders.base import EncoderInfo, WeightFile
from mess_core.errors import ArtefactMismatchError, DataMissingError, MessError, StorageError
from mess_core.storage.files import SEAL, unseal, write_sealed
from mess_core.storage.kept import Kind, aside
from mess_core.storage.paths import Paths
from mess_core.storage.untrusted import parse_json, read_untrusted, understanding
from mess_core.words import counted

CHUNK_BYTES = 1024 * 1024  # between two looks at `should_stop`
MAX_ATTEMPTS = 3  # connections in a row that bring nothing, before a download gives up
TIMEOUT_S = 20.0
# A size that nobody has pinned is an estimate; a file this far below it was cut short.
SMALLEST_SHARE = 0.8
FORMAT = "mess-weights-2"
MOST_MEMORY_BYTES = 16 * 2**20
CHOOSE_AGAIN = "Delete it, then choose your folders again."

Status = Literal["embedded", "present", "missing", "offline", "damaged"]


@dataclass(frozen=True)
class WeightsState:
    """Whether an encoder can be used, in a word, and in sentences for people.

    Parameters
    ----------
    status : str
        "embedded": comes with MESS; "present": found and verified; "missing": must be fetched; "offline": missing,
        and this machine is told not to use the network; "damaged": found, but not what it should be.
    folder : Path or None
        Where the weights are, if they are present.
    size_bytes : int
        Of all files together.
    message, hint : str
        What is so, and what to do about it (empty if nothing).
    """

    status: Status
    folder: Path | None
    size_bytes: int
    message: str
    hint: str = ""


# --- asking -----------------------------------------------------------------------------------------------


def weights_state(info: EncoderInfo, paths: Paths) -> WeightsState:
    """Whether the weights of an encoder are here. Cheap: a file is hashed again only if its size or time changed."""
    size_bytes = sum(file.size_bytes for file in info.files)
    if _is_embedded(info):
        return WeightsState("embedded", None, size_bytes, "Comes with MESS.")
    try:
        folder = _verified_folder(info, paths, trust_memory=True)
    except DataMissingError as error:
        status: Status = "offline" if is_offline() else "missing"
        return WeightsState(status, None, size_bytes, error.message, error.hint)
    except MessError as error:
        return WeightsState("damaged", None, size_bytes, error.message, error.hint)
    return WeightsState("present", folder, size_bytes, f"Present and verified, in {folder}.")


def locate(info: EncoderInfo, paths: Paths) -> Path:
    """The folder with the weights of an encoder, every file hashed now.

    Raises
    ------
    DataMissingError
        If they are not on this machine; the hint says how to get them.
    ArtefactMismatchError
        If a file is incomplete, damaged or another one.
    """
    return _verified_folder(info, paths, trust_memory=False)


def resolve(info: EncoderInfo, paths: Paths) -> EncoderInfo:
    """The same facts, with the hashes and sizes recorded in this data folder where the publisher's are not known."""
    if all(file.sha256 for file in info.files):
        return info
    try:
        recorded = _read_memory(paths)["recorded"]
    except (ArtefactMismatchError, StorageError):  # whoever asks for the weights themselves is told; `check` names it
        return info
    files = []
    for file in info.files:
        seen = recorded.get(_key(info, file)) if file.sha256 is None else None
        files.append(WeightFile(file.name, seen["size_bytes"], seen["sha256"]) if seen else file)
    return dataclasses.replace(info, files=tuple(files))


def use_folder(info: EncoderInfo, paths: Paths, folder: Path | str) -> WeightsState:
    """Use the weights in a folder of the user's; verified first, remembered if right.

    Raises
    ------
    DataMissingError
        If a file is not in the folder.
    ArtefactMismatchError
        If a file is incomplete, damaged or another one; what was chosen before stays chosen.
    """
    folder = Path(folder).expanduser().resolve()
    for file in info.files:
        if not (folder / file.name).is_file():
            raise DataMissingError(
                f"{file.name} is not in {folder}.",
                f"A folder for {info.title} holds {', '.join(file.name for file in info.files)} as published.",
            )
    _verify(info, paths, folder, trust_memory=False)
    _remember(paths, "folders", info.id, str(folder))
    return weights_state(info, paths)


def download_command(info: EncoderInfo) -> str:
    """The command that fetches the weights without MESS, into the place where MESS looks for them."""
    names = " ".join(file.name for file in info.files)
    return f"hf download {info.source} {names} --revision {info.revision}"


def is_offline() -> bool:
    """Whether this machine was told to keep off the Hugging Face hub (HF_HUB_OFFLINE)."""
    from huggingface_hub import constants

    # The library reads the variable once, at import; it may have been set since.
    return bool(
        constants.is_offline_mode() or os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}
    )


def _is_embedded(info: EncoderInfo) -> bool:
    return all((Path(__file__).parent / file.name).is_file() for file in info.files)


def _megabytes(n_bytes: float) -> str:
    return f"{n_bytes / 1e6:,.0f} MB"


# --- verifying --------------------------------------------------------------------------------------------


def _verified_folder(info: EncoderInfo, paths: Paths, *, trust_memory: bool) -> Path:
    """The chosen folder if it is complete, else the Hugging Face cache; verified."""
    chosen = _read_memory(paths)["folders"].get(info.id)
    folders = [Path(chosen)] if chosen else []
    folders.append(_cache_folder(info) / "snapshots" / info.revision)
    for folder in folders:
        if all((folder / file.name).is_file() for file in info.files):
            _verify(info, paths, folder, trust_memory=trust_memory)
            return folder
    raise _missing(info, chosen)


def _missing(info: EncoderInfo, chosen: str | None = None) -> DataMissingError:
    size = _megabytes(sum(file.size_bytes for file in info.files))
    message = f"The weights of {info.title} ({size}, {info.licence}) are not on this machine"
    message += f", and the chosen folder {chosen} no longer has them." if chosen else "."
    if is_offline():
        cure = "HF_HUB_OFFLINE is set. With a network and without that variable, run"
    else:
        cure = "Download them on the Library page, name a folder that has them, or run"
    return DataMissingError(message, f"{cure}: {download_command(info)}")


def _verify(info: EncoderInfo, paths: Paths, folder: Path, *, trust_memory: bool) -> None:
    """Compare every file with what it should be; what nobody has pinned is recorded."""
    memory = _read_memory(paths)
    new: dict[str, dict[str, Any]] = {}
    for file in info.files:
        path = folder / file.name
        recorded = memory["recorded"].get(_key(info, file))
        if file.sha256 is None and recorded:
            file = WeightFile(file.name, recorded["size_bytes"], recorded["sha256"])
        stat = path.stat()
        _check_size(file, path, stat.st_size)
        fingerprint = [stat.st_size, stat.st_mtime_ns]
        seen = memory["hashed"].get(str(path))
        if trust_memory and seen and seen["state"] == fingerprint:
            sha256 = seen["sha256"]
        else:
            sha256 = _sha256(path)
            _remember(paths, "hashed", str(path), {"state": fingerprint, "sha256": sha256})
        if file.sha256 is None:
            new[_key(info, file)] = {"size_bytes": stat.st_size, "sha256": sha256}
        elif sha256 != file.sha256:
            raise ArtefactMismatchError(
                f"{path} has sha256 {sha256[:12]}…, expected {file.sha256[:12]}…: it is damaged or another version.",
                _cure(path),
            )
    for key, value in new.items():  # only when all files of the folder are in order
        _remember(paths, "recorded", key, value)


def _check_size(file: WeightFile, path: Path, size_bytes: int) -> None:
    is_wrong = size_bytes < SMALLEST_SHARE * file.size_bytes if file.sha256 is None else size_bytes != file.size_bytes
    if is_wrong:
        raise ArtefactMismatchError(
            f"{path} has {counted(size_bytes, 'byte')}, expected {'about ' if file.sha256 is None else ''}"
            f"{file.size_bytes:,}: it is incomplete or another file.",
            _cure(path),
        )


def _cure(path: Path) -> str:
    return f"Choose another folder, or fetch it again into one that is empty: {path.resolve()} stays as it is."


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


# --- remembering ------------------------------------------------------------------------------------------


def _key(info: EncoderInfo, file: WeightFile) -> str:
    return f"{info.source}@{info.revision}/{file.name}"


def _read_memory(paths: Paths) -> dict[str, dict[str, Any]]:
    """folders: encoder id -> path; recorded: `_key` -> size and sha256; hashed: path -> size, time and sha256."""
    memory: dict[str, dict[str, Any]] = {"folders": {}, "recorded": {}, "hashed": {}}
    try:
        data = read_untrusted(paths.weights, MOST_MEMORY_BYTES, name=str(paths.weights), cure=CHOOSE_AGAIN)
    except FileNotFoundError:
        return memory
    stored = parse_json(data, str(paths.weights), CHOOSE_AGAIN)
    if {"format", SEAL} & stored.keys():  # before there were seals it had neither
        stored = unseal(data, str(paths.weights), CHOOSE_AGAIN)
    with understanding(str(paths.weights), CHOOSE_AGAIN):
        for section in memory:
            for key, entry in stored.get(section, {}).items():
                _check_entry(section, key, entry)
    return {section: {**memory[section], **stored.get(section, {})} for section in memory}


def _check_entry(section: str, key: str, entry: Any) -> None:
    if section == "folders":
        is_possible = entry is None or (isinstance(entry, str) and "\0" not in entry)
    elif section == "recorded":
        is_possible = type(entry["size_bytes"]) is int and entry["size_bytes"] >= 0 and _is_sha256(entry["sha256"])
    else:
        state = entry["state"]
        is_possible = _is_sha256(entry["sha256"]) and len(state) == 2 and all(type(number) is int for number in state)
    if not is_possible:
        raise ValueError(f"what it says of {key} cannot be")


def _is_sha256(text: object) -> bool:
    return isinstance(text, str) and re.fullmatch("[0-9a-f]{64}", text) is not None


def _remember(paths: Paths, section: str, key: str, value: Any) -> None:
    """Change one entry. Read again just before, so that the app and its worker do not undo each other's entries."""
    memory = _read_memory(paths)
    memory[section][key] = value
    write_sealed(paths.weights, {"format": FORMAT, **memory})


# --- fetching ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Offer:
    """What the hub says about one file."""

    file: WeightFile
    size_bytes: int
    etag: str  # sha256 of a large file, git's hash of a small one


class _StoppedError(Exception):
    """The user has asked to stop; what is here is kept."""


def download(
    info: EncoderInfo,
    paths: Paths,
    on_progress: Callable[[int, int], None] = lambda done_bytes, total_bytes: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> WeightsState:
    """Fetch the weights of an encoder into the Hugging Face cache. Ask the user first: the licence is not ours.

    Only the files named in `info`, at its pinned revision, and without any token of the user's. An interrupted
    download goes on where it was. Nothing appears in the cache under its final name before its hash was compared.

    Parameters
    ----------
    on_progress : callable (done_bytes, total_bytes)
        Called after every megabyte; an exception it raises ends the download, and what is here is kept.
    should_stop : callable () -> bool
        Asked after every megabyte.

    Returns
    -------
    WeightsState
        "present"; or "missing" if it was stopped.

    Raises
    ------
    DataMissingError
        If there is no network, or the hub does not have the files; the hint is the command to run later.
    ArtefactMismatchError
        If what arrived is not what was announced or pinned; it is deleted.
    StorageError
        If the disk is full or refuses.
    """
    if _is_embedded(info):
        return weights_state(info, paths)
    if is_offline():
        raise _missing(info)
    import huggingface_hub
    from huggingface_hub import constants

    errors = _network_errors()
    try:
        offers = [_ask(info, file) for file in info.files]
        _check_space(info, offers)
        total = sum(offer.size_bytes for offer in offers)
        done = 0
        for offer in offers:
            _fetch(info, offer, functools.partial(_report, on_progress, done, total), should_stop)
            # The blob is in its place; this gives it its name, as the cache wants it.
            huggingface_hub.hf_hub_download(info.source, offer.file.name, revision=info.revision, token=False)
            done += offer.size_bytes
            on_progress(done, total)
    except _StoppedError:
        message = f"The download of {info.title} was stopped; it goes on from there when started again."
        return WeightsState("missing", None, sum(offer.size_bytes for offer in offers), message)
    except errors as error:
        raise DataMissingError(
            f"{info.title} could not be fetched from {constants.ENDPOINT}: "
            f"{str(error).splitlines()[0] if str(error) else type(error).__name__}",
            f"With a network, try again (it goes on where it was), or run: {download_command(info)}",
        ) from error
    except OSError as error:
        if isinstance(error, MessError):
            raise
        raise StorageError(
            f"{info.title} could not be written to {_cache_folder(info)}: {error.strerror or error}.",
            "Free some disk space or check the folder's permissions, then start again: what is here is kept.",
        ) from error
    _remember(paths, "folders", info.id, None)  # who downloads no longer wants the folder chosen before
    locate(info, paths)  # looks at all files together, and records what nobody has pinned
    return weights_state(info, paths)


def _report(on_progress: Callable[[int, int], None], before: int, total: int, done: int) -> None:
    on_progress(before + done, total)


def _network_errors() -> tuple[type[Exception], ...]:
    """What the hub's client raises when the network or the hub is to blame. Some are also OSErrors."""
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    return (httpx2.HTTPError, HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled)


def _ask(info: EncoderInfo, file: WeightFile) -> _Offer:
    """Ask the hub for size and hash of a file at the pinned revision."""
    import huggingface_hub

    url = huggingface_hub.hf_hub_url(info.source, file.name, revision=info.revision)
    said = huggingface_hub.get_hf_file_metadata(url, token=False, timeout=TIMEOUT_S)
    if said.commit_hash != info.revision or not said.etag or said.size is None:
        raise DataMissingError(
            f"{url} does not answer as the Hugging Face hub would (revision {said.commit_hash!r}, expected "
            f"{info.revision!r}).",
            f"A proxy or HF_ENDPOINT may be in the way. Elsewhere, run: {download_command(info)}",
        )
    return _Offer(file, said.size, said.etag)


def _cache_folder(info: EncoderInfo) -> Path:
    """Where the Hugging Face cache keeps this model: blobs/<etag>, snapshots/<revision>/<name>."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE) / f"models--{info.source.replace('/', '--')}"


def _check_space(info: EncoderInfo, offers: list[_Offer]) -> None:
    """Refuse before the first byte what would fill the disk."""
    folder = _cache_folder(info) / "blobs"
    folder.mkdir(parents=True, exist_ok=True)
    here = sum(path.stat().st_size for path in folder.iterdir())
    needed = sum(offer.size_bytes for offer in offers) - here
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise StorageError(
            f"{info.title} needs {_megabytes(needed)} more in {folder}, and {_megabytes(free)} are free.",
            "Free some disk space, or let HF_HOME name a larger disk.",
        )


def _fetch(
    info: EncoderInfo, offer: _Offer, on_progress: Callable[[int], None], should_stop: Callable[[], bool]
) -> None:
    """Bring one file to blobs/<etag>, going on with what an earlier attempt left.

    huggingface_hub itself begins again at byte 0 after a crash or a stop (since its version 1), which nobody wants of
    a gigabyte; so the bytes are fetched here and the cache's bookkeeping is left to it.
    """
    from huggingface_hub.utils import WeakFileLock

    blobs = _cache_folder(info) / "blobs"
    blob, part = blobs / offer.etag, blobs / f"{offer.etag}.incomplete"
    locks = blobs.parent.parent / ".locks" / blobs.parent.name  # the library's own, so that it waits for us too
    locks.mkdir(parents=True, exist_ok=True)
    with WeakFileLock(locks / f"{offer.etag}.lock"):
        if blob.is_file() and _is_whole(offer, blob):
            return
        failures = 0
        while (before := part.stat().st_size if part.is_file() else 0) < offer.size_bytes:
            try:
                _append(info, offer, part, on_progress, should_stop)
            except _network_errors():
                failures = 0 if part.is_file() and part.stat().st_size > before else failures + 1
                if failures == MAX_ATTEMPTS:
                    raise
        if not _is_whole(offer, part):
            part.unlink()
            raise ArtefactMismatchError(
                f"{offer.file.name} of {info.title} arrived damaged: its size or its sha256 is not what was pinned or "
                "announced. It was deleted.",
                "Download it again. If this repeats, something on the way changes files: fetch them elsewhere and name "
                "the folder.",
            )
        part.replace(blob)


def _append(
    info: EncoderInfo,
    offer: _Offer,
    part: Path,
    on_progress: Callable[[int], None],
    should_stop: Callable[[], bool],
) -> None:
    """Append to `part` what is still missing, over one connection."""
    import huggingface_hub
    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

    url = huggingface_hub.hf_hub_url(info.source, offer.file.name, revision=info.revision)
    headers = build_hf_headers(token=False) | {"Accept-Encoding": "identity"}
    with part.open("ab") as stream:
        done = stream.tell()
        if done:
            headers["Range"] = f"bytes={done}-"
        with get_session().stream("GET", url, headers=headers, timeout=TIMEOUT_S, follow_redirects=True) as answer:
            hf_raise_for_status(answer)
            if done and answer.status_code != 206:  # a server that knows no ranges sends everything again
                stream.truncate(0)
                done = 0
            for chunk in answer.iter_bytes(CHUNK_BYTES):
                if should_stop():
                    raise _StoppedError
                stream.write(chunk)
                done += len(chunk)
                on_progress(done)


def _is_whole(offer: _Offer, path: Path) -> bool:
    """Compare a file with the pinned hash, or else with the one the hub announced."""
    expected = offer.file.sha256
    if expected is None and len(offer.etag) == 64:
        expected = offer.etag
    return path.stat().st_size == offer.size_bytes and expected in (None, _sha256(path))


def _verify_memory(path: Path) -> None:
    _read_memory(Paths(path.parent))


KEPT = Kind(
    "weights",
    lambda paths: [paths.weights] if os.path.lexists(paths.weights) else [],
    _verify_memory,
    cure="`check --repair` puts it aside; then choose the folders of weights again.",
    remove=aside,  # what was chosen in it can be read by a person
)
