"""Templates of PDFs and mails: the built-in ones, previews, and variables filled in."""

from __future__ import annotations

from monite_async.emulator._call import Call
from monite_async.emulator._collections import COLLECTIONS
from monite_async.emulator._files import PDF
from monite_async.emulator._generic import Json, answer, create, found, records, ruled
from monite_async.emulator._message import Response

__all__ = ["TEMPLATE_OPERATIONS"]

_PDF_TEMPLATES = COLLECTIONS["/document_templates"]
_NAMES = ("Standard", "Modern")


def _provide(call: Call) -> None:
    """Give the entity the built-in templates, once."""
    if records(call, _PDF_TEMPLATES.path):
        return
    for name in _NAMES:
        facts: Json = {
            "blocks": [],
            "document_type": "receivable",
            "is_default": name == _NAMES[0],
            "language": "en",
            "name": name,
            "template": f"<h1>{name}</h1>",
            "template_type": "source_object",
        }
        create(call, facts, _PDF_TEMPLATES, call.entity_id)


def _list(call: Call) -> Response:
    _provide(call)
    return answer(call, {"data": [record.view() for record in records(call, _PDF_TEMPLATES.path)]})


def _preview(call: Call) -> Response:
    found(call, _PDF_TEMPLATES)
    return Response(200, {"content-type": "application/pdf"}, PDF)


def _preview_mail(call: Call) -> Response:
    return answer(call, {"body_preview": call.body["body"], "subject_preview": call.body["subject"]})


def _system_mails(call: Call) -> Response:
    kinds = ("receivables_quote", "receivables_invoice", "receivables_credit_note")
    template = {
        "body_template": "Please find your document attached.",
        "is_default": True,
        "language": "en",
        "subject_template": "Your document",
    }
    data = [
        {"template_name": kind, "available_templates": [{**template, "name": kind, "type": kind}]} for kind in kinds
    ]
    return answer(call, {"data": data})


TEMPLATE_OPERATIONS = ruled(
    {
        "get_document_templates": _list,
        "get_document_templates_system": _list,
        "get_document_templates_id_preview": _preview,
        "post_mail_templates_preview": _preview_mail,
        "get_mail_templates_system": _system_mails,
    }
)
"""How templates are emulated."""
