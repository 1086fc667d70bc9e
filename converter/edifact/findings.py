"""Issues of one EDIFACT input on their way to the log: limited in number, handed on with the message they are about."""

from __future__ import annotations

from typing import Any

from converter.edifact.segments import Origin, Segment
from converter.issues import IssueKind, IssueLog, Location, Severity, declare

MORE = declare(
    "EDI019",
    "more-findings",
    Severity.INFO,
    "{number} more finding(s) {code} in this interchange are not listed",
    why="A broken or hostile file can have millions of one kind.",
    help="Look at those that are listed; the rest is most likely of the same cause.",
)

MAX_LISTED = 100
"""Findings of one kind that are listed in one interchange."""


class Findings:
    """Reports to a log, each kind at most `MAX_LISTED` times an interchange.

    With `hold`, findings wait until `release`: the reader is ahead of the message that its caller is about to get, and
    the caller takes everything in the log to be about that message.
    """

    __slots__ = ("_held", "_log", "_number", "hold")

    def __init__(self, log: IssueLog, *, hold: bool = False) -> None:
        self.hold = hold
        self._log = log
        self._held = IssueLog()
        self._number: dict[str, int] = {}

    def room(self, kind: IssueKind) -> bool:
        """Count one finding of this kind; False when no more of them are listed."""
        number = self._number[kind.code] = self._number.get(kind.code, 0) + 1
        return number <= MAX_LISTED

    def at(self, kind: IssueKind, segment: Segment, element: int = 0, component: int = 0, **facts: Any) -> None:
        """Report a finding in a segment, at an element and component counted from 1 (0: the whole)."""
        if self.room(kind):
            self.put(kind, segment.locate(element, component), **facts)

    def near(self, kind: IssueKind, origin: Origin, offset: int, *, ordinal: int = 0, **facts: Any) -> None:
        """Report a finding at a byte that belongs to no segment, or to one that could not be made."""
        if self.room(kind):
            self.put(kind, origin.location(offset, ordinal=ordinal), **facts)

    def put(self, kind: IssueKind, place: Location, **facts: Any) -> None:
        """Report without counting, after `room`. `severity` and `value` go to the issue, other facts to its message."""
        (self._held if self.hold else self._log).add(kind, place, **facts)

    @property
    def waiting(self) -> bool:
        """Whether any finding waits."""
        return bool(self._held.issues)

    def release(self, upto: Segment | None = None) -> None:
        """Hand on what was found up to the end of this segment (or all), in the order of the input."""
        if not self._held.issues:
            return
        waiting = sorted(self._held.drain(), key=lambda issue: issue.at.offset)
        number = len(waiting) if upto is None else sum(issue.at.offset <= upto.end for issue in waiting)
        self._log.extend(waiting[:number])
        self._held.extend(waiting[number:])

    def close(self, origin: Origin, end: int) -> None:
        """End of an interchange at byte `end`: say how many findings were not listed, and start counting anew."""
        for code, number in self._number.items():
            if number > MAX_LISTED:
                left = number - MAX_LISTED
                self.put(MORE, origin.location(end), number=left, code=code, count=left)
        self._number.clear()
