"""The organisation table (`--sor`): GLN, SOR id, local number, telephone and what an organisation can receive.

A CSV file of the user's: comma-separated, UTF-8, its first line naming the columns
`gln,sor,id,id_kind,name,telephone,receives,valid_from,valid_to`. Only `gln` must be there; columns of other names are
kept. `load` takes what it can use and reports what it cannot; `check` judges every row (`medcom-fhir sor check`).
A row is never rejected for a check digit: the numbers of organisations are wrong in the field, too.

Issues may name GLN and SOR ids, which belong to organisations. They never hold names or telephone numbers.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from converter.errors import ConverterError
from converter.identifiers import ORGANISATION_NUMBERS, gln_ok, sor_ok, sor_shape_ok
from converter.issues import Issue, IssueLog, Location, Severity, declare

COLUMNS = ("gln", "sor", "id", "id_kind", "name", "telephone", "receives", "valid_from", "valid_to")
OPTIONAL = ("can_receive",)
"""Columns that a table may have beside them: what a receiver's system is able to receive, registered or not."""

NAME_LENGTH = 35
TELEPHONE_LENGTH = 25

_CAPABILITY = re.compile(r"[A-Z]+[0-9]*@[0-9A-Za-z.]+\Z")
_NUMBERED_FHIR = re.compile(r"F([A-Z]+[0-9]+)\Z")
_DOUBLY_ENCODED = re.compile("[\u00c2\u00c3][\u0080-\u00bf]")
_FIELD = re.compile(r'(?:"(?:[^"]|"")*"|[^,\r\n]*)(?:,|(?=[\r\n])|\Z)')

ENCODING = declare(
    "DIR001",
    "table-encoding",
    Severity.ERROR,
    "the organisation table is not UTF-8: {problem}",
    why="Danish letters in names would come out wrong, so nothing of the table is used.",
    help="Save the file as CSV UTF-8 (in Excel: 'CSV UTF-8 (comma delimited)').",
)
HEADER = declare(
    "DIR002",
    "table-header",
    Severity.ERROR,
    "the first line of the organisation table {problem}",
    why="Columns are found by their names; without `gln` no row can be found.",
    help=f"Let the first line be {','.join(COLUMNS)} (commas, not semicolons); all but `gln` may be left out.",
)
BROKEN = declare(
    "DIR003",
    "table-row-broken",
    Severity.ERROR,
    "the row cannot be split into cells: {problem}",
    why="Values would be taken from the wrong column, so the row is not used.",
    help="Put a cell that holds a comma or a quotation mark in quotation marks, and double those inside it.",
)
SHORT = declare(
    "DIR004",
    "table-row-short",
    Severity.WARNING,
    "the row has {cells} cells, the header {columns}",
    why="The last columns are taken as empty.",
    help="Write every comma, also those of empty cells.",
)
GLN_SHAPE = declare(
    "DIR005",
    "gln-shape",
    Severity.ERROR,
    "the GLN has {length} characters where 13 digits are expected",
    why="No message can be matched with this row.",
    help="Write the location number out; a spreadsheet may have turned it into a number such as 5.79E+12.",
    source="GS1 General Specifications; dk-core invariant gln-length",
)
GLN_DIGIT = declare(
    "DIR006",
    "gln-check-digit",
    Severity.ERROR,
    "GLN {gln} has a wrong check digit",
    why="The row is used, but FHIR profiles refuse every message that names this GLN.",
    help="Compare the number with the SOR register.",
    source="dk-core invariant gln-modulus-10",
)
SOR_SHAPE = declare(
    "DIR007",
    "sor-shape",
    Severity.ERROR,
    "the SOR id of GLN {gln} has {length} characters where 11 to 18 digits are expected",
    why="FHIR profiles refuse it.",
    help="Write the SOR id out; a spreadsheet keeps only 15 digits of a number, so format the column as text.",
    source="dk-core invariant min-digits-sor",
)
SOR_DIGIT = declare(
    "DIR008",
    "sor-check-digit",
    Severity.WARNING,
    "SOR id {sor} has a wrong check digit (Verhoeff)",
    why="It is probably a typing error, or a spreadsheet has replaced the last digits by zeros.",
    help="Compare the number with the SOR register.",
    source="SNOMED CT identifiers, which SOR ids are",
)
SOR_ABSENT = declare(
    "DIR009",
    "sor-absent",
    Severity.WARNING,
    "GLN {gln} has no SOR id",
    why="An organisation in a MedCom FHIR message must have one: messages with this GLN become invalid.",
    help="Look the SOR id up in the SOR register.",
    source="MedCom Messaging 4.0.2, medcom-messaging-organization, slice SOR-ID 1..1",
)
ID_KIND = declare(
    "DIR010",
    "id-kind-unknown",
    Severity.WARNING,
    "{problem}",
    why="A letter names the kind of each number; without a known kind the number cannot be written.",
    help=f"Write one of {', '.join(ORGANISATION_NUMBERS)} into id_kind, and the number itself into id.",
)
ID_SHAPE = declare(
    "DIR011",
    "id-shape",
    Severity.WARNING,
    "the id of GLN {gln} does not have the shape of a {wanted} ({length} characters)",
    why="The receiver of a letter may not recognise it.",
    help="Mind leading zeros, which spreadsheets drop, and a kind that belongs to another number.",
)
DATE = declare(
    "DIR012",
    "table-date",
    Severity.ERROR,
    "{column} {problem}",
    why="It cannot be decided when the row is valid, so it is not used.",
    help="Write dates as 2026-01-31; leave the cell empty for no limit. Both days belong to the period.",
)
OVERLAP = declare(
    "DIR013",
    "rows-overlap",
    Severity.ERROR,
    "GLN {gln} has two rows that are valid at the same time (the other is line {other})",
    why="On those days none of the two is chosen, and messages with this GLN miss their organisation.",
    help="Remove one of them, or end the older one with valid_to on the day before.",
)
SOR_TWICE = declare(
    "DIR014",
    "sor-twice",
    Severity.WARNING,
    "SOR id {sor} belongs to two GLNs at the same time (the other is in line {other})",
    why="A location number cannot be found from this SOR id.",
    help="Check which of the two is right; units may inherit a location number, but not a SOR id.",
)
CAPABILITY = declare(
    "DIR015",
    "receives-unreadable",
    Severity.WARNING,
    "{column}: item {number} is not a message type, @ and a version",
    why="It is not understood, so routing takes it as if it were not there.",
    help="Write items of the form TYPE@VERSION, with blanks between them.",
)
BOTH_FORMATS = declare(
    "DIR016",
    "receives-both-formats",
    Severity.WARNING,
    "GLN {gln} is said to receive both {legacy} and {fhir}",
    why="A receiver of both formats never needs converting: the SOR register must name one of them.",
    help="Remove the format that the receiver no longer uses.",
    source="MedCom, conversion service use case, routing rule R1",
)
UNKNOWN_COLUMN = declare(
    "DIR017",
    "column-unknown",
    Severity.INFO,
    "column {number} has a name of its own and is kept as it is",
    why="If it was meant to be one of the known columns, its values are not used.",
    help=f"The known columns are {', '.join((*COLUMNS, *OPTIONAL))}.",
)
TOO_LONG = declare(
    "DIR018",
    "cell-too-long",
    Severity.INFO,
    "the {column} has {length} characters; a letter holds {limit}",
    why="It is cut when a letter is written.",
    help="Nothing need be done; a shorter form in the table avoids the cut.",
)
MISREAD = declare(
    "DIR019",
    "table-doubly-encoded",
    Severity.WARNING,
    "the row looks as if UTF-8 had been read as Latin-1 and saved again",
    why="Danish letters in names come out as two other characters.",
    help="Export the table again from its source as CSV UTF-8.",
)


class DirectoryError(ConverterError):
    """The organisation table cannot be used as a whole (not UTF-8, no `gln` column). `issues` says why and where."""

    def __init__(self, message: str, issues: Sequence[Issue]) -> None:
        super().__init__(message)
        self.issues = list(issues)


@dataclass(frozen=True, slots=True)
class Organisation:
    """One row of the table. Dates are ISO or empty; both days of a period belong to it. `line` counts from 1.

    `receives` is what the organisation is registered for, `can_receive` what its system is able to receive (None if
    the table does not say). `extra` holds the cells of columns of other names, in the order of the table.
    """

    gln: str
    sor: str = ""
    id: str = ""
    id_kind: str = ""
    name: str = ""
    telephone: str = ""
    receives: tuple[str, ...] = ()
    valid_from: str = ""
    valid_to: str = ""
    line: int = 0
    extra: tuple[tuple[str, str], ...] = ()
    can_receive: tuple[str, ...] | None = None

    def valid(self, on: str) -> bool:
        """Whether the row is valid on that ISO date."""
        return (not self.valid_from or self.valid_from <= on) and (not self.valid_to or on <= self.valid_to)

    def versions(self, message: str) -> tuple[str, ...]:
        """The versions of a message type that can be received: `versions("XDIS91")` is `("D9134L",)`, () if none."""
        return tuple(version for name, _, version in (item.partition("@") for item in self.receives) if name == message)


MAX_ASKED = 4096
"""Pairs of an organisation and a day whose rows are remembered: messages of a day come from few organisations."""


class _Row(NamedTuple):
    """A row that could be split: where it starts, and its cells under lower-case column names."""

    line: int
    cells: dict[str, str]
    width: int


class Directory:
    """The table, by GLN and by SOR id. Rows become `Organisation`s when they are asked for: tables are large."""

    def __init__(self, rows: Sequence[_Row] = ()) -> None:
        self._by_gln: dict[str, list[_Row]] = {}
        self._by_sor: dict[str, list[_Row]] = {}
        self._length = len(rows)
        self._built: dict[int, Organisation] = {}
        self._asked: dict[tuple[str, str], tuple[Organisation, ...]] = {}
        for row in rows:
            if gln := row.cells["gln"]:
                self._by_gln.setdefault(gln, []).append(row)
            if sor := row.cells.get("sor"):
                self._by_sor.setdefault(sor, []).append(row)

    @classmethod
    def load(cls, path: Path, log: IssueLog) -> Directory:
        """Read a table. Logs the rows that are not used (cannot be split, unreadable dates): DIR003, DIR012.

        Raises `DirectoryError` if the table as a whole cannot be used, `OSError` if the file cannot be read.
        """
        table = _Table(path)
        if table.faults:
            first = table.faults.issues[0]
            raise DirectoryError(f"{first.at}: {first.message}", table.faults.issues)
        rows = [row for row in table.rows(log) if _period_ok(table, row, log)]
        return cls(rows)

    def rows(self, gln: str, on: str) -> tuple[Organisation, ...]:
        """All rows for a GLN that are valid on an ISO date. Of several none may be chosen; the caller reports."""
        asked = gln, on
        found = self._asked.get(asked)
        if found is None:
            if len(self._asked) >= MAX_ASKED:
                self._asked.clear()
            found = self._asked[asked] = self._valid(self._by_gln.get(gln, ()), on)
        return found

    def find(self, gln: str, on: str) -> Organisation | None:
        """The row for a GLN on an ISO date; None if there is none, or more than one (ask `rows`)."""
        found = self.rows(gln, on)
        return found[0] if len(found) == 1 else None

    def by_sor(self, sor: str, on: str) -> Organisation | None:
        """The row with a SOR id on an ISO date; None if there is none, or more than one."""
        found = self._valid(self._by_sor.get(sor, ()), on)
        return found[0] if len(found) == 1 else None

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Organisation]:
        """The rows that have a GLN, those of one GLN together."""
        return (self._organisation(row) for rows in self._by_gln.values() for row in rows)

    def _valid(self, rows: Sequence[_Row], on: str) -> tuple[Organisation, ...]:
        return tuple([found for found in map(self._organisation, rows) if found.valid(on)])

    def _organisation(self, row: _Row) -> Organisation:
        found = self._built.get(row.line)
        if found is None:
            found = self._built[row.line] = _organisation(row)
        return found


def _organisation(row: _Row) -> Organisation:
    cells = {name: row.cells.get(name, "") for name in COLUMNS}
    receives = tuple(cells.pop("receives").split())
    extra = tuple((name, cell) for name, cell in row.cells.items() if name not in (*COLUMNS, *OPTIONAL))
    able = tuple(row.cells["can_receive"].split()) if "can_receive" in row.cells else None
    return Organisation(**cells, receives=receives, line=row.line, extra=extra, can_receive=able)


class _Table:
    """The file split into rows. `faults` tells why it cannot be used at all; then there are no rows."""

    def __init__(self, path: Path) -> None:
        self.file = str(path)
        self.faults = IssueLog()
        self.columns: list[str] = []
        raw = path.read_bytes()
        try:
            self.text = raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            self.text = ""
            before = raw[: error.start].decode("utf-8-sig", "replace")
            at = Location(self.file, before.count("\n") + 1, len(before) - before.rfind("\n"), error.start)
            wide = raw.startswith((b"\xff\xfe", b"\xfe\xff"))
            self.faults.add(ENCODING, at, problem="it is UTF-16" if wide else "a byte does not belong to a character")
            return
        self._reader = csv.reader(io.StringIO(self.text, newline=""), strict=True)
        self._read_header()

    def at(self, line: int, column: str = "") -> Location:
        """Where a row, or a cell of it, stands. Columns are counted only here: issues are few, rows are many."""
        if column not in self.columns:
            return Location(self.file, line, 1)
        if not hasattr(self, "_lines"):
            self._lines = io.StringIO(self.text, newline="").readlines()  # the lines that csv counts
        rest, start = "".join(self._lines[line - 1 : line + 20]), 0
        for _ in range(self.columns.index(column)):
            match = _FIELD.match(rest, start)
            start = match.end() if match else start
        above = rest.count("\n", 0, start)
        return Location(self.file, line + above, start - rest.rfind("\n", 0, start))

    def rows(self, log: IssueLog) -> Iterator[_Row]:
        """The rows that can be split; DIR003 for the others. Stops where quotation marks do not come in pairs."""
        reader, columns = self._reader, self.columns
        while True:
            line = reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error:
                log.add(BROKEN, self.at(line), problem="quotation marks do not match; what follows is not read")
                return
            if not any(map(str.strip, cells)):
                continue
            if len(cells) > len(columns) and any(map(str.strip, cells[len(columns) :])):
                problem = f"it has {len(cells)} cells, the header {len(columns)}"
                log.add(BROKEN, self.at(line), problem=problem)
                continue
            stripped = dict(zip(columns, map(str.strip, cells), strict=False))
            if stripped["gln"] or stripped.get("sor"):
                yield _Row(line, stripped, len(cells))
            else:
                log.add(GLN_SHAPE, self.at(line, "gln"), length=0)

    def _read_header(self) -> None:
        try:
            self.columns = [name.strip().lower() for name in next(self._reader, [])]
        except csv.Error:
            self.columns = []
        while self.columns and not self.columns[-1]:
            self.columns.pop()
        top = Location(self.file, 1, 1)
        if "gln" not in self.columns:
            self.faults.add(HEADER, top, problem="has no column gln")
        twice = [name for name in COLUMNS if self.columns.count(name) > 1]
        if twice:
            self.faults.add(HEADER, top, problem=f"has the column {twice[0]} twice")


@lru_cache(maxsize=4096)  # a table has many rows and few dates
def _iso(text: str) -> bool:
    if len(text) != 10:
        return False
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _period_ok(table: _Table, row: _Row, log: IssueLog) -> bool:
    """Whether the row's days are dates, in order; DIR012 if not."""
    ends = row.cells.get("valid_from", ""), row.cells.get("valid_to", "")
    for column, end in zip(("valid_from", "valid_to"), ends, strict=True):
        if end and not _iso(end):
            log.add(DATE, table.at(row.line, column), column=column, problem="is not a date such as 2026-01-31")
            return False
    if all(ends) and ends[0] > ends[1]:
        log.add(DATE, table.at(row.line, "valid_to"), column="valid_to", problem="is before valid_from")
        return False
    return True


@dataclass(frozen=True, slots=True)
class Summary:
    """What `sor check` says in one line: numbers of rows, of GLNs, and of rows that a conversion can use fully."""

    rows: int
    organisations: int
    with_sor: int
    with_id: int
    with_receives: int
    unused: int


def check(path: Path, log: IssueLog) -> Summary:
    """Judge every row of a table; whatever is found goes to `log` with file, line and column.

    A table that cannot be read at all is a finding, too (DIR001, DIR002). Raises `OSError` if there is no file.
    """
    table = _Table(path)
    log.extend(table.faults)
    if table.faults:
        return Summary(0, 0, 0, 0, 0, 0)
    for number, name in enumerate(table.columns, 1):
        if name not in (*COLUMNS, *OPTIONAL):
            log.add(UNKNOWN_COLUMN, Location(table.file, 1, 1), number=number)
    structural = IssueLog()
    rows = list(table.rows(structural))
    usable = [row for row in rows if _period_ok(table, row, structural)]
    log.extend(structural)
    for row in rows:
        _check_row(table, row, log)
    _check_overlaps(table, usable, log)
    return Summary(
        rows=len(rows),
        organisations=len({row.cells["gln"] for row in rows}),
        with_sor=sum(bool(row.cells.get("sor")) for row in rows),
        with_id=sum(bool(row.cells.get("id") and row.cells.get("id_kind")) for row in rows),
        with_receives=sum(bool(row.cells.get("receives")) for row in rows),
        unused=sum(issue.kind in (BROKEN, DATE) for issue in structural),
    )


def _check_row(table: _Table, row: _Row, log: IssueLog) -> None:
    found = _organisation(row)
    line, gln = row.line, found.gln
    if row.width < len(table.columns):
        log.add(SHORT, table.at(line), cells=row.width, columns=len(table.columns))
    if not re.fullmatch(r"[0-9]{13}", gln):
        log.add(GLN_SHAPE, table.at(line, "gln"), length=len(gln))
        gln = "of line " + str(line)
    elif not gln_ok(gln):
        log.add(GLN_DIGIT, table.at(line, "gln"), gln=gln)
    if not found.sor:
        log.add(SOR_ABSENT, table.at(line, "sor"), gln=gln)
    elif not sor_shape_ok(found.sor):
        log.add(SOR_SHAPE, table.at(line, "sor"), gln=gln, length=len(found.sor))
    elif not sor_ok(found.sor):
        log.add(SOR_DIGIT, table.at(line, "sor"), sor=found.sor)
    _check_id(table, found, gln, log)
    _check_receives(table, found, gln, log)
    for column, limit in (("name", NAME_LENGTH), ("telephone", TELEPHONE_LENGTH)):
        if len(row.cells.get(column, "")) > limit:
            log.add(TOO_LONG, table.at(line, column), column=column, length=len(row.cells[column]), limit=limit)
    if any(map(_DOUBLY_ENCODED.search, row.cells.values())):
        log.add(MISREAD, table.at(line, "name"))


def _check_id(table: _Table, found: Organisation, gln: str, log: IssueLog) -> None:
    at = table.at(found.line, "id_kind" if "id_kind" in table.columns else "id")
    if not found.id and not found.id_kind:
        return
    if not found.id or not found.id_kind:
        halves = ("id", "id_kind") if found.id else ("id_kind", "id")
        log.add(ID_KIND, at, problem=f"GLN {gln} has an {halves[0]} without {halves[1]}")
    elif found.id_kind not in ORGANISATION_NUMBERS:
        log.add(ID_KIND, at, problem=f"the id_kind of GLN {gln} is not one that letters have")
    elif not ORGANISATION_NUMBERS[found.id_kind].match(found.id):
        at = table.at(found.line, "id")
        log.add(ID_SHAPE, at, gln=gln, wanted=found.id_kind, length=len(found.id))


def _check_receives(table: _Table, found: Organisation, gln: str, log: IssueLog) -> None:
    at = table.at(found.line, "receives")
    for column, items in (("receives", found.receives), ("can_receive", found.can_receive or ())):
        for number, item in enumerate(items, 1):
            if not _CAPABILITY.match(item):
                log.add(CAPABILITY, table.at(found.line, column), column=column, number=number)
    names = {item.partition("@")[0] for item in found.receives}
    # Only types with a number: a receiver of several types needs receipts (CTL) of both kinds.
    for fhir in sorted(names):
        if match := _NUMBERED_FHIR.match(fhir):
            for legacy in sorted(names & {match[1], "X" + match[1]}):
                log.add(BOTH_FORMATS, at, gln=gln, legacy=legacy, fhir=fhir)


def _check_overlaps(table: _Table, rows: Sequence[_Row], log: IssueLog) -> None:
    """Report rows that share a GLN and a day, and rows of two GLNs that share a SOR id and a day."""
    for row, other in _overlaps(rows, "gln"):
        log.add(OVERLAP, table.at(row.line, "gln"), gln=row.cells["gln"], other=other.line)
    for row, other in _overlaps(rows, "sor"):
        if row.cells["gln"] != other.cells["gln"]:
            log.add(SOR_TWICE, table.at(row.line, "sor"), sor=row.cells["sor"], other=other.line)


def _overlaps(rows: Sequence[_Row], column: str) -> Iterator[tuple[_Row, _Row]]:
    """Each row that starts before an earlier one with the same value in the column has ended, with that one."""
    groups: dict[str, list[_Row]] = {}
    for row in rows:
        if value := row.cells.get(column):
            groups.setdefault(value, []).append(row)
    for group in groups.values():
        latest, *others = sorted(group, key=lambda row: row.cells.get("valid_from", ""))
        for row in others:
            if row.cells.get("valid_from", "") <= _end(latest):
                yield (row, latest) if row.line > latest.line else (latest, row)
            latest = max(latest, row, key=_end)


def _end(row: _Row) -> str:
    return row.cells.get("valid_to", "") or "9999-12-31"
