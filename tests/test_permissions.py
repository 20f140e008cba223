"""Permissions of roles: names that cannot be misspelt, and whatever the server said comes back unharmed."""

from __future__ import annotations

import json
import typing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monite_async import AsyncMonite, ConfigurationError
from monite_async.emulator import Emulator
from monite_async.models import RoleResponse
from monite_async.models._base import decode
from monite_async.permissions import ACTIONS, PERMISSIONS, Action, ObjectType, Permission, Permissions


def sent(permissions: Permissions) -> dict[str, dict[str, str]]:
    """Return what goes to the server, by type and action."""
    value: Any = permissions.to_dict()
    return {
        entry["object_type"]: {action["action_name"]: action["permission"] for action in entry["actions"]}
        for entry in value["objects"]
    }


def role(permissions: object) -> RoleResponse:
    """Return a role as the server sends it."""
    time = "2024-05-25T10:00:00Z"
    fields = {"id": "r", "name": "n", "status": "active", "created_at": time, "updated_at": time}
    return decode(RoleResponse, json.dumps({**fields, "permissions": permissions}).encode())


def test_permissions_are_built_step_by_step() -> None:
    """Each step is a new value; what a step leaves out stays, what it names changes, in the order of the first naming."""
    first = Permissions.build().payable(read="allowed", pay="not_allowed")
    second = first.tag(read="allowed_for_own").payable(pay="allowed_for_own")
    assert sent(first) == {"payable": {"read": "allowed", "pay": "not_allowed"}}
    assert sent(second) == {
        "payable": {"read": "allowed", "pay": "allowed_for_own"},
        "tag": {"read": "allowed_for_own"},
    }
    assert first.to_dict() == {
        "objects": [
            {
                "object_type": "payable",
                "actions": [
                    {"action_name": "read", "permission": "allowed"},
                    {"action_name": "pay", "permission": "not_allowed"},
                ],
            }
        ]
    }
    assert repr(second) == "<Permissions for payable, tag>"
    assert repr(Permissions.build()) == "<Permissions for nothing>"


def test_equal_permissions_are_equal_whatever_their_order() -> None:
    """They are values: they compare and hash by what they allow."""
    one = Permissions.build().tag(read="allowed").payable(read="allowed", pay="allowed")
    other = Permissions.build().payable(pay="allowed").payable(read="allowed").tag(read="allowed")
    assert one == other
    assert hash(one) == hash(other)
    assert one != other.tag(read="not_allowed")
    assert one != sent(one)


@pytest.mark.parametrize("name", ACTIONS)
def test_every_type_of_object_has_its_method(name: str) -> None:
    """For each type of the contract there is a method with an argument for each of its actions, and no other."""
    for permission in PERMISSIONS:
        built = getattr(Permissions.build(), name)(**dict.fromkeys(ACTIONS[name], permission))
        assert sent(built) == {name: dict.fromkeys(ACTIONS[name], permission)}
    with pytest.raises(TypeError):
        getattr(Permissions.build(), name)(levitate="allowed")
    with pytest.raises(ConfigurationError, match=r"no permission 'alowed'; did you mean 'allowed'\?"):
        getattr(Permissions.build(), name)(read="alowed")


def test_the_types_are_the_table() -> None:
    """What type checkers accept is what the table has: 34 types of object, ten actions, three permissions."""
    assert sorted(typing.get_args(ObjectType)) == sorted(ACTIONS)
    assert set(typing.get_args(Action)) == {action for actions in ACTIONS.values() for action in actions}
    assert typing.get_args(Permission) == PERMISSIONS
    assert (len(ACTIONS), len(typing.get_args(Action)), len(PERMISSIONS)) == (34, 10, 3)
    assert set(ACTIONS["payable"]) > set(ACTIONS["tag"]) == {"create", "read", "update", "delete"}


def test_everything_is_everything() -> None:
    """One permission for all that can be done with all that there is."""
    every = sent(Permissions.everything("allowed_for_own"))
    assert every == {name: dict.fromkeys(actions, "allowed_for_own") for name, actions in ACTIONS.items()}
    wrong: Any = "yes"
    with pytest.raises(ConfigurationError, match="there is no permission 'yes'; there are allowed, allowed_for_own"):
        Permissions.everything(wrong)


def test_names_of_run_time_are_checked() -> None:
    """``set`` takes names that no type checker sees, and says what is wrong with them and what they might be."""
    some = Permissions.build().set("payable", "approve", "allowed")
    assert (some.get("payable", "approve"), some.get("payable", "pay"), some.get("tag", "read")) == (
        "allowed",
        None,
        None,
    )
    wrong: list[tuple[tuple[Any, ...], str]] = [
        (("payables", "read", "allowed"), "no type of object 'payables'; did you mean 'payable'"),
        (("tag", "approve", "allowed"), "no action on tag 'approve'; there are create, read, update, delete"),
        (("tag", "raed", "allowed"), "did you mean 'read'"),
        (("tag", "read", True), "no permission 'True'"),
    ]
    for call, text in wrong:
        with pytest.raises(ConfigurationError, match=text):
            some.set(*call)


def test_what_is_taken_out_is_gone() -> None:
    """Nothing is said any more about a type that was taken out; one that was not there is no error."""
    assert sent(Permissions.build().tag(read="allowed").role(read="allowed").without("tag", "levitation")) == {
        "role": {"read": "allowed"}
    }


# -- from the server ---------------------------------------------------------------------------------------------

WORDS = st.text(st.characters(codec="ascii", categories=["Ll"]), min_size=1, max_size=8)
OBJECTS = st.dictionaries(
    st.sampled_from(sorted(ACTIONS)) | WORDS,
    st.dictionaries(
        st.sampled_from(ACTIONS["payable"]) | WORDS, st.sampled_from(PERMISSIONS) | WORDS, max_size=5
    ),
    max_size=6,
)  # fmt: skip


@given(objects=OBJECTS)
def test_a_role_of_the_server_comes_back_as_it_was(objects: dict[str, dict[str, str]]) -> None:
    """Any role goes through ``of`` and ``to_dict`` unchanged, unknown types, actions and values in it included."""
    wire = {
        "objects": [
            {"object_type": name, "actions": [{"action_name": a, "permission": p} for a, p in actions.items()]}
            for name, actions in objects.items()
        ]
    }
    for source in (role(wire).permissions, wire):
        permissions = Permissions.of(source)
        assert permissions.to_dict() == wire
        assert permissions.unknown() == tuple(name for name in objects if name not in ACTIONS)


def test_what_a_role_leaves_out_is_what_the_contract_says() -> None:
    """No action name is ``read``, no value ``allowed``; no actions and no objects are none."""
    nameless: dict[str, object] = {}
    tag = {"object_type": "tag", "actions": [nameless]}
    assert sent(Permissions.of(role({"objects": [tag]}).permissions)) == {"tag": {"read": "allowed"}}
    empties: list[dict[str, object]] = [{}, {"objects": None}, {"objects": []}]
    for empty in empties:
        assert sent(Permissions.of(role(empty).permissions)) == sent(Permissions.of(empty)) == {}
    assert sent(Permissions.of({"objects": [{"object_type": "tag"}]})) == {"tag": {}}


def test_what_the_server_knows_can_be_changed() -> None:
    """A type and an action that only the server knows are good names in what came from it, and nowhere else."""
    wire = {"objects": [{"object_type": "broom", "actions": [{"action_name": "fly", "permission": "not_allowed"}]}]}
    fly: Any = ("broom", "fly", "allowed")
    assert sent(Permissions.of(wire).set(*fly).tag(read="allowed")) == {
        "broom": {"fly": "allowed"},
        "tag": {"read": "allowed"},
    }
    with pytest.raises(ConfigurationError, match="no type of object 'broom'"):
        Permissions.build().set(*fly)


WRONG: list[Any] = [
    None, "payable", 5, [], {"objects": {}}, {"objects": ["payable"]}, {"objects": [{"actions": []}]},
    {"objects": [{"object_type": 5}]}, {"objects": [{"object_type": "tag", "actions": "read"}]},
    {"objects": [{"object_type": "tag", "actions": [{"permission": 1}]}]},
    {"object": []}, {"name": "a whole role", "permissions": {"objects": []}},
]  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_what_is_no_role_is_refused(wrong: object) -> None:
    """Something that has not the form of permissions is a mistake of the caller."""
    with pytest.raises(ConfigurationError, match="these are no permissions of a role"):
        Permissions.of(wrong)


async def test_the_server_takes_what_was_built() -> None:
    """A role made with the builder is stored, read, widened and stored again."""
    emulator = Emulator()
    async with AsyncMonite(**emulator.client_options()) as monite:
        entity = await monite.entities.create(
            type="organization",
            email="ap@acme.test",
            address={"city": "Berlin", "country": "DE", "line1": "Torstr. 1", "postal_code": "10119"},
            organization={"legal_name": "Acme"},
        )
        acme = monite.entity(entity.id)
        every = Permissions.everything("allowed")
        made = await acme.roles.create(name="payer", permissions=every.to_dict())
        assert Permissions.of(made.permissions) == every
        less = Permissions.of(made.permissions).payable(pay="not_allowed").without("role")
        changed = await acme.roles.update(made.id, permissions=less.to_dict())
        assert Permissions.of((await acme.roles.get(changed.id)).permissions) == less
