"""`medcom-fhir mutate`: faults that examples notice are killed, the others survive at their line."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from converter.engine import Engine
from converter.errors import MappingError
from converter.issues import IssueLog, Location
from converter.rehearsal import explained
from converter.rehearsal.examples import examples
from converter.rehearsal.mutants import Mutant, mutants
from converter.rehearsal.mutating import _trials, mutate, report
from converter.rehearsal.revisions import changed_lines
from converter.rehearsal.rules import named
from converter.rehearsal.testing import Engines
from tests.rehearsal.folders import MAPPING, copied, edit, run
from tests.rehearsal.test_comparing import git


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A repository with one revision of the mapping files and a few cases."""
    found = copied(tmp_path)
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    return found


def survivors(folder: Path, *more: str) -> tuple[int, list[tuple[str, str]]]:
    result = run("mutate", folder, "--format", "json", "--jobs", "1", *more)
    found: dict[str, Any] = json.loads(result.stdout)
    return found["mutants"][0], [(one["name"], one["what"]) for one in found["survivors"]]


def test_every_rule_row_guard_and_default_has_its_mutants(engine: Engine) -> None:
    found = mutants(engine.mappings)
    kinds = Counter(mutant.what for mutant in found)
    assert {"rule dropped", "guard when negated", "guard when_fhir dropped", "default altered", "row dropped"} <= set(
        kinds
    )
    assert {"constant altered", "value altered", "loss altered", "codec dropped", "ignore dropped"} <= set(kinds)
    places = [(m.at.file, m.at.line, m.at.column, m.what) for m in found]
    assert len(places) == len(set(places)), "a fault in a shared part is one mutant"
    shared = next(m for m in found if m.at.file == "fhir/parts/patient.yaml" and m.what == "rule dropped")
    users = {
        m.name
        for m in engine.mappings.mappings
        if any((rule.at.file, rule.at.line) == (shared.at.file, shared.at.line) for _, rule in named(m.document))
    }
    assert set(shared.sites) == users
    assert 10 < len(users) < len(engine.mappings.mappings), "receipts are about no patient"


def test_a_mutant_leaves_no_trace(engine: Engine) -> None:
    before = [m.document for m in engine.mappings.mappings]
    text = repr(before)
    for mutant in mutants(engine.mappings)[::7]:
        for changes in mutant.sites.values():
            undo = [change() for change in changes]
            for take_out in reversed(undo):
                take_out()
    assert repr(before) == text


def test_only_changed_rules_are_tried_and_survivors_have_their_line(folder: Path) -> None:
    assert survivors(folder, "--since", "HEAD") == (0, [])
    edit(folder / f"fhir/{MAPPING}.yaml", "default: Ukendt emne", "default:  Ukendt emne")
    number, left = survivors(folder, "--since", "HEAD")
    assert number == 3
    # No case without a subject: nobody notices another default, or its loss.
    assert left == [("communication.topic", "default altered"), ("communication.topic", "loss altered")]
    shown = run("mutate", folder, "--since", "HEAD", "--jobs", "1", "--fail-under", "90")
    assert shown.exit_code == 1
    line = next(iter(changed_lines("HEAD", folder)[f"fhir/{MAPPING}.yaml"]))
    assert f"fhir/{MAPPING}.yaml:{line}:7 LNT530 warning" in shown.stdout
    assert "3 mutants, 2 survived (0 with a reason): score 33.3 %" in shown.stdout


def test_an_example_that_shows_the_rule_kills_the_mutant(tmp_path: Path) -> None:
    folder = copied(tmp_path, ("plain", "minimal"))
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    edit(folder / f"fhir/{MAPPING}.yaml", "default: Ukendt emne", "default:  Ukendt emne")
    assert survivors(folder, "--since", "HEAD") == (3, [])


def test_receipts_are_tried_with_the_messages_that_they_answer(root: Path, engine: Engine) -> None:
    mapping = engine.mappings.named("CTL03-acknowledgement")
    assert mapping is not None
    engines, known = Engines(root / "mappings", None, validate=False), {}
    for example in examples(mapping.document, root, IssueLog()):
        case = example.inputs[0].parent.name
        if case in ("known-letter", "positive-known", "positive"):
            own = engines.of(example)
            (outcome,) = own.messages(example.inputs[0].read_bytes())
            (trial,) = _trials(own, outcome, own.partners())
            known[case, example.from_fhir] = trial.original and trial.original.letter_id
    assert known == {
        ("known-letter", False): "BREV00018",
        ("positive-known", True): "BREV00018",
        ("positive", False): None,
        ("positive", True): None,
    }


def test_rows_of_code_maps(folder: Path) -> None:
    file = folder / "codes/episode-status.yaml"
    text = file.read_text(encoding="utf-8")
    file.write_text(
        "".join(f"{line} \n" if "{code: " in line else f"{line}\n" for line in text.splitlines()), encoding="utf-8"
    )
    number, left = survivors(folder, "--since", "HEAD")
    assert number == 4
    assert not [name for name, _ in left if name == "episode-status: ambulant"]


def test_wrong_use(folder: Path) -> None:
    assert "there is no mapping x" in run("mutate", folder, "--mapping", "x").output
    assert "neither a folder nor a revision" in run("mutate", folder, "--since", "--output=x").output


def test_survivors_with_a_reason_are_told_apart(folder: Path) -> None:
    edit(folder / f"fhir/{MAPPING}.yaml", "default: Ukendt emne", "default:  Ukendt emne")
    line = f"{{file: fhir/{MAPPING}.yaml, rule: communication.topic, faults: [%s], because: no letter lacks it}}"
    (folder / "mutants.yaml").write_text(f"explained:\n  - {line % 'default altered'}\n", encoding="utf-8")
    shown = run("mutate", folder, "--since", "HEAD", "--jobs", "1", "--fail-under", "90")
    assert shown.exit_code == 1, "a reason does not raise the score"
    assert "3 mutants, 2 survived (1 with a reason): score 33.3 %" in shown.stdout
    assert "LNT531 info no example notices this fault: default altered" in shown.stdout
    assert "no letter lacks it" in shown.stdout
    assert [one for one in shown.stdout.splitlines() if "LNT530" in one and "loss altered" in one]


def test_reasons_that_nothing_needs_and_files_that_are_wrong(tmp_path: Path) -> None:
    file = tmp_path / "mutants.yaml"
    line = "{file: fhir/a.yaml, rule: a.b, faults: [rule dropped, default altered], because: a reason}"
    file.write_text(f"explained:\n  - {line}\n", encoding="utf-8")
    mutant = Mutant("rule dropped", "a.b", Location("fhir/a.yaml", 3, 1))
    other = Mutant("rule dropped", "a.c", Location("fhir/a.yaml", 4, 1))
    log = IssueLog()
    assert explained.report([mutant, other], explained.reasons(tmp_path), log, "here", all_tried=True) == [other]
    assert [(i.code, i.at.file, i.at.line) for i in log] == [
        ("LNT531", "here/fhir/a.yaml", 3),
        ("LNT532", "here/mutants.yaml", 2),
    ]
    log = IssueLog()
    explained.report([mutant], explained.reasons(tmp_path), log, "", all_tried=False)
    assert [i.code for i in log] == ["LNT531"], "of a part nobody can say what else survives"
    for wrong in (
        "explained: [text]",
        "explained:\n  - {file: a}",
        f"explained:\n  - {line.replace('[rule dropped, ', '[{a: b}, ')}",
        "other: []",
    ):
        file.write_text(wrong, encoding="utf-8")
        with pytest.raises(MappingError) as caught:
            explained.reasons(tmp_path)
        assert {issue.code for issue in caught.value.issues} == {"LNT533"}, wrong
    file.unlink()
    assert explained.reasons(tmp_path) == {}


@pytest.mark.long
def test_our_examples_notice_most_faults(root: Path) -> None:
    engines, log = Engines(root / "mappings", None, validate=False), IssueLog()
    score = mutate(engines, root, log, jobs=2)
    report(score, log, "")
    assert score.mutants > 1800
    tried = mutants(engines.of_table(None).mappings)
    for mapping in {name for mutant in tried for name in mutant.sites}:
        own = [mutant for mutant in tried if mapping in mutant.sites]
        left = [mutant for mutant in score.survivors if mapping in mutant.sites]
        assert len(left) <= 0.05 * len(own), mapping
    assert [issue.message for issue in log if issue.code != "LNT531"] == [], "each survivor has its reason, and no more"
