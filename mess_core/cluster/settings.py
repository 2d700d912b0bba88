"""What is asked of a cluster, and which cluster may be asked.

Ray (`pip install -r requirements-cluster.txt`) is imported when a cluster is connected to, and not before.
"""

from __future__ import annotations

import importlib.util
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field

from mess_core.errors import DependencyMissingError, InputError
from mess_core.installation import how_to_add
from mess_core.storage.remote import parse_elsewhere
from mess_core.storage.untrusted import printable

LOCAL = "local"  # a cluster of this machine alone, for as long as it is asked
ALLOWED = "MESS_CLUSTERS"  # addresses, by commas, that a process may ask
ANSWER_S = 5.0  # that an address may take


@dataclass(frozen=True)
class ClusterSettings:
    """What is asked of a cluster.

    address : "local", or HOST:PORT of a Ray cluster that this machine belongs to
    read_from : "FOLDER=PLACE", where the workers find the music (`storage.remote`); "" is where it is here
    n_workers : at most; 0 is as many as there is room for
    n_cores : of a processor that a worker takes
    n_decoders : tasks beside each worker that decode for it; None is as many as cores are left beside GPUs
    home : the data folder, where a node has one at this path; else its own
    certificates : what is known of precisions here, by the name of the setting (`precision`)
    """

    address: str = LOCAL
    read_from: str = ""
    n_workers: int = 0
    n_cores: int = 1
    n_decoders: int | None = None
    home: str = ""
    certificates: Mapping[str, str] = field(default_factory=dict)


def is_installed() -> bool:
    """Whether Ray is here."""
    return importlib.util.find_spec("ray") is not None


def allow(address: str) -> None:
    """Let this process ask a cluster: whoever named it on the command line meant it."""
    os.environ[ALLOWED] = ",".join([*_allowed(), address])


def require_allowed(address: str) -> None:
    """InputError of a cluster that nobody at this machine has named.

    A job is a row of a data folder, which may be somebody else's; and whoever answers at an address can run programs
    in a process that joins.
    """
    if address != LOCAL and address not in _allowed():
        raise InputError(
            f"The cluster {printable(address[:100])} was not named on this machine.",
            f"Give it on the command line (--cluster), or start the app with {ALLOWED} set to it.",
        )


def _allowed() -> list[str]:
    return [each for each in os.environ.get(ALLOWED, "").split(",") if each]


def check_settings(settings: ClusterSettings) -> None:
    """Refuse at once what cannot be meant.

    Raises
    ------
    DependencyMissingError
        If Ray is not installed.
    InputError
        If an address cannot be one, or does not answer; if there are fewer than no workers.
    """
    parse_elsewhere(settings.read_from)
    if settings.n_workers < 0:
        raise InputError(f"{settings.n_workers} workers were asked for.", "Expected a number from 1, or nothing.")
    if not is_installed():
        raise DependencyMissingError("Ray is not installed, on which clusters run.", how_to_add("cluster"))
    if settings.address == LOCAL:
        return
    host, _, port = settings.address.rpartition(":")
    if "://" in settings.address or not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise InputError(
            f"{settings.address[:100]!r} is no address of a cluster.",
            f"Expected HOST:PORT of its head, from a machine that belongs to it, or {LOCAL!r}.",
        )
    try:
        socket.create_connection((host, int(port)), timeout=ANSWER_S).close()
    except OSError as error:
        raise no_answer(settings.address, error) from error


def no_answer(address: str, error: Exception) -> InputError:
    """Of a cluster that cannot be connected to, in a sentence."""
    why = printable(str(error)).splitlines()[0][:200].rstrip(".") or type(error).__name__
    return InputError(
        f"No cluster answers at {address}: {why}.",
        f"Start one with `ray start --head`, with the same token here if it asks for one, or use --cluster {LOCAL}.",
    )
