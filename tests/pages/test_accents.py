"""The colours of the musical dimensions: each target and aspect has one, they differ, and they can be seen."""

import re

import pytest

from mess_core.probing.aspects import ASPECTS
from mess_core.targets.registry import OWN, TARGETS
from pages.shared.app.page import LOGO
from pages.shared.widgets.accents import ACCENTS, GREY, Accent, accent_of_aspect, accent_of_dimension, accent_of_target

LIGHT, DARK = "#fcfcfd", "#12151d"  # the pages' own, in .streamlit/config.toml


def contrast(one: str, other: str) -> float:
    """WCAG 2: (lighter + .05) / (darker + .05), of relative luminances."""

    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize(("theme", "page"), [("light", LIGHT), ("dark", DARK)])
@pytest.mark.parametrize("name", ["mark", "logo"])
def test_the_logo_is_drawn_in_the_accents_and_can_be_seen(name, theme, page):
    """Five bars, each in another accent of its theme; no font, no script, nothing from elsewhere."""
    text = (LOGO / f"{name}-{theme}.svg").read_text("utf-8")
    bars = re.findall(r'<rect [^>]*fill="(#[0-9a-f]{6})"', text)
    assert len(bars) == len(set(bars)) == 5 and set(bars) <= {getattr(each, theme) for each in ACCENTS.values()}
    assert all(contrast(colour, page) >= 3 for colour in re.findall(r'(?:fill|stroke)="(#[0-9a-f]{6})"', text))
    assert not re.search("<text|<script|<image|href|url", text) and len(text) < 2500


def test_every_dimension_of_a_target_has_a_colour_of_its_own():
    dimensions = {target.dimension for target in TARGETS.values()}
    assert dimensions | {OWN} == set(ACCENTS)
    for values in ([each.light for each in ACCENTS.values()], [each.dark for each in ACCENTS.values()]):
        assert len(set(values)) == len(values)


@pytest.mark.parametrize("dimension", ACCENTS)
def test_a_shape_in_it_stands_out_from_the_page(dimension):
    """WCAG 1.4.11 asks for 3:1 of what is no text."""
    assert contrast(ACCENTS[dimension].light, LIGHT) >= 3
    assert contrast(ACCENTS[dimension].dark, DARK) >= 3


@pytest.mark.parametrize(
    ("aspect", "dimension"),
    [("brightness", "timbre"), ("rhythmic_energy", "rhythm"), ("legato", "articulation"), ("rubato", "expression")],
)
def test_an_aspect_has_the_colour_of_what_measures_it(aspect, dimension):
    assert accent_of_aspect(aspect) == ACCENTS[dimension]
    assert {accent_of_target(target) for target in ASPECTS[aspect]} == {ACCENTS[dimension]}


def test_what_is_not_ours_is_grey():
    assert accent_of_target("difficulty") == accent_of_dimension("another's") == accent_of_aspect("nobody's") == GREY


@pytest.mark.parametrize(("theme", "shown"), [("light", "#000000"), ("dark", "#ffffff"), (None, "#000000")])
def test_it_follows_the_theme(monkeypatch, theme, shown):
    class Context:
        theme = type("Theme", (), {"type": None})()

    Context.theme.type = theme
    monkeypatch.setattr("streamlit.context", Context)
    assert Accent("#000000", "#ffffff").now == shown
