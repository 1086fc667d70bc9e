"""From the files under `mappings/letters` to one plain draft a letter type and version.

Parts are put in place, sister types and versions are laid over their base by name, parameters are filled in. What
comes out is still YAML (every value knows its place); `tree.py` and `layout.py` give it meaning.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from converter.errors import MappingError
from converter.issues import Issue, IssueKind, Severity, declare
from converter.yamlfile import Map, Seq, Str, fault, load, place

VERSION_KEYS = {
    "namespace",
    "root",
    "params",
    "codes",
    "types",
    "elements",
    "edifact",
    "unwired",
    "defaults",
    "aliases",
}
KEYS = VERSION_KEYS | {"letter", "extends", "uses", "versions"}
PART_KEYS = {"params", "types", "elements", "segments"}
UNPUBLISHED = "unpublished"
"""Value of `edifact:` of a version whose EDIFACT layout nobody has published: it is read and written as OIOXML only."""

_Node = TypeVar("_Node", Map, Seq)
_PARAM = re.compile(r"\$(?:\{(\w+)\}|([a-z][a-z0-9]*))")

KEY = declare(
    "LNT020",
    "definition-key",
    Severity.ERROR,
    "{problem} key {key!r} in {where}",
    why="A key that nobody reads is an intention without effect; without a required one there is no definition.",
    help="Compare with a definition that loads, in the folder mappings/letters of the program.",
)
SHAPE = declare(
    "LNT021",
    "definition-shape",
    Severity.ERROR,
    "{what} must be {wanted}",
    why="The value cannot be understood, so the whole definition is refused.",
    help="Compare with a definition that loads, in the folder mappings/letters of the program.",
)
PART = declare(
    "LNT022",
    "unknown-part",
    Severity.ERROR,
    "no part named {name!r} in the files that this letter uses",
    why="The elements or segments of the part would be missing.",
    help="Name the file that holds the part under `uses:`, or correct the name.",
)
PARAM = declare(
    "LNT023",
    "unresolved-parameter",
    Severity.ERROR,
    "the parameter ${name} has no value",
    why="The dollar sign and the name would be sent as if they were content.",
    help="Give it under `params:`, or where the part is used.",
)
OVERLAY = declare(
    "LNT024",
    "overlay-names-nothing",
    Severity.ERROR,
    "the overlay names {name!r}, which its base does not have",
    why="An overlay that silently changes nothing leaves a version equal to its base.",
    help="Give the item of the base a `name:`, or correct the name.",
)

TWICE = declare(
    "LNT030",
    "element-twice",
    Severity.ERROR,
    "the element {name!r} stands twice in one parent",
    why="A leaf id must name one element.",
    help="Remove one of them, or make one element that repeats.",
)


@dataclass(slots=True)
class Draft:
    """One letter type in one version, before its trees are built. All values still know where they stand."""

    letter: Str
    root: Str | None = None
    namespaces: list[Str] = field(default_factory=list)
    params: dict[str, Str] = field(default_factory=dict)
    codes: dict[str, Any] = field(default_factory=dict)
    types: dict[str, Any] = field(default_factory=dict)
    elements: Map = field(default_factory=Map)
    edifact: Seq | None = None
    unwired: list[Str] = field(default_factory=list)
    defaults: dict[str, Any] = field(default_factory=dict)
    aliases: Seq = field(default_factory=Seq)


@dataclass(frozen=True, slots=True)
class Head:
    """What identifies one version of a letter, and where it stands: a file, and the overlay in it if it is one."""

    letter: Str
    version: str
    root: str
    namespaces: tuple[str, ...]
    doc: Map
    overlay: Str | None


@dataclass(slots=True)
class Library:
    """The files of one folder: letters by type, parts by file name, code lists by list name; and all faults found."""

    letters: dict[str, Map] = field(default_factory=dict)
    parts: dict[str, Map] = field(default_factory=dict)
    codes: dict[str, Any] = field(default_factory=dict)
    issues: list[Issue] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)
    """Names of files that do not load: what builds on one of them is not a fault of its own."""

    @classmethod
    def load(cls, folder: Path) -> Library:
        """Read all files; faults go to `issues`, and a file that does not load is left out."""
        library = cls()
        for path, doc in library._documents(sorted(folder.glob("*.yaml"))):
            library.letters[str(doc.get("letter", path.stem))] = doc
        for path, doc in library._documents(sorted((folder / "parts").glob("*.yaml"))):
            library.known_keys(doc, PART_KEYS, f"the part {path.stem}")
            library.parts[path.stem] = doc
        for _, doc in library._documents(sorted((folder / "codes").glob("*.yaml"))):
            for key, rows in doc.items():
                if key in library.codes:
                    library.report(KEY, key, problem="second", key=str(key), where="the code lists")
                library.codes[key] = rows
        return library

    def _documents(self, paths: Iterable[Path]) -> Iterable[tuple[Path, Map]]:
        for path in paths:
            try:
                yield path, load(path)
            except MappingError as error:
                self.issues.extend(error.issues)
                self.broken.add(path.stem)

    def report(self, kind: IssueKind, value: object, **facts: Any) -> None:
        """Add a fault at the place of a loaded value, once (a base is expanded again for every version)."""
        issue = fault(kind, value, **facts)
        if issue not in self.issues:
            self.issues.append(issue)

    def known_keys(self, entries: Map, known: set[str], where: str) -> None:
        """Report every key that is not among the known ones."""
        for key in entries:
            if key not in known:
                self.report(KEY, key, problem="unknown", key=str(key), where=where)

    def mapping(self, value: Any, what: str) -> Map:
        """The value if it is a mapping; an empty one, with an issue unless it was left empty, otherwise."""
        if isinstance(value, Map):
            return value
        if value not in ("", None):
            self.report(SHAPE, value, what=what, wanted="a mapping")
        return Map()

    def sequence(self, value: Any, what: str) -> Seq:
        """The value if it is a list; an empty one, with an issue unless it was left empty, otherwise."""
        if isinstance(value, Seq):
            return value
        if value not in ("", None):
            self.report(SHAPE, value, what=what, wanted="a list")
        return Seq()

    def heads(self) -> Iterable[Head]:
        """What identifies each version of each letter, the default version of a letter first; nothing is expanded."""
        for doc in self.letters.values():
            if not isinstance(doc.get("letter"), Str):
                self.report(KEY, doc, problem="missing", key="letter", where="a letter definition")
                continue
            chain = [doc, *self._sisters(doc)]
            params = [self.mapping(d.get("params"), "params") for d in chain]
            version = str(next((p["assoc"] for p in params if "assoc" in p), doc["letter"]))
            root = str(next((d["root"] for d in chain if "root" in d), ""))
            names = next((d["namespace"] for d in chain if "namespace" in d), "")
            yield Head(doc["letter"], version, root, _names(names), doc, None)
            for name, overlay in self.mapping(doc.get("versions"), "versions").items():
                changes = self.mapping(overlay, "a version")
                own = self.mapping(changes.get("params"), "params")
                version = str(own.get("assoc", name))
                namespaces = _names(changes.get("namespace", names))
                yield Head(doc["letter"], version, str(changes.get("root", root)), namespaces, doc, name)

    def draft(self, head: Head) -> Draft | None:
        """The expanded draft of one version; None, with issues, if there is none."""
        doc = head.doc
        self.known_keys(doc, KEYS, "a letter definition")
        base = self._base(doc)
        if base is None:
            return None
        if head.overlay is None:
            return self.filled(base)
        changes = self.mapping(doc["versions"][head.overlay], "a version")
        self.known_keys(changes, VERSION_KEYS, f"the version {head.overlay}")
        draft = self._laid_over(base, changes, doc)
        draft.params["assoc"] = Str(head.version, place(head.overlay))
        return self.filled(draft)

    def _sisters(self, doc: Map) -> list[Map]:
        """The letters that a letter extends, nearest first; a chain that leads nowhere or in a ring just ends."""
        found: list[Map] = []
        while "extends" in doc:
            sister = self.letters.get(str(doc["extends"]).removesuffix(".yaml"))
            if sister is None or any(sister is known for known in [doc, *found]):
                break
            found.append(sister)
            doc = sister
        return found

    def _base(self, doc: Map) -> Draft | None:
        start = Draft(letter=doc["letter"])
        if "extends" in doc:
            sisters = self._sisters(doc)
            last = [doc, *sisters][-1]
            if "extends" in last:
                if str(last["extends"]).removesuffix(".yaml") not in self.broken:
                    wanted = "another letter that does not extend this one"
                    self.report(SHAPE, doc["extends"], what="extends", wanted=wanted)
                return None
            inherited = self._base(sisters[0])
            if inherited is None:
                return None
            start = replace(inherited, letter=doc["letter"])
        draft = self._laid_over(start, doc, doc)
        for key, value in (("root", draft.root), ("namespace", draft.namespaces), ("elements", draft.elements)):
            if not value:
                self.report(KEY, doc, problem="missing", key=key, where="a letter definition")
        return draft

    def _laid_over(self, base: Draft, changes: Map, doc: Map) -> Draft:
        """A copy of the draft with the changes of an overlay; `doc` names the parts that may be used."""
        chain = [*reversed(self._sisters(doc)), doc]
        parts = self._used([name for letter in chain for name in self.sequence(letter.get("uses"), "uses")])
        draft = replace(base, params=dict(base.params), codes=dict(base.codes), types=dict(base.types))
        for part in parts.docs:
            for name, value in self.mapping(part.get("params"), "params").items():
                draft.params.setdefault(name, value)
            draft.types.update(self.mapping(part.get("types"), "types"))
        draft.root = changes.get("root", draft.root)
        if "namespace" in changes:
            names = changes["namespace"]
            draft.namespaces = list(names) if isinstance(names, Seq) else [names]
        draft.params.update(self.mapping(changes.get("params"), "params"))
        draft.codes.update(self.mapping(changes.get("codes"), "codes"))
        draft.types.update(self.mapping(changes.get("types"), "types"))
        if "defaults" in changes:
            draft.defaults = {**base.defaults, **self.mapping(changes["defaults"], "defaults")}
        if "aliases" in changes:
            draft.aliases = self.sequence(changes["aliases"], "aliases")
        if "unwired" in changes:
            draft.unwired = list(self.sequence(changes["unwired"], "unwired"))
        elements = self._inlined(self.mapping(changes.get("elements"), "elements"), parts, 0)
        draft.elements = self._merged(base.elements, elements)
        if "edifact" in changes:
            draft.edifact = self._layout(base.edifact, changes["edifact"], parts)
        return draft

    def _used(self, uses: list[Any]) -> _Parts:
        parts = _Parts()
        for name in uses:
            doc = self.parts.get(name)
            if doc is None:
                self.report(PART, name, name=str(name))
                continue
            parts.docs.append(doc)
            parts.elements.update(self.mapping(doc.get("elements"), "elements"))
            parts.segments.update(self.mapping(doc.get("segments"), "segments"))
        return parts

    # -- elements

    def _inlined(self, entries: Map, parts: _Parts, depth: int) -> Map:
        """A copy in which every `$part` key has given way to the elements of the part."""
        result = _like(entries)
        for key, value in entries.items():
            if key.startswith("$") and key not in (*_BESIDE, "$rename", "$type"):
                name = key[1:]
                if name not in parts.elements or depth > 10:
                    self.report(PART, key, name=name)
                    continue
                given = self.mapping(value, f"the parameters of {key}")
                body = self.mapping(parts.elements[name], f"the part {name}")
                inlined = self._inlined(_substituted(body, given), parts, depth + 1)
                for name in inlined:
                    self._once(result, name)
                result.update(inlined)
            else:
                self._once(result, key)
                result[key] = self._inlined(value, parts, depth) if isinstance(value, Map) else value
        return result

    def _once(self, entries: Map, key: Str) -> None:
        if any(_bare(have) == _bare(key) for have in entries):
            self.report(TWICE, key, name=_bare(key))

    def _merged(self, base: Map, changes: Map) -> Map:
        """The base with the changes by element name; whatever the base does not have is added."""
        result = _like(base)
        result.update(base)
        for key, value in changes.items():
            have = next((k for k in result if _bare(k) == _bare(key)), None)
            if value == "remove" or (isinstance(value, Map) and "$rename" in value):
                if have is None:
                    self.report(OVERLAY, key, name=_bare(key))
                else:
                    result = _replaced(result, have, None if value == "remove" else value["$rename"])
                continue
            new = value
            if have is None:
                result = self._added(result, key, value)
                continue
            if isinstance(value, Map) and isinstance(result[have], Map):
                new = self._merged(result[have], value)
            result = _replaced(result, have, key, new)
        return result

    def _added(self, entries: Map, key: Str, value: Any) -> Map:
        """The entries with one more, beside the element that `$after` or `$before` names, else last."""
        marks = {k: v for k, v in value.items() if k in _BESIDE} if isinstance(value, Map) else {}
        if not marks:
            entries[key] = value
            return entries
        ((how, beside),) = marks.items()
        body = _like(value)
        body.update((k, v) for k, v in value.items() if k not in _BESIDE)
        if not any(_bare(k) == beside for k in entries):
            self.report(OVERLAY, beside, name=str(beside))
        result = _like(entries)
        for have, item in entries.items():
            if _bare(have) != beside:
                result[have] = item
                continue
            new = {key: body.get("$type", body)}
            result.update(new | {have: item} if how == "$before" else {have: item} | new)
        return result

    # -- segment templates

    def _layout(self, base: Seq | None, changes: Any, parts: _Parts) -> Seq | None:
        if isinstance(changes, Str) and changes == UNPUBLISHED:
            return None
        if isinstance(changes, Seq):
            return self._items(changes, parts, 0)
        items = base if base is not None else Seq()
        for name, change in self.mapping(changes, "edifact").items():
            new = change
            if isinstance(change, Map):
                new = _like(change)
                new.update((how, self._items(_listed(body), parts, 0)) for how, body in change.items())
            items, found = _renewed(items, name, new)
            if not found or not (change == "remove" or (isinstance(change, Map) and set(change) <= _CHANGES)):
                self.report(OVERLAY, name, name=str(name))
        return items

    def _items(self, items: Seq, parts: _Parts, depth: int) -> Seq:
        """A copy in which every `part:` item has given way to the segment templates of the part."""
        result = _like(items)
        for item in items:
            if isinstance(item, Map) and "part" in item:
                name = item["part"]
                if name not in parts.segments or depth > 10:
                    self.report(PART, name, name=str(name))
                    continue
                body = self.sequence(parts.segments[name], f"the part {name}")
                given = {k: v for k, v in item.items() if k != "part"}
                result.extend(self._items(_substituted(body, given), parts, depth + 1))
            elif isinstance(item, Map):
                copy = _like(item)
                for key, value in item.items():
                    copy[key] = self._items(value, parts, depth) if isinstance(value, Seq) else value
                result.append(copy)
            else:
                result.append(item)
        return result

    # -- parameters

    def filled(self, draft: Draft) -> Draft:
        """The draft with every parameter in it replaced by its value; a parameter without one is reported."""
        params = draft.params
        for _ in range(3):
            params = {name: _substituted(value, params) for name, value in params.items()}
        new = replace(draft, params=params)
        new.elements, new.types = _substituted(draft.elements, params), _substituted(draft.types, params)
        new.edifact = None if draft.edifact is None else _substituted(draft.edifact, params)
        new.defaults = _substituted(draft.defaults, params)
        for value in (new.elements, new.types, new.edifact, new.defaults):
            self._unresolved(value)
        return new

    def _unresolved(self, value: Any) -> None:
        if isinstance(value, Str):
            for match in _PARAM.finditer(value):
                self.report(PARAM, value, name=match[1] or match[2])
        elif isinstance(value, dict):
            for item in value.values():
                self._unresolved(item)
        elif isinstance(value, Seq):
            for item in value:
                self._unresolved(item)


@dataclass(slots=True)
class _Parts:
    docs: list[Map] = field(default_factory=list)
    elements: dict[str, Any] = field(default_factory=dict)
    segments: dict[str, Any] = field(default_factory=dict)


_CHANGES = {"replace", "after", "before"}
_BESIDE = ("$after", "$before")


def _names(value: Any) -> tuple[str, ...]:
    return tuple(str(n) for n in value) if isinstance(value, Seq) else (str(value),)


def _bare(key: str) -> str:
    return key.rstrip("0123456789").rstrip("~*+") if key.rstrip("0123456789")[-1:] in ("~", "*", "+") else str(key)


def _like(value: _Node) -> _Node:
    new = type(value)()
    new.at = place(value)
    return new


def _listed(value: Any) -> Seq:
    if isinstance(value, Seq):
        return value
    items = Seq([value])
    items.at = place(value)
    return items


def _replaced(entries: Map, have: Any, key: Any | None, value: Any = None) -> Map:
    """A copy without the key `have`, or with another key (and value, if one is given) in its place."""
    result = _like(entries)
    for k, v in entries.items():
        if k == have:
            if key is not None:
                result[key] = v if value is None else value
        else:
            result[k] = v
    return result


def _substituted(value: Any, params: Mapping[str, Any]) -> Any:
    """A copy with the known parameters filled in, others left as they are."""
    if isinstance(value, Str):
        if "$" not in value:
            return value
        text = _PARAM.sub(lambda m: str(params.get(m[1] or m[2], m[0])), value)
        return value if text == value else Str(text, value.at)
    if isinstance(value, Map):
        entries = _like(value)
        entries.update((k, _substituted(v, params)) for k, v in value.items())
        return entries
    if isinstance(value, dict):
        return {k: _substituted(v, params) for k, v in value.items()}
    if isinstance(value, Seq):
        items = _like(value)
        items.extend(_substituted(v, params) for v in value)
        return items
    return value


def _renewed(items: Seq, name: str, change: Any) -> tuple[Seq, bool]:
    """A copy with the change made at the item with that name, at any depth; and whether there is one."""
    result, found = _like(items), False
    for item in items:
        if not isinstance(item, Map):
            result.append(item)
        elif item.get("name") == name:
            found = True
            changes = change if isinstance(change, Map) else {}
            result.extend(changes.get("before", ()))
            if "replace" in changes:
                result.extend(changes["replace"])
            elif change != "remove":
                result.append(item)
            result.extend(changes.get("after", ()))
        else:
            copy = _like(item)
            for key, value in item.items():
                below = False
                if isinstance(value, Seq):
                    value, below = _renewed(value, name, change)
                copy[key], found = value, found or below
            result.append(copy)
    return result, found


__all__ = ["KEY", "SHAPE", "TWICE", "UNPUBLISHED", "Draft", "Head", "Library"]
