"""Invented OIOXML documents for the tests of this folder, made from one plain letter."""

from __future__ import annotations

from pathlib import Path

from converter import oioxml
from converter.engine import Engine
from converter.issues import IssueLog
from converter.letter import Letter, Text
from converter.limits import Limits

ROOT = Path(__file__).resolve().parents[2]
DEFINITIONS = Engine().definitions

NAMESPACE = "http://rep.oio.dk/sundcom.dk/medcom.dk/xml/schemas/2006/07/01/"
ENVELOPE = (
    "<Envelope><Sent><Date>2026-03-01</Date><Time>10:20</Time></Sent><Identifier>KUVERT1</Identifier>"
    "<AcknowledgementCode>pluspositivkvitt</AcknowledgementCode></Envelope>"
)
HEAD = (
    "<Letter><Identifier>BREV1</Identifier><VersionCode>XD9134L</VersionCode><StatisticalCode>XDIS91</StatisticalCode>"
    "<Authorisation><Date>2026-03-01</Date><Time>10:15</Time></Authorisation><TypeCode>XDIS91</TypeCode>"
    "<StatusCode>nytbrev</StatusCode></Letter>"
)
SENDER = (
    "<Sender><EANIdentifier>5790000120314</EANIdentifier><Identifier>9901010</Identifier>"
    "<IdentifierCode>sygehusafdelingsnummer</IdentifierCode><OrganisationName>Nordfjord Sygehus</OrganisationName>"
    "</Sender>"
)
RECEIVER = (
    "<Receiver><EANIdentifier>5790000121526</EANIdentifier><Identifier>099901</Identifier>"
    "<IdentifierCode>ydernummer</IdentifierCode><OrganisationName>Lægerne Havnegade</OrganisationName></Receiver>"
)
PATIENT = (
    "<Patient><CivilRegistrationNumber>2512489996</CivilRegistrationNumber>"
    "<PersonSurnameName>Prøve</PersonSurnameName><PersonGivenName>Åse</PersonGivenName>"
    "<EpisodeOfCareStatusCode>inaktiv</EpisodeOfCareStatusCode></Patient>"
)
ADDITIONAL = "<AdditionalInformation><Subject>Kontrol</Subject></AdditionalInformation>"
TEXT = "<ClinicalInformation><Text01>Mødt til kontrol.<Break/></Text01></ClinicalInformation>"
BODY = HEAD + SENDER + RECEIVER + PATIENT + ADDITIONAL + TEXT
LETTER = f"<ClinicalEmail>{BODY}</ClinicalEmail>"


def emessage(inner: str = ENVELOPE + LETTER, *, encoding: str = "ISO-8859-1", start: str = "") -> bytes:
    """A document with this content; `start` stands between the XML declaration and the root."""
    document = f'<?xml version="1.0" encoding="{encoding}"?>\n{start}<Emessage xmlns="{NAMESPACE}">{inner}</Emessage>'
    return document.encode(encoding)


def letter_with(old: str, new: str) -> bytes:
    """The plain document with one part replaced; the part must be there."""
    content = ENVELOPE + LETTER
    assert content.count(old) == 1, f"{content.count(old)} times: {old}"
    return emessage(content.replace(old, new))


def text_document(markup: str) -> bytes:
    """The plain document with this content of its formatted text."""
    return letter_with("Mødt til kontrol.<Break/>", markup)


def read_all(data: bytes, limits: Limits | None = None) -> tuple[list[Letter], IssueLog]:
    """All letters and all findings."""
    log = IssueLog()
    letters = list(oioxml.read(data, DEFINITIONS, log, file="brev.xml", limits=limits or Limits()))
    return letters, log


def read_one(data: bytes) -> tuple[Letter, list[str]]:
    """The one letter of a document, and the codes of all findings."""
    letters, log = read_all(data)
    assert len(letters) == 1
    return letters[0], [issue.code for issue in log]


def read_clean(data: bytes) -> Letter:
    """The one letter of a document without findings."""
    letter, codes = read_one(data)
    assert codes == []
    return letter


def text_of(markup: str) -> Text:
    """The runs that this content of a formatted text reads as."""
    value = read_clean(text_document(markup)).values["ClinicalInformation[1].Text01"]
    assert not isinstance(value, str)
    return value


def written(letter: Letter) -> bytes:
    """The letter as OIOXML, which must succeed without findings."""
    log = IssueLog()
    data = oioxml.write([letter], DEFINITIONS, log)
    assert [issue.code for issue in log] == []
    assert data is not None
    return data
