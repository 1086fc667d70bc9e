"""Rules of documents: what the Composition refers to travels in the Bundle, and every entry belongs to it."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from converter.engine import Engine
from converter.fhir.rules.bundles import CARRIED
from converter.issues import Severity

LETTER = Path(__file__).resolve().parents[3] / "fixtures/letters/DIS01/full/message.xml"
NOWHERE = {"reference": "Practitioner/00000000-0000-4000-8000-00000000ffff"}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    (outcome,) = Engine(document=True, validate=False).convert(LETTER.read_bytes(), name="letter")
    assert outcome.output is not None
    made: dict[str, Any] = json.loads(outcome.output)
    return made


def found(document: dict[str, Any]) -> list[tuple[str, str]]:
    (outcome,) = Engine().validate(json.dumps(document).encode(), name="document")
    return [(issue.code, issue.at.path) for issue in outcome.issues]


@pytest.mark.parametrize(
    "path", ["subject", "encounter", "author", "attester/party", "custodian", "event/detail", *("section/author",)]
)
def test_what_the_composition_refers_to_is_in_the_bundle(document: dict[str, Any], path: str) -> None:
    assert tuple(path.split("/")) in CARRIED
    changed = copy.deepcopy(document)
    composition = changed["entry"][0]["resource"]
    first, _, last = path.partition("/")
    if not last:
        composition[first] = [NOWHERE] if first == "author" else NOWHERE
        pointer = f"/entry/0/resource/{first}" + ("/0" if first == "author" else "")
    else:
        number = 0
        composition.setdefault(first, [{"mode": "legal"} if first == "attester" else {}])
        many = last in ("detail", "author")
        composition[first][number][last] = [NOWHERE] if many else NOWHERE
        pointer = f"/entry/0/resource/{first}/0/{last}" + ("/0" if many else "")
    before, after = found(document), found(changed)
    news = [one for one in after if one not in before and one[1].startswith(pointer)]
    assert news, after


def test_an_entry_that_nothing_leads_to_is_an_error(document: dict[str, Any]) -> None:
    changed = copy.deepcopy(document)
    div = '<div xmlns="http://www.w3.org/1999/xhtml">x</div>'
    basic = {"resourceType": "Basic", "id": "1", "text": {"status": "generated", "div": div}, "code": {"text": "x"}}
    changed["entry"].append({"fullUrl": "https://example.dk/Basic/1", "resource": basic})
    last = f"/entry/{len(changed['entry']) - 1}"
    (outcome,) = Engine().validate(json.dumps(changed).encode(), name="document")
    (issue,) = [i for i in outcome.issues if i.code == "PRO051"]
    assert (issue.at.path, issue.severity) == (f"{last}/resource", Severity.ERROR)
    assert "PRO051" not in {code for code, _ in found(document)}
    composition = changed["entry"][0]["resource"]
    composition["section"][0]["entry"] = [
        *composition["section"][0].get("entry", []),
        {"reference": "https://example.dk/Basic/1"},
    ]
    assert "PRO051" not in {code for code, _ in found(changed)}


def test_what_refers_to_an_entry_of_a_document_belongs_to_it(document: dict[str, Any]) -> None:
    """References count in either direction; in a message only those of a Provenance do."""
    changed = copy.deepcopy(document)
    div = '<div xmlns="http://www.w3.org/1999/xhtml">x</div>'
    basic = {"resourceType": "Basic", "id": "1", "text": {"status": "generated", "div": div}, "code": {"text": "x"}}
    subject = next(e["fullUrl"] for e in changed["entry"] if e["resource"]["resourceType"] == "Patient")
    changed["entry"].append(
        {"fullUrl": "https://example.dk/Basic/1", "resource": basic | {"subject": {"reference": subject}}}
    )
    assert "PRO051" not in {code for code, _ in found(changed)}


def test_a_document_has_an_identifier_with_system_and_value(document: dict[str, Any]) -> None:
    """An element that has an extension in place of its value is there all the same."""
    unknown = {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason"}]}
    for name in ("system", "value"):
        changed = copy.deepcopy(document)
        del changed["identifier"][name]
        assert broken(changed) == {"bdl-9"}
        changed["identifier"][f"_{name}"] = unknown
        assert broken(changed) == set()


def broken(document: dict[str, Any]) -> set[str]:
    """The rules about Bundles that a document breaks."""
    (outcome,) = Engine().validate(json.dumps(document).encode(), name="document")
    return {issue.rule.rpartition(" ")[2] for issue in outcome.issues if " bdl-" in issue.rule}
