"""What may be kept of a letter, and what is done with the rest: from its definition and mappings/pseudonyms.yaml."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from converter.definitions import Definition, Definitions, Element
from converter.definitions.layout import Piece, SegmentTemplate, templates
from converter.edifact.text import FORMATS
from converter.pseudonymise.keyed import personal
from converter.pseudonymise.signs import BASE64, TEXT, TOKEN
from converter.yamlfile import load

FILE = "pseudonyms.yaml"

_ZONE = r"(?:Z|[+-]\d\d:\d\d)?"
_KEPT_TYPES = {
    "date": rf"\d{{4}}-\d\d-\d\d{_ZONE}",
    "time": rf"\d\d:\d\d(?::\d\d)?{_ZONE}",
    "seconds": rf"\d\d:\d\d:\d\d{_ZONE}",
    "size": r"\d{1,9}",
    "flag": "true|false|0|1",
}
_KEPT_CODECS = {"ccyymmdd": r"\d{8}", "yymmdd": r"\d{6}", "hhmm": r"\d{4}", "hhmmss": r"\d{6}"}
_GROUP, _NUMBER = re.compile(r"S\d\d\Z"), re.compile(r"\d{1,2}")
_NEVER = re.compile(r"(?!)")


@dataclass(frozen=True, slots=True)
class Rule:
    """What may stand in a place and stays (a whole value matches), and what else becomes of it.

    `form`: what the schema asks of the whole value; an overwritten text has it if it had it.
    """

    kept: re.Pattern[str]
    kind: str
    form: str = ""

    def keeps(self, value: str) -> bool:
        """Whether a value stays. One that could be the number of a person never does, whatever the field."""
        return self.kept.fullmatch(value) is not None and not personal(value)


UNKNOWN = Rule(_NEVER, TEXT)
"""The rule for a place that nothing is known about."""


class Fields:
    """The rules of a mapping folder."""

    def __init__(self, folder: Path, definitions: Definitions) -> None:
        self.content: Mapping[str, Any] = load(folder / FILE)
        self._definitions = definitions
        self._tokens = set(map(str, self.content["letters"]["token"]))
        self._codes = {str(name): str(form) for name, form in self.content["letters"]["codes"].items()}
        self.service = {str(tag): self._service(found) for tag, found in self.content["service"].items()}
        self.envelope = {
            str(name): Rule(re.compile(str(form)), TOKEN)
            for name, form in self.content["envelope"].items()
            if name not in ("attributes", "elements")
        }
        self.envelope_names = frozenset(map(str, self.content["envelope"]["elements"])).union(self.envelope)
        attributes = self.content["envelope"]["attributes"].items()
        self.attributes = {str(name): Rule(re.compile(str(form)), TOKEN) for name, form in attributes}
        self.listed = frozenset(
            str(row["code"]) for row in load(folder / "codes" / f"{self.content['listed']}.yaml")["rows"]
        )
        self._layouts: dict[tuple[str, str], Layout] = {}

    @staticmethod
    def _service(found: Mapping[Any, Any]) -> dict[tuple[int, int], Rule]:
        places = ((str(place).split("."), str(form)) for place, form in found.items())
        return {(int(place[0]), int(place[1])): Rule(re.compile(form), TOKEN) for place, form in places}

    @cached_property
    def _texts(self) -> dict[str, set[str]]:
        """What the lists hold that give a text to a code, by the names of the elements of both."""
        found: dict[str, set[str]] = {}
        for definition in self._definitions:
            for template, _ in templates(definition.layout):
                for piece in template.pieces():
                    if piece.default is not None and piece.leaf is not None:
                        found.setdefault(piece.leaf.name, set()).update(piece.default.texts.values())
                        found.setdefault(piece.default.code.rpartition(".")[2], set()).update(piece.default.texts)
        return found

    @cached_property
    def names(self) -> frozenset[str]:
        """The names of all elements of all letters, and of their roots."""
        return frozenset(
            name
            for definition in self._definitions
            for e in definition.tree.walk()
            for name in (e.name, definition.root)
        )

    @cached_property
    def namespaces(self) -> frozenset[str]:
        """The namespaces of all letters."""
        return frozenset(space for definition in self._definitions for space in definition.namespaces)

    @cached_property
    def letter_codes(self) -> frozenset[str]:
        """The values of all code lists of letters, and their versions."""
        leaves = (leaf for definition in self._definitions for leaf in definition.leaves.values() if leaf.codes)
        versions = (definition.version_code for definition in self._definitions)
        return frozenset(value for leaf in leaves if leaf.codes for value in leaf.codes.values).union(versions)

    @cached_property
    def tags(self) -> frozenset[str]:
        """All segment tags that a letter or an interchange may have; S00 to S99 begin groups."""
        groups = frozenset(f"S{number:02}" for number in range(100))
        return groups.union((t for definition in self._definitions for t in self.layout(definition).tags), self.service)

    def layout(self, definition: Definition) -> Layout:
        """The rules for the EDIFACT form of a letter."""
        key = definition.type, definition.version
        if key not in self._layouts:
            self._layouts[key] = Layout(definition, self)
        return self._layouts[key]

    def leaf(self, leaf: Element) -> Rule:
        """The rule for an element of OIOXML."""
        kept, kind = self._open(leaf)
        if leaf.codes is not None:
            kept = _one_of([*leaf.codes.values, *filter(None, [leaf.const])])
        return Rule(re.compile(kept), kind, leaf.pattern if kind == TEXT else "")

    def _open(self, leaf: Element) -> tuple[str, str]:
        """What an element may hold beside the rows of a code list, and what is done with the rest."""
        kind = BASE64 if leaf.type == "base64" else TOKEN if leaf.name in self._tokens else TEXT
        listed = _one_of(self._texts[leaf.name]) if leaf.name in self._texts else None
        kept = [_KEPT_TYPES.get(leaf.type), self._codes.get(leaf.name), re.escape(leaf.const or "") or None, listed]
        return "|".join(f"(?:{form})" for form in kept if form) or "(?!)", kind

    def piece(self, piece: Piece) -> tuple[str, str | None]:
        """A piece of a component: a regular expression for what may stay, and what is done with the rest."""
        if piece.format:
            return _one_of(FORMATS), TEXT
        if piece.leaf is None:
            return (r"\d{1,6}" if piece.counter else re.escape(piece.literal)), None
        if piece.codes is not None:
            columns = {row[piece.column - 1] for row in piece.codes.rows.values() if row}
            return _one_of([*columns, *piece.codes.read]), TEXT
        kept, kind = self._open(piece.leaf)
        if piece.codec is not None and piece.codec.name in _KEPT_CODECS:
            return _KEPT_CODECS[piece.codec.name], TEXT
        const = piece.leaf.const
        if const is not None and piece.codec is not None:
            kept = f"{kept}|{re.escape(piece.codec.write(const) or const)}"
        if piece.filler:
            kept = f"{kept}|{re.escape(piece.filler)}"
        return kept, kind


def _one_of(values: Iterable[str]) -> str:
    return "|".join(re.escape(value) for value in sorted(values, key=len, reverse=True)) or "(?!)"


class Layout:
    """What stands where in the segments of one letter, by tag, qualifier, element and component."""

    def __init__(self, definition: Definition, fields: Fields) -> None:
        self.tags: set[str] = set()
        self._rules: dict[tuple[str, str, int, int], list[Rule]] = {}
        for template, _ in templates(definition.layout):
            self._add(template, fields)

    def _add(self, template: SegmentTemplate, fields: Fields) -> None:
        self.tags.add(template.tag)
        starts = template.starts or frozenset([""])
        for element, slot in enumerate(template.slots, 1):
            for number, component in enumerate(slot.components, 1):
                if component:
                    rule = _rule(component, fields)
                    for start in {*starts, ""}:
                        self._rules.setdefault((template.tag, start, element, number), []).append(rule)

    def at(self, tag: str, start: str, element: int, component: int) -> list[Rule]:
        """The rules for a component: those of segments with this qualifier, else of all with the tag."""
        if _GROUP.match(tag):
            return [Rule(_NUMBER, TEXT)] if (element, component) == (1, 1) else []
        exact = self._rules.get((tag, start, element, component))
        return exact or self._rules.get((tag, "", element, component), [])


def _rule(component: tuple[Piece, ...], fields: Fields) -> Rule:
    pieces = [fields.piece(piece) for piece in component]
    kinds = {kind for _, kind in pieces if kind}
    kind = TOKEN if kinds == {TOKEN} else BASE64 if kinds == {BASE64} else TEXT
    leaf = component[0].leaf if len(component) == 1 and kind == TEXT else None
    form = leaf.pattern if leaf is not None else ""
    return Rule(re.compile("".join(f"(?:{kept})" for kept, _ in pieces)), kind, form)
