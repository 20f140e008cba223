"""What a command reads and writes: streams that are closed, full or of another encoding, and answers made to do harm."""

from __future__ import annotations

import asyncio
import io
import json
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from monite_async import _cli, models
from monite_async._cli import _commands
from monite_async._cli._call import hide, read_answer
from monite_async._cli._exits import Exit
from monite_async._cli._output import Output, as_json, open_streams
from monite_async.emulator import Emulator, EmulatorSettings, listen

Run = Callable[..., int]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Return what runs a command in this process, with a client of nowhere and an empty token store of files."""
    settings = Emulator().settings
    monkeypatch.setenv("MONITE_BASE_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("MONITE_CLIENT_ID", settings.client_id)
    monkeypatch.setenv("MONITE_CLIENT_SECRET", settings.client_secret)
    monkeypatch.setenv("MONITE_TOKEN_STORE", tmp_path.as_uri())
    monkeypatch.setattr(_commands._output, "json", False)
    return lambda *arguments: _cli.main(arguments)


@pytest.fixture
async def emulator(run: Run, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Emulator]:
    """Serve an emulator to the commands."""
    emulator = Emulator()
    async with listen(emulator) as base_url:
        monkeypatch.setenv("MONITE_BASE_URL", base_url)
        yield emulator


class Terminal(io.TextIOWrapper):
    """A stream of bytes that is, or is not, a terminal."""

    def __init__(self, encoding: str = "utf-8", *, is_terminal: bool = False) -> None:
        super().__init__(io.BytesIO(), encoding=encoding)
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal

    @property
    def shown(self) -> str:
        """All that was written."""
        self.flush()
        buffer: Any = self.buffer
        return str(buffer.getvalue().decode(self.encoding))


def test_what_a_process_was_started_without_leads_nowhere(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A closed standard input is an empty one, and closed outputs swallow what is said: nothing fails for that."""
    monkeypatch.setattr(sys, "stdin", None)
    assert run("call", "POST", "/tags", "--json", "-") == Exit.USAGE
    assert "standard input is not JSON" in capsys.readouterr().err
    sys.stdin.close()
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    assert run("store", "list") == Exit.OK
    for stream in (sys.stdout, sys.stderr):
        stream.close()


def test_streams_that_are_there_are_left(capsys: pytest.CaptureFixture[str]) -> None:
    """Only what is missing is opened."""
    before = sys.stdin, sys.stdout, sys.stderr
    open_streams()
    assert (sys.stdin, sys.stdout, sys.stderr) == before


def test_a_full_disk_is_told_as_that(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What cannot be written is a failure in one line, and is not tried again when the process ends."""
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert run("store", "list") == Exit.FAILURE
        monkeypatch.undo()
    assert capsys.readouterr().err == "error: standard output: No space left on device\n"


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--port", "70000", "70000 is no port: 0 to 65535"),
        ("--settings", "[]", "it must be a JSON object"),
        ("--settings", '"\udcff"', "error: "),
    ],
)
def test_the_emulator_refuses_what_it_cannot_be_told(
    option: str, value: str, said: str, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """A port that there is none, and settings that are no object, are mistakes of usage, not failures to listen."""
    assert run("emulator", option, value) == Exit.USAGE
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [(), ("store",), ("--json",)])
def test_a_command_that_is_missing_is_asked_for(
    arguments: tuple[str, ...], run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """Half a command is a mistake of usage in one line, whatever version of click there is."""
    assert run(*arguments) == Exit.USAGE
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n"), "Missing command. Try --help." in said.err) == ("", 1, True)


def test_an_interruption_while_modules_are_loaded_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C in the first moments ends a command as it does later."""

    class Interrupting:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "monite_async._cli._commands":
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "monite_async._cli._commands")
    monkeypatch.setattr(sys, "meta_path", [Interrupting(), *sys.meta_path])
    assert _cli.main(["token"]) == Exit.INTERRUPTED
    assert capsys.readouterr().err == "error: interrupted\n"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_output_fits_the_encoding_of_its_stream(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Letters that an encoding lacks are written as escapes, in JSON as JSON's, so that every program can read it."""
    value = {"name": "Zoë → 日本", "half a pair": "\ud83d"}
    out = Terminal(encoding)
    monkeypatch.setattr(sys, "stdout", out)
    output = Output()
    output.result([], [{"found": "Zoë → \x1b]0;x\x07\x9b31m"}])
    output.json = True
    output.result(value, [])
    table, data = out.shown.splitlines()[-2:]
    assert json.loads(data) == value
    assert ("Zoë" in table, "→" in table) == (encoding != "ascii", encoding == "utf-8")
    assert not {"\x1b", "\x9b", "\x07"} & set(table)


def test_json_on_a_terminal_holds_nothing_that_a_terminal_obeys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Indented for people it is the same JSON, its control characters escaped, also those above ASCII."""
    out = Terminal(is_terminal=True)
    monkeypatch.setattr(sys, "stdout", out)
    for name, value in {"TERM": "dumb", "NO_COLOR": "1"}.items():
        monkeypatch.setenv(name, value)
    Output().data({"näme": "\x9b31m \x1b[0m"})
    assert out.shown == '{\n  "näme": "\\u009b31m \\u001b[0m"\n}\n'


def test_a_table_is_folded_no_further_than_it_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal of a few columns a table keeps its words: the terminal breaks its lines."""
    out = Terminal(is_terminal=True)
    monkeypatch.setattr(sys, "stdout", out)
    for name, value in {"TERM": "dumb", "COLUMNS": "3"}.items():
        monkeypatch.setenv(name, value)
    Output().result({}, [{"": "ok", "check": "versions", "found": "Python"}], columns=False)
    assert out.shown == "ok  versions  Python\n"


def test_a_number_that_json_cannot_have_becomes_null() -> None:
    """A server may answer with NaN or with more than a float holds: what is printed is JSON all the same."""
    answer = b'{"a": NaN, "b": [1e999, -Infinity], "c": 1.5, "d": 12345678901234567890}'
    assert read_answer(answer) == {"a": None, "b": [None, None], "c": 1.5, "d": 12345678901234567890}
    assert read_answer(b"") is None


async def test_what_is_nested_too_deeply_is_told_as_that(
    run: Run, emulator: Emulator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A body or an answer of a hundred thousand brackets is one line, not a bug."""
    deep = tmp_path.parent / "deep.json"
    deep.write_text("[" * 100_000 + "]" * 100_000)
    assert await asyncio.to_thread(run, "call", "POST", "/tags", "--json", f"@{deep}") == Exit.USAGE
    assert "nested too deeply" in capsys.readouterr().err
    emulator.fail("GET", "/entities", status=200, body="[" * 100_000 + "]" * 100_000)
    assert await asyncio.to_thread(run, "call", "GET", "/entities") == Exit.FAILURE
    said = capsys.readouterr()
    assert (said.out, "nested too deeply" in said.err) == ("", True)


def test_every_secret_of_an_answer_that_the_models_know_is_hidden() -> None:
    """What models keep out of their ``repr`` the command hides too."""
    secrets = {
        name
        for model in (getattr(models, one) for one in models.__all__)
        for name, field in getattr(model, "model_fields", {}).items()
        if not field.repr
    }
    assert secrets
    assert hide(dict.fromkeys(secrets, "canary")) == (dict.fromkeys(secrets, "<hidden>"), secrets)


async def test_a_token_that_no_store_keeps_is_said_to_be_ones_own(
    run: Run, emulator: Emulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the store away there is a token all the same, and a word on what is wrong with the store."""
    monkeypatch.setenv("MONITE_TOKEN_STORE", "redis://:canary-password@127.0.0.1:1")
    assert await asyncio.to_thread(run, "token") == Exit.OK
    said = capsys.readouterr()
    assert "shared with nobody; the token store: redis did not answer" in said.err
    assert "canary" not in said.out + said.err


def test_json_fits_an_encoding_only_if_it_has_to() -> None:
    """Letters stay readable where they can be written."""
    assert (as_json("ä"), as_json("ä", encoding="ascii"), as_json("\ud800")) == ('"ä"', '"\\u00e4"', '"\\ud800"')


async def test_the_command_speaks_the_other_wire(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """``--wire``, or the variable, chooses the platform; a user's token takes a JWT that no command can mint."""
    async with listen(Emulator(EmulatorSettings(dialect="finops"))) as base_url:
        monkeypatch.setenv("MONITE_BASE_URL", base_url)
        assert await asyncio.to_thread(run, "call", "--wire", "finops", "GET", "/entities") == Exit.OK
        assert json.loads(capsys.readouterr().out)["data"] == []
        monkeypatch.setenv("MONITE_WIRE", "finops")
        assert await asyncio.to_thread(run, "token", "--user", "ann") == Exit.AUTHENTICATION
        assert "finops(subject_token=...)" in capsys.readouterr().err
        assert await asyncio.to_thread(run, "doctor", "--json") == Exit.OK
        found = {one["check"]: one for one in json.loads(capsys.readouterr().out)["findings"]}
        assert (found["configuration"]["state"], found["first call"]["state"]) == ("warn", "ok")
        assert "experimental" in found["configuration"]["advice"]
        monkeypatch.setenv("MONITE_WIRE", "monite")
        monkeypatch.delenv("MONITE_TOKEN_STORE")
        assert await asyncio.to_thread(run, "token") == Exit.AUTHENTICATION
    monkeypatch.setenv("MONITE_WIRE", "carrier pigeon")
    assert run("token") == Exit.USAGE
