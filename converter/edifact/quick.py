"""One letter about which there is nothing to say, read without making its segments.

Nearly every input is one. What is read here is a part of what the other readers read, with the same result; everything
else, and everything that would be reported, is left to them. They also find the places of the leaves, when somebody
asks for one: few do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from converter.definitions import Definitions
from converter.edifact.envelope import read_messages
from converter.edifact.expressions import STAND_INS
from converter.edifact.segments import Segment
from converter.edifact.structure import Compiled, Source, compiled
from converter.issues import IssueLog, Location
from converter.letter import Letter, Places, Value
from converter.limits import Limits

_HEAD = re.compile(rb"(UNA:\+\.\? '(?:\r?\n|))UNB\+UNOC:3\+[^']*('(?:\r?\n|))UNH\+[^'+]*\+([^']*)'").match
_MOST = 1 << 16  # bytes; what is longer is rare, and a file
_ENDS = {b"'": "'", b"'\n": "'\n", b"'\r\n": "'\r\n"}
_UNH = re.compile(r"([^+:]*):[^+:]*:[^+:]*:[^+:]*:([^+:]*)\+([^+:]*)").fullmatch
_MEANT = tuple(zip(STAND_INS, "?:+'", strict=True))
"""What stands meanwhile for a released character, and what it means."""
_PARKED = {character: stand_in for stand_in, character in _MEANT}


class Late(Places):
    """Places, and what they are places of: another reader finds both."""

    __slots__ = ("_data", "_file", "_limits", "_places", "_reader", "_segments")

    def __init__(self, reader: Compiled | None, data: bytes, file: str, limits: Limits) -> None:
        self._reader, self._data, self._file, self._limits = reader, data, file, limits
        self._segments: list[Segment] = []
        self._places: Mapping[str, object] = {}

    def _source(self) -> list[Segment]:
        """UNB, then UNH up to the one before UNT."""
        if not self._segments:
            message = next(read_messages(self._data, IssueLog(), file=self._file, limits=self._limits))
            assert message.interchange.header is not None
            self._segments = [message.interchange.header, *message.segments[:-1]]
        return self._segments

    def found(self) -> Mapping[str, object]:
        """All of them, from the letter read again with segments."""
        if self._reader is not None:
            letter = Letter("", "", "edifact")
            self._reader.read(self._source(), letter, IssueLog(), self._limits, headless=False)
            self._places, self._reader = letter.places, None
        return self._places

    def locate(self, place: object) -> tuple[Location, ...]:
        """The locations of a place, or of a list of places."""
        return Source(self._source()).locate(place)

    def __reduce__(self) -> tuple[object, ...]:
        """Pickled as what was found: a reader is a compiled function."""
        return _found, (self._data, self._file, self._limits, dict(self.found()))


def _found(data: bytes, file: str, limits: Limits, places: Mapping[str, object]) -> Late:
    late = Late(None, data, file, limits)
    late._places = places
    return late


def read(data: bytes, definitions: Definitions, file: str, limits: Limits) -> Letter | None:
    """The one letter in these bytes; None if they hold anything else, or anything that would be reported."""
    size, head = len(data), _HEAD(data)
    if head is None or size > _MOST or size > limits.segment or size > limits.text:
        return None
    start, end, elements = head.groups()
    named = _named(definitions, elements)
    if named is None or size > limits.message or size > limits.constituents:
        return None
    text = data[len(start) :].rstrip(b" \t\r\n").decode("latin-1")
    if "\x80" in text or "\x81" in text or "\x82" in text or "\x83" in text:
        return None
    released = 0
    if "?" in text:
        text, released = _parked(text)
        if not released:
            return None
    type_, version, reader = named
    late = Late(reader, data, file, limits)
    letter = Letter(type_, version, "edifact", {}, {}, [], late, late)
    if not reader.read_at_once(text, _ENDS[end], letter):
        return None
    if released:
        _restore(letter.values, released)
    return letter


@lru_cache(maxsize=64)
def _named(definitions: Definitions, elements: bytes) -> tuple[str, str, Compiled] | None:
    """Type, version and reader of a letter, from what stands behind its reference in UNH."""
    found = _UNH(elements.decode("latin-1"))
    if found is None:
        return None
    standard, version, own = found.groups()
    definition = definitions.by_edifact(own or standard, version)
    return None if definition is None else (own or standard, version, compiled(definition))


def _parked(text: str) -> tuple[str, int]:
    """A text with stand-ins for its released characters, and how many there are; 0 if there is a fault."""
    pieces: list[str] = []
    start, at = 0, text.find("?")  # which is rare: to split a text looks at every character
    while at >= 0:
        stand_in = _PARKED.get(text[at + 1 : at + 2])
        if stand_in is None:
            return text, 0
        pieces += text[start:at], stand_in
        start = at + 2
        at = text.find("?", start)
    return "".join([*pieces, text[start:]]), len(pieces) // 2


def _restore(values: dict[str, Value], released: int) -> None:
    """Put the released characters in the place of their stand-ins: most are in the texts at the end.

    What was written once is in one value at most, so that after the last of them no other value need be looked at.
    """
    for leaf, value in reversed(values.items()):
        if type(value) is tuple:
            runs = [*value]
            for n, (form, text) in enumerate(value):
                if "\x81" in text or "\x80" in text or "\x82" in text or "\x83" in text:  # an expression costs more
                    meant, number = _restored(text)
                    runs[n] = (form, meant)
                    released -= number
            values[leaf] = tuple(runs)
        elif not value.isascii():  # type: ignore[union-attr]
            values[leaf], number = _restored(value)  # type: ignore[arg-type]
            released -= number
        if not released:
            return


def _restored(text: str) -> tuple[str, int]:
    """A text with its released characters, and their number."""
    number = 0
    for stand_in, character in _MEANT:
        if stand_in in text:
            parts = text.split(stand_in)
            number += len(parts) - 1
            text = character.join(parts)
    return text, number
