"""How a run folder is written: temporary file, fsync, rename, fsync of the folder, one transaction of the ledger.

Whatever is in the folder and not in the ledger was left by a run that was stopped; it is removed and made again. Files
are 0600, folders 0700: they hold patient data.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import NamedTuple

from converter.errors import ConverterError
from converter.sinks import written

PARTS, DEAD, RAW, FILES, TEMPORARY = "parts", "dead", "dead/raw", "files", "tmp"
LOCK, LEDGER, MANIFEST, SUCCESS, SUMMARY, METRICS = (
    "lock",
    "ledger.sqlite",
    "manifest.json",
    "_SUCCESS",
    "summary.json",
    "metrics.prom",
)


class BusyError(ConverterError):
    """Another process works on the run folder."""


class Written(NamedTuple):
    """A file under its temporary name, whole and on the disk; `name` is what it will be called below the run folder."""

    temporary: str
    name: str
    kind: str
    lines: int
    size: int
    sha256: str


_numbers = count()
_watchers: list[Callable[[str], None]] = []


def passed(point: str) -> None:
    """Note a point of the protocol. Nothing happens, unless somebody watches."""
    for watch in _watchers:
        watch(point)


@contextmanager
def watched(watch: Callable[[str], None]) -> Iterator[None]:
    """Call `watch` with the name of every point passed: how tests stop a run where they want."""
    _watchers.append(watch)
    try:
        yield
    finally:
        _watchers.remove(watch)


@contextmanager
def owned(folder: Path) -> Iterator[None]:
    """Be the one owner of a run folder; `BusyError` if there is one.

    A record lock, not `flock`: it dies with the process and children do not inherit it.
    """
    path = folder / LOCK
    try:
        handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    except OSError as error:
        raise written(path, error) from error
    try:
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise BusyError(f"{folder} is in use by another process") from error
        yield
    finally:
        os.close(handle)


def make_folder(path: Path) -> None:
    """Make a folder, and those above it, that only their owner can enter."""
    try:
        for missing in reversed([p for p in (path, *path.parents) if not p.is_dir()]):
            missing.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise written(path, error) from error


def write_temporary(folder: Path, name: str, kind: str, data: bytes, lines: int = 0) -> Written:
    """Write a file under a temporary name and bring it to the disk. `OSError` if that fails."""
    # Messages with the same bytes may have one name, and the earlier file may not have it yet.
    temporary = f"{TEMPORARY}/{name.replace('/', '_')}.{os.getpid()}.{next(_numbers)}"
    handle = os.open(folder / temporary, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    try:
        passed("opened")
        middle = len(data) // 2
        for half in (memoryview(data)[:middle], memoryview(data)[middle:]):
            done = 0
            while done < len(half):
                done += os.write(handle, half[done:])
            passed("half written")
        os.fsync(handle)
    finally:
        os.close(handle)
    passed("synced")
    return Written(temporary, name, kind, lines, len(data), hashlib.sha256(data).hexdigest())


def give_names(folder: Path, files: Iterable[Written]) -> None:
    """Rename files to what they are called, and bring the names to the disk. Raises `SinkError`."""
    touched: set[Path] = set()
    for file in files:
        target = folder / file.name
        try:
            if target.parent not in touched and not target.parent.is_dir():
                make_folder(target.parent)
                touched |= {parent for parent in target.parents if parent.is_relative_to(folder)}
            os.replace(folder / file.temporary, target)
        except OSError as error:
            raise written(target, error) from error
        passed("renamed")
        touched.add(target.parent)
    for path in sorted(touched):
        sync_folder(path)
    passed("folder synced")


def sync_folder(path: Path) -> None:
    """Bring the names in a folder to the disk."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        raise written(path, error) from error


def put(folder: Path, name: str, data: bytes) -> None:
    """Write a file of the run's end: whole, or not at all. Raises `SinkError`."""
    try:
        file = write_temporary(folder, name, "", data)
    except OSError as error:
        raise written(folder / name, error) from error
    give_names(folder, [file])


Seen = tuple[str, int, int]
"""Digest, size and number of lines of a file."""


def sha256_of(path: Path) -> Seen:
    """Digest, size and number of lines of a file, read in pieces. `OSError` if it cannot be read."""
    digest, size, lines = hashlib.sha256(), 0, 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
            size += len(block)
            lines += block.count(b"\n")
    return digest.hexdigest(), size, lines
