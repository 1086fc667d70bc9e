"""The commands that help to write mapping files: `fmt` and `new`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from converter.cli.exits import CLEAN, FINDINGS, MAPPINGS
from converter.cli.options import FOLDER, NEW, Settings, examples, shared


@click.command(
    epilog=examples(
        "fmt my-mappings                 writes all files in the one style",
        "fmt my-mappings --check         changes nothing; exit code 1 if a file would change",
    )
)
@click.argument("paths", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option("--check", is_flag=True, help="Only tell which files are not in the style.")
@shared
def fmt(settings: Settings, paths: tuple[Path, ...], check: bool) -> int:
    """Write mapping files in one style: blanks, empty lines and line ends, nothing that they mean."""
    from converter.engine import mappings_folder
    from converter.errors import MappingError
    from converter.linting.style import fmt as write
    from converter.linting.style import formatted

    reporter, changed, broken = settings.reporter(sys.stdout), 0, False
    for path in _files(paths or (settings.mappings or mappings_folder(),)):
        try:
            text = path.read_bytes().decode("utf-8-sig")
            differs = formatted(text) != text if check else write(path)
        except MappingError as error:
            reporter.add(error.issues)
            broken = True
            continue
        if differs:
            changed += 1
            reporter.note(f"{path}: {'not in the style' if check else 'written'}")
    reporter.note(f"{changed or 'no'} files {'to change' if check else 'changed'}")
    reporter.finish()
    if broken:
        return MAPPINGS
    return FINDINGS if check and changed else CLEAN


def _files(paths: tuple[Path, ...]) -> list[Path]:
    return [file for path in paths for file in ([path] if path.is_file() else sorted(path.rglob("*.yaml")))]


@click.group()
def new() -> None:
    """Begin a mapping file."""


@new.command(
    "mapping",
    epilog=examples(
        "new mapping TYPE PROFILE -o my-mappings/fhir/mine.yaml",
        "new mapping TYPE@VERSION PROFILE     the file on standard output",
    ),
)
@click.argument("type_", metavar="TYPE[@VERSION]")
@click.argument("profile", metavar="PROFILE")
@click.option("-o", "--output", metavar="FILE.yaml", type=NEW, help="Write the file instead of showing it.")
@click.option("--folder", type=FOLDER, help="Mapping files whose letters and profiles are meant.")
@shared
def new_mapping(settings: Settings, type_: str, profile: str, output: Path | None, folder: Path | None) -> int:
    """Write a mapping file to complete: every element of the letter TYPE and every required element of PROFILE.

    PROFILE is the Bundle profile of the message. What is written loads once its `COMPLETE` marks are answered.
    """
    from converter.engine import mappings_folder
    from converter.linting.scaffold import NotThereError, scaffold
    from converter.sinks import refuse_existing, write_file

    name, _, version = type_.partition("@")
    try:
        text = scaffold(folder or settings.mappings or mappings_folder(), name, version, profile)
    except NotThereError as error:
        raise click.UsageError(str(error)) from None
    if output is None:
        click.echo(text, nl=False)
        return CLEAN
    refuse_existing(output, force=False)
    write_file(output, text.encode(), force=False)
    return CLEAN


COMMANDS = (fmt, new)
