"""The command `flows`: which letter answers which referral in a corpus, and what is odd about it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import click

from converter.cli.exits import describe
from converter.cli.options import Settings, ended, engine_for, examples, shared

if TYPE_CHECKING:
    from converter.engine import Engine, Outcome
    from converter.flows import Beside, Flow, Flows, FlowTable
    from converter.runs import Run
    from converter.sources import Input


@click.command(
    epilog=examples(
        "flows archive/                               referrals and their answers, and what is odd about them",
        "flows letters.zip bundles.ndjson             letters and Bundles together",
        "flows archive/ --after 60 --on 2026-09-30    referrals 60 days old on that day count as unanswered",
        "flows archive/ --format json > flows.json    the flows and the findings as data",
        "flows archive/ --quiet --fail-on warning     only what is odd; exit code 1 if anything is",
    )
)
@click.argument("corpus", metavar="CORPUS...", nargs=-1, required=True)
@click.option(
    "--after",
    metavar="DAYS",
    type=click.IntRange(0),
    help="Age at which a referral counts as unanswered (else flows.yaml).",
)
@click.option("--on", metavar="DATE", type=click.DateTime(["%Y-%m-%d"]), help="The day to count from (default today).")
@shared
def flows(settings: Settings, corpus: Sequence[str], after: int | None, on: datetime | None) -> int:
    """Join referrals and their answers, in EDIFACT, OIOXML and FHIR.

    CORPUS: files, folders or archives, as for `convert`. They are joined by the id of the episode of care, else by the
    letter id of the referral. The table of types (which answer is usual, after how many days one is missed) is
    flows.yaml of the mapping files. Table and findings go to stdout and hold places, never values of a message.
    """
    from converter import runs
    from converter.flows import Beside, Flows
    from converter.issues import IssueLog
    from converter.sources import require

    require(corpus)
    reporter = settings.reporter(sys.stdout)
    engine = engine_for(settings, reporter, validate=False)
    table = flow_table(engine)
    run = runs.Run(reporter, settings.limits, describe, lambda: engine.routes)
    found, beside, log = Flows(table), Beside(table), IssueLog()
    unread = _collect(run, corpus, engine, (found, beside), log)
    day = on.date() if on else date.today()
    rows = [_row(flow, day) for flow in found.found(day, table.after if after is None else after, log)]
    for line in _lines(rows):
        reporter.note(line)
    beside.report(log)
    run.report(log)
    reporter.note(_summary(rows, found, beside, unread))
    reporter.note(runs.figures(run.summary))
    return ended(reporter, broken=run.broken, tables={"flows": rows})


def flow_table(engine: Engine) -> FlowTable:
    """The table of flows among the mapping files of an engine."""
    from converter.errors import InterchangeError
    from converter.flows import load_table
    from converter.flows.table import FILE

    path = engine.folder / FILE
    if not path.is_file():
        raise InterchangeError(f"there is no table of flows: {path}")
    return load_table(path)


def _collect(run: Run, corpus: Sequence[str], engine: Engine, into: tuple[Flows, Beside], log: Any) -> int:
    """Read the corpus; returns how many messages could not be read. What is wrong inside readable ones is not told."""
    (found, beside), unread = into, 0

    def judge(item: Input) -> Iterator[Outcome]:
        for outcome in engine.letters(item.data, name=item.display):
            if _readable(outcome) or found.is_other(outcome):
                outcome.issues = []
            yield outcome

    with run.reporter.progress("inputs", stdout_used=True) as advance:
        for item, outcome in run.outcomes(corpus, judge, advance):
            if _readable(outcome) or found.is_other(outcome):
                found.add(outcome, item.display, item.line, log)
                beside.add(outcome, item.display, item.line)
            else:
                unread += 1
    return unread


def _readable(outcome: Outcome) -> bool:
    return outcome.letter is not None and not outcome.letter.refused


# The table

_HEAD = ("referral", "answer", "types", "days", "joined by", "state")


def _row(flow: Flow, on: date) -> dict[str, Any]:
    """One flow as plain data."""
    from converter.flows.joining import age

    referral = flow.referral
    agreed = referral.row.answered_by if referral is not None else ()
    answers = []
    for answer, joined_by in flow.answers:
        days = answer.day - referral.day if referral is not None and answer.day and referral.day else None
        is_agreed = answer.type in agreed if agreed else None
        facts = {"days": days, "joined_by": joined_by, "agreed": is_agreed} if referral is not None else {}
        answers.append({"type": answer.type, **_place(answer.at), **facts})
    row: dict[str, Any] = {"state": _state(flow), "referral": None, "answers": answers}
    if referral is not None:
        row["referral"] = {"type": referral.type, **_place(referral.at), "age": age(referral, on)}
    return row


def _place(at: Any) -> dict[str, Any]:
    return {"file": at.file, "line": at.line or 1, "column": at.column or 1}


def _state(flow: Flow) -> str:
    if flow.referral is None:
        return "no referral"
    if not flow.answers:
        return "no answer"
    return "answered" if flow.as_agreed else "other answer"


def _lines(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    cells = [cells for row in rows for cells in _cells(row)]
    if not cells:
        return
    widths = [max(len(line[i]) for line in (_HEAD, *cells)) for i in range(len(_HEAD))]
    for line in (_HEAD, *cells):
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
    yield ""


def _cells(row: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    referral = row["referral"]
    if referral is None:
        answer = row["answers"][0]
        yield "-", _shown(answer), answer["type"], "", "", row["state"]
    elif not row["answers"]:
        yield _shown(referral), "-", referral["type"], _days(referral["age"]), "", row["state"]
    else:
        for answer in row["answers"]:
            types = f"{referral['type']} > {answer['type']}"
            yield _shown(referral), _shown(answer), types, _days(answer["days"]), answer["joined_by"], row["state"]


def _shown(place: dict[str, Any]) -> str:
    return f"{place['file']}:{place['line']}"


def _days(days: int | None) -> str:
    return "" if days is None else str(days)


def _summary(rows: Sequence[dict[str, Any]], found: Flows, beside: Beside, unread: int) -> str:
    states = [row["state"] for row in rows]
    referrals = len(states) - states.count("no referral")
    parts = [
        f"{referrals} referrals: {states.count('answered')} answered as agreed",
        f"{states.count('other answer')} with another answer only",
        f"{states.count('no answer')} without an answer",
    ]
    others = [
        f"{states.count('no referral')} answers without a referral",
        f"{found.copies} copies",
        f"{found.others} messages of other types",
        f"{unread} not readable",
    ]
    kinds = {"attachments": beside.attachments, "receipts": beside.receipts}
    beside_these = ", ".join(f"{number} {kind}" for kind, number in kinds.items() if number)
    others[-2] += f", of them {beside_these}" if beside_these else ""
    return ", ".join(parts) + "; " + ", ".join(others)


COMMANDS = (flows,)
