"""From an element table to the short way: functions that say yes to what is certainly all right, and nothing else.

`ok_…(r, x)` is true only if the function of the same element in compiler.py would find nothing in object `r` and count
nothing as not checked. It needs no pointers and names no faults: where it says no, the exact function is run and says
why. So it may leave out whatever is rare (ids of elements, contained resources, `_name` twins, choices of many types):
every property that it looked at is taken off a count, and an object with properties left over is not certain.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from converter.fhir.compiler import Functions, extends
from converter.fhir.elements import ABSENT, RESOURCES, Node, Type, covers
from converter.fhir.rules import (
    binding,
    choices,
    extensions,
    invariants,
    narrative,
    primitives,
    references,
    resources,
    slicing,
    values,
)

if TYPE_CHECKING:
    from converter.fhir.profiles import Pack

Answer = Callable[[Any, Any], bool]
NAMES: dict[str, Any] = {
    "holds": values.holds,
    "leads": references.leads,
    "leads_only": references.leads_only,
    "clean_text": narrative.clean_text,
    "in_range": values.in_range,
    "right_advice": binding.right_advice,
    "right_code": binding.right_code,
    "right_coding": binding.right_coding,
    "right_concept": binding.right_concept,
    "right_extension": extensions.right_extension,
    "right_primitive": primitives.right_primitive,
    "right_system": binding.right_system,
    "waits": resources.waits,
    **primitives.FAST_NAMES,
}
TEXTS = ("code", "string", "uri", "url", "canonical", "oid", "id")
NO = "return False"


class Quick(Functions):
    """Writes and loads the short way of one profile."""

    parameters = "r, x"
    prefix = "ok"
    title = "short way of profile"

    def __init__(self, pack: Pack, key: str) -> None:
        super().__init__(pack, key, NAMES)
        self.names["URIS"] = pack.uris

    def _other(self, key: str) -> Answer:
        return self.pack.quick(key)

    def _write(self, node: Node) -> None:
        source = self.source
        resource = self.resource and node is self.root
        if self._checks(node) is None:
            source(NO)
            return
        self._no("r.__class__ is not dict or not r")
        source("n = len(r)" + (" - 1" if resource else ""))
        # Rules bear any JSON, so they can come first: then the last property of an object ends the search for more.
        if self._coding(node):
            self._no("not right_system(r, x)")
        if node is self.root:
            self._rules(node, "r")
        usual = self._usual(node)
        for number, child in enumerate(usual):
            later = usual[number + 1 :]
            self._child(child, node, last=bool(later) and not any(_must(other) for other in later))
        source("return not n")

    def _no(self, condition: str) -> None:
        with self.source.block(f"if {condition}:"):
            self.source(NO)

    def _checks(self, node: Node, code: str = "") -> list[tuple[invariants.Check, str]] | None:
        """The functions of a node's rules; None if one of them cannot be checked and must be counted."""
        found = self.checks(node, code)
        if any(check is None for _, check, _ in found):
            return None
        return [(check, when) for _, check, when in found if check is not None and check is not invariants.always]

    def _rules(self, node: Node, value: str, code: str = "") -> None:
        usual = {name for child in self._usual(node) for name in child.names()}
        for check, when in self._checks(node, code) or ():
            if not when:
                self._no(f"not {self.source.constant(check, 'RULE')}({value}, x)")
            elif when in usual or not node.children:
                self._no(f"{when!r} in {value} and not {self.source.constant(check, 'RULE')}({value}, x)")
            # Else the rule speaks of an element that is left to the exact functions, and so is the rule.

    def _usual(self, node: Node) -> list[Node]:
        """The elements of an element that the short way knows."""
        return [child for child in node.children.values() if not self._rare(child, node)]

    def _rare(self, node: Node, parent: Node) -> bool:
        kind = node.types[0].code if node.types else ""
        if node.max == 0 or node.content or self._checks(node) is None:
            return True
        if node.name == "id":
            return not (self.resource and parent is self.root)
        if kind in RESOURCES:
            return parent.id != "Bundle.entry"
        if node.choice:
            return len(node.types) > choices.FEW and not choices.slices_by_type(node)
        return bool(node.slicing and node.slices) and self._matcher(node) is None

    def _child(self, node: Node, parent: Node, *, last: bool) -> None:
        """Code for one element; `last` says that none of those behind it must be there."""
        if node.choice:
            self._choice(node)
            return
        source, name = self.source, node.name
        with source.block(f"if {name!r} in r:"):
            source("n -= 1")
            source(f"v = r[{name!r}]")
            if node.many:
                self._no("v.__class__ is not list or not v")
                self._items(node, parent)
            else:
                self.value(node)
            if last:
                with source.block("if not n:"):
                    source("return True")
        if _must(node):
            with source.block("else:"):
                source(NO)

    def _choice(self, node: Node) -> None:
        source, by_slice, names = self.source, choices.slices_by_type(node), node.names()
        source("m = 0")
        for name, kind in names.items():
            part = by_slice.get(kind.code)
            with source.block(f"if {name!r} in r:"):
                source("m += 1")
                source(f"v = r[{name!r}]")
                if part is None and choices.closed(node):
                    source(NO)
                    continue
                target = part or (node if len(names) == 1 else choices.bare(node))
                self.value(target, part.types[0] if part else kind)
            if part is not None and choices.wanted(node, part):
                with source.block("else:"):
                    source(NO)
        self._no("m != 1" if node.min else "m > 1")
        source("n -= m")

    def _items(self, node: Node, parent: Node) -> None:
        source, matcher = self.source, self._matcher(node)
        if node.min > 1:
            self._no(f"len(v) < {node.min}")
        if node.max is not None:
            self._no(f"len(v) > {node.max}")
        parts = list(node.slices.values()) if matcher else []
        counted = [i for i, part in enumerate(parts) if part.min or part.max is not None]
        if counted:
            source(" = ".join(f"n{i}" for i in counted) + " = 0")
        with source.block("for v in v:"):
            if matcher:
                self._sliced(node, parent, matcher, [f"n{i}" if i in counted else "" for i in range(len(parts))])
            else:
                self._item(node, parent)
        for i in counted:
            least, most = parts[i].min, parts[i].max
            if most is None:
                self._no(f"n{i} < {least}")
            else:
                self._no(f"n{i} != {most}" if least == most else f"not {least} <= n{i} <= {most}")

    def _sliced(self, node: Node, parent: Node, matcher: slicing.Matcher, counters: list[str]) -> None:
        source = self.source
        if matcher.property:
            self._no("v.__class__ is not dict")
            source(f"k = v.get({matcher.property!r})")
            source(f"k = {source.constant(matcher.table, 'SLICES')}.get(k, -1) if k.__class__ is str else -1")
        else:
            source(f"k = {source.constant(matcher, 'MATCHER')}.index(v, x)")
        for number, part in enumerate(node.slices.values()):
            with source.block(f"{'el' if number else ''}if k == {number}:"):
                if part.max == 0:
                    source(NO)
                    continue
                if counters[number]:
                    source(f"{counters[number]} += 1")
                if extends(node):
                    self._slice_of_extensions(part, node, parent)
                else:
                    self._item(part, parent)
                    if not covers(part, node) and not self._profile_covers(part, node):
                        self._item(node, parent)
        with source.block("else:"):
            if (node.slicing or {}).get("rules") == "closed":
                source(NO)
            else:
                self._item(node, parent)

    def _slice_of_extensions(self, part: Node, node: Node, parent: Node) -> None:
        known = any(p for t in part.types for p in t.profiles)
        if known or not part.children:
            self._item(node, parent)
        if part.children:
            self._no(f"not {self.function(part)}(v, x)")

    def _item(self, node: Node, parent: Node) -> None:
        if extends(node):
            place = extensions.Place(self._places(parent), self.site(node), node.name == "modifierExtension")
            self._no(f"not right_extension(v, x, {self.source.constant(place, 'PLACE')})")
        else:
            self.value(node)

    def value(self, node: Node, kind: Type | None = None) -> None:
        """Look at `v` as the element `node`, as one of its types if it is a choice."""
        kind = kind or (node.types[0] if node.types else Type(""))
        if self._checks(node) is None or node.content:
            self.source(NO)
        elif kind.code == "xhtml":
            self._no("not clean_text(v)")
        elif kind.primitive:
            self._primitive(node, kind)
        elif kind.code in RESOURCES:
            self._no("not waits(v, x)")
        elif self.pack.is_resource(kind.code):
            keys = tuple(self.pack.key(p) for p in kind.profiles if self.pack.facts(p))
            self._no(f"not waits(v, x, {kind.code!r}, {keys!r})")
        elif kind.code == "Reference":
            target = self.source.constant(references.target_of(kind, self.site(node), self.pack), "TARGET")
            structure = self._structure(node, kind)
            self._no(f"not leads_only(v, x, {target}) and not (leads(v, x, {target}) and {structure})")
            self._profiles(kind)
        else:
            structure = self._structure(node, kind)
            if structure != "True":
                self._no(f"not {structure}")
            self._profiles(kind)
        self._extras(node, kind)

    def _structure(self, node: Node, kind: Type) -> str:
        if node.children:
            return f"{self.function(node)}(v, x)"
        if any(self.pack.facts(p) for p in kind.profiles):
            return "True"
        return f"{self._type(kind.code)}(v, x)"

    def _profiles(self, kind: Type) -> None:
        for canonical in kind.profiles:
            if self.pack.facts(canonical):
                self._no(f"not {self._lazy(self.pack.key(canonical))}(v, x)")

    def _primitive(self, node: Node, kind: Type) -> None:
        if isinstance(node.fixed, str):
            self._no(f"v != {node.fixed!r}")
        elif isinstance(node.pattern, str):
            self._no(f"v != {node.pattern!r}")
        elif node.binding and kind.code in TEXTS:
            codes = self.pack.codes(node.binding)
            flat, bound = self.source.constant(codes.flat, "CODES"), self.source.constant((codes, kind.code), "BOUND")
            self._no(f"(v.__class__ is not str or v not in {flat}) and not right_code(v, {bound})")
        else:
            fast = primitives.FAST.get(kind.code, "False")
            if kind.code in ("uri", "canonical"):
                match = f"{kind.code}_match"
                fast = f"v.__class__ is str and (v in URIS or {match}(v))"
            self._no(f"not ({fast}) and not right_primitive(v, {kind.code!r})")
        if node.length is not None:
            self._no(f"v.__class__ is not str or len(v) > {node.length}")

    def _extras(self, node: Node, kind: Type) -> None:
        scalar = isinstance(node.fixed, str) or isinstance(node.pattern, str)
        if not (kind.primitive and scalar):
            if node.fixed is not ABSENT:
                self._no(f"v != {self.source.constant(node.fixed, 'FIXED_VALUE')}")
            if node.pattern is not ABSENT:
                self._no(f"not holds(v, {self.source.constant(node.pattern, 'PATTERN_VALUE')})")
        if node.binding and kind.code in ("Coding", "CodeableConcept", "Quantity"):
            check = "right_concept" if kind.code == "CodeableConcept" else "right_coding"
            self._no(f"not {check}(v, x, {self.source.constant(self.pack.codes(node.binding), 'VALUESET')})")
        if values.limited(node.least, node.most):
            self._no(f"not in_range(v, {self.source.constant((node.least, node.most), 'RANGE')})")
        if node.advice and kind.code in binding.CODED:
            strength, key = node.advice
            advice = (self.pack.codes(key), strength, kind.primitive)
            self._no(f"not right_advice(v, {self.source.constant(advice, 'ADVICE')})")
        self._rules(node, "v", kind.code)


def _must(node: Node) -> bool:
    return bool(node.min) or any(part.min for part in node.slices.values())
