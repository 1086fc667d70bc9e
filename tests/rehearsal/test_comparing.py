"""`medcom-fhir diff`: what a change of the mapping files does to a corpus, and nothing else."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from converter.engine import Engine
from tests.rehearsal.folders import CASES, MAPPING, ROOT, copied, edit, run

TABLE = ("--sor", ROOT / "fixtures/organisations.csv")


def git(folder: Path, *arguments: str) -> None:
    who = ("-c", "user.name=A Test", "-c", "user.email=test@example.org")
    subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True, capture_output=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A repository with one revision of the mapping files and a few cases."""
    found = copied(tmp_path)
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    return found


def changes(folder: Path, *arguments: str | Path, corpus: Path | None = None) -> list[dict[str, Any]]:
    letters = corpus or folder.parent / "fixtures/letters"
    options = ("--mappings", folder, "--corpus", letters, "--format", "json", "--no-validate")
    found: list[dict[str, Any]] = json.loads(run("diff", *arguments, *options, *TABLE).stdout)["changes"]
    return found


def of_row(engine: Engine, corpus: Path, status: str) -> set[str]:
    """The files of a corpus whose letter has a status of the episode."""
    found = set()
    for path in sorted(p for p in corpus.rglob("*.*") if p.suffix in (".edi", ".xml")):
        for outcome in engine.messages(path.read_bytes(), name=str(path)):
            letter = outcome.letter
            if letter is None or letter.type != "DIS91" or "Letter.EpisodeOfCareIdentifier" not in letter.values:
                continue
            if letter.text("Patient.EpisodeOfCareStatusCode") == status:
                found.add(str(path))
    return found


def change_row(folder: Path) -> str:
    """Change the FHIR status of one row between two revisions; gives the letter's code of that row."""
    file = folder / "codes/episode-status.yaml"
    lines = file.read_text(encoding="utf-8").splitlines()
    number = next(n for n, line in enumerate(lines) if "code: ambulant" in line)
    assert "status: in-progress" in lines[number], lines[number]
    lines[number] = lines[number].replace("status: in-progress", "status: onleave")
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    git(folder.parent, "commit", "-qam", "second")
    return "ambulant"


def test_one_row_of_a_code_map_names_exactly_the_messages_and_fields(folder: Path, engine: Engine) -> None:
    status = change_row(folder)
    found = changes(folder, "HEAD~1", "HEAD")
    wanted = of_row(engine, folder.parent / "fixtures/letters", status)
    assert wanted
    there = [c for c in found if not all(name.endswith(".json") for name in c["names"])]
    fields = {c["path"] for c in there if c["change"] == "field"}
    assert {path for path in fields if not path.endswith("text.div")} == {"Encounter.status"}
    assert all(path.startswith("Encounter.") for path in fields)
    letters = {name for c in found for name in c["names"] if not name.endswith(".json")}
    assert letters == wanted


def test_one_row_of_a_code_map_on_the_official_samples(folder: Path, engine: Engine, shared: Path) -> None:
    status = change_row(folder)
    found = changes(folder, "HEAD~1", "HEAD", corpus=shared / "samples")
    names = {name for c in found for name in c["names"] if c["change"] == "field" and not name.endswith(".json")}
    assert names == of_row(engine, shared / "samples", status)
    assert {c["path"] for c in found if c["change"] == "field"} <= {"Encounter.status", "Encounter.text.div"}


def test_nothing_changed_is_clean(folder: Path) -> None:
    assert changes(folder, "HEAD", folder) == []
    corpus = ("--corpus", folder.parent / "fixtures/letters", "--mappings", folder)
    assert run("diff", "HEAD", folder, *corpus, *TABLE).exit_code == 0


def test_a_new_loss_fails_unless_it_is_accepted(folder: Path, tmp_path: Path) -> None:
    part = folder / "fhir/parts/patient.yaml"
    text = part.read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if line.strip().startswith("given:"))
    indent = line[: len(line) - len(line.lstrip())]
    part.write_text(text.replace(line, f"{indent}# {line.strip()}"), encoding="utf-8")
    mapping = folder / f"fhir/{MAPPING}.yaml"
    suburb = "- {from: Patient.SuburbName, loss: ALL-05}"
    edit(mapping, suburb, f"{suburb}\n      {suburb.replace('SuburbName', 'PersonGivenName')}")
    report = tmp_path / "diff.md"
    options = ("--mappings", folder, "--corpus", folder.parent / "fixtures/letters", "--no-validate", *TABLE)
    result = run("diff", "HEAD", folder, *options, "-o", report)
    assert result.exit_code == 1
    assert "LNT510 error Patient.PersonGivenName is lost anew under ALL-05" in result.stdout
    assert run("diff", "HEAD", folder, *options, "--accept-loss", "ALL-05", "--accept-loss", "F91-12").exit_code == 0
    page = report.read_text(encoding="utf-8")
    assert "#### Losses gained" in page
    assert f"| Patient.PersonGivenName | ALL-05 | {2 * len(CASES)} |" in page
    assert "| Patient.name.given | missing |" in page
    back = run("diff", folder, "HEAD", *options)
    assert back.exit_code == 0
    assert any(line.startswith("loss gone: Patient.PersonGivenName ALL-05") for line in back.stdout.splitlines())
    assert "\\x0a" not in back.stdout


def test_messages_that_now_fail_are_findings(folder: Path) -> None:
    losses = folder / "losses.yaml"
    edit(losses, "C91-02: {severity: warn", "C91-02: {severity: block")
    options = ("--mappings", folder, "--corpus", folder.parent / "fixtures/letters", "--no-validate", *TABLE)
    result = run("diff", "HEAD", folder, *options, "--format", "github")
    assert result.exit_code == 1
    assert "LNT511" in result.stdout
    assert "priority-high/message.edi" in result.stdout


@pytest.mark.parametrize("name", ["no-such-thing", "--output=/tmp/x", "-h", "HEAD:mappings"])
def test_names_that_are_no_revision_are_refused(folder: Path, name: str) -> None:
    options = ("--mappings", folder, "--corpus", folder)
    result = run("diff", *options, "--", name, folder)
    assert result.exit_code != 0
    assert "neither a folder nor a revision" in result.output


def test_without_git_two_folders_still_compare(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert changes(folder, folder, folder) == []
    result = run("diff", "HEAD", folder, "--mappings", folder, "--corpus", folder)
    assert "git is not there" in result.output
