"""Entities, roles, entity users, and what their permissions allow."""

from __future__ import annotations

import pytest

from monite_async.emulator import EmulatorSettings
from tests.emulator.drive import ADDRESS, ORGANIZATION, driving, ids, locations, message, permissions

PNG = ("logo.png", b"\x89PNG", "image/png")


async def test_an_entity_is_created_read_changed_and_switched_off() -> None:
    """The partner creates, lists, reads and patches entities; a patch touches only what it names."""
    async with driving() as (_, driver):
        path = f"/entities/{driver.entity_id}"
        changed = await driver.ask("PATCH", path, {"phone": "+49", "address": {"city": "Bonn"}, "email": None})
        assert changed["address"] == {**ADDRESS, "city": "Bonn", "line2": None, "state": None}
        assert (changed["phone"], changed["email"]) == ("+49", "ap@acme.test")
        assert await driver.ask("GET", path) == changed
        assert (await driver.ask("POST", f"{path}/deactivate"))["status"] == "inactive"
        assert ids(await driver.ask("GET", "/entities", query={"status": "inactive"})) == [driver.entity_id]
        assert (await driver.send("GET", "/payables")).status_code == 403
        assert (await driver.ask("POST", f"{path}/activate"))["status"] == "active"
        await driver.ask("GET", "/payables")
        assert (await driver.send("GET", f"/entities/{'0' * 8}-0000-4000-8000-{'0' * 12}")).status_code == 404


async def test_the_section_of_an_entity_must_fit_its_type() -> None:
    """An organization needs its section and takes no other, when created and when changed."""
    person = {"first_name": "Ann", "last_name": "Lee"}
    async with driving() as (_, driver):
        missing = {key: value for key, value in ORGANIZATION.items() if key != "organization"}
        assert locations(await driver.send("POST", "/entities", missing)) == [("body", "organization")]
        both = await driver.send("POST", "/entities", {**ORGANIZATION, "individual": person})
        assert locations(both) == [("body", "individual")]
        await driver.make_entity(type="individual", individual=person, organization=None)
        assert len(ids(await driver.ask("GET", "/entities", query={"type": "individual"}))) == 1
        changed = await driver.send("PATCH", f"/entities/{driver.entity_id}", {"individual": person})
        assert changed.status_code == 422


async def test_an_entity_has_settings_numbers_metadata_and_a_logo() -> None:
    """Settings merge, document numbers follow them, metadata is replaced, the logo comes and goes."""
    async with driving() as (_, driver):
        path = f"/entities/{driver.entity_id}"
        patch = {"vat_mode": "inclusive", "document_ids": {"min_digits": 7, "next_number": {"invoice": 42}}}
        settings = await driver.ask("PATCH", f"{path}/settings", patch)
        assert settings["vat_mode"] == "inclusive"
        assert settings == await driver.ask("GET", f"{path}/settings")
        assert (await driver.ask("GET", f"{path}/settings/next_document_numbers"))["invoice"] == 42
        assert await driver.ask("PUT", f"{path}/partner_metadata", {"metadata": {"a": 1}}) == {"metadata": {"a": 1}}
        assert await driver.ask("GET", f"{path}/partner_metadata") == {"metadata": {"a": 1}}
        logo = await driver.ask("PUT", f"{path}/logo", file=PNG)
        assert (await driver.ask("GET", path))["logo"] == logo
        assert (await driver.http.get(str(logo["url"]))).content == PNG[1]
        await driver.ask("DELETE", f"{path}/logo", expect=204)
        assert (await driver.send("DELETE", f"{path}/logo")).status_code == 404
        assert (await driver.send("PUT", f"{path}/logo", file=("a.txt", b"text", "text/plain"))).status_code == 400
        assert locations(await driver.send("PUT", f"{path}/logo", {})) == [("body",)]


async def test_the_partner_has_settings_whose_default_role_reaches_new_entities() -> None:
    """PATCH /settings merges; from then on every new entity has the default role, and users without one get it."""
    async with driving() as (_, driver):
        granted = permissions(payable={"read": "allowed"})
        role = {"name": "clerk", "permissions": granted}
        body = {"default_role": role, "website": "https://acme.test", "api_version": "2024-05-25"}
        assert (await driver.ask("PATCH", "/settings", body))["website"] == "https://acme.test"
        assert (await driver.ask("GET", "/settings"))["default_role"] == body["default_role"]
        driver.entity_id = ""
        await driver.make_entity()
        user = await driver.make_user("bob")
        assert (await driver.ask("GET", "/entity_users/my_role", user=user, entity=None))["name"] == "clerk"
        await driver.ask("GET", "/payables", user=user)
        bad = {"payable": {"approve_page_url": "nowhere"}, "api_version": "1999-01-01"}
        assert ("body", "api_version") in locations(await driver.send("PATCH", "/settings", bad))
        bad_url = await driver.send("PATCH", "/settings", {"payable": {"approve_page_url": "nowhere"}})
        assert locations(bad_url) == [("body", "payable", "approve_page_url")]


async def test_roles_have_unique_ascii_names_and_outlive_their_users_only() -> None:
    """Role names are ASCII and unique per entity; a role that users hold cannot be deleted (409)."""
    async with driving() as (_, driver):
        body = {"name": "payer", "permissions": permissions(payable={"pay": "allowed"})}
        role = await driver.ask("POST", "/roles", body, expect=201)
        assert role["permissions"] == body["permissions"]
        assert (await driver.send("POST", "/roles", body)).status_code == 409
        assert locations(await driver.send("POST", "/roles", {**body, "name": "Zähler"})) == [("body", "name")]
        path = f"/roles/{role['id']}"
        user = (await driver.ask("POST", "/entity_users", {"login": "a", "first_name": "A", "role_id": role["id"]}))[
            "id"
        ]
        assert (await driver.send("DELETE", path)).status_code == 409
        await driver.ask("DELETE", f"/entity_users/{user}", expect=204)
        assert (await driver.ask("PATCH", path, {"name": "payer"}))["name"] == "payer"
        assert (await driver.ask("GET", path))["permissions"] == body["permissions"]
        await driver.ask("DELETE", path, expect=204)
        assert (await driver.send("GET", path)).status_code == 404
        assert ids(await driver.ask("GET", "/roles")) == []
        await driver.ask("POST", "/roles", body, expect=201)


async def test_creating_a_role_answers_200_before_2024_05_25() -> None:
    """POST /roles answered 200 up to 2024-01-31 and 201 since."""
    async with driving() as (_, driver):
        body = {"name": "a", "permissions": {"objects": [{"object_type": "payable"}]}}
        role = await driver.ask("POST", "/roles", body, expect=200, version="2024-01-31")
        assert role["permissions"] == {"objects": [{"object_type": "payable", "actions": []}]}
        wrong = {"name": "b", "permissions": {"objects": [{"object_type": "moon"}]}}
        assert (await driver.send("POST", "/roles", wrong)).status_code == 422


async def test_entity_users_are_found_changed_and_deleted() -> None:
    """Logins are unique among an entity's living users; lists filter by name, login, role and status."""
    async with driving() as (_, driver):
        ann, bob = await driver.make_user("ann"), await driver.make_user("bob")
        assert (await driver.send("POST", "/entity_users", {"login": "ann", "first_name": "X"})).status_code == 409
        assert ids(await driver.ask("GET", "/entity_users", query={"name__istartswith": "AN"})) == [ann]
        assert ids(await driver.ask("GET", "/entity_users", query={"id__not_in": [ann]})) == [bob]
        changed = await driver.ask("PATCH", f"/entity_users/{ann}", {"last_name": "Lee", "login": None, "title": "Ms"})
        assert (changed["last_name"], changed["login"]) == ("Lee", "ann")
        assert (await driver.send("PATCH", f"/entity_users/{ann}", {"login": "bob"})).status_code == 409
        assert (await driver.ask("GET", f"/entity_users/{ann}"))["last_name"] == "Lee"
        await driver.ask("DELETE", f"/entity_users/{ann}", expect=204)
        assert (await driver.send("GET", f"/entity_users/{ann}")).status_code == 404
        assert ids(await driver.ask("GET", "/entity_users")) == [bob]
        await driver.ask("DELETE", f"/entity_users/{bob}", expect=204)
        gone = await driver.ask("GET", "/entity_users", query={"status": "deleted", "limit": 1})
        token = str(gone["next_pagination_token"])
        assert ids(gone) == [ann]
        assert ids(await driver.ask("GET", "/entity_users", query={"pagination_token": token})) == [bob]
        unknown = {"login": "x", "first_name": "X", "role_id": bob}
        assert (await driver.send("POST", "/entity_users", unknown)).status_code == 404


async def test_a_user_sees_itself_its_role_and_its_entity() -> None:
    """The ``me`` operations take identity from the user's token and need no entity header; the partner has no ``me``."""
    async with driving() as (_, driver):
        user = await driver.make_user("ann", permissions(entity={"read": "allowed", "update": "allowed"}))
        assert (await driver.ask("GET", "/entity_users/me", user=user, entity=None))["id"] == user
        assert (await driver.ask("PATCH", "/entity_users/me", {"phone": "1"}, user=user))["phone"] == "1"
        assert locations(await driver.send("PATCH", "/entity_users/me", {"role_id": user}, user=user))
        for path in ("/entity_users/my_entity", "/entities/me"):
            assert (await driver.ask("GET", path, user=user, entity=None))["id"] == driver.entity_id
            assert (await driver.ask("PATCH", path, {"phone": path}, user=user, entity=None))["phone"] == path
        await driver.ask("GET", f"/entities/{driver.entity_id}/settings", user=user, entity=None)
        for path in ("/entity_users/me", "/entity_users/my_role", "/entity_users/my_entity", "/entities/me"):
            assert (await driver.send("GET", path)).status_code == 403


@pytest.mark.parametrize("path", ["/entities", "/settings"])
async def test_partner_only_operations_refuse_users(path: str) -> None:
    """The entities collection and the partner's settings take partner tokens only, by a status that is a setting."""
    async with driving(EmulatorSettings(audience_status=401)) as (_, driver):
        user = await driver.make_user("ann", permissions(entity={"read": "allowed"}))
        assert (await driver.send("GET", path, user=user, entity=None)).status_code == 401


async def test_the_entity_header_is_checked() -> None:
    """Missing or ill-formed: 422; unknown: 404; not the user's own: 403; never inferred unless set."""
    async with driving() as (emulator, driver):
        other = await driver.make_entity()
        user = await driver.make_user("ann", permissions(payable={"read": "allowed"}, entity={"read": "allowed"}))
        for entity in (None, "acme"):
            assert locations(await driver.send("GET", "/payables", entity=entity)) == [("header", "x-monite-entity-id")]
        assert (await driver.send("GET", "/payables", entity=user)).status_code == 404
        assert (await driver.send("GET", "/payables", entity=other, user=user)).status_code == 403
        assert (await driver.send("GET", f"/entities/{other}/settings", user=user)).status_code == 403
        assert (await driver.send("GET", "/payables", entity=None, user=user)).status_code == 422
        emulator.configure({"infer_entity": True})
        await driver.ask("GET", "/payables", entity=None, user=user)


async def test_roles_decide_each_action_and_a_change_takes_effect_at_once() -> None:
    """What a role does not allow is refused; changing the role changes what living tokens may do."""
    async with driving() as (emulator, driver):
        user = await driver.make_user("ann", permissions(payable={"read": "allowed", "create": "not_allowed"}))
        await driver.ask("GET", "/payables", user=user)
        refused = await driver.send("POST", "/payables", {}, user=user)
        assert (refused.status_code, message(refused)) == (403, "Action create for payable not allowed")
        assert (await driver.send("GET", "/roles", user=user)).status_code == 403
        emulator.configure({"denial_status": 409})
        assert (await driver.send("POST", "/payables", {}, user=user)).status_code == 409
        role = (await driver.ask("GET", f"/entity_users/{user}"))["role_id"]
        everything = permissions(payable={"create": "allowed"})
        await driver.ask("PATCH", f"/roles/{role}", {"permissions": everything})
        await driver.make_payable(user)
        assert (await driver.send("GET", "/payables", user=user)).status_code == 409


async def test_allowed_for_own_means_what_the_user_created() -> None:
    """With ``allowed_for_own`` lists show, and actions take, only what the user created itself."""
    own = permissions(payable=dict.fromkeys(("create", "read", "update"), "allowed_for_own"))
    async with driving() as (_, driver):
        ann, bob = await driver.make_user("ann", own), await driver.make_user("bob", own)
        mine, theirs = await driver.make_payable(ann), await driver.make_payable(bob)
        await driver.make_payable()
        assert ids(await driver.ask("GET", "/payables", user=ann)) == [mine]
        assert (await driver.ask("GET", f"/payables/{mine}", user=ann))["was_created_by_user_id"] == ann
        assert (await driver.send("GET", f"/payables/{theirs}", user=ann)).status_code == 403
        assert (await driver.send("PATCH", f"/payables/{theirs}", {}, user=ann)).status_code == 403
        assert (await driver.ask("GET", "/payables/analytics", user=ann))["count"] == 1


async def test_an_empty_role_forbids_everything() -> None:
    """A user created without a role gets the entity's default one, the same for all, which allows nothing."""
    async with driving() as (_, driver):
        user = await driver.make_user("ann")
        again = await driver.make_user("bob")
        assert (await driver.send("GET", "/payables", user=user)).status_code == 403
        roles = {(await driver.ask("GET", f"/entity_users/{one}"))["role_id"] for one in (user, again)}
        assert len(roles) == 1
        other = await driver.ask("POST", "/roles", {"name": "other", "permissions": {"objects": []}}, expect=201)
        for one in (user, again):
            changed = await driver.ask("PATCH", f"/entity_users/{one}", {"role_id": other["id"]})
            assert changed["role_id"] == other["id"]
        await driver.ask("DELETE", f"/roles/{roles.pop()}", expect=204)
        fresh = await driver.make_user("cyd")
        assert (await driver.ask("GET", f"/entity_users/{fresh}"))["role_id"] != other["id"]


async def test_a_deactivated_entity_can_go_on_working() -> None:
    """What a deactivated entity may do is not documented: a setting."""
    async with driving(EmulatorSettings(inactive_entity_status=None)) as (_, driver):
        await driver.ask("POST", f"/entities/{driver.entity_id}/deactivate")
        await driver.make_payable()
