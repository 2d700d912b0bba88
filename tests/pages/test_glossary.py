"""One glossary: every term is explained somewhere on a page, and the page of the documentation is made of the same."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from mess_core.glossary import TERMS, define, page

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "pages").rglob("*.py"))


def defined_on(path: Path) -> set[str]:
    """The terms that a file shows the definition of: the arguments of `define`, which are written out."""
    calls = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)]
    of_define = [call for call in calls if getattr(call.func, "id", "") == "define"]
    return {argument.value for call in of_define for argument in call.args}


def test_every_term_is_shown_on_a_page_and_no_other():
    assert set().union(*map(defined_on, PAGES)) == set(TERMS) and len(TERMS) >= 20


def test_the_page_of_the_documentation_is_the_glossary():
    """Made anew by: python -m mess_core.glossary > docs/glossary.md"""
    assert (ROOT / "docs" / "glossary.md").read_text("utf-8") == page()
    assert "docs/glossary.md" in (ROOT / "README.md").read_text("utf-8")


@pytest.mark.parametrize("term", TERMS)
def test_a_definition_is_short_and_does_not_lean_on_itself(term):
    """A sentence or two, which ends, and says what the term is without the term."""
    meaning = TERMS[term]
    assert meaning[0].isupper() and meaning.endswith(".") and len(meaning) <= 160
    assert not meaning.lower().startswith((term.lower(), f"a {term.lower()}", f"the {term.lower()}"))


def test_a_term_that_is_none_is_noticed():
    with pytest.raises(KeyError):
        define("nosuch")
