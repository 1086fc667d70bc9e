"""Each folder under fixtures/legacy is one letter in both syntaxes, exact both ways.

They are letters without a form in FHIR, and receipts of several letters, which become several FHIR messages.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from converter.engine import Engine
from tests.cases import FIXTURES, Case, canonical, convert, issue_lines, on_one_line

CASES = [Case(path.parent) for path in sorted(FIXTURES.glob("legacy/*/*/message.edi"))]
ENGINE = Engine()


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_twins_give_each_other(case: Case, golden: Callable[[Path, str | bytes | None], None]) -> None:
    wire, xml = case.messages
    as_xml, as_wire = convert(ENGINE, wire, "oioxml"), convert(ENGINE, xml, "edifact")
    assert as_xml.letter is not None
    assert as_wire.letter is not None
    assert as_xml.letter.values == as_wire.letter.values
    assert as_xml.letter.type == case.folder.parent.name
    assert canonical(as_xml.output or b"") == canonical(xml.read_bytes())
    assert on_one_line(as_wire.output or b"") == on_one_line(wire.read_bytes())
    for outcome in (as_xml, as_wire):
        golden(case.folder / "issues.txt", issue_lines(outcome.issues))


def test_every_letter_with_an_edifact_form_has_two_fixtures() -> None:
    number = Counter(case.folder.parent.name for case in CASES)
    mapped = {path.name for path in FIXTURES.glob("letters/*")}
    assert {type_ for type_ in {d.type for d in ENGINE.definitions if d.edifact} - mapped if number[type_] < 2} == set()


def test_what_becomes_one_fhir_message_stands_elsewhere() -> None:
    """Under fixtures/letters, where its FHIR message and its ledger stand beside it."""
    mapped = [case for case in CASES if ENGINE.mappings.for_letter(case.folder.parent.name)]
    made = {case.name: len(list(ENGINE.convert(case.messages[0].read_bytes(), to="fhir"))) for case in mapped}
    assert made
    assert {name for name, number in made.items() if number == 1} == set()
