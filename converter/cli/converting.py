"""The commands that take messages: `convert` and `validate`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from converter.cli.exits import NAME, describe
from converter.cli.listing import CONDITIONLIST, condition_lists
from converter.cli.options import NEW, Settings, ended, engine_for, examples, shared

if TYPE_CHECKING:
    from converter.engine import Engine, Outcome
    from converter.joining import Partners
    from converter.sources import Input


_ecpr_level = click.option(
    "--ecpr-level",
    metavar="N",
    type=click.IntRange(0, 5),
    default=2,
    show_default=True,
    help="How closely replacement CPR numbers are looked at: 0 form, 1 date, 2 issuer, 3 initials, 4 sex, 5 collision.",
)

ON = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"])
FOLDER_OUT = click.Path(file_okay=False, path_type=Path)


def _sent(of_what: str) -> Callable[[Any], Any]:
    times = click.DateTime(["%Y-%m-%dT%H:%M:%S"])
    return click.option("--sent", metavar="TIME", type=times, help=f"When the {of_what} are sent (default now).")


@click.command(
    epilog=examples(
        "convert letter.edi                                one Bundle on stdout",
        "convert letter.xml --to edifact -o letter.edi     the other legacy syntax",
        "convert inbox/ archive.zip -o out                 a folder: a file a message, and summary.json",
        "convert inbox/ -o all.ndjson --ledger l.jsonl     what became of every piece",
        "convert letter.edi --envelope -o envelope.xml     the Bundle in a VANSEnvelope",
        "convert letter.edi receipt.edi --state ids.db    receipts find the messages that they answer",
        "convert archive/ --to conditionlist --sor organisations.csv --author 5790000121526 -o lists.ndjson",
        "convert letter.edi -o a.json --sidecar kept.json; convert a.json --sidecar kept.json -o back.xml",
    )
)
@click.argument("inputs", metavar="INPUT...", nargs=-1, required=True)
@click.option(
    "--to",
    type=click.Choice(("fhir", "oioxml", "edifact", CONDITIONLIST)),
    help="Target; the default follows the input. conditionlist: the coded diagnoses of all inputs, a list a patient.",
)
@click.option("--author", metavar="GLN", help="Who makes lists of conditions: an organisation of --sor.")
@click.option("-o", "--output", metavar="PATH", help="FILE.json, .ndjson, .xml or .edi, or a folder (no suffix).")
@click.option("--letter-version", metavar="V", help="Version of the letters to write, as `doctor` lists them.")
@click.option("--no-validate", is_flag=True, help="Do not judge the result by its definition or profile.")
@click.option("--ledger", metavar="FILE", type=NEW, help="JSON lines: what became of every value, without values.")
@click.option("--sidecar", metavar="FILE", type=NEW, help="Values without a place in the target; read on the way back.")
@click.option("--state", metavar="FILE", type=NEW, help="SQLite store of message ids: receipts find what they answer.")
@click.option(
    "--strict-receipts", is_flag=True, help="A receipt of a message that the store does not hold is an error."
)
@click.option("--on", metavar="TIME", type=ON, help="When the messages are converted, for the store (default now).")
@click.option("--to-document", is_flag=True, help="Make FHIR documents of discharge letters (EU Discharge Report).")
@click.option("--attempt", metavar="N", type=click.IntRange(1), default=1, help="Number of this sending (default 1).")
@click.option("--accept-loss", metavar="ID", multiple=True, help="Convert in spite of this blocking loss; repeatable.")
@click.option("--envelope", is_flag=True, help="Wrap every output in a VANSEnvelope, addressed as the message is.")
@_sent("envelopes")
@click.option("--cross-check", is_flag=True, help="Read EDIFACT with a second, independent reader and compare.")
@click.option("--encoding", type=click.Choice(("utf-8",)), help="Read EDIFACT bytes as UTF-8 whatever its label says.")
@_ecpr_level
@click.option("--force", is_flag=True, help="Replace files that exist.")
@shared
def convert(settings: Settings, inputs: Sequence[str], **wanted: Any) -> int:
    """Convert messages. INPUT: file, folder, .zip, .tar, .tar.gz, .ndjson, or - for standard input.

    The syntax is found from the content. Legacy messages become FHIR Bundles, Bundles become OIOXML letters, unless
    --to or the suffix of -o says otherwise. Findings go to stderr. What could be built is written also if it has
    findings; exit code 1 says that there were errors.
    """
    if wanted["to"] == CONDITIONLIST:
        return condition_lists(settings, inputs, wanted)
    if wanted["author"]:
        raise click.UsageError("--author: only lists of conditions (--to conditionlist) have one")
    from converter import pairing, runs
    from converter.records import LedgerFile, Sidecar, State
    from converter.sinks import refuse_inside, sink_for
    from converter.sources import require

    reporter = settings.reporter(sys.stderr)
    output, force = wanted["output"], wanted["force"]
    to = wanted["to"] or ("fhir" if wanted["to_document"] else _target_of(output, envelope=wanted["envelope"]))
    if wanted["to_document"] and to != "fhir":
        raise click.UsageError("--to-document: only FHIR has documents")
    require(inputs)
    for path in (wanted[name] for name in ("ledger", "sidecar", "state") if wanted[name]):
        refuse_inside(path, inputs)
    sink = sink_for(output, inputs, force=force)
    sidecar = Sidecar(wanted["sidecar"]) if wanted["sidecar"] else None
    state = State(wanted["state"], wanted["on"]) if wanted["state"] else None
    engine = engine_for(
        settings,
        reporter,
        attempt=wanted["attempt"],
        accept=frozenset(wanted["accept_loss"]),
        validate=not wanted["no_validate"],
        letter_version=wanted["letter_version"],
        encoding=wanted["encoding"],
        cross_check=wanted["cross_check"],
        kept=sidecar.kept if sidecar else None,
        sidecar=sidecar is not None,
        ecpr_level=wanted["ecpr_level"],
        document=wanted["to_document"],
        store=state,
        strict_receipts=wanted["strict_receipts"],
    )
    check_names(engine, wanted["accept_loss"], wanted["letter_version"])
    records = runs.Records(
        ledger=LedgerFile(wanted["ledger"], force=force) if wanted["ledger"] else None,
        sidecar=sidecar,
        state=state,
    )
    run = runs.Run(reporter, settings.limits, describe, lambda: engine.routes)
    if to in (None, "fhir") and pairing.needed(inputs):
        with reporter.progress("attachments", stdout_used=output in (None, "-")) as advance:
            run.pairing = pairing.Pairing(engine, inputs, settings.limits, advance)
    partners = run.pairing.partners if run.pairing else None
    judge = _judge(engine, to, partners, envelope=wanted["envelope"], sent=wanted["sent"])
    runs.convert(run, inputs, judge, sink, records, stdout_used=output in (None, "-"))
    summary = run.summary
    if settings.sor is None and summary.mapped:
        reporter.note("no organisation table was given (--sor): what it would have added is missing or defaulted")
    total = summary.written + summary.refused + summary.joined
    if settings.verbose or total + summary.skipped > 1:
        joined = f", {summary.joined} joined to their letters" if summary.joined else ""
        skipped = f", {summary.skipped} files skipped" if summary.skipped else ""
        reporter.note(f"{total} messages: {summary.written} converted, {summary.refused} refused{joined}{skipped}")
        reporter.note(runs.figures(summary))
    return ended(reporter, broken=run.broken)


def check_names(engine: Engine, losses: Sequence[str], version: str | None) -> None:
    """A misspelt name must not look as if it had been obeyed."""
    unknown = [loss for loss in losses if loss not in engine.mappings.losses]
    if unknown:
        raise click.UsageError(f"--accept-loss: the loss catalogue has no {', '.join(unknown)}")
    versions = sorted({v for versions in engine.definitions.types.values() for v in versions})
    if version is not None and version not in versions:
        raise click.UsageError(f"--letter-version: no letter has version {version}; there are {', '.join(versions)}")


def _judge(
    engine: Engine, to: str | None, partners: Partners | None, *, envelope: bool, sent: datetime | None
) -> Callable[[Input], Iterator[Outcome]]:
    """What converts an input, and puts the outputs into envelopes if that is wanted."""
    if not envelope:
        return lambda item: engine.convert(item.data, to=to, name=item.display, partners=partners)
    from converter.issues import IssueLog
    from converter.vans import wrapped

    moment = (sent or datetime.now()).isoformat(timespec="seconds")

    def judge(item: Input) -> Iterator[Outcome]:
        for outcome in engine.convert(item.data, to=to, name=item.display, partners=partners):
            if outcome.output is not None:
                log = IssueLog()
                outcome.output = wrapped(outcome, engine.routes, log, sent=moment, attempt=engine.attempt)
                outcome.suffix = ".xml"
                outcome.issues += log.issues
            yield outcome

    return judge


def _target_of(output: str | None, *, envelope: bool) -> str | None:
    """The target that the suffix of the output names; an envelope is XML whatever it holds."""
    if envelope:
        return None
    suffix = Path(output).suffix.lower() if output else ""
    return {".json": "fhir", ".ndjson": "fhir", ".edi": "edifact", ".xml": "oioxml"}.get(suffix)


@click.command(
    epilog=examples(
        "validate letter.edi",
        "validate bundle.json --format sarif > findings.sarif",
        "validate inbox/ --fail-on warning --quiet",
        "validate inbox/ --receipts answers    a receipt for each interchange, positive or negative",
    )
)
@click.argument("inputs", metavar="INPUT...", nargs=-1, required=True)
@click.option("--profile", metavar="URL", help="Judge FHIR by this profile instead of the one that the Bundle names.")
@click.option(
    "--codes", metavar="CSV", type=click.Path(path_type=Path, exists=True), help="Table of codes of SKS, ICPC-2, …"
)
@click.option("--receipts", metavar="FOLDER", type=FOLDER_OUT, help="Write the receipts of letters into this folder.")
@click.option("--as-operator", is_flag=True, help="Refuse as a network operator does, not as the receiver.")
@_sent("receipts")
@click.option("--force", is_flag=True, help="Replace receipts that exist.")
@_ecpr_level
@shared
def validate(
    settings: Settings, inputs: Sequence[str], profile: str | None, codes: Path | None, ecpr_level: int, **wanted: Any
) -> int:
    """Judge messages: EDIFACT and OIOXML by their letter definitions, FHIR by its profiles. Findings go to stdout.

    Receipts are in the syntax of what they answer: negative ones for letters with errors, positive ones for letters
    that ask for them.
    """
    from converter import runs
    from converter.sources import require

    require(inputs)
    reporter = settings.reporter(sys.stdout)
    engine = engine_for(settings, reporter, ecpr_level=ecpr_level, codes=codes)
    if profile is not None and engine.profile(profile) is None:
        raise click.UsageError(f"--profile: no pack holds {profile}; `{NAME} profiles list` shows the packs")
    run = runs.Run(reporter, settings.limits, describe, lambda: engine.routes)

    def judge(item: Input) -> Iterator[Outcome]:
        return engine.validate(item.data, name=item.display, profile=profile)

    if wanted["receipts"] is not None:
        from converter.cli.answering import answering

        sent = wanted["sent"] or datetime.now()
        operator, force = wanted["as_operator"], wanted["force"]
        with_receipts = answering(engine, judge, wanted["receipts"], sent, operator=operator, force=force)
        count = runs.validate(run, inputs, with_receipts)
    else:
        count = runs.validate(run, inputs, judge)
    reporter.note(f"{count} messages checked: {runs.figures(run.summary)}")
    return ended(reporter, broken=run.broken)


COMMANDS = (convert, validate)
