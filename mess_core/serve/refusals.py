"""Refusals: what the service says where it does not answer, and with which status.

    400  the request is malformed, or names a field that there is not      408  its body did not come in time
    401  no token, or another one                                          413  it is too large
    403  a page of a browser asked a service that has no token             415  it is of a kind that is not read
    404  there is no such track, or nothing has been made of it yet         422  it cannot be meant
    405  the address knows another method                                  429  too many requests
    500  a fault of the service                                            503  not now: busy, starting, or the disk

Each is a problem document (RFC 9457) of `title`, `status` and `detail`, with `what`, `value`, `expected` and `cure`.
What the core refuses says value and expectation in its sentence; these two are null then. `what` and `cure` are the
`error` and `hint` that the command line prints. What went wrong inside is never said: the log of the service has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

from mess_core.errors import AudioError, DataMissingError, InputError, MessError, UnknownTrackError
from mess_core.storage.untrusted import printable

MEDIA_TYPE = "application/problem+json"
STATUSES = (400, 401, 403, 404, 405, 408, 413, 415, 422, 429, 500, 503)
AGAIN_AFTER_S = 2  # where nothing says better


class Refusal(Exception):
    """Why a request is not answered.

    value, expected : what was received, and what would have been; None where the sentence says it
    headers : that go with it
    """

    def __init__(
        self,
        status: int,
        what: str,
        value: Any = None,
        expected: str | None = None,
        cure: str = "",
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        super().__init__(what)
        self.status, self.what, self.value, self.expected = status, what, value, expected
        self.cure, self.headers = cure, headers

    @property
    def document(self) -> dict[str, Any]:
        """As it is sent."""
        value = printable(self.value) if isinstance(self.value, str) else self.value
        return {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": f"{self.what} {self.cure}".strip(),
            "what": self.what,
            "value": value,
            "expected": self.expected,
            "cure": self.cure,
        }


INSIDE = Refusal(
    500, "The service failed to answer this.", cure="Its log says why; if it happens again, please report it."
)
NOT_NOW = Refusal(
    503,
    "The service cannot read or write its data now.",
    cure="Its log says why; `python -m mess_core doctor` on its machine looks for the cause.",
    headers={"Retry-After": str(AGAIN_AFTER_S)},
)


def refusal_of(error: Exception) -> Refusal:
    """What is said of an error of the core; what is a fault of the service is not told from any other.

    Examples
    --------
    >>> refusal_of(InputError("k is 0, expected at least 1 neighbour.")).status, refusal_of(OSError("/srv")).what
    (422, 'The service cannot read or write its data now.')
    """
    if isinstance(error, Refusal):
        return error
    if isinstance(error, MessError):
        for kind, status in KINDS.items():
            if isinstance(error, kind):
                return Refusal(status, error.message, cure=error.hint)
        return NOT_NOW  # a disk that refuses, an array that is damaged
    return NOT_NOW if isinstance(error, OSError) else INSIDE


KINDS: Mapping[type[MessError], int] = {
    UnknownTrackError: 404,
    DataMissingError: 404,
    AudioError: 422,
    InputError: 422,
}


def not_a_format(error: AudioError) -> Refusal:
    """Of a file that was sent and is no audio."""
    return Refusal(415, error.message, expected="an audio file", cure=error.hint)
