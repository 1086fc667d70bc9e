"""Mapping files as written: rules with their places, shared parts applied, every fault of form found (design: 6)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from converter.errors import MappingError
from converter.issues import Issue, IssueLog, Location, Severity, declare
from converter.mapping import codecs, guards, paths, thread
from converter.mapping.choice import Choice
from converter.mapping.codes import CodeMap, Loss
from converter.mapping.overlay import REMOVE, REMOVED, merged
from converter.yamlfile import Map, Seq, Str, fault, load, place

BAD_FORM = declare(
    "LNT063",
    "mapping-form",
    Severity.ERROR,
    "{problem}",
    why="The rule cannot be understood, so the mapping cannot be used.",
    help="See the section about mapping files in README.md, and `medcom-fhir show` for what is understood.",
)
UNKNOWN_NAME = declare(
    "LNT064",
    "unknown-name",
    Severity.ERROR,
    "{what} {name!r} is not known",
    why="The rule would never do anything.",
    help="Correct the name: codecs, code maps, losses, parts, slices and resources must exist before they are used.",
)
UNKNOWN_LEAF = declare(
    "LNT065",
    "unknown-letter-path",
    Severity.ERROR,
    "the letter has no element {path!r}",
    why="The rule would never find a value.",
    help="Compare with `medcom-fhir explain TYPE`, which lists the elements of a letter.",
)
INHERITED = declare(
    "LNT069",
    "inherited-rule-without-element",
    Severity.ERROR,
    "{file} inherits a rule for {path!r}, which its letter does not have",
    why="The rule would never find a value; whoever reads the file would think that it does.",
    help="Remove the rule by name in the file that extends: `NAME: remove`.",
)
NO_REASON = declare(
    "LNT066",
    "one-way-without-reason",
    Severity.ERROR,
    "a rule for one direction needs `because`",
    why="What does not come back is lost; a reader must learn why.",
    help="Say in `because` what makes the other direction unnecessary or impossible.",
)
UNDECLARED_LEAF = declare(
    "LNT067",
    "element-not-accounted-for",
    Severity.ERROR,
    "no rule uses the element {path!r} and neither `ignore` nor `keep` names it",
    why="A value of that element would be lost without anybody having decided so.",
    help="Add a rule, or a line under `ignore` with the id of a loss.",
)
PATIENT_IN_ID = declare(
    "LNT068",
    "patient-in-id",
    Severity.ERROR,
    "{path!r} must not take part in an id",
    why="There are so few CPR numbers that even a hash of one can be reversed in minutes.",
    help="Build ids from the envelope and the letter's own id only.",
)

_RULE_KEYS = frozenset(
    {
        "from",
        "to",
        "codec",
        "when",
        "when_fhir",
        "born",
        "default",
        "loss",
        "lossy",
        "direction",
        "because",
        "also",
        "claims",
        "claims_fhir",
        "defaulted",
        "const",
        "ref",
        "id",
        "map",
        "letter",
        "fhir",
        "otherwise",
        "keep",
        "value",
        "each",
        "anchor",
        "at_least",
        "rules",
        "first",
        "hint",
        "each_of",
        "absent",
        "at",
        "line",
    }
)
_LISTS = frozenset(["plus_joined"])
_ARROW = re.compile(r"^(?P<left>.+?)\s*(?P<arrow><->|->|<-)\s*(?P<right>[^|]+?)\s*(?:\|\s*(?P<codec>.+))?$", re.S)
_CALL = re.compile(r"(?P<name>[a-z_]+)\s*(?:\((?P<arguments>.*)\))?\s*\Z", re.S)
_ARGUMENT = re.compile(r'\s*(?:(?P<key>[a-z_]+)\s*=\s*)?(?:"(?P<quoted>[^"]*)"|(?P<word>[^,"]+?))\s*(?:,|\Z)')


@dataclass(slots=True)
class Rule:
    """One rule. `sources` are letter paths (absolute, no indices), `target` a FHIR path below the resource or item."""

    name: str
    at: Location
    sources: tuple[str, ...] = ()
    target: str = ""
    codec: codecs.Codec = codecs.CODECS["copy"]
    arguments: tuple[str, ...] = ()
    when: str = ""
    when_fhir: str = ""
    born: str = ""
    default: str | None = None
    loss: str = ""
    lossy: str = ""
    back_loss: str = ""
    forward: bool = True
    back: bool = True
    also: bool = False
    defaulted: bool = False
    claims: tuple[str, ...] = ()
    const: Any = None
    ref: str = ""
    id: str = ""
    keep: bool = False
    map: str = ""
    letter_columns: dict[str, str] = field(default_factory=dict)
    fhir_columns: dict[str, str] = field(default_factory=dict)
    otherwise: dict[str, str] = field(default_factory=dict)
    value: str = ""
    sentence: str = ""
    sentence_when: str = ""
    sentence_loss: str = ""
    hint: str = ""
    line: str = ""
    claims_fhir: tuple[str, ...] = ()
    absent: str = ""


@dataclass(slots=True)
class Each:
    """Rules for every repetition of a letter group and item of a FHIR list, order kept."""

    name: str
    at: Location
    group: str
    target: str
    rules: list[Rule]
    anchor: tuple[str, ...] = ()
    born: str = ""
    when_fhir: str = ""
    at_least: tuple[str, str, str] | None = None


@dataclass(slots=True)
class Derived:
    """A list of items made from the values of another list (Provenance entities from the payloads' ids)."""

    name: str
    at: Location
    of: str
    value: str
    target: str
    position: str


@dataclass(slots=True)
class Fold:
    """FHIR content without a field of its own, as lines of text: `rule` says which, `each` and `type` of what."""

    at: Location
    rule: Rule
    each: str = ""
    type: str = ""


@dataclass(slots=True)
class Refs:
    """A list of references: one for each resource of these names, in the order of the letter.

    With `position`, each stands in that element of an item of the list.
    """

    name: str
    at: Location
    names: list[str]
    target: str
    position: str = ""


@dataclass(slots=True)
class Resource:
    """One resource of the Bundle: how it comes to be (`anchor`, `when`) and how the way back finds it (`found`).

    With `each`, one for every repetition of a letter group. `found` is a path whose references lead to it, or an
    element (`found_by`) of the resource itself that refers to another one.
    """

    name: str
    at: Location
    type: str
    profile: str
    anchor: tuple[str, ...]
    found: str
    found_by: str
    rules: list[Rule | Each | Derived | Refs]
    each: str = ""
    when: str = ""
    when_fhir: str = ""
    at_most: int = 0


@dataclass(slots=True)
class Declared:
    """A leaf that is ignored or kept, with the id of the loss."""

    leaf: str
    loss: str
    keep: bool
    at: Location


@dataclass(slots=True)
class Document:
    """A mapping file with its parts applied."""

    name: str
    file: str
    letter: str
    version: str
    bundle: str
    fullurl: str
    key: list[str]
    bundle_key: list[str]
    origin_system: str
    origin: list[str]
    origin_lossy: list[tuple[str, str, str]]
    tables: dict[str, tuple[str, str]]
    bundle_rules: list[Rule]
    resources: dict[str, Resource]
    declared: list[Declared]
    back: Map
    back_rules: list[Rule]
    fold: list[Fold]
    not_carried: list[Mapping[str, str]]
    slices: dict[str, paths.Slice]
    examples: list[Map]
    needed: list[str]
    bases: list[str]
    chosen: list[Choice]


class Reader:
    """Reads one mapping file. Collects every fault, and raises once at the end."""

    def __init__(
        self, folder: Path, names: Mapping[str, str], codes: Mapping[str, CodeMap], losses: Mapping[str, Loss]
    ):
        self.folder, self.names, self.codes, self.losses = folder, names, codes, losses
        self.faults: list[Issue] = []
        self.slices: dict[str, paths.Slice] = {}
        self.parts: dict[str, Map] = {}
        self.declared: list[Declared] = []
        self.bases: list[str] = []

    def complain(self, kind: Any, value: object, **facts: object) -> None:
        """Note a fault at the place of a loaded value."""
        self.faults.append(fault(kind, value, **facts))

    def read(self, document: Map, file: str) -> Document:
        """Read a loaded file, and the files that it extends. Raises `MappingError` with all its faults."""
        document = self._extended(document, file)
        for name in document.get("uses", ()):
            self._use(name)
        result = self._document(document, file)
        if self.faults:
            raise MappingError(f"{file} does not load", self.faults)
        return result

    def _extended(self, document: Map, file: str) -> Map:
        """The file on top of the one that it extends, if it does."""
        name = document.get("extends")
        if name is None:
            return document
        path = self.folder / f"{name}.yaml"
        if not re.fullmatch(r"[A-Za-z0-9-]+", name) or not path.is_file():
            self.complain(UNKNOWN_NAME, name, what="the mapping file", name=str(name))
            raise MappingError(f"{file} does not load", self.faults)
        base_file = self.names.get(str(path), str(path))
        if base_file in (file, *self.bases):
            self.complain(BAD_FORM, name, problem="a mapping file cannot extend itself")
            raise MappingError(f"{file} does not load", self.faults)
        self.bases.append(base_file)
        for key in ("mapping", "letter", "version"):
            if key not in document:
                self.complain(BAD_FORM, document, problem=f"`{key}` is needed")
        base = self._extended(load(path, name=base_file), base_file)
        return merged(base, document, lambda key: self.complain(UNKNOWN_NAME, key, what="the name", name=str(key)))

    def _use(self, name: Str) -> None:
        path = self.folder / "parts" / f"{name}.yaml"
        if not re.fullmatch(r"[a-z0-9-]+", name) or not path.is_file():
            self.complain(UNKNOWN_NAME, name, what="the part file", name=str(name))
            return
        part = load(path, name=self.names.get(str(path), str(path)))
        for key, entry in part.get("slices", {}).items():
            if isinstance(entry, Map):
                self.slices[str(key)] = self._slice(key, entry)
            else:
                self.complain(BAD_FORM, key, problem="a slice is a mapping")
        self.parts.update({str(key): entry for key, entry in part.get("parts", {}).items()})

    def _slice(self, key: Str, entry: Map) -> paths.Slice:
        name, also = str(key), tuple(str(v) for v in entry.get("also", ()))
        if "has" in entry:
            return paths.Slice(name, has=str(entry["has"]))
        if "on" in entry:
            return self._pattern(key, entry, also)
        keys = [k for k in entry if k not in ("also", "otherwise")]
        if len(keys) != 1:
            self.complain(BAD_FORM, key, problem="a slice has one key, or `has`, or `on`, `is` and `write`")
            return paths.Slice(name)
        values = (str(entry[keys[0]]), *also)
        return paths.Slice(name, str(keys[0]), values, otherwise_first=entry.get("otherwise") == "first")

    def _pattern(self, key: Str, entry: Map, also: tuple[str, ...]) -> paths.Slice:
        """A slice that is recognised by a value deep in the item; what it writes must be recognised again."""
        unknown = [k for k in entry if k not in ("on", "is", "also", "write")]
        if unknown or not isinstance(entry.get("is"), Str) or not isinstance(entry.get("write"), Map):
            self.complain(BAD_FORM, key, problem="a slice with `on` has `is` and `write`, and may have `also`")
            return paths.Slice(str(key))
        values = (str(entry["is"]), *also)
        found = paths.Slice(str(key), values=values, on=tuple(entry["on"].split(".")), write=_plain(entry["write"]))
        if not found.holds(found.write):
            self.complain(BAD_FORM, entry["write"], problem=f"what {str(key)!r} writes is not what it recognises")
        return found

    def _document(self, document: Map, file: str) -> Document:
        for key in ("mapping", "letter", "version", "bundle", "fullurl", "ids", "resources"):
            if key not in document:
                self.complain(BAD_FORM, document, problem=f"`{key}` is needed")
                raise MappingError(f"{file} does not load", self.faults)
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
            origin_lossy=[(str(e["when"]), str(e["leaf"]), self._loss(e["loss"])) for e in origin.get("lossy", ())],
            tables={str(n): (str(t["gln"]), str(t["on"])) for n, t in document.get("tables", {}).items()},
            bundle_rules=[self.rule(n, e, "") for n, e in document.get("bundle_rules", {}).items()],
            resources=resources,
            declared=self.declared,
            back=back,
            back_rules=[self.rule(n, e, "", one_way=True) for n, e in back.get("rules", {}).items()],
            fold=[self._fold(e, resources) for e in back.get("fold", ())],
            not_carried=[self._not_carried(e) for e in document.get("not_carried", ())],
            slices=self.slices,
            examples=list(document.get("examples", ())),
            chosen=[choice for text in document.get("chosen", ()) if (choice := self._choice(text))],
            bases=self.bases,
            needed=[str(n) for n in document.get("needed", list(resources)[:3])],
        )
        for name in document.get("needed", ()):
            if name not in resources:
                self.complain(UNKNOWN_NAME, name, what="the resource", name=str(name))
        self._check_references(result)
        for path in (*result.key, *result.bundle_key):
            if path.startswith("Patient."):
                self.complain(PATIENT_IN_ID, path, path=str(path))
        return result

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
        self.faults.extend(log)

    def _choice(self, text: Str) -> Choice | None:
        try:
            return Choice(str(text), self.slices)
        except ValueError as error:
            self.complain(BAD_FORM, text, problem=str(error))
            return None

    def _fold(self, entry: Map, resources: Mapping[str, Resource]) -> Fold:
        own = Map({k: v for k, v in entry.items() if k not in ("each", "type")})
        own.at = place(entry)
        rule = self.rule(Str("fold", place(entry)), own, "", one_way=True)
        fold = Fold(place(entry), rule, str(entry.get("each", "")), str(entry.get("type", "")))
        for key in ("line", "to", "loss"):
            if key not in entry:
                self.complain(BAD_FORM, entry, problem=f"`{key}` is needed")
        start, _, rest = fold.each.partition(".")
        try:
            thread.parse_template(rule.line, self.slices, self.codes, resources)
            if rest:
                paths.parse(rest, self.slices)
        except (ValueError, KeyError) as error:
            self.complain(BAD_FORM, entry, problem=f"not understood in a line: {error}")
        if start and not start.startswith("$") and start not in resources:
            self.complain(UNKNOWN_NAME, entry["each"], what="the resource", name=start)
        return fold

    def _not_carried(self, entry: Map) -> Mapping[str, str]:
        if "loss" in entry:
            self._loss(entry["loss"])
        elif "constant" not in entry:
            self.complain(BAD_FORM, entry, problem="`loss` or `constant` is needed")
        return {str(k): str(v) for k, v in entry.items()}

    def _loss(self, value: Str) -> str:
        if value and value not in self.losses:
            self.complain(UNKNOWN_NAME, value, what="the loss", name=str(value))
        return str(value)

    def _resource(self, name: Str, entry: Map) -> Resource:
        rules: list[Rule | Each | Derived | Refs] = []
        group = str(entry.get("each", ""))
        sections = [*(self._apply(applied) for applied in _many(entry.get("apply"))), entry]
        rules.extend(self._entry(n, e, group) for n, e in self._named_rules(sections))
        for section in sections:
            for kind in ("ignore", "keep"):
                for line in section.get(kind, ()):
                    self.declared.append(
                        Declared(
                            self._letter_path(line["from"], group),
                            self._loss(line["loss"]),
                            kind == "keep",
                            place(line),
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
            tuple(self._letter_path(p, group) for p in _many(entry.get("anchor"))),
            str(found),
            str(found_by),
            rules,
            group,
            self._guard(entry.get("when", nothing), group),
            self._guard(entry.get("when_fhir", nothing)),
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

    def _apply(self, applied: Map) -> Map:
        part = self.parts.get(str(applied.get("part", "")))
        if part is None:
            self.complain(UNKNOWN_NAME, applied, what="the part", name=str(applied.get("part", "")))
            return Map()
        given = {str(k): str(v) for k, v in applied.get("with", {}).items()}
        wanted = [str(p) for p in part.get("params", ())]
        if sorted(given) != sorted(wanted):
            self.complain(BAD_FORM, applied, problem=f"the part takes {', '.join(wanted) or 'no parameters'}")
            return Map()
        result: Map = _substitute(part, given)
        return result

    def _entry(self, name: Str, entry: Any, group: str) -> Rule | Each | Derived | Refs:
        if isinstance(entry, Map) and group and ("each" in entry or "each_of" in entry or "refs" in entry):
            self.complain(BAD_FORM, name, problem="a resource made for each repetition has no lists of its own")
            return Refs(str(name), place(name), [], "")
        if isinstance(entry, Map) and "refs" in entry:
            names = [str(n) for n in _many(entry["refs"])]
            return Refs(str(name), place(name), names, str(entry.get("to", "")), str(entry.get("at", "")))
        if isinstance(entry, Map) and "each_of" in entry:
            return Derived(
                str(name), place(name), str(entry["each_of"]), str(entry["value"]), str(entry["to"]), str(entry["at"])
            )
        if isinstance(entry, Map) and "each" in entry:
            return self._each(name, entry)
        return self.rule(name, entry, group)

    def _each(self, name: Str, entry: Map) -> Each:
        group = str(entry["each"])
        least = entry.get("at_least")
        return Each(
            str(name),
            place(name),
            group,
            str(entry.get("to", "")),
            [self.rule(n, e, group) for n, e in entry.get("rules", {}).items()],
            tuple(str(path) for path in _many(entry.get("anchor"))),
            str(entry.get("born", "")),
            self._guard(entry.get("when_fhir", Str("", place(entry)))),
            (str(least["value"]), str(least["to"]), self._loss(least["loss"])) if least else None,
        )

    def _guard(self, text: Str, group: str | None = None) -> str:
        """A guard that can be read; over the letter (`group` given) with all its paths from the letter's root."""
        if not text:
            return ""
        try:
            guards.guard_paths(str(text))
        except ValueError as error:
            self.complain(BAD_FORM, text, problem=str(error))
            return ""
        return str(text) if group is None else guards.qualified(text, lambda path: self._letter_path(path, group))

    def rule(self, name: Str, entry: Any, group: str, *, one_way: bool = False) -> Rule:
        """Read one rule, in its short form `a <-> b | codec(x)` or as a mapping; `one_way`: from the Bundle."""
        over_bundle = one_way
        if isinstance(entry, Str):
            entry = self._short(entry)
            one_way = one_way or "direction" in entry
        rule = Rule(str(name), place(name))
        if not isinstance(entry, Map):
            self.complain(BAD_FORM, name, problem="a rule is `a <-> b` or a mapping")
            return rule
        for key in entry:
            if key not in _RULE_KEYS:
                self.complain(BAD_FORM, key, problem=f"a rule has no key {str(key)!r}")
        self._sides(rule, entry, group)
        self._codec(rule, entry)
        self._conditions(rule, entry, group)
        if not over_bundle:
            self._check_sources(rule, entry)
        if not (rule.forward and rule.back) and not one_way and "because" not in entry:
            self.complain(NO_REASON, name)
        return rule

    def _short(self, text: Str) -> Map:
        match = _ARROW.match(text)
        entry = Map()
        entry.at = text.at
        if match is None:
            self.complain(BAD_FORM, text, problem="expected `letter path <-> FHIR path | codec`")
            return entry
        entry["from"], entry["to"] = Str(match["left"].strip(), text.at), Str(match["right"].strip(), text.at)
        if match["codec"]:
            entry["codec"] = Str(match["codec"].strip(), text.at)
        if match["arrow"] != "<->":
            entry["direction"] = Str("forward" if match["arrow"] == "->" else "back", text.at)
        return entry

    def _sides(self, rule: Rule, entry: Map, group: str) -> None:
        left, right = entry.get("from", Str("", place(entry))), entry.get("to", Str("", place(entry)))
        left = Str(f"[{', '.join(left)}]", left.at) if isinstance(left, Seq) else left
        rule.keep = "keep" in entry
        rule.target = str(entry["keep"] if rule.keep else right)
        rule.sources = tuple(self._letter_path(p, group) for p in _list(left))
        rule.const, rule.ref, rule.id = _plain(entry.get("const")), str(entry.get("ref", "")), str(entry.get("id", ""))
        rule.value, rule.line = str(entry.get("value", "")), str(entry.get("line", ""))
        rule.claims = tuple(self._letter_path(p, group) for p in _many(entry.get("claims")))
        rule.claims_fhir = tuple(str(p) for p in _many(entry.get("claims_fhir")))
        rule.hint = str(entry.get("hint", ""))
        rule.absent = self._loss(entry.get("absent", Str("", place(entry))))
        if "map" in entry:
            rule.map = str(entry["map"])
            if rule.map not in self.codes:
                self.complain(UNKNOWN_NAME, entry["map"], what="the code map", name=rule.map)
            rule.letter_columns = {str(k): self._letter_path(v, group) for k, v in entry.get("letter", {}).items()}
            rule.fhir_columns = {str(k): str(v) for k, v in entry.get("fhir", {}).items()}
            rule.otherwise = {str(k): str(v) for k, v in entry.get("otherwise", {}).items()}

    def _letter_path(self, path: str, group: str) -> str:
        text = str(path).strip()
        if text.startswith("/"):
            return text[1:]
        return f"{group}.{text}" if group and not text.startswith("$") else text

    def _codec(self, rule: Rule, entry: Map) -> None:
        text = entry.get("codec")
        rule.loss, rule.lossy = self._loss(entry.get("loss", Str("", place(entry)))), ""
        rule.lossy = self._loss(entry.get("lossy", Str("", place(entry))))
        if text is None:
            return
        match = _CALL.match(text)
        found = codecs.CODECS.get(match["name"]) if match else None
        if match is None or found is None:
            self.complain(UNKNOWN_NAME, text, what="the codec", name=str(text))
            return
        rule.codec = found
        arguments = []
        for key, value in _arguments(match["arguments"] or ""):
            if key == "loss":
                rule.lossy = self._loss(Str(value, text.at))
            elif key == "back_loss":
                rule.back_loss = self._loss(Str(value, text.at))
            elif key:
                self.complain(BAD_FORM, text, problem=f"a codec has no setting {key!r}")
            else:
                arguments.append(value)
        rule.arguments = tuple(arguments)

    def _check_sources(self, rule: Rule, entry: Map) -> None:
        """A codec is given as many letter paths as it takes, and a list only where it takes one."""
        found = rule.codec
        problem = ""
        if rule.sources and rule.forward and found.there is not None and len(rule.sources) != found.sources:
            problem = f"the codec takes {found.sources} letter paths"
        elif found.name in _LISTS and not all("[*]" in source for source in rule.sources[1:]):
            problem = "the second letter path of the codec is a list: `Group[*].Leaf`"
        elif found.name not in _LISTS and any("[*]" in source for source in rule.sources):
            problem = "the codec takes no list"
        if problem:
            self.complain(BAD_FORM, entry.get("codec", entry), problem=problem)

    def _conditions(self, rule: Rule, entry: Map, group: str) -> None:
        nothing = Str("", place(entry))
        rule.when, rule.when_fhir = (
            self._guard(entry.get("when", nothing), group),
            self._guard(entry.get("when_fhir", nothing)),
        )
        rule.born = str(entry.get("born", ""))
        if rule.born not in ("", "letter", "fhir"):
            self.complain(BAD_FORM, entry["born"], problem="`born` is letter or fhir")
        rule.default = str(entry["default"]) if "default" in entry else None
        direction = entry.get("direction", "")
        if direction not in ("", "forward", "back"):
            self.complain(BAD_FORM, direction, problem="`direction` is forward or back")
        rule.forward, rule.back = direction != "back", direction != "forward"
        rule.also, rule.defaulted = entry.get("also") == "yes", entry.get("defaulted") == "yes"
        first = entry.get("first")
        if first is not None:
            rule.sentence, rule.sentence_when = str(first["sentence"]), self._guard(first["when"], group)
            rule.sentence_loss = self._loss(first["loss"])


def _substitute(value: Any, given: Mapping[str, str]) -> Any:
    """A copy of a loaded value with every `$name` replaced, places kept."""
    if isinstance(value, Str):
        text = str(value)
        for name, replacement in given.items():
            text = re.sub(rf"\${name}\b", replacement.replace("\\", r"\\"), text)
        return Str(text, value.at)
    if isinstance(value, Map):
        copy = Map({key: _substitute(item, given) for key, item in value.items()})
        copy.at = value.at
        return copy
    if isinstance(value, Seq):
        items = Seq(_substitute(item, given) for item in value)
        items.at = value.at
        return items
    return value


def _plain(value: Any) -> Any:
    """A loaded constant as plain data; `true` and `false` are booleans in FHIR."""
    if isinstance(value, Map):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, Seq):
        return [_plain(v) for v in value]
    if isinstance(value, Str):
        return {"true": True, "false": False}.get(value, str(value))
    return value


def _list(text: Str) -> list[str]:
    inner = text.strip()
    if inner.startswith("[") and inner.endswith("]"):
        return [part.strip() for part in inner[1:-1].split(",")]
    return [inner] if inner else []


def _many(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, Seq) else [value]


def _arguments(text: str) -> list[tuple[str, str]]:
    found, at = [], 0
    while at < len(text):
        match = _ARGUMENT.match(text, at)
        if match is None:
            break
        found.append((match["key"] or "", match["quoted"] if match["quoted"] is not None else match["word"]))
        at = match.end()
    return found
