"""Shared parts of mapping files, applied with parameters, and slices: how an item of a list is known and written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from converter.mapping import paths
from converter.mapping.rules import BAD_FORM, UNKNOWN_NAME, Faults, plain
from converter.mapping.shelf import Shelf
from converter.yamlfile import Map, Seq, Str


class Parts:
    """The parts and slices that a mapping file uses."""

    def __init__(self, shelf: Shelf, faults: Faults) -> None:
        self.shelf, self.complain = shelf, faults.add
        self.slices: dict[str, paths.Slice] = {}
        self.parts: dict[str, Map] = {}

    def use(self, name: Str) -> None:
        """Take over all that a file of parts has."""
        file = f"fhir/parts/{name}.yaml"
        if not re.fullmatch(r"[a-z0-9-]+", name) or file not in self.shelf:
            self.complain(UNKNOWN_NAME, name, what="the part file", name=str(name))
            return
        part = self.shelf.get(file)
        for key, entry in part.get("slices", {}).items():
            if isinstance(entry, Map):
                self.slices[str(key)] = self._slice(key, entry)
            else:
                self.complain(BAD_FORM, key, problem="a slice is a mapping")
        self.parts.update({str(key): entry for key, entry in part.get("parts", {}).items()})

    def applied(self, applied: Map) -> Map:
        """A part with its parameters filled in."""
        part = self.parts.get(str(applied.get("part", "")))
        if part is None:
            self.complain(UNKNOWN_NAME, applied, what="the part", name=str(applied.get("part", "")))
            return Map()
        given = {str(k): str(v) for k, v in applied.get("with", {}).items()}
        wanted = [str(p) for p in part.get("params", ())]
        if sorted(given) != sorted(wanted):
            self.complain(BAD_FORM, applied, problem=f"the part takes {', '.join(wanted) or 'no parameters'}")
            return Map()
        result: Map = _substitute(part, given)
        return result

    def _slice(self, key: Str, entry: Map) -> paths.Slice:
        name, also = str(key), tuple(str(v) for v in entry.get("also", ()))
        if "has" in entry:
            return paths.Slice(name, has=str(entry["has"]))
        if "on" in entry:
            return self._pattern(key, entry, also)
        keys = [k for k in entry if k not in ("also", "otherwise")]
        if len(keys) != 1:
            self.complain(BAD_FORM, key, problem="a slice has one key, or `has`, or `on`, `is` and `write`")
            return paths.Slice(name)
        values = (str(entry[keys[0]]), *also)
        return paths.Slice(name, str(keys[0]), values, otherwise_first=entry.get("otherwise") == "first")

    def _pattern(self, key: Str, entry: Map, also: tuple[str, ...]) -> paths.Slice:
        """A slice that is recognised by a value deep in the item; what it writes must be recognised again."""
        unknown = [k for k in entry if k not in ("on", "is", "also", "write")]
        if unknown or not isinstance(entry.get("is"), Str) or not isinstance(entry.get("write"), Map):
            self.complain(BAD_FORM, key, problem="a slice with `on` has `is` and `write`, and may have `also`")
            return paths.Slice(str(key))
        values = (str(entry["is"]), *also)
        found = paths.Slice(str(key), values=values, on=tuple(entry["on"].split(".")), write=plain(entry["write"]))
        if not found.holds(found.write):
            self.complain(BAD_FORM, entry["write"], problem=f"what {str(key)!r} writes is not what it recognises")
        return found


def _substitute(value: Any, given: Mapping[str, str]) -> Any:
    """A copy of a loaded value with every `$name` replaced, places kept."""
    if isinstance(value, Str):
        if "$" not in value:
            return value
        text = str(value)
        for name, replacement in given.items():
            text = re.sub(rf"\${name}\b", replacement.replace("\\", r"\\"), text)
        return Str(text, value.at)
    if isinstance(value, Map):
        copy = Map({_substitute(key, given): _substitute(item, given) for key, item in value.items()})
        copy.at = value.at
        return copy
    if isinstance(value, Seq):
        items = Seq(_substitute(item, given) for item in value)
        items.at = value.at
        return items
    return value
