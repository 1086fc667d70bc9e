"""What stands beside the flows: attachments that no letter names, receipts for messages that are not here, persons."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from converter.flows.messages import Digest, Remembering, place_of
from converter.flows.persons import Persons
from converter.flows.table import FlowTable
from converter.issues import IssueLog, Location, Severity, declare

if TYPE_CHECKING:
    from converter.engine import Outcome

ATTACHMENT_ALONE = declare(
    "FLW010",
    "attachment-without-letter",
    Severity.WARNING,
    "no letter here names the object in this {letter}",
    why="A receiver cannot tell which letter the object belongs to, so nobody may look at it.",
    help="Look for the letter outside this corpus, or ask the sender for it.",
)
RECEIPT_ALONE = declare(
    "FLW011",
    "receipt-without-message",
    Severity.WARNING,
    "{letter} answers a message that is not here",
    why="What was received or refused is not known, so a refusal may go unnoticed.",
    help="Look for the message outside this corpus; receipts go back to who sent it.",
)


class Beside:
    """Attachments, receipts and persons of a corpus: `add` every message, then `report` once."""

    def __init__(self, table: FlowTable) -> None:
        self._table, self._remembering = table, Remembering(table)
        self._objects: list[tuple[Digest, str, Location]] = []
        self._named: set[Digest] = set()
        self._receipts: list[tuple[list[tuple[Digest, ...]], str, Location]] = []
        self._sent: set[tuple[Digest, ...]] = set()
        self._persons = Persons(table, self._remembering)
        self.receipts = self.attachments = 0

    def add(self, outcome: Outcome, display: str, line: int) -> None:
        """Take a message that has a letter, of whatever type."""
        letter, attachments, receipts = outcome.letter, self._table.attachments, self._table.receipts
        if letter is None:
            return
        if not letter.refused:
            self._persons.add(outcome, display, line)
        else:
            letter = replace(letter, values=dict(letter.identity))

        def values(path: str) -> list[Digest]:
            return list(self._remembering.digests(letter, (path,)))

        if attachments is not None:
            self._named.update(values(attachments.named))
            if letter.type in attachments.types:
                self.attachments += 1
                at = place_of(outcome, (attachments.holds,), display, line)
                self._objects += [(one, letter.type, at) for one in values(attachments.holds)]
        if receipts is None:
            return
        if letter.type in receipts.types:
            self.receipts += 1
            at = place_of(outcome, (receipts.letter, receipts.envelope), display, line)
            sender = values(receipts.sender)
            one_of = values(receipts.letter) or values(receipts.envelope)
            self._receipts.append(([(*sender, one) for one in one_of], letter.type, at))
        else:
            sender = values(receipts.original["sender"])
            ids = values(receipts.original["letter"]) + values(receipts.original["envelope"])
            self._sent.update((*sender, one) for one in ids)

    def report(self, log: IssueLog) -> None:
        """Add FLW010, FLW011, FLW014 and FLW015."""
        self._persons.report(log)
        for one, type_, at in self._objects:
            if one not in self._named:
                log.add(ATTACHMENT_ALONE, at, letter=type_)
        for answered, type_, at in self._receipts:
            if not all(one in self._sent for one in answered) or not answered:
                log.add(RECEIPT_ALONE, at, letter=type_)
