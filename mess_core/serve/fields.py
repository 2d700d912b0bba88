"""Fields: what may be asked, by name, and what each may be. One table reads requests and writes their documentation.

The names are those of the command line's options, with _ for -, and mean the same. In a JSON body a field has its kind;
in the query string everything is text, lists are repeated (`like=a&like=b`), and weights are written as there
(`aspects=brightness=0.7,tempo`). A name that is not in the table is refused: a slip of the pen, not a default.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mess_core.catalogue.catalogue import ALL, FILTERS
from mess_core.catalogue.opinions import ME
from mess_core.encoders.registry import DEFAULT
from mess_core.errors import InputError
from mess_core.probing.aspects import ASPECTS
from mess_core.recommend.profile import CONTEXTS
from mess_core.recommend.sections import SECTIONS
from mess_core.search.geometry import GEOMETRIES
from mess_core.search.inquiry import Inquiry
from mess_core.search.learned import LearnedGeometry
from mess_core.search.matching import parse_passage
from mess_core.search.question import COPIES, parse_aspects
from mess_core.serve.refusals import Refusal

Kind = Literal["text", "texts", "whole", "number", "flag", "weights"]
MOST_CHARACTERS = 1000  # of one text
MOST_TEXTS = 100  # of one list
MOST_RESULTS = 1000  # each of which is read from the disk
YES, NO = ("true", "1", "yes", ""), ("false", "0", "no")
SAID = {
    "text": "a text",
    "texts": "a list of texts",
    "whole": "a whole number",
    "number": "a number",
    "flag": "true or false",
    "weights": "numbers by name, or a text such as brightness=0.7,tempo",
}


@dataclass(frozen=True)
class Field:
    """One of them.

    name : in a request; `to` is what it is called inside, where that is another name
    default : what it is where it is not given, in words or as it is
    choices : all that it can be, of a text
    least, most : of a number, in it
    """

    name: str
    kind: Kind
    words: str
    to: str = ""
    default: Any = None
    choices: tuple[str, ...] = ()
    least: float = -math.inf
    most: float = math.inf

    def read(self, value: Any) -> Any:
        """The value of a JSON body, or the texts of a query string, as its kind; 400 if it is none."""
        if isinstance(value, _Written):
            value = self._parse(value)
        is_one = {
            "text": isinstance(value, str),
            "texts": isinstance(value, list) and all(isinstance(each, str) for each in value),
            "whole": isinstance(value, int) and not isinstance(value, bool),
            "number": isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value),
            "flag": isinstance(value, bool),
            "weights": isinstance(value, dict) and all(_is_number(each) for each in value.values()),
        }[self.kind]
        texts = value if isinstance(value, list) else list(value) if isinstance(value, dict) else [value]
        is_long = len(texts) > MOST_TEXTS or any(isinstance(t, str) and len(t) > MOST_CHARACTERS for t in texts)
        if not is_one or is_long or any(isinstance(t, str) and "\0" in t for t in texts):
            shown = str(value)
            most = f" of at most {MOST_CHARACTERS} characters" if isinstance(value, str) and self.kind == "text" else ""
            raise Refusal(400, f"{self.name} is not {SAID[self.kind]}{most}.", shown, SAID[self.kind], self._cure)
        if self.choices and value not in self.choices:
            near = difflib.get_close_matches(value, self.choices, 1)
            cure = f"Did you mean {near[0]}?" if near else ""
            raise Refusal(422, f"{self.name} is none of these.", value, ", ".join(self.choices), cure)
        if self.kind in ("whole", "number") and not self.least <= value <= self.most:
            raise Refusal(422, f"{self.name} is out of its range.", value, self._range, self._cure)
        return value

    def _parse(self, written: _Written) -> Any:
        """Of a query string; what cannot be one is left as it is, and refused as such."""
        if self.kind == "texts":
            return list(written)
        if len(written) != 1:
            raise Refusal(400, f"{self.name} is given {len(written)} times.", list(written), "once", self._cure)
        (text,) = written
        if self.kind == "flag":
            return True if text.casefold() in YES else False if text.casefold() in NO else text
        if self.kind == "weights":
            return parse_aspects(text)
        if self.kind in ("whole", "number"):
            try:
                return int(text) if self.kind == "whole" else float(text)
            except ValueError:
                return text
        return text

    @property
    def _cure(self) -> str:
        return f"{self.name}: {self.words}."

    @property
    def _range(self) -> str:
        if math.isinf(self.most):
            return f"{self.least:g} or more"
        return f"{self.least:g} to {self.most:g}"

    @property
    def schema(self) -> dict[str, Any]:
        """As JSON Schema."""
        of_text = {"type": "string", "maxLength": MOST_CHARACTERS}
        kinds: dict[Kind, dict[str, Any]] = {
            "text": of_text,
            "texts": {"type": "array", "items": of_text, "maxItems": MOST_TEXTS},
            "whole": {"type": "integer"},
            "number": {"type": "number"},
            "flag": {"type": "boolean"},
            "weights": {"type": "object", "additionalProperties": {"type": "number", "minimum": 0}},
        }
        kind = dict(kinds[self.kind])
        if self.choices:
            kind["enum"] = list(self.choices)
        if not math.isinf(self.least):
            kind["minimum"] = self.least
        if not math.isinf(self.most):
            kind["maximum"] = self.most
        if self.default is not None:
            kind["default"] = self.default
        return kind


class _Written(list[str]):
    """What a query string says of one name."""


def read_query_string(pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Names with all that was written of each."""
    found: dict[str, Any] = {}
    for name, text in pairs:
        found.setdefault(name, _Written()).append(text)
    return found


def read_fields(fields: Sequence[Field], said: Mapping[str, Any]) -> dict[str, Any]:
    """What a request says, by the names inside, and what it does not; null is as not given.

    Raises
    ------
    Refusal
        400 for a name that there is not and a value of another kind, 422 for one that is out of range.
    """
    by_name = {each.name: each for each in fields}
    found = {each.to or each.name: each.default for each in fields if each.default is not None}
    for name, value in said.items():
        if name not in by_name:
            near = difflib.get_close_matches(name, by_name, 1)
            cure = f"Did you mean {near[0]}?" if near else "Leave it out."
            raise Refusal(400, "There is no such field here.", name[:200], ", ".join(by_name) or "none", cure)
        if value is None:
            continue
        try:
            found[by_name[name].to or name] = by_name[name].read(value)
        except InputError as error:
            raise Refusal(400, error.message, cure=error.hint) from error
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def inquiry_of(said: Mapping[str, Any]) -> Inquiry:
    """What `similar` is asked, of fields that were read."""
    asked = {name: value for name, value in said.items() if name in Inquiry.__dataclass_fields__}
    if "avoid" in asked:  # as the command line takes them: one text of several, too
        asked["avoid"] = [aspect.strip() for text in asked["avoid"] for aspect in text.split(",")]
    if "passage" in asked:
        asked["passage"] = parse_passage(asked["passage"])
    return Inquiry(**asked)


# --- the table ------------------------------------------------------------------------------------------------

LIBRARY = Field("library", "text", "the library that is asked; all is the union of all", default=ALL)
ENCODER = Field("encoder", "text", "the id of an encoder or hearing; by default the first that has heard all of it")
NAME = Field("name", "text", "with a file: what it is called, where it is spoken of", to="file_name")
K = Field("k", "whole", "how many", default=10, least=1, most=MOST_RESULTS)

QUESTION = (
    Field("query", "text", "the id of a track; in its place a file can be sent"),
    LIBRARY,
    ENCODER,
    K,
    Field("aspects", "weights", f"what matters, and how much: {', '.join(ASPECTS)}"),
    Field("not", "texts", "aspects that must not count", to="avoid"),
    Field(
        "geometry", "text", "how near is measured", default="auto",
        choices=("auto", *GEOMETRIES, LearnedGeometry.name),
    ),
    Field("passage", "text", "START:END, the seconds of the query that are looked for inside other tracks"),
    Field("words", "text", "what to hear, alone or beside a query: solo violin, not slow"),
    Field("like", "texts", "further tracks that answers should be like"),
    Field("unlike", "texts", "tracks that answers should not be like"),
    Field("along", "text", "an aspect along which all are put in order, the least of it first"),
    Field("furthest", "flag", "the furthest first; with along, the most of it first", to="reverse", default=False),
    Field("diversity", "number", "0 to 1: rank what repeats a result lower", default=0.0, least=0, most=1),
    *(
        Field(f"max_per_{name}", "whole", f"at most so many of one {name}", least=1)
        for name in ("work", "performer", "album")
    ),
    *(Field(name, "texts", f"only of this {name}, or one of these", to=f"{name}s") for name in FILTERS),
    Field("duplicates", "text", "what happens to near-duplicates", default="keep", choices=COPIES),
    Field("versions", "text", "what happens to other recordings of a work", default="keep", choices=COPIES),
    Field("where", "texts", "NAME=VALUE: only where a name or a column of a table says so"),
    Field("heard_as", "texts", "only what is clearly heard as that: violin, slow, jazz"),
    Field("between", "texts", "VALUE=LEAST:MOST: only where it was measured so, tempo=90:110"),
    Field("hubs", "text", "whether hubs are corrected for", default="auto", choices=("auto", "on", "off")),
    NAME,
)  # fmt: skip
EMBEDDED = (
    Field("encoder", "text", "the id of an encoder or hearing", default=DEFAULT),
    Field("segments", "flag", "also the embedding of each segment", default=False),
    NAME,
)
RECOMMENDED = (
    Field("listener", "text", "for whom", default=ME),
    Field("k", "whole", "how many", default=20, least=1, most=MOST_RESULTS),
    Field("section", "text", "which kind of list", default=next(iter(SECTIONS)), choices=tuple(SECTIONS)),
    Field("surprise", "number", "0 familiar, 1 surprising", default=0.5, least=0, most=1),
    Field("context", "text", "what was heard then counts more", choices=tuple(CONTEXTS)),
    Field("why_not", "text", "say instead what keeps this track from being recommended"),
    Field("seed", "whole", "of the few rows that are tries", default=0, least=0, most=2**32 - 1),
    LIBRARY,
    ENCODER,
)
TAGGED = (Field("track", "texts", "track ids; by default all of the library", to="tracks"), LIBRARY)
