"""Bundle -> letter: the same rules, mirrored, printed as Python source that calls the operations of `Taking`.

A Bundle is *letter-born* when forward made it: `Bundle.identifier` then restores what has no place in FHIR, and what
forward had to make up is left out again. Any other is *FHIR-born*: the rules marked `born: fhir` and the section `back`
apply instead, which hold MedCom's table for that direction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache, partial
from itertools import groupby
from typing import Any

from converter.letter import Value
from converter.mapping import guards, paths, thread
from converter.mapping.codes import CodeMap
from converter.mapping.document import Derived, Document, Each, Fold, Refs, Resource, Rule
from converter.mapping.paths import Node
from converter.mapping.source import Source
from converter.mapping.taking import Taking


def generate(document: Document, codes: Mapping[str, CodeMap]) -> Source:
    """The source of `from_fhir(b)`, where b is a `Taking`, without its header line, and the objects it needs."""
    return _Writer(document, codes).write()


class _Writer:
    def __init__(self, document: Document, codes: Mapping[str, CodeMap]) -> None:
        self.document, self.codes = document, codes
        self.out = Source()
        self.put = self.out.put
        self.defaults = _defaults(document)

    def write(self) -> Source:
        put, doc, back = self.put, self.document, self.document.back
        for name, resource in doc.resources.items():
            put(f"b.resources[{name!r}] = {'None' if resource.each else self._found(resource)}")
        put("b.recognise()")
        section = back.get("thread")
        if section is not None:
            put(f"b.select()  # ({doc.file}:{section.at.line})")
        for rule in doc.bundle_rules:
            self._rule(rule, "b.top", "'bundle'", "''")
        for key, together in groupby(doc.resources.values(), key=_family):
            resources = list(together)
            if key[0]:
                self._repeated(resources)
            else:
                self._resource(resources[0])
        put("# back")
        for rule in doc.back_rules:
            self._rule(rule, "b.top", "'back'", "''")
        put("b.finish()")
        return self.out

    def _resource(self, resource: Resource) -> None:
        if not resource.found:
            return  # forward alone makes it
        name = resource.name
        self.put(f"# resource {name} ({resource.at.file}:{resource.at.line})")
        self.put(f"if (r := b.resources[{name!r}]) is not None:")
        self.out.depth += 1
        self.put("pass")
        for one in resource.rules:
            self._entry(one, name)
        self._written(resource.rules, "r", name)
        self.out.depth -= 1

    def _repeated(self, resources: list[Resource]) -> None:
        """Resources over one group that one list leads to: they share a running number, so order comes back."""
        put, first = self.put, resources[0]
        put(f"# resources {', '.join(r.name for r in resources)} ({first.at.file}:{first.at.line})")
        put("i = 0")
        put(f"for r in {self._all_found(first)}:")
        self.out.depth += 1
        for number, resource in enumerate(resources):
            guard = f" and {self._fhir_guard(resource.when_fhir, 'r')}" if resource.when_fhir else ""
            profile = f"{resource.type!r}, {resource.profile!r}"
            put(f"{'elif' if number else 'if'} b.fits(r, {profile}){guard}:")
            self.out.depth += 1
            if resource.at_most:
                put(f"if i >= {resource.at_most} and b.born == 'fhir': b.leave({resource.name!r}, r); continue")
            put("i += 1")
            put(f"p = f'{resource.each}[{{i}}].'")
            for one in resource.rules:
                if isinstance(one, Rule):
                    self._rule(one, "r", repr(f"{resource.name}.{one.name}"), "p", resource.each)
            self._written(resource.rules, "r", resource.name)
            self.out.depth -= 1
        self.out.depth -= 1

    def _found(self, resource: Resource) -> str:
        if resource.found == "$first":
            return "b.entry(0)"
        if not resource.found:
            return "None"
        if resource.found_by:
            return f"b.last({self._all_found(resource)})"
        start, path = self._leading(resource)
        if resource.found.endswith("[*]"):
            return f"b.first_fit(b.resources[{start!r}], {path}, {resource.type!r}, {resource.profile!r})"
        return f"b.first(b.resources[{start!r}], {path})"

    def _all_found(self, resource: Resource) -> str:
        if resource.found_by:
            return f"b.pointing({resource.type!r}, {resource.found_by!r}, {resource.found!r})"
        start, path = self._leading(resource)
        return f"b.distinct(b.nodes(b.resources[{start!r}], {path}))"

    def _leading(self, resource: Resource) -> tuple[str, str]:
        start, _, rest = resource.found.partition(".")
        path = paths.parse(rest + ".resolve()", self.document.slices)
        return start, self.out.keep(f"P_{resource.name}", path)

    def _entry(self, rule: Rule | Each | Derived | Refs, resource: str) -> None:
        if isinstance(rule, Refs):
            return None  # references are followed where resources are found, and say nothing of their own
        if isinstance(rule, Derived):
            return self._derived(rule, resource)
        if isinstance(rule, Each):
            return self._each(rule, resource)
        return self._rule(rule, "r", repr(f"{resource}.{rule.name}"), "''")

    def _derived(self, rule: Derived, resource: str) -> None:
        values = self.out.keep(f"D_{rule.name}", self._path(f"{rule.of.partition('.')[2]}[*].{rule.value}"))
        target = self.out.keep(f"T_{rule.name}", self._path(f"{rule.target}.{rule.position}"))
        source = rule.of.partition(".")[0]
        self.put(f"b.derived(r, {target}, b.resources[{source!r}], {values}, {resource + '.' + rule.name!r})")

    def _path(self, text: str) -> paths.Path:
        return paths.parse(text, self.document.slices)

    def _each(self, each: Each, resource: str) -> None:
        put = self.put
        put(f"# {resource}.{each.name} ({each.at.file}:{each.at.line})")
        items = self.out.keep(f"E_{resource}_{each.name}", self._path(each.target))
        condition = f" if b.born == {each.born!r} else ()" if each.born else ""
        put("i = 0")
        put(f"for n in b.nodes(r, {items}){condition}:")
        self.out.depth += 1
        if each.when_fhir:
            put(f"if not ({self._fhir_guard(each.when_fhir, 'n')}): continue")
        put("i += 1")
        put(f"p = f'{each.group}[{{i}}].'")
        for rule in each.rules:
            self._rule(rule, "n", repr(f"{resource}.{each.name}.{rule.name}"), "p", each.group)
        self._written(each.rules, "n", f"{resource}.{each.name}")
        self.out.depth -= 1

    def _written(self, rules: list[Any], scope: str, name: str) -> None:
        """What slices with a pattern write of their own accord says nothing on the way back."""
        found: dict[tuple[paths.Step, ...], None] = {}
        for rule in rules:
            columns = rule.fhir_columns.values() if isinstance(rule, Rule) else ()
            for target in filter(None, (rule.target, *columns)):
                path = self._path(target)
                found.update({path[: n + 1]: None for n, s in enumerate(path) if s.slice is not None and s.slice.on})
        for path in found:
            self.put(f"b.written({scope}, {self.out.keep(self.out.name('W'), path)}, {name!r})")

    def _rule(self, rule: Rule, scope: str, name: str, prefix: str, group: str = "") -> None:
        if not rule.back:
            if (rule.target or (rule.map and rule.also)) and not rule.keep:
                kept = self.out.keep(self.out.name("R"), Plan(rule, self))
                self.put(f"if b.born == 'letter': b.rebuilt({scope}, {kept}, {name})")
            return
        conditions = []
        if rule.born:
            conditions.append(f"b.born == {rule.born!r}")
        if rule.when and rule.const is None and not _of_itself(rule):
            conditions.append(self._letter_guard(rule.when, group))
        if rule.when_fhir:
            conditions.append(self._fhir_guard(rule.when_fhir, scope))
        call = self._call(rule, scope, name, prefix, group)
        if not call:
            return
        comment = f"  # {name.strip(chr(39))} ({rule.at.file}:{rule.at.line})"
        if conditions:
            self.put(f"if {' and '.join(conditions)}: {call}{comment}")
        else:
            self.put(call + comment)

    def _call(self, rule: Rule, scope: str, name: str, prefix: str, group: str) -> str:
        kept = self.out.keep(self.out.name("R"), Plan(rule, self))
        if rule.const is not None:
            # One that depends on the letter is checked by the rule that carries what it depends on.
            return "" if rule.when else f"b.constant({scope}, {kept}, {name})"
        if rule.ref or rule.id:
            return f"b.identity({scope}, {kept}, {name})" if rule.id else ""
        if rule.keep:
            return f"b.keep({scope}, {kept}, {name}, {prefix})"
        if rule.map:
            return f"b.map({scope}, {kept}, {name}, {prefix}, {group!r})"
        if rule.value:
            return f"b.value({scope}, {kept}, {name}, {prefix}, {group!r})"
        if rule.line:
            return f"b.line({scope}, {kept}, {name})"
        if rule.claims_fhir and not rule.target:
            return f"b.give_up({kept}, {name})"
        if rule.absent and not rule.sources:
            return ""  # the letter has no field for it: what stands there is one of `not_carried`
        return f"b.take({scope}, {kept}, {name}, {prefix}, {group!r})"

    def _letter_guard(self, text: str, group: str) -> str:
        def value_of(path: str) -> str:
            if path.startswith("$"):
                return "None"
            if group and path.startswith(group + "."):
                return f"b.values.get(p + {path[len(group) + 1 :]!r})"
            return f"b.values.get({path!r})"

        return guards.compile_guard(text, value_of)

    def _fhir_guard(self, text: str, scope: str) -> str:
        def value_of(path: str) -> str:
            if path == "born":
                return "b.born"
            start, compiled = self.located(path, scope)
            return f"b.text({start}, {self.out.keep(self.out.name('G'), compiled)})"

        return guards.compile_guard(text, value_of)

    def located(self, path: str, scope: str) -> tuple[str, paths.Path]:
        """The expression that a path starts from, and its steps."""
        start, steps = locate(self.document, path.removeprefix("."))
        if start.startswith("$"):
            return f"b.selected({start[1:]!r})", steps
        return (f"b.resources[{start!r}]" if start else scope), steps


def _of_itself(rule: Rule) -> bool:
    """Whether the guard asks only for the leaf that the rule fills: on the way back, what fills it is there or not."""
    return rule.forward and {path.removeprefix("/") for path in guards.guard_paths(rule.when)} <= set(rule.sources)


def _family(resource: Resource) -> tuple[str, ...]:
    """What resources that are taken together have in common."""
    return (resource.each, resource.found_by, resource.found) if resource.each else ("", resource.name)


class Plan:
    """A rule with its paths parsed, its code map looked up and its template read, as `Taking` wants it."""

    def __init__(self, rule: Rule, writer: _Writer) -> None:
        document = writer.document
        backwards = any(rule is one for one in document.back_rules)
        if backwards:
            text = rule.sources[0] if rule.sources else ""
            self.leaves = tuple(p.strip() for p in rule.target.strip("[]").split(",")) if rule.target else ()
        else:
            text, self.leaves = rule.target, rule.sources
        self.rule = rule
        self.loss = rule.loss if backwards else ""
        self.place, self.path = locate(document, text) if text and not rule.line else ("", ())
        self.list = bool(self.path) and self.path[-1].selector == "*" and rule.codec.name == "joined_names"
        self.default = rule.default if rule.default is not None else writer.defaults.get(id(rule))
        self.claims = [locate(document, p) for p in rule.claims_fhir]
        self.arguments = tuple(writer.codes[a].keys() if a in writer.codes else a for a in rule.arguments)
        self.hint = locate(document, rule.hint) if rule.hint else None
        self.columns: list[tuple[str, paths.Path]] = []
        self.table: Mapping[tuple[str, ...], Mapping[str, str]] = {}
        if rule.map:
            columns = tuple(rule.fhir_columns)
            self.columns = [locate(document, p) for p in rule.fhir_columns.values()]
            self.table = writer.codes[rule.map].table(columns, back=True)
        self.template: thread.Template = ()
        if rule.line:
            self.template = thread.parse_template(rule.line, document.slices, writer.codes, document.resources)

    def start(self, b: Taking, scope: Node | None) -> Node | None:
        """The node that the rule's path starts from."""
        if self.place.startswith("$"):
            return b.selected(self.place[1:])
        return b.resources.get(self.place) if self.place else scope

    def convert(
        self, b: Taking, value: Any, leaves: list[str], lost: bool
    ) -> tuple[list[tuple[str, Value]] | None, bool]:
        """The values of the letter's leaves and whether something was lost; None where the codec cannot take it."""
        codec = self.rule.codec
        arguments: tuple[Any, ...] = self.arguments
        if codec.name in ("same_as", "other_than"):
            arguments = ("",)
        if self.hint is not None and b.born == "letter":
            hint = b.text(b.resources.get(self.hint[0]), self.hint[1])
            arguments = (*arguments, hint)
        if codec.back is None:
            return None, lost
        result = codec.back(value, *arguments, born=b.born) if codec.born else codec.back(value, *arguments)
        if codec.lossy_back:
            result, inner = result
            lost = lost or inner
        if result is None:
            return None, lost
        values = result if isinstance(result, tuple) and len(leaves) > 1 else (result,)
        return list(_each_value(zip(leaves, values, strict=True))), lost


def _each_value(pairs: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Value]]:
    """The values that are there by leaf; a list fills the repetitions that `[*]` stands for."""
    for leaf, value in pairs:
        if isinstance(value, list):
            yield from ((leaf.replace("[*]", f"[{n}]"), one) for n, one in enumerate(value, 1))
        elif value is not None:
            yield leaf, value


def locate(document: Document, path: str) -> tuple[str, paths.Path]:
    """Where a path starts (a resource's name, `$selection`, or "" for the present item) and its steps."""
    first, _, rest = path.partition(".")
    if first.startswith("$") or first in document.resources:
        return first, paths.parse(rest, document.slices) if rest else ()
    return "", paths.parse(path, document.slices)


def _defaults(document: Document) -> dict[int, str]:
    """Default values by rule: left out again on the way back, whichever rule of the same target reads them."""
    scopes = [[r for r in resource.rules if isinstance(r, Rule)] for resource in document.resources.values()]
    scopes += [r.rules for resource in document.resources.values() for r in resource.rules if isinstance(r, Each)]
    found = {}
    for rules in scopes:
        defaults = {rule.target: rule.default for rule in rules if rule.default is not None}
        found.update({id(rule): defaults[rule.target] for rule in rules if rule.target in defaults})
    return found


def compile_back(document: Document, codes: Mapping[str, CodeMap]) -> dict[str, Any]:
    """The parts of the section `back` that are not rules, with their paths and lines compiled."""
    sections: dict[str, Any] = {str(k): v for k, v in document.back.items() if k != "rules"}
    sections["fold"] = [_folded(fold, document, codes) for fold in document.fold]
    sections["kept"] = {d.leaf for d in document.declared if d.keep}
    sections["lines"] = lru_cache(maxsize=2048)(partial(_lines_about, document))
    if "thread" in sections:
        section = dict(sections["thread"])
        section["compiled"] = [_piece(entry, document, codes) for entry in section["text"]]
        section["paths"] = {
            "payloads": locate(document, section["payloads"])[1],
            "named": locate(document, section["named"])[1],
            "key": paths.parse(section["key"], document.slices),
            "date": paths.parse(section["date"], document.slices),
        }
        sections["thread"] = section
    return sections


def _lines_about(document: Document, path: str) -> list[Mapping[str, str]]:
    """The lines of `not_carried` about an element or one that it stands below, in their order."""
    return [line for line in document.not_carried if f"{path}.".startswith(f"{line['path']}.")]


def _folded(fold: Fold, document: Document, codes: Mapping[str, CodeMap]) -> Callable[[Taking], None]:
    """One line of `fold` as a function."""
    template = thread.parse_template(fold.rule.line, document.slices, codes, document.resources)
    condition = _condition(fold.rule.when_fhir or None, document)
    start, path = locate(document, fold.each) if fold.each else ("", ())

    def run(b: Taking) -> None:
        if not condition(b):
            return
        if fold.within:
            b.end(fold.rule, template, fold.within)
        elif not fold.each:
            b.fold(fold.rule, template, None)
        nodes = b.selections.get(start[1:], []) if start.startswith("$") else b.nodes(b.resources.get(start), path)
        for node in nodes:
            if not fold.type or (isinstance(node.value, dict) and node.value.get("resourceType") == fold.type):
                b.fold(fold.rule, template, node)

    return run


def _piece(entry: Any, document: Document, codes: Mapping[str, CodeMap]) -> Callable[[thread.Thread], None]:
    """One step of composing the text, as a function."""
    loss = str(entry.get("loss", ""))
    if entry.get("own") == "text":
        return thread.Thread.own
    lines = [_line(text, document, codes) for text in entry.get("lines", [entry.get("line", "")])]
    if "each" not in entry:
        condition = _condition(entry.get("when_fhir"), document)
        return lambda t: _write(t, lines, loss, None) if condition(t.b) else None
    each, heading = str(entry["each"]), str(entry.get("heading", ""))
    if each in ("earlier", "files_without_content", "spilled"):
        return lambda t: _repeat(t, t.b.spilled if each == "spilled" else t.b.selections[each], heading, lines, loss)
    start, path = locate(document, each)
    return lambda t: _repeat(t, t.b.nodes(t.b.resources.get(start), path), heading, lines, loss)


def _line(text: Any, document: Document, codes: Mapping[str, CodeMap]) -> thread.Template | None:
    """A line's template; None stands for the payload's own text."""
    if isinstance(text, dict):
        return None
    return thread.parse_template(str(text), document.slices, codes, document.resources)


def _condition(text: Any, document: Document) -> Callable[[Taking], bool]:
    if text is None:
        return lambda b: True
    located: list[tuple[str, paths.Path]] = []

    def value_of(path: str) -> str:
        located.append(locate(document, path))
        return f"v({len(located) - 1})"

    code = compile(guards.compile_guard(str(text), value_of), "<guard>", "eval")

    def holds(b: Taking) -> bool:
        def v(number: int) -> str | None:
            start, path = located[number]
            node = b.selected(start[1:]) if start.startswith("$") else b.resources.get(start)
            return b.text(node, path)

        return bool(eval(code, {"v": v, "__builtins__": {}}))  # noqa: S307 - our own guard, compiled above

    return holds


def _repeat(t: thread.Thread, nodes: list[Node], heading: str, lines: list[thread.Template | None], loss: str) -> None:
    if nodes and heading:
        t.blocks[-1].append(heading)
    for node in nodes:
        _write(t, lines, loss, node)


def _write(t: thread.Thread, lines: list[thread.Template | None], loss: str, scope: Node | None) -> None:
    for line in lines:
        if line is None and scope is not None:
            t.content(scope, "folded-to-text", loss)
        elif line is not None:
            t.line(line, loss, scope)
