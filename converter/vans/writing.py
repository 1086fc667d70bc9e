"""A message into an envelope."""

from __future__ import annotations

import html
from base64 import b64encode
from functools import partial
from typing import TYPE_CHECKING

from converter.issues import IssueLog, Location, Severity, declare
from converter.mapping.ids import Minter, netstrings
from converter.routes import FHIR, Name, Routes
from converter.vans.envelope import MIME, NAMESPACE

if TYPE_CHECKING:
    from converter.engine import Outcome

NO_NAME = declare(
    "VAN020",
    "envelope-no-name",
    Severity.ERROR,
    "the message has no name in the SOR register, so no envelope can name it",
    why="The network routes and counts by that name; without one it refuses the envelope.",
    help="Leave --envelope out, or add the message to routes.yaml once it has a name.",
    source="MedCom's governance for network envelopes; mappings/routes.yaml",
)
NO_PARTY = declare(
    "VAN021",
    "envelope-no-address",
    Severity.ERROR,
    "the message has no location number of its {party}, so the envelope cannot be addressed",
    why="The network delivers by location numbers.",
    help="The message must name both organisations by their location numbers.",
    source="VANSEnvelope 1.0.4, SenderID and ReceiverID",
)
_text = partial(html.escape, quote=False)


def wrapped(outcome: Outcome, routes: Routes, log: IssueLog, *, sent: str, attempt: int = 1) -> bytes | None:
    """The output of a conversion in an envelope; None, with the reason in the log, if it cannot have one.

    `sent` is SentDateTime. The ids follow from the ids of the message and the number of the sending alone: the same
    message keeps its id, and every sending has an envelope id of its own (MedCom's governance for reliable messaging).
    """
    fhir = outcome.target == FHIR
    bundle, letter = (outcome.bundle, None) if fhir else (None, outcome.letter)
    at = Location(outcome.name, 1, 1)
    name = _name(outcome, routes)
    if name is None:
        log.add(NO_NAME, at)
        return None
    parties = routes.parties(letter, bundle)
    for number, party in zip(parties, ("sender", "receiver"), strict=True):
        if not number:
            log.add(NO_PARTY, at, party=party)
    if not all(parties) or outcome.output is None:
        return None
    key = [letter.text(leaf) or "" for leaf in routes.key] if letter is not None else [outcome.message]
    minter = Minter(netstrings((parties[0], name.token, *key)))
    message = outcome.message if fhir else minter.v5("message")
    ids = minter.v5("envelope", str(attempt)), message
    return _xml(parties, ids, sent, name, outcome.output)


def _name(outcome: Outcome, routes: Routes) -> Name | None:
    if outcome.target == FHIR:
        return routes.of_bundle(outcome.bundle) if outcome.bundle is not None else None
    if outcome.letter is None:
        return None
    return routes.of_letter(outcome.letter.type, outcome.version or outcome.letter.version, outcome.target)


def _xml(parties: tuple[str, str], ids: tuple[str, str], sent: str, name: Name, payload: bytes) -> bytes:
    sender, receiver = (f' EndPointType="EAN">{_text(number)}<' for number in parties)
    envelope, message = ids
    tag = f'\n        <ServiceTag name="{MIME}">{_text(name.mime)}</ServiceTag>' if name.mime else ""
    head = f"""<?xml version="1.0" encoding="UTF-8"?>
<VANSEnvelope xmlns="{NAMESPACE}">
  <SenderID{sender}/SenderID>
  <ReceiverID{receiver}/ReceiverID>
  <EnvelopeIdentifier>{envelope}</EnvelopeIdentifier>
  <SentDateTime>{_text(sent)}</SentDateTime>
  <Message>
    <MetaInformation>
      <Identifier>{_text(message)}</Identifier>
      <Document>
        <Format>{_text(name.format)}</Format>
        <Name>{_text(name.document)}</Name>
        <Version>{_text(name.version)}</Version>
        <SizeInBytes>{len(payload)}</SizeInBytes>
      </Document>
      <Transport>
        <Type>reliable</Type>
        <TransformMessage>false</TransformMessage>{tag}
      </Transport>
    </MetaInformation>
    <Data>"""
    return b"".join((head.encode(), b64encode(payload), b"</Data>\n  </Message>\n</VANSEnvelope>\n"))
