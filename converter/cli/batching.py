"""The commands `batch …`: many messages, restartable."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from converter.cli.exits import CLEAN, FINDINGS, INPUT_OUTPUT, INTERRUPTED, TERMINATED
from converter.cli.options import FOLDER, Settings, ended, examples, shared

if TYPE_CHECKING:
    from converter.batch.options import Options
    from converter.batch.progress import Telling
    from converter.batch.running import Bounds, Ended
    from converter.batch.spark import Cluster
    from converter.issues import IssueLog
    from converter.reporter import Reporter

LIMIT, BUSY = 3, 75
_RUN = click.Path(file_okay=False, path_type=Path)


@click.group(
    epilog=examples(
        "batch run archive/ 2019.zip -o run --jobs 4    convert; every message is accounted for",
        "batch run inbox/ -o run --watch                and go on with what is put there",
        "batch resume run                               go on after whatever stopped it",
        "batch verify run                               count and hash everything again",
        "batch retry run --code MAP006                  once more for those that failed of this",
        "batch status run                               how far it is and what happened",
    )
)
def batch() -> None:
    """Convert many messages; a run that was stopped anywhere goes on and gives the same bytes."""


_jobs = click.option("--jobs", metavar="N", type=click.IntRange(1), help="Worker processes (default: one a processor).")
_max_dead = click.option(
    "--max-dead", metavar="N|N%", help="Stop (exit code 3) when more than this are dead letters; a number or per cent."
)
_max_time = click.option(
    "--max-time", metavar="SECONDS", type=click.FloatRange(0), help="Stop (exit code 3) after this time; resumable."
)

_watch = click.option(
    "--watch", is_flag=True, help="Then wait for files that are put into the folders, until it is stopped."
)
_every = click.option(
    "--every", metavar="SECONDS", type=click.FloatRange(0.1), default=2.0, help="How often --watch looks (default 2)."
)

_master = click.option("--master", metavar="URL", default="", help="Master of Spark (default: as it was submitted).")
_conf = click.option("--spark-conf", metavar="NAME=VALUE", multiple=True, help="A setting of Spark; repeatable.")


def _spark(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of what carries a run out."""
    for option in (
        click.option("--data", metavar="URI", default="", help="Spark: where parts and dead letters go (default RUN)."),
        _conf,
        _master,
        click.option(
            "--engine", type=click.Choice(("local", "spark")), default="local", help="Workers here (default), or Spark."
        ),
    ):
        command = option(command)
    return command


@batch.command("run", epilog=examples("batch run archive/ -o RUN --jobs 2  every message of a folder"))
@click.argument("inputs", metavar="INPUT...", nargs=-1, required=True)
@click.option("-o", "--output", "folder", metavar="RUN", type=_RUN, required=True, help="The folder of the run, new.")
@_jobs
@click.option("--to", type=click.Choice(("fhir", "oioxml", "edifact")), default="fhir", help="Target (default fhir).")
@click.option("--no-validate", is_flag=True, help="Do not judge the result by its definition or profile.")
@click.option("--letter-version", metavar="V", help="Version of the letters to write.")
@click.option("--accept-loss", metavar="ID", multiple=True, help="Convert in spite of this blocking loss; repeatable.")
@click.option("--encoding", type=click.Choice(("utf-8",)), help="Read EDIFACT bytes as UTF-8 whatever its label says.")
@click.option(
    "--files", is_flag=True, help="One file a message instead of NDJSON; always so with --to oioxml, edifact."
)
@click.option("--parquet", is_flag=True, help="Parts as Parquet tables with the Bundle as text (needs pyarrow).")
@click.option("--dead-raw", is_flag=True, help="Keep the bytes of dead letters (mode 0600): this is patient data.")
@click.option("--keep-duplicates", is_flag=True, help="Write messages whose bytes came before as well.")
@_max_dead
@_max_time
@_watch
@_every
@_spark
@shared
def run(settings: Settings, inputs: Sequence[str], folder: Path, **wanted: Any) -> int:
    """Convert INPUT (files, folders, patterns, archives, NDJSON) into a new folder RUN.

    RUN/parts holds a Bundle a line in the order of the input; RUN/dead says of what could not be converted where it
    stands and why, without values; RUN/manifest.json lists the files that count, RUN/_SUCCESS says that all is there.
    Progress and findings go to stderr, the sums to stdout.
    """
    from converter.batch.options import Options, engine_for
    from converter.cli.converting import check_names
    from converter.issues import IssueLog

    bounds = _bounds(wanted)
    _refuse_on_spark(wanted)
    files = wanted["files"] or wanted["to"] != "fhir"
    if files and wanted["parquet"]:
        raise click.UsageError("--parquet holds Bundles, so it goes neither with --files nor with another target")
    options = Options(
        to=wanted["to"],
        validate=not wanted["no_validate"],
        files=files,
        parquet=wanted["parquet"],
        raw=wanted["dead_raw"],
        keep_duplicates=wanted["keep_duplicates"],
        accept=tuple(sorted(set(wanted["accept_loss"]))),
        letter_version=wanted["letter_version"] or "",
        encoding=wanted["encoding"] or "",
        mappings=absolute(settings.mappings),
        sor=absolute(settings.sor),
        limits=settings.limits,
    )

    check_names(engine_for(options), wanted["accept_loss"], wanted["letter_version"])

    def go(reporter: Reporter, telling: Callable[[], Telling]) -> Ended:
        settings.directory(reporter)  # what is wrong with its rows is told once
        log = IssueLog()
        _begin(folder, inputs, options, log, wanted)
        reporter.add(log)
        return _gone_on(folder, bounds, telling(), wanted)

    return _told(settings, folder, go)


@batch.command("resume", epilog=examples("batch resume RUN  go on where a run stopped"))
@click.argument("folder", metavar="RUN", type=_RUN)
@_jobs
@_max_dead
@_max_time
@_watch
@_every
@_spark
@shared
def resume_(settings: Settings, folder: Path, **wanted: Any) -> int:
    """Go on with a run. It keeps the options that it was begun with; mapping files must be the same."""
    bounds = _bounds(wanted)
    _refuse_on_spark(wanted)
    _no_others(settings, mappings=False)
    return _told(settings, folder, lambda _, telling: _gone_on(folder, bounds, telling(), wanted))


def _begin(folder: Path, inputs: Sequence[str], options: Options, log: IssueLog, wanted: dict[str, Any]) -> None:
    from converter.batch import running, spark

    uris = [spark.is_uri(argument) for argument in inputs]
    if not any(uris):
        running.begin(folder, inputs, options, log, watched=wanted["watch"])
    elif wanted["engine"] == "spark" and all(uris):
        spark.begin(folder, inputs, options, cluster(wanted), log)
    else:
        raise click.UsageError("URIs are read with --engine spark, and not together with paths")


_NOT_ON_SPARK = ("files", "dead_raw", "watch", "jobs", "max_dead", "max_time")
_ONLY_ON_SPARK = ("master", "spark_conf", "data")


def _refuse_on_spark(wanted: dict[str, Any]) -> None:
    """An option that is not obeyed must not look as if it were."""
    spark = wanted["engine"] == "spark"
    given = [
        name for name in (_NOT_ON_SPARK if spark else _ONLY_ON_SPARK) if wanted.get(name) not in (None, False, "", ())
    ]
    if spark and wanted.get("to", "fhir") != "fhir":
        given.append("to")
    if given:
        names = ", ".join("--" + name.replace("_", "-") for name in given)
        raise click.UsageError(f"{names}: {'not' if spark else 'only'} with --engine spark")


def cluster(wanted: dict[str, Any]) -> Cluster:
    """Which Spark the options name."""
    from converter.batch.spark import Cluster

    settings = []
    for setting in wanted["spark_conf"]:
        name, equals, value = setting.partition("=")
        if not equals:
            raise click.UsageError("--spark-conf: NAME=VALUE")
        settings.append((name, value))
    return Cluster(wanted["master"], tuple(settings), wanted.get("data", ""))


def _gone_on(folder: Path, bounds: Bounds, telling: Telling, wanted: dict[str, Any]) -> Ended:
    from converter.batch.running import resume
    from converter.batch.watching import watch

    if wanted["engine"] == "spark":
        from converter.batch.spark import run

        return run(folder, cluster(wanted), telling)
    jobs = wanted["jobs"] or processors()
    if wanted["watch"]:
        return watch(folder, jobs, bounds, telling, wanted["every"])
    return resume(folder, jobs, bounds, telling)


@batch.command("retry", epilog=examples("batch retry RUN --code DIR050  convert again what one finding held up"))
@click.argument("folder", metavar="RUN", type=_RUN)
@click.option("--state", type=click.Choice(("dead", "refused")), help="Only messages with this state (default both).")
@click.option("--code", metavar="CODE", help="Only messages that failed with this issue code.")
@_jobs
@shared
def retry_(settings: Settings, folder: Path, state: str | None, code: str | None, jobs: int | None) -> int:
    """Convert the dead letters of a complete run again, with the mappings of today; earlier attempts stay on record."""
    from converter.batch.chunk import State
    from converter.batch.retrying import STATES, retry

    _no_others(settings, mappings=True)
    states = STATES if state is None else (State(state),)
    mappings = absolute(settings.mappings) or None

    def go(_: Reporter, telling: Callable[[], Telling]) -> Ended:
        return retry(folder, jobs or processors(), telling(), states=states, code=code, mappings=mappings)

    return _told(settings, folder, go)


@batch.command("verify", epilog=examples("batch verify RUN  count and hash the result again"))
@click.argument("folder", metavar="RUN", type=FOLDER)
@_master
@_conf
@shared
def verify_(settings: Settings, folder: Path, **wanted: Any) -> int:
    """Count and hash the result of a run again and compare it with the ledger. Findings go to stdout.

    Data that a run on Spark put elsewhere are read with Spark.
    """
    from converter.batch.spark import data_of, seen_by
    from converter.batch.verifying import verify
    from converter.issues import IssueLog

    reporter, log = settings.reporter(sys.stdout), IssueLog()
    base = data_of(folder)
    totals = verify(folder, log, seen_by(cluster(wanted), folder, base) if base else None)
    reporter.add(log)
    reporter.note(_sums(totals))
    return ended(reporter, tables={"totals": [totals]})


@batch.command("status", epilog=examples("batch status RUN  how far it is"))
@click.argument("folder", metavar="RUN", type=FOLDER)
@shared
def status(settings: Settings, folder: Path) -> int:
    """How far a run is, and what happened when. Works while it runs."""
    from converter.batch.ledger import Ledger

    reporter, ledger = settings.reporter(sys.stdout), Ledger(folder, read_only=True)
    try:
        files, planned = ledger.progress()
        totals, codes, events = ledger.totals(), ledger.codes(), ledger.events()
        state = "complete" if ledger.get("complete") else "not complete"
    finally:
        ledger.close()
    for at, what in events:
        reporter.note(f"{at} {what}")
    reporter.note(f"{state}: {files} of {planned} files")
    reporter.note(_sums(totals))
    for code, number in codes.items():
        reporter.note(f"  {code or 'no code'}: {number}")
    row = {"state": state, "files": files, "planned": planned, "totals": totals, "codes": codes}
    reporter.finish({"status": [row]})
    return CLEAN


def _told(settings: Settings, folder: Path, go: Callable[[Reporter, Callable[[], Telling]], Ended]) -> int:
    """Do it, tell how it went, and give the exit code that follows."""
    from converter.batch.progress import Telling
    from converter.batch.protocol import LEDGER, BusyError
    from converter.errors import SinkError
    from converter.sinks import OutputRefusedError

    reporter = settings.reporter(sys.stderr)
    made: list[Telling] = []

    def telling() -> Telling:
        made.append(Telling(folder, None if settings.quiet or settings.form != "text" else sys.stderr, reporter.add))
        return made[-1]

    try:
        end = go(reporter, telling)
    except BusyError as error:
        click.echo(f"{error}; wait for it, or stop it", err=True)
        return BUSY
    except OutputRefusedError:
        raise
    except SinkError as error:
        if not (folder / LEDGER).exists():
            raise
        raise SinkError(f"{error}; when that is put right, `batch resume {folder}` goes on") from error
    finally:
        for one in made:
            one.clear()
    _close(folder, end, made[-1])
    for line in _lines(folder, end):
        reporter.note(line)
    reporter.finish()
    click.echo(json.dumps({"run": end.how, **end.totals, "skipped": end.figures["skipped"]}))
    return code_of(end)


def _close(folder: Path, end: Ended, telling: Telling) -> None:
    from converter.batch.ledger import Ledger

    ledger = Ledger(folder, read_only=True)
    try:
        telling.figures(end.totals, *ledger.progress(), complete=bool(ledger.get("complete")))
    finally:
        ledger.close()


def code_of(end: Ended) -> int:
    """The exit code that follows from how a run ended."""
    stopped = {"limit": LIMIT, "unread": INPUT_OUTPUT, "interrupted": INTERRUPTED, "terminated": TERMINATED}
    if end.how in stopped:
        return stopped[end.how]
    return FINDINGS if end.totals["dead"] or end.totals["refused"] else CLEAN


def _lines(folder: Path, end: Ended) -> list[str]:
    """The summary: by type, by issue, by state."""
    lines = []
    for type_, counts in end.figures["types"].items():
        others = ", ".join(f"{name} {number}" for name, number in counts.items() if name != "messages")
        lines.append(f"{type_}: {counts['messages']} messages; leaves: {others or 'none'}")
    if end.figures["issues"]:
        lines.append("issues: " + ", ".join(f"{code} {number}" for code, number in end.figures["issues"].items()))
    if end.codes:
        lines.append("not converted: " + ", ".join(f"{code} {number}" for code, number in end.codes.items()))
    if end.figures["skipped"]:
        lines.append(f"{end.figures['skipped']} files skipped that are no messages")
    lines.append(_sums(end.totals))
    if end.how != "complete":
        what = {
            "limit": "stopped by its limit",
            "unread": "some files could not be read (above); everything else is done",
        }.get(end.how, end.how)
        lines.append(f"{what}; `batch resume {folder}` goes on")
    return lines


def _sums(totals: dict[str, int]) -> str:
    states = ("ok", "dead", "duplicate", "refused")
    return f"{totals['in']} in = " + " + ".join(f"{totals[state]} {state}" for state in states)


def _bounds(wanted: dict[str, Any]) -> Bounds:
    from converter.batch.running import Bounds

    text = wanted["max_dead"]
    if text is None:
        return Bounds(seconds=wanted["max_time"])
    number = text.removesuffix("%")
    if not number.isascii() or not number.isdigit():
        raise click.UsageError("--max-dead: a whole number, or a whole number and %")
    return Bounds(float(number), text.endswith("%"), wanted["max_time"])


def _no_others(settings: Settings, *, mappings: bool) -> None:
    """A run keeps its options; one that is given anew must not look as if it were obeyed."""
    if settings.sor is not None or (settings.mappings is not None and not mappings):
        raise click.UsageError("a run keeps the mapping files and the organisation table that it was begun with")


def absolute(path: Path | None) -> str:
    """A path that means the same from every folder; empty for none."""
    return os.path.abspath(path) if path is not None else ""


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


COMMANDS = (batch,)
