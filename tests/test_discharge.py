"""Discharge letters written in FHIR: which letter they become, and that what has no field stands in its text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from converter.engine import Engine, Outcome

LETTERS = Path(__file__).resolve().parent.parent / "fixtures" / "letters"
ENGINE = Engine()


def written(case: str = "DIS01/full") -> dict[str, Any]:
    """A message as a system that knows no letters would write it."""
    bundle: dict[str, Any] = json.loads((LETTERS / case / "bundle.json").read_text(encoding="utf-8"))
    del bundle["identifier"]
    return bundle


def only(bundle: dict[str, Any], kind: str) -> dict[str, Any]:
    return next(e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == kind)  # type: ignore[no-any-return]


def add(bundle: dict[str, Any], resource: dict[str, Any]) -> dict[str, str]:
    reference = f"{resource['resourceType']}/{resource['id']}"
    bundle["entry"].append({"fullUrl": f"https://medcom-fhir.org/fhir/{reference}", "resource": resource})
    return {"reference": reference}


def letter_of(bundle: dict[str, Any]) -> Outcome:
    (outcome,) = ENGINE.convert(json.dumps(bundle).encode(), to="oioxml", name="bundle.json")
    assert outcome.letter is not None, [i.message for i in outcome.issues]
    return outcome


def text_of(outcome: Outcome) -> str:
    assert outcome.letter is not None
    return "".join(
        outcome.letter.text(leaf) or "" for leaf in sorted(outcome.letter.values) if leaf.endswith(".Text01")
    )


def accepted(outcome: Outcome) -> list[str]:
    """What is wrong with the letter that was written."""
    assert outcome.output is not None
    (judged,) = ENGINE.validate(outcome.output, name="letter.xml")
    return [issue.message for issue in judged.issues if issue.severity == "error"]


@pytest.mark.parametrize("type_", ["DIS01", "DIS02", "DIS03", "DIS05", "DIS06", "DIS07", "DIS08"])
def test_the_type_that_the_text_names_decides(type_: str) -> None:
    outcome = letter_of(written(f"{type_}/full"))
    assert outcome.type == type_
    assert accepted(outcome) == []


@pytest.mark.parametrize(
    ("case", "type_"),
    [
        *((f"{type_}/plain", type_) for type_ in ("DIS01", "DIS02", "DIS03", "DIS05", "DIS07")),
        ("DIS08/plain", "DIS07"),  # nothing but the letter's own type tells a physiotherapist from a specialist
    ],
)
def test_without_it_the_kind_of_report_and_its_sender_decide(case: str, type_: str) -> None:
    bundle = written(case)
    codings = only(bundle, "Composition")["type"]["coding"]
    del codings[1]
    assert letter_of(bundle).type == type_


@pytest.mark.parametrize(("speciality", "type_"), [("almenlaege_laegevagt", "DIS06"), ("dermatologi", "DIS07")])
def test_the_speciality_tells_who_wrote_a_consultation_note(speciality: str, type_: str) -> None:
    bundle = written("DIS06/plain")
    del only(bundle, "Composition")["type"]["coding"][1]
    only(bundle, "Encounter")["serviceType"] = {"coding": [{"code": speciality}]}
    assert letter_of(bundle).type == type_


def test_a_report_of_another_kind_becomes_no_letter() -> None:
    bundle = written()
    only(bundle, "Composition")["type"]["coding"] = [{"system": "http://loinc.org", "code": "34133-9"}]
    (outcome,) = ENGINE.convert(json.dumps(bundle).encode(), to="oioxml")
    assert outcome.output is None


def test_all_fields_of_a_full_message_come_through() -> None:
    from_letter = next(iter(ENGINE.convert((LETTERS / "DIS01/full/bundle.json").read_bytes(), to="oioxml"))).letter
    outcome = letter_of(written())
    assert outcome.letter is not None
    assert from_letter is not None
    different = {k for k, v in from_letter.values.items() if outcome.letter.values.get(k) != v}
    assert different <= {
        *("Envelope.Identifier", "Letter.Identifier", "Letter.VersionCode"),
        *("Sender.Identifier", "Sender.IdentifierCode", "Receiver.Identifier", "Receiver.IdentifierCode"),
        *("Letter.StatisticalCode",),
    }


def test_what_has_no_field_stands_in_the_text() -> None:
    bundle = written()
    composition = only(bundle, "Composition")
    snomed = {"system": "http://snomed.info/sct", "code": "73211009", "display": "Diabetes mellitus"}
    main = next(d for d in only(bundle, "Encounter")["diagnosis"] if "use" in d)["condition"]["reference"]
    condition = next(e["resource"] for e in bundle["entry"] if e["fullUrl"].endswith(main))
    condition["code"] = {"coding": [snomed], "text": "Sukkersyge"}
    allergy = add(bundle, {"resourceType": "AllergyIntolerance", "id": "a", "code": {"text": "Penicillin"}})
    plan = add(bundle, {"resourceType": "CarePlan", "id": "p", "description": "Kontrol om tre uger"})
    div = '<div xmlns="http://www.w3.org/1999/xhtml"><p>Bor alene</p><p>Ryger ikke</p></div>'
    composition["section"] += [
        {
            "title": "Sociale forhold",
            "code": {"coding": [{"system": "http://loinc.org", "code": "29762-2"}]},
            "text": {"status": "generated", "div": div},
            "entry": [allergy, plan],
        }
    ]
    outcome = letter_of(bundle)
    text = text_of(outcome)
    for line in (
        "Sukkersyge",
        "Allergi: Penicillin",
        "Plan: Kontrol om tre uger",
        "Sociale forhold: Bor alene",
        "Ryger",
    ):
        assert line in text, line
    assert outcome.letter is not None
    assert not [leaf for leaf in outcome.letter.values if leaf.startswith("Diagnose.Main.")]
    assert accepted(outcome) == []


@pytest.mark.parametrize("case", ["DIS01/full", "DIS02/full", "DIS07/full"])
@pytest.mark.parametrize("activity", ["new-message", "retract-message"])
@pytest.mark.parametrize("status", ["final", "entered-in-error"])
def test_a_withdrawal_is_refused_whichever_place_tells_it(case: str, activity: str, status: str) -> None:
    bundle = written(case)
    only(bundle, "Composition")["status"] = status
    only(bundle, "Provenance")["activity"]["coding"][0]["code"] = activity
    (outcome,) = ENGINE.convert(json.dumps(bundle).encode(), to="oioxml", name="bundle.json")
    refused = [i for i in outcome.issues if i.kind.code == "MAP001" and "FDI-01" in i.message]
    assert bool(refused) == ((activity, status) != ("new-message", "final"))
    assert (outcome.output is None) == bool(refused)


def test_the_letter_of_a_message_written_in_fhir_is_stable() -> None:
    for case in ("DIS01/full", "DIS02/full", "DIS07/full"):
        first = letter_of(written(case))
        assert first.output is not None
        (forward,) = ENGINE.convert(first.output, to="fhir")
        assert forward.output is not None
        (again,) = ENGINE.convert(forward.output, to="oioxml")
        assert again.output == first.output
