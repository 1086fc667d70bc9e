"""The mutator of rule_mutants.py makes what it says and puts it in place; at least 85 of 100 mutants are noticed."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.fhir.rule_mutants import PART, SEED, SURVIVORS, chosen, every_mutant

IN_PLACE = """
from converter.fhir.rules.identifiers import gln_check_digit, on_text
from tests.fhir.rule_mutants import every_mutant, put_inside
held = gln_check_digit
(mutant,) = [m for m in every_mutant("identifiers") if m.name == "identifiers: gln_check_digit: 0 -> 1"]
before = held("5790000120314", None)
put_inside(mutant)
print(before, held("5790000120314", None))
"""


def test_mutants_differ_from_the_rules_in_one_place() -> None:
    every = every_mutant()
    assert len(every) > 2000
    tried = chosen(every, PART, SEED)
    assert tried == chosen(every, PART, SEED)
    assert 0.8 * PART < 100 * len(tried) / len(every) < 1.2 * PART
    for mutant in tried[::20]:
        assert mutant.source != mutant.original
        ast.parse(mutant.source)


def test_a_mutant_is_seen_by_those_who_hold_the_function(root: Path) -> None:
    ran = subprocess.run([sys.executable, "-c", IN_PLACE], cwd=root, capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["True", "False"]


def test_each_listed_survivor_has_a_reason() -> None:
    listed = yaml.safe_load(SURVIVORS.read_text("utf-8")) or {}
    assert all(reason.strip() for reason in listed.values())
    assert listed.keys() <= {m.name for m in every_mutant()}


@pytest.mark.long
def test_most_mutants_are_noticed(root: Path, shared: Path) -> None:
    command = [sys.executable, "-m", "tests.fhir.rule_mutants"]
    ran = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout[-5000:]
