"""The commands that look into things: messages, codes, mappings, profiles, the organisation table, the installation."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from converter.cli.exits import CLEAN, FINDINGS, MAPPINGS, NAME, describe
from converter.cli.options import EXISTING, FOLDER, NEW, Settings, ended, engine_for, examples, shared
from converter.version import VERSION

if TYPE_CHECKING:
    from converter.issues import IssueLog
    from converter.mapping.document import Document


@click.command(
    epilog=examples(
        "explain letter.edi                     where each value of the result came from, what has no home and why",
        "explain letter.edi -o page.html        the same as a page: source left, target right",
        "explain EDI010                         an issue code",
        "explain TYPE                           a letter type (TYPE@VERSION: in that version)",
    )
)
@click.argument("subject", metavar="X")
@click.option("-o", "--output", metavar="PAGE.html", type=NEW, help="Write one self-contained HTML page.")
@click.option("--force", is_flag=True, help="Replace the page if it exists.")
@shared
def explain(settings: Settings, subject: str, output: Path | None, force: bool) -> int:
    """Explain X: a message (an existing path wins), an issue code, or a letter type."""
    from converter import explain as explaining
    from converter.engine import Engine
    from converter.issues import import_all_kinds

    if subject == "-" or os.path.lexists(subject):
        return _explain_message(settings, subject, output, force=force)
    if output is not None:
        raise click.UsageError(f"{subject}: no such file; only messages have a page")
    import_all_kinds()
    engine = Engine(settings.mappings)
    found = explaining.subject(subject, engine.definitions, engine.folder / explaining.NAMES)
    if found is None:
        raise click.UsageError(f"{subject} is no file, issue code or letter type; `{NAME} doctor` lists the types")
    click.echo(found, nl=False)
    return CLEAN


def _explain_message(settings: Settings, path: str, output: Path | None, *, force: bool) -> int:
    from converter import explain as explaining
    from converter import runs
    from converter.sinks import refuse_existing, write_file

    if output is not None:
        refuse_existing(output, force=force)
    reporter = settings.reporter(sys.stderr)
    engine = engine_for(settings, reporter)
    run = runs.Run(reporter, settings.limits, describe, lambda: engine.routes)
    outcomes = run.outcomes([path], lambda item: engine.convert(item.data, to=None, name=item.display), lambda: None)
    found = [
        explaining.explanation(item, outcome, engine) for item, outcome in outcomes if outcome.letter or outcome.ledger
    ]
    if output is not None:
        write_file(output, explaining.page(found, show_values=settings.show_values).encode(), force=force)
        reporter.note(f"{output}: {len(found)} messages explained")
    else:
        click.echo("\n".join(explaining.text(one, show_values=settings.show_values) for one in found), nl=False)
    return ended(reporter, broken=run.broken)


@click.command(
    epilog=examples(
        "show MAPPING                     both directions of a mapping, as Python",
        "show MAPPING --direction back    the way back only",
        "show TYPE                        a letter definition, expanded",
    )
)
@click.argument("mapping")
@click.option("--direction", type=click.Choice(("forth", "back", "both")), default="both", help="Which way to show.")
@shared
def show(settings: Settings, mapping: str, direction: str) -> int:
    """Show what was compiled: of a mapping its generated Python, of a letter type its definition, expanded.

    MAPPING may also be the URL or name of a profile in a pack.
    """
    from converter.engine import Engine
    from converter.explain import compiled

    found = compiled(mapping, direction, Engine(settings.mappings))
    if found is None:
        raise click.UsageError(f"no mapping, letter type or profile is named {mapping}; `{NAME} doctor` lists them")
    click.echo(found, nl=False)
    return CLEAN


@click.command(
    epilog=examples(
        "lint",
        "lint my-mappings --format github         annotations on the lines of a pull request",
        "lint --format sarif > lint.sarif",
        "lint my-mappings --fix                   style and what is not used, never what a file means",
    )
)
@click.argument("folder", required=False, type=FOLDER)
@click.option("--fix", is_flag=True, help="Change what can be changed without changing what the files mean.")
@click.option("--root", metavar="DIR", type=FOLDER, help="Where paths of examples start (default: above FOLDER).")
@shared
def lint(settings: Settings, folder: Path | None, fix: bool, root: Path | None) -> int:
    """Load, compile and check all mapping files of FOLDER (default: the built-in ones).

    Paths, codes, codecs, references, parts, losses, examples and style are checked against the letter definitions
    and the profiles, without any message. Errors end with exit code 4.
    """
    from converter.engine import mappings_folder
    from converter.issues import IssueLog
    from converter.linting import PARTS
    from converter.linting import lint as check

    folder = folder or settings.mappings or mappings_folder()
    if not any((folder / part).is_dir() for part in PARTS):
        raise click.UsageError(f"{folder} holds no mapping files (none of the folders {', '.join(PARTS)})")
    reporter, log = settings.reporter(sys.stdout), IssueLog()
    checked = check(folder, log, fix=fix, also=_example_check(folder, root))
    reporter.add(log)
    reporter.looked_at(str(folder))
    reporter.note(checked)
    return MAPPINGS if ended(reporter) == FINDINGS else CLEAN


def _example_check(folder: Path, root: Path | None) -> Callable[[Document, IssueLog], object]:
    """The check of a mapping's examples, where examples are: an installed package comes without them."""
    from converter.rehearsal.examples import examples as found

    top = root or folder.resolve().parent

    def check(document: Document, log: IssueLog) -> None:
        named = [str(e.get("cases", e.get("in", ""))) for e in document.examples if isinstance(e, dict)]
        tops = [top / Path(name).parts[0] for name in named if name]
        if root is not None or not tops or any(path.exists() for path in tops):
            found(document, top, log)

    return check


@click.group()
def profiles() -> None:
    """Packs of FHIR profiles: what the validator runs from."""


@profiles.command("list", epilog=examples("profiles list"))
@shared
def profiles_list(settings: Settings) -> int:
    """List the compiled packs."""
    from converter.engine import mappings_folder
    from converter.fhir.packs import list_packs

    rows = [("guide", "profiles", "elements", "value sets", "messages")]
    for pack in list_packs((settings.mappings or mappings_folder()) / "profiles"):
        if "error" in pack:
            raise click.ClickException(pack["error"])
        counts = (str(pack[key]) for key in ("profiles", "elements", "valuesets"))
        rows.append((pack["guide"], *counts, ", ".join(url.rpartition("/")[2] for url in pack["bundles"])))
    _table(rows)
    return CLEAN


@profiles.command(
    "pack", epilog=examples("profiles pack medcom.fhir.dk.carecommunication#5.0.2 --packages ~/.fhir/packages")
)
@click.argument("guide", metavar="GUIDE#VERSION")
@click.option("--packages", metavar="DIR", type=FOLDER, help="Folder of FHIR packages (default ~/.fhir/packages).")
@click.option("-o", "--output", metavar="PATH", type=click.Path(path_type=Path), help="File or folder for the pack.")
@click.option("--preview", metavar="VERSION", default="", help="A coming version, whose new rules become warnings.")
@shared
def profiles_pack(settings: Settings, guide: str, packages: Path | None, output: Path | None, preview: str) -> int:
    """Compile an implementation guide and all that it depends on into one pack.

    GUIDE is a package of the folder, or a guide in source form of the mapping files (profiles/*/guide.yaml).
    """
    from converter.engine import mappings_folder
    from converter.fhir.packs import pack_command

    sources = (settings.mappings or mappings_folder()) / "profiles"
    click.echo(pack_command(guide, packages, output, sources, preview))
    return CLEAN


@profiles.command(
    "export",
    epilog=examples(
        "profiles export medcom-fhir.draft -o ~/.fhir/packages/medcom-fhir.draft#0.1.0   for tools that read folders",
        "profiles export medcom-fhir.draft -o medcom-fhir.draft.tgz                      for registries",
    ),
)
@click.argument("guide", metavar="GUIDE")
@click.option("--packages", metavar="DIR", type=FOLDER, help="Folder of FHIR packages (default ~/.fhir/packages).")
@click.option(
    "-o", "--output", metavar="PATH", required=True, type=click.Path(path_type=Path), help="A folder, or a .tgz file."
)
@click.option("--force", is_flag=True, help="Replace files that exist.")
@shared
def profiles_export(settings: Settings, guide: str, packages: Path | None, output: Path, force: bool) -> int:
    """Write a guide in source form as a FHIR package: StructureDefinitions with snapshots, code systems, value sets.

    Snapshots contain what the parents say, so the packages that the guide builds on must be in the folder.
    """
    from converter.engine import mappings_folder
    from converter.fhir.export import archive, package_files
    from converter.sinks import refuse_existing, write_file

    files = package_files(guide, (settings.mappings or mappings_folder()) / "profiles", packages)
    if output.suffix == ".tgz":
        files = {"": archive(files)}
    paths = {output / name if name else output: data for name, data in files.items()}
    for path in paths:
        refuse_existing(path, force=force)
    for path, data in paths.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, data, force=force)
    click.echo(output)
    return CLEAN


@click.group()
def sor() -> None:
    """The organisation table."""


@sor.command("check", epilog=examples("sor check organisations.csv", "sor check organisations.csv --fail-on warning"))
@click.argument("file", type=EXISTING)
@shared
def sor_check(settings: Settings, file: Path) -> int:
    """Judge every row of an organisation table: shapes, check digits, dates, overlaps."""
    from converter.directory import check
    from converter.issues import IssueLog

    reporter, log = settings.reporter(sys.stdout), IssueLog()
    summary = check(file, log)
    reporter.looked_at(str(file))
    reporter.add(log)
    reporter.note(
        f"{file}: {summary.rows} rows, {summary.organisations} organisations, {summary.with_sor} rows with a SOR id, "
        f"{summary.with_id} with an own number, {summary.with_receives} with what they receive, {summary.unused} unused"
    )
    return ended(reporter)


@click.command(epilog=examples("doctor"))
@shared
def doctor(settings: Settings) -> int:
    """Show versions, mapping files, profile packs and optional tools. Exit code 1 if something needed is missing."""
    from converter.doctor import rows

    found = list(rows(VERSION, settings.mappings))
    _table([(state, name, known) for name, state, known in found])
    return FINDINGS if any(state == "fault" for _, state, _ in found) else CLEAN


def _table(rows: Sequence[Sequence[str]]) -> None:
    from converter.renderings import neutral

    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)]
    for row in rows:
        cells = [*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]
        click.echo(neutral("  ".join(cells).rstrip()))


COMMANDS = (explain, show, lint, profiles, sor, doctor)
