"""Letter definitions: what a message type is, as data (`mappings/letters`); no Python file knows a type's name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from converter.definitions.build import CodeLists, TreeBuilder
from converter.definitions.definition import Definition
from converter.definitions.drafts import Draft, Library
from converter.definitions.faults import check_layout
from converter.definitions.layout import Item
from converter.definitions.templates import LayoutBuilder
from converter.definitions.tree import Choice, CodeList, Element
from converter.errors import MappingError
from converter.issues import Severity, declare

SAME = declare(
    "LNT031",
    "definition-twice",
    Severity.ERROR,
    "{type} {version} is defined twice",
    why="Which definition a message gets would depend on the order of files.",
    help="Remove one, or give it the version that it is for.",
)


class Definitions:
    """All letter definitions of one folder."""

    def __init__(self, definitions: list[Definition]) -> None:
        self._by_version = {(d.type, d.version): d for d in definitions}
        self._by_oioxml = {(n, d.root, d.version_code): d for d in definitions for n in d.namespaces}
        types: dict[str, tuple[str, ...]] = {}
        for d in definitions:
            types[d.type] = (*types.get(d.type, ()), d.version)
        self.types: Mapping[str, tuple[str, ...]] = types

    @classmethod
    def load(cls, folder: Path) -> Definitions:
        """Load `*.yaml`, `parts/` and `codes/` of a folder (`mappings/letters`).

        Raises `MappingError` with all faults of all files (LNT001–059) if there is any.
        """
        library = Library.load(folder)
        definitions: list[Definition] = []
        for draft in library.drafts():
            definition = _built(library, draft)
            if any((d.type, d.version) == (definition.type, definition.version) for d in definitions):
                library.report(SAME, draft.letter, type=definition.type, version=definition.version)
            definitions.append(definition)
        if library.issues:
            first = library.issues[0]
            raise MappingError(f"{first.at}: {first.code} {first.message}", library.issues)
        return cls(definitions)

    def get(self, type: str, version: str) -> Definition | None:  # noqa: A002 - the word of the field
        """The definition of a type in a version (`DIS91`, `D9134L`)."""
        return self._by_version.get((type, version))

    def leaves(self, type: str) -> set[str] | None:  # noqa: A002
        """The leaves that a type has in any version; None for an unknown type."""
        found = [self.get(type, version) for version in self.types.get(type, ())]
        return {leaf for definition in found if definition for leaf in definition.leaves} if found else None

    def by_edifact(self, type: str, assoc: str) -> Definition | None:  # noqa: A002
        """The definition for UNH's type number and association code, if its EDIFACT layout is known."""
        found = self.get(type, assoc)
        return found if found is not None and found.edifact else None

    def by_oioxml(self, namespace: str, root: str, version_code: str) -> Definition | None:
        """The definition for an OIOXML letter: its namespace, its root element's name and its VersionCode."""
        return self._by_oioxml.get((namespace, root, version_code))

    def __iter__(self) -> Iterator[Definition]:
        return iter(self._by_version.values())


def _built(library: Library, draft: Draft) -> Definition:
    codes = CodeLists(library, draft)
    tree = TreeBuilder(library, draft, codes).root()
    layout: tuple[Item, ...] = ()
    if draft.edifact is not None:
        layout = LayoutBuilder(library, tree, codes).items(draft.edifact)
        check_layout(library, tree, layout, draft.unwired)
    version = draft.params.get("assoc", draft.letter)
    return Definition(
        str(draft.letter),
        str(version),
        root=str(draft.root or ""),
        namespaces=tuple(str(n) for n in draft.namespaces) or ("",),
        tree=tree,
        layout=layout,
        params={k: str(v) for k, v in draft.params.items()},
    )


__all__ = ["Choice", "CodeList", "Definition", "Definitions", "Element"]
