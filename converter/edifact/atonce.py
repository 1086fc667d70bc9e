"""What the quick readers call: texts and lines of segments as they were written, if there is nothing to say about them.

`match` is the expression of the segment's template; `keys` and the numbers of segments are those of the readers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from converter.edifact.reading import run_of_lines
from converter.edifact.text import FORMATS, MAX_COMPONENT, read_lines, read_text
from converter.freetext import COMPONENTS
from converter.letter import Text

Match = Callable[[str], re.Match[str] | None]
Lines = tuple[int, int, list[str]]
"""The number after the last segment, triggers passed, the lines."""


def plain_text(bodies: Sequence[str], numbers: Sequence[int], match: Match) -> Text | None:
    """The text in these segments; None if anything about it is to be reported."""
    parts: list[tuple[str, list[str]]] = []
    for number in numbers:
        found = match(bodies[number])
        if found is None:
            return None
        form, body = found.group("form", "body")
        components = body.split(":")
        short = len(body) <= MAX_COMPONENT and len(components) <= COMPONENTS
        if form not in FORMATS or (not short and _oversized(components)):
            return None
        parts.append((form, components))
    return None if body[-1:] == "\\" else read_text(parts)


def plain_lines(
    keys: Sequence[str], bodies: Sequence[str], i: int, match: Match, *, fields: int, trigger: str
) -> Lines | None:
    """The logical lines from segment `i` on, `fields` of them; None if anything about them is to be reported."""

    def components(number: int) -> list[str]:
        found = match(bodies[number])
        return found["body"].split(":") if found is not None else []

    numbers, following, passed = run_of_lines(keys, i, fields, components, trigger)
    parts = [components(number) for number in numbers]
    if not all(parts) or any(map(_oversized, parts)):
        return None
    lines = read_lines([component for part in parts for component in part])
    return None if any(lines[fields:]) else (following, passed, lines + [""] * (fields - len(lines)))


def crowded(keys: Sequence[str], tag: str, limit: int) -> bool:
    """Whether there are more segments of a tag than a group may hold."""
    return sum(key.startswith(tag) for key in keys) > limit


def overflowing(keys: Sequence[str], tag: str, segments: int, groups: int) -> bool:
    """Whether a run of content takes too many groups, or one of these holds too many segments of a tag."""
    starts = [i for i, key in enumerate(keys) if key == keys[0]]
    ends = [*starts[1:], len(keys)]
    return len(starts) > groups or any(
        crowded(keys[start:end], tag, segments) for start, end in zip(starts, ends, strict=True)
    )


def _oversized(components: list[str]) -> bool:
    return len(components) > COMPONENTS or max(map(len, components)) > MAX_COMPONENT
