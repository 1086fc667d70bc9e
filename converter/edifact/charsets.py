"""Character sets of an interchange: what a UNB label means, and whether the bytes keep to it.

MedCom's letters are UNOC, so ISO 8859-1, without exception; the other labels are those of ISO 9735 that a file may
nevertheless carry. A byte is never changed or dropped: what is wrong gives an issue and the value stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from converter.edifact.segments import Origin, Segment
from converter.issues import IssueKind, Severity, declare

CONTROL_CHARACTER = declare(
    "EDI020",
    "control-character",
    Severity.ERROR,
    "{number} control character(s) in the text",
    why="Control characters are in none of EDIFACT's character sets, and FHIR refuses most of them in strings.",
    help="Ask the sender's system to remove them; tabs and form feeds from word processors are the usual cause.",
    source="ISO 9735 annex A; CONTRL 0085",
    contrl=21,
)
UTF8_BYTES = declare(
    "EDI021",
    "utf8-under-other-label",
    Severity.ERROR,
    "{number} byte sequence(s) that are characters in UTF-8; the label {label} makes {codec} characters of each byte",
    why="Read by its label the text shows two or three wrong characters for one letter. The value is read so.",
    help="If the sender meant UTF-8, read it with --encoding utf-8; the sender must correct UNB or the bytes.",
    source="ISO 9735 S001/0001; ISO/IEC 10646 UTF-8",
    contrl=21,
)
WINDOWS_BYTES = declare(
    "EDI022",
    "windows-1252-bytes",
    Severity.ERROR,
    "{number} byte(s) 80-9F, which {codec} has no letters for; in windows-1252 they are characters such as "
    "typographic quotes, dashes and the euro sign",
    why="Read by its label ({label}) the text holds invisible control characters where the sender saw a character.",
    help="If the sender meant windows-1252, read the file with --encoding windows-1252.",
    source="ISO/IEC 8859-1; CONTRL 0085",
    contrl=21,
)
REPERTOIRE = declare(
    "EDI023",
    "character-outside-repertoire",
    Severity.ERROR,
    "{number} character(s) that the character set {label} does not have",
    why="A receiver that keeps to the label may refuse or change them (UNOA has capitals only).",
    help="The sender must write in capitals without national letters, or label the interchange UNOC.",
    source="ISO 9735 annex A, levels A and B",
    contrl=21,
)
NOT_DECODABLE = declare(
    "EDI024",
    "bytes-outside-charset",
    Severity.ERROR,
    "{number} byte(s) that are no character in {codec} ({label})",
    why="They cannot be read at all; the replacement character stands for them in the value.",
    help="Find out which encoding the sender used, and read the file with --encoding.",
    source="ISO 9735 S001/0001",
    contrl=21,
)
UNKNOWN_CHARSET = declare(
    "EDI025",
    "charset-not-supported",
    Severity.ERROR,
    "the character set label of UNB is not one of {known}",
    why="What the bytes mean is not stated; they were read as ISO 8859-1.",
    help="MedCom's letters are labelled UNOC. Correct the label, or state the encoding with --encoding.",
    source="ISO 9735 S001/0001; CONTRL 0085",
    contrl=46,
)

CODECS = {
    "UNOA": "latin-1",
    "UNOB": "latin-1",
    "UNOC": "latin-1",
    "UNOD": "iso8859-2",
    "UNOE": "iso8859-5",
    "UNOF": "iso8859-7",
    "UNOW": "utf-8",
    "UNOY": "utf-8",
}
"""The codec of each label. UNOA and UNOB are subsets of ASCII; what lies outside is reported, not dropped."""

_NAMES = {"latin-1": "ISO 8859-1", "iso8859-2": "ISO 8859-2", "iso8859-5": "ISO 8859-5", "iso8859-7": "ISO 8859-7"}
_OUTSIDE = {
    "UNOA": re.compile(r"""[^A-Z0-9 .,\-()/='+:?!"%&*;<>]"""),
    "UNOB": re.compile(r"""[^A-Za-z0-9 .,\-()/='+:?!"%&*;<>]"""),
}
_CONTROL = re.compile(rb"[\x00-\x09\x0b\x0c\x0e-\x1f\x7f]")
_C1 = re.compile(rb"[\x80-\x9f]")
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f]")
_MULTIBYTE = re.compile(
    rb"[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xef][\x80-\xbf]{2}"
    rb"|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2}"
)
# Danish text in ISO 8859-1 is C0-FF and a few signs of A0-BF; without any byte below C0 nothing can be wrong.
_SUSPECT = bytes([*range(0x0A), 0x0B, 0x0C, *range(0x0E, 0x20), *range(0x7F, 0xC0)])

Finding = tuple[IssueKind, int, int, Severity]
"""Kind, byte offset of the first character concerned, number of characters, severity."""


def clean(block: bytes, origin: Origin) -> bool:
    """Cheap and cautious: True only if no segment of the block can have a finding."""
    if origin.charset in _OUTSIDE:
        return False
    if origin.codec == "latin-1":
        return len(block.translate(None, _SUSPECT)) == len(block)
    return block.isascii() and _CONTROL.search(block) is None


def findings(segment: Segment, origin: Origin) -> Iterator[Finding]:
    """What is wrong with the characters of one segment, at most one finding of each kind, at its first place."""
    raw = origin.data[segment.start : segment.end]
    if controls := _CONTROL.findall(raw):
        yield _found(CONTROL_CHARACTER, segment, raw.index(controls[0]), len(controls), Severity.ERROR)
    if origin.codec == "utf-8":
        yield from _undecodable(segment, raw, origin.codec)
        return
    rest = raw
    if not raw.isascii():
        sequences = [m for m in _MULTIBYTE.finditer(raw) if _telling(m.group(), origin.codec)]
        if sequences:
            rest = _MULTIBYTE.sub(lambda m: b" " * len(m.group()), raw)
            sure = any(len(m.group()) > 2 or m.group()[0] < 0xC4 or m.group()[1] < 0xA0 for m in sequences)
            severity = Severity.ERROR if sure else Severity.WARNING
            yield _found(UTF8_BYTES, segment, sequences[0].start(), len(sequences), severity)
        if origin.codec != "cp1252" and (strays := _C1.findall(rest)):
            yield _found(WINDOWS_BYTES, segment, rest.index(strays[0]), len(strays), Severity.ERROR)
        yield from _undecodable(segment, raw, origin.codec)
    if origin.charset in _OUTSIDE:
        yield from _outside(segment, _OUTSIDE[origin.charset])


def decode(segment: Segment, codec: str) -> None:
    """Turn values that were split as ISO 8859-1 into the characters of `codec`; undecodable bytes become U+FFFD."""
    segment.elements = [
        [v if v.isascii() else v.encode("latin-1").decode(codec, "replace") for v in components]
        for components in segment.elements
    ]


def facts(origin: Origin) -> dict[str, Any]:
    """What the messages of this module's kinds name besides numbers."""
    return {
        "label": origin.charset if origin.charset in CODECS else "of UNB",
        "codec": _NAMES.get(origin.codec, origin.codec),
    }


def unwritable(text: str, charset: str = "UNOC") -> list[int]:
    """The indices of characters that an interchange labelled `charset` cannot carry, control characters included."""
    codec, outside = CODECS[charset], _OUTSIDE.get(charset)
    if outside is None and text.isprintable() and _encodes(text, codec):
        return []
    found = {m.start() for m in _UNPRINTABLE.finditer(text)}
    if outside is not None:
        found.update(m.start() for m in outside.finditer(text))
    try:
        text.encode(codec)
    except UnicodeEncodeError:
        found.update(i for i, char in enumerate(text) if not _encodes(char, codec))
    return sorted(found)


def _encodes(text: str, codec: str) -> bool:
    try:
        text.encode(codec)
    except UnicodeEncodeError:
        return False
    return True


def _telling(sequence: bytes, codec: str) -> bool:
    """Whether a well-formed UTF-8 sequence is hardly text in that 8-bit set.

    In ISO 8859-1 a capital with accent before a sign (such as C9 BB) can be text, so only those count surely that
    start with C2 or C3 or hold a byte 80-9F; in the Cyrillic and Greek sets such pairs are everyday letters.
    """
    if codec == "cp1252":
        return sequence[0] in (0xC2, 0xC3)
    return codec == "latin-1" or any(byte < 0xA0 for byte in sequence)


def _found(kind: IssueKind, segment: Segment, index: int, number: int, severity: Severity) -> Finding:
    return kind, segment.start + index, number, severity


def _undecodable(segment: Segment, raw: bytes, codec: str) -> Iterator[Finding]:
    try:
        raw.decode(codec)
    except UnicodeDecodeError as error:
        number = raw.decode(codec, "replace").count("\ufffd") or 1
        yield _found(NOT_DECODABLE, segment, error.start, number, Severity.ERROR)


def _outside(segment: Segment, pattern: re.Pattern[str]) -> Iterator[Finding]:
    number, first = 0, (0, 0)
    for element, components in enumerate(segment.elements, 1):
        for component, value in enumerate(components, 1):
            if count := len(pattern.findall(value)):
                first = first if number else (element, component)
                number += count
    if number:
        yield REPERTOIRE, segment.span(*first)[0], number, Severity.ERROR
