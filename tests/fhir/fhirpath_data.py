"""Invented FHIR data that hits a rule: the elements that its expression names, with the values that it compares."""

from __future__ import annotations

import random
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from converter.fhir.fhirpath.model import Child, Model
from converter.fhir.fhirpath.scope import Alone

Tree = list[Any]
SAMPLES: dict[str, list[Any]] = {
    "boolean": [True, False],
    "decimal": [0, 1, Decimal("1.5"), Decimal("-0.1"), 200],
    "integer": [0, 1, 3, -1],
    "positiveInt": [1, 2],
    "unsignedInt": [0, 1],
    "date": ["2024", "2024-02", "2024-02-29", "2025-01-01"],
    "dateTime": ["2024-02-29", "2024-02-29T10:00:00Z", "2024-02-29T12:00:00+02:00", "2025"],
    "instant": ["2024-02-29T10:00:00Z", "2024-02-29T12:30:00.5+02:00"],
    "time": ["10:00:00", "10:00:00.5"],
}
TEXTS = [
    *(
        "a",
        "b",
        "http://example.org/x",
        "12345678",
        "5790000000001",
        "A1b2c",
        "_x y",
        "%",
        "1",
        "*",
        "phone",
        "12345678901",
    ),
    *("urn:uuid:8b1f7c5e-2f0a-4b7a-9c3d-0123456789ab", "8b1f7c5e-2f0a-4b7a-9c3d-0123456789ab", "x|1.0.2", "x|5.0"),
    *("xurn:uuid:8b1f7c5e-2f0a-5b7a-9c3d-0123456789abx", "bcdf1", "(x|y) 5.0", "http://", "+45 12"),
]
EXTENSION = [{"url": "http://example.org/why", "valueCode": "unknown"}]


def words(tree: Any) -> Iterator[tuple[str, str]]:
    """The names and texts that a tree holds, as pairs of kind and word."""
    if isinstance(tree, list) and tree and isinstance(tree[0], str):
        if tree[0] == "member":
            yield "name", tree[2]
        elif tree[0] in ("text", "type"):
            yield tree[0], tree[1]
        elif tree[:1] == ["call"]:
            yield "name", tree[2]
        for part in tree[1:]:
            yield from words(part)


class Maker:
    """Makes data for one expression."""

    def __init__(self, tree: Tree, model: Model, seed: int) -> None:
        self.model = model
        self.random = random.Random(seed)
        found = list(words(tree))
        self.names = {w for kind, w in found if kind == "name"} | {"value", "reference"}
        self.texts = [w for kind, w in found if kind == "text"]
        types = sorted(w for w in self.names | {w for k, w in found if k == "type"} if model.is_resource(w))
        self.types = types or ["Practitioner", "PractitionerRole", "Organization"]
        self.references = [f"{kind}/{number}" for kind in self.types for number in (1, 2)]
        self.pool: dict[str, dict[str, Any] | None] = {}

    def resource(self, kind: str, depth: int = 0) -> dict[str, Any]:
        """A resource of a type; it can be resolved by its type and id."""
        made: dict[str, Any] = {"resourceType": kind, "id": self.random.choice("12")}
        made.update(self.element(kind, depth))
        self.pool.setdefault(f"{kind}/{made['id']}", made)
        return made

    def target(self, reference: str) -> dict[str, Any] | None:
        """What a reference leads to: a resource that was made before, a new one, or nothing."""
        if reference not in self.pool:
            kind = reference.partition("/")[0]
            made = self.random.random() < 0.8 and self.model.is_resource(kind)
            self.pool[reference] = {**self.resource(kind, 3), "id": reference[-1]} if made else None
        return self.pool[reference]

    def element(self, kind: str, depth: int = 0) -> dict[str, Any]:
        """An object of a type."""
        made: dict[str, Any] = {}
        for members in self.model.kind(kind).members.values():
            wanted = 0.7 if members[0].name in self.names else 0.04
            if depth > 6 or self.random.random() > wanted:
                continue
            likely = [c for c in members if c.json in self.names or c.kind in ("Quantity", "Coding", "Reference")]
            self._fill(made, self.random.choice(likely or members), depth)
        return made

    def _fill(self, made: dict[str, Any], child: Child, depth: int) -> None:
        count = self.random.choice((1, 1, 1, 2, 3)) if child.many else 1
        values = [self.value(child, depth) for _ in range(count)]
        if child.primitive and self.random.random() < 0.05:
            values[0] = None
            made["_" + child.json] = (
                [{"extension": EXTENSION}, *[None] * (count - 1)] if child.many else {"extension": EXTENSION}
            )
            if count == 1:
                return
        made[child.json] = values if child.many else values[0]

    def value(self, child: Child, depth: int) -> Any:
        """A value of an element."""
        kind = child.kind
        if kind == "Resource":
            return self.resource(self.random.choice(self.types), depth + 1)
        if not child.primitive:
            return self.element(kind, depth + 1) or {"id": "1"}
        if kind in SAMPLES:
            return self.random.choice(SAMPLES[kind])
        if child.json == "reference":
            return self.random.choice(self.references)
        return self.random.choice(self.texts * 3 + TEXTS)

    def focus(self, kind: str) -> Any:
        """A value for the element that the rule stands on."""
        found = self.model.kind(kind)
        if found.primitive:
            return self.value(Child("x", "x", kind, False, True), 0)
        return self.resource(kind) if self.model.is_resource(kind) else self.element(kind)


class PoolScope(Alone):
    """A scope that resolves what the maker makes."""

    __slots__ = ("maker",)

    def __init__(self, model: Model, resource: Any, maker: Maker) -> None:
        super().__init__(model, resource)
        self.maker = maker

    def resolve(self, reference: str) -> dict[str, Any] | None:
        return self.maker.target(reference)
