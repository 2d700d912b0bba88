"""Coverage: how much of a library an encoder has embedded, counted by the database.

A page that says "embedded: 97 %" needs four numbers, not a hundred thousand rows. A hearing has embedded what each of
its encoders has.
"""

from __future__ import annotations

from dataclasses import dataclass

from mess_core.catalogue.catalogue import LENGTHS, is_member, members
from mess_core.encoders.base import EncoderInfo
from mess_core.storage.database import Database

TABLES = ("tracks", "library_tracks", "embeddings")  # of which it is read


@dataclass(frozen=True)
class Coverage:
    """Tracks of a library and their segments, all and those that an encoder has embedded."""

    n_tracks: int
    n_embedded: int
    n_segments: int
    n_segments_embedded: int

    @property
    def share(self) -> float:
        """How much is embedded, 0 to 1, counted in segments."""
        return self.n_segments_embedded / self.n_segments if self.n_segments else 0.0


def coverage_of(database: Database, library: str, info: EncoderInfo) -> Coverage:
    """The coverage of a library, which need not be there, by an encoder or a hearing."""

    def read() -> Coverage:
        row = database.connection.execute(
            "SELECT count(*), coalesce(sum(is_embedded), 0), coalesce(sum(n), 0), coalesce(sum(n * is_embedded), 0)"
            f" FROM (SELECT {_SEGMENTS} AS n, is_embedded FROM (SELECT {_SAMPLES} AS n_samples,"
            f" {is_embedded(info)} AS is_embedded FROM {members(library)} CROSS JOIN {LENGTHS} {_ONCE}) {_ONCE})",
            {
                "library": library, "rate": info.sample_rate_hz, "segment": info.segment_samples,
                "hop": info.hop_samples, **fingerprints(info),
            },
        ).fetchone()  # fmt: skip
        return Coverage(*row)

    coverage: Coverage = database.remembered(("coverage", library, info.fingerprint), read, TABLES)
    return coverage


def some_embedded(database: Database, library: str, info: EncoderInfo, most: int) -> list[str]:
    """So many tracks of a library that are embedded, or all of fewer: the first by their ids.

    Ids are hashes of sounds, so that the first are a sample as good as any, the same every time.
    """

    def read() -> list[str]:
        rows = database.connection.execute(
            f"SELECT tracks.track_id FROM {members(library)} AS tracks WHERE {is_embedded(info)}"
            " ORDER BY tracks.track_id LIMIT :most",
            {"library": library, "most": most, **fingerprints(info)},
        )
        return [track_id for (track_id,) in rows]

    return list(database.remembered(("some embedded", library, info.fingerprint, most), read, TABLES[1:]))


def first_embedded(database: Database, library: str, info: EncoderInfo) -> str | None:
    """The embedded track of a library whose title is the first in the alphabet; None where none is."""

    def read() -> str | None:
        row = database.connection.execute(
            f"SELECT track_id FROM tracks WHERE {is_member(library)} AND {is_embedded(info)}"
            " ORDER BY title, track_id LIMIT 1",
            {"library": library, **fingerprints(info)},
        ).fetchone()
        return None if row is None else str(row[0])

    track_id: str | None = database.remembered(("first embedded", library, info.fingerprint), read, TABLES)
    return track_id


def is_embedded(info: EncoderInfo, column: str = "tracks.track_id") -> str:
    """Whether a track is embedded, as a condition on the column of its id; asked with `fingerprints`."""
    return " AND ".join(
        f"EXISTS (SELECT 1 FROM embeddings WHERE embeddings.track_id = {column} AND fingerprint = :{name})"
        for name in fingerprints(info)
    )


def fingerprints(info: EncoderInfo) -> dict[str, str]:
    """Of the encoder, or of those of a hearing, by the names that `is_embedded` has for them."""
    return {f"encoder{n}": each.fingerprint for n, each in enumerate(info.encoders)}


# As `scope.count_segments` and `decode.n_segments` count them, of a length in seconds.
_SAMPLES = "CAST(duration_s * :rate + 0.5 AS INTEGER)"
_ONCE = "LIMIT -1"  # or SQLite would merge the questions, and look for the embedding of a row wherever it is named
_SEGMENTS = "CASE WHEN n_samples <= 0 THEN 0 ELSE 1 + (max(0, n_samples - :segment) + :hop - 1) / :hop END"
