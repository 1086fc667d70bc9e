"""Invented interchanges, and small ways to make wrong ones of them."""

from __future__ import annotations

from converter.edifact.envelope import Interchange, Message, read_interchanges, read_messages
from converter.edifact.rows import COMPONENT, ELEMENT, END, Row, write_rows
from converter.edifact.segments import DEFAULT, ObjectSegment, Segment, Separators
from converter.edifact.syntax import read_segments
from converter.issues import Issue, IssueLog, Severity
from converter.limits import Limits

LETTER = (
    "UNH+BREV00001+MEDDIS:D:93A:UN:D9134L+DIS91'"
    "BGM+EPI++9+NA'"
    "DTM+137:202603011015:203'"
    "S01+01'"
    "NAD+SSP+9901010:SKS:SST++Nordfjord Sygehus:Medicinsk Afdeling:Afsnit M2:::US'"
    "SEQ++1'"
    "S07+07'"
    "PNA+PAT+2509479989:::CPR:IM+++SU:Elmer+FO:Bruno Test'"
    "FTX+NC+P00++Kære kollega.:.:Ring på tlf?: 70112233 ?+ lokal 4. Spørgsmål??:Afsnit ?'M2?''"
    "UNT+10+BREV00001'"
)
HEADER = "UNB+UNOC:3+5790000120314:14+5790000121526:14+260301:1020+KUVERT00001++++1'"
TRAILER = "UNZ+1+KUVERT00001'"
PLAIN = ("UNA:+.? '" + HEADER + LETTER + TRAILER).encode("latin-1")
SECOND = LETTER.replace("BREV00001", "BREV00002")
TWO_LETTERS = ("UNA:+.? '" + HEADER + LETTER + SECOND + TRAILER.replace("+1+", "+2+")).encode("latin-1")
TWO_INTERCHANGES = PLAIN + b"\n" + PLAIN.replace(b"KUVERT00001", b"KUVERT00002")
PAYLOAD = bytes(range(256)) + b"\r\n'UNP+9+1'UNT+3+BREV00001'UNZ+1+KUVERT00001'UNA:+.? '"
OBJECT = (
    "UNO+1+AID:0123456789abcdef0123456789abcdef+OBJ:billede:jpeg:91+{size}:14:1:A'".replace(
        "{size}", str(len(PAYLOAD))
    ).encode()
    + PAYLOAD
    + f"UNP+{len(PAYLOAD)}+1'".encode()
)
BINARY = (
    b"UNA:+.? '"
    + HEADER.encode()
    + b"UNH+BREV00001+MEDBIN:D:93A:UN:B0131X+BIN01'BGM+OBJ++9+NA'"
    + OBJECT
    + b"UNT+5+BREV00001'"
    + TRAILER.encode()
)
LINED = PLAIN[9:].replace(b"?'", b"\0").replace(b"'", b"'\r\n").replace(b"\0", b"?'")
ALL = {
    "plain": PLAIN,
    "lined": PLAIN[:9] + b"\r\n" + LINED,
    "two letters": TWO_LETTERS,
    "two interchanges": TWO_INTERCHANGES,
    "binary": BINARY,
    "own separators": PLAIN.translate(bytes.maketrans(b":+?'", b"|;!~")),
    "without UNA": PLAIN[9:],
}


def rows_of(segments: list[Segment]) -> list[Row]:
    """Segments as they are written."""
    return [
        segment.binary
        if isinstance(segment, ObjectSegment)
        else ELEMENT.join([segment.tag, *map(COMPONENT.join, segment.elements)]) + END
        for segment in segments
    ]


def write_segments(segments: list[Segment], separators: Separators = DEFAULT, charset: str = "UNOC") -> bytes:
    """The bytes of segments."""
    return write_rows(rows_of(segments), separators, charset)


def segments_of(data: bytes, **options: object) -> tuple[list[Segment], list[Issue]]:
    """All segments of all interchanges, and the issues."""
    log = IssueLog()
    segments = [s for _, part in read_segments(data, log, **options) for s in part]  # type: ignore[arg-type]
    return segments, log.issues


def interchanges_of(data: bytes, **options: object) -> tuple[list[Interchange], list[Issue]]:
    """All interchanges, and the issues."""
    log = IssueLog()
    return list(read_interchanges(data, log, **options)), log.issues  # type: ignore[arg-type]


def messages_of(data: bytes, limits: Limits | None = None) -> list[tuple[Message, list[Issue]]]:
    """All messages, each with the issues that were logged since the one before; then what came at the end."""
    log = IssueLog()
    return [(message, log.drain()) for message in read_messages(data, log, limits=limits)]


def places(issues: list[Issue], *, errors: bool = False) -> list[str]:
    """`EDI035 UNT 10` for each issue."""
    return [
        f"{i.code} {i.at.segment or '-'} {i.at.ordinal}" for i in issues if not errors or i.severity is Severity.ERROR
    ]


def errors(issues: list[Issue]) -> set[str]:
    """The codes of the errors."""
    return {i.code for i in issues if i.severity is Severity.ERROR}
