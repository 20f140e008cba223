"""The pages of the site tell the truth: all their Python runs, top to bottom, page by page."""

from __future__ import annotations

import ast
import asyncio
import inspect
import os
import re
import subprocess
import sys
import types
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from monite_async import AsyncMonite
from monite_async.emulator import Emulator
from monite_async.permissions import Permissions

pytestmark = pytest.mark.checkout

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
PAGES = sorted(str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md") if PYTHON.search(page.read_text("utf-8")))

Names = dict[str, object]


@asynccontextmanager
async def world() -> AsyncGenerator[Names, None]:
    """What ``index.md`` promises to snippets: a client, an entity, its user, and something to work on."""
    async with Emulator() as emulator, AsyncMonite(**emulator.client_options()) as monite:
        entity = await monite.entities.create(
            type="organization",
            email="ap@acme.test",
            address={"country": "DE", "city": "Berlin", "postal_code": "10119", "line1": "Torstr. 1"},
            organization={"legal_name": "Acme GmbH"},
        )
        acme = monite.entity(entity.id)
        role = await acme.roles.create(name="all", permissions=Permissions.everything().to_dict())
        user = await acme.entity_users.create(login="ann", first_name="Ann", role_id=role.id)
        for number in range(3):
            await acme.payables.create(currency="EUR", total_amount=100, document_id=f"INV-{number}")
        yield {
            "emulator": emulator,
            "monite": monite,
            "acme": acme,
            "ann": acme.as_user(user.id),
            "entity_id": entity.id,
            "user_id": user.id,
        }


def blocks(page: str) -> Iterator[ast.Module]:
    """Return the Python of a page, each block at the line where it stands."""
    text = (DOCS / page).read_text(encoding="utf-8")
    for found in PYTHON.finditer(text):
        above = "\n" * text.count("\n", 0, found.start(1))
        yield compile(
            above + found.group(1), f"docs/{page}", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        )


def is_program(block: ast.Module) -> bool:
    """Whether a block stands for itself and runs a loop of its own."""
    return any(isinstance(node, ast.Attribute) and node.attr == "run" for node in ast.walk(block))


async def run_snippets(page: str) -> None:
    """Run the snippets of a page in order, in one world, as a reader does who types them."""
    async with world() as names:
        for block in blocks(page):
            if is_program(block):
                continue
            code = compile(block, f"docs/{page}", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
            outcome = types.FunctionType(code, names)()
            if inspect.iscoroutine(outcome):
                await outcome


@pytest.mark.parametrize("page", PAGES)
def test_every_block_of_a_page_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs run by themselves; snippets run one after another with the names that the first page promises."""
    monkeypatch.chdir(tmp_path)
    for block in blocks(page):
        if is_program(block):
            exec(compile(block, f"docs/{page}", "exec", dont_inherit=True), {"__name__": "__main__"})
    asyncio.run(run_snippets(page))


def test_there_are_pages() -> None:
    """The pattern finds the code of the pages."""
    assert {"index.md", "scopes-and-tokens.md", "calls.md", "migration.md"} <= set(PAGES)


def test_code_that_cannot_run_is_not_called_python() -> None:
    """A fence is Python, and run, or has no language: nothing is shown as code that nobody checks."""
    languages = {
        language for page in DOCS.rglob("*.md") for language, _ in FENCE.findall(page.read_text(encoding="utf-8"))
    }
    assert languages <= {"python", ""}


def test_the_site_builds_and_every_link_leads_somewhere(tmp_path: Path) -> None:
    """``make docs`` is strict: a page outside of the menu, a dead link or anchor, a name that is gone fails it."""
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(tmp_path / "site")]
    surroundings = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONWARNINGS": "default"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False, env=surroundings)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    front = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert "Five minutes" in front
    assert (tmp_path / "site" / "search" / "search_index.json").exists()
    elsewhere = re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=.?(https?://[^\s>\"]+)", front)
    assert [link for link in elsewhere if "canonical" not in link] == [], "the site loads nothing from elsewhere"
