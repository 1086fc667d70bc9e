"""From an element table to the short way: functions that say yes to what is certainly all right, and nothing else.

`ok_…(r, x)` is true only if the function of the same element in compiler.py would find nothing in object `r` and count
nothing as not checked. It needs no pointers and names no faults: where it says no, the exact function is run and says
why. So it may leave out whatever is rare (ids of elements, contained resources, `_name` twins, choices of many types):
every property that it looked at is taken off a count, and an object with properties left over is not certain.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from converter.fhir.compiler import extends
from converter.fhir.elements import ABSENT, RESOURCES, Node, Type, covers
from converter.fhir.fhirpath.direct import Names
from converter.fhir.granted import Granted, must, of_objects, of_one_type, rank
from converter.fhir.loops import DEEPEST as LOOPS
from converter.fhir.loops import Loops
from converter.fhir.rules import (
    binding,
    bundles,
    choices,
    extensions,
    identifiers,
    invariants,
    narrative,
    primitives,
    references,
    resources,
    slicing,
    values,
)
from converter.kept import Values

if TYPE_CHECKING:
    from converter.fhir.profiles import Pack

Answer = Callable[[Any, Any], bool]
NAMES: dict[str, Any] = {
    "answer_of": extensions.answer_of,
    "holds": values.holds,
    "leads": references.leads,
    "plain_coding": binding.plain_coding,
    "plain_concept": binding.plain_concept,
    "clean_text": narrative.clean_text,
    "clean_texts": narrative.clean_texts,
    "in_range": values.in_range,
    "right_advice": binding.right_advice,
    "right_code": binding.right_code,
    "right_coding": binding.right_coding,
    "right_concept": binding.right_concept,
    "right_primitive": primitives.right_primitive,
    "right_system": binding.right_system,
    "scope": invariants.Asked,
    "waits": resources.waits,
    **primitives.FAST_NAMES,
    **invariants.INLINE_NAMES,
}
TEXTS = ("code", "string", "uri", "url", "canonical", "oid", "id")
NO = "return False"
# A resource that says nothing about itself but one profile of the guide.
PLAIN_META = (
    "len({0}) == 1 and 'profile' in {0} and (p := {0}['profile']).__class__ is list and len(p) == 1 and p[0] in URIS"
)
DEEPEST = 8  # levels of objects in one function: Python allows twenty loops in each other, and a level may have two


class Quick(Granted):
    """Writes and loads the short way of one profile.

    An element's code stands inside that of the element which holds it: a call costs as much as a handful of look-ups.
    So each level has names of its own: the object of level 0 is `r`, its values are `v0`, which are the objects of
    level 1; `n0` counts the properties of the object that no line has looked at yet.
    """

    parameters = "r, x"
    prefix = "ok"
    title = "short way of profile"

    def __init__(self, pack: Pack, key: str) -> None:
        super().__init__(pack, key, NAMES)
        self.names["URIS"] = pack.uris
        self.names["SYSTEMS"] = pack.systems
        self.names["CODINGS"] = pack.codings
        self._level = 0
        # Whether what is judged stands in an entry, so that all that is near is near to it; a datatype may not.
        self._in_entry = self.resource and self.type != "Bundle"
        self._recalled = ""  # the element of the root that is remembered whole
        self._loops = Loops(self.source)

    def _other(self, key: str) -> Answer:
        return self.pack.quick(key)

    @property
    def _r(self) -> str:
        return f"v{self._level - 1}" if self._level else "r"

    @property
    def _v(self) -> str:
        return f"v{self._level}"

    @property
    def _n(self) -> str:
        return f"n{self._level}"

    def _write(self, node: Node) -> None:
        head = len(self.source.lines)
        self._object(node)
        lines = self.source.lines[head:]
        if any("divs.append(" in line for line in lines):
            self._no("divs and not clean_texts(divs)")
            self.source.insert(head, "divs = []")
        self.source("return True")
        if self._in_entry and any("near.get(" in line for line in lines):
            self.source.insert(head, "near, links = x.near, x.current.links")

    def _object(self, node: Node, told: str = "") -> None:
        """Code that goes through an object; what follows is reached only if the object is certainly sound."""
        source, r, n = self.source, self._r, self._n
        resource = self.resource and node is self.root
        if self.certain_checks(node) is None or any(must(c) and self.rare(c, node) for c in node.children.values()):
            source(NO)
            return
        usual = sorted(self.usual(node), key=rank)
        seen = [child for child in usual if self._seen_in_index(child, node)]
        usual = [child for child in usual if child not in seen]
        needed = [child for child in usual if must(child)]
        looked_at = sum(not child.choice or of_one_type(child) for child in needed) + resource
        if seen:
            with source.block("if x.plain:"):
                self._count(looked_at + len(seen))
            with source.block("else:"):
                self._start(looked_at + sum(map(must, seen)), certain=True)
                for child in seen:
                    self._child(child, node)
        else:
            self._start(looked_at, certain=looked_at > resource)  # what is no object has nothing that must be there
        for child in needed if node is self.root else ():
            if self._numbers_organisations(child):
                self._recall(child)
        # Rules bear any JSON, so they can come first: then the last property of an object ends the search for more.
        if self._is_coding(node):
            self._no(f"not right_system({r}, x)")
        if node is self.root:
            self._rules(node, r)
            if resource:
                source("x.ruled = True")
        for child in needed:
            if node is self.root and child.name == self._recalled:
                with source.block("if not recalled:"):
                    self._child(child, node)
                    source(f"LEARN_ALL(r[{child.name!r}])")
            elif child.name != told or not self._only_text(child):
                self._child(child, node)
        # Run once; what is left of it is not needed as soon as no property is left.
        with source.block(f"while {n}:"):
            for child in usual[len(needed) :]:
                self._child(child, node)
                with source.block(f"if not {n}:"):
                    source("break")
            source(NO)

    def _start(self, looked_at: int, *, certain: bool) -> None:
        if not certain:
            self._no(f"{self._r}.__class__ is not dict or not {self._r}")
        self._count(looked_at)

    def _count(self, looked_at: int) -> None:
        self.source(f"{self._n} = len({self._r})" + (f" - {looked_at}" if looked_at else ""))

    @contextmanager
    def _unless(self, condition: str) -> Iterator[None]:
        """Indent what follows under a condition that is not met (empty: there is none)."""
        if not condition:
            yield
            return
        with self.source.block(f"if not ({condition}):"):
            yield

    def _no(self, condition: str, *, same: bool = False) -> None:
        """`same`: the condition is about the same object as the one before."""
        if not same:
            self._loops.forget()
        self._loops.refuse(condition, NO, LOOPS - 2 * (self._level + 1))

    def _rules(self, node: Node, value: str, code: str = "") -> None:
        written: set[str] = set()  # what the rules of this object have in common
        self._loops.forget()
        names = self._names(node, value, written)
        for rule, check, when in self.certain_checks(node, code) or ():
            if self.left_out(node, when):
                continue
            inline, scoped, whole = invariants.inline(rule, self.kind(node, code), self.pack, names)
            if scoped:
                self._once(f"s = scope({value}, x)", written)
            sure = f"({inline})" if inline else invariants.sure(check, value)
            kept = bundles.kept_by_plain(rule, value)
            conditions = [f"{when!r} in {value}" if when else ""]
            conditions += [f"not {condition}" for condition in (kept, sure) if condition]
            if not whole:
                conditions.append(f"not {self.source.constant(check, 'RULE')}({value}, x)")
            condition = " and ".join(c for c in conditions if c)
            if node is self.root and self._recalled and _only_about(self._recalled, condition):
                with self.source.block("if not recalled:"):
                    self._no(condition)
                self._loops.forget()
            else:
                self._no(condition, same=True)

    def _once(self, line: str, written: set[str]) -> None:
        if line not in written:
            self.source(line)
            written.add(line)

    def _names(self, node: Node, value: str, written: set[str]) -> Names:
        """How rules of one object name things; what several of them look up is looked up once."""

        def typed(owner: str, kind: str) -> str:
            self._once(f"s = scope({value}, x)", written)
            listed = f"x.by_type.get({kind!r}, ()) if {owner} is x.root else s.typed({owner}, {kind!r})"
            self._once(f"all{kind} = {listed}", written)
            return f"all{kind}"

        resource = value if self.resource and node is self.root else "s.resource"
        return Names(value, resource, lambda known: self.source.constant(known, "K"), typed)

    def _child(self, node: Node, parent: Node) -> None:
        """Code for one element. If one that must be there is not, Python raises KeyError: not certainly sound."""
        if node.choice and not of_one_type(node):
            self._choice(node)
            return
        source, value = self.source, f"{self._r}[{next(iter(node.names()))!r}]"
        if must(node):
            source(f"{self._v} = {value}")
            self._content(node, parent)
            return
        with source.block(f"if {node.name!r} in {self._r}:"):
            source(f"{self._n} -= 1")
            source(f"{self._v} = {value}")
            self._content(node, parent)

    def _content(self, node: Node, parent: Node) -> None:
        if node.many:
            self._items(node, parent)
        elif node.choice:
            ((_, kind),) = node.names().items()
            part = choices.slices_by_type(node).get(kind.code)
            self.value(part or node, part.types[0] if part else kind)
        else:
            self.value(node)

    def _choice(self, node: Node) -> None:
        source, by_slice, names = self.source, choices.slices_by_type(node), node.names()
        m = f"m{self._level}"
        source(f"{m} = 0")
        for name, kind in names.items():
            part = by_slice.get(kind.code)
            with source.block(f"if {name!r} in {self._r}:"):
                source(f"{m} += 1")
                source(f"{self._v} = {self._r}[{name!r}]")
                if part is None and choices.closed(node):
                    source(NO)
                    continue
                target = part or (node if len(names) == 1 else choices.bare(node))
                self.value(target, part.types[0] if part else kind)
            if part is not None and choices.wanted(node, part):
                with source.block("else:"):
                    source(NO)
        self._no(f"{m} != 1" if node.min else f"{m} > 1")
        source(f"{self._n} -= {m}")

    def _items(self, node: Node, parent: Node) -> None:
        source, matcher, v = self.source, self._matcher(node), self._v
        lone = node.max == 1 and of_objects(node)
        if not lone:
            self._no(_no_list(node, v))
        parts = list(node.slices.values()) if matcher else []
        counters = [f"c{self._level}_{i}" if part.min or part.max is not None else "" for i, part in enumerate(parts)]
        if any(counters):
            source(" = ".join(filter(None, counters)) + " = 0")
        if self._seen(node):
            source(f"if x.bare and {self._r} is x.root: {v} = ()")
        if lone:
            source(f"{v}, = {v}")  # much cheaper than a loop; if it cannot be done, Python raises ValueError
        with nullcontext() if lone else source.block(f"for {v} in {v}:"):
            if matcher:
                self._sliced(node, parent, matcher, counters)
            else:
                self._item(node, parent)
        for counter, part in zip(counters, parts, strict=True):
            if not counter:
                continue
            least, most = part.min, part.max
            if most is None or least == most:
                self._no(f"{counter} {'<' if most is None else '!='} {least}")
            else:
                self._no(f"not {least} <= {counter} <= {most}" if least else f"{counter} > {most}")

    def _sliced(self, node: Node, parent: Node, matcher: slicing.Matcher, counters: list[str]) -> None:
        source, v, k = self.source, self._v, f"k{self._level}"
        if matcher.property:
            given = f"{v}['url']" if extends(node) else f"{v}.get({matcher.property!r})"
            source(f"{k} = {source.constant(matcher.table, 'SLICES')}.get({given}, -1)")
        elif matcher.names:
            found = (" or ".join(f"{name!r} in {v}" for name in names) for names in matcher.names)
            source(f"{k} = {' '.join(f'{number} if {one} else' for number, one in enumerate(found))} -1")
        elif matcher.sound:
            source(f"{k} = {source.constant(matcher.sound, 'INDEX')}({v})")
        else:
            source(f"{k} = {source.constant(matcher, 'MATCHER')}.index({v}, x)")
        for number, part in enumerate(node.slices.values()):
            with source.block(f"{'el' if number else ''}if {k} == {number}:"):
                if part.max == 0:
                    source(NO)
                    continue
                if counters[number]:
                    source(f"{counters[number]} += 1")
                if extends(node):
                    urls = [url for url, n in matcher.table.items() if n == number and matcher.property == "url"]
                    self._slice_of_extensions(part, node, parent, urls)
                else:
                    self._item(part, parent)
                    if not covers(part, node) and not self._profile_covers(part, node):
                        self._item(node, parent)
        with source.block("else:"):
            if (node.slicing or {}).get("rules") == "closed":
                source(NO)
            else:
                self._item(node, parent)

    def _slice_of_extensions(self, part: Node, node: Node, parent: Node, urls: list[str]) -> None:
        known = any(p for t in part.types for p in t.profiles)
        if known or not part.children:
            self._extension(node, parent, urls[0] if len(urls) == 1 else "")
        if part.children:
            self._inside(part, "url" if len(urls) == 1 else "")

    def _inside(self, node: Node, told: str = "") -> None:
        """Go through the current value as an object: here, if Python's nesting allows, else by a call.

        `told` is the property by whose text the value is known to be of the slice `node`.
        """
        if self._level == DEEPEST:
            self._no(f"not {self.function(node)}({self._v}, x)")
            return
        self._level += 1
        self._object(node, told)
        self._level -= 1

    def _item(self, node: Node, parent: Node) -> None:
        if extends(node):
            self._extension(node, parent)
        else:
            self.value(node)

    def _extension(self, node: Node, parent: Node, url: str = "") -> None:
        """Look at an extension by the definition of its URL, if that is known before."""
        place = extensions.Place(self._places(parent), self.site(node), node.name == "modifierExtension")
        if self.pack.knows_extension(url) and extensions.belongs(url, self.pack, place):
            self._defined(self.pack.extension_facts(url)["key"], url)
            return
        here, given = self.source.constant(place, "PLACE"), f"{self._v}['url']"
        self._no(f"not ({here}.answers.get({given}) or answer_of({given}, x, {here}))({self._v}, x)")

    def _defined(self, key: str, url: str) -> None:
        """Look at an extension of a URL by its definition: here, if Python's nesting allows, else by a call."""
        tree = self.pack.tree(key)
        assert tree is not None
        if self._level + max(node.id.count(".") for node in tree.walk()) >= DEEPEST:
            self._no(f"not {self._lazy(key)}({self._v}, x)")
            return
        outer = (self.key, self.label, self.type, self.resource, self.root, self._recalled)
        self._recalled = ""
        self._speak_for(key)
        self._inside(tree, "url" if tree.children["url"].fixed == url else "")
        self.key, self.label, self.type, self.resource, self.root, self._recalled = outer

    def value(self, node: Node, kind: Type | None = None) -> None:
        """Look at the current value as the element `node`, as one of its types if it is a choice."""
        kind, v = kind or (node.types[0] if node.types else Type("")), self._v
        if self.certain_checks(node) is None or node.content:
            self.source(NO)
        elif kind.code == "xhtml":
            self._no(f"not clean_text({v})")
        elif self._names_place(node, kind):
            self._place(node, kind)
            return
        elif kind.primitive:
            self._primitive(node, kind)
        elif kind.code in RESOURCES:
            self._no(f"not waits({v}, x)")
        elif self.pack.is_resource(kind.code):
            keys = tuple(self.pack.key(p) for p in kind.profiles if self.pack.facts(p))
            self._no(f"not waits({v}, x, {kind.code!r}, {keys!r})")
        elif kind.code == "Reference":
            self._reference(node, kind)
        elif kind.code in ("Coding", "CodeableConcept") and self._asks_texts(node, kind):
            self._coded(node, kind)
            return
        elif kind.code == "Identifier" and self._asks_itself(node, kind):
            self._identified(node, kind)
            return
        else:
            self._structure(node, kind)
            self._profiles(kind)
        self._extras(node, kind)

    def _reference(self, node: Node, kind: Type) -> None:
        source, v = self.source, self._v
        target = references.target_of(kind, self.site(node), self.pack)
        allowed = self.source.constant(target, "TARGET")
        with self._unless(self._is_near(target)):
            there = "" if target.at_hand else f"'reference' in {v} and "
            self._no(f"{there}not leads({v}, x, {allowed})")
            # A lone reference that leads to an entry needs no look at its structure.
            with source.block(f"if len({v}) != 1 or 'reference' not in {v}:"):
                self._structure(node, kind)
        self._profiles(kind)

    def _is_near(self, target: references.Target) -> str:
        """Code that notes a link and is true if a value is the bare name of an entry that claims to be what it must."""
        if target.no_entry:
            return ""
        met, claimed = references.met_by(target, self.pack), ""
        if met is not None:
            known = self.source.constant(met, "MET")
            claimed = f" and e.claim in {known}"
            if any(met.values()):
                claimed = f" and (w := {known}.get(e.claim)) is not None and (not w or x.heed(e, w))"
        near, links, based = (
            ("near", "links", "") if self._in_entry else ("x.near", "x.current.links", " and x.current.base")
        )
        found = f"len({self._v}) == 1 and (e := {near}.get({self._v}.get('reference'))){based}"
        return f"{found}{claimed} and {links}.append(e.number) is None"

    def _coded(self, node: Node, kind: Type) -> None:
        """A Coding that was found sound before is sound; so is a concept that is nothing but codings."""
        v, c, (alike, learn) = self._v, f"c{self._level}", self._memory(binding.Known())
        lone = f"{v} in {alike}({v}.get('code'), ())"
        if kind.code == "CodeableConcept":
            lone = f"({c} := {v}.get('coding')) and {v} in {alike}({c}[0].get('code'), ())"
        plain = "plain_coding" if kind.code == "Coding" else "plain_concept"
        with self._unless(lone):
            with self._unless("" if node.children else f"{plain}({v}, CODINGS, SYSTEMS)"):
                self._structure(node, kind)
            self._profiles(kind)
            self._extras(node, kind)
            with self.source.block(f"if 'text' not in {v}:"):
                self.source(f"{learn}({v}, SYSTEMS)")

    def _memory(self, known: binding.Known | identifiers.Known) -> tuple[str, str]:
        """Names for the look-up of what was found sound, and for the function that adds to it."""
        # A method that is looked up in a class derived from dict costs half as much again.
        return self.source.constant(known.get, "ALIKE"), self.source.constant(known.learn, "LEARN")

    def _place(self, node: Node, kind: Type) -> None:
        """A URI that was found sound before is sound."""
        v, known = self._v, self.source.constant(Values(), "KEPT")
        with self._unless(f"{v} in {known}"):
            self._primitive(node, kind)
            self._extras(node, kind)
            self.source(f"{known}.keep({v})")

    def _identified(self, node: Node, kind: Type) -> None:
        """An Identifier of an organisation that was found sound before is sound."""
        v, (alike, learn) = self._v, self._memory(identifiers.Known())
        with self._unless(f"{v} in {alike}({v}.get('value'), ())"):
            self._structure(node, kind)
            self._profiles(kind)
            self._extras(node, kind)
            with self.source.block(f"if 'system' in {v}:"):
                self.source(f"{learn}({v})")

    def _recall(self, node: Node) -> None:
        """Code that tells whether such a list was found sound before, and rules about nothing else with it."""
        known = identifiers.Lists()
        self._recalled, self.names["LEARN_ALL"] = node.name, known.learn
        alike = self.source.constant(known.get, "ALIKE")
        self.source(f"recalled = (v0 := r[{node.name!r}]) and v0 in {alike}(v0[0].get('value'), ())")

    def _structure(self, node: Node, kind: Type) -> None:
        if node.children:
            self._inside(node)
        elif not any(self.pack.facts(p) for p in kind.profiles):
            if kind.code == "Narrative":
                self._narrative()
                return
            broken = f"not {self._type(kind.code)}({self._v}, x)"
            if kind.code == "Meta":
                broken = f"not ({PLAIN_META.format(self._v)}) and {broken}"
            self._no(broken)

    def _narrative(self) -> None:
        """A status and a text, which is looked at together with the others of the resource."""
        tree, v = self.pack.tree(self.pack.base("Narrative")), self._v
        assert tree is not None
        known = self.source.constant(self.pack.codes(tree.children["status"].binding).flat, "CODES")
        with self.source.block(f"if len({v}) == 2 and {v}.get('status') in {known} and 'div' in {v}:"):
            self.source(f"divs.append({v}['div'])")
        with self.source.block(f"elif not {self._type('Narrative')}({v}, x):"):
            self.source(NO)

    def _profiles(self, kind: Type) -> None:
        for canonical in kind.profiles:
            if self.pack.facts(canonical):
                self._no(f"not {self._lazy(self.pack.key(canonical))}({self._v}, x)")

    def _primitive(self, node: Node, kind: Type) -> None:
        v = self._v
        if isinstance(node.fixed, str):
            self._no(f"{v} != {node.fixed!r}")
        elif isinstance(node.pattern, str):
            self._no(f"{v} != {node.pattern!r}")
        elif node.binding and kind.code in TEXTS:
            codes = self.pack.codes(node.binding)
            flat, bound = self.source.constant(codes.sound, "CODES"), self.source.constant((codes, kind.code), "BOUND")
            self._no(f"{v} not in {flat} and not right_code({v}, {bound})")
        else:
            fast = primitives.fast(kind.code, v) or "False"
            if kind.code in ("uri", "canonical"):
                fast = f"{v} in URIS or {kind.code}_match({v})"
            self._no(f"not ({fast}) and not right_primitive({v}, {kind.code!r})")
        if node.length is not None:
            self._no(f"{v}.__class__ is not str or len({v}) > {node.length}")

    def _extras(self, node: Node, kind: Type) -> None:
        v = self._v
        scalar = isinstance(node.fixed, str) or isinstance(node.pattern, str)
        if not (kind.primitive and scalar):
            if node.fixed is not ABSENT:
                self._no(f"{v} != {self.source.constant(node.fixed, 'FIXED_VALUE')}")
            if node.pattern is not ABSENT:
                pattern = self.source.constant(node.pattern, "PATTERN_VALUE")
                self._no(f"not {values.holding(v, node.pattern) or f'holds({v}, {pattern})'}")
        if node.binding and kind.code in ("Coding", "CodeableConcept", "Quantity"):
            check = "right_concept" if kind.code == "CodeableConcept" else "right_coding"
            self._no(f"not {check}({v}, x, {self.source.constant(self.pack.codes(node.binding), 'VALUESET')})")
        if values.limited(node.least, node.most):
            self._no(f"not in_range({v}, {self.source.constant((node.least, node.most), 'RANGE')})")
        if node.advice and kind.code in binding.CODED:
            strength, key = node.advice
            advice = (self.pack.codes(key), strength, kind.primitive)
            self._no(f"not right_advice({v}, {self.source.constant(advice, 'ADVICE')})")
        self._rules(node, v, kind.code)


def _only_about(name: str, condition: str) -> bool:
    """Whether a condition about resource `r` asks for nothing but one of its lists."""
    return re.search(r"\b[rsx]\b", condition.replace(f"r.get({name!r}, ())", "")) is None


def _no_list(node: Node, v: str) -> str:
    """Code that is true if a value is no list of as many items as there may be.

    Keys of an object and letters of a text are no objects, so a list of objects need not be asked whether it is one.
    """
    wrong = "" if of_objects(node) else f"{v}.__class__ is not list or "
    if node.min > 1:
        wrong += f"len({v}) < {node.min}"
    else:
        wrong += f"not {v}"
    return wrong if node.max is None else f"{wrong} or len({v}) > {node.max}"
