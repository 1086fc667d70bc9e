"""What a page says about a message type: fields, rules, code maps and losses, as plain words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from converter.definitions.definition import Definition
from converter.engine import Engine
from converter.mapping import Mapping
from converter.mapping.codes import CodeMap, Loss
from converter.mapping.document import Derived, Each, Fold, Refs, Resource, Rule
from converter.naming import Names
from converter.rehearsal.rules import uses_codes

_LOSS = re.compile(r"\b[A-Z][A-Z0-9]{2}-\d\d\b")
BOTH, FORTH, BACK = "↔", "→", "←"


@dataclass(frozen=True, slots=True)
class FieldRow:
    """One field of a letter, and what becomes of it: rules (anchor and name) or words, and losses."""

    path: str
    danish: str
    english: str
    type: str
    cardinality: str
    edifact: str
    rules: tuple[tuple[str, str], ...]
    fate: str
    losses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RuleRow:
    """One rule in words: both sides, the ways it goes, under which conditions, and what it may lose."""

    anchor: str
    name: str
    letter: str
    way: str
    fhir: str
    how: tuple[str, ...]
    losses: tuple[str, ...]
    depth: int = 0

    @property
    def label(self) -> str:
        """The name of the rule with that of its resource."""
        return self.anchor.removeprefix("rule-").partition(":")[0]


@dataclass(slots=True)
class Section:
    """The rules of one resource."""

    anchor: str
    title: str
    says: str
    rows: list[RuleRow] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Lines:
    """Content of a FHIR message that becomes text, or has no place: what it is, what becomes of it, the loss."""

    what: str
    becomes: str
    loss: str


class Facts:
    """Everything that the page of one letter type says, except its example."""

    def __init__(self, engine: Engine, names: Names, definition: Definition) -> None:
        self.engine, self.names, self.definition = engine, names, definition
        self.type = definition.type
        self.danish, self.english = names.of_type(self.type)
        self.mapping: Mapping | None = engine.mappings.for_letter(self.type)

    @property
    def versions(self) -> list[str]:
        """The versions of this letter that have a definition."""
        return list(self.engine.definitions.types[self.type])

    @property
    def profile(self) -> str:
        """The last part of the name of the Bundle's profile."""
        return self.mapping.document.bundle.rpartition("/")[2] if self.mapping else ""

    # -- fields --------------------------------------------------------------------------------------------------------

    @cached_property
    def fields(self) -> list[FieldRow]:
        """One row a leaf, in the order of OIOXML."""
        return [self._field(row) for row in self.definition.table()]

    def _field(self, row: Any) -> FieldRow:
        danish, english = self.names.of_path(row.leaf)
        rules = tuple((one.anchor, one.label) for one in self._rules_of.get(row.leaf, ()))
        fate, losses = self._fates.get(row.leaf, ("", ()))
        if self.mapping is not None and row.leaf in self.mapping.document.origin:
            fate = "; ".join(filter(None, ("stands in Bundle.identifier", fate)))
        return FieldRow(row.leaf, danish, english, row.type, row.cardinality, row.edifact, rules, fate, losses)

    @cached_property
    def _rules_of(self) -> dict[str, list[RuleRow]]:
        found: dict[str, list[RuleRow]] = {}
        for section in self.sections:
            for row in section.rows:
                for leaf in {re.sub(r"\[.*?\]", "", leaf) for leaf in row.letter.split(", ")}:
                    found.setdefault(leaf, []).append(row)
        return found

    @cached_property
    def _fates(self) -> dict[str, tuple[str, tuple[str, ...]]]:
        declared = self.mapping.document.declared if self.mapping else ()
        words = {True: "kept for the sidecar", False: "left out where no rule carries it"}
        return {one.leaf: (words[one.keep], (one.loss,)) for one in declared}

    # -- rules ---------------------------------------------------------------------------------------------------------

    @cached_property
    def sections(self) -> list[Section]:
        """The rules, resource by resource; those of the way back alone last."""
        if self.mapping is None:
            return []
        document = self.mapping.document
        bundle = Section("bundle", "Bundle", "the message itself")
        bundle.rows = [_rule("bundle", rule) for rule in document.bundle_rules]
        found = [bundle, *(_resource(one) for one in document.resources.values())]
        back = Section("back", "Only on the way back", "for a message that was written in FHIR")
        back.rows = [_rule("back", rule, back=True) for rule in document.back_rules]
        back.rows += [
            RuleRow(
                f"rule-back.always:{one['to']}",
                "always",
                str(one["to"]),
                BACK,
                "",
                (f"the letter gets {one['value']}",),
                (),
            )
            for one in {str(one["to"]): one for one in reversed(document.back.get("fixed", ()))}.values()
        ]
        back.rows += [
            RuleRow(
                f"rule-back.made:{one['to']}",
                "made",
                str(one["to"]),
                BACK,
                "",
                ("an id made from the message's own",),
                (),
            )
            for one in document.back.get("minted", ())
        ]
        return [section for section in [*found, back] if section.rows]

    @cached_property
    def texts(self) -> list[Lines]:
        """Content of a message written in FHIR that becomes lines of text."""
        if self.mapping is None:
            return []
        document = self.mapping.document
        thread = document.back.get("thread", {})
        found = list(_thread(thread.get("text", ()), str(thread.get("to", ""))))
        return [*found, *(_fold(one) for one in document.fold)]

    @cached_property
    def not_carried(self) -> list[Lines]:
        """Content of a message written in FHIR that the letter has no place for."""
        rows = self.mapping.document.not_carried if self.mapping else ()
        return [Lines(str(row["path"]), "left out", str(row["loss"])) for row in rows if row.get("loss")]

    # -- code maps and losses ------------------------------------------------------------------------------------------

    @cached_property
    def codes(self) -> list[CodeMap]:
        """The code maps that the mapping looks something up in."""
        if self.mapping is None:
            return []
        document = self.mapping.document
        return [codes for name, codes in sorted(self.engine.mappings.codes.items()) if uses_codes(document, name)]

    @cached_property
    def losses(self) -> list[Loss]:
        """The losses that anything on the page names."""
        named = {loss for section in self.sections for row in section.rows for loss in row.losses}
        named |= {loss for row in self.fields for loss in row.losses}
        named |= {row.loss for row in (*self.texts, *self.not_carried) if row.loss}
        if self.mapping is not None:
            named |= {loss for _, _, loss in self.mapping.document.origin_lossy}
            named |= set(_LOSS.findall(str(self.mapping.document.back)))
        return [loss for id_, loss in sorted(self.engine.mappings.losses.items()) if id_ in named]


def _resource(resource: Resource) -> Section:
    says = [f"profile {resource.profile.rpartition('/')[2]}"]
    if resource.each:
        says.append(f"one for each {resource.each}")
    if resource.anchor:
        says.append(f"if the letter has {' or '.join(resource.anchor)}")
    says += [f"if {guard}" for guard in (resource.when, resource.when_fhir) if guard]
    if resource.found and resource.found != "$first":
        says.append(f"found by {resource.found_by or resource.found}")
    title = f"{resource.type} ({resource.name})" if resource.name.lower() != resource.type.lower() else resource.type
    return Section(f"resource-{resource.name}", title, "; ".join(says), list(_rows(resource.name, resource.rules)))


def _rows(scope: str, rules: Iterable[Any]) -> Iterator[RuleRow]:
    for rule in rules:
        name = f"{scope}.{rule.name}"
        if isinstance(rule, Rule):
            yield _rule(scope, rule)
        elif isinstance(rule, Refs):
            how = (f"references to {', '.join(rule.names)}, in the order of the letter",)
            yield RuleRow(f"rule-{name}", rule.name, "", FORTH, rule.target, how, ())
        elif isinstance(rule, Derived):
            yield RuleRow(f"rule-{name}", rule.name, "", FORTH, rule.target, (f"one for each item of {rule.of}",), ())
        elif isinstance(rule, Each):
            says = ["for each, in order", *([f"if {rule.when_fhir}"] if rule.when_fhir else []), *_born(rule.born)]
            if rule.at_least:
                says.append("at least one: where there is none, “" + re.sub(r"<[^>]*>", "", rule.at_least[0]) + "”")
            losses = (rule.at_least[2],) if rule.at_least else ()
            yield RuleRow(f"rule-{name}", rule.name, rule.group, BOTH, rule.target, tuple(says), losses)
            yield from (_rule(name, inner, depth=1) for inner in rule.rules)


def _rule(scope: str, rule: Rule, *, back: bool = False, depth: int = 0) -> RuleRow:
    letter, fhir = (rule.target, ", ".join(rule.sources)) if back else (", ".join(rule.sources), rule.target)
    if rule.map:
        letter, fhir = ", ".join(rule.letter_columns.values()), ", ".join(rule.fhir_columns.values())
    if rule.claims_fhir and back and not fhir:
        fhir = ", ".join(rule.claims_fhir)
    if rule.claims and not letter:
        letter = ", ".join(rule.claims)
    way = BACK if back or not rule.forward else BOTH if rule.back else FORTH
    if not back and (rule.const is not None or rule.ref or rule.id):
        way = BOTH if rule.claims else FORTH
    losses = (rule.loss, rule.lossy, rule.back_loss, rule.sentence_loss, rule.absent)
    name = f"{scope}.{rule.name}"
    return RuleRow(
        f"rule-{name}",
        rule.name,
        letter,
        way,
        fhir,
        tuple(_how(rule)),
        tuple(dict.fromkeys(filter(None, losses))),
        depth,
    )


def _how(rule: Rule) -> Iterator[str]:
    if rule.const is not None:
        yield f"always {_const(rule.const)}" if not rule.when else _const(rule.const)
    if rule.ref:
        yield f"reference to {rule.ref}"
    if rule.id:
        yield "an id made from the letter's"
    if rule.value:
        yield f"the letter gets {rule.value}"
    if rule.line:
        yield f"the text “{rule.line}”"
    if rule.map:
        yield f"by the code map {rule.map}"
    if rule.keep:
        yield "kept for the sidecar"
    if rule.codec.name != "copy":
        arguments = f" ({', '.join(rule.arguments)})" if rule.arguments else ""
        yield rule.codec.name.replace("_", " ") + arguments
    if rule.sentence:
        yield f"after “{rule.sentence.strip()}” if {rule.sentence_when}"
    yield from (f"if {guard}" for guard in (rule.when, rule.when_fhir) if guard)
    if rule.default is not None:
        yield f"where there is none, “{rule.default}”"
    yield from _born(rule.born)


def _born(born: str) -> Iterator[str]:
    if born:
        yield "back only into " + (
            "messages that came from a letter" if born == "letter" else "letters of new messages"
        )


def _const(const: Any) -> str:
    if isinstance(const, dict):
        return str(const.get("code", const.get("value", next(iter(const.values()), ""))))
    return str(const).lower() if isinstance(const, bool) else str(const)


def _fold(fold: Fold) -> Lines:
    what = " ".join(part for part in (fold.type, fold.each) if part)
    line = f"“{fold.rule.line}” in {fold.rule.target}" + (f", if {fold.rule.when_fhir}" if fold.rule.when_fhir else "")
    return Lines(what or "the message", line, fold.rule.loss)


def _thread(entries: Iterable[Any], to: str, loss: str = "", what: str = "the message") -> Iterator[Lines]:
    for entry in entries:
        if not isinstance(entry, dict):
            if str(entry):
                yield Lines(what, f"“{entry}” in {to}", loss)
            continue
        own = str(entry.get("loss", loss))
        of = str(entry.get("each", what)).replace("_", " ")
        if "line" in entry:
            guard = f", if {entry['when_fhir']}" if "when_fhir" in entry else ""
            yield Lines(of, f"“{entry['line']}” in {to}{guard}", own)
        elif "own" in entry:
            yield Lines(of, f"its text in {to}", own)
        yield from _thread(entry.get("lines", ()), to, own, of)
