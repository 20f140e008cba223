"""The configuration of a client: what was given, what the environment adds, and everything that is wrong with it."""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import field
from typing import Final, Literal, Protocol, TypeAlias, cast
from urllib.parse import SplitResult, urlsplit
from uuid import UUID

from monite_async._errors import ConfigurationError
from monite_async._headers import check_headers
from monite_async._options import RequestOptions, RetryPolicy, check_seconds, check_type, raise_faults
from monite_async._rate import SharedRate, is_rate
from monite_async_stores._value import frozen

__all__ = [
    "DEFAULT_API_VERSION",
    "DEFAULT_ENVIRONMENT",
    "ENVIRONMENTS",
    "Config",
    "Defaults",
    "Environment",
    "Hidden",
    "Settings",
    "TokenSource",
    "clean_id",
    "is_loopback",
    "read_config",
]

Environment: TypeAlias = Literal["dev", "sandbox", "eu", "us"]
TokenSource: TypeAlias = str | Callable[[], Awaitable[str]]

ENVIRONMENTS: Final[Mapping[str, str]] = {
    "dev": "https://api.dev.monite.com/v1",
    "sandbox": "https://api.sandbox.monite.com/v1",
    "eu": "https://api.monite.com/v1",
    "us": "https://us.api.monite.com/v1",
}
DEFAULT_API_VERSION: Final = "2024-05-25"
DEFAULT_ENVIRONMENT: Final = "sandbox"
_is_canonical: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").fullmatch
_ID = re.compile(r"[\x21-\x7e]{1,256}")
_HOST = re.compile(
    r"(?=.{1,253}\.?$)[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?|[0-9a-f.]*:[0-9a-f:.]*(?:%[\w%.-]+)?", re.IGNORECASE | re.ASCII
)
_MAX_URL: Final = 2000
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


class Hidden:
    """A secret on its way through the configuration; it never shows itself, not even in a traceback with locals."""

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        self.value: object = value

    def __repr__(self) -> str:
        return "<hidden>"

    def __reduce__(self) -> str:
        raise TypeError("a secret cannot be pickled")


@frozen
class Settings:
    """What a caller passed to a client, unchecked; None means "not given". ``owner`` is what its errors call it."""

    client_id: object = None
    client_secret: Hidden = field(default_factory=lambda: Hidden(None))
    token: Hidden = field(default_factory=lambda: Hidden(None))
    environment: object = None
    base_url: object = field(default=None, repr=False)  # which may hold a password, and shall not
    api_version: object = None
    timeout: object = None
    deadline: object = None
    retry: object = None
    headers: object = field(default=None, repr=False)
    lenient: object = None
    rate_limit: object = None
    max_response_bytes: object = None
    issuer: bool = False
    owner: str = "AsyncMonite"


@frozen
class Config:
    """A configuration in which nothing is wrong.

    Attributes:
        base_url: Where the API is, without a slash at its end.
        api_version: Value of the version header.
        client_id: The partner's id; empty when the token comes from elsewhere.
        secret: The client secret or its provider, or the token or its function; which one says ``static``.
        static: The token comes from elsewhere.
        options: Options of every call.
        rate_limit: Requests per second of the client, or of all processes together, or None to learn them.
        max_response_bytes: Longest answer that is read, in bytes.
    """

    base_url: str
    api_version: str
    client_id: str
    secret: Hidden
    static: bool
    options: RequestOptions
    rate_limit: float | SharedRate | None
    max_response_bytes: int


class Defaults(Protocol):
    """What is read of a platform (``Wire``): where it is, and what holds when nothing else is said."""

    @property
    def environments(self) -> Mapping[str, str]:
        """Base URLs by name."""
        ...

    @property
    def environment(self) -> str:
        """The name to use when none is given."""
        ...

    @property
    def api_version(self) -> str:
        """The version to use when none is given."""
        ...

    @property
    def uuid_client_id(self) -> bool:
        """Whether client ids are UUIDs."""
        ...


class _Reader:
    """Reads settings and the environment, and collects what is wrong with them."""

    def __init__(self, given: Settings, env: Mapping[str, str], wire: Defaults) -> None:
        self.given = given
        self.env = env
        self.wire = wire
        self.faults: list[str] = []

    def text(self, name: str, variable: str) -> tuple[object, str]:
        """Return a setting or else the environment's, and what to call it in a message."""
        value = getattr(self.given, name)
        if value is None and self.env.get(variable, "").strip():
            return self.env[variable].strip(), variable
        return value, name

    def client_id(self) -> str:
        value, name = self.text("client_id", "MONITE_CLIENT_ID")
        text = str(value) if isinstance(value, UUID) else value
        if text is None:
            if self.given.issuer:
                return ""
            self.faults.append(
                "no credentials: give client_id and client_secret (or set MONITE_CLIENT_ID and MONITE_CLIENT_SECRET), or token"
            )
        elif not isinstance(text, str):
            self.faults.append(f"{name} must be a string or a UUID, got {type(text).__name__}")
        elif not text.strip():
            self.faults.append(f"{name} must not be blank")
        elif self.wire.uuid_client_id and not self.given.issuer and not _is_canonical(text.lower()):
            self.faults.append(f"{name} must be a UUID like 01234567-89ab-cdef-0123-456789abcdef")
        elif text != text.strip() or not text.isprintable():
            self.faults.append(f"{name} has white space around it or holds control characters")
        else:
            return _canonical(text)
        return ""

    def client_secret(self) -> Hidden:
        hidden, name = self.given.client_secret, "client_secret"
        if hidden.value is None and self.env.get("MONITE_CLIENT_SECRET"):
            hidden, name = Hidden(self.env["MONITE_CLIENT_SECRET"]), "MONITE_CLIENT_SECRET"
        if hidden.value is None:
            if not self.given.issuer:
                self.faults.append("no client secret: give client_secret or set MONITE_CLIENT_SECRET")
        elif isinstance(hidden.value, str):
            if not hidden.value.strip():
                self.faults.append(f"{name} must not be blank")
            elif hidden.value != hidden.value.strip() or not hidden.value.isprintable():
                self.faults.append(f"{name} has white space around it or holds control characters")
        elif not callable(hidden.value):
            self.faults.append(f"{name} must be a string or an async function that returns one")
        return hidden

    def token(self) -> Hidden:
        if self.given.client_id is not None or self.given.client_secret.value is not None or self.given.issuer:
            self.faults.append("give either token or credentials, not both")
        value = self.given.token.value
        if isinstance(value, str):
            if not value or len(value) > 16 * 1024 or not all("!" <= ch <= "~" for ch in value):
                self.faults.append("token must be 1 to 16384 visible ASCII characters, without 'Bearer' before it")
        elif not callable(value):
            self.faults.append("token must be a string or an async function that returns one")
        return self.given.token

    def base_url(self) -> str:
        given = self.given
        if given.environment is not None and given.base_url is not None:
            self.faults.append("give either environment or base_url, not both")
            return ""
        environment, base_url = given.environment, given.base_url
        name, url_name = "environment", "base_url"
        if environment is None and base_url is None:
            # What is passed wins over the environment as a whole: a stray variable must not redirect a client.
            environment, name = self.text("environment", "MONITE_ENVIRONMENT")
            base_url, url_name = self.text("base_url", "MONITE_BASE_URL")
            if environment is not None and base_url is not None:
                self.faults.append("set either MONITE_ENVIRONMENT or MONITE_BASE_URL, not both")
                return ""
        if base_url is not None:
            return _check_url(self.faults, url_name, base_url)
        known = environment or (self.wire.environment if environment is None else "")
        if isinstance(known, str) and known in self.wire.environments:
            return self.wire.environments[known]
        self.faults.append(f"{name} must be one of {', '.join(self.wire.environments)}")
        return ""

    def api_version(self) -> str:
        value, name = self.text("api_version", "MONITE_API_VERSION")
        if value is None:
            return self.wire.api_version
        text = value.isoformat() if type(value) is dt.date else value
        if isinstance(text, str) and _DATE.fullmatch(text):
            try:
                return dt.date.fromisoformat(text).isoformat()
            except ValueError:
                pass
        self.faults.append(f"{name} must be a date like {self.wire.api_version}")
        return self.wire.api_version

    def options(self, reserved: tuple[str, ...]) -> RequestOptions:
        given = self.given
        count = len(self.faults)
        for name in ("timeout", "deadline"):
            check_seconds(self.faults, name, getattr(given, name))
        if given.retry is not None and not isinstance(given.retry, RetryPolicy):
            self.faults.append(f"retry must be a RetryPolicy, got {type(given.retry).__name__}")
        check_type(self.faults, "lenient", given.lenient, bool)
        headers: object = dict[str, str]() if given.headers is None else given.headers
        check_headers(self.faults, headers, reserved)
        if len(self.faults) > count:
            return RequestOptions()
        return RequestOptions(
            timeout=cast("float | None", given.timeout),
            deadline=cast("float | None", given.deadline),
            retry=cast("RetryPolicy | None", given.retry),
            headers=dict(cast("Mapping[str, str]", headers)),
            lenient=cast("bool | None", given.lenient),
        )

    def rate_limit(self) -> float | SharedRate | None:
        value = self.given.rate_limit
        if value is None or isinstance(value, SharedRate):
            return value
        if isinstance(value, int | float) and is_rate(value):
            return float(value)
        self.faults.append("rate_limit must be a positive number of requests per second, a SharedRate, or None")
        return None

    def max_response_bytes(self) -> int:
        value = 64 * 1024 * 1024 if self.given.max_response_bytes is None else self.given.max_response_bytes
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
        self.faults.append("max_response_bytes must be a positive whole number of bytes")
        return 0


def read_config(
    given: Settings,
    wire: Defaults,
    *,
    reserved: tuple[str, ...],
    faults: list[str],
    env: Mapping[str, str] | None = None,
) -> Config:
    """Check everything and return the configuration.

    Args:
        given: What was passed.
        wire: The platform.
        reserved: Headers that callers cannot set.
        faults: What else was found wrong already; raised with the rest.
        env: The environment; the process's by default.

    Raises:
        ConfigurationError: With every fault that was found, none with a secret in it.
    """
    reader = _Reader(given, os.environ if env is None else env, wire)
    reader.faults.extend(faults)
    static = given.token.value is not None
    config = Config(
        client_id="" if static else reader.client_id(),
        secret=reader.token() if static else reader.client_secret(),
        static=static,
        base_url=reader.base_url(),
        api_version=reader.api_version(),
        options=reader.options(reserved),
        rate_limit=reader.rate_limit(),
        max_response_bytes=reader.max_response_bytes(),
    )
    raise_faults(given.owner, reader.faults)
    return config


def _check_url(faults: list[str], name: str, value: object) -> str:
    """Note what is wrong with a base URL; its text is never repeated, it may hold a password."""
    if not isinstance(value, str) or not re.fullmatch(r"[\x21-\x7e]+", value) or "\\" in value:
        faults.append(f"{name} must be a URL of visible ASCII characters")
        return ""
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname, parts.port
    except ValueError:
        faults.append(f"{name} is not a URL: its host or port is malformed")
        return ""
    found = _url_faults(parts, host, value)
    faults.extend(f"{name} {text}" for text in found)
    return "" if found else value.rstrip("/")


def _url_faults(parts: SplitResult, host: str | None, value: str) -> list[str]:
    found: list[str] = []
    if len(value) > _MAX_URL:
        found.append(f"must be at most {_MAX_URL} characters")
    if parts.scheme not in {"http", "https"} or not host:
        found.append("must begin with https:// and name a host")
    elif not _HOST.fullmatch(host):
        found.append("names a host that cannot be: letters, digits, hyphens and dots, or an address")
    elif parts.scheme == "http" and not is_loopback(host):
        found.append("must be https: tokens are sent over plain http to this machine only")
    if "@" in parts.netloc:
        found.append("must hold no user and no password")
    if "?" in value or "#" in value:
        found.append("must hold no query and no fragment")
    if any(segment in {".", ".."} for segment in parts.path.split("/")):
        found.append("must hold no '.' or '..' segment")
    return found


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine: ``localhost`` or a loopback address (RFC 6890)."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def clean_id(name: str, value: object) -> str:
    """Return an id as text.

    Raises:
        ConfigurationError: It is empty, blank, too long, or cannot stand in a header.
    """
    if type(value) is str and _is_canonical(value):  # as nearly all are: ids come from answers, and go back in calls
        return value
    text = str(value) if isinstance(value, UUID) else value
    if not isinstance(text, str):
        raise ConfigurationError(f"{name} must be a string or a UUID, got {type(value).__name__}")
    if not text.strip():
        raise ConfigurationError(f"{name} must not be empty or blank")
    if not _ID.fullmatch(text):
        raise ConfigurationError(f"{name} must be 1 to 256 visible ASCII characters")
    return _canonical(text)


def _canonical(text: str) -> str:
    # RFC 9562, section 4: a UUID means the same in either case, and one user must not get two tokens for it.
    lower = text.lower()
    return lower if _is_canonical(lower) else text
