"""Waiting for work of the API: until it is over, has failed, or the time is up."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import pytest

from monite_async._errors import ConfigurationError, MoniteError, NotFoundError, WorkFailedError, WorkTimeout
from monite_async._http.operation import Operation
from monite_async._options import RequestOptions
from monite_async._waiting import Until, wait_for
from tests.virtual import run_virtual

T = TypeVar("T")


@dataclass(frozen=True)
class Work:
    """How far some work is."""

    status: str | None = None
    url: str | None = None


OPERATION: Operation[Work] = Operation("GET", "/works/{work_id}", Work)
OCR = Until("status", done=frozenset({"success"}), failed=frozenset({"error"}), optional=True)
LINK = Until("status", failed=frozenset({"error"}), ready="url")
ISSUE = Until("status", failed=frozenset({"failed"}), pending=frozenset({"issuing"}))


@dataclass
class Server:
    """Answers with what it was given, the last for ever; remembers when it was asked."""

    answers: list[Work | Exception]
    times: list[float] = field(default_factory=list[float])
    options: list[RequestOptions | None] = field(default_factory=list["RequestOptions | None"])
    hang: bool = False

    async def call(
        self,
        operation: Operation[T],
        *,
        path: Mapping[str, object] | None = None,
        query: Mapping[str, object] | None = None,
        body: Any = None,
        options: RequestOptions | None = None,
    ) -> T:
        """Answer once."""
        assert (path, query, body) == ({"work_id": "w"}, None, None)
        self.times.append(asyncio.get_running_loop().time())
        self.options.append(options)
        if self.hang:
            await asyncio.Event().wait()
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return cast("T", answer)

    async def wait(self, until: Until, timeout: float = 300.0, options: RequestOptions | None = None) -> Work:
        """Wait for the work."""
        return await wait_for(self, OPERATION, until, path={"work_id": "w"}, timeout=timeout, options=options)


def _server(*states: str | None) -> Server:
    return Server([Work(state) for state in states])


def test_waiting_ends_with_the_answer_that_says_so() -> None:
    """Polls go on while the work does, and the last answer is what the caller gets."""
    server = _server("processing", "processing", "success")
    options = RequestOptions(timeout=3)
    assert run_virtual(server.wait(OCR, options=options)) == Work("success")
    assert server.options == [options] * 3


def test_work_that_is_over_costs_one_request() -> None:
    """The first look comes at once, not after a pause."""
    server = _server("success")
    assert run_virtual(server.wait(OCR)) == Work("success")
    assert server.times == [1000.0]


def test_pauses_grow_up_to_a_bound_and_are_spread() -> None:
    """Pauses begin at half a second, grow by half each, and stay within a quarter of at most 10 seconds."""
    server = _server(*["processing"] * 20, "success")
    run_virtual(server.wait(OCR))
    pauses = [later - sooner for sooner, later in zip(server.times, server.times[1:], strict=False)]
    wanted = [min(0.5 * 1.5**at, 10.0) for at in range(20)]
    assert all(0.75 * middle <= pause <= 1.25 * middle for pause, middle in zip(pauses, wanted, strict=True))
    assert len({round(pause / middle, 6) for pause, middle in zip(pauses, wanted, strict=True)}) > 1


def test_failure_is_an_error_with_the_state() -> None:
    """A state of failure ends the wait with an error that names it and the place."""
    with pytest.raises(WorkFailedError, match="ended in state error") as caught:
        run_virtual(_server("processing", "error").wait(OCR))
    error = caught.value
    assert (error.state, error.method, error.path, error.attempts) == ("error", "GET", "/works/{work_id}", 2)
    assert isinstance(error, MoniteError)
    twin = pickle.loads(pickle.dumps(error))
    assert (twin.state, str(twin)) == (error.state, str(error))


@pytest.mark.parametrize("hang", [False, True])
def test_the_time_limit_holds_and_tells_the_last_state(hang: bool) -> None:
    """At the time limit the wait ends, in a pause or in the middle of a request, and says how far the work was."""
    server = _server("processing")
    server.hang = hang

    async def main() -> float:
        with pytest.raises(WorkTimeout, match="not over within 30 s") as caught:
            await server.wait(OCR, timeout=30)
        assert isinstance(caught.value, TimeoutError)
        assert caught.value.state == ("unknown" if hang else "processing")
        assert caught.value.__context__ is None
        return asyncio.get_running_loop().time()

    assert run_virtual(main()) == pytest.approx(1030)


def test_a_time_limit_of_the_caller_is_the_callers() -> None:
    """``asyncio.timeout`` around a wait ends in TimeoutError, not in an error about the work."""

    async def main() -> None:
        async with asyncio.timeout(5):
            await _server("processing").wait(OCR)

    with pytest.raises(TimeoutError) as caught:
        run_virtual(main())
    assert not isinstance(caught.value, MoniteError)


def test_a_timeout_from_within_comes_through() -> None:
    """A TimeoutError that a request raises by itself is not taken for the wait's own."""
    with pytest.raises(TimeoutError, match="of its own"):
        run_virtual(Server([TimeoutError("of its own")]).wait(OCR))


def test_a_wait_can_be_cancelled() -> None:
    """Cancelling ends the wait in its pause; nothing is asked afterwards."""
    server = _server("processing")

    async def main() -> None:
        task = asyncio.ensure_future(server.wait(OCR))
        await asyncio.sleep(3)
        count = len(server.times)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(60)
        assert len(server.times) == count

    run_virtual(main())


def test_a_failed_request_ends_the_wait() -> None:
    """What the request loop gave up on is raised as it is."""
    with pytest.raises(NotFoundError):
        run_virtual(Server([Work("processing"), NotFoundError("no such work")]).wait(OCR))


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), "5", True], ids=repr)
def test_a_time_limit_without_sense_is_refused(timeout: Any) -> None:
    """A wait without a positive number of seconds is a mistake of the caller, and nothing is sent."""
    server = _server("success")
    with pytest.raises(ConfigurationError, match="positive number of seconds"):
        run_virtual(server.wait(OCR, timeout=timeout))
    assert server.times == []


@pytest.mark.parametrize(
    ("until", "answer", "found"),
    [
        (OCR, Work("success"), "done"),
        (OCR, Work("error"), "failed"),
        (OCR, Work("levitating"), "pending"),
        (OCR, Work(None), "done"),
        (Until("status", done=frozenset({"ok"})), Work(None), "pending"),
        (LINK, Work("levitating"), "pending"),
        (LINK, Work("success", "https://files.test/1"), "done"),
        (LINK, Work("error", "https://files.test/1"), "failed"),
        (Until(ready="url"), Work(), "pending"),
        (Until(ready="url"), Work(url="https://files.test/1"), "done"),
        (ISSUE, Work("issuing"), "pending"),
        (ISSUE, Work("failed"), "failed"),
        (ISSUE, Work("issued"), "done"),
        (Until("no_such_field", done=frozenset({"x"})), Work("x"), "pending"),
    ],
)
def test_what_counts_as_over(until: Until, answer: Work, found: str) -> None:
    """Known ends end it, unknown states do not, a value that was waited for does, and null does where nothing is done."""
    assert until.look(answer)[0] == found
