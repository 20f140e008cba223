"""The first use of one resource: prints the CPU milliseconds of its methods and of the model that its first call needs."""

from __future__ import annotations

import importlib
import sys
import time
from operator import attrgetter
from typing import cast

from monite_async import AsyncMonite, operations
from monite_async._http.operation import Operation
from monite_async.models._base import reader


def main(name: str) -> None:
    """Use the resource of that name in a client that has used another one."""
    monite = AsyncMonite(client_id="28c10852-7e78-43cf-abfb-efeed1834963", client_secret="benchmark-secret")
    entity = monite.entity("5b4daced-6b9a-4707-83c6-08193d999fab")
    scopes = (monite, entity, entity.as_user("5b4daced-6b9a-4707-83c6-08193d999fab"))
    warm(scopes, "tags" if name != "tags" else "roles")
    begin = time.process_time()
    warm(scopes, name)
    print((time.process_time() - begin) * 1000)


def warm(scopes: tuple[object, ...], name: str) -> None:
    """Import a resource, and build the model of its ``list``, or of whatever it has, with all that is in it."""
    resource: object = None
    for scope in scopes:
        try:
            resource = attrgetter(name)(scope)
        except AttributeError:
            continue
        break
    module = importlib.import_module(type(resource).__module__)
    found = [cast("Operation[object]", value) for value in vars(module).values() if isinstance(value, Operation)]
    named = {(value.method, value.path): value.result for value in found if isinstance(value.result, str)}
    infos = sorted((info for info in operations() if info.resource == name), key=lambda info: info.name != "list")
    for info in infos:
        where = named.get((info.method, info.path))
        if where is not None:
            build(where)
            return


def build(where: str) -> None:
    """Make the reader of a model as its first answer does."""
    home, _, kind = where.partition(":")
    reader(getattr(importlib.import_module(f"monite_async.models.{home}"), kind))


if __name__ == "__main__":
    main(sys.argv[1])
