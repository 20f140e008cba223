"""Lists in pages: every item once, no request that is not needed, no endless loop."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import pytest

from monite_async._errors import ConfigurationError, NotFoundError, ResponseValidationError
from monite_async._http.operation import Operation
from monite_async._options import UNSET, RequestOptions
from monite_async._pagination import AsyncPager

T = TypeVar("T")


@dataclass(frozen=True)
class Numbers:
    """A page of numbers."""

    data: list[int]
    next_pagination_token: str | None = None


LIST: Operation[Numbers] = Operation("GET", "/numbers", Numbers)


@dataclass
class Server:
    """Answers with pages; remembers what it was asked."""

    pages: dict[str | None, Numbers]
    asked: list[dict[str, object]] = field(default_factory=list[dict[str, object]])
    options: list[RequestOptions | None] = field(default_factory=list["RequestOptions | None"])

    async def call(
        self,
        operation: Operation[T],
        *,
        path: Mapping[str, object] | None = None,
        query: Mapping[str, object] | None = None,
        body: Any = None,
        options: RequestOptions | None = None,
    ) -> T:
        """Answer with the page of the token."""
        assert operation.path == "/numbers"
        assert path == {"list_id": "7"}
        assert body is None
        sent = {name: value for name, value in (query or {}).items() if value is not UNSET}
        self.asked.append(sent)
        self.options.append(options)
        await asyncio.sleep(0)
        token = cast("str | None", sent.get("pagination_token"))
        if token not in self.pages:
            raise NotFoundError("no such page")
        return cast("T", self.pages[token])

    def pager(self, options: RequestOptions | None = None, **query: object) -> AsyncPager[Numbers, int]:
        """Return a list of this server."""
        return AsyncPager(self, LIST, path={"list_id": "7"}, query=query, options=options)


def _three() -> Server:
    return Server({None: Numbers([1, 2], "b"), "b": Numbers([3], "c"), "c": Numbers([4, 5])})


async def test_awaiting_gives_the_first_page_only() -> None:
    """``await pager`` is one request, each time anew."""
    server = _three()
    pager = server.pager()
    assert await pager == Numbers([1, 2], "b")
    assert await pager == Numbers([1, 2], "b")
    assert len(server.asked) == 2


async def test_nothing_is_sent_before_it_is_asked_for() -> None:
    """Making a pager costs no request."""
    server = _three()
    assert repr(server.pager(status="secret filter")) == "<AsyncPager GET /numbers>"
    assert server.asked == []


async def test_iteration_covers_every_page_and_sends_token_and_limit_only() -> None:
    """The first request carries the filters; the following ones the token and the same limit, nothing else."""
    server = _three()
    options = RequestOptions(timeout=3)
    assert [item async for item in server.pager(options, status="new", limit=2, sort=UNSET)] == [1, 2, 3, 4, 5]
    assert server.asked == [
        {"status": "new", "limit": 2},
        {"pagination_token": "b", "limit": 2},
        {"pagination_token": "c", "limit": 2},
    ]
    assert server.options == [options] * 3


async def test_without_a_limit_none_is_sent() -> None:
    """A limit that was left out is left out on every page."""
    server = _three()
    await server.pager(limit=UNSET).collect()
    assert server.asked[1:] == [{"pagination_token": "b"}, {"pagination_token": "c"}]


async def test_a_token_resumes_without_filters() -> None:
    """With a token of the caller the server knows the filters already: they are not sent again."""
    server = _three()
    assert await server.pager(pagination_token="b", status="new", limit=1).collect() == [3, 4, 5]
    assert server.asked[0] == {"pagination_token": "b", "limit": 1}


@pytest.mark.parametrize("token", [UNSET, None])
async def test_no_token_means_the_first_page(token: object) -> None:
    """A token that is left out, or that a last page gave, asks for the first page with all filters."""
    server = _three()
    assert (await server.pager(pagination_token=token, status="new")).data == [1, 2]
    assert server.asked[0]["status"] == "new"


async def test_pages_can_be_iterated() -> None:
    """``pages()`` gives the pages themselves, an empty last one included."""
    server = Server({None: Numbers([1], "b"), "b": Numbers([], "")})
    assert [page.data async for page in server.pager().pages()] == [[1], []]


@pytest.mark.parametrize(
    ("limit", "items", "requests"), [(0, [], 0), (2, [1, 2], 1), (3, [1, 2, 3], 2), (9, [1, 2, 3, 4, 5], 3)]
)
async def test_collect_asks_for_no_page_too_many(limit: int, items: list[int], requests: int) -> None:
    """``collect(limit)`` stops at the limit, and no page is fetched that holds nothing wanted."""
    server = _three()
    assert await server.pager().collect(limit) == items
    assert len(server.asked) == requests


@pytest.mark.parametrize("limit", [-1, 1.5, "3", True], ids=repr)
async def test_a_limit_without_sense_is_refused(limit: Any) -> None:
    """``collect`` of a negative number, or of no number, is a mistake of the caller and sends nothing."""
    server = _three()
    with pytest.raises(ConfigurationError, match="0 or more"):
        await server.pager().collect(limit)
    assert server.asked == []


@pytest.mark.parametrize("start", [UNSET, "b"])
async def test_a_server_that_repeats_a_token_does_not_loop_for_ever(start: object) -> None:
    """A token seen before ends the list with an error after the items of that page, even in a longer circle."""
    server = Server({None: Numbers([1], "b"), "b": Numbers([2], "c"), "c": Numbers([3], "b")})
    items: list[int] = []

    async def read() -> None:
        async for item in server.pager(pagination_token=start):
            items.append(item)  # noqa: PERF401 - what came before the error counts

    with pytest.raises(ResponseValidationError, match="twice") as caught:
        await read()
    assert items[-2:] == [2, 3]
    assert (caught.value.method, caught.value.path) == ("GET", "/numbers")


async def test_iterations_are_independent() -> None:
    """Two iterations of one pager at once each see everything, and leaving one early disturbs nobody."""
    pager = _three().pager()
    first, second = await asyncio.gather(pager.collect(), pager.collect())
    assert first == second == [1, 2, 3, 4, 5]
    async for item in pager:
        assert item == 1
        break
    assert await pager.collect() == [1, 2, 3, 4, 5]
    assert len(asyncio.all_tasks()) == 1


async def test_an_error_on_a_later_page_comes_through() -> None:
    """A page that cannot be had raises where it is needed; asking the same iterator again tries that page again."""
    server = Server({None: Numbers([1], "gone")})
    seen = server.pager().__aiter__()
    assert await anext(seen) == 1
    with pytest.raises(NotFoundError):
        await anext(seen)
    server.pages["gone"] = Numbers([2])
    assert [item async for item in seen] == [2]
    assert [item async for item in seen] == []


async def test_tasks_that_share_an_iterator_get_every_item_once() -> None:
    """Several tasks may work off one iterator: nothing is left out, nothing comes twice, no page is asked for twice."""
    server = _three()
    shared = aiter(server.pager())
    got: list[int] = []

    async def work() -> None:
        async for item in shared:
            got.append(item)
            await asyncio.sleep(0)

    await asyncio.gather(*(work() for _ in range(4)))
    assert sorted(got) == [1, 2, 3, 4, 5]
    assert len(server.asked) == 3


async def test_tasks_that_share_pages_get_every_page_once() -> None:
    """The same holds for an iterator over pages."""
    server = _three()
    pages = server.pager().pages()
    got = await asyncio.gather(*(anext(pages) for _ in range(3)))
    assert sorted(item for page in got for item in page.data) == [1, 2, 3, 4, 5]
    assert len(server.asked) == 3


async def test_an_iterator_that_is_closed_meanwhile_asks_for_nothing_ahead() -> None:
    """Closing while a page is on its way starts no request for the one after it."""
    server = _three()
    pages = server.pager().prefetch().pages()
    coming = asyncio.ensure_future(anext(pages))
    await asyncio.sleep(0)
    await pages.aclose()
    assert (await coming).data == [1, 2]
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert len(server.asked) == 1
