"""Scenario packs: every step holds, by its name; what does not hold is told, and the evidence has everything."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest
from click.testing import CliRunner

from converter.cli import program
from converter.engine import Engine
from converter.errors import MappingError
from converter.rehearsal import packs
from tests.cases import FIXTURES

FOLDERS = sorted(path.parent for path in FIXTURES.glob("packs/*/pack.yaml"))
OFFICIAL = Path("samples/conversion-service")
STEPS = [pytest.param(f, step.id, id=f"{f.name} {step.id}") for f in FOLDERS for step in packs.read(f).steps]
# Steps of the test protocol for which MedCom's file is among the samples.
WITH_FILE = [
    *("3.2.7.3", "3.2.7.4", "3.2.7.5", "3.2.9.4", "3.2.9.5", "3.2.9.12", "3.2.9.16", "3.2.9.17"),
    *("3.2.8.4", "3.2.8.6", "3.2.8.7", "3.2.8.8", "3.3.1.5", "3.3.1.6", "3.3.1.9", "3.3.1.10"),
]
LETTER = FIXTURES / "letters/DIS91/admitted/message.xml"


@pytest.fixture(scope="module")
def results(engine: Engine) -> dict[tuple[str, str], packs.Result]:
    """Every step of every pack; their tables are that of the fixtures."""
    return {(f.name, r.step.id): r for f in FOLDERS for r in packs.run(packs.read(f), engine)}


@pytest.fixture(scope="module")
def official(shared: Path, engine: Engine) -> dict[str, packs.Result]:
    """The steps of the test protocol that have MedCom's own file."""
    pack = packs.read(FIXTURES / "packs/conversion-service", shared / OFFICIAL)
    pack.steps = [step for step in pack.steps if step.official]
    return {result.step.id: result for result in packs.run(pack, engine)}


@pytest.mark.parametrize(("folder", "step"), STEPS)
def test_step_holds(folder: Path, step: str, results: dict[tuple[str, str], packs.Result]) -> None:
    assert results[folder.name, step].failures == []


@pytest.mark.parametrize("step", WITH_FILE)
def test_step_of_the_protocol_holds_with_its_official_file(step: str, official: dict[str, packs.Result]) -> None:
    assert official[step].failures == []


def test_packs_use_the_table_of_the_fixtures_and_every_official_file(official: dict[str, packs.Result]) -> None:
    """A step whose official file is there is in the list above; the tables of packs are copies."""
    assert sorted(official) == sorted(WITH_FILE)
    table = (FIXTURES / "organisations.csv").read_bytes()
    assert {(f / "organisations.csv").read_bytes() for f in FOLDERS} == {table}


def made(folder: Path, check: str, *, to: str = "fhir", more: str = "") -> packs.Pack:
    """A pack of one step over an ordinary letter."""
    (folder / "message.xml").write_bytes(LETTER.read_bytes())
    step = f"  - {{id: one, given: message.xml, to: {to}, check: {check}}}\n"
    (folder / "pack.yaml").write_text(f"pack: small\nsteps:\n{step}{more}", encoding="utf-8")
    return packs.read(folder)


@pytest.mark.parametrize(
    "case",
    [
        ("outputs", "DIS91", "DIS01", "DIS91 came out"),
        ("letter", "{Patient.PersonGivenName: Ellen}", "{Patient.PersonGivenName: Elle}", "has another value"),
        ("letter", '{Nothing: ""}', '{Patient.PersonGivenName: ""}', "Patient.PersonGivenName has another value"),
        ("contains", "{ClinicalInformation.: udredning}", "{ClinicalInformation.: [er, ikke]}", "hold text 2"),
        ("lacks", "{ClinicalInformation.: ikke}", "{ClinicalInformation.: udredning}", "holds text 1"),
        ("present", "[Patient.CivilRegistrationNumber]", "[Patient.AlternativeIdentifier]", "is missing"),
        ("ends", "{ClinicalInformation.: udredning}", "{ClinicalInformation.: Ellen}", "end in that line"),
        ("bundle", "{Patient.name.given: Ellen}", "{Patient.name.given: Elle}", "Patient.name.given has another"),
        ("bundle", '{Patient.photo: ""}', '{Patient.name: ""}', "Patient.name has another"),
        ("matches", "{Communication.status: un.*}", "{Communication.status: a.*}", "has another form"),
        ("among", "{Patient.id: Patient.id}", "{Patient.id: Communication.id}", "names what Communication.id does not"),
        ("errors", '""', "PRO001", "errors of kinds none"),
        ("tells", "ALL-04", "ALL-99", "nothing tells ALL-99"),
        ("back", "declared", "exact", "`back` can be"),
        ("narratives", "[Patient.name.given]", "[Communication.payload.extension.url]", "is not in the narrative"),
        ("output", "bundle.json", "message.xml", "the output is not message.xml"),
    ],
)
def test_every_check_can_hold_and_fail(case: tuple[str, str, str, str], tmp_path: Path, engine: Engine) -> None:
    kind, holds, fails, what = case
    (tmp_path / "bundle.json").write_bytes((LETTER.parent / "bundle.json").read_bytes())
    assert [r.failures for r in packs.run(made(tmp_path, f"{{{kind}: {holds}}}"), engine)] == [[]]
    (result,) = packs.run(made(tmp_path, f"{{{kind}: {fails}}}"), engine)
    assert len(result.failures) >= 1
    assert all(what in failure for failure in result.failures)
    assert [i.code for i in packs.findings(result)] == ["LNT541"] * len(result.failures)


def test_all_kinds_of_checks_are_used_or_tried_here() -> None:
    tried = {mark.args[1][n][0] for mark in _marks() for n in range(len(mark.args[1]))}
    assert set(packs.CHECKS) == tried


def _marks() -> Iterator[pytest.Mark]:
    yield from test_every_check_can_hold_and_fail.pytestmark  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("check", "to", "more", "problem"),
    [
        ("{nothing: x}", "fhir", "", "there is no check 'nothing'"),
        ("{errors: x}", "hl7v2", "", "`to` is one of"),
        ("{errors: x}", "fhir", "  - {id: one, given: message.xml, to: fhir, check: {}}\n", "two steps are called one"),
        ("{errors: x}", "fhir", "  - {id: two, to: fhir, check: {}}\n", "a step needs `given`"),
        ("{errors: x}", "fhir", "  - {id: two, given: ../pack.yaml, to: fhir, check: {}}\n", "there is no file"),
        ("{errors: x}", "fhir", "  - {id: a/b, given: message.xml, to: fhir, check: {}}\n", "an id has letters"),
    ],
)
def test_packs_that_cannot_be_run(check: str, to: str, more: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(MappingError) as caught:
        made(tmp_path, check, to=to, more=more)
    assert [i.code for i in caught.value.issues] == ["LNT540"]
    assert problem in caught.value.issues[0].message


def test_a_pack_without_steps_shows_nothing(tmp_path: Path) -> None:
    (tmp_path / "pack.yaml").write_text("pack: empty\n")
    with pytest.raises(MappingError):
        packs.read(tmp_path)


def test_evidence_names_every_step_and_is_the_same_every_time(
    engine: Engine, results: dict[tuple[str, str], packs.Result]
) -> None:
    pack = packs.read(FIXTURES / "packs/testcamp-2022-03")
    mine = [result for (name, _), result in results.items() if name == pack.name]
    data = packs.evidence(pack, mine)
    assert data == packs.evidence(pack, list(packs.run(pack, engine)))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = archive.namelist()
        report = Xml.fromstring(archive.read("junit.xml"))
        assert archive.read("physiotherapy/input.edi") == (pack.folder / "physiotherapy.edi").read_bytes()
    for step in pack.steps:
        assert {n.partition("/")[2].partition(".")[0] for n in names if n.startswith(f"{step.id}/")} == {
            *("input", "output", "findings", "result")
        }
    assert [case.get("name", "").split()[0] for case in report.iter("testcase")] == [step.id for step in pack.steps]
    assert report.find("testsuite").get("failures") == "0"  # type: ignore[union-attr]


@pytest.fixture
def command() -> Callable[..., tuple[int, str]]:
    def run(*arguments: object) -> tuple[int, str]:
        done = CliRunner().invoke(program, ["pack", *map(str, arguments)])
        return done.exit_code, done.output

    return run


def test_command(tmp_path: Path, command: Callable[..., tuple[int, str]]) -> None:
    folder = tmp_path / "packs" / "small"
    folder.mkdir(parents=True)
    made(folder, "{letter: {Patient.PersonGivenName: Elle}}")
    report, proof = tmp_path / "report.xml", tmp_path / "proof.zip"
    code, said = command("run", "small", "--packs", tmp_path / "packs", "--junit", report, "--evidence", proof)
    assert (code, "one: DOES NOT HOLD" in said, "0 of 1 steps hold" in said) == (1, True, True)
    assert "Ellen" not in said + report.read_text()
    assert zipfile.ZipFile(proof).testzip() is None
    assert command("run", folder, "--junit", report)[0] == 2, "a file was replaced without --force"
    assert command("run", folder, "--junit", report, "--force")[0] == 1
    code, said = command("run", "nothing")
    assert (code, "there is no pack 'nothing'" in said) == (2, True)
    made(folder, "{outputs: DIS91}")
    assert command("run", folder)[0] == 0
    assert command("list", "--packs", tmp_path / "packs") == (0, "small: 1 steps  \n")
    assert "conversion-service: " in command("list")[1]
    (folder / "pack.yaml").write_text("pack: [")
    assert command("run", folder)[0] == 4
