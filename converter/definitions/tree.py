"""The element tree of a letter: names, order, cardinality, types and code lists, as OIOXML has them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from converter.issues import Location

GROUP = ""
"""`Element.type` of an element that has children and no value of its own."""


class _Prefixes(dict[str, str]):
    """What the longest key that a value begins with stands for."""

    def get(self, key: str, default: Any = None) -> Any:
        """The value of the longest key that `key` begins with."""
        for end in range(len(key), 0, -1):
            if key[:end] in self:
                return self[key[:end]]
        return default


@dataclass(frozen=True, slots=True)
class CodeList:
    """A code list: OIOXML values on one side, EDIFACT components ("columns") on the other.

    `rows` maps an OIOXML value to its columns; a value without columns is valid in OIOXML and has no place on the wire.
    `read` maps the *first* column to the value, read-only spellings included; the other columns are then compared.
    `absent` holds the columns that are written when the element is absent, `other` those of a value without a row;
    `empty` is the value that an empty component stands for. `prefix`: a row is for all values that begin with its own;
    such a list is never read.
    """

    name: str
    rows: Mapping[str, tuple[str, ...]]
    read: Mapping[str, str]
    absent: tuple[str, ...] | None = None
    other: tuple[str, ...] | None = None
    empty: str | None = None
    columns: int = 1
    prefix: bool = False

    def column(self, number: int) -> Mapping[str, str]:
        """That column, from 1, of every value that has one."""
        found = {value: row[number - 1] for value, row in self.rows.items() if row}
        return _Prefixes(found) if self.prefix else found

    @property
    def values(self) -> tuple[str, ...]:
        """The OIOXML values, in their order."""
        return tuple(self.rows)


@dataclass(frozen=True, slots=True)
class Choice:
    """Siblings of which exactly one stands (at most one, if not `required`)."""

    label: str
    names: tuple[str, ...]
    required: bool


@dataclass(frozen=True, slots=True)
class Element:
    """An element of the tree. `path` is its pattern path below the root (`ClinicalInformation.Text01`).

    `max` is None for unbounded. `type` is empty for a group, else one of `an` (text of `length` characters), `code`
    (a value of `codes`), `text` (formatted text), `date` (`2023-11-20`), `time` (`17:45`), `seconds` (`17:45:00`),
    `size` (positive integer), `flag` (`true`), `const` (the value `const`), or `base64`.
    A member of a choice has the choice's label in `choice` and min 0; `choices` of its parent says what must stand.
    `const` on another type than `const` is the usual value: another one is reported, and is no breach of the schema.
    `pattern` is a regular expression that a whole value must match; `check` the name of a further check (`gln`).
    """

    name: str
    path: str
    min: int
    max: int | None
    type: str = GROUP
    children: tuple[Element, ...] = ()
    choice: str = ""
    choices: tuple[Choice, ...] = ()
    length: tuple[int, int] = (0, 0)
    codes: CodeList | None = None
    const: str | None = None
    pattern: str = ""
    check: str = ""
    at: Location = field(default=Location(), compare=False, repr=False)

    @property
    def repeats(self) -> bool:
        """Whether it may occur more than once, so that its leaf ids carry an index."""
        return self.max is None or self.max > 1

    @property
    def is_leaf(self) -> bool:
        """Whether it holds a value."""
        return self.type != GROUP

    def child(self, name: str) -> Element | None:
        """The child with that name."""
        return next((c for c in self.children if c.name == name), None)

    def find(self, path: str) -> Element | None:
        """The descendant with that path relative to this element (`Authorisation.Date`); itself for an empty path."""
        found: Element | None = self
        for name in path.split(".") if path else ():
            found = found.child(name) if found else None
        return found

    def walk(self) -> Iterator[Element]:
        """It and all its descendants, in document order."""
        yield self
        for child in self.children:
            yield from child.walk()

    @property
    def cardinality(self) -> str:
        """`1..1`, `0..10`, `0..*`."""
        return f"{self.min}..{'*' if self.max is None else self.max}"

    @property
    def facets(self) -> str:
        """Its type as one word or two, for tables: `an..35`, `code STAT`, `const XD9134L`."""
        if self.type == "code" and self.codes:
            return f"code {self.codes.name}"
        if self.type == "const":
            return f"const {self.const}"
        if self.type != "an":
            return self.type
        low, high = self.length
        size = f"an{low}" if low == high else f"an..{high}" if low == 1 else f"an{low}..{high}"
        return size + (f" const {self.const}" if self.const is not None else "")


_KEY = re.compile(r"([A-Z]\w*)(?:([~*+])(\d*))?\Z")
_TYPE = re.compile(r"(?:(an)(\d*)(\.\.)?(\d*)|(text|date|time|seconds|size|flag|base64))\Z")


def split_key(key: str) -> tuple[str, int, int | None] | None:
    """An element key as name, min and max: `Priority~` 0..1, `Reference*10` 0..10, `X+` 1..n; None if malformed."""
    match = _KEY.match(key)
    if match is None or (match[2] == "~" and match[3]):
        return None
    if match[2] is None:
        return match[1], 1, 1
    if match[2] == "~":
        return match[1], 0, 1
    return match[1], int(match[2] == "+"), int(match[3]) if match[3] else None


def plain_type(text: str) -> tuple[str, tuple[int, int]] | None:
    """A built-in type as (type, length): `an..35`, `an10`, `an0..9`, `date` …; None if it is none."""
    match = _TYPE.match(text)
    if match is None:
        return None
    if match[5]:
        return match[5], (0, 0)
    low, dots, high = match[2], match[3], match[4]
    if dots and high:
        return "an", (int(low) if low else 1, int(high))
    if low and not dots:
        return "an", (int(low), int(low))
    return None
