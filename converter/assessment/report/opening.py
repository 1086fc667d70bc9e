"""The report's first two sections: the answer in five sentences, and the three drivers."""

from __future__ import annotations

from markupsafe import Markup

from converter.assessment.report.blocks import ASSUMED, MEASURED, Points, Section, Words, drawing, grid
from converter.assessment.report.charts import Chart, Series
from converter.assessment.report.pricing import hours_range, points_range, timing
from converter.assessment.report.subject import Subject


def answer(subject: Subject) -> Section:
    """Five sentences; each main number leads to what is behind it."""
    language = subject.language
    section = Section("answer", str(language("answer")))
    sentences = (_sent, _moves, _stays, _effort, timing)
    section.blocks.append(Points(tuple(one(subject) for one in sentences), numbered=True))
    section.blocks += [Words(one, note=True) for one in (*_sample(subject), _unread(subject))]
    section.blocks += [
        Words(
            language(
                "marks.say",
                **{
                    name: Markup("<strong>{}</strong> ({})").format(
                        language(f"mark.{name}"), language(f"mark.{name}.short")
                    )
                    for name in ("measured", "given", "assumed")
                },
            ),
            note=True,
        ),
        Words(language("ranges.say"), note=True),
    ]
    return section


def _behind(subject: Subject, id_: str) -> str | None:
    """The finding that a headline names."""
    return next((one["finding"] for one in subject.summary["headline"] if one["id"] == id_), None)


def _measured(subject: Subject, text: object, finding: str | None, place: str, label: str) -> Markup:
    return subject.headline(text, finding, MEASURED, otherwise=(place, label))


def _sent(subject: Subject) -> Markup:
    language, volume = subject.language, subject.summary["volume"]
    corpus = subject.summary["corpus"]
    letters = sum(row["messages"] for row in volume["by_type"] if row["role"] == "letter")
    types = len({row["type"] for row in volume["by_type"]})
    place, label = "volume", "A"
    return language(
        "answer.sent",
        messages=_measured(
            subject, language.number(subject.messages), _behind(subject, "messages"), "volume-total", label
        ),
        types=_measured(subject, language.number(types), None, place, label),
        senders=_measured(subject, language.number(corpus["senders"]), None, "senders", label),
        letters=_measured(subject, language.number(letters), None, place, label),
        period=subject.period(),
    )


def _moves(subject: Subject) -> Markup:
    language, classes = subject.language, subject.summary["automation"]["classes"]
    whole = subject.summary["coverage"]["without_loss"]
    automatic = (classes["A"] or 0) + (classes["B"] or 0)
    return language(
        "answer.moves",
        automatic=_measured(subject, language.number(automatic), _behind(subject, "automatic"), "classes", "3"),
        share=subject.of_all(automatic),
        whole=_measured(subject, language.number(whole["messages"]), whole["finding"], "coverage", "4"),
        whole_share=language.percent(whole["share"]),
    )


def _stays(subject: Subject) -> Markup:
    language, classes = subject.language, subject.summary["automation"]["classes"]

    def told(number: int | None, *letters: str) -> Markup:
        text = f"{language.count(number)} ({subject.of_all(number)})"
        return _measured(subject, text, _causing(subject, letters), "classes", "3")

    change = None if None in (classes["D"], classes["E"]) else classes["D"] + classes["E"]
    return language(
        "answer.stays", loss=told(classes["C"], "C"), change=told(change, "D", "E"), homeless=told(classes["F"], "F")
    )


def _causing(subject: Subject, letters: tuple[str, ...]) -> str | None:
    """The first reason of the largest part that needs one of these classes."""
    parts = [one for one in subject.summary["automation"]["by_type_party"] if one["class"] in letters]
    parts.sort(key=lambda one: (-(one["messages"] or 0), one["type"], one["party"]))
    return next((one["reasons"][0] for one in parts if one["reasons"]), None)


def _effort(subject: Subject) -> Markup:
    language, effort = subject.language, subject.summary["effort"]
    driver, most = max(effort["by_driver"].items(), key=lambda one: one[1], default=("model", 0))
    finding = _behind(subject, "effort-points")
    span = points_range(subject)

    def told(text: str) -> Markup:
        return subject.headline(text, finding, ASSUMED, otherwise=("effort", "B"))

    more = {
        "driver": language.known(f"driver.{driver}", driver),
        "share": language.percent(most / effort["points"] if effort["points"] else None, 0),
    }
    if span is None:
        return language("answer.effort-alone", points=told(language.number(effort["points"], 1)), **more)
    low, likely, high = span
    more["hours"] = hours_range(subject)
    key = "answer.effort-hours" if more["hours"] else "answer.effort"
    return language(key, range=told(language.span(low, high)), points=language.number(likely), **more)


def _sample(subject: Subject) -> list[Markup]:
    sample, language = subject.summary["corpus"]["sample"], subject.language
    if not sample:
        return []
    how = ", ".join(f"{key}: {value}" for key, value in sample.items() if not isinstance(value, (dict, list)))
    return [language("sampled", how=how)]


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
    names = [str(language.known(f"driver.{row['driver']}", row["driver"])) for row in rows]
    section.blocks.append(
        grid(
            str(language("drivers")),
            [
                str(language("driver")),
                str(language("means")),
                *(f"#{language(key)}" for key in ("points", "share", "findings", "messages")),
                str(language("largest")),
            ],
            [
                (
                    name[:1].upper() + name[1:],
                    language.known(f"driver.{row['driver']}.means", ""),
                    language.number(row["points"], 1),
                    language.percent(row["points"] / points if points else None, 0),
                    language.number(row["findings"]),
                    language.number(row["messages"]),
                    subject.refers(row["top"]),
                )
                for name, row in zip(names, rows, strict=True)
            ],
        )
    )
    series = (Series(str(language("points")), tuple(row["points"] for row in rows)),)
    chart = Chart(
        "drivers-chart",
        "bars",
        str(language("drivers.chart")),
        str(language("drivers.about")),
        str(language("points.unit")),
        tuple(names),
        series,
        str(language("driver")),
        1,
    )
    section.blocks.append(drawing(language, chart))
    return section
