"""Mapping files that extend another one (`extends: NAME`): what they say again replaces, by name, what the base says.

The merged file is read like any other; every value keeps the place where it was written.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from converter.yamlfile import Map, Seq, Str, place

REMOVE = "remove"
REMOVED = "removed"
"""Stands for a rule of the base that the overlay removed, so that one of the same name in a part goes too."""
_BY_NAME = ("tables", "bundle_rules")
_SHALLOW = ("ids", "origin", "answers")
_BEFORE = ("ignore", "keep", "not_carried", "fixed", "fold")

Complain = Callable[[Str], None]


def merged(base: Map, over: Map, complain: Complain) -> Map:
    """The base with an overlay on top. `complain` is told the names of things to remove that are not there."""
    result = _over(base, over, lambda key, old, new: _top(key, old, new, complain))
    result.pop("extends", None)
    if "examples" not in over:
        result.pop("examples", None)
    return result


def _top(key: str, old: Any, new: Any, complain: Complain) -> Any:
    if key == "resources":
        return _by_name(old, new, complain, _resource)
    if key in _BY_NAME:
        return _by_name(old, new, complain)
    if key in _SHALLOW:
        return _over(old, new, _replaced)
    if key == "back":
        return _over(old, new, lambda k, o, n: _by_name(o, n, complain) if k == "rules" else _replaced(k, o, n))
    if key == "uses":
        return _joined(old, [name for name in new if name not in old])
    return _replaced(key, old, new)


def _replaced(key: str, old: Any, new: Any) -> Any:
    return _joined(new, old) if key in _BEFORE else new


def _resource(old: Map, new: Map) -> Map:
    """A resource with what is said again of it; what else it has (a guard, a maximum) goes with `KEY: remove`."""
    result = _over(old, new, lambda key, o, n: _rules(o, n) if key == "rules" else _replaced(key, o, n))
    for key in [key for key, value in new.items() if value == REMOVE and key in old]:
        del result[key]
    return result


def _rules(old: Map, new: Map) -> Map:
    """Rules by name; what is to be removed may stand in a part, which the reader knows."""
    return _over(old, new, lambda key, o, n: Str(REMOVED, place(n)) if n == REMOVE else n)


def _by_name(old: Map, new: Map, complain: Complain, both: Callable[[Any, Any], Any] | None = None) -> Map:
    for key, value in new.items():
        if value == REMOVE and key not in old:
            complain(key)
    result = _over(old, new, lambda key, o, n: both(o, n) if both and isinstance(n, Map) else n)
    for key in [key for key, value in result.items() if value == REMOVE]:
        del result[key]
    return result


def _over(old: Map, new: Map, both: Callable[[str, Any, Any], Any]) -> Map:
    """The keys of both, the old ones in their order; `both` decides for a key that stands in both."""
    if not isinstance(old, Map) or not isinstance(new, Map):
        return new
    keys = {str(key): key for key in new}
    result = Map({keys.get(k, k): both(str(k), v, new[k]) if k in new else v for k, v in old.items()})
    result.update({key: value for key, value in new.items() if key not in old})
    result.at = new.at
    return result


def _joined(first: Any, second: Any) -> Seq:
    items = Seq([*first, *second])
    items.at = getattr(first, "at", place(second))
    return items
