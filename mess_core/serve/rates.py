"""Rates: how often a client may ask, and all of them together.

A *token bucket* holds `burst` tokens and gains `rate_per_s` a second; a request takes one, and finds none when too many
came. A client is an IPv4 address, or the 64-bit network of an IPv6 address, which one machine has all of.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Callable
from time import monotonic

MOST_CLIENTS = 10_000  # remembered; who asked longest ago is forgotten first, and begins with a full bucket


class TokenBucket:
    """One bucket; `now_s` of each call must not go back."""

    def __init__(self, rate_per_s: float, burst: int, now_s: float) -> None:
        self.rate_per_s, self.burst = rate_per_s, burst
        self._level, self._at_s = float(burst), now_s

    def take(self, now_s: float) -> float:
        """Take one token: 0, or how many seconds it is until there is one, and none taken.

        Examples
        --------
        >>> bucket = TokenBucket(rate_per_s=2, burst=1, now_s=0)
        >>> bucket.take(0), bucket.take(0), bucket.take(0.5)
        (0.0, 0.5, 0.0)
        """
        self._level = min(self.burst, self._level + (now_s - self._at_s) * self.rate_per_s)
        self._at_s = now_s
        if self._level < 1:
            return (1 - self._level) / self.rate_per_s
        self._level -= 1
        return 0.0


class Rates:
    """The buckets of all clients; used by one thread."""

    def __init__(self, rate_per_s: float, burst: int, clock: Callable[[], float] = monotonic) -> None:
        self.rate_per_s, self.burst, self._clock = rate_per_s, burst, clock
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    def take(self, client: str = "") -> float:
        """As `TokenBucket.take`, of this client."""
        now_s = self._clock()
        bucket = self._buckets.get(client)
        if bucket is None:
            bucket = self._buckets[client] = TokenBucket(self.rate_per_s, self.burst, now_s)
            if len(self._buckets) > MOST_CLIENTS:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(client)
        return bucket.take(now_s)


def client_of(address: str | None) -> str:
    """Whose bucket an address takes from.

    Examples
    --------
    >>> client_of("192.0.2.7"), client_of("2001:db8::1"), client_of("2001:db8::2"), client_of("::ffff:192.0.2.7")
    ('192.0.2.7', '2001:db8::/64', '2001:db8::/64', '192.0.2.7')
    """
    try:
        found = ipaddress.ip_address(address or "")
    except ValueError:
        return ""  # a socket of this machine, or what a proxy made of it
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(found) >> 64 << 64, 64)))
