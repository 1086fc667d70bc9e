"""What MedCom's own converter of 2014 does wrong is done right, and what nobody published is refused by name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from converter.engine import Engine, Outcome
from tests.cases import only
from tests.edifact.made_letter import LETTER

ENGINE = Engine()


def converted(data: str | bytes, to: str) -> Outcome:
    data = data.encode("latin-1") if isinstance(data, str) else data
    return only(ENGINE.convert(data, to=to, name="message"))


def errors(outcome: Outcome) -> list[str]:
    return [issue.code for issue in outcome.issues if issue.severity == "error"]


@pytest.mark.parametrize(
    ("wire", "date"), [("210102", "2021-01-02"), ("260930", "2026-09-30"), ("991231", "1999-12-31")]
)
def test_years_above_20_are_of_this_century(wire: str, date: str) -> None:
    """The old converter takes them for 19xx."""
    outcome = converted(LETTER.replace("231120:1745", f"{wire}:1745"), "oioxml")
    assert outcome.output is not None
    assert f"<Sent><Date>{date}</Date>".encode() in outcome.output
    assert f"+{wire}:1745+".encode() in (converted(outcome.output, "edifact").output or b"")


def test_spaces_of_formatted_text_come_back() -> None:
    """The old converter drops `<Space/>`."""
    xml = converted(LETTER.replace("FTX+NC+P00++En anden tekst", "FTX+NC+F00++a b"), "oioxml").output
    assert xml is not None
    assert b"a b" in xml
    spaced = converted(xml.replace(b"a b", b"a<Space/><Space/>b"), "edifact").output
    assert spaced is not None
    assert b"FTX+NC+F00++a  b'" in spaced
    text = converted(spaced, "oioxml").letter
    assert text is not None
    assert text.values["ClinicalInformation[2].Text01"] == (("F00", "a  b\n"),)


def test_spreadsheets_keep_their_extension() -> None:
    """The old converter writes XLS only for the misspelt `xsl`."""
    outcome = converted(LETTER.replace(":IMG:JPG:123", ":PRP:XLS:123"), "oioxml")
    assert outcome.output is not None
    assert b"<ObjectExtensionCode>xls</ObjectExtensionCode>" in outcome.output
    assert b":PRP:XLS:123'" in (converted(outcome.output, "edifact").output or b"")


def test_dermatology_in_practice_has_its_own_code() -> None:
    """The old converter writes 2511, which is clinical chemistry."""
    outcome = converted(LETTER.replace("SPR+ORG+5:", "SPR+ORG+2504:"), "oioxml")
    assert outcome.output is not None
    assert b"<MedicalSpecialityCode>dermato_venerologi_praksis</MedicalSpecialityCode>" in outcome.output
    assert b"SPR+ORG+2504:" in (converted(outcome.output, "edifact").output or b"")


def test_every_message_of_an_interchange_is_converted() -> None:
    """The old converter takes the first."""
    body = LETTER[LETTER.index("UNH+") : LETTER.index("UNZ+")]
    data = LETTER.replace(body, body + body.replace("BREV1", "BREV2")).replace("UNZ+1", "UNZ+2").encode("latin-1")
    outcomes = list(ENGINE.convert(data, to="oioxml", name="message"))
    found = [re.findall(rb"<Letter><Identifier>(\w+)<", outcome.output or b"") for outcome in outcomes]
    assert found == [[b"BREV1"], [b"BREV2"]]


UNPUBLISHED = [d for d in ENGINE.definitions if not d.edifact]


def test_forms_that_nobody_published_are_refused_by_name(shared: Path) -> None:
    assert {f"{d.type}-{d.version}" for d in UNPUBLISHED} >= {"DIS01-D0134L", "REF08-H0832R", "BIN02-B0210X"}
    xml = (shared / "samples/medcom-2014/xml/DIS01_1.xml").read_bytes()
    newer = Engine(letter_version="D0134L")
    outcome = only(newer.convert(xml, to="edifact", name="message"))
    assert outcome.output is None
    (issue,) = [issue for issue in outcome.issues if issue.code == "LTR057"]
    assert "DIS01 D0134L" in issue.message
    assert "not published" in issue.message


@pytest.mark.parametrize(("name", "segment", "said"), [("XSL0", "NAD", "SOR"), ("XSL2", "DTM", "203")])
def test_faulty_samples_are_diagnosed_at_their_segment(shared: Path, name: str, segment: str, said: str) -> None:
    data = (shared / f"samples/medcom-2014/faulty/DIS20_ERROR_{name}.edi").read_bytes()
    outcome = only(ENGINE.validate(data, name="message"))
    (issue,) = [issue for issue in outcome.issues if issue.severity == "error"]
    assert (issue.at.segment, issue.at.line) == (segment, 7 if segment == "NAD" else 26)
    assert said in issue.message
    assert issue.kind.contrl == 12
