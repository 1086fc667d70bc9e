"""What FHIRPath has to know about FHIR's types: the elements of each, and what each is derived from."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from converter.fhir.elements import PRIMITIVES, RESOURCES, Node

# FHIR R4, "Data types": what each type is derived from, where that is not Element.
_PARENTS = {
    **dict.fromkeys(("code", "id", "markdown"), "string"),
    **dict.fromkeys(("url", "canonical", "oid", "uuid"), "uri"),
    **dict.fromkeys(("positiveInt", "unsignedInt"), "integer"),
    **dict.fromkeys(("Age", "Count", "Distance", "Duration", "MoneyQuantity", "SimpleQuantity"), "Quantity"),
    **dict.fromkeys(("Dosage", "ElementDefinition", "Timing"), "BackboneElement"),
    **dict.fromkeys(("Bundle", "Binary", "Parameters", "DomainResource"), "Resource"),
    "Element": "",
    "Resource": "",
}
SYSTEM = frozenset({"Boolean", "String", "Integer", "Decimal", "Date", "DateTime", "Time", "Quantity"})


@dataclass(frozen=True, slots=True)
class Child:
    """One JSON property of a type: `name` is what FHIRPath calls it (`value` for `valueQuantity`)."""

    json: str
    name: str
    kind: str
    many: bool
    primitive: bool


@dataclass(slots=True, eq=False)
class Kind:
    """A type, or an element with elements of its own (`Patient.contact`). `code` is the name that `is` compares."""

    name: str
    code: str
    children: tuple[Child, ...] = ()
    primitive: bool = False
    known: bool = True
    lineage: frozenset[str] = frozenset()
    members: dict[str, list[Child]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for child in self.children:
            self.members.setdefault(child.name, []).append(child)


class Model:
    """The types of one pack. `tree` gives the element tree of a base definition, None if the pack does not hold it."""

    def __init__(self, tree: Callable[[str], Node | None], resources: Iterable[str]) -> None:
        self._tree = tree
        self._resources = frozenset(resources)
        self._kinds: dict[str, Kind] = {}

    def kind(self, name: str) -> Kind:
        """The type with this name, or the element with this path. One that the pack lacks has no known elements."""
        kind = self._kinds.get(name)
        if kind is None:
            kind = self._make(name)
            if kind.known:  # messages could name any number of unknown ones
                self._kinds[name] = kind
        return kind

    def names_type(self, name: str) -> bool:
        """Whether FHIR has a type of this name, as far as the pack can tell."""
        return name in PRIMITIVES or name in self._resources or name in _PARENTS or self.kind(name).known

    def is_resource(self, name: str) -> bool:
        """Whether it is the name of a resource type."""
        return name in self._resources

    def at(self, home: str, element: str, code: str) -> str:
        """The name of the type of an element of a profile, given the type that its table states."""
        if code not in ("", "BackboneElement", "Element"):
            return code
        kind = home
        for step in element.split(".")[1:]:
            children = self.kind(kind).members.get(step.partition(":")[0].removesuffix("[x]"), ())
            if len(children) != 1:
                return code
            kind = children[0].kind
        return kind

    def lineage(self, code: str) -> frozenset[str]:
        """A type and everything that it is derived from."""
        found = []
        while code:
            found.append(code)
            code = _PARENTS.get(code, "DomainResource" if code in self._resources else "Element")
        return frozenset(found)

    def _make(self, name: str) -> Kind:
        head, _, path = name.partition(".")
        root = self._tree(head)
        if head in PRIMITIVES:
            element = self._tree("Element")
            children = tuple(self._children(element)) if element else ()
            return Kind(name, name, children, True, True, self.lineage(name))
        node = _find(root, path) if root else None
        if node is None:
            return Kind(name, name, known=False, lineage=self.lineage(name))
        code = node.types[0].code if path and node.types else head
        return Kind(name, code, tuple(self._children(node)), False, True, self.lineage(code))

    def _children(self, node: Node) -> list[Child]:
        found = []
        for child in node.children.values():
            stem = child.name[:-3] if child.choice else child.name
            for json, kind in child.names().items():
                target = kind.code
                if child.content:
                    target = child.content
                elif child.children and not kind.primitive:
                    target = child.id
                elif kind.code in RESOURCES:
                    target = "Resource"
                found.append(Child(json, stem, target, child.many, kind.primitive))
        return found


def _find(root: Node, path: str) -> Node | None:
    node: Node | None = root
    for step in path.split(".") if path else ():
        node = node.children.get(step) if node else None
    return node
