"""The beginning of a mapping file: every element of a letter and every required element of the profiles."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from converter.definitions import Definition, Definitions
from converter.errors import ConverterError
from converter.fhir.elements import Node
from converter.fhir.library import Library
from converter.fhir.packs import read_head
from converter.fhir.profiles import Pack, Profile

_ENGINE = frozenset(["id", "meta", "text", "type", "entry"])


class NotThereError(ConverterError):
    """No letter type or no profile of that name."""


def scaffold(folder: Path, type_: str, version: str, profile: str) -> str:
    """The text of a mapping file for a letter and a Bundle profile. Raises `NotThereError`."""
    definitions = Definitions.load(folder / "letters", lazily=True)
    versions = definitions.types.get(type_, ())
    definition = definitions.get(type_, version or versions[0]) if versions else None
    if definition is None:
        known = ", ".join(sorted(definitions.types))
        raise NotThereError(f"there is no letter {type_}{version and '@' + version}; known are {known}")
    found = Library(folder / "profiles").profile(profile)
    if found is None:
        raise NotThereError(f"no profile pack has the profile {profile}; see `medcom-fhir profiles list`")
    name = f"{type_}-{found.url.rpartition('/')[2]}".lower()
    lines = [*_head(name, definition, found.url), "resources:"]
    for number, (url, kind) in enumerate(_resources(folder, found)):
        lines += _resource(found.pack, url, kind, first=not number)
    lines += _letter(definition)
    return "\n".join(lines) + "\n"


def _head(name: str, definition: Definition, profile: str) -> Iterator[str]:
    yield "# yaml-language-server: $schema=../../converter/schemas/mapping.schema.json"
    yield "# COMPLETE: sources: which documents say what becomes of this letter."
    yield f"mapping: {name}"
    yield f"letter: {definition.type}"
    yield f"version: {definition.version}"
    yield f"bundle: {profile}"
    yield f"fullurl: {profile.partition('/StructureDefinition')[0]}"
    yield "uses: [slices]"
    yield "ids:"
    yield "  key: [$type, Letter.Identifier] # COMPLETE: what makes a letter unique; nothing of the patient"
    yield "  bundle: [Envelope.Identifier, $attempt]"


def _resources(folder: Path, found: Profile) -> list[tuple[str, str]]:
    """The guide's own profiles on resources with their types, the message header first."""
    heads = [read_head(path)["profiles"] for path in sorted((folder / "profiles").glob("*.json*"))]
    own: dict[str, str] = next((head for head in heads if head.get(found.url) == found.version), {})
    kinds = {url: facts for url in sorted(own) if (facts := found.pack.facts(url)) is not None}
    chosen = [(u, str(f["type"])) for u, f in kinds.items() if f["kind"] == "resource" and f["type"] != "Bundle"]
    return sorted(chosen, key=lambda one: one[1] != "MessageHeader")


def _resource(pack: Pack, url: str, type_: str, *, first: bool) -> Iterator[str]:
    yield f"  {url.rpartition('/')[2].rpartition('-')[2].lower()}:"
    yield f"    type: {type_}"
    yield f"    profile: {url}"
    yield f"    found: {'$first' if first else 'COMPLETE'}"
    yield "    rules:"
    tree = pack.tree(url)
    for node in tree.children.values() if tree is not None else ():
        if node.min and node.name not in _ENGINE:
            yield f"      {node.name.removesuffix('[x]').lower()}: {{from: COMPLETE, to: {_path(node)}}} # required"
    yield f"      # COMPLETE: the elements of {type_} that the letter has values for"


def _path(node: Node) -> str:
    """How the element is written in a rule."""
    name = next(iter(node.names()))
    return f'"{name}[0]"' if node.many else name


def _letter(definition: Definition) -> Iterator[str]:
    yield "# COMPLETE: every element of the letter: a rule of a resource above, or a line under its `ignore` or `keep`."
    for path, element in definition.leaves.items():
        must = "must stand" if element.min else "may stand"
        yield f"#   {path}: {element.facets}, {must}{', repeats' if element.repeats else ''}"
    yield "not_carried:"
    yield "  - {path: Bundle.type, constant: message}"
    yield "examples:"
    yield f"  - {{cases: fixtures/letters/{definition.type}}}"
