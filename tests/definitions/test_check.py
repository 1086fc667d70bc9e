"""A letter judged by its definition: each rule with a value that keeps it and one that breaks it."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import HealthCheck, given, settings

from converter.definitions import check
from converter.definitions.check import is_day
from converter.definitions.values import MAX_TOGETHER, Shape
from converter.engine import Engine
from converter.issues import IssueLog, Location
from converter.letter import Letter
from tests.letters_strategy import letters

DEFINITIONS = Engine().definitions
DEFINITION = DEFINITIONS.get("DIS91", "D9134L")
assert DEFINITION is not None

VALUES = {
    "Envelope.Sent.Date": "2023-11-20",
    "Envelope.Sent.Time": "17:45",
    "Envelope.Identifier": "KUV1",
    "Envelope.AcknowledgementCode": "pluspositivkvitt",
    "Letter.Identifier": "BREV1",
    "Letter.VersionCode": "XD9134L",
    "Letter.StatisticalCode": "XDIS91",
    "Letter.Authorisation.Date": "2023-11-20",
    "Letter.Authorisation.Time": "17:44",
    "Letter.TypeCode": "XDIS91",
    "Letter.StatusCode": "nytbrev",
    "Sender.EANIdentifier": "5790000120314",
    "Sender.Identifier": "1234567",
    "Sender.IdentifierCode": "sygehusafdelingsnummer",
    "Sender.OrganisationName": "Sygehus Syd",
    "Receiver.EANIdentifier": "5790000121526",
    "Receiver.Identifier": "123456",
    "Receiver.IdentifierCode": "ydernummer",
    "Patient.CivilRegistrationNumber": "0201609995",
    "Patient.PersonSurnameName": "Sønderup",
    "Patient.EpisodeOfCareStatusCode": "inaktiv",
    "ClinicalInformation[1].Text01": (("P00", "Kære kollega\n"),),
    "Reference[1].RefDescription": "Billede",
    "Reference[1].BIN.ObjectIdentifier": "1",
    "Reference[1].BIN.ObjectCode": "billede",
    "Reference[1].BIN.ObjectExtensionCode": "jpeg",
    "Reference[1].BIN.OriginalObjectSize": "123",
}


def found(changes: dict[str, object]) -> list[tuple[str, str, str]]:
    """Code, severity and path of every finding about the letter with these changes (None: leaf absent)."""
    values = {**VALUES, **changes}
    letter = Letter("DIS91", "D9134L", "oioxml", {k: v for k, v in values.items() if v is not None})  # type: ignore[misc]
    log = IssueLog()
    assert DEFINITION is not None
    DEFINITION.check(letter, log)
    return [(i.code, str(i.severity), i.at.path) for i in log]


def test_a_letter_that_keeps_all_rules() -> None:
    assert found({}) == []


@pytest.mark.parametrize(
    ("leaf", "value", "code"),
    [
        ("Sender.Identifier", None, "LTR010"),
        ("Letter.Authorisation.Time", None, "LTR010"),
        ("ClinicalInformation[1].Text01", "plain", "LTR025"),
        ("ClinicalInformation[1].Text01", (("X99", "a"),), "LTR025"),
        ("Sender.Identifier", (("P00", "a"),), "LTR025"),
        ("Sender.OrganisationName", "x" * 36, "LTR012"),
        ("Sender.OrganisationName", "", "LTR012"),
        ("Letter.StatusCode", "annulleretbrev", "LTR013"),
        ("Receiver.IdentifierCode", "", "LTR013"),
        ("Letter.Authorisation.Date", "2023-02-29", "LTR014"),
        ("Letter.Authorisation.Date", "20231120", "LTR014"),
        ("Letter.Authorisation.Date", "2023-11-20Z", "LTR024"),
        ("Letter.Authorisation.Date", "2023-11-20+01:00", "LTR024"),
        ("Letter.Authorisation.Date", "2023-02-29Z", "LTR014"),
        ("Letter.Authorisation.Time", "24:00", "LTR015"),
        ("Letter.Authorisation.Time", "7:45", "LTR015"),
        ("Letter.VersionCode", "XD9133L", "LTR018"),
        ("Letter.StatisticalCode", "XDIS99", "LTR019"),
        ("Patient.CivilRegistrationNumber", "31" + "02609995", "LTR021"),
        ("Patient.CivilRegistrationNumber", "020160999", "LTR021"),
        ("Patient.CivilRegistrationNumber", "0203291WQ3", "LTR021"),
        ("Patient.Hat", "red", "LTR022"),
        ("Sender[1].Identifier", "1", "LTR022"),
        ("Reference[1].BIN.OriginalObjectSize", "0", "LTR023"),
        ("Reference[1].BIN.OriginalObjectSize", "12 kB", "LTR023"),
    ],
)
def test_each_rule_has_its_issue_at_the_leaf(leaf: str, value: object, code: str) -> None:
    warning = code in ("LTR019", "LTR024")
    assert found({leaf: value}) == [(code, "warning" if warning else "error", leaf)]


def test_values_on_the_border_are_right() -> None:
    for leaf, value in (
        ("Sender.OrganisationName", "x" * 35),
        ("Patient.CivilRegistrationNumber", "0" * 10),
        ("Patient.CivilRegistrationNumber", "29" + "02" + "609995"),
        ("Letter.Authorisation.Date", "2024-02-29"),
        ("Letter.Authorisation.Time", "23:59"),
        ("Reference[1].BIN.OriginalObjectSize", "0012"),
        ("ClinicalInformation[1].Text01", ()),
    ):
        assert found({leaf: value}) == [], leaf


def test_choices() -> None:
    both = {"Patient.AlternativeIdentifier": "0203291WQ3"}
    assert found(both) == [("LTR016", "error", "Patient")]
    assert found({**both, "Patient.CivilRegistrationNumber": None}) == []
    assert found({"Patient.CivilRegistrationNumber": None}) == [("LTR017", "error", "Patient")]
    assert found({"Reference[1].URL": "x"}) == [("LTR016", "error", "Reference[1]")]
    assert found({"Reference[2].RefDescription": "x"}) == [("LTR017", "error", "Reference[2]")]


def test_missing_parts_of_optional_and_repeating_elements() -> None:
    assert found({"Reference[1].BIN.ObjectCode": None}) == [("LTR010", "error", "Reference[1].BIN.ObjectCode")]
    assert found({"Reference[1].RefDescription": None}) == [("LTR010", "error", "Reference[1].RefDescription")]
    gone = {leaf: None for leaf in VALUES if leaf.startswith("Receiver.")}
    assert found(gone) == [("LTR010", "error", "Receiver")]


def test_ten_repetitions_and_no_more() -> None:
    ten = {f"ClinicalInformation[{n}].Text01": () for n in range(1, 11)}
    assert found(ten) == []
    assert found({**ten, "ClinicalInformation[11].Text01": ()}) == [("LTR011", "error", "ClinicalInformation")]
    assert found({"ClinicalInformation[1].Text01": None}) == []
    references = {f"Reference[{n}].{leaf}": "true" for n in range(2, 12) for leaf in ("RefDescription", "SUP")}
    assert found(references) == [("LTR011", "error", "Reference")]


def test_what_is_remembered_of_a_shape_says_nothing_of_values_or_of_faults_of_structure() -> None:
    assert found({}) == found({}) == []  # the second letter is of a known shape
    assert [code for code, _, _ in found({"Letter.Authorisation.Date": "2023-02-29"})] == ["LTR014"]
    for _ in range(2):
        assert [code for code, _, _ in found({"Sender.Identifier": None})] == ["LTR010"]
    eleven = {f"ClinicalInformation[{n}].Text01": (("P00", "a"),) for n in range(1, 12)}
    assert [code for code, _, _ in found(eleven)] == [code for code, _, _ in found(eleven)] == ["LTR011"]


def test_few_shapes_are_remembered_and_none_that_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    assert DEFINITION is not None
    shapes = DEFINITION._checker.shapes
    shapes.clear()
    monkeypatch.setattr(check, "MAX_SHAPES", 2)
    monkeypatch.setattr(check, "MAX_SHAPE", len(VALUES))
    leaves = ("Sender.UnitName", "Receiver.UnitName")
    assert found(dict.fromkeys(leaves, "Skadestuen")) == []
    assert [code for code, _, _ in found({"Patient.Hat": "red", "Sender.OrganisationName": None})][:1] == ["LTR022"]
    assert not shapes  # two leaves more than are remembered, and one that no definition knows
    for absent in ("Sender.OrganisationName", "Patient.EpisodeOfCareStatusCode", "Reference[1].RefDescription"):
        assert {code for code, _, _ in found({absent: None})} <= {"LTR010"}
        found({})
    assert 0 < len(shapes) <= 2


def test_huge_indices_cost_nothing() -> None:
    assert found({"ClinicalInformation[999999999].Text01": ()}) == []
    assert [code for code, _, _ in found({f"ClinicalInformation[{'9' * 5000}].Text01": ()})] == ["LTR022"]


def test_many_findings_of_one_kind_are_counted() -> None:
    many = found({f"ClinicalInformation[{n}].Text01": "plain" for n in range(1, 151)})
    assert [code for code, _, _ in many] == ["LTR025"] * 100 + ["LTR011", "LTR026"]


def test_nothing_is_said_about_a_refused_letter() -> None:
    log = IssueLog()
    assert DEFINITION is not None
    DEFINITION.check(Letter("DIS91", "D9134L", "edifact", refused=True), log)
    assert list(log) == []


class _Source:
    def locate(self, place: object) -> tuple[Location, ...]:
        return (Location("a.edi", 3, 4, 50, "DTM", 4, 1, 2),)


def test_a_place_with_an_issue_is_not_reported_again() -> None:
    from converter.edifact.reading import SHAPE

    values = {**VALUES, "Letter.Authorisation.Date": "x", "Letter.Authorisation.Time": "y"}
    places = {"Letter.Authorisation.Date": 1, "Letter.Authorisation.Time": 1}
    letter = Letter("DIS91", "D9134L", "edifact", values, places=places, source=_Source())  # type: ignore[arg-type]
    assert DEFINITION is not None
    for before, expected in ((False, ["LTR014", "LTR015"]), (True, ["EDI105"])):
        log = IssueLog()
        if before:
            log.add(SHAPE, _Source().locate(None)[0], tag="DTM", expected="ccyymmdd")
        DEFINITION.check(letter, log)
        assert [i.code for i in log] == expected
        assert all(i.at.line == 3 for i in log)


def test_messages_hold_no_value() -> None:
    log = IssueLog()
    assert DEFINITION is not None
    values = dict.fromkeys(VALUES, "HEMMELIG")
    DEFINITION.check(Letter("DIS91", "D9134L", "oioxml", values), log)
    assert len(log) > 10
    assert all("HEMMELIG" not in i.message for i in log)
    assert any(i.value == "HEMMELIG" for i in log)


@pytest.mark.parametrize("examples", [10, pytest.param(300, marks=pytest.mark.long)])
def test_made_letters_are_right(examples: int) -> None:
    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(letters(DEFINITION))
    def law(letter: Letter) -> None:
        log = IssueLog()
        DEFINITION.check(letter, log)
        assert list(log) == []

    assert DEFINITION is not None
    law()


def test_days() -> None:
    assert is_day("2024-02-29")
    for text in ("2023-02-29", "0000-01-01", "2023-13-01", "2023-1-1", "2023-11-20 ", "२०२३-११-२०"):
        assert not is_day(text), text


def test_lengths_that_are_compared_together_are_as_each_alone() -> None:
    limits = [(1, 35), (0, 9), (2, 127), (3, 128)]
    shape = Shape.of("abcd", [(low, high, None) for low, high in limits])
    sizes = (0, 1, 2, 3, 9, 10, 35, 36, 127, 128, 129, 256, 300)
    for together in itertools.product(sizes, repeat=4):
        fine = all(low <= size <= high for (low, high), size in zip(limits, together, strict=True))
        assert shape.is_fine({leaf: "x" * size for leaf, size in zip("abcd", together, strict=True)}) is fine, together
    assert not shape.is_fine({"a": (("P00", "x"),), "b": "", "c": "xx", "d": "xxx"}), "a text that is no plain value"


def test_codes_are_known_together_once_each_was_found() -> None:
    lists = [frozenset(map(str, range(number))) for number in (200, 2)]
    shape = Shape.of("ab", [(0, 0, one.__contains__) for one in lists])
    for number in range(200):
        for other, fine in (("1", True), ("2", False)):
            assert [shape.is_fine({"a": str(number), "b": other}) for _ in range(2)] == [fine, fine]
    assert 0 < len(shape.known) <= MAX_TOGETHER
