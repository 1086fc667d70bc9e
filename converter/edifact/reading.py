"""What the generated readers call when a segment is not plainly as its template says, and for texts.

Each method reports what it finds and loses nothing: a value that no leaf takes becomes an `Extra` with an issue at its
place.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from converter.definitions import Definition
from converter.edifact.segments import Segment
from converter.edifact.text import FALLBACK, FORMATS, MAX_COMPONENT, PLAIN, read_lines, read_text
from converter.freetext import COMPONENTS
from converter.issues import IssueKind, IssueLog, Location, Severity, declare
from converter.letter import Extra, Value
from converter.limits import Limits

NOT_USED = declare(
    "EDI100",
    "component-not-used",
    Severity.ERROR,
    "{tag}: there is a value where the layout of {definition} has none",
    why="Nobody knows what the value means, so it is kept aside and goes into no output.",
    help="Compare the segment with the layout (`medcom-fhir explain TYPE`); a separator too many shifts values.",
    source="letter definition",
    contrl=16,
)
CONSTANT = declare(
    "EDI101",
    "constant-differs",
    Severity.ERROR,
    "{tag}: {found} stands where the layout of {definition} has the constant {expected!r}",
    why="The segment may mean something else than it is taken for.",
    help="The sender must write the constant.",
    source="letter definition",
    contrl=12,
)
ECHO = declare(
    "EDI102",
    "repeated-value-differs",
    Severity.ERROR,
    "{tag}: the value must repeat {original} and does not",
    why="Two places of the letter contradict each other; the first one was used.",
    help="The sender must write the same value in both places.",
    source="letter definition",
    contrl=12,
)
COUNTER = declare(
    "EDI103",
    "counter-differs",
    Severity.WARNING,
    "{tag}: the running number must be {expected}",
    why="A group may have been lost, doubled or moved; the number has no other meaning.",
    help="The sender must number the groups.",
    source="letter definition",
    contrl=29,
)
CODE = declare(
    "EDI104",
    "code-unknown",
    Severity.ERROR,
    "{tag}: the code is not in the list {codes}",
    why="Its meaning is unknown. It is handed on as it stands and fits no code list of the output.",
    help="Compare with the list (mappings/letters/codes); the sender may use a newer one.",
    source="letter definition",
    contrl=12,
)
SHAPE = declare(
    "EDI105",
    "value-malformed",
    Severity.ERROR,
    "{tag}: a value of the form {expected} was expected",
    why="The date or time cannot be understood. It is handed on as it stands.",
    help="The sender must correct it.",
    source="letter definition",
    contrl=12,
)
FORMAT = declare(
    "EDI106",
    "text-format-unknown",
    Severity.WARNING,
    "{tag}: the format code is not one of the twelve of MedCom's letters; the text was read as fixed-width",
    why="The text may look different from what its author saw.",
    help="The sender must write P00 for plain text, or another of MedCom's codes.",
    source="MedCom, formatted text",
    contrl=12,
)
LONG_COMPONENT = declare(
    "EDI107",
    "text-line-too-long",
    Severity.ERROR,
    "{tag}: a text component has {found} characters, at most {limit} are allowed",
    why="A receiver may cut it. It was read as it stands.",
    help="The sender must cut lines at 69 characters and mark them as going on.",
    source="EDIFACT D.93A, 4440",
    contrl=39,
)
MANY_COMPONENTS = declare(
    "EDI108",
    "text-components",
    Severity.ERROR,
    "{tag}: a text segment has {found} components, at most {limit} are allowed",
    why="A receiver may ignore the others. They were read.",
    help="The sender must begin a new segment.",
    source="EDIFACT D.93A, C108",
    contrl=16,
)
UNFINISHED = declare(
    "EDI109",
    "text-unfinished",
    Severity.WARNING,
    "{tag}: the text ends in a mark that says that its line goes on",
    why="The end of the text may be missing.",
    help="Compare with the sender's text. Some systems leave the mark behind a formatted end, and nothing is missing.",
    source="MedCom, formatted text",
)
LIMIT = declare(
    "EDI110",
    "group-too-long",
    Severity.ERROR,
    "the group has {found} segments {tag}, at most {limit} are allowed",
    why="A receiver may refuse the letter. All of them were read.",
    help="The sender must divide the text.",
    source="letter definition",
    contrl=35,
)
GROUPS = declare(
    "EDI113",
    "too-many-groups",
    Severity.ERROR,
    "{found} groups {tag} for one kind of content, at most {limit} are allowed",
    why="A receiver may refuse the letter. All of them were read.",
    help="The sender must shorten the content, or send a second letter.",
    source="letter definition",
    contrl=35,
)
TEXT_TOO_LARGE = declare(
    "EDI111",
    "text-too-large",
    Severity.ERROR,
    "{tag}: a text of more than {limit} bytes",
    why="The letter was refused, so that one message cannot fill the memory.",
    help="A greater limit can be set with --limit text=SIZE.",
    source="limit `text`",
    contrl=39,
)
MORE = declare(
    "EDI112",
    "more-findings-in-letter",
    Severity.INFO,
    "{number} more finding(s) {code} in this letter are not listed",
    why="A broken or hostile letter can have very many of one kind.",
    help="Look at those that are listed; the rest is most likely of the same cause.",
)

TOO_MANY_VALUES = declare(
    "EDI114",
    "too-many-strange-values",
    Severity.ERROR,
    "more than {limit} values for which the layout of {definition} has no place",
    why="The letter was refused: it is another message than it says, or was made to fill the memory.",
    help="Compare the message with the layout (`medcom-fhir explain TYPE`).",
    source="limit on values without a leaf",
    contrl=35,
)

MAX_EXTRAS = 5000
"""Values without a leaf that are kept for one letter."""
MAX_LISTED = 100
"""Findings of one kind that are listed for one letter."""

Place = tuple[int, int, int]
"""Number of the segment in the letter (0 is UNB), element and component, from 1; component 0 is the whole element."""

Checked = tuple[int, int, str, str]
"""Element, component, value found, constant expected."""


@dataclass(frozen=True, slots=True)
class TextTemplate:
    """The template of a formatted text. `shape` counts the components of its elements, `form` and `body` are the
    elements of format and text, `constants` (element, component, text) stand in the others. `usual` is what stands
    before the text of a plain one; None if the text is not the last element.
    """

    shape: tuple[int, ...]
    form: int
    body: int
    constants: tuple[tuple[int, int, str], ...]
    usual: list[list[str]] | None


class Reading:
    """One letter while it is read: its segments, and what was found so far."""

    __slots__ = (
        "_number",
        "counts",
        "definition",
        "element",
        "extras",
        "found",
        "limits",
        "places",
        "refused",
        "segments",
        "values",
    )

    def __init__(self, segments: Sequence[Segment], definition: Definition, limits: Limits) -> None:
        self.segments = segments
        self.definition = f"{definition.type} {definition.version}"
        self.element = definition.element
        self.limits = limits
        self.reset()

    def reset(self) -> None:
        """Forget everything that was read and found."""
        self.values: dict[str, Value] = {}
        self.places: dict[str, Any] = {}
        self.counts: dict[str, int] = {}
        self.extras: list[Extra] = []
        self.found = IssueLog()
        self.refused = False
        self._number: dict[str, int] = {}

    # -- reporting

    def report(
        self, kind: IssueKind, i: int, element: int = 0, component: int = 0, leaf: str = "", **facts: Any
    ) -> None:
        """Report a finding at a segment, element and component; beyond 100 of a kind they are only counted."""
        number = self._number[kind.code] = self._number.get(kind.code, 0) + 1
        if number <= MAX_LISTED:
            at = self.segments[i].locate(element, component)
            self.found.add(kind, replace(at, path=leaf) if leaf else at, **facts)

    def finish(self, log: IssueLog) -> None:
        """Hand the findings to the caller's log, but those about a place that the log already names."""
        if not self.found.issues:
            return
        known = {_spot(issue.at) for issue in log.issues if issue.at.component}
        log.extend(issue for issue in self.found.issues if _spot(issue.at) not in known)
        for code, number in self._number.items():
            if number > MAX_LISTED:
                left = number - MAX_LISTED
                log.add(MORE, self.segments[0].locate(), number=left, code=code, count=left)

    def extra(self, i: int, element: int, component: int, value: str) -> None:
        """Keep a value for which there is no leaf; with too many of them the letter is refused."""
        if len(self.extras) >= MAX_EXTRAS:
            if not self.refused:
                self.report(TOO_MANY_VALUES, 0, limit=MAX_EXTRAS, definition=self.definition)
            self.refused = True
            return
        segment = self.segments[i]
        path = f"EDIFACT/{segment.tag}#{segment.ordinal}.{element}.{component}"
        self.extras.append(Extra(path, segment.locate(element, component), value))

    def surplus(self, i: int, element: int, component: int, values: Sequence[str]) -> None:
        """Report and keep the values from a component on for which the template has no place."""
        for number, value in enumerate(values, component):
            if value:
                self.report(
                    NOT_USED, i, element, number, value=value, tag=self.segments[i].tag, definition=self.definition
                )
                self.extra(i, element, number, value)

    def leave(self, end: int) -> None:
        """Report and keep what no reader took, from segment `end` on."""
        for i in range(max(end, 0), len(self.segments)):
            for element, components in enumerate(self.segments[i].elements, 1):
                self.surplus(i, element, 1, components)

    # -- plain segments

    def fit(self, i: int, shape: tuple[int, ...]) -> list[list[str]]:
        """The elements of a segment in the shape of its template: what is absent is empty, what is too much is kept."""
        elements = self.segments[i].elements
        rows = elements[: len(shape)]
        for number, (size, have) in enumerate(zip(shape, rows)):  # noqa: B905 - elements may be absent at the end
            if len(have) < size:
                rows[number] = have + [""] * (size - len(have))
            elif len(have) > size:
                self.surplus(i, number + 1, size + 1, have[size:])
                rows[number] = have[:size]
        for size in shape[len(rows) :]:
            rows.append([""] * size)
        for number in range(len(shape), len(elements)):
            self.surplus(i, number + 1, 1, elements[number])
        return rows

    def constants(self, i: int, shape: tuple[int, ...], expected: tuple[tuple[int, int, str], ...]) -> None:
        """Compare a segment that holds nothing but constants."""
        rows = self.fit(i, shape)
        self.literals(i, tuple((e, c, rows[e - 1][c - 1], text) for e, c, text in expected))

    def triggers(self, passed: set[int], number: str) -> None:
        """Compare the triggers that stand between the segments of one text or list of lines."""
        for i in sorted(passed):
            if self.segments[i].elements != [[number]]:
                self.constants(i, (1,), ((1, 1, number),))

    def literals(self, i: int, checked: tuple[Checked, ...]) -> None:
        """Report every constant that differs; where nothing is expected, a value has no place."""
        tag = self.segments[i].tag
        for element, component, found, expected in checked:
            if found == expected:
                continue
            if not expected:
                self.surplus(i, element, component, [found])
                continue
            what, severity = ("another value", Severity.ERROR) if found else ("nothing", Severity.WARNING)
            facts = {"tag": tag, "found": what, "expected": expected, "definition": self.definition}
            self.report(CONSTANT, i, element, component, value=found or None, severity=severity, **facts)
            if found:
                self.extra(i, element, component, found)

    def dead(self, i: int, checked: tuple[Checked, ...]) -> None:
        """Compare the constants of an element whose field is absent: they may be absent too."""
        self.literals(i, tuple(c for c in checked if c[2]))

    def echo(self, i: int, element: int, component: int, found: str, leaf: str) -> None:
        """Report a repeated value that differs."""
        severity = Severity.ERROR if found else Severity.WARNING
        tag = self.segments[i].tag
        self.report(ECHO, i, element, component, leaf, value=found or None, severity=severity, tag=tag, original=leaf)
        if found:
            self.extra(i, element, component, found)

    def counter(self, i: int, element: int, component: int, found: str, expected: int) -> None:
        """Report a running number that is not the expected one."""
        tag = self.segments[i].tag
        self.report(COUNTER, i, element, component, value=found or None, tag=tag, expected=expected)
        if found:
            self.extra(i, element, component, found)

    def code(self, places: Sequence[Place], found: Sequence[str], leaf: str, codes: str) -> str:
        """Report a code that is in no row; its columns, joined, stand for the value."""
        i, element, component = places[0]
        value = ":".join(found)
        self.report(CODE, i, element, component, leaf, value=value, tag=self.segments[i].tag, codes=codes)
        return value

    def shape(self, place: Place, found: str, leaf: str, expected: str) -> str:
        """Report a value that its codec cannot read; it stands for itself."""
        i, element, component = place
        self.report(SHAPE, i, element, component, leaf, value=found, tag=self.segments[i].tag, expected=expected)
        return found

    def object(self, i: int, leaf: str) -> None:
        """Read the bytes of an object into a leaf, as base64; a segment of that name is none."""
        content = self.segments[i].binary
        if content is None:
            for element, components in enumerate(self.segments[i].elements, 1):
                self.surplus(i, element, 1, components)
            return
        self.values[leaf] = b64encode(content).decode("ascii")
        self.places[leaf] = (i, 0, 0)

    # -- texts

    def text(self, numbers: Sequence[int], leaf: str, template: TextTemplate) -> None:
        """Read a formatted text from these segments into a leaf."""
        body, usual, segments = template.body, template.usual, self.segments
        parts, places = [], []
        for i in numbers:
            elements = segments[i].elements
            if elements[:-1] == usual:
                form, components = PLAIN, elements[-1]
            else:
                form, components = self._part(i, template)
            if components and (max(map(len, components)) > MAX_COMPONENT or len(components) > COMPONENTS):
                self._oversized(i, body, components)
            parts.append((form, components))
            places.append((i, body, 0))
        if components and components[-1][-1:] == "\\":
            self.report(UNFINISHED, i, body, len(components), leaf, tag=segments[i].tag)
        runs = read_text(parts)
        if sum(len(text) for _, text in runs) > self.limits.text:
            i = numbers[0]
            self.report(TEXT_TOO_LARGE, i, body, 0, leaf, tag=segments[i].tag, limit=self.limits.text)
            self.refused = True
        self.values[leaf] = runs
        self.places[leaf] = places if len(places) > 1 else places[0]

    def _part(self, i: int, template: TextTemplate) -> tuple[str, list[str]]:
        """Format and components of one segment of a text, after a look at all that stands around them."""
        rows = self._around(i, template.shape, template.body)
        for element, component, expected in template.constants:
            found = rows[element - 1][component - 1]
            if found != expected:
                self.literals(i, ((element, component, found, expected),))
        elements = self.segments[i].elements
        components = elements[template.body - 1] if len(elements) >= template.body else []
        return self._format(i, template.form, rows[template.form - 1][0]), components

    def lines(
        self, numbers: Sequence[int], shape: tuple[int, ...], constants: Any
    ) -> tuple[list[str], list[list[Place]]]:
        """The logical lines of these segments, and where each stands; the last element of the template holds them."""
        body = len(shape)
        components: list[str] = []
        where: list[Place] = []
        for i in numbers:
            rows = self._around(i, shape, body)
            self.literals(i, tuple((e, c, rows[e - 1][c - 1], text) for e, c, text in constants))
            found = self._components(i, body)
            self._oversized(i, body, found)
            components += found
            where += [(i, body, number) for number in range(1, len(found) + 1)]
        lines, places = placed_lines(components, where)
        for spare in range(shape[-1], len(lines)):
            if lines[spare]:
                self.surplus(*places[spare][0], [lines[spare]])
        missing = shape[-1] - len(lines)
        return lines + [""] * missing, places + [[] for _ in range(missing)]

    def run_of_lines(
        self, keys: Sequence[str], i: int, fields: int, body: int, trigger: str
    ) -> tuple[list[int], int, int]:
        """As `run`, for `fields` logical lines in element `body`."""
        return run_of_lines(keys, i, fields, lambda number: self._components(number, body), trigger)

    def _components(self, i: int, element: int) -> list[str]:
        elements = self.segments[i].elements
        return elements[element - 1] if len(elements) >= element else []

    def limit(self, start: int, end: int, tag: str, limit: int) -> None:
        """Report a group, at its trigger `start`, that holds too many segments of a tag."""
        found = sum(1 for segment in self.segments[start:end] if segment.tag == tag)
        if found > limit:
            self.report(LIMIT, start, found=found, tag=tag, limit=limit)

    def overflow(self, start: int, end: int, tag: str, segments: int, groups: int) -> None:
        """Report too many groups, or too many segments in one, where one run of content spreads over several groups."""
        trigger = self.segments[start].tag
        starts = [i for i in range(start, end) if self.segments[i].tag == trigger]
        if len(starts) > groups:
            self.report(GROUPS, starts[groups], found=len(starts), tag=trigger, limit=groups)
        for begin, stop in zip(starts, [*starts[1:], end], strict=True):
            self.limit(begin, stop, tag, segments)

    def _around(self, i: int, shape: tuple[int, ...], body: int) -> list[list[str]]:
        """The elements of a text segment around its text, in shape."""
        elements = self.segments[i].elements
        rows: list[list[str]] = []
        for number, size in enumerate(shape, 1):
            have = elements[number - 1] if number <= len(elements) else []
            if number == body:
                rows.append([])
                continue
            if len(have) > size:
                self.surplus(i, number, size + 1, have[size:])
            rows.append((have + [""] * size)[:size])
        for number in range(len(shape), len(elements)):
            self.surplus(i, number + 1, 1, elements[number])
        return rows

    def _oversized(self, i: int, body: int, components: list[str]) -> None:
        """Report components of a text that are too long or too many."""
        tag = self.segments[i].tag
        for number, component in enumerate(components, 1):
            found = len(component)
            if found > MAX_COMPONENT:
                self.report(LONG_COMPONENT, i, body, number, tag=tag, found=found, limit=MAX_COMPONENT)
        found = len(components)
        if found > COMPONENTS:
            self.report(MANY_COMPONENTS, i, body, COMPONENTS + 1, tag=tag, found=found, limit=COMPONENTS)

    def _format(self, i: int, element: int, form: str) -> str:
        if form in FORMATS:
            return form
        self.report(FORMAT, i, element, 1, value=form or None, tag=self.segments[i].tag)
        if form:
            self.extra(i, element, 1, form)
        return FALLBACK


def run(keys: Sequence[str], i: int, trigger: str) -> tuple[list[int], int, int]:
    """The segments of one text from `i` on: their numbers, the number after them, triggers passed.

    `trigger` is the key of the trigger that may stand between them, empty if none may.
    """
    key, numbers, passed = keys[i], [i], 0
    while True:
        following = i + 1
        if trigger and keys[following] == trigger and keys[following + 1] == key:
            following, passed = following + 1, passed + 1
        if keys[following] != key:
            return numbers, i + 1, passed
        i = following
        numbers.append(i)


def run_of_lines(
    keys: Sequence[str], i: int, fields: int, components: Callable[[int], list[str]], trigger: str
) -> tuple[list[int], int, int]:
    """As `run`, for `fields` logical lines; `components` gives those of a segment.

    The next segment belongs to them if a line goes on, or if this one is full and lines are missing: a writer
    begins a new segment only when five components are used up.
    """
    key, numbers, passed, lines, goes_on = keys[i], [i], 0, 0, False
    while True:
        found = components(i)
        for component in found:
            lines += not goes_on
            goes_on = component.endswith("\\")
        following = i + 1
        between = trigger and keys[following] == trigger and keys[following + 1] == key
        following += bool(between)
        full = len(found) >= COMPONENTS and lines < fields
        if keys[following] != key or not found or not (goes_on or full):
            return numbers, i + 1, passed
        passed += bool(between)
        i = following
        numbers.append(i)


def placed_lines(components: Sequence[str], where: Sequence[Place]) -> tuple[list[str], list[list[Place]]]:
    """The logical lines of components, and where each stands."""
    lines = read_lines(components)
    places: list[list[Place]] = [[] for _ in lines]
    line, goes_on = -1, False
    for component, place in zip(components, where, strict=True):
        line += not goes_on
        places[line].append(place)
        goes_on = component.endswith("\\")
    return lines, places


def _spot(at: Location) -> tuple[str, int, int, int]:
    return at.file, at.offset, at.element, at.component
