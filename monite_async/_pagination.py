"""Lists that come in pages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator, Mapping, Sequence
from typing import Any, Generic, Protocol, Self, TypeVar

from monite_async._errors import ResponseValidationError
from monite_async._http.operation import Caller, Operation
from monite_async._options import RequestOptions, check_count, is_set, raise_faults

__all__ = ["AsyncPager", "Page"]

Item = TypeVar("Item")
Item_co = TypeVar("Item_co", covariant=True)
PageT = TypeVar("PageT", bound="Page[Any]")

_TOKEN = "pagination_token"  # noqa: S105


class Page(Protocol[Item_co]):
    """One page: its items, and the token of the next page (null or absent on the last)."""

    @property
    def data(self) -> Sequence[Item_co]:
        """The items of this page."""
        ...

    @property
    def next_pagination_token(self) -> str | None:
        """What to ask the next page with."""
        ...


class AsyncPager(Generic[PageT, Item]):
    """A list that comes in pages: nothing is sent until it is awaited or iterated.

    ``await pager`` gives the first page, ``async for item in pager`` every item of every page, fetched as needed.
    Every iteration starts anew, several may run at once, and none makes a task of its own.

    Following pages are asked for with the token and the same ``limit`` only: the server remembers the filters, but
    not always the limit (Monite, "Pagination").
    """

    __slots__ = ("_caller", "_operation", "_options", "_path", "_query")

    def __init__(
        self,
        caller: Caller,
        operation: Operation[PageT],
        *,
        path: Mapping[str, object] | None = None,
        query: Mapping[str, object],
        options: RequestOptions | None = None,
    ) -> None:
        self._caller = caller
        self._operation = operation
        self._path = path
        # A token given by the caller resumes an earlier list, whose filters the server still knows.
        token = query.get(_TOKEN)
        self._query = _following(query, token) if token is not None and is_set(token) else dict(query)
        self._options = options

    def __repr__(self) -> str:
        return f"<AsyncPager {self._operation.method} {self._operation.path}>"

    def __await__(self) -> Generator[Any, None, PageT]:
        return self._page(self._query).__await__()

    def __aiter__(self) -> AsyncIterator[Item]:
        return _Items(self.pages())

    def pages(self) -> AsyncIterator[PageT]:
        """Return an iterator over the pages.

        After an error the iterator can be asked again, and tries the page that failed.

        Raises:
            ResponseValidationError: The server sent a token for the second time, so the list would never end.
        """
        return _Pages(self._page, self._query, self._operation)

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
        items: list[Item] = []
        if limit == 0:
            return items
        async for page in self.pages():
            items.extend(page.data)
            if limit is not None and len(items) >= limit:
                return items[:limit]
        return items

    async def _page(self, query: Mapping[str, object]) -> PageT:
        return await self._caller.call(self._operation, path=self._path, query=query, options=self._options)


# Iterators, not async generators: one that is left early needs no closing, so the loop makes no task for it.


class _Pages(Generic[PageT]):
    __slots__ = ("_fetch", "_last", "_operation", "_query", "_seen")

    def __init__(
        self,
        fetch: Callable[[Mapping[str, object]], Awaitable[PageT]],
        query: Mapping[str, object],
        operation: Operation[PageT],
    ) -> None:
        self._fetch = fetch
        self._query = query
        self._operation = operation
        self._seen: set[object] = {query.get(_TOKEN)}
        self._last: PageT | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> PageT:
        if self._last is not None:
            self._advance(self._last.next_pagination_token)
        page = await self._fetch(self._query)
        self._last = page
        return page

    def _advance(self, token: str | None) -> None:
        if not token:
            raise StopAsyncIteration
        if token in self._seen:
            raise ResponseValidationError(
                "the server sent the same pagination token twice; the list would never end",
                method=self._operation.method,
                path=self._operation.path,
            )
        self._seen.add(token)
        self._query = _following(self._query, token)
        self._last = None


class _Items(Generic[Item]):
    __slots__ = ("_items", "_pages")

    def __init__(self, pages: AsyncIterator[Page[Item]]) -> None:
        self._pages = pages
        self._items: Iterator[Item] = iter(())

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Item:
        while True:
            for item in self._items:
                return item
            self._items = iter((await anext(self._pages)).data)


def _following(query: Mapping[str, object], token: object) -> dict[str, object]:
    following = {_TOKEN: token}
    if "limit" in query:
        following["limit"] = query["limit"]
    return following
