"""Where inputs come from: files, folders, archives, VANS envelopes, NDJSON, standard input, as bytes with a label.

Whatever is wrong with one input is an issue, and the others are still read (threats Z3, Z6); only a path that does not
exist is wrong use.
"""

from __future__ import annotations

import io
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal, NamedTuple

from converter.archives import (
    NOT_A_FILE,
    TOO_LARGE,
    LimitError,
    Openable,
    is_archive,
    kind_of_file,
    members,
    read_whole,
)
from converter.errors import InterchangeError
from converter.issues import IssueLog, Location, Severity, declare
from converter.limits import Limits
from converter.vans import Envelope
from converter.vans import read as read_envelope
from converter.vans import sniff as is_envelope
from converter.vans.reading import NESTED

UNREADABLE = declare(
    "BAT001",
    "input-unreadable",
    Severity.ERROR,
    "cannot be read: {reason}",
    why="The messages in it are not read.",
    help="Check that the file is still there and that you may read it, then run the same command for it again.",
)
NOTHING = declare(
    "BAT010",
    "no-inputs",
    Severity.WARNING,
    "holds no files",
    why="Nothing was read, which is rarely what was wanted.",
    help="Check the path.",
)

STDIN = "stdin"


class Input(NamedTuple):
    """Some bytes to read messages from.

    `name` is the label that outputs are named after: the path below the folder or archive that the user named, or the
    file's own name; never a path to open. `display` is what findings call it. `explicit`: the user named it, so it is
    a finding if it is no message. `line` is the line of the file in which `data` starts (NDJSON). `envelope` is the
    VANS envelope that `data` was taken out of.
    """

    name: str
    display: str
    data: bytes
    explicit: bool
    line: int = 1
    envelope: Envelope | None = None


def require(paths: Sequence[str]) -> None:
    """Raise `InterchangeError` if one of these paths does not exist: wrong use, to be said before anything is done."""
    missing = [p for p in paths if p != "-" and not os.path.lexists(p)]
    if missing:
        raise InterchangeError(f"no such file or folder: {', '.join(missing)}")


@dataclass(frozen=True, slots=True)
class Source:
    """A file to read inputs from; `-` is standard input. `name`, `display` and `explicit` are those of its inputs.

    `held` is its content where somebody else has read it.
    """

    path: str
    name: str
    display: str
    explicit: bool
    held: bytes | None = None


@dataclass(frozen=True, slots=True)
class _Held:
    """Content in memory, opened like a file."""

    name: str
    data: bytes

    def open(self, mode: Literal["rb"]) -> IO[bytes]:
        """The content as a file."""
        return io.BytesIO(self.data)


def inputs(paths: Sequence[str], log: IssueLog, limits: Limits | None = None) -> Iterator[Input]:
    """All inputs that these arguments stand for, in their order; folders in the order of names.

    Faults of single inputs are added to `log` before the next input is yielded.
    """
    limits = limits or Limits()
    for source in sources(paths, log):
        yield from read(source, log, limits)


def sources(paths: Sequence[str], log: IssueLog) -> Iterator[Source]:
    """The files that these arguments stand for, unread and in the order of `inputs`."""
    for path in paths:
        if path == "-":
            yield Source(path, STDIN, STDIN, explicit=True)
        elif Path(path).is_dir():
            yield from _folder(Path(path), log)
        else:
            yield Source(path, Path(path).name, path, explicit=True)


def read(source: Source, log: IssueLog, limits: Limits) -> Iterator[Input]:
    """The inputs in one file; what is wrong with them is added to `log`."""
    for item in unopened(source, log, limits):
        if not is_envelope(item.data):
            yield item
        elif (opened := _opened(item, log, limits)) is not None:
            yield opened


def unopened(source: Source, log: IssueLog, limits: Limits) -> Iterator[Input]:
    """The same, with VANS envelopes as they stand."""
    return _stdin(log, limits) if source.path == "-" else _file(source, log, limits)


def _opened(item: Input, log: IssueLog, limits: Limits) -> Input | None:
    """The message in an envelope. Findings about it count lines in the message, so they name it as a part of the file.

    Nothing is opened twice: what an envelope holds is a message, or it is not read.
    """
    envelope = read_envelope(item.data, log, file=item.display, limits=limits)
    if envelope is None:
        return None
    if is_envelope(envelope.payload):
        log.add(NESTED, envelope.at("Message/Data"))
        return None
    return item._replace(display=f"{item.display}/Data", data=envelope.payload, explicit=True, envelope=envelope)


def _stdin(log: IssueLog, limits: Limits) -> Iterator[Input]:
    try:
        data = read_whole(sys.stdin.buffer, limits)
    except LimitError as refusal:
        refusal.report(log, Location(STDIN))
    except OSError as error:
        _unreadable(log, STDIN, error)
    else:
        yield Input(STDIN, STDIN, data, explicit=True)


def _folder(top: Path, log: IssueLog) -> Iterator[Source]:
    # A stack and not recursion: folders may be nested deeper than Python's own stack.
    pending, found = [top], False
    while pending:
        path = pending.pop()
        try:
            mode = stat.S_IFDIR if path is top else path.lstat().st_mode
            if stat.S_ISDIR(mode):
                pending.extend(sorted(path.iterdir(), key=lambda p: p.name, reverse=True))
                continue
        except OSError as error:
            found = True
            _unreadable(log, str(path), error)
            continue
        found = True
        if stat.S_ISREG(mode):
            yield Source(str(path), path.relative_to(top).as_posix(), str(path), explicit=False)
        else:
            log.add(NOT_A_FILE, Location(str(path)), found=kind_of_file(mode))
    if not found:
        log.add(NOTHING, Location(str(top)))


def _file(source: Source, log: IssueLog, limits: Limits) -> Iterator[Input]:
    path: Openable = Path(source.path) if source.held is None else _Held(source.name, source.held)
    name, display, explicit = source.name, source.display, source.explicit
    try:
        if is_archive(name):
            # Labels start at the archive if the user named it, at the folder that it was found in otherwise.
            above = "" if explicit else f"{name}/"
            for label, data in members(path, display, log, limits):
                yield Input(above + label, f"{display}/{label}", data, explicit=False)
        elif name.lower().endswith(".ndjson"):
            yield from _lines(path, name, display, log, limits, explicit=explicit)
        else:
            with path.open("rb") as file:
                data = read_whole(file, limits)
            yield Input(name, display, data, explicit)
    except LimitError as refusal:
        refusal.report(log, Location(display))
    except OSError as error:
        _unreadable(log, display, error)


def _lines(
    path: Openable, name: str, display: str, log: IssueLog, limits: Limits, *, explicit: bool
) -> Iterator[Input]:
    """A Bundle a line; empty lines are nothing. A line above the limit `message` is an issue, the next are read."""
    ceiling, number, empty = limits.message, 0, True
    with path.open("rb") as file:
        while line := file.readline(ceiling + 1):
            number += 1
            if len(line) > ceiling and not line.endswith(b"\n"):
                empty = False
                log.add(TOO_LARGE, Location(display, number, 1), limit="message", allowed=ceiling)
                while line and not line.endswith(b"\n"):
                    line = file.readline(ceiling)
            elif line.strip():
                empty = False
                yield Input(name, display, line, explicit, number)
    if empty:
        yield Input(name, display, b"", explicit)


def _unreadable(log: IssueLog, display: str, error: OSError) -> None:
    log.add(UNREADABLE, Location(display), reason=error.strerror or type(error).__name__)
