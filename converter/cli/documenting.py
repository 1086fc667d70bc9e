"""The command `docs`: pages about message types, made from the mapping files."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from converter.cli.exits import CLEAN
from converter.cli.options import FOLDER, Settings, examples, shared


@click.command(
    epilog=examples(
        "docs -o pages                 open pages/index.html in a browser; no network is needed",
        "docs my-mappings -o pages     other mapping files",
    )
)
@click.argument("folder", required=False, type=FOLDER)
@click.option(
    "-o",
    "--output",
    metavar="DIR",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder to write the pages into.",
)
@click.option(
    "--root", metavar="DIR", type=FOLDER, help="Where paths of examples start (default: the folder that holds FOLDER)."
)
@click.option("--force", is_flag=True, help="Replace pages that exist.")
@shared
def docs(settings: Settings, folder: Path | None, output: Path, root: Path | None, force: bool) -> int:
    """Write a page for each message type: fields, rules both ways, code maps, losses with reasons, an example.

    The values in the example are those of the example that the mapping file names.
    """
    from converter.docs.writing import pages
    from converter.engine import mappings_folder
    from converter.rehearsal.testing import Engines
    from converter.sinks import refuse_existing, write_file

    folder = folder or settings.mappings or mappings_folder()
    reporter = settings.reporter(sys.stdout)
    engines = Engines(folder, settings.sor, settings.limits, validate=False)
    number = 0
    for name, content in pages(engines, root or folder.resolve().parent):
        if not number:
            output.mkdir(parents=True, exist_ok=True)
        refuse_existing(output / name, force=force)
        write_file(output / name, content.encode(), force=force)
        number += 1
    reporter.note(f"{output}: {number} pages")
    return CLEAN


COMMANDS = (docs,)
