"""Every encoder MESS knows, by id. One model, one file; a new one is added here and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass

from mess_core.config import Paths
from mess_core.encoders.base import Encoder, EncoderInfo, random_twin
from mess_core.encoders.imported import IMPORTED, imported_ids, imported_info
from mess_core.encoders.mel import MEL, MFCC, Mel, Mfcc
from mess_core.encoders.mert import MERT_95M, MERT_330M, Mert
from mess_core.encoders.nano import NANO, Nano
from mess_core.encoders.weights import WeightsState, locate, resolve, weights_state
from mess_core.errors import DataMissingError, InputError

PUBLISHED = (MERT_95M, MERT_330M)
DEFAULT = NANO.id
RANDOM = "random:"


@dataclass(frozen=True)
class EncoderChoice:
    """An encoder and the state of its weights, as a list of encoders shows it."""

    info: EncoderInfo
    weights: WeightsState


def encoder_ids(paths: Paths | None = None) -> tuple[str, ...]:
    """In the order in which they are offered: MERT first, then what needs no download, then the controls.

    With a data folder, what was imported into it follows.
    """
    ids = [*(info.id for info in PUBLISHED), NANO.id, MEL.id, MFCC.id]
    ids += [f"{RANDOM}{info.id}" for info in (*PUBLISHED, NANO)]
    return (*ids, *(imported_ids(paths) if paths else ()))


def encoder_info(encoder_id: str, paths: Paths) -> EncoderInfo:
    """The facts of an encoder, with the hashes recorded for it in this data folder."""
    if encoder_id.startswith(IMPORTED):
        return imported_info(encoder_id, paths)
    if encoder_id.startswith(RANDOM) and encoder_id in encoder_ids():
        return random_twin(encoder_info(encoder_id.removeprefix(RANDOM), paths), seed=0)
    for info in (*PUBLISHED, NANO, MEL, MFCC):
        if info.id == encoder_id:
            return resolve(info, paths)
    raise InputError(f"There is no encoder called {encoder_id!r}.", f"Choose one of: {', '.join(encoder_ids(paths))}.")


def encoder_choices(paths: Paths) -> list[EncoderChoice]:
    """Every encoder that can embed, with the state of its weights."""
    infos = [encoder_info(encoder_id, paths) for encoder_id in encoder_ids()]
    return [EncoderChoice(info, weights_state(info, paths)) for info in infos]


def load_encoder(encoder_id: str, paths: Paths, device: str = "cpu") -> Encoder:
    """Load an encoder, its weights verified.

    Raises
    ------
    DataMissingError
        If its weights are not here; the hint says how to get them. Of an imported encoder there are only vectors.
    """
    info = encoder_info(encoder_id, paths)
    if encoder_id.startswith(IMPORTED):
        raise DataMissingError(
            f"{encoder_id} was imported as vectors: it cannot embed a recording.",
            "Ask for a track that it has, or import a table that has this one under another name.",
        )
    if encoder_id == NANO.id:
        return Nano.load(device)
    if encoder_id == MEL.id:
        return Mel()
    if encoder_id == MFCC.id:
        return Mfcc()
    if encoder_id == f"{RANDOM}{NANO.id}":
        return Nano.random(device=device)
    if encoder_id.startswith(RANDOM):
        published = encoder_info(encoder_id.removeprefix(RANDOM), paths)
        return Mert.random(published, seed=0, device=device)
    return Mert.from_folder(locate(info, paths), info=info, device=device)
