"""What a run reads, fixed before it begins, and the chunks that this is cut into.

The plan is the list of files with size and time of change. Chunks follow from it and from the content of containers
(archives, NDJSON), so a run that goes on after a stop meets the same chunks. A file that has changed since is not
read: its messages would not be those that the run was begun with.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, count
from typing import Any

from converter.archives import is_archive
from converter.batch.chunk import Fault, Piece
from converter.batch.ledger import Key, Planned
from converter.errors import InterchangeError
from converter.issues import Issue, IssueLog, Severity, declare
from converter.limits import Limits
from converter.sources import UNREADABLE, Input, Source, read, require, sources

CHANGED = declare(
    "BAT020",
    "input-changed",
    Severity.ERROR,
    "the file is not as it was when the run began",
    why="It was not read: what came before and after the change would be mixed.",
    help="Start a run of its own for this file, with another run folder.",
)

PIECES, BYTES = 200, 4 * 1024 * 1024
_NO_NUMBER = 1 << 40
NOT_LAST, LAST, CLOSED = 0, 1, 2  # is a chunk the last of its file? CLOSED: whatever the others are


@dataclass(slots=True)
class Chunk:
    """Some pieces that are converted and written together. `files`: how many files of the plan are done with it.

    `later`: what becomes of it depends on other inputs, so that it comes again when all have been looked at.
    """

    key: Key
    pieces: list[Piece] = field(default_factory=list)
    ended: int = LAST
    files: int = 1
    later: bool = False

    def __reduce__(self) -> tuple[Any, ...]:  # plain tuples: a run sends every input to a worker
        pieces = [(p.source, p.number, tuple(p.item), p.fault, p.settled) for p in self.pieces]
        return _received, (tuple(self.key), pieces, self.ended, self.files)


def _received(key: tuple[int, int, int], pieces: Iterable[tuple[Any, ...]], ended: int, files: int) -> Chunk:
    made = [Piece(n, number, Input._make(item), fault, settled) for n, number, item, fault, settled in pieces]
    return Chunk(Key(*key), made, ended, files)


def paths_of(arguments: Sequence[str]) -> list[str]:
    """The arguments with patterns resolved, in the order of names. Raises `InterchangeError` for what is not there."""
    paths: list[str] = []
    for argument in arguments:
        if argument == "-":
            raise InterchangeError("standard input cannot be read again after a stop; name a file")
        # A file of that very name wins over the pattern.
        found = [] if os.path.lexists(argument) else sorted(glob.glob(argument, recursive=True))
        paths += found or [argument]
    require(paths)
    return paths


def planned(paths: Sequence[str], log: IssueLog) -> Iterator[Planned]:
    """The files of a run; those that cannot be looked at have size -1 and are met again when they are read."""
    for n, source in enumerate(sources(paths, log)):
        size, mtime = stamp(source.path)
        yield Planned(n, os.path.abspath(source.path), source.name, source.display, source.explicit, size, mtime)


def stamp(path: str) -> tuple[int, int]:
    """Size and time of change of a file; -1 for one that cannot be looked at."""
    try:
        found = os.stat(path)
    except OSError:
        return -1, 0
    return found.st_size, found.st_mtime_ns


def is_container(name: str) -> bool:
    """Whether a file of that name holds inputs of its own, so that it is cut into chunks by itself."""
    return is_archive(name) or name.lower().endswith(".ndjson")


class Chunks:
    """The chunks of a plan that are not done yet, in order. `unread` holds findings about files that could not be
    read for now: the chunk they belong to is left for another time.
    """

    def __init__(self, plan: Iterator[Planned], done: Mapping[tuple[int, int], int], limits: Limits) -> None:
        self.plan, self.done, self.limits = plan, done, limits
        self.unread: list[Issue] = []
        self.said: list[Issue] = []
        self._closed = _closed(done)

    def __iter__(self) -> Iterator[Chunk]:
        for files in splits(self.plan):
            yield from self.of(files)

    def of(self, files: Sequence[Planned]) -> Iterator[Chunk]:
        """The chunks of what is read together."""
        if is_container(files[0].name):
            yield from self._container(files[0])
        else:
            yield from self._group(files)

    def look(self, file: Planned, pieces: Sequence[Piece]) -> bool:
        """Look at what was read of a file, done or not; returns whether it is to be converted later."""
        return False

    def looked_over(self, files: Sequence[Planned]) -> Iterator[Chunk]:
        """Look at files of which everything is done; gives chunks without pieces, so that others have their turn."""
        yield from ()

    def _group(self, files: Sequence[Planned]) -> Iterator[Chunk]:
        if (files[0].n, 0) in self.done:
            yield from self.looked_over(files)
            return
        chunk, waiting = Chunk(Key(files[0].n, 0)), len(self.unread)
        for file in files:
            before = len(self.unread)
            pieces = list(self.pieces(file))
            if not self.is_unchanged(file):
                # That it is gone is no reason to wait for it.
                del self.unread[before:]
                pieces = [_changed(file)]
            elif self.look(file, pieces):
                chunk.later = True
            chunk.pieces += pieces
        chunk.files = len(files)
        if len(self.unread) == waiting:
            yield chunk

    def _container(self, file: Planned) -> Iterator[Chunk]:
        if file.n in self._closed:
            yield from self.looked_over([file])
            return
        waiting, given = len(self.unread), set[int]()
        for chunk in _cut(file.n, self.pieces(file)):
            if not self.is_unchanged(file):
                # What is done stays; the place of the next chunk is taken by the record of the change.
                del self.unread[waiting:]
                k = next(k for k in count() if (file.n, k) not in self.done and k not in given)
                yield Chunk(Key(file.n, k), [_changed(file)], ended=CLOSED)
                return
            chunk.later = self.look(file, chunk.pieces)
            if len(self.unread) != waiting:
                return
            if chunk.key[:2] not in self.done:
                given.add(chunk.key.k)
                yield chunk

    def source(self, file: Planned) -> Source:
        """What a file of the plan is read from."""
        return Source(file.path, file.name, file.display, file.explicit)

    def is_unchanged(self, file: Planned) -> bool:
        """Whether a file is as it was when the run began."""
        return is_unchanged(file)

    def pieces(self, file: Planned) -> Iterator[Piece]:
        """The inputs of a file, with a piece of its own for each that could not be read."""
        log, number = IssueLog(), 0
        for item in chain(read(self.source(file), log, self.limits), (None,)):
            if len(log):
                for fault in self._faults(log, item):
                    yield Piece(file.n, number, _nothing(file, fault.file), fault.fault)
                    number += 1
            if item is not None:
                yield Piece(file.n, number, item)
                number += 1

    def _faults(self, log: IssueLog, item: Input | None) -> Iterator[_Unread]:
        envelope = item.display.removesuffix("/Data") if item is not None and item.envelope is not None else None
        told = set()
        for issue in log.drain():
            if issue.kind is UNREADABLE:
                self.unread.append(issue)
            elif issue.severity is not Severity.ERROR or issue.at.file == envelope:
                self.said.append(issue)
            elif issue.at.file not in told:
                told.add(issue.at.file)
                self.said.append(issue)
                at = issue.at
                yield _Unread(at.file, Fault(issue.code, "input", at.line, at.column, at.path))


def splits(plan: Iterable[Planned]) -> Iterator[list[Planned]]:
    """The files of a plan by what is read together: files of a chunk, or one container, which has chunks of its own."""
    group: list[Planned] = []
    for file in plan:
        alone = is_container(file.name)
        if group and (alone or _full(group, file) or group[0].wave != file.wave):
            yield group
            group = []
        if alone:
            yield [file]
        else:
            group.append(file)
    if group:
        yield group


def _full(group: Sequence[Planned], file: Planned) -> bool:
    return len(group) >= PIECES or sum(f.size for f in group) + file.size > BYTES


@dataclass(frozen=True, slots=True)
class _Unread:
    file: str
    fault: Fault


def _nothing(file: Planned, display: str) -> Input:
    return Input(file.name, display, b"", explicit=True)


def is_unchanged(file: Planned) -> bool:
    """Whether a file is as it was when the run began, by size and time of change."""
    return file.size < 0 or stamp(file.path) == (file.size, file.mtime)


def _changed(file: Planned) -> Piece:
    # The numbers of what was read before the change are taken.
    return Piece(file.n, _NO_NUMBER, _nothing(file, file.display), Fault(CHANGED.code, "input"))


def _cut(source: int, pieces: Iterator[Piece]) -> Iterator[Chunk]:
    """The pieces of one file in chunks; always at least one chunk, and the last one says that it is."""
    chunk, size = Chunk(Key(source, 0), ended=NOT_LAST, files=0), 0
    for piece in pieces:
        if chunk.pieces and (len(chunk.pieces) >= PIECES or size + len(piece.item.data) > BYTES):
            yield chunk
            chunk, size = Chunk(Key(source, chunk.key.k + 1), ended=NOT_LAST, files=0), 0
        chunk.pieces.append(piece)
        size += len(piece.item.data)
    chunk.ended, chunk.files = LAST, 1
    yield chunk


def _closed(done: Mapping[tuple[int, int], int]) -> Collection[int]:
    """The containers of which every chunk is done."""
    counts: dict[int, int] = {}
    for source, _ in done:
        counts[source] = counts.get(source, 0) + 1
    return {s for (s, k), ended in done.items() if ended == CLOSED or (ended == LAST and counts[s] == k + 1)}
