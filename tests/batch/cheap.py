"""A conversion that costs nothing, so that tests of how a run is written take no time for what is written."""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Iterator

from converter.batch.chunk import Convert
from converter.engine import Outcome
from converter.issues import IssueLog, Location
from converter.runs import NO_MESSAGE
from converter.sources import Input

POISON = b"KILLS"


def factory() -> Convert:
    """What converts: a line that follows from the bytes; input that holds POISON kills the process."""
    return _convert


def _convert(item: Input) -> Iterator[Outcome]:
    if POISON in item.data:
        os.kill(os.getpid(), signal.SIGKILL)
    outcome = Outcome(
        item.name, type="letter", syntax="edifact", target="fhir", message=f"{item.name}#1", suffix=".json"
    )
    if item.data.startswith(b"UNA") and item.data.rstrip().endswith(b"'"):
        outcome.output = b'{"id":"%s"}' % hashlib.sha256(item.data).hexdigest().encode()
    else:
        log = IssueLog()
        log.add(NO_MESSAGE, Location(item.display, 1, 1))
        outcome.issues = log.issues
    yield outcome


class Silent:
    """A run that nobody looks at; keeps what it is told."""

    def __init__(self) -> None:
        self.issues: list[str] = []

    def advance(self, totals: dict[str, int], files: int, planned: int) -> None:
        """Nothing."""

    def whole(self, totals: dict[str, int], files: int, planned: int) -> None:
        """Nothing."""

    def found(self, issues: object) -> None:
        """Keep the codes."""
        self.issues += [issue.code for issue in issues]  # type: ignore[attr-defined]


def failing() -> Convert:
    """What converts everything but letters with the digits 13, for which it fails like a fault of our own."""

    def convert(item: Input) -> Iterator[Outcome]:
        if b"B00000013" in item.data:
            raise ValueError("0123 never shown")
        yield from _convert(item)

    return convert
