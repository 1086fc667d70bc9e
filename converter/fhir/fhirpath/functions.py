"""The functions of FHIRPath. Each gets its input collection, the scope and its arguments.

An argument is a collection (`v`), an expression that is evaluated for each item (`e`, called with a collection and an
index), one that is evaluated only if it is needed (`l`, called with the input), or the name of a type (`t`). Those
after `?` may be missing.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from converter.fhir.fhirpath.model import SYSTEM, Kind
from converter.fhir.fhirpath.operators import distinct, key, one, truth
from converter.fhir.fhirpath.scope import Scope
from converter.fhir.fhirpath.values import (
    Item,
    Items,
    PathError,
    Quantity,
    Temporal,
    plain,
)

Each = Callable[[Items, int], Items]
Function = Callable[..., Items]
FUNCTIONS: dict[str, tuple[Function, str]] = {}


def path(name: str, arguments: str = "") -> Callable[[Function], Function]:
    """Register a function under its FHIRPath name."""

    def register(function: Function) -> Function:
        FUNCTIONS[name] = function, arguments
        return function

    return register


def whole(items: Items) -> int | None:
    value: int | None = plain(one(items))
    if value is not None and not is_integer(value):
        raise PathError("an integer expected")
    return value


def is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


# Navigation


def member(items: Items, name: str, scope: Scope) -> Items:
    """The elements of this name in all items."""
    found: Items = []
    if scope.strict and items and not any(_has(i, name) for i in items):
        raise PathError(f"no element {name}")
    for item in items:
        if item.__class__ is Item:
            _member(item, name, scope, found)
    return found


def _has(item: Any, name: str) -> bool:
    """Whether the type of an item has an element of this name, as far as the type is known."""
    if item.__class__ is not Item:
        return False
    return name in item.kind.members or not item.kind.known or (item.kind.primitive and name == "value")


def declared(items: Items, code: str, name: str, scope: Scope) -> Items:
    """An element of something that the expression itself says is of a type."""
    if scope.strict and name not in scope.model.kind(code).members:
        raise PathError(f"{code} has no element {name}")
    return member(items, name, scope)


def _member(item: Item, name: str, scope: Scope, found: Items) -> None:
    kind, value = item.kind, item.value
    if kind.primitive:
        if name == "value":
            found.extend([item] if value is not None else [])
            return
        value = item.twin
    if value.__class__ is not dict:
        return
    known = kind.members.get(name)
    if known is not None:
        for child in known:
            _add(value, child.json, child.kind, scope, found)
    elif not (scope.strict and kind.known) and name != "resourceType":
        # As the official validator reads `valueQuantity`; and data of types that the pack does not hold.
        child_kind = next((c.kind for c in kind.children if c.json == name), "")
        _add(value, name, child_kind, scope, found)


def _add(owner: dict[str, Any], name: str, kind: str, scope: Scope, found: Items) -> None:
    value, twin = owner.get(name), owner.get("_" + name)
    if value is None and twin is None:
        return
    if value.__class__ is list or twin.__class__ is list:
        values = value if isinstance(value, list) else []
        twins = twin if isinstance(twin, list) else []
        for index in range(max(len(values), len(twins))):
            item = values[index] if index < len(values) else None
            other = twins[index] if index < len(twins) else None
            if item is not None or other is not None:
                found.append(Item(item, scope.kind_of(item, kind or _guess(item)), other))
    else:
        found.append(Item(value, scope.kind_of(value, kind or _guess(value)), twin))


def _guess(value: Any) -> str:
    """The type of a value whose element is unknown."""
    names = {str: "string", bool: "boolean", int: "integer", float: "decimal", Decimal: "decimal"}
    return names.get(value.__class__, "")


def start(items: Items, name: str, scope: Scope) -> Items:
    """The first name of an expression: the type of the input itself, or one of its elements."""
    if name[:1].isupper() and items and all(i.__class__ is Item and name in i.kind.lineage for i in items):
        return items
    return member(items, name, scope)


@path("children")
def children(items: Items, scope: Scope) -> Items:
    """All elements directly below."""
    found: Items = []
    for item in items:
        if item.__class__ is Item:
            value = item.twin if item.kind.primitive else item.value
            if value.__class__ is dict:
                kinds = {c.json: c.kind for c in item.kind.children}
                names = dict.fromkeys(n.removeprefix("_") for n in value if n != "resourceType")
                for name in names:
                    _add(value, name, kinds.get(name, ""), scope, found)
    return found


@path("descendants")
def descendants(items: Items, scope: Scope) -> Items:
    """All elements below."""
    found: Items = []
    level = children(items, scope)
    while level:
        found += level
        level = children(level, scope)
    return found


def index(items: Items, at: Items) -> Items:
    """`items[at]`"""
    number = plain(one(at))
    if number is None:
        return []
    return items[number : number + 1] if is_integer(number) and number >= 0 else []


@path("extension", "v")
def extension(items: Items, scope: Scope, url: Items) -> Items:
    """The extensions with this URL."""
    wanted = plain(one(url))
    found = member(items, "extension", scope) if wanted is not None else []
    return [e for e in found if e.value.__class__ is dict and e.value.get("url") == wanted]


@path("resolve")
def resolve(items: Items, scope: Scope) -> Items:
    """The resources that references lead to; those that are not at hand are left out."""
    found = []
    for item in items:
        text = item.value.get("reference") if item.__class__ is Item and isinstance(item.value, dict) else plain(item)
        resource = scope.resolve(text) if isinstance(text, str) and text else None
        if resource is not None:
            found.append(scope.item(resource))
    return found


# Existence


@path("empty")
def empty(items: Items, scope: Scope) -> Items:
    """Whether there is nothing."""
    return [not items]


@path("exists", "?e")
def exists(items: Items, scope: Scope, criteria: Each | None = None) -> Items:
    """Whether there is something (that meets the criteria)."""
    return [bool(items if criteria is None else where(items, scope, criteria))]


@path("all", "e")
def all_(items: Items, scope: Scope, criteria: Each) -> Items:
    """Whether every item meets the criteria; no result is not true."""
    return [all(truth(criteria([item], number)) is True for number, item in enumerate(items))]


def _booleans(items: Items) -> list[bool]:
    values = [plain(i) for i in items]
    if not all(isinstance(v, bool) for v in values):
        raise PathError("booleans expected")
    return values


@path("allTrue")
def all_true(items: Items, scope: Scope) -> Items:
    """Whether all are true."""
    return [all(_booleans(items))]


@path("anyTrue")
def any_true(items: Items, scope: Scope) -> Items:
    """Whether one is true."""
    return [any(_booleans(items))]


@path("allFalse")
def all_false(items: Items, scope: Scope) -> Items:
    """Whether all are false."""
    return [not any(_booleans(items))]


@path("anyFalse")
def any_false(items: Items, scope: Scope) -> Items:
    """Whether one is false."""
    return [not all(_booleans(items))]


@path("not")
def not_(items: Items, scope: Scope) -> Items:
    """Negation."""
    value = truth(items)
    return [] if value is None else [not value]


@path("count")
def count(items: Items, scope: Scope) -> Items:
    """How many."""
    return [len(items)]


@path("distinct")
def distinct_(items: Items, scope: Scope) -> Items:
    """Each item once."""
    return distinct(items)


@path("isDistinct")
def is_distinct(items: Items, scope: Scope) -> Items:
    """Whether no item occurs twice."""
    return [len({key(i) for i in items}) == len(items)]


@path("subsetOf", "v")
def subset_of(items: Items, scope: Scope, other: Items) -> Items:
    """Whether all items are in the other collection."""
    return [{key(i) for i in items} <= {key(i) for i in other}]


@path("supersetOf", "v")
def superset_of(items: Items, scope: Scope, other: Items) -> Items:
    """Whether all items of the other collection are here."""
    return subset_of(other, scope, items)


@path("hasValue")
def has_value(items: Items, scope: Scope) -> Items:
    """Whether it is one primitive that has a value, not only extensions."""
    if len(items) != 1:
        return [False]
    item = items[0]
    return [item.__class__ is not Item or (item.kind.primitive and item.value is not None)]


# Filters and projections


@path("where", "e")
def where(items: Items, scope: Scope, criteria: Each) -> Items:
    """The items that meet the criteria."""
    return [item for number, item in enumerate(items) if truth(criteria([item], number)) is True]


@path("select", "e")
def select(items: Items, scope: Scope, projection: Each) -> Items:
    """What an expression gives for each item."""
    return [found for number, item in enumerate(items) for found in projection([item], number)]


@path("repeat", "e")
def repeat(items: Items, scope: Scope, projection: Each) -> Items:
    """What an expression gives for each item and for each of its results, once."""
    found: dict[object, Any] = {}
    level = items
    while level:
        fresh = [i for i in select(level, scope, projection) if key(i) not in found]
        level = distinct(fresh)
        found.update((key(i), i) for i in level)
    return list(found.values())


@path("aggregate", "a?v")
def aggregate(items: Items, scope: Scope, step: Callable[[Items, int, Items], Items], initial: Items = ()) -> Items:  # type: ignore[assignment]
    """A running total."""
    total = list(initial)
    for number, item in enumerate(items):
        total = step([item], number, total)
    return total


@path("single")
def single(items: Items, scope: Scope) -> Items:
    """The only item."""
    one(items)
    return items


@path("first")
def first(items: Items, scope: Scope) -> Items:
    """The first item."""
    return items[:1]


@path("last")
def last(items: Items, scope: Scope) -> Items:
    """The last item."""
    return items[-1:]


@path("tail")
def tail(items: Items, scope: Scope) -> Items:
    """All but the first."""
    return items[1:]


@path("skip", "v")
def skip(items: Items, scope: Scope, number: Items) -> Items:
    """All but the first ones."""
    return items[max(0, whole(number) or 0) :]


@path("take", "v")
def take(items: Items, scope: Scope, number: Items) -> Items:
    """The first ones."""
    return items[: max(0, whole(number) or 0)]


@path("intersect", "v")
def intersect(items: Items, scope: Scope, other: Items) -> Items:
    """The items that are in both, once."""
    keys = {key(i) for i in other}
    return distinct([i for i in items if key(i) in keys])


@path("exclude", "v")
def exclude(items: Items, scope: Scope, other: Items) -> Items:
    """The items that are not in the other collection."""
    keys = {key(i) for i in other}
    return [i for i in items if key(i) not in keys]


@path("union", "v")
def union(items: Items, scope: Scope, other: Items) -> Items:
    """`|`"""
    return distinct([*items, *other])


@path("combine", "v")
def combine(items: Items, scope: Scope, other: Items) -> Items:
    """Both collections, duplicates kept."""
    return [*items, *other]


@path("sort", "?s")
def sort(items: Items, scope: Scope, *keys: tuple[Each, bool]) -> Items:
    """The items in order; each key ascending or descending."""
    ordered = list(items)
    for by, downwards in reversed(keys or ((lambda this, number: this, False),)):
        ranked = [(by([item], 0), item) for item in ordered]
        present = [r for r in ranked if r[0]]
        absent = [r[1] for r in ranked if not r[0]]
        present.sort(key=lambda r: plain(one(r[0])), reverse=downwards)
        ordered = absent + [r[1] for r in present] if downwards else [r[1] for r in present] + absent
    return ordered


@path("iif", "ll?l")
def iif(items: Items, scope: Scope, when: Each, then: Each, otherwise: Each | None = None) -> Items:
    """One of two results; only the one that is needed is computed."""
    if scope.strict:
        one(items)
    met = truth_of_condition(when(items, 0), scope)
    if met is True:
        return then(items, 0)
    return otherwise(items, 0) if otherwise else []


def truth_of_condition(items: Items, scope: Scope) -> bool | None:
    """The condition of an `iif`: strictly, only a boolean."""
    value = plain(one(items))
    if scope.strict and value is not None and not isinstance(value, bool):
        raise PathError("a condition is a boolean")
    return truth(items)


@path("trace", "v?e")
def trace(items: Items, scope: Scope, name: Items, projection: Each | None = None) -> Items:
    """The input: nothing is logged, it could be about a patient."""
    return items


# Types


def is_a(item: Any, name: str, scope: Scope, *, exactly: bool = False) -> bool:
    """Whether an item is of a type. FHIR's `boolean` is not System's `Boolean`."""
    space, _, plain_name = name.rpartition(".")
    if item.__class__ is not Item:
        return space in ("", "System") and _system_type(item) == plain_name
    if space == "System" or (space == "" and plain_name in SYSTEM and plain_name != "Quantity"):
        return False
    if not scope.model.names_type(plain_name):
        if scope.strict:
            raise PathError(f"unknown type {plain_name}")
        return False
    kind: Kind = item.kind
    return kind.code == plain_name if exactly else plain_name in kind.lineage


def _system_type(value: Any) -> str:
    if isinstance(value, Temporal):
        return {"date": "Date", "dateTime": "DateTime", "time": "Time"}[value.kind]
    names = {bool: "Boolean", str: "String", int: "Integer", Decimal: "Decimal", Quantity: "Quantity"}
    return names.get(value.__class__, "")


@path("is", "t")
def is_(items: Items, scope: Scope, name: str) -> Items:
    """Whether the item is of a type or of one that is derived from it."""
    return [is_a(one(items), name, scope)] if items else []


@path("ofType", "t")
def of_type(items: Items, scope: Scope, name: str) -> Items:
    """The items of a type."""
    exactly = not scope.model.is_resource(name.removeprefix("FHIR."))
    return [i for i in items if is_a(i, name, scope, exactly=exactly)]


@path("as", "t")
def as_(items: Items, scope: Scope, name: str) -> Items:
    """`ofType`; HL7's own rules use it on collections, which only strict evaluation forbids."""
    if scope.strict:
        one(items)
    return of_type(items, scope, name)


@path("type")
def type_(items: Items, scope: Scope) -> Items:
    """Namespace and name of each item's type."""
    found = []
    for item in items:
        name = ("FHIR", item.kind.code) if item.__class__ is Item else ("System", _system_type(item))
        found.append(Item({"namespace": name[0], "name": name[1]}, Kind("TypeInfo", "TypeInfo", known=False)))
    return found


@path("conformsTo", "v")
def conforms_to(items: Items, scope: Scope, canonical: Items) -> Items:
    """Whether the item meets a profile."""
    wanted = plain(one(canonical))
    return [scope.conforms(one(items), wanted)] if items and isinstance(wanted, str) else []


@path("memberOf", "v")
def member_of(items: Items, scope: Scope, canonical: Items) -> Items:
    """Whether the coded item is in a value set."""
    wanted = plain(one(canonical))
    return [scope.member(items, wanted)] if items and isinstance(wanted, str) else []


@path("htmlChecks")
def html_checks(items: Items, scope: Scope) -> Items:
    """Whether the narrative is proper: the validator judges narratives with rules of their own."""
    return [True] if items else []
