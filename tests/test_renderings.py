"""Findings in every form: exact text, valid documents, values only on request, nothing that forges or steers."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import pytest

from converter.issues import Issue, IssueKind, IssueLog, Location, Severity
from converter.renderings import FORMATS, counts, fhirpath, neutral, page, render

CANARY = "Canary Testesen"
KIND = IssueKind("EDI999", "invented-fault", Severity.ERROR, "expected {n} segments", "Why so.", "Do this.", "X 1", 29)
NOT_CHECKED = IssueKind("NCK999", "invented-gap", Severity.ERROR, "not checked", "Why so.", "Do this.")
HOSTILE = 'a\r\n::error::forged\x1b[31m\x07\u202egnp.exe,x:y%0A<script>"&\ud800'


def issue(file: str = "in/a.edi", kind: IssueKind = KIND, **changes: object) -> Issue:
    log = IssueLog()
    at = Location(file, 14, 9, 420, "UNT", 31, 1, 2, "Letter.Identifier")
    log.add(kind, at, value=CANARY, target="Bundle.entry[1]", rule="r.yaml:4", n=3, **changes)  # type: ignore[arg-type]
    return log.issues[0]


def test_text_is_exactly_the_contract() -> None:
    lines = render([issue()], "text").splitlines()
    assert lines[0] == "in/a.edi:14:9 EDI999 error expected 3 segments"
    assert lines[1] == "    help: Do this."
    assert "element 1 component 2" in lines[2]
    assert len(lines) == 3


@pytest.mark.parametrize("form", FORMATS)
def test_values_are_shown_only_on_request(form: str) -> None:
    assert CANARY not in render([issue()], form)


@pytest.mark.parametrize("form", ["text", "json"])
def test_values_are_shown_on_request(form: str) -> None:
    assert CANARY in render([issue()], form, show_values=True)


@pytest.mark.parametrize("form", FORMATS)
def test_hostile_file_names_neither_forge_lines_nor_steer_terminals(form: str) -> None:
    plain, hostile = render([issue("x")], form), render([issue(HOSTILE)], form)
    assert hostile.count("\n") == plain.count("\n")
    assert hostile.replace("\n", "").isprintable()
    hostile.encode("utf-8")
    # Negative control: the name itself would do all that.
    assert not HOSTILE.replace("\n", "").isprintable()


def test_github_commands_cannot_be_forged_and_point_at_the_place() -> None:
    assert render([issue()], "github") == (
        "::error file=in/a.edi,line=14,col=9,title=EDI999 invented-fault::expected 3 segments. Do this.\n"
    )
    forged = render([issue("a,line=1::b%0A")], "github")
    assert forged.startswith("::error file=a%2Cline=1%3A%3Ab%250A,line=14,")
    warning = render([issue(severity=Severity.INFO)], "github")
    assert warning.startswith("::notice ")


def test_json_names_all_addresses() -> None:
    found = json.loads(render([issue(count=4)], "json"))[0]
    assert found["code"] == "EDI999"
    assert (found["file"], found["line"], found["column"], found["offset"]) == ("in/a.edi", 14, 9, 420)
    assert (found["segment"], found["ordinal"], found["element"], found["component"]) == ("UNT", 31, 1, 2)
    assert (found["path"], found["target"], found["rule"]) == ("Letter.Identifier", "Bundle.entry[1]", "r.yaml:4")
    assert (found["count"], found["contrl"]) == (4, 29)
    assert json.loads(render([], "json")) == []


def test_sarif_has_what_the_standard_asks_for() -> None:
    other = issue("a b.xml", NOT_CHECKED, severity=Severity.INFO)
    run = json.loads(render([issue(), other, issue()], "sarif", version="1.2.3"))["runs"][0]
    rules = run["tool"]["driver"]["rules"]
    assert [r["id"] for r in rules] == ["EDI999", "NCK999"]
    assert [r["ruleIndex"] for r in run["results"]] == [0, 1, 0]
    assert [r["level"] for r in run["results"]] == ["error", "note", "error"]
    place = run["results"][0]["locations"][0]
    assert place["physicalLocation"]["region"] == {"startLine": 14, "startColumn": 9}
    assert run["results"][1]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "a%20b.xml"


def test_sarif_without_a_place_has_no_region() -> None:
    log = IssueLog()
    log.add(KIND, n=1)
    result = json.loads(render(log.issues, "sarif"))["runs"][0]["results"][0]
    assert "locations" not in result


def test_junit_fails_a_file_with_findings_that_count_and_passes_the_others() -> None:
    issues = [issue(), issue(kind=NOT_CHECKED), issue("b", severity=Severity.WARNING), issue(HOSTILE)]
    suite = ET.fromstring(render(issues, "junit", files=["in/a.edi", "b", "c"]).encode())
    cases = {c.get("name"): c for c in suite.iter("testcase")}
    assert (suite.get("tests"), suite.get("failures")) == ("4", "2")
    assert cases["in/a.edi"].find("failure") is not None
    assert cases["b"].find("failure") is None
    assert cases["b"].find("system-out") is not None
    assert list(cases["c"]) == []
    strict = ET.fromstring(render(issues, "junit", fail_on=Severity.WARNING).encode())
    assert strict.get("failures") == "3"


def test_operation_outcome_is_never_empty_and_maps_severities() -> None:
    outcome = json.loads(render([issue(), issue(severity=Severity.INFO)], "operationoutcome"))
    assert outcome["resourceType"] == "OperationOutcome"
    assert [i["severity"] for i in outcome["issue"]] == ["error", "information"]
    assert outcome["issue"][0]["expression"] == ["Bundle.entry[1]"]
    assert json.loads(render([], "operationoutcome"))["issue"][0]["severity"] == "information"


def test_a_place_in_a_bundle_is_told_as_fhirpath() -> None:
    assert fhirpath("/entry/2/resource/category/0/coding/0") == "Bundle.entry[2].resource.category[0].coding[0]"
    assert fhirpath("Patient.PersonGivenName") == "Patient.PersonGivenName"


def test_not_checked_never_counts() -> None:
    assert counts(issue(), Severity.ERROR)
    assert counts(issue(severity=Severity.WARNING), Severity.WARNING)
    assert not counts(issue(severity=Severity.WARNING), Severity.ERROR)
    assert not counts(issue(kind=NOT_CHECKED), Severity.WARNING)


def test_neutral_leaves_danish_alone() -> None:
    assert neutral("Sygehus Ærø, å/ø") == "Sygehus Ærø, å/ø"
    assert neutral("a\x1b\n\u202eb") == "a\\x1b\\x0a\\u202eb"


def test_the_page_of_a_kind_says_all_that_is_known() -> None:
    shown = page(KIND)
    for part in ("EDI999 invented-fault (error)", "Why so.", "Do this.", "X 1", "29"):
        assert part in shown
