"""What becomes of the letters of every type, there and back: the rows of README's matrix, from runs.

A message is converted to FHIR, the Bundle back to a letter, and that letter to FHIR again; a Bundle that was written in
FHIR begins with the way back. What does not hold has a reason: a kind of issue, or an id of the loss catalogue.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from converter.directory import Directory
from converter.engine import Engine, Outcome
from converter.issues import IssueLog
from converter.ledger import losses_by_leaf
from converter.rehearsal.golden import declared
from tests.cases import FIXTURES

COLUMNS = (
    "to FHIR",
    "without errors",
    "to a letter",
    "without errors ",
    "the letter comes back",
    "the Bundle comes back",
)
"""What is asked of every message, in the order of the columns; two ask the same of the two directions."""
HEAD = "| letters | fixtures | samples | in FHIR | " + " | ".join(map(str.strip, COLUMNS)) + " | mapped |"
NO_TARGET = "MAP060"
_LOSS = re.compile(r"\(([A-Z0-9]+-\d+)\)$")


@dataclass
class Tried:
    """One message there and back: for each column that was asked, nothing if it holds, else the reason."""

    type: str
    held: dict[str, str] = field(default_factory=dict)
    leaves: Counter[str] = field(default_factory=Counter)


def reason(outcomes: Iterable[Outcome], *, fatal: bool) -> str:
    """Why there is no output (`fatal`) or what is wrong with it: kinds of errors, and the loss that refused it."""
    found = {_LOSS.search(i.message) or i.code for o in outcomes for i in o.issues if i.severity == "error"}
    names = sorted({name if isinstance(name, str) else name[1] for name in found})
    return ", ".join(names) or ("nothing came out" if fatal else "")


def there_and_back(engine: Engine, data: bytes, name: str) -> Tried:
    """A letter to FHIR and back, and to FHIR again."""
    made = list(engine.convert(data, to="fhir", name=name))
    first = made[0]
    tried = Tried(first.type)
    bundles = [o for o in made if o.output is not None]
    tried.held["to FHIR"] = "" if bundles else reason(made, fatal=True)
    for outcome in made:
        if outcome.ledger is not None:
            tried.leaves.update(outcome.ledger.totals())
    if not bundles:
        return tried
    tried.held["without errors"] = reason(made, fatal=False)
    back = _letters(engine, bundles[0].output or b"", tried)
    twin = next((o for o in back if o.letter is not None and o.type == first.type), None)
    if twin is not None:
        tried.held["the letter comes back"] = _differs(bundles[0], twin)
        tried.held["the Bundle comes back"] = _again(engine, bundles[0], back)
    return tried


def back_and_there(engine: Engine, data: bytes, name: str) -> Tried:
    """A Bundle that was written in FHIR to a letter, to FHIR, and to a letter again."""
    tried = Tried("")
    letters = _letters(engine, data, tried, name)
    tried.type = letters[0].type if letters else ""
    written = [o for o in letters if o.output is not None]
    for letter in written if len(written) == 1 else ():  # several belong together: they come back by their joining only
        born = next(iter(engine.convert(letter.output or b"", to="fhir", name="letter.xml")))
        again = list(engine.convert(born.output, to="oioxml", name="bundle.json")) if born.output else []
        same = letter.output in [o.output for o in again]
        tried.held["the letter comes back"] = "" if same else reason([born, *again], fatal=True)
        break
    return tried


def _letters(engine: Engine, bundle: bytes, tried: Tried, name: str = "bundle.json") -> list[Outcome]:
    back = list(engine.convert(bundle, to="oioxml", name=name))
    written = [o for o in back if o.output is not None]
    tried.held["to a letter"] = "" if written else reason(back, fatal=True)
    if written:
        judged = [o for letter in written for o in engine.validate(letter.output or b"", name="letter.xml")]
        tried.held["without errors "] = reason([*judged, *back], fatal=False)
    return back


def _differs(forward: Outcome, back: Outcome) -> str:
    """Nothing if the letter is the same but for what a ledger names; else the leaves."""
    if forward.letter is None or back.letter is None or forward.ledger is None or back.ledger is None:
        return "no ledger"
    _, undeclared = declared(forward.letter.values, back.letter.values, losses_by_leaf(forward.ledger, back.ledger))
    return "" if not undeclared else "undeclared: " + ", ".join(sorted(undeclared))


def _again(engine: Engine, forward: Outcome, back: list[Outcome]) -> str:
    """Nothing if the letter gives the Bundle again; times that no clock showed come back as others."""
    for letter in back:
        made = engine.convert(letter.output or b"", to="fhir", name="back.xml") if letter.output else ()
        if forward.output in [o.output for o in made]:
            return ""
    ledger = forward.ledger
    hours = ledger is not None and any(entry.loss == "ALL-08" for entry in ledger.entries)
    return "ALL-08" if hours else "another Bundle"


# -- what is tried


def fixtures(type_: str) -> list[Path]:
    """The invented letters of a type in every syntax."""
    return [p for base in ("letters", "legacy") for p in sorted(FIXTURES.glob(f"{base}/{type_}/*/message.*"))]


def written(type_: str) -> list[Path]:
    """The invented Bundles that were written in FHIR."""
    return sorted(FIXTURES.glob(f"bundles/{type_}/*/message.json"))


def samples(shared: Path) -> list[Path]:
    """MedCom's letters in every syntax, and letters from the field."""
    folders = (
        "medcom-2014/edifact/*.edi",
        "medcom-2014/xml/*.xml",
        "medcom-2014/*.xml",
        "medcom-2014/*.edi",
        "field/*",
    )
    return [p for pattern in folders for p in sorted((shared / "samples").glob(pattern))]


def table(folder: Path, paths: Iterable[Path]) -> Directory:
    """An organisation table with an invented row for every location number of these letters."""
    reader = Engine(validate=False)
    found: set[str] = set()
    for path in paths:
        for outcome in reader.convert(path.read_bytes(), to="oioxml", name=path.name):
            values = outcome.letter.values if outcome.letter else {}
            found.update(str(v) for leaf, v in values.items() if leaf.endswith("EANIdentifier"))
    rows = ["gln,sor,name,telephone", *(f"{gln},325371000016006,Prøve,70112233" for gln in sorted(found))]
    path = folder / "organisations.csv"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    log = IssueLog()
    return Directory.load(path, log)


# -- the table


@dataclass
class Row:
    """What became of all messages of a type."""

    type: str
    fixtures: int = 0
    samples: int = 0
    written: int = 0
    tried: list[Tried] = field(default_factory=list)

    def cell(self, column: str) -> str:
        """`all`, or how many of them and why not the others; a dash where nothing was asked."""
        asked = [t.held[column] for t in self.tried if column in t.held]
        failed = Counter(why for why in asked if why)
        if not asked:
            return "–"
        if set(failed) == {NO_TARGET} and len(asked) == failed.total():
            return "no target"
        whys = ", ".join(sorted({why for several in failed for why in several.split(", ")}))
        return "all" if not failed else f"{len(asked) - failed.total()} of {len(asked)} ({whys})"

    def line(self) -> str:
        """The row as Markdown."""
        leaves: Counter[str] = sum((t.leaves for t in self.tried), Counter())
        share = f"{leaves['mapped'] / leaves.total():.0%}" if leaves.total() else "–"
        counts = [str(n or "–") for n in (self.fixtures, self.samples, self.written)]
        return "| " + " | ".join([self.type, *counts, *map(self.cell, COLUMNS), share]) + " |"


def rows(engines: Mapping[str, Engine], paths: Callable[[str], Iterator[tuple[str, Path]]]) -> list[Row]:
    """A row for every letter type that is defined.

    `paths` gives its messages with what they are counted as (a number of `Row`), and `engines` what converts those.
    """
    found = {type_: Row(type_) for type_ in sorted(engines["fixtures"].definitions.types)}
    for type_ in list(found):
        for kind, path in paths(type_):
            way = back_and_there if kind == "written" else there_and_back
            tried = way(engines[kind], path.read_bytes(), path.name)
            row = found.get(tried.type or type_)
            if row is not None:
                setattr(row, kind, getattr(row, kind) + 1)
                row.tried.append(tried)
    return list(found.values())


def markdown(found: Iterable[Row]) -> str:
    """The table."""
    return "\n".join([HEAD, "|---" * (HEAD.count("|") - 1) + "|", *(row.line() for row in found)]) + "\n"
