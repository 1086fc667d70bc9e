"""Operators of FHIRPath over collections: equality, order, arithmetic, three-valued logic, membership."""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

import orjson

from converter.fhir.fhirpath.values import Item, Items, PathError, Quantity, Temporal, plain

Later = Callable[[], Items]

# Units that convert into another by a factor. UCUM as a whole is out of scope: others compare only with themselves.
_FACTORS: dict[str, tuple[str, str]] = {
    **{p + "g": ("g", f) for p, f in (("", "1"), ("k", "1e3"), ("m", "1e-3"), ("u", "1e-6"))},
    **{p + "m": ("m", f) for p, f in (("", "1"), ("k", "1e3"), ("c", "1e-2"), ("m", "1e-3"))},
    **{p + "L": ("L", f) for p, f in (("", "1"), ("d", "1e-1"), ("c", "1e-2"), ("m", "1e-3"))},
    "[in_i]": ("m", "0.0254"),
    "ms": ("s", "1e-3"),
    "s": ("s", "1"),
    "min": ("s", "60"),
    "h": ("s", "3600"),
    "d": ("s", "86400"),
    "wk": ("s", "604800"),
}
_CALENDAR = {"week": "wk", "day": "d", "hour": "h", "minute": "min", "second": "s", "millisecond": "ms"}
_UNIT = re.compile(r"([./]?)(1|%|[A-Za-z_]+|\[[^\]]*\]|\{[^}]*\})(-?\d+)?")
# Years and months have no fixed length; as words they are not the same as UCUM's averages.
_WORDS = {*_CALENDAR, "year", "month"}


def one(items: Items) -> Any:
    """The only item, None if there is none. Raises PathError if there are several."""
    if len(items) > 1:
        raise PathError("one item expected")
    return items[0] if items else None


def truth(items: Items) -> bool | None:
    """A collection as a condition: a single item that is no boolean counts as true."""
    if not items:
        return None
    value = plain(one(items))
    return value if isinstance(value, bool) else True


def answer(value: object) -> Items:
    """A result as a collection: None is empty."""
    return [] if value is None else [value]


def unit_of(quantity: Quantity) -> tuple[str, Decimal]:
    """The unit that a quantity is compared in, in base units with exponents, and its amount there."""
    unit, amount = quantity.unit, quantity.value
    if quantity.calendar or unit.rstrip("s") in _WORDS:
        unit = unit.rstrip("s")
        unit = _CALENDAR.get(unit, unit)
    powers: dict[str, int] = {}
    for sign, name, power in _UNIT.findall(unit):
        base, factor = _FACTORS.get(name, (name, "1"))
        exponent = int(power or 1) * (-1 if sign == "/" else 1)
        powers[base] = powers.get(base, 0) + exponent
        amount *= Decimal(factor) ** exponent
    parts = [base + (str(n) if n != 1 else "") for base, n in sorted(powers.items()) if n and base != "1"]
    return ".".join(parts) or "1", amount


def key(item: Any) -> object:
    """Equal for equal items: what unions and `distinct` go by."""
    value = plain(item)
    if isinstance(value, Quantity):
        return unit_of(value)
    if isinstance(value, bool | str):
        return value.__class__, value
    if value is not None:
        return value
    if item.value.__class__ in (dict, list):
        return orjson.dumps([item.value, item.twin], default=str, option=orjson.OPT_SORT_KEYS)
    return None, str(item.twin)


def same(left: Any, right: Any) -> bool | None:
    """Equality of two items; None where precision leaves it open."""
    a, b = plain(left), plain(right)
    if isinstance(a, Temporal) and isinstance(b, Temporal):
        order = compare_times(a, b)
        return order if order is None else order == 0
    if isinstance(a, Temporal) or isinstance(b, Temporal):
        return False
    if isinstance(a, Quantity) and isinstance(b, Quantity):
        return _same_quantity(a, b)
    if a is None and b is None:
        return bool(_raw(left) == _raw(right))
    return (isinstance(a, bool) == isinstance(b, bool)) and bool(a == b)


def _same_quantity(a: Quantity, b: Quantity) -> bool | None:
    if {a.unit.rstrip("s"), b.unit.rstrip("s")} & {"year", "month"} and a.calendar != b.calendar:
        return None
    return unit_of(a) == unit_of(b)


def _raw(item: Any) -> Any:
    return item.value if item.__class__ is Item else item


def compare_times(a: Temporal, b: Temporal) -> int | None:
    """-1, 0 or 1; None where the less precise one leaves it open. Raises PathError for a date and a time."""
    if (a.kind == "time") != (b.kind == "time"):
        return 1
    left, right = a.parts, b.parts
    zones = (a.offset is None, b.offset is None)
    if a.offset != b.offset and zones == (False, False):
        left, right = _in_utc(a), _in_utc(b)
    elif zones[0] != zones[1] and min(len(left), len(right)) > 3:
        return None
    for x, y in zip(left, right, strict=False):
        if x != y:
            return -1 if x < y else 1
    return 0 if len(left) == len(right) else None


def _in_utc(value: Temporal) -> tuple[Any, ...]:
    if len(value.parts) < 4:
        return value.parts
    try:
        whole = [int(p) for p in value.parts]
        moment = _moment([*whole, 0, 0][:6]) - timedelta(minutes=value.offset or 0)
    except (ValueError, OverflowError):
        return value.parts
    fields = (moment.year, moment.month, moment.day, moment.hour, moment.minute)[: len(value.parts)]
    return (*fields, *value.parts[5:])


def equal(left: Items, right: Items) -> bool | None:
    """`=`: all items pairwise equal in order; None if a side is empty or precision leaves it open."""
    if not left or not right:
        return None
    if len(left) != len(right):
        return False
    results = [same(a, b) for a, b in zip(left, right, strict=True)]
    return False if False in results else None if None in results else True


def eq(left: Items, right: Items) -> Items:
    """`=`"""
    return answer(equal(left, right))


def ne(left: Items, right: Items) -> Items:
    """`!=`"""
    found = equal(left, right)
    return answer(None if found is None else not found)


def alike(left: Any, right: Any) -> bool:
    """Equivalence of two items: case and blanks of strings, digits beyond the shorter decimal do not count."""
    a, b = plain(left), plain(right)
    if isinstance(a, str) and isinstance(b, str):
        return " ".join(a.lower().split()) == " ".join(b.lower().split())
    if isinstance(a, Quantity) and isinstance(b, Quantity):
        (unit, x), (other, y) = unit_of(a), unit_of(b)
        return unit == other and _round(x, y)
    if _is_number(a) and _is_number(b):
        return _round(Decimal(a), Decimal(b))
    return same(left, right) is True


def _round(a: Decimal, b: Decimal) -> bool:
    digits = min(max(0, -int(x.normalize().as_tuple().exponent)) for x in (a, b))
    step = Decimal(1).scaleb(-digits)
    return a.quantize(step, ROUND_HALF_UP) == b.quantize(step, ROUND_HALF_UP)


def equivalent(left: Items, right: Items) -> bool:
    """`~`: the same items in any order."""
    if len(left) != len(right):
        return False
    rest = list(right)
    for item in left:
        match = next((i for i, other in enumerate(rest) if alike(item, other)), None)
        if match is None:
            return False
        del rest[match]
    return True


def like(left: Items, right: Items) -> Items:
    """`~`"""
    return [equivalent(left, right)]


def unlike(left: Items, right: Items) -> Items:
    """`!~`"""
    return [not equivalent(left, right)]


def order(left: Items, right: Items) -> int | None:
    """-1, 0 or 1 for two single items of one type; None if a side is empty or precision leaves it open."""
    if not left or not right:
        return None
    a, b = plain(one(left)), plain(one(right))
    if a is None or b is None:
        return None
    if isinstance(a, Temporal) and isinstance(b, Temporal) and (a.kind == "time") == (b.kind == "time"):
        return compare_times(a, b)
    if isinstance(a, Quantity) and isinstance(b, Quantity):
        (unit, x), (other, y) = unit_of(a), unit_of(b)
        return None if unit != other else (x > y) - (x < y)
    if (_is_number(a) and _is_number(b)) or (isinstance(a, str) and isinstance(b, str)):
        return bool(a > b) - bool(a < b)
    raise PathError("values of different types have no order")


def lt(left: Items, right: Items) -> Items:
    """`<`"""
    found = order(left, right)
    return answer(None if found is None else found < 0)


def le(left: Items, right: Items) -> Items:
    """`<=`"""
    found = order(left, right)
    return answer(None if found is None else found <= 0)


def gt(left: Items, right: Items) -> Items:
    """`>`"""
    found = order(left, right)
    return answer(None if found is None else found > 0)


def ge(left: Items, right: Items) -> Items:
    """`>=`"""
    found = order(left, right)
    return answer(None if found is None else found >= 0)


def both(left: Items, right: Later) -> Items:
    """`and`"""
    a = truth(left)
    b = None if a is False else truth(right())
    return answer(False if a is False or b is False else None if a is None or b is None else True)


def either(left: Items, right: Later) -> Items:
    """`or`"""
    a = truth(left)
    b = None if a is True else truth(right())
    return answer(True if a is True or b is True else None if a is None or b is None else False)


def differ(left: Items, right: Later) -> Items:
    """`xor`"""
    a, b = truth(left), truth(right())
    return answer(None if a is None or b is None else a != b)


def implies(left: Items, right: Later) -> Items:
    """`implies`"""
    a = truth(left)
    b = None if a is False else truth(right())
    return answer(True if a is False or b is True else None if a is None or b is None else False)


def union(left: Items, right: Items) -> Items:
    """`|`: each item once."""
    return distinct([*left, *right])


def distinct(items: Items) -> Items:
    """Each item once, in order of first occurrence."""
    if len(items) < 2:
        return items
    return list({key(i): i for i in reversed(items)}.values())[::-1]


def within(left: Items, right: Items) -> Items:
    """`in`"""
    if not left:
        return []
    item = one(left)
    return [any(same(item, other) for other in right)]


def contains(left: Items, right: Items) -> Items:
    """`contains` as an operator."""
    return within(right, left)


def join(left: Items, right: Items) -> Items:
    """`&`: empty counts as an empty string."""
    return ["".join(_text(one(side)) for side in (left, right))]


def _text(item: Any) -> str:
    value = plain(item)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise PathError("& joins strings")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def _pair(left: Items, right: Items) -> tuple[Any, Any] | None:
    if not left or not right:
        return None
    a, b = plain(one(left)), plain(one(right))
    return None if a is None or b is None else (a, b)


def plus(left: Items, right: Items) -> Items:
    """`+`"""
    return _combine(left, right, 1)


def minus(left: Items, right: Items) -> Items:
    """`-`"""
    return _combine(left, right, -1)


def _combine(left: Items, right: Items, sign: int) -> Items:
    pair = _pair(left, right)
    if pair is None:
        return []
    a, b = pair
    if _is_number(a) and _is_number(b):
        return [a + sign * b]
    if isinstance(a, str) and isinstance(b, str) and sign == 1:
        return [a + b]
    if isinstance(a, Temporal) and isinstance(b, Quantity):
        return [_shift(a, b, sign)]
    if isinstance(a, Quantity) and isinstance(b, Quantity) and unit_of(a)[0] == unit_of(b)[0]:
        if a.unit == b.unit:
            return [Quantity(a.value + sign * b.value, a.unit, a.calendar)]
        return [Quantity(unit_of(a)[1] + sign * unit_of(b)[1], unit_of(a)[0])]
    raise PathError("these values cannot be added or subtracted")


_STEPS = {"wk": "days", "d": "days", "h": "hours", "min": "minutes", "s": "seconds", "ms": "milliseconds"}


def _shift(moment: Temporal, by: Quantity, sign: int) -> Temporal:
    """A moment moved by a duration. UCUM's months and years have no calendar length and are refused."""
    unit = by.unit.rstrip("s") if by.unit != "s" else "s"
    unit = {v: v for v in _STEPS}.get(by.unit) or _CALENDAR.get(unit, unit)
    amount = int(by.value) * sign
    parts = [*moment.parts, *(1, 1, 0, 0, 0)[len(moment.parts) - 1 :]] if moment.kind != "time" else None
    if parts is None or unit not in (*_STEPS, "year", "month"):
        raise PathError("no such step in time")
    try:
        if unit in ("year", "month"):
            months = parts[0] * 12 + parts[1] - 1 + amount * (12 if unit == "year" else 1)
            parts[0], parts[1] = months // 12, months % 12 + 1
            parts[2] = min(parts[2], calendar.monthrange(parts[0], parts[1])[1])
            when = _moment(parts)
        else:
            when = _moment(parts) + timedelta(**{_STEPS[unit]: amount * (7 if unit == "wk" else 1)})
    except (ValueError, OverflowError) as error:
        raise PathError("outside of the calendar") from error
    return _written(moment, when)


def _moment(parts: list[Any]) -> datetime:
    year, month, day, hour, minute = parts[:5]
    return datetime(year, month, day, hour, minute, int(parts[5]), int(Decimal(parts[5]) % 1 * 1_000_000))


def _written(like_this: Temporal, when: datetime) -> Temporal:
    """A moment with the precision, fraction and zone of another."""
    count = len(like_this.parts)
    text = when.strftime("%Y-%m-%d")[: (4, 7, 10)[min(count, 3) - 1]]
    seconds: Any = when.second
    if count > 3:
        text += when.strftime("T%H:%M:%S")[: (3, 6, 9)[count - 4]]
    if count == 6 and isinstance(like_this.parts[5], Decimal):
        digits = -int(like_this.parts[5].as_tuple().exponent)
        text += f".{when.microsecond:06}"[: digits + 1]
        seconds = Decimal(text[17:])
    zone = like_this.text[len(like_this.text.rstrip("Z")) - 6 :] if like_this.offset is not None else ""
    text += "Z" if like_this.text.endswith("Z") else zone
    fields = (when.year, when.month, when.day, when.hour, when.minute, seconds)
    return Temporal(like_this.kind, text, fields[:count], like_this.offset)


def times(left: Items, right: Items) -> Items:
    """`*`"""
    pair = _pair(left, right)
    if pair is None:
        return []
    a, b = pair
    if isinstance(b, Quantity) and _is_number(a):
        a, b = b, a
    if isinstance(a, Quantity) and _is_number(b):
        return [Quantity(a.value * b, a.unit, a.calendar)]
    if isinstance(a, Quantity) and isinstance(b, Quantity):
        (unit, x), (other, y) = unit_of(a), unit_of(b)
        return [Quantity(x * y, f"{unit}.{other}")]
    _numbers(a, b)
    return [a * b]


def over(left: Items, right: Items) -> Items:
    """`/`: always a decimal; nothing when divided by zero."""
    pair = _pair(left, right)
    if pair is None:
        return []
    a, b = pair
    if isinstance(a, Quantity) and isinstance(b, Quantity):
        (unit, x), (other, y) = unit_of(a), unit_of(b)
        inverse, _ = unit_of(Quantity(Decimal(1), "/" + other.replace(".", "/")))
        quotient = _ratio(x, y)
        return [Quantity(quotient, f"{unit}.{inverse}")] if quotient is not None else []
    if isinstance(a, Quantity) and _is_number(b):
        quotient = _ratio(a.value, b)
        return [Quantity(quotient, a.unit, a.calendar)] if quotient is not None else []
    _numbers(a, b)
    return answer(_ratio(a, b))


def _ratio(a: Any, b: Any) -> Decimal | None:
    return Decimal(a) / Decimal(b) if b else None


def div(left: Items, right: Items) -> Items:
    """`div`: whole quotient, cut towards zero."""
    return _whole(left, right, lambda a, b: int(Decimal(a) / Decimal(b)))


def mod(left: Items, right: Items) -> Items:
    """`mod`: the rest of `div`; it has the sign of the dividend."""
    return _whole(left, right, lambda a, b: a - b * int(Decimal(a) / Decimal(b)))


def _whole(left: Items, right: Items, result: Callable[[Any, Any], Any]) -> Items:
    pair = _pair(left, right)
    if pair is None:
        return []
    _numbers(*pair)
    try:
        return [result(*pair)] if pair[1] else []
    except InvalidOperation as error:  # pragma: no cover - numbers beyond what Decimal computes with
        raise PathError("number too large") from error


def _numbers(a: Any, b: Any) -> None:
    if not (_is_number(a) and _is_number(b)):
        raise PathError("numbers expected")


def signed(sign: str, items: Items) -> Items:
    """A leading `+` or `-`."""
    if not items:
        return []
    value = plain(one(items))
    if isinstance(value, Quantity):
        return [Quantity(-value.value if sign == "-" else value.value, value.unit, value.calendar)]
    _numbers(value, 0)
    return [-value if sign == "-" else value]


OPERATORS: dict[str, Callable[[Items, Items], Items]] = {
    "=": eq,
    "!=": ne,
    "~": like,
    "!~": unlike,
    "<": lt,
    "<=": le,
    ">": gt,
    ">=": ge,
    "|": union,
    "in": within,
    "contains": contains,
    "&": join,
    "+": plus,
    "-": minus,
    "*": times,
    "/": over,
    "div": div,
    "mod": mod,
}
# The right side of these is only computed where it decides.
LOGIC: dict[str, Callable[[Items, Later], Items]] = {"and": both, "or": either, "xor": differ, "implies": implies}
