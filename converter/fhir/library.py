"""The packs of a folder: which one judges a message, and each is read when the first message needs it.

Guides share canonical URLs: one URL may be in several packs, each with another version, and a guide's own version
counts. A message chooses by what it claims: `meta.profile`, with its version if it names one; else the version
of its MessageDefinition; else the newest. A message that claims no profile is chosen by the event of its header
(events.yaml). A version that no pack has is judged by one of the same major number; another major is not judged.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from converter.fhir.packs import read_head
from converter.fhir.profiles import Pack, Profile
from converter.yamlfile import load

EVENTS = "events.yaml"
_NUMBERS = re.compile(r"\d+")


class Library:
    """The packs of a folder. Choosing one reads the heads of all, and nothing else."""

    def __init__(self, folder: Path, codes: Mapping[str, dict[str, list[str]]] | None = None) -> None:
        """`codes`: code systems that the packs do not hold, system -> code -> displays (codes.py)."""
        self.folder = folder
        self._codes = codes or {}
        self._packs: dict[Path, Pack] = {}
        self._found: dict[tuple[str, int | None], Profile] = {}

    def __iter__(self) -> Iterator[Pack]:
        """All packs, read if they were not yet."""
        return map(self._pack, self._heads)

    def choose(self, bundle: Mapping[str, Any]) -> Profile | None:
        """The profile that a Bundle is judged by; None if no pack can."""
        header = _header(bundle)
        meant = _major(str(header.get("definition", "")).partition("|")[2])
        claims = _texts(_object(bundle.get("meta")).get("profile"))
        if claims and (found := self.profile(claims[0], meant)) is not None:
            return found
        event = _object(header.get("eventCoding"))
        usual = self._events.get((str(event.get("system")), str(event.get("code"))), "")
        for claim in claims or [usual]:
            found = self.profile(claim, meant) or self._shared(claim, usual, meant)
            if found is not None:
                return found
        return None

    def profile(self, canonical: str, major: int | None = None) -> Profile | None:
        """The profile with this URL (`url` or `url|version`) of a guide whose own it is; None if there is none.

        `major` decides among several guides if the URL has no version.
        """
        found = self._found.get((canonical, major))
        return found if found is not None else self._own(canonical, major)

    def any_profile(self, canonical: str) -> Profile | None:
        """The profile with this URL: of a guide whose own it is, else the newest that any pack holds."""
        return self.profile(canonical) or self._shared(canonical)

    def _shared(self, canonical: str, usual: str = "", major: int | None = None) -> Profile | None:
        """A profile that guides build on: in the pack of the message that is `usual` for the event, else the newest."""
        if not canonical or any(canonical.partition("|")[0] in head["profiles"] for head in self._heads.values()):
            return None  # it is a guide's own, in a version that is not here
        guide = self.profile(usual, major) if usual else None
        found = guide.pack.profile(canonical) if guide else None
        every = [p for pack in self if (p := pack.profile(canonical)) is not None]
        return found or max(every, key=lambda p: _order(p.version), default=None)

    def _own(self, canonical: str, major: int | None) -> Profile | None:
        url, _, version = canonical.partition("|")
        own = {h["profiles"][url]: path for path, h in self._heads.items() if url in h["profiles"]}
        chosen = nearest(version, list(own), major)
        profile = self._pack(own[chosen]).profile(url) if chosen else None
        # Only names that are ours are remembered: whatever else a message claims must not fill the memory.
        if profile and version in ("", chosen) and major in (None, _major(chosen)):
            self._found[canonical, major] = profile
        return profile

    @cached_property
    def _heads(self) -> dict[Path, dict[str, Any]]:
        return {path: read_head(path) for path in sorted(self.folder.glob("*.json*"))}

    @cached_property
    def _events(self) -> dict[tuple[str, str], str]:
        """(system, code) of an event -> the profile of its messages."""
        path = self.folder / EVENTS
        systems = load(path) if path.is_file() else {}
        return {(str(s), str(code)): str(url) for s, codes in systems.items() for code, url in codes.items()}

    def _pack(self, path: Path) -> Pack:
        if path not in self._packs:
            pack = Pack.load(path)
            self._packs[path] = pack.knowing(self._codes) if self._codes else pack
        return self._packs[path]


def nearest(version: str, known: list[str], major: int | None = None) -> str:
    """The version to judge by: the one named, else the newest of its major number; "" if there is none.

    Without a version the newest, of the `major` number if there is one of it.
    """
    if version in known:
        return version
    wanted = _major(version) if version else major
    same = [v for v in known if _major(v) == wanted]
    return max(same if version else same or known, key=_order, default="")


def _order(version: str) -> list[int]:
    return [int(n) for n in _NUMBERS.findall(version)]


def _major(version: str) -> int | None:
    found = _NUMBERS.match(version)
    return int(found[0]) if found else None


def _header(bundle: Mapping[str, Any]) -> Mapping[str, Any]:
    entries = bundle.get("entry")
    return _object(_object(entries[0]).get("resource")) if isinstance(entries, list) and entries else {}


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _texts(value: Any) -> list[str]:
    return [v for v in value if isinstance(v, str)] if isinstance(value, list) else []
