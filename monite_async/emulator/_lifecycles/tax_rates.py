"""VAT rates: a short table of real ones, the same in every emulator."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import NAMESPACE_URL, uuid5

from monite_async.emulator._call import Call
from monite_async.emulator._errors import refusal
from monite_async.emulator._generic import Json, answer, change, create, found, ruled
from monite_async.emulator._message import Response, as_list, as_object

__all__ = ["TAX_RATE_OPERATIONS", "find_rate"]

_SINCE = "2021-01-01T00:00:00.000000+00:00"
_RATES: Mapping[str, tuple[int, ...]] = {
    "AT": (2000, 1000, 0),
    "BE": (2100, 1200, 600, 0),
    "CH": (810, 260, 0),
    "DE": (1900, 700, 0),
    "ES": (2100, 1000, 400, 0),
    "FR": (2000, 1000, 550, 0),
    "GB": (2000, 500, 0),
    "IE": (2300, 1350, 900, 0),
    "IT": (2200, 1000, 500, 0),
    "NL": (2100, 900, 0),
    "PL": (2300, 800, 500, 0),
    "SE": (2500, 1200, 600, 0),
}
"""Rates in hundredths of a percent, by country; countries that are not here have the rate 0 alone."""


def _rate(country: str, value: int) -> Json:
    return {
        "id": str(uuid5(NAMESPACE_URL, f"vat:{country}:{value}")),
        "created_at": _SINCE,
        "updated_at": _SINCE,
        "country": country,
        "value": value,
        "status": "active",
        "created_by": "monite",
    }


def _rates(country: str) -> list[Json]:
    return [_rate(country, value) for value in _RATES.get(country, (0,))]


def home(call: Call) -> str:
    """Return the country of the entity of the call."""
    entity = call.entity
    return "DE" if entity is None else str(as_object(entity.data.get("address")).get("country"))


def find_rate(call: Call, rate_id: str) -> Json:
    """Return a VAT rate by its id; raises 404."""
    for country in (home(call), *_RATES):
        for rate in _rates(country):
            if rate["id"] == rate_id.lower():
                return rate
    raise refusal(404, "VAT rate not found")


def _list(call: Call) -> Response:
    return answer(call, {"data": _rates(home(call))})


def _summed(call: Call) -> Json:
    """Return the body with the rate that its components come to."""
    if call.body.get("components") is None:
        return dict(call.body)
    values = [as_object(part).get("value") for part in as_list(call.body["components"])]
    return {**call.body, "value": sum(value for value in values if isinstance(value, int | float))}


def _add_custom(call: Call) -> Response:
    return answer(call, create(call, _summed(call)))


def _change_custom(call: Call) -> Response:
    return answer(call, change(call, found(call), _summed(call)))


TAX_RATE_OPERATIONS = ruled(
    {
        "get_vat_rates": _list,
        "post_custom_vat_rates": _add_custom,
        "patch_custom_vat_rates_id": _change_custom,
    }
)
"""How VAT rates are emulated: those of the entity's country, and one's own."""
