"""The values that FHIRPath computes with.

System values are Python's own (str, bool, int, Decimal) beside `Temporal` and `Quantity`; everything that comes from
FHIR is an `Item`: the JSON value, the twin property with its extensions (`_name`), and its type.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from converter.fhir.fhirpath.model import Kind

Items = list[Any]


class PathError(Exception):
    """The expression has no result: FHIRPath ends with an error here."""


class Undecided(Exception):  # noqa: N818 - not a fault: this validator cannot tell
    """The result depends on something that the pack does not hold. `args[0]` names it."""


class Malformed(Exception):  # noqa: N818 - not the expression's fault
    """JSON that is not of the type of its element, which is reported as that."""


class Item:
    """An element of FHIR data. `twin` is the object under `_name` of a primitive."""

    __slots__ = ("kind", "twin", "value")

    def __init__(self, value: Any, kind: Kind, twin: Any = None) -> None:
        self.value = value
        self.kind = kind
        self.twin = twin

    def __repr__(self) -> str:
        return f"Item({self.kind.name})"


_TIME = re.compile(r"(\d\d)(?::(\d\d)(?::(\d\d(?:\.\d+)?))?)?\Z")
_DATE = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d))?)?(T(?:(\d\d)(?::(\d\d)(?::(\d\d(?:\.\d+)?))?)?(Z|[+-]\d\d:\d\d)?)?)?\Z"
)


@dataclass(frozen=True, slots=True)
class Temporal:
    """A date, dateTime or time as precise as it was written. `offset` in minutes, None without time zone."""

    kind: str
    text: str
    parts: tuple[Any, ...]
    offset: int | None = None


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number with a unit: a code of UCUM, or a word of the calendar (`calendar`)."""

    value: Decimal
    unit: str
    calendar: bool = False


def temporal(text: str, kind: str) -> Temporal | None:
    """Read a `date`, `dateTime` or `time`; None if it is none."""
    if kind == "time":
        found = _TIME.match(text)
        return Temporal("time", text, _numbers(found.groups())) if found else None
    found = _DATE.match(text)
    if found is None or (kind == "date" and found[4]):
        return None
    year, month, day, _, *clock, zone = found.groups()
    offset = None
    if zone:
        minutes = 0 if zone == "Z" else int(zone[1:3]) * 60 + int(zone[4:])
        offset = -minutes if zone[0] == "-" else minutes
    return Temporal(kind, text, _numbers((year, month, day, *clock)), offset)


def _numbers(groups: tuple[str | None, ...]) -> tuple[Any, ...]:
    return tuple(Decimal(g) if "." in g else int(g) for g in groups if g is not None)


_JSON: dict[str, Any] = {
    "boolean": bool,
    "decimal": (int, float, Decimal),
    **dict.fromkeys(("integer", "positiveInt", "unsignedInt"), int),
}
_TEMPORALS = {"date": "date", "dateTime": "dateTime", "instant": "dateTime", "time": "time"}


def plain(item: Any) -> Any:
    """The System value of an item: a FHIR primitive's value, a FHIR Quantity; None if it has none."""
    if item.__class__ is not Item:
        return item
    value, kind = item.value, item.kind
    if value.__class__ is dict and not kind.primitive:
        return _quantity(value) if "Quantity" in kind.lineage else None
    if value is None or not kind.primitive:
        return value
    code = kind.code
    wanted = _JSON.get(code, str)
    if not isinstance(value, wanted) or (wanted is not bool and isinstance(value, bool)):
        raise Malformed
    if code in _TEMPORALS:
        moment = temporal(value, _TEMPORALS[code])
        if moment is None:
            raise Malformed
        return moment
    return number(value) if code == "decimal" else value


def number(value: Any) -> Any:
    """A JSON number as an exact decimal; anything else as it is."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Decimal(str(value))
    return value


def _quantity(value: dict[str, Any]) -> Quantity | None:
    amount, unit = number(value.get("value")), value.get("code", value.get("unit", "1"))
    return Quantity(amount, unit) if isinstance(amount, Decimal) and isinstance(unit, str) else None


def literal(kind: str, text: str, unit: str = "") -> Any:
    """The value of a literal of an expression."""
    if kind == "number":
        return Decimal(text) if "." in text else int(text)
    if kind == "quantity":
        return Quantity(Decimal(text), unit.strip("'"), not unit.startswith("'"))
    if text.startswith("@T"):
        return temporal(text[2:], "time")
    return temporal(text[1:], "dateTime" if "T" in text else "date")


def to_decimal(text: str) -> Decimal | None:
    """A decimal as FHIRPath writes it; None if it is none."""
    try:
        return Decimal(text) if re.match(r"[+-]?\d+(?:\.\d+)?\Z", text) else None
    except InvalidOperation:  # pragma: no cover - more digits than Decimal can hold
        return None
