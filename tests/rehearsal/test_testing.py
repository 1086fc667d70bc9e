"""`medcom-fhir test`: examples agree with their golden files, differences have a path, and --rewrite accepts them."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

from converter.directory import Directory
from converter.engine import Engine
from converter.issues import IssueLog
from converter.mapping.document import Document
from converter.rehearsal.differences import of_json, of_text
from converter.rehearsal.examples import examples
from converter.rehearsal.testing import Engines, Tally, _Run
from converter.yamlfile import loads
from tests.rehearsal.folders import CASES, MAPPING, copied, edit, run

KINDS = ("letters", "bundles", "answers", "accepted")
"""Kinds of example folders: letters, messages written in FHIR, receipts of messages that a store knows, what may be
converted only on request."""


def findings(folder: Path, *more: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(run("test", folder, "--format", "json", *more).stdout)
    return found


def test_our_mappings_name_all_their_cases(root: Path, engine: Engine) -> None:
    log = IssueLog()
    named = [e for m in engine.mappings.mappings for e in examples(m.document, root, log)]
    assert not list(log)
    folders = {p.parent for kind in KINDS for p in (root / "fixtures" / kind).glob("*/*/message.*")}
    assert {e.inputs[0].parent for e in named} == folders
    assert all(e.organisations is not None for e in named)


@pytest.mark.parametrize("whole", [False, pytest.param(True, marks=pytest.mark.long)], ids=["cases", "variants"])
def test_our_messages_written_in_fhir_give_what_is_written_down(root: Path, whole: bool) -> None:
    """The letters have tests of their own; with variants it takes a while."""
    engines, log, tally = Engines(root / "mappings", None), IssueLog(), Tally()
    for mapping in engines.of_table(None).mappings.mappings:
        for example in examples(mapping.document, root, log):
            if whole or example.from_fhir:
                chosen = example if whole else replace(example, variants=None)
                _Run(chosen, engines.of(example), root, log, tally, rewrite=False).run()
    assert not list(log)
    assert len(tally.files) >= (500 if whole else 24)
    assert tally.variants >= (500 if whole else 0)


def test_a_changed_rule_shows_by_path_and_rewrite_accepts_it(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    assert run("test", folder).exit_code == 0
    edit(folder / f"fhir/{MAPPING}.yaml", "default: Ukendt emne", "default: Intet emne")
    edit(folder / f"fhir/{MAPPING}.yaml", "categoryCodes, code: other}", "categoryCodes, code: regarding-referral}")
    found = findings(folder)
    paths = {(f["file"], f["path"]) for f in found if f["code"] == "LNT503"}
    wanted = "/entry/1/resource/category/0/coding/0/code"
    assert {f"fixtures/letters/DIS91/{case}/bundle.json" for case in CASES} == {
        f for f, path in paths if path == wanted
    }
    assert run("test", folder).exit_code == 1
    assert "regarding-referral" not in run("test", folder).stdout
    assert "regarding-referral" in run("test", folder, "--show-values").stdout
    written = run("test", folder, "--rewrite")
    assert written.exit_code == 0
    assert run("test", folder).exit_code == 0


def test_junit_has_a_case_for_each_golden_file(tmp_path: Path) -> None:
    folder = copied(tmp_path, ("plain",))
    (tmp_path / "fixtures/letters/DIS91/plain/ledger.txt").unlink()
    suite = ET.fromstring(run("test", folder, "--format", "junit").stdout)
    cases = {case.get("name"): case.find("failure") is not None for case in suite.iter("testcase")}
    here = "fixtures/letters/DIS91/plain"
    assert cases == {
        f"{here}/bundle.json": False,
        f"{here}/issues.txt": False,
        f"{here}/back.txt": False,
        f"{here}/ledger.txt": True,
    }


def test_a_message_in_fhir_is_an_example_of_the_way_back(tmp_path: Path) -> None:
    folder = copied(tmp_path, ("plain",))
    case = tmp_path / "fixtures/letters/DIS91/written-in-fhir"
    case.mkdir()
    bundle = json.loads((tmp_path / "fixtures/letters/DIS91/plain/bundle.json").read_bytes())
    del bundle["identifier"]
    (case / "message.json").write_text(json.dumps(bundle), encoding="utf-8")
    assert {f["code"] for f in findings(folder)} == {"LNT504"}
    assert run("test", folder, "--rewrite").exit_code == 0
    assert {p.name for p in case.iterdir()} == {"message.json", "letter.xml", "issues.txt", "ledger.txt"}
    assert run("test", folder).exit_code == 0


def test_an_undeclared_change_on_the_way_back_is_a_finding(tmp_path: Path) -> None:
    folder = copied(tmp_path, ("plain",))
    edit(
        folder / f"fhir/{MAPPING}.yaml",
        "born: letter}\n      encounter",
        "born: letter, direction: forward, because: a test}\n      encounter",
    )
    found = [f for f in findings(folder) if f["code"] == "LNT505"]
    assert [f for f in found if "AdditionalInformation.Subject" in str(f["message"])]


def test_twins_and_letters_of_another_type_are_found(tmp_path: Path, root: Path) -> None:
    folder = copied(tmp_path, ("plain", "outpatient"))
    here = tmp_path / "fixtures/letters/DIS91"
    (here / "plain/message.edi").write_bytes((here / "outpatient/message.edi").read_bytes())
    (here / "outpatient/message.edi").write_bytes((root / "fixtures/letters/REF01/plain/message.edi").read_bytes())
    assert {"LNT506", "LNT507"} <= {f["code"] for f in findings(folder)}


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        ("{cases: ../outside}", "LNT500"),
        ("{cases: /etc}", "LNT500"),
        ("{in: a.edi, out: ../../b.json}", "LNT500"),
        ("{in: a.edi, cases: b}", "LNT500"),
        ("{in: a.edi, surprise: b}", "LNT500"),
        ("{in: [a.edi]}", "LNT500"),
        ("text", "LNT500"),
        ("{cases: nowhere}", "LNT501"),
        ("{cases: empty}", "LNT501"),
        ("{in: nowhere.edi}", "LNT501"),
        ("{in: a.edi, organisations: nowhere.csv}", "LNT501"),
    ],
)
def test_examples_that_cannot_be_run_are_findings_with_their_line(tmp_path: Path, entry: str, code: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.edi").write_bytes(b"")
    document = object.__new__(Document)
    document.name, document.file = "small", "small.yaml"
    document.examples = list(loads(f"examples:\n  - {entry}\n".encode(), name="small.yaml")["examples"])
    log = IssueLog()
    assert examples(document, tmp_path, log) == []
    assert next((i.code, i.at.line) for i in log) == (code, 2)


def test_a_mapping_without_examples_is_a_warning(tmp_path: Path) -> None:
    folder = copied(tmp_path, ("plain",))
    edit(folder / f"fhir/{MAPPING}.yaml", "examples:", "examples: []\nold:")
    text = (folder / f"fhir/{MAPPING}.yaml").read_text(encoding="utf-8")
    (folder / f"fhir/{MAPPING}.yaml").write_text(text.partition("\nold:")[0] + "\n", encoding="utf-8")
    assert [(f["code"], f["severity"]) for f in findings(folder)] == [("LNT502", "warning")]


def test_wrong_use(tmp_path: Path) -> None:
    folder = copied(tmp_path, ("plain",))
    assert "there is no mapping x" in run("test", folder, "--mapping", "x").output
    assert "holds no mapping files" in run("test", tmp_path).output


def test_differences_have_paths() -> None:
    was, now = {"a": [1, {"b": True}], "c": 1}, {"a": [1, {"b": 1}, 2], "d": 1}
    assert [(d.path, d.how) for d in of_json(was, now)] == [
        ("/a/1/b", "changed"),
        ("/a/2", "added"),
        ("/c", "missing"),
        ("/d", "added"),
    ]
    assert [(d.line, d.how) for d in of_text("a\nb\nc\n", "a\nx\nc\nd\n")] == [(2, "changed"), (3, "added")]
    assert list(of_text("a\n", "a")) == []


def test_a_table_that_is_given_stands_in_for_the_one_named(tmp_path: Path) -> None:
    folder = copied(tmp_path, ("plain",))
    empty = tmp_path / "empty.csv"
    head = (tmp_path / "fixtures/organisations.csv").read_text(encoding="utf-8").splitlines()[0]
    empty.write_text(head + "\n", encoding="utf-8")
    assert isinstance(Directory.load(empty, IssueLog()), Directory)
    result = run("test", folder, "--sor", empty)
    assert result.exit_code == 1
    assert re.search(r"plain/issues.txt:\d+:1 LNT503", result.stdout)
