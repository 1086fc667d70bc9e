"""Segments <-> letter, by code that is compiled from the letter's definition."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from converter.definitions import Definition
from converter.definitions.layout import templates
from converter.edifact.arrange import Arranger
from converter.edifact.readers import ReaderCompiler, numbered
from converter.edifact.reading import Place, Reading
from converter.edifact.segments import Segment
from converter.edifact.writers import WriterCompiler
from converter.edifact.writing import Writing
from converter.issues import IssueLog, Location
from converter.letter import Letter, pattern
from converter.limits import Limits

Writer = Callable[[dict[str, Any], dict[str, list[int]], Writing, type[Segment]], list[Segment]]
Reader = Callable[[list[str], Sequence[Segment], Reading, dict[str, Any], dict[str, Any], dict[str, int]], int]

MAX_PLACES = 1000
"""Locations that are worked out for one leaf."""

_END = ["", ""]  # generated code looks up to two keys ahead


class Source:
    """What a letter was read from: its segments; turns places into locations."""

    __slots__ = ("segments",)

    def __init__(self, segments: Sequence[Segment]) -> None:
        self.segments = segments

    def locate(self, place: object) -> tuple[Location, ...]:
        """The locations of a place, or of a list of places (of the first thousand: no honest text has so many)."""
        places: list[Place] = place if isinstance(place, list) else [place]  # type: ignore[list-item]
        return tuple(self.segments[i].locate(element, component) for i, element, component in places[:MAX_PLACES])


@dataclass(slots=True)
class Compiled:
    """The compiled form of one definition; `source` is the generated Python, `wired` the leaves that it carries."""

    definition: Definition
    source: str
    wired: frozenset[str]
    in_order: Reader
    arranged: Reader
    writer: Writer
    arranger: Arranger

    def read(
        self, segments: Sequence[Segment], letter: Letter, log: IssueLog, limits: Limits, *, headless: bool
    ) -> None:
        """Fill a letter from its segments: UNB, then UNH up to the one before UNT.

        `headless`: there is no UNB; the first segment then stands for it and is not read.
        """
        reading = Reading(segments, self.definition, limits)
        keys = [s.tag + "+" + s.elements[0][0] if s.elements else s.tag + "+" for s in segments]
        end = -1
        if not headless:
            keys += _END
            end = self.in_order(keys, segments, reading, reading.values, reading.places, reading.counts)
        if end != len(segments):
            self._read_arranged(segments, reading, headless)
        letter.values, letter.counts, letter.places = reading.values, reading.counts, reading.places
        letter.extras = reading.extras
        letter.source = Source(segments)
        reading.finish(log)
        if reading.refused:
            letter.refused = True
            letter.values, letter.counts, letter.places, letter.extras = {}, {}, {}, []

    def _read_arranged(self, segments: Sequence[Segment], reading: Reading, headless: bool) -> None:
        reading.reset()
        arranged = self.arranger.arrange(segments, reading, headless=headless)
        reading.segments = arranged.segments
        keys = arranged.keys + _END
        end = self.arranged(keys, arranged.segments, reading, reading.values, reading.places, reading.counts)
        reading.leave(end)
        numbers = arranged.numbers
        reading.segments = segments
        for leaf, place in reading.places.items():
            if isinstance(place, list):
                reading.places[leaf] = [(numbers[i], e, c) for i, e, c in place]
            else:
                reading.places[leaf] = (numbers[place[0]], *place[1:])

    def write(self, letter: Letter, log: IssueLog, origin: Definition | None) -> list[Segment] | None:
        """The segments of a letter, UNB and UNH first, without UNT; None, with issues, if it cannot be written.

        `origin` is the definition of the letter's own version, if this is another.
        """
        writing = Writing(letter, self.definition, log, wired=self.wired, origin=origin)
        segments = self.writer(writing.values, writing.indices, writing, Segment)
        return None if writing.refused else segments


@lru_cache(maxsize=256)
def compiled(definition: Definition) -> Compiled:
    """The compiled form of a definition that has an EDIFACT layout; compiled once."""
    layout = definition.layout
    readers, writer = ReaderCompiler(definition).source(), WriterCompiler(definition).source()
    name = f"{definition.type} {definition.version}"
    names = {**readers.compiled(f"<readers of {name}>"), **writer.compiled(f"<writer of {name}>")}
    wired = {pattern(p.path) for t, _ in templates(layout) for p in t.pieces() if p.own}
    wired |= {path for t, _ in templates(layout) for path, _ in t.fills}
    return Compiled(
        definition,
        readers.text + "\n" + writer.text,
        frozenset(wired),
        in_order=names["read_in_order"],
        arranged=names["read_arranged"],
        writer=names["write"],
        arranger=Arranger(layout, numbered(layout)),
    )
