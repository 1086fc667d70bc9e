"""What became of one message, and the names of what it can be turned into."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from converter.fhir import bundle as fhir
from converter.issues import Issue, Location
from converter.ledger import Ledger
from converter.letter import Letter, Value, pattern
from converter.originals import facts

FHIR, OIOXML, EDIFACT = "fhir", "oioxml", "edifact"


@dataclass(slots=True)
class Outcome:
    """What became of one message. Plain data.

    `message` is an id without patient data: MessageHeader.id where there is one. `output` is None when nothing could
    be built. `kept` is for the sidecar; `ids` are the ids of both sides, for a state store; `fault` is the loss, or the
    code of the finding, for which the receiver will refuse the Bundle, knowingly. `partners` are the letters with
    objects that were joined to this one, or split off; `is_partner` says that it is such a letter itself, `joined` that
    its objects went with another letter, so that it has no output of its own; `in_line` that the output, a Bundle, is
    one line.
    """

    name: str
    type: str = ""
    version: str = ""
    syntax: str = ""
    target: str = ""
    letter: Letter | None = None
    bundle: dict[str, Any] | None = None
    output: bytes | None = None
    suffix: str = ""
    issues: list[Issue] = field(default_factory=list)
    ledger: Ledger | None = None
    kept: dict[str, Value] = field(default_factory=dict)
    message: str = ""
    pair: tuple[Letter, Mapping[str, Any]] | None = None
    fault: str = ""
    recognised: bool = True
    partners: list[Letter] = field(default_factory=list)
    is_partner: bool = False
    joined: bool = False
    in_line: bool = False

    @property
    def ids(self) -> dict[str, str]:
        """The ids of both sides, for a state store. Nothing of a patient."""
        return {} if self.pair is None else facts(*self.pair, self.fault)

    @property
    def group(self) -> Iterator[tuple[Letter, dict[str, str]]]:
        """The letters that make up the message, each with its ids: the letter itself, then those with its objects."""
        if self.pair is not None:
            letter, bundle = self.pair
            for one in (letter, *self.partners):
                found = facts(one, bundle, self.fault)
                yield one, {**found, "group_id": found.get("message_header_id", "")} if self.partners else found

    @property
    def target_leaves(self) -> int:
        """How many leaves the target has: primitive values of the Bundle, or leaves of the letter."""
        if self.target == FHIR:
            return 0 if self.bundle is None else len(fhir.leaves(self.bundle))
        return 0 if self.letter is None else len(self.letter.values)

    def model(self) -> Any:
        """The Bundle as a `fhir.resources.R4B` model; None without one. Imports fhir.resources on first use."""
        from converter.fhir.models import model

        return None if self.bundle is None else model(self.bundle)


def located(found: Sequence[Issue], letter: Letter, ledger: Ledger, name: str) -> Iterator[Issue]:
    """Findings about the Bundle that was built, with the place in the letter where the value came from."""
    pointers = [issue.target or issue.at.path for issue in found]
    origin = dict.fromkeys(pointers, "")
    for raw in ledger.raw:
        if raw[3] in origin and raw[3] and not origin[raw[3]]:
            origin[raw[3]] = raw[0]
    for issue, pointer in zip(found, pointers, strict=True):
        at = _place(letter, origin[pointer], name)
        yield Issue(issue.kind, at, issue.message, pointer, issue.rule, issue.value, issue.count, issue.severity)


def _place(letter: Letter, leaf: str, name: str) -> Callable[[], Location]:
    """The first place of a leaf in its letter, found when somebody asks."""

    def find() -> Location:
        found = letter.locate(leaf) if leaf else ()
        return found[0] if found else Location(name, path=pattern(leaf))

    return find
