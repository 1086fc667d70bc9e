"""Choices of types such as `value[x]`: one property at most, of an allowed type, by its slice if it has one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from converter.fhir.elements import Node, Site, Type
from converter.fhir.rules import slicing
from converter.fhir.rules.primitives import judge
from converter.fhir.run import Run
from converter.issues import Severity, declare

if TYPE_CHECKING:
    from converter.fhir.compiler import Compiler

SEVERAL = declare(
    "PRO046",
    "choice-several",
    Severity.ERROR,
    "{element} stands in {found} types at once",
    why="Receivers read one of them, and not always the same one.",
    help="Keep one.",
    source="FHIR R4, Choice of data types",
    example='"deceasedBoolean" and "deceasedDateTime" on one Patient',
)
FEW = 4
USUAL = 5  # such as Procedure.performed[x]: so many types the short way looks for


def emit_choice(compiler: Compiler, node: Node) -> None:
    """Code for an element `name[x]`: direct look-ups for a few types, a table of functions for many."""
    source, site = compiler.source, compiler.site(node)
    names = node.names()
    by_slice = slices_by_type(node)
    if len(names) > FEW and not by_slice:
        _emit_many(compiler, node, names, site)
        return
    keys = source.constant(frozenset(names) | {f"_{n}" for n in names}, "KEYS")
    for name, kind in names.items():
        part = by_slice.get(kind.code)
        with source.block(f"if {name!r} in r:"):
            source(f"v = r[{name!r}]")
            if len(names) > 1:
                source(f"count_choices(r, p, x, {source.constant(site, 'S')}, {keys})")
            if part is None and closed(node):
                slicing.emit_closed(source, node, site, f"p + '/{name}'")
            target = part or (node if len(names) == 1 else bare(node))
            compiler.value(target, f"p + '/{name}'", part.types[0] if part else kind)
    absent = " and ".join(f"{n!r} not in r and '_{n}' not in r" for n in names)
    if node.min and absent:
        with source.block(f"if {absent}:"):
            source(f"missing(p, x, {source.constant(site, 'S')}, 0, {node.min})")
    _emit_slice_min(compiler, node, by_slice)


def _emit_slice_min(compiler: Compiler, node: Node, by_slice: dict[str, Node]) -> None:
    """A slice that must be there, where the choice itself leaves open which type it is."""
    source = compiler.source
    for name, kind in node.names().items():
        part = by_slice.get(kind.code)
        if part is not None and wanted(node, part):
            here = source.constant(compiler.site(part), "S")
            with source.block(f"if {name!r} not in r and '_{name}' not in r:"):
                facts = f"slice={part.id.rpartition(':')[2]!r}, element={node.name!r}, found=0, least=1, by='type'"
                source(f"x.add(SLICE_MISSING, p, {here}, {facts})")


def wanted(node: Node, part: Node) -> bool:
    """Whether a slice must be there that the number of the choice itself does not ask for."""
    return bool(part.min) and (len(node.types) > 1 or not node.min)


def closed(node: Node) -> bool:
    """Whether only the types of the slices may stand."""
    return bool(node.slices) and (node.slicing or {}).get("rules") == "closed"


def slices_by_type(node: Node) -> dict[str, Node]:
    """Type -> its slice."""
    return {t.code: part for part in node.slices.values() for t in part.types}


def bare(node: Node) -> Node:
    """The element without what only fits one type: its children in a table belong to a single type."""
    if not node.children:
        return node
    return Node(
        node.id,
        node.name,
        node.min,
        node.max,
        node.many,
        node.types,
        node.fixed,
        node.pattern,
        node.length,
        binding=node.binding,
        advice=node.advice,
        least=node.least,
        most=node.most,
        rules=node.rules,
    )


def _emit_many(compiler: Compiler, node: Node, names: dict[str, Type], site: Site) -> None:
    source = compiler.source
    table = source.constant({n: _checker(compiler, k, site) for n, k in names.items()}, "TYPES")
    here = source.constant(site, "S")
    keys = source.constant(frozenset(names) | {f"_{n}" for n in names}, "KEYS")
    if node.min:
        with source.block(f"if {keys}.isdisjoint(r):"):
            source(f"missing(p, x, {here}, 0, {node.min})")
    with source.block("for k in r:"), source.block(f"if k in {table}:"):
        source(f"count_choices(r, p, x, {here}, {keys})")
        source(f"{table}[k](r[k], p + '/' + k, x)")


def _checker(compiler: Compiler, kind: Type, site: Site) -> Any:
    if kind.primitive:
        return lambda value, pointer, run: judge(value, pointer, run, site, kind.code)

    def judge_type(value: Any, pointer: str, run: Run) -> Any:
        return compiler.pack.type_function(kind.code)(value, pointer, run)  # compiled at the first use

    return judge_type


def count_choices(owner: dict[str, Any], pointer: str, run: Run, site: Site, keys: frozenset[str]) -> None:
    """Report a choice that is made twice; `value` and `_value` of one type are one."""
    found = keys.intersection(owner)
    if len(found) > 1 and len({k.lstrip("_") for k in found}) > 1:
        run.add(SEVERAL, pointer, site, element=site.leaf, found=len(found))
