"""The packs of a folder: each is read when the first message needs one of its profiles, and then kept."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from converter.fhir.packs import read_head
from converter.fhir.profiles import Pack, Profile


class Library:
    """The packs of a folder. Choosing one reads the heads of all, and nothing else."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._packs: dict[Path, Pack] = {}

    def __iter__(self) -> Iterator[Pack]:
        """All packs, read if they were not yet."""
        return map(self._pack, self._heads)

    @cached_property
    def _heads(self) -> dict[Path, dict[str, Any]]:
        return {path: read_head(path) for path in sorted(self.folder.glob("*.json*"))}

    def _pack(self, path: Path) -> Pack:
        if path not in self._packs:
            self._packs[path] = Pack.load(path)
        return self._packs[path]

    def profile(self, canonical: str) -> Profile | None:
        """The profile with this URL (`url` or `url|version`): of the guide whose own it is, else of any pack."""
        url, _, version = canonical.partition("|")
        for path, head in self._heads.items():
            if head["profiles"].get(url) == version or (not version and url in head["profiles"]):
                return self._pack(path).profile(canonical)
        return next((found for pack in self if (found := pack.profile(canonical)) is not None), None)
