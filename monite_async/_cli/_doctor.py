"""``monite-async doctor``: everything that a first call needs, looked at in the order in which it is needed."""

from __future__ import annotations

import platform
from collections.abc import AsyncGenerator, Callable
from importlib.metadata import PackageNotFoundError, version

from monite_async import APIStatusError, AsyncMonite, ConfigurationError, MoniteError, RequestOptions
from monite_async._cli._client import client, wire_of
from monite_async._cli._doctor_net import look_at_clock, look_at_name, look_at_tls, proxy_of
from monite_async._cli._doctor_store import look_at_store
from monite_async._cli._exits import Exit, Stop, failure_of
from monite_async._cli._findings import Finding, fail, good, warn
from monite_async._cli._output import Output, duration
from monite_async._cli._store import environment_store
from monite_async._config import Config
from monite_async._options import Capture
from monite_async._tokens.issuer import Wire
from monite_async._version import __version__
from monite_async_stores import TokenStore

__all__ = ["doctor"]

_PACKAGES = ("httpx", "h11", "pydantic", "anyio", "certifi", "redis", "cryptography")


async def doctor(output: Output, *, wire: str, limit: float) -> None:
    """Look at everything and print a line for each thing.

    Args:
        output: Where the findings go.
        wire: The name of the wire.
        limit: Seconds that each look may take.

    Raises:
        Stop: Something failed; the first thing that did decides the exit status.
    """
    found = [finding async for finding in _examine(wire, limit)]
    data = [
        {"check": one.name, "state": one.state, "found": one.text, **({"advice": one.advice} if one.advice else {})}
        for one in found
    ]
    rows = [
        {"": one.state, "check": one.name, "found": one.text + (f"\n→ {one.advice}" if one.advice else "")}
        for one in found
    ]
    output.result({"findings": data}, rows, columns=False)
    failed = [one for one in found if one.state == "fail"]
    if failed:
        raise Stop(failed[0].code, f"{', '.join(one.name for one in failed)}: see above")


async def _examine(wire: str, limit: float) -> AsyncGenerator[Finding]:
    yield _versions()
    try:
        store = await environment_store()
    except Stop as stop:
        yield fail("store", stop.code, str(stop), "correct MONITE_TOKEN_STORE; docs/stores.md lists the forms")
        return
    try:
        try:
            monite = client(wire, store, limit)
        except ConfigurationError as exc:
            yield fail("configuration", Exit.CONFIGURATION, exc.message, "set the MONITE_... variables; docs/cli.md")
            return
        async with monite:
            yield _configuration(monite._core.config, wire_of(wire))
            async for finding in _look(monite, store, limit):
                yield finding
    finally:
        await store.aclose()


async def _look(monite: AsyncMonite, store: TokenStore, limit: float) -> AsyncGenerator[Finding]:
    base_url = monite._core.config.base_url
    proxy = proxy_of(base_url)
    for look in (look_at_name, look_at_tls, look_at_clock):
        finding = await look(base_url, limit, proxy)
        yield finding
        if finding.state == "fail":
            break
    yield await look_at_store(store)
    async for finding in _calls(monite):
        yield finding


def _versions() -> Finding:
    found = [f"monite-async {__version__}", f"Python {platform.python_version()}"]
    for name in _PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"{name} not installed")
    return good("versions", ", ".join(found))


def _configuration(config: Config, wire: Wire) -> Finding:
    text = f"{config.base_url}, version {config.api_version}, client {config.client_id[:8]}…"
    if wire.version_header != Wire().version_header:
        advice = (
            "this wire is experimental: the models of this library are Monite's, and fields may be missing or other"
        )
        return warn("configuration", text, advice)
    if config.api_version != wire.api_version:
        advice = f"the models of this library are those of {wire.api_version}: fields may be missing or other"
        return warn("configuration", text, advice)
    return good("configuration", text)


async def _calls(monite: AsyncMonite) -> AsyncGenerator[Finding]:
    try:
        token = await monite.token()
    except MoniteError as exc:
        yield _refused("token", exc, fail)
        return
    yield good("token", f"#{token.fingerprint}, {duration(token.expires_in)} of {duration(token.lifetime)} left")
    capture = Capture()
    try:
        await monite.request("GET", "/settings", cast_to=None, options=RequestOptions(capture=capture))
    except APIStatusError as exc:
        yield _refused("first call", exc, warn_of)
        return
    except MoniteError as exc:
        yield _refused("first call", exc, fail)
        return
    yield good("first call", f"GET /settings: status {capture.status}")
    allowed = capture.headers.get("ratelimit-limit") or capture.headers.get("x-ratelimit-limit-second")
    if allowed:
        left = capture.headers.get("ratelimit-remaining", "?")
        yield good("rate limit", f"{allowed} requests per second, {left} left in this one")
    else:
        yield warn("rate limit", "the answer tells none", "pass rate_limit= if you are limited all the same")


def warn_of(name: str, _: Exit, text: str, advice: str) -> Finding:
    """Return a warning where another status would make a failure."""
    return warn(name, text, advice)


def _refused(name: str, error: MoniteError, how: Callable[[str, Exit, str, str], Finding]) -> Finding:
    code, text, _ = failure_of(error)
    advice = {
        Exit.AUTHENTICATION: "check MONITE_CLIENT_ID, MONITE_CLIENT_SECRET and the environment: they differ per environment",
        Exit.NETWORK: "look at the findings above; then at the status page of the API",
    }.get(code, "quote the request id to the support of the API")
    return how(name, code, text, advice)
