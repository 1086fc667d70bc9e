"""From a draft to code lists and the element tree."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from converter.definitions.drafts import SHAPE, TWICE, Draft, Library
from converter.definitions.tree import GROUP, Choice, CodeList, Element, plain_type, split_key
from converter.issues import Severity, declare
from converter.yamlfile import Map, Seq, Str, place

ELEMENT_KEY = declare(
    "LNT025",
    "element-key",
    Severity.ERROR,
    "{key!r} is not an element name with a cardinality",
    why="Name and cardinality stand in the key, so nothing of the element is known.",
    help="Write the name and nothing (1..1), `~` (0..1), `*` (0..n), `+` (1..n); a number after * or + is the maximum.",
)
TYPE = declare(
    "LNT026",
    "unknown-type",
    Severity.ERROR,
    "{text!r} is no type",
    why="Values of the element could not be checked.",
    help="Write an..35, an10, an0..9, text, date, time, seconds, size, flag, base64, `code LIST`, `const X`, or a type "
    "of a part's `types:`.",
)
LIST = declare(
    "LNT027",
    "unknown-code-list",
    Severity.ERROR,
    "no code list named {name!r}",
    why="Codes could be neither checked nor translated.",
    help="Add the list to a file in `codes/`, or correct the name.",
)
INVERTIBLE = declare(
    "LNT028",
    "code-list-not-invertible",
    Severity.ERROR,
    "in the code list {name}, the code {code!r} stands for two values",
    why="A letter that is written and read again would have another content.",
    help="Correct the row, or move a spelling that is only read to `$read`.",
)
COLUMNS = declare(
    "LNT029",
    "code-list-columns",
    Severity.ERROR,
    "in the code list {name}, this row has {found} columns where others have {wanted}",
    why="Each column of a row goes to a component of its own.",
    help="Give every row the same number of columns; `[]` for a value that has no code.",
)
ABSENT = declare(
    "LNT041",
    "absent-not-readable",
    Severity.ERROR,
    "in the code list {name}, what is written for an absent value reads as nothing",
    why="The constant on the wire would be reported as an unknown code when the letter comes back.",
    help="Make `$absent` the columns of a row.",
)


class CodeLists:
    """The code lists that one draft may name: its own before the folder's, `$extends` resolved."""

    def __init__(self, library: Library, draft: Draft) -> None:
        self._library = library
        self._raw = {**library.codes, **draft.codes}
        self._built: dict[str, CodeList | None] = {}

    def get(self, name: str, where: object) -> CodeList | None:
        """The list with that name; None, with an issue at the place that named it, if there is none."""
        if name not in self._built:
            self._built[name] = None  # a list that extends itself ends here
            if name in self._raw:
                self._built[name] = self._build(name, self._library.mapping(self._raw[name], f"the code list {name}"))
        if self._built[name] is None:
            self._library.report(LIST, where, name=name)
        return self._built[name]

    def texts(self, name: str, where: object) -> Mapping[str, str]:
        """A list of texts by code; empty, with an issue at the place that named it, if there is none."""
        if name not in self._raw:
            self._library.report(LIST, where, name=name)
            return {}
        raw = self._library.mapping(self._raw[name], f"the list of texts {name}")
        base = self.texts(str(raw["$extends"]), raw["$extends"]) if "$extends" in raw else {}
        return {**base, **{str(code): str(text) for code, text in raw.items() if not code.startswith("$")}}

    def _build(self, name: str, raw: Map) -> CodeList | None:
        base = self.get(str(raw["$extends"]), raw["$extends"]) if "$extends" in raw else None
        rows: dict[str, tuple[str, ...]] = dict(base.rows) if base else {}
        spelled = {code: value for code, value in base.read.items() if rows[value][:1] != (code,)} if base else {}
        for value, columns in raw.items():
            if value.startswith("$"):
                continue
            if isinstance(columns, Str) and columns == "remove":
                rows.pop(str(value), None)
            else:
                rows[str(value)] = _columns(columns)
        codes = {row[0] for row in rows.values() if row}
        extra = {code: value for code, value in spelled.items() if value in rows and code not in codes}
        extra.update((str(k), str(v)) for k, v in self._library.mapping(raw.get("$read"), "$read").items())
        absent = _columns(raw["$absent"]) if "$absent" in raw else base.absent if base else None
        other = _columns(raw["$other"]) if "$other" in raw else base.other if base else None
        empty = str(raw["$empty"]) if "$empty" in raw else base.empty if base else None
        width = self._width(name, rows, raw)
        prefix = raw.get("$match") == "prefix" or (base is not None and base.prefix)
        read = {} if prefix else self._inverse(name, rows, extra, raw)
        built = CodeList(name, rows, read, absent, other, empty, width, prefix)
        if empty is not None and empty not in rows:
            self._library.report(INVERTIBLE, raw.get("$empty", raw), name=name, code="")
        if absent and absent[0] not in built.read:
            self._library.report(ABSENT, raw.get("$absent", raw), name=name)
        return built

    def _width(self, name: str, rows: dict[str, tuple[str, ...]], raw: Map) -> int:
        widths = {len(row) for row in rows.values() if row}
        for value, columns in raw.items():
            found = len(_columns(columns))
            if not value.startswith("$") and found and found != max(widths):
                self._library.report(COLUMNS, columns, name=name, found=found, wanted=max(widths))
        return max(widths, default=1)

    def _inverse(self, name: str, rows: dict[str, tuple[str, ...]], extra: dict[str, str], raw: Map) -> dict[str, str]:
        read: dict[str, str] = {}
        for value, row in rows.items():
            if row and row[0] in read:
                self._library.report(INVERTIBLE, raw.get(value, raw), name=name, code=row[0])
            elif row:
                read[row[0]] = value
        for code, value in extra.items():
            if code in read or value not in rows:
                self._library.report(INVERTIBLE, raw.get("$read", raw), name=name, code=code)
            read.setdefault(code, value)
        return read


def _columns(value: Any) -> tuple[str, ...]:
    if isinstance(value, Seq):
        return tuple(str(v) for v in value)
    return (str(value),)


class TreeBuilder:
    """Builds the element tree of one draft."""

    def __init__(self, library: Library, draft: Draft, codes: CodeLists) -> None:
        self._library, self._draft, self._codes = library, draft, codes

    def root(self) -> Element:
        """The tree below a nameless root; faults go to the library."""
        children, choices = self._children(self._draft.elements, "")
        return Element("", "", 1, 1, GROUP, children, choices=choices, at=place(self._draft.letter))

    def _children(self, entries: Map, parent: str) -> tuple[tuple[Element, ...], tuple[Choice, ...]]:
        children: list[Element] = []
        choices: list[Choice] = []
        for key, value in entries.items():
            if key.startswith("one_of"):
                members = self._library.mapping(value, "one_of")
                label = str(key).rstrip("~")
                found = [(k, e) for k, v in members.items() if (e := self._element(k, v, parent, label))]
                names = tuple(e.name for k, e in found if not k.endswith("~"))  # others may stand beside the last
                choices.append(Choice(label, names, not key.endswith("~")))
                children += [e for _, e in found]
            elif element := self._element(key, value, parent, ""):
                children.append(element)
        seen: set[str] = set()
        for child in children:
            if child.name in seen:
                self._library.report(TWICE, Str(child.name, child.at), name=child.name)
            seen.add(child.name)
        return tuple(children), tuple(choices)

    def _element(self, key: Str, value: Any, parent: str, choice: str) -> Element | None:
        parsed = split_key(key)
        if parsed is None:
            self._library.report(ELEMENT_KEY, key, key=str(key))
            return None
        name, low, high = parsed
        path = f"{parent}.{name}" if parent else name
        low = 0 if choice else low
        if isinstance(value, Map):
            children, choices = self._children(value, path)
            return Element(name, path, low, high, GROUP, children, choice, choices, at=place(key))
        if not isinstance(value, Str):
            self._library.report(SHAPE, key, what=f"the element {name}", wanted="a type or a mapping of children")
            return None
        facts = self._type(value, value)
        return None if facts is None else Element(name, path, low, high, choice=choice, at=place(key), **facts)

    def _type(self, text: str, where: Str, depth: int = 0) -> dict[str, Any] | None:
        """The facts of a type expression, as arguments of `Element`; None, with an issue, if it is none."""
        body, found, const = text.partition("const ")
        if found:
            facts = self._type(body.strip(), where, depth) if body.strip() else {"type": "const"}
            return None if facts is None else {**facts, "const": const}
        if text.startswith("code "):
            codes = self._codes.get(text.removeprefix("code ").strip(), where)
            return None if codes is None else {"type": "code", "codes": codes}
        plain = plain_type(text)
        if plain is not None:
            return {"type": plain[0], "length": plain[1]}
        named = self._draft.types.get(text)
        if not isinstance(named, Map) or "is" not in named or depth > 5 or set(named) - {"is", "pattern", "check"}:
            self._library.report(TYPE, where, text=text)
            return None
        facts = self._type(str(named["is"]), where, depth + 1)
        if facts is not None:
            facts.update({k: str(v) for k, v in named.items() if k != "is"})
            if not _compiles(facts.get("pattern", "")):
                self._library.report(TYPE, named["pattern"], text=str(named["pattern"]))
                return None
        return facts


def _compiles(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True
