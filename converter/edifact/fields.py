"""Compiles the segments of a layout to the Python source that takes their values: fields, constants, codes, texts.

The source stands where its segment is known to be at `i`; readers.py decides that, and tells the names used here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from converter.definitions.layout import Default, Group, Piece, SegmentTemplate, Slot
from converter.definitions.tree import CodeList
from converter.definitions.wire import Codec
from converter.edifact.expressions import constant
from converter.edifact.reading import TextTemplate, run
from converter.edifact.source import Module
from converter.edifact.text import PLAIN

Field = tuple[int, int, Piece]
"""Element and component, from 1, and the piece that stands there."""


@dataclass(slots=True)
class Scope:
    """Where in the layout the compiler is: prefixes of leaf ids, the loop, and what follows from the group."""

    prefixes: tuple[tuple[str, str], ...] = ()  # element path and variable of its leaf prefix, innermost first
    loop: str = ""  # variable that counts the repetitions of the innermost loop, from 0
    groups: str = ""  # variable that counts the repetitions of the group, from 0
    trigger: str = ""  # key of the trigger that may stand between the group's segments, with `group`
    group: Group | None = None
    raws: dict[tuple[object, ...], str] = field(default_factory=dict)

    def split(self, path: str) -> tuple[str, str]:
        """The variable that holds the beginning of a leaf id, and the rest of the id."""
        for element, variable in self.prefixes:
            if path.startswith(element + "."):
                return variable, path[len(element) + 1 :]
        return "", path

    def key(self, path: str) -> str:
        """An expression for a leaf id."""
        variable, rest = self.split(path)
        return f"{variable} + {rest!r}" if variable else repr(rest)


class SegmentCompiler:
    """Writes the source of segments into a module. `quick`: with nothing to report, a letter is given up instead."""

    def __init__(self, out: Module, *, quick: bool = False) -> None:
        self._out = out
        self._quick = quick
        self._prefix = "c"  # of the variables that hold components

    def body(self, template: SegmentTemplate, scope: Scope) -> None:
        """Take the segment at `i`, or the run of segments of a text, and step behind it."""
        self._out.add(f"# {template.source}")
        if template.kind == "text":
            self._text(template, scope)
        elif template.kind == "lines":
            self._lines(template, scope)
        elif template.kind == "object":
            self._out.add(f"R.object(i, {scope.key(next(template.pieces()).path)})")
            self._out.add("i += 1")
        else:
            self._plain(template, scope)
            self._out.add("i += 1")

    def _report(self, line: str) -> None:
        """A line that reports a finding; a quick reader leaves letters with findings to the others."""
        self._out.add("return False" if self._quick else line)

    def _reader(self, codec: Codec) -> Callable[[str], str | None]:
        """What reads a value; a quick reader, which has only digits for it then, knows the days and times of late."""
        return _remembered(codec) if self._quick and codec.width else codec.read

    def _place(self, key: str, place: str) -> None:
        """Note where a leaf stands; after a quick reader, that is found out when somebody asks."""
        if not self._quick:
            self._out.add(f"P[{key}] = {place}")

    def _plain(self, template: SegmentTemplate, scope: Scope) -> None:
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
        self.taken(template, fields, scope)

    def taken(self, template: SegmentTemplate, fields: list[Field], scope: Scope, prefix: str = "c") -> None:
        """Give the leaves their values, and compare counters and echoes. `prefix` begins the names of the variables."""
        self._prefix = prefix
        own = [f for f in fields if f[2].own]
        self._fields(template, own, scope)
        for element, component, piece in fields:
            if piece.counter:
                self._counter(element, component, piece, scope)
        self._echoes(template, [f for f in fields if f[2].echo], scope)

    def _variable(self, element: int, component: int) -> str:
        return f"{self._prefix}{element}_{component}"

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

    def _fields(self, template: SegmentTemplate, fields: list[Field], scope: Scope) -> None:
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

    def _value(self, element: int, component: int, piece: Piece, scope: Scope) -> None:
        out, variable, key = self._out, self._variable(element, component), scope.key(piece.path)
        condition = f"{variable} and {variable} != {piece.filler!r}" if piece.filler_reads else variable
        with out.block(f"if {condition}:"):
            if piece.codec:
                out.add(f"v = {out.name('READ', self._reader(piece.codec))}({variable})")
                with out.block("if v is None:"):
                    where = f"(i, {element}, {component})"
                    self._report(f"v = R.shape({where}, {variable}, {key}, {piece.codec.name!r})")
            out.add(f"V[{key}] = {'v' if piece.codec else variable}")
            self._place(key, f"(i, {element}, {component})")
            self._numbered(piece, scope)
        if piece.default is not None:
            self._default(piece.default, f"(i, {element}, {component})", key, scope)

    def _numbered(self, piece: Piece, scope: Scope) -> None:
        """Count one of several that has a place of its own."""
        if piece.path.endswith("]"):
            path, _, index = piece.path[:-1].rpartition("[")
            self._out.add(f"N[{scope.key(path)}] = {index}")

    def _default(self, default: Default, place: str, key: str, scope: Scope) -> None:
        """A value that the wire leaves out: the one that the list has for the code beside it."""
        guard = f"V.get({scope.key(default.when)}) == {default.value!r}"
        with self._out.block(f"elif {guard}:"):
            texts = self._out.name("TEXTS", dict(default.texts))
            self._out.add(f"v = {texts}.get(V.get({scope.key(default.code)}))")
            with self._out.block("if v is not None:"):
                self._out.add(f"V[{key}] = v")
                self._place(key, place)

    def _code(
        self,
        piece: Piece,
        codes: CodeList,
        columns: list[tuple[int, int, int]],
        template: SegmentTemplate,
        scope: Scope,
    ) -> None:
        out, key = self._out, scope.key(piece.path)
        variables = [self._variable(e, c) for _, e, c in columns]
        if columns[0][0] != 1:
            codes_read = {row[columns[0][0] - 1]: value for value, row in codes.rows.items() if row}
        else:
            codes_read = dict(codes.read)
        present = list(variables)
        if "" in codes_read:  # an empty code means something beside another value of its element
            present = self._present(template.slots[columns[0][1] - 1], columns[0][1])
        places = ", ".join(f"(i, {e}, {c})" for _, e, c in columns)
        all_places = f"[{places}]" if len(columns) > 1 else places
        with out.block(f"if {' or '.join(present)}:"):
            out.add(f"v = {out.name('CODES', codes_read)}.get({variables[0]})")
            with out.block("if v is None:"):
                found = "".join(f"{v}, " for v in variables)
                self._report(f"v = R.code(({places},), ({found}), {key}, {codes.name!r})")
            for (column, e, c), variable in list(zip(columns, variables, strict=True))[1:]:
                others = {code: codes.rows[v][column - 1] for code, v in codes_read.items()}
                name = out.name("COLUMN", others)
                with out.block(f"elif {name}[{variables[0]}] != {variable}:"):
                    self._report(f"R.literals(i, (({e}, {c}, {variable}, {name}[{variables[0]}]),))")
            out.add(f"V[{key}] = v")
            self._place(key, all_places)
        if codes.empty is not None:
            with out.block("else:"):
                out.add(f"V[{key}] = {codes.empty!r}")
                self._place(key, all_places)

    def _present(self, slot: Slot, element: int) -> list[str]:
        """Conditions of which one holds if an element is there."""
        if not self._quick:
            return [self._variable(element, c) for c in range(1, len(slot.components) + 1)]
        if not slot.optional and any(map(constant, slot.components)):
            return ["True"]
        return [self._variable(element, n) for n, c in enumerate(slot.components, 1) if c and not constant(c)]

    def _shared(self, element: int, component: int, pieces: tuple[Piece, ...], scope: Scope) -> None:
        """Several leaves in one component, by fixed width."""
        out, variable = self._out, self._variable(element, component)
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
                tests.append(f"({local} := {out.name('READ', self._reader(piece.codec))}({part})) is not None")
                assigned.append((local, scope.key(piece.path)))
            width += size
        where = f"(i, {element}, {component})"
        with out.block(f"if {variable}:"):
            with out.block(f"if len({variable}) <= {width} and {' and '.join(tests)}:"):
                for local, key in assigned:
                    out.add(f"V[{key}] = {local}")
                    self._place(key, where)
            with out.block("else:"):
                expected = "".join(p.codec.name if p.codec else p.literal for p in pieces)
                key = assigned[0][1]
                self._report(f"V[{key}] = R.shape({where}, {variable}, {key}, {expected!r})")
                self._place(key, where)
        out.add(f"{scope.raws[signature(pieces)]} = {variable}")

    def _counter(self, element: int, component: int, piece: Piece, scope: Scope) -> None:
        count = f"{scope.loop} + 1" if piece.counter == "each" else f"n_{piece.counter}"
        variable = self._variable(element, component)
        with self._out.block(f"if {variable} != str({count}):"):
            self._report(f"R.counter(i, {element}, {component}, {variable}, {count})")

    def _echoes(self, template: SegmentTemplate, fields: list[Field], scope: Scope) -> None:
        out = self._out
        done: set[tuple[int, int]] = set()
        for element, component, piece in fields:
            if (element, component) in done:
                continue
            done.add((element, component))
            pieces = template.slots[element - 1].components[component - 1]
            variable, key = self._variable(element, component), scope.key(piece.path)
            leaf = piece.leaf
            raw = scope.raws.get(signature(pieces))
            if raw is not None:
                expected = raw
            elif leaf is not None and leaf.const is not None and piece.codec is not None:
                expected = repr(piece.codec.write(leaf.const))
                self._place(key, f"(i, {element}, {component})")
            else:
                expected = self._encoded(pieces, scope)
            with out.block(f"if {variable} != {expected}:"):
                self._report(f"R.echo(i, {element}, {component}, {variable}, {key})")

    def _encoded(self, pieces: tuple[Piece, ...], scope: Scope) -> str:
        """An expression for what a component must hold, from values read before."""
        parts = []
        for piece in pieces:
            value = f"V.get({scope.key(piece.path)}, '')"
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

    def _text(self, template: SegmentTemplate, scope: Scope) -> None:
        out = self._out
        form = next(e for e, _, p in template.places() if p.format)
        body, _, piece = next(f for f in template.places() if f[2].text)
        shape = tuple(0 if e == body else len(s.components) for e, s in enumerate(template.slots, 1))
        constants = self._around(template, (form, body))
        heads = [place for place in template.places() if place[0] < body]
        self._run(scope)
        for element, component, other in template.places():
            if other.own and not other.text:
                out.add(f"c{element}_{component} = S[i].elements[{element - 1}][{component - 1}]")
        self._prefix = "c"
        self._fields(template, [f for f in template.places() if f[2].own and not f[2].text], scope)
        usual = None
        key = scope.key(piece.path)
        if body == len(shape) and shape[form - 1] == 1 and all(p.format or not p.leaf for _, _, p in heads):
            usual = [[PLAIN] if e == form else [""] * size for e, size in enumerate(shape[:-1], 1)]
            for element, component, text in constants:
                usual[element - 1][component - 1] = text
        described = TextTemplate(shape, form, body, constants, usual)
        out.add(f"R.text(numbers, {key}, {out.name('TEXT', described)})")
        self.text_taken(template, piece, scope)
        out.add("i = j")

    def text_taken(self, template: SegmentTemplate, piece: Piece, scope: Scope) -> None:
        """What follows when a text has its value."""
        key = scope.key(piece.path)
        self._numbered(piece, scope)
        if template.optional_text:
            with self._out.block(f"if not V[{key}]:"):
                self._out.add(f"del V[{key}]" if self._quick else f"del V[{key}], P[{key}]")

    def _run(self, scope: Scope) -> None:
        """The numbers of the segments of a text from `i` on."""
        out = self._out
        if scope.trigger and scope.group:
            out.add(f"numbers, j, passed = run(K, i, {scope.trigger!r})")
            out.objects["run"] = run
            self._passed(scope)
            return
        out.add("j = i + 1")
        with out.block("while K[j] == K[i]:"):
            out.add("j += 1")
        out.add("numbers = range(i, j)")

    def _lines(self, template: SegmentTemplate, scope: Scope) -> None:
        out = self._out
        body = len(template.slots)
        shape = out.name("SHAPE", tuple(len(s.components) for s in template.slots))
        number = len(template.slots[-1].components)
        constants = out.name("EXPECTED", self._around(template, (body,)))
        out.add(f"numbers, j, passed = R.run_of_lines(K, i, {number}, {body}, {scope.trigger!r})")
        self._passed(scope)
        out.add(f"lines, where = R.lines(numbers, {shape}, {constants})")
        self.lines_taken(template, scope, [f"lines[{n}]" for n in range(number)])
        out.add("i = j")

    def lines_taken(self, template: SegmentTemplate, scope: Scope, lines: list[str]) -> None:
        """Give the leaves the logical lines, for which there are expressions."""
        out = self._out
        fields = [component[0] for component in template.slots[-1].components]
        for number, (piece, line) in enumerate(zip(fields, lines, strict=False)):
            key = scope.key(piece.path)
            with out.block(f"if {line}:"):
                if piece.codes is not None:
                    out.add(f"v = {out.name('CODES', dict(piece.codes.read))}.get({line})")
                    with out.block("if v is None:"):
                        self._report(f"v = R.code(where[{number}], ({line},), {key}, {piece.codes.name!r})")
                out.add(f"V[{key}] = {line if piece.codes is None else 'v'}")
                self._place(key, f"where[{number}]")
        for path, value in template.fills:
            key = scope.key(path)
            out.add(f"V[{key}] = {value!r}")
            self._place(key, "(i, 1, 1)")

    def _passed(self, scope: Scope) -> None:
        """Count the triggers that a text has taken with it."""
        if scope.trigger and scope.group:
            number = scope.group.number
            with self._out.block("if passed:"):
                self._out.add(f"R.triggers(set(range(i, j)).difference(numbers), {number!r})")
            self._out.add(f"n_{scope.group.trigger} += passed")
            self._out.add(f"{scope.groups} += passed")

    def _around(self, template: SegmentTemplate, but: tuple[int, ...]) -> tuple[tuple[int, int, str], ...]:
        """The constants of a text segment outside of the elements named."""
        found = []
        for element, slot in enumerate(template.slots, 1):
            for number, component in enumerate(slot.components, 1):
                if element not in but and (not component or component[0].literal):
                    found.append((element, number, component[0].literal if component else ""))
        return tuple(found)


@lru_cache(maxsize=16)
def _remembered(codec: Codec) -> Callable[[str], str | None]:
    return lru_cache(maxsize=4096)(codec.read)


def _counted(shape: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    return enumerate(shape, 1).__iter__()


def signature(pieces: tuple[Piece, ...]) -> tuple[object, ...]:
    """What makes two components alike: the pieces that they hold."""
    return tuple((p.path, p.literal, p.codec.name if p.codec else "", p.column) for p in pieces)
