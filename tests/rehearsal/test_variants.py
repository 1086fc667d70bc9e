"""Variants of examples: a few other values in the same message, and what becomes of them as a difference."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from converter.engine import Engine
from converter.issues import IssueLog
from converter.rehearsal.examples import Example
from converter.rehearsal.variants import Variant, variants
from tests.rehearsal.folders import MAPPING, copied, edit, run

BUNDLE = {
    "resourceType": "Bundle",
    "entry": [
        {"resource": {"resourceType": "Patient", "active": True, "name": [{"family": "A"}, {"family": "B"}]}},
        {"resource": {"resourceType": "Organization", "name": "first"}},
        {"resource": {"resourceType": "Organization", "name": "second", "size": 3}},
    ],
}


def made(engine: Engine, tmp_path: Path, text: str, message: bytes | None = None) -> tuple[list[Variant], IssueLog]:
    """The variants that a file of this text asks for, and the faults in it."""
    name = "message.json" if message is None else "message.xml"
    (tmp_path / name).write_bytes(message or json.dumps(BUNDLE).encode())
    (tmp_path / "variants.yaml").write_text(text, encoding="utf-8")
    log = IssueLog()
    example = Example(MAPPING, "case", (tmp_path / name,), {}, None, exact=True, variants=tmp_path / "variants.yaml")
    return variants(engine, example, log), log


@pytest.mark.parametrize(
    ("path", "value", "gives"),
    [
        ("Organization[1].name", "new", {"name": "new", "size": 3}),
        ("Organization[1].size", "4", {"name": "second", "size": 4}),
        ("Organization[1].active", "true", {"name": "second", "size": 3, "active": True}),
        ("Organization[1].name", "", {"size": 3}),
        ("Organization[1].alias[0]", "2nd", {"name": "second", "size": 3, "alias": ["2nd"]}),
        ("Organization[1].type[0].text", "x", {"name": "second", "size": 3, "type": [{"text": "x"}]}),
        (
            "Organization[1].type",
            "{coding: [{code: a}]}",
            {"name": "second", "size": 3, "type": {"coding": [{"code": "a"}]}},
        ),
    ],
)
def test_a_value_of_a_fhir_message(engine: Engine, tmp_path: Path, path: str, value: str, gives: object) -> None:
    ((variant,), log) = made(engine, tmp_path, f"one:\n  {path}: {value}\n")
    assert not list(log)
    bundle = json.loads(variant.data)
    assert bundle["entry"][2]["resource"] == {"resourceType": "Organization", **gives}  # type: ignore[dict-item]
    assert bundle["entry"][:2] == BUNDLE["entry"][:2]


def test_items_of_lists_go_and_lists_make_a_variant_of_each_value(engine: Engine, tmp_path: Path) -> None:
    found, log = made(engine, tmp_path, "who:\n  Patient.name[0].family: [C, D]\n  Patient.name[1]: ['', '']\n")
    assert not list(log)
    assert [variant.name for variant in found] == ["who: C", "who: D"]
    names = [json.loads(variant.data)["entry"][0]["resource"]["name"] for variant in found]
    assert names == [[{"family": "C"}], [{"family": "D"}]]
    assert found[1].at.line == 1


def test_leaves_of_a_letter(engine: Engine, tmp_path: Path, root: Path) -> None:
    message = (root / "fixtures/letters/DIS91/references/message.xml").read_bytes()
    text = (
        "one:\n  Patient.PersonSurnameName: Prøve\n  Reference:\n  Sender.UnitName:\n"
        "  ClinicalInformation[1].Text01: {PF0: Vigtigt, P00: ' og kort.'}\n"
    )
    ((variant,), log) = made(engine, tmp_path, text, message)
    assert not list(log)
    (was,), (now,) = engine.messages(message), engine.messages(variant.data)
    assert was.letter is not None
    assert now.letter is not None
    assert now.letter.values["Patient.PersonSurnameName"] == "Prøve"
    assert now.letter.values["ClinicalInformation[1].Text01"] == (("PF0", "Vigtigt"), ("P00", " og kort."))
    gone = set(was.letter.values) - set(now.letter.values)
    assert {leaf.partition("[")[0] for leaf in gone} == {"Reference", "Sender.UnitName"}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("one: nothing", 1),
        ("good:\n  Patient.name[0].family: C\none:\n  Practitioner.name: C", 3),
        ("one:\n  Patient.name[9].family: C", 1),
        ("one:\n  Patient.name.family: C", 1),
        ("one:\n  Patient.birthDate:", 1),
        ("one:\n  Patient: C", 1),
        ("one:\n  Patient.na me: C", 1),
        ("one:\n  Patient.active: [a, b]\n  Patient.gender: [a, b, c]", 1),
        ("one:\n  Patient.active: []", 1),
        ("one: nothing: more", 1),
    ],
)
def test_what_cannot_be_made_is_a_finding_with_its_line(engine: Engine, tmp_path: Path, text: str, line: int) -> None:
    found, log = made(engine, tmp_path, text)
    (issue,) = log
    assert issue.code == ("LNT001" if "more" in text else "LNT508")
    assert (issue.at.file, issue.at.line) == ("case/variants.yaml", line)
    assert [variant.name for variant in found] == (["good"] if line == 3 else [])


def test_a_leaf_that_the_letter_does_not_have_is_a_finding(engine: Engine, tmp_path: Path, root: Path) -> None:
    message = (root / "fixtures/letters/DIS91/plain/message.xml").read_bytes()
    found, log = made(engine, tmp_path, "one:\n  Patient.Colour: green\n", message)
    assert ([issue.code for issue in log], found) == (["LNT508"], [])


def test_what_becomes_of_variants_is_compared_and_written(tmp_path: Path) -> None:
    folder = copied(tmp_path, ("plain",))
    case = tmp_path / "fixtures/letters/DIS91/plain"
    (case / "variants.yaml").write_text("no subject:\n  AdditionalInformation.Subject:\n", encoding="utf-8")
    assert "LNT504 error what becomes of the variants" in run("test", folder).stdout
    assert run("test", folder, "--rewrite").exit_code == 0
    golden = (case / "variants.txt").read_text(encoding="utf-8").splitlines()
    assert golden[0] == "no subject"
    assert "  + bundle: /entry/1/resource/topic/text = Ukendt emne" in golden
    assert "  + ledger: defaulted - -> /entry/1/resource/topic/text [C91-12] by communication.topic" in golden
    assert run("test", folder).exit_code == 0
    edit(folder / f"fhir/{MAPPING}.yaml", "default: Ukendt emne", "default: Intet emne")
    shown = run("test", folder)
    assert shown.exit_code == 1
    assert "fixtures/letters/DIS91/plain/variants.txt:3:1 LNT503" in shown.stdout


def test_a_variant_that_does_not_survive_the_round_trip_is_a_finding_at_its_line(tmp_path: Path) -> None:
    folder = copied(tmp_path, ("plain",))
    there = "direction: forward, because: a test"
    edit(
        folder / "fhir/parts/patient.yaml",
        "family: Patient.PersonSurnameName <-> name[official].family | cut(70, loss=F91-19)",
        f"family: {{from: Patient.PersonSurnameName, to: 'name[official].family', {there}}}\n"
        "      other: {from: Patient.PersonSurnameName, value: Elmer, direction: back, because: a test}",
    )
    case = tmp_path / "fixtures/letters/DIS91/plain"
    (case / "variants.yaml").write_text("# A name.\nname:\n  Patient.PersonSurnameName: Prøve\n", encoding="utf-8")
    shown = run("test", folder, "--rewrite")
    assert "variants.yaml:2:1 LNT505 error Patient.PersonSurnameName does not survive" in shown.stdout
