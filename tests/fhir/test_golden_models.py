"""Every golden Bundle loads as a typed R4B model and comes back as the same JSON (no golden Bundle holds a decimal)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from converter.fhir.models import model
from tests.cases import letter_cases

GOLDEN = [case.folder / "bundle.json" for case in letter_cases() if (case.folder / "bundle.json").is_file()]


@pytest.mark.parametrize("path", GOLDEN, ids=lambda p: p.parent.name)
def test_golden_bundle_is_a_typed_model(path: Path) -> None:
    bundle = json.loads(path.read_text())
    assert json.loads(model(bundle).model_dump_json(exclude_none=True)) == bundle


def test_a_bundle_with_an_unknown_element_is_no_model() -> None:
    """Negative control: the models judge what they load."""
    bundle = json.loads(GOLDEN[0].read_text())
    bundle["entry"][0]["resource"]["nonsense"] = "x"
    with pytest.raises(Exception, match=r".+"):
        model(bundle)
