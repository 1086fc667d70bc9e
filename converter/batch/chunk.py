"""What becomes of a chunk: one pure function from some inputs to lines, dead letters and rows of the ledger.

No files, no processes, no clock: whoever runs it, as often as it may be, gets the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from converter.errors import ConverterError
from converter.issues import Severity, declare
from converter.places import placed
from converter.sinks import Summary, line
from converter.sources import Input

if TYPE_CHECKING:
    from converter.engine import Outcome

WORKER = declare(
    "BAT021",
    "worker-died",
    Severity.ERROR,
    "the process that converted this input died of it, twice",
    why="The input was left out, so that the others could be converted; it is among the dead letters.",
    help="Convert it alone to see what happens; too little memory is the usual reason.",
)
FAULT = declare(
    "SYS021",
    "internal-error-in-batch",
    Severity.ERROR,
    "internal error in this input: {what}",
    why="The input is among the dead letters; the others are not affected.",
    help="Convert the input alone with `convert`, which says where it happened, and report that.",
)


class State(StrEnum):
    """What became of a message. Each message has one state, and the four make up all that came in."""

    OK = "ok"
    DEAD = "dead"
    DUPLICATE = "duplicate"
    REFUSED = "refused"


_OK = str(State.OK)


class Fault(NamedTuple):
    """Why something has no output: an issue code, the stage that found it and the place, never a value."""

    code: str
    stage: str
    line: int = 0
    column: int = 0
    path: str = ""


class Piece(NamedTuple):
    """One input of a chunk, or, with a `fault`, the record of one that could not be read.

    `source` and `number` name it: which file of the plan, and which input in that file. `settled`: messages in it that
    have their state from an earlier attempt, by number.
    """

    source: int
    number: int
    item: Input
    fault: Fault | None = None
    settled: frozenset[int] = frozenset()


class Row(NamedTuple):
    """One message in the ledger. `line` is its line in the part, or in the dead letters, from 1; 0 for none."""

    source: int
    piece: int
    ordinal: int
    cid: bytes
    state: str
    code: str
    line: int


Raw = tuple[int, int, int, bytes, str, str, int]
"""A row as it is made and travels: a plain tuple of the fields of `Row`, in their order."""


@dataclass(slots=True)
class Result:
    """What became of a chunk: the lines of its part, of its dead letters, its rows, its figures, and raw bytes of the
    dead letters by content id. Outputs that go into files of their own are in `files`, by name.
    """

    lines: list[bytes] = field(default_factory=list)
    dead: list[bytes] = field(default_factory=list)
    rows: list[Raw] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    raw: dict[str, bytes] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Form:
    """What a chunk is made into. `files`: a file a message; `parquet`: tables; `raw`: the bytes of dead letters too."""

    files: bool = False
    parquet: bool = False
    raw: bool = False
    attempt: int = 1


Convert = Callable[[Input], Iterator["Outcome"]]


def convert_chunk(
    pieces: Sequence[Piece], convert: Convert, form: Form, before: Callable[[int], None] = lambda _: None
) -> Result:
    """Convert the pieces of a chunk in their order. `before` is told the index of each piece before it is begun."""
    conversion = _Conversion(convert, form)
    for index, piece in enumerate(pieces):
        before(index)
        conversion.run(piece)
    result, summary = conversion.result, conversion.summary
    figures = summary.as_json()
    figures["severities"] = dict(sorted(summary.severities.items()))
    result.figures = figures
    return result


def content_id(data: bytes, ordinal: int) -> bytes:
    """What two messages have in common that are the same bytes: 128 bits over the input and the place in it."""
    digest = hashlib.sha256(data)
    if ordinal > 1:
        digest.update(b"#%d" % ordinal)
    return digest.digest()[:16]


class _Conversion:
    """The pieces of a chunk on their way into the result, one after the other."""

    __slots__ = ("_convert", "_data", "_form", "_ordinal", "_piece", "result", "summary")

    def __init__(self, convert: Convert, form: Form) -> None:
        self._convert, self._form = convert, form
        self.result, self.summary = Result(), Summary()

    def run(self, piece: Piece) -> None:
        """Convert a piece; whatever goes wrong is a dead letter."""
        self._piece, self._ordinal, self._data = piece, 0, piece.item.data
        if piece.fault is not None:
            self._failed(piece.fault)
            return
        try:
            for outcome in self._convert(piece.item):
                self._take(outcome)
        except ConverterError:
            raise
        except Exception as error:  # noqa: BLE001 - the next input must not suffer from our faults
            self._failed(Fault(FAULT.code, "convert", path=type(error).__name__))

    def _failed(self, fault: Fault) -> None:
        self._dead(State.DEAD, fault)
        self.summary.issues[fault.code] += 1
        self.summary.severities["error"] += 1

    def _take(self, outcome: Outcome) -> None:
        if not outcome.recognised and not self._piece.item.explicit:
            self.summary.skipped += 1
            return
        self.summary.count(outcome.issues)
        # Findings about an interchange as a whole come as an outcome of their own, which is no message.
        if not outcome.message and self._ordinal:
            return
        self.summary.add(outcome)
        if outcome.joined:
            return  # it is part of the message of the letter that names its objects
        if outcome.output is not None:
            self._written(outcome)
        else:
            self._dead(_state_without_output(outcome), _fault(outcome, self._piece.item))

    def _written(self, outcome: Outcome) -> None:
        cid, result = self._next(), self.result
        if self._ordinal in self._piece.settled:
            return
        if self._form.files:
            result.files[f"{cid.hex()}{outcome.suffix}"] = outcome.output or b""
        else:
            result.lines.append(line(outcome))
        self._row(cid, _OK, "", len(result.lines))  # of files there are no lines

    def _dead(self, state: State, fault: Fault) -> None:
        cid = self._next()
        piece = self._piece
        if self._ordinal in piece.settled:
            return
        item = piece.item
        letter = {
            "input": item.display.encode(errors="replace").decode(),
            "source": piece.source,
            "piece": piece.number,
            "message": self._ordinal,
            "cid": cid.hex(),
            "state": state,
            **fault._asdict(),
            "attempt": self._form.attempt,
        }
        self.result.dead.append(json.dumps(letter, ensure_ascii=False).encode() + b"\n")
        if self._form.raw and item.data:
            self.result.raw[hashlib.sha256(item.data).hexdigest()[:32]] = item.data
        self._row(cid, str(state), fault.code, len(self.result.dead))

    def _next(self) -> bytes:
        self._ordinal += 1
        data = self._data
        if not data:
            # What could not be read has no bytes to compare, so its place stands for them: it is nobody's duplicate.
            data = b"\0unread\0" + os.fsencode(f"{self._piece.source}/{self._piece.number}")
        return content_id(data, self._ordinal)

    def _row(self, cid: bytes, state: str, code: str, at: int) -> None:
        source, number, _, _, _ = self._piece
        self.result.rows.append((source, number, self._ordinal, cid, state, code, at))


def _state_without_output(outcome: Outcome) -> State:
    """Refused is what was understood and may not be converted; dead is what could not be read."""
    understood = outcome.bundle is not None or (outcome.letter is not None and not outcome.letter.refused)
    return State.REFUSED if understood else State.DEAD


def _fault(outcome: Outcome, item: Input) -> Fault:
    """The first error, as the reason; its path only where that is a path of the definition and not a value."""
    first = next((issue for issue in outcome.issues if issue.severity is Severity.ERROR), None)
    stage = "read" if _state_without_output(outcome) is State.DEAD else "convert"
    if first is None:
        return Fault("", stage)
    (first,) = placed([first], item.data, item.line)  # of no other is the place looked for, which is dear
    return Fault(first.code, stage, first.at.line, first.at.column, first.at.path)


def merged(figures: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The figures of several chunks as those of one."""
    total: dict[str, Any] = {"skipped": 0, "types": {}, "issues": Counter(), "severities": Counter()}
    for one in figures:
        total["skipped"] += one["messages"]["skipped"]
        for type_, counts in one["types"].items():
            total["types"].setdefault(type_, Counter()).update(counts)
        total["issues"].update(one["issues"])
        total["severities"].update(one["severities"])
    return {
        "skipped": total["skipped"],
        "types": {type_: dict(sorted(counts.items())) for type_, counts in sorted(total["types"].items())},
        "issues": dict(sorted(total["issues"].items())),
        "severities": dict(sorted(total["severities"].items())),
    }
