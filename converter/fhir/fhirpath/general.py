"""The whole language: an expression tree becomes a Python expression over lists of typed items.

entry.where(resource.is(Patient)).count() = 1

eq(F_count(F_where(member(start(this, 'entry', s), …), s, lambda this, number: …), s), K0)
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from converter.fhir.fhirpath import functions, operators, patterns
from converter.fhir.fhirpath.computing import constant
from converter.fhir.fhirpath.functions import FUNCTIONS
from converter.fhir.fhirpath.scope import Scope
from converter.fhir.fhirpath.values import Items, PathError, Undecided, literal

Tree = list[Any]
Evaluate = Callable[[Items, Scope], Items]
# Their results have no order, so what depends on one has no meaning.
_UNORDERED = ("children", "descendants")
_ORDERING = ("first", "last", "tail", "skip", "take")


class Unsupported(Exception):  # noqa: N818 - the tree is fine, this compiler does not know all of it
    """The expression uses something that does not exist here. `args[0]` names it."""


class General:
    """Compiles one tree."""

    def __init__(self, tree: Tree, *, strict: bool = False) -> None:
        self.strict = strict
        self.names: dict[str, Any] = {
            "start": functions.start,
            "member": functions.member,
            "declared": functions.declared,
            "index": functions.index,
            "is_a": functions.is_,
            "as_a": functions.as_,
            "signed": operators.signed,
            "context": _context,
        }
        self.text = f"lambda this, s, number=0, total=[]: {self.expression(tree)}"

    def load(self) -> Evaluate:
        """The function of the expression."""
        return eval(self.text, self.names)  # type: ignore[no-any-return]  # noqa: S307 - our own text, made from a tree

    def expression(self, tree: Tree) -> str:
        """The Python expression of a tree; it gives a list."""
        return str(getattr(self, "_" + _NAMES[tree[0]])(*tree[1:]))

    def _constant(self, value: Any) -> str:
        name = f"K{len(self.names)}"
        self.names[name] = value
        return name

    def _function(self, function: Callable[..., Any], name: str) -> str:
        self.names[name] = function
        return name

    def _member(self, base: Tree | None, name: str) -> str:
        if base is None:
            return f"start(this, {name!r}, s)"
        if self.strict and base[:2] == ["op", "as"]:
            return f"declared({self.expression(base)}, {base[3][1]!r}, {name!r}, s)"
        return f"member({self.expression(base)}, {name!r}, s)"

    def _this(self) -> str:
        return "this"

    def _position(self) -> str:
        return "[number]"

    def _total(self) -> str:
        return "total"

    def _empty(self) -> str:
        return "[]"

    def _text(self, text: str) -> str:
        return self._constant([text])

    def _truth(self, value: bool) -> str:
        return self._constant([value])

    def _number(self, text: str) -> str:
        return self._constant([literal("number", text)])

    def _time(self, text: str) -> str:
        return self._constant([literal("time", text)])

    def _quantity(self, number: str, unit: str) -> str:
        return self._constant([literal("quantity", number, unit)])

    def _sign(self, sign: str, tree: Tree) -> str:
        return f"signed({sign!r}, {self.expression(tree)})"

    def _index(self, base: Tree, at: Tree) -> str:
        return f"index({self.expression(base)}, {self.expression(at)})"

    def _external(self, name: str) -> str:
        if name in ("resource", "rootResource", "context"):
            return f"context({name!r}, s)"
        value = constant(name)
        if value is None:
            raise Unsupported(f"%{name}")
        return self._constant([value])

    def _op(self, sign: str, left: Tree, right: Tree) -> str:
        first = self.expression(left)
        if sign in ("is", "as"):
            return f"{sign}_a({first}, s, {right[1]!r})"
        if sign in operators.LOGIC:
            name = self._function(operators.LOGIC[sign], f"O_{sign}")
            return f"{name}({first}, lambda: {self.expression(right)})"
        found = operators.OPERATORS.get(sign)
        if found is None:
            raise Unsupported(sign)
        return f"{self._function(found, 'O_' + found.__name__)}({first}, {self.expression(right)})"

    def _call(self, base: Tree | None, name: str, *arguments: Tree) -> str:
        known = FUNCTIONS.get(name)
        if known is None:
            raise Unsupported(f"{name}()")
        function, kinds = known
        if self.strict and name in _ORDERING and base and base[0] == "call" and base[2] in _UNORDERED:
            raise PathError(f"{name}() of a collection without order")
        least, most = len(kinds.partition("?")[0]), len(kinds.replace("?", ""))
        if not least <= len(arguments) <= (99 if kinds == "?s" else most):
            raise Unsupported(f"{name}() with {len(arguments)} arguments")
        given = [
            self._argument(k, a)
            for k, a in zip(kinds.replace("?", "").ljust(len(arguments), "s"), arguments, strict=False)
        ]
        if name in _PATTERNS and arguments[0][0] == "text":
            _prepare(_PATTERNS[name](arguments[0][1]))
        focus = "this" if base is None else self.expression(base)
        return f"{self._function(function, 'F_' + name)}({', '.join((focus, 's', *given))})"

    def _argument(self, kind: str, tree: Tree) -> str:
        if kind == "t":
            return repr(type_name(tree))
        if kind == "v":
            return self.expression(tree)
        if kind == "a":
            return f"lambda this, number, total: {self.expression(tree)}"
        if kind == "s":
            downwards = tree[0] == "sign" and tree[1] == "-"
            return f"(lambda this, number: {self.expression(tree[2] if downwards else tree)}, {downwards})"
        if kind == "l":
            # `$index` of an iif is the one of the expression around it.
            return f"lambda this, _, number=number: {self.expression(tree)}"
        return f"lambda this, number: {self.expression(tree)}"


_PATTERNS: dict[str, Callable[[str], str]] = {"matches": str, "matchesFull": patterns.whole}


def _prepare(pattern: str) -> None:
    """Compile a pattern that stands in the rule now. One that cannot be decided says so when the rule runs."""
    with suppress(Undecided):
        patterns.searcher(pattern)


_NAMES = {
    "member": "member",
    "call": "call",
    "index": "index",
    "op": "op",
    "sign": "sign",
    "this": "this",
    "$index": "position",
    "$total": "total",
    "empty": "empty",
    "text": "text",
    "number": "number",
    "truth": "truth",
    "time": "time",
    "quantity": "quantity",
    "constant": "external",
}


def type_name(tree: Tree) -> str:
    """The name of a type that stands as an argument: `Patient`, `FHIR.Patient`."""
    if tree[0] != "member":
        raise Unsupported("a type that is not a name")
    return tree[2] if tree[1] is None else f"{type_name(tree[1])}.{tree[2]}"


def _context(name: str, scope: Scope) -> Items:
    value = scope.root if name == "rootResource" else scope.resource
    return [] if value is None else [scope.item(value)]
