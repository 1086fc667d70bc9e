"""How often an element may occur (ElementDefinition.min and max)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from converter.fhir.elements import Node, Site
from converter.fhir.rules.structure import escape
from converter.fhir.run import Run
from converter.issues import Severity, declare

if TYPE_CHECKING:
    from converter.fhir.source import Source

MISSING = declare(
    "PRO023",
    "element-missing",
    Severity.ERROR,
    "{element} is missing ({found} of at least {least})",
    why="The profile demands it, and receivers rely on it.",
    help="Supply the element; where nothing is known, look whether the profile allows a data-absent-reason.",
    source="FHIR R4, ElementDefinition.min",
    example='a CareCommunication whose Communication has no "status"',
)
TOO_MANY = declare(
    "PRO024",
    "element-too-often",
    Severity.ERROR,
    "{element} occurs {found} times, at most {most} allowed",
    why="Receivers take one of them or refuse the message.",
    help="Leave out what the profile does not allow.",
    source="FHIR R4, ElementDefinition.max",
    example='"recipient" with two References where the profile allows one',
)
PROHIBITED = declare(
    "PRO025",
    "element-prohibited",
    Severity.ERROR,
    "{element} is not allowed in this profile",
    why="The profile takes this element out of use: receivers do not read it.",
    help="Leave it out.",
    source="FHIR R4, ElementDefinition.max = 0",
    example='"telecom" in a profile that sets telecom to 0..0',
)


def emit_missing(source: Source, node: Node, site: Site) -> None:
    """Code for an absent element with min > 0; extensions in place of a value count as present."""
    here = source.constant(site, "S")
    if all(t.primitive for t in node.types) and node.types:
        with source.block(f"elif '_{node.name}' not in r:"):
            source(f"missing(p, x, {here}, 0, {node.min})")
    else:
        with source.block("else:"):
            source(f"missing(p, x, {here}, 0, {node.min})")


def emit_count(source: Source, node: Node, site: Site) -> None:
    """Code that compares the length of list `v` with min and max."""
    here = source.constant(site, "S")
    if node.min > 1 and not any(s.min for s in node.slices.values()):
        with source.block(f"if len(v) < {node.min}:"):
            source(f"missing(p, x, {here}, len(v), {node.min})")
    if node.max is not None:
        with source.block(f"if len(v) > {node.max}:"):
            source(f"x.add(TOO_MANY, p, {here}, element={site.leaf!r}, found=len(v), most={node.max})")


def emit_prohibited(source: Source, node: Node, site: Site) -> None:
    """Code for an element with max 0: any of its property names is a fault."""
    here = source.constant(site, "S")
    names = tuple(node.names())
    if len(names) == 1:
        with source.block(f"if '{names[0]}' in r or '_{names[0]}' in r:"):
            source(f"prohibited(r, p, x, {here}, {names!r})")
    else:
        keys = source.constant(frozenset(names) | {f"_{n}" for n in names}, "KEYS")
        with source.block(f"if not {keys}.isdisjoint(r):"):
            source(f"prohibited(r, p, x, {here}, {names!r})")


def missing(pointer: str, run: Run, site: Site, found: int, least: int) -> None:
    """Report an element that is there too seldom, at the object that should have it."""
    run.add(MISSING, pointer, site, element=site.leaf, found=found, least=least)


def prohibited(owner: dict[str, Any], pointer: str, run: Run, site: Site, names: tuple[str, ...]) -> None:
    """Report each property that may not be there."""
    for name in names:
        for key in (name, "_" + name):
            if key in owner:
                run.add(PROHIBITED, f"{pointer}/{escape(key)}", site, element=site.leaf)
