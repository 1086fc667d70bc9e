"""What a narrative says about the elements of a resource: the filters of the templates, each of which gives a text.

Codes are told by their display, else by our own Danish label (`templates/narrative/labels.json`), else as they are;
references by what they point to; dates as day-month-year. Nothing is escaped here.

The filters take elements as valid FHIR and are written for speed: one of a wrong shape raises `AttributeError`,
`TypeError` or `KeyError`, and the caller falls back on the template `other`, which takes whatever comes.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping
from itertools import filterfalse
from typing import Any

from converter.fhir.bundle import Resource, index, leaves, resolve

Labels = Mapping[tuple[str, Any], str]
"""The labels of codes by code system (or the element that has the code) and code."""

DIAGNOSIS_ROLE = "https://medcom-fhir.org/fhir/StructureDefinition/diagnosis-role"
IDENTIFIER, EXTENSION = "Identifier.system", "Extension.url"
LABELLED = frozenset(
    {
        *("Communication.status", "Communication.priority", "Encounter.status", "Provenance.entity.role"),
        *("ContactPoint.system", "ServiceRequest.status", "Composition.status", IDENTIFIER, EXTENSION),
    }
)
"""The elements whose codes have labels under the element's path, not under a code system."""

_NOTHING: Mapping[str, Any] = {}
_DANISH = frozenset({":00+01:00", ":00+02:00"})
_BREAK = re.compile(r"<br\b[^>]*>|</(?:p|div|li|tr|h[1-6])>(?=.)", re.DOTALL)
_TAG = re.compile(r"<[^>]*>")


class _Moments(dict[str, str]):
    """Dates and times as they are told, remembered: a message names one several times. A thousand at most."""

    def __missing__(self, value: str) -> str:
        if len(self) >= 1000:
            self.clear()
        said = self[value] = _moment(value)
        return said


_moments = _Moments()


def moment(value: str) -> str:
    """A date or time as `17-05-2031 kl. 09:41`, with its zone unless that is Danish time; other text as it is."""
    return _moments[value]


def _moment(value: str) -> str:
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
    said: str = name.get("text", "")
    if said:
        return said
    parts = list(name["prefix"]) if "prefix" in name else []
    if "given" in name:
        parts += name["given"]
    if "family" in name:
        parts.append(name["family"])
    return " ".join(parts)


def plain(div: str) -> str:
    """The lines of formatted text: XHTML without its tags."""
    text = div.replace("<br/>", "\n")
    if text.count("<") == 2 and text.startswith("<div") and text.endswith("</div>"):  # as our own codec writes it
        return html.unescape(text[text.index(">") + 1 : -len("</div>")])
    return html.unescape(_TAG.sub("", _BREAK.sub("\n", text)))


def join(texts: list[str], between: str) -> str:
    """All texts of a list."""
    return between.join(texts)


def yes_or_no(value: bool | None) -> str:
    """A boolean."""
    return "" if value is None else "ja" if value else "nej"


def kind(resource: Resource) -> str:
    """The type of a resource of any type, or of what is none."""
    return str(resource.get("resourceType", "")).strip() or "Ressource"


def anything(resource: Resource) -> list[tuple[str, str]]:
    """Each leaf of a resource of any type, or of an unexpected shape, with its path."""
    return [
        (pointer[1:].replace("/", "."), "…" if pointer.endswith("/data") else str(value))
        for pointer, value, _ in leaves(resource)
        if not pointer.startswith(("/text/", "/meta/"))
    ]


FILTERS: dict[str, Callable[..., Any]] = {
    f.__name__: f for f in (moment, person, plain, join, yes_or_no, kind, anything)
}
"""What templates can ask of a value alone; what needs the labels or the Bundle is a method of `Wording`."""


class Wording:
    """Says what codes and references mean, in one Bundle. `names` remembers what has been said about a reference.

    The public methods are filters of the templates.
    """

    __slots__ = ("_bundle", "_by_url", "_extended", "_indexed", "labels", "names", "near")

    def __init__(self, labels: Labels, bundle: Mapping[str, Any], near: Mapping[Any, Resource] = _NOTHING) -> None:
        """`near` are the resources of the Bundle by `Type/id`, as nearly all references have it."""
        self.labels = labels
        self.near = near
        self.names: dict[str | None, str] = {}
        self._bundle, self._indexed = bundle, _NOTHING
        self._extended: list[Resource] | None = None
        self._by_url: dict[Any, Resource] = {}

    def code(self, code: str, element: str) -> str:
        """A `code`, whose labels stand under its element's path."""
        return self.labels.get((element, code), code)

    def label(self, code: str, element: str) -> str:
        """The label of a code, if there is one."""
        return self.labels.get((element, code), "")

    def coding(self, coding: Mapping[str, Any]) -> str:
        """A Coding."""
        code: str = coding.get("code", "")
        if "display" in coding and (display := coding["display"]):
            return str(display)
        return self.labels.get((coding["system"], code), code) if "system" in coding else code

    def concept(self, concept: Mapping[str, Any]) -> str:
        """A CodeableConcept: its text, and its codings if they say anything else."""
        own: str = concept.get("text", "")
        if "coding" not in concept:
            return own
        codings = concept["coding"]
        said = self.coding(codings[0]) if len(codings) == 1 else ", ".join(map(self.coding, codings))
        return own + " (" + said + ")" if own and own != said else said

    def concepts(self, found: list[Resource]) -> str:
        """All CodeableConcepts of a list."""
        return ", ".join(map(self.concept, found))

    def extensions(self, found: list[Resource]) -> list[tuple[str, str]]:
        """The extensions that we have a label for and that hold one value, as label and value."""
        label = self.labels.get
        values = []
        for extension in found:
            if said := label((EXTENSION, extension.get("url"))):
                values.append((said, self._value(extension)))
        return values

    def values(self, found: list[Resource]) -> str:
        """What the extensions say that we have a label for."""
        return ", ".join([said for _, said in self.extensions(found)])

    def extension(self, found: list[Resource], url: str) -> str:
        """What the extension with that URL says."""
        if found is not self._extended:  # templates ask the same element for several
            self._by_url = by_url = {}
            for extension in found:
                by_url[extension.get("url")] = extension
            self._extended = found
        said = self._by_url.get(url)
        return self._value(said) if said is not None else ""

    def _value(self, extension: Resource) -> str:
        if "valueCoding" in extension:
            return self.coding(extension["valueCoding"])
        if "valueReference" in extension:
            return self.reference(extension["valueReference"])
        if "valueDateTime" in extension:
            return moment(extension["valueDateTime"])
        said: str = (
            extension["valueContactPoint"].get("value", "")
            if "valueContactPoint" in extension
            else extension["valueString" if "valueString" in extension else "valueCode"]
        )
        return said

    def compositions(self, found: list[Resource]) -> list[Resource]:
        """The Compositions among what the References of a list point to."""
        return [*filter(None, map(self._composition, found))]

    def others(self, found: list[Resource]) -> list[Resource]:
        """The References of a list that point to anything but Compositions."""
        return [*filterfalse(self._composition, found)]

    def _composition(self, reference: Resource) -> Resource | None:
        name = reference.get("reference")
        target = self.near.get(name) or self._far(name)
        return target if target is not None and target.get("resourceType") == "Composition" else None

    def reference(self, reference: Mapping[str, Any]) -> str:
        """What a Reference points to; for something outside the Bundle its display, identifier and address."""
        target = reference.get("reference")
        said = self.names.get(target)
        return self._ask(reference, target) if said is None else said

    def _ask(self, reference: Mapping[str, Any], target: Any) -> str:
        found = self.near.get(target) or self._far(target)
        if found is None:
            own = (reference.get("display"), reference.get("identifier", _NOTHING).get("value"), target)
            return ", ".join(filter(None, own))
        self.names[target] = target  # while we ask: references can go in circles
        try:
            said = NAMES[found["resourceType"]](found, self) or target
        except (AttributeError, TypeError, KeyError):  # another type, or not what it should be
            said = target
        self.names[target] = said
        return said

    def _far(self, target: str | None) -> Resource | None:
        """What any other reference points to; the Bundle is only indexed for such."""
        if not target:
            return None
        if not self._indexed:
            self._indexed = index(self._bundle)
        return resolve(self._indexed, target)


# How a resource is called where another one points to it


def _organization_name(resource: Resource, wording: Wording) -> str:
    name: str = resource.get("name", "")
    return name or ", ".join([f"{label} {value}" for label, value in _identifiers(resource, wording)])


def _identifiers(resource: Resource, wording: Wording) -> list[tuple[str, str]]:
    label = wording.labels.get
    return [(label((IDENTIFIER, i.get("system")), "Id"), i.get("value", "")) for i in resource.get("identifier", ())]


def _patient_name(resource: Resource, wording: Wording) -> str:
    said = [person(resource["name"][0])] if resource.get("name") else []
    if resource.get("identifier"):
        said.append(resource["identifier"][0].get("value", ""))
    return ", ".join(said)


def _practitioner_name(resource: Resource, wording: Wording) -> str:
    return ", ".join(map(person, resource.get("name", ())))


def _role_name(resource: Resource, wording: Wording) -> str:
    said = [wording.reference(resource["practitioner"])] if "practitioner" in resource else []
    if "code" in resource:
        said += map(wording.concept, resource["code"])
    if "organization" in resource:
        said.append(wording.reference(resource["organization"]))
    return ", ".join(filter(None, said))


def _team_name(resource: Resource, wording: Wording) -> str:
    name: str = resource.get("name", "")
    return name


def _encounter_name(resource: Resource, wording: Wording) -> str:
    if episodes := resource.get("episodeOfCare", ()):
        return ", ".join([episode.get("identifier", _NOTHING).get("value", "") for episode in episodes])
    said = (wording.coding(resource.get("class", _NOTHING)), moment(resource.get("period", _NOTHING).get("start", "")))
    return ", ".join(filter(None, said))


def _communication_name(resource: Resource, wording: Wording) -> str:
    said = [*map(wording.concept, resource.get("category", ()))]
    said.append(wording.concept(resource.get("topic", _NOTHING)))
    return ": ".join(filter(None, said))


def _header_name(resource: Resource, wording: Wording) -> str:
    return f"{wording.coding(resource.get('eventCoding', _NOTHING))} {resource.get('id', '')}".strip()


def _coded_name(resource: Resource, wording: Wording) -> str:
    """What it is to the letter, its text and code, what the code adds, and when it was made or done."""
    said = wording.concept(resource.get("code", _NOTHING))
    role = wording.labels.get((EXTENSION, DIAGNOSIS_ROLE))
    for label, value in wording.extensions(resource.get("extension", [])):
        said = f"{value}: {said}" if label == role else f"{said}; {value}"
    when = moment(resource.get("recordedDate", "") or resource.get("performedDateTime", ""))
    return f"{said}, {when}" if when else said


def _request_name(resource: Resource, wording: Wording) -> str:
    said = wording.concept(resource.get("code", _NOTHING))
    return said or ", ".join([value for _, value in _identifiers(resource, wording)])


def _composition_name(resource: Resource, wording: Wording) -> str:
    return resource.get("title") or wording.concept(resource.get("type", _NOTHING))


def _document_name(resource: Resource, wording: Wording) -> str:
    said = [resource.get("description", "")]
    for content in resource.get("content", ()):
        said.append(content.get("attachment", _NOTHING).get("url", ""))
    said += map(": ".join, wording.extensions(resource.get("extension", [])))
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
