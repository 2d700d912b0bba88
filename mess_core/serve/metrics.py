"""Metrics: what the service has done, in the text format that Prometheus reads.

    mess_requests_total{endpoint,status}                 answers by address and status, refusals among them
    mess_request_seconds_bucket{endpoint,le}, _sum, _count   how long they took, from the first byte to the last
    mess_request_bytes_total, mess_response_bytes_total{endpoint}
    mess_errors_total{endpoint}                          faults of the service, status 500
    mess_in_flight, mess_held{pool}                      what is in hand now
    mess_indexes, mess_index_builds_total                indexes that are kept, and that were made
    mess_start_time_seconds, mess_info{version}

An endpoint is one of the table, or "other": what somebody types can make no new series.
"""

from __future__ import annotations

import bisect
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping

from mess_core import __version__

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OTHER = "other"
BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """Counted by any thread; `gauges` are read when somebody asks."""

    def __init__(self, gauges: Mapping[str, Callable[[], float]] | None = None) -> None:
        self.gauges = dict(gauges or {})
        self.in_flight = 0
        self._started_s = time.time()
        self._lock = threading.Lock()
        self._requests: dict[tuple[str, int], int] = defaultdict(int)
        self._bytes_in: dict[str, int] = defaultdict(int)
        self._bytes_out: dict[str, int] = defaultdict(int)
        self._seconds: dict[str, float] = defaultdict(float)
        self._buckets: dict[str, list[int]] = defaultdict(lambda: [0] * (len(BUCKETS_S) + 1))

    def count(self, endpoint: str, status: int, seconds: float, n_in: int, n_out: int) -> None:
        """One request that was answered, or refused."""
        with self._lock:
            self._requests[endpoint, status] += 1
            self._bytes_in[endpoint] += n_in
            self._bytes_out[endpoint] += n_out
            self._seconds[endpoint] += seconds
            self._buckets[endpoint][bisect.bisect_left(BUCKETS_S, seconds)] += 1

    def text(self) -> str:
        """All of it."""
        with self._lock:
            lines = [*_head("mess_requests_total", "counter", "Requests by endpoint and status.")]
            for (endpoint, status), n in sorted(self._requests.items()):
                lines.append(f'mess_requests_total{{endpoint="{endpoint}",status="{status}"}} {n}')
            lines += _head("mess_request_seconds", "histogram", "Seconds from the first byte to the last.")
            for endpoint, counts in sorted(self._buckets.items()):
                total = 0
                for limit, n in zip((*map(str, BUCKETS_S), "+Inf"), counts, strict=True):
                    total += n
                    lines.append(f'mess_request_seconds_bucket{{endpoint="{endpoint}",le="{limit}"}} {total}')
                lines.append(f'mess_request_seconds_sum{{endpoint="{endpoint}"}} {self._seconds[endpoint]!r}')
                lines.append(f'mess_request_seconds_count{{endpoint="{endpoint}"}} {total}')
            lines += _of_each("mess_request_bytes_total", "Bytes of bodies received.", self._bytes_in)
            lines += _of_each("mess_response_bytes_total", "Bytes of bodies sent.", self._bytes_out)
            faults = {endpoint: n for (endpoint, status), n in self._requests.items() if status == 500}
            lines += _of_each("mess_errors_total", "Faults of the service.", faults)
        lines += [*_head("mess_in_flight", "gauge", "Requests in hand."), f"mess_in_flight {self.in_flight}"]
        named = ""
        for name, read in self.gauges.items():
            bare = name.partition("{")[0]
            kind = "counter" if bare.endswith("_total") else "gauge"
            lines += [*(_head(bare, kind, "As now.") if bare != named else ()), f"{name} {read():g}"]
            named = bare
        lines += [*_head("mess_start_time_seconds", "gauge", "When the service began, since 1970.")]
        lines += [f"mess_start_time_seconds {self._started_s!r}", *_head("mess_info", "gauge", "The version.")]
        return "\n".join([*lines, f'mess_info{{version="{__version__}"}} 1', ""])


def _head(name: str, kind: str, words: str) -> list[str]:
    return [f"# HELP {name} {words}", f"# TYPE {name} {kind}"]


def _of_each(name: str, words: str, counts: Mapping[str, int]) -> list[str]:
    rows = [f'{name}{{endpoint="{endpoint}"}} {n}' for endpoint, n in sorted(counts.items())]
    return [*_head(name, "counter", words), *rows]
