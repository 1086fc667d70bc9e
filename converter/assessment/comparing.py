"""Two assessments side by side: what changed in volumes, coverage, clusters, classes, points and quality.

Shares are compared, not counts, where the corpora may differ in size. What is worse, better, or neither is decided for
each kind of figure; a share that changes by less than the tolerance has not changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from converter.assessment import tables
from converter.issues import IssueLog, Location, Severity, declare

WORSE = declare(
    "BAT032",
    "assessment-worse",
    Severity.WARNING,
    "{area}: {what}: {before} before, {after} now",
    why="What moves by itself has become less, or there is more to do.",
    help="Look up the finding in the newer report. --tolerance says which changes of shares are none.",
)

BETTER, WORSENED, OTHER = "better", "worse", "other"
AREAS = (
    "volume",
    "coverage",
    "fields",
    "round-trip",
    "clusters",
    "classes",
    "points",
    "quality",
    "messaging",
    "findings",
)


@dataclass(frozen=True, slots=True)
class Change:
    """A figure that is not the same in both. `before` and `after` are None where there is none."""

    area: str
    what: str
    before: float | None
    after: float | None
    verdict: str

    def as_row(self) -> dict[str, Any]:
        """It as plain data."""
        return asdict(self)


Figures = Mapping[str, float]


def compare(before: Mapping[str, Any], after: Mapping[str, Any], tolerance: float = 0.001) -> list[Change]:
    """All changes between two summaries, by area."""
    found: list[Change] = []
    found += _counts("volume", _volumes(before), _volumes(after))
    for area, figures, more in _SHARES:
        found += _shares(area, figures(before), figures(after), more, tolerance)
    found += _points(before, after)
    found += _findings(before, after)
    return found


def compare_tables(before: Path, after: Path, tolerance: float = 0.001) -> list[Change]:
    """What the tables say beyond the summaries: shares of fields that are carried over, and all clusters."""
    one, other = (_fields(tables.read(folder / tables.COVERAGE.file, tables.COVERAGE)) for folder in (before, after))
    found = list(_shares("fields", one, other, BETTER, tolerance))
    held = (tables.read(folder / tables.CLUSTERS.file, tables.CLUSTERS) for folder in (before, after))
    found += _clusters(*({row["cluster"]: row for row in rows} for rows in held))
    return found


def report(changes: list[Change], place: str, log: IssueLog) -> None:
    """A finding for each change that is worse."""
    for change in changes:
        if change.verdict == WORSENED:
            old, new = _told(change.before), _told(change.after)
            log.add(WORSE, Location(place), area=change.area, what=change.what, before=old, after=new)


def _told(value: float | None) -> str:
    return "none" if value is None else f"{value:.10g}"


def _volumes(summary: Mapping[str, Any]) -> Figures:
    found: dict[str, float] = {"all messages": summary["corpus"]["messages"], "unread": summary["corpus"]["unread"]}
    for row in summary["volume"]["by_type"]:
        name = f"{row['type'] or '(unknown)'} {row['version']} {row['syntax']}".replace("  ", " ")
        found[name] = found.get(name, 0) + row["messages"]
    return found


def _counts(area: str, before: Figures, after: Figures) -> Iterator[Change]:
    for what in sorted({*before, *after}):
        one, other = before.get(what), after.get(what)
        if one != other:
            yield Change(area, what, one, other, OTHER)


def _shares(area: str, before: Figures, after: Figures, more: str, tolerance: float) -> Iterator[Change]:
    """Changes of shares; `more` says what it is if a share grows."""
    less = {BETTER: WORSENED, WORSENED: BETTER, OTHER: OTHER}[more]
    for what in sorted({*before, *after}):
        one, other = before.get(what), after.get(what)
        if one is None or other is None:
            yield Change(area, what, one, other, OTHER)
        elif abs(other - one) > tolerance:
            yield Change(area, what, one, other, more if other > one else less)


def _without_loss(summary: Mapping[str, Any]) -> Figures:
    """The share of messages without loss, by type; `all` for all."""
    sums: dict[str, list[int]] = {}
    for row in summary["coverage"]["by_type"]:
        for name in ("all", row["type"] or "(unknown)"):
            held = sums.setdefault(name, [0, 0])
            held[0] += row["without_loss"]
            held[1] += row["messages"]
    return {f"{name}, messages without loss": good / all_ for name, (good, all_) in sums.items() if all_}


def _round_trip(summary: Mapping[str, Any]) -> Figures:
    held = summary["round_trip"]
    total = sum(held[key] for key in ("equal", "same", "different"))
    return {"come back equal or the same": (held["equal"] + held["same"]) / total} if total else {}


def _deviating(summary: Mapping[str, Any]) -> Figures:
    messages = summary["corpus"]["messages"]
    straight = sum(row["messages"] for row in summary["clusters"]["rows"] if not row["deviating"])
    return {"messages as their definition has them": straight / messages} if messages else {}


def _classes(summary: Mapping[str, Any]) -> Figures:
    """The share of messages that move by themselves (A and B), in all and by type."""
    rows = [("all", summary["automation"]["classes"])]
    rows += [(row["type"] or "(unknown)", row["classes"]) for row in summary["automation"]["by_type"]]
    found = {}
    for name, classes in rows:
        counted = {letter: number or 0 for letter, number in classes.items()}
        if total := sum(counted.values()):
            found[f"{name}, classes A and B"] = (counted["A"] + counted["B"]) / total
    return found


def _quality(summary: Mapping[str, Any]) -> Figures:
    return {f"{row['check']}, share that fails": row["share"] for row in summary["quality"] if row["tested"]}


def _messaging(summary: Mapping[str, Any]) -> Figures:
    held = summary["messaging"]
    found = {}
    if held["receipts"]["expected"]:
        found["receipts that came"] = held["receipts"]["share"]
    if held["attachments"]["joined"] + held["attachments"]["missing"]:
        found["attachments that came"] = held["attachments"]["share"]
    return found


_SHARES = (
    ("coverage", _without_loss, BETTER),
    ("round-trip", _round_trip, BETTER),
    ("clusters", _deviating, BETTER),
    ("classes", _classes, BETTER),
    ("quality", _quality, WORSENED),
    ("messaging", _messaging, BETTER),
)


def _points(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    def figures(summary: Mapping[str, Any]) -> Figures:
        effort = summary["effort"]
        found = {"all": effort["points"]}
        found.update((f"{row['type'] or '(none)'}", row["points"]) for row in effort["by_type"])
        found.update((f"driver {driver}", points) for driver, points in effort["by_driver"].items())
        return found

    one, other = figures(before), figures(after)
    for what in sorted({*one, *other}):
        old, new = one.get(what, 0.0), other.get(what, 0.0)
        if abs(new - old) > 1e-9:
            yield Change("points", what, old, new, WORSENED if new > old else BETTER)


def _findings(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    """Findings that are new or gone, but for those that are only for the record."""
    one, other = (
        {row["finding"]: row["messages"] for row in summary["findings"] if row["severity"] != "info"}
        for summary in (before, after)
    )
    for what in sorted({*one, *other}):
        if what not in one:
            yield Change("findings", what, None, other[what], WORSENED)
        elif what not in other:
            yield Change("findings", what, one[what], None, BETTER)


def _fields(rows: list[dict[str, Any]]) -> Figures:
    """The share of a field's values that are carried over."""
    sums: dict[str, list[int]] = {}
    for row in rows:
        held = sums.setdefault(f"{row['type']} {row['field']}".strip(), [0, 0])
        held[0] += row["occurrences"] if row["state"] in ("mapped", "defaulted") else 0
        held[1] += row["occurrences"]
    return {name: good / all_ for name, (good, all_) in sums.items() if all_}


def _clusters(before: Mapping[str, Mapping[str, Any]], after: Mapping[str, Mapping[str, Any]]) -> Iterator[Change]:
    """Ways to deviate that are new or gone."""
    for name in sorted({*before, *after}):
        row = after.get(name) or before[name]
        if row["deviating"] and (name in before) != (name in after):
            verdict = WORSENED if name in after else BETTER
            old, new = (held[name]["messages"] if name in held else None for held in (before, after))
            yield Change("clusters", f"{name} of {row['type']} {row['version']}".strip(), old, new, verdict)
