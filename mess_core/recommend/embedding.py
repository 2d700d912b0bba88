"""An embedding learned from sessions: what somebody takes to in one sitting lies close together.

    events -> sessions (a gap of half an hour ends one) -> pairs of tracks that one listener took to in one session
    points of the shelf ─┐
    track features      ─┴-> standardised, each block of length about one -> a straight line -> 128 numbers, length one

The line is learned by contrast: of a batch of pairs, the other of a pair is to be nearer than the others of all other
pairs (InfoNCE). What is popular is among those others often, and would be pushed away for it, so each counts less by
the logarithm of how often it is there (logQ). It begins as the points lie by themselves, and takes as many steps as
were best on the last part of the training time: sessions that teach nothing leave it where it was.

A straight line of what is heard places tracks that nobody has played yet. Whether it is better than no line at all is
tried in `evaluation.session_trial`, on a week that it has not seen; unless it is, nobody should use it.

Of several listeners only what four at least have together teaches (`recommend.sessions`), unless they are published.

Conventions
-----------
Rows are those of the shelf. Deterministic for a seed, on one thread of the processor.

Source
------
van den Oord et al. (2018) for InfoNCE; Yi et al. (2019), Sampling-bias-corrected neural modeling, for logQ.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mess_core.encoders.base import EncoderInfo
from mess_core.errors import ArtefactMismatchError, InputError
from mess_core.recommend.sessions import SessionPairs, shared_pairs
from mess_core.recommend.shelf import unit
from mess_core.storage.beside import beside, read_beside, sweep_beside, unnamed_beside, write_beside
from mess_core.storage.files import read_sealed, write_sealed
from mess_core.storage.kept import Beside, Kind, verify_document
from mess_core.storage.paths import Paths, file_name
from mess_core.storage.untrusted import (
    parse_safetensors,
    printable,
    understanding,
)
from mess_core.workspace.scope import Scope

if TYPE_CHECKING:
    import torch

N_OUT = 128
MOST_PAIRS = 300_000  # by chance: of more, nothing more is learned in the time
MOST_OFF = 3.0  # standard deviations, beyond which a feature counts as that far
LOOKED_AT = 512  # pairs by which it is told when to stop, each among all tracks
LOOK_EVERY = 25  # steps
FORMAT = "mess-sessions-1"
LEARN_AGAIN = "Learn it again from what was heard."


# --- the line -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SessionSettings:
    """How a line is learned.

    temperature : a cosine higher by this is e times as likely
    rate : of Adam
    towards_start : what the squared distance from where it began costs
    batch : pairs that are told from each other at a time
    most_steps, patience : steps; how many without a better look end it
    held_out : share of the training time, its last part, by which it is told when to stop
    """

    n_out: int = N_OUT
    temperature: float = 0.1
    rate: float = 5e-3
    towards_start: float = 1e-3
    batch: int = 256
    most_steps: int = 1000
    patience: int = 100
    held_out: float = 0.15


@dataclass(frozen=True, eq=False)
class TrackInputs:
    """What a line is drawn through: blocks side by side. names, widths : of each; values : (n, d) float32"""

    names: tuple[str, ...]
    widths: tuple[int, ...]
    values: np.ndarray


@dataclass(frozen=True, eq=False)
class SessionMap:
    """What was learned. names, widths : of the blocks it takes; weight : (d, n_out) float32; n_steps : it took"""

    names: tuple[str, ...]
    widths: tuple[int, ...]
    weight: np.ndarray
    n_steps: int

    def points(self, inputs: TrackInputs) -> np.ndarray:
        """Where tracks lie, (n, n_out) float32, of length one.

        Raises
        ------
        ArtefactMismatchError
            If the inputs are of other blocks.
        """
        if (inputs.names, inputs.widths) != (self.names, self.widths):
            raise ArtefactMismatchError(
                f"The line was learned through {_blocks(self.names, self.widths)}, and is given "
                f"{_blocks(inputs.names, inputs.widths)}.",
                LEARN_AGAIN,
            )
        return unit((inputs.values @ self.weight).astype(np.float32))


def track_inputs(points: np.ndarray | None = None, features: np.ndarray | None = None) -> TrackInputs:
    """Points and features side by side, each block of length about one.

    Parameters
    ----------
    points : ndarray, shape (n, d), optional
        Of the shelf.
    features : ndarray, shape (n, d), optional
        Numbers on any scales; NaN where one is not known, which then counts as the mean.

    Raises
    ------
    InputError
        If there is neither, or they are of different tracks.
    """
    blocks: dict[str, np.ndarray] = {}
    if points is not None:
        if points.ndim != 2 or not np.isfinite(points).all():
            raise InputError(f"Points {points.shape} hold what is no number, or are not (tracks, numbers).")
        blocks["points"] = unit(np.asarray(points, np.float32))
    if features is not None:
        if features.ndim != 2:
            raise InputError(f"Features have shape {features.shape}, expected (tracks, numbers).")
        blocks["features"] = _standardised(np.asarray(features, np.float64))
    if not blocks or len({len(block) for block in blocks.values()}) > 1:
        raise InputError(f"Inputs are of {[len(block) for block in blocks.values()]} tracks, expected one number.")
    widths = tuple(block.shape[1] for block in blocks.values())
    return TrackInputs(tuple(blocks), widths, np.concatenate(list(blocks.values()), axis=1))


def _standardised(features: np.ndarray) -> np.ndarray:
    features = np.where(np.isfinite(features), features, np.nan)
    n_known = np.isfinite(features).sum(axis=0)
    mean = np.where(n_known > 0, np.nansum(features, axis=0) / np.maximum(n_known, 1), 0.0)
    off = np.where(np.isnan(features), 0.0, features - mean)
    spread = np.sqrt((off**2).sum(axis=0) / np.maximum(n_known, 1))
    standard = np.divide(off, spread, out=np.zeros_like(off), where=spread > 1e-12)
    scaled: np.ndarray = (np.clip(standard, -MOST_OFF, MOST_OFF) / np.sqrt(max(features.shape[1], 1))).astype(
        np.float32
    )
    return scaled


def learn_sessions(
    inputs: TrackInputs,
    pairs: SessionPairs,
    settings: SessionSettings | None = None,
    seed: int = 0,
    *,
    is_published: bool = False,
) -> SessionMap:
    """Learn a line from pairs, up to where it is best on the last of them.

    Parameters
    ----------
    inputs : TrackInputs
    pairs : SessionPairs
        Of several listeners, only those that four at least have are learned from.
    settings : SessionSettings, optional
    seed : int
    is_published : bool
        Whether the listeners are nobody's neighbours: then all pairs are learned from.

    Raises
    ------
    InputError
        If there are no such pairs.
    """
    import torch

    settings = settings or SessionSettings()
    pairs = pairs if is_published else shared_pairs(pairs)
    if not len(pairs):
        raise InputError(
            "Nobody took to two tracks in one session, or of several listeners never four to the same two.",
            "Listen for a while, or learn from one listener alone.",
        )
    rng = np.random.default_rng(seed)
    if len(pairs) > MOST_PAIRS:
        pairs = pairs.only(np.sort(rng.choice(len(pairs), MOST_PAIRS, replace=False)))
    is_held_out = pairs.at_s > np.quantile(pairs.at_s, 1 - settings.held_out)
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        n_steps, weight = _walk(inputs, pairs.only(~is_held_out), pairs.only(is_held_out), settings, rng)
    finally:
        torch.set_num_threads(n_threads)
    return SessionMap(inputs.names, inputs.widths, weight, n_steps)


def _walk(
    inputs: TrackInputs,
    pairs: SessionPairs,
    held_out: SessionPairs,
    settings: SessionSettings,
    rng: np.random.Generator,
) -> tuple[int, np.ndarray]:
    """Take steps; returns after how many the loss on what is held out was least, and the line then.

    With nothing held out there is nothing to say how far to go, and not a step is taken.
    """
    import torch

    values = torch.from_numpy(inputs.values)
    beginning = torch.from_numpy(_beginning(inputs.values, settings.n_out))
    weight = beginning.clone().requires_grad_(True)
    counts = np.bincount(np.concatenate([pairs.one, pairs.other]), minlength=len(values))
    log_q = torch.from_numpy(np.log(np.maximum(counts, 1) / max(counts.sum(), 1)).astype(np.float32))
    ends = torch.from_numpy(np.stack([pairs.one, pairs.other]))
    chosen = rng.permutation(len(held_out))[:LOOKED_AT]
    looked_at = torch.from_numpy(np.stack([held_out.one[chosen], held_out.other[chosen]]))
    optimiser = torch.optim.Adam([weight], lr=settings.rate)
    best, best_weight, least = 0, beginning, np.inf
    for step in range(settings.most_steps + 1 if len(chosen) and len(pairs) else 0):
        if step % LOOK_EVERY == 0:
            with torch.no_grad():
                loss = _whole_loss(values @ weight, looked_at, settings.temperature)
            if loss < least:
                best, best_weight, least = step, weight.detach().clone(), loss
            elif step - best >= settings.patience:
                break
        one, other = ends[:, torch.from_numpy(rng.integers(0, len(pairs), settings.batch))]
        total = _contrast(values, weight, one, other, log_q, settings.temperature)
        total = total + settings.towards_start * ((weight - beginning) ** 2).sum()
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
    return best, best_weight.numpy().copy()


def _contrast(
    values: torch.Tensor,
    weight: torch.Tensor,
    one: torch.Tensor,
    other: torch.Tensor,
    log_q: torch.Tensor,
    temperature: float,
) -> torch.Tensor:
    """InfoNCE both ways, each candidate less its logQ; what is the same track as either of a pair is none."""
    import torch
    from torch.nn import functional

    points = [functional.normalize(values[rows] @ weight, dim=1) for rows in (one, other)]
    cosines = points[0] @ points[1].T / temperature
    own = torch.arange(len(one))
    total = torch.zeros(())
    for logits, asked, wanted in ((cosines, one, other), (cosines.T, other, one)):
        is_same = (wanted[None, :] == wanted[:, None]) | (wanted[None, :] == asked[:, None])
        is_same[own, own] = False
        corrected = (logits - log_q[wanted]).masked_fill(is_same, -torch.inf)
        total = total + functional.cross_entropy(corrected, own) / 2
    return total


def _whole_loss(points: torch.Tensor, ends: torch.Tensor, temperature: float) -> float:
    """Of pairs, among all tracks: what the contrast within a batch estimates."""
    import torch
    from torch.nn import functional

    points = functional.normalize(points, dim=1)
    total = 0.0
    for asked, wanted in (ends, ends.flip(0)):
        logits = points[asked] @ points.T / temperature
        logits[torch.arange(len(asked)), asked] = -torch.inf
        total += float(functional.cross_entropy(logits, wanted)) / 2
    return total


def _beginning(values: np.ndarray, n_out: int) -> np.ndarray:
    """Tracks as they lie by themselves, (d, n_out): each number its own, or the main directions of too many."""
    n_in = values.shape[1]
    if n_in <= n_out:
        return np.eye(n_in, n_out, dtype=np.float32)
    squares, axes = np.linalg.eigh((values.T @ values).astype(np.float64))
    found: np.ndarray = axes[:, np.argsort(-squares)[:n_out]].astype(np.float32)
    return found


def _blocks(names: Sequence[str], widths: Sequence[int]) -> str:
    return " and ".join(f"{width} {name}" for name, width in zip(names, widths, strict=True)) or "nothing"


# --- kept -----------------------------------------------------------------------------------------------------


def session_map_path(paths: Paths, library: str, info: EncoderInfo) -> Path:
    """Where the line of a library lies."""
    return paths.learned / info.folder / f"{file_name(library)}-sessions.json"


def save_session_map(path: Path, learned: SessionMap, card: Mapping[str, Any]) -> None:
    """Keep a line in place of an older one, with a card that says what it is.

    Parameters
    ----------
    card : mapping
        What people should know of it, as JSON: how it was tried, on what, by whom.
    """
    sha256 = write_beside(path, _arrays(learned))
    own = {"names": list(learned.names), "widths": list(learned.widths), "n_steps": learned.n_steps}
    write_sealed(path, {"format": FORMAT, **own, "card": dict(card), "arrays_sha256": sha256})
    sweep_beside(path, [sha256])


def forget_session_map(path: Path) -> None:
    """Take a line away; its document first, so that nobody reads half of it."""
    path.unlink(missing_ok=True)
    sweep_beside(path, [])


def load_session_map(path: Path) -> tuple[SessionMap, dict[str, Any]] | None:
    """The kept line and its card; None if there is none, or only one of another version.

    The points of a shelf turn when its library changes: `content` on the card says of which they were.

    Raises
    ------
    ArtefactMismatchError
        If it is damaged.
    """
    try:
        document = read_sealed(path, cure=LEARN_AGAIN)
    except FileNotFoundError:
        return None
    if document.get("format") != FORMAT:
        return None
    return _read(path, document)


def kept_sessions(scope: Scope) -> SessionMap | None:
    """The line of a library as it is now; None if none is kept, or it was learned of other embeddings.

    Raises
    ------
    ArtefactMismatchError
        If it is damaged.
    """
    found = load_session_map(session_map_path(scope.workspace.paths, scope.library, scope.info))
    if found is None:
        return None
    learned, card = found
    is_of_these = (card.get("content"), card.get("fingerprint")) == (scope.content, scope.info.fingerprint)
    return learned if is_of_these else None


def _arrays(learned: SessionMap) -> bytes:
    from safetensors.numpy import save

    return save({"weight": np.ascontiguousarray(learned.weight, np.float32)})


def _read(path: Path, document: Mapping[str, Any]) -> tuple[SessionMap, dict[str, Any]]:
    name = printable(path.name)
    with understanding(name, LEARN_AGAIN):
        data = read_beside(path, str(document["arrays_sha256"]), LEARN_AGAIN)
        weight = parse_safetensors(data, f"The arrays of {name}", LEARN_AGAIN)["weight"]
        widths = tuple(int(width) for width in document["widths"])
        names = tuple(str(each) for each in document["names"])
        if weight.ndim != 2 or weight.shape[0] != sum(widths) or len(names) != len(widths):
            raise ArtefactMismatchError(f"The parts of {name} do not fit together.", LEARN_AGAIN)
        return SessionMap(names, widths, weight, int(document["n_steps"])), dict(document["card"])


def _files(paths: Paths) -> Iterator[Path]:
    yield from paths.learned.glob("*/*-sessions.json")


def _understand(path: Path, document: Mapping[str, Any]) -> tuple[Beside, ...]:
    if document.get("format") != FORMAT:
        return ()  # of another version: it is not read
    _read(path, document)
    sha256 = str(document["arrays_sha256"])
    return ((beside(path, sha256), sha256),)


def _unnamed(paths: Paths) -> list[Path]:
    """Numbers that no document beside them names."""
    return unnamed_beside(paths.learned.glob("*/*-sessions.*.safetensors"), ["arrays_sha256"])


KEPT = Kind("sessions", _files, lambda path: verify_document(path, LEARN_AGAIN, (), _understand), LEARN_AGAIN, _unnamed)
