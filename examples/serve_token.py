"""A web backend hands a user's token to Monite's browser components, which ask for it as they start.

    python examples/serve_token.py                 # asks itself, as a hundred browsers at once
    uvicorn examples.serve_token:app               # the same application behind a real server

``app`` is a plain ASGI application, so it can be mounted in any framework; with one of them it is four lines::

    @app.post("/monite/token")
    async def monite_token(user: SignedInUser) -> dict[str, object]:
        return await token_for(user.monite_user_id)
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

import httpx

from monite_async import AsyncMonite, MoniteError
from monite_async.emulator import Emulator

Message = MutableMapping[str, Any]

monite = AsyncMonite(**Emulator().client_options())  # in earnest: AsyncMonite.from_env()
users: dict[str, str] = {}
"""The id of the entity user behind each session; in earnest it comes from your own database."""


async def token_for(user_id: str) -> dict[str, object]:
    """Return what the browser components ask for; whoever asks at the same time shares one request to Monite."""
    token = await monite.as_user(user_id).token()
    return {"access_token": token.value, "token_type": token.token_type, "expires_in": token.expires_in}


async def app(
    scope: Message, _receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """Answer a signed-in browser with its user's token."""
    cookies = dict(scope["headers"]).get(b"cookie", b"").decode("latin-1")
    user_id = users.get(cookies.removeprefix("session="))
    status = 401
    answer: Mapping[str, object] = {"error": "sign in first"}
    if user_id is not None:
        try:
            status, answer = 200, await token_for(user_id)
        except MoniteError:
            status, answer = 502, {"error": "no token to be had; try again"}
    headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(answer).encode()})


async def hire() -> str:
    """Create an entity with one user, who is signed in as session 1234."""
    entity = await monite.entities.create(
        type="individual",
        email="ann@acme.test",
        address={"country": "DE", "city": "Berlin", "postal_code": "10119", "line1": "Torstr. 1"},
        individual={"first_name": "Ann", "last_name": "Acker"},
    )
    user = await monite.entity(entity.id).entity_users.create(login="ann", first_name="Ann")
    users["1234"] = user.id
    return user.id


async def main() -> None:
    """Ask as a hundred browsers at the same moment, and as one that is not signed in."""
    await hire()
    transport = httpx.ASGITransport(app=app)
    async with monite, httpx.AsyncClient(transport=transport, base_url="http://backend.test") as browser:
        ask = [browser.post("/monite/token", headers={"cookie": "session=1234"}) for _ in range(100)]
        answers = await asyncio.gather(*ask)
        tokens = {answer.json()["access_token"] for answer in answers}
        print(f"{len(answers)} browsers, {len(tokens)} token, good for {answers[0].json()['expires_in']} s")
        print("a stranger gets", (await browser.post("/monite/token")).status_code)


if __name__ == "__main__":
    asyncio.run(main())
