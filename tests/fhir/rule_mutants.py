"""Mutation testing of the rules: converter/fhir/rules is changed in one place at a time, and the tests must notice.

A mutator of our own, because the rules write source that is compiled into a namespace made when modules are imported:
a mutant must be in place before anything is imported, and a process each, started anew, takes ten times as long as a
fork. Mutants: comparisons turned, `and` and `or` exchanged, conditions negated, numbers one off, constants True and
False exchanged, texts changed, returns and calls left out, `continue` and `break` exchanged.

Left alone: annotations, docstrings, what only type checkers see, and what `declare` says to people (why, help, source).

    python -m tests.fhir.rule_mutants [--count 240] [--seed 1]
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import copy
import importlib.abc
import importlib.util
import io
import os
import random
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "converter" / "fhir" / "rules"
# Tests that judge single rules and whole messages, the quickest to notice first; the first failure ends a mutant.
TESTS = (
    "tests/fhir/rules",
    "tests/fhir/test_campaign.py::test_mutants_of_the_invented_message",
    "tests/fhir/test_examples.py",
    "tests/fhir/test_profiles.py",
)
SECONDS = 150
TURNED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}


@dataclass(frozen=True)
class RuleMutant:
    """One change: the module, where, what, and the changed source."""

    module: str
    line: int
    what: str
    source: str

    @property
    def name(self) -> str:
        """How a list names it: what is changed, not where, so that it outlives other edits of the file."""
        return f"{self.module}: {self.what}"


def mutants_of(path: Path) -> Iterator[Callable[[], RuleMutant]]:
    """Every mutant of one module, each made when it is called for."""
    tree = ast.parse(path.read_text("utf-8"))
    for node in [n for n in _walk(tree) if isinstance(n, ast.expr | ast.stmt)]:
        for changed in _variants(node):
            yield partial(_mutant, path.stem, tree, node, changed)


def _mutant(module: str, tree: ast.Module, node: Any, changed: ast.AST) -> RuleMutant:
    before, after = (ast.unparse(n)[:90].replace("\n", " ") for n in (node, changed))
    what = f"{_place(tree, node)}: {before} -> {after}"
    return RuleMutant(module, node.lineno, what, _with(tree, node, changed))


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes that run, in order."""
    yield node
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "type_params"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not _for_people(child):
                yield from _walk(child)


def _for_people(node: ast.AST) -> bool:
    """Docstrings, `declare(…)`, and what is imported for type checkers."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return True
    if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
        return True
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("declare", "dataclass")


def _variants(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in TURNED:
        yield ast.Compare(node.left, [TURNED[type(node.ops[0])]()], node.comparators)
    elif isinstance(node, ast.BoolOp):
        yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield node.operand
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
        yield ast.BinOp(node.left, ast.Sub() if isinstance(node.op, ast.Add) else ast.Add(), node.right)
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield ast.Constant(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int):
        yield ast.Constant(node.value + 1)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value:
        yield ast.Constant(node.value + "x")
    elif isinstance(node, ast.If | ast.IfExp):
        yield _replaced(node, test=ast.UnaryOp(ast.Not(), node.test))
    elif isinstance(node, ast.Return) and node.value is not None:
        yield ast.Return(ast.Constant(None))
    elif isinstance(node, ast.Continue | ast.Break):
        yield ast.Break() if isinstance(node, ast.Continue) else ast.Continue()
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield ast.Pass()


def _replaced(node: Any, **fields: Any) -> Any:
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed


def _place(tree: ast.Module, node: Any) -> str:
    """The function or class that a node is in."""
    inside = [n for n in tree.body if n.lineno <= node.lineno <= (n.end_lineno or 0)]
    return str(getattr(inside[0], "name", "module")) if inside else "module"


def _with(tree: ast.Module, node: ast.AST, changed: ast.AST) -> str:
    class Put(ast.NodeTransformer):
        def visit(self, at: ast.AST) -> Any:
            return changed if at is node else self.generic_visit(at)

    # The transformer changes lists in place, so it works on a copy that knows which node is meant.
    memo: dict[int, Any] = {id(node): node, id(changed): changed}
    return ast.unparse(ast.fix_missing_locations(Put().visit(copy.deepcopy(tree, memo))))


class Instead(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module from changed source."""

    def __init__(self, mutant: RuleMutant) -> None:
        self.name, self.source = f"converter.fhir.rules.{mutant.module}", mutant.source

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        return importlib.util.spec_from_loader(name, self) if name == self.name else None

    def exec_module(self, module: Any) -> None:
        exec(compile(self.source, f"<mutant of {self.name}>", "exec"), module.__dict__)


def survives(mutant: RuleMutant | None) -> bool:
    """Whether the tests pass with a mutant (None: the code as it is), in a process forked for it."""
    child = os.fork()
    if not child:
        os._exit(_run(mutant))
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) == 0


def _run(mutant: RuleMutant | None) -> int:
    import pytest

    signal.alarm(SECONDS)  # a mutant that never ends is killed by the clock
    os.chdir(ROOT)
    if mutant:
        sys.meta_path.insert(0, Instead(mutant))
    quiet = ["-x", "-q", "-n", "0", "-p", "no:cacheprovider", "-p", "no:randomly"]
    with open(os.devnull, "w", encoding="utf-8") as nothing:
        os.dup2(nothing.fileno(), 1)
        os.dup2(nothing.fileno(), 2)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            return int(pytest.main([*quiet, *TESTS]))


def sample(count: int, seed: int) -> list[RuleMutant]:
    """That many mutants of all rules, the same for the same seed and source."""
    every = [m for path in sorted(RULES.glob("*.py")) for m in mutants_of(path)]
    return [make() for make in random.Random(seed).sample(every, min(count, len(every)))]


def judged(mutants: list[RuleMutant], workers: int = 2) -> Iterator[tuple[RuleMutant, bool]]:
    """Each mutant and whether it survives, as soon as that is known."""
    with ThreadPoolExecutor(workers) as pool:
        yield from zip(mutants, pool.map(survives, mutants), strict=True)


def main() -> None:
    """Print the survivors, and the share that was killed so far with each."""
    options = argparse.ArgumentParser()
    options.add_argument("--count", type=int, default=240)
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()
    if not survives(None):
        raise SystemExit("the tests fail without a mutant")
    killed = done = 0
    for mutant, alive in judged(sample(chosen.count, chosen.seed)):
        done, killed = done + 1, killed + (not alive)
        if alive:
            print(f"{mutant.module}.py:{mutant.line} {mutant.name} ({killed} of {done} killed)", flush=True)
    print(f"{killed} of {done} killed")


if __name__ == "__main__":
    main()
