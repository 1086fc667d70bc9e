"""What a narrative says about the elements of a resource: the filters of the templates, each of which gives markup.

Codes are told by their display, else by our own Danish label (`templates/narrative/labels.json`), else as they are;
references by what they point to; dates as day-month-year. Text is escaped where it is taken from an element, so that
what is told several times, as the name of a sender is, is escaped once.

The filters take elements as valid FHIR and are written for speed: one of a wrong shape raises `AttributeError`,
`TypeError` or `KeyError`, and the caller falls back on the template `other`, which takes whatever comes.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from converter.fhir.bundle import Resource, index, leaves, resolve
from converter.fhir.rendering import Table, escape

DIAGNOSIS_ROLE = "https://medcom-fhir.org/fhir/StructureDefinition/diagnosis-role"
IDENTIFIER, EXTENSION = "Identifier.system", "Extension.url"
LABELLED = frozenset(
    {
        *("Communication.status", "Communication.priority", "Encounter.status", "Provenance.entity.role"),
        *("ContactPoint.system", "ServiceRequest.status", "Composition.status", IDENTIFIER, EXTENSION),
    }
)
"""The elements whose codes have labels under the element's path, not under a code system."""


class Codes(dict[str, str]):
    """The labels of the codes of one system, as markup; a code without a label is its own."""

    def __missing__(self, code: str) -> str:
        return escape("" + code)


class Labels(dict[str, str]):
    """The labels alone: a code without one says nothing."""

    def __missing__(self, code: str) -> str:
        return ""


class Systems(dict[str, Codes]):
    """The labels by code system (or by the element that has the code); another system has none."""

    def __missing__(self, system: str) -> Codes:
        return _UNLABELLED


def by_code(labels: Mapping[str, Mapping[str, str]]) -> Systems:
    """The labels of `labels.json`."""
    return Systems(
        {system: Codes({code: escape(label) for code, label in codes.items()}) for system, codes in labels.items()}
    )


_UNLABELLED = Codes()
_NOTHING: Mapping[str, Any] = {}
_DANISH = frozenset({":00+01:00", ":00+02:00"})
_LONGEST = len("2031-05-17T09:41:05.123456+02:00") + 1
_BREAK = re.compile(r"<br\b[^>]*>|</(?:p|div|li|tr|h[1-6])>(?=.)", re.DOTALL)
_TAG = re.compile(r"<[^>]*>")


class _Moments(dict[str, str]):
    """Dates and times as they are told, remembered: a message names one several times. A thousand at most."""

    def __missing__(self, value: str) -> str:
        told = _moment(value)
        said = escape(told)
        if told is not value and len(value) < _LONGEST:  # no other text is kept
            if len(self) >= 1000:
                self.clear()
            self[value] = said
        return said


moments = _Moments()
"""A date or time as `17-05-2031 kl. 09:41`, with its zone unless that is Danish time; other text as it is."""


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


def lines(text: str) -> str:
    """Text that keeps its line breaks."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    # Single characters are found faster in a long text than `escape` reads it.
    if "&" in text or "<" in text or ">" in text or '"' in text or "'" in text:
        text = escape("" + text)
    return text.replace("\n", "<br/>")


def person(name: Resource) -> str:
    """A HumanName in one line."""
    said = name.get("text", "")
    if said:
        return escape("" + said)
    parts = [*name["prefix"]] if "prefix" in name else []
    if "given" in name:
        parts += name["given"]
    if "family" in name:
        if not parts:
            return escape("" + name["family"])
        parts.append(name["family"])
    return escape(" ".join(parts))


def plain(div: str) -> str:
    """The lines of formatted text: XHTML without its tags."""
    text = div.replace("<br/>", "\n")
    if text.startswith("<div") and text.endswith("</div>"):
        text = text[text.index(">") + 1 : -len("</div>")]
        if "<" not in text:  # as our own codec writes it
            return lines(html.unescape(text) if "&" in text else text)
    return lines(html.unescape(_TAG.sub("", _BREAK.sub("\n", div.replace("<br/>", "\n")))))


def join(texts: list[str], between: str) -> str:
    """All texts of a list."""
    return escape(between.join(texts))


def yes_or_no(value: bool | None) -> str:
    """A boolean."""
    return "" if value is None else "ja" if value else "nej"


def kind(resource: Resource) -> str:
    """The type of a resource of any type, or of what is none."""
    return escape(str(resource.get("resourceType", "")).strip()) or "Ressource"


def anything(resource: Resource) -> list[tuple[str, str]]:
    """Each leaf of a resource of any type, or of an unexpected shape, with its path."""
    return [
        (escape(pointer[1:].replace("/", ".")), "…" if pointer.endswith("/data") else escape(str(value)))
        for pointer, value, _ in leaves(resource)
        if not pointer.startswith(("/text/", "/meta/"))
    ]


FILTERS: dict[str, Callable[..., Any]] = {
    f.__name__: f for f in (lines, person, plain, join, yes_or_no, kind, anything)
}
"""What templates can ask of a value alone; what needs the labels or the Bundle is a method of `Wording`."""


def tables(labels: Systems) -> dict[str, Callable[..., Table]]:
    """What templates look up, by filter: a `code` or its `label` (if any) by the element that has it, a `moment`."""
    return {
        "code": lambda element: labels[element],
        "label": lambda element: Labels(labels[element]),
        "moment": lambda: moments,
    }


def by_url(found: list[Resource]) -> dict[Any, Resource]:
    """The extensions of an element by URL; of several with one URL the last."""
    extensions = {}
    for extension in found:
        extensions[extension.get("url")] = extension
    return extensions


class Wording:
    """Says what codes and references mean, in one Bundle. The public methods are filters of the templates."""

    __slots__ = ("_bundle", "_indexed", "_names", "labels", "near")

    def __init__(self, labels: Systems, bundle: Mapping[str, Any], near: Mapping[Any, Resource] = _NOTHING) -> None:
        """`near` are the resources of the Bundle by `Type/id`, as nearly all references have it."""
        self.labels = labels
        self.near = near
        self._names: dict[Any, str] = {}
        self._bundle, self._indexed = bundle, _NOTHING

    def reference(self, reference: Resource) -> str:
        """What a Reference points to; for something outside the Bundle its display, identifier and address."""
        target: Any = reference.get("reference")
        said = self._names.get(target)
        if said is not None:
            return said
        found = self.near.get(target) or self._far(target)
        if found is None:
            own = (reference.get("display"), reference.get("identifier", _NOTHING).get("value"), target)
            return escape(", ".join(filter(None, own)))
        try:
            kind = found["resourceType"]
            if kind in _FOLLOWING:
                self._names[target] = escape(target)  # while we ask: references can go in circles
            said = NAMES[kind](found, self) or escape(target)
        except (AttributeError, TypeError, KeyError):  # another type, or not what it should be
            said = escape(target)
        self._names[target] = said
        return said

    def coding(self, coding: Mapping[str, Any]) -> str:
        """A Coding."""
        code: str = coding.get("code", "")
        if "display" in coding and (display := coding["display"]):
            return escape(str(display))
        return self.labels[coding["system"]][code] if "system" in coding else escape("" + code)

    def concept(self, concept: Mapping[str, Any]) -> str:
        """A CodeableConcept: its text, and its codings if they say anything else."""
        own: str = concept.get("text", "")
        if own != "":
            own = escape("" + own)
        if "coding" not in concept:
            return own
        codings = concept["coding"]
        said = self.coding(codings[0]) if len(codings) == 1 else ", ".join(map(self.coding, codings))
        return f"{own} ({said})" if own and own != said else said

    def concepts(self, found: list[Resource]) -> str:
        """All CodeableConcepts of a list."""
        return self.concept(found[0]) if len(found) == 1 else ", ".join(map(self.concept, found))

    def extensions(self, found: list[Resource]) -> list[tuple[str, str]]:
        """The extensions that we have a label for and that hold one value, as label and value."""
        label: Callable[[Any], str | None] = self.labels[EXTENSION].get
        values = []
        for extension in found:
            if said := label(extension.get("url")):
                values.append((said, self.value(extension)))
        return values

    def values(self, found: list[Resource]) -> str:
        """What the extensions say that we have a label for."""
        return ", ".join([said for _, said in self.extensions(found)])

    def value(self, extension: Resource) -> str:
        """What an extension says that holds one value."""
        if "valueCoding" in extension:
            return self.coding(extension["valueCoding"])
        if "valueReference" in extension:
            return self.reference(extension["valueReference"])
        if "valueDateTime" in extension:
            return moments[extension["valueDateTime"]]
        if "valueContactPoint" in extension:
            return escape("" + extension["valueContactPoint"].get("value", ""))
        return escape("" + extension["valueString" if "valueString" in extension else "valueCode"])

    def compositions(self, found: list[Resource]) -> list[Resource]:
        """The Compositions among what the References of a list point to."""
        return [composition for reference in found if (composition := self._composition(reference)) is not None]

    def others(self, found: list[Resource]) -> list[Resource]:
        """The References of a list that point to anything but Compositions."""
        return [reference for reference in found if self._composition(reference) is None]

    def _composition(self, reference: Resource) -> Resource | None:
        name = reference.get("reference")
        target = self.near.get(name) or self._far(name)
        return target if target is not None and target.get("resourceType") == "Composition" else None

    def _far(self, target: str | None) -> Resource | None:
        """What any other reference points to; the Bundle is only indexed for such."""
        if not target:
            return None
        if not self._indexed:
            self._indexed = index(self._bundle)
        return resolve(self._indexed, target)


# How a resource is called where another one points to it


def _organization_name(resource: Resource, wording: Wording) -> str:
    name = resource.get("name", "")
    return escape("" + name) if name else _identifiers(resource, wording)


def _identifiers(resource: Resource, wording: Wording) -> str:
    label = wording.labels[IDENTIFIER].get
    said = [
        f"{label(identifier.get('system'), 'Id')} {escape('' + identifier.get('value', ''))}"
        for identifier in resource.get("identifier", ())
    ]
    return ", ".join(said)


def _patient_name(resource: Resource, wording: Wording) -> str:
    names, identifiers = resource.get("name"), resource.get("identifier")
    if not identifiers:
        return person(names[0]) if names else ""
    value = escape("" + identifiers[0].get("value", ""))
    return f"{person(names[0])}, {value}" if names else value


def _practitioner_name(resource: Resource, wording: Wording) -> str:
    names = resource.get("name", ())
    return person(names[0]) if len(names) == 1 else ", ".join(map(person, names))


def _with_concepts(said: str, between: str, concepts: Iterable[Any], wording: Wording) -> str:
    for concept in concepts:
        if name := wording.concept(concept):
            said = f"{said}{between}{name}" if said else name
    return said


def _role_name(resource: Resource, wording: Wording) -> str:
    said = wording.reference(resource["practitioner"]) if "practitioner" in resource else ""
    said = _with_concepts(said, ", ", resource.get("code", ()), wording)
    if "organization" in resource and (name := wording.reference(resource["organization"])):
        said = f"{said}, {name}" if said else name
    return said


def _team_name(resource: Resource, wording: Wording) -> str:
    return escape("" + resource.get("name", ""))


def _encounter_name(resource: Resource, wording: Wording) -> str:
    if episodes := resource.get("episodeOfCare", ()):
        return escape(", ".join([episode.get("identifier", _NOTHING).get("value", "") for episode in episodes]))
    said = (wording.coding(resource.get("class", _NOTHING)), moments[resource.get("period", _NOTHING).get("start", "")])
    return ", ".join(filter(None, said))


def _communication_name(resource: Resource, wording: Wording) -> str:
    said = _with_concepts("", ": ", resource.get("category", ()), wording)
    if "topic" in resource and (name := wording.concept(resource["topic"])):
        said = f"{said}: {name}" if said else name
    return said


def _header_name(resource: Resource, wording: Wording) -> str:
    event = wording.coding(resource.get("eventCoding", _NOTHING))
    return f"{event} {escape('' + resource.get('id', ''))}".strip()


def _coded_name(resource: Resource, wording: Wording) -> str:
    """What it is to the letter, its text and code, what the code adds, and when it was made or done."""
    said = wording.concept(resource.get("code", _NOTHING))
    role = wording.labels[EXTENSION].get(DIAGNOSIS_ROLE)
    for label, value in wording.extensions(resource.get("extension", [])):
        said = f"{value}: {said}" if label == role else f"{said}; {value}"
    when = moments[resource.get("recordedDate", "") or resource.get("performedDateTime", "")]
    return f"{said}, {when}" if when else said


def _request_name(resource: Resource, wording: Wording) -> str:
    said = wording.concept(resource.get("code", _NOTHING))
    return said or ", ".join([escape("" + i.get("value", "")) for i in resource.get("identifier", ())])


def _composition_name(resource: Resource, wording: Wording) -> str:
    title = resource.get("title")
    return escape("" + title) if title else wording.concept(resource.get("type", _NOTHING))


def _document_name(resource: Resource, wording: Wording) -> str:
    said = escape("" + resource.get("description", ""))
    if "content" in resource:
        for content in resource["content"]:
            if url := content.get("attachment", _NOTHING).get("url"):
                said = f"{said}, {escape('' + url)}" if said else escape("" + url)
    if "extension" in resource:
        for label, value in wording.extensions(resource["extension"]):
            said = f"{said}, {label}: {value}" if said else f"{label}: {value}"
    return said


_FOLLOWING = frozenset({"PractitionerRole", "Condition", "Procedure", "DocumentReference"})
"""The types whose names say what they refer to."""
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
