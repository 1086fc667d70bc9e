"""Which element a rule speaks of: one without which the rule holds, so that it need not be run at all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from converter.fhir.fhirpath.model import Kind

Tree = list[Any]
# What is known of an expression while one element is absent: True, False, that it is empty, or nothing.
EMPTY = "empty"
UNKNOWN = "unknown"
Known = bool | str

_OF_NOTHING: dict[str, Known] = {
    "exists": False,
    "empty": True,
    "hasValue": False,
    "all": True,
    "isDistinct": True,
    **dict.fromkeys(("where", "select", "first", "last", "tail", "single", "distinct", "trace"), EMPTY),
    **dict.fromkeys(("not", "ofType", "as", "is", "extension", "resolve", "repeat", "descendants"), EMPTY),
    **dict.fromkeys(("startsWith", "endsWith", "contains", "matches", "length", "substring", "toInteger"), EMPTY),
}
_OF_TWO = {"=", "!=", "<", "<=", ">", ">=", "+", "-", "*", "/", "div", "mod"}


def guard(tree: Tree, kind: Kind) -> str:
    """The element without which the rule is true whatever else there is; empty if there is none."""
    for name in dict.fromkeys(_names(tree)):
        children = kind.members.get(name, ())
        if len(children) == 1 and children[0].json == name and _without(tree, name) is True:
            return name
    return ""


def _names(tree: Any) -> Iterator[str]:
    """The elements of the input that a tree names."""
    if isinstance(tree, list):
        if tree[:1] == ["member"] and tree[1] is None:
            yield tree[2]
        for part in tree:
            yield from _names(part)


def _without(tree: Tree, name: str) -> Known:
    """What an expression gives if the input has no element of this name."""
    if tree[0] == "member":
        if tree[1] is None:
            return EMPTY if tree[2] == name else UNKNOWN
        return EMPTY if _without(tree[1], name) == EMPTY else UNKNOWN
    if tree[0] == "index":
        return EMPTY if _without(tree[1], name) == EMPTY else UNKNOWN
    if tree[0] == "truth":
        return bool(tree[1])
    if tree[0] == "empty":
        return EMPTY
    if tree[0] == "call":
        return _call(tree, name)
    return _operation(tree, name) if tree[0] == "op" else UNKNOWN


def _call(tree: Tree, name: str) -> Known:
    if tree[2] == "iif" and tree[1] is None and len(tree) == 6:
        met = _without(tree[3], name)
        return UNKNOWN if met == UNKNOWN else _without(tree[4] if met is True else tree[5], name)
    base = UNKNOWN if tree[1] is None else _without(tree[1], name)
    if tree[2] == "not" and isinstance(base, bool):
        return not base
    return _OF_NOTHING.get(tree[2], UNKNOWN) if base == EMPTY else UNKNOWN


def _operation(tree: Tree, name: str) -> Known:
    _, sign, left, right = tree
    if sign in ("is", "as"):
        return EMPTY if _without(left, name) == EMPTY else UNKNOWN
    a, b = _without(left, name), _without(right, name)
    if sign == "implies":
        return True if a is False or b is True else _both_known(a, b)
    if sign == "or":
        return True if True in (a, b) else _both_known(a, b)
    if sign == "and":
        return False if False in (a, b) else True if (a, b) == (True, True) else _both_known(a, b)
    if sign in _OF_TWO or sign == "in":
        return EMPTY if a == EMPTY or (b == EMPTY and sign != "in") else UNKNOWN
    return UNKNOWN


def _both_known(a: Known, b: Known) -> Known:
    """What is left of a logical operator that no side decides."""
    if UNKNOWN in (a, b):
        return UNKNOWN
    return EMPTY if EMPTY in (a, b) else False
