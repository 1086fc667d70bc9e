"""Whether a mapping accounts for every element of its letter: no element without a rule, no rule without an element."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from converter.issues import Issue, IssueLog, Location, Severity, declare
from converter.letter import pattern
from converter.mapping.document import Document, Rule
from converter.yamlfile import fault

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

UNDECLARED_LEAF = declare(
    "LNT067",
    "element-not-accounted-for",
    Severity.ERROR,
    "no rule uses the element {path!r} and neither `ignore` nor `keep` names it",
    why="A value of that element would be lost without anybody having decided so.",
    help="Add a rule, or a line under `ignore` with the id of a loss.",
)


def unaccounted(document: Document, leaves: Callable[[str], set[str] | None]) -> list[Issue]:
    """Letter paths that rules name and the letter lacks, and elements of the letter that no rule names."""
    known = leaves(document.letter)
    if known is None:
        return []
    log = IssueLog()
    used = {pattern(path) for path in document.origin}
    for rule in (*document.rules(), *document.back_rules):
        for path in _letter_paths(rule):
            if path in known:
                used.add(path)
            elif rule not in document.back_rules:
                _not_there(document, rule, path, log)
    for declared in document.declared:
        # An overlay inherits what its base leaves out or keeps, as far as its own letter has it.
        if declared.leaf not in known and not (document.bases and declared.at.file != document.file):
            log.issues.append(fault(UNKNOWN_LEAF, declared, path=declared.leaf))
        used.add(declared.leaf)
    for fold in list(document.fold):
        if pattern(fold.rule.target) not in known and document.bases and fold.at.file != document.file:
            document.fold.remove(fold)
        elif pattern(fold.rule.target) not in known:
            _not_there(document, fold.rule, fold.rule.target, log)
    for path in sorted(known - used):
        log.add(UNDECLARED_LEAF, Location(document.file, 1, 1), path=path)
    return list(log)


def _letter_paths(rule: Rule) -> Iterator[str]:
    for path in (*rule.sources, *rule.claims, *rule.letter_columns.values()):
        if not path.startswith("$"):
            yield pattern(path.replace("[*]", ""))


def _not_there(document: Document, rule: Rule, path: str, log: IssueLog) -> None:
    if rule.at.file != document.file and document.bases:
        log.add(INHERITED, rule.at, path=path, file=document.file, rule=f"{document.name}.{rule.name}")
    else:
        log.add(UNKNOWN_LEAF, rule.at, path=path, rule=f"{document.name}.{rule.name}")
