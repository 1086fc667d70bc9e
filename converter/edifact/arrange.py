"""Puts the segments of a letter that is not in order into the order of its layout, and reports what is wrong with it.

Segment groups have triggers, so a letter falls into blocks. Each block is given to the group that it fits, each segment
in it to the template that it fits; what is left over is reported, and its values are kept. So one lost or strange
segment costs one issue and not the letter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from converter.definitions.layout import Group, Item, SegmentTemplate, Start, starts, templates
from converter.edifact.readers import mark, qualified
from converter.edifact.reading import Reading
from converter.edifact.segments import Segment
from converter.issues import IssueKind, Severity, declare

UNKNOWN = declare(
    "EDI120",
    "segment-unknown",
    Severity.ERROR,
    "the layout of {definition} has no segment {tag} with this qualifier {where}",
    why="Nobody knows what the segment means, so its values are kept aside and go into no output.",
    help="Compare with the layout (`medcom-fhir explain TYPE`); the letter may be of another version.",
    source="letter definition",
    contrl=15,
)
REPEATED = declare(
    "EDI121",
    "segment-repeated",
    Severity.ERROR,
    "the segment {tag} may occur once {where} and occurs again",
    why="Only the first counts; the values of the others are kept aside and go into no output.",
    help="Look at which of them is meant; a trigger segment may have been lost between them.",
    source="letter definition",
    contrl=35,
)
MISSING = declare(
    "EDI122",
    "segment-missing",
    Severity.ERROR,
    "the segment {tag} is missing {where}",
    why="Part of the letter may have been lost on the way.",
    help="Fetch the letter again; if it was sent so, the sender's system is at fault.",
    source="letter definition",
    contrl=13,
)
OUT_OF_ORDER = declare(
    "EDI123",
    "segment-out-of-order",
    Severity.ERROR,
    "the segment {tag} stands after one that it has to precede",
    why="It was read all the same. A receiver that reads strictly in order refuses the letter or loses the segment.",
    help="The sender must write the segments in the order of the layout.",
    source="letter definition",
    contrl=15,
)
UNKNOWN_GROUP = declare(
    "EDI124",
    "group-unknown",
    Severity.ERROR,
    "the layout of {definition} has no group {tag} with this content",
    why="Nobody knows what the group means, so its values are kept aside and go into no output.",
    help="Compare with the layout (`medcom-fhir explain TYPE`); the letter may be of another version.",
    source="letter definition",
    contrl=15,
)
REPEATED_GROUP = declare(
    "EDI125",
    "group-repeated",
    Severity.ERROR,
    "the group {tag} may occur once and occurs again",
    why="Only the first counts; the values of the others are kept aside and go into no output.",
    help="Look at which of them is meant.",
    source="letter definition",
    contrl=36,
)
NO_TRIGGER = declare(
    "EDI126",
    "trigger-missing",
    Severity.ERROR,
    "the trigger segment {tag} is missing before this segment",
    why="The group was read all the same. A receiver that goes by the triggers takes its segments for another group's.",
    help="The sender must write the trigger; if it was lost on the way, fetch the letter again.",
    source="letter definition",
    contrl=13,
)


Settled = list[tuple[int, SegmentTemplate]]
"""Segment numbers of one block in the order of its layout, each with its template."""


@dataclass(slots=True)
class _Block:
    """A trigger (-1: none, or lost) and the segments up to the next one, as numbers; the group that it was given to."""

    trigger: int
    content: list[int] = field(default_factory=list)
    group: Group | None = None
    settled: Settled = field(default_factory=list)

    @property
    def first(self) -> int:
        """The number of its first segment."""
        return self.trigger if self.trigger >= 0 else self.content[0] if self.content else 0


@dataclass(slots=True)
class Arranged:
    """The letter in the order of its layout: segments, keys for `read_arranged`, numbers before (-1: made here)."""

    segments: list[Segment] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)

    def add(self, segment: Segment, key: str, number: int) -> None:
        """Add a segment at the end."""
        self.segments.append(segment)
        self.keys.append(key)
        self.numbers.append(number)


class Arranger:
    """Arranges letters of one layout."""

    def __init__(self, layout: tuple[Item, ...], numbers: dict[int, int]) -> None:
        self._numbers = numbers
        self.layout = layout
        self.groups = [item for item in layout if isinstance(item, Group)]
        self.outside = tuple(item for item in layout if not isinstance(item, Group))

    def arrange(self, segments: Sequence[Segment], reading: Reading, *, headless: bool) -> Arranged:
        """Arrange a letter; findings and values without a place go to `reading`.

        `headless`: the letter came without an interchange header, which was reported before; its number is then 0.
        """
        letter = _Letter(self, segments, reading, headless)
        outside, *blocks = letter.blocks()
        letter.assign(blocks)
        letter.recover(outside, blocks)
        letter.settle_all(outside, blocks)
        return letter.put_together(outside, blocks)

    def mark(self, item: Item) -> str:
        """The key of an item."""
        return mark(self._numbers[id(item)])


class _Letter:
    """One letter being arranged."""

    def __init__(self, arranger: Arranger, segments: Sequence[Segment], reading: Reading, headless: bool) -> None:
        self.layout, self.outside, self.groups = arranger.layout, arranger.outside, arranger.groups
        self.mark = arranger.mark
        self.segments = segments
        self.reading = reading
        self.headless = headless
        self.own: dict[int, list[Start]] = {}
        self.order = {id(group): n for n, group in enumerate(self.groups)}

    def blocks(self) -> list[_Block]:
        """The letter cut at its triggers; the first block has none."""
        blocks = [_Block(-1)]
        for number in range(int(self.headless), len(self.segments)):
            tag = self.segments[number].tag
            if tag[:1] == "S" and tag[1:].isdigit():
                blocks.append(_Block(number))
            else:
                blocks[-1].content.append(number)
        return blocks

    # -- groups

    def assign(self, blocks: list[_Block]) -> None:
        """Give each block to a group; what fits none, or comes again, is reported and kept aside."""
        used: set[int] = set()
        for block in sorted(blocks, key=lambda block: not block.content):  # a trigger with nothing behind it comes last
            group = self._best(block)
            if group is None:
                self._aside(UNKNOWN_GROUP, block)
            elif id(group) in used and not self._many(group):
                self._aside(REPEATED_GROUP, block)
            else:
                used.add(id(group))
                block.group = group

    def _best(self, block: _Block) -> Group | None:
        candidates = [g for g in self.groups if g.trigger == self.segments[block.trigger].tag]
        if len(candidates) <= 1:
            return candidates[0] if candidates else None
        for test in (self._starts_as, self._has_required_of, self._has_some_of):
            for group in candidates:
                if test(block, group):
                    return group
        return None

    def _starts_as(self, block: _Block, group: Group) -> bool:
        return bool(block.content) and self._fits(block.content[0], starts(group.items))

    def _has_required_of(self, block: _Block, group: Group) -> bool:
        ways = [_start(t) for t, _ in templates(group.items) if t.required]
        return any(self._fits(number, ways) for number in block.content)

    def _has_some_of(self, block: _Block, group: Group) -> bool:
        ways = [_start(t) for t, _ in templates(group.items)]
        return any(self._fits(number, ways) for number in block.content)

    def _many(self, group: Group) -> bool:
        element = self.reading.element(group.each) if group.each else None
        return bool(group.overflow) or (element is not None and element.repeats)

    def recover(self, outside: _Block, blocks: list[_Block]) -> None:
        """Cut a block where a group begins whose trigger was lost: at a segment that the block's own group has not."""
        present = {id(block.group) for block in blocks}
        for group in self.groups:
            if id(group) in present:
                continue
            ways = starts(group.items)
            for index, block in enumerate([outside, *blocks]):
                if block.group is None and block is not outside:
                    continue
                own = self._own(block.group)
                begin = next((n for n in block.content if self._fits(n, ways) and not self._fits(n, own)), None)
                if begin is not None:
                    cut = block.content.index(begin)
                    blocks.insert(index, _Block(-1, block.content[cut:], group))
                    del block.content[cut:]
                    self._report(NO_TRIGGER, begin, tag=group.trigger)
                    break

    def _own(self, group: Group | None) -> list[Start]:
        """How the segments of a group, or those before the first one, can start."""
        if id(group) not in self.own:
            self.own[id(group)] = [_start(t) for t, _ in templates(group.items if group else self.outside)]
        return self.own[id(group)]

    # -- segments

    def settle_all(self, outside: _Block, blocks: list[_Block]) -> None:
        """Give each segment of every block to a template, and report groups that stand in the wrong order."""
        self._settle(self.outside, outside, "before the first group")
        last, seen = -1, set()
        for block in blocks:
            group = block.group
            if group is None:
                continue
            if self.order[id(group)] < last:
                self._report(OUT_OF_ORDER, block.first)
            last = max(last, self.order[id(group)])
            self._settle(group.items, block, f"in the group {group.trigger}", again=id(group) in seen)
            seen.add(id(group))

    def _settle(self, items: tuple[Item, ...], block: _Block, where: str, *, again: bool = False) -> None:
        """Give each segment of a block to a template. `again`: the group occurs for the second time or later."""
        slots = _Slots(items, again)
        pending = [n for n in block.content if not slots.take(n, self.segments[n], exact=True)]
        pending = [n for n in pending if not slots.take(n, self.segments[n], exact=False)]
        for number in slots.late():
            self._report(OUT_OF_ORDER, number)
        for number in pending:
            self._report(REPEATED if slots.knows(self.segments[number]) else UNKNOWN, number, where=where)
            self._keep(number)
        if block.group is None or not block.group.overflow:
            self._missing(slots, block, where)
        block.settled = slots.settled()

    def _missing(self, slots: _Slots, block: _Block, where: str) -> None:
        bound = slots.leaves()
        at = block.trigger if block.trigger >= 0 else block.content[-1] if block.content else 0
        for index, template in enumerate(slots.missing()):
            if template.unless and template.unless in bound:
                continue
            if not (self.headless and block.group is None and index == 0):  # the missing UNB was reported before
                self._report(MISSING, at, tag=template.label, where=where)

    # -- the whole

    def put_together(self, outside: _Block, blocks: list[_Block]) -> Arranged:
        """The letter in order; groups that are missing are reported."""
        result = Arranged()
        last = outside.first
        for item in self.layout:
            if not isinstance(item, Group):
                mine = {id(t) for t, _ in templates((item,))}
                for number, template in outside.settled:
                    if id(template) in mine:
                        result.add(self.segments[number], self._key(number, template), number)
                continue
            found = [block for block in blocks if block.group is item]
            if not found and item.required:
                self._report(MISSING, last, tag=item.trigger, where="in the letter")
            for block in found:
                trigger = Segment(item.trigger, [[item.number]]) if block.trigger < 0 else self.segments[block.trigger]
                result.add(trigger, self.mark(item), block.trigger)
                for number, template in block.settled:
                    result.add(self.segments[number], self._key(number, template), number)
                last = max([last, block.trigger, *block.content])
        return result

    def _key(self, number: int, template: SegmentTemplate) -> str:
        """The key of a segment; texts of one template are told apart by their qualifiers, so each has a key."""
        return self.mark(template) + (f"+{self.segments[number].get(1)}" if qualified(template) else "")

    # -- reporting

    def _aside(self, kind: IssueKind, block: _Block) -> None:
        self._report(kind, block.trigger)
        for number in (block.trigger, *block.content):
            self._keep(number)

    def _keep(self, number: int) -> None:
        segment = self.segments[number]
        for element, components in enumerate(segment.elements, 1):
            for component, value in enumerate(components, 1):
                if value and not (segment.tag[0] == "S" and value == segment.tag[1:]):
                    self.reading.extra(number, element, component, value)

    def _report(self, kind: IssueKind, number: int, **facts: str) -> None:
        tag = facts.pop("tag", self.segments[number].tag)
        self.reading.report(kind, number, 0, 0, "", definition=self.reading.definition, tag=tag, **facts)

    def _fits(self, number: int, ways: list[Start]) -> bool:
        segment = self.segments[number]
        return any(_fit(segment, way) for way in ways)


class _Slots:
    """The templates of one block and the segments given to them."""

    def __init__(self, items: tuple[Item, ...], again: bool) -> None:
        self._templates: list[SegmentTemplate] = []
        self._rank: list[int] = []  # templates inside of one repetition share a rank: their order is free
        self._many: list[bool] = []
        for rank, item in enumerate(items):
            for template, around in templates((item,)):
                if again and template.first:
                    continue
                self._templates.append(template)
                self._rank.append(rank)
                self._many.append(bool(around) or template.kind != "plain")
        self._given: list[tuple[int, int]] = []  # segment number, index of the template
        self._used: set[int] = set()
        self._last = -1

    def take(self, number: int, segment: Segment, *, exact: bool) -> bool:
        """Give a segment to a template that it fits: the first that does not stand before the last one taken, else the
        first; not `exact`: to one of its tag that is missing.
        """
        found = [
            index
            for index, template in enumerate(self._templates)
            if (index not in self._used or (exact and self._many[index]))
            and (_fit(segment, _start(template)) if exact else segment.tag == template.tag and template.required)
        ]
        if not found:
            return False
        index = next((i for i in found if self._rank[i] >= self._last), found[0]) if exact else found[0]
        self._last = self._rank[index] if exact else self._last
        self._used.add(index)
        self._given.append((number, index))
        return True

    def knows(self, segment: Segment) -> bool:
        """Whether some template fits the segment, used or not."""
        return any(_fit(segment, _start(t)) for t in self._templates)

    def late(self) -> Iterator[int]:
        """The segments that stand behind one of a later template."""
        last = -1
        for number, index in sorted(self._given):
            if self._rank[index] < last:
                yield number
            last = max(last, self._rank[index])

    def missing(self) -> Iterator[SegmentTemplate]:
        """Required templates that have no segment."""
        for index, template in enumerate(self._templates):
            if template.required and index not in self._used and not self._many[index]:
                yield template

    def leaves(self) -> set[str]:
        """The paths of the leaves that the templates given a segment hold."""
        return {p.path for i in self._used for p in self._templates[i].pieces() if p.own}

    def settled(self) -> Settled:
        """The segments in the order of the templates; inside of one repetition in their own."""
        given = sorted(self._given, key=lambda entry: (self._rank[entry[1]], entry[0]))
        return [(number, self._templates[index]) for number, index in given]


def _start(template: SegmentTemplate) -> Start:
    return Start(template.tag, template.starts)


def _fit(segment: Segment, way: Start) -> bool:
    return segment.tag == way.tag and (way.values is None or segment.get(1) in way.values)


__all__ = ["Arranged", "Arranger"]
