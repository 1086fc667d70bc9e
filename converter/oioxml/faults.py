"""What a reader of OIOXML does with whatever the definition does not foresee: report it, and keep the value."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from converter.definitions import Definition
from converter.issues import IssueKind, IssueLog, Location, Severity, declare
from converter.letter import Extra, plain
from converter.limits import Limits
from converter.oioxml.document import TOO_DEEP, depth_below, line_of
from converter.oioxml.text import read_text

if TYPE_CHECKING:
    from lxml.etree import _Element

UNKNOWN_ELEMENT = declare(
    "XML030",
    "unknown-element",
    Severity.ERROR,
    "The letter's definition has no element {name} here.",
    why="Nobody knows what the element means, so its content is kept aside and goes into no output.",
    help="Compare VersionCode and namespace with the element: it may belong to another version of the letter.",
    source="OIOXML schema of the letter",
)
OUT_OF_ORDER = declare(
    "XML031",
    "element-out-of-order",
    Severity.ERROR,
    "The element {name} stands after an element that it has to precede.",
    why="The content is read all the same; receivers that validate against MedCom's schema refuse the letter.",
    help="Write the elements in the order of the schema.",
    source="OIOXML schema of the letter (xs:sequence)",
)
REPEATED = declare(
    "XML032",
    "element-repeated",
    Severity.ERROR,
    "The element {name} may occur once and occurs again.",
    why="Only the first counts; the content of the others is kept aside and goes into no output.",
    help="Look at which of them is meant; a second letter may be what the sender wanted to send.",
    source="OIOXML schema of the letter (maxOccurs)",
)
ATTRIBUTE = declare(
    "XML033",
    "unexpected-attribute",
    Severity.ERROR,
    "The element {name} has an attribute; OIOXML letters have none.",
    why="Its value is kept aside and goes into no output.",
    help="Find out what the sender wanted to say with it.",
    source="OIOXML schema of the letter",
)
STRAY_TEXT = declare(
    "XML034",
    "text-not-allowed",
    Severity.ERROR,
    "There is text in {name} outside of its elements.",
    why="Nobody knows what the text belongs to, so it is kept aside and goes into no output.",
    help="Look for a broken or missing tag near this line.",
    source="OIOXML schema of the letter",
)
MARKUP_IN_VALUE = declare(
    "XML035",
    "element-in-plain-value",
    Severity.ERROR,
    "The element {name} holds a plain value, and there are elements in it.",
    why="Formatting has no meaning here; the text is read without it.",
    help="Remove the elements from the value.",
    source="OIOXML schema of the letter",
)
MARKUP_MISPLACED = declare(
    "XML036",
    "markup-not-allowed",
    Severity.ERROR,
    "The element {name} may not stand here in a formatted text.",
    why="The text in it is read, in the format that surrounds it.",
    help="Use Break, Space, Right, Center, Bold, Italic, Underline and FixedFont only; the last may hold the styles.",
    source="OIOXML FormattedText",
)
ESCAPED_MARKUP = declare(
    "XML037",
    "escaped-markup",
    Severity.WARNING,
    "Formatting stands in the text as characters (&lt;Bold&gt; and the like).",
    why="The receiver sees the tags and not the formatting; it cannot be told from text that is meant so.",
    help="Ask the sender to send formatting as elements.",
    source="seen in the field",
)
EMPTY_GROUP = declare(
    "XML038",
    "empty-group",
    Severity.WARNING,
    "The element {name} is there and holds nothing.",
    why="It says nothing, so it is left out; the sender may have meant to fill it.",
    help="Leave the element out if there is nothing to say.",
)

_NAME = re.compile(r"[A-Za-z](?:[A-Za-z_]|[0-9]{1,3}(?![0-9])){0,39}\Z")
IGNORED_ATTRIBUTES = (
    "{http://www.w3.org/XML/1998/namespace}",
    "{http://www.w3.org/2001/XMLSchema-instance}schemaLocation",
    "{http://www.w3.org/2001/XMLSchema-instance}noNamespaceSchemaLocation",
)
# More findings of one kind in one letter are one issue with a count: a hostile document could make 100,000.
_FULL_REPORTS = 50
_LONGEST_PATH = 500


class RefusedError(Exception):
    """The letter goes beyond a ceiling; the issue is in the log. Never leaves this package."""


def shown(name: str) -> str:
    """An element name as it may stand in a message: what looks like no name of OIOXML may be anything."""
    return name if _NAME.match(name) else "?"


def local(element: _Element) -> str:
    """The element's name without its namespace, as it may be shown."""
    return shown(element.tag.rpartition("}")[2])


class Faults:
    """Reports into a log, and keeps values in `extras`, for one letter."""

    def __init__(
        self,
        log: IssueLog,
        definition: Definition,
        parts: list[_Element],
        markup: dict[str, str],
        *,
        file: str,
        limits: Limits,
    ) -> None:
        self.extras: list[Extra] = []
        self._log, self._file, self._definition = log, file, definition
        self._parts, self._markup, self._limits = parts, markup, limits
        self._numbers: dict[IssueKind, int] = {}
        self._rest: dict[IssueKind, tuple[Location, dict[str, Any]]] = {}
        self._depth_known = False

    def at(self, element: _Element) -> Location:
        """The place of an element."""
        names = [local(e) for e in element.iterancestors()]
        path = "/" + "/".join([*reversed(names), local(element)])
        return Location(self._file, line_of(element), 1, path=path)

    def _line(self, element: _Element) -> Location:
        # Without the path, which takes a walk up the tree: an extra has one of its own.
        return Location(self._file, line_of(element), 1)

    def unknown(self, element: _Element, parent: str) -> None:
        """An element without a place in the definition, below the element with the id `parent`."""
        self._report(UNKNOWN_ELEMENT, element)
        self._keep(element, f"{parent}.{local(element)}" if parent else local(element))

    def repeated(self, element: _Element, path: str) -> None:
        """A second element where one may stand; `path` is the id of the first."""
        self._report(REPEATED, element)
        self._keep(element, path)

    def order(self, element: _Element) -> None:
        """An element after one that it has to precede."""
        self._report(OUT_OF_ORDER, element)

    def empty(self, element: _Element) -> None:
        """A group with nothing in it."""
        self._report(EMPTY_GROUP, element)

    def stray(self, element: _Element, path: str, text: str) -> None:
        """Text in an element that holds elements only; `path` is its id."""
        self._report(STRAY_TEXT, element)
        self.extras.append(Extra(path, self._line(element), text.strip()))

    def in_plain(self, element: _Element) -> str:
        """Elements in a plain value; returns its text with a blank for each line break."""
        self._report(MARKUP_IN_VALUE, element)
        return plain(read_text(element, self._markup, _Silent())).replace("\n", " ")

    def markup(self, element: _Element) -> None:
        """An element in formatted text that may not stand there."""
        self._report(MARKUP_MISPLACED, element)

    def escaped(self, element: _Element) -> None:
        """Formatting that came as characters."""
        self._report(ESCAPED_MARKUP, element)

    def attributes(self, top: _Element) -> None:
        """All attributes in a subtree but those that XML itself gives a meaning that does not matter here."""
        for element in top.iter():
            for name, value in element.items():
                if value and not str(name).startswith(IGNORED_ATTRIBUTES):
                    self._report(ATTRIBUTE, element)
                    path = local(element) if ATTRIBUTE in self._rest else self._path(element)
                    path = f"{path}@{shown(str(name).rpartition('}')[2])}"
                    self.extras.append(Extra(path, self._line(element), str(value)))

    def close(self) -> None:
        """Report how often each kind occurred beyond those reported one by one."""
        for kind, (at, facts) in self._rest.items():
            self._log.add(kind, at, count=self._numbers[kind] - _FULL_REPORTS, **facts)

    def _report(self, kind: IssueKind, element: _Element) -> None:
        self._check_depth()
        number = self._numbers[kind] = self._numbers.get(kind, 0) + 1
        if number <= _FULL_REPORTS:
            self._log.add(kind, self.at(element), name=local(element))
        elif kind not in self._rest:
            self._rest[kind] = self.at(element), {"name": local(element)}

    def _check_depth(self) -> None:
        # Depth within a definition is known; only what it does not foresee can go deeper.
        if not self._depth_known:
            self._depth_known = True
            for part in self._parts:
                check_depth(part, self._log, self._file, self._limits)

    def _keep(self, element: _Element, top: str) -> None:
        pending = [(element, top)]
        while pending:
            node, path = pending.pop()
            at = self._line(node)
            if all(child.tag in self._markup for child in node):
                self.extras.append(Extra(path, at, plain(read_text(node, self._markup, _Silent()))))
                continue
            texts = [node.text, *(child.tail for child in node)]
            own = " ".join(text.strip() for text in texts if text and text.strip())
            if own:
                self.extras.append(Extra(path, at, own))
            pending += reversed([(child, f"{path}.{local(child)}"[:_LONGEST_PATH]) for child in node])

    def _path(self, element: _Element) -> str:
        """The path below the letter, with the indices that the definition asks for."""
        steps = [element, *element.iterancestors()][:-1]
        path = pattern = ""
        if steps and not steps[-1].tag.endswith("}Envelope"):
            steps.pop()
        for step in reversed(steps):
            pattern = f"{pattern}.{local(step)}" if pattern else local(step)
            path = f"{path}.{local(step)}" if path else local(step)
            known = self._definition.element(pattern)
            if known is not None and known.repeats and not self._rest:
                path += f"[{1 + sum(1 for _ in step.itersiblings(step.tag, preceding=True))}]"
        return path[:_LONGEST_PATH]


class _Silent:
    """For text that is kept aside: its own faults do not matter any more."""

    def markup(self, element: _Element) -> None:
        """Nothing to say."""


def check_depth(part: _Element, log: IssueLog, file: str, limits: Limits) -> None:
    """Raise `RefusedError`, with an issue in the log, if elements in a child of Emessage are nested too deep."""
    if depth_below(part) + 2 > limits.xml_depth:
        at = Location(file, line_of(part), 1, path=f"/Emessage/{local(part)}")
        log.add(TOO_DEEP, at, limit=limits.xml_depth)
        raise RefusedError
