"""What an envelope states about itself, checked: elements that must be there, counts, references, dates and times."""

from __future__ import annotations

from datetime import date as Date  # noqa: N812 - as in `envelope`
from functools import lru_cache
from operator import le

from converter.edifact.findings import Findings
from converter.edifact.segments import Segment
from converter.issues import Severity, declare

REFERENCES = declare(
    "EDI034",
    "references-differ",
    Severity.ERROR,
    "the references of {head} and {tail} differ",
    why="Head and tail may belong to two different messages with a part missing between them. Both places are marked.",
    help="Fetch the file again; if it was sent so, the sender's system is at fault.",
    source="ISO 9735, 0062, 0020, 0802; CONTRL 0085",
    contrl=28,
)
COUNT = declare(
    "EDI035",
    "control-count-differs",
    Severity.ERROR,
    "{tag} counts another number of {things} than the {found} there are",
    why="Something was lost, added or doubled on the way; the count exists to show just that.",
    help="Fetch the file again. A sender that counts wrongly must be corrected: the converter never does.",
    source="ISO 9735, 0074, 0036, 0810; CONTRL 0085",
    contrl=29,
)
MISSING = declare(
    "EDI036",
    "service-element-missing",
    Severity.ERROR,
    "{tag} has no {name}",
    why="The envelope cannot be checked, or the receipt cannot refer to it, without this element.",
    help="The sender must fill it in.",
    source="ISO 9735, service segments; CONTRL 0085",
    contrl=13,
)
INVALID = declare(
    "EDI037",
    "service-element-invalid",
    Severity.ERROR,
    "the {name} of {tag} must be {expected}",
    why="The envelope cannot be checked with it.",
    help="The sender must correct it.",
    source="ISO 9735, service segments; CONTRL 0085",
    contrl=12,
)
EXTRA = declare(
    "EDI043",
    "service-segment-too-long",
    Severity.ERROR,
    "{tag} has more elements or components than the standard gives it",
    why="A separator is wrong, so that values may stand in the wrong place.",
    help="The sender must correct it.",
    source="ISO 9735, service segments; CONTRL 0085",
    contrl=16,
)

# How many components each element of a service segment has at most (ISO 9735 version 3, annex B).
_SHAPES = {
    "UNB": (2, 3, 3, 2, 1, 2, 1, 1, 1, 1, 1),
    "UNH": (1, 5, 1, 2),
    "UNP": (1, 1),
    "UNT": (1, 1),
    "UNZ": (1, 1),
}


@lru_cache(maxsize=1024)
def iso_date(text: str) -> str:
    """`CCYY-MM-DD` for `yymmdd`, empty if no such day exists. 90-99 are 1990-1999, 00-89 are 2000-2089."""
    if len(text) != 6 or not (text.isascii() and text.isdigit()):
        return ""
    year, month, day = int(text[:2]), int(text[2:4]), int(text[4:])
    try:
        return Date(year + (1900 if year >= 90 else 2000), month, day).isoformat()
    except ValueError:
        return ""


@lru_cache(maxsize=1440)
def iso_time(text: str) -> str:
    """`HH:MM` for `hhmm`, empty if no such time exists (24:00 does not)."""
    if len(text) != 4 or not (text.isascii() and text.isdigit()) or text[:2] > "23" or text[2:] > "59":
        return ""
    return f"{text[:2]}:{text[2:]}"


class Controls:
    """Checks of single service segments. Each fault is reported at its element; nothing is ever corrected."""

    __slots__ = ("findings",)

    def __init__(self, findings: Findings) -> None:
        self.findings = findings

    def shape(self, segment: Segment) -> None:
        """Report elements and components beyond those that the standard gives this service segment."""
        shape = _SHAPES[segment.tag]
        if len(segment.elements) <= len(shape) and all(map(le, map(len, segment.elements), shape)):
            return
        for number, components in enumerate(segment.elements, 1):
            if number > len(shape):
                self.findings.at(EXTRA, segment, number, tag=segment.tag)
                return
            if len(components) > shape[number - 1]:
                self.findings.at(EXTRA, segment, number, shape[number - 1] + 1, tag=segment.tag)

    def required(self, segment: Segment, element: int, name: str, component: int = 1) -> bool:
        """Whether the component holds anything but blanks; if not, that is reported under `name`."""
        try:  # as `Segment.get`; this is asked a dozen times a message
            if segment.elements[element - 1][component - 1].strip():
                return True
        except IndexError:
            pass
        self.findings.at(MISSING, segment, element, component, tag=segment.tag, name=name)
        return False

    def count(self, trailer: Segment, things: str, number: int, digits: int = 6) -> None:
        """Compare element 1 of a trailer (UNT 0074, UNZ 0036: six digits) with the number of `things` there are."""
        stated = trailer.get(1)
        if not self.required(trailer, 1, "count"):
            return
        if not (stated.isascii() and stated.isdigit() and len(stated) <= digits):
            expected = f"a number of one to {digits} digits"
            self.findings.at(INVALID, trailer, 1, 1, tag=trailer.tag, name="count", expected=expected, value=stated)
        elif int(stated) != number:
            self.findings.at(COUNT, trailer, 1, 1, tag=trailer.tag, things=things, found=number, value=stated)

    def same_reference(self, head: Segment | None, element: int, tail: Segment, name: str) -> None:
        """Compare the reference at head and tail. Either may be the wrong one, so both places are marked."""
        there = self.required(tail, 2, name)
        if head is None or not there:
            return
        reference = head.get(element)
        if reference.strip() and reference != tail.get(2):
            self.findings.at(REFERENCES, head, element, 1, head=head.tag, tail=tail.tag)
            self.findings.at(REFERENCES, tail, 2, 1, head=head.tag, tail=tail.tag)
