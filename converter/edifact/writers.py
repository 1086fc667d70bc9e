"""Compiles a layout to the Python source of its writer: values in, rows out, from UNB to the one before UNT."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace

from converter.definitions import Definition
from converter.definitions.layout import Default, Group, Item, Piece, Repeat, SegmentTemplate, Slot, signs, templates
from converter.definitions.tree import CodeList, Element
from converter.edifact.rows import COMPONENT, ELEMENT, END
from converter.edifact.source import Module


@dataclass(slots=True)
class _Scope:
    """Where in the layout the compiler is."""

    prefixes: tuple[tuple[str, str], ...] = ()  # element path and variable of its leaf prefix, innermost first
    loop: str = ""  # variable that counts the repetitions of the innermost loop, from 0
    into: str = "O"  # list that takes the rows


class _Source(str):
    """An expression, beside text that is known when the layout is compiled."""

    __slots__ = ()


_Parts = list[str]
"""What is put together: text and expressions."""


def _known(piece: Piece) -> str | None:
    """What a piece is in every letter; None if that depends on the letter."""
    if piece.format or piece.counter:
        return None
    if piece.leaf is None:
        return piece.literal
    if piece.echo and piece.leaf.const is not None:
        return (piece.codec.write(piece.leaf.const) if piece.codec else piece.leaf.const) or ""
    return None


class WriterCompiler:
    """Compiles one definition."""

    def __init__(self, definition: Definition) -> None:
        self._definition = definition
        self._out = Module()
        self._variables = 0

    def source(self) -> Module:
        """The module with the writer."""
        out = self._out
        with out.block("def write(V, N, W):"):
            out.add(f'"""{self._definition.type} {self._definition.version}."""')
            out.add("O = []")
            for trigger in sorted({i.trigger for i in self._definition.layout if isinstance(i, Group)}):
                out.add(f"n_{trigger} = 0")
            self._items(self._definition.layout, _Scope())
            out.add("return O")
        return out

    def _new(self, prefix: str) -> str:
        self._variables += 1
        return f"{prefix}{self._variables}"

    def _items(self, items: tuple[Item, ...], scope: _Scope) -> None:
        winners: list[tuple[SegmentTemplate, str]] = []
        for item in items:
            if isinstance(item, SegmentTemplate):
                if item.wins:
                    winners.append((item, self._new("a")))
                    self._out.add(f"{winners[-1][1]} = len({scope.into})")
                self._segment(item, scope)
            elif isinstance(item, Group):
                self._group(item, scope)
            else:
                self._repeat(item, scope)
        for template, start in winners:
            self._winner(template, start, scope)

    def _winner(self, template: SegmentTemplate, start: str, scope: _Scope) -> None:
        """Refuse what would read as a template that wins, but stands for another."""
        own = list(dict.fromkeys(p.path for p in template.pieces() if p.own))
        absent = " and ".join(f"{self._key(path, scope)} not in V" for path in own)
        with self._out.block(f"if {absent}:"):
            values = self._out.name("STARTS", template.starts)
            self._out.add(f"W.winner({scope.into}, {start}, {template.tag!r}, {values}, {self._key(own[0], scope)})")

    # -- groups and repetitions

    def _group(self, group: Group, scope: _Scope) -> None:
        out = self._out
        out.add(f"# {group.trigger} {group.name or group.each}".rstrip())
        if group.overflow:
            self._spread(group, scope)
            return
        if not group.each:
            self._occurrence(group, scope)
            return
        inner, opened = self._loop(group.each, scope, group.also_for)
        with out.block(opened):
            self._prefixed(group.each, inner)
            self._silent(group, inner)
            self._occurrence(group, inner)
            self._next(group.each, inner)

    def _silent(self, group: Group, inner: _Scope) -> None:
        """Skip a repetition that holds only what the layout has no place for: an empty group would read as none."""
        element = self._element(group.each)
        own = dict.fromkeys(p.path for t, _ in templates(group.items) for p in t.pieces() if p.own)
        wired = {re.sub(r"\[\d+\]", "", path) for path in own}
        if (
            element.repeats
            and own
            and any(leaf.path not in wired for leaf in element.walk() if leaf.is_leaf and leaf.const is None)
        ):
            present = " or ".join(f"{self._key(path, inner)} in V" for path in own)
            self._out.add(f"if not ({present}): continue")

    def _occurrence(self, group: Group, scope: _Scope) -> None:
        """One group: its trigger, and what follows it; no trigger if nothing does."""
        out, start = self._out, self._new("s")
        out.add(f"{start} = len({scope.into})")
        self._trigger(group, scope.into)
        self._items(group.items, scope)
        if group.limit:
            tag, limit = group.limit
            leaf = next((p.path for t, _ in templates(group.items) for p in t.pieces() if p.text), "")
            out.add(f"W.limit({scope.into}[{start}:], {tag!r}, {limit}, {self._key(leaf, scope)})")
        if not any(isinstance(item, SegmentTemplate) and item.required for item in group.items):
            with out.block(f"if len({scope.into}) == {start} + 1:"):
                out.add(f"{scope.into}.pop()")
                out.add(f"n_{group.trigger} -= 1")

    def _trigger(self, group: Group, into: str) -> None:
        self._out.add(f"n_{group.trigger} += 1")
        self._out.add(f"{into}.append({ELEMENT.join([group.trigger, group.number]) + END!r})")

    def _spread(self, group: Group, scope: _Scope) -> None:
        """A group whose content may need several groups."""
        assert group.overflow is not None
        _, segments, groups = group.overflow
        content = self._new("content")
        self._out.add(f"{content} = []")
        self._items(group.items, replace(scope, into=content))
        leaf = next((p.path for t, _ in templates(group.items) for p in t.pieces() if p.own), "")
        first = leaf.split(".")[0]
        call = f"W.overflow({content}, {segments}, {groups}, {group.trigger!r}, {first!r})"
        with self._out.block(f"for cut in {call}:"):
            self._trigger(group, scope.into)
            self._out.add(f"{scope.into} += cut")

    def _repeat(self, repeat: Repeat, scope: _Scope) -> None:
        out = self._out
        out.add(f"# each {repeat.path}")
        inner, opened = self._loop(repeat.path, scope, ())
        with out.block(opened):
            self._prefixed(repeat.path, inner)
            start = self._merging(repeat, inner)
            self._items(repeat.items, inner)
            if start:
                self._out.add(f"W.merging({inner.into}, {start}, {self._key(repeat.path, scope)})")
            if repeat.choices:
                self._choose(repeat, inner)
            self._next(repeat.path, inner)

    def _merging(self, repeat: Repeat, scope: _Scope) -> str:
        """A variable for where an occurrence starts, if two neighbours of them could read as one text."""
        first = repeat.items[0] if repeat.items else None
        if not isinstance(first, SegmentTemplate) or first.kind != "text":
            return ""
        start = self._new("s")
        self._out.add(f"{start} = len({scope.into})")
        return start

    def _choose(self, repeat: Repeat, scope: _Scope) -> None:
        out = self._out
        tests = [self._present(path, scope) for path in repeat.by]
        names = [path[len(repeat.path) + 1 :] for path in repeat.by]
        word = "if"
        for number, (test, template) in enumerate(zip(tests, repeat.choices, strict=True)):
            with out.block(f"{word} {test}:"):
                self._body(template, scope)
                for other in range(number + 1, len(tests)):
                    with out.block(f"if {tests[other]}:"):
                        out.add(f"W.choice({self._key(repeat.by[other], scope)}, {names[other]!r})")
            word = "elif"
        with out.block("else:"):
            out.add(f"W.no_choice({self._key(repeat.by[0], scope)}, {', '.join(names)!r})")

    def _element(self, path: str) -> Element:
        element = self._definition.element(path)
        assert element is not None
        return element

    def _present(self, path: str, scope: _Scope) -> str:
        """A condition: the element has a leaf."""
        found = signs(self._element(path))
        return " or ".join(f"{self._key(p, scope)} in {'N' if repeats else 'V'}" for p, repeats in found)

    def _loop(self, path: str, scope: _Scope, also: tuple[str, ...]) -> tuple[_Scope, str]:
        """The scope inside of a loop over an element, and the line that opens it; `also`: leaves that count as one."""
        prefix, loop = self._new("p"), self._new("g")
        inner = _Scope(((path, prefix), *scope.prefixes), loop, scope.into)
        conditions = [f"{self._key(leaf, scope)} in V" for leaf in also]
        if not self._element(path).repeats:
            return inner, f"if {' or '.join([self._present(path, scope), *conditions])}:"
        indices = f"N.get({self._key(path, scope)}, ())"
        if conditions:
            indices = f"{indices} or ((0,) if {' or '.join(conditions)} else ())"
        self._out.add(f"{loop} = 0")
        return inner, f"for x in {indices}:"

    def _prefixed(self, path: str, inner: _Scope) -> None:
        if not path:
            return
        _, prefix = inner.prefixes[0]
        outer, rest = self._split(path, inner.prefixes[1:])
        index = "[{x}]" if self._element(path).repeats else ""
        self._out.add(f'{prefix} = f"{"{" + outer + "}" if outer else ""}{rest}{index}."')

    def _next(self, path: str, inner: _Scope) -> None:
        if path and self._element(path).repeats:
            self._out.add(f"{inner.loop} += 1")

    def _split(self, path: str, prefixes: tuple[tuple[str, str], ...]) -> tuple[str, str]:
        for element, variable in prefixes:
            if path.startswith(f"{element}."):
                return variable, path[len(element) + 1 :]
        return "", path

    def _key(self, path: str, scope: _Scope) -> str:
        variable, rest = self._split(path, scope.prefixes)
        return f"{variable} + {rest!r}" if variable else repr(rest)

    # -- segments

    def _segment(self, template: SegmentTemplate, scope: _Scope) -> None:
        conditions = []
        if template.first and scope.loop:
            conditions.append(f"{scope.loop} == 0")
        if template.unless:
            conditions.append(f"{self._key(template.unless, scope)} not in V")
        if not template.required:
            own = dict.fromkeys(p.path for p in template.pieces() if p.own)
            conditions.append(" or ".join(f"{self._key(path, scope)} in V" for path in own))
            if len(conditions) > 1:
                conditions[-1] = f"({conditions[-1]})"
        if not conditions:
            self._body(template, scope)
            return
        with self._out.block(f"if {' and '.join(conditions)}:"):
            self._body(template, scope)

    def _body(self, template: SegmentTemplate, scope: _Scope) -> None:
        self._out.add(f"# {template.source}")
        if template.kind == "object":
            self._out.add(f"W.object({scope.into}, {self._key(next(template.pieces()).path, scope)})")
            return
        body = next((e for e, _, p in template.places() if p.text or p.line), 0)
        parts: _Parts = [template.tag]
        for element, slot in enumerate(template.slots, 1):
            parts.append(ELEMENT)
            if element == body:
                parts.append(_Source("components"))
            elif slot.optional:
                parts.append(self._optional(slot, scope))
            else:
                parts += self._element_of(slot, scope)
        append = f"{scope.into}.append({self._joined([*parts, END])})"
        if template.kind == "plain":
            self._out.add(append)
            return
        if template.kind == "text":
            leaf = next(p.path for p in template.pieces() if p.text)
            opened = f"for form, components in W.text({self._key(leaf, scope)}):"
        else:
            lines = [self._component(component, scope) for component in template.slots[-1].components]
            opened = f"for components in W.lines({', '.join(self._joined(line) for line in lines)}):"
        with self._out.block(opened):
            self._out.add(append)

    def _element_of(self, slot: Slot, scope: _Scope) -> _Parts:
        """The components of an element with what stands between them."""
        found: _Parts = []
        for number, component in enumerate(slot.components):
            found += [COMPONENT] * bool(number) + self._component(component, scope)
        return found

    def _optional(self, slot: Slot, scope: _Scope) -> _Source:
        """An element that lives by its first field; what else it holds has no place while that is absent."""
        own = list(dict.fromkeys(p.path for component in slot.components for p in component if p.own))
        out, variable, key = self._out, self._new("e"), self._key(own[0], scope)
        out.add(f"{variable} = ''")
        with out.block(f"if {key} in V:"):
            out.add(f"{variable} = {self._joined(self._element_of(slot, scope))}")
        empty = {p.path: p.codes.empty for c in slot.components for p in c if p.own and p.codes is not None}
        if len(own) > 1:
            with out.block("else:"):
                for path in own[1:]:
                    out.add(f"W.dead({self._key(path, scope)}, {empty.get(path)!r})")
        return _Source(variable)

    def _joined(self, parts: _Parts) -> str:
        """One expression for parts: what is known now stands in it as it is."""
        pieces = []
        for part in parts:
            if not isinstance(part, _Source):
                pieces.append(json.dumps(part, ensure_ascii=False)[1:-1].replace("{", "{{").replace("}", "}}"))
            elif '"' in part or "\\" in part:  # Python 3.11 has no place for these in the braces
                variable = self._new("v")
                self._out.add(f"{variable} = {part}")
                pieces.append(f"{{{variable}}}")
            else:
                pieces.append(f"{{{part}}}")
        return f'f"{"".join(pieces)}"'

    def _component(self, pieces: tuple[Piece, ...], scope: _Scope) -> _Parts:
        """The parts of a component; lines that they need are added before."""
        found: _Parts = []
        for piece in pieces:
            known = _known(piece)
            found.append(_Source(self._piece(piece, scope)) if known is None else known)
        return found

    def _piece(self, piece: Piece, scope: _Scope) -> str:
        if piece.format:
            return "form"
        if piece.counter:
            return f"{scope.loop} + 1" if piece.counter == "each" else f"n_{piece.counter}"
        key = self._key(piece.path, scope)
        if piece.codes is not None:
            return self._code(piece, piece.codes, key)
        if piece.codec is not None:
            return self._coded(piece, key)
        if piece.filler:
            return self._filled(piece, key, scope)
        if piece.default is not None:
            return self._left_out(piece.default, key, scope)
        return f"V.get({key}, '')"

    def _code(self, piece: Piece, codes: CodeList, key: str) -> str:
        """One column of the row of a value."""
        if codes.prefix:
            other = "" if codes.other is None else codes.other[piece.column - 1]
            return f"{self._out.name('ROWS', codes.column(piece.column))}.get(V.get({key}, ''), {other!r})"
        out, row = self._out, self._new("r")
        blank = ("",) * codes.columns
        rows = {value: columns for value, columns in codes.rows.items() if columns}
        out.add(f"{row} = V.get({key})")
        with out.block(f"if {row} is None:"):
            out.add(f"{row} = {codes.absent or blank!r}")
            if codes.absent and piece.column == 1 and not piece.echo:
                out.add(f"W.default({key})")
        with out.block("else:"):
            out.add(f"{row} = {out.name('ROWS', rows)}.get({row})")
            with out.block(f"if {row} is None:"):
                quiet = piece.echo or piece.column != 1
                out.add(f"{row} = W.code({key}, {out.name('LIST', codes)}, {quiet})")
        return f"{row}[{piece.column - 1}]"

    def _coded(self, piece: Piece, key: str) -> str:
        assert piece.codec is not None
        out, variable = self._out, self._new("v")
        out.add(f"{variable} = V.get({key}, '')")
        with out.block(f"if {variable}:"):
            out.add(f"{variable} = {out.name('WRITE', piece.codec.write)}({variable})")
            with out.block(f"if {variable} is None:"):
                out.add(f"{variable} = W.form({key}, V[{key}], {piece.codec.name!r}, {piece.echo})")
        return variable

    def _left_out(self, default: Default, key: str, scope: _Scope) -> str:
        out, variable = self._out, self._new("v")
        out.add(f"{variable} = V.get({key}, '')")
        guard = f"V.get({self._key(default.when, scope)}) == {default.value!r}"
        texts = out.name("TEXTS", dict(default.texts))
        with out.block(f"if {guard} and {texts}.get(V.get({self._key(default.code, scope)})) == {variable}:"):
            out.add(f"{variable} = ''")
        return variable

    def _filled(self, piece: Piece, key: str, scope: _Scope) -> str:
        out, variable = self._out, self._new("v")
        out.add(f"{variable} = V.get({key}, '')")
        condition = f" and {self._key(piece.filler_if, scope)} in V" if piece.filler_if else ""
        with out.block(f"if not {variable}{condition}:"):
            out.add(f"{variable} = {piece.filler!r}")
            if not piece.echo and not piece.filler_reads:
                out.add(f"W.default({key})")
        return variable
