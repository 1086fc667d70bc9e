"""Every folder under fixtures/faults is a faulty message, named by the code that it must get: `<CODE>-<slug>`.

expected.txt lists all findings in order: severity, code, place (segment tag and ordinal, or line). It changes only by
`pytest --rewrite`. That every other kind of issue is provoked by some test is checked when the whole suite has run (see
`provoked.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from converter.issues import Issue, Severity
from tests.cases import fault_folders
from tests.provoked import Recorder, missing

if TYPE_CHECKING:
    from converter.engine import Engine

FAULTS = fault_folders()
# Kinds that say how a message fares in FHIR are not about the fault.
ASIDE = ("NCK", "DIR", "PRO", "MAP")


def place(issue: Issue) -> str:
    """`PNA 14` for the 14th segment of a file, else the line, else nothing."""
    if issue.at.segment:
        return f"{issue.at.segment} {issue.at.ordinal} line {issue.at.line}"
    return f"line {issue.at.line}" if issue.at.line else "file"


@pytest.mark.parametrize("folder", FAULTS, ids=lambda f: f.name)
def test_fault_is_found_at_its_place(
    folder: Path, engine: Engine, golden: Callable[[Path, str | bytes | None], None]
) -> None:
    (message,) = folder.glob("message.*")
    code = folder.name.split("-")[0]
    outcomes = list(engine.convert(message.read_bytes(), name=message.name))
    found = [i for o in outcomes for i in o.issues if i.code == code or not i.code.startswith(ASIDE)]
    assert code in {i.code for i in found}, [i.code for i in found]
    assert all(i.message and i.kind.help for i in found)
    golden(folder / "expected.txt", "".join(f"{i.severity} {i.code} {i.kind.name}: {place(i)}\n" for i in found))


@pytest.mark.parametrize("folder", FAULTS, ids=lambda f: f.name)
def test_fault_that_is_an_error_is_not_passed_by_validate(folder: Path, engine: Engine) -> None:
    (message,) = folder.glob("message.*")
    expected = (folder / "expected.txt").read_text(encoding="utf-8")
    worst = [i for o in engine.validate(message.read_bytes(), name=message.name, profile=None) for i in o.issues]
    found = any(i.severity is Severity.ERROR for i in worst)
    if f"error {folder.name.split('-')[0]} " in expected and not folder.name.startswith("MAP"):
        assert found


def test_there_are_faults() -> None:
    assert len(FAULTS) > 20


def test_a_kind_that_nothing_provokes_is_missed() -> None:
    """The negative control of the check at the end of the suite."""
    assert missing({"EDI001", "EDI002"}, provoked={"EDI001"}, excused=set()) == ({"EDI002"}, set())
    assert missing({"EDI001", "EDI002"}, provoked={"EDI001"}, excused={"EDI002"}) == (set(), set())
    assert missing({"EDI001"}, provoked={"EDI001"}, excused={"EDI001"}) == (set(), {"EDI001"})


def test_negative_control_what_only_third_party_samples_provoke_does_not_count(request: pytest.FixtureRequest) -> None:
    recorder, samples = Recorder(), SimpleNamespace(fixturenames=("tmp_path", "shared"))
    recorder.pytest_runtest_setup(samples)  # type: ignore[arg-type]
    recorder.note("EDI001")
    recorder.pytest_runtest_setup(request.node)
    recorder.note("EDI002")
    assert recorder.codes == {"EDI002"}
