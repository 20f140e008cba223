"""Lists that come in pages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

from monite_async._errors import ConfigurationError, ResponseValidationError
from monite_async._http.operation import Caller, Operation
from monite_async._options import RequestOptions, is_set

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
        self._query = self._following(query, token) if token is not None and is_set(token) else dict(query)
        self._options = options

    def __repr__(self) -> str:
        return f"<AsyncPager {self._operation.method} {self._operation.path}>"

    def __await__(self) -> Generator[Any, None, PageT]:
        return self._page(self._query).__await__()

    async def __aiter__(self) -> AsyncIterator[Item]:
        async for page in self.pages():
            for item in page.data:
                yield item

    async def pages(self) -> AsyncIterator[PageT]:
        """Iterate over the pages.

        Raises:
            ResponseValidationError: The server sent a token for the second time, so the list would never end.
        """
        query: Mapping[str, object] = self._query
        seen: set[object] = {query.get(_TOKEN)}
        while True:
            page = await self._page(query)
            yield page
            token = page.next_pagination_token
            if not token:
                return
            if token in seen:
                raise ResponseValidationError(
                    "the server sent the same pagination token twice; the list would never end",
                    method=self._operation.method,
                    path=self._operation.path,
                )
            seen.add(token)
            query = self._following(query, token)

    async def collect(self, limit: int | None = None) -> list[Item]:
        """Return the items as a list.

        Args:
            limit: At most this many items; no page is asked for that is not needed. None means all of them.

        Raises:
            ConfigurationError: The limit is negative.
        """
        if limit is not None and limit < 0:
            raise ConfigurationError(f"limit must be 0 or more, got {limit}")
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

    @staticmethod
    def _following(query: Mapping[str, object], token: object) -> dict[str, object]:
        following = {_TOKEN: token}
        if "limit" in query:
            following["limit"] = query["limit"]
        return following
