"""Referrals to our draft message and back: every text, formats included, and Bundles that were written in FHIR."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

import pytest

from converter.engine import Engine, Outcome
from converter.letter import plain
from converter.mapping.codecs import CODECS
from tests.cases import FIXTURES, convert, letter_cases, only

CASES = [case for case in letter_cases() if case.name.startswith("REF0")]
FULL = ["REF01/full", "REF06/full"]
BORN = [*FULL, "REF02/full", "REF07/full", "REF08/full", "REF08/version-0831-newly-found"]
ENGINE = Engine(validate=False)
CODES = "https://medcom-fhir.org/fhir/CodeSystem"
AGREEMENT = f"{CODES}/speciallaegehenvisning"


def message(name: str) -> dict[str, Any]:
    """The Bundle of a fixture, as if it had been written in FHIR."""
    bundle: dict[str, Any] = json.loads((FIXTURES / "letters" / name / "bundle.json").read_text())
    del bundle["identifier"]
    return bundle


def one(bundle: dict[str, Any], kind: str) -> dict[str, Any]:
    return next(e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == kind)


def letter_of(bundle: dict[str, Any]) -> Outcome:
    return only(ENGINE.convert(json.dumps(bundle).encode(), to="oioxml", name="bundle.json"))


def values(outcome: Outcome) -> dict[str, Any]:
    assert outcome.letter is not None
    return outcome.letter.values


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_every_text_stands_in_the_bundle_with_its_formats(case: Any) -> None:
    outcome = convert(ENGINE, case.messages[0], "fhir")
    if outcome.bundle is None:
        assert [i.code for i in outcome.issues if i.severity == "error"] == ["MAP001"]
        return
    sections = one(outcome.bundle, "Composition").get("section", [])
    held = {CODECS["xhtml"].back(s["text"]["div"]) for s in sections}  # type: ignore[misc]
    notes = one(outcome.bundle, "ServiceRequest").get("note", [])
    for leaf, value in values(outcome).items():
        if isinstance(value, str):
            continue
        if leaf.startswith("HospitalVisitation"):
            assert plain(value).strip() in [note["text"] for note in notes]
        else:
            assert (value, False) in held, leaf


@pytest.mark.parametrize("name", FULL)
def test_what_a_letter_has_no_field_for_stands_in_its_texts(name: str) -> None:
    bundle = message(name)
    request = one(bundle, "ServiceRequest")
    request["patientInstruction"] = "Mød fastende"
    request.setdefault("note", []).append({"text": "Fri bemærkning"})
    request["bodySite"] = [{"coding": [{"code": "x", "display": "højre knæ"}]}]
    request["supportingInfo"] += [{"reference": "AllergyIntolerance/a"}, {"reference": "Observation/o"}]
    quantity = {"value": 7, "unit": "mmol/l"}
    for resource in (
        {"resourceType": "AllergyIntolerance", "id": "a", "code": {"text": "Nødder"}},
        {"resourceType": "Observation", "id": "o", "code": {"text": "Glukose"}, "valueQuantity": quantity},
    ):
        bundle["entry"].append({"fullUrl": f"https://example.org/{resource['id']}", "resource": resource})
    one(bundle, "Composition")["section"].append({"title": "Andet", "text": {"div": "<div><p>Mere</p></div>"}})
    outcome = letter_of(bundle)
    found = {leaf: plain(value) for leaf, value in values(outcome).items()}
    assert found["AdditionalInformation.Supplementary"].endswith(
        "\nBemærkning: Fri bemærkning\nTil patienten: Mød fastende\n"
    )
    assert found["AdditionalInformation.ClinicalReason"].endswith("\nSted på kroppen: højre knæ\n")
    assert found["RelevantClinicalInformation.Cave"].endswith("\nNødder\n")
    assert found["RelevantClinicalInformation.Examination"].endswith("\nGlukose: 7 mmol/l\n")
    assert found["RelevantClinicalInformation.Anamnesis"].endswith("\nMere\n")
    assert outcome.output is not None
    (judged,) = ENGINE.validate(outcome.output, name="letter.xml")
    assert [i.message for i in judged.issues if i.severity == "error"] == []


def test_what_a_podiatrist_has_no_field_for_stands_in_the_history() -> None:
    bundle = message("REF08/full")
    request = one(bundle, "ServiceRequest")
    request["bodySite"] = [{"text": "højre fod"}]
    request["reasonReference"] = [{"reference": "Condition/c"}]
    request["supportingInfo"] += [{"reference": f"{kind}/x"} for kind in ("AllergyIntolerance", "MedicationStatement")]
    for resource in (
        {"resourceType": "Condition", "id": "c", "code": {"text": "Fodsår"}},
        {"resourceType": "AllergyIntolerance", "id": "x", "code": {"text": "Plaster"}},
        {"resourceType": "MedicationStatement", "id": "x", "medicationCodeableConcept": {"text": "Metformin"}},
    ):
        kind, id_ = resource["resourceType"], resource["id"]
        bundle["entry"].append({"fullUrl": f"https://medcom-fhir.org/fhir/{kind}/{id_}", "resource": resource})
    outcome = letter_of(bundle)
    text = plain(values(outcome)["RelevantClinicalInformation.Anamnesis"])
    lines = ("Sted på kroppen: højre fod", "Henvisningsdiagnose: Fodsår", "Cave: Plaster", "Medicin: Metformin")
    for line in (*lines, "Ønsket ydelse: 1"):
        assert line in text, line
    assert outcome.output is not None
    (judged,) = ENGINE.validate(outcome.output, name="letter.xml")
    assert [i.message for i in judged.issues if i.severity == "error"] == []


@pytest.mark.parametrize("name", BORN)
def test_fhir_born(name: str) -> None:
    """`back(forward(back(t))) == back(t)`, exactly."""
    first = letter_of(message(name))
    assert first.output is not None
    again = only(ENGINE.convert(first.output, to="fhir", name="letter.xml"))
    assert again.bundle is not None
    assert values(letter_of(again.bundle)) == values(first)


def test_more_diagnoses_than_a_letter_holds() -> None:
    bundle = message("REF01/full")
    further = copy.deepcopy(one(bundle, "Condition"))
    further["id"], further["code"]["text"] = "further", "Den sjette"
    bundle["entry"].append({"fullUrl": "https://example.org/further", "resource": further})
    one(bundle, "ServiceRequest")["supportingInfo"].append({"reference": "Condition/further"})
    outcome = letter_of(bundle)
    assert outcome.letter is not None
    assert outcome.letter.counts["Referral.ReferralAdditional"] == 5
    assert "Yderligere diagnose: Den sjette" in (outcome.letter.text("RelevantClinicalInformation.Anamnesis") or "")


@pytest.mark.parametrize("priority", ["routine", "asap", "urgent", "stat"])
def test_priorities_of_messages_written_in_fhir(priority: str) -> None:
    bundle = message("REF01/full")
    request = one(bundle, "ServiceRequest")
    request["priority"] = priority
    request["extension"] = [e for e in request["extension"] if not e["url"].endswith("/legacy-priority")]
    expected = "elektiv" if priority == "routine" else "akut"
    assert values(letter_of(bundle))["AdditionalInformation.Priority"] == expected


@pytest.mark.parametrize("status", ["revoked", "entered-in-error"])
def test_a_withdrawal_is_refused(status: str) -> None:
    bundle = message("REF01/full")
    one(bundle, "ServiceRequest")["status"] = status
    outcome = letter_of(bundle)
    assert outcome.output is None
    one(bundle, "ServiceRequest")["status"] = "active"
    one(bundle, "Provenance")["activity"]["coding"][0]["code"] = "retract-message"
    assert letter_of(bundle).output is None
    assert ("MAP001", "FRE-01") in {(i.code, i.message[-7:-1]) for i in outcome.issues}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"code": {"text": "x"}, "category": [{"coding": [{"code": "3457005"}]}]}, "REF01"),
        ({"code": {"coding": [{"system": AGREEMENT, "code": "1"}]}}, "REF06"),
        ({"code": {"text": "x"}, "category": [{"coding": [{"code": "363679005"}]}]}, "REF02"),
        ({"code": {"coding": [{"system": f"{CODES}/fysioterapihenvisning", "code": "511"}]}}, "REF07"),
        ({"code": {"coding": [{"system": f"{CODES}/fodterapihenvisning", "code": "1"}]}}, "REF08"),
        ({"code": {"text": "x"}, "category": []}, ""),
    ],
)
def test_the_type_of_a_referral_that_names_none(change: dict[str, Any], expected: str) -> None:
    bundle = message("REF01/full")
    one(bundle, "ServiceRequest").update(change)
    outcome = letter_of(bundle)
    assert (outcome.letter.type if outcome.letter else "") == expected


def spots(node: Any) -> list[tuple[Any, Any]]:
    """All places of a document: what holds a value, and its key."""
    keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
    return [spot for key in keys for spot in ((node, key), *spots(node[key]))]


@pytest.mark.parametrize("name", FULL)
def test_broken_bundles_never_break_the_way_back(name: str) -> None:
    dice, whole = random.Random(7), message(name)
    for _ in range(150):
        bundle = copy.deepcopy(whole)
        for _ in range(dice.choice((1, 1, 2, 4))):
            node, key = dice.choice(spots(bundle))
            node[key] = dice.choice(
                [None, 1, True, "", [], {}, "x", [1], {"reference": 5}, {"reference": {}}, [None], [{}]]
            )
        assert not [i for i in letter_of(bundle).issues if i.code.startswith("SYS00")]
