"""One letter about which there is nothing to say, read by regular expressions that its definition gives.

Nearly every input is one. What is read here is a small part of XML: start and end tags without attributes, empty
elements, and text with the five entities that XML has by itself. What stands before the Envelope is judged by the
parser, once. Everything else, and everything that would be reported, is left to the other reader.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from converter.definitions import Definition, Definitions, Element
from converter.issues import IssueLog
from converter.letter import Letter, Places, Text, Value
from converter.limits import Limits
from converter.oioxml.document import label_of, parse
from converter.oioxml.faults import IGNORED_ATTRIBUTES
from converter.oioxml.source import XmlSource
from converter.oioxml.text import MARKUP, PLAIN, has_escaped_markup, has_layout, plain_value, read_text

if TYPE_CHECKING:
    from lxml.etree import _Element

_MOST = 1 << 16  # bytes; what is longer is rare, and a file
_CODECS = {"UTF-8": "utf-8", "ISO-8859-1": "latin-1", "windows-1252": "cp1252", "US-ASCII": "ascii"}
_FIRST = b"<Envelope>"
_CODE = "<VersionCode>"
_ROOT = re.compile(r"</Envelope>\s*+<(\w++)>").search
_EMPTY = re.compile(r"<(?!Break)(\w++) ?/>")
_ENTITY = re.compile(r"&(amp|lt|gt|quot|apos);")
_ENTITIES = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}
# What XML forbids, and what under another label than its own was a sign of windows-1252.
_ODD = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]").search


class _UnusualError(ValueError):
    """The other reader has to look at this."""


# --- what stands before the Envelope --------------------------------------------------------------------------------

_LONGEST_HEAD = 1000
_MOST_HEADS = 64
_heads: dict[bytes, tuple[str, str]] = {}
"""Codec and namespace by the bytes before the Envelope, of good ones: declaration and start tag of the root."""


def begins_well(data: bytes) -> bool:
    """Whether it begins as a document did that was read: it is OIOXML, whatever follows."""
    start = data.find(_FIRST, 0, _LONGEST_HEAD)
    return start > 0 and data[:start] in _heads


def _head(head: bytes) -> tuple[str, str]:
    known = _heads.get(head)
    if known is None:
        if len(_heads) >= _MOST_HEADS:
            _heads.clear()
        known = _heads[head] = _judged(head)
    return known


def _judged(head: bytes) -> tuple[str, str]:
    _, label = label_of(head)
    if label is None or b"<!" in head or head.count(b"<") > 1 + head.count(b"<?xml "):
        raise _UnusualError
    log = IssueLog()
    root, trusted = parse(head + b"</Emessage>", log, file="", limits=Limits())
    if root is None or not trusted or len(log) or root.prefix is not None or (root.text or "").strip(" \t\r\n"):
        raise _UnusualError
    if not all(str(name).startswith(IGNORED_ATTRIBUTES) for name in root.attrib):
        raise _UnusualError
    return _CODECS[label], root.tag[1:].rpartition("}")[0]


# --- the letter -----------------------------------------------------------------------------------------------------


def read(data: bytes, definitions: Definitions, file: str, limits: Limits) -> Letter | None:
    """The one letter in these bytes; None if they hold anything else, or anything that would be reported."""
    size = len(data)
    start = data.find(_FIRST, 0, _LONGEST_HEAD)
    if start < 0 or size > _MOST or size > limits.text or size > limits.message:
        return None
    if size > limits.xml_elements and data.count(b"<") > limits.xml_elements:
        return None
    try:
        codec, namespace = _head(data[:start])
        text = _decoded(data[start:], codec)
        root = _ROOT(text)
        if root is None:
            return None
        at = text.index(_CODE, root.end()) + len(_CODE)
        code = text[at : text.index("<", at)]
        definition = definitions.by_oioxml(namespace, root[1], code)
        if definition is None:
            return None
        reader = _read(definition, text)
        values = reader.judged()
        if values.get("Letter.VersionCode") != code:
            return None
    except ValueError:
        return None
    places = _Late(reader, data.count(b"\n", 0, start) + 1)
    source = XmlSource(file, root[1], namespace)
    return Letter(definition.type, definition.version, "oioxml", values, reader.counts, [], places, source)


def _decoded(body: bytes, codec: str) -> str:
    if codec in ("latin-1", "cp1252") and not body.isascii() and (b"\xc3" in body or _is_utf_8(body)):
        raise _UnusualError
    text = body.decode(codec)
    if "\r" in text:
        text = text.replace("\r\n", "\n")
        if "\r" in text:
            raise _UnusualError
    if "]" in text and "]]>" in text:
        raise _UnusualError
    return text


def _is_utf_8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _read(definition: Definition, text: str) -> _Reader:
    """The letter in a text: as most are written, or else with white space between tags and empty elements."""
    if text.startswith("<", len(_FIRST)):
        with suppress(_UnusualError):
            return _Reader(text, _form(definition, ""))
    text = _EMPTY.sub(r"<\1></\1>", text) if "/>" in text else text
    return _Reader(text, _form(definition, r"[ \t\n]*+"))


# --- what a definition foresees -------------------------------------------------------------------------------------

_SPECIAL = ("text", "base64")
# What stands in an element up to its end tag, with elements of other names.
_CONTENT = "[^<]*+(?:<(?!/{0}>)[^<]*+)*+"


@dataclass(slots=True)
class _Part:
    """The paths of leaves behind each other, their groups' numbers from `first` to `last`; then a row, if there is one.

    Paths go on from the id of the nearest element that repeats.
    """

    first: int
    last: int
    paths: tuple[str, ...]
    path: str = ""
    row: _Form | None = None


@dataclass(frozen=True, slots=True)
class _Form:
    """An element, or all of a document, as an expression with a group for each leaf and for each row of one element.

    `special` are the leaves that hold no plain value, with their type.
    """

    match: Callable[[str, int], re.Match[str] | None]
    parts: tuple[_Part, ...]
    special: tuple[tuple[str, str], ...]


@lru_cache(maxsize=256)
def _form(definition: Definition, gap: str) -> _Form:
    """All of a document, from the Envelope on; `gap` is the expression for what may stand between tags."""
    builder = _Builder(gap)
    envelope, *elements = definition.elements
    pattern = [builder.group(envelope, f"{envelope.name}."), f"<{definition.root}>{gap}(?>"]
    pattern += [builder.optional(element, "") for element in elements]
    return builder.form([*pattern, f")</{definition.root}>{gap}</Emessage>[ \t\n]*+\\Z"])


class _Builder:
    """Prints the expression of one form."""

    def __init__(self, gap: str) -> None:
        self._gap = gap
        self._paths: list[str] = []
        self._parts: list[_Part] = []
        self._special: list[tuple[str, str]] = []

    def form(self, pattern: list[str]) -> _Form:
        self._end_part()
        return _Form(re.compile("".join(pattern)).match, tuple(self._parts), tuple(self._special))

    def _end_part(self, path: str = "", row: _Form | None = None) -> None:
        first = self._parts[-1].last + 1 if self._parts else 0
        self._parts.append(_Part(first, first + len(self._paths), tuple(self._paths), path, row))
        self._paths = []

    def optional(self, element: Element, base: str) -> str:
        """An element that may stand, below the element with the path and dot `base`."""
        name, path = element.name, base + element.name
        if element.repeats:
            builder = _Builder(self._gap)
            one = builder.group(element, ".") if element.children else builder.leaf(element, "")
            self._end_part(path, builder.form([one]))
            return f"((?:<{name}>{_CONTENT.format(name)}</{name}>{self._gap})*+)"
        one = self.group(element, path + ".") if element.children else self.leaf(element, path)
        return f"(?:{one}|)"

    def group(self, element: Element, base: str) -> str:
        """An element with at least one in it."""
        children = "".join(self.optional(child, base) for child in element.children)
        return f"<{element.name}>{self._gap}(?!</){children}</{element.name}>{self._gap}"

    def leaf(self, element: Element, path: str) -> str:
        """An element with a value."""
        name = element.name
        self._paths.append(path)
        if element.type in _SPECIAL:
            self._special.append((path, element.type))
        content = _CONTENT.format(name) if element.type == "text" else "[^<]*+"
        return f"<{name}>({content})</{name}>{self._gap}"


class _Reader:
    """One walk over the text of a letter: the content of its leaves, those of another type than a plain value apart.

    `where`: the offsets of the contents instead.
    """

    __slots__ = ("counts", "form", "special", "text", "values", "where")

    def __init__(self, text: str, form: _Form, *, where: bool = False) -> None:
        self.text, self.form, self.where = text, form, where
        self.values: dict[str, Any] = {}
        self.counts: dict[str, int] = {}
        self.special: list[tuple[str, str]] = []
        self._read(form, 0, "")

    def _read(self, form: _Form, at: int, prefix: str) -> int:
        """Read what stands there; `prefix` is the id of the nearest element that repeats. Returns where it ends."""
        match = form.match(self.text, at)
        if match is None:
            raise _UnusualError
        values = self.values
        found: Sequence[Any] = match.groups()
        if self.where:
            found = [None if one is None else match.start(n) for n, one in enumerate(found, 1)]
        for part in form.parts:
            for path, value in zip(part.paths, found[part.first : part.last], strict=True):
                if value is not None:
                    values[prefix + path] = value
            if part.row is not None and found[part.last]:
                self._row(part.row, prefix + part.path, *match.span(part.last + 1))
        for path, kind in form.special:
            if prefix + path in values:
                self.special.append((prefix + path, kind))
        return match.end()

    def _row(self, form: _Form, name: str, at: int, end: int) -> None:
        """Read elements of one name in a row, between two offsets."""
        number = 0
        while at < end:
            number += 1
            at = self._read(form, at, f"{name}[{number}]")
            self.counts[name] = number
        if at != end:
            raise _UnusualError

    def judged(self) -> dict[str, Value]:
        """The values, of which nothing is to be said."""
        values: dict[str, str] = self.values
        special: dict[str, Value] = {}
        for leaf, kind in self.special:
            content, values[leaf] = values[leaf], ""
            special[leaf] = _text(content) if kind == "text" else "".join(_plain(content).split())
        if "&" in self.text or not "".join(values.values()).isprintable():
            values = {leaf: _plain(value) for leaf, value in values.items()}
        return {**values, **special}


# --- values ---------------------------------------------------------------------------------------------------------


def _plain(content: str) -> str:
    if content.isprintable() and "&" not in content:
        return content
    (text,) = _meant([content])
    return plain_value(text) if has_layout(text) else text


def _meant(written: list[str]) -> list[str]:
    """The characters that are written between tags."""
    content = "".join(written)
    if "<" in content or (not content.isprintable() and _ODD(content)):
        raise _UnusualError
    if "&" not in content:
        return written
    found = [_ENTITY.subn(lambda entity: _ENTITIES[entity[1]], one) for one in written]
    if sum(number for _, number in found) != content.count("&"):
        raise _UnusualError
    return [text for text, _ in found]


def _text(content: str) -> Text:
    lines = content.split("<Break/>")
    bare = "".join(lines)
    if "<" in bare or has_layout(bare):
        found = read_text(cast("_Element", _tree(content)), _MARKUP, _FAULTS)
    else:
        text = "\n".join(_meant(lines))
        found = ((PLAIN, text),) if text else ()
    if "&lt;" in bare and has_escaped_markup(found):
        raise _UnusualError
    return found


_TAG = re.compile(r"<(/?\w++)>")
_MARKUP = {name: name for name in MARKUP}


class _Node(list["_Node"]):
    """What `read_text` asks of an element."""

    __slots__ = ("tag", "tail", "text")

    def __init__(self, tag: str, text: str) -> None:
        self.tag, self.text, self.tail = tag, text, ""


def _tree(content: str) -> _Node:
    """A formatted text as an element."""
    found = _TAG.split(_EMPTY.sub(r"<\1></\1>", content.replace("<Break/>", "<Break></Break>")))
    first, *texts = _meant(found[::2])
    top = _Node("", first)
    open_ = [top]
    for tag, text in zip(found[1::2], texts, strict=True):
        if tag[0] != "/":
            node = _Node(tag, text)
            open_[-1].append(node)
            open_.append(node)
        elif open_.pop().tag == tag[1:]:
            open_[-1][-1].tail = text
        else:
            raise _UnusualError
    if len(open_) > 1:
        raise _UnusualError
    return top


class _Refusing:
    def markup(self, element: object) -> None:
        """Nothing that would be reported is read here."""
        raise _UnusualError


_FAULTS = _Refusing()


# --- places ---------------------------------------------------------------------------------------------------------


class _Late(Places):
    """The lines of the leaves."""

    __slots__ = ("_found", "_line", "_reader")

    def __init__(self, reader: _Reader, line: int) -> None:
        self._reader, self._line = reader, line
        self._found: dict[str, object] = {}

    def found(self) -> Mapping[str, object]:
        """All of them, from the letter read again for the sake of where things stand."""
        if not self._found:
            text, line, seen = self._reader.text, self._line, 0
            for leaf, at in _Reader(text, self._reader.form, where=True).values.items():
                line += text.count("\n", seen, at)
                self._found[leaf] = line, leaf
                seen = at
        return self._found

    def __reduce__(self) -> tuple[object, ...]:
        """Pickled as what is found."""
        return dict, (dict(self),)
