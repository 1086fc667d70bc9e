"""Reads a mapping file: what it extends, its parts applied, every rule understood, every fault of form found."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from converter.errors import MappingError
from converter.issues import IssueLog, Location, Severity, declare
from converter.mapping import paths, thread
from converter.mapping.choice import Choice
from converter.mapping.document import Answers, Declared, Derived, Document, Each, Fold, Refs, Resource, Rule
from converter.mapping.overlay import REMOVE, REMOVED, merged
from converter.mapping.parts import Parts
from converter.mapping.rules import BAD_FORM, UNKNOWN_NAME, Faults, RuleReader, many
from converter.mapping.shelf import Shelf
from converter.yamlfile import Map, Seq, Str, place

PATIENT_IN_ID = declare(
    "LNT068",
    "patient-in-id",
    Severity.ERROR,
    "{path!r} must not take part in an id",
    why="There are so few CPR numbers that even a hash of one can be reversed in minutes.",
    help="Build ids from the envelope and the letter's own id only.",
)

MOST_BASES = 8
_OF_ANSWERS = tuple(one.name for one in fields(Answers))


class Reader:
    """Reads one mapping file. Collects every fault, and raises once at the end."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self.faults = Faults()
        self.complain = self.faults.add
        self.parts = Parts(shelf, self.faults)
        self.slices = self.parts.slices
        self.rules = RuleReader(self.faults, shelf.codes, shelf.losses)
        self.declared: list[Declared] = []
        self.bases: list[str] = []

    def read(self, file: str) -> Document:
        """Read a file of the shelf, and the files that it extends. Raises `MappingError` with all its faults."""
        document = self._extended(self.shelf.get(file), file)
        for name in document.get("uses", ()):
            self.parts.use(name)
        result = self._document(document, file)
        if self.faults.found:
            raise MappingError(f"{file} does not load", self.faults.found)
        return result

    def _extended(self, document: Map, file: str) -> Map:
        """The file on top of the one that it extends, if it does."""
        name = document.get("extends")
        if name is None:
            return document
        base_file = f"fhir/{name}.yaml"
        if not re.fullmatch(r"[A-Za-z0-9-]+", name) or base_file not in self.shelf:
            self.complain(UNKNOWN_NAME, name, what="the mapping file", name=str(name))
            raise MappingError(f"{file} does not load", self.faults.found)
        if base_file in (file, *self.bases):
            self.complain(BAD_FORM, name, problem="a mapping file cannot extend itself")
            raise MappingError(f"{file} does not load", self.faults.found)
        if len(self.bases) >= MOST_BASES:
            self.complain(BAD_FORM, name, problem=f"a mapping file has at most {MOST_BASES} others under it")
            raise MappingError(f"{file} does not load", self.faults.found)
        self.bases.append(base_file)
        for key in ("mapping", "letter", "version"):
            if key not in document:
                self.complain(BAD_FORM, document, problem=f"`{key}` is needed")
        base = self._extended(self.shelf.get(base_file), base_file)
        return merged(base, document, lambda key: self.complain(UNKNOWN_NAME, key, what="the name", name=str(key)))

    def _document(self, document: Map, file: str) -> Document:
        for key in ("mapping", "letter", "version", "bundle", "fullurl", "ids", "resources"):
            if key not in document:
                self.complain(BAD_FORM, document, problem=f"`{key}` is needed")
                raise MappingError(f"{file} does not load", self.faults.found)
        ids, origin, back = document["ids"], document.get("origin", Map()), document.get("back", Map())
        resources = {str(n): self._resource(n, entry) for n, entry in document["resources"].items()}
        result = Document(
            name=str(document["mapping"]),
            file=file,
            letter=str(document["letter"]),
            version=str(document["version"]),
            bundle=str(document["bundle"]),
            fullurl=str(document["fullurl"]),
            key=list(ids.get("key", ())),
            bundle_key=list(ids.get("bundle", ())),
            origin_system=str(origin.get("system", "")),
            origin=[str(v) for v in origin.get("values", ())],
            origin_lossy=[
                (str(e["when"]), str(e["leaf"]), self.rules.loss(e["loss"])) for e in origin.get("lossy", ())
            ],
            tables={str(n): self._table(t) for n, t in document.get("tables", {}).items()},
            bundle_rules=[self.rules.rule(n, e, "") for n, e in document.get("bundle_rules", {}).items()],
            resources=resources,
            declared=self.declared,
            back=back,
            back_rules=[self.rules.rule(n, e, "", one_way=True) for n, e in back.get("rules", {}).items()],
            fold=[self._fold(e, resources) for e in back.get("fold", ())],
            not_carried=[self._not_carried(e) for e in document.get("not_carried", ())],
            slices=self.slices,
            examples=[self._example(e) for e in document.get("examples", ())],
            chosen=[choice for text in document.get("chosen", ()) if (choice := self._choice(text))],
            answers=self._answers(document["answers"]) if "answers" in document else None,
            bases=self.bases,
            needed=[str(n) for n in document.get("needed", list(resources)[:3])],
        )
        both = zip(result.not_carried, document.get("not_carried", ()), strict=True)
        result.lines = {id(line): place(entry) for line, entry in both}
        for name in document.get("needed", ()):
            if name not in resources:
                self.complain(UNKNOWN_NAME, name, what="the resource", name=str(name))
        self._check_references(result)
        for path in (*result.key, *result.bundle_key):
            if path.startswith("Patient."):
                self.complain(PATIENT_IN_ID, path, path=str(path))
        return result

    def _example(self, entry: Any) -> Any:
        """An example as it stands: whoever runs it reads it. The losses that it accepts must be there."""
        accepted = entry.get("accept") if isinstance(entry, Map) else None
        for loss in accepted if isinstance(accepted, Seq) else ():
            if isinstance(loss, Str):
                self.rules.loss(loss)
        return entry

    def _check_references(self, document: Document) -> None:
        """Every resource that is referred to exists, and `ref` means one resource, not one of many."""
        for resource in document.resources.values():
            for one in resource.rules:
                group = one.group if isinstance(one, Each) else resource.each
                rules = one.rules if isinstance(one, Each) else [one] if isinstance(one, Rule) else []
                wanted: list[tuple[Location, str, str | None]] = [
                    (rule.at, rule.ref, group) for rule in rules if rule.ref
                ]
                wanted += [(one.at, name, None) for name in one.names] if isinstance(one, Refs) else []
                for at, name, inside in wanted:
                    self._check_reference(document, at, name, inside)

    def _check_reference(self, document: Document, at: Location, name: str, group: str | None) -> None:
        log = IssueLog()
        target = document.resources.get(name)
        if target is None:
            log.add(UNKNOWN_NAME, at, what="the resource", name=name)
        elif group is not None and target.each not in ("", group):
            log.add(BAD_FORM, at, problem=f"{name!r} is made for each {target.each}: use `refs`")
        self.faults.found.extend(log)

    def _table(self, entry: Map) -> tuple[str, str, str]:
        return str(entry["gln"]), str(entry["on"]), self.rules.guard(entry.get("when", Str("", place(entry))), "")

    def _choice(self, text: Str) -> Choice | None:
        try:
            return Choice(str(text), self.slices)
        except ValueError as error:
            self.complain(BAD_FORM, text, problem=str(error))
            return None

    def _answers(self, entry: Map) -> Answers | None:
        problems = [f"`{key}` is needed" for key in _OF_ANSWERS if key not in entry]
        problems += [f"there is no `{key}`" for key in entry if key not in _OF_ANSWERS]
        refusals = [tuple(str(leaf) for leaf in pair) for pair in entry.get("refusals", ())]
        problems += ["`refusals` are pairs of a code and a text" for pair in refusals if len(pair) != 2]
        try:
            header = paths.parse(str(entry.get("header", "id")), self.slices)
        except ValueError as error:
            problems.append(str(error))
        for problem in problems:
            self.complain(BAD_FORM, entry, problem=f"answers: {problem}")
        if problems:
            return None
        return Answers(
            each=str(entry["each"]),
            letter=str(entry["letter"]),
            envelope=str(entry["envelope"]),
            sender=str(entry["sender"]),
            version=str(entry["version"]),
            receipt=tuple(entry["receipt"]),
            sent=tuple(entry["sent"]),
            kind=tuple(entry["kind"]),
            negative=tuple(entry["negative"]),
            header=header,
            refusals=tuple((code, text) for code, text in refusals),
            months=self._number(entry["months"]),
            waits=self.rules.loss(entry["waits"]),
            merges=self.rules.loss(entry["merges"]),
        )

    def _fold(self, entry: Map, resources: Mapping[str, Resource]) -> Fold:
        own = Map({k: v for k, v in entry.items() if k not in ("each", "type", "within")})
        own.at = place(entry)
        rule = self.rules.rule(Str("fold", place(entry)), own, "", one_way=True)
        fold = Fold(place(entry), rule, str(entry.get("each", "")), str(entry.get("type", "")))
        fold.within = self._number(entry.get("within", Str("0", place(entry))))
        for key in ("line", "to", "loss"):
            if key not in entry:
                self.complain(BAD_FORM, entry, problem=f"`{key}` is needed")
        start, _, rest = fold.each.partition(".")
        try:
            thread.parse_template(rule.line, self.slices, self.shelf.codes, resources)
            if rest:
                paths.parse(rest, self.slices)
        except (ValueError, KeyError) as error:
            self.complain(BAD_FORM, entry, problem=f"not understood in a line: {error}")
        if start and not start.startswith("$") and start not in resources:
            self.complain(UNKNOWN_NAME, entry["each"], what="the resource", name=start)
        return fold

    def _not_carried(self, entry: Map) -> Mapping[str, str]:
        if "loss" in entry:
            self.rules.loss(entry["loss"])
        elif "constant" not in entry:
            self.complain(BAD_FORM, entry, problem="`loss` or `constant` is needed")
        return {str(k): str(v) for k, v in entry.items()}

    def _resource(self, name: Str, entry: Map) -> Resource:
        rules: list[Rule | Each | Derived | Refs] = []
        group = str(entry.get("each", ""))
        sections = [*(self.parts.applied(applied) for applied in many(entry.get("apply"))), entry]
        rules.extend(self._entry(n, e, group) for n, e in self._named_rules(sections))
        for section in sections:
            for kind in ("ignore", "keep"):
                for line in section.get(kind, ()):
                    self.declared.append(
                        Declared(
                            self.rules.letter_path(line["from"], group),
                            self.rules.loss(line["loss"]),
                            kind == "keep",
                            place(line),
                            self.rules.guard(line.get("when", Str("", place(line))), group),
                        )
                    )
        found = entry.get("found", "")
        found_by, found = next(iter(found.items()), ("", "")) if isinstance(found, Map) else ("", found)
        nothing = Str("", place(entry))
        return Resource(
            str(name),
            place(name),
            str(entry.get("type", "")),
            str(entry.get("profile", "")),
            tuple(self.rules.letter_path(p, group) for p in many(entry.get("anchor"))),
            str(found),
            str(found_by),
            rules,
            group,
            self.rules.guard(entry.get("when", nothing), group),
            self.rules.guard(entry.get("when_fhir", nothing)),
            self._number(entry.get("at_most", Str("0", place(entry)))),
        )

    def _number(self, text: Str) -> int:
        if not text.isdigit():
            self.complain(BAD_FORM, text, problem="expected a number")
        return int(text) if text.isdigit() else 0

    def _named_rules(self, sections: list[Map]) -> list[tuple[Str, Any]]:
        """The rules of parts and of the resource itself: one given again replaces the older, `remove` removes it."""
        found: dict[str, tuple[Str, Any]] = {}
        for section in sections:
            for name, entry in section.get("rules", {}).items():
                if entry == REMOVE and name not in found:
                    self.complain(UNKNOWN_NAME, name, what="the rule", name=str(name))
                if entry in (REMOVE, REMOVED):
                    found.pop(name, None)
                else:
                    found[name] = (name, entry)
        return list(found.values())

    def _entry(self, name: Str, entry: Any, group: str) -> Rule | Each | Derived | Refs:
        if isinstance(entry, Map) and group and ("each" in entry or "each_of" in entry or "refs" in entry):
            self.complain(BAD_FORM, name, problem="a resource made for each repetition has no lists of its own")
            return Refs(str(name), place(name), [], "")
        if isinstance(entry, Map) and "refs" in entry:
            names = [str(n) for n in many(entry["refs"])]
            return Refs(str(name), place(name), names, str(entry.get("to", "")), str(entry.get("at", "")))
        if isinstance(entry, Map) and "each_of" in entry:
            return Derived(
                str(name), place(name), str(entry["each_of"]), str(entry["value"]), str(entry["to"]), str(entry["at"])
            )
        if isinstance(entry, Map) and "each" in entry:
            return self._each(name, entry)
        return self.rules.rule(name, entry, group)

    def _each(self, name: Str, entry: Map) -> Each:
        group = str(entry["each"])
        least = entry.get("at_least")
        return Each(
            str(name),
            place(name),
            group,
            str(entry.get("to", "")),
            [self.rules.rule(n, e, group) for n, e in entry.get("rules", {}).items()],
            tuple(str(path) for path in many(entry.get("anchor"))),
            str(entry.get("born", "")),
            self.rules.guard(entry.get("when_fhir", Str("", place(entry)))),
            (str(least["value"]), str(least["to"]), self.rules.loss(least["loss"])) if least else None,
        )
