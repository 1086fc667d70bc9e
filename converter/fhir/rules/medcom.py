"""MedCom's invariants on CareCommunication and message Bundles (carecommunication 5.0.2, messaging 4.0.2)."""

from __future__ import annotations

import re
from typing import Any

from converter.fhir.rules.invariants import listed, native, objects
from converter.fhir.rules.structure import has
from converter.fhir.run import Run

Object = dict[str, Any]
CARE = "http://medcomfhir.dk/ig/carecommunication/StructureDefinition/medcom-careCommunication-"
AUTHOR = "http://medcomfhir.dk/ig/core/StructureDefinition/medcom-core-practitioner-extension"
_MESSAGE_DEFINITION = (
    "http://medcomfhir.dk/ig/messagedefinitions/MessageDefinition/MedComCareCommunicationMessageDefinition"
)
# The unescaped | of 5.0.2 makes the expression an alternative of two halves: `…|4.0` passes. Kept as it is published.
_DEFINITION_502 = re.compile(rf"^{_MESSAGE_DEFINITION}|5[.][0-9]{{1,2}}$")
_DEFINITION_504 = re.compile(rf"^{_MESSAGE_DEFINITION}[|]5[.][0-9]{{1,2}}$")


def resources(bundle: Object, kind: str, run: Run) -> list[Object]:
    """The resources of one type in a Bundle; those of the Bundle that is validated are indexed."""
    if bundle is run.root:
        return run.by_type.get(kind, [])
    found = (part.get("resource") for part in objects(bundle.get("entry")))
    return [r for r in found if isinstance(r, dict) and r.get("resourceType") == kind]


def follow(values: list[Any], run: Run) -> list[Object]:
    """The resources that References lead to. Rules of a Bundle stand in no entry, so Type/id counts as well."""
    found = []
    for value in values:
        reference = value.get("reference") if isinstance(value, dict) else None
        if isinstance(reference, str):
            entry = run.by_url.get(reference) or run.by_url.get(run.current.base + reference)
            entry = entry or run.by_type_id.get(reference)
            if entry:
                found.append(entry.resource)
    return found


def every(owners: list[Any], name: str) -> list[Any]:
    """All values of one element of some objects."""
    found: list[Any] = []
    for owner in owners:
        if isinstance(owner, dict) and name in owner:
            value = owner[name]
            if isinstance(value, list):
                found += value
            else:
                found.append(value)
    return found


def _claims(resource: Object, prefix: str) -> bool:
    """Whether a profile in meta.profile starts so. HL7's engine lets several profiles pass where one fits."""
    meta = resource.get("meta")
    profiles = listed(meta.get("profile")) if isinstance(meta, dict) else []
    return any(isinstance(p, str) and p.startswith(prefix) for p in profiles)


def _is(value: Any, pattern: re.Pattern[str]) -> bool:
    return pattern.search(value) is not None if isinstance(value, str) else value is not None


@native("medcom-carecommunication-definition-url/8a3e733f")
def definition_url(value: Any, run: Run) -> bool:
    """MessageHeader.definition names the CareCommunication message definition (5.0.2)."""
    return _is(value, _DEFINITION_502)


@native("medcom-carecommunication-definition-url/d04a8a8c")
def definition_url_504(value: Any, run: Run) -> bool:
    """The same with the version (5.0.4)."""
    return _is(value, _DEFINITION_504)


@native("medcom-messaging-2/af6a622a")
def has_provenance(value: Object, run: Run) -> bool:
    """A message has a Provenance."""
    return bool(resources(value, "Provenance", run))


@native("medcom-careCommunication-1/ff71facf")
def header_claims_profile(value: Object, run: Run) -> bool:
    """The first entry is a MessageHeader that claims the CareCommunication profile."""
    first = listed(value.get("entry"))[:1]
    header = first[0].get("resource") if first and isinstance(first[0], dict) else None
    if not isinstance(header, dict) or header.get("resourceType") != "MessageHeader":
        return False
    return _claims(header, CARE + "messageHeader")


@native("medcom-careCommunication-2/f00e8ca3")
def one_patient(value: Object, run: Run) -> bool:
    """A CareCommunication is about exactly one patient."""
    return len(resources(value, "Patient", run)) == 1


@native("medcom-careCommunication-3/6973b07a")
def provenances_claim_profile(value: Object, run: Run) -> bool:
    """Every Provenance claims the CareCommunication profile."""
    return all(_claims(p, CARE + "provenance") for p in resources(value, "Provenance", run))


@native("medcom-careCommunication-4/0045e6e8")
def practitioner_has_name(value: Object, run: Run) -> bool:
    """Some Practitioner has a name."""
    return any(has(p, "name") for p in resources(value, "Practitioner", run))


def _codes(communication: Object) -> list[Any]:
    return every(every(every([communication], "category"), "coding"), "code")


@native("medcom-careCommunication-5/ee61ee09")
def priority_only_for_referrals(value: Object, run: Run) -> bool:
    """Only a message about a referral has a priority."""
    codes = _codes(value)
    return not codes or codes == ["regarding-referral"] or not has(value, "priority")


@native("medcom-careCommunication-6/dff3f935")
def other_needs_topic(value: Object, run: Run) -> bool:
    """The category `other` needs a topic; without any category code the rule has no true result."""
    codes = _codes(value)
    if not codes:
        return False
    return codes != ["other"] or has(value, "topic")


def _authors(communication: Object) -> list[Any]:
    found: list[Any] = []
    for payload in objects(communication.get("payload")):
        found += [e.get("valueReference") for e in objects(payload.get("extension")) if e.get("url") == AUTHOR]
    return found


@native("medcom-careCommunication-7/f9290481")
def role_is_code_or_text(value: Object, run: Run) -> bool:
    """The role of every author is either a code or a text."""
    for role in follow(_authors(value), run):
        codes = every([role], "code")
        coded = [c for c in objects(every(codes, "coding")) if has(c, "code")]
        if bool(coded) == bool([c for c in objects(codes) if has(c, "text")]):
            return False
    return True


@native("medcom-careCommunication-8/582e5031")
def author_has_name(value: Object, run: Run) -> bool:
    """Some author of a payload is a practitioner with a name."""
    people = follow(every(follow(_authors(value), run), "practitioner"), run)
    return any(has(p, "name") for p in people)


@native("medcom-careCommunication-9/df86161d")
def encounter_has_episode(value: Object, run: Run) -> bool:
    """An encounter that is referred to has the identifier of its episode of care."""
    if not has(value, "encounter"):
        return True
    episodes = every(follow([value.get("encounter")], run), "episodeOfCare")
    return any(has(e, "identifier") for e in objects(episodes))


@native("medcom-careCommunication-15/e72477e8")
def encounter_is_a_reference(value: Object, run: Run) -> bool:
    """Communication.encounter points to an Encounter, not only names it."""
    encounter = value.get("encounter")
    return not has(value, "encounter") or (isinstance(encounter, dict) and has(encounter, "reference"))


@native("medcom-careCommunication-15/a8bbfeba")
def encounters_are_referenced(value: Object, run: Run) -> bool:
    """The Encounters of the Bundle are those that the Communications point to (5.0.4)."""
    communications = resources(value, "Communication", run)
    encounters = resources(value, "Encounter", run)
    if not encounters:
        return not any(has(c, "encounter") for c in communications)
    targets = follow(every(communications, "encounter"), run)
    return [e.get("id") for e in encounters] == [t.get("id") for t in targets]


def _organizations(references: list[Any], run: Run) -> list[list[Object]]:
    """The organizations behind care teams, and those behind practitioner roles."""
    actors = follow(references, run)
    return [follow(every(actors, name), run) for name in ("managingOrganization", "organization")]


def _same(references: list[Any], ends: list[Any], run: Run) -> bool:
    """Equality of collections: the same resources in the same order; nothing equals nothing is no answer."""
    wanted = follow(ends, run)
    return bool(wanted) and any(found == wanted for found in _organizations(references, run))


@native("medcom-careCommunication-12/274c5ef3")
def recipient_belongs_to_receiver(value: Object, run: Run) -> bool:
    """The recipient of a Communication belongs to the organization that the header names as receiver."""
    references = every(resources(value, "Communication", run), "recipient")
    return not references or _same(
        references, every(every(resources(value, "MessageHeader", run), "destination"), "receiver"), run
    )


@native("medcom-careCommunication-11/80be7ef0")
def sender_belongs_to_sender(value: Object, run: Run) -> bool:
    """The sender extension of a Communication belongs to the organization that the header names as sender."""
    extensions = every(resources(value, "Communication", run), "extension")
    references = [e.get("valueReference") for e in objects(extensions)]
    return not extensions or _same(references, every(resources(value, "MessageHeader", run), "sender"), run)


@native("medcom-careCommunication-13/a36be38f")
def role_has_practitioner(value: Object, run: Run) -> bool:
    """Some PractitionerRole points to its Practitioner."""
    people = every(resources(value, "PractitionerRole", run), "practitioner")
    return any(has(p, "reference") for p in objects(people))
