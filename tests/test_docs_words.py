"""What pages tell people to type exists, and what files of the repository link to is there."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from monite_async._cli import _commands

pytestmark = pytest.mark.checkout

ROOT = Path(__file__).parent.parent
LOOSE = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "examples/README.md", "benchmarks/README.md")
"""What is read in the repository and not on the site, which checks its own links."""
WRITTEN = sorted([*LOOSE, *(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md"))])
CODE = re.compile(r"^```\n(.*?)^```|`([^`\n]+)`", re.MULTILINE | re.DOTALL)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def typed(name: str) -> Iterator[str]:
    """Return the lines that a page shows as code but not as Python."""
    text = (ROOT / name).read_text(encoding="utf-8")
    text = re.sub(r"^```python\n.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    for block, span in CODE.findall(text):
        yield from (block or span).splitlines()


def anchors(path: Path) -> set[str]:
    """Return the anchors that a forge gives to the headings of a file."""
    heads = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


@pytest.mark.parametrize("name", LOOSE)
def test_every_link_of_a_file_in_the_repository_leads_somewhere(name: str) -> None:
    """A link to a file names one that is there, with the heading that it points to."""
    here = ROOT / name
    for link in re.findall(r"\]\(([^)\s]+)\)", here.read_text(encoding="utf-8")):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (here.parent / path).resolve() if path else here
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("name", WRITTEN)
def test_what_a_page_tells_people_to_type_exists(name: str) -> None:
    """Targets of make, extras and groups of pip, modules, files of the repository, and the command with its options."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    extras, groups = PROJECT["project"]["optional-dependencies"], PROJECT["dependency-groups"]
    for line in typed(name):
        for target in re.findall(r"^make ([a-z][a-z-]*)", line):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), line
        for extra in re.findall(r"monite-async\[([a-z0-9,]+)\]", line):
            assert set(extra.split(",")) <= set(extras), line
        for group in re.findall(r"--group (\w+)", line):
            assert group in groups, line
        for module in re.findall(r"\bpython -m ([\w.]+)", line):
            assert importlib.util.find_spec(module), line
        for file in re.findall(r"^(?:examples|benchmarks|scripts|tests|codegen|docs)/[\w./]+$", line):
            assert (ROOT / file).exists(), line
        if found := re.search(r"monite-async ((?:--json )?(?:doctor|token|call|store|emulator)\b.*)", line):
            assert_understood(found.group(1), line)


def assert_understood(words: str, line: str) -> None:
    """Assert that the command knows each sub-command and option of a line."""
    command: click.Command = _commands._cli
    options = {name for option in command.params for name in option.opts}
    for word in re.findall(r"--?[a-z]+\b|\b[a-z]+\b", re.sub(r"'.*?'|\".*?\"|[#|].*", "", words)):
        if isinstance(command, click.Group) and word in command.commands:
            command = command.commands[word]
            options |= {name for option in command.params for name in option.opts}
        elif word.startswith("--"):
            assert word in options, line
