"""Writes the report of an assessment: one HTML file that needs nothing else, and the tables as CSV beside it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from converter.assessment.report import appendices, method, moving, opening, pricing
from converter.assessment.report.blocks import Section
from converter.assessment.report.charts import embedded
from converter.assessment.report.language import Language
from converter.assessment.report.spreadsheets import FORM_OF, write_copies
from converter.assessment.report.subject import Subject
from converter.errors import InterchangeError
from converter.naming import Names
from converter.pages import digest, templates
from converter.sinks import write_file

REPORT = "report.html"
SUMMARY, PRICED, ASSUMPTIONS, MANIFEST, OPERATION = (
    f"{name}.json" for name in ("summary", "priced", "assumptions", "manifest", "operation")
)
_HERE = Path(__file__).parent
_LIBRARY = _HERE / "vendor" / "charts.min.js"
_LICENCES = _HERE / "vendor" / "LICENSES.txt"
_LOCALES = {"da": "da-DK", "en": "en-GB"}


def write_all(
    folder: Path, mappings: Path, language: str, *, output: Path | None = None, form: str | None = None
) -> list[Path]:
    """Write the report of the assessment in `folder`, and copies of its tables as CSV beside them; which files.

    The page goes into the folder unless `output` says otherwise. `form` is one of `FORMS`, or `none` for no copies;
    without it the language decides. The same files in the folder give the same bytes, and what stands there already is
    replaced. Raises `InterchangeError` for a folder that holds no assessment, `SinkError` if a file cannot be written.
    """
    subject = read_subject(folder, mappings, language)
    path = output or folder / REPORT
    write_file(path, page(subject).encode(), force=True)
    form = form or FORM_OF[language]
    return [path, *(write_copies(folder, subject, form) if form != "none" else ())]


def read_subject(folder: Path, mappings: Path, language: str) -> Subject:
    """The files of an assessment. What pricing writes may be missing."""
    summary = _read(folder / SUMMARY)
    if not isinstance(summary, dict) or "headline" not in summary:
        raise InterchangeError(f"{folder} holds no assessment: there is no {SUMMARY} of `assess run` in it")
    return Subject(
        summary,
        Language(language),
        Names(mappings),
        priced=_read(folder / PRICED),
        assumptions=_read(folder / ASSUMPTIONS) or (),
        manifest=_read(folder / MANIFEST),
        operation=_read(folder / OPERATION),
    )


def _read(path: Path) -> Any:
    """What a file holds; None if it is not there."""
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        raise InterchangeError(f"cannot read {path} as JSON") from None


def sections(subject: Subject) -> list[Section]:
    """All sections, in the order in which a reader asks."""
    makers: tuple[Callable[[Subject], Section], ...] = (
        opening.answer,
        opening.drivers,
        moving.moves,
        moving.stays,
        moving.top,
        pricing.scenarios,
        method.method,
        appendices.by_type,
        appendices.effort,
    )
    before, after = [make(subject) for make in makers], appendices.messaging(subject)
    return [*before, appendices.findings(subject), after]


def page(subject: Subject) -> str:
    """The whole page."""
    told, language = sections(subject), subject.language
    charts = [chart for section in told for chart in section.charts]
    return (
        templates()
        .get_template("assessment.html.j2")
        .render(
            t=language,
            sections=told,
            messages=language.number(subject.messages),
            period=subject.period(),
            figures=embedded(charts, locale=_LOCALES[language.code], percent=language.sign),
            style=(_HERE / "report.css").read_text(encoding="utf-8"),
            script=(_HERE / "report.js").read_text(encoding="utf-8"),
            library=_LIBRARY.read_text(encoding="utf-8"),
            licences=_LICENCES.read_text(encoding="utf-8"),
            digest=digest,
        )
    )
