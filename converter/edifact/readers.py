"""Compiles a layout to the Python source of its readers.

Two functions with one body are made. `read_in_order` expects every segment where the layout has it and gives up, with
-1, at the first that is not. `read_arranged` reads the segments of a letter after `arrange.py` has put them into the
order of the layout and written beside each which item it belongs to. A third, for letters about which there is nothing
to say, is made by `wholes.py`.

In both, `K` holds a key for each segment (tag, plus, element 1 component 1; or the mark of an item), `S` the segments,
`i` is the number of the next one, `V` and `P` take values and places.
"""

from __future__ import annotations

from dataclasses import replace

from converter.definitions import Definition
from converter.definitions.layout import (
    Group,
    Item,
    Repeat,
    SegmentTemplate,
    Start,
    signs,
    starts,
    templates,
)
from converter.definitions.tree import Element
from converter.edifact.fields import Scope, SegmentCompiler, signature
from converter.edifact.source import Module

IN_ORDER, ARRANGED = "read_in_order", "read_arranged"


def numbered(layout: tuple[Item, ...]) -> dict[int, int]:
    """A number for every item of a layout, by the identity of the item."""
    numbers: dict[int, int] = {}

    def visit(items: tuple[Item, ...]) -> None:
        for item in items:
            numbers[id(item)] = len(numbers)
            if isinstance(item, Repeat):
                visit(item.choices)
            if not isinstance(item, SegmentTemplate):
                visit(item.items)

    visit(layout)
    return numbers


def mark(number: int) -> str:
    """The key that stands for an item in an arranged letter; no segment's own key looks like it."""
    return f"#{number}"


def qualified(template: SegmentTemplate) -> bool:
    """Whether the texts of a template have qualifiers of their own, which tell where one ends and the next begins."""
    return template.kind == "text" and any(p.own and not p.text for p in template.pieces())


class ReaderCompiler:
    """Compiles one definition."""

    def __init__(self, definition: Definition) -> None:
        self._definition = definition
        self._numbers = numbered(definition.layout)
        self._out = Module()
        self._segments = SegmentCompiler(self._out)
        self._arranged = False
        self._variables = 0

    def source(self, name: str) -> Module:
        """The module with `read_in_order` or `read_arranged`."""
        self._out, self._variables = Module(), 0
        self._arranged = name == ARRANGED
        self._segments = SegmentCompiler(self._out)
        with self._out.block(f"def {name}(K, S, R, V, P, N):"):
            self._out.add(f'"""{self._definition.type} {self._definition.version}."""')
            self._out.add("i = 0")
            for trigger in sorted({i.trigger for i in self._definition.layout if isinstance(i, Group)}):
                self._out.add(f"n_{trigger} = 0")
            scope = Scope()
            self._remembered(scope)
            self._items(self._definition.layout, scope)
            self._constants(self._definition.tree, scope)
            self._out.add("return i")
        return self._out

    def _remembered(self, scope: Scope) -> None:
        """A variable for each component that several leaves share, so that its echo is compared as it stands."""
        for template, _ in templates(self._definition.layout):
            for slot in template.slots:
                for component in slot.components:
                    if len(component) > 1 and any(p.own for p in component):
                        variable = scope.raws[signature(component)] = self._new("w")
                        self._out.add(f"{variable} = ''")

    # -- conditions

    def _fits(self, item: SegmentTemplate | Group, at: str = "i") -> str:
        """A condition: the segment at that number is this template, or the group's trigger."""
        if self._arranged and isinstance(item, SegmentTemplate) and qualified(item):
            return f"K[{at}].partition('+')[0] == {mark(self._numbers[id(item)])!r}"
        if self._arranged:
            return f"K[{at}] == {mark(self._numbers[id(item)])!r}"
        if isinstance(item, SegmentTemplate):
            return self._starts([Start(item.tag, item.starts)], at)
        condition = f"K[{at}] == {self._trigger(item)!r}"
        return f"{condition} and {self._starts(starts(item.items), f'{at} + 1')}" if self._twin(item) else condition

    def _twin(self, group: Group) -> bool:
        """Whether another group of the letter has the same trigger."""
        return sum(isinstance(i, Group) and i.trigger == group.trigger for i in self._definition.layout) > 1

    def _starts(self, ways: list[Start], at: str) -> str:
        keys = sorted(f"{s.tag}+{v}" for s in ways if s.values is not None for v in s.values)
        tags = sorted({s.tag for s in ways if s.values is None})
        conditions = [f"K[{at}][:4] == {tag + '+'!r}" for tag in tags]
        if len(keys) == 1:
            conditions.append(f"K[{at}] == {keys[0]!r}")
        elif keys:
            conditions.append(f"K[{at}] in {self._out.name('KEYS', frozenset(keys))}")
        return conditions[0] if len(conditions) == 1 else f"({' or '.join(conditions)})"

    def _begins(self, repeat: Repeat, at: str = "i") -> str:
        """A condition: the segment at that number can be the first of an occurrence."""
        if not self._arranged:
            return self._starts(starts((repeat,)), at)
        marks = frozenset(mark(self._numbers[id(t)]) for t, _ in templates((repeat,)))
        return f"K[{at}].partition('+')[0] in {self._out.name('KEYS', marks)}"

    def _trigger(self, group: Group) -> str:
        return mark(self._numbers[id(group)]) if self._arranged else f"{group.trigger}+{group.number}"

    # -- items

    def _items(self, items: tuple[Item, ...], scope: Scope) -> None:
        for item in items:
            if isinstance(item, SegmentTemplate):
                self._segment(item, scope)
            elif isinstance(item, Group):
                self._group(item, scope)
            else:
                self._repeat(item, scope)

    def _new(self, prefix: str) -> str:
        self._variables += 1
        return f"{prefix}{self._variables}"

    def _group(self, group: Group, scope: Scope) -> None:
        out = self._out
        out.add(f"# {group.trigger} {group.name or group.each}".rstrip())
        many = bool(group.each or group.overflow)
        loops = group.overflow is not None or bool(group.each and self._element(group.each).repeats)
        loop = self._new("g") if many else ""
        start = self._new("s")
        inner = Scope(scope.prefixes, loop, loop, "", group, scope.raws)
        if many:
            out.add(f"{loop} = 0")
        if group.overflow:
            inner.trigger = self._trigger(group)
            out.add(f"{start} = i")
        prefix, number = self._open(group.each) if group.each else ("", "")
        with out.block(f"{'while' if loops else 'if'} {self._fits(group)}:"):
            if group.limit:
                out.add(f"{start} = i")
            self._triggered(group)
            if group.each:
                self._prefix(group.each, prefix, number, scope)
                inner.prefixes = ((group.each, prefix), *scope.prefixes)
            self._items(group.items, inner)
            if group.limit:
                tag, limit = group.limit
                self._reported("limit", f"i - {start} > {limit}", start, f"{tag!r}, {limit}")
            if group.each:
                self._closed(group, group.each, number, inner)
            if many:
                out.add(f"{loop} += 1")
        if group.required and not self._arranged:
            with out.block(f"if {loop} == 0:" if loops else "else:"):
                out.add("return -1")
        if group.overflow:
            tag, segments, groups = group.overflow
            suspect = f"({loop} > {groups} or i - {start} > {segments})"
            self._reported("overflow", suspect, start, f"{tag!r}, {segments}, {groups}")
        if group.each:
            self._counts(group.each, number, scope)

    def _reported(self, what: str, suspect: str, start: str, limits: str) -> None:
        """Report a group that holds too much."""
        with self._out.block(f"if {suspect}:"):
            self._out.add(f"R.{what}({start}, i, {limits})")

    def _triggered(self, group: Group) -> None:
        """Take the trigger segment at i."""
        self._out.add(f"n_{group.trigger} += 1")
        with self._out.block(f"if S[i].elements != {self._out.name('TRIGGER', [[group.number]])}:"):
            self._out.add(f"R.constants(i, (1,), ((1, 1, {group.number!r}),))")
        self._out.add("i += 1")

    def _pass_trigger(self, scope: Scope, following: str) -> None:
        """Where a run of content spreads over several groups, take a trigger that stands before its next segment."""
        if scope.trigger and scope.group:
            with self._out.block(f"if K[i] == {scope.trigger!r} and {following}:"):
                self._triggered(scope.group)
                self._out.add(f"{scope.groups} += 1")

    def _repeat(self, repeat: Repeat, scope: Scope) -> None:
        out = self._out
        loop = self._new("g")
        out.add(f"# each {repeat.path}")
        out.add(f"{loop} = 0")
        prefix, number = self._open(repeat.path)
        inner = replace(scope, prefixes=((repeat.path, prefix), *scope.prefixes), loop=loop)
        repeats = self._element(repeat.path).repeats
        condition = self._begins(repeat)
        if scope.trigger:
            condition = f"{condition} or (K[i] == {scope.trigger!r} and {self._begins(repeat, 'i + 1')})"
        with out.block(f"{'while' if repeats else 'if'} {condition}:"):
            self._pass_trigger(scope, self._begins(repeat, "i + 1"))
            self._prefix(repeat.path, prefix, number, scope)
            begin = self._new("b")
            out.add(f"{begin} = i")
            word = "if"
            for choice in repeat.choices:
                with out.block(f"{word} {self._fits(choice)}:"):
                    self._segments.body(choice, inner)
                word = "elif"
            self._items(repeat.items, inner)
            if repeats:
                with out.block(f"if i == {begin}:"):
                    out.add("break")
            self._closed(repeat, repeat.path, number, inner)
            out.add(f"{loop} += 1")
        self._counts(repeat.path, number, scope)

    # -- loops over an element

    def _element(self, path: str) -> Element:
        element = self._definition.element(path)
        assert element is not None
        return element

    def _open(self, path: str) -> tuple[str, str]:
        """Variables for the prefix of leaf ids and the number of occurrences that had a leaf."""
        prefix, number = self._new("p"), self._new("k")
        self._out.add(f"{number} = 0")
        return prefix, number

    def _prefix(self, path: str, prefix: str, number: str, scope: Scope) -> None:
        outer, rest = scope.split(path)
        index = "" if not self._element(path).repeats else f"[{{{number} + 1}}]"
        self._out.add(f'{prefix} = f"{"{" + outer + "}" if outer else ""}{rest}{index}."')

    def _closed(self, item: Group | Repeat, path: str, number: str, inner: Scope) -> None:
        """Add the constants that come with an occurrence that has a leaf, and count it in the variable `number`."""
        tests: list[str] = []
        for template, around in templates((item,)):
            loops = [i.each if isinstance(i, Group) else i.path for i in around if not isinstance(i, SegmentTemplate)]
            below = next((p for p in loops if p.startswith(f"{path}.") and self._element(p).repeats), "")
            if below:
                tests.append(f"{inner.key(below)} in N")
                continue
            leaves = [p.path for p in template.pieces() if p.own] + [leaf for leaf, _ in template.fills]
            tests += [f"{inner.key(p)} in V" for p in leaves if p.startswith(f"{path}.")]
        element = self._element(path)
        if not number and all(child.const is None for child in element.walk()):
            return
        with self._out.block(f"if {' or '.join(dict.fromkeys(tests))}:"):
            self._constants(element, inner)
            if number:
                self._out.add(f"{number} += 1")

    def _counts(self, path: str, number: str, scope: Scope) -> None:
        if self._element(path).repeats:
            with self._out.block(f"if {number}:"):
                self._out.add(f"N[{scope.key(path)}] = {number}")

    def _constants(self, parent: Element, scope: Scope) -> None:
        """Add the constant leaves below an element that do not belong to a loop of their own."""
        for child in parent.children:
            if child.const is not None and not child.choice:
                self._out.add(f"V[{scope.key(child.path)}] = {child.const!r}")
            elif not child.is_leaf and not child.repeats and any(c.const is not None for c in child.walk()):
                if child.min and not parent.path and not child.choice:
                    self._constants(child, scope)
                    continue
                found = [(scope.key(path), repeats) for path, repeats in signs(child)]
                condition = " or ".join(f"{key} in {'N' if repeats else 'V'}" for key, repeats in found)
                with self._out.block(f"if {condition}:"):
                    self._constants(child, scope)

    # -- segments

    def _segment(self, template: SegmentTemplate, scope: Scope) -> None:
        condition = self._fits(template)
        if template.first and scope.groups:
            condition = f"{scope.groups} == 0 and {condition}"
        self._pass_trigger(scope, self._fits(template, "i + 1"))
        with self._out.block(f"if {condition}:"):
            self._segments.body(template, scope)
        if template.required and not self._arranged:
            absent = f"{scope.key(template.unless)} not in V" if template.unless else ""
            with self._out.block(f"elif {absent}:" if absent else "else:"):
                self._out.add("return -1")
