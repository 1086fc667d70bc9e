"""Which of several mappings of one Bundle profile a Bundle belongs to; lists of references and items with anchors."""

from __future__ import annotations

from pathlib import Path

import pytest

from converter.errors import MappingError
from tests.mapping.small import load, places, resource, returns, small, there

SLICES = """slices:
  coding[kind]: {system: "u:kind"}
  identifier[shop]: {system: "u:shop"}
"""
ONE = """    rules:
      kind: {const: {system: "u:kind", code: ONE}, to: "type.coding[0]"}
      author: {ref: shop, to: "author[0]"}
  shop:
    type: Organization
    profile: ""
    anchor: Shop.Number
    found: focus.author[0]
    rules:
      number: Shop.Number <-> identifier[shop].value
"""


def mapping_file(name: str, letter: str, *chosen: str) -> str:
    lines = "".join(f"  - {line}\n" for line in chosen)
    text = small(ONE.replace("code: ONE", f"code: {letter}"))
    return text.replace("mapping: small", f"mapping: {name}").replace("letter: SMALL", f"letter: {letter}") + (
        f"chosen:\n{lines}" if chosen else ""
    )


def test_a_bundle_belongs_to_the_mapping_whose_guard_holds_first(tmp_path: Path) -> None:
    kind = "Composition.type.coding[kind].code"
    both = load(
        tmp_path,
        mapping_file("first", "ONE", f"{kind} == ONE", f"{kind} absent"),
        mapping_file(
            "second", "TWO", f"{kind} == TWO", "Composition.author[0].resolve().identifier[shop].value == seven"
        ),
        slices=SLICES,
    )
    profile = ["http://example.org/message|1.0"]
    first, second = both.mappings
    bundle, _ = there(first, {"Shop.Number": "six"})
    assert both.for_bundle(bundle, profile) is first
    other, _ = there(second, {"Shop.Number": "six"})
    assert both.for_bundle(other, profile) is second
    codings = resource(bundle, "Composition")["type"]["coding"]
    codings[0]["code"] = "THREE"
    assert both.for_bundle(bundle, profile) is None
    resource(bundle, "Organization")["identifier"][0]["value"] = "seven"
    assert both.for_bundle(bundle, profile) is second
    del resource(bundle, "Composition")["type"]
    assert both.for_bundle(bundle, profile) in (first, second)
    assert both.for_bundle(bundle, ["http://example.org/other"]) is None


def test_a_mapping_that_says_nothing_takes_every_bundle_of_its_profile(tmp_path: Path) -> None:
    (mapping,) = (loaded := load(tmp_path, mapping_file("first", "ONE"), slices=SLICES)).mappings
    assert loaded.for_bundle({"resourceType": "Bundle"}, ["http://example.org/message"]) is mapping


@pytest.mark.parametrize("line", ["Composition.type", '"Composition.coding[unknown].code == x"'])
def test_guards_that_cannot_be_read(tmp_path: Path, line: str) -> None:
    text = mapping_file("first", "ONE", line)
    with pytest.raises(MappingError) as caught:
        load(tmp_path, text, slices=SLICES)
    assert places(caught.value.issues) == [("LNT063", "fhir/0.yaml", len(text.splitlines()))]


def test_references_in_an_element_of_their_items(tmp_path: Path) -> None:
    rules = """    rules:
      entries: {refs: [item], to: attester, at: party}
  item:
    type: Organization
    profile: http://example.org/item
    each: Item
    found: focus.attester[*].party
    rules:
      name: Name <-> name
"""
    (mapping,) = load(tmp_path, small(rules)).mappings
    bundle = returns(mapping, {"Item[1].Name": "a", "Item[2].Name": "b"})
    assert [list(item) for item in resource(bundle, "Composition")["attester"]] == [["party"], ["party"]]


def test_an_item_exists_if_any_of_its_anchors_has_a_value(tmp_path: Path) -> None:
    rules = """    rules:
      notes:
        each: Note
        to: note
        anchor: [text, time]
        rules:
          text: Text <-> text
          time: Time <-> time
          mode: {const: x, to: mode}
"""
    (mapping,) = load(tmp_path, small(rules)).mappings
    bundle = returns(mapping, {"Note[1].Text": "a", "Note[2].Time": "t", "Note[3].Text": "b", "Note[3].Time": "t"})
    assert [set(item) for item in resource(bundle, "Composition")["note"]] == [
        {"text", "mode"},
        {"time", "mode"},
        {"text", "time", "mode"},
    ]
    bundle, _ = there(mapping, {"Note[1].Text": "", "Note[2].Text": "a"})
    assert [item["text"] for item in resource(bundle, "Composition")["note"]] == ["a"]
