"""What somebody hands to `probe_layers`, as arrays and names: a sentence where it is none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from mess_core.errors import InputError
from mess_core.probing.data import encode_classes


def as_numbers(name: str, values: Any) -> np.ndarray:
    """An array of numbers; one of numbers is given back as it is.

    Examples
    --------
    >>> as_numbers("vectors", [[1, 2]]).shape
    (1, 2)
    >>> as_numbers("vectors", "v.npy")
    Traceback (most recent call last):
    mess_core.errors.InputError: vectors are a str, expected an array of numbers. A file is read by numpy.load.
    """
    if isinstance(values, str):
        raise InputError(f"{name} are a str, expected an array of numbers.", "A file is read by numpy.load.")
    try:
        found = np.asarray(values)
    except ValueError as error:
        raise InputError(f"{name} are rows of unequal length, expected an array of numbers.") from error
    if found.dtype.kind not in "fiub":
        raise InputError(f"{name} hold {found.dtype.name}, expected numbers.")
    return found if found.dtype.kind == "f" else found.astype(np.float64)


def named_arrays(what: str, values: Any) -> dict[str, Any]:
    """A mapping of names to arrays of any kind."""
    if not isinstance(values, Mapping):
        raise InputError(f"{what} are a {type(values).__name__}, expected arrays by name: {{'difficulty': numbers}}.")
    return {str(name): np.asarray(each) for name, each in values.items()}


def numbers_and_classes(targets: Any) -> tuple[dict[str, Any], dict[str, tuple[str, ...]]]:
    """Targets by name as numbers; those of text as codes, with what their classes are called."""
    values, classes = named_arrays("targets", targets), {}
    for name, each in values.items():
        if each.dtype.kind in "OUS" and any(isinstance(label, str) for label in each.ravel()):
            values[name], classes[name] = encode_classes([None if label is None else str(label) for label in each])
    return values, classes


def as_names(what: str, values: Any) -> Any:
    """One name per row."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise InputError(f"{what} are {type(values).__name__}, expected one name per row.")
    return list(values)
