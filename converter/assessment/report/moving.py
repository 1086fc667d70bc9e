"""What moves by itself, what does not, and the largest findings: sections three to five."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from converter.assessment.report.blocks import Block, Heading, Row, Section, Words, drawing, grid
from converter.assessment.report.charts import Chart, Series
from converter.assessment.report.language import FEW
from converter.assessment.report.subject import WITHHELD, Subject
from converter.assessment.tables import CLASSES, STATES

TOP = 20
_PARTS = 40
"""Rows of type and party that are shown."""
_SENDERS = 8
"""Senders that have a column in the table of senders and findings."""
_CURVE = 40
"""Clusters in the curve; behind them it only creeps."""
_REASONS = 25
_CAUSES = 10
_ALONE = ("A", "B")
_BACK = ("equal", "same", "different", "none")


def moves(subject: Subject) -> Section:
    """Classes A and B by type and party, the clusters behind the work, and what comes back from FHIR."""
    language, automation = subject.language, subject.summary["automation"]
    both = sum(automation["classes"][one] or 0 for one in _ALONE)
    section = Section("moves", str(language("moves")), [Words(language("moves.lead", both=subject.of_all(both)))])
    section.blocks += _classes(subject)
    section.blocks.append(Words(language("parties.say"), note=True))
    section.blocks += _parts(subject, "parties.alone", _ALONE)
    section.blocks += [*_curve(subject), *_round_trip(subject)]
    return section


def _shares(rows: Iterable[Mapping[str, Any]], keys: Sequence[str], names: Sequence[str]) -> tuple[Series, ...]:
    """For each key a series of the shares that it has of each row; what is withheld counts as nothing."""
    held = list(rows)
    totals = [sum(row[key] or 0 for key in keys) for row in held]
    return tuple(
        Series(name, tuple((row[key] or 0) / total if total else None for row, total in zip(held, totals, strict=True)))
        for key, name in zip(keys, names, strict=True)
    )


def _classes(subject: Subject) -> list[Block]:
    language, automation = subject.language, subject.summary["automation"]
    names = [str(language(f"class.{one}")) for one in CLASSES]
    rows = automation["by_type"]
    chart = Chart(
        "classes-chart",
        "share",
        str(language("classes.chart")),
        str(language("classes.about")),
        "",
        tuple(subject.type(row["type"]) if row["type"] else str(language("unknown")) for row in rows),
        _shares((row["classes"] for row in rows), CLASSES, names),
        str(language("type")),
    )
    counts = [
        Row(
            (name, language.count(automation["classes"][letter]), subject.of_all(automation["classes"][letter])),
            id=f"class-{letter}",
        )
        for letter, name in zip(CLASSES, names, strict=True)
    ]
    heads = [str(language("class")), f"#{language('messages')}", f"#{language('share')}"]
    return [Heading("", "classes"), grid(str(language("classes.table")), heads, counts), drawing(language, chart)]


def _parts(subject: Subject, title: str, letters: Sequence[str]) -> list[Block]:
    """Types at parties in these classes, largest first."""
    language = subject.language
    parts = [one for one in subject.summary["automation"]["by_type_party"] if one["class"] in letters]
    parts.sort(key=lambda one: (-(one["messages"] or 0), one["type"], one["party"]))
    if not parts:
        return [Heading(str(language(title))), Words(language("parties.none"))]
    heads = [language("type"), language("sender"), f"#{language('messages')}", language("class"), language("reasons")]
    rows = [
        (
            subject.type(one["type"]),
            subject.party(one["party"]),
            subject.few(one["messages"]),
            language(f"class.{one['class']}"),
            subject.refers(one["reasons"]),
        )
        for one in parts[:_PARTS]
    ]
    found: list[Block] = [grid(str(language(title)), [str(head) for head in heads], rows)]
    if len(parts) > _PARTS:
        more = language("more", number=language.number(len(parts) - _PARTS), file="summary.json")
        found.append(Words(more, note=True))
    return found


def _curve(subject: Subject) -> list[Block]:
    language, clusters = subject.language, subject.summary["clusters"]
    curve = clusters["curve"][:_CURVE]
    if not curve:
        return []
    few = curve[min(len(curve), 12) - 1]
    says = language(
        "curve.says",
        total=language.number(clusters["total"]),
        deviating=language.number(clusters["deviating"]),
        few=language.number(few["clusters"]),
        share=language.percent(few["share"]),
    )
    chart = Chart(
        "curve-chart",
        "line",
        str(language("curve.chart")),
        str(language("curve.about")),
        "",
        tuple(language.number(one["clusters"]) for one in curve),
        (Series(str(language("share")), tuple(one["share"] for one in curve)),),
        str(language("clusters")),
        percent=True,
    )
    return [Words(says), drawing(language, chart)]


def _round_trip(subject: Subject) -> list[Block]:
    language, rows = subject.language, subject.summary["round_trip"]["by_type"]
    chart = Chart(
        "roundtrip-chart",
        "share",
        str(language("roundtrip.chart")),
        str(language("roundtrip.about")),
        "",
        tuple(subject.type(row["type"]) if row["type"] else str(language("unknown")) for row in rows),
        _shares(rows, _BACK, [str(language(f"roundtrip.{one}")) for one in _BACK]),
        str(language("type")),
    )
    return [drawing(language, chart), *_causes(subject)] if rows else []


def _causes(subject: Subject) -> list[Block]:
    """Which fields do not come back, and the loss that says so."""
    language, causes = subject.language, subject.summary["round_trip"]["causes"]
    heads = [*(str(language(key)) for key in ("type", "field", "loss")), f"#{language('messages')}"]
    rows = [
        (
            subject.type(one["type"]),
            subject.field(one["path"]),
            Markup("<code>{}</code>").format(one["loss"]) if one["loss"] else "–",
            subject.few(one["messages"]),
            subject.refer(one["finding"]),
        )
        for one in causes[:_CAUSES]
    ]
    return [grid(str(language("roundtrip.causes")), [*heads, str(language("finding"))], rows)] if rows else []


def stays(subject: Subject) -> Section:
    """What needs a loss to be accepted, an agreement or a change, or has no target; and why."""
    language, automation = subject.language, subject.summary["automation"]
    rest = sum(automation["classes"][one] or 0 for one in CLASSES if one not in _ALONE)
    section = Section("stays", str(language("stays")), [Words(language("stays.lead", rest=subject.of_all(rest)))])
    section.blocks += [*_coverage(subject), *_losses(subject)]
    section.blocks += _parts(subject, "parties.rest", [one for one in CLASSES if one not in _ALONE])
    section.blocks += [*_systems(subject), *_quality(subject), *_old_versions(subject)]
    return section


def _coverage(subject: Subject) -> list[Block]:
    language, coverage = subject.language, subject.summary["coverage"]
    weights = {"elements": "by_element", "occurrences": "by_occurrence", "messages": "by_message"}
    chart = Chart(
        "coverage-chart",
        "share",
        str(language("coverage.chart")),
        str(language("coverage.about")),
        "",
        tuple(str(language(f"weight.{one}")) for one in weights),
        _shares((coverage[key] for key in weights.values()), STATES, [str(language(f"state.{one}")) for one in STATES]),
        str(language("weighed")),
    )
    says = language(
        "coverage.say",
        whole=language.percent(coverage["without_loss"]["share"]),
        strict=language.percent(coverage["without_any_loss"]["share"]),
    )
    return [Heading("", "coverage"), drawing(language, chart), Words(says, note=True)]


def _losses(subject: Subject) -> list[Block]:
    language = subject.language
    reasons = subject.summary["coverage"]["reasons"]
    if not reasons:
        return []
    heads = [
        *(str(language(key)) for key in ("loss", "what", "severity")),
        *(f"#{language(key)}" for key in ("fields", "values", "messages")),
        str(language("finding")),
    ]
    rows = [
        (
            Markup("<code>{}</code>").format(one["loss"]),
            _english(one["what"]),
            subject.known("severity", one["severity"]),
            language.number(one["fields"]),
            language.number(one["occurrences"]),
            language.number(one["messages"]),
            subject.refers(one["findings"], 2),
        )
        for one in reasons[:_REASONS]
    ]
    return [grid(str(language("losses")), heads, rows)]


def _english(text: str) -> Markup:
    """Words of a catalogue, which speaks English."""
    return Markup('<span lang="en">{}</span>').format(text)


def _systems(subject: Subject) -> list[Block]:
    """How many systems are approved for what, if an inventory was given."""
    language, held = subject.language, subject.summary["inventory"]
    if not held:
        return []
    types = {row["type"] for row in subject.summary["volume"]["by_type"]}
    ways = ("sends", "receives", "fhir")
    heads = [str(language("type")), *(f"#{language(f'approved.{way}')}" for way in ways)]
    rows = [
        (subject.type(row["type"]), *(language.number(row[way]) for way in ways))
        for row in held["by_type"]
        if row["type"] in types
    ]
    says = language("systems.say", systems=language.number(held["systems"]), vendors=language.number(held["vendors"]))
    heading = Heading(str(language("systems")))
    return [heading, Words(says), *([grid(str(language("systems")), heads, rows)] if rows else [])]


def _quality(subject: Subject) -> list[Block]:
    language = subject.language
    heads = [
        str(language("check")),
        *(f"#{language(key)}" for key in ("tested", "failed", "share")),
        str(language("sender")),
        str(language("finding")),
    ]
    rows = [
        (
            subject.known("code", one["check"]),
            language.number(one["tested"]),
            language.number(one["failed"]),
            language.percent(one["share"]),
            Markup(", ").join(
                Markup("{}: {}").format(subject.party(party), told)
                for party, told in list(subject.guarded(one["senders"], one["failed"]).items())[:3]
            ),
            subject.refers(one["findings"], 2),
        )
        for one in subject.summary["quality"]
    ]
    return [grid(str(language("quality")), heads, rows)] if rows else []


def _old_versions(subject: Subject) -> list[Block]:
    language, old = subject.language, subject.summary["old_versions"]
    says = language("old.say", messages=language.number(old["messages"]), share=language.percent(old["share"]))
    heads = [*(str(language(key)) for key in ("type", "version", "newest", "sender")), f"#{language('messages')}"]
    rows = [
        (
            subject.type(one["type"]),
            one["version"],
            one["newest"],
            subject.party(one["party"]),
            subject.few(one["messages"]),
        )
        for one in old["rows"][:_PARTS]
    ]
    return [
        Heading(str(language("old"))),
        Words(says + Markup(" ") + subject.refers(old["findings"])),
        *([grid(str(language("old")), heads, rows)] if rows else []),
    ]


def top(subject: Subject) -> Section:
    """The largest findings, and where the largest senders have them."""
    language = subject.language
    found = [one for one in subject.findings if one["kind"] != "volume"][:TOP]
    heads = [
        "",
        str(language("finding")),
        str(language("driver")),
        str(language("severity")),
        *(f"#{language(key)}" for key in ("messages", "share", "senders", "points")),
    ]
    rows = [
        (
            subject.refer(one["finding"]),
            subject.describe(one),
            language.known(f"driver.{one['driver']}", one["driver"]),
            subject.known("severity", one["severity"]),
            subject.few(one["messages"]),
            language.percent(one["share"]) if subject.many(one["messages"]) else "–",
            language.number(len(one["senders"]) or None),
            subject.worth(one["finding"]),
        )
        for one in found
    ]
    section = Section("top", str(language("top")), [Words(language("top.lead"))])
    section.blocks.append(grid(str(language("top")), heads, rows, fold=False))
    section.blocks += _crossed(subject, found)
    return section


def _crossed(subject: Subject, found: Sequence[Mapping[str, Any]]) -> list[Block]:
    """Messages by finding and sender. Small numbers are withheld, those of the senders taken together as well."""
    language = subject.language
    largest = sorted(subject.summary["volume"]["by_sender"], key=lambda one: (-(one["messages"] or 0), one["party"]))
    senders = [one["party"] for one in largest[:_SENDERS]]
    if not senders or not found:
        return []
    few = language("few.say", few=FEW, shown=f"<{FEW}", withheld=WITHHELD)
    heads = [str(language("finding")), *(Markup("#{}").format(subject.party(one)) for one in senders)]
    rows = []
    for one in found:
        at = subject.guarded(one["senders"], one["messages"])
        # Where not even the senders are told, a nought would say too much.
        nothing = "0" if at else "–"
        rows.append((subject.refer(one["finding"]), *(at.get(party, nothing) for party in senders)))
    return [
        Words(language("cross.say", few=few)),
        grid(str(language("cross")), heads, rows, fold=False),
    ]
