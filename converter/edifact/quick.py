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
from converter.edifact import charsets
from converter.edifact.envelope import read_messages
from converter.edifact.segments import Segment
from converter.edifact.structure import Compiled, Source, compiled
from converter.issues import IssueLog, Location
from converter.letter import Letter, Value
from converter.limits import Limits

_USUAL, _USUAL_LINED = b"UNA:+.? 'UNB+UNOC:3+", b"UNA:+.? '\nUNB+UNOC:3+"
_MOST = 1 << 16  # bytes; what is longer is rare, and a file
_UNH = re.compile(r"([^+:]*):[^+:]*:[^+:]*:[^+:]*:([^+:]*)\+([^+:]*)").fullmatch
_RELEASE = ord("?")  # to look for a number in bytes costs a tenth of looking for a byte
_LINE_IN_SEGMENT = re.compile(rb"\?'[\r\n]").search
_RELEASED = ((b"??", "?", b"\x80"), (b"?:", ":", b"\x81"), (b"?+", "+", b"\x82"), (b"?'", "'", b"\x83"))
_MEANT = tuple((character, stand_in.decode("latin-1")) for _, character, stand_in in _RELEASED)
"""What is written and what is meant; bytes that clean text does not hold stand for it meanwhile."""


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
    start = 9 if data.startswith(_USUAL) else 10 if data.startswith(_USUAL_LINED) else 0
    size = len(data)
    if not start or size > _MOST or size > min(limits.message, limits.segment, limits.constituents, limits.text):
        return None
    end = data.rfind(b"'") + 1
    block = data[start:end]
    bare = charsets.bare_latin(block) if not data[end:].strip(b" \t\r\n") else None
    if bare is not None and _RELEASE in block:
        bare = _parked(block, bare)
    if bare is None:
        return None
    text = bare.decode("latin-1")
    named = _named(text.split("'", 2)[1])
    definition = definitions.by_edifact(*named) if named is not None else None
    if named is None or definition is None:
        return None
    reader = compiled(definition)
    late = Late(reader, data, file, limits)
    letter = Letter(*named, "edifact", {}, {}, [], late, late)
    if not reader.read_at_once(text, letter):
        return None
    if _RELEASE in block:
        _restore(letter.values)
    return letter


def _named(unh: str) -> tuple[str, str] | None:
    """Type and version of the letter that begins with this segment."""
    return _named_by(unh[unh.find("+", 4) + 1 :]) if unh[:4] == "UNH+" else None


@lru_cache(maxsize=256)
def _named_by(elements: str) -> tuple[str, str] | None:
    found = _UNH(elements)
    if found is None:
        return None
    standard, association, own = found.groups()
    return own or standard, association


def _parked(block: bytes, bare: bytes) -> bytes | None:
    """The `bare` segments of a block with stand-ins for released characters; None if a release is to be reported.

    Replacing from the left pairs up released release characters correctly, so they go first.
    """
    if len(bare) < len(block) and _LINE_IN_SEGMENT(block.replace(b"??", b"")):
        return None
    for written, _, stand_in in _RELEASED:
        bare = bare.replace(written, stand_in)
    return None if _RELEASE in bare else bare


def _restore(values: dict[str, Value]) -> None:
    """Put the released characters of all values in the place of their stand-ins."""
    for leaf, value in values.items():
        if isinstance(value, str):
            if not value.isascii():
                values[leaf] = _restored(value)
        else:
            values[leaf] = tuple([(form, _restored(text)) for form, text in value])


def _restored(text: str) -> str:
    for character, stand_in in _MEANT:
        if stand_in in text:
            text = text.replace(stand_in, character)
    return text
