"""The list of approved systems: both of its forms, any order of columns, and what it says of parties.

All systems and vendors are invented; the form is that of the list that MedCom publishes.
"""

from __future__ import annotations

import csv
import io
import json
import zipfile
from pathlib import Path
from xml.sax.saxutils import escape

import pytest
from click.testing import CliRunner, Result

from converter.assessment import inventory
from converter.assessment.inventory import Inventory, as_csv, differences, parties, read, same
from converter.cli import program
from converter.directory import Directory
from converter.engine import mappings_folder
from converter.errors import InterchangeError
from converter.issues import IssueLog

HEAD = ("System", "Leverandør", "Systemtype", "Standard", "Id (version)", "Send/modtag", "Teststatus")
ROWS = [
    ("Nordjournal", "Fjord & Søn", "Lægesystemer", "DIS91", "D9134L", "Send/Modtag", "Godkendt"),
    ("Nordjournal", "Fjord & Søn", "Lægesystemer", "REF01", "H0130R", "Modtag", "Godkendt"),
    ("Nordjournal", "Fjord & Søn", "Lægesystemer", "XDIS91", "XD9134L", "Send", "Ikke testet"),
    ("Øresundsklinik", "Havn A/S", "Kommunesystemer", "CareCommunication", "5.0.1", "Send og modtag", "Godkendt"),
    ("Øresundsklinik", "Havn A/S", "Kommunesystemer", "XDIS91", "XD9134L", "Modtager", "Godkendt"),
    ("=HYPERLINK(1)", "Havn A/S", "Kommunesystemer", "Noget andet", "", "ukendt", "Godkendt"),
]
TABLE = """gln,sor,id,id_kind,name,telephone,receives,valid_from,valid_to,system
5790000120314,,,,Nordfjord Sygehus,,DIS91@D9134L REF06@H0630R,2015-01-01,,nordjournal
5790000121526,,,,Lægerne Havnegade,,FDIS91@5.0,2015-01-01,,Øresundsklinik
5790001382445,,,,Nordfjord Kommune,,XDIS91@D9134L,2015-01-01,,Ukendt system
"""


def html(rows: list[tuple[str, ...]], charset: str = "windows-1252") -> bytes:
    """As Excel exports it: a title above, blanks and line ends in cells, no end tags of rows."""
    lines = ["<tr>" + "".join(f"<td class=xl65 style='mso'>{escape(cell)}\n </td>" for cell in row) for row in rows]
    return (
        f"<html xmlns:x='urn:schemas-microsoft-com:office:excel'><head><meta http-equiv=Content-Type "
        f"content='text/html; charset={charset}'><style><!--td {{x}}--></style></head><body><table>"
        f"<tr><td colspan=7>Godkendte systemer</td></tr>{''.join(lines)}</table></body></html>"
    ).encode(charset)


def xlsx(rows: list[tuple[str, ...]], *, doctype: str = "") -> bytes:
    """A workbook with shared strings, one inline string, and a cell left out."""
    shared: dict[str, int] = {}
    lines = []
    for number, row in enumerate(rows, 1):
        cells = []
        for at, cell in enumerate(row):
            place = f"{chr(65 + at)}{number}"
            if cell and at == 0:
                cells.append(f'<c r="{place}" t="inlineStr"><is><t>{escape(cell)}</t></is></c>')
            elif cell:
                cells.append(f'<c r="{place}" t="s"><v>{shared.setdefault(cell, len(shared))}</v></c>')
        lines.append(f'<row r="{number}">{"".join(cells)}</row>')
    space = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        strings = "".join(f"<si><r><t>{escape(text)}</t></r></si>" for text in shared)
        archive.writestr("xl/sharedStrings.xml", f"{doctype}<sst {space}>{strings}</sst>")
        sheet = f"<worksheet {space}><sheetData>{''.join(lines)}</sheetData></worksheet>"
        archive.writestr("xl/worksheets/sheet1.xml", sheet)
    return buffer.getvalue()


def held(tmp_path: Path, data: bytes, name: str = "list.htm") -> Inventory:
    path = tmp_path / name
    path.write_bytes(data)
    return read(path, mappings_folder())


def test_the_page_that_excel_exports(tmp_path: Path) -> None:
    found = held(tmp_path, html([HEAD, *ROWS]))
    assert (len(found.approvals), found.systems, found.vendors) == (6, 3, 2)
    assert (found.unnamed, found.undirected) == (1, 1)
    first, second, third, fourth, *_ = found.approvals
    assert (first.vendor, first.message, first.sends, first.receives, first.approved) == (
        "Fjord & Søn",
        "DIS91@D9134L",
        True,
        True,
        True,
    )
    assert (second.message, second.sends, second.receives) == ("REF01@H0130R", False, True)
    assert (third.message, third.sends, third.receives, third.approved) == ("XDIS91@D9134L", True, False, False)
    assert (fourth.message, fourth.sends, fourth.receives) == ("FDIS91@5.0.1", True, True)
    assert {"message": "XDIS91@D9134L", "send": 0, "receive": 1} in found.by_message()


def test_all_forms_say_the_same(tmp_path: Path) -> None:
    expected = held(tmp_path, html([HEAD, *ROWS]))
    turned = [tuple(reversed(row)) for row in [HEAD, *ROWS]]
    assert held(tmp_path, html(turned)) == expected
    assert held(tmp_path, html([HEAD, *ROWS], "utf-8")) == expected
    assert held(tmp_path, xlsx([("Godkendte systemer",), HEAD, *ROWS]), "list.xlsx") == expected
    upper = tuple(name.upper() for name in HEAD)
    assert held(tmp_path, html([upper, *ROWS])) == expected


@pytest.mark.parametrize("missing", ["System", "Standard", "Send/modtag"])
def test_a_table_without_a_needed_column_is_refused(tmp_path: Path, missing: str) -> None:
    at = HEAD.index(missing)
    with pytest.raises(InterchangeError, match="no table with the columns"):
        held(tmp_path, html([row[:at] + row[at + 1 :] for row in [HEAD, *ROWS]]))


@pytest.mark.parametrize(
    "data",
    [
        b"PK\x03\x04broken",
        xlsx([HEAD, *ROWS], doctype='<!DOCTYPE x [<!ENTITY a "aaaa">]>'),
        xlsx([HEAD])[:-30],
    ],
)
def test_a_workbook_that_cannot_be_read_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(InterchangeError, match="XLSX"):
        held(tmp_path, data, "list.xlsx")


def test_versions_stand_for_their_corrections() -> None:
    assert same("FDIS91@5.0", "FDIS91@5.0.1")
    assert same("FDIS91", "FDIS91@5.0.1")
    assert not same("FDIS91@5.0", "FDIS91@5.01")
    assert not same("DIS91@D9134L", "XDIS91@D9134L")


def test_ability_and_registration_are_two_columns(tmp_path: Path) -> None:
    table = tmp_path / "organisations.csv"
    table.write_text(TABLE, encoding="utf-8")
    found = held(tmp_path, html([HEAD, *ROWS]))
    rows = list(parties(found, Directory.load(table, IssueLog()), "system"))
    told = {(r["name"], r["message"]): (r["can_send"], r["can_receive"], r["registered"]) for r in rows}
    assert told == {
        ("Nordfjord Sygehus", "DIS91@D9134L"): ("yes", "yes", "yes"),
        ("Nordfjord Sygehus", "REF01@H0130R"): ("no", "yes", "no"),
        ("Nordfjord Sygehus", "REF06@H0630R"): ("no", "no", "yes"),
        ("Lægerne Havnegade", "FDIS91@5.0.1"): ("yes", "yes", "yes"),
        ("Lægerne Havnegade", "XDIS91@D9134L"): ("no", "yes", "no"),
        ("Nordfjord Kommune", "XDIS91@D9134L"): ("", "", "yes"),  # its system is not in the list: not known
    }
    assert differences(rows) == {
        "can_receive_not_registered": 2,
        "registered_cannot_receive": 1,
        "system_unknown": 1,
    }


def test_nothing_in_the_table_is_a_formula() -> None:
    data = as_csv(("a",), [{"a": text} for text in ("=1+1", "@x", "+4", "-4", "\tx", "plain")])
    cells = [row[0] for row in csv.reader(io.StringIO(data.decode()))][1:]
    assert [cell[0] for cell in cells[:5]] == ["'"] * 5
    assert cells[5] == "plain"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(program, ["assess", "inventory", *map(str, arguments)])


def test_command(tmp_path: Path) -> None:
    (tmp_path / "list.htm").write_bytes(html([HEAD, *ROWS]))
    (tmp_path / "organisations.csv").write_text(TABLE, encoding="utf-8")
    files = tmp_path / "list.htm", "-o", tmp_path / "inventory.csv"
    more = "--parties", tmp_path / "parties.csv", "--sor", tmp_path / "organisations.csv", "--on", "2026-01-01"
    assert run(*files, *more[:2]).exit_code == 2  # no organisation table
    done = run(*files, *more)
    assert done.exit_code == 0, done.output
    assert "6 rows, 3 systems, 2 vendors" in done.output
    assert "can receive not registered: 2; registered cannot receive: 1; system unknown: 1" in done.output
    with (tmp_path / "inventory.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == inventory.COLUMNS
    assert rows[5]["system"] == "'=HYPERLINK(1)"
    assert run(*files).exit_code == 2  # it exists
    told = json.loads(run(*files, *more, "--force", "--format", "json").output)
    assert len(told["parties"]) == 6
