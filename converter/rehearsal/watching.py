"""Mappings that note what of them runs: the same generated code, with probes put in before it is compiled.

Rules, guards and rows of code maps are noted by the place where they stand in the mapping files, so a rule of a shared
part that several mappings apply is one rule.
"""

from __future__ import annotations

import ast
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from converter.mapping import Mapping as Compiled
from converter.mapping import Mappings, compiled, paths
from converter.mapping.codes import CodeMap
from converter.mapping.document import Derived, Document, Each, Refs, Rule
from converter.mapping.paths import Node
from converter.rehearsal.rules import named

FORTH, BACK = "forth", "back"
Key = tuple[str, str, int]
"""Direction, file and line of a rule."""

_COMMENT = re.compile(r"# (?P<name>[\w.]+|resources? [\w, ]+) \((?P<file>.+):(?P<line>\d+)\)$")
_SLOT = re.compile(r"s\d+\Z")
_TAKES = frozenset(["take", "constant", "identity", "keep", "map", "value", "line", "give_up"])


@dataclass(slots=True)
class Watch:
    """What has run so far, and all that can."""

    rules: dict[Key, str] = field(default_factory=dict)
    guards: dict[Key, str] = field(default_factory=dict)
    fired: set[Key] = field(default_factory=set)
    tried: set[Key] = field(default_factory=set)
    held: set[tuple[Key, bool]] = field(default_factory=set)
    rows: set[tuple[str, int]] = field(default_factory=set)

    def wrote(self, key: Key, value: object) -> None:
        """A rule had something to carry, and gave a value or None."""
        self.tried.add(key)
        if value is not None:
            self.fired.add(key)

    def guard(self, key: Key, holds: Any) -> Any:
        """A guard was asked."""
        self.held.add((key, bool(holds)))
        return holds

    def took(self, key: Key, b: Any, call: Callable[[], None]) -> None:
        """A rule of the way back ran: it fired if it carried or accounted for anything."""
        before = (len(b.led), len(b.values), len(b.dfl))
        call()
        if (len(b.led), len(b.values), len(b.dfl)) != before:
            self.fired.add(key)


def watched(mappings: Mappings, watch: Watch) -> Mappings:
    """The same mappings, compiled with probes."""
    codes = {name: _WatchedCodes(one.name, one.columns, one.rows, one.places) for name, one in mappings.codes.items()}
    for one in codes.values():
        object.__setattr__(one, "watch", watch)
    made = [_WatchedMapping(m.document, codes, mappings.losses, watch) for m in mappings.mappings]
    return Mappings(list(made), mappings.losses, mappings.codes)


class _WatchedCodes(CodeMap):
    """A code map whose tables note the rows that are looked up."""

    watch: Watch

    def _noting(self, table: Mapping[Any, Any], rows: Mapping[Any, int]) -> dict[Any, Any]:
        return _Noting(table, lambda key: self.watch.rows.add((self.name, rows[key])))

    def table(self, by: tuple[str, ...], *, back: bool) -> dict[tuple[str, ...], Mapping[str, str]]:
        """Rows by the values of these columns."""
        found = CodeMap.table(self, by, back=back)
        number = {id(row): n for n, row in enumerate(self.rows)}
        return self._noting(found, {key: number[id(row)] for key, row in found.items()})

    def pairs(self, key: str, value: str) -> dict[str, str]:
        """One column by another."""
        return self._noting(CodeMap.pairs(self, key, value), {row[key]: n for n, row in enumerate(self.rows)})

    def keys(self) -> dict[str, Mapping[str, str]]:
        """Rows by their first column."""
        first = next(iter(self.columns))
        return self._noting(CodeMap.keys(self), {row[first]: n for n, row in enumerate(self.rows)})

    def row_of(self, code: object, system: object) -> Mapping[str, str] | None:
        """The row of a code."""
        found = CodeMap.row_of(self, code, system)
        if found is not None:
            self.watch.rows.add((self.name, self.rows.index(found)))
        return found


class _Noting(dict[Any, Any]):
    def __init__(self, table: Mapping[Any, Any], note: Callable[[Any], None]) -> None:
        super().__init__(table)
        self._note = note

    def get(self, key: Any, default: Any = None) -> Any:
        if key in self:
            self._note(key)
        return super().get(key, default)

    def __contains__(self, key: Any) -> bool:
        found = super().__contains__(key)
        if found:
            self._note(key)
        return found

    def __getitem__(self, key: Any) -> Any:
        self._note(key)
        return super().__getitem__(key)


class _WatchedMapping(Compiled):
    def __init__(self, document: Document, codes: Mapping[str, CodeMap], losses: Mapping[str, Any], watch: Watch):
        self.watch = watch
        self.made: list[tuple[str, Any]] = []
        self.plain: list[tuple[Key, str, AnyPath]] = []
        super().__init__(document, codes, losses, self._probed)

    def _probed(self, source: str, name: str, title: str, known: Mapping[str, Any]) -> Callable[..., Any]:
        there = name == "to_fhir"
        probes = (_Forth if there else _Back)(source, self.document, self.watch)
        tree = probes.visit(ast.parse(source))
        function = compiled(ast.unparse(tree), name, title, {**known, "W": self.watch, "MADE": self.made.append})
        if not there:
            return function
        self.plain = list(_unwatched(self.document, self.watch, probes.found))

        def and_look(*arguments: Any) -> Any:
            self.made.clear()
            result = function(*arguments)
            self._look(result[0])
            return result

        return and_look

    def _look(self, bundle: Any) -> None:
        """Rules without code of their own fired where their value stands in what was made."""
        for scope, resource in [("bundle", bundle), *self.made]:
            for key, name, (steps, const) in self.plain:
                if name == scope and key not in self.watch.fired:
                    for node in paths.walk(Node("", resource), steps, {}):
                        if const is None or _is(node.value, const):
                            self.watch.fired.add(key)


AnyPath = tuple[paths.Path, Any]


def _is(value: Any, const: Any) -> bool:
    if isinstance(const, dict) and isinstance(value, dict):
        return all(key in value and _is(value[key], one) for key, one in const.items())
    return bool(value == const)


def _unwatched(document: Document, watch: Watch, found: set[Key]) -> Iterator[tuple[Key, str, AnyPath]]:
    """The rules that write a constant, an id, a reference, a list or a reason, with where it stands."""
    lists: dict[str, str] = {}
    for name, rule in named(document):
        scope = name.split(".")[0]
        if scope == "back" or (isinstance(rule, Rule) and (rule.keep or not rule.forward)):
            continue
        key = (FORTH, rule.at.file, rule.at.line)
        watch.rules.setdefault(key, name)
        if isinstance(rule, Each):
            lists[name] = rule.target
        if key in found and isinstance(rule, Rule):
            continue
        above = lists.get(name.rpartition(".")[0], "")
        targets = [rule.target] if not isinstance(rule, Rule) or rule.target else list(rule.fhir_columns.values())
        if isinstance(rule, Refs | Derived) and not rule.target:
            continue
        for target in targets:
            steps = paths.parse(f"{above}.{target}" if above else target, document.slices)
            if isinstance(rule, Rule) and rule.absent and not rule.sources:
                # A reason stands beside the element of a primitive type that is absent: `_start` beside `start`.
                steps = (*steps[:-1], replace(steps[-1], name=f"_{steps[-1].name}"))
            yield key, scope, (steps, rule.const if isinstance(rule, Rule) else None)


class _Probes(ast.NodeTransformer):
    """Finds the rule of a statement by the comment that the generated code has for it."""

    def __init__(self, source: str, document: Document, watch: Watch) -> None:
        self.watch, self.found = watch, set[Key]()
        self.comments: dict[int, tuple[str, str, int] | None] = {}
        for number, line in enumerate(source.splitlines(), 1):
            match = _COMMENT.search(line)
            if match is not None:
                whole = match["name"].startswith("resource")
                self.comments[number] = None if whole else (match["name"], match["file"], int(match["line"]))
        self.lines = sorted(self.comments)
        self.names = {(rule.at.file, rule.at.line): name for name, rule in named(document)}
        self.guarded = {
            (rule.at.file, rule.at.line): (rule.when, rule.when_fhir)
            for _, rule in named(document)
            if isinstance(rule, Rule)
        }

    def key(self, direction: str, comment: tuple[str, str, int]) -> Key:
        """The key of a rule, entered among those that can fire."""
        key = (direction, comment[1], comment[2])
        self.watch.rules.setdefault(key, self.names.get(comment[1:], comment[0]))
        self.found.add(key)
        return key


def _call(name: str, key: Key, *arguments: ast.expr) -> ast.Call:
    probe = ast.Attribute(ast.Name("W", ast.Load()), name, ast.Load())
    parts: list[ast.expr] = [ast.Constant(part) for part in key]
    return ast.Call(probe, [ast.Tuple(parts, ast.Load()), *arguments], [])


class _Forth(_Probes):
    def __init__(self, source: str, document: Document, watch: Watch) -> None:
        super().__init__(source, document, watch)
        # What was kept comes back from a sidecar, and no example has one.
        kept = {rule.at.line: rule.at.file for _, rule in named(document) if isinstance(rule, Rule) and rule.keep}
        for number, comment in self.comments.items():
            if comment is not None and kept.get(comment[2]) == comment[1]:
                self.comments[number] = None
        self.asked: set[int] = set()
        self.variables: dict[int, str] = {}

    def _above(self, line: int) -> int:
        """The line of the comment that a statement belongs to; 0 for none."""
        place = bisect_left(self.lines, line)
        return self.lines[place - 1] if place and self.comments[self.lines[place - 1]] else 0

    def visit_Assign(self, node: ast.Assign) -> Any:
        target = node.targets[0]
        first = target.elts[0] if isinstance(target, ast.Tuple) else target
        if not isinstance(first, ast.Name):
            return node
        if first.id.startswith("o_") and isinstance(node.value, ast.Dict):
            pair = ast.Tuple([ast.Constant(first.id[2:]), ast.Name(first.id, ast.Load())], ast.Load())
            return [node, ast.Expr(ast.Call(ast.Name("MADE", ast.Load()), [pair], []))]
        nothing = isinstance(node.value, ast.Constant) and node.value.value is None
        above = self._above(node.lineno)
        if not above or nothing or not _SLOT.match(first.id):
            return node
        if self.variables.setdefault(above, first.id) != first.id:
            return node
        comment = self.comments[above]
        assert comment is not None
        return [node, ast.Expr(_call("wrote", self.key(FORTH, comment), ast.Name(first.id, ast.Load())))]

    def visit_If(self, node: ast.If) -> Any:
        one_line = node.body[0].lineno == node.lineno
        made_up = isinstance(node.test, ast.UnaryOp) and isinstance(node.test.operand, ast.Name)
        if made_up or (one_line and _asks_for_none(node.test)):
            return node  # a default, or the text of an item that there is none of
        above = self._above(node.lineno)
        comment = self.comments.get(above)
        if comment and not _asks_for_none(node.test) and above not in self.asked:
            self.asked.add(above)
            guard = self.guarded.get(comment[1:], ("", ""))[0]
            if guard:
                key = (FORTH, comment[1], comment[2])
                self.watch.guards.setdefault(key, guard)
                node.test = _call("guard", key, node.test)
        return self.generic_visit(node)


def _asks_for_none(test: ast.expr) -> bool:
    """Whether a slot or a row is asked for being empty; a guard `X absent` asks the letter, or a variable of it."""
    if not isinstance(test, ast.Compare) or not isinstance(test.ops[0], ast.Is):
        return False
    return isinstance(test.left, ast.Name) and not test.left.id.startswith("v_")


class _Back(_Probes):
    def visit_If(self, node: ast.If) -> Any:
        comment = self.comments.get(node.lineno)
        if comment and len(node.body) == 1 and isinstance(node.body[0], ast.Expr):
            self._guard(node, comment)
        return self.generic_visit(node)

    def _guard(self, node: ast.If, comment: tuple[str, str, int]) -> None:
        """Put a probe around the guard; whom a Bundle was born from is no part of it."""
        test = node.test
        parts = test.values if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And) else [test]
        born = [part for part in parts if isinstance(part, ast.Compare) and ast.unparse(part.left) == "b.born"]
        asked = [part for part in parts if part not in born]
        guards = self.guarded.get(comment[1:], ("", ""))
        if not asked or not any(guards):
            return
        key = (BACK, comment[1], comment[2])
        self.watch.guards.setdefault(key, guards[1] or guards[0])
        probe = _call("guard", key, asked[0] if len(asked) == 1 else ast.BoolOp(ast.And(), asked))
        node.test = ast.BoolOp(ast.And(), [*born, probe]) if born else probe

    def visit_Expr(self, node: ast.Expr) -> Any:
        call, comment = node.value, self.comments.get(node.lineno)
        if comment and isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in _TAKES:
            nothing = ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[])
            b = ast.Name("b", ast.Load())
            return ast.Expr(_call("took", self.key(BACK, comment), b, ast.Lambda(nothing, call)))
        return node
