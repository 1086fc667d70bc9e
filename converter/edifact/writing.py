"""What the generated writers call when a value does not plainly go to the wire, and for texts."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from converter.definitions import CodeList, Definition, Element
from converter.definitions.layout import templates
from converter.edifact.rows import COMPONENT, ELEMENT, Row, field
from converter.edifact.substitutes import carried, substituted
from converter.edifact.text import write_lines, write_text
from converter.issues import IssueKind, IssueLog, Location, Severity, declare
from converter.letter import Letter, Text, Value, pattern, plain, unspaced

SUBSTITUTED = declare(
    "LTR050",
    "characters-substituted",
    Severity.WARNING,
    "{number} character(s) that EDIFACT cannot carry are written in another way",
    why="EDIFACT letters are in ISO 8859-1: typographic quotes and dashes get their plain form, the euro sign becomes "
    "EUR, and what has no plain form stands as its number, such as [U+1F600].",
    help="Nothing to do if the text still reads well.",
    source="UNB, character set UNOC",
)
DEFAULT = declare(
    "LTR051",
    "default-written",
    Severity.INFO,
    "the value is absent; the layout writes a constant for it",
    why="The receiver cannot tell the constant from a value that was meant.",
    help="Fill in the value, if there is one.",
    source="letter definition (`$absent`, fillers)",
)
NO_CODE = declare(
    "LTR052",
    "no-code-on-the-wire",
    Severity.ERROR,
    "the value has no code in the list {codes}",
    why="EDIFACT carries a code and not the value, so the letter was not written.",
    help="Use a value of the list (mappings/letters/codes).",
    source="letter definition",
)
NO_FORM = declare(
    "LTR053",
    "no-form-on-the-wire",
    Severity.ERROR,
    "the value cannot be written in the form {form}",
    why="The receiver would read another value or none, so the letter was not written.",
    help="Correct the value. A date is written 2023-11-20, a time 17:45; an envelope's year lies in 1990-2089.",
    source="letter definition",
)
TOO_LONG = declare(
    "LTR054",
    "text-too-long",
    Severity.ERROR,
    "the text needs {found} segments {tag} in one group, at most {limit} are allowed",
    why="EDIFACT has no room for it and nothing is cut, so the letter was not written.",
    help="Shorten the text, or divide it over several elements; a segment holds five lines of 69 characters.",
    source="letter definition (`limit`)",
)
TOO_MUCH = declare(
    "LTR055",
    "content-too-long",
    Severity.ERROR,
    "the content needs {found} groups {tag}, at most {limit} are allowed",
    why="EDIFACT has no room for it and nothing is cut, so the letter was not written.",
    help="Leave something out, or send a second letter.",
    source="letter definition (`overflow`)",
)
NO_PLACE = declare(
    "LTR056",
    "no-place-on-the-wire",
    Severity.ERROR,
    "the EDIFACT layout of {definition} has no place for this leaf",
    why="Its value is not in the EDIFACT letter.",
    help="Write the letter as OIOXML, or in another version.",
    source="letter definition",
)
UNPUBLISHED = declare(
    "LTR057",
    "layout-not-published",
    Severity.ERROR,
    "{definition} cannot be written as EDIFACT: its layout is not published",
    why="The version is defined for OIOXML only, so the letter was not written.",
    help="Write it as OIOXML, or ask for another version with --letter-version.",
    source="letter definition",
)
NO_CHOICE = declare(
    "LTR058",
    "choice-not-made",
    Severity.ERROR,
    "none of {names} is there, so it is unknown which segment to write",
    why="The other values of the element are not in the EDIFACT letter.",
    help="Fill in one of them.",
    source="letter definition",
)
CHOICE = declare(
    "LTR059",
    "choice-made-twice",
    Severity.ERROR,
    "{name} stands beside another alternative; EDIFACT carries one",
    why="Its value is not in the EDIFACT letter.",
    help="Leave one of them out.",
    source="letter definition",
)
REPLACED = declare(
    "LTR060",
    "constant-replaced",
    Severity.WARNING,
    "the value is not the constant of {definition}, and EDIFACT has no place for another",
    why="The receiver gets the constant.",
    help="Nothing to do, unless the value was meant to say something.",
    source="letter definition",
)

FILLER = declare(
    "LTR061",
    "value-reads-as-absent",
    Severity.WARNING,
    "the value is what the layout writes where there is none",
    why="The receiver reads the element as absent.",
    help="Nothing to do, unless the value was meant to say something.",
    source="letter definition (fillers)",
)
WINNER = declare(
    "LTR062",
    "reads-as-another",
    Severity.ERROR,
    "it is absent, and what follows would read as this element",
    why="On the wire the two look alike and the first is always this one, so the letter was not written.",
    help="Fill in this element, or put another of the following ones first.",
    source="letter definition (`wins`)",
)
MERGING = declare(
    "LTR063",
    "neighbours-read-as-one",
    Severity.ERROR,
    "a neighbour has the same qualifier, so that the texts of both would read as one",
    why="Nothing on the wire tells where one text ends and the next begins, so the letter was not written.",
    help="Join the two, or put another between them.",
    source="letter definition; MedCom's EDIFACT layouts",
)

SIZE = declare(
    "LTR064",
    "object-size-differs",
    Severity.ERROR,
    "the object has {found} bytes, and its size is said to be another",
    why="On the wire the size is what tells where the object ends, so the letter was not written.",
    help="Compare the object with its source; it may have been cut.",
    source="MedCom's attachment message, UNO",
)

_INDEX = re.compile(r"\[([1-9]\d{0,8})\]", re.ASCII)

MAX_KNOWN = 10_000
"""Leaf ids that are remembered: far more than letters have, so that hostile indices do not fill the memory."""


class Known(NamedTuple):
    """What a layout does with a leaf: its element, if there is a place for it; the wire's filler for an absent one.

    `indices` are the repeating elements around it, by their ids without the last index. `usual`: a plain value goes to
    the wire as it is; `file`: as the bytes behind it, so that its characters never stand there.
    """

    element: Element | None
    filler: str | None
    indices: tuple[tuple[str, int], ...]
    usual: bool
    file: bool


class Leaves(dict[str, Known]):
    """What a layout does with each leaf id, worked out when an id is met for the first time."""

    def __init__(self, definition: Definition) -> None:
        super().__init__()
        self._definition = definition
        found = [template for template, _ in templates(definition.layout)]
        pieces = [piece for template in found for piece in template.pieces()]
        own = [piece.path for piece in pieces if piece.own]
        own += [path for template in found for path, _ in template.fills]
        # How the ids of a carried element end: "2]" where only certain ones of several have a place.
        self._carried: dict[str, set[str]] = {}
        for path in own:
            ends = self._carried.setdefault(pattern(path), set())
            ends.add(path.rpartition("[")[2] if path.endswith("]") else "")
        self._fillers = {pattern(piece.path): piece.filler for piece in pieces if piece.filler_reads}

    def __missing__(self, leaf: str) -> Known:
        element = self._definition.leaf(leaf)
        if element is not None and element.const is None:
            ends = self._carried.get(element.path, set())
            element = element if "" in ends or leaf.rpartition("[")[2] in ends else None
        filler = self._fillers.get(element.path) if element else None
        indices = tuple((leaf[: match.start()], int(match[1])) for match in _INDEX.finditer(leaf))
        usual = element is not None and element.const is None and element.type != "text" and filler is None
        known = Known(element, filler, indices, usual, element is not None and element.type == "base64")
        if len(self) < MAX_KNOWN:
            self[leaf] = known
        return known


class Writing:
    """One letter while it is written: its values as the wire can carry them, and what was found so far.

    `indices` holds the indices in use of each repeating element, by its id without the last index. `leaves` tells what
    the layout carries, `origin` is the definition of the version that the letter comes from.
    """

    def __init__(
        self, letter: Letter, definition: Definition, log: IssueLog, *, leaves: Leaves, origin: Definition | None
    ) -> None:
        self.letter = letter
        self.definition = definition
        self.log = log
        self._origin = origin
        self.refused = False
        self.values: dict[str, Value] = {}
        found: dict[str, set[int]] = {}
        values: Mapping[str, Value] = letter.values
        for alias in definition.aliases:
            values = alias.write(values)
        plan = [(leaf, value, leaves[leaf]) for leaf, value in values.items()]
        clean = carried("".join([value for _, value, known in plan if isinstance(value, str) and not known.file]))
        for leaf, value, known in plan:
            if (clean or known.file) and value and known.usual and isinstance(value, str):
                self.values[leaf] = value
            else:
                self._take(leaf, value, known)
            for path, index in known.indices:
                found.setdefault(path, set()).add(index)
        self.indices = {path: sorted(indices) for path, indices in found.items()}

    def _take(self, leaf: str, value: Value, known: Known) -> None:
        element = known.element
        if element is None:
            self.report(NO_PLACE, leaf, definition=f"{self.definition.type} {self.definition.version}")
            return
        if element.const is not None and value != element.const:
            before = self._origin.leaf(leaf) if self._origin else None
            if before is None or before.const != value:
                self.report(REPLACED, leaf, definition=f"{self.definition.type} {self.definition.version}")
        if element.type == "text":
            runs: Text = (("P00", value),) if isinstance(value, str) else value
            if not all(carried(text.replace("\n", "")) for _, text in runs):
                runs = self._text(leaf, runs)
            self.values[leaf] = runs
            return
        text = plain(value)
        if not carried(text):
            text, number = substituted(text)
            if number:
                self.report(SUBSTITUTED, leaf, number=number)
        if text and known.filler == text:
            self.report(FILLER, leaf)
        elif text:  # an empty element cannot be told from an absent one
            self.values[leaf] = text

    def _text(self, leaf: str, runs: Text) -> Text:
        """The runs with what cannot be carried spelled out, line by line, so that line breaks stay."""
        result, total = [], 0
        for form, text in runs:
            lines = []
            for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"):
                spelled, number = substituted(line)
                lines.append(spelled)
                total += number
            result.append((form, "\n".join(lines)))
        if total:
            self.report(SUBSTITUTED, leaf, number=total)
        return tuple(result)

    # -- reporting

    def report(self, kind: IssueKind, leaf: str, **facts: Any) -> None:
        """Report a finding about a leaf, where it was read from if that is known."""
        found = self.letter.locate(leaf)
        self.log.add(kind, replace(found[0], path=leaf) if found else Location(path=leaf), **facts)

    def refuse(self, kind: IssueKind, leaf: str, **facts: Any) -> None:
        """Report why the letter is not written."""
        self.refused = True
        self.report(kind, leaf, **facts)

    def default(self, leaf: str) -> None:
        """Note that a constant is written for an absent value."""
        self.report(DEFAULT, leaf)

    # -- values

    def code(self, leaf: str, codes: CodeList, quiet: bool) -> Sequence[str]:
        """The columns of a value that is in no row.

        A code that was read from EDIFACT and is unknown goes back as it came; its reader has reported it.
        """
        found = plain(self.values[leaf]).split(":")
        known = found[0] in codes.read or found[0] in codes.rows
        if self.letter.syntax == "edifact" and len(found) == codes.columns and not known:
            return found
        if codes.other is not None:
            if not quiet:
                self.report(NO_PLACE, leaf, definition=f"{self.definition.type} {self.definition.version}")
            return codes.other
        if not quiet:
            self.refuse(NO_CODE, leaf, codes=codes.name)
        return [""] * codes.columns

    def form(self, leaf: str, value: str, form: str, quiet: bool) -> str:
        """What is written for a value that its codec refuses: as it came, if it was read from EDIFACT."""
        if self.letter.syntax != "edifact" and not quiet:
            self.refuse(NO_FORM, leaf, form=form)
        return value

    def text(self, leaf: str) -> list[tuple[str, str]]:
        """A text cut into segments: format and element; one with nothing in it for an empty text."""
        value = self.values.get(leaf, ())
        cut = write_text((("P00", value),) if isinstance(value, str) else value) or [("P00", [])]
        return [(form, COMPONENT.join(components)) for form, components in cut]

    def object(self, rows: list[Row], leaf: str) -> None:
        """Add the bytes of an object behind the segment that announces its size."""
        try:
            content = b64decode(unspaced(plain(self.values.get(leaf, ""))), validate=True)
        except ValueError:
            self.refuse(NO_FORM, leaf, form="base64")
            return
        if field(rows[-1], 4) != str(len(content)):
            self.refuse(SIZE, leaf, found=len(content))
        rows.append(content)

    def lines(self, *lines: str) -> list[str]:
        """Logical lines cut into the elements of segments."""
        return [COMPONENT.join(components) for components in write_lines(list(lines))]

    def dead(self, leaf: str, usual: str | None) -> None:
        """Report a value whose element is not written because its first field is absent."""
        if self.values.get(leaf, usual) != usual:
            self.report(NO_PLACE, leaf, definition=f"{self.definition.type} {self.definition.version}")

    # -- groups

    def winner(self, rows: list[Row], start: int, tag: str, values: frozenset[str], leaf: str) -> None:
        """Refuse a letter in which the row at `start` would read as one that is not there."""
        if start < len(rows) and _tag(rows[start]) == tag and field(rows[start], 1) in values:
            self.refuse(WINNER, leaf)

    def merging(self, rows: list[Row], start: int, leaf: str) -> None:
        """Refuse a repetition whose text would read as part of the one before it."""
        if 0 < start < len(rows) and _qualified(rows[start - 1]) == _qualified(rows[start]):
            self.refuse(MERGING, leaf)

    def limit(self, rows: Sequence[Row], tag: str, limit: int, leaf: str) -> None:
        """Refuse a group that holds too many segments of a tag."""
        found = sum([_tag(row) == tag for row in rows])
        if found > limit:
            self.refuse(TOO_LONG, leaf, found=found, tag=tag, limit=limit)

    def overflow(self, rows: list[Row], size: int, groups: int, trigger: str, leaf: str) -> list[list[Row]]:
        """Cut a run of content into groups; refuse it if they are too many."""
        cut = [rows[start : start + size] for start in range(0, len(rows), size)]
        if len(cut) > groups:
            self.refuse(TOO_MUCH, leaf, found=len(cut), tag=trigger, limit=groups)
        return cut

    def no_choice(self, leaf: str, names: str) -> None:
        """Report an element whose alternative is unknown."""
        self.report(NO_CHOICE, leaf, names=names)

    def choice(self, leaf: str, name: str) -> None:
        """Report an alternative that is not written because another one is."""
        self.report(CHOICE, leaf, name=name)


def _tag(row: Row) -> Row:
    return row[:3]


def _qualified(row: Row) -> list[str]:
    """The tag and the first element."""
    return row.split(ELEMENT)[:2] if isinstance(row, str) else []
