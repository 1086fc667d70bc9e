"""The option `validate --receipts`: a receipt for every message that was judged, into a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from converter.engine import Engine, Outcome
    from converter.flows.receipts import Receipt, Receipts
    from converter.sources import Input

Judge = Callable[["Input"], "Iterator[Outcome]"]


def answering(engine: Engine, judge: Judge, folder: Path, sent: datetime, *, operator: bool, force: bool) -> Judge:
    """A judge that also writes the receipts of each input, when all its messages are judged."""
    from converter.cli.flowing import flow_table
    from converter.errors import InterchangeError
    from converter.flows.receipts import Receipts
    from converter.sinks import Folder

    table = flow_table(engine).receipts
    if table is None:
        raise InterchangeError("the table of flows does not say how receipts are written")
    sink, rules = Folder(folder, force=force), table

    def judged(item: Input) -> Iterator[Outcome]:
        receipts = Receipts(rules, sent, operator=operator)
        for outcome in judge(item):
            _add(receipts, outcome)
            yield outcome
        for receipt in receipts.made():
            written = _written(engine, receipt)
            if written is not None:
                sink.write(f"{item.name}.{written.type}", written)

    return judged


def _add(receipts: Receipts, outcome: Outcome) -> None:
    from converter.issues import IssueLog

    log = IssueLog()
    receipts.add(outcome, log)
    outcome.issues = [*outcome.issues, *log]


def _written(engine: Engine, receipt: Receipt) -> Outcome | None:
    """The bytes of a receipt; None if it cannot be written, as its definition was changed."""
    from converter import edifact, oioxml
    from converter.engine import EDIFACT, Outcome
    from converter.issues import IssueLog

    letter = receipt.letter
    wire = receipt.syntax == EDIFACT
    data = (edifact.write if wire else oioxml.write)([letter], engine.definitions, IssueLog())
    if data is None:
        return None
    suffix = ".edi" if wire else ".xml"
    return Outcome(letter.type, letter.type, letter.version, letter.syntax, output=data, suffix=suffix)
