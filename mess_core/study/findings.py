"""What a study found, in sentences: what is best, whether it goes by sound, what embarrasses it, which layer it is."""

from __future__ import annotations

from collections.abc import Sequence

from mess_core.evaluation.recommendation import NDCG
from mess_core.numbers import interval, number
from mess_core.study.data import WHAT
from mess_core.study.table import BLIND, CHANCE, POPULAR, Better, StudyTable, TableRow
from mess_core.words import counted, listed

DIGITS = 3
FEWEST = 20  # listeners, of whom an interval says much


def findings(table: StudyTable) -> tuple[str, ...]:
    """The most that can be said, the most important first."""
    if not table.ranked:
        return ("Nothing was run yet that could be compared.",)
    said = [_on_the_best(table)]
    n_users = table.study.tests[table.test].n_users
    if n_users < FEWEST:
        said.append(f"Of {n_users} listeners hardly anything can be said: no interval is to be relied on.")
    heard = [row for row in table.ranked if row.goes_by_sound]
    alone = [row for row in table.ranked if not row.goes_by_sound]
    if heard:
        said.append(_on_sound(heard))
    if heard and alone:
        said.append(_on_others(heard[0], alone[0]))
    said += [*_on_layers(heard), *_on_silence(table)]
    blind = list(dict.fromkeys(row.model for row in table.rows if row.refused == BLIND))
    if blind:
        know = "knows" if len(blind) == 1 else "know"
        said.append(f"{listed(blind).capitalize()} {know} nothing of these, and cannot order them: not counted.")
    refused = [row for row in table.rows if row.refused and row.refused != BLIND]
    if refused and not table.n_missing:  # else it may only not have been run yet
        said.append(f"Not counted: {refused[0].title}. {refused[0].refused}" + _and_more(len(refused) - 1))
    return tuple(said)


def layer_profiles(table: StudyTable) -> dict[tuple[str, str], list[tuple[int, TableRow]]]:
    """(encoder, model) -> its layers in order, of those that were tried by layer and go by sound."""
    found: dict[tuple[str, str], list[tuple[int, TableRow]]] = {}
    for row in table.rows:
        if row.encoder is not None and row.encoder.layer is not None and not row.refused and row.goes_by_sound:
            found.setdefault((row.encoder.id, row.model), []).append((row.encoder.layer, row))
    return {key: sorted(rows, key=lambda each: each[0]) for key, rows in found.items() if len(rows) > 1}


def _on_the_best(table: StudyTable) -> str:
    """Best is what is surely better than chance; of what is not, that it ranks first is all there is to say."""
    best, chance, popular = table.ranked[0], table.row(CHANCE), table.row(POPULAR)
    beside = [f"chance has {_number(_ndcg(chance))}"]
    if popular is not None and not popular.refused:
        beside.append(f"what is popular {_number(_ndcg(popular))}")
    what = WHAT.get(table.test, table.test)
    figure = f"nDCG@{table.k} {_number(_ndcg(best))} {interval(best.low, best.high, DIGITS)}".rstrip()
    if best.low is None or best.low <= _ndcg(chance):
        return (
            f"On {what}, nothing is shown to be better than chance: {best.title} ranks first with {figure}; "
            f"{', '.join(beside)}."
        )
    over, second = table.over_second, ""
    if over is not None and not over.is_shown:
        second = f", not shown to be better than {table.ranked[1].title}"
    return f"On {what}, {best.title} is best{second}: {figure}; {', '.join(beside)}."


def _on_sound(heard: Sequence[TableRow]) -> str:
    shown = [row for row in heard if row.over_control is not None and row.over_control.is_shown]
    if not shown:
        return (
            f"That sound helps is not shown: the best that goes by it, {heard[0].title}, gains "
            f"{_gain(heard[0].over_control)} over itself with the recordings exchanged."
        )
    others = f"; of {len(heard)} that go by sound it is shown for {len(shown)}" if len(heard) > 1 else ""
    return (
        f"Sound helps: {shown[0].title} gains {_gain(shown[0].over_control)} over itself with the recordings exchanged"
        f"{others} (95 %, corrected for all)."
    )


def _on_others(heard: TableRow, alone: TableRow) -> str:
    """Overlapping intervals say little; which of the two is larger is said, and by how much."""
    first, second = (heard, alone) if _ndcg(heard) >= _ndcg(alone) else (alone, heard)
    by = "Going by sound" if first is heard else "Going by what others have"
    return (
        f"{by} is ahead here: {first.title} {_number(_ndcg(first))} {interval(first.low, first.high, DIGITS)}, "
        f"{second.title} {_number(_ndcg(second))} {interval(second.low, second.high, DIGITS)}."
    )


def _on_layers(heard: Sequence[TableRow]) -> list[str]:
    """Of each encoder that was tried by layer, the layers that serve each recommender, where they help at all."""
    found: dict[str, dict[str, list[TableRow]]] = {}
    for row in heard:
        is_shown = row.over_control is not None and row.over_control.is_shown
        if row.encoder is not None and row.encoder.layer is not None and is_shown:
            found.setdefault(row.encoder.id, {}).setdefault(row.model, []).append(row)
    said = []
    for encoder, models in found.items():
        parts = [
            f"{model} by layer {best.encoder.layer} ({_number(_ndcg(best))})"
            for model, rows in models.items()
            if len(rows) > 1 and (best := max(rows, key=_ndcg)).encoder is not None
        ]
        if parts:
            said.append(f"Of the layers of {encoder}, the best for each recommender: {', '.join(parts)}.")
    return said


def _on_silence(table: StudyTable) -> list[str]:
    """Of how many items an encoder has heard nothing: to what goes by it they are silent."""
    n_items = table.study.n_items
    n_heard = {row.encoder.id: row.n_heard for row in table.rows if row.encoder is not None}
    some = [f"{name} has heard {n:,}" for name, n in n_heard.items() if n is not None and n < n_items]
    return [f"{listed(some)} of {counted(n_items, 'item')}; of the others it can say nothing."] if some else []


def _ndcg(row: TableRow | None) -> float:
    return row.values.get(NDCG, float("-inf")) if row is not None else float("-inf")


def _number(value: float) -> str:
    return number(value, DIGITS)


def _gain(better: Better | None) -> str:
    if better is None:
        return "nothing that could be told"
    within = interval(better.low, better.high, DIGITS, signed=True)
    return f"{number(better.value, DIGITS, signed=True)} {within}".rstrip()


def _and_more(n: int) -> str:
    return f" So are {n} more." if n > 1 else " So is one more." if n else ""
