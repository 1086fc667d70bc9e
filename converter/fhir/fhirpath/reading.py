"""What the code of `direct` calls while it reads JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class NotHere(Exception):  # noqa: N818 - a way out, no fault
    """The data has something that only the general way can judge."""


FAULTS = (NotHere, AttributeError, TypeError, KeyError, ValueError)


def values(owner: dict[str, Any], name: str) -> Sequence[Any]:
    """The items of a repeating primitive."""
    if "_" + name in owner:
        raise NotHere
    found: Sequence[Any] = owner.get(name, ())
    if found and found.__class__ is not list:
        raise NotHere
    return found


def loose(owner: Any, name: str) -> Sequence[Any]:
    """The elements of a name where the type of their owner is not known before the rule runs."""
    found = owner.get(name)
    if found is None:
        # It could be a choice of types, or have nothing but extensions.
        for key in owner:
            if name in key:
                raise NotHere
        return ()
    if "_" + name in owner:
        raise NotHere
    return found if found.__class__ is list else (found,)


def present(owner: dict[str, Any], names: frozenset[str], others: frozenset[str] = frozenset()) -> Sequence[Any]:
    """The value of a choice, if it has one of these types; of other types it is not for the direct way."""
    if others and not others.isdisjoint(owner):
        raise NotHere
    items = []
    for name, value in owner.items():
        if name in names:
            items.append(value)
    return items


def found(value: Any, scope: Any) -> Sequence[Any]:
    """The resource that a Reference or its text leads to."""
    text = value.get("reference") if value.__class__ is dict else value
    if not isinstance(text, str) or not text:
        return ()
    resource = scope.resolve(text)
    return () if resource is None else (resource,)


def text(value: Any) -> str:
    """A value of unknown type that is a text."""
    if value.__class__ is not str:
        raise NotHere
    return value


def texts(items: list[Any]) -> list[Any]:
    """Items that are compared as they are: texts and resources."""
    for item in items:
        if item.__class__ is not str and item.__class__ is not dict:
            raise NotHere
    return items


def resources(items: list[Any]) -> list[Any]:
    """Items of unknown type: resources are compared as they are; a text could be a date."""
    for item in items:
        if item.__class__ is not dict:
            raise NotHere
    return items


def is_distinct(items: list[str]) -> bool:
    """Whether no text occurs twice."""
    return len(set(texts(items))) == len(items)


NAMES: dict[str, Any] = {
    "NONE": {},
    "values": values,
    "loose": loose,
    "present": present,
    "found": found,
    "text": text,
    "texts": texts,
    "resources": resources,
    "is_distinct": is_distinct,
}
