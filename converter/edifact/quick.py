"""One letter about which there is nothing to say, read without making its segments.

Nearly every input is one. What is read here is a part of what the other readers read, with the same result; everything
else, and everything that would be reported, is left to them. They also find the places of the leaves, when somebody
asks for one: few do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache

from converter.definitions import Definitions
from converter.edifact.envelope import read_messages
from converter.edifact.expressions import STAND_INS
from converter.edifact.segments import Segment
from converter.edifact.structure import Compiled, Source, compiled
from converter.issues import IssueLog, Location
from converter.letter import Letter, Value
from converter.limits import Limits

_USUAL = tuple(b"UNA:+.? '" + end + b"UNB+UNOC:3+" for end in (b"", b"\n", b"\r\n"))
_MOST = 1 << 16  # bytes; what is longer is rare, and a file
_ENDS = frozenset(["'", "'\n", "'\r\n"])
_UNH = re.compile(r"([^+:]*):[^+:]*:[^+:]*:[^+:]*:([^+:]*)\+([^+:]*)").fullmatch
_STAND_INS = dict(zip(["", ":", "+", "'"], STAND_INS, strict=True))
_MEANT = tuple(zip(STAND_INS, "?:+'", strict=True))
"""What stands meanwhile for a released character: by what is behind the `?`, and what it means."""


class Late(Mapping[str, object]):
    """The places of a letter's leaves, and what they are places of: another reader finds both when one is asked for."""

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

    def _all(self) -> Mapping[str, object]:
        if self._reader is not None:
            letter = Letter("", "", "edifact")
            self._reader.read(self._source(), letter, IssueLog(), self._limits, headless=False)
            self._places, self._reader = letter.places, None
        return self._places

    def locate(self, place: object) -> tuple[Location, ...]:
        """The locations of a place, or of a list of places."""
        return Source(self._source()).locate(place)

    def __getitem__(self, leaf: str) -> object:
        return self._all()[leaf]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def __reduce__(self) -> tuple[object, ...]:
        """Pickled as what was found: a reader is a compiled function."""
        return _found, (self._data, self._file, self._limits, dict(self._all()))


def _found(data: bytes, file: str, limits: Limits, places: Mapping[str, object]) -> Late:
    late = Late(None, data, file, limits)
    late._places = places
    return late


def read(data: bytes, definitions: Definitions, file: str, limits: Limits) -> Letter | None:
    """The one letter in these bytes; None if they hold anything else, or anything that would be reported."""
    size = len(data)
    if not data.startswith(_USUAL) or size > _MOST or size > limits.segment or size > limits.text:
        return None
    if size > limits.message or size > limits.constituents:
        return None
    last = data.rfind(b"'") + 1
    text = data[data.index(b"U", 9) : last].decode("latin-1")
    if data[last:].strip(b" \t\r\n") or "\x80" in text or "\x81" in text or "\x82" in text or "\x83" in text:
        return None
    released = 0
    if "?" in text:
        text, released = _parked(text)
        if not released:
            return None
    unh = text.find("UNH+")
    end = text[text.find("'") : unh]
    if unh < 0 or end not in _ENDS:
        return None
    named = _named(text[text.find("+", unh + 4) + 1 : text.find("'", unh)])
    definition = definitions.by_edifact(*named) if named is not None else None
    if named is None or definition is None:
        return None
    reader = compiled(definition)
    late = Late(reader, data, file, limits)
    letter = Letter(*named, "edifact", {}, {}, [], late, late)
    if not reader.read_at_once(text, end, letter):
        return None
    if released:
        _restore(letter.values, released)
    return letter


@lru_cache(maxsize=256)
def _named(elements: str) -> tuple[str, str] | None:
    """Type and version of a letter, from what stands behind its reference in UNH."""
    found = _UNH(elements)
    if found is None:
        return None
    standard, association, own = found.groups()
    return own or standard, association


def _parked(text: str) -> tuple[str, int]:
    """A text with stand-ins for its released characters, and how many there are; 0 if there is a fault."""
    first, *parts = text.split("?")
    found, after = [first], False
    for part in parts:
        if after:  # it follows a release character that was released
            found.append(part)
            after = False
            continue
        stand_in = _STAND_INS.get(part[:1])
        if stand_in is None:
            return text, 0
        found.append(stand_in)
        after = not part
        if part:
            found.append(part[1:])
    if after:
        return text, 0
    return "".join(found), len(found) // 2


def _restore(values: dict[str, Value], released: int) -> None:
    """Put the released characters in the place of their stand-ins: most are in the texts at the end.

    What was written once is in one value at most, so that after the last of them no other value need be looked at.
    """
    for leaf in reversed(values):
        value = values[leaf]
        if isinstance(value, str):
            if value.isascii():
                continue
            values[leaf], number = _restored(value)
        else:
            number = 0
            texts = []
            for form, text in value:
                meant, more = _restored(text)
                texts.append((form, meant))
                number += more
            values[leaf] = tuple(texts)
        released -= number
        if not released:
            return


def _restored(text: str) -> tuple[str, int]:
    """A text with its released characters, and their number."""
    number = 0
    for stand_in, character in _MEANT:
        if stand_in in text:
            number += text.count(stand_in)
            text = text.replace(stand_in, character)
    return text, number
