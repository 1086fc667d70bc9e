"""Every folder under fixtures/letters is a case: both syntaxes give one Bundle, and the way back is exact or declared.

Golden files (bundle.json, issues.txt, ledger.txt, back.txt, edifact.xml) change only by `pytest --rewrite`.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cases import (
    Case,
    canonical,
    convert,
    declared,
    differences,
    issue_lines,
    ledger_lines,
    letter_cases,
    losses_by_leaf,
    on_one_line,
    only,
)

if TYPE_CHECKING:
    from converter.directory import Directory
    from converter.engine import Engine, Outcome
    from converter.letter import Value

Golden = Callable[[Path, str | bytes | None], None]
CASES = letter_cases()
TWINS = letter_cases(twins=True)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_case_gives_its_bundle_issues_and_ledger(case: Case, engine: Engine, golden: Golden) -> None:
    outcomes = [convert(engine, path, "fhir") for path in case.messages]
    for outcome in outcomes:
        assert outcome.ledger is not None
        golden(case.folder / "bundle.json", outcome.output)
        golden(case.folder / "issues.txt", issue_lines(outcome.issues))
        golden(case.folder / "ledger.txt", ledger_lines(outcome.ledger))
    assert len({o.output for o in outcomes}) == 1, "the two syntaxes give different Bundles"


@pytest.mark.parametrize("case", TWINS, ids=lambda c: c.name)
def test_twins_are_the_same_letter(case: Case, engine: Engine) -> None:
    edifact, oioxml = case.messages
    from_edifact, from_oioxml = (convert(engine, path, "fhir").letter for path in case.messages)
    assert from_edifact is not None
    assert from_oioxml is not None
    assert from_edifact.values == from_oioxml.values
    assert from_edifact.counts == from_oioxml.counts

    as_xml = convert(engine, edifact, "oioxml").output
    assert as_xml is not None
    assert canonical(as_xml) == canonical(oioxml.read_bytes())
    as_edifact = convert(engine, oioxml, "edifact").output
    assert as_edifact is not None
    assert on_one_line(as_edifact) == on_one_line(edifact.read_bytes())


@pytest.mark.parametrize("case", [c for c in CASES if not c.twins], ids=lambda c: c.name)
def test_what_edifact_cannot_say_is_shown(case: Case, engine: Engine, golden: Golden) -> None:
    """A letter without an EDIFACT twin: edifact.xml is what comes back after a detour through EDIFACT, if any can."""
    (message,) = case.messages
    detour = convert(engine, message, "edifact")
    if detour.output is None:
        assert detour.issues, "no EDIFACT, and nobody is told why"
        golden(case.folder / "edifact.xml", None)
        return
    back = only(engine.convert(detour.output, to="oioxml", name="detour.edi"))
    assert back.output is not None
    assert canonical(back.output) != canonical(message.read_bytes()), "add the EDIFACT twin to this case"
    golden(case.folder / "edifact.xml", back.output)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_way_back_is_exact_or_declared(case: Case, engine: Engine, golden: Golden) -> None:
    """back.txt lists each leaf that does not survive letter → Bundle → letter, with the catalogue id that says so."""
    message = case.messages[-1]
    forward = convert(engine, message, "fhir")
    if forward.output is None:
        golden(case.folder / "back.txt", None)
        return
    back = only(engine.convert(forward.output, to="oioxml", name="bundle.json"))
    golden(case.folder / "back.txt", _declared(forward, back))
    again = only(engine.convert(forward.output, to="edifact", name="bundle.json"))
    exact = not differences(forward.letter.values, back.letter.values)  # type: ignore[union-attr]
    if exact:
        assert canonical(back.output or b"") == canonical(message.read_bytes())
    if exact and case.twins:
        assert on_one_line(again.output or b"") == on_one_line(case.messages[0].read_bytes())


def _declared(forward: Outcome, back: Outcome) -> str | None:
    assert forward.letter is not None
    assert back.letter is not None, [i.message for i in back.issues]
    assert forward.ledger is not None
    assert back.ledger is not None
    losses = losses_by_leaf(forward.ledger, back.ledger)
    lines, undeclared = declared(forward.letter.values, back.letter.values, losses)
    assert not undeclared, f"changed on the way, and no ledger line names a loss: {undeclared}"
    return lines or None


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_ledger_balances(case: Case, engine: Engine) -> None:
    for message in case.messages:
        forward = convert(engine, message, "fhir")
        assert forward.ledger is not None
        assert forward.letter is not None
        leaves = sum(len(letter.values) for letter in (forward.letter, *forward.partners))
        assert sum(forward.ledger.totals().values()) == forward.ledger.leaves == leaves
        assert not [i for i in forward.issues if i.code == "SYS001"]


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_forward_after_back_is_the_same_bundle(case: Case, engine: Engine) -> None:
    """forward(back(t)) == t exactly, for a letter-born Bundle; times that do not exist or exist twice aside."""
    forward = convert(engine, case.messages[0], "fhir")
    if forward.output is None or "hour" in case.folder.name:
        return
    back, *others = engine.convert(forward.output, to="oioxml", name="bundle.json")
    assert back.output is not None
    partners = engine.partners((other.output or b"", "file.xml") for other in others)
    assert only(engine.convert(back.output, to="fhir", name="back.xml", partners=partners)).output == forward.output


@pytest.mark.parametrize("case", TWINS[:5], ids=lambda c: c.name)
def test_sidecar_brings_back_what_was_kept(case: Case, organisations: Directory) -> None:
    from converter.engine import Engine

    keeping = Engine(directory=organisations, sidecar=True, validate=False)
    forward = convert(keeping, case.messages[0], "fhir")
    if forward.output is None:
        return
    assert forward.kept
    assert forward.letter is not None
    assert {leaf: _all_values(forward)[leaf] for leaf in forward.kept} == forward.kept
    restoring = Engine(directory=organisations, kept={forward.message: forward.kept}, validate=False)
    back = only(restoring.convert(forward.output, to="oioxml", name="bundle.json"))
    assert back.letter is not None
    assert {leaf: _all_values(back).get(leaf) for leaf in forward.kept} == forward.kept


def _all_values(outcome: Outcome) -> dict[str, Value]:
    """The values of a letter, and those of the letters with its objects."""
    assert outcome.letter is not None
    found = dict(outcome.letter.values)
    for k, partner in enumerate(outcome.partners, 1):
        found |= {f"Attachment[{k}].{leaf}": value for leaf, value in partner.values.items()}
    return found


def test_there_are_enough_cases() -> None:
    assert len(TWINS) >= 12


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_outcome_is_plain_data(case: Case, engine: Engine) -> None:
    """Outcomes travel between processes, and a Bundle holds nothing but what JSON has."""
    outcome = convert(engine, case.messages[0], "fhir")
    copied = pickle.loads(pickle.dumps(outcome))
    assert (copied.output, copied.bundle) == (outcome.output, outcome.bundle)
    assert [(i.code, i.at, i.message) for i in copied.issues] == [(i.code, i.at, i.message) for i in outcome.issues]
    assert _types(outcome.bundle) <= {dict, list, str, bool, int}


def _types(node: object) -> set[type]:
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return {type(node)} - {type(None)} | {t for child in children for t in _types(child)}
