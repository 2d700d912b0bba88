"""Hearings: for each question the ears that hear it.

No encoder hears everything. One that was taught which notes sound finds another performance of a piece, one that was
taught tags finds the same style, and either is poor at the other's task. A *hearing* is a named choice of layers of one
or several encoders for one question. It is used like an encoder whose layers these are: each layer is centred on the
library and counts as much as any other, so that nothing is weighed by how large its numbers happen to be.

    same music            who plays it, and on what, does not matter: another performance of the piece
    same sound and style  what a listener would tag it with: instruments, voice, genre, mood
    like this             both, and a recording is as near as it is in the one in which it is more exceptional
    same music, any key   the piece, transposed or not; it is chosen, never taken, for in twelve keys chance has as many
                          tries: played in the key of the query the piece is found better by the same music

Mixing the two instead finds neither: half and half of both, the same piece comes up less often than by the first alone,
and the same style less often than by the second.

One layer of one encoder is a hearing, too (`layer_hearing`), for who wants to hear what it alone goes by.

A hearing has an embedding where all its parts have one. What aspects say, and why a neighbour is one, is told by the
encoder named in `explained_by`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mess_core.encoders.base import EncoderInfo, Part
from mess_core.encoders.chroma import CHROMA
from mess_core.encoders.musicnn import MSD, MTT, PENULTIMATE
from mess_core.encoders.nano import NANO
from mess_core.errors import InputError

PREFIX = "hearing:"
LIKE_THIS = f"{PREFIX}like-this"  # what is listened for where nobody says what
SAME_MUSIC = f"{PREFIX}same-music"
SAME_SOUND = f"{PREFIX}same-sound"  # off whose layers tags are read
ANY_KEY = f"{PREFIX}any-key"
ONE_LAYER = f"{PREFIX}layer:"  # then an encoder, and one of its layers: hearing:layer:nano:7
UPPER_LAYERS = tuple(range(5, 13))  # of nano: below, it describes the spectrum


@dataclass(frozen=True)
class Hearing:
    """One line of the table.

    parts : (encoder, layers, the hearing they stand for) each
    any_key : what is transposed is the same to it
    """

    id: str
    title: str
    summary: str
    parts: tuple[tuple[str, tuple[int, ...], str], ...]
    explained_by: str = NANO.id
    any_key: bool | None = None


MUSIC, SOUND = "same music", "same sound and style"
_MUSIC = ((NANO.id, UPPER_LAYERS, MUSIC),)
_ANY_KEY = ((CHROMA.id, (0,), "same music, any key"),)
_SOUND = ((MTT.id, (PENULTIMATE,), SOUND), (MSD.id, (PENULTIMATE,), SOUND))

HEARINGS: dict[str, Hearing] = {
    hearing.id: hearing
    for hearing in (
        Hearing(
            LIKE_THIS, "Like this",
            "The same music, or the same sound and style: whichever is more exceptional.", _MUSIC + _SOUND,
        ),
        Hearing(SAME_MUSIC, "Same music", "The same piece, whoever plays it and on what.", _MUSIC),
        Hearing(
            SAME_SOUND, "Same sound and style",
            "What one would call it by: instruments, voice, genre, mood.", _SOUND,
        ),
        Hearing(ANY_KEY, "Same music, any key", "The same piece, also transposed.", _ANY_KEY, any_key=True),
    )
}  # fmt: skip


def layer_hearing(encoder_id: str, layer: int) -> str:
    """The id of the hearing that is one layer of an encoder.

    Examples
    --------
    >>> layer_hearing("nano", 7), layer_of_hearing("hearing:layer:nano:7"), layer_of_hearing("nano")
    ('hearing:layer:nano:7', ('nano', 7), None)
    """
    return f"{ONE_LAYER}{encoder_id}:{layer}"


def layer_of_hearing(hearing_id: str) -> tuple[str, int] | None:
    """The encoder and its layer that such a hearing is; None of any other id."""
    encoder_id, colon, layer = hearing_id.removeprefix(ONE_LAYER).rpartition(":")
    is_one = hearing_id.startswith(ONE_LAYER) and colon and layer.isascii() and layer.isdecimal() and len(layer) < 5
    return (encoder_id, int(layer)) if is_one else None


def _of_one_layer(hearing_id: str, info_of: Callable[[str], EncoderInfo]) -> Hearing | None:
    one = layer_of_hearing(hearing_id)
    if one is None:
        return None
    encoder_id, layer = one
    info = info_of(encoder_id)
    if info.parts:
        raise InputError(f"{info.title} is a hearing: it has no layers of its own.", "Ask for a layer of an encoder.")
    if layer >= info.n_layers:
        raise InputError(
            f"{info.title} has no layer {layer}, expected 0 to {info.n_layers - 1}.", "Choose another of its layers."
        )
    title = f"L{info.layer_in_words(layer)[1:]}"
    return Hearing(hearing_id, title, "What this one layer hears.", ((encoder_id, (layer,), title),), encoder_id)


def refuse_hearing(info: EncoderInfo, what: str) -> None:
    """InputError where something ("probe it") is asked of a hearing that can be asked of encoders only."""
    if info.parts:
        heard_by = " and ".join(each.id for each in info.encoders)
        raise InputError(
            f"{info.title} is a hearing, with layers of {heard_by}: nobody can {what} as one.", "Ask for an encoder."
        )


def hearing_info(hearing_id: str, info_of: Callable[[str], EncoderInfo]) -> EncoderInfo:
    """A hearing as the facts of an encoder, whose layers are those of its parts, one after the other.

    Raises
    ------
    InputError
        If there is no such hearing, or no such layer.
    """
    hearing = HEARINGS.get(hearing_id) or _of_one_layer(hearing_id, info_of)
    if hearing is None:
        raise InputError(f"There is no hearing {hearing_id!r}.", f"Choose one of: {', '.join(HEARINGS)}.")
    parts = tuple(Part(info_of(encoder), layers, of) for encoder, layers, of in hearing.parts)
    first = parts[0].info
    widths = tuple(part.info.width_of(layer) for part in parts for layer in part.layers)
    return EncoderInfo(
        id=hearing.id,
        title=hearing.title,
        summary=hearing.summary,
        source="mess_core/encoders/hearings.py",
        revision="1",
        licence="; ".join(dict.fromkeys(part.info.licence for part in parts)),
        files=(),
        sample_rate_hz=first.sample_rate_hz,
        frame_rate_hz=first.frame_rate_hz,
        n_layers=len(widths),
        dim=max(widths),
        layer_0=f"layer {parts[0].layers[0]} of {first.title}",
        normaliser="as its parts",
        segment_s=first.segment_s,
        hop_s=first.hop_s,
        widths=widths if len(set(widths)) > 1 else (),
        parts=parts,
        explained_by=info_of(hearing.explained_by),
        any_key=hearing.any_key,
    )
