"""Segment templates as regular expressions: a segment that is plainly as its template says is matched at once.

What an expression matches, the readers of `fields.py` accept without a finding; of other segments it says nothing.
Components and elements at the end of what they belong to may be left out if they may be empty.
"""

from __future__ import annotations

import re

from converter.definitions.layout import Component, SegmentTemplate, Slot

_VALUE = "[^+:]*+"


def constant(template: SegmentTemplate) -> str:
    """A segment without fields, written out."""
    elements = (":".join(c[0].literal if c else "" for c in slot.components) for slot in template.slots)
    return "+".join((template.tag, *elements))


def expression(template: SegmentTemplate) -> re.Pattern[str]:
    """The expression of a whole segment, without release characters and line ends.

    Its groups are the fields and counters, named `c` with element and component (`c2_1`), in order; of a text
    `form` and `body`, of lines `body`, which must be there.
    """
    elements = [_element(number, slot) for number, slot in enumerate(template.slots, 1)]
    return re.compile(re.escape(template.tag) + _nested(elements, r"\+", leading=True))


def _nested(parts: list[tuple[str, bool]], separator: str, *, leading: bool) -> str:
    """Expressions with separators between them; those at the end that may be empty may be absent."""
    found, optional = "", True
    for number, (one, empty) in reversed(list(enumerate(parts))):
        optional = optional and empty
        if number or leading:
            found = f"{separator}{one}{found}"
            found = f"(?:{found}|)" if optional else found  # quicker than `?`
        else:
            found = one + found
    return found


def _element(number: int, slot: Slot) -> tuple[str, bool]:
    """The expression of an element, and whether it may be empty."""
    if any(piece.text or piece.line for component in slot.components for piece in component):
        return "(?P<body>[^+]*+)", False
    first = next((n for n, c in enumerate(slot.components, 1) if any(p.own for p in c)), 0) if slot.optional else 0
    parts = [_component(f"c{number}_{n}", c, present=n == first) for n, c in enumerate(slot.components, 1)]
    whole = _nested(parts, ":", leading=False)
    return (f"(?:{whole}|)", True) if slot.optional else (whole, all(empty for _, empty in parts))


def _component(name: str, pieces: Component, *, present: bool) -> tuple[str, bool]:
    """The expression of a component, and whether it may be empty. `present`: its element lives by it."""
    if not pieces:
        return "", True
    if pieces[0].format:
        return "(?P<form>[A-Z0-9]{3})", False
    if len(pieces) == 1 and pieces[0].literal:
        return re.escape(pieces[0].literal), False
    if not any(piece.leaf is not None or piece.counter for piece in pieces):
        return _VALUE, True
    return (f"(?P<{name}>[^+:]++)", False) if present else (f"(?P<{name}>{_VALUE})", True)
