"""Calls that type checkers reject: each of these lines is an error, to mypy and to pyright."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.checkout, pytest.mark.timeout(300)]

ROOT = Path(__file__).resolve().parents[2]

HEAD = """
from monite_async import AsyncMonite, EntityClient, EntityUserClient, UserClient

async def calls(monite: AsyncMonite, acme: EntityClient, ann: EntityUserClient, me: UserClient) -> None:
"""
BAD = {
    "a partner names an entity first": "await monite.payables.list()",
    "a partner has no roles": "await monite.roles.list()",
    "a user cannot make entities": 'await ann.entities.create(type="organization", email="a@b.test")',
    "an entity is managed by the partner": 'await acme.entities.update("e")',
    "only a user is somebody": "await acme.entity_users.get_me()",
    "no entity, no payables": "await me.payables.list()",
    "below another resource, same rule": 'await monite.payables.line_items.list("p")',
    "subscriptions are the partner's": "await acme.webhook_subscriptions.list()",
    "a limit is a number": 'await acme.payables.list(limit="10")',
    "a filter that is not there": "await acme.payables.list(colour=1)",
    "an id is needed": "await acme.payables.get()",
    "an id is text": "await acme.payables.get(5)",
    "both ids are needed": 'await acme.payables.line_items.delete("p")',
    "a field is needed": 'await acme.roles.create(name="payer")',
    "a field that is not there": 'await acme.tags.create(name="x", colour="red")',
    "a needed field is not null": "await acme.tags.create(name=None)",
    "a nested value of the wrong kind": 'await acme.roles.create(name="x", permissions={"objects": 5})',
    "a nested field is needed": 'await acme.counterparts.addresses.create("c", city="Berlin")',
    "a kind of object of its own": (
        'await acme.counterparts.create(body={"type": "individual", "organization": {"legal_name": "A"}})'
    ),
    "a kind of object that is none": 'await acme.counterparts.create(body={"type": "trust"})',
    "money is a whole number": "await acme.payables.create(total_amount=1.5)",
    "a date is no number": "await acme.payables.list(created_at__gt=5)",
    "a file is no number": 'await acme.files.create(file=5, file_type="attachments")',
    "options are an object": 'await acme.payables.list(options={"timeout": 5})',
    "answers are awaited": 'acme.payables.get("p").amount_to_pay',
    "a field of an answer that is not there": '(await acme.payables.get("p")).amout',
    "a field that may be null": '(await acme.payables.get("p")).currency_exchange.default_currency_code',
    "one thing is no list": 'async for _ in acme.payables.get("p"): pass',
    "raw takes the same": "await acme.payables.with_raw_response.get()",
    "raw gives a response": '(await acme.payables.with_raw_response.get("p")).amount_to_pay',
    "a method that is not there": 'await acme.payables.aprove("p")',
    "a resource that is not there": "await acme.payable.list()",
    "arguments have names": 'await acme.tags.create("x")',
}


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All bad calls as one module, a line each."""
    path = tmp_path_factory.mktemp("typing") / "bad_calls.py"
    path.write_text(HEAD + "".join(f"    {line}\n" for line in BAD.values()))
    return path


def _unfound(module: Path, lines: set[int]) -> list[str]:
    """Return the bad calls in whose lines no error was found."""
    first = len(module.read_text().splitlines()) - len(BAD) + 1
    return [what for number, what in enumerate(BAD, first) if number not in lines]


def test_mypy_rejects_each_bad_call(module: Path) -> None:
    """Under --strict, mypy finds an error in every line."""
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), str(module)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    found = {int(number) for number in re.findall(r"bad_calls\.py:(\d+): error", done.stdout)}
    assert _unfound(module, found) == [], done.stdout + done.stderr
    assert done.stderr == ""


def test_pyright_rejects_each_bad_call(module: Path) -> None:
    """Pyright in strict mode finds an error in every line."""
    settings = {
        "include": [str(module.parent)],
        "extraPaths": [str(ROOT), str(ROOT / "stores")],
        "pythonVersion": "3.11",
        "typeCheckingMode": "strict",
        "venvPath": str(Path(sys.prefix).parent),
        "venv": Path(sys.prefix).name,
    }
    (module.parent / "pyrightconfig.json").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "pyright", "--outputjson", "-p", str(module.parent)]
    done = subprocess.run(command, cwd=module.parent, capture_output=True, text=True, check=False)
    told = json.loads(done.stdout)["generalDiagnostics"]
    # Lines are counted from zero there.
    found = {entry["range"]["start"]["line"] + 1 for entry in told if entry["severity"] == "error"}
    assert _unfound(module, found) == [], done.stdout
