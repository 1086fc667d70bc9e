"""What invariants ask of the validation they are a part of: `memberOf`, `%resource`, `resolve()`."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from converter.fhir.fhirpath.scope import Undecided
from converter.fhir.profiles import Pack
from converter.fhir.rules.bundles import index_entries
from converter.fhir.rules.invariants import Asked, Item
from converter.fhir.run import Run

GENDERS = "http://hl7.org/fhir/ValueSet/administrative-gender"
SYSTEM = "http://hl7.org/fhir/administrative-gender"
BASE = "http://hl7.org/fhir/StructureDefinition/"
DIV = '<div xmlns="http://www.w3.org/1999/xhtml">x</div>'
MALE, ODD = {"system": SYSTEM, "code": "male"}, {"system": SYSTEM, "code": "xx"}


def asked(value: Any, resource: dict[str, Any], pack: Pack | None = None) -> Asked:
    run: Any = SimpleNamespace(current=SimpleNamespace(resource=resource, base=""), pack=pack)
    return Asked(value, run)


@pytest.fixture(scope="module")
def pack(root: Path) -> Pack:
    return Pack.load(root / "mappings/profiles/medcom.fhir.dk.carecommunication-5.0.2.json.gz")


@pytest.mark.parametrize(
    ("value", "holds"),
    [
        ("male", True),
        ("xx", False),
        (7, False),
        (MALE, True),
        (ODD, False),
        ({"system": "http://elsewhere", "code": "male"}, False),
        ({"coding": [ODD, MALE]}, True),
        ({"coding": [MALE, ODD]}, True),
        ({"coding": [ODD]}, False),
        ({"coding": []}, False),
        ({"code": "male", "system": SYSTEM, "coding": [ODD]}, False),
        ({"text": "male"}, False),
    ],
)
def test_member(pack: Pack, value: Any, holds: bool) -> None:
    assert asked(None, {}, pack).member([Item(value, "", None)], GENDERS) is holds  # type: ignore[arg-type]


def test_a_value_set_that_is_not_there_decides_nothing(pack: Pack) -> None:
    with pytest.raises(Undecided):
        asked(None, {}, pack).member([], "http://example.dk/ValueSet/none")


def test_whether_a_resource_conforms(pack: Pack) -> None:
    patient = {"resourceType": "Patient", "id": "1", "text": {"status": "generated", "div": DIV}}
    run = Run(
        pack, {"resourceType": "Bundle", "entry": [{"fullUrl": "https://example.dk/Patient/1", "resource": patient}]}
    )
    index_entries(run)

    def conforms(canonical: str, value: Any = patient) -> bool:
        return Asked(patient, run).conforms(Item(value, "", None), canonical)  # type: ignore[arg-type]

    assert conforms(BASE + "Patient")
    assert not conforms(BASE + "Organization")
    assert not conforms("http://medcomfhir.dk/ig/core/StructureDefinition/medcom-core-patient")  # needs a name
    for canonical, value in ((BASE + "none", patient), (BASE + "Patient", {})):
        with pytest.raises(Undecided):
            conforms(canonical, value)


def test_the_innermost_resource() -> None:
    part = {"family": "x"}
    inner = {"resourceType": "Practitioner", "id": "a", "name": [part]}
    other = {"resourceType": "Practitioner", "id": "b", "name": [{"family": "x"}]}
    outer = {"resourceType": "Patient", "contained": [other, inner], "name": [{"family": "x"}]}
    assert asked(part, outer).resource is inner
    assert asked(other["name"][0], outer).resource is other  # type: ignore[index]
    assert asked(outer["name"][0], outer).resource is outer  # type: ignore[index]
    assert asked(inner, outer).resource is inner
    assert asked("x", {"resourceType": "Patient"}).resource == {"resourceType": "Patient"}
    assert asked(part, outer).root is outer


def test_what_is_not_known_decides_nothing_unless_another_answer_does() -> None:
    answers = {"yes": True, "no": False, "unknown": None}
    codes = SimpleNamespace(holds=lambda _, code: answers[code], holds_code=lambda code: answers[code])
    unsure: Any = SimpleNamespace(value_set=lambda _: codes)

    def member(*values: Any) -> bool:
        return asked(None, {}, unsure).member([Item(value, "", None) for value in values], "x")  # type: ignore[arg-type]

    def concept(*of: str) -> dict[str, Any]:
        return {"coding": [{"code": code} for code in of]}

    assert member("unknown", "yes")
    assert member(concept("unknown", "yes"))
    assert member(concept("no"), concept("yes"))
    assert not member(concept("no"), "no")
    for undecided in ("unknown", concept("unknown"), concept("no", "unknown")):
        with pytest.raises(Undecided):
            member(undecided, "no")
