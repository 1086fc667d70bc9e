"""`convert` from end to end: which inputs become which outputs, and what is recorded beside them."""

from __future__ import annotations

import json
import os
import pty
import shutil
import sqlite3
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from converter.cli import program

ROOT = Path(__file__).resolve().parents[1]
PLAIN = ROOT / "fixtures" / "letters" / "DIS91" / "plain" / "message.xml"
TABLE = ("--sor", str(ROOT / "fixtures" / "organisations.csv"))


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


def test_a_folder_is_converted_into_a_folder_with_a_summary(tmp_path: Path) -> None:
    inbox = tmp_path / "in"
    for name in ("DIS91/plain/message.xml", "a.xml"):
        (inbox / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PLAIN, inbox / name)
    (inbox / "notes.txt").write_text("no message")
    result = run("convert", inbox, *TABLE, "-o", tmp_path / "out")
    assert result.exit_code == 0
    assert "notes.txt:1:1 BAT011 info skipped" in result.stderr
    files = {p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert files == {"DIS91/plain/message.xml.json", "a.xml.json", "summary.json"}
    summary = json.loads((tmp_path / "out" / "summary.json").read_bytes())
    assert summary["messages"] == {"written": 2, "refused": 0, "skipped": 1}
    assert summary["types"]["DIS91"]["messages"] == 2
    assert summary["types"]["DIS91"]["mapped"] > 20
    assert summary["issues"]["BAT011"] == 1


def test_archives_convert_like_folders(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as packed:
        packed.write(PLAIN, "in/a.xml")
    with tarfile.open(tmp_path / "x.tgz", "w:gz") as streamed:
        streamed.add(PLAIN, "in/a.xml")
    for name in ("x.zip", "x.tgz"):
        out = tmp_path / f"out-of-{name[2:]}"
        assert run("convert", tmp_path / name, *TABLE, "-o", out).exit_code == 0
        assert (out / "in" / "a.xml.json").is_file()


def test_one_bad_input_stops_no_other(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_bytes(b"<Emessage")
    (tmp_path / "b.xml").write_bytes(PLAIN.read_bytes())
    result = run("convert", tmp_path / "a.xml", tmp_path / "b.xml", *TABLE)
    assert result.exit_code == 1
    assert json.loads(result.stdout)["resourceType"] == "Bundle"


def test_standard_input() -> None:
    result = run("convert", "-", *TABLE, stdin=PLAIN.read_bytes())
    assert result.exit_code == 0
    assert result.stdout == run("convert", PLAIN, *TABLE).stdout


@pytest.mark.parametrize(
    ("name", "start"), [("x.json", b'{\n  "resourceType"'), ("x.ndjson", b'{"resourceType"'), ("x.edi", b"UN")]
)
def test_the_suffix_names_the_target(tmp_path: Path, name: str, start: bytes) -> None:
    assert run("convert", PLAIN, *TABLE, "-o", tmp_path / name).exit_code == 0
    assert (tmp_path / name).read_bytes().startswith(start)


def test_lines_of_ndjson_have_their_own_line_numbers(tmp_path: Path) -> None:
    bundle = json.dumps(json.loads(run("convert", PLAIN, *TABLE).stdout))
    (tmp_path / "x.ndjson").write_text(f'{bundle}\n\n{bundle[:-10]}\n{{"a": 1, "a": 2}}\n')
    result = run("convert", tmp_path / "x.ndjson", "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert f"{tmp_path / 'x.ndjson'}:3:" in result.stderr
    assert f"{tmp_path / 'x.ndjson'}:4:" in result.stderr
    assert sorted(os.listdir(tmp_path / "out")) == ["summary.json", "x.ndjson.xml"]


def test_the_ledger_has_a_line_a_leaf_with_its_place_and_no_value(tmp_path: Path) -> None:
    assert run("convert", PLAIN, *TABLE, "--ledger", tmp_path / "l.jsonl").exit_code == 0
    message, *leaves = [json.loads(line) for line in (tmp_path / "l.jsonl").read_text().splitlines()]
    assert message["input"] == str(PLAIN)
    assert message["leaves"] == len(leaves) == sum(message["totals"].values())
    assert all(leaf["message"] == message["message"] for leaf in leaves)
    assert {leaf["line"] for leaf in leaves} == {2}
    assert "Elmer" not in (tmp_path / "l.jsonl").read_text()


def test_the_ledger_of_a_bundle_names_lines_of_the_file(tmp_path: Path) -> None:
    run("convert", PLAIN, *TABLE, "-o", tmp_path / "x.json")
    run("convert", tmp_path / "x.json", "--ledger", tmp_path / "l.jsonl", "-o", tmp_path / "x.xml")
    lines = (tmp_path / "x.json").read_text().splitlines()
    _, *leaves = [json.loads(line) for line in (tmp_path / "l.jsonl").read_text().splitlines()]
    for leaf in leaves:
        name = leaf["path"].rpartition("/")[2]
        assert name.isdigit() or f'"{name}"' in lines[leaf["line"] - 1]
        assert leaf["column"] == 1


def test_the_sidecar_brings_back_what_the_bundle_cannot_hold(tmp_path: Path) -> None:
    side, letter = ("--sidecar", tmp_path / "side.json"), tmp_path / "letter.xml"
    wanted = b"<AcknowledgementCode>minuspositivkvitt<"
    letter.write_bytes(PLAIN.read_bytes().replace(b"<AcknowledgementCode>pluspositivkvitt<", wanted))
    run("convert", letter, *TABLE, *side, "-o", tmp_path / "x.json")
    (kept,) = json.loads((tmp_path / "side.json").read_text())["messages"].values()
    assert kept["Envelope.AcknowledgementCode"] == "minuspositivkvitt"
    run("convert", tmp_path / "x.json", *side, "-o", tmp_path / "with.xml")
    run("convert", tmp_path / "x.json", "-o", tmp_path / "without.xml")
    assert wanted in (tmp_path / "with.xml").read_bytes()
    assert wanted not in (tmp_path / "without.xml").read_bytes()


def test_the_state_holds_the_ids_of_both_sides(tmp_path: Path) -> None:
    for _ in range(2):
        run("convert", PLAIN, *TABLE, "--state", tmp_path / "s.db")
    with sqlite3.connect(tmp_path / "s.db") as database:
        database.row_factory = sqlite3.Row
        (row,) = database.execute("SELECT * FROM message").fetchall()
    assert row["letter_id"]
    assert row["message_header_id"] == row["message"]
    assert row["sender"] == "5790000120314"


def test_progress_is_drawn_on_a_terminal_only(tmp_path: Path) -> None:
    shutil.copy(PLAIN, tmp_path)
    arguments = ("convert", tmp_path, *TABLE, "-o", f"{tmp_path}-out", "--force")
    ours, theirs = pty.openpty()
    env = {**environment(), "TERM": "xterm"}
    with subprocess.Popen(command_line(*arguments), stderr=theirs, stdout=subprocess.DEVNULL, env=env) as running:
        os.close(theirs)
        drawn = b""
        try:
            while chunk := os.read(ours, 65536):  # while it runs: a terminal that nobody reads stops its writer
                drawn += chunk
        except OSError:  # Linux says so when the other end is closed
            pass
    os.close(ours)
    assert running.returncode == 0
    assert b"inputs" in drawn
    assert b"\x1b[" in drawn
    plain = command(*arguments)
    assert plain.returncode == 0
    assert b"\x1b" not in plain.stderr


def test_hostile_names_reach_the_terminal_neutralised(tmp_path: Path) -> None:
    name = "a\x1b[31m\nb.edi:1:1 EDI001 error forged"
    (tmp_path / name).write_bytes(b"UNB+broken")
    for form in ("text", "json", "github", "junit"):
        result = run("validate", tmp_path, "--format", form)
        assert "\x1b" not in result.stdout
        assert not any(line.startswith("b.edi") for line in result.stdout.splitlines())
