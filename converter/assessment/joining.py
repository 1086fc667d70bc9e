"""Which messages belong together: answers, receipts, attachments and copies; who is missing, and how long it took."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from math import ceil
from typing import Any

from converter.assessment.collecting import ATTACHMENT, RECEIPT, Told
from converter.assessment.measures import Measures
from converter.flows import Flow, Flows, FlowTable
from converter.flows.messages import Message, Remembering
from converter.flows.persons import Person, Persons
from converter.issues import IssueLog, Location

JOINED, MISSING, OPEN, ORPHAN = "joined", "missing", "open", "orphan"
_DAY = 1440


@dataclass(slots=True)
class Sent:
    """What is remembered of all messages, by number from 1: who sent what to whom, and when (minutes; 0: unknown)."""

    types: list[str] = field(default_factory=lambda: [""])
    senders: list[str] = field(default_factory=lambda: [""])
    receivers: list[str] = field(default_factory=lambda: [""])
    written: array[int] = field(default_factory=lambda: array("q", [0]))
    sent: array[int] = field(default_factory=lambda: array("q", [0]))

    def add(self, told: Told, same: dict[str, str]) -> int:
        """Take a message; returns its number. `same` gives equal texts one object."""
        for texts, text in ((self.types, told.type), (self.senders, told.sender), (self.receivers, told.receiver)):
            texts.append(same.setdefault(text, text))
        self.written.append(told.written)
        self.sent.append(told.sent)
        return len(self.types) - 1


def month(minute: int) -> str:
    """The month of a minute since the year 1 as YYYY-MM; empty for 0."""
    return f"{date.fromordinal(minute // _DAY):%Y-%m}" if minute else ""


class Joining:
    """Takes every message with its number, then gives the pairs once."""

    def __init__(self, table: FlowTable, measures: Measures) -> None:
        self._table, self._measures = table, measures
        self.sent, self.log = Sent(), IssueLog()
        self._same: dict[str, str] = {}
        self._flows, self._persons = Flows(table), Persons(table, Remembering(table))
        self._letters: dict[str, int] = {}
        self._envelopes: defaultdict[str, list[int]] = defaultdict(list)
        self._wanting: list[int] = []
        self._receipts: list[tuple[int, list[str], list[str]]] = []
        self._objects: list[tuple[int, str]] = []
        self._naming: dict[str, int] = {}
        self._first: dict[bytes, int] = {}
        self._copies: list[tuple[int, int]] = []
        self._mixed: defaultdict[tuple[str, frozenset[str]], set[str]] = defaultdict(set)

    def add(self, told: Told) -> tuple[int, bool]:
        """Take a message; its number, and whether it is a copy of an earlier one."""
        n = self.sent.add(told, self._same)
        if told.content:
            first = self._first.setdefault(bytes.fromhex(told.content), n)
            if first != n:
                self._copies.append((first, n))
                return n, True
        self._tie(n, told)
        self._flow(n, told)
        return n, False

    def _tie(self, n: int, told: Told) -> None:
        ties = told.ties
        if told.role != RECEIPT:
            for one in ties.letters:
                self._letters.setdefault(ties.sender + one, n)
            for one in ties.envelopes:
                self._envelopes[ties.sender + one].append(n)
        if ties.wants:
            self._wanting.append(n)
        if told.role == RECEIPT:
            sender = ties.answered_sender
            letters, envelopes = ([sender + one for one in t] for t in (ties.answered_letters, ties.answered_envelopes))
            self._receipts.append((n, letters, envelopes))
        self._objects += [(n, one) for one in ties.holds]
        for one in ties.names:
            self._naming.setdefault(one, n)

    def _flow(self, n: int, told: Told) -> None:
        at = Location(line=n)
        if told.ties.person:
            number, name, whole, replacement = told.ties.person
            number, name, whole = map(bytes.fromhex, (number, name, whole))
            self._persons.take(Person(number, name, whole, replacement), at)
        if not told.ties.flow:
            self._flows.take(None, self.log)
            return
        *digests, episodes, patient, minute = told.ties.flow
        letter, status, sender, receiver, referral = map(bytes.fromhex, digests)
        row = self._table.rows[told.type]
        people = tuple(map(bytes.fromhex, patient))
        message = Message(
            row, at, at, letter, status, tuple(map(bytes.fromhex, episodes)), sender, receiver, referral, people, minute
        )
        self._flows.take(message, self.log)
        if told.patient:
            self._mixed[told.patient, frozenset((told.sender, told.receiver))].add(told.type)

    # -- the pairs -----------------------------------------------------------------------------------------------------

    def pairs(self) -> Iterator[dict[str, Any]]:
        """All pairs, by kind and place. What is odd about flows and persons stands in `log` afterwards."""
        yield from self._answers()
        yield from self._receipted()
        yield from self._attached()
        for first, second in self._copies:
            yield self._pair("copy", JOINED, "copy", first, second)
        self._persons.report(self.log)

    def _answers(self) -> Iterator[dict[str, Any]]:
        day = date.fromordinal(max(self.sent.written, default=0) // _DAY or 1)
        for flow in self._flows.found(day, self._table.after, self.log):
            yield from self._answer(flow, day)

    def _answer(self, flow: Flow, day: date) -> Iterator[dict[str, Any]]:
        if flow.referral is None:
            yield self._pair("answer", ORPHAN, "", 0, flow.answers[0][0].at.line)
            return
        first = flow.referral.at.line
        agreed = flow.referral.row.answered_by
        for answer, joined_by in flow.answers:
            usual = not agreed or answer.type in agreed
            yield self._pair("answer", JOINED, joined_by, first, answer.at.line, agreed=usual)
        if not flow.answers:
            old = flow.referral.day and day.toordinal() - flow.referral.day >= self._table.after
            yield self._pair("answer", MISSING if old else OPEN, "", first, 0)

    def _receipted(self) -> Iterator[dict[str, Any]]:
        answered: set[int] = set()
        for n, letters, envelopes in self._receipts:
            found = [self._letters[one] for one in letters if one in self._letters]
            found = found or [first for one in envelopes for first in self._envelopes.get(one, ())]
            for first in found:
                yield self._pair("receipt", JOINED, "receipt", first, n)
            if not found:
                yield self._pair("receipt", ORPHAN, "", 0, n)
            answered.update(found)
        for n in self._wanting if self._receipts else ():
            if n not in answered:
                yield self._pair("receipt", MISSING, "", n, 0)

    def _attached(self) -> Iterator[dict[str, Any]]:
        held: set[str] = set()
        for n, one in self._objects:
            held.add(one)
            first = self._naming.get(one, 0)
            yield self._pair("attachment", JOINED if first else ORPHAN, "object" if first else "", first, n)
        for one, n in self._naming.items() if self._objects else ():
            if one not in held:
                yield self._pair("attachment", MISSING, "", n, 0)

    def _pair(
        self, kind: str, state: str, joined_by: str, first: int, second: int, *, agreed: bool = False
    ) -> dict[str, Any]:
        sent, here = self.sent, first or second
        times = sent.written if kind == "answer" else sent.sent
        minutes = times[second] - times[first] if times[first] and times[second] else None
        late = minutes is not None and kind in self._measures.late and minutes > self._measures.late[kind]
        parties = (sent.senders[here], sent.receivers[here])
        sender, receiver = parties if first else parties[::-1]
        return {
            "kind": kind,
            "state": state,
            "joined_by": joined_by,
            "first": first or None,
            "second": second or None,
            "first_type": sent.types[first],
            "second_type": sent.types[second],
            "agreed": agreed,
            "month": month(sent.written[here]),
            "sender": sender,
            "receiver": receiver,
            "minutes": minutes,
            "late": late,
        }

    # -- who is treated by several standards ---------------------------------------------------------------------------

    def mixed(self) -> list[tuple[tuple[str, ...], int]]:
        """Types that stand together for one patient between two parties though they belong to no one agreement.

        Each with the number of patients and pairs of parties, the most frequent first.
        """
        groups = [{row.type, *row.answered_by} for row in self._table.rows.values() if row.is_referral]
        found = Counter(
            tuple(sorted(types))
            for types in self._mixed.values()
            if len(types) > 1 and not any(types <= group for group in groups)
        )
        return sorted(found.items(), key=lambda one: (-one[1], one[0]))

    def has(self, role: str) -> bool:
        """Whether there is any message of that role."""
        return bool({RECEIPT: self._receipts, ATTACHMENT: self._objects}[role])

    @property
    def copies(self) -> int:
        """How many messages are copies of earlier ones."""
        return len(self._copies)

    @property
    def wanting(self) -> int:
        """How many messages ask for a receipt."""
        return len(self._wanting)


def quantiles(minutes: Sequence[int]) -> dict[str, int] | None:
    """The delay that half, nine tenths and 99 of a hundred do not exceed, and the longest; None for none."""
    if not minutes:
        return None
    ordered = sorted(minutes)

    def at(share: float) -> int:
        return ordered[max(0, ceil(round(share * len(ordered), 9)) - 1)]

    return {"median": at(0.5), "p90": at(0.9), "p99": at(0.99), "largest": ordered[-1]}


def histogram(minutes: Iterable[int], steps: Sequence[int]) -> list[dict[str, Any]]:
    """How many took up to so many minutes and longer than the step before; the last one has no end."""
    counts = [0] * (len(steps) + 1)
    for one in minutes:
        counts[next((n for n, step in enumerate(steps) if one <= step), len(steps))] += 1
    return [{"upto": step, "messages": n} for step, n in zip((*steps, None), counts, strict=True)]
