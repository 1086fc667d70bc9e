"""Where outputs go: standard output, one file, numbered files, a folder. Everything is written whole or not at all.

A file takes its name by renaming a temporary file beside it, so a reader never meets half a message (threat O1).
Files are readable by their owner only, since they hold patient data (threat O7). Labels of inputs are cleaned until
they cannot lead out of the output folder (threat Z2).
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import tempfile
from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self

from converter.errors import SinkError
from converter.issues import Issue, Severity

if TYPE_CHECKING:
    from converter.engine import Outcome

SUMMARY = "summary.json"
_ERROR, _WARNING = Severity.ERROR, Severity.WARNING
# Which kind of output a file takes by its suffix.
_TAKES = {".json": ".json", ".ndjson": ".json", ".xml": ".xml", ".edi": ".edi"}
_WORDS = {".json": "a FHIR Bundle", ".xml": "an OIOXML letter", ".edi": "an EDIFACT interchange"}


class OutputRefusedError(SinkError):
    """The output that was named cannot take what was asked for: wrong use, not a fault of the disk."""


def written(path: Path | str, error: OSError) -> SinkError:
    """The error that says that a file cannot be written, with the system's reason."""
    return SinkError(f"cannot write {path}: {error.strerror or type(error).__name__}")


class AtomicFile:
    """A file that appears under its name with `commit`, whole, or never. Mode 0600.

    Something that exists and is no regular file (a pipe, /dev/null) is written to directly: a rename would replace it.
    Raises `SinkError`, and `OutputRefusedError` if the file exists and `force` is not set.
    """

    def __init__(self, path: Path, *, force: bool) -> None:
        self.path = Path(os.path.realpath(path))
        self._temporary: str | None = None
        special = self.path.exists() and not self.path.is_file()
        if not special:
            refuse_existing(path, force=force)
        try:
            if special:
                self._file: IO[bytes] = self.path.open("wb")
            else:
                handle, self._temporary = tempfile.mkstemp(dir=self.path.parent, prefix=".medcom-fhir-", suffix=".tmp")
                self._file = os.fdopen(handle, "wb")
        except OSError as error:
            raise written(path, error) from error

    def write(self, data: bytes) -> None:
        """Add bytes at the end."""
        try:
            self._file.write(data)
        except OSError as error:
            self.abandon()
            raise written(self.path, error) from error

    def commit(self) -> None:
        """Give the file its name."""
        try:
            self._file.close()
            if self._temporary is not None:
                os.replace(self._temporary, self.path)
        except OSError as error:
            self.abandon()
            raise written(self.path, error) from error
        self._temporary = None

    def abandon(self) -> None:
        """Leave nothing behind."""
        with contextlib.suppress(OSError):
            self._file.close()
        if self._temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(self._temporary)
            self._temporary = None


def write_file(path: Path, data: bytes, *, force: bool) -> None:
    """Write a whole file, atomically."""
    file = AtomicFile(path, force=force)
    file.write(data)
    file.commit()


def refuse_existing(path: Path, *, force: bool) -> None:
    """Raise `OutputRefusedError` if something stands at `path` that may not be replaced."""
    if path.is_dir():
        raise OutputRefusedError(f"{path} is a folder, a file was expected")
    if os.path.lexists(path) and not force:
        raise OutputRefusedError(f"{path} exists; --force replaces it")


# Figures of a run

_Counts = defaultdict[str, int]  # a Counter asks Python for each number that is put into it
_counts = partial(_Counts, int)


@dataclass
class Summary:
    """What a run did: messages by fate, dispositions by letter type, issues by code and severity."""

    written: int = 0
    refused: int = 0
    joined: int = 0  # letters with objects that went with the letter that names them
    skipped: int = 0
    mapped: int = 0  # between a letter and FHIR, which asks the organisation table
    types: defaultdict[str, _Counts] = field(default_factory=lambda: defaultdict(_counts))
    issues: _Counts = field(default_factory=_counts)
    severities: _Counts = field(default_factory=_counts)

    def count(self, issues: Iterable[Issue]) -> None:
        """Count issues; one that stands for several counts as many."""
        counts, errors, warnings, others = self.issues, 0, 0, 0
        for issue in issues:
            number, severity = issue.count, issue.severity
            counts[issue.kind.code] += number
            if severity is _ERROR:  # a dictionary would ask Python for the hash of each
                errors += number
            elif severity is _WARNING:
                warnings += number
            else:
                others += number
        severities = self.severities
        if errors:
            severities["error"] += errors
        if warnings:
            severities["warning"] += warnings
        if others:
            severities["info"] += others

    def add(self, outcome: Outcome) -> None:
        """Count a message and the dispositions of its leaves."""
        if outcome.joined:
            self.joined += 1
        if outcome.output is not None:
            self.written += 1
        elif not outcome.joined:
            self.refused += 1
        if outcome.pair is not None:
            self.mapped += 1
        figures, ledger = self.types[outcome.type or "unknown"], outcome.ledger
        figures["messages"] += 1
        if ledger is not None:
            others = [raw[1] for raw in ledger.raw if raw[1] != "mapped"]
            for disposition in others:
                figures[disposition] += 1
            if mapped := len(ledger.raw) - len(others):
                figures["mapped"] += mapped
            figures["defaulted"] += len(ledger.raw_defaulted)

    def rejoined(self, number: int) -> None:
        """Count so many messages as joined: when they came, it was not known yet."""
        self.joined += number
        self.refused -= number

    def as_json(self) -> dict[str, Any]:
        """The figures as `summary.json` holds them."""
        messages = {"written": self.written, "refused": self.refused, "skipped": self.skipped}
        if self.joined:
            messages["joined"] = self.joined
        return {
            "messages": messages,
            "types": {name: dict(sorted(figures.items())) for name, figures in sorted(self.types.items())},
            "issues": dict(sorted(self.issues.items())),
        }


# Sinks


class Sink(ABC):
    """Takes outputs one after the other. Used as a context manager: what is unfinished at an exception is removed."""

    @abstractmethod
    def write(self, name: str, outcome: Outcome) -> None:
        """Take the output of a message that came from the input with that label."""

    def pass_over(self, name: str) -> None:  # noqa: B027 - most sinks need not know
        """Note a message of that input for which there is no output: the names of the next ones count it."""

    def finish(self, summary: Summary) -> None:  # noqa: B027 - nothing to complete
        """Complete the output. Called once, after the last `write`."""

    def abandon(self) -> None:  # noqa: B027 - nothing to remove
        """Remove what is incomplete."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if kind is not None:
            self.abandon()


def sink_for(output: str | None, inputs: Sequence[str], *, force: bool = False) -> Sink:
    """The sink that `-o PATH` names; standard output without it or for `-`.

    Raises `OutputRefusedError` for a suffix that is not known, for what exists already, and for an output inside an
    input folder or over an input file.
    """
    if output is None or output == "-":
        return Stdout()
    path = Path(output)
    refuse_inside(path, inputs)
    suffix = path.suffix.lower()
    if path.is_dir() or not suffix or output.endswith(("/", os.sep)):
        return Folder(path, force=force)
    if suffix not in _TAKES:
        raise OutputRefusedError(f"{output}: a file ends in {', '.join(_TAKES)}; a name without suffix is a folder")
    refuse_existing(path, force=force)
    if suffix == ".json":
        return OneBundle(path, force=force)
    if suffix == ".xml":
        return Numbered(path, force=force)
    return Joined(path, force=force)


def refuse_inside(path: Path, inputs: Sequence[str]) -> None:
    """Raise `OutputRefusedError` if the next run over the same inputs would read what this one wrote (threat Z7)."""
    target = Path(os.path.realpath(path))
    for name in inputs:
        source = Path(os.path.realpath(name))
        if name == "-":
            continue
        if source.is_dir() and target.is_relative_to(source):
            raise OutputRefusedError(f"{path} lies inside the input folder {name}; name a place outside it")
        if source == target:
            raise OutputRefusedError(f"{path} is one of the inputs")


def _expect(outcome: Outcome, path: Path) -> bytes:
    if outcome.suffix != _TAKES[path.suffix.lower()]:
        raise OutputRefusedError(f"{path} cannot take {_WORDS[outcome.suffix]}; use {outcome.suffix} or a folder")
    return outcome.output or b""


def line(outcome: Outcome) -> bytes:
    """The output as one line of a stream: a Bundle without line feeds, a letter as it is."""
    if outcome.suffix != ".json" or outcome.bundle is None or outcome.in_line:
        data = outcome.output or b""
        return data if data.endswith(b"\n") else data + b"\n"
    from converter.fhir.bundle import write_ndjson

    return write_ndjson(outcome.bundle)


class Stdout(Sink):
    """One message as it is; from the second on, one a line. The first waits until it is known to be the only one."""

    def __init__(self) -> None:
        self._first: Outcome | None = None
        self._several = False

    def write(self, name: str, outcome: Outcome) -> None:
        if self._several:
            self._put(line(outcome))
        elif self._first is None:
            self._first = outcome
        else:
            self._several = True
            self._put(line(self._first) + line(outcome))
            self._first = None

    def finish(self, summary: Summary) -> None:
        if self._first is not None:
            self._put(self._first.output or b"")
        sys.stdout.flush()

    def _put(self, data: bytes) -> None:
        # Errors are left as they are: the caller tells a reader that has gone from a disk that is full.
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


class OneBundle(Sink):
    """`NAME.json`: one Bundle; a second is wrong use, and then nothing is written."""

    def __init__(self, path: Path, *, force: bool) -> None:
        self._path, self._force = path, force
        self._data: bytes | None = None

    def write(self, name: str, outcome: Outcome) -> None:
        data = _expect(outcome, self._path)
        if self._data is not None:
            raise OutputRefusedError(f"{self._path} takes one Bundle and there are several: use .ndjson or a folder")
        self._data = data

    def finish(self, summary: Summary) -> None:
        if self._data is not None:
            write_file(self._path, self._data, force=self._force)


class Joined(Sink):
    """`NAME.ndjson` with a Bundle a line, `NAME.edi` with one interchange after the other: any number."""

    def __init__(self, path: Path, *, force: bool) -> None:
        self._path, self._force = path, force
        self._file: AtomicFile | None = None

    def write(self, name: str, outcome: Outcome) -> None:
        data = _expect(outcome, self._path)
        if self._file is None:
            self._file = AtomicFile(self._path, force=self._force)
        self._file.write(line(outcome) if outcome.suffix == ".json" else data)

    def finish(self, summary: Summary) -> None:
        if self._file is not None:
            self._file.commit()

    def abandon(self) -> None:
        if self._file is not None:
            self._file.abandon()


class Numbered(Sink):
    """`NAME.xml`, `NAME-2.xml`, …: one file a letter."""

    def __init__(self, path: Path, *, force: bool) -> None:
        self._path, self._force = path, force
        self._count = 0

    def write(self, name: str, outcome: Outcome) -> None:
        data = _expect(outcome, self._path)
        self._count += 1
        path = self._path
        if self._count > 1:
            path = path.with_name(f"{path.stem}-{self._count}{path.suffix}")
        write_file(path, data, force=self._force)


class Folder(Sink):
    """One file a message, named after its input, and `summary.json`."""

    def __init__(self, path: Path, *, force: bool) -> None:
        self._path, self._force = path, force
        if os.path.lexists(path) and not path.is_dir():
            raise OutputRefusedError(f"{path} is a file; an output without suffix is a folder")
        refuse_existing(path / SUMMARY, force=force)
        self._names = Names()

    def write(self, name: str, outcome: Outcome) -> None:
        path = self._path / self._names.next(name, outcome.suffix)
        self._make(path.parent)
        # The name is clean; a link that stood in the folder before could still lead out of it.
        if not path.parent.resolve().is_relative_to(self._path.resolve()):
            raise OutputRefusedError(f"{path.parent} leads out of the output folder {self._path}")
        write_file(path, outcome.output or b"", force=self._force)

    def pass_over(self, name: str) -> None:
        self._names.pass_over(name)

    def finish(self, summary: Summary) -> None:
        self._make(self._path)
        data = json.dumps(summary.as_json(), indent=2) + "\n"
        write_file(self._path / SUMMARY, data.encode(), force=self._force)

    def _make(self, path: Path) -> None:
        missing = [path, *path.parents]
        try:
            for folder in reversed(missing[: next(i for i, p in enumerate(missing) if p.is_dir())]):
                folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise written(path, error) from error


# Names of files in an output folder

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_DRIVE = re.compile(r"[A-Za-z]:\Z")
_PART_BYTES, _PATH_BYTES = 200, 900


def clean(name: str) -> tuple[str, ...]:
    """The parts of a label as names of files below a folder: relative, printable, short enough, never upwards."""
    parts = []
    for part in re.split(r"[/\\]", name):
        if part in ("", "."):
            continue
        part = _CONTROL.sub("_", part)
        if part == "..":
            part = "__"
        elif _DRIVE.match(part):
            part = f"{part[0]}_"
        parts.append(_cut(part, _PART_BYTES))
    while len(parts) > 1 and sum(len(os.fsencode(p)) + 1 for p in parts) > _PATH_BYTES:
        del parts[0]
    return tuple(parts) or ("_",)


def _cut(part: str, length: int) -> str:
    try:
        raw = part.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raw = part.encode("utf-8", "replace")
    if len(raw) > length:
        raw = raw[:length].decode("utf-8", "ignore").encode()
    return raw.decode("utf-8", "surrogateescape")


class Names:
    """Gives each output its own name below a folder, the same on every run and on every file system."""

    def __init__(self) -> None:
        self._files: set[tuple[str, ...]] = set()
        self._folders: set[tuple[str, ...]] = set()
        self._counts: Counter[tuple[str, ...]] = Counter()

    def pass_over(self, name: str) -> None:
        """Count a message without output, so that names tell which message of its input a file holds."""
        self._counts[self._place(name)] += 1

    def next(self, name: str, suffix: str) -> PurePosixPath:
        """The path for the next output of an input: `<label><suffix>`, from the second on `<label>-<n><suffix>`."""
        *folder, last = self._place(name)
        while True:
            self._counts[*folder, last] += 1
            count = self._counts[*folder, last]
            path = (*folder, f"{last}-{count}{suffix}" if count > 1 else f"{last}{suffix}")
            if path not in self._files and path not in self._folders and path != (SUMMARY,):
                self._files.add(path)
                return PurePosixPath(*path)

    def _place(self, name: str) -> tuple[str, ...]:
        *above, last = clean(name)
        folder: tuple[str, ...] = ()
        for part in above:
            # An input `a.edi` is written to the file `a.edi.json`, and another may ask for a folder of that name.
            while (*folder, part) in self._files or (*folder, part) == (SUMMARY,):
                part += "_"
            folder = (*folder, part)
            self._folders.add(folder)
        return (*folder, last)
