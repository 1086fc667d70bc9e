"""The commands for authors of mapping files: `test`, `cover`, `diff` and `mutate`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from converter.cli.options import FOLDER, Settings, ended, examples, shared

if TYPE_CHECKING:
    from converter.rehearsal.testing import Engines

_ROOT = click.option(
    "--root", metavar="DIR", type=FOLDER, help="Where paths of examples start (default: the folder that holds FOLDER)."
)


def _folder(settings: Settings, folder: Path | None) -> Path:
    from converter.engine import mappings_folder

    found = folder or settings.mappings or mappings_folder()
    if not (found / "fhir").is_dir():
        raise click.UsageError(f"{found} holds no mapping files (no folder fhir)")
    return found


def _engines(settings: Settings, folder: Path, *, validate: bool = True) -> Engines:
    from converter.rehearsal.testing import Engines

    return Engines(folder, settings.sor, settings.limits, validate=validate)


@click.command(
    epilog=examples(
        "test                                     the examples of the built-in mapping files",
        "test my-mappings --format junit          for a build server",
        "test my-mappings --rewrite               accept what comes out now",
        "test --mapping DIS91-carecommunication   one mapping only",
    )
)
@click.argument("folder", required=False, type=FOLDER)
@click.option("--rewrite", is_flag=True, help="Write the golden files anew instead of comparing.")
@click.option("--mapping", metavar="NAME", default="", help="Only the examples of this mapping.")
@_ROOT
@shared
def test(settings: Settings, folder: Path | None, rewrite: bool, mapping: str, root: Path | None) -> int:
    """Run the examples that the mapping files of FOLDER name: output, findings, ledger and round trip.

    Each is compared with its golden file; a difference is shown by its path (values with --show-values).
    """
    from converter.issues import IssueLog
    from converter.rehearsal.testing import run

    folder = _folder(settings, folder)
    reporter, log = settings.reporter(sys.stdout), IssueLog()
    engines = _engines(settings, folder)
    if mapping and engines.of_table(settings.sor).mappings.named(mapping) is None:
        raise click.UsageError(f"--mapping: there is no mapping {mapping}")
    tally = run(engines, root or folder.resolve().parent, log, rewrite=rewrite, only=mapping)
    for file in tally.files:
        reporter.looked_at(file)
    reporter.add(log)
    for file in tally.written:
        reporter.note(f"{file}: written")
    good = sum(tally.files.values())
    reporter.note(
        f"{tally.examples} examples, {len(tally.files)} golden files: {good} agree, {len(tally.files) - good} do not"
    )
    return ended(reporter)


COMMANDS = (test,)
