"""Formatted text: mixed content with Break, Space and styles <-> runs of (format code, text).

Format codes are EDIFACT's, three letters: font `P` proportional or `F` fixed, style `0` plain, `F` bold, `U` underline,
`K` italic, alignment `0` left, `H` right, `M` centre (MedCom's syntax documents; OIOXML FormattedText).

White space. A run of white space that holds a CR, LF or TAB is layout of the document: it reads as one blank, and as
nothing at the edges of the text and beside a Break or a block (Right, Center). A run of blanks alone is data and is
read as it stands: MedCom's own pairs hold double blanks and blanks at either end of a line. `Space` is one blank.

Normal form. Right and Center stand on lines of their own. Where a document leaves out the Break at a border of a block,
the reader puts the line break in: two words must not run together in the plain text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from converter.issues import IssueKind, IssueLog, Location, Severity, declare
from converter.letter import Letter, Text

if TYPE_CHECKING:
    from lxml.etree import _Element

FORBIDDEN = declare(
    "XML060",
    "character-forbidden",
    Severity.ERROR,
    "The value holds {number} characters that XML cannot carry; a replacement character stands in their place.",
    why="XML 1.0 has no way to write control characters and surrogates, so the value that arrives is not the one sent.",
    help="Find out where the characters come from; most are remains of another program's formatting.",
    source="W3C XML 1.0, 2.2",
)
WHITE_SPACE = declare(
    "XML061",
    "white-space-changed",
    Severity.WARNING,
    "A {what} in the value is written as {instead}.",
    why="Readers of OIOXML take tabs and line ends for layout of the document, so they cannot be sent as they are.",
    help="Nothing to do unless the text depended on it, as columns made with tabs do.",
)
FORMAT_UNKNOWN = declare(
    "XML062",
    "format-unknown",
    Severity.WARNING,
    "A part of the text has a format that OIOXML does not have; it is written in a fixed-width font.",
    why="The receiver sees the text without the format that the sender gave it.",
    help="Use one of the twelve formats of MedCom's formatted text.",
    source="MedCom EDIFACT syntax: an unknown format reads as F00",
)

PLAIN = "P00"
FIXED = "F00"
_STYLES = {"Bold": "F0", "Underline": "U0", "Italic": "K0", "Right": "0H", "Center": "0M"}
_BLOCKS = ("Right", "Center")
_INSIDE = {(PLAIN, "FixedFont"): FIXED} | {
    (font, name): font[0] + style for font in (PLAIN, FIXED) for name, style in _STYLES.items()
}
MARKUP = ("Break", "Space", "FixedFont", *_STYLES)

# Begins only where no blank precedes: else a megabyte of blanks would be scanned from each of its blanks.
_LAYOUT = re.compile(r"(?<! )[ ]*+[\t\r\n][ \t\r\n]*+")
_ESCAPED = re.compile(r"</?(?:" + "|".join(MARKUP) + r")\s*/?>")
_FORBIDDEN = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_CONTROL = re.compile("[\x7f-\x9f]")
_BLANK = "\t\r\n "


def markup_tags(namespace: str) -> dict[str, str]:
    """The local names of the markup by lxml tag."""
    return {f"{{{namespace}}}{name}": name for name in MARKUP}


# --- reading --------------------------------------------------------------------------------------------------------


class TextFaults(Protocol):
    """What a reader of text reports to."""

    def markup(self, element: _Element) -> None:
        """The element may not stand here; its text has been read all the same."""
        ...


def has_layout(text: str) -> bool:
    """Whether it holds white space that is layout, not data."""
    return "\n" in text or "\t" in text or "\r" in text


def plain_value(text: str) -> str:
    """The value of an element without markup: layout is dropped at the edges and one blank within."""
    pieces = _LAYOUT.split(text)
    if len(pieces) == 1:
        return text
    return " ".join(piece for piece in pieces if piece)


def has_escaped_markup(value: Text) -> bool:
    """Whether formatting arrived as characters (`&lt;Bold&gt;`), as some senders do; it stays characters."""
    return any("<" in text and _ESCAPED.search(text) for _, text in value)


def read_text(element: _Element, markup: dict[str, str], faults: TextFaults) -> Text:
    """The runs of a formatted text element."""
    parts = [element.text or ""]
    for child in element:
        if markup.get(child.tag) != "Break" or child.text is not None or len(child):
            break
        parts.append(child.tail or "")
    else:
        joined = "\n".join(parts)
        if joined.count("\n") == len(parts) - 1 and "\t" not in joined and "\r" not in joined:
            return ((PLAIN, joined),) if joined else ()
    reader = _Runs()
    _feed(reader, element, PLAIN, markup, faults)
    return reader.text()


def _feed(runs: _Runs, element: _Element, code: str, markup: dict[str, str], faults: TextFaults) -> None:
    runs.characters(element.text, code)
    for child in element:
        name = markup.get(child.tag, "")
        inner = _INSIDE.get((code, name))
        if name == "Break":
            runs.line(code)
        elif name == "Space":
            runs.add(" ", code)
        if inner is not None:
            if name in _BLOCKS:
                runs.border()
            _feed(runs, child, inner, markup, faults)
            if name in _BLOCKS:
                runs.border()
        elif child.text or len(child) or name not in ("Break", "Space"):
            faults.markup(child)
            _feed(runs, child, code, markup, faults)
        runs.characters(child.tail, code)


class _Runs:
    """Runs in the making. `gap` is the format of a layout blank that is still to be decided about."""

    __slots__ = ("bordered", "gap", "runs", "start")

    def __init__(self) -> None:
        self.runs: list[tuple[str, list[str]]] = []
        self.start = True
        self.gap = ""
        self.bordered = False

    def characters(self, text: str | None, code: str) -> None:
        if not text:
            return
        if not has_layout(text):
            self.add(text, code)
            return
        first, *others = _LAYOUT.split(text)
        if first:
            self.add(first, code)
        for piece in others:
            self.gap = self.gap or code
            if piece:
                self.add(piece, code)

    def add(self, text: str, code: str) -> None:
        if self.bordered:
            self.bordered = False
            self.start = True
            self._append("\n", self.runs[-1][0])
        if self.gap and not self.start:
            self._append(" ", self.gap)
        self._append(text, code)
        self.gap = ""
        self.start = False

    def line(self, code: str) -> None:
        self._append("\n", code)
        self.gap = ""
        self.start = True
        self.bordered = False

    def border(self) -> None:
        self.gap = ""
        self.bordered = self.bordered or not self.start

    def _append(self, text: str, code: str) -> None:
        if self.runs and self.runs[-1][0] == code:
            self.runs[-1][1].append(text)
        else:
            self.runs.append((code, [text]))

    def text(self) -> Text:
        return tuple((code, "".join(parts)) for code, parts in self.runs)


# --- writing --------------------------------------------------------------------------------------------------------


def _tags(code: str) -> tuple[str, str]:
    names = ["FixedFont"] if code[0] == "F" else []
    names += [name for name, style in _STYLES.items() if style == code[1:]]
    return "".join(f"<{n}>" for n in names), "".join(f"</{n}>" for n in reversed(names))


_TAGS = {code: _tags(code) for code in (PLAIN, FIXED, *_INSIDE.values())}


class Notes:
    """Findings about the values of one letter, at the place where a value was read, with its leaf id as target."""

    def __init__(self, letter: Letter, log: IssueLog) -> None:
        self._letter, self._log = letter, log

    def add(self, kind: IssueKind, leaf: str, **facts: Any) -> None:
        """Add a finding about a leaf."""
        at = (*self._letter.locate(leaf), Location(path=leaf))[0]
        self._log.add(kind, at, target=leaf, **facts)


def write_text(value: Text, notes: Notes, leaf: str) -> str:
    """The runs as content of a formatted text element. What cannot be carried is reported at this leaf.

    Blanks are written as they are, as in MedCom's pairs: their old converter loses text that stands beside a Space in
    one line. Only where a blank would be the whole text between two tags is it a Space, as XML tools drop such text.
    """
    parts: list[str] = []
    for code, text in value:
        tags = _TAGS.get(code)
        if tags is None:
            notes.add(FORMAT_UNKNOWN, leaf)
            tags = _TAGS[FIXED]
        if "\r" in text:
            text = text.replace("\r\n", "\n").replace("\r", "\n")
            notes.add(WHITE_SPACE, leaf, what="carriage return", instead="a line break")
        lines = [_line(line, notes, leaf) for line in text.split("\n")]
        parts += (tags[0], "<Break/>".join(lines), tags[1])
    return "".join(parts)


def _line(line: str, notes: Notes, leaf: str) -> str:
    if line and not line.strip(" "):
        return "<Space/>" * len(line)
    return escape(line, notes, leaf)


def escape(text: str, notes: Notes, leaf: str) -> str:
    """The text as XML character data that every reader takes for the same characters."""
    if "&" in text:
        text = text.replace("&", "&amp;")
    if "<" in text:
        text = text.replace("<", "&lt;")
    if ">" in text:
        text = text.replace(">", "&gt;")
    return text if text.isprintable() else _unusual(text, notes, leaf)


def _unusual(text: str, notes: Notes, leaf: str) -> str:
    if has_layout(text):
        what = "line end" if "\n" in text or "\r" in text else "tab"
        notes.add(WHITE_SPACE, leaf, what=what, instead="a blank")
        text = re.sub("\r\n|[\t\r\n]", " ", text)
    text, number = _FORBIDDEN.subn("\ufffd", text)
    if number:
        notes.add(FORBIDDEN, leaf, number=number)
    # U+007F to U+009F as bytes look like windows-1252 under the wrong label; as references they are what they are.
    reference: Callable[[re.Match[str]], str] = lambda match: f"&#{ord(match[0])};"  # noqa: E731
    return _CONTROL.sub(reference, text)
