"""Fixed values and patterns (ElementDefinition.fixed[x] and pattern[x])."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from converter.fhir.elements import Site
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
)
PATTERN = declare(
    "PRO028",
    "pattern-value",
    Severity.ERROR,
    "{element} must hold what the profile's pattern says",
    why="Receivers recognise the message, or this part of it, by this value.",
    help="Write at least the values of the pattern; more may stand beside them.",
    source="FHIR R4, ElementDefinition.pattern[x]",
)


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


def wrong(value: object, pointer: str, run: Run, site: Site, kind: Any) -> None:
    """Report a value that is not the one of the profile."""
    run.add(kind, pointer, site, element=site.leaf, value=value if isinstance(value, str | int) else None)
