"""The pages of the site tell the truth: all their Python runs, top to bottom, page by page; and the site builds."""

from __future__ import annotations

import ast
import asyncio
import importlib
import inspect
import os
import re
import subprocess
import sys
import types
import zlib
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from monite_async import AsyncMonite
from monite_async.emulator import Emulator

pytestmark = pytest.mark.checkout

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INCLUDED = re.compile(r'--8<-- "examples/(\w+\.py)"\n')
"""A whole example; those are run by the tests of the examples."""
PAGES = sorted(str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md") if PYTHON.search(page.read_text("utf-8")))
PUBLIC = (
    *("monite_async", "monite_async.asgi", "monite_async.emulator", "monite_async.experimental.tesouro"),
    *("monite_async.legacy", "monite_async.otel", "monite_async.permissions", "monite_async.pytest_plugin"),
    *("monite_async.webhooks", "monite_async_stores", "monite_async_stores.testing"),
)

Names = dict[str, object]


@asynccontextmanager
async def world() -> AsyncGenerator[Names, None]:
    """What ``index.md`` promises to snippets: the names that its last block makes."""
    *_, promised = blocks("index.md")
    names: Names = {}
    await run_block(promised, "index.md", names)
    emulator, monite = names["emulator"], names["monite"]
    assert isinstance(emulator, Emulator)
    assert isinstance(monite, AsyncMonite)
    async with emulator, monite:
        yield names


def blocks(page: str) -> Iterator[ast.Module]:
    """Return the Python of a page, each block at the line where it stands."""
    text = (DOCS / page).read_text(encoding="utf-8")
    for found in PYTHON.finditer(text):
        if INCLUDED.fullmatch(found.group(1)):
            continue
        above = "\n" * text.count("\n", 0, found.start(1))
        yield compile(
            above + found.group(1), f"docs/{page}", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        )


def is_program(block: ast.Module) -> bool:
    """Whether a block stands for itself and runs a loop of its own."""
    return any(isinstance(node, ast.Attribute) and node.attr == "run" for node in ast.walk(block))


async def run_block(block: ast.Module, page: str, names: Names) -> None:
    """Run a snippet, which may await."""
    code = compile(block, f"docs/{page}", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    outcome = types.FunctionType(code, names)()
    if inspect.iscoroutine(outcome):
        await outcome


async def run_snippets(page: str) -> None:
    """Run the snippets of a page in order, in one world, as a reader does who types them; and the tests among them."""
    async with world() as names:
        for block in blocks(page):
            if not is_program(block):
                await run_block(block, page, names)
        fixtures = {"monite_client": names["monite"], "monite_emulator": names["emulator"]}
        for name, test in list(names.items()):
            if name.startswith("test_") and inspect.iscoroutinefunction(test):
                await test(**fixtures)


@pytest.mark.parametrize("page", PAGES)
def test_every_block_of_a_page_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs run by themselves; snippets run one after another with the names that the first page promises."""
    monkeypatch.chdir(tmp_path)
    for block in blocks(page):
        if is_program(block):
            exec(compile(block, f"docs/{page}", "exec", dont_inherit=True), {"__name__": "__main__"})
    if page != "index.md":  # its snippet is what the others begin with
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


def test_every_example_is_shown() -> None:
    """The page of examples has each program of the folder, whole."""
    shown = INCLUDED.findall((DOCS / "examples.md").read_text(encoding="utf-8"))
    assert sorted(shown) == sorted(path.name for path in (ROOT / "examples").glob("*.py") if path.stem != "__init__")


def test_code_is_no_wider_than_the_column() -> None:
    """A line of code can be read on the site without being moved: 84 characters fit, on pages with a table of contents."""
    wide = [
        f"{page.name}: {line}"
        for page in DOCS.rglob("*.md")
        if "hide: [toc]" not in (text := page.read_text(encoding="utf-8"))
        for _, code in FENCE.findall(text)
        for line in code.splitlines()
        if len(line) > 84
    ]
    assert wide == []


def build(target: Path) -> None:
    """Build the site as ``make docs`` does; not ``--quiet``, which hides warnings from what makes a strict build fail."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(target)]
    # Its coverage is nobody's, and would take long.
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    surroundings |= {"NO_MKDOCS_2_WARNING": "1", "PYTHONWARNINGS": "default"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False, env=surroundings)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert "WARNING" not in done.stderr


def loaded_from_elsewhere(site: Path) -> list[str]:
    """Return what pages load from other hosts."""
    pattern = re.compile(r"<(?:script|link|img|iframe)[^>]+(?:src|href)=\S*?(https?://[^\s>\"]+)")
    return [link for page in site.rglob("*.html") for link in pattern.findall(page.read_text("utf-8"))]


def not_in_the_reference(site: Path) -> list[str]:
    """Return the public names that cannot be looked up."""
    inventory = (site / "objects.inv").read_bytes().split(b"\n", 4)[4]
    known = {line.split(" ", 1)[0] for line in zlib.decompress(inventory).decode().splitlines()}
    named = {f"{module}.{name}" for module in PUBLIC for name in importlib.import_module(module).__all__}
    return sorted(named - known)


def test_the_site_builds_whole(tmp_path: Path) -> None:
    """No page, link, anchor or name is missing (strict); nothing comes from another host; each public name has a place."""
    site = tmp_path / "site"
    build(site)  # once: it takes six seconds
    assert "Five minutes" in (site / "index.html").read_text(encoding="utf-8")
    assert (site / "search" / "search_index.js").exists(), "for the search without a server"
    assert loaded_from_elsewhere(site) == []
    assert not_in_the_reference(site) == ["monite_async.__version__"]
