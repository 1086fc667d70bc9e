"""Fixed values and patterns (ElementDefinition.fixed[x] and pattern[x])."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from converter.fhir.elements import ABSENT, Site
from converter.fhir.run import Run
from converter.issues import Severity, declare

if TYPE_CHECKING:
    from converter.fhir.source import Source

FIXED = declare(
    "PRO027",
    "fixed-value",
    Severity.ERROR,
    "{element} must be exactly what the profile fixes",
    why="Receivers recognise the message, or this part of it, by this value.",
    help="Write the value of the profile.",
    source="FHIR R4, ElementDefinition.fixed[x]",
    example='"type": "collection" where the profile fixes Bundle.type to "message"',
)
PATTERN = declare(
    "PRO028",
    "pattern-value",
    Severity.ERROR,
    "{element} must hold what the profile's pattern says",
    why="Receivers recognise the message, or this part of it, by this value.",
    help="Write at least the values of the pattern; more may stand beside them.",
    source="FHIR R4, ElementDefinition.pattern[x]",
    example='"use": "old" where the pattern of the identifier says "use": "official"',
)
RANGE = declare(
    "PRO059",
    "value-out-of-range",
    Severity.ERROR,
    "{element} is {problem} the profile allows",
    why="The profile takes values outside of its range for mistakes, and receivers may refuse them.",
    help="Correct the value; look for a slip in the unit or the decimal point.",
    source="FHIR R4, ElementDefinition.minValue[x] and maxValue[x]",
    example="an age of 400 where the profile allows at most 150",
)


def emit_range(source: Source, least: Any, most: Any, pointer: str, site: Site) -> None:
    """Code that compares `v` with the least and the most value that an element may have."""
    source(f"check_range(v, {pointer}, x, {source.constant(site, 'S')}, {source.constant((least, most), 'RANGE')})")


def check_range(value: object, pointer: str, run: Run, site: Site, limits: tuple[Any, Any]) -> None:
    """Report a number, time or quantity outside of its limits."""
    least, most = limits
    for problem, low, high in (("less than", value, least), ("more than", most, value)):
        if below(low, high):
            run.add(RANGE, pointer, site, element=site.leaf, problem=problem)


def in_range(value: object, limits: tuple[Any, Any]) -> bool:
    """Whether `check_range` would find nothing."""
    return not below(value, limits[0]) and not below(limits[1], value)


def below(low: object, high: object) -> bool:
    """Whether one value is certainly less than another: numbers, dates and times to the precision that both have,
    quantities of the same unit. What cannot be compared is not."""
    if isinstance(low, dict) and isinstance(high, dict):
        same = all(low.get(k) == high.get(k) for k in ("system", "code")) and "code" in low
        return same and below(low.get("value"), high.get("value"))
    if isinstance(low, str) and isinstance(high, str):
        first, second = _moment(low), _moment(high)
        if first and second:
            return first < second
        length = min(len(low), len(high)) if low[2:3] == ":" else min(len(low), len(high), 10)
        return low[:length] < high[:length]
    return _number(low) is not None and _number(high) is not None and Decimal(str(low)) < Decimal(str(high))


def _number(value: object) -> object:
    return value if isinstance(value, int | float | Decimal) and not isinstance(value, bool) else None


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text) if "T" in text else None
    except ValueError:
        return None
    return moment if moment and moment.tzinfo else None


def limited(least: Any, most: Any) -> bool:
    """Whether an element has limits."""
    return least is not ABSENT or most is not ABSENT


def emit_fixed(source: Source, value: Any, pointer: str, site: Site) -> None:
    """Code that compares `v` with a fixed value. A scalar that is equal needs no further look."""
    here = source.constant(site, "S")
    wanted = repr(value) if isinstance(value, str) else source.constant(value, "FIXED_VALUE")
    with source.block(f"if v != {wanted}:"):
        source(f"wrong(v, {pointer}, x, {here}, FIXED)")


def emit_pattern(source: Source, value: Any, pointer: str, site: Site) -> None:
    """Code that looks for a pattern in `v`."""
    here = source.constant(site, "S")
    if isinstance(value, str):
        with source.block(f"if v != {value!r}:"):
            source(f"wrong(v, {pointer}, x, {here}, PATTERN)")
    else:
        wanted = source.constant(value, "PATTERN_VALUE")
        with source.block(f"if not holds(v, {wanted}):"):
            source(f"wrong(v, {pointer}, x, {here}, PATTERN)")


def holds(value: Any, pattern: Any) -> bool:
    """Whether a value holds everything of a pattern: objects by property, arrays by some item each."""
    if isinstance(pattern, dict):
        return isinstance(value, dict) and all(k in value and holds(value[k], p) for k, p in pattern.items())
    if isinstance(pattern, list):
        return isinstance(value, list) and all(any(holds(v, p) for v in value) for p in pattern)
    # In Python True equals 1; in JSON it does not.
    return bool(value == pattern) and isinstance(value, bool) == isinstance(pattern, bool)


def holding(value: str, pattern: Any) -> str:
    """Code that is true only if `holds` is, over a Python expression; empty if the pattern is not of texts only."""
    if isinstance(pattern, str):
        return f"{value} == {pattern!r}"
    if isinstance(pattern, dict):
        parts = [holding(f"{value}.get({key!r})", part) for key, part in pattern.items()]
    elif isinstance(pattern, list):
        parts = [holding("w", part) for part in pattern]
        parts = [part and f"[1 for w in {value} if {part}]" for part in parts]
    else:
        return ""
    return f"({' and '.join(parts)})" if parts and all(parts) else ""


def wrong(value: object, pointer: str, run: Run, site: Site, kind: Any) -> None:
    """Report a value that is not the one of the profile."""
    run.add(kind, pointer, site, element=site.leaf, value=value if isinstance(value, str | int) else None)
