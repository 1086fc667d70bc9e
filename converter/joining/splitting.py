"""The way back: a letter that carries the contents of its objects, split into itself and the letters that hold them."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, replace
from typing import Any

from converter.definitions import Definition, Definitions
from converter.errors import MappingError
from converter.issues import IssueLog
from converter.joining.joined import MANY, PREFIX, written_id
from converter.joining.table import FILE, AttachmentTable, spelled
from converter.ledger import Ledger
from converter.letter import Letter, Value, counts_of


@dataclass(frozen=True, slots=True)
class Mark:
    """What a letter-born Bundle says of a letter with objects: ids, leaves of the letter that it lacks, contents."""

    ids: Mapping[str, str]
    lacking: frozenset[str]
    contents: tuple[int, ...]


def without_partners(
    bundle: dict[str, Any], system: str, own: int, table: AttachmentTable
) -> tuple[dict[str, Any], list[Mark]]:
    """A Bundle with only the letter's own values in `Bundle.identifier`, and what it says of the letters with objects.

    `system` and `own` are the system of the identifiers of letter-born Bundles and how many values a letter has there.
    Both are as they were where the identifier is something else.
    """
    identifier = bundle.get("identifier")
    value = identifier.get("value") if isinstance(identifier, dict) and identifier.get("system") == system else None
    parts = value.split("#") if isinstance(value, str) else []
    size = len(table.ids) + 2
    if len(parts) <= own or (len(parts) - own) % size:
        return bundle, []
    groups = [parts[at : at + size] for at in range(own, len(parts), size)]
    try:
        marks = [_mark(group, table) for group in groups]
    except ValueError:
        return bundle, []
    return {**bundle, "identifier": {**identifier, "value": "#".join(parts[:own])}}, marks  # type: ignore[dict-item]


def _mark(parts: list[str], table: AttachmentTable) -> Mark:
    *ids, bits, contents = (part.replace("%23", "#").replace("%25", "%") for part in parts)
    lacks = int(bits, 16)
    lacking = frozenset(leaf for n, leaf in enumerate(table.shared) if lacks >> n & 1)
    numbers = tuple(int(number) for number in contents.split(".")) if contents else ()
    return Mark(dict(zip(table.ids, ids, strict=True)), lacking, numbers)


class Splitting:
    """One letter on its way apart."""

    def __init__(self, letter: Letter, table: AttachmentTable, definitions: Definitions) -> None:
        self.table, self.definitions, self.letter = table, definitions, letter
        count = letter.counts.get(table.reference, 0)
        self.contents = [n for n in range(1, count + 1) if table.at(n, table.content) in letter.values]

    def _marked(self, marks: list[Mark]) -> list[tuple[Letter, list[int]]] | None:
        """The letters that a letter-born Bundle names, each with its references; None where they do not fit it."""
        named = [number for mark in marks for number in mark.contents]
        if sorted(named) != list(range(1, len(self.contents) + 1)):
            return None
        found = []
        for mark in marks:
            code = mark.ids.get("Letter.VersionCode", "")
            definition = self._definition(code.removeprefix("X"))
            if definition is None:
                return None
            found.append(
                (self._letter(definition, mark.ids, mark.lacking), [self.contents[n - 1] for n in mark.contents])
            )
        return found

    def _minted(self, mint: Callable[[str], str]) -> list[tuple[Letter, list[int]]]:
        """Letters for the objects of a message that was written in FHIR, `most` objects in each."""
        wanted = self.table.written.get(self.letter.type, self.table.written[""])
        type_, _, version = wanted.partition("@")
        definition = self.definitions.get(type_, version)
        found = []
        for at in range(0, len(self.contents), self.table.most):
            if definition is None:
                raise MappingError(f"{FILE} has letters of the type {wanted} written, which is not defined")
            number = str(at // self.table.most + 1) if at else ""
            ids = {leaf: self.letter.text(leaf) or "" for leaf in self.table.ids}
            ids |= {"Envelope.Identifier": mint(f"attachment envelope{number}")}
            ids |= {"Letter.Identifier": mint(f"attachment letter{number}"), "Letter.VersionCode": f"X{version}"}
            references = self.contents[at : at + self.table.most]
            found.append((self._letter(definition, ids), references))
        return found

    def _definition(self, version: str) -> Definition | None:
        return next((d for t in self.table.letters if (d := self.definitions.get(t, version)) is not None), None)

    def _letter(self, definition: Definition, ids: Mapping[str, str], lacking: Container[str] = ()) -> Letter:
        values: dict[str, Value] = {leaf: value for leaf, value in ids.items() if value}
        for leaf in self.table.shared:
            if leaf in self.letter.values and leaf in definition.leaves and leaf not in lacking:
                values[leaf] = self.letter.values[leaf]
        values |= {leaf: text.format(type=definition.type) for leaf, text in self.table.fixed.items()}
        return Letter(definition.type, definition.version, "fhir", values)

    def _fill(self, k: int, partner: Letter, references: list[int]) -> dict[str, str]:
        """Put the objects of these references into their letter; where each content went, by the leaf it came from."""
        table, moved = self.table, {}
        for n, reference in enumerate(references, 1):
            stem = f"{table.object}[{n}]"
            for leaf in (table.key, *table.alike, table.content):
                value = self.letter.values.get(table.at(reference, leaf))
                if value is not None:
                    partner.values[f"{stem}.{leaf}"] = value
            key = f"{stem}.{table.key}"
            if key in partner.values:
                partner.values[key] = written_id(table, self.definitions, partner, spelled(str(partner.values[key])))
            moved[table.at(reference, table.content)] = f"{PREFIX}[{k}].{stem}.{table.content}"
        partner.counts.update(counts_of(partner.values))
        return moved

    def split(
        self, ledger: Ledger, marks: list[Mark], kept: Mapping[str, Value], mint: Callable[[str], str], log: IssueLog
    ) -> tuple[Letter, list[Letter]]:
        """The letter without contents, and the letters that hold them; `kept` are values of a sidecar.

        `marks` are what a letter-born Bundle says of them; `mint` makes an id of 14 characters of a kind for others.
        The ledger then says where the contents stand.
        """
        if not self.contents:
            return self.letter, []
        if len(self.contents) > self.table.most:
            log.add(MANY, target=self.table.reference, number=len(self.contents), most=self.table.most)
        found = self._marked(marks) or self._minted(mint)
        moved: dict[str, str] = {}
        for k, (partner, references) in enumerate(found, 1):
            moved |= self._fill(k, partner, references)
            start = f"{PREFIX}[{k}]."
            partner.values.update({leaf[len(start) :]: value for leaf, value in kept.items() if leaf.startswith(start)})
        ledger.move(lambda target: moved.get(target, target))
        own = {leaf: value for leaf, value in self.letter.values.items() if leaf not in moved}
        return replace(self.letter, values=own, counts=counts_of(own)), [partner for partner, _ in found]
