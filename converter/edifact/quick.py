"""One letter about which there is nothing to say, read without making its segments.

Nearly every input is one. What is read here is a part of what the other readers read, with the same result; everything
else, and everything that would be reported, is left to them. They also find the places of the leaves, when somebody
asks for one: few do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from converter.definitions import Definitions
from converter.edifact import charsets
from converter.edifact.controls import iso_date, iso_time
from converter.edifact.envelope import read_messages
from converter.edifact.segments import DEFAULT, Segment
from converter.edifact.splitting import bodies, restored
from converter.edifact.structure import Compiled, Source, compiled
from converter.edifact.syntax import usual
from converter.issues import IssueLog, Location
from converter.letter import Letter, Value
from converter.limits import Limits

_KEYS = re.compile(r"'([A-Z][A-Z0-9][A-Z0-9]\+[^+:']*+)").findall  # flat and possessive: a sixth quicker
_UNB = re.compile(
    r"UNB\+UNOC:3\+([^+:]*):[^+:]*\+([^+:]*):[^+:]*\+([^+:]*):([^+:]*)\+([^+:]*)(?:\+\+\+\+[01]?)?"
).fullmatch
_UNH = re.compile(r"UNH\+([^+:]*)\+([^+:]*):[^+:]*:[^+:]*:[^+:]*:([^+:]*)\+([^+:]*)").fullmatch


class LateSource:
    """An input of one letter, whose segments are made when the first place is asked for."""

    __slots__ = ("_data", "_file", "_source", "limits")

    def __init__(self, data: bytes, file: str, limits: Limits) -> None:
        self._data, self._file, self.limits = data, file, limits
        self._source: Source | None = None

    @property
    def segments(self) -> Sequence[Segment]:
        """UNB, then UNH up to the one before UNT."""
        if self._source is None:
            message = next(read_messages(self._data, IssueLog(), file=self._file, limits=self.limits))
            assert message.interchange.header is not None
            self._source = Source([message.interchange.header, *message.segments[:-1]])
        return self._source.segments

    def locate(self, place: object) -> tuple[Location, ...]:
        """The locations of a place, or of a list of places."""
        return Source(self.segments).locate(place)


class LatePlaces(Mapping[str, object]):
    """The places of a letter's leaves, which another reader finds when the first is asked for."""

    __slots__ = ("_found", "_reader", "_source")

    def __init__(self, reader: Compiled, source: LateSource) -> None:
        self._reader, self._source = reader, source
        self._found: Mapping[str, object] | None = None

    def _all(self) -> Mapping[str, object]:
        if self._found is None:
            letter = Letter("", "", "edifact")
            self._reader.read(self._source.segments, letter, IssueLog(), self._source.limits, headless=False)
            self._found = letter.places
        return self._found

    def __getitem__(self, leaf: str) -> object:
        return self._all()[leaf]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def __reduce__(self) -> tuple[type, tuple[dict[str, object]]]:
        """Pickled as what was found: a reader is a compiled function."""
        return dict, (dict(self._all()),)


def read(data: bytes, definitions: Definitions, file: str, limits: Limits) -> Letter | None:
    """The one letter in these bytes; None if they hold anything else, or anything that would be reported."""
    start, end = usual(data)
    if not end or len(data) > min(limits.message, limits.constituents, limits.text):
        return None
    block = data[start : end - 1]
    if not charsets.clean_latin(block):
        return None
    text = block.decode("latin-1")
    found = bodies(text, limits.segment)
    named = _named(found) if found is not None else None
    if found is None or named is None:
        return None
    definition = definitions.by_edifact(*named)
    if definition is None or not definition.edifact:
        return None
    keys = _KEYS("'" + "'".join(found))
    if len(keys) != len(found):  # there is a segment without one
        return None
    letter, reader = Letter(*named, "edifact"), compiled(definition)
    del found[-2:], keys[-2:]
    if not reader.read_at_once(keys, found, letter):
        return None
    if DEFAULT.release in text:
        letter.values = {leaf: _restored(value) for leaf, value in letter.values.items()}
    letter.source = source = LateSource(data, file, limits)
    letter.places = LatePlaces(reader, source)
    return letter


def _named(found: list[str]) -> tuple[str, str] | None:
    """Type and version of the letter, if there is nothing to say about its envelope."""
    if len(found) < 4 or (unb := _UNB(found[0])) is None or (unh := _UNH(found[1])) is None:
        return None
    sender, receiver, date, time, reference = unb.groups()
    number, standard, association, own = unh.groups()
    fine = (
        found[-2] == f"UNT+{len(found) - 2}+{number}"
        and found[-1] == f"UNZ+1+{reference}"
        and all(map(str.strip, (number, reference, sender, receiver, standard)))
        and iso_date(date)
        and iso_time(time)
    )
    return (own or standard, association) if fine else None


def _restored(value: Value) -> Value:
    return restored(value) if isinstance(value, str) else tuple((form, restored(text)) for form, text in value)
