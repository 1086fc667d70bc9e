"""Receipts for messages that were read: which, with what in them, and written in the syntax of what they answer.

Which letters are receipts and what stands in their leaves is data (`receipts:` of `flows.yaml`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from converter.flows.table import ReceiptTable
from converter.issues import Issue, IssueLog, Location, Severity, declare
from converter.letter import Letter, Value, counts_of

if TYPE_CHECKING:
    from converter.engine import Outcome

NO_RECEIPT = declare(
    "FLW012",
    "receipt-not-written",
    Severity.WARNING,
    "no receipt was written: {what}",
    why="The sender hears nothing and will send the message again.",
    help="Tell the sender by other means; what is missing is named by the findings about the message.",
)
_NARROW = 60  # characters of a reason, so that a receipt stays readable in the systems that show it
_REASONS = 5
_NONE = ("", "")  # the kind of receipt of a letter that asks for none and has no errors


@dataclass(slots=True)
class _Answered:
    """A message that gets a receipt, as far as the receipt repeats it."""

    facts: dict[str, str]
    syntax: str
    reasons: list[Issue] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Receipt:
    """A receipt, and the syntax that it is to be written in."""

    letter: Letter
    syntax: str


class Receipts:
    """Collects the messages of one input: `add` each, then `made` once.

    `sent` is the time of the receipts. Their ids follow from the ids that they answer, so a run that is repeated
    writes the same receipts. `operator`: what is refused gets the receipt of a network operator.
    """

    def __init__(self, table: ReceiptTable, sent: datetime, *, operator: bool = False) -> None:
        self._table, self._sent = table, sent
        self._refusal = table.operator if operator else table.negative
        self._waiting: dict[tuple[str, ...], list[_Answered]] = {}
        self._last: tuple[str, ...] = ()

    def add(self, outcome: Outcome, log: IssueLog) -> None:
        """Take a message with its findings. Adds FLW012 for one that should be answered and cannot be."""
        letter, table = outcome.letter, self._table
        errors = [issue for issue in outcome.issues if issue.severity is Severity.ERROR]
        if letter is None:
            self._whole(errors)
            return
        if outcome.bundle is not None or letter.type in table.types:
            return
        wanted = all(letter.text(leaf) == value for leaf, value in table.wanted.items())
        source = letter.identity if letter.refused else letter.values
        facts = {name: str(source.get(leaf, "")).strip() for name, leaf in table.original.items()}
        missing = [name for name, value in facts.items() if not value]
        if (missing or not letter.version) and (errors or wanted):
            what = " and ".join([*missing, *([] if letter.version else ["version"])])
            log.add(NO_RECEIPT, Location(outcome.name, 1, 1), what=f"the message has no {what}")
            return
        prefix = "" if letter.syntax == "edifact" else "X"
        facts["original_version"] = prefix + letter.version
        kind = self._refusal if errors else table.positive if wanted else _NONE
        envelope = tuple(facts[name] for name in facts if name not in ("letter", "original_version"))
        self._last = (letter.syntax, *envelope)
        self._waiting.setdefault((*kind, *self._last), []).append(_Answered(facts, letter.syntax, errors))

    def _whole(self, errors: list[Issue]) -> None:
        """Errors of the last interchange as a whole: its letters are refused too."""
        if not errors or not self._last:
            return
        for kind in (self._table.positive, _NONE):
            for one in self._waiting.pop((*kind, *self._last), []):
                one.reasons = errors
                self._waiting.setdefault((*self._refusal, *self._last), []).append(one)

    def made(self) -> Iterator[Receipt]:
        """One receipt for each interchange and verdict; more only where one holds too few letters."""
        for (type_, version, *_), answered in self._waiting.items():
            for start in range(0, len(answered) if type_ else 0, self._table.most):
                yield self._receipt(type_, version, answered[start : start + self._table.most])
        self._waiting.clear()

    def _receipt(self, type_: str, version: str, answered: list[_Answered]) -> Receipt:
        table = self._table
        common = answered[0].facts | {
            "type": type_,
            "version": version,
            "date": f"{self._sent:%Y-%m-%d}",
            "time": f"{self._sent:%H:%M}",
            "id": _id(version, answered),
        }
        values: dict[str, Value] = {leaf: form.format_map(common) for leaf, form in table.head.items()}
        for n, one in enumerate(answered, 1):
            facts = one.facts | {"n": str(n)}
            if one.reasons:
                facts |= {"code": self._code(one.reasons[0]), "text": _text(one.reasons)}
            for leaf, form in (table.each | (table.refused if one.reasons else {})).items():
                text = form.format_map(facts)
                values[leaf.format_map(facts)] = (("P00", text),) if form == "{text}" else text
        letter = Letter(type_, version, answered[0].syntax, values, counts_of(values))
        return Receipt(letter, answered[0].syntax)

    def _code(self, issue: Issue) -> str:
        fitting = [start for start in self._table.refusals if issue.code.startswith(start)]
        return self._table.refusals[max(fitting, key=len)] if fitting else self._table.unspecified


def _id(version: str, answered: Iterable[_Answered]) -> str:
    """Fourteen characters that follow from what is answered."""
    told = "\0".join([version, *(part for one in answered for part in one.facts.values())])
    return hashlib.blake2b(told.encode("utf-8", "replace"), digest_size=7).hexdigest().upper()


def _text(reasons: list[Issue]) -> str:
    """The first errors, a line each: code, place and message; they never hold a value of the message."""
    lines = []
    for issue in reasons[:_REASONS]:
        at = issue.at
        place = f" {at.segment or at.path}" if at.segment or at.path else ""
        lines.append(f"{issue.code}{place} ({at.line}:{at.column}):\n" + _wrapped(issue.message))
    if len(reasons) > _REASONS:
        lines.append(f"... {len(reasons) - _REASONS}\n")
    return "".join(lines)


def _wrapped(text: str) -> str:
    lines, line = [], ""
    for word in text.split():
        if line and len(line) + len(word) >= _NARROW:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    return "\n".join([*lines, line]) + "\n"
