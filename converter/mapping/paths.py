"""Paths into FHIR resources, as mapping files write them: `payload[string].extension[date].valueDateTime`.

A step is a name with an optional selector: a number counted from 0, `*` for all items, the name of a slice of
`parts/slices.yaml`, or `not SLICE`. `resolve()` follows a reference inside the Bundle. Reading gives nodes: the values
with their JSON pointers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, NamedTuple

_STEP = re.compile(r"([A-Za-z]+(?:_[a-z]+)*)(?:\[([^\]]*)\])?\Z|resolve\(\)\Z")


class Node(NamedTuple):
    """A value in a Bundle and its JSON pointer."""

    pointer: str
    value: Any


@dataclass(frozen=True, slots=True)
class Slice:
    """How an item of a list is recognised: `key` has one of `values` (the first is written), or `has` is there.

    With `on` in place of `key`: any value on that path below the item is one of `values`, and `write` is written.
    """

    name: str
    key: str = ""
    values: tuple[str, ...] = ()
    has: str = ""
    otherwise_first: bool = False
    on: tuple[str, ...] = ()
    write: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def holds(self, item: Any) -> bool:
        """Whether the item belongs to the slice."""
        if not isinstance(item, dict):
            return False
        if self.on:
            return any(value in self.values for value in _below(item, self.on))
        return self.has in item if self.has else item.get(self.key) in self.values

    @property
    def start(self) -> dict[str, Any]:
        """What a new item holds before any rule writes into it."""
        if self.on:
            return deepcopy(dict(self.write))
        return {self.key: self.values[0]} if self.key else {}


def _below(value: Any, names: tuple[str, ...]) -> Iterator[Any]:
    """All values on a path of names, through lists."""
    if isinstance(value, list):
        for item in value:
            yield from _below(item, names)
    elif not names:
        yield value
    elif isinstance(value, dict) and names[0] in value:
        yield from _below(value[names[0]], names[1:])


@dataclass(frozen=True, slots=True)
class Step:
    """One step. `selector` is None, "*", a number as text, or a slice's name (`slice` set, `negated` for `not`)."""

    name: str
    selector: str | None = None
    slice: Slice | None = None
    negated: bool = False

    @property
    def is_list(self) -> bool:
        """Whether the element is written as a list."""
        return self.selector is not None


Path = tuple[Step, ...]


def parse(text: str, slices: Mapping[str, Slice]) -> Path:
    """Parse a path. Raises `ValueError` that names the step at fault."""
    steps: list[Step] = []
    for part in _split(text):
        match = _STEP.match(part)
        if match is None:
            raise ValueError(f"not a step of a path: {part!r}")
        if match[1] is None:
            steps.append(Step("resolve()"))
            continue
        steps.append(_step(match[1], match[2], slices))
    return tuple(steps)


def _split(text: str) -> list[str]:
    parts, depth, current = [], 0, ""
    for char in text:
        depth += (char == "[") - (char == "]")
        if char == "." and not depth:
            parts.append(current)
            current = ""
        else:
            current += char
    return [*parts, current]


def _step(name: str, selector: str | None, slices: Mapping[str, Slice]) -> Step:
    if selector is None or selector == "*" or selector.isdigit():
        return Step(name, selector)
    negated = selector.startswith("not ")
    slice_name = f"{name}[{selector.removeprefix('not ')}]"
    if slice_name not in slices:
        raise ValueError(f"no slice {slice_name!r} is defined")
    return Step(name, selector, slices[slice_name], negated)


def walk(node: Node, path: Path, follow: Mapping[str, Node]) -> list[Node]:
    """All nodes that a path leads to, in document order. `follow` finds the resource behind a reference string."""
    found: list[tuple[str, Any]] = [node]
    for step in path:
        found = _followed(found, follow) if step.name == "resolve()" else _stepped(found, step)
        if not found:
            return []
    return [Node(pointer, value) for pointer, value in found]


def _followed(found: list[tuple[str, Any]], follow: Mapping[str, Node]) -> list[tuple[str, Any]]:
    """The resources behind references."""
    references = [value.get("reference") for _, value in found if isinstance(value, dict)]
    return [follow[reference] for reference in references if isinstance(reference, str) and reference in follow]


def _stepped(found: list[tuple[str, Any]], step: Step) -> list[tuple[str, Any]]:
    """What one step leads to."""
    name, reached = step.name, []
    for pointer, value in found:
        child = value.get(name) if isinstance(value, dict) else None
        if child is None:
            continue
        if isinstance(child, list):
            reached += [(f"{pointer}/{name}/{i}", child[i]) for i in _chosen(step, child)]
        elif step.slice is None or step.slice.holds(child) != step.negated:
            reached.append((f"{pointer}/{name}", child))
    return reached


def _chosen(step: Step, items: list[Any]) -> Sequence[int]:
    if step.slice is not None:
        found = [i for i, item in enumerate(items) if step.slice.holds(item) != step.negated]
        return [0] if not found and step.slice.otherwise_first and items else found
    if step.selector is None or step.selector == "*":
        return range(len(items))
    return [int(step.selector)] if int(step.selector) < len(items) else []


def index(bundle: Mapping[str, Any]) -> dict[str, Node]:
    """The resources of a Bundle by every form of reference: full URL, `Type/id`, and `urn:uuid:`."""
    found: dict[str, Node] = {}
    entries = bundle.get("entry")
    for number, entry in enumerate(entries if isinstance(entries, list) else ()):
        resource = entry.get("resource") if isinstance(entry, dict) else None
        if not isinstance(resource, dict):
            continue
        node = Node(f"/entry/{number}/resource", resource)
        if isinstance(entry.get("fullUrl"), str):
            found.setdefault(entry["fullUrl"], node)
        found.setdefault(f"{resource.get('resourceType')}/{resource.get('id')}", node)
    return found
