"""Invariants (ElementDefinition.constraint): compiled from their FHIRPath, and the report of a broken one.

Where a few lines of Python are faster than what the compiler makes, a native function stands in for an expression. It
is registered under the invariant's key *and* the digest of its expression, since the same key stands for different
expressions in different versions. What can be neither compiled nor decided is counted as *not checked*.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from converter.fhir.elements import Site
from converter.fhir.fhirpath import reading
from converter.fhir.fhirpath.direct import Names
from converter.fhir.fhirpath.general import Unsupported
from converter.fhir.fhirpath.model import Model
from converter.fhir.fhirpath.rules import Rule, compile_rule, direct_text
from converter.fhir.fhirpath.scope import Scope
from converter.fhir.fhirpath.values import Item, Undecided
from converter.fhir.rules.binding import Codes
from converter.fhir.rules.references import contained
from converter.fhir.run import UNCHECKED_RULE, Run
from converter.issues import Severity, declare

if TYPE_CHECKING:
    from converter.fhir.profiles import Pack
    from converter.fhir.source import Source

BROKEN = declare(
    "PRO042",
    "invariant-broken",
    Severity.ERROR,
    "the rule {key} of {element} is broken",
    why="The profile makes this rule because receivers rely on it.",
    help="Read the rule under its key in the guide; the finding names the profile and the element. A key that ends in "
    "@VERSION is a rule of a coming version of the guide, which is only a warning until then.",
    source="FHIR R4, ElementDefinition.constraint",
    example="dom-2: a contained resource that contains resources itself",
)

Check = Callable[[Any, Run], bool]


@dataclass(frozen=True, slots=True)
class Place:
    """Where an invariant stands: the names of value and pointer in the generated code, and who speaks.

    `known`: the short way comes first, and may have come far enough to know that it is kept.
    """

    value: str
    pointer: str
    site: Site
    known: bool = False


_AROUND = frozenset({"resolve", "conformsTo", "memberOf"})
_native: dict[tuple[str, str], tuple[Check, str]] = {}
_sure: dict[Check, str] = {}
INLINE_NAMES = {**reading.NAMES, "ONE": (None,)}


def native(*keys: str, when: str = "", sure: str = "") -> Callable[[Check], Check]:
    """Register a function as an invariant. Each key is `key/digest`; a result of False breaks the rule.

    `when` names an element without which the rule holds, so that the function need not be called. `sure` is a condition
    over the value `{}` and the Run `x` under which a sound value certainly keeps the rule: what it raises counts as no.

    The function gets the value of the element (an object, or a primitive; None if a primitive has only extensions) and
    must bear any JSON in it: wrong types are reported elsewhere.
    """

    def register(check: Check) -> Check:
        for text in keys:
            key, _, digest = text.rpartition("/")
            if (key, digest) in _native:
                raise ValueError(f"registered twice: {text}")
            _native[key, digest] = (check, when)
        if sure:
            _sure[check] = sure
        return check

    return register


def check_of(rule: dict[str, Any], kind: str, pack: Pack) -> tuple[Check | None, str]:
    """The function of a rule for elements of a type (None: there is none), and the element that it speaks of."""
    known = _native.get((rule["key"], rule["digest"]))
    if known is not None:
        return known
    made = compiled(rule, kind, pack)
    return (made.judge, made.guard) if made else (None, "")


def compiled(rule: dict[str, Any], kind: str, pack: Pack) -> Rule | None:
    """A rule compiled from its FHIRPath tree. The same expression on the same type is one function."""
    identity = rule["digest"], kind
    if identity not in pack.path_rules:
        name = f"<rule {rule['key']} {rule['digest']} of {kind}>"
        try:
            pack.path_rules[identity] = compile_rule(rule["tree"], kind, pack.paths, Asked, name)
        except Unsupported:
            pack.path_rules[identity] = None
    return pack.path_rules[identity]


def inline(rule: dict[str, Any], kind: str, pack: Pack, names: Names) -> tuple[str, bool, bool]:
    """An expression under which a rule certainly holds (empty: there is none), whether it needs a scope, and whether
    it is all of the rule.

    It may raise any of `reading.FAULTS`: not certain.
    """
    made = None if (rule["key"], rule["digest"]) in _native else compiled(rule, kind, pack)
    if made is None:
        return "", False, False
    return *direct_text(made, rule["tree"], kind, pack.paths, names), made.direct


def looks_around(rule: dict[str, Any]) -> bool:
    """Whether a rule may ask for more than what is in the value that it is about."""
    waiting = [rule["tree"]]
    for part in waiting:  # which grows
        if not isinstance(part, list) or part[:1] == ["constant"] or (part[:1] == ["call"] and part[2] in _AROUND):
            return True
        waiting.extend(inner for inner in part if isinstance(inner, list))
    return False


def sure(check: Check, value: str) -> str:
    """The condition under which a native rule certainly holds; empty if there is none."""
    return f"({_sure[check].format(value)})" if check in _sure else ""


class Asked(Scope):
    """What an expression may ask of the validation that it is a part of."""

    __slots__ = ("run", "value")

    def __init__(self, value: Any, run: Run) -> None:
        self.value = value
        self.run = run

    @property
    def model(self) -> Model:
        """The types of the pack."""
        return self.run.pack.paths

    @property
    def resource(self) -> Any:
        """The innermost resource that the value belongs to."""
        return _holder(self.value, self.run)

    @property
    def root(self) -> Any:
        """The entry's resource, which may contain others."""
        return self.run.current.resource

    def resolve(self, reference: str) -> dict[str, Any] | None:
        """By fullUrl; rules of a Bundle stand in no entry, so type and id count as well."""
        run = self.run
        entry = run.near.get(reference)
        if entry is None:
            if reference[:1] == "#":
                return contained(run, reference)
            entry = run.by_url.get(reference) or run.by_url.get(run.current.base + reference)
            entry = entry or run.by_type_id.get(reference)
        return entry.resource if entry else None

    def typed(self, bundle: dict[str, Any], kind: str) -> list[Any]:
        """From the index, if it is the Bundle that is validated."""
        return self.run.by_type.get(kind, []) if bundle is self.run.root else super().typed(bundle, kind)

    def conforms(self, item: Any, canonical: str) -> bool:
        """By the profile's own function; only entries of the Bundle are judged apart."""
        run = self.run
        key = run.pack.exact(canonical)
        entry = run.by_resource.get(id(item.value)) if isinstance(item, Item) else None
        if key is None or entry is None:
            raise Undecided(canonical)
        return run.pack.profile_facts(key)["type"] == entry.type and run.conforms(entry, key)

    def member(self, items: list[Any], canonical: str) -> bool:
        """By the expansion in the pack."""
        codes = self.run.pack.value_set(canonical)
        if codes is None:
            raise Undecided(canonical)
        answers = [_holds(codes, item.value) for item in items if isinstance(item, Item)]
        if True not in answers and None in answers:
            raise Undecided(canonical)
        return True in answers

    def undecided(self, what: str) -> bool:
        """Leave a mark: what looks broken is only not known."""
        self.run.undecided = True
        return False


def _holder(value: Any, run: Run) -> Any:
    """The resource that a value belongs to: the innermost one."""
    if value.__class__ is dict and "resourceType" in value:
        return value
    resource = run.current.resource
    for inner in objects(resource.get("contained")) if "contained" in resource else ():
        if _within(value, inner):
            return inner
    return resource


def _within(value: Any, resource: Any) -> bool:
    """Whether an object is a part of a resource (itself, not its like)."""
    waiting = [resource]
    while waiting:
        item = waiting.pop()
        if item is value:
            return True
        if item.__class__ is dict:
            waiting.extend(v for v in item.values() if v.__class__ in (dict, list))
        else:
            waiting.extend(v for v in item if v.__class__ in (dict, list))
    return False


def _holds(codes: Codes, value: Any) -> bool | None:
    """Whether a code, Coding or CodeableConcept is in a value set; None if that cannot be said."""
    if isinstance(value, str):
        return codes.holds_code(value)
    if not isinstance(value, dict):
        return False
    if "coding" in value:
        answers = [codes.holds(c.get("system"), c.get("code")) for c in objects(value["coding"])]
        return True if True in answers else None if None in answers else False
    return codes.holds(value.get("system"), value.get("code"))


def emit_invariant(source: Source, rule: dict[str, Any], check: Check | None, when: str, place: Place) -> None:
    """Code that runs an invariant, or counts it as not checked."""
    site = place.site
    if check is None:
        source(f"x.skip(UNCHECKED_RULE, {site.profile!r}, {rule['key']!r})")
    elif check is not always:
        here = source.constant(Site(site.profile, site.element, rule["key"]), "S")
        name = source.constant(check, "RULE")
        warning = "" if rule["severity"] == "error" else ", WARNING"
        value = place.value
        guard = "not x.ruled and " if place.known else ""
        guard += f"({when!r} in {value} or '_{when}' in {value}) and " if when else ""
        with source.block(f"if {guard}not {name}({value}, x):"):
            source(f"unmet({place.pointer}, x, {here}{warning})")


def unmet(pointer: str, run: Run, site: Site, severity: Severity | None = None) -> None:
    """Report a rule that does not hold, or count it if that could not be decided."""
    if run.undecided:
        run.undecided = False
        run.skip(UNCHECKED_RULE, site.profile, site.key)
    else:
        run.add(BROKEN, pointer, site, key=site.key, element=site.leaf, severity=severity)


def listed(value: Any) -> list[Any]:
    """A repeating element as a list whatever the JSON holds."""
    return value if isinstance(value, list) else []


def objects(value: Any) -> list[dict[str, Any]]:
    """The objects of a repeating element."""
    return [v for v in value if isinstance(v, dict)] if isinstance(value, list) else []


def always(value: Any, run: Run) -> bool:
    """For rules that are checked elsewhere (structure, narrative, Bundle)."""
    return True


# Checked by structure.py (nothing empty), narrative.py (XHTML) and bundles.py (fullUrl).
for _key in ("txt-1/dfc2861c", "txt-2/dfc2861c"):
    native(_key)(always)
# `entry.ofType(MessageHeader).all(…)` and its like: no entry is a resource, so they are about nothing.
OF_NO_ENTRY = frozenset(
    {"medcom-messaging-1/fa4fe99e", "medcom-messaging-3/e82610eb", "medcom-hospitalNotification-1/df94b1d7"}
)
for _key in OF_NO_ENTRY:
    native(_key)(always)
