"""Worker processes: each takes a chunk, converts it, writes its files under temporary names and hands back the rows.

A worker that dies takes nothing with it: its chunk is begun again piece by piece, and the piece that kills a second
worker is left out as a dead letter.
"""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, NamedTuple

from converter.batch import parquet
from converter.batch.chunk import WORKER, Convert, Fault, Form, Result, Row, convert_chunk
from converter.batch.plan import Chunk
from converter.batch.protocol import DEAD, FILES, PARTS, RAW, Written, write_temporary
from converter.errors import ConverterError, SinkError

Factory = Callable[[], Convert]
"""Makes what converts an input. Called once in every worker; must be something that can be pickled."""


@dataclass(frozen=True, slots=True)
class Job:
    """What all workers do: where to, with what, in which form."""

    folder: Path
    factory: Factory
    form: Form


class Done(NamedTuple):
    """A chunk that was converted, with its files under temporary names."""

    chunk: Chunk
    rows: list[Row]
    files: list[Written]
    figures: dict[str, Any]


class _Fault(NamedTuple):
    """Why a worker could not finish a chunk; `sink`: its output could not be written, `bug`: our fault."""

    text: str
    sink: bool = False
    bug: bool = False

    def error(self) -> Exception:
        """What this process raises for it."""
        if self.bug:
            return RuntimeError(self.text)
        return SinkError(self.text) if self.sink else ConverterError(self.text)


@dataclass(slots=True)
class _Worker:
    process: Any
    pipe: Connection
    chunk: Chunk | None = None
    careful: bool = False
    at: int = 0


@dataclass(slots=True)
class Pool:
    """Some workers. Used as a context manager; when it is left, they are ended, whatever they do."""

    job: Job
    jobs: int
    _workers: list[_Worker] = field(default_factory=list)

    def __enter__(self) -> Pool:
        # Whatever the workers share with this process must not be moved by the collector.
        gc.collect()
        gc.freeze()
        self._workers = [self._started() for _ in range(self.jobs)]
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.pipe.close()
            if worker.chunk is not None:
                worker.process.kill()
        for worker in self._workers:
            worker.process.join()
        gc.unfreeze()

    @property
    def busy(self) -> int:
        """How many workers have a chunk."""
        return sum(worker.chunk is not None for worker in self._workers)

    def take(self, chunk: Chunk) -> bool:
        """Give a chunk to a worker; False if all have one."""
        for worker in self._workers:
            if worker.chunk is None:
                self._give(worker, chunk, careful=False)
                return True
        return False

    def done(self, timeout: float) -> Iterator[Done]:
        """What has been finished, waiting for that long. Raises `SinkError` if output cannot be written."""
        waiting = {worker.pipe: worker for worker in self._workers if worker.chunk is not None}
        for pipe in wait(list(waiting), timeout):
            worker = waiting[pipe]  # type: ignore[index]
            try:
                answer = worker.pipe.recv()
            except (EOFError, OSError):
                self._again(worker)
                continue
            if isinstance(answer, int):
                worker.at = answer
            elif isinstance(answer, _Fault):
                raise answer.error()
            else:
                assert worker.chunk is not None
                chunk, worker.chunk = worker.chunk, None
                yield Done(chunk, *answer)

    def _give(self, worker: _Worker, chunk: Chunk, *, careful: bool) -> None:
        worker.chunk, worker.careful, worker.at = chunk, careful, 0
        # It died before: its chunk is met again in `done`.
        with contextlib.suppress(OSError):
            worker.pipe.send((chunk, careful))

    def _again(self, dead: _Worker) -> None:
        """Another worker for the chunk of a dead one. One that went piece by piece has told which piece it was."""
        dead.pipe.close()
        dead.process.join()
        chunk = dead.chunk
        assert chunk is not None
        if dead.careful:
            pieces = list(chunk.pieces)
            pieces[dead.at] = replace(pieces[dead.at], fault=Fault(WORKER.code, "convert"))
            chunk = replace(chunk, pieces=pieces)
        place = self._workers.index(dead)
        self._workers[place] = self._started()
        self._give(self._workers[place], chunk, careful=True)

    def _started(self) -> _Worker:
        # What is loaded before the fork is shared by all workers, and they start at once.
        context: Any = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
        ours, theirs = context.Pipe()
        others = [worker.pipe for worker in self._workers if not worker.pipe.closed]
        arguments = (theirs, ours, others if context.get_start_method() == "fork" else [])
        process = context.Process(target=_work, args=(*arguments, self.job), daemon=True)
        process.start()
        theirs.close()
        return _Worker(process, ours)


def _work(pipe: Connection, ours: Connection, others: list[Connection], job: Job) -> None:
    """A worker's life. It ends when the pipe does, so none is left when the run is killed."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    for inherited in (ours, *others):
        inherited.close()
    try:
        convert = job.factory()
        while True:
            chunk, careful = pipe.recv()
            pipe.send(_finished(job, chunk, convert, pipe.send if careful else lambda _: None))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        os._exit(0)
    except ConverterError as error:
        pipe.send(_Fault(str(error)))
    except Exception as error:  # noqa: BLE001 - a traceback may show values
        pipe.send(_Fault(f"a worker failed: {type(error).__name__}", bug=True))


def _finished(
    job: Job, chunk: Chunk, convert: Convert, before: Callable[[int], None]
) -> tuple[list[Row], list[Written], dict[str, Any]] | _Fault:
    result = convert_chunk(chunk.pieces, convert, job.form, before)
    try:
        files = [write_temporary(job.folder, *file) for file in _files(chunk, result, job.form)]
    except OSError as error:
        return _Fault(f"cannot write in {job.folder}: {error.strerror or type(error).__name__}", sink=True)
    return result.rows, files, result.figures


def _files(chunk: Chunk, result: Result, form: Form) -> Iterator[tuple[str, str, bytes, int]]:
    """The files of a chunk: name, kind, content, lines."""
    name = part_name(chunk)
    if result.lines and form.parquet:
        table = f"{PARTS}/{name.removesuffix('.ndjson')}.parquet"
        yield table, "part", parquet.part(result.rows, result.lines), len(result.lines)
    elif result.lines:
        yield f"{PARTS}/{name}", "part", b"".join(result.lines), len(result.lines)
    if result.dead:
        yield f"{DEAD}/{name}", "dead", b"".join(result.dead), len(result.dead)
    for file, data in result.files.items():
        yield f"{FILES}/{file[:2]}/{file[2:4]}/{file}", "file", data, 0
    for file, data in result.raw.items():
        yield f"{RAW}/{file}.bin", "raw", data, 0


def part_name(chunk: Chunk) -> str:
    """What the files of a chunk are called: names sort as the input does."""
    key = chunk.key
    attempt = f"-retry{key.attempt:03d}" if key.attempt > 1 else ""
    return f"part-{key.source:08d}-{key.k:06d}{attempt}.ndjson"
