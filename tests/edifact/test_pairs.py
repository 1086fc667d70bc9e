"""MedCom's sample pairs: each EDIFACT file gives its OIOXML twin exactly, and each twin the bytes of its file."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from converter.engine import Engine
from tests.cases import canonical, convert, on_one_line, only

ENGINE = Engine(validate=False)
PAIRS = [
    *("BIN01_synthetic", "CTL01_1", "CTL02_1", "CTL03_1", "DIS01_1", "DIS02_1", "DIS03_1", "DIS05_1", "DIS06_1"),
    *("DIS07_1", "DIS08_1", "DIS13_1", "DIS14_1", "DIS17_1", "DIS20_1", "DIS91_1", "DIS91_3", "PRE01_1", "REF01_1"),
    *("REF02_1", "REF06_1", "REF06_2", "REF07_1", "REF07_3", "REQ01_1", "RPT01_1"),
]
UNDEFINED = {"PRE01_1", "REQ01_1", "RPT01_1"}
"""Prescriptions, requests and reports of laboratories: read and checked as an interchange, no letter is defined."""


def pair(shared: Path, name: str) -> tuple[Path, Path]:
    folder = shared / "samples" / "medcom-2014"
    return folder / "edifact" / f"{name}.edi", folder / "xml" / f"{name}.xml"


def unindented(xml: bytes) -> bytes:
    """Canonical XML without indentation, which one file has; no text of the samples holds a line end."""
    return re.sub(rb"\s*\n\s*", b"", canonical(xml))


def test_every_sample_is_in_the_list(shared: Path) -> None:
    folder = shared / "samples" / "medcom-2014" / "edifact"
    assert sorted(path.stem for path in folder.glob("*.edi")) == sorted(PAIRS)


def converted(data: bytes, to: str) -> bytes:
    return only(ENGINE.convert(data, to=to, name="pair")).output or b""


@pytest.mark.parametrize("name", [name for name in PAIRS if name not in UNDEFINED])
def test_pair_is_exact_both_ways(shared: Path, name: str, record_property: Callable[[str, object], None]) -> None:
    edifact, oioxml = (path.read_bytes() for path in pair(shared, name))
    as_xml, as_edifact = converted(edifact, "oioxml"), converted(oioxml, "edifact")
    equal = {
        "EDIFACT to OIOXML": unindented(as_xml) == unindented(oioxml),
        "OIOXML to EDIFACT": on_one_line(as_edifact) == on_one_line(edifact),
        "EDIFACT there and back": on_one_line(converted(as_xml, "edifact")) == on_one_line(edifact),
        "OIOXML there and back": unindented(converted(as_edifact, "oioxml")) == unindented(oioxml),
    }
    record_property("pair", {"name": name} | equal)
    assert all(equal.values()), equal
    errors = [i.code for o in ENGINE.convert(edifact, to="oioxml") for i in o.issues if i.severity == "error"]
    assert errors == []


@pytest.mark.parametrize("name", sorted(UNDEFINED))
def test_undefined_types_are_named(shared: Path, name: str) -> None:
    for path in pair(shared, name):
        outcome = convert(ENGINE, path, "fhir")
        assert outcome.output is None
        assert "LTR001" in {i.code for i in outcome.issues}
