"""Mutation testing of the rules: converter/fhir/rules is changed in one place at a time, and the tests must notice.

A mutator of our own, because most rules write source that is compiled into a namespace made when modules are imported,
and because a process started anew for each mutant takes ten times as long. Here pytest collects once; then a process is
forked for each mutant, puts it in place and runs the tests, those that speak of its module first and then the quickest,
until one fails. Inside a function a mutant is put in place by changing the code of the function, which everybody who
holds the function shares; what runs when a module is imported needs an import of its own.

Mutants: comparisons turned, `and` and `or` exchanged, conditions negated, numbers one off, constants True and False
exchanged, texts changed, returns and calls left out, `continue` and `break` exchanged. Left alone: annotations,
docstrings, what only type checkers see, and what `declare` says to people (why, help, source).

There are more than two thousand, so a part of them is tried: those whose name and a seed have a digest in that part. An
edit changes the choice only where the code changed. Survivors stand in rule_survivors.yaml, each with its reason.

    python -m tests.fhir.rule_mutants [--part 8] [--seed 1] [--workers 2] [--module NAME]
"""

from __future__ import annotations

import argparse
import ast
import copy
import functools
import gc
import hashlib
import importlib.abc
import importlib.util
import json
import os
import resource
import sys
import tempfile
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from converter.kept import Kept

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "converter" / "fhir" / "rules"
SURVIVORS = Path(__file__).parent / "rule_survivors.yaml"
PACKAGE = "converter.fhir.rules"
PART = 8  # of a hundred
SEED = 1
# Tests of single rules and of whole messages.
TESTS = (
    "tests/fhir/rules",
    "tests/fhir/test_profiles.py",
    "tests/fhir/test_narrative.py",
    "tests/fhir/test_examples.py",
    "tests/fhir/test_hostile_bundles.py",
    "tests/fhir/test_fhirpath_rules.py",
    "tests/fhir/test_campaign.py::test_mutants_of_the_invented_message",
    "tests/fhir/test_quick.py",
)
SECONDS = 90  # of processor time, for a mutant that never ends
BYTES = 3 << 30
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
    """One change: the module, where, what, whether it is inside a function, and how its source is made."""

    module: str
    line: int
    what: str
    inside: bool
    make: Callable[[], str]
    tree: ast.Module

    @property
    def original(self) -> str:
        """The source without the change."""
        return ast.unparse(self.tree)

    @property
    def source(self) -> str:
        """The changed source, written when it is asked for: most mutants are not tried."""
        return self.make()

    @property
    def name(self) -> str:
        """How a list names it: what is changed, not where, so that it outlives other edits of the file."""
        return f"{self.module}: {self.what}"


def mutants_of(path: Path) -> Iterator[RuleMutant]:
    """Every mutant of one module."""
    tree = ast.parse(path.read_text("utf-8"))
    # What a module calls while it is imported has done its work before a mutant could be put in place.
    importing = [n for part in tree.body if not isinstance(part, ast.FunctionDef) for n in ast.walk(part)]
    called = {n.func.id for n in importing if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name not in called]
    inside = {id(n) for f in functions for part in f.body for n in ast.walk(part)}
    for node in [n for n in _walk(tree) if isinstance(n, ast.expr | ast.stmt)]:
        for changed in _variants(node):
            yield _mutant(path.stem, tree, node, changed, id(node) in inside)


def _mutant(module: str, tree: ast.Module, node: Any, changed: ast.AST, inside: bool) -> RuleMutant:
    before, after = (ast.unparse(n)[:90].replace("\n", " ") for n in (node, changed))
    what = f"{_place(tree, node)}: {before} -> {after}"
    return RuleMutant(module, node.lineno, what, inside, partial(_with, tree, node, changed), tree)


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes that run, in order."""
    yield node
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "type_params"):
            continue
        children = value if isinstance(value, list) else [value]
        if name == "args" and isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".constant"):
            children = children[:1]  # the second is no more than a hint for a name in generated code
        for child in children:
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
        # None where nothing is said already would be the same to most who ask.
        said = not isinstance(node.value, ast.Constant) or bool(node.value.value)
        yield ast.Return(ast.Constant(None if said else True))
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
        self.name, self.source = f"{PACKAGE}.{mutant.module}", mutant.source

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        return importlib.util.spec_from_loader(name, self) if name == self.name else None

    def exec_module(self, module: Any) -> None:
        exec(compile(self.source, f"<mutant of {self.name}>", "exec"), module.__dict__)


def put_inside(mutant: RuleMutant) -> None:
    """Give every function of the imported module the mutant's code, closures that were made on import included."""
    new = _codes(compile(mutant.source, "<mutant>", "exec"))
    # The same text without a change, so that both are compiled from what `ast` writes.
    old = _codes(compile(mutant.original, "<mutant>", "exec"))
    changed = {name: code for name, code in new.items() if code != old.get(name)}
    assert new.keys() == old.keys()
    everything = gc.get_objects()
    for test in everything:
        if isinstance(test, Kept):  # what passed before must be judged again
            test.known.clear()
    functions = [f for f in everything if isinstance(f, types.FunctionType)]
    for function in functions:
        if function.__module__ == f"{PACKAGE}.{mutant.module}" and function.__qualname__ in changed:
            function.__code__ = changed[function.__qualname__]


def _codes(code: types.CodeType) -> dict[str, types.CodeType]:
    """All code of functions in a module by qualified name; several lambdas of one function share one: none of them."""
    found: dict[str, list[types.CodeType]] = {}
    waiting = [c for c in code.co_consts if isinstance(c, types.CodeType)]
    while waiting:
        at = waiting.pop()
        found.setdefault(at.co_qualname, []).append(at)
        waiting.extend(c for c in at.co_consts if isinstance(c, types.CodeType))
    return {name: codes[0] for name, codes in found.items() if len(codes) == 1}


class Forks:
    """A plugin of pytest that, instead of running the tests once, runs them in a forked process for each mutant."""

    def __init__(self, mutants: list[RuleMutant], workers: int, tell: Callable[[RuleMutant, bool], None]) -> None:
        self.mutants = mutants
        self.workers = workers
        self.tell = tell
        self.spent: dict[str, float] = {}

    def pytest_runtestloop(self, session: Any) -> bool:
        """Once without a mutant, which must pass; then the mutants."""
        _read_once()
        with tempfile.NamedTemporaryFile("r", suffix=".json") as times:
            if _wait(self._fork(session, None, times.name))[1]:
                raise SystemExit(f"the tests fail without a mutant: {times.read()}")
            self.spent = json.load(times)
        running: dict[int, RuleMutant] = {}
        for mutant in [*self.mutants, None]:
            while running and (mutant is None or len(running) >= self.workers):
                child, failed = _wait()
                self.tell(running.pop(child), not failed)
            if mutant:
                running[self._fork(session, mutant)] = mutant
        return True

    def _fork(self, session: Any, mutant: RuleMutant | None, times: str = "") -> int:
        child = os.fork()
        if not child:
            try:
                code = self._run(session, mutant, times)
            except BaseException:  # noqa: BLE001 - whatever a mutant does ends here: it was noticed
                code = 1
            os._exit(code)
        return child

    def _run(self, session: Any, mutant: RuleMutant | None, times: str) -> int:
        from _pytest.main import pytest_runtestloop

        _limit()
        if mutant:
            put_inside(mutant)
            session.items.sort(key=lambda i: (mutant.module not in i.nodeid, self.spent.get(i.nodeid, 0.0)))
        spent: dict[str, float] = {}
        session.config.option.maxfail = 1
        session.config.pluginmanager.register(_Times(spent))
        try:
            pytest_runtestloop(session)
        except session.Failed:
            spent = {name: time for name, time in spent.items() if name == list(spent)[-1]}
        if times:
            Path(times).write_text(json.dumps(spent), "utf-8")
        return int(session.testsfailed > 0)


class _Times:
    def __init__(self, spent: dict[str, float]) -> None:
        self.spent = spent

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.spent[report.nodeid] = self.spent.get(report.nodeid, 0.0) + report.duration


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)


def _wait(child: int = -1) -> tuple[int, bool]:
    child, status = os.waitpid(child, 0)
    return child, os.waitstatus_to_exitcode(status) != 0


def _read_once() -> None:
    """Packs are read before the forks, and compiled once in each: most of the tests want the same."""
    from converter.fhir import profiles

    profiles.read_pack = functools.cache(profiles.read_pack)  # type: ignore[attr-defined]
    for path in sorted((ROOT / "mappings" / "profiles").glob("*.json.gz")):
        profiles.read_pack(path)  # type: ignore[attr-defined]
    profiles.Pack.load = functools.cache(profiles.Pack.load)  # type: ignore[method-assign]


def _pytest(*plugins: Any) -> int:
    import pytest

    os.chdir(ROOT)
    quiet = ["-q", "-s", "-n", "0", "-p", "no:cacheprovider", "-p", "no:randomly", "-m", "not long"]
    return int(pytest.main([*quiet, *TESTS], plugins=list(plugins)))


def survives_import(mutant: RuleMutant) -> bool:
    """Whether the tests pass with a mutant of what runs on import, in a process where nothing is imported yet."""
    child = os.fork()
    if not child:
        _limit()
        sys.meta_path.insert(0, Instead(mutant))
        code = 1
        try:
            code = _pytest(_First())
        finally:
            os._exit(code)
    return not _wait(child)[1]


class _First:
    """Ends a run at the first failure, with the packs shared."""

    def pytest_collection_finish(self, session: Any) -> None:
        session.config.option.maxfail = 1
        _read_once()


@functools.cache
def every_mutant(module: str = "") -> list[RuleMutant]:
    """Every mutant of all rules, or of one module."""
    paths = [p for p in sorted(RULES.glob("*.py")) if module in ("", p.stem)]
    found: dict[str, RuleMutant] = {}
    for mutant in (mutant for path in paths for mutant in mutants_of(path)):
        number, what = 1, mutant.what
        while f"{mutant.module}: {what}" in found:
            number += 1
            what = f"{mutant.what} ({number})"
        found[f"{mutant.module}: {what}"] = replace(mutant, what=what)
    return list(found.values())


def chosen(mutants: list[RuleMutant], part: int, seed: int) -> list[RuleMutant]:
    """A part of a hundred: the same for the same seed and code."""
    digests = ((m, hashlib.sha256(f"{seed} {m.name}".encode()).digest()) for m in mutants)
    return [m for m, digest in digests if int.from_bytes(digest[:4], "big") % 100 < part]


def judge(mutants: list[RuleMutant], workers: int, tell: Callable[[RuleMutant, bool], None]) -> None:
    """Tell of each mutant whether it survives."""
    for mutant in mutants:
        if not mutant.inside:
            tell(mutant, survives_import(mutant))
    _pytest(Forks([m for m in mutants if m.inside], workers, tell))


def main() -> int:
    """Print the survivors and the share that was killed; 1 if a survivor is not listed or too few are killed."""
    options = argparse.ArgumentParser()
    options.add_argument("--part", type=int, default=PART, help="how many of a hundred mutants")
    options.add_argument("--seed", type=int, default=SEED)
    options.add_argument("--workers", type=int, default=2)
    options.add_argument("--module", default="")
    options.add_argument("--inside", action="store_true", help="only mutants inside functions")
    asked = options.parse_args()
    listed = yaml.safe_load(SURVIVORS.read_text("utf-8")) if SURVIVORS.exists() else {}
    verdicts: dict[str, bool] = {}

    def tell(mutant: RuleMutant, alive: bool) -> None:
        verdicts[mutant.name] = alive
        if alive:
            known = "" if mutant.name in listed else " (not listed)"
            print(f"{mutant.module}.py:{mutant.line} {mutant.name}{known}", flush=True)
        if len(verdicts) % 20 == 0:
            print(f"  {len(verdicts)} tried, {sum(verdicts.values())} survive", file=sys.stderr, flush=True)

    mutants = [m for m in chosen(every_mutant(asked.module), asked.part, asked.seed) if m.inside or not asked.inside]
    judge(mutants, asked.workers, tell)
    killed = len(verdicts) - sum(verdicts.values())
    unlisted = [name for name, alive in verdicts.items() if alive and name not in listed]
    print(
        f"{killed} of {len(verdicts)} killed; {len(unlisted)} survivors not listed; seed {asked.seed}, {asked.part} %"
    )
    return int(len(verdicts) != len(mutants) or killed < 0.85 * len(verdicts) or bool(unlisted))


if __name__ == "__main__":
    sys.exit(main())
