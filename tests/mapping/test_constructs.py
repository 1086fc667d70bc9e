"""The larger constructs of the mapping language, each on a small invented mapping: there, back, ledgers, faults."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from converter.errors import MappingError
from tests.mapping.small import back, load, places, resource, returns, small, there

SECTIONS = """slices:
  section[first]: {on: code.coding.code, is: "1-1", also: ["9-9"], write: {title: One, code: {coding: [{system: "u:s", code: "1-1"}]}}}
  section[second]: {on: code.coding.code, is: "2-2", write: {title: Two, code: {coding: [{system: "u:s", code: "2-2"}]}, text: {status: additional}}}
  extension[parts]: {url: u:parts}
  extension[department]: {url: u:department}
  extension[unit]: {url: u:unit}
"""
TWO = """    rules:
      first: A.First <-> section[first].text.div
      second: A.Second <-> section[second].text.div
"""


def test_slices_with_a_pattern(tmp_path: Path) -> None:
    (mapping,) = load(tmp_path, small(TWO), slices=SECTIONS).mappings
    sections = resource(returns(mapping, {"A.First": "x", "A.Second": "y"}), "Composition")["section"]
    assert sections == [
        {"title": "One", "code": {"coding": [{"system": "u:s", "code": "1-1"}]}, "text": {"div": "x"}},
        {
            "title": "Two",
            "code": {"coding": [{"system": "u:s", "code": "2-2"}]},
            "text": {"status": "additional", "div": "y"},
        },
    ]


def test_an_item_exists_only_if_one_of_its_rules_has_a_value(tmp_path: Path) -> None:
    (mapping,) = load(tmp_path, small(TWO), slices=SECTIONS).mappings
    assert [s["title"] for s in resource(returns(mapping, {"A.Second": "y"}), "Composition")["section"]] == ["Two"]
    assert "section" not in resource(returns(mapping, {}), "Composition")


def test_a_slice_is_recognised_by_any_of_its_values(tmp_path: Path) -> None:
    (mapping,) = load(tmp_path, small(TWO), slices=SECTIONS).mappings
    bundle, _ = there(mapping, {"A.First": "x"})
    section = resource(bundle, "Composition")["section"][0]
    section["code"]["coding"] = [{"system": "u:other", "code": "7"}, {"system": "u:s", "code": "9-9"}]
    section["title"] = "Another title"
    values, ledger = back(mapping, bundle)
    assert values["A.First"] == "x"
    lost = {e.leaf.rpartition("section/0/")[2] for e in ledger.entries if str(e.disposition) == "lost"}
    assert lost == {"title", "code/coding/0/system", "code/coding/0/code", "code/coding/1/code"}


def test_nested_extension_slices(tmp_path: Path) -> None:
    rules = """    rules:
      department: A.Department <-> extension[parts].extension[department].valueString
      unit: A.Unit <-> extension[parts].extension[unit].valueString
"""
    rest = REST_WITH_URLS
    (mapping,) = load(tmp_path, small(rules, rest), slices=SECTIONS).mappings
    bundle, _ = there(mapping, {"A.Unit": "u"})
    assert resource(bundle, "Composition")["extension"] == [
        {"url": "u:parts", "extension": [{"url": "u:unit", "valueString": "u"}]}
    ]
    returns(mapping, {"A.Department": "d", "A.Unit": "u"})


REST_WITH_URLS = """
not_carried:
  - {path: Bundle.type, constant: message}
  - {path: Bundle.identifier, constant: any}
  - {path: Composition.extension.url, constant: any}
  - {path: Composition.extension.extension.url, constant: any}
"""


@pytest.mark.parametrize(
    "entry",
    [
        '{on: code.coding.code, is: "1-1"}',
        '{on: code.coding.code, write: {code: {coding: [{code: "1-1"}]}}}',
        '{on: code.coding.code, is: "1-1", write: {code: {coding: [{code: "2-2"}]}}}',
        '{on: code.coding.code, is: "1-1", write: {code: {coding: [{code: "1-1"}]}}, url: x}',
        "{url: x, use: y}",
        "text",
    ],
)
def test_slices_that_cannot_be_used(tmp_path: Path, entry: str) -> None:
    with pytest.raises(MappingError) as caught:
        load(tmp_path, small("    rules: {}\n"), slices=f"slices:\n  section[bad]: {entry}\n")
    assert places(caught.value.issues) == [("LNT063", "fhir/parts/slices.yaml", 2)]
