"""Charts as plain figures: each stands in the page as JSON, and in a table under it. `report.js` draws them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

KINDS = ("bars", "stack", "share", "line", "range", "tornado")
"""Bars beside each other; on each other; on each other as shares of 1; lines; low to high with a mark; low and high
from a middle."""
_INERT = {ord(c): f"\\u{ord(c):04x}" for c in "<>&'\u2028\u2029"}


@dataclass(frozen=True, slots=True)
class Series:
    """One row of figures, and what it is called."""

    name: str
    values: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart: `says` is its title, `about` what there is to see in it, for those who do not."""

    id: str
    kind: str
    says: str
    about: str
    unit: str
    categories: tuple[str, ...]
    series: tuple[Series, ...]
    first: str = ""
    """What the categories are: the head of the first column of the table."""
    digits: int = 0
    percent: bool = False
    """The figures are shares of 1."""
    ground: float = 0
    """The middle of a tornado."""

    @property
    def shares(self) -> bool:
        """Whether its figures are shares of 1."""
        return self.percent or self.kind == "share"

    @property
    def rows(self) -> list[tuple[str, tuple[float | None, ...]]]:
        """The table under it: category and figures."""
        return [(name, tuple(s.values[i] for s in self.series)) for i, name in enumerate(self.categories)]

    @property
    def figures(self) -> dict[str, Any]:
        """What the browser needs to draw it."""
        return {
            "id": self.id,
            "kind": self.kind,
            "about": self.about,
            "unit": self.unit,
            "digits": self.digits,
            "percent": self.shares,
            "ground": self.ground,
            "categories": self.categories,
            "series": [{"name": one.name, "values": one.values} for one in self.series],
        }


def embedded(charts: Sequence[Chart], **more: Any) -> str:
    """JSON that can stand inside a `script` element: nothing in it can end the element or open a comment."""
    figures = {**more, "charts": [chart.figures for chart in charts]}
    return json.dumps(figures, ensure_ascii=False, separators=(",", ":"), allow_nan=False).translate(_INERT)
