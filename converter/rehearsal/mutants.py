"""Faults put into mapping files one at a time: each rule, guard, default, constant, loss and row, dropped or altered.

A mutant is a fault at one place of the mapping files, so a fault in a shared part is one mutant, whatever applies it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from converter.issues import Location
from converter.mapping import Mappings
from converter.mapping.codecs import CODECS
from converter.mapping.codes import CodeMap
from converter.mapping.document import Document, Each, Rule
from converter.rehearsal.rules import AnyRule, named, uses_codes

Change = Callable[[], Callable[[], None]]
"""Puts a fault in; what it gives takes it out again."""


@dataclass(slots=True)
class Mutant:
    """One fault: `sites` puts it into each mapping that it concerns, by the mapping's name."""

    what: str
    name: str
    at: Location
    sites: dict[str, list[Change]] = field(default_factory=dict)
    row: tuple[str, int] | None = None


def mutants(mappings: Mappings) -> list[Mutant]:
    """All mutants, in the order of files and lines."""
    found: dict[tuple[str, int, int, str], Mutant] = {}
    for mapping in mappings.mappings:
        for what, name, at, change in _of_document(mapping.document, sorted(mappings.losses)):
            key = (at.file, at.line, at.column, what)
            mutant = found.setdefault(key, Mutant(what, name, at))
            mutant.sites.setdefault(mapping.name, []).append(change)
    everywhere = [*found.values(), *_of_codes(mappings)]
    return sorted(everywhere, key=lambda m: (m.at.file, m.at.line, m.at.column, m.what))


def _of_document(document: Document, losses: list[str]) -> Iterator[tuple[str, str, Location, Change]]:
    lists: list[list[Any]] = [document.bundle_rules, document.back_rules]
    lists += [resource.rules for resource in document.resources.values()]
    lists += [one.rules for rules in lists for one in rules if isinstance(one, Each)]
    holders: dict[int, list[Any]] = {id(one): rules for rules in lists for one in rules}
    for name, rule in named(document):
        yield "rule dropped", name, rule.at, _dropped(holders[id(rule)], rule)
        if isinstance(rule, Rule):
            for what, attribute, value in _altered(rule, losses):
                yield what, name, rule.at, _set(rule, attribute, value)
    for declared in document.declared:
        word = "keep" if declared.keep else "ignore"
        yield f"{word} dropped", declared.leaf, declared.at, _dropped(document.declared, declared)
        yield (
            f"loss of {word} altered",
            declared.leaf,
            declared.at,
            _set(declared, "loss", _other(declared.loss, losses)),
        )


def _altered(rule: Rule, losses: list[str]) -> Iterator[tuple[str, str, Any]]:
    """What to alter in a rule: the words for it, the attribute and its new value."""
    for attribute in ("when", "when_fhir"):
        guard = getattr(rule, attribute)
        if guard:
            yield f"guard {attribute} dropped", attribute, ""
            yield f"guard {attribute} negated", attribute, f"not ({guard})"
    if rule.default is not None:
        yield "default altered", "default", rule.default + "~"
    if rule.const is not None:
        yield "constant altered", "const", _other_constant(rule.const)
    if rule.value:
        yield "value altered", "value", rule.value + "x"
    for attribute in ("loss", "lossy"):
        if getattr(rule, attribute):
            yield f"{attribute} altered", attribute, _other(getattr(rule, attribute), losses)
    if rule.codec.name != "copy" and len(rule.sources) == 1:
        yield "codec dropped", "codec", CODECS["copy"]


def _other(loss: str, losses: list[str]) -> str:
    """Another loss of the catalogue."""
    place = losses.index(loss) if loss in losses else 0
    return losses[place - 1]


def _other_constant(const: Any) -> Any:
    if isinstance(const, dict):
        last = list(const)[-1]
        return {**const, last: _other_constant(const[last])}
    if isinstance(const, list):
        return [_other_constant(const[0]), *const[1:]] if const else const
    return not const if isinstance(const, bool) else f"{const}x"


def _dropped(holder: list[Any], one: AnyRule | Any) -> Change:
    def put_in() -> Callable[[], None]:
        place = next(n for n, have in enumerate(holder) if have is one)
        del holder[place]
        return lambda: holder.insert(place, one)

    return put_in


def _set(one: Any, attribute: str, value: Any) -> Change:
    def put_in() -> Callable[[], None]:
        before = getattr(one, attribute)
        setattr(one, attribute, value)
        return lambda: setattr(one, attribute, before)

    return put_in


def _of_codes(mappings: Mappings) -> Iterator[Mutant]:
    for name, codes in sorted(mappings.codes.items()):
        users = [m.name for m in mappings.mappings if uses_codes(m.document, name)]
        for number, at in enumerate(codes.places if users else ()):
            rows = codes.rows
            label = f"{name}: {rows[number][next(iter(codes.columns))]}"
            altered = {**rows[number], **_altered_row(codes, number)}
            for what, left in (
                ("row dropped", rows[:number] + rows[number + 1 :]),
                ("row altered", (*rows[:number], altered, *rows[number + 1 :])),
            ):
                change = _replaced(mappings, name, replace(codes, rows=left))
                yield Mutant(what, label, at, {user: [change] for user in users}, (name, number))


def _altered_row(codes: CodeMap, number: int) -> dict[str, str]:
    last = list(codes.columns)[-1]
    return {last: codes.rows[number][last] + "x"}


def _replaced(mappings: Mappings, name: str, codes: CodeMap) -> Change:
    def put_in() -> Callable[[], None]:
        before = mappings.codes
        mappings.codes = {**before, name: codes}
        return lambda: setattr(mappings, "codes", before)

    return put_in
