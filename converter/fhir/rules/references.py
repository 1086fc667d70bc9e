"""References: targets inside the Bundle, their types and profiles, and how a reference finds its entry.

Resolution follows FHIR R4, "Resolving references in Bundles": an absolute reference equals a fullUrl; a relative one is
joined to the base of the fullUrl of the entry that holds it, which needs that fullUrl to be RESTful.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from converter.fhir.elements import Site, Type
from converter.fhir.run import UNCHECKED_PROFILE, Entry, Run
from converter.issues import Severity, declare

if TYPE_CHECKING:
    from converter.fhir.profiles import Pack
    from converter.fhir.source import Source

NOT_BUNDLED = declare(
    "PRO032",
    "reference-not-in-bundle",
    Severity.ERROR,
    "{element} points to a resource that is not in the Bundle",
    why="A message must carry everything it refers to; the receiver cannot fetch the rest.",
    help="Add the resource as an entry, or correct the reference: it must equal the entry's fullUrl.",
    source="FHIR R4, ElementDefinition.type.aggregation",
    example='"reference": "Patient/1" in a message without an entry of that fullUrl',
)
ONLY_BY_ID = declare(
    "PRO033",
    "reference-matches-no-fullurl",
    Severity.ERROR,
    "{element} names the type and id of an entry, but not its fullUrl",
    why="Receivers resolve references by fullUrl; this one leads nowhere although the resource is there.",
    help="Use the fullUrl, or give RESTful fullUrls with one base and relative references.",
    source="FHIR R4, Resolving references in Bundles",
    example='"reference": "Patient/1" although the Patient has the fullUrl urn:uuid:…',
)
WRONG_TARGET = declare(
    "PRO034",
    "reference-to-wrong-type",
    Severity.ERROR,
    "{element} points to {found}, allowed: {allowed}",
    why="Receivers look for other facts behind this reference.",
    help="Point to a resource of an allowed type.",
    source="FHIR R4, ElementDefinition.type.targetProfile",
    example='"subject" of a Communication that points to an Organization',
)
NO_REFERENCE = declare(
    "PRO062",
    "reference-malformed",
    Severity.ERROR,
    "the reference of {element} is neither absolute nor a type and an id",
    why="Nobody can tell what it refers to.",
    help="Write Type/id, an absolute URL, urn:uuid:, or # and the id of a contained resource.",
    source="FHIR R4, Reference.reference",
    example='"reference": "the patient" instead of "Patient/1"',
)
NO_MATCH = declare(
    "PRO035",
    "reference-target-meets-no-profile",
    Severity.ERROR,
    "the target of {element} meets none of the profiles that are allowed: {allowed}",
    why="Receivers rely on what these profiles promise.",
    help="Validate the target alone against the profile that it should meet.",
    source="FHIR R4, ElementDefinition.type.targetProfile",
    example='"author" that points to a PractitionerRole which meets neither of the two profiles allowed',
)
NAMED_ONLY = declare(
    "PRO053",
    "reference-without-target",
    Severity.WARNING,
    "{element} names its target but does not point to an entry",
    why="The profile means the target to travel in the Bundle; a display or an identifier alone passes by the letter.",
    help="Add the resource to the Bundle and refer to it.",
    source="house rule; FHIR R4, ElementDefinition.type.aggregation",
    example='"subject": {"display": "The patient"} where the Patient belongs into the Bundle',
)

AGGREGATION = declare(
    "PRO065",
    "reference-not-of-this-kind",
    Severity.ERROR,
    "{element} leads to a resource that is {found}, allowed: {allowed}",
    why="Receivers look for it where the profile puts it: contained, among the entries, or elsewhere.",
    help="Move the resource, and refer to it where it then is.",
    source="FHIR R4, ElementDefinition.type.aggregation",
    example='"#p" where the profile wants the target as an entry of its own or elsewhere',
)

_RELATIVE = re.compile(r"([A-Z][A-Za-z]+)/[A-Za-z0-9\-.]{1,64}(?:/_history/[A-Za-z0-9\-.]{1,64})?\Z")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_RESTFUL = re.compile(
    r"((?:https?)://\S+/)([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(?:/_history/[A-Za-z0-9\-.]{1,64})?\Z"
)


@dataclass(slots=True, eq=False)
class Target:
    """What one reference element allows: type -> profiles (empty: any resource of the type); empty map: anything."""

    site: Site
    modes: tuple[str, ...] = ()
    types: dict[str, list[str]] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    at_hand: bool = False  # the target must be contained or bundled
    no_entry: bool = False  # the target must not be an entry

    def __post_init__(self) -> None:
        self.at_hand = bool(self.modes) and "referenced" not in self.modes
        self.no_entry = bool(self.modes) and "bundled" not in self.modes

    @property
    def names(self) -> str:
        """The allowed types and profiles, for a message."""
        return ", ".join(sorted(p.partition("|")[0].rpartition("/")[2] for ps in self.types.values() for p in ps)) or (
            ", ".join(sorted(self.types))
        )


def target_of(kind: Type, site: Site, pack: Pack) -> Target:
    """Prepare the check of a reference type."""
    target = Target(site, kind.aggregation)
    for canonical in kind.targets or ():
        facts = pack.facts(canonical)
        name = canonical.partition("|")[0].rpartition("/")[2]
        if name == "Resource":
            target.types.clear()
            target.unknown.clear()
            return target
        if facts is None and not canonical.startswith("http://hl7.org/fhir/StructureDefinition/"):
            target.unknown.append(name)
        elif facts is None:
            target.types.setdefault(name, [])
        else:
            # The base definition is met by every resource of the type: nothing more to ask for.
            wanted = target.types.setdefault(facts["type"], [])
            wanted.append(pack.key(canonical))
    for name, profiles in target.types.items():
        if pack.base(name) in profiles:
            profiles.clear()
    return target


def met_by(target: Target, pack: Pack) -> dict[str, str] | None:
    """The profiles of which an entry that must meet one is a right target for certain; None if any entry is.

    Each with the profile that is asked for beside it, which it is derived from; with an empty text if none is.
    """
    if not target.types and not target.unknown:
        return None
    met: dict[str, str] = {}
    for name, profiles in target.types.items():
        known = pack.of_type(name)
        if not profiles:
            met.update(dict.fromkeys(known, ""))
        elif len(profiles) == 1:
            met.update((key, profiles[0]) for key in known if profiles[0] in pack.ancestors(key))
            met[profiles[0]] = ""
    return met


def emit_reference(source: Source, target: Target, pointer: str, structure: str) -> None:
    """Code that checks Reference `v`. A lone reference that leads to an entry needs no look at its structure."""
    with source.block(f"if not check_reference(v, {pointer}, x, {source.constant(target, 'TARGET')}):"):
        source(structure)


def split_url(url: str) -> tuple[str, str, str] | None:
    """Base (ending in `/`), type and id of a RESTful URL; None if it is none."""
    match = _RESTFUL.match(url)
    return (match[1], match[2], match[3]) if match else None


def resolve(run: Run, reference: object) -> Entry | None:
    """The entry that a reference string of the current resource leads to, by fullUrl only."""
    if not isinstance(reference, str):
        return None
    entry = run.by_url.get(reference)
    if entry is None and run.current.base:
        entry = run.by_url.get(run.current.base + reference)
    return entry


def contained(run: Run, reference: str) -> dict[str, Any] | None:
    """The contained resource that `#id` means; `#` alone is the container."""
    if reference == "#":
        return run.current.resource
    listed = run.current.resource.get("contained")
    for resource in listed if isinstance(listed, list) else ():
        if isinstance(resource, dict) and resource.get("id") == reference[1:]:
            return resource
    return None


def check_reference(value: Any, pointer: str, run: Run, target: Target) -> bool:
    """Judge where a Reference leads; what the target must be is asked for, not judged here.

    True if it consists of nothing but a string that leads to an entry.
    """
    if value.__class__ is not dict:
        return False
    reference = value.get("reference")
    if not isinstance(reference, str) or not reference:
        if target.at_hand and reference is None and ("display" in value or "identifier" in value):
            run.add(NAMED_ONLY, pointer, target.site, element=target.site.leaf)
        return False
    here = run.current
    entry = (run.near.get(reference) if here.base else None) or resolve(run, reference)
    if entry is not None:
        here.links.append(entry.number)
        if target.no_entry:
            _refuse("bundled", pointer, run, target)
        if target.types or target.unknown:
            _check_target(entry, pointer, run, target)
        return len(value) == 1
    if reference[0] == "#":
        _check_contained(reference, pointer, run, target)
    else:
        _check_unresolved(reference, pointer, run, target)
    return False


def leads(value: Any, run: Run, target: Target) -> bool:
    """Whether `check_reference` would find nothing; what it asks of the target is asked for."""
    if value.__class__ is not dict:
        return False
    if "reference" not in value:
        return not (target.at_hand and ("display" in value or "identifier" in value))
    reference, here = value["reference"], run.current
    if reference.__class__ is not str or not reference or target.no_entry:
        return False
    entry = run.near.get(reference) if here.base else None
    if entry is None:
        entry = resolve(run, reference)
        if entry is None:
            return _leads_out(reference, run, target)
    here.links.append(entry.number)
    profiles = target.types.get(entry.type)
    if profiles:
        return (len(profiles) == 1 and profiles[0] in entry.wanted) or _wanted(entry, profiles, run)
    return profiles is not None or not (target.types or target.unknown)


def _leads_out(reference: str, run: Run, target: Target) -> bool:
    """Whether a reference to no entry certainly may be one: it is of the form `Type/id`, and the type is allowed."""
    relative = None if target.at_hand or reference in run.by_type_id else _RELATIVE.match(reference)
    return relative is not None and (not target.types or relative[1] in target.types)


def _check_unresolved(reference: str, pointer: str, run: Run, target: Target) -> None:
    site = target.site
    relative = _RELATIVE.match(reference)
    apparent = run.by_type_id.get(reference) if relative else None
    if apparent is not None:
        # A fullUrl that is at fault has been reported, which is the root of it.
        if run.faulty_urls.isdisjoint((apparent.number, run.current.number)):
            run.add(ONLY_BY_ID, pointer, site, value=reference, element=site.leaf)
        run.current.links.append(apparent.number)
        _check_target(apparent, pointer, run, target)
        return
    if reference in run.lost or run.current.base + reference in run.lost:
        return  # it leads to an entry that cannot be read, which has been reported
    if target.at_hand and target.no_entry:
        _refuse("referenced", pointer, run, target)
    elif target.at_hand:
        run.add(NOT_BUNDLED, pointer, site, value=reference, element=site.leaf)
    elif not relative and not _SCHEME.match(reference):
        run.add(NO_REFERENCE, pointer, site, value=reference, element=site.leaf)
    kind = relative[1] if relative else (split_url(reference) or ("", "", ""))[1]
    if kind and target.types and kind not in target.types and not target.unknown and run.pack.is_resource(kind):
        run.add(WRONG_TARGET, pointer, site, element=site.leaf, found=kind, allowed=target.names)


def _check_contained(reference: str, pointer: str, run: Run, target: Target) -> None:
    site = target.site
    resource = contained(run, reference)
    if target.at_hand and "contained" not in target.modes:
        run.add(NOT_BUNDLED, pointer, site, value=reference, element=site.leaf)
    elif target.modes and "contained" not in target.modes:
        _refuse("contained", pointer, run, target)
    elif resource is not None and target.types and not target.unknown and resource.get("resourceType"):
        kind = str(resource["resourceType"])
        if kind not in target.types and run.pack.is_resource(kind):
            run.add(WRONG_TARGET, pointer, site, element=site.leaf, found=kind, allowed=target.names)


def _refuse(found: str, pointer: str, run: Run, target: Target) -> None:
    site = target.site
    run.add(AGGREGATION, pointer, site, element=site.leaf, found=found, allowed=", ".join(target.modes))


def _check_target(entry: Entry, pointer: str, run: Run, target: Target) -> None:
    profiles = target.types.get(entry.type)
    if profiles:
        if not _wanted(entry, profiles, run):
            run.add(NO_MATCH, pointer, target.site, element=target.site.leaf, allowed=target.names)
    elif profiles is None and target.unknown:
        for name in target.unknown:
            run.skip(UNCHECKED_PROFILE, target.site.profile, name)
    elif profiles is None and target.types and run.pack.is_resource(entry.type):
        site = target.site
        run.add(WRONG_TARGET, pointer, site, element=site.leaf, found=entry.type, allowed=target.names)


def _wanted(entry: Entry, profiles: list[str], run: Run) -> bool:
    """Ask for the only profile, or for the first of several that the target meets; False if it meets none."""
    met = profiles[0] if len(profiles) == 1 else next((p for p in profiles if run.conforms(entry, p)), None)
    if met is not None:
        run.want(entry, met)
    # Else it is judged by what it claims, which is the root.
    return met is not None or any(p in entry.wanted for p in profiles)
