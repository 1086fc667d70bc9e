"""The rules of a mapping by the names that ledgers and generated code give them."""

from __future__ import annotations

from collections.abc import Iterator

from converter.issues import Location
from converter.mapping import Mappings
from converter.mapping.document import Derived, Document, Each, Refs, Rule

AnyRule = Rule | Each | Derived | Refs


def named(document: Document) -> Iterator[tuple[str, AnyRule]]:
    """Every rule with its full name; lists before the rules of their items."""
    for rule in document.bundle_rules:
        yield f"bundle.{rule.name}", rule
    for resource in document.resources.values():
        for one in resource.rules:
            name = f"{resource.name}.{one.name}"
            yield name, one
            if isinstance(one, Each):
                yield from ((f"{name}.{rule.name}", rule) for rule in one.rules)
    for rule in document.back_rules:
        yield f"back.{rule.name}", rule


def uses_codes(document: Document, codes: str) -> bool:
    """Whether a rule, or a line of text of the way back, looks something up in a code map."""
    for _, rule in named(document):
        if isinstance(rule, Rule) and (codes == rule.map or codes in rule.arguments):
            return True
    return f"({codes})" in str(document.back)


def in_folder(at: Location, folder: str) -> Location:
    """A place in a mapping file as seen from outside the mapping folder."""
    return Location(f"{folder}/{at.file}" if folder else at.file, at.line, at.column)


def place_of(mappings: Mappings, rule: str, folder: str) -> Location:
    """Where a rule `TYPE:NAME` of a ledger stands; the start of the mapping file for what is no single rule."""
    type_, _, name = rule.partition(":")
    mapping = mappings.for_letter(type_)
    if mapping is None:
        return Location(folder, 1, 1)
    found = next((one.at for full, one in named(mapping.document) if full == name), None)
    return in_folder(found or Location(mapping.document.file, 1, 1), folder)
