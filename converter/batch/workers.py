"""Worker processes: each takes a chunk, converts it, writes its files under temporary names and hands back the rows.

Where processes can be forked, one that does nothing else loads and compiles what is needed once, and all workers are
forked from it. A worker that dies takes nothing with it: its chunk is begun again piece by piece, and the piece that
kills a second worker is left out as a dead letter.
"""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing import reduction
from multiprocessing.connection import Connection, wait
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple

from converter.batch import parquet
from converter.batch.chunk import WORKER, Convert, Fault, Form, Raw, Result, convert_chunk
from converter.batch.plan import Chunk
from converter.batch.protocol import DEAD, FILES, PARTS, RAW, Written, write_temporary
from converter.errors import ConverterError, SinkError
from converter.limits import COLLECTOR
from converter.sources import Input

_AHEAD = 2  # chunks that a worker has: the one that it works on, and the one that it need not wait for then
_PATIENCE = 5  # seconds for a nursery to end

Factory = Callable[[], Convert]
"""Makes what converts an input. Called once in every worker; must be something that can be pickled."""


@dataclass(frozen=True, slots=True)
class Job:
    """What all workers do: where to, with what, in which form.

    `rehearse` is called with some inputs before there is work, so that what they need is loaded.
    """

    folder: Path
    factory: Factory
    form: Form
    rehearse: Callable[[Sequence[Input]], None] | None = None


class Done(NamedTuple):
    """A chunk that was converted, with its files under temporary names."""

    chunk: Chunk
    rows: list[Raw]
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
    pipe: Connection
    process: Any = None  # none if it was forked from the nursery, which ends it
    chunks: list[Chunk] = field(default_factory=list)
    careful: bool = False
    at: int = 0


@dataclass(slots=True)
class Pool:
    """Some workers. Used as a context manager; when it is left, they are ended, whatever they do.

    `sample`: inputs of the kind that will come. `left`: whether chunks that were given were withdrawn and are not done.
    """

    job: Job
    jobs: int
    sample: Sequence[Input] = ()
    left: bool = False
    _withdrawn: bool = False
    _workers: list[_Worker] = field(default_factory=list)
    _nursery: _Nursery | None = None

    def __enter__(self) -> Pool:
        if sys.platform == "linux":
            self._nursery = _Nursery(self.job, self.sample)
        self._workers = [self._started() for _ in range(self.jobs)]
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.pipe.close()
            if worker.process is not None and worker.chunks:
                worker.process.kill()
        for worker in self._workers:
            if worker.process is not None:
                worker.process.join()
        if self._nursery is not None:
            self._nursery.close()

    @property
    def busy(self) -> int:
        """How many chunks the workers have."""
        return sum(len(worker.chunks) for worker in self._workers)

    def take(self, chunk: Chunk) -> bool:
        """Give a chunk to the worker that has least to do; False if all have enough."""
        worker = min(self._workers, key=lambda worker: len(worker.chunks))
        if len(worker.chunks) >= _AHEAD:
            return False
        self._give(worker, chunk)
        return True

    def withdraw(self) -> None:
        """Take back what no worker has begun: the rest of the run is for another time."""
        if not self._withdrawn:
            self._withdrawn = True
            for worker in self._workers:
                _send(worker, None)

    def done(self, timeout: float) -> Iterator[Done]:
        """What has been finished, waiting for that long. Raises `SinkError` if output cannot be written."""
        waiting = {worker.pipe: worker for worker in self._workers if worker.chunks}
        if not waiting:
            return
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
                worker.careful, worker.at = False, 0
                chunk = worker.chunks.pop(0)
                if answer is None:
                    self.left = True
                else:
                    yield Done(chunk, *answer)

    def _give(self, worker: _Worker, chunk: Chunk, *, careful: bool = False) -> None:
        worker.chunks.append(chunk)
        _send(worker, (chunk, careful))

    def _again(self, dead: _Worker) -> None:
        """Another worker for the chunks of a dead one. One that went piece by piece has told which piece it was."""
        dead.pipe.close()
        if dead.process is not None:
            dead.process.join()
        chunk, *others = dead.chunks
        if dead.careful:
            pieces = list(chunk.pieces)
            pieces[dead.at] = pieces[dead.at]._replace(fault=Fault(WORKER.code, "convert"))
            chunk = replace(chunk, pieces=pieces)
        place = self._workers.index(dead)
        worker = self._workers[place] = self._started()
        worker.careful = True
        self._give(worker, chunk, careful=True)
        if self._withdrawn and others:
            self.left = True
            return
        for other in others:
            self._give(worker, other)

    def _started(self) -> _Worker:
        if self._nursery is None:
            context = multiprocessing.get_context("spawn")
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(theirs, self.job, None, self.sample), daemon=True)
            process.start()
            theirs.close()
            return _Worker(ours, process)
        try:
            return _Worker(self._nursery.fork())
        except OSError:  # what is loaded in advance has killed it, and workers will meet that for themselves
            self._nursery.close()
            self._nursery = _Nursery(replace(self.job, rehearse=None), ())
            return _Worker(self._nursery.fork())


class _Nursery:
    """A process that loads what workers need, once, and from which they are forked."""

    def __init__(self, job: Job, sample: Sequence[Input]) -> None:
        context = multiprocessing.get_context("fork")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_nurse, args=(theirs, self._pipe, job, sample), daemon=True)
        self._process.start()
        theirs.close()

    def fork(self) -> Connection:
        """The pipe to a new worker, which begins when everything is loaded. `OSError` if the process is dead."""
        ours, theirs = multiprocessing.Pipe()
        with theirs:  # held by nobody but the worker, so that whoever reads the pipe notices its death
            try:
                reduction.send_handle(self._pipe, theirs.fileno(), self._process.pid)
            except OSError:
                ours.close()
                raise
        return ours

    def close(self) -> None:
        """End all workers, whatever they do."""
        self._pipe.close()
        self._process.join(_PATIENCE)
        self._process.kill()  # it never came to the end of loading
        self._process.join()


def _nurse(pipe: Connection, ours: Connection, job: Job, sample: Sequence[Input]) -> None:
    """The life of a nursery. It ends when the pipe does, and all workers with it."""
    ours.close()
    _ignore_signals()
    convert = _loaded(job, sample)
    gc.collect()
    gc.freeze()  # what the workers share must not be moved by the collector
    children = set[int]()
    while True:
        try:
            theirs = Connection(reduction.recv_handle(pipe))
        except (EOFError, OSError):
            break
        children -= {child for child in children if os.waitpid(child, os.WNOHANG)[0]}
        child = os.fork()
        if not child:
            try:
                pipe.close()
                _work(theirs, job, convert)
            finally:
                os._exit(0)
        theirs.close()
        children.add(child)
    for child in children:
        os.kill(child, signal.SIGKILL)
    for child in children:
        os.waitpid(child, 0)


def _ignore_signals() -> None:
    """Whoever stops a run tells the process that began it, and that one tells its workers."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _loaded(job: Job, sample: Sequence[Input]) -> Convert | None:
    """What converts, with all that a sample needs; None where that fails, as it will fail where it is told."""
    try:
        convert = job.factory()
        if job.rehearse is not None:
            job.rehearse(sample)
    except Exception:  # noqa: BLE001 - told by the worker
        return None
    return convert


def _send(worker: _Worker, message: Any) -> None:
    # It died before: its chunks are met again in `done`.
    with contextlib.suppress(OSError):
        worker.pipe.send(message)


def _work(pipe: Connection, job: Job, convert: Convert | None, sample: Sequence[Input] = ()) -> None:
    """A worker's life. It ends when the pipe does, so none is left when the run is killed."""
    _ignore_signals()
    gc.set_threshold(*COLLECTOR)
    asked, withdrawn = SimpleQueue[Any](), threading.Event()
    threading.Thread(target=_listen, args=(pipe, asked, withdrawn), daemon=True).start()
    try:
        convert = convert or _loaded(job, sample) or job.factory()
        while True:
            message = asked.get()
            if isinstance(message, Exception):
                raise message
            if withdrawn.is_set():
                pipe.send(None)
            else:
                chunk, careful = message
                pipe.send(_finished(job, chunk, convert, pipe.send if careful else lambda _: None))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        os._exit(0)
    except ConverterError as error:
        pipe.send(_Fault(str(error)))
    except Exception as error:  # noqa: BLE001 - a traceback may show values
        pipe.send(_Fault(f"a worker failed: {type(error).__name__}", bug=True))


def _listen(pipe: Connection, asked: SimpleQueue[Any], withdrawn: threading.Event) -> None:
    """Take what is sent at once, so that whoever sends need not wait until the worker has done what it is at."""
    while True:
        try:
            if (message := pipe.recv()) is None:
                withdrawn.set()
            else:
                asked.put(message)
        except (EOFError, OSError):
            os._exit(0)  # the run has ended, and nobody wants what this worker is at
        except Exception as error:  # noqa: BLE001 - raised again where the work is done
            asked.put(error)
            return


def _finished(
    job: Job, chunk: Chunk, convert: Convert, before: Callable[[int], None]
) -> tuple[list[Raw], list[Written], dict[str, Any]] | _Fault:
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
