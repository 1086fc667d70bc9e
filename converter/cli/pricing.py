"""The commands `assess price`, `assess inventory` and `assess diff`: what needs no message."""

from __future__ import annotations

import sys
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from converter.cli.options import EXISTING, FOLDER, NEW, Settings, ended, examples, shared

if TYPE_CHECKING:
    from converter.assessment.pricing_inputs import Costs, Timing
    from converter.reporter import Reporter


@click.command(
    "price",
    epilog=examples(
        "assess price result                                                    points only",
        "assess price result --costs costs.toml --scenarios scenarios.toml      what each timing costs",
    ),
)
@click.argument("folder", metavar="DIR", type=FOLDER)
@click.option("--costs", metavar="TOML", type=EXISTING, help="Hours of a point and prices, as ranges.")
@click.option("--scenarios", metavar="TOML", type=EXISTING, help="Who moves when: waves, dates of parties, slip.")
@shared
def price(settings: Settings, folder: Path, costs: Path | None, scenarios: Path | None) -> int:
    """Price an assessment in the folder DIR: six timings, each from low to high, month by month. No message is read.

    Nothing has a built-in price. Without --costs the result is in points; with hours of a point but no prices, in
    hours. priced.json and priced.csv in DIR are replaced; the same files give the same bytes. Examples of both files
    are in examples/assessment; their numbers are invented.
    """
    from converter.assessment import pricing
    from converter.assessment.pricing_inputs import AssumptionsError, read_costs, read_timing
    from converter.sinks import write_file

    reporter = settings.reporter(sys.stdout)
    summary = pricing.read_summary(folder)
    try:
        given: tuple[Costs | None, Timing | None] = (
            read_costs(costs) if costs else None,
            read_timing(scenarios) if scenarios else None,
        )
    except AssumptionsError as error:
        raise click.ClickException("\n".join(error.faults)) from None
    priced = pricing.price(summary, *given)
    write_file(folder / pricing.PRICED, pricing.as_json(priced), force=True)
    write_file(folder / pricing.PRICED_CSV, pricing.as_csv(priced), force=True)
    _tell(reporter, priced)
    reporter.note(f"`assess report {folder}` tells it as a page")
    return ended(reporter)


def _tell(reporter: Reporter, priced: dict[str, Any]) -> None:
    for name in ("points", "hours"):
        if priced[name] is not None:
            reporter.note(f"{name}: {_span(priced[name])}")
    for one in priced["scenarios"]:
        reporter.note(f"{one['id']}: {_span(one['total'])} {priced['unit']}")
    for note in priced["notes"]:
        reporter.note(f"{note['note']}: {', '.join(note['about'])}".rstrip(": "))
    if not priced["scenarios"]:
        reporter.note("no totals: they need --costs and --scenarios")


def _span(held: dict[str, float]) -> str:
    return f"{held['low']:,} to {held['high']:,}, likely {held['likely']:,}"


@click.command(
    "inventory",
    epilog=examples(
        'assess inventory "Alle systemer.htm" -o inventory.csv                                   the list as a table',
        "assess inventory list.xlsx -o inventory.csv --sor organisations.csv --parties parties.csv",
    ),
)
@click.argument("file", metavar="FILE", type=EXISTING)
@click.option("-o", "--output", metavar="CSV", type=NEW, required=True, help="The list as a table.")
@click.option("--parties", metavar="CSV", type=NEW, help="What the parties of --sor can do and are registered for.")
@click.option("--system-column", metavar="NAME", default="system", show_default=True, help="Their system, in --sor.")
@click.option("--on", metavar="DATE", type=click.DateTime(["%Y-%m-%d"]), help="The day to look at (default today).")
@click.option("--force", is_flag=True, help="Replace files that exist.")
@shared
def inventory(
    settings: Settings,
    file: Path,
    *,
    output: Path,
    parties: Path | None,
    system_column: str,
    on: datetime | None,
    force: bool,
) -> int:
    """Import MedCom's public list of approved systems (FILE: HTML as Excel exports it, or XLSX).

    The table has a row for each approval. With --sor and --parties: what each party's system is approved to send and
    receive, and what the party is registered for, in columns of their own; empty where its system is not in the list.
    """
    from converter.assessment import inventory as making
    from converter.engine import mappings_folder
    from converter.sinks import write_file

    if parties is not None and settings.sor is None:
        raise click.UsageError("--parties: the organisation table (--sor) is needed")
    reporter = settings.reporter(sys.stdout)
    found = making.read(file, settings.mappings or mappings_folder())
    write_file(output, making.as_csv(making.COLUMNS, making.approvals_as_rows(found)), force=force)
    reporter.note(f"{len(found.approvals)} rows, {found.systems} systems, {found.vendors} vendors")
    if found.unnamed or found.undirected:
        reporter.note(f"rows of which no message is known: {found.unnamed}; without a direction: {found.undirected}")
    tables: dict[str, list[Any]] = {"messages": found.by_message()}
    if parties is not None:
        directory = settings.directory(reporter)
        day = (on.date() if on else date.today()).isoformat()
        known = [row for row in directory or () if row.valid(day)]
        rows = list(making.parties(found, known, system_column.lower()))
        write_file(parties, making.as_csv(making.PARTY_COLUMNS, rows), force=force)
        told = making.differences(rows)
        reporter.note("; ".join(f"{name.replace('_', ' ')}: {number}" for name, number in told.items()))
        tables["parties"] = rows
    return ended(reporter, tables=tables)


@click.command(
    "diff",
    epilog=examples(
        "assess diff before after                      what changed, and what of it is worse",
        "assess diff before after --fail-on warning    exit code 1 if anything got worse",
        "assess diff before after --format json        the changes as data",
    ),
)
@click.argument("before", metavar="A", type=FOLDER)
@click.argument("after", metavar="B", type=FOLDER)
@click.option(
    "--tolerance",
    metavar="SHARE",
    type=click.FloatRange(0, 1),
    default=0.001,
    show_default=True,
    help="A share that changes by no more has not changed.",
)
@shared
def diff(settings: Settings, before: Path, after: Path, tolerance: float) -> int:
    """Compare the assessments in the folders A and B: volumes, coverage, clusters, classes, points, quality, findings.

    What is worse in B is a warning (BAT032), so that --fail-on warning gives exit code 1.
    """
    from converter.assessment import comparing, pricing
    from converter.issues import IssueLog

    reporter = settings.reporter(sys.stdout)
    summaries = [pricing.read_summary(folder) for folder in (before, after)]
    changes = comparing.compare(summaries[0], summaries[1], tolerance)
    if all((folder / "coverage.parquet").exists() for folder in (before, after)):
        changes += comparing.compare_tables(before, after, tolerance)
    else:
        reporter.note("without their tables, only the summaries are compared")
    log = IssueLog()
    comparing.report(changes, str(after), log)
    for change in changes:
        if change.verdict != comparing.WORSENED:
            told = f"{_figure(change.before)} before, {_figure(change.after)} now"
            reporter.note(f"{change.verdict}: {change.area}: {change.what}: {told}")
    reporter.add(log)
    counts = {verdict: sum(c.verdict == verdict for c in changes) for verdict in ("worse", "better", "other")}
    reporter.note(", ".join(f"{number} {verdict}" for verdict, number in counts.items()))
    return ended(reporter, tables={"changes": [change.as_row() for change in changes]})


def _figure(value: float | None) -> str:
    return "none" if value is None else f"{value:.6g}"


COMMANDS = (price, inventory, diff)
"""Commands of the group `assess`."""
