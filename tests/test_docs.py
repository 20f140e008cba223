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


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as ``make docs`` builds it."""
    target = tmp_path_factory.mktemp("docs") / "site"
    # Not --quiet: it hides warnings from the count that makes a strict build fail.
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(target)]
    surroundings = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONWARNINGS": "default"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False, env=surroundings)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert "WARNING" not in done.stderr
    return target


def test_the_site_builds_and_every_link_leads_somewhere(site: Path) -> None:
    """A page outside of the menu, a dead link or anchor, a name that is gone fails the build."""
    assert "Five minutes" in (site / "index.html").read_text(encoding="utf-8")
    assert (site / "search" / "search_index.js").exists(), "for the search without a server"


def test_no_page_loads_anything_from_another_host(site: Path) -> None:
    """The site works where there is no network: scripts, styles and pictures are its own."""
    for page in site.rglob("*.html"):
        loaded = re.findall(
            r"<(?:script|link|img|iframe)[^>]+(?:src|href)=\S*?(https?://[^\s>\"]+)", page.read_text("utf-8")
        )
        assert loaded == [], page.name


def test_every_public_name_has_its_place_in_the_reference(site: Path) -> None:
    """What ``__all__`` of a public module lists can be looked up; models and types have a page of names."""
    inventory = (site / "objects.inv").read_bytes().split(b"\n", 4)[4]
    known = {line.split(" ", 1)[0] for line in zlib.decompress(inventory).decode().splitlines()}
    named = {f"{module}.{name}" for module in PUBLIC for name in importlib.import_module(module).__all__}
    assert sorted(named - known) == ["monite_async.__version__"]
