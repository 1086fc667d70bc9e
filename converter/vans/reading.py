"""Bytes to an envelope. The limits and the caution of the OIOXML reader hold here too, since it parses the XML."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from converter.identifiers import cvr_ok, gln_ok
from converter.issues import IssueLog, Location, Severity, declare
from converter.limits import Limits
from converter.oioxml.document import line_of, parse, prolog_end
from converter.vans.envelope import MIME, NAMESPACE, UUID, Address, Envelope

if TYPE_CHECKING:
    from lxml.etree import _Element

STRUCTURE = declare(
    "VAN001",
    "envelope-structure",
    Severity.ERROR,
    "{element}: {problem}",
    why="Where envelopes are validated against their schema, this one is refused and the message does not arrive.",
    help="Compare with the schema of VANSEnvelope 1.0.4.",
    source="VANSEnvelope 1.0.4",
)
NAMESPACE_UNKNOWN = declare(
    "VAN002",
    "envelope-namespace",
    Severity.ERROR,
    f"the envelope is not in the namespace {NAMESPACE}",
    why="In another version, elements may mean something else, so nothing of it is used.",
    help="Ask for an envelope of version 1.0.4.",
    source="VANSEnvelope 1.0.4",
)
NOT_BASE64 = declare(
    "VAN003",
    "envelope-data",
    Severity.ERROR,
    "the data of the envelope {problem}",
    why="The message in it cannot be read.",
    help="Ask the sender to send the message again.",
    source="VANSEnvelope 1.0.4, Message/Data (xs:base64Binary)",
)
SIZE = declare(
    "VAN004",
    "envelope-size",
    Severity.WARNING,
    "SizeInBytes says {said}, the message has {found} bytes",
    why="Either the message was cut or changed on its way, or the sender counts something else.",
    help="Compare with the sender's copy.",
    source="VANSEnvelope 1.0.4, Document/SizeInBytes",
)
RECEIPT = declare(
    "VAN005",
    "envelope-receipt",
    Severity.INFO,
    "the envelope holds a receipt ({what}) and no message",
    why="There is nothing to convert or to judge.",
    help="Nothing to do; receipts of the network are answered by whoever sent the envelope.",
    source="VANSEnvelope 1.0.4, Receipt",
)
NESTED = declare(
    "VAN006",
    "envelope-in-envelope",
    Severity.ERROR,
    "the envelope holds another envelope, which is not opened",
    why="Envelopes nested in each other are a way to hide their real size; no rule of the network allows them.",
    help="Take the inner envelope out and name it on the command line.",
)
IDENTIFIER = declare(
    "VAN007",
    "envelope-identifier",
    Severity.WARNING,
    "{element} is not a UUID",
    why="Receivers that compare ids may take two messages for one, or one for two.",
    help="Write a UUID in the form 8-4-4-4-12 (the pattern of the schema lets more through by mistake).",
    source="VANSEnvelope 1.0.4, EnvelopeIdentifier",
)
ADDRESS = declare(
    "VAN008",
    "envelope-address",
    Severity.WARNING,
    "{element}: not a valid {sort} number",
    why="The message may not reach its receiver.",
    help="Compare with the organisation table. Nothing is corrected.",
    source="GS1 (location numbers); CVR register",
)

_ROOT = re.compile(rb"<(?:[A-Za-z_][\w.-]*:)?VANSEnvelope[\s/>]")
_MARKS = (b"\xff\xfe", b"\xfe\xff")
_SNIFFED = 4096
_KINDS: dict[str, Callable[[str], bool]] = {"EAN": gln_ok, "CVR": cvr_ok, "VANS": lambda text: True}
_FORMATS = ("XML", "EDIFACT", "HL7", "Binary", "Other")
_META = "Message/MetaInformation/"
_DOCUMENT = _META + "Document/"
# What must stand in an envelope with a message, and how long it may be.
_REQUIRED = {
    "SenderID": 18,
    "ReceiverID": 18,
    "EnvelopeIdentifier": 36,
    "SentDateTime": 0,
    f"{_META}Identifier": 36,
    f"{_DOCUMENT}Format": 0,
    f"{_DOCUMENT}Name": 255,
    f"{_DOCUMENT}SizeInBytes": 0,
}
_KNOWN = {
    *_REQUIRED,
    *("Message", "Message/MetaInformation", "Message/Data", "Receipt", _DOCUMENT.rstrip("/"), f"{_DOCUMENT}Version"),
    *(f"{_META}{name}" for name in ("Processing", "Processing/ProviderIdentifier", "Processing/ServiceIdentifier")),
    *(f"{_META}Transport{name}" for name in ("", "/Type", "/TransformMessage", "/ServiceTag")),
}


def sniff(data: bytes) -> bool:
    """Whether the bytes look like an envelope: XML whose document element is VANSEnvelope, in any namespace."""
    if data[:1] in (b"U", b"{"):  # nearly every input: EDIFACT or JSON
        return False
    start = 0 if data.startswith(_MARKS) else prolog_end(data)
    head = data[start : start + _SNIFFED]
    if head.startswith(_MARKS):
        head = head[2:].replace(b"\0", b"")
        return _ROOT.search(head) is not None
    return _ROOT.match(head) is not None


def read(data: bytes, log: IssueLog, *, file: str = "", limits: Limits | None = None) -> Envelope | None:
    """Read an envelope; None if there is no message in it that can be used, for which the log has the reason.

    What is wrong with the envelope is logged (VAN001-008, XML001-099), and a message in it is returned all the same
    as long as its bytes can be had.
    """
    root, trusted = parse(data, log, file=file, limits=limits or Limits())
    if root is None or not trusted:
        return None
    if root.tag != f"{{{NAMESPACE}}}VANSEnvelope":
        log.add(NAMESPACE_UNKNOWN, Location(file, line_of(root), 1))
        return None
    return _Reader(root, log, file).envelope()


class _Reader:
    """Reads one document; every element is looked for in its place, and what is left is unknown."""

    def __init__(self, root: _Element, log: IssueLog, file: str) -> None:
        self._root, self._log, self._file = root, log, file
        self._found: dict[str, _Element] = {}
        self._note(root, "")

    def _note(self, element: _Element, path: str) -> None:
        """Remember the known elements by their paths. One finding a path: a hostile document has very many."""
        wrong: dict[str, str] = {}
        for child in element:
            below = f"{path}{str(child.tag).rpartition('}')[2]}"
            if below not in _KNOWN and not below.startswith("Receipt/"):
                wrong.setdefault(path.rstrip("/") or "VANSEnvelope", "holds an element that the schema does not know")
            elif below not in self._found:
                self._found[below] = child
                self._note(child, f"{below}/")
            elif not below.endswith("/ServiceTag"):
                wrong.setdefault(below, "stands twice, the first one counts")
        for where, problem in wrong.items():
            self._fault(where, problem)

    def envelope(self) -> Envelope | None:
        """The envelope; None if it has no message."""
        receipt = next((path for path in self._found if path.startswith("Receipt/")), "Receipt")
        if "Message" not in self._found and "Receipt" in self._found:
            what = receipt.partition("/")[2].partition("/")[0]
            known = what if what in ("PositiveMessage", "NegativeMessage", "NegativeVans") else "of an unknown kind"
            self._log.add(RECEIPT, self._at("Receipt"), what=known)
            return None
        self._check_texts()
        payload = self._payload()
        if payload is None:
            return None
        size = self._text(f"{_DOCUMENT}SizeInBytes")
        return Envelope(
            sender=self._address("SenderID"),
            receiver=self._address("ReceiverID"),
            id=self._text("EnvelopeIdentifier").lower(),
            sent=self._text("SentDateTime"),
            message=self._text(f"{_META}Identifier").lower(),
            format=self._text(f"{_DOCUMENT}Format"),
            name=self._text(f"{_DOCUMENT}Name"),
            version=self._text(f"{_DOCUMENT}Version"),
            mime=self._tags().get(MIME, ""),
            size=self._size(size, payload),
            payload=payload,
            file=self._file,
            lines={path: line_of(element) for path, element in self._found.items()},
        )

    def _check_texts(self) -> None:
        for path, limit in _REQUIRED.items():
            text = self._text(path)
            if not text:
                self._fault(path, "is missing")
            elif limit and len(text) > limit:
                self._fault(path, f"has {len(text)} characters, at most {limit} are allowed")
        for path in ("EnvelopeIdentifier", f"{_META}Identifier"):
            if (text := self._text(path)) and not UUID.match(text):
                self._log.add(IDENTIFIER, self._at(path), element=path)
        if (sent := self._text("SentDateTime")) and not _moment(sent):
            self._fault("SentDateTime", "is no date and time such as 2026-01-31T12:30:00")
        if (form := self._text(f"{_DOCUMENT}Format")) and form not in _FORMATS:
            self._fault(f"{_DOCUMENT}Format", f"is none of {', '.join(_FORMATS)}")

    def _payload(self) -> bytes | None:
        path = "Message/Data"
        element = self._found.get(path)
        text = (element.text or "") if element is not None else ""
        encoded = "".join(text.split())
        if not encoded:
            self._log.add(NOT_BASE64, self._at(path), problem="is missing or empty")
            return None
        try:
            return b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            self._log.add(NOT_BASE64, self._at(path), problem="is not base64")
            return None

    def _size(self, text: str, payload: bytes) -> int:
        if not text:
            return -1
        if not (text.isascii() and text.isdigit() and len(text) < 12):
            self._fault(f"{_DOCUMENT}SizeInBytes", "is no whole number")
            return -1
        # The schema does not say whether decoded or encoded bytes are meant; samples count decoded ones.
        if int(text) not in (len(payload), (len(payload) + 2) // 3 * 4):
            self._log.add(SIZE, self._at(f"{_DOCUMENT}SizeInBytes"), said=int(text), found=len(payload))
        return int(text)

    def _address(self, path: str) -> Address:
        element = self._found.get(path)
        kind, text = ("" if element is None else str(element.get("EndPointType", ""))), self._text(path)
        valid = _KINDS.get(kind)
        if valid is None:
            self._fault(path, f"EndPointType is none of {', '.join(_KINDS)}")
        elif text and not valid(text):
            self._log.add(ADDRESS, self._at(path), element=path, sort=kind)
        return Address(kind, text)

    def _tags(self) -> Mapping[str, str]:
        transport = self._found.get(f"{_META}Transport")
        tags: dict[str, str] = {}
        for tag in transport if transport is not None else ():
            if str(tag.tag).endswith("}ServiceTag"):
                tags[str(tag.get("name", ""))] = (tag.text or "").strip()
        return tags

    def _text(self, path: str) -> str:
        element = self._found.get(path)
        return "" if element is None else (element.text or "").strip()

    def _at(self, path: str) -> Location:
        element = self._found.get(path, self._root)
        return Location(self._file, line_of(element), 1, path=path)

    def _fault(self, path: str, problem: str) -> None:
        self._log.add(STRUCTURE, self._at(path), element=path, problem=problem)


def _moment(text: str) -> bool:
    try:
        return "T" in text and datetime.fromisoformat(text) is not None
    except ValueError:
        return False
