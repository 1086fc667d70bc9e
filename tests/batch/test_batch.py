"""Runs of many messages: order, sums, restart, dead letters, what may go wrong with inputs, outputs and processes."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from converter.batch import protocol, running
from converter.batch.chunk import Convert, Form, Piece
from converter.batch.ledger import LEDGER, Key, Part
from converter.batch.options import Options
from converter.batch.plan import Chunk
from converter.batch.retrying import retry
from converter.batch.running import COMPLETE, INTERRUPTED, LIMIT, TERMINATED, Bounds, begin, resume
from converter.batch.verifying import verify
from converter.batch.workers import Factory, Job, Pool
from converter.cli import program as commands
from converter.engine import Outcome
from converter.errors import InterchangeError, MappingError, SinkError
from converter.issues import IssueLog
from converter.sinks import OutputRefusedError
from converter.sources import Input
from tests.batch import cheap, corpus
from tests.batch.kills import result_of

HERE = Path(__file__).resolve().parents[2]


def started(run: Path, *inputs: Path, **options: Any) -> None:
    options.setdefault("mappings", str(HERE / "mappings" / "letters"))
    begin(run, [str(path) for path in inputs], Options(**options), IssueLog())


def gone_on(
    run: Path, jobs: int = 2, bounds: Bounds | None = None, factory: Factory = cheap.factory, told: Any = None
) -> running.Ended:
    end = resume(run, jobs, bounds or Bounds(), told or cheap.Silent(), factory=factory)
    states = ("ok", "dead", "duplicate", "refused")
    assert end.totals["in"] == sum(end.totals[state] for state in states)
    return end


def lines_of(run: Path) -> list[bytes]:
    """The lines of the parts, in the order of the manifest."""
    manifest = json.loads((run / "manifest.json").read_bytes())
    return [line for part in manifest["parts"] for line in (run / part["name"]).read_bytes().splitlines()]


def codes(run: Path) -> list[str]:
    log = IssueLog()
    verify(run, log)
    return sorted({issue.code for issue in log})


def dead(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in sorted((run / "dead").glob("*.ndjson")) for line in path.open()]


def expected(numbers: range) -> list[bytes]:
    return [b'{"id":"%s"}' % hashlib.sha256(corpus.letter(n)).hexdigest().encode() for n in numbers]


def program(*words: object, **more: Any) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "converter", "batch", *map(str, words)]
    return subprocess.run(command, cwd=HERE, capture_output=True, check=False, **more)


# Order, sums, duplicates


def test_output_has_the_order_of_the_input_whatever_the_workers(tmp_path: Path) -> None:
    inputs = tmp_path / "in"
    corpus.folder(inputs / "a", range(450))
    corpus.zipped(inputs / "b.zip", range(450, 900))
    corpus.tarred(inputs / "c.tgz", range(900, 1100))
    for jobs in (1, 3):
        started(tmp_path / f"run{jobs}", inputs)
        end = gone_on(tmp_path / f"run{jobs}", jobs)
        assert end.totals == {"in": 1100, "ok": 1100, "dead": 0, "duplicate": 0, "refused": 0}
    assert lines_of(tmp_path / "run1") == expected(range(1100))
    assert result_of(tmp_path / "run1") == result_of(tmp_path / "run3")
    assert codes(tmp_path / "run1") == []


@pytest.mark.parametrize("form", ["lines", "files", "kept"])
def test_messages_that_came_before_are_duplicates(form: str, tmp_path: Path) -> None:
    inputs, run = tmp_path / "in", tmp_path / "run"
    corpus.folder(inputs / "a", range(30))
    corpus.zipped(inputs / "b.zip", range(20, 50))
    started(run, inputs, files=form == "files", keep_duplicates=form == "kept")
    end = gone_on(run)
    assert end.totals["duplicate"] == (0 if form == "kept" else 10)
    assert end.totals["ok"] == (60 if form == "kept" else 50)
    if form == "files":
        assert len([p for p in (run / "files").rglob("*") if p.is_file()]) == 50
    else:
        assert lines_of(run) == expected(range(30)) + expected(range(20 if form == "kept" else 30, 50))
    assert codes(run) == []


def test_files_and_folders_are_private(tmp_path: Path) -> None:
    corpus.folder(tmp_path / "in", range(5))
    (tmp_path / "in" / "x.edi").write_bytes(corpus.broken(1))
    started(tmp_path / "run", tmp_path / "in", raw=True)
    gone_on(tmp_path / "run")
    for path in [tmp_path / "run", *(tmp_path / "run").rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path


def test_parts_may_be_tables(tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed (extra parquet)")
    inputs = tmp_path / "in"
    corpus.folder(inputs / "a", range(250))
    corpus.zipped(inputs / "b.zip", range(240, 260))
    (inputs / "a" / "x.edi").write_bytes(corpus.broken(1))
    for jobs in (1, 2):
        started(tmp_path / f"run{jobs}", inputs, parquet=True)
        end = gone_on(tmp_path / f"run{jobs}", jobs)
        assert end.totals == {"in": 271, "ok": 260, "dead": 1, "duplicate": 10, "refused": 0}
    assert result_of(tmp_path / "run1") == result_of(tmp_path / "run2")
    parts = json.loads((tmp_path / "run1" / "manifest.json").read_bytes())["parts"]
    rows = [row for part in parts for row in pq.read_table(tmp_path / "run1" / part["name"]).to_pylist()]
    assert [row["bundle"].encode() for row in rows] == expected(range(260))
    assert [(row["source"], row["piece"], row["message"]) for row in rows[249:251]] == [(249, 0, 1), (251, 10, 1)]
    assert codes(tmp_path / "run1") == []
    path = tmp_path / "run1" / parts[0]["name"]
    path.write_bytes(path.read_bytes()[:-1] + b"0")
    assert codes(tmp_path / "run1") == ["BAT023"]


# Stopping


@pytest.mark.parametrize(("number", "how"), [(signal.SIGINT, INTERRUPTED), (signal.SIGTERM, TERMINATED)])
def test_signal_lets_chunks_be_finished(number: int, how: str, tmp_path: Path) -> None:
    corpus.folder(tmp_path / "in", range(900))
    for name in ("run", "undisturbed"):
        started(tmp_path / name, tmp_path / "in")

    class Stopping(cheap.Silent):
        def advance(self, totals: dict[str, int], files: int, planned: int) -> None:
            if totals["in"] == 200:
                os.kill(os.getpid(), number)

    end = gone_on(tmp_path / "run", 1, told=Stopping())
    assert end.how == how
    assert end.totals["in"] in (200, 400)  # the worker may have begun the chunk that waited for it
    assert codes(tmp_path / "run") == ["BAT022"]
    assert gone_on(tmp_path / "run").how == COMPLETE
    gone_on(tmp_path / "undisturbed")
    assert result_of(tmp_path / "run") == result_of(tmp_path / "undisturbed")


@pytest.mark.parametrize(
    "bounds", [Bounds(dead=3), Bounds(dead=5, per_cent=True), Bounds(seconds=0)], ids=["number", "per cent", "time"]
)
def test_limits_stop_a_run_that_can_go_on(bounds: Bounds, tmp_path: Path) -> None:
    corpus.folder(tmp_path / "in", range(700))
    for number in range(0, 60, 3):
        (tmp_path / "in" / f"{number:07d}.edi").write_bytes(corpus.broken(number))
    started(tmp_path / "run", tmp_path / "in")
    end = gone_on(tmp_path / "run", 1, bounds)
    assert end.how == LIMIT
    assert end.totals["in"] < 700
    end = gone_on(tmp_path / "run")
    assert end.totals["dead"] == 20
    assert end.totals["in"] == 700
    assert codes(tmp_path / "run") == []


# What goes wrong with messages and processes


@pytest.mark.parametrize("jobs", [1, 2])  # of one worker, a second chunk waits when it dies
def test_worker_that_dies_costs_only_the_message_that_killed_it(jobs: int, tmp_path: Path) -> None:
    corpus.folder(tmp_path / "in", range(300))
    (tmp_path / "in" / "0000007.edi").write_bytes(cheap.POISON)
    told = cheap.Silent()
    started(tmp_path / "run", tmp_path / "in")
    end = gone_on(tmp_path / "run", jobs, told=told)
    assert (end.totals["ok"], end.totals["dead"]) == (299, 1)
    assert told.issues == ["BAT021"]
    assert [letter["input"].rpartition("/")[2] for letter in dead(tmp_path / "run")] == ["0000007.edi"]
    assert codes(tmp_path / "run") == []


def die(items: Sequence[Input]) -> None:
    """A rehearsal that kills."""
    os.kill(os.getpid(), signal.SIGKILL)


def test_workers_that_die_before_there_is_work_cost_nothing(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    chunks = [one(k, corpus.letter(k)) for k in range(5)]
    waiting, seen = list(chunks), []
    with Pool(Job(tmp_path, cheap.factory, Form(), die), 2, [chunks[0].pieces[0].item]) as pool:
        while waiting or pool.busy:
            while waiting and pool.take(waiting[0]):
                waiting.pop(0)
            seen += [(done.chunk.key.source, [row[4] for row in done.rows]) for done in pool.done(0.5)]
    assert sorted(seen) == [(k, ["ok"]) for k in range(5)]


def one(number: int, data: bytes) -> Chunk:
    return Chunk(Key(number, 0), [Piece(number, 0, Input("x", "x", data, explicit=False))])


def test_a_worker_is_replaced_though_what_it_was_forked_from_is_dead(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    with Pool(Job(tmp_path, cheap.factory, Form()), 1) as pool:
        assert pool.take(one(0, corpus.letter(0)))
        assert [done.rows[0][4] for done in pool.done(9)] == ["ok"]
        (nursery,) = multiprocessing.active_children()
        nursery.kill()
        nursery.join()
        assert pool.take(one(1, cheap.POISON))
        assert [done.rows[0][4:6] for _ in range(9) for done in pool.done(9)] == [("dead", "BAT021")]
    assert not multiprocessing.active_children()


def test_nobody_works_on_when_the_workers_are_left(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    with Pool(Job(tmp_path, partial(endless, tmp_path / "worker"), Form()), 1) as pool:
        assert pool.take(one(0, b""))
        while not (tmp_path / "worker").exists() or not (tmp_path / "worker").read_text():
            time.sleep(0.02)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "worker").read_text()), 0)


def endless(told: Path) -> Convert:
    """A conversion that comes to no end; tells its process."""

    def convert(item: Input) -> Iterator[Outcome]:
        told.write_text(str(os.getpid()))
        time.sleep(600)
        yield Outcome(item.name)

    return convert


def test_chunks_that_nobody_has_begun_are_taken_back(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    with Pool(Job(tmp_path, partial(slow, tmp_path / "begun"), Form()), 1) as pool:
        for k in range(2):
            assert pool.take(one(k, corpus.letter(k)))
        assert not pool.take(Chunk(Key(2, 0)))
        while not (tmp_path / "begun").exists():
            time.sleep(0.02)
        pool.withdraw()
        seen = [done.chunk.key.source for _ in range(9) if pool.busy for done in pool.done(5)]
        assert (seen, pool.left) == ([0], True)


def slow(begun: Path) -> Convert:
    """The cheap conversion, in a second; makes a file when it begins."""

    def convert(item: Input) -> Iterator[Outcome]:
        begun.touch()
        time.sleep(1)
        yield from cheap.factory()(item)

    return convert


def test_mapping_folder_that_was_named_is_read_before_anything_is_converted(tmp_path: Path) -> None:
    mappings, run = tmp_path / "mappings", tmp_path / "run"
    shutil.copytree(HERE / "mappings", mappings, ignore=shutil.ignore_patterns("profiles"))
    fault = mappings / "fhir" / "REF01-referral.yaml"
    assert fault.is_file()
    fault.write_text(fault.read_text() + "\nexamples: &anchor []\n")
    corpus.folder(tmp_path / "in", range(1))
    started(run, tmp_path / "in", mappings=str(mappings))
    with pytest.raises(MappingError):
        resume(run, 1, Bounds(), cheap.Silent())
    assert codes(run) == ["BAT022"]


def test_fault_of_our_own_is_a_dead_letter_that_can_be_tried_again(tmp_path: Path) -> None:
    run, told = tmp_path / "run", cheap.Silent()
    corpus.folder(tmp_path / "in", range(20))
    (tmp_path / "in" / "x.edi").write_bytes(corpus.broken(1))
    started(run, tmp_path / "in", raw=True)
    end = gone_on(run, factory=cheap.failing, told=told)
    assert end.totals == {"in": 21, "ok": 19, "dead": 2, "duplicate": 0, "refused": 0}
    assert told.issues == ["SYS021"]
    assert "never shown" not in "".join(map(str, dead(run)))
    kept = [path.read_bytes() for path in sorted((run / "dead" / "raw").iterdir())]
    assert sorted(kept) == sorted([corpus.letter(13), corpus.broken(1)])
    end = retry(run, 1, cheap.Silent(), code="SYS021", factory=cheap.factory)
    assert end.totals == {"in": 21, "ok": 20, "dead": 1, "duplicate": 0, "refused": 0}
    assert lines_of(run)[-1:] == expected(range(13, 14))
    assert [letter["attempt"] for letter in dead(run)] == [1, 1]
    assert retry(run, 1, cheap.Silent(), factory=cheap.factory).totals == end.totals
    assert sorted(letter["attempt"] for letter in dead(run)) == [1, 1, 3]
    assert codes(run) == []


def test_bytes_of_dead_letters_that_are_alike_are_kept_once(tmp_path: Path) -> None:
    """Chunk after chunk has a file of that name: the next one may be written before the last one is renamed."""
    (tmp_path / "in").mkdir()
    for number in range(1200):
        (tmp_path / "in" / f"{number:04}.edi").write_bytes(corpus.broken(1))
    started(tmp_path / "run", tmp_path / "in", raw=True)
    assert gone_on(tmp_path / "run", 2).totals["dead"] == 1200
    assert [path.read_bytes() for path in (tmp_path / "run" / "dead" / "raw").iterdir()] == [corpus.broken(1)]
    assert codes(tmp_path / "run") == []


# What goes wrong with inputs


@pytest.mark.parametrize("change", ["content", "removed"])
def test_file_that_changed_is_not_read_and_the_others_are(change: str, tmp_path: Path) -> None:
    corpus.folder(tmp_path / "in", range(10))
    corpus.zipped(tmp_path / "in" / "z.zip", range(10, 500))
    started(tmp_path / "run", tmp_path / "in")
    if change == "removed":
        (tmp_path / "in" / "0000003.edi").unlink()
    else:
        (tmp_path / "in" / "0000003.edi").write_bytes(corpus.letter(3) + b"\n")
    told = cheap.Silent()
    assert gone_on(tmp_path / "run", 1, told=told).totals["dead"] == 1
    assert told.issues == ["BAT020"]
    assert [letter["code"] for letter in dead(tmp_path / "run")] == ["BAT020"]
    assert codes(tmp_path / "run") == []


def test_archive_that_changes_during_the_run_is_left(tmp_path: Path) -> None:
    archive = corpus.zipped(tmp_path / "z.zip", range(900))
    started(tmp_path / "run", archive)

    class Changing(cheap.Silent):
        def advance(self, totals: dict[str, int], files: int, planned: int) -> None:
            os.utime(archive, ns=(1, totals["in"]))

    end = gone_on(tmp_path / "run", 1, told=Changing())
    assert end.totals["dead"] == 1
    assert 200 <= end.totals["ok"] < 900
    assert end.how == COMPLETE
    assert codes(tmp_path / "run") == []
    assert gone_on(tmp_path / "run").totals == end.totals


def test_files_that_are_no_messages_are_counted_apart(tmp_path: Path) -> None:
    corpus.folder(tmp_path / "in", range(3))
    (tmp_path / "in" / "notes.txt").write_text("hello", encoding="utf-8")
    pattern = str(tmp_path / "*" / "[0n]*")
    begin(tmp_path / "run", [pattern, str(tmp_path / "in")], Options(validate=False), IssueLog())
    end = resume(tmp_path / "run", 1, Bounds(), cheap.Silent())
    assert end.figures["skipped"] == 1
    assert end.totals == {"in": 7, "ok": 3, "dead": 1, "duplicate": 3, "refused": 0}


# What goes wrong with outputs


def test_folder_that_cannot_be_made_is_an_output_error(tmp_path: Path) -> None:
    corpus.folder(tmp_path / "in", range(1))
    done = program("run", tmp_path / "in", "-o", "/proc/no/run")
    assert done.returncode == 74
    assert b"cannot write /proc/no/run" in done.stderr


def test_folder_that_is_used_is_refused(tmp_path: Path) -> None:
    corpus.folder(tmp_path / "in", range(1))
    started(tmp_path / "run", tmp_path / "in")
    with pytest.raises(OutputRefusedError, match="batch resume"):
        started(tmp_path / "run", tmp_path / "in")
    with pytest.raises(OutputRefusedError, match="not empty"):
        started(tmp_path, tmp_path / "in")
    with pytest.raises(OutputRefusedError, match="inside the input folder"):
        started(tmp_path / "in" / "run", tmp_path / "in")
    with pytest.raises(InterchangeError, match="no such file"):
        started(tmp_path / "other", tmp_path / "nothing")
    with pytest.raises(InterchangeError, match="standard input"):
        begin(tmp_path / "other", ["-"], Options(), IssueLog())
    with pytest.raises(InterchangeError, match="no run folder"):
        gone_on(tmp_path / "other")


def test_damaged_ledger_is_said_to_be_one(tmp_path: Path) -> None:
    corpus.folder(tmp_path / "in", range(1))
    started(tmp_path / "run", tmp_path / "in")
    (tmp_path / "run" / LEDGER).write_bytes(b"no database at all" * 100)
    with pytest.raises(InterchangeError, match="damaged"):
        gone_on(tmp_path / "run")


def test_unwritable_ledger_is_an_output_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus.folder(tmp_path / "in", range(1))
    started(tmp_path / "run", tmp_path / "in")

    def full(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr("converter.batch.ledger.passed", full)
    with pytest.raises(SinkError, match="disk is full"):
        gone_on(tmp_path / "run")


# Verifying


def test_verify_finds_what_was_changed(tmp_path: Path) -> None:
    run = tmp_path / "run"
    corpus.folder(tmp_path / "in", range(250))
    (tmp_path / "in" / "x.edi").write_bytes(corpus.broken(1))
    started(run, tmp_path / "in")
    gone_on(run)
    assert codes(run) == []
    part = sorted((run / "parts").iterdir())[0]
    whole = part.read_bytes()
    for damaged in (whole[:-1], whole.replace(b"a", b"b", 1), b""):
        part.write_bytes(damaged)
        assert codes(run) == ["BAT023"]
    part.unlink()
    assert codes(run) == ["BAT023"]
    part.write_bytes(whole)
    (run / "parts" / "more.ndjson").write_bytes(b"{}\n")
    assert codes(run) == ["BAT024"]
    (run / "parts" / "more.ndjson").unlink()
    for name in (protocol.SUCCESS, protocol.MANIFEST):
        kept = (run / name).read_bytes()
        (run / name).unlink()
        assert codes(run) == ["BAT023"]
        (run / name).write_bytes(kept)
    assert codes(run) == []
    sound = (run / LEDGER).read_bytes()
    with sqlite3.connect(run / LEDGER) as ledger:
        ledger.execute("DELETE FROM msg WHERE source=3")
    ledger.close()
    assert codes(run) == ["BAT023", "BAT025"]
    (run / LEDGER).write_bytes(sound)
    assert codes(run) == []


# The command


def test_end_of_a_run_holds_no_list_of_its_files(tmp_path: Path) -> None:
    """The manifest is taken from the ledger file by file; that all of them at once take more is the control."""
    started(tmp_path / "run", corpus.folder(tmp_path / "in", range(1)))
    (tmp_path / "run/tmp/torn.1.1").write_bytes(b"left")
    with running.opened(tmp_path / "run") as (ledger, _):
        files = [Part(f"parts/part-{n:08d}-000000.ndjson", "part", n, 0, 1, 200, 9999, "0" * 64) for n in range(1200)]
        ledger.commit_all([], [], files)
        (tmp_path / "run" / files[7].name).write_bytes(b"known")
        running.sweep(tmp_path / "run", ledger)
        listed = running.manifest(ledger, ledger.totals())
        text = running._json(listed)
        peaks = []
        for take in (partial(running._json, listed), lambda: running._json({**listed, "parts": list(listed["parts"])})):
            tracemalloc.start()
            assert take() == text
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert [entry["name"] for entry in json.loads(text)["parts"]] == [file.name for file in files]
    assert peaks[0] < 2.5 * len(text) < peaks[1]
    assert [path.name for path in (tmp_path / "run/parts").iterdir()] == [Path(files[7].name).name]
    assert not list((tmp_path / "run/tmp").iterdir())


def test_command_gives_what_convert_gives(tmp_path: Path) -> None:
    inputs, run = tmp_path / "in", tmp_path / "run"
    corpus.folder(inputs, range(6))
    (inputs / "x.edi").write_bytes(corpus.broken(1))
    done = program("run", inputs, "-o", run, "--no-validate", "--jobs", "2", "--max-dead", "50%", "--max-time", "600")
    assert done.returncode == 1, done.stderr
    sums = {"run": "complete", "in": 7, "ok": 6, "dead": 1, "duplicate": 0, "refused": 0, "skipped": 0}
    assert json.loads(done.stdout) == sums
    assert b"7 in = 6 ok + 1 dead + 0 duplicate + 0 refused" in done.stderr
    assert json.loads(done.stderr.splitlines()[0])["event"] == "progress"
    command = [sys.executable, "-m", "converter", "convert", inputs, "--no-validate", "-o", tmp_path / "all.ndjson"]
    subprocess.run(command, cwd=HERE, capture_output=True, check=False)
    assert b"\n".join(lines_of(run)) + b"\n" == (tmp_path / "all.ndjson").read_bytes()
    assert program("verify", run).returncode == 0
    shown = program("status", run, "--format", "json")
    assert json.loads(shown.stdout)["status"][0]["codes"] == {"EDI033": 1}
    assert b'medcom_fhir_batch_messages{state="ok"} 6' in (run / "metrics.prom").read_bytes()
    assert b"medcom_fhir_batch_complete 1" in (run / "metrics.prom").read_bytes()
    for words, code in (
        (["resume", run], 1),
        (["retry", run, "--jobs", "1"], 1),
        (["run", inputs, "-o", run], 2),
        (["run", inputs, "-o", tmp_path / "other", "--max-dead", "some"], 2),
        (["run", inputs, "-o", tmp_path / "other", "--accept-loss", "none"], 2),
        (["resume", run, "--mappings", inputs], 2),
    ):
        with pytest.raises(SystemExit) as left:
            commands.main(["batch", *map(str, words)])
        assert left.value.code == code


def test_command_that_is_interrupted_says_so(tmp_path: Path) -> None:
    corpus.folder(tmp_path / "in", range(2000))
    command = [sys.executable, "-m", "converter", "batch", "run", tmp_path / "in", "-o", tmp_path / "run"]
    words = [*command, "--no-validate", "--jobs", "1"]
    with subprocess.Popen(words, cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        until = time.monotonic() + 60
        while not list((tmp_path / "run" / "parts").glob("*")) and time.monotonic() < until:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate()
    assert process.returncode == 130, errors
    assert json.loads(output)["run"] == "interrupted"
    assert b"batch resume" in errors
