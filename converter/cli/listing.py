"""`convert --to conditionlist`: the coded diagnoses of a corpus, a document a patient."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import click

from converter.cli.exits import describe
from converter.cli.options import Settings, ended, engine_for

if TYPE_CHECKING:
    from converter.directory import Organisation
    from converter.engine import Engine, Outcome
    from converter.issues import IssueLog
    from converter.sources import Input

CONDITIONLIST = "conditionlist"
_WITHOUT = ("ledger", "sidecar", "state", "to_document", "envelope", "letter_version", "cross_check", "accept_loss")


def condition_lists(settings: Settings, inputs: Sequence[str], wanted: dict[str, Any]) -> int:
    """Read the whole corpus, then write a list for each patient; one document is in memory at a time."""
    from converter import runs
    from converter.conditions import Lists, Table
    from converter.issues import IssueLog, Location
    from converter.sinks import sink_for
    from converter.sources import require

    for name in _WITHOUT:
        if wanted[name]:
            raise click.UsageError(f"--{name.replace('_', '-')}: not for lists of conditions")
    require(inputs)
    reporter, log = settings.reporter(sys.stderr), IssueLog()
    engine = engine_for(settings, reporter, validate=False, encoding=wanted["encoding"])
    author = _author(engine, wanted["author"], wanted["on"])

    def read(item: Input) -> Iterator[Outcome]:
        return engine.letters(item.data, name=item.display)

    run = runs.Run(reporter, settings.limits, describe, lambda: engine.routes)
    with sink_for(wanted["output"], inputs, force=wanted["force"]) as sink, Lists(Table.load(engine.folder)) as lists:
        with reporter.progress("inputs", stdout_used=wanted["output"] in (None, "-")) as advance:
            for item, outcome in run.outcomes(inputs, read, advance):
                if outcome.letter is not None and not outcome.letter.refused:
                    lists.add(outcome.letter, Location(item.display, item.line, 1), log)
                    run.report(log.drain())
        made = 0
        for bundle in lists.documents(author, _moment(wanted["on"])):
            made += 1
            sink.write(CONDITIONLIST, _outcome(engine, bundle, made, log, judge=not wanted["no_validate"]))
            run.report(log.drain())
        lists.report(log)
        run.report(log.drain())
        sink.finish(run.summary)
    reporter.note(f"{made} patients, {lists.entries} diagnoses")
    reporter.note(runs.figures(run.summary))
    return ended(reporter, broken=run.broken)


def _outcome(engine: Engine, bundle: dict[str, Any], number: int, log: IssueLog, *, judge: bool) -> Outcome:
    """A document with its narratives, judged by MedCom's profile."""
    from converter.conditions import BUNDLE
    from converter.engine import Outcome
    from converter.fhir.bundle import write_json
    from converter.issues import IssueLog

    engine.narratives.add(bundle)
    found, profile = IssueLog(), engine.profile(BUNDLE) if judge else None
    if profile is not None:
        profile.validate(bundle, found)
    name = f"{CONDITIONLIST} {number}"
    log.extend(issue.moved(file=name, line=1, column=1) for issue in found)
    return Outcome(name, type=CONDITIONLIST, target="fhir", bundle=bundle, output=write_json(bundle), suffix=".json")


def _author(engine: Engine, gln: str | None, on: datetime | None) -> Organisation:
    """Who makes the lists; MedCom's profile demands a SOR id of it."""
    if gln is None:
        raise click.UsageError("--to conditionlist: name who makes the lists, --author GLN, an organisation of --sor")
    day = (on.date() if on else date.today()).isoformat()
    found = engine.directory.find(gln, day) if engine.directory is not None else None
    if found is None or not found.sor:
        raise click.UsageError(f"--author: the organisation table (--sor) has no SOR id for {gln} on {day}")
    return found


def _moment(on: datetime | None) -> str:
    """The instant that `--on` means, in Danish time."""
    from converter.mapping.local_time import to_instant

    return "" if on is None else to_instant(on.date().isoformat(), f"{on:%H:%M:%S}")[0] or ""
