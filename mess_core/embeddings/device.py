"""What computes: the device that was asked for, or why it cannot, and on how many threads.

check_device("cuda:1")      the same text, if there is such a device here; else a sentence that says why not
why_no_gpu()                why there is no NVIDIA GPU to compute on, in a sentence; empty where there is one
computing_threads(4)        while it lasts, torch computes with four threads
"""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Iterator

from mess_core.errors import InputError
from mess_core.spelling import did_you_mean

DEVICES = ("cpu", "cuda", "mps")
MOST_BATCH, MOST_THREADS = 4096, 1024  # more is a slip of the pen


def check_device(device: str) -> str:
    """A device that is here, as it was asked for.

    Parameters
    ----------
    device : str
        "cpu", "cuda" (NVIDIA, or AMD by ROCm), "cuda:N" for the N-th of several, from 0, or "mps" (Apple).

    Raises
    ------
    InputError
        If there is no such device, or its driver is missing or cannot be used.

    Examples
    --------
    >>> check_device("cpu")
    'cpu'
    >>> check_device("cdua")
    Traceback (most recent call last):
    mess_core.errors.InputError: There is no device 'cdua'. Did you mean cuda?
    """
    import torch

    name = str(device)
    kind, _, number = name.partition(":")
    if kind not in DEVICES or (number and not (kind == "cuda" and number.isdecimal())):
        raise InputError(f"There is no device {name!r}.", did_you_mean(kind, DEVICES))
    if kind == "cuda":
        if why := why_no_gpu():
            raise InputError(f"{name} cannot compute here: {why}", "Leave the device out, or name cpu.")
        if int(number or 0) >= (n_gpus := torch.cuda.device_count()):
            raise InputError(f"{name} is not here.", f"Known: {', '.join(f'cuda:{each}' for each in range(n_gpus))}.")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise InputError("mps cannot compute here: it is the GPU of a Mac.", "Leave the device out, or name cpu.")
    return name


def why_no_gpu() -> str:
    """Why no NVIDIA GPU computes here: PyTorch was built without, no driver, no GPU, or an old driver; or nothing."""
    import torch

    if not torch.backends.cuda.is_built():
        return f"this PyTorch ({torch.__version__}) was built without CUDA."
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if torch.cuda.is_available():
                return ""
            torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        first, *_ = re.split(r"(?<=[.])\s", " ".join(str(error).split()))  # the others name web pages
        return f"{first.rstrip('.')}."
    return "PyTorch finds no NVIDIA GPU."


def check_batch_size(batch_size: int) -> None:
    """InputError for a number of segments at a time that cannot be meant."""
    _check_number("The batch size", batch_size, MOST_BATCH)


@contextlib.contextmanager
def computing_threads(n: int) -> Iterator[None]:
    """While it lasts torch computes with so many threads; with 0 nothing changes.

    Raises
    ------
    InputError
        If it cannot be meant.
    """
    if not n:
        yield
        return
    check_threads(n)
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def check_threads(n: int) -> None:
    """InputError for a number of threads that cannot be meant."""
    _check_number("The number of threads", n, MOST_THREADS)


def _check_number(what: str, number: int, most: int) -> None:
    if not isinstance(number, int) or not 1 <= number <= most:
        raise InputError(f"{what} is {number!r}, expected 1 to {most:,}.")
