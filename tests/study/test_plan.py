"""A plan says what it says, and what cannot be done is refused before anything is read."""

from __future__ import annotations

import pytest

from mess_core.errors import ArtefactMismatchError, InputError
from mess_core.study.models import MODELS, check_settings, make, settings_of
from mess_core.study.plan import EXCHANGES, as_plain, from_plain, plan_of, read_plan

DATA = {"path": "a.txt", "format": "sequences", "split": "leave-one-out"}


def a_plan(**more):
    return {"data": DATA, "model": [{"name": "popular"}], **more}


def test_the_smallest_plan_is_read_as_it_stands(tmp_path):
    file = tmp_path / "small.toml"
    file.write_text(
        "k = [20, 10]\nseeds = [1, 0]\nexchanges = 2\n"
        '[data]\npath = "rows.txt"\nformat = "sequences"\nsplit = "leave-one-out"\n'
        '[[encoder]]\nid = "nano"\nlayer = 5\n'
        '[[model]]\nname = "itemknn"\nneighbours = 7\n[[model]]\nname = "usermean"\n'
    )
    plan = read_plan(file)
    assert (plan.name, plan.k, plan.seeds) == ("small", (10, 20), (0, 1))
    assert plan.path(plan.data.path) == tmp_path / "rows.txt"
    assert [row.title for row in plan.rows] == [
        "itemknn (neighbours 7) seed 0",
        "usermean by nano, layer 5 seed 0",
        "usermean by nano, layer 5 exchanged seed 0",
        "usermean by nano, layer 5 exchanged seed 1",
    ]
    assert from_plain(as_plain(plan), "small") == plan


def test_what_is_to_be_beaten_is_run_first_and_what_goes_by_sound_comes_with_its_control():
    models = [{"name": name} for name in ("sasrec", "shallow", "random", "ease", "popular")]
    plan = plan_of(a_plan(model=models, encoder=[{"id": "nano"}, {"id": "mel"}], seeds=[0, 1], exchanges=3), "any")
    assert [row.model.name for row in plan.rows][:3] == ["random", "random", "popular"]
    for model in ("sasrec", "shallow"):
        own = [row for row in plan.rows if row.model.name == model]
        assert len(own) == 2 * 2 + 2 * 3 and sum(row.is_shuffled for row in own) == 2 * 3
        assert {row.encoder for row in own if row.is_shuffled} == set(plan.encoders)
    assert len([row for row in plan.rows if row.model.name == "ease"]) == 1, "no chance is in it"


def test_what_can_learn_ids_does_so_without_encoders_or_where_it_is_asked_to():
    alone = plan_of(a_plan(model=[{"name": "sasrec"}]), "any").rows
    assert [row.encoder for row in alone] == [None]
    both = [{"name": "sasrec"}, {"name": "sasrec", "items": "learned"}]
    rows = plan_of(a_plan(model=both, encoder=[{"id": "nano"}]), "any").rows
    assert [(row.encoder is None, row.is_shuffled) for row in rows] == [
        (False, False), *[(False, True)] * EXCHANGES, (True, False),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"model": []}, r"no \[\[model\]\]"),
        ({"model": [{"name": "magic"}]}, "no model 'magic'"),
        ({"model": [{"name": "itemknn", "neighbors": 3}]}, "no setting 'neighbors'"),
        ({"model": [{"name": "itemknn", "k": "many"}]}, "expected something like 50"),
        ({"model": [{"name": "ease", "penalty": True}]}, "expected something like"),
        ({"model": [{"name": "popular"}, {"name": "popular"}]}, "named twice"),
        ({"model": [{"name": "usermean"}]}, "names no"),
        ({"model": "popular"}, "once for each"),
        ({"k": 0}, "expected 1 to 100"),
        ({"k": [10, 101]}, "expected 1 to 100"),
        ({"k": []}, "whole numbers"),
        ({"k": 1.5}, "whole numbers"),
        ({"seeds": [-1]}, "0 or more"),
        ({"exchanges": 1}, "expected 2 or more"),
        ({"seeds": list(range(6000)), "model": [{"name": "random"}]}, "at most 5,000"),
        ({"data": {**DATA, "split": "fair"}}, "no split 'fair'"),
        ({"data": {**DATA, "split": "time"}}, "needs tested_from"),
        ({"data": {"path": "x"}}, "format is"),
        ({"data": None}, r"no \[data\]"),
        ({"encoders": []}, "no 'encoders'"),
        ({"encoder": [{"id": "nano", "layers": 3}]}, "no 'layers'"),
        ({"encoder": [{"layer": 3}]}, "id is"),
        ({"encoder": [{"id": "nano"}, {"id": "nano"}]}, "named twice"),
    ],
)
def test_what_cannot_be_done_is_said(wrong, sentence):
    with pytest.raises(InputError, match=sentence):
        plan_of({key: value for key, value in {**a_plan(), **wrong}.items() if value is not None}, "any")


@pytest.mark.parametrize("text", ["", "k = ", "[data\n", "\x00", "k = 10\nk = 20\n"])
def test_what_is_no_toml_is_said(tmp_path, text):
    file = tmp_path / "broken.toml"
    file.write_text(text)
    with pytest.raises(InputError):
        read_plan(file)


def test_a_plan_that_was_kept_and_says_what_cannot_be_is_refused():
    plain = as_plain(plan_of(a_plan(), "any"))
    for wrong in ({"models": [{"name": "magic", "settings": {}}]}, {"k": "ten"}, {"data": 3}, {"seeds": None}):
        with pytest.raises((ArtefactMismatchError, InputError)):
            from_plain({**plain, **wrong}, "any")


@pytest.mark.parametrize("name", MODELS)
def test_every_model_can_be_made_with_each_of_its_settings(name):
    if name == "als":
        pytest.importorskip("implicit")
    import numpy as np

    model = MODELS[name]
    known = settings_of(model)
    given = {key: value for key, value in known.items() if isinstance(value, int | float | str) and key != "items"}
    check_settings(name, given)
    points = None if model.points == "none" else np.ones((3, 2))
    made = make(name, given, points, seed=7)
    assert made.name == name
    nested = [getattr(made, each) for each in ("learning",) if hasattr(made, each)]
    seeds = [each.seed for each in [made, *nested] if hasattr(each, "seed")]
    assert seeds == [7] * len(seeds) and bool(seeds) == model.has_chance
