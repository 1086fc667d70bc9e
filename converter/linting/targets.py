"""FHIR paths of mapping files against the profiles: elements, lists, slices, values, references."""

from __future__ import annotations

from typing import Any

from converter.fhir.elements import ABSENT
from converter.issues import Location, Severity, declare
from converter.linting.scope import Scope, Written
from converter.linting.shapes import Place, Unknown
from converter.mapping import guards, paths
from converter.mapping.document import Derived, Each, Refs, Resource, Rule

NO_PROFILE = declare(
    "LNT110",
    "unknown-profile",
    Severity.ERROR,
    "{problem}",
    why="Nothing of what the resource holds can be checked, and receivers could not check it either.",
    help="Compare the profile with `medcom-fhir profiles list`; the Bundle's profile must be of a pack.",
)
NO_ELEMENT = declare(
    "LNT111",
    "target-unknown",
    Severity.ERROR,
    "{problem}",
    why="A value would be written where no receiver looks, or never be found on the way back.",
    help="Compare the path with the profile; `value[x]` is written with its type: `valueString`.",
)
FORBIDDEN = declare(
    "LNT112",
    "element-forbidden",
    Severity.ERROR,
    "the profile allows {element} {most} times at most",
    why="Every message with that value would break its profile.",
    help="Write the value elsewhere, or declare it as lost.",
)
NOT_A_LIST = declare(
    "LNT113",
    "list-and-single",
    Severity.ERROR,
    "{element} {problem}",
    why="The JSON would have a list where FHIR wants one value, or one value for a list.",
    help="A list is written with a number, a slice or `*` in brackets, `name[0]`; a single element without.",
)
REPEATED = declare(
    "LNT114",
    "repeat-into-single",
    Severity.ERROR,
    "{element} takes {most} at most, and is fed by every {group} of the letter",
    why="A letter with more repetitions would give a message that breaks its profile.",
    help="Choose one repetition, or a target that repeats.",
)
NOT_FIXED = declare(
    "LNT115",
    "fixed-value-contradicted",
    Severity.ERROR,
    "{element} is fixed to another value by the profile ({wanted})",
    why="Every message would break its profile.",
    help="Write the value that the profile fixes.",
)
NOT_BOUND = declare(
    "LNT116",
    "code-outside-binding",
    Severity.ERROR,
    "the code {code!r} for {element} is not of the required value set {value_set}",
    why="Receivers know only the codes of this value set.",
    help="Use one of its codes, with the code system that it names.",
)
WRONG_KIND = declare(
    "LNT118",
    "value-and-object",
    Severity.ERROR,
    "{element} {problem}",
    why="The JSON would not be FHIR.",
    help="Go on with the path to an element that holds a value, or give an object.",
)
WRONG_REFERENCE = declare(
    "LNT120",
    "reference-type-not-allowed",
    Severity.ERROR,
    "{element} may refer to {allowed}, and {name!r} is a {type}",
    why="Every message would break its profile.",
    help="Refer to a resource of a type that the profile allows.",
)


def check(scope: Scope) -> None:
    """All targets of the way there, and all paths that the way back and its guards look at."""
    if scope.shapes is None:
        return
    _Targets(scope).check()


class _Targets:
    def __init__(self, scope: Scope) -> None:
        assert scope.shapes is not None
        self.scope, self.shapes, self.document = scope, scope.shapes, scope.document
        self.slices = scope.document.slices

    def check(self) -> None:
        for resource in self.document.resources.values():
            self._resource(resource)
        for resource, one in self.scope.lists():
            self._list(resource, one)
        for written in self.scope.rules():
            self._written(written)
        for rule in self.document.back_rules:
            self._back(rule)
        self._rest()

    # -- where paths start

    def _start(self, written: Written) -> Place | None:
        if written.resource is None:
            return self.scope.bundle
        root = self.scope.resource(written.resource.name)
        if root is None or written.each is None:
            return root
        try:
            return self.shapes.walk(root, self._parse(written.each.target))
        except Unknown:
            return None

    def _parse(self, text: str) -> paths.Path:
        return paths.parse(text, self.slices)

    def _located(self, text: str, start: Place | None) -> tuple[Place | None, paths.Path]:
        """Where a path of the way back starts: a resource, a selection, else the place at hand."""
        first, _, rest = text.removeprefix(".").partition(".")
        if first in self.document.resources:
            return self.scope.resource(first), self._parse(rest) if rest else ()
        if first.startswith("$"):
            return self._selection(first), self._parse(rest) if rest else ()
        return start, self._parse(text.removeprefix("."))

    def _selection(self, name: str) -> Place | None:
        if name.removeprefix("$") in self.document.resources:
            return self.scope.resource(name.removeprefix("$"))
        section = self.document.back.get("thread")
        if section is None:
            return None
        start, path = self._located(str(section["payloads"]), None)
        try:
            return self.shapes.walk(start, path) if start else None
        except Unknown:
            return None

    # -- resources and lists

    def _resource(self, resource: Resource) -> None:
        root = self.scope.resource(resource.name)
        if root is None:
            problem = f"no pack holds the profile {resource.profile or resource.type!r}"
            self.scope.add(NO_PROFILE, resource.at, rule=resource.name, problem=problem)
        elif root.node.id != resource.type:
            problem = f"the profile is one of {root.node.id}, not of {resource.type}"
            self.scope.add(NO_PROFILE, resource.at, rule=resource.name, problem=problem)
        if resource.when_fhir:
            self._guard(resource.when_fhir, root, resource.at, resource.name)
        if resource.found_by and root is not None:
            self._look(root, self._parse(resource.found_by), resource.at, resource.name)
        elif resource.found and not resource.found.startswith("$"):
            start, path = self._located(resource.found, None)
            self._refers(self._look(start, path, resource.at, resource.name), resource.name, resource.at, resource.name)

    def _list(self, resource: Resource, one: Each | Derived | Refs) -> None:
        root, name = self.scope.resource(resource.name), f"{resource.name}.{one.name}"
        place = self._target(root, self._parse(one.target), one.at, name, list_=True)
        if isinstance(one, Each):
            self._each(one, place, name)
        elif isinstance(one, Refs):
            place = self._target(place, self._parse(one.position), one.at, name) if one.position else place
            for target in one.names:
                self._refers(place, target, one.at, name)
        elif place is not None:
            self._target(place, self._parse(one.position), one.at, name)
            start, path = self._located(one.of, None)
            items = self._look(start, path, one.at, name)
            self._look(items, self._parse(one.value), one.at, name)

    def _each(self, one: Each, place: Place | None, name: str) -> None:
        if place is None:
            return
        self._repeats(place, one.group, one.at, name)
        if one.when_fhir:
            self._guard(one.when_fhir, place, one.at, name)
        for text in (*one.anchor, *(one.at_least[1:2] if one.at_least else ())):
            self._look(place, self._parse(text), one.at, name)

    def _repeats(self, place: Place, group: str, at: Location, name: str) -> None:
        element = self.scope.letters.element(group) if self.scope.letters else None
        most = place.node.max
        if element is not None and most is not None and (element.max is None or element.max > most):
            self.scope.add(REPEATED, at, rule=name, letter=group, element=place.node.id, most=most, group=group)

    # -- rules

    def _written(self, written: Written) -> None:
        rule, start = written.rule, self._start(written)
        at = rule.place("to", "fhir", "from")
        for column in rule.fhir_columns.values():
            self._column(rule, column, start, written.name)
        if rule.target and not rule.fhir_columns:
            path = self._parse(rule.target)
            if rule.forward and not rule.keep:
                place = self._target(start, path, at, written.name)
                if place is not None:
                    self._value(rule, place, at, written.name)
            else:
                self._look(start, path, at, written.name)
        if rule.when_fhir:
            self._guard(rule.when_fhir, start, rule.place("when_fhir"), written.name)
        for path_text in rule.claims_fhir:
            self._look(*self._located(path_text, start), rule.place("claims_fhir"), written.name)
        if rule.hint:
            self._look(*self._located(rule.hint, start), rule.place("hint"), written.name)

    def _column(self, rule: Rule, text: str, start: Place | None, name: str) -> None:
        at = rule.place("fhir")
        if rule.forward:
            place = self._target(start, self._parse(text), at, name)
            if place is not None and not place.primitive:
                self.scope.add(WRONG_KIND, at, rule=name, element=place.node.id, problem="holds an object, not a code")
        else:
            self._look(*self._located(text, start), at, name)

    def _back(self, rule: Rule) -> None:
        name, at = f"back.{rule.name}", rule.place("from", "fhir")
        for text in (*(rule.sources[:1] if not rule.line else ()), *rule.fhir_columns.values(), *rule.claims_fhir):
            self._look(*self._located(text, self.scope.bundle), at, name)
        if rule.when_fhir:
            self._guard(rule.when_fhir, self.scope.bundle, rule.place("when_fhir"), name)

    def _value(self, rule: Rule, place: Place, at: Location, name: str) -> None:
        element = place.node.id
        if rule.ref:
            if place.code and place.code != "Reference":
                problem = f"is a {place.code}, not a reference"
                self.scope.add(WRONG_KIND, at, rule=name, element=element, problem=problem)
            else:
                self._refers(place, rule.ref, rule.place("ref"), name)
        elif rule.const is not None:
            self._constant(rule.const, place, rule.place("const"), name)
        elif not place.primitive and place.types:
            problem = f"is a {place.code or 'choice of types'}: a value cannot stand there"
            self.scope.add(WRONG_KIND, at, rule=name, element=element, problem=problem)

    # -- constants

    def _constant(self, const: Any, place: Place, at: Location, name: str) -> None:
        if isinstance(const, dict):
            if place.primitive:
                problem = "holds a value, not an object"
                self.scope.add(WRONG_KIND, at, rule=name, element=place.node.id, problem=problem)
                return
            self._coded(const, place, at, name)
            for key, value in const.items():
                below = self._step(place, key, at, name)
                for one in value if isinstance(value, list) else [value]:
                    if below is not None:
                        self._constant(one, below, at, name)
            return
        if not place.primitive and place.types:
            problem = f"is a {place.code or 'choice of types'}: a value cannot stand there"
            self.scope.add(WRONG_KIND, at, rule=name, element=place.node.id, problem=problem)
            return
        self._plain(const, place, at, name)

    def _plain(self, const: Any, place: Place, at: Location, name: str) -> None:
        wanted, element = place.fixed, place.node.id
        if wanted is not ABSENT and wanted != const:
            self.scope.add(NOT_FIXED, at, rule=name, element=element, wanted=wanted)
        if (place.code == "boolean") != isinstance(const, bool):
            problem = "is a boolean" if place.code == "boolean" else "is no boolean"
            self.scope.add(WRONG_KIND, at, rule=name, element=element, problem=problem)
        if place.node.binding and place.code == "code":
            codes = self.shapes.pack.codes(place.node.binding)
            if codes.holds_code(str(const)) is False:
                self.scope.add(NOT_BOUND, at, rule=name, element=element, code=const, value_set=codes.name)

    def _coded(self, const: dict[str, Any], place: Place, at: Location, name: str) -> None:
        """A coding against its value set, its pattern, and the code system that the pack holds."""
        element, code = place.node.id, const.get("code")
        if isinstance(place.fixed, dict):
            wrong = [
                v for k, v in place.fixed.items() if k in const and const[k] != v and not isinstance(v, dict | list)
            ]
            if wrong:
                self.scope.add(NOT_FIXED, at, rule=name, element=element, wanted=wrong[0])
        if code is None or "system" not in const:
            return
        bound = place.node.binding
        codes = self.shapes.pack.codes(bound) if bound else None
        system = self.shapes.pack.systems.get(str(const["system"]))
        if codes is not None and codes.holds(const["system"], code) is False:
            self.scope.add(NOT_BOUND, at, rule=name, element=element, code=code, value_set=codes.name)
        elif system is not None and code not in system:
            value_set = str(const["system"]).rpartition("/")[2]
            self.scope.add(NOT_BOUND, at, rule=name, element=element, code=code, value_set=value_set)

    # -- references

    def _refers(self, place: Place | None, target: str, at: Location, name: str) -> None:
        """Whether a reference may lead to a resource of the mapping."""
        resource = self.document.resources.get(target)
        kinds = [t for t in place.types if t.code == "Reference"] if place is not None else []
        if place is None or resource is None or not kinds or any(t.targets is None for t in kinds):
            return
        pack = self.shapes.pack
        every = [t for kind in kinds for t in kind.targets or ()]
        # A resource may conform to a profile that it does not name: only another type is surely wrong.
        types = {facts["type"] if (facts := pack.facts(t)) else t.partition("|")[0].rpartition("/")[2] for t in every}
        if types.isdisjoint({resource.type, "Resource"}):
            allowed = ", ".join(sorted(types))
            told = {"allowed": allowed, "name": target, "type": resource.type}
            self.scope.add(WRONG_REFERENCE, at, rule=name, element=place.node.id, **told)

    # -- following

    def _step(self, place: Place, name: str, at: Location, rule: str) -> Place | None:
        try:
            return self.shapes.step(place, name)
        except Unknown as error:
            self.scope.add(NO_ELEMENT, at, rule=rule, element=f"{place.node.id}.{error.name}", problem=error.reason)
            return None

    def _look(self, start: Place | None, path: paths.Path, at: Location, name: str) -> Place | None:
        """Follow a path that is read."""
        if start is None:
            return None
        try:
            return self.shapes.walk(start, path)
        except Unknown as error:
            self.scope.add(NO_ELEMENT, at, rule=name, element=error.name, problem=error.reason)
            return None

    def _target(
        self, start: Place | None, path: paths.Path, at: Location, name: str, *, list_: bool = False
    ) -> Place | None:
        """Follow a path that is written, in which every list names its item."""
        place = start
        for number, step in enumerate(path):
            below = self._step(place, step.name, at, name) if place is not None else None
            if below is None:
                return None
            place = self._item(below, step, at, name, list_=list_ and number == len(path) - 1)
        return place

    def _item(self, place: Place, step: paths.Step, at: Location, name: str, *, list_: bool) -> Place | None:
        node = place.node
        if node.max == 0:
            self.scope.add(FORBIDDEN, at, rule=name, element=node.id, most=0)
            return None
        if step.selector is None:
            if node.many and not list_:
                self.scope.add(NOT_A_LIST, at, rule=name, element=node.id, problem="is a list, and no item is named")
            return place
        if not node.many and node.max == 1:
            self.scope.add(NOT_A_LIST, at, rule=name, element=node.id, problem="is no list")
            return place
        if step.selector.isdigit() and node.max is not None and int(step.selector) >= node.max:
            self.scope.add(FORBIDDEN, at, rule=name, element=node.id, most=node.max)
        try:
            return self.shapes.select(place, step)
        except Unknown as error:
            self.scope.add(NO_ELEMENT, at, rule=name, element=node.id, problem=error.reason)
            return None

    def _guard(self, text: str, start: Place | None, at: Location, name: str) -> None:
        for path in guards.guard_paths(text):
            if path != "born":
                self._look(*self._located(path, start), at, name)

    # -- the rest of the way back

    def _rest(self) -> None:
        for fold in self.document.fold:
            for text in [fold.each] if fold.each else []:
                self._look(*self._located(text, None), fold.at, "back.fold")
        self._thread()

    def _thread(self) -> None:
        section = self.document.back.get("thread")
        if section is None:
            return
        for key, start in (("payloads", None), ("named", None), ("key", "$own_text"), ("date", "$own_text")):
            text, at = str(section[key]), getattr(section[key], "at", section.at)
            place = self._selection(start) if start else None
            self._look(*self._located(text, place), at, "back.thread")
