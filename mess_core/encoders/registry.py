"""Every encoder MESS knows, by id: a table. One model, one file, which carries its entry.

A model of ours is added to `OWN`; one of another package comes by itself once that is installed, one of the user's own
once it is registered (`own.py`, `mess_core.plugins`).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace

from mess_core import plugins
from mess_core.encoders import chroma, clap, mel, mert, music2vec, musicfm, musicnn, nano
from mess_core.encoders.base import Encoder, EncoderEntry, EncoderInfo, random_twin
from mess_core.encoders.hearings import HEARINGS, PREFIX, hearing_info
from mess_core.encoders.imported import IMPORTED, imported_ids, imported_info, info_of
from mess_core.encoders.weights import WeightsState, resolve, weights_state
from mess_core.errors import DataMissingError, InputError, MessError
from mess_core.spelling import did_you_mean
from mess_core.storage.paths import Paths

# MERT first, then what needs no download, what else can be fetched, and the controls.
OWN = (
    *mert.ENTRIES, *nano.ENTRIES, *musicnn.ENTRIES, *musicfm.ENTRIES, *music2vec.ENTRIES, *clap.ENTRIES,
    *mel.ENTRIES, *chroma.ENTRIES,
)  # fmt: skip
DEFAULT = nano.NANO.id
RANDOM = "random:"
GROUP = "mess.encoders"


@dataclass(frozen=True)
class EncoderChoice:
    """An encoder as a list of encoders shows it: the state of its weights, and on whose terms they come."""

    info: EncoderInfo
    weights: WeightsState
    notice: str
    consent: str


def encoder_ids(paths: Paths | None = None) -> tuple[str, ...]:
    """In the order in which they are offered: ours, those of other packages, the untrained twins.

    With a data folder, what was imported into it follows.
    """
    return (*_table(), *(imported_ids(paths) if paths else ()))


def hearing_ids() -> tuple[str, ...]:
    """The hearings all of whose encoders are known here, in the order in which they are offered."""
    known = {*_table()}
    return tuple(id_ for id_, hearing in HEARINGS.items() if known >= {encoder for encoder, _, _ in hearing.parts})


def encoder_info(encoder_id: str, paths: Paths) -> EncoderInfo:
    """The facts of an encoder or a hearing, with the hashes recorded in this data folder."""
    if not isinstance(encoder_id, str):
        raise InputError(f"An encoder is {encoder_id!r}, expected its id.", f"For example {DEFAULT}.")
    if encoder_id.startswith(PREFIX):
        return hearing_info(encoder_id, lambda part: encoder_info(part, paths))
    if encoder_id.startswith(IMPORTED):
        return imported_info(encoder_id, paths)
    if encoder_id not in _table():
        ids = encoder_ids(paths)
        own = f"One of your own is there where its file is named: --plugin, or {plugins.FILES} for the app."
        hint = did_you_mean(encoder_id, ids, otherwise=f"Choose one of: {', '.join(ids)}. {own}")
        raise InputError(f"There is no encoder called {encoder_id!r}.", hint)
    return resolve(_table()[encoder_id].info, paths)


def encoder_choices(paths: Paths) -> list[EncoderChoice]:
    """Every encoder that can embed, with the state of its weights."""
    choices = []
    for encoder_id, entry in _table().items():
        info = encoder_info(encoder_id, paths)
        choices.append(EncoderChoice(info, weights_state(info, paths), entry.notice, entry.consent))
    return choices


def encoder_problems() -> tuple[str, ...]:
    """A sentence for each encoder of another package that cannot be used."""
    return _added().problems


def load_encoder(encoder_id: str, paths: Paths, device: str = "cpu") -> Encoder:
    """Load an encoder, its weights verified.

    Raises
    ------
    DataMissingError
        If its weights are not here; the hint says how to get them. Of an imported encoder there are only vectors.
    """
    info = encoder_info(encoder_id, paths)
    if info.parts:
        raise InputError(
            f"{info.title} is heard by {' and '.join(each.id for each in info.encoders)}: it is no encoder itself.",
            "Ask for one of them.",
        )
    if encoder_id.startswith(IMPORTED):
        raise DataMissingError(
            f"{encoder_id} was imported as vectors: it cannot embed a recording.",
            "Ask for a track that it has, or import a table that has this one under another name.",
        )
    return _table()[encoder_id].load(info, paths, device)


def _table() -> Mapping[str, EncoderEntry]:
    return _table_with(plugins.registered(GROUP))


@functools.lru_cache(maxsize=4)
def _table_with(registered: tuple[EncoderEntry, ...]) -> Mapping[str, EncoderEntry]:
    entries = (*OWN, *_added_with(registered).entries)
    return {entry.info.id: entry for entry in (*entries, *(twin for entry in entries for twin in _twins(entry)))}


def _twins(entry: EncoderEntry) -> list[EncoderEntry]:
    """Its untrained twin, if it has one: the control for what training adds."""
    untrained = entry.untrained
    if untrained is None:
        return []
    twin = random_twin(entry.info, seed=0)
    if entry.untrained_revision:
        twin = replace(twin, revision=entry.untrained_revision)
    return [EncoderEntry(twin, lambda info, paths, device: untrained(entry.info, device))]


def _added() -> plugins.Added[EncoderEntry]:
    return _added_with(plugins.registered(GROUP))


@functools.lru_cache(maxsize=4)
def _added_with(registered: tuple[EncoderEntry, ...]) -> plugins.Added[EncoderEntry]:
    """`registered` is what `plugins.added` will find; a tuple that is another asks again."""
    return plugins.added(GROUP, EncoderEntry, _check)


def check_own(entry: EncoderEntry) -> None:
    """Refuse a user's own encoder that has the name of one of ours, or cannot be one."""
    try:
        _check(entry, ())
    except MessError as error:
        raise InputError(
            f"{entry.info.id!r} cannot be registered: {error.message.rstrip('.')}.", "Correct it, or rename it."
        ) from error


def _check(entry: EncoderEntry, before: tuple[EncoderEntry, ...]) -> None:
    """Refuse what is no encoder, or takes the place of another."""
    info_of(entry.info.facts, "it")
    taken = {other.info.id for other in (*OWN, *before)}
    if entry.info.id.startswith((RANDOM, IMPORTED, PREFIX)) or entry.info.id in taken:
        raise InputError(f"there is an encoder called {entry.info.id!r} already, or its name says that it is another's")
