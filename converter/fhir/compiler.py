"""From an element table to Python source: one function for each element that has elements of its own.

A function gets the JSON object `r`, its JSON pointer `p` and the Run `x`. What is valid runs through comparisons only;
everything that builds a finding is a call into `rules/`. Optional elements cost one dictionary look-up each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from converter.fhir.elements import ABSENT, RESOURCES, Node, Site, Type, covers
from converter.fhir.rules import (
    binding,
    cardinality,
    choices,
    extensions,
    invariants,
    narrative,
    primitives,
    references,
    resources,
    slicing,
    structure,
    values,
)
from converter.fhir.run import UNCHECKED_RULE, UNCHECKED_SLICE
from converter.fhir.source import Source
from converter.issues import Severity

if TYPE_CHECKING:
    from converter.fhir.profiles import Pack

NAMES: dict[str, Any] = {
    "BROKEN": invariants.BROKEN,
    "EMPTY": structure.EMPTY,
    "FIXED": values.FIXED,
    "FORMAT": primitives.FORMAT,
    "PATTERN": values.PATTERN,
    "SEVERAL": choices.SEVERAL,
    "SLICE_CLOSED": slicing.SLICE_CLOSED,
    "SLICE_MISSING": slicing.SLICE_MISSING,
    "SLICE_ORDER": slicing.SLICE_ORDER,
    "SLICE_TOO_MANY": slicing.SLICE_TOO_MANY,
    "TOO_MANY": cardinality.TOO_MANY,
    "UNCHECKED_RULE": UNCHECKED_RULE,
    "UNCHECKED_SLICE": UNCHECKED_SLICE,
    "WARNING": Severity.WARNING,
    "check_advice": binding.check_advice,
    "check_range": values.check_range,
    "check_code": binding.check_code,
    "check_coding": binding.check_coding,
    "check_concept": binding.check_concept,
    "check_extension": extensions.check_extension,
    "check_narrative": narrative.check_narrative,
    "check_system": binding.check_system,
    "check_reference": references.check_reference,
    "count_choices": choices.count_choices,
    "holds": values.holds,
    "judge": primitives.judge,
    "missing": cardinality.missing,
    "nested": resources.nested,
    "no_list": structure.no_list,
    "no_object": structure.no_object,
    "prohibited": cardinality.prohibited,
    "unmet": invariants.unmet,
    "strange": structure.strange,
    "wrong": values.wrong,
    **primitives.FAST_NAMES,
}
Function = Callable[[Any, str, Any], Any]
Checked = tuple[dict[str, Any], invariants.Check, str]


class Functions:
    """The functions of one profile, one for each element that has elements of its own, while they are written.

    `functions` maps element ids to names in `names`. Elements of other profiles are met when code first calls them.
    """

    parameters = ""  # of a generated function
    prefix = ""  # of its name
    title = ""  # of the source in tracebacks

    def __init__(self, pack: Pack, key: str, names: dict[str, Any]) -> None:
        self.pack = pack
        self._speak_for(key)
        self.names = dict(names)
        self.source = Source(self.names)
        self.functions: dict[str, str] = {}
        self._waiting: list[Node] = []
        self._lazies: dict[str, str] = {}
        self._checked: dict[tuple[int, str], tuple[Node, list[Checked] | None]] = {}

    def _speak_for(self, key: str) -> None:
        """What is written is about elements of this profile."""
        facts = self.pack.profile_facts(key)
        self.key = key
        self.label = f"{facts['name']}|{key.rpartition('|')[2]}"
        self.type: str = facts["type"]
        self.resource: bool = facts["kind"] == "resource"
        self.root = self.pack.tree(key)

    def compile(self) -> str:
        """Write everything that the root needs and load it; returns the name of the root's function."""
        assert self.root is not None
        name = self.function(self.root)
        self._finish()
        return name

    def _finish(self) -> None:
        source = self.source
        while self._waiting:
            node = self._waiting.pop(0)
            source("")
            with source.block(f"def {self.functions[node.id]}({self.parameters}):"):
                self._write(node)
        source.load(f"<{self.title} {self.label}>")

    def _write(self, node: Node) -> None:
        raise NotImplementedError

    def _other(self, key: str) -> Callable[..., Any]:
        """The root function of another profile."""
        raise NotImplementedError

    def function(self, node: Node) -> str:
        """The name of an element's function; it is written if it was not yet."""
        name = self.functions.get(node.id)
        if name is None:
            name = f"{self.prefix}_{_word(node.id)}_{len(self.functions)}"
            self.functions[node.id] = name
            self._waiting.append(node)
        return name

    def site(self, node: Node) -> Site:
        """Who speaks when a check of this element fails."""
        return Site(self.label, node.id)

    def checks(self, node: Node, code: str = "") -> list[tuple[dict[str, Any], invariants.Check | None, str]]:
        """The rules of an element (as one of its types), their functions, and the elements that they speak of."""
        code = code or (node.types[0].code if node.types else "")
        numbers = [*node.rules, *(n for n in self._rules_of_type(node, code) if n not in node.rules)]
        kind = self.kind(node, code) if numbers else ""
        rules = [self.pack.rules[number] for number in numbers]
        return [(rule, *invariants.check_of(rule, kind, self.pack)) for rule in rules]

    def kind(self, node: Node, code: str = "") -> str:
        """What an element is to a rule: its type, or the path of an element that has elements of its own."""
        code = code or (node.types[0].code if node.types else "")
        return self.type if node is self.root else self.pack.paths.at(self.type, node.id, code)

    def _rules_of_type(self, node: Node, code: str) -> tuple[int, ...]:
        """The rules of the type itself, which snapshots do not repeat where an element has elements of its own."""
        if node is self.root or not node.children or any(self.pack.facts(p) for t in node.types for p in t.profiles):
            return ()
        root = self.pack.tree(self.pack.base(code))
        return root.rules if root and not self.pack.is_resource(code) else ()

    def certain_checks(self, node: Node, code: str = "") -> list[Checked] | None:
        """The rules of a node with their functions; None if one of them cannot be checked and must be counted."""
        known = self._checked.get((id(node), code))
        if known is None:  # asked ten times of a node, which is held so that no other gets its id
            known = self._checked[id(node), code] = node, self._certain(self.checks(node, code))
        return known[1]

    @staticmethod
    def _certain(found: list[tuple[dict[str, Any], invariants.Check | None, str]]) -> list[Checked] | None:
        if any(check is None for _, check, _ in found):
            return None
        return [(rule, check, when) for rule, check, when in found if check and check is not invariants.always]

    def usual(self, node: Node) -> list[Node]:
        """The elements of an element that the short way knows."""
        return [child for child in node.children.values() if not self.rare(child, node)]

    def rare(self, node: Node, parent: Node) -> bool:
        """Whether an element is left to the exact functions."""
        kind = node.types[0].code if node.types else ""
        if node.max == 0 or node.content or self.certain_checks(node) is None:
            return True
        if node.name == "id":
            return not (self.resource and parent is self.root)
        if kind in RESOURCES:
            return parent.id != "Bundle.entry"
        if node.choice:
            return len(node.types) > choices.USUAL and not choices.slices_by_type(node)
        sliced = bool(node.slicing and node.slices)
        return sliced and (slicing.in_order(node) or self._matcher(node) is None)

    def left_out(self, node: Node, when: str) -> bool:
        """Whether a rule speaks of an element that the short way leaves to the exact functions, and so the rule too."""
        return bool(when and node.children) and not any(when in child.names() for child in self.usual(node))

    def _matcher(self, node: Node) -> slicing.Matcher | None:
        return self.pack.matcher(self.key, node) if node.slicing and node.slices else None

    def _profile_covers(self, part: Node, node: Node) -> bool:
        """Whether a slice without elements of its own is judged by a profile of its type, and the list asks no more."""
        kind = part.types[0] if part.types else None
        return bool(kind and kind.profiles and not node.children and not part.children) and set(node.rules) <= set(
            part.rules
        )

    def _places(self, parent: Node) -> frozenset[str]:
        """The names under which contexts know the element that carries an extension."""
        if parent is self.root:
            above = ["Resource", "DomainResource"] if self.resource else ["Element"]
            return frozenset({self.type, *above})
        path = ".".join(part.partition(":")[0] for part in parent.id.split("."))
        return frozenset({path, "Element", *(t.code for t in parent.types)})

    def _type(self, code: str) -> str:
        return self._lazy(self.pack.base(code))

    def _lazy(self, key: str) -> str:
        """A name in the namespace that compiles the profile at its first call and stands for its function then."""
        name = self._lazies.get(key, "")
        if not name:
            tail = key.rpartition("/")[2].partition("|")[0]
            name = f"meet_{_word(tail)}_{len(self._lazies)}"
            self._lazies[key] = name
            names = self.names

            def first(*arguments: Any) -> Any:
                names[name] = self._other(key)
                return names[name](*arguments)

            names[name] = first
        return name

    def _is_coding(self, node: Node) -> bool:
        return "Coding" in ((self.type,) if node is self.root else (t.code for t in node.types))


class Compiler(Functions):
    """Writes and loads the exact functions of one profile: each finding with its place."""

    parameters = "r, p, x"
    prefix = "check"
    title = "profile"

    def __init__(self, pack: Pack, key: str) -> None:
        super().__init__(pack, key, NAMES)

    def _other(self, key: str) -> Function:
        return self.pack.part_function(key)

    def load(self, node: Node) -> Function:
        """Add an element's function to loaded code (for content references from other profiles)."""
        name = self.function(node)
        if name not in self.names:
            self._finish()
        return self.names[name]  # type: ignore[no-any-return]

    def _write(self, node: Node) -> None:
        source = self.source
        self._opening(node)
        for child in node.children.values():
            self._child(child, node)
        if self._is_coding(node):
            binding.emit_system(source, self.site(node))
        if node is self.root:
            self._rules(node, "r", "p")

    def _opening(self, node: Node) -> None:
        resource = self.resource and node is self.root
        names: set[str] = {"resourceType"} if resource else set()
        plain: set[str] = set()
        for child in node.children.values():
            for name, kind in child.names().items():
                names.add(name)
                if kind.primitive:
                    plain.add(name)
        structure.emit_opening(self.source, frozenset(names), frozenset(plain), self.site(node), resource)

    def _child(self, node: Node, parent: Node) -> None:
        if node.max == 0:
            cardinality.emit_prohibited(self.source, node, self.site(node))
        elif node.choice:
            choices.emit_choice(self, node)
        elif node.many:
            self._list(node, parent)
        else:
            self._single(node)

    def _single(self, node: Node) -> None:
        source, name = self.source, node.name
        with source.block(f"if {name!r} in r:"):
            source(f"v = r[{name!r}]")
            self.value(node, f"p + '/{name}'")
        self._only_extended(node)
        if node.min:
            cardinality.emit_missing(source, node, self.site(node))

    def _only_extended(self, node: Node) -> None:
        """Code for a primitive with extensions but no value: values and rules of the profile see nothing there."""
        source, pointer = self.source, f"p + '/_{node.name}'"
        fixed = node.fixed is not ABSENT
        if not all(t.primitive for t in node.types) or not (fixed or node.pattern is not ABSENT or node.rules):
            return
        with source.block(f"elif '_{node.name}' in r:"):
            if fixed or node.pattern is not ABSENT:
                kind = "FIXED" if fixed else "PATTERN"
                source(f"wrong(None, {pointer}, x, {source.constant(self.site(node), 'S')}, {kind})")
            self._rules(node, "None", pointer)

    def _list(self, node: Node, parent: Node) -> None:
        source, name, site = self.source, node.name, self.site(node)
        with source.block(f"if {name!r} in r:"):
            source(f"v = r[{name!r}]")
            with source.block("if v.__class__ is not list or not v:"):
                source(f"no_list(v, p + '/{name}', x, {source.constant(site, 'S')})")
            with source.block("else:"):
                cardinality.emit_count(source, node, site)
                self._items(node, parent)
        if any(s.min for s in node.slices.values()) and self._matcher(node):
            with source.block("else:"):
                slicing.emit_slices_absent(source, node, self.site)
        elif node.min:
            cardinality.emit_missing(source, node, site)

    def _items(self, node: Node, parent: Node) -> None:
        """The loop over the items of list `v`: each item `v` by its slice, then the counts."""
        source = self.source
        matcher = self._matcher(node)
        counters = []
        if node.slicing and node.slices and matcher is None:
            source(f"x.skip(UNCHECKED_SLICE, {self.label!r}, {node.id!r})")
        if matcher:
            # Slicings of other elements in the same function are over when this loop starts.
            counters = [f"n{i}" for i in range(len(node.slices))]
            source(" = ".join([*counters, *(["o"] if slicing.in_order(node) else [])]) + " = 0")
        source("i = -1")
        # The pointer of a primitive is only written where a finding needs it.
        pointer = f"f'{{p}}/{node.name}/{{i}}'"
        with source.block("for v in v:"):
            source("i += 1")
            if node.types and node.types[0].primitive:
                with source.block(f"if v is None and '_{node.name}' in r:"):
                    source("continue")
            else:
                source(f"q = {pointer}")
                pointer = "q"
            if matcher:
                self._sliced(node, parent, matcher, counters)
            else:
                self._item(node, parent, pointer)
        if matcher:
            slicing.emit_slice_counts(source, node, counters, self.site)

    def _sliced(self, node: Node, parent: Node, matcher: slicing.Matcher, counters: list[str]) -> None:
        source = self.source
        if matcher.property:
            table = source.constant(matcher.table, "SLICES")
            source(f"k = v.get({matcher.property!r}) if v.__class__ is dict else None")
            source(f"k = {table}.get(k, -1) if isinstance(k, str) else -1")
        else:
            source(f"k = {source.constant(matcher, 'MATCHER')}.index(v, x)")
        if slicing.in_order(node):
            slicing.emit_order(source, node, self.site(node))
        for number, part in enumerate(node.slices.values()):
            with source.block(f"{'el' if number else ''}if k == {number}:"):
                source(f"{counters[number]} += 1")
                if part.max == 0:
                    continue
                if extends(node):
                    self._slice_of_extensions(part, node, parent)
                else:
                    self._item(part, parent, "q")
                    if not covers(part, node) and not self._profile_covers(part, node):
                        self._item(node, parent, "q")
        with source.block("else:"):
            if (node.slicing or {}).get("rules") == "closed":
                slicing.emit_closed(source, node, self.site(node), "q")
            self._item(node, parent, "q")

    def _slice_of_extensions(self, part: Node, node: Node, parent: Node) -> None:
        """An extension is judged by its URL's definition; a slice adds what the profile writes on it."""
        known = any(p for t in part.types for p in t.profiles)
        if known or not part.children:
            self._item(node, parent, "q")
        if part.children:
            self.source(f"{self.function(part)}(v, q, x)")

    def _item(self, node: Node, parent: Node, pointer: str) -> None:
        if extends(node):
            place = extensions.Place(self._places(parent), self.site(node), node.name == "modifierExtension")
            extensions.emit_extension(self.source, place, "v", pointer)
        else:
            self.value(node, pointer)

    def value(self, node: Node, pointer: str, kind: Type | None = None) -> None:
        """Judge `v` as the element `node`, as one of its types if it is a choice."""
        source = self.source
        kind = kind or (node.types[0] if node.types else Type(""))
        if kind.code == "xhtml":
            narrative.emit_narrative(source, pointer, self.site(node))
        elif kind.primitive:
            self._primitive(node, kind, pointer)
        elif node.content:
            source(f"{self._content(node)}(v, {pointer}, x)")
        elif kind.code in RESOURCES:
            source(f"nested(v, {pointer}, x)")
        elif self.pack.is_resource(kind.code):
            keys = tuple(self.pack.key(p) for p in kind.profiles if self.pack.facts(p))
            source(f"nested(v, {pointer}, x, {kind.code!r}, {keys!r})")
        elif kind.code == "Reference":
            target = references.target_of(kind, self.site(node), self.pack)
            references.emit_reference(source, target, pointer, self._structure(node, kind, pointer))
            self._profiles(kind, pointer)
        else:
            source(self._structure(node, kind, pointer))
            self._profiles(kind, pointer)
        self._extras(node, pointer, kind)

    def _structure(self, node: Node, kind: Type, pointer: str) -> str:
        """The call that walks through a complex value: the element's own table, else its profile, else its type."""
        if node.children:
            return f"{self.function(node)}(v, {pointer}, x)"
        if any(self.pack.facts(p) for p in kind.profiles):
            return "pass"
        return f"{self._type(kind.code)}(v, {pointer}, x)"

    def _profiles(self, kind: Type, pointer: str) -> None:
        for canonical in kind.profiles:
            if self.pack.facts(canonical):
                self.source(f"{self._lazy(self.pack.key(canonical))}(v, {pointer}, x)")

    def _content(self, node: Node) -> str:
        """The function of the element that a content reference names; MedCom's snapshots name the base type's."""
        name = "check_content_" + node.content.replace(".", "_")
        if name not in self.names:
            names, target = self.names, node.content

            def first(value: Any, pointer: str, run: Any) -> Any:
                names[name] = self.pack.element_function(target)
                return names[name](value, pointer, run)

            names[name] = first
        return name

    def _primitive(self, node: Node, kind: Type, pointer: str) -> None:
        source, site = self.source, self.site(node)
        if isinstance(node.fixed, str):
            values.emit_fixed(source, node.fixed, pointer, site)
        elif isinstance(node.pattern, str):
            values.emit_pattern(source, node.pattern, pointer, site)
        elif node.binding and kind.code in ("code", "string", "uri", "url", "canonical", "oid", "id"):
            binding.emit_code(source, self.pack.codes(node.binding), pointer, site, kind.code)
        else:
            primitives.emit_primitive(source, kind.code, pointer, site)
        if node.length is not None:
            primitives.emit_length(source, node.length, pointer, site)

    def _extras(self, node: Node, pointer: str, kind: Type) -> None:
        """What an element asks of its value as a whole: values, codes, references, invariants."""
        source, site = self.source, self.site(node)
        scalar = isinstance(node.fixed, str) or isinstance(node.pattern, str)
        if not (kind.primitive and scalar):
            if node.fixed is not ABSENT:
                values.emit_fixed(source, node.fixed, pointer, site)
            if node.pattern is not ABSENT:
                values.emit_pattern(source, node.pattern, pointer, site)
        if node.binding and kind.code in ("Coding", "CodeableConcept", "Quantity"):
            binding.emit_coded(source, self.pack.codes(node.binding), pointer, site, kind.code)
        if values.limited(node.least, node.most):
            values.emit_range(source, node.least, node.most, pointer, site)
        if node.advice and kind.code in binding.CODED:
            strength, key = node.advice
            binding.emit_advice(source, (self.pack.codes(key), strength, kind.primitive), pointer, site)
        if kind.primitive:
            self._rules(node, "v", pointer, kind.code)
        elif any(check is not invariants.always for _, check, _ in self.checks(node, kind.code)):
            with source.block("if v.__class__ is dict:"):
                self._rules(node, "v", pointer, kind.code)

    def _rules(self, node: Node, value: str, pointer: str, code: str = "") -> None:
        for rule, check, when in self.checks(node, code):
            known = self.resource and node is self.root and not self.left_out(node, when)
            place = invariants.Place(value, pointer, self.site(node), known)
            invariants.emit_invariant(self.source, rule, check, when, place)


def extends(node: Node) -> bool:
    """Whether an element holds extensions."""
    return bool(node.types) and node.types[0].code == "Extension"


def _word(text: str) -> str:
    """A text as part of a Python name."""
    return "".join(c if c.isalnum() else "_" for c in text)
