"""Which proxy the environment names, held against httpx's own reading of it."""

from __future__ import annotations

import itertools
import os
import pickle

import httpx
import pytest
from httpx._utils import URLPattern, get_environment_proxies

from monite_async._http.place import place_of
from monite_async._http.proxies import ProxyTable, environment_proxies

HOSTS = ["api.monite.com", "monite.com", "notmonite.com", "localhost", "127.0.0.1", "127.0.0.2", "[::1]", "10.0.0.0"]
ENTRIES = [
    "", "*", "monite.com", ".monite.com", "api.monite.com", "localhost", "127.0.0.1", "::1", "10.0.0.1", "com",
    "monite.com:8443", "api.monite.com:443", "https://api.monite.com", "http://monite.com", "all://monite.com",
    "localhost:8080", "127.0.0.1:8080", "https://monite.com:8443", "MONITE.com",
]  # fmt: skip
SET = [("HTTP_PROXY",), ("https_proxy",), ("ALL_PROXY",), ("https_proxy", "all_proxy"), ("http_proxy", "HTTPS_PROXY")]


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start without what this machine may have."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


def _as_httpx_reads_it(url: httpx.URL) -> str | None:
    patterns = sorted((URLPattern(key), proxy) for key, proxy in get_environment_proxies().items())
    return next((proxy for pattern, proxy in patterns if pattern.matches(url)), None)


@pytest.mark.parametrize("names", SET, ids="+".join)
def test_the_environment_is_read_as_httpx_reads_it(names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """For every server, every entry of NO_PROXY and any two of them, the proxy is the one that httpx would take."""
    for number, name in enumerate(names):
        monkeypatch.setenv(name, f"http://proxy{number}:3128" if number else "proxy0:3128")
    urls = [
        httpx.URL(f"{scheme}://{host}{port}/")
        for scheme in ("http", "https")
        for host in HOSTS
        for port in ("", ":8443", ":8080")
    ]
    for entries in [*itertools.combinations(ENTRIES, 1), *itertools.combinations(ENTRIES[:5], 2)]:
        monkeypatch.setenv("no_proxy", ", ".join(entries))
        table = environment_proxies()
        assert table is not None
        for url in urls:
            place = place_of(url)
            assert place is not None
            assert table.find(place.origin) == _as_httpx_reads_it(url), (entries, url)


def test_without_a_proxy_there_is_nothing_to_ask() -> None:
    """NO_PROXY alone names no proxy."""
    os.environ["NO_PROXY"] = "x"
    try:
        assert environment_proxies() is None
    finally:
        del os.environ["NO_PROXY"]


def test_an_entry_that_is_none_is_passed_over() -> None:
    """An entry of NO_PROXY with a port that is no number names no server."""
    table = ProxyTable({"all": "http://proxy:3128"}, ["monite.com:port"])
    assert table.find(("https", "monite.com", 443)) == "http://proxy:3128"


def test_a_table_never_shows_itself() -> None:
    """A proxy's password is in no repr and no pickle."""
    table = ProxyTable({"all": "http://user:canary@proxy:3128"}, [])
    assert "canary" not in repr(table)
    with pytest.raises(TypeError, match="passwords"):
        pickle.dumps(table)
