"""Letters to OIOXML bytes, in the element order of the definition."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from converter.definitions import Definition, Definitions, Element
from converter.definitions.tree import GROUP
from converter.definitions.unknown import report_no_definition
from converter.issues import NOWHERE, IssueLog, Severity, declare
from converter.letter import Letter, Value, counts_of, plain
from converter.oioxml.source import XmlSource
from converter.oioxml.text import PLAIN, Notes, escape, write_text

NOTHING = declare(
    "XML050",
    "nothing-to-write",
    Severity.ERROR,
    "There is no letter that can be written.",
    why="An Emessage holds at least one letter; a refused letter has no content.",
    help="Look at the findings about the letter: they say why it was refused.",
)
LEFT_OUT = declare(
    "XML053",
    "letter-left-out",
    Severity.ERROR,
    "A letter was refused when it was read, so the Emessage is written without it.",
    why="The receiver does not get the letter.",
    help="Look at the findings about the letter: they say why it was refused.",
)
ENVELOPES_DIFFER = declare(
    "XML051",
    "envelopes-differ",
    Severity.ERROR,
    "The letters cannot share one Emessage: {what} differ.",
    why="An Emessage has one Envelope and one namespace for all of its letters.",
    help="Write each letter to an Emessage of its own.",
    source="OIOXML schema Emessage",
)
NO_PLACE = declare(
    "XML052",
    "no-element",
    Severity.ERROR,
    "The definition of {type} {version} has no element {path}; the value is not written.",
    why="The value is lost in this output.",
    help="Write a version of the letter that has the element, or map the value to another one.",
    source="OIOXML schema of the letter",
)

_Node = tuple[str, bool, str, str, str, tuple["_Node", ...], str | None]
"""Type; whether it repeats; the path below the nearest repeating element; start tag; end tag; children; the constant
that is written when the value is absent."""


@dataclass(frozen=True, slots=True)
class _Plan:
    envelope: tuple[_Node, ...]
    letter: tuple[_Node, ...]


_plans: WeakKeyDictionary[Definition, _Plan] = WeakKeyDictionary()


def _plan(definition: Definition) -> _Plan:
    plan = _plans.get(definition)
    if plan is None:
        envelope = tuple(e for e in definition.elements if e.name == "Envelope")
        letter = tuple(e for e in definition.elements if e.name != "Envelope")
        plan = _plans[definition] = _Plan(_nodes(envelope, ""), _nodes(letter, ""))
    return plan


def _nodes(elements: Sequence[Element], base: str) -> tuple[_Node, ...]:
    nodes = []
    for element in elements:
        path = base + element.name
        children = _nodes(element.children, "" if element.repeats else path + ".")
        constant = element.const if element.min else None
        tags = f"<{element.name}>", f"</{element.name}>"
        nodes.append((element.type, element.repeats, path, *tags, children, constant))
    return tuple(nodes)


def write(
    letters: Sequence[Letter], definitions: Definitions, log: IssueLog, *, version: str | None = None
) -> bytes | None:
    """Write letters into one Emessage, in ISO-8859-1. Returns None, with issues in `log`, if that cannot be.

    All letters share the Envelope of the first; different ones are refused. `version` writes another version of the
    letters' types than their own. A letter that was read from OIOXML keeps its namespace where its version has several.
    Constants that are absent are written; those that are there are written as they stand, unless the version changes.
    Values without an element are reported (XML052), never dropped in silence.
    """
    usable = [letter for letter in letters if not letter.refused]
    if not usable:
        log.add(NOTHING)
        return None
    if len(usable) < len(letters):
        log.add(LEFT_OUT, count=len(letters) - len(usable))
    found = [_definition(letter, definitions, version, log) for letter in usable]
    if any(definition is None for definition in found):
        return None
    pairs = [(letter, definition) for letter, definition in zip(usable, found, strict=True) if definition is not None]
    namespace = _namespace(*pairs[0])
    if any(_namespace(*pair) != namespace for pair in pairs):
        log.add(ENVELOPES_DIFFER, what="their namespaces")
        return None
    if any(_envelope(letter) != _envelope(usable[0]) for letter in usable[1:]):
        log.add(ENVELOPES_DIFFER, what="their envelopes")
        return None
    return _encoded(_body(pairs, namespace, log))


def _definition(letter: Letter, definitions: Definitions, version: str | None, log: IssueLog) -> Definition | None:
    found = definitions.get(letter.type, version or letter.version)
    if found is None:
        report_no_definition(log, NOWHERE, letter.type, version or letter.version)
    return found


def _namespace(letter: Letter, definition: Definition) -> str:
    """The namespace that the letter was read in, if it is one of this version's, else the version's own."""
    read = letter.source.namespace if isinstance(letter.source, XmlSource) else ""
    return read if read in definition.namespaces else definition.namespace


def _envelope(letter: Letter) -> dict[str, Value]:
    return {leaf: value for leaf, value in letter.values.items() if leaf.startswith("Envelope.")}


def _body(pairs: list[tuple[Letter, Definition]], namespace: str, log: IssueLog) -> str:
    out = [f'<Emessage xmlns="{namespace}">']
    for number, (letter, definition) in enumerate(pairs):
        plan = _plan(definition)
        writer = _Writer(letter, definition, log)
        envelope: list[str] = []
        writer.group(plan.envelope, "", envelope)
        if number == 0:
            out += envelope
        out.append(f"<{definition.root}>")
        writer.group(plan.letter, "", out)
        out.append(f"</{definition.root}>")
        writer.report_unwritten()
    out.append("</Emessage>")
    return "".join(out)


_UTF8_PAIR = re.compile(rb"\xc3[\x80-\xbf]")


def _encoded(body: str) -> bytes:
    data = body.encode("iso-8859-1", "xmlcharrefreplace")
    if not data.isascii() and _looks_like_utf_8(data):
        # A reader that compares bytes with the label would take these for UTF-8; as references they are unmistakable.
        data = body.encode("ascii", "xmlcharrefreplace")
    return b'<?xml version="1.0" encoding="ISO-8859-1"?>\n' + data


def _looks_like_utf_8(data: bytes) -> bool:
    if _UTF8_PAIR.search(data):
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


class _Writer:
    """Writes the leaves of one letter and knows which of them it has written."""

    def __init__(self, letter: Letter, definition: Definition, log: IssueLog) -> None:
        self._definition, self._notes = definition, Notes(letter, log)
        self._values = letter.values
        self._counts = letter.counts or counts_of(letter.values)
        self._written = 0
        texts = "".join([value for value in letter.values.values() if isinstance(value, str)])
        self._clean = texts.isprintable() and not ("&" in texts or "<" in texts or ">" in texts)
        self._other_version = definition.version != letter.version

    def group(self, nodes: tuple[_Node, ...], prefix: str, out: list[str]) -> int:
        """Write the children of an element; returns how many values, constants that were absent not counted."""
        values = self._values
        start = self._written
        for type_, repeats, path, opening, closing, children, constant in nodes:
            leaf = prefix + path
            if repeats:
                for number in range(1, self._counts.get(leaf, 0) + 1):
                    one = f"{leaf}[{number}]"
                    if type_ == GROUP:
                        self._group(children, one + ".", opening, closing, out)
                    elif (value := values.get(one)) is not None:
                        out += (opening, self._content(one, value, type_), closing)
            elif type_ == GROUP:
                self._group(children, prefix, opening, closing, out)
            elif (value := values.get(leaf)) is not None:
                if type_ == "const" and self._other_version and constant is not None:
                    self._written += 1
                    out += (opening, constant, closing)
                else:
                    out += (opening, self._content(leaf, value, type_), closing)
            elif constant is not None:
                out += (opening, constant, closing)
        return self._written - start

    def _group(self, nodes: tuple[_Node, ...], prefix: str, opening: str, closing: str, out: list[str]) -> None:
        mark = len(out)
        out.append(opening)
        if self.group(nodes, prefix, out):
            out.append(closing)
        else:
            del out[mark:]

    def _content(self, leaf: str, value: Value, type_: str) -> str:
        self._written += 1
        if self._clean and type_ != "text" and isinstance(value, str):
            return value
        if type_ == "text":
            runs = value if not isinstance(value, str) else ((PLAIN, value),) if value else ()
            return write_text(runs, self._notes, leaf)
        return escape(plain(value), self._notes, leaf)

    def report_unwritten(self) -> None:
        """Report every value for which there was no element."""
        if self._written == len(self._values):
            return
        places = self._reachable()
        for leaf in self._values:
            if leaf not in places:
                type_, version = self._definition.type, self._definition.version
                self._notes.add(NO_PLACE, leaf, type=type_, version=version, path=leaf)

    def _reachable(self) -> set[str]:
        found: set[str] = set()
        plan = _plan(self._definition)
        pending = [(node, "") for node in (*plan.envelope, *plan.letter)]
        while pending:
            (type_, repeats, path, _, _, children, _), prefix = pending.pop()
            leaf = prefix + path
            ones = [f"{leaf}[{n}]" for n in range(1, self._counts.get(leaf, 0) + 1)] if repeats else [leaf]
            for one in ones:
                if type_ == GROUP:
                    pending += [(child, one + "." if repeats else prefix) for child in children]
                else:
                    found.add(one)
        return found
