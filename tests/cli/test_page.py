"""``docs/cli.md`` tells the truth of the command."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from monite_async._cli import _commands
from monite_async._cli._exits import Exit

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"


@pytest.mark.checkout
def test_the_page_lists_every_command_and_status() -> None:
    """What the command has and what its page says of it are the same: commands, options, statuses."""
    page = PAGE.read_text("utf-8")
    rows = re.findall(r"^\| (\d+) \| (.*) \|$", page, re.MULTILINE)
    assert [int(status) for status, _ in rows] == [int(status) for status in Exit]
    assert set(re.findall(r"^\| `monite-async (\w+(?: [a-z]+)?)", page, re.MULTILINE)) == set(commands(_commands._cli))
    for option in ("--entity", "--user", "--query", "--json", "--reveal", "--all", "--yes", "--wire"):
        assert option in page


def commands(group: click.Command, before: str = "") -> list[str]:
    """Return the names of all commands below one."""
    if not isinstance(group, click.Group):
        return [before.strip()]
    return [name for part, one in group.commands.items() for name in commands(one, f"{before} {part}")]
