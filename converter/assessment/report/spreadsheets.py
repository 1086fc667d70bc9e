"""Copies of tables as CSV, for spreadsheets. No cell of them is ever a formula."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from converter.assessment.report import pricing
from converter.assessment.report.subject import Subject
from converter.assessment.tables import CLASSES, TABLES, read_arrow
from converter.sinks import AtomicFile, written

if TYPE_CHECKING:
    import pyarrow as pa

FORMS = {"comma": (",", "."), "semicolon": (";", ",")}
"""Delimiter and decimal mark. A Danish Excel opens the second with a double click."""
FORM_OF = {"en": "comma", "da": "semicolon"}
"""Which form goes with a language."""
_POINTS = ("points_low", "points_likely", "points_high")
_MARK = b"\xef\xbb\xbf"
# What begins a formula, also behind a delimiter or a quote: a program that is set up for the other delimiter cuts
# there. The full-width forms are formulas in East Asian versions. Tabs and line ends, which cut too, become blanks.
_CUTS = r"[\x00-\x1F\x7F\x{2028}\x{2029}]"
_FORMULA = r"(^|[;,])([ \"]*)([=+\-@\x{FF1D}\x{FF0B}\x{FF0D}\x{FF20}])"


def write_copies(folder: Path, subject: Subject, form: str) -> list[Path]:
    """Write each table of an assessment as CSV beside it, and the figures by type and of the scenarios; which files.

    Raises `InterchangeError` for a table that cannot be read, `SinkError` for a file that cannot be written.
    """
    done = []
    for table in TABLES:
        source = folder / table.file
        if source.exists():
            done.append(source.with_suffix(".csv"))
            write_csv(read_arrow(source, table), done[-1], form)
    for name, rows in (("types", _types(subject)), ("scenarios", _scenarios(subject))):
        if rows:
            done.append(folder / f"{name}.csv")
            write_csv(_arrow(rows), done[-1], form)
    return done


def _arrow(rows: list[dict[str, Any]]) -> pa.Table:
    import pyarrow as pa

    return pa.Table.from_pylist(rows)


def _types(subject: Subject) -> list[dict[str, Any]]:
    """A row a type: messages, shares of the classes, points."""
    summary = subject.summary
    points = {row["type"]: row["points"] for row in summary["effort"]["by_type"]}
    messages: Counter[str] = Counter()
    for row in summary["volume"]["by_type"]:
        messages[row["type"]] += row["messages"]
    return [
        {
            "type": row["type"],
            "name": subject.type(row["type"]),
            "messages": messages[row["type"]],
            **{f"share_{one}": _share(row["classes"][one], messages[row["type"]]) for one in CLASSES},
            **dict(zip(_POINTS, pricing.points_range(subject, points.get(row["type"], 0.0)), strict=True)),
        }
        for row in summary["automation"]["by_type"]
    ]


def _share(part: int | None, whole: int) -> float | None:
    return None if part is None or not whole else round(part / whole, 6)


def _scenarios(subject: Subject) -> list[dict[str, Any]]:
    """A row a scenario: its sum from low to high."""
    held = (subject.priced or {}).get("scenarios", ())
    unit = pricing.unit(subject)
    return [
        {
            "scenario": one["id"],
            "name": pricing.name(subject.language, one["id"]),
            "unit": unit,
            **{end: float(one["total"][end]) for end in ("low", "likely", "high")},
        }
        for one in held
    ]


def write_csv(table: pa.Table, path: Path, form: str) -> None:
    """Write a table as CSV in UTF-8 (with the mark that Excel looks for), mode 0600, replacing what stands there.

    Texts stand in quotes, and an apostrophe goes before what a spreadsheet would take for a formula. Raises
    `SinkError` if the file cannot be written.
    """
    import duckdb

    delimiter, decimal = FORMS[form]
    columns = ", ".join(f"{_cell(field, decimal)} AS {_quoted(field.name)}" for field in table.schema)
    texts = ", ".join(_quoted(field.name) for field in table.schema if _is_text(field))
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".medcom-fhir-", suffix=".tmp")
        os.close(handle)
    except OSError as error:
        raise written(path, error) from error
    try:
        with duckdb.connect() as database:
            database.register("held", table)
            quotes = f", FORCE_QUOTE ({texts})" if texts else ""
            options = f"(FORMAT csv, HEADER, DELIMITER '{delimiter}', NULLSTR ''{quotes})"
            database.execute(f"COPY (SELECT {columns} FROM held) TO '{temporary}' {options}")
        file = AtomicFile(path, force=True)
        file.write(_MARK)
        with Path(temporary).open("rb") as content:
            while piece := content.read(1 << 20):
                file.write(piece)
        file.commit()
    except OSError as error:
        raise written(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temporary)


def _cell(field: Any, decimal: str) -> str:
    import pyarrow.types as kinds

    name = _quoted(field.name)
    if kinds.is_floating(field.type):
        return f"replace(CAST({name} AS VARCHAR), '.', '{decimal}')"
    if _is_text(field):
        return rf"regexp_replace(regexp_replace({name}, '{_CUTS}', ' ', 'g'), '{_FORMULA}', '\1\2''\3', 'g')"
    return name


def _is_text(field: Any) -> bool:
    import pyarrow.types as kinds

    return bool(kinds.is_string(field.type))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
