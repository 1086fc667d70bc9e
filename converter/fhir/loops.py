"""Conditions with list comprehensions written as loops: on CPython 3.11 a comprehension makes and calls a function.

That costs some 1,600 instructions, and most lists have one item. What is asked, in which order, and what is left
unasked (`and`, `or`, `if … else`) stays as it is; only the list of an operand is made before its operator's other
operand is read. A comprehension that stands in a value which may not be needed is left as it is.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import groupby
from typing import Any

from converter.fhir.source import Source

DEEPEST = 20  # loops in each other that Python allows in a function


class Loops:
    """Writes `if condition: return False` for conditions of one object, and remembers what is known of the object."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._made = 0
        self._open = 0
        self._known: dict[str, str] = {}

    def forget(self) -> None:
        """What follows is about another object, or in another block."""
        self._known = {}

    def refuse(self, condition: str, line: str, room: int) -> None:
        """Code that runs `line`, which leaves the function, if a condition is met. `room`: loops there may still be."""
        tree = ast.parse(condition, mode="eval").body if " for " in condition else None
        if tree is None or not 0 < _depth(tree) <= room or _shadowing(tree, frozenset()):
            with self._source.block(f"if {condition}:"):
                self._source(line)
        else:
            self._when(tree, True, line, "")

    @contextmanager
    def _block(self, head: str) -> Iterator[None]:
        with self._source.block(head):
            self._open += 1
            yield
            self._open -= 1

    def _name(self) -> str:
        self._made += 1
        return f"h{self._made}"

    def _when(self, tree: ast.expr, wanted: bool, line: str, flag: str) -> None:
        """Code that runs a line if the truth of a condition is as wanted. The line sets the flag, if there is one."""
        match tree:
            case ast.UnaryOp(ast.Not(), inner):
                self._when(inner, not wanted, line, flag)
            case ast.Call(ast.Name("bool"), [inner]):
                self._when(inner, wanted, line, flag)
            case ast.Constant(value):
                if bool(value) is wanted:
                    self._source(line)
            case ast.BoolOp(op) if _depth(tree):
                self._operands(tree, isinstance(op, ast.And) is wanted, wanted, line, flag)
            case ast.IfExp(test, yes, no) if _depth(tree):
                with self._block(f"if {self._asked(test)}:"):
                    self._when(yes, wanted, line, flag)
                with self._block("else:"):
                    self._when(no, wanted, line, flag)
            case ast.ListComp(ast.Constant()) if wanted and self._key(tree) not in self._known:
                self._loop(tree, line)
            case _:
                with self._block(f"if {'' if wanted else 'not '}{self._asked(tree)}:"):
                    self._source(line)

    def _operands(self, tree: ast.BoolOp, every: bool, wanted: bool, line: str, flag: str) -> None:
        """`every`: each operand must be as wanted; else one of them is enough."""
        runs = [[*run] for _, run in groupby(tree.values, lambda operand: bool(_depth(operand)))]
        parts = [run if _depth(run[0]) else [ast.BoolOp(tree.op, run)] if run[1:] else run for run in runs]
        operands = [operand for part in parts for operand in part]
        with ExitStack() as inner:
            for operand in operands[:-1]:
                if every:
                    inner.enter_context(self._block(f"if {'' if wanted else 'not '}{self._asked(operand)}:"))
                    continue
                self._when(operand, wanted, line, flag)
                if flag:
                    inner.enter_context(self._block(f"if not {flag}:"))
            self._when(operands[-1], wanted, line, flag)

    def _asked(self, tree: ast.expr) -> str:
        """An operand with the truth of a condition, after code for its loops."""
        match tree:
            case ast.UnaryOp(ast.Not(), inner) if _depth(tree):
                return f"(not {self._asked(inner)})"
            case ast.ListComp(ast.Constant()):
                return self._once(tree, "False", "{} = True")
            case ast.BoolOp() | ast.IfExp() if _depth(tree):
                flag = self._name()
                self._source(f"{flag} = False")
                self._when(tree, True, f"{flag} = True", flag)
                return flag
        return f"({ast.unparse(_Flat(self).visit(tree))})"

    def _once(self, tree: ast.ListComp, start: str, line: str) -> str:
        """The name of what a loop finds; what was found of the object whatever else is true is not looked for again."""
        key = self._key(tree, line)
        if key in self._known:
            return self._known[key]
        name = self._name()
        self._source(f"{name} = {start}")
        self._loop(tree, line.format(name, ast.unparse(tree.elt)))
        if not self._open:
            self._known[key] = name
        return name

    def _loop(self, tree: ast.ListComp, line: str) -> None:
        with ExitStack() as inner:
            for part in tree.generators:
                match part.iter:
                    case ast.Name("ONE"):
                        pass
                    case ast.List([item]):
                        self._source(f"{ast.unparse(part.target)} = {ast.unparse(_Flat(self).visit(item))}")
                    case items:
                        head = f"for {ast.unparse(part.target)} in {ast.unparse(_Flat(self).visit(items))}:"
                        inner.enter_context(self._block(head))
                for condition in part.ifs:
                    inner.enter_context(self._block(f"if {self._asked(condition)}:"))
            self._source(line)

    def _key(self, tree: ast.ListComp, line: str = "{} = True") -> str:
        """The same for comprehensions that differ in nothing but the names of their own variables."""
        own = [node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]
        names = {name: f"_{number}" for number, name in enumerate(own)}
        known = ast.parse(ast.unparse(tree), mode="eval")
        for node in ast.walk(known):
            if isinstance(node, ast.Name):
                node.id = names.get(node.id, node.id)
        return line + ast.unparse(known)


class _Flat(ast.NodeTransformer):
    """A value that is certainly needed, without comprehensions."""

    def __init__(self, loops: Loops) -> None:
        self._loops = loops

    def visit_ListComp(self, node: ast.ListComp) -> ast.expr:
        return ast.Name(self._loops._once(node, "[]", "{}.append({})"))

    def visit_Call(self, node: ast.Call) -> ast.expr:
        match node:
            case ast.Call(ast.Name("len"), [ast.ListComp() as items]):
                return ast.Name(self._loops._once(items, "0", "{} += 1"))
            case ast.Call(ast.Name("bool"), [inner]) if _depth(inner):
                node.args = [ast.Name(self._loops._asked(inner))]
                return node
        self.generic_visit(node)
        return node

    def _as_it_is(self, node: Any) -> Any:
        return node

    visit_BoolOp = visit_IfExp = visit_Lambda = visit_GeneratorExp = _as_it_is  # noqa: N815 - named by ast


def _depth(tree: ast.AST) -> int:
    """How many loops of comprehensions stand in each other. Each node is asked many times, and keeps the answer."""
    known = vars(tree)
    if "loops" not in known:
        own = len(tree.generators) if isinstance(tree, ast.ListComp) else 0
        known["loops"] = own + max(map(_depth, ast.iter_child_nodes(tree)), default=0)
    return int(known["loops"])


def _shadowing(tree: ast.AST, names: frozenset[str]) -> bool:
    """Whether a comprehension has a variable named as one of another around it: a loop would overwrite that."""
    if isinstance(tree, ast.ListComp):
        own = [ast.unparse(part.target) for part in tree.generators]
        if len({*own}) < len(own) or not names.isdisjoint(own):
            return True
        names = names.union(own)
    return any(_shadowing(inner, names) for inner in ast.iter_child_nodes(tree))
