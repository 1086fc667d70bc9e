"""What a resource is built from: slots for values, trees for objects, and how they are written as Python."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from converter.mapping.document import Rule


@dataclass(slots=True)
class Slot:
    """One value to be written: its variable, the rules that may fill it, in order, and whether it is always there.

    `fired`: those of the rules that have lines in the ledger, each with the expression of whether it lost something.
    """

    var: str
    rules: list[Rule] = field(default_factory=list)
    columns: dict[int, str] = field(default_factory=dict)
    constant: Any = None
    always: bool = False
    default: Rule | None = None
    expression: str = ""
    forced: bool = False
    fired: list[tuple[Rule, str]] = field(default_factory=list)

    @property
    def absent(self) -> str:
        """The loss under which a reason stands where the value is absent, for a mandatory element."""
        return next((rule.absent for rule in self.rules if rule.absent), "")

    @property
    def alone(self) -> bool:
        """Whether one rule alone may fill it, so that nobody asks which one did."""
        return len(self.rules) == 1 and self.default is None

    @property
    def stands(self) -> bool:
        """Whether it is a constant that stands for an element of the letter (`claims`): it is there in any case."""
        return self.constant is not None and any(rule.claims for rule in self.rules)

    @property
    def dynamic(self) -> bool:
        """Whether the value comes from the letter (constants alone never create an object that also holds values)."""
        return self.constant is None


@dataclass(slots=True)
class Tree:
    """An object to be built: properties in the order of the rules; lists hold their items by selector."""

    properties: dict[str, Any] = field(default_factory=dict)
    start: dict[str, Any] = field(default_factory=dict)


def slots(tree: Slot | Tree) -> list[Slot]:
    """All slots of a tree in order, those of `each` lists left out."""
    if isinstance(tree, Slot):
        return [tree]
    found: list[Slot] = []
    for child in tree.properties.values():
        for one in child.values() if isinstance(child, dict) else (child,):
            if not isinstance(one, tuple):
                found.extend(slots(one))
    return found


def has_each(tree: Slot | Tree) -> bool:
    """Whether a list in it is made by a loop."""
    if isinstance(tree, Slot):
        return False
    children = [i for c in tree.properties.values() for i in (c.values() if isinstance(c, dict) else (c,))]
    return any(isinstance(i, tuple) or has_each(i) for i in children)


def varying(child: Any) -> bool:
    """Whether anything in a property (or an item of a list) depends on the letter."""
    if isinstance(child, dict):
        return any(varying(item) for item in child.values())
    return isinstance(child, tuple) or has_each(child) or any(slot.dynamic for slot in slots(child))


def presence(tree: Slot | Tree) -> str:
    """When an object is written: always if it holds constants only or a value that is always there, else if any is."""
    every = slots(tree)
    dynamic = [s for s in every if s.dynamic]
    if not dynamic or any(s.always or s.absent for s in dynamic) or any(s.stands for s in every) or has_each(tree):
        return ""
    return " or ".join(f"{s.var} is not None" for s in dynamic)


def solid(tree: Slot | Tree) -> bool:
    """Whether every part is there whenever the whole is: then it can be written as one literal."""
    if isinstance(tree, Slot):
        return not tree.dynamic or tree.always
    return all(
        not isinstance(one, tuple) and key != "*" and solid(one)
        for child in tree.properties.values()
        for key, one in (child.items() if isinstance(child, dict) else (("", child),))
    )


def literal(tree: Slot | Tree) -> str:
    """The Python expression of a solid tree."""
    if isinstance(tree, Slot):
        return repr(tree.constant) if not tree.dynamic else tree.expression or tree.var
    parts = [f"{key!r}: {value!r}" for key, value in tree.start.items()]
    for name, child in tree.properties.items():
        if isinstance(child, dict):
            parts.append(f"{name!r}: [{', '.join(literal(item) for item in child.values())}]")
        else:
            parts.append(f"{name!r}: {literal(child)}")
    return "{" + ", ".join(parts) + "}"


def start(tree: Tree) -> str:
    """The expression that an object starts from."""
    return repr(tree.start)
