"""OIOXML letters, VANS envelopes and narratives: text between tags, attributes, comments, names that nobody knows."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from converter.definitions import Definition
from converter.fhir.rules.narrative import ATTRIBUTES, OWN
from converter.oioxml.text import MARKUP
from converter.pseudonymise.fields import UNKNOWN, Fields, Rule
from converter.pseudonymise.keyed import Pseudonyms
from converter.pseudonymise.signs import BASE64, TEXT, TOKEN, Part, Script, replaced
from converter.vans.envelope import NAMESPACE

_TOKEN = re.compile(
    r"<!--(?P<comment>.*?)-->|<!\[CDATA\[(?P<cdata>.*?)\]\]>|<\?(?P<instruction>.*?)\?>|<!(?P<declaration>[^>]*)>"
    r"|<(?P<tag>/?[^\s<>/=!?][^\s<>/=]*)(?P<attributes>(?:[^<>\"']|\"[^\"]*\"|'[^']*')*?)(?P<closed>/?)>|(?P<text>[^<]+)",
    re.DOTALL,
)
_ATTRIBUTE = re.compile(r"([^\s=\"'/]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)')")
_MARK = b"\xef\xbb\xbf"
_ENCODING = re.compile(rb"""<\?xml[^>]*?encoding\s*=\s*["']([A-Za-z0-9._-]+)""")
_STANDARD = frozenset(
    f"http://www.w3.org/{name}"
    for name in ("2001/XMLSchema-instance", "2001/XMLSchema", "XML/1998/namespace", "1999/xhtml", "2000/09/xmldsig#")
)
_PREFIXES = frozenset(["xml", "xmlns", "xsi", "xsd"])
_USUAL = frozenset(["schemaLocation", "noNamespaceSchemaLocation", "type", "nil", "lang", "space"])
_OF_NARRATIVES = ATTRIBUTES.union(*(names.split() for names in OWN.values()))
_PREDEFINED = {"&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": '"', "&apos;": "'"}


def _read(sign: str) -> str:
    if len(sign) == 1:
        return sign
    if sign.count("&") > 1 or "/" in sign or ">" in sign:
        return ""
    if sign in _PREDEFINED:
        return _PREDEFINED[sign]
    try:
        return chr(int(sign[3:-1], 16) if sign[2] in "xX" else int(sign[2:-1])) if sign[1] == "#" else ""
    except (ValueError, OverflowError):
        return ""


def _write(old: str, new: str) -> str:
    if len(old) == 1:
        return new
    if sign_of_hex := old[2] in "xX":
        return f"&#{old[2]}{ord(new):0{len(old) - 4}{'x' if old[3:-1].islower() else 'X'}};"
    return f"&#{ord(new):0{len(old) - 3 + sign_of_hex}};"


# Markup that was escaped once too often is a fault that has to stay one: such a tag stands for nothing.
_ESCAPED = rf"(?:&lt;|&#60;)/?(?:{'|'.join(MARKUP)})\s*/?(?:&gt;|>|&#62;)"
SCRIPT = Script(re.compile(rf"{_ESCAPED}|&[^;&<\s]{{1,12}};|.", re.DOTALL), _read, _write)


@dataclass
class _Walk:
    """The parts of a document: `at` judges the text of an element by its path, `attribute` a value by its name.

    `known` are the names that elements may have, `usual` those of attributes; others are replaced, and so are prefixes.
    """

    at: Callable[[Sequence[str]], Rule | None]
    attribute: Callable[[str, str], bool]
    known: frozenset[str]
    usual: frozenset[str] = _USUAL
    path: list[str] = field(default_factory=list)

    def parts(self, document: str, offset: int = 0) -> Iterator[Part]:
        """All stretches that are replaced."""
        for match in _TOKEN.finditer(document):
            name = match.lastgroup if match["tag"] is None else "tag"
            if name == "tag":
                yield from self._tag(match, offset)
            elif name in ("text", "cdata"):
                yield from self._text(match[name], offset + match.start(name))
            elif name and not (name == "instruction" and match[name].startswith("xml ")):
                yield Part(offset + match.start(name), offset + match.end(name), TEXT)

    def _tag(self, match: re.Match[str], offset: int) -> Iterator[Part]:
        whole = match["tag"].lstrip("/")
        yield from _name(whole, offset + match.end("tag") - len(whole), self.known)
        at = offset + match.start("attributes")
        for found in _ATTRIBUTE.finditer(match["attributes"]):
            known = self.usual | _PREFIXES if ":" in found[1] else self.usual | {"xmlns"}
            yield from _name(found[1], at + found.start(1), known)
            group = 2 if found[2] is not None else 3
            if not self.attribute(found[1], found[group]):
                yield Part(at + found.start(group), at + found.end(group), TOKEN)
        if match["tag"].startswith("/"):
            if self.path:
                self.path.pop()
        elif not match["closed"]:
            self.path.append(whole.rpartition(":")[2])

    def _text(self, text: str, start: int) -> Iterator[Part]:
        value = SCRIPT.value(text)
        rule = self.at(self.path) if value.strip() else None
        if rule is None or rule.keeps(value.strip()):
            return
        yield Part(start, start + len(text), rule.kind, form=rule.form)


def _name(name: str, start: int, known: frozenset[str]) -> Iterator[Part]:
    """The parts of a name of an element or attribute: a prefix and a local name that are not known."""
    prefix, _, local = name.rpartition(":")
    if prefix and prefix not in _PREFIXES:
        yield Part(start, start + len(prefix), TOKEN)
    if local not in known:
        yield Part(start + len(name) - len(local), start + len(name), TOKEN)


def codec_of(data: bytes) -> str:
    """The codec of an XML document, by its byte order mark or declaration."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    if data.startswith(_MARK):
        return "utf-8"
    declared = _ENCODING.match(data)
    return declared[1].decode("ascii") if declared else "utf-8"


def letters(data: bytes, definitions: Sequence[Definition], fields: Fields, names: Pseudonyms) -> bytes:
    """An OIOXML document with all that is replaced. Raises `ValueError` where it cannot be decoded."""
    known_names = frozenset(["Emessage", *MARKUP]) | fields.names

    def at(path: Sequence[str]) -> Rule | None:
        # Below Emessage, Envelope is a child of every letter; a letter's own root is no part of its paths.
        below = [name for name in path[1:] if name not in MARKUP]
        found = [rule for definition in definitions if (rule := _rule(definition, below, fields))]
        kept = "|".join(f"(?:{rule.kept.pattern})" for rule in found)
        one = found[0] if len({(rule.kind, rule.form) for rule in found}) == 1 else UNKNOWN
        return Rule(re.compile(kept), one.kind, one.form) if found else UNKNOWN

    return _document(data, _Walk(at, _usual_attribute(fields), known_names), names)


def _rule(definition: Definition, below: list[str], fields: Fields) -> Rule | None:
    path = ".".join(below[1:] if below[:1] == [definition.root] else below)
    leaf = definition.element(path) if path else None
    return fields.leaf(leaf) if leaf is not None and leaf.is_leaf else None


def _usual_attribute(fields: Fields) -> Callable[[str, str], bool]:
    spaces = _STANDARD | fields.namespaces

    def stays(name: str, value: str) -> bool:
        if name == "xmlns" or name.startswith("xmlns:") or name.endswith(":schemaLocation"):
            return all(word in spaces for word in value.split())
        return False

    return stays


def envelope(data: bytes, payload: Callable[[bytes], bytes], fields: Fields, names: Pseudonyms) -> bytes:
    """A VANS envelope around the message that `payload` makes of the one in it."""

    def at(path: Sequence[str]) -> Rule | None:
        if path[-2:] == ["Message", "Data"]:
            return Rule(re.compile("(?!)"), BASE64)
        return fields.envelope.get(path[-1] if path else "", Rule(UNKNOWN.kept, TOKEN))

    def stays(name: str, value: str) -> bool:
        if name == "xmlns" or name.startswith("xmlns:"):
            return value == NAMESPACE or value in _STANDARD
        rule = fields.attributes.get(name)
        return rule is not None and rule.keeps(value)

    def around(document: str, parts: Iterable[Part]) -> Iterator[Part]:
        for part in parts:
            if part.kind != BASE64:
                yield part
                continue
            raw = document[part.start : part.end]
            signs = iter(b64encode(payload(b64decode("".join(raw.split())))).decode("ascii"))
            made = "".join(sign if sign.isspace() else next(signs) for sign in raw)
            yield Part(part.start, part.end, BASE64, made)

    return _document(
        data, _Walk(at, stays, fields.envelope_names, frozenset(fields.attributes) | _USUAL), names, around
    )


def narrative(html: str, elements: frozenset[str], styles: frozenset[str]) -> list[Part]:
    """The parts of a narrative: all its text, attributes but for these styles, and elements that narratives lack."""

    def stays(name: str, value: str) -> bool:
        return value in styles or (name == "xmlns" and value in _STANDARD)

    return list(_Walk(lambda path: UNKNOWN, stays, elements, _OF_NARRATIVES).parts(html))


def _document(
    data: bytes,
    walk: _Walk,
    names: Pseudonyms,
    around: Callable[[str, Iterable[Part]], Iterable[Part]] = lambda document, parts: parts,
) -> bytes:
    codec = codec_of(data)
    mark = _MARK if data.startswith(_MARK) else b""
    try:
        document = data.removeprefix(mark).decode(codec)
    except LookupError as error:
        raise ValueError("unknown character set") from error
    made = replaced(document, around(document, walk.parts(document)), SCRIPT, names)
    if codec == "utf-16":
        return data[:2] + made.encode("utf-16-le" if data[:2] == b"\xff\xfe" else "utf-16-be")
    return mark + made.encode(codec)
