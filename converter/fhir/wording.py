"""What a narrative says about a resource: its elements as short Danish texts, ready for the templates.

One function a resource type gives the variables of that type's template. Codes are told by their display, else by our
own Danish label (`templates/narrative/labels.json`), else as they are; references by what they point to; dates as
day-month-year. Nothing is escaped here.

The functions take a resource as valid FHIR and are written for speed: an element of a wrong shape raises
`AttributeError`, `TypeError` or `KeyError`, and the caller falls back on `anything`, which takes whatever comes.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping
from typing import Any

from converter.fhir.bundle import Resource, index, leaves, resolve

Labels = Mapping[str, Mapping[str, str]]
Values = dict[str, Any]

_CORE = "http://medcomfhir.dk/ig/core/StructureDefinition/medcom-core-"
DATE = _CORE + "datetime-extension"
AUTHOR = _CORE + "practitioner-extension"
CONTACT = _CORE + "contact-extension"
SENDER = _CORE + "sender-extension"
DIAGNOSIS_ROLE = "https://medcom-fhir.org/fhir/StructureDefinition/diagnosis-role"
USE = "http://medcomfhir.dk/ig/messaging/StructureDefinition/medcom-messaging-destinationUseExtension"

STATUS, PRIORITY, ENCOUNTER = "Communication.status", "Communication.priority", "Encounter.status"
ROLE, SYSTEM, IDENTIFIER = "Provenance.entity.role", "ContactPoint.system", "Identifier.system"
REQUEST, DOCUMENT, EXTENSION = "ServiceRequest.status", "Composition.status", "Extension.url"
LABELLED = frozenset({STATUS, PRIORITY, ENCOUNTER, ROLE, SYSTEM, IDENTIFIER, REQUEST, DOCUMENT, EXTENSION})
"""The elements whose codes have labels under the element's path, not under a code system."""

_NOTHING: Mapping[str, Any] = {}
_DANISH = frozenset({":00+01:00", ":00+02:00"})
_NO_ATTACHMENT = ("", "", "", "")
_BREAK = re.compile(r"<br\b[^>]*>|</(?:p|div|li|tr|h[1-6])>(?=.)", re.DOTALL)
_TAG = re.compile(r"<[^>]*>")


def moment(value: str) -> str:
    """A date or time as `17-05-2031 kl. 09:41`, with its zone unless that is Danish time; other text as it is."""
    if len(value) < 10 or value[4] != "-" or value[7] != "-":
        return value
    day = f"{value[8:10]}-{value[5:7]}-{value[:4]}"
    if value[16:] in _DANISH:
        return f"{day} kl. {value[11:16]}"
    if len(value) < 16:
        return day
    clock, zone = (value[11:-1], "+00:00") if value[-1] == "Z" else (value[11:-6], value[-6:])
    if zone[0] not in "+-":
        clock, zone = value[11:], ""
    clock = clock[:5] if clock[5:] in ("", ":00") else clock
    return f"{day} kl. {clock}" if zone in ("+01:00", "+02:00", "") else f"{day} kl. {clock} (UTC{zone})"


def person(name: Resource) -> str:
    """A HumanName in one line."""
    return name.get("text") or " ".join(
        [*name.get("prefix", ()), *name.get("given", ()), *((name["family"],) if "family" in name else ())]
    )


def plain(div: str) -> list[str]:
    """The lines of formatted text: XHTML without its tags."""
    text = div.replace("<br/>", "\n")
    if text.count("<") == 2 and text.startswith("<div") and text.endswith("</div>"):  # as our own codec writes it
        text = html.unescape(text[text.index(">") + 1 : -len("</div>")])
    else:
        text = html.unescape(_TAG.sub("", _BREAK.sub("\n", text)))
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


class Wording:
    """Says what codes and references mean, in one Bundle. `names` remembers what has been said about a reference."""

    __slots__ = ("indexed", "labels", "names")

    def __init__(self, labels: Labels, bundle: Mapping[str, Any]) -> None:
        self.labels = labels
        self.indexed = index(bundle)
        self.names: dict[str | None, str] = {}

    def code(self, code: str, element: str) -> str:
        """A `code`, whose labels stand under its element's path."""
        return self.labels[element].get(code, code)

    def coding(self, coding: Mapping[str, Any]) -> str:
        """A Coding."""
        if display := coding.get("display"):
            return str(display)
        code: str = coding.get("code", "")
        labels = self.labels.get(coding.get("system", ""))
        return labels.get(code, code) if labels else code

    def concept(self, concept: Mapping[str, Any]) -> str:
        """A CodeableConcept: its text, and its codings if they say anything else."""
        own: str = concept.get("text", "")
        if "coding" not in concept:
            return own
        said = ", ".join([self.coding(coding) for coding in concept["coding"]])
        return f"{own} ({said})" if own and own != said else said

    def identifiers(self, resource: Resource, otherwise: str) -> list[tuple[str, str]]:
        """The identifiers of a resource, each as label and value."""
        labels = self.labels[IDENTIFIER]
        return [(labels.get(i.get("system"), otherwise), i.get("value", "")) for i in resource.get("identifier", ())]

    def extensions(self, element: Resource) -> list[tuple[str, str]]:
        """The extensions of an element that we have a label for and that hold one value, as label and value."""
        if "extension" not in element:
            return []
        labels = self.labels[EXTENSION]
        return [(labels[e["url"]], self._extended(e)) for e in element["extension"] if e.get("url") in labels]

    def _extended(self, extension: Resource) -> str:
        if "valueCoding" in extension:
            return self.coding(extension["valueCoding"])
        if "valueReference" in extension:
            return self.reference(extension["valueReference"])
        if "valueDateTime" in extension:
            return moment(extension["valueDateTime"])
        said: str = extension.get("valueString") or extension.get("valueCode") or ""
        return said

    def concepts(self, found: list[Resource]) -> list[str]:
        """All CodeableConcepts of a list."""
        return [self.concept(concept) for concept in found]

    def reference(self, reference: Mapping[str, Any] | None) -> str:
        """What a Reference points to; for something outside the Bundle its display, identifier and address."""
        if reference is None:
            return ""
        target = reference.get("reference")
        said = self.names.get(target)
        return self._ask(reference, target) if said is None else said

    def _ask(self, reference: Mapping[str, Any], target: str | None) -> str:
        found = (self.indexed.get(target) or resolve(self.indexed, target)) if target else None
        if found is None:
            own = (reference.get("display"), reference.get("identifier", _NOTHING).get("value"), target)
            return ", ".join(filter(None, own))
        self.names[target] = str(target)  # while we ask: references can go in circles
        try:
            said = NAMES[found["resourceType"]](found, self) or str(target)
        except (AttributeError, TypeError, KeyError):  # another type, or not what it should be
            said = str(target)
        self.names[target] = said
        return said

    def references(self, found: list[Resource]) -> list[str]:
        """What all References of a list point to."""
        return [self.reference(reference) for reference in found]


# How a resource is called where another one points to it


def _organization_name(resource: Resource, wording: Wording) -> str:
    name: str = resource.get("name", "")
    return name or ", ".join([f"{label} {value}" for label, value in wording.identifiers(resource, "Id")])


def _patient_name(resource: Resource, wording: Wording) -> str:
    said = [person(name) for name in resource.get("name", ())[:1]]
    said += [identifier.get("value", "") for identifier in resource.get("identifier", ())[:1]]
    return ", ".join(said)


def _practitioner_name(resource: Resource, wording: Wording) -> str:
    return ", ".join(map(person, resource.get("name", ())))


def _role_name(resource: Resource, wording: Wording) -> str:
    said = [wording.reference(resource.get("practitioner"))]
    said += map(wording.concept, resource.get("code", ()))
    said.append(wording.reference(resource.get("organization")))
    return ", ".join(filter(None, said))


def _team_name(resource: Resource, wording: Wording) -> str:
    name: str = resource.get("name", "")
    return name


def _encounter_name(resource: Resource, wording: Wording) -> str:
    if episodes := _episodes(resource):
        return ", ".join(episodes)
    said = (wording.coding(resource.get("class", _NOTHING)), moment(resource.get("period", _NOTHING).get("start", "")))
    return ", ".join(filter(None, said))


def _communication_name(resource: Resource, wording: Wording) -> str:
    said = [*map(wording.concept, resource.get("category", ())), wording.concept(resource.get("topic", _NOTHING))]
    return ": ".join(filter(None, said))


def _header_name(resource: Resource, wording: Wording) -> str:
    return f"{wording.coding(resource.get('eventCoding', _NOTHING))} {resource.get('id', '')}".strip()


def _coded_name(resource: Resource, wording: Wording) -> str:
    """What it is to the letter, its text and code, what the code adds, and when it was made or done."""
    said = wording.concept(resource.get("code", _NOTHING))
    role = wording.labels[EXTENSION].get(DIAGNOSIS_ROLE)
    for label, value in wording.extensions(resource):
        said = f"{value}: {said}" if label == role else f"{said}; {value}"
    when = moment(resource.get("recordedDate", "") or resource.get("performedDateTime", ""))
    return f"{said}, {when}" if when else said


def _request_name(resource: Resource, wording: Wording) -> str:
    said = wording.concept(resource.get("code", _NOTHING))
    return said or ", ".join([value for _, value in wording.identifiers(resource, "Id")])


def _composition_name(resource: Resource, wording: Wording) -> str:
    return resource.get("title") or wording.concept(resource.get("type", _NOTHING))


def _document_name(resource: Resource, wording: Wording) -> str:
    said = [resource.get("description", "")]
    said += [content.get("attachment", _NOTHING).get("url", "") for content in resource.get("content", ())]
    said += [f"{label}: {value}" for label, value in wording.extensions(resource)]
    return ", ".join(filter(None, said))


NAMES: dict[str, Callable[[Resource, Wording], str]] = {
    "Organization": _organization_name,
    "Patient": _patient_name,
    "Practitioner": _practitioner_name,
    "PractitionerRole": _role_name,
    "CareTeam": _team_name,
    "Encounter": _encounter_name,
    "Communication": _communication_name,
    "MessageHeader": _header_name,
    "ServiceRequest": _request_name,
    "Condition": _coded_name,
    "Procedure": _coded_name,
    "Composition": _composition_name,
    "DocumentReference": _document_name,
    "RelatedPerson": _practitioner_name,
}


# The variables of the templates


def _message_header(resource: Resource, wording: Wording) -> Values:
    return {
        "event": wording.coding(resource.get("eventCoding", _NOTHING)) or resource.get("eventUri", ""),
        "sender": wording.reference(resource.get("sender")),
        "responsible": wording.reference(resource.get("responsible")),
        "source": resource.get("source", _NOTHING).get("endpoint", ""),
        "destinations": [_destination(destination, wording) for destination in resource.get("destination", ())],
        "content": wording.references(resource.get("focus", [])),
    }


def _destination(destination: Resource, wording: Wording) -> tuple[str, str, str]:
    use = ""
    for extension in destination.get("extension", ()):
        if extension.get("url") == USE:
            use = wording.coding(extension["valueCoding"])
    receiver = wording.reference(destination.get("receiver")) or destination.get("name", "")
    return use, receiver, destination.get("endpoint", "")


def _communication(resource: Resource, wording: Wording) -> Values:
    sender = resource.get("sender")
    for extension in resource.get("extension", ()):
        if extension.get("url") == SENDER:
            sender = extension["valueReference"]
    return {
        "category": ", ".join(map(wording.concept, resource.get("category", ()))),
        "topic": wording.concept(resource.get("topic", _NOTHING)),
        "subject": wording.reference(resource.get("subject")),
        "priority": wording.code(resource.get("priority", ""), PRIORITY),
        "sender": wording.reference(sender),
        "recipients": wording.references(resource.get("recipient", [])),
        "encounter": wording.reference(resource.get("encounter")),
        "payloads": [_payload(payload, wording) for payload in resource.get("payload", ())],
        "status": wording.code(resource.get("status", ""), STATUS),
    }


def _payload(payload: Resource, wording: Wording) -> tuple[Any, ...]:
    date = author = contact = ""
    for extension in payload.get("extension", ()):
        url = extension.get("url")
        if url == DATE:
            date = moment(extension["valueDateTime"])
        elif url == AUTHOR:
            author = wording.reference(extension["valueReference"])
        elif url == CONTACT:
            contact = extension["valueContactPoint"].get("value", "")
    content: str = payload.get("contentString", "")
    if "\r" in content:
        content = content.replace("\r\n", "\n").replace("\r", "\n")
    first, *rest = content.split("\n")
    attachment = payload.get("contentAttachment")
    return (date, author, contact, first, rest, *(_attachment(attachment) if attachment else _NO_ATTACHMENT))


def _attachment(attachment: Mapping[str, Any]) -> tuple[str, str, str, str]:
    title, kind, url = (attachment.get(key, "") for key in ("title", "contentType", "url"))
    return title, kind, url, moment(attachment.get("creation", ""))


def _patient(resource: Resource, wording: Wording) -> Values:
    deceased = resource.get("deceasedBoolean")
    dead = moment(resource.get("deceasedDateTime", "")) if deceased is None else "ja" if deceased else "nej"
    return {
        "names": list(map(person, resource.get("name", ()))),
        "identifiers": wording.identifiers(resource, "Person-id"),
        "addresses": _addresses(resource),
        "telecoms": _telecoms(resource, wording),
        "extensions": wording.extensions(resource),
        "deceased": dead,
    }


def _addresses(resource: Resource) -> list[tuple[str, str, str]]:
    return [
        (", ".join(address.get("line", ())), address.get("postalCode", ""), address.get("city", ""))
        for address in resource.get("address", ())
    ]


def _telecoms(resource: Resource, wording: Wording) -> list[tuple[str, str]]:
    return [
        (wording.code(point.get("system", "other"), SYSTEM), point.get("value", ""))
        for point in resource.get("telecom", ())
    ]


def _episodes(resource: Resource) -> list[str]:
    return [episode.get("identifier", _NOTHING).get("value", "") for episode in resource.get("episodeOfCare", ())]


def _encounter(resource: Resource, wording: Wording) -> Values:
    period = resource.get("period", _NOTHING)
    return {
        "episodes": _episodes(resource),
        "subject": wording.reference(resource.get("subject")),
        "kind": wording.coding(resource.get("class", _NOTHING)),
        "status": wording.code(resource.get("status", ""), ENCOUNTER),
        "start": moment(period.get("start", "")),
        "end": moment(period.get("end", "")),
        "provider": wording.reference(resource.get("serviceProvider")),
        "speciality": wording.concept(resource.get("serviceType", _NOTHING)),
        "bases": wording.references(resource.get("basedOn", [])),
        "diagnoses": [wording.reference(diagnosis.get("condition")) for diagnosis in resource.get("diagnosis", ())],
        "disposition": wording.concept(resource.get("hospitalization", _NOTHING).get("dischargeDisposition", _NOTHING)),
        "extensions": wording.extensions(resource),
    }


def _practitioner_role(resource: Resource, wording: Wording) -> Values:
    return {
        "practitioner": wording.reference(resource.get("practitioner")),
        "roles": list(map(wording.concept, resource.get("code", ()))),
        "organization": wording.reference(resource.get("organization")),
        "specialities": wording.concepts(resource.get("specialty", [])),
    }


def _practitioner(resource: Resource, wording: Wording) -> Values:
    return {"names": list(map(person, resource.get("name", ())))}


def _care_team(resource: Resource, wording: Wording) -> Values:
    organizations = wording.references(resource.get("managingOrganization", []))
    return {"name": resource.get("name", ""), "organizations": organizations}


def _organization(resource: Resource, wording: Wording) -> Values:
    return {
        "name": resource.get("name", ""),
        "identifiers": wording.identifiers(resource, "Id"),
        "addresses": _addresses(resource),
        "telecoms": _telecoms(resource, wording),
    }


def _provenance(resource: Resource, wording: Wording) -> Values:
    return {
        "activity": wording.concept(resource.get("activity", _NOTHING)),
        "occurred": moment(resource.get("occurredDateTime", "")),
        "recorded": moment(resource.get("recorded", "")),
        "agents": [wording.reference(agent.get("who")) for agent in resource.get("agent", ())],
        "targets": wording.references(resource.get("target", [])),
        "entities": [
            (wording.code(entity.get("role", ""), ROLE), wording.reference(entity.get("what")))
            for entity in resource.get("entity", ())
        ],
    }


def _composition(resource: Resource, wording: Wording) -> Values:
    return {
        "title": resource.get("title", ""),
        "kind": wording.concept(resource.get("type", _NOTHING)),
        "status": wording.code(resource.get("status", ""), DOCUMENT),
        "date": moment(resource.get("date", "")),
        "subject": wording.reference(resource.get("subject")),
        "encounter": wording.reference(resource.get("encounter")),
        "authors": wording.references(resource.get("author", [])),
        "attested": [moment(attester.get("time", "")) for attester in resource.get("attester", ())],
        "custodian": wording.reference(resource.get("custodian")),
        "sections": [section.get("title", "") for section in resource.get("section", ())],
        "extensions": wording.extensions(resource),
    }


def section(resource: Resource, wording: Wording) -> Values:
    """The variables of the text of a section that says nothing but what it refers to."""
    return {"entries": wording.references(resource.get("entry", [])) + list(map(_part, resource.get("section", ())))}


def _part(resource: Resource) -> str:
    """A section of a section, whose text stands below."""
    title: str = resource.get("title", "")
    return title


def _service_request(resource: Resource, wording: Wording) -> Values:
    supporting, sections = _supporting(resource, wording)
    return {
        "categories": wording.concepts(resource.get("category", [])),
        "code": wording.concept(resource.get("code", _NOTHING)),
        "identifiers": wording.identifiers(resource, "Id"),
        "status": wording.code(resource.get("status", ""), REQUEST),
        "priority": wording.code(resource.get("priority", ""), PRIORITY),
        "subject": wording.reference(resource.get("subject")),
        "encounter": wording.reference(resource.get("encounter")),
        "authored": moment(resource.get("authoredOn", "")),
        "requester": wording.reference(resource.get("requester")),
        "performers": wording.references(resource.get("performer", [])),
        "reasons": wording.concepts(resource.get("reasonCode", [])),
        "details": wording.concepts(resource.get("orderDetail", [])),
        "notes": [(_note_kind(note, wording), note.get("text", "")) for note in resource.get("note", ())],
        "supporting": supporting,
        "sections": sections,
        "extensions": wording.extensions(resource),
    }


def _note_kind(note: Resource, wording: Wording) -> str:
    return ", ".join([said for _, said in wording.extensions(note)]) or "Bemærkning"


def _supporting(resource: Resource, wording: Wording) -> tuple[list[str], list[tuple[str, str, list[str]]]]:
    """What a request points to, and the sections of the Compositions among that.

    A receiver that reads only the request is to see the whole referral (ref-lm has all its text there).
    """
    said: list[str] = []
    sections: list[tuple[str, str, list[str]]] = []
    for reference in resource.get("supportingInfo", ()):
        target = resolve(wording.indexed, reference.get("reference"))
        if target is None or target.get("resourceType") != "Composition":
            said.append(wording.reference(reference))
        else:
            for section in target.get("section", ()):
                first, *rest = plain(section.get("text", _NOTHING).get("div", ""))
                sections.append((section.get("title", ""), first, rest))
    return said, sections


def _condition(resource: Resource, wording: Wording) -> Values:
    return {
        "code": wording.concept(resource.get("code", _NOTHING)),
        "subject": wording.reference(resource.get("subject")),
        "encounter": wording.reference(resource.get("encounter")),
        "recorded": moment(resource.get("recordedDate", "")),
        "extensions": wording.extensions(resource),
    }


def _procedure(resource: Resource, wording: Wording) -> Values:
    return {
        "code": wording.concept(resource.get("code", _NOTHING)),
        "category": wording.concept(resource.get("category", _NOTHING)),
        "status": wording.code(resource.get("status", ""), STATUS),
        "subject": wording.reference(resource.get("subject")),
        "encounter": wording.reference(resource.get("encounter")),
        "performed": moment(resource.get("performedDateTime", "")),
        "extensions": wording.extensions(resource),
    }


def _document_reference(resource: Resource, wording: Wording) -> Values:
    return {
        "description": resource.get("description", ""),
        "identifiers": wording.identifiers(resource, "Id"),
        "subject": wording.reference(resource.get("subject")),
        "files": [_attachment(content.get("attachment", _NOTHING)) for content in resource.get("content", ())],
        "extensions": wording.extensions(resource),
    }


def _related_person(resource: Resource, wording: Wording) -> Values:
    return {
        "names": list(map(person, resource.get("name", ()))),
        "relations": wording.concepts(resource.get("relationship", [])),
        "identifiers": wording.identifiers(resource, "Person-id"),
        "patient": wording.reference(resource.get("patient")),
        "addresses": _addresses(resource),
        "telecoms": _telecoms(resource, wording),
    }


def anything(resource: Resource, wording: Wording) -> Values:
    """The variables for a resource of any other type, or of an unexpected shape: each leaf with its path."""
    found = [
        (pointer[1:].replace("/", "."), "…" if pointer.endswith("/data") else str(value))
        for pointer, value, _ in leaves(resource)
        if not pointer.startswith(("/text/", "/meta/"))
    ]
    return {"type": str(resource.get("resourceType", "")).strip() or "Ressource", "leaves": found}


OTHER = "other"
VALUES: dict[str, Callable[[Resource, Wording], Values]] = {
    "MessageHeader": _message_header,
    "Communication": _communication,
    "Patient": _patient,
    "Encounter": _encounter,
    "PractitionerRole": _practitioner_role,
    "Practitioner": _practitioner,
    "CareTeam": _care_team,
    "Organization": _organization,
    "Provenance": _provenance,
    "Composition": _composition,
    "ServiceRequest": _service_request,
    "Condition": _condition,
    "Procedure": _procedure,
    "DocumentReference": _document_reference,
    "RelatedPerson": _related_person,
    OTHER: anything,
}
