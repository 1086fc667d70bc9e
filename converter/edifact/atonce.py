"""What the quick readers call: texts and lines of segments as they were written, if there is nothing to say about them.

A letter is one string: each segment ends with `'`, or each but the last with that and a line end. Characters stand in
for released ones (`expressions.STAND_INS`), so that separators stand nowhere in a value.
"""

from __future__ import annotations

from collections.abc import Mapping
from sys import intern
from typing import Any

from converter.edifact.text import FORMATS, MAX_COMPONENT, whole_lines
from converter.freetext import COMPONENTS
from converter.letter import Text

_MAX_OCCURRENCES = 64
"""Occurrences of an element whose leaf ids are remembered."""


class Below(dict[str, Any]):
    """The ids of the leaves below an occurrence of an element, by the rest of the id behind it.

    The rest of an element that repeats, with a bracket, gives its `Occurrences`.
    """

    def __init__(self, prefix: str) -> None:
        super().__init__()
        self._prefix = prefix

    def __missing__(self, rest: str) -> Any:
        leaf = f"{self._prefix}{rest}"
        found = self[rest] = Occurrences(leaf[:-1]) if rest[-1] == "[" else intern(leaf)
        return found


class Occurrences(dict[int, Below]):
    """What stands below the occurrences of an element, by their numbers from 0: the same for all letters."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def __missing__(self, number: int) -> Below:
        below = Below(f"{self._path}[{number + 1}].")
        if number < _MAX_OCCURRENCES:
            self[number] = below
        return below


def plain_text(form: str, body: str, rest: str, start: str, between: str, end: str, trigger: str) -> Text | None:  # noqa: PLR0917 - generated code calls it; names cost
    """The text of a segment and of the `rest` that follows it; None if anything about it is to be reported.

    Each segment of the rest is `start`, its format, what stands `between` that and its text, the text, and `end`;
    `trigger` may stand before it.
    """
    if form not in FORMATS:
        return None
    if not rest:
        text = _lines(body)
    else:
        rest = rest.replace(trigger, "")
        same = rest.replace(f"{start}{form}{between}", "")
        if "+" in same:
            return _formatted([f"{form}{between}{body}", *rest.replace(start, "").split(end)[:-1]], between)
        text = _joined([body, *same.split(end)[:-1]])
    return ((form, text),) if text[-1:] == "\n" else None


def _formatted(segments: list[str], between: str) -> Text | None:
    """The text of segments in several formats, given from their formats on."""
    runs: list[tuple[str, str]] = []
    text = last = ""
    for segment in segments:
        form, _, body = segment.partition(between)
        text = _lines(body)
        if form not in FORMATS or "+" in body or not text:
            return None
        if form == last:
            runs[-1] = (form, runs[-1][1] + text)
        else:
            runs.append((form, text))
        last = form
    return tuple(runs) if text[-1:] == "\n" else None


def _lines(body: str) -> str:
    """As `_joined`, for one segment."""
    if len(body) <= MAX_COMPONENT and ":" not in body and "\\" not in body:
        return "\n" if body == "." else f"{body}\n"
    return _joined([body])


def _joined(bodies: list[str]) -> str:
    """The lines of segments of a text; the last has no line end if it goes on. Empty if anything is to be reported."""
    lines: list[str] = []
    for body in bodies:
        components = body.split(":")
        if len(components) > COMPONENTS:
            return ""
        lines += components
    if max(map(len, lines)) > MAX_COMPONENT:
        return ""
    text = "\n".join(lines) + "\n"
    return whole_lines(text, "\n") if "." in lines or "\\" in text else text


def more_lines(found: list[tuple[str, ...]], fields: Mapping[str, int], end: str, trigger: str) -> bool:
    """Put logical lines that may go over several segments in the place of the last item found; whether that can be.

    An item holds what the segments of an occurrence start with, its lines, and an empty text; the last one in place of
    that text the segments that are left. `fields` is the number of lines by all that stands before them; `trigger` may
    stand before each segment. Which of them belong together is told as in `reading.run_of_lines`.
    """
    *_, run = found.pop()
    before, written, most = "", "", max(fields.values())
    for segment in run.replace(trigger, "").split(end)[:-1]:
        lead, _, body = segment.rpartition("+")
        number = fields.get(lead)
        if number is None or _oversized(body) or (written and lead != before):
            return False
        before, written = lead, f"{written}{body}:"
        if body[-1:] == "\\" or (body.count(":") == COMPONENTS - 1 and _number(written) < number):
            continue  # it goes on in the next segment
        lines = whole_lines(written, ":").split(":")[:-1]
        if any(lines[number:]):
            return False
        found.append((lead.split("+")[1], *lines[:number], *[""] * (most + 1 - min(number, len(lines)))))
        written = ""
    return not written


def _number(written: str) -> int:
    """How many lines there are in components with a colon behind each."""
    return written.count(":") - written.count("\\:")


def overflowing(content: str, trigger: str, tag: str, segments: int, groups: int) -> bool:
    """Whether a run of content takes too many groups, or one of these holds too many segments of a tag."""
    if content.count(trigger) > groups:
        return True
    return content.count(tag) > segments and any(group.count(tag) > segments for group in content.split(trigger))


def _oversized(body: str) -> bool:
    """Whether the body of a segment has too many components, or one that is too long."""
    if len(body) <= MAX_COMPONENT:
        return body.count(":") >= COMPONENTS
    components = body.split(":")
    return len(components) > COMPONENTS or max(map(len, components)) > MAX_COMPONENT
