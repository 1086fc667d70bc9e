"""Compiles a layout to the Python source of its readers.

Two functions with one body are made. `read_in_order` expects every segment where the layout has it and gives up, with
-1, at the first that is not: that is all that nearly every letter needs. `read_arranged` reads the segments of a letter
after `arrange.py` has put them into the order of the layout and written beside each which item it belongs to.

In both, `K` holds a key for each segment (tag, plus, element 1 component 1; or the mark of an item), `S` the segments,
`i` is the number of the next one, `V` and `P` take values and places.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from converter.definitions import Definition
from converter.definitions.layout import (
    Default,
    Group,
    Item,
    Piece,
    Repeat,
    SegmentTemplate,
    Start,
    signs,
    starts,
    templates,
)
from converter.definitions.tree import CodeList, Element
from converter.edifact.reading import TextTemplate
from converter.edifact.source import Module
from converter.edifact.text import PLAIN

Field = tuple[int, int, Piece]
"""Element and component, from 1, and the piece that stands there."""


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


@dataclass(slots=True)
class _Scope:
    """Where in the layout the compiler is: prefixes of leaf ids, the loop, and what follows from the group."""

    prefixes: tuple[tuple[str, str], ...] = ()  # element path and variable of its leaf prefix, innermost first
    loop: str = ""  # variable that counts the repetitions of the innermost loop, from 0
    groups: str = ""  # variable that counts the repetitions of the group, from 0
    trigger: str = ""  # key of the trigger that may stand between the group's segments, with `group`
    group: Group | None = None
    raws: dict[tuple[object, ...], str] = field(default_factory=dict)


class ReaderCompiler:
    """Compiles one definition."""

    def __init__(self, definition: Definition) -> None:
        self._definition = definition
        self._numbers = numbered(definition.layout)
        self._out = Module()
        self._arranged = False
        self._variables = 0

    def source(self, *, arranged: bool) -> Module:
        """The module with `read_in_order`, or with `read_arranged`."""
        self._out, self._variables, self._arranged = Module(), 0, arranged
        name = "read_arranged" if arranged else "read_in_order"
        with self._out.block(f"def {name}(K, S, R, V, P, N):"):
            self._out.add(f'"""{self._definition.type} {self._definition.version}."""')
            self._out.add("i = 0")
            for trigger in sorted({i.trigger for i in self._definition.layout if isinstance(i, Group)}):
                self._out.add(f"n_{trigger} = 0")
            scope = _Scope()
            self._remembered(scope)
            self._items(self._definition.layout, scope)
            self._constants(self._definition.tree, scope)
            self._out.add("return i")
        return self._out

    def _remembered(self, scope: _Scope) -> None:
        """A variable for each component that several leaves share, so that its echo is compared as it stands."""
        for template, _ in templates(self._definition.layout):
            for slot in template.slots:
                for component in slot.components:
                    if len(component) > 1 and any(p.own for p in component):
                        variable = scope.raws[_signature(component)] = self._new("w")
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
        twins = sum(isinstance(i, Group) and i.trigger == item.trigger for i in self._definition.layout) > 1
        return f"{condition} and {self._starts(starts(item.items), f'{at} + 1')}" if twins else condition

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

    def _items(self, items: tuple[Item, ...], scope: _Scope) -> None:
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

    def _group(self, group: Group, scope: _Scope) -> None:
        out = self._out
        out.add(f"# {group.trigger} {group.name or group.each}".rstrip())
        many = bool(group.each or group.overflow)
        loops = group.overflow is not None or bool(group.each and self._element(group.each).repeats)
        loop = self._new("g") if many else ""
        start = self._new("s")
        inner = _Scope(scope.prefixes, loop, loop, "", group, scope.raws)
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
                with out.block(f"if i - {start} > {limit}:"):
                    out.add(f"R.limit({start}, i, {tag!r}, {limit})")
            if group.each:
                self._closed(group, group.each, prefix, number, inner)
            if many:
                out.add(f"{loop} += 1")
        if group.required and not self._arranged:
            with out.block(f"if {loop} == 0:" if loops else "else:"):
                out.add("return -1")
        if group.overflow:
            tag, segments, groups = group.overflow
            with out.block(f"if {loop} > {groups} or i - {start} > {segments}:"):
                out.add(f"R.overflow({start}, i, {tag!r}, {segments}, {groups})")
        if group.each:
            self._counts(group.each, number, scope)

    def _triggered(self, group: Group) -> None:
        """Take the trigger segment at i."""
        self._out.add(f"n_{group.trigger} += 1")
        with self._out.block(f"if S[i].elements != {self._out.name('TRIGGER', [[group.number]])}:"):
            self._out.add(f"R.constants(i, (1,), ((1, 1, {group.number!r}),))")
        self._out.add("i += 1")

    def _pass_trigger(self, scope: _Scope, following: str) -> None:
        """Where a run of content spreads over several groups, take a trigger that stands before its next segment."""
        if scope.trigger and scope.group:
            with self._out.block(f"if K[i] == {scope.trigger!r} and {following}:"):
                self._triggered(scope.group)
                self._out.add(f"{scope.groups} += 1")

    def _passed(self, scope: _Scope) -> None:
        """Count the triggers that a text has taken with it."""
        if scope.trigger and scope.group:
            self._out.add(f"n_{scope.group.trigger} += passed")
            self._out.add(f"{scope.groups} += passed")

    def _repeat(self, repeat: Repeat, scope: _Scope) -> None:
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
                    self._body(choice, inner)
                word = "elif"
            self._items(repeat.items, inner)
            if repeats:
                with out.block(f"if i == {begin}:"):
                    out.add("break")
            self._closed(repeat, repeat.path, prefix, number, inner)
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

    def _prefix(self, path: str, prefix: str, number: str, scope: _Scope) -> None:
        outer, rest = self._split(path, scope)
        index = "" if not self._element(path).repeats else f"[{{{number} + 1}}]"
        self._out.add(f'{prefix} = f"{"{" + outer + "}" if outer else ""}{rest}{index}."')

    def _closed(self, item: Group | Repeat, path: str, prefix: str, number: str, inner: _Scope) -> None:
        """Count the occurrence if it has a leaf, and add the constants that come with it."""
        tests: list[str] = []
        for template, around in templates((item,)):
            loops = [i.each if isinstance(i, Group) else i.path for i in around if not isinstance(i, SegmentTemplate)]
            below = next((p for p in loops if p.startswith(f"{path}.") and self._element(p).repeats), "")
            if below:
                tests.append(f"{prefix} + {below[len(path) + 1 :]!r} in N")
                continue
            leaves = [p.path for p in template.pieces() if p.own] + [leaf for leaf, _ in template.fills]
            tests += [f"{prefix} + {p[len(path) + 1 :]!r} in V" for p in leaves if p.startswith(f"{path}.")]
        with self._out.block(f"if {' or '.join(dict.fromkeys(tests))}:"):
            self._constants(self._element(path), inner)
            self._out.add(f"{number} += 1")

    def _counts(self, path: str, number: str, scope: _Scope) -> None:
        if self._element(path).repeats:
            with self._out.block(f"if {number}:"):
                self._out.add(f"N[{self._key(path, scope)}] = {number}")

    def _split(self, path: str, scope: _Scope) -> tuple[str, str]:
        for element, variable in scope.prefixes:
            if path.startswith(element + "."):
                return variable, path[len(element) + 1 :]
        return "", path

    def _key(self, path: str, scope: _Scope) -> str:
        """An expression for a leaf id."""
        variable, rest = self._split(path, scope)
        return f"{variable} + {rest!r}" if variable else repr(rest)

    def _constants(self, parent: Element, scope: _Scope) -> None:
        """Add the constant leaves below an element that do not belong to a loop of their own."""
        for child in parent.children:
            if child.const is not None and not child.choice:
                self._out.add(f"V[{self._key(child.path, scope)}] = {child.const!r}")
            elif not child.is_leaf and not child.repeats and any(c.const is not None for c in child.walk()):
                if child.min and not parent.path and not child.choice:
                    self._constants(child, scope)
                    continue
                found = [(self._key(path, scope), repeats) for path, repeats in signs(child)]
                condition = " or ".join(f"{key} in {'N' if repeats else 'V'}" for key, repeats in found)
                with self._out.block(f"if {condition}:"):
                    self._constants(child, scope)

    # -- segments

    def _segment(self, template: SegmentTemplate, scope: _Scope) -> None:
        condition = self._fits(template)
        if template.first and scope.groups:
            condition = f"{scope.groups} == 0 and {condition}"
        self._pass_trigger(scope, self._fits(template, "i + 1"))
        with self._out.block(f"if {condition}:"):
            self._body(template, scope)
        if template.required and not self._arranged:
            absent = f"{self._key(template.unless, scope)} not in V" if template.unless else ""
            with self._out.block(f"elif {absent}:" if absent else "else:"):
                self._out.add("return -1")

    def _body(self, template: SegmentTemplate, scope: _Scope) -> None:
        self._out.add(f"# {template.source}")
        if template.kind == "text":
            self._text(template, scope)
        elif template.kind == "lines":
            self._lines(template, scope)
        elif template.kind == "object":
            self._out.add(f"R.object(i, {self._key(next(template.pieces()).path, scope)})")
            self._out.add("i += 1")
        else:
            self._plain(template, scope)
            self._out.add("i += 1")

    def _plain(self, template: SegmentTemplate, scope: _Scope) -> None:
        out = self._out
        shape = tuple(len(slot.components) for slot in template.slots)
        shape_name = out.name("SHAPE", shape)
        fields = [(e, c, p) for e, c, p in template.places() if p.leaf is not None or p.counter]
        if not fields:
            expected = self._around(template, ())
            plain = [[(c[0].literal if c else "") for c in slot.components] for slot in template.slots]
            with out.block(f"if S[i].elements != {out.name('CONSTANT', plain)}:"):
                out.add(f"R.constants(i, {shape_name}, {out.name('EXPECTED', expected)})")
            return
        variables = ", ".join("(" + "".join(f"c{e}_{c}, " for c in range(1, n + 1)) + ")" for e, n in _counted(shape))
        with out.block("try:"):
            out.add(f"{variables}, = S[i].elements")
        with out.block("except ValueError:"):
            out.add(f"{variables}, = R.fit(i, {shape_name})")
        live: list[tuple[int, int, str]] = []
        for element, slot in enumerate(template.slots, 1):
            literals = [
                (element, c, component[0].literal if component else "")
                for c, component in enumerate(slot.components, 1)
                if not component or (len(component) == 1 and component[0].literal)
            ]
            if slot.optional:
                self._optional(template, element, literals)
            else:
                live += literals
        self._literals(live)
        own = [f for f in fields if f[2].own]
        self._fields(template, own, scope)
        for element, component, piece in fields:
            if piece.counter:
                self._counter(element, component, piece, scope)
        self._echoes(template, [f for f in fields if f[2].echo], scope)

    def _literals(self, literals: list[tuple[int, int, str]], word: str = "if", method: str = "literals") -> None:
        if not literals:
            return
        conditions = [f"c{e}_{c} != {text!r}" if text else f"c{e}_{c}" for e, c, text in literals]
        checked = "".join(f"({e}, {c}, c{e}_{c}, {text!r}), " for e, c, text in literals)
        with self._out.block(f"{word} {' or '.join(conditions)}:"):
            self._out.add(f"R.{method}(i, ({checked}))")

    def _optional(self, template: SegmentTemplate, element: int, literals: list[tuple[int, int, str]]) -> None:
        lives = next(f"c{e}_{c}" for e, c, p in template.places() if e == element and p.own)
        with self._out.block(f"if {lives}:"):
            self._literals(literals)
        if literals:
            rest = " or ".join(f"c{e}_{c}" for e, c, _ in literals)
            checked = "".join(f"({e}, {c}, c{e}_{c}, {text!r}), " for e, c, text in literals)
            with self._out.block(f"elif {rest}:"):
                self._out.add(f"R.dead(i, ({checked}))")

    # -- fields

    def _fields(self, template: SegmentTemplate, fields: list[Field], scope: _Scope) -> None:
        done: set[str] = set()
        for element, component, piece in fields:
            if piece.path in done:
                continue
            done.add(piece.path)
            shared = template.slots[element - 1].components[component - 1]
            if len(shared) > 1:
                done.update(p.path for p in shared)
                self._shared(element, component, shared, scope)
            elif piece.codes is not None:
                columns = sorted((p.column, e, c) for e, c, p in fields if p.path == piece.path)
                self._code(piece, piece.codes, columns, template, scope)
            else:
                self._value(element, component, piece, scope)

    def _value(self, element: int, component: int, piece: Piece, scope: _Scope) -> None:
        out, variable, key = self._out, f"c{element}_{component}", self._key(piece.path, scope)
        condition = f"{variable} and {variable} != {piece.filler!r}" if piece.filler_reads else variable
        with out.block(f"if {condition}:"):
            if piece.codec:
                out.add(f"v = {out.name('READ', piece.codec.read)}({variable})")
                with out.block("if v is None:"):
                    where = f"(i, {element}, {component})"
                    out.add(f"v = R.shape({where}, {variable}, {key}, {piece.codec.name!r})")
            out.add(f"V[{key}] = {'v' if piece.codec else variable}")
            out.add(f"P[{key}] = (i, {element}, {component})")
            if piece.path.endswith("]"):  # one of several, each with a place of its own
                path, _, index = piece.path[:-1].rpartition("[")
                out.add(f"N[{self._key(path, scope)}] = {index}")
        if piece.default is not None:
            self._default(piece.default, f"(i, {element}, {component})", key, scope)

    def _default(self, default: Default, place: str, key: str, scope: _Scope) -> None:
        """A value that the wire leaves out: the one that the list has for the code beside it."""
        guard = f"V.get({self._key(default.when, scope)}) == {default.value!r}"
        with self._out.block(f"elif {guard}:"):
            texts = self._out.name("TEXTS", dict(default.texts))
            self._out.add(f"v = {texts}.get(V.get({self._key(default.code, scope)}))")
            with self._out.block("if v is not None:"):
                self._out.add(f"V[{key}] = v")
                self._out.add(f"P[{key}] = {place}")

    def _code(
        self,
        piece: Piece,
        codes: CodeList,
        columns: list[tuple[int, int, int]],
        template: SegmentTemplate,
        scope: _Scope,
    ) -> None:
        out, key = self._out, self._key(piece.path, scope)
        variables = [f"c{e}_{c}" for _, e, c in columns]
        if columns[0][0] != 1:
            codes_read = {row[columns[0][0] - 1]: value for value, row in codes.rows.items() if row}
        else:
            codes_read = dict(codes.read)
        present = list(variables)
        if "" in codes_read:  # an empty code means something beside another value of its element
            element = columns[0][1]
            present = [f"c{element}_{c}" for c in range(1, len(template.slots[element - 1].components) + 1)]
        places = ", ".join(f"(i, {e}, {c})" for _, e, c in columns)
        all_places = f"[{places}]" if len(columns) > 1 else places
        with out.block(f"if {' or '.join(present)}:"):
            out.add(f"v = {out.name('CODES', codes_read)}.get({variables[0]})")
            with out.block("if v is None:"):
                found = "".join(f"{v}, " for v in variables)
                out.add(f"v = R.code(({places},), ({found}), {key}, {codes.name!r})")
            for (column, e, c), variable in list(zip(columns, variables, strict=True))[1:]:
                others = {code: codes.rows[v][column - 1] for code, v in codes_read.items()}
                name = out.name("COLUMN", others)
                with out.block(f"elif {name}[{variables[0]}] != {variable}:"):
                    out.add(f"R.literals(i, (({e}, {c}, {variable}, {name}[{variables[0]}]),))")
            out.add(f"V[{key}] = v")
            out.add(f"P[{key}] = {all_places}")
        if codes.empty is not None:
            with out.block("else:"):
                out.add(f"V[{key}] = {codes.empty!r}")
                out.add(f"P[{key}] = {all_places}")

    def _shared(self, element: int, component: int, pieces: tuple[Piece, ...], scope: _Scope) -> None:
        """Several leaves in one component, by fixed width."""
        out, variable = self._out, f"c{element}_{component}"
        width = 0
        tests: list[str] = []
        assigned: list[tuple[str, str]] = []
        for piece in pieces:
            size = piece.codec.width if piece.codec else len(piece.literal)
            part = f"{variable}[{width}:{width + size}]"
            if piece.codec is None:
                tests.append(f"{part} == {piece.literal!r}")
            else:
                local = f"v{len(assigned)}"
                tests.append(f"({local} := {out.name('READ', piece.codec.read)}({part})) is not None")
                assigned.append((local, self._key(piece.path, scope)))
            width += size
        where = f"(i, {element}, {component})"
        with out.block(f"if {variable}:"):
            with out.block(f"if len({variable}) <= {width} and {' and '.join(tests)}:"):
                for local, key in assigned:
                    out.add(f"V[{key}] = {local}")
                    out.add(f"P[{key}] = {where}")
            with out.block("else:"):
                expected = "".join(p.codec.name if p.codec else p.literal for p in pieces)
                key = assigned[0][1]
                out.add(f"V[{key}] = R.shape({where}, {variable}, {key}, {expected!r})")
                out.add(f"P[{key}] = {where}")
        out.add(f"{scope.raws[_signature(pieces)]} = {variable}")

    def _counter(self, element: int, component: int, piece: Piece, scope: _Scope) -> None:
        count = f"{scope.loop} + 1" if piece.counter == "each" else f"n_{piece.counter}"
        variable = f"c{element}_{component}"
        with self._out.block(f"if {variable} != str({count}):"):
            self._out.add(f"R.counter(i, {element}, {component}, {variable}, {count})")

    def _echoes(self, template: SegmentTemplate, fields: list[Field], scope: _Scope) -> None:
        out = self._out
        done: set[tuple[int, int]] = set()
        for element, component, piece in fields:
            if (element, component) in done:
                continue
            done.add((element, component))
            pieces = template.slots[element - 1].components[component - 1]
            variable, key = f"c{element}_{component}", self._key(piece.path, scope)
            leaf = piece.leaf
            raw = scope.raws.get(_signature(pieces))
            if raw is not None:
                expected = raw
            elif leaf is not None and leaf.const is not None and piece.codec is not None:
                expected = repr(piece.codec.write(leaf.const))
                out.add(f"P[{key}] = (i, {element}, {component})")
            else:
                expected = self._encoded(pieces, scope)
            with out.block(f"if {variable} != {expected}:"):
                out.add(f"R.echo(i, {element}, {component}, {variable}, {key})")

    def _encoded(self, pieces: tuple[Piece, ...], scope: _Scope) -> str:
        """An expression for what a component must hold, from values read before."""
        parts = []
        for piece in pieces:
            value = f"V.get({self._key(piece.path, scope)}, '')"
            if piece.literal:
                parts.append(repr(piece.literal))
            elif piece.codes is not None:
                rows, other = piece.codes.column(piece.column), piece.codes.other
                usual = value if other is None else repr(other[piece.column - 1])
                parts.append(f"{self._out.name('ROWS', rows)}.get({value}, {usual})")
            elif piece.codec is not None:
                parts.append(f"({self._out.name('WRITE', piece.codec.write)}({value}) or {value})")
            else:
                parts.append(value)
        return " + ".join(parts) if parts else "''"

    # -- texts

    def _text(self, template: SegmentTemplate, scope: _Scope) -> None:
        out = self._out
        form = next(e for e, _, p in template.places() if p.format)
        body, _, piece = next(f for f in template.places() if f[2].text)
        shape = tuple(0 if e == body else len(s.components) for e, s in enumerate(template.slots, 1))
        constants = self._around(template, (form, body))
        heads = [place for place in template.places() if place[0] < body]
        if scope.trigger and scope.group:
            out.add(f"numbers, j, passed = R.run(K, i, {scope.trigger!r})")
            self._passed(scope)
        else:
            out.add("j = i + 1")
            with out.block("while K[j] == K[i]:"):
                out.add("j += 1")
            out.add("numbers = range(i, j)")
        for element, component, other in template.places():
            if other.own and not other.text:
                out.add(f"c{element}_{component} = S[i].elements[{element - 1}][{component - 1}]")
        self._fields(template, [f for f in template.places() if f[2].own and not f[2].text], scope)
        key = self._key(piece.path, scope)
        usual = None
        if body == len(shape) and shape[form - 1] == 1 and all(p.format or not p.leaf for _, _, p in heads):
            usual = [[PLAIN] if e == form else [""] * size for e, size in enumerate(shape[:-1], 1)]
            for element, component, text in constants:
                usual[element - 1][component - 1] = text
        described = TextTemplate(shape, form, body, constants, usual)
        out.add(f"R.text(numbers, {key}, {out.name('TEXT', described)})")
        if template.optional_text:
            with out.block(f"if not V[{key}]:"):
                out.add(f"del V[{key}], P[{key}]")
        out.add("i = j")

    def _lines(self, template: SegmentTemplate, scope: _Scope) -> None:
        out = self._out
        body = len(template.slots)
        shape = out.name("SHAPE", tuple(len(s.components) for s in template.slots))
        fields = [component[0] for component in template.slots[-1].components]
        constants = out.name("EXPECTED", self._around(template, (body,)))
        out.add(f"numbers, j, passed = R.run_of_lines(K, i, {len(fields)}, {body}, {scope.trigger!r})")
        self._passed(scope)
        out.add(f"lines, where = R.lines(numbers, {shape}, {constants})")
        for number, piece in enumerate(fields):
            key = self._key(piece.path, scope)
            with out.block(f"if lines[{number}]:"):
                out.add(f"v = lines[{number}]")
                if piece.codes is not None:
                    out.add(f"v = {out.name('CODES', dict(piece.codes.read))}.get(v)")
                    with out.block("if v is None:"):
                        out.add(f"v = R.code(where[{number}], (lines[{number}],), {key}, {piece.codes.name!r})")
                out.add(f"V[{key}] = v")
                out.add(f"P[{key}] = where[{number}]")
        for path, value in template.fills:
            key = self._key(path, scope)
            out.add(f"V[{key}] = {value!r}")
            out.add(f"P[{key}] = (i, 1, 1)")
        out.add("i = j")

    def _around(self, template: SegmentTemplate, but: tuple[int, ...]) -> tuple[tuple[int, int, str], ...]:
        """The constants of a text segment outside of the elements named."""
        found = []
        for element, slot in enumerate(template.slots, 1):
            for number, component in enumerate(slot.components, 1):
                if element not in but and (not component or component[0].literal):
                    found.append((element, number, component[0].literal if component else ""))
        return tuple(found)


def _counted(shape: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    return enumerate(shape, 1).__iter__()


def _signature(pieces: tuple[Piece, ...]) -> tuple[object, ...]:
    return tuple((p.path, p.literal, p.codec.name if p.codec else "", p.column) for p in pieces)
