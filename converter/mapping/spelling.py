"""Whether every FHIR path and line of a mapping can be read: its steps are steps, and its slices are defined."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from converter.issues import Issue, IssueLog, Location
from converter.mapping import guards, paths, thread
from converter.mapping.codes import CodeMap
from converter.mapping.document import Derived, Document, Each, Refs, Rule
from converter.mapping.rules import BAD_FORM


def misspelt(document: Document, codes: Mapping[str, CodeMap]) -> list[Issue]:
    """The paths and lines of text that cannot be read, each at its place."""
    log = IssueLog()
    for text, at, name in _paths(document):
        first, _, rest = text.removeprefix(".").partition(".")
        inner = rest if first.startswith("$") or first in document.resources else text.removeprefix(".")
        try:
            if inner:
                paths.parse(inner, document.slices)
        except ValueError as error:
            log.add(BAD_FORM, at, rule=f"{document.name}.{name}", target=text, problem=str(error))
    for rule in document.back_rules:
        try:
            thread.parse_template(rule.line, document.slices, codes, document.resources)
        except (ValueError, KeyError) as error:
            problem = f"not understood in a line: {error}"
            log.add(BAD_FORM, rule.place("line"), rule=f"{document.name}.back.{rule.name}", problem=problem)
    return log.issues


def _paths(document: Document) -> Iterator[tuple[str, Location, str]]:
    """Every FHIR path with its place and the rule that it is of."""
    for rule in document.bundle_rules:
        yield from _of_rule(rule, f"bundle.{rule.name}")
    for resource in document.resources.values():
        yield from ((path, resource.at, resource.name) for path in (resource.found, resource.found_by))
        for one in resource.rules:
            name = f"{resource.name}.{one.name}"
            if isinstance(one, Rule):
                yield from _of_rule(one, name)
            else:
                yield from ((path, one.at, name) for path in _of_list(one))
            for rule in one.rules if isinstance(one, Each) else ():
                yield from _of_rule(rule, f"{name}.{rule.name}")
    for rule in document.back_rules:
        name = f"back.{rule.name}"
        yield from ((path, rule.place("from"), name) for path in rule.sources)
        yield from _of_rule(rule, name, back=True)


def _of_rule(rule: Rule, name: str, *, back: bool = False) -> Iterator[tuple[str, Location, str]]:
    if rule.target and not rule.keep and not back:
        yield rule.target, rule.place("to"), name
    yield from ((path, rule.place("fhir"), name) for path in rule.fhir_columns.values())
    yield from ((path, rule.place("claims_fhir"), name) for path in rule.claims_fhir)
    if rule.hint:
        yield rule.hint, rule.place("hint"), name
    for path in guards.guard_paths(rule.when_fhir) if rule.when_fhir else ():
        yield path, rule.place("when_fhir"), name


def _of_list(one: Each | Derived | Refs) -> Iterator[str]:
    yield one.target
    if isinstance(one, Each):
        yield from one.anchor
        yield from guards.guard_paths(one.when_fhir) if one.when_fhir else ()
    elif isinstance(one, Derived):
        yield from (one.of, one.value, one.position)
    elif one.position:
        yield one.position
