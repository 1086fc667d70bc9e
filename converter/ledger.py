"""Double entry: every leaf of a message gets exactly one disposition, and the sums must balance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from converter.issues import Issue, IssueLog, Severity, declare
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


@dataclass(slots=True)
class Ledger:
    """The ledger of one message: `entries` for the source leaves, `defaulted` for what the rules had to make up."""

    leaves: int = 0
    entries: list[Entry] = field(default_factory=list)
    defaulted: list[Entry] = field(default_factory=list)
    target_leaves: int = 0

    def totals(self) -> dict[str, int]:
        """Number of leaves by disposition; only dispositions that occur."""
        return dict(sorted(Counter(str(e.disposition) for e in self.entries).items()))

    def check(self, leaves: Iterable[str], log: IssueLog) -> None:
        """Compare the entries with the leaf ids of the source; add `SYS001` if they do not balance."""
        wanted = Counter(leaves)
        have = Counter(e.leaf for e in self.entries)
        if wanted != have:
            missing, twice = sum((wanted - have).values()), sum((have - wanted).values())
            log.add(UNBALANCED, leaves=sum(wanted.values()), entries=len(self.entries), missing=missing, twice=twice)

    def losses(self) -> dict[str, int]:
        """How often each id of the loss catalogue stands in the ledger."""
        return dict(sorted(Counter(e.loss for e in (*self.entries, *self.defaulted) if e.loss).items()))


def leaves_of(letter: Letter) -> list[str]:
    """All leaf ids of a letter, those without a place in its definition included."""
    return [*letter.values, *(e.path for e in letter.extras)]


__all__ = ["Disposition", "Entry", "Issue", "Ledger", "leaves_of"]
