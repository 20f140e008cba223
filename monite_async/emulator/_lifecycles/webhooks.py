"""Webhook subscriptions and their secrets; events."""

from __future__ import annotations

import secrets

from monite_async.emulator._call import Call
from monite_async.emulator._due import settle_due
from monite_async.emulator._errors import detail, invalid, refusal
from monite_async.emulator._events import EVENTS, is_within_reach
from monite_async.emulator._generic import answer, change, create, found, list_page, ruled
from monite_async.emulator._message import Response

__all__ = ["WEBHOOK_OPERATIONS"]


def _secret() -> str:
    return "whsec_" + secrets.token_urlsafe(24)


def _check_url(call: Call) -> None:
    url, settings = str(call.body.get("url") or "https://"), call.world.settings
    if not url.startswith("https://") and not (settings.webhook_http and is_within_reach(url, settings)):
        raise invalid(detail(("body", "url"), "URL scheme should be 'https'", "url_scheme"))


def _change(call: Call) -> Response:
    _check_url(call)
    return answer(call, change(call, found(call), call.body))


def _subscribe(call: Call) -> Response:
    _check_url(call)
    record = create(call, {**call.body, "status": "enabled", "event_types": call.body.get("event_types") or []})
    record.private["secret"] = _secret()
    return answer(call, record)


def _regenerate(call: Call) -> Response:
    record = found(call)
    record.private["secret"] = _secret()
    return answer(call, record)


def _list_events(call: Call) -> Response:
    settle_due(call.world)
    return list_page(call)


def _get_event(call: Call) -> Response:
    event = call.world.state.table(EVENTS).get(call.params["event_id"].lower())
    user = call.actor.user
    if event is None or (user is not None and user.group != event.group):
        raise refusal(404, "Event not found")
    return answer(call, event)


WEBHOOK_OPERATIONS = ruled(
    {
        "post_webhook_subscriptions": _subscribe,
        "patch_webhook_subscriptions_id": _change,
        "post_webhook_subscriptions_id_regenerate_secret": _regenerate,
        "get_events": _list_events,
        "get_events_id": _get_event,
    }
)
"""How webhook subscriptions and single events are emulated."""
