"""The controls of the emulator over HTTP, below ``/_emulator/``, for whoever is in another process.

======================================  ==============================================================================
``GET  /_emulator/clock``               ``{"now": ISO time, "frozen": bool}``
``POST /_emulator/clock``               ``{"advance": seconds}``, ``{"set": ISO time}`` or ``{"freeze": bool}``
``GET  /_emulator/faults``              the faults in force: ``{"data": [{"id", "hits", "held"}]}``
``POST /_emulator/faults``              order one: the fields of ``Fault``; answers its ``id``
``GET  /_emulator/faults/{id}``         ``{"id", "hits", "held"}``
``POST /_emulator/faults/{id}/release`` let its held answers leave
``DELETE /_emulator/faults[/{id}]``     take one, or all, out of force
``GET  /_emulator/log``                 ``{"count", "data"}``; filters: ``method``, ``path``, any text field of
                                        ``Entry``, ``status``; ``limit=0`` for the count alone
``DELETE /_emulator/log``               forget all requests
``GET  /_emulator/stats``               ``{"requests", "statuses", "issued"}``: tokens issued per key among them
``POST /_emulator/revoke``              ``{"key": key as in issued, or null for all}``; answers ``{"revoked": n}``
``GET  /_emulator/settings``            all settings but the secrets
``PATCH /_emulator/settings``           change some
``POST /_emulator/snapshot``            keep a snapshot; answers ``{"id"}``
``POST /_emulator/restore``             ``{"id"}``: go back to it
``POST /_emulator/reset``               forget everything stored, all faults and the log
``GET  /_emulator/files/{id}``          the bytes of a stored file
======================================  ==============================================================================

Nothing here asks for credentials, and nothing here answers with any.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING

from monite_async.emulator._checked import checked
from monite_async.emulator._errors import RefusedError, refusal
from monite_async.emulator._faults import Fault, OrderedFault
from monite_async.emulator._log import Entry
from monite_async.emulator._message import Request, Response, as_object, json_response, loads

if TYPE_CHECKING:
    from monite_async.emulator._emulator import Emulator

__all__ = ["PREFIX", "control"]

PREFIX = "/_emulator/"
_SECRET = frozenset({"client_secret", "other_clients"})


def control(emulator: Emulator, request: Request) -> Response:
    """Answer a request for the controls."""
    head, *rest = request.path[len(PREFIX) :].strip("/").split("/")
    run = _CONTROLS.get((request.method, head, len(rest)))
    try:
        if run is None:
            raise refusal(404, f"There is no control {request.method} {request.path}")
        return run(emulator, request, rest)
    except RefusedError as refused:
        return refused.response()
    except (ValueError, TypeError, OverflowError) as error:
        return refusal(422, str(error)).response()


def _body(request: Request) -> dict[str, object]:
    return as_object(loads(request.body)) if request.body.strip() else {}


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("a number of seconds is needed")
    return value


def _clock(emulator: Emulator, _request: Request, _rest: list[str]) -> Response:
    return json_response(200, {"now": emulator.clock.now().isoformat(), "frozen": emulator.clock.frozen})


def _move_clock(emulator: Emulator, request: Request, rest: list[str]) -> Response:
    body = _body(request)
    if not body or set(body) - {"advance", "set", "freeze"}:
        raise ValueError("advance, set or freeze is needed")
    if "set" in body:
        emulator.clock.set(datetime.fromisoformat(str(body["set"])))
    if "advance" in body:
        emulator.clock.advance(_number(body["advance"]))
    if "freeze" in body:
        (emulator.clock.freeze if body["freeze"] else emulator.clock.unfreeze)()
    return _clock(emulator, request, rest)


def _fault_view(ordered: OrderedFault) -> dict[str, object]:
    return {"id": ordered.id, "hits": ordered.hits, "held": ordered.held}


def _fault(emulator: Emulator, rest: list[str]) -> OrderedFault:
    found = emulator.faults.get(int(rest[0])) if rest[0].isdigit() else None
    if found is None:
        raise refusal(404, "There is no such fault in force")
    return found


def _list_faults(emulator: Emulator, _request: Request, _rest: list[str]) -> Response:
    return json_response(200, {"data": [_fault_view(ordered) for ordered in emulator.faults]})


def _order_fault(emulator: Emulator, request: Request, _rest: list[str]) -> Response:
    ordered = emulator.order(checked(Fault, _body(request)))
    return json_response(201, _fault_view(ordered))


def _get_fault(emulator: Emulator, _request: Request, rest: list[str]) -> Response:
    return json_response(200, _fault_view(_fault(emulator, rest)))


def _remove_fault(emulator: Emulator, _request: Request, rest: list[str]) -> Response:
    _fault(emulator, rest).remove()
    return Response(204)


def _clear_faults(emulator: Emulator, _request: Request, _rest: list[str]) -> Response:
    emulator.faults.clear()
    return Response(204)


def _release_fault(emulator: Emulator, _request: Request, rest: list[str]) -> Response:
    if rest[1] != "release":
        raise refusal(404, "The only thing to do with a fault is to release it")
    ordered = _fault(emulator, rest)
    ordered.release()
    return json_response(200, _fault_view(ordered))


def _log(emulator: Emulator, request: Request, _rest: list[str]) -> Response:
    facts: dict[str, object] = dict(request.query)
    limit = int(str(facts.pop("limit", 1000)))
    method, path = facts.pop("method", None), facts.pop("path", None)
    if "status" in facts:
        facts["status"] = int(str(facts["status"]))
    found = emulator.log.filter(
        method if isinstance(method, str) else None, path if isinstance(path, str) else None, **facts
    )
    entries: list[Entry] = found[-limit:] if limit > 0 else []
    return json_response(200, {"count": len(found), "data": [asdict(entry) for entry in entries]})


def _clear_log(emulator: Emulator, _request: Request, _rest: list[str]) -> Response:
    emulator.log.clear()
    return Response(204)


def _stats(emulator: Emulator, _request: Request, _rest: list[str]) -> Response:
    statuses = {str(status): count for status, count in emulator.log.statuses().items()}
    return json_response(200, {"requests": len(emulator.log), "statuses": statuses, "issued": emulator.issued})


def _revoke(emulator: Emulator, request: Request, _rest: list[str]) -> Response:
    key = _body(request).get("key")
    return json_response(200, {"revoked": emulator.revoke_tokens(key if isinstance(key, str) else None)})


def _settings(emulator: Emulator, _request: Request, _rest: list[str]) -> Response:
    shown = {name: value for name, value in asdict(emulator.settings).items() if name not in _SECRET}
    return json_response(200, shown)


def _change_settings(emulator: Emulator, request: Request, rest: list[str]) -> Response:
    emulator.configure(_body(request))
    return _settings(emulator, request, rest)


def _snapshot(emulator: Emulator, _request: Request, _rest: list[str]) -> Response:
    name = str(uuid.uuid4())
    emulator.keep_snapshot(name)
    return json_response(201, {"id": name})


def _restore(emulator: Emulator, request: Request, _rest: list[str]) -> Response:
    snapshot = emulator.kept_snapshot(str(_body(request).get("id")))
    if snapshot is None:
        raise refusal(404, "There is no such snapshot")
    emulator.restore(snapshot)
    return Response(204)


def _reset(emulator: Emulator, _request: Request, _rest: list[str]) -> Response:
    emulator.reset()
    return Response(204)


def _file(emulator: Emulator, _request: Request, rest: list[str]) -> Response:
    stored = emulator.stored_file(rest[0])
    if stored is None:
        raise refusal(404, "There is no such file")
    return Response(200, {"content-type": stored[0]}, stored[1])


_Control = Callable[["Emulator", Request, list[str]], Response]
_CONTROLS: Mapping[tuple[str, str, int], _Control] = {
    ("GET", "clock", 0): _clock,
    ("POST", "clock", 0): _move_clock,
    ("GET", "faults", 0): _list_faults,
    ("POST", "faults", 0): _order_fault,
    ("DELETE", "faults", 0): _clear_faults,
    ("GET", "faults", 1): _get_fault,
    ("DELETE", "faults", 1): _remove_fault,
    ("POST", "faults", 2): _release_fault,
    ("GET", "log", 0): _log,
    ("DELETE", "log", 0): _clear_log,
    ("GET", "stats", 0): _stats,
    ("POST", "revoke", 0): _revoke,
    ("GET", "settings", 0): _settings,
    ("PATCH", "settings", 0): _change_settings,
    ("POST", "snapshot", 0): _snapshot,
    ("POST", "restore", 0): _restore,
    ("POST", "reset", 0): _reset,
    ("GET", "files", 1): _file,
}
