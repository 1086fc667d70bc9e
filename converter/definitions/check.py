"""Judges a letter by its definition, as MedCom's schemas do, and by what no schema can say (days that exist)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from converter.definitions.tree import Choice, Element
from converter.definitions.values import FORMATS, NO_LEAF, SIZE, TIMES, Shape, Test, is_day, test_of
from converter.issues import NOWHERE, IssueKind, IssueLog, Location, Severity, declare
from converter.letter import Letter, Value, plain

MISSING = declare(
    "LTR010",
    "mandatory-missing",
    Severity.ERROR,
    "the mandatory {element} is missing",
    why="A receiver that validates against MedCom's schema refuses the letter.",
    help="The sender must fill it in.",
    source="OIOXML schema of the letter (minOccurs)",
)
TOO_MANY = declare(
    "LTR011",
    "too-many",
    Severity.ERROR,
    "{element} occurs {found} times, at most {limit} are allowed",
    why="A receiver that validates against MedCom's schema refuses the letter.",
    help="Send what is too much in a second letter.",
    source="OIOXML schema of the letter (maxOccurs)",
)
LENGTH = declare(
    "LTR012",
    "length",
    Severity.ERROR,
    "{found} characters, {low} to {high} are allowed",
    why="A receiver may cut the value or refuse the letter. It is handed on as it stands.",
    help="The sender must shorten the value, or leave the element out.",
    source="OIOXML schema of the letter (minLength, maxLength)",
)
NOT_IN_LIST = declare(
    "LTR013",
    "value-not-in-list",
    Severity.ERROR,
    "the value is not in the code list {codes}",
    why="Its meaning is unknown.",
    help="Compare with the list (mappings/letters/codes).",
    source="OIOXML schema of the letter (enumeration)",
)
NO_DATE = declare(
    "LTR014",
    "date-invalid",
    Severity.ERROR,
    "not a day that exists, in the form 2023-11-20",
    why="The date cannot be understood.",
    help="The sender must correct it.",
    source="OIOXML schema of the letter (xs:date)",
)
NO_TIME = declare(
    "LTR015",
    "time-invalid",
    Severity.ERROR,
    "not a time of day in the form {form}",
    why="The time cannot be understood.",
    help="The sender must correct it.",
    source="OIOXML schema of the letter",
)
CHOICE_TWICE = declare(
    "LTR016",
    "choice-made-twice-in-letter",
    Severity.ERROR,
    "only one of {names} may stand, {found} do",
    why="They contradict each other, and receivers refuse the letter.",
    help="The sender must leave the others out.",
    source="OIOXML schema of the letter (xs:choice)",
)
NO_CHOICE = declare(
    "LTR017",
    "choice-not-made-in-letter",
    Severity.ERROR,
    "one of {names} must stand, none does",
    why="A receiver that validates against MedCom's schema refuses the letter.",
    help="The sender must fill in one of them.",
    source="OIOXML schema of the letter (xs:choice)",
)
CONSTANT = declare(
    "LTR018",
    "constant-differs-in-letter",
    Severity.ERROR,
    "the value must be {expected!r}",
    why="The letter says that it is something else than it is read as.",
    help="The sender must write the constant.",
    source="OIOXML schema of the letter (pattern)",
)
UNUSUAL = declare(
    "LTR019",
    "usual-value-differs",
    Severity.WARNING,
    "the usual value is {expected!r}",
    why="Statistics count the letter as something else; EDIFACT has no place for another value.",
    help="The sender should write the usual value.",
    source="MedCom's samples; the schema allows any text",
)
FORM = declare(
    "LTR021",
    "form-invalid",
    Severity.ERROR,
    "the value does not have the form that the schema asks for",
    why="A receiver that validates against MedCom's schema refuses the letter.",
    help="A CPR number is a day and month that exist and six more digits, without a hyphen; a replacement number has "
    "an element of its own.",
    source="OIOXML schema of the letter (pattern)",
)
UNKNOWN = declare(
    "LTR022",
    "leaf-unknown",
    Severity.ERROR,
    "the definition of {definition} has no such leaf",
    why="The value goes into no output.",
    help="Compare the leaf with the definition (`medcom-fhir explain TYPE`).",
)
NUMBER = declare(
    "LTR023",
    "number-invalid",
    Severity.ERROR,
    "not a positive whole number",
    why="A receiver that validates against MedCom's schema refuses the letter.",
    help="The sender must correct it.",
    source="OIOXML schema of the letter (xs:positiveInteger)",
)
ZONE = declare(
    "LTR024",
    "date-with-zone",
    Severity.WARNING,
    "the date has a time zone",
    why="The schema allows it, but no other syntax can carry it, and later versions forbid it.",
    help="The sender must leave the zone out.",
    source="OIOXML schema of the letter (xs:date)",
)
KIND = declare(
    "LTR025",
    "kind-of-value",
    Severity.ERROR,
    "{found} stands where {wanted} is expected",
    why="The value cannot be written.",
    help="This is a fault of whoever made the letter, a mapping most likely.",
)

MORE = declare(
    "LTR026",
    "more-findings-about-letter",
    Severity.INFO,
    "{number} more finding(s) {code} in this letter are not listed",
    why="A broken or hostile letter can have very many of one kind.",
    help="Look at those that are listed; the rest is most likely of the same cause.",
)

MAX_LISTED = 100
"""Findings of one kind that are listed for one letter."""

_ZONE = re.compile(r"(Z|[+-]\d\d:\d\d)\Z", re.ASCII)
_INDEX = re.compile(r"\[([1-9]\d{0,8})\]", re.ASCII)
MAX_KNOWN = 4096
"""Leaves with indices that are remembered for one definition."""

MAX_SHAPES = 512
"""Shapes that are remembered for one definition. Systems write letters of few shapes again and again."""

MAX_SHAPE = 500
"""Leaves of a shape that is remembered."""

Indices = tuple[tuple[str, int], ...]
"""The indices in the id of a leaf, each with the id of its element without it."""


@dataclass(slots=True)
class _Bound:
    """An element that may be there too seldom or too often, or below which one may; prepared for the walk.

    `leaves` are the paths of the leaves below it that nothing repeats above, from its own on; `deep` tells whether
    others stand below it too.
    """

    element: Element
    leaves: tuple[str, ...]
    deep: bool
    children: tuple[_Bound, ...]
    choices: tuple[tuple[Choice, tuple[_Bound, ...]], ...]

    @classmethod
    def of(cls, element: Element) -> _Bound:
        """Prepare an element and what is bound below it."""
        start = len(element.path)
        leaves = tuple(leaf.path[start:] for leaf in _plain(element))
        choices = tuple(
            (choice, tuple(cls.of(child) for name in choice.names if (child := element.child(name))))
            for choice in element.choices
        )
        return cls(element, leaves, any(e.repeats for e in element.walk()), _bound(element.children), choices)

    @property
    def binds(self) -> bool:
        """Whether a letter can break it."""
        element = self.element
        if element.min or self.children or self.choices:
            return True
        return element.repeats and element.max is not None


def _bound(elements: Iterable[Element]) -> tuple[_Bound, ...]:
    return tuple(bound for bound in map(_Bound.of, elements) if bound.binds)


@dataclass(slots=True)
class Checker:
    """The checks of one definition, prepared once; `name` is its type and version.

    `shapes`: the leaves that stand in letters whose structure is right. Which elements stand, and how often, is a
    matter of the leaves alone, so that a letter of a known shape is judged by its values.
    """

    name: str
    tree: Element
    find: Callable[[str], Element | None]
    tests: dict[str, Test]
    required: frozenset[str]
    choices: list[tuple[tuple[str, ...], ...]]
    conditional: tuple[_Bound, ...]
    whole: _Bound
    known: dict[str, tuple[Test, Indices]]
    shapes: dict[tuple[str, ...], Shape]

    @classmethod
    def of(cls, name: str, tree: Element, find: Callable[[str], Element | None]) -> Checker:
        """Prepare the checks of a tree; `find` finds a leaf by its id."""
        checker = cls(name, tree, find, {}, frozenset(), [], (), _Bound.of(tree), {}, {})
        required: set[str] = set()
        conditional: list[Element] = []
        checker._prepare(tree, required, conditional)
        checker.required, checker.conditional = frozenset(required), _bound(conditional)
        return checker

    def _prepare(self, element: Element, required: set[str], conditional: list[Element]) -> None:
        """Gather what holds for every letter; what depends on an element being there goes to `conditional`."""
        for choice in element.choices:
            members = [c for c in element.children if c.name in choice.names]
            self.choices.append(tuple(tuple(e.path for e in m.walk() if e.is_leaf) for m in members))
        for child in element.children:
            if child.is_leaf and not child.repeats:
                self.tests[child.path] = test_of(child)
                if child.min:
                    required.add(child.path)
            elif child.min and not child.repeats:
                self._prepare(child, required, conditional)
            else:
                conditional.append(child)
                if not child.repeats:
                    self.tests.update((e.path, test_of(e)) for e in _plain(child))

    def check(self, letter: Letter, log: IssueLog) -> Shape | None:
        """Report every breach of the definition; the letter's shape if it was known."""
        if letter.refused:
            return None
        values = letter.values
        shape = (*values,)
        known = self.shapes.get(shape)
        if known is not None and known.is_fine(values):
            return known
        tests = [self.tests.get(leaf) or self._learn(leaf)[0] for leaf in shape]
        doubtful = []
        for leaf, value, (low, high, test) in zip(shape, values.values(), tests, strict=True):
            if test is None:
                if type(value) is not str or not low <= len(value) <= high:
                    doubtful.append(leaf)
            elif not test(value):
                doubtful.append(leaf)
        report = Report(letter, log)
        doubtful.sort(key=self._repeated)
        for leaf in doubtful:
            self._judge(leaf, values[leaf], report)
        if known is None and self._structure(values, report):
            self._remember(shape, tests)
        report.close()
        return known

    def _remember(self, shape: tuple[str, ...], tests: list[Test]) -> None:
        if len(shape) <= MAX_SHAPE and NO_LEAF not in tests:
            if len(self.shapes) >= MAX_SHAPES:
                self.shapes.clear()  # what still comes is soon known again
            self.shapes[shape] = Shape.of(shape, tests)

    def _repeated(self, leaf: str) -> bool:
        """Whether a leaf stands below a repeating element, or nowhere: those are judged after the others."""
        return leaf not in self.tests

    def _structure(self, values: dict[str, Value], report: Report) -> bool:
        """Check which elements stand, and how often; whether nothing is wrong with it."""
        indices: dict[str, set[int]] = {}
        for leaf in values:
            if leaf not in self.tests:
                for key, number in self._learn(leaf)[1]:
                    indices.setdefault(key, set()).add(number)
        whole = values.keys() >= self.required and all(  # the usual case, without a look at every element
            sum([not values.keys().isdisjoint(member) for member in choice]) == 1 for choice in self.choices
        )
        structure = _Structure(values, indices, report)
        if whole:
            structure.children(self.conditional, "")
        else:
            structure.group(self.whole, "")
        return not structure.found

    def _learn(self, leaf: str) -> tuple[Test, Indices]:
        """How to test a leaf with indices, and which they are; remembered for so many as an honest letter has."""
        known = self.known.get(leaf)
        if known is not None:
            return known
        element = self.find(leaf)
        test = NO_LEAF if element is None else test_of(element)
        learnt = test, tuple((leaf[: match.start()], int(match[1])) for match in _INDEX.finditer(leaf))
        if element is not None and len(self.known) < MAX_KNOWN:
            self.known[leaf] = learnt
        return learnt

    def _judge(self, leaf: str, value: Value, report: Report) -> None:
        element = self.find(leaf)
        if element is None:
            report.add(UNKNOWN, leaf, definition=self.name)
        else:
            _faults(element, leaf, value, report)


class Report:
    """Adds findings to a log, each at the leaf's place in the input; none where the log already has one."""

    def __init__(self, letter: Letter, log: IssueLog) -> None:
        self._letter = letter
        self._log = log
        self._known: set[tuple[str, int, int, int]] | None = None
        self._number: dict[str, int] = {}

    def _room(self, kind: IssueKind) -> bool:
        number = self._number[kind.code] = self._number.get(kind.code, 0) + 1
        return number <= MAX_LISTED

    def close(self) -> None:
        """Say how many findings were not listed."""
        for code, number in self._number.items():
            if number > MAX_LISTED:
                left = number - MAX_LISTED
                self._log.add(MORE, number=left, code=code, count=left)

    def add(self, kind: IssueKind, leaf: str, *, value: str | None = None, **facts: Any) -> None:
        """Report a finding about a leaf that is there."""
        if not self._room(kind):
            return
        if self._known is None:
            self._known = {_spot(issue.at) for issue in self._log if issue.at.component}
        if not self._known and self._letter.source is not None:  # so that nobody need know the place now
            self._log.add(kind, partial(_place, self._letter, leaf), value=value, **facts)
            return
        at = _place(self._letter, leaf)
        if _spot(at) not in self._known:
            self._log.add(kind, at, value=value, **facts)

    def absent(self, kind: IssueKind, path: str, parent: str, **facts: Any) -> None:
        """Report something that is not there, at a neighbour's place."""
        if not self._room(kind):
            return
        inside = (leaf for leaf in self._letter.values if leaf.startswith(parent))
        found = next((at[0] for leaf in inside if (at := self._letter.locate(leaf))), Location())
        self._log.add(kind, replace(found, path=path, element=0, component=0), **facts)


class _Structure:
    """Checks which elements are there."""

    def __init__(self, values: dict[str, Value], indices: dict[str, set[int]], report: Report) -> None:
        self._values, self._indices, self._report = values, indices, report
        self._above: set[str] | None = None
        self.found = False

    def _absent(self, kind: IssueKind, path: str, parent: str, **facts: Any) -> None:
        self.found = True
        self._report.absent(kind, path, parent, **facts)

    def group(self, bound: _Bound, prefix: str) -> None:
        """Check an element that is there; `prefix` is the id of its children up to their names."""
        for choice, members in bound.choices:
            self._choice(choice, members, prefix)
        self.children(bound.children, prefix)

    def children(self, bounds: tuple[_Bound, ...], prefix: str) -> None:
        """Check children of an element that is there."""
        for bound in bounds:
            child = bound.element
            path = prefix + child.name if prefix else child.path
            if child.repeats:
                self._repeated(bound, path, prefix)
            elif child.is_leaf:
                if child.min and path not in self._values:
                    self._absent(MISSING, path, prefix, element=child.path)
            elif self._present(bound, path):
                self.group(bound, f"{path}.")
            elif child.min:
                self._absent(MISSING, path, prefix, element=child.path)

    def _repeated(self, bound: _Bound, path: str, prefix: str) -> None:
        child = bound.element
        found = sorted(self._indices.get(path, ()))
        if len(found) < child.min:
            self._absent(MISSING, path, prefix, element=child.path)
        if child.max is not None and len(found) > child.max:
            facts = {"found": len(found), "limit": child.max, "element": child.path}
            self._absent(TOO_MANY, path, f"{path}[{found[child.max]}]", **facts)
        if bound.children or bound.choices:
            for index in found:
                self.group(bound, f"{path}[{index}].")

    def _choice(self, choice: Choice, members: tuple[_Bound, ...], prefix: str) -> None:
        names = [bound.element.name for bound in members]
        standing = [name for name, bound in zip(names, members, strict=True) if self._present(bound, prefix + name)]
        path, facts = prefix.rstrip("."), {"names": ", ".join(choice.names)}
        if len(standing) > 1:
            self._absent(CHOICE_TWICE, path, prefix + standing[1], found=len(standing), **facts)
        elif not standing and choice.required:
            self._absent(NO_CHOICE, path, prefix, **facts)

    def _present(self, bound: _Bound, path: str) -> bool:
        values = self._values
        for leaf in bound.leaves:
            if path + leaf in values:
                return True
        return bound.deep and path in self._parents()

    def _parents(self) -> set[str]:
        """All elements that a repeating element stands below."""
        if self._above is None:
            self._above = {key[:end] for key in self._indices for end, char in enumerate(key) if char == "."}
        return self._above


def _plain(element: Element) -> list[Element]:
    """The leaves below an element that no repeating element stands above."""
    if element.is_leaf:
        return [element]
    return [leaf for child in element.children if not child.repeats for leaf in _plain(child)]


def _faults(element: Element, leaf: str, value: Value, report: Report) -> None:
    """Report what is wrong with a value."""
    if element.type == "text":
        if isinstance(value, str):
            report.add(KIND, leaf, found="a plain value", wanted="formatted text")
        elif not FORMATS.issuperset([form for form, _ in value]):
            report.add(KIND, leaf, found="an unknown format", wanted="one of MedCom's format codes")
        elif element.check == "plain" and any(form != "P00" for form, _ in value):
            report.add(KIND, leaf, found="formatted text", wanted="lines without formatting")
        return
    if not isinstance(value, str):
        report.add(KIND, leaf, value=plain(value), found="formatted text", wanted="a plain value")
        return
    if element.const is not None:
        if value != element.const:
            report.add(UNUSUAL if element.type == "an" else CONSTANT, leaf, value=value, expected=element.const)
        if element.type != "an":
            return
    if element.type == "an" and element.pattern:
        if re.fullmatch(element.pattern, value) is None:
            report.add(FORM, leaf, value=value)
        return
    if element.type == "an":
        low, high = element.length
        if not low <= len(value) <= high:
            report.add(LENGTH, leaf, value=value, found=len(value), low=low, high=high)
        return
    _typed_faults(element, leaf, value, report)


def _typed_faults(element: Element, leaf: str, value: str, report: Report) -> None:
    if element.codes is not None and value not in element.codes.rows:
        report.add(NOT_IN_LIST, leaf, value=value, codes=element.codes.name)
    elif element.type == "date" and not is_day(value):
        zone = _ZONE.search(value)
        zoned = zone is not None and is_day(value[: zone.start()])
        report.add(ZONE if zoned else NO_DATE, leaf, value=value)
    elif element.type in TIMES and not TIMES[element.type][0].match(value):
        report.add(NO_TIME, leaf, value=value, form=TIMES[element.type][1])
    elif element.type == "size" and not SIZE.match(value):
        report.add(NUMBER, leaf, value=value)


def _place(letter: Letter, leaf: str) -> Location:
    """The first place of a leaf; of one that stands nowhere (a usual value that EDIFACT leaves out) the file."""
    found = letter.locate(leaf)
    if found:
        return replace(found[0], path=leaf)
    beside = next((at[0] for other in letter.values if (at := letter.locate(other))), NOWHERE)
    return Location(beside.file, path=leaf)


def _spot(at: Location) -> tuple[str, int, int, int]:
    return at.file, at.offset, at.element, at.component
