"""A stretch of bytes -> segments, elements and components.

The bytes are decoded once and split with `str.split`, which beats any scan in Python by far. Only segments that hold a
release character are looked at more closely, and stretches with line ends elsewhere than regularly behind terminators.
Places are not kept but found again on demand (`Segment.locate`).
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import repeat

from converter.edifact import charsets
from converter.edifact.findings import Findings
from converter.edifact.segments import DEFAULT, Origin, Segment, Separators, Stretch
from converter.issues import Severity, declare

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
TOO_LONG = declare(
    "EDI009",
    "segment-too-long",
    Severity.ERROR,
    "no segment terminator within {limit} bytes",
    why="The segment was left out and reading went on behind it; a file without terminators is no EDIFACT.",
    help="Check the terminator in UNA. A greater limit can be set with --limit segment=SIZE.",
    source="limit `segment`",
    contrl=16,
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

NO_TAG = "???"
"""The tag of a segment whose tag is none. What stands there may be a piece of text, so it stays out of messages."""

MAX_CONSTITUENTS = 1000
"""Elements and components of one segment; the largest of MedCom's have about 40."""

_TAG = re.compile(r"[A-Z][A-Z0-9]{2}\Z")
_SHORT = 16  # bytes of a segment whose split form is kept in memory: constants are short, texts and names are not
_KNOWN = 4096
_Known = dict[str, tuple[str, list[list[str]]]]
_known: _Known = {}  # segments with the standard separators, split
_tags: set[str] = set()  # tags found well formed so far: at most 26 * 36 * 36
_PARKED = "\ue000\ue001\ue002\ue003"  # never in text that was decoded as ISO 8859-1


def is_tag(text: str) -> bool:
    """Whether this is a well-formed segment tag."""
    return _TAG.match(text) is not None


class Splitter:
    """Makes the segments of one input; `ordinal` is the number of the last one, also counting those left out."""

    __slots__ = ("findings", "known", "limit", "ordinal", "origin", "unremarkable", "wrapped")

    def __init__(self, origin: Origin, findings: Findings, limit: int) -> None:
        self.findings = findings
        self.limit = limit
        self.unremarkable = min(limit, MAX_CONSTITUENTS)  # a segment of so many bytes cannot be too long or crowded
        self.ordinal = 0
        self.start(origin)

    def start(self, origin: Origin) -> None:
        """Go on with another interchange."""
        self.origin = origin
        self.wrapped = False
        self.known: _Known = _known if origin.separators is DEFAULT else {}

    def split(self, start: int, end: int) -> list[Segment]:
        """The segments of `origin.data[start:end]`: no line end before, a terminator last, no object between."""
        origin = self.origin
        block = origin.data[start : end - 1]
        text = block.decode("latin-1")
        unlabelled = not origin.charset and not self._peek(text)
        release, between = origin.separators.release, _between(text, origin.separators.terminator)
        pieces = text.split(between)
        if between[1:] and not _alone(text, between, len(pieces) - 1):
            pieces, between = text.split(between[0]), between[0]
            segments = self._each(_joined(pieces, between, release), start, 1)
        elif release and release in text:
            if release + between[0] in text:
                pieces = _joined(pieces, between, release)
            segments = self._released(pieces, start, len(between))
        else:
            segments = self._plain(pieces, pieces, start, len(between))
        if unlabelled and segments:
            self._label(segments[0])
        if not charsets.clean(block, origin):
            self._inspect(segments)
        if origin.codec != "latin-1" and not block.isascii():
            for segment in segments:
                charsets.decode(segment, origin.codec)
        return segments

    def _plain(self, pieces: list[str], bodies: list[str], at: int, step: int) -> list[Segment]:
        """The segments in `pieces`, `step` bytes apart; their `bodies` hold no release characters and line ends.

        About half of a letter's segments are constants (`S01+01`, `GIS+N`): they are split once and their elements
        are shared from then on.
        """
        if max(map(len, pieces)) > self.unremarkable:
            return self._each(pieces, at, step)
        element, component, known = self.origin.separators.element, self.origin.separators.component, self.known
        found = list(map(known.get, bodies))
        for index, body in enumerate(bodies):
            if found[index] is None:
                tag, *parts = body.split(element)
                if tag not in _tags:
                    return self._each(pieces, at, step)
                made = found[index] = (tag, [part.split(component) for part in parts])
                if len(body) <= _SHORT and len(known) < _KNOWN:
                    known[body] = made
        tags, elements = zip(*found, strict=True)
        first = self.ordinal + 1
        self.ordinal += len(tags)
        stretch = Stretch(self.origin, first, at, step, pieces)
        return list(map(Segment, tags, elements, range(first, first + len(tags)), repeat(stretch)))

    def _released(self, pieces: list[str], at: int, step: int) -> list[Segment]:
        """As `_plain`, for pieces of which some hold release characters: these are parked while all are split."""
        separators = self.origin.separators
        bodies, release = pieces.copy(), separators.release
        parked = [index for index, piece in enumerate(pieces) if release in piece]
        for index in parked:
            bodies[index], strays = _park(pieces[index], separators)
            if strays or "\n" in bodies[index]:  # to be reported
                return self._each(pieces, at, step)
        segments = self._plain(pieces, bodies, at, step)
        for index in parked:
            if index < len(segments):  # fewer than pieces only if they were made one by one; nothing is parked then
                _restore(segments[index].elements, separators)
        return segments

    def _each(self, pieces: list[str], at: int, step: int) -> list[Segment]:
        """The segments in `pieces`, of any kind, one by one."""
        segments: list[Segment] = []
        for piece in pieces:
            segments += self._intricate(piece, at)
            at += len(piece) + step
        return segments

    def _intricate(self, raw: str, at: int) -> list[Segment]:
        """The one segment that this is, or none; it may hold release characters and line ends."""
        end = at + len(raw)
        body = raw.lstrip("\r\n")
        at = end - len(body)
        self.ordinal += 1
        if "\n" in body or "\r" in body:
            body = self._unwrapped(body, at)
        if len(body) > self.unremarkable and self._excessive(body, at):
            return []
        separators = self.origin.separators
        strays = 0
        released = separators.release and separators.release in body
        if released:
            body, strays = _park(body, separators)
        elements = [part.split(separators.component) for part in body.split(separators.element)]
        if released:
            _restore(elements, separators)
        tag = separators.component.join(elements.pop(0))
        if tag not in _tags:
            tag, at = self._tag(tag, at, self.ordinal)
        stretch = Stretch(self.origin, self.ordinal, at, 1, [raw[len(raw) - (end - at) :]])
        segment = Segment(tag, elements, self.ordinal, stretch)
        if strays:
            self.findings.at(RELEASE, segment, number=strays)
        return [segment]

    def _tag(self, tag: str, at: int, ordinal: int) -> tuple[str, int]:
        """The tag and where it starts, after a look at what is not a known tag."""
        bare = tag.lstrip(" \t")
        if bare != tag:
            self.findings.near(BLANKS_BEFORE_TAG, self.origin, at, ordinal=ordinal)
            at += len(tag) - len(bare)
        if _TAG.match(bare):
            _tags.add(bare)
            return bare, at
        self.findings.near(TAG, self.origin, at, ordinal=ordinal, value=bare)
        return NO_TAG, at

    def _excessive(self, body: str, at: int) -> bool:
        """Whether a segment has to be left out for its length or for what it is made of."""
        separators = self.origin.separators
        if len(body) > self.limit:
            self.findings.near(TOO_LONG, self.origin, at, ordinal=self.ordinal, limit=self.limit)
        elif body.count(separators.element) + body.count(separators.component) > MAX_CONSTITUENTS:
            self.findings.near(CROWDED, self.origin, at, ordinal=self.ordinal, limit=MAX_CONSTITUENTS)
        else:
            return False
        self.origin.damage.append(at)
        return True

    def _unwrapped(self, body: str, at: int) -> str:
        """The segment without its line ends; the first such segment of an interchange is reported."""
        if not self.wrapped:
            self.wrapped = True
            offset = at + min(i for i in (body.find("\r"), body.find("\n")) if i >= 0)
            self.findings.near(LINE_END_INSIDE, self.origin, offset, ordinal=self.ordinal)
        return body.replace("\r", "").replace("\n", "")

    def _peek(self, text: str) -> bool:
        """Take the character set from UNB before anything is reported: columns depend on it.

        Returns whether that is certain. Without UNB there is no label, and MedCom's own is assumed.
        """
        origin = self.origin
        label = text[4:8]
        certain = text.startswith("UNB") and label in charsets.CODECS and text[8:9] == origin.separators.component
        if not certain:
            bare = text[:64].replace("\r", "").replace("\n", "")
            label = bare[4:8] if bare.startswith("UNB") else "UNOC"
        origin.charset = label
        origin.codec = origin.encoding or charsets.CODECS.get(label, "latin-1")
        return certain

    def _label(self, first: Segment) -> None:
        """Check what was taken for the label of UNB against the segment itself; report one that is not known."""
        label = first.get(1) if first.tag == "UNB" else ""
        if not label or (label == self.origin.charset and label in charsets.CODECS):
            return
        self.origin.charset = label
        self.origin.codec = self.origin.encoding or charsets.CODECS.get(label, "latin-1")
        if label not in charsets.CODECS:
            known = ", ".join(charsets.CODECS)
            self.findings.at(charsets.UNKNOWN_CHARSET, first, 1, 1, known=known, value=label)

    def _inspect(self, segments: list[Segment]) -> None:
        facts = charsets.facts(self.origin)
        for segment in segments:
            for kind, offset, number, severity in charsets.findings(segment, self.origin):
                if self.findings.room(kind):
                    element, component = segment.holder(offset)
                    place = self.origin.location(
                        offset, segment=segment.tag, ordinal=segment.ordinal, element=element, component=component
                    )
                    self.findings.put(kind, place, severity=severity, number=number, **facts)


def _between(text: str, terminator: str) -> str:
    """The terminator with the line end that seems to follow every one of them, if any does."""
    if "\n" not in text and "\r" not in text:
        return terminator
    return terminator + ("\r\n" if "\r" in text else "\n")


def _alone(text: str, between: str, number: int) -> bool:
    """Whether terminators and line ends occur in the text only as this `between`, which it holds `number` times."""
    lines, returns = text.count("\n"), text.count("\r")
    return text.count(between[0]) == number == lines and returns == (number if "\r" in between else 0)


def _joined(pieces: list[str], between: str, release: str) -> list[str]:
    """The pieces of a split text, joined again where `between` is released."""
    if not release or not any(release in piece and _releases(piece, release) for piece in pieces):
        return pieces
    joined: list[str] = []
    parts: list[str] = []
    for piece in pieces:
        parts.append(piece)
        if not _releases(piece, release):
            joined.append(between.join(parts))
            parts.clear()
    return [*joined, between.join(parts)] if parts else joined


def _releases(piece: str, release: str) -> bool:
    """Whether what follows the piece is released: it ends with an odd number of releases, line ends not counting."""
    number = 0
    for char in reversed(piece):
        if char == release:
            number += 1
        elif char not in "\r\n":
            break
    return number % 2 == 1


def _park(body: str, separators: Separators) -> tuple[str, int]:
    """The segment with released characters moved out of Latin-1, and how many releases released nothing.

    Released release characters go first: replacing from the left pairs them up correctly.
    """
    for written, _, parked in _parking(separators):
        if written in body:
            body = body.replace(written, parked)
    strays = body.count(separators.release)
    return (body.replace(separators.release, ""), strays) if strays else (body, 0)


def _restore(elements: list[list[str]], separators: Separators) -> None:
    """Put back the characters that `_park` moved."""
    for components in elements:
        for index, value in enumerate(components):
            if not value.isascii():
                for _, character, parked in _parking(separators):
                    value = value.replace(parked, character)
                components[index] = value


@lru_cache(maxsize=64)
def _parking(separators: Separators) -> list[tuple[str, str, str]]:
    """What is written, what is meant and what stands for it meanwhile."""
    characters = (separators.release, separators.component, separators.element, separators.terminator)
    return [(separators.release + char, char, parked) for char, parked in zip(characters, _PARKED, strict=True)]
