r"""Free text on the wire: how a line is cut into components of an FTX segment (MedCom's layout of FTX, element 4)."""

from __future__ import annotations

from collections.abc import Iterable

WIDTH = 69
"""Characters of a component before the continuation mark: 70 are allowed, one is kept for the mark."""

COMPONENTS = 5
"""Components of one segment (composite C108)."""


def cut(line: str) -> list[str]:
    """Pieces of at most 69 characters, cut after the last blank if that is not among the first three characters."""
    pieces, start = [], 0
    while len(line) - start > WIDTH:
        blank = line.rfind(" ", start, start + WIDTH) - start
        end = start + (blank + 1 if blank > 2 else WIDTH)
        pieces.append(line[start:end])
        start = end
    return [*pieces, line[start:]]


def components(line: str) -> list[str]:
    r"""The components of a line that ends here: `\\` at the end of one says that the line goes on in the next.

    An empty line is `.`; a line that is just `.` or ends in the mark gets a mark and an empty rest.
    """
    if not line:
        return ["."]
    *pieces, last = cut(line)
    marked = [piece + "\\" for piece in pieces]
    if last == "." or last.endswith("\\"):
        return [*marked, last + "\\", "."]
    return [*marked, last]


def wire_segments(lines: Iterable[str]) -> int:
    """How many FTX segments plain lines take."""
    return -(-sum(len(components(line)) for line in lines) // COMPONENTS)
