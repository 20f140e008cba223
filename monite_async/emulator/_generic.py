"""Create, list, read, change, delete: what every collection of the API can do, derived from its routes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias, cast

from monite_async._operations import operations
from monite_async.emulator._call import Audience, Call, Handler, Rule, named_entity
from monite_async.emulator._collections import BY_ID, Collection, collection_of, kind_of, listed, needs
from monite_async.emulator._contract.routes import ROUTES
from monite_async.emulator._contract.shapes import RESULTS, Shape
from monite_async.emulator._errors import refusal
from monite_async.emulator._events import emit, watched
from monite_async.emulator._filters import Getters, matcher
from monite_async.emulator._message import Request, Response, as_object, dumps, json_response
from monite_async.emulator._paging import page
from monite_async.emulator._permissions import check_own
from monite_async.emulator._shapes import Context, build, members
from monite_async.emulator._state import STAMPS, Record, World, iso

__all__ = [
    "GENERIC_OPERATIONS",
    "Json",
    "answer",
    "change",
    "context",
    "create",
    "created",
    "found",
    "group_of",
    "later",
    "list_page",
    "merged",
    "no_body",
    "parent_ids",
    "records",
    "remove",
    "ruled",
    "settle",
]

Json: TypeAlias = "dict[str, object]"


@dataclass(frozen=True, slots=True)
class _Later:
    """A change that is to come."""

    due: datetime
    changes: Json
    fill: Json
    then: Callable[[Call, Record], None] | None


_AUTHORS = ("created_by", "created_by_entity_user_id", "created_by_user_id", "entity_user_id", "was_created_by_user_id")


def context(call: Call) -> Context:
    """Return what building an answer needs to know of the call."""

    def find(record_id: str) -> Json | None:
        record = call.world.state.find(record_id.lower())
        if record is None or (call.entity is not None and call.world.state.owner(record) not in {"", call.entity.id}):
            return None  # what belongs to another entity is as good as not there
        return record.view()

    return Context(
        now=iso(call.now),
        origin=call.world.origin,
        entity_id="" if call.entity is None else call.entity.id,
        author=call.actor.user_id or call.world.settings.client_id,
        find=find,
    )


def answer(call: Call, source: Record | Mapping[str, object] | list[object] | None = None) -> Response:
    """Answer an operation as the contract has it: its status, and its shape filled with what is given."""
    shape = RESULTS.get(call.route.operation_id)
    if shape is None:
        return no_body(call)
    value = {**source.view(), **source.private} if isinstance(source, Record) else source
    return json_response(call.route.status, build(shape, value, context(call)))


def no_body(call: Call) -> Response:
    """Answer an operation that says nothing but that it is done: with 200 that is JSON's null."""
    return json_response(200, None) if call.route.status == 200 else Response(call.route.status)


def parent_ids(call: Call, collection: Collection) -> list[str]:
    """Return the ids of the parents of a collection, outermost first; raises 404 for one that is not there."""
    ids: list[str] = []
    group = _top(call, collection)
    for name, path in collection.parents:
        parent_id = call.params[name].lower()
        if path == "/entities":
            named_entity(call)
        elif call.world.state.table(path).get(parent_id, group) is None:
            raise refusal(404, f"{_words(path)} not found")
        ids.append(parent_id)
        group = parent_id
    return ids


def _words(path: str) -> str:
    return path.rsplit("/", 1)[1].replace("_", " ").removesuffix("s").capitalize()


def _top(call: Call, collection: Collection) -> str:
    return call.entity.id if collection.of_entity and call.entity is not None else ""


def group_of(call: Call, collection: Collection) -> str:
    """Return the group in which the records of a call are kept: the parent, else the entity, else the partner."""
    ids = parent_ids(call, collection)
    return ids[-1] if ids else _top(call, collection)


def records(call: Call, path: str, group: str | None = None) -> list[Record]:
    """Return the records of a collection in the group, by default those of the entity of the call."""
    wanted = group if group is not None else ("" if call.entity is None else call.entity.id)
    return list(call.world.state.table(path).of(wanted))


def found(call: Call, collection: Collection | None = None) -> Record:
    """Return the record that the path names; raises 404, or the denial when it is not the caller's own."""
    collection = collection or collection_of(call.route)
    group = group_of(call, collection)
    place = len(collection.parents)
    record = call.world.state.table(collection.path).get(list(call.params.values())[place].lower(), group)
    if record is None or _foreign(call, record):
        raise refusal(404, f"{collection.noun} not found")
    settle(call.world, record, collection)
    wanted = needs(call.route)
    if wanted is not None:
        check_own(call, record, wanted)
    return record


def _foreign(call: Call, record: Record) -> bool:
    """Tell whether a user of another entity made this: such things as files are in no entity, but their makers are."""
    user, maker = call.actor.user, call.world.state.users.get(record.created_by or "")
    return user is not None and maker is not None and maker.group != user.group


def _data(call: Call, shape: Shape, source: Mapping[str, object]) -> Json:
    made = as_object(build(shape, source, context(call)))
    return {name: value for name, value in made.items() if name not in {"id", *STAMPS}}


def create(
    call: Call, source: Mapping[str, object], collection: Collection | None = None, group: str | None = None
) -> Record:
    """Store a new record.

    Args:
        call: The call that creates it.
        source: What is known of it; the rest comes from the contract.
        collection: Where it belongs; default: the collection of the call.
        group: What it belongs to; default: what the path of the call says.
    """
    collection = collection or collection_of(call.route)
    known: Json = dict.fromkeys(_AUTHORS, call.actor.user_id)
    if group is None:
        known.update({name: call.params[name].lower() for name, _ in collection.parents})
    known.update({name: value for name, value in source.items() if value is not None or name not in _AUTHORS})
    shown = members(collection.shape)
    stamps = tuple(name for name in STAMPS if name in shown)
    home = group if group is not None else group_of(call, collection)
    record = call.world.record(home, {}, created_by=call.actor.user_id, stamps=stamps)
    record.private["source"] = {"id": record.id, **known}
    record.data = _data(call, collection.shape, known)
    call.world.state.table(collection.path).add(record)
    emit(call, collection.path, "created", record)
    return record


def merged(target: Mapping[str, object], changes: Mapping[str, object]) -> Json:
    """Return an object with changes, objects within objects key by key: a PATCH sends only what changes."""
    result = dict(target)
    for key, value in changes.items():
        current = as_object(result.get(key))
        result[key] = merged(current, as_object(value)) if current and as_object(value) else copy.deepcopy(value)
    return result


def change(call: Call, record: Record, changes: Mapping[str, object], collection: Collection | None = None) -> Record:
    """Change a record; null clears what may be null and leaves the rest as it is."""
    collection = collection or collection_of(call.route)
    shown = members(collection.shape)
    kept = {name: value for name, value in changes.items() if value is not None or not _demanded(shown.get(name))}
    source = merged(as_object(record.private.get("source")), kept)
    record.private["source"] = source
    before = watched(collection.path, record)
    record.change(call.now, **_data(call, collection.shape, source))
    emit(call, collection.path, "updated", record, before)
    return record


def later(
    call: Call,
    record: Record,
    seconds: float,
    changes: Mapping[str, object],
    *,
    fill: Mapping[str, object] | None = None,
    then: Callable[[Call, Record], None] | None = None,
    collection: Collection | None = None,
) -> None:
    """Let a record change by itself after some seconds of the emulator's clock; call it in the order of the times.

    Args:
        call: The call that begins it.
        record: What will change.
        seconds: After how long.
        changes: How.
        fill: Fields that are set where they are null by then.
        then: What is done once it has changed.
        collection: Where the record belongs; default: the collection of the call.
    """
    waiting = cast("list[_Later]", record.private.setdefault("later", []))
    waiting.append(_Later(call.now + timedelta(seconds=seconds), dict(changes), dict(fill or {}), then))
    call.world.state.due[record.id] = ((collection or collection_of(call.route)).path, waiting[0].due)


def settle(world: World, record: Record, collection: Collection) -> None:
    """Let happen to a record what was to happen by now: nobody's doing, whoever looks."""
    waiting, now = cast("list[_Later]", record.private.get("later", [])), world.clock.now()
    if not waiting or now < waiting[0].due:
        return
    call = _nobodys(world, record)
    while waiting and now >= waiting[0].due:
        event = waiting.pop(0)
        fill = {name: value for name, value in event.fill.items() if record.data.get(name) is None}
        change(call, record, {**fill, **event.changes}, collection)
        if event.then is not None:
            event.then(call, record)
    world.state.due.pop(record.id, None)
    if waiting:
        world.state.due[record.id] = (collection.path, waiting[0].due)


def _nobodys(world: World, record: Record) -> Call:
    """Return a call that nobody makes, for what goes on by itself: in the record's entity and the partner's version."""
    version = str(world.state.partner.get("api_version") or world.settings.versions[-1])
    entity = world.state.entities.get(world.state.owner(record))
    return Call(world, Request("", ""), BY_ID["get_events"], {}, version, entity=entity)


def _demanded(member: tuple[object, ...] | None) -> bool:
    return member is not None and bool(member[1]) and not (isinstance(member[2], tuple) and member[2][0] == "null")


def created(call: Call, source: Mapping[str, object]) -> Response:
    """Store a new record and answer with it."""
    return answer(call, create(call, source))


def list_page(
    call: Call,
    collection: Collection | None = None,
    *,
    getters: Getters | None = None,
    seen: Callable[[Record], bool] | None = None,
) -> Response:
    """Answer a list call: in pages where the contract has them, whole where it has not."""
    collection = collection or collection_of(call.route)
    home = collection
    group = group_of(call, collection)
    table = call.world.state.table(collection.path)
    getters = getters or {}
    shape = RESULTS[call.route.operation_id]

    def shown(record: Record) -> bool:
        if not call.sees(record) or _foreign(call, record):
            return False
        settle(call.world, record, home)
        return seen is None or seen(record)

    def render(record: Record) -> bytes:
        item = listed(shape)
        if item == collection.shape or item is None:
            return record.encoded()
        return dumps(build(item, {**record.view(), **record.private}, context(call)))

    names = {param.name for param in call.route.query}
    if "pagination_token" in names or call.route.method == "POST":
        return page(call, table, group, shown, getters, render)
    query = {name: value for name, value in call.query.items() if name not in {"offset", "limit"}}
    passes = matcher(query, getters)
    chosen = [record for record in table.of(group) if shown(record) and passes(record)]
    start, size = call.query.get("offset", 0), call.query.get("limit", 250 if "offset" in names else None)
    if isinstance(start, int) and isinstance(size, int):
        chosen = chosen[start : start + size]
    data = b",".join(render(record) for record in chosen)
    tail = (
        b',"next_pagination_token":null,"prev_pagination_token":null}'
        if "next_pagination_token" in members(shape)
        else b"}"
    )
    return Response(call.route.status, {"content-type": "application/json"}, b'{"data":[' + data + b"]" + tail)


def remove(call: Call, record: Record) -> None:
    """Delete a record of the collection of the call, and what is part of it."""
    path = collection_of(call.route).path
    call.world.state.forget(path, record)
    emit(call, path, "deleted", record)


def _create(call: Call) -> Response:
    return created(call, call.body)


def _get(call: Call) -> Response:
    return answer(call, found(call))


def _update(call: Call) -> Response:
    return answer(call, change(call, found(call), call.body))


def _delete(call: Call) -> Response:
    record = found(call)
    remove(call, record)
    return answer(call, record)


_HANDLERS: Mapping[str, Handler] = {
    "list": list_page,
    "create": _create,
    "get": _get,
    "update": _update,
    "delete": _delete,
}


def ruled(handlers: Mapping[str, Handler]) -> dict[str, Rule]:
    """Return the rules of operations by id: who may call them follows from their scopes and routes."""
    audiences: Mapping[str, Audience] = {"partner": "partner", "user": "user"}
    scopes = {one.id: one.scope for one in operations()}
    return {name: Rule(run, needs(BY_ID[name]), audiences.get(scopes[name], "both")) for name, run in handlers.items()}


GENERIC_OPERATIONS = ruled(
    {route.operation_id: _HANDLERS[kind] for route in ROUTES if (kind := kind_of(route)) in _HANDLERS}
)
"""How the plain operations of every collection are emulated, unless there is something better."""
