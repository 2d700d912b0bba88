"""Links that ask for what cannot be: each page says in one sentence what was asked, and what is shown instead."""

from __future__ import annotations

from urllib.parse import parse_qs

import pytest
from streamlit.testing.v1 import AppTest

from tests.pages.conftest import words

PAGES = {
    "Library": "pages/1_Library.py",
    "Layers": "pages/2_Layers.py",
    "Listen": "pages/4_Listen.py",
    "For_You": "pages/7_For_You.py",
    "Study": "pages/8_Study.py",
}


@pytest.fixture
def follow(launch):
    """Follow a link such as `Listen?not=foo` from elsewhere; `query` is put in place of QUERY."""

    def follow(link: str, query: str = "") -> AppTest:
        name, asked = link.split("?")
        at = launch()
        at.query_params.clear()
        for key, values in parse_qs(asked.replace("QUERY", query)).items():
            at.query_params[key] = values
        at = at.switch_page(PAGES[name]).run() if name else at.run()
        assert not at.exception
        return at

    return follow


def said(at: AppTest) -> list[str]:
    return [line.replace("\\", "") for line in words(at).splitlines() if "The link asks for" in line]


@pytest.mark.parametrize(
    ("link", "sentence"),
    [
        ("Library?library=nosuch", "library=nosuch, which is not here: “music” is shown instead."),
        ("Library?extractor=nosuch", "extractor=nosuch, which is not here: “"),
        ("Listen?library=nosuch", "library=nosuch, which is not here: “music” is shown instead."),
        ("Listen?query=QUERY&not=foo", "not=foo, which is no aspect: it is left out."),
        ("Listen?query=QUERY&hearing=foo", "hearing=foo, which is not here: “one encoder: mel” is shown instead."),
        ("Listen?query=QUERY&hearing=hearing:layer:mel:99", "hearing=hearing:layer:mel:99, but Log-mel has no layer"),
        (
            "Listen?query=QUERY&encoder=foo",
            "encoder=foo, which has heard nothing here: “one encoder: mel” listens instead.",
        ),
        ("Listen?query=QUERY&geometry=foo", "geometry=foo, which is not here: “by itself” is shown instead."),
        ("Listen?query=QUERY&order=foo", "order=foo, which is not here: “Nearest first” is shown instead."),
        ("Listen?query=QUERY&hubs=foo", "hubs=foo, which is not here: “auto” is shown instead."),
        ("Listen?query=QUERY&composers=Bach", "composers=Bach, which is not here: it is left out."),
        ("Listen?query=QUERY&where=era: late", "where=era: late, which is not here: it is left out."),
        ("Listen?query=QUERY&heard_as=piano", "heard_as=piano, which is not here: it is left out."),
        ("For_You?library=nosuch", "library=nosuch, which is not here: “music” is shown instead."),
        ("For_You?section=foo", "section=foo, which is no section: quick picks are shown."),
        ("For_You?surprise=2", "surprise=2, but only from 0 to 1 is possible: 0.5 is taken instead."),
        ("For_You?context=foo", "context=foo, which is not here: it is left out."),
        ("For_You?hearing=foo", "hearing=foo, which is not here: “one encoder: mel” is shown instead."),
        ("Layers?layer=99", "layer=99, but Log-mel has only layer 0: it is left out."),
        ("Layers?encoder=foo", "encoder=foo, which is not here: “mel” is shown instead."),
        ("Layers?group=foo", "group=foo, which is not here: “works” is shown instead."),
        ("Layers?level=foo", "level=foo, which is not here: “whole recordings” is shown instead."),
    ],
)
def test_a_link_that_cannot_be_followed_says_what_is_shown_instead(follow, bright, link, sentence):
    lines = said(follow(link, bright[3]))
    assert len(lines) == 1 and sentence in lines[0], lines


def test_an_aspect_that_cannot_be_told_here_is_said_not_to_count(follow, bright):
    at = follow("Listen?query=QUERY&brightness=1&tempo=1&not=rubato", bright[3])
    assert "Tempo and rubato cannot be told here, and do not count." in words(at) and not said(at)


def test_an_order_that_waits_for_words_is_said(follow, bright):
    assert "“Furthest first” waits until it can be." in words(
        follow("Listen?query=QUERY&order=furthest&passage=1:3", bright[3])
    )
