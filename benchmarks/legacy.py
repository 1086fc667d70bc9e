"""Rows between the legacy syntaxes: EDIFACT → OIOXML and back, and full validation, beside what others need.

MedCom's own converter (Ruby, last changed in 2015) is not at hand; its medians are constants, measured on another
machine. How fast that one was, pydifact tells, which was measured there too: so the aims are ratios to pydifact's row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from benchmarks.corpus import Message
from benchmarks.reading import PYDIFACT
from benchmarks.rows import Row
from converter.engine import Engine, Outcome
from converter.issues import Severity

RUBY_FORTH_MS, RUBY_BACK_MS = 7.2, 3.8
"""Medians a message of MedCom's converter, EDIFACT → OIOXML and back."""
PYDIFACT_MB_S = 1.55
"""What pydifact's parser read on the machine of those medians, in MB/s."""
TIMES_FORTH, TIMES_BACK, TIMES_VALIDATED = 40, 20, 6
"""How many times faster the project aims to be; of validation, than pydifact's bare reading."""


def rows(messages: Sequence[Message]) -> Iterator[Row]:
    """The rows."""
    plain, checking, n = Engine(validate=False), Engine(), len(messages)
    parsed = sum(len(m.edifact) for m in messages) / n / PYDIFACT_MB_S  # µs a message, on the machine of the medians
    wire, xml = [m.edifact for m in messages], [m.oioxml for m in messages]
    forth, back = partial(_converted, plain, "oioxml"), partial(_converted, plain, "edifact")
    yield Row(
        "legacy",
        f"EDIFACT → OIOXML (aim: {TIMES_FORTH} x MedCom's Ruby)",
        partial(_each, forth, wire),
        n,
        anchor=PYDIFACT,
        gate=lambda: _exact(plain, messages),
        target=round(parsed * TIMES_FORTH / RUBY_FORTH_MS / 1000, 1),
    )
    yield Row(
        "legacy",
        f"OIOXML → EDIFACT (aim: {TIMES_BACK} x MedCom's Ruby)",
        partial(_each, back, xml),
        n,
        anchor=PYDIFACT,
        gate=lambda: _exact(plain, messages),
        target=round(parsed * TIMES_BACK / RUBY_BACK_MS / 1000, 1),
    )
    yield Row(
        "legacy",
        "EDIFACT read and fully validated",
        partial(_each, partial(_errors, checking), wire),
        n,
        anchor=PYDIFACT,
        gate=lambda: _finds(checking, wire[0]),
        target=TIMES_VALIDATED,
    )


def _each(function: Callable[[bytes], object], inputs: Sequence[bytes]) -> None:
    for data in inputs:
        function(data)


def _converted(engine: Engine, to: str, data: bytes) -> bytes | None:
    (outcome,) = engine.convert(data, to=to, name="message")
    return outcome.output


def _errors(engine: Engine, data: bytes) -> int:
    outcomes: list[Outcome] = list(engine.validate(data, name="message"))
    return sum(issue.severity is Severity.ERROR for outcome in outcomes for issue in outcome.issues)


def _exact(engine: Engine, messages: Sequence[Message]) -> str:
    """Each way gives the other form of the message, and not the same for all."""
    found = set()
    for message in messages:
        wire = _converted(engine, "edifact", message.oioxml)
        again = _converted(engine, "edifact", _converted(engine, "oioxml", message.edifact) or b"")
        if wire is None or _bare(wire) != _bare(message.edifact) or again != wire:
            return f"{message.case} does not come back"
        found.add(wire)
    return "" if len(found) == len(messages) else "two messages gave one"


def _bare(wire: bytes) -> bytes:
    return wire.replace(b"\r", b"").replace(b"\n", b"")


def _finds(engine: Engine, wire: bytes) -> str:
    """Letters of the corpus are sound, and one that is made wrong is found."""
    broken = wire.replace(b"DTM+137:20", b"DTM+137:2x", 1)
    return "" if not _errors(engine, wire) and _errors(engine, broken) else "a fault is not found, or one too many"
