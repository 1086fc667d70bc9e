"""Rows: segments as text on their way to the wire.

Elements, components and the end of a row are marked by control characters, which no value holds. So the writers join
values as they are; what ends empty is left out, and service characters are escaped, once for the whole interchange.
"""

from __future__ import annotations

from collections.abc import Sequence

from converter.edifact import charsets
from converter.edifact.segments import DEFAULT, Separators
from converter.errors import InterchangeError

Row = str | bytes
"""A segment with its tag, or the bytes of an object."""

ELEMENT, COMPONENT, END = "\x1d", "\x1f", "\x1e"
_DEAD = ((COMPONENT + ELEMENT, ELEMENT), (COMPONENT + END, END), (ELEMENT + END, END))
"""Marks behind which nothing stands, and what is left of them, in the order in which they go."""


def field(row: Row, element: int, component: int = 1) -> str:
    """The value of a component, counted from 1; empty when it is absent."""
    if isinstance(row, bytes):
        return ""
    elements = row.removesuffix(END).split(ELEMENT)
    components = elements[element].split(COMPONENT) if element < len(elements) else []
    return components[component - 1] if component <= len(components) else ""


def write_interchange(rows: Sequence[Row]) -> bytes:
    """The bytes of an interchange of one message, whose rows are given from UNB to the last before UNT.

    Raises `InterchangeError` for what `write_rows` refuses.
    """
    reference, message = field(rows[0], 5), field(rows[1], 1)
    count = sum([isinstance(row, str) for row in rows])  # without UNB, but with UNT; an object is no segment
    tail = f"UNT{ELEMENT}{count}{ELEMENT}{message}{END}UNZ{ELEMENT}1{ELEMENT}{reference}{END}"
    return write_rows([*rows, tail])


def write_rows(rows: Sequence[Row], separators: Separators = DEFAULT, charset: str = "UNOC") -> bytes:
    """The bytes of rows, with the service string advice before them and no line ends.

    Separators and release characters in values are escaped and nothing else is; empty elements and components at an end
    are left out. Raises `InterchangeError` for a value that the character set cannot carry (see `charsets.unwritable`),
    a line end or another control character.
    """
    s, codec = separators, charsets.CODECS[charset]
    advice = f"UNA{s.component}{s.element}{s.decimal}{s.release or ' '} {s.terminator}"
    written, start = [advice.encode(codec)], 0
    for number, row in enumerate(rows):
        if isinstance(row, bytes):
            written += [_encoded(rows, start, number, s, charset), row]
            start = number + 1
    written.append(_encoded(rows, start, len(rows), s, charset))
    return b"".join(written)


def _encoded(rows: Sequence[Row], start: int, end: int, s: Separators, charset: str) -> bytes:
    texts = [row for row in rows[start:end] if isinstance(row, str)]
    text = _escaped("".join(texts), s)
    if charsets.unwritable(text, charset):
        number = next(n for n, row in enumerate(texts) if charsets.unwritable(_escaped(row, s), charset))
        what = f"segment {start + number + 1} ({texts[number][:3]})"
        raise InterchangeError(f"{what} holds a character that {charset} cannot carry")
    return text.encode(charsets.CODECS[charset])


def _escaped(text: str, s: Separators) -> str:
    for dead, rest in _DEAD:
        while dead in text:
            text = text.replace(dead, rest)
    for character in (s.release, s.component, s.element, s.terminator):
        if character and character in text:
            # Without a release character nothing can be escaped; what is put in instead is refused.
            text = text.replace(character, s.release + character if s.release else "\0")
    return text.replace(ELEMENT, s.element).replace(COMPONENT, s.component).replace(END, s.terminator)
