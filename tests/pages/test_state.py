"""A choice outlives its widget: what is asked by `sticky` is in the link, unless it is what nobody has chosen."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest


def ask() -> None:
    """A page of two widgets, one of them behind a box."""
    import streamlit as st

    from pages.shared.app import state

    state.begin()
    st.text(str(state.choices().get("group", "")))  # drawn before what it tells, as links are
    if st.checkbox("Ask", value=True):
        state.sticky(st.selectbox, "Group", options=["work", "performer"], key="group")
        state.sticky(st.multiselect, "Leave out", options=["tempo", "rubato"], key="not")
        state.sticky(st.selectbox, "Encoder", options=["nano", "mel"], key="encoder", default="mel")
        state.sticky(
            st.selectbox, "Library", options=["demo", "music"], key="library", default="music", is_always_in_link=True
        )
    state.write()


def asked(**link: str | list[str]) -> AppTest:
    at = AppTest.from_function(ask)
    for key, value in link.items():
        at.query_params[key] = value
    at.run()
    assert not at.exception
    return at


@pytest.mark.slow
def test_what_nobody_has_chosen_is_not_in_the_link_but_where_it_must_be():
    at = asked()
    assert [box.value for box in at.selectbox] == ["work", "mel", "music"]
    assert at.query_params == {"library": "music"}


def test_links_that_are_drawn_first_carry_what_was_chosen_last():
    at = asked()
    for chosen in ("performer", "work"):
        at.selectbox(key="group").set_value(chosen).run()
        assert at.text[0].value == (chosen if chosen != "work" else "")
        assert at.query_params.get("group", "work") == chosen


def test_a_choice_outlives_a_run_that_does_not_draw_its_widget():
    at = asked()
    at.selectbox(key="group").set_value("performer").run()
    at.checkbox[0].uncheck().run()
    assert at.query_params["group"] == "performer" and not at.selectbox
    at.checkbox[0].check().run()
    assert at.selectbox(key="group").value == "performer"


@pytest.mark.parametrize(("link", "shown"), [({"group": "performer"}, "performer"), ({"group": "genre"}, "work")])
def test_what_a_link_says_is_shown_if_it_is_offered(link, shown):
    assert asked(**link).selectbox(key="group").value == shown


def test_of_a_list_what_is_offered_stays():
    at = asked(**{"not": ["rubato", "genre"]})
    assert at.multiselect(key="not").value == ["rubato"] and at.query_params["not"] == "rubato"


def overtaken() -> None:
    """A page whose widgets return the words of the run before, as they do when one click overtakes another."""
    import streamlit as st

    from pages.shared.app import state

    state.begin()
    group = state.sticky(lambda *_, **__: "#1 an old title", "Group", options=["work", "performer"], key="group")
    left_out = state.sticky(lambda *_, **__: ["tempo", "#1"], "Leave out", options=["tempo", "rubato"], key="not")
    plain = state.offered("#1 an old title", {"a": 1, "b": 2}, "a")
    st.text(f"{group} {left_out} {plain} {state.offered('b', ['a', 'b'], 'a')}")
    state.write()


def test_what_is_not_offered_is_never_an_answer():
    at = AppTest.from_function(overtaken)
    at.query_params["group"] = "performer"
    at.run()
    assert at.text[0].value == "performer ['tempo'] a b"
    assert at.query_params == {"group": "performer", "not": "tempo"}


def in_a_hurry() -> None:
    """A page that says what is in its link when it begins to be drawn; while it is slow, a click overtakes its end."""
    import streamlit as st

    from pages.shared.app import state

    state.begin()
    st.text(str(st.query_params.to_dict()))
    state.sticky(st.selectbox, "Group", options=["work", "performer"], key="group")
    state.sticky(st.multiselect, "Leave out", options=["tempo", "rubato"], key="not")
    if not st.session_state.get("is_slow"):
        state.write()


def test_each_of_two_clicks_is_a_step_for_back_though_one_overtakes_the_other():
    at = AppTest.from_function(in_a_hurry).run()
    at.session_state["is_slow"] = True
    at.selectbox(key="group").set_value("performer").run()
    assert dict(at.query_params) == {}
    at.session_state["is_slow"] = False
    at.multiselect(key="not").set_value(["tempo"]).run()
    assert at.text[0].value == "{'group': 'performer'}"
    assert at.query_params == {"group": "performer", "not": "tempo"}


# --- what a link asks for and cannot have ---------------------------------------------------------------------


def say_odd() -> None:
    """A page of three widgets that says what of its link cannot be."""
    import streamlit as st

    from pages.shared.app import state

    state.begin()
    state.sticky(st.selectbox, "Group", options=["work", "performer"], key="group", format_func=str.title)
    state.sticky(st.multiselect, "Composers", options=["Satie"], key="composers")
    state.sticky(st.selectbox, "Encoder", options=["nano", "mel"], key="encoder", default="mel")
    state.sticky(st.number_input, "Neighbours", 1, 200, key="k")
    for sentence in state.odd():
        st.text(sentence)
    state.write()


def said_of(**link: str | list[str]) -> list[str]:
    at = AppTest.from_function(say_odd)
    for key, value in link.items():
        at.query_params[key] = value
    at.run()
    assert not at.exception
    return [text.value for text in at.text]


@pytest.mark.parametrize(
    ("link", "sentence"),
    [
        ({"k": "foo"}, "k=foo, but only a whole number from 1 to 200 is possible: 10 is taken instead."),
        ({"k": "500"}, "k=500, but only a whole number from 1 to 200 is possible: 10 is taken instead."),
        ({"diversity": "nan"}, "diversity=nan, but only from 0 to 1 is possible: 0 is taken instead."),
        ({"max_per_work": "-1"}, "max_per_work=-1, but only a whole number from 1 to 200 is possible: it is left out."),
        ({"together": "maybe"}, "together=maybe, but only true or false is possible: true is taken instead."),
        ({"not": ["tempo", "foo"]}, "not=foo, which is no aspect: it is left out."),
        ({"foo": "bar"}, "foo=bar, which means nothing here: it is left out."),
        ({"group": "x" * 60}, f"group={'x' * 39}…, which is not here: “Work” is shown instead."),
        ({"composers": ["Satie", "Bach"]}, "composers=Bach, which is not here: it is left out."),
        ({"encoder": "foo"}, "encoder=foo, which is not here: “mel” is shown instead."),
    ],
)
def test_what_a_link_cannot_have_is_said_with_what_is_shown_instead(link, sentence):
    assert said_of(**link) == [f"The link asks for {sentence}"]


def test_of_a_link_that_can_be_had_nothing_is_said():
    assert said_of(k="200", group="performer", composers=["Satie"], together="FALSE", tempo="0.5") == []


def test_it_is_said_until_the_visitor_goes_on():
    """A page that is drawn once more by itself says it still; a choice of the visitor's own ends it."""
    at = AppTest.from_function(say_odd)
    at.query_params["k"] = "foo"
    at.query_params["group"] = "genre"
    at.run()
    assert len(at.text) == 2
    assert len(at.run().text) == 2
    at.selectbox(key="group").set_value("performer").run()
    assert not at.text and at.query_params == {"group": "performer"}
