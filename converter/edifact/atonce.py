"""What the quick readers call: texts and lines of segments as they were written, if there is nothing to say about them.

A letter is one string: each segment ends with `'`, there are no line ends, and released characters are parked.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from converter.edifact.text import FORMATS, MAX_COMPONENT, read_bodies, read_lines
from converter.freetext import COMPONENTS
from converter.letter import Text

Match = Callable[[str, int], re.Match[str] | None]
Lines = tuple[int, str, list[str]]
"""Where the next segment starts, its key, and the lines."""


def plain_text(form: str, body: str, rest: str, parts: Callable[[str], list[tuple[str, str]]]) -> Text | None:
    """The text of a segment and of the `rest` that follows it; None if anything about it is to be reported.

    `parts` takes the rest to pieces: format and body of each segment.
    """
    if form not in FORMATS or _oversized(body):
        return None
    if not rest:
        return None if body[-1:] == "\\" else read_bodies(((form, body),))
    found = parts(rest)
    for form_of_part, body_of_part in found:
        if form_of_part not in FORMATS or _oversized(body_of_part):
            return None
    return None if found[-1][1][-1:] == "\\" else read_bodies([(form, body), *found])


def plain_lines(text: str, at: int, match: Match, *, fields: int, trigger: str) -> Lines | None:
    """The logical lines from the segment at `at` on, `fields` of them; None if anything about them is to be reported.

    The next segment belongs to them as `reading.run_of_lines` says; `trigger` may stand before it. `match` has groups
    for the body and for the key of what comes next.
    """
    found: list[str] = []
    number = 0
    goes_on = False
    while segment := match(text, at + len(trigger) if number and trigger and text.startswith(trigger, at) else at):
        body, key = segment.groups()
        if _oversized(body):
            return None
        components = body.split(":")
        found += components
        at = segment.end()
        for component in components:
            number += not goes_on
            goes_on = component.endswith("\\")
        if not goes_on and not (len(components) == COMPONENTS and number < fields):
            break
    else:
        return None
    lines = read_lines(found)
    return None if any(lines[fields:]) else (at, key, lines + [""] * (fields - len(lines)))


def overflowing(content: str, trigger: str, tag: str, segments: int, groups: int) -> bool:
    """Whether a run of content takes too many groups, or one of these holds too many segments of a tag."""
    found = f"'{content}".split(f"'{trigger}")[1:]
    return len(found) > groups or any(group.count(f"'{tag}+") > segments for group in found)


def _oversized(body: str) -> bool:
    """Whether the body of a segment has too many components, or one that is too long."""
    if len(body) <= MAX_COMPONENT:
        return body.count(":") >= COMPONENTS
    components = body.split(":")
    return len(components) > COMPONENTS or max(map(len, components)) > MAX_COMPONENT
