"""Bytes <-> segments: the service string advice, separators, release characters, line ends, objects read by length.

The reader decodes a stretch of bytes once and splits it with `str.split`; only segments that hold a release character
or a line end take the slow way. A stretch is at most one block of 64 KB (or one longer segment), ends with a segment
terminator, and ends early at every UNZ, UNO and new UNA or UNB, so that binary objects and the next interchange's
separators never get into it.
"""

from __future__ import annotations

import codecs
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

from converter.edifact import charsets
from converter.edifact.segments import DEFAULT, Lines, ObjectSegment, Origin, Segment, Separators
from converter.errors import InterchangeError
from converter.issues import IssueKind, IssueLog, Location, Severity, declare
from converter.limits import Limits

__all__ = ["DEFAULT", "ObjectSegment", "Origin", "Segment", "Separators", "read_segments", "write_segments"]

NO_INTERCHANGE = declare(
    "EDI001",
    "no-interchange",
    Severity.ERROR,
    "no interchange: {what}",
    why="Nothing can be read from the input.",
    help="An interchange starts with UNA or UNB. Check that the file is EDIFACT and arrived completely.",
    source="ISO 9735, 6",
    contrl=13,
)
NO_ADVICE = declare(
    "EDI002",
    "service-string-advice-missing",
    Severity.INFO,
    "no UNA before UNB; the standard separators :+.?' were used",
    why="MedCom's letters always start with UNA; without it a reader must guess that the standard separators hold.",
    help="Nothing to do if the file reads well.",
    source="ISO 9735, 7.1",
)
ADVICE = declare(
    "EDI003",
    "service-string-advice-invalid",
    Severity.ERROR,
    "the service string advice cannot be used: {problem}",
    why="Separators that are equal, or that occur in text, make it impossible to tell values apart.",
    help="The sender must write UNA:+.? ' (or six distinct signs, no letters, digits or control characters).",
    source="ISO 9735, 7.1; CONTRL 0085",
    contrl=20,
)
STRAY_ADVICE = declare(
    "EDI004",
    "service-string-advice-out-of-place",
    Severity.ERROR,
    "a service string advice stands where none is allowed",
    why="UNA may stand only once, immediately before UNB; the separators in force were kept.",
    help="Check whether two files were joined, or a file was cut.",
    source="ISO 9735, 7.1",
    contrl=20,
)
JUNK = declare(
    "EDI005",
    "bytes-outside-interchange",
    Severity.ERROR,
    "{number} byte(s) that belong to no interchange",
    why="They were not read. They may be the remains of a lost message.",
    help="Look at the offset named; transport headers and joined files are the usual cause.",
    source="ISO 9735, 6",
    contrl=33,
)
BYTE_ORDER_MARK = declare(
    "EDI006",
    "byte-order-mark",
    Severity.WARNING,
    "the input starts with a byte order mark",
    why="EDIFACT has none; it tells that a text editor or converter has touched the file, often also its letters.",
    help="Check the national letters, and send the file as it was made.",
    source="ISO 9735, 6",
    contrl=21,
)
LINE_END_INSIDE = declare(
    "EDI007",
    "line-end-in-segment",
    Severity.INFO,
    "line ends inside segments were left out",
    why="Line ends are no characters of EDIFACT; files wrapped on the way hold them anywhere.",
    help="Nothing to do; if two words have grown together, the sender used a line end as a blank.",
    source="ISO 9735, 5; MedCom's converter does the same",
)
RELEASE = declare(
    "EDI008",
    "release-character-misplaced",
    Severity.ERROR,
    "{number} release character(s) before a character that needs none",
    why="A question mark that was meant as text has been lost; the character after it was kept.",
    help="The sender must write ?? for a question mark.",
    source="ISO 9735, 7.2; CONTRL 0085",
    contrl=22,
)
TOO_LONG = declare(
    "EDI009",
    "segment-too-long",
    Severity.ERROR,
    "no segment terminator within {limit} bytes",
    why="The segment was left out and reading went on at the next message; a file without terminators is no EDIFACT.",
    help="Check the terminator in UNA. A greater limit can be set with --limit segment=SIZE.",
    source="limit `segment`",
    contrl=16,
)
UNTERMINATED = declare(
    "EDI010",
    "segment-unterminated",
    Severity.ERROR,
    "the input ends inside a segment",
    why="The input was cut; what is missing is unknown.",
    help="Fetch the file again.",
    source="ISO 9735, 7",
    contrl=13,
)
TAG = declare(
    "EDI011",
    "segment-tag-invalid",
    Severity.ERROR,
    "a segment must start with a tag of one capital letter and two capital letters or digits",
    why="It is unknown what the segment means.",
    help="A quote in a text that was not released (?') cuts a segment in two; look at the segment before.",
    source="ISO 9735, 7.3",
    contrl=12,
)
BLANKS_BEFORE_TAG = declare(
    "EDI012",
    "blanks-before-tag",
    Severity.WARNING,
    "blanks before a segment tag were left out",
    why="Only line ends may stand between segments; blanks come from editing or padding.",
    help="Send the file as it was made.",
    source="ISO 9735, 5",
    contrl=21,
)
CROWDED = declare(
    "EDI013",
    "too-many-constituents",
    Severity.ERROR,
    "more than {limit} elements and components in one segment",
    why="No segment of the standard has nearly as many; it was left out, so that hostile input cannot fill the memory.",
    help="Check the separators in UNA.",
    source="ISO 9735, 6; CONTRL 0085",
    contrl=16,
)
OBJECT_LENGTH = declare(
    "EDI014",
    "object-length-invalid",
    Severity.ERROR,
    "the length of an object in UNO is absent or not a number of bytes",
    why="A binary object has no other end than its length.",
    help="UNO element 4, component 1 must hold the number of bytes between UNO's terminator and UNP.",
    source="MedCom BIN01, UNO; ISO 9735-8",
    contrl=12,
)
OBJECT_MISMATCH = declare(
    "EDI015",
    "object-length-mismatch",
    Severity.ERROR,
    "UNP does not follow after the number of bytes that UNO announces",
    why="The object was cut, padded or changed on the way (line ends converted, say); its message cannot be used.",
    help="Transfer the file as binary, and compare with the sender's.",
    source="MedCom BIN01, UNO and UNP; CONTRL 0085",
    contrl=29,
)
OBJECT_TOO_LARGE = declare(
    "EDI016",
    "object-too-large",
    Severity.ERROR,
    "an object of more than {limit} bytes",
    why="It was not read; its message cannot be used.",
    help="A greater limit can be set with --limit attachment=SIZE.",
    source="limit `attachment`",
    contrl=39,
)
MORE = declare(
    "EDI019",
    "more-findings",
    Severity.INFO,
    "{number} more finding(s) {code} in this interchange are not listed",
    why="A broken or hostile file can have millions of one kind.",
    help="Look at those that are listed.",
)

MAX_LISTED = 100
"""Findings of one kind that are listed in one interchange."""
MAX_CONSTITUENTS = 1000
"""Elements and components of one segment; the largest of MedCom's have about 40."""

_BLOCK = 1 << 16
_BLANK = b" \t\r\n"
_SERVICE = re.compile(rb"UN[ABOZ]")
_START = re.compile(rb"UNA[^\r\n]{6}\s*(?=UNB)|UNB\+UNO")
_SEGMENT_LIKE = re.compile(rb"[A-Z][A-Z0-9]{2}[+:']")
_UNB_AHEAD = re.compile(rb"[ \t\r\n]*UNB")
_TAG = re.compile(r"[A-Z][A-Z0-9]{2}\Z")
_UNP = re.compile(rb"UNP.(\d{1,12})(?!\d)", re.DOTALL)
_ENCODINGS = {"utf-8": "utf-8", "cp1252": "cp1252", "iso8859-1": "latin-1"}
_tags: set[str] = set()  # tags found well formed so far: at most 26 * 36 * 36


class Findings:
    """A log for one interchange at a time that lists each kind at most `MAX_LISTED` times and counts the rest."""

    __slots__ = ("_number", "log")

    def __init__(self, log: IssueLog) -> None:
        self.log = log
        self._number: Counter[str] = Counter()

    def room(self, kind: IssueKind) -> bool:
        """Count one finding of this kind; False when no more of them are listed. Ask before working out a place."""
        self._number[kind.code] += 1
        return self._number[kind.code] <= MAX_LISTED

    def close(self, at: Location) -> None:
        """End of an interchange: say how many findings were not listed, and start counting anew."""
        for code, number in self._number.items():
            if number > MAX_LISTED:
                self.log.add(MORE, at, number=number - MAX_LISTED, code=code, count=number - MAX_LISTED)
        self._number.clear()


def read_segments(
    data: bytes,
    log: IssueLog,
    *,
    file: str = "",
    limits: Limits | None = None,
    encoding: str = "",
    findings: Findings | None = None,
) -> Iterator[tuple[Origin, list[Segment]]]:
    """Yield the segments of all interchanges, in order, in lists of at most about 64 KB of input.

    All segments of one interchange share one `Origin`, which holds its separators; a new Origin is a new interchange
    (a UNB, or segments without one). Faults of syntax and character sets are logged, and reading goes on behind them.
    `encoding` (`utf-8`, `windows-1252`, `iso-8859-1`) overrules UNB's label. Raises `InterchangeError` for another.
    """
    codec = _codec(encoding)
    return _Scanner(data, findings or Findings(log), file, limits or Limits(), codec).stretches()


def write_segments(segments: Iterable[Segment], separators: Separators = DEFAULT, charset: str = "UNOC") -> bytes:
    """The bytes of segments, with the service string advice before them and no line ends.

    Separators and release characters in values are escaped and nothing else is; empty elements and components at an end
    are left out. The bytes of an `ObjectSegment` stand as they are. Raises `InterchangeError` for a value that the
    character set cannot carry (see `charsets.unwritable`), a line end or another control character.
    """
    s = separators
    escapes = {ord(c): s.release + c for c in (s.release, s.component, s.element, s.terminator) if c and s.release}
    codec = charsets.CODECS[charset]
    parts = [f"UNA{s.component}{s.element}{s.decimal}{s.release or ' '} {s.terminator}".encode("ascii")]
    for number, segment in enumerate(segments, 1):
        content = segment.binary
        if content is not None:
            parts.append(content)
            continue
        values = [s.component.join(v.translate(escapes) for v in _trimmed(e)) for e in segment.elements]
        while values and not values[-1]:
            values.pop()
        text = s.element.join([segment.tag, *values]) + s.terminator
        if charsets.unwritable(text, charset):
            raise InterchangeError(f"segment {number} ({segment.tag}) holds a character that {charset} cannot carry")
        parts.append(text.encode(codec))
    return b"".join(parts)


def _trimmed(components: list[str]) -> list[str]:
    length = len(components)
    while length and not components[length - 1]:
        length -= 1
    return components[:length]


def _codec(encoding: str) -> str:
    if not encoding:
        return ""
    try:
        return _ENCODINGS[codecs.lookup(encoding).name]
    except (LookupError, ValueError):
        raise InterchangeError("encoding must be utf-8, windows-1252 or iso-8859-1") from None


class _Scanner:
    """Walks over the bytes once. Every search starts where the last one ended, so that no input costs square time."""

    def __init__(self, data: bytes, findings: Findings, file: str, limits: Limits, codec: str) -> None:
        self.data = data
        self.findings = findings
        self.file = file
        self.limits = limits
        self.codec = codec
        self.lines = Lines(data)
        self.ordinal = 0
        self.no_unp_from = len(data) + 1  # behind this offset there is no UNP
        self.origin = Origin(data, file, DEFAULT, self.lines)
        self.wrapped = False

    # -- interchanges ------------------------------------------------------------------------------------------------

    def stretches(self) -> Iterator[tuple[Origin, list[Segment]]]:
        data, pos, found = self.data, 0, False
        if data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
            self._report(BYTE_ORDER_MARK, self.origin.location(0))
            pos = 3 if data[0] == 0xEF else 2
        while (start := self._next_start(pos)) is not None:
            separators, pos = self._advice(start)
            if separators is None:
                continue
            self.origin = Origin(data, self.file, separators, self.lines)
            self.wrapped = False
            between = False
            first = True
            while not between:
                end, why = self._cut(pos, first)
                if end > pos:
                    segments = self._split(pos, end, first)
                    if segments:
                        found = True
                        first = False
                        yield self.origin, segments
                pos = end
                if why == "O":
                    holder, pos = self._object(segments[-1], pos)
                    if holder is not None:
                        yield self.origin, [holder]
                elif why == "A":
                    stray = _skip_blanks(data, pos)
                    if _UNB_AHEAD.match(data, stray + 9):
                        break
                    self._report(STRAY_ADVICE, self.origin.location(stray, segment="UNA"))
                    pos = stray + 9
                elif why == "B":
                    self.origin = Origin(data, self.file, separators, self.lines)
                    first = True
                elif why in ("Z", "end"):
                    between = True
        if not found:
            what = "the input is empty" if not data.strip(_BLANK) else "neither a UNA nor a UNB segment was found"
            self._report(NO_INTERCHANGE, self.origin.location(0), what=what)
        self.findings.close(self.origin.location(len(data)))

    def _next_start(self, pos: int) -> int | None:
        """Where the next interchange starts, reporting what stands before it; None at the end of the input."""
        data = self.data
        start = _skip_blanks(data, pos)
        if start >= len(data):
            return None
        if not (data.startswith(b"UNA", start) or _SEGMENT_LIKE.match(data, start)):
            match = _START.search(data, start)
            junk, start = start, match.start() if match else len(data)
            number = len(data[junk:start].rstrip(_BLANK))
            self._report(JUNK, self.origin.location(junk), number=number)
        return start if start < len(data) else None

    def _advice(self, pos: int) -> tuple[Separators | None, int]:
        """The separators of the interchange that starts here and where its first segment starts."""
        data = self.data
        at = self.origin.location
        if not data.startswith(b"UNA", pos):
            self._report(NO_ADVICE, at(pos))
            return DEFAULT, pos
        advice = data[pos + 3 : pos + 9]
        problem = _advice_problem(advice)
        if problem:
            self._report(ADVICE, at(pos, segment="UNA"), problem=problem)
            # If the next segment plainly uses the standard separators, its messages can still be looked at.
            ahead = _START.search(data, pos + 3, pos + 3 + 64)
            if ahead and data.startswith(b"UNB+", ahead.start()):
                return DEFAULT, ahead.start()
            return None, min(pos + 9, len(data))
        component, element, decimal, release, reserved, terminator = map(chr, advice)
        if reserved not in " *":  # syntax version 4 has its repetition separator there
            text = "its fifth character is not a blank"
            self._report(ADVICE, at(pos + 7, segment="UNA"), problem=text, severity=Severity.WARNING)
        following = _skip_blanks(data, pos + 9)
        if data.startswith(b"UNA", following):
            self._report(STRAY_ADVICE, at(pos, segment="UNA"))
            return None, following
        return Separators(component, element, decimal, release.strip(), terminator), pos + 9

    # -- stretches ---------------------------------------------------------------------------------------------------

    def _cut(self, pos: int, first: bool) -> tuple[int, str]:
        """The end of the stretch that starts at `pos`, behind a terminator, and why it ends there.

        `Z`, `O`: behind UNZ, UNO. `A`, `B`: before a UNA, UNB. `end`: end of the input, or nothing more can be read.
        """
        data = self.data
        limit = min(len(data), pos + _BLOCK)
        start = _skip_blanks(data, pos)
        for match in _SERVICE.finditer(data, start + 3 if first else pos, limit):
            at = match.start()
            if at != start and not self._after_terminator(at, pos):
                continue
            why = chr(data[at + 2])
            if why in "AB":
                while at > pos and data[at - 1] in _BLANK:
                    at -= 1
                return at, why
            end = self._terminator(at)
            if end < 0:
                break
            return end, why
        end = self._last_terminator(pos, limit)
        if end < 0:
            end = self._terminator(start)
        if end > 0:
            return end, ""
        return self._unreadable(start)

    def _unreadable(self, start: int) -> tuple[int, str]:
        """No terminator within the limit: report, and find the next message."""
        data = self.data
        if len(data) - start <= self.limits.segment:
            if start < len(data):
                tag = data[start : start + 3].decode("latin-1")
                name = tag if _TAG.match(tag) else ""
                self._report(UNTERMINATED, self.origin.location(start, segment=name, ordinal=self.ordinal + 1))
                self.origin.damage.append(start)
            return len(data), "end"
        self.ordinal += 1
        place = self.origin.location(start, ordinal=self.ordinal)
        self._report(TOO_LONG, place, limit=self.limits.segment)
        self.origin.damage.append(start)
        match = _resume(self.origin.separators.terminator).search(data, start)
        return (match.end(), "skip") if match else (len(data), "end")

    def _terminator(self, pos: int) -> int:
        """The offset behind the terminator of the segment at `pos`; -1 if there is none within the limit."""
        match = _whole(self.origin.separators).match(self.data, pos, pos + self.limits.segment + 1)
        return match.end() if match else -1

    def _last_terminator(self, pos: int, limit: int) -> int:
        terminator = self.origin.separators.terminator.encode()
        at = self.data.rfind(terminator, pos, limit)
        while at >= 0 and self._escaped(at, pos):
            at = self.data.rfind(terminator, pos, at)
        return at + 1 if at >= 0 else -1

    def _escaped(self, at: int, floor: int) -> bool:
        """Whether an odd number of release characters stands before `at`; line ends between do not count."""
        separators, data = self.origin.separators, self.data
        if not separators.release:
            return False
        release, number, index = ord(separators.release), 0, at - 1
        while index >= floor and data[index] in (release, 0x0A, 0x0D):
            number += data[index] == release
            index -= 1
        return number % 2 == 1

    def _after_terminator(self, at: int, floor: int) -> bool:
        index = at - 1
        while index >= floor and self.data[index] in _BLANK:
            index -= 1
        return (
            index >= floor
            and self.data[index] == ord(self.origin.separators.terminator)
            and not self._escaped(index, floor)
        )

    # -- segments ----------------------------------------------------------------------------------------------------

    def _split(self, start: int, end: int, first: bool) -> list[Segment]:
        """The segments of `data[start:end]`."""
        origin, block = self.origin, self.data[start:end]
        separators = origin.separators
        lead = len(block) - len(block.lstrip(b"\r\n"))
        text = block[lead:-1].decode("latin-1")
        gap = _uniform(text, separators)
        if gap is None:
            segments = self._split_slowly(text, start + lead)
        else:
            segments = self._split_fast(text, start + lead, separators.terminator + gap)
        if first and segments:
            self._label(segments[0])
        if not charsets.clean(block, origin):
            self._inspect(segments)
        if origin.codec != "latin-1" and not block.isascii():
            for segment in segments:
                charsets.decode(segment, origin.codec)
        return segments

    def _split_fast(self, text: str, at: int, between: str) -> list[Segment]:
        """Segments without release characters and inner line ends, with the same line end after each terminator."""
        origin, ordinal, step = self.origin, self.ordinal, len(between)
        element, component, tags = origin.separators.element, origin.separators.component, _tags
        segments = []
        for raw in text.split(between):
            end = at + len(raw)
            ordinal += 1
            if end - at > MAX_CONSTITUENTS and self._crowded(raw, at, ordinal):
                at = end + step
                continue
            parts = raw.split(element)
            tag = parts.pop(0)
            if tag not in tags:
                tag, at = self._tag(tag, at, ordinal)
            segments.append(Segment(tag, [part.split(component) for part in parts], ordinal, at, end, origin))
            at = end + step
        self.ordinal = ordinal
        return segments

    def _split_slowly(self, text: str, at: int) -> list[Segment]:
        """Segments of any kind: pieces between terminators, joined again where a terminator was escaped."""
        separators, origin, segments = self.origin.separators, self.origin, []
        release, element, component = separators.release, separators.element, separators.component
        pieces = iter(text.split(separators.terminator))
        for raw in pieces:
            if release and raw.rstrip("\r\n").endswith(release):
                raw = _joined(raw, pieces, separators)
            end = at + len(raw)
            body = raw.lstrip("\r\n")
            at = end - len(body)
            self.ordinal += 1
            released = bool(release) and release in body
            if end - at > MAX_CONSTITUENTS and self._crowded(body, at, self.ordinal):
                at = end + 1
                continue
            if "\n" in body or "\r" in body:
                self._wrapped(body, at)
                body = body.replace("\r", "").replace("\n", "")
            if released:
                elements, strays = _unescaped(body, separators)
            else:
                elements, strays = [part.split(component) for part in body.split(element)], 0
            tag = component.join(elements.pop(0))
            if tag not in _tags:
                tag, at = self._tag(tag, at, self.ordinal)
            segment = Segment(tag, elements, self.ordinal, at, end, origin)
            if strays:
                self._report_at(RELEASE, segment, number=strays)
            segments.append(segment)
            at = end + 1
        return segments

    def _tag(self, tag: str, at: int, ordinal: int) -> tuple[str, int]:
        """The tag and where it starts, after a look at what is not a known tag.

        A tag that is none may be a piece of text, so it must not get into messages and locations: it becomes `???`.
        """
        bare = tag.lstrip(" \t")
        if bare != tag:
            self._report(BLANKS_BEFORE_TAG, self.origin.location(at, ordinal=ordinal))
            at += len(tag) - len(bare)
        if _TAG.match(bare):
            _tags.add(bare)
            return bare, at
        self._report(TAG, self.origin.location(at, ordinal=ordinal), value=bare)
        return "???", at

    def _crowded(self, raw: str, at: int, ordinal: int) -> bool:
        separators = self.origin.separators
        if raw.count(separators.element) + raw.count(separators.component) <= MAX_CONSTITUENTS:
            return False
        self._report(CROWDED, self.origin.location(at, ordinal=ordinal), limit=MAX_CONSTITUENTS)
        self.origin.damage.append(at)
        return True

    def _wrapped(self, body: str, at: int) -> None:
        if not self.wrapped:
            self.wrapped = True
            offset = at + min(i for i in (body.find("\r"), body.find("\n")) if i >= 0)
            self._report(LINE_END_INSIDE, self.origin.location(offset, ordinal=self.ordinal))

    def _label(self, first: Segment) -> None:
        """Take the character set from UNB. Without UNB there is no label, and MedCom's own is assumed."""
        origin = self.origin
        origin.charset = first.get(1) if first.tag == "UNB" else "UNOC"
        origin.codec = self.codec or charsets.CODECS.get(origin.charset, "latin-1")
        if origin.charset not in charsets.CODECS and origin.charset:
            known = ", ".join(charsets.CODECS)
            self._report_at(charsets.UNKNOWN_CHARSET, first, 1, 1, known=known, value=origin.charset)

    def _inspect(self, segments: list[Segment]) -> None:
        facts = charsets.facts(self.origin)
        for segment in segments:
            for kind, offset, element, component, number, severity in charsets.findings(segment, self.origin):
                if self.findings.room(kind):
                    at = self.origin.location(
                        offset, segment=segment.tag, ordinal=segment.ordinal, element=element, component=component
                    )
                    self.findings.log.add(kind, at, severity=severity, number=number, **facts)

    # -- objects -----------------------------------------------------------------------------------------------------

    def _object(self, uno: Segment, start: int) -> tuple[Segment | None, int]:
        """The object after UNO, read by its length, and where reading goes on."""
        declared = uno.get(4)
        if not (declared.isascii() and declared.isdigit() and len(declared) <= 12):
            self._report_at(OBJECT_LENGTH, uno, 4, 1)
            end = self._find_unp(uno, start)
        elif int(declared) > self.limits.attachment:
            self._report_at(OBJECT_TOO_LARGE, uno, 4, 1, limit=self.limits.attachment)
            end = self._find_unp(uno, start)
        elif not self._unp_at(start + int(declared)):
            self._report_at(OBJECT_MISMATCH, uno, 4, 1, value=declared)
            end = self._find_unp(uno, start)
        else:
            end = start + int(declared)
        if end < 0:
            return None, start
        return ObjectSegment(None, uno.ordinal, start, end, self.origin), end

    def _unp_at(self, pos: int) -> bool:
        pos = _skip_blanks(self.data, pos)
        element = self.origin.separators.element.encode()
        return self.data.startswith(b"UNP" + element, pos)

    def _find_unp(self, uno: Segment, start: int) -> int:
        """Where an object of wrong length probably ends: at a UNP that counts its bytes right, else at the first."""
        self.origin.damage.append(uno.start)
        if start >= self.no_unp_from:
            return -1
        first = -1
        for number, match in enumerate(_UNP.finditer(self.data, start)):
            first = match.start() if first < 0 else first
            if int(match[1]) == match.start() - start:
                return match.start()
            if number == 16:
                break
        if first < 0:
            self.no_unp_from = start
        return first

    # -- reporting ---------------------------------------------------------------------------------------------------

    def _report(self, kind: IssueKind, at: Location, *, severity: Severity | None = None, **facts: Any) -> None:
        if self.findings.room(kind):
            self.findings.log.add(kind, at, severity=severity, **facts)

    def _report_at(
        self,
        kind: IssueKind,
        segment: Segment,
        element: int = 0,
        component: int = 0,
        *,
        value: str | None = None,
        **facts: Any,
    ) -> None:
        if self.findings.room(kind):
            self.findings.log.add(kind, segment.locate(element, component), value=value, **facts)


def _skip_blanks(data: bytes, pos: int) -> int:
    while pos < len(data) and data[pos] in _BLANK:
        pos += 1
    return pos


def _advice_problem(advice: bytes) -> str:
    """Why these six characters after UNA cannot be used; empty if they can."""
    if len(advice) < 6:
        return "it is shorter than nine characters"
    component, element, decimal, release, _, terminator = (chr(b) for b in advice)
    used = [component, element, decimal, terminator, *release.strip()]
    if any(c.isalnum() or not c.isascii() or not c.isprintable() for c in [*used, release]):
        return "a separator is a letter, a digit or a control character"
    if " " in used:
        return "a separator is a blank"
    if len(set(used)) < len(used):
        return "two separators are equal"
    if decimal not in ".,":
        return "the decimal mark is neither a point nor a comma"
    return ""


def _uniform(text: str, separators: Separators) -> str | None:
    """The line end that follows every terminator of the text (often none); None if the text needs the slow way."""
    if separators.release and separators.release in text:
        return None
    lines, returns = text.count("\n"), text.count("\r")
    if not lines and not returns:
        return ""
    gap = "\r\n" if returns else "\n"
    number = text.count(separators.terminator + gap)
    if lines != number or returns not in (0, number) or text.count(separators.terminator) != number:
        return None
    return gap


def _joined(raw: str, pieces: Iterator[str], separators: Separators) -> str:
    """The segment that starts with this piece, whose terminator may be escaped, and pieces taken from the rest."""
    parts = [raw]
    while _odd(parts[-1], separators.release):
        following = next(pieces, None)
        if following is None:
            break
        parts.append(following)
    return separators.terminator.join(parts)


def _odd(piece: str, release: str) -> bool:
    bare = piece.replace("\r", "").replace("\n", "")
    return (len(bare) - len(bare.rstrip(release))) % 2 == 1


_ESCAPED = "\ue000\ue001\ue002\ue003"  # never in text that was decoded as ISO 8859-1


def _unescaped(body: str, separators: Separators) -> tuple[list[list[str]], int]:
    """Elements (the tag first) of a segment with release characters, and how many of those released nothing.

    Escaped characters are parked outside Latin-1 while the separators are split, first of all escaped release
    characters: replacing from the left pairs them up correctly.
    """
    s = separators
    characters = (s.release, s.component, s.element, s.terminator)
    for parked, character in zip(_ESCAPED, characters, strict=True):
        body = body.replace(s.release + character, parked)
    strays = body.count(s.release)
    if strays:
        body = body.replace(s.release, "")
    table = dict(zip(map(ord, _ESCAPED), characters, strict=True))
    elements = [part.split(s.component) for part in body.split(s.element)]
    return [[value if value.isascii() else value.translate(table) for value in parts] for parts in elements], strays


@lru_cache(maxsize=64)
def _whole(separators: Separators) -> re.Pattern[bytes]:
    """A segment from its first byte through its terminator; a line end between release and character does not count."""
    end = re.escape(separators.terminator.encode())
    if not separators.release:
        return re.compile(b"[^" + end + b"]*+" + end, re.DOTALL)
    release = re.escape(separators.release.encode())
    return re.compile(
        b"(?:[^" + release + end + b"]++|" + release + rb"[\r\n]*+[^\r\n])*+" + end,
        re.DOTALL,
    )


@lru_cache(maxsize=64)
def _resume(terminator: str) -> re.Pattern[bytes]:
    """Where reading goes on after a segment that was too long: at the next service segment behind a terminator."""
    return re.compile(re.escape(terminator.encode()) + rb"[ \t\r\n]*(?=UN[ABHTZ])")
