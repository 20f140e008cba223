"""FastAPI: one client per process, a scope per request as a dependency, the token endpoint, and webhooks.

uvicorn examples.fastapi_app:app --workers 4            # with the environment of starlette_app.py
"""

from __future__ import annotations

import os
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Request
from pydantic import BaseModel
from starlette.middleware.sessions import SessionMiddleware
from starlette.routing import Route

from monite_async import AsyncMonite, EntityUserClient
from monite_async.asgi import Scope, TokenEndpoint, lifespan
from monite_async.webhooks import PayableEvent, Receiver, StoreReplayGuard
from monite_async_stores import store_from_url

store = store_from_url(os.environ["MONITE_TOKEN_STORE"])
monite = AsyncMonite(token_store=store)
webhooks = Receiver(os.environ["MONITE_WEBHOOK_SECRET"], guard=StoreReplayGuard(store))


class Account(BaseModel):
    """Who is signed in: the ids that Monite knows the user and the company by."""

    entity: str
    user: str


async def identify(scope: Scope) -> str | None:
    """Tell whose browser asks: the session is signed, so nobody can claim to be somebody else."""
    user: str | None = scope["session"].get("user")
    return user


def signed_in(request: Request) -> Account:
    """Return who is signed in."""
    if "user" not in request.session:
        raise HTTPException(401)
    return Account(**request.session)


def user_scope(account: Annotated[Account, Depends(signed_in)]) -> EntityUserClient:
    """Return the scope of whoever is signed in: what the user's role allows, and nothing else."""
    return monite.entity(account.entity).as_user(account.user)


app = FastAPI(lifespan=lifespan(monite, store))
app.add_middleware(SessionMiddleware, secret_key=os.environ["SESSION_SECRET"])
app.router.routes.append(Route("/monite/token", TokenEndpoint(monite, identify)))
app.router.routes.append(Route("/monite/webhooks", webhooks))


@app.post("/session", status_code=204)
async def sign_in(request: Request, account: Account) -> None:
    """Sign in; in earnest: check a password, and look the two ids up in your own database."""
    request.session.update(account.model_dump())


@app.get("/payables")
async def payables(scope: Annotated[EntityUserClient, Depends(user_scope)]) -> list[str | None]:
    """List the latest payables, with the user's own token."""
    return [bill.document_id for bill in (await scope.payables.list(limit=10)).data]


@app.get("/company")
async def company(account: Annotated[Account, Depends(signed_in)]) -> dict[str, str | None]:
    """Show the entity, with the partner's token: users may not read it."""
    return {"email": (await monite.entities.get(account.entity)).email}


@webhooks.on(PayableEvent, "approved")
async def approved(event: PayableEvent) -> None:
    """Do once, whichever worker gets the delivery, what is to be done with an approved payable."""
    payable = await monite.entity(event.entity_id).payables.get(event.object_id or "")
    print("to be paid:", payable.document_id)
