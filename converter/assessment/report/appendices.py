"""The appendices: type by type, points, all findings, messaging and operation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from converter.assessment.report.blocks import Block, Heading, Row, Section, Words, drawing, grid
from converter.assessment.report.charts import Chart, Series
from converter.assessment.report.pricing import points_range
from converter.assessment.report.subject import Subject
from converter.assessment.tables import CLASSES, STATES

_ALL = 500
"""Findings that are listed in any case; further down only those that the report refers to."""
_CLUSTERS = 8
_SENDERS = 30


def by_type(subject: Subject) -> Section:
    """Appendix A: volume, and for each type what the sections before said of all types."""
    language = subject.language
    section = Section("appendix-a", str(language("appendix-a")), [*_volume(subject), *_by_month(subject)])
    section.blocks += _by_sender(subject)
    types = dict.fromkeys(row["type"] for row in subject.summary["volume"]["by_type"])
    for type_ in types:
        section.blocks += _one_type(subject, type_)
    return section


def _volume(subject: Subject) -> list[Block]:
    language, rows = subject.language, subject.summary["volume"]["by_type"]
    heads = [
        *(str(language(key)) for key in ("type", "version", "syntax", "role")),
        *(f"#{language(key)}" for key in ("messages", "share", "bytes", "attachments")),
        str(language("finding")),
    ]
    counted = {one["type"]: one["finding"] for one in subject.findings if one["kind"] == "volume"}
    held = [
        Row(
            (
                subject.type(row["type"]) if row["type"] else language("unknown"),
                row["version"],
                row["syntax"],
                subject.known("role", row["role"]),
                language.number(row["messages"]),
                language.percent(row["share"]),
                language.number(row["bytes"]),
                language.number(row["attachments"]),
                subject.refer(counted.get(row["type"])),
            )
        )
        for row in rows
    ]
    total = (
        *(language("total"), "", "", ""),
        language.number(subject.messages),
        language.percent(1),
        language.number(subject.summary["corpus"]["bytes"]),
        language.number(sum(row["attachments"] for row in rows)),
        "",
    )
    held.append(Row(total, id="volume-total", total=True))
    return [Heading("", "volume"), grid(str(language("volume.by-type")), heads, held, fold=False)]


def _by_month(subject: Subject) -> list[Block]:
    language, months = subject.language, subject.summary["volume"]["by_month"]
    if len(months) < 2:
        return []
    series = (Series(str(language("messages")), tuple(one["messages"] for one in months)),)
    chart = Chart(
        "volume-chart",
        "line",
        str(language("volume.chart")),
        str(language("volume.about")),
        "",
        tuple(language.month(one["month"]) for one in months),
        series,
        str(language("month")),
    )
    return [drawing(language, chart)]


def _by_sender(subject: Subject) -> list[Block]:
    language, volume = subject.language, subject.summary["volume"]
    heads = [str(language("sender")), f"#{language('messages')}", f"#{language('share')}"]
    rows = [
        (subject.party(one["party"]), subject.few(one["messages"]), subject.of_all(one["messages"]))
        for one in volume["by_sender"][:_SENDERS]
    ]
    found: list[Block] = [Heading("", "senders"), grid(str(language("senders")), heads, rows)]
    if len(volume["by_sender"]) > _SENDERS:
        more = language("more", number=language.number(len(volume["by_sender"]) - _SENDERS), file="summary.json")
        found.append(Words(more, note=True))
    return found


def _one_type(subject: Subject, type_: str) -> list[Block]:
    language, summary = subject.language, subject.summary
    found: list[Block] = [Heading(subject.type(type_) if type_ else str(language("unknown")), f"type-{type_}")]
    for row in summary["coverage"]["by_type"]:
        if row["type"] == type_:
            found.append(_states(subject, row))
    classes = next((row["classes"] for row in summary["automation"]["by_type"] if row["type"] == type_), None)
    if classes:
        heads = [str(language("class")), *(f"#{language(f'class.{one}')}" for one in CLASSES)]
        counts = (str(language("messages")), *(language.count(classes[one]) for one in CLASSES))
        found.append(grid(str(language("classes.table")), heads, [counts]))
    return [*found, *_clusters(subject, type_)]


def _states(subject: Subject, row: Mapping[str, Any]) -> Block:
    """What becomes of the fields of a type and version, by three weights."""
    language = subject.language
    keys = {"elements": "elements", "occurrences": "occurrences", "messages": "by_message"}
    heads = [str(language("weighed")), *(f"#{language(f'state.{one}')}" for one in STATES), f"#{language('total')}"]
    rows = []
    for key, held in keys.items():
        total = sum(row[held].values())
        cells = [
            f"{language.number(row[held][one])} ({language.percent(row[held][one] / total, 0)})" if total else "0"
            for one in STATES
        ]
        rows.append((language(f"weight.{key}"), *cells, language.number(total)))
    return grid(f"{language('coverage.chart')} · {row['type']} {row['version']}", heads, rows)


def _clusters(subject: Subject, type_: str) -> list[Block]:
    language = subject.language
    held = [one for one in subject.summary["clusters"]["rows"] if one["type"] == type_ and one["deviating"]]
    if not held:
        return []
    heads = [
        str(language("cluster")),
        str(language("version")),
        *(f"#{language(key)}" for key in ("messages", "senders")),
        str(language("departs")),
        str(language("finding")),
    ]
    rows = [
        (
            Markup("<code>{}</code>").format(one["cluster"]),
            one["version"],
            subject.few(one["messages"]),
            language.number(one["senders"]),
            subject.differences(one["finding"], 5),
            subject.refer(one["finding"]),
        )
        for one in held[:_CLUSTERS]
    ]
    return [grid(str(language("largest-clusters")), heads, rows)]


def effort(subject: Subject) -> Section:
    """Appendix B: each row of points with the finding that causes it."""
    language, held = subject.language, subject.summary["effort"]
    heads = [
        *(str(language(key)) for key in ("id", "effort.kind", "type", "driver")),
        *(f"#{language(key)}" for key in ("count", "unit-each", "points")),
        str(language("finding")),
    ]
    rows = [
        Row(
            (
                one["id"],
                subject.effort(one["kind"]),
                subject.type(one["type"]),
                language.known(f"driver.{one['driver']}", one["driver"]),
                language.number(one["count"]),
                language.number(one["unit"], 1),
                language.number(one["points"], 1),
                subject.refer(one["finding"]),
            ),
            id=f"effort-{one['id']}",
        )
        for one in held["rows"]
    ]
    low, likely, high = points_range(subject)
    total = f"{language.number(likely)} ({language.span(low, high)})"
    rows.append(Row((language("total"), "", "", "", "", "", total, ""), id="effort-total", total=True))
    blocks: list[Block] = [Words(language("effort.lead")), Heading("", "effort")]
    return Section("appendix-b", str(language("appendix-b")), [*blocks, grid(str(language("points")), heads, rows)])


def findings(subject: Subject) -> Section:
    """Appendix C: where the F-numbers lead. Made last, when it is known which ones are referred to."""
    language = subject.language
    listed = [
        one
        for number, one in enumerate(subject.findings, 1)
        if number <= _ALL or subject.labels[one["finding"]] in subject.referred
    ]
    heads = [
        "",
        str(language("finding")),
        str(language("driver")),
        str(language("severity")),
        *(f"#{language(key)}" for key in ("messages", "values", "points")),
    ]
    rows = [
        Row(
            (
                subject.labels[one["finding"]],
                Markup('{}<br><code class="quiet">{}</code>').format(subject.describe(one), one["finding"]),
                language.known(f"driver.{one['driver']}", one["driver"]),
                subject.known("severity", one["severity"]),
                subject.few(one["messages"]),
                language.number(one["occurrences"]) if subject.many(one["messages"]) else "–",
                subject.worth(one["finding"]),
            ),
            id=subject.labels[one["finding"]],
        )
        for one in listed
    ]
    blocks: list[Block] = [Words(language("all-findings.lead")), grid(str(language("findings")), heads, rows)]
    if left := len(subject.findings) - len(listed):
        more = language("more", number=language.number(left), file="findings.parquet")
        blocks.append(Words(more, note=True))
    return Section("appendix-c", str(language("appendix-c")), blocks)


def messaging(subject: Subject) -> Section:
    """Appendix D: receipts, attachments, copies, what must be remembered, referrals and answers, operation."""
    language, held = subject.language, subject.summary["messaging"]
    section = Section("appendix-d", str(language("appendix-d")), [Heading(str(language("receipts")))])
    section.blocks += [Words(_told(subject, "receipts.say", held["receipts"])), *_delays(subject)]
    section.blocks += [
        Heading(str(language("attachments"))),
        Words(_told(subject, "attachments.say", held["attachments"])),
    ]
    section.blocks.append(Words(_told(subject, "copies.say", held["copies"])))
    heads = [str(language("retention")), f"#{language('pairs')}"]
    rows = [(subject.known("retention", one["retention"]), language.number(one["pairs"])) for one in held["open_pairs"]]
    section.blocks += [Heading(str(language("open"))), Words(language("open.say"))]
    section.blocks.append(grid(str(language("open")), heads, rows))
    section.blocks += [*_flows(subject), *_operation(subject)]
    return section


def _told(subject: Subject, key: str, held: Mapping[str, Any]) -> Markup:
    """A sentence with the figures of a part of messaging, and its findings."""
    language = subject.language
    figures = {name: language.number(value) for name, value in held.items() if isinstance(value, int)}
    figures["share"] = language.percent(held["share"])
    return language(key, **figures) + Markup(" ") + subject.refers(held["findings"])


def _delays(subject: Subject) -> list[Block]:
    language, receipts = subject.language, subject.summary["messaging"]["receipts"]
    found: list[Block] = []
    if receipts["minutes"]:
        quantiles = {key: language.number(value) for key, value in receipts["minutes"].items()}
        found.append(Words(language("delay.quantiles", **quantiles)))
    steps = receipts["histogram"]
    if not steps:
        return found
    names, before = [], 0
    for step in steps:
        last = step["upto"] is None
        key, minutes = ("delay.over", before) if last else ("delay.upto", step["upto"])
        names.append(str(language(key, minutes=language.number(minutes))))
        before = step["upto"] or before
    chart = Chart(
        "delays-chart",
        "bars",
        str(language("delays")),
        str(language("delays.about")),
        "",
        tuple(names),
        (Series(str(language("messages")), tuple(one["messages"] for one in steps)),),
        str(language("delays")),
    )
    return [*found, drawing(language, chart)]


def _flows(subject: Subject) -> list[Block]:
    language, flows = subject.language, subject.summary["flows"]
    mixed = flows["mixed_standards"]
    says = language(
        "flows.say",
        orphans=language.number(flows["answers_without_referral"]),
        mixed=language.number(mixed["patients"]),
    )
    heads = [
        str(language("referral")),
        *(f"#{language(key)}" for key in ("referrals", "answered", "answered-other", "answered-none")),
        str(language("finding")),
    ]
    rows = [
        (
            subject.type(one["referral"]),
            *(language.number(one[key]) for key in ("referrals", "answered", "other", "missing")),
            subject.refers(one["findings"], 2),
        )
        for one in flows["coupling"]
    ]
    found: list[Block] = [Heading(str(language("flows"))), Words(says + Markup(" ") + subject.refer(mixed["finding"]))]
    return [*found, grid(str(language("flows")), heads, rows)] if rows else found


def _operation(subject: Subject) -> list[Block]:
    language, held = subject.language, subject.summary["operation"]
    says = language(
        "operation.say",
        messages=language.number(held["messages_a_month"]),
        megabytes=language.number(held["bytes_a_month"] / 1e6, 1),
        month=language.month(held["busiest_month"]),
        busiest=language.number(held["busiest"]),
    )
    found: list[Block] = [Heading(str(language("operation"))), Words(says)]
    if (measured := subject.operation) and measured["measured"]:
        told = language(
            "operation.measured",
            rate=language.number(measured["messages_a_second_and_core"]),
            memory=language.number(measured["memory_of_a_worker"] / 1e6),
            hours=language.number(measured["core_hours_a_million"], 1),
        )
        found.append(Words(told))
    return found
