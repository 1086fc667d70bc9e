"""The commands for authors of mapping files: `test`, `cover`, `diff` and `mutate`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from converter.cli.options import FOLDER, NEW, Settings, ended, examples, shared

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
        "test --mapping NAME                      one mapping only",
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
        f"{tally.examples} examples, {tally.variants} variants, {len(tally.files)} golden files: "
        f"{good} agree, {len(tally.files) - good} do not"
    )
    return ended(reporter)


@click.command(
    epilog=examples(
        "diff main HEAD --corpus fixtures/letters               two revisions of the built-in mapping files",
        "diff mappings my-mappings --corpus inbox/ -o diff.md   two folders; Markdown for a pull request",
        "diff HEAD~1 mappings --corpus inbox/ --accept-loss ID  a new loss that is meant",
        "diff old-roles.yaml new-roles.yaml --corpus inbox/     two versions of one code map",
        "diff codes/roles.yaml@2026-01-01 codes/roles.yaml@2026-11-01 --corpus inbox/   one code map on two days",
    )
)
@click.argument("old")
@click.argument("new")
@click.option("--corpus", metavar="DIR", multiple=True, required=True, help="Messages to convert; may be repeated.")
@click.option("--accept-loss", metavar="ID", multiple=True, help="A new loss under this id is meant; repeatable.")
@click.option("--no-validate", is_flag=True, help="Do not judge the results, which takes half of the time.")
@click.option("-o", "--output", metavar="FILE.md", type=NEW, help="Write the difference as Markdown too.")
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
@shared
def diff(settings: Settings, old: str, new: str, **wanted: Any) -> int:
    """Convert a corpus with two versions of the mapping files and tell what changes.

    OLD and NEW are folders, git revisions of the mapping folder (--mappings, default: the built-in ones), files with a
    code map, or a code map of the mapping folder as it was on a day (codes/NAME.yaml@DATE).
    Exit code 1 if a loss is new and not accepted, or a message fails that did not.
    """
    from converter.engine import Engine, mappings_folder
    from converter.issues import IssueLog
    from converter.rehearsal import comparing
    from converter.rehearsal.revisions import folder_of
    from converter.sinks import refuse_existing, write_file
    from converter.sources import inputs, require

    require(wanted["corpus"])
    if wanted["output"]:
        refuse_existing(wanted["output"], force=wanted["force"])
    reporter, log, mappings = settings.reporter(sys.stdout), IssueLog(), settings.mappings or mappings_folder()
    directory = settings.directory(reporter)
    with folder_of(old, mappings) as was, folder_of(new, mappings) as now:
        older, newer = (
            Engine(
                _folder(settings, folder),
                directory=directory,
                limits=settings.limits,
                validate=not wanted["no_validate"],
            )
            for folder in (was, now)
        )
        older.load()
        newer.load()
        found = comparing.compare(older, newer, inputs(wanted["corpus"], log, settings.limits))
        shown = new if Path(new).is_dir() else os.path.relpath(mappings)
        comparing.report(found, newer, frozenset(wanted["accept_loss"]), log, shown)
    if wanted["output"]:
        write_file(wanted["output"], comparing.markdown(found, old, new).encode(), force=wanted["force"])
    for line in comparing.text(found).splitlines():
        reporter.note(line)
    reporter.add(log)
    tables = {"changes": [change.row() for change in found.changes.values()]}
    return ended(reporter, tables={"messages": [found.messages], **tables})


@click.command(
    epilog=examples(
        "cover                                      what the examples of the built-in mapping files exercise",
        "cover my-mappings --corpus inbox/          with a corpus too",
        "cover -o coverage.html --fail-under 100    a page; exit code 1 below 100 % of the rules",
    )
)
@click.argument("folder", required=False, type=FOLDER)
@click.option("--corpus", metavar="DIR", multiple=True, help="Messages to run besides the examples; may be repeated.")
@click.option("--fail-under", metavar="N", type=float, default=0.0, help="Lowest share of rules, in per cent.")
@click.option("--fail-under-rows", metavar="N", type=float, default=0.0, help="Lowest share of rows of code maps.")
@click.option("-o", "--output", metavar="PAGE.html", type=NEW, help="Write a page too.")
@click.option("--force", is_flag=True, help="Replace the page if it exists.")
@_ROOT
@shared
def cover(settings: Settings, folder: Path | None, root: Path | None, **wanted: Any) -> int:
    """Tell which rules, guards, rows of code maps and fields of letters the examples exercise, there and back.

    A rule is exercised where it gave a value or accounted for one; a guard where it has held and not held.
    """
    from converter.cli.exits import FINDINGS
    from converter.issues import IssueLog
    from converter.rehearsal import coverage
    from converter.sinks import refuse_existing, write_file
    from converter.sources import inputs, require

    require(wanted["corpus"])
    folder = _folder(settings, folder)
    if wanted["output"]:
        refuse_existing(wanted["output"], force=wanted["force"])
    reporter, log = settings.reporter(sys.stdout), IssueLog()
    corpus = inputs(wanted["corpus"], log, settings.limits) if wanted["corpus"] else ()
    engines = _engines(settings, folder, validate=False)
    found = coverage.cover(engines, root or folder.resolve().parent, corpus, log, os.path.relpath(folder))
    coverage.report(found, log)
    reporter.add(log)
    if wanted["output"]:
        write_file(wanted["output"], coverage.page(found).encode(), force=wanted["force"])
    reporter.note(coverage.summary(found))
    below = found.per_cent("rules") < wanted["fail_under"] or found.per_cent("rows") < wanted["fail_under_rows"]
    code = ended(reporter, tables={"items": [item.row() for item in found.items]})
    return code or (FINDINGS if below else code)


@click.command(
    epilog=examples(
        "mutate                                      every fault in the built-in mapping files",
        "mutate --since main --fail-under 90         only rules that changed since a revision",
        "mutate my-mappings --mapping NAME --jobs 4  only what one mapping is made of",
    )
)
@click.argument("folder", required=False, type=FOLDER)
@click.option("--since", metavar="REV", default="", help="Only rules that changed since this git revision.")
@click.option("--mapping", metavar="NAME", default="", help="Only what this mapping is made of.")
@click.option("--jobs", metavar="N", type=click.IntRange(1), help="Processes at once (default: one a processor).")
@click.option("--fail-under", metavar="N", type=float, default=0.0, help="Lowest score, in per cent.")
@_ROOT
@shared
def mutate(settings: Settings, folder: Path | None, root: Path | None, **wanted: Any) -> int:
    """Put faults into the mapping files one at a time, and tell which of them no example notices.

    Each rule, guard, default, constant, loss and row of a code map is dropped or altered, in memory only.
    """
    from converter.cli.exits import FINDINGS
    from converter.issues import IssueLog
    from converter.rehearsal import mutating

    folder = _folder(settings, folder)
    reporter, log = settings.reporter(sys.stdout), IssueLog()
    engines = _engines(settings, folder, validate=False)
    if wanted["mapping"] and engines.of_table(settings.sor).mappings.named(wanted["mapping"]) is None:
        raise click.UsageError(f"--mapping: there is no mapping {wanted['mapping']}")
    jobs = wanted["jobs"] or os.cpu_count() or 1
    where = root or folder.resolve().parent
    score = mutating.mutate(engines, where, log, jobs=jobs, since=wanted["since"], only=wanted["mapping"])
    mutating.report(score, log, os.path.relpath(folder))
    reporter.add(log)
    reasons = sum(bool(row["because"]) for row in mutating.rows(score))
    survived = f"{len(score.survivors)} survived ({reasons} with a reason)"
    reporter.note(f"{score.mutants} mutants, {survived}: score {score.per_cent:.1f} %")
    code = ended(reporter, tables={"mutants": [score.mutants], "survivors": list(mutating.rows(score))})
    return code or (FINDINGS if score.per_cent < wanted["fail_under"] else code)


COMMANDS = (test, cover, diff, mutate)
