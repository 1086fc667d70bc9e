"""The larger constructs of the mapping language, each on a small invented mapping: there, back, ledgers, faults."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from converter.errors import MappingError
from converter.mapping import Mapping
from tests.mapping.small import back, load, places, resource, returns, small, there

SECTIONS = """slices:
  section[first]:
    on: code.coding.code
    is: "1-1"
    also: ["9-9"]
    write: {title: One, code: {coding: [{system: "u:s", code: "1-1"}]}}
  section[second]:
    on: code.coding.code
    is: "2-2"
    write: {title: Two, code: {coding: [{system: "u:s", code: "2-2"}]}, text: {status: additional}}
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


MANY = """    rules:
      entries: {refs: [problem, act, header], to: "section[second].entry"}
      own:
        each: Note
        to: note
        anchor: text
        rules:
          text: Text <-> text
  problem:
    type: Condition
    profile: http://example.org/problem
    each: Item
    when: not (Kind in (act, knife))
    found: focus.section[second].entry[*]
    rules:
      kind: Kind <-> severity.text
      text: Text <-> code.text
      date: "/Letter.Date -> recordedDate"
  act:
    type: Procedure
    profile: http://example.org/act
    each: Item
    when: Kind in (act, knife)
    found: focus.section[second].entry[*]
    rules:
      kind: Kind <-> category.text
      text: Text <-> code.text
"""


def items(*kinds: str) -> dict[str, Any]:
    return {
        f"Item[{n}].{leaf}": f"{leaf} {n}" if leaf == "Text" else kind
        for n, kind in enumerate(kinds, 1)
        for leaf in ("Kind", "Text")
    }


def many(tmp_path: Path, rules: str = MANY) -> Mapping:
    rules = rules.replace(
        '"/Letter.Date -> recordedDate"',
        "{from: /Letter.Date, to: recordedDate, also: yes, direction: forward, because: a test}",
    )
    (mapping,) = load(tmp_path, small(rules), slices=SECTIONS).mappings
    return mapping


def test_a_resource_for_each_repetition(tmp_path: Path) -> None:
    mapping = many(tmp_path)
    bundle = returns(mapping, items("side", "act", "other", "knife", "side"))
    assert [e["resource"]["resourceType"] for e in bundle["entry"]] == [
        *("MessageHeader", "Composition", "Condition", "Condition", "Condition", "Procedure", "Procedure"),
    ]
    entries = resource(bundle, "Composition")["section"][0]["entry"]
    assert [e["reference"].partition("/")[0] for e in entries] == [
        *("Condition", "Procedure", "Condition", "Procedure", "Condition", "MessageHeader"),
    ]
    ids = [e["resource"]["id"] for e in bundle["entry"]]
    assert len(set(ids)) == len(ids)
    assert [e["fullUrl"] for e in bundle["entry"]] == [
        f"http://example.org/{e['resource']['resourceType']}/{e['resource']['id']}" for e in bundle["entry"]
    ]


def test_pointers_of_the_ledger_lead_to_the_values(tmp_path: Path) -> None:
    bundle, ledger = there(many(tmp_path), {**items("side", "act", "other"), "Letter.Date": "2024-01-01"})
    for entry in ledger.entries:
        value: Any = bundle
        for step in entry.target.split("/")[1:]:
            value = value[int(step)] if isinstance(value, list) else value[step]
        assert value, entry


def test_the_order_of_the_list_is_the_order_of_the_letter(tmp_path: Path) -> None:
    mapping = many(tmp_path)
    bundle, _ = there(mapping, items("side", "act", "other"))
    entries = resource(bundle, "Composition")["section"][0]["entry"]
    entries.reverse()
    entries.append(entries[0])
    values, _ = back(mapping, bundle)
    assert [values[f"Item[{n}].Text"] for n in (1, 2, 3)] == ["Text 3", "Text 2", "Text 1"]
    assert "Item[4].Text" not in values


def test_what_fits_no_resource_is_not_taken(tmp_path: Path) -> None:
    mapping = many(tmp_path)
    bundle, _ = there(mapping, items("side", "act"))
    resource(bundle, "Condition")["meta"]["profile"] = ["http://example.org/another|1.0"]
    values, ledger = back(mapping, bundle)
    assert values["Item[1].Text"] == "Text 2"
    lost = [e.leaf for e in ledger.entries if str(e.disposition) == "lost"]
    assert lost == ["/entry/2/resource/severity/text", "/entry/2/resource/code/text"]


def test_an_item_refers_to_the_resource_of_the_same_repetition(tmp_path: Path) -> None:
    rules = MANY.replace("each: Note", "each: Item").replace(
        "text: Text <-> text", "text: Kind <-> text\n          about: {ref: problem, to: authorReference}"
    )
    mapping = many(tmp_path, rules)
    bundle, _ = there(mapping, items("side", "act", "other"))
    notes = resource(bundle, "Composition")["note"]
    problems = {e["resource"]["severity"]["text"]: e["resource"]["id"] for e in bundle["entry"][2:4]}
    assert [n.get("authorReference", {}).get("reference") for n in notes] == [
        *(f"Condition/{problems['side']}", None, f"Condition/{problems['other']}"),
    ]


def test_an_object_around_an_empty_list_of_references_is_not_written(tmp_path: Path) -> None:
    bundle, _ = there(many(tmp_path, MANY.replace(", header]", "]")), {})
    assert "section" not in resource(bundle, "Composition")


def test_a_group_that_occurs_once_makes_a_resource_by_its_anchor(tmp_path: Path) -> None:
    rules = """    rules:
      copy: {ref: copy, to: author}
  copy:
    type: Organization
    profile: ""
    anchor: [Copy.Name, Copy.Street]
    found: focus.author
    rules:
      name: Copy.Name <-> name
      street: Copy.Street <-> address[0].text
"""
    (mapping,) = load(tmp_path, small(rules)).mappings
    assert "meta" not in resource(returns(mapping, {"Copy.Street": "s"}), "Organization")
    assert len(returns(mapping, {})["entry"]) == 2


@pytest.mark.parametrize(
    ("rules", "code"),
    [
        ("      x: {ref: nobody, to: author}", "LNT064"),
        ("      x: {refs: [header, nobody], to: author}", "LNT064"),
        ("      x: {ref: many, to: author}", "LNT063"),
        ("      x: {each: Other, to: note, anchor: text, rules: {y: {ref: many, to: author}}}", "LNT063"),
    ],
)
def test_references_that_lead_nowhere(tmp_path: Path, rules: str, code: str) -> None:
    text = f"    rules:\n{rules}\n  many: {{type: Condition, each: Item, found: 'focus.x[*]', rules: {{}}}}\n"
    with pytest.raises(MappingError) as caught:
        load(tmp_path, small(text))
    line = small(text).splitlines().index(rules) + 1
    assert places(caught.value.issues) == [(code, "fhir/0.yaml", line)]


def test_a_resource_for_each_repetition_has_no_lists_of_its_own(tmp_path: Path) -> None:
    text = "    rules: {}\n  many:\n    {type: Condition, each: Item, rules: {\n    x: {each: A, to: note}}}\n"
    with pytest.raises(MappingError) as caught:
        load(tmp_path, small(text))
    assert [i.code for i in caught.value.issues] == ["LNT063"]


JOINED = """    rules:
      code: {from: [D.Main, "D.More[*].Code"], to: type.text, codec: plus_joined, lossy: T-1}
      texts: {each: D.More, to: category, anchor: text, rules: {text: Text <-> text}}
"""


@pytest.mark.parametrize("more", [[], ["A"], ["A", "B", "C"]])
def test_several_sources_joined_into_one_value(tmp_path: Path, more: list[str]) -> None:
    (mapping,) = load(tmp_path, small(JOINED)).mappings
    values: dict[str, Any] = {"D.Main": "M", **{f"D.More[{n}].Code": code for n, code in enumerate(more, 1)}}
    bundle = returns(mapping, values)
    assert resource(bundle, "Composition")["type"] == {"text": "+".join(["M", *more])}
    _, ledger = there(mapping, values)
    assert {(e.leaf, str(e.disposition)) for e in ledger.entries if e.target.endswith("/type/text")} == {
        *((leaf, "mapped") for leaf in values),
    }


def test_codes_that_cannot_be_told_apart_are_a_loss(tmp_path: Path) -> None:
    (mapping,) = load(tmp_path, small(JOINED)).mappings
    _, ledger = there(mapping, {"D.Main": "M+N", "D.More[1].Text": "only a text"})
    assert [(e.leaf, e.loss) for e in ledger.entries if e.loss] == [("D.Main", "T-1")]


@pytest.mark.parametrize(
    "rule",
    [
        "{from: [D.Main, D.Other], to: type.text, codec: plus_joined}",
        "{from: D.Main, to: type.text, codec: plus_joined}",
        '{from: "D.More[*].Code", to: type.text, codec: cut(3)}',
        "{from: [D.Main, D.Other], to: type.text, codec: cut(3)}",
    ],
)
def test_codecs_are_given_what_they_take(tmp_path: Path, rule: str) -> None:
    with pytest.raises(MappingError) as caught:
        load(tmp_path, small(f"    rules:\n      x: {rule}\n"))
    assert {i.code for i in caught.value.issues} == {"LNT063"}
