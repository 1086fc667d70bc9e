"""MedCom's public list of approved systems, and what it says of the parties of an organisation table.

What a system is approved for is its technical ability; what a party is registered for stands in the organisation table.
Neither follows from the other, so they stand in two columns, and the differences are counted.
"""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from converter.directory import Organisation
from converter.errors import InterchangeError
from converter.yamlfile import load

FILE = "inventory.yaml"
COLUMNS = ("system", "vendor", "kind", "standard", "version", "message", "sends", "receives", "approved", "status")
PARTY_COLUMNS = ("gln", "name", "system", "message", "can_send", "can_receive", "registered")
"""`can_receive` and `can_send`: the party's system is approved for it; `registered`: the organisation table says so."""
MAX_BYTES = 100_000_000
_LETTER = re.compile(r"\b(X?)([A-Z]{3}[0-9]{2})\b")
_VERSION = re.compile(r"\b(X?[A-Z][0-9]{4}[A-Z]|[0-9]+(?:\.[0-9]+)+)\b")
_WORDS = re.compile(r"[^\W\d_]+")
_CHARSET = re.compile(rb"charset\s*=\s*[\"']?([A-Za-z0-9_-]+)")
_SHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


@dataclass(frozen=True, slots=True)
class Approval:
    """One row of the list. `message` is what the organisation table calls it (`XDIS91@XD9134L`); empty: not known."""

    system: str
    vendor: str
    kind: str
    standard: str
    version: str
    message: str
    sends: bool
    receives: bool
    approved: bool
    status: str


@dataclass(frozen=True)
class Inventory:
    """The list, and in how many of its rows nobody could tell the message or the direction."""

    approvals: tuple[Approval, ...]
    unnamed: int
    undirected: int

    @property
    def systems(self) -> int:
        """How many systems there are."""
        return len({row.system for row in self.approvals})

    @property
    def vendors(self) -> int:
        """How many vendors there are."""
        return len({row.vendor for row in self.approvals if row.vendor})

    def by_message(self) -> list[dict[str, Any]]:
        """How many systems are approved to send and to receive each message."""
        names = sorted({row.message for row in self.approvals if row.message})
        found = []
        for name in names:
            rows = [row for row in self.approvals if row.message == name and row.approved]
            sends, receives = ({row.system for row in rows if getattr(row, way)} for way in ("sends", "receives"))
            found.append({"message": name, "send": len(sends), "receive": len(receives)})
        return found


def read(path: Path, mappings: Path) -> Inventory:
    """Read a list, HTML or XLSX. Raises `InterchangeError` if it is neither, or has not the columns that are needed."""
    if path.stat().st_size > MAX_BYTES:
        raise InterchangeError(f"{path} is larger than {MAX_BYTES // 1_000_000} MB")
    data = path.read_bytes()
    words = _Words(load(mappings / FILE))
    tables = _xlsx(data, path) if data.startswith(b"PK") else _html(data)
    for rows in tables:
        for number, row in enumerate(rows):
            places = words.places(row)
            if places is not None:
                return words.inventory(rows[number + 1 :], places)
    needed = ", ".join(words.needed)
    raise InterchangeError(f"{path} has no table with the columns {needed} (their heads stand in mappings/{FILE})")


class _Words:
    """The words of mappings/inventory.yaml."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        self.needed = [str(name) for name in content["needed"]]
        self._heads = {_plain(head): str(name) for name, heads in content["columns"].items() for head in heads}
        self._fhir = {_plain(name): str(message) for name, message in content["fhir"].items()}
        sets = {name: {_plain(word) for word in content[name]} for name in ("sends", "receives", "both", "approved")}
        self._sends, self._receives = sets["sends"] | sets["both"], sets["receives"] | sets["both"]
        self._approved = sets["approved"]

    def places(self, row: Sequence[str]) -> dict[str, int] | None:
        """Which column stands where, if this row is the head of the table."""
        found: dict[str, int] = {}
        for at, cell in enumerate(row):
            name = self._heads.get(_plain(cell))
            if name is not None:
                found.setdefault(name, at)
        return found if all(name in found for name in self.needed) else None

    def inventory(self, rows: Iterable[Sequence[str]], places: Mapping[str, int]) -> Inventory:
        """The rows below the head."""
        approvals = []
        for row in rows:
            cells = {name: row[at].strip() if at < len(row) else "" for name, at in places.items()}
            if cells["system"] and cells["standard"]:
                approvals.append(self._approval(cells))
        return Inventory(
            tuple(approvals),
            sum(not row.message for row in approvals),
            sum(not (row.sends or row.receives) for row in approvals),
        )

    def _approval(self, cells: Mapping[str, str]) -> Approval:
        direction = {_plain(word) for word in _WORDS.findall(cells["direction"])}
        status = cells.get("status", "")
        # A list without a status is one of approved systems.
        approved = "status" not in cells or bool({_plain(word) for word in _WORDS.findall(status)} & self._approved)
        return Approval(
            cells["system"],
            cells.get("vendor", ""),
            cells.get("kind", ""),
            cells["standard"],
            cells.get("version", ""),
            self._message(cells["standard"], cells.get("version", "")),
            bool(direction & self._sends),
            bool(direction & self._receives),
            approved,
            status,
        )

    def _message(self, standard: str, version: str) -> str:
        found = _VERSION.search(version) or _VERSION.search(standard)
        number = found[1] if found else ""
        name = next((message for word, message in self._fhir.items() if word in _plain(standard)), "")
        if not name and (letter := _LETTER.search(standard)):
            name = f"{'X' if letter[1] or number.startswith('X') else ''}{letter[2]}"
            # The organisation table writes versions of letters as EDIFACT does.
            number = number.removeprefix("X")
        return f"{name}@{number}" if name and number else name


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()


# -- the two forms of the list


class _Tables(HTMLParser):
    """The cells of the tables of a page."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tables: list[list[list[str]]] = []
        self._cell: list[str] | None = None
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin a table, row or cell."""
        if tag in ("script", "style"):
            self._hidden += 1
        elif tag == "table":
            self.tables.append([])
        elif tag == "tr" and self.tables:
            self.tables[-1].append([])
        elif tag in ("td", "th") and self.tables:
            if not self.tables[-1]:
                self.tables[-1].append([])
            self._cell = []
            self.tables[-1][-1].append("")
        elif tag == "br" and self._cell is not None:
            self.handle_data(" ")

    def handle_endtag(self, tag: str) -> None:
        """End a cell."""
        if tag in ("script", "style"):
            self._hidden = max(self._hidden - 1, 0)
        elif tag in ("td", "th", "tr", "table"):
            self._cell = None

    def handle_data(self, data: str) -> None:
        """Text of a cell."""
        if self._cell is not None and not self._hidden:
            self._cell.append(data)
            self.tables[-1][-1][-1] = " ".join("".join(self._cell).split())


def _html(data: bytes) -> list[list[list[str]]]:
    """The tables of a page; Excel writes windows-1252 or UTF-8, and says which."""
    declared = _CHARSET.search(data[:4096])
    try:
        text = data.decode(declared[1].decode("ascii") if declared else "utf-8-sig")
    except (LookupError, UnicodeDecodeError):
        text = data.decode("windows-1252", "replace")
    page = _Tables()
    page.feed(text)
    page.close()
    return page.tables


def _xlsx(data: bytes, path: Path) -> list[list[list[str]]]:
    """The sheets of a workbook."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            held = {name: _part(archive, name) for name in archive.namelist() if _wanted(name)}
            shared = _shared(held.get("xl/sharedStrings.xml"))
            names = sorted((n for n in held if n.startswith("xl/worksheets/")), key=lambda n: (len(n), n))
            return [list(_sheet(ElementTree.fromstring(held[name]), shared)) for name in names]
    except (zipfile.BadZipFile, ElementTree.ParseError, KeyError, ValueError, IndexError, NotImplementedError):
        raise InterchangeError(f"{path} cannot be read as a workbook (XLSX)") from None


def _wanted(name: str) -> bool:
    return name == "xl/sharedStrings.xml" or re.fullmatch(r"xl/worksheets/sheet\d+\.xml", name) is not None


def _part(archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as file:
        data = file.read(MAX_BYTES + 1)
    # A workbook has no document type; one that has wants an entity to be expanded.
    if len(data) > MAX_BYTES or b"<!DOCTYPE" in data[:1024] or b"<!ENTITY" in data:
        raise ValueError(name)
    return data


def _shared(data: bytes | None) -> list[str]:
    if data is None:
        return []
    return ["".join(t.text or "" for t in item.iter(f"{_SHEET}t")) for item in ElementTree.fromstring(data)]


def _sheet(sheet: ElementTree.Element, shared: Sequence[str]) -> Iterator[list[str]]:
    for row in sheet.iter(f"{_SHEET}row"):
        cells: list[str] = []
        for cell in row.iter(f"{_SHEET}c"):
            at = _column(cell.get("r", "")) if cell.get("r") else len(cells)
            if at > 1000:
                raise ValueError("too many columns")
            cells += [""] * (at + 1 - len(cells))
            value = cell.find(f"{_SHEET}v")
            text = value.text or "" if value is not None else "".join(t.text or "" for t in cell.iter(f"{_SHEET}t"))
            cells[at] = shared[int(text)] if cell.get("t") == "s" else text
        yield cells


def _column(reference: str) -> int:
    number = 0
    for letter in re.match(r"[A-Z]*", reference)[0]:  # type: ignore[index]
        number = number * 26 + ord(letter) - 64
    return number - 1


# -- parties


def parties(inventory: Inventory, organisations: Iterable[Organisation], column: str) -> Iterator[dict[str, str]]:
    """A row for each party and message that its system is approved for, or that it is registered for.

    `column` is the column of the organisation table that names the party's system.
    """
    by_system: dict[str, list[Approval]] = {}
    for approval in inventory.approvals:
        if approval.approved and approval.message:
            by_system.setdefault(_plain(approval.system), []).append(approval)
    for one in organisations:
        system = dict(one.extra).get(column, "")
        held = by_system.get(_plain(system))
        names = {row.message for row in held or ()}
        registered = set(one.receives)
        for name in sorted(names | {item for item in registered if not any(same(item, other) for other in names)}):
            rows = [row for row in held or () if row.message == name]
            # A party whose system is not in the list may be able to do anything: that is not known, and not "no".
            ability = {way: _told(any(getattr(r, way) for r in rows)) if held else "" for way in ("sends", "receives")}
            yield {
                "gln": one.gln,
                "name": one.name,
                "system": system,
                "message": name,
                "can_send": ability["sends"],
                "can_receive": ability["receives"],
                "registered": _told(any(same(name, item) for item in registered)),
            }


def same(one: str, other: str) -> bool:
    """Whether two messages with versions are the same: 5.0 stands for 5.0.1, and no version for all."""
    (name, _, version), (other_name, _, other_version) = one.partition("@"), other.partition("@")
    if name != other_name:
        return False
    short, long_ = sorted((version, other_version), key=len)
    return not short or long_ == short or long_.startswith(f"{short}.")


def _told(value: bool) -> str:
    return "yes" if value else "no"


def differences(rows: Iterable[Mapping[str, str]]) -> dict[str, int]:
    """How often ability and registration differ."""
    found = {"can_receive_not_registered": 0, "registered_cannot_receive": 0, "system_unknown": 0}
    for row in rows:
        found["can_receive_not_registered"] += row["can_receive"] == "yes" and row["registered"] == "no"
        found["registered_cannot_receive"] += row["can_receive"] == "no" and row["registered"] == "yes"
        found["system_unknown"] += row["can_receive"] == ""
    return found


# -- what an assessment needs of it


@dataclass(frozen=True, slots=True)
class Systems:
    """What inventory.csv says of letter types: which systems are approved to send and to receive the letter, or to
    exchange the FHIR message that says the same.
    """

    systems: int
    vendors: int
    by_type: Mapping[str, Mapping[str, frozenset[str]]]

    def as_json(self) -> dict[str, Any]:
        """For the summary: numbers of systems by letter type."""
        rows = [
            {"type": type_, **{way: len(found) for way, found in ways.items()}}
            for type_, ways in sorted(self.by_type.items())
        ]
        return {"systems": self.systems, "vendors": self.vendors, "by_type": rows}


def systems(path: Path, letters_of: Mapping[str, Sequence[str]]) -> Systems:
    """Read inventory.csv. `letters_of`: the letter types that say the same as a FHIR message, by its name.

    Raises `InterchangeError` for a file that `assess inventory` did not write.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error):
        raise InterchangeError(f"cannot read {path} as an inventory") from None
    if not set(COLUMNS) <= set(reader.fieldnames or ()):
        raise InterchangeError(f"{path} is no inventory; `assess inventory` makes one of MedCom's list")
    found: dict[str, dict[str, set[str]]] = {}
    for row in rows:
        if row["approved"] != _told(True):
            continue
        name = row["message"].partition("@")[0]
        for type_ in letters_of.get(name) or (name.removeprefix("X"),) if name else ():
            ways = found.setdefault(type_, {"sends": set(), "receives": set(), "fhir": set()})
            for way in ("fhir",) if name in letters_of else ("sends", "receives"):
                if way == "fhir" or row[way] == _told(True):
                    ways[way].add(row["system"])
    by_type = {type_: {way: frozenset(named) for way, named in ways.items()} for type_, ways in found.items()}
    vendors = {row["vendor"] for row in rows if row["vendor"]}
    return Systems(len({row["system"] for row in rows}), len(vendors), by_type)


# -- writing


def as_csv(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> bytes:
    """A table as CSV in which nothing is a formula."""
    told = io.StringIO()
    writer = csv.writer(told, lineterminator="\r\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_inert(row[name]) for name in columns])
    return told.getvalue().encode("utf-8")


def approvals_as_rows(inventory: Inventory) -> Iterator[dict[str, Any]]:
    """The list as rows of inventory.csv."""
    for row in inventory.approvals:
        yield {name: getattr(row, name) for name in COLUMNS}


def _inert(value: Any) -> str:
    text = _told(value) if isinstance(value, bool) else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
