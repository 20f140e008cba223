"""Finding the operation of the contract that a path means."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from monite_async.emulator._contract.routes import ROUTES
from monite_async.emulator._route import Route

__all__ = ["BASE", "Match", "find"]

BASE = "/v1"


@dataclass(slots=True)
class _Node:
    static: dict[str, _Node] = field(default_factory=dict[str, "_Node"])
    param: _Node | None = None
    routes: dict[str, Route] = field(default_factory=dict[str, Route])


@dataclass(frozen=True, slots=True)
class Match:
    """What a path means.

    Attributes:
        routes: The operations on that path by method; empty when the contract has no such path.
        values: Values of the path parameters in order.
    """

    routes: dict[str, Route]
    values: tuple[str, ...] = ()

    def params(self, route: Route) -> dict[str, str]:
        """Return the values of the path parameters by name."""
        names = (part[1:-1] for part in route.path.split("/") if part.startswith("{"))
        return dict(zip(names, self.values, strict=True))


def _grow(routes: Iterable[Route]) -> _Node:
    root = _Node()
    for route in routes:
        node = root
        for part in route.path.strip("/").split("/"):
            if part.startswith("{"):
                node.param = node.param or _Node()
                node = node.param
            else:
                node = node.static.setdefault(part, _Node())
        node.routes[route.method] = route
    return root


_ROOT = _grow(ROUTES)
_NOTHING = Match({})


def _walk(node: _Node, parts: list[str], values: tuple[str, ...]) -> Match | None:
    if not parts:
        return Match(node.routes, values) if node.routes else None
    head, rest = parts[0], parts[1:]
    if head in node.static and (found := _walk(node.static[head], rest, values)) is not None:
        return found
    if node.param is not None and head:
        return _walk(node.param, rest, (*values, head))
    return None


def find(path: str) -> Match:
    """Return what a path means; literal parts win over parameters."""
    if not path.startswith(BASE + "/"):
        return _NOTHING
    return _walk(_ROOT, path[len(BASE) + 1 :].split("/"), ()) or _NOTHING
