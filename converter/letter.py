"""The letter: one message, independent of its syntax, under OIOXML's own element names.

A letter is a tree kept flat: a dict from *leaf id* to value. A leaf id is the element's path below the root, with
an index, counted from 1, on every element that its definition lets repeat, and on no other:
`Patient.CivilRegistrationNumber`, `ClinicalInformation[2].Text01`, `Sender.ContactInformation[3].ContactName[2]`.
The envelope is the child `Envelope`. Both syntaxes give the same ids. A group exists if and only if it has a leaf.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from converter.issues import Location

Run = tuple[str, str]
"""A run of formatted text: the three-letter format code (`P00` plain, `PF0` bold, `F00` fixed …) and its text.

A line break is a newline. Runs of one format are joined, empty runs do not occur."""

Text = tuple[Run, ...]
"""A formatted text leaf. The empty tuple is an element that is there and empty."""

Value = str | Text

_INDEX = re.compile(r"\[\d+\]")


def pattern(leaf: str) -> str:
    """The path of a leaf id without its indices: `ClinicalInformation.Text01`."""
    return _INDEX.sub("", leaf) if "[" in leaf else leaf


def plain(value: Value) -> str:
    """The characters of a value without its formats, line breaks as newlines."""
    if isinstance(value, str):
        return value
    return value[0][1] if len(value) == 1 else "".join([text for _, text in value])


def unspaced(text: str) -> str:
    """The base64 content of a file without white space, where there is any.

    To look for four characters is nothing; to split a large file costs as much as to encode it.
    """
    return "".join(text.split()) if any(white in text for white in " \n\r\t") else text


class Source(Protocol):
    """What a letter was read from: turns the places that a reader noted into locations."""

    def locate(self, place: object) -> tuple[Location, ...]:
        """The locations in the input that make up a leaf (two code columns, text over several FTX: more than one)."""
        ...


class Places(Mapping[str, object]):
    """The places of a letter's leaves, looked for when somebody asks for one: few do."""

    __slots__ = ()

    @abstractmethod
    def found(self) -> Mapping[str, object]:
        """All of them, by their leaves."""

    def __getitem__(self, leaf: str) -> object:
        return self.found()[leaf]

    def __iter__(self) -> Iterator[str]:
        return iter(self.found())

    def __len__(self) -> int:
        return len(self.found())


@dataclass(slots=True)
class Extra:
    """A value of the input for which the definition has no leaf; the reader has added an issue at its place."""

    path: str
    at: Location
    value: str


@dataclass(slots=True)
class Letter:
    """One message. `type` and `version` as in EDIFACT (`DIS91`, `D9134L`), whatever the syntax it came from.

    `counts` holds how often a repeating element occurs, by its id without the last index (`ClinicalInformation`).
    `refused`: the message was recognised and cannot be read on (no definition, broken beyond use); `values` is empty
    then and the log says why; `identity` holds the leaves that a receipt needs, as far as they are known, by their ids.
    `places` are opaque; ask `locate`.
    """

    type: str
    version: str
    syntax: str
    values: dict[str, Value] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    extras: list[Extra] = field(default_factory=list)
    places: Mapping[str, object] = field(default_factory=dict)
    source: Source | None = None
    refused: bool = False
    identity: dict[str, str] = field(default_factory=dict)

    def locate(self, leaf: str) -> tuple[Location, ...]:
        """Where in the input a leaf stands; empty when the letter was not read from legacy bytes."""
        place = self.places.get(leaf)
        if self.source is None or place is None:
            return ()
        return self.source.locate(place)

    def text(self, leaf: str) -> str | None:
        """The characters of a leaf, or None."""
        value = self.values.get(leaf)
        return None if value is None else plain(value)


def counts_of(values: Mapping[str, Value]) -> dict[str, int]:
    """The `counts` that belong to these leaf ids."""
    counts: dict[str, int] = {}
    for leaf in values:
        for match in _INDEX.finditer(leaf):
            key, index = leaf[: match.start()], int(leaf[match.start() + 1 : match.end() - 1])
            if counts.get(key, 0) < index:
                counts[key] = index
    return counts
