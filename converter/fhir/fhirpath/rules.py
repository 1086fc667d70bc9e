"""From the tree of an invariant to the Python function that judges it."""

from __future__ import annotations

import linecache
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from converter.fhir.fhirpath.direct import FAULTS, Direct
from converter.fhir.fhirpath.general import Evaluate, General, Tree, Unsupported
from converter.fhir.fhirpath.model import Model
from converter.fhir.fhirpath.operators import truth
from converter.fhir.fhirpath.scope import Scope
from converter.fhir.fhirpath.values import Item, Malformed, PathError, Undecided, plain

_FUNCTION = """\
def rule(v, s):
    try:
        return {}
    except FAULTS:
        return slow(v, s)
"""
Judge = Callable[[Any, Scope], bool]


@dataclass(frozen=True, slots=True)
class Rule:
    """An invariant as a function of the value of its element (None: nothing but extensions) and the scope.

    `scoped` tells whether the fast way looks at the scope; `source` is the generated code.
    """

    judge: Judge
    general: Judge
    scoped: bool
    source: str
    direct: bool


def compile_rule(tree: Tree, kind: str, model: Model, name: str) -> Rule:
    """Compile an invariant for elements of a type. Raises Unsupported if it uses what this FHIRPath does not have."""
    general = General(tree)
    slow = _judge(general.load(), kind)
    try:
        direct = Direct(tree, kind, model)
        source = (
            f"def rule(v, s):\n    try:\n        return {direct.text}\n    except FAULTS:\n        return slow(v, s)\n"
        )
        names = {**direct.names, "FAULTS": FAULTS, "slow": slow}
        exec(compile(source, name, "exec"), names)  # noqa: S102 - our own text, made from a tree
    except (Unsupported, SyntaxError):
        return Rule(slow, slow, True, general.text + "\n", False)
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    return Rule(names["rule"], slow, direct.scoped, source, True)


def _judge(evaluate: Evaluate, kind: str) -> Judge:
    def judge(value: Any, scope: Scope) -> bool:
        item = Item(value, scope.kind_of(value, kind), {} if value is None else None)
        try:
            return holds(evaluate([item], scope))
        except Malformed:
            return True  # reported as what it is
        except PathError:
            return False  # as the official validator has it
        except Undecided as reason:
            return scope.undecided(str(reason))

    return judge


def holds(items: list[Any]) -> bool:
    """The verdict of an invariant: nothing is no; what is no boolean counts as yes."""
    if len(items) == 1 and plain(items[0]) == 0 and not isinstance(plain(items[0]), str):
        return False
    return bool(items) and (len(items) > 1 or truth(items) is True)
