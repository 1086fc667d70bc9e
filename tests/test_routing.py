"""Routing: convert, pass through or cannot deliver, by the row of the receiver that is valid on the day."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from converter.cli import program
from converter.directory import Directory, check
from converter.engine import Engine
from converter.issues import IssueLog, Location
from converter.routing import CONVERT, NONE, PASS, Route, Router
from tests.cases import FIXTURES

LETTERS = FIXTURES / "letters" / "DIS91"
TABLE = FIXTURES / "routes" / "organisations.csv"
RECEIVER = "5790000121526"
CASES = ("plain", "admitted", "subject-longest", "unknown-organisation", "sor-code-to-location-number", "version-9133")


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(program, ["route", *map(str, arguments)])


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: Engine) -> Path:
    """Letters in both syntaxes and a Bundle, in a folder of short names."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    for case in CASES:
        for path in sorted((LETTERS / case).glob("message.*")):
            (folder / f"{case}{path.suffix}").write_bytes(path.read_bytes())
    (outcome,) = engine.convert((LETTERS / "plain" / "message.edi").read_bytes(), to="fhir")
    (folder / "bundle.json").write_bytes(outcome.output or b"")
    monkeypatch.chdir(folder)
    (folder / "table.csv").symlink_to(TABLE)
    return folder


@pytest.mark.parametrize("day", ["2026-03-01", "2026-09-01"])
def test_the_same_corpus_on_two_days(corpus: Path, day: str, golden: Callable[[Path, str], None]) -> None:
    done = run(*sorted(p.name for p in corpus.glob("*.[ejx]*")), "--sor", "table.csv", "--on", day)
    assert done.exit_code == 1
    golden(FIXTURES / "routes" / f"expected-{day}.txt", done.stdout)


def test_the_two_days_differ_where_rows_changed(corpus: Path) -> None:
    found = {}
    for day in ("2026-06-30", "2026-07-01"):
        done = run("plain.edi", "bundle.json", "--sor", "table.csv", "--on", day, "--format", "json")
        assert done.exit_code == 0
        found[day] = [(r["decision"], r["as"], r["row"]["line"]) for r in json.loads(done.stdout)["routes"]]
    assert found == {
        "2026-06-30": [(PASS, "DIS91@D9134L", 3), (CONVERT, "XDIS91@D9134L", 3)],
        "2026-07-01": [(CONVERT, "FDIS91@5.0", 4), (PASS, "FDIS91@5.0", 4)],
    }


def test_json_names_table_row_and_day(corpus: Path) -> None:
    done = run("admitted.xml", "--sor", "table.csv", "--on", "2026-03-01", "--format", "json")
    document: dict[str, Any] = json.loads(done.stdout)
    (row,) = document["routes"]
    assert (row["file"], row["line"], row["on"], row["reason"]) == ("admitted.xml", 1, "2026-03-01", None)
    assert row["row"] == {
        "file": "table.csv",
        "line": 5,
        "gln": "5790001382445",
        "sor": "9900011000016002",
        "valid_from": "2015-01-01",
        "valid_to": "2026-06-30",
        "receives": ["XDIS91@D9134L", "FDIS91@5.0"],
    }
    assert row["can_receive_not_registered"] == []
    assert row["registered_cannot_receive"] == ["XDIS91@D9134L"]
    assert [f["code"] for f in document["findings"]] == ["RTE008", "RTE006"]


def routed(engine: Engine, tmp_path: Path, rows: Iterable[str], data: bytes) -> tuple[Route, list[str]]:
    """What becomes of a message by a table of one receiver: `receives,can_receive,valid_from,valid_to` a row."""
    table = tmp_path / "table.csv"
    lines = "".join(f"{RECEIVER},{row}\n" for row in rows)
    table.write_text(f"gln,receives,can_receive,valid_from,valid_to\n{lines}", encoding="utf-8")
    other = Engine(engine.folder, directory=Directory.load(table, IssueLog()))
    router, log = Router(other, "2026-01-31"), IssueLog()
    (found,) = [router.route(o, Location("m", 1, 1), log) for o in other.messages(data, name="m")]
    return found, [issue.code for issue in log]


EDI = (LETTERS / "plain" / "message.edi").read_bytes()
XML = (LETTERS / "plain" / "message.xml").read_bytes()

DECISIONS: list[tuple[bytes, str, str, str, list[str]]] = [
    (EDI, "DIS91@D9134L,,,", PASS, "DIS91@D9134L", []),
    (XML, "XDIS91@D9134L,XDIS91@D9134L,,", PASS, "XDIS91@D9134L", []),
    (XML, "XDIS91@XD9134L,XDIS91@XD9134L,,", PASS, "XDIS91@XD9134L", []),
    (XML, "XDIS91@D9133L XDIS91@D9134L,,,", PASS, "XDIS91@D9134L", []),
    (XML, "XDIS91@D9133L,,,", CONVERT, "XDIS91@D9133L", []),
    (XML, "DIS91@D9134L,,,", CONVERT, "DIS91@D9134L", []),
    (EDI, "XDIS91@D9135L,,,", CONVERT, "XDIS91@D9135L", []),
    (EDI, "FDIS91@5.0,FDIS91@5.0,,", CONVERT, "FDIS91@5.0", []),
    (EDI, "DIS91@D9134L FDIS91@5.0,DIS91@D9134L FDIS91@5.0,,", PASS, "DIS91@D9134L", ["RTE006"]),
    (EDI, "DIS91@D9135L,,,", NONE, "", ["RTE005"]),  # no EDIFACT layout is published
    (EDI, "FDIS91@9.9,,,", NONE, "", ["RTE005"]),
    (EDI, "XREF01@H0131R,,,", NONE, "", ["RTE004"]),
    (EDI, ",,,", NONE, "", ["RTE004"]),
    (EDI, "DIS91@D9134L,,2026-02-01,", NONE, "", ["RTE002"]),
    (EDI, "DIS91@D9134L,,,2026-01-30", NONE, "", ["RTE002"]),
    (EDI.replace(RECEIVER.encode(), b""), "DIS91@D9134L,,,", NONE, "", ["RTE001"]),
    (b'{"resourceType": "Bundle", "type": "message"}', "FDIS91@5.0,,,", NONE, "", ["RTE009"]),
]


@pytest.mark.parametrize("case", DECISIONS, ids=[f"{d[1]} {d[2]}" for d in DECISIONS])
def test_decisions(engine: Engine, tmp_path: Path, case: tuple[bytes, str, str, str, list[str]]) -> None:
    data, row, decision, form, codes = case
    found, logged = routed(engine, tmp_path, [row], data)
    assert (found.decision, found.form) == (decision, form)
    assert [code for code in logged if code != "RTE008"] == codes
    assert (found.finding is not None) == (decision == NONE)


def test_two_rows_on_a_day_decide_nothing(engine: Engine, tmp_path: Path) -> None:
    found, codes = routed(engine, tmp_path, ["DIS91@D9134L,,,", "FDIS91@5.0,,,"], EDI)
    assert (found.decision, found.row, codes) == (NONE, None, ["RTE003"])


def test_ability_is_told_and_decides_nothing(engine: Engine, tmp_path: Path) -> None:
    found, codes = routed(engine, tmp_path, ["XREF01@H0131R,DIS91@D9134L,,"], EDI)
    assert (found.decision, found.unregistered, found.unable) == (NONE, ("DIS91@D9134L",), ())
    assert codes == ["RTE007", "RTE004"]
    found, codes = routed(engine, tmp_path, ["DIS91@D9134L,,,"], EDI)
    assert (found.decision, found.unregistered, found.unable) == (PASS, (), ("DIS91@D9134L",))
    assert codes == ["RTE008"]


@pytest.mark.parametrize(("data", "row"), [(d[0], d[1]) for d in DECISIONS if d[2] == CONVERT])
def test_what_is_to_be_converted_can_be(engine: Engine, tmp_path: Path, data: bytes, row: str) -> None:
    found, _ = routed(engine, tmp_path, [row], data)
    name, _, version = found.form.partition("@")
    to = {"X": "oioxml", "F": "fhir"}.get(name[0], "edifact")
    converter = Engine(engine.folder, letter_version=None if to == "fhir" else version)
    (outcome,) = converter.convert(data, to=to)
    assert outcome.output


def test_a_letter_that_cannot_be_read_has_its_own_findings(corpus: Path) -> None:
    (corpus / "broken.edi").write_bytes(EDI.replace(b"D9134L", b"D9999L"))
    done = run("broken.edi", "--sor", "table.csv", "--on", "2026-03-01", "--format", "json")
    assert done.exit_code == 1
    document = json.loads(done.stdout)
    assert [(r["decision"], r["reason"], r["row"]) for r in document["routes"]] == [(NONE, None, None)]
    assert not [f for f in document["findings"] if f["code"].startswith("RTE")]


def test_wrong_use(corpus: Path) -> None:
    assert run("plain.edi").exit_code == 2
    assert run("missing.edi", "--sor", "table.csv").exit_code == 2
    assert run("plain.edi", "--sor", "table.csv", "--on", "tomorrow").exit_code == 2


def test_no_name_of_a_patient_is_shown(corpus: Path) -> None:
    text = run(".", "--sor", "table.csv", "--on", "2026-03-01", "--show-values").stdout
    assert "Elmer" not in text
    assert "Elmer" in EDI.decode("latin-1")


def test_the_table_of_abilities_is_checked(tmp_path: Path) -> None:
    log = IssueLog()
    assert check(TABLE, log).unused == 0
    assert {issue.code for issue in log} == {"DIR016", "DIR018"}
    table = tmp_path / "table.csv"
    table.write_text("gln,can_receive\n5790000121526,all of it\n", encoding="utf-8")
    log = IssueLog()
    check(table, log)
    assert next(i.message for i in log if i.code == "DIR015").startswith("can_receive: item 1")
