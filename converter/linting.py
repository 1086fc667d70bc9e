"""What `lint` finds in a folder of mapping files: whatever keeps them from loading and compiling, with its place."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from converter.definitions import Definitions
from converter.errors import ConverterError, MappingError
from converter.flows.table import FILE, load_table
from converter.issues import Issue, IssueLog, Location, Severity, declare
from converter.mapping import Mappings
from converter.routes import FILE as ROUTES
from converter.routes import Routes
from converter.rules import load as load_rules

PACK = declare(
    "LNT200",
    "pack-unreadable",
    Severity.ERROR,
    "not a profile pack that this version can read",
    why="Messages of its guide would be reported as not checked.",
    help="Build it again with `medcom-fhir profiles pack GUIDE#VERSION`.",
)
NOT_READ = declare(
    "LNT201",
    "mapping-file-unreadable",
    Severity.ERROR,
    "cannot be read: {reason}",
    why="What it defines is missing, so nothing that needs it can be converted.",
    help="Check that the file is there and that you may read it.",
)
PARTS = ("letters", "fhir", "codes", "profiles")

T = TypeVar("T")


def lint(folder: Path, log: IssueLog) -> str:
    """Load and compile all files of a folder; every fault goes to `log`. Returns what was checked, in words.

    A fault in letter definitions does not hide those in mappings: then mappings are checked without their letters.
    """
    known = set(log.issues)
    definitions = _loaded(lambda: Definitions.load(folder / "letters"), folder, log)
    leaves = definitions.leaves if definitions else lambda type_: None
    mappings = _loaded(lambda: Mappings.load(folder, leaves), folder, log)
    if (folder / FILE).is_file():
        types = definitions.leaves if definitions else None
        _loaded(lambda: load_table(folder / FILE, types), folder, log)
    if (folder / ROUTES).is_file():
        _loaded(lambda: Routes.load(folder / ROUTES), folder, log)
    rules = _loaded(lambda: load_rules(folder), folder, log)
    documents = _loaded(partial(_documents, folder), folder, log)
    packs = _packs(folder / "profiles", log)
    guides = _guides(folder, log)
    counts = [
        (sum(len(v) for v in definitions.types.values()) if definitions else 0, "letter definitions"),
        (len(mappings.mappings) if mappings else 0, "mappings"),
        (len(mappings.codes) if mappings else 0, "code maps"),
        (len(mappings.losses) if mappings else 0, "kinds of loss"),
        (documents or 0, "kinds of document"),
        (len(rules[0]) if rules else 0, "rules"),
        (packs, "profile packs"),
        (guides, "guides in source form"),
    ]
    faults = len(set(log.issues) - known)
    checked = ", ".join(f"{count} {what}" for count, what in counts)
    return f"{folder}: {checked} load and compile; {faults or 'no'} faults"


def _loaded(load: Callable[[], T], folder: Path, log: IssueLog) -> T | None:
    try:
        return load()
    except MappingError as error:
        log.extend(_in_folder(issue, folder) for issue in error.issues)
    except OSError as error:
        log.add(NOT_READ, Location(str(error.filename or folder), 1, 1), reason=error.strerror or "no reason given")
    return None


def _in_folder(issue: Issue, folder: Path) -> Issue:
    """The issue with a file name that opens from where the command was called, as editors and CI want it."""
    for base in (folder, folder / "letters"):
        if issue.at.file and (base / issue.at.file).exists():
            return issue.moved(file=str(base / issue.at.file))
    return issue


def _packs(folder: Path, log: IssueLog) -> int:
    from converter.fhir.packs import read_pack

    count = 0
    for path in sorted(folder.glob("*.json*")):
        try:
            read_pack(path)
            count += 1
        except ConverterError:
            log.add(PACK, Location(str(path), 1, 1))
    return count


def _documents(folder: Path) -> int:
    from converter.fhir.documents import Documents

    return len(Documents.load(folder).plans)


def _guides(folder: Path, log: IssueLog) -> int:
    """Only the form can be judged here: what the profiles narrow stands in packages that need not be at hand."""
    from converter.fhir.guides import GUIDE, read_guide

    manifests = sorted((folder / "profiles").glob(f"*/{GUIDE}"))
    return sum(_loaded(partial(read_guide, m.parent), folder, log) is not None for m in manifests)
