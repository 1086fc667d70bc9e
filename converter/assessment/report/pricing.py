"""What each timing costs: the scenarios as `assess price` has computed them, or what is missing for that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from markupsafe import Markup

from converter.assessment.report.blocks import (
    ASSUMED,
    GIVEN,
    Block,
    Row,
    Section,
    Words,
    drawing,
    figure,
    grid,
)
from converter.assessment.report.charts import Chart, Series
from converter.assessment.report.language import Language
from converter.assessment.report.subject import Subject

COMMAND = Markup("<code>medcom-fhir assess price DIR</code>")
_ENDS = ("low", "likely", "high")


def points_range(subject: Subject) -> tuple[float, float, float] | None:
    """All points, from low to high; None without a range, since it is not computed."""
    priced = subject.priced or {}
    held = priced.get("points")
    return (held["low"], held["likely"], held["high"]) if held else None


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


def _ordered(priced: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The scenarios, the cheapest first."""
    return sorted(priced["scenarios"], key=lambda one: (one["total"]["likely"], one["id"]))


def timing(subject: Subject) -> Markup:
    """The fifth sentence of the answer: the cheapest and the dearest scenario."""
    language, priced = subject.language, subject.priced
    if not priced or not priced["scenarios"]:
        return language("answer.timing-missing", command=COMMAND)
    ordered = _ordered(priced)
    best, worst = ordered[0], ordered[-1]
    origin = GIVEN if priced["currency"] else ASSUMED

    def told(one: Mapping[str, Any]) -> Markup:
        text = language.span(one["total"]["low"], one["total"]["high"])
        return figure(language, text, f"scenario-{one['id']}", "6", origin)

    return language(
        "answer.timing" if priced["currency"] else "answer.timing-hours",
        best=name(language, best["id"]),
        worst=name(language, worst["id"]),
        best_range=told(best),
        worst_range=told(worst),
        best_likely=language.number(best["total"]["likely"]),
        worst_likely=language.number(worst["total"]["likely"]),
        unit=unit(subject),
    )


def scenarios(subject: Subject) -> Section:
    """Section six: what each timing costs in all, month by month, of what it is made, and which inputs move it."""
    language, priced = subject.language, subject.priced
    section = Section("scenarios", str(language("scenarios")))
    if not priced or not priced["scenarios"]:
        section.blocks.append(Words(language("scenarios.missing", command=COMMAND)))
        return section
    section.blocks.append(Words(_lead(subject, priced)))
    if not priced["currency"]:
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
    ends = [str(language(f"range.{end}")) for end in _ENDS]
    chart = Chart(
        "scenarios-chart",
        "range",
        str(language("scenarios.chart", unit=unit(subject))),
        str(language("scenarios.about")),
        unit(subject),
        tuple(name(language, one["id"]) for one in held),
        tuple(Series(told, tuple(one["total"][end] for one in held)) for end, told in zip(_ENDS, ends, strict=True)),
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
    best = _ordered(priced)[0]["id"]
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
