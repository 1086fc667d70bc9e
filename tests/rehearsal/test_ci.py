"""The files under examples/ci: every command that they run exists with its options, and pull requests get no rights."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from converter.cli import program


def commands(text: str) -> list[list[str]]:
    """The calls of medcom-fhir in a workflow or hook, as words."""
    joined = re.sub(r"\n {10,}--", " --", text)
    return [line.split() for line in re.findall(r"medcom-fhir ([a-z].*)", joined)]


@pytest.mark.parametrize("name", ["mappings.yml", "pre-commit-config.yaml"])
def test_commands_and_options_exist(root: Path, name: str) -> None:
    found = commands((root / "examples/ci" / name).read_text(encoding="utf-8"))
    assert found
    for words in found:
        command = program.commands[words[0]]
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("-")} <= known, words


def test_the_workflow_gives_strangers_nothing(root: Path) -> None:
    text = (root / "examples/ci/mappings.yml").read_text(encoding="utf-8")
    workflow: dict[Any, Any] = yaml.safe_load(text)
    assert workflow["permissions"] == {"contents": "read"}
    assert set(workflow[True]) == {"pull_request"}, "`on`, which YAML reads as true"
    assert "${{ secrets" not in text
    steps = workflow["jobs"]["mappings"]["steps"]
    # What a stranger writes never becomes part of a shell line.
    assert not [step for step in steps if "${{" in step.get("run", "")]
    assert not [step for step in steps if "pip install" in step.get("run", "") and "change" in step["run"]]
    checkouts = [step for step in steps if step.get("uses", "").startswith("actions/checkout")]
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)
