"""Where each leaf stands in both syntaxes, as golden files: the diff of two versions is what changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from converter.definitions import Definition
from converter.engine import Engine

DEFINITIONS = Engine().definitions


def table(definition: Definition) -> str:
    rows = definition.table()
    widths = [max(len(row[n]) for row in rows) for n in range(4)]
    lines = ["  ".join([*(row[n].ljust(widths[n]) for n in range(4)), row.xml]) for row in rows]
    return "".join(line.rstrip() + "\n" for line in lines)


@pytest.mark.parametrize("definition", list(DEFINITIONS), ids=lambda d: f"{d.type}-{d.version}")
def test_table_is_as_reviewed(definition: Definition, golden: Callable[[Path, str], None]) -> None:
    golden(Path(__file__).parent / f"{definition.type}-{definition.version}.txt", table(definition))


def test_versions_of_the_correspondence_letter_differ_in_two_leaves() -> None:
    first, second = (DEFINITIONS.get("DIS91", v) for v in ("D9134L", "D9133L"))
    assert first is not None
    assert second is not None
    places = [{row.leaf: row.edifact for row in d.table()} for d in (first, second)]
    assert set(places[0]) - set(places[1]) == {"AdditionalInformation.Priority", "AdditionalInformation.Subject"}
    assert {leaf: places[0][leaf] for leaf in places[1]} == places[1]


def test_identity_of_the_versions() -> None:
    assert DEFINITIONS.types["DIS91"] == ("D9134L", "D9133L", "D9135L")
    host = "http://rep.oio.dk"
    found = DEFINITIONS.by_oioxml(f"{host}/sundcom.dk/medcom.dk/xml/schemas/2006/07/01/", "ClinicalEmail", "XD9134L")
    assert found is DEFINITIONS.by_edifact("DIS91", "D9134L") is not None
    for day in ("2015/08/01", "2019/02/19", "2021/06/27"):
        found = DEFINITIONS.by_oioxml(f"{host}/medcom.dk/xml/schemas/{day}/", "ClinicalEmail", "XD9135L")
        assert found is DEFINITIONS.get("DIS91", "D9135L") is not None
        assert not found.edifact
    assert DEFINITIONS.by_edifact("DIS91", "D9135L") is None
    assert DEFINITIONS.by_edifact("DIS91", "D9999L") is None
    assert DEFINITIONS.by_oioxml("", "ClinicalEmail", "XD9134L") is None


def test_leaf_ids_and_their_order() -> None:
    definition = DEFINITIONS.get("DIS91", "D9134L")
    assert definition is not None
    assert definition.repeats("ClinicalInformation")
    assert not definition.repeats("Sender")
    assert definition.leaf("ClinicalInformation[12].Text01") is definition.leaves["ClinicalInformation.Text01"]
    for wrong in ("ClinicalInformation.Text01", "ClinicalInformation[0].Text01", "ClinicalInformation[1].Text01[1]"):
        assert definition.leaf(wrong) is None
    assert definition.leaf("Sender[1].Identifier") is None
    ids = ["Unknown", "Reference[1].SUP", "ClinicalInformation[10].Text01", "ClinicalInformation[9].Text01"]
    assert definition.in_order([*ids, "Envelope.Sent.Date"]) == [
        "Envelope.Sent.Date",
        "ClinicalInformation[9].Text01",
        "ClinicalInformation[10].Text01",
        "Reference[1].SUP",
        "Unknown",
    ]
    assert [e.name for e in definition.elements][:3] == ["Envelope", "Letter", "Sender"]
