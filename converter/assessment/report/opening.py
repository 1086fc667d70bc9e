"""The report's first two sections: the answer in five sentences, and the three drivers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from converter.assessment.report.blocks import (
    ASSUMED,
    GIVEN,
    MEASURED,
    Grid,
    Points,
    Row,
    Section,
    Words,
    drawing,
    figure,
    grid,
    linked,
)
from converter.assessment.report.charts import Chart, Series
from converter.assessment.report.pricing import (
    COMMAND,
    ENDS,
    hours_range,
    in_order,
    is_priced,
    name,
    points_range,
    unit,
)
from converter.assessment.report.subject import Subject


class Answer:
    """The main numbers of the answer: each leads to its row of a table, with its count and the finding behind it."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.rows: list[Row] = []

    def figure(
        self,
        id_: str,
        text: str,
        findings: Sequence[str | None] = (),
        *,
        part: int | None = None,
        origin: str = MEASURED,
        of: str = "",
        place: tuple[str, str] = ("volume", "A"),
    ) -> Markup:
        """A main number. Behind it are findings, or (place and label) a table further down.

        `part` is of all messages; `of` is what a number that counts no messages counts.
        """
        subject, language = self.subject, self.subject.language
        known = [one for one in findings if one and one in subject.labels]
        label = subject.labels[known[0]] if known else place[1]
        behind = subject.refers(known, 3) if known else linked(place[1], place[0])
        code = Markup(" <code>{}</code>").format(known[0]) if known else Markup()
        share = "" if part is None else subject.of_all(part)
        cells = (language(f"figure.{id_}"), f"{text} {of}".strip(), share, language(f"mark.{origin}"), behind + code)
        self.rows.append(Row(cells, id=f"figure-{id_}"))
        return figure(language, text, f"figure-{id_}", label, origin)

    def table(self) -> Grid:
        """Where the main numbers lead."""
        language = self.subject.language
        heads = [
            str(language("figure")),
            *(f"#{language(key)}" for key in ("count", "share-of-all")),
            str(language("origin")),
            str(language("finding")),
        ]
        return grid(str(language("figures")), heads, self.rows, fold=False)


def answer(subject: Subject) -> Section:
    """Five sentences; each main number leads to what is behind it."""
    language, told = subject.language, Answer(subject)
    section = Section("answer", str(language("answer")))
    sentences = (_sent, _moves, _stays, _effort, _timing)
    section.blocks.append(Points(tuple(one(told) for one in sentences), numbered=True))
    section.blocks += [Words(one, note=True) for one in (*_sample(subject), _unread(subject))]
    marks = {
        name: Markup("<strong>{}</strong> ({})").format(language(f"mark.{name}"), language(f"mark.{name}.short"))
        for name in (MEASURED, GIVEN, ASSUMED)
    }
    section.blocks += [Words(language("marks.say", **marks), note=True), Words(language("ranges.say"), note=True)]
    section.blocks.append(told.table())
    return section


def _behind(subject: Subject, id_: str) -> str | None:
    """The finding that a headline names."""
    return next((one["finding"] for one in subject.summary["headline"] if one["id"] == id_), None)


def _sent(told: Answer) -> Markup:
    subject = told.subject
    volume, number = subject.summary["volume"], subject.language.number
    letters = sum(row["messages"] for row in volume["by_type"] if row["role"] == "letter")
    counted = [one["finding"] for one in subject.findings if one["kind"] == "volume"]
    return subject.language(
        "answer.sent",
        messages=told.figure("messages", number(subject.messages), counted, part=subject.messages),
        types=told.figure("types", number(len({row["type"] for row in volume["by_type"]})), counted),
        senders=told.figure("senders", number(subject.summary["corpus"]["senders"]), place=("senders", "A")),
        letters=told.figure("letters", number(letters), counted, part=letters),
        others=number(subject.messages - letters),
        period=subject.period(),
    )


def _moves(told: Answer) -> Markup:
    subject = told.subject
    classes, whole = subject.summary["automation"]["classes"], subject.summary["coverage"]["without_loss"]
    automatic, number = (classes["A"] or 0) + (classes["B"] or 0), subject.language.number
    return subject.language(
        "answer.moves",
        automatic=told.figure("automatic", number(automatic), [_behind(subject, "automatic")], part=automatic),
        share=subject.of_all(automatic, "automatic"),
        whole=told.figure("whole", number(whole["messages"]), [whole["finding"]], part=whole["messages"]),
        whole_share=subject.of_all(whole["messages"], "without-loss"),
    )


def _stays(told: Answer) -> Markup:
    subject, classes = told.subject, told.subject.summary["automation"]["classes"]

    def figure_of(id_: str, *letters: str) -> Markup:
        numbers = [classes[letter] for letter in letters]
        part = None if None in numbers else sum(numbers)
        place = (f"class-{letters[-1]}", "3")
        text = subject.language.count(part)
        link = told.figure(id_, text, _causing(subject, letters), part=part, place=place)
        return Markup("{} ({})").format(link, subject.of_all(part))

    return subject.language(
        "answer.stays",
        loss=figure_of("loss", "C"),
        change=figure_of("change", "D", "E"),
        homeless=figure_of("homeless", "F"),
    )


def _causing(subject: Subject, letters: tuple[str, ...]) -> list[str]:
    """The reasons of the parts that need one of these classes, those of the largest part first."""
    parts = [one for one in subject.summary["automation"]["by_type_party"] if one["class"] in letters]
    parts.sort(key=lambda one: (-(one["messages"] or 0), one["type"], one["party"]))
    return list(dict.fromkeys(reason for one in parts for reason in one["reasons"]))


def _effort(told: Answer) -> Markup:
    subject, language = told.subject, told.subject.language
    effort = subject.summary["effort"]
    driver, most = max(effort["by_driver"].items(), key=lambda one: one[1], default=("model", 0))
    findings, place = [_behind(subject, "effort-points")], ("effort", "B")
    more = {
        "driver": language.known(f"driver.{driver}", driver),
        "share": language.percent(most / effort["points"] if effort["points"] else None, 0),
    }
    low, likely, high = points_range(subject)
    text, unit_of_points = language.span(low, high), str(language("points.unit"))
    more["range"] = told.figure("points", text, findings, origin=ASSUMED, of=unit_of_points, place=place)
    more["points"] = language.number(likely)
    if hours := hours_range(subject):
        return language("answer.effort-hours", hours=hours, **more)
    return language("answer.effort", **more)


def _timing(told: Answer) -> Markup:
    """The cheapest and the dearest scenario, or what is missing for that."""
    subject, language = told.subject, told.subject.language
    scenarios = in_order(subject)
    if not scenarios:
        return language("answer.timing-missing", command=COMMAND)
    priced = is_priced(subject)
    more: dict[str, Any] = {"unit": unit(subject)}
    for id_, one in (("best", scenarios[0]), ("worst", scenarios[-1])):
        text = language.span(one["total"]["low"], one["total"]["high"])
        place = (f"scenario-{one['id']}", one["id"])
        more[f"{id_}_range"] = told.figure(
            id_, text, origin=GIVEN if priced else ASSUMED, of=unit(subject), place=place
        )
        more[f"{id_}_likely"] = language.number(one["total"]["likely"])
        more[id_] = name(language, one["id"])
    return language("answer.timing" if priced else "answer.timing-hours", **more)


def _sample(subject: Subject) -> list[Markup]:
    sample, number = subject.summary["corpus"]["sample"], subject.language.number
    if not sample:
        return []
    counts = {key: number(sample[key]) for key in ("messages", "assessed", "least", "strata")}
    errors = {key: subject.error(id_) for key, id_ in (("automatic", "automatic"), ("whole", "without-loss"))}
    return [subject.language("sampled", **counts, **errors)]


def _unread(subject: Subject) -> Markup:
    corpus, number = subject.summary["corpus"], subject.language.number
    return subject.language(
        "unread", unread=number(corpus["unread"]), skipped=number(corpus["skipped"]), copies=number(corpus["copies"])
    )


def drivers(subject: Subject) -> Section:
    """The three reasons why it costs, each with its largest findings."""
    language, rows = subject.language, subject.summary["drivers"]
    section = Section("drivers", str(language("drivers")), [Words(language("drivers.lead"))])
    points = sum(row["points"] for row in rows)
    spans = [points_range(subject, row["points"]) for row in rows]
    names = [str(language.known(f"driver.{row['driver']}", row["driver"])) for row in rows]
    section.blocks.append(
        grid(
            str(language("drivers")),
            [
                str(language("driver")),
                str(language("means")),
                *(f"#{language(key)}" for key in ("points", "span", "share", "findings", "messages")),
                str(language("largest")),
            ],
            [
                (
                    name[:1].upper() + name[1:],
                    language.known(f"driver.{row['driver']}.means", ""),
                    language.number(likely),
                    language.span(low, high),
                    language.percent(row["points"] / points if points else None, 0),
                    language.number(row["findings"]),
                    language.number(row["messages"]),
                    subject.refers(row["top"]),
                )
                for name, row, (low, likely, high) in zip(names, rows, spans, strict=True)
            ],
        )
    )
    series = tuple(
        Series(str(language(f"range.{end}")), tuple(round(span[at], 1) for span in spans))
        for at, end in enumerate(ENDS)
    )
    chart = Chart(
        "drivers-chart",
        "range",
        str(language("drivers.chart")),
        str(language("drivers.about")),
        str(language("points.unit")),
        tuple(names),
        series,
        str(language("driver")),
    )
    section.blocks.append(drawing(language, chart))
    return section
