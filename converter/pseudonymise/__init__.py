"""Corpora that may be shared: every message with its identifiers, names, texts and attachments replaced, keyed.

A message keeps its form to the byte: segments and elements, lengths, lines and character set, codes and dates. So it
has the type, the version and the deviations that it had. What is not known to be a code, a date or structure is
replaced; what cannot be read is left out, and reported. The result is still personal data (GDPR, article 4(5)).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from converter import sources, vans
from converter.issues import IssueLog, Location, Severity, declare
from converter.pseudonymise import bundles, edifact, markup
from converter.pseudonymise.fields import Fields
from converter.pseudonymise.keyed import Pseudonyms, TooManyPersonsError

if TYPE_CHECKING:
    from converter.engine import Engine, Outcome
    from converter.sources import Input

__all__ = ["Corpus", "Pseudonyms", "Shared", "TooManyPersonsError", "read"]

LEFT_OUT = declare(
    "BAT030",
    "not-pseudonymised",
    Severity.WARNING,
    "left out of the pseudonymised corpus: {reason}",
    why="What stands where is not known, so nothing of it can be known to be harmless. The corpus is smaller by it.",
    help="Convert or repair it first if it should be part of the corpus; `validate` says what is wrong with it.",
)
MOVED = declare(
    "BAT031",
    "persons-moved",
    Severity.INFO,
    "{number} persons got a number of another day than their day of birth has, since a day has about ten of them",
    why="For them, a day of birth beside the CPR number no longer agrees with it.",
    help="Nothing to do, unless the corpus is for tests of just that. A corpus of fewer persons has none.",
)

_SUFFIXES = frozenset([".edi", ".txt", ".xml", ".json", ".ndjson", ".edifact", ".oioxml"])


@dataclass(frozen=True, slots=True)
class Shared:
    """A file of the new corpus: `name` has nothing of the old name but its suffix. `append`: a further line of it."""

    name: str
    data: bytes
    append: bool


@dataclass
class Corpus:
    """Pseudonymises the inputs of one corpus, in their order."""

    engine: Engine
    key: bytes
    messages: int = 0
    left_out: int = 0
    names: Pseudonyms = field(init=False)
    _last: str = ""

    def __post_init__(self) -> None:
        self._fields = Fields(self.engine.folder, self.engine.definitions)
        self.names = Pseudonyms(self.key, self._fields.listed)

    @cached_property
    def _properties(self) -> bundles.Properties:
        return bundles.Properties(self._fields, bundles.Vocabulary.load(self.engine.folder))

    def shared(self, item: Input, log: IssueLog) -> Shared | None:
        """An input (an envelope unopened) as a file of the new corpus; None, with a finding, if it is left out."""
        try:
            data = self._envelope(item, log) if vans.sniff(item.data) else self._message(item.data, item, log)
        except (ValueError, UnicodeError):
            self._refused(item, log, "it cannot be decoded")
            return None
        if data is None:
            return None
        name = self.names.name(item.name) + self._suffix(item.name)
        append, self._last = name == self._last, name
        return Shared(name, data, append)

    def finish(self, log: IssueLog) -> None:
        """Report what holds for the corpus as a whole."""
        if self.names.moved:
            log.add(MOVED, Location(), number=self.names.moved)

    @staticmethod
    def _suffix(name: str) -> str:
        suffix = PurePosixPath(name).suffix.lower()
        return suffix if suffix in _SUFFIXES else ""

    def _refused(self, item: Input, log: IssueLog, reason: str) -> None:
        self.left_out += 1
        log.add(LEFT_OUT, Location(item.display, item.line, 1), reason=reason)

    def _envelope(self, item: Input, log: IssueLog) -> bytes | None:
        found = vans.read(item.data, IssueLog(), file=item.display, limits=self.engine.limits)
        if found is None or vans.sniff(found.payload):
            self._refused(item, log, "the envelope holds no message that can be read")
            return None
        inner = self._message(found.payload, item, log)
        if inner is None:
            return None
        return markup.envelope(item.data, lambda _: inner, self._fields, self.names)

    def _message(self, data: bytes, item: Input, log: IssueLog) -> bytes | None:
        outcomes = [
            o for o in self.engine.messages(data, name=item.display) if o.message or not o.recognised or o.issues
        ]
        reason = next(self._reasons(outcomes), "")
        if reason:
            self._refused(item, log, reason)
            return None
        self.messages += sum(bool(outcome.message) for outcome in outcomes)
        syntax = outcomes[0].syntax
        if any(outcome.bundle is not None for outcome in outcomes):
            return bundles.pseudonymised(data, self._properties, self.names)
        kinds = dict.fromkeys((outcome.type, outcome.version) for outcome in outcomes if outcome.letter)
        found = [d for d in (self.engine.definitions.get(*kind) for kind in kinds) if d is not None]
        if syntax == "edifact":
            return edifact.pseudonymised(data, found, self._fields, self.names, self.engine.limits)
        return markup.letters(data, found, self._fields, self.names)

    @staticmethod
    def _reasons(outcomes: list[Outcome]) -> Iterator[str]:
        if not any(outcome.letter or outcome.bundle for outcome in outcomes):
            yield "it is no message that can be read"
        for outcome in outcomes:
            if outcome.letter is not None and outcome.letter.refused:
                yield "a message in it cannot be read"


def read(corpus: str, engine: Engine, log: IssueLog) -> Iterator[Input]:
    """The inputs of a corpus as `convert` reads them, but with envelopes unopened."""
    for source in sources.sources([corpus], log):
        yield from sources.unopened(source, log, engine.limits)
