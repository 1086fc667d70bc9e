"""The commands `assess …`: what moving away from the older letters would take, measured on one's own messages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from converter.cli.options import EXISTING, Settings, examples, shared

_RESULT = click.Path(file_okay=False, path_type=Path)


@click.group(
    epilog=examples(
        "assess run archive/ -o result --sor organisations.csv    read all messages once",
        "assess run archive/ -o result --resume                   go on after whatever stopped it",
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


COMMANDS = (assess,)
