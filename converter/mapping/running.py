"""What generated mapping code calls while it runs, and the context that is handed in: nothing here reads a clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from converter.directory import Directory, Organisation
from converter.issues import IssueLog, Location, Severity, declare
from converter.letter import Value
from converter.originals import Original

Raw = tuple[str, str, str, str, str]
"""A ledger entry as generated code makes it: leaf, disposition, rule, target, loss."""

UNKNOWN_ORGANISATION = declare(
    "DIR050",
    "organisation-unknown",
    Severity.ERROR,
    "the organisation table has no row for the location number of {party} on the message's date",
    why="The SOR id stays missing: the FHIR message breaks its profile and may not be deliverable.",
    help="Add the organisation to the table given with --sor, with dates that cover the message.",
    source="MedCom conversion service UC 3.1.0, S1 step 3",
)
SEVERAL_ORGANISATIONS = declare(
    "DIR051",
    "organisation-ambiguous",
    Severity.ERROR,
    "the organisation table has {rows} rows for the location number of {party} on the message's date; none is chosen",
    why="A guess could send the message to another department.",
    help="Give the rows dates (`valid_from`, `valid_to`) that do not overlap, or remove all but one.",
)
GLN_IN_PLACE = declare(
    "DIR052",
    "address-by-location-number",
    Severity.WARNING,
    "neither the organisation table nor the message has an identifier of {party}; its location number stands instead",
    why="The receiving system may expect its own kind of identifier.",
    help="Add `id` and `id_kind` of the organisation to the table given with --sor.",
)


@dataclass(slots=True)
class Context:
    """Everything impure that a conversion needs. `kept` came with a sidecar, `keeping` goes into one; `original` is the
    message that a receipt answers, `letters` how many letters that message has. `told`: narratives will be added, so
    each resource gets their place (`text`, None) where it belongs."""

    directory: Directory | None = None
    attempt: int = 1
    accept: frozenset[str] = frozenset()
    version: str | None = None
    file: str = ""
    born: str = ""
    kept: Mapping[str, Value] = field(default_factory=dict)
    sidecar: bool = False
    told: bool = False
    keeping: dict[str, Any] = field(default_factory=dict)
    log: IssueLog = field(default_factory=IssueLog)
    original: Original | None = None
    letters: int = 1

    def row(self, path: str, gln: Any, on: Any) -> Organisation | None:
        """The table's row for a location number on a date; adds an issue where there is none or more than one."""
        if self.directory is None or not gln:
            return None
        rows = self.directory.rows(str(gln), str(on or ""))
        if len(rows) == 1:
            return rows[0]
        party = path.partition(".")[0]
        if rows:
            self.log.add(
                SEVERAL_ORGANISATIONS, Location(self.file, path=path), target=path, rows=len(rows), party=party
            )
        else:
            self.log.add(UNKNOWN_ORGANISATION, Location(self.file, path=path), target=path, party=party)
        return None


class Fixed(tuple[str, str, str, str, str]):
    """An entry that was made before a message needs it; hashed by its identity, since a message has many."""

    __slots__ = ()
    __hash__ = object.__hash__


def entries(leaf: str, fate: str, rule: str, pointer: str, loss: str, *most: tuple[int, int]) -> Any:
    """The entries of a rule whose pointer has numbers in it (`{}`) that are counted when the code runs.

    For each number its least and greatest; the entry for 3 and 1 is `entries(…)[3][1]`.
    """
    if not most:
        return Fixed((leaf, fate, rule, pointer, loss))
    (least, greatest), *rest = most
    pointers = [pointer.replace("{}", str(number), 1) for number in range(least, greatest + 1)]
    return (*[None] * least, *(entries(leaf, fate, rule, place, loss, *rest) for place in pointers))


_MAX_ROWS = 128


class Rows(dict[Any, tuple[Any, ...]]):
    """What generated code needs for one item of a list, or one resource, whose place is counted when the code runs.

    The key is what was counted, under `names`. A part is the id of a leaf or the arguments of `entries`, in which
    `{name}` stands for a number. No value of a letter is among them, so they are remembered: most letters are short.
    """

    def __init__(self, names: tuple[str, ...], *parts: str | tuple[Any, ...]) -> None:
        super().__init__()
        self._names, self._parts = names, parts

    def __missing__(self, key: int | tuple[int, ...]) -> tuple[Any, ...]:
        numbers = (key,) if isinstance(key, int) else key
        counted = [(f"{{{name}}}", str(number)) for name, number in zip(self._names, numbers, strict=True)]
        if len(self) >= _MAX_ROWS:
            self.clear()
        row = self[key] = tuple([_filled(part, counted) for part in self._parts])
        return row


def _filled(part: str | tuple[Any, ...], counted: list[tuple[str, str]]) -> Any:
    if isinstance(part, tuple):
        leaf, fate, rule, pointer, loss, *most = part
        return entries(_filled(leaf, counted), fate, rule, _filled(pointer, counted), loss, *most)
    for name, number in counted:
        part = part.replace(name, number)
    return part


def origin_value(values: tuple[Any, ...]) -> str:
    """The values that make a Bundle letter-born, as one identifier; `#` and `%` in them are written as in URLs."""
    joined = "#".join(values)
    if "%" not in joined and joined.count("#") == len(values) - 1:
        return joined
    return "#".join([v.replace("%", "%25").replace("#", "%23") for v in values])


def origin_values(text: str) -> list[str]:
    """The values of `origin_value`, restored."""
    return [part.replace("%23", "#").replace("%25", "%") for part in text.split("#")]
