"""Messages that answer others (receipts): which message each answers, and when several receipts make one answer.

Two letters that one FHIR message became (a letter and its attachment) are receipted one by one, and their FHIR message
has one answer: it is made when all receipts are there, and is positive only if all are (MedCom conversion service UC
3.1.0, tables 3 and 4). What a mapping file says about it is its section `answers`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from converter.issues import IssueLog, Location, Severity, declare
from converter.ledger import Ledger, leaves_of
from converter.letter import Letter, Text, Value, counts_of
from converter.mapping import paths
from converter.mapping.document import Answers
from converter.originals import Original, Received, Store

UNRESOLVED = declare(
    "MAP030",
    "receipt-unresolved",
    Severity.WARNING,
    "the message that this one answers is not known: {why}",
    why="The answer says what it says itself; ids that only the other side knows are made up, so it may join nothing.",
    help="Convert with the state store (--state FILE) of the message itself. --strict-receipts makes this an error.",
    source="MedCom conversion service UC 3.1.0, 4.1 and 4.2",
)
WAITING = declare(
    "MAP031",
    "receipt-waiting",
    Severity.INFO,
    "nothing is written yet: the receipts of {number} more letters of the same FHIR message have not come",
    why="One FHIR message has one answer, positive only if all of its letters were received.",
    help="Convert the other receipts with the same state store; after three months the case is closed in silence.",
    source="MedCom conversion service UC 3.1.0, table 4",
)
REPEATED = declare(
    "MAP032",
    "receipt-repeated",
    Severity.INFO,
    "this receipt came before and gives the same answer again",
    why="Whoever sends both answers sends one twice, with the same ids.",
    help="Nothing needs to be done: receivers know an answer by its ids.",
)
CONTRADICTS = declare(
    "MAP033",
    "receipt-contradicts",
    Severity.WARNING,
    "another receipt of the same letter came before; this one stands in its place",
    why="The two may say different things, and only the later one is told.",
    help="Ask the receiver of the letter which of its receipts holds, unless the letter was sent again in between.",
)
NO_LETTER = declare(
    "MAP034",
    "answer-without-letter",
    Severity.ERROR,
    "not converted: it names no letter, and the state store knows none of the envelope that it answers",
    why="A FHIR answer is the answer to one message.",
    help="Convert with the state store that the letters of the envelope were converted with.",
)


SpecOf = Callable[[str], Answers]


@dataclass(slots=True)
class Answer:
    """A receipt of one letter as it was `read`, what it answers, and the receipt that is to be converted.

    `letter` is None while it waits; it differs from `read` where several receipts make one. `log` has the findings.
    """

    read: Letter
    original: Original | None
    letter: Letter | None
    log: IssueLog


def answers(
    letter: Letter, spec_of: SpecOf, store: Store | None, log: IssueLog, *, file: str, strict: bool
) -> Iterator[Answer]:
    """The receipts of single letters that a receipt consists of. The findings of the first go into `log`.

    `spec_of` gives the section `answers` of the mapping of a letter type.
    """
    spec = spec_of(letter.type)
    if store is not None:
        store.forget(spec.months)
    parts = _parts(letter, spec)
    if not letter.counts.get(spec.each):
        parts = list(_of_envelope(letter, spec, store))
        if not parts:
            log.add(NO_LETTER, Location(file, 1, 1))
    for number, part in enumerate(parts):
        own = log if not number else IssueLog()
        original, why = _original(part, spec, store)
        if original is None or store is None:
            unresolved(own, why, _place(part, spec.letter, file), strict=strict)
            yield Answer(part, None, part, own)
        else:
            yield _together(Answer(part, original, part, own), original, spec_of, store, file)


def unresolved(log: IssueLog, why: str, at: Location, *, strict: bool) -> None:
    """Say that the message which is answered is not known."""
    log.add(UNRESOLVED, at, why=why, severity=Severity.ERROR if strict else None)


def _parts(letter: Letter, spec: Answers) -> list[Letter]:
    """The letter with one repetition of the group at a time; itself where there is only one."""
    count = letter.counts.get(spec.each, 0)
    return [letter] if count == 1 else [_part(letter, spec.each, n) for n in range(1, count + 1)]


def _part(letter: Letter, group: str, number: int) -> Letter:
    def leaves(of: Iterable[str]) -> Iterator[tuple[str, str]]:
        start, own = f"{group}[", f"{group}[{number}]."
        for leaf in of:
            if leaf.startswith(own):
                yield f"{group}[1].{leaf[len(own) :]}", leaf
            elif not leaf.startswith(start):
                yield leaf, leaf

    values = {new: letter.values[old] for new, old in leaves(letter.values)}
    places = {new: letter.places[old] for new, old in leaves(letter.places)}
    extras = letter.extras if number == 1 else []
    return replace(letter, values=values, counts=counts_of(values), places=places, extras=extras)


def _of_envelope(letter: Letter, spec: Answers, store: Store | None) -> Iterator[Letter]:
    """An envelope that was refused as a whole: its letters, as the store knows them."""
    envelope, sender = letter.text(spec.envelope) or "", letter.text(spec.sender) or ""
    for original in store.in_envelope(envelope, sender) if store is not None else ():
        told: dict[str, Value] = {spec.letter: original.letter_id, spec.version: original.version_code}
        values = letter.values | told
        yield replace(letter, values=values, counts=counts_of(values))


def _original(letter: Letter, spec: Answers, store: Store | None) -> tuple[Original | None, str]:
    if store is None:
        return None, "there is no state store (--state)"
    found = store.named(letter.text(spec.letter) or "", letter.text(spec.sender) or "")
    exact = [one for one in found if one.envelope_id == letter.text(spec.envelope)]
    chosen = exact or found
    if len(chosen) > 1:
        return None, f"the state store holds {len(chosen)} letters with this id"
    return (chosen[0], "") if chosen else (None, f"the state store does not hold it (it keeps {spec.months} months)")


def _place(letter: Letter, leaf: str, file: str) -> Location:
    found = letter.locate(leaf)
    return found[0] if found else Location(file, path=leaf)


def answered(
    spec: Answers, header: Mapping[str, Any], store: Store | None, log: IssueLog, *, file: str, strict: bool
) -> Sequence[Original | None]:
    """The letters that a FHIR answer with this MessageHeader answers, in their order; [None] where none is known."""
    found: list[Original] = []
    why = "there is no state store (--state)"
    if store is not None:
        store.forget(spec.months)
        nodes = paths.walk(paths.Node("", header), spec.header, {})
        found = store.letters(str(nodes[0].value)) if nodes else []
        why = f"the state store does not hold it (it keeps {spec.months} months)"
    if not found:
        unresolved(log, why, Location(file, 1, 1), strict=strict)
    return found or [None]


# Several receipts, one answer


def _together(answer: Answer, original: Original, spec_of: SpecOf, store: Store, file: str) -> Answer:
    """Note the receipt; what is to be converted once the receipts of all letters of the FHIR message are there."""
    spec = spec_of(answer.read.type)
    letter, at = answer.read, _place(answer.read, spec.letter, file)
    told = Received(
        json.dumps([letter.text(leaf) or "" for leaf in spec.receipt]),
        letter.type,
        letter.version,
        json.dumps(letter.values, ensure_ascii=False),
    )
    before = store.receive(original, told)
    if before is not None:
        answer.log.add(REPEATED if before.id == told.id else CONTRADICTS, at)
    letters = store.letters(original.message_header_id)
    received = [store.received(one) for one in letters]
    waiting = received.count(None)
    if waiting:
        answer.log.add(WAITING, at, number=waiting)
        answer.letter = None
    elif len(letters) > 1:
        answer.letter = _merged([_letter(one, letter.syntax) for one in received if one is not None], spec_of)
        answer.original = letters[0]
    return answer


def _letter(receipt: Received, syntax: str) -> Letter:
    values: dict[str, Value] = {
        leaf: value if isinstance(value, str) else tuple((run[0], run[1]) for run in value)
        for leaf, value in json.loads(receipt.values).items()
    }
    return Letter(receipt.type, receipt.version, syntax, values, counts_of(values))


def _merged(receipts: list[Letter], spec_of: SpecOf) -> Letter:
    """The receipt of the first letter, negative if any is: then with the refusals of all, in the letters' order."""
    first = receipts[0]
    spec = spec_of(first.type)
    negative = [one for one in receipts if one.type in spec.negative]
    values = dict(first.values)
    sent = max(tuple(one.text(leaf) or "" for leaf in spec.sent) for one in receipts)
    values.update(zip(spec.sent, sent, strict=True))
    if not negative:
        return replace(first, values=values)
    kind = min(negative, key=lambda one: spec.negative.index(one.type))
    values.update({leaf: kind.values[leaf] for leaf in spec.kind if leaf in kind.values})
    for code, text in spec_of(kind.type).refusals:
        values.update(_refusal(negative, code, text))
    return Letter(kind.type, kind.version, first.syntax, values, counts_of(values))


def _refusal(negative: list[Letter], code: str, text: str) -> dict[str, Value]:
    """One code and one text for the refusals at one place: a further code stands in brackets before its text."""
    found: dict[str, Value] = {}
    runs: Text = ()
    for one in negative:
        own, words = one.text(code), one.text(text) or ""
        mark = f"[{own}] " if own and code in found and own != found[code] else ""
        if own:
            found.setdefault(code, own)
        if mark or words:
            runs = (("P00", "".join(t for _, t in runs) + mark + words.strip("\n") + "\n"),)
    return found | ({text: runs} if runs else {})


def accounted(read: Letter, merged: Letter, ledger: Ledger, spec: Answers) -> Ledger:
    """The ledger of a receipt that another one stands for: what is in that one too has its place, the rest is declared.

    Without a ledger of the other one the receipt waits, and the state store keeps it.
    """
    if not ledger.raw:
        raw = [(leaf, "kept", "answers", "", spec.waits) for leaf in leaves_of(read)]
        return Ledger(len(raw), raw)
    merges = spec.merges
    by_leaf: dict[str, Any] = {entry[0]: entry for entry in ledger.raw}
    raw = []
    for leaf, value in read.values.items():
        entry = by_leaf.get(leaf)
        have = merged.text(leaf)
        own = read.text(leaf) or ""
        if entry is not None and merged.values.get(leaf) == value:
            raw.append(entry)
        elif entry is not None and own.strip() and have is not None and own.strip() in have:
            raw.append((leaf, "folded-to-text", *entry[2:4], merges))
        else:
            raw.append((leaf, "ignored", "answers", "", merges))
    raw += [(extra.path, "lost", "", "", "C91-20") for extra in read.extras]
    return Ledger(len(raw), raw, ledger.raw_defaulted)
