"""The commands `pack run` and `pack list`: scenario packs, as at a test camp or a certification."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from converter.cli.options import FOLDER, NEW, Settings, ended, engine_for, examples, shared

if TYPE_CHECKING:
    from converter.engine import Engine
    from converter.rehearsal.packs import Pack

_PACKS = click.option("--packs", metavar="DIR", type=FOLDER, help="Folder of packs (default: fixtures/packs here).")


@click.group()
def pack() -> None:
    """Scenario packs: messages with what must become of them, step by step."""


def _folder(settings: Settings, packs: Path | None) -> Path:
    from converter.engine import mappings_folder

    return packs or (settings.mappings or mappings_folder()).resolve().parent / "fixtures" / "packs"


def _named(settings: Settings, name: str, packs: Path | None) -> Path:
    from converter.rehearsal.packs import FILE

    for folder in (Path(name), _folder(settings, packs) / name):
        if (folder / FILE).is_file():
            return folder
    raise click.UsageError(f"there is no pack {name!r}: no {FILE} in that folder, nor below {_folder(settings, packs)}")


@pack.command(
    epilog=examples(
        "pack run conversion-service                             the built-in pack of that name",
        "pack run conversion-service --official examples/        MedCom's own files where they are there",
        "pack run my-pack/ --evidence evidence.zip --junit out.xml",
    )
)
@click.argument("name")
@_PACKS
@click.option("--official", metavar="DIR", type=FOLDER, help="Official files, taken instead of the invented ones.")
@click.option("--evidence", metavar="ZIP", type=NEW, help="Write what every step got, gave and said: whole messages.")
@click.option("--junit", metavar="FILE", type=NEW, help="Write a JUnit report with a case for each step.")
@click.option("--force", is_flag=True, help="Replace the files if they exist.")
@shared
def run(settings: Settings, name: str, **wanted: Any) -> int:
    """Run the pack NAME (a name, or a folder with pack.yaml) and tell which steps hold.

    A step that does not hold is a finding (LNT541), and the exit code is 1. Evidence and report name every step.
    """
    from converter.rehearsal import packs as running
    from converter.sinks import refuse_existing, write_file

    files = {key: wanted[key] for key in ("junit", "evidence") if wanted[key] is not None}
    for path in files.values():
        refuse_existing(path, force=wanted["force"])
    reporter = settings.reporter(sys.stdout)
    found = running.read(_named(settings, name, wanted["packs"]), wanted["official"])
    engine = _engine(settings, found)
    results = []
    with reporter.progress("steps", stdout_used=True) as advance:
        for result in running.run(found, engine):
            results.append(result)
            reporter.looked_at(result.step.id)
            reporter.note(f"{result.step.id}: {'holds' if result.passed else 'DOES NOT HOLD'}  {result.step.title}")
            reporter.add(running.findings(result))
            advance()
    for key, path in files.items():
        data = running.junit(found, results).encode() if key == "junit" else running.evidence(found, results)
        write_file(path, data, force=wanted["force"])
    passed = sum(result.passed for result in results)
    theirs = sum(result.step.official for result in results)
    reporter.note(f"{found.name}: {passed} of {len(results)} steps hold; {theirs} with official files")
    return ended(reporter)


def _engine(settings: Settings, found: Pack) -> Engine:
    """An engine with the table that was named, else with that of the pack."""
    from dataclasses import replace

    own = settings if settings.sor is not None else replace(settings, sor=found.organisations)
    return engine_for(own, settings.reporter(sys.stderr))


@pack.command("list", epilog=examples("pack list"))
@_PACKS
@shared
def list_packs(settings: Settings, packs: Path | None) -> int:
    """The packs that `pack run` knows by name."""
    from converter.rehearsal.packs import FILE, read

    for path in sorted(_folder(settings, packs).glob(f"*/{FILE}")):
        found = read(path.parent)
        click.echo(f"{found.name}: {len(found.steps)} steps  {found.title}")
    return 0


COMMANDS = (pack,)
