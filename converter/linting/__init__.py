"""What `lint` finds in a folder of mapping files: what keeps them from loading, and what is wrong in those that load.

The files are loaded and compiled first, as a conversion does. Mappings that load are then checked against the letters
that they read, the profiles that they write, and each other: `sources`, `targets`, `assignment`, `values` and
`structure` each have a family of faults, `style` has what a reader stumbles over, `policy` what was accepted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TypeVar

from converter import conditions
from converter.definitions import Definitions, Element
from converter.errors import ConverterError, MappingError
from converter.fhir.profiles import Pack
from converter.flows.table import FILE, load_table
from converter.issues import Issue, IssueLog, Location, Severity, declare
from converter.joining.table import FILE as ATTACHMENTS
from converter.joining.table import Leaves
from converter.joining.table import load_table as load_attachments
from converter.linting import assignment, names, sources, structure, style, targets, values
from converter.linting.letters import LetterFacts
from converter.linting.policy import Policy
from converter.linting.scope import Scope
from converter.linting.shapes import Shapes
from converter.mapping import Mappings
from converter.mapping.document import Document
from converter.mapping.rules import BAD_FORM
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
OUTSIDE = declare(
    "LNT202",
    "file-outside-folder",
    Severity.ERROR,
    "the file is a link that leads out of the mapping folder",
    why="What it holds is not what a reviewer of the folder has seen.",
    help="Put the file itself into the folder.",
)
NO_PACK = declare(
    "LNT203",
    "bundle-profile-unknown",
    Severity.ERROR,
    "no profile pack has the Bundle profile {profile!r}",
    why="Neither the mapping nor its messages can be checked against it.",
    help="Compare with `medcom-fhir profiles list`, or build the pack with `medcom-fhir profiles pack`.",
)
PARTS = ("letters", "fhir", "codes", "profiles")
# Guards in shared parts: at fault only where every application of the part agrees.
_SHARED = (sources.NEVER_HOLDS.code, sources.ALWAYS_HOLDS.code)
_NUMBERS = re.compile(r"\d+")

T = TypeVar("T")
Stamp = tuple[tuple[str, int, int], ...]


def _nothing(document: Document, log: IssueLog) -> None:
    """No further check."""


def lint(
    folder: Path, log: IssueLog, *, fix: bool = False, also: Callable[[Document, IssueLog], object] = _nothing
) -> str:
    """Load, compile and check all files of a folder; every fault goes to `log`. Returns what was checked, in words.

    A fault in letter definitions does not hide those in mappings: then mappings are checked without their letters.
    `fix` makes the changes that alter nothing of what the files mean; what they answer is not told any more. `also` is
    a check of each mapping that is made elsewhere, as that of its examples.
    """
    found = IssueLog()
    linter = _Linter(folder, found, also)
    checked = linter.run()
    issues = found.issues
    if fix:
        done = style.fix(issues, folder)
        issues = [issue for issue in issues if issue not in done]
        checked += f", {len(done)} fixed"
    log.extend(linter.settled(issues))
    return f"{checked}; {len(log.issues) or 'no'} faults"


def _stamp(path: Path) -> Stamp:
    """What tells that no file of a folder, or a file, has changed."""
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    return tuple((str(p), (stat := p.stat()).st_mtime_ns, stat.st_size) for p in files)


# Who lints again after each change of a mapping (editors, tests) waits only for what has changed.
@lru_cache(maxsize=2)
def _definitions(folder: Path, stamp: Stamp) -> Definitions:
    return Definitions.load(folder)


@lru_cache(maxsize=16)
def _pack(path: Path, stamp: Stamp) -> Pack:
    return Pack.load(path)


class _Linter:
    def __init__(self, folder: Path, log: IssueLog, also: Callable[[Document, IssueLog], object]) -> None:
        self.folder, self.log, self.also = folder, log, also
        self.packs: list[Pack] = []
        self.shapes: dict[str, Shapes] = {}
        self.policy: Policy | None = None
        self.added: dict[str, Element] = {}

    def run(self) -> str:
        """Every check; gives what was checked, in words."""
        folder, log = self.folder, self.log
        self._inside()
        definitions = self._loaded(lambda: _definitions(folder / "letters", _stamp(folder / "letters")))
        leaves = self._leaves(definitions)
        mappings = self._loaded(lambda: self._mappings(leaves))
        if (folder / FILE).is_file():
            types = definitions.leaves if definitions else None
            self._loaded(lambda: load_table(folder / FILE, types), FILE)
        if (folder / ROUTES).is_file():
            self._loaded(lambda: Routes.load(folder / ROUTES))
        every_leaf = names.leaves_of(definitions) if definitions else None
        rules = self._loaded(lambda: load_rules(folder, every_leaf))
        if every_leaf is not None and (folder / conditions.FILE).is_file():
            table = self._loaded(lambda: conditions.Table.load(folder))
            log.extend(conditions.check(table, every_leaf) if table else [])
        if definitions is not None:
            self._loaded(partial(names.check, folder, definitions, log))
        documents = self._loaded(partial(_documents, folder))
        self.packs = self._packs()
        guides = self._guides()
        self.policy = self._loaded(lambda: Policy(folder))
        if mappings is not None:
            self._deep(definitions, mappings)
            for mapping in mappings.mappings:
                self.also(mapping.document, log)
        broken = {issue.at.file for issue in log if issue.severity == "error"}
        for path in self._files():
            name = path.relative_to(folder).as_posix()
            if not any(file.endswith(name) for file in broken):  # what does not load has no style
                style.check(path, name, log)
        counts = [
            (sum(len(v) for v in definitions.types.values()) if definitions else 0, "letter definitions"),
            (len(mappings.mappings) if mappings else 0, "mappings"),
            (len(mappings.codes) if mappings else 0, "code maps"),
            (len(mappings.losses) if mappings else 0, "kinds of loss"),
            (documents or 0, "kinds of document"),
            (len(rules[0]) if rules else 0, "rules"),
            (len(self.packs), "profile packs"),
            (guides, "guides in source form"),
        ]
        return f"{folder}: {', '.join(f'{count} {what}' for count, what in counts)} load and compile"

    # -- loading

    def _leaves(self, definitions: Definitions | None) -> Leaves:
        """The leaves of letter types, those of letters that are joined to them among them."""
        if definitions is None:
            return lambda type_: None
        known = definitions.leaves
        path = self.folder / ATTACHMENTS
        table = self._loaded(lambda: load_attachments(path, known), ATTACHMENTS) if path.is_file() else None
        self.added = table.added(definitions) if table is not None else {}
        return table.leaves(known) if table is not None else known

    def _loaded(self, load: Callable[[], T], file: str = "") -> T | None:
        """What loads, or None. `file` is where a finding without a place of its own belongs."""
        try:
            return load()
        except MappingError as error:
            self.log.extend(i.moved(file=file, line=1, column=1) if i.homeless and file else i for i in error.issues)
        except OSError as error:
            at = Location(str(error.filename or self.folder), 1, 1)
            self.log.add(NOT_READ, at, reason=error.strerror or "no reason given")
        return None

    def _mappings(self, leaves: Callable[[str], set[str] | None]) -> Mappings:
        """The mappings that compile; those with faults that do not hinder it are checked all the same."""
        mappings, faults = Mappings.read(self.folder, leaves)
        self.log.extend(faults)
        for mapping in mappings.mappings:
            try:
                mapping.compile()
            except Exception as error:  # noqa: BLE001 - whatever it stumbles over is a fault of the file, told as one
                at, problem = Location(mapping.document.file, 1, 1), f"does not compile ({type(error).__name__})"
                self.log.add(BAD_FORM, at, rule=mapping.name, problem=problem)
        return mappings

    def _files(self) -> Iterator[Path]:
        top = self.folder.resolve()
        for path in sorted(self.folder.rglob("*.yaml")):
            if path.is_file() and path.resolve().is_relative_to(top):
                yield path

    def _inside(self) -> None:
        """No file may lead out of the folder: mapping files come from pull requests."""
        top = self.folder.resolve()
        for path in sorted(self.folder.rglob("*")):
            if path.is_symlink() and not path.resolve().is_relative_to(top):
                self.log.add(OUTSIDE, Location(str(path), 1, 1))

    def _packs(self) -> list[Pack]:
        found = []
        for path in sorted((self.folder / "profiles").glob("*.json*")):
            try:
                found.append(_pack(path, _stamp(path)))
            except ConverterError:
                self.log.add(PACK, Location(str(path), 1, 1))
        return found

    def _guides(self) -> int:
        """Only the form can be judged here: what the profiles narrow stands in packages that need not be at hand."""
        from converter.fhir.guides import GUIDE, read_guide

        manifests = sorted((self.folder / "profiles").glob(f"*/{GUIDE}"))
        return sum(self._loaded(partial(read_guide, m.parent)) is not None for m in manifests)

    # -- what is wrong in files that load

    def _deep(self, definitions: Definitions | None, mappings: Mappings) -> None:
        scopes = [self._scope(m.document, definitions, mappings) for m in mappings.mappings]
        for scope in scopes:
            for family in (sources, targets, assignment, values, structure):
                family.check(scope)
        judged = [place for scope in scopes for place in scope.judged]
        found = [issue for scope in scopes for issue in scope.log]
        faults = [(i.rule.partition(".")[2], replace(i.at, path="")) for i in found if i.code in _SHARED]
        for issue in found:
            at = replace(issue.at, path="")
            if issue.code in _SHARED and _at(judged, at) > _at(faults, at):
                continue
            self.log.issues.append(issue)
        whole = len(scopes) == len(list((self.folder / "fhir").glob("*.yaml")))
        values.check_rows(scopes, mappings, self.log, whole=whole)
        structure.check_all(self.folder, self.log)

    def _scope(self, document: Document, definitions: Definitions | None, mappings: Mappings) -> Scope:
        letters = LetterFacts(definitions, document.letter, document.version, self.added) if definitions else None
        if definitions is not None and not letters:
            letters = None
        return Scope(document, mappings.codes, mappings.losses, letters, self._shape(document))

    def _shape(self, document: Document) -> Shapes | None:
        """The newest pack whose own profile the Bundle's is."""
        known = [p for p in self.packs if document.bundle in p.bundle_profiles()]
        if not known:
            if self.packs:
                at = Location(document.file, 1, 1)
                self.log.add(NO_PACK, at, rule=document.name, profile=document.bundle)
            return None
        pack = max(known, key=lambda p: [int(n) for n in _NUMBERS.findall(p.guide.partition("#")[2])])
        return self.shapes.setdefault(pack.guide, Shapes(pack))

    # -- telling

    def settled(self, issues: list[Issue]) -> list[Issue]:
        """The findings once each, without those that were accepted, by place; files as they open from here."""
        once: dict[tuple[str, str, int, int, str], Issue] = {}
        for issue in issues:
            at = issue.at
            once.setdefault((issue.code, at.file, at.line, at.column, issue.message), issue)
        left = list(once.values())
        if self.policy is not None:
            left = [issue for issue in left if not self.policy.accepts(issue)]
            unused = IssueLog()
            self.policy.unused(unused)
            left += unused.issues
        return [self._opens(issue) for issue in sorted(left, key=_place)]

    def _opens(self, issue: Issue) -> Issue:
        """The issue with a file name that opens from where the command was called, as editors and CI want it."""
        for base in (self.folder, self.folder / "letters"):
            if issue.at.file and (base / issue.at.file).exists():
                return issue.moved(file=str(base / issue.at.file))
        return issue


def _at(found: list[tuple[str, Location]], at: Location) -> int:
    return sum(place == at for _, place in found)


def _place(issue: Issue) -> tuple[str, int, int, str]:
    return issue.at.file, issue.at.line, issue.at.column, issue.code


def _documents(folder: Path) -> int:
    from converter.fhir.documents import Documents

    return len(Documents.load(folder).plans)
