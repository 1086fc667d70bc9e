"""What has no field of its own in a letter: lines of text on the way back, folded into a leaf or written as one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from converter.errors import MappingError
from converter.mapping import Mapping
from tests.mapping.small import REST, SECTIONS, back, load, places, resource, small, there

FOLDED = """    rules:
      title: A.Title <-> title
      text: A.Text <-> identifier.value | plain_text
      entries: {refs: [problem], to: "section[second].entry"}
  problem:
    type: Condition
    profile: http://example.org/problem
    each: Item
    at_most: 1
    found: focus.section[second].entry[*]
    rules:
      text: Text <-> code.text
"""
FOLD = """
back:
  fold:
    - {each: "focus.author[*].display", line: "Author: {.}", to: A.Text, loss: T-1}
    - {line: "Language: {focus.language}[ of {focus.author[0].display}]", to: A.Text, loss: T-2}
    - {each: $problem, line: "Also: {code|words}", to: A.Text, loss: T-1}
    - each: "focus.section[second].entry[*].resolve()"
      type: AllergyIntolerance
      line: "Beware: {code|words}"
      to: A.Text
      loss: T-1
    - line: "{focus.confidentiality}"
      when_fhir: focus.language present
      to: A.Title
      codec: cut(9)
      loss: T-1
      lossy: T-2
"""


def rich(mapping: Mapping) -> dict[str, Any]:
    bundle, _ = there(
        mapping, {"A.Title": "title", "A.Text": (("P00", "text\n"),), "Item[1].Text": "p1", "Item[2].Text": "p2"}
    )
    composition = resource(bundle, "Composition")
    composition |= {"author": [{"display": "N"}, {"display": "M"}], "language": "da", "confidentiality": "abc"}
    allergy = {"resourceType": "AllergyIntolerance", "id": "a", "code": {"coding": [{"code": "c", "display": "nuts"}]}}
    bundle["entry"].append({"fullUrl": "u:a", "resource": allergy})
    composition["section"][0]["entry"].append({"reference": "AllergyIntolerance/a"})
    return bundle


def test_what_has_no_field_becomes_lines_of_text(tmp_path: Path) -> None:
    (mapping,) = load(tmp_path, small(FOLDED, FOLD + REST), slices=SECTIONS).mappings
    values, ledger = back(mapping, rich(mapping), born="fhir")
    assert values == {
        "A.Title": "title; ab",
        "A.Text": (("P00", "text\nAuthor: N\nAuthor: M\nLanguage: da of N\nAlso: p2\nBeware: nuts\n"),),
        "Item[1].Text": "p1",
    }
    folded = {
        e.leaf.rpartition("/resource/")[2]: e.loss for e in ledger.entries if str(e.disposition) == "folded-to-text"
    }
    assert folded == {
        "author/0/display": "T-1",
        "author/1/display": "T-1",
        "language": "T-2",
        "code/text": "T-1",
        "code/coding/0/display": "T-1",
        "confidentiality": "T-2",
    }


def test_a_bundle_born_from_a_letter_is_not_folded(tmp_path: Path) -> None:
    (mapping,) = load(tmp_path, small(FOLDED, FOLD + REST), slices=SECTIONS).mappings
    values, _ = back(mapping, rich(mapping))
    assert values["A.Text"] == (("P00", "text\n"),)
    assert values["Item[2].Text"] == "p2"


def test_lines_follow_formatted_text(tmp_path: Path) -> None:
    (mapping,) = load(tmp_path, small(FOLDED.replace("plain_text", "xhtml"), FOLD + REST), slices=SECTIONS).mappings
    bundle, _ = there(mapping, {"A.Text": (("PF0", "bold"),)})
    resource(bundle, "Composition")["language"] = "da"
    values, _ = back(mapping, bundle, born="fhir")
    assert values["A.Text"] == (("PF0", "bold\n"), ("P00", "Language: da\n"))


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ('{each: "nobody.x", line: "{.}", to: A.Text, loss: T-1}', "LNT064"),
        ('{line: "{focus.a..b}", to: A.Text, loss: T-1}', "LNT063"),
        ('{line: "{focus.a|nothing}", to: A.Text, loss: T-1}', "LNT063"),
        ('{line: "{focus.a|display(nothing)}", to: A.Text, loss: T-1}', "LNT063"),
        ('{line: "{focus.a}", to: A.Text}', "LNT063"),
        ('{line: "{focus.a}", to: A.Text, loss: T-9}', "LNT064"),
        ('{line: "{focus.a}", to: A.Missing, loss: T-1}', "LNT065"),
    ],
)
def test_lines_that_cannot_be_used(tmp_path: Path, line: str, code: str) -> None:
    text = small(FOLDED, f"back:\n  fold:\n    - {line}\n{REST}")
    leaves = {"Letter.Identifier", "A.Title", "A.Text", "Item.Text"}
    with pytest.raises(MappingError) as caught:
        load(tmp_path, text, slices=SECTIONS, leaves=leaves)
    at = next(n for n, row in enumerate(text.splitlines(), 1) if row.strip() == f"- {line}")
    assert places(caught.value.issues) == [(code, "fhir/0.yaml", at)]


TITLED = """    rules:
      title: A.Title <-> title
"""
LINED = """
back:
  rules:
    line: {line: "Language: {focus.language}", to: A.Title, codec: copy, loss: T-2, born: fhir}
"""


def test_a_line_does_not_write_over_what_another_rule_carried(tmp_path: Path) -> None:
    (mapping,) = load(tmp_path, small(TITLED, LINED + REST)).mappings
    bundle, _ = there(mapping, {"A.Title": "title"})
    composition = resource(bundle, "Composition")
    composition["language"] = "da"

    def told() -> dict[str, str]:
        values, ledger = back(mapping, bundle, born="fhir")
        fates = {e.leaf.rpartition("/")[2]: f"{e.disposition} {e.loss}" for e in ledger.entries}
        return {"A.Title": str(values["A.Title"])} | {k: fates[k] for k in ("title", "language") if k in fates}

    assert told() == {"A.Title": "title", "title": "mapped ", "language": "lost F91-24"}
    del composition["title"]
    assert told() == {"A.Title": "Language: da", "language": "folded-to-text T-2"}
