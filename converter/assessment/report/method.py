"""How the numbers came about, what they rest on, what is missing, and what was not assessed."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from converter.assessment.report.blocks import Block, Heading, Points, Section, Words, grid
from converter.assessment.report.pricing import DOUBT
from converter.assessment.report.subject import Subject


def method(subject: Subject) -> Section:
    """Section seven."""
    language = subject.language
    section = Section("method", str(language("method")), [Words(language("method.lead"))])
    section.blocks += [*_missing(subject), *_not_assessed(subject), *_assumptions(subject)]
    section.blocks += [*_volumes(subject), *_privacy(subject), *_versions(subject)]
    return section


def _missing(subject: Subject) -> list[Block]:
    language = subject.language
    heads = (str(language("missing.input")), str(language("missing.hides")))
    rows = [
        (
            subject.known("input", one["input"]),
            Markup("; ").join(subject.known("hides", hidden) for hidden in one["hides"]),
        )
        for one in subject.missing
    ]
    heading = Heading(str(language("missing")), "missing")
    return [heading, grid(str(language("missing")), heads, rows) if rows else Words(language("missing.none"))]


def _not_assessed(subject: Subject) -> list[Block]:
    language = subject.language
    items = tuple(subject.known("not", one) for one in subject.summary["not_assessed"])
    return [
        Heading(str(language("not-assessed")), "not-assessed"),
        Words(language("not-assessed.lead")),
        Points(items),
    ]


def _assumptions(subject: Subject) -> list[Block]:
    language = subject.language
    found: list[Block] = [Heading(str(language("assumptions")), "assumptions")]
    if subject.assumptions:
        heads = [str(language(key)) for key in ("assumption", "value", "origin")]
        rows = [
            (one["name"], _value(subject, one["value"]), subject.known("origin", one["origin"]))
            for one in subject.assumptions
        ]
        found.append(grid(str(language("assumptions")), heads, rows))
    low, high = (language.number(end, 1) for end in DOUBT)
    found += [*_priced(subject), Words(language("points.doubt", low=low, high=high))]
    weights = sorted(subject.summary["effort"]["weights"].items())
    heads = [str(language("effort.kind")), f"#{language('weight')}", str(language("origin"))]
    rows = [(subject.effort(kind), language.number(weight, 1), language("origin.default")) for kind, weight in weights]
    found.append(grid(str(language("weights")), heads, rows))
    return found


def _priced(subject: Subject) -> list[Block]:
    """What the cost file and the scenario file say, from low to high, and where."""
    language = subject.language
    heads = [
        str(language("assumption")),
        *(f"#{language(f'range.{end}')}" for end in ("low", "likely", "high")),
        str(language("origin")),
        str(language("place")),
    ]
    rows = [
        (
            subject.known("priced", one["input"]),
            *(_value(subject, one[end]) for end in ("low", "likely", "high")),
            subject.known("origin", one["origin"]),
            one["place"],
        )
        for one in (subject.priced or {}).get("assumptions", ())
    ]
    return [grid(str(language("priced.assumptions")), heads, rows)] if rows else []


def _value(subject: Subject, value: Any) -> str:
    """A value of an assumption: a number as the language writes it, low to high as a span."""
    language = subject.language
    if value is None:
        return "–"
    if isinstance(value, bool):
        return str(language("yes" if value else "no"))
    if isinstance(value, int | float):
        return language.number(value, 0 if value == int(value) else 2)
    if isinstance(value, list):
        return ", ".join(_value(subject, one) for one in value)
    if isinstance(value, dict):
        return "; ".join(f"{subject.known('range', key)}: {_value(subject, one)}" for key, one in value.items())
    return str(value)


def _volumes(subject: Subject) -> list[Block]:
    language = subject.language
    monthly = language.number(subject.summary["operation"]["messages_a_month"])
    return [Heading(str(language("volumes"))), Words(language("volumes.say", monthly=monthly))]


def _privacy(subject: Subject) -> list[Block]:
    language, privacy = subject.language, subject.summary["privacy"]
    same = privacy["k_anonymity"]
    says = language(
        "privacy.say",
        drawn=subject.known("key", privacy["key"]),
        suppressed=language.number(privacy["suppressed"]),
        small=privacy["small"],
        columns=Markup(", ").join(subject.known("column", one) for one in same["columns"]),
        k=language.number(same["k"]),
        rows=language.number(same["rows_below"]),
        limit=same["limit"],
    )
    return [Heading(str(language("privacy"))), Words(says)]


def _versions(subject: Subject) -> list[Block]:
    """What the manifest says was used; nested entries by their path."""
    language = subject.language
    rows = [(key, Markup("<code>{}</code>").format(value)) for key, value in _flat("", subject.manifest or {})]
    heads = [str(language("versions.name")), str(language("value"))]
    return [grid(str(language("versions")), heads, rows)] if rows else []


def _flat(prefix: str, held: Any) -> list[tuple[str, str]]:
    if isinstance(held, dict):
        return [row for key, value in held.items() for row in _flat(f"{prefix}.{key}" if prefix else key, value)]
    if isinstance(held, list):
        return [row for number, value in enumerate(held, 1) for row in _flat(f"{prefix}.{number}", value)]
    return [(prefix, str(held))]
