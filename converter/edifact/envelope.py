"""Interchanges (UNB..UNZ) and messages (UNH..UNT): reading them with all their counts and references, and writing them.

Nothing is repaired: a count or reference that does not fit gives an error at its segment, and the message is handed on
as it stands. `Message.broken` marks those of which a part is missing or untrustworthy.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from converter.edifact.controls import INVALID, Controls, iso_date, iso_time
from converter.edifact.findings import Findings
from converter.edifact.segments import Origin, Segment
from converter.edifact.syntax import read_segments
from converter.issues import IssueKind, IssueLog, Severity, declare
from converter.limits import Limits

NO_HEADER = declare(
    "EDI030",
    "interchange-header-missing",
    Severity.ERROR,
    "UNB is missing: the interchange starts with {found}",
    why="Sender, receiver and reference of the interchange are unknown, and so is its character set.",
    help="Check whether the file was cut at its start.",
    source="ISO 9735, 6.1; CONTRL 0085",
    contrl=13,
)
NO_TRAILER = declare(
    "EDI031",
    "interchange-trailer-missing",
    Severity.ERROR,
    "UNZ is missing: the interchange was not closed",
    why="It cannot be known whether all of its messages arrived.",
    help="Fetch the file again; if it was sent so, the sender's system is at fault.",
    source="ISO 9735, 6.1; CONTRL 0085",
    contrl=13,
)
NO_MESSAGE_HEADER = declare(
    "EDI032",
    "message-header-missing",
    Severity.ERROR,
    "UNH is missing: {number} segment(s) stand outside any message",
    why="They were not converted: without UNH it is unknown what message they belong to.",
    help="Check whether a segment was lost or two messages were joined.",
    source="ISO 9735, 6.3; CONTRL 0085",
    contrl=13,
)
NO_MESSAGE_TRAILER = declare(
    "EDI033",
    "message-trailer-missing",
    Severity.ERROR,
    "UNT is missing: the message that starts with segment {ordinal} was not closed",
    why="It cannot be known how much of the message is missing, so it is not converted.",
    help="Fetch the file again; if it was sent so, the sender's system is at fault.",
    source="ISO 9735, 6.3; CONTRL 0085",
    contrl=13,
)
TWICE = declare(
    "EDI038",
    "message-reference-twice",
    Severity.ERROR,
    "a message of this interchange already has this reference (segment {first})",
    why="The message is sent twice, or a receipt cannot tell the two apart.",
    help="Compare the two messages; the sender must number them differently.",
    source="ISO 9735, 0062; CONTRL 0085",
    contrl=26,
)
INTERCHANGE_TWICE = declare(
    "EDI039",
    "interchange-reference-twice",
    Severity.WARNING,
    "an interchange of this file already has this reference from the same sender",
    why="It is probably the same interchange twice.",
    help="Compare the two; a receiver must refuse the second one.",
    source="ISO 9735, 0020; CONTRL 0085",
    contrl=26,
)
GROUP = declare(
    "EDI040",
    "functional-group-refused",
    Severity.ERROR,
    "functional groups (UNG, UNE) are not used in MedCom's messages",
    why="A group may change sender, receiver and message type; its messages are not converted.",
    help="The sender must send the messages without groups.",
    source="ISO 9735, 6.2; MedCom uses none; CONTRL 0085",
    contrl=47,
)
MIXED = declare(
    "EDI041",
    "groups-and-messages-mixed",
    Severity.ERROR,
    "a message stands outside of the groups of its interchange",
    why="An interchange holds either messages or groups, or its count means nothing.",
    help="The sender must send the messages without groups.",
    source="ISO 9735, 6; CONTRL 0085",
    contrl=30,
)
OUT_OF_PLACE = declare(
    "EDI042",
    "service-segment-out-of-place",
    Severity.ERROR,
    "{tag} stands where it is not allowed",
    why="Segments before or after it are probably lost.",
    help="Check whether the file was cut or joined.",
    source="ISO 9735, 6; CONTRL 0085",
    contrl=33,
)
NO_MESSAGES = declare(
    "EDI044",
    "interchange-empty",
    Severity.ERROR,
    "the interchange holds no message",
    why="Nothing can be converted.",
    help="Ask the sender what was meant to be sent.",
    source="ISO 9735, 6.1; CONTRL 0085",
    contrl=32,
)
SYNTAX_VERSION = declare(
    "EDI045",
    "syntax-version-unexpected",
    Severity.WARNING,
    "the syntax version of UNB is not 3",
    why="MedCom's letters follow version 3; others have further rules that are not checked.",
    help="The sender must write UNOC:3.",
    source="ISO 9735, 0002; CONTRL 0085",
    contrl=2,
)
TOO_LARGE = declare(
    "EDI046",
    "message-too-large",
    Severity.ERROR,
    "the message has more than {limit} {things}",
    why="It was not read on, so that one message cannot fill the memory.",
    help="A greater limit can be set with --limit {name}=SIZE.",
    source="limits `message` and `constituents`",
    contrl=35,
)

_SERVICE = frozenset(["UNB", "UNG", "UNH", "UNO", "UNP", "UNT", "UNE", "UNZ"])
_BETWEEN_MESSAGES = frozenset(["UNH", "UNZ", "UNG", "UNE"])

# What an interchange of one message looks like that needs no closer look.
_PLAIN = ["UNB", "UNH", "UNT", "UNZ"]
_LABEL = ["UNOC", "3"]
_ACKNOWLEDGEMENTS = [[[""], [""], [""], [value]] for value in ("1", "0", "")]


@dataclass(slots=True, eq=False)
class Interchange:
    """One interchange. `date` and `time` are as written (`yymmdd`, `hhmm`); `sent` gives them as ISO.

    `header` is None when UNB is missing, `trailer` None when UNZ is. `acknowledgement` is `1`, `0` or empty (CONTRL).
    """

    header: Segment | None
    origin: Origin
    charset: str = ""
    syntax_version: str = ""
    sender: str = ""
    sender_qualifier: str = ""
    receiver: str = ""
    receiver_qualifier: str = ""
    date: str = ""
    time: str = ""
    reference: str = ""
    acknowledgement: str = ""
    messages: list[Message] = field(default_factory=list)
    trailer: Segment | None = None

    @property
    def sent(self) -> tuple[str, str]:
        """Date `CCYY-MM-DD` and time `HH:MM`, each empty if the wire holds none that exists."""
        return iso_date(self.date), iso_time(self.time)


@dataclass(slots=True, eq=False)
class Message:
    """One message. `segments` are UNH..UNT (UNT as far as it is there), with objects as pseudo segments `OBJ`.

    `type` is MedCom's own (`DIS91`, from UNH element 3, else the standard's from element 2), `association` the
    version (`D9134L`), `agency` `UN` or, in receipts, `ZZ`. `broken`: a part is missing or cannot be trusted, the log
    says why; `segments` may be incomplete then.
    """

    header: Segment
    interchange: Interchange
    reference: str = ""
    type: str = ""
    standard_type: str = ""
    agency: str = ""
    association: str = ""
    segments: list[Segment] = field(default_factory=list)
    broken: bool = False


def read_interchanges(
    data: bytes, log: IssueLog, *, file: str = "", limits: Limits | None = None, encoding: str = ""
) -> Iterator[Interchange]:
    """Yield every interchange with its messages, after all issues about it were logged.

    Holds one interchange in memory; `read_messages` holds one message.
    """
    messages: list[Message] = []
    for item in _Reader(data, log, file, limits or Limits(), encoding).items():
        if isinstance(item, Message):
            messages.append(item)
        else:
            item.messages, messages = messages, []
            yield item


def read_messages(
    data: bytes, log: IssueLog, *, file: str = "", limits: Limits | None = None, encoding: str = ""
) -> Iterator[Message]:
    """Yield every message, each as soon as it was read, after all issues about it were logged.

    Issues about the end of an interchange come after its last message. `Message.interchange.messages` stays empty.
    """
    for item in _Reader(data, log, file, limits or Limits(), encoding).items():
        if isinstance(item, Message):
            yield item


class _Reader:
    """Groups segments into messages and interchanges, and checks the envelopes."""

    def __init__(self, data: bytes, log: IssueLog, file: str, limits: Limits, encoding: str) -> None:
        self.findings = Findings(log, hold=True)
        self.controls = Controls(self.findings)
        self.limits = limits
        self.stretches = read_segments(data, log, file=file, limits=limits, encoding=encoding, findings=self.findings)
        self.interchange: Interchange | None = None
        self.message: Message | None = None
        self.orphans: list[Segment] = []
        self.number_of_orphans = 0
        self.messages = 0
        self.groups = 0
        self.in_group = False
        self.references: dict[str, int] = {}
        self.seen: set[tuple[str, str]] = set()
        self.last: Segment | None = None
        self.uno: Segment | None = None
        self.pieces = 0  # constituents of the open message, counted up to its segment number `weighed`
        self.weighed = 0
        self.objects = 0  # bytes of its objects
        self.dropping = False

    def items(self) -> Iterator[Message | Interchange]:
        """Messages, and each interchange after its last message."""
        origin: Origin | None = None
        for origin_now, segments in self.stretches:
            if origin_now is not origin:
                yield from self._close(segments[0])
                message = self._plain(segments, origin_now)
                if message is not None:
                    origin = None
                    yield message
                    yield message.interchange
                    continue
                origin = origin_now
                self._open(segments[0], origin)
            at = 0
            for number, segment in enumerate(segments):
                if segment.tag in _SERVICE:
                    self._gather(segments[at:number])
                    at = number + 1
                    ended = self._service(segment)
                    self.last = segment
                    if ended is not None:
                        yield ended
            self._gather(segments[at:])
            if self.message is not None:
                self._weigh(self.message, segments[-1])
            elif self.number_of_orphans > self.limits.constituents:
                origin_now.skip = True
        yield from self._close(None)
        self.findings.release()

    def _plain(self, segments: list[Segment], origin: Origin) -> Message | None:
        """The one message of an interchange about which there is nothing to say; None if any check has to look closer.

        Nearly every interchange is such. What is accepted here is a part of what the other methods accept.
        """
        if len(origin.data) > min(self.limits.message, self.limits.constituents) or self.findings.waiting:
            return None
        if [segment.tag for segment in segments if segment.tag in _SERVICE] != _PLAIN or origin.damage:
            return None
        unb, unh, unt, unz = segments[0], segments[1], segments[-2], segments[-1]
        try:
            label, (sender, sender_kind), (receiver, receiver_kind), (date, time), (reference,), *rest = unb.elements
            (number,), (standard, _, _, agency, association), (own,) = unh.elements
        except ValueError:
            return None
        if not (
            (unb.tag, unh.tag, unt.tag, unz.tag) == (*_PLAIN,)
            and label == _LABEL
            and unt.elements == [[str(len(segments) - 2)], [number]]
            and unz.elements == [["1"], [reference]]
            and all(map(str.strip, (number, reference, sender, receiver, standard)))
            and iso_date(date)
            and iso_time(time)
            and (not rest or rest in _ACKNOWLEDGEMENTS)
            and (sender, reference) not in self.seen
        ):
            return None
        self.seen.add((sender, reference))
        self.last = unz
        interchange = Interchange(
            unb,
            origin,
            charset=origin.charset,
            syntax_version=label[1],
            sender=sender,
            sender_qualifier=sender_kind,
            receiver=receiver,
            receiver_qualifier=receiver_kind,
            date=date,
            time=time,
            reference=reference,
            acknowledgement=rest[-1][0] if rest else "",
            trailer=unz,
        )
        return Message(unh, interchange, number, own or standard, standard, agency, association, segments[1:-1])

    def _gather(self, segments: list[Segment]) -> None:
        """Take neighbouring segments that are no service segments."""
        if not segments:
            return
        if self.message is not None:
            self.message.segments += segments
        else:
            for segment in segments:
                self._orphan(segment)
        self.last = segments[-1]

    # -- interchange -------------------------------------------------------------------------------------------------

    def _open(self, first: Segment, origin: Origin) -> None:
        self.messages = self.groups = 0
        self.in_group = False
        self.references = {}
        if first.tag != "UNB":
            self._report(NO_HEADER, first, found=first.tag if first.tag in _SERVICE else "another segment")
            self.interchange = Interchange(None, origin, charset=origin.charset)
            return
        self.interchange = Interchange(
            first,
            origin,
            charset=origin.charset,
            syntax_version=first.get(1, 2),
            sender=first.get(2),
            sender_qualifier=first.get(2, 2),
            receiver=first.get(3),
            receiver_qualifier=first.get(3, 2),
            date=first.get(4),
            time=first.get(4, 2),
            reference=first.get(5),
            acknowledgement=first.get(9),
        )
        self._check_header(first, self.interchange)

    def _check_header(self, unb: Segment, interchange: Interchange) -> None:
        self.controls.shape(unb)
        self.controls.required(unb, 1, "character set")
        self.controls.required(unb, 1, "syntax version", 2)
        self.controls.required(unb, 2, "sender")
        self.controls.required(unb, 3, "receiver")
        self.controls.required(unb, 5, "interchange reference")
        if interchange.syntax_version not in ("", "3"):
            self._report(SYNTAX_VERSION, unb, 1, 2)
        if self.controls.required(unb, 4, "date") and not iso_date(interchange.date):
            expected = "a day that exists, as yymmdd"
            self._report(INVALID, unb, 4, 1, tag="UNB", name="date", expected=expected, value=interchange.date)
        if self.controls.required(unb, 4, "time", 2) and not iso_time(interchange.time):
            expected = "a time that exists, as hhmm"
            self._report(INVALID, unb, 4, 2, tag="UNB", name="time", expected=expected, value=interchange.time)
        if interchange.acknowledgement not in ("", "0", "1"):
            self._report(INVALID, unb, 9, 1, tag="UNB", name="acknowledgement request", expected="1 or 0")
        key = (interchange.sender, interchange.reference)
        if interchange.reference and key in self.seen:
            self._report(INTERCHANGE_TWICE, unb, 5, 1)
        self.seen.add(key)

    def _close(self, following: Segment | None) -> Iterator[Message | Interchange]:
        """End the interchange that is open; without UNZ, `following` is what came instead."""
        interchange = self.interchange
        if interchange is None:
            return
        place = following or self.last
        if self.message is not None and following is not None and following.tag == "UNB":
            self._report(OUT_OF_PLACE, following, tag="UNB")
        cut_off = self._cut_off(place)
        if cut_off is not None:
            yield cut_off
        self._flush_orphans()
        if interchange.trailer is None and place is not None:
            self._report(NO_TRAILER, place)
        elif not self.messages:
            self._report(NO_MESSAGES, interchange.trailer or interchange.header)
        if place is not None:
            self.findings.release(place)
        self.interchange = None
        yield interchange

    def _trailer(self, unz: Segment) -> None:
        interchange = self.interchange
        assert interchange is not None  # every stretch opens one, and a UNZ ends its stretch
        interchange.trailer = unz
        self.controls.shape(unz)
        things, number = ("groups", self.groups) if self.groups else ("messages", self.messages)
        self.controls.count(unz, things, number)
        self.controls.same_reference(interchange.header, 5, unz, "interchange reference")

    # -- message -----------------------------------------------------------------------------------------------------

    def _service(self, segment: Segment) -> Message | None:
        """Take a service segment, and hand out the message that ends with it or before it. Findings wait meanwhile."""
        tag = segment.tag
        if tag == "UNT":
            return self._end(segment)
        if tag == "UNO":
            self.uno = segment
            self._content(segment)
        elif tag == "UNP":
            self._object_end(segment)
            self._content(segment)
        elif tag in _BETWEEN_MESSAGES:
            ended = self._cut_off(segment)
            self._flush_orphans()
            if tag == "UNH":
                self._begin(segment)
            elif tag == "UNZ":
                self._trailer(segment)
            else:
                self._group(segment)
            return ended
        return None

    def _content(self, segment: Segment) -> None:
        if self.message is not None:
            self.message.segments.append(segment)
        else:
            self._orphan(segment)

    def _object_end(self, unp: Segment) -> None:
        """Check UNP against the object before it and its UNO."""
        last = self.last
        if self.uno is None or last is None or last.binary is None:
            self._report(OUT_OF_PLACE, unp, tag="UNP")
            return
        self.controls.shape(unp)
        if not _is_damaged(self.uno, self.uno):  # else the end of the object was guessed
            self.controls.count(unp, "bytes", last.end - last.start, digits=12)
        self.controls.same_reference(self.uno, 1, unp, "object reference")

    def _begin(self, unh: Segment) -> None:
        assert self.interchange is not None
        self.messages += 1
        message = Message(
            unh,
            self.interchange,
            reference=unh.get(1),
            type=unh.get(3) or unh.get(2),
            standard_type=unh.get(2),
            agency=unh.get(2, 4),
            association=unh.get(2, 5),
            segments=[unh],
        )
        self.message = message
        self.pieces = self.weighed = self.objects = 0
        self.dropping = False
        self.controls.shape(unh)
        named = self.controls.required(unh, 1, "message reference")
        if not self.controls.required(unh, 2, "message type"):
            message.broken = True
        if named:
            first = self.references.setdefault(message.reference, unh.ordinal)
            if first != unh.ordinal:
                self._report(TWICE, unh, 1, 1, first=first)
        if self.in_group:
            message.broken = True
        elif self.groups:
            message.broken = True
            self._report(MIXED, unh)

    def _end(self, unt: Segment) -> Message | None:
        message = self.message
        if message is None:
            self._orphan(unt)
            self._flush_orphans()
            return None
        message.segments.append(unt)
        self.controls.shape(unt)
        if not self.dropping:
            # Ordinals count every segment, also those that were left out, and no object: just what UNT counts.
            self.controls.count(unt, "segments", unt.ordinal - message.header.ordinal + 1)
        self.controls.same_reference(message.header, 1, unt, "message reference")
        return self._finish(message, unt)

    def _finish(self, message: Message, end: Segment) -> Message:
        message.broken |= _is_damaged(message.header, end)
        self.message = None
        self.findings.release(end)
        return message

    def _cut_off(self, place: Segment | None) -> Message | None:
        """Hand out the open message as broken, because something other than its UNT came."""
        message = self.message
        if message is None or place is None:
            return None
        self._report(NO_MESSAGE_TRAILER, place, ordinal=message.header.ordinal)
        message.broken = True
        return self._finish(message, place)

    def _group(self, segment: Segment) -> None:
        self._report(GROUP, segment)
        if segment.tag == "UNG":
            self.groups += 1
            if self.messages and self.groups == 1:
                self._report(MIXED, segment)
        self.in_group = segment.tag == "UNG"

    def _weigh(self, message: Message, last: Segment) -> None:
        """Keep one message from filling the memory, whatever it is made of. Called once a stretch, so cheap.

        A constituent takes a byte at least, so most messages need no counting.
        """
        size = last.end - message.header.start
        if last.binary is not None:
            self.objects += last.end - last.start
        if size > self.limits.message:
            self._drop(message, "message", "bytes", self.limits.message)
        elif size - self.objects > self.limits.constituents:
            new = message.segments[self.weighed :]
            self.pieces += sum(1 + sum(map(len, segment.elements)) for segment in new)
            self.weighed = len(message.segments)
            if self.pieces > self.limits.constituents:
                self._drop(message, "constituents", "segments, elements and components", self.limits.constituents)

    def _drop(self, message: Message, name: str, things: str, limit: int) -> None:
        """Forget the segments of a message that is too large; reading goes on at its end."""
        if not self.dropping:
            self._report(TOO_LARGE, message.header, name=name, things=things, limit=limit)
        self.dropping = message.broken = message.interchange.origin.skip = True
        del message.segments[1:]
        self.weighed = 0

    def _orphan(self, segment: Segment) -> None:
        if not self.number_of_orphans:
            self.orphans = [segment]
        self.number_of_orphans += 1

    def _flush_orphans(self) -> None:
        if self.number_of_orphans:
            self._report(NO_MESSAGE_HEADER, self.orphans[0], number=self.number_of_orphans)
            self.orphans, self.number_of_orphans = [], 0

    def _report(
        self, kind: IssueKind, segment: Segment | None, element: int = 0, component: int = 0, **facts: Any
    ) -> None:
        if segment is not None:
            self.findings.at(kind, segment, element, component, **facts)


def _is_damaged(first: Segment, last: Segment) -> bool:
    """Whether a segment between these two had to be left out or cannot be trusted."""
    damage = first.origin.damage if first.origin is not None else []
    if not damage:
        return False
    index = bisect_left(damage, first.start)
    return index < len(damage) and damage[index] <= last.end
