"""Numbers with their nouns, and lists, as sentences need them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def counted(n: int, noun: str, plural: str | None = None) -> str:
    """A number and its noun.

    Examples
    --------
    >>> counted(1, "track"), counted(1200, "track"), counted(2, "library", "libraries")
    ('1 track', '1,200 tracks', '2 libraries')
    """
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"


def listed(names: Sequence[str], most: int | None = None, joint: str = "and") -> str:
    """Names in a sentence; of more than `most` the first ones, and how many others there are.

    Examples
    --------
    >>> listed(["tempo"]), listed(["tempo", "rubato", "touch"]), listed(["tempo", "touch"], joint="or")
    ('tempo', 'tempo, rubato and touch', 'tempo or touch')
    >>> listed(["a", "b", "c"], most=2), listed(["a", "b", "c", "d"], most=2)
    ('a, b and 1 other', 'a, b and 2 others')
    """
    shown = list(names)
    if most is not None and len(shown) > most:
        shown = [*shown[:most], counted(len(shown) - most, "other")]
    return f" {joint} ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def spans(noun: str, numbers: Iterable[int]) -> str:
    """Numbers with their noun, those that follow each other as a range.

    Examples
    --------
    >>> spans("layer", [3]), spans("layer", [2, 0, 1]), spans("layer", [0, 1, 2, 5])
    ('layer 3', 'layers 0–2', 'layers 0–2 and 5')
    """
    runs: list[list[int]] = []
    for each in sorted(set(numbers)):
        if runs and each == runs[-1][-1] + 1:
            runs[-1].append(each)
        else:
            runs.append([each])
    named = [f"{run[0]}–{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs]
    is_one = len(runs) == 1 and len(runs[0]) == 1
    return f"{noun if is_one else noun + 's'} {listed(named)}".rstrip()
