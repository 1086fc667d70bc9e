"""An assessment from a corpus to a folder: a run of the batch engine that makes a line a message, and then the tables.

The run lies in a folder of its own below the result and is removed when the result is there, so that a stop anywhere
costs only what was being done. Nothing of the result depends on how often it was stopped, or on who did the work.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from converter.assessment import tables
from converter.assessment.assembling import Assembly
from converter.assessment.collecting import Collecting
from converter.assessment.inventory import Systems, systems
from converter.assessment.measures import FILE, Measures
from converter.assessment.metrics import Questions
from converter.assessment.sampling import Sample, choose
from converter.assessment.summary import Summing
from converter.assessment.tables import CLUSTERS, COVERAGE, FACTS, FINDINGS, PAIRS, Keys, Row, Table
from converter.batch import running
from converter.batch.options import Options, engine_for
from converter.batch.protocol import MANIFEST as PARTS
from converter.batch.protocol import make_folder
from converter.batch.running import COMPLETE, Bounds, Ended, Progress
from converter.batch.spark import Cluster
from converter.directory import Directory
from converter.engine import Engine
from converter.errors import InterchangeError
from converter.issues import IssueLog, import_all_kinds
from converter.sinks import OutputRefusedError, written

WORK, READING, KEY, SAMPLE = "work", "reading", "work.key", "work.sample"
SUMMARY, ASSUMPTIONS, OPERATION, MANIFEST = "summary.json", "assumptions.json", "operation.json", "manifest.json"
_MILLION, _HOUR = 1_000_000, 3600


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an assessment is made of. `key`: empty to have one drawn; `cluster`: None for workers of this machine.

    `inventory`: what `assess inventory` wrote; it is read at the end. `sample`: how many messages of each type, version
    and sender are assessed; 0 for all.
    """

    corpus: tuple[str, ...]
    options: Options
    key: bytes = b""
    jobs: int = 1
    cluster: Cluster | None = None
    inventory: Path | None = None
    sample: int = 0


@dataclass(slots=True)
class Assessed:
    """How an assessment ended: as the batch run below it did, and the summary if it is there."""

    ended: Ended
    summary: dict[str, Any] = field(default_factory=dict)


def begin(folder: Path, wanted: Wanted, log: IssueLog) -> None:
    """Plan an assessment into a new folder. Raises `OutputRefusedError` if there is something in it."""
    tables.require()
    engine = engine_for(wanted.options)
    Measures.load(engine.folder)
    _inventory(wanted.inventory, engine)
    if folder.is_dir() and any(folder.iterdir()):
        what = "an assessment that was not finished; --resume goes on" if (folder / WORK).is_dir() else "files already"
        raise OutputRefusedError(f"{folder} holds {what}")
    make_folder(folder)
    if wanted.sample:
        running.begin(folder / READING, wanted.corpus, wanted.options, log)
        (folder / SAMPLE).write_text(str(wanted.sample), encoding="ascii")
    running.begin(folder / WORK, wanted.corpus, wanted.options, IssueLog() if wanted.sample else log)
    _keep_key(folder / KEY, wanted.key or secrets.token_bytes(32), drawn=not wanted.key)


def go_on(folder: Path, wanted: Wanted, progress: Progress) -> Assessed:
    """Go on with an assessment until its end, or until something stops it.

    Raises `InterchangeError` if it was begun with another key, other mapping files or another table.
    """
    tables.require()
    work = folder / WORK
    if not work.is_dir():
        raise InterchangeError(f"{folder} holds no assessment that was begun and not finished")
    key, drawn = _kept_key(folder / KEY)
    if wanted.key and wanted.key != key:
        raise InterchangeError("not the same key as when the assessment began: identities would not agree")
    with running.opened(work) as (ledger, options):
        before = ledger.totals()["in"]
    engine_for(options).load()  # once, and not in every worker
    sample = None
    if (folder / SAMPLE).is_file():
        ended = _carried_out(folder / READING, wanted, progress, Collecting(options, key, frozenset()))
        if ended.how != COMPLETE:
            return Assessed(ended)
        sample = choose(_lines(folder / READING), Keys(key), int((folder / SAMPLE).read_text(encoding="ascii")))
    clock = _Clock()
    factory = Collecting(options, key, sample.contents if sample else None)
    ended = _carried_out(work, wanted, progress, factory)
    if ended.how != COMPLETE:
        return Assessed(ended)
    clock.read(ended.totals["in"] - before)
    summary = _Result(folder, options, key, ended, clock, wanted.inventory, drawn, sample).write()
    for left in (work, folder / READING):
        shutil.rmtree(left, ignore_errors=True)
    for name in (KEY, SAMPLE):
        (folder / name).unlink(missing_ok=True)
    return Assessed(ended, summary)


def _carried_out(work: Path, wanted: Wanted, progress: Progress, factory: Collecting) -> Ended:
    if wanted.cluster is None:
        return running.resume(work, wanted.jobs, Bounds(), progress, factory=factory)
    from converter.batch import spark

    return spark.run(work, wanted.cluster, progress, factory=factory)


def _lines(work: Path) -> Iterator[bytes]:
    """The lines of a run, in the order of the corpus."""
    for part in json.loads((work / PARTS).read_bytes())["parts"]:
        with (work / part["name"]).open("rb") as file:
            yield from file


def _inventory(path: Path | None, engine: Engine) -> Systems | None:
    return systems(path, {name: row.letters for name, row in engine.routes.fhir.items()}) if path else None


def _keep_key(path: Path, key: bytes, *, drawn: bool) -> None:
    handle = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write((b"drawn" if drawn else b"given") + b"\n" + key)


def _kept_key(path: Path) -> tuple[bytes, bool]:
    try:
        how, _, key = path.read_bytes().partition(b"\n")
    except OSError:
        raise InterchangeError(
            f"{path} is gone: without the key the assessment cannot go on; begin a new one"
        ) from None
    return key, how == b"drawn"


class _Clock:
    """What this part of the run took: seconds, seconds of processors, memory."""

    def __init__(self) -> None:
        self._began, self._before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
        self.messages, self.seconds, self.processor, self.memory = 0, 0.0, 0.0, 0

    def read(self, messages: int) -> None:
        """Note what it took until now, for so many messages."""
        now = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.messages, self.seconds = messages, time.monotonic() - self._began
        self.processor = now.ru_utime + now.ru_stime - self._before.ru_utime - self._before.ru_stime
        self.memory = now.ru_maxrss * 1024  # Linux counts kilobytes

    def as_json(self, size: int) -> dict[str, Any]:
        """The figures, for that many bytes of messages; none where nothing was read in this part."""
        if not self.messages or not self.processor:
            return {"measured": False}
        rate = self.messages / self.processor
        return {
            "measured": True,
            "messages": self.messages,
            "seconds": round(self.seconds, 3),
            "processor_seconds": round(self.processor, 3),
            "messages_a_second": round(self.messages / self.seconds, 3),
            "messages_a_second_and_core": round(rate, 3),
            "megabytes_a_second_and_core": round(size / self.processor / 1e6, 3),
            "core_hours_a_million": round(_MILLION / rate / _HOUR, 3),
            "memory_of_a_worker": self.memory,
        }


@dataclass
class _Result:
    """The files of an assessment."""

    folder: Path
    options: Options
    key: bytes
    ended: Ended
    clock: _Clock
    inventory: Path | None
    drawn: bool
    sample: Sample | None

    def write(self) -> dict[str, Any]:
        """Make them from the lines of the run; returns the summary."""
        import_all_kinds()  # findings are told in the words of the catalog, whoever found them
        engine = engine_for(self.options)
        measures = Measures.load(engine.folder)
        assembly = Assembly(engine, measures)
        weights = self.sample.weights if self.sample else None
        self._table(FACTS, assembly.facts(_lines(self.folder / WORK), weights))
        self._table(COVERAGE, assembly.coverage())
        self._table(PAIRS, assembly.pairs())
        self._table(CLUSTERS, assembly.rows_of_clusters())
        self._table(FINDINGS, assembly.rows_of_findings())
        with Questions(self.folder) as questions:
            summary = Summing(assembly, questions, self._names(measures), self._given(questions)).summary()
        self._json(SUMMARY, summary)
        self._json(ASSUMPTIONS, self._assumptions(measures, summary))
        self._json(OPERATION, self.clock.as_json(summary["corpus"]["bytes"]))
        self._json(MANIFEST, self._manifest())
        return summary

    def _table(self, table: Table, rows: Iterator[Row] | Sequence[Row]) -> None:
        path = self.folder / table.file
        temporary = path.with_name(f".{path.name}")
        try:
            os.close(os.open(temporary, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600))
            tables.write(table, rows, temporary)
            os.replace(temporary, path)
        except OSError as error:
            raise written(path, error) from error

    def _json(self, name: str, value: Any) -> None:
        path = self.folder / name
        try:
            handle = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write((json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode())
        except OSError as error:
            raise written(path, error) from error

    def _names(self, measures: Measures) -> dict[str, str]:
        """What parties are called, by the organisation table; never those behind which one person may stand."""
        if not self.options.sor:
            return {}
        keys, rows = Keys(self.key), list(Directory.load(Path(self.options.sor), IssueLog()))
        persons = {row.gln for row in rows if row.id_kind in measures.persons}
        return {keys.party(row.gln): row.name for row in rows if row.gln not in persons}

    def _given(self, questions: Questions) -> dict[str, Any]:
        totals = self.ended.totals
        return {
            "unread": totals["dead"] + totals["refused"],
            "skipped": self.ended.figures["skipped"],
            "sample": self.sample.as_json(questions) if self.sample else None,
            "inventory": _inventory(self.inventory, engine_for(self.options)),
            "organisations": bool(self.options.sor),
            "key": "drawn" if self.drawn else "given",
        }

    def _assumptions(self, measures: Measures, summary: dict[str, Any]) -> list[dict[str, Any]]:
        """Every input with its origin: measured in the corpus, given by whoever ran it, or a default of ours."""
        own = "given" if self.options.mappings else "default"
        weights = [(f"effort.{name}", value, own) for name, value in sorted(summary["effort"]["weights"].items())]
        steps = [(f"effort.cluster.{least}", points, own) for least, points in measures.cluster_points]
        late = [(f"late.{kind}.minutes", minutes, own) for kind, minutes in sorted(measures.late.items())]
        kept = [(f"retention.{name}.minutes", minutes, own) for name, minutes in measures.retentions]
        flows = [("flows.after.days", engine_table(self.options), own), ("privacy.small", tables.SMALL, "default")]
        corpus = [(f"corpus.{name}", summary["corpus"][name], "measured") for name in sorted(summary["corpus"])]
        inputs: list[tuple[str, Any, str]] = [
            ("organisations", bool(self.options.sor), "given" if self.options.sor else "default"),
            ("mappings", bool(self.options.mappings), own),
            ("inventory", bool(self.inventory), "given" if self.inventory else "default"),
            ("key", summary["privacy"]["key"], "default" if self.drawn else "given"),
        ]
        told = [*inputs, *corpus, *weights, *steps, *late, *kept, *flows]
        return [dict(zip(("name", "value", "origin"), one, strict=True)) for one in told]

    def _manifest(self) -> dict[str, Any]:
        """What it was made with, and the files with their digests; not those of what was measured of the run itself."""
        names = [*(table.file for table in tables.TABLES), SUMMARY, ASSUMPTIONS]
        files = [{"name": name, **_digest(self.folder / name)} for name in sorted(names)]
        work = json.loads((self.folder / WORK / PARTS).read_bytes())
        before = {name: work[name] for name in ("engine", "mappings", "organisations", "options")}
        weights = hashlib.sha256((engine_for(self.options).folder / FILE).read_bytes()).hexdigest()
        return {
            "format": "medcom-fhir assessment 1",
            **before,
            "weights": weights,
            "inventory": hashlib.sha256(self.inventory.read_bytes()).hexdigest() if self.inventory else "",
            "key": "drawn" if self.drawn else "given",
            "files": files,
        }


def engine_table(options: Options) -> int:
    """After how many days an answer is missed."""
    from converter.flows import load_table
    from converter.flows.table import FILE as FLOWS

    return load_table(engine_for(options).folder / FLOWS).after


def _digest(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
