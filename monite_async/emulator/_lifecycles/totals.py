"""Sums of sales documents, in minor units; rates and percentages are in hundredths of a percent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal

from monite_async.emulator._generic import Json
from monite_async.emulator._message import as_list, as_object

__all__ = ["line_sums", "sums"]

_WHOLE = Decimal(10_000)


def _rounded(value: Decimal) -> int:
    return int(value.quantize(Decimal(1), ROUND_HALF_UP))


def _int(value: object) -> int:
    return value if isinstance(value, int) else 0


def _discounted(amount: Decimal, discount: object) -> Decimal:
    given = as_object(discount)
    size = Decimal(_int(given.get("amount")))
    off = amount * size / _WHOLE if given.get("type") == "percentage" else size
    return max(Decimal(0), amount - off)


def line_sums(price: int, quantity: object, rate: int, discount: object, *, inclusive: bool) -> Json:
    """Return the sums of one line.

    Args:
        price: Price of one, in minor units.
        quantity: How many.
        rate: VAT rate, in hundredths of a percent.
        discount: The line's discount, or None.
        inclusive: Whether the price holds the VAT already.
    """
    amount = _discounted(Decimal(str(quantity)) * price, discount)
    factor = 1 + Decimal(rate) / _WHOLE
    before = amount / factor if inclusive else amount
    after = amount if inclusive else amount * factor
    return {
        "total_before_vat": _rounded(before),
        "total_after_vat": _rounded(after),
        "price_after_vat": _rounded(Decimal(price) if inclusive else price * factor),
    }


def sums(lines: Sequence[object], source: Mapping[str, object]) -> Json:
    """Return the sums of a document: its lines, discount, deductions, withholding tax and what was paid."""
    rows = [as_object(line) for line in lines]
    subtotal = sum(_int(row.get("total_before_vat")) for row in rows)
    discounted = _rounded(_discounted(Decimal(subtotal), source.get("discount")))
    share = Decimal(discounted) / subtotal if subtotal else Decimal(1)
    taxes: dict[int, list[Decimal]] = {}
    for row in rows:
        rate = _int(as_object(as_object(row.get("product")).get("vat_rate")).get("value"))
        before, after = _int(row.get("total_before_vat")), _int(row.get("total_after_vat"))
        sum_before, sum_tax = taxes.setdefault(rate, [Decimal(0), Decimal(0)])
        taxes[rate] = [sum_before + before * share, sum_tax + (after - before) * share]
    exempt = source.get("vat_exempt") is True
    amounts: list[object] = [
        {"value": rate, "taxable_amount": _rounded(base), "amount": 0 if exempt else _rounded(tax)}
        for rate, (base, tax) in sorted(taxes.items())
    ]
    vat = sum(_int(as_object(entry)["amount"]) for entry in amounts)
    withheld = _rounded(Decimal(discounted) * _int(source.get("withholding_tax_rate")) / _WHOLE)
    deducted = _int(source.get("deduction_amount")) + sum(
        _int(as_object(entry).get("amount")) for entry in as_list(source.get("deductions"))
    )
    total = discounted + vat
    due = max(0, total - withheld - deducted - _int(source.get("amount_paid")))
    return {
        "subtotal": subtotal,
        "discounted_subtotal": discounted,
        "subtotal_after_vat": total,
        "total_vat_amount": vat,
        "total_vat_amounts": amounts,
        "total_withholding_tax": withheld,
        "total_deduction_amount": deducted,
        "total_amount": total,
        "amount_due": due,
        "amount_to_pay": due,
    }
