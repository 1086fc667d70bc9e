"""What a section of the report is made of: text, lists, tables, charts. The template only puts them on the page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup, escape

from converter.assessment.report.charts import Chart
from converter.assessment.report.language import Language

MEASURED, GIVEN, ASSUMED = "measured", "given", "assumed"
"""Where a number comes from."""
LONG = 14
"""Tables with more rows than this are folded on the screen."""
NARROW = 4
"""Tables with more columns than this take the width of the page."""


@dataclass(frozen=True, slots=True)
class Words:
    """A paragraph; a note is one that qualifies what stands before it."""

    text: Markup
    note: bool = False
    kind: str = "words"


@dataclass(frozen=True, slots=True)
class Points:
    """A list."""

    items: tuple[Markup, ...]
    numbered: bool = False
    kind: str = "points"


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading inside a section."""

    text: str
    id: str = ""
    kind: str = "heading"


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table; `id` is where links lead."""

    cells: tuple[Any, ...]
    id: str = ""
    total: bool = False


@dataclass(frozen=True, slots=True)
class Grid:
    """A table: its caption, the heads of its columns (those of numbers begin with `#`), its rows."""

    says: str
    heads: tuple[str, ...]
    rows: tuple[Row, ...]
    folded: bool = False
    kind: str = "grid"

    @property
    def columns(self) -> list[tuple[str, bool]]:
        """Each head, and whether numbers stand below it."""
        return [(head.removeprefix("#"), head.startswith("#")) for head in self.heads]

    @property
    def short(self) -> bool:
        """Whether it should stand on one page."""
        return len(self.rows) <= LONG

    @property
    def narrow(self) -> bool:
        """Whether it would look lost over the width of the page."""
        return len(self.heads) <= NARROW


@dataclass(frozen=True, slots=True)
class Drawing:
    """A chart with the table that says the same."""

    chart: Chart
    table: Grid
    kind: str = "drawing"


Block = Words | Points | Heading | Grid | Drawing


@dataclass(slots=True)
class Section:
    """A section: where links to it lead, its title, and its content."""

    id: str
    title: str
    blocks: list[Block] = field(default_factory=list)

    @property
    def charts(self) -> list[Chart]:
        """The charts in it, in order."""
        return [block.chart for block in self.blocks if isinstance(block, Drawing)]


def grid(says: str, heads: Sequence[str], rows: Iterable[Row | Sequence[Any]], *, fold: bool = True) -> Grid:
    """A table, folded if it is long."""
    held = tuple(row if isinstance(row, Row) else Row(tuple(row)) for row in rows)
    return Grid(says, tuple(heads), held, fold and len(held) > LONG)


def drawing(language: Language, chart: Chart) -> Drawing:
    """A chart, and its table made from the same figures."""

    def cell(value: float | None) -> str:
        return language.percent(value) if chart.shares else language.number(value, chart.digits)

    heads = [chart.first, *(f"#{one.name}" for one in chart.series)]
    rows = [(name, *(cell(value) for value in values)) for name, values in chart.rows]
    return Drawing(chart, grid(chart.says, heads, rows))


def mark(language: Language, origin: str) -> Markup:
    """The letter after a number that says where it comes from."""
    letter, word = language(f"mark.{origin}.short"), language(f"mark.{origin}")
    return Markup('<abbr class="{}" title="{}">{}</abbr>').format(origin, word, letter)


def linked(text: Any, target: str) -> Markup:
    """A link to a place of the report."""
    return Markup('<a href="#{}">{}</a>').format(target, escape(text))


def figure(language: Language, text: Any, target: str, label: str, origin: str) -> Markup:
    """A main number: it leads to what is behind it, whose label and origin stand after it, on paper too."""
    content = Markup('<span class="figure"><a href="#{}">{}</a><sup>{}&nbsp;{}</sup></span>')
    return content.format(target, escape(text), label, mark(language, origin))
