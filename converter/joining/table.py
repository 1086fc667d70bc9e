"""The table of attachments: which letters hold objects, which leaves join them, and what becomes of the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from converter.definitions import Definitions, Element
from converter.errors import MappingError
from converter.issues import Issue, Severity, declare
from converter.letter import Letter
from converter.yamlfile import fault, load

SHAPE = declare(
    "LNT285",
    "attachment-table-shape",
    Severity.ERROR,
    "{what}",
    why="Attachments cannot be joined with it.",
    help="Compare with the table that came with the program, mappings/attachments.yaml.",
)
UNKNOWN = declare(
    "LNT286",
    "attachment-table-unknown-name",
    Severity.ERROR,
    "there is no {what}",
    why="Attachments of that type, or that part of them, would silently be left out.",
    help="`medcom-fhir doctor` lists the letter types, `medcom-fhir show TYPE` the leaves of one.",
)
UNACCOUNTED = declare(
    "LNT287",
    "attachment-leaf-not-accounted-for",
    Severity.ERROR,
    "no line of the table names the element {path!r} of {type}",
    why="A value of that element would be lost without anybody having decided so.",
    help="Add it to `ids`, `shared` or `fixed` (at the end: the order is written into Bundles).",
)

FILE = "attachments.yaml"
_TEXTS = ("object", "key", "content", "size", "extension", "reference", "within", "most")
_LISTS = ("letters", "alike", "patient", "parties", "impersonal", "ids", "shared", "harmless")
_MAPS = ("fixed", "losses", "written", "signatures", "tolerated", "permitted")
_SCENARIOS = ("missing", "foreign")
_LOSSES = ("differs", "spelling", "unnamed", "empty", "extra", "missing")

Leaves = Callable[[str], "set[str] | None"]


@dataclass(frozen=True)
class Tolerance:
    """Findings of one code about what became of a leaf of a reference, or about what stands some steps above it."""

    finding: str
    leaf: str
    above: int

    def pointer(self, value: str) -> str:
        """Where such a finding stands, if the value is at this JSON pointer."""
        return value.rsplit("/", self.above)[0] if self.above else value


@dataclass(frozen=True)
class AttachmentTable:
    """What mappings/attachments.yaml says; its comments say what each part is for."""

    letters: tuple[str, ...]
    object: str
    key: str
    content: str
    size: str
    extension: str
    alike: tuple[str, ...]
    reference: str
    within: str
    patient: tuple[str, ...]
    parties: tuple[str, ...]
    impersonal: tuple[str, ...]
    ids: tuple[str, ...]
    shared: tuple[str, ...]
    harmless: tuple[str, ...]
    fixed: Mapping[str, str]
    losses: Mapping[str, str]
    most: int
    written: Mapping[str, str]
    signatures: Mapping[str, tuple[bytes, ...]]
    tolerated: Mapping[str, Tolerance]
    permitted: Mapping[str, frozenset[str]]

    def leaves(self, known: Leaves) -> Leaves:
        """The leaves of letter types with the content of objects as a leaf of the letters that name objects."""

        def wider(type_: str) -> set[str] | None:
            found = known(type_)
            if found is None or f"{self.reference}.{self.within}.{self.key}" not in found:
                return found
            return found | {f"{self.reference}.{self.within}.{self.content}"}

        return wider

    def added(self, definitions: Definitions) -> dict[str, Element]:
        """The content of an object as an element of a letter that names it, by its path."""
        path = f"{self.reference}.{self.within}.{self.content}"
        kinds = [d for t in self.letters for v in definitions.types.get(t, ()) if (d := definitions.get(t, v))]
        found = kinds[0].element(f"{self.object}.{self.content}") if kinds else None
        return {path: replace(found, path=path, min=0)} if found is not None else {}

    def named(self, letter: Letter) -> dict[int, str]:
        """The objects that a letter names: the number of the reference and the object's id, spelled one way."""
        found = {}
        for n in range(1, letter.counts.get(self.reference, 0) + 1):
            value = letter.text(self.at(n, self.key))
            if value:
                found[n] = spelled(value)
        return found

    def at(self, reference: int, leaf: str) -> str:
        """A leaf of an object as the reference of that number has it."""
        return f"{self.reference}[{reference}].{self.within}.{leaf}"

    def held(self, letter: Letter) -> dict[int, str]:
        """The objects that a letter holds: their number and id, spelled one way."""
        count = letter.counts.get(self.object, 0)
        return {n: spelled(letter.text(f"{self.object}[{n}].{self.key}") or "") for n in range(1, count + 1)}

    @cached_property
    def marks(self) -> tuple[bytes, ...]:
        """Bytes of which one stands in every message of these types, in both syntaxes."""
        return tuple(name.encode() for name in self.letters)

    def marked(self, data: bytes) -> bool:
        """Whether bytes can hold messages of these types."""
        # Nearly no message does: one look for what all names begin with tells it.
        return self._start in data and any(mark in data for mark in self.marks)

    @cached_property
    def _start(self) -> bytes:
        first = self.marks[0] if self.marks else b""
        same = (n for n in range(len(first), 0, -1) if all(mark.startswith(first[:n]) for mark in self.marks))
        return first[: next(same, 0)]


NOTHING_JOINED = AttachmentTable(
    (), "", "", "", "", "", (), "", "", (), (), (), (), (), (), {}, dict.fromkeys(_LOSSES, ""), 1, {"": "@"}, {}, {}, {}
)
"""The table of a mapping folder that has none."""


def spelled(identifier: str) -> str:
    """An object's id for comparisons: without `urn:uuid:` and hyphens, in lower case (rule AT-1)."""
    return identifier.strip().lower().removeprefix("urn:uuid:").replace("-", "")


def load_table(path: Path, leaves: Leaves | None = None) -> AttachmentTable:
    """Read the table. Raises `MappingError` with all its faults; `leaves` gives the leaves of a letter type.

    Without them, what the table names is not looked up; that must be done before anything is joined by it.
    """
    document = load(path, name=path.name)
    faults: list[Issue] = []
    for key in document:
        if key not in (*_TEXTS, *_LISTS, *_MAPS):
            faults.append(fault(SHAPE, key, what=f"unknown key {key}"))
    for kind, keys in ((str, _TEXTS), (list, _LISTS), (dict, _MAPS)):
        for key in keys:
            if not isinstance(document.get(key), kind):
                faults.append(fault(SHAPE, document.get(key, document), what=f"`{key}` is needed, of another form"))
    if not faults:
        faults += _faults(document)
    if not faults:
        table = _made(document)
        faults += _unknown(document, table, leaves) if leaves is not None else []
    if faults:
        raise MappingError(f"{path.name} does not load", faults)
    return table


def _faults(document: Mapping[str, Any]) -> list[Issue]:
    found = []
    if not document["most"].isdigit() or not int(document["most"]):
        found.append(fault(SHAPE, document["most"], what="`most` is a number of objects"))
    for name, entry in document["tolerated"].items():
        if name not in _SCENARIOS or sorted(entry) != ["above", "finding", "leaf"] or not entry["above"].isdigit():
            found.append(fault(SHAPE, name, what="`tolerated` holds {finding, leaf, above} for missing and foreign"))
    found += [
        fault(SHAPE, document["losses"], what=f"`losses` has no {n}") for n in _LOSSES if n not in document["losses"]
    ]
    for type_, kinds in document["permitted"].items():
        if not isinstance(kinds, list):
            found.append(fault(SHAPE, type_, what="`permitted` holds a list of extensions for a letter type"))
    if "" not in document["written"]:
        found.append(fault(SHAPE, document["written"], what='`written` has no line for "", all other letters'))
    found += [
        fault(SHAPE, v, what="`written` holds TYPE@VERSION") for v in document["written"].values() if "@" not in v
    ]
    for values in document["signatures"].values():
        for value in values:
            try:
                bytes.fromhex(value)
            except ValueError:
                found.append(fault(SHAPE, value, what="a signature is bytes in hexadecimal"))
    return found


def _made(document: Mapping[str, Any]) -> AttachmentTable:
    texts: dict[str, Any] = {key: str(document[key]) for key in _TEXTS}
    texts["most"] = int(texts["most"])
    lists = {key: tuple(str(v) for v in document[key]) for key in _LISTS}
    maps = {
        key: {str(k): str(v) for k, v in document[key].items()}
        for key in _MAPS
        if key not in ("signatures", "tolerated", "permitted")
    }
    signatures = {str(k): tuple(bytes.fromhex(v) for v in values) for k, values in document["signatures"].items()}
    tolerated = {
        str(k): Tolerance(str(v["finding"]), str(v["leaf"]), int(v["above"])) for k, v in document["tolerated"].items()
    }
    permitted = {str(k): frozenset(str(v) for v in kinds) for k, kinds in document["permitted"].items()}
    more: dict[str, Any] = {"signatures": signatures, "tolerated": tolerated, "permitted": permitted}
    return AttachmentTable(**texts, **lists, **maps, **more)  # type: ignore[arg-type]


def _unknown(document: Mapping[str, Any], table: AttachmentTable, leaves: Leaves) -> list[Issue]:
    """Types and leaves that the definitions lack, and leaves of these types that the table does not name."""
    faults, every = [], set[str]()
    objects = {f"{table.object}.{leaf}" for leaf in (table.key, table.content, *table.alike)}
    known = {*table.ids, *table.shared, *table.fixed, *table.impersonal, *objects}
    for type_ in document["permitted"]:
        if leaves(type_) is None:
            faults.append(fault(UNKNOWN, type_, what=f"letter type {type_}"))
    for type_ in document["letters"]:
        found = leaves(type_)
        if found is None:
            faults.append(fault(UNKNOWN, type_, what=f"letter type {type_}"))
            continue
        every |= found
        faults += [fault(UNACCOUNTED, type_, path=path, type=str(type_)) for path in sorted(found - known)]
    for path in sorted(known - every) if every else ():
        faults.append(fault(UNKNOWN, document["letters"], what=f"leaf {path} in these letters"))
    return faults
