"""The command line: names, options and help; what a command does is imported when it runs."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Coroutine
from typing import Any

import click

from monite_async._cli._exits import Exit, Stop, failure_of
from monite_async._cli._output import Output, open_streams
from monite_async._version import __version__

__all__ = ["run"]

_output = Output()
"""One per process: a command runs once."""


def _set_json(context: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        _output.json = True


_json = click.option(
    "--json", is_flag=True, expose_value=False, callback=_set_json, help="Print JSON, one value, for programs."
)
_wire = click.option(
    "--wire",
    type=click.Choice(["monite", "finops"]),
    default="monite",
    envvar="MONITE_WIRE",
    show_default=True,
    show_envvar=True,
    help="The platform; finops, Tesouro's, is experimental.",
)


@click.group(
    name="monite-async",
    no_args_is_help=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Credentials and settings come from the environment: MONITE_CLIENT_ID, MONITE_CLIENT_SECRET, "
    "MONITE_ENVIRONMENT or MONITE_BASE_URL, MONITE_API_VERSION, MONITE_TOKEN_STORE, MONITE_TOKEN_STORE_KEYS, "
    "MONITE_WIRE. "
    "Exit status: 0 ok, 1 failure, 2 usage, 3 configuration, 4 authentication, 5 network, 6 token store.",
)
@click.version_option(__version__, prog_name="monite-async")
@_json
def _cli() -> None:
    """Look after a client of the Monite API: its settings, its tokens, its token store."""


def _do(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


@_cli.command(short_help="Look at everything that calls need.")
@_json
@_wire
@click.option("--timeout", type=click.FloatRange(0.1, 300), default=10.0, show_default=True, help="Seconds per look.")
def doctor(wire: str, timeout: float) -> None:
    """Look at configuration, network, clock, store, token and limit; say what to do."""
    from monite_async._cli._doctor import doctor as work

    _do(work(_output, wire=wire, limit=timeout))


@_cli.command()
@_json
@_wire
@click.option("--user", metavar="ID", help="The token of this entity user instead of the partner's.")
@click.option("--reveal", is_flag=True, help="Show the token itself, too: whoever reads it can use it.")
def token(wire: str, user: str | None, reveal: bool) -> None:
    """Show how long a token lives and what tells it from others."""
    from monite_async._cli._call import token as work

    _do(work(_output, wire=wire, user=user, reveal=reveal))


@_cli.command(short_help="Make one call and print its answer.")
@click.argument("method")
@click.argument("path")
@_wire
@click.option("--entity", metavar="ID", help="For this entity.")
@click.option("--user", metavar="ID", help="With the token of this entity user.")
@click.option("--query", metavar="NAME=VALUE", multiple=True, help="A query parameter; may be given again.")
@click.option("--json", "body", metavar="TEXT|@FILE|-", help="The body, as JSON: text, a file, or standard input.")
@click.option("--reveal", is_flag=True, help="Show secrets in the answer, too.")
def call(
    method: str,
    path: str,
    wire: str,
    entity: str | None,
    user: str | None,
    query: tuple[str, ...],
    body: str | None,
    reveal: bool,
) -> None:
    """Make one call, such as: call GET /payables --entity ID --query limit=5.

    The answer goes to standard output, its status to standard error; `monite-async --json call ...` prints both as one
    value.
    """
    from monite_async._cli._call import call as work
    from monite_async._cli._call import query_of, read_body

    value = None if body is None else read_body(body)
    where = {"entity": entity, "user": user}
    _do(work(_output, method, path, wire=wire, **where, query=query_of(query), body=value, reveal=reveal))


@_cli.group(no_args_is_help=False, short_help="Look into the token store, never at a token.")
def store() -> None:
    """Look into the token store that MONITE_TOKEN_STORE names; never at a token."""


@store.command(name="list")
@_json
def list_() -> None:
    """List the tokens: record, generation, life, id of the sealing key."""
    from monite_async._cli._store import list_records

    _do(list_records(_output))


def _record_names(_: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    if not all(re.fullmatch("[0-9a-f]{32}", name) for name in value):
        raise click.BadParameter("a record has 32 hex digits, as `store list` and `token` show it", param=parameter)
    return value


@store.command()
@_json
@click.argument("records", nargs=-1, metavar="[RECORD]...", callback=_record_names)
@click.option("--all", "everything", is_flag=True, help="All records of the namespace.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def purge(records: tuple[str, ...], everything: bool, yes: bool) -> None:
    """Drop records in every process that shares the store; the next call fetches a new token."""
    if bool(records) == everything:
        raise click.UsageError("Name records, or say --all.")
    if everything and not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("--all needs --yes where nobody can be asked.")
        click.confirm("Drop all tokens of this store?", abort=True, err=True)
    from monite_async._cli._store import purge as work

    _do(work(_output, records))


@store.command()
@_json
def rotate() -> None:
    """Seal every token anew with the first key of MONITE_TOKEN_STORE_KEYS."""
    from monite_async._cli._store import rotate as work

    _do(work(_output))


@_cli.command(
    short_help="Run a Monite on this machine.",
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def emulator(arguments: tuple[str, ...]) -> None:
    """Run a Monite on this machine; options as of `python -m monite_async.emulator`."""
    from monite_async.emulator.__main__ import main

    raise SystemExit(main(arguments))


def run(arguments: list[str]) -> int:
    """Run a command and return its exit status; whatever happens is one line, and never a traceback."""
    open_streams()
    try:
        _cli.main(arguments, standalone_mode=False)
    except (KeyboardInterrupt, click.Abort):
        _output.error(Exit.INTERRUPTED, "interrupted", {})
        return Exit.INTERRUPTED
    except SystemExit as exc:  # of the emulator, or of click, when whoever read the output has seen enough
        return exc.code if isinstance(exc.code, int) else Exit.FAILURE
    except Exception as exc:  # noqa: BLE001 - a traceback may show secrets, and helps no user
        code, message, facts = _failure(exc)
        _output.error(code, message, facts)
        return code
    return Exit.OK


def _failure(exc: Exception) -> tuple[Exit, str, dict[str, object]]:
    if isinstance(exc, click.ClickException):
        hint = " Try --help." if isinstance(exc, click.UsageError) else ""
        return Exit.USAGE, exc.format_message() + hint, {}
    if isinstance(exc, Stop):
        return exc.code, str(exc), {}
    if isinstance(exc, RecursionError):  # what is typed and what is answered is all that is walked through
        return Exit.FAILURE, "this JSON is nested too deeply to be sent or shown", {}
    return failure_of(exc)
