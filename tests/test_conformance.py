"""The conformance pack: our own converter passes it, a broken one does not, and the table says where."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from converter.cli import program
from converter.engine import Engine
from tests.conformance import TABLE, Item, Result, command, comparable, items, run, table
from tests.conformance.__main__ import main

CASES = ("letters/DIS91/plain:", "letters/DIS91/files:", "letters/REF01/files:", "bundles/DIS91/new-message")


def own(source: Path, target: Path) -> None:
    """Our own converter, in this process."""
    CliRunner().invoke(program, ["convert", str(source), "-o", str(target), "--sor", str(TABLE), "--quiet"])


@pytest.fixture(scope="module")
def chosen() -> list[Item]:
    return [item for item in items() if item.name.startswith(CASES)]


def results(chosen: list[Item], work: Path, engine: Engine, convert: object = own) -> list[Result]:
    return [run(item, convert, work / str(n), engine) for n, item in enumerate(chosen)]  # type: ignore[arg-type]


def test_our_own_converter_passes(chosen: list[Item], tmp_path: Path, engine: Engine) -> None:
    found = results(chosen, tmp_path, engine)
    lines = list(table(found))
    assert all(result.passed for result in found), "\n".join(lines)
    assert len(found) == 16
    assert any(line.split() == ["pass", "FHIR", "Communication", "4", "of", "4"] for line in lines), lines
    assert any("letter" in line and "BinaryObject" in line for line in lines)
    assert lines[-1] == "16 of 16 conversions are as the fixtures have them (100.0 %)"


@pytest.mark.long
def test_our_own_converter_passes_everything(tmp_path: Path, engine: Engine) -> None:
    every = list(items())
    assert len(every) > 500
    found = results(every, tmp_path, engine)
    assert not [line for line in table(found) if line.startswith("FAIL")]


def broken(source: Path, target: Path) -> None:
    """A twin that forgets the topic, gives the patient another name, and writes no letters."""
    own(source, target)
    if target.suffix != ".json":
        target.unlink(missing_ok=True)
        return
    bundle = json.loads(target.read_bytes())
    for entry in bundle["entry"]:
        entry["resource"].pop("topic", None)
        if entry["resource"]["resourceType"] == "Patient":
            entry["resource"]["name"][0]["family"] = "Andersen"
    target.write_text(json.dumps(bundle))


def test_a_broken_twin_fails_where_it_is_broken(chosen: list[Item], tmp_path: Path, engine: Engine) -> None:
    found = results(chosen, tmp_path, engine, broken)
    assert not any(result.passed for result in found)
    lines = list(table(found))
    assert (
        "FAIL  letters/DIS91/plain: edi to FHIR: differs at /Communication#1/topic, /Patient#1/name/0/family" in lines
    )
    assert "FAIL  letters/DIS91/plain: FHIR to xml: nothing was written" in lines
    states = {line.split()[2]: line.split()[0] for line in lines if line.split()[1:2] == ["FHIR"]}
    assert {group for group, state in states.items() if state == "FAIL"} == {"Communication", "Patient"}


def test_ids_and_narratives_are_a_converters_own(chosen: list[Item]) -> None:
    golden = next(item.golden for item in chosen if item.suffix == ".json")
    assert golden is not None
    text = golden.read_text(encoding="utf-8")
    bundle = json.loads(text)
    for number, entry in enumerate(bundle["entry"]):
        text = text.replace(entry["resource"]["id"], f"own-{number}")
    other = json.loads(text)
    other["identifier"], other["id"] = {"value": "other"}, "1"
    for entry in other["entry"]:
        entry["resource"]["text"] = {"status": "generated", "div": "<div>anything</div>"}
    assert comparable(other) == comparable(bundle)
    other["entry"][1]["resource"]["status"] = "completed"
    assert comparable(other) != comparable(bundle)


FAILURES = [
    ("python -c 'raise SystemExit(3)' {in} {out}", "nothing was written"),
    ("cp {in} {out}", "no FHIR Bundle was written"),
    ("no-such-command {in} {out}", "failed (FileNotFoundError)"),
]


@pytest.mark.parametrize(("line", "problem"), FAILURES)
def test_a_command_that_does_something_else_is_told(
    chosen: list[Item], tmp_path: Path, engine: Engine, line: str, problem: str
) -> None:
    (item,) = [item for item in chosen if item.name == "letters/DIS91/plain: edi to FHIR"]
    assert run(item, command(line), tmp_path / "work", engine).problem == problem


def test_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["other-converter {in}"]) == 2
    assert main(["cp {in} {out}", "--only", "letters/DIS91/plain: edi to FHIR"]) == 1
    assert "FAIL  letters/DIS91/plain: edi to FHIR: no FHIR Bundle was written" in capsys.readouterr().out


@pytest.mark.long
def test_the_command_of_the_makefile(root: Path) -> None:
    line = f"{sys.executable} -m converter convert {{in}} -o {{out}} --sor {{table}}"
    arguments = [sys.executable, "-m", "tests.conformance", line, "--only", "letters/DIS91/plain: edi"]
    done = subprocess.run(arguments, capture_output=True, text=True, cwd=root, check=False)
    assert (done.returncode, done.stdout.splitlines()[-1][:9]) == (0, "2 of 2 co"), done.stdout
    assert "conformance:" in (root / "Makefile").read_text()
