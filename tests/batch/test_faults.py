"""Faults of disks, inputs and users: the exit code of the contract, a message that says what to do, and going on."""

from __future__ import annotations

import json
import resource
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from converter.batch import protocol
from converter.batch.options import Options
from converter.batch.running import Bounds, begin, resume
from converter.cli import program as commands
from converter.issues import IssueLog
from tests.batch import cheap, corpus, ordinary
from tests.batch.conftest import unbalanced
from tests.batch.kills import result_of


class Told(NamedTuple):
    code: int
    sums: dict[str, int | str]
    errors: str


HERE = Path(__file__).resolve().parents[2]

Tell = Callable[..., Told]


@pytest.fixture
def told(capfd: pytest.CaptureFixture[str]) -> Tell:
    """Runs a command of `batch` in this process; gives its exit code, its last line as JSON and what it complained."""

    def run(*words: object) -> Told:
        with pytest.raises(SystemExit) as left:
            commands.main(["batch", *map(str, words)])
        output, errors = capfd.readouterr()
        last = output.splitlines()[-1:]
        sums = json.loads(last[0]) if last and last[0].startswith("{") else {}
        return Told(int(str(left.value.code)), sums, errors)

    return run


def new(told: Tell, inputs: Path, run: Path, *more: str) -> Told:
    return told("run", inputs, "-o", run, "--no-validate", "--jobs", "1", *more)


def goes_on(told: Tell, inputs: Path, run: Path, clean: Path) -> None:
    """The run can be resumed and then has the bytes of one that nothing happened to."""
    assert new(told, inputs, clean).code == 0
    end = told("resume", run, "--jobs", "1")
    assert (end.code, end.sums["run"]) == (0, "complete"), end.errors
    assert result_of(run) == result_of(clean)
    assert told("verify", run).code == 0


@contextmanager
def small_disk(path: Path, size: str = "50m") -> Iterator[Path]:
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root mounts a disk of its own")
    try:
        yield path
    finally:
        subprocess.run(["umount", path], check=False)


def remount(disk: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", disk], check=True)


# Outputs


def test_disk_that_is_full(told: Tell, tmp_path: Path) -> None:
    inputs = corpus.folder(tmp_path / "in", range(230))
    with small_disk(tmp_path / "disk", "700k") as disk:
        end = new(told, inputs, disk / "run")
        assert end.code == 74
        assert str(disk / "run") in end.errors
        assert "No space left" in end.errors or "disk is full" in end.errors
        assert "resume" in end.errors
        remount(disk, "size=50m")
        goes_on(told, inputs, disk / "run", tmp_path / "clean")


def test_disk_that_is_read_only(told: Tell, tmp_path: Path) -> None:
    inputs = corpus.folder(tmp_path / "in", range(3))
    with small_disk(tmp_path / "disk") as disk:
        assert new(told, inputs, disk / "run", "--max-time", "0").code == 3
        remount(disk, "ro")
        for words in (("resume", disk / "run"), ("run", inputs, "-o", disk / "other")):
            end = told(*words)
            assert end.code == 74
            assert str(disk) in end.errors
            assert "Read-only file system" in end.errors
        remount(disk, "rw")
        goes_on(told, inputs, disk / "run", tmp_path / "clean")


def test_output_folder_that_may_not_be_written(told: Tell, tmp_path: Path) -> None:
    inputs, run = corpus.folder(tmp_path / "in", range(3)), tmp_path / "run"
    assert new(told, inputs, run, "--max-time", "0").code == 3
    (run / protocol.TEMPORARY).chmod(0o500)
    with ordinary.user():
        end = told("resume", run, "--jobs", "1")
    assert end.code == 74
    assert f"cannot write in {run}: Permission denied" in end.errors
    (run / protocol.TEMPORARY).chmod(0o700)
    goes_on(told, inputs, run, tmp_path / "clean")


def test_output_that_may_not_grow(told: Tell, tmp_path: Path) -> None:
    inputs, run = corpus.folder(tmp_path / "in", range(40)), tmp_path / "run"
    assert new(told, inputs, run, "--max-time", "0").code == 3
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))
    try:
        end = told("resume", run, "--jobs", "1")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert end.code == 74
    assert f"cannot write in {run}: File too large; when that is put right, `batch resume {run}`" in end.errors
    goes_on(told, inputs, run, tmp_path / "clean")


# Inputs


def test_input_that_may_not_be_read(told: Tell, tmp_path: Path) -> None:
    """It is no dead letter: somebody may give the right to read it, and then the run goes on."""
    inputs, run = corpus.folder(tmp_path / "in", range(210)), tmp_path / "run"
    (inputs / "0000205.edi").chmod(0)
    with ordinary.user():
        end = new(told, inputs, run)
    assert (end.code, end.sums["in"]) == (74, 200)
    assert "0000205.edi" in end.errors
    assert "cannot be read: Permission denied" in end.errors
    assert f"batch resume {run}" in end.errors
    assert not (run / "_SUCCESS").exists()
    (inputs / "0000205.edi").chmod(0o600)
    goes_on(told, inputs, run, tmp_path / "clean")


def test_archive_that_is_cut_off(told: Tell, tmp_path: Path) -> None:
    archive = corpus.tarred(tmp_path / "c.tar.gz", range(300))
    archive.write_bytes(archive.read_bytes()[:-1500])
    end = new(told, archive, tmp_path / "run")
    assert (end.code, end.sums["dead"]) == (1, 1)
    assert 200 < int(end.sums["ok"]) < 300
    assert "BAT004" in end.errors
    assert "ends too early" in end.errors
    assert told("verify", tmp_path / "run").code == 0


def test_input_that_changes_during_the_run(told: Tell, tmp_path: Path) -> None:
    inputs, run = corpus.folder(tmp_path / "in", range(5)), tmp_path / "run"
    assert new(told, inputs, run, "--max-time", "0").code == 3
    (inputs / "0000003.edi").write_bytes(corpus.letter(3) + b"\n")
    (inputs / "0000004.edi").unlink()
    end = told("resume", run, "--jobs", "1")
    assert (end.code, end.sums["ok"], end.sums["dead"]) == (1, 3, 2)
    assert end.errors.count("not as it was when the run began") == 2
    assert "Start a run of its own" in end.errors
    assert told("verify", run).code == 0


# Users


def test_run_folder_that_another_process_works_on(told: Tell, tmp_path: Path) -> None:
    inputs, run = corpus.folder(tmp_path / "in", range(3)), tmp_path / "run"
    assert new(told, inputs, run, "--max-time", "0").code == 3
    hold = "import fcntl, sys; f = open(sys.argv[1], 'r+'); fcntl.lockf(f, fcntl.LOCK_EX); print(flush=True); input()"
    words = [sys.executable, "-c", hold, run / protocol.LOCK]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        before = result_of(run)
        end = told("resume", run)
        assert end.code == 75
        assert "in use by another process; wait for it, or stop it" in end.errors
        assert result_of(run) == before
        other.kill()
    goes_on(told, inputs, run, tmp_path / "clean")


def test_mappings_that_are_others_when_a_run_goes_on(told: Tell, tmp_path: Path) -> None:
    inputs, run, file = corpus.folder(tmp_path / "in", range(3)), tmp_path / "run", tmp_path / "mappings" / "a.yaml"
    file.parent.mkdir()
    file.write_text("a: 1", encoding="utf-8")
    begin(run, [str(inputs)], Options(validate=False, mappings=str(file.parent)), IssueLog())
    file.write_text("a: 2", encoding="utf-8")
    end = told("resume", run)
    assert end.code == 2
    assert "not the same mapping files as when the run began" in end.errors
    file.write_text("a: 1", encoding="utf-8")
    assert resume(run, 1, Bounds(), cheap.Silent(), factory=cheap.factory).totals["ok"] == 3


# Archives made to harm


def test_archive_made_to_harm(told: Tell, tmp_path: Path) -> None:
    """A bomb, names that lead out, links: nothing leaves the run folder, and the letters beside them are converted."""
    inputs, run = tmp_path / "deep" / "in", tmp_path / "deep" / "run"
    inputs.mkdir(parents=True)
    link = zipfile.ZipInfo("link.edi")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(inputs / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number, name in enumerate(("../../out.edi", "/abs.edi", "C:\\x.edi", "n\0ul.edi", "l" * 4000 + ".edi")):
            archive.writestr(name, corpus.letter(number))
        archive.writestr(link, "/etc/passwd")
        archive.writestr("bomb.edi", b"\0" * 20_000_000)
        archive.writestr("last.edi", corpus.letter(9))
    (inputs / "link.edi").symlink_to("/etc/passwd")
    before = {path for path in tmp_path.rglob("*") if run not in path.parents}
    end = new(told, inputs, run, "--files")
    assert (end.code, end.sums["ok"], end.sums["dead"]) == (1, 6, 1)
    assert "BAT007" in end.errors
    assert end.errors.count("BAT002") == 2
    assert {path for path in tmp_path.rglob("*") if run not in path.parents} - before == {run}
    assert not any(path.is_symlink() for path in run.rglob("*"))
    assert "root:" not in "".join(path.read_text("latin-1") for path in run.rglob("*") if path.is_file())
    assert told("verify", run).code == 0


_MANY = """
import json, resource, sys
from pathlib import Path
from converter.batch.options import Options
from converter.batch.running import Bounds, begin, resume
from converter.issues import IssueLog
from tests.batch import cheap
run = Path(sys.argv[2])
begin(run, [sys.argv[1]], Options(validate=False), IssueLog())
totals = resume(run, 1, Bounds(), cheap.Silent(), factory=cheap.factory).totals
peaks = [resource.getrusage(who).ru_maxrss // 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(json.dumps({"ok": totals["ok"], "MB": peaks}))
"""


@pytest.mark.long
@pytest.mark.parametrize("make", [corpus.zipped, corpus.tarred], ids=["zip", "tar"])
def test_archive_with_100_000_members(make: Callable[[Path, range], Path], told: Tell, tmp_path: Path) -> None:
    """Memory does not follow the number of members, but for zip's list of them: at most 200 MB more (threat Z5)."""
    peaks = {}
    for number in (1_000, 100_000):
        archive = make(tmp_path / f"{number}{'.zip' if make is corpus.zipped else '.tgz'}", range(number))
        words = [sys.executable, "-c", _MANY, archive, tmp_path / f"run{number}"]
        done = subprocess.run(words, cwd=HERE, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        figures = json.loads(done.stdout)
        assert figures["ok"] == number
        peaks[number] = figures["MB"]
    assert max(b - a for a, b in zip(peaks[1_000], peaks[100_000], strict=True)) <= 200, peaks
    assert told("verify", tmp_path / "run100000").code == 0


# What the tests themselves rest on


def test_sums_that_do_not_balance_are_noticed(told: Tell, tmp_path: Path) -> None:
    inputs, run = corpus.folder(tmp_path / "in", range(3)), tmp_path / "run"
    assert new(told, inputs, run).code == 0
    with sqlite3.connect(run / protocol.LEDGER) as ledger:
        kept = ledger.execute("SELECT * FROM msg").fetchone()
        ledger.execute("DELETE FROM msg WHERE piece=? AND source=?", (kept[1], kept[0]))
    assert unbalanced(run / protocol.LEDGER)
    with sqlite3.connect(run / protocol.LEDGER) as ledger:
        ledger.execute("INSERT INTO msg VALUES (?,?,?,?,?,?,?,?,?,?)", kept)


def test_modes_count_for_an_ordinary_user(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "file").chmod(0)
    with ordinary.user(), pytest.raises(PermissionError):
        (tmp_path / "file").read_bytes()
