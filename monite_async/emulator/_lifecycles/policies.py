"""The part of approval policies' script language that the emulator understands: plain comparisons and requests.

A trigger is None, a boolean, ``{"all": [...]}``, ``{"any": [...]}``, ``{"not": ...}``, a comparison
``{"operator": ">=", "left_operand": {"name": "invoice.amount"}, "right_operand": 1000}``, or the text that asks for
the event of submission. Whatever else it holds never matches, so that no payable is held up by a misunderstanding.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

from monite_async.emulator._message import as_list, as_object

__all__ = ["matches", "wanted_approvals"]

_COMPARE: Mapping[str, Callable[[Any, Any], object]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "in": lambda left, right: left in right,
    "not in": lambda left, right: left not in right,
}
_ALIASES: Mapping[str, str] = {"amount": "total_amount"}
_SUBMITTED = frozenset({"{event_name == 'submitted_for_approval'}", '{event_name == "submitted_for_approval"}'})


def _operand(value: object, payable: Mapping[str, object]) -> object:
    name = as_object(value).get("name")
    if not isinstance(name, str):
        return value
    head, _, tail = name.partition(".")
    if head == "event_name":
        return "submitted_for_approval"
    found: object = dict(payable)
    for part in (_ALIASES.get(tail, tail)).split("."):
        found = as_object(found).get(part)
    return found


def matches(trigger: object, payable: Mapping[str, object]) -> bool:
    """Tell whether the trigger of a policy is met by a payable that is submitted for approval."""
    if trigger is None or isinstance(trigger, bool):
        return trigger is not False
    if isinstance(trigger, str):
        return trigger in _SUBMITTED
    parts = as_object(trigger)
    if "all" in parts:
        return all(matches(part, payable) for part in as_list(parts["all"]))
    if "any" in parts:
        return any(matches(part, payable) for part in as_list(parts["any"]))
    if "not" in parts:
        return not matches(parts["not"], payable)
    compare = _COMPARE.get(str(parts.get("operator")))
    if compare is None:
        return False
    try:
        return bool(
            compare(_operand(parts.get("left_operand"), payable), _operand(parts.get("right_operand"), payable))
        )
    except TypeError:
        return False


def wanted_approvals(script: object) -> list[dict[str, object]]:
    """Return the approval requests that a script asks for, one after another."""
    found: list[dict[str, object]] = []
    for step in as_list(script):
        call = as_object(step)
        if str(call.get("call", "")).startswith("ApprovalRequests.request_approval"):
            params = as_object(call.get("params"))
            count = params.get("required_approval_count")
            found.append(
                {
                    "required_approval_count": count if isinstance(count, int) else 1,
                    "role_ids": as_list(params.get("role_ids")),
                    "user_ids": as_list(params.get("user_ids")),
                }
            )
    return found
