"""What is remembered of a message to find its flow: digests and places, nothing that could be read.

Ids are compared, never shown, so only their digests are kept, keyed with a number that is drawn anew for every run:
what stays in memory cannot be searched for a patient, and two runs cannot be compared.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from converter.flows.table import FlowTable, LetterRow
from converter.issues import NOWHERE, Location

if TYPE_CHECKING:
    from converter.engine import Outcome
    from converter.letter import Letter

_UUID = re.compile(r"(?:urn:uuid:)?([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{12})\Z")
_NUMBER = re.compile(r"[0-9]{6}-[0-9a-z]{4}\Z")
_MINUTES_A_DAY = 1440

Digest = bytes
"""The keyed digest of a value; empty where a letter has none."""


@dataclass(slots=True, eq=False)
class Message:
    """One letter, as far as flows go. `row` is what the table says of its type.

    `minute` is when it was written (0: not known), `patient` the numbers that the patient has. `at` is the
    place of the id that joins it, `patient_at` that of the patient's number.
    """

    row: LetterRow
    at: Location
    patient_at: Location
    letter: Digest
    status: Digest
    episodes: tuple[Digest, ...]
    sender: Digest
    receiver: Digest
    referral: Digest
    patient: tuple[Digest, ...]
    minute: int

    @property
    def type(self) -> str:
        """The letter type."""
        return self.row.type

    @property
    def day(self) -> int:
        """The day on which it was written, as `date.toordinal` counts; 0 if that is not known."""
        return self.minute // _MINUTES_A_DAY

    @property
    def identity(self) -> tuple[object, ...]:
        """What a letter and its copies have in common."""
        return (self.type, self.sender, self.letter, self.minute, self.status)

    @property
    def content(self) -> tuple[object, ...]:
        """What copies of a letter must have in common besides."""
        return (self.receiver, self.episodes, self.referral, self.patient)


class Remembering:
    """Makes a `Message` of an outcome that has a letter. Without a `key`, one is drawn."""

    def __init__(self, table: FlowTable, key: bytes = b"") -> None:
        self._table = table
        self._key = key or secrets.token_bytes(32)

    def message(self, outcome: Outcome, display: str = "", line: int = 0) -> Message | None:
        """What to remember of a message, which starts in that line of its input; None if its type is in no flow.

        Without a line its places are not looked for, which takes longer than all the rest.
        """
        letter = outcome.letter
        row = self._table.rows.get(letter.type) if letter is not None and not letter.refused else None
        if letter is None or row is None:
            return None
        roles, one = row.roles, self._digest
        patient = roles["patient"]
        joins = () if row.is_referral else (*roles.get("referral", ()), *roles.get("episode", ()))
        return Message(
            row,
            place_of(outcome, (*joins, *roles["letter"]), display, line) if line else NOWHERE,
            place_of(outcome, patient, display, line) if line else NOWHERE,
            letter=one(letter, roles["letter"]),
            status=one(letter, roles.get("status", ())),
            episodes=tuple(self.digests(letter, roles.get("episode", ()))),
            sender=one(letter, roles["sender"]),
            receiver=one(letter, roles["receiver"]),
            referral=one(letter, roles.get("referral", ())),
            patient=tuple(self.digests(letter, patient)),
            minute=_minute(letter, (*roles["date"], *roles.get("time", ()))),
        )

    def _digest(self, letter: Letter, paths: Sequence[str]) -> Digest:
        return next(self.digests(letter, paths), b"")

    def digests(self, letter: Letter, paths: Sequence[str]) -> Iterator[Digest]:
        """The digests of all values at these paths that are no fillers."""
        for path in paths:
            for leaf in _leaves(letter, path):
                text = (letter.text(leaf) or "").strip().casefold()
                if text and text not in self._table.fillers:
                    yield self.digest(text)

    def digest(self, text: str) -> Digest:
        """The digest of a text."""
        return hashlib.blake2b(_normal(text).encode("utf-8", "replace"), key=self._key, digest_size=12).digest()


def _leaves(letter: Letter, path: str) -> Iterator[str]:
    """The leaf ids that a path stands for: itself, or one for each repetition of the group that it lies in."""
    if path in letter.values:
        yield path
        return
    parts = path.split(".")
    for depth in range(1, len(parts)):
        group, rest = ".".join(parts[:depth]), ".".join(parts[depth:])
        repeated = (f"{group}[{i + 1}].{rest}" for i in range(letter.counts.get(group, 0)))
        yield from (leaf for leaf in repeated if leaf in letter.values)


def _normal(text: str) -> str:
    """An id in the form in which it is compared: UUIDs and numbers of persons are written with hyphens and without."""
    match = _UUID.match(text)
    if match:
        return "".join(match.groups())
    return text.replace("-", "") if _NUMBER.match(text) else text


def _minute(letter: Letter, paths: Sequence[str]) -> int:
    """Minutes since the first day of year 1 at which the letter was written, by its own words; 0 if it does not say."""
    date, time = ((letter.text(path) or "") for path in (*paths, "")[:2])
    try:
        at = datetime.fromisoformat(f"{date}T{time or '00:00'}")
    except ValueError:
        return 0
    return at.toordinal() * _MINUTES_A_DAY + at.hour * 60 + at.minute


def place_of(outcome: Outcome, paths: Sequence[str], display: str, line: int) -> Location:
    """Where the first of these leaves that the letter has stands; in a Bundle its pointer, in the Bundle's own line."""
    letter = outcome.letter
    assert letter is not None
    leaf = next((leaf for path in paths for leaf in _leaves(letter, path)), "")
    found = letter.locate(leaf) if leaf else ()
    if found:
        return found[0]
    if outcome.bundle is None or outcome.ledger is None:
        return Location(display, line, 1, path=leaf or paths[-1])
    pointer = next((raw[0] for raw in outcome.ledger.raw if raw[3] == leaf), "")
    return Location(display, line, 1, path=sys.intern(pointer))
