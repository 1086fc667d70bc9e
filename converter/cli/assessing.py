"""The commands `assess …`: what moving away from the older letters would take, measured on one's own messages."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from converter.cli.batching import BUSY, absolute, cluster, code_of, processors
from converter.cli.exits import CLEAN
from converter.cli.options import EXISTING, FOLDER, NEW, Settings, bilingual, examples
from converter.cli.pricing import COMMANDS as PRICING

if TYPE_CHECKING:
    from converter.assessment.running import Assessed, Wanted
    from converter.reporter import Reporter

_RESULT = click.Path(file_okay=False, path_type=Path)


@click.group(
    epilog=examples(
        "assess run archive/ -o result --sor organisations.csv    read all messages once",
        "assess run archive/ -o result --resume                   go on after whatever stopped it",
        "assess report result --lang da                           the report once more, in Danish",
    )
)
def assess() -> None:
    """Say what is sent today, what of it moves by itself, what is lost, and what needs a change in systems."""


@assess.command(
    "run",
    epilog=examples(
        "assess run archive/ 2025.zip -o result --sor organisations.csv --jobs 4    everything that was sent",
        "assess run archive/ -o result --key-file run.key --make-key                a key that later runs can use",
        "assess run archive/ -o result --resume                                     go on after a stop",
    ),
)
@click.argument("corpus", metavar="CORPUS...", nargs=-1, required=True)
@click.option("-o", "--output", "folder", metavar="DIR", type=_RESULT, required=True, help="The folder of the result.")
@click.option(
    "--key-file",
    metavar="K",
    type=NEW,
    help="File with the key for identities: with the same key, the same bytes. Without it, one is drawn and forgotten.",
)
@click.option("--make-key", is_flag=True, help="Make the key file, with a new key.")
@click.option(
    "--inventory",
    metavar="CSV",
    type=EXISTING,
    help="What `assess inventory` wrote: systems that have to be certified. Name it again with --resume.",
)
@click.option("--jobs", metavar="N", type=click.IntRange(1), help="Worker processes (default: one a processor).")
@click.option(
    "--sample",
    type=click.Choice(("stratified",)),
    help="Read all and assess a part: so many messages of each type, version and sender. The error is told.",
)
@click.option(
    "--sample-size", metavar="N", type=click.IntRange(2), default=200, help="Messages a stratum (default 200)."
)
@click.option("--resume", is_flag=True, help="Go on with an assessment that was stopped, from where it was.")
@click.option(
    "--engine", type=click.Choice(("local", "spark")), default="local", help="Workers here (default), or Spark."
)
@click.option("--master", metavar="URL", default="", help="Master of Spark (default: as it was submitted).")
@click.option("--spark-conf", metavar="NAME=VALUE", multiple=True, help="A setting of Spark; repeatable.")
@bilingual
def run(settings: Settings, corpus: Sequence[str], folder: Path, resume: bool, **wanted: Any) -> int:
    """Assess the messages of CORPUS (files, folders, archives, NDJSON) into the folder DIR, offline.

    DIR holds tables (facts, coverage, findings, pairs, clusters: Parquet), summary.json, assumptions.json (every input
    and where it is from), operation.json (what this run took) and manifest.json. None holds a value of a message; who
    sent, received or was treated stands there as a digest with the key. What is counted and weighed is assessment.yaml
    of the mapping files. report.html tells all of it, in the language of --lang; the tables stand beside it as CSV.
    Progress and findings about inputs go to stderr, the sums to stdout.
    """
    from converter.assessment import running
    from converter.batch.progress import Telling
    from converter.batch.protocol import BusyError
    from converter.issues import IssueLog

    asked = _asked(settings, corpus, wanted)
    reporter = settings.reporter(sys.stderr)
    if not resume:
        settings.directory(reporter)  # what is wrong with its rows is told once
        log = IssueLog()
        running.begin(folder, asked, log)
        reporter.add(log)
    stream = None if settings.quiet or settings.form != "text" else sys.stderr
    telling = Telling(folder / running.WORK, stream, reporter.add)
    try:
        assessed = running.go_on(folder, asked, telling)
    except BusyError as error:
        click.echo(f"{error}; wait for it, or stop it", err=True)
        return BUSY
    finally:
        telling.clear()
    _tell(reporter, folder, assessed)
    if assessed.summary:
        _report(settings, reporter, folder)
    return code_of(assessed.ended)


def _asked(settings: Settings, corpus: Sequence[str], wanted: dict[str, Any]) -> Wanted:
    from converter.assessment.running import Wanted
    from converter.batch.options import Options
    from converter.pseudonymise import keyfile

    spark = wanted["engine"] == "spark"
    refused = ("jobs",) if spark else ("master", "spark_conf")
    if given := ["--" + name.replace("_", "-") for name in refused if wanted[name] not in (None, "", ())]:
        raise click.UsageError(f"{', '.join(given)}: {'not' if spark else 'only'} with --engine spark")
    if wanted["make_key"]:
        if not wanted["key_file"]:
            raise click.UsageError("--make-key: name the file with --key-file")
        keyfile.make(wanted["key_file"])
    options = Options(
        to="",
        keep_duplicates=True,
        mappings=absolute(settings.mappings),
        sor=absolute(settings.sor),
        limits=settings.limits,
    )
    return Wanted(
        tuple(corpus),
        options,
        keyfile.read(wanted["key_file"]) if wanted["key_file"] else b"",
        wanted["jobs"] or processors(),
        cluster(wanted) if spark else None,
        wanted["inventory"],
        wanted["sample_size"] if wanted["sample"] else 0,
    )


def _tell(reporter: Reporter, folder: Path, assessed: Assessed) -> None:
    ended, summary = assessed.ended, assessed.summary
    if not summary:
        reporter.note(f"stopped ({ended.how}); `assess run … -o {folder} --resume` goes on")
        reporter.finish()
        return
    for row in summary["headline"]:
        of = f" of {row['of']}" if row["of"] is not None else ""
        reporter.note(f"{row['id']}: {row['value']}{of}")
    for row in summary["missing_inputs"]:
        reporter.note(f"without {row['input']}: nothing about {', '.join(row['hides'])}")
    reporter.finish()
    told = {"messages": summary["corpus"]["messages"], "unread": summary["corpus"]["unread"]}
    click.echo(json.dumps({"run": ended.how, **told, "skipped": summary["corpus"]["skipped"]}))


@assess.command(
    "report",
    epilog=examples(
        "assess report result                              result/report.html, and the tables as CSV beside it",
        "assess report result --lang da -o rapport.html    in Danish, CSV as a Danish Excel opens it",
    ),
)
@click.argument("folder", metavar="DIR", type=FOLDER)
@click.option("-o", "--output", metavar="FILE", type=NEW, help="The page to write (default: report.html in DIR).")
@click.option(
    "--csv",
    "copies",
    type=click.Choice(("comma", "semicolon", "none")),
    help="Copies of the tables in DIR as CSV: with commas, or with semicolons and decimal commas (default: by --lang).",
)
@bilingual
def report(settings: Settings, folder: Path, output: Path | None, copies: str | None) -> int:
    """Write the report of an assessment: one HTML file that needs no network. No message is read again."""
    _report(settings, settings.reporter(sys.stdout), folder, output, copies)
    return CLEAN


def _report(
    settings: Settings, told: Reporter, folder: Path, output: Path | None = None, copies: str | None = None
) -> None:
    from converter.assessment.report.writing import write_all
    from converter.engine import mappings_folder

    mappings = settings.mappings or mappings_folder()
    for path in write_all(folder, mappings, settings.lang, output=output, form=copies):
        told.note(str(path))


for _command in PRICING:
    assess.add_command(_command)

COMMANDS = (assess,)
