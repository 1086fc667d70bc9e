"""The command line: names, options and exit codes of the contract, and that one fault stops nothing else."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from converter.cli import program
from converter.engine import Engine, Outcome
from converter.issues import IssueKind, IssueLog, Location, Severity

ROOT = Path(__file__).resolve().parents[1]
LETTERS = ROOT / "fixtures" / "letters" / "DIS91"
PLAIN = LETTERS / "plain" / "message.xml"
EDIFACT = LETTERS / "plain" / "message.edi"
TABLE = ("--sor", str(ROOT / "fixtures" / "organisations.csv"))
CANARY = "Canary Testesen"


def run(*arguments: str | Path, stdin: bytes | None = None) -> Result:
    """A command in this process."""
    return CliRunner().invoke(program, [str(a) for a in arguments], input=stdin)


def command(*arguments: str | Path, **more: Any) -> subprocess.CompletedProcess[bytes]:
    """A command in a process of its own."""
    return subprocess.run(command_line(*arguments), capture_output=True, check=False, env=environment(), **more)


def command_line(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "converter", *map(str, arguments)]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def every_command(group: click.Group = program, above: str = "") -> Iterator[tuple[str, click.Command]]:
    for name, found in group.commands.items():
        if isinstance(found, click.Group):
            yield from every_command(found, f"{above}{name} ")
        else:
            yield above + name, found


COMMANDS = dict(every_command())


# Names and options


def test_every_command_of_every_module_is_known() -> None:
    """The table of `converter.cli` names by hand what its modules declare, so that `--version` imports none of them."""
    import pkgutil
    from importlib import import_module

    from converter import cli

    modules = [import_module(f"converter.cli.{module.name}") for module in pkgutil.iter_modules(cli.__path__)]
    declared = {name for module in modules for name in vars(module).get("COMMANDS", {}) and module.COMMANDS}
    below = {command for group in declared if isinstance(group, click.Group) for command in group.commands.values()}
    assert {command.name for command in declared - below} == set(program.commands)


def test_commands_and_options_are_those_of_the_contract() -> None:
    wanted = {"convert", "validate", "flows", "route", "lint", "explain", "show", "doctor", "sor check"}
    wanted |= {"test", "cover", "diff", "mutate", "docs", "fmt", "new mapping"}
    wanted |= {"batch run", "batch resume", "batch retry", "batch verify", "batch status"}
    wanted |= {"pack run", "pack list"}
    wanted |= {"profiles list", "profiles pack", "profiles export"}
    wanted |= {"assess run", "assess report", "assess price", "assess inventory", "assess diff"}
    wanted |= {"pseudonymise"}
    assert set(COMMANDS) == wanted
    shared = {
        "--mappings",
        "--sor",
        "--format",
        "--fail-on",
        "--quiet",
        "--verbose",
        "--show-values",
        "--lang",
        "--limit",
    }
    options = {name: {o for p in found.params for o in p.opts} for name, found in COMMANDS.items()}
    assert {name: shared - have for name, have in options.items()} == {name: set() for name in COMMANDS}
    own = "--to -o --letter-version --no-validate --ledger --sidecar --state --attempt --accept-loss --envelope"
    assert set(f"{own} --sent --ecpr-level --cross-check --encoding --force".split()) <= options["convert"]
    assert {"--profile", "--ecpr-level"} <= options["validate"]
    assert "--on" in options["route"]
    assert {"--after", "--on"} <= options["flows"]
    assert "-o" in options["explain"]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_says_what_a_command_does_with_examples_that_exist(name: str) -> None:
    result = run(*name.split(), "--help")
    assert result.exit_code == 0
    assert "Examples:" in result.stdout
    lines = [line.strip().split("  ")[0] for line in result.stdout.split("Examples:")[1].splitlines() if line.strip()]
    known = {o for p in COMMANDS[name].params for o in p.opts}
    for line in lines:
        assert line.startswith(f"medcom-fhir {name}")
        assert {w for w in line.split() if w.startswith("-") and len(w) > 1} <= known


def test_version_and_help() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert run("--version").stdout == f"medcom-fhir {project['version']}\n"
    assert run("--help").exit_code == 0
    assert run("-h").exit_code == 0


def test_nothing_heavy_is_loaded_to_say_the_version() -> None:
    heavy = (
        "lxml",
        "jinja2",
        "rich",
        "orjson",
        "yaml",
        "fhir",
        "pydifact",
        "sqlite3",
        "importlib.metadata",
        "converter.engine",
    )
    code = (
        "import sys; sys.argv = ['medcom-fhir', '--version']\n"
        "from converter.cli import main\n"
        "try: main()\n"
        f"finally: print([m for m in {heavy} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env=environment())
    assert done.stdout.splitlines()[-1] == b"[]"


# Exit codes


def test_clean_is_0() -> None:
    result = run("convert", PLAIN, *TABLE)
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["resourceType"] == "Bundle"


def test_findings_are_1_and_what_could_be_built_is_written_all_the_same() -> None:
    """Without a table the SOR ids are missing, which the profiles call an error."""
    result = run("convert", PLAIN)
    assert result.exit_code == 1
    assert json.loads(result.stdout)["resourceType"] == "Bundle"
    assert " error " in result.stderr


def test_a_missing_table_is_said_once() -> None:
    assert run("convert", PLAIN, PLAIN).stderr.count("no organisation table was given") == 1
    assert "no organisation table" not in run("convert", PLAIN, *TABLE).stderr
    assert "no organisation table" not in run("convert", PLAIN, "--to", "oioxml").stderr  # which needs none


def test_warnings_are_1_only_when_asked_for() -> None:
    assert " warning " in run("convert", PLAIN, *TABLE).stderr
    assert run("convert", PLAIN, *TABLE, "--fail-on", "warning").exit_code == 1


@pytest.mark.parametrize("content", [b"", b"hello", b"%PDF-1.7", b"\0\1\2", b"<html/>", b"[]", b"{}"])
def test_a_named_input_that_is_no_message_is_1(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    result = run("convert", tmp_path / "x")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert f"{tmp_path / 'x'}:1:1 " in result.stderr


WRONG_USE = {
    "no such path": ("convert", "no-such-file"),
    "no such path among others": ("convert", PLAIN, "no-such-file"),
    "no input": ("convert",),
    "unknown option": ("convert", PLAIN, "--nonsense"),
    "unknown command": ("nonsense",),
    "unknown target": ("convert", PLAIN, "--to", "hl7v2"),
    "unknown suffix": ("convert", PLAIN, "-o", "x.txt"),
    "bad limit": ("convert", PLAIN, "--limit", "nonsense=1"),
    "bad limit size": ("validate", PLAIN, "--limit", "message=much"),
    "no such table": ("convert", PLAIN, "--sor", "no-such-table.csv"),
    "no such mappings": ("convert", PLAIN, "--mappings", "no-such-folder"),
    "attempt": ("convert", PLAIN, "--attempt", "0"),
    "no organisation table": ("route", PLAIN),
    "time of sending": ("convert", PLAIN, "--envelope", "--sent", "soon"),
    "Danish comes later": ("convert", PLAIN, "--lang", "da"),
    "unknown loss": ("convert", PLAIN, "--accept-loss", "NONSENSE"),
    "unknown version": ("convert", PLAIN, "--to", "oioxml", "--letter-version", "D0000L"),
    "unknown profile": ("validate", PLAIN, "--profile", "http://example.org/nonsense"),
    "nothing to explain": ("explain", "EDI000"),
    "a page of a code": ("explain", "BAT001", "-o", "x.html"),
    "nothing to show": ("show", "nothing"),
    "lint of a file": ("lint", PLAIN),
    "lint of another folder": ("lint", ROOT / "benchmarks"),
    "no such profile pack": ("profiles", "pack", "no.such.guide#1.0.0", "--packages", ROOT / "tests"),
}


@pytest.mark.parametrize("name", WRONG_USE)
def test_wrong_use_is_2_and_says_why(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(*WRONG_USE[name])
    assert result.exit_code == 2, result.stderr
    assert result.stderr.strip()
    assert result.stdout == ""
    assert os.listdir(tmp_path) == []


def test_what_comes_later_says_so() -> None:
    assert "later version" in run("convert", PLAIN, "--lang", "da").stderr
    assert run("convert", PLAIN, *TABLE, "--lang", "en").exit_code == 0


def test_several_bundles_in_one_json_file_are_2(tmp_path: Path) -> None:
    result = run("convert", PLAIN, PLAIN, *TABLE, "-o", tmp_path / "x.json")
    assert result.exit_code == 2
    assert "use .ndjson or a folder" in result.stderr
    assert os.listdir(tmp_path) == []


def test_an_existing_output_is_2_without_force(tmp_path: Path) -> None:
    for _ in range(2):
        result = run("convert", PLAIN, *TABLE, "-o", tmp_path / "x.json", "--force")
        assert result.exit_code == 0
    before = (tmp_path / "x.json").read_bytes()
    result = run("convert", PLAIN, *TABLE, "-o", tmp_path / "x.json")
    assert result.exit_code == 2
    assert (tmp_path / "x.json").read_bytes() == before


def test_an_output_inside_the_input_is_2(tmp_path: Path) -> None:
    shutil.copy(PLAIN, tmp_path)
    for option in ("-o", "--ledger", "--sidecar", "--state"):
        assert run("convert", tmp_path, option, tmp_path / "inside").exit_code == 2
    assert os.listdir(tmp_path) == ["message.xml"]


@pytest.fixture
def broken_mappings(tmp_path: Path) -> Path:
    """A copy of the mapping files with a fault in one letter definition and one in a mapping."""
    folder = tmp_path / "mappings"
    shutil.copytree(ROOT / "mappings", folder, ignore=shutil.ignore_patterns("profiles"))
    letter = folder / "letters" / "DIS91.yaml"
    letter.write_text(letter.read_text() + "\nnonsense: [")
    mapping = folder / "fhir" / "DIS91-carecommunication.yaml"
    mapping.write_text(mapping.read_text() + "\nexamples: &anchor []\n")
    return folder


@pytest.mark.parametrize("name", ["convert", "validate", "explain"])
def test_mapping_files_that_do_not_load_are_4_in_any_command(name: str, broken_mappings: Path, tmp_path: Path) -> None:
    result = run(name, PLAIN, "--mappings", broken_mappings)
    assert result.exit_code == 4
    assert "DIS91.yaml:" in result.stderr
    assert " LNT001 error " in result.stderr


def test_lint_names_the_place_of_every_fault_and_ends_with_4(broken_mappings: Path, tmp_path: Path) -> None:
    result = run("lint", broken_mappings, "--root", ROOT)
    assert result.exit_code == 4
    faults = [line for line in result.stdout.splitlines() if " error " in line]
    assert len({fault.split(" ")[0] for fault in faults}) == 2
    for fault in faults:
        file, line, column = fault.split(" ")[0].rsplit(":", 2)
        assert Path(file).is_file()
        assert int(line) > 1
        assert int(column) >= 1
    small = Path(shutil.copytree(ROOT / "tests/mapping/cases/base", tmp_path / "small"))
    assert run("lint", "--mappings", small).exit_code == 0
    (small / "fhir/other.yaml").write_text("mapping: [")
    assert run("lint", "--mappings", small).exit_code == 4


@pytest.mark.parametrize("folder", [[], pytest.param([ROOT / "mappings"], marks=pytest.mark.long)])
def test_lint_of_whole_files_is_0_and_says_what_was_checked(folder: list[Path]) -> None:
    result = run("lint", *folder)
    assert result.exit_code == 0
    assert "letter definitions" in result.stdout
    assert "no faults" in result.stdout


def test_lint_finds_packs_and_files_that_cannot_be_read(tmp_path: Path) -> None:
    folder = tmp_path / "mappings"
    shutil.copytree(ROOT / "mappings", folder, ignore=shutil.ignore_patterns("profiles", "losses.yaml"))
    (folder / "profiles").mkdir()
    (folder / "profiles" / "x-1.json").write_bytes(b"{}")
    result = run("lint", folder)
    assert result.exit_code == 4
    assert "x-1.json:1:1 LNT200 error" in result.stdout
    assert " LNT201 error " in result.stdout


def test_an_internal_error_is_70_names_no_value_and_stops_no_other_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.xml", "b.xml", "c.xml"):
        shutil.copy(PLAIN, tmp_path / name)
    convert = Engine.convert

    def fail(self: Engine, data: bytes, *, name: str = "", **options: Any) -> Iterator[Outcome]:
        if name.endswith("b.xml"):
            raise KeyError(CANARY)
        return convert(self, data, name=name, **options)

    monkeypatch.setattr(Engine, "convert", fail)
    result = run("convert", tmp_path, *TABLE)
    assert result.exit_code == 70
    assert len(result.stdout.splitlines()) == 2
    assert "b.xml:1:1 SYS020 error internal error: KeyError at" in result.stderr
    assert CANARY not in result.output


def test_an_internal_error_outside_any_input_is_70_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise KeyError(CANARY)

    monkeypatch.setattr("converter.doctor.rows", fail)
    result = run("doctor")
    assert result.exit_code == 70
    assert result.stderr.startswith("medcom-fhir: internal error: KeyError at ")
    assert CANARY not in result.output


def test_a_disk_that_is_full_is_74(tmp_path: Path) -> None:
    with open("/dev/full", "wb") as full:
        for arguments in (["convert", PLAIN, "--to", "edifact"], ["doctor"], ["--help"]):
            done = subprocess.run(
                command_line(*arguments), stdout=full, stderr=subprocess.PIPE, check=False, env=environment()
            )
            assert done.returncode == 74, arguments
            assert b"Traceback" not in done.stderr
    done = command("convert", PLAIN, "--to", "edifact", "-o", "/proc/no-such-folder")
    assert done.returncode == 74
    assert b"cannot write" in done.stderr


def test_a_reader_that_has_gone_is_74_and_silent() -> None:
    for arguments in (["convert", PLAIN, "--to", "edifact", "--quiet"], ["explain", "BAT001"], ["--help"]):
        process = subprocess.Popen(
            command_line(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
        )
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        stderr = process.stderr.read()
        process.stderr.close()
        assert process.wait() == 74
        assert stderr == b""


def test_an_interrupt_is_130_and_leaves_no_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Engine, "convert", interrupt)
    result = run("convert", PLAIN, "-o", tmp_path / "out", "--ledger", tmp_path / "l", "--state", tmp_path / "s")
    assert result.exit_code == 130
    assert os.listdir(tmp_path) == ["s"]


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signals_end_a_run_with_their_code_and_remove_what_is_half(tmp_path: Path, sent: int, code: int) -> None:
    """A named pipe that nobody writes to holds the run until the signal comes."""
    os.mkfifo(tmp_path / "pipe")
    arguments = ("convert", PLAIN, tmp_path / "pipe", "--to", "edifact", "-o", tmp_path / "out.edi")
    process = subprocess.Popen(command_line(*arguments), stderr=subprocess.PIPE, env=environment())
    for _ in range(400):
        if [name for name in os.listdir(tmp_path) if name.endswith(".tmp")]:
            break
        time.sleep(0.05)
    else:
        process.kill()
        pytest.fail("nothing half was ever written")
    process.send_signal(sent)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == code
    assert b"Traceback" not in stderr
    assert os.listdir(tmp_path) == ["pipe"]


# Findings


KIND = IssueKind("NCK999", "invented", Severity.ERROR, "not checked", "w", "h")


def test_not_checked_never_changes_the_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    def judge(self: Engine, data: bytes, *, name: str = "", profile: str | None = None) -> Iterator[Outcome]:
        log = IssueLog()
        log.add(KIND, Location(name, 1, 1))
        yield Outcome(name, issues=log.issues, message="m")

    monkeypatch.setattr(Engine, "validate", judge)
    result = run("validate", PLAIN, "--fail-on", "warning")
    assert " NCK999 error " in result.stdout
    assert result.exit_code == 0
    monkeypatch.setattr("converter.renderings.counts", lambda *_: True)
    monkeypatch.setattr("converter.reporter.counts", lambda *_: True)
    assert run("validate", PLAIN).exit_code == 1


def test_findings_go_to_stderr_for_convert_and_to_stdout_for_validate() -> None:
    converted, judged = run("convert", PLAIN), run("validate", PLAIN, "--verbose")
    assert " error " in converted.stderr
    assert " error " not in converted.stdout
    assert judged.stderr == ""


@pytest.mark.parametrize("form", ["json", "sarif", "junit", "operationoutcome"])
def test_documents_stand_alone_on_their_stream(form: str) -> None:
    for result, text in (
        (converted := run("convert", PLAIN, PLAIN, "--format", form), converted.stderr),
        (judged := run("validate", PLAIN, PLAIN, "--format", form), judged.stdout),
    ):
        assert result.exit_code in (0, 1)
        document = ET.fromstring(text.encode()) if form == "junit" else json.loads(text)
        assert document is not None


def test_github_annotations_name_the_file() -> None:
    result = run("convert", PLAIN, "--format", "github")
    assert f"::error file={PLAIN}," in result.stderr


def test_quiet_leaves_what_changes_the_exit_code() -> None:
    loud, quiet = run("convert", PLAIN, PLAIN), run("convert", PLAIN, PLAIN, "--quiet")
    assert quiet.exit_code == loud.exit_code == 1
    warning = re.compile(r" [A-Z]{3}\d{3} warning ")
    assert warning.search(loud.stderr)
    assert "2 messages" in loud.stderr
    assert not warning.search(quiet.stderr)
    assert "messages" not in quiet.stderr.splitlines()[-1]
    assert " error " in quiet.stderr


def test_values_are_shown_only_on_request() -> None:
    broken = PLAIN.read_bytes().replace(b"<StatusCode>nytbrev<", b"<StatusCode>Secretly<")
    hidden = run("validate", "-", stdin=broken)
    assert "stdin:" in hidden.stdout
    assert "Secretly" not in hidden.output
    assert "Secretly" in run("validate", "-", "--show-values", stdin=broken).stdout


# The smaller commands


def test_doctor_shows_versions_mappings_and_packs() -> None:
    result = run("doctor")
    assert result.exit_code == 0
    for part in (
        "medcom-fhir",
        "lxml",
        "letters DIS",
        "DIS91",
        "mapping medcom-careCommunication-message",
        "pack medcom.fhir.dk",
    ):
        assert part in result.stdout
    assert len(result.stdout.splitlines()) < 40


def test_doctor_finds_what_does_not_load(broken_mappings: Path) -> None:
    result = run("doctor", "--mappings", broken_mappings)
    assert result.exit_code == 1
    assert "fault" in result.stdout


def test_sor_check_judges_rows(tmp_path: Path) -> None:
    assert run("sor", "check", TABLE[1]).exit_code == 0
    (tmp_path / "bad.csv").write_text("gln,sor\n5790000120315,1\n")
    result = run("sor", "check", tmp_path / "bad.csv")
    assert result.exit_code == 1
    assert "bad.csv:2:1 DIR006 error" in result.stdout


def test_a_table_that_cannot_be_used_is_2(tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("a;b\n1;2\n")
    result = run("convert", PLAIN, "--sor", tmp_path / "bad.csv")
    assert result.exit_code == 2
    assert " DIR002 error " in result.stderr


def test_profiles_list_shows_the_packs() -> None:
    result = run("profiles", "list")
    assert result.exit_code == 0
    assert "medcom.fhir.dk.carecommunication#5.0.2" in result.stdout
