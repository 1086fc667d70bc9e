"""Joins answers to referrals and tells what is odd about a flow. Memory grows with the number of letters only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from operator import attrgetter
from typing import TYPE_CHECKING

from converter.flows.crowds import Crowd
from converter.flows.messages import Message, Remembering
from converter.flows.table import FlowTable
from converter.issues import IssueLog, Location, Severity, declare

if TYPE_CHECKING:
    from converter.engine import Outcome

_SOURCE = "MedCom's agreement on answers to referrals (mappings/flows.yaml)"
OTHER_TYPE = declare(
    "FLW001",
    "answer-of-other-type",
    Severity.WARNING,
    "{answer} answers the {referral} at {place}, which is usually answered by {expected}",
    why="Systems couple an answer to its referral by the agreed types; this one may not be shown with its referral.",
    help="Ask the sender whether the type was chosen on purpose. The agreement is a default, so this is no error.",
    source=_SOURCE,
)
UNANSWERED = declare(
    "FLW002",
    "referral-without-answer",
    Severity.WARNING,
    "{referral} without an answer for {days} days",
    why="The patient may be waiting for something that nobody is doing, or the answer was lost on its way.",
    help="Look for the answer outside this corpus; --after DAYS says when a referral counts as unanswered.",
)
NO_REFERRAL = declare(
    "FLW003",
    "answer-without-referral",
    Severity.WARNING,
    "{answer} names a referral that is not here{but}",
    why="The answer cannot be coupled to what it answers.",
    help="Look for the referral outside this corpus, or ask the sender of the answer which referral is meant.",
)
NAMES_NONE = declare(
    "FLW004",
    "answer-names-no-referral",
    Severity.INFO,
    "{answer} names no referral, and no referral here has its episode",
    why="Letters about patients who were never referred are ordinary; if there was a referral, it is left unanswered.",
    help="Nothing to do unless a referral is known: then ask the sender of the answer to name it.",
)
OTHER_PATIENT = declare(
    "FLW005",
    "patient-changed-in-flow",
    Severity.WARNING,
    "{answer} names its patient by another number than the {referral} at {place}",
    why="The answer may end in the record of another person, unless a replacement number was given or taken back.",
    help="Compare the two letters (--show-values does not show them; open both) and ask the sender of the answer.",
)
COPY = declare(
    "FLW006",
    "letter-twice",
    Severity.INFO,
    "the same letter stands at {place}; it is counted once",
    why="A letter may be sent again when its receipt is missing; the receiver must file it once only.",
    help="Nothing to do, unless it was sent again without need.",
)
SAME_ID = declare(
    "FLW007",
    "letter-id-of-two-letters",
    Severity.WARNING,
    "has type, sender, letter id, time and status of the letter at {place}, but another {what}",
    why="A receiver takes the second for a copy of the first and drops it.",
    help="Ask the sender why two letters have one id.",
)
SEVERAL = declare(
    "FLW008",
    "several-referrals-fit",
    Severity.INFO,
    "{answer} fits {number} referrals alike; it is taken for the answer to the one at {place}",
    why="The flow that is shown may be another one than the sender meant.",
    help="An answer is unambiguous if it names the letter id of its referral.",
)
INCOMPLETE = declare(
    "FLW009",
    "letter-without-key",
    Severity.WARNING,
    "{letter} has no readable {what}",
    why="The letter may be left out of its flow, and its age is not known without a date.",
    help="`medcom-fhir validate` names what is wrong with the letter.",
)

FORWARDED = declare(
    "FLW013",
    "forwarding-told-by-letter",
    Severity.INFO,
    "{letter} goes from who got the {referral} at {place} to who sent it, and no usual answer is here",
    why="It may tell that the referral was sent on. No system couples such a letter to the referral, which stays open.",
    help="Read it; a referral that is sent on is answered by a letter of the usual type once the patient was seen.",
    source="minutes of MedCom's group for referrals and discharge letters, item 6",
)

EPISODE, LETTER_ID = "episode", "letter id"
_identifier = attrgetter("letter")
_sender = attrgetter("sender")
_type = attrgetter("type")


def _parties(referral: Message) -> tuple[bytes, bytes]:
    """Sender and receiver, as an answer that goes straight back has them the other way round."""
    return (referral.sender, referral.receiver)


@dataclass(slots=True)
class Flow:
    """A referral with its answers, each with what joined it; or an answer without a referral."""

    referral: Message | None
    answers: list[tuple[Message, str]] = field(default_factory=list)

    @property
    def as_agreed(self) -> bool:
        """Whether an answer of an agreed type is there, or any where nothing is agreed."""
        agreed = self.referral.row.answered_by if self.referral is not None else ()
        return any(not agreed or answer.type in agreed for answer, _ in self.answers)


class Flows:
    """The flows of a corpus: `add` every message, then `found` once."""

    def __init__(self, table: FlowTable) -> None:
        self.others = 0
        self.copies = 0
        self._table = table
        self._remembering = Remembering(table)
        self._known: dict[tuple[object, ...], Message] = {}
        self._referrals: list[Message] = []
        self._answers: list[Message] = []
        self._telling: list[Message] = []

    def is_other(self, outcome: Outcome) -> bool:
        """Whether a message is known to be of a type that takes part in no flow, readable or not."""
        if outcome.type:
            row = self._table.rows.get(outcome.type)
            return row is None or row.tells
        return outcome.bundle is not None and outcome.ledger is None

    def add(self, outcome: Outcome, display: str, line: int, log: IssueLog) -> None:
        """Take a message that has a letter. Adds FLW006, FLW007 and FLW009."""
        self.take(self._remembering.message(outcome, display, line), log)

    def take(self, message: Message | None, log: IssueLog) -> None:
        """Take what is remembered of a message; None if its type is in no flow. Adds what `add` adds."""
        if message is None:
            self.others += 1
            return
        if message.row.tells:
            self.others += 1
            self._telling.append(message)
            return
        parts = {"sender": message.sender, "letter id": message.letter, "date": message.minute}
        missing = [name for name, known in parts.items() if not known]
        if missing:
            log.add(INCOMPLETE, message.at, letter=message.type, what=" and no ".join(missing))
        elif self._is_copy(message, log):
            self.copies += 1
            return
        (self._referrals if message.row.is_referral else self._answers).append(message)

    def _is_copy(self, message: Message, log: IssueLog) -> bool:
        first = self._known.setdefault(message.identity, message)
        if first is message:
            return False
        if first.content == message.content:
            log.add(COPY, message.at, place=_shown(first.at))
            return True
        names = ("receiver", "episode", "referral", "patient")
        what = [name for name, a, b in zip(names, first.content, message.content, strict=True) if a != b]
        log.add(SAME_ID, message.at, place=_shown(first.at), what=" and another ".join(what))
        return False

    def found(self, on: date, after: int, log: IssueLog) -> Iterator[Flow]:
        """All flows: those of the referrals in the order of the corpus, then the answers without one.

        Adds the other findings; a referral is reported as unanswered if it is `after` days old on that day.
        """
        flows = {id(referral): Flow(referral) for referral in self._referrals}
        alone = self._join(flows, log)
        for flow in flows.values():
            self._judge(flow, on, after, log)
            yield flow
        self._report_telling(flows, log)
        for answer in alone:
            yield Flow(None, [(answer, "")])

    def _join(self, flows: dict[int, Flow], log: IssueLog) -> list[Message]:
        """Put every answer into its flow; returns those that belong to none."""
        episodes = _crowds((key, r) for r in self._referrals for key in r.episodes)
        letters = _crowds((r.letter, r) for r in self._referrals if r.letter)
        alone = []
        for answer in self._answers:
            crowd, joined_by = next((c for key in answer.episodes if (c := episodes.get(key))), None), EPISODE
            named = letters.get(answer.referral)
            if crowd is None and named is not None:
                # Letter ids have 14 characters, so they are one sender's own: only who referred can get the answer.
                crowd, joined_by = named.having(_sender, answer.receiver), LETTER_ID
            if crowd is None:
                alone.append(answer)
                self._report_alone(answer, named is not None, log)
                continue
            referral, alike = self._choose(crowd, answer)
            if alike > 1:
                log.add(SEVERAL, answer.at, answer=answer.type, number=alike, place=_shown(referral.at))
            flows[id(referral)].answers.append((answer, joined_by))
        return alone

    def _choose(self, crowd: Crowd, answer: Message) -> tuple[Message, int]:
        """The referral that an answer fits best: by letter id, parties, agreed type, time. And how many fit alike."""
        crowd = (crowd.having(_identifier, answer.referral) if answer.referral else None) or crowd
        crowd = crowd.having(_parties, (answer.receiver, answer.sender)) or crowd
        agreed = [part for type_ in self._table.asking(answer.type) if (part := crowd.having(_type, type_))]
        return max((part.latest(answer.minute) for part in agreed or [crowd]), key=lambda found: found[0].minute)

    def _report_alone(self, answer: Message, by_other: bool, log: IssueLog) -> None:
        but = "; one with that letter id is here, but who gets the answer did not send it" if by_other else ""
        if answer.referral:
            log.add(NO_REFERRAL, answer.at, answer=answer.type, but=but)
        else:
            log.add(NAMES_NONE, answer.at, answer=answer.type)

    def _report_telling(self, flows: dict[int, Flow], log: IssueLog) -> None:
        """Letters about a referral that is open, from who got it to who sent it."""
        open_ones = [referral for referral in self._referrals if not flows[id(referral)].as_agreed]
        by_patient = {(number, *_parties(referral)): referral for referral in open_ones for number in referral.patient}
        for letter in self._telling:
            back = (letter.receiver, letter.sender)
            found = (by_patient.get((number, *back)) for number in letter.patient)
            referral = next((r for r in found if r is not None and r.minute <= letter.minute), None)
            if referral is not None:
                place = _shown(referral.at)
                log.add(FORWARDED, letter.patient_at, letter=letter.type, referral=referral.type, place=place)

    def _judge(self, flow: Flow, on: date, after: int, log: IssueLog) -> None:
        referral = flow.referral
        assert referral is not None
        agreed = referral.row.answered_by
        place = _shown(referral.at)
        # Further letters of other types are ordinary beside the agreed one (an admission in the course of the episode).
        for answer, _ in () if flow.as_agreed else flow.answers:
            usual = " or ".join(agreed)
            log.add(OTHER_TYPE, answer.at, answer=answer.type, referral=referral.type, place=place, expected=usual)
        for answer, _ in flow.answers:
            if _another_patient(referral, answer):
                log.add(OTHER_PATIENT, answer.patient_at, answer=answer.type, referral=referral.type, place=place)
        days = age(referral, on)
        if not flow.answers and days is not None and days >= after:
            log.add(UNANSWERED, referral.at, referral=referral.type, days=days)


def _crowds(keyed: Iterable[tuple[bytes, Message]]) -> dict[bytes, Crowd]:
    crowds: dict[bytes, Crowd] = {}
    for key, referral in keyed:
        crowds.setdefault(key, Crowd()).add(referral)
    return crowds


def _another_patient(referral: Message, answer: Message) -> bool:
    """Whether both name a patient, and not by the same number."""
    return bool(referral.patient and answer.patient) and not set(referral.patient) & set(answer.patient)


def age(referral: Message, on: date) -> int | None:
    """How many days ago a letter was written; None if that is not known."""
    return on.toordinal() - referral.day if referral.day else None


def _shown(at: Location) -> str:
    return f"{at.file}:{at.line or 1}:{at.column or 1}"
