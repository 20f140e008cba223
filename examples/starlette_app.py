"""Starlette: one client per process, a scope per request, the token endpoint, and webhooks.

    uvicorn examples.starlette_app:app --workers 4

In the environment: ``MONITE_CLIENT_ID``, ``MONITE_CLIENT_SECRET``, ``MONITE_TOKEN_STORE`` (a Redis that all workers
share), ``MONITE_WEBHOOK_SECRET`` and ``SESSION_SECRET``.
"""

from __future__ import annotations

import os

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from monite_async import AsyncMonite
from monite_async.asgi import Scope, TokenEndpoint, lifespan
from monite_async.webhooks import PayableEvent, Receiver, StoreReplayGuard
from monite_async_stores import store_from_url

# Made as the module is imported: neither does any I/O before the first request.
store = store_from_url(os.environ["MONITE_TOKEN_STORE"])
monite = AsyncMonite(token_store=store)
webhooks = Receiver(os.environ["MONITE_WEBHOOK_SECRET"], guard=StoreReplayGuard(store))


async def identify(scope: Scope) -> str | None:
    """Tell whose browser asks: the session is signed, so nobody can claim to be somebody else."""
    user: str | None = scope["session"].get("user")
    return user


async def sign_in(request: Request) -> Response:
    """Sign in; in earnest: check a password, and look the two ids up in your own database."""
    request.session.update(await request.json())
    return Response(status_code=204)


async def payables(request: Request) -> Response:
    """List the latest payables, with the user's own token."""
    if "user" not in request.session:
        return Response(status_code=401)
    ann = monite.entity(request.session["entity"]).as_user(request.session["user"])
    return JSONResponse([bill.document_id for bill in (await ann.payables.list(limit=10)).data])


async def company(request: Request) -> Response:
    """Show the entity, with the partner's token: users may not read it."""
    if "user" not in request.session:
        return Response(status_code=401)
    return JSONResponse({"email": (await monite.entities.get(request.session["entity"])).email})


@webhooks.on(PayableEvent, "approved")
async def approved(event: PayableEvent) -> None:
    """Do once, whichever worker gets the delivery, what is to be done with an approved payable."""
    payable = await monite.entity(event.entity_id).payables.get(event.object_id or "")
    print("to be paid:", payable.document_id)


app = Starlette(
    routes=[
        Route("/session", sign_in, methods=["POST"]),
        Route("/payables", payables),
        Route("/company", company),
        Route("/monite/token", TokenEndpoint(monite, identify)),
        Route("/monite/webhooks", webhooks),
    ],
    middleware=[Middleware(SessionMiddleware, secret_key=os.environ["SESSION_SECRET"])],
    lifespan=lifespan(monite, store),
)
