"""Rows for each letter type that has fixtures: the whole chain to FHIR, validated, for letters of ordinary size."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial

from benchmarks.conversion import Parts
from benchmarks.corpus import Message, corpus, corpus_of_xml, types
from benchmarks.rows import Row
from converter.engine import Engine, Outcome
from converter.issues import IssueLog, Severity

ORDINARY = 5_000
RATE = 1_000

# What the seeded fault replaces: the month of the signature; in receipts, which have none, the code of the verdict.
_FAULTS = rb"(DTM\+137:\d{4}|<Authorisation><Date>\d{4}-)\d\d|(?<=\n)(UCI\+[^']*\+)\d(?=[+'])"


def rows(messages: int, parts: Parts) -> Iterator[Row]:
    """A row a letter type."""
    for type_ in types():
        letters, syntax = corpus(messages, type_, under=ORDINARY), "EDIFACT"
        if not letters:
            letters, syntax = corpus_of_xml(messages, type_, under=ORDINARY), "OIOXML"
        if letters and parts.checking.mappings.for_letter(type_) is not None:
            yield Row(
                "type",
                f"{type_}: {syntax} → Bundle JSON, validated, under 5 kB",
                partial(chain, parts.checking, [m.edifact for m in letters]),
                len(letters),
                gate=partial(_gate, parts.checking, letters),
                target_rate=RATE,
            )


def chain(engine: Engine, letters: Sequence[bytes]) -> int:
    """Convert one message after the other and let it go; returns how many became a Bundle."""
    return sum(_only(engine, data).output is not None for data in letters)


def _only(engine: Engine, data: bytes) -> Outcome:
    (outcome,) = engine.convert(data, to="fhir", name="message")
    return outcome


def _gate(engine: Engine, letters: Sequence[Message]) -> str:
    """Both syntaxes (if there are two) give one Bundle, free of errors, each its own; and the validation takes part."""
    bundles = set()
    for message in letters:
        edifact, oioxml = _only(engine, message.edifact), _only(engine, message.oioxml)
        if edifact.output is None or edifact.output != oioxml.output:
            return f"the two syntaxes of {message.case} differ"
        if any(issue.severity is Severity.ERROR for issue in (*edifact.issues, *oioxml.issues)):
            return f"{message.case} has errors"
        bundles.add(edifact.output)
    if len(bundles) < len(letters):
        return "two messages gave one Bundle"
    return _judged(engine, letters[0])


def _judged(engine: Engine, message: Message) -> str:
    """A seeded fault in the letter must be found by its definition, and one in the Bundle by its profiles."""
    broken = re.sub(_FAULTS, lambda found: (found[1] or found[2]) + b"13", message.edifact)
    if not any(issue.severity is Severity.ERROR for issue in _only(engine, broken).issues):
        return "a fault of the letter is not found"
    bundle = _only(engine, message.edifact).bundle or {}
    del bundle["entry"][0]["resource"]["source"]
    profile, log = engine.profile(bundle["meta"]["profile"][0]), IssueLog()
    if profile is not None:
        profile.validate(bundle, log)
    return "" if any(issue.severity is Severity.ERROR for issue in log) else "a fault of the Bundle is not found"
