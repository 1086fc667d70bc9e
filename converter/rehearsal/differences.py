"""Where two results differ, by path: JSON by pointer, text by line."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import Any, NamedTuple


class Difference(NamedTuple):
    """One place that differs: `how` is added, missing or changed; the values are for whoever may see them."""

    path: str
    how: str
    line: int
    was: Any
    now: Any

    @property
    def values(self) -> str:
        """Both values on one line."""
        return f"{self.was!r} -> {self.now!r}"


def of_json(was: Any, now: Any, pointer: str = "") -> Iterator[Difference]:
    """The leaves and branches in which two JSON values differ, by JSON pointer."""
    if isinstance(was, dict) and isinstance(now, dict):
        for key in (*was, *(k for k in now if k not in was)):
            here = f"{pointer}/{key}"
            if key not in now:
                yield Difference(here, "missing", 1, was[key], None)
            elif key not in was:
                yield Difference(here, "added", 1, None, now[key])
            else:
                yield from of_json(was[key], now[key], here)
    elif isinstance(was, list) and isinstance(now, list):
        for number in range(max(len(was), len(now))):
            here = f"{pointer}/{number}"
            if number >= len(now):
                yield Difference(here, "missing", 1, was[number], None)
            elif number >= len(was):
                yield Difference(here, "added", 1, None, now[number])
            else:
                yield from of_json(was[number], now[number], here)
    elif was != now or type(was) is not type(now):
        yield Difference(pointer or "/", "changed", 1, was, now)


def of_text(was: str, now: str) -> Iterator[Difference]:
    """The lines in which two texts differ; `line` counts in the first."""
    old, new = was.splitlines(), now.splitlines()
    for kind, start, end, other, other_end in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            continue
        for number in range(max(end - start, other_end - other)):
            left = old[start + number] if start + number < end else None
            right = new[other + number] if other + number < other_end else None
            how = "added" if left is None else "missing" if right is None else "changed"
            yield Difference("", how, min(start + number, max(len(old) - 1, 0)) + 1, left, right)
