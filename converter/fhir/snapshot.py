"""Snapshots: what a profile says (its differential) written onto the whole element table of its parent.

Enough of the FHIR rules for profiles that narrow: elements of datatypes are unfolded where the differential goes into
them, slices are copies of the element that they slice, and what the profile says replaces what was said before.
A profile may only narrow; what would widen its parent is refused. Source: https://hl7.org/fhir/R4/profiling.html.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

Element = dict[str, Any]
Definition = dict[str, Any]
Find = Callable[[str], Definition | None]
Line = Callable[[str], list[str]]
BASE = "http://hl7.org/fhir/StructureDefinition/"
_STRENGTHS = ("example", "preferred", "extensible", "required")


class Refused(Exception):  # noqa: N818 - named for what happened, and always caught by the reader of sources
    """A line of the differential cannot be applied. `element` is its id, `reason` a sentence without its subject."""

    def __init__(self, element: str, reason: str) -> None:
        super().__init__(f"{element} {reason}")
        self.element = element
        self.reason = reason


class Snapshot:
    """The element table of a profile under construction, in the order of the snapshot.

    `find` gives the definition of a canonical URL, with its snapshot; `line` the URLs of a profile and of those that it
    is derived from, which must be known before its snapshot: profiles may name each other.
    """

    def __init__(self, parent: Definition, find: Find, line: Line) -> None:
        self.elements: list[Element] = copy.deepcopy(parent["snapshot"]["element"])
        self.find = find
        self.line = line
        self.by_id = {element["id"]: element for element in self.elements}

    def apply(self, change: Element) -> None:
        """Write one line of the differential onto its element. Raises Refused if it names none, or widens it."""
        element = self.element(change["id"])
        self._check(element, change)
        for name, value in change.items():
            if name == "constraint":
                element["constraint"] = [*element.get("constraint", []), *copy.deepcopy(value)]
            elif name not in ("id", "path"):
                element[name] = copy.deepcopy(value)

    def element(self, wanted: str) -> Element:
        """The element with this id; slices and elements of datatypes are made when they are first needed."""
        if wanted in self.by_id:
            return self.by_id[wanted]
        above, _, last = wanted.rpartition(".")
        if not above:
            raise Refused(wanted, "is not an element of the profile's type")
        owner = self.element(above)
        name, _, slice_name = last.partition(":")
        if slice_name:
            return self._slice(self.element(f"{above}.{name}"), slice_name)
        self._unfold(owner)
        if wanted not in self.by_id:
            raise Refused(wanted, "is not an element of its type")
        return self.by_id[wanted]

    def order(self) -> dict[str, int]:
        """Element id -> its place in the snapshot; a differential has the same order."""
        return {element["id"]: number for number, element in enumerate(self.elements)}

    def _slice(self, whole: Element, name: str) -> Element:
        """A new slice: a copy of the sliced element and all below it, after the slices that are there."""
        if "slicing" not in whole:
            raise Refused(whole["id"], "has slices but no slicing")
        inside = [e for e in self.elements if e is whole or e["id"].startswith(whole["id"] + ".")]
        made = [_moved(e, whole, f"{whole['id']}:{name}", whole["path"]) for e in inside]
        made[0].pop("slicing", None)
        made[0].update(sliceName=name, min=0)
        marks = (whole["id"] + ".", whole["id"] + ":")
        last = max(i for i, e in enumerate(self.elements) if e is whole or e["id"].startswith(marks))
        self._insert(last + 1, made)
        return made[0]

    def _unfold(self, owner: Element) -> None:
        """Put the elements of an element's type (or of the profile on its type) below it."""
        if any(e["id"].startswith(owner["id"] + ".") for e in self.elements):
            return
        types = owner.get("type", [])
        if len(types) != 1:
            raise Refused(owner["id"], "is of several types" if types else "has no elements of its own")
        profiles = types[0].get("profile", [])
        definition = self.find(profiles[0] if len(profiles) == 1 else BASE + types[0]["code"])
        if definition is None:
            raise Refused(owner["id"], f"is of a type that is not in the packages ({types[0]['code']})")
        root, *below = definition["snapshot"]["element"]
        made = [_moved(e, root, owner["id"], owner["path"]) for e in below]
        self._insert(next(i for i, e in enumerate(self.elements) if e is owner) + 1, made)

    def _insert(self, position: int, made: list[Element]) -> None:
        self.elements[position:position] = made
        self.by_id.update((e["id"], e) for e in made)

    def _check(self, element: Element, change: Element) -> None:
        """Refuse what would allow more than the parent does."""
        name = change["id"]
        merged = {**element, **change}
        least, most = merged["min"], merged["max"]
        if least < element["min"]:
            raise Refused(name, f"is at least {element['min']} in the parent")
        if _number(most) > _number(element["max"]):
            raise Refused(name, f"is at most {element['max']} in the parent")
        if _number(most) < least:
            raise Refused(name, "has a minimum above its maximum")
        for kind in change.get("type", ()):
            self._check_type(element, kind, name)
        if "binding" in element and "binding" in change:
            before, after = (_STRENGTHS.index(e["binding"]["strength"]) for e in (element, change))
            if after < before:
                raise Refused(name, f"has a {element['binding']['strength']} binding in the parent")

    def _check_type(self, element: Element, kind: dict[str, Any], name: str) -> None:
        before = [t for t in element.get("type", ()) if t["code"] == kind["code"]]
        if not before:
            raise Refused(name, f"cannot be a {kind['code']} in the parent")
        for key in ("targetProfile", "profile"):
            allowed = {u.partition("|")[0] for t in before for u in t.get(key, ())}
            for canonical in kind.get(key, ()):
                if allowed and BASE + "Resource" not in allowed and allowed.isdisjoint(self.line(canonical)):
                    raise Refused(name, f"may not name {canonical.rpartition('/')[2]} in the parent")


def _moved(element: Element, root: Element, new_id: str, new_path: str) -> Element:
    """A copy of an element as if `root`, above it, were called otherwise."""
    made = copy.deepcopy(element)
    made["id"] = new_id + element["id"][len(root["id"]) :]
    made["path"] = new_path + element["path"][len(root["path"]) :]
    return made


def _number(most: str) -> float:
    return float("inf") if most == "*" else int(most)
