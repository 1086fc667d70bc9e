"""A copy of the mapping files with few examples, for tests that change them."""

from __future__ import annotations

import shutil
from pathlib import Path

from click.testing import CliRunner, Result

from converter.cli import program

ROOT = Path(__file__).resolve().parents[2]
MAPPING = "DIS91-carecommunication"
CASES = ("plain", "outpatient", "priority-high", "references", "deceased")


def copied(top: Path, cases: tuple[str, ...] = CASES) -> Path:
    """A folder with the mapping of correspondence letters and some of its cases; gives its mapping folder."""
    folder = top / "mappings"
    shutil.copytree(ROOT / "mappings", folder, ignore=_other_mappings)
    # Without variants and messages written in FHIR, which would take most of the time.
    edit(
        folder / f"fhir/{MAPPING}.yaml",
        "  - {cases: fixtures/bundles/DIS91, organisations: fixtures/organisations.csv}\n",
        "",
    )
    for case in cases:
        here = top / "fixtures/letters/DIS91" / case
        shutil.copytree(ROOT / "fixtures/letters/DIS91" / case, here, ignore=shutil.ignore_patterns("variants.*"))
    shutil.copy(ROOT / "fixtures/organisations.csv", top / "fixtures")
    return folder


def _other_mappings(folder: str, names: list[str]) -> set[str]:
    """The other mappings, whose examples are not copied; shared parts, codes and all else stay."""
    if Path(folder).name != "fhir":
        return set()
    return {name for name in names if name.endswith(".yaml") and name != f"{MAPPING}.yaml"}


def edit(file: Path, old: str, new: str) -> None:
    """Replace a text that stands once in a file."""
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1, (file, old, text.count(old))
    file.write_text(text.replace(old, new), encoding="utf-8")


def run(*arguments: str | Path) -> Result:
    """A command in this process."""
    return CliRunner().invoke(program, [str(a) for a in arguments])
