"""Other ways to go on (a body, an offset, a cursor kept elsewhere), and pages asked for ahead."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import pytest

from monite_async._errors import ConfigurationError, NotFoundError, ResponseValidationError
from monite_async._http.operation import Operation
from monite_async._options import UNSET, RequestOptions
from monite_async._pagination import AsyncPager, Cursor, Paging
from tests.proofs.canary import Canaries, told

T = TypeVar("T")


@dataclass(frozen=True)
class Numbers:
    """A page of numbers."""

    data: list[int]
    next_pagination_token: str | None = None


@dataclass(frozen=True)
class Counted:
    """A page of a list that counts: it has items and nothing else."""

    data: list[int]


@dataclass
class Server:
    """Answers with numbers, as pages of two: by token in query or body, or by offset.

    Attributes:
        broken: Cursors of pages that fail.
        deaf: It does not listen to offsets.
        gate: Where requests wait, when it is closed.
        cancelled: How many requests were given up while they waited.
    """

    paging: Paging
    items: list[int]
    asked: list[dict[str, object]] = field(default_factory=list[dict[str, object]])
    broken: set[Cursor] = field(default_factory=set[Cursor])
    deaf: bool = False
    gate: asyncio.Event | None = None
    cancelled: int = 0

    async def call(
        self,
        operation: Operation[T],
        *,
        path: Mapping[str, object] | None = None,
        query: Mapping[str, object] | None = None,
        body: Any = None,
        options: RequestOptions | None = None,
    ) -> T:
        """Answer with one page."""
        given: Mapping[str, object] = body if self.paging == "body" else query or {}
        self.asked.append({name: value for name, value in given.items() if value is not UNSET})
        name = "offset" if self.paging == "offset" else "pagination_token"
        cursor = cast("Cursor | None", self.asked[-1].get(name))
        try:
            await (asyncio.sleep(0) if self.gate is None else self.gate.wait())
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if cursor in self.broken:
            raise NotFoundError("no such page")
        start = 0 if self.deaf else int(cursor or 0)
        size = int(cast("int", self.asked[-1].get("limit", 2)))
        data = self.items[start : start + size]
        end = start + size
        if self.paging == "offset":
            return cast("T", Counted(data))
        return cast("T", Numbers(data, str(end) if end < len(self.items) else None))

    def pager(self, **fields: object) -> AsyncPager[Any, int]:
        """Return a list of this server."""
        operation: Operation[Any] = Operation("POST" if self.paging == "body" else "GET", "/numbers", Numbers)
        if self.paging == "body":
            return AsyncPager(self, operation, body=fields, paging="body")
        return AsyncPager(self, operation, query=fields, paging=self.paging)


FIVE = [1, 2, 3, 4, 5]
KINDS: tuple[Paging, ...] = ("token", "body", "offset")


# -- bodies and offsets ------------------------------------------------------------------------------------------


async def test_a_search_sends_its_body_again_with_the_token() -> None:
    """The next page of a POST is asked for with the same body, the token added."""
    server = Server("body", FIVE)
    assert await server.pager(status="new", limit=2, sort=UNSET).collect() == FIVE
    same = {"status": "new", "limit": 2}
    assert server.asked == [same, {**same, "pagination_token": "2"}, {**same, "pagination_token": "4"}]


@pytest.mark.parametrize("token", [None, UNSET])
async def test_a_search_without_a_token_sends_none(token: object) -> None:
    """Null, which the last page has for a token, is not sent in a body."""
    server = Server("body", FIVE)
    assert (await server.pager(pagination_token=token)).data == [1, 2]
    assert server.asked == [{}]


async def test_an_offset_counts_what_came() -> None:
    """A list without tokens goes on where the items end, filters and limit sent along, until a page is short."""
    server = Server("offset", FIVE)
    assert await server.pager(limit=2, status="new").collect() == FIVE
    assert server.asked == [
        {"limit": 2, "status": "new"},
        {"limit": 2, "status": "new", "offset": 2},
        {"limit": 2, "status": "new", "offset": 4},
    ]


async def test_without_a_limit_an_empty_page_ends_the_list() -> None:
    """Nobody said how long a full page is: only an empty one is surely the last."""
    server = Server("offset", FIVE[:4])
    assert await server.pager(limit=UNSET, offset=UNSET).collect() == FIVE[:4]
    assert [asked.get("offset") for asked in server.asked] == [None, 2, 4]


async def test_an_offset_to_start_from_is_counted_on() -> None:
    """An offset of the caller is where counting begins."""
    server = Server("offset", FIVE)
    assert await server.pager(offset=1, limit=2).collect() == [2, 3, 4, 5]
    assert [asked["offset"] for asked in server.asked] == [1, 3, 5]


async def test_a_server_that_does_not_count_is_found_out() -> None:
    """The same page for another offset ends the list with an error instead of never."""
    server = Server("offset", FIVE, deaf=True)
    with pytest.raises(ResponseValidationError, match="same page for another offset"):
        await server.pager(limit=2).collect()
    assert len(server.asked) == 2


@pytest.mark.parametrize("eager", [False, True])
async def test_no_frame_of_a_list_that_fails_holds_what_came(eager: bool) -> None:
    """A page that comes twice, or one that fails after others, leaves nothing of any page in a traceback with locals."""
    canaries = Canaries()
    canaries.add("918273645546372819")
    items = [918273645546372819] * 5
    deaf, broken = Server("offset", items, deaf=True), Server("offset", items, broken={2})
    for server in (deaf, broken):
        pager = server.pager(limit=2)
        with pytest.raises((ResponseValidationError, NotFoundError)) as caught:
            await pager.collect()
        canaries.check(told(caught.value))
        pages = (pager.prefetch() if eager else pager).pages()
        await anext(pages)
        with pytest.raises((ResponseValidationError, NotFoundError)) as caught:
            await anext(pages)
        canaries.check(told(caught.value))


# -- cursors -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("paging", KINDS)
async def test_a_list_goes_on_from_a_cursor_kept_elsewhere(paging: Paging) -> None:
    """``pages().cursor`` after a page is where ``resume`` goes on, on a pager made anew."""
    server = Server(paging, FIVE)
    pages = server.pager(limit=2).pages()
    assert pages.cursor is None
    assert (await anext(pages)).data == [1, 2]
    cursor = pages.cursor
    assert cursor == (2 if paging == "offset" else "2")
    assert cursor is not None
    resumed = server.pager(limit=2).resume(cursor)
    assert await resumed.collect() == [3, 4, 5]
    assert resumed.pages().cursor == cursor
    assert [page.data async for page in pages] == [[3, 4], [5]]
    assert pages.cursor is None


@pytest.mark.parametrize(
    ("paging", "cursor"),
    [("token", ""), ("token", 2), ("body", None), ("offset", "2"), ("offset", -1), ("offset", True)],
)
def test_a_cursor_of_another_list_is_refused(paging: Paging, cursor: Any) -> None:
    """A token is a string and an offset a number; the wrong one is refused before anything is sent."""
    server = Server(paging, FIVE)
    with pytest.raises(ConfigurationError, match="the cursor of this list is"):
        server.pager().resume(cursor)
    assert server.asked == []


@pytest.mark.parametrize("paging", KINDS)
@pytest.mark.parametrize("eager", [False, True])
async def test_a_page_that_failed_is_tried_again(paging: Paging, eager: bool) -> None:
    """After an error the same iterator asks for the page that failed, whichever way it goes on."""
    server = Server(paging, FIVE, broken={2, "2"})
    pager = server.pager(limit=2)
    items = aiter(pager.prefetch() if eager else pager)
    assert [await anext(items), await anext(items)] == [1, 2]
    for _ in range(2):
        with pytest.raises(NotFoundError):
            await anext(items)
    server.broken.clear()
    assert [item async for item in items] == [3, 4, 5]


# -- pages asked for ahead ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("paging", KINDS)
async def test_the_next_page_is_under_way_while_this_one_is_worked_on(paging: Paging) -> None:
    """With ``prefetch`` one page is asked for ahead, never two, and every item comes once."""
    server = Server(paging, FIVE)
    pages = server.pager(limit=2).prefetch().pages()
    seen: list[int] = []
    ahead: list[int] = []
    async for page in pages:
        seen += page.data
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        ahead.append(len(server.asked))
    assert seen == FIVE
    assert ahead == [2, 3, 3]
    assert len(asyncio.all_tasks()) == 1


async def test_a_repeated_token_is_told_when_the_page_is_asked_for() -> None:
    """With ``prefetch``, too, the items before the error come first."""

    class Circle(Server):
        async def call(self, operation: Operation[T], **fields: Any) -> T:
            return cast("T", Numbers([1], "b"))

    items = aiter(Circle("token", []).pager().prefetch())
    assert [await anext(items), await anext(items)] == [1, 1]
    with pytest.raises(ResponseValidationError, match="twice"):
        await anext(items)


async def test_collect_asks_for_nothing_ahead() -> None:
    """``collect`` wants no more pages than its limit needs, whatever the pager was told."""
    server = Server("token", FIVE)
    assert await server.pager().prefetch().collect(2) == [1, 2]
    assert len(server.asked) == 1


async def _held() -> Server:
    return Server("token", FIVE, gate=asyncio.Event())


async def test_break_gives_up_the_page_that_was_asked_for_ahead() -> None:
    """Leaving the loop cancels the request for the next page; no task is left and nothing is logged."""
    server = await _held()
    assert server.gate is not None
    server.gate.set()
    troubles: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: troubles.append(context))
    async for item in server.pager().prefetch():
        assert item == 1
        server.gate.clear()
        await asyncio.sleep(0)
        break
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    gc.collect()
    assert (len(server.asked), server.cancelled) == (2, 1)
    assert len(asyncio.all_tasks()) == 1
    assert troubles == []


async def test_closing_waits_until_the_request_is_given_up() -> None:
    """``aclose`` returns when nothing is under way any more, ends the iteration, and may be repeated."""
    server = await _held()
    assert server.gate is not None
    server.gate.set()
    async with contextlib.aclosing(aiter(server.pager().prefetch())) as items:
        assert await anext(items) == 1
        server.gate.clear()
        await asyncio.sleep(0)
    assert server.cancelled == 1
    assert len(asyncio.all_tasks()) == 1
    await items.aclose()
    assert [item async for item in items] == []


async def test_whoever_waits_for_a_page_ahead_can_be_cancelled() -> None:
    """Cancelling the reader cancels the request that it waits for; the iterator can go on afterwards."""
    server = await _held()
    assert server.gate is not None
    server.gate.set()
    pages = server.pager().prefetch().pages()
    await anext(pages)
    server.gate.clear()
    waiting = asyncio.ensure_future(anext(pages))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert server.cancelled == 1
    server.gate.set()
    assert [page.data async for page in pages] == [[3, 4], [5]]


async def test_a_page_ahead_that_fails_unseen_is_no_news() -> None:
    """A failure that nobody asks for goes nowhere: not to the loop's exception handler either."""
    server = Server("token", FIVE, broken={"2"})
    troubles: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: troubles.append(context))
    async for _ in server.pager().prefetch():
        for _ in range(5):
            await asyncio.sleep(0)
        break
    gc.collect()
    await asyncio.sleep(0)
    assert len(server.asked) == 2
    assert troubles == []


async def test_an_iterator_may_die_in_another_thread() -> None:
    """The garbage of one thread may be collected by another: the request ends on its own loop all the same."""
    server = await _held()
    assert server.gate is not None
    server.gate.set()
    held: list[Any] = [server.pager().prefetch().pages()]
    await anext(held[0])
    server.gate.clear()
    await asyncio.sleep(0)
    thread = threading.Thread(target=held.clear)
    thread.start()
    thread.join()
    for _ in range(3):
        await asyncio.sleep(0)
    assert server.cancelled == 1


def test_an_iterator_may_outlive_its_loop() -> None:
    """An iterator that dies after its loop disturbs nobody."""
    held: list[Any] = []

    async def begin() -> None:
        server = Server("token", FIVE)
        held.append(server.pager().prefetch().pages())
        await anext(held[0])

    asyncio.run(begin())
    held.clear()
