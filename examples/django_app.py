"""Django, in one file: ``uvicorn examples.django_app:application --workers 4``, configured as starlette_app.py."""

from __future__ import annotations

import json
import os
from io import BytesIO
from typing import Any

from django.conf import settings
from django.contrib.sessions.backends.signed_cookies import SessionStore
from django.core.asgi import get_asgi_application
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path

from monite_async import AsyncMonite
from monite_async.asgi import Receive, Scope, Send, TokenEndpoint, with_lifespan
from monite_async.webhooks import PayableEvent, Receiver, StoreReplayGuard
from monite_async_stores import store_from_url

settings.configure(
    ROOT_URLCONF=__name__,
    SECRET_KEY=os.environ["SESSION_SECRET"],
    ALLOWED_HOSTS=["*"],
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"],
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
)
store = store_from_url(os.environ["MONITE_TOKEN_STORE"])
monite = AsyncMonite(token_store=store)
webhooks = Receiver(os.environ["MONITE_WEBHOOK_SECRET"], guard=StoreReplayGuard(store))


async def sign_in(request: HttpRequest) -> HttpResponse:
    """Sign in; in earnest: check a password, and look the two ids up in your own database."""
    request.session.update(json.loads(request.body))
    return HttpResponse(status=204)


async def payables(request: HttpRequest) -> HttpResponse:
    """List the latest payables, with the user's own token."""
    if "user" not in request.session:
        return HttpResponse(status=401)
    ann = monite.entity(request.session["entity"]).as_user(request.session["user"])
    return JsonResponse([bill.document_id for bill in (await ann.payables.list(limit=10)).data], safe=False)


async def company(request: HttpRequest) -> HttpResponse:
    """Show the entity, with the partner's token: users may not read it."""
    if "user" not in request.session:
        return HttpResponse(status=401)
    return JsonResponse({"email": (await monite.entities.get(request.session["entity"])).email})


@webhooks.on(PayableEvent, "approved")
async def approved(event: PayableEvent) -> None:
    """Do once, whichever worker gets the delivery, what is to be done with an approved payable."""
    payable = await monite.entity(event.entity_id).payables.get(event.object_id or "")
    print("to be paid:", payable.document_id)


async def identify(scope: Scope) -> str | None:
    """Tell whose browser asks for a token, by the signed cookie of Django's session."""
    cookie = ASGIRequest(dict(scope), BytesIO()).COOKIES.get(settings.SESSION_COOKIE_NAME)
    user: str | None = SessionStore(cookie).get("user")
    return user


urlpatterns = [path("session", sign_in), path("payables", payables), path("company", company)]
django: Any = get_asgi_application()
beside: dict[str, Any] = {"/monite/token": TokenEndpoint(monite, identify), "/monite/webhooks": webhooks}


async def route(scope: Scope, receive: Receive, send: Send) -> None:
    """Pass a request to one of the two applications beside Django, or to Django, which knows no lifespan."""
    await beside.get(scope["path"], django)(scope, receive, send)


application = with_lifespan(route, monite, store)
