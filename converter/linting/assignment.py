"""Required elements of the profiles: written by some rule, and on every path that the guards allow."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from converter.fhir.elements import Node
from converter.issues import Location, Severity, declare
from converter.linting.scope import Scope
from converter.linting.shapes import Place, Unknown
from converter.linting.worlds import ALWAYS, CHOOSY, Worlds, fires
from converter.mapping import paths
from converter.mapping.document import Derived, Each, Refs, Resource, Rule

NEVER = declare(
    "LNT117",
    "required-element-missing",
    Severity.ERROR,
    "no rule writes {element}, which the profile requires",
    why="Every message would break its profile.",
    help="Add a rule that writes it, with a `default` or a constant if the letter has no such value.",
)
NOT_ALWAYS = declare(
    "LNT119",
    "required-element-not-on-every-path",
    Severity.ERROR,
    "{element} is required, and the guards of its rules leave letters in which none writes it",
    why="Messages of such letters would break their profile.",
    help="Add a rule for the other case, a `default`, or `absent: LOSS` where the value may be unknown.",
)
# What the engine writes: ids and profiles by itself, narratives after the mapping.
ENGINE = frozenset(["id", "meta", "text", "resourceType"])


@dataclass(slots=True)
class Writing:
    """What some rule writes below an object: the rest of its path, and what a slice or constant brings along."""

    path: paths.Path
    rule: Rule | Each | Derived | Refs | None
    value: Any = None
    at: Location = field(default_factory=Location)


def check(scope: Scope) -> None:
    """All objects that the way there writes."""
    if scope.shapes is None:
        return
    checker = _Checker(scope)
    for resource in scope.document.resources.values():
        checker.resource(resource)


class _Checker:
    def __init__(self, scope: Scope) -> None:
        assert scope.shapes is not None
        self.scope, self.shapes, self.worlds = scope, scope.shapes, Worlds(scope.letters, key=scope.document.key)
        self.slices = scope.document.slices
        self.told: set[tuple[str, str]] = set()
        self.group = self.outer = ""

    def resource(self, resource: Resource) -> None:
        """One resource with all that is in it."""
        root = self.scope.resource(resource.name)
        if root is None:
            return
        self.group = resource.each
        self._object(root, self._writings(resource.rules), resource.at, resource.name, self._exists(resource))

    def _writings(self, rules: list[Any]) -> list[Writing]:
        found = []
        for rule in rules:
            if isinstance(rule, Rule) and rule.forward and not rule.keep:
                columns = rule.fhir_columns.values() if rule.map else [rule.target] if rule.target else []
                found += [Writing(paths.parse(t, self.slices), rule, rule.const, rule.place("to")) for t in columns]
            elif not isinstance(rule, Rule):
                found.append(Writing(paths.parse(rule.target, self.slices), rule, None, rule.at))
        return found

    def _exists(self, resource: Resource) -> list[str]:
        """The guard under which the resource is written."""
        anchors = [f"{path} present" for path in resource.anchor]
        return [
            " and ".join(
                [*([f"({' or '.join(anchors)})"] if anchors else []), *([f"({w})" for w in [resource.when] if w])]
            )
        ]

    def _object(self, place: Place, writings: list[Writing], at: Location, name: str, given: list[str]) -> None:
        """Every required child of an object is written; `given` are the guards under which the object is."""
        children, key = self.shapes.children(place)
        for node in children.values():
            ours = [w for w in writings if w.path and w.path[0].name in node.names()]
            if node.name in ENGINE and not (node.name == "text" and ours):
                continue
            if node.min and not ours:
                self._missing(node, at, name)
            elif node.min:
                self._definite(node, ours, at, name, given)
            if ours:
                self._slices(Place(node, key), ours, at, name, given)
                self._below(node, key, ours, name)

    def _missing(self, node: Node, at: Location, name: str) -> None:
        if (name, node.id) not in self.told:
            self.told.add((name, node.id))
            self.scope.add(NEVER, at, rule=name, element=node.id)

    def _slices(self, place: Place, ours: list[Writing], at: Location, name: str, given: list[str]) -> None:
        """Every slice that the profile requires is written."""
        written: dict[str, list[Writing]] = {}
        for one in ours:
            try:
                written.setdefault(self.shapes.select(place, one.path[0]).node.id, []).append(one)
            except Unknown:
                continue
        for part in place.node.slices.values():
            if part.min and part.id in written:
                self._definite(part, written[part.id], at, name, given)
            elif part.min:
                # An unnamed item may be of any slice.
                loose = any(w.path[0].slice is None for w in ours)
                if not loose:
                    self._missing(part, at, name)

    def _below(self, node: Node, key: str, ours: list[Writing], name: str) -> None:
        """The same for the objects below, each item of a list for itself."""
        items: dict[tuple[str, str], list[Writing]] = {}
        for one in ours:
            items.setdefault((one.path[0].name, one.path[0].selector or ""), []).append(one)
        for together in items.values():
            step = together[0].path[0]
            kind = node.names().get(step.name)
            place = Place(node, key, kind if node.choice else None)
            try:
                place = self.shapes.select(place, step) if step.selector is not None else place
            except Unknown:
                continue
            whole = [w for w in together if len(w.path) == 1]
            rest = [Writing(w.path[1:], w.rule, w.value, w.at) for w in together if len(w.path) > 1]
            start = step.slice.start if step.slice is not None and not step.negated else {}
            rest += _constants(start, together[0].at)
            given: list[str] = []
            for one in whole:
                if isinstance(one.value, dict):
                    rest += _constants(one.value, one.at)
                elif isinstance(one.rule, Each):
                    rest += self._writings(list(one.rule.rules))
                    given = [fires(r) for r in one.rule.rules if r.target in one.rule.anchor]
                elif (isinstance(one.rule, Refs) and one.rule.position) or isinstance(one.rule, Derived):
                    rest.append(Writing(paths.parse(one.rule.position, self.slices), one.rule, None, one.at))
            reference = any((isinstance(w.rule, Rule) and w.rule.ref) or isinstance(w.rule, Refs) for w in whole)
            if not place.primitive and rest and not (reference and not rest):
                before, self.group = (
                    self.group,
                    next((w.rule.group for w in whole if isinstance(w.rule, Each)), self.group),
                )
                outer = self.outer
                self.outer = f"({' or '.join(f'({g})' for g in given)}) and " if given else outer
                self._object(place, rest, together[0].at, name, given or [f"{outer}({g})" for g in self._given(rest)])
                self.group, self.outer = before, outer

    def _given(self, writings: list[Writing]) -> list[str]:
        """The guards under which an object is written: those of its values; none where a value is always there."""
        rules = [w.rule for w in writings if isinstance(w.rule, Rule) and w.rule.const is None]
        return [fires(rule) for rule in rules if not (rule.ref or rule.id)]

    def _definite(self, node: Node, ours: list[Writing], at: Location, name: str, given: list[str]) -> None:
        """Whether some rule writes it in every world in which the object is written."""
        deep = [w for w in ours if len(w.path) > 1 or not isinstance(w.rule, Rule)]
        rules = [w.rule for w in ours if isinstance(w.rule, Rule)]
        if any(w.rule is None for w in ours) or (deep and node.max != 1):
            return
        if any(self._always(rule) for rule in rules) or any(r.codec.name in CHOOSY for r in rules):
            return
        guards = [fires(rule) for rule in rules]
        for start in given:
            start = start or ALWAYS
            if self.worlds.implies(start, guards, self.group) is False and (name, node.id) not in self.told:
                self.told.add((name, node.id))
                self.scope.add(NOT_ALWAYS, rules[0].place("when", "from"), rule=name, element=node.id)

    def _always(self, rule: Rule) -> bool:
        if rule.default is not None or rule.absent or rule.otherwise:
            return True
        if rule.ref:
            target = self.scope.document.resources.get(rule.ref)
            return not rule.when and (target is None or not target.when)
        return not rule.when and (rule.const is not None or bool(rule.id))


def _constants(value: Any, at: Location) -> list[Writing]:
    """What an object of constants writes."""
    if not isinstance(value, dict):
        return []
    found = []
    for key, child in value.items():
        selector = "0" if isinstance(child, list) else None
        step = (paths.Step(str(key), selector),)
        found.append(Writing(step, None, child[0] if isinstance(child, list) and child else child, at))
    return found
