"""A play in which every operation of the contract has a part: things are made, read, changed, acted on, deleted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import httpx

from monite_async.emulator import Emulator
from monite_async.emulator._message import as_list, as_object
from tests.emulator.contract import Contract, Operation
from tests.emulator.drive import ADDRESS, ORGANIZATION, VERSION, Driver, permissions

__all__ = ["Scenario"]

PDF = ("bill.pdf", b"%PDF-1.4", "application/pdf")
PNG = ("logo.png", b"\x89PNG", "image/png")
COMMON = {"create": "allowed", "read": "allowed", "update": "allowed", "delete": "allowed"}

# -- values that must mean something, by the name of the property, or by operation
KNOWN: Mapping[str, object] = {
    "address": ADDRESS,
    "base64_encoded_file": "JVBERg==",
    "country": "DE",
    "currency": "EUR",
    "email": "somebody@acme.test",
    "default_role": {"name": "nobody", "permissions": {"objects": []}},
    "domain": "acme.test",
    "mailbox_name": "bills",
    "metadata": {"a": 1},
    "quantity": 2,
}
FIRST = (
    "post_counterparts",
    "post_counterparts_id_addresses",
    "post_measure_units",
    "post_products",
    "get_vat_rates",
    "post_tags",
    "post_receivables",
    "post_receivables_id_send",
    "get_receivables_id_mails",
    "post_approval_policies",
    "post_payables",
    "post_payables_id_submit_for_approval",
    "get_approval_policies_id_processes",
    "post_mailbox_domains",
    "post_bank_accounts",
    "post_accounting_connections",
    "post_accounting_connections_id_sync",
    "post_payment_links",
    "post_recurrences",
    "get_document_templates",
    "post_webhook_subscriptions",
)
LAST = ("delete_counterparts_id", "delete_products_id", "post_auth_revoke")

_ISSUED = ("post_receivables_id_issue",)
_SUBMITTED = ("post_payables_id_submit_for_approval",)
_APPROVED = ("post_payables_id_approve_payment_operation",)
FRESH: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "patch_receivables_id": ("post_receivables", ()),
    "put_receivables_id_line_items": ("post_receivables", ()),
    "post_receivables_id_accept": ("quote", _ISSUED),
    "post_receivables_id_decline": ("quote", _ISSUED),
    "post_receivables_id_issue": ("post_receivables", ()),
    "post_receivables_id_cancel": ("post_receivables", _ISSUED),
    "post_receivables_id_mark_as_paid": ("post_receivables", _ISSUED),
    "post_receivables_id_mark_as_partially_paid": ("post_receivables", _ISSUED),
    "post_receivables_id_mark_as_uncollectible": ("post_receivables", _ISSUED),
    "delete_receivables_id": ("post_receivables", ()),
    "post_payables_id_approve_payment_operation": ("post_payables", ()),
    "post_payables_id_attach_file": ("post_payables", ()),
    "post_payables_id_cancel": ("post_payables", ()),
    "post_payables_id_cancel_ocr": ("post_payables_upload_from_file", ()),
    "post_payables_id_mark_as_paid": ("post_payables", _APPROVED),
    "post_payables_id_mark_as_partially_paid": ("post_payables", _APPROVED),
    "post_payables_id_reject": ("post_payables", _SUBMITTED),
    "post_payables_id_reopen": ("post_payables", (*_SUBMITTED, "post_payables_id_reject")),
    "get_payables_id_suggestions": ("post_payables_upload_from_file", ()),
    "delete_payables_id_suggestions": ("post_payables_upload_from_file", ()),
    "delete_payables_id": ("post_payables", ()),
    "post_payable_credit_notes_id_approve": ("post_payable_credit_notes", ()),
    "post_payable_credit_notes_id_cancel": ("post_payable_credit_notes", ()),
    "post_payable_credit_notes_id_cancel_ocr": ("post_payable_credit_notes_upload_from_file", ()),
    "post_payable_credit_notes_id_reject": (
        "post_payable_credit_notes",
        ("post_payable_credit_notes_id_submit_for_approval",),
    ),
    "post_payable_credit_notes_id_submit_for_approval": ("post_payable_credit_notes", ()),
    "post_approval_requests_id_approve": ("post_approval_requests", ()),
    "post_approval_requests_id_cancel": ("post_approval_requests", ()),
    "post_approval_requests_id_reject": ("post_approval_requests", ()),
    "post_delivery_notes_id_cancel": ("post_delivery_notes", ()),
    "post_delivery_notes_id_mark_as_delivered": ("post_delivery_notes", ()),
    "post_payment_records_id_cancel": ("post_payment_records", ()),
    "post_payment_records_id_mark_as_succeeded": ("post_payment_records", ()),
    "post_payment_records_id_start_processing": ("post_payment_records", ()),
    "post_recurrences_id_cancel": ("post_recurrences", ()),
    "post_recurrences_id_pause": ("post_recurrences", ()),
    "post_recurrences_id_resume": ("post_recurrences", ("post_recurrences_id_pause",)),
    "post_entities_id_deactivate": ("post_entities", ()),
    "post_entities_id_activate": ("post_entities", ("post_entities_id_deactivate",)),
    "delete_payables_id_line_items_id": ("post_payables_id_line_items", ()),
    "delete_payable_credit_notes_id_line_items_id": ("post_payable_credit_notes_id_line_items", ()),
    "delete_counterparts_id_addresses_id": ("post_counterparts_id_addresses", ()),
}
"""Operations that need something of their own to work on: what makes it, and what is done to it before."""
STATUS: Mapping[str, int] = {"post_roles": 201}
"""Statuses that are not the contract's: it says 200 here, the release notes of the version say 201."""


class Scenario:
    """The play and what went wrong in it.

    Attributes:
        called: The operations that were answered.
        refused: Those of them that were answered 501.
        faults: What was wrong, each with its operation.
    """

    def __init__(self, contract: Contract, emulator: Emulator, driver: Driver) -> None:
        self.contract = contract
        self.emulator = emulator
        self.driver = driver
        self.called: set[str] = set()
        self.refused: set[str] = set()
        self.faults: list[str] = []
        self.ids: dict[str, str] = {}
        self.own: dict[str, str] = {}
        self.user = ""

    # -- the order of the play

    async def play(self) -> None:
        """Call every operation once, in an order in which each can succeed."""
        self.user = await self.driver.make_user("ann", permissions(entity=COMMON))
        self.ids |= {"entity_id": self.driver.entity_id, "entity_user_id": self.user}
        operations = self.contract.operations
        for name in FIRST:
            await self.perform(operations[name])
        rest = [operation for name, operation in operations.items() if name not in {*FIRST, *LAST}]
        for operation in sorted(rest, key=_turn):
            await self.perform(operation)
        for name in LAST:
            await self.perform(operations[name])

    async def perform(self, operation: Operation) -> None:
        """Call one operation, and judge it."""
        await self.prepare(operation)
        body = self.body(operation)
        if operation.body is not None and body is not None:
            self.faults += [
                f"{operation.id} request {fault}" for fault in self.contract.request_faults(operation.body, body)
            ]
        response = await self.send(operation, body)
        self.called.add(operation.id)
        if response.status_code == 501:
            self.refused.add(operation.id)
            return
        self.judge(operation, response)
        self.learn(operation, response)

    def judge(self, operation: Operation, response: httpx.Response) -> None:
        """Note what is wrong with an answer."""
        if response.status_code != STATUS.get(operation.id, operation.status):
            self.faults.append(f"{operation.id} status {response.status_code}: {response.text[:300]}")
        elif operation.answer is not None:
            found = self.contract.answer_faults(operation.answer, response.json())
            self.faults += [f"{operation.id} answer {fault}" for fault in found]
        elif operation.status == 204 and response.content:
            self.faults.append(f"{operation.id} answers 204 with a body")

    # -- requests

    async def send(self, operation: Operation, body: object) -> httpx.Response:
        """Send the request of an operation."""
        path = operation.path
        for name in operation.names:
            path = path.replace("{" + name + "}", self.id_of(operation, name), 1)
        mine = operation.path.startswith(("/entity_users/my", "/entity_users/me", "/entities/me"))
        file = None
        if operation.form is not None:
            file = PNG if "logo" in operation.path else PDF
        sent = {"authorization": f"Bearer {await self.driver.token(self.user if mine else None)}"}
        sent |= {"x-monite-version": VERSION}
        if any(parameter["name"] == "x-monite-entity-id" for parameter in operation.parameters):
            sent["x-monite-entity-id"] = self.driver.entity_id
        return await self.driver.http.request(
            operation.method,
            path,
            json=body,
            params=self.query(operation),
            files=None if file is None else {"file": file},
            data={"file_type": "attachments"} if operation.id == "post_files" else None,
            headers=sent,
        )

    def query(self, operation: Operation) -> dict[str, str]:
        """Return the query parameters without which an operation is refused."""
        if operation.id == "get_files":
            return {"file_type": "attachments"}
        return {
            parameter["name"]: str(self.contract.sample(parameter["schema"], {}, parameter["name"]))
            for parameter in operation.parameters
            if parameter["in"] == "query" and parameter.get("required")
        }

    def body(self, operation: Operation) -> Any:
        """Return the JSON body of an operation, None without one."""
        if operation.body is None:
            return None
        own = self.own_bodies().get(operation.id)
        if own is not None:
            return own
        return self.contract.sample(operation.body, {**KNOWN, **self.known_ids()}, full=True)

    def known_ids(self) -> dict[str, object]:
        """Return the ids that requests may name."""
        ids = self.ids
        names = ("counterpart_id", "product_id", "payable_id", "role_id")
        known: dict[str, object] = {name: ids[name] for name in names if name in ids}
        address = ids.get("address_id")
        if address is not None:
            known |= {"counterpart_address_id": address, "counterpart_billing_address_id": address}
        if "receivable_id" in ids:
            known |= {"invoice_id": ids["receivable_id"]}
        if "domain_id" in ids:
            known |= {"mailbox_domain_id": ids["domain_id"]}
        if "unit_id" in ids:
            known |= {"measure_unit_id": ids["unit_id"]}
        if "tag_id" in ids:
            known |= {"tag_ids": [ids["tag_id"]]}
        if "payable_id" in ids:
            known |= {"object_id": ids["payable_id"], "object": {"id": ids["payable_id"], "type": "payable"}}
        if "bank_account_id" in ids:
            known |= {"payer_bank_account_id": ids["bank_account_id"]}
        known["login"] = f"user {uuid4()}"
        known["entity_ids"] = [self.driver.entity_id]
        return known

    def line(self) -> dict[str, object]:
        """Return a line of a sales document."""
        return {"quantity": 2, "product_id": self.ids["product_id"], "vat_rate_id": self.ids["vat_rate_id"]}

    def own_bodies(self) -> dict[str, object]:
        """Return the bodies that a rule would not find."""
        ids = self.ids
        credentials = self.driver.credentials
        bodies: dict[str, object] = {
            "post_auth_token": {**credentials, "grant_type": "client_credentials"},
            "post_auth_revoke": {**credentials, "token": "no token of anybody"},
            "post_products": {
                "name": "Paper",
                "price": {"currency": "EUR", "value": 10_000},
                "measure_unit_id": ids.get("unit_id"),
            },
            "post_payables": {"currency": "EUR", "total_amount": 10_000, "counterpart_id": ids.get("counterpart_id")},
            "patch_settings": {"website": "https://acme.test"},
            "patch_receivables_id": {"invoice": {"memo": "Thanks"}},
            "put_payables_validations": {"required_fields": ["currency"]},
            "post_roles": {"name": "clerk", "permissions": permissions(payable={"read": "allowed"})},
            "post_payables_id_mark_as_partially_paid": {"amount_paid": 10},
            "post_receivables_id_mark_as_partially_paid": {"amount_paid": 1},
            "post_approval_policies": {
                "name": "all",
                "script": [{"call": "ApprovalRequests.request_approval_by_users", "params": {"user_ids": [self.user]}}],
            },
            "post_entities": ORGANIZATION,
            "patch_counterparts_id": {"organization": {"legal_name": "Paper Ltd"}},
            "post_approval_requests": {
                "object_id": ids.get("receivable_id"),
                "object_type": "receivable",
                "required_approval_count": 1,
                "user_ids": [self.user],
            },
            "post_payment_records": {
                "amount": 5,
                "currency": "EUR",
                "object": {"id": ids.get("receivable_id"), "type": "receivable"},
                "status": "created",
            },
            "patch_entities_id": {"phone": "1"},
            "patch_entities_me": {"phone": "1"},
            "patch_entity_users_my_entity": {"phone": "1"},
        }
        if "vat_rate_id" in ids:
            bodies["post_receivables"] = self.invoice()
            bodies["put_receivables_id_line_items"] = {"data": [self.line()]}
        if "receivable_id" in ids:
            link = {"payment_methods": ["sepa_credit"], "recipient": {"id": self.driver.entity_id, "type": "entity"}}
            bodies["post_payment_links"] = {**link, "object": {"id": ids["receivable_id"], "type": "receivable"}}
        return bodies

    def invoice(self, kind: str = "invoice") -> dict[str, object]:
        """Return what creates a sales document."""
        return {
            "type": kind,
            "counterpart_id": self.ids["counterpart_id"],
            "counterpart_billing_address_id": self.ids["address_id"],
            "currency": "EUR",
            "line_items": [self.line()],
        }

    # -- what is learnt

    def learn(self, operation: Operation, response: httpx.Response) -> None:
        """Keep the ids of what an answer shows, under the name that paths have for them."""
        if not response.is_success or not response.content or operation.method not in {"POST", "GET"}:
            return
        if "json" not in response.headers.get("content-type", ""):
            return
        inside = [
            other.names[-1]
            for other in self.contract.operations.values()
            if other.path.startswith(operation.path + "/{") and other.path.count("/") == operation.path.count("/") + 1
        ]
        answer: object = response.json()
        rows = as_list(answer) or as_list(as_object(answer).get("data"))
        first = as_object(rows[0] if rows else answer)
        if operation.id == "get_vat_rates":
            self.ids["vat_rate_id"] = str(first["id"])
        if inside and "id" in first:
            self.ids.setdefault(self.key(operation.path, inside[0]), str(first["id"]))
            self.ids.setdefault(inside[0], str(first["id"]))

    def key(self, path: str, name: str) -> str:
        """Return the name of an id: a parameter may mean different things in different paths."""
        return f"{path}/{name}"

    def id_of(self, operation: Operation, name: str) -> str:
        """Return the id for a parameter of a path."""
        if name in self.own:
            return self.own[name]
        before = operation.path.split("/{" + name + "}")[0]
        return self.ids.get(self.key(before, name)) or self.ids.get(name) or str(uuid4())

    async def prepare(self, operation: Operation) -> None:
        """Make what an operation is to work on, where what is there already will not do."""
        self.own = {}
        if operation.id not in FRESH:
            return
        maker, steps = FRESH[operation.id]
        making = self.contract.operations["post_receivables" if maker == "quote" else maker]
        response = await self.send(making, self.invoice("quote") if maker == "quote" else self.body(making))
        assert response.is_success, f"{operation.id}: {response.text}"
        self.own = {operation.names[-1]: str(response.json()["id"])}
        for step in steps:
            action = self.contract.operations[step]
            response = await self.send(action, self.body(action))
            assert response.is_success, f"{operation.id}: {step}: {response.text}"
        self.emulator.clock.advance(60 if "suggestions" in operation.id else 0)


def _turn(operation: Operation) -> tuple[int, int, str]:
    """Return when an operation has its turn: creating, then listing and reading, then changing, acting, deleting."""
    item = operation.path.endswith("}")
    depth = operation.path.count("/")
    match operation.method:
        case "POST" if not operation.names or not _acts(operation):
            return 0, depth, operation.id
        case "GET":
            return (2 if item else 1), depth, operation.id
        case "PATCH" | "PUT":
            return 3, -depth, operation.id
        case "POST":
            return 4, depth, operation.id
        case _:
            return 5, -depth, operation.id


_CHILDREN = (
    "addresses",
    "bank_accounts",
    "contacts",
    "vat_ids",
    "einvoicing_credentials",
    "line_items",
    "network_credentials",
)


def _acts(operation: Operation) -> bool:
    return not operation.path.endswith(_CHILDREN)
