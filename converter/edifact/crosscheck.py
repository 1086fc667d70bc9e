"""A second opinion: the same bytes read with pydifact, compared segment by segment.

pydifact shares no code with our reader. It knows no objects, guesses at a UNA anywhere in the text, and keeps line ends
in values, so only what both can read is compared: interchanges with the standard separators and without objects, line
ends taken out. Its tokens are used rather than its `Segment` classes, which warn about every segment they do not know.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby, pairwise, zip_longest

from converter.edifact.findings import Findings
from converter.edifact.segments import DEFAULT, Origin, Segment
from converter.edifact.splitting import NO_TAG
from converter.edifact.syntax import BYTE_ORDER_MARK, JUNK, read_segments
from converter.issues import IssueLog, Severity, declare
from converter.limits import Limits

DIFFERS = declare(
    "EDI090",
    "second-reader-differs",
    Severity.ERROR,
    "pydifact reads this segment otherwise, first in element {number}",
    why="Two independent readers disagree about what the sender wrote, so one of them is wrong.",
    help="Look at the release characters and separators of the segment, and report it as a fault of the converter.",
    source="pydifact",
)
REFUSES = declare(
    "EDI091",
    "second-reader-refuses",
    Severity.WARNING,
    "pydifact cannot read this interchange ({error})",
    why="Other receivers may refuse it too.",
    help="Look at the other findings; without any, the interchange is well formed and pydifact is at fault.",
    source="pydifact",
)
NOT_COMPARED = declare(
    "EDI092",
    "not-cross-checked",
    Severity.INFO,
    "the interchange cannot be cross-checked: {reason}",
    why="Only one reader has seen it.",
    help="Nothing to do.",
    source="pydifact",
)

Elements = list[list[str]]


def cross_check(
    data: bytes, log: IssueLog, *, file: str = "", limits: Limits | None = None, encoding: str = ""
) -> None:
    """Read all interchanges with pydifact as well and log every segment that it reads otherwise.

    Findings of our own reader are not logged again. Imports pydifact when called.
    """
    findings, own = Findings(log), IssueLog()
    stretches = read_segments(data, own, file=file, limits=limits, encoding=encoding)
    groups = ([s for _, part in group for s in part] for _, group in groupby(stretches, key=lambda stretch: stretch[0]))
    start, segments = 0, next(groups, None)
    while segments is not None:
        following = next(groups, None)
        end = _beginning(data, following[0].start) if following else len(data)
        left_out = any(start <= issue.at.offset < end for issue in own if issue.kind in (JUNK, BYTE_ORDER_MARK))
        _check(segments, data[start:end], left_out, findings)
        findings.close(_origin(segments), end)
        start, segments = end, following


def _beginning(data: bytes, start: int) -> int:
    """Where the interchange whose first segment starts there begins, with its service string advice."""
    before = data[max(start - 64, 0) : start].rstrip()
    return start - len(data[max(start - 64, 0) : start]) + len(before) - 9 if before[-9:-6] == b"UNA" else start


def _origin(segments: list[Segment]) -> Origin:
    origin = segments[0].origin
    assert origin is not None
    return origin


def _check(segments: list[Segment], raw: bytes, left_out: bool, findings: Findings) -> None:
    """Compare the segments of one interchange with what pydifact makes of all of its bytes."""
    reason = _reason(segments, left_out)
    if reason:
        findings.at(NOT_COMPARED, segments[0], reason=reason)
        return
    raw = raw.lstrip()
    text = raw[9 if raw.startswith(b"UNA") else 0 :].decode(_origin(segments).codec, "replace")
    try:
        others = list(_tokens(text.replace("\r", "").replace("\n", "")))
    except Exception as error:  # noqa: BLE001 - pydifact fails with whatever its code runs into
        findings.at(REFUSES, segments[0], error=type(error).__name__)
        return
    _compare(segments, others, findings)


def _reason(segments: list[Segment], left_out: bool) -> str:
    """Why pydifact cannot be asked about an interchange; empty if it can."""
    origin = _origin(segments)
    if origin.separators != DEFAULT:
        return "it has its own separators"
    if any(segment.binary is not None for segment in segments):
        return "it holds binary objects"
    between = (origin.data[one.end + 1 : other.start] for one, other in pairwise(segments))
    if left_out or origin.damage or any(gap.strip() for gap in between):
        return "parts of it were left out"
    return ""


def _compare(segments: list[Segment], others: list[Elements], findings: Findings) -> None:
    for ours, theirs in zip_longest(segments, others):
        if ours is None or theirs is None:
            findings.at(DIFFERS, ours or segments[-1], number=0)
            return
        own = [[ours.tag], *ours.elements]
        if ours.tag == NO_TAG:
            own[0] = theirs[0]
        if _normal(own) != _normal(theirs):
            number = _first_difference(_normal(own), _normal(theirs))
            findings.at(DIFFERS, ours, number, number=number)


def _tokens(text: str) -> Iterator[Elements]:
    """Segments as pydifact's tokenizer and parser see them, the tag as first element."""
    from pydifact.control.characters import Characters
    from pydifact.parser import Parser
    from pydifact.tokenizer import Tokenizer

    characters = Characters()  # type: ignore[no-untyped-call]
    for raw in Parser().convert_tokens_to_raw_segments(Tokenizer().get_tokens(text, characters)):
        yield [value if isinstance(value, list) else [value] for value in raw]


def _normal(elements: Elements) -> Elements:
    """Without empty components and elements at an end, which pydifact does not keep."""
    trimmed = [_trimmed(components) for components in elements]
    while trimmed and trimmed[-1] == [""]:
        trimmed.pop()
    return trimmed


def _trimmed(components: list[str]) -> list[str]:
    length = len(components)
    while length > 1 and not components[length - 1]:
        length -= 1
    return components[:length]


def _first_difference(ours: Elements, theirs: Elements) -> int:
    pairs = enumerate(zip_longest(ours, theirs))
    return next(number for number, (one, other) in pairs if one != other)
