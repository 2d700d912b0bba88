"""The documentation as pages: what is public is in it, nothing is left out, no page asks anything of another host."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

import mess_core

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"


def test_all_that_is_public_is_in_the_api():
    page = (DOCS / "api.md").read_text("utf-8")
    for name in mess_core.__all__:
        assert re.search(rf"^::: {re.escape(getattr(mess_core, name).__module__)}\.{name}$", page, re.MULTILINE), name


def test_every_document_is_in_the_menu():
    menu = set(re.findall(r": ([\w-]+\.md)$", (ROOT / "mkdocs.yml").read_text("utf-8"), re.MULTILINE))
    assert menu == {path.name for path in DOCS.glob("*.md")}


class Asked(HTMLParser):
    """What a page loads by itself: not what it links to."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "link" and found.get("rel") in {"canonical", "next", "prev", "edit"}:
            return
        name = {"link": "href", "script": "src", "img": "src", "iframe": "src", "source": "src"}.get(tag)
        if name and (address := found.get(name)):
            self.addresses.append(address)


@pytest.mark.slow
def test_the_pages_are_built_and_ask_nobody(tmp_path):
    """Strictly, so that a link or a name that is not there fails; what each page loads lies beside it."""
    pytest.importorskip("mkdocs", reason="mkdocs is not installed (requirements-dev.txt)")
    source = tmp_path / "source"
    source.mkdir()
    shutil.copy(ROOT / "mkdocs.yml", source)
    for folder in ("docs", "mess_core"):
        shutil.copytree(ROOT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__", "*.safetensors"))
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    built = subprocess.run(command, cwd=source, capture_output=True, text=True, timeout=300)
    assert built.returncode == 0, built.stdout + built.stderr
    pages = sorted((tmp_path / "site").glob("*.html"))
    assert {path.with_suffix("").name for path in DOCS.glob("*.md")} <= {page.stem for page in pages}
    for page in pages:
        asked = Asked()
        asked.feed(page.read_text("utf-8"))
        local = [address.split("?")[0].split("#")[0] for address in asked.addresses if not address.startswith("data:")]
        assert local and not [address for address in local if re.match(r"(\w+:)?//", address)], page.name
        for address in local if page.stem != "404" else ():  # which is asked for from anywhere
            assert (page.parent / address).exists(), (page.name, address)
    for style in (tmp_path / "site" / "assets" / "stylesheets").glob("*.css"):
        assert not re.search(r"(@import|url\()\s*[\"']?(https?:)?//", style.read_text("utf-8")), style.name
    assert 'id="mess_core.library.Library.similar"' in (tmp_path / "site" / "api.html").read_text("utf-8")
