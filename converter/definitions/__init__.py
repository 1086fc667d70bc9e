"""Letter definitions: what a message type is, as data (`mappings/letters`); no Python file knows a type's name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from converter.definitions.build import CodeLists, TreeBuilder
from converter.definitions.definition import Definition
from converter.definitions.drafts import Head, Library
from converter.definitions.faults import check_layout
from converter.definitions.layout import Alias, Item
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
    """All letter definitions of one folder. Each is built when it is first asked for."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._heads: dict[tuple[str, str], Head] = {}
        self._by_oioxml: dict[tuple[str, str, str], Head] = {}
        self._built: dict[tuple[str, str], Definition] = {}
        types: dict[str, tuple[str, ...]] = {}
        for head in library.heads():
            key = str(head.letter), head.version
            if key in self._heads:
                library.report(SAME, head.letter, type=key[0], version=key[1])
            self._heads[key] = head
            types[key[0]] = (*types.get(key[0], ()), head.version)
            for namespace in head.namespaces:
                self._by_oioxml[namespace, head.root, f"X{head.version}"] = head
        self.types: Mapping[str, tuple[str, ...]] = types

    @classmethod
    def load(cls, folder: Path, *, lazily: bool = False) -> Definitions:
        """Load `*.yaml`, `parts/` and `codes/` of a folder (`mappings/letters`).

        Raises `MappingError` with all faults of all files (LNT001–059) if there is any. `lazily`: files are read and
        nothing is built, so that a fault in a definition is raised by whatever asks for it first.
        """
        definitions = cls(Library.load(folder))
        if not lazily:
            for head in definitions._heads.values():
                definitions._build(head)
        definitions._raise()
        return definitions

    def _raise(self) -> None:
        if self._library.issues:
            first = self._library.issues[0]
            raise MappingError(f"{first.at}: {first.code} {first.message}", self._library.issues)

    def _definition(self, head: Head) -> Definition:
        found = self._built.get((str(head.letter), head.version)) or self._build(head)
        self._raise()
        assert found is not None
        return found

    def _build(self, head: Head) -> Definition | None:
        found = _built(self._library, head)
        if found is not None:
            self._built[str(head.letter), head.version] = found
        return found

    def get(self, type: str, version: str) -> Definition | None:  # noqa: A002 - the word of the field
        """The definition of a type in a version (`DIS91`, `D9134L`)."""
        built = self._built.get((type, version))
        if built is not None and not self._library.issues:
            return built
        head = self._heads.get((type, version))
        return self._definition(head) if head is not None else None

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
        head = self._by_oioxml.get((namespace, root, version_code))
        return self._definition(head) if head is not None else None

    def __iter__(self) -> Iterator[Definition]:
        return map(self._definition, self._heads.values())


def _built(library: Library, head: Head) -> Definition | None:
    draft = library.draft(head)
    if draft is None:
        return None
    codes = CodeLists(library, draft)
    tree = TreeBuilder(library, draft, codes).root()
    layout: tuple[Item, ...] = ()
    aliases: tuple[Alias, ...] = ()
    if draft.edifact is not None:
        builder = LayoutBuilder(library, tree, codes, draft.defaults)
        layout, aliases = builder.items(draft.edifact), builder.aliases(draft.aliases)
        check_layout(library, tree, layout, draft.unwired, aliases)
    return Definition(
        str(draft.letter),
        head.version,
        root=str(draft.root or ""),
        namespaces=tuple(str(n) for n in draft.namespaces) or ("",),
        tree=tree,
        layout=layout,
        aliases=aliases,
        params={k: str(v) for k, v in draft.params.items()},
    )


__all__ = ["Choice", "CodeList", "Definition", "Definitions", "Element"]
