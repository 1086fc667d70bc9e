"""Letter -> Bundle: a mapping document printed as Python source, one straight function without per-message decisions.

Every statement follows from a rule and names it with file and line. The ledger is written while the Bundle is built:
`led` lists the entries of leaves (the first rule that carries a leaf owns it: `own` knows those that several rules may
carry), `dfl` what had to be made up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import groupby
from typing import Any

from converter.mapping import guards, paths
from converter.mapping.codes import CodeMap
from converter.mapping.document import Derived, Document, Each, Refs, Resource, Rule
from converter.mapping.entries import DEFAULTED, LedgerSource, counts_in
from converter.mapping.ids import minted_source, netstrings, netstrings_source
from converter.mapping.source import LetterSource
from converter.mapping.targets import Slot, Tree, has_each, literal, presence, slots, solid, start, varying

ABSENT = {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}]}
FOLDED = "folded-to-text"
WITHOUT_TEXT = ("Bundle", "Binary", "Parameters")
"""The types that are no DomainResource and have no place for a narrative."""


def generate(document: Document, codes: Mapping[str, CodeMap]) -> LetterSource:
    """The source of `to_fhir(letter, ctx) -> (bundle, led, dfl)`, without its header line, and its objects."""
    return _Writer(document, codes).write()


class _Writer:
    def __init__(self, document: Document, codes: Mapping[str, CodeMap]) -> None:
        self.document, self.codes = document, codes
        self.out = LetterSource()
        self.put = self.out.put
        self.ledger = LedgerSource(self.out, document)
        self.written = ""
        self.before: tuple[int, int | None] = (0, 0)
        self.rows: dict[int, str] = {}
        self.values: dict[str, str] = {}
        self.derived = [r for x in document.resources.values() for r in x.rules if isinstance(r, Derived)]

    def write(self) -> LetterSource:
        put, doc = self.put, self.document
        put("V = letter.values; g = V.get; count = letter.counts.get; led = []; own = {}; dfl = []; told = ctx.told")
        if self.derived:
            put("; ".join(f"d_{d.name} = []" for d in self.derived))
        needed = [self._key(path) for path in doc.key if not path.startswith("$")]
        put(f"if not ({' and '.join(needed) or True}): return None, led, dfl")
        put(f"copy = keyed({netstrings_source(self._key(p) for p in doc.key)}).copy")
        if doc.answers is not None:
            put("t_original = ctx.original")
        for name, (gln, on, when) in doc.tables.items():
            condition = f" if {self.out.guard(when)} else None" if when else ""
            put(f"t_{name} = ctx.row({gln!r}, {self.out.get(gln)}, {self.out.get(on)}){condition}")
        for resource in doc.resources.values():
            self._id(resource)
        self._bundle()
        least: int = 0
        most: int | None = 0
        for resource in doc.resources.values():
            self.before = (least, most)
            self._resource(resource)
            least += not resource.each and not self._exists(resource)
            most = None if resource.each or most is None else most + 1
        for path in doc.origin:
            self.ledger.origin(path, "origin", "/identifier/value")
        put("return bundle, led, dfl")
        self._name_references()
        return self.out

    def _name_references(self) -> None:
        """What refers to a resource from several places is put together once, after its id."""
        for resource in self.document.resources.values():
            made_id = f"i_{resource.name}"
            reference = f"{resource.type + '/'!r} + {made_id}"
            if sum(line.count(reference + "}") for line in self.out.lines) > 1:
                lines = [line.replace(reference + "}", f"r_{resource.name}}}") for line in self.out.lines]
                at = next(at for at, line in enumerate(lines) if line.startswith(f"    {made_id} = "))
                self.out.lines = [*lines[:at], f"{lines[at]}; r_{resource.name} = {reference}", *lines[at + 1 :]]

    def _key(self, path: str) -> str:
        if path == "$type":
            return repr(self.document.letter)
        return "str(ctx.attempt)" if path == "$attempt" else self.out.get(path)

    def _exists(self, resource: Resource) -> str:
        """The condition under which a resource is made; empty for one that always is."""
        anchors = resource.anchor
        if any(path in self.document.key for path in anchors):
            anchors = ()
        conditions = [self.out.guard(resource.when)] if resource.when else []
        if len(anchors) == 1 and not resource.each:
            conditions.append(f"{anchors[0]!r} in V")
        elif anchors:
            conditions.append(f"bool({' or '.join(self.out.get(path) for path in anchors)})")
        return " and ".join(conditions)

    def _id(self, resource: Resource) -> None:
        """The ids of all resources come first, so that any of them can refer to any other."""
        put, name = self.put, resource.name
        suffix = netstrings((resource.type, name))
        if not resource.each:
            condition = self._exists(resource)
            if condition:
                put(f"x_{name} = {condition}")
            put(f"i_{name} = {minted_source(repr(suffix), 'UUIDS')}" + (f" if x_{name} else ''" if condition else ""))
            return
        put(f"l_{name} = ['']")
        with self.out.repeated(resource.each):
            condition = self._exists(resource)
            made = minted_source(f"{suffix!r} + K[i]", "UUIDS")
            put(f"l_{name}.append({made}{f' if {condition} else {chr(39) * 2}' if condition else ''})")

    def _bundle(self) -> None:
        put, doc = self.put, self.document
        key = [self._key(p) if p.startswith("$") else f"({self.out.get(p)} or '')" for p in doc.bundle_key]
        made = minted_source(netstrings_source([repr("Bundle"), *key]), "UUIDS")
        put(f"bundle = {{'resourceType': 'Bundle', 'id': {made},")
        put(f"    'meta': {{'profile': [{doc.bundle!r}]}},")
        if doc.origin:
            values = ", ".join(f"{self.out.get(p)} or ''" for p in doc.origin)
            put(f"    'identifier': {{'system': {doc.origin_system!r}, 'value': origin_value(({values},))}},")
        put("    'type': 'message'}")
        slot_tree = self._tree(doc.bundle_rules, "bundle")
        self._fill(slot_tree)
        self._object(slot_tree, "bundle", "")
        put("entries = bundle['entry'] = []")

    def _resource(self, resource: Resource) -> None:
        put, name = self.put, resource.name
        put(f"# resource {name} ({resource.at.file}:{resource.at.line})")
        if resource.each:
            with self.out.repeated(resource.each):
                put(f"if not l_{name}[i]: continue")
                self.written = ""
                self._made_resource(resource, f"l_{name}[i]")
            return
        condition = self._exists(resource)
        if condition:
            put(f"if x_{name}:")
            self.out.depth += 1
        self._made_resource(resource, f"i_{name}")
        if condition:
            self.out.depth -= 1

    def _made_resource(self, resource: Resource, made_id: str) -> None:
        put, var = self.put, f"o_{resource.name}"
        meta = f", 'meta': {{'profile': [{resource.profile!r}]}}" if resource.profile else ""
        put(f"{var} = {{'resourceType': {resource.type!r}, 'id': {made_id}{meta}}}")
        if resource.type not in WITHOUT_TEXT:
            put(f"if told: {var}['text'] = None")
        pointer, counts = self._entry(resource)
        with self.out.counted(*counts):
            tree = self._tree(resource.rules, resource.name)
            self._fill(tree)
            self._object(tree, var, pointer)
        url = f"{self.document.fullurl}/{resource.type}/"
        put(f"entries.append({{'fullUrl': {url!r} + {made_id}, 'resource': {var}}})")

    def _entry(self, resource: Resource) -> tuple[str, list[str]]:
        """The pointer to the resource, and what is counted in it: its entry, if letters have others before it."""
        least, most = self.before
        if least == most and not resource.each:
            return f"/entry/{least}/resource", []
        count = self.out.name("n")
        self.put(f"{count} = len(entries)")
        return f"/entry/{{{count}}}/resource", [*(["i"] if resource.each else []), count]

    # -- the tree of targets ---------------------------------------------------------------------------------------

    def _tree(self, rules: list[Any], scope: str, start: dict[str, Any] | None = None) -> Tree:
        tree = Tree(start=start or {})
        for rule in rules:
            if isinstance(rule, Each | Derived | Refs):
                *above, step = paths.parse(rule.target, self.document.slices)
                holder = tree
                for one in above:
                    holder = self._child(holder, one)
                holder.properties.setdefault(step.name, {})[f"each {rule.name}"] = (rule, step, scope)
            elif rule.forward:
                rule_name = f"{scope}.{rule.name}" if scope else rule.name
                targets = rule.fhir_columns or {"": rule.target}
                for column, target in targets.items():
                    slot = self._slot(tree, paths.parse(target, self.document.slices))
                    self._assign(slot, rule, rule_name, column)
        return tree

    def _slot(self, tree: Tree, path: paths.Path) -> Slot:
        for step in path[:-1]:
            tree = self._child(tree, step)
        last = path[-1]
        tree.start.pop(last.name, None)
        if last.selector is not None:
            items = tree.properties.setdefault(last.name, {})
            slot = items.setdefault(last.selector, None) or Slot(self.out.name("s"))
            items[last.selector] = slot
        else:
            slot = tree.properties.setdefault(last.name, None) or Slot(self.out.name("s"))
            tree.properties[last.name] = slot
        found: Slot = slot
        return found

    def _child(self, tree: Tree, step: paths.Step) -> Tree:
        if step.selector is None:
            # What a slice writes below this step becomes the start of the object that rules write into.
            child = tree.properties.setdefault(step.name, None) or Tree(start=tree.start.pop(step.name, {}))
            tree.properties[step.name] = child
        else:
            items = tree.properties.setdefault(step.name, {})
            child = items.setdefault(step.selector, None) or Tree(start=step.slice.start if step.slice else {})
            items[step.selector] = child
        found: Tree = child
        return found

    def _assign(self, slot: Slot, rule: Rule, rule_name: str, column: str) -> None:
        if rule.const is not None and not rule.when:
            slot.constant = rule.const
        slot.rules.append(rule)
        slot.columns[id(rule)] = column
        if rule.default is not None:
            slot.default = rule
            slot.always = True
        if rule.id and not rule.when:
            slot.always = True
        if rule.ref:
            target = self.document.resources[rule.ref]
            slot.always = not target.each and not self._exists(target) and not rule.when
        self.ledger.names[id(rule)] = rule_name

    # -- values ------------------------------------------------------------------------------------------------------

    def _fill(self, tree: Tree) -> None:
        """Evaluate all slots of a tree into variables; lists made by `each` evaluate theirs inside their loop."""
        done: set[int] = set()
        for slot in slots(tree):
            if slot.constant is None:
                self._evaluate(slot, done)

    def _evaluate(self, slot: Slot, done: set[int]) -> None:
        put, var, first = self.put, slot.var, slot.rules[0]
        if len(slot.rules) == 1 and not first.when and (first.id or first.ref):
            slot.expression = self._made(first)
            if slot.always:
                return
        put(f"{var} = None")
        if self.ledger.asked(slot):
            put(f"r{var} = -1")
        for number, rule in enumerate(slot.rules):
            put(f"# {self.ledger.names[id(rule)]} ({rule.at.file}:{rule.at.line})")
            depth = self.out.depth
            if number:
                put(f"if {var} is None:")
                self.out.depth += 1
            self._rule(slot, rule, done)
            self.out.depth = depth
        if slot.default is not None:
            put(f"if {var} is None: {var} = {slot.default.default!r}; r{var} = 0")

    def _made(self, rule: Rule) -> str:
        """The expression of an id or a reference."""
        if rule.id:
            suffix = netstrings((rule.id, rule.name))
            if not self.out.group:
                return minted_source(repr(suffix + netstrings([""])), "URNS")
            number = f"len({self.written}) + 1" if self.written else "i"
            return minted_source(f"{suffix!r} + K[{number}]", "URNS")
        return f"{{'reference': {self.document.resources[rule.ref].type + '/'!r} + {self._id_of(rule.ref)[0]}}}"

    def _id_of(self, name: str) -> tuple[str, str]:
        """The expression of a resource's id, and of whether it is there."""
        return (f"l_{name}[i]", f"l_{name}[i]") if self.document.resources[name].each else (f"i_{name}", f"i_{name}")

    def _rule(self, slot: Slot, rule: Rule, done: set[int]) -> None:
        put, var = self.put, slot.var
        if rule.when:
            put(f"if {self.out.guard(rule.when)}:")
            self.out.depth += 1
        if rule.const is not None:
            put(f"{var} = {rule.const!r}")
            self.ledger.fired(slot, rule)
        elif rule.id:
            put(f"{var} = {self._made(rule)}")
        elif rule.ref:
            # Where the expression is known, it is written where the reference stands: here, that there is one.
            put(f"if {self._id_of(rule.ref)[1]}: {var} = {'True' if slot.expression else self._made(rule)}")
            self.ledger.fired(slot, rule)
        elif rule.map:
            self._map(slot, rule, done)
        elif rule.keep:
            put(f"{var} = ctx.kept.get({self._kept_key(rule)})")
        else:
            self._carry(slot, rule)

    def _kept_key(self, rule: Rule) -> str:
        return f"p + {rule.target!r}" if self.out.group else repr(rule.target)

    def _map(self, slot: Slot, rule: Rule, done: set[int]) -> None:
        put = self.put
        row = self.rows.setdefault(id(rule), self.out.name("row"))
        first = id(rule) not in done
        if first:
            done.add(id(rule))
            table = self.out.keep(f"MAP_{row}", self.codes[rule.map].table(tuple(rule.letter_columns), back=False))
            keys = ", ".join(self.out.get(p) for p in rule.letter_columns.values())
            put(f"{row} = {table}.get(({keys},))")
            if rule.otherwise:
                other = self.out.keep(f"ELSE_{row}", {**rule.otherwise, "relation": "narrower"})
                put(f"if {row} is None: {row} = {other}")
        put(f"if {row} is not None:")
        self.out.depth += 1
        put(f"{slot.var} = {row}[{slot.columns[id(rule)]!r}]")
        if first:
            self.ledger.fired(slot, rule, f"'relation' in {row}")

    def _carry(self, slot: Slot, rule: Rule) -> None:
        put, var, codec = self.put, slot.var, rule.codec
        if not rule.sources:
            return  # nothing in the letter says it: a reason stands in its place (`absent`)
        values = [f"{var}_{n}" for n in range(len(rule.sources))]
        found = [self.out.value_of(s) if s.startswith("$") else self.out.values(s) for s in rule.sources]
        if codec.unchanged and len(values) == 1:
            put(f"{var} = {found[0]} or None")  # an empty element carries nothing
        else:
            for value, expression in zip(values, found, strict=True):
                put(f"{value} = {expression}")
            put(f"if {' or '.join(values)}:")
            self.out.depth += 1
            function = self.out.keep(f"{codec.name}_there", codec.there)
            arguments = ", ".join((*values, *(self._argument(a) for a in rule.arguments)))
            lost = f", x{var}" if codec.lossy_there else ""
            call = f"{function}({arguments})"
            if codec.lossy_there:  # these give texts; others may give lists, which no two places may share
                call = self._known(slot, rule, f"{function}({', '.join((*found, *rule.arguments))})") or call
            put(f"{var}{lost} = {call}")
        if rule.sentence:
            self._sentence(slot, rule)
        self.ledger.fired(slot, rule, f"x{var}" if codec.lossy_there else "")

    def _known(self, slot: Slot, rule: Rule, call: str) -> str:
        """The variables that hold the same already, as the time of the envelope, which stands in three places."""
        known = self.values.get(call, "")
        if self.out.depth == 2 and not self.out.group and slot.alone and not (known or rule.when or rule.sentence):
            self.values[call] = f"{slot.var}, x{slot.var}"
        return known

    def _sentence(self, slot: Slot, rule: Rule) -> None:
        """A literal before the first item's text that stands for a code."""
        leaf = guards.guard_paths(rule.sentence_when)[0].removeprefix("/")
        self.put(f"if {slot.var} is not None and not {self.written} and {self.out.guard(rule.sentence_when)}:")
        self.put(f"    {slot.var} = {rule.sentence!r} + {slot.var}")
        with self.out.deeper():
            self.ledger.own([], leaf, self.ledger.entry(leaf, FOLDED, rule, "", rule.sentence_loss))

    def _argument(self, argument: str) -> str:
        if argument in self.codes:
            return self.out.keep(f"CODES_{argument}", self.codes[argument].keys())
        if "." in argument and not argument.startswith("http"):
            return self.out.get(argument)
        return repr(argument)

    # -- building ----------------------------------------------------------------------------------------------------

    def _object(self, tree: Tree, var: str, pointer: str) -> None:
        for name, child in tree.properties.items():
            here = f"{pointer}/{name}"
            if isinstance(child, dict):
                self._list(child, var, name, here)
                continue
            condition = presence(child)
            if isinstance(child, Slot) and child.absent:
                self._or_reason(child, var, name, here)
                continue
            if isinstance(child, Tree) and has_each(child):
                inner = self._gathered(child, here)
                self.put(f"    {var}[{name!r}] = {inner}")
                continue
            with self._given(child, condition):
                if solid(child):
                    self.put(f"{var}[{name!r}] = {literal(child)}")
                    self.ledger.enter(child, here)
                else:
                    inner = self.out.name("o")
                    self.put(f"{inner} = {var}[{name!r}] = {start(child)}")
                    self._object(child, inner, here)

    def _gathered(self, child: Tree, pointer: str) -> str:
        """Build an object that holds a list made by a loop; what is written next happens only if it holds anything."""
        inner = self.out.name("o")
        self.put(f"{inner} = {start(child)}")
        self._object(child, inner, pointer)
        found = [name for name, one in child.properties.items() if varying(one)]
        self.put(f"if {' or '.join(f'{name!r} in {inner}' for name in found)}:")
        return inner

    def _or_reason(self, slot: Slot, var: str, name: str, pointer: str) -> None:
        """A mandatory value, or FHIR's data-absent-reason in its place."""
        with self._given(slot, f"{slot.var} is not None"):
            self.put(f"{var}[{name!r}] = {literal(slot)}")
            self.ledger.enter(slot, pointer)
        self.put("else:")
        with self.out.deeper():
            self.put(f"{var}[{'_' + name!r}] = {ABSENT!r}")
            self.ledger.made_up(slot.rules[-1], pointer, slot.absent)

    @contextmanager
    def _given(self, child: Slot | Tree, condition: str) -> Iterator[None]:
        """Write what follows under a condition; a slot that alone makes the condition is known to be there inside."""
        if not condition:
            yield
            return
        self.put(f"if {condition}:")
        self.out.depth += 1
        only = [s for s in slots(child) if s.dynamic]
        if len(only) == 1:
            only[0].always = True
        yield
        if len(only) == 1:
            only[0].always = False
        self.out.depth -= 1

    def _list(self, items: dict[str, Any], var: str, name: str, pointer: str) -> None:
        if all(not isinstance(i, tuple) and not presence(i) and solid(i) for i in items.values()) and "*" not in items:
            self.put(f"{var}[{name!r}] = [{', '.join(literal(i) for i in items.values())}]")
            for number, item in enumerate(items.values()):
                self.ledger.enter(item, f"{pointer}/{number}")
            return
        values = self.out.name("l")
        self.put(f"{values} = []")
        if not any(isinstance(item, tuple) for item in items.values()):
            self.out.most[f"len({values})"] = (0, len(items) - 1)
        for selector, child, here in _placed(items, values, pointer):
            if isinstance(child, tuple):
                if isinstance(child[0], Each):
                    self._each(child, values, here)
                elif isinstance(child[0], Refs):
                    self._refs(child[0], values)
                else:
                    self._derived(child, values)
                continue
            if isinstance(child, Tree) and has_each(child):
                inner = self._gathered(child, here)
                self.put(f"    {values}.append({inner})")
                continue
            with self._given(child, presence(child)):
                if selector == "*":
                    self.put(f"{values} = {literal(child)}")
                    self.ledger.enter(child, f"{pointer}/0")
                elif solid(child):
                    self.ledger.enter(child, here)
                    self.put(f"{values}.append({literal(child)})")
                else:
                    inner = self.out.name("o")
                    self.put(f"{inner} = {start(child)}")
                    self._object(child, inner, here)
                    self.put(f"{values}.append({inner})")
        self.put(f"if {values}: {var}[{name!r}] = {values}")

    def _each(self, child: tuple[Each, paths.Step, str], values: str, pointer: str) -> None:
        put, (each, _, scope) = self.put, child
        put(f"# {scope}.{each.name} ({each.at.file}:{each.at.line})")
        numbers = ""
        if each.at_least:
            made = self.out.name("n")
            put(f"{made} = len({values})")
            numbers = f"(*{self.out.numbers(each.group)}, 0)"
        with self.out.repeated(each.group, numbers):
            if each.at_least:
                put(f"if not i and len({values}) > {made}: break")
            self.written = values
            pointer, counts = self._item(pointer)
            with self.out.counted("i", *counts):
                self._each_item(child, values, pointer)

    def _item(self, pointer: str) -> tuple[str, list[str]]:
        """The pointer to an item with a variable for each of the counts in it, and these."""
        counts = list[str]()
        for expression in counts_in(pointer):
            count = expression
            if not count.isidentifier():
                count = self.out.name("n")
                self.put(f"{count} = {expression}")
                pointer = pointer.replace(f"{{{expression}}}", f"{{{count}}}")
            counts.append(count)
        return pointer, counts

    def _each_item(self, child: tuple[Each, paths.Step, str], values: str, pointer: str) -> None:
        put, (each, step, scope) = self.put, child
        tree = self._tree(each.rules, f"{scope}.{each.name}", step.slice.start if step.slice else {})
        self._fill(tree)
        if each.at_least:
            self._at_least(each, tree, scope, pointer)
        anchors = [self._slot(tree, paths.parse(path, self.document.slices)) for path in each.anchor]
        if anchors:
            put(f"if {' or '.join(f'{slot.var} is not None' for slot in anchors)}:")
            self.out.depth += 1
            anchors[0].always = len(anchors) == 1
        for derived in self.derived:
            if derived.of == f"{scope}.{step.name}":
                source = self._slot(tree, paths.parse(derived.value, self.document.slices))
                name = f"if {source.var} is not None: " if not source.expression else ""
                if source.expression:
                    put(f"{source.var} = {source.expression}")
                    source.expression = ""
                put(f"{name}d_{derived.name}.append({source.var})")
        if solid(tree):
            self.ledger.enter(tree, pointer)
            put(f"{values}.append({literal(tree)})")
        else:
            inner = self.out.name("o")
            put(f"{inner} = {start(tree)}")
            self._object(tree, inner, pointer)
            put(f"{values}.append({inner})")
        self.out.depth -= bool(anchors)

    def _at_least(self, each: Each, tree: Tree, scope: str, pointer: str) -> None:
        value, target, loss = each.at_least or ("", "", "")
        slot = self._slot(tree, paths.parse(target, self.document.slices))
        slot.forced = True
        entry = self.ledger.entry("", DEFAULTED, f"{scope}.{each.name}", f"{pointer}/{target}", loss)
        self.put("if not i:")
        self.put(f"    {slot.var} = {value!r}; dfl.append({entry})")

    def _refs(self, refs: Refs, values: str) -> None:
        """One reference for each resource; those over one group in its order, whatever their names."""
        self.put(f"# {refs.name} ({refs.at.file}:{refs.at.line})")
        resources = [self.document.resources[name] for name in refs.names]
        for group, together in groupby(resources, key=lambda resource: resource.each or resource.name):
            several = list(together)
            if not several[0].each:
                self._append_reference(several[0], f"i_{several[0].name}", values, refs.position)
                continue
            with self.out.repeated(group):
                for resource in several:
                    self._append_reference(resource, f"l_{resource.name}[i]", values, refs.position)

    def _append_reference(self, resource: Resource, made_id: str, values: str, position: str) -> None:
        reference = f"{{'reference': {resource.type + '/'!r} + {made_id}}}"
        item = f"{{{position!r}: {reference}}}" if position else reference
        self.put(f"if {made_id}: {values}.append({item})")

    def _derived(self, child: tuple[Derived, paths.Step, str], values: str) -> None:
        derived, step, scope = child
        value: Any = "VALUE"
        for part in reversed(derived.position.split(".")):
            value = {part: value}
        one = f"d1_{derived.name}"
        shape = repr({**(step.slice.start if step.slice else {}), **value}).replace("'VALUE'", one)
        self.put(f"# {scope}.{derived.name} ({derived.at.file}:{derived.at.line})")
        self.put(f"for {one} in d_{derived.name}: {values}.append({shape})")


def _placed(items: dict[str, Any], values: str, pointer: str) -> Iterator[tuple[str, Any, str]]:
    """The items of a list, each with its selector and pointer: a number where all letters have as many before it."""
    before: int | None = 0
    for selector, child in items.items():
        counted = before is None or isinstance(child, tuple)
        here = f"{pointer}/{{len({values})}}" if counted else f"{pointer}/{before}"
        surely = not counted and selector != "*" and not presence(child) and not has_each(child)
        before = before + 1 if before is not None and surely else None
        yield selector, child, here
