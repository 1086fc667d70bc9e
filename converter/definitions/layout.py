"""The EDIFACT layout of a letter: segment templates in wire order, with the paths of the leaves in them.

Positions in EDIFACT stand in the templates and nowhere else. Everything here is what was compiled from YAML; the
grammar of templates is in `templates.py`, the static checks in `faults.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from converter.definitions.tree import CodeList, Element
from converter.definitions.wire import Codec
from converter.issues import Location


@dataclass(frozen=True, slots=True)
class Default:
    """A value that the wire leaves out where it is the one that a list has for a code.

    `code` and `when` are the paths of leaves beside it: the code, and the one that must have the value `value`.
    """

    code: str
    when: str
    value: str
    texts: Mapping[str, str] = field(hash=False)


@dataclass(frozen=True, slots=True)
class Alias:
    """Leaves that the wire carries as others: where `when` holds (empty: absent), they are `set`, and `move` renamed.

    When written, the other way round: where the values of `set` are there.
    """

    when: tuple[tuple[str, str], ...]
    set: tuple[tuple[str, str], ...]
    move: tuple[tuple[str, str], ...]

    def read(self, values: dict[str, Any], places: dict[str, Any]) -> None:
        """Apply it to what was read."""
        if any(values.get(leaf, "") != value for leaf, value in self.when):
            return
        place = next((places[leaf] for leaf, _ in self.when if leaf in places), None)
        for leaf, _ in self.when:
            values.pop(leaf, None)
            places.pop(leaf, None)
        for leaf, value in self.set:
            values[leaf] = value
            if place is not None:
                places[leaf] = place
        for old, new in self.move:
            for found in (values, places):
                if old in found:
                    found[new] = found.pop(old)

    def write(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """The values as the wire carries them."""
        if any(values.get(leaf) != value for leaf, value in self.set):
            return values
        left_out = dict(self.set)
        names = {new: old for old, new in self.move}
        found = {names.get(leaf, leaf): value for leaf, value in values.items() if leaf not in left_out}
        return {**found, **{leaf: value for leaf, value in self.when if value}}


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a component: a literal, a counter, or a field (then it has a `leaf`).

    `path` is the field's path from the root, with the index that the template gives it (`ContactName[2]`).
    `codes` and `column` (from 1): it is that column of the row of the value. `echo`: written, on reading only compared.
    `text`: formatted text. `format`: the format code of that text. `line`: a logical line, cut where it is too long.
    `filler` is written for an absent value; with `filler_reads` it also reads as absent; with `filler_if` it is
    written only while the leaf of that path is there. `default`: a value that stands in a list is left out.
    """

    literal: str = ""
    counter: str = ""
    path: str = ""
    leaf: Element | None = None
    codes: CodeList | None = None
    column: int = 1
    codec: Codec | None = None
    echo: bool = False
    text: bool = False
    format: bool = False
    line: bool = False
    filler: str = ""
    filler_reads: bool = False
    filler_if: str = ""
    default: Default | None = None

    @property
    def own(self) -> bool:
        """Whether reading it gives a leaf."""
        return self.leaf is not None and not self.echo


Component = tuple[Piece, ...]
"""The pieces of a component in order; none for one that stays empty."""


@dataclass(frozen=True, slots=True)
class Slot:
    """An element of a segment: its components. `optional`: it lives by its first field and is else empty."""

    components: tuple[Component, ...]
    optional: bool = False


@dataclass(frozen=True, slots=True)
class SegmentTemplate:
    """One segment. `required` in its place, unless `unless` names a leaf that is there.

    `first`: only in the first repetition of its group. `wins`: a segment that would also fit what follows is this one,
    if it comes first. `label` is its tag with the literal in element 1, `FTX[NC]`.
    `starts` are the values that element 1, component 1 may have; None for any. `fills` are leaves that the mere
    presence of the segment stands for, with their values.
    """

    tag: str
    slots: tuple[Slot, ...]
    source: str
    required: bool = True
    name: str = ""
    first: bool = False
    wins: bool = False
    unless: str = ""
    starts: frozenset[str] | None = None
    fills: tuple[tuple[str, str], ...] = ()
    at: Location = field(default=Location(), compare=False, repr=False)

    @property
    def kind(self) -> str:
        """`text` for a formatted text run, `lines` for logical lines, `object` for bytes, else `plain`."""
        pieces = list(self.pieces())
        if any(p.leaf is not None and p.leaf.type == "base64" for p in pieces):
            return "object"
        return "text" if any(p.text for p in pieces) else "lines" if any(p.line for p in pieces) else "plain"

    @property
    def optional_text(self) -> bool:
        """Whether it stands for another field too, so that one without any text has no text element."""
        own = [p for p in self.pieces() if p.own]
        return len(own) > 1 and any(p.text and p.leaf is not None and p.leaf.min == 0 for p in own)

    @property
    def label(self) -> str:
        """Its tag, and in brackets the literal in element 1."""
        first = self.slots[0].components[0] if self.slots and self.slots[0].components else ()
        return f"{self.tag}[{first[0].literal}]" if len(first) == 1 and first[0].literal else self.tag

    def pieces(self) -> Iterator[Piece]:
        """All its pieces, in order."""
        for slot in self.slots:
            for component in slot.components:
                yield from component

    def places(self) -> Iterator[tuple[int, int, Piece]]:
        """Its pieces with element and component, from 1."""
        for element, slot in enumerate(self.slots, 1):
            for number, component in enumerate(slot.components, 1):
                for piece in component:
                    yield element, number, piece


@dataclass(frozen=True, slots=True)
class Repeat:
    """Items that occur once for each occurrence of the element `path`, without a trigger segment.

    With `choices`, each occurrence is one of the templates: the first whose child `by` (a path below the element)
    exists.
    """

    path: str
    items: tuple[Item, ...] = ()
    choices: tuple[SegmentTemplate, ...] = ()
    by: tuple[str, ...] = ()
    name: str = ""
    at: Location = field(default=Location(), compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Group:
    """A segment group with its trigger segment (`S01+01`).

    `each` names the element that it occurs for (repeating or 0..1), empty: it always occurs (`required`) unless all it
    holds is optional. `limit` is the most segments of a tag in it.
    `overflow`: its content is one run that is cut, when written, into several groups: tag, segments a group, groups.
    """

    trigger: str
    items: tuple[Item, ...]
    each: str = ""
    limit: tuple[str, int] | None = None
    overflow: tuple[str, int, int] | None = None
    name: str = ""
    at: Location = field(default=Location(), compare=False, repr=False)

    @property
    def number(self) -> str:
        """The trigger's only element: `01` of `S01`."""
        return self.trigger[1:]

    @property
    def also_for(self) -> tuple[str, ...]:
        """The leaves outside of its element that it carries too, so that it also occurs for them alone."""
        if not self.each:
            return ()
        found = (p.path for t, _ in templates(self.items) for p in t.pieces() if p.own)
        return tuple(path for path in found if not path.startswith(f"{self.each}."))

    @property
    def required(self) -> bool:
        """Whether it must occur: it stands for no element of its own and holds a required segment."""
        return not self.each and any(isinstance(i, SegmentTemplate) and i.required for i in self.items)


Item = SegmentTemplate | Repeat | Group


@dataclass(frozen=True, slots=True)
class Start:
    """One way that an item can start: a tag, and the values that element 1, component 1 may have (None: any)."""

    tag: str
    values: frozenset[str] | None

    def overlaps(self, other: Start) -> bool:
        """Whether some segment fits both."""
        if self.tag != other.tag:
            return False
        return self.values is None or other.values is None or bool(self.values & other.values)


def starts(items: tuple[Item, ...]) -> list[Start]:
    """With which segments a list of items can start: those of its items up to the first required one."""
    found: list[Start] = []
    for item in items:
        if isinstance(item, SegmentTemplate):
            found.append(Start(item.tag, item.starts))
            if item.required and not item.unless:
                break
        elif isinstance(item, Repeat):
            found += [Start(c.tag, c.starts) for c in item.choices] + starts(item.items)
        else:
            found.append(Start(item.trigger, frozenset([item.number])))
            if item.required:
                break
    return found


def templates(items: tuple[Item, ...]) -> Iterator[tuple[SegmentTemplate, tuple[Item, ...]]]:
    """All segment templates in wire order, each with the groups and repeats around it, outermost first."""
    for item in items:
        if isinstance(item, SegmentTemplate):
            yield item, ()
            continue
        if isinstance(item, Repeat):
            for choice in item.choices:
                yield choice, (item,)
        for template, around in templates(item.items):
            yield template, (item, *around)


def signs(element: Element) -> list[tuple[str, bool]]:
    """What tells that an element is there: paths of leaves below it, or (True) of elements below it that repeat.

    Constants tell nothing, as they come with their parent; but one that is a member of a choice does.
    """
    found: list[tuple[str, bool]] = []
    for child in element.children or (element,):
        if child is not element and child.repeats:
            found.append((child.path, True))
        elif child.is_leaf:
            if child.const is None or child.choice:
                found.append((child.path, False))
        else:
            found += signs(child)
    return found
