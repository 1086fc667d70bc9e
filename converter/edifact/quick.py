"""One letter about which there is nothing to say, read without making its segments.

Nearly every input is one. What is read here is a part of what the other readers read, with the same result; everything
else, and everything that would be reported, is left to them. The places of leaves are noted as they do it, and the
segments that they name are made when somebody asks where they stand.
"""

from __future__ import annotations

import re

from converter.definitions import Definitions
from converter.edifact import charsets
from converter.edifact.controls import iso_date, iso_time
from converter.edifact.envelope import read_messages
from converter.edifact.segments import DEFAULT
from converter.edifact.splitting import bodies, restored
from converter.edifact.structure import Source, compiled
from converter.edifact.syntax import usual
from converter.issues import IssueLog, Location
from converter.letter import Letter, Value
from converter.limits import Limits

_KEY = re.compile(r"([A-Z][A-Z0-9]{2}\+[^+:']*)[^']*'?")
_UNB = re.compile(
    r"UNB\+UNOC:3\+([^+:]*):[^+:]*\+([^+:]*):[^+:]*\+([^+:]*):([^+:]*)\+([^+:]*)(?:\+\+\+\+[01]?)?"
).fullmatch
_UNH = re.compile(r"UNH\+([^+:]*)\+([^+:]*):[^+:]*:[^+:]*:[^+:]*:([^+:]*)\+([^+:]*)").fullmatch


class LateSource:
    """An input of one letter, whose segments are made when the first place is asked for."""

    __slots__ = ("_data", "_file", "_limits", "_source")

    def __init__(self, data: bytes, file: str, limits: Limits) -> None:
        self._data, self._file, self._limits = data, file, limits
        self._source: Source | None = None

    def locate(self, place: object) -> tuple[Location, ...]:
        """The locations of a place, or of a list of places."""
        if self._source is None:
            message = next(read_messages(self._data, IssueLog(), file=self._file, limits=self._limits))
            assert message.interchange.header is not None
            self._source = Source([message.interchange.header, *message.segments[:-1]])
        return self._source.locate(place)


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
    keys = _KEY.findall("'".join(found))
    if definition is None or not definition.edifact:
        return None
    if len(keys) != len(found) or not all(map(str.startswith, found, keys)):
        return None
    letter = Letter(*named, "edifact")
    del found[-2:], keys[-2:]
    if not compiled(definition).read_at_once(keys, found, letter):
        return None
    if DEFAULT.release in text:
        letter.values = {leaf: _restored(value) for leaf, value in letter.values.items()}
    letter.source = LateSource(data, file, limits)
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
