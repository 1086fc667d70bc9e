"""A run on Spark: planned here, chunks converted by executors, written by Spark's committers, accounted for here.

Executors call the same pure function over the same chunks as the workers of one machine, so a task that is begun again
(a lost executor, speculation) changes nothing. What they write first is one record a message; Spark's committer lets
each task count once. Duplicates are found among these records, outputs and dead letters are written in the order of the
input, and then the ledger is, in one transaction: whatever stops the run before, it is done again from its plan.

PySpark is optional and only imported here.
"""

from __future__ import annotations

import base64
import hashlib
import json
import multiprocessing
import os
import pickle
import re
import shutil
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from converter.batch.chunk import WORKER, Convert, Fault, Form, Piece, Result, Row, State, convert_chunk
from converter.batch.ledger import Committed, Key, Ledger, Part, Planned
from converter.batch.options import Options, fingerprint
from converter.batch.plan import Chunk, Chunks, splits
from converter.batch.protocol import DEAD, PARTS, TEMPORARY, Seen, sha256_of
from converter.batch.running import COMPLETE, UNREAD, Bounds, Ended, Progress, Run, going_on, prepare, sweep
from converter.batch.workers import Factory
from converter.errors import InterchangeError, SinkError
from converter.issues import Issue, IssueLog
from converter.sources import Source

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
_RECORD = (
    "kind string, source long, piece long, ordinal long, first long, k long, line long, cid string, code string, "
    "text string"
)
_PLACE = ("source", "piece", "ordinal")
_CHUNK, _SAID, _UNREAD = "chunk", "said", "unread"
_ATTEMPTS = 4


class _Record(NamedTuple):
    """What a task tells: a message as a line or a dead letter, the figures of a chunk, a finding about an input."""

    kind: str
    source: int
    piece: int
    ordinal: int
    first: int
    k: int
    line: int
    cid: str
    code: str
    text: str


class _Fetched(NamedTuple):
    """A file of the plan as Spark has read it; no content if it is gone."""

    file: Planned
    content: bytes | None = None
    stamp: tuple[int, int] = (-1, 0)


@dataclass(frozen=True, slots=True)
class Cluster:
    """Which Spark: its master (as it was submitted, if empty), settings, and where the data go (the run folder)."""

    master: str = ""
    settings: tuple[tuple[str, str], ...] = ()
    data: str = ""


def is_uri(argument: str) -> bool:
    """Whether an input is named for Hadoop's file systems and not as a path."""
    return _URI.match(argument) is not None


# The session


@contextmanager
def session(cluster: Cluster, scratch: Path) -> Iterator[Any]:
    """Spark, ended afterwards. `scratch` holds what it spills on this machine: never the system's own folder."""
    try:
        from pyspark.errors import PySparkRuntimeError
        from pyspark.sql import SparkSession
    except ImportError:
        raise InterchangeError("--engine spark needs PySpark: pip install 'medcom-fhir[spark]'") from None
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.umask(0o077)  # the JVM keeps it
    builder: Any = SparkSession.builder.appName("medcom-fhir batch")
    for name, value in _settings(cluster, scratch).items():
        builder = builder.config(name, value)
    try:
        spark = builder.getOrCreate()
    except PySparkRuntimeError as error:
        raise InterchangeError("Spark cannot be started; is there a Java 17 or newer?") from error
    try:
        yield spark
    finally:
        spark.stop()


def _settings(cluster: Cluster, scratch: Path) -> dict[str, str]:
    wanted = {"spark.ui.showConsoleProgress": "false", "spark.hadoop.fs.permissions.umask-mode": "077"}
    wanted["spark.sql.warehouse.dir"] = str(scratch / "warehouse")
    if cluster.master:
        # A message that kills its process is met by another attempt, which a local master without a number never makes.
        wanted["spark.master"] = re.sub(r"\Alocal\[(\d+|\*)\]\Z", rf"local[\1,{_ATTEMPTS}]", cluster.master)
    if cluster.master.startswith("local"):
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        wanted |= {"spark.local.dir": str(scratch), "spark.ui.enabled": "false", "spark.log.level": "ERROR"}
    return wanted | dict(cluster.settings)


# Planning


def begin(folder: Path, arguments: Sequence[str], options: Options, cluster: Cluster, log: IssueLog) -> None:
    """Make a run folder with a plan of what Hadoop's file systems hold."""
    scratch = folder.parent.resolve()
    with session(cluster, scratch) as spark:
        prepare(folder, arguments, options, log, listed(spark, arguments))


def listed(spark: Any, arguments: Sequence[str]) -> Iterator[Planned]:
    """The files of these URIs, patterns and folders resolved, in the order of names; hidden ones are left out.

    Raises `InterchangeError` for what is not there.
    """
    n = 0
    for argument in arguments:
        path = spark._jvm.org.apache.hadoop.fs.Path(argument)
        system = path.getFileSystem(spark._jsc.hadoopConfiguration())
        found = list(system.globStatus(path) or ())
        if not found:
            raise InterchangeError(f"no such file or folder: {argument}")
        for top in sorted(found, key=lambda status: str(status.getPath().toString())):
            for file in _below(system, top):
                yield file._replace(n=n)
                n += 1


def _below(system: Any, top: Any) -> list[Planned]:
    if not top.isDirectory():
        return [_planned(top, top.getPath().getName(), explicit=True)]
    files, above = system.listFiles(top.getPath(), True), top.getPath().toString().rstrip("/") + "/"
    found = []
    while files.hasNext():
        status = files.next()
        name = status.getPath().toString().removeprefix(above)
        if not any(part.startswith((".", "_")) for part in name.split("/")):
            found.append(_planned(status, name, explicit=False))
    return sorted(found, key=lambda file: file.name.split("/"))


def _planned(status: Any, name: str, *, explicit: bool) -> Planned:
    uri = status.getPath().toString()
    return Planned(0, uri, name, uri, explicit, status.getLen(), status.getModificationTime())


# What executors do


class _Read(Chunks):
    """The chunks of files that Spark has read."""

    def __init__(self, fetched: Iterable[_Fetched], options: Options) -> None:
        self._fetched = {each.file.n: each for each in fetched}
        super().__init__((each.file for each in self._fetched.values()), {}, options.limits)

    def source(self, file: Planned) -> Source:
        content = self._fetched[file.n].content
        return replace(super().source(file), held=content or b"")

    def is_unchanged(self, file: Planned) -> bool:
        return self._fetched[file.n].stamp == (file.size, file.mtime)


@dataclass(frozen=True, slots=True)
class _Task:
    """What every task does. Its mapping files must be those that the run was begun with."""

    factory: Factory
    options: Options
    print: tuple[tuple[str, str], ...]

    def paths(self, groups: Iterable[list[Planned]]) -> Iterator[_Record]:
        """Files that every machine sees."""
        for files in groups:
            yield from self._records(Chunks(iter(files), {}, self.options.limits))

    def contents(self, rows: Iterable[Any]) -> Iterator[_Record]:
        """Files that Spark has read, in the order of the plan."""
        for _, group in groupby(rows, key=lambda row: row.split):
            fetched = [_fetched(row) for row in group]
            yield from self._records(_Read(fetched, self.options))

    def _records(self, chunks: Chunks) -> Iterator[_Record]:
        from pyspark import TaskContext

        context = TaskContext.get()
        again = context is not None and context.attemptNumber() > 0
        convert = _converter(self.factory, self.options, self.print)
        for chunk in chunks:
            run = _guarded if again else convert_chunk
            yield from _told(chunk, run(chunk.pieces, convert, self.options.form()))
        for kind, issues in ((_SAID, chunks.said), (_UNREAD, chunks.unread)):
            for issue in issues:
                text = base64.b64encode(pickle.dumps(issue)).decode()
                yield _Record(kind, 0, 0, 0, 0, 0, 0, "", issue.code, text)


def _fetched(row: Any) -> _Fetched:
    file = Planned(row.n, row.path, row.name, row.display, row.explicit, row.size, row.mtime)
    if row.content is None:
        return _Fetched(file)
    return _Fetched(file, bytes(row.content), (row.length, row.changed))


@lru_cache(maxsize=1)
def _converter(factory: Factory, options: Options, wanted: tuple[tuple[str, str], ...]) -> Convert:
    if tuple(sorted(fingerprint(options).items())) != wanted:
        raise InterchangeError("an executor has other mapping files, organisations or versions than the driver")
    return factory()


def _told(chunk: Chunk, result: Result) -> Iterator[_Record]:
    """The records of a chunk: one a message, and one for itself."""
    for row in map(Row._make, result.rows):
        texts = result.lines if row.state == State.OK else result.dead
        text = texts[row.line - 1].rstrip(b"\n").decode()
        place = (row.source, row.piece, row.ordinal, chunk.key.source, chunk.key.k, row.line)
        yield _Record(str(row.state), *place, row.cid.hex(), row.code, text)
    facts = {"ended": chunk.ended, "files": chunk.files, "messages": len(result.rows), "figures": result.figures}
    yield _Record(_CHUNK, 0, 0, 0, chunk.key.source, chunk.key.k, 0, "", "", json.dumps(facts))


def _guarded(pieces: Sequence[Piece], convert: Convert, form: Form) -> Result:
    """The same in a process of its own, since an earlier attempt was lost: perhaps a message kills who converts it.

    A piece that does so once more alone is left out, as by the workers of one machine.
    """
    result = _apart(lambda: convert_chunk(pieces, convert, form))
    if result is None:
        dead = Fault(WORKER.code, "convert")
        alone = [_apart(lambda piece=piece: convert_chunk([piece], convert, form)) for piece in pieces]  # type: ignore[misc]
        safe = [p if done else p._replace(fault=dead) for p, done in zip(pieces, alone, strict=True)]
        result = convert_chunk(safe, convert, form)
    return result


def _apart(work: Callable[[], Result]) -> Result | None:
    """What a child process makes; None if it is killed. What it cannot do is done here, and fails here."""
    receive, send = multiprocessing.Pipe(duplex=False)
    child = os.fork()
    if not child:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        try:
            send.send(work())
            os._exit(0)
        finally:
            os._exit(1)
    send.close()
    try:
        result: Result | None = receive.recv()
    except EOFError:
        result = None
    receive.close()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return work() if result is None and code >= 0 else result


# The run


def run(folder: Path, cluster: Cluster, progress: Progress, *, factory: Factory | None = None) -> Ended:
    """Carry out a run from its plan to its manifest. One that was stopped is done again.

    Raises `InterchangeError` for a run that workers of one machine have begun, and `SinkError` if the job fails.
    """
    with going_on(folder, Bounds(), progress, factory) as going:
        if going.ledger.get("complete"):
            return going.ended(COMPLETE)
        if going.ledger.done():
            raise InterchangeError(f"{folder} was begun without Spark; go on with it as it was begun")
        sweep(folder, going.ledger)
        scratch = (folder / TEMPORARY).resolve()
        try:
            with session(cluster, scratch) as spark, _failures(folder):
                how = _Job(spark, going, cluster, factory or going.options).run()
        finally:
            for left in scratch.iterdir():
                shutil.rmtree(left, ignore_errors=True)
        if how == COMPLETE:
            going.totals = going.ledger.totals()
            going.files, going.planned = going.ledger.progress()
            going.finish()
        going.ledger.say(how)
        return going.ended(how)


@contextmanager
def _failures(folder: Path) -> Iterator[None]:
    """A failed job as an error of ours. Its own text has tracebacks, which may show values."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        yield
    except (Py4JError, PySparkException) as error:
        said = re.search(r"InterchangeError: (an executor has other [^\n]+)", str(error))
        if said:
            raise InterchangeError(said[1]) from None
        raise SinkError(f"the Spark job of {folder} failed; its log says why") from None


@dataclass(slots=True)
class _Job:
    """One run at work on Spark."""

    spark: Any
    going: Run
    cluster: Cluster
    factory: Factory
    _found: list[Any] = field(default_factory=list)

    @property
    def _tasks(self) -> int:
        """Into how many tasks work is cut that all executors are to have a part in."""
        return int(self.spark.sparkContext.defaultParallelism) * 4

    def run(self) -> str:
        """Convert, find duplicates, write, account."""
        base = self.cluster.data.rstrip("/") or self.going.folder.resolve().as_uri()
        staging = f"{base}/{TEMPORARY}/staging"
        plan = list(self.going.ledger.plan())
        records = self._converted(plan)
        self.spark.createDataFrame(records, _RECORD).write.mode("overwrite").partitionBy("kind").parquet(staging)
        told = self.spark.read.schema(_RECORD).parquet(staging)
        self._say(told, _SAID)
        if self._say(told, _UNREAD):
            return UNREAD
        later = self._duplicates(told).persist()
        self._write(told, later, base)
        parts = [*self._parts(base, PARTS, "part"), *self._parts(base, DEAD, "dead")]
        self.going.ledger.commit_all(_chunks(told), self._rows(told, later), parts)
        if self.cluster.data:
            path = self.spark._jvm.org.apache.hadoop.fs.Path(staging)
            path.getFileSystem(self.spark._jsc.hadoopConfiguration()).delete(path, True)
        with self.going.ledger.transaction():
            self.going.ledger.put("spark", {"data": self.cluster.data.rstrip("/")})
        return COMPLETE

    def _converted(self, plan: Sequence[Planned]) -> Any:
        wanted = tuple(sorted(self.going.ledger.get("settings")["fingerprint"].items()))
        task = _Task(self.factory, self.going.options, wanted)
        groups = list(splits(plan))
        # Small tasks lose little when an executor is lost, and large ones spend little on being begun.
        slices = max(1, min(len(groups), max(self._tasks, len(groups) // 16)))
        if not any(is_uri(file.path) for file in plan):
            return self.spark.sparkContext.parallelize(groups, slices).mapPartitions(task.paths)
        return self._contents(groups, slices).rdd.mapPartitions(task.contents)

    def _contents(self, groups: Sequence[Sequence[Planned]], slices: int) -> Any:
        """Every file of the plan beside its content, read by Spark, what is read together in one partition."""
        from pyspark.sql import functions as f

        rows = [(split, *file[:-1]) for split, group in enumerate(groups) for file in group]
        columns = (
            "split long, n long, path string, name string, display string, explicit boolean, size long, mtime long"
        )
        reader = self.spark.read.format("binaryFile").option("recursiveFileLookup", "true")
        found = reader.option("ignoreMissingFiles", "true").load(list(self.going.ledger.get("settings")["inputs"]))
        contents = found.select("path", "length", "content", f.unix_millis("modificationTime").alias("changed"))
        joined = self.spark.createDataFrame(rows, columns).join(contents, "path", "left")
        return joined.repartitionByRange(slices, "split").sortWithinPartitions("split", "n")

    def _say(self, told: Any, kind: str) -> bool:
        issues: list[Issue] = [
            pickle.loads(base64.b64decode(row.text)) for row in told.where(told.kind == kind).select("text").collect()
        ]
        if issues:
            self.going.progress.found(issues)
        return bool(issues)

    def _duplicates(self, told: Any) -> Any:
        """The places of messages whose bytes came before in the input and have an output there."""
        from pyspark.sql import Window
        from pyspark.sql import functions as f

        places = told.where(told.kind == str(State.OK)).select(*_PLACE, "cid")
        if self.going.options.keep_duplicates:
            return places.where("false").select(*_PLACE)
        # The result is kept, so that Spark does not join what is small: it would have 200 parts three times.
        places = places.repartition(self._tasks, "cid")
        nth = f.row_number().over(Window.partitionBy("cid").orderBy(*_PLACE))
        return places.withColumn("nth", nth).where("nth > 1").select(*_PLACE)

    def _write(self, told: Any, later: Any, base: str) -> None:
        kept = told.where(told.kind == str(State.OK)).join(later, list(_PLACE), "left_anti").orderBy(*_PLACE)
        if self.going.options.parquet:
            columns = ("source", "piece", "ordinal as message", "cid", "text as bundle")
            table = kept.selectExpr(*columns)
            table.write.mode("overwrite").option("compression", "zstd").parquet(f"{base}/{PARTS}")
        else:
            kept.select("text").write.mode("overwrite").text(f"{base}/{PARTS}")
        dead = told.where(told.kind.isin(str(State.DEAD), str(State.REFUSED))).orderBy(*_PLACE)
        dead.select("text").write.mode("overwrite").text(f"{base}/{DEAD}")

    def _parts(self, base: str, name: str, kind: str) -> Iterator[Part]:
        """The files that Spark wrote and that hold something."""
        tables = self._rows_of_files(f"{base}/{name}") if kind == "part" and self.going.options.parquet else {}
        for n, (path, (digest, size, lines)) in enumerate(sorted(self._seen(base, name).items())):
            lines = tables.get(path.rpartition("/")[2], 0) if path.endswith(".parquet") else lines
            if lines:
                yield Part(path, kind, n, 0, 1, lines, size, digest)

    def _seen(self, base: str, name: str) -> dict[str, Seen]:
        if self.cluster.data:
            return seen(self.spark, f"{base}/{name}")
        folder = self.going.folder
        files = (path for path in (folder / name).glob("part-*") if path.is_file())
        return {path.relative_to(folder).as_posix(): sha256_of(path) for path in files}

    def _rows_of_files(self, uri: str) -> dict[str, int]:
        from pyspark.sql import functions as f

        counts = self.spark.read.parquet(uri).groupBy(f.input_file_name().alias("name")).count().collect()
        return {row["name"].rpartition("/")[2]: row["count"] for row in counts}

    def _rows(self, told: Any, later: Any) -> Iterator[tuple[Any, ...]]:
        """The rows of the ledger. `line` of a message with an output is its line in all parts together."""
        from pyspark.sql import functions as f

        messages = told.where(told.kind.isin(*(str(state) for state in State))).drop("text")
        marked = messages.join(later.withColumn("later", f.lit(True)), list(_PLACE), "left").orderBy(*_PLACE)
        line = dead = 0
        for row in marked.toLocalIterator(prefetchPartitions=True):
            state = str(State.DUPLICATE) if row.later else row.kind
            line += state == State.OK
            dead += state in (State.DEAD, State.REFUSED)
            at = {str(State.OK): line, str(State.DUPLICATE): 0}.get(state, dead)
            place = (row.source, row.piece, row.ordinal, row["first"], row.k)
            yield (*place, bytes.fromhex(row.cid), state, row.code, at, 1)


def _chunks(told: Any) -> Iterator[Committed]:
    for row in told.where(told.kind == _CHUNK).select("first", "k", "text").collect():
        facts = json.loads(row.text)
        key = Key(row["first"], row.k)
        yield Committed(key, facts["ended"], facts["files"], facts["messages"], facts["figures"])


# Verifying


def seen(spark: Any, uri: str) -> dict[str, Seen]:
    """What stands in a folder of a Hadoop file system, by URI; hidden files are left out."""

    def look(row: Any) -> tuple[str, Seen]:
        content = bytes(row.content)
        return row.path, (hashlib.sha256(content).hexdigest(), len(content), content.count(b"\n"))

    return dict(spark.read.format("binaryFile").load(uri).rdd.map(look).collect())


def data_of(folder: Path) -> str:
    """Where the data of a run lie, if that is not its folder."""
    ledger = Ledger(folder, read_only=True)
    try:
        return str((ledger.get("spark") or {}).get("data", ""))
    finally:
        ledger.close()


def seen_by(cluster: Cluster, folder: Path, base: str) -> dict[str, Seen]:
    """What Spark sees of the data of a run that lie elsewhere."""
    with session(cluster, (folder / TEMPORARY).resolve()) as spark, _failures(folder):
        return {**seen(spark, f"{base}/{PARTS}"), **seen(spark, f"{base}/{DEAD}")}
