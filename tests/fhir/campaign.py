"""A seeded campaign of mutants: each breaks one rule that the facts of the pack state, and knows which and where.

The facts are read here on their own, from the JSON of the pack: nothing of the compiler takes part, so a rule that the
compiler forgets is still broken here, and missed. A mutant names the codes of the findings of which one must be there
as an error, and the places at which it may be.
"""

from __future__ import annotations

import copy
import json
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from converter.fhir.packs import read_pack
from converter.fhir.profiles import Pack, Profile
from converter.issues import IssueLog, Severity
from tests.fhir.sites import (
    BASE,
    MALFORMED,
    MESSAGE,
    NUMBERS,
    PACKS,
    PRIMITIVES,
    Change,
    Facts,
    Mutant,
    Object,
    Site,
    Steps,
    at,
    names_of,
    pointer,
    sites,
    slices_of,
)

# -- Mutators: from a place and its element to changes that break it --


def mutants(bundle: Object, facts: Facts, profile: str) -> Iterator[Mutant]:
    """Every mutant of a Bundle."""
    for site in sites(bundle, facts, profile):
        element = site.facts["id"]
        for mutator in MUTATORS:
            for kind, change, codes, places in mutator(site, facts, bundle):
                narrower = PINNED if kind in VALUES else frozenset()
                yield Mutant(kind, element, change, narrower.union(codes.split()), frozenset(places))
        for kind in INVARIANTS:
            yield from _invariants(site, facts, kind)
    yield from _sliced(bundle, facts, profile)
    yield from _entries(bundle)
    other = {"message": "bdl-11", "document": "bdl-12"}.get(bundle["type"])  # a rule about the other kind of Bundle
    for key in facts.rules(facts.root(profile)):
        if key in OF_BUNDLES and key != other:
            yield Mutant("invariant", "Bundle", OF_BUNDLES[key], frozenset({"PRO042"}), frozenset({""}), key)


Found = tuple[str, Change, str, tuple[str, ...]]


def _set(steps: Steps, value: Any) -> Change:
    def change(bundle: Any) -> None:
        at(bundle, steps[:-1])[steps[-1]] = copy.deepcopy(value)

    return change


def _remove(steps: Steps, names: list[str]) -> Change:
    def change(bundle: Any) -> None:
        for name in names:
            at(bundle, steps).pop(name, None)
            at(bundle, steps).pop("_" + name, None)

    return change


def _append(steps: Steps, items: list[Any]) -> Change:
    def change(bundle: Any) -> None:
        owner = at(bundle, steps[:-1])
        owner[steps[-1]] = [*owner.get(steps[-1], []), *copy.deepcopy(items)]

    return change


def required(site: Site, facts: Facts, bundle: Object) -> Iterator[Found]:
    """Leave out what must be there. Without what a slice is known by, it is no such slice."""
    if site.facts.get("min") and site.present and site.decides.isdisjoint(site.names):
        # A list may be missed as the slice that a profile asks for; an extension without URL is unknown; an entry is
        # by its fullUrl.
        also = {"list": "PRO039", "fullUrl": "PRO047", "url": "PRO036"}
        codes = ["PRO023", *(c for k, c in also.items() if k in site.facts or k in site.names)]
        if site.owner.keys() <= {*site.names, "id"}:
            codes.append("PRO022")  # what is left is empty
        places = (site.here, *(f"{site.here}/{n}" for n in site.names))
        yield "required", _remove(site.steps, list(site.names)), " ".join(codes), places


def too_many(site: Site, facts: Facts, bundle: Object) -> Iterator[Found]:
    """One more than allowed: in a list, or a list where one value belongs."""
    most = site.facts.get("max", 1)
    for name in site.present:
        value, steps = site.owner[name], (*site.steps, name)
        if isinstance(value, list) and most:
            yield "max", _append(steps, [value[0]] * (most + 1 - len(value))), "PRO024", (site.here, pointer(steps))
        elif not isinstance(value, list):
            yield "several", _set(steps, [value, value]), "PRO020", (pointer(steps),)


def prohibited(site: Site, facts: Facts, bundle: Object) -> Iterator[Found]:
    """What the profile takes out of use."""
    if site.facts.get("max", 1) == 0 and not site.present:
        name = next(iter(site.names))
        yield "prohibited", _set((*site.steps, name), "odd"), "PRO025", (f"{site.here}/{name}",)


def retyped(site: Site, facts: Facts, bundle: Object) -> Iterator[Found]:
    """Another JSON type."""
    for code, steps, value in site.places():
        odd = ["true"] if code == "boolean" else [str(value)] if code in NUMBERS else [7, True, {"odd": 1}]
        odd = odd if code in PRIMITIVES else ["odd", 7]
        # What is no resource or extension at all may be said so.
        also = {"resource": "PRO049", "url": "PRO036"}.get(next(iter(site.names)), "PRO020")
        other = odd[len(pointer(steps)) % len(odd)]
        yield "retyped", _set(steps, other), f"PRO020 {also}", (pointer(steps), site.here)
    for name in site.present:
        if isinstance(site.owner[name], list):
            yield "no list", _set((*site.steps, name), site.owner[name][0]), "PRO020", (f"{site.here}/{name}",)


def malformed(site: Site, facts: Facts, bundle: Object) -> Iterator[Found]:
    """A text that is none of its type."""
    if "fixed" in site.facts or "pattern" in site.facts or "url" in site.names:
        return
    for code, steps, _ in site.places():
        if code in MALFORMED:
            yield "malformed", _set(steps, MALFORMED[code]), "PRO026", (pointer(steps),)
        elif code in NUMBERS:
            yield "malformed", _set(steps, 1.5 if code != "decimal" else "1.5"), "PRO026 PRO020", (pointer(steps),)


def emptied(site: Site, facts: Facts, bundle: Object) -> Iterator[Found]:
    """Nothing where something belongs."""
    for code, steps, _ in site.places():
        if code == "xhtml" or (code not in PRIMITIVES and facts.type(BASE + code) in (None, "Extension")):
            continue
        if "url" not in site.names:
            yield "empty", _set(steps, "" if code in PRIMITIVES else {}), "PRO022 PRO020 PRO026", (pointer(steps),)
    for name in site.present:
        if isinstance(site.owner[name], list):
            yield "empty", _set((*site.steps, name), []), "PRO022", (f"{site.here}/{name}",)


def other_value(site: Site, facts: Facts, bundle: Object) -> Iterator[Found]:
    """Another value than the fixed one; not the one by which a slice is known."""
    for how, code in (("fixed", "PRO027"), ("pattern", "PRO028")):
        wanted = site.facts.get(how)
        if wanted is None or not site.decides.isdisjoint(site.names) or "url" in site.names:
            continue
        for _, steps, _ in site.places():
            other = wanted + "x" if isinstance(wanted, str) else {"text": "odd"} if isinstance(wanted, dict) else None
            yield how, _set(steps, other), code if other else f"{code} PRO020 PRO022", (pointer(steps),)


def other_code(site: Site, facts: Facts, bundle: Object) -> Iterator[Found]:
    """A code, or a system, that the required value set does not hold."""
    bound = facts.pack["valuesets"].get(site.facts.get("binding"), {"unknown": ["?"]})
    if bound.get("unknown") or bound.get("grammars"):
        return
    for code, steps, value in site.places():
        if code in PRIMITIVES:
            yield "code", _set(steps, "odd-code"), "PRO029", (pointer(steps),)
            continue
        coding = value.get("coding", [{}]) if code == "CodeableConcept" else [value]
        here = (*steps, "coding", 0) if code == "CodeableConcept" else steps
        if len(coding) != 1 or "code" not in coding[0]:
            continue
        places = (pointer(steps), pointer(here), pointer((*here, "code")))
        yield "code", _set((*here, "code"), "odd-code"), "PRO029 PRO057", places
        if "system" in coding[0]:
            yield "system", _set((*here, "system"), "urn:oid:1.2.3.4"), "PRO029", places
        yield "no code", _remove(here, ["code"]), "PRO030", places[:2]


def strange_code(site: Site, facts: Facts, bundle: Object) -> Iterator[Found]:
    """A code that its code system does not have, and a display that is not the code's."""
    for code, steps, value in site.places():
        known = facts.pack["systems"].get(value.get("system"), {}) if code == "Coding" else {}
        if value and code == "Coding" and value.get("code") in known:
            yield "unknown code", _set((*steps, "code"), "odd-code"), "PRO057", (pointer((*steps, "code")),)
            if known[value["code"]]:
                yield "display", _set((*steps, "display"), "Odd display"), "PRO031", (pointer((*steps, "display")),)


def broken_reference(site: Site, facts: Facts, bundle: Object) -> Iterator[Found]:
    """A reference that leads nowhere, or to a resource of another type."""
    for code, steps, value in site.places():
        kind = site.names[steps[len(site.steps)]]
        if code != "Reference" or not isinstance(kind, dict) or "reference" not in value:
            continue
        where = (*steps, "reference")
        places = (pointer(steps), pointer(where))
        if kind.get("aggregation") == ["bundled"]:
            nowhere = f"{value['reference'].rpartition('/')[0] or 'Patient'}/00000000-0000-4000-8000-00000000dead"
            yield "reference", _set(where, nowhere), "PRO032", places
        types = {facts.type(t) or t.partition("|")[0].rpartition("/")[2] for t in kind.get("targets", ())}
        if not types or not types <= set(facts.pack["resources"]) or "Resource" in types:
            continue
        others = [e for e in bundle["entry"] if e["resource"]["resourceType"] not in types]
        yield "target", _set(where, others[len(steps) % len(others)]["fullUrl"]), "PRO034", places


def extra(site: Site, facts: Facts, bundle: Object) -> Iterator[Found]:
    """A property that FHIR does not have, an extension that nobody defines."""
    for code, steps, value in site.places():
        if isinstance(value, dict) and code not in facts.pack["resources"] and code != "Resource":
            yield "extra", _set((*steps, "oddElement"), "odd"), "PRO021", (pointer((*steps, "oddElement")),)
    name = next(iter(site.names))
    if name in ("extension", "modifierExtension") and site.facts.get("max", 1) != 0:
        where = (*site.steps, name, len(site.owner.get(name, [])))
        unknown = [{"url": "https://acme.dk/odd", "valueString": "odd"}]
        yield f"unknown {name}", _append(where[:-1], unknown), "PRO036", (pointer(where), pointer((*where, "url")))
        used = misplaced(site, facts)
        if used and name == "extension":
            yield "misplaced extension", _append(where[:-1], [{"url": used}]), "PRO037", (pointer(where),)


def misplaced(site: Site, facts: Facts) -> str | None:
    """An extension that belongs on resources of certain types themselves, for a place inside a resource."""
    if len(site.steps) < 4:
        return None
    types = {*facts.pack["resources"]} - {"Resource", "DomainResource"}
    for url, key in facts.pack["canonical"].items():
        contexts = facts.pack["profiles"][key].get("context", [])
        if contexts and all(kind == "element" and where in types for kind, where in contexts):
            return str(url)
    return None


def several_choices(site: Site, facts: Facts, bundle: Object) -> Iterator[Found]:
    """Two types of one choice."""
    if len(site.names) > 1 and site.present:
        other = next(n for n in site.names if n not in site.present)
        places = (site.here, *(f"{site.here}/{n}" for n in site.names))
        # A profile that allows one type only does not have the other property.
        yield "choice", _set((*site.steps, other), "odd"), "PRO046 PRO021", places


def broken_narrative(site: Site, facts: Facts, bundle: Object) -> Iterator[Found]:
    """XHTML that is none, that has what is not allowed, or says nothing."""
    for code, steps, value in site.places():
        if code == "xhtml":
            inside = value.replace("</div>", "{}</div>", 1)
            for piece, found in (
                ("<b>x", "PRO043"),
                ("<script>x</script>", "PRO044"),
                ('<p onclick="x">x</p>', "PRO044"),
            ):
                yield "narrative", _set(steps, inside.replace("{}", piece)), found, (pointer(steps),)
            empty = '<div xmlns="http://www.w3.org/1999/xhtml"> </div>'
            yield "narrative", _set(steps, empty), "PRO045", (pointer(steps),)
            yield (
                "narrative",
                _set(steps, value.replace("http://www.w3.org/1999/xhtml", "urn:odd")),
                "PRO043 PRO044",
                (pointer(steps),),
            )


# Kinds that put another value in a place. Where a profile says the very value, any other is reported as that, once.
VALUES = {"several", "retyped", "malformed", "empty", "code"}
PINNED = frozenset({"PRO027", "PRO028"})
MUTATORS = (
    required,
    too_many,
    prohibited,
    retyped,
    malformed,
    emptied,
    other_value,
    other_code,
    strange_code,
    broken_reference,
    extra,
    several_choices,
    broken_narrative,
)


def _sliced(bundle: Object, facts: Facts, profile: str) -> Iterator[Mutant]:
    """A slice that is missing, too often, or none of a closed list."""
    keys = {(): [profile]}
    for number, entry in enumerate(bundle["entry"]):
        claims = entry["resource"].get("meta", {}).get("profile", [])
        keys["entry", number, "resource"] = [k for c in claims if (k := facts.key(c))]
    for steps, profiles in keys.items():
        for key in profiles:
            root = facts.root(key)["id"]
            for element in facts.below(key, root):
                items = at(bundle, steps).get(next(iter(names_of(element))))
                if isinstance(items, list) and "slicing" in element and element["id"].rpartition(".")[2] != "extension":
                    where = (*steps, next(iter(names_of(element))))
                    yield from _one_slicing(items, where, facts, key, element)


def _one_slicing(items: list[Any], steps: Steps, facts: Facts, key: str, element: Object) -> Iterator[Mutant]:
    places = frozenset({pointer(steps), pointer(steps[:-1])})
    members: dict[str, list[int]] = defaultdict(list)
    paths: dict[str, list[str]] = {}
    parts = {p["id"]: p for p in facts.slices(key, element["id"])}
    for number, item in enumerate(items):
        for part, by in slices_of(item, facts, key, element):
            members[part["id"]].append(number)
            paths[part["id"]] = by
    for name, numbers in members.items():
        part, most = parts[name], parts[name].get("max", 1)
        if most:
            copies = [items[numbers[0]]] * (most + 1 - len(numbers))
            yield Mutant("slice max", name, _append(steps, copies), frozenset({"PRO040", "PRO024"}), places)
        if part.get("min") == len(numbers):
            other = _set((*steps, numbers[0], paths[name][0]), "urn:odd")
            yield Mutant("slice", name, other, frozenset({"PRO039"}), places)
        if element["slicing"]["rules"] == "closed":
            item = pointer((*steps, numbers[0]))
            other = _set((*steps, numbers[0], paths[name][0]), "urn:odd")
            yield Mutant("closed", name, other, frozenset({"PRO041"}), frozenset({item}))


def _entries(bundle: Object) -> Iterator[Mutant]:
    """Entries and their fullUrls."""
    for number, entry in enumerate(bundle["entry"]):
        steps = ("entry", number, "fullUrl")
        places = frozenset({pointer(steps), pointer(steps[:-1])})
        tail = f"{entry['resource']['resourceType']}/{entry['resource'].get('id')}"
        missing = _remove(steps[:-1], ["fullUrl"])
        yield Mutant("fullUrl", "Bundle.entry.fullUrl", missing, frozenset({"PRO047"}), places)
        yield Mutant("fullUrl", "Bundle.entry.fullUrl", _set(steps, tail), frozenset({"PRO048"}), places)
        other = f"https://example.org/fhir/{entry['resource']['resourceType']}/odd"
        yield Mutant("fullUrl", "Bundle.entry.fullUrl", _set(steps, other), frozenset({"PRO048"}), places)
        resource = ("entry", number, "resource", "resourceType")
        places = frozenset({pointer(resource), pointer(resource[:-1])})
        yield Mutant("resource", "Bundle.entry.resource", _set(resource, "Odd"), frozenset({"PRO049"}), places)


# -- Invariants: how to break a rule of this key in an object (or text) that it judges --


def _per_1(value: Any) -> Any:
    return {**value, "start": "2025-01-02", "end": "2025-01-01"}


def _without(*names: str, **more: Any) -> Callable[[Any], Any]:
    return lambda value: {**{k: v for k, v in value.items() if k not in names}, **more}


IN_OBJECTS: dict[str, tuple[Callable[[Any], bool], Callable[[Any], Any]]] = {
    # key: (where it can be broken, what the object becomes)
    "att-1": (lambda v: "data" in v, _without("contentType")),
    "cpt-2": (lambda v: "value" in v, _without("system")),
    "dom-3": (lambda v: True, _without(contained=[{"resourceType": "Organization", "id": "odd", "name": "Odd"}])),
    "ext-1": (
        lambda v: any(k.startswith("value") for k in v),
        _without(extension=[{"url": "http://example.org/x", "valueString": "x"}]),
    ),
    "medcom-uuidv4": (lambda v: "value" in v, _without(value="odd")),
    "org-1": (lambda v: True, _without("name", "identifier")),
    "org-2": (lambda v: True, _without(use="home")),
    "org-3": (lambda v: True, _without(use="home")),
    "per-1": (lambda v: True, _per_1),
    "ref-1": (lambda v: "reference" in v, _without(reference="#odd")),
}
IN_TEXTS: dict[str, Callable[[str], str]] = {
    "gln-length": lambda v: v + "1",
    "gln-modulus-10": lambda v: v[:-1] + str((int(v[-1]) + 1) % 10),
    "min-digits-sor": lambda v: "1",
}
INVARIANTS = ("object", "text")


def _invariants(site: Site, facts: Facts, kind: str) -> Iterator[Mutant]:
    for code, steps, value in site.places():
        keys = facts.rules(site.facts)
        if kind == "text" and isinstance(value, str):
            for key in keys:
                if key in IN_TEXTS and (key != "gln-modulus-10" or value.isdigit()):
                    change, places = _set(steps, IN_TEXTS[key](value)), frozenset({pointer(steps)})
                    yield Mutant("invariant", site.facts["id"], change, frozenset({"PRO042"}), places, key)
        elif kind == "object" and isinstance(value, dict):
            type_ = value.get("resourceType", code)
            kinds = site.names[steps[len(site.steps)]]
            profiles = kinds.get("profiles", ()) if isinstance(kinds, dict) else ()
            roots = [facts.root(k) for url in (BASE + str(type_), *profiles) if (k := facts.key(url))]
            for key in sorted({*keys, *(key for root in roots for key in facts.rules(root))}):
                fits, breaks = IN_OBJECTS.get(key, (None, None))
                if fits and breaks and fits(value):
                    change, places = _set(steps, breaks(value)), frozenset({pointer(steps)})
                    yield Mutant("invariant", site.facts["id"], change, frozenset({"PRO042"}), places, key)


def _twice(bundle: Any) -> None:
    bundle["entry"].append(copy.deepcopy(bundle["entry"][-1]))


def _first_last(bundle: Any) -> None:
    bundle["entry"].append(bundle["entry"].pop(0))


def _no_provenance(bundle: Any) -> None:
    bundle["entry"] = [e for e in bundle["entry"] if e["resource"]["resourceType"] != "Provenance"]


OF_BUNDLES: dict[str, Change] = {
    "bdl-1": lambda b: b.update(total=1),
    "bdl-2": lambda b: b["entry"][1].update(search={"mode": "match"}),
    "bdl-3": lambda b: b["entry"][1].update(request={"method": "GET", "url": "Patient"}),
    "bdl-4": lambda b: b["entry"][1].update(response={"status": "200"}),
    "bdl-7": _twice,
    "bdl-11": _first_last,
    "bdl-12": _first_last,
    "medcom-messaging-2": _no_provenance,
}


# -- The campaign --


@dataclass
class Original:
    """A message without errors, and the rules that can be broken in it."""

    name: str
    text: str
    profile: Profile
    facts: Facts

    @cached_property
    def mutants(self) -> dict[str, list[Mutant]]:
        """By kind; the same change for the same expectation once."""
        found: dict[str, list[Mutant]] = defaultdict(list)
        seen = set()
        bundle = json.loads(self.text)
        for mutant in mutants(bundle, self.facts, self.profile.key):
            mark = (mutant.kind, mutant.at, mutant.codes, mutant.key, mutant.element.rpartition(".")[2])
            if mark not in seen:
                seen.add(mark)
                found[mutant.kind].append(mutant)
        return found


@dataclass
class Outcome:
    """How many mutants of each kind there were, and those that were not found."""

    counts: Counter[str] = field(default_factory=Counter)
    missed: list[str] = field(default_factory=list)


Validate = Callable[[Original, Any], Iterable[tuple[str, str, str]]]


def errors(original: Original, bundle: Any) -> list[tuple[str, str, str]]:
    """Code, place and rule of every error."""
    log = IssueLog()
    original.profile.validate(bundle, log)
    return [(i.code, i.at.path, i.rule) for i in log if i.severity is Severity.ERROR]


def reported(mutant: Mutant, found: Iterable[tuple[str, str, str]]) -> bool:
    """Whether what the mutant breaks is among the findings, at its element."""
    return any(
        code in mutant.codes and place in mutant.at and (not mutant.key or rule.endswith(" " + mutant.key))
        for code, place, rule in found
    )


def campaign(
    originals: list[Original], count: int, seed: int, validate: Validate = errors, only: Iterable[str] = ()
) -> Outcome:
    """`count` mutants, the kinds in turn, each of an original by chance. `only`: of these kinds alone."""
    draw, outcome = random.Random(seed), Outcome()
    kinds = sorted({k for o in originals for k in o.mutants if not only or k in only})
    homes = {k: [o for o in originals if o.mutants.get(k)] for k in kinds}
    for number in range(count if kinds else 0):
        kind = kinds[number % len(kinds)]
        original = draw.choice(homes[kind])
        mutant = draw.choice(original.mutants[kind])
        bundle = json.loads(original.text)
        mutant.change(bundle)
        found = list(validate(original, bundle))
        outcome.counts[kind] += 1
        if not reported(mutant, found):
            wanted = f"{'/'.join(sorted(mutant.codes))} {mutant.key} at {min(mutant.at) or '/'}"
            near = [f"{c} {p}" for c, p, _ in found if any(p.startswith(a[:20]) for a in mutant.at)][:4]
            outcome.missed.append(f"{original.name}: {kind} {mutant.element}: {wanted}; found {near}")
    return outcome


_LOADED: dict[Path, tuple[Pack, Facts]] = {}


def original_of(name: str, bundle: Any, guide: Path) -> Original:
    """A message that a pack judges."""
    if guide not in _LOADED:
        _LOADED[guide] = (Pack.load(guide), Facts(read_pack(guide)))
    pack, facts = _LOADED[guide]
    claims = [c.partition("|")[0] for c in bundle.get("meta", {}).get("profile", [])]
    profile = next(p for c in [*claims, *pack.bundle_profiles()] if (p := pack.profile(c)))
    return Original(name, json.dumps(bundle), profile, facts)


def invented() -> Original:
    """The invented CareCommunication of the tests."""
    bundle = yaml.safe_load(MESSAGE.read_text("utf-8"))
    return original_of(MESSAGE.name, bundle, PACKS / "medcom.fhir.dk.carecommunication-5.0.2.json.gz")


GUIDES = {
    "acknowledgement-2.0.3": "acknowledgement-2.0.3",
    "carecommunication-4.0.3": "carecommunication-4.0.3",
    "carecommunication-5.0.2": "carecommunication-5.0.2",
    "carecommunicationtestscripts-4.0.1": "carecommunication-4.0.3",
    "conditionlist-1.0.1": "conditionlist-1.0.1",
    "hospitalnotification-3.0.2": "hospitalnotification-3.0.2",
}


def official(examples: Path) -> list[Original]:
    """The official examples in which HL7's official validator found no error."""
    found = []
    for folder, guide in GUIDES.items():
        for name, verdict in sorted(json.loads((examples / folder / "expected.json").read_text("utf-8")).items()):
            bundle = json.loads((examples / folder / name).read_text("utf-8"))
            if not verdict["errors"] and bundle["resourceType"] == "Bundle":
                found.append(original_of(f"{folder}/{name}", bundle, PACKS / f"medcom.fhir.dk.{guide}.json.gz"))
    return found
