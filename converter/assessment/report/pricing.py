"""What each timing costs: the scenarios as `assess price` has computed them, or what is missing for that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from markupsafe import Markup

from converter.assessment.report.blocks import (
    Block,
    Row,
    Section,
    Words,
    drawing,
    grid,
)
from converter.assessment.report.charts import Chart, Series
from converter.assessment.report.language import Language
from converter.assessment.report.subject import Subject

COMMAND = Markup("<code>medcom-fhir assess price DIR</code>")
DOUBT = (0.7, 1.5)
"""How far points may be off, as factors: an assumption of ours, told as such, until `points.factor` says otherwise."""
ENDS = ("low", "likely", "high")


def points_range(subject: Subject, points: float | None = None) -> tuple[float, float, float]:
    """Points, or all of them, from low to high: as priced, or with the doubt that belongs to any judgement."""
    total = float(subject.summary["effort"]["points"])
    points, (low, likely, high) = total if points is None else points, (DOUBT[0], 1.0, DOUBT[1])
    held = (subject.priced or {}).get("points")
    if held and total and held["low"] < held["high"]:
        low, likely, high = (held[end] / total for end in ENDS)
    return points * low, points * likely, points * high


def hours_range(subject: Subject) -> str:
    """The hours that go with the points; empty if nobody said how many a point takes."""
    held = (subject.priced or {}).get("hours")
    return subject.language.span(held["low"], held["high"]) if held else ""


def unit(subject: Subject) -> str:
    """In what scenarios are told: a currency, or hours."""
    priced = subject.priced or {}
    told = priced.get("unit") or priced.get("currency") or "hours"
    return str(subject.known("unit", told))


def name(language: Language, scenario: str) -> str:
    """What a scenario is called."""
    return str(language.known(f"scenario.{scenario}", scenario))


def in_order(subject: Subject) -> list[Mapping[str, Any]]:
    """The scenarios, the cheapest first; none where nobody computed them."""
    held = (subject.priced or {}).get("scenarios", ())
    return sorted(held, key=lambda one: (one["total"]["likely"], one["id"]))


def is_priced(subject: Subject) -> bool:
    """Whether amounts are money, and not hours."""
    return bool((subject.priced or {}).get("currency"))


def scenarios(subject: Subject) -> Section:
    """Section six: what each timing costs in all, month by month, of what it is made, and which inputs move it."""
    language, priced = subject.language, subject.priced
    section = Section("scenarios", str(language("scenarios")))
    if not priced or not priced["scenarios"]:
        section.blocks.append(Words(language("scenarios.missing", command=COMMAND)))
        return section
    section.blocks.append(Words(_lead(subject, priced)))
    if not is_priced(subject):
        section.blocks.append(Words(language("scenarios.unpriced"), note=True))
    section.blocks += [Words(one, note=True) for one in _notes(subject, priced)]
    section.blocks += [*_totals(subject, priced), *_terms(subject, priced)]
    section.blocks += [*_months(subject, priced), *_tornado(subject, priced)]
    return section


def _lead(subject: Subject, priced: Mapping[str, Any]) -> Markup:
    language = subject.language
    return language("scenarios.lead", horizon=language.month(priced["horizon"]), draws=language.number(priced["draws"]))


def _notes(subject: Subject, priced: Mapping[str, Any]) -> list[Markup]:
    """What the figures leave out."""
    language = subject.language
    told = []
    for one in priced.get("notes", ()):
        about = Markup(", ").join(subject.known("priced", name) for name in one["about"])
        key = f"note.{one['note']}"
        told.append(
            language(key, about=about, points=language.number(one.get("points"), 1))
            if key in language
            else Markup("{}: {}").format(one["note"], about)
        )
    return told


def _totals(subject: Subject, priced: Mapping[str, Any]) -> list[Block]:
    language, held = subject.language, priced["scenarios"]
    ends = [str(language(f"range.{end}")) for end in ENDS]
    chart = Chart(
        "scenarios-chart",
        "range",
        str(language("scenarios.chart", unit=unit(subject))),
        str(language("scenarios.about")),
        unit(subject),
        tuple(name(language, one["id"]) for one in held),
        tuple(Series(told, tuple(one["total"][end] for one in held)) for end, told in zip(ENDS, ends, strict=True)),
        str(language("scenario")),
    )
    drawn = drawing(language, chart)
    rows = tuple(Row(row.cells, id=f"scenario-{one['id']}") for row, one in zip(drawn.table.rows, held, strict=True))
    return [replace(drawn, table=replace(drawn.table, rows=rows))]


def _terms(subject: Subject, priced: Mapping[str, Any]) -> list[Block]:
    """What the sum of each scenario is made of, each term from low to high."""
    language = subject.language
    names = list(dict.fromkeys(term["term"] for one in priced["scenarios"] for term in one["terms"]))
    if not names:
        return []
    rows = []
    for one in priced["scenarios"]:
        held = {term["term"]: term for term in one["terms"]}
        cells = [_term(language, held.get(term)) for term in names]
        rows.append((name(language, one["id"]), *cells))
    heads = [str(language("scenario")), *(f"#{subject.known('term', term)}" for term in names)]
    return [grid(str(language("terms")), heads, rows)]


def _term(language: Language, term: Mapping[str, Any] | None) -> Markup:
    if term is None or not term["high"]:
        return Markup("–")
    return Markup('{}<br><span class="quiet">{}</span>').format(
        language.number(term["likely"]), language.span(term["low"], term["high"])
    )


def _months(subject: Subject, priced: Mapping[str, Any]) -> list[Block]:
    language, held = subject.language, priced["scenarios"]
    months = list(dict.fromkeys(at["month"] for one in held for at in one["months"]))
    if not months:
        return []
    by_month = [{at["month"]: at["likely"] for at in one["months"]} for one in held]
    chart = Chart(
        "months-chart",
        "line",
        str(language("months.chart", unit=unit(subject))),
        str(language("months.about")),
        unit(subject),
        tuple(language.month(month) for month in months),
        tuple(
            Series(name(language, one["id"]), tuple(at.get(month) for month in months))
            for one, at in zip(held, by_month, strict=True)
        ),
        str(language("month")),
    )
    return [drawing(language, chart)]


def _tornado(subject: Subject, priced: Mapping[str, Any]) -> list[Block]:
    """Which inputs move the cheapest scenario most; priced.json has those of the others."""
    language = subject.language
    found: list[Block] = []
    best = in_order(subject)[0]["id"]
    for one in priced["tornado"]:
        if one["scenario"] != best or not one["inputs"]:
            continue
        chart = Chart(
            f"tornado-{one['scenario']}",
            "tornado",
            str(language("tornado.chart", scenario=name(language, one["scenario"]), unit=unit(subject))),
            str(language("tornado.about")),
            unit(subject),
            tuple(str(subject.known("priced", at["input"])) for at in one["inputs"]),
            tuple(
                Series(str(language(f"range.{end}")), tuple(at[end] for at in one["inputs"])) for end in ("low", "high")
            ),
            str(language("input")),
            ground=one["base"],
        )
        found.append(drawing(language, chart))
    return found
