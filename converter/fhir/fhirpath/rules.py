"""From the tree of an invariant to the Python function that judges it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from converter import generated
from converter.fhir.fhirpath.direct import Direct, Names
from converter.fhir.fhirpath.general import Evaluate, General, Tree, Unsupported
from converter.fhir.fhirpath.guards import guard
from converter.fhir.fhirpath.model import Model
from converter.fhir.fhirpath.reading import FAULTS
from converter.fhir.fhirpath.scope import Scope
from converter.fhir.fhirpath.values import Item, Malformed, PathError, Undecided, plain

_PLAIN = """\
def rule(v, x):
    try:
        return {}
    except FAULTS:
        return slow(v, x)
"""
_SCOPED = _PLAIN.replace("    try:", "    s = scope(v, x)\n    try:")
Judge = Callable[[Any, Any], bool]
MakeScope = Callable[[Any, Any], Scope]


@dataclass(frozen=True, slots=True)
class Rule:
    """An invariant as a function of the value of its element (None: nothing but extensions) and of the validation.

    `judge` is the fastest way that there is (`direct`), `general` the way that it falls back to. `guard` is an element
    without which the rule holds.
    """

    judge: Judge
    general: Judge
    source: str
    direct: bool
    guard: str


def compile_rule(tree: Tree, kind: str, model: Model, scope: MakeScope, name: str) -> Rule:
    """Compile an invariant for elements of a type. Raises Unsupported if it uses what this FHIRPath does not have.

    `scope` makes the scope of an evaluation from the value and from whatever the validator passes beside it. `name` is
    what tracebacks show.
    """
    general = General(tree)
    slow = _judge(general, kind, scope)
    name_of_guard = guard(tree, model.kind(kind))
    try:
        direct = Direct(tree, kind, model)
        source = (_SCOPED if direct.scoped else _PLAIN).format(direct.text)
        names = {**direct.names, "FAULTS": FAULTS, "slow": slow, "scope": scope}
        generated.run(source, name, names)
    except (Unsupported, SyntaxError, Undecided):
        return Rule(slow, slow, general.text + "\n", False, name_of_guard)
    return Rule(names["rule"], slow, source, True, name_of_guard)


def direct_text(rule: Rule, tree: Tree, kind: str, model: Model, names: Names) -> tuple[str, bool]:
    """An expression under which a compiled rule is certainly kept, and whether it needs a scope `s`; empty if there is
    none. If the rule is `direct`, it is kept only if the expression is true.

    The names of `reading.NAMES` and `ONE` are used.
    """
    direct = Direct(tree, kind, model, names, partly=not rule.direct)
    if direct.text and not rule.direct:
        try:
            compile(direct.text, "<part of a rule>", "eval")
        except SyntaxError:
            return "", False
    return direct.text, direct.scoped


def _judge(general: General, kind: str, make: MakeScope) -> Judge:
    loaded: list[Evaluate] = []

    def judge(value: Any, validation: Any) -> bool:
        if not loaded:
            loaded.append(general.load())
        scope = make(value, validation)
        item = Item(value, scope.kind_of(value, kind), {} if value is None else None)
        try:
            return holds(loaded[0]([item], scope))
        except Malformed:
            return True  # reported as what it is
        except PathError:
            return False  # as the official validator has it
        except Undecided as reason:
            return scope.undecided(str(reason))

    return judge


def holds(items: list[Any]) -> bool:
    """The verdict of an invariant: nothing is no; what is no boolean counts as yes."""
    if len(items) != 1:
        return bool(items)
    value = plain(items[0])
    return value if isinstance(value, bool) else value != 0
