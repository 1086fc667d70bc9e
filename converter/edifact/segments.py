"""A segment, where it stands, and the separators of its interchange.

Values are kept unescaped in plain lists; places are not kept but found again in the bytes when somebody asks, because
almost nobody does and a position for every component would cost more than reading the message.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from converter.issues import Location

_STEP = 1 << 14
_CONTINUATION = bytes(range(0x80, 0xC0))


@dataclass(frozen=True, slots=True)
class Separators:
    """The service characters of one interchange, in the order of the service string advice (UNA).

    `release` is empty when the UNA names a blank there: nothing can be escaped then (ISO 9735, 7.1).
    """

    component: str = ":"
    element: str = "+"
    decimal: str = "."
    release: str = "?"
    terminator: str = "'"


DEFAULT = Separators()


class Lines:
    """Lines and columns of byte offsets, found without scanning from the top each time.

    A line ends with LF (so also with CR LF). Every 16 KB one mark is kept: the line ends before it, the offset of the
    last of them, and, where columns count characters of UTF-8, the continuation bytes since.
    """

    __slots__ = ("_marks", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._marks: dict[bool, list[tuple[int, int, int]]] = {}

    def place(self, offset: int, *, wide: bool = False) -> tuple[int, int]:
        """Line and column of a byte, both from 1. Columns count characters: bytes, or with `wide` those of UTF-8."""
        marks = self._marks.setdefault(wide, [(0, -1, 0)])
        while len(marks) <= offset // _STEP:
            marks.append(self._advance(marks[-1], (len(marks) - 1) * _STEP, len(marks) * _STEP, wide))
        index = offset // _STEP
        lines, last, hidden = self._advance(marks[index], index * _STEP, offset, wide)
        return lines + 1, offset - last - hidden

    def _advance(self, mark: tuple[int, int, int], start: int, end: int, wide: bool) -> tuple[int, int, int]:
        lines, last, hidden = mark
        found = self.data.rfind(b"\n", start, end)
        if found >= 0:
            lines, last, hidden = lines + self.data.count(b"\n", start, end), found, 0
        if wide:
            tail = self.data[max(found + 1, start) : end]
            hidden += len(tail) - len(tail.translate(None, _CONTINUATION))
        return lines, last, hidden


class Origin:
    """What the segments of one interchange share: the bytes, the file's name, the separators and the character set.

    `charset` is the label of UNB (`UNOC`), `codec` the codec that values were decoded with: the label's, or
    `encoding` where the caller asked for one. `damage` lists the offsets of segments that had to be left out or cannot
    be trusted, in order: a message that holds one is unusable. Setting `skip` makes the reader go on at the next
    service segment.
    """

    __slots__ = ("charset", "codec", "damage", "data", "encoding", "file", "lines", "separators", "skip")

    def __init__(self, lines: Lines, file: str = "", separators: Separators = DEFAULT, encoding: str = "") -> None:
        self.data = lines.data
        self.file = file
        self.separators = separators
        self.lines = lines
        self.encoding = encoding
        self.charset = ""
        self.codec = "latin-1"
        self.damage: list[int] = []
        self.skip = False

    def location(
        self, offset: int, *, segment: str = "", ordinal: int = 0, element: int = 0, component: int = 0
    ) -> Location:
        """The location of a byte."""
        line, column = self.lines.place(offset, wide=self.codec == "utf-8")
        return Location(self.file, line, column, offset, segment, ordinal, element, component)


class Stretch:
    """Where neighbouring segments stand: `step` bytes apart, from byte `at` on, in the lengths of `pieces`.

    Places are worked out for all of them when the first is asked for: hardly any is ever asked for.
    """

    __slots__ = ("_pieces", "_spans", "at", "first", "origin", "step")

    def __init__(self, origin: Origin, first: int, at: int, step: int, pieces: list[str]) -> None:
        self.origin = origin
        self.first = first
        self.at = at
        self.step = step
        self._pieces: list[str] | None = pieces
        self._spans: list[tuple[int, int]] | None = None

    def span(self, ordinal: int) -> tuple[int, int]:
        """First and last-plus-one byte of the segment with that number, without its terminator."""
        spans = self._spans
        if spans is None:
            spans, at = [], self.at
            for size in map(len, self._pieces or ()):
                spans.append((at, at + size))
                at += size + self.step
            self._spans, self._pieces = spans, None
        return spans[ordinal - self.first]


class Segment:
    """One segment.

    `elements[0]` is the first element after the tag, `elements[0][0]` its first component: plain lists, counted from 0.
    Values are unescaped and hold no line ends. The lists may be shared with other segments: never change them. `get`,
    `locate` and `span` count from 1, as the standard and `Location` do. `ordinal` is the number of the segment in the
    file, from 1. `origin.data[start:end]` are its bytes without the terminator; both are -1 for one that was not read.
    """

    __slots__ = ("elements", "ordinal", "stretch", "tag")

    def __init__(self, tag: str, elements: list[list[str]], ordinal: int = 0, stretch: Stretch | None = None) -> None:
        self.tag = tag
        self.elements = elements
        self.ordinal = ordinal
        self.stretch = stretch

    @property
    def origin(self) -> Origin | None:
        """The interchange that the segment was read from."""
        return self.stretch.origin if self.stretch is not None else None

    @property
    def start(self) -> int:
        """Offset of its first byte."""
        return self.stretch.span(self.ordinal)[0] if self.stretch is not None else -1

    @property
    def end(self) -> int:
        """Offset of its terminator."""
        return self.stretch.span(self.ordinal)[1] if self.stretch is not None else -1

    @property
    def binary(self) -> bytes | None:
        """The bytes of an object (the pseudo segment `OBJ` after UNO); None for every real segment."""
        return None

    def get(self, element: int, component: int = 1) -> str:
        """The value of a component, counted from 1; empty when it is absent."""
        try:
            return self.elements[element - 1][component - 1]
        except IndexError:
            return ""

    def locate(self, element: int = 0, component: int = 0) -> Location:
        """Where a component stands, counted from 1; 0 means the whole element or segment.

        For something absent, the place where it would have to be added.
        """
        if self.origin is None:
            return Location(segment=self.tag, ordinal=self.ordinal, element=element, component=component)
        offset = self.span(element, component)[0]
        return self.origin.location(
            offset, segment=self.tag, ordinal=self.ordinal, element=element, component=component
        )

    def span(self, element: int = 0, component: int = 0) -> tuple[int, int]:
        """First and last-plus-one byte offset of what `locate` names, as written, without line ends around it."""
        if element <= 0:
            return self.start, self.end
        spans = self._spans()
        if element >= len(spans):
            return self.end, self.end
        parts = spans[element]
        if component > len(parts):
            return parts[-1][1], parts[-1][1]
        return parts[component - 1] if component > 0 else (parts[0][0], parts[-1][1])

    def holder(self, offset: int) -> tuple[int, int]:
        """Element and component (from 1; 0, 0 in the tag) that a byte of this segment belongs to."""
        for element, parts in enumerate(self._spans()):
            for component, (_, end) in enumerate(parts, 1):
                if offset < end or (offset == end and component == len(parts)):
                    return (element, component) if element else (0, 0)
        return 0, 0

    def _spans(self) -> list[list[tuple[int, int]]]:
        """The byte spans of the tag and of every component, found again with the reader's rules for escapes."""
        origin, start, end = self.origin, self.start, self.end
        if origin is None:
            return [[(-1, -1)]]
        element = ord(origin.separators.element)
        spans: list[list[tuple[int, int]]] = [[]]
        for match in _marks(origin.separators).finditer(origin.data, start, end):
            mark = match.group()
            if len(mark) == 1:
                spans[-1].append(_trim(origin.data, start, match.start()))
                start = match.end()
                if mark[0] == element:
                    spans.append([])
        spans[-1].append(_trim(origin.data, start, end))
        return spans

    def __repr__(self) -> str:
        # No values: a repr ends up in tracebacks and logs.
        return f"Segment({self.tag!r}, ordinal={self.ordinal}, start={self.start})"


class ObjectSegment(Segment):
    """The bytes between UNO and UNP as a pseudo segment `OBJ`: not counted by UNT, same ordinal as its UNO.

    It is a view of the input (`start`..`end`); `binary` copies on request.
    """

    __slots__ = ("_span",)

    def __init__(self, uno: Segment, start: int, end: int) -> None:
        super().__init__("OBJ", [], uno.ordinal, uno.stretch)
        self._span = (start, end)

    @property
    def start(self) -> int:
        """Offset of its first byte."""
        return self._span[0]

    @property
    def end(self) -> int:
        """Offset behind its last byte."""
        return self._span[1]

    @property
    def binary(self) -> bytes:
        """The object's bytes."""
        return self.origin.data[self.start : self.end] if self.origin is not None else b""

    def _spans(self) -> list[list[tuple[int, int]]]:
        return [[self._span]]


@lru_cache(maxsize=64)
def _marks(separators: Separators) -> re.Pattern[bytes]:
    """Finds separators and skips escaped characters; a line end between release and character does not count."""
    split = re.escape((separators.element + separators.component).encode())
    skip = re.escape(separators.release.encode()) + rb"[\r\n]*+[^\r\n]|" if separators.release else b""
    return re.compile(skip + b"[" + split + b"]", re.DOTALL)


def _trim(data: bytes, start: int, end: int) -> tuple[int, int]:
    while start < end and data[start] in b"\r\n":
        start += 1
    while start < end and data[end - 1] in b"\r\n":
        end -= 1
    return start, end
