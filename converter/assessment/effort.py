"""Effort points: what it takes to move a type, each point with the finding that caused it. Points are no hours."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from converter.assessment.measures import Measures
from converter.assessment.metrics import share
from converter.assessment.tables import DRIVERS


class Points:
    """Gathers the rows."""

    def __init__(self, measures: Measures) -> None:
        self._measures = measures
        self._rows: list[dict[str, Any]] = []

    def add(self, kind: str, finding: Mapping[str, Any], *, unit: float, count: int = 1) -> None:
        """So many units of a kind, because of a finding."""
        facts = {"kind": kind, "type": finding["type"], "points": round(unit * count, 6), "count": count, "unit": unit}
        self._rows.append({**facts, "finding": finding["finding"], "driver": finding["driver"]})

    def as_json(self) -> dict[str, Any]:
        """The rows with their numbers, and the sums."""
        rows = sorted(self._rows, key=lambda row: (row["type"], row["kind"], row["finding"]))
        by_type: defaultdict[str, float] = defaultdict(float)
        by_driver = dict.fromkeys(DRIVERS, 0.0)
        for row in rows:
            by_type[row["type"]] += row["points"]
            by_driver[row["driver"]] += row["points"]
        weights = {**self._measures.points, **{change.name: change.points for change in self._measures.changes}}
        return {
            "points": round(sum(by_type.values()), 6),
            "by_type": [{"type": type_, "points": round(n, 6)} for type_, n in sorted(by_type.items())],
            "by_driver": {driver: round(n, 6) for driver, n in by_driver.items()},
            "rows": [{"id": f"E{n:03d}", **row} for n, row in enumerate(rows, 1)],
            "weights": dict(sorted(weights.items())),
        }


def effort(
    measures: Measures,
    findings: Sequence[Mapping[str, Any]],
    targets: Mapping[str, tuple[bool, int]],
    unmapped: Mapping[str, int],
    systems: Mapping[str, int],
) -> dict[str, Any]:
    """The points of a corpus with these findings.

    `targets`: whether a type has a mapping, and how many messages; `systems`: how many systems of the inventory are
    approved for a type, each of which has to be tested and certified for its successor.
    """
    points, weights = Points(measures), measures.points
    messages = sum(number for _, number in targets.values())
    changes = {change.name: change.points for change in measures.changes}
    lists = {code for check in measures.quality for code in check.need.codes if check.name in _LISTS}
    rules: defaultdict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for one in findings:
        kind, targeted = one["kind"], targets.get(one["type"], (False, 0))[0]
        if kind == "volume" and targeted:
            points.add("parser-exists", one, unit=weights["parser-exists"])
            if number := systems.get(one["type"], 0):
                points.add("certification", one, unit=weights["certification"], count=number)
        elif kind == "untargeted" and not targeted:
            points.add("new-type", one, unit=weights["new-type"])
            if fields := unmapped.get(one["type"], 0):
                points.add("unmapped-field", one, unit=weights["unmapped-field"], count=fields)
        elif kind == "unmapped" and targeted:
            points.add("unmapped-field", one, unit=weights["unmapped-field"])
        elif kind == "loss" and one["severity"] != "info":
            rules[one["type"], one["code"]].append(one)
        elif kind == "cluster":
            points.add("cluster", one, unit=measures.of_cluster(share(one["messages"], messages)))
        elif kind == "issue" and one["code"] in lists:
            points.add("code-list", one, unit=weights["code-list"])
        elif kind == "functional":
            points.add(f"change-{one['code']}", one, unit=changes[one["code"]])
    for same in rules.values():
        points.add("lossy-rule", _largest(same), unit=weights["lossy-rule"])
    return points.as_json()


# Checks that tell of codes that somebody has made up: each list of them has to be agreed on.
_LISTS = ("code-not-in-list", "code-not-in-dated-list")


def _largest(findings: Iterable[Mapping[str, Any]]) -> Mapping[str, Any]:
    """One loss in several fields is one rule; the field that shows it most often stands for it."""
    return min(findings, key=lambda one: (-one["messages"], one["finding"]))
