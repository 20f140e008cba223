"""``monite-async token`` and ``call``, run as processes against the emulator."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import httpx
import pytest

from monite_async._cli._call import hide, query_of
from monite_async._cli._exits import Stop
from monite_async._cli._output import as_json, duration
from tests.cli.command import Command, commanding
from tests.emulator.drive import PAYABLE_ACTIONS, Driver, permissions


async def prepared(command: Command, http: httpx.AsyncClient) -> tuple[str, str]:
    """Make an entity, and a user who may see payables; return their ids."""
    settings = command.emulator.settings
    driver = Driver(http, settings.client_id, settings.client_secret)
    entity = await driver.make_entity()
    return entity, await driver.make_user("ann", permissions(payable=dict.fromkeys(PAYABLE_ACTIONS, "allowed")))


async def test_a_token_is_shown_by_its_life_and_never_itself_unless_asked(tmp_path: Path) -> None:
    """The first command fetches, the next ones find the token in the store; only ``--reveal`` shows it."""
    async with (
        commanding(store=tmp_path.as_uri()) as command,
        httpx.AsyncClient(base_url=command.env["MONITE_BASE_URL"]) as http,
    ):
        _, user = await prepared(command, http)
        command.emulator.log.clear()
        first = (await command("token", "--json")).data()
        again, revealed, of_user, shown = await asyncio.gather(
            command("--json", "token"),
            command("token", "--json", "--reveal", may_reveal=True),
            command("token", "--json", "--user", user),
            command("token"),
        )
        assert again.data() | {"expires_in": first["expires_in"]} == {**first, "from": "the token store"}
        assert (first["for"], first["from"], first["type"]) == ("partner", "the token endpoint", "Bearer")
        assert 1700 < first["expires_in"] <= first["lifetime"] == 1800
        assert revealed.data()["access_token"].startswith("eyJ")
        assert of_user.data()["for"] == f"entity user {user}"
        assert of_user.data()["fingerprint"] != first["fingerprint"]
        assert f"fingerprint  {first['fingerprint']}\n" in shown.out
        assert "lifetime     30 min\n" in shown.out
        assert command.emulator.log.count("POST", "/auth/token") == 2


async def test_a_call_prints_its_answer_and_its_status(tmp_path: Path) -> None:
    """Scope, query and body go where they belong; the answer is on standard output, about it on standard error."""
    async with (
        commanding(store=tmp_path.as_uri()) as command,
        httpx.AsyncClient(base_url=command.env["MONITE_BASE_URL"]) as http,
    ):
        entity, user = await prepared(command, http)
        body = tmp_path.parent / "tag.json"
        await asyncio.to_thread(body.write_text, '{"name": "from a file"}')
        by_file, by_text, by_pipe, me, whole = await asyncio.gather(
            command("call", "POST", "/tags", "--entity", entity, "--json", f"@{body}"),
            command("call", "post", "/tags", "--entity", entity, "--json", '{"name": "from \\u009b text"}'),
            command("call", "POST", "/tags", "--entity", entity, "--json", "-", stdin=b'{"name": "from a pipe"}'),
            command("call", "GET", "/entity_users/me", "--user", user),
            command("--json", "call", "GET", "/payables", "--entity", entity, "--user", user, "--query", "limit=7"),
        )
        assert [made.status for made in (by_file, by_text, by_pipe, me, whole)] == [0] * 5
        assert by_file.data()["name"] == "from a file"
        assert by_file.err.startswith("status 201, request id ")
        assert (by_text.data()["name"], "\x9b" in by_text.out) == ("from \x9b text", False)
        assert by_pipe.data()["name"] == "from a pipe"
        assert me.data()["id"] == user
        assert (whole.data()["status"], whole.data()["body"]["data"], whole.err) == (200, [], "")
        (logged,) = command.emulator.log.filter("GET", "/payables")
        assert (logged.entity_id, logged.user_id) == (entity, user)


async def test_secrets_of_an_answer_are_hidden_unless_asked(tmp_path: Path) -> None:
    """What the API hands out as a secret is shown with ``--reveal`` only, and it is said which names were hidden."""
    async with commanding(store=tmp_path.as_uri()) as command:
        subscription = json.dumps({"object_type": "payable", "url": "https://acme.test/hook"})
        call = ("call", "POST", "/webhook_subscriptions", "--json", subscription)
        hidden = await command(*call)
        assert (hidden.status, hidden.data()["secret"]) == (0, "<hidden>")
        assert "hidden: secret; --reveal shows" in hidden.err
        assert (await command(*call, "--reveal")).data()["secret"].startswith("whsec_")


async def test_an_answer_that_is_no_json_goes_to_a_file_as_it_is(tmp_path: Path) -> None:
    """Bytes pass unchanged into a pipe, and are refused where a JSON value is promised; no answer prints nothing."""
    async with commanding(store=tmp_path.as_uri()) as command:
        pdf = "%PDF-1.7 \x00 ä"
        command.emulator.fail("GET", "/entities", status=200, body=pdf, times=2)
        process = await command.start("call", "GET", "/entities")
        out, err = await process.communicate()
        assert (out.decode(), b"status 200" in err, process.returncode) == (pdf, True, 0)
        refused = await command("--json", "call", "GET", "/entities")
        assert refused.status == 1
        assert "bytes of" in json.loads(refused.err)["error"]["message"]
        async with httpx.AsyncClient(base_url=command.env["MONITE_BASE_URL"]) as http:
            entity, user = await prepared(command, http)
        gone = await command("call", "DELETE", f"/entity_users/{user}", "--entity", entity)
        assert (gone.status, gone.out, gone.err[:10]) == (0, "", "status 204")


async def test_a_reader_that_has_seen_enough_ends_a_command_quietly(tmp_path: Path) -> None:
    """When standard output is closed by whoever reads it, there is no complaint."""
    async with commanding(store=tmp_path.as_uri()) as command:
        process = await command.start("call", "GET", "/entities")
        assert process.stdout is not None
        process.stdout._transport.close()  # type: ignore[attr-defined]
        _, err = await process.communicate()
        assert b"Error" not in err
        assert process.returncode == 1


@pytest.mark.parametrize("pair", ["novalue", "=x"])
def test_a_query_without_name_or_sign_is_refused(pair: str) -> None:
    """A query parameter is ``name=value``; the value may be empty and hold more signs."""
    assert query_of(["a=1", "a=", "b=x=y"]) == {"a": ["1", ""], "b": ["x=y"]}
    with pytest.raises(Stop, match="name=value"):
        query_of([pair])


def test_hiding_reaches_every_depth_and_leaves_the_rest() -> None:
    """Secrets are found by their names in objects and lists; what is no text, or empty, is left."""
    rest = {"next_pagination_token": "p", "total": 3}
    answer = {"data": [{"token": "x", "name": "n"}, {"secret": ""}, {"token": {"id": 1}}, {"newToken": "y"}], **rest}
    shown = [{"token": "<hidden>", "name": "n"}, {"secret": ""}, {"token": {"id": 1}}, {"newToken": "<hidden>"}]
    assert hide(answer) == ({"data": shown, **rest}, {"token", "newToken"})


def test_lengths_of_time_are_said_in_two_units() -> None:
    """A length of time is told by its two largest units, and nothing is told as nothing."""
    said = {0: "0 s", 59.9: "59 s", 1800: "30 min", 3661: "1 h 1 min", 86_400: "1 d", 90_061: "1 d 1 h"}
    assert {seconds: duration(seconds) for seconds in said} == said


def test_json_for_a_terminal_holds_no_control_characters() -> None:
    """Characters that a terminal obeys are escaped; others stay readable."""
    assert as_json({"näme": "\x1b[31m\x9b\x7f\u2028"}) == '{"näme": "\\u001b[31m\\u009b\\u007f\\u2028"}'
