"""Settings of the service: where it listens, whom it answers, and how much.

A token is a secret that whoever asks must know. It comes from a file or the environment, never from the command line,
which every user of a machine can read; only its hash is kept, so that nothing can print it. Without one the service
listens on loopback alone.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mess_core.errors import InputError
from mess_core.storage.untrusted import read_text

TOKEN_VARIABLE = "MESS_TOKEN"
LEAST_TOKEN = 16  # characters: 96 bits of a random one
MOST_TOKEN_BYTES = 4096
MAKE_ONE = 'Make one: python -c "import secrets; print(secrets.token_urlsafe(32))"'
HOST, PORT = "127.0.0.1", 8600


@dataclass(frozen=True)
class Token:
    """What must be known; its sha256 alone is kept."""

    digest: bytes

    @classmethod
    def of(cls, text: str) -> Token:
        """InputError of one that could be guessed."""
        text = text.strip()
        if len(text) < LEAST_TOKEN or not text.isascii() or not text.isprintable() or " " in text:
            raise InputError(
                f"The token has {len(text)} characters, expected at least {LEAST_TOKEN} of ASCII without spaces.",
                MAKE_ONE,
            )
        return cls(hashlib.sha256(text.encode()).digest())

    def is_known_to(self, header: str | None) -> bool:
        """Whether an `Authorization` header bears it; how long this takes says nothing of the token.

        Examples
        --------
        >>> Token.of("correct horse battery".replace(" ", "-")).is_known_to("Bearer correct-horse-battery")
        True
        """
        scheme, _, given = (header or "").partition(" ")
        digest = hashlib.sha256(given.strip().encode("utf-8", "surrogateescape")).digest()
        return hmac.compare_digest(digest, self.digest) and scheme.casefold() == "bearer"


@dataclass(frozen=True)
class ServiceSettings:
    """What a service is started with.

    token : None answers everybody on this machine
    proxies : addresses of reverse proxies whose word on who asks is taken
    rate_per_s, burst : requests of one client, and of all together; as many as `burst` may come at once
    most_bytes : of a file that is sent; most_s : of its sound
    receive_s, answer_s, hear_s : how long a body may take to come, an answer to be made, a file to be heard
    n_threads : that answer at a time, None for one per core; `most_waiting` requests may wait for one
    shows_paths : whether documents say where files lie on this machine, as the command line does
    """

    host: str = HOST
    port: int = PORT
    token: Token | None = None
    proxies: tuple[str, ...] = ()
    rate_per_s: float = 50.0
    burst: int = 100
    rate_of_all_per_s: float = 1000.0
    burst_of_all: int = 2000
    most_bytes: float = 200e6
    most_s: float = 1800.0
    receive_s: float = 120.0
    answer_s: float = 30.0
    hear_s: float = 300.0
    n_threads: int | None = None
    most_waiting: int = 64
    shows_paths: bool = True

    def __post_init__(self) -> None:
        if self.token is None and not is_loopback(self.host):
            raise InputError(
                f"Without a token the service listens on this machine alone, not on {self.host}.",
                f"Set {TOKEN_VARIABLE}, or give --token-file FILE; or leave out --host. {MAKE_ONE}",
            )
        if not 0 <= self.port < 2**16:
            raise InputError(f"The port is {self.port}, expected 0 to {2**16 - 1}.", f"The usual one is {PORT}.")
        numbers = {name: getattr(self, name) for name, kind in NUMBERS.items()}
        for name, value in numbers.items():
            if value is not None and not value > 0:  # false of NaN too
                raise InputError(f"{NUMBERS[name]} is {value:g}, expected more than 0.")


NUMBERS = {
    "rate_per_s": "--rate",
    "burst": "The burst",
    "rate_of_all_per_s": "--rate-of-all",
    "burst_of_all": "The burst of all",
    "most_bytes": "--most-mb",
    "most_s": "--most-seconds",
    "receive_s": "The time to receive",
    "answer_s": "--timeout",
    "hear_s": "The time to hear",
    "n_threads": "--threads",
}


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach it; a name counts as elsewhere, whatever it is said to be.

    Examples
    --------
    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def find_token(file: Path | None, environment: Mapping[str, str] = os.environ) -> Token | None:
    """The token of a file or of the environment; None where there is neither.

    Raises
    ------
    InputError
        If there are both, or it could be guessed.
    DataMissingError
        If the file is not there.
    """
    said = environment.get(TOKEN_VARIABLE)
    if file is None:
        return None if said is None else Token.of(said)
    if said is not None:
        raise InputError(f"There is a token in {TOKEN_VARIABLE} and one in a file.", "Give one of the two.")
    return Token.of(read_text(file, MOST_TOKEN_BYTES, name="The file of the token", error=InputError))
