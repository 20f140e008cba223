"""A plain ``httpx`` user of the emulator: the tests of the emulator know nothing of this project's client."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import TypedDict, Unpack, cast

import httpx

from monite_async.emulator import Emulator, EmulatorSettings

VERSION = "2024-05-25"
ADDRESS = {"city": "Berlin", "country": "DE", "line1": "Torstr. 1", "postal_code": "10119"}
ORGANIZATION = {
    "type": "organization",
    "email": "ap@acme.test",
    "address": ADDRESS,
    "organization": {"legal_name": "Acme"},
}
PAYABLE_ACTIONS = ("create", "read", "update", "delete", "pay", "approve", "cancel", "submit", "reopen")

Json = dict[str, object]
Query = Mapping[str, "str | int | list[str]"]


class Options(TypedDict, total=False):
    """The options of ``Driver.send``."""

    user: str | None
    entity: str | None
    version: str | None
    query: Query | None
    file: tuple[str, bytes, str] | None


def permissions(**objects: Mapping[str, str]) -> dict[str, object]:
    """Return permissions: ``payable={"read": "allowed"}``."""
    return {
        "objects": [
            {
                "object_type": kind,
                "actions": [{"action_name": name, "permission": value} for name, value in actions.items()],
            }
            for kind, actions in objects.items()
        ]
    }


class Driver:
    """Calls the emulator as the partner or as an entity user, getting tokens as it needs them."""

    def __init__(self, http: httpx.AsyncClient, client_id: str, client_secret: str) -> None:
        self.http = http
        self.credentials = {"client_id": client_id, "client_secret": client_secret}
        self.entity_id = ""
        self._tokens: dict[str | None, str] = {}

    async def grant(self, user_id: str | None = None, **changes: object) -> httpx.Response:
        """Ask for a token."""
        body: dict[str, object] = {**self.credentials, "grant_type": "entity_user" if user_id else "client_credentials"}
        if user_id is not None:
            body["entity_user_id"] = user_id
        return await self.http.post("/auth/token", json={**body, **changes}, headers={"x-monite-version": VERSION})

    async def token(self, user_id: str | None = None) -> str:
        """Return a token of the partner or of a user; always the same one until ``forget``."""
        if user_id not in self._tokens:
            response = await self.grant(user_id)
            assert response.status_code == 200, response.text
            self._tokens[user_id] = str(response.json()["access_token"])
        return self._tokens[user_id]

    def forget(self) -> None:
        """Forget all tokens."""
        self._tokens.clear()

    async def send(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        user: str | None = None,
        entity: str | None = "",
        version: str | None = VERSION,
        query: Query | None = None,
        file: tuple[str, bytes, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Make one call; ``entity=""`` means the driver's own entity, None no header at all."""
        sent = {"authorization": f"Bearer {await self.token(user)}"}
        if version is not None:
            sent["x-monite-version"] = version
        named = self.entity_id if entity == "" else entity
        if named:
            sent["x-monite-entity-id"] = named
        return await self.http.request(
            method,
            path,
            json=body,
            params=cast("dict[str, str]", query),
            files=None if file is None else {"file": file},
            headers={**sent, **(headers or {})},
        )

    async def ask(
        self, method: str, path: str, body: object = None, *, expect: int = 200, **options: Unpack[Options]
    ) -> Json:
        """Make one call that must be answered with a status, and return the JSON of the answer."""
        response = await self.send(method, path, body, **options)
        assert response.status_code == expect, f"{method} {path}: {response.status_code} {response.text}"
        return cast("Json", response.json() if response.content else {})

    async def make_entity(self, **changes: object) -> str:
        """Create an entity and return its id; the first one becomes the driver's own."""
        entity = await self.ask("POST", "/entities", {**ORGANIZATION, **changes}, expect=201, entity=None)
        self.entity_id = self.entity_id or str(entity["id"])
        return str(entity["id"])

    async def make_user(self, login: str, granted: Mapping[str, object] | None = None) -> str:
        """Create an entity user with a role of its own and return its id."""
        body: dict[str, object] = {"login": login, "first_name": login.title()}
        if granted is not None:
            role = await self.ask("POST", "/roles", {"name": f"role of {login}", "permissions": granted}, expect=201)
            body["role_id"] = role["id"]
        return str((await self.ask("POST", "/entity_users", body))["id"])

    async def make_tag(self, name: str = "urgent") -> str:
        """Create a tag and return its id."""
        return str((await self.ask("POST", "/tags", {"name": name}, expect=201))["id"])

    async def make_payable(self, user: str | None = None, **fields: object) -> str:
        """Create a complete payable and return its id."""
        body = {"currency": "EUR", "total_amount": 10_000, **fields}
        return str((await self.ask("POST", "/payables", body, user=user))["id"])


@asynccontextmanager
async def driving(settings: EmulatorSettings | None = None) -> AsyncGenerator[tuple[Emulator, Driver], None]:
    """Give a fresh emulator and a driver for it, one entity created."""
    async with Emulator(settings) as emulator:
        options = emulator.client_options()
        async with httpx.AsyncClient(transport=emulator.transport, base_url=options["base_url"]) as http:
            driver = Driver(http, options["client_id"], options["client_secret"])
            await driver.make_entity()
            yield emulator, driver


def message(response: httpx.Response) -> str:
    """Return the message of an error in the API's own shape."""
    return str(response.json()["error"]["message"])


def locations(response: httpx.Response) -> list[tuple[object, ...]]:
    """Return where a validation error found faults."""
    details = cast("list[dict[str, list[object]]]", response.json()["detail"])
    return [tuple(entry["loc"]) for entry in details]


def ids(page: Json) -> list[str]:
    """Return the ids on a page."""
    return [str(entry["id"]) for entry in cast("list[Json]", page["data"])]
