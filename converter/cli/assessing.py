"""The commands `assess …`: what moving away from the older letters would take, measured on one's own messages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from converter.cli.exits import CLEAN
from converter.cli.options import EXISTING, FOLDER, NEW, Settings, bilingual, examples, shared

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


@assess.command("run", epilog=examples("assess run archive/ -o result  the messages of a folder"))
@click.argument("corpus", metavar="CORPUS...", nargs=-1, required=True)
@click.option("-o", "--output", "folder", metavar="DIR", type=_RESULT, required=True, help="The folder of the result.")
@click.option("--key-file", metavar="K", type=EXISTING, help="Key for identities; else one is drawn for this run.")
@shared
def run(settings: Settings, corpus: Sequence[str], folder: Path, **wanted: Any) -> int:
    """Assess the messages of CORPUS (files, folders, archives, NDJSON) into the folder DIR."""
    raise click.UsageError("not written yet")


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
    import sys

    from converter.assessment.report.writing import write_all
    from converter.engine import mappings_folder

    told = settings.reporter(sys.stdout)
    mappings = settings.mappings or mappings_folder()
    for path in write_all(folder, mappings, settings.lang, output=output, form=copies):
        told.note(str(path))
    return CLEAN


COMMANDS = (assess,)
