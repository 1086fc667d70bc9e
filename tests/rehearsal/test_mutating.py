"""`medcom-fhir mutate`: faults that examples notice are killed, the others survive at their line."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from converter.engine import Engine
from converter.issues import IssueLog
from converter.rehearsal.mutants import mutants
from converter.rehearsal.mutating import mutate
from converter.rehearsal.revisions import changed_lines
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
    assert len(shared.sites) == len(engine.mappings.mappings)


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
    assert "3 mutants, 2 survived: score 33.3 %" in shown.stdout


def test_an_example_that_shows_the_rule_kills_the_mutant(tmp_path: Path) -> None:
    folder = copied(tmp_path, ("plain", "minimal"))
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    edit(folder / f"fhir/{MAPPING}.yaml", "default: Ukendt emne", "default:  Ukendt emne")
    assert survivors(folder, "--since", "HEAD") == (3, [])


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


@pytest.mark.long
def test_our_examples_notice_most_faults_in_rules(root: Path) -> None:
    """Rows of long code lists are counted apart: their letters are many and alike."""
    log = IssueLog()
    engines = Engines(root / "mappings", None, validate=False)
    score = mutate(engines, root, log, jobs=2)
    rules = [m for m in mutants(engines.of_table(None).mappings) if m.row is None]
    left = [m for m in score.survivors if m.row is None]
    assert 100 * (len(rules) - len(left)) / len(rules) >= 70
