"""Paths of mapping files followed through the element tables of a profile pack, without any message."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from converter.fhir.elements import ABSENT, Node, Type
from converter.fhir.profiles import Pack
from converter.fhir.run import Run
from converter.mapping import paths

_ANY = ("Resource", "DomainResource", "Element", "")


class Unknown(Exception):  # noqa: N818 - named for what happened; always caught by the check that follows a path
    """A path leads nowhere: `name` is the step at fault, `reason` a sentence about it."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(reason)
        self.name, self.reason = name, reason


@dataclass(frozen=True, slots=True)
class Place:
    """An element of a profile that a path leads to. `type` is the one of a choice that was named."""

    node: Node
    key: str
    type: Type | None = None
    item: bool = False

    @property
    def types(self) -> tuple[Type, ...]:
        """The types that a value may have here."""
        return (self.type,) if self.type is not None else self.node.types

    @property
    def code(self) -> str:
        """The one type; empty where there are several or none."""
        return self.types[0].code if len(self.types) == 1 else ""

    @property
    def primitive(self) -> bool:
        """Whether values stand here, and not objects."""
        return bool(self.types) and all(t.primitive for t in self.types)

    @property
    def fixed(self) -> Any:
        """The value that the profile fixes or wants as a pattern."""
        return self.node.fixed if self.node.fixed is not ABSENT else self.node.pattern


class Shapes:
    """The profiles of one pack, as mapping files walk them."""

    def __init__(self, pack: Pack) -> None:
        self.pack = pack
        self._run = Run(pack, {})

    def root(self, profile: str, type_: str) -> Place | None:
        """A resource by its profile, or by its type where it names none; None for one that the pack does not hold."""
        url = profile or self.pack.base(type_)
        tree = self.pack.tree(url)
        return Place(tree, self.pack.key(url), item=True) if tree is not None else None

    def children(self, place: Place) -> tuple[Mapping[str, Node], str]:
        """The elements below one, and the key of the profile whose tree they are of. Empty where none is known."""
        node = place.node
        if (place.type is None or not node.choice or len(node.types) == 1) and node.children:
            return node.children, place.key
        if node.content:
            base = self.pack.tree(self.pack.base(node.content.partition(".")[0]))
            found = next((n for n in (base.walk() if base else ()) if n.id == node.content), None)
            return (found.children if found else {}), place.key
        if len(place.types) != 1:
            return {}, place.key
        kind = place.types[0]
        url = kind.profiles[0] if len(kind.profiles) == 1 else self.pack.base(kind.code)
        tree = self.pack.tree(url)
        return (tree.children, self.pack.key(url)) if tree is not None else ({}, place.key)

    def step(self, place: Place, name: str) -> Place:
        """The element below with that property name. Raises `Unknown`."""
        if place.primitive and name != "extension":
            raise Unknown(name, f"{place.node.id} is a {place.code or 'value'} and has no elements")
        children, key = self.children(place)
        plain = name.removeprefix("_")
        for node in children.values():
            kind = node.names().get(plain)
            if kind is not None:
                return Place(node, key, kind if node.choice else None)
        if place.code in _ANY and not children:
            return Place(Node(f"{place.node.id}.{name}", name, max=None), key)
        raise Unknown(name, self._no_such(place, plain, children))

    def _no_such(self, place: Place, name: str, children: Mapping[str, Node]) -> str:
        owner = place.node.id
        choice = next((n for n in children.values() if n.choice and name.startswith(n.name[:-3])), None)
        if choice is not None:
            return f"{owner}.{choice.name} is {', '.join(sorted(choice.names()))}, and not {name}"
        known = [p for n in children.values() for p in n.names()]
        close = get_close_matches(name, known, 1, 0.6)
        return f"{owner} has no element {name!r}" + (f"; is {close[0]!r} meant?" if close else "")

    def select(self, place: Place, step: paths.Step) -> Place:
        """One item of a list: of a slice of the profile, where the slice of the mapping is one."""
        node = place.node
        if step.slice is None or step.negated or not node.slices:
            return Place(node, place.key, place.type, item=True)
        if node.slicing is None:
            return Place(node, place.key, place.type, item=True)
        matcher = self.pack.matcher(place.key, node)
        sample = step.slice.start or ({step.slice.has: "x"} if step.slice.has else {})
        number = matcher.index(sample, self._run) if matcher is not None else -1
        if number >= 0:
            return Place(list(node.slices.values())[number], place.key, item=True)
        if matcher is not None and node.slicing.get("rules") == "closed":
            raise Unknown(step.name, f"{node.id} takes only the slices {', '.join(node.slices)}")
        return Place(node, place.key, place.type, item=True)

    def walk(self, place: Place, path: paths.Path) -> Place:
        """Where a path leads. Raises `Unknown`."""
        for step in path:
            if step.name == "resolve()":
                return Place(Node("", "", max=None), place.key)
            place = self.step(place, step.name)
            if step.selector is not None:
                place = self.select(place, step)
        return place

    def extension(self, place: Place) -> str:
        """The URL of the extension that a place is, where its slice says so."""
        kinds = [p for t in place.node.types if t.code == "Extension" for p in t.profiles]
        return kinds[0].partition("|")[0] if len(kinds) == 1 else ""
