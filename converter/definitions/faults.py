"""Static checks of a layout against its element tree: what would be lost or confused is found without any message."""

from __future__ import annotations

import re
from collections.abc import Iterable

from converter.definitions.drafts import Library
from converter.definitions.layout import Alias, Group, Item, Repeat, SegmentTemplate, Start, starts, templates
from converter.definitions.tree import Element
from converter.issues import Location, Severity, declare
from converter.yamlfile import Str

NO_PLACE = declare(
    "LNT034",
    "element-without-wire-place",
    Severity.ERROR,
    "the element {path} stands in no segment template",
    why="Its value would be lost whenever the letter is written as EDIFACT.",
    help="Add it to a template, or name it under `unwired:` if the layout has no place for it.",
)
NEIGHBOURS = declare(
    "LNT035",
    "neighbours-alike",
    Severity.ERROR,
    "a segment {label} fits this item and the one in line {line}",
    why="A reader cannot tell which of the two is meant, so a letter may come back as another.",
    help="Give the templates different qualifiers, or make them one repeating item.",
)
TWICE = declare(
    "LNT036",
    "leaf-read-twice",
    Severity.ERROR,
    "the leaf {path} is read from two places",
    why="One of the two values would silently win.",
    help="Make one of them an echo: {{={path}}}.",
)
LOOP = declare(
    "LNT039",
    "repeating-element-outside-loop",
    Severity.ERROR,
    "{path} goes through the repeating element {element}, and no `each` around it says which one",
    why="Only one of several occurrences could be carried.",
    help="Put the template into an `each:` of the element, or give the index: {{Name[1]}}.",
)
NAME = declare(
    "LNT040",
    "item-name-twice",
    Severity.ERROR,
    "two items are named {name!r}",
    why="An overlay that names it would change both.",
    help="Rename one.",
)
UNWIRED = declare(
    "LNT042",
    "unwired-unknown",
    Severity.ERROR,
    "`unwired` names {path!r}, which is no leaf without a wire place",
    why="The exception has no effect, or hides a mistake.",
    help="Remove it, or correct the path.",
)

_INDEX = re.compile(r"\[\d+\]")


def check_layout(
    library: Library, tree: Element, items: tuple[Item, ...], unwired: Iterable[Str], aliases: Iterable[Alias] = ()
) -> None:
    """Report every fault of a layout."""
    bound = _bindings(library, items)
    for alias in aliases:
        bound.update(leaf for leaf, _ in alias.set)
        bound.update(new for old, new in alias.move if old in bound)
    _check_unwired(library, tree, bound, list(unwired))
    _check_loops(library, tree, items)
    _check_neighbours(library, items)
    _check_names(library, items)


def _bindings(library: Library, items: tuple[Item, ...]) -> set[str]:
    """The pattern paths of all leaves that the templates carry."""
    bound: set[str] = set()
    seen: dict[tuple[str, int], tuple[Item, ...]] = {}
    for template, around in templates(items):
        bound.update(path for path, _ in template.fills)
        for piece in template.pieces():
            if not piece.own:
                continue
            bound.add(_INDEX.sub("", piece.path))
            key = (piece.path, piece.column)
            alternatives = around and isinstance(around[-1], Repeat) and around[-1].choices
            if key in seen and not (alternatives and seen[key] == around):
                library.report(TWICE, _at(template), path=piece.path)
            seen[key] = around
    return bound


def _check_unwired(library: Library, tree: Element, bound: set[str], unwired: list[Str]) -> None:
    for path in unwired:
        element = tree.find(path)
        if element is None or not element.is_leaf or path in bound:
            library.report(UNWIRED, path, path=str(path))
    for leaf in tree.walk():
        if leaf.is_leaf and leaf.const is None and leaf.path not in bound and leaf.path not in unwired:
            library.report(NO_PLACE, Str("", leaf.at), path=leaf.path)


def _check_loops(library: Library, tree: Element, items: tuple[Item, ...]) -> None:
    for template, around in templates(items):
        loops = {i.each if isinstance(i, Group) else i.path for i in around if not isinstance(i, SegmentTemplate)}
        for piece in template.pieces():
            path = ""
            for step in piece.path.split(".") if piece.path else ():
                path = f"{path}.{step}" if path else step
                element = tree.find(_INDEX.sub("", path))
                if element is not None and element.repeats and path not in loops and not step.endswith("]"):
                    library.report(LOOP, _at(template), path=piece.path, element=element.name)


def _check_neighbours(library: Library, items: tuple[Item, ...]) -> None:
    for index, item in enumerate(items):
        if not isinstance(item, SegmentTemplate):
            _check_neighbours(library, item.items)
        if isinstance(item, SegmentTemplate) and (item.wins or (item.required and not item.unless)):
            continue  # it stands exactly once, so order tells; or it comes first, which the writer sees to
        for other in items[index + 1 :]:
            clash = _clash(item, other)
            if clash is not None:
                library.report(NEIGHBOURS, _at(other), label=clash.tag, line=item.at.line)
            if isinstance(other, SegmentTemplate) and other.required and not other.unless:
                break
            if isinstance(other, Group) and other.required and not isinstance(item, Group):
                break


def _clash(item: Item, other: Item) -> Start | None:
    """A way to start that both items have; groups of one trigger are compared by what stands behind it."""
    if isinstance(item, Group) and isinstance(other, Group):
        if item.trigger != other.trigger:
            return None
        mine, theirs = starts(item.items), starts(other.items)
    else:
        mine, theirs = starts((item,)), starts((other,))
    return next((a for a in mine for b in theirs if a.overlaps(b)), None)


def _check_names(library: Library, items: tuple[Item, ...]) -> None:
    seen: set[str] = set()

    def visit(entries: tuple[Item, ...]) -> None:
        for item in entries:
            if item.name and item.name in seen:
                library.report(NAME, _at(item), name=item.name)
            seen.add(item.name)
            if not isinstance(item, SegmentTemplate):
                visit(item.items)

    visit(items)


def _at(item: Item) -> Str:
    return Str("", item.at if item.at.line else Location())
