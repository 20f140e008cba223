"""What every answer of the emulator has in common: versions, headers, routes, error shapes, limits."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest

from monite_async.emulator import Clock, Emulator, EmulatorSettings
from monite_async.emulator._app import OPERATIONS
from monite_async.emulator._contract.routes import ROUTES
from monite_async.emulator._errors import RefusedError
from monite_async.emulator._message import Request, as_list, as_object
from monite_async.emulator._query import parse_query
from monite_async.emulator._route import QueryParam, Route
from tests.emulator.drive import VERSION, driving, locations, message


async def test_a_missing_version_header_is_the_documented_400() -> None:
    """Without the version header: 400 with a type in the error, on the auth endpoints too."""
    expected = {"error": {"type": "missing_api_version", "message": "Missing the x-monite-version HTTP header"}}
    async with driving() as (_, driver):
        response = await driver.send("GET", "/entities", version=None)
        assert (response.status_code, response.json()) == (400, expected)
        assert (await driver.http.post("/auth/token", json={})).json() == expected


async def test_the_auth_endpoints_may_go_without_a_version() -> None:
    """The documents call the version header on /auth/token optional: a setting."""
    async with driving(EmulatorSettings(version_required_on_auth=False)) as (_, driver):
        body = {**driver.credentials, "grant_type": "client_credentials"}
        assert (await driver.http.post("/auth/token", json=body)).status_code == 200
        assert (await driver.send("GET", "/entities", version=None)).status_code == 400


@pytest.mark.parametrize(("version", "status"), [("2024-12-31", 200), ("2030-01-01", 200), ("2020-01-01", 404)])
async def test_an_unknown_date_is_served_by_the_nearest_earlier_version(version: str, status: int) -> None:
    """A date between versions is served by the earlier one, an older one than all by none; the date is echoed."""
    async with driving() as (_, driver):
        response = await driver.send("GET", "/entities", version=version)
        assert (response.status_code, response.headers["x-monite-version"]) == (status, version)


async def test_an_unparsable_version_is_a_bare_list_of_errors() -> None:
    """A version that is no date: 422 whose body is a JSON array."""
    async with driving() as (_, driver):
        response = await driver.send("GET", "/entities", version="latest")
        assert response.status_code == 422
        assert [entry["loc"] for entry in response.json()] == [["header", "x-monite-version"]]


async def test_every_answer_has_the_common_headers() -> None:
    """Request id, process time, version, entity and rate limits are on answers, errors included."""
    async with driving() as (_, driver):
        for path in ("/payables", "/payables?limit=0", "/counterparts"):
            response = await driver.send("GET", path)
            assert UUID(response.headers["x-request-id"]).version == 4
            assert float(response.headers["x-process-time"]) >= 0
            assert response.headers["x-monite-version"] == VERSION
            assert response.headers["x-monite-entity-id"] == driver.entity_id
            limit = response.headers["ratelimit-limit"]
            assert response.headers["x-ratelimit-limit-second"] == limit
            remaining = response.headers["ratelimit-remaining"]
            assert response.headers["x-ratelimit-remaining-second"] == remaining


async def test_what_is_not_emulated_is_a_501_that_says_so() -> None:
    """Every operation of the contract is either emulated or 501, and so is what the contract does not have."""
    async with driving() as (_, driver):
        for route in ROUTES:
            if route.operation_id not in OPERATIONS:
                path = "/".join(driver.entity_id if part.startswith("{") else part for part in route.path.split("/"))
                response = await driver.send(route.method, path)
                assert response.status_code == 501
                assert route.operation_id in message(response)
        assert (await driver.send("GET", "/nothing/here")).status_code == 501
        assert (await driver.send("GET", "https://emulator.test/v2/payables")).status_code == 501


async def test_a_wrong_method_is_a_405_with_allow() -> None:
    """A known path with another method: 405, naming the methods that work."""
    async with driving() as (_, driver):
        response = await driver.send("PUT", "/payables")
        assert (response.status_code, response.headers["allow"]) == (405, "GET, POST")
        assert set(response.json()) == {"error"}


async def test_a_trailing_slash_is_redirected() -> None:
    """A path that only has a slash too many is redirected, as the router library does."""
    async with driving() as (_, driver):
        response = await driver.send("GET", "/payables/")
        assert (response.status_code, response.headers["location"]) == (307, "/v1/payables")


async def test_faults_in_query_path_and_body_are_named_as_fastapi_names_them() -> None:
    """422 lists each unknown, ill-typed, missing or too large value with its place and kind."""
    async with driving() as (_, driver):
        query = {"limit": "101", "due_date": "soon", "nonsense": "1", "created_at__gt": "now", "has_file": "maybe"}
        response = await driver.send("GET", "/payables", query=query)
        assert sorted(str(place[1]) for place in locations(response)) == sorted(query)
        more = {"id__in": "x", "total_amount": "1.5", "status": "lost", "limit": "0"}
        assert len(locations(await driver.send("GET", "/payables", query=more))) == 4
        assert locations(await driver.send("GET", "/payables/first")) == [("path", "payable_id")]
        body = {"total_amount": "much", "surprise": 1, "due_date": "2026-13-01"}
        faults = locations(await driver.send("POST", "/payables", body))
        assert sorted(faults) == [("body", "due_date"), ("body", "surprise"), ("body", "total_amount")]
        assert locations(await driver.send("POST", "/payables")) == [("body",)]
        garbled = await driver.send("POST", "/roles", headers={"content-type": "application/json"}, body="{")
        assert garbled.status_code == 422


@pytest.mark.parametrize(
    ("param", "text", "expected"),
    [
        (QueryParam("x", "number", minimum=0.5), "0.75", 0.75),
        (QueryParam("x", "number", minimum=0.5), "0.25", "greater_than_equal"),
        (QueryParam("x", "number"), "much", "float_parsing"),
        (QueryParam("x", "uuid"), "6F3E1C5A-2B7D-4C8E-9A10-5D2F4B6C8E01", "6f3e1c5a-2b7d-4c8e-9a10-5d2f4b6c8e01"),
        (QueryParam("x", "date-time"), "2026-02-30T00:00:00Z", "datetime_parsing"),
        (QueryParam("x", "date-time"), "2026-02-03T00:00:00", datetime(2026, 2, 3, tzinfo=UTC)),
        (QueryParam("x", "boolean"), "TRUE", True),
        (QueryParam("x", "string", required=True), None, "missing"),
    ],
)
def test_each_kind_of_parameter_is_read_or_refused(param: QueryParam, text: str | None, expected: object) -> None:
    """Every kind of query parameter of the contract is parsed, or refused with FastAPI's name for the mistake."""
    route = Route("x", "GET", "/x", "x", "absent", 200, "absent", False, (param,))
    request = Request("GET", "/x", () if text is None else (("x", text),))
    try:
        value: object = parse_query(route, request, EmulatorSettings())["x"]
    except RefusedError as refused:
        value = as_object(as_list(as_object(refused.body)["detail"])[0])["type"]
    assert value == expected


async def test_a_limit_out_of_range_alone_has_its_own_status() -> None:
    """The documents say 416 for a bad limit, the contract 422: a setting."""
    async with driving(EmulatorSettings(bad_limit_status=416)) as (_, driver):
        assert (await driver.send("GET", "/payables", query={"limit": 0})).status_code == 416
        assert (await driver.send("GET", "/payables", query={"limit": "x"})).status_code == 422


async def test_unknown_query_parameters_can_be_let_pass() -> None:
    """FastAPI ignores unknown query parameters; the emulator does so when told."""
    async with driving(EmulatorSettings(refuse_unknown_query=False)) as (_, driver):
        await driver.ask("GET", "/payables", query={"nonsense": "1"})


async def test_a_body_that_is_too_large_is_the_gateways_413() -> None:
    """Bodies above the limit are refused with a top-level message."""
    async with driving(EmulatorSettings(max_body=2000)) as (_, driver):
        response = await driver.send("POST", "/payables", {"description": "x" * 3000})
        assert (response.status_code, response.json()) == (413, {"message": "Request size limit exceeded"})


async def test_the_rate_limit_counts_per_client_on_the_emulators_clock() -> None:
    """Above the limit: 429 with Retry-After and the gateway's body, until the clock has moved on."""
    async with driving() as (emulator, driver):
        await driver.token()
        emulator.clock.freeze()
        emulator.reset_rate_limit()
        emulator.configure({"rate_limit": 3})
        statuses = [(await driver.send("GET", "/entities")).status_code for _ in range(4)]
        assert statuses == [200, 200, 200, 429]
        refused = await driver.send("GET", "/entities")
        assert refused.json() == {"message": "API rate limit exceeded"}
        assert (refused.headers["retry-after"], refused.headers["ratelimit-remaining"]) == ("1", "0")
        emulator.clock.advance(1)
        answered = await driver.send("GET", "/entities")
        assert (answered.status_code, answered.headers["ratelimit-remaining"]) == (200, "2")


async def test_the_reset_header_has_either_form() -> None:
    """RateLimit-Reset is seconds or a time: the sources disagree, so it is a setting; no limit, no headers."""
    async with driving() as (emulator, driver):
        assert (await driver.send("GET", "/entities")).headers["ratelimit-reset"] == "1"
        emulator.configure({"rate_limit_reset": "epoch"})
        assert int((await driver.send("GET", "/entities")).headers["ratelimit-reset"]) > 1_000_000_000
        emulator.configure({"rate_limit": None})
        assert "ratelimit-limit" not in (await driver.send("GET", "/entities")).headers


def test_settings_refuse_what_cannot_be() -> None:
    """All faults of the settings are told at once."""
    with pytest.raises(ValueError, match=r"not a UUID.*not a date.*partner_lifetime.*rate_limit.*ocr.*denial_status"):
        EmulatorSettings(
            client_id="me", versions=("now",), partner_lifetime=0, rate_limit=0, ocr_seconds=-1, denial_status=200
        )
    with pytest.raises(ValueError, match="at least one version"):
        EmulatorSettings(versions=())
    with pytest.raises(ValueError, match="there is no color in EmulatorSettings"):
        Emulator().configure({"color": "red"})
    with pytest.raises(ValueError, match="user_lifetime"):
        Emulator().configure({"user_lifetime": "long"})


def test_the_clock_moves_stops_and_goes_on() -> None:
    """The clock ticks by itself, moves when told, stands when frozen; naive times are UTC."""
    clock = Clock(datetime(2026, 1, 1), frozen=True)  # noqa: DTZ001 - naive on purpose
    assert clock.now() == datetime(2026, 1, 1, tzinfo=UTC)
    clock.advance(90.5)
    assert clock.timestamp() == datetime(2026, 1, 1, 0, 1, 30, 500_000, tzinfo=UTC).timestamp()
    assert clock.frozen
    clock.unfreeze()
    assert not clock.frozen
    assert clock.now() >= datetime(2026, 1, 1, 0, 1, 30, 500_000, tzinfo=UTC)
    clock.set(datetime(2027, 1, 1, tzinfo=UTC))
    clock.freeze()
    assert clock.now() == clock.now() >= datetime(2027, 1, 1, tzinfo=UTC)
