"""The ledger table of a letter type: what can become of each of its fields on the way to FHIR, by its mapping file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from converter.definitions import Definitions
from converter.letter import pattern
from converter.mapping import Mapping
from converter.mapping.document import Declared, Document, Rule
from converter.mapping.guards import guard_paths

Fate = tuple[str, str]
"""A disposition and the loss id that goes with it; empty for none."""

KEPT = "kept"  # with a sidecar; without one the same leaf is `lost` under the same id
EMPTY = ("ignored", "C91-18")  # an element that is there and empty


def allowed(table: dict[str, list[Fate]], path: str, *, sidecar: bool) -> set[Fate]:
    """What may become of a field by its table, with and without a sidecar for what is kept."""
    known = {EMPTY, *table.get(path, ())}
    return known if sidecar else {("lost" if fate == KEPT else fate, loss) for fate, loss in known}


def fates(document: Document) -> dict[str, list[Fate]]:
    """Every field that the mapping speaks of, and what may become of it, the best first."""
    found: dict[str, list[Fate]] = {}
    for path, fate in [*_origin(document), *(f for rule in document.rules() for f in _of_rule(rule))]:
        found.setdefault(pattern(path.replace("[*]", "")).removeprefix("/"), []).append(fate)
    for declared in document.declared:
        found.setdefault(declared.leaf, []).append(_declared(declared))
    return {path: list(dict.fromkeys(those)) for path, those in found.items()}


def _of_rule(rule: Rule) -> Iterator[tuple[str, Fate]]:
    if not rule.forward or rule.keep:
        return
    always = rule.loss if rule.default is None else ""
    fates = [("mapped-lossy", always)] if always else [("mapped", "")]
    loss = rule.lossy or always
    if loss and (rule.codec.lossy_there or rule.map):  # a loss without an id is no fate: the fixtures must not have it
        fates.append(("mapped-lossy", loss))
    leaves = [] if rule.also else [*rule.letter_columns.values(), *rule.sources, *rule.claims]
    yield from ((leaf, fate) for leaf in leaves if not leaf.startswith("$") for fate in fates)
    if rule.sentence:
        yield guard_paths(rule.sentence_when)[0], ("folded-to-text", rule.sentence_loss)


def _origin(document: Document) -> Iterator[tuple[str, Fate]]:
    for path in document.origin:
        yield path, ("mapped", "")
    for _, path, loss in document.origin_lossy:
        yield path, ("mapped-lossy", loss)


def _declared(declared: Declared) -> Fate:
    return (KEPT if declared.keep else "ignored", declared.loss)


def fields(definitions: Definitions, type_: str) -> list[str]:
    """The fields of a letter type in the order of its elements, those of all versions."""
    found: dict[str, None] = {}
    for version in definitions.types[type_]:
        definition = definitions.get(type_, version)
        found |= dict.fromkeys(definition.leaves if definition else ())
    return list(found)


def section(mapping: Mapping, definitions: Definitions) -> str:
    """The table of one type as Markdown that opens on a click. Neighbours with the same fates share a row."""
    known = fates(mapping.document)
    rows = [(path, tuple(known[path])) for path in fields(definitions, mapping.letter) if path in known]
    lines = [f"| {_named(group)} | {_dispositions(those)} | {_losses(those)} |" for those, group in _grouped(rows)]
    head = f"<details><summary>{mapping.letter} by {mapping.name}: {len(rows)} fields</summary>"
    return "\n".join([head, "", "| field | disposition | loss |", "|---|---|---|", *lines, "", "</details>", ""])


def _grouped(rows: Iterable[tuple[str, tuple[Fate, ...]]]) -> Iterator[tuple[tuple[Fate, ...], list[str]]]:
    for key, members in groupby(rows, lambda row: (row[0].rpartition(".")[0], row[1])):
        yield key[1], [path for path, _ in members]


def _named(paths: list[str]) -> str:
    parent = paths[0].rpartition(".")[0]
    return ", ".join([f"`{paths[0]}`", *(f"`{path.removeprefix(parent)}`" for path in paths[1:])])


def _dispositions(those: tuple[Fate, ...]) -> str:
    return ", ".join(dict.fromkeys(disposition for disposition, _ in those))


def _losses(those: tuple[Fate, ...]) -> str:
    """The loss ids; with their disposition where more than one has some."""
    by: dict[str, list[str]] = {}
    for disposition, loss in those:
        if loss:
            by.setdefault(disposition, []).append(loss)
    if len(by) < 2:
        return ", ".join(loss for ids in by.values() for loss in ids)
    return "; ".join(f"{disposition}: {', '.join(ids)}" for disposition, ids in by.items())
