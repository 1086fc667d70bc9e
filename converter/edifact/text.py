r"""Formatted text on the wire: components of at most 70 characters, lines that go on, blank lines, formats.

A component is a line; `.` (or an empty component) is a blank line; a `\` at the end of a component says that the line
goes on in the next one, across segments and formats. MedCom's XML2EDI and EDI2XML style sheets of 2014 cut and join
so. What they lose, this writer keeps: a line that is just `.`, or ends in `\`, gets a continuation mark and the rest of
the line as a component of its own, which any reader that follows the rules puts together again.
"""

from __future__ import annotations

from collections.abc import Iterable

from converter.freetext import COMPONENTS, cut
from converter.freetext import components as cut_line
from converter.letter import Run, Text

MAX_COMPONENT = 70
"""Characters of a component (data element 4440)."""
PLAIN = "P00"
FALLBACK = "F00"
"""What an unknown format is read as: fixed-width font."""
FORMATS = frozenset(["P00", "PF0", "PU0", "PK0", "P0H", "P0M", "F00", "FF0", "FU0", "FK0", "F0H", "F0M"])
"""Font (P proportional, F fixed), style (0, F bold, U underlined, K italic), alignment (0, H right, M centred)."""
ALIGNED = frozenset(["P0H", "P0M", "F0H", "F0M"])


def read_text(parts: Iterable[tuple[str, list[str]]]) -> Text:
    """Join components to a text; each part is a segment's format and components, in wire order."""
    runs: list[tuple[str, list[str]]] = []
    for form, components in parts:
        if not runs or runs[-1][0] != form:
            runs.append((form, []))
        pieces = runs[-1][1]
        for component in components:
            if component == ".":
                pieces.append("\n")
            elif component[-1:] == "\\":
                pieces.append(component[:-1])
            else:
                pieces.append(component + "\n")
    return _joined((form, "".join(pieces)) for form, pieces in runs)


def whole_lines(written: str, end: str) -> str:
    """Components, as they were written, with an end behind each, as whole lines with that end behind each."""
    stop = f".{end}"
    if stop in written:
        written = f"{end}{written}"
        while f"{end}{stop}" in written:
            written = written.replace(f"{end}{stop}", end + end)
        written = written[1:]
    return written.replace(f"\\{end}", "") if "\\" in written else written


def _joined(runs: Iterable[Run]) -> Text:
    """The runs that hold anything; neighbours of one format are one run."""
    result: list[Run] = []
    for form, text in runs:
        if result and result[-1][0] == form:
            result[-1] = (form, result[-1][1] + text)
        elif text:
            result.append((form, text))
    return tuple(result)


def normal_text(text: Text) -> Text:
    """The text that comes back when this one is written and read.

    It ends in a line break, unless it is empty. Right-aligned and centred runs begin and end with a line of their own;
    one that opens the text has a line break before it, as MedCom's converter writes it. Runs of one format are joined.
    """
    runs: list[tuple[str, list[str]]] = []
    for form, content in text:
        if not content:
            continue
        form = form if form in FORMATS else FALLBACK
        content = content.replace("\r\n", "\n").replace("\r", "\n")
        if not runs or runs[-1][0] != form:
            if runs and (form in ALIGNED or runs[-1][0] in ALIGNED):
                _end_line(runs[-1][1])
            if not runs and form in ALIGNED and not content.startswith("\n"):
                content = "\n" + content
            runs.append((form, []))
        runs[-1][1].append(content)
    if runs:
        _end_line(runs[-1][1])
    return tuple((form, "".join(pieces)) for form, pieces in runs)


def _end_line(pieces: list[str]) -> None:
    if not pieces[-1].endswith("\n"):
        pieces.append("\n")


def write_text(text: Text) -> list[tuple[str, list[str]]]:
    """Cut a text into segments: format and one to five components each. Empty for an empty text."""
    segments: list[tuple[str, list[str]]] = []
    for form, content in normal_text(text):
        components = _components(content)
        for start in range(0, len(components), COMPONENTS):
            segments.append((form, components[start : start + COMPONENTS]))
    return segments


def _components(content: str) -> list[str]:
    lines = content.split("\n")
    rest = lines.pop()
    components: list[str] = []
    for line in lines:
        components += cut_line(line)
    if rest:
        components += [piece + "\\" for piece in cut(rest)]
    return components


def read_lines(components: Iterable[str]) -> list[str]:
    """Join components to logical lines; a `.` adds nothing."""
    lines: list[list[str]] = []
    goes_on = False
    for component in components:
        if not goes_on:
            lines.append([])
        lines[-1].append("" if component == "." else component.removesuffix("\\"))
        goes_on = component.endswith("\\")
    return ["".join(pieces) for pieces in lines]


def write_lines(lines: list[str]) -> list[list[str]]:
    """Cut logical lines into the components of one or more segments; absent lines at the end are left out."""
    while lines and not lines[-1]:
        lines = lines[:-1]
    components = [c for line in lines for c in (cut_line(line) if line else [""])]
    segments = []
    for start in range(0, len(components), COMPONENTS):
        segment = components[start : start + COMPONENTS]
        if not segment[-1]:  # an empty component at the end would not be sent, and the next segment not be joined
            segment[-1] = "."
        segments.append(segment)
    return segments or [[]]
