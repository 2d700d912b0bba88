"""Tagged: as what recordings are heard, and how unusual that is in their library; read off what is kept of them.

    last layers of each segment (n_segments, 2, 200)   kept of the hearing "same sound and style"
      -> raw tags (n_segments, 100)                    musicnn.TagLayer, no sound is heard again
      -> their mean over segments (100,)               not those of the mean segment, which nobody has heard
      -> words (n_words,)                              vocabulary.merged
      -> percentile of each in the library             how many of its recordings are heard less as that

A strength is what the network says, between 0 and 1, and means little by itself: of "cello" it rarely says more than
.3, of "guitar" it says that of much that has none. A percentile says nothing of a library in which there is no cello.
So a recording *stands high* in a word where both are high (`stands_high`): .1, which no training says of most of its
tags, and the tenth of the library that is heard most as that. Where two recordings have nothing to do with each other,
one pair in a hundred shares a given word then. What is said of both ("both heard as violin and slow") asks for twice
the strength: "rock" at .1 is still heard in a hymn on the clarinet.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mess_core.catalogue.catalogue import Track
from mess_core.encoders.base import EncoderInfo
from mess_core.encoders.hearings import SAME_SOUND
from mess_core.encoders.musicnn import N_PENULTIMATE, TagLayer
from mess_core.encoders.registry import encoder_info
from mess_core.encoders.vocabulary import TRAININGS, VOCABULARY, WORDS, merged, raw_names
from mess_core.errors import ArtefactMismatchError, DataMissingError, InputError
from mess_core.search.selection import Facts
from mess_core.storage.packed import read_packed, write_packed
from mess_core.words import counted
from mess_core.workspace.scope import Scope, scope_of
from mess_core.workspace.workspace import Workspace

HEARD_FROM = 0.01  # of a strength: what is weaker is not heard at all, and no more so than anything else that is not
STRONG_FROM = 0.1  # likewise, clearly enough to be named
CLEAR_FROM = 0.2  # of the strengths of two recordings of which something is said
HIGH_FROM = 90.0  # of a percentile
MOST_NAMED = 3
MOST_READ = 100  # recordings that are read one by one; for more, their whole library is, once
MOST_REMEMBERED = 20_000  # recordings of which a process has read the tags: 8 MB
PER_FILE = 256  # about so many recordings are packed together: of a new one only its file is made again
TAGS_CURE = f"python -m mess_core extract --encoder {SAME_SOUND}"


@dataclass(frozen=True, eq=False)
class TrackTags:
    """One recording.

    middles_s : (n_segments,), where the middle of each segment is
    curves : (n_segments, n_words), the strength of each word in each of them
    raw : (100,), mean over segments, in the order of `raw_names`
    strengths : (n_words,), in the order of `WORDS`
    """

    middles_s: np.ndarray
    curves: np.ndarray
    raw: np.ndarray
    strengths: np.ndarray

    def curve(self, word: str) -> list[tuple[float, float]]:
        """Time in seconds and strength, segment after segment."""
        return list(zip(self.middles_s.tolist(), self.curves[:, WORDS.index(word)].tolist(), strict=True))


@dataclass(frozen=True, eq=False)
class TaggedLibrary:
    """The recordings of a library that both trainings have heard, in order of their ids.

    raw : (n_tracks, 100)
    strengths : (n_tracks, n_words)
    """

    track_ids: tuple[str, ...]
    raw: np.ndarray
    strengths: np.ndarray

    @classmethod
    def of(cls, track_ids: Sequence[str], raw: np.ndarray) -> TaggedLibrary:
        strengths = merged(raw)
        for array in (raw, strengths):
            array.setflags(write=False)
        return cls(tuple(track_ids), raw, strengths)

    @functools.cached_property
    def percentiles(self) -> np.ndarray:
        """(n_tracks, n_words); of a large library they take longest, and naming words needs none of them."""
        placed = _percentiles(self._sorted, self.strengths.clip(min=HEARD_FROM))
        placed.setflags(write=False)
        return placed

    @functools.cached_property
    def rows(self) -> Mapping[str, int]:
        """The row of each recording."""
        return {track_id: row for row, track_id in enumerate(self.track_ids)}

    @functools.cached_property
    def _sorted(self) -> np.ndarray:
        return np.sort(self.strengths.clip(min=HEARD_FROM), axis=0)

    def place(self, strengths: np.ndarray) -> np.ndarray:
        """Where a recording of elsewhere would stand, (…, n_words) -> percentiles of the same shape."""
        placed = _percentiles(self._sorted, np.atleast_2d(strengths).clip(min=HEARD_FROM))
        return placed.reshape(strengths.shape)

    def place_words(self, tags: TrackTags, words: Sequence[str]) -> list[tuple[str, float, float]]:
        """Words with the strength of each in a recording, and its percentile here."""
        placed = self.place(tags.strengths)
        numbers = map(WORDS.index, words)
        return [(WORDS[n], float(tags.strengths[n]), float(placed[n])) for n in numbers]

    def values(self, word: str, track_ids: Sequence[str]) -> list[float | None]:
        """Percentiles of some recordings in a word; None for one that was not heard."""
        column = self.percentiles[:, WORDS.index(word)]
        return [float(column[self.rows[track_id]]) if track_id in self.rows else None for track_id in track_ids]

    def words(self, track_id: str) -> list[str]:
        """As what a recording is heard most; nothing if it was not heard."""
        row = self.rows.get(track_id)
        return [] if row is None else top_words(self.strengths[row])

    def hardly_heard(self, words: Sequence[str]) -> list[str]:
        """Those of some words as which nothing here is clearly heard."""
        return [word for word in words if self.strengths[:, WORDS.index(word)].max(initial=0) < STRONG_FROM]

    def still_heard(self, track_id: str, words: Sequence[str]) -> list[str]:
        """Those of some unwanted words as which a recording is heard clearly, and more than most of the library."""
        row = self.rows.get(track_id)
        if row is None:
            return []
        is_heard = (self.strengths[row] >= STRONG_FROM) & (self.percentiles[row] > 50.0)
        return [word for word in words if is_heard[WORDS.index(word)]]

    def stands_high(self, track_id: str) -> frozenset[str]:
        """As what a recording is clearly heard; empty if it was not heard."""
        row = self.rows.get(track_id)
        if row is None:
            return frozenset()
        return frozenset(itertools.compress(WORDS, _is_high(self.strengths[row], self.percentiles[row])))

    def with_tags(self, facts: Mapping[str, Facts]) -> dict[str, Facts]:
        """Facts of recordings, and as what they are clearly heard."""
        return {track_id: replace(each, heard_as=self.stands_high(track_id)) for track_id, each in facts.items()}

    def in_common(self, query: np.ndarray, track_ids: Sequence[str]) -> dict[str, list[str]]:
        """As what each of some recordings is clearly heard and a query, too: its strengths (n_words,)."""
        placed = self.place(query)
        is_high = _is_high(query, placed, CLEAR_FROM)
        found: dict[str, list[str]] = {}
        for track_id in track_ids:
            found[track_id] = []
            if (row := self.rows.get(track_id)) is not None:
                least = np.minimum(placed, self.percentiles[row])
                both = np.flatnonzero(is_high & _is_high(self.strengths[row], self.percentiles[row], CLEAR_FROM))
                found[track_id] = [WORDS[n] for n in sorted(both, key=lambda n: -least[n])[:MOST_NAMED]]
        return found


def _percentiles(ordered: np.ndarray, values: np.ndarray) -> np.ndarray:
    """How many of a library are heard less as each word, in percent; equals count half. (n, n_words) both."""
    placed = np.empty(values.shape)
    for n in range(values.shape[1]):
        below, up_to = (np.searchsorted(ordered[:, n], values[:, n], side) for side in ("left", "right"))
        placed[:, n] = 50.0 * (below + up_to) / max(1, len(ordered))
    return placed


def _is_high(strengths: np.ndarray, percentiles: np.ndarray, strong_from: float = STRONG_FROM) -> np.ndarray:
    return (strengths >= strong_from) & (percentiles >= HIGH_FROM)


def top_words(strengths: np.ndarray, n: int = MOST_NAMED, weakest: float = STRONG_FROM) -> list[str]:
    """As what a recording is heard most, the strongest first; nothing weaker is named."""
    strongest = np.argsort(-strengths, kind="stable")[:n]
    return [WORDS[word] for word in strongest if strengths[word] >= weakest]


# --- of one recording -----------------------------------------------------------------------------------------


def tags_of(workspace: Workspace, track_id: str) -> TrackTags:
    """As what a recording is heard.

    Raises
    ------
    DataMissingError
        If one of the trainings has not heard it yet.
    ArtefactMismatchError
        If what is kept of it is damaged.
    """
    middles_s, raw = _segments_of(workspace, track_id, encoder_info(SAME_SOUND, workspace.paths))
    mean = raw.mean(axis=0)
    return TrackTags(middles_s, merged(raw), mean, merged(mean))


def _segments_of(workspace: Workspace, track_id: str, info: EncoderInfo) -> tuple[np.ndarray, np.ndarray]:
    """The middle of each segment (n_segments,), and its raw tags (n_segments, 100); errors as `tags_of`."""
    if not workspace.store.has(track_id, info):
        raise DataMissingError(f"MusiCNN has not heard track {track_id} yet, so it has no tags.", TAGS_CURE)
    embedding = workspace.store.read(track_id, info)
    by_training = {part.info.id: layer for layer, part in enumerate(info.parts)}
    raw = np.concatenate(
        [
            _tag_layer(training)(embedding.segments[:, by_training[each.id], :N_PENULTIMATE])
            for training, each in TRAININGS.items()
        ],
        axis=1,
    )
    return embedding.starts_s + info.segment_s / 2, raw


@functools.cache
def _tag_layer(training: str) -> TagLayer:
    return TagLayer.load(TRAININGS[training])


def words_of(workspace: Workspace, library: str, track_ids: Sequence[str]) -> dict[str, list[str]]:
    """As what recordings of a library are heard most, by track id; without those not heard, or damaged."""
    if not tag_scope(workspace, library).n_embedded:
        return {}
    if len(track_ids) > MOST_READ:
        tagged = tagged_library(workspace, library)
        return {track_id: tagged.words(track_id) for track_id in track_ids if track_id in tagged.rows}
    info = encoder_info(SAME_SOUND, workspace.paths)
    known = workspace.store.known(info)
    means = {each: _mean_if_sound(workspace, each, info, known[each]) for each in track_ids if each in known}
    return {track_id: top_words(merged(mean)) for track_id, mean in means.items() if mean is not None}


# --- of a library ---------------------------------------------------------------------------------------------


def tag_scope(workspace: Workspace, library: str) -> Scope:
    """A library as those hear it who tell its tags."""
    return scope_of(workspace, library, SAME_SOUND)


def tagged_library(workspace: Workspace, library: str) -> TaggedLibrary:
    """As what the recordings of a library are heard; without those that were not, or whose embedding is damaged."""
    scope = tag_scope(workspace, library)
    return _tagged(scope, scope.content)


@functools.lru_cache(maxsize=4)  # 1 kB for each recording
def _tagged(scope: Scope, content: str) -> TaggedLibrary:
    known = scope.workspace.store.known(scope.info)
    ids = [track_id for track_id in scope.workspace.catalogue.track_ids(scope.library) if track_id in known]
    raw = _raw_of(scope, {track_id: known[track_id] for track_id in ids})
    is_known = np.isfinite(raw).all(axis=1)
    return TaggedLibrary.of(list(itertools.compress(ids, is_known)), raw[is_known])


def require_tags(workspace: Workspace, library: str) -> TaggedLibrary:
    """As `tagged_library`; DataMissingError where nothing was heard yet."""
    tagged = tagged_library(workspace, library)
    if not tagged.track_ids:
        name = "any library" if not library else f"library {library!r}"
        raise DataMissingError(f"MusiCNN has not heard any recording of {name} yet, so there are no tags.", TAGS_CURE)
    return tagged


@dataclass(frozen=True, eq=False)
class HeardTracks:
    """As what some recordings of a library are heard, and where that stands there.

    raw : (n_tracks, 100), in the order of `raw_names`
    strengths, percentiles : (n_tracks, n_words)
    notice : how many recordings of the library could not be asked about, in a sentence; empty if none
    """

    library: str
    tracks: tuple[Track, ...]
    paths: Mapping[str, Path]
    raw: np.ndarray
    strengths: np.ndarray
    percentiles: np.ndarray
    notice: str


def read_tags(workspace: Workspace, library: str, track_ids: Sequence[str] = ()) -> HeardTracks:
    """The tags of some recordings, or of all of a library that were heard.

    Raises
    ------
    UnknownTrackError
        If there is no such track or library.
    DataMissingError
        If MusiCNN has heard nothing of the library, or not one of the tracks.
    """
    catalogue = workspace.catalogue
    catalogue.require_library(library)
    tagged = require_tags(workspace, library)
    if track_ids:
        tracks = [catalogue.track(track_id) for track_id in track_ids]
        raw = np.stack([tags_of(workspace, track.track_id).raw for track in tracks])
    else:
        known = catalogue.tracks_of(tagged.track_ids)
        tracks, raw = [known[track_id] for track_id in tagged.track_ids], tagged.raw
    strengths = merged(raw)
    return HeardTracks(
        library,
        tuple(tracks),
        catalogue.likely_audio_paths([track.track_id for track in tracks]),
        raw,
        strengths,
        tagged.place(strengths),
        without_tags(tagged, catalogue.n_tracks(library)),
    )


def heard_words(scope: Scope, columns: Sequence[str]) -> dict[str, dict[str, float]]:
    """Of columns that a probe asks for, those that are words: how strongly each recording is heard so, by its id.

    A column of the user's own table of the same name, or a target of one's own, comes first. Strengths are common
    logarithms, from that of `HEARD_FROM` on: what is weaker is not heard at all.

    Raises
    ------
    DataMissingError
        If MusiCNN has not heard the library.
    InputError
        If the encoder is MusiCNN: tags are read off its last layer, so that it tells them says nothing.
    """
    own = {*scope.workspace.catalogue.detail_names(scope.library), *scope.own_targets(columns)}
    words = [column for column in columns if column in WORDS and column not in own]
    if not words:
        return {}
    if scope.info in tag_scope(scope.workspace, scope.library).info.encoders:
        raise InputError(
            f"Words are read off {scope.info.title} itself: that it tells {words[0]!r} says nothing.",
            "Ask it of another encoder.",
        )
    tagged = require_tags(scope.workspace, scope.library)
    levels = np.log10(tagged.strengths.clip(min=HEARD_FROM)).astype(np.float64)
    return {word: dict(zip(tagged.track_ids, levels[:, WORDS.index(word)].tolist(), strict=True)) for word in words}


def tags_in_common(
    workspace: Workspace, tagged: TaggedLibrary, query_id: str, track_ids: Sequence[str]
) -> dict[str, list[str]]:
    """As what each of some recordings of a library is clearly heard, and a query, too; nothing where one was not heard.

    An instrument on which one of them is not played, by what the catalogue knows, is not named: it sounds like it, no
    more.

    On the demo 9 of 100 pairs share a word so, and 41 of 100 recordings one with their nearest in "like this".
    """
    try:
        strengths = tags_of(workspace, query_id).strengths
    except (ArtefactMismatchError, DataMissingError):
        return {track_id: [] for track_id in track_ids}
    tracks = workspace.catalogue.tracks_of([query_id, *track_ids])
    plays = {track_id: track.instrument for track_id, track in tracks.items()}
    return {
        track_id: [word for word in words if not _is_another(word, plays.get(query_id), plays.get(track_id))]
        for track_id, words in tagged.in_common(strengths, track_ids).items()
    }


def _is_another(word: str, *instruments: str | None) -> bool:
    """Whether a word names an instrument, and of a recording it is known that another one plays."""
    tag = VOCABULARY[word]
    names = {tag.name, *tag.synonyms}
    return tag.group == "instrument" and any(
        instrument and not names & set(re.findall(r"\w+", instrument.lower())) for instrument in instruments
    )


def without_tags(tagged: TaggedLibrary, n_tracks: int) -> str:
    """How many of a library's recordings have no tags, in a sentence; empty if all have."""
    n = n_tracks - len(tagged.track_ids)
    if n <= 0:
        return ""
    return f"{n:,} of {counted(n_tracks, 'recording')} {'is' if n == 1 else 'are'} left out: not heard by MusiCNN yet."


@functools.lru_cache(maxsize=MOST_REMEMBERED)
def _mean_of(workspace: Workspace, track_id: str, info: EncoderInfo, sha256: str) -> np.ndarray:
    """Raw tags (100,) of a recording, by the hash of what is kept of it: while a library grows, each is read once."""
    mean: np.ndarray = _segments_of(workspace, track_id, info)[1].mean(axis=0)
    return mean


def _mean_if_sound(workspace: Workspace, track_id: str, info: EncoderInfo, sha256: str) -> np.ndarray | None:
    """None of what is damaged, which `check` names, or was removed since."""
    try:
        return _mean_of(workspace, track_id, info, sha256)
    except (ArtefactMismatchError, DataMissingError):
        return None


def _raw_of(scope: Scope, known: Mapping[str, str]) -> np.ndarray:
    """Raw tags (n_tracks, 100) of recordings by the hash of what is kept of them, in order; NaN where it is damaged."""
    workspace = scope.workspace
    raw = np.full((len(known), len(raw_names())), np.nan, np.float32)
    n_digits = max(0, math.ceil(math.log(max(1, len(known)) / PER_FILE, 16)))
    first = 0
    for _, group in itertools.groupby(known, key=lambda track_id: track_id[:n_digits]):
        ids = list(group)
        rows = raw[first : first + len(ids)]
        rests_on = json.dumps([scope.info.fingerprint, [(track_id, known[track_id]) for track_id in ids]])
        path = workspace.paths.packed / f"{hashlib.sha256(rests_on.encode()).hexdigest()}-tags.npy"
        packed = read_packed(path, rows.shape)
        if packed is not None:
            rows[:] = packed
        else:
            for row, track_id in zip(rows, ids, strict=True):
                mean = _mean_if_sound(workspace, track_id, scope.info, known[track_id])
                if mean is not None:
                    row[:] = mean
            if np.isfinite(rows).all():
                write_packed(path, rows)
        first += len(ids)
    return raw
