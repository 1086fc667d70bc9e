"""Resources inside resources: their type and the profiles that they claim; entries of the Bundle wait."""

from __future__ import annotations

from typing import Any

from converter.fhir.elements import Site
from converter.fhir.rules.structure import EMPTY, WRONG_TYPE, kind_of_json
from converter.fhir.run import UNCHECKED_TYPE, Entry, Run
from converter.issues import Severity, declare

NO_TYPE = declare(
    "PRO049",
    "resource-type-wrong",
    Severity.ERROR,
    "{expected} expected, the resource {found}",
    why="Without its type a resource cannot be read at all.",
    help="Write resourceType as FHIR R4 names it.",
    source="FHIR R4, JSON representation of resources",
    example='{"id": "1"} without "resourceType", or "resourceType": "Persons"',
)
UNKNOWN_PROFILE = declare(
    "PRO050",
    "profile-unknown",
    Severity.WARNING,
    "meta.profile names a profile, or a version of one, that the pack does not hold",
    why="The resource claims rules that nobody can check here.",
    help="Correct the URL or its version, or use a pack of the guide that defines it.",
    source="FHIR R4, Resource.meta.profile; the official validator warns as well",
    example='"profile": ["https://example.dk/my-profile"]',
)
OTHER_VERSION = declare(
    "PRO058",
    "profile-version-other",
    Severity.WARNING,
    "meta.profile names another version of a profile than {known}, by which the resource was judged",
    why="The pack of the guide holds another version of the same major number, which may differ in details.",
    help="Name the version that the guide has, or leave the version out.",
    source="FHIR R4, Resource.meta.profile",
    example='"profile": ["…/medcom-careCommunication-message|5.0.1"] judged by 5.0.2',
)
UNJUDGED_VERSION = declare(
    "NCK006",
    "profile-version-not-judged",
    Severity.INFO,
    "meta.profile names another major version of a profile than {known}, so the claim was not checked",
    why="Rules of another major version may be quite different.",
    help="Use a pack of the guide in that version.",
    example='"profile": ["…/medcom-careCommunication-message|3.0.0"] with a pack of 5.0.2',
)
ANYWHERE = Site("Resource", "Resource.meta.profile")
UNCLAIMED = ("", "", (), "")


def typed(value: Any, pointer: str, run: Run, wanted: str = "") -> bool:
    """Whether a value is a resource of a type that can be judged; reports what it is instead."""
    if value.__class__ is dict:
        kind = value.get("resourceType")
        if kind in run.pack.readable and (not wanted or kind == wanted):
            return True
    site = Site("Resource", wanted or "Resource")
    expected = f"a {wanted}" if wanted else "a resource"
    if not isinstance(value, dict):
        run.add(WRONG_TYPE, pointer, site, expected="an object", found=kind_of_json(value))
        return False
    if not value:
        run.add(EMPTY, pointer, site, what="object")
        return False
    kind = value.get("resourceType")
    if not isinstance(kind, str):
        run.add(NO_TYPE, pointer, site, expected=expected, found="has no resourceType")
    elif not run.pack.is_resource(kind):
        run.add(NO_TYPE, pointer, site, expected=expected, found="has an unknown type", value=kind)
    elif wanted and kind != wanted:
        run.add(NO_TYPE, pointer, site, expected=expected, found=f"is a {kind}")
    elif run.pack.facts(run.pack.base(kind)) is None:
        run.skip(UNCHECKED_TYPE, "", kind)
    else:
        return True
    return False


def ask_claimed(entries: list[Entry], run: Run) -> None:
    """Ask that entries are judged by the profiles that they claim."""
    claims = run.pack.claims
    for entry in entries:
        meta = entry.resource.get("meta")
        listed = meta.get("profile") if meta.__class__ is dict else None
        if listed.__class__ is list and len(listed) == 1 and listed[0].__class__ is str:
            key, kind, wanted, _ = claims.get(listed[0], UNCLAIMED)
            if key and kind == entry.type:
                if key not in entry.wanted:
                    entry.wanted += wanted
                    run.tasks.append((entry, key))
                continue
        for key in claimed(entry.resource, entry.pointer, run):
            run.want(entry, key)


def claimed(resource: dict[str, Any], pointer: str, run: Run) -> list[str]:
    """The profiles in meta.profile that the pack holds (`url|version`); the others are warned about."""
    meta = resource.get("meta")
    listed = meta.get("profile") if isinstance(meta, dict) else None
    found = []
    for index, canonical in enumerate(listed if isinstance(listed, list) else ()):
        if not isinstance(canonical, str):
            continue
        key, kind = run.pack.claim(canonical)
        if not key:
            key, kind = _other_version(canonical, f"{pointer}/meta/profile/{index}", run)
        if not key:
            continue
        if kind != resource.get("resourceType"):
            if not run.pack.is_resource(str(resource.get("resourceType"))):
                continue  # reported as that
            run.add(NO_TYPE, pointer, ANYWHERE, expected=f"a {kind}", found="claims a profile of another type")
        else:
            found.append(key)
    return found


def _other_version(canonical: str, pointer: str, run: Run) -> tuple[str, str]:
    """The known version of a claimed profile, if it has the same major number; two empty texts if not."""
    url, _, version = canonical.partition("|")
    key, kind = run.pack.claim(url) if version else ("", "")
    known = key.rpartition("|")[2]
    if not key:
        run.add(UNKNOWN_PROFILE, pointer, ANYWHERE, value=canonical)
    elif version.partition(".")[0] != known.partition(".")[0]:
        run.add(UNJUDGED_VERSION, pointer, ANYWHERE, value=canonical, known=known)
        return "", ""
    else:
        run.add(OTHER_VERSION, pointer, ANYWHERE, value=canonical, known=known)
    return key, kind


def waits(value: Any, run: Run, wanted: str = "", profiles: tuple[str, ...] = ()) -> bool:
    """Whether a resource is an entry of the Bundle that can be judged; `nested` would only note what is asked of it."""
    entry = run.by_resource.get(id(value))
    if entry is None or entry.type not in run.pack.readable_types:
        return False
    if not wanted:
        return True
    if entry.type != wanted or len(run.by_resource) != len(run.entries):  # one object stands for two entries
        return False
    for key in profiles:
        run.want(entry, key)
    return True


def nested(value: Any, pointer: str, run: Run, wanted: str = "", profiles: tuple[str, ...] = ()) -> None:
    """Judge a resource in a resource; an element may ask for a type and a profile of it.

    Entries of the Bundle only note what is asked: references may still demand more of them.
    """
    entry = run.entry_of(value, pointer)
    if not typed(value, pointer, run, wanted):
        if entry is not None:
            run.unreadable.add(entry.number)
    elif entry is not None:
        for key in profiles:
            run.want(entry, key)
    else:
        run.ruled = False
        claims = [*profiles, *claimed(value, pointer, run)]
        for key in claims or [run.pack.base(value["resourceType"])]:
            run.pack.function(key)(value, pointer, run)
