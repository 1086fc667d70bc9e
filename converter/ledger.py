"""Double entry: every leaf of a message gets exactly one disposition, and the sums must balance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from operator import itemgetter
from typing import NamedTuple

from converter.issues import IssueLog, Severity, declare
from converter.letter import Letter

UNBALANCED = declare(
    "SYS001",
    "ledger-unbalanced",
    Severity.ERROR,
    "{leaves} leaves were read but {entries} have a disposition ({missing} without, {twice} with more than one)",
    why="Some piece of the message may have been lost without anybody being told.",
    help="This is a fault of the converter or of a mapping file: report it with the message type and the rule names.",
)


class Disposition(StrEnum):
    """What became of a leaf. All but `defaulted` are dispositions of source leaves."""

    MAPPED = "mapped"
    LOSSY = "mapped-lossy"
    FOLDED = "folded-to-text"
    CONSTANT = "constant-checked"
    KEPT = "kept"
    IGNORED = "ignored"
    LOST = "lost"
    DEFAULTED = "defaulted"


class Entry(NamedTuple):
    """One line of the ledger. `leaf` is a leaf id, or a JSON pointer where the source is FHIR.

    `target` is a JSON pointer into the Bundle (or a leaf id, where the target is a letter); `loss` an id of the loss
    catalogue, empty when nothing was lost. For `defaulted` the leaf is empty: nothing in the source stands behind it.
    """

    leaf: str
    disposition: Disposition
    rule: str = ""
    target: str = ""
    loss: str = ""


Raw = tuple[str, str, str, str, str]
"""An entry as generated code makes it: a plain tuple of the fields of `Entry`, in their order."""

_KEYS: type = type({}.keys())

LEAF_OF = itemgetter(0)
"""The leaf of such an entry."""


@dataclass(slots=True)
class Ledger:
    """The ledger of one message: `entries` for the source leaves, `defaulted` for what the rules had to make up.

    The hot path hands over plain tuples (`raw`); they are put into the order of the letter and get their names when
    somebody asks for `entries`.
    """

    leaves: int = 0
    raw: list[Raw] = field(default_factory=list)
    raw_defaulted: list[Raw] = field(default_factory=list)
    in_order: Callable[[Iterable[str]], list[str]] | None = field(default=None, compare=False)

    @property
    def entries(self) -> list[Entry]:
        """One entry for each source leaf, in the letter's order, whatever syntax was read."""
        self._sort()
        return [_entry(raw) for raw in self.raw]

    @property
    def defaulted(self) -> list[Entry]:
        """What stands in the target without a source."""
        return [_entry(raw) for raw in self.raw_defaulted]

    def _sort(self) -> None:
        if self.in_order is not None:
            place = {leaf: n for n, leaf in enumerate(self.in_order([raw[0] for raw in self.raw]))}
            self.raw.sort(key=lambda raw: place[raw[0]])
            self.in_order = None

    def __reduce__(self) -> tuple[object, tuple[int, list[Raw], list[Raw]]]:
        self._sort()
        return (Ledger, (self.leaves, self.raw, self.raw_defaulted))

    def totals(self) -> dict[str, int]:
        """Number of leaves by disposition; only dispositions that occur."""
        return dict(sorted(Counter(raw[1] for raw in self.raw).items()))

    def move(self, moved: Callable[[str], str]) -> None:
        """Say where the values stand now: `moved` gives the new place in the target; empty where there is none."""
        self.raw = [(leaf, kind, rule, moved(to) if to else "", loss) for leaf, kind, rule, to, loss in self.raw]
        self.raw_defaulted = [
            (x, kind, rule, moved(to) if to else "", loss) for x, kind, rule, to, loss in self.raw_defaulted
        ]

    def check(self, leaves: Collection[str], log: IssueLog) -> None:
        """Compare the entries with the leaf ids of the source; add `SYS001` if they do not balance."""
        known = {*map(LEAF_OF, self.raw)}
        single = leaves if type(leaves) is _KEYS else {*leaves}
        if not len(leaves) == len(self.raw) == len(known) == len(single) or not known.issuperset(single):
            want, got = Counter(leaves), Counter(map(LEAF_OF, self.raw))
            missing, twice = sum((want - got).values()), sum((got - want).values())
            if not missing and not twice:
                return  # an element that stands twice has two leaves of one path, and two entries
            log.add(UNBALANCED, leaves=len(leaves), entries=len(self.raw), missing=missing, twice=twice)

    def losses(self) -> dict[str, int]:
        """How often each id of the loss catalogue stands in the ledger."""
        return dict(sorted(Counter(raw[4] for raw in (*self.raw, *self.raw_defaulted) if raw[4]).items()))


def _entry(raw: Raw) -> Entry:
    leaf, disposition, rule, target, loss = raw
    return Entry(leaf, Disposition(disposition), rule, target, loss)


def leaves_of(letter: Letter) -> Collection[str]:
    """All leaf ids of a letter, those without a place in its definition included."""
    return [*letter.values, *(extra.path for extra in letter.extras)] if letter.extras else letter.values.keys()


def losses_by_leaf(forward: Ledger, back: Ledger) -> dict[str, str]:
    """The loss id that the ledgers of both ways name for a leaf of the letter.

    A leaf is the source of an entry on the way forward, the target of one on the way back, or was made on the way back
    from a value that stands in the Bundle under a loss id.
    """
    found: dict[str, str] = {}
    pointers = {e.target: e.loss for e in (*forward.entries, *forward.defaulted) if e.loss}
    for entry in (*forward.entries, *back.entries, *back.defaulted):
        loss = entry.loss or pointers.get(entry.leaf, "")
        if loss:
            found.setdefault(entry.leaf, loss)
            found.setdefault(entry.target, loss)
    return found
