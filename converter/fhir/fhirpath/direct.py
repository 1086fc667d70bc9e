"""The fast way: what most invariants are made of, compiled to Python that reads the JSON itself.

Types are known from the element that the rule stands on, so `category.coding.code.exists()` becomes two loops and a
look-up. Nothing is wrapped, and lists are only built where equality asks for them. There is no three-valued logic at
run time either: a condition is compiled into the code that tells whether it is *true*, or whether it is *false*.

What this compiler does not know raises Unsupported, and the rule is compiled by `general`. Data that it is not made
for (extensions in place of values, wrong JSON types) raises one of FAULTS when the rule runs; `general` then decides.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from converter.fhir.fhirpath.computing import constant
from converter.fhir.fhirpath.general import Tree, Unsupported, type_name
from converter.fhir.fhirpath.model import Child, Model
from converter.fhir.fhirpath.patterns import searcher
from converter.fhir.fhirpath.reading import NAMES
from converter.fhir.fhirpath.values import literal

_TEXTS = frozenset({"canonical", "code", "id", "markdown", "oid", "string", "uri", "url", "uuid"})
_UNKNOWN = ("", "Resource")  # any type, or any type of resource
_NUMBERS = frozenset({"decimal", "integer", "positiveInt", "unsignedInt"})
_ORDERS = ("<", "<=", ">", ">=")
_TESTS = {
    "startsWith": "{0}.startswith({1})",
    "endsWith": "{0}.endswith({1})",
    "contains": "{1} in {0}",
    "matches": "{1}({0})",
}


@dataclass(frozen=True, slots=True)
class Path:
    """A collection: loops and conditions of a comprehension (`clauses`), and the item that they lead to.

    `kind` is the type of the items ("" unknown); `there` the condition under which the item exists; `single` whether
    there is at most one. For a choice of types (`choice`), `value` is the object that holds it.
    """

    value: str
    kind: str
    clauses: tuple[str, ...] = ()
    there: str = ""
    single: bool = True
    choice: tuple[Child, ...] = ()

    @property
    def looping(self) -> bool:
        """Whether it needs a comprehension."""
        return any(c.startswith("for ") for c in self.clauses)

    def rest(self) -> str:
        """Everything of the comprehension but the item."""
        return " ".join((*self.clauses, f"if {self.there}") if self.there else self.clauses)

    def listed(self, value: str = "") -> str:
        """The list of the items, or of something made of each."""
        value = value or self.value
        if self.looping:
            return (
                f"[{value} for _ in ONE {self.rest()}]" if self.clauses[0][:3] == "if " else f"[{value} {self.rest()}]"
            )
        return f"[{value}] if {self.met()} else []"

    def met(self) -> str:
        """Without loops: the condition under which there is an item."""
        conditions = [c[3:] for c in self.clauses] + ([self.there] if self.there else [])
        return " and ".join(conditions) if conditions else "True"

    def any_value(self, condition: str) -> str:
        """Whether an item exists that meets a condition which nothing but a value can meet."""
        return replace(self, there="").any(condition)

    def any(self, condition: str = "True") -> str:
        """Whether an item exists that meets a condition (written over `value`)."""
        if not self.looping:
            conditions = [c for c in (self.met(), condition) if c != "True"]
            return f"({' and '.join(conditions) or True})"
        if condition == "True" and len(self.clauses) == 1 and not self.there:
            return self.clauses[0].partition(" in ")[2]
        head = "for _ in ONE " if self.clauses[0][:3] == "if " else ""
        tail = f" if {condition}" if condition != "True" else ""
        return f"[1 {head}{self.rest()}{tail}]"  # faster than any(): there are few items


@dataclass(frozen=True, slots=True)
class Names:
    """How the code around an expression names what the expression uses.

    `value` is the context, `resource` the resource that it belongs to. `constant` names what is kept elsewhere, and
    `typed` the resources of a type in a Bundle, so that they need be looked up only once for several expressions.
    """

    value: str = "v"
    resource: str = "s.resource"
    constant: Callable[[Any], str] | None = None
    typed: Callable[[str, str], str] | None = None


class Direct:
    """Compiles one tree for one type of context. `text` is the expression that tells whether the rule is met."""

    def __init__(
        self, tree: Tree, kind: str, model: Model, around: Names | None = None, *, partly: bool = False
    ) -> None:
        """`partly`: what this compiler does not know in an `or` or `implies` is left out, so that the text is truthy
        only if the tree is true; it is empty if nothing is left."""
        self.model = model
        self._around = around or Names()
        self._constant = self._around.constant or self._own_constant
        self.names: dict[str, Any] = {**NAMES, "ONE": (None,)}
        self.scoped = False
        self._variables = 0
        self.home = kind.partition(".")[0]
        self.focus = Path(self._around.value, kind)
        self.text = self._part(tree) if partly else self.true(tree)

    def _variable(self) -> str:
        self._variables += 1
        return f"t{self._variables}"

    def _own_constant(self, value: Any) -> str:
        name = f"K{len(self.names)}"
        self.names[name] = value
        return name

    def _within(self, focus: Path, compile_: Any, tree: Tree) -> Any:
        """Compile a part with another focus."""
        before, self.focus = self.focus, focus
        result = compile_(tree)
        self.focus = before
        return result

    # Conditions

    def _part(self, tree: Tree, wanted: bool = True) -> str:
        if wanted and tree[0] == "op" and tree[1] in ("or", "implies"):
            parts = (self._part(tree[2], tree[1] == "or"), self._part(tree[3]))
            return " or ".join(p for p in parts if p)
        try:
            return self._condition(tree, wanted)
        except Unsupported:
            return ""

    def true(self, tree: Tree) -> str:
        """Code that is truthy exactly if the tree is true."""
        return self._condition(tree, True)

    def false(self, tree: Tree) -> str:
        """Code that is truthy exactly if the tree is false (neither true nor empty)."""
        return self._condition(tree, False)

    def _condition(self, tree: Tree, wanted: bool) -> str:
        kind = tree[0]
        if kind == "op":
            return self._operation(tree, wanted)
        if kind == "truth":
            return str(tree[1] is wanted)
        if kind == "call":
            test = _CONDITIONS.get(tree[2])
            if test is not None:
                return str(getattr(self, test)(tree, wanted))
        return self._boolean(self.path(tree), wanted)

    def _boolean(self, path: Path, wanted: bool) -> str:
        """A collection as a condition: a boolean element, or anything single that exists."""
        if not path.single or path.choice or path.kind in _UNKNOWN:
            raise Unsupported("condition")
        if path.kind == "boolean":
            return path.any_value(f"{path.value} is {wanted}")
        return path.any() if wanted else "False"

    def _operation(self, tree: Tree, wanted: bool) -> str:
        _, sign, left, right = tree
        if sign in ("and", "or", "implies", "xor"):
            return self._logic(sign, left, right, wanted)
        if sign in ("=", "!="):
            return self._equality(left, right, wanted is (sign == "="))
        if sign in _ORDERS:
            return self._order(sign, left, right, wanted)
        if sign == "in":
            return self._membership(left, right, wanted)
        if sign == "is":
            return self._is_a(left, right[1], wanted)
        raise Unsupported(sign)

    def _logic(self, sign: str, left: Tree, right: Tree, wanted: bool) -> str:
        if sign == "xor":
            return self._alike(left, right, not wanted)
        # `a implies b` is `not a or b`.
        first = self._condition(left, wanted if sign != "implies" else not wanted)
        joint = "and" if (sign == "and") is wanted else "or"
        return f"({first} {joint} {self._condition(right, wanted)})"

    def _alike(self, left: Tree, right: Tree, wanted: bool) -> str:
        """Whether two conditions have the same (or not the same) truth; never if one of them is empty."""
        if _total(left) and _total(right):
            sign = "is" if wanted else "is not"
            return f"(bool({self.true(left)}) {sign} bool({self.true(right)}))"
        pairs = ((True, True), (False, False)) if wanted else ((True, False), (False, True))
        cases = (f"{self._condition(left, a)} and {self._condition(right, b)}" for a, b in pairs)
        return f"({' or '.join(cases)})"

    def _not(self, tree: Tree, wanted: bool) -> str:
        return self._condition(tree[1], not wanted) if tree[1] else self._boolean(self.focus, not wanted)

    def _exists(self, tree: Tree, wanted: bool) -> str:
        path = self.path(tree[1])
        if len(tree) > 3:
            path = self._filtered(path, tree[3])
        return self._is(path.any(), wanted)

    def _empty(self, tree: Tree, wanted: bool) -> str:
        return self._is(self.path(tree[1]).any(), not wanted)

    def _is(self, condition: str, wanted: bool) -> str:
        return condition if wanted else f"(not {condition})"

    def _all(self, tree: Tree, wanted: bool) -> str:
        path = self._bound(self.path(tree[1]))
        broken = self._within(replace(path, clauses=(), there="", single=True), self.true, tree[3])
        return self._is(path.any(f"not {broken}"), not wanted)

    def _has_value(self, tree: Tree, wanted: bool) -> str:
        path = self.path(tree[1])
        if not path.single or path.choice or not self._primitive(path):
            raise Unsupported("hasValue()")
        return self._is(path.any_value(f"{path.value} is not None"), wanted)

    def _primitive(self, path: Path) -> bool:
        return bool(path.kind) and self.model.kind(path.kind).primitive

    def _is_call(self, tree: Tree, wanted: bool) -> str:
        return self._is_a(tree[1], type_name(tree[3]), wanted)

    def _is_a(self, left: Tree, name: str, wanted: bool) -> str:
        path = self.path(left)
        plain = name.removeprefix("FHIR.")
        if (
            not path.single
            or path.choice
            or not self.model.is_resource(plain)
            or plain in ("Resource", "DomainResource")
        ):
            raise Unsupported("is")
        if path.kind not in _UNKNOWN:
            raise Unsupported("is")
        sign = "==" if wanted else "!="
        return path.any(f"{path.value}.get('resourceType') {sign} {plain!r}")

    def _concrete(self, name: str) -> bool:
        """Whether it is the name of a type of resource that data can have."""
        return self.model.is_resource(name) and name not in ("Resource", "DomainResource")

    def _test(self, tree: Tree, wanted: bool) -> str:
        """`startsWith` and its like: one item that meets it is enough."""
        path = self.path(tree[1])
        argument = tree[3]
        if argument[0] != "text" or path.choice or path.kind not in (*_UNKNOWN, *_TEXTS):
            raise Unsupported(tree[2])
        wanted_text = self._constant(searcher(argument[1])) if tree[2] == "matches" else repr(argument[1])
        value = asked = path.value
        if not value.isidentifier():
            value = self._variable()
            asked = f"({value} := {path.value})"
        text = value if path.kind in _TEXTS else f"text({value})"
        test = f"{asked} is not None and {_TESTS[tree[2]].format(text, wanted_text)}"
        return path.any_value(test) if wanted else f"({path.any()} and not {path.any(test)})"

    def _texts(self, tree: Tree | None) -> Path:
        path = self.path(tree)
        if path.kind not in _TEXTS or path.choice:
            raise Unsupported("text")
        return path

    def _iif(self, tree: Tree, wanted: bool) -> str:
        if tree[1] is not None or len(tree) < 6:
            raise Unsupported("iif()")
        return f"({self._condition(tree[4], wanted)} if {self.true(tree[3])} else {self._condition(tree[5], wanted)})"

    def _distinct(self, tree: Tree, wanted: bool) -> str:
        return self._is(f"is_distinct({self._texts(tree[1]).listed()})", wanted)

    # Comparisons

    def _equality(self, left: Tree, right: Tree, equal: bool) -> str:
        for one, other in ((left, right), (right, left)):
            text = self._text(other)
            if text is not None:
                return self._equals_text(self.path(one), text, equal)
        if self._numeric(left) or self._numeric(right):
            return self._order("==", left, right, equal)
        if _logical(left) or _logical(right):
            return self._alike(left, right, equal)
        return self._equal_paths(self.path(left), self.path(right), equal)

    def _text(self, tree: Tree) -> str | None:
        if tree[0] == "text":
            return str(tree[1])
        return constant(tree[1]) if tree[0] == "constant" else None

    def _equals_text(self, path: Path, text: str, equal: bool) -> str:
        if path.choice or path.kind not in (*_UNKNOWN, *_TEXTS) or (path.kind in _UNKNOWN and text[:4].isdigit()):
            raise Unsupported("=")
        if path.single:
            same = path.any_value(f"{path.value} == {text!r}")
            return same if equal else path.any(f"{path.value} != {text!r}")
        items = f"({path.listed()})"
        return f"({items} == [{text!r}])" if equal else f"({items} not in {self._constant(([], [text]))})"

    def _equal_paths(self, left: Path, right: Path, equal: bool) -> str:
        kinds = (left.kind, right.kind)
        if left.choice or right.choice or not all(k in (*_UNKNOWN, *_TEXTS) for k in kinds):
            raise Unsupported("=")
        check = "resources" if all(k in _UNKNOWN for k in kinds) else "texts"
        a, b = f"a{self._variables}", f"b{self._variables}"
        self._variables += 1
        sides = f"({a} := {check}({left.listed()})) and ({b} := {check}({right.listed()}))"
        return f"bool({sides} and {a} {'==' if equal else '!='} {b})"

    def _numeric(self, tree: Tree) -> bool:
        return self._amount(tree) is not None

    def _order(self, sign: str, left: Tree, right: Tree, wanted: bool) -> str:
        if left[0] == "number" and right[0] != "number":
            flipped = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
            return self._order(flipped.get(sign, sign), right, left, wanted)
        limit = self._amount(right)
        if limit is None:
            raise Unsupported(sign)
        amount = self._amount(left)
        if amount is not None:
            return self._is(f"({amount} {sign} {limit})", wanted)
        path = self.path(left)
        if path.kind not in _NUMBERS or not path.single or path.choice:
            raise Unsupported(sign)
        condition = f"{path.value} {sign} {limit}"
        if sign == "==":  # nothing but extensions is there, and is not equal
            return path.any(condition) if wanted else path.any(f"not {condition}")
        return path.any(f"{path.value} is not None and {condition if wanted else f'not {condition}'}")

    def _amount(self, tree: Tree) -> str | None:
        """Code of a number that is always there: a literal, a count, a sum of such; None if it is none."""
        if tree[0] == "number":
            number = literal("number", tree[1])
            return repr(number) if isinstance(number, int) else self._constant(number)
        if tree[:1] + tree[2:3] == ["call", "count"]:
            return self._count(self.path(tree[1]))
        if tree[:2] == ["op", "+"]:
            left, right = self._amount(tree[2]), self._amount(tree[3])
            return f"({left} + {right})" if left and right else None
        return None

    def _count(self, path: Path) -> str:
        if not path.looping:
            return f"int(bool({path.any()}))"
        if len(path.clauses) == 1 and not path.there:
            return f"len({path.clauses[0].partition(' in ')[2]})"
        if (entries := _ENTRIES_OF_TYPE.match(path.rest())) and self.home == "Bundle":
            return f"len({self._typed(entries[2], entries[3])})"
        return f"len({path.listed('1')})"

    def _membership(self, left: Tree, right: Tree, wanted: bool) -> str:
        path = self._texts(left)
        if not path.single:
            raise Unsupported("in")
        codes = self._constant(frozenset(_alternatives(right)))
        if wanted:
            return path.any_value(f"{path.value} in {codes}")
        return path.any(f"{path.value} not in {codes}")

    # Collections

    def path(self, tree: Tree | None) -> Path:
        """The collection that a tree leads to."""
        if tree is None or tree[0] == "this":
            return self.focus
        if tree[0] == "member":
            return self._member(tree)
        if tree[0] == "constant" and tree[1] == "resource":
            self.scoped = self.scoped or self._around.resource == "s.resource"
            return Path(self._around.resource, self.home if self.model.is_resource(self.home) else "")
        if tree[0] == "index" and tree[2] == ["number", "0"]:
            return self._first(self.path(tree[1]))
        if tree[0] == "op" and tree[1] == "as":
            return self._of_type(self.path(tree[2]), tree[3][1])
        if tree[0] == "call" and tree[2] in _PATHS:
            return getattr(self, _PATHS[tree[2]])(self.path(tree[1]), *tree[3:])  # type: ignore[no-any-return]
        raise Unsupported(str(tree[2] if tree[0] == "call" else tree[0]))

    def _member(self, tree: Tree) -> Path:
        _, base, name = tree
        if base is None and name[:1].isupper():
            if not self.focus.kind or name not in self.model.kind(self.focus.kind).lineage:
                raise Unsupported(name)
            return self.focus
        return self._child(self.path(base), name)

    def _child(self, path: Path, name: str) -> Path:
        if path.choice:
            return self._child_of_choice(path, name)
        if path.kind in _UNKNOWN and name not in self.model.kind(path.kind).members:
            return self._loop(path, f"loose({_owner(path)}, {name!r})", "")
        kind = self.model.kind(path.kind)
        if kind.primitive and name == "value":
            return replace(path, there=_also(path.there, f"{path.value} is not None"))
        children = kind.members.get(name) or [c for c in kind.children if c.json == name]
        if kind.primitive or not children:
            raise Unsupported(name)
        owner = _owner(path)
        if len(children) > 1:
            names = self._constant(frozenset(n for c in children for n in (c.json, "_" + c.json)))
            there = f"not {names}.isdisjoint({owner})"
            return replace(path, value=owner, there=there, choice=tuple(children))
        return self._element(path, owner, children[0])

    def _element(self, path: Path, owner: str, child: Child) -> Path:
        name = child.json
        if child.many and child.primitive:
            return self._loop(path, f"values({owner}, {name!r})", child.kind)
        if child.many:
            return self._loop(path, f"{owner}.get({name!r}, ())", child.kind)
        there = f"{name!r} in {owner}"
        if child.primitive:
            there = f"({there} or {'_' + name!r} in {owner})"
        return replace(path, value=f"{owner}.get({name!r})", kind=child.kind, there=there, choice=())

    def _child_of_choice(self, path: Path, name: str) -> Path:
        fits = [c for c in path.choice if name in self.model.kind(c.kind).members and not c.primitive]
        shapes: dict[tuple[int, bool, bool, str], list[Child]] = {}
        for child in fits:
            inner = self.model.kind(child.kind).members[name]
            text = inner[0].kind in _TEXTS or len(fits) == 1
            shapes.setdefault((len(inner), inner[0].many, inner[0].primitive, name if text else ""), []).append(child)
        usual = [children for shape, children in shapes.items() if shape[3]]
        if len(usual) != 1:
            raise Unsupported(name)
        names = self._constant(frozenset(c.json for c in usual[0]))
        found = f"present({path.value}, {names})"
        if len(usual[0]) < len(fits):
            others = self._constant(frozenset(c.json for c in fits if c not in usual[0]))
            found = f"present({path.value}, {names}, {others})"
        owner = replace(path, there="", choice=())
        return self._child(self._loop(owner, found, usual[0][0].kind, single=path.single), name)

    def _loop(self, path: Path, items: str, kind: str, *, single: bool = False) -> Path:
        """A collection of what each item of a path leads to."""
        name = self._variable()
        # What is not there has an empty owner, so its condition need not be asked.
        return Path(name, kind, (*path.clauses, f"for {name} in {items}"), single=single)

    def _bound(self, path: Path) -> Path:
        """The same path with its item in a variable."""
        if path.choice:
            raise Unsupported("choice")
        if path.value.isidentifier() and not path.there:
            return path
        name = self._variable()
        clauses = (*path.clauses, *([f"if {path.there}"] if path.there else []), f"for {name} in [{path.value}]")
        return replace(path, value=name, clauses=clauses, there="")

    def _filtered(self, path: Path, criteria: Tree) -> Path:
        path = self._bound(path)
        condition = self._within(replace(path, clauses=(), there="", single=True), self.true, criteria)
        return replace(path, clauses=(*path.clauses, f"if {condition}"))

    def _select(self, path: Path, projection: Tree) -> Path:
        path = self._bound(path)
        inner: Path = self._within(replace(path, clauses=(), there="", single=True), self.path, projection)
        return replace(inner, clauses=(*path.clauses, *inner.clauses), single=path.single and inner.single)

    def _first(self, path: Path) -> Path:
        if path.choice:
            raise Unsupported("first()")
        items = path.clauses[0].partition(" in ")[2] if len(path.clauses) == 1 and path.looping else ""
        name = self._variable()
        whole = items if items and not path.there and path.value.isidentifier() else f"({path.listed()})"
        return Path(name, path.kind, (f"for {name} in {whole}[:1]",))

    def _extension(self, path: Path, url: Tree) -> Path:
        if url[0] != "text" or self._primitive(path):
            raise Unsupported("extension()")
        found = self._child(path, "extension")
        return replace(found, clauses=(*found.clauses, f"if {found.value}.get('url') == {url[1]!r}"))

    def _resolve(self, path: Path) -> Path:
        self.scoped = True
        if path.choice:
            names = self._constant(frozenset(c.json for c in path.choice if c.kind in ("Reference", *_TEXTS)))
            path = self._loop(replace(path, there="", choice=()), f"present({path.value}, {names})", "")
        elif path.kind not in (*_UNKNOWN, "Reference", *_TEXTS):
            raise Unsupported("resolve()")
        return self._loop(path, f"found({path.value}, s)", "", single=path.single)

    def _of_type(self, path: Path, name: Any) -> Path:
        plain = (name if isinstance(name, str) else type_name(name)).removeprefix("FHIR.")
        if path.choice:
            fits = [c for c in path.choice if c.kind == plain]
            if len(fits) != 1:
                raise Unsupported("ofType()")
            return self._element(path, path.value, fits[0])
        if path.kind not in _UNKNOWN or not self._concrete(plain):
            raise Unsupported("ofType()")
        kind = plain if self.model.kind(plain).known else ""
        bundle = _BUNDLE.match(f"{path.clauses[-1]} {path.value}") if len(path.clauses) == 1 else None
        if bundle and self.home == "Bundle":
            return self._loop(replace(path, clauses=()), self._typed(bundle[1], plain), kind)
        path = self._bound(path)
        return replace(path, clauses=(*path.clauses, f"if {path.value}.get('resourceType') == {plain!r}"), kind=kind)

    def _typed(self, owner: str, name: str) -> str:
        if self._around.typed and owner == self._around.value:
            return self._around.typed(owner, name)
        self.scoped = True
        return f"s.typed({owner}, {name!r})"

    def _trace(self, path: Path, *_: Tree) -> Path:
        return path


_CONDITIONS = {
    "not": "_not",
    "exists": "_exists",
    "empty": "_empty",
    "all": "_all",
    "hasValue": "_has_value",
    "is": "_is_call",
    "iif": "_iif",
    "isDistinct": "_distinct",
    **dict.fromkeys(_TESTS, "_test"),
}
_PATHS = {
    "where": "_filtered",
    "select": "_select",
    "first": "_first",
    "extension": "_extension",
    "resolve": "_resolve",
    "ofType": "_of_type",
    "as": "_of_type",
    "trace": "_trace",
}
# The resources of a Bundle: the validator has an index of them by type.
_BUNDLE = re.compile(r"for (?:t\d+) in (\w+|s\.resource)\.get\('entry', \(\)\) t\d+\.get\('resource'\)\Z")
_ENTRIES_OF_TYPE = re.compile(
    r"for (t\d+) in (\w+)\.get\('entry', \(\)\) "
    r"if \('resource' in \1 and \1\.get\('resource'\)\.get\('resourceType'\) == '(\w+)'\)\Z"
)


def _owner(path: Path) -> str:
    """The object whose elements are asked for; an empty one if it is not there."""
    return f"({path.value} or NONE)" if path.there else path.value


def _also(there: str, condition: str) -> str:
    return f"{there} and {condition}" if there else condition


def _logical(tree: Tree) -> bool:
    """Whether a tree is a boolean by its form."""
    if tree[0] == "op":
        return tree[1] in ("and", "or", "xor", "implies", "=", "!=", "in", "is", *_ORDERS)
    return tree[0] == "truth" or (tree[0] == "call" and tree[2] in _CONDITIONS and tree[2] != "iif")


def _total(tree: Tree) -> bool:
    """Whether a condition is always true or false, never empty."""
    if tree[0] == "op":
        return tree[1] in ("and", "or", "xor", "implies") and _total(tree[2]) and _total(tree[3])
    if tree[:1] + tree[2:3] == ["call", "not"]:
        return tree[1] is not None and _total(tree[1])
    return tree[0] == "truth" or (tree[0] == "call" and tree[2] in ("exists", "empty", "all", "hasValue", "isDistinct"))


def _alternatives(tree: Tree) -> Iterable[str]:
    """The texts of `'a' | 'b'`."""
    if tree[0] == "text":
        return [tree[1]]
    if tree[:2] == ["op", "|"]:
        return [*_alternatives(tree[2]), *_alternatives(tree[3])]
    raise Unsupported("in")
