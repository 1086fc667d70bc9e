"""The grammar of segment templates and of the items around them: from YAML to a layout.

A template is a segment as it stands on the wire: `+` and `:` separate, everything else is literal, except

    {Path}  a field; `{/Path}` from the root of the letter; `{=Path}` an echo; `{#S01}` `{#each}` a counter
    @LIST.n through column n of a code list      !name  through a codec      |x  filler for an absent value
    ||x filler that also reads as absent         |x?Path filler while a sibling exists
    ~ formatted text, alone the format's place   ^  a logical line
    %name  left out where it is the text that the default of that name has
    [..] around an element: it lives by its first field
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from converter.definitions.build import CodeLists
from converter.definitions.drafts import SHAPE, Library
from converter.definitions.layout import Alias, Component, Default, Group, Item, Piece, Repeat, SegmentTemplate, Slot
from converter.definitions.tree import Element
from converter.definitions.wire import CODECS
from converter.issues import IssueKind, Severity, declare
from converter.yamlfile import Map, Str, place

TEMPLATE = declare(
    "LNT032",
    "template-syntax",
    Severity.ERROR,
    "the template cannot be read: {problem}",
    why="The segment could be neither read nor written.",
    help="Compare with another template; a template that holds `{{#`, `: ` or ` #` needs quotes.",
)
PATH = declare(
    "LNT033",
    "template-path-unknown",
    Severity.ERROR,
    "the elements have no leaf {path!r}",
    why="The value would be lost when the letter is read, and never be written.",
    help="Correct the path; it counts from the scope (`at`, `each`), with a slash before it from the letter's root.",
)
FIELD = declare(
    "LNT037",
    "template-field",
    Severity.ERROR,
    "the field {path!r} cannot stand here: {problem}",
    why="Its value could not go to the wire and come back.",
    help="Correct the template or the type of the element.",
)

_FIELD = re.compile(r"([=#/]*)([A-Za-z0-9_.\[\]]*)")
_INDEX = re.compile(r"\[\d+\]")
_TRIGGER = re.compile(r"S\d\d\Z")
_TAG = re.compile(r"[A-Z][A-Z0-9]{2}\Z")
_SEGMENT_KEYS = {"name", "first", "wins", "unless", "opt", "seg"}
_GROUP_KEYS = {"name", "group", "at", "each", "limit", "overflow", "items"}
_REPEAT_KEYS = {"name", "each", "items", "choice", "by", "set"}


class TemplateError(Exception):
    """A template that cannot be read: kind and facts of the issue."""

    def __init__(self, kind: IssueKind, **facts: Any) -> None:
        super().__init__(kind.code)
        self.kind = kind
        self.facts = facts


class LayoutBuilder:
    """Builds the layout of one draft; faults go to the library."""

    def __init__(self, library: Library, tree: Element, codes: CodeLists, defaults: Mapping[str, Any]) -> None:
        self._library, self._tree, self._codes, self._defaults = library, tree, codes, defaults

    def items(self, raw: Any, scope: str = "") -> tuple[Item, ...]:
        """The items of a list; what cannot be understood is reported and left out."""
        found: list[Item] = []
        for entry in self._library.sequence(raw, "the segment templates"):
            item: Item | None = None
            if isinstance(entry, Str):
                item = self._segment(entry, scope)
            elif isinstance(entry, Map) and "group" in entry:
                item = self._group(entry, scope)
            elif isinstance(entry, Map) and "each" in entry:
                item = self._repeat(entry, scope)
            elif isinstance(entry, Map) and ("opt" in entry or "seg" in entry):
                item = self._keyed(entry, scope)
            else:
                what = "an item of the layout"
                self._library.report(
                    SHAPE, entry, what=what, wanted="a template, or have `opt`, `seg`, `group`, `each`"
                )
            if item is not None:
                found.append(item)
        return tuple(found)

    def _keyed(self, entry: Map, scope: str) -> SegmentTemplate | None:
        self._library.known_keys(entry, _SEGMENT_KEYS, "a segment")
        unless = self._path(entry["unless"], scope) if "unless" in entry else ""
        source = entry.get("opt", entry.get("seg"))
        if not isinstance(source, Str):
            self._library.report(SHAPE, entry, what="a segment", wanted="a template")
            return None
        return self._segment(
            source,
            scope,
            required="seg" in entry,
            name=str(entry.get("name", "")),
            first=entry.get("first") == "true",
            wins=entry.get("wins") == "true",
            unless=unless or "",
        )

    def _group(self, entry: Map, scope: str) -> Group | None:
        self._library.known_keys(entry, _GROUP_KEYS, "a group")
        trigger = str(entry["group"])
        if not _TRIGGER.match(trigger):
            self._library.report(
                SHAPE, entry["group"], what="group", wanted="the tag of a trigger segment, such as S01"
            )
            return None
        scope = self._element(entry["at"], scope) if "at" in entry else scope
        each = self._element(entry["each"], scope) if "each" in entry else ""
        return Group(
            trigger,
            self.items(entry.get("items"), each or scope),
            each=each,
            limit=self._limit(entry["limit"]) if "limit" in entry else None,
            overflow=self._overflow(entry["overflow"]) if "overflow" in entry else None,
            name=str(entry.get("name", "")),
            at=place(entry),
        )

    def _limit(self, raw: Any) -> tuple[str, int] | None:
        if isinstance(raw, Map) and len(raw) == 1:
            ((tag, number),) = raw.items()
            if str(number).isdigit():
                return str(tag), int(number)
        self._library.report(SHAPE, raw, what="limit", wanted="{TAG: number}")
        return None

    def _overflow(self, raw: Any) -> tuple[str, int, int] | None:
        if isinstance(raw, Map) and set(raw) == {"tag", "segments", "groups"}:
            segments, groups = str(raw["segments"]), str(raw["groups"])
            if segments.isdigit() and groups.isdigit():
                return str(raw["tag"]), int(segments), int(groups)
        self._library.report(SHAPE, raw, what="overflow", wanted="{tag: TAG, segments: number, groups: number}")
        return None

    def _repeat(self, entry: Map, scope: str) -> Repeat | None:
        self._library.known_keys(entry, _REPEAT_KEYS, "a repetition")
        path = self._element(entry["each"], scope)
        if "choice" not in entry:
            return Repeat(path, self.items(entry.get("items"), path), name=str(entry.get("name", "")), at=place(entry))
        templates = self._library.sequence(entry["choice"], "choice")
        by = [str(b) for b in self._library.sequence(entry.get("by"), "by")]
        if len(by) != len(templates):
            self._library.report(SHAPE, entry["choice"], what="choice", wanted="as long as `by`")
            return None
        fills = self._library.mapping(entry.get("set"), "set")
        choices = []
        for name, source in zip(by, templates, strict=True):
            self._element(Str(name, place(source)), path)
            given = self._library.mapping(fills.get(name), "set")
            filled = tuple((f"{path}.{k}", str(v)) for k, v in given.items() if self._path(k, path))
            if template := self._segment(source, path, fills=filled):
                choices.append(template)
        return Repeat(path, choices=tuple(choices), by=tuple(f"{path}.{b}" for b in by), at=place(entry))

    def _element(self, path: Any, scope: str) -> str:
        full = path[1:] if path.startswith("/") else f"{scope}.{path}" if scope else str(path)
        if self._tree.find(full) is None:
            self._library.report(PATH, path, path=full)
        return str(full)

    def _path(self, path: Any, scope: str) -> str:
        """The full path of a leaf, empty (with an issue) if there is none."""
        full = path[1:] if path.startswith("/") else f"{scope}.{path}" if scope else str(path)
        found = self._tree.find(_INDEX.sub("", full))
        if found is None or not found.is_leaf:
            self._library.report(PATH, path, path=full)
            return ""
        return str(full)

    def aliases(self, raw: Any) -> tuple[Alias, ...]:
        """The aliases of a list."""
        found = []
        for entry in self._library.sequence(raw, "aliases"):
            entry = self._library.mapping(entry, "an alias")
            self._library.known_keys(entry, {"when", "set", "move"}, "an alias")
            parts = [self._library.mapping(entry.get(key), key) for key in ("when", "set", "move")]
            for leaf in (*parts[0], *parts[1], *parts[2], *parts[2].values()):
                self._path(leaf, "")
            found.append(Alias(*(tuple((str(k), str(v)) for k, v in part.items()) for part in parts)))
        return tuple(found)

    # -- templates

    def _segment(self, source: Any, scope: str, **facts: Any) -> SegmentTemplate | None:
        if not isinstance(source, Str):
            self._library.report(SHAPE, source, what="a segment", wanted="a template")
            return None
        try:
            tag, *elements = _split(source, "+")
            if not _TAG.match(tag):
                raise TemplateError(TEMPLATE, problem=f"{tag!r} is no segment tag")
            slots = tuple(self._slot(e, scope, source) for e in elements)
            template = SegmentTemplate(tag, slots, str(source), starts=_start_values(slots), at=source.at, **facts)
            _check_kind(template)
        except TemplateError as fault:
            self._library.report(fault.kind, source, **fault.facts)
            return None
        return template

    def _slot(self, text: str, scope: str, source: Str) -> Slot:
        optional = text.startswith("[")
        if optional != text.endswith("]"):
            raise TemplateError(TEMPLATE, problem="brackets must stand around a whole element")
        body = text[1:-1] if optional else text
        components = tuple(self._component(c, scope, source) for c in _split(body, ":"))
        if optional and not any(p.own for c in components for p in c):
            raise TemplateError(TEMPLATE, problem="nothing in the brackets can be absent")
        return Slot(components, optional)

    def _component(self, text: str, scope: str, source: Str) -> Component:
        pieces = []
        for part in re.findall(r"\{[^{}]*\}|[^{}]+", text):
            pieces.append(self._field(part[1:-1], scope, source) if part[0] == "{" else _literal(part))
        if len(pieces) > 1 and any(p.leaf is not None and not (p.codec and p.codec.width) for p in pieces):
            raise TemplateError(TEMPLATE, problem="fields that share a component need codecs of fixed width")
        return tuple(pieces)

    def _field(self, text: str, scope: str, source: Str) -> Piece:
        match = _FIELD.match(text)
        assert match is not None
        marks, path, rest = match[1], match[2], text[match.end() :]
        if "#" in marks:
            return Piece(counter=path)
        full = self._path(Str(("/" if "/" in marks else "") + path, source.at), scope)
        facts: dict[str, Any] = {"echo": "=" in marks}
        leaf = self._tree.find(_INDEX.sub("", full)) if full else None
        while rest:
            suffix = re.match(r"([~^])|@(\w+)(?:\.(\d))?|!(\w+)|(\|\|?)([^?|@!%]*)(?:\?([\w.]+))?|%(\w+)", rest)
            if suffix is None:
                raise TemplateError(TEMPLATE, problem=f"the suffix {rest!r} means nothing")
            facts.update(self._suffix(suffix, path, scope, source))
            rest = rest[suffix.end() :]
        piece = Piece(path=full, leaf=leaf, **facts)
        if leaf is not None:
            _check_field(piece)
        return piece

    def _suffix(self, suffix: re.Match[str], path: str, scope: str, source: Str) -> dict[str, Any]:
        if suffix[1]:
            return {"text" if suffix[1] == "~" else "line": True}
        if suffix[2]:
            codes, column = self._codes.get(suffix[2], source), int(suffix[3] or 1)
            if codes is not None and not 1 <= column <= codes.columns:
                raise TemplateError(FIELD, path=path, problem=f"{codes.name} has no column {column}")
            return {"codes": codes, "column": column}
        if suffix[4]:
            if suffix[4] not in CODECS:
                raise TemplateError(FIELD, path=path, problem=f"there is no codec {suffix[4]!r}")
            return {"codec": CODECS[suffix[4]]}
        if suffix[8]:
            return {"default": self._default(suffix[8], path, scope, source)}
        condition = self._path(Str(suffix[7], source.at), scope) if suffix[7] else ""
        return {"filler": suffix[6], "filler_reads": suffix[5] == "||", "filler_if": condition}

    def _default(self, name: str, path: str, scope: str, source: Str) -> Default | None:
        spec = self._library.mapping(self._defaults.get(name), f"the default {name}")
        when = self._library.mapping(spec.get("when"), "when")
        if set(spec) != {"code", "when", "texts"} or len(when) != 1:
            what = f"the default {name}"
            self._library.report(SHAPE, spec or source, what=what, wanted="{code, when: {Name: value}, texts: LIST}")
            return None
        beside = path.rpartition(".")[0]
        code, guard = (self._path(Str(f"{beside}.{n}" if beside else n, n.at), scope) for n in (spec["code"], *when))
        return Default(code, guard, str(next(iter(when.values()))), self._codes.texts(spec["texts"], spec["texts"]))


def _literal(text: str) -> Piece:
    if text != text.strip():
        raise TemplateError(TEMPLATE, problem="there is a blank beside a separator")
    return Piece(format=True) if text == "~" else Piece(literal=text)


def _split(text: str, separator: str) -> list[str]:
    """Split outside of braces and brackets."""
    parts, depth, start = [], 0, 0
    for index, char in enumerate(text):
        depth += (char in "{[") - (char in "}]")
        if char == separator and depth == 0:
            parts.append(text[start:index])
            start = index + 1
    if depth:
        raise TemplateError(TEMPLATE, problem="a brace or bracket has no partner")
    return [*parts, text[start:]]


def _start_values(slots: tuple[Slot, ...]) -> frozenset[str] | None:
    if not slots or slots[0].optional:
        return None
    component = slots[0].components[0]
    if not component:
        return frozenset([""])
    if len(component) > 1 or component[0].counter:
        return None
    piece = component[0]
    if piece.literal:
        return frozenset([piece.literal])
    if piece.codes is None or piece.codes.other:
        return None
    if piece.column == 1:
        return frozenset(piece.codes.read)
    return frozenset(row[piece.column - 1] for row in piece.codes.rows.values() if row)


def _check_field(piece: Piece) -> None:
    leaf = piece.leaf
    assert leaf is not None
    if piece.text != (leaf.type == "text"):
        raise TemplateError(FIELD, path=piece.path, problem="`~` and the type text belong together")
    if leaf.codes is not None and piece.codes is None:
        raise TemplateError(FIELD, path=piece.path, problem="a code needs a code list (`@LIST`)")
    if leaf.codes is not None and piece.codes is not None and piece.codes.other is None:
        missing = [v for v in leaf.codes.values if v not in piece.codes.rows]
        if missing:
            raise TemplateError(FIELD, path=piece.path, problem=f"{piece.codes.name} has no row for {missing[0]}")


def _check_kind(template: SegmentTemplate) -> None:
    if template.kind == "object" and len(list(template.pieces())) != 1:
        raise TemplateError(TEMPLATE, problem="beside the bytes of an object nothing can stand")
    if template.kind == "text" and sum(p.format for p in template.pieces()) != 1:
        raise TemplateError(TEMPLATE, problem="formatted text needs one `~` for its format code")
    if template.kind == "lines":
        last = template.slots[-1]
        if not all(len(c) == 1 and c[0].line for c in last.components):
            raise TemplateError(TEMPLATE, problem="logical lines (`^`) must fill the last element")
        if any(p.own for s in template.slots[:-1] for c in s.components for p in c):
            raise TemplateError(TEMPLATE, problem="no other field may stand beside logical lines (`^`)")


__all__ = ["LayoutBuilder", "TemplateError"]
