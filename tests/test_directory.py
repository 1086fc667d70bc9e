"""The organisation table: what `load` takes, and what `check` says about every kind of fault."""

from __future__ import annotations

import pickle
import time
from contextlib import suppress
from pathlib import Path

import pytest

from converter import directory as directory_module
from converter.directory import COLUMNS, Directory, DirectoryError, Organisation, check
from converter.issues import Issue, IssueLog, Severity

GLN, GLN2, GLN3 = "5790000120314", "5790000121526", "5790001382445"
SOR, SOR2 = "325371000016006", "325251000016005"
HEADER = ",".join(COLUMNS)
GOOD = f"{GLN},{SOR},077411,ydernummer,Lægerne Havnen,0000 0001,XDIS91@D9134L XBIN01@B0131X,2020-01-01,2030-12-31"


def table(tmp_path: Path, *lines: str, header: str = HEADER, encoding: str = "utf-8") -> Path:
    path = tmp_path / "sor.csv"
    path.write_bytes("\n".join([header, *lines, ""]).encode(encoding))
    return path


def load(path: Path) -> tuple[Directory, list[Issue]]:
    log = IssueLog()
    return Directory.load(path, log), list(log)


def findings(path: Path) -> list[Issue]:
    log = IssueLog()
    check(path, log)
    return list(log)


def codes(path: Path) -> list[str]:
    return [issue.code for issue in findings(path)]


# What load takes


def test_a_row_is_found_on_every_day_of_its_period_and_no_other(tmp_path: Path) -> None:
    directory, issues = load(table(tmp_path, GOOD))
    assert not issues
    assert len(directory) == 1
    found = directory.find(GLN, "2020-01-01")
    assert found == Organisation(
        GLN,
        SOR,
        "077411",
        "ydernummer",
        "Lægerne Havnen",
        "0000 0001",
        ("XDIS91@D9134L", "XBIN01@B0131X"),
        "2020-01-01",
        "2030-12-31",
        line=2,
    )
    assert directory.find(GLN, "2030-12-31") == found
    assert directory.by_sor(SOR, "2025-06-01") == found
    for nowhere in (
        directory.find(GLN, "2019-12-31"),
        directory.find(GLN, "2031-01-01"),
        directory.find(GLN2, "2025-06-01"),
        directory.find("", "2025-06-01"),
        directory.by_sor(SOR, "2031-01-01"),
        directory.by_sor("", "2025-06-01"),
    ):
        assert nowhere is None


def test_several_rows_on_one_day_are_all_returned_and_none_is_chosen(tmp_path: Path) -> None:
    path = table(tmp_path, f"{GLN},{SOR},,,A,,,,2024-06-30", f"{GLN},{SOR2},,,B,,,2024-06-30,")
    directory, _ = load(path)
    assert [row.line for row in directory.rows(GLN, "2024-06-30")] == [2, 3]
    assert directory.find(GLN, "2024-06-30") is None
    before, after = directory.find(GLN, "2024-06-29"), directory.find(GLN, "2024-07-01")
    assert before is not None
    assert before.name == "A"
    assert after is not None
    assert after.name == "B"


def test_bom_blanks_crlf_quotes_and_other_column_orders_are_tolerated(tmp_path: Path) -> None:
    header = " GLN ,Name,region,sor"
    path = tmp_path / "sor.csv"
    path.write_bytes(f'{header}\r\n\r\n {GLN} ,"Klinik ""Syd"", 2. sal",DK-83,{SOR}\r\n'.encode("utf-8-sig"))
    directory, issues = load(path)
    assert not issues
    found = directory.find(GLN, "2026-01-01")
    assert found is not None
    assert found.name == 'Klinik "Syd", 2. sal'
    assert (found.sor, found.telephone, found.receives, found.line) == (SOR, "", (), 3)
    assert found.extra == (("region", "DK-83"),)


def test_only_the_gln_column_must_be_there(tmp_path: Path) -> None:
    directory, issues = load(table(tmp_path, GLN, header="gln"))
    assert not issues
    assert directory.find(GLN, "2026-01-01") == Organisation(GLN, line=2)


@pytest.mark.parametrize("gln", ["5790000120315", "4711", "not a number"])
def test_a_row_is_never_rejected_for_its_numbers(tmp_path: Path, gln: str) -> None:
    directory, issues = load(table(tmp_path, f"{gln},123"))
    assert not issues
    assert directory.find(gln, "2026-01-01") is not None


@pytest.mark.parametrize(
    ("header", "problem"),
    [("sor,name", "no column gln"), (HEADER.replace(",", ";"), "no column gln"), ("", "no column gln"),
     ("gln,sor,GLN", "column gln twice"), ('"gln', "no column gln")],
)  # fmt: skip
def test_a_header_that_names_no_gln_is_a_configuration_error(tmp_path: Path, header: str, problem: str) -> None:
    path = table(tmp_path, GOOD, header=header)
    with pytest.raises(DirectoryError, match=problem) as caught:
        load(path)
    assert [issue.code for issue in caught.value.issues] == ["DIR002"]
    assert [(issue.code, str(issue.at)) for issue in findings(path)] == [("DIR002", f"{path}:1:1")]


def test_an_empty_file_has_no_gln_column(tmp_path: Path) -> None:
    path = tmp_path / "empty.csv"
    path.write_bytes(b"")
    with pytest.raises(DirectoryError):
        load(path)


def test_a_file_that_is_not_utf_8_is_refused_at_its_first_such_byte(tmp_path: Path) -> None:
    path = table(tmp_path, GOOD, encoding="latin-1")
    with pytest.raises(DirectoryError, match="not UTF-8") as caught:
        load(path)
    assert str(caught.value.issues[0].at) == f"{path}:2:{GOOD.index('æ') + 1}"
    assert codes(path) == ["DIR001"]
    (issue,) = findings(table(tmp_path, GOOD, encoding="utf-16"))
    assert "UTF-16" in issue.message


def test_a_missing_file_is_not_a_finding(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        load(tmp_path / "nowhere.csv")
    with pytest.raises(OSError, match="nowhere"):
        findings(tmp_path / "nowhere.csv")


def test_rows_that_cannot_be_trusted_are_reported_and_not_used(tmp_path: Path) -> None:
    comma = f"{GLN},{SOR},,,Afdeling 1, stuen,00000001,,,,"
    undated = f"{GLN2},{SOR2},,,B,,,1 jan 2020,"
    directory, issues = load(table(tmp_path, comma + "x", undated, f"{GLN3},,,,C"))
    assert [(issue.code, issue.at.line) for issue in issues] == [("DIR003", 2), ("DIR012", 3)]
    assert len(directory) == 1
    assert directory.find(GLN3, "2026-01-01") is not None


def test_reading_stops_at_an_open_quotation_mark_and_says_so(tmp_path: Path) -> None:
    directory, issues = load(table(tmp_path, GOOD, f'{GLN2},,,,"Open', f"{GLN3},,,,C"))
    assert [(issue.code, issue.at.line) for issue in issues] == [("DIR003", 3)]
    assert len(directory) == 1


def test_receivable_versions_of_a_type() -> None:
    found = Organisation(GLN, receives=("XDIS91@D9134L", "XDIS91@D9135L", "FDIS91@5.0"))
    assert found.versions("XDIS91") == ("D9134L", "D9135L")
    assert found.versions("FDIS91") == ("5.0",)
    assert found.versions("DIS91") == ()


def test_a_directory_can_be_sent_to_another_process(tmp_path: Path) -> None:
    directory, _ = load(table(tmp_path, GOOD))
    assert pickle.loads(pickle.dumps(directory)).find(GLN, "2026-01-01") == directory.find(GLN, "2026-01-01")


# What check says


def test_a_good_table_gives_no_finding_and_a_summary(tmp_path: Path) -> None:
    log = IssueLog()
    path = table(tmp_path, GOOD, f"{GLN2},{SOR2},{GLN2},lokationsnummer,Sygehus,,FDIS91@5.0 FCTL@2.0 XCTL03@C0331Q,,")
    summary = check(path, log)
    assert not list(log)
    assert (summary.rows, summary.organisations, summary.with_sor, summary.with_id) == (2, 2, 2, 2)
    assert (summary.with_receives, summary.unused) == (2, 0)


@pytest.mark.parametrize(
    ("row", "code", "column"),
    [
        (f"{GLN},{SOR}", "DIR004", 1),
        (f"579000012031,{SOR},,,,,,,", "DIR005", 1),
        (f"5.79E+12,{SOR},,,,,,,", "DIR005", 1),
        (f",{SOR},,,,,,,", "DIR005", 1),
        (f"5790000120315,{SOR},,,,,,,", "DIR006", 1),
        (f"{GLN},3253710000,,,,,,,", "DIR007", 15),
        (f"{GLN},325371000016000,,,,,,,", "DIR008", 15),
        (f"{GLN},,,,,,,,", "DIR009", 15),
        (f"{GLN},{SOR},1,yder,,,,,", "DIR010", 33),
        (f"{GLN},{SOR},077411,,,,,,", "DIR010", 38),
        (f"{GLN},{SOR},,ydernummer,,,,,", "DIR010", 32),
        (f"{GLN},{SOR},7411,ydernummer,,,,,", "DIR011", 31),
        (f"{GLN},{SOR},,,,,,2020-13-01,", "DIR012", 36),
        (f"{GLN},{SOR},,,,,,20200101,", "DIR012", 36),
        (f"{GLN},{SOR},,,,,,2020-01-01,2019-12-31", "DIR012", 47),
        (f"{GLN},{SOR},,,,,XDIS91,,", "DIR015", 35),
        (f"{GLN},{SOR},,,,,XDIS91@D9134L;XBIN01@B0131X,,", "DIR015", 35),
        (f"{GLN},{SOR},,,,,XDIS91@D9134L FDIS91@5.0,,", "DIR016", 35),
        (f"{GLN},{SOR},,,,,DIS91@D9134L FDIS91@5.0,,", "DIR016", 35),
        (f"{GLN},{SOR},,,{'x' * 36},,,,", "DIR018", 33),
        (f'{GLN},{SOR},,,"a,b\nc",{"0" * 26},,,', "DIR018", 4),
        (f"{GLN},{SOR},,,LÃ¦gerne,,,,", "DIR019", 33),
    ],
)
def test_each_fault_of_a_row_is_reported_at_its_cell(tmp_path: Path, row: str, code: str, column: int) -> None:
    path = table(tmp_path, row)
    (issue,) = findings(path)
    assert issue.code == code
    assert issue.at.column == column
    assert issue.at.line == (3 if "\n" in row else 2)
    assert issue.at.file == str(path)


def test_columns_of_other_names_are_for_the_record(tmp_path: Path) -> None:
    (issue,) = findings(table(tmp_path, f"{GLN},{SOR},x", header="gln,sor,region"))
    assert (issue.code, issue.severity) == ("DIR017", Severity.INFO)
    assert "column 3" in issue.message


def test_rows_that_share_a_gln_and_a_day(tmp_path: Path) -> None:
    path = table(
        tmp_path,
        f"{GLN},{SOR},,,A,,,,2024-06-30",
        f"{GLN},{SOR2},,,B,,,2024-07-01,2024-12-31",
        f"{GLN},{SOR},,,C,,,2024-12-31,",
    )
    (issue,) = findings(path)
    assert (issue.code, issue.at.line, issue.at.column) == ("DIR013", 4, 1)
    assert "line 3" in issue.message


def test_identical_rows_overlap(tmp_path: Path) -> None:
    assert codes(table(tmp_path, GOOD, GOOD)) == ["DIR013"]


def test_one_sor_id_for_two_glns(tmp_path: Path) -> None:
    (issue,) = findings(table(tmp_path, GOOD, GOOD.replace(GLN, GLN2)))
    assert (issue.code, issue.severity, issue.at.line, issue.at.column) == ("DIR014", Severity.WARNING, 3, 15)
    assert not codes(table(tmp_path, GOOD, GOOD.replace(GLN, GLN2).replace("2020-01-01,2030", "2031-01-01,2032")))


def test_messages_hold_no_names_and_no_telephone_numbers(tmp_path: Path) -> None:
    name, telephone = "Hemmelig" * 6, "12 34 56 78 " * 4
    issues = findings(table(tmp_path, f"1,2,3,4,{name},{telephone},5,6,7", f"{GLN},,,,{name},{telephone},,,,,x"))
    assert len(issues) > 5
    assert not any(secret in issue.message + issue.at.path for issue in issues for secret in (name[:8], "34 56"))


@pytest.mark.parametrize(
    "hostile", [b"\x00" * 50, b'gln\n"' * 50, b"gln\n" + b"," * 5000, b"gln,\xff", b"\r" * 9, b"gln\n'\x00"]
)
def test_hostile_files_give_issues_and_never_a_traceback(tmp_path: Path, hostile: bytes) -> None:
    path = tmp_path / "hostile.csv"
    path.write_bytes(hostile)
    log = IssueLog()
    check(path, log)
    with suppress(DirectoryError):
        Directory.load(path, log)


def test_a_cell_beyond_what_csv_takes_is_an_issue(tmp_path: Path) -> None:
    assert codes(table(tmp_path, f"{GLN},{'1' * 200_000}")) == ["DIR003"]


def test_rows_that_were_asked_for_are_remembered_and_not_without_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory_module, "MAX_ASKED", 2)
    found = Directory.load(table(tmp_path, GOOD), IssueLog())
    for on, number in (("2024-01-01", 1), ("2031-01-01", 0), ("2019-12-31", 0), ("2024-01-01", 1)):
        assert [len(found.rows(GLN, on)) for _ in range(2)] == [number] * 2
        assert len(found._asked) <= 2


def test_ten_thousand_rows_for_one_gln_are_checked_in_linear_time(tmp_path: Path) -> None:
    path = table(tmp_path, *[GOOD] * 10_000)
    start = time.perf_counter()
    assert len(codes(path)) == 9_999
    assert time.perf_counter() - start < 5
