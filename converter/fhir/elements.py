"""A pack's element table as a tree: one node an element, slices hanging on the element that they slice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

ABSENT: Any = object()

PRIMITIVES = frozenset(
    [
        "base64Binary",
        "boolean",
        "canonical",
        "code",
        "date",
        "dateTime",
        "decimal",
        "id",
        "instant",
        "integer",
        "markdown",
        "oid",
        "positiveInt",
        "string",
        "time",
        "unsignedInt",
        "uri",
        "url",
        "uuid",
        "xhtml",
    ]
)
RESOURCES = frozenset({"Resource", "DomainResource"})


@dataclass(frozen=True, slots=True)
class Site:
    """Which rule speaks: a profile and an element of it. `key` names an invariant."""

    profile: str
    element: str
    key: str = ""

    def __str__(self) -> str:
        return f"{self.profile} {self.element}" + (f" {self.key}" if self.key else "")

    @property
    def leaf(self) -> str:
        """The last part of the element's id: the same fault found by two profiles has the same leaf."""
        return self.element.rpartition(".")[2]


@dataclass(frozen=True, slots=True)
class Type:
    """One type that an element may have, with the profiles on it; `targets` None means any resource."""

    code: str
    profiles: tuple[str, ...] = ()
    targets: tuple[str, ...] | None = None
    aggregation: tuple[str, ...] = ()

    @property
    def primitive(self) -> bool:
        """Whether a value of it is a JSON string, number or boolean."""
        return self.code in PRIMITIVES


@dataclass(slots=True)
class Node:
    """One element of a profile. `max` None means any number; `many` says that JSON holds it in an array."""

    id: str
    name: str
    min: int = 0
    max: int | None = 1
    many: bool = False
    types: tuple[Type, ...] = ()
    fixed: Any = ABSENT
    pattern: Any = ABSENT
    length: int | None = None
    slicing: dict[str, Any] | None = None
    binding: str = ""
    advice: tuple[str, str] | None = None
    least: Any = ABSENT
    most: Any = ABSENT
    content: str = ""
    rules: tuple[int, ...] = ()
    children: dict[str, Node] = field(default_factory=dict)
    slices: dict[str, Node] = field(default_factory=dict)

    @property
    def choice(self) -> bool:
        """Whether it is a choice of types such as `value[x]`."""
        return self.name.endswith("[x]")

    def names(self) -> dict[str, Type]:
        """The JSON property names that it may have, with the type that each stands for."""
        if not self.choice:
            return {self.name: self.types[0]} if self.types else {self.name: Type("")}
        stem = self.name[:-3]
        return {stem + t.code[0].upper() + t.code[1:]: t for t in self.types}

    def walk(self) -> Iterator[Node]:
        """This node and everything below, slices included."""
        yield self
        for below in (*self.children.values(), *self.slices.values()):
            yield from below.walk()


def tree(elements: list[dict[str, Any]]) -> Node:
    """Build the tree of an element table; the first element is the root."""
    nodes: dict[str, Node] = {}
    for facts in elements:
        node = _node(facts)
        nodes[node.id] = node
        if "." not in node.id:
            continue
        above, _, last = node.id.rpartition(".")
        parent = nodes[above]
        name, _, slice_name = last.partition(":")
        if slice_name:
            parent.children[name].slices[slice_name] = node
        else:
            parent.children[name] = node
    return nodes[elements[0]["id"]]


def _node(facts: dict[str, Any]) -> Node:
    last = facts["id"].rpartition(".")[2]
    return Node(
        id=facts["id"],
        name=last.partition(":")[0],
        min=facts.get("min", 0),
        max=facts.get("max", 1),
        many=facts.get("list", False),
        types=tuple(_type(t) for t in facts.get("types", ())),
        fixed=facts.get("fixed", ABSENT),
        pattern=facts.get("pattern", ABSENT),
        length=facts.get("length"),
        slicing=facts.get("slicing"),
        binding=facts.get("binding", ""),
        advice=tuple(facts["advice"]) if "advice" in facts else None,
        least=facts.get("minValue", ABSENT),
        most=facts.get("maxValue", ABSENT),
        content=facts.get("content", ""),
        rules=tuple(facts.get("rules", ())),
    )


def _type(facts: Any) -> Type:
    if isinstance(facts, str):
        return Type(facts)
    targets = tuple(facts["targets"]) if "targets" in facts else None
    return Type(facts["code"], tuple(facts.get("profiles", ())), targets, tuple(facts.get("aggregation", ())))


def covers(narrow: Node, wide: Node) -> bool:
    """Whether checking `narrow` (a slice) also checks everything that `wide` (the sliced element) asks for.

    Snapshots copy the rules of an element into its slices; where one did not, both have to be checked.
    """
    if not _tighter(narrow, wide) or (wide.children and not narrow.children):
        return False
    return all(n in narrow.children and _covers(narrow.children[n], w) for n, w in wide.children.items())


def _covers(narrow: Node, wide: Node) -> bool:
    if narrow.min < wide.min or (wide.max is not None and (narrow.max is None or narrow.max > wide.max)):
        return False
    if not covers(narrow, wide) or not set(wide.slices) <= set(narrow.slices):
        return False
    return all(_covers(narrow.slices[n], w) for n, w in wide.slices.items())


def _tighter(narrow: Node, wide: Node) -> bool:
    if not set(wide.rules) <= set(narrow.rules) or not {t.code for t in narrow.types} <= {t.code for t in wide.types}:
        return False
    same = (narrow.binding == wide.binding or not wide.binding) and (narrow.length or 0) <= (wide.length or 1 << 30)
    same = same and wide.advice in (None, narrow.advice)
    same = same and wide.least in (ABSENT, narrow.least) and wide.most in (ABSENT, narrow.most)
    fixed = wide.fixed is ABSENT or narrow.fixed == wide.fixed
    pattern = wide.pattern is ABSENT or wide.pattern in (narrow.pattern, narrow.fixed)
    return same and fixed and pattern and _profiles(narrow) >= _profiles(wide)


def _profiles(node: Node) -> set[str]:
    return {p for t in node.types for p in t.profiles}
