"""The token endpoint inside a real framework."""

from __future__ import annotations

import httpx
import pytest
from fastapi import FastAPI
from starlette.routing import Mount, Route

from monite_async.asgi import TokenEndpoint, lifespan
from tests.test_asgi import Backend, identify

pytestmark = pytest.mark.checkout


@pytest.mark.parametrize("path", ["/route", "/route/", "/in/group", "/sub/app", "/prefix/", "/prefix/and/more"])
async def test_it_can_be_mounted_wherever_a_framework_mounts(path: str) -> None:
    """As a route, in a group, below an application of its own, and below a prefix: it answers alike."""
    backend = Backend()
    user = await backend.hire()
    endpoint = TokenEndpoint(backend.monite, identify)
    inner = FastAPI()
    inner.router.routes.append(Route("/app", endpoint))
    app = FastAPI(lifespan=lifespan(backend.monite))
    app.router.routes += [Route("/route", endpoint), Mount("/in", routes=[Route("/group", endpoint)])]
    app.mount("/sub", inner)
    app.mount("/prefix", endpoint)
    transport = httpx.ASGITransport(app=app)
    async with (
        backend.monite,
        httpx.AsyncClient(transport=transport, base_url="http://test", follow_redirects=True) as browser,
    ):
        answers = [await browser.request(method, path, headers={"x-user": user}) for method in ("GET", "POST")]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert {answer.json()["token_type"] for answer in answers} == {"Bearer"}
    assert {answer.headers["cache-control"] for answer in answers} == {"no-store"}
