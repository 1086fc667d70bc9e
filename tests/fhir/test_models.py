"""Typed models of a Bundle: what goes in comes out, but for the digits of decimals, and faults name no values."""

from __future__ import annotations

import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from converter.errors import ConversionError
from converter.fhir.bundle import Number
from converter.fhir.models import model
from tests.fhir.narrative_samples import everything

# Where the samples of the narrative tests name codes that a model cannot hold (they are told apart, not valid).
CODES = {"code-status": "unknown", "code-priority": "routine", "code-encounter-status": "finished"}


def bundle() -> dict[str, Any]:
    text = json.dumps(everything())
    for odd, code in {**CODES, "code-entity-role": "source"}.items():
        text = text.replace(f'"{odd}"', f'"{code}"')
    made: dict[str, Any] = json.loads(text)
    made["timestamp"] = "2031-05-17T09:41:00+02:00"
    for entry in made["entry"]:
        if entry["resource"]["resourceType"] == "Basic":
            entry["resource"]["extension"] = [{"url": "urn:x", "valueInteger": 7}]
    return made


def test_a_bundle_comes_out_of_the_models_as_it_went_in() -> None:
    made = bundle()
    loaded = model(made)
    assert json.loads(loaded.model_dump_json()) == made
    patient = next(e.resource for e in loaded.entry if e.resource.id == "id-patient")
    assert patient.name[0].family == "Efternavn"


def test_decimals_keep_their_digits_in_the_model_and_lose_them_when_it_is_written() -> None:
    """The named exception: fhir.resources writes 1.10 as 1.1, which is why our own output never comes from models."""
    made = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": {"resourceType": "Observation"}}]}
    made["entry"][0]["resource"] |= {  # type: ignore[index]
        "status": "final",
        "code": {"text": "x"},
        "valueQuantity": {"value": Number("1.10")},
    }
    loaded = model(made)
    value = loaded.entry[0].resource.valueQuantity.value
    assert isinstance(value, Decimal)
    assert str(value) == "1.10"
    assert '"value":1.1}' in loaded.model_dump_json()


def test_faults_name_elements_and_never_values() -> None:
    made = bundle()
    made["type"] = "hemmelig tekst "
    made["Hemmelig nøgle"] = "hemmelig"
    made["entry"][0]["fullUrl"] = 17
    with pytest.raises(ConversionError, match=r"type \(") as caught:
        model(made)
    error: BaseException | None = caught.value
    while error is not None:
        assert "emmelig" not in str(error)
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"entry": "x"},
        {"resourceType": "Patient"},
        {"type": "message", "entry": [{"resource": {"resourceType": 5}}, {"resource": {"resourceType": "X"}}]},
    ],
)
def test_what_is_no_bundle_is_refused(odd: dict[str, Any]) -> None:
    with pytest.raises(ConversionError, match="does not fit"):
        model(odd)


def test_deep_nesting_is_refused() -> None:
    nested: dict[str, Any] = {"url": "urn:x", "valueString": "x"}
    for _ in range(1200):
        nested = {"url": "urn:x", "extension": [nested]}
    with pytest.raises(ConversionError):
        model({"resourceType": "Bundle", "type": "message", "extension": [nested]})


def test_nothing_is_imported_before_a_model_is_asked_for() -> None:
    code = "import sys, converter.fhir.models; sys.exit(any(m.startswith(('fhir', 'pydantic')) for m in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False).returncode == 0


def test_official_examples_load_and_come_out_the_same(shared: Path) -> None:
    for path in sorted((shared / "fhir" / "examples" / "carecommunication-5.0.2").glob("Bundle-*.json")):
        made = json.loads(path.read_text(encoding="utf-8"))
        assert json.loads(model(made).model_dump_json()) == made, path.name
