"""One GET request that can be sent without harm: over https, and never into the network of this machine.

An address on this machine itself (a test's server) may be asked over http, and may redirect to others like it.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from mess_core.errors import DataMissingError

if TYPE_CHECKING:
    import httpx2

MAX_REDIRECTS = 5
TIMEOUT_S = 20.0
HEADERS = {"Accept-Encoding": "identity", "User-Agent": "mess"}


@contextmanager
def get(url: str, headers: Mapping[str, str]) -> Iterator[httpx2.Response]:
    """The answer to a request, its body not yet read; redirections are followed.

    Raises
    ------
    DataMissingError
        If the address, or one it redirects to, is not one to ask.
    httpx2.HTTPError
        If the network or the server fails.
    """
    import httpx2

    is_local = _is_loopback(url)
    with httpx2.Client(timeout=TIMEOUT_S, trust_env=not is_local) as client:
        next_url = url
        for _ in range(MAX_REDIRECTS + 1):
            if not is_local:
                _check(next_url)
            with client.stream("GET", next_url, headers=HEADERS | dict(headers), follow_redirects=False) as answer:
                if not answer.has_redirect_location:
                    yield answer
                    return
                next_url = urljoin(next_url, answer.headers["Location"])
    raise DataMissingError(f"{url} redirects more than {MAX_REDIRECTS} times.", "Fetch the file by hand.")


def _addresses(url: str) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """What the host of an address resolves to; nothing where there is no such host: a proxy may know it."""
    try:
        found = socket.getaddrinfo(urlsplit(url).hostname, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return [ipaddress.ip_address(str(address[0]).partition("%")[0]) for *_, address in found]


def _is_loopback(url: str) -> bool:
    addresses = _addresses(url)
    return bool(addresses) and all(address.is_loopback for address in addresses)


def _check(url: str) -> None:
    if urlsplit(url).scheme != "https":
        raise DataMissingError(f"{url} is not https, and is not asked.", "Fetch the file by hand.")
    if not all(address.is_global for address in _addresses(url)):
        raise DataMissingError(f"{url} leads into a private network, and is not asked.", "Fetch the file by hand.")
