"""One rule of a mapping file, in its short form `a <-> b | codec(x)` or written out, with every fault of form found."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from converter.issues import Issue, Severity, declare
from converter.mapping import codecs, guards
from converter.mapping.codes import CodeMap, Loss
from converter.mapping.document import Rule
from converter.yamlfile import Map, Seq, Str, fault, place

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

NO_REASON = declare(
    "LNT066",
    "one-way-without-reason",
    Severity.ERROR,
    "a rule for one direction needs `because`",
    why="What does not come back is lost; a reader must learn why.",
    help="Say in `because` what makes the other direction unnecessary or impossible.",
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


class Faults:
    """The faults of a file, each at the place of the value that it is about."""

    def __init__(self) -> None:
        self.found: list[Issue] = []

    def add(self, kind: Any, value: object, **facts: object) -> None:
        """Note a fault at the place of a loaded value."""
        self.found.append(fault(kind, value, **facts))


class RuleReader:
    """Reads rules, and what they are made of: letter paths, guards, losses, codecs."""

    def __init__(self, faults: Faults, codes: Mapping[str, CodeMap], losses: Mapping[str, Loss]) -> None:
        self.complain, self.codes, self.losses = faults.add, codes, losses

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
        rule.places = {str(key): place(value) for key, value in entry.items()}
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
        entry["from"], entry["to"] = _part(text, match, "left"), _part(text, match, "right")
        if match["codec"]:
            entry["codec"] = _part(text, match, "codec")
        if match["arrow"] != "<->":
            entry["direction"] = Str("forward" if match["arrow"] == "->" else "back", text.at)
        return entry

    def _sides(self, rule: Rule, entry: Map, group: str) -> None:
        left, right = entry.get("from", Str("", place(entry))), entry.get("to", Str("", place(entry)))
        left = Str(f"[{', '.join(left)}]", left.at) if isinstance(left, Seq) else left
        rule.keep = "keep" in entry
        rule.target = str(entry["keep"] if rule.keep else right)
        rule.sources = tuple(self.letter_path(p, group) for p in _list(left))
        rule.const, rule.ref, rule.id = plain(entry.get("const")), str(entry.get("ref", "")), str(entry.get("id", ""))
        rule.value, rule.line = str(entry.get("value", "")), str(entry.get("line", ""))
        rule.claims = tuple(self.letter_path(p, group) for p in many(entry.get("claims")))
        rule.claims_fhir = tuple(str(p) for p in many(entry.get("claims_fhir")))
        rule.hint = str(entry.get("hint", ""))
        rule.absent = self.loss(entry.get("absent", Str("", place(entry))))
        if "map" in entry:
            rule.map = str(entry["map"])
            if rule.map not in self.codes:
                self.complain(UNKNOWN_NAME, entry["map"], what="the code map", name=rule.map)
            rule.letter_columns = {str(k): self.letter_path(v, group) for k, v in entry.get("letter", {}).items()}
            rule.fhir_columns = {str(k): str(v) for k, v in entry.get("fhir", {}).items()}
            rule.otherwise = {str(k): str(v) for k, v in entry.get("otherwise", {}).items()}

    def _codec(self, rule: Rule, entry: Map) -> None:
        text = entry.get("codec")
        rule.loss, rule.lossy = self.loss(entry.get("loss", Str("", place(entry)))), ""
        rule.lossy = self.loss(entry.get("lossy", Str("", place(entry))))
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
                rule.lossy = self.loss(Str(value, text.at))
            elif key == "back_loss":
                rule.back_loss = self.loss(Str(value, text.at))
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
            self.guard(entry.get("when", nothing), group),
            self.guard(entry.get("when_fhir", nothing)),
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
            rule.sentence, rule.sentence_when = str(first["sentence"]), self.guard(first["when"], group)
            rule.sentence_loss = self.loss(first["loss"])

    # -- what rules are made of

    def letter_path(self, path: str, group: str) -> str:
        """A letter path from the root; `group` is the one that it is relative to, `/` leads out of it."""
        text = str(path).strip()
        if text.startswith("/"):
            return text[1:]
        return f"{group}.{text}" if group and not text.startswith("$") else text

    def guard(self, text: Str, group: str | None = None) -> str:
        """A guard that can be read; over the letter (`group` given) with all its paths from the letter's root."""
        if not text:
            return ""
        try:
            guards.guard_paths(str(text))
        except ValueError as error:
            self.complain(BAD_FORM, text, problem=str(error))
            return ""
        return str(text) if group is None else guards.qualified(text, lambda path: self.letter_path(path, group))

    def loss(self, value: Str) -> str:
        """The id of a loss, which the catalogue has."""
        if value and value not in self.losses:
            self.complain(UNKNOWN_NAME, value, what="the loss", name=str(value))
        return str(value)


def _part(text: Str, match: re.Match[str], side: str) -> Str:
    """A part of a rule in one line, with its own column. A list can only stand in quotes, which count as well."""
    return Str(match[side].strip(), replace(text.at, column=text.at.column + match.start(side) + text.startswith("[")))


def plain(value: Any) -> Any:
    """A loaded constant as plain data; `true` and `false` are booleans in FHIR."""
    if isinstance(value, Map):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, Seq):
        return [plain(v) for v in value]
    if isinstance(value, Str):
        return {"true": True, "false": False}.get(value, str(value))
    return value


def _list(text: Str) -> list[str]:
    inner = text.strip()
    if inner.startswith("[") and inner.endswith("]"):
        return [part.strip() for part in inner[1:-1].split(",")]
    return [inner] if inner else []


def many(value: Any) -> list[Any]:
    """A value that may stand alone or in a list, as a list."""
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
