"""Which rules, guards, rows of code maps and fields of letters the examples and a corpus exercise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from converter.engine import OIOXML, Engine, Outcome
from converter.issues import Issue, IssueLog, Location, Severity, declare
from converter.joining import Partners
from converter.letter import pattern
from converter.mapping import Mappings
from converter.rehearsal.examples import attachments, examples
from converter.rehearsal.rules import in_folder, uses_codes
from converter.rehearsal.testing import Engines
from converter.rehearsal.variants import messages
from converter.rehearsal.watching import Watch, watched
from converter.sources import Input

NOT_COVERED = declare(
    "LNT520",
    "not-exercised",
    Severity.WARNING,
    "no example exercises {what}",
    why="A mistake there would be found by a receiver.",
    help="Add an example in which it takes part, and write its golden files with `medcom-fhir test --rewrite`.",
)
KINDS = ("rules", "guards", "rows", "fields")


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that can be exercised."""

    kind: str
    name: str
    at: Location
    covered: bool

    def row(self) -> dict[str, Any]:
        """Plain data."""
        place = {"file": self.at.file, "line": self.at.line}
        return {"kind": self.kind, "name": self.name, **place, "covered": self.covered}


@dataclass(slots=True)
class Coverage:
    """What was watched, and the fields that letters had."""

    watch: Watch = field(default_factory=Watch)
    fields: set[tuple[str, str]] = field(default_factory=set)
    messages: int = 0
    items: list[Item] = field(default_factory=list)

    def share(self, kind: str) -> tuple[int, int]:
        """How many of a kind are exercised, and how many there are."""
        of_kind = [item.covered for item in self.items if item.kind == kind]
        return sum(of_kind), len(of_kind)

    def per_cent(self, kind: str) -> float:
        """The share as a percentage; all of nothing is everything."""
        have, all_ = self.share(kind)
        return 100 * have / all_ if all_ else 100.0


def cover(engines: Engines, root: Path, corpus: Iterable[Input], log: IssueLog, folder: str) -> Coverage:
    """Run the examples of all mappings and a corpus, there and back, and say what took part."""
    found = Coverage()
    mappings = engines.of_table(engines.table).mappings
    probed = watched(mappings, found.watch)
    for mapping in mappings.mappings:
        for example in examples(mapping.document, root, log):
            engine = engines.of(example)
            engine.mappings = probed
            for data in messages(engine, example, log):
                _run(engine, data, found, attachments(engine, example.inputs[0]))
    engine = engines.of_table(engines.table)
    engine.mappings = probed
    for item in corpus:
        _run(engine, item.data, found)
    found.items = [*_items(found.watch, mappings, folder), *_fields(found, engine, mappings, folder)]
    return found


def _run(engine: Engine, data: bytes, found: Coverage, partners: Partners | None = None) -> None:
    """Every message in some bytes, there, and back from what came out."""
    for outcome in engine.convert(data, partners=partners):
        found.messages += 1
        _note(outcome, found)
        if outcome.output is not None and outcome.target != OIOXML:
            for back in engine.convert(outcome.output, to=OIOXML):
                _note(back, found)


def _note(outcome: Outcome, found: Coverage) -> None:
    if outcome.letter is not None:
        found.fields.update((outcome.letter.type, pattern(leaf)) for leaf in outcome.letter.values)


def _items(watch: Watch, mappings: Mappings, folder: str) -> Iterable[Item]:
    for key, name in sorted(watch.rules.items(), key=lambda pair: (pair[0][1], pair[0][2], pair[0][0])):
        at = in_folder(Location(key[1], key[2], 1), folder)
        yield Item("rules", f"{name} ({key[0]})", at, key in watch.fired)
        if key in watch.guards:
            for holds in (True, False):
                said = "holds" if holds else "does not hold"
                yield Item("guards", f"{name} ({key[0]}): the guard {said}", at, (key, holds) in watch.held)
    for name, codes in sorted(mappings.codes.items()):
        used = any(uses_codes(m.document, name) for m in mappings.mappings)
        for number, place in enumerate(codes.places if used else ()):
            label = codes.rows[number][next(iter(codes.columns))]
            yield Item("rows", f"{name}: {label}", in_folder(place, folder), (name, number) in watch.rows)


def _fields(found: Coverage, engine: Engine, mappings: Mappings, folder: str) -> Iterable[Item]:
    for mapping in mappings.mappings:
        at = in_folder(Location(mapping.document.file, 1, 1), folder)
        for path in sorted(engine.definitions.leaves(mapping.letter) or ()):
            yield Item("fields", f"{mapping.letter} {path}", at, (mapping.letter, path) in found.fields)


def report(found: Coverage, log: IssueLog) -> None:
    """A finding for each rule, guard and row that nothing exercises; fields only count."""
    for item in found.items:
        if not item.covered and item.kind != "fields":
            log.issues.append(_issue(item))


def _issue(item: Item) -> Issue:
    words = {"rules": "the rule ", "guards": "", "rows": "the row "}
    message = NOT_COVERED.message.format(what=words[item.kind] + item.name)
    return Issue(NOT_COVERED, item.at, message, severity=NOT_COVERED.severity)


def summary(found: Coverage) -> str:
    """One line: the shares of each kind."""
    parts = []
    for kind in KINDS:
        have, all_ = found.share(kind)
        parts.append(f"{kind} {have}/{all_} ({found.per_cent(kind):.1f} %)")
    return f"{found.messages} messages: {', '.join(parts)}"


def page(found: Coverage) -> str:
    """An HTML page without anything from elsewhere."""
    from jinja2 import Environment

    source = (resources.files("converter") / "templates" / "coverage.html").read_text(encoding="utf-8")
    template = Environment(autoescape=True).from_string(source)
    files: dict[str, list[Item]] = {}
    for item in found.items:
        files.setdefault(item.at.file, []).append(item)
    missing = {name: Counter(i.kind for i in items if not i.covered) for name, items in files.items()}
    shares = [(kind, *found.share(kind), f"{found.per_cent(kind):.1f}") for kind in KINDS]
    return template.render(shares=shares, files=sorted(files.items()), missing=missing, messages=found.messages)
