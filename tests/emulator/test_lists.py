"""Paging, sorting and filters."""

from __future__ import annotations

import pytest

from monite_async.emulator import EmulatorSettings
from tests.emulator.drive import Driver, driving, ids


async def filled(driver: Driver, count: int = 7) -> list[str]:
    """Create payables whose amounts, due dates and documents differ."""
    return [
        await driver.make_payable(total_amount=100 * n, due_date=f"2026-01-{n + 1:02}", document_id=f"Doc-{n}")
        for n in range(count)
    ]


async def walk(driver: Driver, query: dict[str, str | int | list[str]]) -> list[list[str]]:
    """Return the ids of all pages, one list per page."""
    page = await driver.ask("GET", "/payables", query=query)
    pages = [ids(page)]
    while page["next_pagination_token"] is not None:
        page = await driver.ask("GET", "/payables", query={"pagination_token": str(page["next_pagination_token"])})
        pages.append(ids(page))
    return pages


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_pages_cover_every_object_once_in_order(order: str) -> None:
    """Walking the pages meets every object once, in the order of the first call, and the token remembers the limit."""
    async with driving() as (_, driver):
        made = await filled(driver)
        wanted = made if order == "asc" else made[::-1]
        pages = await walk(driver, {"limit": 3, "order": order, "sort": "created_at"})
        assert pages == [wanted[:3], wanted[3:6], wanted[6:]]


async def test_pages_lead_back_as_well() -> None:
    """``prev_pagination_token`` leads to the page before; the first page has none and the last no next."""
    async with driving() as (_, driver):
        made = await filled(driver)
        first = await driver.ask("GET", "/payables", query={"limit": 3})
        assert first["prev_pagination_token"] is None
        second = await driver.ask("GET", "/payables", query={"pagination_token": str(first["next_pagination_token"])})
        back = await driver.ask("GET", "/payables", query={"pagination_token": str(second["prev_pagination_token"])})
        assert (ids(second), ids(back)) == (made[3:6], made[:3])
        assert back["prev_pagination_token"] is None
        assert back["next_pagination_token"] is not None


async def test_a_token_ignores_all_other_parameters() -> None:
    """With a token, filters and sorting come from the first call, whatever else is sent."""
    async with driving() as (_, driver):
        made = await filled(driver)
        first = await driver.ask("GET", "/payables", query={"limit": 2, "created_at__gt": "2020-01-01T00:00:00Z"})
        token = str(first["next_pagination_token"])
        others: dict[str, str | int | list[str]] = {"pagination_token": token, "order": "desc", "limit": 999, "x": "y"}
        assert ids(await driver.ask("GET", "/payables", query=others)) == made[2:4]


async def test_limit_can_be_forgotten_by_the_token() -> None:
    """On some lists ``limit`` must be sent with every token: a setting."""
    async with driving(EmulatorSettings(limit_remembered=False)) as (_, driver):
        made = await filled(driver)
        first = await driver.ask("GET", "/payables", query={"limit": 2})
        token = str(first["next_pagination_token"])
        assert ids(await driver.ask("GET", "/payables", query={"pagination_token": token})) == made[2:]
        again = await driver.ask("GET", "/payables", query={"pagination_token": token, "limit": 1})
        assert ids(again) == made[2:3]


async def test_what_comes_and_goes_between_pages_neither_repeats_nor_hides_others() -> None:
    """A token marks a place in the order, not a number of objects."""
    async with driving() as (_, driver):
        made = await filled(driver)
        first = await driver.ask("GET", "/payables", query={"limit": 3})
        for gone in made[1:3]:
            await driver.ask("DELETE", f"/payables/{gone}", expect=204)
        rest = await driver.ask("GET", "/payables", query={"pagination_token": str(first["next_pagination_token"])})
        assert ids(rest) == made[3:6]


async def test_a_garbled_foreign_or_old_token_is_refused() -> None:
    """A page token is good for its own list, entity and lifetime only."""
    async with driving(EmulatorSettings(page_token_lifetime=60)) as (emulator, driver):
        await filled(driver, 3)
        token = str((await driver.ask("GET", "/payables", query={"limit": 1}))["next_pagination_token"])
        other = await driver.make_entity()
        for bad in ("garbage", "é", "A" * 40, token[:-2]):
            assert (await driver.send("GET", "/payables", query={"pagination_token": bad})).status_code == 406
        query = {"pagination_token": token}
        assert (await driver.send("GET", "/roles", query=query)).status_code == 406
        assert (await driver.send("GET", "/payables", query=query, entity=other)).status_code == 406
        emulator.clock.advance(61)
        assert (await driver.send("GET", "/payables", query=query)).status_code == 406


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"total_amount": 300}, [3]),
        ({"total_amount__gt": 400, "total_amount__lte": 500}, [5]),
        ({"amount__gte": 600}, [6]),
        ({"due_date__lt": "2026-01-03"}, [0, 1]),
        ({"due_date": "2026-01-03"}, [2]),
        ({"document_id": "Doc-4"}, [4]),
        ({"document_id": "doc-4"}, []),
        ({"document_id__contains": "c-4"}, [4]),
        ({"document_id__icontains": "DOC-4"}, [4]),
        ({"search_text": "doc-1"}, [1]),
        ({"currency": "USD"}, []),
        ({"status__in": ["paid", "canceled"]}, []),
        ({"status": "new", "has_file": "false", "has_tags": "false", "total_amount__lt": 200}, [0, 1]),
        ({"origin": "upload", "source_of_payable_data": "ocr"}, []),
        ({"created_at__gt": "2020-01-01T00:00:00", "total_amount__lt": 100}, [0]),
        ({"created_at__lt": "2020-01-01T00:00+02:00"}, []),
        ({"counterpart_name__icontains": "acme"}, []),
    ],
)
async def test_filters_combine_with_and(query: dict[str, str | int | list[str]], expected: list[int]) -> None:
    """Each filter means what its suffix says; exact and ``contains`` mind the case, ``icontains`` does not."""
    async with driving() as (_, driver):
        made = await filled(driver)
        assert ids(await driver.ask("GET", "/payables", query=query)) == [made[n] for n in expected]


async def test_tags_lines_and_ids_filter_too() -> None:
    """Repeated keys mean any of them; unknown ids find nothing; tags and line items are found by id."""
    async with driving() as (_, driver):
        plain = await driver.make_payable()
        tag = await driver.make_tag()
        tagged = await driver.make_payable(tag_ids=[tag])
        line = await driver.ask("POST", f"/payables/{plain}/line_items", {"name": "Paper"}, expect=201)
        found = {
            "id__in": ids(await driver.ask("GET", "/payables", query={"id__in": [plain, tag]})),
            "tag_ids": ids(await driver.ask("GET", "/payables", query={"tag_ids": [tag]})),
            "tag_ids__not_in": ids(await driver.ask("GET", "/payables", query={"tag_ids__not_in": [tag]})),
            "has_tags": ids(await driver.ask("GET", "/payables", query={"has_tags": "true"})),
            "line_item_id": ids(await driver.ask("GET", "/payables", query={"line_item_id": str(line["id"])})),
        }
        assert found == {
            "id__in": [plain],
            "tag_ids": [tagged],
            "tag_ids__not_in": [plain],
            "has_tags": [tagged],
            "line_item_id": [plain],
        }


async def test_filters_of_a_search_survive_paging() -> None:
    """The text of a search is part of what the token remembers."""
    async with driving() as (_, driver):
        made = await filled(driver, 4)
        await driver.make_payable(document_id="other")
        assert await walk(driver, {"search_text": "doc", "limit": 3}) == [made[:3], made[3:]]
