"""Segments <-> letter, by code that is compiled from the letter's definition."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from typing import Any, cast

from converter.definitions import Definition
from converter.edifact.arrange import Arranger
from converter.edifact.readers import ARRANGED, IN_ORDER, ReaderCompiler, numbered
from converter.edifact.reading import Place, Reading
from converter.edifact.rows import Row
from converter.edifact.segments import Segment
from converter.edifact.source import Module
from converter.edifact.wholes import AT_ONCE, WholeCompiler
from converter.edifact.writers import WriterCompiler
from converter.edifact.writing import Leaves, Writing
from converter.issues import IssueLog, Location
from converter.letter import Letter
from converter.limits import Limits

Writer = Callable[[dict[str, Any], dict[str, list[int]], Writing], list[Row]]
Reader = Callable[[list[str], Sequence[Segment], Reading, dict[str, Any], dict[str, Any], dict[str, int]], int]
QuickReader = Callable[[str, dict[str, Any], dict[str, int]], bool]

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


class Compiled:
    """The compiled form of one definition. Each function is compiled when it is first needed."""

    def __init__(self, definition: Definition) -> None:
        self.definition = definition
        self._name = f"{definition.type} {definition.version}"
        self._at_once: dict[str, QuickReader] = {}

    @cached_property
    def in_order(self) -> Reader:
        """Reads a letter whose segments stand as the layout has them; -1 if they do not."""
        return cast("Reader", self._function(self._reader(IN_ORDER), IN_ORDER))

    def at_once(self, end: str) -> QuickReader:
        """Reads a letter of which every segment is plainly as its template says; False if one is not.

        `end`: what each segment but the last ends with, `'` or that and a line end.
        """
        found = self._at_once.get(end)
        if found is None:
            name = f"<{AT_ONCE} of {self._name}, {end!r}>"
            found = self._at_once[end] = WholeCompiler(self.definition, end).source().compiled(name)[AT_ONCE]
        return found

    @cached_property
    def arranged(self) -> Reader:
        """Reads a letter that the arranger has put in order."""
        return cast("Reader", self._function(self._reader(ARRANGED), ARRANGED))

    @cached_property
    def writer(self) -> Writer:
        """Makes the rows of a letter."""
        return cast("Writer", self._function(WriterCompiler(self.definition).source(), "write"))

    @cached_property
    def arranger(self) -> Arranger:
        """Puts segments in order."""
        return Arranger(self.definition.layout, numbered(self.definition.layout))

    @cached_property
    def leaves(self) -> Leaves:
        """What the layout does with each leaf of a letter."""
        return Leaves(self.definition)

    @property
    def source(self) -> str:
        """All that is generated for the definition, as Python."""
        readers = [self._reader(name) for name in (IN_ORDER, ARRANGED)]
        sources = [WholeCompiler(self.definition).source(), *readers, WriterCompiler(self.definition).source()]
        return "\n\n".join(source.text for source in sources)

    def _reader(self, name: str) -> Module:
        return ReaderCompiler(self.definition).source(name)

    def _function(self, module: Module, name: str) -> object:
        return module.compiled(f"<{name} of {self._name}>")[name]

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
        for alias in self.definition.aliases:
            alias.read(reading.values, reading.places)
        letter.values, letter.counts, letter.places = reading.values, reading.counts, reading.places
        letter.extras = reading.extras
        letter.source = Source(segments)
        reading.finish(log)
        if reading.refused:
            letter.refused = True
            letter.values, letter.counts, letter.places, letter.extras = {}, {}, {}, []

    def read_at_once(self, text: str, end: str, letter: Letter) -> bool:
        """Fill a letter, but for its places, from a whole interchange as it was written; False if that cannot be.

        Each segment ends with `end`, the last with `'`; characters stand in for released ones.
        """
        if not self.at_once(end)(text, letter.values, letter.counts):
            return False
        for alias in self.definition.aliases:
            alias.read(letter.values, {})
        return True

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

    def write(self, letter: Letter, log: IssueLog, origin: Definition | None) -> list[Row] | None:
        """The rows of a letter, UNB and UNH first, without UNT; None, with issues, if it cannot be written.

        `origin` is the definition of the letter's own version, if this is another.
        """
        writing = Writing(letter, self.definition, log, leaves=self.leaves, origin=origin)
        rows = self.writer(writing.values, writing.indices, writing)
        return None if writing.refused else rows


@lru_cache(maxsize=256)
def compiled(definition: Definition) -> Compiled:
    """The compiled form of a definition that has an EDIFACT layout."""
    return Compiled(definition)
