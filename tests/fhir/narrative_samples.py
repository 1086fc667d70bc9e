"""One Bundle in which every element that a narrative shows has a text of its own, and what has to be told of it."""

from __future__ import annotations

import copy
from typing import Any
from xml.etree import ElementTree as ET

from converter.fhir.narrative import OTHER as GENERAL
from converter.fhir.narrative import TOLD

_CORE = "http://medcomfhir.dk/ig/core/StructureDefinition/medcom-core-"
DATE, AUTHOR = _CORE + "datetime-extension", _CORE + "practitioner-extension"
CONTACT, SENDER = _CORE + "contact-extension", _CORE + "sender-extension"
USE = "http://medcomfhir.dk/ig/messaging/StructureDefinition/medcom-messaging-destinationUseExtension"

XHTML = "{http://www.w3.org/1999/xhtml}"
# FHIR R4, narrative.html: chapters 7 to 11 and 15 of HTML 4.0, a, img, and nothing that acts.
ALLOWED = {
    *(
        "a",
        "abbr",
        "acronym",
        "b",
        "big",
        "blockquote",
        "br",
        "caption",
        "cite",
        "code",
        "col",
        "colgroup",
        "dd",
        "dfn",
    ),
    *("div", "dl", "dt", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "img", "li", "ol", "p", "pre", "q"),
    *("samp", "small", "span", "strong", "sub", "sup", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "tt"),
    *("ul", "var"),
}
NAMES = sorted((*TOLD, GENERAL))


def ref(kind: str, id: str) -> dict[str, str]:  # noqa: A002
    return {"reference": f"{kind}/{id}"}


MESSAGE_HEADER = {
    "resourceType": "MessageHeader",
    "id": "id-header",
    "meta": {"profile": ["p"]},
    "eventCoding": {"system": "urn:x", "code": "code-event"},
    "destination": [
        {
            "extension": [{"url": USE, "valueCoding": {"code": "code-primary"}}],
            "endpoint": "https://primary.example",
            "receiver": ref("Organization", "primary"),
        },
        {
            "extension": [{"url": USE, "valueCoding": {"code": "code-copy"}}],
            "endpoint": "https://copy.example",
            "receiver": ref("Organization", "copy"),
        },
    ],
    "sender": ref("Organization", "id-sender"),
    "responsible": ref("Organization", "responsible"),
    "source": {"endpoint": "https://source.example"},
    "focus": [ref("Communication", "id-communication")],
}
COMMUNICATION = {
    "resourceType": "Communication",
    "id": "id-communication",
    "extension": [{"url": SENDER, "valueReference": ref("CareTeam", "id-team")}],
    "status": "code-status",
    "category": [{"coding": [{"system": "urn:x", "code": "code-category"}]}],
    "priority": "code-priority",
    "subject": ref("Patient", "id-patient"),
    "topic": {"text": "Emnetekst"},
    "encounter": ref("Encounter", "id-encounter"),
    "recipient": [ref("CareTeam", "receiving-team")],
    "payload": [
        {
            "extension": [
                {"url": DATE, "valueDateTime": "2031-05-17T09:41:00+02:00"},
                {"url": AUTHOR, "valueReference": ref("PractitionerRole", "id-role")},
                {"url": CONTACT, "valueContactPoint": {"system": "phone", "value": "0000 0001"}},
            ],
            "contentString": "Line one\nLine two",
        },
        {
            "extension": [
                {"url": DATE, "valueDateTime": "2032-06-18T10:52:33Z"},
                {"url": AUTHOR, "valueReference": ref("PractitionerRole", "other-role")},
                {"url": CONTACT, "valueContactPoint": {"system": "phone", "value": "0000 0002"}},
            ],
            "contentAttachment": {
                "title": "Bilagstitel",
                "contentType": "application/pdf",
                "url": "https://link.example/x",
                "creation": "2030-04-16",
                "data": "AAAA",
            },
        },
    ],
}
OURS = "https://medcom-fhir.org/fhir/StructureDefinition/"
PATIENT = {
    "resourceType": "Patient",
    "id": "id-patient",
    "extension": [
        {"url": OURS + "occupation-text", "valueString": "Fagets navn"},
        {"url": "urn:x", "valueString": "y"},
    ],
    "identifier": [
        {"system": "urn:oid:1.2.208.176.1.2", "value": "0201609995"},
        {"system": "urn:oid:1.2.208.176.1.6.1.1", "value": "0703921VJ4"},
        {"system": "urn:oid:1.2.208.176.1.6.1.3", "value": "0706830VJ9"},
    ],
    "name": [{"use": "official", "family": "Efternavn", "given": ["Fornavn", "Mellemnavn"]}],
    "telecom": [{"system": "phone", "value": "0000 0003"}],
    "address": [{"line": ["Vejnavn 1", "2. sal"], "city": "Byen", "postalCode": "9999"}],
    "deceasedBoolean": True,
}
ENCOUNTER = {
    "resourceType": "Encounter",
    "id": "id-encounter",
    "status": "code-encounter-status",
    "class": {"system": "urn:x", "code": "code-class"},
    "subject": ref("Patient", "id-patient"),
    "episodeOfCare": [{"identifier": {"value": "episode-1"}}, {"identifier": {"value": "urn:uuid:episode-2"}}],
    "period": {"start": "2029-01-02", "end": "2029-03-04T05:06:00+01:00"},
    "serviceProvider": ref("Organization", "copy"),
    "serviceType": {"coding": [{"system": "urn:x", "code": "code-speciality"}]},
    "basedOn": [ref("ServiceRequest", "id-request")],
    "diagnosis": [{"condition": ref("Condition", "id-condition")}],
    "hospitalization": {"dischargeDisposition": {"text": "Hjemmet"}},
    "extension": [{"url": OURS + "legacy-episode-status", "valueCoding": {"code": "code-episode"}}],
}
ROLE = {
    "resourceType": "PractitionerRole",
    "id": "id-role",
    "practitioner": ref("Practitioner", "id-practitioner"),
    "organization": ref("Organization", "id-sender"),
    "code": [{"coding": [{"system": "urn:x", "code": "code-role"}], "text": "Rolletekst"}],
    "specialty": [{"coding": [{"code": "code-specialty"}]}],
}
PRACTITIONER = {
    "resourceType": "Practitioner",
    "id": "id-practitioner",
    "name": [{"given": ["Doktor"], "family": "Dyr"}],
}
TEAM = {
    "resourceType": "CareTeam",
    "id": "id-team",
    "name": "Holdet",
    "managingOrganization": [ref("Organization", "id-sender"), ref("Organization", "copy")],
}
ORGANIZATION = {
    "resourceType": "Organization",
    "id": "id-sender",
    "identifier": [
        {"system": "https://www.gs1.org/gln", "value": "5790000120314"},
        {"system": "urn:oid:1.2.208.176.1.1", "value": "325371000016006"},
    ],
    "name": "Afsenderhuset",
    "telecom": [{"system": "phone", "value": "0000 0004"}],
    "address": [{"line": ["Husvej 2"], "city": "Husby", "postalCode": "9998"}],
}
PROVENANCE = {
    "resourceType": "Provenance",
    "id": "id-provenance",
    "target": [ref("MessageHeader", "id-header")],
    "occurredDateTime": "2033-07-19T11:03:00+02:00",
    "recorded": "2034-08-20T12:14:00+02:00",
    "activity": {"coding": [{"system": "urn:x", "code": "code-activity"}]},
    "agent": [{"who": ref("Organization", "id-sender")}],
    "entity": [
        {"role": "source", "what": {"identifier": {"value": "urn:uuid:payload"}}},
        {"role": "revision", "what": ref("MessageHeader", "previous")},
        {"role": "code-entity-role", "what": {**ref("MessageHeader", "older"), "identifier": {"value": "GLN#older"}}},
    ],
}
COMPOSITION = {
    "resourceType": "Composition",
    "id": "id-composition",
    "extension": [{"url": OURS + "legacy-action-priority", "valueCode": "code-action"}],
    "status": "code-composition-status",
    "type": {"coding": [{"code": "code-type"}]},
    "subject": ref("Patient", "id-patient"),
    "encounter": ref("Encounter", "id-encounter"),
    "date": "2035-09-21T13:25:00+02:00",
    "author": [ref("Organization", "id-sender")],
    "attester": [{"mode": "professional", "time": "2035-09-22T14:26:00+02:00"}],
    "custodian": ref("Organization", "copy"),
    "title": "Brevets titel",
    "section": [
        {
            "title": "Første afsnit",
            "text": {"status": "additional", "div": "<div>Linje &lt;1&gt;<br/>Linje <b>2</b></div>"},
        },
        {"title": "Andet afsnit", "text": {"status": "additional", "div": "<div><p>Stykke 1</p><p>Stykke 2</p></div>"}},
    ],
}
SERVICE_REQUEST = {
    "resourceType": "ServiceRequest",
    "id": "id-request",
    "extension": [{"url": OURS + "answer-copy-to", "valueReference": ref("Organization", "copy")}],
    "identifier": [{"value": "letter-1"}],
    "status": "code-request-status",
    "intent": "order",
    "category": [{"text": "Kategoritekst"}],
    "code": {"text": "Ydelsestekst"},
    "priority": "code-request-priority",
    "orderDetail": [{"text": "Liggende"}],
    "subject": ref("Patient", "id-patient"),
    "encounter": ref("Encounter", "id-encounter"),
    "authoredOn": "2036-10-23",
    "requester": ref("PractitionerRole", "id-role"),
    "performer": [ref("Organization", "primary")],
    "reasonCode": [{"text": "Første årsag"}, {"text": "Anden årsag"}],
    "supportingInfo": [ref("Composition", "id-composition"), ref("Condition", "id-condition"), {"display": "Andet"}],
    "note": [
        {"extension": [{"url": OURS + "note-type", "valueCoding": {"code": "code-note"}}], "text": "Notetekst"},
        {"text": "Fri note"},
    ],
}
CONDITION = {
    "resourceType": "Condition",
    "id": "id-condition",
    "extension": [
        {"url": OURS + "diagnosis-role", "valueCoding": {"code": "code-diagnosis-role"}},
        {"url": OURS + "referral-received", "valueDateTime": "2040-01-02"},
    ],
    "code": {"coding": [{"code": "DX01"}], "text": "Diagnosetekst"},
    "subject": ref("Patient", "id-patient"),
    "encounter": ref("Encounter", "id-encounter"),
    "recordedDate": "2037-11-24",
}
PROCEDURE = {
    "resourceType": "Procedure",
    "id": "id-procedure",
    "extension": [{"url": OURS + "diagnosis-role", "valueCoding": {"code": "code-procedure-role"}}],
    "status": "code-procedure-status",
    "category": {"text": "Indgrebets art"},
    "code": {"text": "Indgrebstekst"},
    "subject": ref("Patient", "id-patient"),
    "encounter": ref("Encounter", "id-encounter"),
    "performedDateTime": "2038-12-25",
}
DOCUMENT = {
    "resourceType": "DocumentReference",
    "id": "id-document",
    "extension": [{"url": OURS + "reference-supplement", "valueString": "på papir"}],
    "identifier": [{"value": "object-1"}],
    "status": "current",
    "description": "Bilagets beskrivelse",
    "subject": ref("Patient", "id-patient"),
    "content": [
        {
            "attachment": {
                "title": "Filens titel",
                "contentType": "image/png",
                "url": "https://file.example",
                "creation": "2039-01-26",
            }
        }
    ],
}
RELATED = {
    "resourceType": "RelatedPerson",
    "id": "id-related",
    "identifier": [{"value": "person-1"}],
    "patient": ref("Patient", "id-patient"),
    "relationship": [{"text": "Forældres relation"}],
    "name": [{"family": "Slægt", "given": ["Nær"]}],
    "telecom": [{"system": "phone", "value": "0000 0005"}],
    "address": [{"line": ["Slægtsvej 3"], "city": "Slægtsby", "postalCode": "9997"}],
}
OTHER = {"resourceType": "Basic", "id": "id-basic", "code": {"text": "Grundtekst"}, "extension": [{"valueInteger": 7}]}
SUPPORT = [
    {"resourceType": "Organization", "id": "primary", "name": "Modtagerhuset"},
    {"resourceType": "Organization", "id": "copy", "name": "Kopihuset"},
    {"resourceType": "Organization", "id": "responsible", "name": "Ansvarshuset"},
    {"resourceType": "CareTeam", "id": "receiving-team", "name": "Modtagerholdet"},
    {"resourceType": "PractitionerRole", "id": "other-role", "code": [{"text": "Anden rolle"}]},
]
SAMPLES: dict[str, dict[str, Any]] = {
    str(sample["resourceType"]): sample
    for sample in (
        MESSAGE_HEADER,
        COMMUNICATION,
        PATIENT,
        ENCOUNTER,
        ROLE,
        PRACTITIONER,
        TEAM,
        ORGANIZATION,
        PROVENANCE,
        COMPOSITION,
        SERVICE_REQUEST,
        CONDITION,
        PROCEDURE,
        DOCUMENT,
        RELATED,
    )
} | {"other": OTHER}

OWN = {"Composition", "ServiceRequest", "Condition", "Procedure", "DocumentReference", "RelatedPerson"}
# What must stand in the narrative for each obliged element (ids as in the snapshots of MedCom's profiles).
OBLIGED: dict[str, dict[str, list[str]]] = {
    "MessageHeader": {
        "MessageHeader.id": ["id-header"],
        "MessageHeader.event[x].code": ["code-event"],
        "MessageHeader.destination:primary.extension:use.value[x].code": ["code-primary"],
        "MessageHeader.destination:primary.endpoint": ["https://primary.example"],
        "MessageHeader.destination:primary.receiver": ["Modtagerhuset"],
        "MessageHeader.destination:cc.extension:use.value[x].code": ["code-copy"],
        "MessageHeader.destination:cc.endpoint": ["https://copy.example"],
        "MessageHeader.destination:cc.receiver": ["Kopihuset"],
        "MessageHeader.sender": ["Afsenderhuset"],
        "MessageHeader.source.endpoint": ["https://source.example"],
        "MessageHeader.focus": ["code-category: Emnetekst"],
    },
    "Communication": {
        "Communication.id": ["id-communication"],
        "Communication.extension:sender": ["Holdet"],
        "Communication.status": ["code-status"],
        "Communication.category.coding.code": ["code-category"],
        "Communication.priority": ["code-priority"],
        "Communication.subject": ["Fornavn Mellemnavn Efternavn, 0201609995"],
        "Communication.topic.text": ["Emnetekst"],
        "Communication.encounter": ["episode-1, urn:uuid:episode-2"],
        "Communication.recipient": ["Modtagerholdet"],
        "Communication.payload:string.extension:date": ["17-05-2031 kl. 09:41"],
        "Communication.payload:string.extension:author": ["Doktor Dyr, Rolletekst (code-role), Afsenderhuset"],
        "Communication.payload:string.extension:authorContact": ["0000 0001"],
        "Communication.payload:string.content[x]": ["Line one", "Line two"],
        "Communication.payload:attachment.extension:date": ["18-06-2032 kl. 10:52:33 (UTC+00:00)"],
        "Communication.payload:attachment.extension:author": ["Anden rolle"],
        "Communication.payload:attachment.extension:authorContact": ["0000 0002"],
        "Communication.payload:attachment.content[x].contentType": ["application/pdf"],
        "Communication.payload:attachment.content[x].url": ["https://link.example/x"],
        "Communication.payload:attachment.content[x].title": ["Bilagstitel"],
        "Communication.payload:attachment.content[x].creation": ["16-04-2030"],
    },
    "Patient": {
        "Patient.id": ["id-patient"],
        "Patient.identifier:cpr": ["CPR-nummer: 0201609995"],
        "Patient.identifier:x-ecpr": ["Erstatnings-CPR (X-eCPR): 0703921VJ4"],
        "Patient.identifier:d-ecpr": ["Erstatnings-CPR (D-eCPR): 0706830VJ9"],
        "Patient.name:official.family": ["Efternavn"],
        "Patient.name:official.given": ["Fornavn Mellemnavn"],
        "Patient.telecom": ["Telefon: 0000 0003"],
        "Patient.address.line": ["Vejnavn 1, 2. sal"],
        "Patient.address.city": ["Byen"],
        "Patient.address.postalCode": ["9999"],
    },
    "Encounter": {
        "Encounter.id": ["id-encounter"],
        "Encounter.status": ["code-encounter-status"],
        "Encounter.class": ["code-class"],
        "Encounter.subject": ["Fornavn Mellemnavn Efternavn, 0201609995"],
        "Encounter.episodeOfCare.identifier": ["episode-1"],
        "Encounter.episodeOfCare:lpr3identifier.identifier": ["urn:uuid:episode-2"],
        "Encounter.serviceProvider": ["Kopihuset"],
    },
    "PractitionerRole": {
        "PractitionerRole.id": ["id-role"],
        "PractitionerRole.practitioner": ["Doktor Dyr"],
        "PractitionerRole.organization": ["Afsenderhuset"],
        "PractitionerRole.code.coding": ["code-role"],
        "PractitionerRole.code.text": ["Rolletekst"],
    },
    "Practitioner": {"Practitioner.id": ["id-practitioner"], "Practitioner.name": ["Doktor Dyr"]},
    "CareTeam": {
        "CareTeam.id": ["id-team"],
        "CareTeam.name": ["Holdet"],
        "CareTeam.managingOrganization": ["Afsenderhuset", "Kopihuset"],
    },
    "Organization": {
        "Organization.id": ["id-sender"],
        "Organization.identifier:EAN-ID": ["Lokationsnummer (GLN): 5790000120314"],
        "Organization.identifier:SOR-ID": ["SOR-id: 325371000016006"],
        "Organization.name": ["Afsenderhuset"],
    },
    "Provenance": {
        "Provenance.id": ["id-provenance"],
        "Provenance.target": ["code-event id-header"],
        "Provenance.occurred[x]:occurredDateTime": ["19-07-2033 kl. 11:03"],
        "Provenance.activity.coding.code": ["code-activity"],
        "Provenance.agent.who": ["Afsenderhuset"],
        "Provenance.entity.role": ["code-entity-role"],
        "Provenance.entity.what.reference": ["MessageHeader/older"],
        "Provenance.entity.what.identifier": ["GLN#older"],
        "Provenance.entity:preceedingMessage.role": ["Tidligere meddelelse: "],
        "Provenance.entity:preceedingMessage.what.reference": ["MessageHeader/previous"],
        "Provenance.entity:preceedingMessage.what.identifier": ["GLN#older"],
        "Provenance.entity:payload.role": ["Indhold: "],
        "Provenance.entity:payload.what.reference": ["MessageHeader/older"],
        "Provenance.entity:payload.what.identifier": ["urn:uuid:payload"],
    },
    "other": {"Basic.id": ["id: id-basic"]},
    # MedCom obliges nothing here: our own draft messages use these types.
    **{kind: {} for kind in sorted(SAMPLES) if kind in OWN},
}
# What the templates show besides.
SHOWN = {
    "MessageHeader": ["(code-primary)", "Ansvarshuset"],
    "Patient": ["Død: ja", "Stilling: Fagets navn"],
    "Encounter": [
        *(
            "02-01-2029",
            "04-03-2029 kl. 05:06",
            "Speciale: code-speciality",
            "Diagnose: code-diagnosis-role: Diagnosetekst (DX01); 02-01-2040, 24-11-2037",
        ),
        *("Udskrevet til: Hjemmet", "På baggrund af: Ydelsestekst", "Forløbsstatus: code-episode"),
    ],
    "PractitionerRole": ["Speciale: code-specialty"],
    "Organization": ["Adresse: Husvej 2, 9998 Husby", "Telefon: 0000 0004"],
    "Composition": [
        *("Brevets titel", "code-type", "21-09-2035 kl. 13:25", "Status: code-composition-status", "episode-1"),
        *("Patient: Fornavn", "Forfatter: Afsenderhuset", "Ansvarlig organisation: Kopihuset", "22-09-2035 kl. 14:26"),
        *("Handlingsprioritet: code-action", "Afsnit: Første afsnit", "Afsnit: Andet afsnit", "Id: id-composition"),
    ],
    "ServiceRequest": [
        *(
            "Kategoritekst",
            "Ydelsestekst",
            "Id: letter-1",
            "code-request-status",
            "code-request-priority",
            "23-10-2036",
        ),
        *("Patient: Fornavn", "Forløb: episode-1", "Henviser: Doktor Dyr", "Henvist til: Modtagerhuset"),
        *("Første årsag", "Anden årsag", "Liggende", "Kopi af svar til: Kopihuset", "code-note: Notetekst"),
        *("Bemærkning: Fri note", "Første afsnit", "Linje <1>\nLinje 2", "Andet afsnit", "Stykke 1\nStykke 2"),
        *("Yderligere: code-diagnosis-role: Diagnosetekst (DX01)", "Yderligere: Andet", "Id: id-request"),
    ],
    "Condition": [
        *("Diagnose: Diagnosetekst (DX01)", "Diagnosetype: code-diagnosis-role", "24-11-2037", "Patient: Fornavn"),
        *("Forløb: episode-1", "Henvisning modtaget: 02-01-2040", "Id: id-condition"),
    ],
    "Procedure": [
        *("Indgrebstekst", "Indgrebets art", "Diagnosetype: code-procedure-role", "25-12-2038"),
        *("code-procedure-status", "Patient: Fornavn", "Forløb: episode-1", "Id: id-procedure"),
    ],
    "DocumentReference": [
        *("Bilagets beskrivelse", "Id: object-1", "Eftersendes på papir: på papir", "Filens titel", "image/png"),
        *("https://file.example", "26-01-2039", "Patient: Fornavn", "Id: id-document"),
    ],
    "RelatedPerson": [
        *("Nær Slægt", "Forældres relation", "Person-id: person-1", "Slægtsvej 3, 9997 Slægtsby"),
        *("Telefon: 0000 0005", "Patient: Fornavn", "Id: id-related"),
    ],
    "Provenance": ["20-08-2034 kl. 12:14"],
    "other": ["Basic", "code.text: Grundtekst", "extension.0.valueInteger: 7"],
}


def everything() -> dict[str, Any]:
    resources = copy.deepcopy([*SAMPLES.values(), *SUPPORT])
    entries = [{"fullUrl": f"https://x.example/{r['resourceType']}/{r['id']}", "resource": r} for r in resources]
    return {"resourceType": "Bundle", "type": "message", "entry": entries}


def told(bundle: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The resources by type, the first of each; types without a template of their own as `other`."""
    found: dict[str, dict[str, Any]] = {}
    for entry in bundle["entry"]:
        kind = entry["resource"]["resourceType"]
        found.setdefault(kind if kind in TOLD else GENERAL, entry["resource"])
    return found


def seen(div: str) -> str:
    """What a reader sees: the text of a well-formed div that has only allowed tags and no attributes."""
    root = ET.fromstring(div)
    assert root.tag == XHTML + "div"
    for element in root.iter():
        assert element.tag.removeprefix(XHTML) in ALLOWED
        assert not element.attrib
    for line_break in root.iter(XHTML + "br"):
        line_break.tail = "\n" + (line_break.tail or "")
    text = "".join(root.itertext())
    assert text.strip(), "txt-2: a narrative must not be blank"
    return text


def missing(kind: str, text: str) -> list[str]:
    """The elements of a sample that its narrative does not represent."""
    absent = [element for element, texts in OBLIGED[kind].items() if not all(t in text for t in texts)]
    return absent + [t for t in SHOWN.get(kind, ()) if t not in text]
