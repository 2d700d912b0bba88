"""A scope: one library of a data folder, seen through one encoder. What is embedded, missing, known of it.

Nothing is remembered here: every answer is that of the moment in which it is asked.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np

from mess_core.audio.decode import n_segments
from mess_core.catalogue.catalogue import ALL, Track, members
from mess_core.embeddings.coverage import Coverage, coverage_of, first_embedded, some_embedded
from mess_core.embeddings.store import EmbeddingSet, TrackEmbedding
from mess_core.encoders.base import EncoderInfo
from mess_core.encoders.chroma import CHROMA
from mess_core.encoders.mel import MEL, MFCC
from mess_core.encoders.registry import DEFAULT, RANDOM, encoder_ids, encoder_info, hearing_ids
from mess_core.errors import ArtefactMismatchError, InputError
from mess_core.probing.aspects import Transfer
from mess_core.probing.data import UNTRAINED
from mess_core.probing.directions import Directions
from mess_core.probing.discovery import (
    MIN_TRACKS,
    Discovery,
    Gathered,
    Group,
    gather,
    groups_of,
    kept_paths,
    load,
    load_directions,
    path_of,
)
from mess_core.probing.result import Level, ProbeSettings
from mess_core.probing.runs import find_run, kept_runs
from mess_core.probing.transfer import FEWEST, MOST, borrowed, transfer
from mess_core.probing.uncertainty import MIN_GROUPS
from mess_core.targets.measurements import probe_scale
from mess_core.targets.own import OwnTarget, load_own
from mess_core.workspace.workspace import Workspace

Made = TypeVar("Made")


@dataclass(frozen=True)
class Estimate:
    """What an extraction will take. `seconds` is None until the encoder has run once on this machine."""

    n_tracks: int
    n_segments: int
    seconds: float | None
    n_bytes: int
    n_free_bytes: int


@dataclass(frozen=True)
class Scope:
    """A library seen through an encoder; the library need not be there. `library` "all" is the union of all."""

    workspace: Workspace
    library: str
    info: EncoderInfo

    def require_library(self) -> None:
        """UnknownTrackError if there is no such library."""
        self.workspace.catalogue.require_library(self.library)

    @property
    def for_aspects(self) -> Scope:
        """The library seen through the encoder whose aspects are asked for: of a hearing, another one."""
        return self if self.info.explained_by is None else replace(self, info=self.info.explained_by)

    # --- tracks and their embeddings --------------------------------------------------------------------------

    @property
    def tracks(self) -> list[Track]:
        """All tracks of the library, in order of their ids."""
        return self.workspace.catalogue.tracks(self.library)

    @property
    def works(self) -> dict[str, str]:
        """Composer and work by track id, of the tracks of which the work is known."""
        return {track.track_id: f"{track.composer}: {track.work}" for track in self.tracks if track.work}

    @property
    def embedded_tracks(self) -> list[Track]:
        """Those that the encoder has embedded."""
        known = self.workspace.store.known(self.info)
        return [track for track in self.tracks if track.track_id in known]

    @property
    def missing_tracks(self) -> list[Track]:
        """Those that it has not embedded yet."""
        known = self.workspace.store.known(self.info)
        return [track for track in self.tracks if track.track_id not in known]

    @property
    def embedded_ids(self) -> list[str]:
        """The ids of what is embedded, in order."""
        return list(self._embedded_ids())

    def _embedded_ids(self) -> list[str]:
        return self._made_of_ids("embedded_ids", lambda ids, known: [track_id for track_id in ids if track_id in known])

    def _made_of_ids(self, name: str, make: Callable[[list[str], Mapping[str, str]], Made]) -> Made:
        """Of the library's ids and what is embedded: looked at when their tables change, made when they are others."""
        remembered, key = self.workspace.database.remembered, (name, self.library, self.info.fingerprint)

        def read() -> Any:
            ids, known = self.workspace.catalogue.track_ids(self.library), self.workspace.store.known(self.info)
            return remembered.made_of(key, (ids, known), lambda: make(ids, known))

        made: Made = remembered(key, read, ("embeddings", "library_tracks"))
        return made

    @property
    def n_embedded(self) -> int:
        """How many tracks of the library are embedded."""
        numbers = self._numbers_embedded()
        n_each = [numbers.get((each.id, each.fingerprint), 0) for each in self.info.encoders]
        # Of a hearing no such number tells it, unless one of its encoders has embedded nothing, or each all.
        if len(n_each) == 1 or min(n_each) in (0, self.workspace.catalogue.n_tracks(self.library)):
            return min(n_each)
        return self.coverage.n_embedded

    @property
    def n_by_other_versions(self) -> int:
        """How many embeddings of its tracks are by other versions of the encoder, or of those of a hearing."""
        if self.info.parts:
            return sum(replace(self, info=each).n_by_other_versions for each in self.info.encoders)
        if not self.workspace.store.has_other_versions(self.info):  # known at once, where counting all is not
            return 0
        return sum(
            n
            for (encoder, version), n in self._numbers_embedded().items()
            if encoder == self.info.id and version != self.info.fingerprint
        )

    def _numbers_embedded(self) -> dict[tuple[str, str], int]:
        """By encoder and fingerprint, of all at once: pages ask this of every encoder on every run."""

        def read() -> dict[tuple[str, str], int]:
            rows = self.workspace.database.connection.execute(
                "SELECT encoder, fingerprint, n FROM encoders JOIN (SELECT fingerprint, count(*) AS n"
                f" FROM {members(self.library)} CROSS JOIN embeddings USING (track_id) GROUP BY fingerprint)"
                " USING (fingerprint)",
                {"library": self.library},
            )
            return {(row["encoder"], row["fingerprint"]): row["n"] for row in rows}

        numbers: dict[tuple[str, str], int] = self.workspace.database.remembered(
            ("n_embedded", self.library), read, ("embeddings", "encoders", "library_tracks")
        )
        return numbers

    @property
    def content(self) -> str:
        """A key that changes when anything made of the library's embeddings would."""
        store = self.workspace.store
        return self._made_of_ids("content", lambda ids, _: store.content(ids, self.info))

    def embeddings(self) -> EmbeddingSet:
        """The track embeddings of the library; errors as `EmbeddingStore.load`."""
        return self.workspace.store.load(self.workspace.catalogue.track_ids(self.library), self.info)

    def embedding(self, track_id: str) -> TrackEmbedding:
        """That of one track, be it of this library or not; errors as `EmbeddingStore.read`."""
        return self.workspace.store.read(track_id, self.info)

    @property
    def coverage(self) -> Coverage:
        """How much of the library is embedded, in tracks and segments."""
        return coverage_of(self.workspace.database, self.library, self.info)

    def some_embedded_ids(self, most: int) -> list[str]:
        """The ids of so many embedded tracks, or of all of fewer; always the same, and as good as chance."""
        return some_embedded(self.workspace.database, self.library, self.info, most)

    @property
    def first_embedded_id(self) -> str | None:
        """The id of the embedded track whose title is the first in the alphabet; None where nothing is embedded."""
        return first_embedded(self.workspace.database, self.library, self.info)

    # --- embedding it -----------------------------------------------------------------------------------------

    def estimate(self) -> Estimate:
        """What it would take to extract what is missing."""
        if self.info.parts:
            each = [replace(self, info=encoder).estimate() for encoder in self.info.encoders]
            seconds = [one.seconds for one in each]
            return Estimate(
                n_tracks=self.coverage.n_tracks - self.coverage.n_embedded,
                n_segments=sum(one.n_segments for one in each),
                seconds=None if None in seconds else sum(one for one in seconds if one is not None),
                n_bytes=sum(one.n_bytes for one in each),
                n_free_bytes=each[0].n_free_bytes,
            )
        info, coverage = self.info, self.coverage
        n_tracks = coverage.n_tracks - coverage.n_embedded
        total = coverage.n_segments - coverage.n_segments_embedded
        per_segment = self.workspace.store.speed(info)
        # segments in float16; mean and std in float32; a header of about a kilobyte
        n_bytes = total * info.n_numbers * 2
        n_bytes += n_tracks * ((info.n_numbers + (sum(info.widths) or info.n_layers * info.dim)) * 4 + 1024)
        return Estimate(
            n_tracks=n_tracks,
            n_segments=total,
            seconds=None if per_segment is None else per_segment * total,
            n_bytes=n_bytes,
            n_free_bytes=shutil.disk_usage(self.workspace.paths.root).free,
        )

    @property
    def share_embedded(self) -> float:
        """How much of the library is embedded, 0 to 1, counted in segments as the bar of its extraction is."""
        return self.coverage.share

    # --- discovery --------------------------------------------------------------------------------------------

    @property
    def can_discover(self) -> bool:
        """Whether enough is embedded for discovery to run by itself; a hearing goes by that of an encoder."""
        return not self.info.parts and _is_enough(self.embedded_tracks)

    @property
    def will_discover(self) -> bool:
        """Whether it will be enough once all is embedded."""
        catalogue, library = self.workspace.catalogue, self.library
        key, of = ("will_discover", library), catalogue.content(library)
        is_enough = self.workspace.database.remembered.made_of(key, of, lambda: _is_enough(catalogue.tracks(library)))
        return not self.info.parts and bool(is_enough)

    def gather(
        self,
        group: Group,
        level: Level,
        columns: Sequence[str] = (),
        heard: Mapping[str, Mapping[str, float]] = MappingProxyType({}),
    ) -> Gathered:
        """What a probe needs. A control that has not embedded every track that this encoder has is named as missing."""
        workspace, embedded = self.workspace, set(self.embedded_ids)
        controls = self.controls()
        here = {name: each for name, each in controls.items() if embedded <= workspace.store.known(each).keys()}
        missing = [name for name in controls if name not in here]
        return gather(
            workspace.catalogue, workspace.store, workspace.measurements,
            self.library, self.info, here, group, level, columns, missing, heard, self.own_targets(columns),
        )  # fmt: skip

    def own_targets(self, columns: Sequence[str]) -> dict[str, OwnTarget]:
        """Of some columns those that are targets of one's own."""
        found = {column: load_own(self.workspace.paths, column) for column in columns}
        return {column: target for column, target in found.items() if target is not None}

    def why_again(self, discovery: Discovery) -> str:
        """Why a run of this library should be made again; empty if what it rests on is as it was."""
        own = {name: each.content for name, each in self.own_targets(discovery.result.settings.columns).items()}
        return discovery.why_again(self.content, self.n_embedded, own)

    def controls(self) -> dict[str, EncoderInfo]:
        """Baseline name -> the encoder that makes it; a hearing, which is not probed, has no untrained twin."""
        names = {"log-mel": MEL.id, "MFCC": MFCC.id, "chroma": CHROMA.id, UNTRAINED: f"{RANDOM}{self.info.id}"}
        known, own, paths = encoder_ids(), {each.id for each in self.info.encoders}, self.workspace.paths
        return {name: encoder_info(id_, paths) for name, id_ in names.items() if id_ in known and id_ not in own}

    def discovery(
        self, group: Group = "work", level: Level = "track", settings: ProbeSettings | None = None
    ) -> Discovery | None:
        """What was found in this very library, or None."""
        return load(self.workspace.paths, self.library, self.info, group, level, settings)

    def discovery_for_search(self) -> Discovery | None:
        """What searches go by: the library's own discovery, else the largest of another library; None without any.

        Its own is that with the usual settings, else the run of most tracks that was made of it with others. It gives
        way where it has evidence for nothing: three tracks can be probed, too. Aspects that are borrowed say how well
        they hold in this library, and have no evidence where they do not.
        A result of another version counts as none: searching goes on without aspects until it is made again.
        A hearing goes by what the encoder that explains it tells.
        """
        if self.info.explained_by is not None:
            return self.for_aspects.discovery_for_search()

        def readable(library: str) -> Discovery | None:
            try:
                return replace(self, library=library).discovery()
            except ArtefactMismatchError:
                return None

        own = readable(self.library)
        if own is not None and own.has_evidence:
            return own
        with_others = [run.discovery for run in kept_runs(self.workspace.paths, self.library)[0]]
        with_others = [each for each in with_others if self._is_searched_by(each) and each.has_evidence]
        if with_others:
            return max(with_others, key=lambda each: each.n_tracks)
        names = [ALL, *(other.name for other in self.workspace.catalogue.libraries())]
        others = [readable(name) for name in names if name != self.library]
        known = [other for other in others if other is not None and other.has_evidence]
        found = max(known, key=lambda other: other.n_tracks, default=own)
        if found is None or found.library == self.library:
            return found
        return replace(found, aspects=borrowed(found.aspects, self._transfer(found)))

    def _is_searched_by(self, discovery: Discovery) -> bool:
        """Whether a run can say what aspects are: by this encoder, of whole tracks, of what is measured."""
        is_whole = discovery.level == "track" and not discovery.result.settings.columns
        return discovery.fingerprint == self.info.fingerprint and is_whole

    def discovery_by_run(self, asked: str) -> Discovery:
        """What searches go by where a run is asked for by its id; of another library it says how well it holds here.

        Raises
        ------
        InputError
            If there is no such run, or it cannot say what aspects are.
        """
        if self.info.explained_by is not None:
            return self.for_aspects.discovery_by_run(asked)
        run = find_run(self.workspace.paths, asked)
        found = run.discovery
        if found.fingerprint != self.info.fingerprint:
            raise InputError(
                f"The run {run.run_id} is by {found.encoder}, not by {self.info.id} as it is now.",
                f"Ask with --encoder {found.encoder}, or probe again.",
            )
        if not self._is_searched_by(found):
            what = f"of {found.level}s" if found.level != "track" else "of columns, not of what is measured"
            raise InputError(f"The run {run.run_id} is {what}: it cannot say what aspects are.", "Name another run.")
        if found.library == self.library:
            return found
        return replace(found, aspects=borrowed(found.aspects, self._transfer(found)))

    def stamp_of_discovery(self) -> tuple[float | str, ...]:
        """Changes whenever `discovery_for_search` may: any library's default run, or what is known here, is another."""
        scope, workspace = self.for_aspects, self.workspace
        names = [ALL, *(known.name for known in workspace.catalogue.libraries())]
        paths = [path_of(workspace.paths, name, scope.info, "work", "track") for name in names]
        own = kept_paths(workspace.paths, self.library)
        paths += [path for path in own if path.parent.name == scope.info.folder and path not in paths]
        changed = [path.stat().st_mtime_ns for path in paths if path.is_file()]
        return (*changed, scope.content, *workspace.measurements.stamp()) if changed else ()

    def _transfer(self, discovery: Discovery) -> dict[str, Transfer]:
        """How well another library's directions hold here, by target; none of tracks that were probed there."""
        workspace, probed = self.workspace, set(discovery.row_ids)

        def measure() -> dict[str, Transfer]:
            ids = [track_id for track_id in self.embedded_ids if track_id not in probed]
            if len(ids) < FEWEST:
                return {}
            if len(ids) > MOST:
                ids = sorted(np.random.default_rng(0).choice(ids, MOST, replace=False).tolist())
            searched = {target for evidence in discovery.aspects.values() for target in evidence.searched}
            values = {t: probe_scale(workspace.measurements.values(ids, t), t) for t in sorted(searched)}
            try:
                vectors = workspace.store.load(ids, self.info).vectors
                tracks = workspace.catalogue.tracks_of(ids)
                works = groups_of([tracks[track_id] for track_id in ids], "work")
                return transfer(self.directions(discovery), vectors, values, works)
            except ArtefactMismatchError:  # said where the directions are needed
                return {}

        key = ("transfer", self.library, self.info.fingerprint, discovery.directions_sha256)
        of = (self.content, workspace.catalogue.content(self.library), workspace.measurements.stamp())
        found: dict[str, Transfer] = workspace.database.remembered.made_of(key, of, measure)
        return found

    def directions(self, discovery: Discovery) -> Directions:
        """The directions that belong to a discovery, of this library or of the one it makes do with."""
        return load_directions(self.workspace.paths, self.info, discovery)


def scope_of(workspace: Workspace, library: str, encoder_id: str) -> Scope:
    """The scope of an encoder by its id; InputError if there is none."""
    return Scope(workspace, library, encoder_info(encoder_id, workspace.paths))


def scope_to_listen(workspace: Workspace, library: str) -> Scope:
    """The scope for a question that names no encoder: by the first hearing that has heard all that the default has.

    A hearing that is still being embedded would leave most of the library out of sight. One in any key is asked for by
    name.
    """
    plain = scope_of(workspace, library, DEFAULT)
    hearings = (scope_of(workspace, library, hearing) for hearing in hearing_ids())
    usual = (each for each in hearings if not each.info.any_key)
    return next((each for each in usual if each.n_embedded and each.n_embedded >= plain.n_embedded), plain)


def _is_enough(tracks: Sequence[Track]) -> bool:
    """Whether discovery runs by itself on so many tracks of so many works."""
    return len(tracks) >= MIN_TRACKS and len(set(groups_of(tracks, "work"))) >= MIN_GROUPS


def count_segments(duration_s: float, info: EncoderInfo) -> int:
    """How many segments a recording of this length has."""
    n_samples = int(duration_s * info.sample_rate_hz + 0.5)  # as the database counts them (`coverage`)
    return n_segments(n_samples, info.segment_samples, info.hop_samples)
