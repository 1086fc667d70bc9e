"""Whether an envelope says the same as the message in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from converter.issues import Issue, IssueLog, Severity, declare
from converter.routes import FHIR, Name, Routes
from converter.vans.envelope import Envelope

if TYPE_CHECKING:
    from converter.engine import Outcome

FORMAT = declare(
    "VAN010",
    "envelope-format-differs",
    Severity.ERROR,
    "the envelope says {said}, the message in it is {found}",
    why="The network chooses by the envelope what to do with the message: it may be refused or converted wrongly.",
    help="The sender must name the format of the message.",
    source="MedCom, conversion service use case R1, step 2",
)
NAME = declare(
    "VAN011",
    "envelope-name-differs",
    Severity.WARNING,
    "the envelope is not named {expected}, which its message is",
    why="The network counts and routes messages by that name.",
    help="The sender must write the name of the message.",
    source="MedCom's governance for network envelopes; mappings/routes.yaml",
)
VERSION = declare(
    "VAN012",
    "envelope-version-differs",
    Severity.WARNING,
    "the envelope does not give the version of its message, {expected}",
    why="A receiver that does not take that version cannot tell before it opens the envelope.",
    help="The sender must write the version of the message.",
    source="MedCom's governance for network envelopes; mappings/routes.yaml",
)
PARTY = declare(
    "VAN013",
    "envelope-address-differs",
    Severity.ERROR,
    "{element} of the envelope is not the {party} of the message",
    why="The network delivers by the envelope, so the message reaches somebody whom it is not meant for, or nobody.",
    help="Find out which of the two is right before the message is used.",
    source="VANSEnvelope 1.0.4; MedCom's governance for network envelopes",
)
MESSAGE_ID = declare(
    "VAN014",
    "envelope-message-id-differs",
    Severity.INFO,
    "the message id of the envelope is neither the id of the Bundle nor that of its header",
    why="Receipts of the network name the id of the envelope; only the sender can tell which message they mean.",
    help="Nothing to do, unless receipts cannot be matched.",
    source="MedCom's governance for reliable messaging",
)
MIME_TAG = declare(
    "VAN015",
    "envelope-mime-differs",
    Severity.WARNING,
    "the service tag MCM:MIME does not say {expected}",
    why="A receiver may try to read the message in the other form.",
    help="The sender must write the form of the message.",
    source="MedCom's governance for network envelopes",
)
SEVERAL = declare(
    "VAN016",
    "envelope-several-messages",
    Severity.WARNING,
    "the envelope holds more than one message",
    why="An envelope has one address, one name and one receipt, which then stand for several messages.",
    help="The sender should send every message in an envelope of its own.",
    source="MedCom's governance for network envelopes (one message an envelope)",
)
SAME_AGAIN = declare(
    "VAN017",
    "envelope-twice",
    Severity.INFO,
    "an envelope with the same ids was read before",
    why="It is a duplicate: a receiver ignores its content and answers as it did before.",
    help="Nothing to do.",
    source="MedCom's governance for reliable messaging, decision table of the receiver",
)
ID_REUSED = declare(
    "VAN018",
    "envelope-id-reused",
    Severity.ERROR,
    "the id of the envelope belongs to another message that was read before",
    why="Ids of envelopes are never used again, so receivers refuse the envelope or take it for a duplicate.",
    help="The sender must give every envelope an id of its own.",
    source="MedCom's governance for reliable messaging, decision table of the receiver",
)
RESENT = declare(
    "VAN019",
    "envelope-resent",
    Severity.INFO,
    "the same message was read before, in another envelope",
    why="It was sent again unchanged; a receiver answers as it did before.",
    help="Nothing to do.",
    source="MedCom's governance for reliable messaging, decision table of the receiver",
)


class Ids:
    """The ids of all envelopes of a run, and what a pair of them means by MedCom's table for receivers."""

    def __init__(self) -> None:
        self._messages: dict[str, str] = {}
        self._seen: set[str] = set()

    def add(self, envelope: Envelope, log: IssueLog) -> None:
        """Note an envelope; what it repeats is logged."""
        before = self._messages.get(envelope.id) if envelope.id else None
        at = envelope.at("EnvelopeIdentifier")
        if before is not None:
            log.add(SAME_AGAIN if before == envelope.message else ID_REUSED, at)
        elif envelope.message in self._seen:
            log.add(RESENT, at)
        if envelope.id and before is None:
            self._messages[envelope.id] = envelope.message
        if envelope.message:
            self._seen.add(envelope.message)


def check(envelope: Envelope, outcome: Outcome, routes: Routes, *, first: bool) -> list[Issue]:
    """What an envelope says otherwise than a message in it; `first`: no other message was in it before."""
    log = IssueLog()
    if not outcome.syntax:
        return []
    if not first:
        if outcome.message:
            log.add(SEVERAL, envelope.at("Message/Data"))
        return log.issues
    _check_document(envelope, outcome, routes, log)
    fhir = outcome.syntax == FHIR
    sender, receiver = routes.parties(None if fhir else outcome.letter, outcome.bundle if fhir else None)
    for path, address, number, party in (
        ("SenderID", envelope.sender, sender, "sender"),
        ("ReceiverID", envelope.receiver, receiver, "receiver"),
    ):
        if address.kind == "EAN" and number and number != address.id:
            log.add(PARTY, envelope.at(path), element=path, party=party)
    if fhir and outcome.bundle is not None and envelope.message and envelope.message not in _ids(outcome):
        log.add(MESSAGE_ID, envelope.at("Message/MetaInformation/Identifier"))
    return log.issues


def _ids(outcome: Outcome) -> set[str]:
    bundle = outcome.bundle or {}
    return {str(bundle.get("id", "")).lower(), outcome.message.lower()}


def _check_document(envelope: Envelope, outcome: Outcome, routes: Routes, log: IssueLog) -> None:
    path = "Message/MetaInformation/Document/"
    expected = routes.fhir_format if outcome.syntax == FHIR else routes.letters[outcome.syntax].format
    if envelope.format != expected:
        said = envelope.format if envelope.format.isalnum() else "something else"
        log.add(FORMAT, envelope.at(f"{path}Format"), said=said, found=expected)
    if outcome.syntax == FHIR and envelope.mime:
        mime = "application/fhir+json" if envelope.payload.lstrip()[:1] == b"{" else "application/fhir+xml"
        if envelope.mime != mime:
            log.add(MIME_TAG, envelope.at("Message/MetaInformation/Transport"), expected=mime)
    name = _name(outcome, routes)
    if name is None:
        return
    # A letter has no code behind its name; of a FHIR message it is left to the sender whether there is one.
    if envelope.name not in (name.document, f"MCM:{name.name}"):
        log.add(NAME, envelope.at(f"{path}Name"), expected=name.document)
    if envelope.version and envelope.version not in _versions(name, outcome, routes):
        log.add(VERSION, envelope.at(f"{path}Version"), expected=name.version)


def _name(outcome: Outcome, routes: Routes) -> Name | None:
    if outcome.syntax == FHIR:
        return routes.of_bundle(outcome.bundle) if outcome.bundle is not None else None
    return routes.of_letter(outcome.type, outcome.version, outcome.syntax) if outcome.type else None


def _versions(name: Name, outcome: Outcome, routes: Routes) -> set[str]:
    row = routes.message(outcome.bundle) if outcome.syntax == FHIR and outcome.bundle is not None else None
    return {name.version, *(row.also if row is not None else ())}
