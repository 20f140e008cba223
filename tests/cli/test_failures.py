"""How commands fail: the exit status of each kind, one clear line, no traceback, no secret."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from monite_async import _cli
from monite_async._cli import _commands
from monite_async._cli._exits import Exit
from tests.cli.command import KEYS, PASSWORD, SECRET, commanding

UNKNOWN = "01234567-89ab-cdef-0123-456789abcdef"

Case = tuple[tuple[str, ...], dict[str, str | None], int, str]

REFUSALS: dict[str, Case] = {
    "an unknown command": (("token", "--colour"), {}, Exit.USAGE, "No such option"),
    "a body that is no JSON": (
        ("call", "POST", "/tags", "--json", f'{{"a": "{SECRET}"'),
        {},
        Exit.USAGE,
        "the text is not JSON: Expecting ',' delimiter, line 1",
    ),
    "a body of NaN": (("call", "POST", "/tags", "--json", "NaN"), {}, Exit.USAGE, "the text is not JSON"),
    "a file that is not there": (("call", "POST", "/tags", "--json", "@/no/such"), {}, Exit.USAGE, "No such file"),
    "a path without slash": (("call", "GET", "tags"), {}, Exit.CONFIGURATION, "path must be"),
    "no credentials": (("token",), {"MONITE_CLIENT_ID": None}, Exit.CONFIGURATION, "no credentials"),
    "a store that cannot be": (
        ("store", "list"),
        {"MONITE_TOKEN_STORE": f"redis://:{PASSWORD}@tokens.test/0"},
        Exit.CONFIGURATION,
        "MONITE_TOKEN_STORE: redis would be spoken to without encryption",
    ),
    "a client with such a store": (
        ("token",),
        {"MONITE_TOKEN_STORE": f"cassandra://:{PASSWORD}@tokens.test/0"},
        Exit.CONFIGURATION,
        "MONITE_TOKEN_STORE: unknown token store scheme 'cassandra'",
    ),
    "no store": (("store", "list"), {"MONITE_TOKEN_STORE": None}, Exit.CONFIGURATION, "names no store that processes"),
    "no keyring": (("store", "rotate"), {}, Exit.CONFIGURATION, "MONITE_TOKEN_STORE_KEYS is not set"),
    "a keyring twice the same": (
        ("store", "rotate"),
        {"MONITE_TOKEN_STORE_KEYS": f"{KEYS[0]},{KEYS[0]}"},
        Exit.CONFIGURATION,
        "MONITE_TOKEN_STORE_KEYS: a Keyring must not hold the same key twice",
    ),
    "no record": (("store", "purge", "../etc"), {}, Exit.USAGE, "a record has 32 hex digits"),
    "nothing to purge": (("store", "purge"), {}, Exit.USAGE, "Name records, or say --all"),
    "nobody to ask": (("store", "purge", "--all"), {}, Exit.USAGE, "--all needs --yes"),
}
FAILURES: dict[str, Case] = {
    "a wrong secret": (
        ("token",),
        {"MONITE_CLIENT_SECRET": f"{SECRET}-wrong"},
        Exit.AUTHENTICATION,
        "check client_id and client_secret",
    ),
    "an unknown user": (("token", "--user", UNKNOWN), {}, Exit.AUTHENTICATION, "no token"),
    "nobody there": (("call", "GET", "/x"), {"MONITE_BASE_URL": "http://127.0.0.1:1"}, Exit.NETWORK, "no connection"),
    "a store that is away": (
        ("store", "list"),
        {"MONITE_TOKEN_STORE": f"redis://:{PASSWORD}@127.0.0.1:1/0"},
        Exit.STORE,
        "nothing answers there",
    ),
    "no such object": (("call", "GET", f"/entities/{UNKNOWN}"), {}, Exit.FAILURE, "status 404"),
}


async def test_each_kind_of_failure_has_its_status_and_one_line(tmp_path: Path) -> None:
    """Whatever cannot be done ends with its documented status, says what to look at in one line, and prints no secret."""
    async with commanding(store=tmp_path.as_uri()) as command:

        async def fail(name: str) -> None:
            arguments, env, status, said = FAILURES[name]
            ended = await command(*arguments, env=env)
            assert (ended.status, ended.out) == (status, ""), name
            assert said in ended.error, name

        await asyncio.gather(*map(fail, FAILURES))


@pytest.mark.parametrize("name", REFUSALS)
def test_what_is_wrong_is_said_before_anything_is_sent(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is wrong with the command line or the settings ends with its own status and one line, without a request."""
    arguments, changed, status, said = REFUSALS[name]
    settings = {"MONITE_BASE_URL": "http://127.0.0.1:1", "MONITE_CLIENT_ID": UNKNOWN, "MONITE_CLIENT_SECRET": SECRET}
    for variable, value in {**settings, "MONITE_TOKEN_STORE": tmp_path.as_uri(), **changed}.items():
        monkeypatch.delenv(variable, raising=False) if value is None else monkeypatch.setenv(variable, value)
    monkeypatch.setattr(_commands._output, "json", False)
    assert _cli.main(arguments) == status
    printed = capsys.readouterr()
    assert printed.out == ""
    assert said in printed.err
    assert printed.err.count("\n") == 1
    for canary in (SECRET, PASSWORD, *KEYS):
        assert canary not in printed.err


async def test_failures_are_facts_for_programs(tmp_path: Path) -> None:
    """With ``--json`` a failure is one JSON value on standard error, with status, request id and fields."""
    async with commanding(store=tmp_path.as_uri()) as command:
        ended = await command("--json", "call", "POST", "/entities", "--json", '{"colour": 1}')
        told = json.loads(ended.err)["error"]
        assert (ended.status, ended.out, told["exit"], told["status"]) == (1, "", 1, 422)
        assert told["kind"] == "UnprocessableEntityError"
        assert "body.email" in told["errors"]
        assert len(told["request_id"]) > 30


async def test_an_interrupted_command_says_so_and_leaves(tmp_path: Path) -> None:
    """SIGINT in the middle of a call ends the command with status 130 and a word."""
    async with commanding(store=tmp_path.as_uri()) as command:
        fault = command.emulator.fail("POST", "/auth/token", hold=True)
        process = await command.start("token")
        await fault.holding()
        process.send_signal(signal.SIGINT)
        out, err = await process.communicate()
        assert (process.returncode, out, err.split(b"\n")) == (
            130,
            b"",
            [b"", b"error: interrupted", b""],
        )  # after a ^C
        fault.release()


async def test_a_terminal_is_given_colours_and_questions(tmp_path: Path) -> None:
    """On a terminal JSON is indented and coloured, and dropping everything is asked for; a no changes nothing."""
    async with commanding(store=tmp_path.as_uri()) as command:
        shown, status = await on_a_terminal(command.surroundings({}), "call", "GET", "/entities")
        command.check(shown)
        assert (status, "\x1b[" in shown, "status 200" in shown) == (0, True, True)
        assert '"next_pagination_token"' in shown
        asked, status = await on_a_terminal(command.surroundings({}), "store", "purge", "--all", answer="n\n")
        assert (status, "Drop all tokens of this store? [y/N]" in asked) == (130, True)
        assert [path.suffix for path in tmp_path.iterdir() if path.suffix == ".tok"] == [".tok"]


async def on_a_terminal(env: dict[str, str], *arguments: str, answer: str = "") -> tuple[str, int]:
    """Run a command on a terminal of its own; return what it shows and its exit status."""
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "monite_async", *arguments), stdin=theirs, stdout=theirs, stderr=theirs, env=env
    )
    os.close(theirs)
    os.write(ours, answer.encode())
    shown = await asyncio.to_thread(read_all, ours)
    os.close(ours)
    return shown, await process.wait()


def read_all(terminal: int) -> str:
    """Return all that is written to a terminal until nobody has it open."""
    shown = b""
    while True:
        try:
            part = os.read(terminal, 4096)
        except OSError:  # Linux: when the other side is closed
            part = b""
        if not part:
            return shown.decode()
        shown += part


def test_a_bug_is_one_line_without_what_it_holds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An error that nobody foresaw is told by its kind only: its text may hold anything."""

    def broken(_: object) -> None:
        raise RuntimeError(SECRET)

    monkeypatch.setattr(_commands, "_do", broken)
    monkeypatch.setattr(_commands._output, "json", False)
    with pytest.warns(RuntimeWarning, match="never awaited"):
        assert _cli.main(["token"]) == Exit.FAILURE
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "error: this should not have happened: RuntimeError; please report it, with the command\n"


def test_without_its_libraries_the_command_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who installed the client alone is told which extra has the command."""
    monkeypatch.setattr(_cli, "find_spec", {"click": object()}.get)
    assert _cli.main(["--help"]) == Exit.CONFIGURATION
    assert capsys.readouterr().err == "error: rich not found: pip install 'monite-async[cli]'\n"


def test_help_loads_nothing_heavy() -> None:
    """What only prints help loads neither HTTP, nor models, nor what draws tables."""
    code = (
        "import sys; from monite_async._cli import main; status = main(['store', '--help'])\n"
        "heavy = ('httpx', 'pydantic', 'anyio', 'rich', 'redis', 'monite_async._client', 'monite_async_stores')\n"
        "print(status, [name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "0 []"
    assert "rotate" in done.stdout
