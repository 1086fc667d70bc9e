"""Free text on the wire: how a line is cut into components of an FTX segment (MedCom's layout of FTX, element 4)."""

from __future__ import annotations

from collections.abc import Iterable

WIDTH = 69
"""Characters of a component before the continuation sign: 70 are allowed, one is kept for the sign."""

COMPONENTS = 5
"""Components of one FTX segment."""


def components(line: str) -> list[str]:
    """A line (no line break in it) as components: cut after the last blank within 69 characters, `\\` to go on.

    A blank within the first three characters does not count; without any the cut is after 69 characters. An empty line
    is the component `.`.
    """
    if not line:
        return ["."]
    pieces = []
    while len(line) > WIDTH:
        cut = line.rfind(" ", 0, WIDTH)
        at = cut + 1 if cut > 2 else WIDTH
        pieces.append(line[:at] + "\\")
        line = line[at:]
    return [*pieces, line]


def wire_segments(lines: Iterable[str]) -> int:
    """How many FTX segments plain lines take."""
    return -(-sum(len(components(line)) for line in lines) // COMPONENTS)
