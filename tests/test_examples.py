"""The examples do what they say: each is run as its reader would run it."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from monite_async import ConfigurationError

ROOT = Path(__file__).parents[1]
SAID = {
    "quickstart.py": ["entity  ", "payable INV-1 10000 new", "payable INV-3 30000 new"],
    "serve_token.py": ["100 browsers, 1 token, good for ", "a stranger gets 401"],
    "errors_and_retries.py": [
        "not found: ",
        "not acceptable: body.address, body.email",
        "a read that failed twice: 0 entities, 3 requests",
        "without repeats: status 502 after 1 attempt",
        "a creation is sent 1 time",
        "a call that was limited went through",
        "after the end: ClientClosedError",
    ],
    "own_store.py": ["25 rules kept", "100 calls of two clients, tokens issued: {'client_credentials': 1}"],
    "logging_tokens.py": [
        "WARNING billing.tokens: store_degraded key=all the store is away",
        "INFO billing.tokens: store_recovered key=all",
        'monite_token_events_total{kind="flight_started"} 2',
        'monite_token_events_total{kind="flight_joined"} 198',
    ],
    "plain_httpx.py": ["100 answers, tokens issued: {'client_credentials': 1}"],
}


ELSEWHERE = {
    *("starlette_app.py", "fastapi_app.py", "django_app.py"),
    *("workload.py", "taskiq_jobs.py", "celery_jobs.py", "bulk_export.py"),
}
"""Those that need servers and brokers, and are run by tests/web."""


def run(name: str) -> subprocess.CompletedProcess[str]:
    """Run an example from the root of the project, with warnings as errors and no credentials around."""
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith("MONITE_")}
    command = [sys.executable, "-W", "error", str(ROOT / "examples" / name)]
    return subprocess.run(command, cwd=ROOT, env=surroundings, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("name", SAID)
def test_an_example_runs_without_credentials_and_says_what_it_shows(name: str) -> None:
    """Each example ends well against the emulator, complains of nothing, and prints what it is there to show."""
    done = run(name)
    assert (done.returncode, done.stderr) == (0, "")
    for text in SAID[name]:
        assert text in done.stdout


def test_every_example_is_run_here_or_in_the_test_of_the_demo() -> None:
    """An example that nobody runs is out of date sooner or later: there is none."""
    found = {path.name for path in (ROOT / "examples").iterdir() if not path.name.startswith("__")} - {"README.md"}
    assert found == {*SAID, *ELSEWHERE, "demo"}


async def test_the_quickstart_takes_credentials_from_the_environment_when_there_are_any(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With a client id in the environment the quickstart uses that one, and without it an emulator."""
    from examples.quickstart import connect

    monkeypatch.delenv("MONITE_CLIENT_ID", raising=False)
    async with connect() as emulated:
        assert (await emulated.entities.list()).data == []
    monkeypatch.setenv("MONITE_CLIENT_ID", "not the id of any client")
    with pytest.raises(ConfigurationError, match="MONITE_CLIENT_ID must be a UUID"):
        connect()


def test_the_store_of_ones_own_has_less_than_a_hundred_lines_of_code() -> None:
    """Blank lines and docstrings aside, the class and its two helpers are as short as they claim to be."""
    text = (ROOT / "examples" / "own_store.py").read_text(encoding="utf-8")
    parts = [node for node in ast.parse(text).body if getattr(node, "name", "") in {"SqliteTokenStore", "_box", "_hit"}]
    assert len(parts) == 3
    written = [line for part in parts for line in (ast.get_source_segment(text, part) or "").splitlines()]
    code = [line for line in written if line.strip() and not line.strip().startswith(('"""', "#"))]
    assert len(code) < 100
