"""Finds the letter that holds an object, by the object's id: an index of places, without the contents.

An object is looked up when the letter that names it is converted, so memory holds one letter with its objects.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from converter.issues import IssueLog, Location, Severity, declare
from converter.joining.table import AttachmentTable
from converter.letter import Letter

ALONE = declare(
    "MAP041",
    "object-of-no-letter",
    Severity.ERROR,
    "no letter among the inputs names an object of this {type}, so it was not converted",
    why="There is no FHIR message for an object alone; its receiver could not tell what it belongs to.",
    help="Convert it together with its letter, or pass it on as it is.",
    source="MedCom conversion service UC 3.1.0, S1.A3",
)
ID_TWICE = declare(
    "MAP042",
    "object-id-twice",
    Severity.ERROR,
    "two attachments that are not the same have the object id that {leaf} names; none was taken",
    why="The wrong file could be shown with the letter.",
    help="Ask the sender which of the two files is meant; an object id is given once only.",
)
INVALID = declare(
    "MAP043",
    "attachment-invalid",
    Severity.ERROR,
    "the {type} with the object that {leaf} names breaks its format, so it was not joined",
    why="The receiver gets the message without the file.",
    help="`medcom-fhir validate` names what is wrong with it; ask the sender to send it again.",
    source="MedCom conversion service UC 3.1.0, S1.A2",
)
OTHER_PATIENT = declare(
    "MAP044",
    "attachment-of-other-patient",
    Severity.ERROR,
    "the {type} with the object that {leaf} names is about another patient than the letter, so it was not joined",
    why="A file would end in the record of the wrong person.",
    help="Compare the two letters, and ask the sender which of them is right.",
)
IMPERSONAL = declare(
    "MAP045",
    "attachment-of-no-patient",
    Severity.ERROR,
    "the {type} with the object that {leaf} names is about a system and no patient, so it was not joined",
    why="MedCom's FHIR messages have no place for data of systems.",
    help="Pass it on as it is.",
    source="MedCom's mapping of letters and CareCommunication 5.0.0, SystemInformation",
)


_KEY = secrets.token_bytes(32)


TOO_LARGE = declare(
    "MAP053",
    "attachments-too-large",
    Severity.ERROR,
    "with the {type} that holds the object of {leaf}, the attachments of this letter exceed the limit `joined`",
    why="The receiver gets the message without the file.",
    help="Raise the limit (`--limit joined=SIZE`) if there is memory for it, about three times as much.",
    source="MedCom conversion service UC 3.1.0, S1.A2",
)


@dataclass(frozen=True, slots=True)
class Held:
    """A letter with objects, where it can be read again: `fetch` gives it, and whether it has errors.

    `at` is its place; `digest` tells copies from letters that only share an id, `parties` who sent it to whom; both are
    keyed anew in every run.
    """

    type: str
    at: Location
    digest: bytes
    parties: bytes
    fetch: Callable[[], tuple[Letter, bool] | None] = field(compare=False)


class Partners:
    """The letters with objects among some inputs. `add` them all, then `find` for each letter that names objects."""

    def __init__(self, table: AttachmentTable, limit: int) -> None:
        self.table, self._limit = table, limit
        self._held: dict[str, list[Held]] = {}
        self._all: list[Held] = []
        self._named: set[bytes] = set()
        self._joined: set[bytes] = set()

    def add(self, letter: Letter, file: str, fetch: Callable[[], tuple[Letter, bool] | None]) -> None:
        """Take a letter of a file that holds objects; `fetch` gives it again, and whether it has errors."""
        at = next(iter(letter.locate(f"{self.table.object}[1].{self.table.key}")), Location(file, 1, 1))
        held = Held(letter.type, at, self._digest(letter), self._parties(letter), fetch)
        self._all.append(held)
        for identifier in {*self.table.held(letter).values()} - {""}:
            self._held.setdefault(identifier, []).append(held)

    def _digest(self, letter: Letter) -> bytes:
        """The same for copies of a letter: all that it says, but for the envelope that it was sent in."""
        leaves = (leaf for leaf in sorted(letter.values) if not leaf.startswith("Envelope."))
        return self._keyed(letter, leaves)

    def _parties(self, letter: Letter) -> bytes:
        return self._keyed(letter, self.table.parties)

    def _keyed(self, letter: Letter, leaves: Iterable[str]) -> bytes:
        digest = hashlib.blake2b(key=_KEY, digest_size=16)
        for leaf in leaves:
            digest.update(leaf.encode() + b"\0")
            digest.update((letter.text(leaf) or "").encode(errors="surrogatepass"))
            digest.update(b"\0")
        return digest.digest()

    def find(self, letter: Letter, log: IssueLog) -> dict[int, tuple[int, Letter]]:
        """For each reference of a letter the number of its object in the letter that holds it, and that letter.

        References without one are left out; whatever speaks against one is added to `log`.
        """
        fetched: dict[bytes, Letter | None] = {}
        size = 0
        found: dict[int, tuple[int, Letter]] = {}
        for reference, identifier in self.table.named(letter).items():
            leaf = self.table.at(reference, self.table.key)
            held = self._only(identifier, letter, leaf, log)
            if held is None:
                continue
            if held.digest not in fetched:
                fetched[held.digest] = partner = self._checked(held, letter, leaf, log)
                size += (own := self._size(partner))
                if partner is not None and size > self._limit:
                    size -= own
                    log.add(TOO_LARGE, *letter.locate(leaf)[:1], target=leaf, leaf=leaf, type=held.type)
                    fetched[held.digest] = None
            partner = fetched[held.digest]
            numbers = [n for n, one in self.table.held(partner).items() if one == identifier] if partner else []
            if partner is None:
                continue
            if len(numbers) > 1:
                log.add(ID_TWICE, *letter.locate(leaf)[:1], target=leaf, leaf=leaf)
            elif not partner.values.get(f"{self.table.object}[{numbers[0]}].{self.table.content}"):
                log.add(INVALID, *letter.locate(leaf)[:1], target=leaf, leaf=leaf, type=held.type)
            else:
                found[reference] = (numbers[0], partner)
                self._joined.add(held.digest)
        return found

    def _size(self, partner: Letter | None) -> int:
        """How many characters the contents have that a letter holds."""
        values = partner.values.items() if partner is not None else ()
        return sum(len(value) for leaf, value in values if leaf.endswith(f".{self.table.content}"))

    def _only(self, identifier: str, letter: Letter, leaf: str, log: IssueLog) -> Held | None:
        """The one letter that holds an object, copies aside; of several the one between the same parties."""
        several = {held.digest: held for held in self._held.get(identifier, ())}
        if len(several) > 1:
            parties = self._parties(letter)
            several = {d: held for d, held in several.items() if held.parties == parties} or several
        self._named.update(several)
        if len(several) > 1:
            log.add(ID_TWICE, *letter.locate(leaf)[:1], target=leaf, leaf=leaf)
        return next(iter(several.values())) if len(several) == 1 else None

    def _checked(self, held: Held, letter: Letter, leaf: str, log: IssueLog) -> Letter | None:
        """The letter that holds an object, if it can be joined."""
        got = held.fetch()
        place = letter.locate(leaf)[:1]
        if got is None or got[1] or got[0].refused:
            log.add(INVALID, *place, target=leaf, leaf=leaf, type=held.type)
            return None
        partner = got[0]
        if any(partner.values.get(path) for path in self.table.impersonal):
            log.add(IMPERSONAL, *place, target=leaf, leaf=leaf, type=held.type)
            return None
        if _patient(partner, self.table) != _patient(letter, self.table):
            log.add(OTHER_PATIENT, *place, target=leaf, leaf=leaf, type=held.type)
            return None
        return partner

    def verdict(self, number: int, log: IssueLog) -> bool:
        """Whether a letter with objects, by its number, was joined to another; reported if none named it."""
        held = self._all[number]
        if held.digest not in self._named:
            log.add(ALONE, held.at, type=held.type)
        return held.digest in self._joined

    def __len__(self) -> int:
        return len(self._all)


def _patient(letter: Letter, table: AttachmentTable) -> list[str]:
    return [letter.text(path) or "" for path in table.patient]
