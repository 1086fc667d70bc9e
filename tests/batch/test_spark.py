"""Runs on Spark end with the messages and bytes of runs on one machine, whatever happens to executors."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from converter.batch import spark
from converter.batch.options import Options
from converter.batch.running import Bounds, begin, resume
from converter.batch.verifying import verify
from converter.cli import program as commands
from converter.errors import InterchangeError
from converter.issues import IssueLog
from tests.batch import cheap, corpus, unlucky

LONGEST = 600  # seconds of one command; seven minutes were seen on two processors with six others at work
HERE = Path(__file__).resolve().parents[2]
here = pytest.mark.skipif(
    importlib.util.find_spec("pyspark") is None or shutil.which("java") is None,
    reason="PySpark or Java is not installed (requirements-spark.lock, Java 17)",
)


def lines(run: Path, kind: str = "parts") -> list[bytes]:
    parts = json.loads((run / "manifest.json").read_bytes())[kind]
    return [line for part in parts for line in (run / part["name"]).read_bytes().splitlines()]


def findings(run: Path) -> list[str]:
    log = IssueLog()
    verify(run, log)
    return [f"{issue.code} {issue.at.file}" for issue in log]


def ended(command: Sequence[object], environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[bytes]:
    """A command that has come to its end; one that does not is killed, with all that it began, and has failed."""
    words = list(map(str, command))
    with subprocess.Popen(
        words, cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, start_new_session=True
    ) as process:
        try:
            output, errors = process.communicate(timeout=LONGEST)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            _, errors = process.communicate()
            pytest.fail(f"not done after {LONGEST} seconds; it said last:\n{errors.decode(errors='replace')[-4000:]}")
    return subprocess.CompletedProcess(words, process.returncode, output, errors)


def program(*words: object) -> dict[str, Any]:
    command = [sys.executable, "-m", "converter", "batch", *map(str, words)]
    done = ended(command)
    assert done.returncode in (0, 1), done.stderr
    return json.loads(done.stdout.splitlines()[-1]) if words[0] == "run" else {}


def inputs(path: Path) -> Path:
    corpus.folder(path / "a", range(450))
    corpus.zipped(path / "b.zip", range(440, 700))
    (path / "a" / "x.edi").write_bytes(corpus.broken(1))
    return path


# What needs no Spark


@pytest.mark.parametrize(
    "words",
    [
        ("--engine", "spark", "--watch"),
        ("--engine", "spark", "--jobs", "2"),
        ("--engine", "spark", "--to", "oioxml"),
        ("--engine", "spark", "--spark-conf", "no value"),
        ("--master", "local[2]"),
        ("hdfs://host/x",),
        ("--engine", "spark", "hdfs://host/x"),
    ],
)
def test_options_that_would_not_be_obeyed_are_refused(words: tuple[str, ...], tmp_path: Path) -> None:
    corpus.folder(tmp_path / "in", range(1))
    with pytest.raises(SystemExit) as left:
        commands.main(["batch", "run", str(tmp_path / "in"), *words, "-o", str(tmp_path / "run")])
    assert left.value.code == 2


def test_spark_that_is_missing_is_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyspark", None)
    monkeypatch.setitem(sys.modules, "pyspark.errors", None)
    with (
        pytest.raises(InterchangeError, match=r"pip install 'medcom-fhir\[spark\]'"),
        spark.session(spark.Cluster("local[2]"), tmp_path),
    ):
        pass


def test_negative_control_what_does_not_end_fails_and_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "LONGEST", 0.3)
    began = time.monotonic()
    with pytest.raises(pytest.fail.Exception, match=r"not done after 0\.3 seconds; it said last:\nso far"):
        ended(["sh", "-c", "echo so far >&2; sleep 99; exit"])
    assert time.monotonic() - began < 30  # nothing holds its pipes any more


# What does


@here
@pytest.mark.long
def test_result_is_that_of_one_machine(tmp_path: Path) -> None:
    source, local, other = inputs(tmp_path / "in"), tmp_path / "local", tmp_path / "spark"
    sums = program("run", source, "-o", local, "--no-validate")
    assert sums == {"run": "complete", "in": 711, "ok": 700, "dead": 1, "duplicate": 10, "refused": 0, "skipped": 0}
    assert program("run", source, "-o", other, "--no-validate", "--engine", "spark", "--master", "local[2]") == sums
    assert lines(other) == lines(local)
    assert lines(other, "dead") == lines(local, "dead")
    assert (other / "summary.json").read_bytes() == (local / "summary.json").read_bytes()
    assert findings(other) == []
    for path in [other, *other.rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path
    part = next((other / "parts").iterdir())
    part.write_bytes(part.read_bytes().replace(b"a", b"b", 1))
    assert findings(other) == [f"BAT023 {part}"]


@here
@pytest.mark.long
def test_inputs_and_data_may_lie_in_file_systems_of_hadoop(tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed (extra parquet)")
    source, local, other = inputs(tmp_path / "in"), tmp_path / "local", tmp_path / "spark"
    program("run", source, "-o", local, "--no-validate", "--parquet")
    data = (tmp_path / "data").as_uri()
    words = ("--no-validate", "--parquet", "--engine", "spark", "--master", "local[2]", "--data", data)
    sums = program("run", source.as_uri(), "-o", other, *words)
    assert (sums["ok"], sums["dead"], sums["duplicate"]) == (700, 1, 10)
    tables = [
        pq.read_table(tmp_path / "data" / "parts" / Path(part["name"]).name)
        for part in json.loads((other / "manifest.json").read_bytes())["parts"]
    ]
    theirs = [row for table in tables for row in table.to_pylist()]
    parts = json.loads((local / "manifest.json").read_bytes())["parts"]
    assert theirs == [row for part in parts for row in pq.read_table(local / part["name"]).to_pylist()]
    command = [sys.executable, "-m", "converter", "batch", "verify", other, "--master", "local[2]"]
    assert ended(command).returncode == 0
    (tmp_path / "data" / "parts" / "part-more.parquet").write_bytes(b"more\n")
    assert b"BAT024" in ended(command).stdout


_RUN = """
import importlib, json, sys
from pathlib import Path
from converter.batch import spark
from tests.batch import cheap
folder, master, module, *settings = sys.argv[1:]
cluster = spark.Cluster(master, tuple(tuple(setting.split("=")) for setting in settings))
told = cheap.Silent()
end = spark.run(Path(folder), cluster, told, factory=importlib.import_module(module).factory)
print(json.dumps({"how": end.how, "codes": end.codes, **end.totals}))
"""


def on_spark(
    run: Path, master: str, module: str, *settings: str, before: Sequence[str] = (), **environment: str
) -> dict[str, Any]:
    """A run in a process of its own, whose executors find the tests' modules."""
    mine = {**os.environ, "PYTHONPATH": str(HERE), "SPARK_LOCAL_IP": "127.0.0.1", **environment}
    command = [*before, sys.executable, "-c", _RUN, run, master, module, *settings]
    done = ended(command, mine)
    assert done.returncode == 0, done.stderr[-4000:]
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def compared(tmp_path: Path, source: Path) -> tuple[Path, Path]:
    """A run that is complete, by workers of this machine, and one that is begun."""
    options = Options(validate=False, mappings=str(HERE / "mappings" / "letters"))
    for name in ("local", "spark"):
        begin(tmp_path / name, [str(source)], options, IssueLog())
    resume(tmp_path / "local", 2, Bounds(), cheap.Silent(), factory=cheap.factory)
    return tmp_path / "local", tmp_path / "spark"


def joined(logs: Iterable[Path]) -> None:
    """Wait until the workers with these logs belong to the cluster: a driver gives up on a master after a minute."""
    waiting, until = list(logs), time.monotonic() + LONGEST
    while waiting:
        waiting = [log for log in waiting if b"Successfully registered with master" not in log.read_bytes()]
        if waiting and time.monotonic() > until:
            said = waiting[0].read_text(encoding="utf-8", errors="replace")
            pytest.fail(f"no cluster after {LONGEST} seconds; {waiting[0].name} ends:\n{said[-2000:]}")
        time.sleep(0.5)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a part of a cluster, whether it listens or not."""
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()


@contextmanager
def cluster(folder: Path) -> Iterator[str]:
    """A cluster of Spark's own kind on this machine: a master and two workers, whose hosts count as two.

    Speculation never begins a task again on the host where it runs, so `local-cluster` would not show it.
    """
    folder.mkdir()
    home = Path(next(iter(importlib.util.find_spec("pyspark").submodule_search_locations)))  # type: ignore[union-attr, arg-type]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    at = f"spark://127.0.0.1:{port}"
    kind = "org.apache.spark.deploy"
    commands = [[f"{kind}.master.Master", "--host", "127.0.0.1", "--port", port, "--webui-port", 0]]
    commands += [
        [f"{kind}.worker.Worker", "--host", host, "--cores", 1, "--memory", "1g", "--webui-port", 0, at]
        for host in ("127.0.0.1", "127.0.0.2")
    ]
    with ExitStack() as stack:
        for n, words in enumerate(commands):
            log = stack.enter_context((folder / f"{n}.log").open("wb"))
            own = "127.0.0.2" if n == 2 else "127.0.0.1"
            environment = {**os.environ, "SPARK_LOCAL_IP": own, "SPARK_WORKER_DIR": str(folder)}
            environment["SPARK_MASTER_OPTS"] = f"-Dspark.master.rest.enabled=false -Dspark.worker.timeout={LONGEST}"
            command = [home / "bin" / "spark-class", *map(str, words)]
            process = stack.enter_context(subprocess.Popen(command, stdout=log, stderr=log, env=environment))
            stack.callback(stop, process)
        joined(folder / f"{n}.log" for n in range(1, len(commands)))
        yield at


@here
@pytest.mark.long
def test_lost_executors_and_speculation_change_nothing(tmp_path: Path) -> None:
    local, run = compared(tmp_path, corpus.folder(tmp_path / "in", range(1500)))
    (tmp_path / "unlucky").mkdir()
    with cluster(tmp_path / "cluster") as master:
        figures = on_spark(
            run,
            master,
            "tests.batch.unlucky",
            "spark.driver.host=127.0.0.1",
            "spark.executor.memory=512m",
            f"spark.network.timeout={LONGEST}s",  # who is slow is not lost
            "spark.task.maxFailures=12",
            "spark.speculation=true",
            "spark.speculation.quantile=0.1",
            "spark.speculation.multiplier=1.1",
            f"spark.executorEnv.PYTHONPATH={HERE}",
            f"spark.executorEnv.UNLUCKY={tmp_path / 'unlucky'}",
        )
    assert (figures["how"], figures["in"], figures["ok"]) == ("complete", 1500, 1500)
    struck = {path.name for path in (tmp_path / "unlucky").iterdir()}
    assert struck == {*(name.decode() for name in unlucky.KILLS), "hung", "hung, and done by another"}
    assert lines(run) == lines(local)
    assert findings(run) == []


@here
@pytest.mark.long
def test_message_that_kills_its_process_is_the_only_one_lost(tmp_path: Path) -> None:
    source = corpus.folder(tmp_path / "in", range(300))
    (source / "0000007.edi").write_bytes(cheap.POISON)
    local, run = compared(tmp_path, source)
    figures = on_spark(run, "local[2]", "tests.batch.cheap")
    assert (figures["ok"], figures["dead"], figures["codes"]) == (299, 1, {"BAT021": 1})
    assert lines(run) == lines(local)
    assert lines(run, "dead") == lines(local, "dead")


@here
@pytest.mark.long
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv is missing")
def test_input_that_may_not_be_read_leaves_the_run_to_be_done_again(tmp_path: Path) -> None:
    source = corpus.folder(tmp_path / "in", range(30))
    local, run = compared(tmp_path, source)
    (source / "0000007.edi").chmod(0)
    ordinary = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if not os.geteuid() else ()
    figures = on_spark(run, "local[2]", "tests.batch.cheap", before=ordinary)
    assert (figures["how"], figures["in"]) == ("unread", 0)
    assert not (run / "_SUCCESS").exists()
    (source / "0000007.edi").chmod(0o600)
    assert on_spark(run, "local[2]", "tests.batch.cheap")["how"] == "complete"
    assert lines(run) == lines(local)
    assert findings(run) == []
