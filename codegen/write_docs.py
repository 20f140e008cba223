"""Docstrings of the generated methods, from what the contract says in numbers and names."""

from __future__ import annotations

import re

from codegen.choices_names import ARGUMENTS, PHRASES, SPELLINGS, UNCOUNTABLE
from codegen.ir import Choice, ListOf, MapOf, Nullable, Object, Op, Ref, Scalar, Type, Union
from codegen.places import singular
from codegen.plan import Method, Resource
from codegen.write_schemas import Inputs

__all__ = ["describe", "filtered", "label", "of_path", "raises", "summary"]

_MOST = 8
_MONEY = re.compile(r"(?:^|_)(?:amount|total|subtotal|price|fee|refund)(?:_|$)")
_PERCENT = {"tax"}
_FILTERS = {
    "gt": "greater than this",
    "gte": "this or greater",
    "lt": "less than this",
    "lte": "this or less",
    "in": "one of these",
    "not_in": "none of these",
    "iexact": "equal to this, in upper or lower case",
    "contains": "containing this",
    "icontains": "containing this, in upper or lower case",
    "ncontains": "not containing this",
    "istartswith": "beginning with this, in upper or lower case",
}
_KINDS = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "uuid": "UUID",
    "date": "date (ISO 8601 if text)",
    "date-time": "point in time with its offset (ISO 8601 if text)",
    "email": "e-mail address",
    "uri": "URL",
    "binary": "file: bytes, a path, an open file or an ``Upload``",
}


# -- sentences


def label(words: str) -> str:
    """Return a name of the wire as words: ``vat_ids`` as ``VAT ids``."""
    return " ".join(SPELLINGS.get(word, word) for word in words.split("_"))


def _one(words: str) -> str:
    text = label(singular(words))
    if text in UNCOUNTABLE:
        return text
    return f"{'an' if text[0].lower() in 'aeio' or text[:3] == 'OCR' else 'a'} {text}"


def summary(resource: Resource, method: Method) -> str:
    """Return what a method does, as one imperative sentence."""
    parts = resource.name.split(".")
    above = method.op.path.partition(f"/{resource.attribute}")[0]
    of_parent = f" of {_one(parts[-2])}" if len(parts) > 1 and "{" in above else ""
    many = label(resource.attribute)
    alone = method.op.path.rstrip("/").endswith("}")
    inside = any(f"{{{name}}}" in method.op.path.split(resource.attribute)[-1] for name in method.op.path_params)
    one = _one(resource.attribute) if inside or alone else f"the {many}"
    return _phrase(method, one, many, _one(resource.attribute), of_parent) + "."


def _phrase(method: Method, one: str, many: str, a: str, of_parent: str) -> str:
    text = PHRASES.get(method.op.operation_id) or PHRASES.get(method.name)
    if text:
        return text.format(one=one, many=many, a=a) + of_parent
    verb, _, rest = method.name.partition("_")
    words = label(rest)
    target = one + of_parent
    match verb, rest:
        case "list", "":
            return f"List {many}{of_parent}"
        case "create", "":
            return f"Create {a}{of_parent}"
        case "replace", "":
            return f"Put {many} in the place of all {many}{of_parent}"
        case _, "":
            return f"{verb.capitalize()} {target}"
        case _, "me":
            return f"{verb.capitalize()} the {singular(many)} that the token belongs to"
        case _, str() if rest.startswith("my_"):
            return f"{verb.capitalize()} the {label(rest.removeprefix('my_'))} of the user that the token belongs to"
        case "mark", _:
            return f"Mark {target} {words}"
        case _, str() if rest.split("_")[0] in {"for", "from", "as"}:
            return f"{verb.capitalize()} {target} {words}"
        case _:
            return f"{verb.capitalize()} the {words} of {target}"


def raises(op: Op) -> list[str]:
    """Return the lines that say how a call fails."""
    codes = [str(status) for status in op.statuses if status >= 400]
    listed = f"{', '.join(codes[:-1])} or {codes[-1]}" if len(codes) > 1 else "".join(codes)
    said = f"The API says no ({listed}); each status has a class of its own." if codes else "The API says no."
    return [f"APIStatusError: {said}", "TransportError: No complete answer arrived."]


# -- arguments


def of_path(name: str, resource: Resource) -> str:
    """Return what a parameter of the path is."""
    stem = name.removesuffix("_id")
    if stem == name:
        return f"Id of the {label(singular(resource.attribute))}."
    return f"Id of the {label(stem)}."


def filtered(inputs: Inputs, name: str, kind: Type, default: object, *, lists: bool) -> str:
    """Return what a query parameter, or a field of a search, is: a bound, a match, or a plain value.

    Args:
        inputs: The types of requests.
        name: Its name on the wire.
        kind: Its type.
        default: What the API takes when it is left out.
        lists: Whether it narrows a list.
    """
    # A query has no null: what may be null in the contract is simply left out.
    kind = kind.inner if isinstance(kind, Nullable) else kind
    field, _, how = name.rpartition("__")
    if how in _FILTERS and field:
        inner = kind.item if isinstance(kind, ListOf) else kind
        return f"Only with ``{field}`` {_FILTERS[how]}: {_type(inputs, field, inner)}."
    text = describe(inputs, name, kind, default)
    if name in ARGUMENTS and isinstance(kind, Scalar) and kind == Scalar("string"):
        return f"{ARGUMENTS[name]}."
    plain = "Only with these values" if isinstance(kind, ListOf) else "Only with this value"
    lead = ARGUMENTS.get(name) or (plain if lists else "")
    return f"{lead}: {text if text.startswith('UUID') else text[0].lower() + text[1:]}" if lead else text


def describe(inputs: Inputs, name: str, kind: Type, default: object) -> str:
    """Return what a value may be: kind, unit, limits, default."""
    text = _type(inputs, name, kind)
    inner = kind.inner if isinstance(kind, Nullable) else kind
    if name.endswith("_id") and isinstance(inner, Scalar) and inner.kind == "uuid":
        text = f"id of the {label(name.removesuffix('_id'))} ({text})"
    if default is not None and not isinstance(default, (dict, list)):
        text += f"; {default} by default" if not isinstance(default, bool) else f"; {str(default).lower()} by default"
    return text[0].upper() + text[1:] + "."


def _type(inputs: Inputs, name: str, kind: Type) -> str:
    match kind:
        case Scalar():
            return _scalar(name, kind)
        case Choice(values=values):
            return _choice(values)
        case Ref(name=target):
            schema = inputs.plan.contract.schemas[target]
            if isinstance(schema, Object):
                return f"``{inputs.name(target)}``"
            return _type(inputs, name, schema.type)
        case ListOf(item=item, min_items=low, max_items=high):
            bounds = _bounds(low, high, " entries")
            return f"list{f' of {bounds}' if bounds else ''}; each one {_type(inputs, name, item)}"
        case MapOf():
            return "an object with keys of your own"
        case Union(members=members, discriminator=key):
            if key:
                return f"one of {len(members)} kinds of object, told apart by ``{key}``"
            return " or ".join(dict.fromkeys(_type(inputs, name, member) for member in members))
        case Nullable(inner=inner):
            return f"{_type(inputs, name, inner)}; or None"
        case _:
            return "any JSON value"


def _choice(values: tuple[str, ...]) -> str:
    shown = [f"``{value}``" for value in values]
    if len(shown) > _MOST:
        return f"one of {len(shown)} values, among them {shown[0]} and {shown[1]}"
    return f"one of {', '.join(shown)}" if len(shown) > 1 else "".join(shown)


def _scalar(name: str, scalar: Scalar) -> str:
    text = _KINDS.get(scalar.kind, scalar.kind)
    low = scalar.minimum if scalar.minimum is not None else scalar.above
    bounds = _bounds(low, scalar.maximum, "", "more than" if scalar.above is not None else "at least")
    length = _bounds(scalar.min_length, scalar.max_length, " characters")
    text += "".join(f", {part}" for part in (bounds, length) if part)
    if scalar.kind == "integer" and name in _PERCENT:
        return text + ", in hundredths of a percent (1050 is 10.5 %)"
    return text + (", in minor units of the currency" if scalar.kind == "integer" and _MONEY.search(name) else "")


def _bounds(low: float | None, high: float | None, unit: str, least: str = "at least") -> str:
    if low is not None and high is not None and least == "at least":
        return f"{low:,g} to {high:,g}{unit}" if max(abs(low), abs(high)) < 1e6 else f"{low:,.0f} to {high:,.0f}{unit}"
    parts = [f"{least} {low:,.0f}{unit}"] if low is not None else []
    parts += [f"at most {high:,.0f}{unit}"] if high is not None else []
    return ", ".join(parts)
