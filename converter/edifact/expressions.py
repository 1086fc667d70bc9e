"""Segment templates as regular expressions: a segment that is plainly as its template says is matched at once.

What an expression matches, the readers of `fields.py` accept without a finding; of other segments it says nothing.
Components and elements at the end of what they belong to may be left out if they may be empty. There are no release
characters, and values with others than those that nothing is ever said about do not match.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from converter.definitions.layout import Component, Group, Item, Repeat, SegmentTemplate, Slot
from converter.edifact.text import MAX_COMPONENT

MARK, FORM, BODY = "mark", "form", "body"
"""Groups beside those of components (`2_1`): whether the segment is there, the format of a text, what it says."""

NEEDED = frozenset([("UNB", 2, 1), ("UNB", 3, 1), ("UNB", 5, 1), ("UNH", 1, 1)])
"""What an envelope cannot do without: sender, receiver, the references. None may be blank."""

Grouping = Callable[[str, str], str]

STAND_INS = "\x80\x81\x82\x83"
"""Stand for released characters: `?`, `:`, `+` and `'`, as no text holds them about which there is nothing to say."""

# Danish text in ISO 8859-1 (see `charsets.clean`); a set of what may be is looked through in half the time of one of
# what may not.
_LETTERS = rf"{STAND_INS}\xc0-\xff"
_CHARACTER = rf"[ -&(-*,-9;-~{_LETTERS}]"  # not + : '
_VALUE = f"{_CHARACTER}*+"
_PRESENT = f"{_CHARACTER}++"
_FULL = rf"[!-&(-*,-9;-~{_LETTERS}]{_VALUE}"  # begins with no blank
_DIGITS = "[0-9]*+"
_TEXT = rf"[ -&(-*,-~{_LETTERS}]*+"  # not + '
_LINE = rf"((?!\.[:'])[ -&(-*,-9;-[\]-~{_LETTERS}]{{0,{MAX_COMPONENT}}}+)"  # not + : ' and backslash
ANY = rf"[ -&(-~{_LETTERS}]*+"
"""What a segment may hold but for its end."""


def key(template: SegmentTemplate) -> str:
    """The expression of what a segment starts with that stands where the template has its place."""
    if template.starts is None:
        return rf"{template.tag}\+"
    return rf"{template.tag}\+(?:{_one_of(template.starts)})[+:']"


def beginnings(items: tuple[Item, ...]) -> Iterator[SegmentTemplate | Group]:
    """The templates and triggers that a list of items can start with."""
    for item in items:
        if isinstance(item, Repeat):
            yield from item.choices
            yield from beginnings(item.items)
            continue
        yield item
        if item.required and not (isinstance(item, SegmentTemplate) and item.unless):
            return


def lead(template: SegmentTemplate) -> tuple[str, str]:
    """What the segments of a text begin with before its format, and what stands between that and the text itself.

    Of logical lines: all that stands before them, but for the last separator.
    """
    written = [":".join(map(constant, slot.components)).rstrip(":") for slot in template.slots[:-1]]
    forms = [n for n, slot in enumerate(template.slots) if any(p.format for c in slot.components for p in c)]
    if not forms:
        return "+".join([template.tag, *written]), ""
    return "+".join([template.tag, *written[: forms[0]], ""]), "+".join(["", *written[forms[0] + 1 :], ""])


def segment(template: SegmentTemplate, end: str, group: Grouping, *, marked: bool = False) -> str:
    """The expression of a whole segment; `group` makes one of a name and its expression. `marked`: its tag is one.

    A counter is no group if it is made the number that it must be.
    """
    tag = group(MARK, template.tag) if marked else template.tag
    elements = [_element(template, number, slot, group) for number, slot in enumerate(template.slots, 1)]
    return rf"{tag}\+{_nested(elements, '[+]')}{end}"


def segment_of_lines(templates: Sequence[SegmentTemplate], end: str, most: int) -> str:
    """The expression of a segment that holds all of one occurrence of logical lines, `most` of them at most.

    Groups: what the segment starts with, and the lines. The templates differ in these alone; no line goes on, is a
    stop (which is an empty one), or is too long.
    """
    first, *others = {lead(t)[0].removeprefix(f"{t.tag}+").partition("+")[2] for t in templates}
    if others:
        return "(?!)"
    starts = frozenset(start for template in templates for start in template.starts or ())
    lines = _nested([(_LINE, True)] * most, ":")
    return rf"{templates[0].tag}\+({_one_of(starts)})[+]{re.escape(first)}[+]{lines}{end}"


def _nested(parts: list[tuple[str, bool]], separator: str) -> str:
    """Expressions with separators between them; those at the end that may be empty may be absent."""
    found, optional = "", True
    for number, (one, empty) in reversed(list(enumerate(parts))):
        optional = optional and empty
        if number:
            found = f"{separator}{one}{found}"
            found = f"(?:{found}|)" if optional else found  # quicker than `?`
        else:
            found = one + found
    return found


def _element(template: SegmentTemplate, number: int, slot: Slot, group: Grouping) -> tuple[str, bool]:
    """The expression of an element, and whether it may be empty."""
    if any(piece.text or piece.line for component in slot.components for piece in component):
        return group(BODY, _TEXT), False
    first = next((n for n, c in enumerate(slot.components, 1) if any(p.own for p in c)), 0) if slot.optional else 0
    parts: list[tuple[str, bool]] = []
    for n, component in enumerate(slot.components, 1):
        name, (expression, empty) = f"{number}_{n}", _component(component)
        if expression in (_VALUE, _DIGITS):
            if (template.tag, number, n) in NEEDED:
                expression, empty = _FULL, False
            elif n == first:
                expression, empty = _PRESENT, False
            elif number == n == 1 and template.starts is not None:
                expression, empty = _one_of(template.starts), "" in template.starts
            if any(p.leaf is not None or p.counter for p in component):
                empty = empty and not any(p.counter for p in component)
                expression = group(name, expression)
        elif component and component[0].format:
            expression = group(FORM, expression)
        parts.append((expression, empty))
    whole = _nested(parts, ":")
    return (f"(?:{whole}|)", True) if slot.optional else (whole, all(empty for _, empty in parts))


def _component(pieces: Component) -> tuple[str, bool]:
    """The expression of a component, and whether it may be empty."""
    if not pieces:
        return "", True
    if pieces[0].format:
        return "[A-Z0-9]{3}", False
    if text := constant(pieces):
        return re.escape(text), False
    return (_DIGITS if all(piece.codec and piece.codec.width for piece in pieces) else _VALUE), True


def constant(pieces: Component) -> str:
    """What a component always says: a literal, or a constant that is repeated. Empty if it does not."""
    if len(pieces) != 1:
        return ""
    piece = pieces[0]
    leaf = piece.leaf
    if piece.echo and leaf is not None and leaf.const is not None and piece.codec is not None:
        return piece.codec.write(leaf.const) or ""
    return piece.literal


def _one_of(values: frozenset[str]) -> str:
    return "|".join(map(re.escape, sorted(values, reverse=True)))
