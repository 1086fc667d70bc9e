"""Code systems that no package holds: the form of their codes, and the user's table."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import yaml

from converter.errors import ProfileError
from converter.fhir.codes import FORMS, read_codes
from converter.fhir.library import Library
from converter.issues import IssueLog

SKS, ICPC = "urn:oid:1.2.208.176.2.4", "urn:oid:1.2.208.176.2.31"
SNOMED, LOINC = "http://snomed.info/sct", "http://loinc.org"


@pytest.mark.parametrize(
    ("system", "good", "bad"),
    [
        (SNOMED, ["73211009", "22298006", "138875005"], ["73211008", "0", "073211009", "7321100x", "12345"]),
        (LOINC, ["11450-4", "8867-4", "LP7839-6"], ["11450-5", "11450", "x-4", "11450-44"]),
        (SKS, ["DI109", "ZZ0150", "BVDY"], ["di109", "D I109", "1DI09", "D"]),
        (ICPC, ["A01", "T90", "R7400"], ["A1", "a01", "A011", "AA1"]),
    ],
)
def test_form_of_codes(system: str, good: list[str], bad: list[str]) -> None:
    assert [c for c in good if not FORMS[system](c)] == []
    assert [c for c in bad if FORMS[system](c)] == []


MESSAGE = yaml.safe_load(Path(__file__).with_name("message.yaml").read_text(encoding="utf-8"))


def judge(library: Library, **coding: str) -> list[str]:
    """Findings of a message whose reason has this coding."""
    message = copy.deepcopy(MESSAGE)
    message["entry"][1]["resource"]["reasonCode"] = [{"coding": [coding]}]
    profile = library.choose(message)
    assert profile
    log = IssueLog()
    profile.validate(message, log)
    return [f"{i.code} {i.at.path.rpartition('/')[2]}" for i in log]


def test_table_of_codes(root: Path, tmp_path: Path) -> None:
    table = tmp_path / "codes.csv"
    table.write_text(f"system,code,display\n{SKS},DI109,Hypertension\n{SKS},DI110,\n", encoding="utf-8")
    codes = read_codes(table)
    assert codes == {SKS: {"DI109": ["Hypertension"], "DI110": []}}
    with_table = Library(root / "mappings/profiles", codes)
    assert judge(with_table, system=SKS, code="DI109", display="hypertension") == []
    assert judge(with_table, system=SKS, code="DI110", display="anything") == []
    assert judge(with_table, system=SKS, code="DI119") == ["PRO057 code"]
    assert judge(with_table, system=SKS, code="DI109", display="Diabetes") == ["PRO031 display"]
    # Without a table only the form can be judged.
    without = Library(root / "mappings/profiles", {})
    assert judge(without, system=SKS, code="DI119") == []
    assert judge(without, system=SKS, code="di119") == ["PRO063 code"]


def test_table_that_is_none(tmp_path: Path) -> None:
    table = tmp_path / "codes.csv"
    table.write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(ProfileError, match="columns system, code and display"):
        read_codes(table)
