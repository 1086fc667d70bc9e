"""Reading FHIR packages from a folder, and choosing the versions that belong to one implementation guide.

Canonical URLs are the same in every version of a guide, so there is no such thing as one map from URL to definition:
each guide gets a registry of its own, made of the package versions that it depends on. Where a package occurs in
several versions, the one nearest to the guide wins, and a pinned reference (`url|version`) is honoured first.
Source: https://hl7.org/fhir/packages.html, and the published quality reports of MedCom's guides.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from converter.errors import ProfileError

DEFAULT_FOLDER = Path.home() / ".fhir" / "packages"
KINDS = ("StructureDefinition", "ValueSet", "CodeSystem")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*#[A-Za-z0-9][A-Za-z0-9._-]*\Z")

Definition = dict[str, Any]


@dataclass(frozen=True)
class Package:
    """One package of the folder. `name` is `NAME#VERSION`; `depth` is its distance from the guide (0: the guide)."""

    name: str
    licence: str
    depth: int
    path: Path


@dataclass
class Closure:
    """A guide and everything it depends on, nearest first. `missing` lists packages that the folder does not hold."""

    guide: str
    packages: list[Package] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    _known: dict[str, dict[str, Definition]] = field(default_factory=dict)
    _home: dict[int, Package] = field(default_factory=dict)

    def find(self, canonical: str) -> Definition | None:
        """The definition with this canonical URL: the pinned version if it is here, else the nearest one."""
        url, _, version = canonical.partition("|")
        versions = self._known.get(url)
        if not versions:
            return None
        return versions.get(version) or next(iter(versions.values()))

    def home(self, definition: Definition) -> Package:
        """The package that a definition came from."""
        return self._home[id(definition)]

    def of_kind(self, kind: str) -> Iterator[Definition]:
        """All definitions of a kind (`StructureDefinition`, …), the nearest version of each URL, sorted by URL."""
        for _, versions in sorted(self._known.items()):
            first = next(iter(versions.values()))
            if first["resourceType"] == kind:
                yield first

    def own(self) -> list[Definition]:
        """The StructureDefinitions of the guide itself, sorted by URL."""
        return [d for d in self.of_kind("StructureDefinition") if self.home(d).depth == 0]

    def of_guide(self) -> Iterator[Definition]:
        """All definitions of the guide itself, sorted by URL."""
        for _, versions in sorted(self._known.items()):
            yield from (d for d in versions.values() if self.home(d).depth == 0)

    def include(self, definitions: list[Definition]) -> None:
        """Take in the definitions of the guide itself, which come from no file. They win over all others."""
        for definition in definitions:
            known = self._known.pop(definition["url"], {})
            self._know(definition, self.packages[0])
            self._known[definition["url"]].update(known)

    def _add(self, package: Package) -> None:
        for file in sorted(package.path.glob("*.json")):
            if file.name.startswith(KINDS):
                definition = _read(file)
                # A supplement only adds translations to another code system: it must not pass for that system.
                if definition.get("content") != "supplement" and "url" in definition:
                    self._know(definition, package)

    def _know(self, definition: Definition, package: Package) -> None:
        versions = self._known.setdefault(definition["url"], {})
        if definition.get("version", "") not in versions:
            versions[definition.get("version", "")] = definition
            self._home[id(definition)] = package


def _read(file: Path) -> Definition:
    try:
        content = orjson.loads(file.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise ProfileError(f"{file} cannot be read as JSON") from error
    if not isinstance(content, dict):
        raise ProfileError(f"{file} does not hold a JSON object")
    return content


def read_closure(guide: str, folder: Path) -> Closure:
    """Read a guide (`NAME#VERSION`) and its dependencies from `folder`, breadth first.

    Dependencies that the folder does not hold are listed in `missing`. Raises ProfileError if the guide itself is not
    there or a file cannot be read.
    """
    if not is_package_name(guide):
        raise ProfileError(f"not a package name and version (NAME#VERSION): {guide!r}")
    closure = Closure(guide)
    _follow(closure, deque([(guide, 0)]), folder)
    if not closure.packages or closure.packages[0].name != guide:
        raise ProfileError(f"{guide} is not in {folder}")
    return closure


def read_dependencies(guide: str, licence: str, dependencies: dict[str, str], folder: Path) -> Closure:
    """The closure of a guide that is no package (yet): what it builds on, read from `folder`, and a place for it."""
    closure = Closure(guide, [Package(guide, licence, 0, folder)])
    _follow(closure, deque((f"{n}#{v}", 1) for n, v in dependencies.items()), folder)
    return closure


def is_package_name(text: str) -> bool:
    """Whether a text is `NAME#VERSION`, and so safe as the name of a folder."""
    return _NAME.match(text) is not None


def _follow(closure: Closure, waiting: deque[tuple[str, int]], folder: Path) -> None:
    seen = set()
    while waiting:
        name, depth = waiting.popleft()
        if name in seen:
            continue
        seen.add(name)
        manifest = folder / name / "package" / "package.json"
        if not is_package_name(name) or not manifest.is_file():
            closure.missing.append(name)
            continue
        facts = _read(manifest)
        package = Package(name, str(facts.get("license", "")), depth, manifest.parent)
        closure.packages.append(package)
        closure._add(package)
        waiting.extend((f"{n}#{v}", depth + 1) for n, v in (facts.get("dependencies") or {}).items())
