"""The pages on webhooks, web backends and workers: their code is that of the examples, or runs as it stands."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = ["webhooks.md", "web-backends.md", "workers.md"]

pytestmark = pytest.mark.checkout


@pytest.mark.parametrize("page", PAGES)
def test_code_is_of_the_examples_or_runs(page: str) -> None:
    """A block that imports something is run; any other stands in an example, word for word."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    examples = [path.read_text(encoding="utf-8") for path in (ROOT / "examples").glob("*.py")]
    blocks: list[str] = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert blocks
    for block in blocks:
        if block.startswith("from "):
            exec(compile(textwrap.dedent(block), page, "exec"), {})
        else:
            assert [one for one in examples if block in one], block


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    """Every file that a page links to is there."""
    links: list[str] = re.findall(r"\]\(([^)#]+)\)", (ROOT / "docs" / page).read_text(encoding="utf-8"))
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []
