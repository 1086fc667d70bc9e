"""Bytes <-> segments: the service string advice, separators, release characters, line ends, objects read by length.

The reader cuts the input into stretches. A stretch is at most one block of 64 KB (or one longer segment) and ends with
a segment terminator; it ends early behind every UNZ and UNO and before every new UNA or UNB, so that binary objects and
the next interchange's separators never get into it. `splitting` makes segments of a stretch.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from functools import lru_cache

from converter.edifact.findings import Findings
from converter.edifact.segments import DEFAULT, Lines, ObjectSegment, Origin, Segment, Separators
from converter.edifact.splitting import BLANKS_BEFORE_TAG, TOO_LONG, Splitter, is_tag
from converter.errors import InterchangeError
from converter.issues import IssueLog, Severity, declare
from converter.limits import Limits

__all__ = ["DEFAULT", "ObjectSegment", "Origin", "Segment", "Separators", "read_segments"]

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
OBJECT_LENGTH = declare(
    "EDI014",
    "object-length-invalid",
    Severity.ERROR,
    "the length of an object in UNO is absent or not a number of bytes",
    why="A binary object has no other end than its length.",
    help="UNO element 4, component 1 must hold the number of bytes between UNO's terminator and UNP.",
    source="MedCom's attachment message, UNO; ISO 9735-8",
    contrl=12,
)
OBJECT_MISMATCH = declare(
    "EDI015",
    "object-length-mismatch",
    Severity.ERROR,
    "UNP does not follow after the number of bytes that UNO announces",
    why="The object was cut, padded or changed on the way (line ends converted, say); its message cannot be used.",
    help="Transfer the file as binary, and compare with the sender's.",
    source="MedCom's attachment message, UNO and UNP; CONTRL 0085",
    contrl=29,
)
LINE_END_AFTER_OBJECT = declare(
    "EDI017",
    "line-end-after-object",
    Severity.WARNING,
    "line ends stand between an object and UNP",
    why="They may be the object's own last bytes, pushed out by bytes that were added further up.",
    help="Compare the object with the sender's; the sender should write UNP directly behind the object.",
    source="MedCom's attachment message, UNO and UNP",
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

_BLOCK = 1 << 16
_STANDARD = b":+.? '"
_USUAL, _USUAL_LINED = b"UNA:+.? 'UNB+", b"UNA:+.? '\nUNB+"
_LIMITS = Limits()
_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_BLANK = b" \t\r\n"
_ENCODINGS = {"utf-8": "utf-8", "cp1252": "cp1252", "iso8859-1": "latin-1"}
_BLANKS = re.compile(rb"[ \t\r\n]++")
_LINE_ENDS = re.compile(rb"[\r\n]++")
_SERVICE = re.compile(rb"UN[ABOZ]")
_BEGIN = re.compile(rb"UN[A-Z][+:']")
# Where an interchange, or a message that lost its interchange, starts amid junk.
_START = re.compile(rb"UN(?:A[^\r\n]{6}[ \t\r\n]*+(?=UNB)|[BH]\+)")
_UNB_AHEAD = re.compile(rb"[ \t\r\n]*+UNB")
_UNP = re.compile(rb"UNP.(\d{1,12})(?!\d)", re.DOTALL)


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
    return _Scanner(data, findings or Findings(log), file, limits or _LIMITS, codec).stretches()


def usual(data: bytes) -> tuple[int, int]:
    """Start and end of the one stretch that nearly every input is; 0, 0 where there may be more to it.

    That is one short interchange with the standard separators, without objects, that ends with its only UNZ.
    """
    start = 9 if data.startswith(_USUAL) else 10 if data.startswith(_USUAL_LINED) else 0
    end = data.rfind(b"'") + 1
    if not start or end > _BLOCK:  # before anything is looked for: large files are attachments
        return 0, 0
    at = data.find(b"UNZ")
    if (
        start < at
        and data.find(b"'", at) == end - 1
        and b"?" not in data[at - 4 :]
        and data[at - 4 : at].rstrip(b"\r\n").endswith(b"'")
        and -1 == data.find(b"UNB", start + 8) == data.find(b"UNO", start + 8) == data.find(b"UNA", start)
        and not data[end:].strip(_BLANK)
    ):
        return start, end
    return 0, 0


def _codec(encoding: str) -> str:
    if not encoding:
        return ""
    try:
        return _ENCODINGS[codecs.lookup(encoding).name]
    except (LookupError, ValueError):
        raise InterchangeError("encoding must be utf-8, windows-1252 or iso-8859-1") from None


class _Scanner:
    """Walks over the bytes once. Every search starts where the last one ended, so that no input costs square time."""

    def __init__(self, data: bytes, findings: Findings, file: str, limits: Limits, encoding: str) -> None:
        self.data = data
        self.findings = findings
        self.file = file
        self.limits = limits
        self.encoding = encoding
        self.lines = Lines(data)
        self.no_unp_from = len(data) + 1  # behind this offset there is no UNP
        self.origin = self._origin(DEFAULT)
        self.splitter = Splitter(self.origin, findings, limits.segment)

    def _origin(self, separators: Separators) -> Origin:
        return Origin(self.lines, self.file, separators, self.encoding)

    # -- interchanges ------------------------------------------------------------------------------------------------

    def stretches(self) -> Iterator[tuple[Origin, list[Segment]]]:
        """All stretches of the input, each with the origin of its interchange."""
        first, end = usual(self.data)
        if end:
            yield self.origin, self.splitter.split(first, end)
            self.findings.close(self.origin, end)
            return
        self.whole = _whole(DEFAULT)
        self.pos = self._after_mark()
        while (start := self._next_start(self.pos)) is not None:
            separators, self.pos = self._advice(start)
            if separators is not None:
                yield from self._interchange(separators, self.pos)
            if self.data.startswith(b"UNA", start) and len(self.data.rstrip(_BLANK)) == start + 9:
                self.findings.near(NO_INTERCHANGE, self.origin, start, what="nothing follows a service string advice")
                break
        else:
            if not self.splitter.ordinal:
                blank = not self.data.strip(_BLANK)
                what = "the input is empty" if blank else "the input holds no complete segment of one"
                self.findings.near(NO_INTERCHANGE, self.origin, 0, what=what)
        self.findings.close(self.origin, len(self.data))

    def _after_mark(self) -> int:
        if not self.data.startswith(_MARKS):
            return 0
        self.findings.near(BYTE_ORDER_MARK, self.origin, 0)
        return next(len(mark) for mark in _MARKS if self.data.startswith(mark))

    def _next_start(self, pos: int) -> int | None:
        """Where the next interchange starts, reporting what stands before it; None at the end of the input."""
        data = self.data
        start = _skip_blanks(data, pos)
        if start < len(data) and not data.startswith(b"UNA", start) and not _BEGIN.match(data, start):
            match = _START.search(data, start)
            junk, start = start, match.start() if match else len(data)
            number = len(data[junk:start].rstrip(_BLANK))
            self.findings.near(JUNK, self.origin, junk, number=number)
        return start if start < len(data) else None

    def _advice(self, pos: int) -> tuple[Separators | None, int]:
        """The separators of the interchange that starts here and where its first segment starts.

        No separators: the service string advice cannot be used, and reading goes on at the offset.
        """
        data, origin = self.data, self.origin
        if not data.startswith(b"UNA", pos):
            self.findings.near(NO_ADVICE, origin, pos)
            return DEFAULT, pos
        advice = data[pos + 3 : pos + 9]
        if advice == _STANDARD and b"UNA" not in data[pos + 9 : pos + 16]:
            return DEFAULT, pos + 9
        problem = _advice_problem(advice)
        if problem:
            self.findings.near(ADVICE, origin, pos, problem=problem)
            # If the next segment plainly uses the standard separators, its messages can still be looked at.
            ahead = data.find(b"UNB+", pos + 3, pos + 64)
            if ahead >= 0:
                return DEFAULT, ahead
            match = _START.search(data, pos + 3)
            following = match.start() if match else len(data)
            number = len(data[pos + 9 : following].rstrip(_BLANK))
            if number:
                self.findings.near(JUNK, origin, pos + 9, number=number)
            return None, following
        component, element, decimal, release, reserved, terminator = map(chr, advice)
        if reserved not in " *":  # syntax version 4 has its repetition separator there
            problem = "its fifth character is not a blank"
            self.findings.near(ADVICE, origin, pos + 7, problem=problem, severity=Severity.WARNING)
        following = _skip_blanks(data, pos + 9)
        if data.startswith(b"UNA", following):
            self.findings.near(STRAY_ADVICE, origin, pos)
            return None, following
        return Separators(component, element, decimal, release.strip(), terminator), pos + 9

    def _interchange(self, separators: Separators, pos: int) -> Iterator[tuple[Origin, list[Segment]]]:
        """The stretches of one interchange, and of any that follow it without a UNA. Sets `pos` to where it ended."""
        self._begin(separators, pos)
        head = True
        while True:
            end, pos, why = self._cut(pos, head)
            segments = self.splitter.split(self.cut_from, end) if end > self.cut_from else []
            if segments:
                head = False
                yield self.origin, segments
            if why == "O" and segments and segments[-1].tag == "UNO":
                holder, pos = self._object(segments[-1], pos)
                if holder is not None:
                    yield self.origin, [holder]
            elif why == "B":
                self._begin(separators, pos)
                head = True
            elif why == "A" and not _UNB_AHEAD.match(self.data, pos + 9):
                self.findings.near(STRAY_ADVICE, self.origin, pos)
                pos = min(pos + 9, len(self.data))
            elif why in ("A", "Z", "end"):
                self.pos = pos
                return

    def _begin(self, separators: Separators, pos: int) -> None:
        if separators is DEFAULT and not self.origin.charset and not self.origin.damage:
            return  # still as it was made
        self.findings.close(self.origin, pos)
        self.origin = self._origin(separators)
        self.splitter.start(self.origin)
        self.whole = _whole(separators)

    # -- stretches ---------------------------------------------------------------------------------------------------

    def _cut(self, pos: int, head: bool) -> tuple[int, int, str]:
        """The end of the stretch that starts at `pos`, where reading goes on behind it, and why it ends there.

        `Z`, `O`: behind UNZ, UNO. `A`, `B`: before a UNA, UNB. `end`: nothing more can be read. Empty: block is full.
        With `head`, a UNB at `pos` is this interchange's own. Sets `cut_from` to the first byte of the stretch.
        """
        data = self.data
        start = bare = self.cut_from = _skip_line_ends(data, pos)
        if data[start : start + 1].isspace():
            bare = _skip_blanks(data, start)
        if bare - start > _BLOCK:
            self.findings.near(BLANKS_BEFORE_TAG, self.origin, start, ordinal=self.splitter.ordinal + 1)
            start = self.cut_from = bare
        if self.origin.skip:
            return self._skip(start, max(start - 1, 0))
        limit = min(len(data), bare + _BLOCK)
        own = bare + 3 if head and data.startswith(b"UNB", bare) else bare
        for match in _SERVICE.finditer(data, own, limit):
            at = match.start()
            if at != bare and not self._after_terminator(at, start):
                continue
            why = chr(data[at + 2])
            if why in "AB":
                end = at
                while end > start and data[end - 1] in _BLANK:
                    end -= 1
                return end, at, why
            end = self._terminator(at)
            if end < 0:
                break
            return end, end, why
        end = self._last_terminator(start, limit)
        if end < 0:
            end = self._terminator(start)
        return (end, end, "") if end > 0 else self._unreadable(start)

    def _skip(self, start: int, pos: int) -> tuple[int, int, str]:
        """Go on at the next service segment behind a terminator that stands at `pos` or later."""
        self.origin.skip = False
        match = _resume(self.origin.separators.terminator).search(self.data, pos)
        return (start, match.end(), "skip") if match else (start, len(self.data), "end")

    def _unreadable(self, start: int) -> tuple[int, int, str]:
        """No terminator within the limit: report, and find the next service segment."""
        data, origin = self.data, self.origin
        bare = _skip_blanks(data, start)
        if bare == len(data):
            return start, bare, "end"
        origin.damage.append(bare)
        if len(data) - start <= self.limits.segment:
            tag = data[bare : bare + 3].decode("latin-1")
            if self.findings.room(UNTERMINATED):
                place = origin.location(bare, segment=tag if is_tag(tag) else "", ordinal=self.splitter.ordinal + 1)
                self.findings.put(UNTERMINATED, place)
            return start, len(data), "end"
        self.splitter.ordinal += 1
        self.findings.near(TOO_LONG, origin, bare, ordinal=self.splitter.ordinal, limit=self.limits.segment)
        return self._skip(start, bare)

    def _terminator(self, pos: int) -> int:
        """The offset behind the terminator of the segment at `pos`; -1 if there is none within the limit."""
        match = self.whole.match(self.data, pos, pos + self.limits.segment + 1)
        return match.end() if match else -1

    def _last_terminator(self, pos: int, limit: int) -> int:
        terminator = self.origin.separators.terminator.encode()
        at = self.data.rfind(terminator, pos, limit)
        while at >= 0 and self._is_released(at, pos):
            at = self.data.rfind(terminator, pos, at)
        return at + 1 if at >= 0 else -1

    def _is_released(self, at: int, floor: int) -> bool:
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
        """Whether a segment starts at `at`: only blanks between it and a terminator that is not released."""
        index = at - 1
        while index >= floor and self.data[index] in _BLANK:
            index -= 1
        terminator = ord(self.origin.separators.terminator)
        return index >= floor and self.data[index] == terminator and not self._is_released(index, floor)

    # -- objects -----------------------------------------------------------------------------------------------------

    def _object(self, uno: Segment, start: int) -> tuple[Segment | None, int]:
        """The object after UNO, read by its length, and where reading goes on."""
        declared = uno.get(4)
        end = -1
        if not (declared.isascii() and declared.isdigit() and len(declared) <= 12):
            self.findings.at(OBJECT_LENGTH, uno, 4, 1)
        elif int(declared) > self.limits.attachment:
            self.findings.at(OBJECT_TOO_LARGE, uno, 4, 1, limit=self.limits.attachment)
        elif not self._unp_at(_skip_line_ends(self.data, start + int(declared))):
            self.findings.at(OBJECT_MISMATCH, uno, 4, 1, value=declared)
        else:
            end = start + int(declared)
            if not self._unp_at(end):
                self.findings.at(LINE_END_AFTER_OBJECT, uno, 4, 1)
        if end < 0:
            self.origin.damage.append(uno.start)
            end = self._find_unp(declared, start)
        return (ObjectSegment(uno, start, end), end) if end >= 0 else (None, start)

    def _unp_at(self, pos: int) -> bool:
        return self.data.startswith(b"UNP" + self.origin.separators.element.encode(), pos)

    def _find_unp(self, declared: str, start: int) -> int:
        """Where an object of wrong length probably ends; -1 if there is no UNP at all.

        Best is a UNP that counts the bytes before it right, then one that agrees with UNO, then the first: an object
        may hold what looks like one.
        """
        if start >= self.no_unp_from:
            return -1
        first = agreeing = -1
        for number, match in enumerate(_UNP.finditer(self.data, start)):
            first = match.start() if first < 0 else first
            if int(match[1]) == match.start() - start:
                return match.start()
            if agreeing < 0 and match[1].decode() == declared:
                agreeing = match.start()
            if number == 16:
                break
        if first < 0:
            self.no_unp_from = start
        return agreeing if agreeing >= 0 else first


def _skip_blanks(data: bytes, pos: int) -> int:
    match = _BLANKS.match(data, pos)
    return match.end() if match else pos


def _skip_line_ends(data: bytes, pos: int) -> int:
    match = _LINE_ENDS.match(data, pos)
    return match.end() if match else pos


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
