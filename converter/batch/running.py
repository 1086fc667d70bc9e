"""A run from its plan to its manifest; stopped anywhere, it goes on where it was and ends with the same bytes."""

from __future__ import annotations

import io
import json
import os
import signal
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from operator import itemgetter
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

from converter.batch import parquet
from converter.batch.across import Joining, Looking, across
from converter.batch.chunk import FAULT, WORKER, Row, State, merged
from converter.batch.ledger import Key, Ledger, Part, Planned, create
from converter.batch.options import Options, fingerprint
from converter.batch.plan import CHANGED, Chunks, paths_of, planned
from converter.batch.protocol import (
    DEAD,
    FILES,
    LEDGER,
    LOCK,
    MANIFEST,
    PARTS,
    RAW,
    SUCCESS,
    SUMMARY,
    TEMPORARY,
    give_names,
    make_folder,
    owned,
    passed,
    put,
    sync_folder,
    write_temporary,
)
from converter.batch.workers import Done, Factory, Job, Pool
from converter.errors import InterchangeError, SinkError
from converter.issues import Issue, IssueLog, Location, kind_of
from converter.sinks import OutputRefusedError, refuse_inside, written
from converter.sources import UNREADABLE

COMPLETE, LIMIT, UNREAD, INTERRUPTED, TERMINATED = "complete", "limit", "unread", "interrupted", "terminated"
_STATE, _CODE = itemgetter(Row._fields.index("state")), itemgetter(Row._fields.index("code"))
_OWN = {kind.code for kind in (CHANGED, WORKER, FAULT)}


@dataclass(frozen=True, slots=True)
class Bounds:
    """When a run is to stop before its end: dead letters (a number, or per cent of what came in), seconds."""

    dead: float | None = None
    per_cent: bool = False
    seconds: float | None = None


class Progress(Protocol):
    """Who is told how a run goes on."""

    def advance(self, totals: dict[str, int], files: int, planned: int) -> None:
        """So many messages have each state, so many files of the plan are done."""

    def whole(self, totals: dict[str, int], files: int, planned: int) -> None:
        """Everything of the plan is done and the result is whole."""

    def found(self, issues: Sequence[Issue]) -> None:
        """Findings about inputs as a whole."""


@dataclass(slots=True)
class Ended:
    """How a run ended: one of the words above, the sums, and what they are made of."""

    how: str
    totals: dict[str, int]
    figures: dict[str, Any] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)


def begin(folder: Path, arguments: Sequence[str], options: Options, log: IssueLog, *, watched: bool = False) -> None:
    """Make a run folder with a plan. Raises `OutputRefusedError` for a folder that holds something already.

    Nothing is planned of what is to be watched: what is there may still be being written.
    """
    paths = paths_of(arguments)
    refuse_inside(folder, paths)
    inputs = [os.path.abspath(argument) for argument in arguments]
    prepare(folder, inputs, options, log, () if watched else planned(paths, log))


def prepare(folder: Path, inputs: Sequence[str], options: Options, log: IssueLog, plan: Iterable[Planned]) -> None:
    """Make a run folder with this plan for these inputs."""
    _refuse_used(folder)
    make_folder(folder)
    with owned(folder):
        _refuse_used(folder)
        for name in (PARTS, DEAD, RAW, FILES, TEMPORARY):
            make_folder(folder / name)
        plan = list(plan)
        for issue in log:
            if issue.kind is UNREADABLE:
                raise SinkError(f"{issue.at.file}: {issue.message}; nothing was begun")
        settings = {"inputs": list(inputs), "options": options.as_json()}
        create(folder, {**settings, "fingerprint": fingerprint(options)}, plan)
        sync_folder(folder)


def _refuse_used(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise OutputRefusedError(f"{folder} is a file; a run is a folder")
    if (folder / LEDGER).exists():
        raise OutputRefusedError(f"{folder} holds a run; `batch resume` goes on with it")
    strange = (
        {path.name for path in folder.iterdir()} - {PARTS, DEAD, FILES, TEMPORARY, LOCK} if folder.is_dir() else ()
    )
    if strange:
        raise OutputRefusedError(f"{folder} is not empty and holds no run; name a new folder")


@contextmanager
def opened(folder: Path) -> Iterator[tuple[Ledger, Options]]:
    """The ledger of a run that was begun, as its only owner. Raises `BusyError` and `InterchangeError`."""
    if not folder.is_dir():
        raise InterchangeError(f"there is no run folder {folder}")
    with owned(folder):
        ledger = Ledger(folder)
        try:
            yield ledger, Options.of(ledger.get("settings")["options"])
        finally:
            ledger.close()


def resume(folder: Path, jobs: int, bounds: Bounds, progress: Progress, *, factory: Factory | None = None) -> Ended:
    """Go on with a run until its end, or until something stops it.

    Raises `InterchangeError` if mappings, organisation table or program are not those that it was begun with.
    `factory` makes what converts; the engine, unless told otherwise.
    """
    with going_on(folder, bounds, progress, factory) as run:
        how = run.go(run.job(factory), jobs, whole=factory is None)
        run.ledger.say(how)
        return run.ended(how)


@contextmanager
def going_on(folder: Path, bounds: Bounds, progress: Progress, factory: Factory | None) -> Iterator[Run]:
    """A run that goes on with what it was begun with."""
    with opened(folder) as (ledger, options):
        if not ledger.get("complete"):
            _same(ledger, options)
            if factory is None:
                options.prepare()
        yield Run(folder, ledger, options, bounds, progress)


def _same(ledger: Ledger, options: Options) -> None:
    before, now = ledger.get("settings")["fingerprint"], fingerprint(options)
    names = {"engine": "version of the program", "mappings": "mapping files", "organisations": "organisation table"}
    names["pyarrow"] = "version of pyarrow"
    other = [name for key, name in names.items() if before.get(key) != now.get(key)]
    if other:
        raise InterchangeError(
            f"not the same {' and '.join(other)} as when the run began: outputs would be of two kinds. "
            "Put back what was there, or start a new run"
        )


def sweep(folder: Path, ledger: Ledger) -> None:
    """Remove what a stopped run left and the ledger does not know."""
    for top in (PARTS, DEAD, FILES, TEMPORARY):
        for path in _files(folder / top):
            if not ledger.knows(path.relative_to(folder).as_posix()):
                path.unlink()
    passed("swept")


def _files(folder: Path) -> Iterator[Path]:
    """What stands in a folder and below; a list of it would be as long as the run."""
    with os.scandir(folder) as found:
        for entry in found:
            if not entry.is_dir():
                yield Path(entry.path)
            elif not entry.is_symlink():
                yield from _files(Path(entry.path))


class Run:
    """A run at work."""

    def __init__(self, folder: Path, ledger: Ledger, options: Options, bounds: Bounds, progress: Progress) -> None:
        self.folder, self.ledger, self.options = folder, ledger, options
        self.bounds, self.progress = bounds, progress
        self.totals = ledger.totals()
        self.files, self.planned = ledger.progress()
        self.stop = ""
        self._until = None if bounds.seconds is None else time.monotonic() + bounds.seconds

    # -- converting ----------------------------------------------------------------------------------------------------

    def job(self, factory: Factory | None, attempt: int = 1) -> Job:
        """What workers do; `factory` makes what converts, in the place of the engine."""
        rehearse = self.options.rehearse if factory is None else None
        return Job(self.folder, factory or self.options, self.options.form(attempt), rehearse)

    def go(self, job: Job, jobs: int, *, whole: bool = False) -> str:
        """Do what is not done of the plan; returns how that ended.

        `whole`: the plan has everything that will come, so that letters and attachments in different inputs are joined.
        """
        if self.ledger.get("complete"):
            if not (self.folder / SUCCESS).is_file():  # a retry was stopped
                self.finish()
            return COMPLETE
        sweep(self.folder, self.ledger)
        plan, done = self.ledger.plan, self.ledger.done()
        with across(self.folder, self.options) if whole else nullcontext(job.factory) as factory:
            chunks = Chunks(plan(), done, self.options.limits)
            if isinstance(factory, Joining):
                chunks = Looking(factory, plan, done)
            how = self.stop or self.convert(chunks, replace(job, factory=factory), jobs)
        if how == COMPLETE:
            self.finish()
        return how

    def convert(self, chunks: Chunks, job: Job, jobs: int) -> str:
        """Convert all chunks; returns how that ended. What is begun is always finished."""
        waiting = iter(chunks)
        with self.signals():
            ready = next(waiting, None)
            if ready is None:
                return self._exhausted(chunks)
            with Pool(job, jobs, [piece.item for piece in ready.pieces if piece.fault is None]) as pool:
                while pool.busy or (ready is not None and not self.stopped()):
                    while ready is not None and not self.stopped() and (ready.later or pool.take(ready)):
                        self._tell(chunks)
                        if ready.later:  # nobody has to do with it yet
                            self._collect(pool, 0)
                        ready = next(waiting, None)
                    if self.stop:
                        pool.withdraw()
                    self._collect(pool, 0.5)
        self._tell(chunks)
        if ready is not None or pool.left:
            return self.stop
        return self._exhausted(chunks)

    def _collect(self, pool: Pool, seconds: float) -> None:
        for done in pool.done(seconds):
            self.commit(done)

    def _exhausted(self, chunks: Chunks) -> str:
        self._tell(chunks)
        if chunks.unread:
            self.progress.found(chunks.unread)
        return UNREAD if chunks.unread else COMPLETE

    def stopped(self) -> bool:
        """Whether somebody or a limit has stopped it."""
        if not self.stop and ((self._until is not None and time.monotonic() >= self._until) or self._too_many()):
            self.stop = LIMIT
        return bool(self.stop)

    def _too_many(self) -> bool:
        if self.bounds.dead is None:
            return False
        dead = self.totals[State.DEAD] + self.totals[State.REFUSED]
        allowed = self.bounds.dead * self.totals["in"] / 100 if self.bounds.per_cent else self.bounds.dead
        return dead > allowed

    @contextmanager
    def signals(self) -> Iterator[None]:
        """The first Ctrl-C or SIGTERM lets what is begun be finished; the second one is obeyed at once."""
        before: dict[int, Any] = {}

        def stop(number: int, frame: FrameType | None) -> None:
            self.stop = INTERRUPTED if number == signal.SIGINT else TERMINATED
            signal.signal(number, before[number])

        with suppress(ValueError):  # not in the main thread, so not ours to decide
            for caught in (signal.SIGINT, signal.SIGTERM):
                before[caught] = signal.signal(caught, stop)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def commit(self, done: Done) -> None:
        """Write a chunk down: names, then the one transaction."""
        chunk = done.chunk
        give_names(self.folder, done.files)
        self.ledger.commit(chunk.key, done.rows, done.files, done.figures, ended=chunk.ended, sources=chunk.files)
        for state, number in Counter(map(_STATE, done.rows)).items():
            self.totals[state] += number
        self.totals["in"] += len(done.rows)
        self.files += chunk.files
        self.progress.advance(self.totals, self.files, self.planned)
        self._report(done)

    def _report(self, done: Done) -> None:
        """Say what no converting of the input alone would say."""
        if told := [Row._make(row) for row in done.rows if _CODE(row) in _OWN]:
            places, log = {(p.source, p.number): p.item for p in done.chunk.pieces}, IssueLog()
            for row in told:
                item = places[row.source, row.piece]
                log.add(kind_of(row.code), Location(item.display, item.line, 1), what="see the dead letter")
            self.progress.found(log.issues)

    def _tell(self, chunks: Chunks) -> None:
        if chunks.said:
            self.progress.found(chunks.said)
            chunks.said = []

    # -- the end -------------------------------------------------------------------------------------------------------

    def finish(self) -> None:
        """Find duplicates, write the manifest, and then the mark that all is there."""
        if not self.options.keep_duplicates:
            self._duplicates()
        self.totals = self.ledger.totals()
        check_sums(self.totals)
        sweep(self.folder, self.ledger)
        put(self.folder, SUMMARY, _json(summary(self.ledger, self.totals)))
        put(self.folder, MANIFEST, _json(manifest(self.ledger, self.totals)))
        put(self.folder, SUCCESS, b"")
        with self.ledger.transaction():
            self.ledger.put("complete", True)
        self.progress.whole(self.totals, self.files, self.planned)

    def _duplicates(self) -> None:
        if self.options.files:
            self.ledger.mark_files()
            return
        for key, lines in self.ledger.duplicates():
            part = self.ledger.part(key, "part")
            assert part is not None
            self._shorten(key, part, set(lines))

    def _shorten(self, key: Key, part: Part, gone: set[int]) -> None:
        """Write a part anew without some of its lines, under another name, so that no moment has neither."""
        try:
            whole, stem = (self.folder / part.name).read_bytes(), Path(part.name)
            data, kept = (parquet.without if self.options.parquet else _without)(whole, gone)
            name = f"{PARTS}/{stem.stem}-less{len(gone)}{stem.suffix}"
            file = write_temporary(self.folder, name, "part", data, kept)
        except OSError as error:
            raise written(self.folder / part.name, error) from error
        give_names(self.folder, [file])
        self.ledger.mark_lines(key, sorted(gone), part.name, file)
        with suppress(OSError):
            (self.folder / part.name).unlink()

    def ended(self, how: str) -> Ended:
        """The sums of what is written down."""
        totals = self.ledger.totals()
        check_sums(totals)
        return Ended(how, totals, merged(self.ledger.figures()), self.ledger.codes())


def _without(data: bytes, gone: set[int]) -> tuple[bytes, int]:
    """The lines but for some, by number from 1, and how many are left."""
    kept = [line for number, line in enumerate(data.splitlines(keepends=True), 1) if number not in gone]
    return b"".join(kept), len(kept)


def check_sums(totals: dict[str, int]) -> None:
    """What came in is what is accounted for."""
    if totals["in"] != sum(totals[state] for state in State):
        raise AssertionError("the ledger does not balance")


def summary(ledger: Ledger, totals: dict[str, int]) -> dict[str, Any]:
    """`summary.json`: messages by state, dispositions by letter type, issues by code, why messages are dead letters."""
    return {"messages": totals, **merged(ledger.figures()), "dead": ledger.codes()}


def manifest(ledger: Ledger, totals: dict[str, int]) -> dict[str, Any]:
    """`manifest.json`: the files that belong to the result, in order, with their digests. Readers use no others."""
    names, kinds = {"part": "parts", "dead": "dead", "file": "files", "raw": "raw"}, ledger.kinds()
    return {
        "format": "medcom-fhir batch 1",
        **ledger.get("settings")["fingerprint"],
        "totals": totals,
        **{name: _Entries(ledger, kind) if kind in kinds else [] for kind, name in names.items()},
    }


class _Entries(list[dict[str, Any]]):
    """The files of a kind as the manifest lists them, read from the ledger each time that somebody goes through them.

    A list, since that is what `json` writes; one with all of them would be as long as the run.
    """

    def __init__(self, ledger: Ledger, kind: str) -> None:
        super().__init__()
        self._ledger, self._kind = ledger, kind

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for part in self._ledger.parts(self._kind):
            yield {"name": part.name, "lines": part.lines, "bytes": part.size, "sha256": part.sha256}

    def __bool__(self) -> bool:
        return True  # else nobody makes one

    def __eq__(self, other: object) -> bool:
        return list(self) == other

    __hash__ = None


def _json(value: Any) -> bytes:
    written_out = io.BytesIO()  # `json.dumps` would hold every piece of a long list at once
    for piece in json.JSONEncoder(indent=1, ensure_ascii=False).iterencode(value):
        written_out.write(piece.encode())
    written_out.write(b"\n")
    return written_out.getvalue()
