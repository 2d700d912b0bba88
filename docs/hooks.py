"""What the pages of the documentation are not: links that lead out of docs/ name the file of the repository instead.

On a code host they lead there; among the built pages there is no such file.
"""

from __future__ import annotations

import re
from typing import Any

OUT = re.compile(r"\[([^\]]+)\]\(\.\./([^)#]+)(?:#[^)]*)?\)")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Called by mkdocs for each page.

    Examples
    --------
    >>> on_page_markdown("by [training](../training/README.md), see [taste](taste.md)")
    'by training (`training/README.md`), see [taste](taste.md)'
    """
    return OUT.sub(r"\1 (`\2`)", markdown)
