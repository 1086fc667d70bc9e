"""Interchanges: every component that its place in the letter does not explain as a code, a date or a constant."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

from converter.definitions import Definition
from converter.edifact.segments import ObjectSegment, Segment, Separators
from converter.edifact.syntax import read_segments
from converter.issues import IssueLog
from converter.limits import Limits
from converter.pseudonymise.fields import UNKNOWN, Fields, Layout, Rule
from converter.pseudonymise.keyed import Pseudonyms
from converter.pseudonymise.signs import TEXT, TOKEN, Part, Script, replaced

# UTF-8 under the label of ISO 8859-1 is a fault that has to stay one: such a sequence is one sign.
_MARK = b"\xef\xbb\xbf"
_WIDE = "[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}"


@lru_cache(maxsize=16)
def _script(separators: Separators) -> Script:
    release = separators.release

    def read(sign: str) -> str:
        if len(sign) == 1:
            return "" if sign in "\r\n" else sign
        if release and sign[0] == release:
            return sign[1]
        try:
            return sign.encode("latin-1").decode("utf-8")
        except UnicodeDecodeError:
            return ""

    def write(old: str, new: str) -> str:
        if len(old) == 1:
            return new
        if release and old[0] == release:
            return old[0] + new
        return new.encode("utf-8").decode("latin-1")

    escaped = re.escape(release) + r"[^\r\n]|" if release else ""
    return Script(re.compile(f"{escaped}{_WIDE}|.", re.DOTALL), read, write)


def pseudonymised(
    data: bytes, definitions: Sequence[Definition], fields: Fields, names: Pseudonyms, limits: Limits
) -> bytes:
    """The interchange with all that is replaced; as long as it was, segment for segment."""
    document, parts, script = data.decode("latin-1"), [], _script(Separators())
    layouts = [fields.layout(definition) for definition in definitions]
    end = len(_MARK) if data.startswith(_MARK) else 0
    for segment in _segments(data, limits):
        if segment.origin is None or segment.start < 0:
            continue
        script = _script(segment.origin.separators)
        parts += _between(document, end, segment.start)
        parts += _of_segment(segment, layouts, fields, document, script, names)
        end = segment.end
    parts += _between(document, end, len(document))
    return replaced(document, parts, script, names).encode("latin-1")


def _segments(data: bytes, limits: Limits) -> Iterator[Segment]:
    for _, segments in read_segments(data, IssueLog(), limits=limits):
        yield from segments


def _between(document: str, start: int, end: int) -> Iterator[Part]:
    """What stands between segments: separators, line ends, and now and then what belongs to nothing."""
    for match in re.finditer("[0-9A-Za-z\x80-\xff]{2,}", document[start:end]):
        if match[0] != "UNA":
            yield Part(start + match.start(), start + match.end(), TEXT)


def _of_segment(
    segment: Segment, layouts: Sequence[Layout], fields: Fields, document: str, script: Script, names: Pseudonyms
) -> Iterator[Part]:
    if isinstance(segment, ObjectSegment):
        noise = names.noise(segment.end - segment.start, segment.binary).decode("latin-1")
        yield Part(segment.start, segment.end, TEXT, noise)
        return
    if segment.tag not in fields.tags:
        yield Part(segment.start, segment.end, TEXT)
        return
    for element, components in enumerate(segment.elements, 1):
        for component, value in enumerate(components, 1):
            if value:
                kind = _kind(segment, element, component, value, layouts, fields)
                if kind is not None:
                    yield Part(*segment.span(element, component), kind)


def _kind(
    segment: Segment, element: int, component: int, value: str, layouts: Sequence[Layout], fields: Fields
) -> str | None:
    """What is done with a component; None for one that stays."""
    service = fields.service.get(segment.tag)
    if service is not None:
        rules = [service.get((element, component), Rule(UNKNOWN.kept, TOKEN))]
    else:
        start = segment.elements[0][0]
        rules = [rule for layout in layouts for rule in layout.at(segment.tag, start, element, component)]
    if any(rule.kept.fullmatch(value) for rule in rules):
        return None
    kinds = {rule.kind for rule in rules}
    return TOKEN if kinds == {TOKEN} else TEXT
