"""What the quick readers call: texts and lines of segments as they were written, if there is nothing to say about them.

A letter is one string: each segment ends with `'`, or each but the last with that and a line end. Characters stand in
for released ones (`expressions.STAND_INS`).
"""

from __future__ import annotations

import re
from collections.abc import Callable

from converter.edifact.text import FORMATS, MAX_COMPONENT, read_bodies, whole_lines
from converter.freetext import COMPONENTS
from converter.letter import Text

Match = Callable[[str, int], re.Match[str] | None]
Lines = tuple[int, str, list[str]]
"""Where the next segment starts, its key, and the lines."""


def plain_text(form: str, body: str, rest: str, parts: Callable[[str], list[tuple[str, str]]]) -> Text | None:
    """The text of a segment and of the `rest` that follows it; None if anything about it is to be reported.

    `parts` takes the rest to pieces: format and body of each segment.
    """
    if not rest and form in FORMATS and len(body) <= MAX_COMPONENT and "\\" not in body and ":" not in body:
        return ((form, "\n" if body == "." else f"{body}\n"),)
    segments = [(form, body), *parts(rest)] if rest else [(form, body)]
    for one, written in segments:
        if one not in FORMATS or _oversized(written):
            return None
    return None if written[-1:] == "\\" else read_bodies(segments)


def plain_lines(text: str, at: int, match: Match, *, fields: int, trigger: str) -> Lines | None:
    """The logical lines from the segment at `at` on, `fields` of them; None if anything about them is to be reported.

    The next segment belongs to them as `reading.run_of_lines` says; `trigger` may stand before it. `match` has groups
    for the body and for the key of what comes next.
    """
    written = body = ""
    while True:
        segment = match(text, at + len(trigger) if written and trigger and text.startswith(trigger, at) else at)
        if segment is None:
            return None
        body, key = segment.groups()
        if _oversized(body):
            return None
        at, written = segment.end(), f"{written}{body}:"
        if body[-1:] != "\\" and (body.count(":") != COMPONENTS - 1 or _number(written) >= fields):
            break
    lines = whole_lines(written).split(":")
    if len(lines) <= fields:
        lines += [""] * (fields - len(lines))
    elif any(lines[fields:]):
        return None
    return at, key, lines


def _number(written: str) -> int:
    """How many lines there are in components with a colon behind each."""
    return written.count(":") - written.count("\\:")


def overflowing(content: str, trigger: str, tag: str, segments: int, groups: int) -> bool:
    """Whether a run of content takes too many groups, or one of these holds too many segments of a tag.

    Content, trigger and tag begin with the end of the segment before.
    """
    found = content.split(trigger)[1:]
    return len(found) > groups or any(group.count(tag) > segments for group in found)


def _oversized(body: str) -> bool:
    """Whether the body of a segment has too many components, or one that is too long."""
    if len(body) <= MAX_COMPONENT:
        return body.count(":") >= COMPONENTS
    components = body.split(":")
    return len(components) > COMPONENTS or max(map(len, components)) > MAX_COMPONENT
