"""Interchanges: every component that its place in the letter does not explain as a code, a date or a constant."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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
    document, script = data.decode("latin-1"), _script(Separators())
    places = _Places(fields, [fields.layout(definition) for definition in definitions], names)
    parts: list[Part] = []
    end = len(_MARK) if data.startswith(_MARK) else 0
    for _, segments in read_segments(data, IssueLog(), limits=limits):
        for segment in segments:
            if segment.origin is None or segment.start < 0:
                continue
            script = _script(segment.origin.separators)
            parts += _between(document, end, segment.start)
            parts += places.parts(segment)
            end = segment.end
    parts += _between(document, end, len(document))
    return replaced(document, parts, script, names).encode("latin-1")


def _between(document: str, start: int, end: int) -> Iterator[Part]:
    """What stands between segments: separators, line ends, and now and then what belongs to nothing."""
    for match in re.finditer("[0-9A-Za-z\x80-\xff]+", document[start:end]):
        if match[0] != "UNA":
            yield Part(start + match.start(), start + match.end(), TEXT)


@dataclass(frozen=True)
class _Places:
    """What is done with the components of segments, by the layouts of the letters in the interchange."""

    fields: Fields
    layouts: Sequence[Layout]
    names: Pseudonyms

    def parts(self, segment: Segment) -> Iterator[Part]:
        """The parts of a segment that are replaced."""
        if isinstance(segment, ObjectSegment):
            noise = self.names.noise(segment.end - segment.start, segment.binary).decode("latin-1")
            yield Part(segment.start, segment.end, TEXT, noise)
        elif segment.tag not in self.fields.tags:
            yield Part(segment.start, segment.end, TEXT)
        else:
            for element, components in enumerate(segment.elements, 1):
                for component, value in enumerate(components, 1):
                    rule = self._rule(segment, element, component, value) if value else None
                    if rule is not None:
                        start, end = segment.span(element, component)
                        yield Part(start, end, rule.kind, form=rule.form)

    def _rule(self, segment: Segment, element: int, component: int, value: str) -> Rule | None:
        """What is done with a component; None for one that stays."""
        service = self.fields.service.get(segment.tag)
        if service is not None:
            rules = [service.get((element, component), Rule(UNKNOWN.kept, TOKEN))]
        else:
            start = segment.elements[0][0]
            rules = [rule for layout in self.layouts for rule in layout.at(segment.tag, start, element, component)]
        if any(rule.keeps(value) for rule in rules):
            return None
        return rules[0] if len({(rule.kind, rule.form) for rule in rules}) == 1 else UNKNOWN
