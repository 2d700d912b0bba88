"""Numbers as people read them: the same on every page and in every table of the command line.

Conventions
-----------
A figure that is not known is a dash. What rounds to zero is zero: a minus before it says nothing, and looks like a
fault. Of shares that were counted only nothing is 0 %, and only all is 100 %.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

NONE = "–"


def number(value: float | None, digits: int = 2, *, signed: bool = False) -> str:
    """A figure with so many decimals, or a dash.

    Examples
    --------
    >>> number(0.125), number(-0.001), number(None), number(float("nan")), number(-0.0004, 3)
    ('0.12', '0.00', '–', '–', '0.000')
    >>> number(0.125, signed=True), number(-0.125, 1, signed=True), number(-0.001, signed=True)
    ('+0.12', '-0.1', '+0.00')
    """
    if value is None or math.isnan(value):
        return NONE
    return f"{value:{'+' if signed else ''}z.{digits}f}"


def interval(low: float | None, high: float | None, digits: int = 2, *, signed: bool = False) -> str:
    """Two figures as an interval; empty where it is not known.

    Examples
    --------
    >>> interval(-0.001, 0.5), interval(None, 0.5), interval(-0.1, 0.5, signed=True)
    ('[0.00, 0.50]', '', '[-0.10, +0.50]')
    """
    if low is None or high is None:
        return ""
    return f"[{number(low, digits, signed=signed)}, {number(high, digits, signed=signed)}]"


def percent(of_hundred: float | None, digits: int = 0) -> str:
    """Of a hundred, or a dash.

    Examples
    --------
    >>> percent(97.3), percent(97.25, 1), percent(-0.0001), percent(None)
    ('97 %', '97.2 %', '0 %', '–')
    """
    return NONE if of_hundred is None else f"{number(of_hundred, digits)} %"


def whole_parts(parts: Sequence[float], total: int) -> list[int]:
    """Whole numbers that add up to `total`, as parts that do nearly: rounded down, then one more for the largest rests.

    Examples
    --------
    >>> whole_parts([2.5, 1.5, 1.0], 5), whole_parts([5.6, 3.4, 12.3, 8.5, 47.6], 77), whole_parts([], 3)
    ([3, 1, 1], [6, 3, 12, 8, 48], [])
    """
    found = [int(part) for part in parts]
    order = sorted(range(len(parts)), key=lambda number: (found[number] - parts[number], number))
    for number in order[: total - sum(found)]:
        found[number] += 1
    return found


def share_percent(share: float) -> int:
    """A share of things that were counted, in whole percent: only nothing is 0, and only all is 100.

    Examples
    --------
    >>> [share_percent(share) for share in (0, 0.001, 0.5, 0.999, 1)]
    [0, 1, 50, 99, 100]
    """
    return round(100 * share) if share in (0, 1) else min(99, max(1, round(100 * share)))


def plain_number(value: float) -> str:
    """As many digits as it has, six at most: what somebody wrote or chose.

    Examples
    --------
    >>> plain_number(90.0), plain_number(-14.25), plain_number(0.1 + 0.2)
    ('90', '-14.25', '0.3')
    """
    return f"{value:.6g}"


def brief(value: float) -> str:
    """Two digits that count, whole numbers from a hundred on: how wrong something is.

    Examples
    --------
    >>> brief(0.01234), brief(12.34), brief(1234.5)
    ('0.012', '12', '1234')
    """
    return f"{value:z.2g}" if abs(value) < 100 else f"{value:.0f}"


def settled(value: float | None, digits: int) -> float | None:
    """A figure for a table that rounds it to so many decimals by itself, and would show -0.00.

    Examples
    --------
    >>> settled(-0.004, 2), settled(-0.006, 2), settled(None, 2)
    (0.0, -0.006, None)
    """
    return 0.0 if value is not None and abs(value) < 0.5 * 10**-digits else value


def seconds(duration_s: float) -> str:
    """A duration.

    Examples
    --------
    >>> seconds(0.31), seconds(42), seconds(185), seconds(7800)
    ('0.3 s', '42 s', '3 min 05 s', '2 h 10 min')
    """
    if 0 < duration_s < 1:
        return f"{duration_s:.1f} s"
    total = round(duration_s)
    if total < 60:
        return f"{total} s"
    if total < 3600:
        return f"{total // 60} min {total % 60:02d} s"
    return f"{total // 3600} h {total % 3600 // 60:02d} min"


def about(duration_s: float) -> str:
    """A duration that nobody knows to the second.

    Examples
    --------
    >>> about(3), about(32), about(150), about(7900)
    ('a few seconds', 'about 40 s', 'about 3 min', 'about 2 h 10 min')
    """
    if duration_s <= 5:
        return "a few seconds"
    if duration_s <= 50:
        return f"about {math.ceil(duration_s / 10) * 10} s"
    minutes = math.ceil(duration_s / 60)
    return f"about {minutes} min" if minutes < 60 else f"about {minutes // 60} h {minutes % 60 // 10 * 10:02d} min"


def clock(time_s: float, digits: int = 0) -> str:
    """A place in a recording.

    Examples
    --------
    >>> clock(7.9), clock(750), clock(127.46, 1), clock(59.97, 1)
    ('0:07', '12:30', '2:07.5', '1:00.0')
    """
    if digits == 0:
        return f"{int(time_s) // 60}:{int(time_s) % 60:02d}"
    units = round(10**digits * time_s)
    per_minute = 60 * 10**digits
    return f"{units // per_minute}:{units % per_minute / 10**digits:0{3 + digits}.{digits}f}"


def size(n_bytes: float) -> str:
    """A size.

    Examples
    --------
    >>> size(0), size(340_000), size(999_950), size(12_500_000), size(1_400_000_000)
    ('0 kB', '340 kB', '1 MB', '12.5 MB', '1.4 GB')
    """
    for unit, bound in (("kB", 1e6), ("MB", 1e9)):
        if n_bytes < 0.9995 * bound:  # three digits of what is more are a thousand
            return f"{n_bytes / bound * 1000:.3g} {unit}"
    return f"{n_bytes / 1e9:.3g} GB"
