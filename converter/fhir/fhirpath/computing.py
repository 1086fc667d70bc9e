"""The functions of FHIRPath that compute: strings, conversions, numbers, time."""

from __future__ import annotations

import base64
import binascii
import html
import json
import math
import re
from collections.abc import Callable, Iterator
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from converter.fhir.fhirpath.functions import Function, path
from converter.fhir.fhirpath.operators import answer, one, unit_of
from converter.fhir.fhirpath.patterns import find, full, replace_all
from converter.fhir.fhirpath.scope import Scope
from converter.fhir.fhirpath.values import (
    Item,
    Items,
    PathError,
    Quantity,
    Temporal,
    literal,
    plain,
    temporal,
    to_decimal,
)

# Strings


def _string(items: Items) -> str | None:
    value = plain(one(items))
    if isinstance(value, Item | bool):
        raise PathError("a string expected")
    if isinstance(value, Temporal):
        return value.text
    if value is not None and not isinstance(value, str):
        raise PathError("a string expected")
    return value


def _strings(items: Items) -> Iterator[str | None]:
    """The strings of a predicate. HL7's engine does not insist on one: a rule about several holds if one meets it."""
    for item in items:
        if item.__class__ is Item and not item.kind.primitive and item.kind.known:
            raise PathError("a string expected")
        yield _string([item])


def _predicate(name: str, test: Callable[[str, str], bool]) -> None:
    @path(name, "v")
    def judge(items: Items, scope: Scope, argument: Items) -> Items:
        wanted = _string(argument)
        if not items or wanted is None:
            return []
        return [any(text is not None and test(text, wanted) for text in _strings(items))]


_predicate("startsWith", str.startswith)
_predicate("endsWith", str.endswith)
_predicate("contains", lambda text, wanted: wanted in text)
_predicate("matches", lambda text, pattern: find(pattern, text))
_predicate("matchesFull", lambda text, pattern: full(pattern, text))


def _on_text(name: str, arguments: str = "") -> Callable[[Callable[..., Any]], Function]:
    """Register a function of one string; without the string or an argument there is no result."""

    def register(function: Callable[..., Any]) -> Function:
        @path(name, arguments)
        def judge(items: Items, scope: Scope, *given: Items) -> Items:
            text = _string(items)
            values = [plain(one(g)) for g in given]
            if text is None or any(v is None for v in values):
                return []
            try:
                return answer(function(text, *values))
            except (TypeError, AttributeError, ValueError) as error:
                raise PathError(f"{name} does not work on these values") from error

        return judge

    return register


@_on_text("substring", "v?v")
def substring(text: str, first: int, length: int | None = None) -> str | None:
    """A part of a string; nothing if it starts outside."""
    if not 0 <= first < len(text):
        return None
    return text[first:] if length is None else text[first : first + max(0, length)]


_on_text("indexOf", "v")(str.find)
_on_text("upper")(str.upper)
_on_text("lower")(str.lower)
_on_text("trim")(str.strip)
_on_text("length")(len)


@_on_text("replace", "vv")
def replace(text: str, old: str, new: str) -> str:
    """Every occurrence replaced. An empty pattern stands around every character."""
    return text.replace(old, new)


@_on_text("replaceMatches", "vv")
def replace_matches(text: str, pattern: str, new: str) -> str:
    """Every match of a regular expression replaced."""
    return replace_all(pattern, new, text) if pattern else text


@path("toChars")
def to_chars(items: Items, scope: Scope) -> Items:
    """The characters."""
    return list(_string(items) or "")


@path("split", "v")
def split(items: Items, scope: Scope, separator: Items) -> Items:
    """The parts between separators."""
    text, by = _string(items), _string(separator)
    return text.split(by) if text is not None and by else answer(text)


@path("join", "?v")
def join(items: Items, scope: Scope, separator: Items = ()) -> Items:  # type: ignore[assignment]
    """One string of many."""
    return [(_string(separator) or "").join(_string([i]) or "" for i in items)] if items else []


_ENCODERS: dict[str, tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]] = {
    "hex": (binascii.hexlify, binascii.unhexlify),
    "base64": (base64.b64encode, base64.b64decode),
    "urlbase64": (base64.urlsafe_b64encode, base64.urlsafe_b64decode),
}


@_on_text("encode", "v")
def encode(text: str, form: str) -> str | None:
    """A string in hex or base64."""
    return _ENCODERS[form][0](text.encode()).decode() if form in _ENCODERS else None


@_on_text("decode", "v")
def decode(text: str, form: str) -> str | None:
    """A string out of hex or base64."""
    return _ENCODERS[form][1](text.encode()).decode() if form in _ENCODERS else None


@_on_text("escape", "v")
def escape(text: str, form: str) -> str | None:
    """A string as HTML or JSON writes it."""
    return {"html": html.escape(text), "json": json.dumps(text, ensure_ascii=False)[1:-1]}.get(form)


@_on_text("unescape", "v")
def unescape(text: str, form: str) -> str | None:
    """A string as HTML or JSON means it."""
    if form == "json":
        return str(json.loads('"' + re.sub(r'\\?"', r'\\"', text) + '"', strict=False))
    return html.unescape(text) if form == "html" else None


# Conversions


def _to_integer(value: Any) -> int | None:
    if isinstance(value, str):
        text = value.removeprefix("-").removeprefix("+")
        return int(value) if text.isascii() and text.isdigit() and len(text) < 20 else None
    return int(value) if isinstance(value, int) else None


def _to_decimal(value: Any) -> Decimal | None:
    if isinstance(value, str):
        return to_decimal(value)
    return Decimal(value) if isinstance(value, int | Decimal) else None


_TRUE = {"true", "t", "yes", "y", "1", "1.0"}
_FALSE = {"false", "f", "no", "n", "0", "0.0"}


def _to_boolean(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    if isinstance(value, int | Decimal):
        return True if value == 1 else False if value == 0 else None
    text = value.lower() if isinstance(value, str) else ""
    return True if text in _TRUE else False if text in _FALSE else None


def to_text(value: Any) -> str | None:
    """A System value as `toString()` writes it; None if it has no such form."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, Quantity):
        return f"{value.value:f} {value.unit}" if value.calendar else f"{value.value:f} '{value.unit}'"
    if isinstance(value, Temporal):
        return value.text
    return str(value) if isinstance(value, str | int) else None


def _to_temporal(kind: str) -> Callable[[Any], Temporal | None]:
    def convert(value: Any) -> Temporal | None:
        if isinstance(value, Temporal) and value.kind != kind:
            shorter = value.text.partition("T")[0] if kind == "date" else value.text
            return temporal(shorter, kind) if "time" not in (kind, value.kind) else None
        if isinstance(value, Temporal):
            return value
        return temporal(value, kind) if isinstance(value, str) else None

    return convert


def _to_quantity(value: Any) -> Quantity | None:
    if isinstance(value, Quantity):
        return value
    if isinstance(value, str):
        amount, _, unit = value.partition(" ")
        known = not unit or (unit[0] == unit[-1] == "'" and len(unit) > 2) or unit.rstrip("s") in _CALENDAR_WORDS
        if to_decimal(amount) is None or not known:
            return None
        return literal("quantity", amount, unit or "'1'")  # type: ignore[no-any-return]
    return Quantity(Decimal(value), "1") if isinstance(value, int | Decimal) else None


_CALENDAR_WORDS = {"year", "month", "week", "day", "hour", "minute", "second", "millisecond"}
_CONVERSIONS: dict[str, Callable[[Any], Any]] = {
    "Integer": _to_integer,
    "Decimal": _to_decimal,
    "Boolean": _to_boolean,
    "String": to_text,
    "Date": _to_temporal("date"),
    "DateTime": _to_temporal("dateTime"),
    "Time": _to_temporal("time"),
    "Quantity": _to_quantity,
}


def _conversion(name: str, convert: Callable[[Any], Any]) -> None:
    @path("to" + name)
    def to(items: Items, scope: Scope) -> Items:
        return answer(convert(plain(one(items)))) if items else []

    @path("convertsTo" + name)
    def converts(items: Items, scope: Scope) -> Items:
        return [convert(plain(one(items))) is not None] if items else []


for _name, _convert in _CONVERSIONS.items():
    _conversion(_name, _convert)


# Numbers


def _on_number(name: str, arguments: str = "") -> Callable[[Callable[..., Any]], Function]:
    """Register a function of one number (or of a quantity's)."""

    def register(function: Callable[..., Any]) -> Function:
        @path(name, arguments)
        def compute(items: Items, scope: Scope, *given: Items) -> Items:
            value = plain(one(items))
            values = [plain(one(g)) for g in given]
            if value is None or any(v is None for v in values):
                return []
            quantity = value if isinstance(value, Quantity) else None
            value = quantity.value if quantity else value
            if not isinstance(value, int | Decimal) or isinstance(value, bool):
                raise PathError("a number expected")
            try:
                result = function(value, *values)
            except (ValueError, InvalidOperation, OverflowError, TypeError):
                return []
            return [Quantity(Decimal(result), quantity.unit, quantity.calendar)] if quantity else answer(result)

        return compute

    return register


_on_number("abs")(abs)
_on_number("ceiling")(math.ceil)
_on_number("floor")(math.floor)
_on_number("truncate")(math.trunc)


@_on_number("round", "?v")
def round_(value: Any, digits: int = 0) -> Decimal:
    """Rounded, halves away from zero."""
    return Decimal(value).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)


@_on_number("sqrt")
def sqrt(value: Any) -> Decimal:
    """The square root."""
    return Decimal(value).sqrt()


@_on_number("exp")
def exp(value: Any) -> Decimal:
    """e to the power."""
    return Decimal(value).exp()


@_on_number("ln")
def ln(value: Any) -> Decimal:
    """The natural logarithm."""
    return Decimal(value).ln()


@_on_number("log", "v")
def log(value: Any, base: Any) -> Decimal:
    """The logarithm to a base."""
    return (Decimal(value).ln() / Decimal(base).ln()).quantize(Decimal("1e-12"))


@_on_number("power", "v")
def power(value: Any, exponent: Any) -> Any:
    """A power; nothing where it is no real number."""
    if isinstance(value, int) and isinstance(exponent, int) and 0 <= exponent < 1000:
        return value**exponent
    return Decimal(value) ** Decimal(exponent)


# Time


@path("now")
def now(items: Items, scope: Scope) -> Items:
    """The moment of evaluation."""
    return answer(temporal(scope.now().isoformat(timespec="milliseconds"), "dateTime"))


@path("today")
def today(items: Items, scope: Scope) -> Items:
    """The day of evaluation."""
    return answer(temporal(scope.now().date().isoformat(), "date"))


@path("timeOfDay")
def time_of_day(items: Items, scope: Scope) -> Items:
    """The time of evaluation."""
    return answer(temporal(scope.now().strftime("%H:%M:%S"), "time"))


@path("precision")
def precision(items: Items, scope: Scope) -> Items:
    """The number of digits that a value was written with."""
    value = plain(one(items))
    if isinstance(value, Temporal):
        text = value.text[: -6 if value.offset is not None and not value.text.endswith("Z") else None]
        return [sum(c.isdigit() for c in text)]
    if isinstance(value, Decimal):
        return [max(0, -int(value.as_tuple().exponent))]
    return []


@path("comparable", "v")
def comparable(items: Items, scope: Scope, other: Items) -> Items:
    """Whether two quantities have units that convert into each other."""
    left, right = plain(one(items)), plain(one(other))
    if isinstance(left, Quantity) and isinstance(right, Quantity):
        return [unit_of(left)[0] == unit_of(right)[0]]
    return []


CONSTANTS = {
    "sct": "http://snomed.info/sct",
    "loinc": "http://loinc.org",
    "ucum": "http://unitsofmeasure.org",
}


def constant(name: str) -> str | None:
    """The value of `%name` where it is a fixed URL."""
    if name.startswith("vs-"):
        return "http://hl7.org/fhir/ValueSet/" + name[3:]
    if name.startswith("ext-"):
        return "http://hl7.org/fhir/StructureDefinition/" + name[4:]
    return CONSTANTS.get(name)
