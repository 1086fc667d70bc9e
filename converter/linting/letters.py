"""What a letter type holds, for the checks of its mapping: elements of all its versions, their codes and lengths."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from types import MappingProxyType

from converter.definitions import Definition, Definitions
from converter.definitions.tree import Element


class LetterFacts:
    """One letter type. Facts are of the version that the mapping writes, and of the others where that has no such
    element: a rule must fit the letter that it writes, and may read any. `added` are elements that a letter has besides
    when others are joined to it."""

    def __init__(
        self, definitions: Definitions, type_: str, version: str, added: Mapping[str, Element] = MappingProxyType({})
    ) -> None:
        versions = [version, *(v for v in definitions.types.get(type_, ()) if v != version)]
        self._all: list[Definition] = [d for v in versions if (d := definitions.get(type_, v)) is not None]
        self._added = added
        self.element = cache(self._element)
        self.leaves = sorted({leaf for definition in self._all for leaf in definition.leaves})

    def __bool__(self) -> bool:
        return bool(self._all)

    def _element(self, path: str) -> Element | None:
        path = bare(path)
        return next((e for d in self._all if (e := d.element(path)) is not None), self._added.get(path))

    def codes(self, path: str) -> dict[str, None] | None:
        """The codes that an element may have in any version, in their order; None if it has no code list."""
        found: dict[str, None] = {}
        for definition in self._all:
            element = definition.element(bare(path))
            if element is not None and element.codes is not None:
                found.update(dict.fromkeys(element.codes.values))
            elif element is not None and element.type == "const" and element.const is not None:
                found[element.const] = None
            elif element is not None:
                return None
        return found or None

    def mandatory(self, path: str) -> bool:
        """Whether every letter of every version has the element, in every repetition of the groups around it."""
        return bool(self._all) and all(self._must(d, bare(path)) for d in self._all)

    @staticmethod
    def _must(definition: Definition, path: str) -> bool:
        names = path.split(".")
        steps = [definition.element(".".join(names[: n + 1])) for n in range(len(names))]
        return all(step is not None and (step.min > 0 or step.repeats) for step in steps)

    def repeated(self, path: str) -> str:
        """The innermost group around an element that may repeat; empty if none does."""
        names = bare(path).split(".")
        for end in range(len(names), 0, -1):
            element = self.element(".".join(names[:end]))
            if element is not None and element.repeats:
                return ".".join(names[:end])
        return ""

    def close(self, path: str) -> str:
        """An element that may have been meant, as words; empty if none is like it."""
        found = get_close_matches(bare(path), self.leaves, 1, 0.8)
        return f"; is {found[0]} meant?" if found else ""


@cache
def bare(path: str) -> str:
    """A letter path without indices and stars."""
    if "[" not in path:
        return path
    return ".".join(step.partition("[")[0] for step in path.split("."))
