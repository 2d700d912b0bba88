"""What can go wrong, as one tree.

    MessError(message, hint)
      InputError             also ValueError: an argument, a query or a file the user gave cannot be used
        AudioError           a file is not audio that MESS reads, or holds nothing to analyse
      UnknownTrackError      also KeyError: no such track, library or encoder here
      DataMissingError       also FileNotFoundError: something must be made or fetched first; the hint is how
      ArtefactMismatchError  stored data does not fit this code, or is damaged
      StorageError           also OSError: the disk refused (full, read-only, gone)
      LeaseLostError         another worker has taken this job over
      EngineError            another program that searches does not answer, or not as it should
      DependencyMissingError also ImportError: the hint is the command that installs it

The message says what, the value received with its unit, and what was expected; the hint says how to cure it.
"""

from __future__ import annotations


class MessError(Exception):
    """Base of everything MESS raises on purpose.

    Parameters
    ----------
    message : str
        What happened: the thing, the value received, what was expected.
    hint : str
        What to do about it. Empty when there is nothing to do.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class InputError(MessError, ValueError):
    """An argument, a query or a file the user gave cannot be used."""


class AudioError(InputError):
    """A file is not audio that MESS reads, or holds nothing to analyse."""


class UnknownTrackError(MessError, KeyError):
    """No such track, library or result here."""

    __str__ = MessError.__str__  # KeyError would print the text in quotes


class DataMissingError(MessError, FileNotFoundError):
    """Something must be made or fetched first."""

    __str__ = MessError.__str__


class ArtefactMismatchError(MessError):
    """Stored data does not fit this code, or is damaged."""


class StorageError(MessError, OSError):
    """The disk refused: full, read-only or gone."""

    __str__ = MessError.__str__


class LeaseLostError(MessError):
    """Another worker has taken this job over; what this one still holds is not written."""


class EngineError(MessError):
    """Another program that searches does not answer, or holds something else than expected."""


class DependencyMissingError(MessError, ImportError):
    """An optional package is not installed."""

    __str__ = MessError.__str__


def of_item(error: Exception) -> MessError:
    """Whatever went wrong with one file or track, as a sentence: it is passed over, and stops no other.

    Examples
    --------
    >>> of_item(ZeroDivisionError("division by zero")).message
    'It cannot be used: ZeroDivisionError, division by zero.'
    """
    if isinstance(error, MessError):
        return error
    what = ", ".join(filter(None, (type(error).__name__, " ".join(str(error).split())[:300].rstrip("."))))
    return InputError(f"It cannot be used: {what}.", "Leave it out; if it plays elsewhere, please report it.")
