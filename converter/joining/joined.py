"""One letter with the contents of its objects, and the account of what the objects' letters say besides."""

from __future__ import annotations

import base64
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from converter.definitions import Definitions
from converter.issues import NOWHERE, Issue, IssueLog, Location, Severity, declare
from converter.joining.index import Partners
from converter.joining.table import AttachmentTable, Tolerance, spelled
from converter.ledger import Ledger, Raw, leaves_of
from converter.letter import Letter, Value

MISSING = declare(
    "MAP040",
    "attachment-missing",
    Severity.WARNING,
    "no attachment among the inputs holds the object that {leaf} names; the message is knowingly incomplete",
    why="The receiver is told that there is a file, and does not get it.",
    help="Convert the letter together with the letter that holds its objects.",
    source="MedCom conversion service UC 3.1.0, S1.A2",
)
UNNAMED = declare(
    "MAP046",
    "object-not-named",
    Severity.ERROR,
    "the {type} of this letter holds an object that the letter does not name; the object was left out",
    why="Without a reference it has no title and nobody knows what it is.",
    help="Ask the sender to name all objects in the letter.",
)
NAMED_TWICE = declare(
    "MAP047",
    "object-named-twice",
    Severity.ERROR,
    "{leaf} names an object that another reference of the letter names already; its file is there once",
    why="One of the two descriptions belongs to another file.",
    help="Ask the sender for the file that is missing.",
)
DIFFERS = declare(
    "MAP048",
    "reference-contradicts-object",
    Severity.WARNING,
    "{leaf} says something else of the object than the {type} that holds it; what the letter says was carried",
    why="The file may be shown as something that it is not.",
    help="Ask the sender which of the two is right.",
)
OTHER_SIZE = declare(
    "MAP049",
    "object-of-other-size",
    Severity.WARNING,
    "the object has another number of bytes than its {leaf} says",
    why="The file may have been cut, or the size was counted otherwise.",
    help="Open the file and look at its end; ask the sender to send it again.",
    source="MedCom conversion service, rule AT-4: the size is the number of bytes",
)
OTHER_KIND = declare(
    "MAP050",
    "content-contradicts-type",
    Severity.WARNING,
    "the first bytes of the object are not those of a file of the kind that {leaf} names",
    why="A program that trusts the name cannot show the file. The declared kind was carried.",
    help="Ask the sender for the right kind.",
    source="MedCom conversion service, rule 7.1: the declared type counts",
)
MANY = declare(
    "MAP051",
    "more-than-ten-attachments",
    Severity.INFO,
    "the message has {number} attachments; more than {most} are sent only if the parties have agreed on it",
    why="A receiver may refuse the message.",
    help="Nothing is left out. Agree with the receiver, or send several letters.",
    source="MedCom conversion service UC 3.1.0, precondition 5",
)

FOREIGN = declare(
    "MAP054",
    "file-of-foreign-kind",
    Severity.INFO,
    "{leaf} names a kind of file that MedCom does not permit in the FHIR message; the file was carried as it is",
    why="Its receiver may refuse the message; what it then answers gets MedCom's sentence that conversion has failed.",
    help="Ask the sender for one of the kinds that are permitted (`permitted` in mappings/attachments.yaml).",
    source="MedCom conversion service UC 3.1.0, precondition 6, S1.A4 and table 5",
)

PREFIX = "Attachment"


def _at(letter: Letter, leaf: str) -> Location:
    """The first place of a leaf; looked for when somebody asks, since most letters name objects that came before."""
    return next(iter(letter.locate(leaf)), NOWHERE)


class Joined:
    """A letter with its partners. `letter` is what a mapping sees, `own` the letter alone, which can locate all leaves.
    `leaves` are those of all letters together."""

    # Of a letter that names no objects nothing else is asked.
    _named: Sequence[int] = ()
    _incomplete: Sequence[int] = ()
    _foreign: Sequence[int] = ()

    def __init__(self, letter: Letter, table: AttachmentTable) -> None:
        """A letter alone; `find` its partners if it names objects."""
        self.letter = self.own = letter
        self.table = table
        self.partners: list[Letter] = []

    def find(
        self, partners: Callable[[], Partners], definitions: Definitions, log: IssueLog, carried: Iterable[str]
    ) -> None:
        """Find the partners of a letter. `carried`: the leaves that the mapping can bring back from FHIR."""
        letter, named = self.own, self.table.named(self.own)
        if not named:
            return  # nothing to be joined
        self.definitions, self.carried = definitions, carried
        self._references: dict[tuple[int, int], int] = {}
        found = partners().find(letter, log)
        self._named, seen = [*named], set[str]()
        for reference, identifier in named.items():
            leaf = self.table.at(reference, self.table.key)
            if identifier in seen:
                log.add(NAMED_TWICE, partial(_at, letter, leaf), target=leaf, leaf=leaf)
                found.pop(reference, None)
            elif reference not in found:
                log.add(MISSING, partial(_at, letter, leaf), target=leaf, leaf=leaf)
            seen.add(identifier)
        self._incomplete = [reference for reference in named if reference not in found]
        self._foreign = list(self._not_permitted(log))
        for reference, (number, partner) in found.items():
            self._references[self._place(partner), number] = reference
        if len(named) > self.table.most:
            log.add(
                MANY,
                partial(_at, letter, self.table.at(max(named), self.table.key)),
                number=len(named),
                most=self.table.most,
            )
        if self.partners:
            self.letter = self._grafted()
            self.own = replace(letter, places=self.letter.places, source=self.letter.source)
        for k, n, wanted in self._objects():
            self._compare(k, n, wanted, log)

    def _not_permitted(self, log: IssueLog) -> Iterator[int]:
        """The references to files of kinds that MedCom does not permit for this type of letter."""
        permitted = self.table.permitted.get(self.own.type)
        if permitted is None:
            return
        for reference in self._named:
            leaf = self.table.at(reference, self.table.extension)
            kind = self.own.text(leaf)
            if kind and kind not in permitted:
                log.add(FOREIGN, partial(_at, self.own, leaf), target=leaf, leaf=leaf)
                yield reference

    def _place(self, partner: Letter) -> int:
        """The number of a partner, counted from 1 in the order in which the letter names their objects."""
        for k, one in enumerate(self.partners, 1):
            if one is partner:
                return k
        self.partners.append(partner)
        return len(self.partners)

    def _objects(self) -> Iterator[tuple[int, int, int | None]]:
        """Every object of the partners: number of the partner, of the object, and of the reference to it."""
        for k, partner in enumerate(self.partners, 1):
            for n in range(1, partner.counts.get(self.table.object, 0) + 1):
                yield k, n, self._references.get((k, n))

    def _grafted(self) -> Letter:
        own, values = self.own, dict(self.own.values)
        places: dict[str, object] = dict(own.places)
        for k, n, reference in self._objects():
            leaf = f"{self.table.object}[{n}].{self.table.content}"
            if reference is not None:
                values[self.table.at(reference, self.table.content)] = self.partners[k - 1].values.get(leaf, "")
                places[self.table.at(reference, self.table.content)] = (self.partners[k - 1], leaf)
        for k, partner in enumerate(self.partners, 1):
            places.update({f"{PREFIX}[{k}].{leaf}": (partner, leaf) for leaf in leaves_of(partner)})
        return replace(own, values=values, places=places, source=_Sources(own))

    def leaves(self) -> Collection[str]:
        """The leaf ids of the letter, and those of its partners behind `Attachment[n]`."""
        if not self.partners:
            return leaves_of(self.own)
        found = [*leaves_of(self.own)]
        for k, partner in enumerate(self.partners, 1):
            found += [f"{PREFIX}[{k}].{leaf}" for leaf in leaves_of(partner)]
        return found

    # -- what speaks against it ----------------------------------------------------------------------------------------

    def _compare(self, k: int, n: int, reference: int | None, log: IssueLog) -> None:
        partner, stem = self.partners[k - 1], f"{self.table.object}[{n}]"
        check_object(partner, n, self.table, log)
        if reference is None:
            log.add(UNNAMED, *partner.locate(f"{stem}.{self.table.key}")[:1], type=partner.type)
            return
        for leaf in self.table.alike:
            here = self.table.at(reference, leaf)
            if self.own.text(here) != partner.text(f"{stem}.{leaf}"):
                log.add(DIFFERS, *self.own.locate(here)[:1], target=here, leaf=here, type=partner.type)

    @property
    def fault(self) -> str:
        """Why the message is knowingly one that its receiver will refuse; empty where nothing is known against it.

        The loss, where a file is missing; the code of the finding, where one is of a kind that is not permitted.
        """
        if self._incomplete:
            return self.table.losses["missing"]
        return FOREIGN.code if self._foreign else ""

    def tolerated(self, issues: Sequence[Issue], ledger: Ledger) -> Sequence[Issue]:
        """Findings about the message; those that follow from what MedCom orders for it are only information."""
        asked: list[tuple[Tolerance, str]] = []
        for name, references in (("missing", self._incomplete), ("foreign", self._foreign)):
            if references and (rule := self.table.tolerated.get(name)) is not None:
                asked += [(rule, self.table.at(n, rule.leaf)) for n in references]
        if not asked:
            return issues
        leaves = {leaf for _, leaf in asked}
        targets = {raw[0]: raw[3] for raw in ledger.raw if raw[0] in leaves and raw[3]}
        known = {(rule.finding, rule.pointer(targets[leaf])) for rule, leaf in asked if leaf in targets}
        return [
            issue.changed(severity=Severity.INFO) if (issue.code, issue.target or issue.at.path) in known else issue
            for issue in issues
        ]

    # -- the account ---------------------------------------------------------------------------------------------------

    def account(self, ledger: Ledger, bundle: dict[str, Any] | None, kept: dict[str, Value]) -> list[Raw]:
        """Enter the partners' leaves into the ledger of the letter, and their ids into the Bundle; the new entries.

        A leaf that repeats the letter's shares its fate; the values of those that are kept go to `kept`.
        """
        if not self.partners:
            return []
        entries = {raw[0]: raw for raw in ledger.raw}
        contents = {}
        new: list[Raw] = []
        for k, n, reference in self._objects():
            if reference is not None:
                contents[self.table.at(reference, self.table.content)] = (
                    f"{PREFIX}[{k}].{self.table.object}[{n}].{self.table.content}"
                )
        ledger.raw = [(contents.get(raw[0], raw[0]), *raw[1:]) for raw in ledger.raw]
        for k, partner in enumerate(self.partners, 1):
            for leaf in partner.values:
                name = f"{PREFIX}[{k}].{leaf}"
                if name in contents.values():
                    continue
                raw = self._entry(k, partner, leaf, entries)
                if raw[1] == "kept":
                    kept[name] = partner.values[leaf]
                new.append((name, raw[1], "attachments", raw[3], raw[4]))
            new += [
                (f"{PREFIX}[{k}].{extra.path}", "lost", "", "", self.table.losses["extra"]) for extra in partner.extras
            ]
        ledger.raw += new
        ledger.leaves = len(ledger.raw)
        if bundle is not None:
            self._mark(bundle, entries)
        return new

    def _entry(self, k: int, partner: Letter, leaf: str, entries: Mapping[str, Raw]) -> Raw:
        """What becomes of a partner's leaf; the rule of the entry is left empty."""
        table, value = self.table, partner.values[leaf]
        if not value:
            return (leaf, "ignored", "", "", table.losses["empty"])
        if leaf in table.ids:
            return (leaf, "mapped", "", "/identifier/value", "")
        if leaf.startswith(f"{table.object}["):
            return self._object_entry(k, partner, leaf, entries)
        own = entries.get(leaf)
        if own is not None and own[1] != "mapped" and own[4] and leaf in (*table.shared, *table.fixed) and own[2] == "":
            # The letter's own is kept, ignored or lost as declared, whatever it says; so is this one.
            return (leaf, own[1], "", "", own[4])
        if leaf in table.fixed and value == table.fixed[leaf].format(type=partner.type):
            return (leaf, "constant-checked", "", "", "")
        if own is not None and self.own.values.get(leaf) == value:
            return (leaf, own[1], "", own[3], own[4])
        return (leaf, "ignored", "", "", table.losses["differs"])

    def _object_entry(self, k: int, partner: Letter, leaf: str, entries: Mapping[str, Raw]) -> Raw:
        stem, _, last = leaf.partition("].")
        reference = self._references.get((k, int(stem.partition("[")[2])))
        if reference is None:
            return (leaf, "lost", "", "", self.table.losses["unnamed"])
        own = entries.get(self.table.at(reference, last))
        if own is None:
            return (leaf, "ignored", "", "", self.table.losses["differs"])
        if last == self.table.key:
            again = written_id(self.table, self.definitions, partner, spelled(partner.text(leaf) or ""))
            same = again == partner.text(leaf)
            return (
                leaf,
                "mapped" if same else "mapped-lossy",
                "",
                own[3],
                "" if same else self.table.losses["spelling"],
            )
        if self.own.text(own[0]) != partner.text(leaf):
            return (leaf, "ignored", "", "", self.table.losses["differs"])
        return (leaf, own[1], "", own[3], own[4])

    def _mark(self, bundle: dict[str, Any], entries: Mapping[str, Raw]) -> None:
        """Write the partners' ids into `Bundle.identifier`, after the values of the letter."""
        identifier = bundle.get("identifier")
        if isinstance(identifier, dict):
            whole = {leaf for leaf in self.carried if leaf in entries and entries[leaf][1] == "mapped"}
            marks = [self._marks(k, partner, whole) for k, partner in enumerate(self.partners, 1)]
            identifier["value"] = "#".join([identifier["value"], *(_escaped(part) for mark in marks for part in mark)])

    def _marks(self, k: int, partner: Letter, whole: Container[str]) -> list[str]:
        """A partner's ids, the shared leaves that only the letter has (bits, in hexadecimal), and its contents.

        Of what does not come back to the letter itself as it was nothing is said: the letters that come back give the
        same Bundle again.
        """
        lacking = [leaf in whole and leaf not in partner.values for leaf in self.table.shared]
        bits = sum(1 << n for n, lacks in enumerate(lacking) if lacks)
        order = sorted(self._references.values())
        mine = [order.index(r) + 1 for (one, _), r in sorted(self._references.items()) if one == k]
        ids = [partner.text(leaf) or "" for leaf in self.table.ids]
        return [*ids, f"{bits:x}", ".".join(map(str, mine))]


def in_order(definitions: Definitions, letters: Sequence[Letter], leaves: Iterable[str]) -> list[str]:
    """Leaf ids of a letter and of its partners, each letter's as they stand in OIOXML."""
    found: dict[int, list[str]] = {}
    for leaf in leaves:
        start, dot, rest = leaf.partition("].")
        mark, bracket, number = start.partition("[")
        k = int(number) if dot and mark == PREFIX and bracket else 0
        found.setdefault(k, []).append(rest if k else leaf)
    ordered = []
    for k, own in sorted(found.items()):
        definition = definitions.get(letters[k].type, letters[k].version)
        own = definition.in_order(own) if definition is not None else own
        ordered += [f"{PREFIX}[{k}].{leaf}" if k else leaf for leaf in own]
    return ordered


class _Sources:
    """Where the leaves of a letter and of its partners stand."""

    def __init__(self, own: Letter) -> None:
        self._own = own

    def locate(self, place: object) -> tuple[Location, ...]:
        """The places of a leaf in the file that it came from."""
        if isinstance(place, tuple) and len(place) == 2 and isinstance(place[0], Letter):
            return place[0].locate(place[1])
        return self._own.source.locate(place) if self._own.source is not None else ()


def _escaped(part: str) -> str:
    """A value as it stands between the hash signs of an identifier."""
    return part.replace("%", "%25").replace("#", "%23")


def written_id(table: AttachmentTable, definitions: Definitions, partner: Letter, bare: str) -> str:
    """An object's id as its letter writes it: with hyphens where its definition says so."""
    definition = definitions.get(partner.type, partner.version)
    element = definition.leaves.get(f"{table.object}.{table.key}") if definition else None
    if element is None or element.length[0] < 36 or len(bare) != 32:
        return bare
    return f"{bare[:8]}-{bare[8:12]}-{bare[12:16]}-{bare[16:20]}-{bare[20:]}"


def check_object(letter: Letter, n: int, table: AttachmentTable, log: IssueLog) -> None:
    """Compare an object's size and kind with its bytes."""
    stem = f"{table.object}[{n}]"
    content = letter.text(f"{stem}.{table.content}") or ""
    size = len(content) // 4 * 3 - content[-2:].count("=")
    declared = letter.text(f"{stem}.{table.size}") or ""
    if declared.isdecimal() and int(declared) != size:
        log.add(OTHER_SIZE, *letter.locate(f"{stem}.{table.size}")[:1], leaf=table.size)
    known = table.signatures.get(letter.text(f"{stem}.{table.extension}") or "")
    if known and content and not _start(content).startswith(known):
        log.add(OTHER_KIND, *letter.locate(f"{stem}.{table.extension}")[:1], leaf=table.extension)


def _start(content: str) -> bytes:
    """The first bytes behind base64 text."""
    try:
        return base64.b64decode(content[:64], validate=True)
    except ValueError:
        return b""
