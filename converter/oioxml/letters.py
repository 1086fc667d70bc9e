"""OIOXML bytes to letters: Emessage, its Envelope, and the letters in it, guided by their definitions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast
from weakref import WeakKeyDictionary

from converter.definitions import Definition, Definitions, Element
from converter.definitions.unknown import report_no_definition
from converter.issues import IssueLog, Location, Severity, declare
from converter.letter import Letter, Value, pattern, plain
from converter.limits import Limits
from converter.oioxml import quick
from converter.oioxml.document import TOO_DEEP, line_of, parse, prolog_end
from converter.oioxml.faults import Faults, RefusedError, check_depth, local, shown
from converter.oioxml.source import XmlSource
from converter.oioxml.text import has_escaped_markup, has_layout, markup_tags, plain_value, read_text

if TYPE_CHECKING:
    from lxml.etree import _Element

WRONG_ROOT = declare(
    "XML020",
    "wrong-root",
    Severity.ERROR,
    "The document element is {name}, not Emessage.",
    why="OIOXML letters travel in an Emessage with an Envelope; without it sender and receiver systems are unknown.",
    help="Send the whole Emessage, not a part of it. If this is another kind of document, it is no letter.",
    source="OIOXML schema Emessage",
)
WRONG_NAMESPACE = declare(
    "XML021",
    "wrong-namespace",
    Severity.ERROR,
    "The namespace of {name} is none of MedCom's OIOXML namespaces.",
    why="The namespace says by which schema the elements are meant; under another one they may mean anything.",
    help="Use http://rep.oio.dk/sundcom.dk/medcom.dk/xml/schemas/DATE/ (or the later one without sundcom.dk) with the "
    "date of the letter's schema.",
    source="OIOXML schemas, targetNamespace",
)
NO_LETTER = declare(
    "XML022",
    "no-letter",
    Severity.ERROR,
    "The Emessage holds no letter.",
    why="There is an envelope and nothing in it, so there is nothing to convert.",
    help="Ask the sender what was to be sent.",
    source="OIOXML schema Emessage",
)
MIXED_NAMESPACES = declare(
    "XML023",
    "namespaces-mixed",
    Severity.ERROR,
    "The letter is in another namespace than its Emessage.",
    why="The letter is read by its own namespace; receivers that validate against MedCom's schema refuse the document.",
    help="Send letters of different schema dates in an Emessage each.",
    source="OIOXML schema Emessage",
)
TOO_LONG = declare(
    "XML012",
    "value-too-long",
    Severity.ERROR,
    "A value is larger than {limit} bytes.",
    why="Values of that size are made to exhaust a reader's memory; the letter is refused.",
    help="Send large content as an attachment. A legitimate need: --limit text=SIZE or --limit attachment=SIZE.",
)

_NAMESPACE = re.compile(r"http://rep\.oio\.dk/(?:sundcom\.dk/)?medcom\.dk/xml/schemas/\d{4}/\d\d/\d\d/\Z")
_CODE = re.compile(r"[A-Z0-9]{1,10}\Z")
_MARKS = (b"\xff\xfe", b"\xfe\xff")
_SNIFFED = 8192
_WHITE = " \t\r\n"


def sniff(data: bytes) -> bool:
    """Whether the bytes look like OIOXML: XML whose first tags name Emessage or a namespace of MedCom."""
    if quick.begins_well(data):
        return True
    start = 0 if data.startswith(_MARKS) else prolog_end(data)
    head = data[start : start + _SNIFFED]
    if head.startswith(_MARKS):
        head = head[2:].replace(b"\0", b"")
    return head.lstrip().startswith(b"<") and (b"Emessage" in head or b"medcom.dk/xml/schemas/" in head)


def read(
    data: bytes, definitions: Definitions, log: IssueLog, *, file: str = "", limits: Limits | None = None
) -> Iterator[Letter]:
    """Read an Emessage; yields a letter for every letter element, with `refused` for one that cannot be used.

    All issues about a letter are in `log` before it is yielded. Issues about the document (XML001-022) come before the
    first letter; a document that is no Emessage yields nothing. Values for which the definition has no element are in
    `Letter.extras`. Raises nothing.
    """
    limits = limits or Limits()
    letter = quick.read(data, definitions, file, limits)
    if letter is not None:
        yield letter
        return
    root, trusted = parse(data, log, file=file, limits=limits)
    if root is None or not _is_emessage(root, log, file):
        return
    large, attributes = len(data) > limits.text, _has_attributes(data)
    message = _Message(root, definitions, log, file=file, limits=limits, large=large, attributes=attributes)
    if not message.letters:
        log.add(NO_LETTER, Location(file, line_of(root), 1, path="/Emessage"))
    for number, element in enumerate(message.letters):
        yield message.letter(element, first=number == 0, trusted=trusted)


def _is_emessage(root: _Element, log: IssueLog, file: str) -> bool:
    namespace, _, name = root.tag[1:].rpartition("}")
    at = Location(file, line_of(root), 1, path=f"/{local(root)}")
    if root.tag.rpartition("}")[2] != "Emessage":
        log.add(WRONG_ROOT, at, name=shown(name))
        return False
    if not _NAMESPACE.match(namespace):
        log.add(WRONG_NAMESPACE, at, name="Emessage")
        return False
    return True


def _has_attributes(data: bytes) -> bool:
    """Whether there may be attributes behind the start tag of the root: without an equals sign there are none."""
    return data.startswith(_MARKS) or data.find(b"=", data.find(b">", prolog_end(data)) + 1) >= 0


class _Message:
    """One Emessage: what its letters share."""

    def __init__(
        self,
        root: _Element,
        definitions: Definitions,
        log: IssueLog,
        *,
        file: str,
        limits: Limits,
        large: bool,
        attributes: bool,
    ) -> None:
        self.root, self.definitions, self.log, self.file = root, definitions, log, file
        self.limits, self.large, self.attributes = limits, large, attributes
        self.namespace = root.tag[1:].rpartition("}")[0]
        envelope = f"{{{self.namespace}}}Envelope"
        self.envelopes = [child for child in root if child.tag == envelope]
        self.letters = [child for child in root if child.tag != envelope]

    def letter(self, element: _Element, *, first: bool, trusted: bool) -> Letter:
        """One letter. Faults of the envelope are reported with the first."""
        namespace, _, name = element.tag[1:].rpartition("}")
        version_code = _head(element, namespace, "VersionCode")
        definition = self.definitions.by_oioxml(namespace, name, version_code)
        if definition is None:
            return self._identified(self._undefined(element, namespace, name, version_code), element)
        letter = self._read(element, definition, first=first, trusted=trusted)
        return self._identified(letter, element) if letter.refused else letter

    def _identified(self, letter: Letter, element: _Element) -> Letter:
        """The refused letter with what a receipt needs to name it."""
        asked = {
            "Envelope.Identifier": (self.envelopes[0] if self.envelopes else None, ("Identifier",)),
            "Letter.Identifier": (element, ("Letter", "Identifier")),
            "Sender.EANIdentifier": (element, ("Sender", "EANIdentifier")),
            "Receiver.EANIdentifier": (element, ("Receiver", "EANIdentifier")),
        }
        for leaf, (top, path) in asked.items():
            found = None if top is None else top.find("/".join(f"{{*}}{name}" for name in path))
            letter.identity[leaf] = plain_value((found.text if found is not None else "") or "").strip(" ")
        return letter

    def _read(self, element: _Element, definition: Definition, *, first: bool, trusted: bool) -> Letter:
        namespace, _, name = element.tag[1:].rpartition("}")
        refused = Letter(definition.type, definition.version, "oioxml", refused=True)
        if not trusted:
            return refused
        plan = _plan(definition, namespace)
        if namespace != self.namespace:
            self.log.add(MIXED_NAMESPACES, self._at(element))
        parts = [*self.envelopes, element] if first else [element]
        faults = Faults(self.log, definition, parts, plan.markup, file=self.file, limits=self.limits)
        reader = _Reader(plan.markup)
        try:
            self._envelope(reader, definition, faults if first else None)
            if self.attributes:
                faults.attributes(element)
            reader.faults = faults
            reader.group(element, plan.letter, "", "")
        except RefusedError:
            return refused
        except RecursionError:
            self.log.add(TOO_DEEP, self._at(element), limit=self.limits.xml_depth)
            return refused
        finally:
            faults.close()
        letter = Letter(definition.type, definition.version, "oioxml", reader.values, reader.counts, faults.extras)
        letter.places, letter.source = reader.places, XmlSource(self.file, name, namespace)
        return refused if self.large and self._too_long(letter, definition) else letter

    def _undefined(self, element: _Element, namespace: str, name: str, version_code: str) -> Letter:
        at = self._at(element)
        if _NAMESPACE.match(namespace):
            report_no_definition(self.log, at, name, version_code)
        else:
            self.log.add(WRONG_NAMESPACE, at, name=shown(name))
        with suppress(RefusedError):
            check_depth(element, self.log, self.file, self.limits)
        code = _head(element, namespace, "TypeCode", "StatisticalCode").removeprefix("X")
        type_, version = (text if _CODE.match(text) else "" for text in (code, version_code.removeprefix("X")))
        return Letter(type_, version, "oioxml", refused=True)

    def _envelope(self, reader: _Reader, definition: Definition, faults: Faults | None) -> None:
        """Read the Envelope into a letter. Without `faults`, those of the envelope have been reported before."""
        plan = _plan(definition, self.namespace)
        reader.faults = faults or Faults(IssueLog(), definition, [], plan.markup, file=self.file, limits=self.limits)
        if faults is not None:
            self._loose(faults)
        if self.envelopes:
            if faults is not None and self.attributes:
                faults.attributes(self.envelopes[0])
            reader.group(self.envelopes[0], plan.envelope, "", "Envelope")

    def _at(self, letter: _Element) -> Location:
        return Location(self.file, line_of(letter), 1, path=f"/Emessage/{local(letter)}")

    def _loose(self, faults: Faults) -> None:
        """What stands in Emessage itself and is neither its one Envelope nor a letter."""
        for text in (self.root.text, *(child.tail for child in self.root)):
            if text and text.strip(_WHITE):
                faults.stray(self.root, "", text)
        for again in self.envelopes[1:]:
            faults.repeated(again, "Envelope")
        if self.envelopes and self.root[0] is not self.envelopes[0]:
            faults.order(self.envelopes[0])

    def _too_long(self, letter: Letter, definition: Definition) -> bool:
        base64 = self.limits.attachment * 4 // 3 + 4
        for leaf, value in letter.values.items():
            limit = base64 if definition.leaves[pattern(leaf)].type == "base64" else self.limits.text
            if len(plain(value)) > limit:
                self.log.add(TOO_LONG, *letter.locate(leaf), limit=limit)
                return True
        for extra in letter.extras:
            if len(extra.value) > self.limits.text:
                self.log.add(TOO_LONG, extra.at, limit=self.limits.text)
                return True
        return False


def _head(letter: _Element, namespace: str, *names: str) -> str:
    """The value of the first of these children of the element Letter, which every letter has; empty if none."""
    head = next((child for child in letter if child.tag == f"{{{namespace}}}Letter"), None)
    for name in names if head is not None else ():
        tag = f"{{{namespace}}}{name}"
        for leaf in cast("_Element", head):
            if leaf.tag == tag:
                return plain_value(leaf.text or "").strip(" ")
    return ""


# --- the plan of a definition, and the walk -------------------------------------------------------------------------

_PLAIN, _TEXT, _BASE64, _GROUP = range(4)
_KINDS = {"": _GROUP, "text": _TEXT, "base64": _BASE64}

_Entries = dict[str, "_Entry"]
_Entry = tuple[int, int, str, _Entries, bool]
"""Kind; a bit that grows with the order in the schema; the path below the nearest repeating element; children; repeats.
"""


@dataclass(frozen=True, slots=True)
class _Plan:
    envelope: _Entries
    letter: _Entries
    markup: dict[str, str]


_plans: WeakKeyDictionary[Definition, dict[str, _Plan]] = WeakKeyDictionary()


def _plan(definition: Definition, namespace: str) -> _Plan:
    plans = _plans.get(definition)
    if plans is None:
        plans = _plans[definition] = {}
    plan = plans.get(namespace)
    if plan is None:
        envelope = [e for e in definition.elements if e.name == "Envelope"]
        letter = [e for e in definition.elements if e.name != "Envelope"]
        inside = _entries(envelope, namespace, "")
        plan = _Plan(
            inside[f"{{{namespace}}}Envelope"][3] if inside else {},
            _entries(letter, namespace, ""),
            markup_tags(namespace),
        )
        plans[namespace] = plan
    return plan


def _entries(elements: list[Element] | tuple[Element, ...], namespace: str, base: str) -> _Entries:
    entries: _Entries = {}
    for number, element in enumerate(elements):
        path = base + element.name
        children = _entries(element.children, namespace, "" if element.repeats else path + ".")
        kind = _KINDS.get(element.type, _PLAIN)
        entries[f"{{{namespace}}}{element.name}"] = (kind, 1 << number, path, children, element.repeats)
    return entries


class _Reader:
    """One walk over a letter: values, counts and places."""

    __slots__ = ("counts", "faults", "markup", "places", "values")

    faults: Faults

    def __init__(self, markup: dict[str, str]) -> None:
        self.values: dict[str, Value] = {}
        self.counts: dict[str, int] = {}
        self.places: dict[str, object] = {}
        self.markup = markup

    def group(self, element: _Element, entries: _Entries, prefix: str, own: str) -> None:
        """Read the children of an element with the id `own`; `prefix` is the nearest repeating one's id and a dot."""
        values, places, counts = self.values, self.places, self.counts
        seen = 0
        text = element.text
        if text and text.strip(_WHITE):
            self.faults.stray(element, own, text)
        for child in element:
            tail = child.tail
            if tail and tail.strip(_WHITE):
                self.faults.stray(element, own, tail)
            entry = entries.get(child.tag)
            if entry is None:
                self.faults.unknown(child, own)
                continue
            kind, bit, path, inner, repeats = entry
            leaf = name = prefix + path
            if seen >= bit:
                if seen & bit and not repeats:
                    self.faults.repeated(child, leaf)
                    continue
                if seen >= bit << 1:
                    self.faults.order(child)
            seen |= bit
            if repeats:
                number = counts.get(name, 0) + 1
                leaf = f"{name}[{number}]"
            if kind == _GROUP:
                before = len(values)
                self.group(child, inner, leaf + "." if repeats else prefix, leaf)
                if len(values) == before:
                    if not len(child):
                        self.faults.empty(child)
                    continue
            else:
                text = child.text
                if kind != _PLAIN or len(child) or text is None or not text.isprintable():
                    values[leaf] = self._value(child, kind)
                else:
                    values[leaf] = text
                places[leaf] = (child.sourceline, leaf)
            if repeats:
                counts[name] = number

    def _value(self, element: _Element, kind: int) -> Value:
        if kind == _TEXT:
            runs = read_text(element, self.markup, self.faults)
            if has_escaped_markup(runs):
                self.faults.escaped(element)
            return runs
        text = self.faults.in_plain(element) if len(element) else element.text or ""
        if has_layout(text):
            text = plain_value(text)
        return "".join(text.split()) if kind == _BASE64 else text
