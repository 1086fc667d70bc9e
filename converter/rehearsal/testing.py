"""Runs the examples of mapping files and compares with their golden files, or writes these anew."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from converter.directory import Directory
from converter.engine import FHIR, OIOXML, Engine, Outcome
from converter.issues import Issue, IssueKind, IssueLog, Location, Severity, declare
from converter.ledger import losses_by_leaf
from converter.limits import Limits
from converter.originals import Original, Remembered
from converter.rehearsal import differences, golden, variants
from converter.rehearsal.examples import Example, attachments, examples
from converter.yamlfile import load

DIFFERS = declare(
    "LNT503",
    "example-differs",
    Severity.ERROR,
    "{what} of the example {example} is not what it was: {how}",
    why="The mapping does something else than its author has seen and accepted.",
    help="If it is meant, accept it with `medcom-fhir test --rewrite` and have the difference reviewed.",
)
NO_GOLDEN = declare(
    "LNT504",
    "example-without-golden-file",
    Severity.ERROR,
    "{what} of the example {example} is not written down",
    why="Nobody can say whether it is what was meant.",
    help="Write it with `medcom-fhir test --rewrite`, and have it reviewed.",
)
UNDECLARED = declare(
    "LNT505",
    "round-trip-undeclared",
    Severity.ERROR,
    "{path} does not survive the way there and back in the example {example}, and no loss says so",
    why="A value changes or is lost without anybody having decided so.",
    help="Correct the rule, or name a loss of the catalogue at the rule that changes the value.",
)
TWINS = declare(
    "LNT506",
    "example-twins-differ",
    Severity.ERROR,
    "{what} of the example {example} depends on the syntax of the letter",
    why="The inputs of one example are the same message, so they must give the same.",
    help="Make the inputs alike, or two examples of them.",
)
SEVERAL = declare(
    "LNT507",
    "example-not-one-message",
    Severity.ERROR,
    "the example {example} holds {number} messages of {type}, and not one of the mapping's letters",
    why="The example would show another mapping than the one that names it.",
    help="Give one message of the letter type or profile of the mapping.",
)
MOST = 20
_WORDS = {
    "out": "the output",
    "issues": "the list of findings",
    "ledger": "the ledger",
    "back": "the round trip",
    "variants": "what becomes of the variants",
}


@dataclass(slots=True)
class Tally:
    """What a run of the examples did: golden files compared (with whether they agree) and written."""

    examples: int = 0
    variants: int = 0
    files: dict[str, bool] = field(default_factory=dict)
    written: list[str] = field(default_factory=list)


ORIGINALS = "originals.yaml"
"""Beside a message: the messages that were converted before and that it may answer, by the columns of a state store."""


class Engines:
    """Engines for the organisation tables that examples name; all else is the same in each run: no clock, no chance."""

    def __init__(self, folder: Path, table: Path | None, limits: Limits | None = None, *, validate: bool = True):
        self.folder, self.table, self.limits, self.checking = folder, table, limits, validate
        self.of_table = cache(self._made)
        self._answering = cache(self._with_store)

    def of(self, example: Example) -> Engine:
        """The engine for an example; a table that was given stands in for the one that the example names."""
        original = example.inputs[0].with_name(ORIGINALS)
        if original.is_file():
            return self._answering(self.table or example.organisations, original, example.accept)
        return self.of_table(self.table or example.organisations, example.accept)

    def _with_store(self, table: Path | None, original: Path, accept: frozenset[str]) -> Engine:
        """An engine that knows the messages which the receipts of an example answer."""
        engine = self._made(table, accept)
        rows = load(original)["originals"]
        engine.store = Remembered(Original(**{str(k): str(v) for k, v in row.items()}) for row in rows)
        return engine

    def _made(self, table: Path | None, accept: frozenset[str] = frozenset()) -> Engine:
        directory = Directory.load(table, IssueLog()) if table else None
        return Engine(self.folder, directory=directory, limits=self.limits, validate=self.checking, accept=accept)


def run(engines: Engines, root: Path, log: IssueLog, *, rewrite: bool = False, only: str = "") -> Tally:
    """Run the examples of all mappings, or of the one named `only`; differences go to `log`."""
    tally = Tally()
    for mapping in engines.of_table(engines.table).mappings.mappings:
        if only in ("", mapping.name):
            for example in examples(mapping.document, root, log):
                tally.examples += 1
                _Run(example, engines.of(example), root.resolve(), log, tally, rewrite=rewrite).run()
    return tally


@dataclass(slots=True)
class Result:
    """What an example gives: the texts of its golden files, and what its round trip changes without a loss."""

    outcome: Outcome
    texts: dict[str, bytes | None]
    undeclared: list[str] = field(default_factory=list)

    def lines(self) -> variants.Lines:
        """The result as lines, for the difference of a variant."""
        output = self.outcome.letter if self.outcome.target == OIOXML else self.outcome.bundle
        return variants.lines(output, [(key, text) for key, text in self.texts.items() if key != "out"])


def result(engine: Engine, example: Example, data: bytes, name: str) -> Result | list[Outcome]:
    """What one input of an example gives, or its outcomes where they are not one message of the mapping."""
    partners = attachments(engine, example.inputs[0].with_name(name))
    every = engine.convert(data, to=OIOXML if example.from_fhir else FHIR, name=name, partners=partners)
    outcomes = [outcome for outcome in every if not outcome.is_partner]
    mapping = engine.mappings.named(example.mapping)
    if len(outcomes) != 1 or mapping is None or outcomes[0].type not in (mapping.letter, ""):
        return outcomes
    outcome = outcomes[0]
    texts: dict[str, bytes | None] = {
        "out": outcome.output,
        "issues": golden.issue_lines(outcome.issues).encode(),
        "ledger": golden.ledger_lines(outcome.ledger).encode() if outcome.ledger else None,
    }
    found = Result(outcome, texts)
    if not example.from_fhir:
        found.undeclared = _round_trip(engine, outcome, texts)
    return found


def _round_trip(engine: Engine, forward: Outcome, texts: dict[str, bytes | None]) -> list[str]:
    """Fill in what the way back from the output changes; the leaves that no loss speaks of."""
    texts["back"] = None
    if forward.output is None or forward.letter is None or forward.ledger is None:
        return []
    back, *_ = engine.convert(forward.output, to=OIOXML, name="bundle.json")
    if back.letter is None or back.ledger is None:
        return ["the letter"]
    losses = losses_by_leaf(forward.ledger, back.ledger)
    lines, undeclared = golden.declared(forward.letter.values, back.letter.values, losses)
    texts["back"] = lines.encode() or None
    return undeclared


class _Run:
    """One example: its inputs converted, compared, and their golden files written if that is wanted."""

    def __init__(
        self, example: Example, engine: Engine, root: Path, log: IssueLog, tally: Tally, *, rewrite: bool
    ) -> None:
        self.example, self.engine, self.root, self.log, self.tally = example, engine, root, log, tally
        self.rewrite = rewrite

    def run(self) -> None:
        """Convert the inputs and compare."""
        results: list[Result] = []
        for path in self.example.inputs:
            found = self._result(Location(self._name(path), 1, 1), path.read_bytes(), path.name)
            if found is None:
                return
            results.append(found)
            first = results[0].texts
            for key in [key for key in first if first[key] != found.texts[key]]:
                self._note(TWINS, Location(self._name(path), 1, 1), what=_WORDS[key])
        for key, file in self.example.golden.items():
            self._compare(key, file, results[0].texts.get(key))
        if self.example.variants is not None:
            golden_file = self.example.variants.with_suffix(".txt")
            self._compare("variants", golden_file, self._variants(results[0]).encode())

    def _result(self, at: Location, data: bytes, name: str) -> Result | None:
        found = result(self.engine, self.example, data, name)
        if not isinstance(found, Result):
            self._several(at, found)
            return None
        for leaf in found.undeclared:
            self._note(UNDECLARED, at, path=leaf)
        return found

    def _variants(self, base: Result) -> str:
        """What becomes of each variant, as its difference from the example itself."""
        text, was = [], base.lines()
        for variant in variants.variants(self.engine, self.example, self.log):
            found = self._result(variant.at, variant.data, self.example.inputs[0].name)
            if found is not None:
                text += [f"{variant.name}\n", *(f"  {line}\n" for line in variants.difference(was, found.lines()))]
                self.tally.variants += 1
        return "".join(text)

    def _name(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    def _note(self, kind: IssueKind, at: Location, **facts: Any) -> None:
        self.log.add(kind, at, rule=self.example.mapping, example=self.example.name, **facts)
        self.tally.files[at.file] = False

    def _several(self, at: Location, outcomes: list[Outcome]) -> None:
        types = ", ".join(sorted({outcome.type or "no type" for outcome in outcomes})) or "no type"
        self._note(SEVERAL, at, number=len(outcomes), type=types)

    def _compare(self, key: str, file: Path, now: bytes | None) -> None:
        have = file.read_bytes() if file.is_file() else None
        name = self._name(file)
        if self._same(key, have, now):
            if now is not None:
                self.tally.files[name] = True
            return
        if self.rewrite:
            self._write(file, now)
            return
        if have is None:
            self._note(NO_GOLDEN, Location(name, 1, 1), what=_WORDS[key])
            return
        found = list(_different(file, have, now))
        self.tally.files[name] = False
        for one in found[:MOST]:
            self.log.issues.append(self._issue(key, name, one))
        if len(found) > MOST:
            self._note(DIFFERS, Location(name, 1, 1), what=_WORDS[key], how=f"{len(found) - MOST} more places")

    def _same(self, key: str, have: bytes | None, now: bytes | None) -> bool:
        if key == "out" or have is None or now is None:
            return have == now
        return have.splitlines() == now.splitlines()

    def _issue(self, key: str, name: str, one: differences.Difference) -> Issue:
        at = Location(name, one.line, 1, path=one.path)
        message = DIFFERS.message.format(what=_WORDS[key], example=self.example.name, how=one.how)
        return Issue(DIFFERS, at, message, "", self.example.mapping, one.values, 1, DIFFERS.severity)

    def _write(self, file: Path, now: bytes | None) -> None:
        self.tally.written.append(self._name(file))
        if now is None:
            file.unlink()
        else:
            file.write_bytes(now)


def _different(file: Path, have: bytes, now: bytes | None) -> Iterator[differences.Difference]:
    """The places in which a golden file and what should be in it differ."""
    if now is None:
        yield differences.Difference("", "nothing comes out any more", 1, None, None)
    elif file.suffix == ".json":
        try:
            was = json.loads(have)
        except ValueError:
            yield differences.Difference("", "the golden file is no JSON", 1, None, None)
            return
        found = list(differences.of_json(was, json.loads(now)))
        yield from found or [differences.Difference("", "the same content in other bytes", 1, None, None)]
    else:
        yield from differences.of_text(have.decode("utf-8", "replace"), now.decode("utf-8", "replace"))
