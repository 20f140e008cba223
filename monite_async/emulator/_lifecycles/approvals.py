"""Approval requests, the policies that make them, and what their end does to a payable."""

from __future__ import annotations

from typing import cast

from monite_async.emulator._call import Call, Handler
from monite_async.emulator._collections import COLLECTIONS
from monite_async.emulator._errors import refusal
from monite_async.emulator._events import emit
from monite_async.emulator._generic import Json, answer, change, create, found, list_page, records, ruled
from monite_async.emulator._lifecycles.policies import matches, wanted_approvals
from monite_async.emulator._message import Response, as_list, as_object
from monite_async.emulator._payable_base import move
from monite_async.emulator._state import Record

__all__ = ["APPROVAL_OPERATIONS", "start_policies"]

_POLICIES = COLLECTIONS["/approval_policies"]
_PROCESSES = COLLECTIONS["/approval_policies/{approval_policy_id}/processes"]
_REQUESTS = COLLECTIONS["/approval_requests"]


def start_policies(call: Call, payable: Record) -> bool:
    """Start the first policy that matches a submitted payable; tell whether there was one."""
    policies = sorted(
        (policy for policy in records(call, _POLICIES.path) if policy.data["status"] == "active"),
        key=lambda policy: -policy.number("priority"),
    )
    matching = [policy for policy in policies if matches(policy.data.get("trigger"), payable.view())]
    if not matching:
        return False
    if len(matching) > 1:
        emit(call, "/payables", "multiple_approval_policies_matched", payable)
    chosen = matching[0]
    facts: Json = {
        "input": {"invoice": {"id": payable.id}},
        "metadata": {"object_id": payable.id, "object_type": "payable"},
        "script_snapshot": chosen.data["script"],
        "status": "running",
    }
    process = create(call, facts, _PROCESSES, chosen.id)
    for wanted in wanted_approvals(chosen.data["script"]):
        source = {**wanted, "object_id": payable.id, "object_type": "payable", "status": "waiting"}
        request = create(call, source, _REQUESTS, call.entity_id)
        request.private["process_id"] = process.id
    payable.change(call.now, approval_policy_id=chosen.id)
    return True


def _create(call: Call) -> Response:
    if call.body["object_type"] == "payable":
        payable = call.world.state.payables.get(str(call.body["object_id"]).lower(), call.entity_id)
        if payable is None:
            raise refusal(404, "Payable not found")
    return answer(call, create(call, {"status": "waiting", **call.body}))


def _waiting(call: Call, action: str) -> Record:
    record = found(call)
    if record.data["status"] != "waiting":
        message = f"Action {action} is not allowed for an approval request in status {record.data['status']}"
        raise refusal(call.world.settings.wrong_state_status, message)
    return record


def _check_approver(call: Call, record: Record) -> None:
    """Raise unless the caller is one of those whose approval is wanted; the partner may always answer."""
    user = call.actor.user
    if user is None:
        return
    if user.id not in as_list(record.data["user_ids"]) and user.data["role_id"] not in as_list(record.data["role_ids"]):
        raise refusal(call.world.settings.denial_status, "The approval of this user is not wanted")


def _conclude(call: Call, record: Record, status: str) -> None:
    change(call, record, {"status": status})
    process_id = record.private.get("process_id")
    siblings = [one for one in records(call, _REQUESTS.path) if one.data["object_id"] == record.data["object_id"]]
    payable = call.world.state.payables.get(str(record.data["object_id"]), call.entity_id)
    pending = payable is not None and payable.data["status"] == "approve_in_progress"
    done = all(one.data["status"] == "approved" for one in siblings)
    if process_id is not None and (done or status != "approved"):
        process = call.world.state.find(str(process_id))
        if process is not None:
            change(call, process, {"status": "succeeded" if status != "canceled" else "canceled"}, _PROCESSES)
    if payable is not None and pending and (done or status == "rejected"):
        move(call, payable, "waiting_to_be_paid" if status == "approved" else "rejected")


def _approve(call: Call) -> Response:
    record = _waiting(call, "approve")
    _check_approver(call, record)
    who = call.actor.user_id or call.world.settings.client_id
    approved = [*as_list(record.data["approved_by"]), *([] if who in as_list(record.data["approved_by"]) else [who])]
    change(call, record, {"approved_by": approved})
    if len(approved) >= record.number("required_approval_count"):
        _conclude(call, record, "approved")
    return answer(call, record)


def _reject(call: Call) -> Response:
    record = _waiting(call, "reject")
    _check_approver(call, record)
    change(call, record, {"rejected_by": call.actor.user_id or call.world.settings.client_id})
    _conclude(call, record, "rejected")
    return answer(call, record)


def _cancel(call: Call) -> Response:
    record = _waiting(call, "cancel")
    _conclude(call, record, "canceled")
    return answer(call, record)


def _requests_of(call: Call, process: Record) -> list[Record]:
    return [one for one in records(call, _REQUESTS.path) if one.private.get("process_id") == process.id]


def _steps(call: Call) -> Response:
    process = found(call, _PROCESSES)
    return answer(
        call, {"data": [{**one.view(), "approval_request_id": one.id} for one in _requests_of(call, process)]}
    )


def _cancel_process(call: Call) -> Response:
    process = found(call, _PROCESSES)
    if process.data["status"] not in {"running", "waiting"}:
        message = f"Action cancel is not allowed for a process in status {process.data['status']}"
        raise refusal(call.world.settings.wrong_state_status, message)
    for one in _requests_of(call, process):
        if one.data["status"] == "waiting":
            change(call, one, {"status": "canceled"}, _REQUESTS)
    policy = call.world.state.table(_POLICIES.path).get(process.group)
    emit(call, _POLICIES.path, "process_canceled", cast("Record", policy))
    return answer(call, change(call, process, {"status": "canceled"}, _PROCESSES))


def _check_script(run: Handler) -> Handler:
    def checked(call: Call) -> Response:
        if "script" in call.body and not as_list(call.body["script"]):
            raise refusal(400, "A policy needs a script")
        return run(call)

    return checked


def _create_policy(call: Call) -> Response:
    return answer(call, create(call, {"status": "active", "priority": 0, **call.body}))


def _list_policies(call: Call) -> Response:
    def processes(policy: Record) -> object:
        return [process.id for process in records(call, _PROCESSES.path, policy.id)]

    return list_page(call, _POLICIES, getters={"process_id": processes})


def _update_policy(call: Call) -> Response:
    changes = {**as_object(call.body), "updated_by": call.actor.user_id}
    return answer(call, change(call, found(call), changes))


APPROVAL_OPERATIONS = ruled(
    {
        "get_approval_policies": _list_policies,
        "post_approval_policies": _check_script(_create_policy),
        "patch_approval_policies_id": _check_script(_update_policy),
        "get_approval_policies_id_processes_id_steps": _steps,
        "post_approval_policies_id_processes_id_cancel": _cancel_process,
        "post_approval_requests": _create,
        "post_approval_requests_id_approve": _approve,
        "post_approval_requests_id_cancel": _cancel,
        "post_approval_requests_id_reject": _reject,
    }
)
"""How approval policies and approval requests are emulated."""
