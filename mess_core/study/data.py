"""The data of a study: interactions, held back as its plan says, and what its encoders hear of the items.

a file of a format ─┐
listeners of a home ─┼-> rows -> split -> training rows, and one test or several: hot and cold, or as it came
a planted world     ─┘
a library or a table -> points of the items, joined by id
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from mess_core.encoders.registry import DEFAULT
from mess_core.errors import InputError
from mess_core.recommend.checkpoints import digest
from mess_core.recommend.columns import (
    HeldOut,
    Interactions,
    from_events,
    leave_one_out,
    split_at,
    split_each_user,
)
from mess_core.recommend.gathering import all_events
from mess_core.recommend.splits import hot_and_cold, split_rows
from mess_core.storage.untrusted import printable
from mess_core.study.formats import FORMATS, VALIDATION, Reading, read_as
from mess_core.study.items import ItemPoints, join, read_vectors, vectors_of
from mess_core.study.plan import GIVEN, DataPlan, EncoderPlan, StudyPlan
from mess_core.study.worlds import World, plant, split_planted
from mess_core.words import counted
from mess_core.workspace.scope import scope_of
from mess_core.workspace.workspace import DEMO, Workspace

LISTENERS, PLANTED = "listeners", "planted"
TEST, HOT, COLD = "test", "hot", "cold"
WHAT = {HOT: "what somebody had before", COLD: "what is new, and nobody had", TEST: "what was held back"}


@dataclass(frozen=True, eq=False)
class StudyData:
    """What is trained on, and by which tests.

    tests : by name; all have the same training rows
    content : sha256 of all of it
    notices : what of it could not be tested, in sentences
    """

    train: Interactions
    tests: Mapping[str, HeldOut]
    content: str
    notices: tuple[str, ...] = ()


def gather(plan: StudyPlan, workspace: Workspace) -> StudyData:
    """Read what a plan names, and hold back.

    Raises
    ------
    InputError
        If the data are none of the format, or nobody is tested.
    """
    reading = _read(plan, workspace)
    if not reading.trains:
        raise InputError(
            f"{printable(plan.data.path)} holds rows to test, and nothing to train on.", "Take a format that has both."
        )
    splits = _split(plan.data, reading)
    tests = {name: split for name, split in splits.items() if len(split.tested)}
    if not tests:
        raise InputError(
            "Nobody took to anything new in what is tested.",
            "Hold back otherwise, or take users with longer histories.",
        )
    train = next(iter(tests.values())).train
    columns = [train.user, train.item, train.at_s, train.weight]
    columns += [column for split in tests.values() for column in (split.test.user, split.test.item, split.is_ranked)]
    names = np.frombuffer("\n".join((*train.user_ids, "", *train.item_ids, "", *tests)).encode(), np.uint8)
    notices = [f"Nobody can be tested on {WHAT[name]}: it is left out." for name in splits if name not in tests]
    for name, split in tests.items():
        if len(split.tested) < train.n_users:
            notices.append(
                f"On {WHAT[name]}, {len(split.tested):,} of {counted(train.n_users, 'listener')} can be tested: the "
                "others took to nothing else there, or to nothing before."
            )
    if not train.is_timed:
        notices.append("The file tells no times: its order counts as the order in time.")
    return StudyData(train, tests, digest(names, *columns), tuple(notices))


def points_of(plan: StudyPlan, encoder: EncoderPlan, workspace: Workspace, train: Interactions) -> ItemPoints:
    """What an encoder hears of the items of the training rows; errors as `study.items`."""
    if encoder.path:
        table = read_vectors(plan.path(encoder.path), plan.path(encoder.ids) if encoder.ids else None)
    else:
        scope = scope_of(workspace, encoder.library or library_of(plan.data), encoder.id)
        ids, vectors = vectors_of(scope, encoder.layer)
        table = _called(workspace, ids, encoder.by), vectors
    return join(train.item_ids, table, encoder.title)


def _called(workspace: Workspace, track_ids: Sequence[str], by: str) -> list[str]:
    """Recordings of a library as the items are called: by id, by title, or by the name of the file."""
    if by == "track_id":
        return list(track_ids)
    tracks = workspace.catalogue.tracks_of(track_ids)
    if by == "title":
        return [tracks[each].title for each in track_ids]
    paths = workspace.catalogue.likely_audio_paths(track_ids)
    return [paths[each].name for each in track_ids]


def library_of(data: DataPlan) -> str:
    """The library whose recordings the items are, unless an encoder names another."""
    return str(data.options.get("library", DEMO))


def _read(plan: StudyPlan, workspace: Workspace) -> Reading:
    data = plan.data
    if data.format == PLANTED:
        return Reading(_planted(data, workspace))
    if data.format == LISTENERS:
        if odd := data.options.keys() - {"library"}:
            raise InputError(f"Listeners have no {printable(min(odd))!r} to choose by.", "They take: library.")
        return Reading(from_events(all_events(scope_of(workspace, library_of(data), DEFAULT))))
    if data.format not in FORMATS:
        raise InputError(
            f"There is no format {printable(data.format)!r}.",
            f"Choose one of: {', '.join((*FORMATS, PLANTED, LISTENERS))}.",
        )
    if not data.path:
        raise InputError(f"The format {data.format} is of a file, and the plan names no path.", "Write: path = …")
    return read_as(data.format, plan.path(data.path), **data.options)


def _planted(data: DataPlan, workspace: Workspace) -> Interactions:
    known: dict[str, Any] = {each.name: type(each.default) for each in fields(World)}
    settings = {key: value for key, value in data.options.items() if key not in ("library", "encoder")}
    for key, value in settings.items():
        if key not in known or isinstance(value, bool) or not isinstance(value, int | float):
            raise InputError(
                f"A planted world takes no {printable(key)!r} of {printable(str(value))!r}.",
                f"It takes library, encoder, and numbers: {', '.join(known)}.",
            )
    chosen: dict[str, Any] = {"seed": data.seed, **{key: known[key](value) for key, value in settings.items()}}
    world = World(**chosen)
    scope = scope_of(workspace, library_of(data), str(data.options.get("encoder", DEFAULT)))
    ids, points = vectors_of(scope)
    return plant(tuple(ids), points, world)


def _split(data: DataPlan, reading: Reading) -> dict[str, HeldOut]:
    """By name, without what is for choosing settings: what learns by gradient holds back its own."""
    if reading.splits:
        if data.split != GIVEN:
            raise InputError(
                f"The format {data.format} brings its own split, and the plan names {data.split}.",
                f"Leave it out, or write: split = '{GIVEN}'.",
            )
        return {name: split for name, split in reading.splits.items() if name != VALIDATION}
    ways: dict[str, Callable[[Interactions], HeldOut]] = {
        "leave-one-out": leave_one_out,
        "last-share": lambda rows: split_each_user(rows, data.share),
        "random": lambda rows: split_rows(rows, data.share, data.seed),
        "time": lambda rows: split_at(rows, data.at_s or 0.0),
    }
    if data.format == PLANTED:
        ways[GIVEN] = split_planted
    if data.split not in ways:
        raise InputError(f"The format {data.format} brings no split.", f"Choose one of: {', '.join(ways)}.")
    whole = ways[data.split](reading.rows)
    if not (data.is_by_temperature or data.format == PLANTED):
        return {TEST: whole}
    return dict(zip((HOT, COLD), hot_and_cold(whole), strict=True))
