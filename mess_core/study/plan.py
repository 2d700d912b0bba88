"""A plan: what a study is to try, as a TOML file that is written by hand and read back from anybody.

    k = 10                              or several: [10, 50]
    seeds = [0, 1, 2]
    exchanges = 5                       how often the items are exchanged, for the controls
    [data]                              which interactions, and how they are held back
    path = "s3rec-LastFM.txt"           beside this file, or from the root
    format = "sequences"                one of `formats`, or planted, listeners: of a library of this data folder
    split = "leave-one-out"             one of `SPLITS`
    [[encoder]]                         what hears the items; any number, for models that need one
    id = "nano"                         of a library: with layer = 5, or all layers together
    [[encoder]]
    path = "vectors.npz"                or a table of vectors by item id
    [[model]]
    name = "itemknn"                    one of `models.MODELS`, with its settings beside it
    neighbours = 50

From it follow the rows of the study: each model with each encoder and seed. A model that goes by an encoder comes again
with its items exchanged, several times: what it still reaches then, it does not owe to the sound, and how far that goes
up and down from one exchange to the next is how much a gain may owe to luck. What takes no chance has one row whatever
the seeds.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from mess_core.errors import ArtefactMismatchError, InputError
from mess_core.storage.untrusted import build, printable, read_text, understanding
from mess_core.study.models import MODELS, check_settings

SPLITS = {
    "leave-one-out": "the last item of each user is tested",
    "last-share": "the last share of each user's rows is tested",
    "time": "all from one time on is tested",
    "random": "any rows are tested",
    "given": "as the format brings it",
}
GIVEN = "given"
CALLED = ("track_id", "title", "file")
N_KEPT = 100  # items of a list that are kept; k is at most that
MOST_ROWS = 5000
EXCHANGES, FEWEST_EXCHANGES = 5, 2  # of one nobody knows how lucky it was
CURE = "See docs/study.md for what a plan holds."


@dataclass(frozen=True)
class DataPlan:
    """Which interactions.

    path : of the file; empty for those of a library
    split : one of `SPLITS`; share, at_s and seed are what it may need
    is_by_temperature : items that were trained on and those that were not are tested apart
    options : of the format
    """

    format: str
    path: str = ""
    split: str = GIVEN
    share: float = 0.1
    at_s: float | None = None
    seed: int = 0
    is_by_temperature: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class EncoderPlan:
    """What hears the items.

    id : of an encoder or a hearing; with a table, what it is called
    layer : None for all layers together
    library : whose recordings are the items; empty for that of the data
    by : how the items are called: by `track_id`, `title`, or `file`, its name; of a library
    path, ids : of a table of vectors, and of the ids of its rows; empty for a library
    """

    id: str
    layer: int | None = None
    library: str = ""
    by: str = "track_id"
    path: str = ""
    ids: str = ""

    @property
    def title(self) -> str:
        return self.id if self.layer is None else f"{self.id}, layer {self.layer}"


@dataclass(frozen=True)
class ModelPlan:
    """A recommender by name, with its settings."""

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        said = ", ".join(f"{key} {value}" for key, value in self.settings.items())
        return f"{self.name} ({said})" if said else self.name


@dataclass(frozen=True)
class RowPlan:
    """One row. encoder : None for a model without; is_shuffled : its items are exchanged: a control"""

    model: ModelPlan
    seed: int
    encoder: EncoderPlan | None = None
    is_shuffled: bool = False

    @property
    def is_control(self) -> bool:
        """Whether it is there to be beaten."""
        return self.is_shuffled or MODELS[self.model.name].is_control

    @property
    def title(self) -> str:
        heard = [] if self.encoder is None else [f"by {self.encoder.title}"]
        return " ".join([self.model.title, *heard, *(["exchanged"] if self.is_shuffled else []), f"seed {self.seed}"])

    @property
    def words(self) -> str:
        """What is run, for somebody who only waits for it: its settings and layers are the plan's."""
        heard = "" if self.encoder is None else f" by what {self.encoder.id} hears"
        layer = "" if self.encoder is None or self.encoder.layer is None else f" in layer {self.encoder.layer}"
        exchanged = ", with the recordings exchanged" if self.is_shuffled else ""
        return f"{self.model.name}{heard}{layer}{exchanged}, seed {self.seed}"

    def of(self, *what: str) -> str:
        """The name of its files: another one for another row, and for other data, `what`."""
        plain = json.dumps([asdict(self), *what], sort_keys=True, default=str)
        return f"{self.model.name}-{hashlib.sha256(plain.encode()).hexdigest()[:16]}"


@dataclass(frozen=True)
class StudyPlan:
    """A whole study. folder : where its file lies, from which paths go"""

    name: str
    data: DataPlan
    encoders: tuple[EncoderPlan, ...]
    models: tuple[ModelPlan, ...]
    k: tuple[int, ...]
    seeds: tuple[int, ...]
    exchanges: int = EXCHANGES
    folder: str = ""

    def path(self, text: str) -> Path:
        return Path(self.folder) / text

    @property
    def rows(self) -> tuple[RowPlan, ...]:
        """In the order in which they are run: what is beaten comes first."""
        found = []
        for model in sorted(self.models, key=lambda each: not MODELS[each.name].is_control):
            known = MODELS[model.name]
            seeds = self.seeds if known.has_chance else self.seeds[:1]
            if not known.goes_by_points(model.settings, has_encoders=bool(self.encoders)):
                found += [RowPlan(model, seed) for seed in seeds]
                continue
            for encoder, seed in itertools.product(self.encoders, seeds):
                found.append(RowPlan(model, seed, encoder))
            for encoder, seed in itertools.product(self.encoders, range(self.exchanges)):
                found.append(RowPlan(model, seed, encoder, is_shuffled=True))
        return tuple(found)


def read_plan(path: Path) -> StudyPlan:
    """Read and check a plan.

    Raises
    ------
    InputError
        If it is no TOML, or says what cannot be done; the entry is named.
    """
    text = read_text(path, cure=CURE, error=InputError)
    try:
        plain = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{printable(path.name)} is no TOML: {error}.", CURE) from error
    return plan_of(plain, path.stem, str(path.resolve().parent))


def plan_of(plain: Mapping[str, Any], name: str, folder: str = "") -> StudyPlan:
    """The plan that a document holds; errors as `read_plan`."""
    _only(plain, ("k", "seeds", "exchanges", "data", "encoder", "model"), "the plan")
    data = _data(_table(plain, "data"))
    models = tuple(_model(each) for each in _tables(plain, "model"))
    if not models:
        raise InputError("The plan names no [[model]].", f"There are: {', '.join(MODELS)}.")
    encoders = tuple(_encoder(each) for each in _tables(plain, "encoder"))
    needing = [model.name for model in models if MODELS[model.name].points == "needed"]
    if needing and not encoders:
        raise InputError(f"{needing[0]} goes by what an encoder hears, and the plan names no [[encoder]].", CURE)
    for what, named in (("model", models), ("encoder", encoders)):
        titles = [each.title for each in named]
        if len(set(titles)) < len(titles):
            twice = next(each for each in titles if titles.count(each) > 1)
            raise InputError(f"The {what} {printable(twice)!r} is named twice.", "Once will do.")
    k, seeds, exchanges = _numbers(plain, "k", 10), _numbers(plain, "seeds", 0), _int(plain, "exchanges", EXCHANGES)
    found = StudyPlan(name, data, encoders, models, k, seeds, exchanges, folder)
    if not 1 <= min(found.k) <= max(found.k) <= N_KEPT:
        raise InputError(f"k is {list(found.k)}, expected 1 to {N_KEPT}.")
    if found.exchanges < FEWEST_EXCHANGES:
        raise InputError(
            f"Items are exchanged {found.exchanges} times, expected {FEWEST_EXCHANGES} or more.",
            "Of one exchange nobody knows how lucky it was.",
        )
    if min(found.seeds) < 0:
        raise InputError(f"A seed is {min(found.seeds)}, expected 0 or more.")
    if len(found.rows) > MOST_ROWS:
        raise InputError(f"The plan has {len(found.rows):,} rows, expected at most {MOST_ROWS:,}.", "Divide it.")
    return found


def as_plain(plan: StudyPlan) -> dict[str, Any]:
    """As JSON, from which `from_plain` makes it again."""
    return asdict(plan)


def from_plain(plain: Mapping[str, Any], name: str) -> StudyPlan:
    """The plan that was kept; ArtefactMismatchError where it says what cannot be."""
    with understanding(name, CURE):
        return build(
            StudyPlan,
            plain,
            data=build(DataPlan, plain["data"]),
            encoders=tuple(build(EncoderPlan, each) for each in plain["encoders"]),
            models=tuple(map(model_from_plain, plain["models"])),
            k=tuple(map(int, plain["k"])),
            seeds=tuple(map(int, plain["seeds"])),
        )


def model_from_plain(plain: Mapping[str, Any]) -> ModelPlan:
    """The model that was kept; ArtefactMismatchError where there is none such here, as of a package that is gone."""
    model = build(ModelPlan, plain)
    try:
        check_settings(model.name, model.settings)
    except InputError as error:
        raise ArtefactMismatchError(error.message, error.hint) from error
    return model


# --- entries ------------------------------------------------------------------------------------------------


def _data(plain: Mapping[str, Any]) -> DataPlan:
    own = {"path", "format", "split", "share", "tested_from", "seed", "hot_and_cold"}
    form, split = _text(plain, "format"), _text(plain, "split", GIVEN)
    if split not in SPLITS:
        raise InputError(f"There is no split {printable(split)!r}.", f"Choose one of: {', '.join(SPLITS)}.")
    at_s = _seconds(plain.get("tested_from"))
    if split == "time" and at_s is None:
        raise InputError("A split in time needs tested_from: a date, or seconds since 1970.", CURE)
    return DataPlan(
        format=form,
        path=_text(plain, "path", ""),
        split=split,
        share=_float(plain, "share", 0.1),
        at_s=at_s,
        seed=_int(plain, "seed", 0),
        is_by_temperature=bool(plain.get("hot_and_cold", False)),
        options={key: value for key, value in plain.items() if key not in own},
    )


def _seconds(at: Any) -> float | None:
    """Since 1970; a date means its beginning, UTC where it does not say otherwise."""
    if isinstance(at, datetime):
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    if isinstance(at, date):
        return datetime(at.year, at.month, at.day, tzinfo=UTC).timestamp()
    return float(at) if isinstance(at, int | float) and not isinstance(at, bool) else None


def _encoder(plain: Mapping[str, Any]) -> EncoderPlan:
    _only(plain, ("id", "layer", "library", "by", "path", "ids"), "an [[encoder]]")
    by = _text(plain, "by", CALLED[0])
    if by not in CALLED:
        raise InputError(f"Items are called by {printable(by)!r}, expected one of: {', '.join(CALLED)}.", CURE)
    path = _text(plain, "path", "")
    layer = plain.get("layer")
    return EncoderPlan(
        id=_text(plain, "id", Path(path).stem or None),
        layer=None if layer is None else _int(plain, "layer", 0),
        library=_text(plain, "library", ""),
        by=by,
        path=path,
        ids=_text(plain, "ids", ""),
    )


def _model(plain: Mapping[str, Any]) -> ModelPlan:
    name = _text(plain, "name")
    settings = {key: value for key, value in plain.items() if key != "name"}
    check_settings(name, settings)
    return ModelPlan(name, settings)


def _only(plain: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    for key in plain:
        if key not in known:
            raise InputError(f"There is no {printable(key)!r} in {where}.", f"It takes: {', '.join(known)}.")


def _table(plain: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = plain.get(key)
    if not isinstance(found, Mapping):
        raise InputError(f"The plan has no [{key}].", CURE)
    return found


def _tables(plain: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    found = plain.get(key, [])
    if not isinstance(found, list) or not all(isinstance(each, Mapping) for each in found):
        raise InputError(f"{key} is {printable(str(found)[:40])!r}, expected [[{key}]], once for each.", CURE)
    return found


def _text(plain: Mapping[str, Any], key: str, default: str | None = None) -> str:
    value = plain.get(key, default)
    if not isinstance(value, str) or (not value and default is None):
        raise InputError(f"{key} is {printable(str(value))!r}, expected text.", CURE)
    return value


def _float(plain: Mapping[str, Any], key: str, default: float) -> float:
    value = plain.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"{key} is {printable(str(value))!r}, expected a number.", CURE)
    return float(value)


def _int(plain: Mapping[str, Any], key: str, default: int) -> int:
    value = plain.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int):
        raise InputError(f"{key} is {printable(str(value))!r}, expected a whole number.", CURE)
    return value


def _numbers(plain: Mapping[str, Any], key: str, default: int) -> tuple[int, ...]:
    """One whole number or several, each once, in order."""
    value = plain.get(key, default)
    many = value if isinstance(value, list) else [value]
    if not many or any(isinstance(each, bool) or not isinstance(each, int) for each in many):
        raise InputError(f"{key} is {printable(str(value))!r}, expected whole numbers.", CURE)
    return tuple(sorted(set(many)))
