"""The larger constructs of the mapping language, each on a small invented mapping: there, back, ledgers, faults."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from converter.errors import MappingError
from converter.mapping import Mapping, Mappings
from tests.mapping.small import REST, SECTIONS, back, load, load_types, places, resource, returns, small, there

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


PARTS = """parts:
  named:
    params: [at]
    rules:
      name: $at.Name <-> name
      alias: $at.Alias <-> alias[0]
    ignore:
      - {from: $at.Secret, loss: T-2}
"""
BASE = """    rules:
      title: A.Title <-> title
      status: {const: final, to: status}
      note: A.Note <-> language
      owner: {ref: owner, to: "author[0]"}
      helper: {ref: helper, to: "author[1]"}
    ignore:
      - {from: A.Gone, loss: T-2}
  owner:
    type: Organization
    profile: http://example.org/owner
    anchor: Owner.Name
    found: focus.author[0]
    apply: {part: named, with: {at: Owner}}
  helper:
    type: Practitioner
    profile: http://example.org/helper
    anchor: Helper.Name
    found: focus.author[1]
    rules:
      name: Helper.Name <-> name[0].text
"""
BASE_LEAVES = {
    "Letter.Identifier",
    "A.Title",
    "A.Note",
    "A.Gone",
    "Owner.Name",
    "Owner.Alias",
    "Owner.Secret",
    "Helper.Name",
}
OVER = """mapping: larger
extends: "0"
letter: LARGER
version: S0200L
uses: [shared]
resources:
  focus:
    rules:
      title: {from: A.Title, to: title, codec: cut(3), lossy: T-1}
      status: remove
      more: A.More <-> identifier.value
      helper: remove
    ignore:
      - {from: A.Extra, loss: T-1}
  owner:
    rules:
      alias: remove
  helper: remove
not_carried:
  - {path: Organization.alias, loss: T-1}
"""
OVER_LEAVES = {"Letter.Identifier", "A.Title", "A.Note", "A.More", "A.Extra", "Owner.Name"}


def overlay(tmp_path: Path, over: str = OVER, leaves: set[str] = OVER_LEAVES) -> Mapping:
    text = small(BASE).replace("uses: [slices]", "uses: [slices, shared]")
    for name in ("fhir/parts", "codes"):
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
    (tmp_path / "fhir/parts/shared.yaml").write_text(PARTS)
    known = {"SMALL": BASE_LEAVES, "LARGER": leaves}
    return load_types(tmp_path, text, over, known=known)[1]


def test_an_overlay_replaces_adds_and_removes_by_name(tmp_path: Path) -> None:
    mapping = overlay(tmp_path)
    assert (mapping.name, mapping.letter, mapping.document.bundle) == ("larger", "LARGER", "http://example.org/message")
    bundle = returns(mapping, {"A.Title": "abc", "A.Note": "da", "A.More": "m", "Owner.Name": "o"})
    assert {e["resource"]["resourceType"] for e in bundle["entry"]} == {"MessageHeader", "Composition", "Organization"}
    composition = resource(bundle, "Composition")
    assert list(composition) == ["resourceType", "id", "meta", "title", "language", "author", "identifier"]
    resource(bundle, "Organization")["alias"] = ["x"]
    composition["title"] = "longer"
    values, ledger = back(mapping, bundle)
    assert values["A.Title"] == "lon"
    assert {e.leaf.rpartition("/resource/")[2]: e.loss for e in ledger.entries if e.loss} == {
        "title": "T-1",
        "alias/0": "T-1",
    }


@pytest.mark.parametrize(("guard", "parties"), [("", 0), ("\n    when: remove", 1)], ids=["inherited", "removed"])
def test_an_overlay_removes_what_stands_beside_the_rules(tmp_path: Path, guard: str, parties: int) -> None:
    """The guard of the base would leave out the owner of this letter."""
    text = small(BASE.replace("  owner:\n", "  owner:\n    when: Owner.Name == nobody\n"))
    text = text.replace("uses: [slices]", "uses: [slices, shared]")
    for name in ("fhir/parts", "codes"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "fhir/parts/shared.yaml").write_text(PARTS)
    over = OVER.replace("  owner:\n", f"  owner:{guard}\n")
    mapping = load_types(tmp_path, text, over, known={"SMALL": BASE_LEAVES, "LARGER": OVER_LEAVES})[1]
    bundle, _ = there(mapping, {"Owner.Name": "o"})
    assert [e["resource"]["resourceType"] for e in bundle["entry"]].count("Organization") == parties


def test_a_constant_that_stands_for_an_element_is_written_without_its_neighbours(tmp_path: Path) -> None:
    rules = """    rules:
      type: {const: letter, to: type.id, claims: [Letter.TypeCode]}
      text: A.Title <-> type.text
"""
    mapping = load(tmp_path, small(rules)).mappings[0]
    for title in ({}, {"A.Title": "t"}):
        bundle, ledger = there(mapping, {"Letter.TypeCode": "letter", **title})
        assert resource(bundle, "Composition")["type"]["id"] == "letter"
        assert {str(e.disposition) for e in ledger.entries} == {"mapped"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no_target:\n  OTHER: nobody reads it", []),
        ("no_target:\n  NONE: nobody reads it", [("LNT064", "no_target.yaml", 2)]),
        ("no_target:\n  SMALL: nobody reads it", [("LNT063", "no_target.yaml", 2)]),
        ("other: {}", [("LNT063", "no_target.yaml", 1)]),
    ],
)
def test_types_without_a_target_are_known_and_have_no_mapping(
    tmp_path: Path, text: str, expected: list[tuple[str, str, int]]
) -> None:
    (tmp_path / "no_target.yaml").write_text(text)
    known: dict[str, set[str]] = {"SMALL": {"Letter.Identifier"}, "OTHER": set()}
    load(tmp_path / "first", small("    rules: {}\n"))
    for name in ("fhir", "codes", "losses.yaml"):
        (tmp_path / "first" / name).rename(tmp_path / name)
    found, faults = Mappings.read(tmp_path, known.get)
    assert places(faults) == expected
    assert found.without == ({"OTHER": "nobody reads it"} if not expected else found.without)


def test_places_stay_those_of_the_file_in_which_a_rule_stands(tmp_path: Path) -> None:
    document = overlay(tmp_path).document
    rules = {rule.name: rule.at for rule in document.resources["focus"].rules}
    base, over = small(BASE).splitlines(), OVER.splitlines()
    assert (rules["note"].file, base[rules["note"].line - 1].strip()) == ("fhir/0.yaml", "note: A.Note <-> language")
    assert (rules["title"].file, over[rules["title"].line - 1].strip()[:5]) == ("fhir/1.yaml", "title")


def test_the_base_is_not_changed_by_its_overlay(tmp_path: Path) -> None:
    overlay(tmp_path)
    first = load_types(tmp_path, known={"SMALL": BASE_LEAVES, "LARGER": OVER_LEAVES})[0]
    bundle = returns(first, {"A.Title": "abcdef", "Owner.Name": "o", "Owner.Alias": "a", "Helper.Name": "h"})
    assert resource(bundle, "Composition")["status"] == "final"


@pytest.mark.parametrize(
    ("over", "leaves", "expected"),
    [
        (OVER, OVER_LEAVES - {"A.Note"}, [("LNT069", "fhir/0.yaml")]),
        (
            OVER.replace("more: A.More", "more: A.Mor"),
            OVER_LEAVES,
            [("LNT065", "fhir/1.yaml"), ("LNT067", "fhir/1.yaml")],
        ),
        (OVER.replace("alias: remove", "alia: remove"), OVER_LEAVES, [("LNT064", "fhir/1.yaml")]),
        (OVER.replace("  helper: remove\nnot", "  helped: remove\nnot"), OVER_LEAVES, [("LNT064", "fhir/1.yaml")]),
        (OVER.replace('extends: "0"', "extends: nothing"), OVER_LEAVES, [("LNT064", "fhir/1.yaml")]),
        (OVER.replace('extends: "0"', 'extends: "1"'), OVER_LEAVES, [("LNT063", "fhir/1.yaml")]),
        (OVER.replace("letter: LARGER", ""), OVER_LEAVES, [("LNT063", "fhir/1.yaml")]),
    ],
)
def test_overlays_that_cannot_be_used(
    tmp_path: Path, over: str, leaves: set[str], expected: list[tuple[str, str]]
) -> None:
    with pytest.raises(MappingError) as caught:
        overlay(tmp_path, over, leaves)
    assert [place[:2] for place in places(caught.value.issues)] == expected


def test_a_guard_about_the_leaf_that_its_rule_fills_is_not_asked_on_the_way_back(tmp_path: Path) -> None:
    rules = """    rules:
      first: {from: A.First, when: not (A.First == x), to: title}
      second: {from: A.Second, when: A.First == y, to: language}
"""
    (mapping,) = load(tmp_path, small(rules)).mappings
    assert "title" not in resource(there(mapping, {"A.First": "x"})[0], "Composition")
    bundle, _ = there(mapping, {"A.First": "y", "A.Second": "da"})
    assert back(mapping, bundle)[0] == {"Letter.Identifier": "L1", "A.First": "y", "A.Second": "da"}
    resource(bundle, "Composition")["title"] = "x"
    values, ledger = back(mapping, bundle)
    assert values == {"Letter.Identifier": "L1", "A.First": "x"}, (
        "what stands there is carried, or a guard says why not"
    )
    assert [e.loss for e in ledger.entries if str(e.disposition) == "lost"] == ["F91-24"]


@pytest.mark.parametrize("title", ["it", "long"])
def test_a_rule_of_the_way_back_names_its_loss_whether_or_not_its_codec_cut(tmp_path: Path, title: str) -> None:
    rest = "back:\n  rules:\n    title: {from: focus.title, to: A.First, codec: cut(3), loss: T-1}\n" + REST
    (mapping,) = load(tmp_path, small("    rules: {language: A.Second <-> language}\n", rest)).mappings
    bundle, _ = there(mapping, {"A.Second": "da"})
    resource(bundle, "Composition")["title"] = title
    values, ledger = back(mapping, bundle, born="fhir")
    assert values["A.First"] == title[:3]
    assert [(e.loss, str(e.disposition)) for e in ledger.entries if e.target == "A.First"] == [("T-1", "mapped-lossy")]


CODE_MAP = """codes: words
columns: {word: letter, code: fhir}
rows:
  - {word: same, code: a}
  - {word: vague, code: b, relation: wider}
"""


@pytest.mark.parametrize(("word", "beyond"), [("same", []), ("vague", ["T-1"])])
def test_a_code_that_says_more_than_a_word_carried_elsewhere_has_its_loss(
    tmp_path: Path, word: str, beyond: list[str]
) -> None:
    rules = """    rules:
      word: A.First <-> title
      code:
        map: words
        letter: {word: A.First}
        fhir: {code: language}
        lossy: T-1
        also: yes
        direction: forward
        because: see word
"""
    (mapping,) = load(tmp_path, small(rules), codes=CODE_MAP).mappings
    _, ledger = there(mapping, {"A.First": word})
    assert [e.loss for e in ledger.defaulted] == beyond
    assert {str(e.disposition) for e in ledger.entries} == {"mapped"}


UNCLAIMED = """    rules:
      title: A.Title <-> title
    ignore:
      - {from: A.Other, loss: T-1}
      - {from: A.Guarded, loss: T-1, when: A.Title == one}
      - {from: A.Guarded, loss: T-2}
"""


def test_what_is_remembered_of_leaves_holds_for_no_other_value(tmp_path: Path) -> None:
    (mapping,) = load(tmp_path, small(UNCLAIMED)).mappings

    def fates(**values: str) -> dict[str, str]:
        _, ledger = there(mapping, {f"A.{name}": value for name, value in values.items()})
        found = {e.leaf.removeprefix("A."): f"{e.disposition} {e.loss}" for e in ledger.entries}
        ledger.raw.clear()  # the next message has lines of its own
        return {name: fate for name, fate in found.items() if name in ("Other", "Guarded")}

    for _ in range(2):
        assert fates(Title="one", Other="x") == {"Other": "ignored T-1"}
        assert fates(Title="one", Other="") == {"Other": "ignored C91-18"}
        assert fates(Title="one", Guarded="x") == {"Guarded": "ignored T-1"}
        assert fates(Title="two", Guarded="x") == {"Guarded": "ignored T-2"}


REFERRED = """    rules:
      title: A.Title <-> title
      author: {ref: owner, to: "author[0]"}
      custodian: {ref: owner, to: custodian}
  owner:
    type: Organization
    profile: http://example.org/owner
    found: focus.custodian
"""


def test_a_reference_that_stands_twice_is_put_together_once(tmp_path: Path) -> None:
    (mapping,) = load(tmp_path, small(REFERRED)).mappings
    bundle, _ = there(mapping, {"A.Title": "x"})
    composition, owner = (
        resource(bundle, "Composition"),
        {"reference": f"Organization/{bundle['entry'][2]['resource']['id']}"},
    )
    assert (composition["author"], composition["custodian"]) == ([owner], owner)
    assert mapping.source_forward.count("'Organization/' + i_owner") == 1
    assert "r_focus" not in mapping.source_forward  # it stands once
