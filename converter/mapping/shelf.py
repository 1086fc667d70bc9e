"""The mapping files of a folder: what each serves is known at once, what it says when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import NoReturn, Protocol

from converter.errors import MappingError
from converter.issues import Issue, IssueLog, Location, Severity, declare
from converter.mapping.codes import CodeMap, Loss, load_codes, load_losses
from converter.yamlfile import Map, loads, top

TWICE = declare(
    "LNT071",
    "mapping-twice",
    Severity.ERROR,
    "{other} is {what} {name!r} as well",
    why="Which of the two is used would depend on the names of their files.",
    help="Remove one, or give it the letter or the name that it is for.",
)


class Serving(Protocol):
    """What tells a mapping from others: its name, and the letters that it is for."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def letter(self) -> str:
        """The type of letters."""


class Shelf:
    """The mapping files of a folder as they were when this was made, and what all mappings share.

    Files go by their path in the folder. Each is parsed once, and only when it is asked for; one that changes meanwhile
    changes nothing here. Raises `MappingError` for code maps and losses that do not load, `OSError` for what cannot be
    read.
    """

    def __init__(self, folder: Path) -> None:
        own = sorted((folder / "fhir").glob("*.yaml"))
        parts = [path for path in sorted((folder / "fhir" / "parts").glob("*.yaml")) if path.is_file()]
        self._bytes = {path.relative_to(folder).as_posix(): path.read_bytes() for path in (*own, *parts)}
        self._parsed: dict[str, Map] = {}
        self.files = list(self._bytes)[: len(own)]
        codes = folder / "codes"
        self.codes: dict[str, CodeMap] = load_codes(codes, {p: f"codes/{p.name}" for p in codes.glob("*.yaml")})
        self.losses: dict[str, Loss] = load_losses(folder / "losses.yaml", "losses.yaml")

    def __contains__(self, file: str) -> bool:
        return file in self._bytes

    def get(self, file: str) -> Map:
        """What a file says, not to be changed by who gets it. Raises `MappingError`."""
        if file not in self._parsed:
            self._parsed[file] = loads(self._bytes[file], name=file)
        return self._parsed[file]

    def top(self, file: str, *keys: str) -> dict[str, str]:
        """The texts under some keys at the top of a file; no more of it is parsed. Raises `MappingError`."""
        return top(self._bytes[file], keys, name=file)


class Unread:
    """A mapping file of which no more is known than what it serves."""

    def __init__(self, shelf: Shelf, file: str, refuse: Callable[[], NoReturn]) -> None:
        """Look at the beginning of a file. Raises `MappingError` if that does not say which letters it is for.

        `refuse` raises all faults of the folder; it is called where the rest of the file has any.
        """
        found = shelf.top(file, "mapping", "letter")
        if len(found) < 2:
            raise MappingError(f"{file} does not say what it is for")
        self._shelf, self.file, self._refuse = shelf, file, refuse
        self.name, self.letter = found["mapping"], found["letter"]

    @cached_property
    def bundle(self) -> str:
        """The profile of the Bundles, as the file or the nearest one that it extends says it; empty if none does."""
        file, seen = self.file, set[str]()
        while file in self._shelf and file not in seen:
            seen.add(file)
            try:
                found = self._shelf.top(file, "bundle", "extends")
            except MappingError:
                self._refuse()
            if "bundle" in found:
                return found["bundle"]
            file = f"fhir/{found.get('extends')}.yaml"
        return ""


def twice(found: Iterable[tuple[Serving, str]]) -> list[Issue]:
    """The mappings, each given with its file, that have a name or a type of letter that another one has."""
    log, seen = IssueLog(), dict[tuple[str, str], str]()
    for mapping, file in found:
        for what, name in (("the mapping", mapping.name), ("a mapping of", mapping.letter)):
            other = seen.setdefault((what, name), file)
            if other != file:
                log.add(TWICE, Location(file, 1, 1), other=other, what=what, name=name)
    return log.issues
