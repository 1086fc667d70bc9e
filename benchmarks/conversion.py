"""Rows for mapping, narrative, validating, writing and the whole chain; beside jinja2, fhir.resources and json."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks import templates
from benchmarks.corpus import TABLE, Message
from benchmarks.reading import letters
from benchmarks.rows import Row
from converter import edifact, oioxml
from converter.directory import Directory
from converter.engine import Engine
from converter.fhir import bundle as fhir
from converter.issues import IssueLog
from converter.ledger import Ledger
from converter.letter import Letter
from converter.mapping import Context

Bundle = dict[str, Any]
CHAIN = "pydifact + jinja2 + fhir.resources: EDIFACT → Bundle JSON"
JINJA = "jinja2 + json: values → Bundle"
MODEL = "fhir.resources: Bundle → model"
DUMP = "fhir.resources: model → JSON"


@dataclass(frozen=True)
class Parts:
    """Everything loaded and compiled: an engine that validates and one that does not."""

    checking: Engine
    plain: Engine

    @classmethod
    def load(cls) -> Parts:
        """The project's own mappings and the organisation table of the fixtures."""
        directory = Directory.load(TABLE, IssueLog())
        parts = cls(Engine(directory=directory), Engine(directory=directory, validate=False))
        parts.checking.load()
        parts.plain.load()
        return parts


@dataclass(frozen=True)
class Material:
    """The corpus at every station of the way."""

    messages: Sequence[Message]
    letters: list[Letter]
    bundles: list[Bundle]
    ledgers: list[Ledger]
    json: list[bytes]

    @classmethod
    def make(cls, messages: Sequence[Message], parts: Parts) -> Material:
        """Convert the corpus once."""
        done = [next(iter(parts.plain.convert(m.edifact, to="fhir", name="message.edi"))) for m in messages]
        return cls(
            messages,
            [d.letter for d in done if d.letter],
            [d.bundle for d in done if d.bundle],
            [d.ledger for d in done if d.ledger],
            [d.output for d in done if d.output],
        )


def rows(messages: Sequence[Message], parts: Parts) -> Iterator[Row]:
    """All rows behind reading."""
    made = Material.make(messages, parts)
    yield from _mapping(made, parts)
    yield from _checking(made, parts)
    yield from _writing(made, parts)
    yield from _chains(made, parts)


def _mapping(made: Material, parts: Parts) -> Iterator[Row]:
    n = len(made.messages)
    mapping = parts.plain.mappings.for_letter(made.letters[0].type)
    assert mapping is not None
    directory = parts.plain.directory
    rendered, contexts = _templates(made)

    def forward() -> list[Bundle | None]:
        return [mapping.to_fhir(letter, Context(directory=directory), IssueLog())[0] for letter in made.letters]

    def backward() -> list[Letter | None]:
        return [_back(mapping, bundle, directory) for bundle in made.bundles]

    def peer() -> list[Bundle]:
        return [json.loads(t.render(c)) for t, c in zip(rendered, contexts, strict=True)]

    yield Row(
        "map", "Letter → Bundle and ledger", forward, n, anchor=JINJA, gate=lambda: _same(forward(), made, text=False)
    )
    yield Row("map", JINJA, peer, n, peer=True, gate=lambda: _same(peer(), made))
    yield Row("map", "Bundle → Letter and ledger", backward, n, gate=lambda: _comes_back(backward(), made))
    bare = copy.deepcopy(made.bundles)

    def narrate() -> None:
        for bundle in bare:
            parts.plain.narratives.add(bundle)

    yield Row("narrative", "narratives of all resources", narrate, n, gate=lambda: narrate() or _same(bare, made))


def _back(mapping: Any, bundle: Bundle, directory: Directory | None) -> Letter | None:
    leaves = fhir.leaves(bundle)
    letter: Letter | None = mapping.from_fhir(bundle, Context(directory=directory), IssueLog(), lambda: iter(leaves))[0]
    return letter


def _templates(made: Material) -> tuple[list[templates.Template], list[dict[str, Any]]]:
    """A jinja2 template and its values for every message; one template a case."""
    by_case: dict[str, list[int]] = {}
    for index, message in enumerate(made.messages):
        by_case.setdefault(message.case, []).append(index)
    known = {}
    for case, (first, *others) in by_case.items():
        other = made.bundles[others[0]] if others else made.bundles[first]
        known[case] = templates.Template(made.bundles[first], other, made.letters[first], made.ledgers[first])
    chosen = [known[m.case] for m in made.messages]
    return chosen, [t.context(b, x) for t, b, x in zip(chosen, made.bundles, made.letters, strict=True)]


def _checking(made: Material, parts: Parts) -> Iterator[Row]:
    n = len(made.messages)
    profile = parts.checking.profile(made.bundles[0]["meta"]["profile"][0])
    definitions = [parts.checking.definitions.get(x.type, x.version) for x in made.letters]
    assert profile is not None

    def by_profile() -> int:
        return sum(len(_findings(profile, bundle)) for bundle in made.bundles)

    def by_definition() -> int:
        log = IssueLog()
        for definition, letter in zip(definitions, made.letters, strict=True):
            if definition is not None:
                definition.check(letter, log)
        return len(log)

    def models() -> list[Any]:
        return [templates.to_model(bundle) for bundle in made.bundles]

    yield Row("validate", "Letter by its definition", by_definition, n)
    yield Row(
        "validate",
        "Bundle by its profiles",
        by_profile,
        n,
        anchor=MODEL,
        gate=lambda: _faults_found(profile, made.bundles[0]),
    )
    yield Row("validate", MODEL, models, n, peer=True)


def _findings(profile: Any, bundle: Bundle) -> list[Any]:
    log = IssueLog()
    profile.validate(bundle, log)
    return list(log)


def _writing(made: Material, parts: Parts) -> Iterator[Row]:
    n = len(made.messages)
    definitions = parts.plain.definitions
    models = [templates.to_model(bundle) for bundle in made.bundles]

    def write(syntax: Any) -> list[bytes | None]:
        return [syntax.write([letter], definitions, IssueLog()) for letter in made.letters]

    def read() -> list[Bundle | None]:
        return [fhir.read_json(data, IssueLog()) for data in made.json]

    yield Row("serialise", "Bundle → JSON", lambda: [fhir.write_json(b) for b in made.bundles], n, anchor=DUMP)
    yield Row("serialise", "Bundle → NDJSON", lambda: [fhir.write_ndjson(b) for b in made.bundles], n, anchor=DUMP)
    yield Row("serialise", DUMP, lambda: [m.model_dump_json() for m in models], n, peer=True)
    yield Row("serialise", "json: Bundle → JSON", lambda: [json.dumps(b) for b in made.bundles], n, peer=True)
    yield Row("read", "Bundle JSON → Bundle", read, n, gate=lambda: _same(read(), made))
    yield Row(
        "write", "Letter → EDIFACT", lambda: write(edifact), n, gate=lambda: _reads_back(write(edifact), made, parts)
    )
    yield Row("write", "Letter → OIOXML", lambda: write(oioxml), n)


def _chains(made: Material, parts: Parts) -> Iterator[Row]:
    n = len(made.messages)
    texts = [m.edifact.decode("latin-1") for m in made.messages]
    rendered, contexts = _templates(made)

    def chain(engine: Engine, inputs: Sequence[bytes], to: str, name: str) -> list[bytes | None]:
        return [outcome.output for data in inputs for outcome in engine.convert(data, to=to, name=name)]

    edi, xml = [m.edifact for m in made.messages], [m.oioxml for m in made.messages]

    def peer() -> list[str]:
        return templates.chain(rendered, contexts, texts)

    def gate(engine: Engine, inputs: Sequence[bytes], name: str) -> str:
        return "" if chain(engine, inputs, "fhir", name) == made.json else "the chains give different bytes"

    for engine, what, rate in ((parts.plain, "not validated", 5000), (parts.checking, "validated", 2500)):
        yield Row(
            "chain",
            f"EDIFACT → Bundle JSON, narrative, ledger, {what}",
            lambda engine=engine: chain(engine, edi, "fhir", "message.edi"),
            n,
            anchor=CHAIN,
            target_rate=rate,
            gate=lambda engine=engine: gate(engine, edi, "message.edi"),
        )
    yield Row(
        "chain",
        "OIOXML → Bundle JSON, narrative, ledger, validated",
        lambda: chain(parts.checking, xml, "fhir", "message.xml"),
        n,
        anchor=CHAIN,
        gate=lambda: gate(parts.checking, xml, "message.xml"),
    )
    yield Row(
        "chain", "Bundle JSON → EDIFACT, validated", lambda: chain(parts.checking, made.json, "edifact", "b.json"), n
    )
    yield Row(
        "chain",
        "EDIFACT → OIOXML, validated",
        lambda: chain(parts.checking, edi, "oioxml", "message.edi"),
        n,
        anchor=CHAIN,
    )
    yield Row("chain", CHAIN, peer, n, peer=True, gate=lambda: _same([json.loads(t) for t in peer()], made))


# Gates


def _same(bundles: Sequence[Mapping[str, Any] | None], made: Material, *, text: bool = True) -> str:
    """Whether these are the Bundles of the corpus; without `text` the narratives are left out of the comparison."""
    for bundle, wanted in zip(bundles, made.bundles, strict=True):
        if bundle != (wanted if text else _without_text(wanted)):
            return "a Bundle differs from ours"
    return ""


def _without_text(bundle: Bundle) -> Bundle:
    entries = [{**e, "resource": {k: v for k, v in e["resource"].items() if k != "text"}} for e in bundle["entry"]]
    return {**bundle, "entry": entries}


def _comes_back(back: Sequence[Letter | None], made: Material) -> str:
    same = [
        b is not None and b.values.get("Letter.Identifier") == x.values["Letter.Identifier"]
        for b, x in zip(back, made.letters, strict=True)
    ]
    return "" if all(same) else "a letter does not come back"


def _reads_back(written: Sequence[bytes | None], made: Material, parts: Parts) -> str:
    for data, letter in zip(written, made.letters, strict=True):
        if data is None or letters(edifact, data, parts.plain.definitions)[0].values != letter.values:
            return "a letter is not written as it was read"
    return ""


def _faults_found(profile: Any, bundle: Bundle) -> str:
    """Seeded defects, each of which must add an error: what a check does not find, it need not take time for."""
    clean = {(i.code, i.target) for i in _findings(profile, bundle) if i.severity.rank == 2}
    for name, seed in SEEDS.items():
        broken = copy.deepcopy(bundle)
        seed({e["resource"]["resourceType"]: e["resource"] for e in broken["entry"]}, broken)
        found = {(i.code, i.target) for i in _findings(profile, broken) if i.severity.rank == 2}
        if not found - clean:
            return f"seeded defect not found: {name}"
    return ""


SEEDS = {
    "Communication without status": lambda r, b: r["Communication"].pop("status"),
    "status that is no code": lambda r, b: r["Communication"].update(status="sent by post"),
    "empty array": lambda r, b: r["Patient"].update(name=[]),
    "text where an object belongs": lambda r, b: r["Patient"].update(maritalStatus="gift"),
    "gender outside its value set": lambda r, b: r["Patient"].update(gender="xx"),
    "wrong check digit of a location number": lambda r, b: _break_gln(r["Organization"]),
    "unknown property": lambda r, b: r["Patient"].update(nickname="x"),
    "reference to nothing": lambda r, b: r["Communication"]["subject"].update(reference="Patient/nobody"),
    "payload without text": lambda r, b: r["Communication"]["payload"][0].pop("contentString"),
    "second Patient": lambda r, b: b["entry"].append(copy.deepcopy(_entry(b, "Patient"))),
    "date that does not exist": lambda r, b: b.update(timestamp="2026-02-30T10:00:00+01:00"),
    "other Bundle type": lambda r, b: b.update(type="collection"),
}


def _break_gln(organization: Bundle) -> None:
    for identifier in organization["identifier"]:
        if identifier.get("system") == "https://www.gs1.org/gln":
            value = identifier["value"]
            identifier["value"] = value[:-1] + str((int(value[-1]) + 1) % 10)


def _entry(bundle: Bundle, kind: str) -> Bundle:
    return next(e for e in bundle["entry"] if e["resource"]["resourceType"] == kind)
