"""What a run is asked to do, as plain data that the ledger stores and workers get, and what follows from it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from converter.batch import parquet
from converter.batch.chunk import Convert, Form
from converter.engine import Engine, mappings_folder
from converter.errors import InterchangeError
from converter.issues import Issue, IssueLog, Severity, declare
from converter.joining import ALONE, MISSING
from converter.limits import Limits
from converter.rules import DEFAULT_LEVEL
from converter.sources import Input
from converter.vans import check
from converter.version import VERSION

NOT_ACROSS = declare(
    "BAT060",
    "attachments-of-other-inputs",
    Severity.WARNING,
    "letters and their attachments were joined only where they stand in one input; others were not looked at",
    why="The attachment may be there, in another file, archive member or line: watched folders, another attempt at "
    "dead letters and Spark do not look at all inputs together.",
    help="Put both into one interchange, or convert the letters that have attachments with `batch run` or `convert`.",
)

_REHEARSED = 50  # inputs: types that are rarer are loaded when they are met

if TYPE_CHECKING:
    from converter.directory import Directory
    from converter.engine import Outcome
    from converter.vans import Envelope


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a run that decide what comes out. `mappings` and `sor` are paths; empty for none.

    An empty `to` is the other side: FHIR of letters, letters of FHIR.
    """

    to: str = "fhir"
    validate: bool = True
    files: bool = False
    parquet: bool = False
    raw: bool = False
    keep_duplicates: bool = False
    accept: tuple[str, ...] = ()
    letter_version: str = ""
    encoding: str = ""
    ecpr_level: int = DEFAULT_LEVEL
    mappings: str = ""
    sor: str = ""
    limits: Limits = field(default_factory=Limits)

    def form(self, attempt: int = 1) -> Form:
        """What chunks are made into."""
        return Form(self.files, self.parquet, self.raw, attempt)

    def as_json(self) -> dict[str, Any]:
        """For the ledger."""
        return asdict(self)

    @classmethod
    def of(cls, stored: dict[str, Any]) -> Self:
        """From the ledger."""
        return cls(**{**stored, "limits": Limits(**stored["limits"]), "accept": tuple(stored["accept"])})

    def __call__(self) -> Convert:
        """What converts an input: made once in every worker."""
        engine = engine_for(self)

        def outcomes(item: Input) -> Iterator[Outcome]:
            for outcome in engine.convert(item.data, to=self.to or None, name=item.display):
                outcome.issues += not_across(outcome)
                yield outcome

        return self.converting(engine, outcomes)

    def rehearse(self, items: Sequence[Input]) -> None:
        """Convert one message of each type to no end but that what it needs is loaded; what is wrong is told later."""
        engine, known = engine_for(self), set[tuple[str, ...]]()
        for item in items[:_REHEARSED]:
            with suppress(Exception):
                types = {(o.syntax, o.type, o.version) for o in engine.messages(item.data, name=item.display)}
                for _ in engine.convert(item.data, to=self.to or None, name=item.display) if types - known else ():
                    pass
                known |= types

    def prepare(self) -> None:
        """Read what all workers share: the organisation table, and all files of a mapping folder that somebody named.

        Raises `MappingError` with all faults. What came with the program is read by the workers that need it.
        """
        engine = engine_for(self)
        if self.mappings:
            engine.load()

    @staticmethod
    def converting(engine: Engine, outcomes: Convert) -> Convert:
        """What converts an input, with a look at the envelope that it came in."""

        def enveloped(item: Input, envelope: Envelope) -> Iterator[Outcome]:
            for number, outcome in enumerate(outcomes(item)):
                outcome.issues += check(envelope, outcome, engine.routes, first=not number)
                yield outcome

        return lambda item: outcomes(item) if item.envelope is None else enveloped(item, item.envelope)


def not_across(outcome: Outcome) -> list[Issue]:
    """That a letter and its objects were looked for in one input only, where one of them was missed."""
    for issue in outcome.issues:
        if issue.kind is ALONE or issue.kind is MISSING:
            log = IssueLog()
            log.add(NOT_ACROSS, partial(getattr, issue, "at"))  # found only where somebody asks for it
            return log.issues
    return []


@lru_cache(maxsize=1)
def engine_for(options: Options) -> Engine:
    """The engine of a run. Workers that are forked find the one that was loaded before."""
    return Engine(
        Path(options.mappings) if options.mappings else None,
        directory=_directory(options.sor),
        accept=frozenset(options.accept),
        validate=options.validate,
        limits=options.limits,
        letter_version=options.letter_version or None,
        encoding=options.encoding or None,
        ecpr_level=options.ecpr_level,
        lines=not options.files,
    )


def _directory(path: str) -> Directory | None:
    if not path:
        return None
    from converter.directory import Directory

    return Directory.load(Path(path), IssueLog())


def fingerprint(options: Options) -> dict[str, str]:
    """What the outputs follow from beside the input, to be compared when a run goes on."""
    wanted = options.as_json()
    del wanted["mappings"], wanted["sor"]
    text = json.dumps(wanted, sort_keys=True).encode()
    try:
        table = Path(options.sor).read_bytes() if options.sor else b""
    except OSError as error:
        raise InterchangeError(f"cannot read {options.sor}: {error.strerror}") from error
    return {
        "engine": VERSION,
        "mappings": _folder_hash(Path(options.mappings) if options.mappings else mappings_folder()),
        "organisations": hashlib.sha256(table).hexdigest() if table else "",
        "options": hashlib.sha256(text).hexdigest(),
        **({"pyarrow": parquet.version()} if options.parquet else {}),
    }


def _folder_hash(folder: Path) -> str:
    """A digest of the names and bytes of all files of a folder."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = path.relative_to(folder).as_posix().encode("utf-8", "surrogateescape")
        data = path.read_bytes()
        digest.update(b"%d %d %s\n" % (len(name), len(data), name))
        digest.update(data)
    return digest.hexdigest()
