"""The table of flows: which letter types are referrals, which answer them, and which leaf plays which part.

No Python file knows the name of a letter type or of a leaf; both stand in `flows.yaml`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from converter.errors import MappingError
from converter.issues import Issue, Severity, declare
from converter.yamlfile import Str, fault, load

SHAPE = declare(
    "LNT280",
    "flow-table-shape",
    Severity.ERROR,
    "{what}",
    why="Flows of referrals and answers cannot be found with it.",
    help="Compare with the table that came with the program, mappings/flows.yaml.",
)
UNKNOWN = declare(
    "LNT281",
    "flow-table-unknown-name",
    Severity.ERROR,
    "there is no {what}",
    why="Letters of that type, or that part of them, would silently take no part in any flow.",
    help="`medcom-fhir doctor` lists the letter types, `medcom-fhir show TYPE` the leaves of one.",
)

FILE = "flows.yaml"
ROLES = ("letter", "status", "date", "time", "episode", "sender", "receiver", "patient", "referral")
_NEEDED = frozenset({"letter", "sender", "receiver", "date", "patient"})
_PARTS = (
    "after",
    "roles",
    "fillers",
    "answered_by",
    "answers",
    "tells_of_forwarding",
    "names",
    "attachments",
    "receipts",
)
_PATHS = ("envelope", "letter", "sender")
_KINDS = ("positive", "negative", "operator")
_FORMS = ("original", "wanted", "head", "each", "refused", "refusals")

Leaves = Callable[[str], "set[str] | None"]


@dataclass(frozen=True)
class LetterRow:
    """What the table says of one letter type: the leaves of each role, and whether it waits for an answer.

    `answered_by`: the types that usually answer it; empty where nothing is agreed. `tells`: it is neither referral nor
    answer, and may tell that a referral was sent on.
    """

    type: str
    roles: Mapping[str, tuple[str, ...]]
    is_referral: bool
    answered_by: tuple[str, ...] = ()
    tells: bool = False


@dataclass(frozen=True)
class AttachmentTable:
    """Letter types that hold objects, the leaf with an object's id, and the leaf by which other letters name it."""

    types: tuple[str, ...]
    holds: str
    named: str


@dataclass(frozen=True)
class ReceiptTable:
    """Letter types that are receipts, how they name what they answer, and what is written into one.

    `original` are the leaves of a message by what they are, `wanted` the values that ask for a positive receipt, the
    three kinds pairs of type and version. `head`, `each` and `refused` give the leaves of a receipt with their values.
    `refusals` holds reasons by how the code of an issue begins, `most` how many letters a receipt can name.
    """

    types: tuple[str, ...]
    envelope: str
    letter: str
    sender: str
    positive: tuple[str, str]
    negative: tuple[str, str]
    operator: tuple[str, str]
    original: Mapping[str, str]
    wanted: Mapping[str, str]
    head: dict[str, str]
    each: dict[str, str]
    refused: dict[str, str]
    refusals: Mapping[str, str]
    most: int

    @property
    def unspecified(self) -> str:
        """The reason where none fits: that of the last line."""
        return list(self.refusals.values())[-1]


@dataclass(frozen=True)
class FlowTable:
    """The table: a row a letter type, after how many days a missing answer is reported, values that stand for none.

    `numbers` and `names` are the leaves that tell who a patient is.
    """

    rows: Mapping[str, LetterRow]
    after: int
    fillers: frozenset[str]
    attachments: AttachmentTable | None = None
    receipts: ReceiptTable | None = None
    numbers: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    def asking(self, answer: str) -> tuple[str, ...]:
        """The referral types that are usually answered by letters of this type."""
        return tuple(row.type for row in self.rows.values() if answer in row.answered_by)


def load_table(path: Path, leaves: Leaves | None = None, name: str = FILE) -> FlowTable:
    """Read the table. Raises `MappingError` with all faults, `OSError` if it cannot be read.

    `leaves` gives the leaf paths of a letter type (None: no such type); with it the names of the table are checked.
    """
    reader = _Reader()
    table = reader.table(load(path, name=name))
    if leaves is not None and not reader.faults:
        reader.check(table, leaves)
    if reader.faults:
        raise MappingError(f"{name}: {reader.faults[0].message}", reader.faults)
    return table


def _kind(text: Any) -> tuple[str, str]:
    type_, _, version = str(text).partition("@")
    return type_, version


class _Reader:
    """Reads the table and collects what is wrong with it."""

    def __init__(self) -> None:
        self.faults: list[Issue] = []
        # Leaves beside the roles, each with the types that it is for; none: those of the rows.
        self._beside: list[tuple[str, tuple[str, ...]]] = []

    def table(self, document: Mapping[str, Any]) -> FlowTable:
        self._only(document, _PARTS)
        after = document.get("after", Str("90", getattr(document, "at", None)))  # type: ignore[arg-type]
        if not (isinstance(after, str) and after.isdigit()):
            self._wrong(after, "`after` is a number of days")
            after = "0"
        common = self._roles(document.get("roles", {}))
        rows = {
            str(type_): LetterRow(str(type_), common | own, part == "answered_by", answered_by)
            for part in ("answered_by", "answers")
            for type_, own, answered_by in self._rows(part, document.get(part, {}))
        }
        for type_ in self._texts(document.get("tells_of_forwarding", [])):
            rows[type_] = LetterRow(type_, common, is_referral=False, tells=True)
        fillers = frozenset(text.casefold() for text in self._texts(document.get("fillers", [])))
        for row in rows.values():
            missing = sorted(_NEEDED - row.roles.keys())
            if missing:
                self._wrong(document, f"{row.type} has no leaf for {', '.join(missing)}")
        names = tuple(self._texts(document.get("names", [])))
        self._beside += [(leaf, ()) for leaf in names]
        beside = self._attachments(document), self._receipts(document)
        return FlowTable(rows, int(after), fillers, *beside, numbers=common.get("patient", ()), names=names)

    def _attachments(self, document: Mapping[str, Any]) -> AttachmentTable | None:
        entry = document.get("attachments")
        if entry is None:
            return None
        if not self._complete(entry, ("types", "holds", "named")):
            return None
        types = tuple(self._texts(entry["types"]))
        self._beside += [(entry["holds"], types), (entry["named"], ())]
        return AttachmentTable(types, str(entry["holds"]), str(entry["named"]))

    def _receipts(self, document: Mapping[str, Any]) -> ReceiptTable | None:
        entry = document.get("receipts")
        if entry is None or not self._complete(entry, ("types", "most", *_PATHS, *_KINDS, *_FORMS)):
            return None
        kinds = {name: _kind(entry[name]) for name in _KINDS}
        forms = {name: entry[name] for name in _FORMS}
        for name in (n for n, kind in kinds.items() if not all(kind)):
            self._wrong(entry[name], f"`{name}` is TYPE@VERSION")
        for name, form in forms.items():
            if not isinstance(form, Mapping) or not form:
                self._wrong(form, f"`{name}` holds a value a leaf")
        if not str(entry["most"]).isdigit() or not int(entry["most"]):
            self._wrong(entry["most"], "`most` is a number of letters")
        if self.faults:
            return None
        paths = {name: str(entry[name]) for name in _PATHS}
        written = {name: {str(k): str(v) for k, v in form.items()} for name, form in forms.items()}
        types = tuple(self._texts(entry["types"]))
        self._beside += [(entry[name], types) for name in _PATHS]
        self._beside += [(leaf, types) for name in ("head", "each", "refused") for leaf in forms[name]]
        self._beside += [(leaf, ()) for leaf in (*forms["original"].values(), *forms["wanted"])]
        return ReceiptTable(types, **paths, **kinds, **written, most=int(entry["most"]))  # type: ignore[arg-type]

    def _complete(self, entry: Any, parts: tuple[str, ...]) -> bool:
        """Whether an entry is a map with exactly these parts."""
        if not isinstance(entry, Mapping):
            self._wrong(entry, f"expected {{{', '.join(parts)}}}")
            return False
        self._only(entry, parts)
        missing = [part for part in parts if part not in entry]
        if missing:
            self._wrong(entry, f"there is no {' and no '.join(missing)}")
        return not missing

    def _rows(self, part: str, entries: Any) -> list[tuple[Str, dict[str, tuple[str, ...]], tuple[str, ...]]]:
        if not isinstance(entries, Mapping):
            self._wrong(entries, f"`{part}` holds a line a letter type")
            return []
        found = []
        for type_, entry in entries.items():
            if not isinstance(entry, Mapping):
                self._wrong(type_, f"the line of {type_} is not of the form {{key: value}}")
                continue
            self._only(entry, ("types", "roles") if part == "answered_by" else ("referral", "roles"))
            types = tuple(self._texts(entry.get("types", [])))
            own = self._roles(entry.get("roles", {}))
            if "referral" in entry:
                own["referral"] = tuple(self._texts(entry["referral"]))
            found.append((type_, own, types))
        return found

    def _roles(self, entries: Any) -> dict[str, tuple[str, ...]]:
        if not isinstance(entries, Mapping):
            self._wrong(entries, "`roles` holds a leaf a role")
            return {}
        self._only(entries, ROLES)
        return {str(role): tuple(self._texts(paths)) for role, paths in entries.items()}

    def _texts(self, value: Any) -> list[str]:
        items = [value] if isinstance(value, str) else value
        if isinstance(items, list) and all(isinstance(item, str) for item in items):
            return items
        self._wrong(value, "expected a name or a list of names")
        return []

    def _only(self, entries: Mapping[Any, Any], known: tuple[str, ...]) -> None:
        for key in entries:
            if key not in known:
                self._wrong(key, f"unknown key {key}; there are {', '.join(known)}")

    def _wrong(self, value: object, what: str) -> None:
        self.faults.append(fault(SHAPE, value, what=what))

    def check(self, table: FlowTable, leaves: Leaves) -> None:
        """Whether every type that the table names is there, and every leaf in one type at least that it is for."""
        known = {type_: leaves(type_) for row in table.rows.values() for type_ in (row.type, *row.answered_by)}
        for beside in (table.attachments, table.receipts):
            known |= {type_: leaves(type_) for type_ in (beside.types if beside is not None else ())}
        for type_, found in known.items():
            if found is None:
                self.faults.append(fault(UNKNOWN, type_, what=f"letter type {type_}"))
        meant: dict[int, tuple[str, set[str]]] = {}
        for row in table.rows.values():
            for path in (path for paths in row.roles.values() for path in paths):
                meant.setdefault(id(path), (path, set()))[1].update(known[row.type] or {path})
        for path, types in self._beside:
            meant[id(path)] = (path, set().union(*(known[type_] or {path} for type_ in types or table.rows)))
        for path, found in meant.values():
            if path.replace("[{n}]", "") not in found:
                self.faults.append(fault(UNKNOWN, path, what=f"leaf {path} in the letters that it is for"))
