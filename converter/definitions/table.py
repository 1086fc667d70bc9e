"""Where each leaf of a letter stands in both syntaxes: derived from the layout, so that nobody has to keep a list."""

from __future__ import annotations

import re
from typing import NamedTuple

from converter.definitions.layout import Group, Item, Piece, Repeat, SegmentTemplate, templates
from converter.definitions.tree import Element

_INDEX = re.compile(r"\[\d+\]")


class Row(NamedTuple):
    """One leaf. `edifact` is such as `S07/PNA[PAT].2.1`: element and component, from 1; empty without a layout."""

    leaf: str
    type: str
    cardinality: str
    edifact: str
    xml: str


def table(root: str, tree: Element, layout: tuple[Item, ...]) -> list[Row]:
    """The rows of a definition, in OIOXML order.

    A star stands behind a group or segment that repeats, `(1-8)` names the characters of a component that several
    leaves share, `=` a place where the value is only compared, `(constant)` a value that stands nowhere on the wire.
    """
    places = _places(layout)
    rows = []
    for leaf in tree.walk():
        if not leaf.is_leaf:
            continue
        where = places.get(leaf.path, [])
        if not where and layout and leaf.const is not None:
            where = ["(constant)"]
        xml = leaf.path.replace(".", "/")
        xml = xml if leaf.path.startswith("Envelope.") else f"{root}/{xml}"
        rows.append(Row(leaf.path, leaf.facets, leaf.cardinality, " ".join(where), xml))
    return rows


def _places(layout: tuple[Item, ...]) -> dict[str, list[str]]:
    twins = _twins(layout)
    places: dict[str, list[str]] = {}
    echoes: dict[str, list[str]] = {}
    for template, around in templates(layout):
        where = "".join(f"{_label(item, twins)}/" for item in around if isinstance(item, Group)) + template.label
        if around and isinstance(around[-1], Repeat):
            where += "*"
        for path, _ in template.fills:
            places.setdefault(path, []).append(where)
        for element, component, text, piece in _positions(template):
            into = echoes if piece.echo else places
            mark = "=" if piece.echo else ""
            number = "" if piece.line or piece.text else f".{component}"
            found = into.setdefault(_INDEX.sub("", piece.path), [])
            found.append(f"{mark}{where}.{element}{number}{text}")
    return {path: [*places.get(path, []), *echoes.get(path, [])] for path in {**places, **echoes}}


def _positions(template: SegmentTemplate) -> list[tuple[int, int, str, Piece]]:
    """The fields of a template: element, component, characters of it (empty for all), piece."""
    found = []
    for element, slot in enumerate(template.slots, 1):
        for number, component in enumerate(slot.components, 1):
            start = 1
            for piece in component:
                width = piece.codec.width if piece.codec else len(piece.literal)
                if piece.leaf is not None:
                    characters = f"({start}-{start + width - 1})" if len(component) > 1 else ""
                    found.append((element, number, characters, piece))
                start += width
    return found


def _twins(layout: tuple[Item, ...]) -> set[str]:
    """Triggers that announce several groups, which a label must then tell apart."""
    triggers = [item.trigger for item in layout if isinstance(item, Group)]
    return {t for t in triggers if triggers.count(t) > 1}


def _label(group: Group, twins: set[str]) -> str:
    star = "*" if group.each or group.overflow else ""
    if group.trigger not in twins:
        return group.trigger + star
    first = next((template for template, _ in templates(group.items)), None)
    values = sorted(first.starts) if first is not None and first.starts else []
    name = group.name or "/".join(values)
    return f"{group.trigger}({name}){star}"
