"""The ledger table of a letter type: what can become of each of its fields on the way to FHIR, by its mapping file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from converter.definitions import Definitions
from converter.joining import PREFIX, AttachmentTable
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


def attached(own: dict[str, list[Fate]], table: AttachmentTable, definitions: Definitions) -> dict[str, list[Fate]]:
    """What may become of each field of the letters with objects that are joined to a letter with these fates."""
    if f"{table.reference}.{table.within}.{table.content}" not in own:
        return {}
    paths = dict.fromkeys(path for type_ in table.letters for path in fields(definitions, type_))
    found = {path: _of_attachment(path, own, table) for path in paths if path not in table.impersonal}
    return {f"{PREFIX}.{path}": list(dict.fromkeys(those)) for path, those in found.items()}


def _of_attachment(path: str, own: dict[str, list[Fate]], table: AttachmentTable) -> list[Fate]:
    differs: Fate = ("ignored", table.losses["differs"])
    if path in table.ids:
        return [("mapped", "")]
    if path.startswith(f"{table.object}."):
        last = path.rpartition(".")[2]
        fates = own.get(f"{table.reference}.{table.within}.{last}", [])
        told: list[Fate] = [("mapped-lossy", table.losses["spelling"])] if last == table.key else []
        told += [differs] if last in table.alike else []
        return [*fates, *told, ("lost", table.losses["unnamed"])]
    checked: list[Fate] = [("constant-checked", "")] if path in table.fixed else []
    return [*own.get(path, []), *checked, *([] if path in table.patient else [differs])]


def section(mapping: Mapping, definitions: Definitions) -> str:
    """The table of one type as Markdown that opens on a click. Neighbours with the same fates share a row."""
    known = fates(mapping.document)
    own = [path for path in fields(definitions, mapping.letter) if path in known]
    return _table(f"{mapping.letter} by {mapping.name}", own, known)


def attached_sections(mappings: Iterable[Mapping], definitions: Definitions, table: AttachmentTable) -> str:
    """The tables of the letters with objects, by the types that they are joined to; types with one table share it."""
    sharing: dict[str, list[str]] = {}
    for mapping in mappings:
        if known := attached(fates(mapping.document), table, definitions):
            sharing.setdefault(_table("{}", [*known], known), []).append(mapping.letter)
    kinds = " or ".join(table.letters)
    return "".join(text.replace("{}", f"{kinds} joined to {', '.join(to)}", 1) for text, to in sharing.items())


def _table(title: str, paths: list[str], known: dict[str, list[Fate]]) -> str:
    rows = [(path, tuple(known[path])) for path in paths]
    lines = [f"| {_named(group)} | {_dispositions(those)} | {_losses(those)} |" for those, group in _grouped(rows)]
    head = f"<details><summary>{title}: {len(rows)} fields</summary>"
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
