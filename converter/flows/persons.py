"""Numbers of patients across letters: one replacement number of two persons, and one person with several numbers.

Nothing is joined here: the systems that issued the numbers must find out (minutes of Primærsektor-forum, January 2022,
item 9). Names and numbers are kept as keyed digests only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from converter.flows.messages import Digest, Remembering, place_of
from converter.flows.table import FlowTable
from converter.identifiers import ecpr_shape_ok
from converter.issues import IssueLog, Location, Severity, declare

if TYPE_CHECKING:
    from converter.engine import Outcome

AMBIGUOUS = declare(
    "FLW014",
    "id-ambiguous",
    Severity.WARNING,
    "the replacement number stands with another name in the letter at {place}",
    why="One number of two persons mixes their records. A spelling, or a new name, looks the same.",
    help="Ask the systems that issued the number; nothing is joined or changed here.",
    source="minutes of Primærsektor-forum, January 2022, item 9",
)
SEVERAL = declare(
    "FLW015",
    "person-multi-id",
    Severity.INFO,
    "a patient of this name and birth date has another number in the letter at {place}",
    why="Letters about one person may end in two records. Two persons can have one name and birth date, too.",
    help="Ask the systems that issued the numbers; nothing is joined or changed here.",
    source="minutes of Primærsektor-forum, January 2022, item 9",
)


class Person(NamedTuple):
    """A patient: digests of the number, of the name, of the name with the birth date; is it a replacement number?"""

    number: Digest
    name: Digest
    whole: Digest
    replacement: bool


class Persons:
    """The numbers of a corpus: `add` every letter, then `report` once."""

    def __init__(self, table: FlowTable, remembering: Remembering) -> None:
        self._numbers, self._names = table.numbers, table.names
        self._remembering = remembering
        self._named: dict[Digest, tuple[Digest, Location]] = {}  # by replacement number: name, first place
        self._numbered: dict[Digest, tuple[Digest, bool, Location]] = {}  # by name and date: number, replacement, place
        self._told: set[Digest] = set()
        self._found: list[tuple[bool, Location, Location]] = []

    def add(self, outcome: Outcome, display: str, line: int) -> None:
        """Take a message that has a letter."""
        person = self.person(outcome)
        if person is not None:
            self.take(person, place_of(outcome, self._numbers, display, line))

    def person(self, outcome: Outcome) -> Person | None:
        """Who the patient of a letter is; None if it does not say."""
        letter = outcome.letter
        assert letter is not None
        number = next((text for path in self._numbers if (text := letter.text(path))), "")
        names = [(letter.text(path) or "").strip().casefold() for path in self._names]
        if len(number) != 10 or not number[:6].isdigit() or not all(names):
            return None
        digest = self._remembering.digest
        whole = digest("\0".join([number[:6], *names]))
        return Person(digest(number), digest("\0".join(names)), whole, ecpr_shape_ok(number))

    def take(self, person: Person, at: Location) -> None:
        """Take the patient of a letter, which stands there."""
        if person.replacement:
            other, first = self._named.setdefault(person.number, (person.name, at))
            self._find(person.number, other != person.name, (True, at, first))
        known, was_replacement, first = self._numbered.setdefault(person.whole, (person.number, person.replacement, at))
        another = known != person.number and (person.replacement or was_replacement)
        self._find(person.whole, another, (False, at, first))

    def _find(self, key: Digest, found: bool, finding: tuple[bool, Location, Location]) -> None:
        """Note a finding, once for each number or person."""
        if found and key not in self._told:
            self._told.add(key)
            self._found.append(finding)

    def report(self, log: IssueLog) -> None:
        """Add FLW014 and FLW015."""
        for ambiguous, at, first in self._found:
            log.add(AMBIGUOUS if ambiguous else SEVERAL, at, place=f"{first.file}:{first.line or 1}")
