"""The command `route`: which messages are converted, passed through, or cannot be delivered."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import click

from converter.cli.exits import describe
from converter.cli.options import Settings, ended, engine_for, examples, shared

if TYPE_CHECKING:
    from converter.routing import Route
    from converter.runs import Run


@click.command(
    epilog=examples(
        "route inbox/ --sor organisations.csv                      what becomes of each message today",
        "route inbox/ --sor organisations.csv --on 2026-09-01      and what on the day when receivers have changed",
        "route letters.zip --sor organisations.csv --format json   decisions, rows and findings as data",
        "route inbox/ --sor organisations.csv --quiet              only what cannot be delivered; exit code 1 if any",
    )
)
@click.argument("inputs", metavar="INPUT...", nargs=-1, required=True)
@click.option("--on", metavar="DATE", type=click.DateTime(["%Y-%m-%d"]), help="The day to decide for (default today).")
@shared
def route(settings: Settings, inputs: Sequence[str], on: datetime | None) -> int:
    """Say what becomes of messages: convert, pass through, or cannot deliver, by the organisation table (--sor).

    INPUT: as for `convert`; nothing is written. The receiver's row that is valid on the day decides: what it is
    registered for (column receives). What its system can receive beyond that, or cannot receive in spite of it (column
    can_receive), stands in two columns of its own. Exit code 1 says that a message cannot be delivered.
    """
    from converter import runs
    from converter.issues import IssueLog, Location
    from converter.routing import Router
    from converter.sources import require

    if settings.sor is None:
        raise click.UsageError("--sor: the organisation table is needed")
    require(inputs)
    reporter = settings.reporter(sys.stdout)
    engine = engine_for(settings, reporter, validate=False)
    run = runs.Run(reporter, settings.limits, describe, lambda: engine.routes)
    day = (on.date() if on else date.today()).isoformat()
    router, log = Router(engine, day), IssueLog()
    rows: list[dict[str, Any]] = []
    with reporter.progress("inputs", stdout_used=True) as advance:
        judge = lambda item: engine.messages(item.data, name=item.display)  # noqa: E731
        for item, outcome in run.outcomes(inputs, judge, advance):
            found = router.route(outcome, Location(item.display, item.line, 1), log)
            rows.append(_row(found, item.display, item.line, str(settings.sor), day))
    _print(run, rows)
    run.report(log)
    reporter.note(_summary(rows, day))
    return ended(reporter, broken=run.broken, tables={"routes": rows})


def _row(found: Route, file: str, line: int, table: str, day: str) -> dict[str, Any]:
    """One message as plain data. No value of it but the numbers of organisations."""
    row = None
    if found.row is not None:
        facts = {name: getattr(found.row, name) for name in ("gln", "sor", "valid_from", "valid_to")}
        row = {"file": table, "line": found.row.line, **facts, "receives": list(found.row.receives)}
    return {
        "file": file,
        "line": line,
        "message": found.name,
        "receiver": found.receiver,
        "on": day,
        "decision": found.decision,
        "as": found.form,
        "reason": found.finding.code if found.finding else None,
        "row": row,
        "can_receive_not_registered": list(found.unregistered),
        "registered_cannot_receive": list(found.unable),
    }


_HEAD = ("message", "type", "receiver", "decision", "as", "row", "can receive, not registered")
_LAST = "registered, cannot receive"


def _print(run: Run, rows: Sequence[dict[str, Any]]) -> None:
    cells = [_cells(row) for row in rows]
    if not cells:
        return
    head = (*_HEAD, _LAST)
    widths = [max(len(line[i]) for line in (head, *cells)) for i in range(len(head))]
    for line in (head, *cells):
        run.reporter.note("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip())
    run.reporter.note("")


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    table = f"line {row['row']['line']}" if row["row"] else "-"
    columns: Iterator[str] = (
        " ".join(row[key]) or "-" for key in ("can_receive_not_registered", "registered_cannot_receive")
    )
    place = f"{row['file']}:{row['line']}"
    return (
        place,
        row["message"] or "-",
        row["receiver"] or "-",
        row["decision"],
        row["as"] or row["reason"] or "-",
        table,
        *columns,
    )


def _summary(rows: Sequence[dict[str, Any]], day: str) -> str:
    from converter.routing import CONVERT, NONE, PASS

    decisions = [row["decision"] for row in rows]
    words = ((CONVERT, "to convert"), (PASS, "to pass through"), (NONE, "cannot be delivered"))
    counts = ", ".join(f"{decisions.count(decision)} {word}" for decision, word in words)
    return f"{len(rows)} messages on {day}: {counts}"


COMMANDS = (route,)
