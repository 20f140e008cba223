"""Lists that come in pages."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator, Mapping, Sequence
from typing import Any, Final, Generic, Literal, Protocol, Self, TypeAlias, TypeVar, cast

from monite_async._errors import ConfigurationError, ResponseValidationError
from monite_async._http.operation import Caller, Operation
from monite_async._options import RequestOptions, check_count, is_set, raise_faults
from monite_async_stores._value import changed, frozen

__all__ = ["AsyncPager", "Cursor", "ItemIterator", "Page", "PageIterator", "Paging"]

Item = TypeVar("Item")
Item_co = TypeVar("Item_co", covariant=True)
PageT = TypeVar("PageT", bound="Page[Any]")

Cursor: TypeAlias = str | int
"""Where a list goes on: a token of the server or, for lists that count, a number of items."""
Paging: TypeAlias = Literal["token", "body", "offset"]
"""How the next page is asked for: by a token in the query or in the body, or by how many items were seen."""

_TOKEN: Final = "pagination_token"  # noqa: S105
_OFFSET: Final = "offset"
_LIMIT: Final = "limit"


class Page(Protocol[Item_co]):
    """One page: its items. Those of lists with a token have it as ``next_pagination_token`` (null on the last one)."""

    @property
    def data(self) -> Sequence[Item_co]:
        """The items of this page."""
        ...


# -- what is asked for -------------------------------------------------------------------------------------------


@frozen
class _Request:
    """The changing part of the request for one page."""

    paging: Paging
    query: Mapping[str, object]
    body: Mapping[str, object] | None

    def __repr__(self) -> str:
        return f"<_Request {self.paging}>"  # filters name people and amounts

    @property
    def _fields(self) -> Mapping[str, object]:
        return self.body or {} if self.paging == "body" else self.query

    @property
    def cursor(self) -> Cursor | None:
        """Where it starts, None at the beginning."""
        given = self._fields.get(_OFFSET if self.paging == "offset" else _TOKEN)
        return cast("Cursor", given) if given is not None and is_set(given) else None

    def at(self, cursor: Cursor) -> _Request:
        """Return the request for the page at a cursor.

        In a query a token stands alone but for the limit: the server remembers the filters, but not always the limit
        (Monite, "Pagination"). A body is sent again as it was, the token added.
        """
        if self.paging == "token":
            kept: dict[str, object] = {_LIMIT: self.query[_LIMIT]} if _LIMIT in self.query else {}
            return changed(self, query={_TOKEN: cursor, **kept})
        if self.paging == "body":
            return changed(self, body={**(self.body or {}), _TOKEN: cursor})
        return changed(self, query={**self.query, _OFFSET: cursor})

    def following(self, page: Page[Any]) -> Cursor | None:
        """Return the cursor of the page after this one, or None after the last."""
        if self.paging != "offset":
            token: object = getattr(page, "next_pagination_token", None)
            return token if isinstance(token, str) and token else None
        seen, limit = len(page.data), self.query.get(_LIMIT)
        if not seen or (isinstance(limit, int) and seen < limit):
            return None
        start = self.cursor
        return (start if isinstance(start, int) else 0) + seen


def _first(paging: Paging, query: Mapping[str, object], body: Mapping[str, object] | None) -> _Request:
    request = _Request(paging, dict(query), None if body is None else dict(body))
    cursor = request.cursor
    if cursor is not None:
        # A token given by the caller resumes an earlier list, whose filters the server still knows.
        return request.at(cursor)
    if request.body is not None and paging == "body":
        return changed(request, body=_without_null(request.body))
    return changed(request, query=_without_null(query))


def _without_null(fields: Mapping[str, object]) -> dict[str, object]:
    # The token of a last page is null, and as a token to start from it means the beginning.
    return {name: item for name, item in fields.items() if name != _TOKEN or item is not None}


# -- the pager ---------------------------------------------------------------------------------------------------


class AsyncPager(Generic[PageT, Item]):
    """A list that comes in pages: nothing is sent until it is awaited or iterated.

    ``await pager`` gives the first page, ``async for item in pager`` every item of every page, fetched as needed.
    Every iteration starts anew, several may run at once, and none makes a task unless ``prefetch()`` asks for it.

    Args:
        caller: Who carries out the operation.
        operation: The list.
        path: Values of its path.
        query: Its query; a ``pagination_token`` or ``offset`` in it resumes an earlier list.
        body: Its body, for a search that is a POST.
        paging: How the next page is asked for.
        options: Options of every request.
    """

    __slots__ = ("_caller", "_eager", "_operation", "_options", "_path", "_request")

    def __init__(
        self,
        caller: Caller,
        operation: Operation[PageT],
        *,
        path: Mapping[str, object] | None = None,
        query: Mapping[str, object] | None = None,
        body: Mapping[str, object] | None = None,
        paging: Paging = "token",
        options: RequestOptions | None = None,
    ) -> None:
        self._caller = caller
        self._operation = operation
        self._path = path
        self._request = _first(paging, query or {}, body)
        self._options = options
        self._eager = False

    def __repr__(self) -> str:
        return f"<AsyncPager {self._operation.method} {self._operation.path}>"

    def __await__(self) -> Generator[Any, None, PageT]:
        return self._page(self._request).__await__()

    def __aiter__(self) -> ItemIterator[Item]:
        return ItemIterator(self.pages())

    def pages(self) -> PageIterator[PageT]:
        """Return an iterator over the pages; its ``cursor`` says where the list goes on.

        After an error the iterator can be asked again, and tries the page that failed.

        Raises:
            ResponseValidationError: The server gave the same page twice, so the list would never end.
        """
        return PageIterator(self._page, self._request, self._operation, eager=self._eager)

    def prefetch(self) -> AsyncPager[PageT, Item]:
        """Return this list with every next page asked for while the current one is worked on.

        A page asked for ahead is given up when the iterator is: at once on ``aclose()``, else as soon as nothing
        refers to it any more, which after ``break`` is at once as well.
        """
        return self._with(self._request, eager=True)

    def resume(self, cursor: Cursor) -> AsyncPager[PageT, Item]:
        """Return this list from a cursor on, as ``pages().cursor`` or a page's token told it.

        Raises:
            ConfigurationError: The cursor is not one of this list: a token is a string, an offset a whole number.
        """
        counts = self._request.paging == "offset"
        fits = type(cursor) is int and cursor >= 0 if counts else isinstance(cursor, str) and cursor != ""
        if not fits:
            kind = "a whole number, 0 or more" if counts else "a token, a string that is not empty"
            raise ConfigurationError(f"the cursor of this list is {kind}")
        return self._with(self._request.at(cursor), eager=self._eager)

    async def collect(self, limit: int | None = None) -> list[Item]:
        """Return the items as a list.

        Args:
            limit: At most this many items; no page is asked for that is not needed. None means all of them.

        Raises:
            ConfigurationError: The limit is no whole number, or negative.
        """
        faults: list[str] = []
        if limit is not None:
            check_count(faults, "limit", limit)
        raise_faults("collect", faults)
        found: _Found[Item] = _Found()
        if limit == 0:
            return found.items
        async for page in self._with(self._request, eager=False).pages():
            found.items.extend(page.data)
            del page  # or it stands in a traceback with locals when the next one fails
            if limit is not None and len(found.items) >= limit:
                return found.items[:limit]
        return found.items

    def _with(self, request: _Request, *, eager: bool) -> AsyncPager[PageT, Item]:
        twin = object.__new__(type(self))
        twin._caller, twin._operation, twin._path, twin._options = (
            self._caller,
            self._operation,
            self._path,
            self._options,
        )
        twin._request, twin._eager = request, eager
        return twin

    async def _page(self, request: _Request) -> PageT:
        return await self._caller.call(
            self._operation, path=self._path, query=request.query, body=request.body, options=self._options
        )


class _Found(Generic[Item]):
    """Items that were gathered so far; they do not show themselves, not even in a traceback with locals."""

    __slots__ = ("items",)

    def __init__(self) -> None:
        self.items: list[Item] = []

    def __repr__(self) -> str:
        return f"<{len(self.items)} items>"


# Iterators, not async generators: one that is left early needs no closing, so the loop makes no task for it.


class PageIterator(Generic[PageT]):
    """Goes through the pages of a list; tasks that share it get each page once."""

    __slots__ = (
        "_ahead",
        "_before",
        "_closed",
        "_eager",
        "_fetch",
        "_last",
        "_operation",
        "_request",
        "_seen",
        "_turn",
        "cursor",
    )

    def __init__(
        self,
        fetch: Callable[[_Request], Coroutine[Any, Any, PageT]],
        request: _Request,
        operation: Operation[PageT],
        *,
        eager: bool,
    ) -> None:
        self._ahead: asyncio.Task[PageT] | None = None
        self._fetch = fetch
        self._request = request
        self._operation = operation
        self._eager = eager
        self._closed = False
        self._seen: set[Cursor | None] = {request.cursor}
        self._last: PageT | None = None
        self._before: PageT | None = None
        self._turn = asyncio.Lock()
        self.cursor: Cursor | None = request.cursor
        """Where the page that comes next starts: None before the first one and after the last."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> PageT:
        # Tasks may share an iterator, and get each page once.
        async with self._turn:
            if self._closed:
                raise StopAsyncIteration
            self._advance()
            coming: Awaitable[PageT] = self._ahead or self._fetch(self._request)
            self._ahead = None
            page = await coming
            del coming
            if self._is_twin(page):
                del page  # what stands in a frame is shown by a traceback with locals, results of tasks too
                raise self._endless("the server sent the same page for another offset")
            self._last = page
            self.cursor = self._request.following(page)
            if self._eager and not self._closed:
                self._look_ahead()
            return page

    async def aclose(self) -> None:
        """Give up the page that was asked for ahead, if any, and end the iteration; may be repeated."""
        self._closed = True
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            ahead.cancel()
            await asyncio.wait([ahead])

    def __del__(self) -> None:
        if self._ahead is not None:
            # Whoever collects the garbage may be another thread, and the loop may be gone.
            with contextlib.suppress(RuntimeError):
                self._ahead.get_loop().call_soon_threadsafe(self._ahead.cancel)

    def _look_ahead(self) -> None:
        try:
            self._advance()
        except (StopAsyncIteration, ResponseValidationError):
            return  # it is said again when the next page is asked for
        self._ahead = asyncio.create_task(self._fetch(self._request), name="monite-async: next page")
        self._ahead.add_done_callback(_hear)

    def _advance(self) -> None:
        """Turn to the page after the last one that came."""
        if self._last is None:
            return
        cursor = self.cursor
        if cursor is None:
            raise StopAsyncIteration
        if cursor in self._seen:
            raise self._endless("the server sent the same pagination token twice")
        self._seen.add(cursor)
        self._request = self._request.at(cursor)
        self._before, self._last = self._last, None

    def _is_twin(self, page: PageT) -> bool:
        """Tell whether a page is the one before: then the server does not count."""
        before = self._before if self._request.paging == "offset" else None
        return before is not None and bool(page.data == before.data)

    def _endless(self, problem: str) -> ResponseValidationError:
        operation = self._operation
        return ResponseValidationError(
            f"{problem}; the list would never end", method=operation.method, path=operation.path
        )


class ItemIterator(Generic[Item]):
    """Goes through the items of a list, page by page; tasks that share it get each item once."""

    __slots__ = ("_items", "_pages", "_turn")

    def __init__(self, pages: PageIterator[Any]) -> None:
        self._pages = pages
        self._items: Iterator[Item] = iter(())
        self._turn = asyncio.Lock()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Item:
        while True:
            for item in self._items:
                return item
            async with self._turn:
                for item in self._items:  # another task got the next page meanwhile
                    return item
                self._items = iter((await anext(self._pages)).data)

    async def aclose(self) -> None:
        """Give up the page that was asked for ahead, if any, and end the iteration; may be repeated."""
        self._items = iter(())
        await self._pages.aclose()


def _hear(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()  # nobody may ask for the page any more: that is no news for the loop's exception handler
