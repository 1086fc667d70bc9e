"""One letter type in one version, expanded."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cached_property

from converter.definitions.check import Checker
from converter.definitions.layout import Alias, Item
from converter.definitions.table import Row, table
from converter.definitions.tree import Element
from converter.definitions.values import Shape
from converter.issues import IssueLog
from converter.letter import Letter

_INDEX = re.compile(r"\[[1-9]\d{0,8}\]", re.ASCII)
_STEP = re.compile(r"([^.\[\]]+)(?:\[([1-9]\d{0,8})\])?", re.ASCII)


class Definition:
    """One letter type in one version: its element tree and, where it is known, its EDIFACT layout.

    `elements` are the children of the letter in XML order; the first is `Envelope`, which in OIOXML stands before the
    letter's root element. `namespace` is written; all of `namespaces` are read. `params` are the definition's own
    parameters (`assoc`, `type`, `unh` …).
    """

    def __init__(
        self,
        type: str,  # noqa: A002 - the word of the field
        version: str,
        *,
        root: str,
        namespaces: tuple[str, ...],
        tree: Element,
        layout: tuple[Item, ...] = (),
        aliases: tuple[Alias, ...] = (),
        params: Mapping[str, str],
    ) -> None:
        self.type = type
        self.version = version
        self.root = root
        self.namespaces = namespaces
        self.tree = tree
        self.layout = layout
        self.aliases = aliases
        self.params = dict(params)
        self.leaves: Mapping[str, Element] = {e.path: e for e in tree.walk() if e.is_leaf}
        self._elements = {e.path: e for e in tree.walk()}
        self._shapes = {path: self._shape(path) for path in self.leaves}
        self._by_id = {path: leaf for path, leaf in self.leaves.items() if self._shapes[path] == path}
        self._positions = {path: n for n, path in enumerate(self._elements)}

    def _shape(self, path: str) -> str:
        """A leaf id of that path with every index empty: `ClinicalInformation[].Text01`."""
        steps, found = "", []
        for name in path.split("."):
            steps = f"{steps}.{name}" if steps else name
            found.append(f"{name}[]" if self._elements[steps].repeats else name)
        return ".".join(found)

    def __repr__(self) -> str:
        return f"<Definition {self.type} {self.version}>"

    @property
    def namespace(self) -> str:
        """The namespace of the OIOXML form."""
        return self.namespaces[0]

    @property
    def elements(self) -> tuple[Element, ...]:
        """The children of the letter in XML order, `Envelope` first."""
        return self.tree.children

    @property
    def version_code(self) -> str:
        """OIOXML's VersionCode: the EDIFACT association code with an X before it."""
        return f"X{self.version}"

    @property
    def edifact(self) -> bool:
        """Whether its EDIFACT layout is known; without one it is read and written as OIOXML only."""
        return bool(self.layout)

    @property
    def untested(self) -> bool:
        """Whether nobody has compared its EDIFACT layout with real letters: it stands as published sources give it."""
        return self.edifact and "untested" in self.params

    def table(self) -> list[Row]:
        """One row a leaf, in OIOXML order: leaf, type, cardinality, EDIFACT position, XML path."""
        return table(self.root, self.tree, self.layout)

    def element(self, path: str) -> Element | None:
        """The element with that pattern path; the nameless root for an empty path."""
        return self._elements.get(path)

    def leaf(self, leaf_id: str) -> Element | None:
        """The leaf with that id; None if there is none, or if its indices are not just where elements repeat."""
        found = self._by_id.get(leaf_id)
        if found is None and "[" in leaf_id:
            found = self.leaves.get(_INDEX.sub("", leaf_id))
            if found is not None and _INDEX.sub("[]", leaf_id) != self._shapes[found.path]:
                return None
        return found

    def check(self, letter: Letter, log: IssueLog) -> Shape | None:
        """Report every breach of the definition in a letter: LTR010-026.

        Mandatory elements, choices, cardinality, lengths, code lists, constants, forms, days and times that do not
        exist are errors; a wrong GLN is a warning; modulus 11 of a CPR number is no rule. A place that the log already
        has an issue at is not reported again, so hand in the log that the reader filled. Nothing is said about a
        refused letter. Gives the letter's shape, the leaves that it has, if letters of the same shape came before.
        """
        return self._checker.check(letter, log)

    @cached_property
    def _checker(self) -> Checker:
        return Checker.of(f"{self.type} {self.version}", self.tree, self.leaf)

    def repeats(self, path: str) -> bool:
        """Whether the element with that pattern path may occur more than once. `KeyError` if there is none."""
        return self._elements[path].repeats

    def in_order(self, leaf_ids: Iterable[str]) -> list[str]:
        """The leaf ids sorted as they stand in OIOXML; unknown ones last, by name."""
        return sorted(leaf_ids, key=self._order)

    def _order(self, leaf: str) -> tuple[tuple[int, int], ...]:
        path, order = "", []
        for match in _STEP.finditer(leaf):
            path = f"{path}.{match[1]}" if path else match[1]
            order.append((self._positions.get(path, len(self._positions)), int(match[2] or 0)))
        return tuple(order)
