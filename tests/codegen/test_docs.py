"""The tables of the documentation are made of the same values as the methods."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from codegen.docs import migration_page, official_methods, operations_page
from monite_async import OperationInfo, operations

pytestmark = pytest.mark.checkout

DOCS = Path(__file__).resolve().parents[2] / "docs"
PETS = (
    OperationInfo("get_pets", "GET", "/pets", "entity", "pets", "list", True, True),
    OperationInfo("get_pets_id", "GET", "/pets/{pet_id}", "any", "pets", "get", False, True),
    OperationInfo("post_pets", "POST", "/pets", "partner", "pets", "create", False, False),
)
CLIENT = """
class RawPetsClient:
    def get(self, *, limit):
        _response = self._client_wrapper.httpx_client.request("pets", method="GET", params={"limit": limit})
        return jsonable_encoder(_response)

    def get_by_id(self, animal_id):
        with self._client_wrapper.httpx_client.stream(f"pets/{jsonable_encoder(animal_id)}", method="GET") as _response:
            yield self.request(_response), other(method="GET"), self.request(path, method=verb)

    def tame_by_id(self, animal_id):
        return self._client_wrapper.httpx_client.request(f"pets/{jsonable_encoder(animal_id)}/tame", method="POST")

    limit = 5


class AsyncRawPetsClient:
    async def get(self):
        return await self._client_wrapper.httpx_client.request("pets/ignored", method="GET")


other = None
"""


def test_the_table_of_operations_is_up_to_date() -> None:
    """The page holds what ``operations()`` says, to the byte."""
    assert (DOCS / "operations.md").read_text() == operations_page(operations())


def test_the_official_client_is_read_by_the_requests_that_it_sends(tmp_path: Path) -> None:
    """A method belongs to the request it sends, whatever its parameters are called; its asynchronous twin is skipped."""
    (tmp_path / "zoo" / "pets").mkdir(parents=True)
    (tmp_path / "zoo" / "pets" / "raw_client.py").write_text(CLIENT)
    assert official_methods(tmp_path) == {
        ("GET", "/pets"): "zoo.pets.get",
        ("GET", "/pets/{}"): "zoo.pets.get_by_id",
        ("POST", "/pets/{}/tame"): "zoo.pets.tame_by_id",
    }


def test_names_are_mapped_and_what_has_no_counterpart_is_listed() -> None:
    """Each official name leads to ours; what only one of the two has is told apart."""
    official = {("GET", "/pets/{}"): "zoo.get_by_id", ("POST", "/pets/{}/tame"): "zoo.tame"}
    page = migration_page(PETS, official)
    assert "| `zoo.get_by_id` | `pets.get` | all |" in page
    here, there = page.split("## Only here")[1].split("## Only there")
    assert re.findall(r"- `(\S+)`", here) == ["pets.create", "pets.list"]
    assert re.findall(r"- `(\S+)`", there) == ["zoo.tame"]
    assert "Only there" not in migration_page(PETS, {})


def test_the_table_of_names_has_every_operation_once() -> None:
    """Every method of ours is in the table of names, and nothing that is not a method."""
    page = (DOCS / "migration-names.md").read_text()
    ours = re.findall(r"^\| `\S+` \| `(\S+)` \|", page, re.MULTILINE) + re.findall(r"^- `(\S+)`", page, re.MULTILINE)
    assert sorted(ours) == sorted(f"{info.resource}.{info.name}" for info in operations())


if (_SPEC := importlib.util.find_spec("monite")) is not None and _SPEC.origin is not None:
    _PACKAGE = Path(_SPEC.origin).parent  # the official client is not part of what the tests install

    def test_the_table_of_names_is_up_to_date() -> None:
        """The page is what the sources of the installed official client give."""
        assert (DOCS / "migration-names.md").read_text() == migration_page(operations(), official_methods(_PACKAGE))
