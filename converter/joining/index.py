"""Finds the letter that holds an object, by the object's id: an index of places, without the contents.

An object is looked up when the letter that names it is converted, so memory holds one letter with its objects.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from converter.issues import IssueKind, IssueLog, Location, Severity, declare
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


TOO_LARGE = declare(
    "MAP053",
    "attachments-too-large",
    Severity.ERROR,
    "with the {type} that holds the object of {leaf}, the attachments of this letter exceed the limit `joined`",
    why="The receiver gets the message without the file.",
    help="Raise the limit (`--limit joined=SIZE`) if there is memory for it, about three times as much.",
    source="MedCom conversion service UC 3.1.0, S1.A2",
)


NOT_JOINED = declare(
    "MAP055",
    "attachment-not-joined",
    Severity.ERROR,
    "a letter names an object of this {type}, and it was not joined, so it was not converted",
    why="The message of that letter has no file, and nothing else carries it.",
    help="What speaks against it is told at the letter that names it.",
    source="MedCom conversion service UC 3.1.0, S1.A2",
)

Found = tuple[Letter, bool] | None
"""A letter that was read again, and whether it has errors; None where it is not there any more."""


class Facts(NamedTuple):
    """What decides whether a letter with objects is joined.

    `parties` tells who sent it to whom and `patient` about whom, both keyed. `broken`: it must not be joined,
    `impersonal`: it is about no patient. `objects` are the ids of its objects in their order, and whether each has
    content; `size` counts the characters of all.
    """

    parties: bytes
    patient: bytes
    broken: bool
    impersonal: bool
    objects: tuple[tuple[str, bool], ...]
    size: int


@dataclass(frozen=True, slots=True)
class Held:
    """A letter with objects, where it can be read again (`fetch`). `digest` tells copies from letters that share an id;
    it is keyed.
    """

    type: str
    at: Location
    digest: bytes
    facts: Facts
    fetch: Callable[[], Found] = field(compare=False)


class Naming(NamedTuple):
    """A letter that names objects: the ids by the number of the reference, who sent it to whom, about whom."""

    references: Mapping[int, str]
    parties: bytes
    patient: bytes


class Decision(NamedTuple):
    """What becomes of a reference: the object's number in the letter that holds it, or what speaks against it."""

    reference: int
    held: Held | None
    number: int = 0
    fault: IssueKind | None = None


class Shelf(Protocol):
    """Where the letters with objects are found by the ids of their objects."""

    def put(self, held: Held) -> None:
        """Take a letter."""
        ...

    def holding(self, identifier: str) -> Iterable[Held]:
        """The letters that hold an object of this id, as they were put."""
        ...


class Memory:
    """A shelf in memory."""

    def __init__(self) -> None:
        self._held: dict[str, list[Held]] = {}

    def put(self, held: Held) -> None:
        """Take a letter."""
        for identifier in {identifier for identifier, _ in held.facts.objects} - {""}:
            self._held.setdefault(identifier, []).append(held)

    def holding(self, identifier: str) -> Iterable[Held]:
        """The letters that hold an object of this id, as they were put."""
        return self._held.get(identifier, ())

    def __len__(self) -> int:
        return len(self._held)


class Partners:
    """The letters with objects among some inputs. `add` them all, then `find` for each letter that names objects.

    What decides is known without the objects, so they are read only where they are joined. `key` keys the digests.
    `named` and `joined` are the digests of letters with objects that were asked for, and taken, since `forget`.
    """

    def __init__(
        self, table: AttachmentTable, limit: int, shelf: Shelf | None = None, key: bytes | None = None
    ) -> None:
        self.table, self._limit = table, limit
        self._shelf = Memory() if shelf is None else shelf
        self._key = key or secrets.token_bytes(32)
        self._all: list[Held] = []
        self.named: set[bytes] = set()
        self.joined: set[bytes] = set()

    def add(self, letter: Letter, broken: bool, file: str, fetch: Callable[[], Found]) -> None:
        """Take a letter of a file that holds objects, and whether it has errors; `fetch` gives both again."""
        held = self.held(letter, broken, file, fetch)
        self._all.append(held)
        self._shelf.put(held)

    def held(self, letter: Letter, broken: bool, file: str, fetch: Callable[[], Found]) -> Held:
        """What `add` takes of a letter."""
        return Held(letter.type, self.place(letter, file), self.digest(letter), self._facts(letter, broken), fetch)

    def place(self, letter: Letter, file: str) -> Location:
        """Where the first object of a letter stands."""
        return next(iter(letter.locate(f"{self.table.object}[1].{self.table.key}")), Location(file, 1, 1))

    def forget(self) -> None:
        """Forget what was asked for."""
        self.named.clear()
        self.joined.clear()

    def _facts(self, letter: Letter, broken: bool) -> Facts:
        table, objects = self.table, self.table.held(letter)
        sizes = {n: len(letter.text(f"{table.object}[{n}].{table.content}") or "") for n in objects}
        return Facts(
            self._keyed(letter, table.parties),
            self._keyed(letter, table.patient),
            broken or letter.refused,
            any(letter.values.get(path) for path in table.impersonal),
            tuple((identifier, sizes[n] > 0) for n, identifier in objects.items()),
            sum(sizes.values()),
        )

    def naming(self, letter: Letter) -> Naming:
        """What decides which objects are joined to a letter."""
        table = self.table
        return Naming(table.named(letter), self._keyed(letter, table.parties), self._keyed(letter, table.patient))

    def digest(self, letter: Letter) -> bytes:
        """The same for copies of a letter: all that it says, but for the envelope that it was sent in."""
        leaves = (leaf for leaf in sorted(letter.values) if not leaf.startswith("Envelope."))
        return self._keyed(letter, leaves)

    def _keyed(self, letter: Letter, leaves: Iterable[str]) -> bytes:
        digest = hashlib.blake2b(key=self._key, digest_size=16)
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
        found: dict[int, tuple[int, Letter]] = {}
        if not self._shelf:  # an empty memory: what tells who is meant need not be computed
            return found
        for reference, held, number, fault in self.decide(self.naming(letter)):
            if fault is None and held is not None:
                if held.digest not in fetched:
                    fetched[held.digest] = self._again(held)
                    fault = INVALID if fetched[held.digest] is None else None
                if (partner := fetched[held.digest]) is not None:
                    found[reference] = (number, partner)
                    self.joined.add(held.digest)
            if fault is not None:
                leaf, kind = self.table.at(reference, self.table.key), held.type if held is not None else ""
                log.add(fault, *letter.locate(leaf)[:1], target=leaf, leaf=leaf, type=kind)
        return found

    def _again(self, held: Held) -> Letter | None:
        """A letter with objects, read again; None where it is not what it was: it may be about somebody else now."""
        found = held.fetch()
        return found[0] if found is not None and self._facts(*found) == held.facts else None

    def decide(self, naming: Naming) -> Iterator[Decision]:
        """What becomes of the references of a letter; those that no letter here holds are left out.

        What speaks against a letter with objects is told once, at the first reference to it.
        """
        known: dict[bytes, IssueKind | None] = {}
        size = 0
        for reference, identifier in naming.references.items():
            several = self._several(identifier, naming.parties)
            self.named.update(several)
            if len(several) > 1:
                yield Decision(reference, None, fault=ID_TWICE)
            for held in several.values() if len(several) == 1 else ():
                if held.digest not in known:
                    fault = known[held.digest] = self._fault(held, naming, size)
                    size += held.facts.size if fault is None else 0
                    if fault is not None:
                        yield Decision(reference, held, fault=fault)
                if known[held.digest] is None:
                    yield _object(reference, held, identifier)

    def _several(self, identifier: str, parties: bytes) -> dict[bytes, Held]:
        """The letters that hold an object, copies aside; those between the same parties, if there are any."""
        several = {held.digest: held for held in self._shelf.holding(identifier)}
        if len(several) > 1:
            several = {d: held for d, held in several.items() if held.facts.parties == parties} or several
        return several

    def _fault(self, held: Held, naming: Naming, size: int) -> IssueKind | None:
        """Why a letter with objects is not joined, when so many characters of objects are already."""
        facts = held.facts
        if facts.broken:
            return INVALID
        if facts.impersonal:
            return IMPERSONAL
        if facts.patient != naming.patient:
            return OTHER_PATIENT
        return TOO_LARGE if size + facts.size > self._limit else None

    def verdict(self, number: int, log: IssueLog) -> bool:
        """Whether a letter with objects, by its number, was joined to another; reported if none named it."""
        held = self._all[number]
        joined = held.digest in self.joined
        if not joined:
            log.add(NOT_JOINED if held.digest in self.named else ALONE, held.at, type=held.type)
        return joined

    def __len__(self) -> int:
        return len(self._all)


def _object(reference: int, held: Held, identifier: str) -> Decision:
    """The object of an id in the letter that holds it."""
    objects = held.facts.objects
    numbers = [n for n, (one, _) in enumerate(objects, 1) if one == identifier]
    if len(numbers) > 1:
        return Decision(reference, None, fault=ID_TWICE)
    return Decision(reference, held, numbers[0], None if objects[numbers[0] - 1][1] else INVALID)
