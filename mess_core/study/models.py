"""The recommenders of a study, by name: what each is, what it goes by, and what can be set of it.

    make("itemknn", {"neighbours": 50}, points=None, seed=0) -> Recommender

What can be set are the fields of its class, and those of its `learning` and `size` where it has them. A new one is a
line here, or comes with a package:

    [project.entry-points."mess.recommenders"]
    my-model = "my_package.model:ENTRY"      a `Model`

A model that goes by points is tried with each encoder, and once more with its items exchanged. `optional` are those
that can learn a row of their own for each item instead (ids): of a plan without encoders, or with items = "learned".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, replace
from importlib import import_module
from typing import Any, Literal

import numpy as np

from mess_core import plugins
from mess_core.errors import InputError
from mess_core.recommend.base import Recommender
from mess_core.storage.untrusted import printable

GROUP = "mess.recommenders"
ITEMS, LEARNED = "items", "learned"  # a setting of models that can do without points
OURS = ("points", "name", "seed")  # fields that a study fills in


@dataclass(frozen=True)
class Model:
    """A recommender that a study can try.

    summary : what it goes by, in a sentence
    made_by : its dataclass, or "module:Class", which is then imported when it is asked for
    points : whether it goes by what an encoder hears of the items
    has_chance : whether another seed gives another result
    is_control : whether it is there to be beaten
    aliases : other names of its fields, as plans may call them
    """

    name: str
    summary: str
    made_by: str | Callable[..., Recommender]
    points: Literal["none", "optional", "needed"] = "none"
    has_chance: bool = False
    is_control: bool = False
    aliases: Mapping[str, str] = field(default_factory=dict)

    @property
    def kind(self) -> Any:
        """Its class."""
        if not isinstance(self.made_by, str):
            return self.made_by
        module, _, name = self.made_by.partition(":")
        return getattr(import_module(module), name)

    def goes_by_points(self, settings: Mapping[str, Any], *, has_encoders: bool) -> bool:
        """Whether it is given the points of an encoder."""
        if self.points == "optional":
            return has_encoders and settings.get(ITEMS) != LEARNED
        return self.points == "needed"


_HERE = "mess_core.recommend"
MODELS: dict[str, Model] = {
    model.name: model
    for model in (
        Model("random", "Any item.", f"{_HERE}.controls:AnyItem", has_chance=True, is_control=True),
        Model("popular", "What most users have.", f"{_HERE}.controls:Popular", is_control=True),
        Model("next", "What others took next after a user's last item.", f"{_HERE}.controls:NextItem", is_control=True),
        Model("itemknn", "What those have who have the same.", f"{_HERE}.knn:ItemNeighbours",
              aliases={"neighbours": "k"}),
        Model("ease", "Each item by a regression on all others.", f"{_HERE}.knn:Ease"),
        Model("als", "Factors of users and items (implicit).", f"{_HERE}.factors:ImplicitFactors", has_chance=True),
        Model("alike", "What sounds like a user's last item.", f"{_HERE}.controls:AlikeToLast", "needed"),
        Model("usermean", "What sounds like the mean of what a user has: the KNN of the study.",
              f"{_HERE}.content:UserMean", "needed"),
        Model("shallow", "One layer over users and items, taught which go together.", f"{_HERE}.shallow:ShallowNet",
              "needed", has_chance=True),
        Model("bridge-ridge", "From sound to the factors of items, by ridge regression.",
              f"{_HERE}.bridge:RidgeBridge", "needed", has_chance=True),
        Model("bridge-contrast", "From sound to the factors of items, by contrast.",
              f"{_HERE}.bridge:ContrastBridge", "needed", has_chance=True),
        Model("sasrec", "Attention over what came before.", f"{_HERE}.sasrec:SasRec", "optional", has_chance=True),
        Model("bert4rec", "Attention over a sequence with gaps.", f"{_HERE}.bert4rec:Bert4Rec", "optional",
              has_chance=True),
    )
}  # fmt: skip


def settings_of(model: Model) -> dict[str, Any]:
    """What can be set, with its defaults; of nested settings each by its own name."""
    found: dict[str, Any] = {ITEMS: "heard"} if model.points == "optional" else {}
    kind: Any = model.kind
    for each in fields(kind):
        if each.name in OURS:
            continue
        default = each.default_factory() if each.default_factory is not MISSING else each.default
        if is_dataclass(default):
            found |= {one.name: getattr(default, one.name) for one in fields(default) if one.name not in OURS}
        else:
            found[each.name] = default
    return found


def check_settings(name: str, settings: Mapping[str, Any]) -> None:
    """Refuse a model that is not there, and what cannot be set of it.

    Raises
    ------
    InputError
        With what there is.
    """
    if name not in MODELS:
        raise InputError(f"There is no model {printable(str(name))!r}.", f"Choose one of: {', '.join(MODELS)}.")
    model = MODELS[name]
    known = settings_of(model)
    for given, value in settings.items():
        key = model.aliases.get(given, given)
        if key not in known:
            called = {field: name for name, field in model.aliases.items()}
            expected = (
                f"It takes: {', '.join(called.get(each, each) for each in known)}." if known else "It takes none."
            )
            raise InputError(f"{name} has no setting {printable(given)!r}.", expected)
        default = known[key]
        is_alike = isinstance(value, int | float) if isinstance(default, float) else isinstance(value, type(default))
        if isinstance(value, bool) != isinstance(default, bool) or not is_alike:
            raise InputError(f"{given} of {name} is {printable(str(value))!r}, expected something like {default!r}.")


def make(name: str, settings: Mapping[str, Any], points: np.ndarray | None, seed: int) -> Recommender:
    """A recommender with its settings; the seed goes wherever it takes one."""
    model = MODELS[name]
    kind: Any = model.kind
    given = {model.aliases.get(key, key): value for key, value in settings.items() if key != ITEMS}
    if points is not None:
        given["points"] = points
    made: dict[str, Any] = {}
    for each in fields(kind):
        default = each.default_factory() if each.default_factory is not MISSING else each.default
        if is_dataclass(default):
            own = {one.name for one in fields(default)}
            inner = {key: given.pop(key) for key in list(given) if key in own}
            made[each.name] = replace(default, **inner, **({"seed": seed} if "seed" in own else {}))  # type: ignore[type-var]
        elif each.name == "seed":
            made["seed"] = seed
    called: Any = kind
    found: Recommender = called(**given, **made)
    return found


def _check(entry: Model, before: tuple[Model, ...]) -> None:
    if entry.name in MODELS or entry.name in {each.name for each in before}:
        raise InputError(f"there is a model called {entry.name!r} already")
    if not (isinstance(entry.kind, type) and is_dataclass(entry.kind)):
        raise InputError("it is not made by a dataclass, whose fields would be what can be set of it")


_ADDED = plugins.added(GROUP, Model, _check)
MODELS |= {entry.name: entry for entry in _ADDED.entries}


def model_problems() -> tuple[str, ...]:
    """A sentence for each recommender of another package that cannot be used."""
    return _ADDED.problems
