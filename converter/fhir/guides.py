"""Guides of our own in their source form: YAML files of one folder, read and judged by their form.

`guide.yaml` says what the guide is called and which packages it builds on; every file of the folder may hold
`profiles`, `extensions`, `codesystems`, `valuesets` and `conceptmaps` (the form is described in the README of the
folder). Faults carry file, line and column; all faults of form of all files are told at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from converter.errors import MappingError
from converter.issues import IssueLog, Severity, declare
from converter.yamlfile import Map, Seq, Str, load, place

UNKNOWN_KEY = declare(
    "LNT210",
    "profile-source-key",
    Severity.ERROR,
    "{key!r} is not known here; known are {known}",
    why="What it was meant to say would silently be left out of the profile.",
    help="Correct the spelling, or move it to where it belongs.",
)
WRONG_VALUE = declare(
    "LNT211",
    "profile-source-value",
    Severity.ERROR,
    "{what} must be {expected}",
    why="The profile cannot be built without it.",
    help="Correct the value.",
)
GUIDE = "guide.yaml"
KINDS = ("profiles", "extensions", "codesystems", "valuesets", "conceptmaps")
_GUIDE_KEYS = ("guide", "version", "canonical", "title", "licence", "date", "publisher", "dependencies", *KINDS)
_FORMS = {
    "profiles": ("parent", "title", "description", "abstract", "elements", "extensions", "invariants"),
    "extensions": ("url", "title", "description", "context", "value", "parts"),
    "codesystems": ("title", "description", "codes", "codes_from", "content"),
    "valuesets": ("title", "description", "include"),
    "conceptmaps": ("title", "description", "source", "target", "depends_on", "map"),
}
_SAID = ("cardinality", "type", "targets", "profile", "aggregation", "fixed", "pattern", "binding", "strength")
_ELEMENT_KEYS = (*_SAID, "length", "short", "slicing", "closed", "slices", "elements", "extensions")
CARDINALITY = re.compile(r"(\d+)\.\.(\d+|\*)\Z")
_KEYED = re.compile(r"[A-Za-z0-9.-]{1,64}\Z")
_DISCRIMINATORS = ("value", "pattern", "exists", "type", "profile")


@dataclass
class Guide:
    """A guide in its source form: what stands in the files, with places, nothing resolved."""

    folder: Path
    facts: Map
    sources: dict[str, dict[Str, Map]] = field(default_factory=lambda: {kind: {} for kind in KINDS})

    @property
    def name(self) -> str:
        """`NAME#VERSION`."""
        return f"{self.facts['guide']}#{self.facts['version']}"

    @property
    def dependencies(self) -> dict[str, str]:
        """The packages that it builds on, name -> version."""
        return {str(n): str(v) for n, v in self.facts["dependencies"].items()}

    def url(self, kind: str, name: str) -> str:
        """The canonical URL of a definition of this guide."""
        return f"{self.facts['canonical']}/{kind}/{name}"


def find_guide(name: str, folder: Path) -> Guide | None:
    """The guide `NAME#VERSION` (or `NAME`) among the folders of sources in `folder`. Raises MappingError on faults."""
    for manifest in sorted(folder.glob(f"*/{GUIDE}")):
        guide = read_guide(manifest.parent)
        if name in (guide.name, guide.name.partition("#")[0]):
            return guide
    return None


def read_guide(folder: Path) -> Guide:
    """Read the source form of a guide. Raises MappingError with every fault of form in every file."""
    log = IssueLog()
    guide = Guide(folder, load(folder / GUIDE))
    reader = Reader(log)
    reader.keys(guide.facts, _GUIDE_KEYS)
    for key in ("guide", "version", "canonical", "licence", "date"):
        reader.text(guide.facts, key)
    if not isinstance(guide.facts.get("dependencies"), Map):
        log.add(WRONG_VALUE, place(guide.facts), what="dependencies", expected="a mapping of packages to versions")
    for path in sorted(folder.glob("*.yaml")):
        content = guide.facts if path.name == GUIDE else load(path)
        reader.keys(content, _GUIDE_KEYS if path.name == GUIDE else KINDS)
        for kind in KINDS:
            reader.definitions(content, kind, guide.sources[kind])
    reader.stop(f"the profiles of {folder} do not load")
    return guide


class Reader:
    """Judges the form of the sources."""

    def __init__(self, log: IssueLog) -> None:
        self.log = log

    def stop(self, message: str) -> None:
        """Raise MappingError if there were faults."""
        if self.log.issues:
            first = self.log.issues[0]
            raise MappingError(f"{message}: {first.at}: {first.message}", self.log)

    def keys(self, entries: Map, known: Sequence[str]) -> None:
        for key in entries:
            if key not in known:
                self.log.add(UNKNOWN_KEY, place(key), key=str(key), known=", ".join(known))

    def text(self, entries: Map, key: str) -> None:
        if not isinstance(entries.get(key), Str) or not entries[key]:
            self.log.add(WRONG_VALUE, place(entries.get(key, entries)), what=key, expected="a text")

    def definitions(self, content: Map, kind: str, into: dict[Str, Map]) -> None:
        """The definitions of one kind in one file."""
        for name, form in self.entries(content, kind):
            if not _KEYED.match(name):
                self.log.add(WRONG_VALUE, place(name), what="a name", expected="letters, digits, - and . (at most 64)")
            if name in into:
                self.log.add(WRONG_VALUE, place(name), what=f"the name {name}", expected="given once")
            if not isinstance(form, Map):
                self.log.add(WRONG_VALUE, place(form), what=str(name), expected="a mapping")
                continue
            into[name] = form
            self.keys(form, _FORMS[kind])
            getattr(self, "_" + kind)(name, form)

    def entries(self, owner: Map, key: str) -> Iterator[tuple[Str, Any]]:
        """The entries of a mapping that may be absent."""
        value = owner.get(key, Map())
        if isinstance(value, Map):
            yield from value.items()
        elif value != "":
            self.log.add(WRONG_VALUE, place(value), what=key, expected="a mapping")

    def _profiles(self, name: Str, form: Map) -> None:
        self.text(form, "parent")
        for _, element in self.entries(form, "elements"):
            self._element(element)
        for _, element in self.entries(form, "extensions"):
            self._element(element)
        for _, rule in self.entries(form, "invariants"):
            self._invariant(rule)

    def _invariant(self, rule: Any) -> None:
        if not isinstance(rule, Map):
            self.log.add(WRONG_VALUE, place(rule), what="an invariant", expected="a mapping")
            return
        self.keys(rule, ["at", "severity", "human", "expression"])
        for key in ("human", "expression"):
            self.text(rule, key)
        if rule.get("severity", "error") not in ("error", "warning"):
            self.log.add(WRONG_VALUE, place(rule["severity"]), what="severity", expected="error or warning")

    def _element(self, form: Any) -> None:
        if isinstance(form, Str):
            self._cardinality(form)
            return
        if not isinstance(form, Map):
            self.log.add(WRONG_VALUE, place(form), what="an element", expected="a cardinality or a mapping")
            return
        self.keys(form, _ELEMENT_KEYS)
        self._cardinality(form.get("cardinality", Str("0..1", place(form))))
        for kind, path in self.entries(form, "slicing"):
            if kind not in _DISCRIMINATORS or not isinstance(path, Str):
                expected = f"one of {', '.join(_DISCRIMINATORS)} and a path"
                self.log.add(WRONG_VALUE, place(kind), what="slicing", expected=expected)
        for key in ("slices", "elements", "extensions"):
            for _, below in self.entries(form, key):
                self._element(below)

    def _cardinality(self, text: Any) -> None:
        if not isinstance(text, Str) or not CARDINALITY.match(text):
            self.log.add(WRONG_VALUE, place(text), what="a cardinality", expected="like 0..1 or 1..*")

    def _extensions(self, name: Str, form: Map) -> None:
        if not isinstance(form.get("context"), Seq):
            self.log.add(WRONG_VALUE, place(form), what="context", expected="a list of elements")
        if ("value" in form) == ("parts" in form):
            self.log.add(WRONG_VALUE, place(form), what=str(name), expected="given either a value or parts")
        for part in [form.get("value"), *(p for _, p in self.entries(form, "parts"))]:
            if isinstance(part, Map):
                self._element(part)
                self.text(part, "type")

    def _codesystems(self, name: Str, form: Map) -> None:
        if sum(key in form for key in ("codes", "codes_from", "content")) != 1:
            self.log.add(
                WRONG_VALUE, place(form), what=str(name), expected="given one of codes, codes_from and content"
            )
        list(self.entries(form, "codes"))

    def _valuesets(self, name: Str, form: Map) -> None:
        parts = form.get("include")
        if not isinstance(parts, Seq) or not all(isinstance(p, Map) for p in parts):
            self.log.add(WRONG_VALUE, place(form), what="include", expected="a list of mappings")
            return
        for part in parts:
            self.keys(part, ["system", "codes", "valueset"])

    def _conceptmaps(self, name: Str, form: Map) -> None:
        for key in ("source", "target"):
            self.text(form, key)
        for _, targets in self.entries(form, "map"):
            for target in targets if isinstance(targets, Seq) else []:
                self.keys(target, ["to", "equivalence", "when"])
