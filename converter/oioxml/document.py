"""Bytes to an XML tree, or to issues: encodings, ceilings and the settings of lxml, which is used nowhere else.

Nothing outside the bytes is ever opened: a DOCTYPE is refused before any content is read, so there are no entities to
expand, and lxml gets neither network nor DTD (OWASP XML external entities; W3C XML 1.0, 2.8). Comments and processing
instructions are removed by the parser, which joins the text around them: a comment inside a value does not cut it, and
is told.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from lxml import etree

from converter.issues import IssueLog, Location, Severity, declare
from converter.limits import Limits

if TYPE_CHECKING:
    from lxml.etree import _Element

EMPTY = declare(
    "XML001",
    "empty",
    Severity.ERROR,
    "The document is empty.",
    why="There is no message to convert.",
    help="Look at the transfer that delivered the file: it was cut, or nothing was written.",
)
NOT_WELL_FORMED = declare(
    "XML002",
    "not-well-formed",
    Severity.ERROR,
    "The document is not well-formed XML: {fault}.",
    why="Where XML is broken nobody can tell what belongs to which element, so nothing of it is used.",
    help="Repair the document at this line, or ask the sender to send it again.",
    source="W3C XML 1.0 (fifth edition), 1.2 fatal error",
)
DOCTYPE = declare(
    "XML003",
    "doctype",
    Severity.ERROR,
    "The document has a DOCTYPE.",
    why="A document type declaration can open files and addresses and can grow without end; no OIOXML letter has one.",
    help="Remove the DOCTYPE and write out what its entities stand for.",
    source="OWASP XML External Entity Prevention",
)
ENCODING_REFUSED = declare(
    "XML004",
    "encoding-refused",
    Severity.ERROR,
    "The encoding that the document declares is not accepted: allowed are UTF-8, ISO-8859-1, windows-1252, US-ASCII, "
    "and UTF-16 with a byte order mark.",
    why="Rare encodings are read differently by different programs, so a check could see another text than the reader.",
    help="Save the document in one of the allowed encodings.",
)
LABEL_CONTRADICTED = declare(
    "XML005",
    "label-contradicted",
    Severity.ERROR,
    "The document says {label} and its bytes are {actual} from this line on.",
    why="Read as labelled, Danish letters and other characters would turn into different ones in a patient's record, "
    "so the letters in this document are refused.",
    help="Ask the sender to make the label in the XML declaration agree with the bytes.",
    source="W3C XML 1.0, 4.3.3",
)
INVALID_BYTES = declare(
    "XML006",
    "invalid-bytes",
    Severity.ERROR,
    "The bytes at this line are no characters in {label}.",
    why="The document was damaged on its way, or its encoding is another one; what stood there cannot be known.",
    help="Ask the sender to send the message again.",
    source="W3C XML 1.0, 2.2 and 4.3.3",
)
TOO_DEEP = declare(
    "XML007",
    "too-deep",
    Severity.ERROR,
    "Elements are nested deeper than {limit}.",
    why="No letter nests deeper than about ten elements; deep nesting is made to exhaust a reader.",
    help="Look at what produced the document. A legitimate need: --limit xml-depth=N.",
)
TOO_MANY_ELEMENTS = declare(
    "XML008",
    "too-many-elements",
    Severity.ERROR,
    "The document has more than {limit} elements.",
    why="Documents of that size are made to exhaust a reader's memory.",
    help="Split the envelope into several. A legitimate need: --limit xml-elements=N.",
)
TOO_MANY_ATTRIBUTES = declare(
    "XML009",
    "too-many-attributes",
    Severity.ERROR,
    "An element has more than {limit} attributes, or the document more attributes than it may have elements.",
    why="OIOXML letters have no attributes at all; thousands are made to exhaust a reader's memory.",
    help="Look at what produced the document.",
)
TOO_LARGE = declare(
    "XML010",
    "too-large",
    Severity.ERROR,
    "The document is larger than {limit} bytes.",
    why="A document of that size can exhaust the memory of the machine.",
    help="Split the envelope into several. A legitimate need: --limit message=SIZE.",
)
MARK_CONTRADICTED = declare(
    "XML011",
    "mark-contradicted",
    Severity.WARNING,
    "The document says {label} and begins with the byte order mark of UTF-8; it is read as UTF-8.",
    why="Programs that believe the label instead read other characters from the same bytes.",
    help="Make the label in the XML declaration agree with the bytes.",
    source="W3C XML 1.0, 4.3.3",
)
INSIDE_VALUE = declare(
    "XML013",
    "comment-in-value",
    Severity.WARNING,
    "{number} comment(s) or processing instruction(s) stand inside a value; they were left out and the value joined.",
    why="Programs that stop at a comment read another value from the same bytes: half a number, or another dose.",
    help="Ask the sender for the document without it; compare the value with what was meant.",
    source="W3C XML 1.0, 2.5: comments are no part of a document's character data",
)
PARSER_FAILED = declare(
    "XML099",
    "parser-failed",
    Severity.ERROR,
    "The XML parser gave up: {fault}.",
    why="The document could not be read, for a reason that the parser does not explain better.",
    help="Keep the document and report it as a fault of the converter.",
)

_FAULTS = {
    "ERR_RESERVED_XML_NAME": "the XML declaration does not stand at the very start",
    "ERR_TAG_NAME_MISMATCH": "a start tag and an end tag do not match",
    "ERR_TAG_NOT_FINISHED": "an element does not end",
    "ERR_DOCUMENT_END": "there is something behind the document element, or it does not end",
    "ERR_DOCUMENT_EMPTY": "there is no element",
    "ERR_UNDECLARED_ENTITY": "undeclared entity",
    "ERR_INVALID_CHAR": "a character that XML forbids",
    "ERR_NAME_REQUIRED": "a name is missing",
    "NS_ERR_UNDEFINED_NAMESPACE": "a prefix without a namespace",
}
_MARK_8 = b"\xef\xbb\xbf"
_MARKS_16 = (b"\xff\xfe", b"\xfe\xff")
# White space before it is a fault, found by the parser; the label counts all the same.
_DECLARATION = re.compile(rb"[ \t\r\n]*+<\?xml\s[^>]*?\bencoding\s*=\s*[\"']([A-Za-z0-9._:-]*)[\"']")
_PROLOG = re.compile(rb"(?:\xef\xbb\xbf)?(?:[ \t\r\n]+|<\?.*?\?>|<!--.*?-->)*+", re.DOTALL)
_LABELS = {
    "utf-8": "UTF-8",
    "utf8": "UTF-8",
    "iso-8859-1": "ISO-8859-1",
    "iso8859-1": "ISO-8859-1",
    "iso_8859-1": "ISO-8859-1",
    "latin1": "ISO-8859-1",
    "windows-1252": "windows-1252",
    "cp1252": "windows-1252",
    "us-ascii": "US-ASCII",
    "ascii": "US-ASCII",
}
_UTF_16 = {"utf-16", "utf-16le", "utf-16be"}
_HIGH = bytes(range(0x80, 0x100))
_C1 = bytes(range(0x80, 0xA0))
_NOT_1252 = b"\x81\x8d\x8f\x90\x9d"
# A UTF-8 pair for a Danish or other Latin-1 letter: as two characters of Latin-1 it would be A-tilde before a sign,
# which no text has; found in documents that were put together from two encodings.
_UTF8_PAIR = re.compile(rb"\xc3[\x80-\xbf]")
# Files up to this size cannot hold a text node that lxml refuses without huge_tree (10,000,000 characters).
_PLAIN_SIZE = 10_000_000
_PLAIN_DEPTH = 256
# Larger documents are parsed as they are: a second copy of a large attachment costs more than it saves.
_RECODED = 1_000_000
_MAX_ATTRIBUTES = 1_000
_MANY_EQUALS = 10_000


def parse(data: bytes, log: IssueLog, *, file: str, limits: Limits) -> tuple[_Element | None, bool]:
    """Parse a document. Returns its root element and whether its characters can be trusted.

    The root is None when there is no tree to look at. A root with False: the bytes contradict their label, so the tree
    tells which letters there are and must not be used for values. Every refusal is in `log`. Never raises.
    """
    if len(data) > limits.message:
        log.add(TOO_LARGE, Location(file), limit=limits.message)
        return None, False
    if not data.strip(b" \t\r\n"):
        log.add(EMPTY, Location(file))
        return None, False
    encoding, data, trusted = _encoding(data, log, file)
    if encoding is None or _has_doctype(data, log, file) or not _within_limits(data, log, file, limits):
        return None, False
    huge = len(data) > _PLAIN_SIZE or limits.xml_depth > _PLAIN_DEPTH
    try:
        root = etree.fromstring(data, _parser(encoding, huge))
        _tell_of_remarks(data, log, file, _parser(encoding, huge, bare=False))
        return root, trusted
    except etree.XMLSyntaxError as fault:
        _report(fault, log, file, limits)
    except (OSError, ValueError, LookupError, RecursionError, MemoryError, SystemError, etree.LxmlError) as fault:
        log.add(PARSER_FAILED, Location(file), fault=type(fault).__name__)
    return None, False


@lru_cache(maxsize=16)
def _parser(encoding: str, huge: bool, *, bare: bool = True) -> etree.XMLParser:
    # lxml locks a parser while it works, so one per encoding serves all threads. The encoding is the one decided here:
    # libxml2 must not follow a label of its own choice.
    return etree.XMLParser(
        encoding=encoding,
        resolve_entities=False,
        load_dtd=False,
        dtd_validation=False,
        attribute_defaults=False,
        no_network=True,
        huge_tree=huge,
        recover=False,
        remove_comments=bare,
        remove_pis=bare,
        strip_cdata=True,
    )


def _tell_of_remarks(data: bytes, log: IssueLog, file: str, parser: etree.XMLParser) -> None:
    """Report comments and instructions that cut a value: the tree was made without them. Few documents hold any."""
    start = prolog_end(data)
    if data.find(b"<!--", start) < 0 and data.find(b"<?", start) < 0:
        return
    root = etree.fromstring(data, parser)
    found = [node for node in root.iter(etree.Comment, etree.ProcessingInstruction) if _cuts(node)]
    if found:
        log.add(INSIDE_VALUE, Location(file, line_of(found[0]), 1), number=len(found))


def _cuts(remark: _Element) -> bool:
    """Whether text stands beside it, before or behind."""
    before = remark.getprevious()
    parent: Any = remark.getparent()  # the iteration began at the root, so there is one
    text = parent.text if before is None else before.tail
    return bool((text or "").strip() or (remark.tail or "").strip())


def _report(fault: etree.XMLSyntaxError, log: IssueLog, file: str, limits: Limits) -> None:
    """Report libxml2's error by its name; its own wording quotes the document, which may be a patient's name."""
    line = fault.lineno or 0
    at = Location(file, line, 1 if line else 0)
    faults: Any = fault.error_log
    name = faults.last_error.type_name if faults else ""
    if name == "ERR_RESOURCE_LIMIT":
        log.add(TOO_DEEP, at, limit=limits.xml_depth)
    else:
        words = name.removeprefix("ERR_").replace("_", " ").lower()
        log.add(NOT_WELL_FORMED, at, fault=_FAULTS.get(name, words) or "unknown fault")


# --- encodings ------------------------------------------------------------------------------------------------------


def _encoding(data: bytes, log: IssueLog, file: str) -> tuple[str | None, bytes, bool]:
    """The encoding to parse with, the bytes in that encoding, and whether label and bytes agree."""
    if data.startswith(_MARKS_16):
        return _utf_16(data, log, file)
    if b"\0" in data:
        log.add(INVALID_BYTES, _at(data, data.index(b"\0"), file), label="XML")
        return None, data, False
    marked = data.startswith(_MARK_8)
    declared, label = label_of(data)
    if label is None:
        log.add(ENCODING_REFUSED, Location(file, 1, 1))
        return None, data, False
    if data.isascii():
        return "UTF-8", data, True
    if marked and label != "UTF-8" and _not_utf_8(data) < 0:
        log.add(MARK_CONTRADICTED, Location(file, 1, 1), label=label)
        return "UTF-8", data, True
    found = _contradiction(data, label)
    if found is not None:
        actual, offset = found
        label = label if declared else f"{label}, having no label,"
        if actual:
            log.add(LABEL_CONTRADICTED, _at(data, offset, file), label=label, actual=actual)
        else:
            log.add(INVALID_BYTES, _at(data, offset, file), label=label)
        # ISO-8859-1 has a character for every byte: enough to see which letters are refused.
        return "ISO-8859-1", data, False
    if label != "UTF-8" and len(data) < _RECODED and not _has_any(data, _C1):
        # Without U+0080 to U+009F the two single-byte encodings are one, and libxml2 is faster with UTF-8.
        return "UTF-8", data.decode("iso-8859-1").encode(), True
    return label, data, True


def label_of(data: bytes) -> tuple[bool, str | None]:
    """Whether the document declares an encoding, and which it is to be read with: None if that is not allowed."""
    declared = _DECLARATION.match(data, 3 if data.startswith(_MARK_8) else 0)
    return declared is not None, _LABELS.get(declared[1].decode("ascii").lower()) if declared else "UTF-8"


def _utf_16(data: bytes, log: IssueLog, file: str) -> tuple[str | None, bytes, bool]:
    try:
        utf_8 = data.decode("utf-16").encode()
    except UnicodeError:
        log.add(INVALID_BYTES, Location(file), label="UTF-16")
        return None, data, False
    if b"\0" in utf_8:
        log.add(INVALID_BYTES, _at(utf_8, utf_8.index(b"\0"), file), label="XML")
        return None, data, False
    declared = _DECLARATION.match(utf_8)
    if declared and declared[1].decode("ascii").lower() not in _UTF_16:
        label = _LABELS.get(declared[1].decode("ascii").lower(), "another encoding")
        log.add(LABEL_CONTRADICTED, Location(file, 1, 1), label=label, actual="UTF-16")
        return "UTF-8", utf_8, False
    return "UTF-8", utf_8, True


def _not_utf_8(data: bytes) -> int:
    """The offset of the first byte that is not UTF-8, or -1."""
    try:
        data.decode()
    except UnicodeDecodeError as fault:
        return fault.start
    return -1


def _has_any(data: bytes, wanted: bytes) -> bool:
    return len(data.translate(None, wanted)) != len(data)


def _contradiction(data: bytes, label: str) -> tuple[str, int] | None:
    """What the bytes really are ("" if nothing readable) and the offset where that shows, or None if all is well."""
    wrong = _not_utf_8(data)
    if label == "UTF-8":
        return None if wrong < 0 else (_single_byte(data), wrong)
    if wrong < 0:
        return "UTF-8", _first(data, _HIGH)
    if label == "US-ASCII":
        return _single_byte(data), _first(data, _HIGH)
    pair = _UTF8_PAIR.search(data) if b"\xc3" in data else None
    if pair:
        return "UTF-8 in parts", pair.start()
    bad = _C1 if label == "ISO-8859-1" else _NOT_1252
    if not _has_any(data, bad):
        return None
    # C1 control characters do not occur in text; the same bytes are quotes and dashes in windows-1252.
    return _single_byte(data) if label == "ISO-8859-1" else "", _first(data, bad)


def _single_byte(data: bytes) -> str:
    if not _has_any(data, _C1):
        return "ISO-8859-1"
    return "" if _has_any(data, _NOT_1252) else "windows-1252"


def _first(data: bytes, wanted: bytes) -> int:
    match = re.search(b"[" + re.escape(wanted) + b"]", data)
    return match.start() if match else 0


def _at(data: bytes, offset: int, file: str) -> Location:
    return Location(file, data.count(b"\n", 0, offset) + 1, 1)


# --- ceilings -------------------------------------------------------------------------------------------------------


def _has_doctype(data: bytes, log: IssueLog, file: str) -> bool:
    """Whether anything but comments and instructions stands before the root (XML 1.0, 2.8: only a DOCTYPE may)."""
    end = prolog_end(data)
    if not data.startswith(b"<!", end) or data.startswith(b"<!--", end):
        return False
    log.add(DOCTYPE, _at(data, end, file))
    return True


def prolog_end(data: bytes) -> int:
    """The offset where the root element or a DOCTYPE begins, in an encoding that ASCII is part of."""
    match = _PROLOG.match(data)
    return match.end() if match else 0


_TOKEN = re.compile(
    rb"<(?:!--.*?-->|!\[CDATA\[.*?\]\]>|\?.*?\?>"
    rb"|(?P<close>/)[^<>]*+>"
    rb"|(?P<open>[^<>!?/\"'](?:[^<>\"']++|\"[^\"<]*+\"|'[^'<]*+')*+)>)",
    re.DOTALL,
)


def _within_limits(data: bytes, log: IssueLog, file: str, limits: Limits) -> bool:
    """Count elements, depth and attributes without building a tree, where the bytes could hold too many at all.

    A small document is not scanned: libxml2 stops at depth 256 by itself, and every element below a known depth
    is in a subtree that no definition knows, which `depth_below` measures.
    """
    suspicious = (
        len(data) > _PLAIN_SIZE
        or limits.xml_depth > _PLAIN_DEPTH
        or data.count(b"<") > limits.xml_elements
        or data.count(b"=") > _MANY_EQUALS
    )
    return not suspicious or _scan(data, log, file, limits)


def _scan(data: bytes, log: IssueLog, file: str, limits: Limits) -> bool:
    position = depth = elements = attributes = 0
    match_token = _TOKEN.match
    while (position := data.find(b"<", position)) >= 0:
        token = match_token(data, position)
        if token is None:
            log.add(NOT_WELL_FORMED, _at(data, position, file), fault="unfinished tag, comment or section")
            return False
        opened = token["open"]
        if opened is not None:
            elements += 1
            own = opened.count(b"=")
            attributes += own
            depth += not opened.endswith(b"/")
            if depth > limits.xml_depth:
                log.add(TOO_DEEP, _at(data, position, file), limit=limits.xml_depth)
                return False
            if elements > limits.xml_elements:
                log.add(TOO_MANY_ELEMENTS, _at(data, position, file), limit=limits.xml_elements)
                return False
            if own > _MAX_ATTRIBUTES or attributes > limits.xml_elements:
                log.add(TOO_MANY_ATTRIBUTES, _at(data, position, file), limit=_MAX_ATTRIBUTES)
                return False
        elif token["close"]:
            depth -= 1
        position = token.end()
    return True


def depth_below(element: _Element) -> int:
    """How many levels of elements stand below this one."""
    depth = deepest = 0
    for event, _ in etree.iterwalk(element, events=("start", "end")):
        depth += 1 if event == "start" else -1
        deepest = max(deepest, depth)
    return deepest - 1


def line_of(element: _Element) -> int:
    """The line of an element's start tag, 0 if unknown."""
    line: Any = element.sourceline
    return line or 0
