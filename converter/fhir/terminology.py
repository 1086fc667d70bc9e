"""Expanding value sets when a pack is built: from a ValueSet and the CodeSystems of a guide's packages to plain codes.

An expansion says of which code systems it is incomplete: of those whose codes are not in the packages (SNOMED CT,
LOINC, …) and those with a filter that cannot be computed. A code of theirs that is missing from it is *not checked*.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from converter.fhir.packages import Closure

Concept = dict[str, Any]
MOST_CODES = 5000
# Code systems that are a grammar: every well-formed code belongs to them.
GRAMMARS = {"urn:ietf:bcp:13": "mime", "urn:ietf:bcp:47": "language"}


@dataclass
class Expansion:
    """Codes of a value set: system -> code -> displays.

    `grammars` are systems taken whole that are a grammar; `unknown` are systems whose codes are not all known here (""
    stands for any system).
    """

    codes: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    grammars: list[str] = field(default_factory=list)
    unknown: set[str] = field(default_factory=set)

    def add(self, system: str, code: str, displays: list[str]) -> None:
        """Add a code; displays of the same code are united."""
        known = self.codes.setdefault(system, {}).setdefault(code, [])
        known.extend(d for d in displays if d and d not in known)

    def remove(self, other: Expansion) -> None:
        """Take the codes of `other` away."""
        for system, codes in other.codes.items():
            for code in codes:
                self.codes.get(system, {}).pop(code, None)

    def keep(self, other: Expansion) -> None:
        """Keep only codes that `other` holds too."""
        for system in list(self.codes):
            there = other.codes.get(system, {})
            self.codes[system] = {c: d for c, d in self.codes[system].items() if c in there}
        self.grammars = [g for g in self.grammars if g in other.grammars]
        self.unknown |= other.unknown

    def union(self, other: Expansion) -> None:
        """Add everything of `other`."""
        for system, codes in other.codes.items():
            for code, displays in codes.items():
                self.add(system, code, displays)
        self.grammars.extend(g for g in other.grammars if g not in self.grammars)
        self.unknown |= other.unknown

    def facts(self) -> dict[str, Any]:
        """What the pack holds: `codes` as system -> code -> displays, and the exceptions."""
        codes = {s: dict(sorted(c.items())) for s, c in sorted(self.codes.items()) if c}
        facts: dict[str, Any] = {"codes": codes}
        if self.grammars:
            facts["grammars"] = sorted(self.grammars)
        if self.unknown:
            facts["unknown"] = sorted(self.unknown)
        return facts


def expand(canonical: str, closure: Closure) -> Expansion:
    """Expand a value set of the closure. An unknown value set gives an empty expansion, unknown for any system."""
    return _expand(canonical, closure, frozenset())


def concepts(code_system: dict[str, Any]) -> dict[str, list[str]]:
    """All codes of a code system with their displays, sorted."""
    return dict(sorted((c["code"], _displays(c)) for c, _ in _walk(code_system)))


def _expand(canonical: str, closure: Closure, above: frozenset[str]) -> Expansion:
    result = Expansion()
    value_set = closure.find(canonical)
    if canonical in above or not value_set or value_set["resourceType"] != "ValueSet" or "compose" not in value_set:
        result.unknown.add("")
        return result
    inside = above | {canonical}
    for part in value_set["compose"].get("include", []):
        result.union(_part(part, closure, inside))
    for part in value_set["compose"].get("exclude", []):
        taken = _part(part, closure, inside)
        result.remove(taken)
        result.unknown |= taken.unknown
    if sum(map(len, result.codes.values())) > MOST_CODES:
        return Expansion(unknown={""})
    return result


def _part(part: dict[str, Any], closure: Closure, above: frozenset[str]) -> Expansion:
    """One include or exclude: a system's codes, cut down to every value set that it names."""
    others = [_expand(v, closure, above) for v in part.get("valueSet", [])]
    if "system" not in part:
        result = others.pop(0) if others else Expansion(unknown={""})
    else:
        result = _system(part, closure)
    for other in others:
        result.keep(other)
    return result


def _system(part: dict[str, Any], closure: Closure) -> Expansion:
    result = Expansion()
    system = part["system"]
    code_system = closure.find(system)
    known = {c["code"]: c for c, _ in _walk(code_system)} if code_system else {}
    if "concept" in part:
        for concept in part["concept"]:
            result.add(system, concept["code"], _displays(concept) + _displays(known.get(concept["code"], {})))
        return result
    if system in GRAMMARS and "filter" not in part:
        result.grammars.append(system)
        return result
    if code_system is None or code_system.get("content") != "complete":
        result.unknown.add(system)
    if code_system is not None:
        for concept in _filtered(part.get("filter", []), code_system, result):
            result.add(system, concept["code"], _displays(concept))
    return result


def _walk(code_system: dict[str, Any]) -> Iterator[tuple[Concept, frozenset[str]]]:
    """Every concept with the codes above it: by nesting, and by `subsumedBy` properties as the v3 systems have them."""
    flat: list[Concept] = []
    parents: dict[str, set[str]] = {}
    waiting: list[tuple[Concept, str]] = [(c, "") for c in reversed(code_system.get("concept", []))]
    while waiting:
        concept, parent = waiting.pop()
        flat.append(concept)
        above = parents.setdefault(concept["code"], set())
        if parent:
            above.add(parent)
        for fact in concept.get("property", []):
            if fact.get("code") in ("subsumedBy", "parent") and "valueCode" in fact:
                above.add(fact["valueCode"])
        waiting.extend((c, concept["code"]) for c in reversed(concept.get("concept", [])))
    for concept in flat:
        yield concept, _ancestors(concept["code"], parents)


def _ancestors(code: str, parents: dict[str, set[str]]) -> frozenset[str]:
    found: set[str] = set()
    waiting = [code]
    while waiting:
        for parent in parents.get(waiting.pop(), ()):
            if parent not in found:
                found.add(parent)
                waiting.append(parent)
    return frozenset(found)


def _filtered(filters: list[dict[str, Any]], code_system: dict[str, Any], result: Expansion) -> Iterator[Concept]:
    for concept, above in _walk(code_system):
        verdicts = [_passes(f, concept, above) for f in filters]
        if None in verdicts:
            result.unknown.add(code_system["url"])
        elif all(verdicts):
            yield concept


def _passes(rule: dict[str, Any], concept: Concept, above: frozenset[str]) -> bool | None:
    """Whether a concept passes one filter; None if this filter cannot be computed here."""
    sign, value, code = rule["op"], rule["value"], concept["code"]
    if rule["property"] in ("concept", "code"):
        match sign:
            case "is-a":
                return code == value or value in above
            case "descendent-of":
                return value in above
            case "is-not-a":
                return code != value and value not in above
            case "in":
                return code in value.split(",")
            case "not-in":
                return code not in value.split(",")
            case "regex":
                return re.fullmatch(value, code) is not None
            case _:
                return None
    facts = [str(v) for p in concept.get("property", []) if p.get("code") == rule["property"] for v in _values(p)]
    if sign == "=":
        return value in facts
    if sign == "in":
        return any(f in value.split(",") for f in facts)
    return None


def _values(fact: dict[str, Any]) -> Iterator[str]:
    for name, value in fact.items():
        if name == "valueCoding":
            yield value.get("code", "")
        elif name.startswith("value"):
            yield str(value).lower() if isinstance(value, bool) else str(value)


def _displays(concept: Concept) -> list[str]:
    texts = [concept.get("display", "")]
    texts.extend(d.get("value", "") for d in concept.get("designation", []))
    return [t for t in texts if t]
